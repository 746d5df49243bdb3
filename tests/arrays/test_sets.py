"""What differs in arrays, and arrays as sets: as NumPy's, of integers by tables and of everything else by sorting, on every device."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import anygpu as ag
from anygpu.arrays import advanced
from tests.arrays.test_counting import same

EVERY_DEVICE = True
RELAXED = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
RANDOM = np.random.default_rng(11)
_FLOATS = RANDOM.integers(-40, 40, 2000) / 8
_FLOATS[::7], _FLOATS[5], _FLOATS[6], _FLOATS[8] = np.nan, np.inf, -np.inf, -0.0
ARRAYS: dict[str, np.ndarray] = {
    **{name: _FLOATS.astype(name) for name in ("float16", "float32", "float64")},
    **{name: RANDOM.integers(0, 100, 2000).astype(name) for name in ("int8", "uint8", "int16", "uint32", "int64")},
    "negative": RANDOM.integers(-128, 128, 2000).astype(np.int8),
    "great": RANDOM.integers(0, 100, 2000).astype(np.uint64) + np.uint64(2**64 - 101),
    "wide": RANDOM.integers(-(2**63), 2**63 - 1, 300)[RANDOM.integers(0, 300, 2000)],
    "wide unsigned": RANDOM.integers(0, 2**64 - 1, 300, np.uint64)[RANDOM.integers(0, 300, 2000)],
    "bool": RANDOM.random(2000) < 0.5,
    "matrix": RANDOM.integers(0, 300, (40, 50)),
    "one": np.array([3.5]),
    "number": np.array(7),
}


@pytest.fixture(autouse=True)
def kernels_for_few_elements(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """NumPy gets nothing because it is short; and nothing is copied to the host."""
    monkeypatch.setattr(advanced, "SHORT", 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ag.CopyWarning)
        yield


@pytest.mark.parametrize("name", ARRAYS)
@pytest.mark.parametrize("equal_nan", [True, False])
def test_unique(name: str, equal_nan: bool) -> None:
    x = ARRAYS[name]
    a = ag.asarray(x)
    for n in range(8):
        asked = {"return_index": bool(n & 1), "return_inverse": bool(n & 2), "return_counts": bool(n & 4)}
        if not equal_nan and asked["return_inverse"]:
            asked["return_index"] = True  # else NumPy's sort is not stable, and which NaN is which is chance
        same(ag.unique(a, equal_nan=equal_nan, **asked), np.unique(x, equal_nan=equal_nan, **asked))


@pytest.mark.parametrize("name", ["float32", "int64", "wide", "bool", "matrix"])
def test_unique_of_the_standard(name: str) -> None:
    x = ARRAYS[name]
    for function in ("unique_all", "unique_counts", "unique_inverse"):
        if name == "float32" and function == "unique_inverse":
            x = x[~np.isnan(x)]
        found, wanted = getattr(ag, function)(ag.asarray(x)), getattr(np, function)(x)
        assert type(found) is type(wanted)
        same(tuple(found), tuple(wanted))
    same(np.unique_values(ag.asarray(x)), np.unique(x, equal_nan=False))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_unique_rows(axis: int, device: ag.Device) -> None:
    if device.name == "cpu":
        warnings.simplefilter("ignore")
    x = RANDOM.integers(0, 2, (60, 5, 2))
    same(ag.unique(ag.asarray(x), True, True, True, axis), np.unique(x, True, True, True, axis))
    zeros = np.array([[0.0, np.nan], [-0.0, np.nan], [1, 2], [1, 2], [np.nan, 1], [-np.inf, 3]])
    same(ag.unique(ag.asarray(zeros), True, False, True, axis), np.unique(zeros, True, False, True, axis))


def test_nothing_is_unique() -> None:
    warnings.simplefilter("ignore", ag.CopyWarning)
    for shape in ((0,), (0, 3)):
        x = np.zeros(shape, np.float32)
        same(ag.unique(ag.asarray(x), True, True, True), np.unique(x, True, True, True))
        same(ag.isin(ag.asarray(x), [1.0]), np.isin(x, [1.0]))
        same(ag.isin([1.0, 2.0], ag.asarray(x)), np.isin([1.0, 2.0], x))
        same(ag.union1d(ag.asarray(x), ag.asarray(x)), np.union1d(x, x))
        same(ag.setxor1d(ag.asarray(x), ag.asarray(x)), np.setxor1d(x, x))


OTHERS = ("float32", "float64", "int8", "int64", "negative", "wide", "bool", "great")


@pytest.mark.parametrize("name", OTHERS)
def test_sets(name: str) -> None:
    x = ARRAYS[name]
    y = np.concatenate([x[:30], x[:30] + np.ones((), x.dtype)])
    a, b = ag.asarray(x), ag.asarray(y)
    for function in (np.isin, np.union1d, np.setdiff1d, np.setxor1d, np.intersect1d):
        same(getattr(ag, function.__name__)(a, b), function(x, y))
        same(function(b, a), function(y, x))
    same(ag.isin(a, b, invert=True), np.isin(x, y, invert=True))
    same(ag.isin(a.reshape(2, -1), y[:1], kind="sort"), np.isin(x.reshape(2, -1), y[:1]))
    same(ag.intersect1d(a, b, return_indices=True), np.intersect1d(x, y, return_indices=True))
    one, other = np.unique(x, equal_nan=False)[::-1].copy(), np.unique(y, equal_nan=False)
    if x.dtype.kind != "f":  # with NaN nothing is unique
        for function in (np.setdiff1d, np.setxor1d, np.intersect1d):
            same(getattr(ag, function.__name__)(ag.asarray(one), ag.asarray(other), True), function(one, other, True))
        wanted = np.intersect1d(one, other, True, True)
        same(ag.intersect1d(ag.asarray(one), ag.asarray(other), True, return_indices=True), wanted)


def test_sets_of_several_dtypes(device: ag.Device) -> None:
    x, y = ARRAYS["int8"], ARRAYS["float32"]
    for function in (np.isin, np.union1d, np.setdiff1d, np.setxor1d, np.intersect1d):
        same(getattr(ag, function.__name__)(ag.asarray(x), ag.asarray(y)), function(x, y))
    same(ag.isin(ag.asarray(x), np.array([-(2**40), 5, 2**40])), np.isin(x, [-(2**40), 5, 2**40]))
    same(ag.isin(ag.asarray(y), True), np.isin(y, True))
    warnings.simplefilter("ignore", ag.CopyWarning)  # NumPy decides whether these are rounded
    mixed = np.array([2**63, 5], np.uint64)
    same(ag.isin(ag.asarray(np.array([5, -1])), mixed), np.isin([5, -1], mixed))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "call",
    [
        lambda xp, x: xp.isin(x, x, kind="hash"), lambda xp, x: xp.isin(x, x, kind="table"), lambda xp, x: xp.unique(x, axis=3),
        lambda xp, x: xp.unique(x.reshape(1, -1), axis=2),
    ],
)  # fmt: skip
def test_errors_are_numpys(call: Callable[..., object]) -> None:
    warnings.simplefilter("ignore")
    x = np.arange(7.0)
    with pytest.raises((ValueError, IndexError)) as theirs:
        call(np, x)
    with pytest.raises(type(theirs.value)) as ours:
        call(ag, ag.asarray(x))
    assert str(ours.value) == str(theirs.value)


def test_what_is_recorded_is_not_changed() -> None:
    x = ag.asarray(np.array([3, 1, 2, 1]))
    before = ag.asarray(np.array([4, 4, 4, 4]))
    before[1:] = x[:3] + 1
    values, counts = ag.unique(before, return_counts=True)
    before[...] = 0
    assert (values.tolist(), counts.tolist(), x.tolist()) == ([2, 3, 4], [1, 1, 2], [3, 1, 2, 1])


@RELAXED
@given(st.lists(st.integers(-20, 20) | st.integers(-(2**63), 2**63 - 1), max_size=30), st.lists(st.integers(-20, 20), max_size=30))
def test_any_integers(one: list[int], other: list[int]) -> None:
    warnings.simplefilter("ignore", ag.CopyWarning)  # NumPy's answers for nothing
    x, y = np.array(one, np.int64), np.array(other, np.int64)
    same(ag.unique(ag.asarray(x), True, True, True), np.unique(x, True, True, True))
    same(ag.isin(ag.asarray(x), ag.asarray(y)), np.isin(x, y))
    same(ag.setxor1d(ag.asarray(x), ag.asarray(y)), np.setxor1d(x, y))


@RELAXED
@given(st.lists(st.floats(width=32) | st.sampled_from([0.0, -0.0, 1.0, np.nan]), max_size=30), st.booleans())
def test_any_floats(values: list[float], equal_nan: bool) -> None:
    warnings.simplefilter("ignore", ag.CopyWarning)
    x = np.array(values, np.float32)
    asked = (True, True, True)
    same(ag.unique(ag.asarray(x), *asked, equal_nan=equal_nan), np.unique(x, *asked, equal_nan=equal_nan))
    same(ag.isin(ag.asarray(x), ag.asarray(x[::2])), np.isin(x, x[::2]))
