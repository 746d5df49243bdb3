"""The words that the elementary functions are written with, as scalar Python.

The compiler knows these names as kernel vocabulary; here they are executable definitions over NumPy scalars, so that every function of
`anygpu.libm` can be called, tested and stepped through directly in Python.  Nothing here is fast and nothing here runs in a kernel.

Rules that both share: round to nearest even, subnormal numbers kept, no contraction, integers of fixed width that wrap around.
"""

from __future__ import annotations

import functools
import math
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from fractions import Fraction

__all__ = [
    "bitcast", "ceil", "copysign", "fabs", "float32", "float64", "floor", "fma", "int32", "int64", "rint", "select", "sqrt", "trunc",
    "uint32", "uint64",
]  # fmt: skip

Float: TypeAlias = np.float32 | np.float64
Integer: TypeAlias = np.int32 | np.uint32 | np.int64 | np.uint64
Scalar: TypeAlias = Float | Integer | int | float


def _integer(kind: type[Integer], x: Scalar) -> Integer:
    """Convert to an integer type: floats truncate toward zero and saturate, NaN becomes 0, integers wrap around."""
    bounds = np.iinfo(kind)
    if isinstance(x, (float, np.floating)):
        if x != x:
            return kind(0)
        if x <= float(bounds.min):
            return kind(bounds.min)
        return kind(bounds.max) if x >= float(bounds.max) else kind(int(x))
    wrapped = int(x) & (2**bounds.bits - 1)
    return kind(wrapped - 2**bounds.bits if wrapped > bounds.max else wrapped)


def float32(x: Scalar) -> np.float32:
    """Convert to float32, rounding to nearest even."""
    return np.float32(x)


def float64(x: Scalar) -> np.float64:
    """Convert to float64, rounding to nearest even."""
    return np.float64(x)


def int32(x: Scalar) -> np.int32:
    """Convert to int32 (see `_integer` for floats and for values out of range)."""
    return _integer(np.int32, x)  # type: ignore[return-value]


def uint32(x: Scalar) -> np.uint32:
    """Convert to uint32 (see `_integer` for floats and for values out of range)."""
    return _integer(np.uint32, x)  # type: ignore[return-value]


def int64(x: Scalar) -> np.int64:
    """Convert to int64 (see `_integer` for floats and for values out of range)."""
    return _integer(np.int64, x)  # type: ignore[return-value]


def uint64(x: Scalar) -> np.uint64:
    """Convert to uint64 (see `_integer` for floats and for values out of range)."""
    return _integer(np.uint64, x)  # type: ignore[return-value]


def _strong(*values: Scalar) -> type[np.generic]:
    """Return the one NumPy type among the arguments; Python numbers are weak and take that type."""
    kinds = {type(v) for v in values if isinstance(v, np.generic)}
    if len(kinds) != 1:
        raise TypeError(f"expected one NumPy scalar type, got {sorted(k.__name__ for k in kinds)}")
    return kinds.pop()


@functools.cache
def _fma_functions() -> tuple[Callable[[float, float, float], float], Callable[[float, float, float], float]] | None:
    """Return C's (fmaf, fma) where the platform has them, else None."""
    import ctypes  # here, because only direct calls need it and it is slow to import
    import ctypes.util

    found = ctypes.util.find_library("m") or ("ucrtbase" if sys.platform == "win32" else None)
    try:
        library = ctypes.CDLL(found)
        single, double = library.fmaf, library.fma
    except (OSError, AttributeError):
        return None
    single.restype, single.argtypes = ctypes.c_float, [ctypes.c_float] * 3
    double.restype, double.argtypes = ctypes.c_double, [ctypes.c_double] * 3
    return single, double


def _exact_fma(x: float, y: float, z: float) -> Fraction | float:
    """Return x*y + z exactly, or as a float where it is not finite or is a signed zero."""
    from fractions import Fraction

    if not (math.isfinite(x) and math.isfinite(y) and math.isfinite(z)):
        return x * y if math.isfinite(z) else (x * y + z if not math.isinf(x * y) or math.isinf(x) or math.isinf(y) else z)
    total = Fraction(x) * Fraction(y) + Fraction(z)
    return total if total else (x * y + z if x == 0.0 or y == 0.0 else 0.0)


def fma(x: Scalar, y: Scalar, z: Scalar) -> Float:
    """Return x*y + z rounded once."""
    kind = _strong(x, y, z)
    functions = _fma_functions()
    if functions is not None:
        return kind(functions[0 if kind is np.float32 else 1](float(x), float(y), float(z)))  # type: ignore[return-value]
    exact = _exact_fma(float(x), float(y), float(z))
    return kind(_round_fraction(exact, kind) if not isinstance(exact, float) else exact)  # type: ignore[return-value]


def _round_fraction(value: Fraction, kind: type[np.generic]) -> float:
    """Round an exact rational to the nearest float of `kind`, ties to even, subnormal numbers and overflow included."""
    digits, least = (24, -149) if kind is np.float32 else (53, -1074)
    from fractions import Fraction

    magnitude = abs(value)
    exponent = magnitude.numerator.bit_length() - magnitude.denominator.bit_length()
    if magnitude < Fraction(2) ** exponent:
        exponent -= 1
    unit = max(exponent - digits + 1, least)
    rounded = round(magnitude / Fraction(2) ** unit)
    if rounded.bit_length() + unit > (128 if kind is np.float32 else 1024):
        return math.copysign(math.inf, value)
    return math.copysign(math.ldexp(rounded, unit), value)


def select(condition: bool, x: Scalar, y: Scalar) -> Scalar:
    """Return x where the condition holds, else y; both are evaluated, and a Python number takes the other's type."""
    kind = _strong(x, y)
    return kind(x if condition else y)  # type: ignore[return-value]


def bitcast(x: Scalar, kind: Callable[[Scalar], Scalar]) -> Scalar:
    """Return the value of type `kind` (one of the conversions here) that has the same bits as x."""
    if not isinstance(x, np.generic):
        raise TypeError("bitcast needs a typed value")
    return np.frombuffer(x.tobytes(), kind.__name__)[0]  # type: ignore[no-any-return]


def _rounding(function: Callable[[Float], Float]) -> Callable[[Float], Float]:
    def word(x: Float) -> Float:
        return type(x)(function(x))

    word.__name__ = function.__name__
    word.__doc__ = f"Return {function.__name__}(x), correctly rounded, in the type of x."
    return word


sqrt = _rounding(np.sqrt)
floor = _rounding(np.floor)
ceil = _rounding(np.ceil)
trunc = _rounding(np.trunc)
rint = _rounding(np.rint)
fabs = _rounding(np.fabs)


def copysign(x: Scalar, y: Scalar) -> Float:
    """Return the magnitude of x with the sign of y."""
    kind = _strong(x, y)
    return kind(np.copysign(kind(x), kind(y)))  # type: ignore[return-value]


# The name by which the frontend knows each of these as a word of the kernel language.
for _name in __all__:
    setattr(globals()[_name], "__anygpu_word__", _name)  # noqa: B010  (mypy knows no such attribute of a function)
