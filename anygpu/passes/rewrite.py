"""Rebuilding kernels: the traversal that the rewriting passes share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from anygpu.ir.kernel import (
    Assert,
    Assign,
    Atomic,
    Barrier,
    Bitcast,
    Block,
    Body,
    Cast,
    Expr,
    For,
    If,
    Load,
    Op,
    Prefetch,
    Print,
    Ref,
    Stmt,
    Store,
    Var,
    WarpOp,
    While,
    assigned,
)  # fmt: skip

Rewrite = Callable[[Expr], Expr]


def rewrite_expression(expr: Expr, rule: Rewrite) -> Expr:
    """Apply ``rule`` to every part of an expression, innermost first."""
    match expr:
        case Op(name=name, args=args, dtype=dtype):
            changed = tuple(rewrite_expression(a, rule) for a in args)
            return rule(expr if all(a is b for a, b in zip(args, changed, strict=True)) else Op(name, changed, dtype))
        case Cast(arg=arg, dtype=dtype):
            inner = rewrite_expression(arg, rule)
            return rule(expr if inner is arg else Cast(inner, dtype))
        case Bitcast(arg=arg, dtype=dtype):
            inner = rewrite_expression(arg, rule)
            return rule(expr if inner is arg else Bitcast(inner, dtype))
        case _:
            return rule(expr)


def map_operands(stmt: Stmt, change: Rewrite) -> Stmt:
    """A statement with ``change`` applied to each expression that it evaluates itself."""
    match stmt:
        case Assign(value=value):
            return replace(stmt, value=change(value))
        case Load(index=index) | Prefetch(index=index):
            return replace(stmt, index=tuple(map(change, index)))
        case Store(index=index, value=value):
            return replace(stmt, index=tuple(map(change, index)), value=change(value))
        case Atomic(index=index, operands=given):
            return replace(stmt, index=tuple(map(change, index)), operands=tuple(map(change, given)))
        case Barrier(value=value) if value is not None:
            return replace(stmt, value=change(value))
        case WarpOp(args=args, mask=mask):
            return replace(stmt, args=tuple(map(change, args)), mask=change(mask))
        case If(cond=cond) | While(cond=cond) | Assert(cond=cond):
            return replace(stmt, cond=change(cond))
        case For(start=start, stop=stop, step=step):
            return replace(stmt, start=change(start), stop=change(stop), step=change(step))
        case Print(parts=parts):
            return replace(stmt, parts=tuple(p if isinstance(p, str) else change(p) for p in parts))
        case _:
            return stmt


def map_bodies(stmt: Stmt, change: Callable[[Body], Body]) -> Stmt:
    """A statement with ``change`` applied to each body nested directly in it."""
    match stmt:
        case If(then=then, orelse=orelse):
            return replace(stmt, then=change(then), orelse=change(orelse))
        case While(before=before, body=body):
            return replace(stmt, before=change(before), body=change(body))
        case For(body=body) | Block(body=body):
            return replace(stmt, body=change(body))
        case _:
            return stmt


def rewrite_body(body: Body, rule: Rewrite) -> Body:
    """Every expression of a body rewritten by ``rule``."""
    return tuple(map_bodies(map_operands(s, lambda e: rewrite_expression(e, rule)), lambda b: rewrite_body(b, rule)) for s in body)


def set_variable(stmt: Stmt, var: Var) -> Stmt:
    """A statement that sets ``var`` in place of the variable that it sets."""
    match stmt:
        case Assign() | Load() | WarpOp() | For() | Atomic() | Barrier():
            return replace(stmt, var=var)
        case _:
            return stmt


def rename(body: Body, names: Mapping[str, str]) -> Body:
    """A body with variables renamed, where they are set and where they are read."""

    def rule(expr: Expr) -> Expr:
        if isinstance(expr, Ref) and expr.var.name in names:
            return Ref(Var(names[expr.var.name], expr.var.dtype))
        return expr

    out: list[Stmt] = []
    for stmt in body:
        changed = map_bodies(map_operands(stmt, lambda e: rewrite_expression(e, rule)), lambda inner: rename(inner, names))
        var = assigned(stmt)
        out.append(set_variable(changed, Var(names[var.name], var.dtype)) if var is not None and var.name in names else changed)
    return tuple(out)
