"""Masks: the elements where they hold, and where that is, for arrays short and long."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anygpu as ag

EVERY_DEVICE = True


@settings(deadline=None, max_examples=60)
@given(
    st.integers(0, 1 << 30), st.sampled_from([(0,), (1,), (5,), (2047,), (20_000,), (70_001,), (3, 4), (150, 200), (30, 40, 50), (30, 0)]),
    st.sampled_from([0.0, 1e-4, 0.3, 1.0]), st.sampled_from(["f4", "f8", "i2", "c16", "bool"]),
)  # fmt: skip
def test_elements_and_places(seed: int, shape: tuple[int, ...], share: float, dtype: str) -> None:
    random = np.random.default_rng(seed)
    x, mask = (random.random(shape) * 100).astype(dtype), random.random(shape) < share
    a, m = ag.array(x), ag.array(mask)
    for view in (lambda v: v, lambda v: v.T, lambda v: v[::-1], lambda v: v[..., ::2]):
        got = view(a)[view(m)]
        assert got.dtype == x.dtype
        np.testing.assert_array_equal(np.asarray(got), view(x)[view(mask)])
        found = view(m).nonzero()
        assert len(found) == len(shape)
        for mine, its in zip(found, view(mask).nonzero(), strict=True):
            assert mine.dtype == np.int64
            np.testing.assert_array_equal(np.asarray(mine), its)
    np.testing.assert_array_equal(np.asarray(a[mask]), x[mask])
    if dtype != "c16":
        np.testing.assert_array_equal(np.asarray((a * 2)[a > 50]), (x * 2)[x > 50])


def test_counting() -> None:
    x = np.random.default_rng(1).integers(0, 3, (30, 1000))
    a = ag.array(x)
    for axis in (None, 0, 1, (0, 1)):
        for keepdims in (False, True):
            got = ag.count_nonzero(a, axis, keepdims=keepdims)
            np.testing.assert_array_equal(np.asarray(got), np.count_nonzero(x, axis, keepdims=keepdims))
    np.testing.assert_array_equal(np.asarray(ag.flatnonzero(a)), np.flatnonzero(x))
    np.testing.assert_array_equal(np.asarray(ag.where(a == 2)[1]), np.where(x == 2)[1])
    for condition in ([True, False, True], np.arange(30) % 3 == 0, np.ones(30, int)):
        np.testing.assert_array_equal(np.asarray(ag.compress(condition, a, axis=0)), np.compress(condition, x, axis=0))
    np.testing.assert_array_equal(np.asarray(np.compress([0, 1, 1], a)), np.compress([0, 1, 1], x))
    with pytest.raises(ValueError, match="Calling nonzero on 0d arrays is not allowed"):
        ag.array(3).nonzero()
    with pytest.raises(IndexError, match="index 31 is out of bounds for axis 0 with size 30"):
        ag.compress(np.arange(32) == 31, a, axis=0)


def test_masks_see_what_was_assigned() -> None:
    x = np.arange(100_000.0)
    a = ag.array(x)
    before = a + 1
    a[::2] = -1
    x[::2] = -1
    found = a[a > 0]
    a[:] = 0
    np.testing.assert_array_equal(np.asarray(found), x[x > 0])
    np.testing.assert_array_equal(np.asarray(before), np.arange(100_000.0) + 1)
    np.testing.assert_array_equal(np.asarray((a.sum() + found.cumsum())[found.cumsum() % 2 == 0]), (w := x[x > 0].cumsum())[w % 2 == 0])
