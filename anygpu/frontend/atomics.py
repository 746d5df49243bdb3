"""Atomic operations: what each means for every dtype, or the reason why it means nothing."""

from __future__ import annotations

import ast
from collections.abc import Sequence

from anygpu.dtypes import DType
from anygpu.frontend import indexing
from anygpu.frontend.arithmetic import convert, literal, number
from anygpu.frontend.context import KernelError, Scope
from anygpu.frontend.types import Complex, Element, Scalar, Tuple, Value, View, describe
from anygpu.ir.kernel import Atomic, Expr, Ref
from anygpu.ir.ops import ATOMICS

# What has another name in the IR: the sum, minimum and maximum of bools are NumPy's, and an integer is never NaN.
_ALIASES: dict[str, dict[str, str]] = {
    "add": {"b": "or"}, "min": {"b": "and"}, "max": {"b": "or"},
    "nanmin": {"b": "and", "i": "min", "u": "min"}, "nanmax": {"b": "or", "i": "max", "u": "max"},
}  # fmt: skip

_ORDER = "complex numbers have no order"
_BITS = "bitwise operations take integers or bools; pass the array as integers: a.view(np.uint32)"
_COUNT = "counting up to a limit takes integers"
_WORDS = "a complex number is two words, which no device exchanges in one step"

# (operations, dtype kinds): why there is none.
UNSUPPORTED: dict[tuple[tuple[str, ...], str], str] = {
    (("sub",), "b"): "NumPy has no difference of bools; ^ is xor",
    (("inc", "dec"), "b"): _COUNT,
    (("inc", "dec"), "fc"): _COUNT,
    (("and", "or", "xor"), "fc"): _BITS,
    (("min", "max", "nanmin", "nanmax"), "c"): _ORDER,
    (("exch", "cas"), "c"): _WORDS,
}


def atomic_operation(op: str, dtype: DType, shown: str = "") -> str:
    """The IR's operation for an atomic on a dtype; raises ``KernelError`` with the reason if there is none."""
    name = _ALIASES.get(op, {}).get(dtype.kind, op)
    kind = dtype.component.kind if dtype.is_complex and op in ("add", "sub") else dtype.kind
    if kind in ATOMICS[name]:
        return name
    raise KernelError(f"ag.atomic.{shown or op} is not defined for {dtype}", unsupported_reason(op, dtype))


def unsupported_reason(op: str, dtype: DType) -> str:
    """Why an atomic has no meaning for a dtype."""
    return next(reason for (ops, kinds), reason in UNSUPPORTED.items() if op in ops and dtype.kind in kinds)


def atomic(scope: Scope, name: str, args: Sequence[Value], node: ast.AST) -> Value:
    """``ag.atomic.<name>(array, index, ...)``; the old value."""
    if name == "compare_and_swap":
        _count(args, 3, name)
        name, args = "cas", (args[0], literal(0), *args[1:])
    op = name.removesuffix("_")
    _count(args, 4 if op == "cas" else 3, name)
    target = args[0]
    if not isinstance(target, View):
        raise KernelError(f"ag.atomic.{name} works on an array, not {describe(target)}")
    parts = args[1].items if isinstance(args[1], Tuple) else (args[1],)
    element = indexing.select(scope, target, tuple(parts))
    if not isinstance(element, Element) or target.element is None:
        raise KernelError(f"ag.atomic.{name} needs one index for each axis of the array, which has {target.ndim}")
    if element.view.array.space == "const":
        raise KernelError("captured arrays are constants and cannot be written", "pass the array as an argument")
    dtype = target.element
    loc = scope.locate(node)
    scope.shared.stored.add(target.array.name)
    operation = atomic_operation(op, dtype, name)
    operands = [convert(number(v, f"ag.atomic.{name}"), dtype, f"ag.atomic.{name} on an array of {dtype}") for v in args[2:]]
    numbers = (element.view.array.fields.index(target.record[0]),) if target.record else tuple(range(len(target.array.fields)))
    index = tuple(scope.pin(i) for i in element.index)
    old: list[Expr] = []
    for n, field in enumerate(numbers):
        exprs = [(v.real, v.imag)[n] if isinstance(v, Complex) else v.expr for v in operands]
        var = scope.temporary(target.array.fields[field].dtype, "old")
        scope.emit(Atomic(var, operation, target.array.name, index, tuple(exprs), field, True, loc))
        old.append(Ref(var))
    return Complex(old[0], old[1]) if len(old) == 2 else Scalar(old[0])


def _count(args: Sequence[Value], count: int, name: str) -> None:
    if len(args) != count:
        raise KernelError(f"ag.atomic.{name} takes {count} arguments, not {len(args)}")


__all__ = ["UNSUPPORTED", "atomic", "atomic_operation", "unsupported_reason"]
