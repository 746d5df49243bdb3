"""``print`` in kernels: strings, f-strings and values become the parts of a Print statement."""

from __future__ import annotations

import ast

from anygpu.frontend import structures
from anygpu.frontend.binding import NONE
from anygpu.frontend.context import KernelError, Scope
from anygpu.frontend.expressions import expression
from anygpu.frontend.types import Complex, Object, Scalar, Tuple, Value, describe
from anygpu.ir.kernel import Expr, Print


def print_call(scope: Scope, node: ast.Call) -> Value:
    """``print(...)`` of strings, f-strings and values, separated by spaces."""
    if node.keywords:
        raise KernelError("print() takes no keyword arguments in a kernel", node=node)
    parts: list[str | Expr] = []
    for n, arg in enumerate(node.args):
        if n:
            parts.append(" ")
        if isinstance(arg, ast.JoinedStr):
            for piece in arg.values:
                if isinstance(piece, ast.Constant):
                    parts.append(str(piece.value))
                elif isinstance(piece, ast.FormattedValue):
                    if piece.format_spec is not None or piece.conversion != -1:
                        raise KernelError("format specifications are not part of the kernel language", "print the plain value", piece)
                    _print_value(scope, expression(scope, piece.value), parts, piece.value)
        else:
            _print_value(scope, expression(scope, arg), parts, arg)
    scope.emit(Print(tuple(parts), scope.locate(node)))
    return NONE


def _print_value(scope: Scope, value: Value, parts: list[str | Expr], node: ast.AST) -> None:
    match value:
        case Scalar(expr=expr):
            parts.append(expr)
        case Complex(real=re, imag=im):
            parts.extend(("(", re, ", ", im, "j)"))
        case Tuple(cls=type() as own) if structures.class_method(own, "__str__") or structures.class_method(own, "__repr__"):
            raise KernelError(f"{own.__name__} shows itself by a method of its own, which kernels cannot run", "print its fields", node)
        case Tuple(items=items, cls=cls, names=names):
            parts.append(f"{cls.__name__}(" if cls else "(")
            for n, item in enumerate(items):
                parts.append((", " if n else "") + (f"{names[n]}=" if names else ""))
                _print_value(scope, item, parts, node)
            parts.append(",)" if len(items) == 1 and not cls else ")")
        case Object(value=obj):
            parts.append(str(obj))
        case _:
            raise KernelError(f"{describe(value)} cannot be printed", "print its elements", node)
