"""Kernel arguments: which type each has, and the words that its launch packs."""

from __future__ import annotations

import dataclasses
import enum
import sys
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from anygpu.dtypes import DType, Field, bool_, complex128, float64, from_numpy, int64, uint64
from anygpu.errors import ArgumentError, CopyWarning
from anygpu.frontend.signature import ArrayType, ConstantType, ScalarType, TupleType, Type

MAXIMUM_NDIM = 8
SMALL = 1 << 31


@dataclass
class Argument:
    """One argument, ready to launch: its type, its flattened parts, whether all of it is small, and what to do after the launch.

    ``parts`` holds arrays and Python or NumPy scalars in the order of the kernel's parameters.
    """

    type: Type
    parts: list[object]
    small: bool = True
    after: Callable[[], None] | None = None


def array_type(array: np.ndarray, name: str) -> ArrayType:
    """The type of a NumPy array that kernels can take as it is; raises ``ArgumentError`` for dtypes that they cannot."""
    if array.ndim > MAXIMUM_NDIM:
        raise ArgumentError(f"argument '{name}' has {array.ndim} axes; kernels take up to {MAXIMUM_NDIM}")
    layout = "C" if array.flags.c_contiguous else "A"
    writeable = bool(array.flags.writeable)
    dtype = from_numpy(array.dtype.newbyteorder("=")) if array.dtype.fields is None else None
    if dtype is not None:
        return ArrayType(dtype, array.ndim, layout, writeable)
    return ArrayType(None, array.ndim, layout, writeable, _record(array.dtype, name), array.dtype.itemsize)


def _record(dtype: np.dtype, name: str) -> tuple[Field, ...]:
    """The scalar fields of a structured dtype."""
    if not dtype.fields:
        raise ArgumentError(
            f"argument '{name}' has dtype {dtype}, which kernels cannot hold: they take bool, integers, floats, complex and records of them"
        )
    fields: list[Field] = []
    for key in dtype.names or ():
        part, offset = dtype.fields[key][:2]
        scalar = from_numpy(part)
        if scalar is None or scalar.is_complex:
            raise ArgumentError(f"argument '{name}': field '{key}' has dtype {part}, which kernels cannot hold in a record")
        fields.append(Field(key, scalar, int(offset)))
    return tuple(fields)


def span(array: np.ndarray) -> int:
    """Bytes between an array's first and last byte."""
    if array.size == 0:
        return 0
    return int(sum(abs(s) * (n - 1) for s, n in zip(array.strides, array.shape, strict=True)) + array.itemsize)


def describe(value: object, name: str) -> Argument:
    """An argument of any kind that kernels take."""
    match value:
        case np.ndarray():
            return _array(value, name)
        case enum.Enum() if not isinstance(value, int | float):
            return Argument(ConstantType(value), [])
        case bool():
            return Argument(ScalarType(bool_), [value])
        case int():
            return _integer(int(value), name)
        case float():
            return Argument(ScalarType(float64, weak=True), [float(value)])
        case complex():
            return Argument(ScalarType(complex128, weak=True), [value.real, value.imag])
        case np.generic():
            return _numpy_scalar(value, name)
        case None | str() | type() | np.dtype() | types.FunctionType() | types.ModuleType() | types.BuiltinFunctionType():
            return Argument(ConstantType(value), [])
        case tuple():
            names = tuple(getattr(value, "_fields", ()))
            return _structure(list(value), type(value) if names else None, names, name)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = tuple(f.name for f in dataclasses.fields(value))
        return _structure([getattr(value, n) for n in names], type(value), names, name)
    if hasattr(value, "__wrapped__") or isinstance(value, np.ufunc):
        return Argument(ConstantType(value), [])
    return _foreign(value, name)


def _integer(value: int, name: str) -> Argument:
    if int64.minimum <= value <= int64.maximum:
        return Argument(ScalarType(int64, weak=True), [value], -SMALL <= value < SMALL)
    if 0 <= value <= uint64.maximum:
        return Argument(ScalarType(uint64), [value], False)
    raise ArgumentError(f"argument '{name}': the integer {value} does not fit in 64 bits")


def _numpy_scalar(value: np.generic, name: str) -> Argument:
    dtype = from_numpy(value.dtype)
    if dtype is None:
        raise ArgumentError(f"argument '{name}' is a {value.dtype} scalar, which kernels cannot hold")
    if dtype.is_complex:
        return Argument(ScalarType(dtype), [value.real, value.imag])
    small = not dtype.is_integer or -SMALL <= int(value) < SMALL
    return Argument(ScalarType(dtype), [value], small)


def _structure(items: list[object], cls: type | None, names: tuple[str, ...], name: str) -> Argument:
    inner = [describe(item, f"{name}.{names[n] if names else n}") for n, item in enumerate(items)]
    afters = [a.after for a in inner if a.after is not None]

    def after() -> None:
        for action in afters:
            action()

    parts = [part for a in inner for part in a.parts]
    return Argument(TupleType(tuple(a.type for a in inner), cls, names), parts, all(a.small for a in inner), after if afters else None)


def _array(array: np.ndarray, name: str) -> Argument:
    masked = sys.modules.get("numpy.ma")  # not imported for its own sake: it takes longer than a launch
    if masked is not None and isinstance(array, masked.MaskedArray):
        raise ArgumentError(f"argument '{name}' is a masked array, whose mask a kernel would ignore: pass array.data and array.mask")
    given = array_type(array, name)
    usable = array.flags.aligned and array.dtype.isnative
    if array.dtype.fields is not None and not array.dtype.isnative:
        raise ArgumentError(f"argument '{name}' is a record array in foreign byte order: convert it with astype")
    if usable or array.dtype.fields is not None:
        return Argument(given, [np.asarray(array)], span(array) < SMALL)
    reason = "is not aligned" if array.dtype.isnative else f"has the byte order of another machine ({array.dtype.str})"
    return _copied(array, name, reason)


def _copied(array: np.ndarray, name: str, reason: str) -> Argument:
    """An array that must be copied in, and out again after the launch if it can be written."""
    warnings.warn(f"argument '{name}' {reason}: it is copied for every launch", CopyWarning, stacklevel=6)
    copy = np.array(array, dtype=array.dtype.newbyteorder("="), order="C", copy=True)
    if not array.flags.writeable:
        copy.flags.writeable = False
        return Argument(array_type(copy, name), [copy], span(copy) < SMALL)

    def after() -> None:
        array[...] = copy

    return Argument(array_type(copy, name), [copy], span(copy) < SMALL, after)


def _foreign(value: object, name: str) -> Argument:
    """Anything that speaks DLPack or the array interface, without a copy where its memory allows."""
    try:
        if hasattr(value, "__dlpack__") and hasattr(value, "__dlpack_device__"):
            array = np.from_dlpack(value)
        elif hasattr(value, "__array_interface__") or hasattr(value, "__array_struct__"):
            _check_interface(value, name)
            array = np.asarray(value)
        elif isinstance(value, memoryview | bytearray | bytes):
            array = np.frombuffer(value, np.uint8) if not isinstance(value, memoryview) else np.asarray(value)
        else:
            hint = ": make an array of it with np.array" if isinstance(value, list) else ""
            raise ArgumentError(f"argument '{name}' is a {type(value).__name__}, which kernels do not take{hint}")
    except ArgumentError:
        raise
    except Exception as error:  # whatever a foreign object raises becomes our error, with its own as the cause
        raise ArgumentError(f"argument '{name}' ({type(value).__name__}) could not be read as an array: {error}") from error
    if array.dtype == object:
        raise ArgumentError(f"argument '{name}' ({type(value).__name__}) is an array of Python objects, which kernels cannot hold")
    return _array(array, name)


def _check_interface(value: object, name: str) -> None:
    """Refuse an ``__array_interface__`` whose memory is not there: the first and last byte must be readable."""
    interface = getattr(value, "__array_interface__", None)
    if not isinstance(interface, dict) or not isinstance(interface.get("data"), tuple):
        return
    shape, typestr = interface.get("shape"), interface.get("typestr")
    if not isinstance(shape, tuple) or any(not isinstance(n, int) or n < 0 for n in shape):
        raise ArgumentError(f"argument '{name}': its __array_interface__ has the shape {shape!r}")
    itemsize = np.dtype(typestr).itemsize
    strides = interface.get("strides") or tuple(itemsize * int(np.prod(shape[k + 1 :], dtype=object)) for k in range(len(shape)))
    if len(strides) != len(shape):
        raise ArgumentError(f"argument '{name}': its __array_interface__ has {len(shape)} axes and {len(strides)} strides")
    if 0 in shape:
        return
    address, read_only = interface["data"]
    low = int(address) + sum(s * (n - 1) for s, n in zip(strides, shape, strict=True) if s < 0)
    high = int(address) + sum(s * (n - 1) for s, n in zip(strides, shape, strict=True) if s > 0) + itemsize
    if not _mapped(low, high, not read_only):
        raise ArgumentError(
            f"argument '{name}': its __array_interface__ names memory from {low:#x} to {high:#x}, which this process does not have"
        )


def _mapped(low: int, high: int, writeable: bool) -> bool:
    """Whether this process has memory at all of ``low`` to ``high``; True where the system does not tell."""
    try:
        with open("/proc/self/maps", encoding="ascii", errors="replace") as file:
            lines = file.readlines()
    except OSError:
        return True
    for line in lines:
        bounds, rights = line.split(None, 2)[:2]
        start, end = (int(x, 16) for x in bounds.split("-"))
        if start <= low < end and rights[0] == "r" and (rights[1] == "w" or not writeable):
            if high <= end:
                return True
            low = end
    return False


def parameter_dtype(dtype: DType) -> DType:
    return dtype


__all__ = ["MAXIMUM_NDIM", "SMALL", "Argument", "array_type", "describe", "span"]
