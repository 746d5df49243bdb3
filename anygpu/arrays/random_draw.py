"""Between the methods of `Generator` and the kernels: parameters checked as NumPy checks them, shapes, outputs, launches."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from anygpu.arrays import creation, elementwise, manipulation
from anygpu.arrays.ndarray import from_host, ndarray
from anygpu.arrays.random_kernels import HELD, LANES, draw_words, each_kernel, integers_kernel, shared_kernel
from anygpu.arrays.random_streams import Philox
from anygpu.ir.graph import Shape
from anygpu.runtime.device_array import DeviceArray


@dataclass(frozen=True)
class Parameter:
    """A parameter of a distribution: a number for all elements, or an array of numbers that is broadcast."""

    value: float | int | ndarray
    shape: Shape
    host: np.ndarray  # its numbers, for checks


@dataclass(frozen=True)
class Rule:
    """What a parameter must not be, and what NumPy says of it: of a number, and of an array."""

    broken: Callable[[np.ndarray], np.ndarray]
    number: str
    array: str

    def check(self, name: str, value: np.ndarray) -> None:
        if np.any(self.broken(value)):
            raise ValueError((self.array if value.ndim else self.number).format(name))


NOT_NEGATIVE = Rule(lambda x: x < 0, "{} < 0", "{} < 0")
POSITIVE = Rule(lambda x: x <= 0, "{} <= 0", "{} <= 0")
CHANCE = Rule(lambda x: ~((x >= 0) & (x <= 1)), "{0} < 0, {0} > 1 or {0} is NaN", "{0} < 0, {0} > 1 or {0} contains NaNs")
POSITIVE_CHANCE = Rule(
    lambda x: ~((x > 0) & (x <= 1)), "{0} <= 0, {0} > 1 or {0} contains NaNs", "{0} <= 0, {0} > 1 or {0} contains NaNs"
)
CHANCE_BELOW_1 = Rule(lambda x: ~((x >= 0) & (x < 1)), "{0} < 0, {0} >= 1 or {0} is NaN", "{0} < 0, {0} >= 1 or {0} contains NaNs")
ABOVE_1 = Rule(lambda x: ~(x > 1), "{0} <= 1 or {0} is NaN", "{0} <= 1 or {0} contains NaNs")
NOT_NEGATIVE_NOT_NAN = Rule(lambda x: ~(x >= 0), "{0} < 0 or {0} is NaN", "{0} < 0 or {0} contains NaNs")
MOST_POISSON = float(np.iinfo(np.int64).max) - math.sqrt(float(np.iinfo(np.int64).max)) * 10


def parameter(name: str, value: object, *rules: Rule, integer: bool = False) -> Parameter:
    """A parameter that obeys rules; raises ``ValueError`` as NumPy does if it does not."""
    wanted = np.int64 if integer else np.float64
    host = value.__array__() if isinstance(value, ndarray) else np.asarray(value)
    host = np.asarray(host if host.dtype.kind in "biuf" else value, wanted)
    for rule in rules:
        rule.check(name, host)
    if host.size == 1:
        return Parameter(host.item(), host.shape, host)
    return Parameter(elementwise.astype(value, wanted) if isinstance(value, ndarray) else creation.asarray(host), host.shape, host)


def extents(size: object) -> Shape:
    """The shape that ``size`` gives."""
    if size is None:
        return ()
    if isinstance(size, ndarray):
        size = size.__array__()
    try:
        found = tuple(np.broadcast_shapes(size)) if not isinstance(size, np.ndarray) else tuple(size.reshape(-1).tolist())  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"expected a sequence of integers or a single integer, got '{size!r}'") from None
    except ValueError:
        raise ValueError("negative dimensions are not allowed") from None
    if any(n < 0 for n in found):
        raise ValueError("negative dimensions are not allowed")
    return found


def common_shape(size: object, parameters: Sequence[Parameter]) -> Shape:
    """The shape of a draw: ``size``, or what the parameters are broadcast to. Raises ``ValueError`` where they do not go together."""
    shapes = [p.shape for p in parameters]
    if size is None and not any(shapes):
        return ()
    shown = [np.broadcast_to(np.empty((), bool), shape) for shape in shapes]
    if size is None:
        return np.broadcast(*shown).shape if len(shown) > 1 else shapes[0]
    wanted = extents(size)
    if not any(shapes):
        return wanted
    found = np.broadcast(np.broadcast_to(np.empty((), bool), wanted), *shown).shape
    if found != wanted:
        raise ValueError(f"Output size {wanted} is not compatible with broadcast dimensions of inputs {found}.")
    return wanted


def real_dtype(dtype: object, what: str) -> str:
    """float32 or float64, by name."""
    wanted = np.dtype(dtype)  # type: ignore[call-overload]
    if wanted.name not in ("float32", "float64") or not wanted.isnative:
        raise TypeError(f"Unsupported dtype {wanted!r} for {what}")
    return str(wanted.name)


def output(size: object, out: object, dtype: str) -> ndarray:
    """The array that a draw fills: ``out`` if it is given and fits, else a new one."""
    if out is None:
        return creation.empty(extents(size), np.dtype(dtype))
    if isinstance(out, np.ndarray):
        if not (out.flags.c_contiguous and out.flags.writeable and out.flags.aligned and out.dtype.isnative):
            raise ValueError("Supplied output array must be contiguous, writable, aligned, and in machine byte-order.")
        out = from_host(out)
    if not isinstance(out, ndarray) or (out._strides is not None and not out.__array__().flags.c_contiguous):
        raise ValueError("Supplied output array must be contiguous, writable, aligned, and in machine byte-order.")
    if out.dtype != np.dtype(dtype):
        raise TypeError(f"Supplied output array has the wrong type. Expected {dtype}, got {out.dtype}")
    if size is not None and extents(size) != out.shape:
        raise ValueError("size must match out.shape when used together")
    return out


def _items(size: int, held: int) -> int:
    """Work-items that draw so many elements, each warp all of its blocks."""
    return -(-size // (LANES * held)) * LANES


def row(out: ndarray) -> np.ndarray | DeviceArray:
    """All elements of an array in C order along one axis, as a launch takes them."""
    return (out if out.ndim == 1 else manipulation.reshape(out, (-1,))).__anygpu_array__()


def words(stream: Philox, size: object) -> ndarray:
    """Random words."""
    out = creation.empty(extents(size), np.dtype(np.uint32))
    if out.size:
        items = _items(out.size, 4)
        draw_words.forall(items)(*stream.take(items), row(out))
    return out


def shared(stream: Philox, name: str, out: ndarray, loc: float = 0.0, scale: float = 1.0) -> ndarray:
    """``loc + scale * x`` of a distribution whose elements share blocks, in ``out``."""
    if out.size:
        dtype = out.dtype.name
        items = _items(out.size, HELD[dtype])
        shared_kernel(name, dtype).forall(items)(*stream.take(items), float(loc), float(scale), row(out))
    return out


def located(stream: Philox, name: str, size: object, dtype: str, loc: Parameter, scale: Parameter) -> ndarray:
    """A distribution with a location and a scale: in one kernel if they are numbers, else recorded as an expression of arrays."""
    out = creation.empty(common_shape(size, (loc, scale)), np.dtype(dtype))
    if not isinstance(loc.value, ndarray) and not isinstance(scale.value, ndarray):
        return shared(stream, name, out, loc.value, scale.value)
    return of(loc, dtype) + of(scale, dtype) * shared(stream, name, out)


def of(parameter: Parameter, dtype: str) -> float | ndarray:
    """A parameter as an operand of an expression in a dtype."""
    value = parameter.value
    return elementwise.astype(value, np.dtype(dtype)) if isinstance(value, ndarray) else value


def each(stream: Philox, sample: Callable[..., object], size: object, dtype: str, parameters: Sequence[Parameter]) -> ndarray:
    """A distribution whose elements have a position each."""
    shape = common_shape(size, parameters)
    out = creation.empty(shape, np.dtype(dtype))
    if out.size == 0:
        return out
    arrays = any(isinstance(p.value, ndarray) for p in parameters)
    given = [_like(p, shape) if arrays else p.value for p in parameters]
    each_kernel(sample, len(given), arrays, dtype).forall(out.size)(*stream.take(out.size), *given, row(out))
    return out


def _like(parameter: Parameter, shape: Shape) -> np.ndarray | DeviceArray:
    """A parameter with one number for each element, along one axis."""
    value = parameter.value
    if not isinstance(value, ndarray):
        return row(creation.full(math.prod(shape), value, parameter.host.dtype))
    return row(value if value.shape == shape else elementwise.copy(manipulation.broadcast_to(value, shape)))


def integers(stream: Philox, low: int, most: int, dtype: np.dtype[np.generic], out: ndarray) -> ndarray:
    """Integers from ``low`` to ``low + most`` in ``out``; ``most`` is below ``2**64``."""
    if out.size:
        word = "uint32" if most < 1 << 32 else "uint64"
        items = _items(out.size, HELD[word])
        count = (most + 1) % (1 << 32 if word == "uint32" else 1 << 64)
        kernel = integers_kernel(word, dtype.name)
        kernel.forall(items)(*stream.take(items), _as_int64(low), _as_int64(count), row(out))
    return out


def _as_int64(value: int) -> int:
    """The signed int with the lowest 64 bits of an int: kernels take such a one as it is."""
    return (value + (1 << 63)) % (1 << 64) - (1 << 63)
