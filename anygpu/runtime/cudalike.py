"""The contract over CUDA's driver interface, and over HIP's, which is CUDA's with other names.

A vendor's module says what differs: names, enumerators and how a device is made current. The order of calls is here, once.
"""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType

from anygpu.errors import AnyGPUError, DeviceError
from anygpu.runtime import faults, rtc
from anygpu.runtime.base import Capabilities, Code, Direction, Driver, Handle, Launch, Parameter, Properties, Request, Triple

_OUT_OF_MEMORY, _NOT_FOUND, _NOT_READY, _PEER_ENABLED = 2, 500, 600, 704  # the same numbers in both
_COPIES = {"in": "MemcpyHtoDAsync", "out": "MemcpyDtoHAsync", "on": "MemcpyDtoDAsync"}
_FILLS = {1: "MemsetD8Async", 2: "MemsetD16Async", 4: "MemsetD32Async"}
_NON_BLOCKING = 1  # a stream that does not wait for the legacy default stream
_STATIC_SHARED = 48 * 1024  # more dynamic shared memory must be asked for


@dataclass(frozen=True)
class Dialect:
    """How one vendor spells the interface.

    Attributes:
        api: ``"cuda"`` or ``"hip"``.
        module: The Python bindings.
        prefix: What the functions' names begin with.
        names: Functions that are called something else than in CUDA's driver interface, without the prefix.
        relaxed: The mode of a capture that lets this thread allocate meanwhile.
        shared_attribute: The attribute of a function that must be raised for much dynamic shared memory; `None` where none must.
    """

    api: str
    module: ModuleType
    prefix: str
    names: Mapping[str, str]
    relaxed: object
    shared_attribute: object

    def function(self, name: str) -> str:
        """The vendor's name of a function of CUDA's."""
        return self.prefix + self.names.get(name, name)


class CudaLikeDriver(Driver):
    """One device under CUDA or HIP. A context is made at its first use, not when it is found."""

    def __init__(self, dialect: Dialect, ordinal: int, properties: Properties, capabilities: Capabilities):
        self.api = dialect.api
        self.ordinal = ordinal
        self.properties = properties
        self.capabilities = capabilities
        self.fault: AnyGPUError | None = None
        self.dialect = dialect
        faults.watch(self)

    def activate(self) -> None:
        """Make the device current for this thread: other libraries change that, too."""
        raise NotImplementedError

    def peer_name(self) -> object:
        """What calls about two devices know this one by."""
        raise NotImplementedError

    def call(self, name: str, *arguments: object, accept: tuple[int, ...] = ()) -> tuple[object, ...]:
        """Call a function of the driver: its results, after the code. Raises for a code that is not success and not in ``accept``."""
        self.activate()
        found: tuple[object, ...] = getattr(self.dialect.module, self.dialect.function(name))(*arguments)
        code = int(found[0])  # type: ignore[call-overload]
        if code and code not in accept:
            raise self.failure(code, self.dialect.function(name))
        return found

    def failure(self, code: int, call: str, detail: str = "") -> AnyGPUError:
        """The exception for a code of the driver."""
        return faults.failure(self, self.api, code, call, detail)

    # ------------------------------------------------------------------------------------------------------------------ memory

    def allocate(self, size: int) -> int:
        code, pointer = self.call("MemAlloc", size, accept=(_OUT_OF_MEMORY,))
        if int(code):  # type: ignore[call-overload]
            raise MemoryError(f"{size} bytes")
        return int(pointer)  # type: ignore[call-overload, no-any-return]

    def free(self, address: int) -> None:
        self.call("MemFree", address)

    def free_memory(self) -> int | None:
        return int(self.call("MemGetInfo")[1])  # type: ignore[call-overload, no-any-return]

    def argument(self, address: int, size: int) -> object:
        return address

    def copy(self, stream: Handle, destination: int, source: int, size: int, direction: Direction) -> None:
        self.call(_COPIES[direction], destination, source, size, stream)

    def fill(self, stream: Handle, address: int, pattern: bytes, size: int) -> None:
        self.call(_FILLS[len(pattern)], address, int.from_bytes(pattern, "little"), size // len(pattern), stream)

    def allocate_host(self, size: int) -> int:
        code, pointer = self.call("MemHostAlloc", size, 0, accept=(_OUT_OF_MEMORY,))
        if int(code):  # type: ignore[call-overload]
            raise MemoryError(f"{size} bytes of pinned host memory")
        return int(pointer)  # type: ignore[call-overload, no-any-return]

    def free_host(self, address: int) -> None:
        self.call("MemFreeHost", address)

    # ------------------------------------------------------------------------------------------------------- streams and events

    def create_stream(self) -> Handle:
        return self.call("StreamCreate", _NON_BLOCKING)[1]

    def destroy_stream(self, stream: Handle) -> None:
        self.call("StreamDestroy", stream)

    def stream_done(self, stream: Handle) -> bool:
        return not int(self.call("StreamQuery", stream, accept=(_NOT_READY,))[0])  # type: ignore[call-overload]

    def synchronize_stream(self, stream: Handle) -> None:
        self.call("StreamSynchronize", stream)

    def synchronize(self) -> None:
        self.call("CtxSynchronize")

    def create_event(self) -> Handle:
        return self.call("EventCreate", 0)[1]

    def destroy_event(self, event: Handle) -> None:
        self.call("EventDestroy", event)

    def record_event(self, stream: Handle, event: Handle) -> None:
        self.call("EventRecord", event, stream)

    def wait_event(self, stream: Handle, event: Handle) -> None:
        self.call("StreamWaitEvent", stream, event, 0)

    def event_done(self, event: Handle) -> bool:
        return not int(self.call("EventQuery", event, accept=(_NOT_READY,))[0])  # type: ignore[call-overload]

    def synchronize_event(self, event: Handle) -> None:
        self.call("EventSynchronize", event)

    def elapsed_time(self, start: Handle, end: Handle) -> float:
        return float(self.call("EventElapsedTime", start, end)[1])  # type: ignore[arg-type]

    # ------------------------------------------------------------------------------------------------------------ code and launch

    def compile(self, request: Request) -> Code:
        return rtc.compile_for(request, self.properties.architecture, machine_code=True)

    def compiler_version(self, language: str) -> str:
        return f"{rtc.compiler_for(self.properties.architecture).version()} {self.properties.driver_version}"

    def load(self, code: Code) -> Handle:
        if code.format not in self.capabilities.formats:
            raise DeviceError(f"{self.api}:{self.ordinal} takes no {code.format}: it loads {', '.join(self.capabilities.formats)}")
        image = code.image + b"\0"  # PTX ends with a zero byte; images know their own end
        return self.call("ModuleLoadData", image)[1], image  # HIP does not copy the image

    def unload(self, module: Handle) -> None:
        assert isinstance(module, tuple)
        self.call("ModuleUnload", module[0])

    def function(self, module: Handle, name: str) -> Handle:
        assert isinstance(module, tuple)
        code, function = self.call("ModuleGetFunction", module[0], name.encode(), accept=(_NOT_FOUND,))
        if int(code):  # type: ignore[call-overload]
            raise KeyError(name)
        return function

    def prepare(self, function: Handle, parameters: tuple[Parameter, ...], cooperative: bool = False) -> Launch:
        # One block of memory holds every value, each at a multiple of 8, and the array of pointers to them is made once.
        forms = [f"{p.size}s" if p.code in "V*" else "Q" if p.code == "P" else p.code for p in parameters]
        sizes = [struct.calcsize(f"<{form}") for form in forms]
        packer = struct.Struct("<" + "".join(f"{form}{-size % 8}x" for form, size in zip(forms, sizes, strict=True)))
        memory = ctypes.create_string_buffer(max(8, packer.size))
        start = ctypes.addressof(memory)
        offsets = [sum(size + -size % 8 for size in sizes[:n]) for n in range(len(sizes))]
        pointers = (ctypes.c_void_p * max(1, len(offsets)))(*(start + offset for offset in offsets))
        address = ctypes.addressof(pointers)
        name = self.dialect.function("LaunchCooperativeKernel" if cooperative else "LaunchKernel")
        queue, extra = getattr(self.dialect.module, name), () if cooperative else (0,)
        activate, pack, lock = self.activate, packer.pack_into, threading.Lock()
        allowed = _STATIC_SHARED if self.dialect.shared_attribute is not None else self.properties.maximum_shared

        def launch(
            stream: Handle, grid: Triple, block: Triple, shared: int, values: Sequence[object], keep: object = (memory, pointers)
        ) -> None:
            nonlocal allowed
            if shared > allowed:
                self.call("FuncSetAttribute", function, self.dialect.shared_attribute, shared)
                allowed = shared
            activate()
            with lock:  # the driver has read the values when it returns
                pack(memory, 0, *values)
                code = int(queue(function, *grid, *block, shared, stream, address, *extra)[0])
            if code:
                raise self.failure(code, name, f"grid {grid}, block {block}, {shared} bytes of shared memory")

        return launch

    # ---------------------------------------------------------------------------------------------------- graphs, other devices

    def begin_capture(self, stream: Handle) -> None:
        self.call("StreamBeginCapture", stream, self.dialect.relaxed)

    def end_capture(self, stream: Handle) -> Handle:
        return self.call("StreamEndCapture", stream)[1]

    def instantiate(self, graph: Handle) -> Handle:
        return self.call("GraphInstantiate", graph, 0)[1]

    def launch_graph(self, stream: Handle, instance: Handle) -> None:
        self.call("GraphLaunch", instance, stream)

    def destroy_graph(self, graph: Handle, instance: Handle | None) -> None:
        if instance is not None:
            self.call("GraphExecDestroy", instance)
        self.call("GraphDestroy", graph)

    def can_access_peer(self, other: Driver) -> bool:
        return bool(self.call("DeviceCanAccessPeer", self.ordinal, other.ordinal)[1])

    def enable_peer(self, other: Driver) -> None:
        assert isinstance(other, CudaLikeDriver)
        self.call("EnablePeerAccess", other.peer_name(), 0, accept=(_PEER_ENABLED,))

    def copy_peer(self, stream: Handle, destination: int, other: Driver, source: int, size: int) -> None:
        assert isinstance(other, CudaLikeDriver)
        self.call("MemcpyPeerAsync", destination, self.peer_name(), source, other.peer_name(), size, stream)
