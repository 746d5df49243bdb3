"""Values across the lanes of a strip: uniform scalars, affine sequences and vectors, and the masks over them.

A *strip* is the ``width`` work-items that one pass of the generated code runs: a warp of 32, or 8 or 16 lanes of one
where nothing in the kernel can tell the difference.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from anygpu.codegen.expr import constant_text, emit_bitcast, emit_cast, emit_operation, type_text
from anygpu.codegen.llvm import Writer, literal, scalar_type
from anygpu.dtypes import DType, bool_, int64
from anygpu.ir.kernel import Bitcast, Cast, Const, Dim, Expr, Op, Ref, Special, Var
from anygpu.passes.intervals import Intervals
from anygpu.passes.uniformity import UNIFORM, VARYING, Shape, expression_shape

Mask = str | None  # a mask vector (see LaneValues), or None where every lane of the strip is active
ZERO = "zeroinitializer"


@dataclass(frozen=True, slots=True)
class Lanes:
    """A value: ``text`` is a scalar for uniform shapes, lane 0's scalar for affine ones, else a vector."""

    dtype: DType
    text: str
    shape: Shape


@dataclass(frozen=True)
class Machine:
    """What the generated code may assume of the machine. ``mask_bits`` is the width of a mask's element where it is stored."""

    width: int
    mask_bits: int = 32


class LaneValues:
    """Evaluates expressions over the lanes of a strip and keeps the kernel's variables."""

    def __init__(self, w: Writer, machine: Machine, shapes: Mapping[str, Shape], local: frozenset[str]):
        self.w = w
        self.machine = machine
        self.width = machine.width
        self.shapes = shapes
        self.local = local
        self.specials: dict[tuple[str, int], Lanes] = {}
        self.special_shapes: dict[tuple[str, int], Shape] = {}
        self.dims: dict[tuple[str, int], str] = {}
        self.found: Intervals | None = None
        self.slots: dict[str, str] = {}
        self.parameters: dict[str, Lanes] = {}
        self.initial: list[str] = []
        self.bool_vector = f"<{self.width} x i1>"
        self.mask_memory = self.bool_vector if machine.mask_bits == 1 else f"<{self.width} x i{machine.mask_bits}>"

    # -------------------------------------------------------------------------------------------------------------- vectors

    def splat(self, scalar: str, llvm_type: str) -> str:
        """A scalar in every lane."""
        vector = f"<{self.width} x {llvm_type}>"
        first = self.w.emit(f"insertelement {vector} poison, {llvm_type} {scalar}, i64 0")
        return self.w.emit(f"shufflevector {vector} {first}, {vector} poison, <{self.width} x i32> zeroinitializer")

    def lane_numbers(self, dtype: DType, stride: int = 1) -> str:
        """The constant vector 0, stride, 2*stride, ... in the arithmetic of ``dtype``."""
        wrap = 1 << dtype.bits
        values = [(n * stride) % wrap for n in range(self.width)]
        signed = [v - wrap if v >= wrap // 2 else v for v in values]
        return "<" + ", ".join(f"i{dtype.bits} {v}" for v in signed) + ">"

    def vector(self, value: Lanes) -> str:
        """A value as a vector."""
        if value.shape == VARYING:
            return value.text
        scalar = scalar_type(value.dtype)
        if value.shape.uniform and not value.text.startswith("%"):
            return f"splat ({scalar} {value.text})"
        spread = self.splat(value.text, scalar)
        if value.shape.uniform:
            return spread
        numbers = self.lane_numbers(value.dtype, value.shape.stride or 0)
        return self.w.emit(f"add <{self.width} x {scalar}> {spread}, {numbers}")

    def lane(self, value: Lanes, stride_scalar: str) -> str:
        """The value in the lane whose number is the i64 ``stride_scalar``, for uniform and affine values."""
        if value.shape.uniform:
            return value.text
        bits = value.dtype.bits
        number = stride_scalar if bits == 64 else self.w.emit(f"trunc i64 {stride_scalar} to i{bits}")
        scaled = self.w.emit(f"mul i{bits} {number}, {value.shape.stride}")
        return self.w.emit(f"add i{bits} {value.text}, {scaled}")

    # ---------------------------------------------------------------------------------------------------------- expressions

    def shape_of(self, expr: Expr) -> Shape:
        return expression_shape(expr, self.shapes, self.special_shapes)

    def evaluate(self, expr: Expr) -> Lanes:
        """The value of an expression in all lanes."""
        match expr:
            case Const(value=value, dtype=dtype):
                return Lanes(dtype, literal(value, dtype), UNIFORM)
            case Ref(var=var):
                return self.read(var)
            case Special(name=name, axis=axis):
                return self.specials[(name, axis)]
            case Dim(array=array, axis=axis):
                return Lanes(int64, self.dims[(array, axis)], UNIFORM)
            case Cast(arg=arg, dtype=dtype):
                return self._convert(self.evaluate(arg), dtype, self.shape_of(expr), emit_cast)
            case Bitcast(arg=arg, dtype=dtype):
                return self._convert(self.evaluate(arg), dtype, self.shape_of(expr), emit_bitcast)
            case Op(name=name, args=args, dtype=dtype):
                values = [self.evaluate(a) for a in args]
                shape = self.shape_of(expr)
                operand = values[-1].dtype
                if shape == VARYING:
                    return Lanes(dtype, emit_operation(self.w, name, operand, self.width, [self.vector(v) for v in values]), VARYING)
                # uniform: the scalars themselves; affine: add, sub, neg, mul and shl act on lane 0 as on every lane
                return Lanes(dtype, emit_operation(self.w, name, operand, 0, [v.text for v in values]), shape)

    def _convert(self, value: Lanes, dtype: DType, shape: Shape, emit: object) -> Lanes:
        if shape == VARYING:
            return Lanes(dtype, emit(self.w, self.vector(value), value.dtype, dtype, self.width), VARYING)  # type: ignore[operator]
        return Lanes(dtype, emit(self.w, value.text, value.dtype, dtype, 0), shape)  # type: ignore[operator]

    # ------------------------------------------------------------------------------------------------------------ variables

    def slot(self, var: Var) -> tuple[str, Shape]:
        """The stack memory of a variable, zero at the start, and the variable's shape."""
        shape = self.shapes.get(var.name, UNIFORM)
        known = self.slots.get(var.name)
        if known is None:
            memory = self._memory(var.dtype, shape)
            known = self.w.alloca(memory)
            self.initial.append(f"  store {memory} {'zeroinitializer' if memory.startswith('<') else _zero(var.dtype)}, ptr {known}")
            self.slots[var.name] = known
        return known, shape

    def _memory(self, dtype: DType, shape: Shape) -> str:
        if shape == VARYING:
            return self.mask_memory if dtype is bool_ else type_text(dtype, self.width)
        return scalar_type(dtype)

    def read(self, var: Var) -> Lanes:
        parameter = self.parameters.get(var.name)
        if parameter is not None:
            return parameter
        slot, shape = self.slot(var)
        loaded = self.w.emit(f"load {self._memory(var.dtype, shape)}, ptr {slot}")
        if shape == VARYING and var.dtype is bool_:
            loaded = self.lanes_of(loaded)
        return Lanes(var.dtype, loaded, shape)

    def write(self, var: Var, value: Lanes, mask: Mask) -> None:
        """``var = value`` in the active lanes."""
        slot, shape = self.slot(var)
        if shape != VARYING:
            self.w.do(f"store {scalar_type(var.dtype)} {value.text}, ptr {slot}")
            return
        vector = self.vector(value)
        if var.dtype is bool_:
            if mask is not None and var.name not in self.local:
                vector = self.blend(bool_, mask, vector, self.read(var).text)
            self.w.do(f"store {self.mask_memory} {self.mask_of(vector)}, ptr {slot}")
            return
        t = type_text(var.dtype, self.width)
        if mask is not None and var.name not in self.local:
            vector = self.blend(var.dtype, mask, vector, self.w.emit(f"load {t}, ptr {slot}"))
        self.w.do(f"store {t} {vector}, ptr {slot}")

    def blend(self, dtype: DType, mask: str, a: str, b: str) -> str:
        t = type_text(dtype, self.width)
        return self.w.emit(f"select {self.bool_vector} {self.lanes_of(mask)}, {t} {a}, {t} {b}")

    # ---------------------------------------------------------------------------------------------------------------- masks
    #
    # A mask is a vector of integers, all ones or zero, as wide as the machine compares (``mask_bits``): were it of i1, LLVM would
    # carry it across blocks as bytes and pack and unpack it at every use. With mask registers it is i1 after all.

    def mask_of(self, condition: str) -> str:
        """A vector of i1 as a mask."""
        if self.machine.mask_bits == 1:
            return condition
        return self.w.emit(f"sext {self.bool_vector} {condition} to {self.mask_memory}")

    def lanes_of(self, mask: str) -> str:
        """A mask as a vector of i1."""
        if self.machine.mask_bits == 1:
            return mask
        return self.w.emit(f"icmp slt {self.mask_memory} {mask}, zeroinitializer")

    def mask_slot(self, initial: str | None = None) -> str:
        """Memory for a mask that is merged over several paths."""
        slot = self.w.alloca(self.mask_memory)
        if initial is not None:
            self.store_mask(slot, initial)
        return slot

    def store_mask(self, slot: str, mask: Mask) -> None:
        self.w.do(f"store {self.mask_memory} {self.full(mask)}, ptr {slot}")

    def load_mask(self, slot: str) -> str:
        return self.w.emit(f"load {self.mask_memory}, ptr {slot}")

    def full(self, mask: Mask) -> str:
        return f"splat (i{self.machine.mask_bits} -1)" if mask is None else mask

    def mask_and(self, a: Mask, b: str) -> str:
        return b if a is None else self.w.emit(f"and {self.mask_memory} {a}, {b}")

    def mask_or(self, a: str, b: str) -> str:
        return self.w.emit(f"or {self.mask_memory} {a}, {b}")

    def mask_not(self, a: str) -> str:
        return self.w.emit(f"xor {self.mask_memory} {a}, {self.full(None)}")

    def mask_bits(self, mask: Mask) -> str:
        """The mask as an integer of ``width`` bits, lane 0 the lowest."""
        return "-1" if mask is None else self.w.emit(f"bitcast {self.bool_vector} {self.lanes_of(mask)} to i{self.width}")

    def any(self, mask: str) -> str:
        """Whether any lane is in a mask."""
        if self.machine.mask_bits == 1:
            return self.w.emit(f"icmp ne i{self.width} {self.mask_bits(mask)}, 0")
        return self.w.emit(f"icmp ne i{self.machine.mask_bits} {self._reduce('or', mask)}, 0")

    def every(self, mask: str) -> str:
        """Whether all lanes are in a mask."""
        if self.machine.mask_bits == 1:
            return self.w.emit(f"icmp eq i{self.width} {self.mask_bits(mask)}, -1")
        return self.w.emit(f"icmp eq i{self.machine.mask_bits} {self._reduce('and', mask)}, -1")

    def _reduce(self, name: str, mask: str) -> str:
        """All lanes of a mask combined: the machine's test of a whole register. (As bits of i1 it would share the vector of i1 with the
        blends of another block, and be carried there as bytes.)"""
        bits = self.machine.mask_bits
        return self.w.call(f"i{bits}", f"llvm.vector.reduce.{name}.v{self.width}i{bits}", f"{self.mask_memory} {mask}", self.mask_memory)

    def condition(self, expr: Expr) -> str:
        """A bool expression as a mask."""
        return self.mask_of(self.vector(self.evaluate(expr)))

    def strip_test(self, expr: Expr) -> tuple[str, str] | None:
        """Whether a condition surely holds in all lanes, and whether it may hold in any, from scalars alone; None if it needs a vector.

        An affine value is monotone along the lanes unless it wraps; where it wraps, the answers are "not all" and "maybe".
        """
        w = self.w
        shape = self.shape_of(expr)
        if shape.uniform:
            text = self.evaluate(expr).text
            return text, text
        match expr:
            case Op(name="and" | "or" as name, args=(a, b)):
                left, right = self.strip_test(a), self.strip_test(b)
                if left is None or right is None:
                    return None
                return w.emit(f"{name} i1 {left[0]}, {right[0]}"), w.emit(f"{name} i1 {left[1]}, {right[1]}")
            case Op(name="not", args=(a,)):
                inner = self.strip_test(a)
                return None if inner is None else (w.emit(f"xor i1 {inner[1]}, true"), w.emit(f"xor i1 {inner[0]}, true"))
            case Op(name="lt" | "le" | "gt" | "ge" as name, args=(a, b)) if a.dtype.is_integer:
                sa, sb = self.shape_of(a), self.shape_of(b)
                if sa.affine and sb.uniform:
                    return self._affine_test(name, a, b)
                if sb.affine and sa.uniform:
                    return self._affine_test({"lt": "gt", "gt": "lt", "le": "ge", "ge": "le"}[name], b, a)
        return None

    def may_wrap(self, expr: Expr, stride: int) -> bool:
        """Whether an affine value may wrap between the lanes of a strip."""
        if self.found is None or not expr.dtype.is_integer:
            return True
        low, high = self.found.anywhere(expr)
        reach = (self.width - 1) * stride
        return min(low, low + reach) < expr.dtype.minimum or max(high, high + reach) > expr.dtype.maximum

    def _affine_test(self, name: str, varying: Expr, fixed: Expr) -> tuple[str, str]:
        w = self.w
        if (self.width - 1) * abs(self.shape_of(varying).stride or 0) >= 1 << varying.dtype.bits:
            return "false", "true"  # it may come round to where it began
        value, limit = self.evaluate(varying), self.evaluate(fixed).text
        t, sign = f"i{value.dtype.bits}", "s" if value.dtype.kind == "i" else "u"
        first = value.text
        last = w.emit(f"add {t} {first}, {(self.width - 1) * (value.shape.stride or 0)}")
        rising = (value.shape.stride or 0) > 0
        # the lane in which the comparison is hardest, and the one in which it is easiest
        hardest, easiest = (last, first) if (name in ("lt", "le")) == rising else (first, last)
        holds_in_all = w.emit(f"icmp {sign}{name} {t} {hardest}, {limit}")
        holds_in_any = w.emit(f"icmp {sign}{name} {t} {easiest}, {limit}")
        if not self.may_wrap(varying, value.shape.stride or 0):
            return holds_in_all, holds_in_any
        wraps = w.emit(f"icmp {sign}{'gt' if rising else 'lt'} {t} {first}, {last}")
        return w.emit(f"and i1 {holds_in_all}, {w.emit(f'xor i1 {wraps}, true')}"), w.emit(f"or i1 {holds_in_any}, {wraps}")


def _zero(dtype: DType) -> str:
    return literal(0.0 if dtype.is_float else 0, dtype)


__all__ = ["ZERO", "LaneValues", "Lanes", "Machine", "Mask", "constant_text"]
