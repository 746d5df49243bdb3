"""The values of one work-item: expressions, variables, positions and the words of the launch."""

from __future__ import annotations

from collections.abc import Callable

from anygpu.codegen.device import DeviceOptions, DeviceWriter, Target, Word, WordKind
from anygpu.codegen.expr import emit_bitcast, emit_cast, emit_operation, resize
from anygpu.codegen.llvm import Module, literal, memory_type, scalar_type
from anygpu.codegen.simt_reports import report_function, site_function
from anygpu.dtypes import DType, bool_, float32, int32, int64
from anygpu.errors import Location, Site
from anygpu.ir import build
from anygpu.ir.kernel import Array, Bitcast, Cast, Const, Dim, Expr, Kernel, Op, Ref, Special, Var
from anygpu.passes.intervals import State, is_exact
from anygpu.passes.keep_order import NEVER

_MAY_WRAP = ("add", "sub", "mul")
_WORD_ORDER = ("grid", "block", "shared", "dynamic", "error", "print", "sync", "pointer", "offset", "extent", "stride", "scalar")


class Values:
    """Evaluates expressions at the place where the writer stands; parameters and positions are read once, at the function's entry."""

    def __init__(self, kernel: Kernel, target: Target, options: DeviceOptions, flat: bool):
        self.kernel = kernel
        self.target = target
        self.options = options
        self.flat = flat
        self.module = Module()
        self.w = DeviceWriter(self.module, target.stack)
        self.sites: list[Site] = []
        self.parameters = {p.name: p for p in kernel.params}
        self.arrays = kernel.arrays()
        self.declared_extents: dict[str, tuple[str, ...]] = {}
        self.capabilities: set[str] = set()
        self.state: State | None = None  # what is known of integers where the current statement stands
        self.facts = options.facts
        self._words: dict[Word, str] = {}
        self._slots: dict[str, str] = {}
        self._entry: dict[object, str] = {}
        order = {name: n for n, name in enumerate(self.parameters)}
        self._order = lambda word: (order.get(word.name, -1), _WORD_ORDER.index(word.kind), word.axis)

    # --------------------------------------------------------------------------------------------------------------- launch words

    def word(self, kind: WordKind, name: str = "", axis: int = 0) -> str:
        """The value of a word of the launch, which becomes a parameter of the kernel. Its bits for a scalar."""
        if kind == "block" and (known := self.options.block_extent(axis)) is not None:
            return str(known)
        found = Word(kind, name, axis)
        text = self._name(found)
        return self.at_entry(found, lambda: self.w.emit(f"bitcast <2 x i32> {text} to i64")) if self._split(found) else text

    def low_word(self, kind: WordKind, name: str = "", axis: int = 0) -> str:
        """The low half of a word, as an i32."""
        found = Word(kind, name, axis)
        text = self._name(found)
        half = f"extractelement <2 x i32> {text}, i64 0" if self._split(found) else f"trunc i64 {text} to i32"
        return self.at_entry(("low", found), lambda: self.w.emit(half))

    def _name(self, word: Word) -> str:
        """The parameter that a word is, which is one from now on."""
        if word not in self._words:
            number = list(self.parameters).index(word.name) if word.name else 0
            self._words[word] = f"%{word.kind}.{number}.{word.axis}"
        return self._words[word]

    def _split(self, word: Word) -> bool:
        """Whether a word is passed as two halves: LLVM would widen the arithmetic on what it cut itself."""
        return word.kind in ("extent", "stride") and self.target.narrow and self.options.small

    def words(self) -> tuple[Word, ...]:
        """The words that have been asked for, in the order of a launch. Scalars that are never read are left out."""
        return tuple(sorted(self._words, key=self._order))

    def parameter_list(self, attributes: Callable[[Word], str]) -> str:
        """The kernel's LLVM parameters."""
        parts = []
        for word in self.words():
            kind = "<2 x i32>" if self._split(word) else "i64"
            if word.is_pointer:
                kind = self.target.pointer("shared" if word.kind == "dynamic" else "global")
            parts.append(" ".join(p for p in (kind, attributes(word), self._words[word]) if p))
        return ", ".join(parts)

    def at_entry(self, key: object, emit: Callable[[], str]) -> str:
        """A value computed once, where the function begins."""
        if key not in self._entry:
            lines, self.w.lines = self.w.lines, self.w.entry
            self._entry[key] = emit()
            self.w.lines = lines
        return self._entry[key]

    def _scalar(self, param: Var) -> str:
        """A scalar parameter out of the low bits of its word."""
        w, dtype = self.w, param.dtype
        word = self.word("scalar", param.name)
        if dtype is bool_:
            return w.emit(f"icmp ne i8 {w.emit(f'trunc i64 {word} to i8')}, 0")
        low = word if dtype.bits == 64 else w.emit(f"trunc i64 {word} to i{dtype.bits}")
        kind = scalar_type(dtype)
        return low if kind.startswith("i") else w.emit(f"bitcast i{dtype.bits} {low} to {kind}")

    # ------------------------------------------------------------------------------------------------------------------ positions

    def special(self, name: str, axis: int) -> str:
        match name:
            case "block_dim":
                return self.word("block", axis=axis)
            case "grid_dim":
                return self.word("grid", axis=axis)
            case "lane":
                return self.at_entry("lane", self._lane)
            case "warp":
                return self.at_entry("warp", lambda: self.w.emit(f"lshr i64 {self.thread_number()}, 5"))
            case "thread" if self.options.block_extent(axis) == 1:
                return "0"
            case "thread" if self.flat:
                return self.at_entry((name, axis), lambda: self._coordinate(axis))
            case "block" if self.options.flat_grid:
                return self.at_entry((name, axis), lambda: self._place_in_grid(axis))
            case _:
                return self.at_entry((name, axis), lambda: self.target.position(self.w, name, axis))

    def _lane(self) -> str:
        known = self.target.lane(self.w)
        if known is not None:
            return known
        low = self.w.emit(f"trunc i64 {self.thread_number()} to i32")  # so that compilers of vectors compare it in 32 bits
        return self.w.emit(f"zext i32 {self.w.emit(f'and i32 {low}, 31')} to i64")

    def _coordinate(self, axis: int) -> str:
        """A coordinate of a work-item out of its number in the block."""
        w = self.w
        number = self.target.position(w, "thread", 0)
        x = self.word("block", axis=0)
        if axis == 0 and self.options.block is not None and self.options.block[1:] == (1, 1):
            return number
        if axis == 0:
            return w.emit(f"urem i64 {number}, {x}")
        rest, y = w.emit(f"udiv i64 {number}, {x}"), self.word("block", axis=1)
        return w.emit(f"{'urem' if axis == 1 else 'udiv'} i64 {rest}, {y}")

    def _place_in_grid(self, axis: int) -> str:
        """A coordinate of a block out of its number in a grid that is along x alone."""
        w, x = self.w, self.word("grid", axis=0)
        number = self.target.position(w, "block", 0)
        if axis == 0:
            return w.emit(f"urem i64 {number}, {x}")
        rest, y = w.emit(f"udiv i64 {number}, {x}"), self.word("grid", axis=1)
        return w.emit(f"{'urem' if axis == 1 else 'udiv'} i64 {rest}, {y}")

    def thread_number(self) -> str:
        """The work-item's number in its block, x fastest; computed anew, for rare places."""
        return self.target.position(self.w, "thread", 0) if self.flat else self._number("thread", "block")

    def block_number(self) -> str:
        return self.target.position(self.w, "block", 0) if self.options.flat_grid else self._number("block", "grid")

    def _number(self, name: str, extent: WordKind) -> str:
        w = self.w
        x, y, z = (self.target.position(w, name, axis) for axis in range(3))
        row = w.emit(f"add i64 {y}, {w.emit(f'mul i64 {z}, ' + self.word(extent, axis=1))}")
        return w.emit(f"add i64 {x}, {w.emit(f'mul i64 {row}, ' + self.word(extent, axis=0))}")

    def threads(self) -> str:
        """Work-items of a block, as an i64."""
        w = self.w
        x, y, z = (self.word("block", axis=axis) for axis in range(3))
        return w.emit(f"mul i64 {w.emit(f'mul i64 {x}, {y}')}, {z}")

    # ---------------------------------------------------------------------------------------------------------------- expressions

    def extent(self, array: str, axis: int) -> str:
        known = self.declared_extents.get(array)
        return known[axis] if known is not None else self.word("extent", array, axis)

    def low_extent(self, array: str, axis: int) -> str:
        """The same as an i32."""
        known = self.declared_extents.get(array)
        if known is None:
            return self.low_word("extent", array, axis)
        return known[axis] if known[axis].isdigit() else self.w.emit(f"trunc i64 {known[axis]} to i32")

    def evaluate(self, expr: Expr) -> str:
        """An expression's value, as a scalar."""
        w = self.w
        match expr:
            case Const(value=value, dtype=dtype):
                return literal(value, dtype)
            case Ref(var=var):
                return self.read(var)
            case Special(name=name, axis=axis, dtype=dtype):
                return resize(w, self.special(name, axis), int64, dtype, 0, True)
            case Cast(arg=Dim(array=array, axis=axis), dtype=dtype) if dtype is int32 and self.target.narrow:
                return self.low_extent(array, axis)
            case Dim(array=array, axis=axis, dtype=dtype):
                return resize(w, self.extent(array, axis), int64, dtype, 0, True)
            case Cast(arg=arg, dtype=dtype):
                if arg.dtype.is_half and dtype is not float32:  # a half's values are all float32's
                    return self._convert(self._convert(self.evaluate(arg), arg.dtype, float32), float32, dtype)
                return self._convert(self.evaluate(arg), arg.dtype, dtype)
            case Bitcast(arg=arg, dtype=dtype):
                return emit_bitcast(w, self.evaluate(arg), arg.dtype, dtype, 0)
            case Op(name=name, args=args):
                operand = args[-1].dtype
                if operand.name == "float64":
                    self.capabilities.add("fp64")
                values = [self.evaluate(a) for a in args]
                if name in _MAY_WRAP and expr.dtype.kind == "i" and self.state is not None and is_exact(expr, self.state, self.facts):
                    return w.emit(f"{name} nsw i{expr.dtype.bits} {values[0]}, {values[1]}")  # addresses split only sums that do not wrap
                return self.target.operation(w, name, operand, values) or emit_operation(w, name, operand, 0, values)

    def _convert(self, value: str, source: DType, target: DType) -> str:
        return self.target.convert(self.w, value, source, target) or emit_cast(self.w, value, source, target, 0)

    def slot(self, var: Var) -> str:
        """The stack memory of a variable, zero at the start; LLVM makes registers of it."""
        if var.name not in self._slots:
            kind = scalar_type(var.dtype)
            slot = self._slots[var.name] = self.w.alloca(kind)
            self.w.entry.append(f"  store {kind} {zero(var.dtype)}, {slot}")
        return self._slots[var.name]

    def read(self, var: Var) -> str:
        param = self.parameters.get(var.name)
        if isinstance(param, Var):
            return self.at_entry(var, lambda: self._scalar(param))
        return self.w.emit(f"load {scalar_type(var.dtype)}, {self.slot(var)}")

    def write(self, var: Var, value: str) -> None:
        self.w.do(f"store {scalar_type(var.dtype)} {value}, {self.slot(var)}")

    # ------------------------------------------------------------------------------------------------------------------- failures

    def site(self, kind: str, loc: Location, array: Array | None = None, message: str = "", parts: tuple[str, ...] = ()) -> int:
        """The number of a new place that reports speak of."""
        place = (loc.filename, loc.line, loc.column, loc.end_column, loc.function)
        self.sites.append(Site(kind, place, array.name if array else "", array.ndim if array else 0, message, parts))
        return len(self.sites) - 1

    def some(self, bit: str) -> str | None:
        """Whether a rare condition holds for any work-item beside this one, where the target says that asking is worth it."""
        return self.target.some(self.w, bit) if self.options.votes else None

    def nothing(self) -> str:
        """An i64 that is 0, which no compiler knows."""
        return self.at_entry("nothing", lambda: self.evaluate(build.cast(NEVER, int64)))

    def fail(self, site: int, index: list[str]) -> None:
        """Record a failure of this work-item."""
        slot = f"{self.target.pointer('global')} {self.word('error')}"
        if self.target.positions_anywhere:
            name = site_function(self.module, self.target, len(index))
            self.w.do(f"call void {name}({slot}, i32 {site}{''.join(f', i64 {i}' for i in index)})")
            return
        name = report_function(self.module, self.target, len(index))
        place = f"i64 {self.block_number()}, i64 {self.thread_number()}, i64 {self.threads()}, i64 {site}"
        self.w.do(f"call void {name}({slot}, {place}{''.join(f', i64 {i}' for i in index)})")


def zero(dtype: DType) -> str:
    return literal(0.0 if dtype.is_float else 0, dtype)


def to_memory(w: DeviceWriter, value: str, dtype: DType) -> str:
    """A value as it lies in memory: a bool is a byte."""
    return w.emit(f"zext i1 {value} to i8") if dtype is bool_ else value


def from_memory(w: DeviceWriter, value: str, dtype: DType) -> str:
    return w.emit(f"icmp ne i8 {value}, 0") if dtype is bool_ else value


def to_bits(w: DeviceWriter, value: str, dtype: DType) -> str:
    """A value's bits as an integer of its size in memory."""
    if dtype is bool_:
        return w.emit(f"zext i1 {value} to i8")
    kind = scalar_type(dtype)
    return value if kind.startswith("i") else w.emit(f"bitcast {kind} {value} to i{dtype.bits}")


def from_bits(w: DeviceWriter, bits: str, dtype: DType) -> str:
    if dtype is bool_:
        return w.emit(f"icmp ne i8 {bits}, 0")
    kind = scalar_type(dtype)
    return bits if kind.startswith("i") else w.emit(f"bitcast i{dtype.bits} {bits} to {kind}")


__all__ = ["Values", "from_bits", "from_memory", "memory_type", "to_bits", "to_memory", "zero"]
