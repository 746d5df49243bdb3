"""NumPy's elementary functions of a complex argument, from the real ones (Kahan, "Branch cuts for complex elementary functions", 1987)."""

from __future__ import annotations

from anygpu.frontend.context import KernelError, Scope
from anygpu.frontend.types import Complex, Value
from anygpu.ir import build
from anygpu.ir.kernel import Expr


def complex_function(scope: Scope, name: str, z: Complex) -> Value:
    """``np.<name>(z)`` for the functions that kernels have of complex numbers."""
    x, y = scope.pin(z.real), scope.pin(z.imag)

    def op(operation: str, *args: Expr) -> Expr:
        return scope.pin(build.op(operation, *args))

    def number(value: float) -> Expr:
        return build.constant(value, x.dtype)

    match name:
        case "exp":
            size = op("exp", x)
            real_only = op("eq", y, number(0.0))  # keeps exp(inf + 0j) = inf + 0j
            return Complex(op("mul", size, op("cos", y)), op("select", real_only, y, op("mul", size, op("sin", y))))
        case "log":
            return Complex(op("log", op("hypot", x, y)), op("atan2", y, x))
        case "sqrt":
            # |z| scaled by halves; the larger of the two parts is found directly, the other by division
            half = number(0.5)
            size = op("sqrt", op("mul", op("add", op("hypot", x, y), op("abs", x)), half))
            other = op("select", op("eq", size, number(0.0)), number(0.0), op("div", op("mul", op("abs", y), half), size))
            right = op("ge", x, number(0.0))
            return Complex(op("select", right, size, other), op("copysign", op("select", right, other, size), y))
        case "sin":
            return Complex(op("mul", op("sin", x), op("cosh", y)), op("mul", op("cos", x), op("sinh", y)))
        case "cos":
            return Complex(op("mul", op("cos", x), op("cosh", y)), op("neg", op("mul", op("sin", x), op("sinh", y))))
        case "sinh":
            return Complex(op("mul", op("sinh", x), op("cos", y)), op("mul", op("cosh", x), op("sin", y)))
        case "cosh":
            return Complex(op("mul", op("cosh", x), op("cos", y)), op("mul", op("sinh", x), op("sin", y)))
    raise KernelError(
        f"np.{name} of a complex number is not part of the kernel language", "exp, log, sqrt, sin, cos, sinh, cosh, abs and ** are"
    )
