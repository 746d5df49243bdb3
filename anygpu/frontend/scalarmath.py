"""Functions of ``math`` and NumPy written in the kernel language itself, inlined at their calls.

Each has the parameters of the function that it stands for. Domain errors give a number, since nothing raises in a kernel.
"""

from __future__ import annotations

import numpy as np


def gcd(a, b):
    """Euclid's algorithm on absolute values; gcd(0, 0) is 0."""
    x = abs(a)
    y = abs(b)
    while y != 0:
        x, y = y, x % y
    return abs(x)


def lcm(a, b):
    """|a * b| / gcd, divided first so that no product is larger than the result, and wrapped as NumPy wraps it; 0 if either is 0."""
    divisor = gcd(a, b)
    return abs(a) // divisor * abs(b)  # an integer divided by zero gives 0


def isqrt(n):
    """The floor of the square root: float64's root, mended by at most one either way. A negative n gives 0."""
    x = np.int64(np.sqrt(np.float64(max(n, 0))))
    x = min(x, 3037000499)
    if x * x > n:
        x -= 1
    if (x + 1) * (x + 1) <= n and x < 3037000499:
        x += 1
    return x


def factorial(n):
    """n! for 0 <= n <= 20; it wraps beyond, and is 1 for a negative n."""
    result = np.int64(1)
    for k in range(2, n + 1):
        result *= k
    return result


def comb(n, k):
    """n! / (k! (n-k)!), exact where it fits; common factors are divided out before each product."""
    result = np.int64(1)
    if k < 0 or k > n:
        result = 0
    few = min(k, n - k)
    for i in range(1, few + 1):
        shared = gcd(result, i)
        result = result // shared * ((n - few + i) // (i // shared))
    return result


def ulp(x):
    """The distance to the next larger magnitude; for the largest number, to the next smaller one."""
    size = abs(x)
    above = np.nextafter(size, np.inf)
    if np.isinf(size) or np.isnan(size):
        return size
    return size - np.nextafter(size, 0.0) if np.isinf(above) else above - size


def spacing(x):
    """The signed distance to the next number away from zero, which is positive for both zeros; NaN for infinities."""
    return np.nextafter(x, -np.inf if x < 0 else np.inf) - x


def isclose(a, b, *, rel_tol=1e-09, abs_tol=0.0):
    """``math.isclose``."""
    if a == b:
        return True
    if np.isinf(a) or np.isinf(b):
        return False
    difference = abs(b - a)
    return difference <= abs(rel_tol * b) or difference <= abs(rel_tol * a) or difference <= abs_tol


def logaddexp(a, b):
    """log(exp(a) + exp(b)) without overflow, as NumPy computes it."""
    difference = a - b
    if a == b:
        return a + 0.6931471805599453
    return a + np.log1p(np.exp(-difference)) if difference > 0 else b + np.log1p(np.exp(difference))


def heaviside(a, b):
    """0 below zero, 1 above, b at it."""
    return a if np.isnan(a) else (b if a == 0 else (0 if a < 0 else 1))


def isposinf(x):
    return np.isinf(x) and x > 0


def isneginf(x):
    return np.isinf(x) and x < 0


def nan_to_num(x, copy=True, nan=0.0, posinf=None, neginf=None):
    """Numbers in place of NaN and infinities: by default zero, and the largest and least of the dtype."""
    high = np.finfo(x.dtype).max if posinf is None else posinf
    low = np.finfo(x.dtype).min if neginf is None else neginf
    result = x
    if np.isnan(x):
        result = nan
    elif np.isinf(x):
        result = high if x > 0 else low
    return result


def prod(items, *, start=1):
    """The product of a tuple's items."""
    result = start
    for item in items:
        result = result * item
    return result
