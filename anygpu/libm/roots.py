"""cbrt, rsqrt and hypot; the square root itself is an instruction of every target, correctly rounded."""

# mypy: ignore-errors
# (the kernel compiler types these functions, once for each dtype)

from __future__ import annotations

from anygpu.libm.words import bitcast, copysign, fabs, float32, float64, fma, int32, int64, select, sqrt

_INF = float("inf")
_SEED_32 = 0x54A20000
_SEED_64 = 0x553EE00000000000


def rsqrt_float32(x):
    """Return 1 / sqrt(x): the quotient of two correctly rounded operations, then one Newton step with the exact residual 1 - x*y*y."""
    y = 1.0 / sqrt(x)
    t = x * y
    residual = fma(-t, y, 1.0) - fma(x, y, -t) * y
    regular = (x > 0.0) and (x < _INF)
    return select(regular, fma(0.5 * y, residual, y), y)


def rsqrt_float64(x):
    """Return 1 / sqrt(x).  As in float32."""
    y = 1.0 / sqrt(x)
    t = x * y
    residual = fma(-t, y, 1.0) - fma(x, y, -t) * y
    regular = (x > 0.0) and (x < _INF)
    return select(regular, fma(0.5 * y, residual, y), y)


def cbrt_float32(x):
    """Return the cube root without a division.

    The bits of |x| divided by -3 give 1/cbrt(x) to 3.5% (Muller, Elementary Functions, 2016, section 5); steps of
    y += y*(e/3 + 2*e**2/9 + 14*e**3/81), the series of (1-e)**(-1/3) with e = 1 - x*y**3, give it to float32's precision, and c = x*y*y is
    corrected by its own residual.
    """
    a = fabs(x)
    tiny = a < 1.1754943508222875e-38
    a = select(tiny, a * 16777216.0, a)
    bits = bitcast(a, int32)
    y = bitcast(_SEED_32 - int32(float32(bits) * 0.33333334), float32)
    e = fma(-a * y, y * y, 1.0)
    y = fma(y * e, fma(e, fma(e, 0.17283951, 0.22222222), 0.33333334), y)
    e = fma(-a * y, y * y, 1.0)
    y = fma(y * e, 0.33333334, y)
    square = y * y
    c = a * square
    d = c * c
    residual = fma(-d, c, a) - fma(c, c, -d) * c
    c = fma(residual * square, 0.33333334, c)
    c = select(tiny, c * 0.00390625, c)
    regular = (a > 0.0) and (a < _INF)
    return select(regular, copysign(c, x), x)


def cbrt_float64(x):
    """Return the cube root without a division.  As in float32, with all terms in both steps."""
    a = fabs(x)
    tiny = a < 2.2250738585072014e-308
    a = select(tiny, a * 18014398509481984.0, a)
    # A third of the upper half of the bits is enough for a seed, and stays in 32-bit lanes.
    upper = int32(bitcast(a, int64) >> 32)
    third = int32(float32(upper) * 0.33333334)
    y = bitcast(_SEED_64 - (int64(third) << 32), float64)
    e = fma(-a * y, y * y, 1.0)
    y = fma(y * e, fma(e, fma(e, 0.1728395061728395, 0.2222222222222222), 0.3333333333333333), y)
    e = fma(-a * y, y * y, 1.0)
    y = fma(y * e, fma(e, fma(e, 0.1728395061728395, 0.2222222222222222), 0.3333333333333333), y)
    square = y * y
    c = a * square
    d = c * c
    residual = fma(-d, c, a) - fma(c, c, -d) * c
    c = fma(residual * square, 0.3333333333333333, c)
    c = select(tiny, c * 3.814697265625e-06, c)
    regular = (a > 0.0) and (a < _INF)
    return select(regular, copysign(c, x), x)


def hypot_float32(x, y):
    """Return sqrt(x*x + y*y) without overflow; the rounding errors of the sum of squares are added back to the root.

    C. F. Borges, An improved algorithm for hypot(a, b), 2019.
    """
    a = fabs(x)
    b = fabs(y)
    high = select(a > b, a, b)
    low = select(a > b, b, a)
    huge = high > 1152921504606846976.0  # 2**60
    tiny = high < 9.094947017729282e-13  # 2**-40
    scale = select(huge, float32(7.888609052210118e-31), select(tiny, float32(1.2676506002282294e30), 1.0))
    back = select(huge, float32(1.2676506002282294e30), select(tiny, float32(7.888609052210118e-31), 1.0))
    h = _root_of_squares_float32(high * scale, low * scale) * back
    h = select((a != a) or (b != b), a + b, h)
    return select((a == _INF) or (b == _INF), _INF, h)


def _root_of_squares_float32(p, q):
    """Return sqrt(p*p + q*q) for p >= q >= 0 whose squares neither overflow nor lose bits, with the residual (p*p + q*q) - h*h added."""
    p2 = p * p
    q2 = q * q
    s = p2 + q2
    h = sqrt(s)
    h2 = h * h
    residual = (((p2 - s) + q2) + (s - h2)) + ((fma(p, p, -p2) + fma(q, q, -q2)) - fma(h, h, -h2))
    return select(h > 0.0, h + residual / (h + h), h)


def hypot_float64(x, y):
    """Return sqrt(x*x + y*y) without overflow.  As in float32."""
    a = fabs(x)
    b = fabs(y)
    high = select(a > b, a, b)
    low = select(a > b, b, a)
    huge = high > 3.273390607896142e150  # 2**500
    tiny = high < 3.872591914849318e-121  # 2**-400
    scale = select(huge, float64(2.409919865102884e-181), select(tiny, float64(4.149515568880993e180), 1.0))
    back = select(huge, float64(4.149515568880993e180), select(tiny, float64(2.409919865102884e-181), 1.0))
    h = _root_of_squares_float64(high * scale, low * scale) * back
    h = select((a != a) or (b != b), a + b, h)
    return select((a == _INF) or (b == _INF), _INF, h)


def _root_of_squares_float64(p, q):
    """Return sqrt(p*p + q*q) for p >= q >= 0 whose squares neither overflow nor lose bits, with the residual (p*p + q*q) - h*h added."""
    p2 = p * p
    q2 = q * q
    s = p2 + q2
    h = sqrt(s)
    h2 = h * h
    residual = (((p2 - s) + q2) + (s - h2)) + ((fma(p, p, -p2) + fma(q, q, -q2)) - fma(h, h, -h2))
    return select(h > 0.0, h + residual / (h + h), h)
