"""Statements and whole kernels: each statement by its kind, then passes over the kernel until no variable's type changes."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from types import FunctionType

from anygpu.dtypes import DType, plain_fields
from anygpu.errors import CompileError, Diagnostic
from anygpu.frontend import binding, control_flow, indexing, inlining, structures
from anygpu.frontend.arithmetic import truth
from anygpu.frontend.context import NESTING_LIMIT, TOO_DEEP, TOO_DEEP_HINT, KernelError, Scope, Shared, Unresolved
from anygpu.frontend.expressions import expression
from anygpu.frontend.parse import Source, parse_function
from anygpu.frontend.types import (
    ArrayType,
    ConstantType,
    Object,
    Scalar,
    Tuple,
    TupleType,
    Type,
    Value,
    describe,
    leaf_types,
    rebuild,
    type_of,
)
from anygpu.ir.kernel import Array, Assert, Block, Function, Kernel, Ref, Stmt, Var

MAXIMUM_PASSES = 12


def statements(scope: Scope, nodes: Sequence[ast.stmt], tail: control_flow.Tail) -> None:
    """A list of statements. ``tail`` holds the labels whose end is where this list ends: leaving for one of them needs no jump."""
    for n, node in enumerate(nodes):
        rest = nodes[n + 1 :]
        guard = isinstance(node, ast.If) and bool(rest) and always_leaves(node.body) and not node.orelse
        if isinstance(node, ast.If) and guard and scope.nesting < NESTING_LIMIT // 2:
            # `if c: return` and what follows it: the rest is the other branch, so that no work-item waits behind a mask
            _guarded(scope, node, lambda node=node, rest=rest: control_flow.branch(scope, node.test, node.body, rest, tail, node))  # type: ignore[misc]
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
    except RecursionError:
        scope.report(KernelError(TOO_DEEP, TOO_DEEP_HINT), node)
    except Unresolved:
        scope.shared.waited = True
    for name in binding.assigned_names([node]):
        if (*scope.path, name) not in scope.shared.types and name not in scope.bound:
            scope.assigned.setdefault(name, 1)


def always_leaves(body: Sequence[ast.stmt]) -> bool:
    """Whether a list of statements always ends in a jump."""
    last = body[-1]
    if isinstance(last, ast.Return | ast.Break | ast.Continue):
        return True
    return isinstance(last, ast.If) and bool(last.orelse) and always_leaves(last.body) and always_leaves(last.orelse)


def statement(scope: Scope, node: ast.stmt, tail: control_flow.Tail) -> None:
    scope.count_size(node)
    match node:
        case ast.Assign(targets=targets, value=value_node):
            value = expression(scope, value_node)
            if len(targets) > 1:
                value = structures.marked(scope.pin_value(value), frozenset({(*scope.path, ast.unparse(targets[-1]))}))
            for target in targets:
                binding.assign(scope, target, value, target if isinstance(target, ast.Name) else node)
        case ast.AnnAssign(target=target, value=value_node):
            if value_node is not None:
                binding.assign(scope, target, expression(scope, value_node), node)
        case ast.AugAssign():
            binding.augmented(scope, node)
        case ast.If(test=test, body=body, orelse=orelse):
            control_flow.branch(scope, test, body, orelse, tail, node)
        case ast.For():
            control_flow.for_loop(scope, node)
        case ast.While():
            control_flow.while_loop(scope, node)
        case ast.Return(value=value_node):
            control_flow.return_value(scope, node, value_node, tail)
        case ast.Break() | ast.Continue():
            labels = scope.break_labels if isinstance(node, ast.Break) else scope.continue_labels
            control_flow.leave(scope, labels[-1], tail, node)
        case ast.Expr(value=value_node):
            if not isinstance(value_node, ast.Constant):
                expression(scope, value_node)
        case ast.Assert(test=test, msg=message):
            condition = truth(scope, expression(scope, test))
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
        # a type that is found where a variable is first set changes nothing before that, unless something waits for it
        if not shared.changed and not (shared.grown and (shared.waited or shared.unresolved or shared.diagnostics)):
            break
    else:
        raise CompileError(
            source.name, (Diagnostic(source.location, "the types of the variables do not settle", "give each variable one type"),)
        )
    structures.report_shared(shared)
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
    names = binding.parameters(source.node)
    shared = Shared(source.name, range_ndim=range_ndim)
    made: list[Kernel] = []

    def lower() -> None:
        scope = Scope(shared, source, ("",))
        scope.assigned = binding.assignment_counts(source.node)
        scope.return_label = shared.label("return")
        shared.stack = [function]
        params: list[Array | Var] = []
        prologue: list[Callable[[], None]] = []
        for name, given in zip(names, types, strict=True):
            inner, value = _parameter(shared, name, given, True)
            params.extend(inner)
            if name in scope.assigned and type_of(value) is not None:
                scope.assigned[name] += 1
                prologue.append(lambda name=name, value=value: binding.bind(scope, name, value, source.node))  # type: ignore[misc]
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
    shared = Shared(source.name)
    made: list[Function] = []

    def lower() -> None:
        scope = Scope(shared, source, ("",))
        params = tuple(Var(shared.unique(n), d) for n, d in zip(binding.parameters(source.node), dtypes, strict=True))
        try:
            value = inlining.inline(scope, function, [Scalar(Ref(p)) for p in params], {}, source.node)
        except Unresolved:
            shared.waited = True
            return
        except KernelError as error:
            scope.report(error, source.node)
            return
        if not isinstance(value, Scalar):
            raise CompileError(source.name, (Diagnostic(source.location, f"{source.name} must return one scalar, not {describe(value)}"),))
        made[:] = [Function(source.name, params, tuple(scope.body), value.expr, tuple(shared.declared))]

    _run_passes(shared, source, lower)
    return made[0]


__all__ = ["always_leaves", "lower_function", "lower_kernel", "statements"]
