"""Fused kernels on the CPU: found by their form, compiled when new, launched with what a `Bindings` gives."""

from __future__ import annotations

import ctypes
import hashlib
import math
import pickle
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from anygpu.config import config
from anygpu.dtypes import dtype_named
from anygpu.engine.compile import Options, _unpack, compile_ir, disk_cache, machine_fingerprint, pool, support_table
from anygpu.engine.exclusive import exclusive
from anygpu.engine.fingerprint import compiler_fingerprint
from anygpu.passes.fusion import Bindings, Form
from anygpu.runtime.cpu import CpuKernel, give_workspace, take_workspace
from anygpu.runtime.loader import load

RANGE_BLOCK = 256
REDUCE_BLOCK = 256
_SCALARS = {"bool": "?7x", "float16": "e6x", "float32": "f4x", "float64": "d", "uint64": "Q"}


@dataclass(eq=False)
class FusedKernel:
    """A loaded form. ``arrays`` is how many it takes."""

    form: Form
    code: CpuKernel
    packer: struct.Struct
    support: int
    shared_bytes: int

    def launch(self, bound: Bindings) -> None:
        """Run it; returns when it is done."""
        form, extents = self.form, bound.extents
        if form.schedule == "block":
            count = math.prod(extents[: form.kept])
            grid = (bound.parts, count, 1) if form.part else (count, 1, 1)
            block = REDUCE_BLOCK
            tail = (*extents[form.kept :], *extents[: form.kept])
        else:
            kept = (bound.parts, *extents[: form.kept]) if form.part else extents[: form.kept]
            count = len(kept)
            rest = math.prod(kept[:-2]) if count > 2 else 1
            grid = (-(-kept[-1] // RANGE_BLOCK), kept[-2] if count > 1 else 1, rest)
            block = RANGE_BLOCK
            tail = (*extents[form.kept :], *kept)
        workspace = take_workspace()
        arrays: list[int] = []
        for address in bound.loads:
            arrays += (address, 1 << 30, 0)
        for address in bound.outputs:
            arrays += (address, 1 << 30, 0)
        words = self.packer.pack(
            *grid, block, 1, 1, workspace.error_address, 0, 0, self.support, *arrays, *bound.scalars, *bound.integers, *bound.strides, *tail
        )
        self.code.launch(words, grid[0] * grid[1] * grid[2], 0, pool, workspace)
        give_workspace(workspace)

    def launch_row(self, size: int, loads: Sequence[int], outputs: Sequence[int], scalars: Sequence[object]) -> None:
        """Run a map over one row of so many elements."""
        blocks = -(-size // RANGE_BLOCK)
        workspace = take_workspace()
        arrays: list[int] = []
        for address in (*loads, *outputs):
            arrays += (address, 1 << 30, 0)
        words = self.packer.pack(
            blocks, 1, 1, RANGE_BLOCK, 1, 1, workspace.error_address, 0, 0, self.support, *arrays, *scalars, size
        )
        self.code.launch(words, blocks, 0, pool, workspace)
        give_workspace(workspace)


_kernels: dict[Form, FusedKernel] = {}


def fused_kernel(form: Form) -> FusedKernel:
    """The kernel of a form."""
    found = _kernels.get(form)
    if found is None:
        found = _make(form)
    return found


@exclusive
def _make(form: Form) -> FusedKernel:
    options = _options(form)
    text = "\n".join(["fused", repr(form), compiler_fingerprint(), machine_fingerprint(), repr(options)])
    key = hashlib.sha256(text.encode()).hexdigest()
    debug = config().debug
    data = None if debug else disk_cache().get(key)
    artifact = None if data is None else _unpack(data)
    if artifact is None:
        from anygpu.frontend.fused import lower_form
        from anygpu.ir.verify import verify

        stages: dict[str, str] = {}
        kernel = lower_form(form)
        verify(kernel)
        artifact = compile_ir(kernel, options, stages)
        disk_cache().put(key, pickle.dumps(artifact, protocol=5))
        for name in debug:
            print(f"# fused kernel: {name}\n{stages.get(name, '')}", file=sys.stderr)
    names = ("run", "arena_bytes") if artifact.coroutine else ("run",)
    code = CpuKernel(load(artifact.image, names), artifact.coroutine, artifact.grid_barrier, artifact.shared_bytes)
    made = FusedKernel(form, code, _packer(form), ctypes.addressof(support_table()), artifact.shared_bytes)
    _kernels[form] = made
    return made


def _options(form: Form) -> Options:
    if form.schedule == "block":
        return Options(False, False, 0, "aligned", 32, form.small, (REDUCE_BLOCK, 1, 1))
    return Options(False, False, form.kept + (form.part > 0), "aligned", 32, form.small, None)


def _packer(form: Form) -> struct.Struct:
    outputs = () if form.part else tuple(access for _, access in form.outputs)
    text = "=6q2QqQ" + "Q2q" * (len(form.loads) + (len(form.reductions) if form.part else len(outputs)))
    for name in form.scalars:
        dtype = dtype_named(name)
        text += _SCALARS.get(dtype.component.name, "q") * (2 if dtype.is_complex else 1)
    strides = sum(access.walk.count("s") for access in (*form.loads, *outputs))
    count = form.integers + strides + form.ndim + (form.part > 0 and form.schedule == "serial")
    return struct.Struct(text + f"{count}q")
