"""sin, cos, tan, sinpi and cospi.

Reduction is to the nearest multiple of pi/2, whose three-part constant makes every product exact with fma (Cody and Waite, 1980;
S. Boldo, M. Daumas and R.-C. Li, Formally verified argument reduction with a fused multiply-add, 2009).  Arguments beyond the constants'
reach take the rare branch to `anygpu.libm.payne_hanek`.  Every lane evaluates the sine and the cosine polynomial and selects one: a
kernel that wants both sin(x) and cos(x) shares everything but the selection.

Polynomials are minimax in relative error (see `anygpu.libm.exponential`).
"""

# mypy: ignore-errors
# (the kernel compiler types these functions, once for each dtype)

from __future__ import annotations

from anygpu.libm.payne_hanek import reduce_huge_float32, reduce_huge_float64
from anygpu.libm.words import bitcast, fabs, float32, float64, floor, fma, select, uint32, uint64

_hex = float.fromhex

_SHIFT_32 = 12582912.0
_SHIFT_64 = 6755399441055744.0
_LIMIT_32 = 131072.0
_LIMIT_64 = 1073741824.0
_TWO_OVER_PI = _hex("0x1.45f306dc9c883p-1")
_HALF_PI_A_32 = _hex("0x1.921fb6p+0")
_HALF_PI_B_32 = _hex("-0x1.777a5cp-25")
_HALF_PI_C_32 = _hex("-0x1.ee59dap-50")
_HALF_PI_A_64 = _hex("0x1.921fb54442d18p+0")
_HALF_PI_B_64 = _hex("0x1.1a62633145c07p-54")
_HALF_PI_C_64 = _hex("-0x1.f1976b7ed8fbcp-110")
_PI_HIGH_32 = _hex("0x1.921fb6p+1")
_PI_LOW_32 = _hex("-0x1.777a5cp-24")
_PI_HIGH_64 = _hex("0x1.921fb54442d18p+1")
_PI_LOW_64 = _hex("0x1.1a62633145c07p-53")
_SIGN_32 = 0x80000000
_SIGN_64 = 0x8000000000000000


def _reduce_float32(x):
    """Return (r, bits) with x = k*pi/2 + r, |r| <= pi/4 and k modulo 4 in the low bits of `bits`."""
    shifted = fma(x, _TWO_OVER_PI, _SHIFT_32)
    k = shifted - _SHIFT_32
    r = fma(k, -_HALF_PI_A_32, x)
    r = fma(k, -_HALF_PI_B_32, r)
    r = fma(k, -_HALF_PI_C_32, r)
    bits = bitcast(shifted, uint32)
    if fabs(x) >= _LIMIT_32:
        r, _, bits = reduce_huge_float32(x)
    return r, bits


def _sin_polynomial_float32(r, z):
    """Return sin(r) for |r| <= 0.7858, z = r*r: degree 7, relative error 2**-27.9."""
    p = fma(z, -0.00019518095, 0.008332188)
    p = fma(z, p, -0.16666655)
    return fma(r * z, p, r)


def _cos_polynomial_float32(z):
    """Return cos(sqrt(z)) for z <= 0.7858**2: degree 8, relative error 2**-33.0."""
    p = fma(z, 2.4432327e-05, -0.001388731)
    p = fma(z, p, 0.041666646)
    p = fma(z, p, -0.5)
    return fma(z, p, 1.0)


def sin_float32(x):
    """Return the sine of x radians."""
    r, bits = _reduce_float32(x)
    z = r * r
    y = select((bits & 1) == 0, _sin_polynomial_float32(r, z), _cos_polynomial_float32(z))
    y = bitcast(bitcast(y, uint32) ^ ((bits >> 1) << 31), float32)
    return select(x == 0.0, x, y)


def cos_float32(x):
    """Return the cosine of x radians."""
    r, bits = _reduce_float32(x)
    z = r * r
    y = select((bits & 1) == 0, _cos_polynomial_float32(z), _sin_polynomial_float32(r, z))
    return bitcast(bitcast(y, uint32) ^ (((bits + 1) >> 1) << 31), float32)


def tan_float32(x):
    """Return the tangent of x radians: tan(r) or, for odd k, -1/tan(r).

    r and tan(r) are kept as unevaluated sums, so that the reciprocal does not double its error.  Degree 15 on |r| <= 0.786, relative error
    2**-29.5.
    """
    shifted = fma(x, _TWO_OVER_PI, _SHIFT_32)
    k = shifted - _SHIFT_32
    a = fma(k, -_HALF_PI_A_32, x)
    w = k * _HALF_PI_B_32
    b = a - w
    # (a - b) - w is exactly the error of b: a is a multiple of the last place of w.
    c = fma(k, -_HALF_PI_C_32, ((a - b) - w) - fma(k, _HALF_PI_B_32, -w))
    r = b + c
    r_low = (b - r) + c
    bits = bitcast(shifted, uint32)
    if fabs(x) >= _LIMIT_32:
        r, r_low, bits = reduce_huge_float32(x)
    z = r * r
    p = fma(z, 0.0043770797, 9.013379e-05)
    p = fma(z, p, 0.010833131)
    p = fma(z, p, 0.021284346)
    p = fma(z, p, 0.054059193)
    p = fma(z, p, 0.13332674)
    p = fma(z, p, 0.3333335)
    curve = fma(r * z, p, r_low)
    t = r + curve
    low = (r - t) + curve
    i = -1.0 / t
    j = fma(i, fma(i, low, fma(i, t, 1.0)), i)
    y = select((bits & 1) == 0, t, j)
    return select(x == 0.0, x, y)


def _sinpi_polynomial_float32(r, z):
    """Return sin(pi*r) for |r| <= 1/4, z = r*r: degree 7 with pi as an unevaluated sum, relative error 2**-27.9."""
    p = fma(z, -0.58927774, 2.5497947)
    p = fma(z, p, -5.167709)
    return fma(r, _PI_HIGH_32, fma(r, _PI_LOW_32, r * z * p))


def _cospi_polynomial_float32(z):
    """Return cos(pi*sqrt(z)) for z <= 1/16: degree 8, relative error 2**-31.1."""
    p = fma(z, 0.22898851, -1.3347582)
    p = fma(z, p, 4.0586967)
    p = fma(z, p, -4.934802)
    return fma(z, p, 1.0)


def _reduce_pi_float32(x):
    """Return (r, bits) with |x| = k/2 + r exactly, |r| <= 1/4 and k modulo 4 in the low bits of `bits`."""
    a = fabs(x)
    a = a - 2.0 * floor(0.5 * a)
    shifted = fma(a, 2.0, _SHIFT_32)
    return fma(shifted - _SHIFT_32, -0.5, a), bitcast(shifted, uint32)


def sinpi_float32(x):
    """Return sin(pi*x), exact where 2*x is an integer; zeros take the sign of x."""
    r, bits = _reduce_pi_float32(x)
    z = r * r
    even = (bits & 1) == 0
    y = select(even, _sinpi_polynomial_float32(r, z), _cospi_polynomial_float32(z))
    flip = select(y == 0.0, uint32(0), (bits >> 1) << 31)
    return bitcast(bitcast(y, uint32) ^ flip ^ (bitcast(x, uint32) & _SIGN_32), float32)


def cospi_float32(x):
    """Return cos(pi*x), exact where 2*x is an integer; zeros are positive."""
    r, bits = _reduce_pi_float32(x)
    z = r * r
    y = select((bits & 1) == 0, _cospi_polynomial_float32(z), _sinpi_polynomial_float32(r, z))
    flip = select(y == 0.0, uint32(0), ((bits + 1) >> 1) << 31)
    return bitcast(bitcast(y, uint32) ^ flip, float32)


def _reduce_float64(x):
    """Return (r, bits) with x = k*pi/2 + r, |r| <= pi/4 and k modulo 4 in the low bits of `bits`."""
    shifted = fma(x, _TWO_OVER_PI, _SHIFT_64)
    k = shifted - _SHIFT_64
    r = fma(k, -_HALF_PI_A_64, x)
    r = fma(k, -_HALF_PI_B_64, r)
    r = fma(k, -_HALF_PI_C_64, r)
    bits = bitcast(shifted, uint64)
    if fabs(x) >= _LIMIT_64:
        r, _, bits = reduce_huge_float64(x)
    return r, bits


def _sin_polynomial_float64(r, z):
    """Return sin(r) for |r| <= 0.7858, z = r*r: degree 13, relative error 2**-57.9."""
    p = fma(z, 1.5895432473527037e-10, -2.505073437913127e-08)
    p = fma(z, p, 2.755731353847451e-06)
    p = fma(z, p, -0.0001984126982935848)
    p = fma(z, p, 0.00833333333332184)
    p = fma(z, p, -0.1666666666666663)
    return fma(r * z, p, r)


def _cos_polynomial_float64(z):
    """Return cos(sqrt(z)) for z <= 0.7858**2: degree 14, relative error 2**-63.9."""
    p = fma(z, -1.1358682171587568e-11, 2.087570425415206e-09)
    p = fma(z, p, -2.7557314209995633e-07)
    p = fma(z, p, 2.480158728898356e-05)
    p = fma(z, p, -0.0013888888888873325)
    p = fma(z, p, 0.041666666666666595)
    p = fma(z, p, -0.5)
    return fma(z, p, 1.0)


def sin_float64(x):
    """Return the sine of x radians."""
    r, bits = _reduce_float64(x)
    z = r * r
    y = select((bits & 1) == 0, _sin_polynomial_float64(r, z), _cos_polynomial_float64(z))
    y = bitcast(bitcast(y, uint64) ^ ((bits >> 1) << 63), float64)
    return select(x == 0.0, x, y)


def cos_float64(x):
    """Return the cosine of x radians."""
    r, bits = _reduce_float64(x)
    z = r * r
    y = select((bits & 1) == 0, _cos_polynomial_float64(z), _sin_polynomial_float64(r, z))
    return bitcast(bitcast(y, uint64) ^ (((bits + 1) >> 1) << 63), float64)


def tan_float64(x):
    """Return the tangent of x radians: tan(r) or, for odd k, -1/tan(r).

    r and tan(r) are kept as unevaluated sums, so that the reciprocal does not double its error.  Degree 29 on |r| <= 0.7855, relative error
    2**-56.2.
    """
    shifted = fma(x, _TWO_OVER_PI, _SHIFT_64)
    k = shifted - _SHIFT_64
    a = fma(k, -_HALF_PI_A_64, x)
    w = k * _HALF_PI_B_64
    b = a - w
    # (a - b) - w is exactly the error of b: a is a multiple of the last place of w.
    c = fma(k, -_HALF_PI_C_64, ((a - b) - w) - fma(k, _HALF_PI_B_64, -w))
    r = b + c
    r_low = (b - r) + c
    bits = bitcast(shifted, uint64)
    if fabs(x) >= _LIMIT_64:
        r, r_low, bits = reduce_huge_float64(x)
    z = r * r
    p = fma(z, 2.087264956293754e-05, -4.4915298148307894e-05)
    p = fma(z, p, 8.952346700859314e-05)
    p = fma(z, p, -2.6462781618687547e-05)
    p = fma(z, p, 0.00013657924191299545)
    p = fma(z, p, 0.00022235413341418778)
    p = fma(z, p, 0.0005950732861034934)
    p = fma(z, p, 0.001454755981725931)
    p = fma(z, p, 0.0035922893980515733)
    p = fma(z, p, 0.008863219129674802)
    p = fma(z, p, 0.021869489611400783)
    p = fma(z, p, 0.05396825392657002)
    p = fma(z, p, 0.13333333333414824)
    p = fma(z, p, 0.33333333333332776)
    curve = fma(r * z, p, r_low)
    t = r + curve
    low = (r - t) + curve
    i = -1.0 / t
    j = fma(i, fma(i, low, fma(i, t, 1.0)), i)
    y = select((bits & 1) == 0, t, j)
    return select(x == 0.0, x, y)


def _sinpi_polynomial_float64(r, z):
    """Return sin(pi*r) for |r| <= 1/4, z = r*r: degree 13 with pi as an unevaluated sum, relative error 2**-57.9."""
    p = fma(z, 0.000461562879049495, -0.007370028549796707)
    p = fma(z, p, 0.08214586977891043)
    p = fma(z, p, -0.5992645289643052)
    p = fma(z, p, 2.5501640398738683)
    p = fma(z, p, -5.167712780049959)
    return fma(r, _PI_HIGH_64, fma(r, _PI_LOW_64, r * z * p))


def _cospi_polynomial_float64(z):
    """Return cos(pi*sqrt(z)) for z <= 1/16: degree 14, relative error 2**-61.5."""
    p = fma(z, -0.00010304552164387922, 0.0019293528466268462)
    p = fma(z, p, -0.025806876105669865)
    p = fma(z, p, 0.23533062979388905)
    p = fma(z, p, -1.335262768843582)
    p = fma(z, p, 4.058712126416667)
    p = fma(z, p, -4.934802200544679)
    return fma(z, p, 1.0)


def _reduce_pi_float64(x):
    """Return (r, bits) with |x| = k/2 + r exactly, |r| <= 1/4 and k modulo 4 in the low bits of `bits`."""
    a = fabs(x)
    a = a - 2.0 * floor(0.5 * a)
    shifted = fma(a, 2.0, _SHIFT_64)
    return fma(shifted - _SHIFT_64, -0.5, a), bitcast(shifted, uint64)


def sinpi_float64(x):
    """Return sin(pi*x), exact where 2*x is an integer; zeros take the sign of x."""
    r, bits = _reduce_pi_float64(x)
    z = r * r
    even = (bits & 1) == 0
    y = select(even, _sinpi_polynomial_float64(r, z), _cospi_polynomial_float64(z))
    flip = select(y == 0.0, uint64(0), (bits >> 1) << 63)
    return bitcast(bitcast(y, uint64) ^ flip ^ (bitcast(x, uint64) & _SIGN_64), float64)


def cospi_float64(x):
    """Return cos(pi*x), exact where 2*x is an integer; zeros are positive."""
    r, bits = _reduce_pi_float64(x)
    z = r * r
    y = select((bits & 1) == 0, _cospi_polynomial_float64(z), _sinpi_polynomial_float64(r, z))
    flip = select(y == 0.0, uint64(0), ((bits + 1) >> 1) << 63)
    return bitcast(bitcast(y, uint64) ^ flip, float64)
