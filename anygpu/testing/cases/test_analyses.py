"""Where an analysis that promises too much gives wrong results or writes outside arrays: narrow integers that come round, and
facts about variables that have changed since."""

from __future__ import annotations

import numpy as np
import pytest

import anygpu as ag
from anygpu.testing.harness import Grid, Range, check

BLOCKS = ((64,), (45,), (7,), (96,), (16, 4))


@pytest.mark.parametrize("block", BLOCKS)
def test_a_narrow_value_may_come_round_more_than_once_in_a_strip(block):
    @ag.kernel
    def branches(out):
        x = ag.threadIdx.x
        if ag.int8(x) * ag.int8(18) < ag.int8(20):
            out[x] = 1
        else:
            out[x] = 2

    @ag.kernel
    def guarded(out):
        x = ag.threadIdx.x
        if ag.uint8(x) * ag.uint8(18) < ag.uint8(20):
            out[x] = 1

    for kernel in (branches, guarded):
        check(kernel, Grid(2, block), np.zeros(96, np.int32))


@pytest.mark.parametrize("block", BLOCKS)
def test_shifts_of_narrow_values_by_their_width(block):
    @ag.kernel
    def kernel(out):
        x = ag.threadIdx.x
        out[x] = (ag.int8(x) * ag.int8(16)) >> ag.int8(8)

    check(kernel, Grid(1, block), np.zeros(96, np.int32))


@pytest.mark.parametrize("block", BLOCKS)
def test_guards_of_floats_that_change_afterwards_prove_nothing(block):
    @ag.kernel(bounds_check=True)
    def kernel(values, out):
        v = values[ag.threadIdx.x]
        if ag.uint32(v) < out.shape[0]:
            v = v + 30.0
            out[ag.uint32(v)] = 1.0

    check(kernel, Grid(1, block), np.arange(96.0), np.zeros(40, np.float32))


@pytest.mark.parametrize("block", ((64,), (45,), (7,), (96,)))
def test_rows_along_an_axis_before_one_of_a_single_element(block):
    @ag.kernel
    def kernel(out):
        column = ag.shared.array((96, 1), np.float32)
        t = ag.threadIdx.x
        column[t, 0] = ag.float32(t)
        ag.syncthreads()
        out[t] = column[ag.blockDim.x - 1 - t, 0] + column[t, 0]

    check(kernel, Grid(1, block), np.zeros(96, np.float32))


def test_conditions_of_loops_are_as_wide_as_their_later_turns_need():
    @ag.kernel
    def kernel(limits, out):
        i = ag.threadIdx.x
        turns = 0
        while turns * 1000000000 < limits[i] and turns < 100:
            turns += 1
        out[i] = turns

    check(kernel, Grid(1, 64), np.arange(64) * 500000000, np.zeros(64, np.int64))


def gather(starts, columns, values, x, y):
    row = ag.grid(1)
    if row < y.size:
        total = np.float32(row)
        last = -1
        for k in range(starts[row], starts[row + 1]):
            last = columns[k]
            total += values[k] * x[last]
        y[row] = total + last


def rows(bad: dict[int, int], columns: int = 20) -> list[np.ndarray]:
    """The arguments of ``gather``: 40 rows of 0 to 4 elements each, with some columns replaced."""
    random = np.random.default_rng(5)
    starts = np.concatenate([[0], np.cumsum(np.arange(40) % 5)]).astype(np.int32)
    where = random.integers(0, max(columns, 1), starts[-1]).astype(np.int32)
    for place, column in bad.items():
        where[place] = column
    return [starts, where, random.normal(size=len(where)).astype(np.float32), random.normal(size=columns).astype(np.float32)]


@pytest.mark.parametrize("bad", [{}, {33: 20}, {0: -1, 79: 20}, {50: 2**31 - 1, 51: -(2**31)}, dict.fromkeys(range(80), -7)], ids=len)
@pytest.mark.everywhere
def test_loops_whose_indices_are_data(bad):
    """Such loops may run on trust first: what they then report, and what their variables hold, is as if they had not."""
    kernel = ag.kernel(bounds_check=True)(gather)
    found = check(kernel, Range(40), *rows(bad), np.zeros(40, np.float32))
    assert (found.error is None) == (not bad)


def test_loops_whose_indices_are_data_over_nothing():
    kernel = ag.kernel(bounds_check=True)(gather)
    assert check(kernel, Range(40), *rows({}, 0), np.zeros(40, np.float32)).error is not None
    starts, columns, values, x = rows({})
    check(kernel, Range(40), starts[::-1].copy(), columns[:0], values[:0], x[:0], np.zeros(40, np.float32))
    shifted = starts + np.arange(41, dtype=np.int32) // 40 * 3  # the last row goes past the end
    assert check(kernel, Range(40), shifted, columns, values, x, np.zeros(40, np.float32)).error is not None


def test_tables_of_several_axes_whose_indices_are_data():
    @ag.kernel(bounds_check=True)
    def walk(table, out):
        i = ag.grid(1)
        where, turns = np.uint64(i), 0
        for step in range(7):
            if step % 3 == 2:
                continue
            where = table[where, i % 3]
            turns += step
        out[i] = where * 10 + np.uint64(turns)

    table = np.arange(96, dtype=np.uint64).reshape(32, 3)[::-1] % 32
    check(walk, Grid(1, 32), table, np.zeros(32, np.uint64))
    spoiled = table.copy()
    spoiled[5, 1], spoiled[9, 0] = 32, 2**64 - 1
    assert check(walk, Grid(1, 32), spoiled, np.zeros(32, np.uint64)).error is not None


@pytest.mark.parametrize("block", [32, 33, 64, 96, 7])
def test_bits_of_positions(block):
    """Of positions that are aligned at the start of a strip the low bits are those of the lane."""

    @ag.kernel
    def bits(out):
        i, lane, thread = ag.grid(1), ag.laneid, ag.threadIdx.x
        out[i, 0], out[i, 1], out[i, 2], out[i, 3] = lane % 4, lane & 8, lane >> 2, lane // 16
        out[i, 4], out[i, 5], out[i, 6], out[i, 7] = thread & 8, thread % 3, (thread * 4) & 12, (thread + 5) >> 3
        out[i, 8], out[i, 9] = i & 6, (lane ^ 5) + (lane | 16)

    check(bits, Grid(2, block), np.zeros((2 * block, 10), np.int64))
