"""Indexing by arrays: gathers and scatters against NumPy, keys of every kind, errors by its words."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import anygpu as ag

EVERY_DEVICE = True

SHAPES = ((5,), (0,), (3, 4), (4, 1), (2, 3, 4), (3, 0), (2, 3, 2, 2))


def lifted(key: object) -> object:
    """A key with anygpu arrays for NumPy's."""
    if isinstance(key, tuple):
        return tuple(map(lifted, key))
    return ag.array(key) if isinstance(key, np.ndarray) else key


@st.composite
def keys(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[object, ...]:
    """A key of which at least one part is an array, mostly in bounds."""
    random = np.random.default_rng(draw(st.integers(0, 1 << 30)))
    block = draw(st.sampled_from([(), (3,), (1,), (2, 3), (2, 1), (0,)]))
    parts: list[object] = []
    axis = 0
    while axis < len(shape) and (not parts or draw(st.integers(0, 3))):
        n = shape[axis]
        kind = draw(st.sampled_from(["array", "array", "mask", "masks", "int", "slice", "new"]))
        if kind == "array":
            high = n + (draw(st.integers(0, 30)) == 0)
            mine = tuple(m if draw(st.booleans()) else 1 for m in block)[draw(st.integers(0, len(block))) :]
            index = random.integers(-high, high, mine) if high else np.zeros((*mine, 0), int)
            parts.append(index.astype(draw(st.sampled_from(["i8", "i4", "u1" if index.size and index.min() >= 0 else "i2"]))))
        elif kind == "mask":
            parts.append(random.random(n) < 0.5)
        elif kind == "masks" and axis + 1 < len(shape):
            parts.append(random.random(shape[axis : axis + 2]) < 0.5)
            axis += 1
        elif kind == "int" and n:
            parts.append(draw(st.integers(-n, n - 1)))
        elif kind == "slice":
            parts.append(slice(*[draw(st.sampled_from([None, 0, 1, -1, 2])) for _ in range(2)], draw(st.sampled_from([None, 1, -1, 2]))))
        else:
            parts.append(None)
            axis -= 1
        axis += 1
    if draw(st.integers(0, 3)) == 0:
        parts.insert(draw(st.integers(0, len(parts))), Ellipsis)
    return tuple(parts)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_key(data: st.DataObject) -> None:
    shape = data.draw(st.sampled_from(SHAPES))
    key = data.draw(keys(shape))
    x = np.arange(np.prod(shape), dtype=data.draw(st.sampled_from(["f8", "i4", "c16"]))).reshape(shape)
    turned = data.draw(st.booleans())
    view = x.T[..., ::-1].T if turned else x
    a = ag.array(x)
    mine = a.T[..., ::-1].T if turned else a
    given_key = lifted(key) if data.draw(st.booleans()) else key
    try:
        want = view[key]
    except IndexError as error:
        with pytest.raises(IndexError, match=re.escape(str(error).strip())):
            mine[given_key]
        return
    np.testing.assert_array_equal(np.asarray(mine[given_key]), want)
    assert mine[given_key].dtype == want.dtype
    if not isinstance(want, np.ndarray):
        return
    row = np.arange(want.shape[-1] if want.ndim else 1)
    value = data.draw(st.sampled_from([np.asarray(7), np.arange(want.size).reshape(want.shape), row]))
    if value.size != 1 and any(isinstance(k, np.ndarray) for k in key) and want.size == 0:
        return
    before = mine + 0
    try:
        view[key] = value
    except ValueError as error:
        with pytest.raises(ValueError, match=re.escape(str(error).strip())):
            mine[given_key] = ag.array(value)
        return
    mine[given_key] = ag.array(value)
    np.testing.assert_array_equal(np.asarray(a), x)
    assert before.shape == view.shape


def test_computed_indices_fuse() -> None:
    x = np.random.default_rng(0).random(1000)
    a = ag.array(x)
    n = ag.array(np.arange(5000))
    ag.synchronize()
    found = a[(n * 7) % 1000] * 2 + a[ag.minimum(n, 999)]
    assert ag.explain(found).count("kernel") == 1
    m = np.arange(5000)
    np.testing.assert_array_equal(np.asarray(found), x[(m * 7) % 1000] * 2 + x[np.minimum(m, 999)])
    table = (a + 1)[::-1].reshape(10, 100)[:, n % 100]  # a gather of what is computed, through a view
    np.testing.assert_array_equal(np.asarray(table), (x + 1)[::-1].reshape(10, 100)[:, m % 100])
    np.testing.assert_allclose(np.asarray(ag.exp(a)[n % 1000].sum()), np.exp(x)[m % 1000].sum(), rtol=1e-12)
    nested = a[(n % 1000)][ag.array([4, -1])][::-1]
    np.testing.assert_array_equal(np.asarray(nested), x[m % 1000][[4, -1]][::-1])


def test_last_write_stays() -> None:
    random = np.random.default_rng(1)
    for count in (10, 3000, 100_000):
        x, index, value = np.zeros(777), random.integers(-777, 777, count), random.random(count)
        a = ag.array(x)
        a[ag.array(index)] = ag.array(value)
        x[index] = value
        np.testing.assert_array_equal(np.asarray(a), x)
        a[index] = 3
        x[index] = 3
        np.testing.assert_array_equal(np.asarray(a), x)


def test_assignment_reads_what_was_there() -> None:
    x = np.arange(10.0)
    a = ag.array(x)
    index = np.array([3, 1, 4, 1, 5])
    view, doubled = a[2:], a * 2
    a[index] = a[index[::-1]] + a[0]
    x[index] = x[index[::-1]] + x[0]
    a[index] += 100
    x[index] += 100
    a[a > 50] -= 1
    x[x > 50] -= 1
    np.testing.assert_array_equal(np.asarray(view), x[2:])
    np.testing.assert_array_equal(np.asarray(doubled), np.arange(10.0) * 2)


def test_masks(device: ag.Device) -> None:
    x = np.arange(12.0).reshape(3, 4)
    shared = x.copy()
    a = ag.asarray(shared)
    a[a > 5] = -1
    x[x > 5] = -1
    a[:, 1][ag.array([True, False, True])] = 9
    x[:, 1][[True, False, True]] = 9
    a[np.array([True, False, False])] = [[5, 6, 7, 8]]
    x[[True, False, False]] = [[5, 6, 7, 8]]
    ag.synchronize()
    if device.name == "cpu":
        np.testing.assert_array_equal(shared, x)  # written in place
    a[a < 0] = ag.arange(int((x < 0).sum()))
    x[x < 0] = np.arange((x < 0).sum())
    np.testing.assert_array_equal(np.asarray(a), x)
    np.testing.assert_array_equal(np.asarray(a[a > 5]), x[x > 5])
    for value, error, text in (
        (np.zeros(3), ValueError, "cannot assign 3 input values to the 12 output values where the mask is true"),
        (np.zeros((12, 1)), TypeError, "requires a 0 or 1-dimensional input, input has 2 dimensions"),
    ):
        with pytest.raises(error, match=f"NumPy boolean array indexing assignment {text}"):
            a[a < 100] = value


def test_take() -> None:
    x = np.arange(24).reshape(2, 3, 4)
    a = ag.array(x)
    for index in ([0, 1], 1, [[1, 0], [-1, 1]], np.array([], int)):
        for axis in (None, 0, 1, -1):
            np.testing.assert_array_equal(np.asarray(a.take(index, axis)), x.take(index, axis))
            for mode in ("wrap", "clip"):
                shifted = np.asarray(index) * 9 - 4
                np.testing.assert_array_equal(np.asarray(ag.take(a, ag.array(shifted), axis, mode=mode)), x.take(shifted, axis, mode=mode))
    order = np.argsort(-x, axis=1)
    for index in (order, order[:, :1], order[:1]):
        np.testing.assert_array_equal(np.asarray(ag.take_along_axis(a, ag.array(index), 1)), np.take_along_axis(x, index, 1))
    for array in (x, a):
        np.put_along_axis(array, order[:, :1], 99, 1)
        np.put_along_axis(array, np.array([[[0]]]), np.array([[[1, 2, 3]]]).reshape(1, 3, 1), 2)
    np.testing.assert_array_equal(np.asarray(a), x)
    out = ag.zeros((2, 4))
    assert a[0].take([0, 2], 0, out=out) is out
    assert out.tolist() == x[0].take([0, 2], 0).tolist()
    for call, error, text in (
        (lambda: a.take([9], 0), IndexError, "index 9 is out of bounds for axis 0 with size 2"),
        (lambda: ag.zeros((0, 3)).take([0], 0), IndexError, "cannot do a non-empty take from an empty axes."),
        (lambda: a.take([1], 0, mode="foo"), ValueError, r"clipmode must be one of 'clip', 'raise', or 'wrap' \(got 'foo'\)"),
        (lambda: a.take([1], 0, out=ag.zeros((2, 5))), ValueError, "output array does not match result of ndarray.take"),
        (lambda: a.take([1], 3), np.exceptions.AxisError, "axis 3 is out of bounds for array of dimension 3"),
        (lambda: ag.take_along_axis(a, ag.array([1]), 0), ValueError, "`indices` and `arr` must have the same number of dimensions"),
        (lambda: ag.take_along_axis(a, ag.array([[[8]]]), 0), IndexError, "index 8 is out of bounds for axis 0 with size 2"),
        (lambda: ag.take_along_axis(a, ag.array([[[0.5]]]), 0), IndexError, "`indices` must be an integer array"),
    ):
        with pytest.raises(error, match=text):
            call()


def test_ufunc_at() -> None:
    random = np.random.default_rng(2)
    for dtype in ("f4", "f8", "i4", "u1", "bool"):
        for ufunc in (np.add, np.multiply, np.maximum, np.subtract, np.logical_or):
            x, index = (random.random(50) * 9).astype(dtype), random.integers(-50, 50, 3000)
            value = (random.random(3000) + 0.5).astype(dtype)
            a = ag.array(x)
            try:
                with np.errstate(all="ignore"):
                    ufunc.at(x, index, value)
            except TypeError:
                with pytest.raises(TypeError):
                    ufunc.at(a, ag.array(index), ag.array(value))
                continue
            ufunc.at(a, ag.array(index), ag.array(value))
            np.testing.assert_array_equal(np.asarray(a), x)
    x = np.zeros((3, 4))
    a = ag.array(x)
    for array in (x, a):
        np.add.at(array, ([0, 0, 2], slice(None)), 1.5)
    assert a.tolist() == x.tolist()


def test_at_comes_after_what_was_recorded() -> None:
    a = ag.arange(4) * 1.0
    before = a + 1
    ag.add.at(a, [1, 1], 5)
    after = a + 1
    ag.power.at(a, [2], np.float32(2))
    np.logaddexp.at(a, ag.array([0]), 0.0)
    assert (before.tolist(), after.tolist()) == ([1, 2, 3, 4], [1, 12, 3, 4])
    np.testing.assert_allclose(np.asarray(a), [np.log(2), 11, 4, 3])


def test_bounds_are_checked_at_the_line() -> None:
    a = ag.arange(10) * 1.0
    index = ag.arange(20) - 5
    with pytest.raises(IndexError, match="index 10 is out of bounds for axis 0 with size 10"):
        a[index]
    with pytest.raises(IndexError, match="index 14 is out of bounds for axis 1 with size 10"):
        ag.zeros((2, 10))[:, index[::-1]]
    with pytest.raises(IndexError, match="index -30 is out of bounds for axis 0 with size 10"):
        a[[1, -30]] = 2
    many = ag.array(np.full(100_000, 3))
    many[70_000] = 10
    with pytest.raises(IndexError, match="index 10 is out of bounds for axis 0 with size 10"):
        a[many]
    assert a.tolist() == list(range(10))


def test_memory_that_changes_after_the_check_cannot_be_left(device: ag.Device) -> None:
    """Indices in NumPy's memory may change between the check and the kernel: they are kept in bounds."""
    if device.name != "cpu":
        pytest.skip("arrays elsewhere do not share memory with NumPy")
    x, index = np.arange(10.0), np.zeros(100_000, int)
    found = ag.asarray(x)[ag.asarray(index)]
    index[:] = 1 << 40
    index[1] = -(1 << 40)
    assert (found[0].item(), found[1].item()) == (9.0, 0.0)


def test_extremes() -> None:
    from anygpu.passes.extremes import extremes

    n = ag.array(np.arange(100, dtype=np.uint8))
    for make, ends in (
        (lambda v: v % 10, (0, 9)),
        (lambda v: (v.astype(int) * 3 - 1) // 2, (-1, 382)),
        (lambda v: ag.maximum(ag.minimum(v.astype(int), 7), -3), (0, 7)),
        (lambda v: ag.where(v > 3, 5, -2), (-2, 5)),
        (lambda v: v.astype(int) & 31, (0, 31)),
        (lambda v: v + v, (0, 255)),
        (lambda v: -(v.astype(int) >> 2), (-63, 0)),
        (lambda v: v.reshape(10, 10).argmax(1), (0, 9)),
    ):
        found = extremes(make(n)._node())
        assert found == ends
        values = np.asarray(make(n)).astype(int)
        assert found[0] <= values.min() <= values.max() <= found[1]
