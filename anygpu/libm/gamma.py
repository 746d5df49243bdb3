"""gamma and lgamma.

For |x| below 12 (8 in float32) the recurrence gamma(x+1) = x*gamma(x) brings the argument into [1, 2], where a polynomial serves; the
product is kept as an unevaluated sum of two floats.  Above, Stirling's series ln gamma(x) = (x - 1/2)*(ln(x) - 1) + (ln(2*pi) - 1)/2 +
mu(x), again in two floats; below, the reflection gamma(x)*gamma(-x) = -pi / (x*sin(pi*x)) (NIST Digital Library of Mathematical
Functions, sections 5.5 and 5.11).
"""

# mypy: ignore-errors
# (the kernel compiler types these functions, once for each dtype)

from __future__ import annotations

from anygpu.libm.exponential import exp_parts_float32, exp_parts_float64, scale_float32, scale_float64
from anygpu.libm.power import log2_pair_float32, log2_pair_float64
from anygpu.libm.trigonometric import sinpi_float32, sinpi_float64
from anygpu.libm.words import copysign, fabs, float32, float64, floor, fma, select

_hex = float.fromhex
_INF = float("inf")
_NAN = float("nan")
_PI = _hex("0x1.921fb54442d18p+1")
_LN2_HIGH_32 = _hex("0x1.62e430p-1")
_LN2_LOW_32 = _hex("-0x1.05c610p-29")
_LN2_HIGH_64 = _hex("0x1.62e42fefa39efp-1")
_LN2_LOW_64 = _hex("0x1.abc9e3b39803fp-56")
_PI_HIGH_32 = _hex("0x1.921fb6p+1")
_PI_LOW_32 = _hex("-0x1.777a5cp-24")
_PI_HIGH_64 = _hex("0x1.921fb54442d18p+1")
_PI_LOW_64 = _hex("0x1.1a62633145c07p-53")
# (ln(2*pi) - 1) / 2
_STIRLING_32 = 0.4189385332046727
_STIRLING_64 = 0.4189385332046727


def _ln_pair_float32(x):
    """Return ln(x) as an unevaluated sum, for positive finite x."""
    high, low = log2_pair_float32(x)
    y = high * _LN2_HIGH_32
    y_low = fma(high, _LN2_HIGH_32, -y) + fma(high, _LN2_LOW_32, low * _LN2_HIGH_32)
    total = y + y_low
    return total, (y - total) + y_low


def _stirling_float32(x):
    """Return ln(gamma(x)) as an unevaluated sum, for x >= 8.0; mu(x) = p(1/x**2)/x, relative error of mu 2**-25.0."""
    y = 1.0 / x
    z = y * y
    p = fma(z, 0.00086131075, -0.0027789774)
    p = fma(z, p, 0.083333336)
    high, low = _ln_pair_float32(x)
    log = high - 1.0
    log_low = ((high - log) - 1.0) + low
    factor = x - 0.5
    factor_low = (x - factor) - 0.5
    a = factor * log
    a_low = fma(factor, log, -a) + fma(factor, log_low, factor_low * log)
    tail = fma(p, y, _STIRLING_32)
    total = a + tail
    return total, ((a - total) + tail) + a_low


def _shift_float32(x):
    """Return (u, u_low, high, low, down): gamma(x) = gamma(u + u_low) times or over (high + low), u in [1, 2], for |x| < 8.0.

    The product stands in the numerator where `down` holds (x above 2).
    """
    u = x
    u_low = x - x
    high = u_low + 1.0
    low = u_low
    down = x > 2.0
    while (u < 1.0) or (u > 2.0):
        rising = u < 1.0
        next_u = select(rising, u + 1.0, u - 1.0)
        next_low = select(rising, select(fabs(u) < 1.0, (1.0 - next_u) + u, 0.0), 0.0) + u_low
        factor = select(rising, u, next_u)
        factor_low = select(rising, u_low, next_low)
        product = high * factor
        low = fma(high, factor, -product) + fma(low, factor, high * factor_low)
        high = product + low
        low = (product - high) + low
        u = next_u
        u_low = next_low
    return u, u_low, high, low, down


def gamma_float32(x):
    """Return the gamma function: exact at small positive integers, inf at 0 with the sign of x, NaN at negative integers and -inf."""
    a = fabs(x)
    far = a >= 8.0
    u, u_low, high, low, down = _shift_float32(select(far or (x != x), 1.0, x))
    v = (u - 1.5) + u_low
    p = fma(v, 0.016192725, -0.023871375)
    p = fma(v, p, 0.02443698)
    p = fma(v, p, -0.036198474)
    p = fma(v, p, 0.058802944)
    p = fma(v, p, -0.07772959)
    p = fma(v, p, 0.14463304)
    p = fma(v, p, -0.107285306)
    p = fma(v, p, 0.41481376)
    p = fma(v, p, 0.032338277)
    p = fma(v, p, 0.011226924)
    g = p + 0.875
    g_low = (0.875 - g) + p
    product = g * high
    product = product + (fma(g, high, -product) + fma(g, low, g_low * high))
    quotient = g / high
    quotient = quotient + (fma(-quotient, high, g) + fma(-quotient, low, g_low)) / high
    quotient = select(a < 1e-30, 1.0 / x, quotient)
    y = select(down, product, quotient)
    # Beyond: exp of Stirling's series; a negative x uses the series of -x with its sign changed.
    b = select(a > 50.0, 50.0, select(far, a, 8.0))
    s, s_low = _stirling_float32(b)
    negative = x < 0.0
    # A negative x divides -pi/(a*sin(pi*a)) by gamma(a).
    e, e_low, shifted = exp_parts_float32(select(negative, -s, s), select(negative, -s_low, s_low))
    sine = select(far and negative, sinpi_float32(a), 1.0)
    d = a * sine
    v = -_PI_HIGH_32 / d
    v_low = (fma(-v, d, -_PI_HIGH_32) - fma(v, fma(a, sine, -d), _PI_LOW_32)) / d
    v = select(negative, v, 1.0)
    product = v * e
    product = product + fma(v, e_low, fma(v, e, -product) + select(negative, v_low * e, 0.0))
    y = select(far, scale_float32(product, shifted), y)
    y = select(negative and (floor(x) == x), _NAN, y)
    y = select(x == _INF, x, y)
    y = select(x == 0.0, copysign(float32(_INF), x), y)
    return select(x != x, x, y)


def lgamma_float32(x):
    """Return the logarithm of the magnitude of the gamma function; inf at 0, at negative integers and at both infinities.

    Near the zeros between negative integers the error is small in absolute terms, not relative to the result.
    """
    a = fabs(x)
    far = a >= 8.0
    tiny = a < 1e-30
    u, u_low, high, low, down = _shift_float32(select(far or tiny or (x != x), 1.0, x))
    v = (u - 1.5) + u_low
    p = fma(v, 0.0014043901, -0.0015692179)
    p = fma(v, p, 0.0015852976)
    p = fma(v, p, -0.003091824)
    p = fma(v, p, 0.0055097416)
    p = fma(v, p, -0.009441318)
    p = fma(v, p, 0.016792286)
    p = fma(v, p, -0.03130758)
    p = fma(v, p, 0.06291152)
    p = fma(v, p, -0.14595991)
    p = fma(v, p, -0.01687105)
    first = (u - 1.0) + u_low
    second = (u - 2.0) + u_low
    c = first * second
    g = p + 0.5
    l = c * g
    l_low = fma(c, g, -l) + fma(c, (0.5 - g) + p, fma(first, second, -c) * g)
    l = l + 0.0  # a zero is positive
    log, log_low = _ln_pair_float32(select(tiny, a, fabs(high)))
    log_low = log_low + select(tiny, 0.0, low / high)
    sign = select(down, float32(1.0), -1.0)
    y = sign * log
    total = y + l
    low = select(fabs(y) > fabs(l), (y - total) + l, (l - total) + y) + fma(sign, log_low, l_low)
    y = total + low
    y = select(u == x, l + l_low, y)
    s, s_low = _stirling_float32(select(far and (a < _INF), a, 8.0))
    s = select(s < _INF, s + s_low, s)
    negative = x < 0.0
    r, r_low = _ln_pair_float32(_PI / fabs(select(negative and far and (a < 8388608.0), a * sinpi_float32(a), 1.0)))
    y = select(far, select(negative, (r - s) + r_low, s), y)
    y = select((a == _INF) or (x == 0.0) or (negative and (floor(x) == x)), _INF, y)
    return select(x != x, x, y)


def _ln_pair_float64(x):
    """Return ln(x) as an unevaluated sum, for positive finite x."""
    high, low = log2_pair_float64(x)
    y = high * _LN2_HIGH_64
    y_low = fma(high, _LN2_HIGH_64, -y) + fma(high, _LN2_LOW_64, low * _LN2_HIGH_64)
    total = y + y_low
    return total, (y - total) + y_low


def _stirling_float64(x):
    """Return ln(gamma(x)) as an unevaluated sum, for x >= 12.0; mu(x) = p(1/x**2)/x, relative error of mu 2**-54.0."""
    y = 1.0 / x
    z = y * y
    p = fma(z, -0.0016466023280006993, 0.0008382858334897098)
    p = fma(z, p, -0.0005952195915904983)
    p = fma(z, p, 0.0007936507511385775)
    p = fma(z, p, -0.002777777777742883)
    p = fma(z, p, 0.08333333333333333)
    high, low = _ln_pair_float64(x)
    log = high - 1.0
    log_low = ((high - log) - 1.0) + low
    factor = x - 0.5
    factor_low = (x - factor) - 0.5
    a = factor * log
    a_low = fma(factor, log, -a) + fma(factor, log_low, factor_low * log)
    tail = fma(p, y, _STIRLING_64)
    total = a + tail
    return total, ((a - total) + tail) + a_low


def _shift_float64(x):
    """Return (u, u_low, high, low, down): gamma(x) = gamma(u + u_low) times or over (high + low), u in [1, 2], for |x| < 12.0.

    The product stands in the numerator where `down` holds (x above 2).
    """
    u = x
    u_low = x - x
    high = u_low + 1.0
    low = u_low
    down = x > 2.0
    while (u < 1.0) or (u > 2.0):
        rising = u < 1.0
        next_u = select(rising, u + 1.0, u - 1.0)
        next_low = select(rising, select(fabs(u) < 1.0, (1.0 - next_u) + u, 0.0), 0.0) + u_low
        factor = select(rising, u, next_u)
        factor_low = select(rising, u_low, next_low)
        product = high * factor
        low = fma(high, factor, -product) + fma(low, factor, high * factor_low)
        high = product + low
        low = (product - high) + low
        u = next_u
        u_low = next_low
    return u, u_low, high, low, down


def gamma_float64(x):
    """Return the gamma function: exact at small positive integers, inf at 0 with the sign of x, NaN at negative integers and -inf."""
    a = fabs(x)
    far = a >= 12.0
    u, u_low, high, low, down = _shift_float64(select(far or (x != x), 1.0, x))
    v = (u - 1.5) + u_low
    p = fma(v, 0.00018537583858598442, -0.0002601966635406903)
    p = fma(v, p, 0.00012463407267530822)
    p = fma(v, p, -0.00021199364704567854)
    p = fma(v, p, 0.00048345804507334147)
    p = fma(v, p, -0.0007099894385045462)
    p = fma(v, p, 0.0010061752257707786)
    p = fma(v, p, -0.0015142854385038606)
    p = fma(v, p, 0.0022840936067841013)
    p = fma(v, p, -0.0034239538733488177)
    p = fma(v, p, 0.005131468411508904)
    p = fma(v, p, -0.007690099511884857)
    p = fma(v, p, 0.011522528835025673)
    p = fma(v, p, -0.017222450072324386)
    p = fma(v, p, 0.025837605800122065)
    p = fma(v, p, -0.0380019352906244)
    p = fma(v, p, 0.05861030383606507)
    p = fma(v, p, -0.07752305230542846)
    p = fma(v, p, 0.14464535904434053)
    p = fma(v, p, -0.10729480456471793)
    p = fma(v, p, 0.4148134536883028)
    p = fma(v, p, 0.03233839744888486)
    p = fma(v, p, 0.011226925452758012)
    g = p + 0.875
    g_low = (0.875 - g) + p
    product = g * high
    product = product + (fma(g, high, -product) + fma(g, low, g_low * high))
    quotient = g / high
    quotient = quotient + (fma(-quotient, high, g) + fma(-quotient, low, g_low)) / high
    quotient = select(a < 1e-290, 1.0 / x, quotient)
    y = select(down, product, quotient)
    # Beyond: exp of Stirling's series; a negative x uses the series of -x with its sign changed.
    b = select(a > 200.0, 200.0, select(far, a, 12.0))
    s, s_low = _stirling_float64(b)
    negative = x < 0.0
    # A negative x divides -pi/(a*sin(pi*a)) by gamma(a).
    e, e_low, shifted = exp_parts_float64(select(negative, -s, s), select(negative, -s_low, s_low))
    sine = select(far and negative, sinpi_float64(a), 1.0)
    d = a * sine
    v = -_PI_HIGH_64 / d
    v_low = (fma(-v, d, -_PI_HIGH_64) - fma(v, fma(a, sine, -d), _PI_LOW_64)) / d
    v = select(negative, v, 1.0)
    product = v * e
    product = product + fma(v, e_low, fma(v, e, -product) + select(negative, v_low * e, 0.0))
    y = select(far, scale_float64(product, shifted), y)
    y = select(negative and (floor(x) == x), _NAN, y)
    y = select(x == _INF, x, y)
    y = select(x == 0.0, copysign(float64(_INF), x), y)
    return select(x != x, x, y)


def lgamma_float64(x):
    """Return the logarithm of the magnitude of the gamma function; inf at 0, at negative integers and at both infinities.

    Near the zeros between negative integers the error is small in absolute terms, not relative to the result.
    """
    a = fabs(x)
    far = a >= 12.0
    tiny = a < 1e-290
    u, u_low, high, low, down = _shift_float64(select(far or tiny or (x != x), 1.0, x))
    v = (u - 1.5) + u_low
    p = fma(v, 4.850243472748554e-07, -7.601852312905057e-06)
    p = fma(v, p, 1.1540471216820996e-05)
    p = fma(v, p, -8.561899948044905e-06)
    p = fma(v, p, 1.349575704140021e-05)
    p = fma(v, p, -2.7087282664243808e-05)
    p = fma(v, p, 4.294156273736495e-05)
    p = fma(v, p, -6.61763787171909e-05)
    p = fma(v, p, 0.00010536884045655182)
    p = fma(v, p, -0.0001689113375255835)
    p = fma(v, p, 0.0002713125420562021)
    p = fma(v, p, -0.0004379938202233836)
    p = fma(v, p, 0.0007115191088550897)
    p = fma(v, p, -0.001164414532147993)
    p = fma(v, p, 0.001922916314230981)
    p = fma(v, p, -0.0032120740758841276)
    p = fma(v, p, 0.005446457838955499)
    p = fma(v, p, -0.009425622448478443)
    p = fma(v, p, 0.016797098631279084)
    p = fma(v, p, -0.0313084875010111)
    p = fma(v, p, 0.06291140107456435)
    p = fma(v, p, -0.14595989591430608)
    p = fma(v, p, -0.01687104945901911)
    first = (u - 1.0) + u_low
    second = (u - 2.0) + u_low
    c = first * second
    g = p + 0.5
    l = c * g
    l_low = fma(c, g, -l) + fma(c, (0.5 - g) + p, fma(first, second, -c) * g)
    l = l + 0.0  # a zero is positive
    log, log_low = _ln_pair_float64(select(tiny, a, fabs(high)))
    log_low = log_low + select(tiny, 0.0, low / high)
    sign = select(down, float64(1.0), -1.0)
    y = sign * log
    total = y + l
    low = select(fabs(y) > fabs(l), (y - total) + l, (l - total) + y) + fma(sign, log_low, l_low)
    y = total + low
    y = select(u == x, l + l_low, y)
    s, s_low = _stirling_float64(select(far and (a < _INF), a, 12.0))
    s = select(s < _INF, s + s_low, s)
    negative = x < 0.0
    r, r_low = _ln_pair_float64(_PI / fabs(select(negative and far and (a < 4503599627370496.0), a * sinpi_float64(a), 1.0)))
    y = select(far, select(negative, (r - s) + r_low, s), y)
    y = select((a == _INF) or (x == 0.0) or (negative and (floor(x) == x)), _INF, y)
    return select(x != x, x, y)
