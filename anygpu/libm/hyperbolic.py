"""sinh, cosh, tanh and their inverses.

sinh and tanh come from a scaled e**x - 1 that keeps its rounding error, cosh from e**x; the scale of 1/4 leaves room for results near
overflow.  The inverses are logarithms of an unevaluated sum of two floats, so that nothing of a small argument is lost, with a few terms of
the series very near 0.
"""

# mypy: ignore-errors
# (the kernel compiler types these functions, once for each dtype)

from __future__ import annotations

from anygpu.libm.exponential import (
    LN2_HIGH_32,
    LN2_HIGH_64,
    LN2_LOW_32,
    LN2_LOW_64,
    LOG2_E,
    SCALED_32,
    SCALED_64,
    exp_polynomial_float32,
    exp_polynomial_float64,
    expm1_curve_float32,
    expm1_curve_float64,
    scale_float32,
    scale_float64,
)  # fmt: skip
from anygpu.libm.logarithm import log_pair_float32, log_pair_float64
from anygpu.libm.words import bitcast, copysign, fabs, float32, float64, fma, select, sqrt, uint32, uint64

_INF = float("inf")
_NAN = float("nan")


def _quarter_expm1_float32(a):
    """Return (e**a - 1) / 4 as an unevaluated sum, for 0 <= a <= 89.5."""
    shifted = fma(a, LOG2_E, 12582912.0 + 125.0)
    k = shifted - (12582912.0 + 125.0)
    b = fma(k, -LN2_HIGH_32, a)
    r = fma(k, -LN2_LOW_32, b)
    curve = expm1_curve_float32(r, fma(k, -LN2_LOW_32, b - r))
    scale = bitcast(bitcast(shifted, uint32) << 23, float32)
    offset = scale - 0.25
    y = fma(scale, r, offset)
    low = fma(scale, curve, fma(scale, r, offset - y) + ((scale - offset) - 0.25))
    high = y + low
    return high, (y - high) + low


def sinh_float32(x):
    """Return the hyperbolic sine: (E + E/(E+1)) / 2 with E = e**|x| - 1."""
    a = fabs(x)
    a = select(a > 89.5, 89.5, a)
    high, low = _quarter_expm1_float32(a)
    quotient = high / fma(4.0, high, 1.0)
    y = high + (quotient + low)
    y = select(a < 1e-5, fma(a, 0.16666667 * a * a, a), y + y)
    return copysign(y, x)


def cosh_float32(x):
    """Return the hyperbolic cosine: e**|x| / 2 + 1 / (2*e**|x|)."""
    a = fabs(x)
    a = select(a > 89.5, 89.5, a)
    shifted = fma(a, LOG2_E, SCALED_32)
    k = shifted - SCALED_32
    r = fma(k, -LN2_HIGH_32, a)
    r = fma(k, -LN2_LOW_32, r)
    quarter = scale_float32(exp_polynomial_float32(r), shifted - 2.0)
    y = quarter + 0.0625 / quarter
    return y + y


def tanh_float32(x):
    """Return the hyperbolic tangent: t = E / (E + 2) with E = e**(2*|x|) - 1, corrected by its residual.

    The correction needs 4 / (E + 2), which is 2 - 2*t; beyond 1 that cancels, and the quotient is good enough as it is.
    """
    a = fabs(x)
    a = select(a > 10.0, 10.0, a)
    high, low = _quarter_expm1_float32(a + a)
    d = high + 0.5
    d_low = select(high > 0.5, (high - d) + 0.5, (0.5 - d) + high) + low
    t = high / d
    residual = fma(-t, d, high) + fma(-t, d_low, low)
    y = select(a < 1e-5, fma(a, -0.33333334 * a * a, a), fma(residual, select(a < 1.0, fma(-2.0, t, 2.0), 0.0), t))
    return copysign(y, x)


def asinh_float32(x):
    """Return the inverse hyperbolic sine: log(|x| + sqrt(x*x + 1))."""
    a = fabs(x)
    far = a > 8192.0
    b = select(far, 1.0, a)
    s = b * b
    u = s + 1.0
    u_low = select(s > 1.0, (s - u) + 1.0, (1.0 - u) + s) + fma(b, b, -s)
    root = sqrt(u)
    root_low = (fma(-root, root, u) + u_low) / (root + root)
    high = root + b
    low = ((root - high) + b) + root_low
    y = log_pair_float32(select(far, a, high), select(far, 0.0, low), select(far, float32(1.0), 0.0))
    y = select(a < _INF, y, a)
    z = a * a
    near = fma(a, z * fma(z, 0.075, -0.16666667), a)
    return copysign(select(a < 0.03125, near, y), x)


def acosh_float32(x):
    """Return the inverse hyperbolic cosine: log(x + sqrt(x*x - 1)); NaN below 1."""
    far = x > 8192.0
    b = select(far, 2.0, x)
    s = b * b
    d = s - 1.0
    d_low = ((s - d) - 1.0) + fma(b, b, -s)
    u = d + d_low
    u_low = (d - u) + d_low
    root = sqrt(u)
    root_low = select(u > 0.0, (fma(-root, root, u) + u_low) / (root + root), 0.0)
    high = b + root
    low = ((b - high) + root) + root_low
    y = log_pair_float32(select(far, x, high), select(far, 0.0, low), select(far, float32(1.0), 0.0))
    y = select(x < _INF, y, x)
    return select(x < 1.0, _NAN, y)


def atanh_float32(x):
    """Return the inverse hyperbolic tangent: log((1 + |x|) / (1 - |x|)) / 2; infinite at -1 and 1, NaN beyond."""
    a = fabs(x)
    n = a + 1.0
    n_low = (1.0 - n) + a
    d = 1.0 - a
    d_low = (1.0 - d) - a
    high = n / d
    low = (fma(-high, d, n) + fma(-high, d_low, n_low)) / d
    y = 0.5 * log_pair_float32(high, low, float32(0.0))
    y = select(a > 1.0, _NAN, select(a == 1.0, _INF, y))
    z = a * a
    near = fma(a, z * fma(z, 0.2, 0.33333334), a)
    return copysign(select(a < 0.015625, near, y), x)


def _quarter_expm1_float64(a):
    """Return (e**a - 1) / 4 as an unevaluated sum, for 0 <= a <= 710.5."""
    shifted = fma(a, LOG2_E, 6755399441055744.0 + 1021.0)
    k = shifted - (6755399441055744.0 + 1021.0)
    b = fma(k, -LN2_HIGH_64, a)
    r = fma(k, -LN2_LOW_64, b)
    curve = expm1_curve_float64(r, fma(k, -LN2_LOW_64, b - r))
    scale = bitcast(bitcast(shifted, uint64) << 52, float64)
    offset = scale - 0.25
    y = fma(scale, r, offset)
    low = fma(scale, curve, fma(scale, r, offset - y) + ((scale - offset) - 0.25))
    high = y + low
    return high, (y - high) + low


def sinh_float64(x):
    """Return the hyperbolic sine: (E + E/(E+1)) / 2 with E = e**|x| - 1."""
    a = fabs(x)
    a = select(a > 710.5, 710.5, a)
    high, low = _quarter_expm1_float64(a)
    quotient = high / fma(4.0, high, 1.0)
    y = high + (quotient + low)
    y = select(a < 1e-10, fma(a, 0.16666667 * a * a, a), y + y)
    return copysign(y, x)


def cosh_float64(x):
    """Return the hyperbolic cosine: e**|x| / 2 + 1 / (2*e**|x|)."""
    a = fabs(x)
    a = select(a > 710.5, 710.5, a)
    shifted = fma(a, LOG2_E, SCALED_64)
    k = shifted - SCALED_64
    r = fma(k, -LN2_HIGH_64, a)
    r = fma(k, -LN2_LOW_64, r)
    quarter = scale_float64(exp_polynomial_float64(r), shifted - 2.0)
    y = quarter + 0.0625 / quarter
    return y + y


def tanh_float64(x):
    """Return the hyperbolic tangent: t = E / (E + 2) with E = e**(2*|x|) - 1, corrected by its residual.

    The correction needs 4 / (E + 2), which is 2 - 2*t; beyond 1 that cancels, and the quotient is good enough as it is.
    """
    a = fabs(x)
    a = select(a > 20.0, 20.0, a)
    high, low = _quarter_expm1_float64(a + a)
    d = high + 0.5
    d_low = select(high > 0.5, (high - d) + 0.5, (0.5 - d) + high) + low
    t = high / d
    residual = fma(-t, d, high) + fma(-t, d_low, low)
    y = select(a < 1e-10, fma(a, -0.33333334 * a * a, a), fma(residual, select(a < 1.0, fma(-2.0, t, 2.0), 0.0), t))
    return copysign(y, x)


def asinh_float64(x):
    """Return the inverse hyperbolic sine: log(|x| + sqrt(x*x + 1))."""
    a = fabs(x)
    far = a > 1073741824.0
    b = select(far, 1.0, a)
    s = b * b
    u = s + 1.0
    u_low = select(s > 1.0, (s - u) + 1.0, (1.0 - u) + s) + fma(b, b, -s)
    root = sqrt(u)
    root_low = (fma(-root, root, u) + u_low) / (root + root)
    high = root + b
    low = ((root - high) + b) + root_low
    y = log_pair_float64(select(far, a, high), select(far, 0.0, low), select(far, float64(1.0), 0.0))
    y = select(a < _INF, y, a)
    z = a * a
    near = fma(a, z * fma(z, fma(z, -0.044642857142857144, 0.075), -0.16666666666666666), a)
    return copysign(select(a < 0.0009765625, near, y), x)


def acosh_float64(x):
    """Return the inverse hyperbolic cosine: log(x + sqrt(x*x - 1)); NaN below 1."""
    far = x > 1073741824.0
    b = select(far, 2.0, x)
    s = b * b
    d = s - 1.0
    d_low = ((s - d) - 1.0) + fma(b, b, -s)
    u = d + d_low
    u_low = (d - u) + d_low
    root = sqrt(u)
    root_low = select(u > 0.0, (fma(-root, root, u) + u_low) / (root + root), 0.0)
    high = b + root
    low = ((b - high) + root) + root_low
    y = log_pair_float64(select(far, x, high), select(far, 0.0, low), select(far, float64(1.0), 0.0))
    y = select(x < _INF, y, x)
    return select(x < 1.0, _NAN, y)


def atanh_float64(x):
    """Return the inverse hyperbolic tangent: log((1 + |x|) / (1 - |x|)) / 2; infinite at -1 and 1, NaN beyond."""
    a = fabs(x)
    n = a + 1.0
    n_low = (1.0 - n) + a
    d = 1.0 - a
    d_low = (1.0 - d) - a
    high = n / d
    low = (fma(-high, d, n) + fma(-high, d_low, n_low)) / d
    y = 0.5 * log_pair_float64(high, low, float64(0.0))
    y = select(a > 1.0, _NAN, select(a == 1.0, _INF, y))
    z = a * a
    near = fma(a, z * fma(z, fma(z, 0.14285714285714285, 0.2), 0.3333333333333333), a)
    return copysign(select(a < 0.0009765625, near, y), x)
