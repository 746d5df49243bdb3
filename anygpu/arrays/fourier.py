"""Fourier transforms on devices without a library for them: Stockham's algorithm, and Bluestein's for lengths with large prime factors.

A transform of length ``r1 * r2 * ...`` is a kernel for each factor, which reads each element once and writes it where the next wants it
(Stockham's autosort form: C. Van Loan, Computational Frameworks for the Fast Fourier Transform, 1992, section 1.7). Other lengths become
a convolution of a length that has such factors (L. Bluestein, A linear filtering approach to the computation of discrete Fourier
transform, 1970). Factors of unity come from one table in float64, so the same bits are found on every device.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence

import numpy as np

from anygpu.arrays import creation, elementwise, manipulation
from anygpu.arrays.fourier_kernels import pass_by_2, pass_by_4, pass_by_any
from anygpu.arrays.ndarray import ndarray

RADICES = (4, 2, 3, 5, 7)
_TABLES = 64  # tables of factors of unity that are remembered


@functools.lru_cache(maxsize=_TABLES)
def _table(n: int, dtype: str, sign: int, device: str) -> ndarray:
    """``exp(sign * 2j * pi * t / n)`` for t from 0 to n - 1, exact at the quarters."""
    return creation.array(_roots(n, sign).astype(dtype), device=device)


def _roots(n: int, sign: int) -> np.ndarray:
    eighth = np.arange(n) * 8  # in units of 1/8 of the circle over n
    octant, rest = eighth // n, eighth % n
    mirrored = octant % 2 == 1
    angle = np.where(mirrored, n - rest, rest) * (math.pi / 4 / n)
    cosine, sine = np.cos(angle), np.sin(angle)
    swap = (octant + 1) // 2 % 2 == 1  # octants 1, 2, 5, 6 lie nearer to the imaginary axis
    real, imaginary = np.where(swap, sine, cosine), np.where(swap, cosine, sine)
    real = np.where((octant >= 2) & (octant < 6), -real, real)
    imaginary = np.where(octant >= 4, -imaginary, imaginary)
    found: np.ndarray = real + sign * 1j * imaginary
    return found


def _factors(n: int) -> list[int] | None:
    """The radices whose product is n; None if there are none."""
    found = []
    for radix in RADICES:
        while n % radix == 0:
            found.append(radix)
            n //= radix
    return found if n == 1 else None


def transform(x: ndarray, sign: int) -> ndarray:
    """The unscaled transform of each row of a complex array of two axes; ``sign`` is that of the exponent."""
    n, device, dtype = x.shape[1], x.device.name, x.dtype
    factors = _factors(n)
    if factors is None:
        return _bluestein(x, sign)
    table = _table(n, dtype.name, sign, device)
    source, stride = x, 1
    for radix in factors:
        target = creation.empty(x.shape, dtype, device=device)
        over = x.shape[0], n // radix
        match radix:
            case 2:
                pass_by_2.forall(over)(source, table, target, stride)
            case 4:
                pass_by_4.forall(over)(source, table, target, stride, sign < 0)
            case _:
                pass_by_any.forall(over)(source, table, target, stride, radix)
        source, stride = target, stride * radix
    return source


def _bluestein(x: ndarray, sign: int) -> ndarray:
    n, device = x.shape[1], x.device.name
    size = 1 << (2 * n - 2).bit_length()
    chirp, spectrum = _chirp(n, size, x.dtype.name, sign, device)
    padded = creation.zeros((x.shape[0], size), x.dtype, device=device)
    padded[:, :n] = x * chirp
    product = transform(padded, -1) * spectrum
    return transform(product, 1)[:, :n] * chirp


@functools.lru_cache(maxsize=_TABLES)
def _chirp(n: int, size: int, dtype: str, sign: int, device: str) -> tuple[ndarray, ndarray]:
    """``exp(sign * 1j * pi * t**2 / n)``, and the transform of its conjugate in both directions, over ``size``."""
    square = np.arange(n, dtype=object) ** 2 % (2 * n) if n > 1 << 31 else np.arange(n) ** 2 % (2 * n)
    wave = _roots(2 * n, sign)[square.astype(np.int64)]
    both = np.zeros(size, np.complex128)
    both[:n] = wave.conj()
    both[size - n + 1 :] = wave[1:][::-1].conj()
    spectrum = np.fft.fft(both) / size
    return creation.array(wave.astype(dtype), device=device), creation.array(spectrum.astype(dtype), device=device)


# ------------------------------------------------------------------------------------------------------- NumPy's functions of one axis


def _scale(n: int, norm: str | None, inverse: bool) -> float:
    match norm:
        case None | "backward":
            return 1 / n if inverse else 1.0
        case "ortho":
            return 1 / math.sqrt(n)
        case "forward":
            return 1.0 if inverse else 1 / n
    raise ValueError(f'Invalid norm value {norm}; should be "backward", "ortho" or "forward".')


def _complex(x: ndarray) -> ndarray:
    wide = np.result_type(x.dtype, np.complex64)
    return x.astype(wide, copy=False)


def _fitted(x: ndarray, n: int, axis: int) -> ndarray:
    """The first n elements along an axis, zeros after the last."""
    have = x.shape[axis]
    here = (slice(None),) * axis
    if have > n:
        return x[(*here, slice(n))]
    if have == n:
        return x
    found = creation.zeros((*x.shape[:axis], n, *x.shape[axis + 1 :]), x.dtype, device=x.device)
    found[(*here, slice(have))] = x
    return found


def _points(x: ndarray, n: object, axis: int) -> int:
    count = x.shape[axis] if n is None else operator.index(n)  # type: ignore[arg-type]
    if count < 1:
        raise ValueError(f"Invalid number of FFT data points ({count}) specified.")
    return count


def _along(x: ndarray, n: object, axis: int, norm: str | None, inverse: bool) -> ndarray:
    (axis,) = manipulation.axes_of(axis, x.ndim)
    count = _points(x, n, axis)
    scale = _scale(count, norm, inverse)
    given = manipulation.moveaxis(_fitted(_complex(x), count, axis), axis, -1)
    rows = manipulation.reshape(given, (-1, count)) if given.size else given
    found = transform(rows, 1 if inverse else -1) if given.size else rows
    if scale != 1:
        found = elementwise.binary("multiply", found, scale)
    return manipulation.moveaxis(manipulation.reshape(found, given.shape), -1, axis)


def fft(a: ndarray, n: int | None = None, axis: int = -1, norm: str | None = None) -> ndarray:
    """The discrete Fourier transform along an axis, of ``n`` elements."""
    return _along(a, n, axis, norm, False)


def ifft(a: ndarray, n: int | None = None, axis: int = -1, norm: str | None = None) -> ndarray:
    """The inverse discrete Fourier transform along an axis, of ``n`` elements."""
    return _along(a, n, axis, norm, True)


def rfft(a: ndarray, n: int | None = None, axis: int = -1, norm: str | None = None) -> ndarray:
    """The transform of real elements along an axis: the ``n // 2 + 1`` that are not the conjugates of others."""
    if a.dtype.kind == "c":
        raise TypeError("ufunc 'rfft_n_even' did not contain a loop with signature matching types (complex, ...)")
    (axis,) = manipulation.axes_of(axis, a.ndim)
    count = _points(a, n, axis)
    return _along(a, count, axis, norm, False)[(*(slice(None),) * axis, slice(count // 2 + 1))]


def irfft(a: ndarray, n: int | None = None, axis: int = -1, norm: str | None = None) -> ndarray:
    """The inverse of `rfft`: ``n`` real elements along an axis, by default twice as many as are given, less two."""
    (axis,) = manipulation.axes_of(axis, a.ndim)
    count = 2 * (a.shape[axis] - 1) if n is None else operator.index(n)
    if count < 1:
        raise ValueError(f"Invalid number of FFT data points ({count}) specified.")
    half = count // 2 + 1
    x = _fitted(_complex(a), half, axis)
    here = (slice(None),) * axis
    whole = creation.empty((*x.shape[:axis], count, *x.shape[axis + 1 :]), x.dtype, device=x.device)
    whole[(*here, slice(half))] = x
    whole[(*here, slice(half, None))] = x[(*here, slice(1, count - half + 1))][(*here, slice(None, None, -1))].conj()
    return elementwise.real(_along(whole, count, axis, norm, True))


def hfft(a: ndarray, n: int | None = None, axis: int = -1, norm: str | None = None) -> ndarray:
    """The transform of elements of which the other half are the conjugates: ``n`` real ones."""
    return irfft(a.conj(), n, axis, _OPPOSITE[norm])


def ihfft(a: ndarray, n: int | None = None, axis: int = -1, norm: str | None = None) -> ndarray:
    """The inverse of `hfft`."""
    return rfft(a, n, axis, _OPPOSITE[norm]).conj()


# ------------------------------------------------------------------------------------------------------------------------ several axes


def _axes(a: ndarray, s: Sequence[int | None] | None, axes: Sequence[int] | None) -> tuple[list[int | None], list[int]]:
    if s is not None and axes is None:
        axes = range(-len(s), 0)
    where = list(manipulation.axes_of(tuple(range(a.ndim) if axes is None else axes), a.ndim)) if a.ndim else []
    sizes = [a.shape[axis] for axis in where] if s is None else [a.shape[w] if n == -1 else n for n, w in zip(s, where, strict=False)]
    if len(sizes) != len(where):
        raise ValueError("Shape and axes have different lengths.")
    return list(sizes), where


def fftn(
    a: ndarray, s: Sequence[int | None] | None = None, axes: Sequence[int] | None = None, norm: str | None = None
) -> ndarray:
    """The transform along several axes (all, if none is given)."""
    for n, axis in reversed(list(zip(*_axes(a, s, axes), strict=True))):
        a = fft(a, n, axis, norm)
    return a


def ifftn(
    a: ndarray, s: Sequence[int | None] | None = None, axes: Sequence[int] | None = None, norm: str | None = None
) -> ndarray:
    """The inverse transform along several axes (all, if none is given)."""
    for n, axis in reversed(list(zip(*_axes(a, s, axes), strict=True))):
        a = ifft(a, n, axis, norm)
    return a


def rfftn(
    a: ndarray, s: Sequence[int | None] | None = None, axes: Sequence[int] | None = None, norm: str | None = None
) -> ndarray:
    """The transform of real elements along several axes, the last of which is halved."""
    sizes, where = _axes(a, s, axes)
    a = rfft(a, sizes[-1], where[-1], norm)
    for n, axis in reversed(list(zip(sizes[:-1], where[:-1], strict=True))):
        a = fft(a, n, axis, norm)
    return a


def irfftn(
    a: ndarray, s: Sequence[int | None] | None = None, axes: Sequence[int] | None = None, norm: str | None = None
) -> ndarray:
    """The inverse of `rfftn`."""
    sizes, where = _axes(a, s, axes)
    if s is None:
        sizes[-1] = 2 * (a.shape[where[-1]] - 1)
    for n, axis in zip(sizes[:-1], where[:-1], strict=True):
        a = ifft(a, n, axis, norm)
    return irfft(a, sizes[-1], where[-1], norm)


def _two(name: str) -> object:
    over = globals()[f"{name}n"]

    @functools.wraps(over)
    def call(
        a: ndarray, s: Sequence[int | None] | None = None, axes: Sequence[int] | None = (-2, -1), norm: str | None = None
    ) -> ndarray:
        return over(a, s, axes, norm)  # type: ignore[no-any-return]

    call.__name__ = call.__qualname__ = f"{name}2"
    return call


fft2, ifft2, rfft2, irfft2 = map(_two, ("fft", "ifft", "rfft", "irfft"))
_OPPOSITE = {None: "forward", "backward": "forward", "ortho": "ortho", "forward": "backward"}
FUNCTIONS = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft", "fftn", "ifftn", "rfftn", "irfftn", "fft2", "ifft2", "rfft2", "irfft2")
