"""Fused kernels on devices other than the CPU: the same KERNEL IR by way of the device's code generator."""

from __future__ import annotations

import functools
import hashlib
import pickle
import struct
from collections.abc import Callable, Sequence

from anygpu.dtypes import dtype_named
from anygpu.engine.compile import disk_cache, run_passes
from anygpu.engine.device_plan import bits_of
from anygpu.engine.device_variant import ALIGNING, DeviceArtifact, architecture, artifact_for, load_artifact, seen
from anygpu.engine.exclusive import compiles
from anygpu.engine.fingerprint import compiler_fingerprint
from anygpu.engine.geometry import Triple, along_x, exceeds, in_lines
from anygpu.passes.fusion import REDUCE_BLOCK, Form
from anygpu.runtime.device import Device

Start = Callable[[Triple, int, Sequence[int], Sequence[object]], None]


def device_start(form: Form, name: str) -> Start:
    """What starts a form on a device, in the order of the device's default stream, and returns at once."""
    device = Device(name)
    aligning = device.driver.api in ALIGNING
    variant = functools.cache(functools.partial(_start, form, device))
    variant(False, aligning)

    def start(grid: Triple, block: int, addresses: Sequence[int], given: Sequence[object]) -> None:
        aligned = aligning and not any(address & 15 for address in addresses)
        variant(exceeds(grid, device), aligned)(grid, block, addresses, given)

    return start


@compiles
def _start(form: Form, device: Device, flat_grid: bool, aligned: bool) -> Start:
    variant = load_artifact("fused", _artifact(form, device, flat_grid, aligned), device, "")
    artifact = variant.artifact
    arrays = [n for n, (_, kind, _, _) in enumerate(artifact.parameters) if kind == "array"]
    places = {parameter[0]: n for n, parameter in enumerate(artifact.parameters)}
    pointers: list[tuple[int, int]] = []
    numbers: list[tuple[int, int, Callable[[object], int]]] = []
    shape: list[tuple[int, str, int]] = []
    for n, word in enumerate(artifact.words):
        match word.kind:
            case "pointer":
                pointers.append((n, places[word.name]))
            case "scalar":
                place = places[word.name]
                numbers.append((n, place - len(arrays), _bits(artifact.parameters[place][1])))
            case "grid" | "block":
                shape.append((n, word.kind, word.axis))
            case "offset":
                pass  # an address is that of the first element
            case _:
                raise AssertionError(f"a fused kernel has no word {word!r}")
    blank: list[object] = [0] * len(artifact.words)
    argument = device.driver.argument
    lines = form.ranged and any(kind == "block" for _, kind, _ in shape)

    def start(grid: Triple, block: int, addresses: Sequence[int], given: Sequence[object]) -> None:
        threads: Triple = (block, 1, 1)
        if lines:
            grid, threads = in_lines(grid, given[-1], device)  # type: ignore[arg-type]  # the extent of the last axis
        values = blank.copy()
        for n, at in pointers:
            values[n] = argument(addresses[at], 1)
        for n, at, bits in numbers:
            values[n] = bits(given[at])
        for n, kind, axis in shape:
            values[n] = grid[axis] if kind == "grid" else threads[axis]
        launched = along_x(grid) if flat_grid else grid
        device.array_stream().submit(variant.start, launched, threads, artifact.launch_shared_bytes, values)

    return start


def _artifact(form: Form, device: Device, flat_grid: bool, aligned: bool) -> DeviceArtifact:
    from anygpu.codegen.device import DeviceOptions

    target = architecture(device)
    block = (REDUCE_BLOCK, 1, 1)
    assumed = DeviceOptions(form.small, False, block, ranged=form.ranged, flat_grid=flat_grid, aligned=aligned)
    assumed = seen(assumed, device, form.ranged)
    shuffles = not device.capabilities.on_cpu
    text = "\n".join(["fused", repr(form), compiler_fingerprint(), target, repr(assumed), repr(shuffles)])
    key = hashlib.sha256(text.encode()).hexdigest()
    data = disk_cache().get(key)
    found = None if data is None else pickle.loads(data)
    if isinstance(found, DeviceArtifact):
        return found
    from anygpu.frontend.fused import lower_form
    from anygpu.ir.verify import verify

    kernel = lower_form(form, shuffles=shuffles)
    verify(kernel)
    made = artifact_for(kernel, run_passes(kernel), assumed, target)
    disk_cache().put(key, pickle.dumps(made, protocol=5))
    return made


def _bits(dtype: str) -> Callable[[object], int]:
    """What gives a number's bits in the low bytes of a word."""
    if dtype == "float32":
        return lambda value: _WORD.unpack(_SINGLE.pack(value))[0]
    return bits_of(int if dtype_named(dtype).is_integer else float, dtype)


_SINGLE, _WORD = struct.Struct("<f4x"), struct.Struct("<q")
