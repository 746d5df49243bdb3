"""The block schedule of reductions for CPUs: a warp does the work of a block, in the same order, without barriers.

A block's work-item t takes elements t, t + REDUCE_BLOCK, ... of its part. Here lane l does so for the work-items l, l + 32, l + 64, ...,
several at a time: so memory is walked in order, and each work-item's accumulators stay in registers. Then halves are added to halves,
within lanes first, and between lanes by shuffles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from anygpu.dtypes import bool_, int64, plain_fields, uint32
from anygpu.frontend.fused_reductions import (
    Accumulators,
    Code,
    Row,
    Schedule,
    advance,
    at_place,
    combine,
    given,
    in_stages,
    is_counted,
    row_of,
    starts,
    take,
)
from anygpu.frontend.fused_scans import ALL, shuffle
from anygpu.frontend.fused_steps import Emitter, unravel
from anygpu.ir import build
from anygpu.ir.kernel import Array, Assign, Expr, For, If, Load, Ref, Special, Stmt, Store, Var, WarpOp
from anygpu.passes.fusion import REDUCE_BLOCK, WARP, Reduction, is_costly

ITEMS = REDUCE_BLOCK // WARP  # work-items of a block that a lane stands for
CANDIDATES = 32  # bytes of the values that a lane compares before it asks whether one is better
MOST_STEPS = 16  # longer bodies are not repeated for each work-item



def warp_block(made: Emitter, reduced: Sequence[Expr], kept: Sequence[Expr]) -> None:
    """A warp reduces for each result, as `fused_reductions.block` does."""
    scope = made.scope
    row = row_of(made, reduced, kept)
    ahead = _ahead(made, row, kept)

    def visit(place: Expr, code: Code) -> None:
        """Run code at a place of the row, and let be fetched what is needed there later."""
        at_place(made, row, place, code)
        ahead(place)

    def step(accumulators: Accumulators, place: Expr) -> None:
        """Take the element at a place into a work-item's accumulators."""
        visit(scope.pin(place), lambda _: take(made, accumulators, build.op("sub", place, row.start)))

    def reduce(everyone: bool) -> list[list[Var]]:
        if made.form.schedule == "middle" and not _is_long(made):
            items = [_halves(made, visit, row)]
        else:
            items = _in_memory(made, each, row) if _is_long(made) else _together(made, visit, step, row)
        for n, reduction in enumerate(made.reductions):
            half = len(items) // 2
            while half and items[0][n] is not items[half][n]:
                for item in range(half):
                    combine(made, reduction, items[item][n], [Ref(v) for v in items[item + half][n]])
                half //= 2
            if reduction.value:
                _first_best(made, reduction, items[0][n])
                continue
            half = WARP // 2
            while half:
                combine(made, reduction, items[0][n], [shuffle(made, "shfl_down", Ref(v), half) for v in items[0][n]])
                half //= 2
            if everyone:
                for v in items[0][n]:
                    scope.emit(Assign(v, shuffle(made, "shfl", Ref(v), 0)))
        return items[0]

    def each(code: Code) -> None:
        var = scope.temporary(int64, "k")
        rest = scope.pin(build.op("sub", row.stop, build.op("mod", build.op("sub", row.stop, row.start), build.integer(WARP))))
        with scope.nested() as body:
            visit(scope.pin(build.op("add", Ref(var), Special("lane"))), code)
        scope.emit(For(var, row.start, rest, build.integer(WARP), tuple(body)))
        place = scope.pin(build.op("add", rest, Special("lane")))
        with scope.nested() as body:
            at_place(made, row, place, code)
        scope.emit(If(build.op("lt", place, row.stop), tuple(body)))

    in_stages(made, Schedule(reduce, each, build.op("eq", Special("lane"), build.integer(0)), row.start, row.part))


def _ahead(made: Emitter, row: Row, kept: Sequence[Expr]) -> Code:
    """Code that asks for what is needed later at a place of a row, so that memory is busy all the time: the first time that a row is gone
    through for what will be stored in it, and later, out of the cache, for the next row's elements.

    Where rows end, processors foresee little: the greatest elements of rows of 1000 float64 take 1.0 ms so, and 2.3 without.
    """
    form, scope = made.form, made.scope
    if form.part:
        return lambda place: None
    following = unravel(scope, scope.pin(build.op("add", Special("block", 0), build.integer(1))), kept)
    reads = made.whole_loads()
    writes = [(made.outputs[n], form.outputs[n][1]) for n in form.spread]
    turns = len(form.stages) + bool(writes)
    reading = max(1, turns - 2) if writes else turns - 1

    def ahead(place: Expr) -> None:
        at = unravel(scope, place, row.extents)
        if made.turn == reading:
            for array, access in reads:
                made.prefetch(array, access, [*following, *at])
        if made.turn == 0:
            for array, access in writes:
                made.prefetch(array, access, [*made.index, *at], write=True)

    return ahead


def _is_long(made: Emitter) -> bool:
    """Whether an element takes so many steps that the code for it is not repeated."""
    steps = [step for n in made.stage.steps if (step := made.form.steps[n])[0] == "map"]
    return len(steps) > MOST_STEPS or any(map(is_costly, steps))


Step = Callable[[Accumulators, Expr], None]
Visit = Callable[[Expr, Code], None]


def _together(made: Emitter, visit: Visit, step: Step, row: Row) -> list[Accumulators]:
    """A lane takes an element for each of its work-items at a time. "argmin" and "argmax", which no order matters to, have one accumulator
    for all of them."""
    scope, start, stop = made.scope, row.start, row.stop
    items = [starts(made)]
    items += [[items[0][n] if is_counted(made.reductions[n]) else parts for n, parts in enumerate(starts(made))] for _ in range(1, ITEMS)]
    bounds = {n: _bound(made, items[0][n]) for n, reduction in enumerate(made.reductions) if is_counted(reduction)}
    var = scope.temporary(int64, "k")
    whole = scope.pin(build.op("sub", stop, build.integer(REDUCE_BLOCK - 1)))
    with scope.nested() as body:
        values: dict[int, list[tuple[Expr, Expr]]] = {n: [] for n in bounds}
        for item, accumulators in enumerate(items):
            place = scope.pin(build.op("add", Ref(var), _offset(item)))
            visit(place, lambda _: made.element())
            for n, (reduction, parts) in enumerate(zip(made.reductions, accumulators, strict=True)):
                found = given(made, reduction)
                if n not in bounds:
                    combine(made, reduction, parts, found)
                    continue
                values[n].append((found[0], build.op("sub", place, start)))
                if len(values[n]) * found[0].dtype.itemsize >= CANDIDATES or item == ITEMS - 1:
                    _advance_all(made, reduction, parts, bounds[n], values[n])
                    values[n] = []
    scope.emit(For(var, start, whole, build.integer(REDUCE_BLOCK), tuple(body)))
    count = build.op("floordiv", build.op("sub", stop, start), build.integer(REDUCE_BLOCK))
    rest = scope.pin(build.op("add", start, build.op("mul", count, build.integer(REDUCE_BLOCK))))
    _edge(made, visit, step, row, rest, items)
    return items


def _halves(made: Emitter, visit: Visit, row: Row) -> Accumulators:
    """A row of at most an element for each work-item of the block: a lane has up to eight, which are combined as soon as the two are there,
    so that few are there at a time. What does not exist is not looked at: it would change nothing."""
    scope, length = made.scope, row.stop

    def elements(item: int) -> Accumulators:
        """This lane's element, or the start if it has none."""
        found = starts(made)
        place = scope.pin(_offset(item))
        with scope.nested() as body:
            visit(place, lambda _: made.element())
            for reduction, parts in zip(made.reductions, found, strict=True):
                if is_counted(reduction):
                    advance(made, reduction, parts, given(made, reduction)[0], place)
                else:
                    combine(made, reduction, parts, given(made, reduction))
        scope.emit(If(build.op("lt", place, length), tuple(body)))
        return found

    def halves(item: int, distance: int) -> Accumulators:
        """The elements of a lane from an item on, each so many items apart."""
        if distance == ITEMS:
            return elements(item)
        found = halves(item, 2 * distance)
        with scope.nested() as body:
            others = halves(item + distance, 2 * distance)
            for reduction, parts, other in zip(made.reductions, found, others, strict=True):
                combine(made, reduction, parts, [Ref(v) for v in other])
        scope.emit(If(build.op("gt", length, build.integer((item + distance) * WARP)), tuple(body)))
        return found

    return halves(0, 1)


def _edge(made: Emitter, visit: Visit, step: Step, row: Row, rest: Expr, items: Sequence[Accumulators]) -> None:
    """Take what is left of a row from ``rest`` on, less than an element for each work-item: whole warps first, then lanes that have one."""
    scope, stop = made.scope, row.stop
    whole = scope.pin(build.op("floordiv", build.op("sub", stop, rest), build.integer(WARP)))
    for item, accumulators in enumerate(items[:-1]):
        with scope.nested() as body:
            step(accumulators, build.op("add", rest, _offset(item)))
        scope.emit(If(build.op("gt", whole, build.integer(item)), tuple(body)))
    left = scope.pin(build.op("add", rest, build.op("mul", whole, build.integer(WARP))))
    with scope.nested() as some:
        place = scope.pin(build.op("add", left, Special("lane")))
        values = starts(made)
        with scope.nested() as body:
            visit(place, lambda _: made.element())
            for reduction, parts in zip(made.reductions, values, strict=True):
                for var, value in zip(parts, given(made, reduction), strict=False):  # a counted one has its place besides
                    scope.emit(Assign(var, value))
        scope.emit(If(build.op("lt", place, stop), tuple(body)))
        for item, accumulators in enumerate(items):
            with scope.nested() as body:
                for reduction, parts, found in zip(made.reductions, accumulators, values, strict=True):
                    if is_counted(reduction):
                        advance(made, reduction, parts, Ref(found[0]), build.op("sub", place, row.start))
                    else:
                        combine(made, reduction, parts, [Ref(v) for v in found])
            scope.emit(If(build.op("eq", whole, build.integer(item)), tuple(body)))
    scope.emit(If(build.op("lt", left, stop), tuple(some)))


def _bound(made: Emitter, parts: Sequence[Var]) -> Var:
    """A variable for the best value of all lanes."""
    var = made.scope.temporary(parts[0].dtype, "b")
    made.scope.emit(Assign(var, Ref(parts[0])))
    return var


def _advance_all(made: Emitter, reduction: Reduction, parts: Sequence[Var], bound: Var, values: Sequence[tuple[Expr, Expr]]) -> None:
    """Take values and their places, in this order, if one is better than the best of all lanes: few are, so that mostly this is all that
    is computed. Those that are not better come after it, and cannot be the first best."""
    scope = made.scope
    best = Ref(bound)
    better: Expr | None = None
    for value, _ in values:
        if value.dtype.is_float:
            found = build.op("not", build.op("le" if reduction.function == "argmax" else "ge", value, best))
        else:
            found = build.op("gt" if reduction.function == "argmax" else "lt", value, best)
        better = found if better is None else build.op("or", better, found)
    assert better is not None
    if best.dtype.is_float:  # nothing is better than NaN
        better = build.op("and", better, build.op("eq", best, best))
    some = scope.temporary(bool_, "any")
    scope.emit(WarpOp(some, "any", (scope.pin(better),), build.constant(ALL, uint32)))
    with scope.nested() as body:
        for value, place in values:
            advance(made, reduction, parts, value, place)
        scope.emit(Assign(bound, _best(made, reduction, Ref(parts[0]))))
    scope.emit(If(Ref(some), tuple(body)))


def _best(made: Emitter, reduction: Reduction, value: Expr) -> Expr:
    """The best value of all lanes, unless one is NaN; a uniform value."""
    better = "gt" if reduction.function == "argmax" else "lt"
    return _over_lanes(made, lambda a, b: build.op("select", build.op(better, b, a), b, a), value)


def _over_lanes(made: Emitter, combined: Callable[[Expr, Expr], Expr], value: Expr) -> Expr:
    """The values of all lanes, combined as order does not matter to; a uniform value."""
    half = WARP // 2
    while half:
        value = made.scope.pin(combined(value, shuffle(made, "shfl_xor", value, half)))
        half //= 2
    return shuffle(made, "shfl", value, 0)


def _first_best(made: Emitter, reduction: Reduction, parts: Sequence[Var]) -> None:
    """Let every lane have the best value of all lanes, and the first place where it is."""
    scope = made.scope
    value, at = Ref(parts[0]), Ref(parts[1])
    best = _best(made, reduction, value)
    same = build.op("eq", value, best)
    if value.dtype.is_float:
        nan = scope.pin(build.op("ne", value, value))
        some = scope.temporary(bool_, "any")
        scope.emit(WarpOp(some, "any", (nan,), build.constant(ALL, uint32)))
        same = build.op("select", Ref(some), nan, same)
        best = build.op("select", Ref(some), build.constant(math.nan, value.dtype), best)
    places = scope.pin(build.op("select", same, at, build.constant(at.dtype.maximum, at.dtype)))
    scope.emit(Assign(parts[1], _over_lanes(made, lambda a, b: build.op("minimum", a, b), places)))
    scope.emit(Assign(parts[0], best))


def _in_memory(made: Emitter, each: Callable[[Code], None], row: Row) -> list[Accumulators]:
    """A lane takes the elements of its work-items in turns, and keeps their accumulators in memory: for bodies that computing takes longer
    than that, and whose code is not repeated for each work-item."""
    scope = made.scope
    accumulators = starts(made)
    tables: list[list[str]] = []
    for parts in accumulators:
        tables.append([])
        for part in parts:
            name = scope.shared.unique("shared")
            size = part.dtype.itemsize
            scope.shared.declared.append(Array(name, plain_fields(part.dtype), size, 1, "shared", "C", (REDUCE_BLOCK,)))
            for item in range(ITEMS):
                scope.emit(Store(name, (_offset(item),), Ref(part), 0, False))
            tables[-1].append(name)

    def exchange(access: Callable[[Var, str], Stmt]) -> None:
        for parts, names in zip(accumulators, tables, strict=True):
            for part, name in zip(parts, names, strict=True):
                scope.emit(access(part, name))

    def turn(place: Expr) -> None:
        offset = build.op("sub", place, row.start)
        slot = scope.pin(build.op("and", build.op("sub", offset, Special("lane")), build.integer(REDUCE_BLOCK - 1)))
        at = scope.pin(build.op("add", slot, Special("lane")))
        exchange(lambda part, name: Load(part, name, (at,), 0, False))
        take(made, accumulators, offset)
        exchange(lambda part, name: Store(name, (at,), Ref(part), 0, False))

    each(turn)
    items: list[Accumulators] = []
    for n in range(ITEMS):
        items.append([])
        for parts, names in zip(accumulators, tables, strict=True):
            items[-1].append([scope.temporary(part.dtype, "a") for part in parts])
            for part, name in zip(items[-1][-1], names, strict=True):
                scope.emit(Load(part, name, (_offset(n),), 0, False))
    return items


def _offset(item: int) -> Expr:
    return build.op("add", Special("lane"), build.integer(item * WARP))
