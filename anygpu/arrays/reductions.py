"""Reductions over axes: sums, extremes, means and their like."""

from __future__ import annotations

import functools
import math
import operator

import numpy as np

from anygpu.arrays import elementwise, host, manipulation
from anygpu.arrays.manipulation import axes_of
from anygpu.arrays.ndarray import ndarray, wrap
from anygpu.dtypes import DType, bool_, float32, int64, uint64
from anygpu.ir.graph import Node, Shape
from anygpu.passes.fusion import SERIAL_PART, part_length


class _Nothing:
    """Marks an argument that was not given."""

    def __repr__(self) -> str:
        return "<no value>"


NOTHING = _Nothing()
LARGE = 1 << 20  # elements from which on the variance along a long axis is found in parts


def reduce(
    function: str, x: ndarray, axis: object, dtype: DType, out: object, keepdims: bool, initial: object = NOTHING, where: object = NOTHING
) -> ndarray:  # fmt: skip
    """``ufunc.reduce``: the elements over some axes combined by a function, in a dtype."""
    node = x._node()
    axes = () if not x.shape and axis in (0, -1) else _axes(axis, x.ndim)  # ufuncs reduce a number over axis 0 too
    if where is not NOTHING and where is not True:
        return host.array(getattr(np, function).reduce, (x,), _given(axis=axis, out=out, keepdims=keepdims, initial=initial, where=where))
    if function in ("maximum", "minimum", "fmax", "fmin") and initial is NOTHING and any(node.shape[a] == 0 for a in axes):
        raise ValueError(f"zero-size array to reduction operation {function} which has no identity")
    if node.dtype is not dtype or not axes:  # the value of no other array, which may be written to
        node = Node("cast", (node,), (), node.shape, dtype)
    if axes:
        shape = tuple([n for a, n in enumerate(node.shape) if a not in axes])
        node = Node("reduce", (node,), (function, tuple(sorted(axes))), shape, dtype)
    if initial is not NOTHING and initial is not None:
        node = elementwise.map_nodes(function, (node, elementwise.operand(np.asarray(initial, dtype.numpy)[()])))
    if keepdims and axes:
        node = kept(node, axes, x.shape)
    return elementwise.finish(wrap(node), out)


def _axes(axis: object, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    if type(axis) is tuple and len({a % ndim for a in axis if -ndim <= a < ndim}) < len([a for a in axis if -ndim <= a < ndim]):
        raise ValueError("duplicate value in 'axis'")
    return axes_of(axis, ndim)


def _given(**named: object) -> dict[str, object]:
    return {name: value for name, value in named.items() if value is not NOTHING}


def summed(x: ndarray, dtype: object) -> DType:
    """The dtype in which elements are added: integers and bools in 64 bits."""
    if dtype is not None:
        return elementwise.known(dtype)
    mine = x._storage.node.dtype
    if mine.kind in "bi":
        return int64 if mine.kind == "b" or mine.bits < 64 else mine
    return uint64 if mine.kind == "u" else mine


def sum_(x, axis=None, dtype=None, out=None, keepdims=False, initial=NOTHING, where=NOTHING) -> ndarray:  # type: ignore[no-untyped-def]
    """The sum over axes."""
    return reduce("add", x, axis, summed(x, dtype), out, keepdims, initial, where)


def prod(x, axis=None, dtype=None, out=None, keepdims=False, initial=NOTHING, where=NOTHING) -> ndarray:  # type: ignore[no-untyped-def]
    """The product over axes."""
    return reduce("multiply", x, axis, summed(x, dtype), out, keepdims, initial, where)


def max_(x, axis=None, out=None, keepdims=False, initial=NOTHING, where=NOTHING) -> ndarray:  # type: ignore[no-untyped-def]
    """The greatest element over axes; NaN if there is one."""
    return _extreme("maximum", x, axis, out, keepdims, initial, where)


def min_(x, axis=None, out=None, keepdims=False, initial=NOTHING, where=NOTHING) -> ndarray:  # type: ignore[no-untyped-def]
    """The least element over axes; NaN if there is one."""
    return _extreme("minimum", x, axis, out, keepdims, initial, where)


def _extreme(function: str, x: ndarray, axis: object, out: object, keepdims: bool, initial: object, where: object) -> ndarray:
    dtype = x._storage.node.dtype
    if dtype.is_complex:
        return host.array(getattr(np, function).reduce, (x,), _given(axis=axis, out=out, keepdims=keepdims, initial=initial, where=where))
    return reduce(function, x, axis, dtype, out, keepdims, initial, where)


def any_(x, axis=None, out=None, keepdims=False, *, where=NOTHING) -> ndarray:  # type: ignore[no-untyped-def]
    """Whether any element over axes is true."""
    return reduce("logical_or", x, axis, bool_, out, keepdims, NOTHING, where)


def all_(x, axis=None, out=None, keepdims=False, *, where=NOTHING) -> ndarray:  # type: ignore[no-untyped-def]
    """Whether all elements over axes are true."""
    return reduce("logical_and", x, axis, bool_, out, keepdims, NOTHING, where)


def _count(x: ndarray, axis: object) -> int:
    return x.size if axis is None else math.prod(x.shape[a] for a in _axes(axis, x.ndim))


def mean(x, axis=None, dtype=None, out=None, keepdims=False, *, where=NOTHING) -> ndarray:  # type: ignore[no-untyped-def]
    """The mean over axes: float64 of integers and bools; halves are added in float32."""
    count = _count(x, axis)
    if count == 0 or (where is not NOTHING and where is not True):
        return host.array(np.mean, (x,), _given(axis=axis, dtype=dtype, out=out, keepdims=keepdims, where=where))
    mine = x._storage.node.dtype
    result = elementwise.known(dtype) if dtype is not None else mine if mine.is_float or mine.is_complex else elementwise.known("f8")
    total = reduce("add", x, axis, float32 if result.is_half else result, None, keepdims)
    found = elementwise.binary("divide", total, count)
    return elementwise.finish(found if not result.is_half else found.astype(result.numpy), out)


def var(x, axis=None, dtype=None, out=None, ddof=0, keepdims=False, *, where=NOTHING, mean=NOTHING, correction=NOTHING) -> ndarray:  # type: ignore[no-untyped-def]
    """The variance over axes, of which ``ddof`` degrees of freedom are gone."""
    mine = x._storage.node.dtype
    count = _count(x, axis)
    plain = where is NOTHING and mean is NOTHING and not mine.is_complex and not mine.is_half and dtype is None
    if correction is not NOTHING:
        ddof = correction
    if not plain or count - ddof <= 0:
        return host.array(np.var, (x,), _given(axis=axis, dtype=dtype, out=out, ddof=ddof, keepdims=keepdims, where=where, mean=mean))
    result = mine if mine.is_float else elementwise.known("f8")
    axes = _axes(axis, x.ndim)
    if len(axes) == x.ndim > 1 and x._strides is None and not keepdims:  # one row
        x, axes = manipulation.ravel(x), (0,)
    part = _part_of(x, axes)
    squares = _squares(x, axes, result, keepdims)[1] if part is None else _squares_in_parts(x, axes[0], part, result, keepdims)
    return elementwise.finish(elementwise.binary("divide", squares, count - ddof), out)


def _squares(x: ndarray, axes: tuple[int, ...], dtype: DType, keepdims: bool) -> tuple[ndarray, ndarray]:
    """The means over axes, which are kept as ones, and the sums of the squares around them."""
    count = math.prod(x.shape[a] for a in axes)
    centre = elementwise.binary("divide", reduce("add", x, axes, dtype, None, True), count)
    apart = elementwise.binary("subtract", x, centre)
    return centre, reduce("add", elementwise.binary("multiply", apart, apart), axes, dtype, None, keepdims)


def _part_of(x: ndarray, axes: tuple[int, ...]) -> int | None:
    """How long the parts of an axis are that is so long that its mean and the squares around it are better found in parts: then memory is
    read once, since each part is in the cache when the squares are summed. None if it is not."""
    if len(axes) != 1 or x.size < LARGE or x._storage.node.place is None:  # what is only recorded would have to be stored
        return None
    (axis,) = axes
    part = part_length("block" if x.strides[axis] == x.itemsize else "serial", (x.shape[axis],))
    return part if part != SERIAL_PART else _divisor(x.shape[axis])


@functools.lru_cache
def _divisor(length: int) -> int:
    """How long the parts of columns are: what is left over is a kernel of its own, the less of it the better."""
    return min(range(SERIAL_PART // 2, SERIAL_PART + 1), key=lambda part: (length % part, -part))


def _squares_in_parts(x: ndarray, axis: int, part: int, dtype: DType, keepdims: bool) -> ndarray:
    """The sums of the squares around the means along an axis, from those of its parts (T. Chan, G. Golub, R. LeVeque, Updating formulae
    and a pairwise algorithm for computing sample variances, 1979)."""
    n, before = x.shape[axis], (slice(None),) * axis
    count = n // part
    whole = manipulation.reshape(x[(*before, slice(count * part))], (*x.shape[:axis], count, part, *x.shape[axis + 1 :]))
    means, squares = _squares(manipulation.moveaxis(whole, axis, 0), (axis + 1,), dtype, True)
    rest = n - count * part
    mean = reduce("add", means, 0, dtype, None, False) / count
    if rest:
        last, more = _squares(x[(*before, slice(count * part, None))], (axis,), dtype, True)
        mean = mean + (last - mean) * (rest / n)
    apart = means - mean
    found = reduce("add", squares + apart * apart * part, 0, dtype, None, False)
    if rest:
        apart = last - mean
        found = found + more + apart * apart * rest
    return found if keepdims else manipulation.squeeze(found, axis)


def std(x, axis=None, dtype=None, out=None, ddof=0, keepdims=False, *, where=NOTHING, mean=NOTHING, correction=NOTHING) -> ndarray:  # type: ignore[no-untyped-def]
    """The standard deviation over axes, of which ``ddof`` degrees of freedom are gone."""
    found = var(x, axis, dtype, None, ddof, keepdims, where=where, mean=mean, correction=correction)
    return elementwise.finish(elementwise.call("sqrt", found), out)


def argmax(x, axis=None, out=None, *, keepdims=False) -> ndarray:  # type: ignore[no-untyped-def]
    """The index of the greatest element along an axis, of the first of several: NaN counts as the greatest."""
    return _where("argmax", x, axis, out, keepdims)


def argmin(x, axis=None, out=None, *, keepdims=False) -> ndarray:  # type: ignore[no-untyped-def]
    """The index of the least element along an axis, of the first of several: NaN counts as the least."""
    return _where("argmin", x, axis, out, keepdims)


def _where(function: str, x: ndarray, axis: object, out: object, keepdims: bool) -> ndarray:
    node = x._node()
    if node.dtype.is_complex:
        return host.array(getattr(np, function), (x,), _given(axis=axis, out=out, keepdims=keepdims))
    if axis is None or (not node.shape and axis in (0, -1)):
        axes = tuple(range(x.ndim))
    else:
        axes = axes_of(integer_axis(axis), x.ndim)
    if any(node.shape[a] == 0 for a in axes):
        raise ValueError(f"attempt to get {function} of an empty sequence")
    shape = tuple([n for a, n in enumerate(node.shape) if a not in axes])
    if axes:
        node = Node("reduce", (node,), (function, axes), shape, int64)
    else:
        node = Node("view", (Node("scalar", (), (0,), (), int64),), (), (), int64)
    if keepdims and axes:
        node = kept(node, axes, x.shape)
    if isinstance(out, ndarray):
        if not np.can_cast(out.dtype, np.int64, "safe"):
            raise TypeError(f"Cannot cast array data from {out.dtype!r} to dtype('int64') according to the rule 'safe'")
        if out.shape != node.shape:
            raise ValueError(f"output array does not match result of np.{function}.")
        elementwise.assign(out, node)
        return out
    return elementwise.finish(wrap(node), out)


def integer_axis(axis: object) -> int:
    """An axis that must be one integer."""
    if isinstance(axis, bool):
        raise TypeError("an integer is required for the axis")
    return operator.index(axis)  # type: ignore[arg-type]


def kept(node: Node, axes: tuple[int, ...], shape: Shape) -> Node:
    """A reduced node with the axes of ``shape`` that it lost, each of one element."""
    found = tuple([1 if a in axes else n for a, n in enumerate(shape)])
    return Node("view", (node,), tuple((0, a, 1) for a in range(len(shape)) if a not in axes), found, node.dtype)
