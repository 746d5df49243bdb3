"""Kernels in stages: reductions over the same axes that build on one another, and what is computed of them element by element.

A softmax's maximum and its sum, a mean and the squares around it: each stage goes once more through the elements of a row, which are in
the cache by then, where kernels of their own would fetch them from memory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from anygpu.ir.graph import AxisMap, Node, Place, Shape, contiguous
from anygpu.passes.fusion import ARGUMENT, SHORT_LENGTH, Bindings, Form, Reduction, formed, is_once, is_whole, part_length
from anygpu.passes.tracing import Misaligned, Step, Tracer, Walked

MOST_LOADS = 16


@dataclass(frozen=True, slots=True)
class Chain:
    """What a kernel in stages computes: nodes of the shape ``shape``, which is reduced over ``axes``, and what is reduced of it.

    Attributes:
        reductions: Those of each stage.
        held: For each stage the nodes of the whole shape that are stored in it, since a later stage or someone else reads them.
        results: The other nodes that are stored, computed after the last stage.
        visible: Those of the stored nodes, by id, that are read when the kernel is done.
    """

    shape: Shape
    axes: tuple[int, ...]
    reductions: tuple[tuple[Node, ...], ...]
    held: tuple[tuple[Node, ...], ...]
    results: tuple[Node, ...]
    visible: frozenset[int]

    @property
    def stored(self) -> list[Node]:
        """All nodes that need a place, in the order of `staged_form`."""
        return [*(node for nodes in self.held for node in nodes), *self.results]

    def shows(self, shape: Shape) -> AxisMap | None:
        """How an array of a shape is seen from the kernel's domain, whose kept axes come first: one of the whole shape, or with an element
        for each result of a reduction, whether the reduced axes are kept as ones or not."""
        kept = [axis for axis in range(len(self.shape)) if axis not in self.axes]
        if shape == self.shape:
            order = (*kept, *self.axes)
            return tuple((0, order.index(axis), 1) for axis in range(len(shape)))
        if shape == tuple([self.shape[axis] for axis in kept]):
            return tuple((0, n, 1) for n in range(len(kept)))
        if shape == tuple([1 if axis in self.axes else n for axis, n in enumerate(self.shape)]):
            return tuple((0, -1, 0) if axis in self.axes else (0, kept.index(axis), 1) for axis in range(len(shape)))
        return None


def staged_form(chain: Chain, places: Sequence[Place], assumed: Mapping[int, Place] | None = None) -> tuple[Form, Bindings] | None:
    """The kernel of a chain, whose stored nodes go to ``places``. ``assumed`` says of nodes, by id, where they will lie.

    None where one kernel cannot do it: where a value is read by another work-item than computes it, or reductions are in parts.
    """
    kept = [n for axis, n in enumerate(chain.shape) if axis not in chain.axes]
    tracer = Tracer((*kept, *(chain.shape[axis] for axis in chain.axes)))
    tracer.assumed = dict(assumed or {})
    try:
        reductions, cuts, steps = _stages(tracer, chain)
        epilogue = len(tracer.steps)
        tracer.forget()
        steps += [tracer.value(node, chain.shows(node.shape)) for node in chain.results]
    except Misaligned:
        return None
    outputs = [_output(tracer.domain, node, place, chain) for node, place in zip(chain.stored, places, strict=True)]
    form, bound = formed(tracer, len(kept), tuple(reductions), epilogue, steps, outputs)
    inner = bound.extents[form.kept :]
    form = replace(form, cuts=tuple(cuts))
    in_parts = part_length(form.schedule, inner) is not None
    if in_parts or len(form.loads) > MOST_LOADS or not _is_even(form, math.prod(inner), _in_rows(chain)):
        return None
    return form, bound


def _in_rows(chain: Chain) -> bool:
    """Whether an array in C order has the elements of a row side by side."""
    strides = contiguous(chain.shape, 1)
    return next((strides[axis] == 1 for axis in reversed(chain.axes) if chain.shape[axis] > 1), True)


def _is_even(form: Form, length: int, in_rows: bool) -> bool:
    """Whether each stage would reduce in the same order in a kernel of its own, which reads what earlier ones have stored in C order: if
    every load that is not one element for a row, or the same for all rows, walks memory as those do, and each stage has such a load."""
    whole = [is_whole(access, form.kept) for access in form.loads]
    short = length <= SHORT_LENGTH
    if length < 2 or (short and not any(map(is_once, form.loads))):
        return True
    moving = set()
    for n, access in enumerate(form.loads):
        rows = access.walk[-1] == "1"
        columns = not rows and whole[n] and access.walk[form.kept - 1] != "0"
        if (columns and in_rows) or (rows and whole[n] and not in_rows):
            return False
        if is_once(access) if short else (columns or (rows and (in_rows or whole[n]))):
            moving.add(("load", n))
    return (short and not in_rows) or all(any(form.steps[n] in moving for n in stage.steps) for stage in form.stages)


def _stages(tracer: Tracer, chain: Chain) -> tuple[list[Reduction], list[tuple[int, int]], list[int]]:
    """The reductions, where each stage but the first begins (among the steps and the reductions), and the steps of what is held."""
    reductions: list[Reduction] = []
    cuts: list[tuple[int, int]] = []
    held: list[int] = []
    whole = chain.shows(chain.shape)
    for nodes, kept in zip(chain.reductions, chain.held, strict=True):
        if reductions:
            cuts.append((len(tracer.steps), len(reductions)))
            tracer.forget()
        made: dict[int, tuple[AxisMap, Step]] = {}
        here: dict[Reduction, int] = {}
        for node in nodes:
            function, operand = str(node.attrs[0]), node.args[0]
            value = operand.dtype.name if function in ARGUMENT else ""
            reduction = Reduction(function, tracer.value(operand, whole), node.dtype.name, value)
            number = here.setdefault(reduction, len(reductions))
            if number == len(reductions):
                reductions.append(reduction)
            shown = chain.shows(node.shape)
            assert shown is not None
            made[id(node)] = shown, ("reduced", number)
        for node in kept:
            held.append(tracer.value(node, whole))
            assert whole is not None
            made[id(node)] = whole, ("stored", len(held) - 1)
        tracer.made.update(made)
    return reductions, cuts, held


def _output(domain: Shape, node: Node, place: Place, chain: Chain) -> Walked:
    """How a node's memory is walked along the domain."""
    along = [0] * len(domain)
    for (_, axis, step), stride in zip(chain.shows(node.shape) or (), place.strides, strict=True):
        if axis >= 0:
            along[axis] += step * stride
    return place.address, tuple(along), node.dtype.name, node.dtype.itemsize, ()

