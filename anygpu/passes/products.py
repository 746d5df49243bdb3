"""Products of two 32-bit integers whose halves alone are used become two 32-bit products.

``p = uint64(a) * uint64(b)`` followed by ``uint32(p >> 32)`` and ``uint32(p)`` is how counter-based random numbers are written;
vectors have no 64-bit multiplication worth using, but both halves of the 32-bit one.
"""

from __future__ import annotations

from dataclasses import replace

from anygpu.dtypes import uint32, uint64
from anygpu.ir.kernel import Assign, Body, Cast, Const, Expr, Kernel, Op, Ref, Stmt, Var, assigned, operands, subexpressions, walk
from anygpu.passes.rewrite import map_bodies, rewrite_body


def _factor(expr: Expr) -> Expr | None:
    """A uint64 operand as the uint32 that it was widened from."""
    if isinstance(expr, Cast) and expr.arg.dtype is uint32:
        return expr.arg
    if isinstance(expr, Const) and 0 <= int(expr.value) < 1 << 32:
        return Const(expr.value, uint32)
    return None


def _half(expr: Expr, names: set[str]) -> tuple[str, bool] | None:
    """The variable whose upper (True) or lower half an expression takes."""
    if not (isinstance(expr, Cast) and expr.dtype is uint32):
        return None
    match expr.arg:
        case Ref(var=var) if var.name in names:
            return var.name, False
        case Op(name="and", args=(Ref(var=var), Const(value=0xFFFFFFFF))) if var.name in names:
            return var.name, False
        case Op(name="shr", args=(Ref(var=var), Const(value=32))) if var.name in names:
            return var.name, True
    return None


def split_products(kernel: Kernel) -> Kernel:
    """``kernel`` with such products split into ``mulhi`` and a 32-bit product."""
    products: dict[str, tuple[Expr, Expr]] = {}
    counts: dict[str, int] = {}
    for stmt in walk(kernel.body):
        var = assigned(stmt)
        if var is None:
            continue
        counts[var.name] = counts.get(var.name, 0) + 1
        if isinstance(stmt, Assign) and var.dtype is uint64 and isinstance(stmt.value, Op) and stmt.value.name == "mul":
            factors = [_factor(a) for a in stmt.value.args]
            if factors[0] is not None and factors[1] is not None:
                products[var.name] = (factors[0], factors[1])
    names = {name for name in products if counts[name] == 1}
    if not names:
        return kernel
    reads = dict.fromkeys(names, 0)
    halves = dict.fromkeys(names, 0)
    for stmt in walk(kernel.body):
        for expr in operands(stmt):
            for part in subexpressions(expr):
                if isinstance(part, Ref) and part.var.name in names:
                    reads[part.var.name] += 1
                half = _half(part, names)
                if half is not None:
                    halves[half[0]] += 1
    names = {name for name in names if reads[name] == halves[name]}

    def rule(expr: Expr) -> Expr:
        half = _half(expr, names)
        return expr if half is None else Ref(Var(f"{half[0]}.{'high' if half[1] else 'low'}", uint32))

    def split(body: Body) -> Body:
        out: list[Stmt] = []
        for stmt in body:
            inner = map_bodies(stmt, split)
            if isinstance(inner, Assign) and inner.var.name in names:
                args = products[inner.var.name]
                out.append(replace(inner, var=Var(f"{inner.var.name}.high", uint32), value=Op("mulhi", args, uint32)))
                out.append(replace(inner, var=Var(f"{inner.var.name}.low", uint32), value=Op("mul", args, uint32)))
            else:
                out.append(inner)
        return tuple(out)

    return replace(kernel, body=rewrite_body(split(kernel.body), rule))
