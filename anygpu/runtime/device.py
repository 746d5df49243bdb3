"""Devices, by name, and which of them is current."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

import numpy as np

from anygpu.errors import WrongDeviceError
from anygpu.runtime import discovery, faults
from anygpu.runtime.base import Capabilities, Driver, Properties
from anygpu.runtime.current import current
from anygpu.runtime.memory import Buffer, MemoryPool, pinned_array
from anygpu.runtime.stream import Stream

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, DTypeLike

    from anygpu.runtime.device_libraries import Libraries

_devices: dict[str, Device] = {}
_lock = threading.RLock()


@faults.after_fork_in_child
def _renew_lock() -> None:
    global _lock
    _lock = threading.RLock()


class Device:
    """A device of this machine. ``Device(name)`` is the same object for the same name; without a name, the current device.

    ``with device:`` makes it current for the thread, `set_default_device` for the process. A device equals its name.

    Args:
        name: ``"cpu"``, ``"opencl:0"``, ``"cuda:0"``, ``"hip:0"``; a number that is left out is 0.

    Attributes:
        name: The whole name.
        properties: What it is, and its limits (`Properties`).
        capabilities: What it can do (`Capabilities`).
        pool: Its memory (`MemoryPool`).

    Raises:
        NoDeviceError: There is no such device here. The text says why, and what is here.

    Example:
        >>> import anygpu as ag
        >>> device = ag.Device("cpu")
        >>> device is ag.Device("cpu"), device == "cpu"
        (True, True)
        >>> with device:
        ...     ag.Device().name
        'cpu'
    """

    name: str
    driver: Driver
    properties: Properties
    capabilities: Capabilities
    pool: MemoryPool
    used: bool  # whether it ever had a stream, and so anything to wait for
    visitors: list[Stream]  # streams that were given arrays, which are computed on the default stream
    streams: weakref.WeakSet[Stream]
    _default_stream: Stream | None
    _libraries: Libraries | None

    def __new__(cls, name: str | Device | None = None) -> Device:
        if isinstance(name, Device):
            return name
        if name is None:
            return current_device()
        wanted = discovery.full_name(name)
        device = _devices.get(wanted)
        if device is None:
            with _lock:
                device = _devices.get(wanted) or cls._open(wanted)
        return device

    @classmethod
    def _open(cls, name: str) -> Device:
        device = object.__new__(cls)
        device.name = name
        device.driver = discovery.driver(name)
        device.properties = device.driver.properties
        device.capabilities = device.driver.capabilities
        faults.check(device.driver)
        device.pool = MemoryPool(device)
        device.used = False
        device.visitors = []
        device._default_stream = None
        device._libraries = None
        device.streams = weakref.WeakSet()
        _devices[name] = device
        return device

    def __eq__(self, other: object) -> bool:
        return self is other or (self.name == other if isinstance(other, str) else NotImplemented)

    def __hash__(self) -> int:
        return hash(self.name)

    def __reduce__(self) -> tuple[type[Device], tuple[str]]:
        return (Device, (self.name,))

    def __repr__(self) -> str:
        found = self.properties
        units = f"{found.compute_units} compute unit{'s' * (found.compute_units != 1)}"
        return f"<device {self.name}: {found.model}, {units}, {found.memory / 2**30:.3g} GiB ({found.architecture})>"

    def __enter__(self) -> Device:
        faults.check(self.driver)
        current.stack.entered.append(self)
        if self.name != "cpu":
            current.look_elsewhere()
        return self

    def __exit__(self, *exception: object) -> None:
        current.stack.entered.pop()

    @property
    def default_stream(self) -> Stream:
        """The stream for work that names none, made at its first use."""
        if self._default_stream is None:
            with _lock:
                if self._default_stream is None:
                    self._default_stream = Stream(self, "default stream")
        return self._default_stream

    def lend(self, stream: Stream) -> None:
        """Let a stream use arrays: it follows what the default stream computes, and that will follow it (`array_stream`)."""
        if stream is self.default_stream:
            self.array_stream()
            return
        if stream.capturing:
            self.default_stream.synchronize()  # a capture cannot wait for work outside of it
        else:
            stream.wait(self.default_stream)
        if stream not in self.visitors:
            self.visitors.append(stream)

    def array_stream(self) -> Stream:
        """The stream on which arrays are computed, behind what other streams were given them for."""
        stream = self.default_stream
        while self.visitors:
            try:
                visitor = self.visitors.pop()
            except IndexError:  # another thread has just waited for the last one
                break
            if not (visitor.closed or visitor.capturing):
                stream.wait(visitor)
        return stream

    @property
    def libraries(self) -> Libraries:
        """The vendor's libraries for products of matrices and Fourier transforms. ``describe()`` is a line about them.

        Example:
            >>> import anygpu as ag
            >>> ag.Device("cpu").libraries.describe()
            "NumPy's BLAS, LAPACK and FFT"
        """
        if self._libraries is None:
            from anygpu.runtime.device_libraries import Libraries

            with _lock:
                if self._libraries is None:
                    self._libraries = Libraries(self)
        return self._libraries

    @property
    def ordinal(self) -> int:
        """Its number among the devices of its kind."""
        return self.driver.ordinal

    # ------------------------------------------------------------------------------------------------------------------- memory

    def allocate(self, size: int, stream: Stream | None = None) -> Buffer:
        """``size`` bytes that are not initialised, for work on ``stream`` from now on. See `MemoryPool.allocate`."""
        return self.pool.allocate(size, stream)

    def to_device(self, source: ArrayLike | Buffer, stream: Stream | None = None) -> Buffer:
        """A new buffer with the bytes of a host array, or of a buffer of any device."""
        array = source if isinstance(source, Buffer) else np.ascontiguousarray(source)
        buffer = self.pool.allocate(array.size if isinstance(array, Buffer) else array.nbytes, stream)
        buffer.copy_from(array, stream)
        return buffer

    def pinned(self, shape: int | tuple[int, ...], dtype: DTypeLike = np.uint8) -> np.ndarray:
        """A host array, not initialised, that this device copies without a detour and while it computes (page-locked memory).

        Raises ``OutOfMemoryError`` where the host has no more memory that can be page-locked.

        Example:
            >>> import numpy as np, anygpu as ag
            >>> staging = ag.Device("cpu").pinned((2, 3), np.float32)
            >>> staging.shape, staging.dtype.name
            ((2, 3), 'float32')
        """
        return pinned_array(self.driver, shape, dtype)

    def can_access_peer(self, other: Device) -> bool:
        """Whether this device reaches the memory of ``other``, so that copies between them do not pass the host."""
        return other is not self and other.driver.api == self.driver.api and self.driver.can_access_peer(other.driver)

    def enable_peer_access(self, other: Device) -> None:
        """Let kernels on this device use buffers of ``other``. Enabling it twice is allowed.

        Raises `WrongDeviceError` where `can_access_peer` is false.
        """
        if not self.can_access_peer(other):
            hint = f"copy with {self.name}'s to_device(buffer)"
            raise WrongDeviceError(f"{self.name} cannot reach the memory of {other.name}\n  hint: {hint}")
        self.driver.enable_peer(other.driver)

    # ------------------------------------------------------------------------------------------------------------------ streams

    def create_stream(self) -> Stream:
        """A new stream."""
        faults.check(self.driver)
        return Stream(self)

    def stream_or_default(self, stream: Stream | None, default: Stream | None = None) -> Stream:
        """``stream``, or ``default``, or the default stream. Raises `WrongDeviceError` for a stream of another device."""
        if stream is None:
            return self.default_stream if default is None or default.closed else default
        if not isinstance(stream, Stream):
            raise TypeError(f"a stream is made by {self.name}'s create_stream(), not {stream!r}")
        if stream.device is not self:
            raise WrongDeviceError(f"{stream!r} was used on {self.name}\n  hint: make a stream with {self.name}'s create_stream()")
        return stream

    def synchronize(self) -> None:
        """Wait for all work on all streams of the device. Raises what a kernel did wrong."""
        if self._default_stream is None:
            faults.check(self.driver)
        else:
            self._default_stream.check()
            self._default_stream.refuse_capture("synchronize")
        self.driver.synchronize()
        for stream in list(self.streams):
            if not (stream.capturing or stream.closed):
                stream.report()


def current_device() -> Device:
    """The device of the innermost ``with device:`` of this thread, else the process's default."""
    entered = current.stack.entered
    return entered[-1] if entered else Device(current.default)


def set_default_device(device: str | Device) -> Device:
    """Make a device the default of the process, for all threads that have entered no other. Returns it.

    Example:
        >>> import anygpu as ag
        >>> ag.set_default_device("cpu").name
        'cpu'
    """
    chosen = Device(device)
    current.chosen = chosen.name
    if chosen.name != "cpu":
        current.look_elsewhere()
    return chosen


def devices() -> list[Device]:
    """The devices of this machine, the CPU first. Looks for every vendor's driver at the first call.

    What is there and cannot be used is not listed: `problems` says why.

    Example:
        >>> import anygpu as ag
        >>> ag.devices()[0].name
        'cpu'
    """
    return [Device(name) for name in discovery.names()]


def problems() -> dict[str, str]:
    """Why a vendor's devices cannot be used here, one line for each back end that has none: its package or driver is missing or broken.

    Example:
        >>> import anygpu as ag
        >>> set(ag.problems()) <= {"cuda", "hip", "opencl"}
        True
    """
    return discovery.problems()


def synchronize() -> None:
    """Wait until every launch on every device that has been used has finished. Launches on the CPU have when they return."""
    for device in list(_devices.values()):
        if device.driver.fault is None and device.used:
            device.synchronize()
