"""A user's function in place of its call: its arguments become values of a scope of its own, its body statements of the caller."""

from __future__ import annotations

import ast
import functools
from collections.abc import Callable, Sequence
from types import FunctionType

from anygpu.errors import CompileError
from anygpu.frontend import statements as lowering
from anygpu.frontend import structures
from anygpu.frontend.binding import NONE, RESULT, assignment_counts, bind
from anygpu.frontend.context import KernelError, Scope, Unresolved
from anygpu.frontend.expressions import expression, wrap
from anygpu.frontend.parse import Source, parse_function
from anygpu.frontend.types import Tuple, Value, rebuild
from anygpu.ir.kernel import Block, Ref


def inline(scope: Scope, function: Callable[..., object], args: Sequence[Value], kwargs: dict[str, Value], node: ast.AST | None) -> Value:
    """The body of ``function`` at a call, as statements of the caller's body; its value."""
    if not isinstance(function, FunctionType):
        raise KernelError(f"{type(function).__name__} {function!r} has no Python source to compile", "write it as a plain function")
    shared = scope.shared
    if function in shared.stack:
        raise KernelError(
            f"function '{function.__name__}' calls itself: recursion is not part of the kernel language", "write it as a loop"
        )
    if len(shared.stack) > 64:
        raise KernelError("calls are nested more than 64 deep")
    try:
        source = parse_function(function)
    except CompileError as error:  # without its source, the place to show is the call
        found = error.diagnostics[0]
        raise KernelError(found.message, found.hint) from error
    scope.count_size(node)
    scope.calls += 1
    loc = scope.locate(node)
    inner = Scope(shared, source, (*scope.path, f"{function.__name__}:{scope.calls}"), (loc, *scope.called_from), body=scope.body)
    inner.nesting = scope.nesting
    inner.assigned = assignment_counts(source.node)
    inner.return_label = shared.label("return")
    shared.stack.append(function)
    try:
        for name, value in _bind_arguments(scope, source, args, kwargs).items():
            if name in inner.assigned:
                inner.assigned[name] += 1
                bind(inner, name, value, source.node)
            else:
                inner.bound[name] = scope.pin_value(value)
        result = _simple_result(inner, source.node)
        if result is not None:
            return result
        inner.assigned[RESULT] = 2
        with inner.nested() as body:
            lowering.statements(inner, source.node.body, frozenset((inner.return_label,)))
        if inner.return_label in inner.used_labels:
            inner.emit(Block(inner.return_label, tuple(body), loc))
        else:
            inner.body.extend(body)
    finally:
        shared.stack.pop()
    if RESULT in inner.bound:
        return inner.bound[RESULT]
    given = shared.types.get((*inner.path, RESULT))
    if given is None:
        if any(isinstance(n, ast.Return) and n.value is not None for n in ast.walk(source.node)):
            raise Unresolved(function.__name__)
        return NONE
    if scope.body is not inner.body:
        return rebuild(given, [])
    value = scope.pin_value(rebuild(given, [Ref(v) for v in inner.variable(RESULT, given)]))
    return structures.marked(value, shared.origins.get((*inner.path, RESULT), frozenset()))


def _simple_result(inner: Scope, node: ast.FunctionDef) -> Value | None:
    """The value of a function whose only ``return`` is its last statement: no result variable is needed, and a number may stay weak."""
    returns = _returns(node)
    if len(returns) != 1 or returns[0] is not node.body[-1] or returns[0].value is None:
        return None
    lowering.statements(inner, node.body[:-1], frozenset())
    try:
        return inner.pin_value(expression(inner, returns[0].value))
    except KernelError as error:
        inner.report(error, returns[0])
        raise Unresolved(inner.source.name) from error


@functools.lru_cache(maxsize=1024)
def _returns(node: ast.FunctionDef) -> list[ast.Return]:
    return [n for n in ast.walk(node) if isinstance(n, ast.Return)]


def _bind_arguments(scope: Scope, source: Source, args: Sequence[Value], kwargs: dict[str, Value]) -> dict[str, Value]:
    """Arguments by parameter name, defaults and ``*args`` included."""
    a = source.node.args
    positional = [p.arg for p in (*a.posonlyargs, *a.args)]
    bound = dict(zip(positional, args, strict=False))
    if a.vararg is not None:
        bound[a.vararg.arg] = Tuple(tuple(args[len(positional) :]))
    elif len(args) > len(positional):
        raise KernelError(f"{source.name}() takes {len(positional)} arguments, not {len(args)}")
    if a.kwarg is not None:
        raise KernelError(f"{source.name}() takes **{a.kwarg.arg}, which kernels cannot pass")
    known = {p.arg for p in (*a.args, *a.kwonlyargs)}
    for name, value in kwargs.items():
        if name not in known or name in bound:
            raise KernelError(f"{source.name}() got an unexpected or repeated argument '{name}'")
        bound[name] = value
    function = source.function
    defaults = dict(zip(reversed(positional), reversed(function.__defaults__ or ()), strict=False)) | (function.__kwdefaults__ or {})
    for name in (*positional, *(p.arg for p in a.kwonlyargs)):
        if name not in bound:
            if name not in defaults:
                raise KernelError(f"{source.name}() misses the argument '{name}'")
            bound[name] = wrap(scope, defaults[name])
    return bound
