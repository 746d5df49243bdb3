"""The types of arguments and variables: hashable, part of a kernel's key, and light to import, since every launch needs them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from anygpu.dtypes import DType, Field, promote


@dataclass(frozen=True, slots=True)
class ScalarType:
    """A scalar; ``weak`` if it came from a Python number and takes the type of what it meets."""

    dtype: DType
    weak: bool = False

    def __str__(self) -> str:
        return f"{self.dtype}" if not self.weak else {"b": "bool", "i": "int", "f": "float", "c": "complex"}[self.dtype.kind]


@dataclass(frozen=True, slots=True)
class ArrayType:
    """An array argument. ``record`` is None for a plain dtype, else the fields of its structured dtype."""

    dtype: DType | None
    ndim: int
    layout: str
    writeable: bool
    record: tuple[Field, ...] | None = None
    itemsize: int = 0

    def __str__(self) -> str:
        element = self.dtype if self.record is None else "record"
        return f"array({element}, {self.ndim}d, {self.layout}{'' if self.writeable else ', read-only'})"


@dataclass(frozen=True, slots=True)
class TupleType:
    """A tuple, or a NamedTuple or dataclass if ``cls`` is given; ``names`` are its fields."""

    items: tuple[Type, ...]
    cls: type | None = None
    names: tuple[str, ...] = ()

    def __str__(self) -> str:
        inside = ", ".join(map(str, self.items))
        return f"{self.cls.__name__}({inside})" if self.cls else f"({inside}{',' if len(self.items) == 1 else ''})"


@dataclass(frozen=True, slots=True)
class ConstantType:
    """An argument that is a compile-time Python object: a function, a dtype, None, a string, an enum's member."""

    value: object

    def __str__(self) -> str:
        return f"constant {self.value!r}"


Type = ScalarType | ArrayType | TupleType | ConstantType


def strong(given: Type) -> Type:
    """A type as a variable has it: Python numbers become int64, float64, complex128."""
    match given:
        case ScalarType(dtype=dtype):
            return ScalarType(dtype)
        case TupleType(items=items, cls=cls, names=names):
            return TupleType(tuple(map(strong, items)), cls, names)
        case _:
            return given


def join(a: Type, b: Type) -> Type | None:
    """The one type of a variable assigned both, or None if there is none."""
    if a == b:
        return a
    match a, b:
        case ScalarType(dtype=x), ScalarType(dtype=y):
            return ScalarType(promote(x, y))
        case TupleType(items=x, cls=c), TupleType(items=y, cls=d) if c is d and len(x) == len(y):
            inner = [join(p, q) for p, q in zip(x, y, strict=True)]
            return None if any(t is None for t in inner) else TupleType(tuple(t for t in inner if t is not None), c, a.names)
        case _:
            return None


def leaf_types(given: Type, name: str) -> Iterator[tuple[str, DType]]:
    """The IR scalars of a type, each with a name derived from ``name``."""
    match given:
        case ScalarType(dtype=dtype) if dtype.is_complex:
            yield f"{name}.real", dtype.component
            yield f"{name}.imag", dtype.component
        case ScalarType(dtype=dtype):
            yield name, dtype
        case TupleType(items=items, names=names):
            for n, item in enumerate(items):
                yield from leaf_types(item, f"{name}.{names[n] if names else n}")
