"""What a call of a source kernel passes: every argument as its parameter wants it, with host arrays copied in and out."""

from __future__ import annotations

import operator
import struct
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from anygpu.errors import ArgumentError, CopyWarning
from anygpu.runtime.base import Parameter
from anygpu.runtime.device_array import DeviceArray, memory_of
from anygpu.runtime.memory import Buffer

if TYPE_CHECKING:
    from anygpu.runtime.stream import Stream

_KIND_OF_CODE = {**dict.fromkeys("bhilq", "i"), **dict.fromkeys("BHILQ", "u"), **dict.fromkeys("efd", "f"), "?": "b"}
_FLOAT_OF_SIZE = {2: "e", 4: "f", 8: "d"}
_C_NAMES = {
    "b": "a signed byte", "B": "an unsigned byte", "h": "a short", "H": "an unsigned short", "i": "an int", "I": "an unsigned int",
    "q": "a 64-bit integer", "Q": "an unsigned 64-bit integer", "e": "a half", "f": "a float", "d": "a double", "?": "a bool",
    "P": "a pointer", "S": "a pointer to shared memory",
}  # fmt: skip


@dataclass(frozen=True)
class LocalMemory:
    """Shared memory of ``size`` bytes a block for a ``__local`` pointer of an OpenCL kernel."""

    size: int


def convert(
    kernel: str, parameters: Sequence[Parameter], values: Sequence[object], stream: Stream
) -> tuple[list[object], list[Callable[[], None]]]:
    """The values that a launch takes for ``values``, and what to do after it.

    Raises:
        ArgumentError: An argument is of the wrong kind or does not fit. The text says which, and what to pass.
        UseAfterFreeError: A buffer is closed.
        WrongDeviceError: A buffer belongs to another device than the stream.
    """
    if len(values) != len(parameters):
        shown = ", ".join(_described(p) for p in parameters)
        count = f"{len(parameters)} argument{'s' * (len(parameters) != 1)}"
        raise ArgumentError(f"kernel '{kernel}' takes {count} ({shown}), not {len(values)}")
    found: list[object] = []
    after: list[Callable[[], None]] = []
    for n, (parameter, given) in enumerate(zip(parameters, values, strict=True)):
        value = _memory(given, stream)
        match parameter.code, value:
            case "P", Buffer():
                found.append(value.argument_on(stream))
            case "P" | "*", np.ndarray() if parameter.size == 8:
                buffer = _copy_in(value, _label(n, parameter), stream, after)
                found.append(_pointer(parameter, buffer, stream))
            case "P", None:
                found.append(stream.driver.argument(0, 0))
            case "*", Buffer() if parameter.size == 8:
                found.append(_pointer(parameter, value, stream))
            case "S", LocalMemory(size=size):
                found.append(size)
            case "V", _:
                found.append(_by_value(parameter, value, _label(n, parameter)))
            case "*", _:
                found.append(_untyped(parameter, value, _label(n, parameter)))
            case "P" | "S", _:
                raise _unsuitable(parameter, value, _label(n, parameter))
            case _:
                found.append(_scalar(parameter, value, _label(n, parameter)))
    return found, after


def _memory(given: object, stream: Stream) -> object:
    """The buffer of an array in a device's memory; other values as they are."""
    value = memory_of(given)
    if not isinstance(value, DeviceArray):
        return value
    if value is not given and value.device is stream.device:
        stream.device.lend(stream)
    if not value.contiguous:
        raise ArgumentError("a source kernel takes an address, and this array does not lie in C order\n  hint: pass array.copy()")
    return value.buffer


class Unusual(Exception):
    """An argument that the quick way does not take; `convert` does, or says what is wrong with it."""


def quick_converter(parameter: Parameter) -> Callable[[object, Stream], object]:
    """A function for the arguments that a parameter nearly always gets. It raises `Unusual` for all others."""
    code = parameter.code
    kind = _KIND_OF_CODE.get(code)
    if code == "P":

        def pointer(value: object, stream: Stream) -> object:
            if type(value) is Buffer:
                return value.argument_on(stream)
            raise Unusual

        return pointer
    if kind == "f":

        def real(value: object, stream: Stream) -> object:
            if type(value) is float:
                return value
            raise Unusual

        return real
    if kind in ("i", "u"):
        bits = 8 * parameter.size
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if kind == "i" else (0, (1 << bits) - 1)

        def integer(value: object, stream: Stream) -> object:
            if type(value) is int and low <= value <= high:
                return value
            raise Unusual

        return integer
    if code == "*" and parameter.size == 8:

        def word(value: object, stream: Stream) -> object:
            if type(value) is Buffer:
                value.argument_on(stream)
                return value.address.to_bytes(8, "little")
            raise Unusual

        return word

    def other(value: object, stream: Stream) -> object:
        raise Unusual

    return other


def infer(values: Sequence[object]) -> tuple[Parameter, ...]:
    """Parameters for a kernel whose code does not tell them, from what is passed: C types must be chosen by NumPy's."""
    found = []
    for n, value in enumerate(values):
        match value:
            case Buffer() | np.ndarray() | None:
                found.append(Parameter("P", 8))
            case LocalMemory():
                found.append(Parameter("S", 0))
            case np.generic() if value.dtype.char in _KIND_OF_CODE:
                found.append(Parameter(_code_of(value), value.dtype.itemsize))
            case np.generic() | bytes():
                found.append(Parameter("V", len(value if isinstance(value, bytes) else value.tobytes())))
            case _:
                names = ("int32", "int64") if isinstance(value, int) else ("float32", "float64")
                hint = "\n  hint: pass " + " or ".join(f"np.{name}({value})" for name in names) if isinstance(value, int | float) else ""
                kind = type(value).__name__
                raise ArgumentError(f"argument {n + 1} is a {kind}, and the code does not tell which C type it should have{hint}")
    return tuple(found)


def _label(n: int, parameter: Parameter) -> str:
    return f"argument {n + 1} ('{parameter.name}')" if parameter.name else f"argument {n + 1}"


def _described(parameter: Parameter) -> str:
    shown = parameter.type or _C_NAMES.get(parameter.code) or f"{parameter.size} bytes"
    return f"{shown} {parameter.name}".strip()


def _unsuitable(parameter: Parameter, value: object, label: str, hint: str = "") -> ArgumentError:
    kind = str(value.dtype) if isinstance(value, np.generic) else type(value).__name__
    wanted = parameter.type or _C_NAMES.get(parameter.code) or f"a value of {parameter.size} bytes"
    if parameter.code == "P":
        hint = "pass a buffer (device.to_device(array)) or a NumPy array"
    elif parameter.code == "S":
        hint = "pass ag.LocalMemory(bytes)"
    return ArgumentError(f"{label} is a {kind}, and the kernel takes {wanted}" + (f"\n  hint: {hint}" if hint else ""))


def _pointer(parameter: Parameter, buffer: Buffer, stream: Stream) -> object:
    argument = buffer.argument_on(stream)
    return argument if parameter.code == "P" else buffer.address.to_bytes(8, "little")


def _copy_in(array: np.ndarray, label: str, stream: Stream, after: list[Callable[[], None]]) -> Buffer:
    """A temporary buffer with the array's data, which is copied back after the launch if the array can be written."""
    warnings.warn(f"{label} is a NumPy array: it is copied to {stream.device.name} and back for every launch", CopyWarning, stacklevel=5)
    buffer = stream.device.allocate(array.nbytes, stream)
    buffer.copy_from(array, stream)
    if array.flags.writeable:

        def copy_out() -> None:
            array[...] = buffer.to_numpy(array.dtype, array.shape, stream)

        after.append(copy_out)
    return buffer


def _code_of(value: np.generic) -> str:
    """The `struct` character of a NumPy scalar, with sizes that do not depend on the system."""
    kind, size = value.dtype.kind, value.dtype.itemsize
    if kind == "f":
        return _FLOAT_OF_SIZE[size]
    return "?" if kind == "b" else {1: "b", 2: "h", 4: "i", 8: "q"}[size].upper() if kind == "u" else {1: "b", 2: "h", 4: "i", 8: "q"}[size]


def _scalar(parameter: Parameter, value: object, label: str) -> int | float:
    """A number for a parameter whose C type is known. NumPy scalars must have that type, so that nothing is lost unseen."""
    code, kind = parameter.code, _KIND_OF_CODE[parameter.code]
    if isinstance(value, np.generic):
        fits = value.dtype.kind in "iu" if kind in "iu" else value.dtype.kind == kind
        if not fits or value.dtype.itemsize != parameter.size:
            raise _unsuitable(parameter, value, label, f"pass np.{np.dtype(code).name}({value})")
        value = value.item()
    if kind == "f":
        if not isinstance(value, int | float):
            raise _unsuitable(parameter, value, label)
        return float(value)
    return _integer(parameter, value, label, signed=kind == "i", bits=8 * parameter.size if kind != "b" else 1)


def _integer(parameter: Parameter, value: object, label: str, signed: bool, bits: int) -> int:
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise _unsuitable(parameter, value, label) from None
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if not low <= number <= high:
        wanted = parameter.type or _C_NAMES.get(parameter.code, f"{bits} bits")
        raise ArgumentError(f"{label} is {number}, which does not fit in {wanted}")
    return number


def _untyped(parameter: Parameter, value: object, label: str) -> bytes:
    """A scalar for a parameter of which only the size is known: as PTX and AMD's metadata tell it."""
    size = parameter.size
    if isinstance(value, np.generic):
        if value.dtype.itemsize != size:
            raise _unsuitable(parameter, value, label)
        return value.tobytes()
    if isinstance(value, float):
        if size not in _FLOAT_OF_SIZE:
            raise _unsuitable(parameter, value, label)
        return struct.pack(_FLOAT_OF_SIZE[size], value)
    if isinstance(value, int) and value >= 0:
        return _integer(parameter, value, label, False, 8 * size).to_bytes(size, "little")
    return _integer(parameter, value, label, True, 8 * size).to_bytes(size, "little", signed=True)


def _by_value(parameter: Parameter, value: object, label: str) -> bytes:
    """A structure or vector: NumPy record scalars, arrays of the right size, and bytes."""
    if not isinstance(value, bytes | np.generic | np.ndarray):
        raise _unsuitable(parameter, value, label, "pass a NumPy record scalar, an array of that size, or bytes")
    content = value if isinstance(value, bytes) else value.tobytes()
    if parameter.size and len(content) != parameter.size:
        raise ArgumentError(f"{label} has {len(content)} bytes, and the kernel takes {parameter.type or 'a structure'} of {parameter.size}")
    return content
