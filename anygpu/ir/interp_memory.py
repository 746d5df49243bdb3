"""The memory of interpreted work-items: arguments as byte-exact views, shared, local and const arrays, and addresses.

Every array gets a leading *slot* axis, so that one way of indexing serves all: shared arrays have a slot for each block that runs at
the same time, local arrays one for each work-item, arguments and const arrays a single one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from anygpu.dtypes import DType, Field
from anygpu.errors import ArgumentError, ReadOnlyError
from anygpu.ir.interp_values import Values
from anygpu.ir.kernel import Array, Atomic, Kernel, Store, Var, walk

Lanes = NDArray[np.intp]  # numbers of work-items, ascending
Index = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Storage:
    """An array's memory. ``views[field]`` has shape (slots, *extents) and the field's dtype."""

    array: Array
    extents: tuple[int, ...]
    views: tuple[Values, ...]

    def inside(self, index: Sequence[Index], count: int) -> Mask:
        """Which of ``count`` accesses lie within the extents."""
        found = np.ones(count, np.bool_)
        for axis, extent in zip(index, self.extents, strict=True):
            found &= (axis >= 0) & (axis < extent)
        return found

    def gather(self, field: int, slots: Lanes, index: Sequence[Index]) -> Values:
        return np.asarray(self.views[field][(slots, *index)])

    def scatter(self, field: int, slots: Lanes, index: Sequence[Index], values: Values) -> None:
        """Write in order: of two writes to one element, the later stays."""
        self.views[field][(slots, *index)] = values

    def addresses(self, field: int, slots: Lanes, index: Sequence[Index]) -> Index:
        """Byte addresses of the accessed scalars in this process. Equal addresses are one element, however it is reached."""
        view = self.views[field]
        found = np.full(len(slots), view.ctypes.data, np.int64)
        for stride, axis in zip(view.strides, (slots, *index), strict=True):
            found += axis * stride
        return found


def bind_arrays(kernel: Kernel, arguments: Sequence[object]) -> dict[str, Storage]:
    """The storage of array parameters and const arrays. Raises ``ArgumentError`` for an argument that does not fit."""
    written = {stmt.array for stmt in walk(kernel.body) if isinstance(stmt, Store | Atomic)}
    found = {}
    for param, argument in zip(kernel.params, arguments, strict=True):
        if isinstance(param, Array):
            found[param.name] = _argument(param, argument, param.name in written)
    for array in kernel.declared:
        if array.space == "const":
            raw = np.frombuffer(array.data or b"", np.uint8)
            found[array.name] = _carve(array, raw[np.newaxis], array.shape or (), 0)
    return found


def bind_scalars(kernel: Kernel, arguments: Sequence[object]) -> dict[str, np.generic]:
    """The values of scalar parameters in their exact dtypes. Raises ``ArgumentError`` for a value that the dtype cannot hold."""
    return {
        param.name: _scalar(param, argument) for param, argument in zip(kernel.params, arguments, strict=True) if isinstance(param, Var)
    }


def _scalar(param: Var, argument: object) -> np.generic:
    value = np.asarray(argument)
    if value.ndim or value.dtype.kind in "OSUmMc":
        raise ArgumentError(f"argument '{param.name}' must be a {param.dtype} scalar, not {argument!r}")
    dtype = param.dtype
    if dtype.is_float:
        # A half comes through float32, as every other conversion to one does.
        value = value.astype(np.float32) if dtype.is_half else value
        return cast(np.generic, value.astype(dtype.numpy)[()])
    whole = int(value) if value.dtype.kind in "biu" else None
    if whole is None or not dtype.minimum <= whole <= dtype.maximum:
        raise ArgumentError(f"argument '{param.name}' must be a {dtype}, not {argument!r}")
    return cast(np.generic, np.array(whole).astype(dtype.numpy)[()])


def _argument(array: Array, argument: object, written: bool) -> Storage:
    if not isinstance(argument, np.ndarray):
        raise ArgumentError(f"argument '{array.name}' must be a NumPy array, not {type(argument).__name__}")
    given = np.asarray(argument)
    if given.ndim != array.ndim or given.dtype.itemsize != array.itemsize or given.dtype.hasobject or not given.dtype.isnative:
        raise ArgumentError(
            f"argument '{array.name}' must have {array.ndim} axes and elements of {array.itemsize} bytes in native order, "
            f"not {given.ndim} axes of {given.dtype}"
        )
    if written and not given.flags.writeable:
        raise ReadOnlyError(f"argument '{array.name}' is written by the kernel but read-only")
    return Storage(array, given.shape, tuple(_field(given, part, array.itemsize)[np.newaxis] for part in array.fields))


def _field(given: Values, part: Field, itemsize: int) -> Values:
    """The view of one scalar of every element, by byte offset, for any strides."""
    described = np.dtype({"names": ["it"], "formats": [part.dtype.numpy], "offsets": [part.offset], "itemsize": itemsize})
    return np.asarray(given.view(described)["it"])


def _carve(array: Array, raw: NDArray[np.uint8], extents: tuple[int, ...], offset: int) -> Storage:
    """A C-contiguous array at byte ``offset`` of every row of ``raw``, which is (slots, bytes)."""
    strides = []
    step = array.itemsize
    for extent in reversed(extents):
        strides.append(step)
        step *= extent
    shape = (raw.shape[0], *extents)
    every = (raw.strides[0], *reversed(strides))

    def view(dtype: DType, start: int) -> Values:
        if not math.prod(shape):
            return np.zeros(shape, dtype.numpy)
        found = np.ndarray(shape, dtype.numpy, raw, offset + start, every)
        found.flags.writeable = raw.flags.writeable
        return found

    return Storage(array, extents, tuple(view(part.dtype, part.offset) for part in array.fields))


def _align(offset: int) -> int:
    return -(-offset // 16) * 16


@dataclass(frozen=True)
class Scratch:
    """The shared and local arrays of the blocks that run at the same time, with the bytes that hold them."""

    storages: dict[str, Storage]
    shared: NDArray[np.uint8]  # (blocks, bytes)
    local: NDArray[np.uint8]  # (work-items, bytes)


def scratch(kernel: Kernel, blocks: int, threads: int, shared_bytes: int, fill: int) -> Scratch:
    """Fresh shared memory for ``blocks`` blocks and local memory for their work-items, every byte ``fill``.

    All dynamic shared arrays (shape ``(0,)``) begin at the same place, after the static ones, as they do on devices.
    """
    places: dict[str, tuple[int, tuple[int, ...]]] = {}
    sizes = {"shared": 0, "local": 0}
    for array in kernel.declared:
        if array.space in sizes and not _is_dynamic(array):
            extents = array.shape or ()
            places[array.name] = (sizes[array.space], extents)
            sizes[array.space] = _align(sizes[array.space] + math.prod(extents) * array.itemsize)
    for array in kernel.declared:
        if _is_dynamic(array):
            places[array.name] = (sizes["shared"], (shared_bytes // array.itemsize,))
    shared = np.full((blocks, sizes["shared"] + shared_bytes), fill, np.uint8)
    local = np.full((blocks * threads, sizes["local"]), fill, np.uint8)
    storages = {}
    for array in kernel.declared:
        if array.space in sizes:
            offset, extents = places[array.name]
            storages[array.name] = _carve(array, shared if array.space == "shared" else local, extents, offset)
    return Scratch(storages, shared, local)


def _is_dynamic(array: Array) -> bool:
    return array.space == "shared" and array.shape == (0,)
