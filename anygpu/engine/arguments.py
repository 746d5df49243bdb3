"""Kernel arguments: which type each has, and the words that its launch packs."""

from __future__ import annotations

import dataclasses
import enum
import itertools
import sys
import types
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anygpu.dtypes import Field, bool_, complex128, float64, from_numpy, int64, uint64
from anygpu.errors import AnyGPUError, ArgumentError, CopyWarning, warn
from anygpu.frontend.signature import ArrayType, ConstantType, ScalarType, TupleType, Type

MAXIMUM_NDIM = 8
SMALL = 1 << 31


@dataclass
class Argument:
    """One argument, ready to launch: its type, its flattened parts, and whether all of it is small.

    ``parts`` holds arrays and Python or NumPy scalars in the order of the kernel's parameters.
    """

    type: Type
    parts: list[object]
    small: bool = True


class Copies:
    """The arrays of one launch that kernels cannot take as they are, and the copies that take their place.

    An array that is passed twice has one copy, so that what is written through one parameter is read through the other. Arrays that
    share only part of their memory cannot both keep that with copies: a kernel that would write one is refused.
    """

    def __init__(self) -> None:
        self.made: list[tuple[np.ndarray, np.ndarray]] = []  # the array given, its copy

    def copy(self, array: np.ndarray, name: str, reason: str) -> np.ndarray:
        """What the kernel gets in place of ``array``: the same for the same elements, and as writeable as ``array`` is."""
        copy = next((known for given, known in self.made if _same_elements(given, array)), None)
        if copy is None:
            warn(f"argument '{name}' {reason}: it is copied for every launch", CopyWarning)
            copy = np.array(array, dtype=array.dtype.newbyteorder("="), order="C", copy=True)
        self.made.append((array, copy))
        if array.flags.writeable:
            return copy
        frozen = copy.view()
        frozen.flags.writeable = False
        return frozen

    def refuse_overlaps(self, arrays: Sequence[tuple[str, np.ndarray, bool]]) -> None:
        """Raise ``ArgumentError`` if a copy would hide a write; ``arrays`` are the kernel's: name, array, whether it is written."""
        places = [(name, array, self._given(array), written) for name, array, written in arrays]
        for (name, array, given, written), (other, second, source, too) in itertools.combinations(places, 2):
            copied = given is not array or source is not second
            if copied and (written or too) and _overlap(given, source) and not _overlap(array, second):
                raise ArgumentError(
                    f"arguments '{name}' and '{other}' share memory, one of them must be copied, and the kernel writes one: pass arrays "
                    "of their own, or aligned ones in this machine's byte order"
                )

    def other(self, value: object, name: str) -> Argument | None:
        """The description of an argument that only some launches take; None if this one does not."""
        return None

    def _given(self, array: np.ndarray) -> np.ndarray:
        """The array in whose place the kernel gets ``array``."""
        return next((given for given, copy in self.made if array is copy or array.base is copy), array)

    def write_back(self, written: Sequence[np.ndarray]) -> None:
        """Put what the kernel wrote where it belongs: ``written`` are the arrays that it was given and may have written."""
        for given, copy in self.made:
            if given.flags.writeable and any(array is copy for array in written):
                given[...] = copy


def _same_elements(a: np.ndarray, b: np.ndarray) -> bool:
    place = a.__array_interface__["data"][0] == b.__array_interface__["data"][0]
    return place and (a.shape, a.strides, a.dtype) == (b.shape, b.strides, b.dtype)


def _overlap(a: np.ndarray, b: np.ndarray) -> bool:
    try:
        return np.shares_memory(a, b, max_work=10_000)  # type: ignore[arg-type]  # whose stubs know two of its values
    except np.exceptions.TooHardError:
        return True


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


def is_small(array: np.ndarray) -> bool:
    """Whether offsets and extents fit in 32 bits: an array of few bytes may yet have a long axis, of stride 0 or beside an empty one."""
    return span(array) < SMALL and max(array.shape, default=0) < SMALL


def describe(value: object, name: str, copies: Copies | None = None) -> Argument:
    """An argument of any kind that kernels take. The arguments of one launch share their ``copies``."""
    copies = Copies() if copies is None else copies
    match value:
        case np.ndarray():
            return _array(value, name, copies)
        case enum.Enum() if not isinstance(value, int | float):
            return Argument(ConstantType(value), [])
        case np.generic():  # before float and complex, of which float64 and complex128 are: a NumPy scalar is never weak
            return _numpy_scalar(value, name)
        case bool():
            return Argument(ScalarType(bool_), [value])
        case int():
            return _integer(int(value), name)
        case float():
            return Argument(ScalarType(float64, weak=True), [float(value)])
        case complex():
            return Argument(ScalarType(complex128, weak=True), [value.real, value.imag])
        case None | str() | type() | np.dtype() | types.FunctionType() | types.ModuleType() | types.BuiltinFunctionType():
            return Argument(ConstantType(value), [])
        case tuple():
            names = tuple(getattr(value, "_fields", ()))
            return _structure(list(tuple.__iter__(value)), type(value) if names else None, names, name, copies)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = tuple(f.name for f in dataclasses.fields(value))
        return _structure([getattr(value, n) for n in names], type(value), names, name, copies)
    if hasattr(value, "__wrapped__") or isinstance(value, np.ufunc):
        return Argument(ConstantType(value), [])
    return _foreign(value, name, copies)


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


def _structure(items: list[object], cls: type | None, names: tuple[str, ...], name: str, copies: Copies) -> Argument:
    inner = [describe(item, f"{name}.{names[n] if names else n}", copies) for n, item in enumerate(items)]
    parts = [part for a in inner for part in a.parts]
    return Argument(TupleType(tuple(a.type for a in inner), cls, names), parts, all(a.small for a in inner))


def _array(given: np.ndarray, name: str, copies: Copies) -> Argument:
    masked = sys.modules.get("numpy.ma")  # not imported for its own sake: it takes longer than a launch
    if masked is not None and isinstance(given, masked.MaskedArray):
        raise ArgumentError(f"argument '{name}' is a masked array, whose mask a kernel would ignore: pass array.data and array.mask")
    array = np.asarray(given)  # a subclass may say anything of itself
    kind = array_type(array, name)
    if array.flags.aligned and array.dtype.isnative:
        return Argument(kind, [array], is_small(array))
    if array.dtype.fields is not None:
        if not array.dtype.isnative:
            raise ArgumentError(f"argument '{name}' is a record array in foreign byte order: convert it with astype")
        return Argument(kind, [array], is_small(array))
    reason = "is not aligned" if array.dtype.isnative else f"has the byte order of another machine ({array.dtype.str})"
    copy = copies.copy(array, name, reason)
    return Argument(array_type(copy, name), [copy], is_small(copy))


class _Holder:
    """Shows NumPy one attribute of a foreign object, as it was when it was read, and keeps the object alive."""

    def __init__(self, owner: object, attribute: str, value: object) -> None:
        self.owner = owner
        setattr(self, attribute, value)


def _foreign(value: object, name: str, copies: Copies) -> Argument:
    """Anything that speaks DLPack or the array interface, without a copy where its memory allows."""
    try:
        if hasattr(value, "__dlpack__") and hasattr(value, "__dlpack_device__"):
            array = np.from_dlpack(value)
        elif (interface := getattr(value, "__array_interface__", None)) is not None:
            if not isinstance(interface, dict):
                raise ArgumentError(f"argument '{name}': its __array_interface__ is a {type(interface).__name__}, not a dict")
            array = np.asarray(_Holder(value, "__array_interface__", _checked_interface(dict(interface), name)))
            _refuse_missing_memory(array, "__array_interface__", name)
        elif (capsule := getattr(value, "__array_struct__", None)) is not None:
            array = np.asarray(_Holder(value, "__array_struct__", capsule))
            _refuse_missing_memory(array, "__array_struct__", name)
        elif isinstance(value, memoryview | bytearray | bytes):
            array = np.frombuffer(value, np.uint8) if not isinstance(value, memoryview) else np.asarray(value)
        elif (described := copies.other(value, name)) is not None:
            return described
        else:
            hint = ": make an array of it with np.array" if isinstance(value, list) else ""
            raise ArgumentError(f"argument '{name}' is a {type(value).__name__}, which kernels do not take{hint}")
    except AnyGPUError:
        raise
    except Exception as error:  # whatever a foreign object raises becomes our error, with its own as the cause
        raise ArgumentError(f"argument '{name}' ({type(value).__name__}) could not be read as an array: {error}") from error
    if array.dtype == object:
        raise ArgumentError(f"argument '{name}' ({type(value).__name__}) is an array of Python objects, which kernels cannot hold")
    return _array(array, name, copies)


def _checked_interface(interface: dict[str, object], name: str) -> dict[str, object]:
    """An ``__array_interface__`` whose shape and strides are what NumPy may rely on."""
    shape, strides = interface.get("shape"), interface.get("strides")
    if not isinstance(shape, tuple) or any(not isinstance(n, int) or n < 0 for n in shape):
        raise ArgumentError(f"argument '{name}': its __array_interface__ has the shape {shape!r}")
    if strides is not None and (not isinstance(strides, tuple) or len(strides) != len(shape)):
        count = len(strides) if isinstance(strides, tuple) else repr(strides)
        raise ArgumentError(f"argument '{name}': its __array_interface__ has {len(shape)} axes and {count} strides")
    return interface


def _refuse_missing_memory(array: np.ndarray, protocol: str, name: str) -> None:
    """Refuse an array whose memory is not there: all from its first to its last byte must be readable."""
    if not array.size:
        return
    ends = [stride * (extent - 1) for stride, extent in zip(array.strides, array.shape, strict=True)]
    start = int(array.__array_interface__["data"][0])
    low, high = start + sum(e for e in ends if e < 0), start + sum(e for e in ends if e > 0) + array.itemsize
    if not _mapped(low, high, array.flags.writeable):
        raise ArgumentError(
            f"argument '{name}': its {protocol} names memory from {low:#x} to {high:#x}, which this process does not have"
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


__all__ = ["MAXIMUM_NDIM", "SMALL", "Argument", "Copies", "array_type", "describe", "span"]
