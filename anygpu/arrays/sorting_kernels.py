"""A stable radix sort: keys are unsigned integers, four bits of which put them in order at a time, the lowest first.

Each block counts the digits of its part; a scan of all counts says where the elements with each digit of each part begin; then each
block moves its part there, every work-item its own elements in order (D. Merrill, A. Grimshaw, High performance and scalable radix
sorting, 2011).
"""

from __future__ import annotations

import numpy as np

import anygpu as ag

DIGITS, BITS = 16, 4
THREADS, ITEMS = 64, 16
PART = THREADS * ITEMS  # elements of a row that a block takes


@ag.kernel(bounds_check=False)
def keys_of_floats(x, keys, kind):
    """Keys that are in the order of floats: -0 is 0, and NaN comes last."""
    row, i = ag.grid(2)
    value = x[row, i]
    bits = ag.bitcast(value, kind)
    sign = kind(1) << kind(8 * keys.itemsize - 1)
    if value != value:
        keys[row, i] = ~kind(0)
    elif value == 0:
        keys[row, i] = sign
    elif bits & sign != 0:
        keys[row, i] = ~bits
    else:
        keys[row, i] = bits | sign


@ag.kernel(bounds_check=False)
def keys_of_integers(x, keys, kind):
    """Keys that are in the order of signed integers."""
    row, i = ag.grid(2)
    keys[row, i] = kind(x[row, i]) ^ kind(kind(1) << kind(8 * keys.itemsize - 1))


@ag.func
def digit(keys, row, i, shift):
    kind = keys.dtype
    return np.int32((keys[row, i] >> kind(shift)) & kind(DIGITS - 1))


@ag.func
def count_own(keys, table, row, start, t, shift):
    """Count the digits of a work-item's own elements in its column of a table."""
    for d in range(DIGITS):
        table[d, t] = 0
    for i in range(start, min(start + ITEMS, keys.shape[1])):
        table[digit(keys, row, i, shift), t] += 1


@ag.kernel(bounds_check=False)
def count_digits(keys, counts, shift):
    """``counts[row, digit, part]``: how many keys of a part have a digit."""
    table = ag.shared.array((DIGITS, THREADS), np.int32)
    row, part, t = ag.blockIdx.x // counts.shape[2], ag.blockIdx.x % counts.shape[2], ag.threadIdx.x
    start = part * PART + t * ITEMS
    count_own(keys, table, row, start, t, shift)
    ag.syncthreads()
    if t < DIGITS:
        total = np.int64(0)
        for other in range(THREADS):
            total += table[t, other]
        counts[row, t, part] = total


@ag.kernel(bounds_check=False)
def move_keys(keys, order, starts, new_keys, new_order, shift):
    """Move the keys of a part, and where they came from, to where ``starts[row, digit, part]`` says that those with a digit begin."""
    table = ag.shared.array((DIGITS, THREADS), np.int64)
    row, part, t = ag.blockIdx.x // starts.shape[2], ag.blockIdx.x % starts.shape[2], ag.threadIdx.x
    start = part * PART + t * ITEMS
    count_own(keys, table, row, start, t, shift)
    ag.syncthreads()
    if t < DIGITS:
        at = starts[row, t, part]
        for other in range(THREADS):
            here = table[t, other]
            table[t, other] = at
            at += here
    ag.syncthreads()
    for i in range(start, min(start + ITEMS, keys.shape[1])):
        d = digit(keys, row, i, shift)
        to = table[d, t]
        table[d, t] = to + 1
        new_keys[row, to] = keys[row, i]
        new_order[row, to] = order[row, i]
