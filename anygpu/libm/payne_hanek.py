"""Reduction of huge arguments modulo pi/2, for the trigonometric functions.

M. H. Payne and R. N. Hanek, Radian reduction for trigonometric functions, SIGNUM Newsletter 18, 1983.  The argument is an integer of 24 or
53 bits times 2**e; only a window of the bits of 1/(2*pi) matters, since the bits above it contribute whole turns and those below nothing.
The product with the window, modulo 2**64 (2**128), *is* the fraction of a turn as a fixed-point number.
"""

# mypy: ignore-errors
# (the kernel compiler types these functions, once for each dtype)

from __future__ import annotations

from anygpu.libm.words import bitcast, fabs, float32, float64, fma, int64, select, uint32, uint64

# One zero word, then the bits of 1/(2*pi) after the point, 32 in each word.
_TURNS = (
    0x00000000, 0x28BE60DB, 0x9391054A, 0x7F09D5F4, 0x7D4D3770, 0x36D8A566, 0x4F10E410, 0x7F9458EA, 0xF7AEF158, 0x6DC91B8E,
    0x909374B8, 0x01924BBA, 0x82746487, 0x3F877AC7, 0x2C4A69CF, 0xBA208D7D, 0x4BAED121, 0x3A671C09, 0xAD17DF90, 0x4E64758E,
    0x60D4CE7D, 0x272117E2, 0xEF7E4A0E, 0xC7FE25FF, 0xF7816603, 0xFBCBC462, 0xD6829B47, 0xDB4D9FB3, 0xC9F2C26D, 0xD3D18FD9,
    0xA797FA8B, 0x5D49EEB1, 0xFAF97C5E, 0xCF41CE7D, 0xE294A4BA, 0x9AFED7EC, 0x47E35742, 0x1580CC11, 0xBF1EDAEA, 0xFC33EF08,
    0x26BD0D87,
)
_QUARTER = 8.515303950216386e-20  # pi/2 * 2**-64
_QUARTER_LOW = 3.319411800407449e-36
_NAN = float("nan")


def reduce_huge_float32(x):
    """Return (r, r_low, k) with x = k*pi/2 + r + r_low, |r| <= pi/4 and k modulo 4, for finite |x| >= 2**16; r is NaN for an infinite x."""
    bits = bitcast(fabs(x), uint32)
    mantissa = uint64((bits & 0x7FFFFF) | 0x800000)
    # a = mantissa * 2**e.  The window starts after the first e bits of 1/(2*pi), and after the zero word.
    start = int64(bits >> 23) - 118
    index = start >> 5
    shift = uint64(start & 31)
    w0 = uint64(_TURNS[index])
    w1 = uint64(_TURNS[index + 1])
    w2 = uint64(_TURNS[index + 2])
    w3 = uint64(_TURNS[index + 3])
    v0 = (((w0 << 32) | w1) << shift) >> 32
    v1 = (((w1 << 32) | w2) << shift) >> 32
    v2 = (((w2 << 32) | w3) << shift) >> 32
    turn = ((mantissa * v0) << 32) + mantissa * v1 + ((mantissa * v2) >> 32)
    k = uint32((turn + 0x2000000000000000) >> 62)
    wide = float64(bitcast(turn << 2, int64)) * select(x < 0.0, float64(-_QUARTER), _QUARTER)
    r = float32(wide)
    r_low = float32(wide - float64(r))
    r = select(bits >= 0x7F800000, _NAN, r)
    return r, r_low, select(x < 0.0, 0 - k, k)


def reduce_huge_float64(x):
    """Return (r, r_low, k) with x = k*pi/2 + r + r_low, |r| <= pi/4 and k modulo 4, for finite |x| >= 2**16; r is NaN for an infinite x."""
    bits = bitcast(fabs(x), uint64)
    m0 = bits & 0xFFFFFFFF
    m1 = ((bits >> 32) & 0xFFFFF) | 0x100000
    start = int64(bits >> 52) - 1043
    index = start >> 5
    shift = uint64(start & 31)
    w0 = uint64(_TURNS[index])
    w1 = uint64(_TURNS[index + 1])
    w2 = uint64(_TURNS[index + 2])
    w3 = uint64(_TURNS[index + 3])
    w4 = uint64(_TURNS[index + 4])
    w5 = uint64(_TURNS[index + 5])
    w6 = uint64(_TURNS[index + 6])
    v0 = (((w0 << 32) | w1) << shift) >> 32
    v1 = (((w1 << 32) | w2) << shift) >> 32
    v2 = (((w2 << 32) | w3) << shift) >> 32
    v3 = (((w3 << 32) | w4) << shift) >> 32
    v4 = (((w4 << 32) | w5) << shift) >> 32
    v5 = (((w5 << 32) | w6) << shift) >> 32
    # (m1 * 2**32 + m0) * v0..v5, from the lowest word kept (weight 2**-192) upwards, each column with its carry.
    low = (m0 * v5) >> 32
    p = m1 * v5
    q = m0 * v4
    column = low + (p & 0xFFFFFFFF) + (q & 0xFFFFFFFF)
    carry = (column >> 32) + (p >> 32) + (q >> 32)
    p = m1 * v4
    q = m0 * v3
    column = carry + (p & 0xFFFFFFFF) + (q & 0xFFFFFFFF)
    t3 = column & 0xFFFFFFFF
    carry = (column >> 32) + (p >> 32) + (q >> 32)
    p = m1 * v3
    q = m0 * v2
    column = carry + (p & 0xFFFFFFFF) + (q & 0xFFFFFFFF)
    t2 = column & 0xFFFFFFFF
    carry = (column >> 32) + (p >> 32) + (q >> 32)
    p = m1 * v2
    q = m0 * v1
    column = carry + (p & 0xFFFFFFFF) + (q & 0xFFFFFFFF)
    t1 = column & 0xFFFFFFFF
    t0 = (column >> 32) + (p >> 32) + (q >> 32) + m1 * v1 + m0 * v0
    upper = (t0 << 32) | t1
    below = (t2 << 32) | t3
    k = (upper + 0x2000000000000000) >> 62
    # Fixed point to an unevaluated sum of floats, times pi/2 * 2**-64 as another; |r| <= pi/4, so the conversions cannot saturate.
    rest = bitcast((upper << 2) | (below >> 62), int64)
    f = float64(rest)
    g = float64(rest - int64(f)) + float64((below << 2) >> 11) * 1.1102230246251565e-16
    high = f * _QUARTER
    rest_low = fma(f, _QUARTER, -high) + fma(f, _QUARTER_LOW, g * _QUARTER)
    r = high + rest_low
    r_low = (high - r) + rest_low
    r = select(bits >= 0x7FF0000000000000, _NAN, r)
    negative = x < 0.0
    return select(negative, -r, r), select(negative, -r_low, r_low), select(negative, 0 - k, k)
