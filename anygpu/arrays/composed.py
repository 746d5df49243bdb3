"""NumPy's functions that are made of views, assignments, elementwise operations and reductions: for arrays on any device.

On the CPU most of these go to NumPy itself; on other devices, where NumPy would have to copy, they are these (`ON_DEVICES`).
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import cast

import numpy as np

from anygpu.arrays import creation, elementwise, fourier, host, manipulation, matmul, placing, reductions, sorting
from anygpu.arrays.ndarray import ndarray
from anygpu.ir.graph import shape_text


def _arrays(values: object) -> list[ndarray]:
    """Operands as arrays of one device."""
    items = list(values) if isinstance(values, Iterable) else [values]
    device = host.device_among(items)
    return [creation.asarray(item, device=device) for item in items]


def _array(value: object) -> ndarray:
    return value if isinstance(value, ndarray) else creation.asarray(value)


def _at(axis: int, item: object) -> tuple[object, ...]:
    """The key that chooses along one axis."""
    return (*(slice(None),) * axis, item)


# ----------------------------------------------------------------------------------------------------------------------- joining


def concatenate(
    arrays: object, axis: int | None = 0, out: ndarray | None = None, *, dtype: object = None, casting: str = "same_kind"
) -> ndarray:
    """Arrays one after the other along an axis (flattened, if it is None)."""
    given = _arrays(arrays)
    if not given:
        raise ValueError("need at least one array to concatenate")
    if axis is None:
        given, axis = [manipulation.ravel(x) for x in given], 0
    if not given[0].ndim:
        raise ValueError("zero-dimensional arrays cannot be concatenated")
    (axis,) = manipulation.axes_of(axis, given[0].ndim)
    for n, x in enumerate(given):
        if x.ndim != given[0].ndim:
            raise ValueError(
                "all the input arrays must have same number of dimensions, but the array "
                f"at index 0 has {given[0].ndim} dimension(s) and the array at index {n} has {x.ndim} dimension(s)"
            )
        for a, (one, other) in enumerate(zip(given[0].shape, x.shape, strict=True)):
            if a != axis and one != other:
                raise ValueError(
                    "all the input array dimensions except for the concatenation axis must match exactly, but along dimension "
                    f"{a}, the array at index 0 has size {one} and the array at index {n} has size {other}"
                )
    kind = np.dtype(dtype) if dtype is not None else np.result_type(*[x.dtype for x in given])  # type: ignore[call-overload]
    for x in given:
        if not np.can_cast(x.dtype, kind, casting):  # type: ignore[arg-type]
            raise TypeError(f"Cannot cast array data from {x.dtype!r} to {kind!r} according to the rule '{casting}'")
    shape = list(given[0].shape)
    shape[axis] = sum(x.shape[axis] for x in given)
    found = creation.empty(tuple(shape), kind, device=given[0].device) if out is None else out
    start = 0
    for x in given:
        found[_at(axis, slice(start, start + x.shape[axis]))] = x
        start += x.shape[axis]
    return found


def stack(arrays: object, axis: int = 0, out: ndarray | None = None, *, dtype: object = None, casting: str = "same_kind") -> ndarray:
    """Arrays of one shape along a new axis."""
    given = _arrays(arrays)
    if not given:
        raise ValueError("need at least one array to stack")
    if len({x.shape for x in given}) != 1:
        raise ValueError("all input arrays must have the same shape")
    (at,) = manipulation.axes_of(axis, given[0].ndim + 1)
    return concatenate([manipulation.expand_dims(x, at) for x in given], at, out, dtype=dtype, casting=casting)


def atleast_1d(*arrays: object) -> ndarray | tuple[ndarray, ...]:
    """Arrays with at least one axis."""
    return _each(arrays, lambda x: x if x.ndim else x.reshape(1))


def atleast_2d(*arrays: object) -> ndarray | tuple[ndarray, ...]:
    """Arrays with at least two axes, new ones first."""
    return _each(arrays, lambda x: x if x.ndim > 1 else x.reshape((1,) * (2 - x.ndim) + x.shape))


def atleast_3d(*arrays: object) -> ndarray | tuple[ndarray, ...]:
    """Arrays with at least three axes."""

    def deep(x: ndarray) -> ndarray:
        match x.shape:
            case ():
                return x.reshape(1, 1, 1)
            case (n,):
                return x.reshape(1, n, 1)
            case (m, n):
                return x.reshape(m, n, 1)
        return x

    return _each(arrays, deep)


def _each(arrays: Sequence[object], change: Callable[[ndarray], ndarray]) -> ndarray | tuple[ndarray, ...]:
    found = tuple(change(_array(x)) for x in arrays)
    return found[0] if len(found) == 1 else found


def _rows(arrays: object, deepen: Callable[..., ndarray | tuple[ndarray, ...]]) -> list[ndarray]:
    return [cast(ndarray, deepen(x)) for x in _arrays(arrays)]


def vstack(tup: object, *, dtype: object = None, casting: str = "same_kind") -> ndarray:
    """Arrays below each other."""
    return concatenate(_rows(tup, atleast_2d), 0, dtype=dtype, casting=casting)


def hstack(tup: object, *, dtype: object = None, casting: str = "same_kind") -> ndarray:
    """Arrays side by side."""
    given = _rows(tup, atleast_1d)
    return concatenate(given, 0 if given and given[0].ndim == 1 else 1, dtype=dtype, casting=casting)


def dstack(tup: object) -> ndarray:
    """Arrays along the third axis."""
    return concatenate(_rows(tup, atleast_3d), 2)


def column_stack(tup: object) -> ndarray:
    """Vectors and matrices as the columns of a matrix."""
    return concatenate([x if x.ndim > 1 else x.reshape(-1, 1) for x in _arrays(tup)], 1)


def append(arr: object, values: object, axis: int | None = None) -> ndarray:
    """An array with values after its last element along an axis."""
    one, other = _arrays((arr, values))
    return concatenate((one, other), axis)


# --------------------------------------------------------------------------------------------------------------- order and parts


def flip(m: object, axis: object = None) -> ndarray:
    """The elements in opposite order along axes (all, if none is given): a view."""
    x = _array(m)
    axes = range(x.ndim) if axis is None else manipulation.axes_of(axis, x.ndim)
    return x[tuple(slice(None, None, -1) if a in axes else slice(None) for a in range(x.ndim))]


def flipud(m: object) -> ndarray:
    """The rows in opposite order: a view."""
    x = _array(m)
    if x.ndim < 1:
        raise ValueError("Input must be >= 1-d.")
    return flip(x, 0)


def fliplr(m: object) -> ndarray:
    """The columns in opposite order: a view."""
    x = _array(m)
    if x.ndim < 2:
        raise ValueError("Input must be >= 2-d.")
    return flip(x, 1)


def rot90(m: object, k: int = 1, axes: tuple[int, int] = (0, 1)) -> ndarray:
    """The plane of two axes turned by k right angles: a view."""
    x = _array(m)
    if len(axes) != 2:
        raise ValueError("len(axes) must be 2.")
    a, b = axes
    if a % max(1, x.ndim) == b % max(1, x.ndim):
        raise ValueError("Axes must be different.")
    if not (-x.ndim <= a < x.ndim and -x.ndim <= b < x.ndim):
        raise ValueError(f"Axes={axes} out of range for array of ndim={x.ndim}.")
    match k % 4:
        case 0:
            return x[:]
        case 2:
            return flip(flip(x, a), b)
        case 1:
            return manipulation.swapaxes(flip(x, b), a, b)
    return flip(manipulation.swapaxes(x, a, b), b)


def roll(a: object, shift: object, axis: object = None) -> ndarray:
    """The elements moved along axes; those that leave at one end come in at the other."""
    x = _array(a)
    if axis is None:
        return manipulation.reshape(roll(manipulation.ravel(x), shift, 0), x.shape)
    axes = manipulation.axes_of(axis, x.ndim) if isinstance(axis, tuple) else manipulation.axes_of((axis,), x.ndim)
    moves = np.broadcast_arrays(np.asarray(shift), np.asarray(axes))
    if moves[0].ndim > 1:
        raise ValueError("'shift' and 'axis' should be scalars or 1D sequences")
    for by, along in zip(*(part.tolist() for part in moves), strict=True):
        n = x.shape[along]
        by = by % n if n else 0
        if by:
            x = concatenate((x[_at(along, slice(n - by, None))], x[_at(along, slice(0, n - by))]), along)
    return x if x is not a else x.copy()


def fftshift(x: object, axes: object = None) -> ndarray:
    """The zero frequency moved to the middle."""
    return _shifted(x, axes, lambda n: n // 2)


def ifftshift(x: object, axes: object = None) -> ndarray:
    """The inverse of `fftshift`."""
    return _shifted(x, axes, lambda n: -(n // 2))


def _shifted(x: object, axes: object, by: Callable[[int], int]) -> ndarray:
    given = _array(x)
    over = tuple(range(given.ndim)) if axes is None else manipulation.axes_of(axes, given.ndim)
    return roll(given, [by(given.shape[a]) for a in over], over)


def array_split(ary: object, indices_or_sections: object, axis: int = 0) -> list[ndarray]:
    """Parts of an array along an axis, so many or at indices: views."""
    x = _array(ary)
    n = x.shape[axis]
    if isinstance(indices_or_sections, Iterable):
        ends = [0, *map(operator.index, indices_or_sections), n]
    else:
        count = operator.index(indices_or_sections)  # type: ignore[arg-type]
        if count <= 0:
            raise ValueError("number sections must be larger than 0.")
        each, more = divmod(n, count)
        ends = [0, *np.cumsum([each + 1] * more + [each] * (count - more)).tolist()]
    (along,) = manipulation.axes_of(axis, x.ndim)
    return [x[_at(along, slice(a, b))] for a, b in itertools.pairwise(ends)]


def split(ary: object, indices_or_sections: object, axis: int = 0) -> list[ndarray]:
    """Parts of an array along an axis, of one length or at indices: views."""
    x = _array(ary)
    if not isinstance(indices_or_sections, Iterable) and x.shape[axis] % operator.index(indices_or_sections):  # type: ignore[arg-type]
        raise ValueError("array split does not result in an equal division")
    return array_split(x, indices_or_sections, axis)


def tile(A: object, reps: object) -> ndarray:
    """The array repeated along its axes."""
    x = _array(A)
    counts = tuple(map(operator.index, reps)) if isinstance(reps, Iterable) else (operator.index(reps),)  # type: ignore[arg-type]
    ndim = max(x.ndim, len(counts))
    shape = (1,) * (ndim - x.ndim) + x.shape
    counts = (1,) * (ndim - len(counts)) + counts
    spread = manipulation.reshape(x, tuple(n for pair in zip((1,) * ndim, shape, strict=True) for n in pair))
    wanted = tuple(n for pair in zip(counts, shape, strict=True) for n in pair)
    found = manipulation.broadcast_to(spread, wanted).copy()
    return manipulation.reshape(found, tuple(c * n for c, n in zip(counts, shape, strict=True)))


def meshgrid(*xi: object, copy: bool = True, sparse: bool = False, indexing: str = "xy") -> tuple[ndarray, ...]:
    """Coordinate arrays of a grid."""
    if indexing not in ("xy", "ij"):
        raise ValueError("Valid values for `indexing` are 'xy' and 'ij'.")
    given = [manipulation.ravel(x) for x in _arrays(xi)]
    count = len(given)
    found = [x.reshape((1,) * n + (-1,) + (1,) * (count - n - 1)) for n, x in enumerate(given)]
    if indexing == "xy" and count > 1:
        found = [manipulation.swapaxes(x, 0, 1) for x in found]
    if not sparse:
        found = list(broadcast_arrays(*found))
    return tuple(x.copy() for x in found) if copy else tuple(found)


def broadcast_arrays(*args: object) -> tuple[ndarray, ...]:
    """Arrays in the shape that they broadcast to: views."""
    given = _arrays(args)
    shape = np.broadcast_shapes(*[x.shape for x in given])
    return tuple(x if x.shape == shape else manipulation.broadcast_to(x, shape) for x in given)


def _triangle(m: object, k: int, upper: bool) -> ndarray:
    x = _array(m)
    if x.ndim < 1:
        raise ValueError("tril and triu take arrays of one axis or more")
    rows, columns = (x.shape[-1],) * 2 if x.ndim == 1 else x.shape[-2:]
    i = creation.asarray(np.arange(rows), device=x.device).reshape(rows, 1)
    j = creation.asarray(np.arange(columns), device=x.device)
    inside = (j - i >= k) if upper else (j - i <= k)
    return elementwise.where(inside, x, np.zeros((), x.dtype)[()])


def tril(m: object, k: int = 0) -> ndarray:
    """The elements on and below the k-th diagonal; zeros above."""
    return _triangle(m, k, False)


def triu(m: object, k: int = 0) -> ndarray:
    """The elements on and above the k-th diagonal; zeros below."""
    return _triangle(m, k, True)


def diag(v: object, k: int = 0) -> ndarray:
    """The k-th diagonal of a matrix, or a matrix with a vector as its diagonal."""
    x = _array(v)
    if x.ndim == 2:
        return manipulation.diagonal(x, k).copy()
    if x.ndim != 1:
        raise ValueError("Input must be 1- or 2-d.")
    n = x.shape[0] + abs(k)
    found = creation.zeros((n, n), x.dtype, device=x.device)
    if x.size:
        manipulation.diagonal(found, k)[...] = x
    return found


# ------------------------------------------------------------------------------------------------------------ differences and sums


def diff(a: object, n: int = 1, axis: int = -1, prepend: object = None, append: object = None) -> ndarray:
    """The differences of neighbours along an axis, n times."""
    x = _array(a)
    if n < 0:
        raise ValueError(f"order must be non-negative but got {n}")
    if not x.ndim:
        raise ValueError("diff requires input that is at least one dimensional")
    (axis,) = manipulation.axes_of(axis, x.ndim)
    parts = [x]
    for more, first in ((prepend, True), (append, False)):
        if more is not None:
            (edge,) = _arrays([more]) if not isinstance(more, ndarray) else [more]
            edge = edge.to_device(x.device)
            if not edge.ndim:
                edge = manipulation.broadcast_to(edge, (*x.shape[:axis], 1, *x.shape[axis + 1 :]))
            parts.insert(0, edge) if first else parts.append(edge)
    if len(parts) > 1:
        x = concatenate(parts, axis)
    for _ in range(n):
        after, before = x[_at(axis, slice(1, None))], x[_at(axis, slice(None, -1))]
        x = elementwise.call("not_equal" if x.dtype.kind == "b" else "subtract", after, before)
    return x


def trapezoid(y: object, x: object = None, dx: object = 1.0, axis: int = -1) -> ndarray:
    """The integral along an axis by the trapezoidal rule."""
    values = _array(y)
    (axis,) = manipulation.axes_of(axis, values.ndim)
    width: object = dx
    if x is not None:
        at = creation.asarray(x, device=values.device)
        width = diff(at) if at.ndim == 1 else diff(at, axis=axis)
        if at.ndim == 1:
            width = width.reshape((-1,) + (1,) * (values.ndim - axis - 1))
    total = elementwise.binary("add", values[_at(axis, slice(1, None))], values[_at(axis, slice(None, -1))])
    return reductions.sum_(elementwise.binary("divide", elementwise.binary("multiply", width, total), 2.0), axis)


def count_nonzero(a: object, axis: object = None, *, keepdims: bool = False) -> ndarray:
    """How many elements over axes are not zero."""
    return reductions.sum_(elementwise.binary("not_equal", _array(a), 0), axis, np.int64, keepdims=keepdims)


def ptp(a: object, axis: object = None, out: ndarray | None = None, keepdims: bool = False) -> ndarray:
    """The distance of the greatest and the least element over axes."""
    x = _array(a)
    least = reductions.min_(x, axis, keepdims=keepdims)
    return elementwise.finish(elementwise.binary("subtract", reductions.max_(x, axis, keepdims=keepdims), least), out)


def nan_to_num(x: object, copy: bool = True, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None) -> ndarray:
    """NaN and infinities as numbers."""
    given = _array(x)
    if given.dtype.kind not in "fc":
        return given.copy() if copy else given
    if given.dtype.kind == "c":
        found = _complex_of(*[nan_to_num(part, True, nan, posinf, neginf) for part in (given.real, given.imag)])
    else:
        limits = np.finfo(given.dtype)  # type: ignore[type-var]
        high = limits.max if posinf is None else posinf
        low = limits.min if neginf is None else neginf
        infinite = elementwise.where(elementwise.binary("greater", given, 0), float(high), float(low))
        found = elementwise.where(elementwise.call("isnan", given), float(nan), given)
        found = elementwise.where(elementwise.call("isinf", given), infinite, found).astype(given.dtype, copy=False)
    if copy:
        return found
    elementwise.assign(given, found._node())
    return given


def _complex_of(real: ndarray, imag: ndarray) -> ndarray:
    return elementwise.binary("add", real, elementwise.binary("multiply", imag, 1j))


def isclose(a: object, b: object, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> ndarray:
    """Whether elements are equal within tolerances: ``|a - b| <= atol + rtol * |b|``."""
    x, y = _arrays((a, b))
    if y.dtype.kind != "c":
        y = y.astype(np.result_type(y.dtype, 1.0), copy=False)
    near = abs(x - y) <= atol + rtol * abs(y)
    found = elementwise.call("logical_or", elementwise.call("logical_and", near, elementwise.call("isfinite", y)), x == y)
    if equal_nan:
        both = elementwise.call("logical_and", elementwise.call("isnan", x), elementwise.call("isnan", y))
        found = elementwise.call("logical_or", found, both)
    return found


def allclose(a: object, b: object, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether all elements are equal within tolerances."""
    return bool(reductions.all_(isclose(a, b, rtol, atol, equal_nan)))


def array_equal(a1: object, a2: object, equal_nan: bool = False) -> bool:
    """Whether two arrays have one shape and equal elements."""
    x, y = _arrays((a1, a2))
    if x.shape != y.shape:
        return False
    same = x == y
    if equal_nan:
        both = elementwise.call("logical_and", elementwise.call("isnan", x), elementwise.call("isnan", y))
        same = elementwise.call("logical_or", same, both)
    return bool(reductions.all_(same))


# ------------------------------------------------------------------------------------------------------------------------- products


def dot(a: object, b: object, out: ndarray | None = None) -> ndarray:
    """NumPy's ``dot``: the sum over the last axis of ``a`` and the last but one of ``b``."""
    x, y = _arrays((a, b))
    if not x.ndim or not y.ndim:
        return elementwise.finish(elementwise.binary("multiply", x, y), out)
    axis = max(0, y.ndim - 2)
    if x.shape[-1] != y.shape[axis]:
        sizes = f"{x.shape[-1]} (dim {x.ndim - 1}) != {y.shape[axis]} (dim {axis})"
        raise ValueError(f"shapes {shape_text(x.shape)} and {shape_text(y.shape)} not aligned: {sizes}")
    found = matmul.matmul(x, y) if x.ndim <= 2 and y.ndim <= 2 else tensordot(x, y, (-1, axis))
    return elementwise.finish(found, out)


def inner(a: object, b: object, /) -> ndarray:
    """The sum over the last axes of both."""
    x, y = _arrays((a, b))
    if not x.ndim or not y.ndim:
        return elementwise.binary("multiply", x, y)
    return tensordot(x, y, (-1, -1))


def vdot(a: object, b: object, /) -> ndarray:
    """The sum of ``conj(a) * b`` over all elements."""
    x, y = (manipulation.ravel(v) for v in _arrays((a, b)))
    return matmul.vecdot(x, y)


def outer(a: object, b: object, out: ndarray | None = None) -> ndarray:
    """The products of every element of ``a`` with every element of ``b``."""
    x, y = (manipulation.ravel(v) for v in _arrays((a, b)))
    return elementwise.finish(elementwise.binary("multiply", x.reshape(-1, 1), y), out)


def tensordot(a: object, b: object, axes: object = 2) -> ndarray:
    """The sum over pairs of axes: a product of matrices."""
    x, y = _arrays((a, b))
    if isinstance(axes, Iterable):
        over = [list(part) if isinstance(part, Iterable) else [part] for part in axes]
    else:
        count = operator.index(axes)  # type: ignore[arg-type]
        over = [list(range(-count, 0)), list(range(count))]
    left, right = (list(manipulation.axes_of(tuple(part), v.ndim)) for part, v in zip(over, (x, y), strict=True))
    if [x.shape[a] for a in left] != [y.shape[b] for b in right]:
        raise ValueError("shape-mismatch for sum")
    rows = [a for a in range(x.ndim) if a not in left]
    columns = [b for b in range(y.ndim) if b not in right]
    length = math.prod(x.shape[a] for a in left)
    height, width = math.prod(x.shape[a] for a in rows), math.prod(y.shape[b] for b in columns)
    one = manipulation.reshape(manipulation.transpose(x, [*rows, *left]), (height, length))
    other = manipulation.reshape(manipulation.transpose(y, [*right, *columns]), (length, width))
    return manipulation.reshape(matmul.matmul(one, other), tuple([x.shape[a] for a in rows] + [y.shape[b] for b in columns]))


def trace(a: object, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: object = None, out: ndarray | None = None) -> ndarray:
    """The sum of a diagonal."""
    return reductions.sum_(manipulation.diagonal(_array(a), offset, axis1, axis2), -1, dtype=dtype, out=out)


def _diagonal(x: object, /, *, offset: int = 0) -> ndarray:
    """The diagonals of matrices: a view."""
    return manipulation.diagonal(_array(x), offset, -2, -1)


def _traces(x: object, /, *, offset: int = 0, dtype: object = None) -> ndarray:
    """The sums of the diagonals of matrices."""
    return reductions.sum_(_diagonal(x, offset=offset), -1, dtype=dtype)


def _transposed(x: object, /) -> ndarray:
    """Matrices with rows and columns exchanged: a view."""
    return manipulation.matrix_transpose(_array(x))


ON_DEVICES: dict[object, Callable[..., object]] = {
    **{getattr(np, name): globals()[name] for name in (
        "concatenate", "stack", "atleast_1d", "atleast_2d", "atleast_3d", "vstack", "hstack", "dstack", "column_stack", "append", "flip",
        "flipud", "fliplr", "rot90", "roll", "array_split", "split", "tile", "meshgrid", "broadcast_arrays", "tril", "triu", "diag",
        "diff", "trapezoid", "count_nonzero", "ptp", "nan_to_num", "isclose", "allclose", "array_equal", "dot", "inner", "vdot", "outer",
        "tensordot", "trace")},
    np.sort: sorting.sort, np.argsort: sorting.argsort,
    np.matmul: matmul.matmul, np.linalg.matmul: matmul.matmul, np.vecdot: matmul.vecdot, np.linalg.vecdot: matmul.vecdot,
    np.linalg.diagonal: _diagonal, np.linalg.trace: _traces, np.linalg.matrix_transpose: _transposed,
    np.linalg.outer: outer, np.linalg.tensordot: tensordot, np.fft.fftshift: fftshift, np.fft.ifftshift: ifftshift,
    **{getattr(np, name): getattr(placing, name) for name in ("put", "place", "putmask", "copyto", "repeat", "argwhere", "extract")},
    **{getattr(np.fft, name): getattr(fourier, name) for name in fourier.FUNCTIONS},
}  # fmt: skip
