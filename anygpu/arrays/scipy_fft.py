"""SciPy's Fourier transforms in place of NumPy's on the CPU, where SciPy is installed and there is enough to transform.

Both are pocketfft's. SciPy's takes a third of the time of NumPy's for a long row of float32 or of real numbers as complex ones, and
transforms rows on every core. A single row of float64 that is known to be real is NumPy's: it takes the same time, or half of SciPy's
(a million elements: 7 and 13 ms).
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from anygpu.config import config

ENOUGH = 1 << 16  # elements from which on it is worth SciPy's import
_OF_ROWS = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")
_OF_ARRAYS = ("fft2", "ifft2", "rfft2", "irfft2", "fftn", "ifftn", "rfftn", "irfftn")
_REAL = frozenset(("rfft", "irfft", "hfft", "ihfft"))
_KNOWN = frozenset(getattr(np.fft, name) for name in (*_OF_ROWS, *_OF_ARRAYS))
_DTYPES = frozenset(map(np.dtype, ("float32", "float64", "complex64", "complex128")))


def transform(function: Callable[..., object], args: Sequence[object], kwargs: Mapping[str, object]) -> object:
    """What NumPy's function gives, by SciPy; None if NumPy is to compute it, or to say what is wrong with the arguments."""
    if function not in _KNOWN or not args or not (kwargs.keys() <= {"n", "s", "axis", "axes", "norm"}):
        return None
    x = args[0]
    if not isinstance(x, np.ndarray) or x.size < ENOUGH or x.dtype not in _DTYPES or len(args) > 4:
        return None
    if x.ndim == 1 and function.__name__ in _REAL and x.dtype.name in ("float64", "complex128"):
        return None
    extents = kwargs.get("s", kwargs.get("n", args[1] if len(args) > 1 else None))
    if not (extents is None or (isinstance(extents, int) and extents > 0)) or not _is_installed():
        return None
    routine = getattr(importlib.import_module("scipy.fft"), function.__name__)
    try:
        found: object = routine(*args, workers=config().num_threads, **kwargs)
    except (ValueError, TypeError, IndexError):
        return None
    return found


@functools.cache
def _is_installed() -> bool:
    return importlib.util.find_spec("scipy") is not None
