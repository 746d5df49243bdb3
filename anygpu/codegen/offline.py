"""Device code for machines that need not be here: PTX text, AMD code objects, SPIR-V modules.

Architectures are spelled as their vendors do: ``sm_90``, ``gfx942``, ``spirv``. The compiler is the LLVM inside llvmlite, which runs in a
process of its own (``codegen.worker``).
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from anygpu.codegen.comgr import comgr
from anygpu.codegen.device import DeviceCode, Target
from anygpu.codegen.targets.amdgcn import amdgcn, wave_of
from anygpu.codegen.targets.nvptx import nvptx
from anygpu.codegen.targets.spirv import SPIRV
from anygpu.codegen.worker import Job, compile_apart
from anygpu.errors import InternalError

# The PTX version that an architecture needs at least; older ones take 7.8, which every driver since CUDA 11.8 accepts.
_PTX_VERSIONS = {"sm_100": 86, "sm_101": 86, "sm_103": 88, "sm_120": 87, "sm_121": 88}


@dataclass(frozen=True)
class Recipe:
    """How LLVM IR of a target becomes code for one architecture."""

    target: Target
    cpu: str
    features: str
    output: str
    level: int


def recipe(architecture: str) -> Recipe:
    """What to compile for an architecture; code for AMD's processors runs with any settings of theirs.

    Raises ``ValueError`` for a name of none.
    """
    if architecture.startswith("sm_"):
        number = architecture.rstrip("af")
        target = nvptx(int(number.removeprefix("sm_")))
        return Recipe(target, architecture, f"+ptx{_PTX_VERSIONS.get(number, 78)}", "assembly", 3)
    if architecture.startswith("gfx"):
        processor = architecture.partition(":")[0]  # drivers name the settings of memory protection, too: gfx942:sramecc+:xnack-
        wave = wave_of(processor)
        return Recipe(amdgcn(wave), processor, f"+wavefrontsize{wave}" if wave == 32 else "", "object", 3)
    if architecture == "spirv":
        return Recipe(SPIRV, "", "", "object", 0)
    raise ValueError(f"unknown architecture '{architecture}': name one like sm_90, gfx942 or spirv")


def compile_device(code: DeviceCode, architecture: str) -> bytes:
    """PTX text (as bytes), an AMD relocatable object or a SPIR-V module of ``code``, which was emitted for the architecture's target.

    Raises ``InternalError`` if LLVM cannot compile it.
    """
    return _compile(code, architecture, recipe(architecture).output)


def assembly(code: DeviceCode, architecture: str) -> str:
    """The same as text: PTX, AMD's assembly, or SPIR-V as its assembler writes it."""
    return _compile(code, architecture, "assembly").decode()


def _compile(code: DeviceCode, architecture: str, output: str) -> bytes:
    how = recipe(architecture)
    if how.target.name != code.target:
        raise InternalError(f"kernel '{code.kernel}' was emitted for {code.target}, not for {architecture}")
    job = Job(code.text, how.target.triple, how.cpu, how.features, output, how.level, how.target.name != "spirv")  # type: ignore[arg-type]
    return compile_apart(job, f"kernel '{code.kernel}' for {architecture}")


def can_link() -> bool:
    """Whether there is a linker for AMD code objects."""
    return comgr() is not None or linker() is not None


def linker() -> list[str] | None:
    """The command of an ELF linker: ROCm's or any other ``ld.lld`` on the path, else the ziglang wheel's; None if there is neither."""
    found = shutil.which("ld.lld")
    if found:
        return [found]
    wheel = importlib.util.find_spec("ziglang")
    if wheel is None or wheel.origin is None:
        return None
    program = Path(wheel.origin).with_name("zig.exe" if sys.platform == "win32" else "zig")
    return [str(program), "ld.lld"] if program.exists() else [sys.executable, "-m", "ziglang", "ld.lld"]


def link(image: bytes, architecture: str) -> bytes:
    """A relocatable AMD object as the shared code object that drivers load: by ROCm's library where it is installed, else by ``linker``.

    Raises ``InternalError`` if there is no linker or it fails.
    """
    library = comgr()
    if library is not None:
        return library.link(image, architecture)
    command = linker()
    if command is None:
        raise InternalError(f"no linker for AMD code objects: {LINKER_CHOICES}")
    with tempfile.TemporaryDirectory(prefix="anygpu-link-") as folder:
        source, result = Path(folder) / "kernel.o", Path(folder) / "kernel.hsaco"
        source.write_bytes(image)
        done = subprocess.run([*command, "-shared", "-o", str(result), str(source)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise InternalError(f"linking the AMD code object failed: {done.stderr.strip()}")
        return result.read_bytes()


LINKER_CHOICES = "install ROCm or the ziglang package, or put ld.lld (16 or newer) on the path"

__all__ = ["LINKER_CHOICES", "Recipe", "assembly", "can_link", "compile_device", "link", "linker", "recipe"]
