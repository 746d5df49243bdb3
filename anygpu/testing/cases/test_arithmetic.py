"""Operators on every pair of dtypes: NumPy 2's promotion, Python's meaning of signs and zeros, and the same bits on every device."""

from __future__ import annotations

import math
import operator

import numpy as np
import pytest

import anygpu as ag
from anygpu.dtypes import DTYPES, DType, bool_, float64, int64, promote, promote_weak
from anygpu.testing.harness import Grid, Range, assert_same, check, pairs, special_values

NAMES = list(DTYPES)
REAL = [n for n in NAMES if not DTYPES[n].is_complex]
INTEGERS = [n for n in NAMES if DTYPES[n].is_integer]


def kernel_of(function):
    """A kernel that applies a function of two scalars to arrays of many dtypes at once: one compilation for a whole row of pairs."""

    @ag.kernel(bounds_check=False)
    def apply(lefts, rights, outs):
        i = ag.grid(1)
        for x, y, out in zip(lefts, rights, outs):  # noqa: B905  kernels know no strict=
            out[i] = function(x[i], y[i])

    return apply


def whole_warps(array):
    """The array repeated up to a whole number of blocks of 32."""
    return np.resize(array, -(-len(array) // 32) * 32)


def row(function, a, others, result):
    """``function`` of dtype ``a`` with each of ``others``; yields (b, x, y, out) after the device has agreed with the interpreter."""
    lefts, rights, outs = [], [], []
    length = max(len(special_values(DTYPES[a].numpy)) * len(special_values(DTYPES[b].numpy)) for b in others)
    length = -(-length // 32) * 32
    for b in others:
        x, y = pairs(DTYPES[a].numpy, DTYPES[b].numpy)
        lefts.append(np.resize(x, length))
        rights.append(np.resize(y, length))
        outs.append(np.zeros(length, result(DTYPES[a], DTYPES[b]).numpy))
    found = check(kernel_of(function), Grid(length // 32, 32), tuple(lefts), tuple(rights), tuple(outs))
    return list(zip(others, lefts, rights, found.args[2], strict=True))


def arithmetic_dtype(a: DType, b: DType) -> DType:
    """NumPy's promotion, but bools count as integers in arithmetic, as in Python."""
    met = promote(a, b)
    return int64 if met is bool_ else met


def in_numpy(name, x, y, dtype):
    with np.errstate(all="ignore"):
        return getattr(np, name)(x.astype(dtype), y.astype(dtype))


@pytest.mark.parametrize("name", ["add", "subtract", "multiply"])
@pytest.mark.parametrize("a", NAMES)
def test_sum_difference_product(a, name):
    function = {"add": lambda x, y: x + y, "subtract": lambda x, y: x - y, "multiply": lambda x, y: x * y}[name]
    # sums meet every pair; differences and products of complex numbers are long code: a few of each kind
    few = ["bool", "int8", "uint64", "bfloat16", "float32", "complex64", "complex128"]
    others = NAMES if name == "add" or not DTYPES[a].is_complex else few
    for b, x, y, out in row(function, a, others, arithmetic_dtype):
        met = arithmetic_dtype(DTYPES[a], DTYPES[b])
        if name == "multiply" and met.is_complex:
            continue  # the parts of a product are fused multiply-adds: nearer the truth than NumPy's
        if met.is_complex and (not DTYPES[a].is_complex or not DTYPES[b].is_complex):
            assert_same(out, in_numpy(name, x, y, met.numpy), f"{a} {name} {b}")
            continue
        assert_same(out, in_numpy(name, x, y, met.numpy), f"{a} {name} {b}")


def quotient_dtype(a: DType, b: DType) -> DType:
    met = promote(a, b)
    return met if met.is_float or met.is_complex else float64


@pytest.mark.parametrize("a", NAMES)
def test_true_division(a):
    for b, x, y, out in row(lambda x, y: x / y, a, NAMES, quotient_dtype):
        met = quotient_dtype(DTYPES[a], DTYPES[b])
        if met.is_complex:
            continue  # Smith's method on fused operations: compared with the interpreter alone
        assert_same(out, in_numpy("divide", x, y, met.numpy), f"{a} / {b}")


@pytest.mark.parametrize("name", ["floor_divide", "remainder"])
@pytest.mark.parametrize("a", ["bool", *INTEGERS])
def test_integer_division_is_pythons_and_never_traps(a, name):
    function = {"floor_divide": lambda x, y: x // y, "remainder": lambda x, y: x % y}[name]
    others = [b for b in ("bool", *INTEGERS) if not arithmetic_dtype(DTYPES[a], DTYPES[b]).is_float]
    for b, x, y, out in row(function, a, others, arithmetic_dtype):
        assert_same(out, in_numpy(name, x, y, arithmetic_dtype(DTYPES[a], DTYPES[b]).numpy), f"{a} {name} {b}")


@pytest.mark.parametrize("a", ["float16", "bfloat16", "float32", "float64"])
def test_float_division_with_remainder(a):
    for function in (lambda x, y: x // y, lambda x, y: x % y):
        row(function, a, ["int8", "bool", a], promote)


@pytest.mark.parametrize("a", INTEGERS)
def test_shifts(a):
    others = [b for b in INTEGERS if promote(DTYPES[a], DTYPES[b]).is_integer]
    for name, function in (("left_shift", lambda x, y: x << y), ("right_shift", lambda x, y: x >> y)):
        for b, x, y, out in row(function, a, others, promote):
            met = promote(DTYPES[a], DTYPES[b]).numpy
            if name == "right_shift" and met.kind == "i":
                continue  # NumPy leaves right shifts by a negative amount to C; here they give the sign
            assert_same(out, in_numpy(name, x, y, met), f"{a} {name} {b}")


@pytest.mark.parametrize("a", ["bool", *INTEGERS])
def test_bitwise(a):
    others = [b for b in ("bool", *INTEGERS) if not promote(DTYPES[a], DTYPES[b]).is_float]
    for name, function in (("bitwise_and", lambda x, y: x & y), ("bitwise_or", lambda x, y: x | y), ("bitwise_xor", lambda x, y: x ^ y)):
        for b, x, y, out in row(function, a, others, promote):
            assert_same(out, in_numpy(name, x, y, promote(DTYPES[a], DTYPES[b]).numpy), f"{a} {name} {b}")


COMPARISONS = {
    "eq": lambda x, y: x == y, "ne": lambda x, y: x != y, "lt": lambda x, y: x < y,
    "le": lambda x, y: x <= y, "gt": lambda x, y: x > y, "ge": lambda x, y: x >= y,
}  # fmt: skip


@pytest.mark.parametrize("a", REAL)
def test_comparisons(a):
    def all_of(x, y):
        return (
            np.uint8(x == y)
            | np.uint8(x != y) << 1
            | np.uint8(x < y) << 2
            | np.uint8(x <= y) << 3
            | np.uint8(x > y) << 4
            | np.uint8(x >= y) << 5
        )

    for b, x, y, out in row(all_of, a, REAL, lambda a, b: DTYPES["uint8"]):
        wanted = np.zeros(len(x), np.uint8)
        for n, name in enumerate(COMPARISONS):
            if {x.dtype.kind, y.dtype.kind} == {"i", "u"}:  # exact, whatever the widths
                held = getattr(operator, name)(x.astype(object), y.astype(object)).astype(bool)
            else:
                met = promote(DTYPES[a], DTYPES[b]).numpy
                with np.errstate(all="ignore"):
                    held = getattr(operator, name)(x.astype(met), y.astype(met))
            wanted |= held.astype(np.uint8) << np.uint8(n)
        assert_same(out, wanted, f"{a} compared with {b}")


@pytest.mark.parametrize("a", ["complex64", "complex128"])
def test_complex_equality(a):
    for b, x, y, out in row(lambda x, y: np.uint8(x == y) | np.uint8(x != y) << 1, a, NAMES, lambda a, b: DTYPES["uint8"]):
        met = promote(DTYPES[a], DTYPES[b]).numpy
        wanted = (x.astype(met) == y.astype(met)).astype(np.uint8) | (x.astype(met) != y.astype(met)).astype(np.uint8) << np.uint8(1)
        assert_same(out, wanted, f"{a} compared with {b}")


@pytest.mark.parametrize("a", NAMES)
def test_signs_and_inversion(a):
    dtype = DTYPES[a]
    x = whole_warps(special_values(dtype.numpy))
    wide = arithmetic_dtype(dtype, dtype)

    @ag.kernel
    def signs(x, negative, positive, absent):
        i = ag.grid(1)
        negative[i] = -x[i]
        positive[i] = +x[i]
        absent[i] = not x[i]

    found = check(signs, Grid(len(x) // 32, 32), x, np.zeros(len(x), wide.numpy), np.zeros(len(x), wide.numpy), np.zeros(len(x), bool))
    with np.errstate(all="ignore"):
        assert_same(found.args[1], -x.astype(wide.numpy), f"-{a}")
    assert_same(found.args[2], x.astype(wide.numpy), f"+{a}")
    assert_same(found.args[3], x == 0, f"not {a}")
    if dtype.is_integer or dtype is bool_:

        @ag.kernel
        def invert(x, out):
            i = ag.grid(1)
            out[i] = ~x[i]

        assert_same(check(invert, Grid(len(x) // 32, 32), x, np.zeros_like(x)).args[1], ~x, f"~{a}")


WEAK = {"true": True, "one": 1, "minus_three": -3, "half": 0.5, "imaginary": 2j}


@pytest.mark.parametrize("weak", WEAK)
def test_python_numbers_take_the_type_of_what_they_meet(weak):
    value = WEAK[weak]
    others = [n for n in NAMES if not (weak == "minus_three" and DTYPES[n].kind in "ub")]
    weak_dtype = DTYPES[np.asarray(value).dtype.name]
    function = lambda x, y: x + value  # noqa: E731  the kernel captures it
    arguments: list[tuple[np.ndarray, ...]] = [(), (), ()]
    for name in others:
        dtype = DTYPES[name]
        met = arithmetic_dtype(dtype, bool_) if weak == "true" else promote_weak(weak_dtype, dtype)
        x = np.resize(special_values(dtype.numpy), 64)
        arguments = [(*a, b) for a, b in zip(arguments, (x, x, np.zeros(64, met.numpy)), strict=True)]
    found = check(kernel_of(function), Grid(2, 32), *arguments)
    for name, x, out in zip(others, arguments[0], found.args[2], strict=True):
        with np.errstate(all="ignore"):
            if weak == "true":
                wanted = x.astype(out.dtype) + out.dtype.type(1)
            elif name == "bool":
                wanted = (x.astype(np.int64) + value).astype(out.dtype)
            elif name == "bfloat16":
                wanted = x.astype(out.dtype) + np.asarray(value, out.dtype)
            else:
                wanted = x + value
        assert_same(out, wanted, f"{name} + {value}")


@pytest.mark.parametrize("a", REAL)
def test_types_of_python_scalar_arguments(a):
    """An int or float argument is as weak as a literal."""

    @ag.kernel
    def scale(x, n, f, ints, floats):
        i = ag.grid(1)
        ints[i] = x[i] + n
        floats[i] = x[i] * f

    dtype = DTYPES[a]
    x = whole_warps(special_values(dtype.numpy))
    of_int, of_float = promote_weak(int64, dtype).numpy, promote_weak(float64, dtype).numpy
    found = check(scale, Grid(len(x) // 32, 32), x, 3, 1.5, np.zeros(len(x), of_int), np.zeros(len(x), of_float))
    with np.errstate(all="ignore"):
        assert_same(found.args[3], x.astype(of_int) + np.asarray(3).astype(of_int), f"{a} + int argument")
        assert_same(found.args[4], x.astype(of_float) * np.asarray(1.5).astype(of_float), f"{a} * float argument")


@pytest.mark.parametrize("a", INTEGERS)
def test_integer_powers(a):
    """Powers wrap as multiplication does; a negative exponent gives 0, but 1 and -1 keep their powers."""
    others = [b for b in INTEGERS if promote(DTYPES[a], DTYPES[b]).is_integer]
    for b, x, y, out in row(lambda x, y: x**y, a, others, promote):
        met = promote(DTYPES[a], DTYPES[b])
        for base, exponent, power in zip(x.tolist()[::3], y.tolist()[::3], out.tolist()[::3], strict=True):
            if exponent < 0:
                exact = {1: 1, -1: -1 if exponent % 2 else 1}.get(base, 0)
            else:
                exact = pow(base, exponent, 1 << met.bits)
            wrapped = (exact - met.minimum) % (1 << met.bits) + met.minimum
            assert power == wrapped, f"{a}({base}) ** {b}({exponent}) is {power}, not {wrapped}"


@pytest.mark.parametrize("a", ["float32", "float64"])
def test_float_powers(a):
    row(lambda x, y: x**y, a, [a], promote)


@pytest.mark.parametrize("exponent", [-1, 0, 1, 2, 3, 4, 5, 0.5, 2.0, -2.5])
def test_literal_powers(exponent):
    @ag.kernel(bounds_check=False)
    def power(xs, outs):
        i = ag.grid(1)
        for x, out in zip(xs, outs):  # noqa: B905
            out[i] = x[i] ** exponent

    xs = tuple(np.resize(special_values(DTYPES[n].numpy), 64) for n in ("float16", "float32", "float64"))
    check(power, Grid(2, 32), xs, tuple(np.zeros_like(x) for x in xs))
    if isinstance(exponent, int) and exponent >= 0:
        ints = tuple(np.resize(special_values(DTYPES[n].numpy), 64) for n in ("int8", "uint16", "int64"))
        found = check(power, Grid(2, 32), ints, tuple(np.zeros_like(x) for x in ints))
        for x, out in zip(ints, found.args[1], strict=True):
            assert_same(out, x**exponent, f"{x.dtype} ** {exponent}")


# ------------------------------------------------------------------------------------- functions written in the kernel language itself


def values_of(dtype):
    return np.resize(special_values(np.dtype(dtype)), 64)


@pytest.mark.parametrize("name", ["gcd", "lcm"])
@pytest.mark.parametrize("dtype", [np.int16, np.int32, np.int64, np.uint8, np.uint64])
def test_greatest_divisors_and_least_multiples(name, dtype):
    function = getattr(np, name)

    @ag.kernel
    def use(x, y, out):
        i = ag.grid(1)
        out[i] = function(x[i], y[i])

    x, y = np.array([0, 12, 18, 7, 100, 36], dtype), np.array([6, 0, 0, 9], dtype)
    x, y = np.resize(x, 32), np.resize(y, 32)
    assert_same(check(use, Grid(1, 32), x, y, np.zeros(32, dtype)).args[2], function(x, y))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("name", ["spacing", "isposinf", "isneginf", "nan_to_num"])
def test_functions_of_one_float_are_numpys(name, dtype):
    function = getattr(np, name)
    if name == "spacing" and dtype is np.float16:
        return  # refused, see tests/errors

    @ag.kernel
    def use(x, out):
        i = ag.grid(1)
        out[i] = function(x[i])

    x = values_of(dtype)
    with np.errstate(all="ignore"):
        wanted = function(x)
    assert_same(check(use, Grid(2, 32), x, np.zeros_like(wanted)).args[1], wanted)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_functions_of_two_floats_are_numpys(dtype):
    @ag.kernel
    def use(x, y, step, both, power):
        i = ag.grid(1)
        step[i] = np.heaviside(x[i], y[i])
        both[i] = np.logaddexp(x[i], y[i])
        power[i] = np.float_power(x[i], 2)

    x = values_of(dtype)
    y = np.roll(x, 3)
    zeros = np.zeros_like(x)
    found = check(use, Grid(2, 32), x, y, zeros, zeros, np.zeros(64)).args
    with np.errstate(all="ignore"):
        assert_same(found[2], np.heaviside(x, y))
        assert np.allclose(found[3], np.logaddexp(x, y), rtol=1e-5 if dtype is np.float32 else 1e-14, equal_nan=True)
        assert np.allclose(found[4], np.float_power(x, 2), rtol=1e-14, equal_nan=True)


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, np.int32, np.int64, np.uint64])
def test_counts_of_bits_and_quotients_with_remainders(dtype):
    @ag.kernel
    def use(x, y, bits, quotient, rest, xor):
        i = ag.grid(1)
        bits[i] = np.bitwise_count(x[i])
        quotient[i], rest[i] = np.divmod(x[i], y[i])
        xor[i] = np.logical_xor(x[i], y[i])

    x = values_of(dtype)
    y = np.resize(np.array([1, 2, 3, 7, 10], dtype), 64)
    out = [np.zeros(64, np.uint8), np.zeros_like(x), np.zeros_like(x), np.zeros(64, bool)]
    found = check(use, Grid(2, 32), x, y, *out).args[2:]
    for ours, wanted in zip(found, [np.bitwise_count(x), *np.divmod(x, y), np.logical_xor(x, y)], strict=True):
        assert_same(ours, wanted)


def of_two_integers(n, k):
    return (
        math.comb(n, k) + math.gcd(n, k, 4) + math.lcm(n + 1, k + 1, 3) + math.factorial(k) * 0.5 + math.prod((n, k, 2), start=3) * 0.25
    )


def of_two_floats(x, y):
    close = math.isclose(x, y) + 2 * math.isclose(x, y, rel_tol=0.5) + 4 * math.isclose(x, y, abs_tol=3.0)
    return close * 1000 + math.ulp(x) + math.dist((x, y), (1.0, 2.0)) + np.finfo(np.float32).bits + np.iinfo(np.int16).max


def test_functions_of_pythons_math():
    @ag.kernel
    def use(n, k, x, y, whole, real):
        i = ag.grid(1)
        whole[i] = of_two_integers(n[i], k[i])
        real[i] = of_two_floats(x[i], y[i])

    n, k = np.arange(32) + 30, np.arange(32) % 20
    x, y = np.resize([1.0, 1.5, 1e300, 0.0, -3.0], 32), np.resize([1.0, 1.0 + 1e-12, 1e300, 2.0], 32)
    found = check(use, Grid(1, 32), n, k, x, y, np.zeros(32), np.zeros(32)).args[4:]
    assert found[0].tolist() == [of_two_integers(*pair) for pair in zip(n.tolist(), k.tolist(), strict=True)]
    assert np.allclose(found[1], [of_two_floats(*pair) for pair in zip(x.tolist(), y.tolist(), strict=True)], rtol=1e-15)


def test_a_binomial_is_exact_where_it_fits():
    @ag.kernel
    def use(out):
        i = ag.grid(1)
        out[i] = math.comb(62, i)

    assert check(use, Grid(1, 63), np.zeros(63, np.int64)).args[0].tolist() == [math.comb(62, k) for k in range(63)]


@pytest.mark.parametrize("scalar", [np.float64(0.1), np.complex128(0.1 + 1j), np.float32(0.1), np.int64(3), 0.1, 3, 0.1 + 1j], ids=repr)
def test_arguments_promote_as_in_numpy(scalar):
    """A Python number takes the type of what it meets; a NumPy scalar has its own, also where its class is one of Python's."""

    @ag.kernel
    def scale(x, a, out):
        i = ag.grid(1)
        if i < out.size:
            out[i] = x[i] * a

    x = np.array([1, 3, 1e-3, 7e5], np.float32)
    expected = x * scalar
    found = check(scale, Range(4), x, scalar, np.zeros_like(expected))
    assert found.args[2].dtype == expected.dtype
    np.testing.assert_allclose(found.args[2], expected, rtol=1e-15 if expected.dtype.itemsize > 4 else 0)


@ag.kernel
def divided_by_shifts(x, y, quotients, remainders):
    i = ag.grid(1)
    divisor = np.uint64(3) << x[i]
    quotients[i] = np.uint64(11206403972661248) // divisor
    remainders[i] = y[i] % (np.int64(5) << (y[i] & 127))


def test_a_divisor_that_is_zero_in_some_lanes_of_a_vector():
    """Found by generated kernels: LLVM dropped the guard of a vector's division by 1 where the lane was not wanted."""
    x = np.array([0, 1, 5, 63, 64, 70, 200, 255] * 8, np.uint64)
    y = np.arange(-4000, 4000, 125, dtype=np.int64)
    found = check(divided_by_shifts, Grid(2, 32), x, y, np.zeros(64, np.uint64), np.zeros(64, np.int64)).args[2]
    wanted = [11206403972661248 // (3 << int(n)) if n < 64 else 0 for n in x]
    assert found.tolist() == wanted
