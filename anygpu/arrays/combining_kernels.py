"""Runs of equal keys, whose values are combined one after the other by a warp."""

# mypy: ignore-errors
# (the kernel compiler types these functions, once for each dtype)

from __future__ import annotations

import functools

import numpy as np

from anygpu.engine.launch import Kernel, kernel
from anygpu.frontend.vocabulary import blockIdx, laneid, shfl_sync

LANES = 32
ALL = 0xFFFFFFFF


@functools.cache
def combiner(function: np.ufunc) -> Kernel:
    """The kernel of a function of two numbers: each run of equal ``keys``, which begin at ``starts``, is an element of ``x``. It is
    combined with the values whose numbers ``order`` has for the run, in that order."""

    @kernel(bounds_check=False)
    def combine(x, keys, order, starts, values):
        run, lane = blockIdx.x, laneid
        start = starts[run]
        stop = starts[run + 1] if run + 1 < starts.size else order.size
        total = x[keys[start]]
        for base in range(start, stop, LANES):
            mine = values[order[base + lane]] if base + lane < stop else total
            for k in range(min(stop - base, LANES)):
                total = x.dtype(function(total, shfl_sync(ALL, mine, k)))
        if lane == 0:
            x[keys[start]] = total

    return combine
