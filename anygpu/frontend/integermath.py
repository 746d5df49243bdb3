"""Integer functions of ``math`` written in the kernel language itself, inlined at their calls."""

from __future__ import annotations

import numpy as np


def gcd(a, b):
    """Euclid's algorithm on absolute values; gcd(0, 0) is 0."""
    x = abs(a)
    y = abs(b)
    while y != 0:
        x, y = y, x % y
    return x


def isqrt(n):
    """The floor of the square root: float64's root, mended by at most one either way. A negative n gives 0."""
    x = np.int64(math_sqrt(np.float64(max(n, 0))))
    x = min(x, 3037000499)
    if x * x > n:
        x -= 1
    if (x + 1) * (x + 1) <= n and x < 3037000499:
        x += 1
    return x


math_sqrt = np.sqrt
