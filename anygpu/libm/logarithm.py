"""log, log2, log10 and log1p.

x = 2**k * m with m between sqrt(1/2) and sqrt(2) by integer arithmetic on the bits, f = m - 1 exactly, and log(x) = k*log(2) + log1p(f).

float32 uses a polynomial in f without a division.  float64 uses s = f / (2 + f), log1p(f) = 2*atanh(s), whose series in s*s needs far
fewer terms than one in f, and the arrangement f - (f*f/2 - s*(f*f/2 + R)) that keeps f itself unrounded (P. T. P. Tang, Table-driven
implementation of the logarithm function, ACM TOMS 16, 1990; Muller, Elementary Functions, 2016, chapter 11).

Polynomials are minimax in relative error (see `anygpu.libm.exponential`).
"""

# mypy: ignore-errors
# (the kernel compiler types these functions, once for each dtype)

from __future__ import annotations

from anygpu.libm.words import bitcast, fabs, float32, float64, fma, int32, int64, select

_hex = float.fromhex

LN2_HIGH_32 = _hex("0x1.62e4p-1")  # 16 bits: k * LN2_HIGH_32 is exact
LN2_LOW_32 = _hex("0x1.7f7d1cp-20")
LN2_HIGH_64 = _hex("0x1.62e42fefa38p-1")  # 42 bits: k * LN2_HIGH_64 is exact
LN2_LOW_64 = _hex("0x1.ef35793c7673p-45")
_HALF_ROOT_32 = 0x3F3504F3  # the bits of sqrt(1/2)
_HALF_ROOT_64 = 0x3FE6A09E667F3BCD
_LOG2_E_HIGH_32 = _hex("0x1.715476p+0")
_LOG2_E_LOW_32 = _hex("0x1.4ae0c0p-26")
_LOG10_E_HIGH_32 = _hex("0x1.bcb7b2p-2")
_LOG10_E_LOW_32 = _hex("-0x1.5b235ep-27")
_LOG10_2_HIGH_32 = _hex("0x1.344p-2")  # 12 bits
_LOG10_2_LOW_32 = _hex("0x1.3509f8p-18")
_LOG2_E_HIGH_64 = _hex("0x1.71547652b82fep+0")
_LOG2_E_LOW_64 = _hex("0x1.777d0ffda0d24p-56")
_LOG10_E_HIGH_64 = _hex("0x1.bcb7b1526e50ep-2")
_LOG10_E_LOW_64 = _hex("0x1.95355baaafad3p-57")
_LOG10_2_HIGH_64 = _hex("0x1.34413509f78p-2")  # 42 bits
_LOG10_2_LOW_64 = _hex("0x1.fef311f12b358p-46")
_INF = float("inf")
_NAN = float("nan")


def split_float32(x):
    """Return (k, f) with x = 2**k * (1 + f) and sqrt(1/2) <= 1 + f < sqrt(2), for positive finite x, subnormal ones included."""
    tiny = x < 1.1754943508222875e-38
    bits = bitcast(select(tiny, x * 8388608.0, x), int32)
    above = bits - _HALF_ROOT_32
    k = float32(above >> 23) - select(tiny, float32(23.0), 0.0)
    return k, bitcast(bits - (above & -8388608), float32) - 1.0


def split_float64(x):
    """Return (k, f) with x = 2**k * (1 + f) and sqrt(1/2) <= 1 + f < sqrt(2), for positive finite x, subnormal ones included."""
    tiny = x < 2.2250738585072014e-308
    bits = bitcast(select(tiny, x * 4503599627370496.0, x), int64)
    above = bits - _HALF_ROOT_64
    # The exponent fits 32 bits: the upper half alone is shifted and converted, since 64-bit lanes have no such instructions on AVX2.
    k = float64(int32(above >> 32) >> 20) - select(tiny, float64(52.0), 0.0)
    return k, bitcast(bits - (above & -4503599627370496), float64) - 1.0


def finish_float32(x, y):
    """Return y, or what every logarithm gives where x is not positive and finite: log(0) = -inf, log(negative) = NaN, log(inf) = inf."""
    y = select(x < _INF, y, x)
    y = select(x < 0.0, _NAN, y)
    return select(x == 0.0, -_INF, y)


def finish_float64(x, y):
    """Return y, or what every logarithm gives where x is not positive and finite: log(0) = -inf, log(negative) = NaN, log(inf) = inf."""
    y = select(x < _INF, y, x)
    y = select(x < 0.0, _NAN, y)
    return select(x == 0.0, -_INF, y)


def _log1p_tail_float32(f):
    """Return log1p(f) - f for sqrt(1/2) - 1 <= f <= sqrt(2) - 1: degree 11, relative error of f + tail 2**-30."""
    p = fma(f, 0.06947286, -0.118294634)
    p = fma(f, p, 0.118759)
    p = fma(f, p, -0.123747885)
    p = fma(f, p, 0.14216621)
    p = fma(f, p, -0.16669896)
    p = fma(f, p, 0.20002392)
    p = fma(f, p, -0.24999976)
    p = fma(f, p, 0.33333308)
    p = fma(f, p, -0.5)
    return f * f * p


def log1p_tail_float64(f):
    """Return (h, t) with log1p(f) = f - (h - t) for sqrt(1/2) - 1 <= f <= sqrt(2) - 1.

    h = f*f/2 and t = s*(h + R(s*s)); R has degree 7 on [0, 0.02947], relative error of the sum 2**-59.5.
    """
    s = f / (f + 2.0)
    z = s * s
    p = fma(z, 0.1479828011624314, 0.15313830218527683)
    p = fma(z, p, 0.18183572422158403)
    p = fma(z, p, 0.22222198427903456)
    p = fma(z, p, 0.2857142874369408)
    p = fma(z, p, 0.39999999999409336)
    p = fma(z, p, 0.6666666666666735)
    h = 0.5 * f * f
    return h, s * fma(z, p, h)


def log_float32(x):
    """Return the natural logarithm."""
    k, f = split_float32(x)
    a = k * LN2_HIGH_32
    t = a + f
    low = (a - t) + f  # exact: |a| >= |f| or a == 0
    low = low + fma(k, LN2_LOW_32, _log1p_tail_float32(f))
    return finish_float32(x, t + low)


def log_float64(x):
    """Return the natural logarithm."""
    k, f = split_float64(x)
    h, t = log1p_tail_float64(f)
    low = fma(k, LN2_LOW_64, t) - h
    a = k * LN2_HIGH_64
    y = a + f
    low = low + ((a - y) + f)
    return finish_float64(x, y + low)


def log_pair_float32(high, low, twos):
    """Return log((high + low) * 2**twos) for positive normal high, finite, and |low| small against it."""
    k, f = split_float32(high)
    low_part = low / high
    k = k + twos
    a = k * LN2_HIGH_32
    t = a + f
    low = (a - t) + f
    low = low + fma(k, LN2_LOW_32, _log1p_tail_float32(f))
    return t + (low + low_part)


def log2_float32(x):
    """Return the logarithm to base 2, exact at powers of two.  log2(1+f) - f*log2(e): degree 10, relative error of the sum 2**-27.6."""
    k, f = split_float32(x)
    p = fma(f, -0.10652877, 0.18535307)
    p = fma(f, p, -0.19199854)
    p = fma(f, p, 0.20478787)
    p = fma(f, p, -0.23953575)
    p = fma(f, p, 0.28855553)
    p = fma(f, p, -0.3606992)
    p = fma(f, p, 0.48089844)
    p = fma(f, p, -0.72134733)
    a = f * _LOG2_E_HIGH_32
    low = fma(f, _LOG2_E_HIGH_32, -a)
    low = fma(f, _LOG2_E_LOW_32, low)
    square = f * f
    low = fma(fma(f, f, -square), p, low)  # what the square's rounding lost counts near sqrt(2)
    low = fma(square, p, low)
    t = k + a
    return finish_float32(x, t + (((k - t) + a) + low))


def log_pair_float64(high, low, twos):
    """Return log((high + low) * 2**twos) for positive normal high, finite, and |low| small against it."""
    k, f = split_float64(high)
    low_part = low / high
    k = k + twos
    h, t = log1p_tail_float64(f)
    low = fma(k, LN2_LOW_64, t) - h
    a = k * LN2_HIGH_64
    y = a + f
    low = low + ((a - y) + f)
    return y + (low + low_part)


def log2_float64(x):
    """Return the logarithm to base 2, exact at powers of two: log1p(f) as an unevaluated sum, times log2(e) as another."""
    k, f = split_float64(x)
    h, t = log1p_tail_float64(f)
    tail = t - h
    high = f + tail
    low = (f - high) + tail
    a = high * _LOG2_E_HIGH_64
    b = fma(high, _LOG2_E_HIGH_64, -a)
    b = fma(high, _LOG2_E_LOW_64, b)
    b = fma(low, _LOG2_E_HIGH_64, b)
    y = k + a
    return finish_float64(x, y + (((k - y) + a) + b))


def log10_float32(x):
    """Return the logarithm to base 10.  log10(1+f) - f*log10(e): degree 11, relative error of the sum 2**-29.3."""
    k, f = split_float32(x)
    p = fma(f, 0.035935234, -0.05545013)
    p = fma(f, p, 0.051161855)
    p = fma(f, p, -0.05301207)
    p = fma(f, p, 0.061704516)
    p = fma(f, p, -0.07243968)
    p = fma(f, p, 0.08687259)
    p = fma(f, p, -0.10857258)
    p = fma(f, p, 0.14476466)
    p = fma(f, p, -0.21714725)
    a = f * _LOG10_E_HIGH_32
    low = fma(f, _LOG10_E_HIGH_32, -a)
    low = fma(f, _LOG10_E_LOW_32, low)
    low = fma(f * f, p, low)
    low = fma(k, _LOG10_2_LOW_32, low)
    b = k * _LOG10_2_HIGH_32
    t = b + a
    return finish_float32(x, t + (((b - t) + a) + low))


def log10_float64(x):
    """Return the logarithm to base 10: log1p(f) as an unevaluated sum, times log10(e) as another, plus k * log10(2) as a third."""
    k, f = split_float64(x)
    h, t = log1p_tail_float64(f)
    tail = t - h
    high = f + tail
    low = (f - high) + tail
    a = high * _LOG10_E_HIGH_64
    b = fma(high, _LOG10_E_HIGH_64, -a)
    b = fma(high, _LOG10_E_LOW_64, b)
    b = fma(low, _LOG10_E_HIGH_64, b)
    b = fma(k, _LOG10_2_LOW_64, b)
    c = k * _LOG10_2_HIGH_64
    y = c + a
    return finish_float64(x, y + (((c - y) + a) + b))


def log1p_float32(x):
    """Return log(1 + x), accurate near 0.

    k comes from the rounded sum 1 + x, f = 2**-k * x + (2**-k - 1) from x itself whose rounding error is kept in `lost`.
    """
    u = x + 1.0
    above = bitcast(u, int32) - _HALF_ROOT_32
    k = above >> 23
    scale = bitcast((127 - k) << 23, float32)
    # Far out 1 + x is x, and 2**-k may be subnormal: there f comes from the bits.
    f = select(k > 60, bitcast(bitcast(u, int32) - (above & -8388608), float32) - 1.0, fma(x, scale, scale - 1.0))
    lost = select(k > 60, float32(0.0), ((scale - 1.0) - f) + x * scale)
    e = float32(k)
    a = e * LN2_HIGH_32
    t = a + f
    low = ((a - t) + f) + lost
    low = low + fma(e, LN2_LOW_32, _log1p_tail_float32(f))
    y = select(fabs(x) < 1e-30, x, t + low)
    y = select(x < _INF, y, x)
    y = select(x < -1.0, _NAN, y)
    return select(x == -1.0, -_INF, y)


def log1p_float64(x):
    """Return log(1 + x), accurate near 0.  As in float32."""
    u = x + 1.0
    above = bitcast(u, int64) - _HALF_ROOT_64
    k = int32(above >> 32) >> 20
    scale = bitcast(int64(1023 - k) << 52, float64)
    f = select(k > 120, bitcast(bitcast(u, int64) - (above & -4503599627370496), float64) - 1.0, fma(x, scale, scale - 1.0))
    lost = select(k > 120, float64(0.0), ((scale - 1.0) - f) + x * scale)
    e = float64(k)
    h, t = log1p_tail_float64(f)
    low = fma(e, LN2_LOW_64, t) - h
    a = e * LN2_HIGH_64
    s = a + f
    low = low + (((a - s) + f) + lost)
    y = select(fabs(x) < 1e-30, x, s + low)
    y = select(x < _INF, y, x)
    y = select(x < -1.0, _NAN, y)
    return select(x == -1.0, -_INF, y)
