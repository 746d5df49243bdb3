"""Long Fourier transforms on the CPU: SciPy's, where it is installed, with NumPy's results, dtypes and errors."""

import functools

import numpy as np
import pytest

import anygpu as ag
from anygpu.arrays import scipy_fft

scipy = pytest.importorskip("scipy.fft")
ROW = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
ARRAY = ("fft2", "ifft2", "rfft2", "irfft2", "fftn", "ifftn", "rfftn", "irfftn")


@pytest.fixture
def used(monkeypatch):
    """The names of SciPy's routines that were called."""
    found = []

    def noted(name, own, *args, **kwargs):
        found.append(name)
        return own(*args, **kwargs)

    for name in (*ROW, *ARRAY):

        monkeypatch.setattr(scipy, name, functools.partial(noted, name, getattr(scipy, name)))
    return found


@pytest.mark.parametrize("name", (*ROW, *ARRAY))
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64", "complex128"])
def test_long_transforms_are_scipys_and_give_what_numpy_does(name, dtype, used):
    source = np.random.default_rng(3)
    x = source.normal(size=(16, 4099)).astype(dtype)
    if x.dtype.kind == "c":
        x += 1j * source.normal(size=x.shape)
    if x.dtype.kind == "c" and name in ("rfft", "ihfft", "rfft2", "rfftn"):
        with pytest.raises(TypeError) as ours:
            getattr(ag.fft, name)(ag.asarray(x))
        with pytest.raises(TypeError) as theirs:
            getattr(np.fft, name)(x)
        assert str(ours.value) == str(theirs.value)
        return
    for kwargs in ({}, {"norm": "ortho"}, {"axis": 0} if name in ROW else {"axes": (0,)} if name.endswith("n") else {"norm": "forward"}):
        expected = getattr(np.fft, name)(x, **kwargs)
        found = getattr(ag.fft, name)(ag.asarray(x), **kwargs)
        assert found.dtype == expected.dtype and found.shape == expected.shape
        scale = np.abs(expected).max()
        assert np.abs(np.asarray(found) - expected).max() <= scale * 64 * np.finfo(x.dtype).eps
    assert used == [name] * 3


def test_short_ones_and_other_arguments_stay_numpys(used):
    x = np.random.default_rng(1).normal(size=scipy_fft.ENOUGH)
    ag.fft.fft(ag.asarray(x[:-1]))
    ag.fft.rfft(ag.asarray(x))  # a single row of float64
    ag.fft.fft(ag.asarray(x.astype(np.float16)))
    ag.fft.fftn(ag.asarray(x.reshape(256, -1)), s=(4, 4), axes=(0, 1))
    out = np.empty(x.size, complex)
    np.asarray(ag.fft.fft(ag.asarray(x), out=ag.asarray(out)))
    assert used == []
    np.testing.assert_array_equal(out, np.fft.fft(x))


@pytest.mark.parametrize(("args", "kwargs"), [((0,), {}), ((None, 3), {}), ((), {"norm": "none"}), ((-4,), {"axis": 0})])
def test_errors_are_numpys(args, kwargs):
    x = np.zeros(scipy_fft.ENOUGH)
    with pytest.raises(Exception) as theirs:
        np.fft.rfft(x, *args, **kwargs)
    with pytest.raises(type(theirs.value)) as ours:
        ag.fft.rfft(ag.asarray(x), *args, **kwargs)
    assert str(ours.value) == str(theirs.value)


def test_no_points_are_an_error_at_every_size() -> None:
    with pytest.raises(ValueError, match=r"Invalid number of FFT data points \(0\) specified"):
        ag.fft.irfft(ag.ones(70000), n=0)
