"""Ways to run or at least to compile a kernel for a device other than the CPU, for the conformance suite's ``check``.

``OnDevice`` launches, through the engine and the runtime. ``Ptx`` and ``Gcn`` have no device: the interpreter runs the IR that their code
is generated from, and what ``ptxas`` accepts and what links is as far as the code itself goes.
"""

from __future__ import annotations

import contextlib
import functools
import io
import subprocess
import sysconfig
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from unittest import mock

import pytest

import anygpu as ag
from anygpu.codegen import offline
from anygpu.codegen.device import DeviceCode, DeviceOptions, Target
from anygpu.codegen.offline import can_link, compile_device, link, recipe
from anygpu.codegen.simt import emit_device
from anygpu.codegen.simt import prepare as made_for_device
from anygpu.codegen.targets.spirv import SPIRV
from anygpu.engine import device_variant
from anygpu.engine.arguments import describe
from anygpu.engine.compile import Options
from anygpu.engine.device_variant import certain_of, device_options, lower_now
from anygpu.engine.launch import Launcher
from anygpu.errors import CompileError, KernelAssertionError, KernelIndexError
from anygpu.ir.kernel import Kernel
from anygpu.testing.harness import Outcome, run_ir


@dataclass
class Launch:
    """A kernel's IR, what a launch of it is given, flattened, and what its code may assume of the launch."""

    kernel: Kernel
    parts: list[object]
    launcher: Launcher
    assumed: DeviceOptions


def prepare(kernel: ag.Kernel, launcher: Launcher, args: Sequence[object]) -> Launch:
    """What the engine does before it generates code. Half of all launches, chosen by their grid and what they are given, make use of what
    the launch makes certain; the other half has all checks, as a kernel has that was launched in many ways."""
    described = [describe(value, name) for name, value in zip(kernel._names, args, strict=True)]
    checks = kernel.bounds_check is not False
    options = Options(bounds_check=checks, range_ndim=len(launcher.extent))
    given = lower_now(kernel, tuple(one.type for one in described), options)
    parts = [part for one in described for part in one.parts] + list(launcher.extent)
    small = launcher.small and all(one.small for one in described)
    assumed = device_options(given.final, launcher, small, checks)
    if zlib.crc32(f"{kernel.name} {launcher.grid} {launcher.block} {[one.type for one in described]}".encode()) % 2:
        assumed = replace(assumed, certain=certain_of(given, launcher, parts, small))
    return Launch(given.final, parts, launcher, assumed)


def emit(launch: Launch, architecture: str) -> DeviceCode:
    return emit_device(launch.kernel, recipe(architecture).target, launch.assumed)


def interpreted(launch: Launch, target: Target, args: Sequence[object]) -> Outcome:
    """What the IR computes that code for a target is generated from: checks moved and removed, integers narrowed, barriers moved. The
    interpreter raises ``InternalError`` for an access without a check that is out of bounds."""
    kernel, _ = made_for_device(launch.kernel, target, launch.assumed)
    return run_ir(kernel, launch.parts, launch.launcher, args)


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

    def __call__(self, kernel: ag.Kernel, launcher: Launcher, args: Sequence[object]) -> Outcome:
        launch = prepare(kernel, launcher, args)
        for architecture in self.architectures:
            code = emit(launch, architecture)  # LLVM IR differs in what warps can do
            if (key := (hash(code.text), architecture)) not in _accepted:
                assemble(code, architecture)
                _accepted.add(key)
        return interpreted(launch, recipe(self.architectures[0]).target, args)


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
    """AMD objects for each processor, which link if there is a linker."""

    architectures: tuple[str, ...]

    def missing(self) -> str | None:
        return None

    def __call__(self, kernel: ag.Kernel, launcher: Launcher, args: Sequence[object]) -> Outcome:
        launch = prepare(kernel, launcher, args)
        for architecture in self.architectures:
            code = emit(launch, architecture)  # LLVM IR has the width of a wave in it
            if (key := (hash(code.text), architecture)) not in _accepted:
                image = compile_device(code, architecture)
                assert (link(image, architecture) if can_link() else image).startswith(b"\x7fELF")
                _accepted.add(key)
        return interpreted(launch, recipe(self.architectures[0]).target, args)


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

    def __call__(self, kernel: ag.Kernel, launcher: Launcher, args: Sequence[object]) -> Outcome:
        text = io.StringIO()
        error: Exception | None = None
        with ag.Device(self.name), contextlib.redirect_stdout(text):
            try:
                launcher(*args)
            except (KernelIndexError, KernelAssertionError) as found:
                error = found
            except CompileError as refused:  # what the target cannot do, and says
                pytest.skip(str(refused))
        return Outcome(list(args), text.getvalue().splitlines(), error)


class AsOtherGpus(OnDevice):
    """An OpenCL device, with code as NVIDIA's and AMD's devices get it: 32-bit addresses, loops written out, pointers that step. It is the
    only way to run that without them."""

    def __call__(self, kernel: ag.Kernel, launcher: Launcher, args: Sequence[object]) -> Outcome:
        kernel.device_variants.clear()
        with mock.patch.object(offline, "SPIRV", _AS_OTHERS), mock.patch.object(device_variant, "disk_cache", _NoCache):
            found = super().__call__(kernel, launcher, args)
        kernel.device_variants.clear()
        return found


_AS_OTHERS = replace(SPIRV, narrow=True, unrolls=True, shared_counters=False)


class _NoCache:
    """A disk cache that keeps nothing: its keys do not tell these variants from others."""

    def get(self, key: str) -> None:
        return None

    def put(self, key: str, data: bytes) -> None:
        return None


Executor = OnDevice | Ptx | Gcn

EXECUTORS: dict[str, Executor] = {
    "spirv": OnDevice("opencl:0"),
    "spirv-as-gpu": AsOtherGpus("opencl:0"),
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
