"""Variants for devices other than the CPU: compiled, kept on disk, and loaded."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from anygpu.engine.compile import Options, declared_arrays, disk_cache, lower, parameters_of, run_passes, with_unsigned
from anygpu.engine.exclusive import exclusive
from anygpu.engine.fingerprint import compiler_fingerprint, function_fingerprint
from anygpu.errors import LaunchError
from anygpu.runtime.base import Code, Launch, Parameter
from anygpu.runtime.device import Device
from anygpu.runtime.program import ObjectCode

if TYPE_CHECKING:
    from anygpu.codegen.device import DeviceOptions, Word
    from anygpu.engine.launch import Kernel, Launcher
    from anygpu.errors import Site
    from anygpu.frontend.signature import Type

_NEEDS = {
    "fp64": "computes in float64",
    "fp16": "computes in float16",
    "int64_atomics": "has atomics of 64 bits",
    "subgroups32": "exchanges values between the lanes of a warp, which needs sub-groups of 32 work-items",
    "cooperative": "synchronises its whole grid",
}


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


@exclusive
def compile_for(kernel: Kernel, types: Sequence[Type], options: Options, device: DeviceOptions, target: str) -> DeviceArtifact:
    """The code of a variant for an architecture, from the disk cache if it holds it. Needs no device."""
    fingerprint = function_fingerprint(kernel.__wrapped__, types)
    text = "\n".join([fingerprint.types, compiler_fingerprint(), target, repr(options), repr(device)])
    key = hashlib.sha256(text.encode()).hexdigest()
    data = disk_cache().get(key) if fingerprint.exact else None
    found = None if data is None else pickle.loads(data)
    if isinstance(found, DeviceArtifact):
        return found
    artifact = _compile(kernel, types, options, device, target)
    if fingerprint.exact:
        disk_cache().put(key, pickle.dumps(artifact, protocol=5))
    return artifact


def _compile(kernel: Kernel, types: Sequence[Type], options: Options, device: DeviceOptions, target: str) -> DeviceArtifact:
    from anygpu.codegen.offline import compile_device, link, recipe
    from anygpu.codegen.simt import emit_device

    source = lower(kernel.__wrapped__, types, options)
    final = run_passes(source, options.fastmath)
    code = emit_device(final, recipe(target).target, device)
    image = compile_device(code, target)
    if target.startswith("gfx"):
        image = link(image)
    form = "spirv" if target == "spirv" else "ptx" if target.startswith("sm_") else "codeobject"
    return DeviceArtifact(
        form, image, code.entry, code.words, with_unsigned(code.sites, source), code.launch_shared_bytes, code.flat, code.capabilities,
        parameters_of(source, final), *declared_arrays(source),
    )  # fmt: skip


@exclusive
def device_text(kernel: Kernel, types: Sequence[Type], options: Options, device: DeviceOptions, target: str, stage: str) -> str:
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
    code = emit_device(final, code_for, device)
    return code.text if stage == "llvm" else assembly(code, target)


def device_options(kernel: Kernel, launcher: Launcher, small: bool, checks: bool) -> DeviceOptions:
    """What the variant for a launch assumes. Kernels with barriers, whose accesses to shared memory are proven by it, are made for one
    block size each."""
    from anygpu.codegen.device import DeviceOptions

    return DeviceOptions(small, checks, launcher.block if kernel.has_barriers and not launcher.extent else None)


def load_variant(kernel: Kernel, types: tuple[Type, ...], options: Options, assumed: DeviceOptions, device: Device) -> DeviceVariant:
    """The loaded variant for these types on a device."""
    key = (device.name, types, options, assumed)
    known = kernel.device_variants.get(key)
    if known is not None:
        return known
    artifact = compile_for(kernel, types, options, assumed, architecture(device))
    digest = function_fingerprint(kernel.__wrapped__, types).digest
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
