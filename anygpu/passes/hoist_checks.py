"""Bounds checks moved out of loops: one test before the loop chooses between a copy without checks and the loop as it was.

In ``for i in range(a, b): ... x[i + 1] ...`` every access is in bounds if ``a + 1 >= 0`` and ``b + 1 <= len(x)``. Where the test fails,
the checked loop reports the right access, so nothing is lost but the code of a second loop. Only innermost loops are copied, and only
for tests that are the same in all lanes (or any, in scalar code). Where accesses remain whose index is data, the copy may run on trust
(``passes.speculate``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from anygpu.dtypes import bool_, int64
from anygpu.ir.build import integer, op
from anygpu.ir.kernel import (
    Array,
    Assign,
    Atomic,
    Block,
    Body,
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
    Store,
    Var,
    While,
    assigned,
    subexpressions,
    walk,
)  # fmt: skip
from anygpu.passes.intervals import Facts, Intervals, State, analyse, in_bounds, interval
from anygpu.passes.rewrite import map_bodies, rename
from anygpu.passes.speculate import can_repeat, depends_on_loads, not_empty, trusting
from anygpu.passes.uniformity import Shape, expression_shape, single_assignment_locals

_STATEMENTS, _TESTS = 40, 6


@dataclass
class _Hoisting:
    arrays: dict[str, Array]
    shapes: Mapping[str, Shape]
    specials: Mapping[tuple[str, int], Shape]
    found: Intervals
    scalar: bool
    locals: set[str]
    trust: bool
    copies: int = 0

    def body(self, body: Body) -> Body:
        return tuple(new for s in body for new in self.statement(s))

    def statement(self, stmt: Stmt) -> Body:
        if isinstance(stmt, For) and not any(isinstance(s, For | While) for s in walk(stmt.body)):
            state = self.found.states.get(id(stmt))
            return (stmt,) if state is None else self.loop(stmt, state)
        return (map_bodies(stmt, self.body),)

    def loop(self, stmt: For, state: State) -> Body:
        statements = list(walk(stmt.body))
        steady = isinstance(stmt.step, Const) and int(stmt.step.value) > 0
        if not steady or len(statements) > _STATEMENTS:
            return (stmt,)
        changing = {v.name for s in statements if (v := assigned(s)) is not None} | {stmt.var.name}
        tests: list[Expr] = []
        safe: set[int] = set()
        for inner in statements:
            if isinstance(inner, Load | Store | Atomic) and inner.checked and inner.index:
                needed = self.tests(inner, stmt, changing, state)
                merged = tests + [t for t in needed or () if t not in tests]
                if needed is not None and len(merged) <= _TESTS:
                    tests = merged
                    safe.add(id(inner))
        rest = [s for s in statements if isinstance(s, Load) and s.checked and s.index and id(s) not in safe]
        if self.trust and can_repeat(stmt) and depends_on_loads(rest, stmt.body):
            needed = not_empty([self.arrays[name] for name in dict.fromkeys(load.array for load in rest)])
            if needed is not None:
                return self.on_trust(stmt, _all(tests + needed), safe, sorted(changing - self.locals))
        if not safe:
            return (stmt,)
        condition = _all(tests)
        unchecked = self.renamed(replace(stmt, body=_unchecked(stmt.body, safe)))
        return (unchecked,) if isinstance(condition, Const) and condition.value else (If(condition, (unchecked,), (stmt,), stmt.loc),)

    def on_trust(self, loop: For, condition: Expr, safe: set[int], changed: list[str]) -> Body:
        """Run a loop without checks if the condition holds, and as it was if it does not or if a check would have failed."""
        failed = Var(f"failed{self.copies + 1}", bool_)
        types = {v.name: v for s in (loop, *walk(loop.body)) if (v := assigned(s)) is not None}
        kept = [(types[name], Var(f"{name}.kept{self.copies + 1}", types[name].dtype)) for name in changed]
        trusted = self.renamed(replace(loop, body=trusting(loop.body, self.arrays, safe, failed)))
        save = [Assign(copy, Ref(var), loop.loc) for var, copy in kept]
        restore = [Assign(var, Ref(copy), loop.loc) for var, copy in kept]
        return (
            *save,
            Assign(failed, op("not", condition), loop.loc),
            If(condition, (trusted,), (), loop.loc),
            If(Ref(failed), (*restore, loop), (), loop.loc),
        )

    def renamed(self, loop: For) -> For:
        """A copy of a loop with names of its own for what lives in it, so that every variable is still assigned once."""
        self.copies += 1
        inside = {v.name for s in (loop, *walk(loop.body)) if (v := assigned(s)) is not None} & self.locals
        names = {name: f"{name}.unchecked{self.copies}" for name in inside}
        labels = {s.label: f"{s.label}.unchecked{self.copies}" for s in walk(loop.body) if isinstance(s, Block)}
        (copy,) = _relabelled(rename((loop,), names), labels)
        assert isinstance(copy, For)
        return copy

    def tests(self, access: Load | Store | Atomic, loop: For, changing: set[str], state: State) -> list[Expr] | None:
        """What must hold before the loop for an access to be in bounds in every turn; None if that cannot be said."""
        array = self.arrays[access.array]
        if array.shape is not None:
            return None  # its extents are literals: what intervals cannot prove varies
        inside = self.found.states.get(id(access))
        if inside is not None and in_bounds(access.index, array, inside, self.found.facts):
            return []
        tests: list[Expr] = []
        for axis, index in enumerate(access.index):
            extent = Dim(array.name, axis)
            offset = _offset(index, loop)
            if offset is not None:
                low, high = self.moved(loop.start, offset, state), self.moved(loop.stop, offset, state)
                if low is None or high is None:
                    return None
                tests += [*self.not_negative(low, state), op("le", high, extent)]
            elif not _mentions(index, changing):
                tests += [*self.not_negative(index, state), op("lt", index, extent)]
            else:
                return None
        uniform = all(expression_shape(t, self.shapes, self.specials).uniform for t in tests)
        return tests if uniform or self.scalar else None

    def moved(self, expr: Expr, offset: int, state: State) -> Expr | None:
        """``expr + offset`` if it cannot wrap."""
        low, high = interval(expr, state, self.found.facts)
        if low + offset < int64.minimum or high + offset > int64.maximum:
            return None
        return op("add", expr, integer(offset)) if offset else expr

    def not_negative(self, expr: Expr, state: State) -> list[Expr]:
        proven = interval(expr, state, self.found.facts)[0] >= 0
        return [] if proven else [op("ge", expr, integer(0))]


def _relabelled(body: Body, labels: Mapping[str, str]) -> Body:
    """A body with other labels of the blocks in it."""
    out: list[Stmt] = []
    for stmt in body:
        copy = map_bodies(stmt, lambda inner: _relabelled(inner, labels))
        if isinstance(copy, Block | Exit) and copy.label in labels:
            copy = replace(copy, label=labels[copy.label])
        out.append(copy)
    return tuple(out)


def _all(tests: list[Expr]) -> Expr:
    condition: Expr = Const(True, bool_)
    for test in tests:
        condition = op("and", condition, test)
    return condition


def _offset(index: Expr, loop: For) -> int | None:
    """c, if an index is the loop's variable plus c."""
    match index:
        case Ref(var=var) if var == loop.var:
            return 0
        case Op(name="add", args=(Ref(var=var), Const(value=c))) | Op(name="add", args=(Const(value=c), Ref(var=var))) if var == loop.var:
            return int(c)
        case Op(name="sub", args=(Ref(var=var), Const(value=c))) if var == loop.var:
            return -int(c)
    return None


def _mentions(expr: Expr, names: set[str]) -> bool:
    return any(isinstance(e, Ref) and e.var.name in names for e in subexpressions(expr)) or any(
        isinstance(e, Special) and e.name in ("index", "extent") for e in subexpressions(expr)
    )


def _unchecked(body: Body, safe: set[int]) -> Body:
    out: list[Stmt] = []
    for stmt in body:
        if isinstance(stmt, Load | Store | Atomic) and id(stmt) in safe:
            out.append(replace(stmt, checked=False))
        else:
            out.append(replace(map_bodies(stmt, lambda inner: _unchecked(inner, safe))))  # a copy of its own: analyses go by identity
    return tuple(out)


def hoist_checks(
    kernel: Kernel, shapes: Mapping[str, Shape], specials: Mapping[tuple[str, int], Shape], facts: Facts, scalar: bool, trust: bool = False
) -> Kernel:  # fmt: skip
    """``kernel`` with innermost loops doubled where one test before them makes their accesses safe.

    ``trust``: also where accesses remain, if the loop can be repeated should one of them be out of bounds.
    """
    found = analyse(kernel, facts)
    hoisting = _Hoisting(kernel.arrays(), shapes, specials, found, scalar, single_assignment_locals(kernel), trust)
    return replace(kernel, body=hoisting.body(kernel.body))
