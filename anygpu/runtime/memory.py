"""Device memory: buffers that free themselves, and the pool that keeps what they give back.

Allocation follows the order of streams, as ``cudaMallocAsync`` does: a buffer that is freed while its stream still works on it may be
given out again at once for later work of the same stream, and for another stream when the first has finished. No call waits.
"""

from __future__ import annotations

import collections
import ctypes
import math
import operator
import os
import sys
import threading
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from anygpu.errors import OutOfMemoryError, UseAfterFreeError, WrongDeviceError, WrongStreamError
from anygpu.runtime import faults
from anygpu.runtime.current import noted

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

    from anygpu.runtime.base import Direction, Driver
    from anygpu.runtime.device import Device
    from anygpu.runtime.device_array import DeviceArray
    from anygpu.runtime.stream import Stream

GRANULE = 512  # bytes; sizes are rounded up to it, and large ones to an eighth of their power of two
CACHED_PART, CACHED_LEAST = 8, 1 << 28  # of the host's memory, an eighth or so many bytes are kept at most
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


@dataclass(frozen=True)
class PoolStatistics:
    """What a pool has given out, in bytes. ``hits`` and ``misses`` count allocations that the cache served, and that the driver did.

    Attributes:
        live: Bytes in buffers that are alive.
        peak: The most that ``live`` has been.
        cached: Bytes that were given back and are kept.
        buffers: Buffers that are alive.
        hits: Allocations served from the cache.
        misses: Allocations that went to the driver.
    """

    live: int
    peak: int
    cached: int
    buffers: int
    hits: int
    misses: int


@dataclass(eq=False, slots=True)
class _Block:
    """Driver memory, and the streams that may still work on it."""

    address: int
    capacity: int
    streams: list[Stream]

    def ready_for(self, stream: Stream) -> bool:
        return all(s is stream or s.done for s in self.streams)


class Allocation:
    """Memory that one buffer and its views share. It goes back to the pool when the last of them is gone, or when one is closed."""

    __slots__ = ("__weakref__", "_give_back", "block", "closed", "recycled", "site", "size", "stream")

    def __init__(self, pool: MemoryPool, block: _Block, size: int, stream: Stream, site: str, recycled: bool):
        self.block = block
        self.size = size
        self.stream = stream
        self.site = site
        self.recycled = recycled
        self.closed = False
        self._give_back = weakref.finalize(self, pool._give_back, block)
        self._give_back.atexit = False

    def close(self) -> None:
        """Give the memory back now."""
        self.closed = True
        self._give_back()

    def use_on(self, stream: Stream) -> None:
        """Note that a second stream works on this memory. What its first stream did with it before is waited for."""
        streams = self.block.streams
        if stream not in streams:
            if self.recycled and not (stream.capturing or self.stream.capturing or self.stream.closed):
                stream.wait(self.stream)
            streams.append(stream)


class Borrowed:
    """Memory that somebody else allocated and keeps as long as ``owner`` is alive: stands for an `Allocation`."""

    __slots__ = ("__weakref__", "block", "closed", "owner", "recycled", "site", "size", "stream")

    def __init__(self, address: int, size: int, stream: Stream, owner: object):
        self.block = _Block(address, size, [stream])
        self.size = size
        self.stream = stream
        self.owner = owner
        self.site = "another library"
        self.recycled = False
        self.closed = False

    def close(self) -> None:
        """Let the owner go."""
        self.closed = True
        self.owner = None

    def use_on(self, stream: Stream) -> None:
        """The owner knows nothing of streams: whoever borrows waits before it lets the memory go."""


class MemoryPool:
    """The memory of one device: allocates in stream order, keeps what is given back, and counts.

    Example:
        >>> import anygpu as ag
        >>> pool = ag.Device("cpu").pool
        >>> buffer = pool.allocate(1000)
        >>> buffer.size, pool.statistics.live >= 1000
        (1000, True)
    """

    def __init__(self, device: Device):
        self.device = device
        self._driver = device.driver
        self._free: dict[int, list[_Block]] = {}
        self._live: dict[int, tuple[int, int, str]] = {}  # address: size, capacity, where it was made
        # Finalizers run at any moment, also inside the pool's own code: they only append here, which needs no lock.
        self._returned: collections.deque[_Block] = collections.deque()
        self._lock = threading.Lock()
        self._bytes = self._peak = self._cached = self._hits = self._misses = 0
        # The host's memory is everybody's: little of it is kept. A device's is kept for the next arrays.
        self._limit = max(device.properties.memory // CACHED_PART, CACHED_LEAST) if device.driver.api == "cpu" else sys.maxsize
        _pools.add(self)

    def __repr__(self) -> str:
        found = self.statistics
        return f"<memory pool of {self.device.name}: {found.live:,} bytes live, {found.cached:,} cached>"

    def allocate(self, size: int, stream: Stream | None = None) -> Buffer:
        """``size`` bytes that are not initialised, for work on ``stream`` (by default the device's default stream) from now on.

        If the device is full, everything cached is given back and the driver is asked again.

        Raises:
            OutOfMemoryError: There is still no room (a ``MemoryError``). The text names the largest live buffers and where they were made.
        """
        stream = self.device.stream_or_default(stream)
        faults.check(self._driver)
        if size < 0:
            raise ValueError(f"the size of a buffer must not be negative: {size}")
        capacity = rounded(size)
        with self._lock:
            self._take_back()
            block = self._find(capacity, stream)
            recycled = block is not None
            if block is None:
                block = _Block(self._grow(capacity, size), capacity, [stream])
            site = caller()
            self._live[block.address] = (size, capacity, site)
            self._bytes += size
            self._peak = max(self._peak, self._bytes)
            self._hits += recycled
            self._misses += not recycled
        return Buffer(self.device, Allocation(self, block, size, stream, site, recycled), 0, size)

    @property
    def statistics(self) -> PoolStatistics:
        """The counts at this moment."""
        with self._lock:
            self._take_back()
            return PoolStatistics(self._bytes, self._peak, self._cached, len(self._live), self._hits, self._misses)

    def trim(self) -> int:
        """Wait for the device and give everything cached back to the driver. Returns the bytes."""
        faults.check(self._driver)
        with self._lock:
            return self._trim()

    def _give_back(self, block: _Block) -> None:
        """A buffer is gone. Called by finalizers, which may run inside the pool's own code: then whoever holds the lock goes on."""
        self._returned.append(block)
        if block.capacity > self._limit // 8 and self._lock.acquire(blocking=False):
            try:
                self._take_back()
            finally:
                self._lock.release()

    def _take_back(self) -> None:
        """Put what finalizers have returned into the cache."""
        while self._returned:
            block = self._returned.popleft()
            size, capacity, _ = self._live.pop(block.address)
            self._bytes -= size
            self._cached += capacity
            self._free.setdefault(capacity, []).append(block)
            if self._cached > self._limit:
                self._trim_to(self._limit // 2)

    def _trim_to(self, limit: int) -> None:
        """Give cached blocks of the host's back, the largest first, until so many bytes are left."""
        for capacity in sorted(self._free, reverse=True):
            blocks = self._free[capacity]
            while blocks and self._cached > limit:
                self._driver.free(blocks.pop().address)
                self._cached -= capacity

    def _find(self, capacity: int, stream: Stream) -> _Block | None:
        """A cached block that is ready for work on ``stream``, the latest first: it may still be in the processor's cache."""
        blocks = self._free.get(capacity, ())
        for n in range(len(blocks) - 1, -1, -1):
            if blocks[n].ready_for(stream):
                block = blocks.pop(n)  # type: ignore[union-attr]
                block.streams = [stream]
                self._cached -= capacity
                return block
        return None

    def _grow(self, capacity: int, size: int) -> int:
        try:
            return self._driver.allocate(capacity)
        except MemoryError:
            self._trim()
        try:
            return self._driver.allocate(capacity)
        except MemoryError as error:
            raise OutOfMemoryError(self._shortage(size)) from error

    def _trim(self) -> int:
        self._take_back()
        if self._cached:
            self._driver.synchronize()
        given = 0
        for blocks in self._free.values():
            for block in blocks:
                self._driver.free(block.address)
                given += block.capacity
        self._free.clear()
        self._cached = 0
        return given

    def _shortage(self, size: int) -> str:
        total = self.device.properties.memory
        lines = [f"{self.device.name} has no room for a buffer of {size:,} bytes: {self._bytes:,} of {total:,} bytes are in live buffers"]
        largest = sorted(self._live.values(), reverse=True)[:5]
        lines += [f"  {held:,} bytes made at {site}" for held, _, site in largest]
        lines.append("  hint: drop buffers that are not needed (del, or buffer.close()), or work in parts")
        return "\n".join(lines)


_pools: weakref.WeakSet[MemoryPool] = weakref.WeakSet()


@faults.after_fork_in_child
def _renew_locks() -> None:
    for pool in _pools:
        pool._lock = threading.Lock()


def rounded(size: int) -> int:
    """The bytes that are taken for a buffer of ``size``: few different numbers, at most an eighth more, so that blocks fit again."""
    granule = max(GRANULE, 1 << max(0, size.bit_length() - 4))
    return max(GRANULE, -(-size // granule) * granule)


def caller() -> str:
    """The file and line outside this package that led here."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


class Buffer:
    """Bytes in a device's memory. It frees itself when it is no longer referred to; ``close`` does so earlier.

    Slices are views of the same memory: ``buffer[8:16]`` counts bytes. Made by ``Device.allocate`` and ``Device.to_device``.

    Example:
        >>> import numpy as np, anygpu as ag
        >>> buffer = ag.Device("cpu").to_device(np.arange(4, dtype=np.int32))
        >>> buffer[4:12].to_numpy(np.int32).tolist()
        [1, 2]
    """

    __slots__ = ("__weakref__", "_allocation", "_argument", "device", "offset", "size")

    def __init__(self, device: Device, allocation: Allocation | Borrowed, offset: int, size: int):
        self.device = device
        self.offset = offset
        self.size = size
        self._allocation = allocation
        self._argument: object = None

    def __repr__(self) -> str:
        return f"<{'closed ' if self.closed else ''}buffer of {self.size:,} bytes on {self.device.name}, made at {self._allocation.site}>"

    def __len__(self) -> int:
        return self.size

    @property
    def closed(self) -> bool:
        """Whether the memory was given back."""
        return self._allocation.closed

    @property
    def address(self) -> int:
        """Where the memory is, as kernels see it. Raises `UseAfterFreeError` once the buffer is closed."""
        self.check()
        return self._allocation.block.address + self.offset

    @property
    def stream(self) -> Stream:
        """The stream in whose order the buffer was allocated."""
        return self._allocation.stream

    def check(self) -> None:
        """Raise `UseAfterFreeError` if the memory was given back."""
        made = self._allocation
        if made.closed:
            what = f"a buffer of {made.size:,} bytes on {self.device.name}, made at {made.site},"
            raise UseAfterFreeError(f"{what} was used after it was closed")

    def argument_on(self, stream: Stream) -> object:
        """What a launch on ``stream`` passes for this buffer. Raises if the buffer is closed or belongs to another device."""
        allocation = self._allocation
        if stream is allocation.stream and stream.graph is None and not allocation.closed and self._argument is not None:
            return self._argument
        if self.device is not stream.device:
            other = stream.device.name
            raise WrongDeviceError(f"a buffer on {self.device.name} was used on {other}\n  hint: copy it with {other}'s to_device(buffer)")
        self.check()
        if stream is not allocation.stream:
            allocation.use_on(stream)
        if stream.capturing:
            stream.keep(self)
        if self._argument is None:
            self._argument = self.device.driver.argument(allocation.block.address + self.offset, self.size)
        return self._argument

    def array(self, dtype: DTypeLike, shape: int | tuple[int, ...] | None = None) -> DeviceArray:
        """The buffer's memory as an array that kernels take. Without ``shape``, as many elements as fit, in one axis."""
        from anygpu.runtime.device_array import DeviceArray

        if shape is None:
            shape = self.size // np.dtype(dtype).itemsize
        return DeviceArray(self, dtype, tuple(map(operator.index, shape)) if isinstance(shape, tuple | list) else (operator.index(shape),))

    def view(self, offset: int, size: int | None = None) -> Buffer:
        """Part of the buffer, sharing its memory: ``size`` bytes from ``offset``, by default all that follow."""
        self.check()
        size = self.size - offset if size is None else size
        if offset < 0 or size < 0 or offset + size > self.size:
            raise IndexError(f"bytes {offset} to {offset + size} are outside a buffer of {self.size} bytes")
        return Buffer(self.device, self._allocation, self.offset + offset, size)

    def __getitem__(self, part: slice) -> Buffer:
        if not isinstance(part, slice):
            raise TypeError(f"a buffer is sliced by bytes, as in buffer[0:{self.size}], not indexed by {part!r}")
        start, stop, step = part.indices(self.size)
        if step != 1:
            raise ValueError(f"a slice of a buffer has step 1, not {step}")
        return self.view(start, max(0, stop - start))

    def close(self) -> None:
        """Give the memory back to the pool, for this buffer and all its views. Queued work still sees it. Closing twice is allowed."""
        self._allocation.close()

    def __enter__(self) -> Buffer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # ------------------------------------------------------------------------------------------------------------------- copies

    def copy_from(self, source: Buffer | ArrayLike, stream: Stream | None = None, wait: bool = True) -> None:
        """Copy ``source``, a buffer or host array of at most this size, to the start of the buffer, in the order of ``stream``.

        With ``wait=False`` a copy from host memory returns at once: do not change the array until the stream has passed the copy. It
        overlaps with other work if the array is pinned (``Device.pinned``). Copies within a device never wait.

        Raises:
            ValueError: ``source`` is larger than the buffer, or no contiguous array.
            WrongDeviceError: ``stream`` belongs to another device than the buffer.
        """
        stream = self.device.stream_or_default(stream, self._allocation.stream)
        if isinstance(source, Buffer):
            self._copy_buffer(source, stream)
            return
        array = np.ascontiguousarray(source)
        self._fits(array.nbytes)
        if array.nbytes:
            self._move(stream, self.address, array.ctypes.data, array.nbytes, "in", array, wait)

    def copy_to(self, target: np.ndarray | Buffer, stream: Stream | None = None, wait: bool = True) -> None:
        """Copy the start of the buffer to a buffer, or to all of a C-contiguous host array, in the order of ``stream``.

        With ``wait=False`` a copy to host memory returns at once; the array holds the data when the stream has passed the copy.

        Raises:
            ValueError: The array is larger than the buffer, not contiguous, or read-only.
        """
        if isinstance(target, Buffer):
            target.copy_from(self, stream)
            return
        stream = self.device.stream_or_default(stream, self._allocation.stream)
        if not isinstance(target, np.ndarray) or not target.flags.c_contiguous or not target.flags.writeable:
            hint = "buffer.to_numpy(dtype) makes one"
            raise ValueError(f"a buffer is copied to a C-contiguous NumPy array that can be written\n  hint: {hint}")
        self._fits(target.nbytes)
        if target.nbytes:
            self._move(stream, target.ctypes.data, self.address, target.nbytes, "out", target, wait)

    def to_numpy(self, dtype: DTypeLike, shape: int | tuple[int, ...] | None = None, stream: Stream | None = None) -> np.ndarray:
        """The bytes as a new array of ``dtype``. Without ``shape``, as many elements as fit, in one axis.

        Waits for ``stream``, by default the one on which the buffer was allocated; work on other streams is for `Stream.wait` to order.
        """
        chosen = np.dtype(dtype)
        found = np.empty(self.size // chosen.itemsize if shape is None else shape, chosen)
        self.copy_to(found, stream)
        return found

    def fill(self, value: int | bytes | np.generic, stream: Stream | None = None) -> None:
        """Fill the buffer with a byte (0 to 255), a NumPy scalar, or 1, 2 or 4 bytes, in the order of ``stream``. Does not wait.

        Raises ``ValueError`` if the size is no multiple of the pattern's.
        """
        stream = self.device.stream_or_default(stream, self._allocation.stream)
        pattern = bytes([value]) if isinstance(value, int) else value.tobytes() if isinstance(value, np.generic) else value
        if len(pattern) == 8 and pattern[:4] == pattern[4:]:
            pattern = pattern[:4]
        if len(pattern) not in (1, 2, 4) or self.size % len(pattern):
            what = f"a buffer of {self.size} bytes cannot be filled with a pattern of {len(pattern)}"
            raise ValueError(f"{what}: it takes 1, 2 or 4 bytes, which divide the size")
        if self.size:
            self.argument_on(stream)
            stream.submit(stream.driver.fill, self.address, pattern, self.size)

    def _fits(self, size: int) -> None:
        if size > self.size:
            raise ValueError(f"{size} bytes do not fit in a buffer of {self.size}")

    def _move(self, stream: Stream, target: int, source: int, size: int, direction: Direction, array: np.ndarray, wait: bool) -> None:
        if wait and stream.capturing:
            raise WrongStreamError(f"a copy that waits cannot be captured by {stream!r}\n  hint: pass wait=False")
        self.argument_on(stream)
        with noted("copy", "host to device" if direction == "in" else "device to host", stream, size):
            stream.submit(stream.driver.copy, target, source, size, direction)
        if wait:
            stream.synchronize()
        else:
            stream.keep(array)

    def _copy_buffer(self, source: Buffer, stream: Stream) -> None:
        self._fits(source.size)
        if not source.size:
            return
        if source.device is self.device:
            source.argument_on(stream)
            self.argument_on(stream)
            with noted("copy", "on the device", stream, 2 * source.size):
                stream.submit(stream.driver.copy, self.address, source.address, source.size, "on")
        elif self.device.can_access_peer(source.device):
            self.argument_on(stream)
            source.device.stream_or_default(None, source.stream).synchronize()  # streams of different devices meet on the host
            with noted("copy", "between devices", stream, source.size):
                stream.submit(stream.driver.copy_peer, self.address, source.device.driver, source.address, source.size)
            stream.keep(source)
        else:
            self.copy_from(source.to_numpy(np.uint8), stream)


def borrow(device: Device, address: int, size: int, owner: object) -> Buffer:
    """A buffer on memory of a device that somebody else allocated, as long as ``owner`` is alive."""
    return Buffer(device, Borrowed(address, size, device.default_stream, owner), 0, size)


def pinned_array(driver: Driver, shape: int | tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
    """A NumPy array in memory that the driver copies without a detour; freed with the last array that refers to it."""
    chosen = np.dtype(dtype)
    extents = (shape,) if isinstance(shape, int) else tuple(shape)
    size = chosen.itemsize * math.prod(extents)
    if size < 0 or any(n < 0 for n in extents):
        raise ValueError(f"an array cannot have the shape {extents}")
    if not size:
        return np.empty(extents, chosen)
    faults.check(driver)
    try:
        address = driver.allocate_host(size)
    except MemoryError as error:
        hint = "use a smaller array in turns, or a plain one"
        raise OutOfMemoryError(f"the host has no {size:,} bytes that can be page-locked\n  hint: {hint}") from error
    memory = (ctypes.c_char * size).from_address(address)
    close = weakref.finalize(memory, _free_host, driver, address)
    close.atexit = False
    array: np.ndarray = np.frombuffer(memoryview(memory), chosen).reshape(extents)
    return array


def _free_host(driver: Driver, address: int) -> None:
    if faults.usable(driver):
        driver.free_host(address)
