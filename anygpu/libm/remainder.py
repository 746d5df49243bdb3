"""fmod, remainder, mod and floordiv; the remainders are exact.

Long division with the fused multiply-add as its digit step: a quotient of fewer bits than the significand, truncated, multiplied and
subtracted in one rounding leaves an exact remainder.  One step serves all quotients below 2**22 (2**51); a larger one is reduced from its
leading digits, y scaled by powers of two, so a lane loops once for every 22 (51) bits by which the exponents differ.
"""

# mypy: ignore-errors
# (the kernel compiler types these functions, once for each dtype)

from __future__ import annotations

from anygpu.libm.bits import ldexp_float32, ldexp_float64, logb_exponent_float32, logb_exponent_float64
from anygpu.libm.words import copysign, fabs, float32, float64, floor, fma, select, trunc

_INF = float("inf")
_NAN = float("nan")


def _divide_float32(x, y):
    """Return (r, odd) with x = q*y + r, 0 <= r < y, and odd = 1.0 where the integer q is odd, for finite x >= 0 and y > 0."""
    r = x
    last = float32(0.0)
    while r >= y:
        divisor = y
        far = r > y * 4194304.0  # 2**22
        if far:
            divisor = ldexp_float32(y, logb_exponent_float32(r) - logb_exponent_float32(y) - 21)
        q = trunc(r / divisor)
        rest = fma(-q, divisor, r)
        # The rounded quotient may be one too large.
        over = rest < 0.0
        r = select(over, rest + divisor, rest)
        q = select(over, q - 1.0, q)
        last = select(far, float32(0.0), q)
    return r, last - 2.0 * trunc(0.5 * last)


def fmod_float32(x, y):
    """Return x - n*y with n = x/y truncated toward zero; the sign is that of x.  NaN for an infinite x or a zero y."""
    a = fabs(x)
    b = fabs(y)
    valid = (a < _INF) and (b > 0.0)
    r, _ = _divide_float32(select(valid, a, 0.0), select(valid and (b < _INF), b, 1.0))
    r = select(b == _INF, a, r)
    r = select(valid, copysign(r, x), _NAN)
    return select((x != x) or (y != y), x + y, r)


def remainder_float32(x, y):
    """Return x - n*y with n = x/y rounded to the nearest integer, ties to even (IEEE 754).  NaN for an infinite x or a zero y."""
    a = fabs(x)
    b = fabs(y)
    valid = (a < _INF) and (b > 0.0)
    divisor = select(valid and (b < _INF), b, 1.0)
    r, odd = _divide_float32(select(valid, a, 0.0), divisor)
    gap = divisor - r
    up = (r > gap) or ((r == gap) and (odd == 1.0))
    r = select(up, -gap, r)
    r = select(b == _INF, a, r)
    # A zero keeps the sign of x; anything else is mirrored with x.
    r = select(x < 0.0, -r, r)
    r = select(r == 0.0, copysign(r, x), r)
    r = select(valid, r, _NAN)
    return select((x != x) or (y != y), x + y, r)


def _divide_float64(x, y):
    """Return (r, odd) with x = q*y + r, 0 <= r < y, and odd = 1.0 where the integer q is odd, for finite x >= 0 and y > 0."""
    r = x
    last = float64(0.0)
    while r >= y:
        divisor = y
        far = r > y * 2251799813685248.0  # 2**51
        if far:
            divisor = ldexp_float64(y, logb_exponent_float64(r) - logb_exponent_float64(y) - 50)
        q = trunc(r / divisor)
        rest = fma(-q, divisor, r)
        # The rounded quotient may be one too large.
        over = rest < 0.0
        r = select(over, rest + divisor, rest)
        q = select(over, q - 1.0, q)
        last = select(far, float64(0.0), q)
    return r, last - 2.0 * trunc(0.5 * last)


def fmod_float64(x, y):
    """Return x - n*y with n = x/y truncated toward zero; the sign is that of x.  NaN for an infinite x or a zero y."""
    a = fabs(x)
    b = fabs(y)
    valid = (a < _INF) and (b > 0.0)
    r, _ = _divide_float64(select(valid, a, 0.0), select(valid and (b < _INF), b, 1.0))
    r = select(b == _INF, a, r)
    r = select(valid, copysign(r, x), _NAN)
    return select((x != x) or (y != y), x + y, r)


def remainder_float64(x, y):
    """Return x - n*y with n = x/y rounded to the nearest integer, ties to even (IEEE 754).  NaN for an infinite x or a zero y."""
    a = fabs(x)
    b = fabs(y)
    valid = (a < _INF) and (b > 0.0)
    divisor = select(valid and (b < _INF), b, 1.0)
    r, odd = _divide_float64(select(valid, a, 0.0), divisor)
    gap = divisor - r
    up = (r > gap) or ((r == gap) and (odd == 1.0))
    r = select(up, -gap, r)
    r = select(b == _INF, a, r)
    # A zero keeps the sign of x; anything else is mirrored with x.
    r = select(x < 0.0, -r, r)
    r = select(r == 0.0, copysign(r, x), r)
    r = select(valid, r, _NAN)
    return select((x != x) or (y != y), x + y, r)


def mod_float32(x, y):
    """Return x - y*floor(x/y), the `%` of Python and NumPy: the sign is that of y.  NaN for an infinite x or a zero y."""
    r = fmod_float32(x, y)
    adjusted = select((r < 0.0) != (y < 0.0), r + y, r)
    return select(r == 0.0, copysign(float32(0.0), y), adjusted)


def floordiv_float32(x, y):
    """Return floor(x / y), the `//` of Python and NumPy: from the exact remainder, so it agrees with `%`.  x / y where y is zero."""
    r = fmod_float32(x, y)
    quotient = (x - r) / y
    quotient = select((r != 0.0) and ((r < 0.0) != (y < 0.0)), quotient - 1.0, quotient)
    whole = floor(quotient)
    whole = select(quotient - whole > 0.5, whole + 1.0, whole)
    whole = select(quotient == 0.0, copysign(float32(0.0), x / y), whole)
    return select(y == 0.0, x / y, whole)


def mod_float64(x, y):
    """Return x - y*floor(x/y), the `%` of Python and NumPy: the sign is that of y.  NaN for an infinite x or a zero y."""
    r = fmod_float64(x, y)
    adjusted = select((r < 0.0) != (y < 0.0), r + y, r)
    return select(r == 0.0, copysign(float64(0.0), y), adjusted)


def floordiv_float64(x, y):
    """Return floor(x / y), the `//` of Python and NumPy: from the exact remainder, so it agrees with `%`.  x / y where y is zero."""
    r = fmod_float64(x, y)
    quotient = (x - r) / y
    quotient = select((r != 0.0) and ((r < 0.0) != (y < 0.0)), quotient - 1.0, quotient)
    whole = floor(quotient)
    whole = select(quotient - whole > 0.5, whole + 1.0, whole)
    whole = select(quotient == 0.0, copysign(float64(0.0), x / y), whole)
    return select(y == 0.0, x / y, whole)
