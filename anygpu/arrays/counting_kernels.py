"""Counts of bins, and sums of weights over bins in the order of the elements.

A function of an element, of edges and of a tuple of numbers says which bin the element is in: -1 is none.
"""

# mypy: ignore-errors
# (the kernel compiler types these functions, once for each dtype)

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from anygpu.arrays.searching_kernels import place_in
from anygpu.engine.launch import Kernel, func, kernel
from anygpu.frontend.vocabulary import atomic, blockIdx, grid, gridDim, laneid, shared, shfl_sync, syncthreads, threadIdx

BINS = 4096  # bins that a block counts by itself
THREADS, LANES = 256, 32
STRETCH = 1024  # elements whose bins a warp finds before it counts them
ALL = 0xFFFFFFFF


@func
def itself(value, edges, how):
    """The bin that an integer names."""
    return np.int64(value)


@func
def shifted(value, edges, how):
    """The bin of an integer, of which the first is for the least one. Wraps as int64 do."""
    return np.int64(value) - np.int64(how[0])


@func
def uniform(value, edges, how):
    """The bin of equal width that NumPy's histogram finds: by a division, and then by the edges, which it may miss by a rounding error."""
    low, high, first, width, count = how
    last = np.int32(edges.size - 2)
    found = np.int32(-1)
    if value >= low and value <= high:
        at = edges.dtype(value)
        found = np.int32((at - first) / width * count)
        found = max(min(found, last), np.int32(0))
        if at < edges[found]:
            found -= np.int32(found > 0)
        elif found < last and at >= edges[found + 1]:
            found += np.int32(1)
    return found


@func
def between(value, edges, how):
    """The bin between two neighbours of edges that rise, of which the last one is in the last bin."""
    last = edges.size - 1
    at = edges.dtype(value)
    found = np.int32(-1)
    if at >= edges[0] and at <= edges[last]:
        found = np.int32(min(place_in(edges, at, True, edges.dtype), last) - 1)
    return found


@functools.cache
def counter(bin_of: Callable[..., object], kind: str) -> Kernel:
    """The kernel that adds to ``counts`` how many elements are in each bin: of a ``kind``, see below."""
    if kind == "warps":

        @kernel(bounds_check=False)
        def count(x, edges, how, counts):
            """Blocks of a warp find the bins of a stretch together; then one work-item counts them, which on a CPU is fastest."""
            own = shared.array(BINS + 1, np.int32)
            found = shared.array(STRETCH, np.int32)
            lane, none = threadIdx.x, np.int32(counts.size)
            for b in range(lane, counts.size + 1, LANES):
                own[b] = 0
            each = -(-x.size // gridDim.x)
            start = blockIdx.x * each
            stop = min(start + each, x.size)
            for base in range(start, stop, STRETCH):
                length = min(stop - base, STRETCH)
                syncthreads()
                for k in range(lane, length, LANES):
                    b = np.int32(bin_of(x[base + k], edges, how))
                    found[k] = b if b >= 0 else none
                syncthreads()
                if lane == 0:
                    for k in range(length):
                        own[found[k]] += 1
            syncthreads()
            for b in range(lane, counts.size, LANES):
                atomic.add(counts, b, np.int64(own[b]))
    elif kind == "blocks":

        @kernel(bounds_check=False)
        def count(x, edges, how, counts):
            """Blocks count in shared memory, and add what they counted to the result."""
            own = shared.array(BINS, np.int32)
            t = threadIdx.x
            for b in range(t, counts.size, THREADS):
                own[b] = 0
            syncthreads()
            for i in range(blockIdx.x * THREADS + t, x.size, gridDim.x * THREADS):
                b = bin_of(x[i], edges, how)
                if b >= 0:
                    atomic.add(own, b, 1)
            syncthreads()
            for b in range(t, counts.size, THREADS):
                if own[b] > 0:
                    atomic.add(counts, b, np.int64(own[b]))
    else:

        @kernel(bounds_check=False)
        def count(x, edges, how, counts):
            """Every element is counted in the result."""
            i = grid(1)
            b = bin_of(x[i], edges, how)
            if b >= 0:
                atomic.add(counts, b, np.int64(1))

    return count


@functools.cache
def finder(bin_of: Callable[..., object]) -> Kernel:
    """The kernel of ``found[i]``: the bin of an element, counted on for each part of the elements; one past all bins for none."""

    @kernel(bounds_check=False)
    def find(x, edges, how, part, bins, found):
        i = grid(1)
        b = bin_of(x[i], edges, how)
        found[i] = np.uint32(i // part * bins + b) if b >= 0 else np.uint32(-(-x.size // part) * bins)

    return find


@kernel(bounds_check=False)
def add_in_order(order, starts, weights, sums):
    """``sums[b]``: the weights of the elements ``order[starts[b]:starts[b + 1]]``, added one after the other by a warp."""
    b, lane = blockIdx.x, laneid
    start, stop = starts[b], starts[b + 1]
    total = np.float64(0)
    for base in range(start, stop, LANES):
        mine = np.float64(weights[order[base + lane]]) if base + lane < stop else np.float64(0)
        for k in range(min(stop - base, LANES)):
            total += shfl_sync(ALL, mine, k)
    if lane == 0:
        sums[b] = total


@kernel(bounds_check=False)
def add_parts(sums, out, kind, wide):
    """``out[b]``: the sums of each part, added one after the other in a dtype, and rounded to it."""
    b = grid(1)
    total = kind(0)
    for part in range(sums.shape[0]):
        total = kind(wide(total) + wide(sums[part, b]))
    out[b] = total
