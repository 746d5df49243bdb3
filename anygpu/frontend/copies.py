"""``array[slices] = value``: loops over the selected elements, with NumPy's broadcasting."""

from __future__ import annotations

from collections.abc import Callable

from anygpu.dtypes import bool_, int64
from anygpu.errors import Location
from anygpu.frontend.context import KernelError, Scope
from anygpu.frontend.indexing import load, select, store
from anygpu.frontend.types import Axis, Element, Scalar, Value, View
from anygpu.ir import build
from anygpu.ir.build import integer
from anygpu.ir.kernel import Assert, Const, Expr, For, Ref

UNEQUAL = "a part of an array can only be set to one of the same length, or of length 1"


def store_view(scope: Scope, view: View, value: Value, loc: Location) -> None:
    """Set a part of an array to a number or to another array's part."""
    lengths = [scope.pin(axis.length) for axis in view.axes]
    if not isinstance(value, View):
        _loops(scope, lengths, [], loc, lambda index: _set(scope, view, index, value, loc))
        return
    if value.ndim > view.ndim:
        raise KernelError(f"a {value.ndim}-d array cannot be stored into a {view.ndim}-d part")
    targets = view.axes[view.ndim - value.ndim :]
    backward = _backward(scope, view, value)
    # a row of an array may be among the rows that it goes to, and would be read after it is written
    spread = backward is None or view.ndim == 1
    single = [_broadcast(scope, target, source, spread, loc) for target, source in zip(targets, value.axes, strict=True)]

    def copy(counters: list[Expr]) -> None:
        at = counters
        if backward is not None:
            at = [
                scope.pin(build.op("select", backward, build.op("sub", build.op("sub", n, integer(1)), c), c))
                for n, c in zip(lengths, counters, strict=True)
            ]
        own = at[view.ndim - value.ndim :]
        index = [build.op("select", one, integer(0), c) for one, c in zip(single, own, strict=True)]
        source = select(scope, value, tuple(Scalar(i) for i in index))
        _set(scope, view, at, load(scope, source, loc) if isinstance(source, Element) else source, loc)

    _loops(scope, lengths, [], loc, copy)


def _broadcast(scope: Scope, target: Axis, source: Axis, spread: bool, loc: Location) -> Expr:
    """Whether the one element of ``source`` goes to all of ``target``, where it may ``spread``; other lengths that differ are an error."""
    if source.known == 1 and spread:
        return Const(True, bool_)
    if source.known is not None and target.known is not None:
        if source.known != target.known:
            raise KernelError(f"{source.known} elements cannot be stored into a part of {target.known}", "cut both to one length")
    length, wanted = scope.pin(source.length), scope.pin(target.length)
    one = scope.pin(build.op("eq", length, integer(1))) if spread else Const(False, bool_)
    if not (isinstance(length, Const) and isinstance(wanted, Const)):
        scope.emit(Assert(build.op("or", one, build.op("eq", length, wanted)), UNEQUAL, loc))
    return one


def _backward(scope: Scope, view: View, value: View) -> Expr | None:
    """Whether to copy from the end, where both are parts of one array: NumPy reads all before it writes any.

    Parts with the same steps along the same axes differ by an offset, and the first axis along which they do decides.
    """
    if view.array is not value.array or view.ndim == 0:
        return None
    if [(a.of, a.step) for a in view.axes] != [(a.of, a.step) for a in value.axes]:
        raise KernelError("an array's part cannot be set to one of its own with other steps or axes", "write the loops")
    result: Expr = Const(False, bool_)
    for axis, other in zip(view.axes[::-1], value.axes[::-1], strict=True):
        ours, theirs = axis.start or integer(0), other.start or integer(0)
        later = build.op("gt" if axis.step > 0 else "lt", ours, theirs)
        result = build.op("select", build.op("eq", ours, theirs), result, later)
    return scope.pin(result)


def _set(scope: Scope, view: View, index: list[Expr], value: Value, loc: Location) -> None:
    element = select(scope, view, tuple(Scalar(i) for i in index))
    if isinstance(element, View):
        element = Element(element, tuple(f for f in element.fixed if f is not None))
    store(scope, element, value, loc)


def _loops(scope: Scope, lengths: list[Expr], counters: list[Expr], loc: Location, body: Callable[[list[Expr]], None]) -> None:
    if len(counters) == len(lengths):
        body(counters)
        return
    counter = scope.temporary(int64, "i")
    with scope.nested() as inner:
        _loops(scope, lengths, [*counters, Ref(counter)], loc, body)
    scope.emit(For(counter, integer(0), lengths[len(counters)], integer(1), tuple(inner), loc))


__all__ = ["store_view"]
