"""How a device reaches the host arrays of a launch: at their own address, or in buffers that hold their bytes meanwhile.

Arrays that share memory share a buffer, so that what is written through one is read through the other.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anygpu.engine.arguments import span
from anygpu.errors import CopyWarning, warn
from anygpu.runtime.memory import Buffer
from anygpu.runtime.stream import Stream

HostArray = tuple[str, np.ndarray, bool]  # the parameter's name, the array, whether the kernel writes it
_ALIGNMENT = 64  # bytes; a copy lies as its original does relative to it, so that every array in it stays aligned


@dataclass(frozen=True)
class _Region:
    """Host memory from ``low`` to ``high``, which arrays of the launch share, and its bytes on the device."""

    low: int
    high: int
    written: bool
    bytes: Buffer

    @property
    def host(self) -> np.ndarray:
        return bytes_at(self.low, self.high)


class HostMemory:
    """The host arrays of one launch, as its device finds them."""

    def __init__(self, stream: Stream, kernel: str, arrays: Sequence[HostArray]):
        self.driver = stream.driver
        self.copied = not stream.device.capabilities.host_pointers
        self.regions: list[_Region] = []
        self.empty: Buffer | None = None
        filled = [one for one in arrays if one[1].size] if self.copied else []
        if self.copied and len(filled) < len(arrays):
            self.empty = stream.device.allocate(4, stream)
        if not filled:
            return
        names = ", ".join(f"'{name}'" for name, _, _ in filled)
        what = f"the host array {names} is" if len(filled) == 1 else f"the host arrays {names} are"
        advice = "device.to_device(array).array(dtype, shape) stays there"
        warn(f"kernel '{kernel}': {what} copied to {stream.device.name} for every launch\n  hint: {advice}", CopyWarning)
        for low, high, written in regions(filled):
            shift = low % _ALIGNMENT
            memory = stream.device.allocate(-(-(shift + high - low) // 4) * 4, stream)
            region = _Region(low, high, written, memory.view(shift, high - low))
            region.bytes.copy_from(region.host, stream, wait=False)
            self.regions.append(region)

    def find(self, array: np.ndarray, stream: Stream) -> tuple[object, int, int]:
        """Where the device finds an array: the argument for the memory that it lies in, its first element's address, and its offset."""
        low, high = bounds(array)
        address = int(array.__array_interface__["data"][0])
        if not self.copied:
            return self.driver.argument(low, max(1, high - low)), address, address - low
        if low == high:
            assert self.empty is not None
            return self.empty.argument_on(stream), self.empty.address, 0
        region = next(r for r in self.regions if r.low <= low and high <= r.high)
        return region.bytes.argument_on(stream), region.bytes.address + address - region.low, address - region.low

    def copy_back(self, stream: Stream) -> None:
        """Queue copying what the kernel may have written back to the host."""
        for region in self.regions:
            if region.written:
                region.bytes.copy_to(region.host, stream, wait=False)


def bounds(array: np.ndarray) -> tuple[int, int]:
    """The addresses of an array's first byte and past its last."""
    start = int(array.__array_interface__["data"][0])
    if array.flags.c_contiguous:
        return start, start + array.nbytes
    low = start + sum(s * (n - 1) for s, n in zip(array.strides, array.shape, strict=True) if s < 0) if array.size else start
    return low, low + span(array)


def regions(arrays: Sequence[HostArray]) -> list[tuple[int, int, bool]]:
    """The address ranges of arrays, those that overlap joined, and whether any array in them is written."""
    found: list[tuple[int, int, bool]] = []
    for low, high, written in sorted((*bounds(array), written) for _, array, written in arrays):
        if found and low < found[-1][1]:
            first, last, before = found.pop()
            found.append((first, max(last, high), before or written))
        else:
            found.append((low, high, written))
    return found


def bytes_at(low: int, high: int) -> np.ndarray:
    """The memory between two addresses, which somebody else keeps alive."""
    found: np.ndarray = np.frombuffer(memoryview((ctypes.c_uint8 * (high - low)).from_address(low)), np.uint8)
    return found
