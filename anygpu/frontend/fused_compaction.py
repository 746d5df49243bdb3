"""Compaction in fused kernels: a warp counts, or stores, the elements of a part of a mask that hold."""

from __future__ import annotations

from collections.abc import Sequence

from anygpu.dtypes import bool_, int64, uint32
from anygpu.frontend.fused_reductions import part_of
from anygpu.frontend.fused_scans import ALL
from anygpu.frontend.fused_steps import Emitter, unravel
from anygpu.frontend.types import leaves
from anygpu.ir import build
from anygpu.ir.kernel import Assign, Expr, For, If, Load, Ref, Special, Store, Var, WarpOp
from anygpu.passes.fusion import REDUCE_BLOCK, WARP


def compaction(made: Emitter, extents: Sequence[Expr]) -> None:
    """A warp goes through a part of the mask, 32 elements at a time."""
    form, scope = made.form, made.scope
    counting = form.schedule == "count"
    warps = build.integer(REDUCE_BLOCK // WARP)
    unit = scope.pin(build.op("add", build.op("mul", Special("block", 0), warps), Special("warp")))
    length: Expr = build.integer(1)
    for extent in extents:
        length = build.op("mul", length, extent)
    parts = build.op("floordiv", build.op("add", length, build.integer(form.part - 1)), build.integer(form.part))
    with scope.nested() as work:
        start, stop = part_of(made, unit, scope.pin(length))
        total = scope.temporary(int64, "total")
        if counting:
            scope.emit(Assign(total, build.integer(0)))
        else:
            scope.emit(Load(total, made.loads[-1].name, (unit,), 0, False))
        var = scope.temporary(int64, "k")
        with scope.nested() as body:
            _row(made, extents, var, stop, total, counting)
        scope.emit(For(var, start, stop, build.integer(WARP), tuple(body)))
        if counting:
            store = Store(made.outputs[0].name, (unit,), Ref(total), 0, False)
            scope.emit(If(build.op("eq", Special("lane"), build.integer(0)), (store,)))
    scope.emit(If(build.op("lt", unit, parts), tuple(work)))


def _row(made: Emitter, extents: Sequence[Expr], first: Var, stop: Expr, total: Var, counting: bool) -> None:
    form, scope = made.form, made.scope
    place = scope.pin(build.op("add", Ref(first), Special("lane")))
    chosen = scope.temporary(bool_, "chosen")
    scope.emit(Assign(chosen, build.constant(False, bool_)))
    with scope.nested() as look:
        made.index = [build.integer(0), *unravel(scope, place, extents)]
        made.run(range(form.epilogue))
        scope.emit(Assign(chosen, next(leaves(made.convert(made.values[form.reductions[0].step], bool_)))))
    scope.emit(If(build.op("lt", place, stop), tuple(look)))
    bits = scope.temporary(uint32, "bits")
    scope.emit(WarpOp(bits, "ballot", (Ref(chosen),), build.constant(ALL, uint32)))
    if not counting:
        with scope.nested() as store:
            below = build.op(
                "sub", build.op("shl", build.constant(1, uint32), build.cast(Special("lane"), uint32)), build.constant(1, uint32)
            )
            rank = build.cast(build.op("popc", build.op("and", Ref(bits), below)), int64)
            at = scope.pin(build.op("add", Ref(total), rank))
            made.index = [build.integer(0), *unravel(scope, place, extents)]
            made.run(range(len(form.steps)))  # once more: what the mask needed may not be at hand here
            for array, (step, _) in zip(made.outputs, form.outputs, strict=True):
                for n, leaf in enumerate(leaves(made.values[step])):
                    scope.emit(Store(array.name, (at,), leaf, n, False))
        scope.emit(If(Ref(chosen), tuple(store)))
    scope.emit(Assign(total, build.op("add", Ref(total), build.cast(build.op("popc", Ref(bits)), int64))))
