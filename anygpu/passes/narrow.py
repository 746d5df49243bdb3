"""32-bit arithmetic where it gives the same results, and access checks that are proven removed.

Indices are int64 in the language. Where intervals show that an operation's operands and result fit int32, lanes that
differ compute it in int32: vectors hold twice as many. Uniform and affine values stay as they are, since scalars are 64 bits wide anyway.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from anygpu.dtypes import int32, int64, uint32, uint64
from anygpu.ir.build import cast, op
from anygpu.ir.kernel import Assign, Atomic, Bitcast, Body, Cast, Const, Expr, For, Kernel, Load, Op, Ref, Stmt, Store, Var, While, walk
from anygpu.passes.intervals import INT32, Intervals, State, in_bounds, inside, interval
from anygpu.passes.rewrite import map_bodies, map_operands
from anygpu.passes.uniformity import VARYING, Shape, expression_shape

_ARITHMETIC = frozenset(
    ("add", "sub", "mul", "neg", "abs", "minimum", "maximum", "and", "or", "xor", "shl", "shr", "floordiv", "mod", "select")
)
_COMPARISONS = frozenset(("eq", "ne", "lt", "le", "gt", "ge"))


class _Narrowing:
    def __init__(
        self, kernel: Kernel, shapes: Mapping[str, Shape], specials: Mapping[tuple[str, int], Shape], found: Intervals, any_step: bool
    ):  # fmt: skip
        self.kernel = kernel
        self.arrays = kernel.arrays()
        self.shapes = shapes
        self.specials = specials
        self.found = found
        self.facts = found.facts
        self.renamed = {
            var.name: Var(var.name, int32) for var in _assigned(kernel, found, any_step)
            if var.dtype is int64 and shapes.get(var.name) == VARYING and inside(found.totals.get(var.name, (0, 0)), INT32)
        }  # fmt: skip

    def fits(self, expr: Expr, state: State) -> bool:
        return inside(interval(expr, state, self.facts), INT32)

    def expression(self, expr: Expr, state: State) -> Expr:
        """An expression of the same value; its varying 64-bit parts computed in 32 bits where they fit."""
        match expr:
            case Ref(var=var) if var.name in self.renamed:
                return Cast(Ref(self.renamed[var.name]), int64)
            case Cast(arg=arg, dtype=dtype):
                inner = self.expression(arg, state)
                if inner.dtype is int64 and dtype.is_float and self.fits(arg, state):  # 64 bits are several times as dear, if not a call
                    return cast(self.low(inner), dtype)
                return Cast(inner, dtype)
            case Bitcast(arg=arg, dtype=dtype):
                return Bitcast(self.expression(arg, state), dtype)
            case Op(name=name, args=args, dtype=dtype):
                inner_args = tuple(self.expression(a, state) for a in args)
                wide = args[-1].dtype is int64
                if wide and (name in _ARITHMETIC or name in _COMPARISONS) and any(map(self.varies, args)):
                    numbers = args[1:] if name == "select" else args
                    if all(self.fits(a, state) for a in numbers) and (
                        name in _COMPARISONS or (self.varies(expr) and self.fits(expr, state))
                    ):
                        low = tuple(a if n == 0 and name == "select" else self.low(a) for n, a in enumerate(inner_args))
                        narrow = op(name, *low)
                        return narrow if name in _COMPARISONS else Cast(narrow, int64)
                if any(map(self.varies, args)) and all(self.unsigned(a, state) for a in args):
                    low = tuple(cast(self.low(a.arg), uint32) for a in inner_args if isinstance(a, Cast))
                    if name in _COMPARISONS:
                        return op(name, *low)
                    if name == "minimum" and self.fits(expr, state):  # one of them is not negative
                        return Cast(op(name, *low), uint64)
                return Op(name, inner_args, dtype)
        return expr

    def unsigned(self, expr: Expr, state: State) -> bool:
        """Whether a uint64 is an int64 that fits int32: such are ordered as their low halves are."""
        return isinstance(expr, Cast) and expr.dtype is uint64 and expr.arg.dtype is int64 and self.fits(expr.arg, state)

    def low(self, expr: Expr) -> Expr:
        """The low half of an int64 expression."""
        if isinstance(expr, Cast) and expr.dtype is int64 and expr.arg.dtype is int32:
            return expr.arg
        return cast(expr, int32)

    def varies(self, expr: Expr) -> bool:
        return expression_shape(expr, self.shapes, self.specials) == VARYING

    def body(self, body: Body) -> Body:
        return tuple(self.statement(s) for s in body)

    def statement(self, stmt: Stmt) -> Stmt:
        # a loop's condition is asked again in every turn, where its variables are no longer what they were before the loop
        state = (self.found.conditions if isinstance(stmt, While) else self.found.states).get(id(stmt))
        if state is None:  # never reached: as it is, but with the variables' new types
            state = State({}, frozenset())
        changed = map_bodies(map_operands(stmt, lambda e: self.expression(e, state)), self.body)
        match stmt:
            case Load() | Store() | Atomic():
                assert isinstance(changed, Load | Store | Atomic)
                index = tuple(
                    self.low(i) if self.varies(old) and self.fits(old, state) else i
                    for i, old in zip(changed.index, stmt.index, strict=True)
                )
                checked = stmt.checked and not in_bounds(stmt.index, self.arrays[stmt.array], state, self.facts)
                return replace(changed, index=index, checked=checked)
            case Assign(var=var) if var.name in self.renamed:
                assert isinstance(changed, Assign)
                return replace(changed, var=self.renamed[var.name], value=self.low(changed.value))
            case For(var=var) if var.name in self.renamed:
                assert isinstance(changed, For)
                start, stop, step = self.low(changed.start), self.low(changed.stop), self.low(changed.step)
                return replace(changed, var=self.renamed[var.name], start=start, stop=stop, step=step)
        return changed


def _assigned(kernel: Kernel, found: Intervals, any_step: bool) -> list[Var]:
    """Variables that only assignments set, and loops of unit step (or any constant one) whose bounds fit too: those can have another
    type."""
    plain: dict[str, Var] = {}
    other: set[str] = set()
    for stmt in walk(kernel.body):
        var = getattr(stmt, "var", None)
        if not isinstance(var, Var):
            continue
        suits = isinstance(stmt, For) and isinstance(stmt.step, Const) and (stmt.step.value == 1 or any_step)
        if isinstance(stmt, For) and suits:  # an empty range may start and end anywhere
            state = found.states.get(id(stmt))
            bounds = (stmt.start, stmt.stop, stmt.step)
            suits = state is not None and all(inside(interval(e, state, found.facts), INT32) for e in bounds)
        if isinstance(stmt, Assign) or suits:
            plain[var.name] = var
        else:
            other.add(var.name)
    return [v for name, v in plain.items() if name not in other]


def narrow(
    kernel: Kernel, shapes: Mapping[str, Shape], specials: Mapping[tuple[str, int], Shape], found: Intervals, any_step: bool = False
) -> Kernel:  # fmt: skip
    """``kernel`` with varying integers in 32 bits where that is exact, and proven accesses unchecked. ``found`` is its own analysis.

    ``any_step``: loops of any constant step too, not of unit step alone.
    """
    return replace(kernel, body=_Narrowing(kernel, shapes, specials, found, any_step).body(kernel.body))
