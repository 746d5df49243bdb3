"""Launches on devices other than the CPU: the variant's code, its words, and what its stream reports once it is done.

Arrays in the device's memory are passed as they are, and the launch returns at once. Host arrays are passed by their address where the
device reaches host memory; elsewhere their bytes are copied there and, if the kernel writes them, back. Both wait for the kernel.
"""

from __future__ import annotations

import ctypes
import functools
import hashlib
import math
import pickle
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from anygpu.config import config
from anygpu.dtypes import dtype_named
from anygpu.engine.arguments import Argument, Copies, array_type, describe, span
from anygpu.engine.compile import Options, disk_cache, lower, run_passes, with_unsigned
from anygpu.engine.exclusive import exclusive
from anygpu.engine.fingerprint import compiler_fingerprint, function_fingerprint
from anygpu.engine.report import PRINT_BYTES, failure, show_prints
from anygpu.errors import CopyWarning, KernelIndexError, LaunchError, ReadOnlyError, WrongDeviceError, warn
from anygpu.runtime.base import Code, Launch, Parameter
from anygpu.runtime.device import Device, current_device
from anygpu.runtime.device_array import DeviceArray
from anygpu.runtime.memory import Buffer
from anygpu.runtime.program import ObjectCode
from anygpu.runtime.stream import Stream

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
    """A variant that is loaded on a device. ``slots`` holds each stream's error slot."""

    artifact: DeviceArtifact
    start: Launch
    keep: object
    slots: dict[int, Buffer]
    sync: Buffer | None


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
    from anygpu.ir.kernel import Array, Atomic, Store, walk

    source = lower(kernel.__wrapped__, types, options)
    final = run_passes(source, options.fastmath)
    code = emit_device(final, recipe(target).target, device)
    image = compile_device(code, target)
    if target.startswith("gfx"):
        image = link(image)
    written = {s.array for s in walk(source.body) if isinstance(s, Store | Atomic)}
    parameters = tuple(
        (p.name, "array", p.ndim, p.name in written) if isinstance(p, Array) else (p.name, p.dtype.name, 0, False) for p in final.params
    )  # fmt: skip
    form = "spirv" if target == "spirv" else "ptx" if target.startswith("sm_") else "codeobject"
    return DeviceArtifact(
        form, image, code.entry, code.words, with_unsigned(code.sites, source), code.launch_shared_bytes, code.flat, code.capabilities,
        parameters,
        {a.name: a.shape for a in source.declared if a.shape is not None and a.shape != (0,)},
        {a.name: a.itemsize for a in source.declared if a.shape == (0,)},
    )  # fmt: skip


def _variant(kernel: Kernel, types: tuple[Type, ...], options: Options, small: bool, device: Device) -> DeviceVariant:
    """The loaded variant for these types on a device."""
    from anygpu.codegen.device import SYNC_BYTES, DeviceOptions

    key = (device.name, types, options, small)
    known = kernel.device_variants.get(key)
    if known is not None:
        return known
    artifact = compile_for(kernel, types, options, DeviceOptions(small, options.bounds_check), architecture(device))
    _check_capabilities(kernel.__wrapped__.__name__, artifact.capabilities, device)
    code = ObjectCode(Code(artifact.format, artifact.image), device)
    signature = tuple(Parameter("S" if w.kind == "dynamic" else "P" if w.is_pointer else "q", 8, w.name) for w in artifact.words)
    loaded = code.get_kernel(artifact.entry, signature)
    start = loaded.prepare(signature, "cooperative" in artifact.capabilities)
    sync = None
    if any(w.kind == "sync" for w in artifact.words):
        sync = device.allocate(SYNC_BYTES)
        sync.fill(0)
    variant = kernel.device_variants[key] = DeviceVariant(artifact, start, (code, loaded), {}, sync)
    return variant


def _check_capabilities(name: str, needed: frozenset[str], device: Device) -> None:
    has = device.capabilities
    there = {
        "fp64": has.fp64, "fp16": has.fp16, "int64_atomics": has.atomics64, "subgroups32": 32 in has.subgroup_sizes,
        "cooperative": has.cooperative,
    }  # fmt: skip
    for capability in sorted(needed):
        if not there[capability]:
            raise LaunchError(f"kernel '{name}' {_NEEDS[capability]}, and {device.name} cannot\n  hint: ag.devices() lists the others")


# ----------------------------------------------------------------------------------------------------------------------- launching


def chosen_device(launcher: Launcher, args: Sequence[object]) -> Device:
    """Where a launch goes: to its stream's device, else to the current one if that is no CPU, else to where its arrays are."""
    if launcher.stream is not None:
        return launcher.stream.device
    device = current_device()
    if device.name == "cpu":
        return next((a.device for a in args if isinstance(a, DeviceArray)), device)
    return device


def on_host(value: object) -> object:
    """An argument of a launch on the CPU: an array in the CPU device's memory as NumPy sees it."""
    if not isinstance(value, DeviceArray):
        return value
    if value.device.name != "cpu":
        where = value.device.name
        raise WrongDeviceError(f"an array on {where} was given to a launch on cpu\n  hint: with ag.Device('{where}'):")
    address = value.buffer.address
    return _bytes_at(address, address + value.nbytes).view(value.dtype).reshape(value.shape)


def launch_on(device: Device, kernel: Kernel, launcher: Launcher, args: Sequence[object]) -> None:
    """Launch on a device that is not the CPU."""
    stream = launcher.stream or device.default_stream
    name = kernel.__wrapped__.__name__
    threads = math.prod(launcher.block)
    if threads > device.properties.maximum_block:
        raise LaunchError(f"a block of {launcher.block} has {threads} work-items; {device.name} takes {device.properties.maximum_block:,}")
    copies = Copies()
    described = [_describe(value, n, copies, device) for n, value in zip(kernel._names, args, strict=True)]
    checks = config().bounds_check if kernel.bounds_check is None else kernel.bounds_check
    small = launcher.small and all(a.small for a in described)
    options = Options(bounds_check=checks, fastmath=kernel.fastmath, range_ndim=len(launcher.extent))
    variant = _variant(kernel, tuple(a.type for a in described), options, small, device)
    parts = [part for a in described for part in a.parts] + list(launcher.extent)
    artifact = variant.artifact
    host = [(n, part, written) for part, (n, kind, _, written) in zip(parts, artifact.parameters, strict=True)
            if kind == "array" and isinstance(part, np.ndarray)]  # fmt: skip
    for n, array, written in host:
        if written and not array.flags.writeable:
            raise ReadOnlyError(f"argument '{n}' is read-only and kernel '{name}' writes it: pass a copy")
    copies.refuse_overlaps(host)
    if not launcher.blocks:
        return
    memory = _HostMemory(device, stream, name, host)
    slot, printed = _slot(variant, stream, device), None
    if any(w.kind == "print" for w in artifact.words):
        printed = _print_buffer(device, stream)
    pointers = {"error": slot, "print": printed, "sync": variant.sync}
    values = _values(artifact, launcher, parts, memory, stream, pointers)
    block = (threads, 1, 1) if artifact.flat else launcher.block
    stream.submit(variant.start, launcher.grid, block, launcher.shared + artifact.launch_shared_bytes, values)
    stream.keep(*parts)
    if slot is not None:
        argument_words = _argument_words(parts, artifact)
        stream.reports.setdefault(slot, functools.partial(_report, name, artifact, launcher, slot, stream, argument_words))
    memory.copy_back(stream)
    if host or printed is not None:
        try:
            stream.synchronize()
        finally:
            if printed is not None:
                show_prints(printed.to_numpy(np.uint8, stream=stream).tobytes(), artifact)
            copies.write_back([array for _, array, written in host if written])


def _describe(value: object, name: str, copies: Copies, device: Device) -> Argument:
    if not isinstance(value, DeviceArray):
        return describe(value, name, copies)
    if value.device is not device:
        raise WrongDeviceError(
            f"argument '{name}' is on {value.device.name} and the launch on {device.name}\n  hint: copy it with {device.name}'s to_device"
        )
    value.buffer.check()
    stand_in = np.broadcast_to(np.empty((), value.dtype), value.shape) if value.size else np.empty(value.shape, value.dtype)
    kind = array_type(stand_in, name)
    return Argument(replace(kind, layout="C", writeable=True), [value], value.nbytes < 1 << 31)


class _HostMemory:
    """Where a device finds the host arrays of a launch: at their own address, or in buffers that hold their bytes for its time.

    Arrays that share memory share a buffer, so that what is written through one is read through the other.
    """

    def __init__(self, device: Device, stream: Stream, kernel: str, arrays: Sequence[tuple[str, np.ndarray, bool]]):
        self.device = device
        self.copied = not device.capabilities.host_pointers
        self.regions: list[tuple[int, int, Buffer, bool]] = []  # first and past the last address, the bytes there, whether they change
        if not self.copied:
            return
        for low, high, written in _regions(arrays):
            names = ", ".join(f"'{n}'" for n, _, _ in arrays)
            warn(f"kernel '{kernel}': host arrays ({names}) are copied to {device.name} for every launch", CopyWarning)
            buffer = device.allocate(-(-(high - low) // 4) * 4, stream)
            buffer.view(0, high - low).copy_from(_bytes_at(low, high), stream, wait=False)
            self.regions.append((low, high, buffer, written))

    def find(self, array: np.ndarray, stream: Stream) -> tuple[object, int, int]:
        """Where the device finds an array: the argument for the memory that it lies in, its first element's address, and its offset."""
        low, high = _bounds(array)
        address = int(array.__array_interface__["data"][0])
        if not self.copied:
            return self.device.driver.argument(low, max(1, high - low)), address, address - low
        if low == high:
            return self.empty.argument_on(stream), self.empty.address, 0
        first, _, buffer, _ = next(r for r in self.regions if r[0] <= low and high <= r[1])
        return buffer.argument_on(stream), buffer.address + address - first, address - first

    @functools.cached_property  # a cache of the method's would keep every launch's buffers for good
    def empty(self) -> Buffer:
        """Stands for arrays without elements."""
        return self.device.allocate(4)

    def copy_back(self, stream: Stream) -> None:
        """Queue copying what changed back to the host."""
        for low, high, buffer, written in self.regions:
            if written:
                buffer.view(0, high - low).copy_to(_bytes_at(low, high), stream, wait=False)


def _bounds(array: np.ndarray) -> tuple[int, int]:
    """The addresses of an array's first byte and past its last."""
    start = int(array.__array_interface__["data"][0])
    low = start + sum(s * (n - 1) for s, n in zip(array.strides, array.shape, strict=True) if s < 0) if array.size else start
    return low, low + span(array)


def _regions(arrays: Sequence[tuple[str, np.ndarray, bool]]) -> list[tuple[int, int, bool]]:
    """The address ranges of arrays, those that overlap joined, and whether any array in them is written."""
    found: list[tuple[int, int, bool]] = []
    for low, high, written in sorted((*_bounds(array), written) for _, array, written in arrays if array.size):
        if found and low < found[-1][1]:
            first, last, before = found.pop()
            low, high, written = first, max(last, high), before or written
        found.append((low, high, written))
    return found


def _bytes_at(low: int, high: int) -> np.ndarray:
    """The memory between two addresses, which somebody else keeps alive."""
    found: np.ndarray = np.frombuffer(memoryview((ctypes.c_uint8 * (high - low)).from_address(low)), np.uint8)
    return found


def _values(artifact: DeviceArtifact, launcher: Launcher, parts: Sequence[object], memory: _HostMemory, stream: Stream,
            pointers: dict[str, Buffer | None]) -> list[object]:  # fmt: skip
    """The words of a launch, in their order."""
    named = {parameter[0]: (part, parameter[1]) for part, parameter in zip(parts, artifact.parameters, strict=True)}
    based = artifact.format == "spirv"  # an argument is a buffer and an offset in it, elsewhere the first element's address
    places: dict[str, tuple[object, int, int]] = {}

    def place(name: str) -> tuple[object, int, int]:
        if name not in places:
            part = named[name][0]
            if isinstance(part, DeviceArray):
                places[name] = part.buffer.argument_on(stream), part.buffer.address, 0
            else:
                assert isinstance(part, np.ndarray)
                places[name] = memory.find(part, stream)
        return places[name]

    def value(word: Word) -> object:
        match word.kind:
            case "grid":
                return launcher.grid[word.axis]
            case "block":
                return launcher.block[word.axis]
            case "shared":
                return launcher.shared
            case "dynamic":
                return max(1, launcher.shared)
            case "error" | "print" | "sync":
                buffer = pointers[word.kind]
                assert buffer is not None
                return buffer.argument_on(stream)
            case "pointer":
                argument, address, _ = place(word.name)
                return argument if based else stream.driver.argument(address, 1)
            case "offset":
                return place(word.name)[2]
            case "extent" | "stride":
                part = named[word.name][0]
                assert isinstance(part, np.ndarray | DeviceArray)
                return (part.shape if word.kind == "extent" else part.strides)[word.axis]
            case "scalar":
                return _bits(*named[word.name])

    return [value(word) for word in artifact.words]


def _bits(value: object, dtype: str) -> int:
    """A scalar's bits in the low bytes of a word."""
    if type(value) is int and dtype == "int64":
        return value
    with np.errstate(all="ignore"):
        data = np.asarray(value).astype(dtype_named(dtype).numpy).tobytes()
    return int.from_bytes(data.ljust(8, b"\0"), "little", signed=True)


# ------------------------------------------------------------------------------------------------------------------------- reports


def _slot(variant: DeviceVariant, stream: Stream, device: Device) -> Buffer | None:
    """The error slot of a variant's launches on a stream."""
    from anygpu.codegen.device import ERROR_BYTES

    if not any(w.kind == "error" for w in variant.artifact.words):
        return None
    slot = variant.slots.get(id(stream))
    if slot is None or slot.closed or slot.stream is not stream:
        slot = variant.slots[id(stream)] = device.allocate(ERROR_BYTES, stream)
        slot.fill(0, stream)
    return slot


def _print_buffer(device: Device, stream: Stream) -> Buffer:
    from anygpu.codegen.device import PRINT_HEADER

    buffer = device.allocate(PRINT_HEADER + PRINT_BYTES, stream)
    buffer.fill(0, stream)
    header = np.array([0, PRINT_BYTES, 0], np.int64)
    buffer.copy_from(header, stream, wait=False)
    return buffer


def _argument_words(parts: Sequence[object], artifact: DeviceArtifact) -> list[object]:
    """The arguments as ``report.failure`` reads them: an array's address, extents and strides; a scalar."""
    words: list[object] = []
    for part, (_, kind, _, _) in zip(parts, artifact.parameters, strict=True):
        if kind == "array":
            assert isinstance(part, np.ndarray | DeviceArray)
            words += [0, *part.shape, *part.strides]
        else:
            words.append(part)
    return words


def _report(name: str, artifact: DeviceArtifact, launcher: Launcher, slot: Buffer, stream: Stream, words: Sequence[object]) -> None:
    """Raise what a slot says of launches that are done, and clear it."""
    from anygpu.codegen.device import decode_failure

    head = np.empty(4, np.uint32)
    stream.submit(stream.driver.copy, head.ctypes.data, slot.address, head.nbytes, "out")
    stream.driver.synchronize_stream(stream.handle)
    if not head[0]:
        return
    found = decode_failure(slot.to_numpy(np.uint8, stream=stream).tobytes(), math.prod(launcher.block))
    slot.fill(0, stream)
    assert found is not None
    if found.site is None:
        raise KernelIndexError(f"{found.count:,} accesses or assertions failed in kernel '{name}', more than {stream.device.name} keeps")
    raise failure(name, artifact, launcher, (0, found.count, found.block, found.thread, found.site, len(found.index), *found.index), words)
