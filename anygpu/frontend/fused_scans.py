"""Scans of fused kernels, along the last axis: by a work-item for each part of a column, or by a warp for each part of a row."""

from __future__ import annotations

from collections.abc import Sequence

from anygpu.dtypes import bool_, dtype_named, int32, int64, plain_fields, uint32
from anygpu.frontend.fused_reductions import part_of, value_of
from anygpu.frontend.fused_steps import Emitter, apply, ravel, unravel
from anygpu.frontend.types import Value, leaves
from anygpu.ir import build
from anygpu.ir.kernel import Array, Assign, Expr, For, If, Load, Ref, Special, Var, WarpOp
from anygpu.passes.fusion import REDUCE_BLOCK, WARP

ALL = (1 << WARP) - 1


def columns(made: Emitter, length: Expr) -> None:
    """A work-item scans a part of its column, in order."""
    form, scope = made.form, made.scope
    function, dtype = form.reductions[0].function, dtype_named(form.reductions[0].dtype)
    total = [scope.temporary(part.dtype, "a") for part in plain_fields(dtype)]
    start: Expr = build.integer(0)
    stop = length
    before: Expr = build.constant(False, bool_)
    if form.part:
        at = Special("index", 0)
        start, stop = part_of(made, at, length)
        before = scope.pin(build.op("gt", at, build.integer(0)))
        axes = range(1, form.kept + 1)
        place = ravel([build.op("sub", at, build.integer(1)), *made.index], [Special("extent", 0), *[Special("extent", a) for a in axes]])
        _load_before(made, total, before, place, made.loads[-1])
    else:
        _zero(made, total)
    var = scope.temporary(int64, "k")
    made.index.append(Ref(var))
    with scope.nested() as body:
        made.run(range(form.epilogue))
        value = made.convert(made.values[form.reductions[0].step], dtype)
        follows = scope.pin(build.op("or", before, build.op("gt", Ref(var), start)))
        _combine(made, function, total, value, follows)
        _store(made, value_of([Ref(v) for v in total]))
    made.index.pop()
    scope.emit(For(var, start, stop, build.integer(1), tuple(body)))


def rows(made: Emitter, kept: Sequence[Expr], length: Expr) -> None:
    """A warp scans a part of a row, 32 elements at a time: by doubling distances among them, and from what comes before them on."""
    form, scope = made.form, made.scope
    dtype = dtype_named(form.reductions[0].dtype)
    warps = build.integer(REDUCE_BLOCK // WARP)
    unit = scope.pin(build.op("add", build.op("mul", Special("block", 0), warps), Special("warp")))
    parts: Expr = build.integer(1)
    if form.part:
        parts = scope.pin(build.op("floordiv", build.op("add", length, build.integer(form.part - 1)), build.integer(form.part)))
    count = parts
    for extent in kept:
        count = build.op("mul", count, extent)
    with scope.nested() as work:
        start: Expr = build.integer(0)
        stop = length
        before: Expr = build.constant(False, bool_)
        total = [scope.temporary(part.dtype, "a") for part in plain_fields(dtype)]
        at = unit
        if form.part:
            number = scope.pin(build.op("mod", unit, parts))
            at = scope.pin(build.op("floordiv", unit, parts))
            start, stop = part_of(made, number, length)
            before = scope.pin(build.op("gt", number, build.integer(0)))
            _load_before(made, total, before, build.op("sub", unit, build.integer(1)), made.loads[-1])
        else:
            _zero(made, total)
        made.index = unravel(scope, at, kept)
        var = scope.temporary(int64, "k")
        with scope.nested() as body:
            follows = scope.pin(build.op("or", before, build.op("gt", Ref(var), start)))
            value = _warpful(made, scope.pin(build.op("add", Ref(var), Special("lane"))), stop, total, follows)
            for target, v in zip(total, value, strict=True):
                scope.emit(Assign(target, shuffle(made, "shfl", Ref(v), WARP - 1)))
        scope.emit(For(var, start, stop, build.integer(WARP), tuple(body)))
    scope.emit(If(build.op("lt", unit, count), tuple(work)))


def carried(made: Emitter, length: Expr) -> None:
    """A warp, which is the block, scans 32 elements of the one row, from the last one before them on: blocks come one after the other."""
    scope = made.scope
    dtype = dtype_named(made.form.reductions[0].dtype)
    start = scope.pin(build.op("mul", Special("block", 0), build.integer(WARP)))
    before = scope.pin(build.op("gt", start, build.integer(0)))
    total = [scope.temporary(part.dtype, "a") for part in plain_fields(dtype)]
    _load_before(made, total, before, build.op("sub", start, build.integer(1)), made.outputs[0])
    made.index = [build.integer(0)]
    _warpful(made, scope.pin(build.op("add", start, Special("lane"))), length, total, before)


def _warpful(made: Emitter, place: Expr, stop: Expr, total: Sequence[Var], follows: Expr) -> list[Var]:
    """Scan and store the 32 elements at a lane's place, after a total if they follow one; the lanes' values."""
    form, scope = made.form, made.scope
    function, dtype = form.reductions[0].function, dtype_named(form.reductions[0].dtype)
    inside = scope.pin(build.op("lt", place, stop))
    made.index.append(place)
    value = [scope.temporary(part.dtype, "v") for part in plain_fields(dtype)]
    _zero(made, value)
    with scope.nested() as load:
        made.run(range(form.epilogue))
        given = made.convert(made.values[form.reductions[0].step], dtype)
        for target, leaf in zip(value, leaves(given), strict=True):
            scope.emit(Assign(target, leaf))
    scope.emit(If(inside, tuple(load)))
    distance = 1
    while distance < WARP:
        other = value_of([shuffle(made, "shfl_up", Ref(v), distance) for v in value])
        _combine(made, function, value, other, build.op("ge", Special("lane"), build.integer(distance)), first=True)
        distance *= 2
    _combine(made, function, value, value_of([Ref(t) for t in total]), follows, first=True)
    with scope.nested() as store:
        _store(made, value_of([Ref(v) for v in value]))
    scope.emit(If(inside, tuple(store)))
    made.index.pop()
    return value


def _zero(made: Emitter, parts: Sequence[Var]) -> None:
    for var in parts:
        made.scope.emit(Assign(var, build.constant(0, var.dtype)))


def _load_before(made: Emitter, total: Sequence[Var], before: Expr, place: Expr, array: Array) -> None:
    """What comes before a part, if something does."""
    _zero(made, total)
    with made.scope.nested() as body:
        at = made.scope.pin(place)
        for n, var in enumerate(total):
            loaded = made.scope.temporary(array.fields[n].dtype)
            made.scope.emit(Load(loaded, array.name, (at,), n, False))
            made.scope.emit(Assign(var, Ref(loaded)))
    made.scope.emit(If(before, tuple(body)))


def _combine(made: Emitter, function: str, parts: Sequence[Var], other: Value, where: Expr, first: bool = False) -> None:
    """Combine variables with a value that stands after them, or before them (``first``), where a condition holds; else they become the
    value, or stay as they are."""
    mine = value_of([Ref(p) for p in parts])
    operands = [other, mine] if first else [mine, other]
    found = made.scope.pin_value(apply(made.scope, function, operands))
    for var, both, alone in zip(parts, leaves(found), leaves(mine if first else other), strict=True):
        made.scope.emit(Assign(var, build.op("select", where, both, alone)))


def shuffle(made: Emitter, op: str, value: Expr, lane: int | Expr) -> Expr:
    """A value of another lane."""
    other = build.constant(lane, int32) if isinstance(lane, int) else made.scope.pin(build.cast(lane, int32))
    carried = build.cast(value, int32) if value.dtype is bool_ else value
    var = made.scope.temporary(carried.dtype, op)
    made.scope.emit(WarpOp(var, op, (made.scope.pin(carried), other), build.constant(ALL, uint32)))
    return Ref(var) if value.dtype is not bool_ else made.scope.pin(build.cast(Ref(var), bool_))


def _store(made: Emitter, value: Value) -> None:
    access = made.form.outputs[0][1]
    made.store(made.outputs[0], access, made.convert(value, dtype_named(access.dtype)))
