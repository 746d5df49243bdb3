"""Views as arithmetic: offsets, strides and shapes, before there is an array that has them."""

from __future__ import annotations

import numpy as np

from anygpu.ir.graph import AxisMap, Node, Place, Shape, contiguous


def span(array: np.ndarray) -> np.ndarray:
    """The memory between an array's lowest and highest element as one row."""
    if array.flags.c_contiguous:
        return array.reshape(-1)
    corner = array[tuple(slice(-1, None) if s < 0 else slice(0, 1) for s in array.strides)]
    reach = sum(abs(s) * (n - 1) for s, n in zip(array.strides, array.shape, strict=True)) // array.itemsize
    return np.lib.stride_tricks.as_strided(corner, (reach + 1,), (array.itemsize,))


def reshaped(node: Node, shape: Shape) -> Node:
    """A node's value, its elements in C order, in another shape."""
    if node.place is not None:
        place = node.place
        return Node("source", (), (), shape, node.dtype, Place(place.memory, place.offset, contiguous(shape, node.dtype.itemsize)))
    if node.size == 1 and node.op != "update":
        return Node("view", (node,), tuple((0, -1, 0) for _ in node.shape), shape, node.dtype)
    return Node("reshape", (node,), (), shape, node.dtype)


def as_view(offset: int, strides: Shape, shape: Shape, base: Shape) -> AxisMap | None:
    """The offset and strides over an array of shape ``base`` in C order as a view of it; None if no view walks like that."""
    if 0 in base:
        return None
    units = contiguous(base, 1)
    found = []
    for unit in units:
        found.append([offset // unit, -1, 0])
        offset %= unit
    for axis, (stride, n) in enumerate(zip(strides, shape, strict=True)):
        if stride == 0 or n == 1:
            continue
        for at, unit in enumerate(units):
            if stride % unit == 0 and base[at] > 1 and found[at][1] < 0:
                start, step = found[at][0], stride // unit
                last = start + step * (n - 1)
                if 0 <= last < base[at]:
                    found[at][1:] = [axis, step]
                    break
        else:
            return None
    return tuple((a, b, c) for a, b, c in found)
