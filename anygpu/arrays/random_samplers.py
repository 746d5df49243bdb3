"""Distributions drawn by rejection or search, in the kernel language: ``sample(place, parameters, real)`` is one element.

A trial takes the next block of the element's place, so how often others reject changes nothing. Integers are computed in float64.
"""

# mypy: ignore-errors
# (the kernel compiler types these functions, once for each dtype)

from __future__ import annotations

import math

import numpy as np

from anygpu.arrays.random_kernels import (
    below_64,
    joined,
    normal_float32,
    place_at,
    positive_float32,
    positive_float64,
    unit_float64,
    words,
)
from anygpu.engine.launch import func, kernel
from anygpu.frontend.vocabulary import cospi, grid

SECOND = np.uint32(1 << 31)  # the first block of an element's second variable
MOST = np.int64((1 << 63) - 1)


_LOG_FACTORIALS = tuple(math.lgamma(k + 1.0) for k in range(10))


@func
def _log_factorial(k):
    """ln k! of a float64 that counts: Stirling's series from 10 on."""
    x = max(k, 9.0) + 1.0
    y = 1.0 / x
    z = y * y
    series = y * (0.08333333333333333 - z * (0.002777777777777778 - z * (0.0007936507936507937 - z * 0.0005952380952380953)))
    large = (x - 0.5) * math.log(x) - x + 0.9189385332046728 + series
    return large if k >= 10.0 else _LOG_FACTORIALS[np.int32(max(min(k, 9.0), 0.0))]


@func
def _trial(w, real):
    """A standard normal number and a logarithm of a uniform one, of a block's words."""
    if real is np.float32:
        return normal_float32(w[0], w[1])[0], math.log(positive_float32(w[2]))
    # the turn has 32 bits here: the radius alone reaches the tails
    radius = math.sqrt(-2.0 * math.log(positive_float64(w[0], w[1])))
    return radius * cospi(np.float64(w[2]) * 2.0**-31), math.log((np.float64(w[3]) + 0.5) * 2.0**-32)


@func
def _log_uniform(w, real):
    if real is np.float32:
        return math.log(positive_float32(w[0]))
    return math.log(positive_float64(w[0], w[1]))


@func
def _gamma_parts(place, first, shape, real):
    """A gamma number of a shape of at least 1, and the next block (G. Marsaglia, W. Tsang, "A simple method for generating gamma
    variables", 2000)."""
    d = shape - real(1.0 / 3.0)
    c = 1.0 / math.sqrt(9.0 * d)
    t = first
    v = real(1.0)
    drawing = True
    while drawing:
        x, log_u = _trial(words(place, t), real)
        t += np.uint32(1)
        root = 1.0 + c * x
        if root > 0.0:
            v = root * root * root
            half = 0.5 * x * x
            drawing = log_u >= half + d - d * v + d * math.log(v)
        if not shape < real(math.inf):  # of infinity and NaN nothing is ever accepted
            v = real(1.0)
            drawing = False
    return d * v, t


@func
def gamma(place, p, real):
    """Shape and scale."""
    shape, scale = real(p[0]), real(p[1])
    g, t = _gamma_parts(place, np.uint32(0), shape if not shape < 1.0 else shape + real(1.0), real)
    if shape < 1.0:
        g *= math.exp(_log_uniform(words(place, t), real) / shape)
        if shape == 0.0:
            g = real(0.0)
    return scale * g


@func
def _log_gamma(place, first, shape, real):
    g, t = _gamma_parts(place, first, shape if shape >= 1.0 else shape + real(1.0), real)
    found = math.log(g)
    if shape < 1.0:
        found += _log_uniform(words(place, t), real) / shape
    return found


@func
def log_gamma(place, p, real):
    """The logarithm of a gamma number of a shape, which does not underflow."""
    return _log_gamma(place, np.uint32(0), real(p[0]), real)


@func
def beta(place, p, real):
    """The share of the first of two gamma numbers."""
    x = _log_gamma(place, np.uint32(0), real(p[0]), real)
    y = _log_gamma(place, SECOND, real(p[1]), real)
    return 1.0 / (1.0 + math.exp(y - x))


@func
def poisson(place, p, real):
    """Mean. Small ones by adding up probabilities, others by transformed rejection (W. Hörmann, "The transformed rejection method for
    generating Poisson random variables", 1993)."""
    mean = np.float64(p[0])
    k = np.float64(0.0)
    if mean < 10.0:
        w = words(place, 0)
        u = unit_float64(w[0], w[1])
        term = math.exp(-mean)
        total = term
        while u >= total and term > 1e-30:
            k += 1.0
            term *= mean / k
            total += term
        return np.int64(k)
    log_mean, root = math.log(mean), math.sqrt(mean)
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    inverse = 1.1239 + 1.1328 / (b - 3.4)
    quick = 0.9277 - 3.6224 / (b - 2.0)
    t = np.uint32(0)
    drawing = True
    while drawing:
        w = words(place, t)
        t += np.uint32(1)
        u, v = unit_float64(w[0], w[1]) - 0.5, positive_float64(w[2], w[3])
        s = max(0.5 - abs(u), 1e-300)
        k = np.floor((2.0 * a / s + b) * u + mean + 0.43)
        if s >= 0.07 and v <= quick:
            drawing = False
        elif k >= 0.0 and not (s < 0.013 and v > s):
            bound = k * log_mean - mean - _log_factorial(k)
            drawing = math.log(v * inverse / (a / (s * s) + b)) > bound
    return np.int64(k)


@func
def _binomial(place, n, p):
    """Small means by adding up probabilities, others by transformed rejection (W. Hörmann, "The generation of binomial random variates",
    1993)."""
    chance = p if p <= 0.5 else 1.0 - p
    count = np.float64(n)
    odds = chance / (1.0 - chance)
    k = np.float64(0.0)
    if count * chance < 10.0:
        w = words(place, 0)
        u = unit_float64(w[0], w[1])
        term = math.exp(count * math.log1p(-chance))
        total = term
        while u >= total and k < count and term > 1e-30:
            term *= (count - k) / (k + 1.0) * odds
            total += term
            k += 1.0
    else:
        spread = math.sqrt(count * chance * (1.0 - chance))
        b = 1.15 + 2.53 * spread
        a = -0.0873 + 0.0248 * b + 0.01 * chance
        c = count * chance + 0.5
        quick = 0.92 - 4.2 / b
        alpha = (2.83 + 5.1 / b) * spread
        log_odds = math.log(odds)
        mode = np.floor((count + 1.0) * chance)
        top = _log_factorial(mode) + _log_factorial(count - mode)
        t = np.uint32(0)
        drawing = True
        while drawing:
            w = words(place, t)
            t += np.uint32(1)
            u, v = unit_float64(w[0], w[1]) - 0.5, positive_float64(w[2], w[3])
            s = max(0.5 - abs(u), 1e-300)
            k = np.floor((2.0 * a / s + b) * u + c)
            if k >= 0.0 and k <= count:
                if s >= 0.07 and v <= quick:
                    drawing = False
                else:
                    bound = top - _log_factorial(k) - _log_factorial(count - k) + (k - mode) * log_odds
                    drawing = math.log(v * alpha / (a / (s * s) + b)) > bound
    return np.int64(k) if p <= 0.5 else n - np.int64(k)


@func
def binomial(place, p, real):
    """Trials and the chance of each."""
    return _binomial(place, np.int64(p[0]), np.float64(p[1]))


@func
def geometric(place, p, real):
    """The chance of each trial, by inversion."""
    w = words(place, 0)
    log_u = math.log(positive_float64(w[0], w[1]))
    chance = np.float64(p[0])
    k = np.float64(1.0) if chance >= 1.0 else max(np.ceil(log_u / math.log1p(-chance)), 1.0)
    return np.int64(k)  # saturates


@func
def integer_each(place, p, real):
    """``low`` and ``count`` as uint64: a number below ``count`` (0: any) above ``low``."""
    w = words(place, 0)
    return real(np.uint64(p[0]) + below_64(place, 0, joined(w[0], w[1]), np.uint64(p[1])))


@func
def vonmises(place, p, real):
    """Mean and concentration (D. Best, N. Fisher, "Efficient simulation of the von Mises distribution", 1979)."""
    mean, kappa = np.float64(p[0]), np.float64(p[1])
    t = np.uint32(0)
    turn = np.float64(0.0)
    if kappa < 1e-8:
        w = words(place, 0)
        return real(math.pi * (2.0 * unit_float64(w[0], w[1]) - 1.0))
    if kappa > 1e6:  # a normal distribution, wrapped
        x, _ = _trial(words(place, 0), np.float64)
        turn = mean + x / math.sqrt(kappa)
    else:
        r = 1.0 + math.sqrt(1.0 + 4.0 * kappa * kappa)
        rho = (r - math.sqrt(2.0 * r)) / (2.0 * kappa)
        s = (1.0 + rho * rho) / (2.0 * rho) if kappa > 1e-5 else 1.0 / kappa + kappa
        found = np.float64(1.0)
        drawing = True
        sign = np.float64(1.0)
        while drawing:
            w = words(place, t)
            t += np.uint32(1)
            z = cospi(np.float64(w[2]) * 2.0**-32)
            found = (1.0 + s * z) / (s + z)
            y = kappa * (s - found)
            v = positive_float64(w[0], w[1])
            drawing = y * (2.0 - y) - v < 0.0 and math.log(y / v) + 1.0 - y < 0.0
            sign = np.float64(1.0) if w[3] & np.uint32(1) else np.float64(-1.0)
        turn = mean + sign * math.acos(min(max(found, -1.0), 1.0))
    return real(turn - 2.0 * math.pi * np.floor((turn + math.pi) / (2.0 * math.pi)))


@func
def zipf(place, p, real):
    """Exponent (L. Devroye, "Non-uniform random variate generation", 1986, chapter 10.6)."""
    a = np.float64(p[0]) - 1.0
    b = math.exp2(a)
    t = np.uint32(0)
    x = np.float64(1.0)
    drawing = True
    while drawing:
        w = words(place, t)
        t += np.uint32(1)
        x = np.floor(math.exp(-math.log(positive_float64(w[0], w[1])) / a))
        if x >= 1.0 and x < 9.2e18:
            grown = math.exp(a * math.log1p(1.0 / x))
            drawing = unit_float64(w[2], w[3]) * x * (grown - 1.0) / (b - 1.0) > grown / b
        if a > 100.0:
            x = np.float64(1.0)
            drawing = False
    return np.int64(x)


@func
def logseries(place, p, real):
    """Shape (A. Kemp, "Efficient generation of logarithmically distributed pseudo-random variables", 1981)."""
    chance = np.float64(p[0])
    w = words(place, 0)
    v, u = positive_float64(w[0], w[1]), unit_float64(w[2], w[3])
    if v >= chance:
        return np.int64(1)
    q = -math.expm1(math.log1p(-chance) * u)
    if v <= q * q:
        return np.int64(max(np.floor(1.0 + math.log(v) / math.log(q)), 1.0))
    return np.int64(1) if v >= q else np.int64(2)


@func
def _hypergeometric(place, good, bad, sample):
    """By the ratio of uniforms (E. Stadlober, "The ratio of uniforms approach for generating discrete random variates", 1990)."""
    total = good + bad
    if sample == 0 or good == 0 or bad == 0 or sample == total:
        return min(sample, good)
    few = min(good, bad)
    drawn = min(sample, total - sample)
    n, m = np.float64(drawn), np.float64(few)
    everything, many = np.float64(total), np.float64(max(good, bad))
    share = m / everything
    variance = (everything - n) * n * share * (1.0 - share) / (everything - 1.0)
    a = n * share + 0.5
    c = math.sqrt(variance + 0.5)
    h = 1.7155277699214135 * c + 0.8989161620588988  # 2*sqrt(2/e) and 3 - 2*sqrt(3/e)
    mode = np.floor((n + 1.0) * (m + 1.0) / (everything + 2.0))
    top = _log_factorial(mode) + _log_factorial(m - mode) + _log_factorial(n - mode) + _log_factorial(many - n + mode)
    end = min(min(n, m) + 1.0, np.floor(a + 16.0 * c))
    t = np.uint32(0)
    k = np.float64(0.0)
    drawing = True
    while drawing:
        w = words(place, t)
        t += np.uint32(1)
        u, v = positive_float64(w[0], w[1]), unit_float64(w[2], w[3])
        x = a + h * (v - 0.5) / u
        if x >= 0.0 and x < end:
            k = np.floor(x)
            other = _log_factorial(k) + _log_factorial(m - k) + _log_factorial(n - k) + _log_factorial(many - n + k)
            drawing = 2.0 * math.log(u) > top - other
    found = np.int64(k)
    if good > bad:
        found = drawn - found
    return found if drawn == sample else good - found


@func
def hypergeometric(place, p, real):
    """Good ones, bad ones, and how many are drawn."""
    return _hypergeometric(place, np.int64(p[0]), np.int64(p[1]), np.int64(p[2]))


# ------------------------------------------------------------------------------------------------------------ several numbers that add up


@kernel
def draw_multinomial(k0, k1, p0, p1, stream, trials, chances, out):
    """``out`` (samples, categories) counts ``trials`` (samples) of which each falls into a category by ``chances`` (samples or 1,
    categories): binomial numbers of what is left, with a position each."""
    i = grid(1)
    categories = out.shape[1]
    left, remaining = np.int64(trials[i]), np.float64(1.0)
    line = i if chances.shape[0] > 1 else 0
    for j in range(categories):
        chance = chances[line, j]
        found = left
        if j < categories - 1:
            found = np.int64(0)
            if left > 0 and chance > 0.0:
                found = _binomial(place_at(k0, k1, p0, p1, stream, i * categories + j), left, min(chance / remaining, 1.0))
        out[i, j] = found
        left -= found
        remaining = max(remaining - chance, 1e-300)


@kernel
def draw_multivariate_hypergeometric(k0, k1, p0, p1, stream, colors, sample, out):
    """``out`` (samples, colors) counts the colors of ``sample`` marbles drawn of ``colors`` of each."""
    i = grid(1)
    count = out.shape[1]
    rest = np.int64(0)
    for j in range(count):
        rest += colors[j]
    left = np.int64(sample)
    for j in range(count):
        rest -= colors[j]
        found = _hypergeometric(place_at(k0, k1, p0, p1, stream, i * count + j), np.int64(colors[j]), rest, left)
        out[i, j] = found
        left -= found
