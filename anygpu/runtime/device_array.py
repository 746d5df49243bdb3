"""A buffer with a dtype and a shape: what a kernel takes as an array in a device's own memory."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np

from anygpu.runtime.current import current
from anygpu.runtime.memory import Buffer

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

    from anygpu.runtime.device import Device
    from anygpu.runtime.stream import Stream


class DeviceArray:
    """An array in a device's memory, C-contiguous: pass it to a kernel. `Buffer.array` makes it, and shares the buffer's memory.

    Attributes:
        buffer: The bytes.
        dtype: The dtype of the elements.
        shape: The extents.

    Example:
        >>> import numpy as np, anygpu as ag
        >>> x = ag.Device("cpu").to_device(np.arange(6, dtype=np.float32)).array(np.float32, (2, 3))
        >>> x
        <float32 array of shape (2, 3) on cpu>
        >>> x.to_numpy().sum()
        np.float32(15.0)
    """

    __slots__ = ("buffer", "dtype", "shape", "strides")

    def __init__(self, buffer: Buffer, dtype: DTypeLike, shape: tuple[int, ...]):
        self.buffer = buffer
        self.dtype = np.dtype(dtype)
        self.shape = shape
        self.strides = _contiguous(shape, self.dtype.itemsize)
        if any(n < 0 for n in shape):
            raise ValueError(f"an array cannot have the shape {shape}")
        if self.nbytes > buffer.size:
            raise ValueError(f"an array of {self.nbytes:,} bytes does not fit in a buffer of {buffer.size:,}")
        if buffer.offset % self.dtype.alignment:
            where = f"this part of a buffer begins at byte {buffer.offset}"
            raise ValueError(f"an array of {self.dtype} begins at a multiple of {self.dtype.alignment} bytes; {where}")
        current.look_elsewhere()

    def __repr__(self) -> str:
        return f"<{self.dtype} array of shape {self.shape} on {self.device.name}>"

    @property
    def device(self) -> Device:
        """Where the memory is."""
        return self.buffer.device

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""
        return self.size * self.dtype.itemsize

    def to_numpy(self, stream: Stream | None = None) -> np.ndarray:
        """A copy on the host, once the work that ``stream`` (by default the buffer's) has queued is done."""
        if not self.contiguous:
            raise ValueError("an array that does not lie in C order is copied to the host by its owner")
        return self.buffer.view(0, self.nbytes).to_numpy(self.dtype, self.shape, stream)

    @property
    def __cuda_array_interface__(self) -> dict[str, object]:
        """What CuPy, Numba and PyTorch take a CUDA array by (version 3). ``AttributeError`` on other devices."""
        if self.device.driver.api != "cuda":
            raise AttributeError("__cuda_array_interface__")
        strides = None if self.contiguous else self.strides
        return {"shape": self.shape, "typestr": self.dtype.str, "data": (self.buffer.address, False), "strides": strides, "version": 3}

    @property
    def contiguous(self) -> bool:
        """Whether the elements lie in C order, without gaps."""
        return self.strides == _contiguous(self.shape, self.dtype.itemsize) or self.size < 2


def strided(buffer: Buffer, dtype: np.dtype[np.generic], shape: tuple[int, ...], strides: tuple[int, ...]) -> DeviceArray:
    """An array whose first element is at the start of ``buffer`` and whose others are ``strides`` bytes apart, also before it: whoever
    asks knows that they lie in the memory of which the buffer is a view."""
    made: DeviceArray = object.__new__(DeviceArray)
    made.buffer, made.dtype, made.shape, made.strides = buffer, dtype, shape, strides
    return made


def _contiguous(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    steps = [itemsize]
    for extent in shape[:0:-1]:
        steps.insert(0, steps[0] * extent)
    return tuple(steps) if shape else ()


def memory_of(value: object) -> object:
    """What a launch takes for an argument: the memory of an array whose values may still be to be computed, other values as they are.

    Arrays say what it is by ``__anygpu_array__``, a method that queues that work and gives a `DeviceArray` or a NumPy array.
    """
    kind = type(value)
    if kind in _PLAIN:
        return value
    method = getattr(value, "__anygpu_array__", None)
    if method is not None and not isinstance(value, type):
        return method()
    if isinstance(value, tuple):
        items = [memory_of(item) for item in value]
        if all(a is b for a, b in zip(items, value, strict=True)):
            return value
        return value._make(items) if hasattr(value, "_make") else tuple(items)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        given = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.init}
        changed = {name: found for name, item in given.items() if (found := memory_of(item)) is not item}
        return dataclasses.replace(value, **changed) if changed else value
    return value


_PLAIN = frozenset((int, float, bool, complex, np.ndarray, Buffer, DeviceArray))
