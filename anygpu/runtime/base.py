"""The contract between a vendor's driver and the runtime.

A back end is one module with a function ``discover() -> Found`` and one class that has what `Driver` lists. The public objects
(`Device`, `Stream`, `Event`, `Buffer`, `MemoryPool`, `Graph`, `ObjectCode`, `Kernel`) are written once, over this contract: they own
lifetimes, pools, checks and messages, so that a driver is only calls. Each method is marked

- **must**: nothing works without it;
- **should**: the runtime does without, at a price that the method names;
- **may**: a capability of its own, announced in `Capabilities`.

A driver knows bytes, names and addresses. An address is an int on every device: OpenCL allocates shared virtual memory. Every method
may be called from any thread; none needs the caller to make a context current. A method that is given a stream queues its work there
and does not wait. Failures are raised as `anygpu.errors.DriverError`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from anygpu.errors import AnyGPUError, DeviceError

Triple = tuple[int, int, int]
Handle = object  # what a driver knows its stream, event, module or function by
Direction = Literal["in", "out", "on"]  # host to device, device to host, within the device
Launch = Callable[[Handle, Triple, Triple, int, Sequence[object]], None]  # stream, grid, block, shared bytes, values


class Unavailable(AnyGPUError):
    """A back end that cannot be used on this machine. The text is one line that says why and what to do."""


@dataclass(frozen=True)
class Capabilities:
    """What a device can do beyond the common core.

    Attributes:
        fp16: Whether kernels may compute in float16.
        fp64: Whether kernels may compute in float64.
        atomics64: Whether there are atomics of 64 bits.
        subgroup_sizes: Lanes of a warp (sub-group, wavefront); several where a kernel may choose.
        host_pointers: Whether kernels may read and write plain host memory by its address.
        cooperative: Whether a launch may synchronise its whole grid.
        driver_graphs: Whether graphs are the driver's. Elsewhere a graph is a recorded list.
        on_cpu: Whether an OpenCL device is a CPU, which runs work-items as lanes of its vectors.
        correctly_rounded: Whether float32 division and square root can be rounded correctly, as IEEE 754 has it.
        languages: Source languages that the device's own compiler takes.
        formats: Formats of object code that the driver loads.
    """

    fp16: bool = False
    fp64: bool = True
    atomics64: bool = True
    subgroup_sizes: tuple[int, ...] = (32,)
    host_pointers: bool = False
    cooperative: bool = False
    driver_graphs: bool = False
    on_cpu: bool = False
    correctly_rounded: bool = True
    languages: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()


@dataclass(frozen=True)
class Properties:
    """What a device is, and its limits.

    Attributes:
        model: As its vendor names it.
        vendor: Who made it.
        driver_version: Part of the key of everything that is cached for the device.
        architecture: What code is compiled for: ``sm_90``, ``gfx942``, ``x86_64``, or the OpenCL version.
        memory: Bytes of global memory.
        compute_units: Multiprocessors, compute units or cores.
        maximum_block: Work-items in a block.
        maximum_block_shape: Work-items along x, y and z.
        maximum_grid: Blocks along x, y and z.
        maximum_shared: Bytes of shared memory a block.
        maximum_allocation: Bytes of one buffer.
        details: Facts that only this kind of device has, by name, for people.
    """

    model: str
    vendor: str
    driver_version: str
    architecture: str
    memory: int
    compute_units: int
    maximum_block: int
    maximum_block_shape: Triple
    maximum_grid: Triple
    maximum_shared: int
    maximum_allocation: int
    details: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Parameter:
    """One parameter of a compiled kernel.

    Attributes:
        code: ``P`` a pointer to global memory, ``S`` a pointer to shared memory whose bytes the launch chooses, ``V`` ``size`` bytes by
            value, ``*`` a scalar of ``size`` bytes whose type the code does not tell, else a format character of `struct`.
        size: Bytes.
        name: As the source has it, where it is known.
        type: The type as the source has it, where it is known.
    """

    code: str
    size: int
    name: str = ""
    type: str = ""


@dataclass(frozen=True)
class Code:
    """Machine code, or text of the driver's own assembler, with what is known about its kernels.

    Attributes:
        format: ``ptx``, ``cubin``, ``codeobject``, ``spirv``, or ``opencl`` (a binary of one OpenCL driver).
        image: The bytes.
        parameters: Each kernel's parameters, by the name in the image. A kernel that is missing here takes what it is given.
        lowered: Names in the image of name expressions such as ``scale<float>``.
        options: Options for the driver when it loads the code.
    """

    format: str
    image: bytes
    parameters: dict[str, tuple[Parameter, ...]] = field(default_factory=dict)
    lowered: dict[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """What a compiler of raw source is asked for: the source, its language and file name, options, the name expressions wanted, and
    lines that define macros and constants before it."""

    source: str
    language: str
    filename: str
    options: tuple[str, ...] = ()
    expressions: tuple[str, ...] = ()
    prelude: str = ""

    @property
    def text(self) -> str:
        """All that the compiler reads. Line numbers are those of the source."""
        return f'{self.prelude}#line 1 "{self.filename}"\n{self.source}'


class Driver(Protocol):
    """One device. ``fault`` is set once nothing works on it any more (lost, or inherited by ``fork``); every use then raises it."""

    api: str
    ordinal: int
    properties: Properties
    capabilities: Capabilities
    fault: AnyGPUError | None

    # ------------------------------------------------------------------------------------------------------------------ memory

    def allocate(self, size: int) -> int:
        """**must** The address of ``size`` new bytes, aligned to 64 at least. Raises ``MemoryError`` if there is no room."""

    def free(self, address: int) -> None:
        """**must** Give back what `allocate` gave. Nothing that uses it is queued any more."""

    def copy(self, stream: Handle, destination: int, source: int, size: int, direction: Direction) -> None:
        """**must** Queue a copy. Host memory may be pageable; it stays alive and unchanged until the copy is done."""

    def fill(self, stream: Handle, address: int, pattern: bytes, size: int) -> None:
        """**must** Queue filling ``size`` bytes with ``pattern`` (1, 2 or 4 bytes, which divide ``size``)."""

    def free_memory(self) -> int | None:
        """**may** Bytes of the device's memory that nobody uses just now, other processes included; None where the driver does not tell."""
        return None

    def allocate_host(self, size: int) -> int:
        """**should** Pinned host memory, which copies without a detour. Plain host memory is correct, and copies more slowly."""

    def free_host(self, address: int) -> None:
        """**should** Give back what `allocate_host` gave."""

    def argument(self, address: int, size: int) -> object:
        """**must** What a launch passes for a pointer to this memory: made once a buffer, where making it costs something."""

    # ------------------------------------------------------------------------------------------------------- streams and events

    def create_stream(self) -> Handle:
        """**must** An in-order queue of work."""

    def destroy_stream(self, stream: Handle) -> None:
        """**must** Let go of a stream; work that is queued on it is still done."""

    def stream_done(self, stream: Handle) -> bool:
        """**must** Whether all queued work is done, without waiting."""

    def synchronize_stream(self, stream: Handle) -> None:
        """**must** Wait until all queued work is done."""

    def synchronize(self) -> None:
        """**must** Wait for all streams of the device."""

    def create_event(self) -> Handle:
        """**must** A point in a stream that can be waited for and has a time."""

    def destroy_event(self, event: Handle) -> None:
        """**must** Let go of an event."""

    def record_event(self, stream: Handle, event: Handle) -> None:
        """**must** Put the event behind all work that is queued now."""

    def wait_event(self, stream: Handle, event: Handle) -> None:
        """**must** Let later work of the stream wait for the event."""

    def event_done(self, event: Handle) -> bool:
        """**must** Whether the work before the event is done."""

    def synchronize_event(self, event: Handle) -> None:
        """**must** Wait for the work before the event."""

    def elapsed_time(self, start: Handle, end: Handle) -> float:
        """**must** Milliseconds from one event to another; both are done."""

    # ------------------------------------------------------------------------------------------------------------ code and launch

    def compile(self, request: Request) -> Code:
        """**should** Compile raw source in one of ``capabilities.languages``. Raises ``SourceError`` with the compiler's log."""

    def compiler_version(self, language: str) -> str:
        """**should** What the result of `compile` depends on besides the request: part of its cache key."""

    def load(self, code: Code) -> Handle:
        """**must** Make code in one of ``capabilities.formats`` executable."""

    def unload(self, module: Handle) -> None:
        """**must** Let go of loaded code. Nothing that uses it is queued any more."""

    def function(self, module: Handle, name: str) -> Handle:
        """**must** A kernel of loaded code. Raises ``KeyError`` if there is none of this name."""

    def prepare(self, function: Handle, parameters: tuple[Parameter, ...], cooperative: bool = False) -> Launch:
        """**must** A callable that queues the kernel: all that depends on the signature alone is done here, once."""

    # ---------------------------------------------------------------------------------------------------- graphs, other devices

    def _lacks(self, what: str) -> DeviceError:
        return DeviceError(f"{self.api}:{self.ordinal} has no {what}: capabilities says so")

    def begin_capture(self, stream: Handle) -> None:
        """**may** (``driver_graphs``) Collect what is queued on the stream from now on instead of doing it."""
        raise self._lacks("graphs")

    def end_capture(self, stream: Handle) -> Handle:
        """**may** (``driver_graphs``) The graph of what was collected."""
        raise self._lacks("graphs")

    def instantiate(self, graph: Handle) -> Handle:
        """**may** (``driver_graphs``) The graph, ready to run."""
        raise self._lacks("graphs")

    def launch_graph(self, stream: Handle, instance: Handle) -> None:
        """**may** (``driver_graphs``) Queue everything in the graph."""
        raise self._lacks("graphs")

    def destroy_graph(self, graph: Handle, instance: Handle | None) -> None:
        """**may** (``driver_graphs``) Let go of a graph and its instance."""
        raise self._lacks("graphs")

    def can_access_peer(self, other: Driver) -> bool:
        """**should** Whether kernels of this device can reach the other's memory. `False` sends copies through the host."""
        return False

    def enable_peer(self, other: Driver) -> None:
        """**may** Let kernels of this device reach the other's memory. Doing it twice is allowed."""
        raise self._lacks("peer access")

    def copy_peer(self, stream: Handle, destination: int, other: Driver, source: int, size: int) -> None:
        """**may** Queue a copy from another device's memory to this one's."""
        raise self._lacks("peer access")


@dataclass(frozen=True)
class Found:
    """What a back end has found: its devices, and a line for each thing that is there and cannot be used."""

    drivers: tuple[Driver, ...]
    problems: tuple[str, ...] = ()
