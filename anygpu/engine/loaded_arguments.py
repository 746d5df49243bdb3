"""Arguments for kernels whose types are fixed: what fits as it is, and Python numbers that become what a parameter is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from anygpu.dtypes import DType
from anygpu.engine.arguments import Argument
from anygpu.errors import ArgumentError
from anygpu.frontend.signature import ArrayType, ConstantType, ScalarType, TupleType, Type

_RANK = "biufc"  # a Python number goes to a parameter of its own kind or a later one


def convert(given: Argument, wanted: Type, name: str) -> Argument | str:
    """The argument as one of type ``wanted``, or why it is none. Its ``parts`` are the given ones if nothing had to be converted.

    Raises:
        ArgumentError: A Python integer that the parameter's type does not hold.
    """
    match given.type, wanted:
        case ScalarType() as scalar, ScalarType():
            return _scalar(given, scalar, wanted, name)
        case ArrayType() as array, ArrayType():
            reason = _array(array, wanted)
            return reason or Argument(wanted, given.parts, given.small)
        case TupleType() as items, TupleType():
            return _tuple(given, items, wanted, name)
    return f"is {given.type}, and must be {wanted}"


def _scalar(given: Argument, kind: ScalarType, wanted: ScalarType, name: str) -> Argument | str:
    dtype = wanted.dtype
    if kind.dtype is dtype and kind.weak == wanted.weak:
        return Argument(wanted, given.parts, given.small)
    python = kind.weak or (kind.dtype.name == "uint64" and isinstance(given.parts[0], int))
    if python and _RANK.index(kind.dtype.kind) <= _RANK.index("i" if dtype.is_integer else dtype.kind):
        return Argument(wanted, _numbers(given.parts, dtype, name), given.small or not dtype.is_integer)
    if wanted.weak and kind.dtype is dtype:  # np.float64(2.0) where a float was compiled for
        parts = [part.item() if isinstance(part, np.generic) else part for part in given.parts]
        return Argument(wanted, parts, given.small)
    return f"is {kind}, and must be {wanted}"


def quickly(given: Type, wanted: Type) -> bool:
    """Whether a launch from a plan converts a Python number by itself: a float to float32 or float64, a small int to int32 or int64."""
    match given, wanted:
        case ScalarType(weak=True, dtype=number), ScalarType(dtype=dtype):
            return (number.kind, dtype.name) in (("f", "float32"), ("f", "float64"), ("i", "int32"), ("i", "int64"))
    return False


def _numbers(parts: Sequence[object], dtype: DType, name: str) -> list[object]:
    """Python numbers as scalars of a dtype: floats round, integers must fit."""
    if dtype.is_integer:
        value = parts[0]
        assert isinstance(value, int)
        if not dtype.minimum <= value <= dtype.maximum:
            raise ArgumentError(f"argument '{name}': {value} does not fit in {dtype}, for which the kernel was compiled")
        return [dtype.numpy.type(value)]
    component = dtype.component.numpy.type
    with np.errstate(all="ignore"):
        found: list[object] = [component(part) for part in parts]
    return [*found, component(0)] if dtype.is_complex and len(found) == 1 else found


def _array(given: ArrayType, wanted: ArrayType) -> str:
    """Why an array is not what is wanted; "" if it is. Any layout wanted takes a contiguous one, and reading takes what can be written."""
    same = (given.dtype, given.ndim, given.record, given.itemsize) == (wanted.dtype, wanted.ndim, wanted.record, wanted.itemsize)
    if same and given.layout == "A" and wanted.layout == "C":
        return f"is {given}, and must be C-contiguous: pass np.ascontiguousarray of it, or compile for '{wanted.dtype}[...] strided'"
    return "" if same else f"is {given}, and must be {wanted}"


def _tuple(given: Argument, items: TupleType, wanted: TupleType, name: str) -> Argument | str:
    if len(items.items) != len(wanted.items) or (items.names and wanted.names and items.names != wanted.names):
        return f"is {items}, and must be {_shown(wanted)}"
    parts: list[object] = []
    position, small, changed = 0, True, False
    for n, (item, kind) in enumerate(zip(items.items, wanted.items, strict=True)):
        count = parts_of(item)
        label = f"{name}.{wanted.names[n] if wanted.names else n}"
        found = convert(Argument(item, given.parts[position : position + count], given.small), kind, label)
        if isinstance(found, str):
            return f"is {items}, and must be {_shown(wanted)}"
        changed = changed or any(a is not b for a, b in zip(found.parts, given.parts[position : position + count], strict=False))
        changed = changed or len(found.parts) != count
        parts += found.parts
        small = small and found.small
        position += count
    return Argument(wanted, parts if changed else given.parts, small)


def _shown(wanted: TupleType) -> str:
    if not wanted.names:
        return str(wanted)
    return f"a structure of {', '.join(f'{name}: {item}' for name, item in zip(wanted.names, wanted.items, strict=True))}"


def parts_of(kind: Type) -> int:
    """How many parts an argument of this type has."""
    match kind:
        case ScalarType(dtype=dtype):
            return 2 if dtype.is_complex else 1
        case TupleType(items=items):
            return sum(map(parts_of, items))
        case ConstantType():
            return 0
    return 1


__all__ = ["convert", "parts_of", "quickly"]
