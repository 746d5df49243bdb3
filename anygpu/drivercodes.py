"""What the codes of CUDA, HIP and OpenCL, and of the vendors' libraries, mean, and what to do about each.

The tables hold the codes that programs meet; others are reported by number. The meanings are those of the CUDA driver API reference
(``CUresult``), the HIP runtime API reference (``hipError_t``), the OpenCL 3.0 API specification and the references of cuBLAS, cuFFT,
hipBLAS and hipFFT, put shortly.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DriverCode:
    """One code of one driver.

    Attributes:
        api: ``"cuda"``, ``"hip"`` or ``"opencl"``, or a library: ``"cublas"``, ``"cufft"``, ``"hipblas"`` or ``"hipfft"``.
        code: The number.
        name: As the driver's header spells it.
        meaning: What has happened.
        remedy: The call to make, or what to look at.
        lost: Whether the device refuses everything from then on.
    """

    api: str
    code: int
    name: str
    meaning: str
    remedy: str
    lost: bool = False

    @property
    def long_name(self) -> str:
        """The driver's name as its vendor writes it."""
        return _LONG_NAMES[self.api]


_LONG_NAMES = {
    "cuda": "CUDA", "hip": "HIP", "opencl": "OpenCL", "cublas": "cuBLAS", "cufft": "cuFFT", "hipblas": "hipBLAS", "hipfft": "hipFFT",
}  # fmt: skip
_SANITIZE = "run the kernel with ag.sanitize, or keep bounds_check=True, to find the access"
_NEW_PROCESS = "only a new process can use this device again; " + _SANITIZE
_FREE = "drop buffers that are not needed and call device.pool.trim()"
_DEVICES = "ag.devices() lists what is here, and ag.problems() why something is not"
_REPORT = "please report this with the program that shows it"
_LIMITS = "compare the grid, block and shared memory with device.properties"
_BUILD = "build the program for this device: ag.Program(source, language).compile(device)"
_SIGNATURE = "compare the arguments with kernel.parameters"
_CAPTURE = "end the capture first (stream.end_capture()), and keep synchronisation and blocking copies out of it"

_CUDA = (
    (1, "CUDA_ERROR_INVALID_VALUE", "a value is outside the range that the call takes", _LIMITS),
    (2, "CUDA_ERROR_OUT_OF_MEMORY", "the device has not enough free memory", _FREE),
    (3, "CUDA_ERROR_NOT_INITIALIZED", "the driver is not initialised in this process", "a child of fork() cannot use CUDA: start it with 'spawn'"),
    (4, "CUDA_ERROR_DEINITIALIZED", "the driver is shutting down", "finish work on the device before the interpreter exits"),
    (34, "CUDA_ERROR_STUB_LIBRARY", "the libcuda that was found is the toolkit's stub", "remove the toolkit's stubs folder from LD_LIBRARY_PATH"),
    (46, "CUDA_ERROR_DEVICE_UNAVAILABLE", "another process has the device to itself", "nvidia-smi -q -d COMPUTE shows the compute mode"),
    (100, "CUDA_ERROR_NO_DEVICE", "the driver sees no device", "CUDA_VISIBLE_DEVICES may hide it; " + _DEVICES),
    (101, "CUDA_ERROR_INVALID_DEVICE", "there is no device of this number", _DEVICES),
    (200, "CUDA_ERROR_INVALID_IMAGE", "the code is no valid module for this driver", _BUILD),
    (201, "CUDA_ERROR_INVALID_CONTEXT", "no context, or that of another device, is current", "pass streams and buffers of one device only"),
    (209, "CUDA_ERROR_NO_BINARY_FOR_GPU", "the code was built for another architecture", _BUILD),
    (214, "CUDA_ERROR_ECC_UNCORRECTABLE", "the device's memory has an error that it cannot correct", "nvidia-smi -q -d ECC counts them; reset the device", True),
    (217, "CUDA_ERROR_PEER_ACCESS_UNSUPPORTED", "these two devices cannot reach each other's memory", "ask device.can_access_peer(other) first; copies work without"),
    (218, "CUDA_ERROR_INVALID_PTX", "the PTX does not assemble", "run it through ptxas, which says why"),
    (222, "CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "the PTX is newer than the driver", "update the driver, or ask the compiler for an older PTX version"),
    (304, "CUDA_ERROR_OPERATING_SYSTEM", "a call of the operating system failed", "look at the system's log (dmesg) for NVRM"),
    (400, "CUDA_ERROR_INVALID_HANDLE", "a stream, event or function is not (any more) what it was", "keep the object alive while work that uses it is queued"),
    (500, "CUDA_ERROR_NOT_FOUND", "the module has no function of this name", "declare it extern \"C\", or ask for it as a name expression"),
    (600, "CUDA_ERROR_NOT_READY", "the work is not done yet", "stream.synchronize() waits for it"),
    (700, "CUDA_ERROR_ILLEGAL_ADDRESS", "a kernel has accessed memory that is not its own", _NEW_PROCESS, True),
    (701, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", "a block of this kernel needs more registers or shared memory than there are", "launch smaller blocks"),
    (702, "CUDA_ERROR_LAUNCH_TIMEOUT", "the kernel ran longer than a device with a display attached allows", "split the work into more launches", True),
    (704, "CUDA_ERROR_PEER_ACCESS_ALREADY_ENABLED", "access to this peer is enabled already", "nothing: it works"),
    (709, "CUDA_ERROR_CONTEXT_IS_DESTROYED", "the context of the device is gone", _NEW_PROCESS, True),
    (710, "CUDA_ERROR_ASSERT", "an assert() in a kernel failed", "its message is on the standard error; only a new process can use this device again", True),
    (714, "CUDA_ERROR_HARDWARE_STACK_ERROR", "a kernel's stack is corrupt or full", _NEW_PROCESS, True),
    (715, "CUDA_ERROR_ILLEGAL_INSTRUCTION", "a kernel has met an instruction that there is not", _NEW_PROCESS, True),
    (716, "CUDA_ERROR_MISALIGNED_ADDRESS", "a kernel has accessed an address that is no multiple of the element's size", _NEW_PROCESS, True),
    (718, "CUDA_ERROR_INVALID_PC", "a kernel has jumped to an address that is not code", _NEW_PROCESS, True),
    (719, "CUDA_ERROR_LAUNCH_FAILED", "a kernel has ended with an exception", _NEW_PROCESS, True),
    (720, "CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE", "a grid that is synchronised as a whole must fit on the device at once", "launch fewer blocks"),
    (802, "CUDA_ERROR_SYSTEM_NOT_READY", "a service that the device needs does not run", "on NVSwitch machines start nvidia-fabricmanager"),
    (803, "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", "libcuda and the kernel's driver have different versions", "reboot after an update of the driver"),
    (900, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED", "this call is not possible while a stream is captured", _CAPTURE),
    (901, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED", "an earlier call has spoilt the capture", _CAPTURE),
    (904, "CUDA_ERROR_STREAM_CAPTURE_UNJOINED", "a stream that joined the capture has not come back to it", "let the captured stream wait for an event of the other"),
    (999, "CUDA_ERROR_UNKNOWN", "the driver does not say what happened", "look at the system's log (dmesg) for NVRM", True),
)  # fmt: skip

_HIP = (
    (1, "hipErrorInvalidValue", "a value is outside the range that the call takes", _LIMITS),
    (2, "hipErrorOutOfMemory", "the device has not enough free memory", _FREE),
    (3, "hipErrorNotInitialized", "the runtime is not initialised in this process", "a child of fork() cannot use HIP: start it with 'spawn'"),
    (4, "hipErrorDeinitialized", "the runtime is shutting down", "finish work on the device before the interpreter exits"),
    (98, "hipErrorInvalidDeviceFunction", "the code holds no such function for this architecture", _BUILD),
    (100, "hipErrorNoDevice", "the runtime sees no device", "HIP_VISIBLE_DEVICES may hide it, and the user must be in the groups render and video"),
    (101, "hipErrorInvalidDevice", "there is no device of this number", _DEVICES),
    (200, "hipErrorInvalidImage", "the code is no valid code object", _BUILD),
    (201, "hipErrorInvalidContext", "no context, or that of another device, is current", "pass streams and buffers of one device only"),
    (209, "hipErrorNoBinaryForGpu", "the code was built for another architecture", _BUILD),
    (214, "hipErrorECCNotCorrectable", "the device's memory has an error that it cannot correct", "rocm-smi --showrasinfo counts them", True),
    (217, "hipErrorPeerAccessUnsupported", "these two devices cannot reach each other's memory", "ask device.can_access_peer(other) first; copies work without"),
    (400, "hipErrorInvalidHandle", "a stream, event or function is not (any more) what it was", "keep the object alive while work that uses it is queued"),
    (500, "hipErrorNotFound", "the module has no function of this name", "declare it extern \"C\", or ask for it as a name expression"),
    (600, "hipErrorNotReady", "the work is not done yet", "stream.synchronize() waits for it"),
    (700, "hipErrorIllegalAddress", "a kernel has accessed memory that is not its own", _NEW_PROCESS, True),
    (701, "hipErrorLaunchOutOfResources", "a block of this kernel needs more registers or local memory than there are", "launch smaller blocks"),
    (702, "hipErrorLaunchTimeOut", "the kernel ran longer than the system allows", "split the work into more launches", True),
    (704, "hipErrorPeerAccessAlreadyEnabled", "access to this peer is enabled already", "nothing: it works"),
    (709, "hipErrorContextIsDestroyed", "the context of the device is gone", _NEW_PROCESS, True),
    (710, "hipErrorAssert", "an assert() in a kernel failed", "its message is on the standard error; only a new process can use this device again", True),
    (719, "hipErrorLaunchFailure", "a kernel has ended with an exception", _NEW_PROCESS, True),
    (720, "hipErrorCooperativeLaunchTooLarge", "a grid that is synchronised as a whole must fit on the device at once", "launch fewer blocks"),
    (801, "hipErrorNotSupported", "this device or runtime cannot do this", "device.capabilities says what it can"),
    (900, "hipErrorStreamCaptureUnsupported", "this call is not possible while a stream is captured", _CAPTURE),
    (901, "hipErrorStreamCaptureInvalidated", "an earlier call has spoilt the capture", _CAPTURE),
    (904, "hipErrorStreamCaptureUnjoined", "a stream that joined the capture has not come back to it", "let the captured stream wait for an event of the other"),
    (999, "hipErrorUnknown", "the runtime does not say what happened", "look at the system's log (dmesg) for amdgpu", True),
)  # fmt: skip

_OPENCL = (
    (-1, "CL_DEVICE_NOT_FOUND", "the platform has no device of this kind", _DEVICES),
    (-2, "CL_DEVICE_NOT_AVAILABLE", "the device is there and cannot be used now", "another process may have it; its driver may need a restart"),
    (-3, "CL_COMPILER_NOT_AVAILABLE", "this driver brings no compiler", "load a binary made elsewhere for this device"),
    (-4, "CL_MEM_OBJECT_ALLOCATION_FAILURE", "the device has not enough free memory", _FREE),
    (-5, "CL_OUT_OF_RESOURCES", "the device ran out of registers, memory or time, or a kernel failed on it", "launch smaller blocks; " + _SANITIZE),
    (-6, "CL_OUT_OF_HOST_MEMORY", "the driver could not get memory of the host", _FREE),
    (-7, "CL_PROFILING_INFO_NOT_AVAILABLE", "the work is not done, or its stream keeps no times", "synchronise the event before asking for a time"),
    (-11, "CL_BUILD_PROGRAM_FAILURE", "the program does not compile", "the compiler's log is in the error's text"),
    (-12, "CL_MAP_FAILURE", "memory could not be mapped for the host", _FREE),
    (-14, "CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST", "work that this was to wait for has failed", "look at the first error of the other stream"),
    (-15, "CL_COMPILE_PROGRAM_FAILURE", "the program does not compile", "the compiler's log is in the error's text"),
    (-17, "CL_LINK_PROGRAM_FAILURE", "the program does not link", "the compiler's log is in the error's text"),
    (-30, "CL_INVALID_VALUE", "a value is outside the range that the call takes", _LIMITS),
    (-33, "CL_INVALID_DEVICE", "this is no device of the context", _DEVICES),
    (-34, "CL_INVALID_CONTEXT", "objects of different contexts were mixed", "pass streams and buffers of one device only"),
    (-36, "CL_INVALID_COMMAND_QUEUE", "the stream is not (any more) valid", "keep the stream alive while work is queued on it"),
    (-38, "CL_INVALID_MEM_OBJECT", "the memory is not (any more) valid", "keep buffers alive while work that uses them is queued"),
    (-42, "CL_INVALID_BINARY", "the code was built for another device or driver", _BUILD),
    (-43, "CL_INVALID_BUILD_OPTIONS", "the compiler does not know one of the options", "look at options= of the program"),
    (-44, "CL_INVALID_PROGRAM", "the code is no valid program", _BUILD),
    (-45, "CL_INVALID_PROGRAM_EXECUTABLE", "the program was not built for this device", _BUILD),
    (-46, "CL_INVALID_KERNEL_NAME", "the program has no kernel of this name", "object_code.names lists its kernels"),
    (-48, "CL_INVALID_KERNEL", "the kernel is not (any more) valid", "keep its ObjectCode alive"),
    (-49, "CL_INVALID_ARG_INDEX", "the kernel has fewer arguments", _SIGNATURE),
    (-50, "CL_INVALID_ARG_VALUE", "an argument is of the wrong kind", _SIGNATURE),
    (-51, "CL_INVALID_ARG_SIZE", "an argument has the wrong size", _SIGNATURE),
    (-52, "CL_INVALID_KERNEL_ARGS", "an argument was not given", _SIGNATURE),
    (-53, "CL_INVALID_WORK_DIMENSION", "a grid has one to three axes", _LIMITS),
    (-54, "CL_INVALID_WORK_GROUP_SIZE", "the block is larger than the device or the kernel allows", _LIMITS),
    (-55, "CL_INVALID_WORK_ITEM_SIZE", "the block is too long along one axis", _LIMITS),
    (-57, "CL_INVALID_EVENT_WAIT_LIST", "an event of another context was waited for", "wait for events of the same device only"),
    (-58, "CL_INVALID_EVENT", "the event is not valid, or was never recorded", "stream.record(event) comes first"),
    (-59, "CL_INVALID_OPERATION", "the object does not allow this", _REPORT),
    (-61, "CL_INVALID_BUFFER_SIZE", "the size is zero or more than the device gives at once", "device.properties.maximum_allocation is the limit"),
    (-63, "CL_INVALID_GLOBAL_WORK_SIZE", "the grid is empty or too large", _LIMITS),
    (-1001, "CL_PLATFORM_NOT_FOUND_KHR", "no OpenCL driver is installed", "pip install 'anygpu[opencl-cpu]' brings one for CPUs"),
    (-9999, "NVIDIA_ILLEGAL_ACCESS", "a kernel has accessed memory that is not its own (NVIDIA's driver)", _NEW_PROCESS, True),
)  # fmt: skip

_OWN = "ANYGPU_LIBRARIES=0 computes with anygpu's own kernels"
_OLD_DRIVER = "the library may be newer than the driver: update the driver, or install an older one; " + _OWN
_EARLIER = "an earlier kernel may have failed: synchronise before the call to see; " + _OWN


def _blas(prefix: str, numbers: tuple[int, ...]) -> tuple[tuple[int, str, str, str], ...]:
    rows = (
        ("NOT_INITIALIZED", "the library could not start on this device", _OLD_DRIVER),
        ("ALLOC_FAILED", "the library found no memory for itself", _FREE),
        ("INVALID_VALUE", "an argument is outside the range that the call takes", _REPORT),
        ("ARCH_MISMATCH", "the library has no code for this device", _OWN),
        ("MAPPING_ERROR", "the device's memory could not be reached", _EARLIER),
        ("EXECUTION_FAILED", "a kernel of the library failed", _EARLIER),
        ("INTERNAL_ERROR", "something in the library failed", _OLD_DRIVER),
        ("NOT_SUPPORTED", "the library does not compute this on this device", _OWN),
    )
    return tuple((number, f"{prefix}_STATUS_{name}", *rest) for number, (name, *rest) in zip(numbers, rows, strict=True))  # type: ignore[misc]


def _fft(prefix: str) -> tuple[tuple[int, str, str, str], ...]:
    return (
        (1, f"{prefix}_INVALID_PLAN", "the plan is not (any more) valid", _REPORT),
        (2, f"{prefix}_ALLOC_FAILED", "the library found no memory for itself", _FREE),
        (4, f"{prefix}_INVALID_VALUE", "an argument is outside the range that the call takes", _REPORT),
        (5, f"{prefix}_INTERNAL_ERROR", "something in the library or the driver failed", _OLD_DRIVER),
        (6, f"{prefix}_EXEC_FAILED", "a kernel of the library failed", _EARLIER),
        (7, f"{prefix}_SETUP_FAILED", "the library could not start on this device", _OLD_DRIVER),
        (8, f"{prefix}_INVALID_SIZE", "the library does not transform this length", _OWN),
        (11, f"{prefix}_INVALID_DEVICE", "the plan was made on another device", _REPORT),
        (13, f"{prefix}_NO_WORKSPACE", "the plan was given no work area", _REPORT),
        (14, f"{prefix}_NOT_IMPLEMENTED", "the library does not have this", _OWN),
        (16, f"{prefix}_NOT_SUPPORTED", "the library does not compute this on this device", _OWN),
    )


TABLES: dict[str, dict[int, DriverCode]] = {
    api: {row[0]: DriverCode(api, *row) for row in rows}
    for api, rows in (
        ("cuda", _CUDA), ("hip", _HIP), ("opencl", _OPENCL),
        ("cublas", _blas("CUBLAS", (1, 3, 7, 8, 11, 13, 14, 15))), ("cufft", _fft("CUFFT")),
        ("hipblas", _blas("HIPBLAS", (1, 2, 3, 8, 4, 5, 6, 7))), ("hipfft", _fft("HIPFFT")),
    )
}  # fmt: skip


def explain(api: str, code: int) -> DriverCode:
    """What a driver's code means. A code that is not in the tables is explained as unknown; ``ValueError`` for an unknown ``api``."""
    if api not in TABLES:
        raise ValueError(f"api is one of {', '.join(TABLES)}, not {api!r}")
    unknown = DriverCode(api, code, f"code {code}", "a code that anygpu does not know", "look it up in the driver's documentation")
    return TABLES[api].get(code, unknown)
