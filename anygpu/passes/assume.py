"""What is certain for one launch: accesses that stay in bounds, branches that always go the same way, loops of whole turns.

A launch knows its grid, its block and the shapes of its arrays. With them intervals show of most accesses that they need no check, and
of the usual guard ``if i < n`` that it holds for all if the blocks cover the range exactly. Code for such launches has neither.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from anygpu.ir.kernel import Atomic, Body, For, If, Kernel, Load, Stmt, Store, walk
from anygpu.passes.intervals import Facts, analyse, decided, in_bounds
from anygpu.passes.rewrite import map_bodies
from anygpu.passes.strided import whole_loop, whole_turns

Certain = tuple[tuple[int, bool], ...]  # numbers of statements in the order of ``walk``, and of a branch which way it goes


def certain(kernel: Kernel, facts: Facts) -> Certain:
    """The statements that are certain in all launches with these facts: checks that hold, branches with the way that they go, and loops
    with a step for each work-item whose last turn is a whole one."""
    found = analyse(kernel, facts)
    arrays = kernel.arrays()
    statements = list(walk(kernel.body))
    times = Counter(map(id, statements))  # what is known of a statement is known by its identity
    out: list[tuple[int, bool]] = []
    for number, stmt in enumerate(statements):
        state = found.states.get(id(stmt))
        if state is None or times[id(stmt)] > 1:  # never reached, or in two places
            continue
        match stmt:
            case If(cond=cond):
                way = decided(cond, state, facts)
                if way is not None:
                    out.append((number, way))
            case For():
                if whole_turns(stmt, state, facts):
                    out.append((number, True))
            case Load() | Store() | Atomic():
                if stmt.checked and stmt.index and in_bounds(stmt.index, arrays[stmt.array], state, facts):
                    out.append((number, True))
    return tuple(out)


def assume(kernel: Kernel, known: Certain) -> Kernel:
    """``kernel`` for launches of which ``known`` is certain."""
    if not known:
        return kernel
    numbers = dict(known)
    ways = {id(stmt): numbers[n] for n, stmt in enumerate(walk(kernel.body)) if n in numbers}
    states = analyse(kernel, Facts(small=False)).states

    def body(statements: Body) -> Body:
        return tuple(new for stmt in statements for new in statement(stmt))

    def statement(stmt: Stmt) -> Body:
        way = ways.get(id(stmt))
        match stmt:
            case If(then=then, orelse=orelse) if way is not None:
                return body(then if way else orelse)
            case Load() | Store() | Atomic() if way:
                return (replace(stmt, checked=False),)
            case For() if way:
                return (map_bodies(whole_loop(stmt, states[id(stmt)]), body),)
        return (map_bodies(stmt, body),)

    return replace(kernel, body=body(kernel.body))


__all__ = ["Certain", "assume", "certain"]
