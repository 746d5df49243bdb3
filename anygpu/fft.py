"""NumPy's ``fft`` over arrays: NumPy's own routines on the same memory, and our own kernels on other devices than the CPU."""

from __future__ import annotations

import numpy as np

from anygpu.arrays import namespace
from anygpu.arrays.creation import asarray
from anygpu.arrays.ndarray import ndarray
from anygpu.engine.devices import Device


def fftfreq(n: int, d: float = 1.0, *, dtype: object = None, device: str | Device | None = None) -> ndarray:
    """The frequencies of the results of `fft`, in cycles for each unit of ``d``.

    Args:
        n: The length of the transform.
        d: The distance of the samples.
        dtype: The dtype of the result, a float one; float64 if none is given.
        device: Where the result is.

    Example:
        >>> import anygpu as ag
        >>> ag.fft.fftfreq(4, dtype=ag.float32)
        array([ 0.  ,  0.25, -0.5 , -0.25], dtype=float32)
    """
    return asarray(np.fft.fftfreq(n, d), dtype, device=device)


def rfftfreq(n: int, d: float = 1.0, *, dtype: object = None, device: str | Device | None = None) -> ndarray:
    """The frequencies of the results of `rfft`, in cycles for each unit of ``d``; the arguments are `fftfreq`'s.

    Example:
        >>> import anygpu as ag
        >>> ag.fft.rfftfreq(4)
        array([0.  , 0.25, 0.5 ])
    """
    return asarray(np.fft.rfftfreq(n, d), dtype, device=device)


_names, __getattr__ = namespace.over(np.fft, __name__, globals())
__all__ = ["fftfreq", "rfftfreq"]


def __dir__() -> list[str]:
    return _names
