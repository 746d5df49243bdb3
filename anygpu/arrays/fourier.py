"""Fourier transforms on devices: by the vendor's library, and where there is none by Stockham's algorithm, and Bluestein's for lengths
with large prime factors.

A transform of length ``r1 * r2 * ...`` is a kernel for each factor, which reads each element once and writes it where the next wants it
(Stockham's autosort form: C. Van Loan, Computational Frameworks for the Fast Fourier Transform, 1992, section 1.7). Other lengths become
a convolution of a length that has such factors (L. Bluestein, A linear filtering approach to the computation of discrete Fourier
transform, 1970). Factors of unity come from one table in float64, so the same bits are found on every device without a library.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Sequence

import numpy as np

from anygpu.arrays import creation, elementwise, manipulation
from anygpu.arrays.fourier_kernels import pass_by_2, pass_by_4, pass_by_any
from anygpu.arrays.ndarray import ndarray
from anygpu.runtime.device_array import DeviceArray
from anygpu.runtime.device_fft import Rows

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
    found = _by_library(x, x.shape[1], x.shape[1], x.dtype, sign)
    return _by_kernels(x, sign) if found is None else found


def _from_real(x: ndarray) -> ndarray:
    """The unscaled transform of each row of a real array of two axes: the first half of the elements, and the one in the middle."""
    n = x.shape[1]
    half, wide = n // 2 + 1, np.result_type(x.dtype, np.complex64)
    found = _by_library(x, n, half, wide, -1)
    return _by_kernels(x.astype(wide), -1)[:, :half] if found is None else found


def _to_real(x: ndarray, n: int) -> ndarray:
    """The unscaled transform back: rows of ``n`` real elements from the first halves of their transforms."""
    half = n // 2 + 1
    if x.device.libraries.fft is not None:
        # What is imaginary where the conjugate is the element itself has no meaning. Libraries may take it as they like, and may
        # overwrite what they are given.
        given = x.copy()
        for at in (0,) if n % 2 else (0, n // 2):
            given[:, at] = elementwise.real(given[:, at])
        found = _by_library(given, n, n, np.empty(0, x.dtype).real.dtype, 1)
        if found is not None:
            return found
    whole = creation.empty((x.shape[0], n), x.dtype, device=x.device)
    whole[:, :half] = x
    whole[:, half:] = x[:, 1 : n - half + 1][:, ::-1].conj()
    return elementwise.real(_by_kernels(whole, 1))


def _by_library(x: ndarray, n: int, found: int, dtype: np.dtype[np.generic], sign: int) -> ndarray | None:
    """Rows of ``found`` elements each, the unscaled transforms of length ``n``; None if the device has no library that does that."""
    library = x.device.libraries.fft
    if library is None or not x.size:
        return None
    target = creation.empty((x.shape[0], found), dtype, device=x.device)
    return target if library.transform(x.shape[0], n, _rows(x), _rows(target), sign) else None


def _rows(x: ndarray) -> Rows:
    """An array of two axes as a library takes it: the memory itself, unless elements lie backwards or are one, or the memory does not
    begin where a complex number could lie, as cuFFT wants it of real elements too."""
    memory = x.__anygpu_array__()
    assert isinstance(memory, DeviceArray)
    count, n = x.shape
    step = memory.strides[1] // x.itemsize if n > 1 else 1
    distance = memory.strides[0] // x.itemsize if count > 1 else n * step
    if step < 1 or distance < 1 or memory.buffer.address % _wide(x.dtype).itemsize:
        return _rows(x.copy())
    return Rows(memory.buffer, x.dtype.name, step, distance)


def _by_kernels(x: ndarray, sign: int) -> ndarray:
    if not x.size:
        return x
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
    product = _by_kernels(padded, -1) * spectrum
    return _by_kernels(product, 1)[:, :n] * chirp


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


def _wide(dtype: np.dtype[np.generic]) -> np.dtype[np.generic]:
    """The complex dtype in which a dtype's elements are transformed: for integers that of float64."""
    return np.dtype(np.complex128) if dtype.kind in "biu" else np.result_type(dtype, np.complex64)


def _complex(x: ndarray) -> ndarray:
    return x.astype(_wide(x.dtype), copy=False)


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


def _points(n: object) -> int:
    count = operator.index(n)  # type: ignore[arg-type]
    if count < 1:
        raise ValueError(f"Invalid number of FFT data points ({count}) specified.")
    return count


def _along(x: ndarray, axis: int, scale: float, work: Callable[[ndarray], ndarray]) -> ndarray:
    """The rows along an axis, each replaced by what ``work`` makes of them, scaled."""
    given = manipulation.moveaxis(x, axis, -1)
    found = work(manipulation.reshape(given, (math.prod(given.shape[:-1]), given.shape[-1])))
    if scale != 1:
        found = elementwise.binary("multiply", found, scale)
    return manipulation.moveaxis(manipulation.reshape(found, (*given.shape[:-1], found.shape[1])), -1, axis)


def _complex_transform(x: ndarray, n: object, axis: int, norm: str | None, inverse: bool) -> ndarray:
    (axis,) = manipulation.axes_of(axis, x.ndim)
    count = _points(x.shape[axis] if n is None else n)
    given = _fitted(_complex(x), count, axis)
    return _along(given, axis, _scale(count, norm, inverse), lambda rows: transform(rows, 1 if inverse else -1))


def fft(a: ndarray, n: int | None = None, axis: int = -1, norm: str | None = None) -> ndarray:
    """The discrete Fourier transform along an axis, of ``n`` elements."""
    return _complex_transform(a, n, axis, norm, False)


def ifft(a: ndarray, n: int | None = None, axis: int = -1, norm: str | None = None) -> ndarray:
    """The inverse discrete Fourier transform along an axis, of ``n`` elements."""
    return _complex_transform(a, n, axis, norm, True)


def rfft(a: ndarray, n: int | None = None, axis: int = -1, norm: str | None = None) -> ndarray:
    """The transform of real elements along an axis: the ``n // 2 + 1`` that are not the conjugates of others."""
    if a.dtype.kind == "c":
        raise TypeError("ufunc 'rfft_n_even' did not contain a loop with signature matching types (complex, ...)")
    (axis,) = manipulation.axes_of(axis, a.ndim)
    count = _points(a.shape[axis] if n is None else n)
    given = a.astype(np.empty(0, _wide(a.dtype)).real.dtype, copy=False)
    return _along(_fitted(given, count, axis), axis, _scale(count, norm, False), _from_real)


def irfft(a: ndarray, n: int | None = None, axis: int = -1, norm: str | None = None) -> ndarray:
    """The inverse of `rfft`: ``n`` real elements along an axis, by default twice as many as are given, less two."""
    (axis,) = manipulation.axes_of(axis, a.ndim)
    count = _points(2 * (a.shape[axis] - 1) if n is None else n)
    given = _fitted(_complex(a), count // 2 + 1, axis)
    found = _along(given, axis, _scale(count, norm, True), lambda rows: _to_real(rows, count))
    return found.astype(a.dtype) if a.dtype == np.float16 else found  # NumPy's choice


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
    given = range(a.ndim) if axes is None else axes  # one that is given twice is transformed twice
    where = [at for axis in given for at in manipulation.axes_of(axis, a.ndim)] if a.ndim else []
    if s is not None and len(s) != len(where):
        raise ValueError("Shape and axes have different lengths.")
    sizes = [a.shape[axis] for axis in where] if s is None else [a.shape[w] if n == -1 else n for n, w in zip(s, where, strict=True)]
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
