"""The one rule by which ``a*b + c`` becomes ``fma``: so every device rounds alike.

Within one expression, an addition or subtraction one of whose operands is a product (of float32 or float64) becomes an
fma; the left product if both are. Assignment to a variable is a rounding point, since products do not cross statements.
"""

from __future__ import annotations

from dataclasses import replace

from anygpu.ir.build import op
from anygpu.ir.kernel import Expr, Kernel, Op
from anygpu.passes.rewrite import rewrite_body


def _contract(expr: Expr) -> Expr:
    match expr:
        case Op(name="add" | "sub" as name, args=(a, b), dtype=dtype) if dtype.is_float and dtype.bits >= 32:
            if isinstance(a, Op) and a.name == "mul":
                return op("fma", a.args[0], a.args[1], b if name == "add" else op("neg", b))
            if isinstance(b, Op) and b.name == "mul":
                return op("fma", b.args[0] if name == "add" else op("neg", b.args[0]), b.args[1], a)
    return expr


def contract(kernel: Kernel) -> Kernel:
    """``kernel`` with products and sums fused."""
    return replace(kernel, body=rewrite_body(kernel.body, _contract))
