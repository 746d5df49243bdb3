"""Sums in loops that the device's compiler may not add up in another order.

Intel's OpenCL compiler for CPUs turns a loop that only adds up (or multiplies) into sums of every sixteenth element, where it runs a
work-item by itself: at the end of a range, and in kernels in scalar code. No option asks for that, and the results are others than
those of its vectors of work-items, which keep the order. It looks for additions, subtractions and products of a variable that a loop
carries. So here each becomes an ``fma``, which rounds to the same: ``v + x`` as ``v * 1 + x``, ``v * x`` as ``v * x + -0.0``, with numbers
1 and -0.0 that only the launch knows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from anygpu.dtypes import DType, float32, float64, int32, int64
from anygpu.ir import build
from anygpu.ir.kernel import Assign, Bitcast, Body, Expr, For, Kernel, Op, Ref, Special, Stmt, Var, While, walk
from anygpu.passes.rewrite import map_bodies, map_operands, rewrite_expression

NEVER = build.op("eq", Special("grid_dim", 0), build.constant(0, int64))  # false in every launch, which no compiler knows
_INTEGERS = {float32: int32, float64: int64}


def keep_order(kernel: Kernel) -> Kernel:
    """``kernel`` with ``fma`` in place of the operations on floats that its loops carry."""
    everywhere = _settings(walk(kernel.body)) + Counter(p.name for p in kernel.params)
    numbers: dict[tuple[float, DType], Var] = {}

    def number(value: float, dtype: DType) -> Expr:
        return Ref(numbers.setdefault((value, dtype), Var(f"known.at.launch{len(numbers)}", dtype)))

    def inside(loop: Stmt, carried: frozenset[str]) -> frozenset[str]:
        """The variables that a loop, in one that carries some, carries: what it sets and what was set before, and copies of those."""
        settings = _settings(walk((loop,)))
        found = {s.var.name for s in walk((loop,)) if isinstance(s, Assign) and everywhere[s.var.name] > settings[s.var.name]} | carried
        for stmt in walk((loop,)):
            match stmt:
                case Assign(var=var, value=Ref(var=other)) if other.name in found:
                    found.add(var.name)
        return frozenset(found)

    def body(statements: Body, carried: frozenset[str]) -> Body:
        return tuple(statement(stmt, carried) for stmt in statements)

    def statement(stmt: Stmt, carried: frozenset[str]) -> Stmt:
        if isinstance(stmt, For | While):
            carried = inside(stmt, carried)
        changed = map_bodies(stmt, lambda inner: body(inner, carried))
        return map_operands(changed, lambda e: rewrite_expression(e, lambda part: kept(part, carried))) if carried else changed

    def kept(expr: Expr, carried: frozenset[str]) -> Expr:
        match expr:
            case Op(name="add" | "mul", args=(x, Ref(var=var) as v)) if var.name in carried and not _is(x, carried):
                return kept(Op(expr.name, (v, x), expr.dtype), carried)
            case Op(name="add", args=(Ref(var=var) as v, x), dtype=dtype) if var.name in carried and dtype in _INTEGERS:
                return build.op("fma", v, number(1.0, dtype), x)
            case Op(name="sub", args=(Ref(var=var) as v, x), dtype=dtype) if var.name in carried and dtype in _INTEGERS:
                return build.op("fma", v, number(1.0, dtype), build.op("neg", x))
            case Op(name="mul", args=(Ref(var=var) as v, x), dtype=dtype) if var.name in carried and dtype in _INTEGERS:
                return build.op("fma", v, x, number(-0.0, dtype))
        return expr

    changed = body(kernel.body, frozenset())
    known: list[Stmt] = []
    for (value, dtype), var in numbers.items():
        bits = build.constant(int(dtype.numpy.type(value).view(_INTEGERS[dtype].numpy)), _INTEGERS[dtype])
        known.append(Assign(var, Bitcast(build.op("add", bits, build.cast(NEVER, bits.dtype)), dtype)))
    return replace(kernel, body=(*known, *changed))


def _is(expr: Expr, names: frozenset[str]) -> bool:
    return isinstance(expr, Ref) and expr.var.name in names


def _settings(statements: Iterable[Stmt]) -> Counter[str]:
    """How many statements set each variable."""
    return Counter(var.name for s in statements if isinstance(var := getattr(s, "var", None), Var))
