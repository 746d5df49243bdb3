"""The CPU under the contract: host memory, and streams that do everything at once.

Python kernels are launched by the engine through `anygpu.runtime.cpu`, whose short path passes no layer at all. Such a launch has
ended when it returns, which is the order that a stream asks for.
"""

from __future__ import annotations

import ctypes
import time
from pathlib import Path

import numpy as np

from anygpu.errors import AnyGPUError, DeviceError
from anygpu.runtime.base import Capabilities, Code, Direction, Driver, Handle, Launch, Parameter, Properties, Request

_ALIGNMENT = 64
_NO_SOURCE = (
    "the CPU device takes Python kernels, not {what}\n"
    "  hint: pip install 'anygpu[opencl-cpu]' makes the CPU an OpenCL device too, which compiles OpenCL C"
)


def available_memory() -> int | None:
    """Bytes of the machine's memory that programs can still get; None where the system does not tell as Linux does."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


class _Event:
    """When it was recorded, in nanoseconds."""

    __slots__ = ("when",)

    def __init__(self) -> None:
        self.when = 0


class CpuDriver(Driver):
    """The CPU. What it is, the engine tells, which knows the code that is made for it."""

    api = "cpu"
    ordinal = 0

    def __init__(self, properties: Properties, capabilities: Capabilities):
        self.properties = properties
        self.capabilities = capabilities
        self.fault: AnyGPUError | None = None
        self._memory: dict[int, np.ndarray] = {}

    def allocate(self, size: int) -> int:
        memory = np.empty(size + _ALIGNMENT, np.uint8)  # NumPy asks for huge pages where they help
        address = (int(memory.ctypes.data) + _ALIGNMENT - 1) & -_ALIGNMENT
        self._memory[address] = memory
        return address

    def free(self, address: int) -> None:
        del self._memory[address]

    def free_memory(self) -> int | None:
        return available_memory()

    allocate_host = allocate
    free_host = free

    def argument(self, address: int, size: int) -> object:
        return address

    def copy(self, stream: Handle, destination: int, source: int, size: int, direction: Direction) -> None:
        ctypes.memmove(destination, source, size)

    def fill(self, stream: Handle, address: int, pattern: bytes, size: int) -> None:
        if len(pattern) == 1:
            ctypes.memset(address, pattern[0], size)
        else:
            ctypes.memmove(address, pattern * (size // len(pattern)), size)

    # ------------------------------------------------------------------------------------------------------- streams and events

    def create_stream(self) -> Handle:
        return None

    def destroy_stream(self, stream: Handle) -> None:
        """Nothing: there is no queue."""

    def stream_done(self, stream: Handle) -> bool:
        return True

    def synchronize_stream(self, stream: Handle) -> None:
        """Nothing to wait for."""

    def synchronize(self) -> None:
        """Nothing to wait for."""

    def create_event(self) -> _Event:
        return _Event()

    def destroy_event(self, event: Handle) -> None:
        """Nothing: it is a number."""

    def record_event(self, stream: Handle, event: Handle) -> None:
        assert isinstance(event, _Event)
        event.when = time.perf_counter_ns()

    def wait_event(self, stream: Handle, event: Handle) -> None:
        """Nothing to wait for."""

    def event_done(self, event: Handle) -> bool:
        return True

    def synchronize_event(self, event: Handle) -> None:
        """Nothing to wait for."""

    def elapsed_time(self, start: Handle, end: Handle) -> float:
        assert isinstance(start, _Event)
        assert isinstance(end, _Event)
        return (end.when - start.when) * 1e-6

    # ------------------------------------------------------------------------------------------------------------ code and launch

    def compile(self, request: Request) -> Code:
        raise DeviceError(_NO_SOURCE.format(what=f"source in language {request.language!r}"))

    def compiler_version(self, language: str) -> str:
        return self.properties.driver_version

    def load(self, code: Code) -> Handle:
        raise DeviceError(_NO_SOURCE.format(what=code.format))

    def unload(self, module: Handle) -> None:
        """Nothing: nothing was loaded."""

    def function(self, module: Handle, name: str) -> Handle:
        raise KeyError(name)

    def prepare(self, function: Handle, parameters: tuple[Parameter, ...], cooperative: bool = False) -> Launch:
        raise DeviceError(_NO_SOURCE.format(what="loaded code"))
