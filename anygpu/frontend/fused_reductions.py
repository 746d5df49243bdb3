"""Reductions of fused kernels: by one work-item for each result, or by a block; in one stage or in several."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from anygpu.dtypes import DType, bool_, dtype_named, float32, int32, int64, plain_fields, uint8
from anygpu.frontend.fused_steps import Emitter, apply, ravel, unravel
from anygpu.frontend.types import Complex, Scalar, Value, leaves
from anygpu.ir import build
from anygpu.ir.kernel import Array, Assign, Barrier, Expr, For, If, Load, Ref, Special, Store, Var
from anygpu.passes.fusion import REDUCE_BLOCK, Reduction, Stage, uniform_steps


def _accumulator(name: str) -> DType:
    """The dtype in which a reduction of a dtype is summed up: halves in float32."""
    dtype = dtype_named(name)
    return float32 if dtype.is_half else dtype


def start_of(function: str, dtype: DType) -> bool | int | float:
    """The value that changes nothing when a reduction combines it."""
    match function:
        case "add" | "bitwise_or" | "bitwise_xor" | "logical_or" | "logical_xor":
            return 0
        case "multiply" | "logical_and":
            return 1
        case "bitwise_and":
            return -1 if dtype.kind == "i" else dtype.maximum
        case "minimum":
            return math.inf if dtype.is_float else dtype.maximum
        case "maximum":
            return -math.inf if dtype.is_float else dtype.minimum
        case "fmin" | "fmax":
            return math.nan if dtype.is_float else start_of(function.replace("f", "", 1) + "imum", dtype)
    raise AssertionError(f"{function} has no start")


Accumulators = list[list[Var]]  # of a work-item: the variables of each reduction


def starts(made: Emitter) -> Accumulators:
    """Variables for the accumulators of every reduction, each at its start."""
    found = []
    for reduction in made.reductions:
        if reduction.value:
            dtype = _candidate(reduction)
            first = start_of("maximum" if reduction.function == "argmax" else "minimum", dtype)
            counter = _counter(made, reduction)
            starts = [(dtype, first), (counter, counter.maximum)]
        else:
            dtype = _accumulator(reduction.dtype)
            first = start_of(reduction.function, dtype.component)
            starts = [(part.dtype, first if n == 0 else 0) for n, part in enumerate(plain_fields(dtype))]
        parts = []
        for dtype, value in starts:
            parts.append(made.scope.temporary(dtype, "a"))
            made.scope.emit(Assign(parts[-1], build.constant(value, dtype)))
        found.append(parts)
    return found


def _candidate(reduction: Reduction) -> DType:
    """The dtype in which "argmin" and "argmax" compare."""
    dtype = _accumulator(reduction.value)
    return uint8 if dtype is bool_ else dtype


def _counter(made: Emitter, reduction: Reduction) -> DType:
    """The dtype in which "argmin" and "argmax" count the elements of a part: int32, since a part is short, unless it has several axes."""
    form = made.form
    return int32 if reduction.position < 0 and form.ndim - form.kept == 1 else int64


def value_of(parts: Sequence[Expr]) -> Value:
    return Complex(parts[0], parts[1]) if len(parts) == 2 else Scalar(parts[0])


def combine(made: Emitter, reduction: Reduction, parts: Sequence[Var], given: Sequence[Expr]) -> None:
    """Take one more value, or what another accumulator holds, into an accumulator."""
    if reduction.value:
        _choose(made, reduction, parts, given)
        return
    found = made.scope.pin_value(apply(made.scope, reduction.function, [value_of([Ref(p) for p in parts]), value_of(given)]))
    for var, part in zip(parts, leaves(found), strict=True):
        made.scope.emit(Assign(var, part))


def _choose(made: Emitter, reduction: Reduction, parts: Sequence[Var], given: Sequence[Expr]) -> None:
    """Keep the better of two candidates, of equal ones the first. NaN is better than any number."""
    best, at = Ref(parts[0]), Ref(parts[1])
    value, position = given
    better = build.op("gt" if reduction.function == "argmax" else "lt", value, best)
    equal = build.op("eq", value, best)
    if value.dtype.is_float:
        nan, also = build.op("ne", value, value), build.op("ne", best, best)
        better = build.op("or", better, build.op("and", nan, build.op("not", also)))
        equal = build.op("or", equal, build.op("and", nan, also))
    taken = made.scope.pin(build.op("or", better, build.op("and", equal, build.op("lt", position, at))))
    made.scope.emit(Assign(parts[0], build.op("select", taken, value, best)))
    made.scope.emit(Assign(parts[1], build.op("select", taken, position, at)))


def given(made: Emitter, reduction: Reduction) -> list[Expr]:
    """What a reduction takes of the computed steps: a value, and where it is, if a step says so."""
    value = made.values[reduction.step]
    if not reduction.value:
        return list(leaves(made.convert(value, _accumulator(reduction.dtype))))
    found = list(leaves(made.convert(value, _candidate(reduction))))
    return found if reduction.position < 0 else [*found, *leaves(made.values[reduction.position])]


def take(made: Emitter, accumulators: Sequence[Sequence[Var]], place: Expr) -> None:
    """Compute the reduced values at the current index, which is at a place of the part in C order, and take each into its accumulator."""
    made.element()
    for parts, reduction in zip(accumulators, made.reductions, strict=True):
        if is_counted(reduction):
            advance(made, reduction, parts, given(made, reduction)[0], place)
        else:
            combine(made, reduction, parts, given(made, reduction))


def is_counted(reduction: Reduction) -> bool:
    """Whether a reduction says where a value is by its place in the part."""
    return bool(reduction.value) and reduction.position < 0


def advance(made: Emitter, reduction: Reduction, parts: Sequence[Var], value: Expr, place: Expr) -> None:
    """Keep the better of two candidates, where all that came before are earlier ones: of equal ones the accumulator's."""
    best = Ref(parts[0])
    if value.dtype.is_float:
        worse = build.op("le" if reduction.function == "argmax" else "ge", value, best)
        taken = build.op("and", build.op("not", worse), build.op("eq", best, best))
    else:
        taken = build.op("gt" if reduction.function == "argmax" else "lt", value, best)
    taken = made.scope.pin(taken)
    made.scope.emit(Assign(parts[0], build.op("select", taken, value, best)))
    made.scope.emit(Assign(parts[1], build.op("select", taken, made.scope.pin(build.cast(place, parts[1].dtype)), Ref(parts[1]))))


def results(made: Emitter, accumulators: Sequence[Sequence[Var]], start: Expr) -> list[list[Value]]:
    """What each reduction comes to: for each dtype of its parts a value. ``start`` is the place of the part's first element."""
    found: list[list[Value]] = []
    for parts, r in zip(accumulators, made.reductions, strict=True):
        if r.value:
            at: Expr = Ref(parts[1])
            if r.position < 0:  # no element was better than the worst that there can be: then the first is the best
                none = build.op("eq", at, build.constant(at.dtype.maximum, at.dtype))
                counted = build.cast(build.op("select", none, build.constant(0, at.dtype), at), int64)
                at = build.op("add", counted, start)
            found.append([made.convert(Scalar(Ref(parts[0])), dtype_named(r.value)), Scalar(made.scope.pin(at))])
        else:
            found.append([made.convert(value_of([Ref(p) for p in parts]), dtype_named(r.dtype))])
    return found


def store_part(made: Emitter, found: Sequence[Sequence[Value]], at: Expr) -> None:
    """Store the reductions of a part."""
    pinned = made.scope.pin(at)
    for array, value in zip(made.outputs, [v for values in found for v in values], strict=True):
        for n, leaf in enumerate(leaves(value)):
            made.scope.emit(Store(array.name, (pinned,), leaf, n, False))


Code = Callable[[Expr], None]


@dataclass(frozen=True, slots=True)
class Schedule:
    """Who computes the results of one row of the reduced axes, and how.

    Attributes:
        reduce: Computes the reductions of the stage; says whether every work-item of the row is to know what they come to, or only the
            first.
        each: Runs code for each of the elements that are a work-item's, and tells it their places in C order of the row.
        first: Whether this is the work-item that stores what there is one of; None: the row has only one.
        start: The place of the first element.
        part: Where the reductions go, if they are those of a part of the row.
    """

    reduce: Callable[[bool], list[list[Var]]]
    each: Callable[[Code], None]
    first: Expr | None
    start: Expr
    part: Expr | None = None


def in_stages(made: Emitter, schedule: Schedule) -> None:
    """The stages of the reductions one after the other, and what follows them."""
    form = made.form
    spread = form.spread
    staged = bool(spread or form.cuts)
    for n, stage in enumerate(form.stages):
        made.stage = _hoisted(made, stage) if staged else stage
        last = n + 1 == len(form.stages) and not spread
        made.turn = n
        accumulators = schedule.reduce(not last)
        if not last:
            made.reduced += [values[-1] for values in results(made, accumulators, schedule.start)]
    steps = range(form.epilogue, len(form.steps))
    single = [n for n, (step, _) in enumerate(form.outputs) if step >= form.epilogue and n not in spread]
    if spread:
        made.stage = _hoisted(made, Stage(steps, spread))
        if single:
            rest, made.stage = made.stage, Stage((), single)
            _by(made, schedule.first, made.element)
            made.stage = rest
        made.turn += 1
        schedule.each(lambda _: made.element())
        return

    def finish() -> None:
        found = results(made, accumulators, schedule.start)
        if schedule.part is not None:
            store_part(made, found, schedule.part)
            return
        made.reduced += [values[-1] for values in found]
        made.stage = Stage(steps, single)
        made.element()

    _by(made, schedule.first, finish)


def _hoisted(made: Emitter, stage: Stage) -> Stage:
    """A stage without the steps that have one value for the row, which are computed here."""
    form = made.form
    uniform = uniform_steps(form, form.kept)
    made.run([n for n in stage.steps if n in uniform])
    return replace(stage, steps=[n for n in stage.steps if n not in uniform])


def _by(made: Emitter, first: Expr | None, code: Callable[[], None]) -> None:
    """Code that one work-item of a row runs."""
    if first is None:
        code()
        return
    with made.scope.nested() as body:
        code()
    made.scope.emit(If(first, tuple(body)))


def serial(made: Emitter, extents: Sequence[Expr]) -> None:
    """Every work-item reduces for itself, in order."""
    start: Expr = build.integer(0)
    stop = extents[0] if extents else start
    part = None
    if made.form.part:
        start, stop = part_of(made, Special("index", 0), stop)
        axes = range(made.form.kept + 1)
        part = ravel([Special("index", axis) for axis in axes], [Special("extent", axis) for axis in axes])

    first = start
    for extent in extents[1:]:
        first = build.op("mul", first, extent)

    def loop(code: Code) -> None:
        in_order(made, extents, start, stop, code)

    def reduce(everyone: bool) -> list[list[Var]]:
        accumulators = starts(made)
        loop(lambda place: take(made, accumulators, build.op("sub", place, first)))
        return accumulators

    in_stages(made, Schedule(reduce, loop, None, first, part))


def in_order(made: Emitter, extents: Sequence[Expr], start: Expr, stop: Expr, code: Code, axis: int = 0) -> None:
    """Run code for each element of the reduced axes, of which the first goes from ``start`` to ``stop``."""
    if axis == len(extents):
        axes = made.index[len(made.index) - len(extents) :]
        code(ravel(axes, extents) if axes else start)
        return
    var = made.scope.temporary(int64, "k")
    made.index.append(Ref(var))
    with made.scope.nested() as body:
        if axis + 1 == len(extents):
            _ahead(made)
        in_order(made, extents, start, stop, code, axis + 1)
    made.index.pop()
    begin, end = (start, stop) if axis == 0 else (build.integer(0), extents[axis])
    made.scope.emit(For(var, begin, end, build.integer(1), tuple(body)))


AHEAD, STRIP = 16, 32  # rows, columns


def _ahead(made: Emitter) -> None:
    """Ask for what is read later of arrays that are reduced by columns: the same columns some rows later, where there are few, which are
    read under a mask, as processors do not foresee that (x.sum(axis=0) of 20 columns takes 1.1 ms without, 0.5 with); and the next columns,
    while these are gone through for the last time, out of the cache."""
    form, here = made.form, made.index
    if form.schedule != "serial" or form.cached:
        return
    again = bool(form.cuts) and made.turn + 1 == len(form.stages)
    read = {made.loads[int(str(step[1]))].name for step in (form.steps[n] for n in made.stage.steps) if step[0] == "load"}
    for array, access in made.whole_loads():
        if array.name not in read or access.walk[form.kept - 1] != "1":
            continue
        for axis, distance, masked in [(len(here) - 1, AHEAD, True), *([(form.kept - 1, STRIP, False)] if again else [])]:
            moved = [build.op("add", at, build.integer(distance)) if k == axis else at for k, at in enumerate(here)]
            made.prefetch(array, access, moved, masked)


def part_of(made: Emitter, at: Expr, length: Expr) -> tuple[Expr, Expr]:
    """Where part ``at`` of an axis begins and ends."""
    size = build.integer(made.form.part)
    start = made.scope.pin(build.op("mul", at, size))
    return start, made.scope.pin(build.op("minimum", build.op("add", start, size), length))


@dataclass(frozen=True, slots=True)
class Row:
    """The elements of the reduced axes that a block reduces, by their places in C order, and where it stores them if they are a part."""

    extents: Sequence[Expr]
    start: Expr
    stop: Expr
    part: Expr | None


def row_of(made: Emitter, reduced: Sequence[Expr], kept: Sequence[Expr]) -> Row:
    """The row, or the part of a row, that is this block's, whose index along the kept axes is set."""
    scope = made.scope
    at = scope.pin(Special("block", 1 if made.form.part else 0))
    made.index = unravel(scope, at, kept)
    length = reduced[0]
    for extent in reduced[1:]:
        length = build.op("mul", length, extent)
    stop = scope.pin(length)
    if not made.form.part:
        return Row(reduced, build.integer(0), stop, None)
    place = build.op("add", build.op("mul", at, Special("grid_dim", 0)), Special("block", 0))
    return Row(reduced, *part_of(made, Special("block", 0), stop), place)


def at_place(made: Emitter, row: Row, place: Expr, code: Code) -> None:
    """Run code at a place of a row."""
    before = len(made.index)
    made.index += unravel(made.scope, place, row.extents)
    code(place)
    del made.index[before:]


def block(made: Emitter, reduced: Sequence[Expr], kept: Sequence[Expr]) -> None:
    """A block reduces for each result: work-item t takes elements t, t + REDUCE_BLOCK, ..., then halves add to halves in shared memory."""
    scope = made.scope
    row = row_of(made, reduced, kept)
    thread = Special("thread", 0)

    def each(code: Code) -> None:
        var = scope.temporary(int64, "k")
        with scope.nested() as body:
            at_place(made, row, Ref(var), code)
        scope.emit(For(var, scope.pin(build.op("add", row.start, thread)), row.stop, build.integer(REDUCE_BLOCK), tuple(body)))

    def reduce(everyone: bool) -> list[list[Var]]:
        accumulators = starts(made)
        each(lambda place: take(made, accumulators, build.op("sub", place, row.start)))
        tables = _in_shared_memory(made, accumulators)
        if everyone:
            scope.emit(Barrier("block"))
            for parts, columns in zip(accumulators, tables, strict=True):
                for part, name in zip(parts, columns, strict=True):
                    scope.emit(Load(part, name, (build.integer(0),), 0, False))
        return accumulators

    in_stages(made, Schedule(reduce, each, build.op("eq", thread, build.integer(0)), row.start, row.part))


def _in_shared_memory(made: Emitter, accumulators: Sequence[Sequence[Var]]) -> list[list[str]]:
    """Halves of a block's accumulators added to halves, until the first work-item has all: in the first elements of these arrays, too."""
    scope = made.scope
    tables = []
    for parts in accumulators:
        columns = []
        for part in parts:
            array = Array(scope.shared.unique("shared"), plain_fields(part.dtype), part.dtype.itemsize, 1, "shared", "C", (REDUCE_BLOCK,))
            scope.shared.declared.append(array)
            scope.emit(Store(array.name, (Special("thread", 0),), Ref(part), 0, False))
            columns.append(array.name)
        tables.append(columns)
    half = REDUCE_BLOCK // 2
    while half:
        scope.emit(Barrier("block"))
        with scope.nested() as body:
            for parts, columns, reduction in zip(accumulators, tables, made.reductions, strict=True):
                other = []
                for part, name in zip(parts, columns, strict=True):
                    loaded = scope.temporary(part.dtype)
                    scope.emit(Load(loaded, name, (build.op("add", Special("thread", 0), build.integer(half)),), 0, False))
                    other.append(loaded)
                combine(made, reduction, parts, [Ref(v) for v in other])
                for part, name in zip(parts, columns, strict=True):
                    scope.emit(Store(name, (Special("thread", 0),), Ref(part), 0, False))
        scope.emit(If(build.op("lt", Special("thread", 0), build.integer(half)), tuple(body)))
        half //= 2
    return tables
