"""Kernels in slices: what follows finds in the cache what went before has fetched.

``x.T @ f(x @ w)``, the gradient of every linear model, goes through ``x`` twice: rows are reduced, and then columns of the same rows. Both
kernels run slice by slice, some rows at a time. A scan of a long row goes through it twice, too: its parts are reduced, what they come to
is scanned, and each part is scanned from there on. The second step takes what the slice before has come to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from anygpu.dtypes import dtype_named
from anygpu.passes.fusion import REDUCE_BLOCK, SERIAL_PART, WARP, Bindings, Form, is_once
from anygpu.passes.scans import ROW_PART

WORTH_BYTES = 4 << 20  # smaller arrays stay in the cache from one kernel to the next
SLICE_BYTES = 256 << 10  # of the shared array: what stays in a core's own cache


Launch = tuple[Form, Bindings]
Memories = Callable[[int], object]  # which memory an address is in


@dataclass(frozen=True, slots=True)
class Slices:
    """How launches are run in slices.

    Attributes:
        forms: The kernels.
        blocks: How many blocks of each are one slice.
        count: How many slices there are.
        ordered: The kernel whose slices run one after the other; -1: none.
    """

    forms: tuple[Form, ...]
    blocks: tuple[int, ...]
    count: int
    ordered: int = -1


def in_slices(launches: Sequence[Launch], memory: Memories) -> Slices | None:
    """How the first of some launches are run in slices; None if they cannot be, or if nothing is gained."""
    match launches:
        case [first, second, third, *_] if (found := _scan(first, second, third, memory)) is not None:
            return found
        case [first, second, *_]:
            return _rows_and_columns(first, second, memory)
    return None


def _scan(first: Launch, second: Launch, third: Launch, memory: Memories) -> Slices | None:
    """The three kernels of a scan of one row."""
    (form, bound), (middle, given), (last, then) = first, second, third
    if (form.schedule, middle.schedule, last.schedule) != ("block", "rows", "rows") or middle.part:
        return None
    if not form.part == last.part == ROW_PART or math.prod(bound.extents[: form.kept]) != 1 or given.extents != (1, bound.parts):
        return None
    if given.loads != bound.outputs or then.loads[-1:] != given.outputs or then.parts != bound.parts or len(form.reductions) != 1:
        return None
    made = [memory(address) for address in (*bound.outputs, *given.outputs, *then.outputs)]
    if len(set(made)) != len(made) or not {*map(memory, bound.loads), *map(memory, then.loads[:-1])}.isdisjoint(made):
        return None
    itemsize = max((dtype_named(access.dtype).itemsize for access in form.loads), default=0)
    if itemsize * bound.extents[-1] < WORTH_BYTES:
        return None
    warps = REDUCE_BLOCK // WARP
    return Slices((form, replace(middle, schedule="carried"), last), (WARP, 1, WARP // warps), -(-bound.parts // WARP), 1)


def _rows_and_columns(first: Launch, second: Launch, memory: Memories) -> Slices | None:
    """A launch that reduces rows, and the next, which reduces columns in parts."""
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
    columns = parts * -(-given.extents[0] // REDUCE_BLOCK)
    return Slices((form, replace(other, cached=True)), (parts * blocks, columns), -(-given.parts // parts))


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
