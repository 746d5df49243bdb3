"""Reading KERNEL IR's text form (``anygpu.ir.text`` describes it) back into a kernel.

The parser is meant for golden files, tests and bug reports: it checks the notation, not the program. ``verify`` does that.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import replace
from typing import Literal, cast

from anygpu.dtypes import DTYPES, DType, Field, bool_, float64, int64, plain_fields
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
    Scope,
    Space,
    Stmt,
    Store,
    Var,
    WarpOp,
    While,
)
from anygpu.ir.notation import COMPARISON, INFIX, SPECIALS, SUFFIXES, round_to
from anygpu.ir.ops import OPERATIONS
from anygpu.ir.text_tokens import END, Cursor, TextError

__all__ = ["TextError", "parse_kernel"]

_NUMBER = re.compile(r"(?P<digits>0x[0-9a-f]+|\d+(?:\.\d+)?(?:e[+-]?\d+)?)(?P<suffix>.*)")
_FLOAT_WORD = re.compile(r"(?P<kind>inf|nan)(?:_(?P<bits>0x[0-9a-f]+))?(?:_(?P<suffix>bf16|f\d+))?")
_BY_SUFFIX = {suffix: dtype for dtype, suffix in SUFFIXES.items()}
_BY_SIGN = {sign: (name, power) for name, (sign, power) in INFIX.items()}
_SPACES = ("shared", "local", "const", "global")


def parse_kernel(text: str) -> Kernel:
    """The kernel that ``print_kernel`` printed as ``text``. Raises ``TextError`` for anything else.

    Empty lines and lines that begin with ``#`` are skipped.

    >>> parse_kernel("kernel nothing:\\n    pass\\n")
    Kernel(name='nothing', params=(), declared=(), body=(), range_ndim=0, loc=Location(filename='<unknown>', line=0, column=0, end_column=0, function='<unknown>'))
    """  # noqa: E501
    return _Parser(text).kernel()


class _Parser(Cursor):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.sources: dict[int, tuple[str, str]] = {}
        self.symbols: dict[str, DType] = {}
        self.arrays: dict[str, Array] = {}

    def end_line(self) -> Location:
        """Step over the location and the end of the line."""
        location = UNKNOWN
        if self.take("@"):
            number = self.integer()
            self.expect(":")
            line = self.integer()
            self.expect(":")
            column = self.integer()
            self.expect("-")
            if number not in self.sources:
                raise self.error(f"there is no source {number}")
            filename, function = self.sources[number]
            location = Location(filename, line, column, self.integer(), function)
        self.end()
        return location

    # Declarations ---------------------------------------------------------------------------------------------

    def kernel(self) -> Kernel:
        while self.take("source"):
            number, filename = self.integer(), self.string()
            self.expect("in")
            self.sources[number] = (filename, self.string())
            self.end_line()
        self.expect("kernel")
        name = self.name()
        range_ndim = self.integer() if self.take("range") else 0
        self.expect(":")
        loc = self.end_line()
        params: list[Array | Var] = []
        declared: list[Array] = []
        while self.row < len(self.lines) and self.lines[self.row].depth == 1:
            if self.take("param"):
                params.append(self.parameter())
            elif self.peek().text in _SPACES and self.peek().kind == "word":
                space = cast(Space, self.next().text)
                declared.append(self.array(self.name(), space))
            else:
                break
            self.end_line()
        body = self.body(1)
        if self.row < len(self.lines):
            raise self.error("expected the end of the kernel")
        return Kernel(name, tuple(params), tuple(declared), body, range_ndim, loc)

    def parameter(self) -> Array | Var:
        name = self.name()
        if self.peek(1).text in DTYPES and self.peek(2) is END:
            self.expect(":")
            self.symbols[name] = self.dtype()
            return Var(name, self.symbols[name])
        return self.array(name, "global")

    def array(self, name: str, space: Space) -> Array:
        self.expect(":")
        fields, itemsize = self.element_type()
        self.expect("[")
        extents = self.separated("]", lambda: None if self.take(":") else self.integer())
        shape = None if space == "global" or None in extents else tuple(extent for extent in extents if extent is not None)
        layout: Literal["C", "A"] = "A" if self.take("strided") else "C"
        writeable = not self.take("readonly") if space != "const" else self.take("writeable")
        data = bytes.fromhex(self.string()) if self.take("=") else None
        array = Array(name, fields, itemsize, len(extents), space, layout, shape, writeable, data)
        self.arrays[name] = array
        return array

    def element_type(self) -> tuple[tuple[Field, ...], int]:
        if not self.take("record"):
            dtype = self.dtype()
            return plain_fields(dtype), dtype.itemsize
        itemsize = self.integer()
        self.expect("{")
        return self.separated("}", self.field), itemsize

    def field(self) -> Field:
        name = self.name()
        self.expect(":")
        dtype = self.dtype()
        self.expect("@")
        return Field(name, dtype, self.integer())

    # Statements -----------------------------------------------------------------------------------------------

    def body(self, depth: int) -> Body:
        found: list[Stmt] = []
        start = self.row
        while self.row < len(self.lines) and self.lines[self.row].depth == depth and not self.continues():
            if self.take("pass"):
                self.end_line()
            else:
                found.append(self.statement(depth))
        if self.row == start:
            raise self.error("expected an indented body")
        return tuple(found)

    def continues(self) -> bool:
        """True at the second half of a two-part statement."""
        return self.peek().text == "else" and self.peek().kind == "word"

    def header(self) -> Location:
        self.expect(":")
        return self.end_line()

    def statement(self, depth: int) -> Stmt:
        token = self.peek()
        if token.kind == "word" and token.text in ("if", "for", "while", "loop", "block"):
            return self.compound(self.next().text, depth)
        stmt = self.simple()
        return replace(stmt, loc=self.end_line())

    def compound(self, keyword: str, depth: int) -> Stmt:
        match keyword:
            case "if":
                cond = self.expression()
                loc = self.header()
                then = self.body(depth + 1)
                orelse: Body = ()
                if self.row < len(self.lines) and self.lines[self.row].depth == depth and self.take("else"):
                    self.header()
                    orelse = self.body(depth + 1)
                return If(cond, then, orelse, loc)
            case "for":
                var = self.target()
                self.expect("in")
                self.expect("range")
                self.expect("(")
                bounds = self.separated(")", self.expression)
                if len(bounds) != 3:
                    raise self.error("a range has a start, a stop and a step")
                loc = self.header()
                return For(var, *bounds, self.body(depth + 1), loc)
            case "while":
                cond = self.expression()
                loc = self.header()
                return While((), cond, self.body(depth + 1), loc)
            case "loop":
                loc = self.header()
                before = self.loop_head(depth + 1)
                self.expect("while")
                cond = self.expression()
                self.header()
                return While(before, cond, self.body(depth + 1), loc)
            case _:
                label = self.name()
                loc = self.header()
                return Block(label, self.body(depth + 1), loc)

    def loop_head(self, depth: int) -> Body:
        before = self.body(depth)
        if self.row >= len(self.lines) or self.lines[self.row].depth != depth - 1:
            raise self.error("expected the 'while' of a loop")
        return before

    def target(self) -> Var:
        """A variable that is set: with its dtype if this is its first mention."""
        name = self.name()
        if self.take(":"):
            self.symbols[name] = self.dtype()
        if name not in self.symbols:
            raise self.error(f"the first mention of '{name}' needs its dtype")
        return Var(name, self.symbols[name])

    def simple(self) -> Stmt:
        token = self.peek()
        match token.text if token.kind == "word" else "":
            case "exit":
                self.next()
                return Exit(self.name())
            case "fence":
                self.next()
                return Fence(self.scope())
            case "prefetch":
                self.next()
                masked, write = self.take("masked"), self.take("write")
                array, index, _, _ = self.element()
                return Prefetch(array, index, masked, write)
            case "barrier":
                self.next()
                return Barrier(self.scope())
            case "atomic":
                self.next()
                return self.atomic(None)
            case "print":
                self.next()
                return Print(self.parts())
            case "assert":
                self.next()
                cond = self.expression()
                self.expect(",")
                return Assert(cond, self.string())
            case "unchecked":
                return self.store()
        if self.peek(1).text == "[":
            return self.store()
        return self.assignment()

    def assignment(self) -> Stmt:
        var = self.target()
        self.expect("=")
        if self.take("atomic"):
            return self.atomic(var)
        if self.take("barrier"):
            scope, reduce = self.scope(), self.name()
            if reduce not in ("count", "and", "or"):
                raise self.error(f"expected count, and or or, not {reduce}")
            return Barrier(scope, cast(Literal["count", "and", "or"], reduce), var, self.expression())
        if self.peek().text == "warp" and self.peek(1).kind == "word":
            self.next()
            op = self.name()
            self.expect("(")
            args = self.separated(")", self.expression)
            self.expect("mask")
            mask = self.expression()
            return WarpOp(var, op, args, mask, self.integer() if self.take("width") else 32)
        if self.peek().text == "unchecked" or self.peek(1).text == "[":
            return Load(var, *self.element())
        return Assign(var, self.expression())

    def scope(self) -> Scope:
        name = self.name()
        if name not in ("warp", "block", "grid"):
            raise self.error(f"expected a scope, not {name}")
        return cast(Scope, name)

    def parts(self) -> tuple[str | Expr, ...]:
        found: list[str | Expr] = []
        while self.peek() is not END and self.peek().text != "@":
            if found:
                self.expect(",")
            found.append(self.string() if self.peek().kind == "string" else self.expression())
        return tuple(found)

    def element(self) -> tuple[str, tuple[Expr, ...], int, bool]:
        """array, index, field, checked"""
        checked = not self.take("unchecked")
        name = self.name()
        self.expect("[")
        index = self.separated("]", self.expression)
        if not self.take("."):
            return name, index, 0, checked
        if self.take("#"):
            return name, index, self.integer(), checked
        part = self.name()
        fields = [known.name for known in self.arrays[name].fields] if name in self.arrays else []
        if part not in fields:
            raise self.error(f"array '{name}' has no field '{part}'")
        return name, index, fields.index(part), checked

    def store(self) -> Store:
        array, index, part, checked = self.element()
        self.expect("=")
        return Store(array, index, self.expression(), part, checked)

    def atomic(self, var: Var | None) -> Atomic:
        op = self.name()
        array, index, part, checked = self.element()
        values: list[Expr] = []
        while self.take(","):
            values.append(self.expression())
        return Atomic(var, op, array, index, tuple(values), part, checked)

    # Expressions ----------------------------------------------------------------------------------------------

    def expression(self, minimum: int = 0) -> Expr:
        left = self.primary()
        while (sign := self.peek()).kind == "sign" and sign.text in _BY_SIGN:
            name, power = _BY_SIGN[sign.text]
            if power < minimum:
                break
            self.next()
            args = (left, self.expression(power + 1))
            left = Op(name, args, self.usual_dtype(name, args))
            # A comparison of a comparison needs parentheses: what follows must bind more loosely, and nothing does.
            minimum = max(minimum, COMPARISON + 1) if power == COMPARISON else minimum
        return left

    def usual_dtype(self, name: str, args: tuple[Expr, ...]) -> DType:
        row = OPERATIONS.get(name)
        if row is None:
            raise self.error(f"there is no operation '{name}'")
        if len(args) != row.arity:
            raise self.error(f"{name} takes {row.arity} operands, not {len(args)}")
        return row.result_dtype([arg.dtype for arg in args])

    def primary(self) -> Expr:
        token = self.peek()
        if self.take("("):
            inside = self.expression()
            self.expect(")")
            return inside
        if token.kind == "number" or token.text == "-":
            return self.number()
        if token.kind == "word":
            if token.text in ("true", "false"):
                return Const(self.next().text == "true", bool_)
            if _FLOAT_WORD.fullmatch(token.text):
                return self.number()
            if token.text in SPECIALS:
                self.next()
                return replace(SPECIALS[token.text], dtype=self.annotation() or int64)
            annotated = self.peek(1).text == ":" and self.peek(2).text in DTYPES
            if self.peek(3 if annotated else 1).text == "(":
                return self.call()
        name = self.name()
        if (dtype := self.annotation()) is not None:
            self.symbols[name] = dtype
        if name not in self.symbols:
            raise self.error(f"the first mention of '{name}' needs its dtype")
        return Ref(Var(name, self.symbols[name]))

    def annotation(self) -> DType | None:
        """A dtype after a colon, if there is one: a colon at the end of a line belongs to the statement."""
        if self.peek().text == ":" and self.peek(1).text in DTYPES:
            self.next()
            return self.dtype()
        return None

    def call(self) -> Expr:
        name = self.name()
        dtype = self.annotation()
        self.expect("(")
        if name == "dim":
            array = self.name()
            self.expect(",")
            axis = self.integer()
            self.expect(")")
            return Dim(array, axis, dtype or int64)
        args = self.separated(")", self.expression)
        if name in DTYPES or name == "bitcast":
            if len(args) != 1 or (name == "bitcast") is (dtype is None):
                raise self.error("a conversion takes one operand and names one dtype")
            return Bitcast(args[0], dtype) if dtype is not None else Cast(args[0], DTYPES[name])
        return Op(name, args, dtype or self.usual_dtype(name, args))

    def number(self) -> Const:
        negative = self.take("-")
        token = self.next()
        if (word := _FLOAT_WORD.fullmatch(token.text)) is not None:
            dtype = _BY_SUFFIX[word["suffix"]] if word["suffix"] else float64
            if word["bits"]:
                return Const(struct.unpack("<d", struct.pack("<Q", int(word["bits"], 16)))[0], dtype)
            return Const(math.nan if word["kind"] == "nan" else (-math.inf if negative else math.inf), dtype)
        found = _NUMBER.fullmatch(token.text) if token.kind == "number" else None
        if found is None or (found["suffix"] and found["suffix"] not in _BY_SUFFIX):
            raise self.error(f"expected a number, not {token.text}")
        digits = found["digits"]
        whole = digits.startswith("0x") or digits.isdigit()
        dtype = _BY_SUFFIX[found["suffix"]] if found["suffix"] else (int64 if whole else float64)
        if not dtype.is_float:
            if not whole:
                raise self.error(f"{token.text} is not an integer")
            value = int(digits, 0 if digits.startswith("0x") else 10)
            return Const(-value if negative else value, dtype)
        number = round_to(float(digits), dtype)
        return Const(-number if negative else number, dtype)
