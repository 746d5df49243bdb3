"""The dtype table: every scalar type of the kernel language, and NumPy 2's promotion over them.

A dtype is a row of ``DTYPES``. Python scalars are *weak*: they take the type of what they meet (see ``promote_weak``).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal

import ml_dtypes
import numpy as np

Kind = Literal["b", "i", "u", "f", "c"]


@dataclass(frozen=True, eq=False)
class DType:
    """One scalar type. ``bits`` is the storage size; compared by identity, since each row exists once."""

    name: str
    kind: Kind
    bits: int

    def __repr__(self) -> str:
        return self.name

    def __reduce__(self) -> str | tuple[object, ...]:
        return (dtype_named, (self.name,))

    @property
    def itemsize(self) -> int:
        """Bytes of one element in memory."""
        return self.bits // 8

    @property
    def numpy(self) -> np.dtype[np.generic]:
        """The NumPy dtype with the same bits (bfloat16 is ml_dtypes')."""
        return _NUMPY[self.name]

    @property
    def is_float(self) -> bool:
        return self.kind == "f"

    @property
    def is_complex(self) -> bool:
        return self.kind == "c"

    @property
    def is_integer(self) -> bool:
        """True for signed and unsigned integers, not for bool."""
        return self.kind in "iu"

    @property
    def is_half(self) -> bool:
        """float16 and bfloat16: stored in 16 bits, computed in float32 and rounded after every operation."""
        return self.kind == "f" and self.bits == 16

    @property
    def component(self) -> DType:
        """The float type of a complex number's parts; of any other dtype, itself."""
        return {"complex64": float32, "complex128": float64}.get(self.name, self)

    @property
    def minimum(self) -> int:
        """The least integer of an integer type (0 for bool)."""
        return -(1 << (self.bits - 1)) if self.kind == "i" else 0

    @property
    def maximum(self) -> int:
        """The greatest integer of an integer type (1 for bool)."""
        if self.kind == "b":
            return 1
        return (1 << (self.bits - (self.kind == "i"))) - 1


bool_ = DType("bool", "b", 8)
int8, int16, int32, int64 = (DType(f"int{b}", "i", b) for b in (8, 16, 32, 64))
uint8, uint16, uint32, uint64 = (DType(f"uint{b}", "u", b) for b in (8, 16, 32, 64))
float16, float32, float64 = (DType(f"float{b}", "f", b) for b in (16, 32, 64))
bfloat16 = DType("bfloat16", "f", 16)
complex64, complex128 = DType("complex64", "c", 64), DType("complex128", "c", 128)

DTYPES: dict[str, DType] = {
    d.name: d
    for d in (bool_, int8, int16, int32, int64, uint8, uint16, uint32, uint64, float16, bfloat16, float32, float64, complex64, complex128)
}
_NUMPY: dict[str, np.dtype[np.generic]] = {name: np.dtype(getattr(ml_dtypes if name == "bfloat16" else np, name)) for name in DTYPES}
_FROM_NUMPY: dict[np.dtype[np.generic], DType] = {_NUMPY[name]: d for name, d in DTYPES.items()}


def dtype_named(name: str) -> DType:
    """The dtype called ``name``; raises ``KeyError`` for an unknown name."""
    return DTYPES[name]


def from_numpy(dtype: np.dtype[np.generic]) -> DType | None:
    """The row for a NumPy dtype in native byte order, or None if kernels have no such scalar (strings, objects, records)."""
    return _FROM_NUMPY.get(dtype)


def complex_of(component: DType) -> DType:
    """complex64 for float32 and smaller, complex128 for float64."""
    return complex128 if component is float64 else complex64


@cache
def promote(a: DType, b: DType) -> DType:
    """NumPy 2's ``promote_types``; bfloat16 goes with integers as float16 does, and meets float16 in float32."""
    if a is b:
        return a
    if bfloat16 in (a, b):
        other = b if a is bfloat16 else a
        return float32 if other is float16 else (bfloat16 if (met := promote(float16, other)) is float16 else met)
    return _FROM_NUMPY[np.promote_types(a.numpy, b.numpy)]


_RANK = {"b": 0, "i": 1, "u": 1, "f": 2, "c": 3}


def promote_weak(weak: DType, strong: DType) -> DType:
    """The type in which a Python scalar (bool, int64, float64 or complex128 as ``weak``) meets a typed value, as NumPy 2 has it.

    A scalar of the same or a lower kind takes the other's type; a float that meets an integer is float64; a complex that
    meets a float is the complex type of that float.
    """
    if _RANK[weak.kind] <= _RANK[strong.kind]:
        return strong
    if weak.kind == "c" and strong.is_float:
        return complex_of(strong.component)
    return weak


@dataclass(frozen=True, slots=True)
class Field:
    """A scalar inside a record element: its name, dtype and byte offset."""

    name: str
    dtype: DType
    offset: int


def plain_fields(dtype: DType) -> tuple[Field, ...]:
    """The fields of an array of ``dtype``: one, or a complex number's two parts."""
    if dtype.is_complex:
        part = dtype.component
        return (Field("real", part, 0), Field("imag", part, part.itemsize))
    return (Field("", dtype, 0),)
