"""Scalar and vector operations in LLVM IR: one function a row of the operation table, the same for every target.

``lanes`` is 0 for scalars, else the vector's width. Every emitter reproduces the row's NumPy meaning bit for bit.
"""

from __future__ import annotations

from collections.abc import Callable

from anygpu.codegen.llvm import Writer, literal, scalar_type
from anygpu.dtypes import DType, bool_, float32, float64, int32, uint32
from anygpu.errors import InternalError

Emitter = Callable[[Writer, DType, int, list[str]], str]


def type_text(dtype: DType, lanes: int) -> str:
    scalar = scalar_type(dtype)
    return f"<{lanes} x {scalar}>" if lanes else scalar


def constant_text(value: bool | int | float, dtype: DType, lanes: int) -> str:
    """A constant, the same in every lane."""
    text = literal(value, dtype)
    return f"splat ({scalar_type(dtype)} {text})" if lanes else text


def suffix(dtype: DType, lanes: int) -> str:
    """The name of a type inside an intrinsic's name."""
    scalar = {"half": "f16", "float": "f32", "double": "f64"}.get(scalar_type(dtype), scalar_type(dtype))
    return f"v{lanes}{scalar}" if lanes else scalar


def intrinsic(w: Writer, name: str, dtype: DType, lanes: int, args: list[str], extra: str = "") -> str:
    """Call an intrinsic whose operands and result have one type; ``extra`` is a last constant argument with its type."""
    t = type_text(dtype, lanes)
    given = ", ".join(f"{t} {a}" for a in args) + (f", {extra}" if extra else "")
    types = ", ".join([t] * len(args)) + (f", {extra.split()[0]}" if extra else "")
    return w.call(t, f"llvm.{name}.{suffix(dtype, lanes)}", given, types)


def _simple(integer: str, floating: str = "") -> Emitter:
    def emit(w: Writer, d: DType, n: int, a: list[str]) -> str:
        return w.emit(f"{floating if d.is_float else integer} {type_text(d, n)} {a[0]}, {a[1]}")

    return emit


def _call(name: str) -> Emitter:
    return lambda w, d, n, a: intrinsic(w, name, d, n, a)


def compare(w: Writer, predicate: str, dtype: DType, lanes: int, a: str, b: str) -> str:
    """``a <predicate> b`` as i1; comparisons with NaN are false, but ``ne`` is true."""
    t = type_text(dtype, lanes)
    if dtype.is_float:
        return w.emit(f"fcmp {'une' if predicate == 'ne' else 'o' + predicate} {t} {a}, {b}")
    sign = "" if predicate in ("eq", "ne") else ("s" if dtype.kind == "i" else "u")
    return w.emit(f"icmp {sign}{predicate} {t} {a}, {b}")


def _compare(predicate: str) -> Emitter:
    return lambda w, d, n, a: compare(w, predicate, d, n, a[0], a[1])


def choose(w: Writer, dtype: DType, lanes: int, condition: str, a: str, b: str) -> str:
    """``a`` where ``condition`` holds, else ``b``."""
    t = type_text(dtype, lanes)
    return w.emit(f"select {type_text(bool_, lanes)} {condition}, {t} {a}, {t} {b}")


def _extremum(predicate: str, propagate: bool) -> Emitter:
    def emit(w: Writer, d: DType, n: int, a: list[str]) -> str:
        if d is bool_:
            return w.emit(f"{'and' if predicate == 'lt' else 'or'} {type_text(d, n)} {a[0]}, {a[1]}")
        if not d.is_float:
            name = ("s" if d.kind == "i" else "u") + ("min" if predicate == "lt" else "max")
            return intrinsic(w, name, d, n, a)
        t = type_text(d, n)
        first = compare(w, predicate, d, n, a[0], a[1])
        greater = choose(w, d, n, first, a[0], a[1])  # one instruction on x86
        unordered = w.emit(f"fcmp uno {t} {(a[0] if propagate else a[1])}, {(a[0] if propagate else a[1])}")
        return choose(w, d, n, unordered, a[0], greater)

    return emit


def _is_constant(text: str) -> int | None:
    """The value of an integer constant, splat or not."""
    body = text.removeprefix("splat (").removesuffix(")").rpartition(" ")[2]
    return int(body) if body.lstrip("-").isdigit() else None


def _shift(left: bool) -> Emitter:
    def emit(w: Writer, d: DType, n: int, a: list[str]) -> str:
        t = type_text(d, n)
        name = "shl" if left else ("ashr" if d.kind == "i" else "lshr")
        amount = _is_constant(a[1])
        if amount is not None and 0 <= amount < d.bits:
            return w.emit(f"{name} {t} {a[0]}, {a[1]}")
        inside = w.emit(f"icmp ult {t} {a[1]}, {constant_text(d.bits, d, n)}")
        if name == "ashr":  # a long shift leaves the sign
            return w.emit(f"ashr {t} {a[0]}, {choose(w, d, n, inside, a[1], constant_text(d.bits - 1, d, n))}")
        shifted = w.emit(f"{name} {t} {a[0]}, {choose(w, d, n, inside, a[1], constant_text(0, d, n))}")
        return choose(w, d, n, inside, shifted, constant_text(0, d, n))

    return emit


def _negative(w: Writer, d: DType, n: int, a: list[str]) -> str:
    t = type_text(d, n)
    return w.emit(f"fneg {t} {a[0]}") if d.is_float else w.emit(f"sub {t} {constant_text(0, d, n)}, {a[0]}")


def _absolute(w: Writer, d: DType, n: int, a: list[str]) -> str:
    if d.is_float:
        return intrinsic(w, "fabs", d, n, a)
    return a[0] if d.kind == "u" else intrinsic(w, "abs", d, n, a, "i1 false")


def _divide(w: Writer, d: DType, n: int, a: list[str]) -> tuple[str, str]:
    """Truncated quotient and remainder of integers; 0 and 0 for a divisor of 0, INT_MIN and 0 for INT_MIN / -1."""
    t = type_text(d, n)
    zero, one = constant_text(0, d, n), constant_text(1, d, n)
    is_zero = w.emit(f"icmp eq {t} {a[1]}, {zero}")
    known = _is_constant(a[1])
    if known is not None and known not in (0, -1):
        quotient = w.emit(f"{'sdiv' if d.kind == 'i' else 'udiv'} {t} {a[0]}, {a[1]}")
        return quotient, w.emit(f"sub {t} {a[0]}, {w.emit(f'mul {t} {quotient}, {a[1]}')}")
    if n and d.bits <= 32:
        # float64 holds these integers exactly, and its rounded quotient truncates to the true one: vectors have no integer division
        safe = choose(w, d, n, is_zero, one, a[1])
        double = type_text(float64, n)
        to_float, to_int = ("sitofp", "fptosi") if d.kind == "i" else ("uitofp", "fptoui")
        x, y = w.emit(f"{to_float} {t} {a[0]} to {double}"), w.emit(f"{to_float} {t} {safe} to {double}")
        real = w.emit(f"fdiv {double} {x}, {y}")
        if d.bits == 32:  # INT_MIN / -1 leaves the range of int32: go through 64 bits and wrap
            wide = f"<{n} x i64>"
            # the sum with 1.5 * 2**52 leaves the truncated integer in the low bits of the float64
            whole = intrinsic(w, "trunc", float64, n, [real])
            shifted = w.emit(f"fadd {double} {whole}, {constant_text(6755399441055744.0, float64, n)}")
            bits = w.emit(f"bitcast {double} {shifted} to {wide}")
            quotient = w.emit(f"trunc {wide} {bits} to {t}")
        else:
            middle = type_text(int32, n)
            quotient = w.emit(f"trunc {middle} {w.emit(f'{to_int} {double} {real} to {middle}')} to {t}")
    else:
        # Lanes that would trap are divided by 2, and not by 1: LLVM takes x / select(c, 1, y) for select(c, x, x / y) where vectors
        # have masks, which divides by the very y that it was kept from (seen in LLVM 22 for x86-64 with AVX-512).
        two, bad, overflow = constant_text(2, d, n), is_zero, ""
        if d.kind == "i":
            minimum = w.emit(f"icmp eq {t} {a[0]}, {constant_text(d.minimum, d, n)}")
            minus = w.emit(f"icmp eq {t} {a[1]}, {constant_text(-1, d, n)}")
            overflow = w.emit(f"and {type_text(bool_, n)} {minimum}, {minus}")
            bad = w.emit(f"or {type_text(bool_, n)} {is_zero}, {overflow}")
        safe = choose(w, d, n, bad, two, a[1])
        quotient = w.emit(f"{'sdiv' if d.kind == 'i' else 'udiv'} {t} {a[0]}, {safe}")
        if overflow:
            quotient = choose(w, d, n, overflow, a[0], quotient)
    remainder = w.emit(f"sub {t} {a[0]}, {w.emit(f'mul {t} {quotient}, {a[1]}')}")
    return choose(w, d, n, is_zero, zero, quotient), choose(w, d, n, is_zero, zero, remainder)


def _floor_adjust(w: Writer, d: DType, n: int, a: list[str], remainder: str) -> str:
    """Whether the floored result differs from the truncated one: the remainder is not 0 and has the other sign than the divisor."""
    t = type_text(d, n)
    mixed = w.emit(f"icmp slt {t} {w.emit(f'xor {t} {remainder}, {a[1]}')}, {constant_text(0, d, n)}")
    nonzero = w.emit(f"icmp ne {t} {remainder}, {constant_text(0, d, n)}")
    return w.emit(f"and {type_text(bool_, n)} {mixed}, {nonzero}")


def _floordiv(w: Writer, d: DType, n: int, a: list[str]) -> str:
    quotient, remainder = _divide(w, d, n, a)
    if d.kind == "u":
        return quotient
    t = type_text(d, n)
    lower = w.emit(f"sub {t} {quotient}, {constant_text(1, d, n)}")
    return choose(w, d, n, _floor_adjust(w, d, n, a, remainder), lower, quotient)


def _mod(w: Writer, d: DType, n: int, a: list[str]) -> str:
    _, remainder = _divide(w, d, n, a)
    if d.kind == "u":
        return remainder
    t = type_text(d, n)
    raised = w.emit(f"add {t} {remainder}, {a[1]}")
    return choose(w, d, n, _floor_adjust(w, d, n, a, remainder), raised, remainder)


def _not(w: Writer, d: DType, n: int, a: list[str]) -> str:
    return w.emit(f"xor {type_text(d, n)} {a[0]}, {constant_text(True if d is bool_ else -1, d, n)}")


def _unordered(w: Writer, d: DType, n: int, a: list[str]) -> str:
    return w.emit(f"fcmp uno {type_text(d, n)} {a[0]}, {a[0]}")


def _against_infinity(predicate: str) -> Emitter:
    def emit(w: Writer, d: DType, n: int, a: list[str]) -> str:
        size = intrinsic(w, "fabs", d, n, a)
        return w.emit(f"fcmp {predicate} {type_text(d, n)} {size}, {constant_text(float('inf'), d, n)}")

    return emit


def _as_integer(d: DType) -> DType:
    return int32 if d.bits == 32 else _INTEGER[d.bits]


def _signbit(w: Writer, d: DType, n: int, a: list[str]) -> str:
    whole = _as_integer(d)
    bits = w.emit(f"bitcast {type_text(d, n)} {a[0]} to {type_text(whole, n)}")
    return w.emit(f"icmp slt {type_text(whole, n)} {bits}, {constant_text(0, whole, n)}")


def _bit_count(name: str, extra: str = "") -> Emitter:
    def emit(w: Writer, d: DType, n: int, a: list[str]) -> str:
        count = intrinsic(w, name, d, n, a, extra)
        return resize(w, count, d, int32, n, False)

    return emit


def resize(w: Writer, value: str, source: DType, target: DType, lanes: int, signed: bool) -> str:
    """An integer of another width."""
    if source.bits == target.bits:
        return value
    name = "trunc" if target.bits < source.bits else ("sext" if signed else "zext")
    return w.emit(f"{name} {type_text(source, lanes)} {value} to {type_text(target, lanes)}")


def _multiply_high(w: Writer, d: DType, n: int, a: list[str]) -> str:
    wide = f"<{n} x i{2 * d.bits}>" if n else f"i{2 * d.bits}"
    extend = "sext" if d.kind == "i" else "zext"
    t = type_text(d, n)
    x, y = (w.emit(f"{extend} {t} {v} to {wide}") for v in a)
    amount = f"splat (i{2 * d.bits} {d.bits})" if n else str(d.bits)
    product = w.emit(f"lshr {wide} {w.emit(f'mul {wide} {x}, {y}')}, {amount}")
    return w.emit(f"trunc {wide} {product} to {t}")


EMITTERS: dict[str, Emitter] = {
    "add": _simple("add", "fadd"), "sub": _simple("sub", "fsub"), "mul": _simple("mul", "fmul"), "div": _simple("", "fdiv"),
    "neg": _negative, "abs": _absolute,
    "minimum": _extremum("lt", True), "maximum": _extremum("gt", True), "fmin": _extremum("lt", False), "fmax": _extremum("gt", False),
    "and": _simple("and"), "or": _simple("or"), "xor": _simple("xor"), "not": _not, "shl": _shift(True), "shr": _shift(False),
    "eq": _compare("eq"), "ne": _compare("ne"), "lt": _compare("lt"), "le": _compare("le"), "gt": _compare("gt"), "ge": _compare("ge"),
    "select": lambda w, d, n, a: choose(w, d, n, a[0], a[1], a[2]),
    **{name: _call(name) for name in ("fma", "sqrt", "floor", "ceil", "trunc", "rint", "copysign")},
    "isnan": _unordered, "isinf": _against_infinity("oeq"), "isfinite": _against_infinity("one"), "signbit": _signbit,
    "popc": _bit_count("ctpop"), "clz": _bit_count("ctlz", "i1 false"), "ctz": _bit_count("cttz", "i1 false"), "brev": _call("bitreverse"),
    "mulhi": _multiply_high, "floordiv": _floordiv, "mod": _mod,
}  # fmt: skip


def emit_operation(w: Writer, name: str, operand: DType, lanes: int, args: list[str]) -> str:
    """Row ``name`` of the operation table on operands of dtype ``operand`` (for select: of the values)."""
    emitter = EMITTERS.get(name)
    if emitter is None:
        raise InternalError(f"operation {name} on {operand} reached code generation without being expanded")
    return emitter(w, operand, lanes, args)


# ------------------------------------------------------------------------------------------------------------------------ conversions

_INTEGER: dict[int, DType] = {}


def _register_integers() -> None:
    from anygpu.dtypes import int8, int16, int64

    _INTEGER.update({8: int8, 16: int16, 32: int32, 64: int64})


_register_integers()


def emit_cast(w: Writer, value: str, source: DType, target: DType, lanes: int) -> str:
    """Conversion by value, as ``anygpu.ir.ops.saturating_cast`` defines it."""
    if source is target:
        return value
    if source.name == "bfloat16":
        return emit_cast(w, _bfloat_to_float(w, value, lanes), float32, target, lanes)
    if target.name == "bfloat16":
        return _float_to_bfloat(w, emit_cast(w, value, source, float32, lanes), lanes)
    if target.is_half and source is float64:
        return emit_cast(w, _double_to_odd_float(w, value, lanes), float32, target, lanes)
    if target.is_half and source.is_integer:  # exact in float32, or beyond a float16's range
        return emit_cast(w, emit_cast(w, value, source, float32, lanes), float32, target, lanes)
    s, t = type_text(source, lanes), type_text(target, lanes)
    if target is bool_:
        zero = constant_text(0, source, lanes)
        return w.emit(f"fcmp une {s} {value}, {zero}") if source.is_float else w.emit(f"icmp ne {s} {value}, {zero}")
    if source is bool_:
        return w.emit(f"{'uitofp' if target.is_float else 'zext'} {s} {value} to {t}")
    if source.is_float and target.is_float:
        return w.emit(f"{'fpext' if target.bits > source.bits else 'fptrunc'} {s} {value} to {t}")
    if source.is_float:
        name = "fptosi" if target.kind == "i" else "fptoui"
        return w.call(t, f"llvm.{name}.sat.{suffix(target, lanes)}.{suffix(source, lanes)}", f"{s} {value}", s)
    if target.is_float:
        return w.emit(f"{'sitofp' if source.kind == 'i' else 'uitofp'} {s} {value} to {t}")
    return resize(w, value, source, target, lanes, source.kind == "i")


def _bfloat_to_float(w: Writer, value: str, lanes: int) -> str:
    wide = type_text(uint32, lanes)
    bits = w.emit(f"zext {f'<{lanes} x i16>' if lanes else 'i16'} {value} to {wide}")
    return w.emit(f"bitcast {wide} {w.emit(f'shl {wide} {bits}, {constant_text(16, uint32, lanes)}')} to {type_text(float32, lanes)}")


def _double_to_odd_float(w: Writer, value: str, lanes: int) -> str:
    """A float64 cut to float32 toward zero, with the last bit set if anything was lost: a second rounding then does not round twice.

    (S. Boldo and G. Melquiond, "Emulation of FMA and correctly rounded sums: proved algorithms using rounding to odd", 2008.)
    """
    wide, narrow, bits = type_text(float64, lanes), type_text(float32, lanes), type_text(uint32, lanes)
    nearest = w.emit(f"fptrunc {wide} {value} to {narrow}")
    back = w.emit(f"fpext {narrow} {nearest} to {wide}")
    magnitudes = [w.call(wide, f"llvm.fabs.{suffix(float64, lanes)}", f"{wide} {text}", wide) for text in (back, value)]
    away = w.emit(f"zext {type_text(bool_, lanes)} {w.emit(f'fcmp ogt {wide} {magnitudes[0]}, {magnitudes[1]}')} to {bits}")
    lost = w.emit(f"zext {type_text(bool_, lanes)} {w.emit(f'fcmp one {wide} {back}, {value}')} to {bits}")
    cut = w.emit(f"sub {bits} {w.emit(f'bitcast {narrow} {nearest} to {bits}')}, {away}")
    return w.emit(f"bitcast {bits} {w.emit(f'or {bits} {cut}, {lost}')} to {narrow}")


def _float_to_bfloat(w: Writer, value: str, lanes: int) -> str:
    """Round to nearest even on the bits; NaN stays a quiet NaN."""
    wide, narrow = type_text(uint32, lanes), f"<{lanes} x i16>" if lanes else "i16"
    bits = w.emit(f"bitcast {type_text(float32, lanes)} {value} to {wide}")
    upper = w.emit(f"lshr {wide} {bits}, {constant_text(16, uint32, lanes)}")
    odd = w.emit(f"and {wide} {upper}, {constant_text(1, uint32, lanes)}")
    bias = w.emit(f"add {wide} {odd}, {constant_text(0x7FFF, uint32, lanes)}")
    rounded = w.emit(f"lshr {wide} {w.emit(f'add {wide} {bits}, {bias}')}, {constant_text(16, uint32, lanes)}")
    nan = w.emit(f"fcmp uno {type_text(float32, lanes)} {value}, {value}")
    quiet = w.emit(f"or {wide} {upper}, {constant_text(0x40, uint32, lanes)}")
    return w.emit(f"trunc {wide} {choose(w, uint32, lanes, nan, quiet, rounded)} to {narrow}")


def emit_bitcast(w: Writer, value: str, source: DType, target: DType, lanes: int) -> str:
    s, t = type_text(source, lanes), type_text(target, lanes)
    return value if s == t else w.emit(f"bitcast {s} {value} to {t}")
