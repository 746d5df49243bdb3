"""Every ufunc that fused kernels compute, against NumPy: values, dtypes, shapes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import anygpu as ag
from anygpu.arrays.elementwise import FUSED

EVERY_DEVICE = True

DTYPES = (
    "bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64", "complex64",
    "complex128",
)  # fmt: skip
# Their error is bounded by the library's own tables, not by NumPy's.
INEXACT = {
    "cbrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "logaddexp", "sin", "cos", "tan", "arcsin", "arccos", "arctan",
    "arctan2",
    "hypot", "sinh", "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "power", "float_power", "degrees", "radians", "deg2rad", "rad2deg",
}  # fmt: skip

# Operands of two dtypes are converted to one: a few pairs show it.
MIXED = {("int8", "uint8"), ("uint64", "int64"), ("bool", "int16"), ("int32", "float32"), ("float16", "int8"), ("float32", "complex64")}


def samples(dtype: str, seed: int) -> np.ndarray:
    """Ordinary and extreme values."""
    random = np.random.default_rng(seed)
    kind = np.dtype(dtype).kind
    if kind == "b":
        return random.random(40) < 0.5
    if kind in "iu":
        info = np.iinfo(dtype)
        small = random.integers(max(info.min, -20), 20, 24)
        wide = random.integers(info.min, info.max, 12, dtype)
        return np.concatenate([small.astype(dtype), np.array([info.min, info.max, 0, 1], dtype), wide])
    real = np.concatenate([random.normal(0, 3, 28), [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 1e-3], random.uniform(-1, 1, 4)])
    if kind == "f":
        return real.astype(dtype)
    finite = np.where(np.isfinite(real), real, 0.5)
    return (finite + 1j * np.roll(finite, 7)).astype(dtype)


def agree(got: np.ndarray, want: np.ndarray, name: str) -> None:
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    if name in INEXACT or want.dtype.kind == "c" or name == "absolute":
        limit = {"float16": 2e-3, "float32": 3e-6, "float64": 1e-14, "complex64": 1e-5, "complex128": 1e-13}.get(str(want.dtype), 0)
        np.testing.assert_allclose(got, want, rtol=limit, atol=limit)
    else:
        np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("name", FUSED)
def test_ufunc(name: str) -> None:
    ufunc: np.ufunc = getattr(np, name)
    tried = 0
    for dtypes in itertools.product(DTYPES, repeat=ufunc.nin):
        if len(set(dtypes)) > 1 and dtypes not in MIXED:
            continue
        given = [samples(d, n) for n, d in enumerate(dtypes)]
        if name in ("left_shift", "right_shift", "ldexp"):
            given[1] = np.abs(given[1] % 20).astype(given[1].dtype) if given[1].dtype.kind in "iu" else given[1]
        if name == "power" and np.result_type(*dtypes).kind in "iu":
            given[1] = np.abs(given[1] % 5).astype(given[1].dtype)  # NumPy refuses negative powers of integers
        if name == "reciprocal" and given[0].dtype.kind in "iu":
            given[0][given[0] == 0] = 1  # what NumPy gives depends on the machine
        if name == "float_power" or (name == "power" and np.result_type(*dtypes).kind == "c"):
            continue
        with np.errstate(all="ignore"):
            try:
                want = ufunc(*given)
            except (TypeError, np.exceptions.DTypePromotionError):
                with pytest.raises(TypeError):
                    getattr(ag, name)(*map(ag.array, given))
                continue
            got = getattr(ag, name)(*map(ag.array, given))
        if want.dtype.kind == "c" or any(np.dtype(d).kind == "c" for d in dtypes):
            keep = np.isfinite(want) & (np.abs(want) < 1e4)
            agree(np.asarray(got)[keep], want[keep], name)
        else:
            agree(np.asarray(got), want, name)
        tried += 1
    assert tried or name == "float_power"


SCALARS = (2, -3, 0.5, True, 1 + 2j, np.float32(1.5), np.int64(7), np.float64(0.1), np.uint8(200))


@pytest.mark.parametrize("scalar", SCALARS, ids=repr)
@pytest.mark.parametrize("dtype", DTYPES)
def test_scalars_meet_arrays_as_in_numpy(dtype: str, scalar: object) -> None:
    x = samples(dtype, 3)
    for name in ("add", "multiply", "subtract", "greater", "maximum"):
        ufunc = getattr(np, name)
        for args in ((x, scalar), (scalar, x)):
            with np.errstate(all="ignore"):
                try:
                    want: object = ufunc(*args)
                except (TypeError, OverflowError) as error:
                    with pytest.raises(type(error)):
                        ufunc(*(ag.array(a) if a is x else a for a in args))
                    continue
                got = ufunc(*(ag.array(a) if a is x else a for a in args))
            assert isinstance(got, ag.ndarray)
            assert isinstance(want, np.ndarray)
            if want.dtype.kind == "c":
                keep = np.isfinite(want)
                np.testing.assert_allclose(np.asarray(got)[keep], want[keep], rtol=1e-6)
                assert got.dtype == want.dtype
            else:
                agree(np.asarray(got), want, name)


def test_no_contraction() -> None:
    """a*b + c rounds twice, as in NumPy, where a kernel would contract it."""
    a, b, c = np.random.default_rng(1).random((3, 10_000))
    np.testing.assert_array_equal(np.asarray(ag.array(a) * ag.array(b) - ag.array(c)), a * b - c)


def test_broadcasting() -> None:
    random = np.random.default_rng(2)
    for first, second in [((3, 1), (1, 4)), ((5, 1, 3), (2, 1)), ((), (4,)), ((0, 3), (3,)), ((1,), (0,)), ((2, 3, 4, 5), (4, 1))]:
        a, b = random.random(first), random.random(second)
        got = ag.array(a) + ag.array(b)
        np.testing.assert_array_equal(np.asarray(got), a + b)
        assert got.shape == (a + b).shape
    with pytest.raises(ValueError, match=r"operands could not be broadcast together with shapes \(3,\) \(4,\)"):
        ag.zeros(3) + ag.zeros(4)


def test_out_and_in_place() -> None:
    x = ag.array([1.0, 2.0, 3.0])
    out = ag.empty(3)
    assert ag.sqrt(x, out=out) is out
    np.testing.assert_array_equal(np.asarray(out), np.sqrt([1.0, 2.0, 3.0]))
    y = x
    y += 1
    assert y is x
    assert x.tolist() == [2, 3, 4]
    n = ag.array([1, 2, 3])
    with pytest.raises(TypeError, match=r"Cannot cast ufunc 'add' output from dtype\('float64'\) to dtype\('int64'\) with casting rule"):
        n += 0.5
    assert n.tolist() == [1, 2, 3]
    with pytest.raises(OverflowError, match="Python integer 300 out of bounds for uint8"):
        ag.array([1], np.uint8) + 300


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "uint8"])
@pytest.mark.parametrize("exponent", [2, 2.0, 0.5, 1, 1.0, -1.0, 0, 3])
def test_short_powers_have_numpys_dtypes_and_bits(dtype: str, exponent: float) -> None:
    x = np.array([-0.0, 0.0, 2.5, 3, 7, 100], dtype)
    with np.errstate(all="ignore"):
        want = x**exponent
    got = ag.array(x) ** exponent
    assert got.dtype == want.dtype
    if exponent == 2 or (exponent in (0.5, 1, -1) and dtype.startswith("float")):
        assert np.asarray(got).tobytes() == want.tobytes()
    else:
        np.testing.assert_allclose(np.asarray(got), want, rtol=1e-3)
    y = ag.array(x)
    if np.can_cast(want.dtype, x.dtype, "same_kind"):
        y **= exponent
        assert np.asarray(y).tobytes() == np.asarray(got).astype(dtype).tobytes()


def test_powers_of_complex_numbers_are_products():
    z = np.array([0, 1 + 1j, 2, -1j, 1.5 - 2j, 1e-200j, -3])
    for power in (0, 1, 2, 3, 7, 99, -1, -2, -7, 0.5, -0.5, 2.5, 1j, 2 + 0j, 100, np.arange(7), np.arange(-3, 4) + 0j):
        with np.errstate(all="ignore"):
            want = z**power
        got = np.asarray(ag.asarray(z) ** power)
        np.testing.assert_allclose(got, want, rtol=1e-12)
    assert complex((ag.asarray(np.array(1 + 1j)) ** 2)[()]) == 2j
    assert complex((ag.asarray(np.array(np.inf + 0j)) ** 1)[()]) == np.inf


@pytest.mark.parametrize(
    ("x", "low", "high"),
    [
        (np.array([1, 2, -3], np.int8), 0, 128),
        (np.array([1, 2], np.uint8), -1, 300),
        (np.array([1, 2], np.uint8), -1, 1),
        (np.array([True, False]), 0, np.float32(0.5)),
        (np.array([1, 2], np.int8), 0, np.array([1, 300])),
        (np.array([1.5, np.nan]), 2, 1),
    ],
    ids=str,
)  # fmt: skip
def test_clip_takes_bounds_that_the_dtype_has_not(x, low, high):
    got, want = ag.clip(ag.asarray(x), low, high), np.clip(x, low, high)
    assert got.dtype == want.dtype
    np.testing.assert_array_equal(np.asarray(got), want)


def test_clip_refuses_what_numpy_refuses():
    with pytest.raises(OverflowError, match="Python integer 300 out of bounds for int8"):
        ag.clip(ag.asarray(np.array([1], np.int8)), 300, 400)
