"""Ways to run or at least to compile a kernel for a device other than the CPU, for the conformance suite's ``check``.

``OnDevice`` launches, through the engine and the runtime. ``Ptx`` and ``Gcn`` have no device: what ``ptxas`` accepts and what links is as
far as they go.
"""

from __future__ import annotations

import contextlib
import functools
import io
import subprocess
import sysconfig
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

import anygpu as ag
from anygpu.codegen.device import DeviceCode
from anygpu.codegen.offline import compile_device, link, linker, recipe
from anygpu.codegen.simt import emit_device
from anygpu.engine.arguments import describe
from anygpu.engine.compile import Options, lower, run_passes
from anygpu.engine.device_variant import device_options
from anygpu.engine.launch import Launcher
from anygpu.errors import CompileError, KernelAssertionError, KernelIndexError
from anygpu.ir.kernel import Kernel

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
    assumed = device_options(launch.kernel, launch.launcher, launch.small, launch.checks)
    return emit_device(launch.kernel, recipe(architecture).target, assumed)


# ------------------------------------------------------------------------------------------------------------------- compiled only


@functools.cache
def ptxas() -> str | None:
    """The assembler of the nvidia-cuda-nvcc wheel."""
    for folder in map(Path, {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}):
        for found in folder.glob("nvidia/*/bin/ptxas"):
            return str(found)
    return None


# What was accepted, by its LLVM IR and architecture: the launches of a case often have the same code.
_accepted: set[tuple[int, str]] = set()


@dataclass
class Ptx:
    """PTX that ``ptxas`` assembles for each architecture."""

    architectures: tuple[str, ...]

    def missing(self) -> str | None:
        return None if ptxas() else "nvidia-cuda-nvcc is not installed"

    def __call__(self, kernel: ag.Kernel, launcher: Launcher, args: Sequence[object]) -> None:
        code = emit(prepare(kernel, launcher, args), self.architectures[0])  # LLVM IR is the same for all of them
        for architecture in self.architectures:
            if (key := (hash(code.text), architecture)) not in _accepted:
                assemble(code, architecture)
                _accepted.add(key)


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
            code = emit(launch, architecture)  # LLVM IR has the width of a wave in it
            if (key := (hash(code.text), architecture)) not in _accepted:
                assert link(compile_device(code, architecture)).startswith(b"\x7fELF")
                _accepted.add(key)


# ------------------------------------------------------------------------------------------------------------------------- devices


@dataclass
class OnDevice:
    """A device that is here, used as a user uses it."""

    name: str

    def missing(self) -> str | None:
        if any(device.name == self.name for device in ag.devices()):
            return None
        api = self.name.partition(":")[0]
        return ag.problems().get(api) or f"there is no {self.name}"

    def __call__(self, kernel: ag.Kernel, launcher: Launcher, args: Sequence[object]) -> tuple[list[str], Exception | None]:
        text = io.StringIO()
        error: Exception | None = None
        with ag.Device(self.name), contextlib.redirect_stdout(text):
            try:
                launcher(*args)
            except (KernelIndexError, KernelAssertionError) as found:
                error = found
            except CompileError as refused:  # what the target cannot do, and says
                pytest.skip(str(refused))
        return text.getvalue().splitlines(), error


Executor = OnDevice | Ptx | Gcn

EXECUTORS: dict[str, Executor] = {
    "spirv": OnDevice("opencl:0"),
    "ptx": Ptx(("sm_90",)),
    "ptx-all": Ptx(("sm_75", "sm_80", "sm_90", "sm_100", "sm_120")),
    "gcn": Gcn(("gfx942",)),
    "gcn-all": Gcn(("gfx90a", "gfx942", "gfx1100", "gfx1200")),
}


def require(name: str) -> Executor:
    """The executor of a name in ``EXECUTORS``, or of a device's; skips the test where its tools are missing."""
    executor = EXECUTORS.get(name) or OnDevice(name)
    if (reason := executor.missing()) is not None:
        pytest.skip(reason)
    return executor
