"""``print`` in kernels: strings, f-strings and values become the parts of a Print statement."""

from __future__ import annotations

import ast

from anygpu.frontend import structures
from anygpu.frontend.binding import NONE
from anygpu.frontend.context import KernelError, Scope
from anygpu.frontend.expressions import constant_piece, expression
from anygpu.frontend.types import Complex, Object, Scalar, Tuple, Value, describe
from anygpu.ir.kernel import Expr, Print


def print_call(scope: Scope, node: ast.Call) -> Value:
    """``print(...)`` of strings, f-strings and values, with ``sep`` between them; each call of a work-item is a line."""
    given = {k.arg: _text(scope, k) for k in node.keywords}
    separator, end = given.pop("sep", " "), given.pop("end", "\n")
    if given:
        raise KernelError(f"print() takes sep and end in a kernel, not {', '.join(map(str, given))}", node=node)
    if not end.endswith("\n"):
        raise KernelError("the end of a print in a kernel is the end of a line", "print all of the line in one call", node)
    parts: list[str | Expr] = []
    for n, arg in enumerate(node.args):
        if n:
            parts.append(separator)
        if isinstance(arg, ast.JoinedStr):
            for piece in arg.values:
                if isinstance(piece, ast.Constant):
                    parts.append(str(piece.value))
                elif isinstance(piece, ast.FormattedValue):
                    value = expression(scope, piece.value)
                    if piece.format_spec is None and piece.conversion == -1:
                        _print_value(scope, value, parts, piece.value)
                        continue
                    constant = constant_piece(scope, piece, value)
                    if constant is None:
                        raise KernelError("only constants have format specifications in a kernel", "print the plain value", piece)
                    parts.append(constant)
        else:
            _print_value(scope, expression(scope, arg), parts, arg)
    if end != "\n":
        parts.append(end[:-1])
    scope.emit(Print(tuple(parts), scope.locate(node)))
    return NONE


def _text(scope: Scope, keyword: ast.keyword) -> str:
    """A string constant of ``sep`` or ``end``; None is the default."""
    value = expression(scope, keyword.value)
    match value:
        case Object(value=str() as text):
            return text
        case Object(value=None):
            return "\n" if keyword.arg == "end" else " "
        case _:
            raise KernelError(f"{keyword.arg}= of a print must be a constant string, not {describe(value)}", node=keyword.value)


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
