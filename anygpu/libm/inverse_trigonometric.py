"""asin, acos, atan and atan2.

asin and acos use asin(x) = pi/2 - 2*asin(sqrt((1-x)/2)) beyond 1/2; atan folds |x| > 1 by the reciprocal (float32) or also by
atan(x) = pi/4 + atan((x-1)/(x+1)) (float64), so that one odd polynomial remains (Cody and Waite, 1980).  The constant and the polynomial's
leading term are added exactly or nearly so, everything else in one correction.

Polynomials are minimax in relative error (see `anygpu.libm.exponential`).
"""

# mypy: ignore-errors
# (the kernel compiler types these functions, once for each dtype)

from __future__ import annotations

from anygpu.libm.words import bitcast, copysign, fabs, float32, float64, fma, select, sqrt, uint32, uint64

_hex = float.fromhex
_INF = float("inf")
_PI_HIGH_32 = _hex("0x1.921fb6p+1")
_PI_LOW_32 = _hex("-0x1.777a5cp-24")
_PI_HIGH_64 = _hex("0x1.921fb54442d18p+1")
_PI_LOW_64 = _hex("0x1.1a62633145c07p-53")


def _asin_tail_float32(z):
    """Return asin(s)/s - 1 divided by z = s*s, for 0 <= s <= 0.5: degree 11 in s, relative error of asin 2**-27.6."""
    p = fma(z, 0.042158395, 0.024184741)
    p = fma(z, p, 0.045469154)
    p = fma(z, p, 0.074953094)
    p = fma(z, p, 0.16666752)
    return p


def _asin_tail_float64(z):
    """Return asin(s)/s - 1 divided by z = s*s, for 0 <= s <= 0.5: degree 27 in s, relative error of asin 2**-59.9."""
    p = fma(z, 0.032626492426402656, -0.02099548671913874)
    p = fma(z, p, 0.021704784151296043)
    p = fma(z, p, 0.0037075683860109915)
    p = fma(z, p, 0.010779925376027951)
    p = fma(z, p, 0.011398975018771238)
    p = fma(z, p, 0.013980812213385341)
    p = fma(z, p, 0.017351612778977572)
    p = fma(z, p, 0.02237221493984651)
    p = fma(z, p, 0.03038194270973816)
    p = fma(z, p, 0.04464285717456311)
    p = fma(z, p, 0.07499999999970865)
    p = fma(z, p, 0.1666666666666676)
    return p

def asin_float32(x):
    """Return the angle whose sine is x, in [-pi/2, pi/2]; NaN beyond [-1, 1]."""
    a = fabs(x)
    fold = a > 0.5
    z = select(fold, fma(a, -0.5, 0.5), a * a)
    v = select(fold, -2.0 * sqrt(z), a)
    base = select(fold, float32(0.5 * _PI_HIGH_32), 0.0)
    correction = fma(v * z, _asin_tail_float32(z), select(fold, float32(0.5 * _PI_LOW_32), 0.0))
    y = base + v
    y = y + (((base - y) + v) + correction)
    return copysign(y, x)


def acos_float32(x):
    """Return the angle whose cosine is x, in [0, pi]; NaN beyond [-1, 1]."""
    a = fabs(x)
    fold = a > 0.5
    z = select(fold, fma(a, -0.5, 0.5), x * x)
    root = sqrt(z)
    v = select(fold, select(x > 0.0, -2.0, float32(2.0)) * root, x)
    turns = select(fold, select(x > 0.0, float32(0.0), 1.0), 0.5)
    correction = fma(v * z, _asin_tail_float32(z), turns * -_PI_LOW_32)
    return fma(turns, _PI_HIGH_32, -v) - correction


def asin_float64(x):
    """Return the angle whose sine is x, in [-pi/2, pi/2]; NaN beyond [-1, 1]."""
    a = fabs(x)
    fold = a > 0.5
    z = select(fold, fma(a, -0.5, 0.5), a * a)
    v = select(fold, -2.0 * sqrt(z), a)
    base = select(fold, float64(0.5 * _PI_HIGH_64), 0.0)
    correction = fma(v * z, _asin_tail_float64(z), select(fold, float64(0.5 * _PI_LOW_64), 0.0))
    y = base + v
    y = y + (((base - y) + v) + correction)
    return copysign(y, x)


def acos_float64(x):
    """Return the angle whose cosine is x, in [0, pi]; NaN beyond [-1, 1]."""
    a = fabs(x)
    fold = a > 0.5
    z = select(fold, fma(a, -0.5, 0.5), x * x)
    root = sqrt(z)
    v = select(fold, select(x > 0.0, -2.0, float64(2.0)) * root, x)
    turns = select(fold, select(x > 0.0, float64(0.0), 1.0), 0.5)
    correction = fma(v * z, _asin_tail_float64(z), turns * -_PI_LOW_64)
    return fma(turns, _PI_HIGH_64, -v) - correction


def _atan_tail_float32(z):
    """Return atan(t)/t - 1 divided by z = t*t, for 0 <= t <= 1: degree 19 in t, relative error of atan 2**-28.5."""
    p = fma(z, -0.0017827329, 0.010868449)
    p = fma(z, p, -0.031096755)
    p = fma(z, p, 0.057881292)
    p = fma(z, p, -0.08399305)
    p = fma(z, p, 0.109508805)
    p = fma(z, p, -0.14264016)
    p = fma(z, p, 0.1999853)
    p = fma(z, p, -0.333333)
    return p


def atan_float32(x):
    """Return the angle whose tangent is x, in [-pi/2, pi/2]."""
    a = fabs(x)
    fold = a > 1.0
    t = select(fold, -1.0 / a, a)
    z = t * t
    correction = fma(t * z, _atan_tail_float32(z), select(fold, float32(0.5 * _PI_LOW_32), 0.0))
    y = (select(fold, float32(0.5 * _PI_HIGH_32), 0.0) + t) + correction
    return copysign(y, x)


def atan2_float32(y, x):
    """Return the angle of the point (x, y), in [-pi, pi], with every special case of C99 Annex F.9.1.4."""
    a = fabs(x)
    b = fabs(y)
    fold = b > a
    numerator = select(fold, a, b)
    denominator = select(fold, b, a)
    q = numerator / select(denominator == 0.0, 1.0, denominator)
    q = select(numerator == _INF, 1.0, q)
    left = bitcast(x, uint32) >= 0x80000000
    t = select(left != fold, -q, q)
    # The multiple of pi/2 that the octants to the right, above and to the left start from.
    turns = select(fold, float32(0.5), select(left, float32(1.0), 0.0))
    z = t * t
    correction = fma(t * z, _atan_tail_float32(z), turns * _PI_LOW_32)
    angle = fma(turns, _PI_HIGH_32, t) + correction
    angle = select((x != x) or (y != y), x + y, angle)
    return copysign(angle, y)


def _atan_tail_float64(z):
    """Return atan(t)/t - 1 divided by z = t*t, for 0 <= t <= tan(pi/8): degree 23 in t, relative error of atan 2**-59.4."""
    p = fma(z, -0.017906158817684547, 0.03806350152323201)
    p = fma(z, p, -0.0503925955056534)
    p = fma(z, p, 0.05847878686168105)
    p = fma(z, p, -0.0666310254598649)
    p = fma(z, p, 0.07692060084740589)
    p = fma(z, p, -0.09090897751160834)
    p = fma(z, p, 0.11111110783300213)
    p = fma(z, p, -0.14285714280196418)
    p = fma(z, p, 0.19999999999953652)
    p = fma(z, p, -0.333333333333332)
    return p


def _atan_quotient_float64(n, d, d_low, turns):
    """Return turns*pi + atan(n / (d + d_low)) for a quotient of at most tan(pi/8) in magnitude and turns a multiple of 1/4."""
    inverse = 1.0 / d
    t = n * inverse
    t_low = fma(-t, d_low, fma(-t, d, n)) * inverse
    z = t * t
    high = turns * _PI_HIGH_64
    low = fma(turns, _PI_LOW_64, fma(turns, _PI_HIGH_64, -high))
    s = high + t
    s_low = (high - s) + t
    return s + (fma(t * z, _atan_tail_float64(z), t_low + low) + s_low)


def atan_float64(x):
    """Return the angle whose tangent is x, in [-pi/2, pi/2]."""
    a = fabs(x)
    a = select(a > 1e300, 1e300, a)
    steep = a > 2.414213562373095
    middle = (a > 0.41421356237309503) and (not steep)
    n = select(steep, -1.0, select(middle, a - 1.0, a))
    d = select(steep, a, select(middle, a + 1.0, 1.0))
    d_low = select(middle, select(a > 1.0, (a - d) + 1.0, (1.0 - d) + a), 0.0)
    y = _atan_quotient_float64(n, d, d_low, select(steep, float64(0.5), select(middle, float64(0.25), 0.0)))
    return select(fabs(x) < 1e-10, x, copysign(y, x))


def atan2_float64(y, x):
    """Return the angle of the point (x, y), in [-pi, pi], with every special case of C99 Annex F.9.1.4."""
    a = fabs(x)
    b = fabs(y)
    a_inf = a == _INF
    b_inf = b == _INF
    both = a_inf and b_inf
    fold = b > a
    small = select(fold, a, b)
    large = select(fold, b, a)
    scale = select(large > 1e290, float64(7.888609052210118e-31), select(large < 1e-280, float64(1.2676506002282294e30), 1.0))
    zero = (large == 0.0) or (a_inf != b_inf)
    small = select(zero, 0.0, select(both, 1.0, small * scale))
    large = select(zero or both, 1.0, large * scale)
    middle = small > 0.41421356237309503 * large
    n = select(middle, small - large, small)
    d = select(middle, small + large, large)
    d_low = select(middle, (large - d) + small, 0.0)
    left = bitcast(x, uint64) >= 0x8000000000000000
    octant = select(middle, float64(0.25), 0.0)
    octant = select(fold, 0.5 - octant, octant)
    octant = select(left, 1.0 - octant, octant)
    n = select(left != fold, -n, n)
    # A quotient that may be subnormal is divided once, since the pair's arithmetic would lose bits.
    tiny = (not middle) and (small < 1e-200 * large)
    angle = _atan_quotient_float64(select(tiny, 0.0, n), d, d_low, octant)
    angle = select(tiny and (octant == 0.0), small / large, angle)
    angle = select((x != x) or (y != y), x + y, angle)
    return copysign(angle, y)
