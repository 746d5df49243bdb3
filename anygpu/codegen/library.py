"""CPU code for machines that need not be here: the processors that it can be compiled for, and shared libraries of it.

``x86-64-v2`` to ``x86-64-v4`` are the levels of the x86-64 System V ABI. Code for all but ``native`` is for Linux.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from anygpu.codegen.native import HostCpu, compile_to_object, host_cpu
from anygpu.errors import InternalError

_V2 = "+cx16,+sahf,+popcnt,+sse3,+ssse3,+sse4.1,+sse4.2"
_V3 = f"{_V2},+avx,+avx2,+bmi,+bmi2,+f16c,+fma,+lzcnt,+movbe,+xsave"
_V4 = f"{_V3},+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl"
_LINUX = "x86_64-unknown-linux-gnu"
_PROCESSORS = {
    "x86-64": HostCpu(_LINUX, "x86-64", ""),
    "x86-64-v2": HostCpu(_LINUX, "x86-64-v2", _V2),
    "x86-64-v3": HostCpu(_LINUX, "x86-64-v3", _V3),
    "x86-64-v4": HostCpu(_LINUX, "x86-64-v4", _V4),
    "aarch64": HostCpu("aarch64-unknown-linux-gnu", "generic", "+neon"),
}
CPU_TARGETS = (*_PROCESSORS, "native")


def processor(target: str) -> HostCpu:
    """The processor that a CPU target's code is for.

    Raises:
        ValueError: The LLVM in llvmlite has no code generator for it; the text says so.
    """
    if target == "native":
        return host_cpu()
    import llvmlite.binding as llvm

    cpu = _PROCESSORS[target]
    llvm.initialize_all_targets()
    try:
        llvm.Target.from_triple(cpu.triple)
    except RuntimeError as error:
        raise ValueError(f"the LLVM in llvmlite {llvm.llvm_version_info} has no code generator for {target}: {error}") from error
    return cpu


def shared_linker(cpu: HostCpu) -> list[str] | None:
    """The command of a linker that makes shared libraries for a processor; None if none is at hand.

    A C compiler is asked for this machine's code alone. The ziglang wheel's ``ld.lld``, or one on the path, links for any Linux machine.
    """
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    here = host_cpu().triple
    if compiler and cpu.triple.split("-")[0] == here.split("-")[0] and ("linux" in cpu.triple) == ("linux" in here):
        return [compiler, "-shared"]
    if "linux" in cpu.triple:
        if importlib.util.find_spec("ziglang") is not None:
            return [sys.executable, "-m", "ziglang", "ld.lld", "-shared"]
        found = shutil.which("ld.lld")
        if found:
            return [found, "-shared"]
    return None


LINKER_CHOICES = "put cc or ld.lld on the path, or install the ziglang package"
# What generated code may call, by the library that has it. ``ld.lld`` is shown libraries that hold these names, so that the result says
# which it needs, wherever it is linked.
_CALLED = {
    "c": (
        "malloc free memcpy memset memmove sched_yield sched_getcpu sched_getaffinity pthread_create pthread_detach pthread_mutex_init "
        "pthread_mutex_lock pthread_mutex_unlock pthread_cond_init pthread_cond_wait pthread_cond_broadcast pthread_setaffinity_np"
    ),
    "m": "fma fmaf fmod fmodf floor floorf ceil ceilf trunc truncf rint rintf nearbyint nearbyintf roundeven roundevenf",
}


def link_shared(image: bytes, cpu: HostCpu, name: str) -> bytes | None:
    """An object file as a shared library of that file name; None if there is no linker, or the one at hand lacks a compiler's own library
    that the code needs. Raises ``InternalError`` if a C compiler fails.
    """
    command = shared_linker(cpu)
    if command is None:
        return None
    with tempfile.TemporaryDirectory(prefix="anygpu-link-") as place:
        folder = Path(place)
        source, result = folder / "kernels.o", folder / "kernels.so"
        source.write_bytes(image)
        libraries = [] if "windows" in cpu.triple else ["-lm"]
        lld = any("lld" in Path(word).name for word in command)
        if lld:
            for library, names in _CALLED.items():
                _stand_in(command, folder, library, names.split(), cpu)
            libraries = ["-z", "defs", "-L", place, "-lm", "-lc"]
        if "linux" in cpu.triple:
            command += ["-soname", name] if lld else [f"-Wl,-soname,{name}"]
        try:
            _run([*command, "-o", str(result), str(source), *libraries])
        except InternalError as error:
            if lld and "undefined symbol" in str(error):
                return None
            raise
        return result.read_bytes()


def _stand_in(command: list[str], folder: Path, library: str, names: list[str], cpu: HostCpu) -> None:
    """A shared library of the system's name that defines ``names``: all that a linker looks at."""
    text = "\n".join([f'target triple = "{cpu.triple}"', *(f"define void @{name}() {{\n  ret void\n}}" for name in names)])
    source = folder / f"{library}.o"
    source.write_bytes(compile_to_object(text, cpu))
    _run([*command, "-soname", f"lib{library}.so.6", "-o", str(folder / f"lib{library}.so"), str(source)])


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise InternalError(f"linking the shared library failed: {done.stderr.strip()}")


__all__ = ["CPU_TARGETS", "LINKER_CHOICES", "link_shared", "processor", "shared_linker"]
