"""NVRTC and hipRTC: C++ to code. AMD's interface is NVIDIA's with other names, so that one module serves both.

NVRTC needs no device, no driver and no toolkit. ``cuda.bindings`` is used and not ``cuda.core``, whose objects look for the driver
on the way and hang where there is none.
"""

from __future__ import annotations

import functools
import os
import re
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from anygpu.config import config
from anygpu.errors import DeviceError, SourceError
from anygpu.runtime.base import Code, Parameter, Request, Unavailable
from anygpu.runtime.cache import Unusable, private_folder
from anygpu.runtime.codeobject import code_object_parameters
from anygpu.runtime.diagnostics import diagnose
from anygpu.runtime.ptx import ptx_parameters

_INCLUDE = re.compile(r"^\s*#\s*include\b", re.M)
_headers_lock = threading.Lock()

# CUDA's warp operations with a mask, for HIP versions that have only those without. A mask that names all lanes is what they mean.
CUDA_ON_HIP = """
#define __syncwarp(...) __builtin_amdgcn_wave_barrier()
#if HIP_VERSION_MAJOR < 7
#define __shfl_sync(mask, ...) __shfl(__VA_ARGS__)
#define __shfl_up_sync(mask, ...) __shfl_up(__VA_ARGS__)
#define __shfl_down_sync(mask, ...) __shfl_down(__VA_ARGS__)
#define __shfl_xor_sync(mask, ...) __shfl_xor(__VA_ARGS__)
#define __ballot_sync(mask, predicate) __ballot(predicate)
#define __any_sync(mask, predicate) __any(predicate)
#define __all_sync(mask, predicate) __all(predicate)
#endif
#define __ldg(address) (*(address))
"""


@dataclass(frozen=True)
class Compiler:
    """One run-time compiler.

    Attributes:
        module: Its Python bindings.
        prefix: What its functions' names begin with.
        image: What its code is called in them.
        format: The format of that code.
        parameters: What tells the kernels' parameters from the code.
    """

    module: ModuleType
    prefix: str
    image: str
    format: str
    parameters: Callable[[bytes], dict[str, tuple[Parameter, ...]]]

    def call(self, name: str, *arguments: object) -> tuple[object, ...]:
        """Call a function; its results without the code, which must be success."""
        code, *results = getattr(self.module, self.prefix + name)(*arguments)
        if int(code):
            raise DeviceError(f"{self.prefix}{name} failed: {getattr(code, 'name', code)}")
        return tuple(results)

    def version(self) -> str:
        """The compiler's name and version."""
        return "{} {}.{}".format(self.prefix, *self.call("Version"))

    def compile(self, request: Request, target: str, options: list[str], machine_code: bool = False) -> Code:
        """Compile a request. Raises `SourceError` with the log if the source is refused.

        With ``machine_code`` the result is a cubin and no PTX, which a driver older than the compiler might not take.
        """
        (program,) = self.call("CreateProgram", request.text.encode(), request.filename.encode(), 0, [], [])
        try:
            for expression in request.expressions:
                self.call("AddNameExpression", program, expression.encode())
            encoded = [option.encode() for option in options]
            (code,) = getattr(self.module, f"{self.prefix}CompileProgram")(program, len(encoded), encoded)
            if int(code):
                log = self._read(program, "ProgramLog").decode(errors="replace")
                found = diagnose(log, request.source, request.filename)
                raise SourceError(f"{request.filename} does not compile for {target}", log, found)
            image = self._read(program, self.image)
            parameters = self.parameters(image)
            if machine_code:
                image = self._read(program, "CUBIN")
            lowered = {expression: self._lowered(program, expression) for expression in request.expressions}
        finally:
            self.call("DestroyProgram", program)
        return Code("cubin" if machine_code else self.format, image, parameters, lowered)

    def _lowered(self, program: object, expression: str) -> str:
        (name,) = self.call("GetLoweredName", program, expression.encode())
        return str(name.decode())  # type: ignore[attr-defined]

    def _read(self, program: object, what: str) -> bytes:
        (size,) = self.call(f"Get{what}Size", program)
        memory = bytearray(int(size))  # type: ignore[call-overload]
        self.call(f"Get{what}", program, memory)
        return bytes(memory) if what in ("Code", "CUBIN") else bytes(memory).rstrip(b"\0")


@functools.cache
def nvrtc() -> Compiler:
    """NVIDIA's compiler. Raises `Unavailable` where it is not installed."""
    try:
        from cuda.bindings import nvrtc as module

        compiler = Compiler(module, "nvrtc", "PTX", "ptx", lambda image: ptx_parameters(image.decode()))
        compiler.version()  # loads the library
    except (ImportError, RuntimeError) as error:
        raise Unavailable(f"NVRTC is not here: pip install 'anygpu[cuda]' ({str(error).splitlines()[0]})") from error
    return compiler


@functools.cache
def hiprtc() -> Compiler:
    """AMD's compiler. Raises `Unavailable` where it is not installed."""
    try:
        from hip import hiprtc as module

        compiler = Compiler(module, "hiprtc", "Code", "codeobject", code_object_parameters)
        compiler.version()
    except (ImportError, RuntimeError) as error:
        raise Unavailable(f"hipRTC is not here: it comes with ROCm and hip-python ({str(error).splitlines()[0]})") from error
    return compiler


def compiler_for(target: str) -> Compiler:
    """The compiler of an architecture such as ``sm_90`` or ``gfx942``. Raises ``ValueError`` for what is none."""
    if re.fullmatch(r"(?:sm|compute)_\d+[af]?", target):
        return nvrtc()
    if re.fullmatch(r"gfx\w+(?::[\w+-]+)*", target):
        return hiprtc()
    raise ValueError(f"{target!r} is no architecture: NVIDIA's look like sm_90, AMD's like gfx942")


def compile_for(request: Request, target: str, machine_code: bool = False) -> Code:
    """C++ for an architecture: PTX for NVIDIA's, or a cubin with ``machine_code``; code objects for AMD's.

    CUDA C++ is taken for AMD's, too, with a small preamble.

    Raises:
        SourceError: The source does not compile.
        ValueError: ``target`` is no architecture.
    """
    compiler = compiler_for(target)
    if compiler.prefix == "hiprtc":
        if request.language == "cuda":
            request = Request(
                request.source, "hip", request.filename, request.options, request.expressions, CUDA_ON_HIP + request.prelude
            )
        return compiler.compile(request, target, [f"--offload-arch={target}", "-std=c++17", "-ffp-contract=on", *request.options])
    kind = "sm" if machine_code else "compute"
    options = [f"--gpu-architecture={kind}_{target.partition('_')[2]}", "--std=c++17", *request.options]
    if _INCLUDE.search(request.source):
        folder = _headers(compiler)
        options += [f"-I{folder}", f"-I{os.path.join(folder, 'cccl')}"]
    return compiler.compile(request, target, options, machine_code)


def _headers(compiler: Compiler) -> str:
    """The folder of the CUDA headers that NVRTC brings, unpacked beside the disk cache once for a version."""
    with _headers_lock:
        folder = _headers_folder(f"cuda-headers-{compiler.version().split()[-1]}")
        compiler.call("InstallBundledHeaders", folder.encode(), int(compiler.module.NVRTC_INSTALL_HEADERS_SKIP_IF_EXISTS))
    return folder


@functools.cache
def _headers_folder(name: str) -> str:
    options = config()
    if options.cache and options.cache_dir is not None:
        try:
            folder = private_folder(os.path.join(options.cache_dir, name), create=True)
        except (Unusable, OSError):
            folder = None
        if folder is not None:
            return folder
    temporary = tempfile.TemporaryDirectory(prefix="anygpu-cuda-headers-")
    _temporaries.append(temporary)
    return temporary.name


_temporaries: list[tempfile.TemporaryDirectory[str]] = []  # removed when the process ends
