"""Fused kernels: found by their form and device, compiled when new, launched with what a `Bindings` gives."""

from __future__ import annotations

import ctypes
import hashlib
import math
import pickle
import struct
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from anygpu.config import config
from anygpu.dtypes import dtype_named
from anygpu.engine.compile import (
    Options,
    compile_ir,
    disk_cache,
    loaded_code,
    machine_fingerprint,
    native_library,
    pool,
    support_table,
    unpack,
)
from anygpu.engine.exclusive import compiles
from anygpu.engine.fingerprint import compiler_fingerprint
from anygpu.engine.fused_device import device_start
from anygpu.engine.geometry import RANGE_BLOCK
from anygpu.engine.launch import packer_of
from anygpu.passes.fusion import REDUCE_BLOCK, WARP, Access, Bindings, Form
from anygpu.passes.slices import Slices
from anygpu.runtime.cpu import CpuKernel, Workspace, give_workspace, take_workspace
from anygpu.runtime.current import Recorder, current
from anygpu.runtime.device import Device

Triple = tuple[int, int, int]
# What starts a kernel: a grid, the block's extent, addresses of arrays, and the numbers that follow them.
Start = Callable[[Triple, int, Sequence[int], Sequence[object]], None]


def prepared(form: Form, bound: Bindings) -> tuple[Triple, int, tuple[int, ...], tuple[object, ...]]:
    """What starts a launch: the grid, the block's extent, addresses, and numbers, of which the graph's scalars come first."""
    extents = bound.extents
    if not form.ranged:
        count = math.prod(extents[: form.kept])
        match form.schedule:
            case "middle" | "block":
                grid = (bound.parts, count, 1) if form.part else (count, 1, 1)
            case "tiny" | "short":  # a warp for 32 rows
                grid = (-(-count // REDUCE_BLOCK), 1, 1)
            case _:  # a warp for each part
                grid = (-(-bound.parts * count * WARP // REDUCE_BLOCK), 1, 1)
        block = REDUCE_BLOCK
        tail = (*extents[form.kept :], *extents[: form.kept])
    else:
        kept = (bound.parts, *extents[: form.kept]) if form.part else extents[: form.kept]
        count = len(kept)
        rest = math.prod(kept[:-2]) if count > 2 else 1
        grid = (-(-kept[-1] // RANGE_BLOCK), kept[-2] if count > 1 else 1, rest)
        block = RANGE_BLOCK
        tail = (*extents[form.kept :], *kept)
    return grid, block, (*bound.loads, *bound.outputs), (*bound.scalars, *bound.integers, *bound.strides, *tail)


@dataclass(frozen=True, slots=True, eq=False)
class FusedKernel:
    """A form that is loaded on a device."""

    form: Form
    device: str
    start: Start

    def launch(self, bound: Bindings) -> None:
        """Run it, on the CPU until it is done, elsewhere in the order of the device's default stream."""
        arguments = prepared(self.form, bound)
        if current.recorder is None:
            self.start(*arguments)
        else:
            with self._span(current.recorder, bound.extents):
                self.start(*arguments)

    def launch_row(self, size: int, loads: Sequence[int], outputs: Sequence[int], scalars: Sequence[object]) -> None:
        """Run a map over one row of so many elements."""
        grid = (-(-size // RANGE_BLOCK), 1, 1)
        if current.recorder is None:
            self.start(grid, RANGE_BLOCK, (*loads, *outputs), (*scalars, size))
        else:
            with self._span(current.recorder, (size,)):
                self.start(grid, RANGE_BLOCK, (*loads, *outputs), (*scalars, size))

    def _span(self, recorder: Recorder, extents: Sequence[int]) -> AbstractContextManager[object]:
        """A profile's note of a launch: each array counts as often as its elements differ, each step once for each element."""
        form = self.form
        kept = math.prod(extents[: form.kept])
        work = math.prod(extents)
        size = sum(_elements(access, extents) * dtype_named(access.dtype).itemsize for access in form.loads)
        size += sum(_elements(access, extents) * dtype_named(access.dtype).itemsize for _, access in form.outputs)
        kind = "accumulate" if form.schedule in ("rows", "columns") else "reduce"
        names = [str(step[1]) for step in form.steps if step[0] == "map"]
        count = [n for n, step in enumerate(form.steps) if step[0] == "map"]
        operations = sum(work if n < form.epilogue else kept for n in count) + work * len(form.reductions)
        names += [f"{reduction.function}.{kind}" for reduction in form.reductions]
        stream = None if self.device == "cpu" else Device(self.device).default_stream
        return recorder.span("kernel", ", ".join(names) or "copy", stream, size, operations)


_kernels: dict[str, dict[Form, FusedKernel]] = {}  # by device


def kernel_count(device: str) -> int:
    """How many fused kernels are loaded on a device."""
    return len(_kernels.get(device, ()))


def forget_kernels(device: str) -> None:
    """Let go of a device's fused kernels."""
    _kernels.pop(device, None)


def fused_kernel(form: Form, device: str) -> FusedKernel:
    """The kernel of a form on a device, by the device's name."""
    here = _kernels.setdefault(device, {})
    found = here.get(form)
    if found is None:
        found = here[form] = FusedKernel(form, device, _cpu_start(form) if device == "cpu" else device_start(form, device))
    return found


@dataclass(frozen=True, slots=True, eq=False)
class CpuStart:
    """What starts a form on the CPU: its code, and how the words of its arguments are packed."""

    code: CpuKernel
    pack: Callable[..., bytes]
    threads: int
    support: int

    def __call__(self, grid: Triple, block: int, addresses: Sequence[int], numbers: Sequence[object]) -> None:
        workspace = take_workspace()
        words = self.words(grid, addresses, numbers, workspace)
        self.code.launch(words, grid[0] * grid[1] * grid[2], 0, pool, workspace)
        give_workspace(workspace)

    def words(self, grid: Triple, addresses: Sequence[int], numbers: Sequence[object], workspace: Workspace) -> bytes:
        """The arguments of a launch."""
        arrays: list[int] = []
        for address in addresses:
            arrays += (address, 1 << 30, 0)  # nothing is checked, so no extent is looked at
        return self.pack(*grid, self.threads, 1, 1, workspace.error_address, 0, 0, self.support, *arrays, *numbers)


@compiles
def _cpu_start(form: Form) -> Start:
    options = _options(form)
    threads = options.block[0] if options.block is not None else RANGE_BLOCK
    text = "\n".join(["fused", repr(form), compiler_fingerprint(), machine_fingerprint(), repr(options)])
    key = hashlib.sha256(text.encode()).hexdigest()
    debug = config().debug
    data = None if debug else disk_cache().get(key)
    artifact = None if data is None else unpack(data)
    if artifact is None:
        from anygpu.frontend.fused import lower_form
        from anygpu.ir.verify import verify

        stages: dict[str, str] | None = {} if debug else None
        kernel = lower_form(form, warps=True)
        verify(kernel)
        artifact = compile_ir(kernel, options, stages)
        disk_cache().put(key, pickle.dumps(artifact, protocol=5))
        for name in debug:
            print(f"# fused kernel: {name}\n{(stages or {}).get(name, '')}", file=sys.stderr)
    return CpuStart(loaded_code(artifact), packer_of(artifact.parameters).pack, threads, ctypes.addressof(support_table()))


def sliced_start(slices: Slices, grids: Sequence[Triple], split: Sequence[tuple[int, int]]) -> Start:
    """What starts kernels in slices on the CPU, each on its grid; one that runs in order has a block for each slice. Addresses and numbers
    are those of the first, so many as ``split`` says, and then those of the others."""
    grids = [(slices.count, 1, 1) if n == slices.ordered else grid for n, grid in enumerate(grids)]
    kernels = [_on_cpu(form) for form in slices.forms]
    shared = max(kernel.code.shared_bytes for kernel in kernels)
    code = CpuKernel(native_library("slices", _slices_ir, ("run",)), False, False, shared, slices.ordered >= 0)
    blocks = [math.prod(grid) for grid in grids]

    def start(grid: Triple, block: int, addresses: Sequence[int], numbers: Sequence[object]) -> None:
        workspace = take_workspace()
        turn = ctypes.c_int64(0)
        words = [len(kernels), ctypes.addressof(turn)]
        texts = []  # which stay until the launch is done
        at = of = 0
        for n, (kernel, (many, few)) in enumerate(zip(kernels, split, strict=True)):
            texts.append(kernel.words(grids[n], addresses[at : at + many], numbers[of : of + few], workspace))
            place = ctypes.cast(ctypes.c_char_p(texts[-1]), ctypes.c_void_p).value or 0
            words += (kernel.code.run_address, place, slices.blocks[n], blocks[n], n == slices.ordered)
            at, of = at + many, of + few
        code.launch(struct.pack(f"={len(words)}q", *words), slices.count, 0, pool, workspace)
        give_workspace(workspace)

    return start


def _on_cpu(form: Form) -> CpuStart:
    start = fused_kernel(form, "cpu").start
    assert isinstance(start, CpuStart)
    return start


def _slices_ir(triple: str) -> str:
    from anygpu.codegen.targets.cpu_slices import slices_ir

    return slices_ir(triple)


def _elements(access: Access, extents: Sequence[int]) -> int:
    """How many different elements an access visits."""
    return math.prod(n for walk, n in zip(access.walk, extents, strict=False) if walk != "0")


def _options(form: Form) -> Options:
    if not form.ranged:
        warp = form.schedule in ("middle", "block", "carried")
        return Options(False, False, 0, "aligned", 32, form.small, (WARP if warp else REDUCE_BLOCK, 1, 1))
    return Options(False, False, form.kept + (form.part > 0), "aligned", 32, form.small, None)

