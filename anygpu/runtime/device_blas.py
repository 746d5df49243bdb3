"""Products of matrices by a vendor's library, on one device."""

from __future__ import annotations

import ctypes
import threading
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anygpu.errors import DriverError
from anygpu.runtime import faults
from anygpu.runtime.base import Driver, Handle
from anygpu.runtime.current import noted
from anygpu.runtime.memory import Buffer

if TYPE_CHECKING:
    from anygpu.runtime.device import Device
    from anygpu.runtime.vendor_libraries import Library

# Each dtype's number, the same for both vendors (cudaDataType, hipDataType), its bytes, and the dtype in which products are added.
DTYPES = {
    "float16": (2, 2, "float32"), "bfloat16": (14, 2, "float32"), "float32": (0, 4, "float32"), "float64": (1, 8, "float64"),
    "complex64": (4, 8, "float32"), "complex128": (5, 16, "float64"),
}  # fmt: skip
_LONGEST = (1 << 31) - 1  # extents and distances of lines are C ints
# Complex numbers, or the real ones that they begin with.
_ONE = {"float32": (ctypes.c_float * 2)(1, 0), "float64": (ctypes.c_double * 2)(1, 0)}
_ZERO = {"float32": (ctypes.c_float * 2)(0, 0), "float64": (ctypes.c_double * 2)(0, 0)}


@dataclass(frozen=True)
class Matrices:
    """A stack of matrices in a device's memory, whose lines (rows, or columns) have no gaps within.

    Attributes:
        buffer: The memory, from the first element on.
        transposed: Whether the lines are columns.
        line: Elements from a line to the next.
        distance: Elements from a matrix to the next; 0 for one matrix that is used again and again.
    """

    buffer: Buffer
    transposed: bool
    line: int
    distance: int


def layout(rows: int, columns: int, down: int, right: int) -> tuple[bool, int] | None:
    """Whether a matrix lies transposed, and the elements from a line to the next, if a library can walk it.

    Args:
        rows: Its rows.
        columns: Its columns.
        down: Elements from a row to the next.
        right: Elements from a column to the next.
    """
    if right == 1 or columns == 1:
        if rows == 1 or down >= columns:
            return False, columns if rows == 1 else down
    if down == 1 or rows == 1:
        if columns == 1 or right >= rows:
            return True, rows if columns == 1 else right
    return None


class Blas:
    """A vendor's library and its handle for one device. Raises what creating the handle does."""

    def __init__(self, device: Device, library: Library):
        self.device = device
        self.library = library
        self._lock = threading.Lock()  # a handle has one stream at a time
        self._handle = _create(device, library)
        close = weakref.finalize(self, _destroy, library, device.driver, self._handle)
        close.atexit = False
        if library.interface.mode is not None:
            name, value = library.interface.mode
            library.call(device.driver, name, self._handle, value)

    def multiply(self, dtype: str, count: int, m: int, n: int, k: int, a: Matrices, b: Matrices, out: Buffer) -> bool:
        """Queue ``out[z] = a[z] @ b[z]`` for ``count`` matrices of m rows, n columns and k products each; ``out`` is in C order.

        Returns:
            Whether the library does that: not for every dtype and device, nor for extents of 2**31 and more.
        """
        if max(count, m, n, k, a.line, b.line) > _LONGEST:
            return False
        stream = self.device.array_stream()
        stream.check()  # before the lock, which in a child of fork nobody may hold any more
        for buffer in (a.buffer, b.buffer, out):
            buffer.argument_on(stream)
        name, (_, itemsize, _) = self.library.names["GemmStridedBatchedEx"], DTYPES[dtype]
        read = m * k * (count if a.distance else 1) + k * n * (count if b.distance else 1)
        try:
            with noted("kernel", f"{name} {dtype}", stream, itemsize * (read + count * m * n), 2 * count * m * n * k), self._lock:
                stream.submit(self._multiply, dtype, count, m, n, k, a, b, out)
        except DriverError as error:
            if self.library.refuses(error):
                return False
            raise
        return True

    def _multiply(
        self, stream: Handle, dtype: str, count: int, m: int, n: int, k: int, a: Matrices, b: Matrices, out: Buffer
    ) -> None:
        """The library counts along columns first, so that a matrix in C order is to it the transposed one: it is asked for the
        transposed product, ``b.T @ a.T``, of which both operands lie as it wants them."""
        call, driver, numbers = self.library.call, self.device.driver, self.library.interface.numbers
        number, _, total = DTYPES[dtype]
        operations = [numbers["transposed" if x.transposed else "plain"] for x in (b, a)]
        operands = [(x.buffer.address, number, x.line, x.distance) for x in (b, a)]
        call(driver, "SetStream", self._handle, int(stream))  # type: ignore[call-overload]
        call(
            driver, "GemmStridedBatchedEx", self._handle, *operations, n, m, k, _ONE[total], *operands[0], *operands[1],
            _ZERO[total], out.address, number, n, m * n, count, numbers[total], numbers["default"],
            detail=f"{count} products of {m} x {k} by {k} x {n} in {dtype}",
        )  # fmt: skip


def _create(device: Device, library: Library) -> ctypes.c_void_p:
    """A handle, for which cached memory is given back if there is no room."""
    handle = ctypes.c_void_p()
    try:
        library.call(device.driver, "Create", ctypes.byref(handle))
    except DriverError as error:
        if not (library.lacks_memory(error) and device.pool.trim()):
            raise
        library.call(device.driver, "Create", ctypes.byref(handle))
    return handle


def _destroy(library: Library, driver: Driver, handle: ctypes.c_void_p) -> None:
    if faults.usable(driver):
        library.call(driver, "Destroy", handle)
