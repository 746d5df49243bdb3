"""Variables that live from one turn of a loop to the next while lanes come and go, and loops at the ends of the integers."""

from __future__ import annotations

import numpy as np

import anygpu as ag
from anygpu.testing.harness import Grid, check


def test_a_variable_read_before_its_assignment_keeps_its_value_in_waiting_lanes():
    @ag.kernel
    def carried(x, out):
        i = ag.grid(1)
        if i < 40:
            seen = 0
            for k in range(4):
                if (k + i) % 2 == 1:
                    if seen == 1:
                        out[i] += x[p]  # noqa: F821
                    p = i + k  # noqa: F841
                    seen = 1

    check(carried, Grid(1, 64), np.arange(50.0), np.zeros(64))


def test_the_same_across_barriers():
    @ag.kernel
    def carried(out):
        shared = ag.shared.array(64, np.int64)
        t = ag.threadIdx.x
        i = ag.grid(1)
        total = 0
        seen = 0
        for k in range(4):
            shared[t] = k
            ag.syncthreads()
            if (k + i) % 2 == 1:
                if seen == 1:
                    total = total * 3 + x + shared[63 - t]  # noqa: F821
                x = k + 5  # noqa: F841
                seen = 1
            ag.syncthreads()
        out[i] = total

    check(carried, Grid(1, 64), np.zeros(64, np.int64))


def test_continue_before_the_assignment():
    @ag.kernel
    def carried(x, out):
        i = ag.grid(1)
        n = i % 9
        total = 0
        first = 1
        while n > 0:
            if first == 0:
                total = total * 7 + p  # noqa: F821
            p = x[n - 1 if n < 3 else 2]  # noqa: F841
            q = n
            n -= 1
            if q % 3 == 2:
                continue
            first = 0
        out[i] = total

    check(carried, Grid(1, 64), np.array([3, 5, 7]), np.zeros(64, np.int64))


def test_stepping_loops_end_at_the_greatest_int64():
    @ag.kernel
    def steps(out):
        i = ag.grid(1)
        total = 0
        for k in range(i + 9223372036854775000, 9223372036854775807, 100):
            total += k & 3
            out[i] = total

    check(steps, Grid(1, 64), np.zeros(64, np.int64))


def test_empty_ranges_between_bounds_that_do_not_fit_in_32_bits():
    @ag.kernel
    def loops(starts, stops, out):
        i = ag.grid(1)
        total = 0
        for k in range(starts[i], min(stops[i], 5)):
            total += k + 1
        out[i] = total

    starts = np.array([2**32, 2**32 + 3, 2**31, 0, 2**40, 1, 2**31 + 5, 3] * 8, np.int64)
    stops = np.array([2**40, 2, 4, 5, 2**31, 4, -(2**33), 2**32 + 1] * 8, np.int64)
    check(loops, Grid(1, 64), starts, stops, np.zeros(64, np.int64))


def test_a_comparison_of_an_unsigned_cast_says_nothing_of_the_signed_value():
    @ag.kernel
    def compare(x, y, out):
        i = ag.grid(1)
        a = x[i]
        if np.uint64(a) < np.uint64(100):
            out[i] = y[a] if a < y.size else -1
        else:
            out[i] = a // 3 * 5

    check(compare, Grid(1, 64), np.array([-1, 5, 99, 100, -(2**40), 2**40, 0, 7] * 8, np.int64), np.arange(50), np.zeros(64, np.int64))


def test_loops_whose_checks_are_made_before_them():
    @ag.kernel
    def window(x, low, high, out):
        i = ag.grid(1)
        total = 0.0
        for k in range(low, high):
            total += x[k + 3] + x[k - 2]
        out[i] = total

    for low, high in ((2, 7), (2, 8), (0, 3), (-3, 4), (5, 2), (2**62, 2**62 + 2)):
        check(window, Grid(1, 8), np.arange(10.0), low, high, np.zeros(8))
