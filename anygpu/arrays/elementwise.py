"""Operations element by element: NumPy's ufuncs over arrays, recorded."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from anygpu.arrays.ndarray import fresh, from_host, ndarray, numpy_of, pending, strides_of, wrap
from anygpu.dtypes import DType, bool_, float32, float64, from_numpy, int64, uint64
from anygpu.engine.devices import Device
from anygpu.engine.places import moved
from anygpu.ir.graph import Node, Shape, broadcast, broadcasts_to, identity, shape_text

# The ufuncs that fused kernels compute. The others go to NumPy.
FUSED = (
    "add", "subtract", "multiply", "divide", "floor_divide", "remainder", "fmod", "power", "float_power", "negative", "positive",
    "absolute", "fabs", "sign", "rint", "floor", "ceil", "trunc", "sqrt", "cbrt", "square", "reciprocal", "exp", "exp2", "expm1",
    "log", "log2", "log10", "log1p", "logaddexp", "sin", "cos", "tan", "arcsin", "arccos", "arctan", "arctan2", "hypot", "sinh",
    "cosh", "tanh", "arcsinh", "arccosh", "arctanh", "degrees", "radians", "deg2rad", "rad2deg", "bitwise_and", "bitwise_or",
    "bitwise_xor", "invert", "left_shift", "right_shift", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal",
    "logical_and", "logical_or", "logical_xor", "logical_not", "maximum", "minimum", "fmax", "fmin", "isnan", "isinf", "isfinite",
    "signbit", "copysign", "nextafter", "spacing", "heaviside", "gcd", "lcm", "conjugate", "bitwise_count", "ldexp",
)  # fmt: skip
# What fused kernels compute for complex numbers.
COMPLEX = frozenset((
    "add", "subtract", "multiply", "divide", "negative", "positive", "absolute", "square", "reciprocal", "exp", "expm1", "log", "sqrt",
    "sin", "cos", "tan", "sinh", "cosh", "tanh", "equal", "not_equal", "isnan", "isinf", "isfinite", "conjugate", "power", "logical_not",
))  # fmt: skip
_PYTHON = (bool, int, float, complex)
Operand = Node | bool | int | float | complex


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
    fused = fused and not (name == "spacing" and operands[0].is_half)  # type: ignore[union-attr]
    return _Loop(operands, result, (name, tuple(d.name for d in operands)), fused)  # type: ignore[arg-type,union-attr]


_FUSED = frozenset(FUSED)
_COMPARISONS = frozenset(("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"))


def _comparable(kind: object, value: object, other: object) -> object:
    """The type as which a Python integer is compared: a wider one, if it does not fit that of the array."""
    if type(value) is not int or not isinstance(other, DType) or not other.is_integer or other.minimum <= value <= other.maximum:
        return kind
    return int64 if int64.minimum <= value <= int64.maximum else uint64 if 0 <= value <= uint64.maximum else float


def fused_name(ufunc: np.ufunc) -> str | None:
    """The name under which fused kernels know a ufunc; None if they do not."""
    name = ufunc.__name__
    return name if name in _FUSED and getattr(np, name) is ufunc else None


def operand(value: object) -> Node | bool | int | float | complex:
    """What an operation takes an operand as: a node, or a Python number, which is weak."""
    if type(value) is ndarray:
        return value._node()
    if type(value) in _PYTHON:
        return value  # type: ignore[return-value]
    if isinstance(value, ndarray):
        return value._node()
    found = np.array(value)  # a copy: whoever gave it may change it before it is read
    if from_numpy(found.dtype) is None:
        raise TypeError(f"arrays of {found.dtype} are not supported")
    if isinstance(value, _PYTHON) and not isinstance(value, np.generic):
        return found.item()  # type: ignore[no-any-return]
    if isinstance(value, np.generic) and not np.iscomplexobj(value):
        return Node("scalar", (), (float(value) if found.dtype.kind not in "biu" else found.item(),), (), known(found.dtype))
    return constant(found)


def constant(value: np.ndarray) -> Node:
    """A host array as an operand, which goes to the device of the others."""
    node = from_host(value)._node()
    node.device = None
    return node


_EXACT, _SMALL, _SINGLE = 1 << 53, 3e38, struct.Struct("f")  # ints that float64 has, and numbers that float32 has, which this rounds to


def scalar(value: object, dtype: DType) -> Node:
    """A number in the dtype of a loop; ``OverflowError`` if a Python integer does not fit, as NumPy has it."""
    if type(value) is float or (type(value) is int and abs(value) <= _EXACT):
        if dtype is float64:
            return Node("scalar", (), (float(value),), (), dtype)
        if dtype is float32 and abs(value) <= _SMALL:
            return Node("scalar", (), _SINGLE.unpack(_SINGLE.pack(value)), (), dtype)
    with np.errstate(over="ignore"):
        converted = np.asarray(value, dtype.numpy)
    if dtype.is_complex:
        raise AssertionError("complex scalars are arrays of no axes")
    return Node("scalar", (), (converted.item() if dtype.name != "bfloat16" else float(converted),), (), dtype)


def map_nodes(name: str, given: tuple[Node | bool | int | float | complex, ...], out: ndarray | None = None) -> Node:
    """The node of a ufunc of operands, of whose result ``out`` takes the value if it is given."""
    if name == "power":
        name, given = _short_power(*given)
    kinds: tuple[object, ...] = tuple([g.dtype if type(g) is Node else type(g) for g in given])
    if int in kinds and name in _COMPARISONS:
        kinds = tuple([_comparable(k, g, other) for k, g, other in zip(kinds, given, reversed(kinds), strict=True)])
    loop = _loops.get((name, *kinds))
    if loop is None:
        loop = _loops[name, *kinds] = _loop(name, kinds)
    if out is not None:
        check_cast(loop.result, out, name)
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
            nodes.append(constant(np.asarray(value, dtype.numpy)))
        else:
            nodes.append(scalar(value, dtype))
    return Node("map", tuple(nodes), loop.attrs, shape or (), loop.result)


# Powers that NumPy, too, computes by a function that is exact, or is correctly rounded, and takes a fraction of the time.
_SHORT_POWERS = {2.0: "square", 0.5: "sqrt", 1.0: "positive", -1.0: "reciprocal"}


def _short_power(x: Operand, exponent: Operand) -> tuple[str, tuple[Operand, ...]]:
    """How a power is computed: the function and its operands."""
    if type(x) is Node and type(exponent) in (int, float):
        short = _SHORT_POWERS.get(exponent)  # type: ignore[arg-type]
        if short is not None and (x.dtype.is_float or (short == "square" and type(exponent) is int and x.dtype.is_integer)):
            return short, (x,)
    return "power", (x, exponent)


def _broadcast(a: Shape, b: Shape, name: str) -> Shape:
    try:
        return np.broadcast_shapes(a, b)
    except ValueError:
        raise ValueError(f"operands could not be broadcast together with shapes {shape_text(a)} {shape_text(b)}") from None


def _by_numpy(name: str, given: tuple[Node | bool | int | float | complex, ...]) -> Node:
    values = [numpy_of(g) if isinstance(g, Node) else g for g in given]
    device = next((g.device for g in given if isinstance(g, Node) and g.device is not None), None)
    found = constant(np.asarray(getattr(np, name)(*values), order="C"))
    return found if device is None else moved(found, device)


def binary(name: str, a: object, b: object) -> ndarray:
    """An operator; ``NotImplemented`` for operands that are no numbers or arrays."""
    try:
        given = operand(a), operand(b)
    except TypeError:
        return NotImplemented  # type: ignore[no-any-return]
    return fresh(map_nodes(name, given))


def call(name: str, *args: object) -> ndarray:
    """A ufunc of operands."""
    return fresh(map_nodes(name, tuple([operand(a) for a in args])))


def in_place(name: str, target: ndarray, value: object) -> ndarray:
    """An operator that changes its left operand."""
    store(target, map_nodes(name, (target._node(), operand(value)), target))
    return target


def check_cast(dtype: DType, target: ndarray, name: str = "") -> None:
    """Raise as NumPy does if an ``out`` array cannot take values of a dtype."""
    mine = target._storage.node.dtype
    if dtype is not mine and not np.can_cast(dtype.numpy, mine.numpy, "same_kind"):
        what = f"ufunc '{name}' output " if name else ""
        raise TypeError(f"Cannot cast {what}from {dtype.numpy!r} to {mine.numpy!r} with casting rule 'same_kind'")


def store(target: ndarray, found: Node) -> None:
    """Give an ``out`` array the value of an operation; raises as NumPy does if dtype or shape do not allow it."""
    check_cast(found.dtype, target)
    if found.shape != target.shape:
        if np.broadcast_shapes(found.shape, target.shape) != target.shape:
            mine, its = shape_text(target.shape), shape_text(found.shape)
            raise ValueError(f"non-broadcastable output operand with shape {mine} doesn't match the broadcast shape {its}")
    assign(target, found)


def check_writeable(base: Node) -> None:
    """Raise as NumPy does for elements that lie in memory which must not be written to."""
    if base.place is not None and not base.place.memory.writeable:
        raise ValueError("assignment destination is read-only")


def refuse_repeated(target: ndarray) -> None:
    """Raise as NumPy does for an assignment to elements that an array shows several times."""
    if target._strides is None or 0 in target.shape:
        return
    if any(s == 0 and n > 1 for s, n in zip(target._strides, target.shape, strict=True)):
        raise ValueError("assignment destination is read-only")


def assign(target: ndarray, value: Node) -> None:
    """Give a target's elements the values of a node, which is broadcast to its shape and converted to its dtype."""
    storage = target._storage
    base = storage.node
    check_writeable(base)
    refuse_repeated(target)
    extra = len(value.shape) - len(target.shape)
    if extra > 0 and value.shape[:extra] == (1,) * extra:  # NumPy drops leading axes of one element here
        shape = value.shape[extra:]
        value = Node("view", (value,), ((0, -1, 0),) * extra + identity(shape), shape, value.dtype)
    if value.shape != target.shape:
        if not broadcasts_to(value.shape, target.shape):
            raise ValueError(f"could not broadcast input array from shape {shape_text(value.shape)} into shape {shape_text(target.shape)}")
        value = Node("view", (value,), broadcast(value.shape, target.shape), target.shape, value.dtype)
    if target._strides is None and value.device in (None, base.device) and not _in_memory(base):
        same = value.dtype is base.dtype
        storage.node = value if same else Node("cast", (value,), (), target.shape, base.dtype)
        storage.node.device = base.device
    else:
        strides = strides_of(target)
        storage.node = Node("update", (base, value), (target._offset, strides), base.shape, base.dtype)
    if storage.node.place is None:
        pending.add(storage)


def _in_memory(node: Node) -> bool:
    """Whether a value is, or is about to be, in memory that others may share."""
    while node.place is None and node.op in ("update", "scatter"):
        node = node.args[0]
    return node.place is not None


def scalar_for(value: bool | int | float | complex, x: ndarray) -> Node:
    """A Python number as an element of an array; raises as NumPy's assignment does."""
    dtype = x._storage.node.dtype
    if isinstance(value, complex) and not dtype.is_complex:
        raise TypeError(f"{'int' if dtype.is_integer else 'float'}() argument must be a string or a real number, not 'complex'")
    converted = np.empty((), dtype.numpy)
    converted[...] = value
    return constant(converted)


def copy(x: ndarray) -> ndarray:
    """A copy of an array."""
    node = x._node()
    return wrap(Node("cast", (node,), (), node.shape, node.dtype))


def astype(x: ndarray, dtype: object, *, casting: str = "unsafe", copy: bool = True, device: str | Device | None = None) -> ndarray:
    """The elements converted to a dtype, as `numpy.ndarray.astype` does, on a device if one is named."""
    if device is not None:
        x = x.to_device(device)
    wanted = np.dtype(dtype)  # type: ignore[call-overload]
    if not np.can_cast(x.dtype, wanted, casting):  # type: ignore[arg-type]
        raise TypeError(f"Cannot cast array data from {x.dtype!r} to {wanted!r} according to the rule '{casting}'")
    if wanted == x.dtype and not copy:
        return x
    node = x._node()
    return wrap(Node("cast", (node,), (), node.shape, known(wanted)))


def known(dtype: object) -> DType:
    """The row of a NumPy dtype; ``TypeError`` if arrays cannot hold it."""
    wanted = np.dtype(dtype)  # type: ignore[call-overload]
    found = from_numpy(wanted)
    if found is None:
        raise TypeError(f"arrays of {wanted} are not supported")
    return found


def real(x: ndarray) -> ndarray:
    """The real part of each element; the array itself if it is real."""
    return wrap(_part(x._node(), "real")) if x._storage.node.dtype.is_complex else x


def imag(x: ndarray) -> ndarray:
    """The imaginary part of each element; zeros if the array is real."""
    return wrap(_part(x._node(), "imag"))


def _part(node: Node, name: str) -> Node:
    if not node.dtype.is_complex:
        return Node("view", (Node("scalar", (), (0,), (), node.dtype),), (), node.shape, node.dtype)
    return Node("map", (node,), (name, (node.dtype.name,)), node.shape, node.dtype.component)


def round_(x: ndarray, decimals: int = 0, out: ndarray | None = None) -> ndarray:
    """The elements rounded to some decimals, ties to even."""
    if decimals == 0 and x._storage.node.dtype.is_float:
        return finish(call("rint", x), out)
    return host.array(np.round, (x, decimals), {"out": out})


def clip(x: ndarray, low: object = None, high: object = None, out: ndarray | None = None) -> ndarray:
    """The elements, at least ``low`` and at most ``high``. Python's ints may be beyond what an array of integers holds."""
    if x.dtype.kind in "iu":
        limits = np.iinfo(x.dtype.type)  # type: ignore[type-var]
        low = None if type(low) is int and low <= limits.min else low
        high = None if type(high) is int and high >= limits.max else high
    found = x
    if low is not None and high is not None:
        kinds = [g.dtype.numpy if isinstance(g, Node) else g for g in map(operand, (low, high))]
        found = x.astype(np.result_type(x.dtype, *kinds), copy=False)
    if low is not None:
        found = call("maximum", found, low)
    if high is not None:
        found = call("minimum", found, high)
    return finish(copy(x) if found is x else found, out)


def where(condition: object, x: object, y: object) -> ndarray:
    """Elements of ``x`` where the condition holds, else of ``y``."""
    chosen, a, b = operand(condition), operand(x), operand(y)
    kinds = tuple([g.dtype.numpy if isinstance(g, Node) else g for g in (a, b)])
    dtype = known(np.result_type(*kinds))
    parts = []
    for value, wanted in ((chosen, bool_), (a, dtype), (b, dtype)):
        if not isinstance(value, Node):
            parts.append(scalar(value, wanted) if not wanted.is_complex else constant(np.asarray(value, wanted.numpy)))
        else:
            parts.append(value)
    shape: Shape = ()
    for part in parts:
        shape = _broadcast(shape, part.shape, "where")
    return wrap(Node("map", tuple(parts), ("where", ("bool", dtype.name, dtype.name)), shape, dtype))


def finish(found: ndarray, out: object) -> ndarray:
    """The result, or the ``out`` that was given, with its value."""
    if isinstance(out, tuple):
        (out,) = out
    if out is None:
        return found
    if not isinstance(out, ndarray):
        raise TypeError(f"out is an array of anygpu's, not {type(out).__module__}.{type(out).__name__}")
    store(out, found._node())
    return out


from anygpu.arrays import host  # noqa: E402 (at the end, since it builds on this)
