"""Functions to which the array API standard gives arguments, or results, that NumPy's do not have."""

from __future__ import annotations

import numpy as np

from anygpu.arrays import creation, elementwise, host, manipulation, masks
from anygpu.arrays.ndarray import ndarray
from anygpu.arrays.reductions import NOTHING


def sort(
    a: object, axis: int | None = -1, kind: str | None = None, order: None = None, *, descending: bool = False, stable: bool | None = None
) -> ndarray:  # fmt: skip
    """The elements in order along an axis, or all of them if it is None. NaNs come last, or first if the order descends.

    Example:
        >>> import anygpu as ag
        >>> ag.sort([3, 1, 2], descending=True)
        array([3, 2, 1])
    """
    found = host.array(np.sort, (a,), {"axis": axis, "kind": kind, "order": order, "stable": stable})
    return _flipped(found, axis) if descending else found


def argsort(
    a: object, axis: int | None = -1, kind: str | None = None, order: None = None, *, descending: bool = False, stable: bool | None = None
) -> ndarray:  # fmt: skip
    """The indices that put the elements in order along an axis, or all of them if it is None. Equal elements keep their order.

    Example:
        >>> import anygpu as ag
        >>> ag.argsort([3, 1, 3, 2], descending=True, stable=True)
        array([0, 2, 3, 1])
    """
    if kind is None and stable is None:
        stable = True  # as the standard has it
    given: dict[str, object] = {"axis": axis, "kind": kind, "order": order, "stable": stable}
    if not descending:
        return host.array(np.argsort, (a,), given)
    x = creation.asarray(a)
    if axis is None:
        x, axis = x.ravel(), -1
    # equal elements keep their order if the array is sorted backwards and read from behind
    last = x.shape[axis] - 1 if x.ndim else 0
    return last - _flipped(host.array(np.argsort, (_flipped(x, axis),), {**given, "axis": axis}), axis)


def _flipped(x: ndarray, axis: int | None) -> ndarray:
    if x.ndim < 2:
        return x[::-1] if x.ndim else x
    at = axis % x.ndim if axis is not None else 0
    return x[(slice(None),) * at + (slice(None, None, -1),)]


def clip(
    a: object, min: object = None, max: object = None, out: ndarray | None = None, *, a_min: object = None, a_max: object = None
) -> ndarray:  # fmt: skip
    """The elements, at least a minimum and at most a maximum. NaN stays NaN.

    Args:
        a: The array.
        min: The minimum, a number or an array; None for none. ``a_min`` is the same.
        max: The maximum, likewise.
        out: Where the result goes.

    Example:
        >>> import anygpu as ag
        >>> ag.clip(ag.arange(6), 1, max=4)
        array([1, 1, 2, 3, 4, 4])
    """
    if (a_min is not None and min is not None) or (a_max is not None and max is not None):
        raise ValueError("a minimum or a maximum is given once: as min and max, or as a_min and a_max")
    return elementwise.clip(creation.asarray(a), a_min if min is None else min, a_max if max is None else max, out)


def where(condition: object, x: object = NOTHING, y: object = NOTHING, /) -> object:
    """Elements of ``x`` where a condition holds, else of ``y``; the indices where it holds, if neither is given.

    Example:
        >>> import anygpu as ag
        >>> ag.where(ag.arange(4) < 2, 10, [1, 2, 3, 4])
        array([10, 10,  3,  4])
    """
    if x is NOTHING and y is NOTHING:
        return masks.nonzero(condition if isinstance(condition, ndarray) else creation.asarray(condition))
    if x is NOTHING or y is NOTHING:
        raise ValueError("either both or neither of x and y should be given")
    return elementwise.where(condition, x, y)


def broadcast_arrays(*args: object, subok: bool = False) -> tuple[ndarray, ...]:
    """Arrays in their common shape, each a view.

    Example:
        >>> import anygpu as ag
        >>> [x.shape for x in ag.broadcast_arrays([1, 2, 3], [[4], [5]])]
        [(2, 3), (2, 3)]
    """
    found = [creation.asarray(a) for a in args]
    shape = np.broadcast_shapes(*[x.shape for x in found])
    return tuple([manipulation.broadcast_to(x, shape) for x in found])


def select(condlist: object, choicelist: object, default: object = 0) -> ndarray:
    """Elements of the first of several choices whose condition holds, or a default where none does: `ag.select` outside kernels.

    Args:
        condlist: The conditions, a sequence of arrays of bools.
        choicelist: The choices, one for each.
        default: What is left.

    Example:
        >>> import anygpu as ag
        >>> x = ag.arange(5)
        >>> ag.select([x < 2, x > 3], [x, x * 10], -1)
        array([ 0,  1, -1, -1, 40])
    """
    conditions, choices = list(condlist), list(choicelist)  # type: ignore[call-overload]
    if len(conditions) != len(choices):
        raise ValueError("list of cases must be same length as list of conditions")
    if not conditions:
        raise ValueError("select with an empty condition list is not possible")
    for n, condition in enumerate(conditions):
        if creation.asarray(condition).dtype != bool:
            raise TypeError(f"invalid entry {n} in condlist: should be boolean ndarray")
    dtype = np.result_type(*[c if type(c) in (int, float, complex) else creation.asarray(c).dtype for c in (*choices, default)])
    found = creation.asarray(default, dtype)
    for condition, choice in zip(reversed(conditions), reversed(choices), strict=True):
        found = elementwise.where(condition, creation.asarray(choice, dtype), found)
    return found
