"""What a well-formed kernel is. Every other part of the compiler may rely on what ``verify`` accepts.

Beyond the rules of each statement, two hold for the whole kernel. Names of parameters, arrays and variables are unique, and so are
labels. Every variable starts as zero, so a variable that only one path assigns may be read on any path; but a variable
that nothing assigns at all is an error, since reading it can only be a mistake of whoever built the kernel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from anygpu.dtypes import DType, bool_, int32, int64, uint32
from anygpu.errors import UNKNOWN, InternalError, Location
from anygpu.ir.kernel import (
    Array,
    Assert,
    Assign,
    Atomic,
    Barrier,
    Bitcast,
    Block,
    Body,
    Cast,
    Const,
    Dim,
    Exit,
    Expr,
    Fence,
    For,
    If,
    Kernel,
    Load,
    Op,
    Prefetch,
    Print,
    Ref,
    Special,
    Stmt,
    Store,
    Var,
    WarpOp,
    While,
    assigned,
    children,
    operands,
    walk,
)
from anygpu.ir.ops import ATOMICS, OPERATIONS
from anygpu.ir.text import print_statement

INDEX_DTYPES = (int64, int32)


@dataclass(frozen=True)
class WarpRow:
    """One operation of ``WarpOp``: the dtype kinds of its value, whether a lane operand follows, and its result."""

    kinds: str
    lane_operand: bool = False
    result: Literal["value", "bool", "uint32"] = "value"

    @property
    def arity(self) -> int:
        return bool(self.kinds) + self.lane_operand


WARP_OPERATIONS: dict[str, WarpRow] = {
    **{name: WarpRow("biuf", lane_operand=True) for name in ("shfl", "shfl_up", "shfl_down", "shfl_xor")},
    **{name: WarpRow("b", result="bool") for name in ("any", "all")},
    "ballot": WarpRow("b", result="uint32"),
    **{name: WarpRow("biuf", result="uint32") for name in ("match_any", "match_all")},
    "activemask": WarpRow("", result="uint32"),
    **{f"reduce_{name}": WarpRow("iuf") for name in ("add", "min", "max")},
    **{f"reduce_{name}": WarpRow("biu") for name in ("and", "or", "xor")},
}


@dataclass(frozen=True)
class Fault:
    """One way in which a kernel is malformed; ``statement`` is None for a fault of a declaration."""

    message: str
    statement: Stmt | None = None

    def render(self) -> str:
        lines = [f"- {self.message}"]
        location: Location = UNKNOWN if self.statement is None else self.statement.loc
        if self.statement is not None:
            lines.append(f"    in: {print_statement(self.statement)}")
        if location is not UNKNOWN:
            lines += [f"    {line}" for line in location.render().splitlines()]
        return "\n".join(lines)


def verify(kernel: Kernel) -> None:
    """Raise ``InternalError``, listing every fault with its statement, unless ``kernel`` is well-formed.

    >>> from anygpu.dtypes import int32
    >>> from anygpu.ir.kernel import Const, Exit, Kernel
    >>> verify(Kernel("empty", (), (), ()))
    >>> verify(Kernel("bad", (), (), (Exit("nowhere"),)))
    Traceback (most recent call last):
    anygpu.errors.InternalError: kernel 'bad' is not well-formed: 1 fault
    - exit 'nowhere' is not inside a block of that label
        in: exit nowhere
    """
    found = faults(kernel)
    if found:
        count = "1 fault" if len(found) == 1 else f"{len(found)} faults"
        raise InternalError(f"kernel '{kernel.name}' is not well-formed: {count}\n" + "\n".join(f.render() for f in found))


def faults(kernel: Kernel) -> tuple[Fault, ...]:
    """Everything wrong with ``kernel``: declarations first, then statements in textual order."""
    return (*_declaration_faults(kernel), *_Checker(kernel).run())


def constant_fits(const: Const) -> bool:
    """True if the dtype of ``const`` represents its value exactly."""
    value, dtype = const.value, const.dtype
    match dtype.kind:
        case "b":
            return isinstance(value, bool) or (isinstance(value, int) and value in (0, 1))
        case "i" | "u":
            return isinstance(value, int) and dtype.minimum <= value <= dtype.maximum
        case "f":
            if isinstance(value, float) and math.isnan(value):
                return True
            try:
                with np.errstate(all="ignore"):
                    return float(np.array(float(value)).astype(dtype.numpy).astype(np.float64)) == value
            except OverflowError:  # an int beyond float64
                return False
        case _:
            return False


# ------------------------------------------------------------------------------------------------------ declarations


def _declaration_faults(kernel: Kernel) -> Iterator[Fault]:
    if kernel.range_ndim < 0:
        yield Fault(f"range_ndim is {kernel.range_ndim}")
    names: set[str] = set()
    for item in (*kernel.params, *kernel.declared):
        if item.name in names:
            yield Fault(f"the name '{item.name}' is declared twice")
        names.add(item.name)
    for item in kernel.params:
        if isinstance(item, Var):
            if item.dtype.is_complex:
                yield Fault(f"parameter '{item.name}' is {item.dtype}: complex numbers are split into their parts")
        else:
            yield from (Fault(f"array '{item.name}': {message}") for message in _parameter_faults(item))
    for array in kernel.declared:
        yield from (Fault(f"array '{array.name}': {message}") for message in _declared_faults(array))

    labels: set[str] = set()
    kinds: dict[str, DType] = {item.name: item.dtype for item in kernel.params if isinstance(item, Var)}
    arrays = kernel.arrays()
    for stmt in walk(kernel.body):
        if isinstance(stmt, Block):
            if stmt.label in labels:
                yield Fault(f"the label '{stmt.label}' is used twice", stmt)
            labels.add(stmt.label)
        if (var := assigned(stmt)) is not None:
            if var.name in arrays:
                yield Fault(f"'{var.name}' names both a variable and an array", stmt)
            if kinds.setdefault(var.name, var.dtype) is not var.dtype:
                yield Fault(f"variable '{var.name}' is {kinds[var.name]} elsewhere and {var.dtype} here", stmt)
            if var.dtype.is_complex:
                yield Fault(f"variable '{var.name}' is {var.dtype}: complex numbers are split into their parts", stmt)


def _element_faults(array: Array) -> Iterator[str]:
    if array.itemsize <= 0:
        yield f"itemsize is {array.itemsize}"
    if array.ndim < 0:
        yield f"ndim is {array.ndim}"
    if not array.fields:
        yield "it has no fields"
    for part in array.fields:
        if part.dtype.is_complex:
            yield f"field '{part.name}' is {part.dtype}: complex numbers are split into their parts"
        if part.offset < 0 or part.offset + part.dtype.itemsize > array.itemsize:
            yield f"field '{part.name}' at byte {part.offset} does not lie inside an element of {array.itemsize} bytes"


def _parameter_faults(array: Array) -> Iterator[str]:
    yield from _element_faults(array)
    if array.space != "global":
        yield f"a parameter lies in global memory, not {array.space}"
    if array.shape is not None or array.data is not None:
        yield "a parameter's shape and data are the argument's"


def _declared_faults(array: Array) -> Iterator[str]:
    yield from _element_faults(array)
    if array.space == "global":
        yield "only parameters lie in global memory"
    if array.shape is None:
        yield "a declared array has a shape"
        return
    if len(array.shape) != array.ndim:
        yield f"ndim is {array.ndim} but the shape is {array.shape}"
    if any(extent < 0 for extent in array.shape):
        yield f"the shape {array.shape} has a negative extent"
    if array.layout != "C":
        yield "a declared array is C-contiguous"
    if array.space != "const":
        if array.data is not None:
            yield f"{array.space} memory has no initial data"
        return
    if array.writeable:
        yield "const memory is read-only"
    size = math.prod(array.shape) * array.itemsize
    if array.data is None or len(array.data) != size:
        yield f"{size} bytes of data are needed, not {'none' if array.data is None else len(array.data)}"


# -------------------------------------------------------------------------------------------------------- statements


class _Checker:
    """Walks a kernel's body once and collects the faults of its statements."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.arrays = kernel.arrays()
        self.variables: dict[str, DType] = {item.name: item.dtype for item in kernel.params if isinstance(item, Var)}
        for stmt in walk(kernel.body):
            if (var := assigned(stmt)) is not None:
                self.variables.setdefault(var.name, var.dtype)
        self.found: list[Fault] = []
        self.stmt: Stmt | None = None

    def run(self) -> list[Fault]:
        self.body(self.kernel.body, frozenset(), frozenset())
        return self.found

    def fault(self, message: str) -> None:
        self.found.append(Fault(message, self.stmt))

    def require(self, holds: bool, message: Callable[[], str] | str) -> bool:
        if not holds:
            self.fault(message if isinstance(message, str) else message())
        return holds

    def body(self, body: Body, labels: frozenset[str], counters: frozenset[str]) -> None:
        """``labels`` are those of the enclosing blocks, ``counters`` the variables of the enclosing ``For`` loops."""
        for stmt in body:
            self.stmt = stmt
            var = assigned(stmt)
            self.require(var is None or var.name not in counters, lambda var=var: f"the loop variable '{var.name}' is assigned in its loop")  # type: ignore[misc]
            for expr in operands(stmt):
                self.expression(expr)
            self.statement(stmt, labels)
            match stmt:
                case Block(label=label):
                    self.body(stmt.body, labels | {label}, counters)
                case For(var=counter):
                    self.body(stmt.body, labels, counters | {counter.name})
                case _:
                    for inner in children(stmt):
                        self.body(inner, labels, counters)

    def statement(self, stmt: Stmt, labels: frozenset[str]) -> None:
        match stmt:
            case Assign(var=var, value=value):
                self.same(var.dtype, value.dtype, f"variable '{var.name}'")
            case Load(var=var):
                if (dtype := self.element(stmt)) is not None:
                    self.same(var.dtype, dtype, f"variable '{var.name}'")
            case Store(value=value):
                if (dtype := self.element(stmt)) is not None:
                    self.same(dtype, value.dtype, "the stored value's element")
                self.writeable(stmt.array)
            case Prefetch():
                self.indexed(stmt)
            case Atomic():
                self.atomic(stmt)
            case Barrier():
                self.barrier(stmt)
            case Fence(scope=scope):
                self.require(scope in ("warp", "block", "grid"), f"unknown scope '{scope}'")
            case WarpOp():
                self.warp(stmt)
            case If(cond=cond) | While(cond=cond) | Assert(cond=cond):
                self.require(cond.dtype is bool_, f"the condition is {cond.dtype}, not bool")
            case For(var=var, start=start, stop=stop, step=step):
                self.require(var.dtype.is_integer, f"the loop variable '{var.name}' is {var.dtype}")
                for name, bound in (("start", start), ("stop", stop), ("step", step)):
                    self.same(var.dtype, bound.dtype, f"the loop variable '{var.name}' ({name})")
            case Exit(label=label):
                self.require(label in labels, f"exit '{label}' is not inside a block of that label")
            case Print() | Block():
                return

    def same(self, wanted: DType, given: DType, what: str) -> None:
        self.require(wanted is given, f"{what} is {wanted} but the value is {given}")

    def indexed(self, stmt: Load | Store | Atomic | Prefetch) -> Array | None:
        """Check array and index; the array, if there is one."""
        for axis, index in enumerate(stmt.index):
            self.require(index.dtype in INDEX_DTYPES, f"index {axis} is {index.dtype}, not int64 or int32")
        array = self.arrays.get(stmt.array)
        if array is None:
            self.fault(f"there is no array '{stmt.array}'")
            return None
        self.require(len(stmt.index) == array.ndim, f"array '{array.name}' has {array.ndim} axes but {len(stmt.index)} indices are given")
        return array

    def element(self, stmt: Load | Store | Atomic) -> DType | None:
        """Check array, index and field; the dtype of the field, or None if there is no such scalar."""
        array = self.indexed(stmt)
        if array is None:
            return None
        if not self.require(0 <= stmt.field < len(array.fields), f"array '{array.name}' has no field {stmt.field}"):
            return None
        return array.fields[stmt.field].dtype

    def writeable(self, name: str) -> None:
        array = self.arrays.get(name)
        if array is not None:
            self.require(array.writeable and array.space != "const", f"array '{name}' is read-only")

    def atomic(self, stmt: Atomic) -> None:
        dtype = self.element(stmt)
        self.writeable(stmt.array)
        if not self.require(stmt.op in ATOMICS, f"there is no atomic '{stmt.op}'"):
            return
        count = 2 if stmt.op == "cas" else 1
        self.require(len(stmt.operands) == count, f"atomic {stmt.op} takes {count} operands, not {len(stmt.operands)}")
        if dtype is None:
            return
        self.require(dtype.kind in ATOMICS[stmt.op], f"atomic {stmt.op} is not defined for {dtype}")
        for operand in stmt.operands:
            self.same(dtype, operand.dtype, "the element")
        if stmt.var is not None:
            self.same(stmt.var.dtype, dtype, f"variable '{stmt.var.name}'")

    def barrier(self, stmt: Barrier) -> None:
        self.require(stmt.scope in ("warp", "block", "grid"), f"unknown scope '{stmt.scope}'")
        if stmt.reduce is None:
            self.require(stmt.var is None and stmt.value is None, "a barrier that reduces nothing has neither variable nor value")
            return
        self.require(stmt.reduce in ("count", "and", "or"), f"unknown reduction '{stmt.reduce}'")
        self.require(stmt.scope == "block", "only a block's barrier reduces")
        if self.require(stmt.var is not None and stmt.value is not None, "a reducing barrier has a variable and a value"):
            assert stmt.var is not None and stmt.value is not None
            self.same(stmt.var.dtype, int32, f"variable '{stmt.var.name}'")
            self.require(stmt.value.dtype is bool_, f"the reduced value is {stmt.value.dtype}, not bool")

    def warp(self, stmt: WarpOp) -> None:
        self.require(stmt.mask.dtype is uint32, f"the mask is {stmt.mask.dtype}, not uint32")
        if not self.require(stmt.op in WARP_OPERATIONS, f"there is no warp operation '{stmt.op}'"):
            return
        row = WARP_OPERATIONS[stmt.op]
        if row.lane_operand:
            self.require(stmt.width in (1, 2, 4, 8, 16, 32), f"the width {stmt.width} is not a power of two up to 32")
        else:
            self.require(stmt.width == 32, f"{stmt.op} has no width")
        if not self.require(len(stmt.args) == row.arity, f"{stmt.op} takes {row.arity} operands, not {len(stmt.args)}"):
            return
        if row.lane_operand:
            self.require(stmt.args[1].dtype.is_integer, f"the lane operand is {stmt.args[1].dtype}, not an integer")
        result = {"bool": bool_, "uint32": uint32}.get(row.result)
        if row.kinds:
            value = stmt.args[0].dtype
            self.require(value.kind in row.kinds, f"{stmt.op} is not defined for {value}")
            result = result or value
        assert result is not None
        self.same(stmt.var.dtype, result, f"variable '{stmt.var.name}'")

    def expression(self, expr: Expr) -> None:
        match expr:
            case Const(value=value, dtype=dtype):
                self.require(constant_fits(expr), f"{dtype} does not represent {value!r}")
            case Ref(var=var):
                known = self.variables.get(var.name)
                if known is None:
                    self.fault(f"variable '{var.name}' is never assigned")
                else:
                    self.require(known is var.dtype, f"variable '{var.name}' is {known} but read as {var.dtype}")
            case Op(name=name, args=args):
                for arg in args:
                    self.expression(arg)
                self.operation(name, [arg.dtype for arg in args], expr.dtype)
            case Cast(arg=arg, dtype=dtype):
                self.expression(arg)
                self.require(not dtype.is_complex and not arg.dtype.is_complex, f"no cast from {arg.dtype} to {dtype}")
            case Bitcast(arg=arg, dtype=dtype):
                self.expression(arg)
                # A bool has two values and 256 bit patterns.
                legal = arg.dtype.bits == dtype.bits and dtype is not bool_ and not dtype.is_complex and not arg.dtype.is_complex
                self.require(legal, f"no bitcast from {arg.dtype} to {dtype}")
            case Special():
                self.special(expr)
            case Dim(array=name, axis=axis, dtype=dtype):
                self.require(dtype in INDEX_DTYPES, f"an extent is int64 or int32, not {dtype}")
                array = self.arrays.get(name)
                if self.require(array is not None, f"there is no array '{name}'"):
                    assert array is not None
                    self.require(0 <= axis < array.ndim, f"array '{name}' has no axis {axis}")

    def operation(self, name: str, given: list[DType], dtype: DType) -> None:
        row = OPERATIONS.get(name)
        if row is None:
            self.fault(f"there is no operation '{name}'")
        elif (wrong := row.verify_operands(given)) is not None:
            self.fault(wrong)
        else:
            wanted = row.result_dtype(given)
            self.require(dtype is wanted, f"{name} of {', '.join(map(str, given))} is {wanted}, not {dtype}")

    def special(self, expr: Special) -> None:
        self.require(expr.dtype in INDEX_DTYPES, f"{expr.name} is int64 or int32, not {expr.dtype}")
        match expr.name:
            case "thread" | "block" | "block_dim" | "grid_dim":
                self.require(0 <= expr.axis < 3, f"{expr.name} has no axis {expr.axis}")
            case "lane" | "warp":
                self.require(expr.axis == 0, f"{expr.name} has no axis {expr.axis}")
            case "index" | "extent":
                self.require(
                    0 <= expr.axis < self.kernel.range_ndim,
                    f"{expr.name} has no axis {expr.axis} in a launch of {self.kernel.range_ndim} range axes",
                )
            case _:
                self.fault(f"there is no special value '{expr.name}'")
