"""The array: NumPy's meaning over values that are computed when someone looks.

An `ndarray` shows a `Storage` through an offset and strides, as NumPy's arrays show memory; views share the storage. A storage holds a
GRAPH node: what its elements are, in C order. Operations make new nodes; assignment gives the storage a new node, so everything
recorded before keeps its value, and every view sees the change.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Iterator, Sequence

import numpy as np

from anygpu.dtypes import DType, from_numpy
from anygpu.engine.evaluate import HostMemory, evaluate
from anygpu.ir.graph import AxisMap, Node, Place, Shape, broadcast, contiguous

MOST_PENDING = 256  # operations that are recorded before they are computed unasked: graphs are walked by recursion


class Storage:
    """The elements that an array and its views share. ``node`` is their present value, of any shape: only its C order counts."""

    __slots__ = ("__weakref__", "node")

    def __init__(self, node: Node):
        self.node = node


class _Pending:
    """The storages whose values are recorded and not computed."""

    def __init__(self) -> None:
        self.storages: list[weakref.ref[Storage]] = []

    def add(self, storage: Storage) -> None:
        self.storages.append(weakref.ref(storage))
        if len(self.storages) > MOST_PENDING:
            self.flush()

    def flush(self) -> None:
        """Compute every recorded value that someone can still see."""
        alive = [storage for ref in self.storages if (storage := ref()) is not None]
        self.storages.clear()
        evaluate([storage.node for storage in alive])


pending = _Pending()


class ndarray:  # noqa: N801 (NumPy's name)
    """An array with NumPy's meaning, computed when its elements are looked at. Made by `array`, `zeros`, operations and so on.

    Attributes:
        shape: The extents, a tuple of ints.
        dtype: The dtype of the elements, a `numpy.dtype`.
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
            return base if base.shape == self.shape else _reshaped(base, self.shape)
        if base.place is None:
            shown = _as_view(self._offset, self._strides, self.shape, base.shape)
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
        return self._place(self._storage.node)

    def __array__(self, dtype: object = None, copy: bool | None = None) -> np.ndarray:
        """The elements as a NumPy array that shares the memory."""
        place = self._computed()
        memory = place.memory
        assert isinstance(memory, HostMemory)
        found: np.ndarray = np.ndarray(self.shape, self.dtype, memory.array, place.offset, place.strides)  # type: ignore[arg-type]
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
        return (self[n] for n in range(self.shape[0]))  # type: ignore[attr-defined]


def wrap(node: Node) -> ndarray:
    """A new array whose value is ``node``."""
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


def from_host(array: np.ndarray) -> ndarray:
    """An array that shares a NumPy array's memory, which must be aligned and of a dtype that kernels know."""
    dtype = from_numpy(array.dtype)
    if dtype is None:
        raise TypeError(f"arrays of {array.dtype} are not supported: {', '.join(_NAMES)} are")
    if not array.flags.aligned or any(s % array.itemsize for s in array.strides):
        array = array.copy()
    flat = _span(array)
    node = Node("source", (), (), flat.shape, dtype, Place(HostMemory(flat), 0, (dtype.itemsize,)))
    if array.flags.c_contiguous:
        return view_of(Storage(node), 0, None, array.shape)
    first = (array.__array_interface__["data"][0] - flat.__array_interface__["data"][0]) // dtype.itemsize
    return view_of(Storage(node), first, tuple(s // dtype.itemsize for s in array.strides), array.shape)


_NAMES = ("bool", "(u)int8 to 64", "float16, 32 and 64", "bfloat16", "complex64 and 128")


def _span(array: np.ndarray) -> np.ndarray:
    """The memory between an array's lowest and highest element as one row."""
    if array.flags.c_contiguous:
        return array.reshape(-1)
    corner = array[tuple(slice(-1, None) if s < 0 else slice(0, 1) for s in array.strides)]
    reach = sum(abs(s) * (n - 1) for s, n in zip(array.strides, array.shape, strict=True)) // array.itemsize
    return np.lib.stride_tricks.as_strided(corner, (reach + 1,), (array.itemsize,))


def _reshaped(node: Node, shape: Shape) -> Node:
    if node.place is not None:
        place = node.place
        return Node("source", (), (), shape, node.dtype, Place(place.memory, place.offset, contiguous(shape, node.dtype.itemsize)))
    if node.size == 1 and node.op != "update":
        return Node("view", (node,), tuple((0, -1, 0) for _ in node.shape), shape, node.dtype)
    return Node("reshape", (node,), (), shape, node.dtype)


def _as_view(offset: int, strides: Shape, shape: Shape, base: Shape) -> AxisMap | None:
    """The offset and strides over an array of shape ``base`` in C order as a view of it; None if no view walks like that."""
    if 0 in base:
        return None
    units = contiguous(base, 1)
    found = []
    for unit in units:
        found.append([offset // unit, -1, 0])
        offset %= unit
    for axis, (stride, n) in enumerate(zip(strides, shape, strict=True)):
        if stride == 0 or n == 1:
            continue
        for at, unit in enumerate(units):
            if stride % unit == 0 and base[at] > 1 and found[at][1] < 0:
                start, step = found[at][0], stride // unit
                last = start + step * (n - 1)
                if 0 <= last < base[at]:
                    found[at][1:] = [axis, step]
                    break
        else:
            return None
    return tuple((a, b, c) for a, b, c in found)


__all__ = ["DType", "Sequence", "Storage", "broadcast", "from_host", "ndarray", "pending", "view_of", "wrap"]
