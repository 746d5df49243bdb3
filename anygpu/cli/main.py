"""The ``anygpu`` command: what it accepts, and how it ends."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

import anygpu
from anygpu.errors import AnyGPUError

STAGES = {
    "ir": "KERNEL IR, as the frontend lowers it from Python",
    "passes": "KERNEL IR after every pass, elementary functions expanded",
    "llvm": "optimised LLVM IR",
    "asm": "machine code, as assembly",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with ``arguments``, or the process's own, and return its exit status.

    0 is success; 1 a failure, with one line on the standard error stream that says what to do; 2 arguments that it does not take.
    """
    try:
        chosen = _parser().parse_args(arguments)
    except SystemExit as end:  # argparse has printed help, the version or what is wrong
        return end.code if isinstance(end.code, int) else 2
    try:
        return _run(chosen)
    except AnyGPUError as error:
        print(f"anygpu: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("anygpu: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # whoever reads our output has seen enough, as `head` does; nothing must be written at exit either
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _run(chosen: argparse.Namespace) -> int:
    match chosen.command:
        case "demo":
            from anygpu.cli.demo import demo

            return 0 if demo(chosen.out, chosen.quick, Console()) else 1
        case "info":
            from anygpu.cli.info import info

            info(Console(), chosen.json)
        case "inspect":
            from anygpu.cli.inspect import Request, inspect

            request = Request(chosen.kernel, chosen.stage, chosen.signature, chosen.forall, chosen.grid, chosen.block, chosen.target)
            inspect(Console(), request)
        case "compile":
            from anygpu.cli.compile import Order, compile_kernels

            order = Order(
                chosen.kernels, tuple(chosen.signature), chosen.target, chosen.out, chosen.name, chosen.forall, chosen.block,
                chosen.bounds_check,
            )  # fmt: skip
            compile_kernels(Console(), order)
        case "run":
            from anygpu.cli.run import run

            run(chosen.script, chosen.arguments, chosen.device)
        case "cache":
            from anygpu.cli.info import cache_clear, cache_info

            (cache_clear if chosen.action == "clear" else cache_info)(Console())
        case _:
            _parser().print_help()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="anygpu", description="The GPU stack of Python: kernels in plain Python, on any device or none.")
    parser.add_argument("--version", action="version", version=f"anygpu {anygpu.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")

    demo = commands.add_parser(
        "demo", help="kernels at work on pictures, checked against NumPy",
        description="Runs a photograph through a pipeline of kernels, then a fractal and two galaxies. Checks each result against NumPy, "
        "times the two side by side, and writes pictures.",
    )  # fmt: skip
    demo.add_argument("--out", type=Path, default=Path("anygpu-demo"), metavar="DIR", help="folder of the pictures (default: %(default)s)")
    demo.add_argument("--quick", action="store_true", help="smaller pictures and fewer timings")

    info = commands.add_parser("info", help="devices, versions, options and the cache", description="Shows what anygpu finds here.")
    info.add_argument("--json", action="store_true", help="as JSON, for a bug report or a program")

    inspect = commands.add_parser(
        "inspect", help="what a kernel is compiled to",
        description="Imports a file, compiles one of its kernels for the given types and prints a stage of the compilation.",
        epilog="A signature names the type of each argument: f32, i64, u8, bf16, c64, bool and so on are scalars; int, float and complex "
        "Python's numbers; f32[:] and f32[:, :] arrays of one and two axes, C-contiguous unless 'strided' follows, writable unless "
        "'readonly' follows. A kernel whose parameters are annotated with such types needs none.",
    )  # fmt: skip
    inspect.add_argument("kernel", metavar="FILE.py:KERNEL", help="a file, or a module's dotted name, and the kernel in it")
    stages = "; ".join(f"{name}: {meaning}" for name, meaning in STAGES.items())
    inspect.add_argument("--stage", choices=STAGES, default="ir", help=f"what to print (default: %(default)s). {stages}")
    inspect.add_argument("--target", metavar="ARCH", help="an architecture that need not be here: sm_90, gfx942, spirv (default: this CPU)")
    inspect.add_argument("--signature", metavar="TYPES", help='types of the arguments, such as "f32, f32[:], f32[:]"')
    inspect.add_argument("--forall", type=_extents, metavar="N[,N...]", help="compile for a range launch over this shape")
    inspect.add_argument("--grid", type=_extents, metavar="N[,N[,N]]", help="compile for a launch with this grid (default: 1)")
    inspect.add_argument("--block", type=_extents, metavar="N[,N[,N]]", help="and this block (default: 256)")

    ahead = commands.add_parser(
        "compile", help="kernels ahead of time, for machines that need not be here",
        description="Compiles kernels of a file into a folder: code for each target, a C header, and a manifest from which ag.load "
        "launches them without a compiler.",
        epilog="Targets: sm_90 and the like (PTX), gfx942 and the like (code objects), spirv, and the CPUs x86-64, x86-64-v2, x86-64-v3, "
        "x86-64-v4, aarch64 (for Linux) and native (this machine). A CPU target gives an object file, and a shared library where a "
        "linker is at hand: the ziglang package's, cc or ld.lld. Signatures are those of anygpu inspect; (f32, i32) is a tuple, and a "
        "NamedTuple or dataclass of the file is named.",
    )  # fmt: skip
    what = "a file, or a module's dotted name, and kernels in it (default: all)"
    ahead.add_argument("kernels", metavar="FILE.py:KERNEL[,KERNEL...]", help=what)
    ahead.add_argument(
        "--signature", action="append", default=[], metavar="[KERNEL:] TYPES",
        help='types of the arguments, such as "f32, f32[:], f32[:]", for all kernels or the one named in front; may be repeated',
    )  # fmt: skip
    ahead.add_argument("--target", required=True, metavar="LIST", help="what to compile for, such as sm_90,gfx942,spirv,x86-64-v4")
    ahead.add_argument("-o", "--out", type=Path, required=True, metavar="DIR", help="folder to write")
    ahead.add_argument("--name", help="of the library, its header and its files (default: the file's)")
    ahead.add_argument("--forall", type=_extents, metavar="N[,N...]", help="for range launches alone, of as many axes as this shape has")
    ahead.add_argument("--block", type=_extents, metavar="N[,N[,N]]", help="for grids of this block alone; the code is then better")
    ahead.add_argument("--no-bounds-check", dest="bounds_check", action="store_const", const=False, help="leave the checks of accesses out")

    run = commands.add_parser(
        "run", help="a script, on a device of your choice",
        description="Runs a script as python would, with another default device, and raises at its end what its last launches did wrong.",
    )  # fmt: skip
    run.add_argument("--device", metavar="NAME", help="such as opencl:0, before or after the script (default: $ANYGPU_DEVICE or cpu)")
    run.add_argument("script", metavar="SCRIPT.py", help="a file")
    run.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="arguments of the script; those after -- are not looked at")

    cache = commands.add_parser("cache", help="the disk cache of compiled kernels", description="Shows the disk cache, or empties it.")
    cache.add_argument("action", choices=("info", "clear"), nargs="?", default="info", help="what to do (default: %(default)s)")
    return parser


def _extents(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.strip("()").split(",") if part.strip())
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of whole numbers") from None
