"""exp, exp2, exp10 and expm1.

All four follow one plan (W. J. Cody and W. Waite, Software Manual for the Elementary Functions, 1980; J.-M. Muller et al., Handbook of
Floating-Point Arithmetic, 2018, chapter 10): x = k*log_b(2) + r with k an integer and |r| at most half of log_b(2), then
b**x = 2**k * b**r with a polynomial for b**r.

Two details make the plan cheap on vectors.  The integer k is found by adding a constant so large that the sum has no fraction bits (its
low bits *are* k, and an offset folded into the constant biases them for the next step), and 2**k is applied as a product of two powers of
two built by shifts, which rounds once even when the result is subnormal.

Polynomials are minimax in relative error: Remez exchange in 200-bit arithmetic, then each coefficient rounded in turn, lowest degree
first, and the others fitted again.  Each function states interval, degree and the error after rounding.
"""

# mypy: ignore-errors
# (the kernel compiler types these functions, once for each dtype)

from __future__ import annotations

from anygpu.libm.words import bitcast, fabs, float32, float64, fma, select, uint32, uint64

_hex = float.fromhex

# 1.5 * 2**(p - 1): adding it rounds to an integer.  The offset leaves k + 2 * bias in the low bits, which `scale_*` splits in halves.
SCALED_32 = 12582912.0 + 254.0
SCALED_64 = 6755399441055744.0 + 2046.0

LOG2_E = _hex("0x1.71547652b82fep+0")
LOG2_10 = _hex("0x1.a934f0979a371p+1")
LN2_HIGH_32 = _hex("0x1.62e430p-1")
LN2_LOW_32 = _hex("-0x1.05c610p-29")
LN2_HIGH_64 = _hex("0x1.62e42fefa39efp-1")
LN2_LOW_64 = _hex("0x1.abc9e3b39803fp-56")
LOG10_2_HIGH_32 = _hex("0x1.344136p-2")
LOG10_2_LOW_32 = _hex("-0x1.ec10c0p-27")
LOG10_2_HIGH_64 = _hex("0x1.34413509f79ffp-2")
LOG10_2_LOW_64 = _hex("-0x1.9dc1da994fd21p-59")


def scale_float32(p, shifted):
    """Return p * 2**k, where `shifted` is k + 1.5 * 2**23 + 254 and -254 <= k <= 254."""
    bits = bitcast(shifted, uint32)
    half = bits >> 1
    return p * bitcast(half << 23, float32) * bitcast((bits - half) << 23, float32)


def scale_float64(p, shifted):
    """Return p * 2**k, where `shifted` is k + 1.5 * 2**52 + 2046 and -2046 <= k <= 2046."""
    bits = bitcast(shifted, uint64)
    half = bits >> 1
    return p * bitcast(half << 52, float64) * bitcast((bits - half) << 52, float64)


def exp_polynomial_float32(r):
    """Return exp(r) for |r| <= 0.3468: degree 6, relative error 2**-28.2."""
    p = fma(r, 0.0013836747, 0.008369141)
    p = fma(r, p, 0.041668106)
    p = fma(r, p, 0.16666517)
    p = fma(r, p, 0.49999994)
    p = fma(r, p, 1.0)
    p = fma(r, p, 1.0)
    return p


def exp_polynomial_float64(r):
    """Return exp(r) for |r| <= 0.3468: degree 11, relative error 2**-56.9."""
    p = fma(r, 2.518836717578149e-08, 2.763235386988041e-07)
    p = fma(r, p, 2.7557119184032427e-06)
    p = fma(r, p, 2.4801488413047614e-05)
    p = fma(r, p, 0.00019841269854384955)
    p = fma(r, p, 0.0013888888946751391)
    p = fma(r, p, 0.008333333333436966)
    p = fma(r, p, 0.04166666666652384)
    p = fma(r, p, 0.16666666666666283)
    p = fma(r, p, 0.5000000000000011)
    p = fma(r, p, 1.0)
    p = fma(r, p, 1.0)
    return p


def exp_float32(x):
    """Return e**x: 20 operations, at most 0.9 ULP."""
    x = select(x > 89.0, 89.0, x)
    x = select(x < -104.0, -104.0, x)
    shifted = fma(x, LOG2_E, SCALED_32)
    k = shifted - SCALED_32
    r = fma(k, -LN2_HIGH_32, x)
    r = fma(k, -LN2_LOW_32, r)
    return scale_float32(exp_polynomial_float32(r), shifted)


def exp_float64(x):
    """Return e**x."""
    x = select(x > 710.0, 710.0, x)
    x = select(x < -746.0, -746.0, x)
    shifted = fma(x, LOG2_E, SCALED_64)
    k = shifted - SCALED_64
    r = fma(k, -LN2_HIGH_64, x)
    r = fma(k, -LN2_LOW_64, r)
    return scale_float64(exp_polynomial_float64(r), shifted)


def exp_parts_float32(high, low):
    """Return (u, u_low, shifted) with exp(high + low) = (u + u_low) * 2**k, k in `shifted` as `scale_float32` takes it.

    For |low| below 2**-10, say; `high` is clamped to -170.0 ... 150.0, beyond which any caller's result is 0 or inf.
    """
    x = select(high > 150.0, 150.0, high)
    x = select(x < -170.0, -170.0, x)
    shifted = fma(x, LOG2_E, SCALED_32)
    k = shifted - SCALED_32
    b = fma(k, -LN2_HIGH_32, x)
    r = fma(k, -LN2_LOW_32, b)
    r_low = fma(k, -LN2_LOW_32, b - r) + low
    curve = expm1_curve_float32(r, float32(0.0))
    u = r + 1.0
    return u, ((1.0 - u) + r) + fma(u + curve, r_low, curve), shifted


def exp_parts_float64(high, low):
    """Return (u, u_low, shifted) with exp(high + low) = (u + u_low) * 2**k, k in `shifted` as `scale_float64` takes it.

    For |low| below 2**-10, say; `high` is clamped to -1400.0 ... 1000.0, beyond which any caller's result is 0 or inf.
    """
    x = select(high > 1000.0, 1000.0, high)
    x = select(x < -1400.0, -1400.0, x)
    shifted = fma(x, LOG2_E, SCALED_64)
    k = shifted - SCALED_64
    b = fma(k, -LN2_HIGH_64, x)
    r = fma(k, -LN2_LOW_64, b)
    r_low = fma(k, -LN2_LOW_64, b - r) + low
    curve = expm1_curve_float64(r, float64(0.0))
    u = r + 1.0
    return u, ((1.0 - u) + r) + fma(u + curve, r_low, curve), shifted


def exp2_polynomial_float32(r):
    """Return 2**r for |r| <= 0.5: degree 6, relative error 2**-27.5."""
    p = fma(r, 0.00015825132, 0.0013417747)
    p = fma(r, p, 0.009617063)
    p = fma(r, p, 0.055502728)
    p = fma(r, p, 0.24022655)
    p = fma(r, p, 0.69314724)
    p = fma(r, p, 1.0)
    return p


def exp2_polynomial_float64(r):
    """Return 2**r for |r| <= 0.5: degree 12, relative error 2**-59.7."""
    p = fma(r, 2.873341659305324e-11, 4.4732625880598074e-10)
    p = fma(r, p, 7.052944227662032e-09)
    p = fma(r, p, 1.0177932513089879e-07)
    p = fma(r, p, 1.321549134751452e-06)
    p = fma(r, p, 1.5252734166656706e-05)
    p = fma(r, p, 0.00015403530388870124)
    p = fma(r, p, 0.0013333558146033423)
    p = fma(r, p, 0.009618129107630236)
    p = fma(r, p, 0.05550410866482338)
    p = fma(r, p, 0.2402265069591007)
    p = fma(r, p, 0.6931471805599453)
    p = fma(r, p, 1.0)
    return p


def exp2_float32(x):
    """Return 2**x, exact where x is an integer."""
    x = select(x > 129.0, 129.0, x)
    x = select(x < -151.0, -151.0, x)
    shifted = x + SCALED_32
    r = x - (shifted - SCALED_32)
    return scale_float32(exp2_polynomial_float32(r), shifted)


def exp2_float64(x):
    """Return 2**x, exact where x is an integer."""
    x = select(x > 1025.0, 1025.0, x)
    x = select(x < -1076.0, -1076.0, x)
    shifted = x + SCALED_64
    r = x - (shifted - SCALED_64)
    return scale_float64(exp2_polynomial_float64(r), shifted)


def exp10_float32(x):
    """Return 10**x.  Polynomial for 10**r on |r| <= 0.1506: degree 6, relative error 2**-28.5.

    Its slope at 0 is ln(10) = 2.25 + 0.0526, split so that its rounding costs nothing, and what 1 + 2.25*r rounds away is added again.
    """
    x = select(x > 38.75, 38.75, x)
    x = select(x < -45.5, -45.5, x)
    shifted = fma(x, LOG2_10, SCALED_32)
    k = shifted - SCALED_32
    r = fma(k, -LOG10_2_HIGH_32, x)
    r = fma(k, -LOG10_2_LOW_32, r)
    p = fma(r, 0.20641765, 0.5418547)
    p = fma(r, p, 1.1712908)
    p = fma(r, p, 2.0346556)
    p = fma(r, p, 2.6509488)
    p = fma(r, p, 0.052585093)
    high = fma(r, 2.25, 1.0)
    lost = fma(r, 2.25, 1.0 - high)
    return scale_float32(high + fma(r, p, lost), shifted)


def exp10_float64(x):
    """Return 10**x.

    The slope of 10**r at 0 is ln(10) = 2.25 + 0.0526, split so that its rounding costs nothing; the polynomial for 10**r - 1 - 2.25*r on
    |r| <= 0.1506 has degree 12 and relative error 2**-60.
    """
    x = select(x > 308.5, 308.5, x)
    x = select(x < -324.0, -324.0, x)
    shifted = fma(x, LOG2_10, SCALED_64)
    k = shifted - SCALED_64
    r = fma(k, -LOG10_2_HIGH_64, x)
    r = fma(k, -LOG10_2_LOW_64, r)
    p = fma(r, 4.448363627850799e-05, 0.00024225651048773492)
    p = fma(r, p, 0.0011546269660462948)
    p = fma(r, p, 0.005013912594705573)
    p = fma(r, p, 0.019597691528446943)
    p = fma(r, p, 0.06808936528945407)
    p = fma(r, p, 0.20699584873043686)
    p = fma(r, p, 0.5393829291941723)
    p = fma(r, p, 1.1712551489121135)
    p = fma(r, p, 2.0346785922934805)
    p = fma(r, p, 2.650949055239199)
    p = fma(r, p, 0.05258509299404568)
    p = fma(r, 2.25, r * p) + 1.0
    return scale_float64(p, shifted)


def expm1_curve_float32(r, low):
    """Return expm1(r) - r + low for |r| <= 0.3468; expm1 has degree 7, relative error 2**-27.4."""
    p = fma(r, 0.00015825342, 0.0013928097)
    p = fma(r, p, 0.0083398605)
    p = fma(r, p, 0.04166653)
    p = fma(r, p, 0.16666642)
    return fma(0.5 * r, r, fma(r * r, r * p, low))


def expm1_float32(x):
    """Return e**x - 1, accurate near 0.

    With h = 2**(k-1), e**x - 1 is 2 * ((h - 1/2) + h*r + h*curve), where expm1(r) = r + curve.  The first sum keeps its rounding error,
    since its terms cancel near k = 1.
    """
    clamped = select(x > 89.0, 89.0, x)
    clamped = select(clamped < -25.0, -25.0, clamped)
    shifted = fma(clamped, LOG2_E, 12582912.0 + 126.0)
    k = shifted - (12582912.0 + 126.0)
    a = fma(k, -LN2_HIGH_32, clamped)
    r = fma(k, -LN2_LOW_32, a)
    low = fma(k, -LN2_LOW_32, a - r)
    curve = expm1_curve_float32(r, low)
    scale = bitcast(bitcast(shifted, uint32) << 23, float32)
    offset = scale - 0.5
    y = fma(scale, r, offset)
    y = y + fma(scale, curve, fma(scale, r, offset - y) + ((scale - offset) - 0.5))
    return select(fabs(x) < 1e-30, x, y + y)


def expm1_curve_float64(r, low):
    """Return expm1(r) - r + low for |r| <= 0.3468; expm1 has degree 12, relative error 2**-61.6."""
    p = fma(r, 2.0893113222099923e-09, 2.5108688345530878e-08)
    p = fma(r, p, 2.755733165190647e-07)
    p = fma(r, p, 2.7557245156392107e-06)
    p = fma(r, p, 2.4801587277179976e-05)
    p = fma(r, p, 0.00019841269885331565)
    p = fma(r, p, 0.0013888888888894176)
    p = fma(r, p, 0.0083333333333218)
    p = fma(r, p, 0.041666666666666685)
    p = fma(r, p, 0.16666666666666677)
    return fma(0.5 * r, r, fma(r * r, r * p, low))


def expm1_float64(x):
    """Return e**x - 1, accurate near 0.  As in float32."""
    clamped = select(x > 710.0, 710.0, x)
    clamped = select(clamped < -50.0, -50.0, clamped)
    shifted = fma(clamped, LOG2_E, 6755399441055744.0 + 1022.0)
    k = shifted - (6755399441055744.0 + 1022.0)
    a = fma(k, -LN2_HIGH_64, clamped)
    r = fma(k, -LN2_LOW_64, a)
    low = fma(k, -LN2_LOW_64, a - r)
    curve = expm1_curve_float64(r, low)
    scale = bitcast(bitcast(shifted, uint64) << 52, float64)
    offset = scale - 0.5
    y = fma(scale, r, offset)
    y = y + fma(scale, curve, fma(scale, r, offset - y) + ((scale - offset) - 0.5))
    return select(fabs(x) < 1e-30, x, y + y)
