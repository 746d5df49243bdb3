"""Scatters of fused kernels to elements of which one may be named several times.

By one work-item, which stores one element after the other; or by all, in two kernels: in the first each claims the elements that it
writes by its position, of which the greatest stays, in the second those store whose claim has stayed. What a function combines goes
there by atomics, if it may be combined in any order.
"""

from __future__ import annotations

from collections.abc import Sequence

from anygpu.dtypes import dtype_named, int64
from anygpu.frontend.atomics import atomic_operation
from anygpu.frontend.fused_steps import Emitter, apply, ravel
from anygpu.frontend.types import Scalar, leaves
from anygpu.ir import build
from anygpu.ir.kernel import Atomic, Expr, For, If, Ref, Special
from anygpu.passes.fusion import ATOMIC


def ordered(made: Emitter, extents: Sequence[Expr], axis: int = 0) -> None:
    """Store every element of the axes that are not kept, in C order."""
    if axis == len(extents):
        made.run(range(len(made.form.steps)))
        for array, (step, access) in zip(made.outputs, made.form.outputs, strict=True):
            value = made.values[step]
            if made.form.combine:
                dtype = dtype_named(access.dtype)
                value = made.convert(apply(made.scope, made.form.combine, [made.load(array, access), made.convert(value, dtype)]), dtype)
            made.store(array, access, value)
        return
    var = made.scope.temporary(int64, "k")
    made.index.append(Ref(var))
    with made.scope.nested() as body:
        ordered(made, extents, axis + 1)
    made.index.pop()
    made.scope.emit(For(var, build.integer(0), extents[axis], build.integer(1), tuple(body)))


def claim(made: Emitter) -> None:
    """Put the position of an element where it goes, if there is no greater one."""
    made.run(range(len(made.form.steps)))
    (array,), ((_, access),) = made.outputs, made.form.outputs
    at = made.scope.pin(made.position(access, array.name))
    position = build.cast(_position(made), dtype_named(access.dtype))
    made.scope.emit(Atomic(None, "max", array.name, (at,), (position,), 0, False))


def winner(made: Emitter) -> None:
    """Store an element whose position is what the last of the loads has where it goes."""
    made.run(range(len(made.form.steps)))
    claims, access = made.loads[-1], made.form.loads[-1]
    claimed = made.load(claims, access)
    assert isinstance(claimed, Scalar)
    with made.scope.nested() as store:
        for array, (step, output) in zip(made.outputs, made.form.outputs, strict=True):
            made.store(array, output, made.values[step])
    position = build.cast(_position(made), dtype_named(access.dtype))
    made.scope.emit(If(build.op("eq", claimed.expr, position), tuple(store)))


def atomic(made: Emitter) -> None:
    """Combine an element with what is where it goes."""
    made.run(range(len(made.form.steps)))
    (array,), ((step, access),) = made.outputs, made.form.outputs
    dtype = dtype_named(access.dtype)
    at = made.scope.pin(made.position(access, array.name))
    value = tuple(leaves(made.convert(made.values[step], dtype)))
    made.scope.emit(Atomic(None, atomic_operation(ATOMIC[made.form.combine], dtype), array.name, (at,), value, 0, False))


def _position(made: Emitter) -> Expr:
    """The position of the work-item's element in C order."""
    axes = range(made.form.kept)
    return ravel([Special("index", axis) for axis in axes], [Special("extent", axis) for axis in axes])
