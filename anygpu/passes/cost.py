"""A rough price of a kernel in vector and in scalar code, to choose between them.

Gathers, scatters and atomics cost a vector machine one access a lane and the moves in and out of registers besides; loops whose
lanes leave at different times cost all lanes the longest. A kernel made of these (a sparse matrix-vector product) runs
faster lane by lane, where a loop is a loop.
"""

from __future__ import annotations

from collections.abc import Mapping

from anygpu.ir.kernel import (
    Assign,
    Atomic,
    Block,
    Body,
    Const,
    Expr,
    For,
    If,
    Kernel,
    Load,
    Op,
    Ref,
    Stmt,
    Store,
    WarpOp,
    While,
    children,
    operands,
    subexpressions,
)  # fmt: skip
from anygpu.ir.ops import is_expanded
from anygpu.passes.uniformity import Shape, expression_shape

_LOOP = 8.0  # turns that a loop of unknown length is taken to have
_LANES = 8.0  # lanes that one vector instruction serves
_GATHER = 3.0  # what a gathered lane costs, against a scalar load
_DIVERGED = 1.6  # how much longer the longest of a strip's loops is than the mean
_INTENSE = 4.0  # operations for each access, from which on arithmetic outweighs memory
_FEW = 8  # turns of a loop that leave the units time enough
_HEAVY = {"div": 8.0, "sqrt": 8.0, "floordiv": 10.0, "mod": 10.0}


def _arithmetic(expr: Expr) -> float:
    return sum(
        _HEAVY.get(e.name, 30.0 if is_expanded(e.name, e.args[-1].dtype) else 1.0) for e in subexpressions(expr) if isinstance(e, Op)
    )


def costs(kernel: Kernel, shapes: Mapping[str, Shape], specials: Mapping[tuple[str, int], Shape]) -> tuple[float, float]:
    """The price of one work-item in (vector, scalar) code, in scalar instructions."""

    def shape(expr: Expr) -> Shape:
        return expression_shape(expr, shapes, specials)

    def body(statements: Body, weight: float, diverged: float) -> tuple[float, float]:
        vector = scalar = 0.0
        for stmt in statements:
            work = sum(_arithmetic(e) for e in operands(stmt))
            varies = any(not shape(e).uniform for e in operands(stmt))
            vector += weight * diverged * (work / _LANES if varies else work / (2 * _LANES))
            scalar += weight * work
            match stmt:
                case Load(index=index) | Store(index=index) | Atomic(index=index):
                    shapes_here = [shape(i) for i in index]
                    gathered = bool(index) and (any(s.stride is None for s in shapes_here) or any(s.affine for s in shapes_here[:-1]))
                    lane = _GATHER if gathered or isinstance(stmt, Atomic) else 1 / _LANES
                    vector += weight * diverged * lane
                    scalar += weight
                case WarpOp():
                    vector += weight * 2 / _LANES
                    scalar += weight * 1e9  # there is no warp without lanes
                case If(then=then, orelse=orelse):
                    for part in (then, orelse):
                        inner = body(part, weight / 2 if orelse else weight, diverged)
                        vector, scalar = vector + inner[0] * (2 if orelse and varies else 1), scalar + inner[1]
                case For(body=inside) | While(body=inside):
                    before = stmt.before if isinstance(stmt, While) else ()
                    inner = body((*before, *inside), weight * _LOOP, diverged * (_DIVERGED if varies else 1.0))
                    vector, scalar = vector + inner[0], scalar + inner[1] + weight * _LOOP
                case Block(body=inside):
                    inner = body(inside, weight, diverged)
                    vector, scalar = vector + inner[0], scalar + inner[1]
                case Assign():
                    pass
        return vector, scalar

    return body(kernel.body, 1.0, 1.0)



def gains_by_width(kernel: Kernel) -> bool:
    """Whether twice as many lanes at once are worth more than the registers that they take: where arithmetic outweighs memory, or a loop
    adds to a number that it needs again in the next turn, so that each turn waits for the one before."""
    work, accesses = _balance(kernel.body, 1.0)
    return work >= _INTENSE * accesses or _accumulates(kernel.body, False)


def _balance(statements: Body, weight: float) -> tuple[float, float]:
    """Arithmetic, that of indices aside, and accesses to memory."""
    work = accesses = 0.0
    for stmt in statements:
        if isinstance(stmt, Load | Store | Atomic):
            accesses += weight
        if not isinstance(stmt, Load):  # whose operands are an index
            work += weight * sum(_arithmetic(e) for e in operands(stmt))
        turns = _LOOP if isinstance(stmt, For | While) else 1.0
        for part in children(stmt):
            more, further = _balance(part, weight * turns)
            work, accesses = work + more, accesses + further
    return work, accesses


def _accumulates(statements: Body, in_loop: bool) -> bool:
    for stmt in statements:
        match stmt:
            case Assign(var=var, value=value) if in_loop and var.dtype.is_float:
                if any(isinstance(e, Ref) and e.var == var for e in subexpressions(value)):
                    return True
        if any(_accumulates(part, in_loop or _is_long(stmt)) for part in children(stmt)):
            return True
    return False


def _is_long(stmt: Stmt) -> bool:
    """Whether a statement is a loop, and not one of few turns."""
    match stmt:
        case For(start=Const(value=start), stop=Const(value=stop), step=Const(value=step)):
            return len(range(int(start), int(stop), int(step) or 1)) > _FEW
        case For() | While():
            return True
    return False


def turns(start: int, stop: int, step: int) -> int:
    """How many numbers ``range(start, stop, step)`` has, which may be more than ``len`` can say."""
    return max(0, -((start - stop) // step))


def weight(body: Body) -> int:
    """About how many operations a body makes; those of a loop with constant bounds as often as it turns."""
    total = 0
    for stmt in body:
        inner = sum(map(weight, children(stmt)))
        match stmt:
            case For(start=Const(value=start), stop=Const(value=stop), step=Const(value=step)) if step:
                inner *= turns(int(start), int(stop), int(step))
        total += 1 + inner + sum(isinstance(e, Op) for o in operands(stmt) for e in subexpressions(o))
    return total
