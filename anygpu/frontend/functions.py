"""The functions of ``builtins``, ``math`` and NumPy that kernels have, each by a handler in one table."""

from __future__ import annotations

import ast
import builtins
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import ml_dtypes
import numpy as np

from anygpu.dtypes import bfloat16, bool_, complex128, float16, float32, float64, int32, int64, uint8
from anygpu.frontend import arithmetic, iterating, scalarmath, structures
from anygpu.frontend.arithmetic import convert, convert_expr, explicit_cast, literal, real, truth
from anygpu.frontend.context import KernelError, Scope
from anygpu.frontend.inlining import inline
from anygpu.frontend.types import Complex, Object, Scalar, Tuple, Value, View, describe
from anygpu.ir import build
from anygpu.ir.kernel import Const, Expr

Arguments = Sequence[Value]
Handler = Callable[[Scope, Arguments, ast.AST], Value]


def conjugate(value: Value) -> Value:
    if isinstance(value, Complex):
        return Complex(value.real, build.op("neg", value.imag), value.weak)
    return real(value, "conjugate")


def float_operands(args: Arguments, what: str, numpy: bool) -> tuple[list[Expr], bool]:
    """Arguments of a function of floats, in one float dtype. Integers become float64, or what NumPy's ufunc would take."""
    values = [real(a, what) for a in args]
    dtype, weak = values[0].dtype, values[0].weak
    for v in values[1:]:
        dtype, weak = arithmetic.common_dtype(Scalar(build.constant(0, dtype), weak), v)
    if not dtype.is_float:
        small = {8: float16, 16: float32}.get(dtype.bits, float64)
        dtype = small if numpy and not weak else float64
    return [convert_expr(v, dtype) for v in values], weak


def _float_function(op: str, what: str, arity: int, numpy: bool) -> Handler:
    def handle(scope: Scope, args: Arguments, node: ast.AST) -> Value:
        count(args, arity, what)
        if isinstance(args[0], Complex) and numpy:
            from anygpu.frontend.complexmath import complex_function

            return complex_function(scope, op, args[0])
        operands, weak = float_operands(args, what, numpy)
        return Scalar(build.op(op, *operands), weak)

    return handle


def count(args: Arguments, arity: int, what: str) -> None:
    if len(args) != arity:
        raise KernelError(f"{what} takes {arity} argument{'s' if arity != 1 else ''}, not {len(args)}")


def _rounding(op: str, what: str) -> Handler:
    """math.floor and its like: an int64, as in Python."""

    def handle(scope: Scope, args: Arguments, node: ast.AST) -> Value:
        count(args, 1, what)
        value = real(args[0], what)
        if not value.dtype.is_float:
            return Scalar(build.cast(value.expr, int64), value.weak)
        return Scalar(build.cast(build.op(op, value.expr), int64))

    return handle


def _numpy_rounding(op: str, what: str) -> Handler:
    def handle(scope: Scope, args: Arguments, node: ast.AST) -> Value:
        count(args, 1, what)
        value = real(args[0], what)
        return Scalar(build.op(op, value.expr), value.weak) if value.dtype.is_float else value

    return handle


def _predicate(op: str, what: str, otherwise: bool) -> Handler:
    def handle(scope: Scope, args: Arguments, node: ast.AST) -> Value:
        count(args, 1, what)
        if isinstance(args[0], Complex):
            join = "and" if op == "isfinite" else "or"
            return Scalar(build.op(join, build.op(op, args[0].real), build.op(op, args[0].imag)))
        value = real(args[0], what)
        if op == "signbit" and value.dtype.kind == "i":
            return Scalar(build.op("lt", value.expr, build.constant(0, value.dtype)))
        return Scalar(build.op(op, value.expr) if value.dtype.is_float else Const(otherwise, bool_))

    return handle


def _binary(name: str) -> Handler:
    def handle(scope: Scope, args: Arguments, node: ast.AST) -> Value:
        count(args, 2, name)
        return arithmetic.binary(scope, name, args[0], args[1])

    return handle


def _unary(name: str) -> Handler:
    def handle(scope: Scope, args: Arguments, node: ast.AST) -> Value:
        count(args, 1, name)
        return arithmetic.unary(scope, name, args[0])

    return handle


def _extremum(op: str, what: str) -> Handler:
    """np.minimum and its like, whose operation spreads or ignores NaN."""

    def handle(scope: Scope, args: Arguments, node: ast.AST) -> Value:
        count(args, 2, what)
        a, b = real(args[0], what), real(args[1], what)
        dtype, weak = arithmetic.common_dtype(a, b)
        name = op if dtype.is_float else {"fmin": "minimum", "fmax": "maximum"}.get(op, op)
        return Scalar(build.op(name, convert_expr(a, dtype), convert_expr(b, dtype)), weak)

    return handle


def _python_extremum(name: str) -> Handler:
    """The builtins min and max: the first of several that none is less (greater) than."""

    def handle(scope: Scope, args: Arguments, node: ast.AST) -> Value:
        items = list(structures.elements(args[0], name)) if len(args) == 1 and isinstance(args[0], Tuple) else list(args)
        if len(items) < 2 and not (len(args) == 1 and items and isinstance(args[0], Tuple)):
            raise KernelError(f"{name}() takes two or more numbers, or a tuple of them")
        values = [real(v, name) for v in items]
        best = values[0]
        for value in values[1:]:
            dtype, weak = arithmetic.common_dtype(best, value)
            if weak and best.constant is not None and value.constant is not None:
                best = literal((min if name == "min" else max)(best.constant, value.constant))  # type: ignore[assignment]
                continue
            a, b = scope.pin(convert_expr(best, dtype)), scope.pin(convert_expr(value, dtype))
            if not dtype.is_float:
                best = Scalar(build.op("minimum" if name == "min" else "maximum", a, b), weak)
            else:
                best = Scalar(build.op("select", build.op("lt" if name == "min" else "gt", b, a), b, a), weak)
        return best

    return handle


def _absolute(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    count(args, 1, "abs")
    value = args[0]
    found = structures.invoke(scope, value, "__abs__", [])
    if found is not None:
        return found
    if isinstance(value, Complex):
        return Scalar(build.op("hypot", value.real, value.imag))
    given = real(value, "abs")
    constant = given.constant
    if given.weak and isinstance(constant, int):
        return literal(abs(constant))
    if given.dtype.kind in "bu":
        return Scalar(build.cast(given.expr, int64)) if given.dtype is bool_ else given
    return Scalar(build.op("abs", given.expr), given.weak)


def _round(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    if len(args) != 1:
        raise KernelError("round() takes one argument in a kernel", "scale, round and scale back instead")
    return _rounding("rint", "round")(scope, args, node)


def _length(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    count(args, 1, "len")
    match args[0]:
        case Tuple(items=items):
            found = structures.invoke(scope, args[0], "__len__", [])
            if found is not None:
                return found
            if structures.is_sequence(args[0]):
                return literal(len(items))
        case View(axes=axes) if axes:
            return Scalar(axes[0].length)
    raise KernelError(f"{describe(args[0])} has no len()")


def _divmod(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    count(args, 2, "divmod")
    a, b = scope.pin_value(args[0]), scope.pin_value(args[1])
    return Tuple((arithmetic.binary(scope, "floordiv", a, b), arithmetic.binary(scope, "mod", a, b)))


def _sum(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    if not 1 <= len(args) <= 2 or not isinstance(args[0], Tuple):
        raise KernelError("sum() takes a tuple in a kernel", "write a loop to add up an array")
    total: Value = args[1] if len(args) > 1 else literal(0)
    for item in structures.elements(args[0], "sum() takes a tuple"):
        total = arithmetic.binary(scope, "add", total, item)
    return total


def _all_any(name: str) -> Handler:
    def handle(scope: Scope, args: Arguments, node: ast.AST) -> Value:
        if len(args) != 1 or not isinstance(args[0], Tuple):
            raise KernelError(f"{name}() takes a tuple in a kernel")
        result: Expr = Const(name == "all", bool_)
        for item in structures.elements(args[0], f"{name}() takes a tuple"):
            result = build.op("and" if name == "all" else "or", result, truth(scope, item))
        return Scalar(result)

    return handle


def _select(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    count(args, 3, "select")
    condition = truth(scope, args[0])
    if isinstance(args[1], Complex) or isinstance(args[2], Complex):
        a, b = arithmetic.number(args[1], "select"), arithmetic.number(args[2], "select")
        dtype, _ = arithmetic.common_dtype(a, b)
        x, y = convert(a, dtype), convert(b, dtype)
        assert isinstance(x, Complex) and isinstance(y, Complex)
        pinned = scope.pin(condition)
        return Complex(build.op("select", pinned, x.real, y.real), build.op("select", pinned, x.imag, y.imag))
    first, second = real(args[1], "select"), real(args[2], "select")
    dtype, weak = arithmetic.common_dtype(first, second)
    return Scalar(build.op("select", condition, convert_expr(first, dtype), convert_expr(second, dtype)), weak)


def _clip(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    count(args, 3, "clip")
    return _extremum("minimum", "clip")(scope, [_extremum("maximum", "clip")(scope, args[:2], node), args[2]], node)


def _sign(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    count(args, 1, "sign")
    value = real(args[0], "sign")
    x, zero, one = scope.pin(value.expr), build.constant(0, value.dtype), build.constant(1, value.dtype)
    if value.dtype.kind in "ub":
        return Scalar(build.op("select", build.truth(x), one, zero))
    minus = build.constant(-1, value.dtype)
    inner = build.op(
        "select", build.op("lt", x, zero), minus, build.op("select", build.op("eq", x, zero), zero, x) if value.dtype.is_float else zero
    )
    return Scalar(build.op("select", build.op("gt", x, zero), one, inner), value.weak)


def _remainder(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    """np.fmod: the remainder with the dividend's sign. That of integers is an integer; 0 if divided by zero."""
    count(args, 2, "np.fmod")
    a, b = real(args[0], "np.fmod"), real(args[1], "np.fmod")
    dtype, weak = arithmetic.common_dtype(a, b)
    if not dtype.is_integer:
        return _float_function("fmod", "np.fmod", 2, True)(scope, args, node)
    x, y = scope.pin(convert_expr(a, dtype)), scope.pin(convert_expr(b, dtype))
    found = scope.pin(build.op("mod", x, y))
    zero = build.constant(0, dtype)
    other = build.op("and", build.op("ne", found, zero), build.op("ne", build.op("lt", x, zero), build.op("lt", y, zero)))
    return Scalar(build.op("select", other, build.op("sub", found, y), found), weak)


def _reciprocal(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    """np.reciprocal: of an integer, truncated to an integer (0 for 0)."""
    count(args, 1, "np.reciprocal")
    if not isinstance(args[0], Scalar) or not args[0].dtype.is_integer or args[0].weak:
        return arithmetic.binary(scope, "div", literal(1.0), args[0])
    x, one = scope.pin(args[0].expr), build.constant(1, args[0].dtype)
    small = build.op("eq", x, one)
    if args[0].dtype.kind == "i":
        small = build.op("or", small, build.op("eq", x, build.constant(-1, x.dtype)))
    return Scalar(build.op("select", small, x, build.constant(0, x.dtype)))


def _scaled(factor: float) -> Handler:
    def handle(scope: Scope, args: Arguments, node: ast.AST) -> Value:
        count(args, 1, "the conversion of angles")
        (x,), weak = float_operands(args, "the conversion of angles", False)
        return Scalar(build.op("mul", x, build.constant(factor, x.dtype)), weak)

    return handle


def _modf(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    count(args, 1, "modf")
    (x,), _ = float_operands(args, "modf", False)
    x = scope.pin(x)
    whole = scope.pin(build.op("trunc", x))
    fraction = build.op("select", build.op("isinf", x), build.constant(0.0, x.dtype), build.op("sub", x, whole))
    return Tuple((Scalar(scope.pin(build.op("copysign", fraction, x))), Scalar(whole)))


def _frexp(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    count(args, 1, "frexp")
    (x,), _ = float_operands(args, "frexp", False)
    x = scope.pin(x)
    return Tuple((Scalar(scope.pin(build.op("frexp_mantissa", x))), Scalar(scope.pin(build.op("frexp_exponent", x)))))


def _ldexp(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    count(args, 2, "ldexp")
    (x,), weak = float_operands(args[:1], "ldexp", False)
    exponent = real(args[1], "ldexp")
    if not exponent.dtype.is_integer:
        raise KernelError(f"ldexp takes an integer exponent, not {describe(exponent)}")
    low, high = build.constant(-5000, exponent.dtype), build.constant(5000, exponent.dtype)
    wide = exponent.expr if exponent.dtype.bits <= 16 else build.op("minimum", build.op("maximum", exponent.expr, low), high)
    if exponent.dtype.kind == "u" and exponent.dtype.bits > 16:
        wide = build.op("minimum", exponent.expr, high)
    return Scalar(build.op("ldexp", x, build.cast(wide, int32)), weak)


def _hypotenuse(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    operands, weak = float_operands(args, "hypot", False)
    total = operands[0]
    for other in operands[1:]:
        total = build.op("hypot", total, other)
    return Scalar(build.op("abs", total) if len(operands) == 1 else total, weak)


@dataclass(frozen=True)
class Written:
    """A function of ``scalarmath``, and how its positional arguments are converted: to one type of these kinds."""

    function: Callable[..., object]
    kinds: str
    what: str

    def call(self, scope: Scope, args: Arguments, kwargs: dict[str, Value], node: ast.AST) -> Value:
        match self.kinds:
            case "integer" | "int64":
                values = [real(a, self.what) for a in args]
                dtype = int64
                for v in values if self.kinds == "integer" else ():
                    dtype = v.dtype if v is values[0] else arithmetic.common_dtype(Scalar(build.constant(0, dtype)), v)[0]
                if not dtype.is_integer or not all(v.dtype.is_integer for v in values):
                    raise KernelError(f"{self.what} takes integers, not {' and '.join(map(describe, args))}")
                args = [Scalar(convert_expr(v, dtype)) for v in values]
            case "float" | "wide" | "float64":
                if self.kinds == "wide" and any(real(a, self.what).dtype.is_half for a in args):
                    raise KernelError(f"{self.what} takes float32 and float64, not {describe(args[0])}")
                operands, _ = float_operands(args, self.what, self.kinds != "float64")
                args = [Scalar(build.cast(o, float64) if self.kinds == "float64" else o) for o in operands]
            case "number" if not real(args[0], self.what).dtype.is_float:
                return args[0]
        if self.function in (scalarmath.gcd, scalarmath.lcm) and len(args) > 2:
            first = self.call(scope, args[:2], kwargs, node)
            return self.call(scope, [first, *args[2:]], kwargs, node)
        return inline(scope, self.function, args, kwargs, node)

    def __call__(self, scope: Scope, args: Arguments, node: ast.AST) -> Value:
        if not args:
            raise KernelError(f"{self.what} takes arguments")
        return self.call(scope, args, {}, node)


def _float_power(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    count(args, 2, "float_power")
    if any(isinstance(a, Complex) for a in args):
        return arithmetic.binary(scope, "pow", *(convert(a, complex128) for a in args))
    x, y = (Scalar(convert_expr(real(a, "float_power"), float64)) for a in args)
    return Scalar(build.op("pow", x.expr, y.expr))


def _bitwise_count(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    """The one bits of the absolute value, as NumPy counts them: a uint8."""
    count(args, 1, "bitwise_count")
    value = real(args[0], "bitwise_count")
    if not value.dtype.is_integer:
        raise KernelError(f"bitwise_count takes an integer, not {describe(value)}")
    size = build.op("abs", value.expr) if value.dtype.kind == "i" else value.expr
    return Scalar(build.cast(build.op("popc", size), uint8))


def _dist(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    count(args, 2, "dist")
    p, q = (structures.elements(a, "dist() takes two tuples") for a in args)
    if len(p) != len(q) or not p:
        raise KernelError(f"dist() takes two points of the same number of coordinates, not {len(p)} and {len(q)}")
    return _hypotenuse(scope, [arithmetic.binary(scope, "sub", a, b) for a, b in zip(p, q, strict=True)], node)


def _limits(name: str) -> Handler:
    """np.finfo and np.iinfo: what is known of a dtype when compiling."""

    def handle(scope: Scope, args: Arguments, node: ast.AST) -> Value:
        count(args, 1, name)
        dtype = args[0].dtype.numpy if isinstance(args[0], Scalar | Complex) else args[0].value if isinstance(args[0], Object) else None
        try:
            found = ml_dtypes.finfo(dtype) if dtype == bfloat16.numpy and name == "finfo" else getattr(np, name)(dtype)  # type: ignore[no-untyped-call]
        except (TypeError, ValueError) as error:
            raise KernelError(f"np.{name} knows nothing of {describe(args[0])}", "finfo takes floats, iinfo integers") from error
        return Object(found)

    return handle


def _logical_xor(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    count(args, 2, "logical_xor")
    return Scalar(build.op("ne", truth(scope, args[0]), truth(scope, args[1])))


def _fma_call(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    count(args, 3, "fma")
    operands, weak = float_operands(args, "fma", False)
    return Scalar(build.op("fma", *operands), weak)


def _logarithm(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    if len(args) == 2:
        (x, base), weak = float_operands(args, "log", False)
        return Scalar(build.op("div", build.op("log", x), build.op("log", base)), weak)
    return _float_function("log", "log", 1, False)(scope, args, node)


def _complex(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    if len(args) == 1:
        return explicit_cast(args[0], complex128, "complex(...)")
    count(args, 2, "complex")
    return arithmetic.complex_from_parts(real(args[0], "complex"), real(args[1], "complex"))


def _angle(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    count(args, 1, "angle")
    value = args[0]
    if isinstance(value, Complex):
        return Scalar(build.op("atan2", value.imag, value.real))
    (x,), weak = float_operands(args, "angle", True)
    return Scalar(build.op("atan2", build.constant(0.0, x.dtype), x), weak)


def _part(name: str) -> Handler:
    def handle(scope: Scope, args: Arguments, node: ast.AST) -> Value:
        from anygpu.frontend.expressions import attribute

        count(args, 1, name)
        return attribute(scope, args[0], name)

    return handle


# ---------------------------------------------------------------------------------------------------------------------------- tables

_SAME_NAME = (
    "exp", "exp2", "expm1", "log2", "log10", "log1p", "cbrt", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "hypot", "copysign",
    "trunc",
)  # fmt: skip
_MATH = {name: name for name in (
    "exp", "exp2", "expm1", "log2", "log10", "log1p", "cbrt", "sqrt", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh",
    "cosh", "tanh",
    "asinh", "acosh", "atanh", "pow", "copysign", "fmod", "remainder", "erf", "erfc", "gamma", "lgamma", "nextafter",
)} | {"fabs": "abs"}  # fmt: skip
_NUMPY = {name: name for name in (
    "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "cbrt", "sqrt", "sin", "cos", "tan", "sinh", "cosh", "tanh", "hypot",
    "copysign", "nextafter",
)} | {
    "arcsin": "asin", "arccos": "acos", "arctan": "atan", "arctan2": "atan2", "arcsinh": "asinh", "arccosh": "acosh", "arctanh": "atanh",
    "asin": "asin", "acos": "acos", "atan": "atan", "atan2": "atan2", "asinh": "asinh", "acosh": "acosh", "atanh": "atanh", "fabs": "abs",
}  # fmt: skip
_TWO = ("atan2", "pow", "copysign", "fmod", "remainder", "nextafter", "hypot")
_NUMPY_BINARY = {
    "add": "add", "subtract": "sub", "multiply": "mul", "divide": "div", "true_divide": "div", "floor_divide": "floordiv", "mod": "mod",
    "remainder": "mod", "power": "pow", "bitwise_and": "and", "bitwise_or": "or", "bitwise_xor": "xor", "left_shift": "shl",
    "right_shift": "shr",
    "equal": "eq", "not_equal": "ne", "less": "lt", "less_equal": "le", "greater": "gt", "greater_equal": "ge", "pow": "pow",
}  # fmt: skip


def _functions() -> dict[int, Handler]:
    table: dict[int, Handler] = {}

    def add(obj: object, handler: Handler) -> None:
        table[id(obj)] = handler

    for name, op in _MATH.items():
        if hasattr(math, name):
            add(getattr(math, name), _float_function(op, f"math.{name}", 2 if name in _TWO else 1, False))
    for name, op in _NUMPY.items():
        add(getattr(np, name), _float_function(op, f"np.{name}", 2 if op in _TWO else 1, True))
    for name, op in _NUMPY_BINARY.items():
        add(getattr(np, name), _binary(op))
    for name in ("floor", "ceil", "trunc", "rint"):
        add(getattr(np, name), _numpy_rounding(name, f"np.{name}"))
        if hasattr(math, name):
            add(getattr(math, name), _rounding(name, f"math.{name}"))
    for name in ("isnan", "isinf", "isfinite"):
        for module in (math, np):
            add(getattr(module, name), _predicate(name, name, name == "isfinite"))
    add(np.signbit, _predicate("signbit", "signbit", False))
    for name, op in (("minimum", "minimum"), ("maximum", "maximum"), ("fmin", "fmin"), ("fmax", "fmax")):
        add(getattr(np, name), _extremum(op, f"np.{name}"))
    for name in ("negative", "invert", "logical_not", "positive"):
        add(getattr(np, name), _unary({"negative": "neg", "logical_not": "not", "positive": "pos"}.get(name, "invert")))
    for name in ("logical_and", "logical_or"):
        add(getattr(np, name), _logical(name.removeprefix("logical_")))
    for obj, handler in (
        (builtins.abs, _absolute), (np.abs, _absolute), (builtins.min, _python_extremum("min")), (builtins.max, _python_extremum("max")),
        (builtins.round, _round), (builtins.len, _length), (builtins.divmod, _divmod), (builtins.pow, _binary("pow")), (builtins.sum, _sum),
        (builtins.all, _all_any("all")), (builtins.any, _all_any("any")), (builtins.complex, _complex),
        (builtins.range, iterating.range_call), (builtins.enumerate, iterating.enumerate_call), (builtins.zip, iterating.zip_call),
        (builtins.reversed, iterating.reversed_call), (builtins.tuple, iterating.tuple_call),
        (math.log, _logarithm), (math.hypot, _hypotenuse), (math.modf, _modf), (math.frexp, _frexp),
        (math.ldexp, _ldexp), (np.ldexp, _ldexp), (np.modf, _modf), (np.frexp, _frexp), (np.where, _select), (np.clip, _clip),
        (np.sign, _sign),
        (math.degrees, _scaled(180.0 / math.pi)), (math.radians, _scaled(math.pi / 180.0)), (np.degrees, _scaled(180.0 / math.pi)),
        (np.radians, _scaled(math.pi / 180.0)), (np.rad2deg, _scaled(180.0 / math.pi)), (np.deg2rad, _scaled(math.pi / 180.0)),
        (np.conjugate, lambda s, a, n: conjugate(a[0])), (np.angle, _angle), (np.real, _part("real")), (np.imag, _part("imag")),
        (np.square, lambda s, a, n: arithmetic.binary(s, "mul", p := s.pin_value(a[0]), p)),
        (np.reciprocal, _reciprocal), (np.fmod, _remainder),
        (np.divmod, _divmod), (np.float_power, _float_power), (np.bitwise_count, _bitwise_count), (math.dist, _dist),
        (np.finfo, _limits("finfo")), (np.iinfo, _limits("iinfo")), (np.logical_xor, _logical_xor),
        (math.gcd, Written(scalarmath.gcd, "integer", "gcd")), (np.gcd, Written(scalarmath.gcd, "integer", "gcd")),
        (math.lcm, Written(scalarmath.lcm, "integer", "lcm")), (np.lcm, Written(scalarmath.lcm, "integer", "lcm")),
        (math.isqrt, Written(scalarmath.isqrt, "int64", "isqrt")), (math.factorial, Written(scalarmath.factorial, "int64", "factorial")),
        (math.comb, Written(scalarmath.comb, "int64", "comb")), (math.ulp, Written(scalarmath.ulp, "float64", "ulp")),
        (np.spacing, Written(scalarmath.spacing, "wide", "spacing")), (math.isclose, Written(scalarmath.isclose, "float64", "isclose")),
        (np.logaddexp, Written(scalarmath.logaddexp, "float", "logaddexp")),
        (np.heaviside, Written(scalarmath.heaviside, "float", "heaviside")),
        (np.isposinf, Written(scalarmath.isposinf, "float", "isposinf")),
        (np.isneginf, Written(scalarmath.isneginf, "float", "isneginf")),
        (np.nan_to_num, Written(scalarmath.nan_to_num, "number", "nan_to_num")), (math.prod, Written(scalarmath.prod, "", "prod")),
    ):  # fmt: skip
        add(obj, handler)
    if hasattr(math, "fma"):
        add(math.fma, _fma_call)
    return table


def _logical(name: str) -> Handler:
    def handle(scope: Scope, args: Arguments, node: ast.AST) -> Value:
        count(args, 2, f"logical_{name}")
        return Scalar(build.op(name, truth(scope, args[0]), truth(scope, args[1])))

    return handle


FUNCTIONS: dict[int, Handler] = _functions()

FLOAT_WORDS: dict[str, Handler] = {
    name: _float_function(name, name, 2 if name in _TWO else 1, False)
    for name in ("rsqrt", "sinpi", "cospi", "exp10", "sqrt", "exp", "log", "sin", "cos", "pow", "copysign", "fmod")
} | {
    "fabs": _float_function("abs", "fabs", 1, False), "fma": _fma_call, "select": _select, "selp": _select,
    **{name: _numpy_rounding(name, name) for name in ("floor", "ceil", "trunc", "rint")},
}  # fmt: skip
