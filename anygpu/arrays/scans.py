"""Running sums, products and extremes along an axis."""

from __future__ import annotations

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from anygpu.arrays import elementwise, host
from anygpu.arrays.ndarray import ndarray, wrap
from anygpu.arrays.reductions import integer_axis, summed
from anygpu.dtypes import DType, from_numpy
from anygpu.ir.graph import Node

# What can be combined in another order than NumPy's; of minima and maxima, and of ints, the order does not even show.
SCANS = frozenset((
    "add", "multiply", "maximum", "minimum", "fmax", "fmin", "logical_and", "logical_or", "logical_xor", "bitwise_and", "bitwise_or",
    "bitwise_xor",
))  # fmt: skip


def cumsum(x, axis=None, dtype=None, out=None) -> ndarray:  # type: ignore[no-untyped-def]
    """The running sum along an axis (of all elements in C order, if none is given)."""
    return _cumulated("add", x, axis, dtype, out)


def cumprod(x, axis=None, dtype=None, out=None) -> ndarray:  # type: ignore[no-untyped-def]
    """The running product along an axis (of all elements in C order, if none is given)."""
    return _cumulated("multiply", x, axis, dtype, out)


def _cumulated(function: str, x: ndarray, axis: object, dtype: object, out: object) -> ndarray:
    if axis is None:
        x, axis = x.reshape(-1), 0
    elif not x.shape:
        x = x.reshape(1)
    at = normalize_axis_index(integer_axis(axis), x.ndim)
    if isinstance(out, ndarray) and out.shape != x.shape:
        raise ValueError("provided out is the wrong size for the accumulation.")
    found = wrap(scan(function, x._node(), at, summed(x, dtype)))
    if isinstance(out, ndarray):
        elementwise.assign(out, found._node())
        return out
    return elementwise.finish(found, out)


def scan(function: str, node: Node, axis: int, dtype: DType) -> Node:
    """The node of a ufunc's ``accumulate`` in a dtype."""
    if node.dtype is not dtype:
        node = Node("cast", (node,), (), node.shape, dtype)
    if node.shape[axis] < 2:
        return Node("cast", (node,), (), node.shape, dtype)
    return Node("scan", (node,), (function, axis), node.shape, dtype)


def cumulative_sum(x, /, *, axis=None, dtype=None, out=None, include_initial=False) -> ndarray:  # type: ignore[no-untyped-def]
    """The running sum along an axis, which arrays of several axes must name; with ``include_initial`` after a zero."""
    return _cumulative("add", x, axis, dtype, out, include_initial)


def cumulative_prod(x, /, *, axis=None, dtype=None, out=None, include_initial=False) -> ndarray:  # type: ignore[no-untyped-def]
    """The running product along an axis, which arrays of several axes must name; with ``include_initial`` after a one."""
    return _cumulative("multiply", x, axis, dtype, out, include_initial)


def _cumulative(function: str, x: ndarray, axis: object, dtype: object, out: object, include_initial: bool) -> ndarray:
    if axis is None:
        if x.ndim > 1:
            raise ValueError("For arrays which have more than one dimension ``axis`` argument is required.")
        axis = 0
    if not x.shape:
        x = x.reshape(1)
    if not include_initial:
        return _cumulated(function, x, axis, dtype, out)
    at = normalize_axis_index(integer_axis(axis), x.ndim)
    shape = (*x.shape[:at], x.shape[at] + 1, *x.shape[at + 1 :])
    wanted = summed(x, dtype)
    if isinstance(out, ndarray) and out.shape != shape:
        raise ValueError("provided out is the wrong size for the accumulation.")
    found = out if isinstance(out, ndarray) else creation.empty(shape, wanted.numpy, device=x.device)
    before = (slice(None),) * at
    found[(*before, slice(1, None))] = _cumulated(function, x, at, wanted.numpy, None)
    found[(*before, 0)] = 0 if function == "add" else 1
    return found


def accumulate(ufunc: np.ufunc, x: ndarray, axis: object = 0, dtype: object = None, out: object = None) -> ndarray:
    """``ufunc.accumulate``."""
    name = elementwise.fused_name(ufunc)
    if isinstance(out, tuple):
        (out,) = out
    given = {"axis": axis, "dtype": dtype, "out": out}
    if name not in SCANS or not x.shape or axis is None or (out is not None and (not isinstance(out, ndarray) or out.shape != x.shape)):
        return host.array(ufunc.accumulate, (x,), given)
    result = from_numpy(ufunc.accumulate(np.zeros(1, x.dtype), dtype=dtype).dtype)  # type: ignore[arg-type]
    node = x._node()
    if result is None or ((node.dtype.is_complex or result.is_complex) and name not in ("add", "multiply")):
        return host.array(ufunc.accumulate, (x,), given)
    found = wrap(scan(name, node, normalize_axis_index(integer_axis(axis), x.ndim), result))
    if out is None:
        return found
    elementwise.assign(out, found._node())
    return out


from anygpu.arrays import creation  # noqa: E402 (at the end, since it builds on this)
