"""Where an analysis that promises too much gives wrong results or writes outside arrays: narrow integers that come round, and
facts about variables that have changed since."""

from __future__ import annotations

import numpy as np
import pytest

import anygpu as ag
from anygpu.testing.harness import Grid, check

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
