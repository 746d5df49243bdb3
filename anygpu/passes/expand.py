"""Expansion of operations that no machine has: each becomes the body of its libm function, inlined before the statement that needs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from anygpu.dtypes import DType
from anygpu.ir.kernel import (
    Array,
    Assign,
    Bitcast,
    Block,
    Body,
    Cast,
    Exit,
    Expr,
    For,
    Function,
    Kernel,
    Load,
    Op,
    Ref,
    Stmt,
    Var,
    While,
    assigned,
    walk,
)  # fmt: skip
from anygpu.ir.ops import is_expanded
from anygpu.passes.rewrite import map_bodies, map_operands, rewrite_expression

Definitions = Callable[[str, DType], Function]


def is_of_function(var: Var) -> bool:
    """Whether a variable is that of an expanded function, and not of the kernel that called it."""
    return "@" in var.name


class _Expansion:
    def __init__(self, definitions: Definitions):
        self.definitions = definitions
        self.count = 0
        self.tables: dict[str, Array] = {}  # one copy of each function's constant tables, however often it is expanded

    def expand(self, expr: Expr, out: list[Stmt]) -> Expr:
        """``expr`` without expanded operations; what they need is appended to ``out``."""
        match expr:
            case Op(name=name, args=args, dtype=dtype):
                inner = tuple(self.expand(a, out) for a in args)
                if is_expanded(name, args[0].dtype):
                    return self.inline(self.definitions(name, args[0].dtype), inner, out)
                return expr if inner == args else Op(name, inner, dtype)
            case Cast(arg=arg, dtype=dtype):
                return Cast(self.expand(arg, out), dtype)
            case Bitcast(arg=arg, dtype=dtype):
                return Bitcast(self.expand(arg, out), dtype)
            case _:
                return expr

    def inline(self, function: Function, args: tuple[Expr, ...], out: list[Stmt]) -> Expr:
        """A copy of a function's body with its own variables and labels; its result."""
        self.count += 1
        suffix = f"@{self.count}"
        renamed = {v.name: Var(f".{v.name}{suffix}", v.dtype) for v in function.params}
        renamed |= {v.name: Var(f"{v.name}{suffix}", v.dtype) for s in walk(function.body) if (v := assigned(s)) is not None}

        def rule(expr: Expr) -> Expr:
            return Ref(renamed[expr.var.name]) if isinstance(expr, Ref) else expr

        kind = "_".join(p.dtype.name for p in function.params)
        tables = {a.name: replace(a, name=f".{function.name}.{kind}.{a.name}") for a in function.declared}
        self.tables |= {a.name: a for a in tables.values()}

        def copy(body: Body) -> Body:
            return tuple(
                self._rename(map_bodies(map_operands(s, lambda e: rewrite_expression(e, rule)), copy), renamed, tables, suffix)
                for s in body
            )

        for param, arg in zip(function.params, args, strict=True):
            out.append(Assign(renamed[param.name], arg))
        out.extend(copy(function.body))
        return rewrite_expression(function.result, rule)

    @staticmethod
    def _rename(stmt: Stmt, renamed: dict[str, Var], tables: dict[str, Array], suffix: str) -> Stmt:
        match stmt:
            case Load(var=var, array=array):
                # the functions' own indices are right for every argument: their tests reach each table's ends
                return replace(stmt, var=renamed[var.name], array=tables[array].name, checked=False)
            case Assign(var=var) | For(var=var):
                return replace(stmt, var=renamed[var.name])
            case Block(label=label) | Exit(label=label):
                return replace(stmt, label=label + suffix)
            case _:
                return stmt

    def body(self, body: Body) -> Body:
        out: list[Stmt] = []
        for stmt in body:
            if isinstance(stmt, While):
                before = list(self.body(stmt.before))
                cond = self.expand(stmt.cond, before)
                out.append(replace(stmt, before=tuple(before), cond=cond, body=self.body(stmt.body)))
                continue
            inner = map_bodies(stmt, self.body)
            out.append(map_operands(inner, lambda e: self.expand(e, out)))
        return tuple(out)


def expand_operations(kernel: Kernel, definitions: Definitions) -> Kernel:
    """``kernel`` without operations that are expanded (``ir.ops.is_expanded``); ``definitions`` gives their functions."""
    expansion = _Expansion(definitions)
    body = expansion.body(kernel.body)
    return replace(kernel, declared=(*kernel.declared, *expansion.tables.values()), body=body)
