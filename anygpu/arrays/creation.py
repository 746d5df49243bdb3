"""New arrays."""

from __future__ import annotations

import operator
from collections.abc import Iterable

import numpy as np

from anygpu.arrays import elementwise
from anygpu.arrays.ndarray import fresh, from_host, ndarray, wrap
from anygpu.engine.evaluate import place_for
from anygpu.ir.graph import Node, Shape, broadcast


def array(object: object, dtype: object = None, *, copy: bool | None = True, order: str = "K", ndmin: int = 0) -> ndarray:
    """An array of numbers, of nested sequences of them, or of another array's elements, which are copied.

    Example:
        >>> import anygpu as ag
        >>> ag.array([[1, 2], [3, 4]]).sum(axis=0)
        array([4, 6])
    """
    if isinstance(object, ndarray):
        wanted = object.dtype if dtype is None else np.dtype(dtype)  # type: ignore[call-overload]
        if wanted == object.dtype and not copy:
            found = object
        elif copy is False:
            raise ValueError("Unable to avoid copy while creating an array as requested.")
        else:
            found = elementwise.astype(object, wanted)
        return found if found.ndim >= ndmin else found.reshape((1,) * (ndmin - found.ndim) + found.shape)
    return from_host(np.array(_plain(object), dtype, copy=copy, ndmin=ndmin))  # type: ignore[call-overload]


def asarray(a: object, dtype: object = None, order: str | None = None, *, copy: bool | None = None, device: object = None) -> ndarray:
    """``a`` as an array: itself if it is one, sharing the memory of a NumPy array or of whatever NumPy takes without a copy."""
    if isinstance(a, ndarray):
        return array(a, dtype, copy=copy)
    return from_host(np.array(_plain(a), dtype, copy=copy))  # type: ignore[call-overload]


def from_dlpack(x: object, /, *, device: object = None, copy: bool | None = None) -> ndarray:
    """An array that shares the memory of another library's array, which speaks DLPack."""
    found = np.from_dlpack(x)  # type: ignore[arg-type]
    return from_host(found.copy() if copy else found)


def _plain(value: object) -> object:
    if isinstance(value, ndarray):
        return value.__array__()
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _shape(shape: object) -> Shape:
    found = tuple(operator.index(n) for n in shape) if isinstance(shape, Iterable) else (operator.index(shape),)  # type: ignore[arg-type]
    if any(n < 0 for n in found):
        raise ValueError("negative dimensions are not allowed")
    return found


def empty(shape: object, dtype: object = float, order: str = "C", *, device: object = None) -> ndarray:
    """An array whose elements are not set."""
    made = Node("source", (), (), _shape(shape), elementwise.known(float if dtype is None else dtype))
    made.place = place_for(made)
    return fresh(made)


def full(shape: object, fill_value: object, dtype: object = None, order: str = "C", *, device: object = None) -> ndarray:
    """An array all of whose elements are one value (or follow the value's own shape)."""
    value = np.asarray(fill_value.__array__() if isinstance(fill_value, ndarray) else fill_value, dtype)  # type: ignore[call-overload]
    return wrap(_filled(value, _shape(shape)))


def _filled(value: np.ndarray, shape: Shape) -> Node:
    dtype = elementwise.known(value.dtype)
    if value.ndim or dtype.is_complex:
        source = from_host(value.copy())._node()
    else:
        source = Node("scalar", (), (value.item() if dtype.kind in "biu" else float(value),), (), dtype)
    return Node("view", (source,), broadcast(source.shape, np.broadcast_shapes(source.shape, shape)), shape, dtype)


def zeros(shape: object, dtype: object = float, order: str = "C", *, device: object = None) -> ndarray:
    """An array of zeros."""
    return full(shape, 0, float if dtype is None else dtype)


def ones(shape: object, dtype: object = None, order: str = "C", *, device: object = None) -> ndarray:
    """An array of ones."""
    return full(shape, 1, float if dtype is None else dtype)


def _like(name: str) -> object:
    def like(
        a: object, dtype: object = None, order: str = "K", subok: bool = True, shape: object = None, *, device: object = None
    ) -> ndarray:
        given = a if isinstance(a, ndarray) else asarray(a)
        return globals()[name](given.shape if shape is None else shape, given.dtype if dtype is None else dtype)  # type: ignore[no-any-return]

    like.__name__ = like.__qualname__ = f"{name}_like"
    like.__doc__ = f"``{name}`` with the shape and the dtype of another array."
    return like


empty_like, zeros_like, ones_like = _like("empty"), _like("zeros"), _like("ones")


def full_like(
    a: object, fill_value: object, dtype: object = None, order: str = "K", subok: bool = True, shape: object = None, *,
    device: object = None,
) -> ndarray:  # fmt: skip
    """An array of one value with the shape and the dtype of another array."""
    given = a if isinstance(a, ndarray) else asarray(a)
    return full(given.shape if shape is None else shape, fill_value, given.dtype if dtype is None else dtype)


def arange(start: object, stop: object = None, step: object = 1, dtype: object = None, *, device: object = None) -> ndarray:
    """Numbers from ``start`` (0 if only one number is given) up to ``stop``, which is left out."""
    return from_host(np.arange(start, stop, step, dtype) if stop is not None else np.arange(0, start, step, dtype))  # type: ignore[call-overload]
