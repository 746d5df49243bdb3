"""What the numbers of a dtype can be."""

from __future__ import annotations

import ml_dtypes
import numpy as np

from anygpu.arrays.ndarray import ndarray


class finfo:
    """The limits of a float dtype, or of a complex dtype's parts: NumPy's attributes, as Python's floats and ints.

    Python's numbers are weak in expressions: ``x * ag.finfo(x.dtype).eps`` keeps the dtype of ``x``.

    Args:
        dtype: The dtype, or an array of it.

    Raises:
        ValueError: The dtype is neither float nor complex.

    Example:
        >>> import anygpu as ag
        >>> ag.finfo(ag.float32).eps, ag.finfo(ag.complex128).bits
        (1.1920928955078125e-07, 64)
    """

    __anygpu_function__ = np.finfo
    __slots__ = ("_theirs", "dtype")

    dtype: np.dtype[np.generic]

    def __init__(self, dtype: object):
        wanted = np.dtype(_dtype_of(dtype))  # type: ignore[call-overload]
        self._theirs = ml_dtypes.finfo(wanted) if wanted == ml_dtypes.bfloat16 else np.finfo(wanted)  # type: ignore[no-untyped-call]
        self.dtype = np.dtype(self._theirs.dtype)

    def __getattr__(self, name: str) -> object:
        found = getattr(self._theirs, name)
        return found.item() if isinstance(found, np.generic) and found.dtype.kind in "iu" else float(found) if _is_float(found) else found

    def __dir__(self) -> list[str]:
        return [name for name in dir(self._theirs) if not name.startswith("_")]

    def __repr__(self) -> str:
        return repr(self._theirs)

    def __str__(self) -> str:
        return str(self._theirs)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, finfo) and self.dtype == other.dtype

    def __hash__(self) -> int:
        return hash(self.dtype)

    def __reduce__(self) -> tuple[type[finfo], tuple[np.dtype[np.generic]]]:
        return finfo, (self.dtype,)


class iinfo(np.iinfo):
    """The limits of an integer dtype, or of that of an array: NumPy's attributes.

    Example:
        >>> import anygpu as ag
        >>> ag.iinfo(ag.int8).max
        127
    """

    __anygpu_function__ = np.iinfo

    def __init__(self, dtype: object):
        super().__init__(_dtype_of(dtype))  # type: ignore[call-overload]


def _dtype_of(given: object) -> object:
    return given.dtype if isinstance(given, ndarray | np.ndarray) else given


def _is_float(value: object) -> bool:
    return isinstance(value, np.floating | ml_dtypes.bfloat16)
