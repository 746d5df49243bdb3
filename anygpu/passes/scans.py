"""The forms of scans: running sums and their like along one axis.

A long axis is scanned in parts, in one order on every device: what each part comes to (as `part_form` reduces it), a scan of that, and
then every part for itself, from what comes before it on. What the parts of a row come to is scanned at once, however many they are: then
all three can be run in slices (`passes.slices`), each of which only needs the last of the one before.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from anygpu.dtypes import dtype_named
from anygpu.ir.graph import Node, Place
from anygpu.passes.fusion import SERIAL_PART, Access, Bindings, Form, Reducing, formed, part_form, traced_reductions

ROW_PART = 2048  # elements of a row: 32 parts stay in a core's own cache
ENOUGH = 4096  # columns that are scanned from end to end, since there are enough of them


def scan_parts(
    reducing: Reducing, axis: int, make: Callable[[int, str], Place]
) -> tuple[Form, Bindings, Node, int, bool] | None:  # fmt: skip
    """The kernel that reduces the parts of a long axis, the node of what they come to, its axis of parts, and whether that is scanned at
    once. None if the axis is scanned at once."""
    shape = reducing.value.shape
    found = part_form([reducing], (axis,), make, ROW_PART)
    if found is None:
        return None
    form, bound, rest, axes = found
    if form.schedule == "serial" and math.prod(shape) // shape[axis] >= ENOUGH:
        return None
    return form, bound, rest[0].value, axes[0], form.schedule == "block"


def scan_form(reducing: Reducing, axis: int, node: Node, place: Place, before: Place | None) -> tuple[Form, Bindings]:
    """The kernel that scans along an axis and stores ``node`` at a place. ``before``: where the scan of the parts lies in C order, if they
    were reduced."""
    tracer, kept, found, _ = traced_reductions([reducing], (axis,))
    order = (*[a for a in range(len(node.shape)) if a != axis], axis)
    output = (place.address, tuple([place.strides[a] for a in order]), node.dtype.name, node.dtype.itemsize, ())
    form, bound = formed(tracer, kept, found, len(tracer.steps), [found[0].step], [output])
    rows = form.schedule in ("middle", "block")
    form = replace(form, schedule="rows" if rows else "columns")
    if before is None:
        return form, bound
    part = ROW_PART if rows else SERIAL_PART
    form = replace(form, part=part, loads=(*form.loads, Access(reducing.dtype, ())))
    return form, replace(bound, loads=(*bound.loads, before.address), parts=-(-bound.extents[-1] // part))


def accumulated(dtype: str) -> str:
    """The dtype in which a scan whose result has a dtype adds up: halves in float32."""
    return "float32" if dtype_named(dtype).is_half else dtype
