"""Arrays in kernels: views, indices, slices, loads and stores, and the attributes of arrays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from anygpu.dtypes import Field, bool_, from_numpy, int64, plain_fields
from anygpu.errors import Location
from anygpu.frontend.arithmetic import convert
from anygpu.frontend.context import KernelError, Scope
from anygpu.frontend.types import (
    Axis,
    BoundMethod,
    Complex,
    Element,
    Object,
    Scalar,
    Tuple,
    Value,
    View,
    describe,
    leaves,
    rebuild,
)
from anygpu.ir import build
from anygpu.ir.build import integer
from anygpu.ir.kernel import Array, Const, Dim, Expr, Load, Ref, Store


@dataclass(frozen=True)
class Slice:
    """``lower:upper:step`` as it stands in an index; None where left out."""

    lower: Value | None
    upper: Value | None
    step: Value | None


IndexPart = Value | Slice


def whole(array: Array, element: object = None, record: tuple[Field, ...] | None = None) -> View:
    """The view of all of an array. ``element`` is the dtype that a load gives, None for records."""
    axes = tuple(Axis(n, _extent(array, n)) for n in range(array.ndim))
    return View(array, axes, (None,) * array.ndim, element, record)  # type: ignore[arg-type]


def _extent(array: Array, axis: int) -> Expr:
    return integer(array.shape[axis]) if array.shape is not None and array.shape != (0,) else Dim(array.name, axis)


def constant_array(scope: Scope, data: np.ndarray) -> View:
    """A captured NumPy array: its values at compile time, as constant memory."""
    dtype = from_numpy(data.dtype.newbyteorder("="))
    if dtype is None:
        raise KernelError(f"a captured array of dtype {data.dtype} cannot be used in a kernel")
    known = scope.shared.constants.get(id(data))
    if known is None:
        name, values = scope.shared.unique("constants"), np.ascontiguousarray(data, dtype.numpy).tobytes()
        array = Array(
            name,
            plain_fields(dtype),
            dtype.itemsize,
            data.ndim,
            "const",
            "C",
            data.shape,
            False,
            values,
        )
        scope.shared.declared.append(array)
        scope.shared.constants[id(data)] = known = (data, array)
    return whole(known[1], dtype)


# ------------------------------------------------------------------------------------------------------------------------- indexing


def subscript(scope: Scope, base: Value, parts: tuple[IndexPart, ...], loc: Location, wrap: Callable[[object], Value]) -> Value:
    """``base[parts]``."""
    match base:
        case View():
            target = select(scope, base, parts)
            if isinstance(target, View) and target.ndim == 0:  # x[()] of an array without axes
                target = Element(target, tuple(f for f in target.fixed if f is not None))
            return load(scope, target, loc) if isinstance(target, Element) and target.view.record is None else target
        case Tuple():
            from anygpu.frontend import structures
            from anygpu.frontend.tables import tuple_item

            keys = tuple(p for p in parts if not isinstance(p, Slice))
            if len(keys) == len(parts):
                found = structures.invoke(scope, base, "__getitem__", keys if len(keys) == 1 else (Tuple(keys),))
                if found is not None:
                    return found
            if not structures.is_sequence(base) or structures.user_method(base, "__getitem__"):
                raise KernelError(f"{describe(base)} cannot be indexed{' by a slice' if len(keys) < len(parts) else ''}", "name its fields")

            return tuple_item(scope, base, parts, loc)
        case Element(view=view):
            if len(parts) == 1 and isinstance(parts[0], Object) and isinstance(parts[0].value, str):
                return load_field(scope, Element(view, base.index), parts[0].value, loc)
        case Object(value=dict() | str() | list() | tuple() as obj):
            if len(parts) == 1:
                key = parts[0]
                constant = key.constant if isinstance(key, Scalar) else key.value if isinstance(key, Object) else None
                if constant is None and not isinstance(key, Object):
                    hint = "pass an array, or use a tuple" if not isinstance(obj, dict) else "kernels look up constants only"
                    what = "a slice" if isinstance(key, Slice) else describe(key)
                    raise KernelError(f"a {type(obj).__name__} is indexed by a constant, not {what}", hint)
                try:
                    return wrap(obj[constant])  # type: ignore[index, call-overload]
                except (KeyError, IndexError, TypeError) as error:
                    raise KernelError(f"{type(obj).__name__} has no item {constant!r}") from error
    raise KernelError(f"{describe(base)} cannot be indexed")


def index_expr(part: IndexPart, length: Expr) -> Expr:
    """One integer of an index as an int64; a negative literal counts from the end, as in Python."""
    if isinstance(part, Scalar) and (part.dtype.is_integer):
        constant = part.constant
        if isinstance(constant, int) and constant < 0:
            return build.op("add", length, integer(constant))
        if part.weak and isinstance(constant, int) and constant > int64.maximum:
            raise KernelError(f"the index {constant} does not fit in int64")
        return build.cast(part.expr, int64)
    if isinstance(part, Slice):
        raise KernelError("a slice cannot stand here")
    hint = "use int(...) or // to make it one" if isinstance(part, Scalar) and part.dtype.is_float else ""
    if isinstance(part, Scalar) and part.dtype is bool_:
        hint = "boolean masks select whole arrays; in a kernel use `if`"
    raise KernelError(f"an array index must be an integer, not {describe(part)}", hint)


def select(scope: Scope, view: View, parts: tuple[IndexPart, ...]) -> View | Element:
    """What an index selects: an element if every axis is given, else a view."""
    field_name = parts[0].value if len(parts) == 1 and isinstance(parts[0], Object) and isinstance(parts[0].value, str) else None
    if field_name is not None:
        return field_view(view, field_name)
    ellipses = [n for n, p in enumerate(parts) if isinstance(p, Object) and p.value is Ellipsis]
    if len(ellipses) > 1:
        raise KernelError("an index can have only one '...'")
    given = len(parts) - len(ellipses)
    if given > view.ndim:
        raise KernelError(f"too many indices: the array has {view.ndim} {'axis' if view.ndim == 1 else 'axes'}, the index {given}")
    if ellipses:
        fill = (Slice(None, None, None),) * (view.ndim - given)
        parts = (*parts[: ellipses[0]], *fill, *parts[ellipses[0] + 1 :])
    fixed = list(view.fixed)
    axes: list[Axis] = []
    for n, axis in enumerate(view.axes):
        part = parts[n] if n < len(parts) else Slice(None, None, None)
        if isinstance(part, Slice):
            axes.append(_slice_axis(scope, axis, part))
            continue
        fixed[axis.of] = _base_index(scope, axis, _extent(view.array, axis.of), index_expr(part, axis.length))
    chosen = View(view.array, tuple(axes), tuple(fixed), view.element, view.record)
    if axes or (view.ndim == 0 and not parts):
        return View(view.array, chosen.axes, tuple(None if f is None else scope.pin(f) for f in fixed), view.element, view.record)
    return Element(chosen, tuple(f for f in fixed if f is not None))


def _base_index(scope: Scope, axis: Axis, extent: Expr, index: Expr) -> Expr:
    """A view's index as the base's. Outside a slice it becomes one that the base lacks, so that the access is caught."""
    if axis.start is None:
        return index
    index = scope.pin(index)
    low, high = build.op("ge", index, integer(0)), build.op("lt", index, axis.length)
    outside = build.op("select", low, extent, index)
    position = build.op("add", axis.start, build.op("mul", index, integer(axis.step)))
    return build.op("select", build.op("and", low, high), position, outside)


def _slice_axis(scope: Scope, axis: Axis, part: Slice) -> Axis:
    if part.lower is None and part.upper is None and part.step is None:
        return axis
    step = 1
    if part.step is not None and not (isinstance(part.step, Object) and part.step.value is None):
        constant = part.step.constant if isinstance(part.step, Scalar) else None
        if not isinstance(constant, int) or constant == 0:
            raise KernelError("the step of a slice must be a non-zero literal", "index with i * step instead")
        step = constant
    length = scope.pin(axis.length)
    zero, one = integer(0), integer(1)
    last = build.op("sub", length, one)
    low, high = (zero, length) if step > 0 else (integer(-1), last)

    def bound(value: Value | None, default: Expr) -> Expr:
        if value is None or (isinstance(value, Object) and value.value is None):
            return default
        if not isinstance(value, Scalar) or not value.dtype.is_integer:
            raise KernelError(f"the bounds of a slice must be integers, not {describe(value)}")
        given = scope.pin(build.cast(value.expr, int64))
        counted = scope.pin(build.op("select", build.op("lt", given, zero), build.op("add", given, length), given))
        return build.op("minimum", build.op("maximum", counted, low), high)

    start = scope.pin(bound(part.lower, low if step > 0 else high))
    stop = bound(part.upper, high if step > 0 else low)
    distance = build.op("sub", stop, start) if step > 0 else build.op("sub", start, stop)
    size = abs(step)
    count = build.op("floordiv", build.op("add", distance, integer(size - 1)), integer(size))
    new_length = scope.pin(build.op("maximum", count, zero))
    if axis.start is not None:
        start = scope.pin(build.op("add", axis.start, build.op("mul", start, integer(axis.step))))
        step *= axis.step
    return Axis(axis.of, new_length, start, step, _literal_extent(part, size))


def _literal_extent(part: Slice, step: int) -> int | None:
    """The number of elements that a slice names where its bounds are literals that count from the start; it may find fewer."""
    low, high = (b.constant if isinstance(b, Scalar) else 0 if b is None else None for b in (part.lower, part.upper))
    literal = isinstance(low, int) and isinstance(high, int) and part.upper is not None and 0 <= low and 0 <= high
    return len(range(int(low or 0), int(high or 0), step)) if literal and part.step is None else None


def field_view(view: View, name: str) -> View:
    """``records["name"]``: the same elements, one field."""
    for n, f in enumerate(view.record or ()):
        if f.name == name:
            return View(view.array, view.axes, view.fixed, f.dtype, view.record[n : n + 1] if view.record else None)
    names = ", ".join(f.name for f in view.record or ())
    raise KernelError(f"the array has no field '{name}'", f"its fields are {names}" if names else "it is not a record array")


# -------------------------------------------------------------------------------------------------------------------- loads, stores


def _field_numbers(element: Element) -> tuple[int, ...]:
    """Which fields of the array's element hold the value: one for a scalar, two for a complex number."""
    view = element.view
    if view.record is not None:
        return (view.array.fields.index(view.record[0]),)
    return tuple(range(len(view.array.fields)))


def load(scope: Scope, element: Element, loc: Location) -> Value:
    """The value of an element."""
    parts: list[Expr] = []
    view = element.view
    numbers = _field_numbers(element)
    index = tuple(scope.pin(i) for i in element.index) if len(numbers) > 1 else element.index
    for number in numbers:
        var = scope.temporary(view.array.fields[number].dtype, view.array.name)
        scope.emit(Load(var, view.array.name, index, number, True, loc))
        parts.append(Ref(var))
    return Complex(parts[0], parts[1]) if len(parts) == 2 else Scalar(parts[0])


def load_field(scope: Scope, element: Element, name: str, loc: Location) -> Value:
    chosen = field_view(element.view, name)
    return load(scope, Element(chosen, element.index), loc)


def store(scope: Scope, element: Element, value: Value, loc: Location) -> None:
    """``array[index] = value``, converted to the array's dtype."""
    view = element.view
    if not view.array.writeable:
        if view.array.space == "const":
            raise KernelError("captured arrays are constants and cannot be written", "pass the array as an argument")
    if view.record is not None and len(view.record) > 1:
        if not isinstance(value, Tuple) or len(value.items) != len(view.record):
            raise KernelError(
                f"a record of {len(view.record)} fields cannot be set to {describe(value)}",
                "set its fields one by one, or assign a tuple of all",
            )
        index = tuple(scope.pin(i) for i in element.index)
        for f, item in zip(view.record, value.items, strict=True):
            store(scope, Element(field_view(view, f.name), index), item, loc)
        return
    scope.shared.stored.add(view.array.name)
    target = view.element
    assert target is not None
    if isinstance(value, Tuple | View | Object | Element):
        raise KernelError(f"an element of an array of {target} cannot be set to {describe(value)}")
    converted = convert(value, target, f"storing into an array of {target}")
    numbers = _field_numbers(element)
    index = tuple(scope.pin(i) for i in element.index) if len(numbers) > 1 else element.index
    for number, expr in zip(numbers, leaves(converted), strict=True):
        scope.emit(Store(view.array.name, index, expr, number, True, loc))


# ------------------------------------------------------------------------------------------------------------------------ attributes


def size(view: View) -> Expr:
    total: Expr = integer(1)
    for axis in view.axes:
        total = build.op("mul", total, axis.length)
    return total


def array_attribute(scope: Scope, view: View, name: str) -> Value:
    match name:
        case "shape":
            return Tuple(tuple(Scalar(axis.length) for axis in view.axes))
        case "size":
            return Scalar(size(view))
        case "ndim":
            return Scalar(Const(view.ndim, int64), weak=True)
        case "dtype" if view.element is not None:
            return Object(view.element.numpy)
        case "itemsize":
            return Scalar(Const(view.array.itemsize, int64), weak=True)
        case "nbytes":
            return Scalar(build.op("mul", size(view), integer(view.array.itemsize)))
        case "T":
            return View(view.array, tuple(reversed(view.axes)), view.fixed, view.element, view.record)
        case "item" | "fill":
            return BoundMethod(view, name)
    if view.record is not None:
        return field_view(view, name)
    raise KernelError(
        f"arrays have no attribute '{name}' in a kernel", "shape, size, ndim, dtype, itemsize, nbytes, T, item and fill are there"
    )


__all__ = [
    "IndexPart", "Slice", "array_attribute", "constant_array", "field_view", "index_expr", "load", "load_field", "rebuild", "select",
    "size", "store",
    "subscript", "whole",
]  # fmt: skip
