"""Assignments to indices that may occur twice, and `ufunc.at`: the last value stays, and all are combined in order, whoever does it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import anygpu as ag
from anygpu.arrays import advanced
from anygpu.arrays.composed import ON_DEVICES
from anygpu.engine import evaluate

EVERY_DEVICE = True
RELAXED = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
DTYPES = ("bool", "int8", "uint16", "int32", "uint64", "float16", "float32", "float64", "complex64", "complex128")


@pytest.fixture(autouse=True, params=["one", "all"])
def workers(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Scatters are done by one work-item, or by all in several kernels."""
    for module in (evaluate, advanced):
        monkeypatch.setattr(module, "one_by_one", lambda device, count: request.param == "one")
    with warnings.catch_warnings():
        warnings.simplefilter("error", ag.CopyWarning)
        yield


def some(dtype: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    found = random.normal(size=shape) * 50
    return found > 0 if dtype == "bool" else np.abs(found).astype(dtype) if dtype[0] == "u" else found.astype(dtype)


def keys(random: np.random.Generator) -> list[tuple[tuple[int, ...], tuple[object, ...]]]:
    """Shapes, and keys of which several choose an element more than once."""
    return [
        ((77,), (random.integers(-77, 77, 900),)), ((300,), (random.integers(0, 3, (10, 40)),)),
        ((6, 5, 4), (random.integers(-6, 6, 200), slice(None), random.integers(0, 4, 200))),
        ((6, 5, 4), (slice(None, None, -1), random.integers(0, 5, (30, 1)), random.integers(0, 4, 7))),
        ((50, 3), (slice(10, 40, 3), random.integers(0, 3, 11))), ((9, 9), (random.random((9, 9)) < 0.4,)),
        ((9, 9, 2), (random.random((9, 9)) < 0.4, slice(None))), ((9, 5), (random.random(9) < 0.5, random.integers(0, 5, (20, 1)))),
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_last_value_stays(dtype: str) -> None:
    random = np.random.default_rng(1)
    for shape, key in keys(random):
        x = some(dtype, shape, 2)
        value = some(dtype, x[key].shape, 3)
        a = ag.array(x)
        before, view = a.copy(), a[::-1]
        a[key] = ag.array(value)
        np.testing.assert_array_equal(np.asarray(before), x)
        x[key] = value
        np.testing.assert_array_equal(np.asarray(a), x)
        view[key] = value[..., :1] if value.shape[-1:] == (2,) else value
        x[::-1][key] = value[..., :1] if value.shape[-1:] == (2,) else value
        np.testing.assert_array_equal(np.asarray(a), x)


@pytest.mark.parametrize("dtype", [name for name in DTYPES if name[0] != "c"])
def test_all_values_are_combined(dtype: str) -> None:
    random = np.random.default_rng(1)
    functions = (np.add, np.subtract, np.multiply, np.maximum, np.minimum, np.bitwise_xor, np.bitwise_and, np.bitwise_or, np.logical_xor)
    for shape, key in keys(random)[1:4:2]:
        for function in functions:
            x = some(dtype, shape, 2)
            value = some(dtype, x[key].shape, 3)
            a = ag.array(x)
            with np.errstate(all="ignore"), warnings.catch_warnings():
                warnings.simplefilter("ignore", ag.CopyWarning)  # where NumPy's loop is of another dtype than the array
                try:
                    function.at(x, key, value)
                except TypeError:  # NumPy has no such loop
                    continue
                function.at(a, key, ag.array(value))
            assert np.asarray(a).tobytes() == x.tobytes(), function


def test_floats_are_combined_in_order() -> None:
    random = np.random.default_rng(4)
    index = np.minimum(random.geometric(0.01, 20_000), 500)  # runs of one element and of many
    value = random.normal(size=index.size) * 10.0 ** random.integers(-10, 10, index.size)
    value[::1000], value[1::1000], value[2::1000] = np.nan, np.inf, -0.0
    for function in (np.add, np.maximum, np.fmin):
        x = np.full(501, -0.0)
        a = ag.array(x)
        function.at(a, ag.array(index), ag.array(value))
        with np.errstate(invalid="ignore"):
            function.at(x, index, value)
        assert np.array_equal(np.asarray(a), x, equal_nan=True)
        assert np.array_equal(np.signbit(np.asarray(a)), np.signbit(x)) or function is not np.add


def test_what_was_recorded_keeps_its_value() -> None:
    x = np.arange(100.0)
    a = ag.array(x)
    index = np.array([3, 1, 4, 1, 5] * 50)
    before, part = a * 2, a[1:5] + 0
    np.add.at(a, ag.array(index), 0.1)
    after = a * 2
    np.add.at(a[::-1], index, a[index])
    wanted = x.copy()
    np.add.at(wanted, index, 0.1)
    np.testing.assert_array_equal(np.asarray(before), x * 2)
    np.testing.assert_array_equal(np.asarray(part), x[1:5])
    np.testing.assert_array_equal(np.asarray(after), wanted * 2)
    np.add.at(wanted[::-1], index, wanted[index])
    np.testing.assert_array_equal(np.asarray(a), wanted)


def test_nothing_is_scattered() -> None:
    a = ag.array(np.arange(4.0))
    none = ag.array(np.zeros(0, int))
    a[none] = ag.array(np.zeros(0))
    np.add.at(a, none, 1.0)
    np.add.at(ag.zeros((0, 3)), (none, slice(None)), 1.0)
    assert a.tolist() == [0, 1, 2, 3]


@RELAXED
@given(st.lists(st.tuples(st.integers(-4, 3), st.floats(width=32)), min_size=1, max_size=80), st.sampled_from(["float32", "int32"]))
def test_any_scatter(pairs: list[tuple[int, float]], dtype: str) -> None:
    index = np.array([n for n, _ in pairs])
    with np.errstate(all="ignore"):
        value = np.nan_to_num(np.array([v for _, v in pairs]), nan=3, posinf=4, neginf=5).clip(-1e8, 1e8).astype(dtype)
    x = np.zeros(4, dtype)
    a = ag.array(x)
    a[ag.array(index)] = ag.array(value)
    x[index] = value
    with np.errstate(all="ignore"):
        np.add.at(x, index, value[::-1])
    np.add.at(a, ag.array(index), ag.array(value[::-1].copy()))
    assert np.asarray(a).tobytes() == x.tobytes()


# -------------------------------------------------------------------------------------------------- put, place, putmask and copyto


def call(function: object, device: ag.Device, *args: object, **kwargs: object) -> None:
    """Ours, on the CPU too."""
    found = ON_DEVICES[function](*args, **kwargs)
    assert found is None


@pytest.mark.parametrize("turned", [False, True])
def test_put(turned: bool, device: ag.Device) -> None:
    index = np.array([[3, -1, 3], [0, 5, 3]])
    for values in ([1.5], [1, 2, 3], np.arange(6) * 1.25, np.arange(20.0), []):
        for mode in ("raise", "wrap", "clip"):
            x = np.arange(12.0).reshape(3, 4)
            a = ag.array(x)
            given = index if mode == "raise" else index * 7
            call(np.put, device, a.T if turned else a, given, values, mode)
            np.put(x.T if turned else x, given, values, mode)
            np.testing.assert_array_equal(np.asarray(a), x)
    b = ag.array(np.arange(4, dtype=np.int8))
    b.put([1, 1], [100.7, 2])
    assert b.tolist() == [0, 2, 2, 3]
    with pytest.raises(IndexError, match="index 12 is out of bounds for axis 0 with size 12"):
        call(np.put, device, a, [12], 1)


@pytest.mark.parametrize("function", [np.place, np.putmask], ids=lambda f: f.__name__)
def test_masks_place_values(function: object, device: ag.Device) -> None:
    for values in ([1.5], [1, 2, 3], np.arange(12) * 1.25, np.arange(20.0)):
        for step in (1, -1):
            x = np.arange(12.0).reshape(3, 4)
            a = ag.array(x)
            mask = x % 3 == 1
            call(function, device, a[::step], ag.array(mask), values)
            function(x[::step], mask, values)  # type: ignore[operator]
            np.testing.assert_array_equal(np.asarray(a), x)
    call(function, device, a, np.zeros((3, 4), bool), [])
    np.testing.assert_array_equal(np.asarray(a), x)
    if function is np.place:
        with pytest.raises(ValueError, match="Cannot insert from an empty array!"):
            call(function, device, a, mask, [])


def test_copyto(device: ag.Device) -> None:
    x, row, mask = np.zeros((3, 4)), np.arange(4), np.arange(3) % 2 == 0
    a = ag.array(x)
    call(np.copyto, device, a, ag.array(row))
    np.copyto(x, row)
    call(np.copyto, device, a[1:], row[::-1] * 2, where=ag.array(mask[1:, None]))
    np.copyto(x[1:], row[::-1] * 2, where=mask[1:, None])
    np.testing.assert_array_equal(np.asarray(a), x)
    assert ON_DEVICES[np.copyto](ag.zeros(3, int), np.ones(3)) is NotImplemented
    with warnings.catch_warnings(), pytest.raises(TypeError, match="Cannot cast array data from dtype"):
        warnings.simplefilter("ignore")
        np.copyto(ag.zeros(3, int), np.ones(3))
