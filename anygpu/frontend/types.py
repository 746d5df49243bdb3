"""The values that expressions have while a kernel is lowered; their types are ``frontend.signature``'s.

A variable or argument of any shape (complex, tuple, structure) is a tree whose leaves are IR scalars: ``leaf_types`` flattens a type,
``leaves`` a value, ``rebuild`` makes a value of a type from leaf expressions. Arrays and compile-time Python objects
are bound by name alone and never become variables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from anygpu.dtypes import DType, Field, complex_of
from anygpu.frontend.signature import ArrayType, ConstantType, ScalarType, TupleType, Type, join, leaf_types, strong
from anygpu.ir.kernel import Array, Const, Expr

# --------------------------------------------------------------------------------------------------------------------------- values


@dataclass(frozen=True, slots=True)
class Scalar:
    """A bool, integer or float."""

    expr: Expr
    weak: bool = False

    @property
    def dtype(self) -> DType:
        return self.expr.dtype

    @property
    def constant(self) -> bool | int | float | None:
        """The literal's value, or None if it is known only at run time."""
        return self.expr.value if isinstance(self.expr, Const) else None


@dataclass(frozen=True, slots=True)
class Complex:
    """A complex number as its two parts, of one float dtype."""

    real: Expr
    imag: Expr
    weak: bool = False

    @property
    def dtype(self) -> DType:
        return complex_of(self.real.dtype)


@dataclass(frozen=True, slots=True)
class Tuple:
    """A tuple, NamedTuple or dataclass instance. ``origin`` names the variables that may hold this very object in Python."""

    items: tuple[Value, ...]
    cls: type | None = None
    names: tuple[str, ...] = ()
    origin: frozenset[tuple[str, ...]] = field(default=frozenset(), compare=False)


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of a view: element ``i`` lies at ``start + i*step`` along axis ``of`` of the base; ``length`` elements.

    ``literal`` is the number of elements that the slice's literal bounds name, where they do.
    """

    of: int
    length: Expr
    start: Expr | None = None
    step: int = 1
    literal: int | None = None

    @property
    def known(self) -> int | None:
        """The length, where the text of the kernel tells it."""
        return int(self.length.value) if isinstance(self.length, Const) else self.literal


@dataclass(frozen=True, slots=True)
class View:
    """An array, or part of one: ``fixed`` gives the index along each base axis that has been indexed, else None.

    ``field`` is the chosen field of a record array, or None.
    """

    array: Array
    axes: tuple[Axis, ...]
    fixed: tuple[Expr | None, ...]
    element: DType | None
    record: tuple[Field, ...] | None = None

    @property
    def ndim(self) -> int:
        return len(self.axes)


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a record array, before a field is chosen: its loads happen when a field is read."""

    view: View
    index: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Object:
    """A compile-time Python object: a module, function, class, dtype, string, None, or a word of the vocabulary."""

    value: object


@dataclass(frozen=True, slots=True)
class BoundMethod:
    """A method of a structure or array, waiting for its call."""

    owner: Value
    name: str
    function: object = None


@dataclass(frozen=True, slots=True)
class Iteration:
    """Something that a ``for`` loop walks: ``length`` items, ``item(i)`` each; ``items`` if they are known one by one."""

    length: Expr | None
    item: Callable[[Expr], Value] | None
    items: tuple[Value, ...] | None = None
    bounds: tuple[Expr, Expr, Expr] | None = None


Value = Scalar | Complex | Tuple | View | Element | Object | BoundMethod | Iteration


def describe(value: Value) -> str:
    """How an error message names a value's type."""
    match value:
        case Scalar(weak=weak) | Complex(weak=weak):
            return str(ScalarType(value.dtype, weak))
        case Tuple(items=items, cls=cls):
            inside = ", ".join(map(describe, items))
            return f"{cls.__name__}({inside})" if cls else f"tuple({inside})"
        case View():
            return f"array({'record' if value.record else value.element}, {value.ndim}d)"
        case Element():
            return "record"
        case Object(value=None):
            return "None"
        case Object(value=obj):
            return f"{type(obj).__name__} {getattr(obj, '__name__', obj)!s}"
        case BoundMethod(name=name):
            return f"method {name}"
        case Iteration():
            return "range"


def type_of(value: Value) -> ScalarType | TupleType | None:
    """The type of a value that a variable can hold, with weakness; None for arrays and compile-time objects."""
    match value:
        case Scalar(weak=weak) | Complex(weak=weak):
            return ScalarType(value.dtype, weak)
        case Tuple(items=items, cls=cls, names=names):
            inner = [type_of(item) for item in items]
            if any(t is None for t in inner):
                return None
            return TupleType(tuple(t for t in inner if t is not None), cls, names)
        case _:
            return None


def leaves(value: Value) -> Iterator[Expr]:
    """The leaf expressions of a value in the order of ``leaf_types``."""
    match value:
        case Scalar(expr=expr):
            yield expr
        case Complex(real=real, imag=imag):
            yield real
            yield imag
        case Tuple(items=items):
            for item in items:
                yield from leaves(item)


def rebuild(given: Type, exprs: Sequence[Expr]) -> Value:
    """The value of a type whose leaves are ``exprs``."""
    remaining = iter(exprs)

    def build(part: Type) -> Value:
        match part:
            case ScalarType(dtype=dtype, weak=weak) if dtype.is_complex:
                return Complex(next(remaining), next(remaining), weak)
            case ScalarType(weak=weak):
                return Scalar(next(remaining), weak)
            case TupleType(items=items, cls=cls, names=names):
                return Tuple(tuple(build(item) for item in items), cls, names)
            case _:
                raise TypeError(f"{part} has no leaves")

    return build(given)


__all__ = [
    "ArrayType", "Axis", "BoundMethod", "Complex", "ConstantType", "Element", "Iteration", "Object", "Scalar", "ScalarType", "Tuple",
    "TupleType",
    "Type", "Value", "View", "describe", "join", "leaf_types", "leaves", "rebuild", "strong", "type_of",
]  # fmt: skip
