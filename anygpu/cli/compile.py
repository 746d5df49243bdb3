"""``anygpu compile``: kernels of a file into a folder of code for every target, ahead of time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

import anygpu
from anygpu.cli.inspect import arguments_for, find_all
from anygpu.cli.signature import SignatureError, annotated, example
from anygpu.engine.ahead import Launches, Wanted, compile_folder
from anygpu.engine.arguments import describe
from anygpu.engine.launch import Kernel
from anygpu.engine.manifest import MANIFEST, Manifest

_PREFIX = re.compile(r"\s*([A-Za-z_]\w*)\s*:\s*(?!\s*[\],])(.*)", re.DOTALL)


@dataclass(frozen=True)
class Order:
    """What to compile: ``kernels`` is ``file.py:one,two``, ``targets`` a list with commas."""

    kernels: str
    signatures: tuple[str, ...]
    targets: str
    out: Path
    name: str | None = None
    forall: tuple[int, ...] | None = None
    block: tuple[int, ...] | None = None
    bounds_check: bool | None = None


def compile_kernels(console: Console, order: Order) -> None:
    """Compile, with the progress shown on a terminal, and say what was written.

    Raises:
        KernelNotFound: There is no such file, module or kernel.
        SignatureError: A kernel needs a signature, or one given does not suit it; or the launches do not go together.
        TargetError: There is no such target, or what it needs is not installed.
        CompileError: A kernel cannot be compiled for these types.
    """
    targets = list(dict.fromkeys(target.strip() for target in order.targets.split(",") if target.strip()))
    launches = _launches(order)
    kernels = find_all(order.kernels)
    wanted = [one for kernel in kernels for one in _wanted(kernel, order, [k.name for k in kernels])]
    place = order.kernels.rpartition(":")[0] or order.kernels
    stem = Path(place).stem if place.endswith(".py") else place.rpartition(".")[2]
    name = order.name or stem
    if not re.fullmatch(r"[A-Za-z_][\w-]*", name, re.ASCII):
        raise SignatureError(f"{name!r} is no name for a library: use letters, digits and '_'\n  hint: --name")
    shown = Progress(SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn(), console=console, transient=True)
    with shown if console.is_terminal else console:
        task = shown.add_task("compiling")

        def progress(step: str) -> None:
            shown.update(task, description=step)

        manifest = compile_folder(name, Path(place).name, wanted, targets, order.out, launches, anygpu.__version__, progress)
    console.file.write("\n".join(_summary(manifest, order.out)) + "\n")


def _launches(order: Order) -> Launches:
    if order.forall is not None and order.block is not None:
        raise SignatureError("--forall is a launch of its own: leave --block out")
    if order.forall is not None and not 1 <= len(order.forall) <= 8:
        raise SignatureError(f"--forall takes a shape of 1 to 8 axes, not {len(order.forall)}")
    if order.block is None:
        return Launches(None if order.forall is None else len(order.forall), None, order.bounds_check)
    block = (*order.block, *(1,) * (3 - len(order.block)))
    if len(block) != 3 or min(block) < 1 or block[0] * block[1] * block[2] > 1024:
        raise SignatureError(f"--block {','.join(map(str, order.block))}: a block has 1 to 3 axes and 1 to 1024 work-items")
    return Launches(None, (block[0], block[1], block[2]), order.bounds_check)


def _wanted(kernel: Kernel, order: Order, names: Sequence[str]) -> Iterator[Wanted]:
    """A kernel with each signature that is given for it, or with its annotations."""
    function = kernel.__wrapped__
    own = [text for name, text in map(_split_name, order.signatures) if name == kernel.name]
    common = [text for name, text in map(_split_name, order.signatures) if name is None]
    for name, _ in map(_split_name, order.signatures):
        if name is not None and name not in names:
            raise SignatureError(f"there is a signature for {name!r}, and the kernels are {', '.join(names)}")
    spelled = annotated(function)
    chosen = own or ([spelled] if spelled is not None and len(names) > 1 else common)
    signatures: list[str | None] = [*chosen] or [spelled]
    command = f'anygpu compile {order.kernels} --signature "{kernel.name}: {example(function)}" --target {order.targets} -o {order.out}'
    for signature in signatures:
        arguments = arguments_for(function, signature, command)
        types = tuple(describe(value, name).type for name, value in zip(kernel._names, arguments, strict=True))
        yield Wanted(kernel, types, " ".join((signature or "").split()))


def _split_name(signature: str) -> tuple[str | None, str]:
    """``saxpy: f32, f32[:]`` as its kernel and its types."""
    match = _PREFIX.fullmatch(signature)
    return (match[1], match[2]) if match else (None, signature)


def _summary(manifest: Manifest, folder: Path) -> Iterator[str]:
    from anygpu.codegen.library import LINKER_CHOICES

    kernels = ", ".join(entry.name for entry in manifest.kernels)
    yield f"{folder}: {kernels} for {', '.join(manifest.targets)}"
    for name, file in manifest.files.items():
        yield f"  {file.bytes:>9,} bytes  {name}"
    yield f"  {(folder / MANIFEST).stat().st_size:>9,} bytes  {MANIFEST}"
    unlinked = [entry.target for entry in manifest.libraries if entry.shared is None]
    if unlinked:
        yield f"no shared library for {', '.join(unlinked)}, since no linker here makes one: link the object files, or {LINKER_CHOICES}"


__all__ = ["Order", "compile_kernels"]
