"""Branches, loops and leaving them: Python's control flow as If, For, While, Block and Exit."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence

from anygpu.dtypes import int64
from anygpu.frontend import statements as lowering
from anygpu.frontend.arithmetic import truth
from anygpu.frontend.binding import NONE, RESULT, assign, assigned_names, bind
from anygpu.frontend.context import KernelError, Scope
from anygpu.frontend.expressions import at, expression
from anygpu.frontend.iterating import iteration
from anygpu.frontend.types import Iteration, Scalar, Tuple, Value, describe, type_of
from anygpu.ir.build import integer
from anygpu.ir.kernel import Block, Const, Exit, Expr, For, If, Ref, Stmt, Var, While

UNROLL_LIMIT = 1024
Tail = frozenset[str]


def leave(scope: Scope, label: str, tail: Tail, node: ast.AST) -> None:
    if label not in tail:
        scope.used_labels.add(label)
        scope.emit(Exit(label, scope.locate(node)))


def branch(scope: Scope, test: ast.expr, body: Sequence[ast.stmt], orelse: Sequence[ast.stmt], tail: Tail, node: ast.AST) -> None:
    condition = _condition(scope, test)
    if isinstance(condition, Const):
        lowering.statements(scope, body if condition.value else orelse, tail)
        return
    before = dict(scope.bound)
    with scope.deeper(node), scope.nested() as then:
        lowering.statements(scope, body, tail)
    after_then, scope.bound = scope.bound, dict(before)
    with scope.deeper(node), scope.nested() as other:
        lowering.statements(scope, orelse, tail)
    if _leaves_list(body) and not _leaves_list(orelse):
        merged = scope.bound
    elif _leaves_list(orelse) and not _leaves_list(body):
        merged = after_then
    else:
        merged = _merge_bound(scope, after_then, scope.bound)
    scope.bound = merged
    if then or other:
        scope.emit(If(condition, tuple(then), tuple(other), scope.locate(node)))


def _condition(scope: Scope, test: ast.expr) -> Expr:
    value = expression(scope, test)
    found = at(test, lambda: Scalar(truth(scope, value)))
    assert isinstance(found, Scalar)
    return found.expr


def _leaves_list(body: Sequence[ast.stmt]) -> bool:
    return bool(body) and lowering.always_leaves(body)


def _merge_bound(scope: Scope, a: dict[str, Value], b: dict[str, Value]) -> dict[str, Value]:
    """What names are bound to after two branches; a name bound to different arrays or objects can no longer be used."""
    merged: dict[str, Value] = {}
    for name in dict.fromkeys((*a, *b)):  # in the same order in every process
        if name not in a or name not in b:
            merged[name] = a[name] if name in a else b[name]
        elif a[name] == b[name]:
            merged[name] = a[name]
        else:
            scope.poisoned[name] = f"variable '{name}' is {describe(a[name])} or {describe(b[name])}, by the branch taken"
    return merged


def _poison_rebound(scope: Scope, body: Sequence[ast.stmt], node: ast.AST) -> None:
    """Names bound to arrays or objects before a loop and bound anew in it have no single meaning in it."""
    for name in assigned_names(body):
        bound = scope.bound.get(name)
        if bound is not None and type_of(bound) is None:
            scope.poisoned[name] = f"variable '{name}' holds {describe(bound)} before the loop and is bound anew in it"


def _loop_body(scope: Scope, body: Sequence[ast.stmt], continue_label: str) -> tuple[Stmt, ...]:
    """A loop's body, in a Block if it has a ``continue`` that jumps."""
    scope.continue_labels.append(continue_label)
    with scope.nested() as inner:
        lowering.statements(scope, body, frozenset((continue_label,)))
    scope.continue_labels.pop()
    return (Block(continue_label, tuple(inner)),) if continue_label in scope.used_labels else tuple(inner)


def _with_else(scope: Scope, node: ast.For | ast.While, emit_loop: Callable[[], None]) -> None:
    """A loop and its ``else``, inside the Block that ``break`` leaves."""
    break_label = scope.shared.label("break")
    scope.break_labels.append(break_label)
    with scope.nested() as inner:
        emit_loop()
        scope.break_labels.pop()
        lowering.statements(scope, node.orelse, frozenset())
    if break_label in scope.used_labels:
        scope.emit(Block(break_label, tuple(inner), scope.locate(node)))
    else:
        scope.body.extend(inner)


def for_loop(scope: Scope, node: ast.For) -> None:
    iterable = expression(scope, node.iter)
    walked = at(node.iter, lambda: iteration(scope, iterable, node.iter))
    assert isinstance(walked, Iteration)
    _poison_rebound(scope, node.body, node)
    if walked.items is not None:
        if len(walked.items) > UNROLL_LIMIT:
            raise KernelError(
                f"a loop over {len(walked.items)} items is too long to unroll; the limit is {UNROLL_LIMIT}",
                "walk a captured array or a range",
            )
        _with_else(scope, node, lambda: _unrolled(scope, node, walked.items or ()))
        return
    if walked.bounds is not None:
        start, stop, step = walked.bounds
    else:
        assert walked.length is not None
        start, stop, step = integer(0), walked.length, integer(1)

    def emit_loop() -> None:
        counter = Var(scope.shared.unique(f".{node.target.id}" if isinstance(node.target, ast.Name) else ".i"), int64)
        label = scope.shared.label("continue")
        with scope.nested() as head:
            item = Scalar(Ref(counter)) if walked.bounds is not None else walked.item(Ref(counter))  # type: ignore[misc]
            if walked.bounds is not None and isinstance(node.target, ast.Name) and _is_loop_local(scope, node):
                scope.bound[node.target.id] = item
            else:
                assign(scope, node.target, item, node.target)
        body = _loop_body(scope, node.body, label)
        if walked.bounds is not None and isinstance(node.target, ast.Name) and _is_loop_local(scope, node):
            scope.bound.pop(node.target.id, None)
        scope.emit(For(counter, start, stop, step, (*head, *body), scope.locate(node)))

    _with_else(scope, node, emit_loop)


def _is_loop_local(scope: Scope, node: ast.For) -> bool:
    """Whether the loop's variable is set by this loop alone and read only inside it: then it needs no variable of its own."""
    assert isinstance(node.target, ast.Name)
    name = node.target.id
    inside = {id(n) for statement_node in node.body for n in ast.walk(statement_node)}
    for other in ast.walk(scope.source.node):
        if not isinstance(other, ast.Name) or other.id != name or other is node.target:
            continue
        if isinstance(other.ctx, ast.Store) and (id(other) in inside or not _is_for_target(scope, other)):
            return False
        if isinstance(other.ctx, ast.Load) and id(other) not in inside and not _inside_other_loop(scope, node, other):
            return False
    return True


def _for_loops(scope: Scope) -> list[ast.For]:
    return [n for n in ast.walk(scope.source.node) if isinstance(n, ast.For)]


def _is_for_target(scope: Scope, name: ast.Name) -> bool:
    return any(loop.target is name for loop in _for_loops(scope))


def _inside_other_loop(scope: Scope, node: ast.For, name: ast.Name) -> bool:
    """Whether a read lies in the body of another loop that sets the same name."""
    for loop in _for_loops(scope):
        if loop is not node and isinstance(loop.target, ast.Name) and loop.target.id == name.id:
            if any(n is name for statement_node in loop.body for n in ast.walk(statement_node)):
                return True
    return False


def _unrolled(scope: Scope, node: ast.For, items: Sequence[Value]) -> None:
    path = scope.path
    for n, item in enumerate(items):
        scope.count_size(node)
        scope.path = path  # variables are the function's; only inlined calls inside are told apart, by their count
        label = scope.shared.label("continue")
        if isinstance(node.target, ast.Name):
            for_name = node.target.id
            if type_of(item) is None or _is_loop_local(scope, node):
                scope.bound[for_name] = item
            else:
                assign(scope, node.target, item, node.target)
        else:
            _unroll_target(scope, node.target, item)
        scope.body.extend(_loop_body(scope, node.body, label))
        del n


def _unroll_target(scope: Scope, target: ast.expr, item: Value) -> None:
    """Bind the names of an unrolled loop's target to this turn's item, each turn with its own type."""
    if isinstance(target, ast.Name):
        scope.bound[target.id] = item
    elif isinstance(target, ast.Tuple) and isinstance(item, Tuple) and len(item.items) == len(target.elts):
        for element, inner in zip(target.elts, item.items, strict=True):
            _unroll_target(scope, element, inner)
    else:
        assign(scope, target, item, target)


def while_loop(scope: Scope, node: ast.While) -> None:
    _poison_rebound(scope, node.body, node)

    def emit_loop() -> None:
        with scope.nested() as before:
            condition = _condition(scope, node.test)
        if isinstance(condition, Const) and not condition.value:
            return
        body = _loop_body(scope, node.body, scope.shared.label("continue"))
        scope.emit(While(tuple(before), condition, body, scope.locate(node)))

    _with_else(scope, node, emit_loop)


def return_value(scope: Scope, node: ast.Return, value_node: ast.expr | None, tail: Tail) -> None:
    value = NONE if value_node is None else expression(scope, value_node)
    if not scope.called_from and scope.return_label == "":
        raise KernelError("return outside a function", node=node)
    if value != NONE and scope.path == ("",):
        raise KernelError("a kernel cannot return a value", "write it into an array argument", node)
    if scope.path != ("",):
        _set_result(scope, value, node)
    leave(scope, scope.return_label, tail, node)


def _set_result(scope: Scope, value: Value, node: ast.AST) -> None:
    key = (*scope.path, RESULT)
    if type_of(value) is None:
        bound = scope.bound.get(RESULT)
        if (bound is not None and bound != value) or key in scope.shared.types:
            raise KernelError(f"function '{scope.source.name}' returns {describe(value)} here and something else elsewhere", node=node)
        scope.bound[RESULT] = scope.pin_value(value)
        return
    if RESULT in scope.bound and key not in scope.shared.types:
        raise KernelError(
            f"function '{scope.source.name}' returns {describe(value)} here and {describe(scope.bound[RESULT])} elsewhere", node=node
        )
    bind(scope, RESULT, value, node)
