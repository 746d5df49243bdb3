"""Variants for devices other than the CPU: compiled, kept on disk, and loaded."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from anygpu.engine.compile import Options, compiling, declared_arrays, disk_cache, lower, parameters_of, run_passes, with_unsigned
from anygpu.engine.exclusive import compiles, exclusive
from anygpu.engine.fingerprint import Fingerprint, compiler_fingerprint, function_fingerprint
from anygpu.engine.geometry import exceeds, knows_blocks
from anygpu.errors import LaunchError
from anygpu.runtime.base import Code, Launch, Parameter
from anygpu.runtime.device import Device
from anygpu.runtime.device_array import DeviceArray
from anygpu.runtime.program import ObjectCode

if TYPE_CHECKING:
    from anygpu.codegen.device import DeviceOptions, Word
    from anygpu.engine.launch import Kernel, Launcher
    from anygpu.errors import Site
    from anygpu.frontend.signature import Type
    from anygpu.ir.kernel import Kernel as IrKernel
    from anygpu.passes.assume import Certain

_NEEDS = {
    "fp64": "computes in float64",
    "fp16": "computes in float16",
    "int64_atomics": "has atomics of 64 bits",
    "subgroups32": "exchanges values between the lanes of a warp, which needs sub-groups of 32 work-items",
    "cooperative": "synchronises its whole grid",
}


ALIGNING = ("cuda", "hip")  # devices that load up to 16 bytes at once, if they lie at a multiple of that
MOST_CERTAIN = 8  # sets of what is certain that a kernel is compiled for; further launches keep their checks


@dataclass(frozen=True)
class DeviceArtifact:
    """What the disk cache keeps of a variant for a device: its code, and what launches and reports need."""

    format: str
    image: bytes
    entry: str
    words: tuple[Word, ...]
    sites: tuple[Site, ...]
    launch_shared_bytes: int
    flat: bool
    capabilities: frozenset[str]
    parameters: tuple[tuple[str, str, int, bool], ...]  # name, "array" or a dtype, ndim, written by the kernel
    declared: dict[str, tuple[int, ...]]
    dynamic: dict[str, int]
    flat_grid: bool = False
    aligned: bool = False


@dataclass(eq=False)
class DeviceVariant:
    """A variant that is loaded on a device; ``digest`` is that of the values that it captured."""

    artifact: DeviceArtifact
    start: Launch
    keep: object
    digest: str


# ----------------------------------------------------------------------------------------------------------------------- compiling


def architecture(device: Device) -> str:
    """What code for a device is compiled for."""
    return "spirv" if device.driver.api == "opencl" else device.properties.architecture


@dataclass(frozen=True)
class Lowered:
    """A kernel's IR for some types: as the frontend gives it, and after all shared passes. All variants for these types are made of it,
    since what a launch makes certain is said of its statements."""

    options: Options
    fingerprint: Fingerprint
    source: IrKernel
    final: IrKernel
    known: set[Certain] = field(default_factory=set, compare=False)  # what launches so far made certain


@compiles
def lowered(kernel: Kernel, types: Sequence[Type], options: Options) -> Lowered:
    """The IR for these types; of the values that the kernel captures those that were current when it was first asked for."""
    key = (tuple(types), options)
    known = kernel.lowered.get(key)
    if known is None:
        known = kernel.lowered[key] = lower_now(kernel, types, options)
    return known


def lower_now(kernel: Kernel, types: Sequence[Type], options: Options) -> Lowered:
    """The IR for these types and the values that the kernel captures now."""
    source = lower(kernel.__wrapped__, types, options)
    return Lowered(options, function_fingerprint(kernel.__wrapped__, types), source, run_passes(source, options.fastmath))


@compiles
def compile_for(given: Lowered, device: DeviceOptions, target: str) -> DeviceArtifact:
    """The code of a variant for an architecture, from the disk cache if it holds it. Needs no device."""
    fingerprint, options = given.fingerprint, given.options
    text = "\n".join([fingerprint.types, compiler_fingerprint(), target, repr(options), repr(device)])
    key = hashlib.sha256(text.encode()).hexdigest()
    data = disk_cache().get(key) if fingerprint.exact else None
    found = None if data is None else pickle.loads(data)
    if isinstance(found, DeviceArtifact):
        return found
    artifact = artifact_for(given.source, given.final, device, target)
    if fingerprint.exact:
        disk_cache().put(key, pickle.dumps(artifact, protocol=5))
    return artifact


def artifact_for(source: IrKernel, final: IrKernel, device: DeviceOptions, target: str) -> DeviceArtifact:
    """Compile a kernel's IR, as the frontend gave it and after all shared passes, for an architecture."""
    from anygpu.codegen.offline import compile_device, link, recipe
    from anygpu.codegen.simt import emit_device

    with compiling(source.name):
        code = emit_device(final, recipe(target).target, device)
        image = compile_device(code, target)
        if target.startswith("gfx"):
            image = link(image, target)
    form = "spirv" if target == "spirv" else "ptx" if target.startswith("sm_") else "codeobject"
    return DeviceArtifact(
        form, image, code.entry, code.words, with_unsigned(code.sites, source), code.launch_shared_bytes, code.flat, code.capabilities,
        parameters_of(source, final), *declared_arrays(source), device.flat_grid, device.aligned,
    )  # fmt: skip


@exclusive
def device_text(
    kernel: Kernel, types: Sequence[Type], options: Options, launcher: Launcher, small: bool, target: str, stage: str
) -> str:
    """The text of one stage (``ir``, ``passes``, ``llvm`` or ``asm``) of a variant for an architecture. Needs no device."""
    from anygpu.codegen.offline import assembly, recipe
    from anygpu.codegen.simt import emit_device
    from anygpu.ir.text import print_kernel

    code_for = recipe(target).target  # before anything is compiled: a ValueError for a name of none
    source = lower(kernel.__wrapped__, types, options)
    if stage == "ir":
        return print_kernel(source)
    final = run_passes(source, options.fastmath)
    if stage == "passes":
        return print_kernel(final)
    code = emit_device(final, code_for, device_options(final, launcher, small, options.bounds_check))
    return code.text if stage == "llvm" else assembly(code, target)


def device_options(final: IrKernel, launcher: Launcher, small: bool, checks: bool) -> DeviceOptions:
    """What the variant for a launch assumes on any device. Kernels whose work-items deal with each other, whose accesses to shared memory
    are proven by it, are made for one block size each, and so are ranges, whose block is always the same."""
    from anygpu.codegen.device import DeviceOptions
    from anygpu.ir.kernel import Barrier, WarpOp, walk

    ranged = bool(launcher.extent)
    fixed = ranged or any(isinstance(s, Barrier | WarpOp) for s in walk(final.body))
    return DeviceOptions(small, checks, launcher.block if fixed else None, ranged=ranged)


@exclusive
def launch_options(given: Lowered, launcher: Launcher, parts: Sequence[object], small: bool, device: Device) -> DeviceOptions:
    """The same for a device that is here, and what the launch's grid and shapes make certain."""

    assumed = device_options(given.final, launcher, small, given.options.bounds_check)
    lines = launcher.extent and not knows_blocks(given.source)
    certain = certain_of(given, launcher, parts, small)
    aligned = device.driver.api in ALIGNING and all(map(is_aligned, parts))
    return replace(seen(assumed, device, bool(lines)), certain=certain, flat_grid=exceeds(launcher.grid, device), aligned=aligned)


def is_aligned(part: object) -> bool:
    """Whether a part of the arguments is no array, or one of which it is sure that it begins at a multiple of 16 bytes."""
    if isinstance(part, DeviceArray):
        return not part.buffer.address & 15
    return not isinstance(part, np.ndarray)


def seen(assumed: DeviceOptions, device: Device, lines: bool) -> DeviceOptions:
    """The same, with what is known of a device that is here; ``lines``: whether blocks may be lines of any length."""
    has = device.capabilities
    lines = lines and has.on_cpu
    return replace(
        assumed, block=None if lines else assumed.block, lines=lines, on_cpu=has.on_cpu, wide=has.on_cpu and 32 in has.subgroup_sizes
    )


def certain_of(given: Lowered, launcher: Launcher, parts: Sequence[object], small: bool) -> Certain:
    """What a launch's grid and shapes make certain; nothing after ``MOST_CERTAIN`` different answers."""
    from anygpu.ir.kernel import Array
    from anygpu.passes.assume import certain
    from anygpu.passes.intervals import Facts

    if not launcher.blocks:
        return ()
    final = given.final
    shapes = {p.name: part.shape for p, part in zip(final.params, parts, strict=True) if isinstance(p, Array)}  # type: ignore[attr-defined]
    first = len(final.params) - len(launcher.extent)
    values = {p.name: n for p, n in zip(final.params[first:], launcher.extent, strict=True)}
    found = certain(final, Facts(small, launcher.block, launcher.grid, shapes, values))
    if found not in given.known and len(given.known) >= MOST_CERTAIN:
        return ()
    given.known.add(found)
    return found


def load_variant(kernel: Kernel, types: tuple[Type, ...], given: Lowered, assumed: DeviceOptions, device: Device) -> DeviceVariant:
    """The loaded variant for these types on a device."""
    digest = given.fingerprint.digest
    key = (device.name, types, given.options, assumed, digest)
    known = kernel.device_variants.get(key)
    if known is not None:
        return known
    artifact = compile_for(given, assumed, architecture(device))
    variant = load_artifact(kernel.name, artifact, device, digest)
    kernel.forget_others(digest)
    kernel.device_variants[key] = variant
    return variant


def load_artifact(name: str, artifact: DeviceArtifact, device: Device, digest: str) -> DeviceVariant:
    """The code of kernel ``name`` on a device. Raises ``LaunchError`` if the device lacks what it needs."""
    _check_capabilities(name, artifact.capabilities, device)
    code = ObjectCode(Code(artifact.format, artifact.image), device)
    signature = tuple(Parameter("S" if w.kind == "dynamic" else "P" if w.is_pointer else "q", 8, w.name) for w in artifact.words)
    loaded = code.get_kernel(artifact.entry, signature)
    start = loaded.prepare(signature, "cooperative" in artifact.capabilities)
    return DeviceVariant(artifact, start, (code, loaded), digest)


def _check_capabilities(name: str, needed: frozenset[str], device: Device) -> None:
    has = device.capabilities
    there = {
        "fp64": has.fp64, "fp16": has.fp16, "int64_atomics": has.atomics64, "subgroups32": 32 in has.subgroup_sizes,
        "cooperative": has.cooperative,
    }  # fmt: skip
    for capability in sorted(needed):
        if not there[capability]:
            raise LaunchError(f"kernel '{name}' {_NEEDS[capability]}, and {device.name} cannot\n  hint: ag.devices() lists the others")
