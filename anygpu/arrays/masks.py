"""Where elements are not zero, and the elements that are there."""

from __future__ import annotations

import numpy as np

from anygpu.arrays import advanced, elementwise, host
from anygpu.arrays.ndarray import fresh, ndarray
from anygpu.arrays.reductions import reduce
from anygpu.dtypes import bool_, int64
from anygpu.ir.graph import Node


def nonzero(x: ndarray) -> tuple[ndarray, ...]:
    """The indices along each axis of the elements that are not zero, in C order."""
    if not x.shape:
        host.call(np.nonzero, (x,), {})  # which says what is wrong
    return tuple([_placed(found, x) for found in advanced.nonzero(_mask(x))])


def flatnonzero(x: ndarray) -> ndarray:
    """The places in C order of the elements that are not zero."""
    return nonzero(x.reshape(-1))[0]


def count_nonzero(x, axis=None, *, keepdims=False) -> ndarray:  # type: ignore[no-untyped-def]
    """How many elements over axes are not zero."""
    return reduce("add", x if x.dtype == bool else elementwise.astype(x, bool), axis, int64, None, keepdims)


def compress(condition: object, x: object, axis: int | None = None, out: ndarray | None = None) -> ndarray:
    """The elements along an axis (of all in C order, if none is given) where a condition of one axis holds."""
    array = x if isinstance(x, ndarray) else creation.asarray(x)
    holds = condition if isinstance(condition, ndarray) else creation.asarray(condition, device=array.device)
    if holds.ndim != 1:
        return host.array(np.compress, (condition, x), {"axis": axis, "out": out})
    return advanced.take(array, flatnonzero(holds), axis, out)


def _placed(index: Node, x: ndarray) -> ndarray:
    """An index as an array on the device of the array that it is of."""
    found = fresh(index)
    return found if found.device == x.device else found.to_device(x.device)


def _mask(x: ndarray) -> Node:
    node = x._node()
    return node if node.dtype is bool_ else Node("cast", (node,), (), node.shape, bool_)


from anygpu.arrays import creation  # noqa: E402 (at the end, since it builds on this)
