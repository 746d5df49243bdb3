"""NumPy's ``linalg`` over arrays: NumPy's own routines, on the same memory."""

from __future__ import annotations

import numpy as np
from numpy.linalg import LinAlgError

from anygpu.arrays import host, namespace
from anygpu.arrays.ndarray import from_host, ndarray


def eig(a: object, /) -> object:
    """The eigenvalues and right eigenvectors of square matrices, always complex: whether they are real is no matter of the dtype.

    Args:
        a: Matrices of n rows and columns, of floats or complex numbers, ``(..., n, n)``.

    Raises:
        LinAlgError: The matrices are not square, or the iteration does not converge.

    Example:
        >>> import anygpu as ag
        >>> values, vectors = ag.linalg.eig(ag.asarray([[2.0, 0.0], [0.0, 3.0]]))
        >>> values
        array([2.+0.j, 3.+0.j])
    """
    found = np.linalg.eig(np.asarray(host.lower(a)))
    return host.lift(type(found)(*map(_complex, found)))


def eigvals(a: object, /) -> ndarray:
    """The eigenvalues of square matrices, always complex.

    Example:
        >>> import anygpu as ag
        >>> ag.linalg.eigvals(ag.asarray([[0.0, -1.0], [1.0, 0.0]])).imag.tolist()
        [1.0, -1.0]
    """
    return from_host(_complex(np.linalg.eigvals(np.asarray(host.lower(a)))))


def _complex(values: np.ndarray) -> np.ndarray:  # NumPy's are real if they all are
    return values.astype(np.result_type(values.dtype, np.complex64), copy=False)


_names, __getattr__ = namespace.over(np.linalg, __name__, globals())
__all__ = ["LinAlgError", "eig", "eigvals"]


def __dir__() -> list[str]:
    return _names
