"""Scans along every axis, of lengths that take every schedule, against NumPy."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anygpu as ag

SHAPES = [(), (1,), (7,), (33,), (1000,), (40_000,), (3, 5), (3, 700), (700, 3), (3, 20_000), (20_000, 3), (2, 600, 3), (600, 4100), (0, 3)]
DTYPES = ["bool", "int8", "uint16", "int64", "float16", "float32", "float64", "complex64"]


def close(got: np.ndarray, want: np.ndarray) -> None:
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    if want.dtype.kind in "biu":
        np.testing.assert_array_equal(got, want)
    else:
        limit = {"f2": 3e-2, "f4": 1e-4, "c8": 1e-4}.get(want.dtype.str[1:], 1e-11)
        np.testing.assert_allclose(got, want, rtol=limit, atol=limit * np.abs(want[np.isfinite(want)]).max(initial=1))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_and_products(shape: tuple[int, ...], dtype: str) -> None:
    random = np.random.default_rng(3)
    x = (random.random(shape) * 2 - (0 if dtype in ("bool", "uint16") else 1)).astype(dtype)
    a = ag.array(x)
    for axis in (None, *range(-1 if shape else 0, len(shape))):
        with np.errstate(all="ignore"):
            want = x.cumsum(axis) if dtype != "float16" else x.astype("f4").cumsum(axis).astype("f2")
            close(np.asarray(a.cumsum(axis)), want)
            if x.size < 50_000:
                close(np.asarray(ag.cumprod(a, axis)), x.cumprod(axis))


@settings(deadline=None, max_examples=50)
@given(
    st.integers(0, 1 << 30), st.sampled_from([(5,), (70,), (17_000,), (600, 3), (3, 600)]),
    st.sampled_from(["maximum", "minimum", "fmax", "fmin", "logical_and", "logical_or", "logical_xor", "add"]),
    st.sampled_from(["f4", "i2", "bool"]),
)  # fmt: skip
def test_accumulate(seed: int, shape: tuple[int, ...], name: str, dtype: str) -> None:
    random = np.random.default_rng(seed)
    x = (random.integers(0, 5, shape) * (random.random(shape) < random.choice([0.01, 0.9, 1]))).astype(dtype)
    if dtype == "f4" and seed % 2 and name in ("maximum", "minimum", "fmax", "fmin"):
        x[random.random(shape) < 0.01] = np.nan
    a = ag.array(x)
    ufunc: np.ufunc = getattr(np, name)
    for axis in range(len(shape)):
        want = ufunc.accumulate(x, axis)
        close(np.asarray(ufunc.accumulate(a, axis)), want)
        close(np.asarray(ufunc.accumulate(a[..., ::-1][..., ::-1], axis=axis)), want)


def test_views_fuse() -> None:
    x = np.random.default_rng(5).random((60, 70, 8))
    a = ag.array(x)
    views = (lambda v: v.T, lambda v: v[::-2, 3:], lambda v: v[:, :, 2], lambda v: v.transpose(1, 0, 2))
    for f in (*views, lambda v: v[:, None, ::3] * v[:, None, ::-3] - 1):
        for axis in (None, 0, -1):
            close(np.asarray(ag.cumsum(f(a), axis)), f(x).cumsum(axis))
    found = ag.cumsum(a * a + 1, 2) / 2
    assert ag.explain(found).count("kernel") == 2
    close(np.asarray(found), (x * x + 1).cumsum(2) / 2)


def test_signs_of_zeros_stay() -> None:
    for n in (1, 40, 300):
        assert np.signbit(np.asarray(ag.full(n, -0.0).cumsum())).all()
        assert np.signbit(np.asarray(ag.full((n, 2), -0.0).cumsum(0))).all()


def test_include_initial_and_out() -> None:
    x = np.arange(12.0).reshape(3, 4)
    a = ag.array(x)
    for name in ("cumulative_sum", "cumulative_prod"):
        ours, theirs = getattr(ag, name), getattr(np, name)
        for axis in (0, 1, -1):
            for initial in (False, True):
                close(np.asarray(ours(a, axis=axis, include_initial=initial)), theirs(x, axis=axis, include_initial=initial))
        given = {"include_initial": True, "dtype": np.float32}
        close(np.asarray(ours(ag.ones(3, np.int8), **given)), theirs(np.ones(3, np.int8), **given))
        close(np.asarray(ours(ag.array(3))), theirs(np.array(3)))
    out = ag.zeros((4, 4), int)
    assert ag.cumulative_sum(a, axis=0, include_initial=True, out=out) is out
    assert out.tolist() == np.cumulative_sum(x, axis=0, include_initial=True).tolist()
    into = ag.zeros((3, 4), np.float32)
    assert a.cumsum(1, out=into) is into
    assert into.tolist() == x.cumsum(1).tolist()
    np.add.accumulate(a, 0, None, a)
    assert a.tolist() == x.cumsum(0).tolist()


def test_errors() -> None:
    a = ag.zeros((2, 3))
    for call, error, text in (
        (lambda: a.cumsum(2), np.exceptions.AxisError, "axis 2 is out of bounds for array of dimension 2"),
        (lambda: a.cumsum((0, 1)), TypeError, "'tuple' object cannot be interpreted as an integer"),
        (lambda: ag.cumsum(a, out=ag.zeros((2, 3))), ValueError, "provided out is the wrong size for the accumulation."),
        (lambda: ag.cumulative_sum(a), ValueError, "For arrays which have more than one dimension ``axis`` argument is required."),
        (lambda: np.add.accumulate(ag.array(5)), TypeError, "cannot accumulate on a scalar"),
        (lambda: np.add.accumulate(a, axis=None), ValueError, "accumulate does not allow multiple axes"),
        (lambda: np.bitwise_and.accumulate(a), TypeError, "ufunc 'bitwise_and' not supported for the input types"),
    ):
        with pytest.raises(error, match=re.escape(text)):
            call()


def test_order_does_not_depend_on_where_rows_lie() -> None:
    """A row has the same bits alone, among others, and from memory that is walked backwards."""
    x = np.random.default_rng(8).random((5, 20_000)).astype(np.float32)
    together = np.asarray(ag.array(x).cumsum(1))
    for n in range(5):
        np.testing.assert_array_equal(np.asarray(ag.array(x[n]).cumsum()), together[n])
