"""AMD's devices, through ``hip-python``."""

from __future__ import annotations

from types import ModuleType

from anygpu.drivercodes import explain
from anygpu.runtime.base import Capabilities, Found, Properties, Unavailable
from anygpu.runtime.cudalike import CudaLikeDriver, Dialect

_NAMES = {
    "MemAlloc": "Malloc", "MemFree": "Free", "MemHostAlloc": "HostMalloc", "MemFreeHost": "HostFree",
    "StreamCreate": "StreamCreateWithFlags", "EventCreate": "EventCreateWithFlags", "CtxSynchronize": "DeviceSynchronize",
    "LaunchKernel": "ModuleLaunchKernel", "LaunchCooperativeKernel": "ModuleLaunchCooperativeKernel",
    "GraphInstantiate": "GraphInstantiateWithFlags", "EnablePeerAccess": "DeviceEnablePeerAccess",
}  # fmt: skip
_ATTRIBUTES = {
    "compute_units": "MultiprocessorCount",
    "maximum_block": "MaxThreadsPerBlock",
    "block_x": "MaxBlockDimX", "block_y": "MaxBlockDimY", "block_z": "MaxBlockDimZ",
    "grid_x": "MaxGridDimX", "grid_y": "MaxGridDimY", "grid_z": "MaxGridDimZ",
    "maximum_shared": "MaxSharedMemoryPerBlock",
    "warp": "WarpSize",
    "cooperative": "CooperativeLaunch",
    "pageable": "PageableMemoryAccess",
    "clock": "ClockRate",
}  # fmt: skip


def discover() -> Found:
    """Every device that ROCm reports. Raises `Unavailable` if there is none."""
    try:
        from hip import hip
    except ImportError as error:
        raise Unavailable(f"hip-python is not installed: pip install 'anygpu[rocm]' ({error})") from error
    return discover_with(hip)


def discover_with(module: ModuleType) -> Found:
    """The same with given bindings."""
    try:
        code, count = module.hipGetDeviceCount()
    except RuntimeError as error:  # the bindings found no libamdhip64
        raise Unavailable("ROCm (libamdhip64) is not installed") from error
    if int(code) or not count:
        row = explain("hip", int(code) or 100)
        raise Unavailable(f"ROCm reports no device: {row.name}, {row.meaning}; {row.remedy}")
    version = int(module.hipRuntimeGetVersion()[1])
    dialect = Dialect("hip", module, "hip", _NAMES, module.hipStreamCaptureMode.hipStreamCaptureModeRelaxed, None)
    return Found(tuple(_open(dialect, ordinal, f"{version // 10_000_000}.{version // 100_000 % 100}") for ordinal in range(int(count))))


def _open(dialect: Dialect, ordinal: int, version: str) -> HipDriver:
    module = dialect.module

    def attribute(name: str) -> int:
        return int(module.hipDeviceGetAttribute(getattr(module.hipDeviceAttribute_t, f"hipDeviceAttribute{name}"), ordinal)[1])

    found = {key: attribute(name) for key, name in _ATTRIBUTES.items()}
    known = module.hipGetDeviceProperties(ordinal)[1]
    memory = int(known.totalGlobalMem)
    properties = Properties(
        model=bytes(known.name).decode().rstrip("\0"),
        vendor="AMD",
        driver_version=f"HIP {version}",
        architecture=bytes(known.gcnArchName).decode().rstrip("\0"),
        memory=memory,
        compute_units=found["compute_units"],
        maximum_block=found["maximum_block"],
        maximum_block_shape=(found["block_x"], found["block_y"], found["block_z"]),
        maximum_grid=(found["grid_x"], found["grid_y"], found["grid_z"]),
        maximum_shared=found["maximum_shared"],
        maximum_allocation=memory,
        details=(("clock", f"{found['clock'] // 1000:,} MHz"),),
    )
    capabilities = Capabilities(
        fp16=True,
        subgroup_sizes=(found["warp"],),
        host_pointers=bool(found["pageable"]),
        cooperative=bool(found["cooperative"]),
        driver_graphs=True,
        languages=("hip", "cuda"),
        formats=("codeobject",),
    )
    return HipDriver(dialect, ordinal, properties, capabilities)


class HipDriver(CudaLikeDriver):
    """One AMD device. A thread's current device is a number."""

    def peer_name(self) -> object:
        return self.ordinal

    def activate(self) -> None:
        code = int(self.dialect.module.hipSetDevice(self.ordinal)[0])
        if code:
            raise self.failure(code, "hipSetDevice")
