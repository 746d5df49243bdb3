"""Plans: what computing a graph comes to, found again for graphs of the same structure.

A program in a loop records the same operations on arrays of the same shapes again and again. The second time that a structure is met, its
graph is computed on stand-ins, which only note the launches; from then on only addresses and numbers are filled in.
"""

from __future__ import annotations

import sys
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from anygpu.dtypes import DType
from anygpu.engine.fused import Start, fused_kernel, prepared, sliced_start
from anygpu.engine.places import allocate
from anygpu.ir.graph import Memory, Node, Place, Shape
from anygpu.passes.fusion import Bindings, Form
from anygpu.passes.slices import Slices, in_slices
from anygpu.passes.tracing import is_small

# What plans are made for: nothing that writes into memory that is there already.
PLANNED = frozenset(("map", "cast", "scalar", "view", "iota", "reduce", "scan", "gather", "reshape"))
MOST_PLANS = 1024
Triple = tuple[int, int, int]


class Executor(Protocol):
    """Who gives memory to what is computed on a device, and launches its kernels."""

    @property
    def device(self) -> str: ...

    def allocate(self, size: int) -> Memory: ...

    def launch(self, form: Form, bound: Bindings) -> None: ...


@dataclass(frozen=True, slots=True)
class Immediate:
    """Computes."""

    device: str

    def allocate(self, size: int) -> Memory:
        return allocate(size, self.device)

    def launch(self, form: Form, bound: Bindings) -> None:
        fused_kernel(form, self.device).launch(bound)


# ---------------------------------------------------------------------------------------------------------------------- structures


@dataclass(frozen=True, slots=True)
class Structure:
    """A graph without addresses and numbers: ``key``, and what was left out, in order."""

    key: tuple[Hashable, ...]
    leaves: list[Place]
    scalars: list[object]


def _lies_at(leaf: Node, place: Place) -> tuple[int, Shape, Shape, DType]:
    """What leaves have in common that are one: the address comes first, and belongs to no structure."""
    return place.address, place.strides, leaf.shape, leaf.dtype


def structure_of(order: Sequence[Node], roots: Sequence[Node], device: str) -> Structure | None:
    """The structure of a graph, operands first; None if no plan is made for it. Arrays that lie at one place are one leaf."""
    key: list[Hashable] = [device]
    refs: dict[int, int] = {}
    at: dict[object, int] = {}
    leaves: list[Place] = []
    scalars: list[object] = []
    for n, node in enumerate(order):
        op = node.op
        if op == "scalar":
            scalars.append(node.attrs[0])
            key.append((node.dtype, is_small(node.attrs[0])))
        elif op in PLANNED:
            args = []
            for arg in node.args:
                ref = refs.get(id(arg))
                if ref is None:
                    place = arg.place
                    assert place is not None
                    where = _lies_at(arg, place)
                    ref = at.get(where)
                    if ref is None:
                        leaves.append(place)
                        ref = at[where] = -len(leaves)
                        key.append(where[1:])
                    refs[id(arg)] = ref
                args.append(ref)
            key.append((op, node.attrs, node.shape, node.dtype, *args))
        else:
            return None
        refs[id(node)] = n
    key += [refs[id(root)] for root in roots]
    return Structure(tuple(key), leaves, scalars)


# --------------------------------------------------------------------------------------------------------------------------- plans


@dataclass(frozen=True, slots=True)
class _Launch:
    """One launch of a plan: addresses are of a memory, with bytes to add; numbers are fixed, or scalars of the graph's."""

    start: Start
    grid: Triple
    block: int
    addresses: tuple[tuple[int, int], ...]
    numbers: tuple[object, ...]
    made: tuple[int, ...] = ()  # memories that are allocated before it, and those that nobody needs after it
    dropped: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """What computing graphs of one structure comes to. Memories are the leaves' first, then those that it allocates."""

    device: str
    sizes: tuple[int, ...]
    launches: tuple[_Launch, ...]
    results: tuple[tuple[int, int, Shape], ...]  # of each root: its memory, the bytes to its first element, its strides

    def run(self, found: Structure) -> list[Place]:
        """Compute; gives the place of each root."""
        bases = [leaf.memory.address + leaf.offset for leaf in found.leaves]
        bases += [0] * len(self.sizes)
        made: dict[int, Memory] = {}
        count = len(found.leaves)
        scalars = found.scalars
        for launch in self.launches:
            for n in launch.made:
                made[n] = memory = allocate(self.sizes[n - count], self.device)
                bases[n] = memory.address
            addresses = [bases[n] + more for n, more in launch.addresses]
            numbers = [scalars[n.number] if type(n) is _Scalar else n for n in launch.numbers] if scalars else launch.numbers
            launch.start(launch.grid, launch.block, addresses, numbers)
            for n in launch.dropped:
                del made[n]
        places = []
        for n, more, strides in self.results:
            if n < count:
                places.append(_within(found.leaves[n], more, strides))
            else:
                if n not in made:  # a result without elements, which no kernel writes
                    made[n] = allocate(self.sizes[n - count], self.device)
                places.append(Place(made[n], more, strides))
        return places


def _within(leaf: Place, more: int, strides: Shape) -> Place:
    return Place(leaf.memory, leaf.offset + more, strides)


_SPAN, _HALF = 1 << 48, 1 << 47  # between the addresses of stand-ins, and to the middle: views may begin before a leaf's first element


class _StandIn:
    """Memory that is only named: the addresses in it say which it is, and how far from its first element they are."""

    __slots__ = ("address", "device", "end")
    writeable = True

    def __init__(self, number: int, device: str):
        self.device = device
        self.address = self.end = (number + 1) * _SPAN + _HALF


def _decoded(address: int) -> tuple[int, int]:
    return address // _SPAN - 1, address % _SPAN - _HALF


@dataclass(frozen=True, slots=True)
class _Scalar:
    """A number of the graph's, by its position, and whether it is a small one."""

    number: int
    is_small: bool


@dataclass(slots=True)
class Recording:
    """An executor that notes what is asked of it."""

    device: str
    count: int  # memories so far
    sizes: list[int] = field(default_factory=list)
    launches: list[_Launch] = field(default_factory=list)
    noted: list[tuple[Form, Bindings]] = field(default_factory=list)

    def allocate(self, size: int) -> Memory:
        self.sizes.append(size)
        self.count += 1
        return _StandIn(self.count - 1, self.device)

    def launch(self, form: Form, bound: Bindings) -> None:
        grid, block, addresses, numbers = prepared(form, bound)
        start = fused_kernel(form, self.device).start
        self.launches.append(_Launch(start, grid, block, tuple(map(_decoded, addresses)), numbers))
        self.noted.append((form, bound))

    def _in_slices(self) -> list[_Launch]:
        """The launches, of which some are one where they can be run in slices."""
        if self.device != "cpu" or sys.platform == "win32":
            return self.launches
        found: list[_Launch] = []
        n = 0
        while n < len(self.launches):
            slices = in_slices(self.noted[n : n + 3], lambda address: _decoded(address)[0])
            taken = 1 if slices is None else len(slices.forms)
            found.append(self.launches[n] if slices is None else _together(self.launches[n : n + taken], slices))
            n += taken
        return found

    def plan(self, roots: Sequence[Node]) -> Plan:
        """What was noted, once the roots are computed."""
        results = []
        for root in roots:
            assert root.place is not None
            number, more = _decoded(root.place.address)
            results.append((number, more, root.place.strides))
        first: dict[int, int] = {}
        last: dict[int, int] = {}
        sliced = self._in_slices()
        for at, launch in enumerate(sliced):
            for n, _ in launch.addresses:
                if n >= self.count - len(self.sizes):
                    first.setdefault(n, at)
                    last[n] = at
        kept = {number for number, _, _ in results}
        launches = tuple(
            replace(
                launch,
                made=tuple(n for n, when in first.items() if when == at),
                dropped=tuple(n for n, when in last.items() if when == at and n not in kept),
            )
            for at, launch in enumerate(sliced)
        )
        return Plan(self.device, tuple(self.sizes), launches, tuple(results))


def _together(launches: Sequence[_Launch], slices: Slices) -> _Launch:
    """Launches in slices, as one."""
    start = sliced_start(slices, [each.grid for each in launches], [(len(each.addresses), len(each.numbers)) for each in launches])
    addresses = tuple(address for each in launches for address in each.addresses)
    return _Launch(start, (slices.count, 1, 1), 1, addresses, tuple(number for each in launches for number in each.numbers))


def stand_ins(order: Sequence[Node], roots: Sequence[Node], device: str) -> tuple[list[Node], list[Node]]:
    """A graph of the same structure on stand-ins: its nodes, operands first, and its roots."""
    copies: dict[int, Node] = {}
    at: dict[object, Node] = {}
    scalars = 0
    order_of: list[Node] = []
    for node in order:
        args = []
        for arg in node.args:
            copy = copies.get(id(arg))
            if copy is None:
                place = arg.place
                assert place is not None
                where = _lies_at(arg, place)
                copy = at.get(where)
                if copy is None:
                    there = Place(_StandIn(len(at), device), 0, place.strides)
                    copy = at[where] = Node("source", (), (), arg.shape, arg.dtype, there)
                copies[id(arg)] = copy
            args.append(copy)
        attrs = node.attrs
        if node.op == "scalar":
            attrs = (_Scalar(scalars, is_small(node.attrs[0])),)
            scalars += 1
        made = Node(node.op, tuple(args), attrs, node.shape, node.dtype)
        made.device = device
        copies[id(node)] = made
        order_of.append(made)
    return order_of, [copies[id(root)] for root in roots]

