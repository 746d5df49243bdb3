"""The one ordered pipeline: from a Python function and argument types to loaded machine code, by way of the disk cache."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import os
import pickle
import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from types import FunctionType
from typing import TYPE_CHECKING

from anygpu.config import config
from anygpu.engine.exclusive import compiles, exclusive
from anygpu.engine.fingerprint import Fingerprint, compiler_fingerprint, function_fingerprint
from anygpu.errors import ReadOnlyError
from anygpu.runtime.cache import DiskCache
from anygpu.runtime.cpu import CpuKernel, Pool
from anygpu.runtime.current import current
from anygpu.runtime.loader import Program, load

if TYPE_CHECKING:
    from anygpu.codegen.native import HostCpu
    from anygpu.codegen.targets.cpu import CpuCode, CpuOptions
    from anygpu.dtypes import DType
    from anygpu.errors import Site
    from anygpu.frontend.signature import Type
    from anygpu.ir.kernel import Kernel


@dataclass(frozen=True)
class Options:
    """What a variant is compiled for, besides the types of its arguments. ``arrangement`` and ``multiple`` describe the block:
    the largest strip width up to 32 that divides its x extent. ``block`` gives the extents themselves to kernels with barriers, which
    gain most from knowing them. ``small``: every array spans under 2**31 bytes and every int fits int32."""

    bounds_check: bool = True
    fastmath: bool = False
    range_ndim: int = 0
    arrangement: str = "aligned"
    multiple: int = 32
    small: bool = True
    block: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Artifact:
    """What the disk cache keeps of a variant: object code and what launches and reports need."""

    image: bytes
    sites: tuple[Site, ...]
    parameters: tuple[tuple[str, str, int, bool], ...]  # name, "array" or a dtype, ndim, written by the kernel
    shared_bytes: int
    coroutine: bool
    grid_barrier: bool
    declared: dict[str, tuple[int, ...]]  # the shapes of the arrays that the kernel declares
    dynamic: dict[str, int]  # the bytes of an element of each array in the dynamic shared memory
    prints: bool
    loops: bool


@dataclass(eq=False)
class Variant:
    """A compiled, loaded variant of a kernel."""

    artifact: Artifact
    code: CpuKernel
    from_cache: bool
    fingerprint: Fingerprint


def lower(function: FunctionType, types: Sequence[Type], options: Options) -> Kernel:
    """The verified KERNEL IR of a function, as the frontend gives it. Raises ``CompileError``, and ``ReadOnlyError`` for a write to an
    array that is read-only by its type."""
    from anygpu.frontend.statements import lower_kernel
    from anygpu.ir.kernel import Array, Atomic, Store, walk
    from anygpu.ir.verify import verify

    kernel = lower_kernel(function, types, options.range_ndim)
    fixed = {p.name for p in kernel.params if isinstance(p, Array) and not p.writeable}
    for stmt in walk(kernel.body):
        if isinstance(stmt, Store | Atomic) and stmt.array in fixed:
            message = f"argument '{stmt.array}' is read-only and kernel '{kernel.name}' writes it: pass a copy"
            raise ReadOnlyError(f"{message}\n{stmt.loc.render()}")
    verify(kernel)
    return kernel


def run_passes(kernel: Kernel, fastmath: bool = False) -> Kernel:
    """Every pass that all back ends share, in order: what the interpreter runs as the oracle, and code generation starts from."""
    from anygpu.libm.definitions import definition
    from anygpu.passes.contract import contract
    from anygpu.passes.dead import remove_dead
    from anygpu.passes.expand import expand_operations
    from anygpu.passes.halves import widen_halves
    from anygpu.passes.products import split_products
    from anygpu.passes.propagate import propagate
    from anygpu.passes.ranges import lower_ranges
    from anygpu.passes.share import share

    kernel = split_products(remove_dead(propagate(lower_ranges(kernel))))
    kernel = widen_halves(kernel)
    kernel = contract(kernel)
    return remove_dead(share(expand_operations(kernel, definition)))


def _strip_width(kernel: Kernel, options: Options, vector_bits: int) -> int:
    """How many lanes one pass of the code runs.

    A whole warp if the kernel can tell, one if scalar code is cheaper, else what suits the registers.
    """
    from anygpu.codegen.targets.cpu import has_barrier, needs_whole_warps
    from anygpu.passes.cost import costs
    from anygpu.passes.uniformity import Shape, uniformity

    if needs_whole_warps(kernel):
        return 32
    if not has_barrier(kernel, "block") and not has_barrier(kernel, "grid"):
        specials = {("thread", 0): Shape(1)}
        vector, scalar = costs(kernel, uniformity(kernel, specials), specials)
        if scalar < vector:
            return 1
    # Two registers a value leave room for a dozen values in flight; a light kernel gains from four.
    element = max((d.bits for d in _varying_floats(kernel)), default=32)
    preferred = max(8, min(32, vector_bits * (4 if _is_light(kernel) else 2) // max(32, element)))
    return min(preferred, options.multiple) if options.arrangement == "aligned" else preferred


def _varying_floats(kernel: Kernel) -> list[DType]:
    from anygpu.ir.kernel import assigned, walk

    return [v.dtype for s in walk(kernel.body) if (v := assigned(s)) is not None and v.dtype.is_float]


def _is_light(kernel: Kernel) -> bool:
    """Whether few vectors are alive at once, judged by the number of float variables: fewer in a loop, which keeps them all."""
    from anygpu.ir.kernel import For, While, assigned, walk

    values = {v.name for s in walk(kernel.body) if (v := assigned(s)) is not None and v.dtype.is_float}
    return len(values) <= (4 if any(isinstance(s, For | While) for s in walk(kernel.body)) else 8)


def is_straight(kernel: Kernel) -> bool:
    """Whether a kernel's code loops over nothing but its work-items: with barriers each part of it does that."""
    from anygpu.ir.kernel import Barrier, For, While, walk

    return not any(isinstance(s, For | While | Barrier) for s in walk(kernel.body))


def emit_variant(final: Kernel, options: Options, cpu: HostCpu) -> CpuCode:
    """LLVM IR of a variant for a processor. ``final`` has been through every pass."""
    from anygpu.codegen.targets.cpu import emit_cpu

    return emit_cpu(final, cpu_options(final, options, cpu), cpu.triple)


def cpu_options(final: Kernel, options: Options, cpu: HostCpu) -> CpuOptions:
    """What the code of a variant for a processor assumes of its launches: variants with the same are the same."""
    from anygpu.codegen.targets.cpu import CpuOptions

    width = _strip_width(final, options, cpu.vector_bits)
    arrangement = options.arrangement
    if width == 1:
        arrangement = "aligned"  # every block is made of whole strips of one
    elif arrangement == "aligned" and options.multiple % width:
        arrangement = "general"  # warp operations in a block whose x extent is no multiple of a warp
    return CpuOptions(width, arrangement, options.small, options.bounds_check, cpu.mask_bits, options.block)  # type: ignore[arg-type]


def artifact_of(source: Kernel, final: Kernel, code: CpuCode, image: bytes) -> Artifact:
    """What launches and reports need of a variant's code, with its object code."""
    from anygpu.ir.kernel import For, Print, While, walk

    prints = any(isinstance(s, Print) for s in walk(source.body))
    loops = any(isinstance(s, For | While) for s in walk(source.body))
    declared, dynamic = declared_arrays(source)
    sites, parameters = with_unsigned(code.sites, source), parameters_of(source, final)
    return Artifact(image, sites, parameters, code.shared_bytes, code.coroutine, code.grid_barrier, declared, dynamic, prints, loops)


def parameters_of(source: Kernel, final: Kernel) -> tuple[tuple[str, str, int, bool], ...]:
    """Each parameter of the code, those of a range included: name, "array" or a dtype, rank, whether the kernel writes it."""
    from anygpu.ir.kernel import Array, Atomic, Store, walk

    written = {s.array for s in walk(source.body) if isinstance(s, Store | Atomic)}
    return tuple(
        (p.name, "array", p.ndim, p.name in written) if isinstance(p, Array) else (p.name, p.dtype.name, 0, False) for p in final.params
    )


def declared_arrays(source: Kernel) -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
    """The shapes of the arrays that a kernel declares, and the bytes of an element of those in dynamic shared memory."""
    declared = {a.name: a.shape for a in source.declared if a.shape is not None and a.shape != (0,)}
    return declared, {a.name: a.itemsize for a in source.declared if a.shape == (0,)}


@compiles
def compile_artifact(function: FunctionType, types: Sequence[Type], options: Options, stages: dict[str, str] | None = None) -> Artifact:
    """Compile a variant from source. With ``stages``, the text of every stage is put there: ir, passes, llvm, asm."""
    return compile_ir(lower(function, types, options), options, stages)


def compile_ir(kernel: Kernel, options: Options, stages: dict[str, str] | None = None) -> Artifact:
    """Compile verified KERNEL IR for this machine's CPU."""
    from anygpu.codegen.native import compile_to_object, host_cpu
    from anygpu.ir.text import print_kernel

    if stages is not None:
        stages["ir"] = print_kernel(kernel)
    final = run_passes(kernel, options.fastmath)
    if stages is not None:
        stages["passes"] = print_kernel(final)
    cpu = host_cpu()
    with compiling(kernel.name):
        code = emit_variant(final, options, cpu)
        return artifact_of(kernel, final, code, compile_to_object(code.text, cpu, stages, is_straight(final)))


def compiling(name: str) -> AbstractContextManager[object]:
    """A profile's note that something is compiled."""
    return contextlib.nullcontext() if current.recorder is None else current.recorder.span("compile", name)


def with_unsigned(sites: Sequence[Site], kernel: Kernel) -> tuple[Site, ...]:
    """The sites, with the axes whose index is a uint64: error words hold each as an int64."""
    from anygpu.ir.kernel import Atomic, Cast, Load, Store, walk

    axes: dict[tuple[tuple[object, ...], str], tuple[int, ...]] = {}
    for s in walk(kernel.body):
        if isinstance(s, Load | Store | Atomic):
            place = (s.loc.filename, s.loc.line, s.loc.column, s.loc.end_column, s.loc.function)
            axes[place, s.array] = tuple(n for n, i in enumerate(s.index) if isinstance(i, Cast) and i.arg.dtype.name == "uint64")
    return tuple(replace(site, unsigned=axes.get((site.location, site.array), ())) for site in sites)


@exclusive
@functools.cache
def disk_cache() -> DiskCache:
    """The process's disk cache."""
    return DiskCache.from_config(config())


@functools.cache
def machine_fingerprint() -> str:
    """What distinguishes this machine's processor, without asking LLVM: so that a cached kernel starts without loading it."""
    import platform

    text = f"{platform.machine()} {platform.system()} "
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            wanted = ("model name", "flags", "Features", "CPU part", "CPU implementer")
            lines = {line for line in file.read(16384).splitlines() if line.startswith(wanted)}
            text += "\n".join(sorted(lines))
    except OSError:
        from anygpu.codegen.native import host_cpu

        text += repr(host_cpu())
    return hashlib.sha256(text.encode()).hexdigest()


def variant_key(fingerprint: str, options: Options) -> str:
    """The disk cache's key of a variant: of a function and the types of its arguments, compiled with these options."""
    text = "\n".join([fingerprint, compiler_fingerprint(), machine_fingerprint(), repr(options)])
    return hashlib.sha256(text.encode()).hexdigest()


@compiles
def compile_variant(function: FunctionType, types: Sequence[Type], options: Options) -> Variant:
    """A loaded variant, from the disk cache if it holds it."""
    debug = config().debug
    fingerprint = function_fingerprint(function, types)
    key = variant_key(fingerprint.types, options)
    data = disk_cache().get(key) if fingerprint.exact and not debug else None
    artifact = None if data is None else unpack(data)
    stages: dict[str, str] = {}
    found = artifact is not None
    if artifact is None:
        artifact = compile_artifact(function, types, options, stages if debug else None)
        if fingerprint.exact:
            disk_cache().put(key, pickle.dumps(artifact, protocol=5))
    for name in ("ir", "passes", "llvm", "asm"):
        if name in debug or (name == "passes" and "ir" in debug):
            print(f"# {function.__name__}: {name}\n{stages.get(name, '')}", file=sys.stderr)
    code = loaded_code(artifact)
    return Variant(replace(artifact, image=b""), code, found, fingerprint)


def loaded_code(artifact: Artifact) -> CpuKernel:
    """A variant's code in this process's memory."""
    names = ("run", "arena_bytes") if artifact.coroutine else ("run",)
    return CpuKernel(load(artifact.image, names), artifact.coroutine, artifact.grid_barrier, artifact.shared_bytes)


def unpack(data: bytes) -> Artifact | None:
    """An entry of the cache, whose digest has been checked; None if another version of this class wrote it."""
    try:
        found = pickle.loads(data)
    except (AttributeError, TypeError, ImportError, pickle.UnpicklingError):
        return None
    return found if isinstance(found, Artifact) else None


_brought: dict[str, tuple[Program, tuple[str, ...]]] = {}


def bring_library(name: str, program: Program, exports: tuple[str, ...]) -> None:
    """Let a library that was compiled ahead of time, for a processor like this, serve in place of one that would be compiled here."""
    _brought.setdefault(name, (program, exports))


def brought_exports(name: str) -> tuple[str, ...] | None:
    """The functions of a library that was compiled ahead of time; None if there is none of this name."""
    return _brought[name][1] if name in _brought else None


@exclusive
def native_library(name: str, text: Callable[[str], str], exports: tuple[str, ...]) -> Program:
    """A module of the runtime's own native functions, compiled once for a machine."""
    if name in _brought:
        return _brought[name][0]
    key = hashlib.sha256(f"{name} {compiler_fingerprint()} {machine_fingerprint()}".encode()).hexdigest()
    image = disk_cache().get(key)
    if image is None:
        from anygpu.codegen.native import compile_to_object, host_cpu

        image = compile_to_object(text(host_cpu().triple), host_cpu())
        disk_cache().put(key, image)
    return load(image, exports)


@exclusive
@functools.cache
def support_table() -> ctypes.Array[ctypes.c_void_p]:
    """The addresses of the support functions, in the order in which kernels expect them."""
    names = brought_exports("support")
    if names is None:
        from anygpu.codegen.targets.cpu_support import SUPPORT_TABLE

        names = SUPPORT_TABLE
    library = native_library("support", _support_ir, names)
    return (ctypes.c_void_p * len(names))(*(library.address(name) for name in names))


def _support_ir(triple: str) -> str:
    from anygpu.codegen.targets.cpu_support import support_ir

    return support_ir(triple)


@exclusive
@functools.cache
def _pool_for(process: int) -> Pool | None:
    threads = config().num_threads
    if threads < 2 or sys.platform == "win32":
        return None
    return Pool(native_library("pool", _pool_ir, ("pool_init", "pool_start", "pool_run")), threads)


def _pool_ir(triple: str) -> str:
    from anygpu.codegen.targets.cpu_pool import pool_ir

    return pool_ir(triple)


def pool() -> Pool | None:
    """The process's worker pool; None if it computes with one thread."""
    return _pool_for(os.getpid())
