"""KERNEL IR as text, to read and to parse back: ``parse_kernel(print_kernel(kernel)) == kernel``.

    kernel saxpy range 1:
        param a: float32
        param x: float32[:] readonly
        param out: float32[:]

        i: int64 = index.0
        if i < dim(out, 0):
            v: float32 = x[i]
            out[i] = a * v + 1.0f32

One statement a line, four spaces a level. The rules of the notation:

- The first mention of a variable carries its dtype, later ones do not.
- ``1``, ``1.0`` and ``true`` are int64, float64 and bool; other literals end in their dtype: ``1i32``, ``0x80000000u32``,
  ``0.1bf16``, ``inf_f32``.
- Operators bind as in Python and mean the rows of ``ops.OPERATIONS``; other operations are calls: ``fma(a, b, c)``. A call by a
  dtype's name is a cast, ``bitcast:float32(n)`` the same bits. An operation whose dtype is not what its row says shows it:
  ``add:int8(a, b)``.
- ``x[i, j]`` on the right of ``=`` alone is a load, on the left a store; ``.name`` after it is a record's field (``.#2`` one without
  a name of its own); ``unchecked`` goes before it.
- ``loop:`` ... ``while c:`` is a While whose condition needs statements: those of ``loop`` run before each test.
- With locations, a statement ends in ``@file:line:column-end``, where ``file`` is the number of a ``source`` line at the top.
- A name that is a word of this notation, or no plain word, is written ``%"name"``.
"""

from __future__ import annotations

import json
import math
import struct

import numpy as np

from anygpu.dtypes import DTYPES, DType, bool_, int64, plain_fields
from anygpu.errors import UNKNOWN, Location
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
    walk,
)
from anygpu.ir.notation import BARE, COMPARISON, INFIX, NAN_BITS, SPECIAL_NAMES, SUFFIXES, quote, round_to
from anygpu.ir.ops import OPERATIONS
from anygpu.ir.text_parse import TextError, parse_kernel

__all__ = ["TextError", "literal", "parse_kernel", "print_expression", "print_kernel", "print_statement", "quote"]


def print_kernel(kernel: Kernel, locations: bool = False) -> str:
    """``kernel`` as text; with ``locations``, every statement's place in the source too.

    The text of a well-formed kernel parses back to an equal kernel (with ``UNKNOWN`` locations unless they are printed). It is stable:
    equal kernels print equally.
    """
    return _Printer(_sources(kernel) if locations else None, kernel.arrays()).kernel(kernel)


def print_statement(stmt: Stmt) -> str:
    """The first line of a statement, with the dtype of every variable in it."""
    return _Printer(None, {}).head(stmt)


def print_expression(expr: Expr) -> str:
    """An expression, with the dtype of every variable in it."""
    return _Printer(None, {}).expression(expr)


def literal(const: Const) -> str:
    """A constant as text that parses back to the same bits."""
    value, dtype = const.value, const.dtype
    if dtype is bool_:
        return "true" if value else "false"
    suffix = "" if dtype in BARE else SUFFIXES.get(dtype, str(dtype))
    if not dtype.is_float:
        if dtype.kind == "u" and isinstance(value, int) and value >= 0x10000:
            return f"{value:#x}{suffix}"
        return f"{value}{suffix}"
    number = float(value)
    if math.isnan(number):
        bits = struct.unpack("<Q", struct.pack("<d", number))[0]
        words = ["nan"] + ([f"{bits:#x}"] if bits != NAN_BITS else []) + ([suffix] if suffix else [])
        return "_".join(words)
    if math.isinf(number):
        return ("-" if number < 0 else "") + "_".join(["inf"] + ([suffix] if suffix else []))
    # The shortest decimal of the dtype's own, if it leads back, else that of the float64.
    with np.errstate(over="ignore"):
        short = str(np.array(number).astype(dtype.numpy))
    text = short if {".", "e"} & set(short) and round_to(float(short), dtype) == number else repr(number)
    return f"{text}{suffix}"


def _sources(kernel: Kernel) -> dict[tuple[str, str], int]:
    """The number of every (filename, function) that the kernel's locations name, in order of appearance."""
    found: dict[tuple[str, str], int] = {}
    for location in (kernel.loc, *(stmt.loc for stmt in walk(kernel.body))):
        if location != UNKNOWN:
            found.setdefault((location.filename, location.function), len(found))
    return found


def _type(array: Array) -> str:
    dtype = array.fields[0].dtype if array.fields else None
    for plain in DTYPES.values():
        if dtype is plain.component and array.fields == plain_fields(plain) and array.itemsize == plain.itemsize:
            return plain.name
    inside = ", ".join(f"{quote(part.name)}: {part.dtype} @{part.offset}" for part in array.fields)
    return f"record {array.itemsize} {{{inside}}}"


def _array(keyword: str, array: Array) -> str:
    extents = ", ".join([":"] * array.ndim if array.shape is None else [str(extent) for extent in array.shape])
    words = [f"{keyword} {quote(array.name)}: {_type(array)}[{extents}]"]
    if array.layout == "A":
        words.append("strided")
    # Const memory is read-only: the exception is what needs saying.
    if not array.writeable and array.space != "const":
        words.append("readonly")
    if array.writeable and array.space == "const":
        words.append("writeable")
    if array.data is not None:
        words.append(f"= {json.dumps(array.data.hex())}")
    return " ".join(words)


class _Printer:
    def __init__(self, sources: dict[tuple[str, str], int] | None, arrays: dict[str, Array]) -> None:
        self.sources = sources
        self.arrays = arrays
        self.symbols: dict[str, DType] = {}
        self.lines: list[str] = []

    def kernel(self, kernel: Kernel) -> str:
        for (filename, function), number in (self.sources or {}).items():
            self.lines.append(f"source {number} {json.dumps(filename)} in {json.dumps(function)}")
        ranged = f" range {kernel.range_ndim}" if kernel.range_ndim else ""
        self.lines.append(f"kernel {quote(kernel.name)}{ranged}:{self.location(kernel.loc)}")
        for item in kernel.params:
            if isinstance(item, Var):
                self.lines.append(f"    param {self.mention(item)}")
            else:
                self.lines.append(f"    {_array('param', item)}")
        self.lines += [f"    {_array(array.space, array)}" for array in kernel.declared]
        if kernel.params or kernel.declared:
            self.lines.append("")
        self.body(kernel.body, 1)
        return "\n".join(self.lines) + "\n"

    def body(self, body: Body, depth: int) -> None:
        for stmt in body:
            self.statement(stmt, depth)
        if not body:
            self.lines.append("    " * depth + "pass")

    def statement(self, stmt: Stmt, depth: int) -> None:
        indent = "    " * depth
        self.lines.append(f"{indent}{self.head(stmt)}{self.location(stmt.loc)}")
        match stmt:
            case If(then=then, orelse=orelse):
                self.body(then, depth + 1)
                if orelse:
                    self.lines.append(f"{indent}else:")
                    self.body(orelse, depth + 1)
            case While(before=before, cond=cond, body=body):
                if before:
                    self.body(before, depth + 1)
                    self.lines.append(f"{indent}while {self.expression(cond)}:")
                self.body(body, depth + 1)
            case For(body=body) | Block(body=body):
                self.body(body, depth + 1)
            case _:
                return

    def location(self, location: Location) -> str:
        if self.sources is None or location == UNKNOWN:
            return ""
        number = self.sources[location.filename, location.function]
        return f"  @{number}:{location.line}:{location.column}-{location.end_column}"

    def mention(self, var: Var, separator: str = ": ") -> str:
        if self.symbols.get(var.name) is var.dtype:
            return quote(var.name)
        self.symbols[var.name] = var.dtype
        return f"{quote(var.name)}{separator}{var.dtype}"

    def head(self, stmt: Stmt) -> str:
        """The statement without the bodies in it."""
        match stmt:
            case Assign(var=var, value=value):
                return f"{self.mention(var)} = {self.expression(value)}"
            case Load(var=var):
                return f"{self.mention(var)} = {self.element(stmt)}"
            case Store(value=value):
                return f"{self.element(stmt)} = {self.expression(value)}"
            case Prefetch():
                hints = "masked " * stmt.masked + "write " * stmt.write
                return f"prefetch {hints}{quote(stmt.array)}[{self.expressions(stmt.index)}]"
            case Atomic(var=var, op=op, operands=operands):
                target = "" if var is None else f"{self.mention(var)} = "
                return f"{target}atomic {op} {self.element(stmt)}, {self.expressions(operands)}"
            case Barrier(scope=scope, reduce=reduce, var=var, value=value):
                target = "" if var is None else f"{self.mention(var)} = "
                words = ["barrier", scope] + ([] if reduce is None else [reduce])
                return target + " ".join(words + ([] if value is None else [self.expression(value)]))
            case Fence(scope=scope):
                return f"fence {scope}"
            case WarpOp(var=var, op=op, args=args, mask=mask, width=width):
                target = self.mention(var)
                call = f"{op}({self.expressions(args)})"
                return f"{target} = warp {call} mask {self.expression(mask)}" + (f" width {width}" if width != 32 else "")
            case If(cond=cond):
                return f"if {self.expression(cond)}:"
            case For(var=var, start=start, stop=stop, step=step):
                return f"for {self.mention(var)} in range({self.expressions((start, stop, step))}):"
            case While(before=before, cond=cond):
                return "loop:" if before else f"while {self.expression(cond)}:"
            case Block(label=label):
                return f"block {quote(label)}:"
            case Exit(label=label):
                return f"exit {quote(label)}"
            case Print(parts=parts):
                texts = [json.dumps(part) if isinstance(part, str) else self.expression(part) for part in parts]
                return " ".join(["print", ", ".join(texts)]).rstrip()
            case Assert(cond=cond, message=message):
                return f"assert {self.expression(cond)}, {json.dumps(message)}"

    def element(self, stmt: Load | Store | Atomic) -> str:
        unchecked = "" if stmt.checked else "unchecked "
        return f"{unchecked}{quote(stmt.array)}[{self.expressions(stmt.index)}]{self.field(stmt.array, stmt.field)}"

    def field(self, name: str, number: int) -> str:
        array = self.arrays.get(name)
        fields = [part.name for part in array.fields] if array is not None else []
        if number < len(fields) and fields[number] and fields.count(fields[number]) == 1:
            return f".{quote(fields[number])}"
        return f".#{number}" if number or len(fields) > 1 else ""

    def expressions(self, given: tuple[Expr, ...]) -> str:
        return ", ".join(self.expression(expr) for expr in given)

    def expression(self, expr: Expr, minimum: int = 0) -> str:
        """``minimum``: how tightly the expression must bind to stand without parentheses."""
        match expr:
            case Const():
                return literal(expr)
            case Ref(var=var):
                return self.mention(var, ":")
            case Cast(arg=arg, dtype=dtype):
                return f"{dtype}({self.expression(arg)})"
            case Bitcast(arg=arg, dtype=dtype):
                return f"bitcast:{dtype}({self.expression(arg)})"
            case Special(name=name, axis=axis, dtype=dtype):
                text = SPECIAL_NAMES.get((name, axis), f"{name}.{axis}")
                return text if dtype is int64 else f"{text}:{dtype}"
            case Dim(array=array, axis=axis, dtype=dtype):
                return f"dim{'' if dtype is int64 else f':{dtype}'}({quote(array)}, {axis})"
            case Op(name=name, args=args, dtype=dtype):
                row = OPERATIONS.get(name)
                usual = row is not None and len(args) == row.arity and row.result_dtype([arg.dtype for arg in args]) is dtype
                if usual and name in INFIX:
                    sign, power = INFIX[name]
                    left = self.expression(args[0], power + (power == COMPARISON))
                    text = f"{left} {sign} {self.expression(args[1], power + 1)}"
                    return f"({text})" if power < minimum else text
                return f"{name}{'' if usual else f':{dtype}'}({self.expressions(args)})"

