"""Where arrays lie: memory of the host or of a device, and how bytes come and go between them."""

from __future__ import annotations

import ctypes

import numpy as np

from anygpu.engine.devices import Device
from anygpu.ir.graph import Memory, Node, Place, Shape, contiguous
from anygpu.runtime.current import current
from anygpu.runtime.memory import Buffer

POOLED = 1 << 20  # bytes from which host memory is the pool's: the system takes long to give pages, and to take them back


class HostMemory:
    """Bytes of the host that NumPy allocated."""

    __slots__ = ("__weakref__", "address", "array", "end", "writeable")
    device = "cpu"

    def __init__(self, array: np.ndarray, address: int | None = None):
        self.array = array
        self.writeable: bool = address is not None or array.flags.writeable
        self.address: int = array.__array_interface__["data"][0] if address is None else address
        self.end: int = self.address + array.nbytes


class DeviceMemory:
    """A buffer in a device's memory. Arrays work on their device's default stream."""

    __slots__ = ("__weakref__", "address", "buffer", "device", "end", "writeable")

    def __init__(self, buffer: Buffer, writeable: bool = True):
        self.buffer = buffer
        self.address = buffer.address
        self.end = self.address + buffer.size
        self.device = buffer.device.name
        self.writeable = writeable
        current.look_elsewhere()


def allocate(size: int, device: str) -> Memory:
    """Memory for ``size`` bytes on a device, not initialised."""
    if device == "cpu":
        if size >= POOLED:
            return _pooled(size)
        array = np.empty(max(size, 1), np.uint8)
        address = ctypes.addressof(ctypes.c_char.from_buffer(array))  # type: ignore[arg-type] # (a third of the array interface's time)
        return HostMemory(array, address)
    return DeviceMemory(Device(device).allocate(-(-max(size, 1) // 4) * 4))


def _pooled(size: int) -> HostMemory:
    """Host memory of the CPU device's pool, where it goes back when no array of NumPy's or ours shows it any more."""
    buffer = Device("cpu").allocate(size)
    keeper = (ctypes.c_char * size).from_address(buffer.address)
    keeper.buffer = buffer  # type: ignore[attr-defined]
    return HostMemory(np.frombuffer(memoryview(keeper), np.uint8), buffer.address)


def overlap(a: Memory, b: Memory) -> bool:
    """Whether two memories of a device have bytes in common: arrays may share NumPy's memory, each with an object of its own."""
    return a.address < b.end and b.address < a.end


def copy_of(memory: Memory) -> Memory:
    """New memory with the same bytes."""
    if isinstance(memory, HostMemory):
        copy = allocate(memory.array.nbytes, "cpu")
        assert isinstance(copy, HostMemory)
        copy.array[: memory.array.nbytes] = memory.array.reshape(-1).view(np.uint8)  # memory has at least one byte
        return copy
    assert isinstance(memory, DeviceMemory)
    device = memory.buffer.device
    return DeviceMemory(device.to_device(memory.buffer, device.array_stream()))


def place_for(node: Node, device: str) -> Place:
    """New memory for a node's value, in C order."""
    return Place(allocate(node.size * node.dtype.itemsize, device), 0, contiguous(node.shape, node.dtype.itemsize))


def upload(array: np.ndarray, device: str) -> Memory:
    """A host array's elements, in C order, in a device's memory."""
    memory = allocate(array.nbytes, device)
    assert isinstance(memory, DeviceMemory)
    memory.buffer.copy_from(np.ascontiguousarray(array))
    return memory


def host_view(place: Place, shape: Shape, dtype: np.dtype[np.generic]) -> np.ndarray:
    """The NumPy array that shares what lies at a place of the host."""
    memory = place.memory
    assert isinstance(memory, HostMemory)
    if 0 in shape:  # a view without elements may begin anywhere
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, memory.array, place.offset, place.strides)


def download(place: Place, shape: Shape, dtype: np.dtype[np.generic]) -> np.ndarray:
    """A copy on the host of what lies in C order at a place of a device. Waits for the work on it."""
    memory = place.memory
    assert isinstance(memory, DeviceMemory)
    found = np.empty(shape, dtype)
    memory.buffer.device.array_stream()
    if found.nbytes:
        memory.buffer.view(place.offset, found.nbytes).copy_to(found)
    return found


def moved(node: Node, device: str) -> Node:
    """A computed node's value in another device's memory. A strided one is on the host, or lies in C order."""
    place = node.place
    assert place is not None
    dtype = node.dtype.numpy
    host = host_view(place, node.shape, dtype) if isinstance(place.memory, HostMemory) else download(place, node.shape, dtype)
    memory: Memory = HostMemory(host.reshape(-1)) if device == "cpu" else upload(host, device)
    there = Place(memory, 0, contiguous(node.shape, node.dtype.itemsize))
    return Node("source", (), (), node.shape, node.dtype, there)
