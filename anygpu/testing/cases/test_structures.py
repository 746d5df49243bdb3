"""Tuples in tables, and NamedTuples and dataclasses with operators of their own: each against the same Python, run by Python."""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import numpy as np
import pytest

import anygpu as ag
from anygpu.testing.harness import Grid, check

# ------------------------------------------------------------------------------------------------------------------ tables of tuples


@pytest.mark.parametrize(
    "table",
    [
        (np.uint64(2**64 - 1), np.uint64(3), np.uint64(12837384723622789972)),
        (2**63 - 1, -(2**63), 2**53 + 1),
        (1 + 2j, 3 - 1j, 0.5),
        (np.complex64(1 + 2j), np.complex64(-1j), np.complex64(3)),
        (ag.bfloat16(1.5), ag.bfloat16(-2), ag.bfloat16(0.25)),
        (np.float16(1.5), np.float16(65504), np.float16(-0.0)),
        (True, False, True),
    ],
    ids=lambda t: type(t[0]).__name__,
)
def test_a_table_holds_every_value_exactly(table):
    @ag.kernel
    def use(out):
        i = ag.grid(1)
        out[i] = table[i % 3]

    wanted = np.array(table)
    found = check(use, Grid(1, 32), np.zeros(32, wanted.dtype)).args[0]
    assert found.tolist() == [wanted[i % 3].item() for i in range(32)]


def test_nested_tuples_are_indexed_at_run_time():
    corners = ((1.0, 2.0), (3.0, 4.0), (5.0, 6.0))
    cube = (((1, 2), (3, 4)), ((5, 6), (7, 8)))
    mixed = ((1, (2.5, 3)), (4, (5.5, 6)))

    def element(i, own):
        total = corners[i % 3][i % 2] + len(corners[i % 3])
        for value in corners[(i + 1) % 3]:
            total += value
        a, b = corners[i % 3]
        total += a * b
        total += cube[i % 2][i // 2 % 2][i // 4 % 2] * 100
        number, (x, y) = mixed[i % 2]
        return total + number * 1000 + x * y + own[i % 2][1][i % 3] + own[i % 2][0]

    @ag.kernel
    def use(own, out):
        i = ag.grid(1)
        out[i] = element(i, own)

    own = ((1, (1.0, 2.0, 3.0)), (2, (4.0, 5.0, 6.0)))
    found = check(use, Grid(1, 32), own, np.zeros(32)).args[1]
    assert found.tolist() == [element(i, own) for i in range(32)]


def test_a_table_of_numbers_of_several_kinds_keeps_each_places_type():
    table = ((1, 2.5), (3, 4.0))

    @ag.kernel
    def use(out):
        i = ag.grid(1)
        out[i] = table[i % 2][0] // 2

    found = check(use, Grid(1, 32), np.zeros(32, np.int64)).args[0]
    assert found.tolist() == [table[i % 2][0] // 2 for i in range(32)]


def test_tuples_of_complex_numbers_known_at_run_time():
    @ag.kernel
    def use(z, out):
        i = ag.grid(1)
        out[i] = (z[i], z[i] * 1j, 2)[i % 3]

    z = np.arange(32) + 1j
    found = check(use, Grid(1, 32), z, np.zeros(32, complex)).args[1]
    assert found.tolist() == [(z[i], z[i] * 1j, 2)[i % 3] for i in range(32)]


# ------------------------------------------------------------------------------------------------------- operators of the user's own


class Vector(NamedTuple):
    x: float
    y: float

    def __add__(self, other):
        return Vector(self.x + other.x, self.y + other.y)

    def __mul__(self, factor):
        if isinstance(factor, Vector):
            return NotImplemented
        return Vector(self.x * factor, self.y * factor)

    def __rmul__(self, factor):
        return Vector(self.x * factor + 100, self.y * factor)

    def __neg__(self):
        return Vector(-self.x, -self.y)

    def __abs__(self):
        return self.x + self.y

    def __eq__(self, other):
        return self.x == other.x

    def __lt__(self, other):
        return self.y < other.y

    def __len__(self):
        return 77

    def __getitem__(self, i):
        return 99.0 + i

    def __bool__(self):
        return self.x > 1

    def __contains__(self, value):
        return value > self.x

    def __call__(self, a, b=2.0):
        return self.x * a + b


@dataclasses.dataclass
class Amount:
    units: float
    note: int = dataclasses.field(default=0, compare=False)

    def __add__(self, other):
        return Amount(self.units + other.units)

    def __iadd__(self, other):
        return Amount(self.units + 2 * other.units)

    def __floordiv__(self, other):
        return Amount(self.units // other)

    def __le__(self, other):
        return self.units <= other.units

    def __len__(self):
        return self.note

    @classmethod
    def of(cls, units):
        return cls(units, note=3)


@dataclasses.dataclass
class Precise(Amount):
    def __radd__(self, other):
        return Precise(self.units + other.units + 1000)


@dataclasses.dataclass(order=True)
class Ranked:
    rank: float
    tie: float = 0.0


class Ordinary(NamedTuple):
    value: float
    rank: float


@dataclasses.dataclass
class Grid2:
    data: np.ndarray
    width: int

    def __getitem__(self, key):
        i, j = key
        return self.data[i * self.width + j]

    def __setitem__(self, key, value):
        i, j = key
        self.data[i * self.width + j] = value


EXPRESSIONS = {
    "sum of named tuples": lambda v, w, a, b: (v + w).x * 10 + (v + w).y,
    "product": lambda v, w, a, b: (v * 3).y,
    "reflected product": lambda v, w, a, b: (2 * v).x,
    "negated": lambda v, w, a, b: (-v).x,
    "absolute": lambda v, w, a, b: abs(v),
    "equal": lambda v, w, a, b: 1 if v == w else 0,
    "unequal is the tuple's own": lambda v, w, a, b: 1 if v != w else 0,
    "less": lambda v, w, a, b: 1 if v < w else 0,
    "greater is the tuple's own": lambda v, w, a, b: 1 if v > w else 0,
    "order of tuples": lambda v, w, a, b: (
        (1 if (v.x, v.y) < (v.x, w.y) else 0) + (10 if (v.x, 1) >= (w.x,) else 0) + (100 if (v.x,) <= (v.x, 2) else 0)
    ),
    "order of dataclasses": lambda v, w, a, b: (1 if Ranked(v.x, 2) < Ranked(w.x, 1) else 0) + (10 if Ranked(v.x) >= Ranked(v.x) else 0),
    "length": lambda v, w, a, b: len(v) + len(a),
    "item": lambda v, w, a, b: v[3],
    "truth": lambda v, w, a, b: (1 if v else 2) + (10 if not w else 20) + (100 if bool(v) else 200),
    "truth by length": lambda v, w, a, b: (1 if a else 2) + (10 if Amount(1.0) else 20),
    "membership": lambda v, w, a, b: (1 if 0.5 in v else 0) + (10 if 1e9 in v else 0) + (100 if 2.0 not in v else 0),
    "call": lambda v, w, a, b: v(2.0) + v(2.0, b=7.0),
    "sum of dataclasses": lambda v, w, a, b: (a + b).units,
    "floor division": lambda v, w, a, b: (a // 2).units,
    "equal dataclasses, by the fields that compare": lambda v, w, a, b: 1 if a == Amount(a.units, 8) else 0,
    "unequal dataclasses": lambda v, w, a, b: (1 if a != b else 0) + (10 if a != Amount(a.units) else 0),
    "at most, and at least": lambda v, w, a, b: (1 if a <= b else 0) + (10 if a >= b else 0),
    "class method": lambda v, w, a, b: Amount.of(4.0).note,
    "the derived class goes first": lambda v, w, a, b: (a + Precise(1.0)).units,
    "replaced": lambda v, w, a, b: Ordinary(v.x, 1)._replace(rank=5.0).rank * 10 + dataclasses.replace(a, units=3.0).units + a.units,
    "instance of": lambda v, w, a, b: (1 if isinstance(v, tuple) else 0) + (10 if isinstance(a, (Vector, Precise)) else 0),
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_operators_mean_what_the_class_says(name):
    expression = EXPRESSIONS[name]

    @ag.kernel
    def use(p, q, out):
        i = ag.grid(1)
        out[i] = expression(Vector(p[i], q[i]), Vector(q[i], p[i]), Amount(p[i], 2), Amount(q[i]))

    p, q = np.resize([0.0, 1.0, 2.5, 1.0], 32), np.resize([1.0, 1.0, -3.0], 32)
    found = check(use, Grid(1, 32), p, q, np.zeros(32)).args[2]
    wanted = [float(expression(Vector(x, y), Vector(y, x), Amount(x, 2), Amount(y))) for x, y in zip(p.tolist(), q.tolist(), strict=True)]
    assert found.tolist() == wanted


def test_augmented_assignment_and_items_of_structures():
    def total(units, grid, i):
        a = Amount(units)
        a += Amount(1.0)
        grid[i, 1] = a.units
        grid[i, 0] += 2.0
        return grid[i, 0] + grid[i, 1]

    @ag.kernel
    def use(p, data, out):
        i = ag.grid(1)
        out[i] = total(p[i], Grid2(data, 2), i)

    p = np.arange(32.0)
    found = check(use, Grid(1, 32), p, np.ones(64), np.zeros(32)).args
    data = np.ones(64)
    assert found[2].tolist() == [total(x, Grid2(data, 2), i) for i, x in enumerate(p)]
    assert np.array_equal(found[1], data)


def test_structures_are_copied_by_their_fields():
    @dataclasses.dataclass
    class Point:
        a: float
        b: float = 2.0

        def moved(self, by):
            return Point(self.a + by, self.b)

    def run(v):
        p = Point(v)
        q = Point(p.a, p.b)
        q.a = 9.0
        r = p.moved(1.0)
        r.b += q.a
        p = p.moved(3.0)
        p.b = 1.0
        for k in range(3):
            p = p.moved(k)
        return p.a + 10 * p.b + 100 * q.a + 1000 * r.a + r.b

    @ag.kernel
    def use(x, out):
        i = ag.grid(1)
        out[i] = run(x[i])

    x = np.arange(32.0)
    assert check(use, Grid(1, 32), x, np.zeros(32)).args[1].tolist() == [run(v) for v in x]


def test_a_decorators_wrapper_is_what_runs():
    def doubled(function):
        @functools.wraps(function)
        def wrapper(*args):
            return 2 * function(*args)

        return wrapper

    @doubled
    def helper(v):
        return v + 1

    @ag.kernel
    def use(x, out):
        i = ag.grid(1)
        out[i] = helper(x[i])

    x = np.arange(32)
    assert check(use, Grid(1, 32), x, np.zeros(32)).args[1].tolist() == [helper(v) for v in x]


@pytest.mark.parametrize("value", [np.float64(0.1), np.complex128(0.1 + 1j), np.int64(3)], ids=str)
def test_captured_numpy_scalars_keep_their_type(value):
    @ag.kernel
    def use(x, out):
        i = ag.grid(1)
        out[i] = x[i] * value

    x = np.resize(np.array([1, 3, 7], np.float32), 32)
    wanted = x * value
    assert np.array_equal(check(use, Grid(1, 32), x, np.zeros(32, wanted.dtype)).args[1], wanted)
