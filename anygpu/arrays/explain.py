"""What would run, before it runs."""

from __future__ import annotations

from anygpu.arrays.ndarray import ndarray
from anygpu.engine import evaluate


def explain(*arrays: ndarray) -> str:
    """The kernels that computing some arrays would run: what is fused into each, and the bytes that each reads and writes.

    Nothing is computed. Operations count one for each element of each ufunc and reduction.

    Example:
        >>> import anygpu as ag
        >>> x = ag.ones((1000, 1000))
        >>> ag.synchronize()
        >>> print(ag.explain(ag.sqrt(x * x + 1).sum(axis=1) / 1000))
        kernel 1: reduction over (1,) -> float64[1000]
          fused: multiply add sqrt add divide
          1 array read, 8,000,000 bytes; 8,000 bytes written; 4,001,000 operations
    """
    return evaluate.explain([array._node() for array in arrays])
