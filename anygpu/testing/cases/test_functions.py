"""Device functions, closures, structures, tuples, enumerations, constants and complex numbers, against plain Python or NumPy."""

from __future__ import annotations

import dataclasses
import enum
import math
from typing import NamedTuple

import numpy as np
import pytest

import anygpu as ag
from anygpu.testing.harness import Grid, Range, assert_same, check


@ag.func
def clamp(v, low, high=10):
    if v < low:
        return low
    if v > high:
        return high
    return v


def twice(function, v):
    return function(function(v))


def increment(v):
    return v + 1


def polynomial(x, *coefficients):
    total = 0.0
    for c in coefficients:
        total = total * x + c
    return total


class Point(NamedTuple):
    x: float
    y: float = 2.0

    def dot(self, other):
        return self.x * other.x + self.y * other.y

    @property
    def length(self):
        return math.sqrt(self.dot(self))

    @staticmethod
    def origin():
        return Point(0.0, 0.0)


@dataclasses.dataclass
class Body:
    mass: float
    place: Point
    count: int = 0

    def moved(self, dx, dy):
        return Body(self.mass, Point(self.place.x + dx, self.place.y + dy), self.count + 1)


class Mode(enum.Enum):
    ADD = 1
    MULTIPLY = 2


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 10


def test_functions_with_returns_defaults_and_keywords():
    @ag.kernel
    def use(x, out):
        i = ag.grid(1)
        out[i] = clamp(x[i], -3) + 100 * clamp(v=x[i], low=0, high=5) + 10000 * twice(increment, x[i])

    x = np.arange(-16, 16)
    found = check(use, Grid(1, 32), x, np.zeros(32, np.int64))
    assert np.array_equal(found.args[1], np.clip(x, -3, 10) + 100 * np.clip(x, 0, 5) + 10000 * (x + 2))


def test_functions_are_generic_in_their_arguments_types():
    @ag.kernel
    def use(a, b, c, out):
        i = ag.grid(1)
        out[i] = clamp(a[i], 0) + clamp(b[i], np.float32(0.5)) + clamp(c[i], 1, 2)

    a, b, c = np.arange(32, dtype=np.int8) - 16, np.linspace(-1, 20, 32, dtype=np.float32), np.arange(32, dtype=np.uint16)
    found = check(use, Grid(1, 32), a, b, c, np.zeros(32))
    wanted = np.clip(a, 0, 10).astype(np.float64) + np.clip(b, np.float32(0.5), 10).astype(np.float64) + np.clip(c, 1, 2)
    assert np.allclose(found.args[3], wanted)


def test_variable_arguments_and_starred_calls():
    @ag.kernel
    def use(x, out):
        i = ag.grid(1)
        cs = (1.0, 2.0, 3.0)
        out[i] = polynomial(x[i], *cs, 4.0)

    x = np.linspace(-2, 2, 32)
    found = check(use, Grid(1, 32), x, np.zeros(32))
    assert np.allclose(found.args[1], np.polyval([1, 2, 3, 4], x))


def make_scaler(factor):
    def scale(v):
        return v * factor

    return scale


@pytest.mark.parametrize("factor", [3, 0.5, np.float32(2.5), np.int8(-2)])
def test_closures_are_constants_of_their_own_type(factor):
    scale = make_scaler(factor)

    @ag.kernel
    def use(x, out):
        i = ag.grid(1)
        out[i] = scale(x[i])

    x = np.arange(32, dtype=np.float32)
    found = check(use, Grid(1, 32), x, np.zeros(32, np.float64))
    assert_same(found.args[1], (x * factor).astype(np.float64))


def test_functions_are_arguments_too():
    @ag.kernel
    def apply(f, x, out):
        i = ag.grid(1)
        out[i] = f(x[i])

    x = np.arange(32, dtype=np.float64)
    assert np.array_equal(check(apply, Grid(1, 32), lambda v: v * v, x, np.zeros(32)).args[2], x * x)
    assert np.array_equal(check(apply, Grid(1, 32), np.sqrt, x, np.zeros(32)).args[2], np.sqrt(x))
    assert np.array_equal(check(apply, Grid(1, 32), np.float32, x, np.zeros(32)).args[2], x)


def test_named_tuples_and_dataclasses():
    @ag.kernel
    def use(body, shift, out):
        i = ag.grid(1)
        b = body
        for k in range(i % 3):
            b = b.moved(shift.x * k, shift.y)
        p = Point(b.place.x, y=1.5)
        out[i] = b.mass * p.dot(Point(1.0)) + b.place.length + b.count + Point.origin().x + len(p)

    body, shift = Body(2.0, Point(3.0, 4.0)), Point(0.5, -1.0)
    found = check(use, Grid(1, 32), body, shift, np.zeros(32))
    for i in range(32):
        b = body
        for k in range(i % 3):
            b = b.moved(shift.x * k, shift.y)
        p = Point(b.place.x, 1.5)
        assert math.isclose(found.args[2][i], b.mass * p.dot(Point(1.0)) + b.place.length + b.count + 2, rel_tol=1e-14)


def test_dataclass_fields_are_set():
    @ag.kernel
    def use(body, out):
        i = ag.grid(1)
        b = Body(1.0, Point(1.0, 2.0))
        if i % 2:
            b.mass = body.mass * i
        b.count += 3
        out[i] = b.mass + b.count

    found = check(use, Grid(1, 32), Body(2.0, Point(0.0)), np.zeros(32))
    assert found.args[1].tolist() == [(2.0 * i if i % 2 else 1.0) + 3 for i in range(32)]


def test_arrays_inside_tuples_and_structures():
    class Pair(NamedTuple):
        left: np.ndarray
        right: tuple

    @ag.kernel
    def use(pair, out):
        i = ag.grid(1)
        out[i] = pair.left[i] + pair.right[0][i] * pair.right[1]

    left, right = np.arange(32, dtype=np.float32), np.arange(32, dtype=np.float32) * 10
    found = check(use, Grid(1, 32), Pair(left, (right, 2)), np.zeros(32, np.float32))
    assert np.array_equal(found.args[1], left + right * 2)


def test_tuples_nested_indexed_and_walked():
    table = ((1, 2), (3, 4), (5, 6))

    @ag.kernel
    def use(out):
        i = ag.grid(1)
        total = 0
        for a, b in table:
            total += a * b
        for n, pair in enumerate(table):
            total += n * pair[-1]
        (p, (q, r)), s = (1, (2, 3)), 4
        first, *rest = (10, 20, 30)
        inner = (7, 8, 9)[1:]
        out[i] = total + (p + q + r + s) * 1000 + (first + rest[0] + rest[1] + len(rest)) * 100000 + inner[0]

    found = check(use, Grid(1, 32), np.zeros(32, np.int64))
    assert (found.args[0] == 2 + 12 + 30 + 0 + 4 + 12 + 10 * 1000 + 62 * 100000 + 8).all()


def test_tuples_are_indexed_at_run_time():
    constants = (3, 1, 4, 1, 5, 9, 2, 6)

    @ag.kernel
    def use(x, out):
        i = ag.grid(1)
        mine = (x[i], x[i] * 2, 100)
        out[i] = constants[i % 8] * 1000 + mine[i % 3] + (0.5, 1.5)[i & 1]

    x = np.arange(32)
    found = check(use, Grid(1, 32), x, np.zeros(32))
    mine = np.stack([x, x * 2, np.full(32, 100)])
    assert np.array_equal(found.args[1], np.array(constants)[x % 8] * 1000.0 + mine[x % 3, x] + np.array([0.5, 1.5])[x & 1])


def test_a_run_time_index_outside_a_tuple_is_an_error():
    @ag.kernel
    def use(out):
        i = ag.grid(1)
        out[i] = (1, 2, 3)[i]

    assert isinstance(check(use, Grid(1, 32), np.zeros(32)).error, IndexError)


@pytest.mark.parametrize("mode", list(Mode))
def test_enumerations_choose_at_compile_time(mode):
    @ag.kernel
    def use(how, x, out):
        i = ag.grid(1)
        if how == Mode.ADD:
            out[i] = x[i] + Level.HIGH
        elif how is Mode.MULTIPLY:
            out[i] = x[i] * Level.HIGH.value + Level.LOW

    x = np.arange(32)
    found = check(use, Grid(1, 32), mode, x, np.zeros(32, np.int64))
    assert np.array_equal(found.args[2], x + 10 if mode is Mode.ADD else x * 10 + 1)


def test_captured_arrays_are_constants():
    weights = np.array([[1, 2, 3], [4, 5, 6]], np.float32)[:, ::-1]
    phase = np.array([1 + 2j, 3 - 1j], np.complex64)
    flags = np.array([True, False, True])

    @ag.kernel
    def use(out):
        i = ag.grid(1)
        total = 0.0
        for row in weights:
            for w in row:
                total += w
        for k in range(weights.shape[0]):
            total += weights[k, i % 3] * (2 if flags[i % 3] else 1)
        out[i] = total * phase[i % 2]

    found = check(use, Grid(1, 32), np.zeros(32, np.complex128))
    i = np.arange(32)
    total = 21.0 + weights[:, i % 3].sum(axis=0) * np.where(flags[i % 3], 2, 1)
    assert np.allclose(found.args[0], total * phase[i % 2])


def test_math_and_numpy_spellings_agree():
    @ag.kernel
    def use(x, out):
        i = ag.grid(1)
        v = x[i]
        out[i, 0] = math.floor(v) + math.ceil(v) + math.trunc(v) + round(v)
        out[i, 1] = np.floor(v) + np.ceil(v) + np.trunc(v) + np.rint(v)
        out[i, 2] = math.copysign(abs(v), -1.0) + math.fabs(v)
        out[i, 3] = np.sign(v) + np.clip(v, -1.0, 1.0) + np.where(v > 0, 1.0, 2.0)
        whole, part = divmod(v, 2.0)
        out[i, 4] = whole + part
        out[i, 5] = max(v, 0.5, -v) + min(v, 1.0) + sum((v, v)) + pow(v, 2)
        out[i, 6] = math.isnan(v) + math.isinf(v) + math.isfinite(v)
        fraction, integer = math.modf(v)
        mantissa, exponent = math.frexp(v)
        out[i, 7] = fraction + integer + math.ldexp(mantissa, exponent)

    x = np.concatenate([np.linspace(-3.7, 3.6, 28), [0.5, 1.5, 2.5, -0.5]])
    found = check(use, Grid(1, 32), x, np.zeros((32, 8)))
    out = found.args[1]
    rounded = np.floor(x) + np.ceil(x) + np.trunc(x) + np.rint(x)
    assert np.array_equal(out[:, 0], rounded) and np.array_equal(out[:, 1], rounded)
    assert np.array_equal(out[:, 2], np.zeros(32))
    assert np.array_equal(out[:, 3], np.sign(x) + np.clip(x, -1, 1) + np.where(x > 0, 1, 2))
    assert np.allclose(out[:, 4], x // 2 + x % 2)
    assert np.allclose(out[:, 5], np.maximum(np.maximum(x, 0.5), -x) + np.minimum(x, 1) + 2 * x + x**2)
    assert np.array_equal(out[:, 6], np.ones(32))
    assert np.allclose(out[:, 7], 2 * x)


def test_integer_functions():
    @ag.kernel
    def use(a, b, out):
        i = ag.grid(1)
        out[i, 0] = math.gcd(a[i], b[i])
        out[i, 1] = math.isqrt(a[i] * a[i] + b[i] * b[i])
        q, r = divmod(a[i], b[i] * 2 + 1)
        out[i, 2] = q * 1000 + r
        out[i, 3] = abs(a[i]) + min(a[i], b[i]) + max(a[i], b[i], 3)
        out[i, 4] = all((a[i], b[i])) + any((a[i], b[i])) * 2

    random = np.random.default_rng(2)
    a, b = random.integers(-50, 50, 64), random.integers(-50, 50, 64)
    found = check(use, Range(64), a, b, np.zeros((64, 5), np.int64))
    for x, y, row in zip(a.tolist(), b.tolist(), found.args[2].tolist(), strict=True):
        q, r = divmod(x, y * 2 + 1)
        wanted = [
            math.gcd(x, y),
            math.isqrt(x * x + y * y),
            q * 1000 + r,
            abs(x) + min(x, y) + max(x, y, 3),
            bool(x and y) + bool(x or y) * 2,
        ]
        assert row == wanted


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_complex_arithmetic(dtype):
    @ag.kernel
    def use(a, b, out, parts):
        i = ag.grid(1)
        z, w = a[i], b[i]
        out[i, 0] = z * w + 1
        out[i, 1] = z / w
        out[i, 2] = z.conjugate() - 2j * w
        out[i, 3] = np.exp(z) + np.sqrt(z) + np.log(w)
        out[i, 4] = z**2 + w**3
        out[i, 5] = complex(z.real, w.imag)
        out[i, 6] = z**w
        out[i, 7] = -z if z == w else +z
        parts[i] = abs(z) + z.imag

    random = np.random.default_rng(5)
    a = (random.normal(size=64) + 1j * random.normal(size=64)).astype(dtype)
    b = (random.normal(size=64) + 1j * random.normal(size=64)).astype(dtype)
    found = check(use, Grid(2, 32), a, b, np.zeros((64, 8), dtype), np.zeros(64, a.real.dtype))
    out = found.args[2]
    with np.errstate(all="ignore"):
        wanted = np.stack(
            [a * b + 1, a / b, a.conj() - 2j * b, np.exp(a) + np.sqrt(a) + np.log(b), a**2 + b**3, a.real + 1j * b.imag, a**b, a], axis=1
        )
    assert np.allclose(out, wanted, rtol=2e-5 if dtype is np.complex64 else 1e-13)
    assert np.allclose(found.args[3], np.abs(a) + a.imag, rtol=1e-5, atol=1e-6)


def test_static_values_fold_into_branches():
    """An ``if`` on a constant compiles one side only: the other may be wrong for these types."""

    @ag.kernel
    def use(x, out):
        i = ag.grid(1)
        if x.ndim == 2:
            out[i] = x[i, 0]
        else:
            out[i] = x[i]

    assert check(use, Grid(1, 32), np.arange(32.0), np.zeros(32)).args[1].tolist() == list(range(32))
    assert check(use, Grid(1, 32), np.arange(64.0).reshape(32, 2), np.zeros(32)).args[1].tolist() == list(range(0, 64, 2))


def test_print_has_separators_ends_and_formatted_constants():
    width = 6

    @ag.kernel
    def use(x):
        i = ag.grid(1)
        if i < 2:
            print("a", i, x[i], sep=", ", end="!\n")
            print(x[i], None, sep="", end=None)
            print(f"{width:>{width}}|{2.5:.3f}|{'s'!r}|{i}")
            assert i >= 0, f"{width:03d} wide"

    found = check(use, Grid(1, 32), np.arange(32))
    lines = [[f"a, {i}, {i}!", f"{i}None", f"     6|2.500|'s'|{i}"] for i in range(2)]
    assert found.printed == lines[0] + lines[1]


def test_modules_whose_names_begin_like_numpys_are_the_users_own():
    def helper(v):
        return v + 1

    helper.__module__ = "numpy_helpers"

    @ag.kernel
    def use(out):
        i = ag.grid(1)
        out[i] = helper(i)

    assert check(use, Grid(1, 32), np.zeros(32)).args[0].tolist() == list(range(1, 33))


@pytest.mark.parametrize("dtype", [np.float16, ag.bfloat16], ids=["float16", "bfloat16"])
def test_nextafter_of_halves(dtype):
    @ag.kernel
    def step(x, y, out):
        i = ag.grid(1)
        if i < out.size:
            out[i] = np.nextafter(x[i], y[i])

    bits = np.random.default_rng(4).integers(0, 1 << 16, (2, 3000)).astype(np.uint16)
    bits[:, :6] = [[0, 0x8000, 0x7BFF, 1, 0x8001, 0x7E00], [0, 1, 0x7C00, 0, 0, 0]]
    bits[1, 6:600] = bits[0, 6:600]
    x, y = bits.view(dtype)
    with np.errstate(all="ignore"):
        found = check(step, Range(3000), x, y, np.zeros(3000, dtype))
        expected = np.nextafter(x, y)
        known = ~np.isnan(expected)
        assert np.array_equal(np.isnan(found.args[2]), ~known)
    assert np.array_equal(found.args[2].view(np.uint16)[known], expected.view(np.uint16)[known])
