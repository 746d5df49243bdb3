"""Stand-ins for the drivers of NVIDIA and AMD: they record every call and compute nothing but copies and fills.

They show what the runtime asks of a driver, in which order and with which bytes. What a real driver does with it, only real hardware
shows: tests marked ``gpu``.
"""

from __future__ import annotations

import ctypes
import enum
from dataclasses import dataclass, field
from types import SimpleNamespace

CUDA_NAMES = {
    "MemAlloc": "malloc", "MemFree": "free", "MemHostAlloc": "malloc_host", "MemFreeHost": "free", "StreamCreate": "create",
    "EventCreate": "create", "ModuleLoadData": "create", "ModuleGetFunction": "get_function", "StreamDestroy": "destroy",
    "EventDestroy": "destroy", "ModuleUnload": "destroy", "GraphDestroy": "destroy", "GraphExecDestroy": "destroy",
    "MemcpyHtoDAsync": "copy", "MemcpyDtoHAsync": "copy", "MemcpyDtoDAsync": "copy", "MemsetD8Async": "fill", "MemsetD16Async": "fill",
    "MemsetD32Async": "fill", "LaunchKernel": "launch", "LaunchCooperativeKernel": "launch", "StreamEndCapture": "end_capture",
    "GraphInstantiate": "create", "EventElapsedTime": "elapsed", "DeviceCanAccessPeer": "can_access", "MemcpyPeerAsync": "copy_peer",
}  # fmt: skip
HIP_NAMES = {
    "Malloc": "malloc", "Free": "free", "HostMalloc": "malloc_host", "HostFree": "free", "StreamCreateWithFlags": "create",
    "EventCreateWithFlags": "create", "ModuleLaunchKernel": "launch", "ModuleLaunchCooperativeKernel": "launch",
    "GraphInstantiateWithFlags": "create",
}  # fmt: skip


class Everything:
    """An enumeration that has every name, with itself as the value."""

    def __getattr__(self, name: str) -> str:
        return name


class Code(enum.IntEnum):
    SUCCESS = 0


@dataclass(eq=False)
class Handle:
    """A stream, an event and so on. Libraries are given it as a number, as the bindings' own objects are."""

    made: int

    def __int__(self) -> int:
        return id(self)


@dataclass
class StandIn:
    """Bindings of one driver. ``calls`` holds the name and arguments of each call, in order.

    ``fail`` gives the code with which calls of a name fail; ``capacity`` bounds memory; ``alive`` holds what was made and not destroyed.
    """

    prefix: str
    capacity: int = 1 << 30
    devices: int = 2
    calls: list[tuple[object, ...]] = field(default_factory=list)
    fail: dict[str, int] = field(default_factory=dict)
    alive: dict[int, object] = field(default_factory=dict)
    launched: list[bytes] = field(default_factory=list)
    sizes: tuple[int, ...] = ()  # bytes of each argument of the kernel
    captured: list[str] | None = None

    CUdevice_attribute = CUstreamCaptureMode = CUfunction_attribute = Everything()
    hipDeviceAttribute_t = hipStreamCaptureMode = hipFuncAttribute = Everything()

    def __getattr__(self, name: str) -> object:
        if not name.startswith(self.prefix):
            raise AttributeError(name)
        short = name.removeprefix(self.prefix)
        action = getattr(self, "_" + {**CUDA_NAMES, **HIP_NAMES}.get(short, short), None)

        def call(*arguments: object) -> tuple[object, ...]:
            self.calls.append((short, *arguments))
            if short in self.fail:
                return (self.fail[short], None)
            return (Code.SUCCESS,) if action is None else action(*arguments)

        return call

    def names(self, skip: tuple[str, ...] = ("CtxSetCurrent", "SetDevice")) -> list[str]:
        """The calls' names, without those that only make a device current."""
        return [str(call[0]) for call in self.calls if call[0] not in skip]

    # what finds a device
    def _DriverGetVersion(self):
        return Code.SUCCESS, 13020

    def _RuntimeGetVersion(self):
        return Code.SUCCESS, 60_443_483

    def _DeviceGetCount(self):
        return Code.SUCCESS, self.devices

    _GetDeviceCount = _DeviceGetCount

    def _DeviceGet(self, ordinal):
        return Code.SUCCESS, ordinal

    def _DeviceGetName(self, size, device):
        return Code.SUCCESS, b"Stand-in\0\0"

    def _DeviceTotalMem(self, device):
        return Code.SUCCESS, self.capacity

    def _DeviceGetAttribute(self, name, device):
        known = {"MAJOR": 9, "MINOR": 0, "WARP_SIZE": 32, "WarpSize": 64, "COOPERATIVE_LAUNCH": 1, "CooperativeLaunch": 1, "PAGEABLE": 0}
        return Code.SUCCESS, next((value for part, value in known.items() if part in name), 1024 if "SHARED" not in name.upper() else 65536)

    def _GetDeviceProperties(self, ordinal):
        return Code.SUCCESS, SimpleNamespace(name=b"Stand-in\0", gcnArchName=b"gfx942:sramecc+:xnack-\0", totalGlobalMem=self.capacity)

    def _DevicePrimaryCtxRetain(self, device):
        return Code.SUCCESS, f"context {device}"

    # what a device does
    def _malloc(self, size):
        if size + sum(len(m) for m in self.alive.values() if isinstance(m, ctypes.Array)) > self.capacity:
            return 2, None
        memory = ctypes.create_string_buffer(size)
        self.alive[ctypes.addressof(memory)] = memory
        return Code.SUCCESS, ctypes.addressof(memory)

    def _MemGetInfo(self):
        return Code.SUCCESS, self.capacity // 2, self.capacity

    def _malloc_host(self, size, flags):
        return self._malloc(size)

    def _free(self, address):
        del self.alive[address]
        return (Code.SUCCESS,)

    def _create(self, *arguments):
        handle = Handle(len(self.calls))
        self.alive[id(handle)] = handle
        return Code.SUCCESS, handle

    def _destroy(self, handle):
        del self.alive[id(handle)]
        return (Code.SUCCESS,)

    def _get_function(self, module, name):
        return (Code.SUCCESS, name.decode()) if name != b"missing" else (500, None)

    def _copy(self, destination, source, size, stream):
        ctypes.memmove(destination, source, size)
        return (Code.SUCCESS,)

    def _copy_peer(self, destination, device, source, other, size, stream):
        return self._copy(destination, source, size, stream)

    def _fill(self, address, value, count, stream):
        width = {"MemsetD8Async": 1, "MemsetD16Async": 2, "MemsetD32Async": 4}[self.calls[-1][0]]
        ctypes.memmove(address, value.to_bytes(width, "little") * count, width * count)
        return (Code.SUCCESS,)

    def _launch(self, function, *rest):
        pointers = (ctypes.c_void_p * len(self.sizes)).from_address(rest[8])
        self.launched.append(b"".join(ctypes.string_at(p, size) for p, size in zip(pointers, self.sizes, strict=True)))
        return (Code.SUCCESS,)

    def _end_capture(self, stream):
        return self._create()

    def _elapsed(self, start, end):
        return Code.SUCCESS, 1.5

    def _can_access(self, device, other):
        return Code.SUCCESS, 1
