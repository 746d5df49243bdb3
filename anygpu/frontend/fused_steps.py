"""The steps of a form as KERNEL IR, and where a work-item stands in its domain.

Scalar meaning is the kernel language's own, by the handlers that kernels' calls of NumPy functions go to: so an array expression and a
kernel that says the same compute the same bits, complex numbers included. Each value is a rounding point, as in NumPy: nothing is
contracted.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from anygpu.dtypes import DType, bool_, dtype_named, int64
from anygpu.frontend import arithmetic
from anygpu.frontend.context import Scope
from anygpu.frontend.functions import FUNCTIONS
from anygpu.frontend.types import Complex, Scalar, Value, leaves
from anygpu.ir import build
from anygpu.ir.kernel import Array, Expr, Load, Prefetch, Ref, Store
from anygpu.passes.fusion import Access, Form, Reduction, Stage, is_whole

_NODE = ast.Pass(lineno=1, col_offset=0)
_BOOL_LOOPS = {"add": "logical_or", "multiply": "logical_and", "maximum": "logical_or", "minimum": "logical_and", "absolute": "positive",
               "bitwise_and": "logical_and", "bitwise_or": "logical_or", "invert": "logical_not", "sign": "positive"}  # fmt: skip


@dataclass
class Emitter:
    """A kernel in the making: its scope, parameters, where the work-item stands in the form's domain, and the stage of its reductions."""

    form: Form
    scope: Scope
    index: list[Expr] = field(default_factory=list)
    loads: list[Array] = field(default_factory=list)
    outputs: list[Array] = field(default_factory=list)
    scalars: list[Value] = field(default_factory=list)
    integers: list[Expr] = field(default_factory=list)
    strides: dict[tuple[str, int], Expr] = field(default_factory=dict)
    values: dict[int, Value] = field(default_factory=dict)
    reduced: list[Value] = field(default_factory=list)
    turn: int = 0  # how often the elements of a row have been gone through
    stage: Stage = field(init=False)

    def __post_init__(self) -> None:
        self.stage = self.form.stages[0]

    def run(self, steps: Sequence[int]) -> None:
        """Compute the values of some steps."""
        for n in steps:
            self.values[n] = self.scope.pin_value(self._step(self.form.steps[n]))

    def _step(self, step: tuple[object, ...]) -> Value:
        match step:
            case ("load", int(n)):
                return self.load(self.loads[n], self.form.loads[n])
            case ("scalar", int(n)):
                return self.scalars[n]
            case ("index", int(axis), int(n)):
                return Scalar(self.affine(self.index[axis], n))
            case ("affine", int(operand), int(n)):
                return Scalar(self.affine(self.integer(operand), n))
            case ("wrap", int(operand), int(n)):
                return Scalar(self.wrap(self.integer(operand), self.integers[n]))
            case ("map", str(function), tuple(operands), tuple(dtypes), str(dtype)):
                given = [self.convert(self.values[o], dtype_named(d)) for o, d in zip(operands, dtypes, strict=True)]
                return self.convert(apply(self.scope, function, given), dtype_named(dtype))
            case ("cast", int(operand), str(dtype)):
                return self.convert(self.values[operand], dtype_named(dtype))
            case ("reduced", int(n)):
                return self.reduced[n]
            case ("stored", int(n)):
                return self.load(self.outputs[n], self.form.outputs[n][1])
        raise AssertionError(f"a form has no step {step!r}")

    def integer(self, step: int) -> Expr:
        """The value of a step as an int64."""
        return next(leaves(self.convert(self.values[step], int64)))

    def affine(self, at: Expr, n: int) -> Expr:
        return build.op("add", self.integers[n], build.op("mul", self.integers[n + 1], at))

    def wrap(self, at: Expr, extent: Expr) -> Expr:
        """An index counted from the start, and one that memory has: indices were checked when they were recorded, but memory that is
        shared may have changed since."""
        counted = build.op("select", build.op("lt", at, build.integer(0)), build.op("add", at, extent), at)
        return build.op("maximum", build.op("minimum", counted, build.op("sub", extent, build.integer(1))), build.integer(0))

    def convert(self, value: Value, dtype: DType) -> Value:
        """``astype``: a complex number that becomes real loses its imaginary part."""
        if isinstance(value, Complex) and not dtype.is_complex and dtype is not bool_:
            value = Scalar(value.real)
        return self.scope.pin_value(arithmetic.convert(value, dtype))

    def position(self, access: Access, name: str) -> Expr:
        """The element of an access at the current index."""
        total: Expr = build.integer(0)
        for axis, walk in enumerate(access.walk):
            if walk != "0" and axis < len(self.index):
                along = self.index[axis]
                total = build.op("add", total, along if walk == "1" else build.op("mul", along, self.strides[name, axis]))
        for step in access.computed:
            total = build.op("add", total, build.op("mul", self.integer(step), self.strides[name, -1 - step]))
        return total

    def load(self, array: Array, access: Access) -> Value:
        at = self.scope.pin(self.position(access, array.name))
        found = []
        for n, part in enumerate(array.fields):
            var = self.scope.temporary(part.dtype)
            self.scope.emit(Load(var, array.name, (at,), n, False))
            found.append(Ref(var))
        return Complex(found[0], found[1]) if len(found) == 2 else Scalar(found[0])

    def prefetch(self, array: Array, access: Access, index: Sequence[Expr], masked: bool = False, write: bool = False) -> None:
        """Ask for the element of an access at another index."""
        here, self.index = self.index, list(index)
        self.scope.emit(Prefetch(array.name, (self.position(access, array.name),), masked, write))
        self.index = here

    def whole_loads(self) -> list[tuple[Array, Access]]:
        """What is loaded of arrays with other elements for each row, where no step says."""
        form = self.form
        return [(self.loads[n], access) for n, access in enumerate(form.loads) if is_whole(access, form.kept) and not access.computed]

    def store(self, array: Array, access: Access, value: Value) -> None:
        at = self.scope.pin(self.position(access, array.name))
        for n, part in enumerate(leaves(value)):
            self.scope.emit(Store(array.name, (at,), part, n, False))

    @property
    def reductions(self) -> tuple[Reduction, ...]:
        """Those of the stage."""
        return self.stage.reductions

    def element(self) -> None:
        """Compute the steps of the stage at the current index, and store its outputs."""
        self.run(self.stage.steps)
        for n in self.stage.outputs:
            step, access = self.form.outputs[n]
            self.store(self.outputs[n], access, self.values[step])


def apply(scope: Scope, function: str, operands: Sequence[Value]) -> Value:
    """A ufunc of operands that have its loop's dtypes."""
    if operands and all(isinstance(o, Scalar) and o.dtype is bool_ for o in operands):
        function = _BOOL_LOOPS.get(function, function)
    match function:
        case "where":
            return _where(scope, operands)
        case "real" | "imag":
            return Scalar(list(leaves(operands[0]))[function == "imag"])
    return FUNCTIONS[id(getattr(np, function))](scope, operands, _NODE)


def _where(scope: Scope, operands: Sequence[Value]) -> Value:
    condition, then, otherwise = operands
    assert isinstance(condition, Scalar)
    if isinstance(then, Complex) and isinstance(otherwise, Complex):
        chosen = [build.op("select", condition.expr, a, b) for a, b in zip(leaves(then), leaves(otherwise), strict=True)]
        return Complex(chosen[0], chosen[1])
    assert isinstance(then, Scalar)
    assert isinstance(otherwise, Scalar)
    return Scalar(build.op("select", condition.expr, then.expr, otherwise.expr))


def ravel(index: Sequence[Expr], extents: Sequence[Expr]) -> Expr:
    """The position in C order of an index."""
    at = index[0]
    for along, extent in zip(index[1:], extents[1:], strict=True):
        at = build.op("add", build.op("mul", at, extent), along)
    return at


def unravel(scope: Scope, at: Expr, extents: Sequence[Expr]) -> list[Expr]:
    """The index along each axis of the element at a position in C order."""
    found: list[Expr] = []
    for extent in reversed(extents[1:]):
        found.insert(0, scope.pin(build.op("mod", at, extent)))
        at = scope.pin(build.op("floordiv", at, extent))
    return [at, *found]
