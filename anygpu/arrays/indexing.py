"""Reading and writing parts of arrays: views where NumPy gives views, copies where it copies."""

from __future__ import annotations

import operator

import numpy as np

from anygpu.arrays import elementwise
from anygpu.arrays.ndarray import from_host, ndarray, numpy_of, pending, strides_of, view_of
from anygpu.ir.graph import Node, broadcasts_to, identity


def get(x: ndarray, key: object) -> ndarray:
    """``x[key]``."""
    view = basic(x, key if type(key) is tuple else (key,))
    if view is not None:
        # an element is a value, as NumPy's scalars are, unless "..." asks for a view
        return elementwise.copy(view) if _is_element(view, key) else view
    mask = _mask_of(key)
    if mask is not None and mask.shape == x.shape:
        return advanced.masked(x._node(), mask)
    to = advanced.chosen(x, key if type(key) is tuple else (key,))
    if to is not None:
        return advanced.gather(to.view._node(), to.axes, to.indices, to.shape)
    found = x.__array__()[_on_host(key)]  # type: ignore[call-overload]
    return from_host(found).to_device(x.device)


def put(x: ndarray, key: object, value: object) -> None:
    """``x[key] = value``."""
    elementwise.refuse_repeated(x)
    view = basic(x, key if type(key) is tuple else (key,))
    if view is not None:
        given = elementwise.operand(value)
        if not isinstance(given, Node):
            given = elementwise.scalar_for(given, x)
        elif given.shape and _is_element(view, key) and not (given.size == 1 and x.dtype.kind == "b"):
            raise ValueError("setting an array element with a sequence.")
        elementwise.assign(view, given)
        return
    if _put_masked(x, key, value):
        return
    given = elementwise.operand(value)
    node = given if isinstance(given, Node) else elementwise.scalar_for(given, x)
    to = advanced.chosen(x, key if type(key) is tuple else (key,), node.shape)
    if to is not None:
        advanced.scatter(to, node)
        return
    pending.flush()  # what was recorded before reads the elements as they are
    on_cpu = x.device.name == "cpu"
    elements = x.__array__(copy=not on_cpu)
    elements[_on_host(key)] = np.asarray(value)  # type: ignore[call-overload]
    if not on_cpu:
        elementwise.assign(x, elementwise.constant(elements))


def _mask_of(key: object) -> Node | None:
    """The mask of a key that is one, of at least one axis."""
    if type(key) is tuple and len(key) == 1:
        (key,) = key
    if isinstance(key, np.ndarray | ndarray) and key.dtype == bool and key.shape:
        return key._node() if isinstance(key, ndarray) else elementwise.constant(np.array(key))
    return None


def _put_masked(x: ndarray, key: object, value: object) -> bool:
    """``x[mask] = value``, where every element gets the same, or every row: no index is needed, and nothing is copied."""
    mask = _mask_of(key)
    if mask is None or mask.shape != x.shape[: len(mask.shape)]:
        return False
    count = len(mask.shape)
    given = elementwise.operand(value)
    node = given if isinstance(given, Node) else elementwise.scalar_for(given, x)
    rows = x.shape[count:]
    if len(node.shape) == len(rows) + 1 and node.shape[0] == 1:
        node = Node("view", (node,), ((0, -1, 0), *identity(node.shape[1:])), node.shape[1:], node.dtype)
    if not broadcasts_to(node.shape, rows):
        if not rows and len(node.shape) == 1 and (count := int(numpy_of(mask).sum())) != node.size:
            what = f"cannot assign {node.size} input values to the {count} output values where the mask is true"
            raise ValueError(f"NumPy boolean array indexing assignment {what}")
        if not rows and len(node.shape) > 1:
            what = f"requires a 0 or 1-dimensional input, input has {len(node.shape)} dimensions"
            raise TypeError(f"NumPy boolean array indexing assignment {what}")
        return False
    old = x._node()
    dtype = old.dtype
    if node.dtype is not dtype:
        node = Node("cast", (node,), (), node.shape, dtype)
    shown = Node("view", (mask,), identity(mask.shape), x.shape, mask.dtype)
    elementwise.assign(x, Node("map", (shown, node, old), ("where", ("bool", dtype.name, dtype.name)), x.shape, dtype))
    return True


def _is_element(view: ndarray, key: object) -> bool:
    """Whether a key chooses one element rather than an array without axes."""
    return not view.shape and not (key is Ellipsis or (type(key) is tuple and any(item is Ellipsis for item in key)))


def assign_to(x: ndarray, value: object) -> ndarray:
    """``x[...] = value``, giving ``x``."""
    put(x, ..., value)
    return x


def basic(x: ndarray, key: tuple[object, ...]) -> ndarray | None:
    """The view that ints, slices, ``...`` and None choose; None for other keys. Raises ``IndexError`` as NumPy does."""
    shape = x.shape
    strides = strides_of(x)
    offset = x._offset
    used = 0
    ellipsis = False
    for item in key:
        if item is Ellipsis:
            if ellipsis:
                raise IndexError("an index can only have a single ellipsis ('...')")
            ellipsis = True
        elif item is not None:
            if type(item) is not int and type(item) is not slice and not _is_integer(item):
                return None
            used += 1
    if used > len(shape):
        raise IndexError(f"too many indices for array: array is {len(shape)}-dimensional, but {used} were indexed")
    new_shape: list[int] = []
    new_strides: list[int] = []
    axis = 0
    for item in key if ellipsis else (*key, ...):
        if item is None:
            new_shape.append(1)
            new_strides.append(0)
        elif item is Ellipsis:
            skipped = len(shape) - used
            new_shape += shape[axis : axis + skipped]
            new_strides += strides[axis : axis + skipped]
            axis += skipped
        elif isinstance(item, slice):
            start, stop, step = item.indices(shape[axis])
            count = len(range(start, stop, step))
            if count:
                offset += start * strides[axis]
            new_shape.append(count)
            new_strides.append(step * strides[axis])
            axis += 1
        else:
            at = operator.index(item)  # type: ignore[arg-type]
            n = shape[axis]
            if not -n <= at < n:
                raise IndexError(f"index {at} is out of bounds for axis {axis} with size {n}")
            offset += (at + n if at < 0 else at) * strides[axis]
            axis += 1
    return view_of(x._storage, offset, tuple(new_strides), tuple(new_shape))


def _is_integer(item: object) -> bool:
    """Whether an index is an integer scalar (a bool is a mask)."""
    if isinstance(item, bool | np.bool_ | np.ndarray | list | tuple):
        return False
    if isinstance(item, ndarray):
        return not item.shape and item.dtype.kind in "iu"
    return hasattr(item, "__index__")


def _on_host(key: object) -> object:
    if isinstance(key, ndarray):
        return key.__array__()
    if isinstance(key, tuple):
        return tuple(map(_on_host, key))
    if isinstance(key, list):
        return [_on_host(item) for item in key]
    return key


from anygpu.arrays import advanced  # noqa: E402 (at the end, since it builds on this)
