"""float16 and bfloat16 arithmetic as float32 with one rounding an operation: what every device can do, with the same bits.

float32 has more than twice the digits of either, so rounding twice equals rounding once for + - * / and sqrt.
"""

from __future__ import annotations

from dataclasses import replace

from anygpu.dtypes import float32
from anygpu.ir.build import cast
from anygpu.ir.kernel import Expr, Kernel, Op
from anygpu.passes.rewrite import rewrite_body


def _widen(expr: Expr) -> Expr:
    if not isinstance(expr, Op) or not expr.args or not any(a.dtype.is_half for a in expr.args) or expr.name == "select":
        return expr
    args = tuple(cast(a, float32) if a.dtype.is_half else a for a in expr.args)
    if expr.dtype.is_half:
        return cast(Op(expr.name, args, float32), expr.dtype)
    return Op(expr.name, args, expr.dtype)


def widen_halves(kernel: Kernel) -> Kernel:
    """``kernel`` with no operation on half types but moves, selections and casts."""
    return replace(kernel, body=rewrite_body(kernel.body, _widen))
