"""Sorts on devices: a stable radix sort of the elements' order; on the CPU NumPy's own are better."""

from __future__ import annotations

import numpy as np

from anygpu.arrays import advanced, creation, elementwise, manipulation, scans
from anygpu.arrays.ndarray import ndarray
from anygpu.arrays.sorting_kernels import (
    BITS,
    DIGITS,
    PART,
    THREADS,
    count_digits,
    keys_of_floats,
    keys_of_integers,
    move_keys,
)


def argsort(
    a: ndarray, axis: int | None = -1, kind: object = None, order: None = None, *, stable: bool | None = None
) -> ndarray:  # fmt: skip
    """The indices that sort the elements along an axis; equal elements keep their order. Every ``kind`` is the same sort."""
    x = a if axis is not None else manipulation.ravel(a)
    if x.dtype.kind == "c" or order is not None:
        return NotImplemented  # type: ignore[no-any-return]  # complex numbers are NumPy's to sort
    if not x.ndim:
        return creation.zeros((), np.int64, device=x.device)
    (at,) = manipulation.axes_of(-1 if axis is None else axis, x.ndim)
    last = manipulation.moveaxis(x, at, -1)
    n = last.shape[-1]
    if not last.size:
        return creation.zeros(x.shape, np.int64, device=x.device)
    rows = manipulation.reshape(last, (-1, n))
    found = _order_of_rows(rows)
    return manipulation.moveaxis(manipulation.reshape(found, last.shape), -1, at)


def sort(a: ndarray, axis: int | None = -1, kind: object = None, order: None = None, *, stable: bool | None = None) -> ndarray:
    """The elements in order along an axis; NaN comes last."""
    x = a if axis is not None else manipulation.ravel(a)
    if x.dtype.kind == "c" or order is not None:
        return NotImplemented  # type: ignore[no-any-return]
    if not x.ndim:
        return elementwise.copy(x)
    along = -1 if axis is None else axis
    return advanced.take_along_axis(x, argsort(x, along), along)


def _keys(rows: ndarray) -> ndarray:
    """Unsigned integers in the order of the elements."""
    if rows.dtype.kind in "bu":
        return rows.astype(np.uint8 if rows.dtype.kind == "b" else rows.dtype)
    if rows.dtype.name == "bfloat16":
        rows = rows.astype(np.float32)
    kind = np.dtype(f"u{rows.itemsize}")
    keys = creation.empty(rows.shape, kind, device=rows.device)
    make = keys_of_integers if rows.dtype.kind == "i" else keys_of_floats
    make.forall(rows.shape)(rows, keys, kind.type)
    return keys


def sorted_keys(keys: ndarray, greatest: int) -> tuple[ndarray, ndarray]:
    """Unsigned integers of one axis in order, of which none is greater than a number, and the indices that sort them; equal ones keep their
    order. The memory of ``keys`` is used up."""
    found, order = _sorted_keys(keys.reshape(1, -1), greatest.bit_length())
    return found.reshape(-1), order.reshape(-1)


def _order_of_rows(rows: ndarray) -> ndarray:
    keys = _keys(rows)
    return _sorted_keys(keys, 1 if rows.dtype.kind == "b" else 8 * keys.itemsize)[1]


def _sorted_keys(keys: ndarray, bits: int) -> tuple[ndarray, ndarray]:
    """Each row of keys sorted by their lowest bits, and its order; their memory is used up."""
    device = keys.device
    count, n = keys.shape
    parts = -(-n // PART)
    order = manipulation.broadcast_to(creation.asarray(np.arange(n), device=device), (count, n)).copy()
    other_keys, other_order = creation.empty(keys.shape, keys.dtype, device=device), creation.empty(order.shape, np.int64, device=device)
    counts = creation.empty((count, DIGITS, parts), np.int64, device=device)
    grid = parts * count  # along x: y has room for 65535 rows
    for shift in range(0, bits, BITS):
        count_digits[grid, THREADS](keys, counts, shift)
        flat = counts.reshape(count, DIGITS * parts)
        starts = scans.cumsum(flat, 1) - flat
        move_keys[grid, THREADS](keys, order, starts.reshape(counts.shape), other_keys, other_order, shift)
        keys, order, other_keys, other_order = other_keys, other_order, keys, order
    return keys, order
