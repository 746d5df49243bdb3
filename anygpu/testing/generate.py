"""Random kernels as Python source: well typed, free of data races, and of bounded length, so that a device has one right answer.

Everything is drawn from one ``random.Random``. Hypothesis supplies one that it can shrink; the long run seeds an ordinary one.

What keeps a program's meaning single: a work-item stores only to its own elements (each output array has one injective map from
work-items to elements), atomics are integer, of one commutative kind an array, and their old values are unused, shared memory is
written to the work-item's own place and read between two barriers, and barriers stand where control flow is uniform.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from anygpu.dtypes import DTYPES, DType, bool_, float32, float64, int64, promote, promote_weak

T = TypeVar("T")
INTEGERS = tuple(d for d in DTYPES.values() if d.is_integer)
FLOATS = tuple(d for d in DTYPES.values() if d.is_float)
REALS = (bool_, *INTEGERS, *FLOATS)
EXACT_FLOAT_CALLS = ("np.sqrt", "np.floor", "np.ceil", "np.trunc", "np.rint", "abs", "np.sign")
LIBM_CALLS = ("math.exp", "math.sin", "math.log", "math.atan", "math.cbrt", "math.tanh")


def spelt(dtype: DType) -> str:
    """A dtype as kernels write it."""
    return {"bfloat16": "ag.bfloat16", "bool": "np.bool_"}.get(dtype.name, f"np.{dtype.name}")


@dataclass(frozen=True)
class Expression:
    """Source text and the dtype that the frontend will find for it; ``weak`` for literals."""

    text: str
    dtype: DType
    weak: bool = False


@dataclass(frozen=True)
class Argument:
    """An array of the launch: its role decides what the kernel may do with it."""

    name: str
    dtype: DType
    size: int
    role: str  # input, output, atomic
    index: str = ""  # an output's own element, for an output
    atomic: str = ""


@dataclass
class Case:
    """A kernel's text and how to launch it."""

    text: str
    arguments: tuple[Argument, ...]
    scalars: tuple[tuple[str, DType], ...]
    grid: int  # 1 for a range
    block: int  # or the range's length
    ranged: bool
    checked: bool
    seed: int


# Positions, and what alignment makes of them: some are the same in all lanes of a warp, some count on with the lanes, some do neither.
POSITIONS = (
    "i", "t", "ag.threadIdx.x", "ag.blockIdx.x", "ag.blockDim.x", "ag.laneid", "i", "t",
    "(t // 32)", "(i // 8)", "(t % 32)", "(i % 12)", "(i & 31)", "(i & -32)", "(t & 8)", "(t ^ 32)", "(i ^ 5)", "(i | 64)", "(t >> 5)",
    "(2 * i // 64)", "((3 * t - 32) // 96)", "((t + 7) // 32)", "((-t) // 32)", "((t << 2) & 127)",
)  # fmt: skip


@dataclass
class Writer:
    """Grows one kernel."""

    random: random.Random
    safe: bool
    lines: list[str] = field(default_factory=list)
    indent: int = 1
    variables: list[tuple[str, DType]] = field(default_factory=list)
    inputs: list[Argument] = field(default_factory=list)
    outputs: list[Argument] = field(default_factory=list)
    atomics: list[Argument] = field(default_factory=list)
    scalars: list[tuple[str, DType]] = field(default_factory=list)
    locals: list[tuple[str, DType, int]] = field(default_factory=list)
    shared: list[tuple[str, DType]] = field(default_factory=list)
    helpers: list[tuple[str, DType]] = field(default_factory=list)
    names: int = 0
    uniform: bool = True
    loops: int = 0
    budget: int = 0
    block: int = 32

    def pick(self, items: Sequence[T]) -> T:
        return items[self.random.randrange(len(items))]

    def chance(self, percent: int) -> bool:
        return self.random.randrange(100) < percent

    def name(self, base: str) -> str:
        self.names += 1
        return f"{base}{self.names}"

    def line(self, text: str) -> None:
        self.lines.append("    " * self.indent + text)

    # -------------------------------------------------------------------------------------------------------------- expressions

    def cast(self, expr: Expression, dtype: DType) -> Expression:
        if expr.dtype is dtype and not expr.weak:
            return expr
        if dtype is float64 and expr.dtype is float64:
            return Expression(f"np.float64({expr.text})", float64)
        return Expression(f"{spelt(dtype)}({expr.text})", dtype)

    def value(self, depth: int) -> Expression:
        """Any real value."""
        if depth <= 0 or self.chance(15):
            return self.leaf()
        kind = self.random.randrange(14)
        if kind < 5:
            return self.binary(depth)
        if kind < 7:
            return self.cast(self.value(depth - 1), self.pick(REALS))
        if kind == 7:
            a = self.strong(depth - 1)
            b = self.cast(self.value(depth - 1), a.dtype)  # a condition that is a constant leaves one side's type
            return Expression(f"({a.text} if {self.condition(depth - 1)} else {b.text})", a.dtype)
        if kind == 8:
            return self.unary(depth)
        if kind == 9:
            a = self.strong(depth - 1)
            b = self.strong(depth - 1)
            met = promote(a.dtype, b.dtype)
            return Expression(f"{self.pick(('min', 'max', 'np.minimum', 'np.maximum'))}({a.text}, {b.text})", met)
        if kind == 10:
            return Expression(f"({self.condition(depth - 1)})", bool_)
        if kind == 11 and self.helpers:
            name, dtype = self.pick(self.helpers)
            first, second = (self.cast(self.value(depth - 1), dtype).text for _ in range(2))
            return Expression(f"{name}({first}, {second})", dtype)
        if kind == 12:
            return self.load(depth)
        return self.integer_expression(depth)

    def strong(self, depth: int) -> Expression:
        expr = self.value(depth)
        return self.cast(expr, self.pick(REALS)) if expr.weak else expr

    def leaf(self) -> Expression:
        if not self.inputs:  # inside a function: its parameters are all it has
            return Expression(*self.pick(self.variables))
        kind = self.random.randrange(8)
        if kind < 3 and self.variables:
            return Expression(*self.pick(self.variables))
        if kind == 3 and self.scalars:
            return Expression(*self.pick(self.scalars))
        if kind == 4:
            return Expression(str(self.pick((0, 1, 2, 3, 5, 7, 31, 100))), int64, weak=True)
        if kind == 5:
            return Expression(str(self.pick((0.0, 1.0, 0.5, -2.5, 3.25, 1e10, 0.1))), float64, weak=True)
        if kind == 6:
            return Expression(self.pick(POSITIONS), int64)
        return self.load(0)

    def binary(self, depth: int) -> Expression:
        a, b = self.value(depth - 1), self.value(depth - 1)
        if a.weak and b.weak:
            a = self.cast(a, self.pick(REALS))
        if a.weak:
            met = promote_weak(a.dtype, b.dtype)
        elif b.weak:
            met = promote_weak(b.dtype, a.dtype)
        else:
            met = promote(a.dtype, b.dtype)
        op = self.pick(("+", "-", "*", "+", "-", "*", "/", "//", "%", "&", "|", "^", "<<", ">>"))
        if op in ("&", "|", "^", "<<", ">>") and not (met.is_integer or met is bool_):
            op = self.pick(("+", "-", "*"))
        if op in ("//", "%") and met.is_float:  # long code: rarely
            op = "*" if self.chance(80) else op
        if op == "/":
            met = met if met.is_float else float64
        elif met is bool_ and op not in ("&", "|", "^"):
            met = int64
        return Expression(f"({a.text} {op} {b.text})", met)

    def unary(self, depth: int) -> Expression:
        a = self.strong(depth - 1)
        if a.dtype.is_float:
            if a.dtype in (float32, float64) and self.chance(12):
                return Expression(f"{self.pick(LIBM_CALLS)}({a.text})", a.dtype)
            return Expression(f"{self.pick(EXACT_FLOAT_CALLS)}({a.text})" if self.chance(70) else f"(-{a.text})", a.dtype)
        if a.dtype is bool_:
            return Expression(f"(not {a.text})", bool_)
        op = self.pick(("-", "~", "ag.popc", "ag.clz", "ag.ffs", "ag.brev", "abs"))
        if op in ("-", "~"):
            return Expression(f"({op}{a.text})", a.dtype)
        return Expression(f"{op}({a.text})", DTYPES["int32"] if op in ("ag.popc", "ag.clz", "ag.ffs") else a.dtype)

    def integer_expression(self, depth: int) -> Expression:
        expr = self.strong(depth - 1)
        return expr if expr.dtype.is_integer else self.cast(expr, self.pick(INTEGERS))

    def condition(self, depth: int) -> str:
        kind = self.random.randrange(7)
        if kind < 3 or depth <= 0:
            a, b = self.strong(depth - 1), self.value(depth - 1)
            return f"{a.text} {self.pick(('<', '<=', '>', '>=', '==', '!='))} {b.text}"
        if kind == 3:
            return f"({self.condition(depth - 1)}) {self.pick(('and', 'or'))} ({self.condition(depth - 1)})"
        if kind == 4:
            return f"not ({self.condition(depth - 1)})"
        if kind == 5:
            x, y, z = (self.strong(depth - 1).text for _ in range(3))
            return f"{x} {self.pick(('<', '<='))} {y} {self.pick(('<', '!='))} {z}"
        return f"{self.integer_expression(depth).text} % {self.pick((2, 3, 5))} == {self.pick((0, 1))}"

    def index(self, size: int, depth: int) -> str:
        kind = self.random.randrange(6)
        if self.safe or kind == 0:
            inner = self.integer_expression(depth) if depth > 0 else Expression("i", int64)
            return f"np.int64({inner.text}) % {size}"
        if kind == 1:
            return self.integer_expression(depth).text if depth > 0 else "i"
        if kind == 2:
            return str(self.pick((0, -1, size // 2)))
        if kind == 3:
            return f"i * {self.pick((1, 2, 3, -1))} + {self.pick((0, 1, -1, 5))}"
        rows = ("i ^ 8", "i ^ 32", "(i & -16) + 3", "i - i % 8")  # a warp's worth, or one place for several lanes
        return self.pick(("i", "t", "i + 1", f"{size - 1} - i", "np.int32(i)", "np.uint8(i)", *rows))

    def load(self, depth: int) -> Expression:
        if not self.inputs:
            return self.leaf()
        kind = self.random.randrange(8)
        if kind == 0 and self.locals:
            name, dtype, size = self.pick(self.locals)
            return Expression(f"{name}[{self.index(size, depth - 1)}]", dtype)
        if kind == 1 and self.outputs:
            out = self.pick(self.outputs)
            return Expression(f"{out.name}[{out.index}]", out.dtype)
        array = self.pick(self.inputs)
        return Expression(f"{array.name}[{self.index(array.size, depth - 1)}]", array.dtype)

    # --------------------------------------------------------------------------------------------------------------- statements

    def statements(self, depth: int, count: int) -> None:
        scope = len(self.variables)
        wrote = False
        for _ in range(count):
            if self.budget <= 0:
                break
            self.budget -= 1
            self.statement(depth)
            wrote = True
        if not wrote:
            self.line("pass")
        del self.variables[scope:]

    def statement(self, depth: int) -> None:
        kind = self.random.randrange(24)
        if kind < 4:
            expr = self.value(3)
            name = self.name("v")
            if expr.weak:
                expr = self.cast(expr, self.pick(REALS))
            self.line(f"{name} = {expr.text}")
            self.variables.append((name, expr.dtype))
        elif kind < 7 and self.variables:
            name, dtype = self.pick(self.variables)
            self.line(f"{name} = {self.cast(self.value(3), dtype).text}")
        elif kind < 11:
            self.store()
        elif kind < 13 and self.atomics:
            self.atomic()
        elif kind < 16 and depth > 0:
            self.branch(depth)
        elif kind == 16 and depth > 0:
            self.count_loop(depth)
        elif kind == 17 and depth > 0:
            self.while_loop(depth)
        elif kind == 18 and self.locals:
            name, dtype, size = self.pick(self.locals)
            self.line(f"{name}[{self.index(size, 1)}] = {self.cast(self.value(2), dtype).text}")
        elif kind == 19 and self.uniform and self.shared:
            self.exchange()
        elif kind == 20 and self.block > 1:
            self.warp()
        elif kind == 21 and self.loops:
            word = self.pick(("break", "continue"))
            self.line(f"if {self.condition(1)}:")
            self.line(f"    {word}")
        elif kind == 22 and not self.safe and self.chance(30):
            self.line(f"assert {self.condition(2)}")
        else:
            self.store()

    def store(self) -> None:
        out = self.pick(self.outputs)
        if self.chance(25) and out.dtype in (*INTEGERS, float32, float64):
            value = self.strong(2)
            self.line(f"{out.name}[{out.index}] {self.pick(('+=', '-=', '*='))} {self.cast(value, out.dtype).text}")
        else:
            self.line(f"{out.name}[{out.index}] = {self.cast(self.value(3), out.dtype).text}")

    def atomic(self) -> None:
        array = self.pick(self.atomics)
        if array.atomic in ("inc", "dec"):  # commutative only if all count to one limit
            self.line(f"ag.atomic.{array.atomic}({array.name}, {self.index(array.size, 2)}, 11)")
            return
        self.line(f"ag.atomic.{array.atomic}({array.name}, {self.index(array.size, 2)}, {self.cast(self.value(2), array.dtype).text})")

    def branch(self, depth: int) -> None:
        was = self.uniform
        if self.uniform and self.chance(30):
            self.line(f"if {self.uniform_condition()}:")
        else:
            self.uniform = False
            self.line(f"if {self.condition(2)}:")
        self.block_of(depth - 1)
        if self.chance(20):
            self.uniform = False
            self.line(f"elif {self.condition(1)}:")
            self.block_of(depth - 1)
        if self.chance(40):
            self.line("else:")
            self.block_of(depth - 1)
        self.uniform = was

    def uniform_condition(self) -> str:
        choices = ["ag.blockIdx.x % 2 == 0", "ag.gridDim.x > 1", "ag.blockDim.x > 16"]
        choices += [f"{name} > {name}" if d is bool_ else f"{name} > 2" for name, d in self.scalars]
        return self.pick(choices)

    def block_of(self, depth: int) -> None:
        self.indent += 1
        self.statements(depth, 1 + self.random.randrange(3))
        self.indent -= 1

    def count_loop(self, depth: int) -> None:
        was_uniform, was_loops = self.uniform, self.loops
        name = self.name("k")
        if self.chance(50):
            bounds = self.pick(("3", "1, 4", "5, 0, -2", "0, 7, 3", "2, 2"))
        else:
            self.uniform = False
            bounds = f"np.int64({self.integer_expression(2).text}) % 5"
            if self.chance(30):
                bounds = f"{self.pick(('0', '-2', '3'))}, {bounds}, {self.pick((1, 2, -1))}"
        self.line(f"for {name} in range({bounds}):")
        self.variables.append((name, int64))
        saved, self.loops = self.uniform, self.loops + 1
        self.loop_body(depth)
        self.uniform = saved
        self.variables.pop()
        self.loops = was_loops
        if self.chance(20):
            self.line("else:")
            self.uniform = False
            self.block_of(depth - 1)
        self.uniform = was_uniform

    def loop_body(self, depth: int) -> None:
        if self.uniform and self.chance(50):
            loops, self.loops = self.loops, 0  # no break or continue, so that barriers may stand in it
            self.block_of(depth - 1)
            self.loops = loops
            return
        self.uniform = False
        self.block_of(depth - 1)

    def while_loop(self, depth: int) -> None:
        was_uniform, was_loops = self.uniform, self.loops
        name = self.name("n")
        self.uniform = False
        self.line(f"{name} = 0")
        self.line(f"while {name} < {self.pick((1, 3, 6))} and ({self.condition(1)}):")
        self.line(f"    {name} += 1")
        self.loops += 1
        self.block_of(depth - 1)
        self.uniform, self.loops = was_uniform, was_loops
        self.variables.append((name, int64))

    def exchange(self) -> None:
        array, dtype = self.pick(self.shared)
        name = self.name("s")
        self.line(f"{array}[t] = {self.cast(self.value(2), dtype).text}")
        if self.chance(25):
            count = self.name("c")
            self.line(f"{count} = ag.syncthreads_{self.pick(('count', 'and', 'or'))}({self.condition(1)})")
            self.variables.append((count, DTYPES["int32"]))
        else:
            self.line("ag.syncthreads()")
        self.line(f"{name} = {array}[np.int64({self.integer_expression(2).text}) % {self.block}]")
        self.variables.append((name, dtype))
        self.line("ag.syncthreads()")

    def warp(self) -> None:
        name = self.name("w")
        mask = self.pick(("0xFFFFFFFF", "0xFFFFFFFF", "ag.activemask()", "0x55555555"))
        kind = self.random.randrange(7)
        if kind < 3:
            value = self.strong(2)
            word = self.pick(("shfl_sync", "shfl_up_sync", "shfl_down_sync", "shfl_xor_sync"))
            lane = str(self.pick((0, 1, 3, 16, 31))) if self.chance(60) else f"np.int32({self.integer_expression(1).text}) % 32"
            width = f", {self.pick((4, 8, 16, 32))}" if self.chance(30) else ""
            self.line(f"{name} = ag.{word}({mask}, {value.text}, {lane}{width})")
            self.variables.append((name, value.dtype))
        elif kind == 3:
            value = self.integer_expression(2)
            self.line(f"{name} = ag.reduce_{self.pick(('add', 'min', 'max', 'and', 'or', 'xor'))}_sync({mask}, {value.text})")
            self.variables.append((name, value.dtype))
        elif kind == 4:
            self.line(f"{name} = ag.{self.pick(('any_sync', 'all_sync'))}({mask}, {self.condition(1)})")
            self.variables.append((name, bool_))
        elif kind == 5:
            self.line(f"{name} = ag.ballot_sync({mask}, {self.condition(1)})")
            self.variables.append((name, DTYPES["uint32"]))
        else:
            self.line(f"{name} = ag.match_any_sync({mask}, {self.strong(1).text})")
            self.variables.append((name, DTYPES["uint32"]))


HELPER = """def {name}(a, b):
    if {first}:
        return {one}
    {extra}
    return {two}
"""


def generate(source: random.Random) -> Case:
    """One kernel and its launch."""
    safe = source.randrange(4) == 0
    w = Writer(source, safe)
    ranged = source.randrange(3) == 0
    block = 256 if ranged else w.pick((32, 64, 7, 33, 1, 100, 16, 40))
    grid = 1 + source.randrange(3)
    total = w.pick((1, 31, 64, 90)) if ranged else grid * block
    w.block = block
    for n in range(1 + source.randrange(3)):
        size = max(1, w.pick((total, total, total + 7, total // 2, 5)))
        w.inputs.append(Argument(f"x{n}", w.pick(REALS), size, "input"))
    for n in range(1 + source.randrange(3)):
        index, size = w.pick((("i", total), ("i", total), (f"{total - 1} - i", total), ("2 * i + 1", 2 * total), ("i + 3", total + 3)))
        if not safe and w.chance(20):
            size = max(1, size - 3)
        w.outputs.append(Argument(f"o{n}", w.pick(REALS), size, "output", index))
    for n in range(source.randrange(2)):
        kind = w.pick(("add", "sub", "min", "max", "and_", "or_", "xor", "inc", "dec"))
        w.atomics.append(Argument(f"q{n}", w.pick(INTEGERS), w.pick((1, 8, 40)), "atomic", "", kind))
    w.scalars = [(f"p{n}", w.pick(REALS)) for n in range(source.randrange(3))]
    helpers = []
    for n in range(source.randrange(2)):
        dtype = w.pick(REALS)
        inner = Writer(source, True)
        inner.variables = [("a", dtype), ("b", dtype)]
        one, extra, two = (inner.cast(inner.value(2), dtype).text for _ in range(3))
        helpers.append(HELPER.format(name=f"h{n}", first=inner.condition(1), one=one, two=two, extra=f"a = {extra}"))
        w.helpers.append((f"h{n}", dtype))
    w.line("i = ag.grid(1)")
    w.line("t = ag.threadIdx.x")
    if source.randrange(4) == 0:
        dtype = w.pick(REALS)
        w.line(f"m = ag.local.array(6, {spelt(dtype)})")
        w.line("for z in range(6):")
        w.line(f"    m[z] = {w.cast(Expression('z', int64), dtype).text}")
        w.locals.append(("m", dtype, 6))
    if not ranged and source.randrange(3) == 0:
        dtype = w.pick(REALS)
        w.line(f"sh = ag.shared.array({block}, {spelt(dtype)})")
        w.shared.append(("sh", dtype))
    w.uniform = not ranged
    w.budget = 2 + source.randrange(9)
    w.statements(3, 2 + source.randrange(5))
    for out in w.outputs[:1]:
        w.indent = 1
        w.line(f"{out.name}[{out.index}] = {w.cast(w.value(2), out.dtype).text}")
    arguments = (*w.inputs, *w.outputs, *w.atomics)
    names = [a.name for a in arguments] + [name for name, _ in w.scalars]
    head = "import math\n\nimport numpy as np\n\nimport anygpu as ag\n\n\n"
    text = head + "\n\n".join(helpers) + f"\n\ndef kernel({', '.join(names)}):\n" + "\n".join(w.lines) + "\n"
    checked = not safe or w.chance(50)
    launch = (1, total) if ranged else (grid, block)
    return Case(text, arguments, tuple(w.scalars), *launch, ranged, checked, source.randrange(1 << 30))
