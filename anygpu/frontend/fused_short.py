"""The schedules of reductions for rows of at most 32 elements: a warp reduces 32 rows, or a work-item one, in the same order.

Lane l holds element l of a row, for four rows at a time. Rows are then combined in pairs: where bit 0 of the lane is 0 it adds its element
and its neighbour's of the one row, elsewhere those of the other row, so that one value a lane holds both; then at distance 2, and at 4, 8
and 16 all lanes alike. In the end lane l has the result of row l. Memory is read in order, where a work-item for each row would read in
strides.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from anygpu.dtypes import DType, int64, plain_fields
from anygpu.frontend.fused_reductions import (
    Accumulators,
    Code,
    Schedule,
    advance,
    combine,
    given,
    in_order,
    in_stages,
    is_counted,
    starts,
    value_of,
)
from anygpu.frontend.fused_scans import shuffle
from anygpu.frontend.fused_steps import Emitter, unravel
from anygpu.frontend.types import Value, leaves
from anygpu.ir import build
from anygpu.ir.kernel import Array, Assign, Expr, For, If, Load, Ref, Special, Store, Var
from anygpu.passes.fusion import REDUCE_BLOCK, SHORT_LENGTH, WARP, Reduction, uniform_steps

TOGETHER = 4  # rows that are combined in pairs
AHEAD = 128  # rows


def short_by_lanes(made: Emitter, reduced: Sequence[Expr], kept: Sequence[Expr]) -> None:
    """A warp reduces 32 rows, whose results its lanes store."""
    scope = made.scope
    warp = build.op("add", build.op("mul", Special("block", 0), build.integer(REDUCE_BLOCK // WARP)), Special("warp"))
    first = scope.pin(build.op("mul", warp, build.integer(WARP)))
    count, length = scope.pin(_product(kept)), scope.pin(_product(reduced))
    with scope.nested() as body:
        _Rows(made, reduced, kept, first, count, length).emit()
    scope.emit(If(build.op("lt", first, count), tuple(body)))


def short_by_items(made: Emitter, reduced: Sequence[Expr], kept: Sequence[Expr]) -> None:
    """A work-item reduces a row, in the order in which a warp would: for bodies that cost more than reading in strides does, and for
    devices that take shuffles lane by lane."""
    scope = made.scope
    row = scope.pin(build.op("add", build.op("mul", Special("block", 0), build.integer(REDUCE_BLOCK)), Special("thread", 0)))
    count, length = _product(kept), scope.pin(_product(reduced))
    zero = build.integer(0)

    def each(code: Code) -> None:
        in_order(made, reduced, zero, reduced[0], code)

    def reduce(everyone: bool) -> Accumulators:
        found = starts(made)
        tables = [[_table(made, part.dtype) for part in parts] for parts in found]

        def keep(place: Expr) -> None:
            made.element()
            for reduction, names in zip(made.reductions, tables, strict=True):
                values = given(made, reduction)
                if is_counted(reduction):
                    values.append(build.cast(place, found[made.reductions.index(reduction)][1].dtype))
                for name, value in zip(names, values, strict=True):
                    scope.emit(Store(name, (place,), value, 0, False))

        each(lambda place: keep(scope.pin(place)))
        for reduction, into, names in zip(made.reductions, found, tables, strict=True):
            _combine_table(made, reduction, into, names, length)
        return found

    with scope.nested() as body:
        made.index = unravel(scope, row, kept)
        in_stages(made, Schedule(reduce, each, None, zero))
    scope.emit(If(build.op("lt", row, count), tuple(body)))


def _table(made: Emitter, dtype: DType) -> str:
    """Room of a work-item's own for the values of a row."""
    name = made.scope.shared.unique("row")
    made.scope.shared.declared.append(Array(name, plain_fields(dtype), dtype.itemsize, 1, "local", "C", (SHORT_LENGTH,)))
    return name


def _combine_table(made: Emitter, reduction: Reduction, into: Sequence[Var], names: Sequence[str], length: Expr) -> None:
    """Neighbours combined, then those at distance 2, 4, ... and the first element, with all of the row, taken into an accumulator."""
    scope = made.scope

    def load(at: Expr) -> list[Var]:
        parts = [scope.temporary(part.dtype, "v") for part in into]
        for part, name in zip(parts, names, strict=True):
            scope.emit(Load(part, name, (at,), 0, False))
        return parts

    distance = 1
    while distance < SHORT_LENGTH:
        var = scope.temporary(int64, "k")
        with scope.nested() as body:
            first = load(Ref(var))
            combine(made, reduction, first, [Ref(v) for v in load(scope.pin(build.op("add", Ref(var), build.integer(distance))))])
            for part, name in zip(first, names, strict=True):
                scope.emit(Store(name, (Ref(var),), Ref(part), 0, False))
        stop = scope.pin(build.op("sub", length, build.integer(distance)))
        scope.emit(For(var, build.integer(0), stop, build.integer(2 * distance), tuple(body)))
        distance *= 2
    combine(made, reduction, into, [Ref(v) for v in load(build.integer(0))])


def _product(extents: Sequence[Expr]) -> Expr:
    found: Expr = build.integer(1)
    for extent in extents:
        found = build.op("mul", found, extent)
    return found


class _Rows:
    """The 32 rows of a warp, from ``first`` on, of ``count`` rows of ``length`` elements."""

    def __init__(self, made: Emitter, reduced: Sequence[Expr], kept: Sequence[Expr], first: Expr, count: Expr, length: Expr):
        self.made, self.scope = made, made.scope
        self.reduced, self.kept = reduced, kept
        self.first, self.count, self.length = first, count, length
        self.last = self.scope.pin(build.op("sub", count, build.integer(1)))
        self.exists = self.scope.pin(build.op("lt", Special("lane"), length))
        self.uniform = uniform_steps(made.form, made.form.kept)
        self.staged = bool(made.form.cuts or made.form.spread)

    def emit(self) -> None:
        made = self.made
        mine = self.scope.pin(build.op("add", self.first, Special("lane")))
        here = self.scope.pin(build.op("minimum", mine, self.last)) if self.staged else mine
        made.index = unravel(self.scope, here, self.kept)
        in_stages(made, Schedule(self.reduce, self.each, build.op("le", mine, self.last), build.integer(0)))

    def at_row(self, row: Expr) -> list[Expr]:
        """The index of this lane's element of a row."""
        return [*unravel(self.scope, row, self.kept), *unravel(self.scope, Special("lane"), self.reduced)]

    def of_lane(self, lane: Expr) -> dict[int, Value]:
        """What has one value for each row, as the lane of a row has it: every lane asks, whether it has an element or not."""
        return {n: _of_lane(self.made, self.made.values[n], lane) for n in self.needed()}

    @contextmanager
    def row(self, row: Expr, known: Mapping[int, Value]) -> Iterator[None]:
        """Stand at this lane's element of a row, of which some values are known."""
        made, index, values = self.made, self.made.index, dict(self.made.values)
        made.index = self.at_row(row)
        made.values.update(known)
        yield
        made.index, made.values = index, values

    def needed(self) -> list[int]:
        """The steps with one value for a row that have been computed for all rows at once, and that the stage's elements need."""
        if not self.staged:
            return []
        form, stage = self.made.form, self.made.stage
        used = {r.step for r in stage.reductions} | {form.outputs[n][0] for n in stage.outputs}
        for n in stage.steps:
            match form.steps[n]:
                case ("map", _, tuple(operands), _, _):
                    used.update(operands)
                case ("cast" | "affine" | "wrap", int(operand), _):
                    used.add(operand)
                case ("load", int(load)):
                    used.update(form.loads[load].computed)
        return sorted(used & self.uniform & self.made.values.keys() - set(stage.steps))

    def reduce(self, everyone: bool) -> Accumulators:
        """The reductions of the stage: each lane has those of its own row."""
        made, scope = self.made, self.scope
        found = starts(made)
        var = scope.temporary(int64, "q")
        with scope.nested() as body:
            base = scope.pin(build.op("mul", Ref(var), build.integer(TOGETHER)))
            rows = self.elements(base)
            for n, reduction in enumerate(made.reductions):
                combined = _combined(made, reduction, [row[n] for row in rows])
                ours = scope.pin(build.op("eq", build.op("floordiv", Special("lane"), build.integer(TOGETHER)), Ref(var)))
                for target, part in zip(found[n], combined, strict=True):
                    scope.emit(Assign(target, build.op("select", ours, part, Ref(target))))
        scope.emit(For(var, build.integer(0), build.integer(WARP // TOGETHER), build.integer(1), tuple(body)))
        accumulators = starts(made)
        for reduction, into, parts in zip(made.reductions, accumulators, found, strict=True):
            combine(made, reduction, into, [Ref(v) for v in parts])
        return accumulators

    def elements(self, base: Expr) -> list[Accumulators]:
        """The values of some rows: for each of them and each reduction the variables of this lane's element, or of none."""
        made, scope = self.made, self.scope
        items = [starts(made) for _ in range(TOGETHER)]
        lanes = [scope.pin(build.op("add", base, build.integer(item))) for item in range(TOGETHER)]
        rows = [scope.pin(build.op("minimum", build.op("add", self.first, lane), self.last)) for lane in lanes]
        self.ahead(rows)
        known = [self.of_lane(lane) for lane in lanes]
        with scope.nested() as body:
            for item, row, values in zip(items, rows, known, strict=True):
                with self.row(row, values):
                    made.element()
                    for reduction, parts in zip(made.reductions, item, strict=True):
                        if is_counted(reduction):
                            advance(made, reduction, parts, given(made, reduction)[0], Special("lane"))
                        else:
                            for var, value in zip(parts, given(made, reduction), strict=True):
                                scope.emit(Assign(var, value))
        scope.emit(If(self.exists, tuple(body)))
        return items

    def each(self, code: Code) -> None:
        """Run code for each element of each row, a row after the other."""
        scope = self.scope
        var = scope.temporary(int64, "r")
        stop = scope.pin(build.op("minimum", build.op("sub", self.count, self.first), build.integer(WARP)))
        with scope.nested() as body:
            known = self.of_lane(Ref(var))
            with scope.nested() as element, self.row(scope.pin(build.op("add", self.first, Ref(var))), known):
                code(Special("lane"))
            scope.emit(If(self.exists, tuple(element)))
        scope.emit(For(var, build.integer(0), stop, build.integer(1), tuple(body)))

    def ahead(self, rows: Sequence[Expr]) -> None:
        """Ask for rows that are read some time later: processors do not foresee loads under a mask."""
        form, made = self.made.form, self.made
        if self.made.stage.reductions != form.stages[0].reductions:
            return
        for row in rows:
            at = self.at_row(self.scope.pin(build.op("add", row, build.integer(AHEAD))))
            for array, access in made.whole_loads():
                made.prefetch(array, access, at)


def _of_lane(made: Emitter, value: Value, lane: Expr) -> Value:
    """A lane's value."""
    return value_of([shuffle(made, "shfl", leaf, lane) for leaf in leaves(value)])


def _combined(made: Emitter, reduction: Reduction, rows: Sequence[Sequence[Var]]) -> list[Expr]:
    """The results of rows, whose elements the lanes have: that of row l in lane l, and in every lane so many further as there are rows."""
    found: list[list[Expr]] = [[Ref(v) for v in parts] for parts in rows]
    for bit in range(WARP.bit_length() - 1):
        distance = 1 << bit
        lower = made.scope.pin(build.op("eq", build.op("and", Special("lane"), build.integer(distance)), build.integer(0)))
        pairs = zip(found[::2], found[1::2], strict=True) if len(found) > 1 else zip(found, found, strict=True)
        found = [_pair(made, reduction, a, b, distance, lower) for a, b in pairs]
    return found[0]


def _pair(made: Emitter, reduction: Reduction, a: Sequence[Expr], b: Sequence[Expr], distance: int, lower: Expr) -> list[Expr]:
    """Two rows' values and those of the lanes at a distance, combined in the order of the lanes: of the one row in the ``lower`` lanes, of
    the other in those above."""
    scope = made.scope
    first, second = [], []
    for x, y in zip(a, b, strict=True):
        first.append(scope.temporary(x.dtype, "a"))
        scope.emit(Assign(first[-1], build.op("select", lower, x, shuffle(made, "shfl_xor", y, distance))))
        second.append(scope.pin(build.op("select", lower, shuffle(made, "shfl_xor", x, distance), y)))
    combine(made, reduction, first, second)
    return [Ref(v) for v in first]
