"""Elements where a mask holds. How many there are must be known to go on: so this computes at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from anygpu.engine.evaluate import ready
from anygpu.engine.fused import fused_kernel
from anygpu.engine.places import HostMemory, allocate, download, host_view, upload
from anygpu.ir.graph import Memory, Node, Place
from anygpu.passes.compaction import compact_form, count_form, parts_of


def compact(mask: Node, values: Sequence[Node], device: str) -> list[Node]:
    """The elements of arrays of a mask's shape where the mask, of bools, holds, in C order: computed nodes of one axis.

    Everything is computed by one kernel where the graph allows it; no node below may be an update that is pending.
    """
    mask, *values = ready([mask, *values], device)
    parts = parts_of(mask)
    starts = np.zeros(parts + 1, np.int64)
    if parts:
        counts = Place(allocate(8 * parts, device), 0, (8,))
        form, bound = count_form(mask, counts)
        fused_kernel(form, device).launch(bound)
        dtype = np.dtype(np.int64)
        held = host_view(counts, (parts,), dtype) if device == "cpu" else download(counts, (parts,), dtype)
        np.cumsum(held, out=starts[1:])
    total = int(starts[-1])
    places = [Place(allocate(total * v.dtype.itemsize, device), 0, (v.dtype.itemsize,)) for v in values]
    if total:
        memory: Memory = HostMemory(starts) if device == "cpu" else upload(starts, device)
        form, bound = compact_form(mask, values, places, Place(memory, 0, (8,)))
        fused_kernel(form, device).launch(bound)
    return [Node("source", (), (), (total,), v.dtype, p) for v, p in zip(values, places, strict=True)]
