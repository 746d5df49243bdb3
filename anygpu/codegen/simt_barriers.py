"""Barriers moved to where all work-items of a block pass them, whatever guard the kernel has.

A range launch guards the whole kernel, and ``if i < n:`` around a barrier is common. Work-items that fail the guard would miss the barrier,
which devices punish differently, up to hanging. The plan that the CPU uses for its regions (``passes.regions``) says how to split
such a kernel at its barriers; here it is written back as statements, each region under its guard and each barrier under none.
"""

from __future__ import annotations

from dataclasses import replace

from anygpu.ir.build import op
from anygpu.ir.kernel import Barrier, Block, Body, Exit, Expr, For, If, Kernel, Ref, Stmt, Var, While, walk
from anygpu.passes.regions import BlockExit, BlockFor, BlockIf, BlockScope, BlockWhile, Once, Program, Region, Sync, plan_regions
from anygpu.passes.rewrite import map_bodies


def uniform_barriers(kernel: Kernel) -> Kernel | None:
    """``kernel`` with its block and grid barriers in control flow that all work-items of a block share; None if that cannot be."""
    if not any(isinstance(s, Barrier) and s.scope != "warp" for s in walk(kernel.body)):
        return kernel
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
