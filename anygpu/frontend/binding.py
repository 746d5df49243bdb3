"""Assignment: what names hold, unpacking, elements and fields. Variables take the join of the types assigned to them."""

from __future__ import annotations

import ast
import collections
import functools
from collections.abc import Sequence

from anygpu.frontend import arithmetic, copies, indexing, structures
from anygpu.frontend.arithmetic import convert, strong_number
from anygpu.frontend.context import KernelError, Scope
from anygpu.frontend.expressions import at, expression, index_parts, operator_name, wrap
from anygpu.frontend.types import (
    Complex,
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
    leaves,
    rebuild,
    strong,
    type_of,
)  # fmt: skip
from anygpu.ir.build import integer
from anygpu.ir.kernel import Assign, Const, Expr, Ref

NONE = Object(None)
RESULT = "return"  # the variable of a function's value: no Python variable has a keyword's name


def convert_leaves(scope: Scope, value: Value, given: Type) -> list[Expr]:
    """The leaf expressions of a value converted to a type of its shape."""
    match value, given:
        case Tuple(items=items), TupleType(items=types):
            return [e for item, t in zip(items, types, strict=True) for e in convert_leaves(scope, item, t)]
        case ((Scalar() | Complex()), ScalarType(dtype=dtype, weak=weak)):
            if isinstance(value, Scalar) and value.weak and weak and value.dtype is dtype:
                return [value.expr]
            return list(leaves(convert(value, dtype)))
    raise KernelError(f"{describe(value)} is not a {given}")


def bind(scope: Scope, name: str, value: Value, node: ast.AST) -> None:
    """``name = value``."""
    scope.poisoned.pop(name, None)
    given = type_of(value)
    key = (*scope.path, name)
    if isinstance(value, Tuple):
        scope.shared.origins[key] = scope.shared.origins.get(key, frozenset()) | structures.origins(value)
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
        scope.shared.grown |= old is None
        scope.shared.changed |= old is not None
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
            store(scope, base, index_parts(scope, index), value, target)
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
    if not isinstance(value, Tuple) or not structures.is_sequence(value):
        raise KernelError(f"cannot unpack {describe(value)}", "only tuples are unpacked", node)
    starred = [n for n, e in enumerate(elements) if isinstance(e, ast.Starred)]
    items = [scope.pin_value(v) for v in structures.elements(value, "only tuples are unpacked")]
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


def store(scope: Scope, base: Value, parts: tuple[indexing.IndexPart, ...], value: Value, node: ast.AST) -> None:
    if structures.user_method(base, "__setitem__") and not any(isinstance(p, indexing.Slice) for p in parts):
        keys = tuple(p for p in parts if not isinstance(p, indexing.Slice))
        structures.invoke(scope, base, "__setitem__", [keys[0] if len(keys) == 1 else Tuple(keys), value])
        return
    if isinstance(base, Tuple):
        raise KernelError("a tuple cannot be changed", "make a new one, or use ag.local.array", node)
    if isinstance(base, Element) and len(parts) == 1 and isinstance(parts[0], Object) and isinstance(parts[0].value, str):
        name = parts[0].value
        at(node, lambda: _stored(scope, Element(indexing.field_view(base.view, name), base.index), value, node))
        return
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
            copies.store_view(scope, selected, value, loc)
        return NONE

    at(node, act)


def _stored(scope: Scope, element: Element, value: Value, node: ast.AST) -> Value:
    indexing.store(scope, element, value, scope.locate(node))
    return NONE


def _assign_field(scope: Scope, owner: ast.expr, field: str, value: Value, node: ast.AST) -> None:
    base = expression(scope, owner)
    if isinstance(base, Element):
        indexing.store(scope, Element(indexing.field_view(base.view, field), base.index), value, scope.locate(node))
        return
    if not isinstance(base, Tuple) or field not in base.names:
        raise KernelError(f"{describe(base)} has no field '{field}' that can be set", node=node)
    if base.cls is not None and issubclass(base.cls, tuple):
        raise KernelError(f"a NamedTuple cannot be changed: {base.cls.__name__}.{field}", "make a new one, or use a dataclass", node)
    if base.cls is not None and structures.class_method(base.cls, "__setattr__") is not None:
        raise KernelError(f"{base.cls.__name__} sets fields by a __setattr__ of its own, which kernels cannot run", node=node)
    if getattr(getattr(base.cls, "__dataclass_params__", None), "frozen", False):
        raise KernelError(f"{base.cls.__name__ if base.cls else 'the structure'} is frozen", "make a new one, or drop frozen=True", node)
    root = owner
    while isinstance(root, ast.Attribute):
        root = root.value
    if isinstance(root, ast.Name) and root.id in parameters(scope.source.node) and scope.called_from:
        message = f"'{root.id}.{field} = ...' would not be seen by the caller: structures are passed by value"
        raise KernelError(message, "return the changed structure instead", node)
    if isinstance(root, ast.Name):
        key = (*scope.path, root.id)
        scope.shared.origins[key] = scope.shared.origins.get(key, frozenset()) | structures.origins(base)
        scope.shared.mutations.append((scope, node, key, ast.unparse(node)))
    items = tuple(value if n == field else item for n, item in zip(base.names, base.items, strict=True))
    assign(scope, owner, Tuple(items, base.cls, base.names), node)


def parameters(node: ast.FunctionDef) -> tuple[str, ...]:
    a = node.args
    return tuple(p.arg for p in (*a.posonlyargs, *a.args, *a.kwonlyargs))


def augmented(scope: Scope, node: ast.AugAssign) -> None:
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
        new = at(node, lambda: _updated(scope, name, old, right))
        store(scope, base, parts, new, target)
        return
    old = expression(scope, target)
    right = expression(scope, node.value)
    assign(scope, target, at(node, lambda: _updated(scope, name, old, right)), node)


def _updated(scope: Scope, name: str, old: Value, right: Value) -> Value:
    found = structures.in_place(scope, name, old, right)
    return arithmetic.binary(scope, name, old, right) if found is None else found


def assigned_names(nodes: Sequence[ast.stmt]) -> list[str]:
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


@functools.lru_cache(maxsize=1024)
def _assigned_in(node: ast.FunctionDef) -> collections.Counter[str]:
    return collections.Counter(assigned_names(node.body))


def assignment_counts(node: ast.FunctionDef) -> dict[str, int]:
    """How often a function sets each name, as the caller's own dictionary."""
    return dict(_assigned_in(node))
