"""Operations element by element: NumPy's ufuncs over arrays, recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from anygpu.arrays.ndarray import from_host, ndarray, wrap
from anygpu.dtypes import DType, bool_, from_numpy
from anygpu.ir.graph import Node, Shape

# The ufuncs that fused kernels compute. The others go to NumPy.
FUSED = (
    "add", "subtract", "multiply", "divide", "floor_divide", "remainder", "fmod", "power", "float_power", "negative", "positive", "absolute",
    "fabs", "sign", "rint", "floor", "ceil", "trunc", "sqrt", "cbrt", "square", "reciprocal", "exp", "exp2", "expm1", "log", "log2", "log10",
    "log1p", "logaddexp", "sin", "cos", "tan", "arcsin", "arccos", "arctan", "arctan2", "hypot", "sinh", "cosh", "tanh", "arcsinh", "arccosh",
    "arctanh", "degrees", "radians", "deg2rad", "rad2deg", "bitwise_and", "bitwise_or", "bitwise_xor", "invert", "left_shift", "right_shift",
    "equal", "not_equal", "less", "less_equal", "greater", "greater_equal", "logical_and", "logical_or", "logical_xor", "logical_not",
    "maximum", "minimum", "fmax", "fmin", "isnan", "isinf", "isfinite", "signbit", "copysign", "nextafter", "spacing", "heaviside", "gcd",
    "lcm", "conjugate", "bitwise_count", "ldexp",
)  # fmt: skip
# What fused kernels compute for complex numbers.
COMPLEX = frozenset((
    "add", "subtract", "multiply", "divide", "negative", "positive", "absolute", "square", "reciprocal", "exp", "log", "sqrt", "sin", "cos",
    "sinh", "cosh", "equal", "not_equal", "isnan", "isinf", "isfinite", "conjugate", "power", "logical_not",
))  # fmt: skip
_PYTHON = (bool, int, float, complex)


@dataclass(frozen=True)
class _Loop:
    """How a ufunc computes for some operand types: the dtypes of its loop. ``fused`` if kernels have it."""

    operands: tuple[DType, ...]
    result: DType
    attrs: tuple[str, tuple[str, ...]]
    fused: bool


_loops: dict[tuple[object, ...], _Loop] = {}


def _loop(name: str, kinds: tuple[object, ...]) -> _Loop:
    ufunc: np.ufunc = getattr(np, name)
    given = tuple(k.numpy if isinstance(k, DType) else k for k in kinds)
    if bool in given:
        given = tuple(np.dtype(bool) if k is bool else k for k in given)
    found = ufunc.resolve_dtypes((*given, None))  # type: ignore[arg-type]
    operands = tuple(from_numpy(d) for d in found[:-1])
    result = from_numpy(found[-1])
    if None in operands or result is None:
        raise TypeError(f"np.{name} of {', '.join(map(str, given))} gives {found[-1]}, which arrays cannot hold")
    fused = name in _FUSED and (name in COMPLEX or not any(d.is_complex for d in operands))  # type: ignore[union-attr]
    return _Loop(operands, result, (name, tuple(d.name for d in operands)), fused)  # type: ignore[arg-type,union-attr]


_FUSED = frozenset(FUSED)


def operand(value: object) -> Node | bool | int | float | complex:
    """What an operation takes an operand as: a node, or a Python number, which is weak."""
    if type(value) is ndarray:
        return value._node()
    if type(value) in _PYTHON:
        return value  # type: ignore[return-value]
    if isinstance(value, ndarray):
        return value._node()
    found = np.asarray(value)
    if isinstance(value, _PYTHON) and not isinstance(value, np.generic):
        return found.item()  # type: ignore[no-any-return]
    if not found.shape and isinstance(value, np.generic):
        dtype = from_numpy(found.dtype)
        if dtype is not None:
            return Node("scalar", (), (found.item(),), (), dtype)
    return from_host(found)._node()


def scalar(value: object, dtype: DType) -> Node:
    """A number in the dtype of a loop; ``OverflowError`` if a Python integer does not fit, as NumPy has it."""
    with np.errstate(over="ignore"):
        converted = np.asarray(value, dtype.numpy)
    if dtype.is_complex:
        raise AssertionError("complex scalars are arrays of no axes")
    return Node("scalar", (), (converted.item() if dtype.name != "bfloat16" else float(converted),), (), dtype)


def map_nodes(name: str, given: tuple[Node | bool | int | float | complex, ...]) -> Node:
    """The node of a ufunc of operands."""
    kinds = tuple([g.dtype if type(g) is Node else type(g) for g in given])
    loop = _loops.get((name, *kinds))
    if loop is None:
        loop = _loops[name, *kinds] = _loop(name, kinds)
    if not loop.fused:
        return _by_numpy(name, given)
    nodes = []
    shape: Shape | None = None
    for value, dtype in zip(given, loop.operands, strict=True):
        if type(value) is Node:
            nodes.append(value)
            if value.shape != shape:
                shape = value.shape if shape is None or not shape else _broadcast(shape, value.shape, name)
        elif dtype.is_complex:
            nodes.append(from_host(np.asarray(value, dtype.numpy))._node())
        else:
            nodes.append(scalar(value, dtype))
    return Node("map", tuple(nodes), loop.attrs, shape or (), loop.result)


def _broadcast(a: Shape, b: Shape, name: str) -> Shape:
    try:
        return np.broadcast_shapes(a, b)
    except ValueError:
        raise ValueError(f"operands could not be broadcast together with shapes {_text(a)} {_text(b)}") from None


def _text(shape: Shape) -> str:
    return "(" + ",".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"


def _by_numpy(name: str, given: tuple[Node | bool | int | float | complex, ...]) -> Node:
    values = [wrap(g).__array__() if isinstance(g, Node) else g for g in given]
    return from_host(np.asarray(getattr(np, name)(*values)))._node()


def binary(name: str) -> Callable[[ndarray, object], ndarray]:
    """An operator of two operands."""

    def operator(self: ndarray, other: object) -> ndarray:
        if other is None or isinstance(other, str):
            return NotImplemented
        return wrap(map_nodes(name, (self._node(), operand(other))))

    return operator


def reflected(name: str) -> Callable[[ndarray, object], ndarray]:
    """An operator whose left operand is not an array."""

    def operator(self: ndarray, other: object) -> ndarray:
        return wrap(map_nodes(name, (operand(other), self._node())))

    return operator


def unary(name: str) -> Callable[[ndarray], ndarray]:
    def operator(self: ndarray) -> ndarray:
        return wrap(map_nodes(name, (self._node(),)))

    return operator


def assign(target: ndarray, value: Node) -> None:
    """Give a target's elements the values of a node, which is broadcast to its shape, and converted to its dtype."""
    storage = target._storage
    dtype = storage.node.dtype
    if value.shape != target.shape:
        shown = np.broadcast_shapes(value.shape, target.shape)
        if shown != target.shape:
            raise ValueError(f"could not broadcast input array from shape {_text(value.shape)} into shape {_text(target.shape)}")
    base = storage.node
    if target._strides is None and base.place is None:
        if value.shape != target.shape or value.dtype is not dtype:
            value = Node("cast", (_shown(value, target.shape),), (), target.shape, dtype)
        storage.node = value
    else:
        strides = target._strides
        if strides is None:
            from anygpu.ir.graph import contiguous

            strides = contiguous(target.shape, 1)
        storage.node = Node("update", (base, _shown(value, target.shape)), (target._offset, strides), base.shape, dtype)
    from anygpu.arrays.ndarray import pending

    if storage.node.place is None:
        pending.add(storage)


def _shown(value: Node, shape: Shape) -> Node:
    if value.shape == shape:
        return value
    from anygpu.ir.graph import broadcast

    return Node("view", (value,), broadcast(value.shape, shape), shape, value.dtype)


def in_place(name: str) -> Callable[[ndarray, object], ndarray]:
    """An operator that changes its left operand."""

    def operator(self: ndarray, other: object) -> ndarray:
        found = map_nodes(name, (self._node(), operand(other)))
        mine = self._storage.node.dtype
        if found.dtype is not mine and not np.can_cast(found.dtype.numpy, mine.numpy, "same_kind"):
            raise np._core._exceptions._UFuncOutputCastingError(getattr(np, name), "same_kind", found.dtype.numpy, mine.numpy, 0)  # type: ignore[attr-defined]
        if found.shape != self.shape:
            raise ValueError(
                f"non-broadcastable output operand with shape {_text(self.shape)} doesn't match the broadcast shape {_text(found.shape)}"
            )
        assign(self, found)
        return self

    return operator


_OPERATORS = {
    "add": "add", "sub": "subtract", "mul": "multiply", "truediv": "divide", "floordiv": "floor_divide", "mod": "remainder", "pow": "power",
    "and": "bitwise_and", "or": "bitwise_or", "xor": "bitwise_xor", "lshift": "left_shift", "rshift": "right_shift",
}  # fmt: skip
for _method, _ufunc in _OPERATORS.items():
    setattr(ndarray, f"__{_method}__", binary(_ufunc))
    setattr(ndarray, f"__r{_method}__", reflected(_ufunc))
    setattr(ndarray, f"__i{_method}__", in_place(_ufunc))
for _method, _ufunc in {
    "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal"
}.items():
    setattr(ndarray, f"__{_method}__", binary(_ufunc))
for _method, _ufunc in {"neg": "negative", "pos": "positive", "abs": "absolute", "invert": "invert"}.items():
    setattr(ndarray, f"__{_method}__", unary(_ufunc))
ndarray.__hash__ = None  # type: ignore[assignment]


__all__ = ["FUSED", "assign", "bool_", "map_nodes", "operand"]
