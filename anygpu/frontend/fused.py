"""From a form to KERNEL IR: the kernel of a fused group of array operations.

Scalar meaning is the kernel language's own, by the handlers that kernels' calls of NumPy functions go to: so an array expression and a
kernel that says the same compute the same bits, complex numbers included. Each value is a rounding point, as in NumPy: nothing is
contracted.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import FunctionType
from typing import cast

import numpy as np

from anygpu.dtypes import DType, bool_, dtype_named, float32, int64, plain_fields
from anygpu.frontend import arithmetic
from anygpu.frontend.context import Scope, Shared
from anygpu.frontend.functions import FUNCTIONS
from anygpu.frontend.parse import Source
from anygpu.frontend.types import Complex, Scalar, Value, leaves
from anygpu.ir import build
from anygpu.ir.kernel import Array, Assign, Barrier, Expr, For, If, Kernel, Load, Ref, Special, Store, Var
from anygpu.passes.fusion import REDUCE_BLOCK, Access, Form

_NODE = ast.Pass(lineno=1, col_offset=0)
_BOOL_LOOPS = {"add": "logical_or", "multiply": "logical_and", "maximum": "logical_or", "minimum": "logical_and", "absolute": "positive",
               "bitwise_and": "logical_and", "bitwise_or": "logical_or", "invert": "logical_not", "sign": "positive"}  # fmt: skip


def _fused() -> None:
    """Stands for the user's function where the frontend asks for one."""


def _source() -> Source:
    definition = ast.parse("def fused(): pass").body[0]
    assert isinstance(definition, ast.FunctionDef)
    return Source(cast(FunctionType, _fused), definition, 0, 0)


@dataclass
class _Emitter:
    """A kernel in the making: its scope, parameters, and where the work-item stands in the form's domain."""

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

    def run(self, steps: range) -> None:
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
                return Scalar(build.op("add", self.integers[2 * n], build.op("mul", self.integers[2 * n + 1], self.index[axis])))
            case ("map", str(function), tuple(operands), tuple(dtypes), str(dtype)):
                given = [self.convert(self.values[o], dtype_named(d)) for o, d in zip(operands, dtypes, strict=True)]
                return self.convert(apply(self.scope, function, given), dtype_named(dtype))
            case ("cast", int(operand), str(dtype)):
                return self.convert(self.values[operand], dtype_named(dtype))
            case ("reduced", int(n)):
                return self.reduced[n]
        raise AssertionError(f"a form has no step {step!r}")

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
        return total

    def load(self, array: Array, access: Access) -> Value:
        at = self.scope.pin(self.position(access, array.name))
        found = []
        for n, part in enumerate(array.fields):
            var = self.scope.temporary(part.dtype)
            self.scope.emit(Load(var, array.name, (at,), n, False))
            found.append(Ref(var))
        return Complex(found[0], found[1]) if len(found) == 2 else Scalar(found[0])

    def store(self, array: Array, access: Access, value: Value) -> None:
        at = self.scope.pin(self.position(access, array.name))
        for n, part in enumerate(leaves(value)):
            self.scope.emit(Store(array.name, (at,), part, n, False))


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


def lower_form(form: Form) -> Kernel:
    """The KERNEL IR of a form: a range launch over the kept axes, or for the schedule "block" a grid of blocks.

    Parameters in order: loads, outputs, scalars, integers, strides (those of each access that walks by "s", axis by axis), the extents of
    the reduced axes, and for a grid the kept extents too.
    """
    ranged = form.schedule != "block"
    range_ndim = form.kept + (form.part > 0) if ranged else 0
    shared = Shared("fused", range_ndim=range_ndim)
    shared.begin_pass()
    scope = Scope(shared, _source(), ("",))
    made = _Emitter(form, scope)
    params: list[Array | Var] = []

    def arrays(accesses: Sequence[Access], name: str, writeable: bool) -> list[Array]:
        found: list[Array] = []
        for access in accesses:
            dtype = dtype_named(access.dtype)
            unique = shared.unique(f"{name}{len(found)}")
            found.append(Array(unique, plain_fields(dtype), dtype.itemsize, 1, "global", "C", None, writeable))
        params.extend(found)
        return found

    def integer(name: str) -> Expr:
        var = Var(shared.unique(name), int64)
        params.append(var)
        return Ref(var)

    made.loads = arrays(form.loads, "x", False)
    made.outputs = arrays(_outputs(form), "y", True)
    for n, name in enumerate(form.scalars):
        dtype = dtype_named(name)
        parts = [Var(shared.unique(f"s{n}{part.name}"), part.dtype) for part in plain_fields(dtype)]
        params.extend(parts)
        made.scalars.append(Complex(Ref(parts[0]), Ref(parts[1])) if len(parts) == 2 else Scalar(Ref(parts[0])))
    made.integers = [integer(f"i{n}") for n in range(form.integers)]
    for array, access in zip((*made.loads, *made.outputs), (*form.loads, *_outputs(form)), strict=True):
        for axis, walk in enumerate(access.walk):
            if walk == "s":
                made.strides[array.name, axis] = integer(f"{array.name}.{axis}")
    reduced = [integer(f"n{axis}") for axis in range(form.kept, form.ndim)]
    if ranged:
        made.index = [Special("index", axis) for axis in range(form.part > 0, range_ndim)]
        if form.reductions:
            made.reduced = _serial(made, reduced)
        else:
            made.run(range(form.epilogue))
        if form.part:
            axes = range(range_ndim)
            _store_part(made, _ravel([Special("index", axis) for axis in axes], [Special("extent", axis) for axis in axes]))
        else:
            made.run(range(form.epilogue, len(form.steps)))
            _store(made)
    else:
        kept = [integer(f"k{axis}") for axis in range(form.kept)]
        _block(made, reduced, kept)
    return Kernel("fused", tuple(params), tuple(shared.declared), tuple(scope.body), range_ndim)


def _outputs(form: Form) -> list[Access]:
    """What a kernel writes: its results, or the parts of its reductions, in a row."""
    return [Access(r.dtype, ()) for r in form.reductions] if form.part else [access for _, access in form.outputs]


def _store_part(made: _Emitter, at: Expr) -> None:
    """Store the reductions of a part."""
    pinned = made.scope.pin(at)
    for array, value in zip(made.outputs, made.reduced, strict=True):
        for n, leaf in enumerate(leaves(value)):
            made.scope.emit(Store(array.name, (pinned,), leaf, n, False))


def _store(made: _Emitter) -> None:
    for array, (step, access) in zip(made.outputs, made.form.outputs, strict=True):
        made.store(array, access, made.values[step])


# ------------------------------------------------------------------------------------------------------------------------ reductions


def _accumulator(name: str) -> DType:
    """The dtype in which a reduction of a dtype is summed up: halves in float32."""
    dtype = dtype_named(name)
    return float32 if dtype.is_half else dtype


def start_of(function: str, dtype: DType) -> bool | int | float:
    """The value that changes nothing when a reduction combines it."""
    match function:
        case "add" | "bitwise_or" | "bitwise_xor" | "logical_or" | "logical_xor":
            return 0
        case "multiply" | "logical_and":
            return 1
        case "bitwise_and":
            return -1 if dtype.kind == "i" else dtype.maximum
        case "minimum":
            return math.inf if dtype.is_float else dtype.maximum
        case "maximum":
            return -math.inf if dtype.is_float else dtype.minimum
        case "fmin" | "fmax":
            return math.nan if dtype.is_float else start_of(function.replace("f", "", 1) + "imum", dtype)
    raise AssertionError(f"{function} has no start")


def _starts(made: _Emitter) -> list[list[Var]]:
    """Variables for the accumulators of every reduction, each at its start."""
    found = []
    for reduction in made.form.reductions:
        dtype = _accumulator(reduction.dtype)
        parts = [made.scope.temporary(part.dtype, "a") for part in plain_fields(dtype)]
        first = start_of(reduction.function, dtype.component)
        for n, var in enumerate(parts):
            made.scope.emit(Assign(var, build.constant(first if n == 0 else 0, var.dtype)))
        found.append(parts)
    return found


def _of(parts: Sequence[Var]) -> Value:
    return Complex(Ref(parts[0]), Ref(parts[1])) if len(parts) == 2 else Scalar(Ref(parts[0]))


def _combine(made: _Emitter, parts: Sequence[Var], function: str, value: Value) -> None:
    """Take one more value into an accumulator."""
    found = made.scope.pin_value(apply(made.scope, function, [_of(parts), value]))
    for var, part in zip(parts, leaves(found), strict=True):
        made.scope.emit(Assign(var, part))


def _take(made: _Emitter, accumulators: Sequence[Sequence[Var]]) -> None:
    """Compute the reduced values at the current index and take each into its accumulator."""
    made.run(range(made.form.epilogue))
    for parts, reduction in zip(accumulators, made.form.reductions, strict=True):
        _combine(made, parts, reduction.function, made.convert(made.values[reduction.step], _accumulator(reduction.dtype)))


def _results(made: _Emitter, accumulators: Sequence[Sequence[Var]]) -> list[Value]:
    return [made.convert(_of(parts), dtype_named(r.dtype)) for parts, r in zip(accumulators, made.form.reductions, strict=True)]


def _serial(made: _Emitter, extents: Sequence[Expr]) -> list[Value]:
    """Every work-item reduces for itself, in order."""
    accumulators = _starts(made)

    def loop(axis: int) -> None:
        if axis == len(extents):
            _take(made, accumulators)
            return
        var = made.scope.temporary(int64, "k")
        made.index.append(Ref(var))
        with made.scope.nested() as body:
            loop(axis + 1)
        made.index.pop()
        start: Expr = build.integer(0)
        stop = extents[axis]
        if axis == 0 and made.form.part:
            start, stop = _part(made, Special("index", 0), stop)
        made.scope.emit(For(var, start, stop, build.integer(1), tuple(body)))

    loop(0)
    return _results(made, accumulators)


def _part(made: _Emitter, at: Expr, length: Expr) -> tuple[Expr, Expr]:
    """Where part ``at`` of an axis begins and ends."""
    size = build.integer(made.form.part)
    start = made.scope.pin(build.op("mul", at, size))
    return start, made.scope.pin(build.op("minimum", build.op("add", start, size), length))


def _block(made: _Emitter, reduced: Sequence[Expr], kept: Sequence[Expr]) -> None:
    """A block reduces for each result: work-item t takes elements t, t + REDUCE_BLOCK, ..., then halves add to halves in shared memory."""
    scope = made.scope
    at = scope.pin(Special("block", 1 if made.form.part else 0))
    made.index = _unravel(scope, at, kept)
    length = reduced[0]
    for extent in reduced[1:]:
        length = build.op("mul", length, extent)
    accumulators = _starts(made)
    var = scope.temporary(int64, "k")
    with scope.nested() as body:
        made.index += _unravel(scope, Ref(var), reduced)
        _take(made, accumulators)
    del made.index[len(kept) :]
    start: Expr = build.integer(0)
    stop = scope.pin(length)
    if made.form.part:
        start, stop = _part(made, Special("block", 0), stop)
    scope.emit(For(var, scope.pin(build.op("add", start, Special("thread", 0))), stop, build.integer(REDUCE_BLOCK), tuple(body)))
    tables = []
    for parts in accumulators:
        columns = []
        for part in parts:
            array = Array(scope.shared.unique("shared"), plain_fields(part.dtype), part.dtype.itemsize, 1, "shared", "C", (REDUCE_BLOCK,))
            scope.shared.declared.append(array)
            scope.emit(Store(array.name, (Special("thread", 0),), Ref(part), 0, False))
            columns.append(array.name)
        tables.append(columns)
    half = REDUCE_BLOCK // 2
    while half:
        scope.emit(Barrier("block"))
        with scope.nested() as body:
            for parts, columns, reduction in zip(accumulators, tables, made.form.reductions, strict=True):
                other = []
                for part, name in zip(parts, columns, strict=True):
                    loaded = scope.temporary(part.dtype)
                    scope.emit(Load(loaded, name, (build.op("add", Special("thread", 0), build.integer(half)),), 0, False))
                    other.append(loaded)
                _combine(made, parts, reduction.function, _of(other))
                for part, name in zip(parts, columns, strict=True):
                    scope.emit(Store(name, (Special("thread", 0),), Ref(part), 0, False))
        scope.emit(If(build.op("lt", Special("thread", 0), build.integer(half)), tuple(body)))
        half //= 2
    with scope.nested() as body:
        made.reduced = _results(made, accumulators)
        if made.form.part:
            _store_part(made, build.op("add", build.op("mul", at, Special("grid_dim", 0)), Special("block", 0)))
        else:
            made.run(range(made.form.epilogue, len(made.form.steps)))
            _store(made)
    scope.emit(If(build.op("eq", Special("thread", 0), build.integer(0)), tuple(body)))


def _ravel(index: Sequence[Expr], extents: Sequence[Expr]) -> Expr:
    """The position in C order of an index."""
    at = index[0]
    for along, extent in zip(index[1:], extents[1:], strict=True):
        at = build.op("add", build.op("mul", at, extent), along)
    return at


def _unravel(scope: Scope, at: Expr, extents: Sequence[Expr]) -> list[Expr]:
    """The index along each axis of the element at a position in C order."""
    found: list[Expr] = []
    for extent in reversed(extents[1:]):
        found.insert(0, scope.pin(build.op("mod", at, extent)))
        at = scope.pin(build.op("floordiv", at, extent))
    return [at, *found]
