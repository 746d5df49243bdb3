"""`ufunc.at` with functions whose order counts, on devices whose single work-items are slow.

Where the values go is sorted; values that go to one place keep their order, and a warp combines them one after the other. So the result
is NumPy's to the bit.
"""

from __future__ import annotations

import numpy as np

from anygpu.arrays import creation, elementwise, masks, sorting
from anygpu.arrays.advanced import Chosen
from anygpu.arrays.combining_kernels import combiner
from anygpu.arrays.ndarray import fresh, ndarray, pending, strides_of, view_of
from anygpu.ir.graph import COMPUTED, Node, contiguous, identity


def combine(function: np.ufunc, to: Chosen, value: Node) -> bool:
    """Combine the elements that a key chooses with values of its shape and of their dtype, in C order and at once. False if they do not
    lie as a kernel takes them."""
    target = to.view
    storage = target._storage
    pending.flush()  # what was recorded before reads the elements as they are
    target._computed()
    place, shape = storage.node.place, storage.node.shape
    if place is None or place.strides != contiguous(shape, target.itemsize):
        return False
    elementwise.check_writeable(storage.node)
    elements = view_of(storage, 0, None, (storage.node.size,))
    keys = _places(to).astype(np.uint32 if elements.size < 1 << 32 else np.uint64).reshape(-1)
    keys, order = sorting.sorted_keys(keys, elements.size)
    starts = creation.ones(keys.size, bool, device=target.device)
    starts[1:] = keys[1:] != keys[:-1]
    runs = masks.flatnonzero(starts)
    combiner(function)[runs.size, 32](elements, keys, order, runs, _there(value, target).reshape(-1))
    return True


def _places(to: Chosen) -> ndarray:
    """Where in the storage each chosen element lies, counted in elements."""
    target = to.view
    found = creation.full(to.shape, target._offset, np.int64, device=target.device)
    for (start, axis, step), stride, extent in zip(to.axes, strides_of(target), target.shape, strict=True):
        if axis == COMPUTED:
            index = _there(to.indices[start], target).astype(np.int64)
            found = found + elementwise.where(index < 0, index + extent, index) * stride
        elif axis >= 0:
            along = np.arange(to.shape[axis]).reshape(-1, *(1,) * (len(to.shape) - axis - 1))
            found = found + (start + along * step) * stride
        else:
            found = found + start * stride
    return found


def _there(node: Node, target: ndarray) -> ndarray:
    """A node as an array on a target's device."""
    shown = Node("view", (node,), identity(node.shape), node.shape, node.dtype)
    shown.device = target._storage.node.device
    return fresh(shown)
