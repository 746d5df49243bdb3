"""Products with a vector: recorded as a sum of products, so that they fuse with what gives their operands and with what reads them.

BLAS cannot do better on a processor: each element of the matrix is used once, so that memory decides.
"""

from __future__ import annotations

import numpy as np

from anygpu.arrays import elementwise, manipulation, reductions
from anygpu.arrays.ndarray import ndarray
from anygpu.engine.devices import Device


def product(a: object, b: object) -> ndarray | None:
    """``a @ b``, if one of them is a vector, the other a vector, a matrix or a stack of matrices, and both are of real numbers.

    None for other products, for those that NumPy has an error for, and for those of a device that has a library of its vendor's.

    Example:
        >>> import anygpu as ag
        >>> (ag.ones((2, 3)) @ ag.arange(3)).tolist()
        [3.0, 3.0]
    """
    if not (isinstance(a, ndarray) and isinstance(b, ndarray)):
        return None
    if min(a.ndim, b.ndim) != 1 or a.dtype.char not in _REAL or b.dtype.char not in _REAL:
        return None
    axis = -1 if b.ndim == 1 else -2
    if a.shape[-1] != b.shape[axis] or _library_of(a) or _library_of(b):
        return None
    if axis == -2:
        a = manipulation.expand_dims(a, 1)
    return reductions.sum_(elementwise.binary("multiply", a, b), axis, np.result_type(a.dtype, b.dtype))


def _library_of(x: ndarray) -> bool:
    """Whether an array's device has a library of products."""
    name = x._storage.node.device or "cpu"
    return name != "cpu" and Device(name).libraries.blas is not None


_REAL = np.typecodes["AllInteger"] + "fd"
