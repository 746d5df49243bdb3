"""argmin and argmax: the first of equal elements, NaN before any number, fused with what computes the elements."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anygpu as ag

SHAPES = [(1,), (7,), (1000,), (40_000,), (3, 5), (300, 40), (20_000, 3), (3, 20_000), (2, 3, 4), (5, 2000, 3), (1, 700, 1)]
DTYPES = ["bool", "int8", "uint16", "int64", "uint64", "float16", "float32", "float64", "complex64"]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_arguments(shape: tuple[int, ...], dtype: str) -> None:
    random = np.random.default_rng(7)
    x = (random.integers(0, 50, shape) * (1 if dtype != "bool" else random.random(shape) < 0.3)).astype(dtype)
    a = ag.array(x)
    for name in ("argmin", "argmax"):
        for axis in (None, *range(-1, len(shape))):
            for keepdims in (False, True):
                want = getattr(np, name)(x, axis=axis, keepdims=keepdims)
                got = getattr(a, name)(axis=axis, keepdims=keepdims)
                assert got.dtype == want.dtype
                np.testing.assert_array_equal(np.asarray(got), want)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 1 << 30), st.sampled_from([(), (5,), (70,), (9000,), (17_000,), (600, 3), (3, 600)]), st.sampled_from(["f4", "i2"]))
def test_ties_and_nan(seed: int, shape: tuple[int, ...], dtype: str) -> None:
    random = np.random.default_rng(seed)
    x = random.integers(0, 3, shape).astype(dtype)
    if dtype == "f4" and seed % 2:
        x = np.where(random.random(shape) < random.choice([0.001, 0.5, 1]), np.float32(np.nan), x).astype(dtype)
    if dtype == "f4" and seed % 3 == 0:
        x = np.where(x > 1, np.float32(np.inf), -np.float32(np.inf)) if seed % 2 else np.full(shape, -np.inf, dtype)
    a = ag.array(x)
    for name in ("argmin", "argmax"):
        for axis in (None, *range(len(shape))):
            np.testing.assert_array_equal(np.asarray(getattr(ag, name)(a, axis)), getattr(np, name)(x, axis))


@pytest.mark.parametrize("dtype", ["i1", "i4", "f4", "f8"])
@pytest.mark.parametrize("length", [255, 257, 4000, 2 * 8192 + 1, 40_000])
def test_every_element_is_better_than_those_before(dtype: str, length: int) -> None:
    """Also where the best comes first, last, beside a part's boundary, or is NaN."""
    rising = np.arange(length).clip(0, 127 if dtype == "i1" else length).astype(dtype)
    for x in (rising, rising[::-1].copy(), -rising):
        for at in (0, 31, 32, length // 2, min(8191, length - 1), length - 1):
            changed = x.copy()
            changed[at] = np.nan if dtype in ("f4", "f8") else 127
            twice = changed.copy()
            twice[-(at // 2) :] = changed[at]
            for each in (x, changed, twice):
                a = ag.array(each)
                assert (a.argmax().item(), a.argmin().item()) == (each.argmax(), each.argmin())


def test_extremes_alone() -> None:
    for value, dtype in ((-np.inf, "f8"), (np.inf, "f8"), (np.nan, "f4"), (-128, "i1"), (255, "u1"), (0, "bool")):
        for shape in ((40_000,), (5,), (1000, 2)):
            a = ag.full(shape, value, dtype)
            assert (a.argmax().item(), a.argmin().item()) == (0, 0)
            assert not a.argmax(axis=0).any()


def test_views_and_fused_operands() -> None:
    x = np.random.default_rng(5).random((60, 70, 8))
    a = ag.array(x)
    views = (lambda v: v.T, lambda v: v[::-2, 3:], lambda v: v[:, :, 2], lambda v: v.transpose(1, 0, 2))
    for f in (*views, lambda v: -v[:, None, ::3] * v[:, None, ::-3]):
        for axis in (None, 0, -1):
            np.testing.assert_array_equal(np.asarray(f(a).argmax(axis=axis)), f(x).argmax(axis=axis))
    assert ag.explain((a * a - 1).argmax(axis=1)).count("kernel") == 1
    np.testing.assert_array_equal(np.asarray(a.argmax(axis=1) * 2 + 1), x.argmax(axis=1) * 2 + 1)


def test_out_and_errors() -> None:
    a = ag.array([[3.0, 1.0], [2.0, 5.0]])
    out = ag.zeros(2, np.int32)
    assert a.argmax(0, out) is out
    assert out.tolist() == [0, 1]
    assert ag.argmin(a, out=ag.zeros((1, 1), int), keepdims=True).tolist() == [[1]]
    assert ag.argmax(ag.array(3.0), axis=-1).tolist() == 0
    assert ag.argmax(ag.zeros((0, 3)), axis=1).shape == (0,)
    for call, error, text in (
        (lambda: ag.zeros((0, 3)).argmin(0), ValueError, "attempt to get argmin of an empty sequence"),
        (lambda: a.argmax(2), np.exceptions.AxisError, "axis 2 is out of bounds for array of dimension 2"),
        (lambda: a.argmax((0, 1)), TypeError, "'tuple' object cannot be interpreted as an integer"),
        (lambda: a.argmax(0, ag.zeros(3, int)), ValueError, "output array does not match result of np.argmax."),
        (lambda: a.argmax(0, ag.zeros(2)), TypeError, r"Cannot cast array data from dtype\('float64'\) to dtype\('int64'\) according"),
    ):
        with pytest.raises(error, match=text):
            call()


def test_equal_reductions_are_computed_once() -> None:
    """One load, one accumulator: also for arrays so long that they are reduced in parts."""
    from anygpu.ir.graph import Node
    from anygpu.passes.fusion import Reducing, part_form, reduce_form

    for n in (100, 100_000):
        ones = ag.ones(n)
        ag.synchronize()
        x = ones._node()
        twice = [Reducing("add", Node("map", (x, x), ("multiply", ("float64", "float64")), x.shape, x.dtype), "float64") for _ in range(2)]
        found = part_form(twice, (0,), lambda count, dtype: ag.zeros(count, dtype)._computed())
        assert (found is None) == (n == 100)
        if found is None:
            roots = [ag.zeros(())._node()] * 2
            form, _ = reduce_form(twice, (0,), roots, roots, [ag.zeros(())._computed()] * 2)
        else:
            form = found[0]
        assert (len(form.reductions), len(form.loads)) == (1, 1)
    a = ag.array(np.arange(1000.0))
    mean, var = a.mean(), a.var()
    assert (mean.item(), var.item()) == (499.5, np.arange(1000.0).var())


def test_numbers_beyond_int32_are_not_narrowed() -> None:
    x = np.arange(5, dtype=np.int32)
    wide = ag.array(x).astype(np.int64)
    assert (wide < 2**40).all()
    assert not (wide * 3 > 2**33).any()
    assert (ag.array(x.astype(np.uint32)) < np.uint32(3_000_000_000)).all()
    np.testing.assert_array_equal(np.asarray(wide.reshape(5, 1) - ag.array([1, 2]) > -(2**35)), True)
