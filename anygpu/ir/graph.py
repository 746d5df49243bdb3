"""GRAPH IR: pure operations on whole arrays. Array expressions become it; fusion turns it into kernels.

A `Node` is a value that never changes. What a user sees as mutation makes a new node (``update``), and only the execution may reuse
memory. Shapes are concrete, but compiled kernels do not depend on them.

======== ======================================== ==================================================================================
op       attrs                                    value
======== ======================================== ==================================================================================
source   ()                                       what lies at ``place``
scalar   (value,)                                 one number, given to kernels at run time
iota     ()                                       0, 1, 2, ... along the last axis, int64
map      (function, dtypes)                       a NumPy ufunc by name on operands converted to ``dtypes``, broadcast to the shape
cast     ()                                       conversion by value
view     ((start, axis, step), ...)               element ``start + step*index[axis]`` along each operand axis; axis -1: ``start`` alone
gather   ((start, axis, step), ...)               as view; axis -2: the index along this operand axis is the value of index operand
                                                  number ``start`` (0: the one after the array), counted from the end if negative
reshape  ()                                       the same elements in C order
reduce   (function, axes)                         a ufunc's ``reduce`` over the axes, which disappear; also "argmin" and "argmax"
scan     (function, axis)                         a ufunc's ``accumulate`` along an axis
update   (offset, strides)                        the first operand, with the second (broadcast to no other shape than its own) at the
                                                  elements ``offset + sum(index * stride)`` of its C order
scatter  (offset, strides, shape, axes, function, as update, of those elements that ``axes`` choose as in gather from the array of
         distinct)                                ``shape`` that offset and strides show. Operands: the array, values, indices. In C order,
                                                  combined with what is there by the function, if it is not ""; ``distinct`` if no element
                                                  is chosen twice
======== ======================================== ==================================================================================
"""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable, Iterable
from dataclasses import dataclass
from typing import Protocol

from anygpu.dtypes import DType
from anygpu.errors import WrongDeviceError

Shape = tuple[int, ...]
AxisMap = tuple[tuple[int, int, int], ...]  # for each operand axis: start, axis of the result (or -1), step
COMPUTED = -2  # the axis of an index that is itself a value


class Memory(Protocol):
    """Bytes on a device (by its name) that someone keeps alive, from ``address``, which kernels take, to ``end``."""

    @property
    def address(self) -> int: ...

    @property
    def device(self) -> str: ...

    @property
    def writeable(self) -> bool: ...

    @property
    def end(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where an array lies: the first element is ``offset`` bytes into the memory; ``strides`` are in bytes."""

    memory: Memory
    offset: int
    strides: Shape

    @property
    def address(self) -> int:
        return self.memory.address + self.offset


class Node:
    """A pure array value. ``place`` is where it lies once it has been computed; everything else is fixed. Compared by identity.

    ``device`` is where it is computed, by name: where its operands are. None for numbers and what is made of them alone, and for
    constants of the host: they go where they are needed.

    Raises `WrongDeviceError` for operands on different devices.
    """

    __slots__ = ("__weakref__", "args", "attrs", "device", "dtype", "op", "place", "shape")

    def __init__(
        self, op: str, args: tuple[Node, ...], attrs: tuple[Hashable, ...], shape: Shape, dtype: DType, place: Place | None = None
    ):
        self.op = op
        self.args = args
        self.attrs = attrs
        self.shape = shape
        self.dtype = dtype
        self.place = place
        device = None
        if place is not None:
            device = place.memory.device
        else:
            for arg in args:
                of = arg.device
                if of is not device and of is not None and of != device:
                    if device is not None:
                        raise apart(device, of)
                    device = of
        self.device: str | None = device

    def __repr__(self) -> str:
        inside = ", ".join([*(repr(a) for a in self.attrs), *(f"{a.op}{list(a.shape)}" for a in self.args)])
        return f"<{self.op}({inside}) {self.dtype}{list(self.shape)}{'' if self.place is None else ' computed'}>"

    @property
    def size(self) -> int:
        return math.prod(self.shape)


def apart(first: str, second: str) -> WrongDeviceError:
    """The error of an operation whose operands are on two devices."""
    hint = f"x.to_device('{first}') copies x"
    return WrongDeviceError(f"an operation takes arrays of one device, not of {first} and {second}\n  hint: {hint}")


@functools.lru_cache(maxsize=4096)
def contiguous(shape: Shape, itemsize: int) -> Shape:
    """The strides of an array in C order, in bytes."""
    strides = [0] * len(shape)
    step = itemsize
    for axis in range(len(shape) - 1, -1, -1):
        strides[axis] = step
        step *= shape[axis]
    return tuple(strides)


@functools.lru_cache(maxsize=4096)
def identity(shape: Shape) -> AxisMap:
    """The view that shows everything as it is."""
    return tuple((0, axis, 1) for axis in range(len(shape)))


def broadcast(shape: Shape, to: Shape) -> AxisMap:
    """The view that shows an array of ``shape`` in the shape ``to``."""
    shift = len(to) - len(shape)
    return tuple((0, axis + shift, 1) if n == to[axis + shift] else (0, -1, 0) for axis, n in enumerate(shape))


def broadcasts_to(shape: Shape, to: Shape) -> bool:
    """Whether an array of ``shape`` can be shown in the shape ``to``."""
    shift = len(to) - len(shape)
    return shift >= 0 and all(n in (1, to[axis + shift]) for axis, n in enumerate(shape))


def shape_text(shape: Shape) -> str:
    return "(" + ",".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"


def compose(outer: AxisMap, inner: AxisMap) -> AxisMap:
    """The view ``inner`` of an array, itself seen through ``outer``, which gives the index along each axis of what ``inner`` shows."""
    found = []
    for start, axis, step in inner:
        if axis < 0:
            found.append((start, -1, 0))
        else:
            first, of, by = outer[axis]
            found.append((start + step * first, of, step * by))
    return tuple(found)


def postorder(roots: Iterable[Node]) -> list[Node]:
    """Every node that has not been computed and that the roots need, operands first. No recursion: a loop may record deep graphs."""
    found: list[Node] = []
    seen: set[int] = set()
    for root in roots:
        stack = [root]
        while stack:
            node = stack[-1]
            if id(node) in seen or node.place is not None:
                stack.pop()
                continue
            waiting = [arg for arg in node.args if arg.place is None and id(arg) not in seen]
            if waiting:
                stack += waiting[::-1]  # the first is the first to be taken off
            else:
                stack.pop()
                seen.add(id(node))
                found.append(node)
    return found
