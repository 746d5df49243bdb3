"""Indexing by arrays of integers: gathers, which fuse with what reads them, and scatters.

Indices are checked when they are recorded, as NumPy checks them: those of NumPy at once, those of arrays by their least and greatest
element, unless what computes them shows that they fit. So an array of indices that has not been computed is computed first.
"""

from __future__ import annotations

import math
import operator
from dataclasses import dataclass

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from anygpu.arrays import elementwise, host
from anygpu.arrays.ndarray import fresh, ndarray, numpy_of, pending, strides_of
from anygpu.dtypes import int64
from anygpu.engine.compaction import compact
from anygpu.engine.evaluate import evaluate, one_by_one
from anygpu.ir.graph import COMPUTED, AxisMap, Node, Shape, broadcast, broadcasts_to, identity, postorder, shape_text
from anygpu.passes.extremes import extremes
from anygpu.passes.fusion import in_any_order


@dataclass(frozen=True)
class Chosen:
    """The elements of a view that a key chooses: ``axes`` as a gather has them, over the shape of the result. ``distinct`` if it is known
    that none is chosen twice."""

    view: ndarray
    axes: AxisMap
    indices: tuple[Node, ...]
    shape: Shape
    distinct: bool = False


def chosen(x: ndarray, key: tuple[object, ...], value: Shape | None = None) -> Chosen | None:
    """What a key with arrays of integers or masks among its parts chooses, for values of a shape if they are given. None if it is not of
    that kind, or wrong: NumPy says how.

    Raises as NumPy does ``ValueError`` for a shape that does not fit, and ``IndexError`` for indices that are out of bounds.
    """
    parts = _parts(key)
    used = 0 if parts is None else sum(map(_taken, parts))
    if parts is None or used > x.ndim:
        return None
    basic: list[object] = []
    found: list[tuple[int, Node]] = []  # axes of the view, and the indices along them
    where: list[int] = []  # the parts that are arrays, or ints beside arrays
    axis = shown = first = 0
    for n, part in enumerate(parts):
        if isinstance(part, Node | int):
            if not where:
                first = shown - len(found)
            where.append(n)
        if isinstance(part, Node):
            if part.dtype.kind == "b" and part.shape != x.shape[axis : axis + len(part.shape)]:
                return None
            for index in nonzero(part) if part.dtype.kind == "b" else [part]:
                found.append((shown, index))
                basic.append(slice(None))
                shown += 1
                axis += 1
            continue
        basic.append(part)
        taken = x.ndim - used if part is Ellipsis else _taken(part)
        shown += 1 if part is None else 0 if isinstance(part, int) else taken
        axis += taken
    view = x[tuple(basic)]
    try:
        block = np.broadcast_shapes(*[index.shape for _, index in found])
    except ValueError:
        return None
    at = first if where[-1] - where[0] == len(where) - 1 else 0
    numbers = {a: n for n, (a, _) in enumerate(found)}
    rest = [n for a, n in enumerate(view.shape) if a not in numbers]
    plain = iter([*range(at), *range(at + len(block), len(block) + len(rest))])
    axes = tuple([(numbers[a], COMPUTED, 0) if a in numbers else (0, next(plain), 1) for a in range(view.ndim)])
    shape = (*rest[:at], *block, *rest[at:])
    if value is not None:
        _check_shape(value, shape)
    if 0 not in block:
        axes_of = _axes_of_view(x, basic)
        for a, index in found:
            check(index, view.shape[a], axes_of[a])
    masks = all(part.dtype.kind == "b" for part in parts if isinstance(part, Node))
    return Chosen(view, axes, tuple([spread(index, block, at, shape) for _, index in found]), shape, masks)


def _parts(key: tuple[object, ...]) -> list[object] | None:
    """The parts of a key, arrays as nodes and with an ellipsis. None if there is something else among them, or no array."""
    found: list[object] = []
    for item in key:
        part: object = item
        if isinstance(item, ndarray):
            part = item._node()
        elif isinstance(item, list | np.ndarray):
            if isinstance(item, list):
                item = [numpy_of(i._node()) if isinstance(i, ndarray) else i for i in item]
            array = np.array(item)  # a copy: it must stay as it is checked
            part = elementwise.constant(array.astype(np.int64) if isinstance(item, list) and not array.size else array)
        elif item is not None and item is not Ellipsis and not isinstance(item, slice):
            if isinstance(item, bool | np.bool_) or not hasattr(item, "__index__"):
                return None
            part = operator.index(item)
        if isinstance(part, Node) and not part.shape and part.dtype.kind in "iu":
            part = int(numpy_of(part))
        if isinstance(part, Node) and (part.dtype.kind not in "biu" or (part.dtype.kind == "b" and not part.shape)):
            return None
        found.append(part)
    count = sum(part is Ellipsis for part in found)
    if count > 1 or not any(isinstance(part, Node) for part in found):
        return None
    return found if count else [*found, Ellipsis]


def _taken(part: object) -> int:
    """How many axes of the array a part of a key speaks of."""
    if isinstance(part, Node):
        return len(part.shape) if part.dtype.kind == "b" else 1
    return 0 if part is None or part is Ellipsis else 1


def _axes_of_view(x: ndarray, basic: list[object]) -> list[int]:
    """For each axis of a view the array's (-1 for a new one)."""
    found: list[int] = []
    axis = 0
    for part in basic:
        if part is Ellipsis:
            count = x.ndim - sum(p is not None and p is not Ellipsis for p in basic)
            found += range(axis, axis + count)
            axis += count
        elif part is None:
            found.append(-1)
        else:
            if isinstance(part, slice):
                found.append(axis)
            axis += 1
    return found


def spread(index: Node, block: Shape, at: int, shape: Shape) -> Node:
    """An index of a shape that broadcasts to ``block`` as an array of ``shape``, whose axes from ``at`` on are the block's."""
    axes = tuple((start, a if a < 0 else a + at, step) for start, a, step in broadcast(index.shape, block))
    return index if axes == identity(shape) and index.shape == shape else Node("view", (index,), axes, shape, index.dtype)


def nonzero(mask: Node) -> list[Node]:
    """The indices along each axis of the elements that are true, computed at once."""
    if _is_short(mask):
        return [elementwise.constant(np.ascontiguousarray(found)) for found in numpy_of(mask).nonzero()]
    ramps = [Node("iota", (), (), (n,), int64) for n in mask.shape]
    shown = [Node("view", (ramp,), ((0, axis, 1),), mask.shape, int64) for axis, ramp in enumerate(ramps)]
    return _compacted(mask, shown, mask.device or "cpu")


def masked(x: Node, mask: Node) -> ndarray:
    """The elements where a mask of the same shape holds, computed at once."""
    if _is_short(mask) and x.device == "cpu" and mask.device in (None, "cpu"):
        return fresh(elementwise.constant(numpy_of(x)[numpy_of(mask)]))
    return fresh(_compacted(mask, [x], x.device or "cpu")[0])


def _is_short(mask: Node) -> bool:
    return mask.device in (None, "cpu") and mask.size <= SHORT


def _compacted(mask: Node, values: list[Node], device: str) -> list[Node]:
    _flush_below([mask, *values])
    return compact(mask, values, device)


def _flush_below(nodes: list[Node]) -> None:
    """Do what is recorded if nodes need assignments that are pending: others may read what was there before."""
    if any(node.op in ("update", "scatter") for node in postorder(nodes)):
        pending.flush()


def check(index: Node, extent: int, axis: int) -> None:
    """Raise ``IndexError`` if there is an element of ``index`` that no element of an axis has."""
    if 0 in index.shape or ((found := extremes(index)) is not None and -extent <= found[0] and found[1] < extent):
        return
    low, high = _measured(index)
    if low < -extent or high >= extent:
        values = numpy_of(index).ravel()
        wrong = values[(values < -extent) | (values >= extent)][0]
        raise IndexError(f"index {wrong} is out of bounds for axis {axis} with size {extent}")


SHORT = 1 << 14  # elements that NumPy has looked at before a kernel has started


def _measured(index: Node) -> tuple[int, int]:
    """The least and the greatest element of an array of integers, which is computed."""
    if index.place is None:
        _flush_below([index])
        if index.device is None:
            index.device = "cpu"
        evaluate([index])
    if index.device in (None, "cpu") and index.size <= SHORT:
        values = numpy_of(index)
        return int(values.min()), int(values.max())
    axes = tuple(range(len(index.shape)))
    ends = [Node("reduce", (index,), (function, axes), (), index.dtype) for function in ("minimum", "maximum")]
    for end in ends:
        end.device = index.device or "cpu"
    evaluate(ends)
    return int(numpy_of(ends[0])), int(numpy_of(ends[1]))


def gather(base: Node, axes: AxisMap, indices: tuple[Node, ...], shape: Shape) -> ndarray:
    """The elements of a node that ``axes`` and indices of ``shape`` choose."""
    return fresh(Node("gather", (base, *indices), axes, shape, base.dtype))


def scatter(to: Chosen, value: Node, function: str = "") -> None:
    """Give the elements that a key chooses values in C order, combined with what is there by a function."""
    target = to.view
    shape = _check_shape(value.shape, to.shape)
    if shape != value.shape:
        value = Node("view", (value,), ((0, -1, 0),) * (len(value.shape) - len(shape)) + identity(shape), shape, value.dtype)
    base = target._storage.node
    elementwise.check_writeable(base)
    if value.dtype is not base.dtype:
        value = Node("cast", (value,), (), value.shape, base.dtype)
    value = _shown(value, to.shape)
    attrs = (target._offset, strides_of(target), target.shape, to.axes, function, to.distinct)
    storage = target._storage
    storage.node = Node("scatter", (base, value, *to.indices), attrs, base.shape, base.dtype)
    pending.add(storage)


def _shown(value: Node, shape: Shape) -> Node:
    """A node broadcast to a shape."""
    return value if value.shape == shape else Node("view", (value,), broadcast(value.shape, shape), shape, value.dtype)


def _check_shape(given: Shape, wanted: Shape) -> Shape:
    """The shape of values without leading axes of one element that the elements they go to do not have: NumPy drops those. Raises
    ``ValueError`` if the values do not fit."""
    extra = max(0, len(given) - len(wanted))
    kept = given[extra:] if given[:extra] == (1,) * extra else given
    if not broadcasts_to(kept, wanted):
        shapes = f"value array of shape {shape_text(given)} could not be broadcast to indexing result of shape {shape_text(wanted)}"
        raise ValueError(f"shape mismatch: {shapes}")
    return kept


# ------------------------------------------------------------------------------------------------------------------------ along an axis


def take(x: ndarray, indices: object, axis: int | None = None, out: ndarray | None = None, mode: str = "raise") -> ndarray:
    """The elements at indices along an axis (of the elements in C order, if none is given). Indices that are out of bounds raise
    ``IndexError``, or by ``mode`` count around ("wrap") or stay at the ends ("clip")."""
    parts = None if mode not in ("raise", "wrap", "clip") else _parts((np.asarray(indices) if np.isscalar(indices) else indices,))
    if parts is None or not isinstance(parts[0], Node) or parts[0].dtype.kind == "b":
        return host.array(np.take, (x, indices), {"axis": axis, "out": out, "mode": mode})
    index = parts[0]
    if axis is None:
        x, axis = x.reshape(-1), 0
    axis = normalize_axis_index(axis, max(x.ndim, 1))
    x = x if x.shape else x.reshape(1)
    extent = x.shape[axis]
    shape = (*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])
    if not extent and index.size and 0 not in x.shape[:axis] + x.shape[axis + 1 :]:
        raise IndexError("cannot do a non-empty take from an empty axes.")
    if mode == "raise":
        if 0 not in shape:
            check(index, extent, axis)
    elif index.size and extent:
        if mode == "wrap":
            index = elementwise.map_nodes("remainder", (_as_int64(index), extent))
        else:
            index = elementwise.map_nodes("minimum", (elementwise.map_nodes("maximum", (_as_int64(index), 0)), extent - 1))
    if out is not None and out.shape != shape:
        raise ValueError("output array does not match result of ndarray.take")
    count = len(index.shape)
    axes = tuple([(0, COMPUTED, 0) if a == axis else (0, a if a < axis else a + count - 1, 1) for a in range(x.ndim)])
    return elementwise.finish(gather(x._node(), axes, (spread(index, index.shape, axis, shape),), shape), out)


def _as_int64(index: Node) -> Node:
    return index if index.dtype is int64 else Node("cast", (index,), (), index.shape, int64)


def take_along_axis(x: ndarray, indices: object, axis: int | None = -1) -> ndarray:
    """The element along an axis that each element of ``indices`` says; the other axes are those of both, broadcast."""
    along = _along(x, indices, axis)
    if along is None:
        return host.array(np.take_along_axis, (x, indices), {"axis": axis})
    return gather(along.view._node(), along.axes, along.indices, along.shape)


def put_along_axis(x: ndarray, indices: object, values: object, axis: int | None) -> None:
    """Give the element along an axis that each element of ``indices`` says a value."""
    along = _along(x, indices, axis)
    if along is None:
        host.call(np.put_along_axis, (x, indices, values, axis), {})
        return
    value = elementwise.operand(values)
    scatter(along, value if isinstance(value, Node) else elementwise.scalar_for(value, x))


def along_row(x: ndarray, index: ndarray, distinct: bool) -> Chosen:
    """The elements of an array of one axis at indices, which are in bounds. ``distinct``: none is there twice."""
    return Chosen(x, ((0, COMPUTED, 0),), (index._node(),), index.shape, distinct)


def _along(x: ndarray, indices: object, axis: int | None) -> Chosen | None:
    index = indices._node() if isinstance(indices, ndarray) else elementwise.constant(np.array(indices))
    if index.dtype.kind not in "iu":
        return None  # NumPy says what is wrong
    if axis is None:
        if len(index.shape) != 1:
            return None
        x, axis = x.reshape(-1), 0
    axis = normalize_axis_index(axis, x.ndim)
    if len(index.shape) != x.ndim:
        return None
    try:
        shape = np.broadcast_shapes(
            (*x.shape[:axis], 1, *x.shape[axis + 1 :]), (*index.shape[:axis], 1, *index.shape[axis + 1 :])
        )  # fmt: skip
    except ValueError:
        return None
    shape = (*shape[:axis], index.shape[axis], *shape[axis + 1 :])
    if 0 not in shape:
        check(index, x.shape[axis], axis)
    axes = [(0, COMPUTED, 0) if a == axis else (0, a, 1) if n == shape[a] else (0, -1, 0) for a, n in enumerate(x.shape)]
    return Chosen(x, tuple(axes), (spread(index, shape, 0, shape),), shape)


# --------------------------------------------------------------------------------------------------------------------------- ufunc.at


def at(function: np.ufunc, x: object, key: object, *values: object) -> bool:
    """``ufunc.at``: combine elements with values one after the other. False if that is not for a kernel."""
    name = elementwise.fused_name(function)
    if not isinstance(x, ndarray) or name is None or len(values) != 1 or function.nin != 2:
        return False
    if name == "power" and x.dtype.kind in "iu":
        return False  # NumPy refuses negative exponents
    value = elementwise.operand(values[0])
    kind = x._storage.node.dtype
    probe = elementwise.map_nodes(name, (Node("scalar", (), (0,), (), kind), value)) if not kind.is_complex else None
    if probe is None or probe.op != "map" or probe.attrs != (name, (kind.name, kind.name)) or probe.dtype is not kind:
        return False
    to = chosen(x, key if type(key) is tuple else (key,))
    if to is None:
        return False
    given = probe.args[1]
    device = x._storage.node.device or "cpu"
    count = math.prod(to.shape)
    if kind.kind in "iuf" and not in_any_order(name, kind) and not one_by_one(device, count // ENOUGH):
        from anygpu.arrays import combining  # whose kernels other devices do not need

        shape = _check_shape(given.shape, to.shape)
        if shape == given.shape and combining.combine(function, to, _shown(given, to.shape)):
            return True
    scatter(to, given, name)
    return True


ENOUGH = 32  # times as many elements are sorted as are only scattered before it is the faster way
