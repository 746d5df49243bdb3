"""A buffer with a dtype and a shape: what a kernel takes as an array in a device's own memory."""

from __future__ import annotations

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

    __slots__ = ("buffer", "dtype", "shape")

    def __init__(self, buffer: Buffer, dtype: DTypeLike, shape: tuple[int, ...]):
        self.buffer = buffer
        self.dtype = np.dtype(dtype)
        self.shape = shape
        if any(n < 0 for n in shape):
            raise ValueError(f"an array cannot have the shape {shape}")
        if self.nbytes > buffer.size:
            raise ValueError(f"an array of {self.nbytes:,} bytes does not fit in a buffer of {buffer.size:,}")
        if buffer.offset % self.dtype.alignment:
            where = f"this part of a buffer begins at byte {buffer.offset}"
            raise ValueError(f"an array of {self.dtype} begins at a multiple of {self.dtype.alignment} bytes; {where}")
        current.elsewhere = True

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

    @property
    def strides(self) -> tuple[int, ...]:
        """Bytes from an element to the next along each axis."""
        steps = [self.dtype.itemsize]
        for extent in self.shape[:0:-1]:
            steps.insert(0, steps[0] * extent)
        return tuple(steps[: self.ndim]) if self.shape else ()

    def to_numpy(self, stream: Stream | None = None) -> np.ndarray:
        """A copy on the host, once the work that ``stream`` (by default the buffer's) has queued is done."""
        return self.buffer.view(0, self.nbytes).to_numpy(self.dtype, self.shape, stream)

    @property
    def __cuda_array_interface__(self) -> dict[str, object]:
        """What CuPy, Numba and PyTorch take a CUDA array by (version 3). ``AttributeError`` on other devices."""
        if self.device.driver.api != "cuda":
            raise AttributeError("__cuda_array_interface__")
        return {"shape": self.shape, "typestr": self.dtype.str, "data": (self.buffer.address, False), "strides": None, "version": 3}
