"""Barriers moved to where all work-items of a block pass them, whatever guard the kernel has.

A range launch guards the whole kernel, and ``if i < n:`` around a barrier is common. Work-items that fail the guard would miss the barrier,
which devices punish differently, up to hanging. The plan that the CPU uses for its regions (``passes.regions``) says how to split
such a kernel at its barriers; here it is written back as statements, each region under its guard and each barrier under none.
"""

from __future__ import annotations

from dataclasses import replace

from anygpu.dtypes import bool_
from anygpu.ir.build import op
from anygpu.ir.kernel import Assign, Barrier, Block, Body, Exit, Expr, For, If, Kernel, Ref, Stmt, Var, While, walk
from anygpu.passes.regions import BlockExit, BlockFor, BlockIf, BlockScope, BlockWhile, Once, Program, Region, Sync, plan_regions
from anygpu.passes.rewrite import map_bodies


def uniform_barriers(kernel: Kernel) -> Kernel | None:
    """``kernel`` with its block and grid barriers in control flow that all work-items of a block share; None if that cannot be."""
    if not _has_barrier(kernel.body):
        return kernel
    return _planned(kernel) or _planned(replace(kernel, body=_Guards().body(kernel.body)))


def _has_barrier(body: Body) -> bool:
    return any(isinstance(s, Barrier) and s.scope != "warp" for s in walk(body))


class _Guards:
    """Branches with a barrier on one side become guards, which a plan can split: ``if c: ...; return`` in front of a barrier, and
    ``if c: ... else: ...`` with a barrier in one of the two."""

    def __init__(self) -> None:
        self.count = 0

    def body(self, body: Body) -> Body:
        return tuple(new for stmt in body for new in self.statement(stmt))

    def statement(self, stmt: Stmt) -> Body:
        match stmt:
            case Block(label=label):
                return (replace(stmt, body=self.body(self.without_exits(stmt.body, label))),)
            case If(then=then, orelse=orelse) if orelse and _has_barrier(then) != _has_barrier(orelse):
                return self.body(self.split(stmt, then, orelse))
            case _:
                return (map_bodies(stmt, self.body),)

    def split(self, stmt: If, then: Body, orelse: Body) -> Body:
        """A branch as a variable and a guard for each side."""
        self.count += 1
        holds = Var(f".holds.{self.count}", bool_)
        sides = ((Ref(holds), then), (op("not", Ref(holds)), orelse))
        return (Assign(holds, stmt.cond, stmt.loc), *(If(cond, side, (), stmt.loc) for cond, side in sides if side))

    def without_exits(self, body: Body, label: str) -> Body:
        """A block's statements, with what a conditional exit would skip moved to the other side of its condition."""
        for n, stmt in enumerate(body):
            match stmt:
                case If(then=(*some, Exit(label=left)), orelse=orelse) if left == label and _has_barrier(body[n + 1 :]):
                    return (*body[:n], *self.split(stmt, tuple(some), self.without_exits((*orelse, *body[n + 1 :]), label)))
        return body


def _planned(kernel: Kernel) -> Kernel | None:
    """``kernel`` as the plan of its regions has it; None if there is no plan."""
    # The plan knows barriers of blocks; those of the grid stand in the same places.
    grid: set[int] = set()

    def as_block(body: Body) -> Body:
        out: list[Stmt] = []
        for stmt in body:
            if isinstance(stmt, Barrier) and stmt.scope == "grid":
                stmt = replace(stmt, scope="block")
                grid.add(id(stmt))
            out.append(map_bodies(stmt, as_block))
        return tuple(out)

    planned = replace(kernel, body=as_block(kernel.body))
    plan = plan_regions(planned)
    return None if plan is None else replace(kernel, body=_statements(plan.program, grid))


def _statements(program: Program, grid: set[int]) -> Body:
    out: list[Stmt] = []
    for node in program:
        match node:
            case Region(body=body, guard=None):
                out.extend(body)
            case Region(body=body, guard=Var() as guard):
                out.append(If(Ref(guard), body))
            case Sync(barrier=barrier, guard=guard):
                scope = "grid" if id(barrier) in grid else barrier.scope
                value = barrier.value if guard is None or barrier.value is None else _vote(barrier, barrier.value, guard)
                out.append(replace(barrier, scope=scope, value=value))
            case Once(stmt=stmt):
                out.append(stmt)
            case BlockIf(cond=cond, then=then, orelse=orelse):
                out.append(If(cond, _statements(then, grid), _statements(orelse, grid)))
            case BlockFor(loop=loop, body=inner):
                out.append(For(loop.var, loop.start, loop.stop, loop.step, _statements(inner, grid), loop.loc))
            case BlockWhile(before=before, cond=cond, body=inner):
                out.append(While(_statements(before, grid), cond, _statements(inner, grid)))
            case BlockScope(label=label, body=inner):
                out.append(Block(label, _statements(inner, grid)))
            case BlockExit(label=label):
                out.append(Exit(label))
    return tuple(out)


def _vote(barrier: Barrier, value: Expr, guard: Var) -> Expr:
    """What a work-item votes if those outside the guard must not count."""
    if barrier.reduce == "and":
        return op("or", op("not", Ref(guard)), value)
    return op("and", Ref(guard), value)
