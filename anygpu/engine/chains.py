"""Groups that one kernel computes in stages: reductions over the same axes that build on one another, and what is made of them.

A chain grows from a reduction: it takes in maps that the reduction reads, and whatever has the same rows and reads what the chain
computes, as long as nothing outside of it would have to be computed in between.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from anygpu.ir.graph import Node, Place, Shape, contiguous
from anygpu.passes.fusion import CHEAP
from anygpu.passes.stages import Chain, staged_form

MOST_OUTPUTS = 8
MOST_STAGES = 8
IN_PLACE = ("update", "scatter")  # what writes into its first operand's memory
ALONE = ("scan", *IN_PLACE, "reshape")  # what shares its kernel with nothing


@dataclass(eq=False)
class Group:
    """Nodes that one kernel computes: ``roots``, which it stores; ``reductions`` of one domain, if it is a reduction's. ``reads`` are the
    stored nodes that it reads. ``chain`` is what a kernel in stages computes."""

    level: int
    roots: list[Node] = field(default_factory=list)
    reductions: list[Node] = field(default_factory=list)
    reads: list[Node] = field(default_factory=list)
    chain: Chain | None = None


def chained(groups: list[Group], wanted: set[int]) -> list[Group]:
    """Groups, which come in an order in which they can be computed, with chains in place of their members. ``wanted`` are the nodes, by
    id, that someone outside of the graph looks at."""
    if len(groups) < 2 or not any(group.reductions for group in groups):
        return groups
    graph = _Graph(groups, wanted)
    made = list(groups)  # for each group, the one that takes its place
    taken: set[int] = set()
    for n, group in enumerate(groups):
        if n in taken or not group.reductions:
            continue
        numbers, chain = graph.grown(n, taken)
        if chain is None:
            continue
        joined = Group(group.level, chain.stored, [r for stage in chain.reductions for r in stage], chain=chain)
        taken.update(numbers)
        graph.join(numbers)
        for m in numbers:
            made[m] = joined
    return _ordered(made, graph.reads) if taken else groups


def _ordered(made: Sequence[Group], reads: Sequence[set[int]]) -> list[Group]:
    """Groups, each once and after those that it reads."""
    members: dict[int, list[int]] = {}
    for n, group in enumerate(made):
        members.setdefault(id(group), []).append(n)
    found: dict[int, Group] = {}

    def visit(group: Group) -> None:
        if id(group) not in found:
            for n in sorted({read for m in members[id(group)] for read in reads[m]}):
                if made[n] is not group:
                    visit(made[n])
            found[id(group)] = group

    for group in made:
        visit(group)
    return list(found.values())


@dataclass(frozen=True, slots=True)
class _Nowhere:
    """Memory that is not there yet, at an address where none can be."""

    address: int
    device: str = ""
    writeable: bool = True

    @property
    def end(self) -> int:
        return self.address


class _Graph:
    """What groups read of one another. Sets of groups are the bits of integers."""

    def __init__(self, groups: Sequence[Group], wanted: set[int]):
        self.groups = groups
        self.wanted = wanted
        self.of = {id(root): n for n, group in enumerate(groups) for root in group.roots}
        self.reads = [{self.of[id(read)] for read in group.reads} - {n} for n, group in enumerate(groups)]
        self.readers: dict[int, set[int]] = {}  # of a node, by id: the groups that read it
        for n, group in enumerate(groups):
            for node in group.reads:
                if self.of[id(node)] != n:
                    self.readers.setdefault(id(node), set()).add(n)
        self.before = [0] * len(groups)
        self.after = [0] * len(groups)
        for n, reads in enumerate(self.reads):
            for read in reads:
                self.before[n] |= self.before[read] | 1 << read
            for m in range(n):
                if self.before[n] >> m & 1:
                    self.after[m] |= 1 << n

    def grown(self, start: int, taken: set[int]) -> tuple[list[int], Chain | None]:
        """The chain that grows from a reduction."""
        first = self.groups[start].reductions[0]
        numbers, chain = [start], None
        for n in (*range(start - 1, -1, -1), *range(start + 1, len(self.groups))):
            group = self.groups[n]
            if n in taken or group.roots[0].op in ALONE or not any(m in self.reads[n] or n in self.reads[m] for m in numbers):
                continue
            if group.reductions:
                other = group.reductions[0]
                if n < start or other.args[0].shape != first.args[0].shape or other.attrs[1] != first.attrs[1]:
                    continue
            more = sorted((*numbers, n))
            if self._is_convex(more):
                trial = self._chain(more, first.args[0].shape, first.attrs[1])  # type: ignore[arg-type]
                if trial is not None:
                    numbers, chain = more, trial
        return numbers, chain

    def _is_convex(self, numbers: Sequence[int]) -> bool:
        """Whether nothing else has to be computed after some of the groups, and before others."""
        mask, before, after = self._together(numbers)
        return not before & after & ~mask

    def _together(self, numbers: Sequence[int]) -> tuple[int, int, int]:
        """Some groups, what comes before any of them, and what comes after any."""
        mask = before = after = 0
        for n in numbers:
            mask |= 1 << n
            before |= self.before[n]
            after |= self.after[n]
        return mask, before, after

    def join(self, numbers: Sequence[int]) -> None:
        """Groups have become one: what comes after one of them comes after all."""
        mask, before, after = self._together(numbers)
        for n in range(len(self.groups)):
            if self.before[n] & mask or mask >> n & 1:
                self.before[n] |= (before | mask) & ~(1 << n)
            if self.after[n] & mask or mask >> n & 1:
                self.after[n] |= (after | mask) & ~(1 << n)

    def _chain(self, numbers: Sequence[int], shape: Shape, axes: tuple[int, ...]) -> Chain | None:
        """What a kernel of these members computes; None if there is none."""
        stages: dict[int, int] = {}  # those from which on a group's values can be computed; a reduction's is its own
        for n in numbers:
            stages[n] = max((stages[m] + bool(self.groups[m].reductions) for m in self.reads[n] if m in stages), default=0)
        count = 1 + max(stages[n] for n in numbers if self.groups[n].reductions)
        used: dict[int, int] = {}  # those in which they are needed first
        for n in reversed(numbers):
            readers = [used[m] for m in used if n in self.reads[m]]
            used[n] = stages[n] if self.groups[n].reductions else min(readers, default=count)
        held: list[list[Node]] = [[] for _ in range(count)]
        results = []
        visible = set()
        for n in numbers:
            for root in self.groups[n].roots:
                reading = self.readers.get(id(root), set())
                if id(root) in self.wanted or not reading <= used.keys():
                    visible.add(id(root))
                again = any(used.get(m, 0) > used[n] for m in reading)
                if root.shape == shape and used[n] < count and (id(root) in visible or (again and not self._is_cheap(root, held))):
                    held[used[n]].append(root)
                elif id(root) in visible:
                    results.append(root)
        reductions = [tuple(r for n in numbers if stages[n] == stage for r in self.groups[n].reductions) for stage in range(count)]
        chain = Chain(shape, axes, tuple(reductions), tuple(map(tuple, held)), tuple(results), frozenset(visible))
        given = [node for n in numbers for node in self.groups[n].reads if self.of[id(node)] not in used]
        possible = (
            math.prod(shape) > 0
            and len(chain.stored) <= MOST_OUTPUTS
            and count <= MOST_STAGES
            and all(chain.shows(node.shape) is not None for node in chain.stored)
            and not any(node.op in IN_PLACE for node in given)  # which lie where their operands do
            and staged_form(chain, list(map(_in_c_order, chain.stored)), {id(node): _in_c_order(node) for node in given}) is not None
        )
        return chain if possible else None

    def _is_cheap(self, node: Node, held: Sequence[Sequence[Node]]) -> bool:
        """Whether a value is rather computed again by each stage than held in memory for later ones."""
        stack, seen = [node], {id(other) for nodes in held for other in nodes}
        while stack:
            at = stack.pop()
            if id(at) in seen or at.place is not None or at.op == "reduce":
                continue
            seen.add(id(at))
            if at.op not in ("map", "cast", "view", "scalar") or (at.op == "map" and at.attrs[0] not in CHEAP):
                return False
            stack += at.args
        return True


def _in_c_order(node: Node) -> Place:
    """Where a node will lie, as far as its kernel's form depends on it: apart from all others."""
    return Place(_Nowhere((1 << 100) + id(node)), 0, contiguous(node.shape, node.dtype.itemsize))
