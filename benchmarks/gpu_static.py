"""Our code for GPUs beside the vendors' compilers', without a device: registers, spills, and instructions where the time goes.

    python benchmarks/gpu_static.py                          sm_90 against CUDA C++, gfx942 against clang -x hip
    python benchmarks/gpu_static.py --kernels nbody,spmv

Every kernel of the suite is compiled twice: from Python by this project, and from the same algorithm in C++ (`CUDA` in the suite's
file) with the same launch shape, by NVRTC for NVIDIA (both PTX go through the same `ptxas`) and by clang for AMD.

What is counted is instructions for one unit of work. In a kernel whose time is a loop that is the innermost loop that does most of
the work: each compiler unrolls as it likes, so the loop's instructions are divided by how many units it does, counted by an
instruction that a unit cannot do without (`UNITS`: an n-body interaction has one reciprocal square root). In a kernel without such a
loop it is the whole body. Code that is not expected to run (failed checks, slow paths behind a call) does not count; see
`benchmarks/machine_code.py`.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import math
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

import anygpu as ag  # noqa: E402
from anygpu.codegen.offline import assembly, recipe  # noqa: E402
from anygpu.codegen.simt import emit_device  # noqa: E402
from anygpu.engine.arguments import describe  # noqa: E402
from anygpu.engine.compile import Options  # noqa: E402
from anygpu.engine.device_variant import certain_of, device_options, lower_now  # noqa: E402
from anygpu.engine.launch import Launcher  # noqa: E402
from anygpu.runtime import rtc  # noqa: E402
from anygpu.runtime.base import Request, Unavailable  # noqa: E402
from benchmarks import hip_prelude, machine_code, peers, report  # noqa: E402
from benchmarks.machine_code import BasicBlock  # noqa: E402
from benchmarks.peers import anygpu as anygpu_peer  # noqa: E402
from benchmarks.suite import KERNELS  # noqa: E402


@dataclass(frozen=True)
class Unit:
    """What one unit of work is, and the instruction that it cannot do without: its opcode's beginning on each vendor, and how often."""

    what: str
    nvidia: str
    amd: str
    times: int


# Kernels that are missing here have no loop that does the work: their whole body counts.
UNITS = {
    "mandelbrot": Unit("iteration", "FSETP", "v_cmp_", 1),
    "nbody": Unit("pair of bodies", "MUFU.RSQ", "v_sqrt_f32", 1),
    "convolution": Unit("element", "FFMA", "v_fma", 25),
    "matmul": Unit("product", "FFMA", "v_fma", 1),
    "reduction": Unit("element", "LDG", "global_load", 1),
    "histogram": Unit("element", "ATOMS", "ds_add", 1),
    "spmv": Unit("stored element", "FFMA", "v_fma", 1),
    "raymarch": Unit("step", "MUFU.RSQ", "v_sqrt_f32", 3),
    "montecarlo_pi": Unit("draw of two points", "FSETP", "v_cmp_", 2),
    "bitonic_sort": Unit("pass of five shuffles", "SHFL", "ds_bpermute", 5),
}


@dataclass(frozen=True)
class Measured:
    """One kernel from one compiler: 32-bit registers of a work-item, spilled bytes, instructions for a unit of work."""

    registers: int
    spills: int
    instructions: float


class Recorded:
    """A kernel that notes how it is launched in place of running."""

    def __init__(self, kernel: ag.Kernel):
        self.kernel = kernel
        self.launches: list[tuple[Launcher, tuple[object, ...]]] = []

    def __getitem__(self, configuration: object) -> Callable[..., None]:
        return self._noting(self.kernel[configuration])

    def forall(self, shape: int | Sequence[int]) -> Callable[..., None]:
        return self._noting(self.kernel.forall(shape))

    def _noting(self, launcher: Launcher) -> Callable[..., None]:
        return lambda *args: self.launches.append((launcher, args))


class Kit(anygpu_peer.Kit):
    """What a suite's `anygpu` function is given: the CPU device's kit, with kernels that are recorded."""

    def __init__(self, checks: bool):
        super().__init__(peers.Options(threads=1, bounds_check=checks))
        self.recorded: list[Recorded] = []

    def kernel(self, function: Callable[..., None]) -> Recorded:  # type: ignore[override]  # it stands in for one
        self.recorded.append(Recorded(super().kernel(function)))
        return self.recorded[-1]


# What our kernels are compiled with: no bounds checks; checks of which nothing is certain; checks, with what the suite's own launch
# makes certain, as that launch is compiled.
FORMS = ("unchecked", "checked", "launched")


def ours(suite: ModuleType, form: str, architecture: str) -> tuple[str, str]:
    """The PTX or AMD assembly of the suite's kernel in one of ``FORMS``, and the entry's name."""
    checks = form != "unchecked"
    kit = Kit(checks)
    suite.anygpu(suite.problem(True), kit).run()
    launcher, args = kit.recorded[0].launches[0]
    kernel = launcher.kernel
    described = [describe(value, name) for name, value in zip(kernel._names, args, strict=True)]
    given = lower_now(kernel, tuple(d.type for d in described), Options(bounds_check=checks, range_ndim=len(launcher.extent)))
    assumed = device_options(given.final, launcher, True, checks)
    if form == "launched":
        parts = [part for one in described for part in one.parts] + list(launcher.extent)
        assumed = replace(assumed, certain=certain_of(given, launcher, parts, True))
    code = emit_device(given.final, recipe(architecture).target, assumed)
    return assembly(code, architecture), code.entry


# ---------------------------------------------------------------------------------------------------------------------------- counting


def instructions(name: str, blocks: list[BasicBlock], opcode: Callable[[Unit], str]) -> float:
    """The instructions for a unit of a kernel's work; see the module's beginning."""
    hot = machine_code.hot_blocks(blocks)
    unit = UNITS.get(name)
    if unit is None:
        return len(machine_code.counted(blocks, hot))
    mark = opcode(unit)

    def marks(numbers: frozenset[int]) -> int:
        return sum(i.opcode.startswith(mark) for i in machine_code.counted(blocks, numbers))

    loops = [loop.blocks for loop in machine_code.loops_of(blocks, hot) if marks(loop.blocks)]
    if loops:
        region = max(loops, key=lambda numbers: (marks(numbers), -len(machine_code.counted(blocks, numbers))))
    else:  # written out: the straight code that does the work
        region = frozenset(n for n in hot if marks(frozenset((n,))))
    return len(machine_code.counted(blocks, region)) * unit.times / marks(region)


def tool(name: str) -> str | None:
    """A program of NVIDIA's wheels, else of the path."""
    for folder in map(Path, {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}):
        for found in folder.glob(f"nvidia/*/bin/{name}"):
            return str(found)
    return shutil.which(name)


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=True)


def measure_ptx(name: str, ptx: str, entry: str, architecture: str) -> Measured:
    """Assemble PTX and read the result."""
    with tempfile.TemporaryDirectory() as folder:
        source, cubin = Path(folder) / "kernel.ptx", Path(folder) / "kernel.cubin"
        source.write_text(ptx)
        said = _run(str(tool("ptxas")), "-v", f"-arch={architecture}", "-o", str(cubin), str(source)).stderr
        blocks = machine_code.sass(_run(str(tool("nvdisasm")), "-c", str(cubin)).stdout, entry)
    registers = max(int(n) for n in re.findall(r"Used (\d+) registers", said))
    spills = sum(int(n) for n in re.findall(r"(\d+) bytes spill", said))
    return Measured(registers, spills, instructions(name, blocks, lambda unit: unit.nvidia))


def measure_gcn(name: str, text: str, entry: str) -> Measured:
    """Read AMD's assembly. Registers are vector registers: scalar ones are shared by a wave and never what limits it."""

    def figures(pattern: str) -> list[int]:
        return [int(n) for n in re.findall(pattern, text)]

    blocks = machine_code.gcn(text, entry)
    spilled = 4 * sum(figures(r"\.vgpr_spill_count:\s+(\d+)"))
    return Measured(max(figures(r"\.vgpr_count:\s+(\d+)")), spilled, instructions(name, blocks, lambda unit: unit.amd))


# --------------------------------------------------------------------------------------------------------------------------- compilers


def nvidia(name: str, architecture: str) -> dict[str, Measured]:
    suite = importlib.import_module(f"benchmarks.suite.{name}")
    code = rtc.compile_for(Request(suite.CUDA, "cuda", f"{name}.cu"), architecture)
    entry = re.findall(r'extern "C" __global__ void (\w+)', suite.CUDA)[0]
    theirs = measure_ptx(name, code.image.decode(), entry, architecture)
    return {"theirs": theirs} | {form: measure_ptx(name, *ours(suite, form, architecture), architecture) for form in FORMS}


def clang() -> list[str] | None:
    """A clang that compiles for AMD's GPUs: the path's, else the one inside the ziglang wheel."""
    for command in (["clang"], [sys.executable, "-m", "ziglang", "clang"]):
        try:
            if "amdgcn" in _run(*command, "-print-targets").stdout:
                return command
        except (OSError, subprocess.CalledProcessError):
            continue
    return None


def amd(name: str, architecture: str, compiler: list[str]) -> dict[str, Measured]:
    suite = importlib.import_module(f"benchmarks.suite.{name}")
    entry = re.findall(r'extern "C" __global__ void (\w+)', suite.CUDA)[0]
    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder) / "kernel.hip", Path(folder) / "kernel.s"
        source.write_text(hip_prelude.SOURCE + suite.CUDA)
        flags = ["-x", "hip", "--cuda-device-only", f"--offload-arch={architecture}", "-nogpuinc", "-nogpulib", "-O3", "-S", "-std=c++17"]
        _run(*compiler, *flags, "-o", str(result), str(source))
        theirs = measure_gcn(name, result.read_text(), entry)
    return {"theirs": theirs} | {form: measure_gcn(name, *ours(suite, form, architecture)) for form in FORMS}


# ------------------------------------------------------------------------------------------------------------------------------ report


def mean(values: list[float]) -> float:
    """The geometric mean."""
    return math.exp(sum(map(math.log, values)) / len(values)) if values else math.nan


def ratios(found: dict[str, dict[str, Measured]], which: str, figure: str) -> list[float]:
    return [getattr(kernel[which], figure) / getattr(kernel["theirs"], figure) for kernel in found.values()]


def show(console: Console, title: str, found: dict[str, dict[str, Measured]]) -> None:
    caption = "instructions for a unit of work, and how many of theirs; registers; spilled bytes. Checked: nothing is certain of the launch"
    table = Table(title=title, caption=caption)
    table.add_column("kernel")
    for column in (*FORMS, "theirs", *(f"{form} / theirs" for form in FORMS), "registers", "spilled bytes"):
        table.add_column(column, justify="right")
    for name, kernel in found.items():
        all_forms = [kernel[form] for form in (*FORMS, "theirs")]
        table.add_row(
            name, *(f"{m.instructions:.2f}" for m in all_forms),
            *(f"{m.instructions / kernel['theirs'].instructions:.2f}" for m in all_forms[:-1]),
            " ".join(str(m.registers) for m in all_forms), " ".join(str(m.spills) for m in all_forms),
        )  # fmt: skip
    means = [f"{mean(ratios(found, form, 'instructions')):.3f}" for form in FORMS]
    used = " ".join(f"{mean(ratios(found, form, 'registers')):.2f}" for form in FORMS)
    table.add_section()
    table.add_row("geometric mean", "", "", "", "", *means, used, "")
    console.print(table)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--kernels", type=lambda text: text.split(","), default=list(KERNELS), help="names, separated by commas")
    parser.add_argument("--nvidia", default="sm_90", help="NVIDIA's architecture")
    parser.add_argument("--amd", default="gfx942", help="AMD's architecture")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "gpu_static.json", help="the JSON")
    options = parser.parse_args(argv)
    console = Console() if sys.stdout.isatty() else Console(width=170)
    run: dict[str, object] = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), "commit": report.commit(ROOT), "missing": {},
    }  # fmt: skip
    missing: dict[str, str] = run["missing"]  # type: ignore[assignment]
    lacking = [name for name in ("ptxas", "nvdisasm") if tool(name) is None]
    try:
        version = rtc.nvrtc().version()
    except Unavailable as error:
        lacking.append(str(error))
    if lacking:
        missing[options.nvidia] = f"not here: {', '.join(lacking)}; pip install 'anygpu[bench-gpu]'"
    else:
        found = {name: nvidia(name, options.nvidia) for name in options.kernels}
        show(console, f"{options.nvidia}, theirs: CUDA C++ by {version}", found)
        run[options.nvidia] = {"compiler": version, "kernels": {n: {w: asdict(m) for w, m in k.items()} for n, k in found.items()}}
    compiler = clang()
    if compiler is None:
        missing[options.amd] = "no clang with AMD's GPUs: put one on the path, or pip install ziglang"
    else:
        version = _run(*compiler, "--version").stdout.splitlines()[0]
        found = {name: amd(name, options.amd, compiler) for name in options.kernels}
        show(console, f"{options.amd}, theirs: HIP C++ by {version}", found)
        run[options.amd] = {"compiler": version, "kernels": {n: {w: asdict(m) for w, m in k.items()} for n, k in found.items()}}
    for target, reason in missing.items():
        console.print(f"{target}: left out, {reason}")
    options.output.write_text(json.dumps(run, indent=1) + "\n")
    console.print(f"wrote {options.output}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
