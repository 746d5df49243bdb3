"""Expressions: each Python expression becomes a typed value, with statements emitted for what has effects."""

from __future__ import annotations

import ast
import enum
import inspect
from collections.abc import Callable, Sequence
from dataclasses import fields as dataclass_fields
from dataclasses import is_dataclass
from functools import partial

import numpy as np

from anygpu.dtypes import bool_, from_numpy, int64
from anygpu.frontend import arithmetic, indexing, structures
from anygpu.frontend.arithmetic import literal, truth
from anygpu.frontend.context import KernelError, Scope, Unresolved
from anygpu.frontend.parse import MISSING
from anygpu.frontend.types import (
    BoundMethod,
    Complex,
    Element,
    Object,
    Scalar,
    ScalarType,
    Tuple,
    Type,
    Value,
    View,
    describe,
    join,
    rebuild,
    strong,
    type_of,
)
from anygpu.frontend.vocabulary import WORDS, word_of
from anygpu.ir import build
from anygpu.ir.kernel import Assign, Const, Expr, If, Op, Ref, Special, Stmt, subexpressions
from anygpu.ir.ops import is_expanded

_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.FloorDiv: "floordiv", ast.Mod: "mod", ast.Pow: "pow",
    ast.BitAnd: "and", ast.BitOr: "or", ast.BitXor: "xor", ast.LShift: "shl", ast.RShift: "shr", ast.MatMult: "matmul",
}  # fmt: skip
_UNARY: dict[type[ast.unaryop], str] = {ast.USub: "neg", ast.UAdd: "pos", ast.Invert: "invert", ast.Not: "not"}
_COMPARE: dict[type[ast.cmpop], str] = {
    ast.Eq: "eq", ast.NotEq: "ne", ast.Lt: "lt", ast.LtE: "le", ast.Gt: "gt", ast.GtE: "ge",
}  # fmt: skip


def operator_name(op: ast.operator) -> str:
    return _BINARY[type(op)]


def expression(scope: Scope, node: ast.expr) -> Value:
    """The value of an expression."""
    match node:
        case ast.Constant(value=value):
            return wrap(scope, value)
        case ast.Name(id=name):
            return name_value(scope, name, node)
        case ast.BinOp():
            return _operators(scope, node)
        case ast.UnaryOp(op=unary_op, operand=operand):
            with scope.deeper(node):
                only = expression(scope, operand)
            return at(node, lambda: arithmetic.unary(scope, _UNARY[type(unary_op)], only))
        case ast.BoolOp():
            return _boolean(scope, node)
        case ast.Compare():
            return _comparison(scope, node)
        case ast.IfExp():
            return _conditional(scope, node)
        case ast.Call():
            return _call(scope, node)
        case ast.Attribute(value=ast.Attribute() as owner, attr="value" | "name" as attr) if (
            member := _enum_member(scope, owner)
        ) is not None:
            return wrap(scope, getattr(member, attr))
        case ast.Attribute(value=owner, attr=attr):
            base = expression(scope, owner)
            return at(node, lambda: attribute(scope, base, attr))
        case ast.Subscript(value=owner, slice=index):
            base = expression(scope, owner)
            key = index_parts(scope, index)
            return at(node, lambda: indexing.subscript(scope, base, key, scope.locate(node), lambda obj: wrap(scope, obj)))
        case ast.Tuple(elts=elements) | ast.List(elts=elements):
            items: list[Value] = []
            for element in elements:
                if isinstance(element, ast.Starred):
                    items.extend(_spread(scope, element, "only a tuple can be unpacked with *"))
                else:
                    items.append(scope.pin_value(expression(scope, element)))
            return Tuple(tuple(items))
        case ast.NamedExpr(target=ast.Name(id=name), value=inner):
            from anygpu.frontend.binding import bind

            bind(scope, name, expression(scope, inner), node)
            return name_value(scope, name, node)
        case ast.JoinedStr():
            return Object(_constant_text(scope, node))
    what = {ast.Lambda: "lambda", ast.Dict: "a dict", ast.Set: "a set", ast.ListComp: "a list comprehension",
            ast.GeneratorExp: "a generator", ast.Await: "await", ast.Yield: "yield",
            ast.DictComp: "a dict comprehension", ast.SetComp: "a set comprehension"}  # fmt: skip
    raise KernelError(
        f"{what.get(type(node), type(node).__name__)} is not part of the kernel language", "kernels hold scalars, tuples and arrays", node
    )


DEPTH = 64


def _operators(scope: Scope, node: ast.BinOp) -> Value:
    """``a + b - c ...``: leaning to the left as Python parses it, without recursion, since such chains may be long.

    A deep tree of operations is evaluated in parts, but never at a product that is a term of a sum: the two may become one operation.
    """
    chain = [node]
    while isinstance(chain[-1].left, ast.BinOp):
        chain.append(chain[-1].left)
    with scope.deeper(chain[-1]):
        value = expression(scope, chain[-1].left)
        for n, link in reversed(list(enumerate(chain))):
            left, right = value, expression(scope, link.right)
            value = at(link, partial(arithmetic.binary, scope, _BINARY[type(link.op)], left, right))
            fused = isinstance(link.op, ast.Mult) and (n == 0 or isinstance(chain[n - 1].op, ast.Add | ast.Sub))
            if (n % DEPTH == DEPTH - 1 or scope.nesting > DEPTH) and not fused:
                value = scope.pin_value(value)
        return value


def _enum_member(scope: Scope, node: ast.Attribute) -> enum.Enum | None:
    """The member that ``Class.MEMBER`` names: one that is an int would lose its ``value`` and ``name`` as a number."""
    root: ast.expr = node
    while isinstance(root, ast.Attribute):
        root = root.value
    if not isinstance(root, ast.Name):
        return None
    owner = expression(scope, node.value)
    if not (isinstance(owner, Object) and isinstance(owner.value, type) and issubclass(owner.value, enum.Enum)):
        return None
    member = getattr(owner.value, node.attr, None)
    return member if isinstance(member, enum.Enum) else None


def at(node: ast.AST, action: Callable[[], Value]) -> Value:
    """Run ``action``; an error of it that names no place is at ``node``."""
    try:
        return action()
    except KernelError as error:
        error.node = error.node or node
        raise


# --------------------------------------------------------------------------------------------------------------- names and objects


def name_value(scope: Scope, name: str, node: ast.AST) -> Value:
    """What a name means here: a bound object, a variable, or something captured from outside the function."""
    if name in scope.poisoned:
        raise KernelError(scope.poisoned[name], "give each its own name, or choose by `if` around the uses", node)
    key = (*scope.path, name)
    held = scope.shared.origins.get(key, frozenset()) | {key}
    if name in scope.bound:
        return structures.marked(scope.bound[name], held)
    given = scope.shared.types.get(key)
    if given is not None and (name in scope.variables or name in scope.assigned):
        return structures.marked(rebuild(given, [Ref(v) for v in scope.variable(name, given)]), held)
    if name in scope.assigned:
        scope.shared.unresolved.append((scope, node, name))
        raise Unresolved(name)
    obj = scope.source.resolve(name)
    if obj is MISSING:
        raise KernelError(f"name '{name}' is not defined", _similar(scope, name), node)
    return structures.marked(at(node, lambda: wrap(scope, obj)), frozenset({("<captured>", name)}))


def _similar(scope: Scope, name: str) -> str:
    import difflib

    known = [*scope.bound, *scope.assigned, *scope.source.function.__globals__]
    close = difflib.get_close_matches(name, known, 1) or [f"ag.{word}" for word in difflib.get_close_matches(name, WORDS, 1)]
    return f"did you mean '{close[0]}'?" if close else ""


def wrap(scope: Scope, obj: object) -> Value:
    """A captured Python object as a value: numbers are constants, arrays constant arrays, all else stays an object."""
    match obj:
        case enum.Enum() if isinstance(obj.value, bool | int | float) and not isinstance(obj, int | float):
            return Object(obj)
        case np.ndarray():
            return indexing.constant_array(scope, obj)
        case np.generic():
            dtype = from_numpy(obj.dtype)
            if dtype is None:
                raise KernelError(f"a captured {obj.dtype} cannot be used in a kernel")
            if dtype.is_complex:
                part = dtype.component
                return Complex(build.constant(float(obj.real), part), build.constant(float(obj.imag), part))
            return Scalar(build.constant(obj.item() if dtype.name != "bfloat16" else float(obj), dtype))
        case bool() | int() | float() | complex():  # after NumPy's, of which float64 is a float and complex128 a complex
            return literal(obj.value if isinstance(obj, enum.Enum) else obj)
        case tuple() | list():
            names = tuple(getattr(obj, "_fields", ()))
            if not names and type(obj) not in (tuple, list):
                hint = "structures are NamedTuples and dataclasses"
                raise KernelError(f"a captured {type(obj).__name__} cannot be used in a kernel", hint)
            known = scope.shared.numbers.get(id(obj))
            if known is not None:
                return known[1]
            items = tuple(wrap(scope, item) for item in (tuple.__iter__(obj) if isinstance(obj, tuple) else obj))
            found = Tuple(items, type(obj) if names else None, names)
            if type(obj) is tuple and all(type(item) in (int, float) for item in obj):
                scope.shared.numbers[id(obj)] = obj, found
            return found
    if is_dataclass(obj) and not isinstance(obj, type):
        names = tuple(f.name for f in dataclass_fields(obj))
        return Tuple(tuple(wrap(scope, getattr(obj, n)) for n in names), type(obj), names)
    word = word_of(obj)
    if word is not None:
        return word_value(scope, word) or Object(obj)
    return Object(obj)


_SPECIALS = {"threadIdx": "thread", "blockIdx": "block", "blockDim": "block_dim", "gridDim": "grid_dim"}


def word_value(scope: Scope, word: str) -> Value | None:
    """The value of a word that is one (``ag.threadIdx.x``, ``ag.laneid``, ``ag.warpsize``), or None for words that are called."""
    head, _, axis = word.partition(".")
    if head in _SPECIALS and axis:
        return Scalar(Special(_SPECIALS[head], "xyz".index(axis)))  # type: ignore[arg-type]
    if word == "laneid":
        return Scalar(Special("lane"))
    if word == "warpsize":
        return literal(32)
    return None


def attribute(scope: Scope, base: Value, name: str) -> Value:
    """``base.name``."""
    match base:
        case Object(value=obj):
            found = getattr(obj, name, MISSING)
            if found is MISSING:
                word = word_of(obj)
                kind = f"module '{obj.__name__}'" if inspect.ismodule(obj) else f"{type(obj).__name__} '{getattr(obj, '__name__', obj)}'"
                kind = kind if word is None else f"ag.{word}"
                import difflib

                close = difflib.get_close_matches(name, dir(obj), 1)
                raise KernelError(f"{kind} has no attribute '{name}'", f"did you mean '{close[0]}'?" if close else "")
            return wrap(scope, found)
        case Scalar() | Complex():
            if name in ("real", "imag"):
                if isinstance(base, Complex):
                    return Scalar(base.real if name == "real" else base.imag, base.weak)
                return base if name == "real" else Scalar(build.constant(0, base.dtype), base.weak)
            if name == "dtype":
                return Object(base.dtype.numpy)
            if name in ("conjugate", "conj"):
                return BoundMethod(base, "conjugate")
        case Tuple(items=items, cls=cls, names=names):
            if name in names:
                return items[names.index(name)]
            if cls is not None and (structures.class_method(cls, "__getattribute__") or structures.class_method(cls, "__getattr__")):
                raise KernelError(f"{cls.__name__} looks attributes up by a method of its own, which kernels cannot run")
            if name == "_replace" and cls is not None and issubclass(cls, tuple):
                return BoundMethod(base, name)
            member = inspect.getattr_static(cls, name, MISSING) if cls is not None else MISSING
            if isinstance(member, classmethod):
                return wrap(scope, getattr(cls, name))
            if isinstance(member, property) and member.fget is not None:
                from anygpu.frontend.inlining import inline

                return inline(scope, member.fget, [base], {}, None)
            if isinstance(member, staticmethod):
                return Object(member.__func__)
            if inspect.isfunction(member):
                return BoundMethod(base, name, member)
            if member is not MISSING and not callable(member):
                return wrap(scope, member)
            raise KernelError(f"{describe(base)} has no attribute '{name}'", f"its fields are {', '.join(names)}" if names else "")
        case View():
            return indexing.array_attribute(scope, base, name)
        case Element():
            return indexing.load_field(scope, base, name, scope.source.location)
    raise KernelError(f"{describe(base)} has no attribute '{name}' in a kernel")


# ----------------------------------------------------------------------------------------------------------------- control in values


def _boolean(scope: Scope, node: ast.BoolOp) -> Value:
    """``and`` and ``or``: the right side runs only if it must."""
    name = "and" if isinstance(node.op, ast.And) else "or"
    value = expression(scope, node.values[0])
    for operand in node.values[1:]:
        value = at(node, partial(_boolean_pair, scope, name, value, operand))
    return value


def _boolean_pair(scope: Scope, name: str, left: Value, operand: ast.expr) -> Value:
    condition = truth(scope, left)
    if isinstance(condition, Const):
        return expression(scope, operand) if bool(condition.value) == (name == "and") else left
    with scope.nested() as inner:
        right = expression(scope, operand)
    left_is_bool = isinstance(left, Scalar) and left.dtype is bool_
    if left_is_bool and isinstance(right, Scalar) and right.dtype is bool_ and _speculable(inner):
        scope.body.extend(inner)
        return Scalar(build.op(name, condition, right.expr))
    condition = scope.pin(condition)
    taken = condition if name == "and" else build.op("not", condition)
    return _merge(scope, taken, (inner, right), ([], left))


def _conditional(scope: Scope, node: ast.IfExp) -> Value:
    condition = truth(scope, expression(scope, node.test))
    if isinstance(condition, Const):
        return expression(scope, node.body if condition.value else node.orelse)
    condition = scope.pin(condition)
    with scope.nested() as then:
        a = expression(scope, node.body)
    with scope.nested() as orelse, scope.deeper(node):
        b = expression(scope, node.orelse)
    return at(node, lambda: _merge(scope, condition, (then, a), (orelse, b)))


def _merge(scope: Scope, condition: Expr, first: tuple[Sequence[Stmt], Value], second: tuple[Sequence[Stmt], Value]) -> Value:
    """The value of ``first if condition else second``; a select if neither side has effects, else a branch."""
    (then, a), (orelse, b) = first, second
    if isinstance(a, Object) and isinstance(b, Object) and a.value == b.value:
        return a
    ta, tb = type_of(a), type_of(b)
    if ta is None or tb is None:
        raise KernelError(
            f"the two sides are {describe(a)} and {describe(b)}, which no one value can hold", "use an if statement around their uses"
        )
    joined = ta if ta == tb else _join_weak(a, b)
    from anygpu.frontend.binding import convert_leaves

    held = structures.origins(a) | structures.origins(b)
    with scope.nested() as then_tail:
        then_leaves = convert_leaves(scope, a, joined)
    with scope.nested() as orelse_tail:
        orelse_leaves = convert_leaves(scope, b, joined)
    then, orelse = [*then, *then_tail], [*orelse, *orelse_tail]
    if not then and not orelse:
        chosen = [build.op("select", condition, x, y) for x, y in zip(then_leaves, orelse_leaves, strict=True)]
        return structures.marked(rebuild(joined, chosen), held)
    results = [scope.temporary(x.dtype, "choice") for x in then_leaves]
    then_body = (*then, *(Assign(v, x) for v, x in zip(results, then_leaves, strict=True)))
    orelse_body = (*orelse, *(Assign(v, y) for v, y in zip(results, orelse_leaves, strict=True)))
    scope.emit(If(condition, then_body, orelse_body))
    return structures.marked(rebuild(joined, [Ref(v) for v in results]), held)


def _speculable(statements: Sequence[Stmt]) -> bool:
    """Whether statements may run although their result is not needed: cheap assignments to temporaries. No operation traps."""
    for stmt in statements:
        if not isinstance(stmt, Assign) or not stmt.var.name.startswith("."):
            return False
        for part in subexpressions(stmt.value):
            if isinstance(part, Op) and (is_expanded(part.name, part.args[0].dtype) or part.name in ("floordiv", "mod", "div", "sqrt")):
                return False
    return len(statements) <= 4


def _join_weak(a: Value, b: Value) -> Type:
    if isinstance(a, Scalar | Complex) and isinstance(b, Scalar | Complex):
        dtype, weak = arithmetic.common_dtype(a, b)
        return ScalarType(dtype, weak)
    ta, tb = type_of(a), type_of(b)
    joined = join(strong(ta), strong(tb)) if ta is not None and tb is not None else None
    if joined is None:
        raise KernelError(f"the two sides are {describe(a)} and {describe(b)}, which have no common type")
    return joined


def _comparison(scope: Scope, node: ast.Compare) -> Value:
    left = expression(scope, node.left)
    result: Value | None = None
    for n, (op, operand) in enumerate(zip(node.ops, node.comparators, strict=True)):
        if n == 0:
            right = expression(scope, operand)
            if len(node.ops) > 1:
                left, right = scope.pin_value(left), scope.pin_value(right)
            result = at(node, partial(_compare_one, scope, op, left, right))
        else:
            assert isinstance(result, Scalar)
            previous = left
            condition = scope.pin(result.expr)
            with scope.nested() as inner:
                right = scope.pin_value(expression(scope, operand))
                compared = at(node, partial(_compare_one, scope, op, previous, right))
            if isinstance(compared, Scalar) and _speculable(inner):
                scope.body.extend(inner)
                result = Scalar(build.op("and", condition, compared.expr))
                left = right
                continue
            result = _merge(scope, condition, (inner, compared), ([], Scalar(Const(False, bool_))))
        left = right
    assert result is not None
    return result


def _compare_one(scope: Scope, op: ast.cmpop, left: Value, right: Value) -> Value:
    if isinstance(op, ast.Is | ast.IsNot):
        if not (isinstance(left, Object) or isinstance(right, Object)):
            raise KernelError("'is' compares compile-time objects; use == for numbers")
        same = isinstance(left, Object) and isinstance(right, Object) and left.value is right.value
        return Scalar(Const(same == isinstance(op, ast.Is), bool_))
    if isinstance(op, ast.In | ast.NotIn):
        contains = structures.invoke(scope, right, "__contains__", [left])
        if contains is not None:
            found = truth(scope, contains)
        else:
            found = Const(False, bool_)
            for item in structures.elements(right, "'in' needs a tuple on its right"):
                found = build.op("or", found, truth(scope, arithmetic.binary(scope, "eq", left, item)))
        return Scalar(found if isinstance(op, ast.In) else build.op("not", found))
    return arithmetic.binary(scope, _COMPARE[type(op)], left, right)


# -------------------------------------------------------------------------------------------------------------------- calls, indices


def _call(scope: Scope, node: ast.Call) -> Value:
    from anygpu.frontend import calls, printing

    function = expression(scope, node.func)
    if isinstance(function, Object) and function.value is print:
        return printing.print_call(scope, node)
    args: list[Value] = []
    for arg in node.args:
        if isinstance(arg, ast.Starred):
            args.extend(_spread(scope, arg, "only a tuple can be passed with *"))
        else:
            args.append(expression(scope, arg))
    kwargs: dict[str, Value] = {}
    for keyword in node.keywords:
        if keyword.arg is None:
            raise KernelError("** arguments are not part of the kernel language", node=keyword.value)
        kwargs[keyword.arg] = expression(scope, keyword.value)
    return at(node, lambda: calls.call(scope, function, args, kwargs, node))


def _spread(scope: Scope, node: ast.Starred, what: str) -> tuple[Value, ...]:
    """The items of ``*node``."""
    value = expression(scope, node.value)
    try:
        return structures.elements(value, what)
    except KernelError as error:
        error.node = node
        raise


def index_parts(scope: Scope, node: ast.expr) -> tuple[indexing.IndexPart, ...]:
    """The parts of an index: integers, slices, ``...``; a tuple value is spread."""
    nodes = node.elts if isinstance(node, ast.Tuple) else [node]
    parts: list[indexing.IndexPart] = []
    for part in nodes:
        if isinstance(part, ast.Slice):
            bounds = [None if n is None else scope.pin_value(expression(scope, n)) for n in (part.lower, part.upper, part.step)]
            parts.append(indexing.Slice(*bounds))
            continue
        value = expression(scope, part)
        if structures.is_sequence(value):
            parts.extend(structures.elements(value, "an index is a tuple"))
        else:
            parts.append(value)
    return tuple(parts)


def _constant_text(scope: Scope, node: ast.JoinedStr) -> str:
    text = []
    for part in node.values:
        if isinstance(part, ast.Constant):
            text.append(str(part.value))
            continue
        assert isinstance(part, ast.FormattedValue)
        constant = constant_piece(scope, part, expression(scope, part.value))
        if constant is None:
            raise KernelError(
                "an f-string with run-time values can only be printed", "print(f'...') and print('...', value) work", part.value
            )
        text.append(constant)
    return "".join(text)


_CONVERSIONS: dict[int, Callable[[object], object]] = {-1: lambda v: v, ord("r"): repr, ord("s"): str, ord("a"): ascii}


def constant_piece(scope: Scope, piece: ast.FormattedValue, value: Value) -> str | None:
    """The text of ``{value!r:spec}`` in an f-string if the value is known at compile time."""
    constant = value.constant if isinstance(value, Scalar) else value.value if isinstance(value, Object) else None
    if constant is None and not isinstance(value, Object):
        return None
    specification = _constant_text(scope, piece.format_spec) if isinstance(piece.format_spec, ast.JoinedStr) else ""
    try:
        return format(_CONVERSIONS[piece.conversion](constant), specification)
    except (ValueError, TypeError) as error:
        raise KernelError(f"{describe(value)} cannot be formatted as '{specification}' ({error})", node=piece) from error


def static_integer(value: Value, what: str) -> int:
    """The compile-time value of an integer."""
    if isinstance(value, Scalar) and isinstance(value.constant, int) and not isinstance(value.constant, bool):
        return value.constant
    raise KernelError(
        f"{what} must be a compile-time constant integer, not {describe(value)}",
        "use a literal, a global, or a variable assigned once from one",
    )


__all__ = [
    "at", "attribute", "constant_piece", "expression", "index_parts", "int64", "name_value", "operator_name", "static_integer", "wrap",
]  # fmt: skip
