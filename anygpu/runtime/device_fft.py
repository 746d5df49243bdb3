"""Fourier transforms by a vendor's library, on one device."""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from anygpu.errors import DriverError
from anygpu.runtime import faults
from anygpu.runtime.base import Driver, Handle
from anygpu.runtime.current import noted
from anygpu.runtime.memory import Buffer

if TYPE_CHECKING:
    from anygpu.runtime.device import Device
    from anygpu.runtime.stream import Stream
    from anygpu.runtime.vendor_libraries import Library

MOST_PLANS = 32  # that a device remembers: each holds tables in its memory
# What is transformed to what, by the dtypes of both: the letters in the function's name, and the number, the same for both vendors.
_TYPES = {
    ("complex64", "complex64"): ("C2C", 0x29), ("complex128", "complex128"): ("Z2Z", 0x69),
    ("float32", "complex64"): ("R2C", 0x2A), ("float64", "complex128"): ("D2Z", 0x6A),
    ("complex64", "float32"): ("C2R", 0x2C), ("complex128", "float64"): ("Z2D", 0x6C),
}  # fmt: skip


@dataclass(frozen=True)
class Rows:
    """Rows of elements in a device's memory.

    Attributes:
        buffer: The memory, from the first element on.
        dtype: The dtype of the elements.
        step: Elements from one to the next of a row.
        distance: Elements from a row to the next.
    """

    buffer: Buffer
    dtype: str
    step: int
    distance: int


class _Plan:
    """A plan of the library's, destroyed when nobody holds it any more. ``work`` is the bytes that it needs while it runs."""

    def __init__(self, library: Library, driver: Driver, count: int, n: int, source: Rows, target: Rows):
        self.handle = library.interface.handle()
        library.call(driver, "Create", ctypes.byref(self.handle))
        close = weakref.finalize(self, _destroy, library, driver, self.handle)
        close.atexit = False
        library.call(driver, "SetAutoAllocation", self.handle, 0)  # the pool's memory serves, in the order of the stream
        letters, number = _TYPES[source.dtype, target.dtype]
        extents, work = (ctypes.c_longlong * 1)(n), ctypes.c_size_t()
        layouts = [item for rows in (source, target) for item in (extents, rows.step, rows.distance)]
        detail = f"{count} transforms of {n} elements, {letters}"
        library.call(driver, "MakePlanMany64", self.handle, 1, extents, *layouts, number, count, ctypes.byref(work), detail=detail)
        self.work = work.value


class Fft:
    """A vendor's library and its plans for one device. Raises what creating a first plan does."""

    def __init__(self, device: Device, library: Library):
        self.device = device
        self.library = library
        self._lock = threading.Lock()  # a plan has one stream and one work area at a time
        self._plans: OrderedDict[tuple[object, ...], _Plan] = OrderedDict()
        handle = library.interface.handle()
        library.call(device.driver, "Create", ctypes.byref(handle))
        _destroy(library, device.driver, handle)

    def transform(self, count: int, n: int, source: Rows, target: Rows, sign: int) -> bool:
        """Queue the unscaled transforms of ``count`` rows of n elements each.

        Of real rows, and to real ones, only the first ``n // 2 + 1`` complex elements are written or read. A transform to real rows may
        overwrite its source.

        Args:
            count: The rows.
            n: The length of each, in real or complex elements, whichever are more.
            source: What is transformed.
            target: Where the results go, in C order.
            sign: That of the exponent: -1 from real rows, 1 to them.

        Returns:
            Whether the library does that.
        """
        stream = self.device.array_stream()
        stream.check()  # before the lock, which in a child of fork nobody may hold any more
        for buffer in (source.buffer, target.buffer):
            buffer.argument_on(stream)
        letters, _ = _TYPES[source.dtype, target.dtype]
        name = self.library.names[f"Exec{letters}"]
        try:
            with self._lock:
                plan = self._plan(stream, count, n, source, target)
                work = self.device.allocate(plan.work, stream) if plan.work else None
                if work is not None:
                    work.argument_on(stream)
                if stream.capturing:
                    stream.keep(plan)
                size = count * (_row_bytes(source, target, n) + _row_bytes(target, source, n))
                with noted("kernel", f"{name} of {n}", stream, size):
                    stream.submit(self._execute, plan, work, f"Exec{letters}", source, target, sign)
        except DriverError as error:
            if self.library.refuses(error):
                return False
            raise
        return True

    def _execute(self, stream: Handle, plan: _Plan, work: Buffer | None, name: str, source: Rows, target: Rows, sign: int) -> None:
        call, driver = self.library.call, self.device.driver
        call(driver, "SetStream", plan.handle, int(stream))  # type: ignore[call-overload]
        if work is not None:
            call(driver, "SetWorkArea", plan.handle, work.address)
        direction = (sign,) if source.dtype == target.dtype else ()
        call(driver, name, plan.handle, source.buffer.address, target.buffer.address, *direction)

    def _plan(self, stream: Stream, count: int, n: int, source: Rows, target: Rows) -> _Plan:
        """The plan for such rows: one that is remembered, if there is one. That used longest ago is forgotten, once it has run."""
        key = (count, n, *((rows.dtype, rows.step, rows.distance) for rows in (source, target)))
        plan = self._plans.get(key)
        if plan is None:
            try:
                plan = _Plan(self.library, self.device.driver, count, n, source, target)
            except DriverError as error:
                if not self.library.lacks_memory(error):
                    raise
            if plan is None:  # once more, with the memory of the others, when they have run
                if not stream.capturing:
                    self.device.driver.synchronize()
                    self._plans.clear()
                self.device.pool.trim()
                plan = _Plan(self.library, self.device.driver, count, n, source, target)
            self._plans[key] = plan
            if len(self._plans) > MOST_PLANS:
                stream.keep(self._plans.popitem(last=False)[1])
        self._plans.move_to_end(key)
        return plan


def _row_bytes(rows: Rows, others: Rows, n: int) -> int:
    """The bytes of a row: half of the complex elements, if the others are real."""
    dtype = np.dtype(rows.dtype)
    return dtype.itemsize * (n // 2 + 1 if dtype.kind == "c" and rows.dtype != others.dtype else n)


def _destroy(library: Library, driver: Driver, handle: object) -> None:
    if faults.usable(driver):
        library.call(driver, "Destroy", handle)
