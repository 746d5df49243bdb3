"""New arrays."""

from __future__ import annotations

import operator
from collections.abc import Iterable

import numpy as np

from anygpu.arrays import elementwise
from anygpu.arrays.ndarray import current_name, fresh, from_host, ndarray, wrap
from anygpu.engine.devices import Device
from anygpu.engine.places import POOLED, allocate, host_view, place_for
from anygpu.ir.graph import Node, Place, Shape, broadcast, contiguous


def _name(device: str | Device | None) -> str:
    """Where a new array goes: the device that is named, else the current one."""
    return current_name() if device is None else Device(device).name


def from_numpy_array(array: np.ndarray, device: str | Device | None, copy: bool | None = None) -> ndarray:
    """An array that shares a NumPy array's memory on the CPU, or a copy of it on another device; ``ValueError`` if that must not be."""
    name = _name(device)
    if copy is False and name != "cpu":
        raise ValueError("Unable to avoid copy while creating an array as requested.")
    return from_host(array, copy).to_device(name)


def array(
    object: object, dtype: object = None, *, copy: bool | None = True, order: str = "K", ndmin: int = 0,
    device: str | Device | None = None,
) -> ndarray:  # fmt: skip
    """An array of numbers, of nested sequences of them, or of another array's elements, which are copied.

    It is made on ``device``: by default an array's own device, for everything else the current one.

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
        if device is not None:
            if copy is False and Device(device).name != found.device.name:
                raise ValueError("Unable to avoid copy while creating an array as requested.")
            found = found.to_device(device)
        return found if found.ndim >= ndmin else found.reshape((1,) * (ndmin - found.ndim) + found.shape)
    if copy and dtype is None and isinstance(object, np.ndarray) and object.nbytes >= POOLED and object.flags.c_contiguous:
        return from_numpy_array(_copied(object, ndmin), device, copy)
    return from_numpy_array(np.array(_plain(object), dtype, copy=copy, ndmin=ndmin), device, copy)  # type: ignore[call-overload]


def _copied(given: np.ndarray, ndmin: int) -> np.ndarray:
    """A copy in the pool's memory, which begins at a multiple of 64 bytes as NumPy's does not: where loads cross no lines of the cache,
    the variance of rows takes 0.51 in place of 0.58 ms, that of columns 0.72 in place of 0.92 (1e7 float32)."""
    shape = (1,) * (ndmin - given.ndim) + given.shape
    memory = allocate(given.nbytes, "cpu")
    found = host_view(Place(memory, 0, contiguous(shape, given.itemsize)), shape, given.dtype)
    found[...] = given.reshape(shape)
    return found


def asarray(
    a: object, dtype: object = None, order: str | None = None, *, copy: bool | None = None, device: str | Device | None = None
) -> ndarray:
    """``a`` as an array: itself if it is one, on the CPU sharing the memory of a NumPy array or of whatever NumPy takes without a copy.

    Raises ``ValueError`` if ``copy`` is False and a copy is needed, as it is for another device.
    """
    if isinstance(a, ndarray):
        return array(a, dtype, copy=copy, device=device)
    return from_numpy_array(np.array(_plain(a), dtype, copy=copy), device, copy)  # type: ignore[call-overload]


def from_dlpack(x: object, /, *, device: str | Device | None = None, copy: bool | None = None) -> ndarray:
    """An array that shares the memory of another library's array, which speaks DLPack; read-only if that array is.

    Args:
        x: The other array: of the CPU, of CUDA or of ROCm.
        device: Where the result is: by default where ``x`` is. Elsewhere it is a copy.
        copy: Whether the memory is copied: always, never, or, for None, only where it must be.

    Raises:
        BufferError: ``x`` gives memory of another kind of device.
        ValueError: ``copy`` is False, and it must be copied.
    """
    kind, _ = x.__dlpack_device__()  # type: ignore[attr-defined]
    if isinstance(x, ndarray):
        found = x[...]  # on any device, also those of which DLPack has no kind
    elif kind == 1:
        found = from_host(np.from_dlpack(x))  # type: ignore[arg-type]
    else:
        from anygpu.arrays import dlpack

        found = dlpack.take(x)  # type: ignore[arg-type]
    if device is not None and Device(device) is not found.device:
        if copy is False:
            raise ValueError("Unable to avoid copy while creating an array as requested.")
        return found.to_device(device)
    return found.copy() if copy else found


def _plain(value: object) -> object:
    if isinstance(value, ndarray):
        return value.__array__()
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _shape(shape: object) -> Shape:
    found = tuple(operator.index(n) for n in shape) if isinstance(shape, Iterable) else (operator.index(shape),)  # type: ignore[arg-type]
    if any(n < 0 for n in found):
        raise ValueError("negative dimensions are not allowed")
    return found


def empty(shape: object, dtype: object = float, order: str = "C", *, device: str | Device | None = None) -> ndarray:
    """An array whose elements are not set."""
    made = Node("source", (), (), _shape(shape), elementwise.known(float if dtype is None else dtype))
    made.place = place_for(made, _name(device))
    made.device = made.place.memory.device
    return fresh(made)


def full(shape: object, fill_value: object, dtype: object = None, order: str = "C", *, device: str | Device | None = None) -> ndarray:
    """An array all of whose elements are one value (or follow the value's own shape)."""
    value = np.asarray(fill_value.__array__() if isinstance(fill_value, ndarray) else fill_value, dtype)  # type: ignore[call-overload]
    return wrap(_filled(value, _shape(shape), _name(device)))


def _filled(value: np.ndarray, shape: Shape, device: str) -> Node:
    dtype = elementwise.known(value.dtype)
    if value.ndim or dtype.is_complex:
        source = elementwise.constant(value.copy())
    else:
        source = Node("scalar", (), (value.item() if dtype.kind in "biu" else float(value),), (), dtype)
    found = Node("view", (source,), broadcast(source.shape, np.broadcast_shapes(source.shape, shape)), shape, dtype)
    found.device = device
    return found


def zeros(shape: object, dtype: object = float, order: str = "C", *, device: str | Device | None = None) -> ndarray:
    """An array of zeros."""
    return full(shape, 0, float if dtype is None else dtype, device=device)


def ones(shape: object, dtype: object = None, order: str = "C", *, device: str | Device | None = None) -> ndarray:
    """An array of ones."""
    return full(shape, 1, float if dtype is None else dtype, device=device)


def _like(name: str) -> object:
    def like(
        a: object, dtype: object = None, order: str = "K", subok: bool = True, shape: object = None, *, device: str | Device | None = None
    ) -> ndarray:
        given = a if isinstance(a, ndarray) else asarray(a)
        where = given.device if device is None else device
        kind = given.dtype if dtype is None else dtype
        return globals()[name](given.shape if shape is None else shape, kind, device=where)  # type: ignore[no-any-return]

    like.__name__ = like.__qualname__ = f"{name}_like"
    like.__doc__ = f"``{name}`` with the shape and the dtype of another array."
    return like


empty_like, zeros_like, ones_like = _like("empty"), _like("zeros"), _like("ones")


def full_like(
    a: object, fill_value: object, dtype: object = None, order: str = "K", subok: bool = True, shape: object = None, *,
    device: str | Device | None = None,
) -> ndarray:  # fmt: skip
    """An array of one value with the shape and the dtype of another array."""
    given = a if isinstance(a, ndarray) else asarray(a)
    where = given.device if device is None else device
    return full(given.shape if shape is None else shape, fill_value, given.dtype if dtype is None else dtype, device=where)


def arange(start: object, stop: object = None, step: object = 1, dtype: object = None, *, device: str | Device | None = None) -> ndarray:
    """Numbers from ``start`` (0 if only one number is given) up to ``stop``, which is left out."""
    first, last = (start, stop) if stop is not None else (0, start)
    return from_numpy_array(np.arange(first, last, step, dtype), device)  # type: ignore[call-overload]
