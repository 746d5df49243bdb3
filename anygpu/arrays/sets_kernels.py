"""Integers of a small range in tables, one element for each number from the least on; and what is in sorted arrays."""

# mypy: ignore-errors
# (the kernel compiler types these functions, once for each dtype)

from __future__ import annotations

import numpy as np

from anygpu.arrays.searching_kernels import place_in
from anygpu.engine.launch import func, kernel
from anygpu.frontend.vocabulary import atomic, grid


@func
def entry(value, low):
    """The place of a number in a table from ``low`` on; wraps as int64 do."""
    return np.int64(value) - np.int64(low)


@kernel(bounds_check=False)
def mark(x, low, table):
    """Set what the elements say in a table of flags: all that write an element write the same."""
    i = grid(1)
    table[entry(x[i], low)] = True


@kernel(bounds_check=False)
def mark_first(x, low, table):
    """The first place of each number, in a table of numbers that are greater than any place."""
    i = grid(1)
    atomic.min(table, entry(x[i], low), np.int64(i))


@kernel(bounds_check=False)
def look_up(x, low, table, found):
    """What a table has for each element."""
    i = grid(1)
    found[i] = table[entry(x[i], low)]


@kernel(bounds_check=False)
def in_table(x, low, high, table, found, invert):
    """Whether each element is flagged in a table of the numbers from ``low`` to ``high``, or is not, if ``invert``."""
    i = grid(1)
    value = x[i]
    flagged = False
    if value >= low and value <= high:
        flagged = bool(table[entry(value, low)])
    found[i] = flagged != invert


@kernel(bounds_check=False)
def in_sorted(x, table, found, invert, kind):
    """Whether each element is in a sorted array, compared as numbers of a kind, or is not, if ``invert``."""
    i = grid(1)
    value = kind(x[i])
    at = place_in(table, value, False, kind)
    there = False
    if at < table.size:
        there = kind(table[at]) == value
    found[i] = there != invert


@kernel(bounds_check=False)
def send(values, order, found):
    """``found[order[i]] = values[i]``, for an order in which no place occurs twice."""
    i = grid(1)
    found[order[i]] = values[i]
