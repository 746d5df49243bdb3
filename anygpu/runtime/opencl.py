"""OpenCL devices, through pyopencl.

Memory is coarse-grained shared virtual memory (OpenCL 2.0), so that an address is a number here as everywhere and views need no
objects of their own. A stream is an in-order command queue. Programs are OpenCL C or, where the driver takes it, SPIR-V.

Queueing a kernel with two buffers and two scalars takes 4.4 us of the host's time on Intel's CPU runtime, checks included, and a Python
kernel 4.9, where pyopencl's own call takes 2.6 (two shared cores, read once; ``benchmarks/opencl_launch.py``).
"""

from __future__ import annotations

import ctypes
import itertools
import struct
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING

from anygpu.errors import AnyGPUError, DeviceError, SourceError
from anygpu.runtime import faults
from anygpu.runtime.base import (
    Capabilities,
    Code,
    Direction,
    Driver,
    Found,
    Handle,
    Launch,
    Parameter,
    Properties,
    Request,
    Triple,
    Unavailable,
)  # fmt: skip
from anygpu.runtime.cpu_device import available_memory
from anygpu.runtime.diagnostics import diagnose
from anygpu.runtime.opencl_icd import exposed_runtime
from anygpu.runtime.spirv_intrinsics import with_intrinsics

if TYPE_CHECKING:
    import pyopencl as cl

_NO_ROOM = {-4, -5, -6, -61}  # what allocation fails with when memory is short
_CORRECTLY_ROUNDED = "-cl-fp32-correctly-rounded-divide-sqrt"
_SUB_GROUP_SIZES_INTEL = 0x4108
_SCALARS = {
    "char": "b", "uchar": "B", "short": "h", "ushort": "H", "int": "i", "uint": "I", "long": "q", "ulong": "Q", "half": "e", "float": "f",
    "double": "d",
}  # fmt: skip
_SPIRV_MAGIC = b"\x03\x02\x23\x07"


def discover() -> Found:
    """Every OpenCL device of every driver, GPUs first. Raises `Unavailable` if there is none."""
    try:
        import pyopencl as cl
    except ImportError as error:
        raise Unavailable(f"pyopencl is not installed: pip install 'anygpu[opencl]' ({error})") from error
    try:
        with exposed_runtime():
            platforms = cl.get_platforms()
    except cl.Error as error:
        raise Unavailable(f"no OpenCL driver is installed: pip install 'anygpu[opencl-cpu]' brings Intel's for CPUs ({error})") from error
    kinds = cl.device_type
    devices, problems = [], []
    for platform in platforms:
        try:
            devices += platform.get_devices()
        except cl.Error as error:
            problems.append(f"{platform.name.strip()} reports no device ({error})")
    devices.sort(key=lambda device: (not device.type & kinds.GPU, not device.type & kinds.ACCELERATOR))
    drivers: list[OpenClDriver] = []
    for device in devices:
        if _info(device, "svm_capabilities", 0) & cl.device_svm_capabilities.COARSE_GRAIN_BUFFER:
            drivers.append(OpenClDriver(device, len(drivers)))
        else:
            who = f"{device.name.strip()} ({device.version.strip()})"
            problems.append(f"{who} has no shared virtual memory, which anygpu needs (OpenCL 2.0)")
    if not drivers and not problems:
        problems.append("the OpenCL drivers report no device")
    return Found(tuple(drivers), tuple(problems))


def _info(device: cl.Device, name: str, default: int) -> int:
    """A number that older devices do not report."""
    import pyopencl as cl

    try:
        return int(getattr(device, name))
    except (cl.Error, AttributeError):
        return default


class _Queue:
    """A command queue, and the event of what was queued last: whether that is done tells whether all is."""

    __slots__ = ("last", "leaving", "queue")

    def __init__(self, queue: cl.CommandQueue):
        self.queue = queue
        self.leaving = False  # nobody refers to it any more; its work is still done, and waited for by `synchronize`
        self.last: cl.Event | None = None


class _Event:
    """The marker that stands for an event, once it was recorded."""

    __slots__ = ("marker",)

    def __init__(self) -> None:
        self.marker: cl.Event | None = None


class OpenClDriver(Driver):
    """One OpenCL device in a context of its own."""

    api = "opencl"

    def __init__(self, device: cl.Device, ordinal: int):
        import pyopencl as cl

        self._cl = cl
        self._device = device
        self.ordinal = ordinal
        self.fault: AnyGPUError | None = None
        self.properties = _properties(device)
        self.capabilities = _capabilities(device)
        self._links_intrinsics = self.capabilities.on_cpu and device.platform.name.startswith("Intel")
        self._made: cl.Context | None = None
        self._lock = threading.Lock()
        self._allocations: dict[int, cl.SVMAllocation] = {}
        self._host: dict[int, tuple[cl.Buffer, object]] = {}
        self._streams: set[_Queue] = set()
        faults.watch(self)

    @property
    def _context(self) -> cl.Context:
        """The device's context, which on a GPU takes memory and time: made when the device is first used."""
        if self._made is None:
            with self._lock:
                if self._made is None:
                    self._made = self._cl.Context([self._device])
        return self._made

    def _failure(self, error: cl.Error, detail: str = "") -> AnyGPUError:
        return faults.failure(self, "opencl", error.code, error.routine or "OpenCL", detail)

    # ------------------------------------------------------------------------------------------------------------------ memory

    def allocate(self, size: int) -> int:
        flags = self._cl.svm_mem_flags.READ_WRITE
        try:
            found = self._cl.SVMAllocation(self._context, size, 128, flags)
        except self._cl.Error as error:
            if error.code in _NO_ROOM:
                raise MemoryError(f"{size} bytes") from error
            raise self._failure(error) from error
        self._allocations[found.svm_ptr] = found
        return int(found.svm_ptr)

    def free(self, address: int) -> None:
        self._allocations.pop(address).release()

    def free_memory(self) -> int | None:
        """OpenCL does not tell, but a CPU's memory is the machine's."""
        return available_memory() if self.capabilities.on_cpu else None

    def argument(self, address: int, size: int) -> object:
        return self._cl.SVM((ctypes.c_char * max(1, size)).from_address(address))

    def copy(self, stream: Handle, destination: int, source: int, size: int, direction: Direction) -> None:
        self._queue(stream, self._cl.enqueue_copy, self.argument(destination, size), self.argument(source, size), is_blocking=False)

    def fill(self, stream: Handle, address: int, pattern: bytes, size: int) -> None:
        self._queue(stream, self._cl.enqueue_svm_memfill, self.argument(address, size), bytearray(pattern))

    def allocate_host(self, size: int) -> int:
        cl = self._cl
        try:
            buffer = cl.Buffer(self._context, cl.mem_flags.READ_WRITE | cl.mem_flags.ALLOC_HOST_PTR, size)
            queue = cl.CommandQueue(self._context, self._device)
            flags = cl.map_flags.READ | cl.map_flags.WRITE
            array, _ = cl.enqueue_map_buffer(queue, buffer, flags, 0, (size,), "u1")  # stays mapped: the memory is the host's
        except cl.Error as error:
            raise (MemoryError(f"{size} bytes") if error.code in _NO_ROOM else self._failure(error)) from error
        address = int(array.ctypes.data)
        self._host[address] = (buffer, array)
        return address

    def free_host(self, address: int) -> None:
        del self._host[address]

    # ------------------------------------------------------------------------------------------------------- streams and events

    def create_stream(self) -> _Queue:
        profiling = self._cl.command_queue_properties.PROFILING_ENABLE  # events have times; it costs nothing that could be measured
        try:
            stream = _Queue(self._cl.CommandQueue(self._context, self._device, profiling))
        except self._cl.Error as error:
            raise self._failure(error) from error
        self._streams -= {other for other in list(self._streams) if other.leaving and self.stream_done(other)}
        self._streams.add(stream)
        return stream

    def destroy_stream(self, stream: Handle) -> None:
        assert isinstance(stream, _Queue)
        stream.queue.flush()
        stream.leaving = True

    def _queue(self, stream: Handle, operation: object, *arguments: object, **options: object) -> None:
        try:
            stream.last = operation(stream.queue, *arguments, **options)  # type: ignore[attr-defined,operator]
        except self._cl.Error as error:
            raise self._failure(error) from error

    def stream_done(self, stream: Handle) -> bool:
        assert isinstance(stream, _Queue)
        if stream.last is None:
            return True
        stream.queue.flush()
        return self._status(stream.last)

    def synchronize_stream(self, stream: Handle) -> None:
        assert isinstance(stream, _Queue)
        try:
            stream.queue.finish()
        except self._cl.Error as error:
            raise self._failure(error) from error
        if stream.last is not None:
            self._status(stream.last)

    def _status(self, event: cl.Event) -> bool:
        """Whether an event is done; raises what went wrong with its work."""
        status = int(event.command_execution_status)
        if status < 0:
            raise faults.failure(self, "opencl", status, "the work of a stream")
        return status == self._cl.command_execution_status.COMPLETE

    def synchronize(self) -> None:
        for stream in list(self._streams):
            self.synchronize_stream(stream)
            if stream.leaving:
                self._streams.discard(stream)

    def create_event(self) -> _Event:
        return _Event()

    def destroy_event(self, event: Handle) -> None:
        assert isinstance(event, _Event)
        event.marker = None

    def record_event(self, stream: Handle, event: Handle) -> None:
        assert isinstance(stream, _Queue)
        assert isinstance(event, _Event)
        self._queue(stream, self._cl.enqueue_marker)
        event.marker = stream.last
        stream.queue.flush()  # another stream that waits for it must not wait for ever

    def wait_event(self, stream: Handle, event: Handle) -> None:
        assert isinstance(event, _Event)
        self._queue(stream, self._cl.enqueue_barrier, wait_for=[event.marker])

    def event_done(self, event: Handle) -> bool:
        assert isinstance(event, _Event)
        return event.marker is not None and self._status(event.marker)

    def synchronize_event(self, event: Handle) -> None:
        assert isinstance(event, _Event)
        assert event.marker is not None
        try:
            event.marker.wait()
        except self._cl.Error as error:
            raise self._failure(error) from error

    def elapsed_time(self, start: Handle, end: Handle) -> float:
        assert isinstance(start, _Event)
        assert isinstance(end, _Event)
        assert start.marker is not None
        assert end.marker is not None
        return float(end.marker.profile.end - start.marker.profile.end) * 1e-6

    # ------------------------------------------------------------------------------------------------------------ code and launch

    def compiler_version(self, language: str) -> str:
        return f"{self.properties.vendor} {self.properties.driver_version} {self.properties.model} {self.properties.architecture}"

    def compile(self, request: Request) -> Code:
        """OpenCL C to a binary of this driver."""
        options = ("-cl-kernel-arg-info", *request.options)
        if not any(option.startswith("-cl-std") for option in options):
            options += (f"-cl-std={'CL3.0' if self.properties.architecture >= 'OpenCL 3' else 'CL2.0'}",)
        if self.capabilities.correctly_rounded:
            options += (_CORRECTLY_ROUNDED,)
        program = self._build(self._cl._cl._Program(self._context, request.text), options, request)
        names = [name for name in str(program.get_info(self._cl.program_info.KERNEL_NAMES)).split(";") if name]
        parameters = {name: self._parameters(self._cl.Kernel(self._cl.Program(program), name)) for name in names}
        binaries: list[bytes] = program.get_info(self._cl.program_info.BINARIES)  # type: ignore[assignment]
        return Code("opencl", binaries[0], parameters)

    def _build(self, program: cl._cl._Program, options: Sequence[str], request: Request | None) -> cl._cl._Program:
        # pyopencl's own Program.build() writes the source of a failed build to a file and warns of every note of the compiler
        try:
            program._build(" ".join(options).encode(), [self._device])
        except self._cl.Error as error:
            if error.code not in (-11, -15, -17):
                raise self._failure(error, f"options: {' '.join(options)}") from error
            log = str(program.get_build_info(self._device, self._cl.program_build_info.LOG))
            if request is None:
                raise SourceError(f"opencl:{self.ordinal} refuses the program", log) from error
            found = diagnose(log, request.source, request.filename)
            raise SourceError(f"{request.filename} does not compile for {self.properties.model}", log, found) from error
        return program

    def _parameters(self, kernel: cl.Kernel) -> tuple[Parameter, ...]:
        cl, info, qualifier = self._cl, self._cl.kernel_arg_info, self._cl.kernel_arg_address_qualifier
        found = []
        for n in range(kernel.num_args):
            name, kind = str(kernel.get_arg_info(n, info.NAME)), str(kernel.get_arg_info(n, info.TYPE_NAME))
            match kernel.get_arg_info(n, info.ADDRESS_QUALIFIER):
                case qualifier.GLOBAL | qualifier.CONSTANT if kind.endswith("*"):
                    found.append(Parameter("P", 8, name, kind))
                case qualifier.LOCAL:
                    found.append(Parameter("S", 0, name, kind))
                case _ if kind in _SCALARS:
                    found.append(Parameter(_SCALARS[kind], struct.calcsize(_SCALARS[kind]), name, kind))
                case _:
                    vector = getattr(cl.cltypes, kind, None)
                    found.append(Parameter("V", 0 if vector is None else vector.itemsize, name, kind))
        return tuple(found)

    def load(self, code: Code) -> Handle:
        cl = self._cl
        if code.format not in self.capabilities.formats:
            raise DeviceError(_no_format(self, code.format))
        try:
            if code.format == "spirv":
                return self._load_spirv(code)
            program = cl._cl._Program(self._context, [self._device], [code.image])
            return cl.Program(self._build(program, code.options, None))
        except cl.Error as error:
            raise self._failure(error) from error

    def _load_spirv(self, code: Code) -> cl.Program:
        options = ((_CORRECTLY_ROUNDED,) if self.capabilities.correctly_rounded else ()) + code.options
        create, better = self._cl._cl._create_program_with_il, with_intrinsics(code.image) if self._links_intrinsics else code.image
        try:
            return self._cl.Program(self._build(create(self._context, better), options, None))
        except SourceError:
            if better is code.image:
                raise
            program = self._cl.Program(self._build(create(self._context, code.image), options, None))
            self._links_intrinsics = False  # another version of the runtime, which knows only the functions that OpenCL names
            return program

    def unload(self, module: Handle) -> None:
        """Nothing: the program goes with its last kernel."""

    def function(self, module: Handle, name: str) -> Handle:
        try:
            self._cl.Kernel(module, name)  # type: ignore[arg-type]
        except self._cl.Error as error:
            raise KeyError(name) from error
        return module, name  # each signature gets a kernel object of its own, since arguments are its state

    def prepare(self, function: Handle, parameters: tuple[Parameter, ...], cooperative: bool = False) -> Launch:
        cl, failure = self._cl, self._failure
        assert isinstance(function, tuple)
        program, name = function
        kernel = cl.Kernel(program, name)
        # what pyopencl's own calls use; the public set_arg finds the type of bytes by trying, which takes 10 us
        set_bytes, set_svm = getattr(kernel, "_set_arg_buf", kernel.set_arg), getattr(kernel, "_set_arg_svm", kernel.set_arg)
        pointers = [n for n, p in enumerate(parameters) if p.code == "P"]
        integers = [(n, struct.Struct(p.code).pack) for n, p in enumerate(parameters) if p.code in "bBhHiIqQ"]
        scalars = [(n, struct.Struct(p.code).pack) for n, p in enumerate(parameters) if p.code not in "PSV*bBhHiIqQ"]
        structures = [n for n, p in enumerate(parameters) if p.code in "V*"]
        scratch = [n for n, p in enumerate(parameters) if p.code == "S"]
        enqueue, lock, local_memory = cl.enqueue_nd_range_kernel, threading.Lock(), cl.LocalMemory
        last: list[object] = [None] * len(parameters)  # what the kernel object holds: most launches differ from the last in little

        # keep: a kernel of Intel's runtime does not keep its program alive
        def launch(stream: Handle, grid: Triple, block: Triple, shared: int, values: Sequence[object], keep: object = program) -> None:
            size = (grid[0] * block[0], grid[1] * block[1], grid[2] * block[2])
            try:
                with lock:
                    for n in pointers:
                        if values[n] is not last[n]:
                            set_svm(n, values[n])
                            last[n] = values[n]
                    for n, pack in integers:
                        if values[n] != last[n]:
                            set_bytes(n, pack(values[n]))
                            last[n] = values[n]
                    for n, pack in scalars:
                        set_bytes(n, pack(values[n]))
                    for n in structures:
                        set_bytes(n, values[n])
                    for n in scratch:
                        kernel.set_arg(n, local_memory(values[n]))
                    stream.last = enqueue(stream.queue, kernel, size, block)  # type: ignore[attr-defined]
            except cl.Error as error:
                raise failure(error, f"kernel {name}, grid {grid}, block {block}") from error

        return launch


def _no_format(driver: OpenClDriver, wanted: str) -> str:
    """Why a device does not take a format of code."""
    who = f"opencl:{driver.ordinal} ({driver.properties.model})"
    if wanted != "spirv":
        return f"{who} takes no {wanted}: it loads {', '.join(driver.capabilities.formats)}"
    hint = "use PoCL 4 or later, or Intel's runtime" if "pocl" in driver.properties.driver_version.lower() else "update its driver"
    return f"{who} takes no SPIR-V, which Python kernels are compiled to; OpenCL C works\n  hint: {hint} (anygpu[opencl-cpu])"


def _properties(device: cl.Device) -> Properties:
    sizes = tuple(int(n) for n in (*device.max_work_item_sizes, 1, 1)[:3])
    platform = device.platform
    most = (1 << 31) - 1
    return Properties(
        model=device.name.strip(),
        vendor=device.vendor.strip(),
        driver_version=f"{platform.version.strip()} {device.driver_version.strip()}",
        architecture=" ".join(device.version.split()[:2]),
        memory=int(device.global_mem_size),
        compute_units=int(device.max_compute_units),
        maximum_block=int(device.max_work_group_size),
        maximum_block_shape=(sizes[0], sizes[1], sizes[2]),
        maximum_grid=(most, most, most),
        maximum_shared=int(device.local_mem_size),
        maximum_allocation=int(device.max_mem_alloc_size),
        details=(
            ("clock", f"{int(device.max_clock_frequency):,} MHz" if device.max_clock_frequency else "unknown"),
            ("global cache", f"{int(device.global_mem_cache_size) // 1024:,} KiB"),
            ("address bits", str(int(device.address_bits))),
            ("platform", platform.name.strip()),
            ("OpenCL C", device.opencl_c_version.strip()),
            ("intermediate languages", _il(device) or "none"),
        ),
    )


def _il(device: cl.Device) -> str:
    """The intermediate languages that a device takes, such as ``SPIR-V_1.4``; empty where it takes none."""
    import pyopencl as cl

    try:
        return str(device.il_version).strip()
    except (cl.Error, AttributeError):
        return ""


def _capabilities(device: cl.Device) -> Capabilities:
    import pyopencl as cl

    extensions = set(device.extensions.split())
    rounded = _info(device, "single_fp_config", 0) & cl.device_fp_config.CORRECTLY_ROUNDED_DIVIDE_SQRT
    return Capabilities(
        fp16="cl_khr_fp16" in extensions,
        fp64="cl_khr_fp64" in extensions,
        atomics64={"cl_khr_int64_base_atomics", "cl_khr_int64_extended_atomics"} <= extensions,
        subgroup_sizes=_subgroup_sizes(device),
        host_pointers=bool(_info(device, "svm_capabilities", 0) & cl.device_svm_capabilities.FINE_GRAIN_SYSTEM),
        on_cpu=bool(device.type & cl.device_type.CPU),
        correctly_rounded=bool(rounded),
        languages=("opencl",),
        formats=("opencl", "spirv") if "SPIR-V" in _il(device) else ("opencl",),
    )


def _subgroup_sizes(device: cl.Device) -> tuple[int, ...]:
    """Lanes of a sub-group. pyopencl has no name for this query of ``cl_intel_required_subgroup_size``, so the driver is asked directly."""
    import pyopencl as cl

    if "cl_intel_required_subgroup_size" not in device.extensions.split():
        names = ("preferred_work_group_size_multiple", "warp_size_nv", "wavefront_width_amd")
        widths = [width for name in names if (width := _info(device, name, 0))]
        return tuple(widths[:1])
    query = ctypes.CDLL(cl._cl.__file__).clGetDeviceInfo
    query.argtypes = [ctypes.c_void_p, ctypes.c_uint, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p]
    sizes, written = (ctypes.c_size_t * 16)(), ctypes.c_size_t()
    if query(device.int_ptr, _SUB_GROUP_SIZES_INTEL, ctypes.sizeof(sizes), sizes, ctypes.addressof(written)):
        return ()
    return tuple(itertools.islice(sizes, written.value // ctypes.sizeof(ctypes.c_size_t)))
