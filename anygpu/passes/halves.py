"""float16 and bfloat16 arithmetic as float32 with one rounding an operation: what every device can do, with the same bits.

float32 has more than twice the digits of either, so rounding twice equals rounding once for + - * / and sqrt.
"""

from __future__ import annotations

from dataclasses import replace

from anygpu.dtypes import float32, int16
from anygpu.ir.build import bitcast, cast, constant, op
from anygpu.ir.kernel import Expr, Kernel, Op
from anygpu.passes.rewrite import rewrite_body


def _widen(expr: Expr) -> Expr:
    if not isinstance(expr, Op) or not expr.args or not any(a.dtype.is_half for a in expr.args) or expr.name == "select":
        return expr
    if expr.name == "nextafter":
        return _next_half(*expr.args)
    args = tuple(cast(a, float32) if a.dtype.is_half else a for a in expr.args)
    if expr.dtype.is_half:
        return cast(Op(expr.name, args, float32), expr.dtype)
    return Op(expr.name, args, expr.dtype)


def _next_half(x: Expr, y: Expr) -> Expr:
    """The half next to ``x`` toward ``y``, by its bits: float32 has others in between."""
    wide_x, wide_y = cast(x, float32), cast(y, float32)
    bits_x, bits_y = bitcast(x, int16), bitcast(y, int16)
    outward = op("eq", op("gt", wide_y, wide_x), op("gt", wide_x, constant(0.0, float32)))
    moved = op("add", bits_x, op("select", outward, constant(1, int16), constant(-1, int16)))
    least = op("or", op("and", bits_y, constant(-0x8000, int16)), constant(1, int16))
    moved = op("select", op("eq", wide_x, constant(0.0, float32)), least, moved)
    moved = op("select", op("eq", wide_x, wide_y), bits_y, moved)
    unordered = op("or", op("isnan", wide_x), op("isnan", wide_y))
    return op("select", unordered, cast(op("add", wide_x, wide_y), x.dtype), bitcast(moved, x.dtype))


def widen_halves(kernel: Kernel) -> Kernel:
    """``kernel`` with no operation on half types but moves, selections and casts."""
    return replace(kernel, body=rewrite_body(kernel.body, _widen))
