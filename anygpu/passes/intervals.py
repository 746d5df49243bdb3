"""Which values integer variables can have at each statement: intervals, refined by guards and widened in loops.

(P. Cousot and R. Cousot, "Abstract interpretation: a unified lattice model for static analysis of programs", 1977.)
Besides intervals it keeps what guards prove of array extents: ``i < x.shape[0] - 1`` shows that ``x[i + 1]`` ends where ``x`` does.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

from anygpu.config import LONGEST_LINE
from anygpu.dtypes import DType, bool_, int64
from anygpu.ir.kernel import (
    Array,
    Assign,
    Atomic,
    Barrier,
    Block,
    Body,
    Cast,
    Const,
    Dim,
    Exit,
    Expr,
    For,
    If,
    Kernel,
    Load,
    Op,
    Ref,
    Special,
    Stmt,
    Var,
    WarpOp,
    While,
    subexpressions,
)  # fmt: skip

Interval = tuple[int, int]
INT32: Interval = (-(1 << 31), (1 << 31) - 1)
_SUMS = ("add", "sub")
_THRESHOLDS = sorted({0, 1, *(sign * (1 << bits) - (sign > 0) for bits in (7, 8, 15, 16, 31, 32, 63) for sign in (1, -1))})


@dataclass(frozen=True)
class Facts:
    """What a launch guarantees: ``small`` (positions, extents and int arguments fit int32) and perhaps the block's extents. Where those are
    known, a grid has no more than 65535 blocks along y and z, but not that of a range (``ranged``), whose blocks may be ``lines`` of any
    length.

    Of one launch the rest is known too: the ``grid``, the ``shapes`` of its arrays and the ``values`` of some of its integers.
    """

    small: bool = True
    block: tuple[int, int, int] | None = None
    grid: tuple[int, int, int] | None = None
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    values: Mapping[str, int] = field(default_factory=dict)
    ranged: bool = False
    lines: bool = False

    def extent(self, array: str, axis: int) -> Interval:
        """What an extent of an array argument can be."""
        shape = self.shapes.get(array)
        return (0, INT32[1] if self.small else int64.maximum) if shape is None else (shape[axis], shape[axis])


Below = tuple[Expr, str, int, int]


@dataclass
class State:
    """What is known where a statement stands: intervals of integer variables, (value, array, axis, offset) for each
    ``value + offset < extent``, and the sums that a variable is known to hold."""

    intervals: dict[str, Interval]
    below: frozenset[Below]
    sums: dict[Expr, Var] = field(default_factory=dict)

    def copy(self) -> State:
        return State(dict(self.intervals), self.below, dict(self.sums))


@functools.cache
def whole(dtype: DType) -> Interval:
    return (dtype.minimum, dtype.maximum)


def hull(a: Interval, b: Interval) -> Interval:
    return (min(a[0], b[0]), max(a[1], b[1]))


def inside(a: Interval, b: Interval) -> bool:
    return b[0] <= a[0] and a[1] <= b[1]


def _special(expr: Special, facts: Facts) -> Interval:
    large = (1 << 31) - 1
    match expr.name:
        case "thread" | "block_dim":
            known = facts.block[expr.axis] if facts.block is not None else 1 if facts.lines and expr.axis else None
            most = known if known is not None else LONGEST_LINE if facts.lines else 1024
            return (known or 1, most) if expr.name == "block_dim" else (0, most - 1)
        case "block" | "grid_dim":
            least, most = 1, large
            if facts.grid is not None:
                least = most = facts.grid[expr.axis]
            elif facts.block is not None:
                most = large // facts.block[expr.axis] if facts.small else large
                most = min(most, 65535) if expr.axis and not facts.ranged else most
            return (0, most - 1) if expr.name == "block" else (least, most)
        case "lane":
            return (0, 31)
        case "warp":
            return (0, 31)
    return (0, large if facts.small else int64.maximum)


def _is_position(expr: Expr) -> bool:
    """``block * block_dim + thread`` along one axis: below 2**31 in a small launch."""
    match expr:
        case Op(
            name="add",
            args=(Op(name="mul", args=(Special(name="block", axis=a), Special(name="block_dim", axis=b))), Special(name="thread", axis=c)),
        ):
            return a == b == c
        case Op(name="mul", args=(Special(name="block_dim", axis=a), Special(name="grid_dim", axis=b))):
            return a == b
    return False


def interval(expr: Expr, state: State, facts: Facts) -> Interval:
    """An interval that holds every value of an integer expression."""
    dtype = expr.dtype
    limits = whole(dtype)
    found = _interval(expr, state, facts)
    if found is None or not inside(found, limits):
        found = limits
    if state.sums and isinstance(expr, Op) and expr.name in _SUMS and (var := state.sums.get(expr)) is not None:
        low, high = state.intervals.get(var.name, limits)
        found = (max(found[0], low), min(found[1], high))
    return found


def is_exact(expr: Op, state: State, facts: Facts) -> bool:
    """Whether an integer operation's result, computed without end, fits its dtype: it does not wrap."""
    found = _interval(expr, state, facts)
    return found is not None and inside(found, whole(expr.dtype))


def _interval(expr: Expr, state: State, facts: Facts) -> Interval | None:
    match expr:
        case Const(value=value):
            return (int(value), int(value))
        case Ref(var=var):
            return state.intervals.get(var.name, whole(var.dtype))
        case Special():
            return _special(expr, facts)
        case Dim(array=array, axis=axis):
            return facts.extent(array, axis)
        case Cast(arg=arg):
            return interval(arg, state, facts) if not arg.dtype.is_float else None
        case Op(name=name, args=args):
            if facts.small and facts.grid is None and _is_position(expr):
                return (0, (1 << 31) - 1)
            if name == "select":
                return hull(interval(args[1], state, facts), interval(args[2], state, facts))
            if any(a.dtype.is_float for a in args):
                return None
            return _operation(name, [interval(a, state, facts) for a in args])
    return None


def _operation(name: str, args: list[Interval]) -> Interval | None:
    match name, args:
        case "add", [(a, b), (c, d)]:
            return (a + c, b + d)
        case "sub", [(a, b), (c, d)]:
            return (a - d, b - c)
        case "mul", [(a, b), (c, d)]:
            corners = (a * c, a * d, b * c, b * d)
            return (min(corners), max(corners))
        case "neg", [(a, b)]:
            return (-b, -a)
        case "abs", [(a, b)]:
            return (0 if a <= 0 <= b else min(abs(a), abs(b)), max(abs(a), abs(b)))
        case "minimum", [(a, b), (c, d)]:
            return (min(a, c), min(b, d))
        case "maximum", [(a, b), (c, d)]:
            return (max(a, c), max(b, d))
        case "floordiv", [(a, b), (c, d)] if c > 0:
            corners = (a // c, a // d, b // c, b // d)
            return (min(corners), max(corners))
        case "mod", [(a, b), (c, d)] if c > 0:
            return (0, min(b, d - 1) if a >= 0 else d - 1)
        case "and", [(a, b), (c, d)]:
            if c >= 0 or a >= 0:
                return (0, min(x for x, low in ((b, a), (d, c)) if low >= 0))
        case "or" | "xor", [(a, b), (c, d)] if a >= 0 and c >= 0:
            return (0, (1 << max(b, d).bit_length()) - 1)
        case "shr", [(a, b), (c, d)] if 0 <= c and d < 64:
            return (min(a >> c, a >> d), max(b >> c, b >> d))
        case "shl", [(a, b), (c, d)] if 0 <= c and d < 64:
            return (min(a << c, a << d), max(b << c, b << d))
        case (("popc" | "clz" | "ctz"), _):
            return (0, 64)
    return None


@dataclass
class Intervals:
    """The result: the state before each statement (by its identity), and the hull of all that each variable is ever given."""

    facts: Facts
    states: dict[int, State] = field(default_factory=dict)
    conditions: dict[int, State] = field(default_factory=dict)  # where a ``while`` tests its condition, in every turn
    totals: dict[str, Interval] = field(default_factory=dict)

    def anywhere(self, expr: Expr) -> Interval:
        """An interval that holds every value of an integer expression, wherever in the kernel it stands."""
        return interval(expr, State(self.totals, frozenset()), self.facts)


class _Analysis:
    def __init__(self, kernel: Kernel, facts: Facts):
        self.facts = facts
        self.result = Intervals(facts)
        self.exits: dict[str, State | None] = {}
        self.recording = True

    def set(self, state: State, var: Var, value: Interval) -> None:
        state.below = frozenset(f for f in state.below if not _mentions(f[0], var))
        state.sums = {value: held for value, held in state.sums.items() if held != var and not _mentions(value, var)}
        if not var.dtype.is_integer:
            return
        state.intervals[var.name] = value
        totals = self.result.totals
        totals[var.name] = hull(totals.get(var.name, (0, 0)), value)

    def body(self, body: Body, state: State | None) -> State | None:
        for stmt in body:
            if state is None:
                return None
            self.result.states[id(stmt)] = state.copy()
            state = self.statement(stmt, state)
        return state

    def statement(self, stmt: Stmt, state: State) -> State | None:
        match stmt:
            case Assign(var=var, value=value):
                if var.dtype.is_integer:
                    base, moved = position(value, state, self.facts)
                    facts = {f for f in state.below if f[0] == base and not _mentions(base, var)}
                    self.set(state, var, interval(value, state, self.facts))
                    state.below |= frozenset((Ref(var), array, axis, offset - moved) for _, array, axis, offset in facts)
                    if isinstance(value, Op) and value.name in _SUMS and not _mentions(value, var):
                        state.sums[value] = var
                else:
                    self.set(state, var, (0, 0))
            case Load(var=var) | WarpOp(var=var):
                self.set(state, var, whole(var.dtype) if var.dtype.is_integer else (0, 0))
            case Atomic(var=var) | Barrier(var=var):
                if var is not None:
                    self.set(state, var, whole(var.dtype) if var.dtype.is_integer else (0, 0))
            case If(cond=cond, then=then, orelse=orelse):
                first = self.body(then, refine(state.copy(), cond, True, self.facts))
                second = self.body(orelse, refine(state.copy(), cond, False, self.facts))
                return _join(first, second)
            case Block(label=label, body=body):
                self.exits[label] = None
                after = self.body(body, state)
                return _join(after, self.exits.pop(label))
            case Exit(label=label):
                self.exits[label] = _join(self.exits.get(label), state)
                return None
            case For():
                return self.loop(state, lambda s: self.for_turn(stmt, s), lambda s: s)
            case While(cond=cond):
                return self.loop(state, lambda s: self.while_turn(stmt, s), lambda s: self.while_end(stmt, s))
        return state

    def for_turn(self, stmt: For, state: State) -> State | None:
        start, stop, step = (interval(e, state, self.facts) for e in (stmt.start, stmt.stop, stmt.step))
        if step[0] > 0:
            last = stop[1] - 1
            if start[0] == start[1] and step[0] == step[1]:
                last = start[0] + (last - start[0]) // step[0] * step[0]
            values = (start[0], max(start[0], last))
        elif step[1] < 0:
            values = (min(start[1], stop[0] + 1), start[1])
        else:
            values = hull(start, stop)
        self.set(state, stmt.var, values)
        extent, offset = position(stmt.stop, state, self.facts)
        if isinstance(extent, Dim) and step[0] > 0:
            state.below |= {(Ref(stmt.var), extent.array, extent.axis, -offset)}
        return self.body(stmt.body, state)

    def while_turn(self, stmt: While, state: State) -> State | None:
        before = self.body(stmt.before, state)
        self.result.conditions[id(stmt)] = State({}, frozenset()) if before is None else before.copy()
        return None if before is None else self.body(stmt.body, refine(before.copy(), stmt.cond, True, self.facts))

    def while_end(self, stmt: While, state: State) -> State:
        before = self.body(stmt.before, state)
        return state if before is None else refine(before, stmt.cond, False, self.facts)

    def loop(self, state: State, turn: object, end: object) -> State | None:
        """Run a loop's turn until what is known at its head stands still."""
        head = state
        for round_number in range(40):
            after = turn(head.copy())  # type: ignore[operator]
            merged = _join(head, after)
            assert merged is not None
            if round_number >= 2:
                merged = _widen(head, merged)
            if merged == head:
                break
            head = merged
        else:
            head = State({name: (min(_THRESHOLDS), max(_THRESHOLDS)) for name in head.intervals}, frozenset())
            turn(head.copy())  # type: ignore[operator]
        return end(head.copy())  # type: ignore[operator, no-any-return]


def _join(a: State | None, b: State | None) -> State | None:
    if a is None or b is None:
        return b if a is None else a
    names = a.intervals.keys() | b.intervals.keys()
    zero = (0, 0)  # a variable that was not set on one path is zero there
    intervals = {n: hull(a.intervals.get(n, zero), b.intervals.get(n, zero)) for n in names}
    return State(intervals, a.below & b.below, dict(a.sums.items() & b.sums.items()))


def _widen(old: State, new: State) -> State:
    """Move every bound that still grows to the next threshold."""
    widened = dict(new.intervals)
    for name, (low, high) in new.intervals.items():
        before = old.intervals.get(name, (0, 0))
        if low < before[0]:
            low = max((t for t in _THRESHOLDS if t <= low), default=-(1 << 64))
        if high > before[1]:
            high = min((t for t in _THRESHOLDS if t >= high), default=1 << 64)
        widened[name] = (low, high)
    return State(widened, new.below, new.sums)


def _mentions(expr: Expr, var: Var) -> bool:
    return any(isinstance(e, Ref) and e.var == var for e in subexpressions(expr))


def position(expr: Expr, state: State, facts: Facts) -> tuple[Expr, int]:
    """``base`` and ``c`` for an expression that is surely ``base + c``: without widening casts, and without sums that could wrap."""
    match expr:
        case Cast(arg=arg, dtype=dtype) if dtype.is_integer and arg.dtype.is_integer and inside(whole(arg.dtype), whole(dtype)):
            return position(arg, state, facts)
        case Op(name="add", args=(arg, Const(value=c))) | Op(name="add", args=(Const(value=c), arg)):
            constant = int(c)
        case Op(name="sub", args=(arg, Const(value=c))):
            constant = -int(c)
        case _:
            return expr, 0
    low, high = interval(arg, state, facts)
    if not (expr.dtype.is_integer and inside((low + constant, high + constant), whole(expr.dtype))):
        return expr, 0
    base, moved = position(arg, state, facts)
    return base, moved + constant


_NEGATED = {"lt": "ge", "ge": "lt", "le": "gt", "gt": "le", "eq": "ne", "ne": "eq"}
_MIRRORED = {"lt": "gt", "gt": "lt", "le": "ge", "ge": "le", "eq": "eq", "ne": "ne"}


def refine(state: State, cond: Expr, holds: bool, facts: Facts) -> State:
    """The state where a condition is known to hold, or not to."""
    match cond:
        case Op(name="not", args=(a,)):
            return refine(state, a, not holds, facts)
        case Op(name="and" | "or" as name, args=(a, b)) if a.dtype is bool_ and holds == (name == "and"):
            return refine(refine(state, a, holds, facts), b, holds, facts)
        case Op(name=name, args=(a, b)) if name in _NEGATED and a.dtype.is_integer:
            relation = name if holds else _NEGATED[name]
            _compare(state, relation, a, b, facts)
            _compare(state, _MIRRORED[relation], b, a, facts)
    return state


def _compare(state: State, relation: str, left: Expr, right: Expr, facts: Facts) -> None:
    if not left.dtype.is_integer:
        return
    key, moved = position(left, state, facts)
    if relation in ("lt", "le"):
        extent, offset = position(right, state, facts)
        if isinstance(extent, Dim):
            state.below |= {(key, extent.array, extent.axis, moved - offset - (relation == "le"))}
    if not isinstance(key, Ref) or moved:
        return
    low, high = state.intervals.get(key.var.name, whole(key.dtype))
    other = interval(right, state, facts)
    match relation:
        case "lt":
            high = min(high, other[1] - 1)
        case "le":
            high = min(high, other[1])
        case "gt":
            low = max(low, other[0] + 1)
        case "ge":
            low = max(low, other[0])
        case "eq":
            low, high = max(low, other[0]), min(high, other[1])
    if low <= high:
        state.intervals[key.var.name] = (low, high)


def analyse(kernel: Kernel, facts: Facts) -> Intervals:
    """Intervals of a kernel's integer variables at each statement."""
    analysis = _Analysis(kernel, facts)
    state = State({}, frozenset())
    for param in kernel.params:
        if isinstance(param, Var) and param.dtype.is_integer:
            limits = whole(param.dtype)
            known = facts.values.get(param.name)
            if known is not None:
                limits = (known, known)
            state.intervals[param.name] = (max(limits[0], INT32[0]), min(limits[1], INT32[1])) if facts.small else limits
    analysis.body(kernel.body, state)
    return analysis.result


def decided(cond: Expr, state: State, facts: Facts) -> bool | None:
    """The value of a condition if intervals show that it is always the same; else None."""
    match cond:
        case Const(value=value):
            return bool(value)
        case Op(name="not", args=(a,)):
            inner = decided(a, state, facts)
            return None if inner is None else not inner
        case Op(name="and" | "or" as name, args=(a, b)) if a.dtype is bool_:
            sides = decided(a, state, facts), decided(b, state, facts)
            strong = name == "or"  # the value that decides alone
            return strong if strong in sides else (not strong if None not in sides else None)
        case Op(name=name, args=(a, b)) if name in _NEGATED and a.dtype.is_integer and b.dtype.is_integer:
            (low, high), (least, most) = interval(a, state, facts), interval(b, state, facts)
            match name:
                case "lt" | "ge":
                    below = True if high < least else False if low >= most else None
                    return below if name == "lt" or below is None else not below
                case "le" | "gt":
                    below = True if high <= least else False if low > most else None
                    return below if name == "le" or below is None else not below
                case _:
                    equal = True if low == high == least == most else False if high < least or low > most else None
                    return equal if name == "eq" or equal is None else not equal
    return None


def in_bounds(index: tuple[Expr, ...], array: Array, state: State, facts: Facts) -> bool:
    """Whether an access is proven to be inside an array: by the known extents of a declared one, by guards for a parameter."""
    for axis, expr in enumerate(index):
        low, high = interval(expr, state, facts)
        if low < 0:
            return False
        if array.shape is not None and array.shape != (0,):
            if high >= array.shape[axis]:
                return False
            continue
        if array.name in facts.shapes and high < facts.shapes[array.name][axis]:
            continue
        places = [position(expr, state, facts)]
        if isinstance(expr, Op) and (var := state.sums.get(expr)) is not None:
            places.append((Ref(var), 0))
        if not any(f[:3] == (base, array.name, axis) and f[3] >= moved for f in state.below for base, moved in places):
            return False
    return bool(index) or array.ndim == 0


__all__ = [
    "INT32", "Facts", "Intervals", "Mapping", "State", "analyse", "decided", "hull", "in_bounds", "inside", "interval", "is_exact",
    "position", "refine",
]  # fmt: skip
