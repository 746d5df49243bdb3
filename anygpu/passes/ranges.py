"""Range launches as grid launches: ``index`` and ``extent`` become positions, and a guard keeps work-items outside the range away.

The last axis of the range runs along x, the one before it along y, all others together along z.
"""

from __future__ import annotations

from dataclasses import replace

from anygpu.dtypes import int64
from anygpu.ir.build import op
from anygpu.ir.kernel import Assign, Expr, If, Kernel, Ref, Special, Stmt, Var
from anygpu.passes.rewrite import rewrite_body


def _global(axis: int) -> Expr:
    return op("add", op("mul", Special("block", axis), Special("block_dim", axis)), Special("thread", axis))


def lower_ranges(kernel: Kernel) -> Kernel:
    """``kernel`` for grid launches, with one more int64 parameter for each axis of its range, after the others."""
    ndim = kernel.range_ndim
    if ndim == 0:
        return kernel
    extents = tuple(Var(f".extent.{axis}", int64) for axis in range(ndim))
    index: dict[int, Expr] = {}
    prologue: list[Stmt] = []

    def bind(axis: int, value: Expr) -> None:
        var = Var(f".index.{axis}", int64)
        prologue.append(Assign(var, value, kernel.loc))
        index[axis] = Ref(var)

    bind(ndim - 1, _global(0))
    if ndim > 1:
        bind(ndim - 2, _global(1))
    rest = _global(2)
    for axis in reversed(range(ndim - 2)):
        if axis == 0:
            bind(axis, rest)
            continue
        bind(axis, op("mod", rest, Ref(extents[axis])))
        quotient = Var(f".rest.{axis}", int64)
        prologue.append(Assign(quotient, op("floordiv", rest, Ref(extents[axis])), kernel.loc))
        rest = Ref(quotient)

    def rule(expr: Expr) -> Expr:
        if isinstance(expr, Special) and expr.name == "index":
            return index[expr.axis]
        if isinstance(expr, Special) and expr.name == "extent":
            return Ref(extents[expr.axis])
        return expr

    guard = op("lt", index[ndim - 1], Ref(extents[ndim - 1]))
    body = (*prologue, If(guard, rewrite_body(kernel.body, rule), (), kernel.loc))
    return replace(kernel, params=(*kernel.params, *extents), body=body, range_ndim=0)
