"""Python's operators on typed values: NumPy 2 promotion, weak Python numbers, complex arithmetic, and the errors of each."""

from __future__ import annotations

import math
from collections.abc import Callable

from anygpu.dtypes import DType, bool_, complex_of, float64, int32, int64, promote, promote_weak, uint64
from anygpu.frontend import structures
from anygpu.frontend.context import KernelError, Scope
from anygpu.frontend.types import Complex, Element, Object, Scalar, Tuple, Value, View, describe
from anygpu.ir import build
from anygpu.ir.kernel import Assign, Const, Expr, If, Ref, Var, While

Number = Scalar | Complex

SYMBOLS: dict[str, str] = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "floordiv": "//", "mod": "%", "pow": "**", "and": "&", "or": "|", "xor": "^",
    "shl": "<<", "shr": ">>", "eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "matmul": "@",
}  # fmt: skip
COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")


# -------------------------------------------------------------------------------------------------------------------- conversion


def literal(value: bool | int | float | complex) -> Number:
    """A Python number: weak."""
    if isinstance(value, bool):
        return Scalar(Const(value, bool_))
    if isinstance(value, int):
        return Scalar(Const(value, int64), weak=True)
    if isinstance(value, complex):
        return Complex(Const(value.real, float64), Const(value.imag, float64), weak=True)
    return Scalar(Const(value, float64), weak=True)


def number(value: Value, what: str) -> Number:
    """``value`` if it is a number, else an error that says what needed one."""
    if isinstance(value, Scalar | Complex):
        return value
    raise KernelError(f"{what} needs a number, not {describe(value)}")


def real(value: Value, what: str) -> Scalar:
    """``value`` if it is a real number."""
    if isinstance(value, Scalar):
        return value
    raise KernelError(f"{what} needs a real number, not {describe(value)}")


def convert_expr(value: Scalar, dtype: DType) -> Expr:
    """A real scalar as a real dtype; a literal that does not fit an integer type is an error, as in NumPy 2."""
    constant = value.constant
    if value.weak and isinstance(constant, int) and not isinstance(constant, bool):
        if dtype.is_integer and not dtype.minimum <= constant <= dtype.maximum:
            raise KernelError(
                f"Python integer {constant} out of bounds for {dtype}", f"write np.{dtype}(...) of a value that fits, or use a wider type"
            )
        if dtype.is_float:
            return build.constant(float(constant), dtype)
        return build.constant(constant, dtype)
    return build.cast(value.expr, dtype)


def convert(value: Value, dtype: DType, what: str = "the conversion") -> Number:
    """A number as a dtype. Complex to real is an error: say ``.real``."""
    given = number(value, what)
    if dtype.is_complex:
        part = dtype.component
        if isinstance(given, Complex):
            return Complex(build.cast(given.real, part), build.cast(given.imag, part))
        return Complex(convert_expr(given, part), build.constant(0.0, part))
    if isinstance(given, Complex):
        if dtype is bool_:
            return Scalar(build.op("or", build.truth(given.real), build.truth(given.imag)))
        raise KernelError(f"{what} would drop the imaginary part of a {given.dtype}", "take .real or abs(...) of it")
    return Scalar(convert_expr(given, dtype))


def explicit_cast(value: Value, dtype: DType, what: str) -> Number:
    """What ``np.float32(x)`` or ``int(x)`` means: like ``convert``, but an integer literal wraps into an unsigned type."""
    if isinstance(value, Scalar) and value.weak and isinstance(value.constant, int) and dtype.is_integer:
        if dtype.kind == "u" and -(1 << dtype.bits) < value.constant < 0:
            raise KernelError(
                f"Python integer {value.constant} out of bounds for {dtype}", f"write np.{dtype}({value.constant % (1 << dtype.bits):#x})"
            )
        return Scalar(convert_expr(value, dtype))
    return convert(value, dtype, what)


def strong_number(value: Number) -> Number:
    """A number as a variable holds it: a Python integer that only uint64 can hold becomes one."""
    if isinstance(value, Complex):
        return Complex(value.real, value.imag)
    constant = value.constant
    if value.weak and isinstance(constant, int) and not int64.minimum <= constant <= int64.maximum:
        return Scalar(convert_expr(value, uint64))
    return Scalar(value.expr)


def common_dtype(a: Number, b: Number) -> tuple[DType, bool]:
    """The dtype in which two numbers meet, and whether the result is still weak."""
    if a.weak and b.weak:
        return promote(a.dtype, b.dtype), True
    if a.weak:
        return promote_weak(a.dtype, b.dtype), False
    if b.weak:
        return promote_weak(b.dtype, a.dtype), False
    return promote(a.dtype, b.dtype), False


def truth(scope: Scope, value: Value) -> Expr:
    """``bool(value)`` as an expression."""
    match value:
        case Scalar() | Complex():
            converted = convert(value, bool_)
            assert isinstance(converted, Scalar)
            return converted.expr
        case Tuple():
            return structures.truth(scope, value)
        case Object(value=obj):
            return Const(bool(obj), bool_)
    hint = "compare its elements; x.size > 0 says whether it has any" if isinstance(value, View) else ""
    raise KernelError(f"the truth of {describe(value)} is not defined in a kernel", hint)


# --------------------------------------------------------------------------------------------------------------------- operators


def binary(scope: Scope, name: str, a: Value, b: Value) -> Value:
    """``a <name> b`` for every arithmetic, bitwise and comparison operator."""
    a, b = _number_of(scope, a), _number_of(scope, b)
    if isinstance(a, Tuple) or isinstance(b, Tuple):
        found = structures.operator(scope, name, a, b)
        if found is not None:
            return found
        if isinstance(a, Tuple) and isinstance(b, Tuple):
            return _tuples(scope, name, a, b)
    if not isinstance(a, Scalar | Complex) or not isinstance(b, Scalar | Complex):
        if name in ("eq", "ne") and isinstance(a, Object) and isinstance(b, Object):
            return Scalar(Const((a.value == b.value) == (name == "eq"), bool_))
        raise unsupported(name, a, b)
    folded = _fold_weak(name, a, b)
    if folded is not None:
        return folded
    if isinstance(a, Complex) or isinstance(b, Complex):
        return _complex(scope, name, a, b)
    if name in COMPARISONS:
        return _compare(scope, name, a, b)
    dtype, weak = common_dtype(a, b)
    match name:
        case "and" | "or" | "xor":
            if dtype.is_float:
                raise unsupported(name, a, b, "bitwise operators take integers or bools")
            return Scalar(build.op(name, convert_expr(a, dtype), convert_expr(b, dtype)), weak)
        case "shl" | "shr":
            if dtype.is_float:
                raise unsupported(name, a, b, "shifts take integers")
            dtype = int64 if dtype is bool_ else dtype
            return Scalar(build.op(name, convert_expr(a, dtype), convert_expr(b, dtype)), weak)
        case "div":
            dtype = dtype if dtype.is_float else float64
            return Scalar(build.op("div", convert_expr(a, dtype), convert_expr(b, dtype)), weak)
        case "pow":
            return power(scope, a, b)
        case "matmul":
            raise unsupported(name, a, b, "write the loop over the shared axis: a kernel works on scalars")
    dtype = int64 if dtype is bool_ else dtype
    return Scalar(build.op(name, convert_expr(a, dtype), convert_expr(b, dtype)), weak)


def _number_of(scope: Scope, value: Value) -> Value:
    """The element of an array without axes, which is a number for every operator."""
    if not isinstance(value, View) or value.ndim or value.record is not None:
        return value
    from anygpu.frontend.indexing import load

    return load(scope, Element(value, tuple(f for f in value.fixed if f is not None)), scope.source.location)


def unsupported(name: str, a: Value, b: Value, hint: str = "") -> KernelError:
    if not hint and any(isinstance(v, Object) and v.value is None for v in (a, b)):
        hint = "a function that does not return a value gives None"
    if not hint and any(isinstance(v, View) for v in (a, b)):
        hint = "a kernel computes with elements: index the array"
    return KernelError(f"operator {SYMBOLS[name]} is not defined for {describe(a)} and {describe(b)}", hint)


_PYTHON: dict[str, Callable[[int, int], int | bool]] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "and": lambda a, b: a & b, "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b, "eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "lt": lambda a, b: a < b, "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b, "ge": lambda a, b: a >= b,
}  # fmt: skip


def _fold_weak(name: str, a: Number, b: Number) -> Number | None:
    """Two Python integers meet in Python's own unbounded arithmetic."""
    if not (isinstance(a, Scalar) and isinstance(b, Scalar) and a.weak and b.weak):
        return None
    x, y = a.constant, b.constant
    if not isinstance(x, int) or not isinstance(y, int):
        return None
    if name in _PYTHON:
        result = _PYTHON[name](x, y)
    elif name in ("floordiv", "mod") and y != 0:
        result = x // y if name == "floordiv" else x % y
    elif name == "pow" and 0 <= y <= 128:
        result = x**y
    elif name in ("shl", "shr") and 0 <= y <= 128:
        result = x << y if name == "shl" else x >> y
    else:
        return None
    return Scalar(Const(result, bool_)) if isinstance(result, bool) else Scalar(Const(result, int64), weak=True)


def _compare(scope: Scope, name: str, a: Scalar, b: Scalar) -> Scalar:
    for strong, weak in ((a, b), (b, a)):
        constant = weak.constant
        if weak.weak and not strong.weak and strong.dtype.is_integer and isinstance(constant, int):
            if not strong.dtype.minimum <= constant <= strong.dtype.maximum:
                below = constant < strong.dtype.minimum  # the literal lies outside: the answer does not depend on the other
                less = below == (weak is a)
                return Scalar(Const(name == "ne" or (less and name in ("lt", "le")) or (not less and name in ("gt", "ge")), bool_))
    dtype, _ = common_dtype(a, b)
    kinds = {a.dtype.kind, b.dtype.kind}
    if dtype is float64 and kinds == {"i", "u"}:
        return _compare_mixed_signs(scope, name, a, b)
    return Scalar(build.op(name, convert_expr(a, dtype), convert_expr(b, dtype)))


def _compare_mixed_signs(scope: Scope, name: str, a: Scalar, b: Scalar) -> Scalar:
    """int against uint64: exact, as NumPy 2 has it, since float64 would round."""
    signed, unsigned = (a, b) if a.dtype.kind == "i" else (b, a)
    value = scope.pin(build.cast(signed.expr, int64))
    negative = build.op("lt", value, build.integer(0))
    left, right = (build.cast(value, uint64), unsigned.expr) if signed is a else (unsigned.expr, build.cast(value, uint64))
    outside = (name in ("ne", "lt", "le")) if signed is a else (name in ("ne", "gt", "ge"))
    return Scalar(build.op("select", negative, Const(outside, bool_), build.op(name, left, right)))


def _tuples(scope: Scope, name: str, a: Tuple, b: Tuple) -> Value:
    """What Python generates: tuples are joined and compared, and dataclasses compared by their fields."""
    if name == "add" and structures.is_sequence(a) and structures.is_sequence(b):
        return Tuple(a.items + b.items)
    if name in ("eq", "ne"):
        pairs = structures.compared_fields(a, b)
        if pairs is None:
            return Scalar(Const(name == "ne", bool_))
        same: Expr = Const(True, bool_)
        for x, y in pairs:
            same = build.op("and", same, truth(scope, binary(scope, "eq", x, y)))
        return Scalar(same if name == "eq" else build.op("not", same))
    pairs = structures.compared_fields(a, b, ordered=True) if name in COMPARISONS else None
    if pairs is None:
        raise unsupported(name, a, b)
    # the first pair that differs decides; without one the shorter is the lesser
    sizes = len(a.items) - len(b.items) if structures.is_sequence(a) else 0
    result: Expr = Const({"lt": sizes < 0, "le": sizes <= 0, "gt": sizes > 0, "ge": sizes >= 0}[name], bool_)
    for x, y in reversed(pairs):
        equal, decided = (scope.pin(truth(scope, binary(scope, op, x, y))) for op in ("eq", name))
        result = build.op("select", equal, scope.pin(result), decided)
    return Scalar(result)


def power(scope: Scope, a: Scalar, b: Scalar) -> Scalar:
    """``a ** b``. Small constant exponents become products; integers give integers (0 for a negative power, but ±1 stay)."""
    dtype, weak = common_dtype(a, b)
    dtype = int64 if dtype is bool_ else dtype
    base = scope.pin(convert_expr(a, dtype))
    exponent = b.constant
    if exponent in (0, 1, 2, 3, 4) and not isinstance(exponent, bool):
        if exponent == 0:
            return Scalar(build.constant(1, dtype), weak)
        if exponent == 1:
            return Scalar(base, weak)
        square = scope.pin(build.op("mul", base, base)) if exponent == 4 else build.op("mul", base, base)
        return Scalar({2: square, 3: build.op("mul", square, base), 4: build.op("mul", square, square)}[int(exponent)], weak)
    if dtype.is_float:
        if exponent == 0.5:
            return Scalar(build.op("sqrt", base), weak)
        if exponent == -1:
            return Scalar(build.op("div", build.constant(1.0, dtype), base), weak)
        return Scalar(build.op("pow", base, convert_expr(b, dtype)), weak)
    return Scalar(_integer_power(scope, base, scope.pin(convert_expr(b, dtype)), dtype), weak)


def _integer_power(scope: Scope, base: Expr, exponent: Expr, dtype: DType) -> Expr:
    """Square and multiply, as a loop over the exponent's bits."""
    from anygpu.ir.kernel import Assign, Ref, While

    result, factor, rest = (scope.temporary(dtype, n) for n in ("power", "factor", "rest"))
    zero, one = build.constant(0, dtype), build.constant(1, dtype)
    first: Expr = one
    remaining = exponent
    if dtype.kind == "i":
        # x ** -n is 1/x**n truncated: 0, except for 1 and -1, whose powers need |n| alone
        unit = build.op("or", build.op("eq", base, one), build.op("eq", base, build.constant(-1, dtype)))
        negative = build.op("lt", exponent, zero)
        first = build.op("select", build.op("and", negative, build.op("not", unit)), zero, one)
        remaining = build.op("select", negative, build.op("and", exponent, one), exponent)
    scope.emit(Assign(result, first))
    scope.emit(Assign(factor, base))
    scope.emit(Assign(rest, remaining))
    odd = build.op("ne", build.op("and", Ref(rest), one), zero)
    body = (
        Assign(result, build.op("select", odd, build.op("mul", Ref(result), Ref(factor)), Ref(result))),
        Assign(factor, build.op("mul", Ref(factor), Ref(factor))),
        Assign(rest, build.op("shr", Ref(rest), one)),
    )
    scope.emit(While((), build.op("ne", Ref(rest), zero), body))
    return Ref(result)


def unary(scope: Scope, name: str, a: Value) -> Value:
    """``-a``, ``+a``, ``~a`` and ``not a``."""
    a = _number_of(scope, a)
    if name == "not":
        return Scalar(build.op("not", truth(scope, a)))
    if isinstance(a, Complex):
        if name == "neg":
            return Complex(build.op("neg", a.real), build.op("neg", a.imag), a.weak)
        if name == "pos":
            return a
    if isinstance(a, Scalar):
        constant = a.constant
        if a.weak and isinstance(constant, int):
            return Scalar(Const({"neg": -constant, "pos": constant, "invert": ~constant}[name], int64), weak=True)
        if name == "invert":
            if a.dtype.is_float:
                raise KernelError(f"operator ~ is not defined for {a.dtype}", "bitwise operators take integers or bools")
            return Scalar(build.op("not", a.expr))
        operand = build.cast(a.expr, int64) if a.dtype is bool_ else a.expr
        return Scalar(operand if name == "pos" else build.op("neg", operand), a.weak)
    found = structures.unary(scope, name, a)
    if found is not None:
        return found
    symbol = {"neg": "-", "pos": "+", "invert": "~"}[name]
    raise KernelError(f"unary {symbol} is not defined for {describe(a)}")


# ----------------------------------------------------------------------------------------------------------------------- complex


def _complex(scope: Scope, name: str, a: Number, b: Number) -> Value:
    dtype, weak = common_dtype(a, b)
    if name in ("floordiv", "mod", "and", "or", "xor", "shl", "shr", "lt", "le", "gt", "ge", "matmul"):
        raise unsupported(name, a, b, "complex numbers have no order" if name in COMPARISONS else "")
    part = dtype.component
    x, y = convert(a, dtype), convert(b, dtype)
    assert isinstance(x, Complex) and isinstance(y, Complex)
    ar, ai, br, bi = (scope.pin(e) for e in (x.real, x.imag, y.real, y.imag))

    def op(operation: str, *args: Expr) -> Expr:
        return build.op(operation, *args)

    match name:
        case "add" | "sub":
            return Complex(op(name, ar, br), op(name, ai, bi), weak)
        case "mul":
            return Complex(op("sub", op("mul", ar, br), op("mul", ai, bi)), op("add", op("mul", ar, bi), op("mul", ai, br)), weak)
        case "div":
            # Smith's method (1962): scale by the larger part of the divisor, so that nothing overflows needlessly
            wide = scope.pin(op("ge", op("abs", br), op("abs", bi)))
            large, small = scope.pin(op("select", wide, br, bi)), scope.pin(op("select", wide, bi, br))
            ratio = scope.pin(op("div", small, large))
            scale = scope.pin(op("add", large, op("mul", small, ratio)))
            # wide: (ar + ai*r, ai - ar*r) / d, else (ar*r + ai, ai*r - ar) / d
            numerator = op("select", wide, op("add", ar, op("mul", ai, ratio)), op("add", op("mul", ar, ratio), ai))
            imaginary = op("select", wide, op("sub", ai, op("mul", ar, ratio)), op("sub", op("mul", ai, ratio), ar))
            return Complex(op("div", numerator, scale), op("div", imaginary, scale), weak)
        case "eq" | "ne":
            same = op("and", op("eq", ar, br), op("eq", ai, bi))
            return Scalar(same if name == "eq" else op("not", same))
    return _complex_power(scope, Complex(ar, ai, weak), b, Complex(br, bi, weak), part, weak)


def _complex_power(scope: Scope, a: Complex, given: Number, b: Complex, part: DType, weak: bool) -> Value:
    """Integer powers below 100 by products, as in NumPy; others as exp(b * log(a)). Of 0 all but b = 0 that do not grow are NaN."""
    exponent = given.constant if isinstance(given, Scalar) else None
    if isinstance(exponent, int) and 0 <= exponent <= 4:
        result: Value = a if exponent else Complex(build.constant(1.0, part), build.constant(0.0, part), weak)
        for _ in range(1, exponent):
            result = binary(scope, "mul", a, result)
        return result
    zero = build.constant(0.0, part)
    real, imag = scope.temporary(part, "real"), scope.temporary(part, "imag")
    whole = build.op("and", build.op("eq", b.imag, zero), build.op("eq", build.op("trunc", b.real), b.real))
    whole = scope.pin(build.op("and", whole, build.op("lt", build.op("abs", b.real), build.constant(100.0, part))))
    with scope.nested() as products:
        _by_products(scope, a, b.real, real, imag)
    with scope.nested() as general:
        log_radius = scope.pin(build.op("log", scope.pin(build.op("hypot", a.real, a.imag))))
        angle = scope.pin(build.op("atan2", a.imag, a.real))
        product = binary(scope, "mul", Complex(log_radius, angle), b)
        assert isinstance(product, Complex)
        size, turn = scope.pin(build.op("exp", product.real)), scope.pin(product.imag)
        for var, function in ((real, "cos"), (imag, "sin")):
            scope.emit(Assign(var, build.op("mul", size, build.op(function, turn))))
    scope.emit(If(whole, tuple(products), tuple(general)))
    is_zero = build.op("and", build.op("eq", a.real, zero), build.op("eq", a.imag, zero))
    is_zero = scope.pin(build.op("and", is_zero, build.op("or", build.op("ne", b.real, zero), build.op("ne", b.imag, zero))))
    of_zero = build.op("select", build.op("gt", b.real, zero), zero, build.constant(math.nan, part))
    parts = [scope.pin(build.op("select", is_zero, of_zero, Ref(var))) for var in (real, imag)]
    return Complex(parts[0], parts[1], weak)


def _by_products(scope: Scope, a: Complex, exponent: Expr, real: Var, imag: Var) -> None:
    """Set variables to the parts of ``a`` to a power that is an integer."""
    part = real.dtype
    one, zero = build.constant(1.0, part), build.constant(0.0, part)
    factor = (scope.temporary(part, "factor"), scope.temporary(part, "factor"))
    rest, begun = scope.temporary(int32, "rest"), scope.temporary(bool_, "begun")
    scope.emit(Assign(begun, build.constant(False, bool_)))
    for var, value in ((real, one), (imag, zero), (factor[0], a.real), (factor[1], a.imag)):
        scope.emit(Assign(var, value))
    scope.emit(Assign(rest, build.cast(build.op("abs", exponent), int32)))
    with scope.nested() as body:
        found, square = Complex(Ref(real), Ref(imag)), Complex(Ref(factor[0]), Ref(factor[1]))
        odd = scope.pin(build.op("ne", build.op("and", Ref(rest), build.constant(1, int32)), build.constant(0, int32)))
        more, twice = binary(scope, "mul", found, square), binary(scope, "mul", square, square)
        assert isinstance(more, Complex)
        assert isinstance(twice, Complex)
        new = [build.op("select", Ref(begun), many, one) for many, one in ((more.real, square.real), (more.imag, square.imag))]
        kept = [scope.pin(build.op("select", odd, now, old)) for now, old in zip(new, (found.real, found.imag), strict=True)]
        scope.emit(Assign(begun, build.op("or", Ref(begun), odd)))
        for var, value in zip((real, imag, *factor), [scope.pin(e) for e in (*kept, twice.real, twice.imag)], strict=True):
            scope.emit(Assign(var, value))
        scope.emit(Assign(rest, build.op("shr", Ref(rest), build.constant(1, int32))))
    scope.emit(While((), build.op("ne", Ref(rest), build.constant(0, int32)), tuple(body)))
    inverse = binary(scope, "div", Complex(one, zero), Complex(Ref(real), Ref(imag)))
    assert isinstance(inverse, Complex)
    below = scope.pin(build.op("lt", exponent, zero))
    for var, value in zip((real, imag), [scope.pin(e) for e in (inverse.real, inverse.imag)], strict=True):
        scope.emit(Assign(var, build.op("select", below, value, Ref(var))))


def complex_from_parts(re: Scalar, im: Scalar) -> Complex:
    """``complex(re, im)``."""
    dtype, weak = common_dtype(re, im)
    part = dtype if dtype.is_float and dtype.bits >= 32 else float64
    return Complex(convert_expr(re, part), convert_expr(im, part), weak)


__all__ = [
    "COMPARISONS", "SYMBOLS", "Number", "binary", "common_dtype", "complex_from_parts", "complex_of", "convert", "convert_expr",
    "explicit_cast",
    "int32", "literal", "number", "power", "real", "strong_number", "truth", "unary", "unsupported",
]  # fmt: skip
