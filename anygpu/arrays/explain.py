"""What would run, before it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from anygpu.arrays.ndarray import ndarray
from anygpu.engine import evaluate


def explain(what: object, *more: object, **named: object) -> str:
    """The kernels that would compute arrays: what is fused into each, the bytes that each reads and writes, and its operations.

    Nothing is computed that has only been recorded. Operations count one for each element of each ufunc and reduction: they are the
    FLOPs of float arithmetic.

    Args:
        what: An array; or a function, which is called with the other arguments, and whose results are explained.
        more: Further arrays, or the function's arguments.
        named: The function's arguments by name.

    Example:
        >>> import anygpu as ag
        >>> x = ag.ones((1000, 1000))
        >>> ag.synchronize()
        >>> print(ag.explain(ag.sqrt(x * x + 1).sum(axis=1) / 1000))
        kernel 1: reduction over (1,) -> float64[1000]
          fused: multiply add sqrt add divide
          1 array read, 8,000,000 bytes; 8,000 bytes written; 4,001,000 operations
        >>> def spread(x):
        ...     return x.max() - x.min()
        >>> print(ag.explain(spread, x))
        kernel 1: reduction over (0, 1) -> float64[]
          fused: maximum minimum subtract
          1 array read, 8,000,000 bytes; 8 bytes written; 2,000,001 operations
    """
    if isinstance(what, ndarray) or not callable(what):
        if named:
            raise TypeError("arguments by name are those of a function, and an array was given to be explained")
        return evaluate.explain([array._node() for array in _arrays((what, *more))])
    function: Callable[..., object] = what
    return evaluate.explain([array._node() for array in _arrays(function(*more, **named))])


def _arrays(value: object) -> Iterator[ndarray]:
    """The arrays among results, also within tuples, lists and dicts."""
    if isinstance(value, ndarray):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _arrays(item)
    elif isinstance(value, dict):
        yield from _arrays(list(value.values()))
    else:
        raise TypeError(f"explain takes arrays, or a function that gives arrays, not {type(value).__name__}")
