"""THE scalar operation table: arity, domain, result type and NumPy meaning of every pure operation of KERNEL IR.

All operands of a row have one dtype, which is also the result's, unless the row says otherwise. A row whose ``libm`` is
true is expanded before code generation by the function of that name in ``anygpu.libm``; there ``numpy`` is a reference to
measure against, not the bits. Every other row's ``numpy`` is its exact meaning: what the interpreter computes and
what every back end must reproduce bit for bit (any NaN equals any other).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib import import_module
from math import isfinite
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from anygpu.dtypes import DType, bool_, int32

# A row's functions serve arrays of every dtype in its domain, and NumPy's types know no arithmetic on np.generic.
Array = NDArray[Any]
Result = Literal["same", "bool", "int32"]


@dataclass(frozen=True)
class Operation:
    """One row. ``domain`` holds the dtype kinds that the operation takes: b, i, u, f."""

    name: str
    arity: int
    domain: str
    numpy: Callable[..., Array]
    result: Result = "same"
    libm: bool = False

    def result_dtype(self, operands: Sequence[DType]) -> DType:
        """The result's dtype for operands that ``verify_operands`` accepts."""
        if self.result == "bool":
            return bool_
        if self.result == "int32":
            return int32
        return operands[-1] if self.name == "select" else operands[0]

    def verify_operands(self, operands: Sequence[DType]) -> str | None:
        """None, or what is wrong with these operand dtypes."""
        if len(operands) != self.arity:
            return f"{self.name} takes {self.arity} operands, not {len(operands)}"
        checked = operands
        if self.name == "select":
            if operands[0] is not bool_:
                return f"select takes a bool condition, not {operands[0]}"
            checked = operands[1:]
        elif self.name == "ldexp":
            if operands[1] is not int32:
                return f"ldexp takes an int32 exponent, not {operands[1]}"
            checked = operands[:1]
        if any(d is not checked[0] for d in checked):
            return f"{self.name} takes operands of one dtype, not {', '.join(map(str, operands))}"
        if checked[0].kind not in self.domain:
            return f"{self.name} is not defined for {checked[0]}"
        return None


def _unsigned(x: Array) -> Array:
    return x.view(np.dtype(f"u{x.dtype.itemsize}"))


def _shift_left(a: Array, b: Array) -> Array:
    bits = a.dtype.itemsize * 8
    inside = _unsigned(b) < bits
    return np.where(inside, np.left_shift(a, np.where(inside, b, b.dtype.type(0))), a.dtype.type(0))


def _shift_right(a: Array, b: Array) -> Array:
    bits = a.dtype.itemsize * 8
    inside = _unsigned(b) < bits
    return np.right_shift(a, np.where(inside, b, b.dtype.type(bits - 1))) if a.dtype.kind == "i" else np.where(
        inside, np.right_shift(a, np.where(inside, b, b.dtype.type(0))), a.dtype.type(0))


def _leading_zeros(a: Array) -> Array:
    bits = a.dtype.itemsize * 8
    x = _unsigned(a).copy()
    count = np.full(x.shape, bits, np.int32)
    one = x.dtype.type(1)
    for k in range(bits):
        count = np.where((x >> x.dtype.type(k)) & one != 0, np.int32(bits - 1 - k), count)
    return count


def _trailing_zeros(a: Array) -> Array:
    bits = a.dtype.itemsize * 8
    x = _unsigned(a)
    count = np.full(x.shape, bits, np.int32)
    one = x.dtype.type(1)
    for k in reversed(range(bits)):
        count = np.where((x >> x.dtype.type(k)) & one != 0, np.int32(k), count)
    return count


def _reverse_bits(a: Array) -> Array:
    bits = a.dtype.itemsize * 8
    x = _unsigned(a)
    out = np.zeros_like(x)
    one = x.dtype.type(1)
    for k in range(bits):
        out |= ((x >> x.dtype.type(k)) & one) << x.dtype.type(bits - 1 - k)
    return out.view(a.dtype)


def _multiply_high(a: Array, b: Array) -> Array:
    bits = a.dtype.itemsize * 8
    product = (a.astype(object) * b.astype(object)) >> bits
    return np.asarray(product.astype(a.dtype))


def _round_fraction(exact: Fraction, kind: type[np.floating]) -> float:
    """``exact`` to the nearest float of ``kind``, ties to even, subnormals and overflow included."""
    info = np.finfo(kind)
    precision, minimum = info.nmant + 1, int(info.minexp) - info.nmant
    sign, magnitude = (-1, -exact) if exact < 0 else (1, exact)
    if magnitude == 0:
        return 0.0
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    if Fraction(2) ** exponent > magnitude:
        exponent -= 1
    quantum = Fraction(2) ** max(exponent - precision + 1, minimum)
    scaled = round(magnitude / quantum) * quantum  # Fraction.__round__ ties to even
    return sign * (float(scaled) if scaled <= Fraction(float(info.max)) else float("inf"))


def _fma_one(a: np.floating, b: np.floating, c: np.floating) -> float:
    x, y, z = float(a), float(b), float(c)
    if not (isfinite(x) and isfinite(y) and isfinite(z)):
        # The product of finite factors must not overflow before it meets an infinite addend.
        return z if isfinite(x) and isfinite(y) else float(np.float64(x) * np.float64(y) + np.float64(z))
    exact = Fraction(x) * Fraction(y) + Fraction(z)
    if exact == 0:
        # Only two zeros of one sign give -0; an exact cancellation gives +0 in round-to-nearest.
        product_negative = np.signbit(a) != np.signbit(b)
        zero_product = x == 0 or y == 0
        return -0.0 if zero_product and z == 0 and product_negative and np.signbit(c) else 0.0
    rounded = _round_fraction(exact, type(a))
    return -0.0 if rounded == 0 and exact < 0 else rounded


def _fma(a: Array, b: Array, c: Array) -> Array:
    """Correctly rounded a*b + c. float32 goes through float64 with the sum rounded to odd (Boldo and Melquiond, 2008)."""
    if a.dtype == np.float32:
        product = a.astype(np.float64) * b.astype(np.float64)  # exact: 48 bits
        addend = c.astype(np.float64)
        total = product + addend
        # TwoSum gives the rounding error; a sum that was not exact and is even is moved to its odd neighbour.
        t = total - product
        error = (product - (total - t)) + (addend - t)
        bits = np.asarray(total).view(np.int64)
        inexact_even = (error != 0) & (bits & 1 == 0) & np.isfinite(total)
        toward = np.where((error > 0) == (total > 0), np.int64(1), np.int64(-1))
        return (bits + np.where(inexact_even, toward, np.int64(0))).view(np.float64).astype(np.float32)
    a, b, c = np.broadcast_arrays(a, b, c)
    out = np.array([_fma_one(*row) for row in zip(a.ravel(), b.ravel(), c.ravel(), strict=True)], a.dtype)
    return out.reshape(a.shape)


def _ldexp(a: Array, b: Array) -> Array:
    return np.ldexp(a, b)


def _rsqrt(x: Array) -> Array:
    return np.reciprocal(np.sqrt(x))


def _scipy(name: str) -> Callable[..., Array]:
    def call(*operands: Array) -> Array:
        special = import_module("scipy.special")  # a test dependency: only measurements ask for these references
        return np.asarray(getattr(special, name)(*operands))

    return call


def _frexp_mantissa(x: Array) -> Array:
    return np.frexp(x)[0]


def _frexp_exponent(x: Array) -> Array:
    return np.frexp(x)[1]


def _minimum(a: Array, b: Array) -> Array:
    return np.where((a < b) | (a != a), a, b)


def _maximum(a: Array, b: Array) -> Array:
    return np.where((a > b) | (a != a), a, b)


def _fmin(a: Array, b: Array) -> Array:
    return np.where((a < b) | (b != b), a, b)


def _fmax(a: Array, b: Array) -> Array:
    return np.where((a > b) | (b != b), a, b)


def _logb(x: Array) -> Array:
    exponent = _frexp_exponent(x).astype(x.dtype) - x.dtype.type(1)
    return np.where(x == 0, x.dtype.type(-np.inf), np.where(np.isfinite(x), exponent, np.abs(x)))


_EXACT = (
    Operation("add", 2, "iuf", np.add),
    Operation("sub", 2, "iuf", np.subtract),
    Operation("mul", 2, "iuf", np.multiply),
    Operation("div", 2, "f", np.divide),
    Operation("neg", 1, "iuf", np.negative),
    Operation("abs", 1, "iuf", np.abs),
    Operation("minimum", 2, "biuf", _minimum),
    Operation("maximum", 2, "biuf", _maximum),
    Operation("fmin", 2, "f", _fmin),
    Operation("fmax", 2, "f", _fmax),
    Operation("and", 2, "biu", np.bitwise_and),
    Operation("or", 2, "biu", np.bitwise_or),
    Operation("xor", 2, "biu", np.bitwise_xor),
    Operation("not", 1, "biu", np.invert),
    Operation("shl", 2, "iu", _shift_left),
    Operation("shr", 2, "iu", _shift_right),
    Operation("eq", 2, "biuf", np.equal, "bool"),
    Operation("ne", 2, "biuf", np.not_equal, "bool"),
    Operation("lt", 2, "biuf", np.less, "bool"),
    Operation("le", 2, "biuf", np.less_equal, "bool"),
    Operation("gt", 2, "biuf", np.greater, "bool"),
    Operation("ge", 2, "biuf", np.greater_equal, "bool"),
    Operation("select", 3, "biuf", np.where),
    Operation("fma", 3, "f", _fma),
    Operation("sqrt", 1, "f", np.sqrt),
    Operation("floor", 1, "f", np.floor),
    Operation("ceil", 1, "f", np.ceil),
    Operation("trunc", 1, "f", np.trunc),
    Operation("rint", 1, "f", np.rint),
    Operation("copysign", 2, "f", np.copysign),
    Operation("isnan", 1, "f", np.isnan, "bool"),
    Operation("isinf", 1, "f", np.isinf, "bool"),
    Operation("isfinite", 1, "f", np.isfinite, "bool"),
    Operation("signbit", 1, "f", np.signbit, "bool"),
    Operation("popc", 1, "iu", lambda a: np.bitwise_count(_unsigned(a)).astype(np.int32), "int32"),
    Operation("clz", 1, "iu", _leading_zeros, "int32"),
    Operation("ctz", 1, "iu", _trailing_zeros, "int32"),
    Operation("brev", 1, "iu", _reverse_bits),
    Operation("mulhi", 2, "iu", _multiply_high),
)

# Integer division has an exact meaning on every device; the float forms are libm functions built on fmod.
_DIVISION = (
    Operation("floordiv", 2, "iuf", np.floor_divide),
    Operation("mod", 2, "iuf", np.remainder),
)

_LIBM_ROWS: tuple[tuple[str, int, Callable[..., Array], Result], ...] = (
    ("exp", 1, np.exp, "same"), ("exp2", 1, np.exp2, "same"), ("exp10", 1, _scipy("exp10"), "same"), ("expm1", 1, np.expm1, "same"),
    ("log", 1, np.log, "same"), ("log2", 1, np.log2, "same"), ("log10", 1, np.log10, "same"), ("log1p", 1, np.log1p, "same"),
    ("cbrt", 1, np.cbrt, "same"), ("rsqrt", 1, _rsqrt, "same"),
    ("sin", 1, np.sin, "same"), ("cos", 1, np.cos, "same"), ("tan", 1, np.tan, "same"),
    ("sinpi", 1, lambda x: np.sin(np.pi * x), "same"), ("cospi", 1, lambda x: np.cos(np.pi * x), "same"),
    ("asin", 1, np.arcsin, "same"), ("acos", 1, np.arccos, "same"), ("atan", 1, np.arctan, "same"), ("atan2", 2, np.arctan2, "same"),
    ("sinh", 1, np.sinh, "same"), ("cosh", 1, np.cosh, "same"), ("tanh", 1, np.tanh, "same"),
    ("asinh", 1, np.arcsinh, "same"), ("acosh", 1, np.arccosh, "same"), ("atanh", 1, np.arctanh, "same"),
    ("pow", 2, np.power, "same"), ("hypot", 2, np.hypot, "same"), ("fmod", 2, np.fmod, "same"),
    ("remainder", 2, lambda a, b: a - b * np.rint(a / b), "same"),
    ("erf", 1, _scipy("erf"), "same"), ("erfc", 1, _scipy("erfc"), "same"),
    ("gamma", 1, _scipy("gamma"), "same"), ("lgamma", 1, _scipy("gammaln"), "same"),
    ("ldexp", 2, _ldexp, "same"), ("nextafter", 2, np.nextafter, "same"), ("logb", 1, _logb, "same"),
    ("frexp_mantissa", 1, _frexp_mantissa, "same"), ("frexp_exponent", 1, _frexp_exponent, "int32"),
)  # fmt: skip
_LIBM = tuple(Operation(name, arity, "f", reference, result, libm=True) for name, arity, reference, result in _LIBM_ROWS)

OPERATIONS: dict[str, Operation] = {row.name: row for row in (*_EXACT, *_DIVISION, *_LIBM)}

ATOMICS: dict[str, str] = {
    # name -> dtype kinds: what memory holds afterwards is `numpy` below; the old value is returned
    "add": "iuf", "sub": "iuf", "min": "iuf", "max": "iuf", "nanmin": "f", "nanmax": "f", "and": "biu", "or": "biu", "xor": "biu",
    "inc": "iu", "dec": "iu", "exch": "biuf", "cas": "biuf",
}  # fmt: skip


@cache
def is_expanded(name: str, dtype: DType) -> bool:
    """True if ``name`` at ``dtype`` has no machine form and is expanded from ``anygpu.libm``."""
    row = OPERATIONS[name]
    return row.libm or (row in _DIVISION and dtype.is_float)


def saturating_cast(x: Array, source: DType, target: DType) -> Array:
    """The meaning of a cast: integers wrap, floats round to nearest even, float to integer truncates and saturates, NaN gives 0."""
    if target is bool_:
        return np.asarray(x != 0)
    if source.is_float and target.is_integer:
        wide = np.trunc(x.astype(np.float64))
        low, high = float(target.minimum), float(target.maximum + 1)  # maximum + 1 is a power of two: exact
        inside = (wide >= low) & (wide < high)
        value = np.where(inside, wide, 0.0)
        whole = value.astype(np.uint64) if target.kind == "u" else value.astype(np.int64)
        clipped = np.where(wide >= high, np.array(target.maximum, whole.dtype), np.array(target.minimum, whole.dtype))
        return np.where(inside, whole, np.where(np.isnan(wide), np.zeros((), whole.dtype), clipped)).astype(target.numpy)
    if target.name == "bfloat16" and (source.is_integer or source.bits == 64):
        # through float32, as ml_dtypes has it: what lies between two bfloat16 may round twice
        return x.astype(np.float32).astype(target.numpy)
    return x.astype(target.numpy)
