"""Variables that only name another value are replaced by it: copies, positions, extents, and integer expressions of a few operations.

Floats stay where they are: assignment is their rounding point (``passes.contract``).
"""

from __future__ import annotations

from dataclasses import replace

from anygpu.dtypes import bool_
from anygpu.ir.kernel import (
    Assign,
    Block,
    Body,
    Cast,
    Const,
    Dim,
    Expr,
    For,
    If,
    Kernel,
    Op,
    Ref,
    Special,
    Stmt,
    While,
    assigned,
    children,
    operands,
    subexpressions,
    walk,
)  # fmt: skip
from anygpu.ir.ops import is_expanded
from anygpu.passes.rewrite import map_bodies, map_operands, rewrite_expression
from anygpu.passes.uniformity import single_assignment_locals

_BOOL_LIMIT, _EXTENT_LIMIT = 6, 2


class _Propagation:
    def __init__(self, kernel: Kernel, limit: int):
        self.limit = limit
        counts: dict[str, int] = {}
        for stmt in walk(kernel.body):
            var = assigned(stmt)
            if var is not None:
                counts[var.name] = counts.get(var.name, 0) + 1
        self.once = {name for name, count in counts.items() if count == 1}
        self.varying = set(counts) - self.once
        self.local = single_assignment_locals(kernel)
        self.values: dict[str, Expr] = {}

    def stable(self, expr: Expr) -> bool:
        """Whether an expression is cheap and has the same value wherever its variables are in reach."""
        operations = 0
        # sums of extents are computed once for the launch, and analyses should see which extent it is
        of_extents = not any(isinstance(part, Ref | Special) for part in subexpressions(expr))
        for part in subexpressions(expr):
            match part:
                case Ref(var=var):
                    if var.name in self.varying:
                        return False
                case Op(name=name):
                    if is_expanded(name, part.args[-1].dtype) or part.args[-1].dtype.is_float or name in ("floordiv", "mod"):
                        return False
                    operations += 1
                case Cast(arg=arg):
                    if arg.dtype.is_float:
                        return False
                case Const() | Dim() | Special():
                    pass
                case _:
                    return False
        limit = max(self.limit, _EXTENT_LIMIT) if of_extents else self.limit
        return operations <= (max(self.limit, _BOOL_LIMIT) if expr.dtype is bool_ else limit)

    def replaced(self, expr: Expr) -> Expr:
        return rewrite_expression(expr, lambda e: self.values.get(e.var.name, e) if isinstance(e, Ref) else e)

    def body(self, body: Body) -> Body:
        out: list[Stmt] = []
        read: set[str] = set()
        for stmt in body:
            changed = self.statement(stmt)
            for inner in (stmt, *_inside(stmt)):
                for expr in operands(inner):
                    read |= {e.var.name for e in subexpressions(expr) if isinstance(e, Ref)}
            if (
                isinstance(changed, Assign)
                and changed.var.name in self.local
                and changed.var.name not in read
                and not changed.value.dtype.is_float
            ):
                if self.stable(changed.value):
                    self.values[changed.var.name] = changed.value
                    continue
            out.append(changed)
        return tuple(out)

    def statement(self, stmt: Stmt) -> Stmt:
        match stmt:
            case While(before=before, cond=cond, body=body):
                # what `before` sets is in reach of the condition and the body, in this order
                new_before = self.body(before)
                return replace(stmt, before=new_before, cond=self.replaced(cond), body=self.body(body))
            case If(cond=cond, then=then, orelse=orelse):
                return replace(stmt, cond=self.replaced(cond), then=self.body(then), orelse=self.body(orelse))
            case For() | Block():
                return map_bodies(map_operands(stmt, self.replaced), self.body)
            case _:
                return map_operands(stmt, self.replaced)


def _inside(stmt: Stmt) -> list[Stmt]:
    return [s for body in children(stmt) for s in walk(body)]


def propagate(kernel: Kernel, limit: int = 0) -> Kernel:
    """``kernel`` with names of stable values replaced; integer values of up to ``limit`` operations (conditions: of a few) count."""
    return replace(kernel, body=_Propagation(kernel, limit).body(kernel.body))
