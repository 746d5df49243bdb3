"""Other shapes and orders of the same elements: views where NumPy gives views."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable

from numpy.lib.array_utils import normalize_axis_index, normalize_axis_tuple

from anygpu.arrays.ndarray import ndarray, strides_of, view_of
from anygpu.ir.graph import Shape, broadcasts_to, contiguous, shape_text


def axes_of(axes: object, ndim: int) -> tuple[int, ...]:
    """An int or several as axes of an array; raises ``AxisError`` as NumPy does."""
    if type(axes) is int and -ndim <= axes < ndim:
        return (axes % ndim,)
    return normalize_axis_tuple(axes, ndim)  # type: ignore[arg-type]


def transpose(x: ndarray, axes: object = None) -> ndarray:
    """The array with its axes in another order (the opposite one, if none is given), a view."""
    order: Iterable[int]
    if axes is None:
        order = range(x.ndim - 1, -1, -1)
    else:
        given = tuple(axes) if isinstance(axes, Iterable) else (axes,)
        if len(given) != x.ndim:
            raise ValueError("axes don't match array")
        order = tuple(normalize_axis_index(operator.index(a), x.ndim) for a in given)
        if len(set(order)) != x.ndim:
            raise ValueError("repeated axis in transpose")
    strides = strides_of(x)
    order = tuple(order)
    return view_of(x._storage, x._offset, tuple([strides[a] for a in order]), tuple([x.shape[a] for a in order]))


def swapaxes(x: ndarray, axis1: int, axis2: int) -> ndarray:
    """The array with two axes exchanged, a view."""
    order = list(range(x.ndim))
    a, b = normalize_axis_index(axis1, x.ndim), normalize_axis_index(axis2, x.ndim)
    order[a], order[b] = order[b], order[a]
    return transpose(x, order)


def matrix_transpose(x: ndarray) -> ndarray:
    """The array with its last two axes exchanged, a view."""
    if x.ndim < 2:
        raise ValueError(f"Input array must be at least 2-dimensional, but it is {x.ndim}")
    return swapaxes(x, -1, -2)


def moveaxis(x: ndarray, source: object, destination: object) -> ndarray:
    """The array with some axes moved to other positions, a view."""
    origin, target = axes_of(source, x.ndim), axes_of(destination, x.ndim)
    if len(origin) != len(target):
        raise ValueError("`source` and `destination` arguments must have the same number of elements")
    order = [n for n in range(x.ndim) if n not in origin]
    for to, of in sorted(zip(target, origin, strict=True)):
        order.insert(to, of)
    return transpose(x, order)


def squeeze(x: ndarray, axis: object = None) -> ndarray:
    """The array without axes of one element (all of them, or those given), a view."""
    if axis is None:
        gone: tuple[int, ...] = tuple(a for a, n in enumerate(x.shape) if n == 1)
    else:
        gone = axes_of(axis, x.ndim)
        if any(x.shape[a] != 1 for a in gone):
            raise ValueError("cannot select an axis to squeeze out which has size not equal to one")
    strides = strides_of(x)
    kept = [a for a in range(x.ndim) if a not in gone]
    return view_of(x._storage, x._offset, tuple([strides[a] for a in kept]), tuple([x.shape[a] for a in kept]))


def expand_dims(x: ndarray, axis: object) -> ndarray:
    """The array with new axes of one element, a view."""
    count = len(axis) if isinstance(axis, tuple | list) else 1
    new = axes_of(axis, x.ndim + count)
    shape, strides = list(x.shape), list(strides_of(x))
    for at in sorted(new):
        shape.insert(at, 1)
        strides.insert(at, 0)
    return view_of(x._storage, x._offset, tuple(strides), tuple(shape))


def broadcast_to(x: ndarray, shape: object) -> ndarray:
    """The array in a larger shape, its elements repeated: a view."""
    wanted = tuple(operator.index(n) for n in shape) if isinstance(shape, Iterable) else (operator.index(shape),)  # type: ignore[arg-type]
    if not broadcasts_to(x.shape, wanted):
        shapes = f"[original->remapped]: {x.shape} and requested shape {wanted}"
        raise ValueError(f"operands could not be broadcast together with remapped shapes {shapes}")
    shift = len(wanted) - x.ndim
    strides = [0] * shift
    for n, stride, to in zip(x.shape, strides_of(x), wanted[shift:], strict=True):
        strides.append(stride if n == to else 0)
    return view_of(x._storage, x._offset, tuple(strides), wanted)


def diagonal(x: ndarray, offset: int = 0, axis1: int = 0, axis2: int = 1) -> ndarray:
    """The diagonal of two axes, which becomes the last one: a view."""
    if x.ndim < 2:
        raise ValueError("diag requires an array of at least two dimensions")
    a, b = normalize_axis_index(axis1, x.ndim), normalize_axis_index(axis2, x.ndim)
    if a == b:
        raise ValueError("axis1 and axis2 cannot be the same")
    strides = strides_of(x)
    rows, columns = x.shape[a], x.shape[b]
    count = max(0, min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns))
    start = x._offset + (offset * strides[b] if offset >= 0 else -offset * strides[a]) * (count > 0)
    kept = [n for n in range(x.ndim) if n not in (a, b)]
    return view_of(
        x._storage, start, (*[strides[n] for n in kept], strides[a] + strides[b]), (*[x.shape[n] for n in kept], count)
    )


def reshape(x: ndarray, shape: object, order: str = "C", copy: bool | None = None) -> ndarray:
    """The same elements in another shape, of which one extent may be -1: a view where the memory allows, else a copy."""
    wanted = _filled(x, shape)
    if order not in ("C", "K", "A"):
        if order != "F":
            raise ValueError(f"order must be one of 'C', 'F', 'A', or 'K' (got '{order}')")
        return transpose(reshape(transpose(x), wanted[::-1], copy=copy))
    if copy:
        return reshape(x.copy(), wanted)
    if x._strides is None:
        return view_of(x._storage, x._offset, None, wanted)
    strides = _reshaped_strides(x.shape, x._strides, wanted)
    if strides is not None:
        return view_of(x._storage, x._offset, strides, wanted)
    if copy is False:
        raise ValueError("Unable to avoid creating a copy while reshaping.")
    return view_of(x.copy()._storage, 0, None, wanted)


def ravel(x: ndarray, order: str = "C") -> ndarray:
    """All elements along one axis: a view where the memory allows."""
    return reshape(x, (-1,), order=order)


def _filled(x: ndarray, shape: object) -> Shape:
    given = tuple(operator.index(n) for n in shape) if isinstance(shape, Iterable) else (operator.index(shape),)  # type: ignore[arg-type]
    unknown = given.count(-1)
    if unknown > 1:
        raise ValueError("can only specify one unknown dimension")
    rest = math.prod(n for n in given if n != -1)
    wanted = given
    if unknown:
        if rest == 0 or x.size % rest:
            raise ValueError(f"cannot reshape array of size {x.size} into shape {shape_text(given)}")
        wanted = tuple(x.size // rest if n == -1 else n for n in given)
    if math.prod(wanted) != x.size or any(n < 0 for n in wanted):
        raise ValueError(f"cannot reshape array of size {x.size} into shape {shape_text(given)}")
    return wanted


def _reshaped_strides(shape: Shape, strides: Shape, wanted: Shape) -> Shape | None:
    """The strides that show elements walked by ``shape`` and ``strides`` in another shape; None if no strides do."""
    if 0 in shape:
        return contiguous(wanted, 1)
    old = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    merged: list[tuple[int, int]] = []
    for n, s in old:
        if merged and merged[-1][1] == s * n:
            merged[-1] = (merged[-1][0] * n, s)
        else:
            merged.append((n, s))
    found = [0] * len(wanted)
    at = len(wanted) - 1
    for n, s in reversed(merged):
        left, step = n, s
        while left > 1:
            while wanted[at] == 1:
                found[at] = step
                at -= 1
            if left % wanted[at]:
                return None
            found[at] = step
            step *= wanted[at]
            left //= wanted[at]
            at -= 1
    return tuple(found)
