"""Loops whose accesses depend on what they load, run on trust: checks that only note, and a second run where one failed.

In ``for k in range(a, b): total += v[k] * x[columns[k]]`` no test before the loop proves ``x[columns[k]]``. But a loop that only loads and
computes can run twice. So the first run takes an array's last element for what is out of bounds and notes that in one bit, which costs
two instructions and no branch; if the bit is set at the end, the variables get their old values back and the loop runs again with its
checks, which report the right access.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from anygpu.dtypes import int64, uint64
from anygpu.ir.build import cast, integer, op
from anygpu.ir.kernel import Array, Assign, Block, Body, Dim, Exit, Expr, For, If, Load, Ref, Stmt, Var, subexpressions, walk
from anygpu.passes.rewrite import map_bodies


def can_repeat(loop: For) -> bool:
    """Whether running a loop again from the same variables gives the same: it only loads and computes, and ends by itself."""
    statements = list(walk(loop.body))
    inside = {s.label for s in statements if isinstance(s, Block)}
    return all(isinstance(s, Assign | Load | If | Block) or (isinstance(s, Exit) and s.label in inside) for s in statements)


def depends_on_loads(accesses: list[Load], body: Body) -> bool:
    """Whether the index of any of these accesses is made of what the body loads."""
    loaded: set[str] = set()
    before = -1
    while len(loaded) > before:
        before = len(loaded)
        for stmt in walk(body):
            if isinstance(stmt, Load) or (isinstance(stmt, Assign) and _mentions((stmt.value,), loaded)):
                loaded.add(stmt.var.name)
    return any(_mentions(access.index, loaded) for access in accesses)


def _mentions(exprs: tuple[Expr, ...], names: set[str]) -> bool:
    return any(isinstance(e, Ref) and e.var.name in names for expr in exprs for e in subexpressions(expr))


def not_empty(arrays: list[Array]) -> list[Expr] | None:
    """What must hold for arrays to have an element; None if one surely has none."""
    tests: list[Expr] = []
    for array in arrays:
        if array.shape is not None and array.shape != (0,):
            if 0 in array.shape:
                return None
            continue
        tests += [op("gt", Dim(array.name, axis), integer(0)) for axis in range(array.ndim)]
    return tests


def trusting(body: Body, arrays: Mapping[str, Array], safe: set[int], failed: Var) -> Body:
    """A body whose loads are not checked: those in ``safe`` (by identity) as they are, all others of the last element and
    ``failed`` set where an index is out of bounds."""
    out: list[Stmt] = []
    for stmt in body:
        if not isinstance(stmt, Load) or not stmt.checked or not stmt.index or id(stmt) in safe:
            copy = map_bodies(stmt, lambda inner: trusting(inner, arrays, safe, failed))
            out.append(replace(copy, checked=False) if isinstance(copy, Load) else replace(copy))
            continue
        outside: Expr = Ref(failed)
        near: list[Expr] = []
        for axis, index in enumerate(stmt.index):  # as unsigned a negative index is larger than any extent
            extent, unsigned = _extent(arrays[stmt.array], axis), cast(index, uint64)
            outside = op("or", outside, op("ge", unsigned, cast(extent, uint64)))
            last = op("maximum", op("sub", extent, integer(1)), integer(0))
            near.append(cast(op("minimum", unsigned, cast(last, uint64)), int64))
        out += [Assign(failed, outside, stmt.loc), replace(stmt, index=tuple(near), checked=False)]
    return tuple(out)


def _extent(array: Array, axis: int) -> Expr:
    return Dim(array.name, axis) if array.shape is None or array.shape == (0,) else integer(array.shape[axis])


__all__ = ["can_repeat", "depends_on_loads", "not_empty", "trusting"]
