"""pow.

x**y = 2**(y * log2(x)), with log2(x) and its product with y as unevaluated sums of two floats (T. J. Dekker, A floating-point technique for
extending the available precision, 1971; Muller et al., Handbook of Floating-Point Arithmetic, 2018, section 4.4), since an error in
y*log2(x) becomes a relative error of the result.  log2(1+f) = (2/ln 2) * atanh(s), s = f/(2+f): the first terms of the series are kept in
two floats, the rest in one.
"""

# mypy: ignore-errors
# (the kernel compiler types these functions, once for each dtype)

from __future__ import annotations

from anygpu.libm.exponential import SCALED_32, SCALED_64, exp2_polynomial_float32, exp2_polynomial_float64, scale_float32, scale_float64
from anygpu.libm.logarithm import split_float32, split_float64
from anygpu.libm.words import bitcast, fabs, float32, float64, fma, select, trunc, uint32, uint64

_hex = float.fromhex
_INF = float("inf")
_NAN = float("nan")
# 2/ln(2) divided by 1, 3 and 5, as unevaluated sums.
_C1_HIGH_32 = _hex("0x1.715476p+1")
_C1_LOW_32 = _hex("0x1.4ae0c0p-25")
_C3_HIGH_32 = _hex("0x1.ec709ep-1")
_C3_LOW_32 = _hex("-0x1.e2fe02p-28")
_C1_HIGH_64 = _hex("0x1.71547652b82fep+1")
_C1_LOW_64 = _hex("0x1.777d0ffda0d24p-55")
_C3_HIGH_64 = _hex("0x1.ec709dc3a03fdp-1")
_C3_LOW_64 = _hex("0x1.d27f05548af0cp-55")
_C5_HIGH_64 = _hex("0x1.2776c50ef9bfep-1")
_C5_LOW_64 = _hex("0x1.e4b29ccc535d4p-55")


def log2_pair_float32(x):
    """Return log2(x) as an unevaluated sum, relative error about 2**-36, for positive finite x.

    The part of atanh(s)/s beyond s**2/3 is a polynomial of degree 2 in z = s*s <= 0.02947.
    """
    k, f = split_float32(x)
    d = f + 2.0
    d_low = f - (d - 2.0)
    inverse = 1.0 / d
    s = f * inverse
    s_low = fma(-s, d_low, fma(-s, d, f)) * inverse
    z = s * s
    z_low = fma(s, s, -z) + 2.0 * s * s_low
    p = fma(z, 0.337827, 0.41184977)
    p = fma(z, p, 0.5770802)
    a = z * p
    b = _C3_HIGH_32 + a
    b_low = ((_C3_HIGH_32 - b) + a) + _C3_LOW_32
    c = z * b
    c_low = fma(z, b, -c) + fma(z, b_low, z_low * b)
    t = _C1_HIGH_32 + c
    t_low = ((_C1_HIGH_32 - t) + c) + (c_low + _C1_LOW_32)
    m = s * t
    m_low = fma(s, t, -m) + fma(s, t_low, s_low * t)
    high = k + m
    low = ((k - high) + m) + m_low
    total = high + low
    return total, (high - total) + low


def log2_pair_float64(x):
    """Return log2(x) as an unevaluated sum, relative error about 2**-67, for positive finite x.

    The part of atanh(s)/s beyond s**4/5 is a polynomial of degree 6 in z = s*s <= 0.02947.
    """
    k, f = split_float64(x)
    d = f + 2.0
    d_low = f - (d - 2.0)
    inverse = 1.0 / d
    s = f * inverse
    s_low = fma(-s, d_low, fma(-s, d, f)) * inverse
    z = s * s
    z_low = fma(s, s, -z) + 2.0 * s * s_low
    p = fma(z, 0.1718570682462272, 0.1685774956208042)
    p = fma(z, p, 0.19239448439310278)
    p = fma(z, p, 0.22195246816970268)
    p = fma(z, p, 0.2623081953901405)
    p = fma(z, p, 0.3205988979432831)
    p = fma(z, p, 0.412198583111199)
    a = z * p
    q = _C5_HIGH_64 + a
    q_low = ((_C5_HIGH_64 - q) + a) + _C5_LOW_64
    a = z * q
    a_low = fma(z, q, -a) + fma(z, q_low, z_low * q)
    b = _C3_HIGH_64 + a
    b_low = ((_C3_HIGH_64 - b) + a) + (a_low + _C3_LOW_64)
    c = z * b
    c_low = fma(z, b, -c) + fma(z, b_low, z_low * b)
    t = _C1_HIGH_64 + c
    t_low = ((_C1_HIGH_64 - t) + c) + (c_low + _C1_LOW_64)
    m = s * t
    m_low = fma(s, t, -m) + fma(s, t_low, s_low * t)
    high = k + m
    low = ((k - high) + m) + m_low
    total = high + low
    return total, (high - total) + low


def pow_float32(x, y):
    """Return x**y with every special case of C99 Annex F.9.4.4."""
    a = fabs(x)
    log_high, log_low = log2_pair_float32(a)
    e = y * log_high
    e_low = fma(y, log_high, -e) + y * log_low
    inside = fabs(e) < 200.0
    e_low = select(inside, e_low, 0.0)
    e = select(inside, e, select(e > 0.0, float32(200.0), -200.0))
    shifted = e + SCALED_32
    r = (e - (shifted - SCALED_32)) + e_low
    p = scale_float32(exp2_polynomial_float32(r), shifted)
    # Zero and infinite operands: the result is 0 or inf by the side of 1 on which |x| lies and the sign of y.
    edge = (a == 0.0) or (a == _INF) or (fabs(y) == _INF)
    p = select(edge, select((a > 1.0) == (y > 0.0), float32(_INF), 0.0), p)
    p = select((a == 1.0), 1.0, p)
    whole = trunc(y) == y
    half = 0.5 * y
    odd = whole and (trunc(half) != half)
    sign = bitcast(x, uint32) & 0x80000000
    p = bitcast(bitcast(p, uint32) | select(odd, sign, 0), float32)
    p = select((x < 0.0) and (not whole) and (a != _INF), _NAN, p)
    p = select((x != x) or (y != y), x + y, p)
    return select((y == 0.0) or (x == 1.0), 1.0, p)


def pow_float64(x, y):
    """Return x**y with every special case of C99 Annex F.9.4.4."""
    a = fabs(x)
    log_high, log_low = log2_pair_float64(a)
    e = y * log_high
    e_low = fma(y, log_high, -e) + y * log_low
    inside = fabs(e) < 1500.0
    e_low = select(inside, e_low, 0.0)
    e = select(inside, e, select(e > 0.0, float64(1500.0), -1500.0))
    shifted = e + SCALED_64
    r = (e - (shifted - SCALED_64)) + e_low
    p = scale_float64(exp2_polynomial_float64(r), shifted)
    edge = (a == 0.0) or (a == _INF) or (fabs(y) == _INF)
    p = select(edge, select((a > 1.0) == (y > 0.0), float64(_INF), 0.0), p)
    p = select((a == 1.0), 1.0, p)
    whole = trunc(y) == y
    half = 0.5 * y
    odd = whole and (trunc(half) != half)
    sign = bitcast(x, uint64) & 0x8000000000000000
    p = bitcast(bitcast(p, uint64) | select(odd, sign, 0), float64)
    p = select((x < 0.0) and (not whole) and (a != _INF), _NAN, p)
    p = select((x != x) or (y != y), x + y, p)
    return select((y == 0.0) or (x == 1.0), 1.0, p)
