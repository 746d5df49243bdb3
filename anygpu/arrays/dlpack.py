"""DLPack 1.0 for memory of CUDA and HIP devices: capsules that other libraries take, and arrays on memory that they give.

Memory of the host goes through NumPy. The structures are those of DLPack's header, version 1.0 (https://dmlc.github.io/dlpack).
"""

from __future__ import annotations

import ctypes
import math
from typing import Protocol

from anygpu.arrays.ndarray import ndarray, strides_of, view_of
from anygpu.dtypes import DTYPES, DType
from anygpu.engine.devices import Device
from anygpu.engine.pending import Storage
from anygpu.engine.places import DeviceMemory
from anygpu.ir.graph import Node, Place
from anygpu.runtime import faults
from anygpu.runtime.memory import borrow

KINDS = {"cpu": 1, "cuda": 2, "hip": 10}  # DLDeviceType
CPU = (1, 0)
_CODES = {"i": 0, "u": 1, "f": 2, "c": 5, "b": 6}
_BFLOAT = 4
_READ_ONLY, _COPIED = 1, 2


class Exporter(Protocol):
    """Whoever gives memory by DLPack."""

    def __dlpack__(self, **asked: object) -> object: ...

    def __dlpack_device__(self) -> tuple[int, int]: ...


class _Device(ctypes.Structure):
    _fields_ = (("kind", ctypes.c_int32), ("number", ctypes.c_int32))


class _Dtype(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16))


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p), ("device", _Device), ("ndim", ctypes.c_int32), ("dtype", _Dtype),
        ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)), ("offset", ctypes.c_uint64),
    )  # fmt: skip


_Deleter = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class _Plain(ctypes.Structure):
    """``DLManagedTensor``, of before version 1.0."""

    _fields_ = (("tensor", _Tensor), ("context", ctypes.c_void_p), ("deleter", _Deleter))


class _Versioned(ctypes.Structure):
    """``DLManagedTensorVersioned``."""

    _fields_ = (
        ("major", ctypes.c_uint32), ("minor", ctypes.c_uint32), ("context", ctypes.c_void_p), ("deleter", _Deleter),
        ("flags", ctypes.c_uint64), ("tensor", _Tensor),
    )  # fmt: skip


_new = ctypes.pythonapi.PyCapsule_New
_new.restype, _new.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
_rename = ctypes.pythonapi.PyCapsule_SetName
_rename.restype, _rename.argtypes = ctypes.c_int, (ctypes.py_object, ctypes.c_char_p)
_valid = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_char_p)(("PyCapsule_IsValid", ctypes.pythonapi))
_raw = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p)(("PyCapsule_GetPointer", ctypes.pythonapi))
_NAMES = {False: b"dltensor", True: b"dltensor_versioned"}
_USED = {False: b"used_dltensor", True: b"used_dltensor_versioned"}
_given: dict[int, tuple[object, ...]] = {}  # what capsules need alive, by the address of their structure


@_Deleter  # type: ignore[untyped-decorator]
def _forget(address: int) -> None:
    _given.pop(address, None)


@ctypes.PYFUNCTYPE(None, ctypes.c_void_p)  # type: ignore[untyped-decorator]
def _destroy(capsule: int) -> None:
    """A capsule goes away: what nobody took is let go."""
    for name in _NAMES.values():
        if _valid(capsule, name):
            _given.pop(_raw(capsule, name), None)


def device_of(x: ndarray) -> tuple[int, int]:
    """``__dlpack_device__``: the kind and number of an array's device; the CPU's for a device of which DLPack has no kind."""
    device = x.device
    kind = KINDS.get(device.driver.api)
    return CPU if kind is None else (kind, device.ordinal)


def export(x: ndarray, max_version: tuple[int, int] | None, copied: bool) -> object:
    """A capsule with the memory of an array on a CUDA or HIP device, whose work is done."""
    memory = x.__anygpu_array__()
    x.device.array_stream().synchronize()
    versioned = max_version is not None and max_version[0] >= 1
    made = _Versioned() if versioned else _Plain()
    dtype = x._storage.node.dtype
    code = _BFLOAT if dtype.name == "bfloat16" else _CODES[dtype.kind]
    shape = (ctypes.c_int64 * max(1, x.ndim))(*x.shape)
    strides = (ctypes.c_int64 * max(1, x.ndim))(*strides_of(x))
    data = memory.buffer.address if x.size else None  # type: ignore[union-attr]
    made.tensor = _Tensor(data, _Device(*device_of(x)), x.ndim, _Dtype(code, 8 * dtype.itemsize, 1), shape, strides, 0)
    made.deleter = _forget
    if isinstance(made, _Versioned):
        made.major, made.minor, made.flags = 1, 0, _COPIED if copied else 0
    address = ctypes.addressof(made)
    _given[address] = (made, memory, shape, strides)
    return _new(address, _NAMES[versioned], ctypes.cast(_destroy, ctypes.c_void_p))


def take(x: Exporter) -> ndarray:
    """An array on the memory that another library gives on a CUDA or HIP device."""
    kind, number = x.__dlpack_device__()
    api = next((name for name, value in KINDS.items() if value == kind), None)
    if api is None or api == "cpu":
        raise BufferError(f"memory of DLPack's device kind {kind} is not known: CPU (1), CUDA (2) and ROCm (10) are")
    device = Device(f"{api}:{number}")
    device.array_stream().synchronize()
    try:
        capsule = x.__dlpack__(max_version=(1, 0))
    except TypeError:  # an exporter of before version 1.0
        capsule = x.__dlpack__()
    versioned = "dltensor_versioned" in repr(capsule)
    address = _pointer(capsule, _NAMES[versioned])
    managed = (_Versioned if versioned else _Plain).from_address(address)
    if isinstance(managed, _Versioned) and managed.major > 1:
        raise BufferError(f"this is DLPack {managed.major}.{managed.minor}, and 1.0 is known")
    _rename(capsule, _USED[versioned])
    owner = _Owner(device, managed, address)
    tensor = managed.tensor
    dtype = _dtype(tensor.dtype)
    shape = tuple(tensor.shape[: tensor.ndim]) if tensor.ndim else ()
    strides = tuple(tensor.strides[: tensor.ndim]) if tensor.ndim and tensor.strides else None
    reach = [s * (n - 1) for s, n in zip(strides, shape, strict=True)] if strides and 0 not in shape else []
    low, high = sum(s for s in reach if s < 0), sum(s for s in reach if s > 0)
    count = high - low + 1 if strides else math.prod(shape)
    start = (tensor.data or 0) + tensor.offset + low * dtype.itemsize
    writeable = not (isinstance(managed, _Versioned) and managed.flags & _READ_ONLY)
    memory = DeviceMemory(borrow(device, start, count * dtype.itemsize, owner), writeable)
    node = Node("source", (), (), (count,), dtype, Place(memory, 0, (dtype.itemsize,)))
    return view_of(Storage(node), -low, strides, shape)


class _Owner:
    """Whoever holds another library's memory: lets it go when it is gone itself."""

    def __init__(self, device: Device, managed: _Versioned | _Plain, address: int):
        self.device, self.managed, self.address = device, managed, address

    def __del__(self) -> None:
        if faults.usable(self.device.driver):
            self.device.array_stream().synchronize()  # its owner may reuse it at once
        if self.managed.deleter:
            self.managed.deleter(self.address)


def _dtype(found: _Dtype) -> DType:
    for dtype in DTYPES.values():
        code = _BFLOAT if dtype.name == "bfloat16" else _CODES.get(dtype.kind)
        if code == found.code and 8 * dtype.itemsize == found.bits and found.lanes == 1:
            return dtype
    raise BufferError(f"DLPack's dtype of code {found.code} with {found.bits} bits and {found.lanes} lanes is not known")
