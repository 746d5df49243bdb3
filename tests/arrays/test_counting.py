"""Counts, bins and places in sorted arrays are NumPy's: counts and edges to the bit, sums of weights too, on every device."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import anygpu as ag
from anygpu.arrays import advanced, counting

EVERY_DEVICE = True
INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")
FLOATS = ("float16", "float32", "float64")
RELAXED = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def kernels_for_few_elements(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """NumPy gets nothing because it is short; and nothing is copied to the host."""
    monkeypatch.setattr(advanced, "SHORT", 0)
    monkeypatch.setattr(counting, "SHORT", 0)
    monkeypatch.setattr(counting, "FEW", 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ag.CopyWarning)
        yield


def numbers(dtype: str, count: int = 5000, seed: int = 0) -> np.ndarray:
    """Random numbers, those of floats with zeros of both signs, infinities and NaN."""
    random = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    if kind.kind == "b":
        return random.random(count) < 0.3
    if kind.kind in "iu":
        info = np.iinfo(dtype)
        wide = random.integers(info.min, info.max, count, dtype, endpoint=True)
        return np.where(random.random(count) < 0.5, wide, random.integers(0, 50, count).astype(dtype))
    found = (random.normal(size=count) * 8).astype(dtype)
    found[::9] = np.round(found[::9])
    found[::17], found[1::31], found[2::41] = -0.0, np.inf, np.nan
    return found


def same(found: object, wanted: object) -> None:
    """Results of one dtype, shape and value, sums included."""
    mine, theirs = (v if isinstance(v, tuple) else (v,) for v in (found, wanted))
    assert len(mine) == len(theirs)
    for a, b in zip(mine, theirs, strict=True):
        assert isinstance(a, ag.ndarray)
        assert (a.dtype, a.shape) == (np.asarray(b).dtype, np.shape(b))
        np.testing.assert_array_equal(np.asarray(a), b)


# ------------------------------------------------------------------------------------------------------------------------- histogram


@pytest.mark.parametrize("dtype", [*INTEGERS, *FLOATS])
def test_bins_of_equal_width(dtype: str) -> None:
    x = numbers(dtype)
    finite = x[np.isfinite(x)]
    a = ag.asarray(finite)
    with np.errstate(over="ignore"):
        for kwargs in ({}, {"bins": 257}, {"bins": 3, "range": (0, 40)}, {"bins": 9, "range": (0.1, 17.3)}, {"bins": 4, "range": (3, 3)}):
            same(ag.histogram(a, **kwargs), np.histogram(finite, **kwargs))
        same(np.histogram(ag.asarray(x), 7, (-4, 4.5)), np.histogram(x, 7, (-4, 4.5)))  # what is not finite is in no bin
    same(ag.histogram(a.reshape(-1, 1)[::3], 5), np.histogram(finite[::3], 5))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64"])
def test_elements_on_edges_and_next_to_them(dtype: str) -> None:
    for count, ends in ((10, (0.0, 1.0)), (49, (-0.7, 2.1)), (7, (0, 3)), (300, (0.1, 0.9))):
        edges = np.histogram_bin_edges(np.zeros(0, dtype), count, ends)
        near = [edges, np.nextafter(edges, np.inf), np.nextafter(edges, -np.inf)] if edges.dtype.kind == "f" else [edges]
        x = np.concatenate(near).astype(dtype)
        same(ag.histogram(ag.asarray(x), count, ends), np.histogram(x, count, ends))


@pytest.mark.parametrize("dtype", ["int8", "uint64", "float16", "float32", "float64"])
def test_bins_between_edges(dtype: str) -> None:
    x = numbers(dtype)
    signed = np.array([-1, -0.0, 0, 5], np.float32)
    for edges in ([0, 1, 2, 10], [0.0, 0.5, 0.5, 3.25, 20], signed, [1, 1], [-np.inf, 0, np.inf], [2, 3, 3]):
        same(ag.histogram(ag.asarray(x), edges), np.histogram(x, edges))
    edges = np.sort(np.random.default_rng(1).normal(size=6000))  # more than a block counts by itself
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ag.CopyWarning)
        same(ag.histogram(ag.asarray(x), ag.asarray(edges)), np.histogram(x, edges))


def test_densities() -> None:
    x = numbers("float32")
    found, edges = ag.histogram(ag.asarray(x), 20, (-5, 5), density=True)
    wanted, theirs = np.histogram(x, 20, (-5, 5), density=True)
    same((found, edges), (wanted, theirs))
    same(ag.histogram(ag.asarray(x), [0, 1, 4.5], density=True), np.histogram(x, [0, 1, 4.5], density=True))


@pytest.mark.parametrize("dtype", ["int16", "uint8", "int64", "float16", "float32", "float64", "complex64", "complex128"])
def test_weights_are_added_in_numpys_order(dtype: str) -> None:
    random = np.random.default_rng(3)
    x = random.normal(size=150_000).astype(np.float32)  # several of NumPy's blocks
    size = 100 if np.dtype(dtype).itemsize > 2 else 0.03  # sums of narrow dtypes must fit
    weights = (random.random(x.size) < 0.01) if dtype == "uint8" else random.random(x.size) * size - size / 5
    weights = weights.astype(dtype)
    if weights.dtype.kind == "c":
        weights = weights + 1j * random.random(x.size).astype(weights.real.dtype)
    found, edges = ag.histogram(ag.asarray(x), 30, (-2, 2.5), weights=ag.asarray(weights))
    same((found, edges), np.histogram(x, 30, (-2, 2.5), weights=weights))


def test_nothing_and_bools() -> None:
    for dtype in ("float32", "int64"):
        same(ag.histogram(ag.zeros(0, dtype)), np.histogram(np.zeros(0, dtype)))
        same(ag.histogram(ag.zeros(0, dtype), [0, 1, 2]), np.histogram(np.zeros(0, dtype), [0, 1, 2]))
    same(ag.histogram(ag.asarray(np.float32(3)), 4), np.histogram(np.float32(3), 4))
    warnings.simplefilter("ignore")
    same(ag.histogram(ag.asarray([True, False, True])), np.histogram([True, False, True]))


def test_what_numpy_finds_the_bins_of(device: ag.Device) -> None:
    x = np.random.default_rng(0).normal(size=1000)
    if device.name != "cpu":
        with pytest.raises(ag.CopyWarning, match=r"np\.histogram computes on the host"):
            ag.histogram(ag.asarray(x), "auto")
    warnings.simplefilter("ignore", ag.CopyWarning)
    same(ag.histogram(ag.asarray(x), "auto"), np.histogram(x, "auto"))
    weights = np.arange(1000)
    same(ag.histogram(ag.asarray(x), [-1, 0, 2], weights=weights), np.histogram(x, [-1, 0, 2], weights=weights))


@RELAXED
@given(
    st.sampled_from(["float32", "float64", "int32", "uint8"]), st.lists(st.floats(-1e6, 1e6, width=32), max_size=60),
    st.integers(1, 40), st.none() | st.tuples(st.floats(-1e3, 1e3, width=32), st.floats(0, 1e3, width=32)),
)  # fmt: skip
def test_any_histogram(dtype: str, values: list[float], bins: int, span: tuple[float, float] | None) -> None:
    with np.errstate(all="ignore"):
        x = np.array(values).astype(dtype)
    ends = None if span is None else (span[0], span[0] + span[1])
    try:
        wanted = np.histogram(x, bins, ends)
    except ValueError as error:
        with pytest.raises(ValueError) as ours:
            ag.histogram(ag.asarray(x), bins, ends)
        assert str(ours.value) == str(error)
        return
    same(ag.histogram(ag.asarray(x), bins, ends), wanted)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "call",
    [
        lambda xp, x: xp.histogram(x, 0), lambda xp, x: xp.histogram(x, 3, (2, 1)), lambda xp, x: xp.histogram(x, 3, (0, np.inf)),
        lambda xp, x: xp.histogram(x, [1, 0]), lambda xp, x: xp.histogram(x, [[1, 2]]), lambda xp, x: xp.histogram(x, 2.5),
        lambda xp, x: xp.histogram(x * np.nan), lambda xp, x: xp.histogram(x, 10, (1, 1 + 2e-16)), lambda xp, x: xp.histogram(x, "no"),
        lambda xp, x: xp.histogram(x, weights=[1, 2]),
        lambda xp, x: xp.bincount(x), lambda xp, x: xp.bincount(x.astype(int) - 9), lambda xp, x: xp.bincount(x.astype(int).reshape(1, -1)),
        lambda xp, x: xp.bincount(x.astype(int), minlength=-1), lambda xp, x: xp.bincount(x.astype(int), [1, 2]),
        lambda xp, x: xp.digitize(x, [1, 3, 2]), lambda xp, x: xp.digitize(x * 1j, [1, 2]), lambda xp, x: xp.digitize(x, [[1, 2]]),
        lambda xp, x: xp.searchsorted(x, 1, "middle"), lambda xp, x: xp.searchsorted(x.reshape(1, -1), 1),
        lambda xp, x: xp.searchsorted(x, 1, sorter=[0]), lambda xp, x: xp.searchsorted(x, 1, sorter=[7] * x.size),
        lambda xp, x: xp.searchsorted(x, 1, sorter=x),
    ],
)  # fmt: skip
def test_errors_are_numpys(call: Callable[..., object]) -> None:
    warnings.simplefilter("ignore")
    x = np.arange(7.0)
    with pytest.raises((ValueError, TypeError)) as theirs:
        call(np, x)
    with pytest.raises(type(theirs.value)) as ours:
        call(ag, ag.asarray(x))
    assert str(ours.value) == str(theirs.value)


# -------------------------------------------------------------------------------------------------------------------------- bincount


@pytest.mark.parametrize("dtype", ["bool", *INTEGERS])
def test_integers_are_counted(dtype: str) -> None:
    x = np.random.default_rng(5).integers(0, 2 if dtype == "bool" else 100, 3000).astype(dtype)
    weights = np.random.default_rng(6).normal(size=x.size) * 10.0 ** np.arange(-12, 12)[np.arange(x.size) % 24]
    a = ag.asarray(x)
    same(ag.bincount(a), np.bincount(x))
    same(np.bincount(a, minlength=300), np.bincount(x, minlength=300))
    same(ag.bincount(a, ag.asarray(weights)), np.bincount(x, weights))
    same(ag.bincount(a, weights.astype(np.float32), 120), np.bincount(x, weights.astype(np.float32), 120))
    same(ag.bincount(a, x, 120), np.bincount(x, x, 120))


def test_more_bins_than_a_block_counts() -> None:
    x = np.random.default_rng(7).integers(0, 50_000, 20_000)
    weights = np.random.default_rng(8).random(x.size)
    same(ag.bincount(ag.asarray(x)), np.bincount(x))
    same(ag.bincount(ag.asarray(x), weights), np.bincount(x, weights))
    same(ag.bincount(ag.asarray(x[:1]), weights[:1]), np.bincount(x[:1], weights[:1]))


def test_negative_zeros_and_what_is_not_finite_are_added() -> None:
    x = [0, 1, 1, 2, 2, 3]
    weights = [-0.0, np.inf, -np.inf, np.nan, 1, -0.0]
    found = np.asarray(ag.bincount(ag.asarray(x), ag.asarray(weights)))
    assert found.tobytes() == np.bincount(x, weights).tobytes()


def test_nothing_is_counted(device: ag.Device) -> None:
    warnings.simplefilter("ignore", ag.CopyWarning)
    same(ag.bincount(ag.zeros(0, int)), np.bincount(np.zeros(0, int)))
    same(ag.bincount(ag.zeros(0, int), minlength=3), np.bincount(np.zeros(0, int), minlength=3))


# --------------------------------------------------------------------------------------------------------- searchsorted and digitize


@pytest.mark.parametrize("dtype", ["bool", *INTEGERS, *FLOATS])
def test_places_in_sorted_arrays(dtype: str) -> None:
    values = numbers(dtype, 400, 2)
    a = ag.asarray(values)
    for length in (0, 1, 2, 3, 64, 101):
        table = np.sort(numbers(dtype, length, 3))
        for side in ("left", "right"):
            same(ag.searchsorted(ag.asarray(table), a, side), np.searchsorted(table, values, side))
    order = np.argsort(values, kind="stable")
    same(a.searchsorted(a, sorter=ag.asarray(order)), values.searchsorted(values, sorter=order))


def test_values_of_other_dtypes_and_shapes() -> None:
    table = np.sort(numbers("float32", 99, 1))
    a = ag.asarray(table)
    for value in (0.1, 3, np.float16(2), [[1, 2], [3, 4]], np.zeros((0, 3)), np.uint64(2), [0.1, np.nan], True):
        same(ag.searchsorted(a, value), np.searchsorted(table, value))
    whole = np.arange(0, 100, 7, dtype=np.uint8)
    for value in (-1, 300, 3.5, np.array([-(2**60), 2**60, 8])):
        same(ag.searchsorted(ag.asarray(whole), value, "right"), np.searchsorted(whole, value, "right"))
    same(ag.searchsorted(a[::-2][::-1], a[3:9]), np.searchsorted(table[::-2][::-1], table[3:9]))


@pytest.mark.parametrize("right", [False, True])
def test_digits(right: bool) -> None:
    x = numbers("float32", 300).reshape(3, 100)
    for bins in ([0, 1, 2.5, 10], [10, 2.5, 1, 1, -3], [4, 4, 4], [2], [], [-np.inf, 0, np.inf], [1, 2, np.nan]):
        same(ag.digitize(ag.asarray(x), bins, right), np.digitize(x, bins, right))
    whole = numbers("int16", 300)
    bins = np.array([-5, 0, 17, 20_000], np.int16)
    same(np.digitize(ag.asarray(whole), ag.asarray(bins[::-1]), right), np.digitize(whole, bins[::-1], right))


@RELAXED
@given(
    st.lists(st.floats(width=32), max_size=40), st.lists(st.floats(width=32), max_size=40), st.sampled_from(["left", "right"]),
    st.sampled_from(["float32", "float64"]),
)  # fmt: skip
def test_any_search(table: list[float], values: list[float], side: str, dtype: str) -> None:
    ordered, v = np.sort(np.array(table, dtype)), np.array(values, np.float32)
    same(ag.searchsorted(ag.asarray(ordered), ag.asarray(v), side), np.searchsorted(ordered, v, side))


def test_sums_of_narrow_weights_wrap_around(device: ag.Device) -> None:
    x, weights = np.random.default_rng(6).random(1000), np.full(1000, 100, np.uint8)
    got, _ = ag.histogram(ag.asarray(x, device=device), bins=3, weights=ag.asarray(weights, device=device))
    want, _ = np.histogram(x, bins=3, weights=weights)
    assert got.dtype == want.dtype
    assert np.array_equal(np.asarray(got), want)
