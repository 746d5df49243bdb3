"""OpenCL C on Intel's OpenCL runtime for CPUs (packages intel-opencl-rt and intel-cmplr-lib-rt) through pyopencl.

The runtime's wheel names a directory that does not exist in its .icd file and needs libimf and libsvml of a second wheel: both are put
right here, before pyopencl and with it the OpenCL loader is imported.
"""

import ctypes
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.peers import Missing, Options

PRELOAD = ("libintlc.so.5", "libimf.so", "libsvml.so", "libirng.so")


def _expose_runtime() -> tempfile.TemporaryDirectory[str]:
    library = Path(sys.prefix) / "lib"
    runtime = library / "libintelocl.so"
    if not runtime.exists():
        raise Missing("intel-opencl-rt is not installed")
    for name in PRELOAD:
        if (library / name).exists():
            ctypes.CDLL(str(library / name), mode=ctypes.RTLD_GLOBAL)
    folder = tempfile.TemporaryDirectory(prefix="opencl-icd-")
    (Path(folder.name) / "intel.icd").write_text(f"{runtime}\n")
    os.environ["OCL_ICD_VENDORS"] = folder.name
    return folder


class Kit:
    def __init__(self) -> None:
        self._folder = _expose_runtime()
        os.environ["PYOPENCL_NO_CACHE"] = "1"  # a first call shall show the compiler, not the disk
        import pyopencl as cl

        warnings.simplefilter("ignore", cl.CompilerWarning)
        devices = [device for platform in cl.get_platforms() for device in platform.get_devices(cl.device_type.CPU)]
        devices = [device for device in devices if "Intel" in device.platform.name]
        if not devices:
            raise Missing("Intel's OpenCL runtime reports no CPU device")
        self.cl = cl
        self.device = devices[0]
        self.context = cl.Context([self.device])
        self.queue = cl.CommandQueue(self.context)
        self.build_seconds = 0.0
        self.versions = {"pyopencl": cl.VERSION_TEXT, "intel-opencl-rt": self.device.driver_version}

    def kernel(self, source: str, name: str, options: str = "-cl-std=CL3.0") -> Callable[..., object]:
        started = time.perf_counter()
        program = self.cl.Program(self.context, source).build(options)
        kernel = self.cl.Kernel(program, name)
        self.build_seconds += time.perf_counter() - started
        return kernel  # type: ignore[no-any-return]

    def array(self, array: np.ndarray) -> object:
        flags = self.cl.mem_flags.READ_WRITE | self.cl.mem_flags.COPY_HOST_PTR
        return self.cl.Buffer(self.context, flags, hostbuf=np.ascontiguousarray(array))

    def empty(self, shape: int | tuple[int, ...], dtype: type[np.generic]) -> object:
        return self.array(np.zeros(shape, dtype))

    def fetch(self, buffer: object, shape: int | tuple[int, ...], dtype: type[np.generic]) -> np.ndarray:
        out = np.empty(shape, dtype)
        self.cl.enqueue_copy(self.queue, out, buffer)
        self.queue.finish()
        return out

    def runner(self, kernel: object, size: tuple[int, ...], local: tuple[int, ...] | None, *arguments: object) -> Callable[[], None]:
        """Set the arguments once and give the call that enqueues the kernel and waits."""
        kernel.set_args(*arguments)  # type: ignore[attr-defined]
        enqueue, queue = self.cl.enqueue_nd_range_kernel, self.queue

        def run(keep: object = arguments) -> None:  # a kernel's arguments do not keep buffers alive
            enqueue(queue, kernel, size, local)
            queue.finish()

        return run


def start(options: Options) -> Kit:
    return Kit()
