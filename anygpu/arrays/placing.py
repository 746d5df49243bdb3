"""NumPy's functions that put values into arrays, and those that repeat or choose elements by masks: for arrays on any device.

On the CPU they go to NumPy itself, as `composed`'s do. ``NotImplemented``: NumPy says what is wrong.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from anygpu.arrays import advanced, creation, elementwise, host, manipulation, masks, scans
from anygpu.arrays.ndarray import fresh, ndarray
from anygpu.arrays.searching import places
from anygpu.dtypes import int64
from anygpu.ir.graph import Node, broadcasts_to


def put(a: ndarray, ind: object, v: object, mode: str = "raise") -> object:
    """Set the elements at indices of C order to values, which are repeated if there are fewer."""
    index = creation.asarray(ind, device=a.device)
    if index.dtype.kind not in "iu" or mode not in ("raise", "wrap", "clip"):
        return NotImplemented
    index = manipulation.ravel(index)
    values = _values(v, a, "unsafe")
    if not a.size or values is None:
        return NotImplemented
    if not index.size or not values.size:
        return None
    if mode == "raise":
        advanced.check(index._node(), a.size, 0)
    elif mode == "wrap":
        index = index.astype(np.int64) % a.size
    else:
        index = elementwise.clip(index.astype(np.int64), 0, a.size - 1)
    _in_a_row(a, index, _cycled(values, index.size), False)
    return None


def place(arr: ndarray, mask: object, vals: object) -> object:
    """Set the elements where a mask holds to values one after the other, which are repeated if there are fewer."""
    holds, values = _mask(mask, arr), _values(vals, arr, "safe")
    if holds is None or values is None:
        return NotImplemented
    index = masks.flatnonzero(holds)
    if not index.size:
        return None
    if not values.size:
        raise ValueError("Cannot insert from an empty array!")
    _in_a_row(arr, index, _cycled(values, index.size), True)
    return None


def putmask(a: ndarray, mask: object, values: object) -> object:
    """Set the elements where a mask holds to those of values at the same place in C order; values are repeated if there are fewer."""
    holds, given = _mask(mask, a), _values(values, a, "safe")
    if holds is None or given is None:
        return NotImplemented
    if given.size and a.size:
        chosen = _cycled(given, a.size).reshape(a.shape).astype(a.dtype, copy=False)
        elementwise.assign(a, elementwise.where(holds.reshape(a.shape), chosen, a)._node())
    return None


def copyto(dst: ndarray, src: object, casting: str = "same_kind", where: object = True) -> object:
    """Set elements, where a mask holds, to those of an array or a number that is broadcast."""
    if not isinstance(src, ndarray | np.ndarray):
        return NotImplemented  # numbers, of which NumPy knows whether they fit
    given = creation.asarray(src, device=dst.device)
    holds = creation.asarray(where, device=dst.device)
    shapes = (given.shape, holds.shape)
    if not np.can_cast(given.dtype, dst.dtype, casting) or holds.dtype != bool or not all(broadcasts_to(s, dst.shape) for s in shapes):  # type: ignore[arg-type]
        return NotImplemented
    value = given if where is True else elementwise.where(holds, given.astype(dst.dtype, copy=False), dst)
    elementwise.assign(dst, value._node())
    return None


def repeat(a: object, repeats: object, axis: int | None = None) -> ndarray:
    """Each element along an axis (of all in C order, if none is given) several times."""
    x = a if isinstance(a, ndarray) else creation.asarray(a)
    if axis is None or (x.ndim == 0 and axis in (0, -1)):
        x, axis = manipulation.ravel(x), 0
    (at,) = manipulation.axes_of(axis, x.ndim)
    counts = creation.asarray(repeats, device=x.device)
    if counts.dtype.kind not in "bi" or counts.ndim > 1 or (counts.size != 1 and counts.shape != (x.shape[at],)):
        return NotImplemented  # type: ignore[no-any-return]
    if counts.size == 1:
        each = int(counts.reshape(()))
        if each < 0 and x.shape[at]:
            raise ValueError("negative dimensions are not allowed")
        return advanced.take(x, _ramp(x.shape[at] * max(each, 0), x) // max(each, 1), at)
    if not counts.size:
        return x.copy()
    if int(counts.min()) < 0:
        raise ValueError("repeats may not contain negative values.")
    ends = scans.cumsum(counts.astype(np.int64))
    return advanced.take(x, places(ends, _ramp(int(ends[-1]), x), True, np.dtype(np.int64)), at)


def argwhere(a: object) -> ndarray:
    """The indices of the elements that are not zero, a row for each."""
    x = a if isinstance(a, ndarray) else creation.asarray(a)
    if not x.ndim:
        return NotImplemented  # type: ignore[no-any-return]
    along = masks.nonzero(x)
    found = creation.empty((along[0].size, x.ndim), np.int64, device=x.device)
    for axis, index in enumerate(along):
        found[:, axis] = index
    return found


def extract(condition: object, arr: object) -> ndarray:
    """The elements, in C order, where a condition holds."""
    device = host.device_among((arr, condition))
    x, holds = (manipulation.ravel(creation.asarray(v, device=device)) for v in (arr, condition))
    return masks.compress(holds, x)


def _ramp(count: int, x: ndarray) -> ndarray:
    """The integers below a count, on an array's device."""
    node = Node("iota", (), (), (count,), int64)
    node.device = x._storage.node.device
    return fresh(node)


def _cycled(values: ndarray, count: int) -> ndarray:
    """So many values, from the first on again after the last."""
    return values[:count] if values.size >= count else advanced.take(values, _ramp(count, values) % values.size)


def _mask(mask: object, x: ndarray) -> ndarray | None:
    """A mask in a row; None if it has another number of elements than an array."""
    given = manipulation.ravel(creation.asarray(mask, device=x.device))
    return given.astype(bool, copy=False) if given.size == x.size else None


def _values(values: object, x: ndarray, casting: Literal["safe", "unsafe"]) -> ndarray | None:
    """Values for an array's elements, in a row; None if NumPy does not convert an array of their dtype. Raises what NumPy does for numbers
    that the dtype does not have."""
    if not isinstance(values, ndarray | np.ndarray):
        values = np.asarray(values, x.dtype)
    elif not np.can_cast(values.dtype, x.dtype, casting):
        return None
    return manipulation.ravel(creation.asarray(values, device=x.device))


def _in_a_row(x: ndarray, index: ndarray, values: ndarray, distinct: bool) -> None:
    """Set elements at indices of C order, which are in bounds, to values: as NumPy converts them."""
    row = manipulation.reshape(x, (-1,))
    chosen = advanced.along_row(row, index, distinct)
    advanced.scatter(chosen, values.astype(x.dtype, copy=False)._node())
    if row._storage is not x._storage:  # a copy, since no view shows the elements in a row
        elementwise.assign(x, manipulation.reshape(row, x.shape)._node())
