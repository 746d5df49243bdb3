"""Tuples in tables, and NamedTuples and dataclasses with operators of their own: each against the same Python, run by Python."""

from __future__ import annotations

import numpy as np
import pytest

import anygpu as ag

from .harness import Grid, check

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
