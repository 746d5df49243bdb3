"""Two kernels in slices: rows are reduced, and columns of the same rows after them.

``x.T @ f(x @ w)``, the gradient of every linear model, goes through ``x`` twice. If both kernels run slice by slice, some rows at a time,
the second finds in the cache what the first has fetched; and what the first computes of a row only needs to be there for its slice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from anygpu.dtypes import dtype_named
from anygpu.passes.fusion import REDUCE_BLOCK, SERIAL_PART, Bindings, Form, is_once

WORTH_BYTES = 4 << 20  # smaller arrays stay in the cache from one kernel to the next
SLICE_BYTES = 128 << 10  # of the shared array: what stays in a core's own cache


@dataclass(frozen=True, slots=True)
class Slices:
    """How two launches are run in slices: the blocks of each in one, and how many there are."""

    blocks: tuple[int, int]
    count: int


def in_slices(first: tuple[Form, Bindings], second: tuple[Form, Bindings], memory: Callable[[int], object]) -> Slices | None:
    """How a launch that reduces rows and the next, which reduces columns in parts, are run in slices; None if they cannot be, or if nothing
    is gained. ``memory`` says of an address which memory it is in."""
    form, bound = first
    other, given = second
    rows = bound.extents[0]
    if form.schedule not in ("tiny", "short", "middle", "block") or form.part or form.kept != 1:
        return None
    if other.schedule != "serial" or not other.part or (other.kept, other.ndim) != (1, 2) or given.extents[1] != rows:
        return None
    strides, others = walked(form, bound), walked(other, given)
    count = len(form.loads)
    made = {memory(address): (address, strides[count + n]) for n, address in enumerate(bound.outputs)}
    if len(made) != len(bound.outputs) or not made.keys().isdisjoint(map(memory, bound.loads)):
        return None
    for address, along in zip(given.loads, others, strict=False):
        if memory(address) in made and not _same_rows(made[memory(address)], (address, along)):
            return None
    if not {memory(address) for address in given.outputs}.isdisjoint({*made, *map(memory, bound.loads), *map(memory, given.loads)}):
        return None
    size = _shared(form, bound, other, given)
    if size * rows < WORTH_BYTES:
        return None
    parts = min(max(1, SLICE_BYTES // (size * SERIAL_PART)), given.parts)
    by_row = form.schedule in ("middle", "block")
    blocks = SERIAL_PART // (1 if by_row else REDUCE_BLOCK)
    return Slices((parts * blocks, parts * -(-given.extents[0] // REDUCE_BLOCK)), -(-given.parts // parts))


def _same_rows(made: tuple[int, Sequence[int] | None], read: tuple[int, Sequence[int] | None]) -> bool:
    """Whether a kernel reads for each row what the one before has stored for it: all of it by columns, or one element."""
    (address, stored), (start, along) = made, read
    return stored is not None and along is not None and address == start and along[1] == stored[0] and along[0] in (0, stored[-1])


def _shared(form: Form, bound: Bindings, other: Form, given: Bindings) -> int:
    """The bytes of a row of an array that both kernels may read as a whole. Whether it is the same one is not known: a plan serves all
    arrays of such shapes, and slices of two take no longer."""
    ours = {access.dtype for access in form.loads if is_once(access)}
    theirs = {access.dtype for access in other.loads if is_once(access)}
    if math.prod(bound.extents[1:]) != given.extents[0]:
        return 0
    return max((dtype_named(dtype).itemsize for dtype in ours & theirs), default=0) * given.extents[0]


def walked(form: Form, bound: Bindings) -> list[Sequence[int] | None]:
    """The strides of each load and output along the domain, in elements; None for those whose indices are computed."""
    found: list[Sequence[int] | None] = []
    rest = iter(bound.strides)
    for access in (*form.loads, *(access for _, access in form.outputs)):
        strides = [{"0": 0, "1": 1}[walk] if walk != "s" else next(rest) for walk in access.walk]
        for _ in access.computed:
            next(rest)
        found.append(None if access.computed else strides)
    return found
