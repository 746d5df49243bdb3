"""Reductions over every choice of axes, of shapes that take every schedule, against NumPy."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import anygpu as ag
from anygpu.arrays import reductions

EVERY_DEVICE = True

SHAPES = [
    (), (1,), (7,), (1000,), (40_000,), (3, 5), (300, 40), (40, 300), (20_000, 3), (3, 20_000), (2, 3, 4), (5, 2000, 3), (1, 700, 1),
    (0, 3), (3, 0),
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", "int64", "float32", "float64", "complex64"])
def test_reduction(shape: tuple[int, ...], dtype: str) -> None:
    random = np.random.default_rng(4)
    x = (random.random(shape) * 6 - 1).astype(dtype)
    a = ag.array(x)
    for count in range(len(shape) + 1):
        for axes in itertools.combinations(range(len(shape)), count):
            axis = axes if count else None
            for keepdims in (False, True):
                for name in ("sum", "prod", "max", "min", "any", "all", "mean", "var", "std"):
                    if name in ("mean", "var", "std") and 0 in shape:
                        continue  # NumPy warns and gives NaN, and so do we, by way of NumPy
                    with np.errstate(all="ignore"):
                        try:
                            want = getattr(np, name)(x, axis=axis, keepdims=keepdims)
                        except ValueError as error:
                            with pytest.raises(ValueError, match="zero-size array to reduction operation"):
                                getattr(a, name)(axis=axis, keepdims=keepdims)
                            assert "zero-size" in str(error)
                            continue
                        got = getattr(a, name)(axis=axis, keepdims=keepdims)
                    assert got.shape == want.shape
                    assert got.dtype == want.dtype, name
                    if want.dtype.kind in "biu":
                        np.testing.assert_array_equal(np.asarray(got), want)
                    else:
                        limit = 1e-4 if dtype in ("float32", "complex64") else 1e-11
                        finite = np.isfinite(want) & (np.abs(want) > 1e-30) if name == "prod" else np.isfinite(want)
                        np.testing.assert_allclose(np.asarray(got)[finite], want[finite], rtol=limit, atol=limit)


def test_sums_are_accurate() -> None:
    """The sum of ten million equal float32 is right to a few units in the last place, as NumPy's pairwise sum is."""
    x = ag.full(10_000_000, np.float32(0.1))
    assert abs(float(x.sum()) - 1e6 * float(np.float32(0.1)) * 10) < 1


def test_nan_spreads() -> None:
    x = np.ones((50, 70))
    x[3, 4] = np.nan
    assert np.isnan(float(ag.array(x).max()))
    np.testing.assert_array_equal(np.asarray(ag.array(x).min(axis=0)), x.min(axis=0))


def test_views_are_reduced_in_place() -> None:
    x = np.random.default_rng(5).random((60, 70, 8))
    a = ag.array(x)
    for f in (lambda v: v.T, lambda v: v[::-2, 3:], lambda v: v[:, :, 2], lambda v: v.transpose(1, 0, 2), lambda v: v[:, None, ::3]):
        for axis in (None, 0, -1):
            np.testing.assert_allclose(np.asarray(f(a).sum(axis=axis)), f(x).sum(axis=axis), rtol=1e-12)


def test_results_over_no_axes_are_copies() -> None:
    a = ag.array(1.0) + 1
    found, none = a.min(-1), a.sum(axis=())
    a[...] = 7
    assert (found.item(), none.item()) == (2, 2)


def test_axis_errors() -> None:
    with pytest.raises(np.exceptions.AxisError, match="axis 2 is out of bounds for array of dimension 2"):
        ag.zeros((2, 3)).sum(axis=2)
    with pytest.raises(ValueError, match="duplicate value in 'axis'"):
        ag.zeros((2, 3)).sum(axis=(0, 0))


@pytest.mark.parametrize("dtype", ["float64", "float32", "int32"])
@pytest.mark.parametrize("shape", [(1300, 7), (1024, 3), (5, 40000), (2, 16384 * 2), (3, 1500, 4), (50000,), (1, 600), (513, 1)], ids=str)
def test_variances_in_parts(shape: tuple[int, ...], dtype: str, device: ag.Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reductions, "LARGE", 500)
    host = (np.random.default_rng(len(shape)).standard_normal(shape) * 100 + 30).astype(dtype)
    x = ag.asarray(host, device=device)
    wide = host.astype(np.float64)
    tolerance = 2e-5 if dtype == "float32" else 1e-12
    views: list[Callable[[Any], Any]] = [lambda a: a, lambda a: a[::-1], lambda a: a.T, lambda a: a[..., ::2]]
    for view in views:
        for axis in (None, *range(len(shape))):
            given: list[dict[str, int]] = [{}, {"keepdims": True}, {"ddof": 1}]
            for named in given:
                if named.get("ddof") and (view(wide).shape[axis] if axis is not None else view(wide).size) == 1:
                    continue
                got, want = view(x).var(axis=axis, **named), view(wide).var(axis=axis, **named)
                assert got.shape == want.shape
                assert got.dtype == ("float32" if dtype == "float32" else "float64")
                np.testing.assert_allclose(np.asarray(got), want, rtol=tolerance)
    assert float(x.std()) == pytest.approx(wide.std(), rel=tolerance)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_variances_in_parts_are_accurate(dtype: str, device: ag.Device) -> None:
    """Where the first row is far from all others, where the mean is large, and where squares nearly overflow."""
    random = np.random.default_rng(3)
    shape = (1100, 1000)
    outlier = np.zeros(shape)
    outlier[0] = random.random(shape[1])
    far = random.random(shape) + 1000
    large = random.standard_normal(shape) * (1e17 if dtype == "float32" else 1e152)
    for host in (value.astype(dtype) for value in (outlier, far, large)):
        got = np.asarray(ag.asarray(host, device=device).var(axis=0))
        want = host.astype(np.longdouble).var(axis=0)
        assert float(np.max(np.abs(got / want - 1))) < 4000 * float(np.finfo(dtype).eps)


@pytest.mark.parametrize("odd", [np.nan, np.inf])
def test_variances_in_parts_of_what_is_not_finite(odd: float, device: ag.Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reductions, "LARGE", 500)
    host = np.random.default_rng(1).random((1300, 3))
    host[700, 1] = odd
    got = np.asarray(ag.asarray(host, device=device).var(axis=0))
    assert np.array_equal(np.isnan(got), [False, True, False])


@pytest.mark.parametrize("columns", [2, 3, 40])
def test_parts_of_parts(columns: int, device: ag.Device) -> None:
    """So many rows are reduced in parts, and those in parts again: the memory of what a kernel reads stays until it has been read."""
    x = np.ones((1 << 18, columns), np.float32)
    for _ in range(3):  # computed, planned, by the plan
        assert ag.asarray(x, device=device).sum(axis=0).tolist() == [1 << 18] * columns


@pytest.mark.parametrize("length", [2, 3, 5, 8, 9, 16, 20, 31, 32, 33, 64, 100, 200, 256, 257, 300])
def test_rows_of_every_length(length: int, device: ag.Device) -> None:
    """Rows are reduced in other ways by their length, in one order on every device."""
    random = np.random.default_rng(length)
    for rows in (1, 31, 70, 600):
        for dtype in ("float32", "int16"):
            x = (random.standard_normal((rows, length)) * 50).astype(dtype)
            if dtype == "float32":
                x[0, -1], x[rows // 2, 0] = np.nan, -0.0
                x[rows - 1] = np.inf
            here, there = ag.asarray(x, device=device), ag.asarray(x, device="cpu")
            for name in ("sum", "max", "min", "argmax", "argmin", "any", "all"):
                got, same, want = (getattr(m, name)(v, axis=1) for m, v in ((ag, here), (ag, there), (np, x)))
                assert np.asarray(got).tobytes() == np.asarray(same).tobytes()
                np.testing.assert_allclose(np.asarray(got), want, rtol=1e-4, atol=1e-3)
