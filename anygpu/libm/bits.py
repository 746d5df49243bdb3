"""Functions of a float's representation: ldexp, frexp, modf, nextafter and logb; all exact."""

# mypy: ignore-errors
# (the kernel compiler types these functions, once for each dtype)

from __future__ import annotations

from anygpu.libm.words import bitcast, copysign, fabs, float32, float64, int32, int64, select, trunc

_INF = float("inf")


def ldexp_float32(x, n):
    """Return x * 2**n for an int32 n, rounded once.

    Three powers of two cover every n that matters.  A step that may leave the normal numbers comes last: x is brought near 1 first, so the
    first two products are exact.
    """
    n = select(n < -300, -300, select(n > 300, 300, n))
    e = logb_exponent_float32(x)
    m = frexp_mantissa_float32(x) * 2.0
    e = e + n
    e = select(e < -154, -154, select(e > 130, 130, e))
    half = e >> 1
    y = m * bitcast((half + 127) << 23, float32) * bitcast(((e - half) + 127) << 23, float32)
    return select((x == 0.0) or (fabs(x) == _INF) or (x != x), x, y)


def logb_exponent_float32(x):
    """Return the int32 exponent e with 2**e <= |x| < 2**(e+1); for zero, infinity and NaN it has no meaning."""
    a = fabs(x)
    tiny = a < 1.1754943508222875e-38
    bits = bitcast(select(tiny, a * 16777216.0, a), int32)
    return (bits >> 23) - select(tiny, int32(151), 127)


def logb_float32(x):
    """Return the exponent of x as a float: -inf for zero, inf for infinities, NaN for NaN."""
    a = fabs(x)
    y = float32(logb_exponent_float32(x))
    y = select(a == 0.0, -_INF, y)
    return select(a < _INF, y, x * x)


def frexp_mantissa_float32(x):
    """Return m with x = m * 2**e and 1/2 <= |m| < 1; zeros, infinities and NaN unchanged."""
    a = fabs(x)
    tiny = a < 1.1754943508222875e-38
    bits = bitcast(select(tiny, a * 16777216.0, a), int32)
    m = bitcast((bits & 0x007FFFFF) | 0x3F000000, float32)
    return select((a > 0.0) and (a < _INF), copysign(m, x), x)


def frexp_exponent_float32(x):
    """Return the int32 e with x = m * 2**e and 1/2 <= |m| < 1; 0 for zeros, infinities and NaN."""
    a = fabs(x)
    return select((a > 0.0) and (a < _INF), logb_exponent_float32(x) + 1, 0)


def modf_fraction_float32(x):
    """Return the fraction of x, with the sign of x; zero for infinities."""
    return select(fabs(x) == _INF, copysign(float32(0.0), x), copysign(x - trunc(x), x))


def modf_integer_float32(x):
    """Return x without its fraction, with the sign of x."""
    return trunc(x)


def nextafter_float32(x, y):
    """Return the float next to x in the direction of y; y itself where they are equal."""
    bits = bitcast(x, int32)
    # Away from zero is +1 on the bits of either sign.
    step = select((y > x) == (x > 0.0), int32(1), -1)
    moved = bitcast(bits + step, float32)
    least = copysign(bitcast(int32(1), float32), y)
    moved = select(x == 0.0, least, moved)
    moved = select(x == y, y, moved)
    return select((x != x) or (y != y), x + y, moved)


def ldexp_float64(x, n):
    """Return x * 2**n for an int32 n, rounded once.

    Three powers of two cover every n that matters.  A step that may leave the normal numbers comes last: x is brought near 1 first, so the
    first two products are exact.
    """
    n = select(n < -2200, -2200, select(n > 2200, 2200, n))
    e = logb_exponent_float64(x)
    m = frexp_mantissa_float64(x) * 2.0
    e = e + n
    e = select(e < -1079, -1079, select(e > 1026, 1026, e))
    half = e >> 1
    y = m * bitcast(int64(half + 1023) << 52, float64) * bitcast(int64((e - half) + 1023) << 52, float64)
    return select((x == 0.0) or (fabs(x) == _INF) or (x != x), x, y)


def logb_exponent_float64(x):
    """Return the int32 exponent e with 2**e <= |x| < 2**(e+1); for zero, infinity and NaN it has no meaning."""
    a = fabs(x)
    tiny = a < 2.2250738585072014e-308
    bits = bitcast(select(tiny, a * 18014398509481984.0, a), int64)
    return int32(bits >> 52) - select(tiny, int32(1077), 1023)


def logb_float64(x):
    """Return the exponent of x as a float: -inf for zero, inf for infinities, NaN for NaN."""
    a = fabs(x)
    y = float64(logb_exponent_float64(x))
    y = select(a == 0.0, -_INF, y)
    return select(a < _INF, y, x * x)


def frexp_mantissa_float64(x):
    """Return m with x = m * 2**e and 1/2 <= |m| < 1; zeros, infinities and NaN unchanged."""
    a = fabs(x)
    tiny = a < 2.2250738585072014e-308
    bits = bitcast(select(tiny, a * 18014398509481984.0, a), int64)
    m = bitcast((bits & 0x000FFFFFFFFFFFFF) | 0x3FE0000000000000, float64)
    return select((a > 0.0) and (a < _INF), copysign(m, x), x)


def frexp_exponent_float64(x):
    """Return the int32 e with x = m * 2**e and 1/2 <= |m| < 1; 0 for zeros, infinities and NaN."""
    a = fabs(x)
    return select((a > 0.0) and (a < _INF), logb_exponent_float64(x) + 1, 0)


def modf_fraction_float64(x):
    """Return the fraction of x, with the sign of x; zero for infinities."""
    return select(fabs(x) == _INF, copysign(float64(0.0), x), copysign(x - trunc(x), x))


def modf_integer_float64(x):
    """Return x without its fraction, with the sign of x."""
    return trunc(x)


def nextafter_float64(x, y):
    """Return the float next to x in the direction of y; y itself where they are equal."""
    bits = bitcast(x, int64)
    # Away from zero is +1 on the bits of either sign.
    step = select((y > x) == (x > 0.0), int64(1), -1)
    moved = bitcast(bits + step, float64)
    least = copysign(bitcast(int64(1), float64), y)
    moved = select(x == 0.0, least, moved)
    moved = select(x == y, y, moved)
    return select((x != x) or (y != y), x + y, moved)
