"""The array: NumPy's meaning over values that are computed when someone looks.

An `ndarray` shows a `Storage` through an offset and strides, as NumPy's arrays show memory; views share the storage. A storage holds a
GRAPH node: what its elements are, in C order. Operations make new nodes; assignment gives the storage a new node, so everything
recorded before keeps its value, and every view sees the change.
"""

from __future__ import annotations

import math
import os
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np

from anygpu.arrays import views
from anygpu.dtypes import from_numpy
from anygpu.engine.devices import Device, current_device
from anygpu.engine.evaluate import evaluate, in_order
from anygpu.engine.pending import Storage, pending
from anygpu.engine.places import DeviceMemory, HostMemory, download, host_view, moved
from anygpu.errors import NoDeviceError
from anygpu.ir.graph import Node, Place, Shape, contiguous
from anygpu.runtime.current import current
from anygpu.runtime.device_array import DeviceArray, strided


class ndarray:
    """An array with NumPy's meaning, computed when its elements are looked at. Made by `array`, `zeros`, operations and so on.

    Attributes:
        shape: The extents, a tuple of ints.
        dtype: The dtype of the elements, a `numpy.dtype`.
        device: Where the elements are, a `Device`.
    """

    __slots__ = ("__weakref__", "_offset", "_storage", "_strides", "shape")
    __array_priority__ = 100.0

    _storage: Storage
    _offset: int
    _strides: Shape | None  # in elements; None: the whole storage in C order
    shape: Shape

    def __new__(cls, *args: object, **kwargs: object) -> ndarray:
        raise TypeError("arrays are made by ag.array, ag.empty, ag.zeros and their like")

    # ---------------------------------------------------------------------------------------------------------------------- what it is

    @property
    def dtype(self) -> np.dtype[np.generic]:
        return self._storage.node.dtype.numpy

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def itemsize(self) -> int:
        """The bytes of an element."""
        return self._storage.node.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""
        return self.size * self.itemsize

    @property
    def strides(self) -> Shape:
        """The bytes from an element to the next along each axis."""
        size = self.itemsize
        return contiguous(self.shape, size) if self._strides is None else tuple(s * size for s in self._strides)

    def __len__(self) -> int:
        if not self.shape:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __repr__(self) -> str:
        return repr(self.__array__())

    def __str__(self) -> str:
        return str(self.__array__())

    def __format__(self, form: str) -> str:
        return format(self.__array__() if self.shape else self.item(), form)

    # ------------------------------------------------------------------------------------------------------------------------- its value

    def _node(self) -> Node:
        """The value now, as a node of this shape."""
        base = self._storage.node
        if self._strides is None:
            return base if base.shape == self.shape else views.reshaped(base, self.shape)
        if base.place is None:
            shown = views.as_view(self._offset, self._strides, self.shape, base.shape)
            if shown is not None:
                return Node("view", (base,), shown, self.shape, base.dtype)
            pending.flush()
            base = self._storage.node
        return Node("source", (), (), self.shape, base.dtype, self._place(base))

    def _place(self, base: Node) -> Place:
        place = base.place
        assert place is not None
        size = base.dtype.itemsize
        strides = contiguous(self.shape, size) if self._strides is None else tuple(s * size for s in self._strides)
        return Place(place.memory, place.offset + self._offset * size, strides)

    def _computed(self) -> Place:
        """Where the elements lie, computed if need be."""
        if self._storage.node.place is None:
            pending.flush()
            evaluate([self._storage.node])  # not pending if an earlier attempt failed
        return self._place(self._storage.node)

    def __array__(self, dtype: object = None, copy: bool | None = None) -> np.ndarray:
        """The elements as a NumPy array that shares the memory, or a read-only copy of what is in another device's."""
        if self._storage.node.device != "cpu":
            if copy is False:
                raise ValueError("Unable to avoid copy while creating an array as requested.")
            self._computed()
            found = numpy_of(self._node())
            if dtype is not None and found.dtype != dtype:
                return found.astype(dtype)  # type: ignore[call-overload,no-any-return]
            found.flags.writeable = bool(copy)
            return found
        pending.flush()  # whoever gets the memory may write it: what was recorded before reads it as it is
        found = host_view(self._computed(), self.shape, self.dtype)
        if dtype is not None and found.dtype != dtype:
            if copy is False:
                raise ValueError("Unable to avoid copy while creating an array as requested.")
            return found.astype(dtype)  # type: ignore[call-overload,no-any-return]
        return found.copy() if copy else found

    def item(self, *index: int) -> bool | int | float | complex:
        """An element as a Python number; the only one, if no index is given."""
        return self.__array__().item(*index)  # type: ignore[no-any-return]

    def tolist(self) -> object:
        """The elements as nested lists of Python numbers."""
        return self.__array__().tolist()

    def __bool__(self) -> bool:
        return bool(self.__array__())

    def __int__(self) -> int:
        return int(self.__array__())

    def __float__(self) -> float:
        return float(self.__array__())

    def __complex__(self) -> complex:
        return complex(self.__array__())

    def __index__(self) -> int:
        return self.__array__().__index__()

    def __iter__(self) -> Iterator[ndarray]:
        if not self.shape:
            raise TypeError("iteration over a 0-d array")
        return (self[n] for n in range(self.shape[0]))

    # ----------------------------------------------------------------------------------------------------------------------- operators

    def __add__(self, other: object) -> ndarray:
        return elementwise.binary("add", self, other)

    def __radd__(self, other: object) -> ndarray:
        return elementwise.binary("add", other, self)

    def __iadd__(self, other: object) -> ndarray:
        return elementwise.in_place("add", self, other)

    def __sub__(self, other: object) -> ndarray:
        return elementwise.binary("subtract", self, other)

    def __rsub__(self, other: object) -> ndarray:
        return elementwise.binary("subtract", other, self)

    def __isub__(self, other: object) -> ndarray:
        return elementwise.in_place("subtract", self, other)

    def __mul__(self, other: object) -> ndarray:
        return elementwise.binary("multiply", self, other)

    def __rmul__(self, other: object) -> ndarray:
        return elementwise.binary("multiply", other, self)

    def __imul__(self, other: object) -> ndarray:
        return elementwise.in_place("multiply", self, other)

    def __truediv__(self, other: object) -> ndarray:
        return elementwise.binary("divide", self, other)

    def __rtruediv__(self, other: object) -> ndarray:
        return elementwise.binary("divide", other, self)

    def __itruediv__(self, other: object) -> ndarray:
        return elementwise.in_place("divide", self, other)

    def __floordiv__(self, other: object) -> ndarray:
        return elementwise.binary("floor_divide", self, other)

    def __rfloordiv__(self, other: object) -> ndarray:
        return elementwise.binary("floor_divide", other, self)

    def __ifloordiv__(self, other: object) -> ndarray:
        return elementwise.in_place("floor_divide", self, other)

    def __mod__(self, other: object) -> ndarray:
        return elementwise.binary("remainder", self, other)

    def __rmod__(self, other: object) -> ndarray:
        return elementwise.binary("remainder", other, self)

    def __imod__(self, other: object) -> ndarray:
        return elementwise.in_place("remainder", self, other)

    def __pow__(self, other: object) -> ndarray:
        return elementwise.binary("power", self, other)

    def __rpow__(self, other: object) -> ndarray:
        return elementwise.binary("power", other, self)

    def __ipow__(self, other: object) -> ndarray:
        return elementwise.in_place("power", self, other)

    def __and__(self, other: object) -> ndarray:
        return elementwise.binary("bitwise_and", self, other)

    def __rand__(self, other: object) -> ndarray:
        return elementwise.binary("bitwise_and", other, self)

    def __iand__(self, other: object) -> ndarray:
        return elementwise.in_place("bitwise_and", self, other)

    def __or__(self, other: object) -> ndarray:
        return elementwise.binary("bitwise_or", self, other)

    def __ror__(self, other: object) -> ndarray:
        return elementwise.binary("bitwise_or", other, self)

    def __ior__(self, other: object) -> ndarray:
        return elementwise.in_place("bitwise_or", self, other)

    def __xor__(self, other: object) -> ndarray:
        return elementwise.binary("bitwise_xor", self, other)

    def __rxor__(self, other: object) -> ndarray:
        return elementwise.binary("bitwise_xor", other, self)

    def __ixor__(self, other: object) -> ndarray:
        return elementwise.in_place("bitwise_xor", self, other)

    def __lshift__(self, other: object) -> ndarray:
        return elementwise.binary("left_shift", self, other)

    def __rlshift__(self, other: object) -> ndarray:
        return elementwise.binary("left_shift", other, self)

    def __ilshift__(self, other: object) -> ndarray:
        return elementwise.in_place("left_shift", self, other)

    def __rshift__(self, other: object) -> ndarray:
        return elementwise.binary("right_shift", self, other)

    def __rrshift__(self, other: object) -> ndarray:
        return elementwise.binary("right_shift", other, self)

    def __irshift__(self, other: object) -> ndarray:
        return elementwise.in_place("right_shift", self, other)

    def __eq__(self, other: object) -> ndarray:  # type: ignore[override]
        return elementwise.binary("equal", self, other)

    def __ne__(self, other: object) -> ndarray:  # type: ignore[override]
        return elementwise.binary("not_equal", self, other)

    def __lt__(self, other: object) -> ndarray:
        return elementwise.binary("less", self, other)

    def __le__(self, other: object) -> ndarray:
        return elementwise.binary("less_equal", self, other)

    def __gt__(self, other: object) -> ndarray:
        return elementwise.binary("greater", self, other)

    def __ge__(self, other: object) -> ndarray:
        return elementwise.binary("greater_equal", self, other)

    def __neg__(self) -> ndarray:
        return elementwise.call("negative", self)

    def __pos__(self) -> ndarray:
        return elementwise.call("positive", self)

    def __abs__(self) -> ndarray:
        return elementwise.call("absolute", self)

    def __invert__(self) -> ndarray:
        return elementwise.call("invert", self)

    __hash__ = None  # type: ignore[assignment]

    def __matmul__(self, other: object) -> ndarray:
        return host.array(np.matmul, (self, other), {})

    def __rmatmul__(self, other: object) -> ndarray:
        return host.array(np.matmul, (other, self), {})

    def __imatmul__(self, other: object) -> ndarray:
        return indexing.assign_to(self, host.array(np.matmul, (self, other), {}))

    def __divmod__(self, other: object) -> tuple[ndarray, ndarray]:
        return self // other, self % other

    def __rdivmod__(self, other: object) -> tuple[ndarray, ndarray]:
        return other // self, other % self

    # ------------------------------------------------------------------------------------------------------------------------ indexing

    def __getitem__(self, key: object) -> ndarray:
        return indexing.get(self, key)

    def __setitem__(self, key: object, value: object) -> None:
        indexing.put(self, key, value)

    # ------------------------------------------------------------------------------------------------------------------------- methods

    @property
    def T(self) -> ndarray:
        """The array with its axes in the opposite order, a view."""
        return manipulation.transpose(self)

    @property
    def mT(self) -> ndarray:
        """The array with its last two axes exchanged, a view."""
        return manipulation.matrix_transpose(self)

    @property
    def real(self) -> ndarray:
        """The real part."""
        return elementwise.real(self)

    @property
    def imag(self) -> ndarray:
        """The imaginary part."""
        return elementwise.imag(self)

    @property
    def flat(self) -> np.flatiter[np.ndarray]:
        """NumPy's iterator over the elements, in C order; writing to it writes to the array."""
        return self.__array__().flat

    def reshape(self, *shape: object, order: str = "C", copy: bool | None = None) -> ndarray:
        """The same elements in another shape: a view where the memory allows."""
        return manipulation.reshape(self, shape[0] if len(shape) == 1 else shape, order=order, copy=copy)

    def transpose(self, *axes: object) -> ndarray:
        """The array with its axes in another order, a view."""
        return manipulation.transpose(self, axes[0] if len(axes) == 1 else axes or None)

    def swapaxes(self, axis1: int, axis2: int) -> ndarray:
        """The array with two axes exchanged, a view."""
        return manipulation.swapaxes(self, axis1, axis2)

    def ravel(self, order: str = "C") -> ndarray:
        """All elements along one axis: a view where the memory allows."""
        return manipulation.ravel(self, order)

    def flatten(self, order: str = "C") -> ndarray:
        """A copy of all elements along one axis."""
        return manipulation.ravel(self, order).copy()

    def squeeze(self, axis: object = None) -> ndarray:
        """The array without axes of one element, a view."""
        return manipulation.squeeze(self, axis)

    def astype(self, dtype: object, order: str = "K", casting: str = "unsafe", subok: bool = True, copy: bool = True) -> ndarray:
        """The elements converted to a dtype."""
        return elementwise.astype(self, dtype, casting=casting, copy=copy)

    def copy(self, order: str = "C") -> ndarray:
        """A copy."""
        return elementwise.copy(self)

    def fill(self, value: object) -> None:
        """Set every element to a value."""
        indexing.put(self, ..., value)

    def conj(self) -> ndarray:
        """The complex conjugate."""
        return elementwise.call("conjugate", self)

    conjugate = conj

    def sum(
        self, axis: object = None, dtype: object = None, out: ndarray | None = None, keepdims: bool = False, **more: object
    ) -> ndarray:
        """The sum over axes (all, if none is given)."""
        return reductions.sum_(self, axis, dtype=dtype, out=out, keepdims=keepdims, **more)

    def prod(
        self, axis: object = None, dtype: object = None, out: ndarray | None = None, keepdims: bool = False, **more: object
    ) -> ndarray:
        """The product over axes (all, if none is given)."""
        return reductions.prod(self, axis, dtype=dtype, out=out, keepdims=keepdims, **more)

    def max(
        self, axis: object = None, out: ndarray | None = None, keepdims: bool = False, **more: object
    ) -> ndarray:
        """The greatest over axes (all, if none is given)."""
        return reductions.max_(self, axis, out=out, keepdims=keepdims, **more)

    def min(
        self, axis: object = None, out: ndarray | None = None, keepdims: bool = False, **more: object
    ) -> ndarray:
        """The least over axes (all, if none is given)."""
        return reductions.min_(self, axis, out=out, keepdims=keepdims, **more)

    def any(
        self, axis: object = None, out: ndarray | None = None, keepdims: bool = False, **more: object
    ) -> ndarray:
        """Whether any element over axes is true (all, if none is given)."""
        return reductions.any_(self, axis, out=out, keepdims=keepdims, **more)

    def all(
        self, axis: object = None, out: ndarray | None = None, keepdims: bool = False, **more: object
    ) -> ndarray:
        """Whether all elements over axes are true (all, if none is given)."""
        return reductions.all_(self, axis, out=out, keepdims=keepdims, **more)

    def mean(
        self, axis: object = None, dtype: object = None, out: ndarray | None = None, keepdims: bool = False, **more: object
    ) -> ndarray:
        """The mean over axes (all, if none is given)."""
        return reductions.mean(self, axis, dtype=dtype, out=out, keepdims=keepdims, **more)

    def var(
        self, axis: object = None, dtype: object = None, out: ndarray | None = None, ddof: float = 0, keepdims: bool = False, **more: object
    ) -> ndarray:
        """The variance over axes (all, if none is given)."""
        return reductions.var(self, axis, dtype=dtype, out=out, ddof=ddof, keepdims=keepdims, **more)

    def std(
        self, axis: object = None, dtype: object = None, out: ndarray | None = None, ddof: float = 0, keepdims: bool = False, **more: object
    ) -> ndarray:
        """The standard deviation over axes (all, if none is given)."""
        return reductions.std(self, axis, dtype=dtype, out=out, ddof=ddof, keepdims=keepdims, **more)

    def argmax(self, axis: int | None = None, out: ndarray | None = None, *, keepdims: bool = False) -> ndarray:
        """The index of the greatest element along an axis (in C order, if none is given)."""
        return reductions.argmax(self, axis, out, keepdims=keepdims)

    def argmin(self, axis: int | None = None, out: ndarray | None = None, *, keepdims: bool = False) -> ndarray:
        """The index of the least element along an axis (in C order, if none is given)."""
        return reductions.argmin(self, axis, out, keepdims=keepdims)

    def cumsum(self, axis: int | None = None, dtype: object = None, out: ndarray | None = None) -> ndarray:
        """The running sum along an axis."""
        return scans.cumsum(self, axis, dtype, out)

    def cumprod(self, axis: int | None = None, dtype: object = None, out: ndarray | None = None) -> ndarray:
        """The running product along an axis."""
        return scans.cumprod(self, axis, dtype, out)

    def argsort(self, axis: int | None = -1, kind: str | None = None, order: object = None, *, stable: bool | None = None) -> ndarray:
        """The indices that sort the elements along an axis."""
        return standard.argsort(self, axis, kind, stable=stable)

    def sort(self, axis: int = -1, kind: str | None = None, order: object = None, *, stable: bool | None = None) -> None:
        """Sort the elements along an axis in place."""
        indexing.assign_to(self, host.array(np.sort, (self,), {"axis": axis, "kind": kind, "stable": stable}))

    def nonzero(self) -> tuple[ndarray, ...]:
        """The indices of the elements that are not zero, an array for each axis."""
        return masks.nonzero(self)

    def round(self, decimals: int = 0, out: ndarray | None = None) -> ndarray:
        """The elements rounded to some decimals, ties to even."""
        return elementwise.round_(self, decimals, out)

    def clip(self, min: object = None, max: object = None, out: ndarray | None = None) -> ndarray:
        """The elements, at least ``min`` and at most ``max``."""
        return elementwise.clip(self, min, max, out)

    def dot(self, other: object, out: ndarray | None = None) -> ndarray:
        """The product of two arrays as `numpy.dot` has it."""
        return host.array(np.dot, (self, other), {"out": out})

    def take(self, indices: object, axis: int | None = None, out: ndarray | None = None, mode: str = "raise") -> ndarray:
        """The elements at indices along an axis."""
        return advanced.take(self, indices, axis, out, mode)

    def repeat(self, repeats: object, axis: int | None = None) -> ndarray:
        """Each element several times along an axis."""
        return host.array(np.repeat, (self, repeats), {"axis": axis})

    def diagonal(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> ndarray:
        """The diagonal of two axes, a view."""
        return manipulation.diagonal(self, offset, axis1, axis2)

    def trace(self, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: object = None, out: ndarray | None = None) -> ndarray:
        """The sum of the diagonal of two axes."""
        return reductions.sum_(self.diagonal(offset, axis1, axis2), -1, dtype=dtype, out=out)

    def partition(self, kth: object, axis: int = -1, kind: str = "introselect", order: None = None) -> None:
        """Sort the elements in place so far that those at some positions are in theirs, with no greater ones before and no lesser after."""
        indexing.assign_to(self, host.array(np.partition, (self, kth), {"axis": axis, "kind": kind}))

    def argpartition(self, kth: object, axis: int | None = -1, kind: str = "introselect", order: None = None) -> ndarray:
        """The indices that `partition` an array."""
        return host.array(np.argpartition, (self, kth), {"axis": axis, "kind": kind})

    def searchsorted(self, v: object, side: str = "left", sorter: object = None) -> ndarray:
        """Where values would go in the array, which is sorted."""
        from anygpu.arrays import searching  # which has kernels

        return searching.searchsorted(self, v, side, sorter)

    def put(self, indices: object, values: object, mode: str = "raise") -> None:
        """Set the elements at indices of the array along one axis."""
        host.call(np.put, (self, indices, values), {"mode": mode})

    def choose(self, choices: object, out: ndarray | None = None, mode: str = "raise") -> ndarray:
        """Elements of several choices, of which the array says which."""
        return host.array(np.choose, (self, choices), {"out": out, "mode": mode})

    def compress(self, condition: object, axis: int | None = None, out: ndarray | None = None) -> ndarray:
        """The parts along an axis for which a condition holds."""
        return masks.compress(condition, self, axis, out)

    def view(self, dtype: object = None) -> ndarray:
        """The same elements; for another dtype a copy of their bytes, read as that."""
        if dtype is None or np.dtype(dtype) == self.dtype:  # type: ignore[call-overload]
            return view_of(self._storage, self._offset, self._strides, self.shape)
        return from_host(self.__array__().view(dtype).copy()).to_device(self.device)  # type: ignore[call-overload]

    @property
    def base(self) -> ndarray | None:
        """The array whose elements a view shows in part or in another order; None for an array that shows all of them in order."""
        return None if self._strides is None else view_of(self._storage, 0, None, self._storage.node.shape)

    @property
    def flags(self) -> object:
        """How the elements lie in memory (NumPy's flags, to be read)."""
        return self.__array__().flags

    @property
    def ctypes(self) -> object:
        """What `ctypes` functions take the memory as (NumPy's object)."""
        return self.__array__().ctypes

    @property
    def data(self) -> memoryview:
        """The memory."""
        return memoryview(self.__array__())  # type: ignore[arg-type]

    def tofile(self, file: object, sep: str = "", format: str = "%s") -> None:
        """Write the elements to a file, in C order."""
        self.__array__().tofile(file, sep, format)  # type: ignore[arg-type]

    def dumps(self) -> bytes:
        """The array, pickled."""
        return pickle.dumps(self)

    def dump(self, file: object) -> None:
        """Pickle the array into a file, or one of a path."""
        data = pickle.dumps(self)
        if isinstance(file, str | os.PathLike):
            Path(file).write_bytes(data)
        else:
            file.write(data)  # type: ignore[attr-defined]

    def __contains__(self, value: object) -> bool:
        return bool((self == value).any())

    def tobytes(self, order: str = "C") -> bytes:
        """The bytes of the elements in C order."""
        return self.__array__().tobytes(order)  # type: ignore[arg-type]

    # ----------------------------------------------------------------------------------------------------------------------- protocols

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: object, **kwargs: object) -> object:
        return host.ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, function: object, types: object, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        return host.function(function, args, kwargs)

    @property
    def __array_interface__(self) -> dict[str, object]:
        """What kernels and other libraries take the memory by (NumPy's array interface, version 3). Recorded work is done first.

        ``AttributeError`` for arrays on other devices than the CPU.
        """
        if self._storage.node.device != "cpu":
            raise AttributeError("__array_interface__")
        return self.__array__().__array_interface__

    @property
    def __cuda_array_interface__(self) -> dict[str, object]:
        """What CuPy, Numba and PyTorch take the memory of an array on a CUDA device by (version 3). Recorded work is done first.

        ``AttributeError`` for arrays elsewhere.
        """
        if self._storage.node.device.partition(":")[0] != "cuda":  # type: ignore[union-attr]
            raise AttributeError("__cuda_array_interface__")
        return self.__anygpu_array__().__cuda_array_interface__  # type: ignore[union-attr]

    def __anygpu_array__(self) -> np.ndarray | DeviceArray:
        """What a kernel's launch takes the memory by. Recorded work is done, or queued, first: it reads the elements as they are now."""
        pending.flush()
        place = self._computed()
        memory = place.memory
        if isinstance(memory, HostMemory):
            return host_view(place, self.shape, self.dtype)
        assert isinstance(memory, DeviceMemory)
        return strided(memory.buffer.view(place.offset if self.size else 0), self.dtype, self.shape, self.strides)

    def __dlpack__(
        self,
        *,
        stream: object = None,
        max_version: tuple[int, int] | None = None,
        dl_device: tuple[int, int] | None = None,
        copy: bool | None = None,
    ) -> object:
        """The memory as a DLPack capsule, for ``from_dlpack`` of any library. Recorded work is done first.

        Args:
            stream: The reader's stream: None on the CPU, which has none.
            max_version: The newest version that the reader knows; a capsule of version 1 says whether it is a copy or read-only.
            dl_device: Where the reader wants the memory, as ``__dlpack_device__`` has it.
            copy: Whether it is a copy: always, never, or, for None, only where there is no other way.

        Raises:
            BufferError: The reader's wishes cannot be met.
        """
        if self._storage.node.device == "cpu":
            return self.__array__().__dlpack__(stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)
        from anygpu.arrays import dlpack

        here = dlpack.device_of(self)
        if dl_device == dlpack.CPU or (dl_device is None and here == dlpack.CPU and copy is not False):
            if copy is False:
                raise BufferError(f"the memory of {self.device.name} is copied to the host, and copy=False forbids it")
            return self.__array__(copy=True).__dlpack__(max_version=max_version)
        if here == dlpack.CPU:
            raise BufferError(f"DLPack has no kind of device for the memory of {self.device.name}\n  hint: x.to_device('cpu') is a copy")
        if dl_device is not None and dl_device != here:
            raise BufferError(f"the memory is on device {here} of DLPack's, not on {dl_device}")
        return dlpack.export(self.copy() if copy else self, max_version, bool(copy))

    def __buffer__(self, flags: int, /) -> memoryview:
        """The memory, for ``memoryview`` and whatever takes one (Python 3.12 and later). Recorded work is done first."""
        return memoryview(self.__array__())  # type: ignore[arg-type]

    def __dlpack_device__(self) -> tuple[int, int]:
        """The kind and number of the device in DLPack's terms: the CPU's also for OpenCL, whose memory is copied for whoever asks."""
        if self._storage.node.device == "cpu":
            return 1, 0
        from anygpu.arrays import dlpack

        return dlpack.device_of(self)

    @property
    def device(self) -> Device:
        return Device(self._storage.node.device)

    def to_device(self, device: str | Device, /, *, stream: object = None) -> ndarray:
        """The array on a device: itself if it is there, else a copy.

        Example:
            >>> import anygpu as ag
            >>> ag.ones(3).to_device("cpu")
            array([1., 1., 1.])
        """
        name = Device(device).name
        if name == self._storage.node.device:
            return self
        self._computed()
        return fresh(moved(in_order(self._node()), name))

    def __array_namespace__(self, *, api_version: str | None = None) -> ModuleType:
        """The module whose functions take this array (Python's array API standard)."""
        if api_version is not None and api_version not in _API_VERSIONS:
            raise ValueError(f"versions {', '.join(_API_VERSIONS)} of the array API are known, not {api_version!r}")
        return sys.modules["anygpu"]

    def __copy__(self) -> ndarray:
        return self.copy()

    def __deepcopy__(self, memo: object) -> ndarray:
        return self.copy()

    def __reduce__(self) -> tuple[object, ...]:
        return restored, (self.__array__(), self._storage.node.device)


def strides_of(x: ndarray) -> Shape:
    """Elements from one to the next along each axis."""
    return contiguous(x.shape, 1) if x._strides is None else x._strides


def numpy_of(node: Node) -> np.ndarray:
    """A node's value as a NumPy array, computed if need be: that of the memory itself on the CPU, else a copy."""
    if node.place is None:
        pending.flush()
        if node.device is None:
            node.device = "cpu"
        evaluate([node])
    place = node.place
    assert place is not None
    if isinstance(place.memory, HostMemory):
        return host_view(place, node.shape, node.dtype.numpy)
    place = in_order(node).place
    assert place is not None
    return download(place, node.shape, node.dtype.numpy)


def current_name() -> str:
    """The current device's name."""
    return "cpu" if current.is_cpu() else current_device().name


def wrap(node: Node) -> ndarray:
    """A new array whose value is ``node``: a copy, if it lies somewhere already."""
    return fresh(node if node.place is None else Node("cast", (node,), (), node.shape, node.dtype))


def fresh(node: Node) -> ndarray:
    """A new array whose value is ``node``, which is pending, or lies in C order in memory that nobody else has."""
    if node.device is None:
        node.device = current_name()
    storage = Storage(node)
    if node.place is None:
        pending.add(storage)
    return view_of(storage, 0, None, node.shape)


def view_of(storage: Storage, offset: int, strides: Shape | None, shape: Shape) -> ndarray:
    """An array that shows a storage. ``offset`` and ``strides`` count elements."""
    made: ndarray = object.__new__(ndarray)
    made._storage = storage
    made._offset = offset
    made._strides = strides
    made.shape = shape
    return made


def from_host(array: np.ndarray, copy: bool | None = None) -> ndarray:
    """An array that shares a NumPy array's memory, which must be aligned and of a dtype that kernels know."""
    dtype = from_numpy(array.dtype)
    if dtype is None:
        raise TypeError(f"arrays of {array.dtype} are not supported: {', '.join(_NAMES)} are")
    if not array.flags.aligned or any(s % array.itemsize for s in array.strides):
        if copy is False:
            raise ValueError("Unable to avoid copy while creating an array as requested.")
        array = array.copy()
    flat = views.span(array)
    node = Node("source", (), (), flat.shape, dtype, Place(HostMemory(flat), 0, (dtype.itemsize,)))
    if array.flags.c_contiguous:
        return view_of(Storage(node), 0, None, array.shape)
    first = (array.__array_interface__["data"][0] - flat.__array_interface__["data"][0]) // dtype.itemsize
    return view_of(Storage(node), first, tuple(s // dtype.itemsize for s in array.strides), array.shape)


def restored(array: np.ndarray, device: str) -> ndarray:
    """An array that was pickled: on its device if there is one of that name, else on the current one."""
    try:
        return from_host(array).to_device(device)
    except NoDeviceError:
        return from_host(array).to_device(current_name())


_API_VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12", "2025.12")
_NAMES = ("bool", "(u)int8 to 64", "float16, 32 and 64", "bfloat16", "complex64 and 128")


# At the end, since they build on the class: methods find them when they are called.
from anygpu.arrays import advanced, elementwise, host, indexing, manipulation, masks, reductions, scans, standard  # noqa: E402

__all__ = ["Storage", "current_name", "fresh", "from_host", "ndarray", "numpy_of", "pending", "strides_of", "view_of", "wrap"]
