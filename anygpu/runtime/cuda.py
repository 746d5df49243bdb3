"""NVIDIA's devices, through the driver interface of ``cuda.bindings``."""

from __future__ import annotations

from types import ModuleType

from anygpu.drivercodes import explain
from anygpu.runtime.base import Capabilities, Found, Properties, Unavailable
from anygpu.runtime.cudalike import CudaLikeDriver, Dialect

_NAMES = {"EnablePeerAccess": "CtxEnablePeerAccess"}
_ATTRIBUTES = {
    "compute_units": "MULTIPROCESSOR_COUNT",
    "maximum_block": "MAX_THREADS_PER_BLOCK",
    "block_x": "MAX_BLOCK_DIM_X", "block_y": "MAX_BLOCK_DIM_Y", "block_z": "MAX_BLOCK_DIM_Z",
    "grid_x": "MAX_GRID_DIM_X", "grid_y": "MAX_GRID_DIM_Y", "grid_z": "MAX_GRID_DIM_Z",
    "maximum_shared": "MAX_SHARED_MEMORY_PER_BLOCK_OPTIN",
    "warp": "WARP_SIZE",
    "major": "COMPUTE_CAPABILITY_MAJOR", "minor": "COMPUTE_CAPABILITY_MINOR",
    "cooperative": "COOPERATIVE_LAUNCH",
    "pageable": "PAGEABLE_MEMORY_ACCESS",
    "clock": "CLOCK_RATE",
}  # fmt: skip


def discover() -> Found:
    """Every device that the NVIDIA driver reports. Raises `Unavailable` if there is none."""
    try:
        from cuda.bindings import driver
    except ImportError as error:
        raise Unavailable(f"cuda-bindings is not installed: pip install 'anygpu[cuda]' ({error})") from error
    return discover_with(driver)


def discover_with(module: ModuleType) -> Found:
    """The same with given bindings."""
    try:
        code = int(module.cuInit(0)[0])
    except RuntimeError as error:  # the bindings found no libcuda
        raise Unavailable("the NVIDIA driver (libcuda) is not installed; CUDA C++ still compiles with target='sm_90'") from error
    if code:
        row = explain("cuda", code)
        raise Unavailable(f"the NVIDIA driver does not start: {row.name}, {row.meaning}; {row.remedy}")
    version = module.cuDriverGetVersion()[1]
    count = int(module.cuDeviceGetCount()[1])
    if not count:
        raise Unavailable("the NVIDIA driver reports no device: CUDA_VISIBLE_DEVICES may hide it")
    dialect = Dialect(
        "cuda", module, "cu", _NAMES,
        module.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_RELAXED,
        module.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
    )  # fmt: skip
    return Found(tuple(_open(dialect, ordinal, f"{version // 1000}.{version % 1000 // 10}") for ordinal in range(count)))


def _open(dialect: Dialect, ordinal: int, version: str) -> CudaDriver:
    module = dialect.module
    device = module.cuDeviceGet(ordinal)[1]

    def attribute(name: str) -> int:
        return int(module.cuDeviceGetAttribute(getattr(module.CUdevice_attribute, f"CU_DEVICE_ATTRIBUTE_{name}"), device)[1])

    found = {key: attribute(name) for key, name in _ATTRIBUTES.items()}
    memory = int(module.cuDeviceTotalMem(device)[1])
    capability = found["major"], found["minor"]
    properties = Properties(
        model=module.cuDeviceGetName(256, device)[1].decode().rstrip("\0"),
        vendor="NVIDIA",
        driver_version=f"CUDA {version}",
        architecture="sm_{}{}".format(*capability),
        memory=memory,
        compute_units=found["compute_units"],
        maximum_block=found["maximum_block"],
        maximum_block_shape=(found["block_x"], found["block_y"], found["block_z"]),
        maximum_grid=(found["grid_x"], found["grid_y"], found["grid_z"]),
        maximum_shared=found["maximum_shared"],
        maximum_allocation=memory,
        details=(("compute capability", "{}.{}".format(*capability)), ("clock", f"{found['clock'] // 1000:,} MHz")),
    )
    capabilities = Capabilities(
        fp16=capability >= (5, 3),
        subgroup_sizes=(found["warp"],),
        host_pointers=bool(found["pageable"]),
        cooperative=bool(found["cooperative"]),
        driver_graphs=True,
        languages=("cuda", "ptx"),
        formats=("ptx", "cubin"),
    )
    return CudaDriver(dialect, ordinal, properties, capabilities)


class CudaDriver(CudaLikeDriver):
    """One NVIDIA device in its primary context, which other libraries of the process use too."""

    _context: object = None

    def peer_name(self) -> object:
        if self._context is None:
            module = self.dialect.module
            code, self._context = module.cuDevicePrimaryCtxRetain(module.cuDeviceGet(self.ordinal)[1])
            if int(code):
                self._context = None
                raise self.failure(int(code), "cuDevicePrimaryCtxRetain")
        return self._context

    def activate(self) -> None:
        code = int(self.dialect.module.cuCtxSetCurrent(self._context or self.peer_name())[0])
        if code:
            raise self.failure(code, "cuCtxSetCurrent")
