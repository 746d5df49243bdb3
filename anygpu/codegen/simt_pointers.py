"""Pointers that step through arrays in loops that are written out: ``a[top + r, x]`` in turn after turn is one pointer, and an addition.

Computed anew in each turn such a place takes a multiplication by the length of a row, an addition and a widening multiplication.
A pointer needs the first turn's place to be right, so only accesses are taken that run in every turn and are in bounds: those without
checks, whose index is surely a sum of something that does not change in the loop and a multiple of its variable. In loops inside of each
other the inner loop's pointer starts from the outer one's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from anygpu.codegen.llvm import memory_type
from anygpu.codegen.simt_memory import MemoryAccess
from anygpu.codegen.simt_values import Values
from anygpu.dtypes import int32, int64
from anygpu.ir.build import cast, op
from anygpu.ir.kernel import Assign, Atomic, Cast, Const, Exit, Expr, For, Load, Op, Ref, Store, assigned, subexpressions, walk
from anygpu.passes.intervals import Intervals, State, inside, interval, is_exact, whole
from anygpu.passes.rewrite import rewrite_expression

Access = Load | Store | Atomic
MOST = 8  # pointers of a loop: each takes two registers


@dataclass(frozen=True)
class _Candidate:
    """An access that every turn of a loop makes, its index without variables of the loop's body, the loops between both, and by how much a
    step of the loop's variable moves each axis."""

    access: Access
    index: tuple[Expr, ...]
    inner: tuple[For, ...]
    factors: tuple[Expr, ...]


@dataclass(frozen=True)
class _Step:
    """A pointer's place on the stack, what it points to, and how far a turn moves it (an i64)."""

    access: Access
    slot: str
    kind: str
    unit: str
    distance: str
    before: str | None


class Pointers:
    """Keeps the pointers of one kernel's loops; ``trips`` tells how many turns a loop makes if that is known."""

    def __init__(self, values: Values, memory: MemoryAccess, found: Intervals | None, trips: Callable[[For], int | None]):
        self.values = values
        self.memory = memory
        self.found = found
        self.trips = trips

    def enter(self, loop: For) -> list[_Step]:
        """Before a loop, whose variable has its first value: its pointers, ready for the first turn."""
        candidates = self._candidates((loop,), {})
        known = self.memory.pointers  # of loops around: they go on, all of them
        going = [c for c in candidates if id(c.access) in known]
        fresh = [c for c in candidates if id(c.access) not in known][: max(0, MOST - len(going))]
        state = self.values.state
        steps = [self._start(loop, candidate) for candidate in going + fresh]
        self.values.state = state
        return steps

    def turn(self, steps: list[_Step]) -> None:
        """At a turn's end."""
        w = self.values.w
        for step in steps:
            now = w.emit(f"load {step.kind}, {step.slot}")
            w.do(f"store {step.kind} {w.emit(f'getelementptr {step.unit}, {step.kind} {now}, i64 {step.distance}')}, {step.slot}")

    def leave(self, steps: list[_Step]) -> None:
        """Behind a loop."""
        for step in steps:
            if step.before is None:
                del self.memory.pointers[id(step.access)]
            else:
                self.memory.pointers[id(step.access)] = step.before

    # ------------------------------------------------------------------------------------------------------------------- candidates

    def _candidates(self, loops: tuple[For, ...], held: dict[str, Expr]) -> list[_Candidate]:
        """Those in the innermost of some loops inside of each other that move evenly with the outermost. ``held``: what variables hold that
        have been set on the way."""
        assignments = Counter(v.name for s in (loops[0], *walk(loops[0].body)) if (v := assigned(s)) is not None)
        found: list[_Candidate] = []
        for stmt in loops[-1].body:
            match stmt:
                case Assign(var=var, value=value) if assignments[var.name] == 1:
                    held[var.name] = _with(value, held)
                case Load() | Store() | Atomic():
                    index = tuple(_with(i, held) for i in stmt.index)
                    factors = self._factors(stmt, index, loops, set(assignments))
                    if factors is not None:
                        found.append(_Candidate(stmt, index, loops[1:], factors))
                case For() if self.trips(stmt) and not _mentions((stmt.start, stmt.stop, stmt.step), set(assignments)):
                    found += self._candidates((*loops, stmt), dict(held))
            if any(isinstance(s, Exit) for s in walk((stmt,))):
                break
        return found

    def _factors(self, access: Access, index: tuple[Expr, ...], loops: tuple[For, ...], changing: set[str]) -> tuple[Expr, ...] | None:
        """How far each axis moves when the outermost loop's variable grows by one; None if it is no such access, or nothing moves."""
        array = self.values.arrays[access.array]
        state = self.found.states.get(id(access)) if self.found is not None else None
        checked = access.checked and self.values.options.bounds_check
        if state is None or checked or not index or array.space != "global" or not self.values.options.small:
            return None
        if any(i.dtype.bits == 64 and not isinstance(i, Const) for i in index):
            return None
        variables = {loop.var.name for loop in loops}
        every: list[tuple[Expr, ...]] = []
        for loop in loops:  # an inner loop's pointer starts from this one, so all of them must move it evenly
            factors = [self._factor(i, loop.var.name, changing - variables, variables, state) for i in index]
            every.append(tuple(f for f in factors if f is not None))
        if any(len(factors) < len(index) for factors in every) or all(isinstance(f, Const) and not f.value for f in every[0]):
            return None
        return every[0]

    def _factor(self, expr: Expr, name: str, changing: set[str], variables: set[str], state: State) -> Expr | None:
        """The factor of a variable in an expression that is linear in it and exact, as an int32."""
        match expr:
            case Ref(var=var) if var.name == name:
                return Const(1, int32)
            case Cast(arg=arg, dtype=dtype) if arg.dtype in (int32, int64) and dtype in (int32, int64):
                return self._factor(arg, name, changing, variables, state) if self._fits(arg, state) else None
            case Op(name="add" | "sub" as which, args=(a, b)) if is_exact(expr, state, self.values.facts):
                left, right = (self._factor(e, name, changing, variables, state) for e in (a, b))
                return None if left is None or right is None else op(which, left, right)
            case Op(name="mul", args=(a, b)) if is_exact(expr, state, self.values.facts):
                for moving, other in ((a, b), (b, a)):
                    factor = self._factor(moving, name, changing, variables, state)
                    if factor is not None and not _mentions((other,), changing | variables) and self._fits(other, state):
                        return op("mul", factor, cast(other, int32))
        return None if _mentions((expr,), changing | {name}) else Const(0, int32)

    def _fits(self, expr: Expr, state: State) -> bool:
        return inside(interval(expr, state, self.values.facts), whole(int32))

    # --------------------------------------------------------------------------------------------------------------------- pointers

    def _start(self, loop: For, candidate: _Candidate) -> _Step:
        values, w, memory, access = self.values, self.values.w, self.memory, candidate.access
        assert self.found is not None
        place = memory.places[access.array]
        part = place.array.fields[access.field]
        before = memory.pointers.get(id(access))
        kind = values.target.pointer("global")
        if before is not None:
            first = w.emit(f"load {kind}, {before}")
        else:
            values.state = self.found.states[id(access)]  # the index has its values of the first turn
            for nested in candidate.inner:
                values.write(nested.var, values.evaluate(nested.start))
            low = [(values.evaluate(i), i.dtype.bits) for i in candidate.index]
            index = [text if bits == 64 else w.emit(f"sext i32 {text} to i64") for text, bits in low]
            first = memory.address(place, index, part, False).rpartition(" ")[2]
        slot = w.alloca(kind)
        w.do(f"store {kind} {first}, {slot}")
        values.state = None  # if there is no second turn, a step may be of any size
        moved = [values.evaluate(op("mul", f, cast(loop.step, int32))) for f in candidate.factors]
        distance, packed = memory.distance(place, moved, part)
        memory.pointers[id(access)] = slot
        return _Step(access, slot, kind, memory_type(part.dtype) if packed else "i8", distance, before)


def _with(expr: Expr, held: dict[str, Expr]) -> Expr:
    return rewrite_expression(expr, lambda part: held.get(part.var.name, part) if isinstance(part, Ref) else part)


def _mentions(exprs: tuple[Expr, ...], names: set[str]) -> bool:
    """Whether any of these expressions reads one of these variables."""
    return any(isinstance(e, Ref) and e.var.name in names for expr in exprs for e in subexpressions(expr))


__all__ = ["Pointers"]
