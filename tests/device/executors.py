"""Ways to run or at least to compile a kernel for a device other than the CPU, for the conformance suite's ``check``.

``OpenCl`` executes SPIR-V on Intel's OpenCL runtime for CPUs, which PyPI has; it is the least that runs a ``DeviceCode`` by its ABI.
``Ptx`` and ``Gcn`` have no device: what ``ptxas`` accepts and what links is as far as they go.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import math
import os
import struct
import subprocess
import sys
import sysconfig
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import anygpu as ag
from anygpu.codegen.device import ERROR_BYTES, PRINT_HEADER, SYNC_BYTES, DeviceCode, DeviceOptions, Word, decode_failure
from anygpu.codegen.offline import compile_device, link, linker, recipe
from anygpu.codegen.simt import emit_device
from anygpu.dtypes import dtype_named
from anygpu.engine.arguments import describe
from anygpu.engine.compile import Options, lower, run_passes
from anygpu.engine.launch import Launcher
from anygpu.errors import CompileError, KernelAssertionError, KernelIndexError, Location
from anygpu.ir.interp_values import format_value
from anygpu.ir.kernel import Array, Kernel

PRINT_BYTES = 1 << 20


@dataclass
class Launch:
    """A kernel's IR and what a launch of it is given, flattened."""

    kernel: Kernel
    parts: list[object]
    launcher: Launcher
    small: bool
    checks: bool


def prepare(kernel: ag.Kernel, launcher: Launcher, args: Sequence[object]) -> Launch:
    """What the engine does before it generates code."""
    described = [describe(value, name) for name, value in zip(kernel._names, args, strict=True)]
    options = Options(range_ndim=len(launcher.extent))
    final = run_passes(lower(kernel.__wrapped__, tuple(one.type for one in described), options))
    parts = [part for one in described for part in one.parts] + list(launcher.extent)
    small = launcher.small and all(one.small for one in described)
    return Launch(final, parts, launcher, small, kernel.bounds_check is not False)


def emit(launch: Launch, architecture: str) -> DeviceCode:
    return emit_device(launch.kernel, recipe(architecture).target, DeviceOptions(launch.small, launch.checks))


# ------------------------------------------------------------------------------------------------------------------- compiled only


@functools.cache
def ptxas() -> str | None:
    """The assembler of the nvidia-cuda-nvcc wheel."""
    for folder in map(Path, {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}):
        for found in folder.glob("nvidia/*/bin/ptxas"):
            return str(found)
    return None


@dataclass
class Ptx:
    """PTX that ``ptxas`` assembles for each architecture."""

    architectures: tuple[str, ...]

    def missing(self) -> str | None:
        return None if ptxas() else "nvidia-cuda-nvcc is not installed"

    def __call__(self, kernel: ag.Kernel, launcher: Launcher, args: Sequence[object]) -> None:
        launch = prepare(kernel, launcher, args)
        for architecture in self.architectures:
            assemble(emit(launch, architecture), architecture)


def assemble(code: DeviceCode, architecture: str, *options: str) -> str:
    """Put a kernel's PTX through ``ptxas``; what that says."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_bytes(compile_device(code, architecture))
        command = [str(ptxas()), f"-arch={architecture}", *options, "-o", str(Path(folder) / "kernel.cubin"), str(source)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"ptxas refuses {code.kernel} for {architecture}:\n{done.stderr[:2000]}"
        return done.stderr


@dataclass
class Gcn:
    """AMD objects that link for each processor."""

    architectures: tuple[str, ...]

    def missing(self) -> str | None:
        return None if linker() else "no ld.lld and no ziglang"

    def __call__(self, kernel: ag.Kernel, launcher: Launcher, args: Sequence[object]) -> None:
        launch = prepare(kernel, launcher, args)
        for architecture in self.architectures:
            assert link(compile_device(emit(launch, architecture), architecture)).startswith(b"\x7fELF")


# -------------------------------------------------------------------------------------------------------------------------- OpenCL


class OpenCl:
    """SPIR-V, executed."""

    def missing(self) -> str | None:
        if importlib.util.find_spec("pyopencl") is None:
            return "pyopencl is not installed"
        return None if (Path(sys.prefix) / "lib" / "libintelocl.so").exists() else "intel-opencl-rt is not installed"

    @functools.cached_property
    def cl(self):
        """pyopencl, with the runtime's libraries loaded and an ICD file that names it: the wheel's own names a folder that is not there."""
        library = Path(sys.prefix) / "lib"
        for name in ("libintlc.so.5", "libimf.so", "libsvml.so", "libirng.so"):
            if (library / name).exists():
                ctypes.CDLL(str(library / name), mode=ctypes.RTLD_GLOBAL)
        self._folder = tempfile.TemporaryDirectory(prefix="opencl-icd-")
        (Path(self._folder.name) / "intel.icd").write_text(f"{library / 'libintelocl.so'}\n")
        os.environ |= {"OCL_ICD_VENDORS": self._folder.name, "PYOPENCL_NO_CACHE": "1"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pyopencl
        return pyopencl

    @functools.cached_property
    def context(self):
        devices = [d for p in self.cl.get_platforms() for d in p.get_devices(self.cl.device_type.CPU)]
        return self.cl.Context([devices[0]])

    @functools.cached_property
    def queue(self):
        return self.cl.CommandQueue(self.context)

    @functools.lru_cache(maxsize=64)  # noqa: B019  one executor lives as long as the tests
    def build(self, code: DeviceCode):
        image = compile_device(code, "spirv")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the compiler's remarks on its own success
            program = self.cl.Program(self.context, image).build(["-cl-fp32-correctly-rounded-divide-sqrt"], cache_dir=False)
        return self.cl.Kernel(program, code.entry)

    def __call__(self, kernel: ag.Kernel, launcher: Launcher, args: Sequence[object]) -> tuple[list[str], Exception | None]:
        return self.run(prepare(kernel, launcher, args))

    def run(self, launch: Launch) -> tuple[list[str], Exception | None]:
        """Launch, copy arrays back, and give the printed lines and the error."""
        try:
            code = emit(launch, "spirv")
        except CompileError as error:  # what the target cannot do, and says
            pytest.skip(str(error))
        kernel, launcher = self.build(code), launch.launcher
        arrays = {p.name: part for p, part in zip(launch.kernel.params, launch.parts, strict=True) if isinstance(p, Array)}
        buffers = {name: self._buffer(array) for name, array in arrays.items()}
        extras = {
            "error": self._bytes(bytes(ERROR_BYTES)),
            "print": self._bytes(struct.pack("<3q", 0, PRINT_BYTES, 0) + bytes(PRINT_BYTES)),
            "sync": self._bytes(bytes(SYNC_BYTES)),
        }
        for n, word in enumerate(code.words):
            kernel.set_arg(n, self._argument(word, launch, arrays, buffers, extras))
        threads = math.prod(launcher.block)
        local = (threads, 1, 1) if code.flat else launcher.block
        size = tuple(g * n for g, n in zip(launcher.grid, local, strict=True))
        self.cl.enqueue_nd_range_kernel(self.queue, kernel, size, local)
        for name, (buffer, _, low, span) in buffers.items():
            if span and arrays[name].flags.writeable:
                self.cl.enqueue_copy(self.queue, _memory(arrays[name], low, span), buffer)
        slot, printed = np.zeros(ERROR_BYTES, np.uint8), np.zeros(PRINT_BYTES + PRINT_HEADER, np.uint8)
        self.cl.enqueue_copy(self.queue, slot, extras["error"])
        if code.reads("print"):
            self.cl.enqueue_copy(self.queue, printed, extras["print"])
        self.queue.finish()
        return _lines(printed.tobytes(), code), _error(slot.tobytes(), code, launch, arrays)

    def _bytes(self, data: bytes):
        flags = self.cl.mem_flags.READ_WRITE | self.cl.mem_flags.COPY_HOST_PTR
        return self.cl.Buffer(self.context, flags, hostbuf=np.frombuffer(data, np.uint8))

    def _buffer(self, array: np.ndarray):
        """A buffer with an array's bytes, the first element's place in it, and where the bytes came from."""
        low = sum(s * (n - 1) for s, n in zip(array.strides, array.shape, strict=True) if s < 0) if array.size else 0
        high = sum(s * (n - 1) for s, n in zip(array.strides, array.shape, strict=True) if s > 0) + array.itemsize if array.size else 0
        span = high - low
        data = _memory(array, low, span).tobytes() if span else b""
        return self._bytes(data + bytes(4 + -len(data) % 4)), -low, low, span

    def _argument(self, word: Word, launch: Launch, arrays, buffers, extras) -> object:
        match word.kind:
            case "pointer":
                return buffers[word.name][0]
            case "error" | "print" | "sync":
                return extras[word.kind]
            case "dynamic":
                return self.cl.LocalMemory(max(1, launch.launcher.shared))
            case "scalar":
                params = {p.name: (p, part) for p, part in zip(launch.kernel.params, launch.parts, strict=True)}
                param, value = params[word.name]
                with np.errstate(all="ignore"):
                    bits = np.asarray(value).astype(param.dtype.numpy).tobytes()
                return np.frombuffer(bits.ljust(8, b"\0"), np.int64)[0]
        number = {
            "grid": lambda: launch.launcher.grid[word.axis],
            "block": lambda: launch.launcher.block[word.axis],
            "shared": lambda: launch.launcher.shared,
            "offset": lambda: buffers[word.name][1],
            "extent": lambda: arrays[word.name].shape[word.axis],
            "stride": lambda: arrays[word.name].strides[word.axis],
        }[word.kind]()
        return np.int64(number)


def _memory(array: np.ndarray, low: int, span: int) -> np.ndarray:
    """The bytes that an array lies in, as an array over the same memory."""
    address = array.__array_interface__["data"][0] + low
    return np.frombuffer((ctypes.c_uint8 * span).from_address(address), np.uint8)


def _place(linear: int, extents: tuple[int, ...]) -> tuple[int, int, int]:
    return linear % extents[0], linear // extents[0] % extents[1], linear // extents[0] // extents[1]


def _lines(raw: bytes, code: DeviceCode) -> list[str]:
    """What work-items printed, ordered by block and work-item."""
    used, capacity, _ = struct.unpack_from("<3q", raw)
    records, at = [], PRINT_HEADER
    while at + 24 <= PRINT_HEADER + min(used, capacity):
        site, block, thread = struct.unpack_from("<3q", raw, at)
        if not site:
            break
        at += 24
        text = ""
        for part in code.sites[site - 1].parts:
            if part[0] == "t":
                text += part[1:]
                continue
            dtype = dtype_named(part[1:])
            text += format_value(np.frombuffer(raw, dtype.numpy, 1, at)[0], dtype)
            at += 8
        records.append((block, thread, len(records), text))
    return [record[3] for record in sorted(records)]


def _error(slot: bytes, code: DeviceCode, launch: Launch, arrays: dict[str, np.ndarray]) -> Exception | None:
    found = decode_failure(slot, math.prod(launch.launcher.block))
    if found is None:
        return None
    assert found.site is not None
    site = code.sites[found.site]
    where = f"block {_place(found.block, launch.launcher.grid)}, thread {_place(found.thread, launch.launcher.block)}"
    place = f"{Location(*site.location).render()}\n  {where}"
    if site.kind == "assert":
        return KernelAssertionError(f"assertion failed: {site.message} ({found.count})\n{place}")
    shown = found.index[0] if len(found.index) == 1 else found.index
    shapes = {a.name: a.shape for a in launch.kernel.declared} | {n: a.shape for n, a in arrays.items()}
    of = f"with shape {shapes[site.array]} in kernel '{launch.kernel.name}'"
    return KernelIndexError(f"index {shown} is out of bounds for array '{site.array}' {of} (and {found.count - 1} more)\n{place}")


EXECUTORS = {
    "spirv": OpenCl(),
    "ptx": Ptx(("sm_90",)),
    "ptx-all": Ptx(("sm_75", "sm_80", "sm_90", "sm_100", "sm_120")),
    "gcn": Gcn(("gfx942",)),
    "gcn-all": Gcn(("gfx90a", "gfx942", "gfx1100", "gfx1200")),
}


def require(name: str):
    """An executor; skips the test where its tools are missing."""
    executor = EXECUTORS[name]
    if (reason := executor.missing()) is not None:
        pytest.skip(reason)
    return executor
