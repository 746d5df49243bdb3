"""Loops over ``range(first + thread, stop, step)`` as loops that all work-items run together.

Each work-item of such a loop begins at another place, so a device sees loops that differ between work-items: masks on everything, and
gathers where neighbours lie side by side. Written as ``for base in range(first, stop, step)`` with ``i = base + thread``, whose guard
``i < stop`` is needed only where the last turn is not a whole one, the counter is the same for all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from anygpu.ir.build import op
from anygpu.ir.kernel import Assign, Barrier, Body, Const, Expr, For, If, Kernel, Op, Ref, Special, Stmt, Var, WarpOp, subexpressions, walk
from anygpu.passes.intervals import Facts, State, analyse, inside, interval, whole
from anygpu.passes.rewrite import map_bodies


@dataclass(frozen=True)
class Stride:
    """The parts of ``range(first + thread, stop, step)``; ``first`` is None where it is 0."""

    first: Expr | None
    thread: Special
    stop: Expr
    step: int


def stride_of(loop: For, state: State) -> Stride | None:
    """The parts of a loop of this form, where ``state`` holds before it; None for any other."""
    stop = _written_out(loop.stop, state)
    if not isinstance(loop.step, Const) or int(loop.step.value) < 1 or _differs(stop):
        return None
    step = int(loop.step.value)
    match _written_out(loop.start, state):
        case Special(name="thread") as thread:
            return Stride(None, thread, stop, step)
        case (
            Op(name="add", args=(first, Special(name="thread") as thread)) | Op(name="add", args=(Special(name="thread") as thread, first))
        ):
            return None if _differs(first) else Stride(first, thread, stop, step)
    return None


def _written_out(expr: Expr, state: State) -> Expr:
    """The sum that a variable holds, in place of the variable."""
    if isinstance(expr, Ref):
        return next((value for value, var in state.sums.items() if var == expr.var), expr)
    return expr


def _differs(expr: Expr) -> bool:
    return any(isinstance(e, Special) and e.name in ("thread", "lane", "warp") for e in subexpressions(expr))


def _fits(stride: Stride, state: State, facts: Facts) -> bool:
    """Whether the sum of the start cannot wrap."""
    low, high = (0, 0) if stride.first is None else interval(stride.first, state, facts)
    more = interval(stride.thread, state, facts)
    return inside((low + more[0], high + more[1]), whole(stride.thread.dtype))


def whole_turns(loop: For, state: State, facts: Facts) -> bool:
    """Whether in every turn all work-items have a place before the end: as many as ``step`` at most, and ``step`` divides the distance."""
    stride = stride_of(loop, state)
    if stride is None or not _fits(stride, state, facts) or interval(stride.thread, state, facts)[1] >= stride.step:
        return False
    match stride.stop:
        case Op(name="add", args=(a, b)) if stride.first is not None and stride.first in (a, b):
            distance = interval(b if a == stride.first else a, state, facts)
        case stop:
            least, most = interval(stop, state, facts)
            first = (0, 0) if stride.first is None else interval(stride.first, state, facts)
            distance = (least - first[1], most - first[0])
    return distance[0] == distance[1] and distance[0] >= 0 and distance[0] % stride.step == 0


def whole_loop(loop: For, state: State) -> For:
    """A loop of which ``whole_turns`` holds, with a counter that all work-items share."""
    stride = stride_of(loop, state)
    assert stride is not None
    return _shared(loop, stride, guarded=False)


def _shared(loop: For, stride: Stride, guarded: bool) -> For:
    base = Var(f"{loop.var.name}.base", loop.var.dtype)
    place = Assign(loop.var, op("add", Ref(base), stride.thread), loop.loc)
    body: Body = (If(op("lt", Ref(loop.var), loop.stop), loop.body, (), loop.loc),) if guarded else loop.body
    first = Const(0, loop.var.dtype) if stride.first is None else stride.first
    return replace(loop, var=base, start=first, body=(place, *body))


def share_counters(kernel: Kernel, facts: Facts) -> Kernel:
    """``kernel`` with a shared counter and a guard in each loop of this form in which lanes do not deal with each other."""
    found = analyse(kernel, facts)

    def statement(stmt: Stmt) -> Stmt:
        changed = map_bodies(stmt, lambda body: tuple(map(statement, body)))
        state = found.states.get(id(stmt))
        if not isinstance(stmt, For) or state is None:
            return changed
        stride = stride_of(stmt, state)
        if stride is None or not _fits(stride, state, facts) or any(isinstance(s, Barrier | WarpOp) for s in walk(stmt.body)):
            return changed
        assert isinstance(changed, For)
        return _shared(changed, stride, guarded=True)

    return replace(kernel, body=tuple(map(statement, kernel.body)))


__all__ = ["share_counters", "stride_of", "whole_loop", "whole_turns"]
