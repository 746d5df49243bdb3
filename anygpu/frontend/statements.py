"""Statements, functions and whole kernels: control flow becomes Block/Exit, variables take the join of their types."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from types import FunctionType

from anygpu.dtypes import DType, bool_, int64, plain_fields
from anygpu.errors import CompileError, Diagnostic, Location
from anygpu.frontend import arithmetic, indexing
from anygpu.frontend.arithmetic import convert, strong_number, truth
from anygpu.frontend.calls import NONE, iteration
from anygpu.frontend.context import KernelError, Scope, Shared, Unresolved
from anygpu.frontend.expressions import at, expression, index_parts, operator_name, wrap
from anygpu.frontend.parse import Source, parse_function
from anygpu.frontend.types import (
    ArrayType,
    Complex,
    ConstantType,
    Element,
    Iteration,
    Object,
    Scalar,
    ScalarType,
    Tuple,
    TupleType,
    Type,
    Value,
    View,
    describe,
    join,
    leaf_types,
    leaves,
    rebuild,
    strong,
    type_of,
)
from anygpu.ir import build
from anygpu.ir.build import integer
from anygpu.ir.kernel import Array, Assert, Assign, Block, Const, Exit, Expr, For, Function, If, Kernel, Ref, Stmt, Var, While

MAXIMUM_PASSES = 12
UNROLL_LIMIT = 1024
Tail = frozenset[str]


# ------------------------------------------------------------------------------------------------------------------------- binding


def convert_leaves(scope: Scope, value: Value, given: Type) -> list[Expr]:
    """The leaf expressions of a value converted to a type of its shape."""
    match value, given:
        case Tuple(items=items), TupleType(items=types):
            return [e for item, t in zip(items, types, strict=True) for e in convert_leaves(scope, item, t)]
        case (Scalar() | Complex()), ScalarType(dtype=dtype, weak=weak):
            if isinstance(value, Scalar) and value.weak and weak and value.dtype is dtype:
                return [value.expr]
            return list(leaves(convert(value, dtype)))
    raise KernelError(f"{describe(value)} is not a {given}")


def bind(scope: Scope, name: str, value: Value, node: ast.AST) -> None:
    """``name = value``."""
    scope.poisoned.pop(name, None)
    given = type_of(value)
    key = (*scope.path, name)
    if given is None:
        if isinstance(value, Iteration):
            raise KernelError("a range can only be walked by a for loop, not kept in a variable", node=node)
        if key in scope.shared.types:
            raise KernelError(
                f"variable '{name}' holds {scope.shared.types[key]} elsewhere and {describe(value)} here", "give each its own name", node
            )
        scope.bound[name] = scope.pin_value(value)
        return
    if name in scope.bound and key not in scope.shared.types and not _is_number_tree(scope.bound[name]):
        raise KernelError(
            f"variable '{name}' holds {describe(scope.bound[name])} elsewhere and {describe(value)} here", "give each its own name", node
        )
    if isinstance(value, Scalar | Complex):
        value = at(node, lambda: strong_number(value))  # type: ignore[arg-type]
        given = type_of(value)
        assert given is not None
    new = strong(given)
    old = scope.shared.types.get(key)
    joined = new if old is None else join(old, new)
    if joined is None:
        raise KernelError(f"variable '{name}' is {old} elsewhere and {new} here, which have no common type", "give each its own name", node)
    if joined != old:
        scope.shared.types[key] = joined
        scope.shared.changed = True
        scope.variables.pop(name, None)
    exprs = convert_leaves(scope, value, joined)
    if scope.assigned.get(name) == 1 and exprs and all(isinstance(e, Const) for e in exprs):
        scope.bound[name] = rebuild(joined, exprs)  # assigned once and constant: usable wherever a constant is asked for
        return
    scope.bound.pop(name, None)
    if len(exprs) > 1:
        exprs = [scope.pin(e) for e in exprs]  # `a, b = b, a`: all are read before any is written
    loc = scope.locate(node)
    for var, expr in zip(scope.variable(name, joined), exprs, strict=True):
        if not (isinstance(expr, Ref) and expr.var == var):
            scope.emit(Assign(var, expr, loc))


def _is_number_tree(value: Value) -> bool:
    return type_of(value) is not None


def assign(scope: Scope, target: ast.expr, value: Value, node: ast.AST) -> None:
    """``target = value`` for every form of target."""
    match target:
        case ast.Name(id=name):
            bind(scope, name, value, node)
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            _unpack(scope, elements, value, node)
        case ast.Subscript(value=owner, slice=index):
            base = expression(scope, owner)
            _store(scope, base, index_parts(scope, index), value, target)
        case ast.Attribute(value=owner, attr=field):
            _assign_field(scope, owner, field, value, target)
        case _:
            raise KernelError(f"cannot assign to {type(target).__name__}", node=target)


def _unpack(scope: Scope, elements: Sequence[ast.expr], value: Value, node: ast.AST) -> None:
    if isinstance(value, View) and value.ndim:
        length = value.axes[0].length
        if isinstance(length, Const):
            items = [
                indexing.subscript(scope, value, (Scalar(integer(n)),), scope.locate(node), lambda o: wrap(scope, o))
                for n in range(int(length.value))
            ]
            value = Tuple(tuple(items))
    if not isinstance(value, Tuple):
        raise KernelError(f"cannot unpack {describe(value)}", "only tuples are unpacked", node)
    starred = [n for n, e in enumerate(elements) if isinstance(e, ast.Starred)]
    items = [scope.pin_value(v) for v in value.items]
    if starred:
        at_star = starred[0]
        rest = len(items) - (len(elements) - 1)
        if rest < 0:
            raise KernelError(f"not enough values to unpack: {len(items)} for {len(elements) - 1} names and a *", node=node)
        items[at_star : at_star + rest] = [Tuple(tuple(items[at_star : at_star + rest]))]
    if len(items) != len(elements):
        raise KernelError(f"cannot unpack a tuple of {len(items)} into {len(elements)} names", node=node)
    for element, item in zip(elements, items, strict=True):
        assign(scope, element.value if isinstance(element, ast.Starred) else element, item, node)


def _store(scope: Scope, base: Value, parts: tuple[indexing.IndexPart, ...], value: Value, node: ast.AST) -> None:
    if isinstance(base, Tuple):
        raise KernelError("a tuple cannot be changed", "make a new one, or use ag.local.array", node)
    if not isinstance(base, View):
        raise KernelError(f"{describe(base)} cannot be assigned by index", node=node)
    loc = scope.locate(node)

    def act() -> Value:
        selected = indexing.select(scope, base, parts)
        if isinstance(selected, Element):
            indexing.store(scope, selected, value, loc)
        elif selected.ndim == 0:
            indexing.store(scope, Element(selected, tuple(f for f in selected.fixed if f is not None)), value, loc)
        else:
            indexing.store_view(scope, selected, value, loc)
        return NONE

    at(node, act)


def _assign_field(scope: Scope, owner: ast.expr, field: str, value: Value, node: ast.AST) -> None:
    base = expression(scope, owner)
    if isinstance(base, Element):
        indexing.store(scope, Element(indexing.field_view(base.view, field), base.index), value, scope.locate(node))
        return
    if not isinstance(base, Tuple) or field not in base.names:
        raise KernelError(f"{describe(base)} has no field '{field}' that can be set", node=node)
    if base.cls is not None and issubclass(base.cls, tuple):
        raise KernelError(f"a NamedTuple cannot be changed: {base.cls.__name__}.{field}", "make a new one, or use a dataclass", node)
    if getattr(getattr(base.cls, "__dataclass_params__", None), "frozen", False):
        raise KernelError(f"{base.cls.__name__ if base.cls else 'the structure'} is frozen", "make a new one, or drop frozen=True", node)
    root = owner
    while isinstance(root, ast.Attribute):
        root = root.value
    if isinstance(root, ast.Name) and root.id in _parameters(scope.source.node) and scope.called_from:
        message = f"'{root.id}.{field} = ...' would not be seen by the caller: structures are passed by value"
        raise KernelError(message, "return the changed structure instead", node)
    items = tuple(value if n == field else item for n, item in zip(base.names, base.items, strict=True))
    assign(scope, owner, Tuple(items, base.cls, base.names), node)


def _parameters(node: ast.FunctionDef) -> tuple[str, ...]:
    a = node.args
    return tuple(p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs))


# ---------------------------------------------------------------------------------------------------------------------- statements


def statements(scope: Scope, nodes: Sequence[ast.stmt], tail: Tail) -> None:
    """A list of statements. ``tail`` holds the labels whose end is where this list ends: leaving for one of them needs no jump."""
    for n, node in enumerate(nodes):
        rest = nodes[n + 1 :]
        if isinstance(node, ast.If) and rest and always_leaves(node.body) and not node.orelse:
            # `if c: return` and what follows it: the rest is the other branch, so that no work-item waits behind a mask
            _guarded(scope, node, lambda node=node, rest=rest: _if(scope, node.test, node.body, rest, tail, node))  # type: ignore[misc]
            return
        _guarded(scope, node, lambda node=node, last=not rest: statement(scope, node, tail if last else frozenset()))  # type: ignore[misc]
        if isinstance(node, ast.Return | ast.Break | ast.Continue):
            return


def _guarded(scope: Scope, node: ast.stmt, action: Callable[[], None]) -> None:
    """Run one statement's lowering; an error in it is kept, and the names it would have set are spoilt."""
    try:
        action()
        return
    except KernelError as error:
        scope.report(error, node)
    except Unresolved:
        pass
    for name in _assigned_names([node]):
        if (*scope.path, name) not in scope.shared.types and name not in scope.bound:
            scope.assigned.setdefault(name, 1)


def always_leaves(body: Sequence[ast.stmt]) -> bool:
    """Whether a list of statements always ends in a jump."""
    last = body[-1]
    if isinstance(last, ast.Return | ast.Break | ast.Continue):
        return True
    return isinstance(last, ast.If) and bool(last.orelse) and always_leaves(last.body) and always_leaves(last.orelse)


def statement(scope: Scope, node: ast.stmt, tail: Tail) -> None:
    match node:
        case ast.Assign(targets=targets, value=value_node):
            value = expression(scope, value_node)
            if len(targets) > 1:
                value = scope.pin_value(value)
            for target in targets:
                assign(scope, target, value, target if isinstance(target, ast.Name) else node)
        case ast.AnnAssign(target=target, value=value_node):
            if value_node is not None:
                assign(scope, target, expression(scope, value_node), node)
        case ast.AugAssign():
            _augmented(scope, node)
        case ast.If(test=test, body=body, orelse=orelse):
            _if(scope, test, body, orelse, tail, node)
        case ast.For():
            _for(scope, node)
        case ast.While():
            _while(scope, node)
        case ast.Return(value=value_node):
            _return(scope, node, value_node, tail)
        case ast.Break() | ast.Continue():
            labels = scope.break_labels if isinstance(node, ast.Break) else scope.continue_labels
            _exit(scope, labels[-1], tail, node)
        case ast.Expr(value=value_node):
            if not isinstance(value_node, ast.Constant):
                expression(scope, value_node)
        case ast.Assert(test=test, msg=message):
            condition = truth(expression(scope, test))
            text = expression(scope, message) if message is not None else Object(ast.unparse(test))
            if not isinstance(text, Object):
                raise KernelError("the message of an assert must be a compile-time string", node=message)
            scope.emit(Assert(condition, str(text.value), scope.locate(node)))
        case ast.Pass() | ast.Global() | ast.Nonlocal() | ast.Import() | ast.ImportFrom() if isinstance(node, ast.Pass):
            return
        case ast.With() | ast.Try() | ast.Raise():
            word = type(node).__name__.lower()
            hint = "use `assert` to stop with an error" if isinstance(node, ast.Raise) else ""
            raise KernelError(f"'{word}' is not part of the kernel language", hint, node)
        case ast.FunctionDef():
            raise KernelError("a function cannot be defined inside a kernel", "define it outside: plain functions are inlined", node)
        case ast.Match():
            raise KernelError("'match' is not part of the kernel language", "use if and elif", node)
        case _:
            words = {ast.ClassDef: "class", ast.Delete: "del", ast.AsyncFunctionDef: "async def"}
            raise KernelError(f"'{words.get(type(node), type(node).__name__.lower())}' is not part of the kernel language", node=node)


def _augmented(scope: Scope, node: ast.AugAssign) -> None:
    name = operator_name(node.op)
    target = node.target
    if isinstance(target, ast.Subscript):
        base = expression(scope, target.value)
        parts = tuple(p if isinstance(p, indexing.Slice) else scope.pin_value(p) for p in index_parts(scope, target.slice))
        loc = scope.locate(target)
        old = at(target, lambda: indexing.subscript(scope, base, parts, loc, lambda o: wrap(scope, o)))
        if isinstance(old, View):
            raise KernelError("augmented assignment works on one element", "write the loop over the elements", node)
        right = expression(scope, node.value)
        new = at(node, lambda: arithmetic.binary(scope, name, old, right))
        _store(scope, base, parts, new, target)
        return
    old = expression(scope, target)
    right = expression(scope, node.value)
    assign(scope, target, at(node, lambda: arithmetic.binary(scope, name, old, right)), node)


def _exit(scope: Scope, label: str, tail: Tail, node: ast.AST) -> None:
    if label not in tail:
        scope.used_labels.add(label)
        scope.emit(Exit(label, scope.locate(node)))


def _if(scope: Scope, test: ast.expr, body: Sequence[ast.stmt], orelse: Sequence[ast.stmt], tail: Tail, node: ast.AST) -> None:
    condition = _condition(scope, test)
    if isinstance(condition, Const):
        statements(scope, body if condition.value else orelse, tail)
        return
    before = dict(scope.bound)
    with scope.nested() as then:
        statements(scope, body, tail)
    after_then, scope.bound = scope.bound, dict(before)
    with scope.nested() as other:
        statements(scope, orelse, tail)
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
    found = at(test, lambda: Scalar(truth(value)))
    assert isinstance(found, Scalar)
    return found.expr


def _leaves_list(body: Sequence[ast.stmt]) -> bool:
    return bool(body) and always_leaves(body)


def _merge_bound(scope: Scope, a: dict[str, Value], b: dict[str, Value]) -> dict[str, Value]:
    """What names are bound to after two branches; a name bound to different arrays or objects can no longer be used."""
    merged: dict[str, Value] = {}
    for name in a.keys() | b.keys():
        if name not in a or name not in b:
            merged[name] = a[name] if name in a else b[name]
        elif a[name] == b[name]:
            merged[name] = a[name]
        else:
            scope.poisoned[name] = f"variable '{name}' is {describe(a[name])} or {describe(b[name])}, by the branch taken"
    return merged


def _poison_rebound(scope: Scope, body: Sequence[ast.stmt], node: ast.AST) -> None:
    """Names bound to arrays or objects before a loop and bound anew in it have no single meaning in it."""
    for name in _assigned_names(body):
        bound = scope.bound.get(name)
        if bound is not None and type_of(bound) is None:
            scope.poisoned[name] = f"variable '{name}' holds {describe(bound)} before the loop and is bound anew in it"


def _loop_body(scope: Scope, body: Sequence[ast.stmt], continue_label: str) -> tuple[Stmt, ...]:
    """A loop's body, in a Block if it has a ``continue`` that jumps."""
    scope.continue_labels.append(continue_label)
    with scope.nested() as inner:
        statements(scope, body, frozenset((continue_label,)))
    scope.continue_labels.pop()
    return (Block(continue_label, tuple(inner)),) if continue_label in scope.used_labels else tuple(inner)


def _with_else(scope: Scope, node: ast.For | ast.While, emit_loop: Callable[[], None]) -> None:
    """A loop and its ``else``, inside the Block that ``break`` leaves."""
    break_label = scope.shared.label("break")
    scope.break_labels.append(break_label)
    with scope.nested() as inner:
        emit_loop()
        scope.break_labels.pop()
        statements(scope, node.orelse, frozenset())
    if break_label in scope.used_labels:
        scope.emit(Block(break_label, tuple(inner), scope.locate(node)))
    else:
        scope.body.extend(inner)


def _for(scope: Scope, node: ast.For) -> None:
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


def _while(scope: Scope, node: ast.While) -> None:
    _poison_rebound(scope, node.body, node)

    def emit_loop() -> None:
        with scope.nested() as before:
            condition = _condition(scope, node.test)
        if isinstance(condition, Const) and not condition.value:
            return
        body = _loop_body(scope, node.body, scope.shared.label("continue"))
        scope.emit(While(tuple(before), condition, body, scope.locate(node)))

    _with_else(scope, node, emit_loop)


def _return(scope: Scope, node: ast.Return, value_node: ast.expr | None, tail: Tail) -> None:
    value = NONE if value_node is None else expression(scope, value_node)
    if not scope.called_from and scope.return_label == "":
        raise KernelError("return outside a function", node=node)
    if value != NONE and scope.path == ("",):
        raise KernelError("a kernel cannot return a value", "write it into an array argument", node)
    if scope.path != ("",):
        _set_result(scope, value, node)
    _exit(scope, scope.return_label, tail, node)


RESULT = "return"  # no Python variable has a keyword's name


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


# ----------------------------------------------------------------------------------------------------------------------- functions


def _assigned_names(nodes: Sequence[ast.stmt]) -> list[str]:
    """The names that a list of statements sets, once for each time."""
    found: list[str] = []
    for node in nodes:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
                found.append(inner.id)
            if isinstance(inner, ast.AugAssign) and isinstance(inner.target, ast.Name):
                found.append(inner.target.id)
            if isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store):
                root: ast.expr = inner
                while isinstance(root, ast.Attribute):
                    root = root.value
                if isinstance(root, ast.Name):
                    found.append(root.id)
    return found


def _counts(node: ast.FunctionDef) -> dict[str, int]:
    counts: dict[str, int] = {}
    for name in _assigned_names(node.body):
        counts[name] = counts.get(name, 0) + 1
    return counts


def lower_inlined(scope: Scope, function: FunctionType, args: Sequence[Value], kwargs: dict[str, Value], node: ast.AST | None) -> Value:
    """The body of ``function`` at a call, as statements of the caller's body; its value."""
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
    scope.calls += 1
    loc = scope.locate(node)
    inner = Scope(shared, source, (*scope.path, f"{function.__name__}:{scope.calls}"), (loc, *scope.called_from), body=scope.body)
    inner.assigned = _counts(source.node)
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
            statements(inner, source.node.body, frozenset((inner.return_label,)))
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
    return (
        scope.pin_value(rebuild(given, [Ref(v) for v in inner.variable(RESULT, given)])) if scope.body is inner.body else rebuild(given, [])
    )


def _simple_result(inner: Scope, node: ast.FunctionDef) -> Value | None:
    """The value of a function whose only ``return`` is its last statement: no result variable is needed, and a number may stay weak."""
    returns = [n for n in ast.walk(node) if isinstance(n, ast.Return)]
    if len(returns) != 1 or returns[0] is not node.body[-1] or returns[0].value is None:
        return None
    statements(inner, node.body[:-1], frozenset())
    try:
        return inner.pin_value(expression(inner, returns[0].value))
    except KernelError as error:
        inner.report(error, returns[0])
        raise Unresolved(inner.source.name) from error


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


# ------------------------------------------------------------------------------------------------------------------------- kernels


def _parameter(shared: Shared, name: str, given: Type, written: bool) -> tuple[list[Array | Var], Value]:
    """The IR parameters of an argument, and its value inside the kernel."""
    match given:
        case ArrayType(dtype=dtype, ndim=ndim, layout=layout, writeable=writeable, record=record):
            fields = record if record is not None else plain_fields(dtype)  # type: ignore[arg-type]
            itemsize = given.itemsize if record is not None else dtype.itemsize  # type: ignore[union-attr]
            array = Array(shared.unique(name), fields, itemsize, ndim, "global", layout, None, writeable)  # type: ignore[arg-type]
            return [array], indexing.whole(array, dtype, record)
        case ConstantType(value=obj):
            return [], Object(obj)
        case TupleType(items=items, cls=cls, names=names):
            params: list[Array | Var] = []
            values: list[Value] = []
            for n, item in enumerate(items):
                inner, value = _parameter(shared, f"{name}.{names[n] if names else n}", item, written)
                params.extend(inner)
                values.append(value)
            return params, Tuple(tuple(values), cls, names)
        case _:
            variables = [Var(shared.unique(n), d) for n, d in leaf_types(given, name)]
            return list(variables), rebuild(given, [Ref(v) for v in variables])


def _run_passes(shared: Shared, source: Source, lower: Callable[[], None]) -> None:
    """Lower again and again until the types of variables stand still; then report what is wrong."""
    for _ in range(MAXIMUM_PASSES):
        shared.begin_pass()
        lower()
        if not shared.changed:
            break
    else:
        raise CompileError(
            source.name, (Diagnostic(source.location, "the types of the variables do not settle", "give each variable one type"),)
        )
    if shared.diagnostics:
        unique = sorted(shared.diagnostics, key=lambda d: (d.location.filename, d.location.line, d.location.column))
        raise CompileError(source.name, tuple(unique))
    if shared.unresolved:
        found = {
            (scope.locate(node), name): Diagnostic(
                scope.locate(node), f"variable '{name}' is read before it is assigned", "", scope.called_from
            )
            for scope, node, name in shared.unresolved
        }
        raise CompileError(source.name, tuple(found.values()))


def lower_kernel(function: FunctionType, types: Sequence[Type], range_ndim: int = 0) -> Kernel:
    """The KERNEL IR of a Python function for arguments of the given types; raises ``CompileError`` with all that is wrong."""
    source = parse_function(function)
    names = _parameters(source.node)
    shared = Shared(range_ndim=range_ndim)
    made: list[Kernel] = []

    def lower() -> None:
        scope = Scope(shared, source, ("",))
        scope.assigned = _counts(source.node)
        scope.return_label = shared.label("return")
        shared.stack = [function]
        params: list[Array | Var] = []
        prologue: list[Callable[[], None]] = []
        for name, given in zip(names, types, strict=True):
            inner, value = _parameter(shared, name, given, True)
            params.extend(inner)
            if name in scope.assigned and type_of(value) is not None:
                scope.assigned[name] += 1
                prologue.append(lambda name=name, value=value: bind(scope, name, value, source.node))  # type: ignore[misc]
            else:
                scope.bound[name] = value
        for action in prologue:
            action()
        with scope.nested() as body:
            statements(scope, source.node.body, frozenset((scope.return_label,)))
        whole: tuple[Stmt, ...] = tuple(body)
        if scope.return_label in scope.used_labels:
            whole = (Block(scope.return_label, whole, source.location),)
        made[:] = [Kernel(source.name, tuple(params), tuple(shared.declared), (*scope.body, *whole), range_ndim, source.location)]

    _run_passes(shared, source, lower)
    return made[0]


def lower_function(function: FunctionType, dtypes: Sequence[DType]) -> Function:
    """A pure scalar function (one of libm) as IR to be expanded in place."""
    source = parse_function(function)
    shared = Shared()
    made: list[Function] = []

    def lower() -> None:
        scope = Scope(shared, source, ("",))
        params = tuple(Var(shared.unique(n), d) for n, d in zip(_parameters(source.node), dtypes, strict=True))
        try:
            value = lower_inlined(scope, function, [Scalar(Ref(p)) for p in params], {}, source.node)
        except Unresolved:
            return
        except KernelError as error:
            scope.report(error, source.node)
            return
        if not isinstance(value, Scalar):
            raise CompileError(source.name, (Diagnostic(source.location, f"{source.name} must return one scalar, not {describe(value)}"),))
        made[:] = [Function(source.name, params, tuple(scope.body), value.expr, tuple(shared.declared))]

    _run_passes(shared, source, lower)
    return made[0]


__all__ = [
    "Location",
    "always_leaves",
    "assign",
    "bind",
    "bool_",
    "build",
    "convert_leaves",
    "lower_function",
    "lower_inlined",
    "lower_kernel",
    "statements",
]
