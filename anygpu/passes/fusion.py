"""From graphs to the forms of fused kernels: what one element of the result computes, without sizes, addresses or numbers.

A `Form` is what a kernel is compiled for and found again by; `Bindings` is what changes from launch to launch. Views disappear here:
whatever shows an array in another shape becomes part of how its memory is walked, so that an access is an address and a stride along
each axis of the kernel's domain. Axes that every access walks as one are merged.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from anygpu.dtypes import DType, dtype_named
from anygpu.ir.graph import AxisMap, Node, Place, Shape, contiguous, identity
from anygpu.passes.tracing import Step, Tracer, Walked

Schedule = Literal[
    "map", "serial", "tiny", "short", "middle", "block", "ordered", "claim", "winner", "atomic", "columns", "rows", "carried", "count",
    "compact"
]  # fmt: skip
# Along each axis "0" (the same element), "1" (the next element; of the last kept or reduced axis) or "s" (a stride of the launch).
Walk = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Access:
    """An array that a kernel reads or writes: its dtype by name and how its memory is walked. The values of the steps ``computed`` are
    indices along further axes, each of a stride of the launch."""

    dtype: str
    walk: Walk
    computed: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Reduction:
    """The value of a step, combined over the reduced axes by a function, in a dtype.

    "argmin" and "argmax" look for a value of the dtype ``value`` and give where it is: its position in C order of the reduced axes, or
    what the step ``position`` says (-1: no step).
    """

    function: str
    step: int
    dtype: str
    value: str = ""
    position: int = -1

    @property
    def parts(self) -> tuple[str, ...]:
        """The dtypes of what a part of the reduced axes comes to."""
        return (self.value, self.dtype) if self.value else (self.dtype,)


@dataclass(frozen=True, slots=True)
class Reducing:
    """An array to be reduced by a function, in a dtype. ``position`` says where the candidates of "argmin" and "argmax" are, if they are
    the best of parts."""

    function: str
    value: Node
    dtype: str
    position: Node | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """Steps of a form that are computed for each element, the outputs that are stored then, and the reductions of the values."""

    steps: Sequence[int]
    outputs: Sequence[int]
    reductions: tuple[Reduction, ...] = ()


@dataclass(frozen=True, slots=True)
class Form:
    """The structure of a fused kernel. ``steps`` compute values from earlier ones:

    ("load", n), ("scalar", n), ("index", axis, n: its start and step are the integers n and n + 1), ("map", function, operands, dtypes,
    dtype), ("cast", operand, dtype), ("reduced", n), ("affine", operand, n: start and step are the integers n and n + 1), ("wrap", operand,
    n: an index, made to lie within an extent, the integer n), ("stored", n: what the output n is by now). ``kept`` axes come first, then
    those that are reduced, if any; ``outputs`` say which steps are stored and how; steps from ``epilogue`` on follow the reduction.
    ``cuts`` say where further stages begin, among the steps and the reductions: each goes through the reduced axes once more.

    Each result is the work of one work-item ("map", or "serial" for reductions) or block ("block", or "middle" for rows of at most an
    element for each work-item); "tiny" and "short" rows are a warp's, 32 at a time, or a work-item's. "ordered" is one work-item that
    stores every element of the axes that are not kept, one after the other, combined with what is there by the function ``combine``, if
    any; "atomic" combines elements in any order. "claim" stores the greatest of the positions of elements in C order that go to one
    place; "winner" stores elements whose positions are found there, in the last of the loads.
    "columns" and "rows" are scans along the last axis, by a work-item or a warp for each part of it; what comes before a part is the last
    of the loads. "carried" is a scan of one row by a warp for every 32 elements, which run one after the other. "count" and "compact" go
    through a mask, by a warp for each part of it.
    """

    ndim: int
    kept: int
    steps: tuple[Step, ...]
    loads: tuple[Access, ...]
    scalars: tuple[str, ...]
    reductions: tuple[Reduction, ...]
    epilogue: int
    outputs: tuple[tuple[int, Access], ...]
    integers: int
    schedule: Schedule = "map"
    part: int = 0  # how much of the reduced axes a kernel takes that reduces them in parts; 0: all
    small: bool = True
    combine: str = ""
    cuts: tuple[tuple[int, int], ...] = ()
    cached: bool = False  # whether what it reads is in the cache

    @property
    def stages(self) -> list[Stage]:
        """The stages of its reductions; of a map the one that it has."""
        found = []
        for (first, a), (end, b) in itertools.pairwise(((0, 0), *self.cuts, (self.epilogue, len(self.reductions)))):
            outputs = [n for n, (step, _) in enumerate(self.outputs) if first <= step < end]
            found.append(Stage(range(first, end), outputs, self.reductions[a:b]))
        return found

    @property
    def spread(self) -> list[int]:
        """The outputs after the reductions that have an element for each element of the reduced axes."""
        return [
            n for n, (step, access) in enumerate(self.outputs)
            if step >= self.epilogue and any(walk != "0" for walk in access.walk[self.kept :])
        ]  # fmt: skip

    @property
    def ranged(self) -> bool:
        """Whether it is launched over a range; else over a grid of blocks of `REDUCE_BLOCK`."""
        return self.schedule not in ("tiny", "short", "middle", "block", "rows", "carried", "count", "compact")


@dataclass(frozen=True, slots=True)
class Bindings:
    """What a launch gives to a form: extents of the domain, addresses and strides (in elements, where walked by "s"), and numbers."""

    extents: Shape
    loads: tuple[int, ...]
    outputs: tuple[int, ...]
    strides: tuple[int, ...]
    scalars: tuple[object, ...]
    integers: tuple[int, ...]
    parts: int = 1


def trace_map(roots: Sequence[Node]) -> tuple[Tracer, list[int]]:
    """The steps that compute nodes of one shape, and the step of each node."""
    tracer = Tracer(roots[0].shape)
    return tracer, [tracer.value(root) for root in roots]


def map_form(tracer: Tracer, results: Sequence[int], roots: Sequence[Node], places: Sequence[Place]) -> tuple[Form, Bindings]:
    """The kernel of traced nodes that puts each at a place."""
    return _close(tracer, len(tracer.domain), (), len(tracer.steps), results, roots, places)


# The one order in which reductions combine, on every device: parts of so many elements (of a block) or rows (of a work-item), and then
# the parts.
BLOCK_PART, SERIAL_PART = 8192, 256
REDUCE_BLOCK, WARP = 256, 32  # work-items that reduce together, and lanes that exchange values
ARGUMENT = ("argmin", "argmax")  # reductions that say where a value is
# Functions that are rather computed again than stored.
CHEAP = frozenset((
    "add", "subtract", "multiply", "divide", "negative", "absolute", "maximum", "minimum", "where", "equal", "not_equal", "less",
    "less_equal", "greater", "greater_equal", "logical_and", "logical_or", "logical_not", "bitwise_and", "bitwise_or",
    "bitwise_xor", "invert", "square", "sqrt", "floor", "ceil", "trunc", "rint", "isnan", "isfinite", "isinf", "signbit",
    "copysign", "positive", "left_shift", "right_shift",
))  # fmt: skip


def is_costly(step: Step) -> bool:
    """Whether a step of a form is rather not computed again."""
    return step[0] == "map" and step[1] not in CHEAP


def part_length(schedule: str, inner: Shape) -> int | None:
    """How much of reduced axes a kernel takes that reduces them in parts; None if they are short enough to be reduced at once."""
    length, part = (math.prod(inner), BLOCK_PART) if schedule == "block" else (inner[0] if inner else 1, SERIAL_PART)
    return part if length > 2 * part else None


def reduce_form(
    reducing: Sequence[Reducing], axes: tuple[int, ...], reduced: Sequence[Node], roots: Sequence[Node], places: Sequence[Place]
) -> tuple[Form, Bindings]:
    """The kernel that reduces arrays of one shape over the same axes and computes ``roots`` from that.

    ``reduced`` are the nodes that the results stand for.
    """
    tracer, kept, found, where = traced_reductions(reducing, axes)
    epilogue = len(tracer.steps)
    tracer.forget()
    shown = identity(roots[0].shape)
    tracer.made = {id(node): (shown, ("reduced", n)) for node, n in zip(reduced, where, strict=True)}
    results = [tracer.value(root, shown if len(axes) else None) for root in roots]
    return _close(tracer, kept, found, epilogue, results, roots, places)


def part_form(
    reducing: Sequence[Reducing], axes: tuple[int, ...], make: Callable[[int, str], Place], row_part: int = BLOCK_PART
) -> tuple[Form, Bindings, list[Reducing], tuple[int, ...]] | None:
    """The kernel that reduces parts of the axes, where they are long: its bindings, and what is to be reduced then, over which axes.
    ``make`` gives room for so many results of a dtype; ``row_part`` is how much of a row is a part. None if the axes are reduced at
    once."""
    tracer, kept, found, where = traced_reductions(reducing, axes)
    domain = tracer.domain[:kept]
    form, bound = _close(tracer, kept, found, len(tracer.steps), (), (), ())
    inner = bound.extents[form.kept :]
    part = part_length(form.schedule, inner)
    if part is None:
        return None
    first = form.schedule == "serial"
    part = part if first else row_part
    parts = -(-(inner[0] if first else math.prod(inner)) // part)
    shape = (parts, *domain) if first else (*domain, parts)
    made = [[_part_node(shape, dtype, make) for dtype in reduction.parts] for reduction in found]
    bound = replace(bound, outputs=tuple([node.place.address for nodes in made for node in nodes if node.place]), parts=parts)
    rest = [Reducing(r.function, made[n][0], r.dtype, *made[n][1:]) for r, n in zip(reducing, where, strict=True)]
    return replace(form, part=part), bound, rest, (0,) if first else (len(shape) - 1,)


def _part_node(shape: Shape, dtype: str, make: Callable[[int, str], Place]) -> Node:
    place = make(math.prod(shape), dtype)
    known = dtype_named(dtype)
    return Node("source", (), (), shape, known, Place(place.memory, place.offset, contiguous(shape, known.itemsize)))


def traced_reductions(reducing: Sequence[Reducing], axes: tuple[int, ...]) -> tuple[Tracer, int, tuple[Reduction, ...], list[int]]:
    """The traced operands of reductions, the number of kept axes, the reductions that differ, and which of them each is."""
    source = reducing[0].value.shape
    kept = [axis for axis in range(len(source)) if axis not in axes]
    order = (*kept, *axes)
    tracer = Tracer(tuple(source[axis] for axis in order))
    seen = tuple((0, order.index(axis), 1) for axis in range(len(source)))
    found: dict[Reduction, int] = {}
    where = []
    for each in reducing:
        value = each.value.dtype.name if each.function in ARGUMENT else ""
        position = -1 if each.position is None else tracer.value(each.position, seen)
        reduction = Reduction(each.function, tracer.value(each.value, seen), each.dtype, value, position)
        where.append(found.setdefault(reduction, len(found)))
    return tracer, len(kept), tuple(found), where


# The atomics of functions that give the same in whatever order elements of some kinds are combined.
ATOMIC = {
    "add": "add", "subtract": "sub", "bitwise_and": "and", "bitwise_or": "or", "bitwise_xor": "xor", "maximum": "max", "minimum": "min",
}  # fmt: skip


def in_any_order(function: str, dtype: DType) -> bool:
    """Whether a scatter may combine elements by atomics."""
    return function in ATOMIC and dtype.kind in ("biu" if function != "subtract" else "iu")


def scatter_form(
    value: Node, indices: Sequence[Node], target: Place, shape: Shape, axes: AxisMap, schedule: Schedule = "map", combine: str = "",
    claims: Node | None = None,
) -> tuple[Form, Bindings]:  # fmt: skip
    """The kernel that stores an array in the elements of a target of ``shape`` that ``axes`` choose as a gather's attributes do.

    By the schedule "map", in any order; "ordered", one after the other in C order, so that of those that go to one element the last one
    stays; or as a `Form` has it. The schedule "winner" has ``claims`` of the target's shape.
    """
    tracer = Tracer(value.shape)
    step = tracer.value(value)
    seen = tracer.chosen(axes, indices, shape, None)
    if claims is not None and claims.place is not None:
        address, strides, computed = tracer.walk(claims.place, seen, shape)
        tracer.places.append((address, strides, claims.dtype.name, claims.dtype.itemsize, computed))
    address, strides, computed = tracer.walk(target, seen, shape)
    output = (address, strides, value.dtype.name, value.dtype.itemsize, computed)
    kept = 0 if schedule == "ordered" else len(tracer.domain)
    form, bound = formed(tracer, kept, (), len(tracer.steps), [step], [output])
    return replace(form, schedule=schedule, combine=combine), bound


def uniform_steps(form: Form, kept: int = 0) -> set[int]:
    """The steps that have one value for the whole domain; or along the axes that are not ``kept``, for each element of those that are."""
    found: set[int] = set()
    for n, step in enumerate(form.steps):
        match step:
            case ("scalar" | "reduced", _):
                same = True
            case ("load", int(load)):
                access = form.loads[load]
                same = all(walk == "0" for walk in access.walk[kept:]) and found.issuperset(access.computed)
            case ("index", int(axis), _):
                same = axis < kept
            case ("cast" | "affine" | "wrap", int(operand), _):
                same = operand in found
            case ("map", _, tuple(operands), _, _):
                same = found.issuperset(operands)
            case _:
                same = False
        if same:
            found.add(n)
    return found


def _close(
    tracer: Tracer, kept: int, reductions: tuple[Reduction, ...], epilogue: int, results: Sequence[int], roots: Sequence[Node],
    places: Sequence[Place],
) -> tuple[Form, Bindings]:  # fmt: skip
    padding = (0,) * (len(tracer.domain) - kept)
    outputs: list[Walked] = [
        (place.address, place.strides + padding, root.dtype.name, root.dtype.itemsize, ())
        for root, place in zip(roots, places, strict=True)
    ]
    return formed(tracer, kept, reductions, epilogue, results, outputs)


def formed(
    tracer: Tracer, kept: int, reductions: tuple[Reduction, ...], epilogue: int, results: Sequence[int], outputs: Sequence[Walked]
) -> tuple[Form, Bindings]:
    """The form of traced steps, of which ``results`` are stored by the accesses ``outputs``."""
    domain = tracer.domain
    accesses = [*tracer.places, *outputs]
    steps: Sequence[Step] = tracer.steps
    if len(domain) == kept and not tracer.indexed and all(_is_whole(a, domain) for a in accesses):
        extents: Shape = (math.prod(domain),)
        walks: list[Shape] = [(a[3] if a[1] == contiguous(domain, a[3]) else 0,) for a in accesses]
        kept = 1
    else:
        extents, walks, kept, moved = _merge(domain, [a[1] for a in accesses], kept, tracer.indexed)
        if moved is not None:
            steps = [("index", moved[s[1]], s[2]) if s[0] == "index" else s for s in steps]  # type: ignore[index]
    strides: list[int] = []
    forms: list[Access] = []
    reach = 0
    for (_, _, dtype, itemsize, computed), walk in zip(accesses, walks, strict=True):
        form = []
        for axis, stride in enumerate(walk):
            reach = max(reach, abs(stride) * extents[axis])
            if stride == 0:
                form.append("0")
            elif stride == itemsize and axis in (len(walk) - 1, kept - 1):
                form.append("1")
            else:
                form.append("s")
                strides.append(stride // itemsize)
        for _, stride, extent in computed:
            reach = max(reach, abs(stride) * extent)
            strides.append(stride // itemsize)
        forms.append(Access(dtype, tuple(form), tuple([step for step, _, _ in computed])))
    count = len(tracer.places)
    small = reach < 1 << 31 and max(extents, default=0) < 1 << 31 and tracer.small
    schedule = "map" if not reductions else _schedule(extents, kept, forms[:count])
    form_of = Form(
        len(extents), kept, tuple(steps), tuple(forms[:count]), tuple([d for _, d in tracer.scalars]), reductions, epilogue,
        tuple(zip(results, forms[count:], strict=True)), len(tracer.integers), schedule, small=small,
    )  # fmt: skip
    bound = Bindings(
        extents, tuple([a[0] for a in tracer.places]), tuple([a[0] for a in outputs]), tuple(strides),
        tuple([v for v, _ in tracer.scalars]), tuple(tracer.integers),
    )  # fmt: skip
    return form_of, bound


def _is_whole(access: Walked, domain: Shape) -> bool:
    """Whether an access walks the domain as one row of elements, or stays where it is."""
    strides = access[1]
    return not any(strides) or strides == contiguous(domain, access[3])


def _merge(domain: Shape, strides: Sequence[Shape], kept: int, indexed: set[int]) -> tuple[Shape, list[Shape], int, dict[int, int] | None]:
    """The domain with axes of one element dropped and neighbours merged that every access walks as one. Kept and reduced axes do not
    mix. Also gives where axes have gone, for those whose index is used."""
    extents: list[int] = []
    walks: list[list[int]] = [[] for _ in strides]
    moved: dict[int, int] = {}
    boundary = 0
    last = -1  # the original axis that the newest one ends with
    for axis, n in enumerate(domain):
        if axis == kept:
            boundary, last = len(extents), -1
        if n == 1 and axis not in indexed:
            continue
        joined = last >= 0 and axis not in indexed and last not in indexed
        if joined and all(walk[-1] == stride[axis] * n for walk, stride in zip(walks, strides, strict=True)):
            extents[-1] *= n
            for walk, stride in zip(walks, strides, strict=True):
                walk[-1] = stride[axis]
        else:
            extents.append(n)
            for walk, stride in zip(walks, strides, strict=True):
                walk.append(stride[axis])
        moved[axis] = len(extents) - 1
        last = axis
    if kept == len(domain):
        boundary = len(extents)
    if boundary == 0:  # a kernel has an axis for its results, if only of one
        extents.insert(0, 1)
        for walk in walks:
            walk.insert(0, 0)
        moved = {axis: at + 1 for axis, at in moved.items()}
        boundary = 1
    return tuple(extents), [tuple(w) for w in walks], boundary, moved if indexed else None


def is_whole(access: Access, kept: int) -> bool:
    """Whether an access moves along kept and along reduced axes."""
    return any(walk != "0" for walk in access.walk[:kept]) and any(walk != "0" for walk in access.walk[kept:])


def is_once(access: Access) -> bool:
    """Whether an access moves along every axis: an array as large as the domain."""
    return all(walk != "0" for walk in access.walk)


TINY_LENGTH, SHORT_LENGTH = 8, 32  # rows of up to so many elements are reduced a warp's 32 at a time, if that is not too heavy, or always


def _schedule(extents: Shape, kept: int, loads: Sequence[Access]) -> Literal["serial", "tiny", "short", "middle", "block"]:
    """Who reduces: one work-item for each result, a warp for 32, or a block for each. A block, if what it walks lies in rows that are long;
    a warp, if they are short and read once.

    Arrays that have an element for each of the domain decide, if there are any: what else is read is little.
    """
    length = math.prod(extents[kept:])
    once = any(is_once(a) for a in loads)
    loads = [a for a in loads if is_whole(a, kept)] or loads
    in_rows = any(a.walk[-1] == "1" for a in loads) or not any(a.walk[kept - 1] == "1" or a.walk[kept - 1] == "s" for a in loads)
    if len(extents) == kept or not in_rows:
        return "serial"
    if length > SHORT_LENGTH:
        return "middle" if length <= REDUCE_BLOCK else "block"
    return "serial" if length < 2 or not once else "tiny" if length <= TINY_LENGTH else "short"
