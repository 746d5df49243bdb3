"""A launch plan: all of a launch on a device that depends on the types, dtypes and shapes of its arguments alone.

Only addresses and scalars are left to fill in, so that a launch with arguments like an earlier one's costs little more than the
driver's own call.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from anygpu.dtypes import dtype_named
from anygpu.engine.arguments import SMALL
from anygpu.engine.device_report import slot_for, zeroed
from anygpu.engine.geometry import along_x, in_lines
from anygpu.engine.host_memory import HostMemory
from anygpu.runtime.device_array import DeviceArray
from anygpu.runtime.memory import Buffer
from anygpu.runtime.stream import Stream

if TYPE_CHECKING:
    from anygpu.codegen.device import Word
    from anygpu.engine.device_variant import DeviceVariant
    from anygpu.engine.launch import Launcher

Bits = Callable[[object], int]


def key_of(args: Sequence[object]) -> tuple[object, ...] | None:
    """What a plan for these arguments depends on; None for arguments that always take the general path."""
    key: list[object] = []
    for value in args:
        kind = type(value)
        if kind is DeviceArray:
            key += (value.dtype, value.shape, value.strides)  # type: ignore[attr-defined]
        elif kind is float:
            key.append(float)
        elif kind is int:
            if not -SMALL <= value < SMALL:  # type: ignore[operator]
                return None
            key.append(int)
        elif kind is np.ndarray:
            flags = value.flags.num  # type: ignore[attr-defined]
            if not flags & 1:  # C-contiguous
                return None
            key += (flags, value.dtype, value.shape)  # type: ignore[attr-defined]
        else:
            return None
    return tuple(key)


class Plan:
    """How to launch one variant with arguments like those it was made for.

    Attributes:
        grid: The blocks, as the kernel sees them, and ``threads``: the work-items of each.
        blocks: The same as the driver is given them, and ``block``.
        shapes: The arguments as ``report.failure`` reads them.
        pointers: Of each array in the arguments: its word, its offset's word, and its part.
        scalars: Of each scalar: its word, its part, and what gives its bits.
        slot: The error slot's word, or -1.
        printed: The print buffer's word, or -1.
        waits: Whether a launch waits, since arrays are the host's.
    """

    def __init__(self, launcher: Launcher, variant: DeviceVariant, parts: Sequence[object], stream: Stream):
        artifact = variant.artifact
        self.launcher = launcher
        self.variant = variant
        self.grid, self.threads = launcher.grid, launcher.block
        if launcher.extent and any(w.kind == "block" for w in artifact.words):
            self.grid, self.threads = in_lines(launcher.grid, launcher.extent[-1], stream.device)
        self.block = along_x(self.threads) if artifact.flat else self.threads
        self.blocks = along_x(self.grid) if artifact.flat_grid else self.grid
        self.shared = launcher.shared + artifact.launch_shared_bytes
        self.based = artifact.format == "spirv"  # an argument is a buffer and an offset in it, elsewhere the first element's address
        self.shapes = [word for part in parts for word in _words(part)]
        self.waits = any(isinstance(part, np.ndarray) for part in parts)
        self.sync = zeroed(8, stream) if any(w.kind == "sync" for w in artifact.words) else None
        places = {parameter[0]: n for n, parameter in enumerate(artifact.parameters)}
        self.aligned = artifact.aligned
        self.slot = self.printed = -1
        self.pointers: list[tuple[int, int, int]] = []
        self.scalars: list[tuple[int, int, Bits]] = []
        self.syncs: list[int] = []
        offsets = {w.name: n for n, w in enumerate(artifact.words) if w.kind == "offset"}
        self.values: list[object] = [0] * len(artifact.words)
        for n, word in enumerate(artifact.words):
            match word.kind:
                case "error":
                    self.slot = n
                case "print":
                    self.printed = n
                case "sync":
                    self.syncs.append(n)
                case "pointer":
                    self.pointers.append((n, offsets.get(word.name, -1), places[word.name]))
                case "scalar":
                    part = places[word.name]
                    self.scalars.append((n, part, bits_of(type(parts[part]), artifact.parameters[part][1])))
                case "extent" | "stride":
                    self.values[n] = _extent(word, parts[places[word.name]])
                case _:
                    self.values[n] = self._constant(word)
        if launcher.extent:  # the range's extents are parameters after the kernel's own, and the same at every launch
            first = len(artifact.parameters) - len(launcher.extent)
            for n, part, bits in self.scalars:
                if part >= first:
                    self.values[n] = bits(parts[part])
            self.scalars = [scalar for scalar in self.scalars if scalar[1] < first]

    def _constant(self, word: Word) -> int:
        match word.kind:
            case "grid":
                return self.grid[word.axis]
            case "block":
                return self.threads[word.axis]
            case "dynamic":
                return max(1, self.launcher.shared)
            case "shared":
                return self.launcher.shared
        return 0  # an offset: device arrays begin where their buffers do

    def suits(self, parts: Sequence[object]) -> bool:
        """Whether arrays begin where the code takes them to."""
        return not self.aligned or not any(parts[n].buffer.address & 15 for _, _, n in self.pointers)  # type: ignore[attr-defined]

    def fill(self, parts: Sequence[object], memory: HostMemory | None, stream: Stream) -> list[object]:
        """The words of a launch, but for the error slot and the print buffer."""
        values = self.values.copy()
        for n, offset, part in self.pointers:
            array = parts[part]
            if type(array) is DeviceArray:
                values[n] = array.buffer.argument_on(stream)
            else:
                assert memory is not None
                assert isinstance(array, np.ndarray)
                argument, address, distance = memory.find(array, stream)
                values[n] = argument if self.based else stream.driver.argument(address, 1)
                if offset >= 0:
                    values[offset] = distance
        for n, part, bits in self.scalars:
            values[n] = bits(parts[part])
        return values

    def submit(self, values: list[object], stream: Stream, printed: Buffer | None = None) -> None:
        """Queue the launch."""
        if printed is not None:
            values[self.printed] = printed.argument_on(stream)
        for n in self.syncs:
            assert self.sync is not None
            values[n] = self.sync.argument_on(stream)
        if self.slot < 0:
            stream.submit(self.variant.start, self.blocks, self.block, self.shared, values)
            return
        with stream.lock:  # whoever reads the slot reads it after this launch, or does not take it away
            values[self.slot] = slot_for(self, stream).argument_on(stream)
            stream.submit(self.variant.start, self.blocks, self.block, self.shared, values)


def _words(part: object) -> list[object]:
    return [0, *part.shape, *part.strides] if isinstance(part, np.ndarray | DeviceArray) else [part]


def _extent(word: Word, part: object) -> int:
    assert isinstance(part, np.ndarray | DeviceArray)
    return int((part.shape if word.kind == "extent" else part.strides)[word.axis])


def bits_of(kind: type, dtype: str) -> Bits:
    """What gives a scalar's bits in the low bytes of a word."""
    if kind is int and dtype == "int64":
        return int  # type: ignore[return-value]
    if kind is float and dtype == "float64":
        return lambda value: _INT.unpack(_FLOAT.pack(value))[0]
    storage = dtype_named(dtype).numpy

    def bits(value: object) -> int:
        with np.errstate(all="ignore"):
            data = np.asarray(value).astype(storage).tobytes()
        return int.from_bytes(data.ljust(8, b"\0"), "little", signed=True)

    return bits


_INT, _FLOAT = struct.Struct("<q"), struct.Struct("<d")
