"""Scatters of fused kernels whose order counts: one work-item stores one element after the other."""

from __future__ import annotations

from collections.abc import Sequence

from anygpu.dtypes import dtype_named, int64
from anygpu.frontend.fused_steps import Emitter, apply
from anygpu.ir import build
from anygpu.ir.kernel import Expr, For, Ref


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
