"""The forms of compaction: elements where a mask holds, one after the other.

Parts of the mask are counted, each by a warp; then each warp stores what its part holds from where the parts before it end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from anygpu.ir.graph import Node, Place
from anygpu.passes.fusion import Access, Bindings, Form, Reduction, formed
from anygpu.passes.tracing import Tracer, Walked

COMPACT_PART = 2048  # elements of a mask that a warp goes through


def parts_of(mask: Node) -> int:
    """How many parts a mask has."""
    return -(-mask.size // COMPACT_PART)


def count_form(mask: Node, counts: Place) -> tuple[Form, Bindings]:
    """The kernel that stores how many elements of each part of a mask hold, as int64."""
    return _formed(mask, (), [(counts.address, (0,) * len(mask.shape), "int64", 8, ())], "count")


def compact_form(mask: Node, values: Sequence[Node], places: Sequence[Place], starts: Place) -> tuple[Form, Bindings]:
    """The kernel that stores the elements of arrays of a mask's shape where it holds. ``starts``: for each part the first element's
    place among the results, int64."""
    outputs = [(p.address, (0,) * len(mask.shape), v.dtype.name, v.dtype.itemsize, ()) for v, p in zip(values, places, strict=True)]
    form, bound = _formed(mask, values, outputs, "compact")
    return replace(form, loads=(*form.loads, Access("int64", ()))), replace(bound, loads=(*bound.loads, starts.address))


def _formed(mask: Node, values: Sequence[Node], outputs: Sequence[Walked], schedule: str) -> tuple[Form, Bindings]:
    tracer = Tracer(mask.shape)
    step = tracer.value(mask)
    epilogue = step + 1
    results = [tracer.value(value) for value in values] or [step]
    form, bound = formed(tracer, 0, (Reduction("logical_or", step, "bool"),), epilogue, results, outputs)
    form = replace(form, schedule=schedule, part=COMPACT_PART)  # type: ignore[arg-type]
    return form, replace(bound, parts=-(-math.prod(bound.extents) // COMPACT_PART))
