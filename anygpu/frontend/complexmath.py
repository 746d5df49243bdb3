"""NumPy's elementary functions of a complex argument, from the real ones (Kahan, "Branch cuts for complex elementary functions", 1987)."""

from __future__ import annotations

from anygpu.dtypes import float64
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

    def undirected(size: Expr, turn: Expr) -> Expr:
        """Whether a number is infinite in no known direction: functions that are infinite there say so, as C99's do."""
        return op("and", op("isinf", size), op("not", op("isfinite", turn)))

    def sinh(x: Expr, y: Expr) -> tuple[Expr, Expr]:
        known = op("and", op("or", op("eq", x, number(0.0)), op("isinf", x)), op("not", op("isfinite", y)))
        real = op("select", known, x, op("mul", op("sinh", x), op("cos", y)))
        return real, op("select", op("eq", y, number(0.0)), y, op("mul", op("cosh", x), op("sin", y)))

    def cosh(x: Expr, y: Expr) -> tuple[Expr, Expr]:
        real = op("select", undirected(x, y), op("abs", x), op("mul", op("cosh", x), op("cos", y)))
        signed = op("mul", op("copysign", number(0.0), x), op("copysign", number(1.0), y))
        on_axis = op("or", op("eq", x, number(0.0)), op("eq", y, number(0.0)))
        return real, op("select", on_axis, signed, op("mul", op("sinh", x), op("sin", y)))

    def tanh(x: Expr, y: Expr) -> tuple[Expr, Expr]:
        tangent, sine = op("tan", y), op("sinh", x)
        slope, size = op("add", number(1.0), op("mul", tangent, tangent)), op("mul", sine, sine)
        scale = op("add", number(1.0), op("mul", slope, size))
        along = op("div", op("mul", op("mul", slope, op("sqrt", op("add", number(1.0), size))), sine), scale)
        # where tanh(x) rounds to 1: 4 sin(y) cos(y) exp(-2|x|) across, and 0 at infinity whatever the direction
        far, endless = op("gt", op("abs", x), number(22.0 if x.dtype is float64 else 10.0)), op("isinf", x)
        faint = op("exp", op("neg", op("abs", x)))
        across = op("mul", op("mul", op("mul", op("mul", number(4.0), op("sin", y)), op("cos", y)), faint), faint)
        across = op("select", endless, op("copysign", number(0.0), y), op("select", far, across, op("div", tangent, scale)))
        known = op("or", op("eq", x, number(0.0)), op("or", endless, op("and", far, op("isfinite", y))))
        return op("select", known, op("select", far, op("copysign", number(1.0), x), x), along), op(
            "select", op("eq", y, number(0.0)), y, across
        )

    match name:
        case "exp" | "expm1":
            turn = op("select", op("and", undirected(x, y), op("lt", x, number(0.0))), number(0.0), y)  # exp(-inf) = 0 in all directions
            size, along = op("exp", x), op("mul", op(name, x), op("cos", turn))
            if name == "expm1":  # exp(x) cos(y) - 1 = expm1(x) cos(y) - 2 sin(y/2)**2, without cancellation
                sine = op("sin", op("mul", turn, number(0.5)))
                along = op("add", along, op("sub", number(0.0), op("mul", number(2.0), op("mul", sine, sine))))
            real = op("select", undirected(x, turn), size, along)
            straight = op("eq", turn, number(0.0))  # exp(inf + 0j) = inf + 0j
            return Complex(real, op("select", straight, turn, op("mul", size, op("sin", turn))))
        case "log":
            return Complex(op("log", op("hypot", x, y)), op("atan2", y, x))
        case "sqrt":
            # |z| scaled by halves; the larger of the two parts is found directly, the other by division
            half = number(0.5)
            size = op("sqrt", op("mul", op("add", op("hypot", x, y), op("abs", x)), half))
            other = op("select", op("eq", size, number(0.0)), number(0.0), op("div", op("mul", op("abs", y), half), size))
            right = op("ge", x, number(0.0))
            return Complex(op("select", right, size, other), op("copysign", op("select", right, other, size), y))
        case "sinh":
            return Complex(*sinh(x, y))
        case "cosh":
            return Complex(*cosh(x, y))
        case "sin":  # sin(z) = -i sinh(iz)
            real, imag = sinh(y, x)
            return Complex(imag, real)
        case "cos":  # cos(z) = cosh(iz)
            return Complex(*cosh(op("neg", y), x))
        case "tanh":
            return Complex(*tanh(x, y))
        case "tan":  # tan(z) = -i tanh(iz)
            real, imag = tanh(y, x)
            return Complex(imag, real)
    raise KernelError(
        f"np.{name} of a complex number is not part of the kernel language",
        "exp, expm1, log, sqrt, sin, cos, tan, sinh, cosh, tanh, abs and ** are",
    )
