"""Libraries that know nothing of anygpu take its arrays, through the array API standard and NumPy's protocols, and agree with NumPy.

SciPy needs ``SCIPY_ARRAY_API=1`` when it is imported, which tests/conftest.py sees to.
"""

from __future__ import annotations

import dask.array
import einops.array_api
import numpy as np
import opt_einsum
import pytest
import scipy.fft
import scipy.ndimage
import scipy.signal
import scipy.special
import scipy.stats
import sklearn
import xarray
from sklearn import metrics
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.mixture import GaussianMixture
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, StandardScaler

import anygpu as ag

R = np.random.default_rng(3)
X = R.normal(size=(60, 5))
Y = (X[:, 0] + 0.3 * R.normal(size=60) > 0).astype(np.int64)
TARGET = X @ np.arange(1.0, 6.0)


def agree(ours: object, theirs: object, limit: float = 1e-9) -> None:
    assert isinstance(ours, ag.ndarray), type(ours)
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), rtol=limit, atol=limit)


# ------------------------------------------------------------------------------------------------------------------- scikit-learn

ESTIMATORS = {
    "PCA": (lambda: PCA(3, svd_solver="full"), None, ("transform", "inverse_transform"), ("components_", "explained_variance_")),
    "Ridge": (lambda: Ridge(solver="svd"), TARGET, ("predict",), ("coef_",)),
    "StandardScaler": (StandardScaler, None, ("transform",), ("mean_", "scale_")),
    "MinMaxScaler": (MinMaxScaler, None, ("transform",), ("data_min_",)),
    "MaxAbsScaler": (MaxAbsScaler, None, ("transform",), ("scale_",)),
    "LinearDiscriminantAnalysis": (LinearDiscriminantAnalysis, Y, ("predict", "decision_function"), ("means_",)),
    "LogisticRegression": (lambda: LogisticRegression(solver="lbfgs", tol=1e-8), Y, ("predict", "predict_proba"), ("coef_",)),
    "GaussianMixture": (lambda: GaussianMixture(2, random_state=0, init_params="random_from_data"), None, ("predict_proba",), ("means_",)),
}  # fmt: skip


@pytest.mark.parametrize("name", ESTIMATORS)
def test_scikit_learn(name: str) -> None:
    make, target, methods, attributes = ESTIMATORS[name]
    theirs = make().fit(X, target)
    with sklearn.config_context(array_api_dispatch=True):
        ours = make().fit(ag.asarray(X), None if target is None else ag.asarray(target))
        for attribute in attributes:
            agree(getattr(ours, attribute), getattr(theirs, attribute), 1e-4)
        for method in methods:
            given = theirs.transform(X) if method == "inverse_transform" else X
            agree(getattr(ours, method)(ag.asarray(given)), getattr(theirs, method)(given), 1e-4)


METRICS = {
    "accuracy_score": (Y, 1 - Y), "zero_one_loss": (Y, 1 - Y), "f1_score": (Y, np.roll(Y, 1)), "precision_score": (Y, np.roll(Y, 1)),
    "mean_squared_error": (TARGET, X[:, 0]), "mean_absolute_error": (TARGET, X[:, 0]), "r2_score": (TARGET, TARGET + X[:, 0]),
    "mean_squared_log_error": (TARGET**2, X[:, 0] ** 2), "explained_variance_score": (TARGET, X[:, 0]),
}  # fmt: skip


@pytest.mark.parametrize("name", METRICS)
def test_metrics_of_scikit_learn(name: str) -> None:
    function = getattr(metrics, name)
    with sklearn.config_context(array_api_dispatch=True):
        got = function(*map(ag.asarray, METRICS[name]))
    assert float(got) == pytest.approx(float(function(*METRICS[name])), rel=1e-9)


def test_pairwise_metrics_of_scikit_learn() -> None:
    with sklearn.config_context(array_api_dispatch=True):
        for name in ("euclidean_distances", "cosine_similarity", "linear_kernel", "rbf_kernel"):
            function = getattr(metrics.pairwise, name)
            agree(function(ag.asarray(X), ag.asarray(X[:7])), function(X, X[:7]), 1e-6)


# -------------------------------------------------------------------------------------------------------------------------- SciPy

SCIPY = {
    "special.erf": lambda x: scipy.special.erf(x), "special.expit": lambda x: scipy.special.expit(x),
    "special.gammaln": lambda x: scipy.special.gammaln(x * x + 1), "special.logsumexp": lambda x: scipy.special.logsumexp(x, axis=0),
    "special.softmax": lambda x: scipy.special.softmax(x, axis=1), "special.xlogy": lambda x: scipy.special.xlogy(x * x, x * x + 1),
    "stats.zscore": lambda x: scipy.stats.zscore(x, axis=0), "stats.skew": lambda x: scipy.stats.skew(x, axis=0),
    "stats.kurtosis": lambda x: scipy.stats.kurtosis(x, axis=0), "stats.gmean": lambda x: scipy.stats.gmean(x * x + 1, axis=0),
    "stats.ttest_ind": lambda x: scipy.stats.ttest_ind(x[:30, :], x[30:, :]).pvalue, "stats.sem": lambda x: scipy.stats.sem(x),
    "stats.pearsonr": lambda x: scipy.stats.pearsonr(x[:, 0], x[:, 1], axis=None).statistic[...],
    "signal.detrend": lambda x: scipy.signal.detrend(x, axis=0), "signal.fftconvolve": lambda x: scipy.signal.fftconvolve(x, x[:5, :]),
    "signal.hilbert": lambda x: scipy.signal.hilbert(x, axis=0).real,
    "fft.rfft": lambda x: abs(scipy.fft.rfft(x, axis=0)), "fft.fft2": lambda x: abs(scipy.fft.fft2(x)),
    "fft.fftfreq": lambda x: scipy.fft.fftfreq(8, xp=x.__array_namespace__()),
    "ndimage.gaussian_filter": lambda x: scipy.ndimage.gaussian_filter(x, 1.0),
}  # fmt: skip


@pytest.mark.parametrize("name", SCIPY)
def test_scipy(name: str) -> None:
    agree(SCIPY[name](ag.asarray(X)), SCIPY[name](X))


# ----------------------------------------------------------------------------------------------- containers and einsum's relatives


def test_xarray() -> None:
    def program(values: object) -> xarray.DataArray:
        a = xarray.DataArray(values, dims=("time", "space"), coords={"time": np.arange(60)})
        b = (a - a.mean("time")) / a.std("time")
        return b.isel(time=slice(0, 50, 2)).transpose("space", "time").sum("space") * a[0, 0]

    ours = program(ag.asarray(X))
    agree(ours.data, program(X).data)
    assert ours.dims == ("time",)
    assert (xarray.DataArray(ag.asarray(X)) > 0).any().item()


def test_dask() -> None:
    def program(values: object) -> object:
        a = dask.array.from_array(values, chunks=(20, 5), asarray=False)
        return ((a + 1) @ a.T).sum(axis=0).compute(scheduler="synchronous")

    agree(program(ag.asarray(X)), program(X))


def test_einops() -> None:
    x = X.reshape(3, 20, 5)
    for pattern, given in (("a (b c) d -> (a b) c d", {"b": 4}), ("a b c -> c (a b)", {}), ("a b c -> b a c 1", {})):
        agree(einops.array_api.rearrange(ag.asarray(x), pattern, **given), einops.rearrange(x, pattern, **given))
    agree(einops.array_api.reduce(ag.asarray(x), "a b c -> a c", "mean"), x.mean(axis=1))
    agree(einops.array_api.repeat(ag.asarray(x), "a b c -> a b r c", r=2), np.repeat(x[:, :, None], 2, axis=2))


def test_opt_einsum() -> None:
    a, b, c = X[:4], X[4:9], X[9:14]
    agree(opt_einsum.contract("ij,kj,kl->il", *map(ag.asarray, (a, b, c))), a @ b.T @ c)
