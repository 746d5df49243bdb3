"""Graphs are computed here: kernels are launched in the order that `schedule` gives, and each node is told where its value lies."""

from __future__ import annotations

import collections
import math
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from anygpu.dtypes import dtype_named, int32, int64
from anygpu.engine.chains import IN_PLACE, Group
from anygpu.engine.exclusive import exclusively
from anygpu.engine.fused import FusedKernel, forget_kernels, fused_kernel, kernel_count
from anygpu.engine.places import copy_of, moved, overlap
from anygpu.engine.plans import MOST_PLANS, Executor, Immediate, Plan, Recording, Structure, stand_ins, structure_of
from anygpu.engine.schedule import schedule, target_of
from anygpu.ir.graph import AxisMap, Memory, Node, Place, Shape, broadcast, contiguous, postorder
from anygpu.passes.fusion import Reducing, in_any_order, map_form, part_form, reduce_form, scatter_form, trace_map, uniform_steps
from anygpu.passes.scans import accumulated, scan_form, scan_parts
from anygpu.passes.stages import Chain, staged_form
from anygpu.runtime.current import current
from anygpu.runtime.device import Device


def evaluate(roots: Sequence[Node]) -> None:
    """Compute nodes: each has a place afterwards."""
    with exclusively():  # threads record as they like, and compute in turns: a graph may be of several
        pending = [root for root in roots if root.place is None]
        if current.elsewhere:
            for device in dict.fromkeys([root.device or "cpu" for root in pending]):
                here = [root for root in pending if (root.device or "cpu") == device]
                order = postorder(here)
                _settle_on(order, device)
                _evaluate(here, order)
        else:
            _evaluate(pending, postorder(pending))


def _settle_on(order: Sequence[Node], device: str) -> None:
    """Let nodes be computed on a device: what has no device of its own goes there, and what lies elsewhere is copied."""
    for node in order:
        node.device = device
        if any(arg.place is not None and arg.place.memory.device != device for arg in node.args):
            node.args = tuple(on_device(node.args, device))


def on_device(nodes: Iterable[Node], device: str) -> list[Node]:
    """Nodes, those of them that lie on another device copied."""
    return [moved(in_order(n), device) if n.place is not None and n.place.memory.device != device else n for n in nodes]


def _evaluate(pending: Sequence[Node], order: list[Node]) -> None:
    """Compute the roots that are pending, by a plan if the graph's structure has been met before."""
    if not order:
        return
    device = pending[0].device or "cpu"
    found = structure_of(order, pending, device) if current.recorder is None else None
    if found is None:
        _compute(pending, order, Immediate(device))
        return
    plan = _plans.get(found.key)
    if plan is None:
        if len(_plans) >= MOST_PLANS:
            _plans.clear()
        if found.key in _plans:  # met for the second time
            plan = _plans[found.key] = _planned(pending, order, found, device)
        else:
            if kernel_count(device) > (MOST_KERNELS if device == "cpu" else MOST_DEVICE_KERNELS):
                forget(device)
            _plans[found.key] = None
            _compute(pending, order, Immediate(device))
            return
    for root, place in zip(pending, plan.run(found), strict=True):
        _settle(root, place)


_plans: dict[tuple[Hashable, ...], Plan | None] = {}  # by structure; None: met once
# Fused kernels that are kept for a device: one takes 0.1 MB on the CPU, and 2 MB of Intel's OpenCL runtime.
MOST_KERNELS, MOST_DEVICE_KERNELS = 8192, 512


def forget(device: str) -> None:
    """Let go of a device's fused kernels, and of the plans made of them: they are found again on disk."""
    with exclusively():
        forget_kernels(device)
        for plan in [key for key in _plans if key[0] == device]:
            del _plans[plan]
        for row in [key for key in _rows if key[0] == device]:
            del _rows[row]


def _planned(pending: Sequence[Node], order: Sequence[Node], found: Structure, device: str) -> Plan:
    """The plan of a graph, computed on stand-ins."""
    copies, roots = stand_ins(order, pending, device)
    recording = Recording(device, len(found.leaves))
    _compute(roots, copies, recording)
    return recording.plan(roots)


def _compute(pending: Sequence[Node], order: list[Node], to: Executor) -> None:
    """Compute roots by kernels of their own; ``order`` is used up."""
    if len(pending) == 1 and all(node.op in _ONE_KERNEL for node in order):
        _run_map(pending, to)
        return
    groups = collections.deque(schedule(order, pending))
    order.clear()  # whatever nobody holds any more gives its memory back as soon as it has been read
    last = _last_reads(groups) if any(group.roots[0].op in IN_PLACE for group in groups) else {}
    for n in range(len(groups)):
        group = groups.popleft()
        if group.roots[0].op in IN_PLACE:
            _run_update(group.roots[0], [node for node, at in last.values() if at > n], to)
        else:
            _run(group, to)


def ready(nodes: Sequence[Node], device: str) -> list[Node]:
    """Nodes of one shape that a kernel on a device can compute as they are: what it could not is computed first."""
    order = postorder(nodes)
    if all(node.op in _ONE_KERNEL or (node.op == "gather" and node.args[0].place is not None) for node in order):
        _settle_on(order, device)
    else:
        for node in nodes:
            node.device = node.device or device
        evaluate(nodes)
    return on_device(nodes, device)


def explain(roots: Sequence[Node]) -> str:
    """The kernels that computing nodes would run: what each stores, what is fused into it, and the bytes that it reads and writes."""
    pending = [root for root in roots if root.place is None]
    groups = schedule(postorder(pending), pending)
    stored = {id(root) for group in groups for root in group.roots}
    lines = []
    for n, group in enumerate(groups, 1):
        inside, read = _fused_into(group, stored)
        operations = [str(node.attrs[0]) if node.op in ("map", "reduce", "scan") else node.op for node in inside]
        seen = [root for root in group.roots if group.chain is None or id(root) in group.chain.visible]
        results = ", ".join(f"{root.dtype}{list(root.shape)}" for root in seen)
        kind = f"reduction over {group.reductions[0].attrs[1]}" if group.reductions else group.roots[0].op
        if group.chain is not None and len(group.chain.reductions) > 1:
            kind = f"{len(group.chain.reductions)} reductions over {group.chain.axes}, one after the other"
        taken = sum(node.size * node.dtype.itemsize for node in read)
        given = sum(root.size * root.dtype.itemsize for root in seen)
        work = sum(node.args[0].size if node.op == "reduce" else node.size for node in inside if node.op in ("map", "reduce", "scan"))
        lines.append(f"kernel {n}: {kind} -> {results}")
        lines.append(f"  fused: {' '.join(operations)}")
        lines.append(f"  {len(read)} array{'s' * (len(read) != 1)} read, {taken:,} bytes; {given:,} bytes written; {work:,} operations")
    return "\n".join(lines) if lines else "everything has been computed"


def _fused_into(group: Group, stored: set[int]) -> tuple[list[Node], list[Node]]:
    """The nodes that a kernel computes, operands first, and the stored or computed ones that it reads."""
    inside: list[Node] = []
    read: list[Node] = []
    seen: set[int] = set()

    def visit(node: Node) -> None:
        if id(node) in seen:
            return
        seen.add(id(node))
        if node.op == "scalar":
            return
        if node.place is not None or (id(node) in stored and node not in group.roots):
            if node.place is None or all(node.place != other.place for other in read):
                read.append(node)
            return
        for arg in node.args:
            visit(arg)
        inside.append(node)

    for root in group.roots:
        visit(root)
    return inside, read


_ONE_KERNEL = frozenset(("map", "cast", "scalar", "view", "iota"))  # what one kernel computes, whatever there is of it


# -------------------------------------------------------------------------------------------------------------------------- running


def _run(group: Group, to: Executor) -> None:
    first = group.roots[0]
    match first.op:
        case "reshape":
            _run_reshape(first, to)
        case "scan":
            _run_scan(first, to)
        case _ if group.chain is not None:
            _run_chain(group.chain, to)
        case _ if group.reductions:
            _run_reduction(group, to)
        case _:
            _run_map(group.roots, to)


def _settle(node: Node, place: Place) -> None:
    """A node has its value: it needs its operands no more."""
    node.place = place
    node.op, node.args, node.attrs = "source", (), ()


def _place_for(node: Node, to: Executor) -> Place:
    """New memory for a node's value, in C order."""
    return Place(to.allocate(node.size * node.dtype.itemsize), 0, contiguous(node.shape, node.dtype.itemsize))


def _run_map(roots: Sequence[Node], to: Executor) -> None:
    places = [_place_for(root, to) for root in roots]
    size = roots[0].size
    if size:
        tracer, results = trace_map(roots)
        known = None
        row = tracer.row and isinstance(to, Immediate)
        if row:
            key = (to.device, tracer.row_key(results))
            known = _rows.get(key)
            if known is not None:
                known.launch_row(size, [p[0] for p in tracer.places], [p.address for p in places], [v for v, _ in tracer.scalars])
        if known is None:
            form, bound = map_form(tracer, results, roots, places)
            to.launch(form, bound)
            if row:
                _rows[key] = fused_kernel(form, to.device)
    for root, place in zip(roots, places, strict=True):
        _settle(root, place)


_rows: dict[tuple[str, object], FusedKernel] = {}  # kernels over one row, by what is traced


def _run_reduction(group: Group, to: Executor) -> None:
    places = [_place_for(root, to) for root in group.roots]
    if group.roots[0].size:
        reducing = [Reducing(str(node.attrs[0]), node.args[0], node.dtype.name) for node in group.reductions]
        axes: tuple[int, ...] = group.reductions[0].attrs[1]  # type: ignore[assignment]
        while (found := part_form(reducing, axes, partial(_room, to))) is not None:
            form, bound, following, axes = found
            to.launch(form, bound)
            reducing = following  # not before: what was reduced gives its memory back
        form, bound = reduce_form(reducing, axes, group.reductions, group.roots, places)
        to.launch(form, bound)
    for root, place in zip(group.roots, places, strict=True):
        _settle(root, place)


def _run_chain(chain: Chain, to: Executor) -> None:
    places = {id(node): _place_for(node, to) for node in chain.stored if id(node) in chain.visible}
    lenders = [node for node in chain.results if node.shape == chain.shape]
    for node in chain.stored:
        if id(node) not in places:  # held until the last stage, which may write its result over it
            lender = next((other for other in lenders if other.dtype == node.dtype), None)
            if lender is None:
                places[id(node)] = _place_for(node, to)
            else:
                lenders.remove(lender)
                places[id(node)] = places[id(lender)]
    found = staged_form(chain, [places[id(node)] for node in chain.stored])
    assert found is not None
    to.launch(*found)
    for node in chain.stored:
        if id(node) in chain.visible:
            _settle(node, places[id(node)])


def _room(to: Executor, count: int, dtype: str) -> Place:
    """New memory for so many elements."""
    itemsize = dtype_named(dtype).itemsize
    return Place(to.allocate(count * itemsize), 0, (itemsize,))


def _run_scan(node: Node, to: Executor) -> None:
    function, axis = node.attrs
    place = _place_for(node, to)
    if node.size:
        _scan(Reducing(str(function), node.args[0], accumulated(node.dtype.name)), axis, node, place, to)  # type: ignore[arg-type]
    _settle(node, place)


def _scan(reducing: Reducing, axis: int, node: Node, place: Place, to: Executor, at_once: bool = False) -> None:
    """Scan along an axis into a place."""
    before = None
    found = None if at_once else scan_parts(reducing, axis, partial(_room, to))
    if found is not None:
        form, bound, parts, along, whole = found
        to.launch(form, bound)
        before = _place_for(parts, to)
        _scan(replace(reducing, value=parts), along, parts, before, to, whole)
    form, bound = scan_form(reducing, axis, node, place, before)
    to.launch(form, bound)


def _run_reshape(node: Node, to: Executor) -> None:
    operand = in_order(node.args[0], to)
    place = operand.place
    assert place is not None
    _settle(node, Place(place.memory, place.offset, contiguous(node.shape, node.dtype.itemsize)))


def in_order(node: Node, to: Executor | None = None) -> Node:
    """A computed node, or a copy of it, that lies in C order."""
    assert node.place is not None
    if node.place.strides == contiguous(node.shape, node.dtype.itemsize) or node.size < 2:
        return node
    copy = Node("cast", (node,), (), node.shape, node.dtype)
    _run_map([copy], Immediate(node.place.memory.device) if to is None else to)
    return copy


def _run_update(node: Node, later: Sequence[Node], to: Executor) -> None:
    """Write into the memory of a node's operand; ``later`` are the nodes that other kernels will yet read."""
    base, value, *indices = node.args
    assert base.place is not None
    place = base.place
    _set_aside(place.memory, (value, *indices, *later))
    target = target_of(node, place)
    if value.size and node.op == "scatter":
        _run_scatter(node, target, to)
    elif value.size:
        assign = Node("cast", (value,), (), value.shape, node.dtype)
        form, bound = map_form(*trace_map([assign]), [assign], [target])
        to.launch(form, bound)
    _settle(node, place)


def one_by_one(device: str, count: int) -> bool:
    """Whether one work-item scatters so many elements as fast as all would, in several kernels: on processors it does."""
    return count <= 64 or device == "cpu" or Device(device).capabilities.on_cpu


def _run_scatter(node: Node, target: Place, to: Executor) -> None:
    _, value, *indices = node.args
    _, _, shape, axes, combine, distinct = node.attrs
    given = (indices, target, shape, axes)
    form, bound = scatter_form(value, *given)  # type: ignore[arg-type]
    if combine or not (distinct or form.outputs[0][0] in uniform_steps(form)):  # equal elements may go to one place in any order
        if one_by_one(to.device, value.size) or (combine and not in_any_order(str(combine), value.dtype)):
            form, bound = scatter_form(value, *given, "ordered", combine)  # type: ignore[arg-type]
        elif combine:
            form, bound = scatter_form(value, *given, "atomic", combine)  # type: ignore[arg-type]
        else:
            claims = _claimed(value, indices, shape, axes, to)  # type: ignore[arg-type]
            to.launch(*scatter_form(value, *given, "winner", claims=claims))  # type: ignore[arg-type]
            return
    to.launch(form, bound)


def _claimed(value: Node, indices: Sequence[Node], shape: Shape, axes: AxisMap, to: Executor) -> Node:
    """For each element that a scatter goes to: which one of its values, in C order, is the last. Other elements are not set."""
    dtype = int32 if value.size < 1 << 31 else int64
    place = Place(_room(to, math.prod(shape), dtype.name).memory, 0, contiguous(shape, dtype.itemsize))
    none = Node("view", (Node("scalar", (), (-1,), (), dtype),), broadcast((), value.shape), value.shape, dtype)
    for how in ("map", "claim"):
        to.launch(*scatter_form(none, indices, place, shape, axes, how))
    return Node("source", (), (), shape, dtype, place)


def _set_aside(memory: Memory, nodes: Sequence[Node]) -> None:
    """Before memory is written in place: give nodes that are yet to be read as they were a copy of it as it is."""
    copies: dict[int, Memory] = {}  # by what they are of: several may show the same bytes of the host
    for node in nodes:
        place = node.place
        if place is not None and overlap(place.memory, memory):
            copy = copies.get(id(place.memory))
            if copy is None:
                copy = copies[id(place.memory)] = copy_of(place.memory)
            node.place = Place(copy, place.offset, place.strides)


def _last_reads(groups: Iterable[Group]) -> dict[int, tuple[Node, int]]:
    """For each node in memory that kernels read, by id: the node, and the number of the last group that reads it."""
    stored = {id(root) for group in groups for root in group.roots}
    found: dict[int, tuple[Node, int]] = {}
    for n, group in enumerate(groups):
        seen: set[int] = set()
        stack = [arg for root in group.roots for arg in root.args]
        while stack:
            node = stack.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            if node.place is not None or id(node) in stored:
                found[id(node)] = node, n
            else:
                stack += node.args
    return found
