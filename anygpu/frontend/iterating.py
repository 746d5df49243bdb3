"""What loops walk: ranges, tuples, arrays and enums, and the builtins that make one walk of others."""

from __future__ import annotations

import ast
import enum
from collections.abc import Callable, Sequence

from anygpu.dtypes import bool_, int64
from anygpu.frontend import arithmetic, indexing, structures
from anygpu.frontend.arithmetic import convert_expr, literal, real
from anygpu.frontend.context import KernelError, Scope
from anygpu.frontend.expressions import wrap
from anygpu.frontend.types import Iteration, Object, Scalar, Tuple, Value, View, describe
from anygpu.ir import build
from anygpu.ir.build import integer
from anygpu.ir.kernel import Const, Expr

Arguments = Sequence[Value]


def range_call(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    if not 1 <= len(args) <= 3:
        raise KernelError(f"range() takes 1 to 3 arguments, not {len(args)}")
    values = []
    for a in args:
        value = real(a, "range()")
        if value.dtype.is_float or (value.dtype is bool_):
            raise KernelError(f"range() takes integers, not {describe(value)}", "use int(...)" if value.dtype.is_float else "")
        values.append(scope.pin(convert_expr(value, int64)))
    start, stop, step = {1: (integer(0), values[0], integer(1)), 2: (*values, integer(1)), 3: tuple(values)}[len(values)]
    if isinstance(step, Const) and step.value == 0:
        raise KernelError("the step of a range must not be zero")
    return Iteration(None, None, None, (start, stop, step))


def iteration(scope: Scope, value: Value, loc_node: ast.AST) -> Iteration:
    """What a ``for`` loop over ``value`` walks."""
    match value:
        case Iteration():
            return value
        case Tuple() if structures.is_sequence(value):
            return Iteration(None, None, structures.elements(value, "a for loop walks a tuple"))
        case View(axes=axes) if axes:
            loc = scope.locate(loc_node)
            return Iteration(axes[0].length, lambda i: indexing.subscript(scope, value, (Scalar(i),), loc, lambda obj: wrap(scope, obj)))
        case Object(value=obj) if isinstance(obj, type) and issubclass(obj, enum.Enum):
            return Iteration(None, None, tuple(wrap(scope, member) for member in obj))
    raise KernelError(f"a for loop cannot walk {describe(value)}", "it walks ranges, tuples and arrays")


def _counted(scope: Scope, walked: Iteration) -> tuple[Expr, Callable[[Expr], Value]]:
    """An iteration as a count and an item for each number."""
    if walked.bounds is not None:
        start, stop, step = walked.bounds
        one = integer(1)
        if step == one:
            return scope.pin(build.op("maximum", build.op("sub", stop, start), integer(0))), lambda i: Scalar(build.op("add", start, i))
        up = build.op("gt", step, integer(0))
        distance = scope.pin(build.op("select", up, build.op("sub", stop, start), build.op("sub", start, stop)))
        size = scope.pin(build.op("abs", step))
        count = build.op("floordiv", build.op("add", distance, build.op("sub", size, one)), size)
        return scope.pin(build.op("maximum", count, integer(0))), lambda i: Scalar(build.op("add", start, build.op("mul", i, step)))
    assert walked.length is not None and walked.item is not None
    return walked.length, walked.item


def enumerate_call(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    if not 1 <= len(args) <= 2:
        raise KernelError("enumerate() takes one or two arguments")
    first = args[1] if len(args) == 2 else literal(0)
    walked = iteration(scope, args[0], node)
    if walked.items is not None:
        return Iteration(
            None, None, tuple(Tuple((arithmetic.binary(scope, "add", first, literal(n)), v)) for n, v in enumerate(walked.items))
        )
    length, item = _counted(scope, walked)
    return Iteration(length, lambda i: Tuple((arithmetic.binary(scope, "add", first, Scalar(i)), item(i))))


def zip_call(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    walked = [iteration(scope, a, node) for a in args]
    if walked and all(w.items is not None for w in walked):
        return Iteration(None, None, tuple(Tuple(row) for row in zip(*(w.items or () for w in walked), strict=False)))
    if not walked or any(w.items is not None for w in walked):
        raise KernelError("zip() takes only tuples, or only ranges and arrays", "index one of them with the loop's number instead")
    counted = [_counted(scope, w) for w in walked]
    length = counted[0][0]
    for other, _ in counted[1:]:
        length = build.op("minimum", length, other)
    return Iteration(scope.pin(length), lambda i: Tuple(tuple(item(i) for _, item in counted)))


def reversed_call(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    if len(args) != 1:
        raise KernelError(f"reversed takes 1 argument, not {len(args)}")
    walked = iteration(scope, args[0], node)
    if walked.items is not None:
        return Iteration(None, None, walked.items[::-1])
    length, item = _counted(scope, walked)
    last = scope.pin(build.op("sub", length, integer(1)))
    return Iteration(length, lambda i: item(build.op("sub", last, i)))


def tuple_call(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    if not args:
        return Tuple(())
    walked = iteration(scope, args[0], node)
    if walked.items is None:
        raise KernelError("tuple() needs items known at compile time")
    return Tuple(walked.items)
