"""Tuples in kernels by index: constants and slices at compile time, and, for an index known only at run time, tables in memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from anygpu.dtypes import DType, plain_fields
from anygpu.errors import Location
from anygpu.frontend import indexing
from anygpu.frontend.arithmetic import convert
from anygpu.frontend.context import KernelError, Scope
from anygpu.frontend.indexing import IndexPart, Slice
from anygpu.frontend.types import Element, Object, Scalar, ScalarType, Tuple, Value, View, describe, join, leaves, strong, type_of
from anygpu.ir import build
from anygpu.ir.build import integer
from anygpu.ir.kernel import Array, Const, Expr, Store


def tuple_item(scope: Scope, base: Tuple, parts: tuple[IndexPart, ...], loc: Location) -> Value:
    """``base[parts]`` of a tuple."""
    if len(parts) != 1:
        raise KernelError("a tuple takes one index")
    part = parts[0]
    count = len(base.items)
    if isinstance(part, Slice):
        lower, upper, step = (_slice_bound(bound) for bound in (part.lower, part.upper, part.step))
        if step == 0:
            raise KernelError("the step of a slice must not be zero")
        return Tuple(base.items[lower:upper:step])
    if not isinstance(part, Scalar) or not part.dtype.is_integer:
        raise KernelError(f"a tuple index must be an integer, not {describe(part)}")
    constant = part.constant
    if isinstance(constant, int):
        if not -count <= constant < count:
            raise KernelError(f"index {constant} is out of range for a tuple of {count}")
        return base.items[constant]
    if not base.items:
        raise KernelError("an empty tuple cannot be indexed")
    return _chosen(scope, base.items, scope.pin(build.cast(part.expr, integer(0).dtype)), loc)


def _slice_bound(bound: Value | None) -> int | None:
    """A bound of a tuple's slice, whose length must be known: None where left out, else a constant integer."""
    match bound:
        case None | Object(value=None):
            return None
        case Scalar(constant=int() as constant):
            return constant
        case _:
            raise KernelError(f"the bounds of a tuple's slice must be constant integers, not {describe(bound)}")


def _chosen(scope: Scope, items: Sequence[Value], index: Expr, loc: Location) -> Value:
    """``items[index]``. Numbers come from one table; tuples of one shape give a tuple of what each place holds there."""
    shape = _shape(items)
    if shape is not None and len(shape) > 1:
        numbers = _numbers(items, len(shape))
        dtype = _common(numbers, exact=True)
        constants = None if dtype is None else _constants(numbers, dtype)
        if dtype is not None and constants is not None:  # a row is walked, unpacked and indexed like the tuple that it is
            row = indexing.select(scope, _constant_table(scope, constants, dtype, shape), (Scalar(index),))
            assert isinstance(row, View)
            return row
    first = items[0]
    if isinstance(first, Tuple) and all(isinstance(i, Tuple) and _layout(i) == _layout(first) for i in items):
        columns = zip(*(i.items for i in items if isinstance(i, Tuple)), strict=True)
        return Tuple(tuple(_chosen(scope, column, index, loc) for column in columns), first.cls, first.names)
    known = scope.shared.known_tables.get(id(items))
    if known is not None:
        return _looked_up(scope, _constant_table(scope, known[1], known[2], (len(items),)), index, loc)
    dtype = _common(items)
    if dtype is None:
        raise KernelError(
            "a tuple indexed at run time must hold numbers, or tuples of one shape that do", "unroll the loop: `for item in the_tuple`"
        )
    constants = _constants(items, dtype)
    if constants is None:
        return _looked_up(scope, _local_table(scope, items, dtype, loc), index, loc)
    if isinstance(items, tuple):
        scope.shared.known_tables[id(items)] = items, constants, dtype
    return _looked_up(scope, _constant_table(scope, constants, dtype, (len(items),)), index, loc)


def _looked_up(scope: Scope, table: View, index: Expr, loc: Location) -> Value:
    element = indexing.select(scope, table, (Scalar(index),))
    assert isinstance(element, Element)
    return indexing.load(scope, element, loc)


def _layout(value: Tuple) -> tuple[type | None, int]:
    return value.cls, len(value.items)


def _shape(items: Sequence[Value]) -> tuple[int, ...] | None:
    """The extents of plain nested tuples that form a regular array, else None."""
    if not items or not any(isinstance(i, Tuple) for i in items):
        return (len(items),)
    inner = {_shape(i.items) if isinstance(i, Tuple) and i.cls is None else None for i in items}
    only = inner.pop()
    return None if inner or only is None else (len(items), *only)


def _numbers(items: Sequence[Value], depth: int) -> list[Value]:
    return [v for i in items for v in (_numbers(i.items, depth - 1) if isinstance(i, Tuple) else [i])]


def _common(items: Sequence[Value], exact: bool = False) -> DType | None:
    """The dtype in which numbers meet; ``exact`` if none may change for it. None if they are not numbers."""
    joined = None
    for item in items:
        given = type_of(item)
        if not isinstance(given, ScalarType):
            return None
        wider = strong(given) if joined is None else join(joined, strong(given))
        if exact and joined is not None and wider != joined:
            return None
        joined = wider
    return joined.dtype if isinstance(joined, ScalarType) else None


def _constants(items: Sequence[Value], dtype: DType) -> np.ndarray | None:
    """Numbers as an array of their dtype, or None if one is known only at run time."""
    values = []
    for item in items:
        parts = list(leaves(convert(item, dtype)))
        constants = [p.value for p in parts if isinstance(p, Const)]
        if len(constants) != len(parts):
            return None
        values.append(constants[0] if len(constants) == 1 else complex(constants[0], constants[1]))
    # bfloat16 and float16 round once from float64; integers never pass through a float
    return np.array(values, np.float64).astype(dtype.numpy) if dtype.is_half else np.array(values, dtype.numpy)


def _constant_table(scope: Scope, data: np.ndarray, dtype: DType, shape: tuple[int, ...]) -> View:
    """An array in constant memory; equal ones are one."""
    key = (dtype.name, shape, data.tobytes())
    known = scope.shared.constants.get(key)
    if known is None:
        array = Array(
            scope.shared.unique("table"), plain_fields(dtype), dtype.itemsize, len(shape), "const", "C", shape, False, data.tobytes()
        )
        scope.shared.declared.append(array)
        scope.shared.constants[key] = known = (data, array)
    return indexing.whole(known[1], dtype)


def _local_table(scope: Scope, items: Sequence[Value], dtype: DType, loc: Location) -> View:
    """Numbers known only at run time, in a local array."""
    array = Array(scope.shared.unique("items"), plain_fields(dtype), dtype.itemsize, 1, "local", "C", (len(items),))
    scope.shared.declared.append(array)
    for n, item in enumerate(items):
        for field, expr in enumerate(leaves(convert(item, dtype))):
            scope.emit(Store(array.name, (integer(n),), expr, field, True, loc))
    return indexing.whole(array, dtype)


__all__ = ["tuple_item"]
