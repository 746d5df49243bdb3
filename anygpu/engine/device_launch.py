"""Launches on devices other than the CPU: where they go, what their arguments become, and when they wait.

Arrays in the device's memory are passed as they are, and the launch returns at once. Host arrays are passed by their address where the
device reaches host memory; elsewhere their bytes are copied there and, if the kernel writes them, back. Both wait for the kernel.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from anygpu.config import config
from anygpu.engine.arguments import SMALL, Argument, Copies, array_type
from anygpu.engine.device_plan import Plan, key_of
from anygpu.engine.device_report import print_buffer
from anygpu.engine.device_variant import DeviceArtifact
from anygpu.engine.geometry import along_x
from anygpu.engine.host_memory import HostArray, HostMemory, bytes_at
from anygpu.engine.report import show_prints
from anygpu.errors import ArgumentError, DeviceError, LaunchError, ReadOnlyError, WrongDeviceError, WrongStreamError
from anygpu.runtime.current import current
from anygpu.runtime.device import Device, current_device
from anygpu.runtime.device_array import DeviceArray, memory_of
from anygpu.runtime.stream import Stream

if TYPE_CHECKING:
    from anygpu.engine.launch import Launcher

MOST_PLANS = 64  # that a launcher remembers


def launch_anywhere(launcher: Launcher, args: tuple[object, ...]) -> None:
    """Launch on the stream's device, else on the current one if that is no CPU, else where the arrays are."""
    resolved = tuple(map(memory_of, args))
    lent = any(a is not b for a, b in zip(resolved, args, strict=True))
    if current.recorder is None:
        _launch_anywhere(launcher, resolved, launcher.stream, lent)
        return
    stream = launcher.stream or next((array.device.default_stream for array in _arrays_in(resolved)), None)
    if stream is None and not current.is_cpu():
        stream = current_device().default_stream
    size = sum(value.nbytes for value in resolved if isinstance(value, np.ndarray | DeviceArray))
    with current.recorder.span("kernel", launcher.kernel.name, stream, size):
        _launch_anywhere(launcher, resolved, launcher.stream, lent)


def _launch_anywhere(launcher: Launcher, args: tuple[object, ...], stream: Stream | None, lent: bool) -> None:
    if stream is None:
        device = Device("cpu") if current.is_cpu() else current_device()
        if device.name == "cpu":
            device = next((array.device for array in _arrays_in(args)), device)
        if device.name == "cpu":
            launcher.kernel._launch(launcher, tuple(map(on_host, args)))
            return
        stream = device.default_stream
    elif stream.device.name == "cpu":
        stream.check()
        launcher.kernel._launch(launcher, tuple(map(on_host, args)))
        return
    if lent:
        stream.device.lend(stream)
    key = key_of(args)
    if key is not None:
        plan = launcher.plans.get((stream, key))
        assert plan is None or isinstance(plan, Plan)
        if plan is not None and stream.graph is None and plan.suits(args):
            try:
                values = plan.fill(args, HostMemory(stream, "", ()) if plan.waits else None, stream)
            except DeviceError:
                pass  # the general path says which argument it is
            else:
                plan.submit(values, stream)
                if plan.waits:
                    stream.synchronize()
                return
    _launch(launcher, args, stream, key)


def _launch(launcher: Launcher, args: Sequence[object], stream: Stream, key: tuple[object, ...] | None) -> None:
    """The general path: any kind of argument; compiles what is missing, and remembers the plan."""
    kernel, device = launcher.kernel, stream.device
    name = kernel.name
    stream.check()
    _check_block(launcher, name, device)
    copies = _DeviceCopies(device)
    described, repeatable = kernel.describe(args, copies)
    checks = config().bounds_check if kernel.bounds_check is None else kernel.bounds_check
    small = launcher.small and all(a.small for a in described)
    parts = [part for a in described for part in a.parts] + list(launcher.extent)
    variant = kernel.device_variant(tuple(a.type for a in described), parts, launcher, checks, small, device)
    artifact = variant.artifact
    _check_artifact(launcher, artifact, name, device)
    host = [(n, part, written) for part, (n, _, _, written) in zip(parts, artifact.parameters, strict=True) if isinstance(part, np.ndarray)]
    for n, array, written in host:
        if written and not array.flags.writeable:
            raise ReadOnlyError(f"argument '{n}' is read-only and kernel '{name}' writes it: pass a copy")
    copies.refuse_overlaps(host)
    if not launcher.blocks:
        return
    prints = any(w.kind == "print" for w in artifact.words)
    if stream.capturing:
        _refuse_capture(name, host, prints, stream)
    plan = Plan(launcher, variant, parts, stream)
    copied = bool(copies.made) or (bool(host) and not device.capabilities.host_pointers)
    if key is not None and repeatable and not (copied or prints or stream.capturing):
        if len(launcher.plans) >= MOST_PLANS:
            launcher.plans.clear()
        launcher.plans[stream, key] = plan
        kernel.remember(launcher)
    memory = HostMemory(stream, name, host)
    printed = print_buffer(stream) if prints else None
    plan.submit(plan.fill(parts, memory, stream), stream, printed)
    if stream.capturing:
        stream.keep(plan)
    memory.copy_back(stream)
    if host or printed is not None:
        try:
            stream.synchronize()
        finally:
            if printed is not None:
                show_prints(printed.to_numpy(np.uint8, stream=stream).tobytes(), artifact)
            copies.write_back([array for _, array, written in host if written])


# ------------------------------------------------------------------------------------------------------------------------ arguments


class _DeviceCopies(Copies):
    """Describes arrays in the device's memory too."""

    def __init__(self, device: Device):
        super().__init__()
        self.device = device

    def other(self, value: object, name: str) -> Argument | None:
        if not isinstance(value, DeviceArray):
            return None
        if value.device is not self.device:
            mine = self.device.name
            raise WrongDeviceError(
                f"argument '{name}' is on {value.device.name} and the launch on {mine}\n  hint: copy it with {mine}'s to_device"
            )
        value.buffer.check()
        if not value.dtype.isnative:
            raise ArgumentError(f"argument '{name}' has the byte order of another machine ({value.dtype.str}): convert it on the host")
        reach = sum(abs(s) * (n - 1) for s, n in zip(value.strides, value.shape, strict=True)) if value.size else 0
        small = reach < SMALL - value.dtype.itemsize and max(value.shape, default=0) < SMALL
        if value.contiguous:
            stand_in = np.broadcast_to(np.empty((), value.dtype), value.shape) if value.size else np.empty(value.shape, value.dtype)
            kind = replace(array_type(stand_in, name), layout="C")
        else:  # its strides are looked at, never its elements
            kind = array_type(np.lib.stride_tricks.as_strided(np.empty(1, value.dtype), value.shape, value.strides), name)
        return Argument(replace(kind, writeable=True), [value], small)


def _arrays_in(values: Iterable[object]) -> Iterator[DeviceArray]:
    """The arrays in a device's memory among arguments, and in their tuples and structures."""
    for value in values:
        if isinstance(value, DeviceArray):
            yield value
        elif isinstance(value, tuple):
            yield from _arrays_in(value)
        elif dataclasses.is_dataclass(value) and not isinstance(value, type):
            yield from _arrays_in(getattr(value, field.name) for field in dataclasses.fields(value))


def on_host(value: object) -> object:
    """An argument of a launch on the CPU: an array in the CPU device's memory as NumPy sees it."""
    if isinstance(value, tuple) and next(_arrays_in(value), None) is not None:
        items = map(on_host, value)
        return value._make(items) if hasattr(value, "_make") else tuple(items)
    if not isinstance(value, DeviceArray):
        return value
    if value.device.name != "cpu":
        where = value.device.name
        raise WrongDeviceError(f"an array on {where} was given to a launch on cpu\n  hint: with ag.Device('{where}'):")
    address = value.buffer.address
    flat = bytes_at(address, address + value.nbytes)
    return flat.view(value.dtype).reshape(value.shape)


# -------------------------------------------------------------------------------------------------------------------------- limits


def _check_block(launcher: Launcher, name: str, device: Device) -> None:
    limits, who = device.properties, f"kernel '{name}' on {device.name}"
    threads = math.prod(launcher.block)
    if threads > limits.maximum_block:
        raise LaunchError(f"{who}: a block of {launcher.block} has {threads:,} work-items; the most is {limits.maximum_block:,}")


def _check_artifact(launcher: Launcher, artifact: DeviceArtifact, name: str, device: Device) -> None:
    limits, who = device.properties, f"kernel '{name}' on {device.name}"
    grid = along_x(launcher.grid) if artifact.flat_grid else launcher.grid
    if any(n > most for n, most in zip(grid, limits.maximum_grid, strict=True)):
        raise LaunchError(f"{who}: a grid of {launcher.grid} is larger than {limits.maximum_grid}")
    if not artifact.flat and any(n > most for n, most in zip(launcher.block, limits.maximum_block_shape, strict=True)):
        raise LaunchError(f"{who}: a block of {launcher.block} is larger than {limits.maximum_block_shape}")
    wanted = launcher.shared + artifact.launch_shared_bytes
    if wanted > limits.maximum_shared:
        raise LaunchError(f"{who}: {wanted:,} bytes of shared memory are more than the {limits.maximum_shared:,} of a block")


def _refuse_capture(name: str, host: Sequence[HostArray], prints: bool, stream: Stream) -> None:
    if prints:
        raise WrongStreamError(f"kernel '{name}' prints, for which its launch waits: {stream!r} cannot capture it")
    if host:
        given = f"kernel '{name}' is given host arrays ({', '.join(n for n, _, _ in host)})"
        hint = "pass device.to_device(array).array(dtype, shape)"
        raise WrongStreamError(f"{given}, for which its launch waits: {stream!r} cannot capture it\n  hint: {hint}")
