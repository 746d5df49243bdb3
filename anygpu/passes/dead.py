"""Values that nobody reads are not computed: assignments, and what atomics and proven loads would give.

A checked load stays, since it may have to report an access out of bounds.
"""

from __future__ import annotations

from dataclasses import replace

from anygpu.ir.kernel import Assign, Atomic, Body, Kernel, Load, Ref, Stmt, operands, subexpressions, walk
from anygpu.passes.rewrite import map_bodies


def _read(body: Body) -> set[str]:
    return {e.var.name for s in walk(body) for expr in operands(s) for e in subexpressions(expr) if isinstance(e, Ref)}


def _keep(body: Body, read: set[str]) -> Body:
    out: list[Stmt] = []
    for stmt in body:
        match stmt:
            case Assign(var=var) if var.name not in read:
                continue
            case Load(var=var, checked=False) if var.name not in read:
                continue
            case Atomic(var=var) if var is not None and var.name not in read:
                out.append(replace(stmt, var=None))
            case _:
                out.append(map_bodies(stmt, lambda inner: _keep(inner, read)))
    return tuple(out)


def remove_dead(kernel: Kernel) -> Kernel:
    """``kernel`` without variables that are never read, nor those that only these needed."""
    body, before = kernel.body, -1
    while (read := _read(body)) is not None and len(read) != before:
        before = len(read)
        body = _keep(body, read)
    return replace(kernel, body=body)
