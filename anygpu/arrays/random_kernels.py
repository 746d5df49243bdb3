"""Philox in the kernel language, and the kernels that draw with it.

A *place* is where a work-item's numbers are: key, position and stream, five words of uint32. `words` gives the four words of block
``t`` there. Draws that use up a fixed number of words share blocks: a warp computes 32 blocks and writes all elements that they hold,
word ``n`` of lane ``l`` to element ``32 * n + l`` of the warp's, so that neighbours store next to each other. Draws that reject have a
position for each element and count blocks there.
"""

# mypy: ignore-errors
# (the kernel compiler types these functions, once for each dtype)

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np

from anygpu.engine.launch import Kernel, func, kernel
from anygpu.frontend.vocabulary import cospi, grid, mulhi, sinpi

MULTIPLIER_0, MULTIPLIER_1 = np.uint32(0xD2511F53), np.uint32(0xCD9E8D57)
WEYL_0, WEYL_1 = np.uint32(0x9E3779B9), np.uint32(0xBB67AE85)  # the golden ratio and sqrt(3) - 1
ROUNDS = 10
LANES = 32
RETRIES = 1 << 16  # blocks for each word of a shared block that is drawn again


@func
def words(place, t):
    """The four random words of block ``t``."""
    k0, k1 = place[0], place[1]
    c0, c1, c2, c3 = place[2], place[3], np.uint32(t), place[4]
    for _ in range(ROUNDS):
        high0, low0 = mulhi(MULTIPLIER_0, c0), MULTIPLIER_0 * c0
        high1, low1 = mulhi(MULTIPLIER_1, c2), MULTIPLIER_1 * c2
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0 += WEYL_0
        k1 += WEYL_1
    return c0, c1, c2, c3


@func
def place_at(k0, k1, p0, p1, stream, index):
    """The place of a work-item, so many positions after the first."""
    first = (np.uint64(np.uint32(p1)) << np.uint64(32)) | np.uint64(np.uint32(p0))
    position = first + np.uint64(index)
    return np.uint32(k0), np.uint32(k1), np.uint32(position), np.uint32(position >> np.uint64(32)), np.uint32(stream)


# ------------------------------------------------------------------------------------------------------- uniform numbers from words
# float32 numbers are made of one word, float64 of two.


@func
def unit_float32(a):
    """In [0, 1), a multiple of 2**-24."""
    return np.float32(a >> np.uint32(8)) * np.float32(2.0**-24)


@func
def unit_float64(a, b):
    """In [0, 1), a multiple of 2**-53."""
    return (np.float64(np.int32(a >> np.uint32(5))) * 67108864.0 + np.float64(np.int32(b >> np.uint32(6)))) * 2.0**-53


@func
def positive_float32(a):
    """In (0, 1]: all of the word counts near 0."""
    return (np.float32(a) + np.float32(0.5)) * np.float32(2.0**-32)


@func
def positive_float64(a, b):
    """In (0, 1]."""
    x = np.float64(np.int32(a >> np.uint32(5))) * 67108864.0 + np.float64(np.int32(b >> np.uint32(6)))
    return (x + 0.5) * 2.0**-53


@func
def half_float32(a):
    """A sign, and a number in (0, 1]."""
    sign = np.float32(1.0) - np.float32(a & np.uint32(1)) * np.float32(2.0)
    return sign, (np.float32(a >> np.uint32(1)) + np.float32(0.5)) * np.float32(2.0**-31)


@func
def half_float64(a, b):
    """A sign, and a number in (0, 1]."""
    return 1.0 - np.float64(np.int32(b & np.uint32(1))) * 2.0, positive_float64(a, b)


@func
def normal_float32(a, b):
    """Two standard normal numbers (G. Box, M. Muller, 1958)."""
    radius = math.sqrt(np.float32(-2.0) * math.log(positive_float32(a)))
    turn = np.float32(b >> np.uint32(8)) * np.float32(2.0**-23)
    return radius * cospi(turn), radius * sinpi(turn)


@func
def normal_float64(a, b, c, d):
    """Two standard normal numbers (G. Box, M. Muller, 1958)."""
    radius = math.sqrt(-2.0 * math.log(positive_float64(a, b)))
    turn = 2.0 * unit_float64(c, d)
    return radius * cospi(turn), radius * sinpi(turn)


# ------------------------------------------------------------------------------- distributions of a location and a scale, by dtype


@func
def _exponential(v):
    return -math.log(v)


@func
def _laplace(sign, h):
    return sign * -math.log(h)


@func
def _logistic(sign, h):
    return sign * (math.log1p(1 - h) - math.log(h))


@func
def _cauchy(sign, h):
    x = h * 0.5
    return sign * (cospi(x) / sinpi(x))


@func
def _gumbel(v, most):
    return -math.log(-math.log1p(-min(v, most)))


_BELOW_ONE_32, _BELOW_ONE_64 = np.float32(1 - 2.0**-24), np.float64(1 - 2.0**-53)


@func
def _normals_float32(w):
    a, b = normal_float32(w[0], w[1])
    c, d = normal_float32(w[2], w[3])
    return a, b, c, d


@func
def _normals_float64(w):
    return normal_float64(w[0], w[1], w[2], w[3])


def _by_word(element):
    @func
    def block(w):
        return element(w[0]), element(w[1]), element(w[2]), element(w[3])

    return block


def _by_two_words(element):
    @func
    def block(w):
        return element(w[0], w[1]), element(w[2], w[3])

    return block


# What the four words of a block give, as a tuple of as many elements as the block holds.
SHARED: dict[tuple[str, str], Callable[..., object]] = {
    ("uniform", "float32"): _by_word(unit_float32),
    ("uniform", "float64"): _by_two_words(unit_float64),
    ("normal", "float32"): _normals_float32,
    ("normal", "float64"): _normals_float64,
    ("exponential", "float32"): _by_word(lambda a: _exponential(positive_float32(a))),
    ("exponential", "float64"): _by_two_words(lambda a, b: _exponential(positive_float64(a, b))),
    ("laplace", "float32"): _by_word(lambda a: _laplace(*half_float32(a))),
    ("laplace", "float64"): _by_two_words(lambda a, b: _laplace(*half_float64(a, b))),
    ("logistic", "float32"): _by_word(lambda a: _logistic(*half_float32(a))),
    ("logistic", "float64"): _by_two_words(lambda a, b: _logistic(*half_float64(a, b))),
    ("cauchy", "float32"): _by_word(lambda a: _cauchy(*half_float32(a))),
    ("cauchy", "float64"): _by_two_words(lambda a, b: _cauchy(*half_float64(a, b))),
    ("gumbel", "float32"): _by_word(lambda a: _gumbel(positive_float32(a), _BELOW_ONE_32)),
    ("gumbel", "float64"): _by_two_words(lambda a, b: _gumbel(positive_float64(a, b), _BELOW_ONE_64)),
}
_DRAWN = (np.float32, np.float64, np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64)
KINDS: dict[str, type[np.generic]] = {**{dtype.__name__: dtype for dtype in _DRAWN}, "bool": np.bool_}


@functools.cache
def shared_kernel(name: str, dtype: str) -> Kernel:
    """The kernel of a distribution whose elements share blocks: ``out`` (one axis) becomes ``loc + scale * element``."""
    block, real, held = SHARED[name, dtype], KINDS[dtype], HELD[dtype]

    @kernel
    def draw_shared(k0, k1, p0, p1, stream, loc, scale, out):
        item = grid(1)
        base = item // LANES * (LANES * held) + item % LANES
        for n, value in enumerate(block(words(place_at(k0, k1, p0, p1, stream, item), 0))):
            at = base + LANES * n
            if at < out.size:
                scaled = real(scale) * value
                out[at] = real(loc) + scaled  # a product and a sum, as arrays compute it, and no fused operation

    return draw_shared


HELD = {"float32": 4, "float64": 2, "uint32": 4, "uint64": 2}  # elements that a block holds


# -------------------------------------------------------------------------------------------------------------------------- integers


@kernel
def draw_words(k0, k1, p0, p1, stream, out):
    """The words themselves."""
    item = grid(1)
    base = item // LANES * (LANES * 4) + item % LANES
    for n, value in enumerate(words(place_at(k0, k1, p0, p1, stream, item), 0)):
        at = base + LANES * n
        if at < out.size:
            out[at] = value


@func
def below_32(place, slot, word, count):
    """A number below ``count`` (0: any word), without bias (D. Lemire, "Fast random integer generation in an interval", 2019)."""
    product = np.uint64(word) * np.uint64(count)
    low = np.uint32(product)
    if low < count:
        least = (np.uint32(0) - count) % count
        t = np.uint32(slot * RETRIES)
        while low < least:
            t += np.uint32(1)
            product = np.uint64(words(place, t)[0]) * np.uint64(count)
            low = np.uint32(product)
    return word if count == 0 else np.uint32(product >> np.uint64(32))


@func
def joined(low, high):
    return (np.uint64(high) << np.uint64(32)) | np.uint64(low)


@func
def below_64(place, slot, word, count):
    """A number below ``count`` (0: any word), without bias (D. Lemire, 2019)."""
    low, high = word * count, mulhi(word, count)
    if low < count:
        least = (np.uint64(0) - count) % count
        t = np.uint32(slot * RETRIES)
        while low < least:
            t += np.uint32(1)
            again = words(place, t)
            drawn = joined(again[0], again[1])
            low, high = drawn * count, mulhi(drawn, count)
    return word if count == 0 else high


@functools.cache
def integers_kernel(word: str, name: str) -> Kernel:
    """The kernel of ``low`` plus a number below ``count`` in a dtype, from words of 32 or 64 bits."""
    dtype = KINDS[name]
    if word == "uint32":

        @kernel
        def draw_integers(k0, k1, p0, p1, stream, low, count, out):
            item = grid(1)
            base = item // LANES * (LANES * 4) + item % LANES
            place = place_at(k0, k1, p0, p1, stream, item)
            for n, value in enumerate(words(place, 0)):
                at = base + LANES * n
                if at < out.size:
                    out[at] = dtype(np.uint64(low) + np.uint64(below_32(place, n, value, np.uint32(count))))
    else:

        @kernel
        def draw_integers(k0, k1, p0, p1, stream, low, count, out):
            item = grid(1)
            base = item // LANES * (LANES * 2) + item % LANES
            place = place_at(k0, k1, p0, p1, stream, item)
            w = words(place, 0)
            for n, value in enumerate((joined(w[0], w[1]), joined(w[2], w[3]))):
                at = base + LANES * n
                if at < out.size:
                    out[at] = dtype(np.uint64(low) + below_64(place, n, value, np.uint64(count)))

    return draw_integers


# -------------------------------------------------------------------------------------------- distributions with a position an element


@func
def _number(parameter, i):
    return parameter


@func
def _element(parameter, i):
    return parameter[i]


@functools.cache
def each_kernel(sample: Callable[..., object], parameters: int, arrays: bool, dtype: str) -> Kernel:
    """The kernel of a distribution of so many parameters whose elements have a position each. Its parameters are arrays like ``out``, or
    numbers for all elements."""
    at, real = _element if arrays else _number, KINDS[dtype]
    if parameters == 1:

        @kernel
        def draw_each(k0, k1, p0, p1, stream, a, out):
            i = grid(1)
            if i < out.size:
                out[i] = sample(place_at(k0, k1, p0, p1, stream, i), (at(a, i),), real)
    elif parameters == 2:

        @kernel
        def draw_each(k0, k1, p0, p1, stream, a, b, out):
            i = grid(1)
            if i < out.size:
                out[i] = sample(place_at(k0, k1, p0, p1, stream, i), (at(a, i), at(b, i)), real)
    else:

        @kernel
        def draw_each(k0, k1, p0, p1, stream, a, b, c, out):
            i = grid(1)
            if i < out.size:
                out[i] = sample(place_at(k0, k1, p0, p1, stream, i), (at(a, i), at(b, i), at(c, i)), real)

    return draw_each
