"""What varies across the lanes of a warp.

Each variable gets a shape: ``UNIFORM`` (the same in all active lanes), affine (lane ``l`` holds ``base + l*stride``, in the
arithmetic of its dtype), or ``VARYING``. The lanes that are active when the kernel starts count as all.

Integers also have an alignment: ``thread.x`` of a strip of 32 begins at a multiple of 32, so ``thread.x // 32`` is uniform,
``thread.x % 32`` and ``thread.x ^ 64`` are affine.

A variable assigned where only some lanes are active varies, unless it lives and dies there: one assignment, and every
read after it inside the same list of statements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from anygpu.ir.kernel import (
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
    For,
    If,
    Kernel,
    Load,
    Op,
    Ref,
    Special,
    Stmt,
    WarpOp,
    While,
    assigned,
    children,
    operands,
    subexpressions,
    walk,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    """``stride`` is 0 for uniform, n for affine, None for varying. Shapes are equal if their strides are.

    ``align`` is a power of two that divides lane 0's value, ``span`` the distance that the lanes cover, rounded up to a power of two.
    """

    stride: int | None
    align: int = field(default=1, compare=False)
    span: int = field(default=1, compare=False)

    @property
    def uniform(self) -> bool:
        return self.stride == 0

    @property
    def affine(self) -> bool:
        return self.stride is not None and self.stride != 0

    def stays_within(self, window: int) -> bool:
        """Whether all lanes lie in one window of ``window`` values, which begins at a multiple of it."""
        return self.stride is not None and self.stride >= 0 and self.span <= self.align and window % self.span == 0


_MOST = 1 << 16  # alignment beyond this makes no difference


def consecutive(lanes: int) -> Shape:
    """``lanes`` values in a row, of which the first is a multiple of their number."""
    return Shape(1, lanes & -lanes, 1 << (lanes - 1).bit_length())


def _form(stride: int, align: int, span: int) -> Shape:
    """A shape with its numbers within bounds, which an analysis that goes round loops needs to come to an end."""
    return Shape(stride, min(align, _MOST), min(span, 2 * _MOST) if stride else 1)


def _alignment(value: int) -> int:
    return min(value & -value, _MOST) if value else _MOST


UNIFORM, VARYING = Shape(0), Shape(None)
Shapes = Mapping[str, Shape]


def join(a: Shape, b: Shape) -> Shape:
    return Shape(a.stride, min(a.align, b.align), max(a.span, b.span)) if a == b else VARYING


def expression_shape(expr: Expr, variables: Shapes, specials: Mapping[tuple[str, int], Shape]) -> Shape:
    """The shape of an expression, given its variables' and the specials' (those not named are uniform)."""
    match expr:
        case Const(value=value, dtype=dtype) if dtype.is_integer:
            return Shape(0, _alignment(int(value)))
        case Const() | Dim():
            return UNIFORM
        case Ref(var=var):
            return variables.get(var.name, UNIFORM)
        case Special(name=name, axis=axis):
            return specials.get((name, axis), UNIFORM)
        case Cast(arg=arg, dtype=dtype):
            shape = expression_shape(arg, variables, specials)
            integers = dtype.is_integer and arg.dtype.is_integer
            if shape.uniform:
                return shape if integers else UNIFORM
            # Cutting high bits keeps the form; widening would not if the narrow value wrapped between two lanes.
            return shape if shape.affine and integers and dtype.bits <= arg.dtype.bits else VARYING
        case Bitcast(arg=arg):
            return UNIFORM if expression_shape(arg, variables, specials).uniform else VARYING
        case Op(name=name, args=args, dtype=dtype):
            shapes = [expression_shape(a, variables, specials) for a in args]
            regular = dtype.is_integer and all(s.stride is not None for s in shapes)
            found = _integer_shape(name, args, shapes) if regular else None
            if found is not None:
                return found
            return UNIFORM if all(s.uniform for s in shapes) else VARYING


def _integer_shape(name: str, args: tuple[Expr, ...], shapes: list[Shape]) -> Shape | None:
    """The shape of an integer operation on uniform and affine operands, if it is more than uniform or varying."""
    strides = [s.stride or 0 for s in shapes]
    least = min(s.align for s in shapes)
    span = max(s.span for s in shapes)
    match name:
        case "add":
            return _form(strides[0] + strides[1], least, _span(strides[0] + strides[1], strides, span))
        case "sub":
            return _form(strides[0] - strides[1], least, _span(strides[0] - strides[1], strides, span))
        case "neg":
            return _form(-strides[0], least, span)
        case "mul" if shapes[0].uniform and shapes[1].uniform:
            return _form(0, shapes[0].align * shapes[1].align, 1)
    constants = [int(a.value) if isinstance(a, Const) else None for a in args]
    if len(args) != 2:
        return None
    if name == "mul":
        for this, other in ((0, 1), (1, 0)):
            factor = constants[other]
            if factor is not None and abs(strides[this] * factor) < 1 << 20:
                size = 1 << max(0, abs(factor) - 1).bit_length()
                return _form(strides[this] * factor, shapes[this].align * _alignment(factor), shapes[this].span * size)
    amount = constants[1]
    if amount is None:
        if name in ("and", "or", "xor") and constants[0] is not None:
            return _integer_shape(name, args[::-1], shapes[::-1])
        return None
    shape = shapes[0]
    match name:
        case "shl" if 0 <= amount < 16:
            return _form(strides[0] << amount, shape.align << amount, shape.span << amount)
        case "shr" if 0 <= amount < min(16, args[0].dtype.bits) and shape.stays_within(1 << amount):
            return UNIFORM
        case "floordiv" if amount > 0 and shape.stays_within(amount):
            return UNIFORM
        case "mod" if amount > 0 and shape.stays_within(amount):
            return _form(strides[0], min(shape.align, _alignment(amount)), shape.span)
        case "and" if shape.stays_within(_alignment(amount)):
            return _form(0, _alignment(amount), 1)
        case "and" if shape.stays_within(_MOST) and amount & (shape.span - 1) == shape.span - 1:
            return shape
        case ("or" | "xor") if shape.stays_within(_alignment(amount)):
            return _form(strides[0], min(shape.align, _alignment(amount)), shape.span)
    return None


def _span(stride: int, strides: list[int], span: int) -> int:
    """The span of a sum: that of its one affine part, or a bound for two."""
    return span if 0 in strides or stride == 0 else 2 * span


def loop_shape(loop: For, bounds: list[Shape]) -> Shape:
    """The shape of a counted loop's variable whose bounds are not all uniform. Lanes that start in a row and step up together stay in a
    row, whether active or not, if the step is a known positive one (code generation ends a lane whose next step would wrap)."""
    start, stop, step = bounds
    steady = isinstance(loop.step, Const) and 0 < int(loop.step.value) < 1 << 31
    if not (start.affine and stop.uniform and step.uniform and steady):
        return VARYING
    return Shape(start.stride, min(start.align, step.align), start.span)


@dataclass
class _Analysis:
    kernel: Kernel
    specials: Mapping[tuple[str, int], Shape]
    uniform_memory: bool
    shapes: dict[str, Shape] = field(default_factory=dict)
    locals: set[str] = field(default_factory=set)
    changed: bool = True

    def shape(self, expr: Expr) -> Shape:
        return expression_shape(expr, self.shapes, self.specials)

    def set(self, name: str, shape: Shape, divergent: bool) -> None:
        if divergent and name not in self.locals:
            shape = VARYING
        old = self.shapes.get(name)
        new = shape if old is None else join(old, shape)
        # a variable that starts as zero and is read before it is set is covered by `locals` and the join with zero below
        if old is None or (new, new.align, new.span) != (old, old.align, old.span):
            self.shapes[name] = new
            self.changed = True

    def body(self, body: Body, divergent: bool) -> frozenset[str]:
        """Analyse statements; the labels that only some of their lanes leave for."""
        left: frozenset[str] = frozenset()
        for stmt in body:
            left |= self.statement(stmt, divergent or bool(left))
        return left

    def statement(self, stmt: Stmt, divergent: bool) -> frozenset[str]:
        match stmt:
            case Assign(var=var, value=value):
                self.set(var.name, self.shape(value), divergent)
            case Load(var=var, array=array, index=index):
                space = self.kernel.arrays()[array].space
                same = all(self.shape(i).uniform for i in index) and space != "local"
                # A location read by all lanes at once is one value; other warps may write it, but not between two lanes.
                self.set(var.name, UNIFORM if same else VARYING, divergent)
            case Atomic(var=var) if var is not None:
                self.set(var.name, VARYING, divergent)
            case WarpOp(var=var):
                self.set(var.name, VARYING, divergent)
            case Barrier(var=var) if var is not None:
                self.set(var.name, UNIFORM, divergent)
            case If(cond=cond, then=then, orelse=orelse):
                inside = divergent or not self.shape(cond).uniform
                return self.body(then, inside) | self.body(orelse, inside)
            case For(var=var, start=start, stop=stop, step=step, body=body):
                bounds = [self.shape(e) for e in (start, stop, step)]
                varying = not all(b.uniform for b in bounds)
                self.set(var.name, loop_shape(stmt, bounds) if varying else UNIFORM, False)
                left = self.body(body, divergent or varying)
                return left | self.body(body, True) if left and not (divergent or varying) else left
            case While(before=before, cond=cond, body=body):
                varying = divergent or not self.shape(cond).uniform
                left = self.body(before, varying) | self.body(body, varying)
                if (left or not self.shape(cond).uniform) and not varying:
                    left |= self.body(before, True) | self.body(body, True)
                return left
            case Block(label=label, body=body):
                return self.body(body, divergent) - {label}
            case Exit(label=label):
                return frozenset((label,)) if divergent else frozenset()
        return frozenset()


def single_assignment_locals(kernel: Kernel) -> set[str]:
    """Variables assigned once that are read only after that, inside the list of statements that holds the assignment.

    A read before it, in a loop, sees what an earlier turn left: there lanes that are not active keep their value.
    """
    homes: dict[str, list[int]] = {}
    reads: dict[str, list[tuple[int, ...]]] = {}
    early: set[str] = set()
    counter = 0

    def fresh(path: tuple[int, ...]) -> tuple[int, ...]:
        nonlocal counter
        counter += 1
        return (*path, counter)

    def note(expr: Expr, here: tuple[int, ...]) -> None:
        for part in subexpressions(expr):
            if isinstance(part, Ref):
                reads.setdefault(part.var.name, []).append(here)

    def assign(stmt: Stmt, here: tuple[int, ...]) -> None:
        var = assigned(stmt)
        if var is not None:
            if var.name in reads:
                early.add(var.name)
            homes.setdefault(var.name, []).append(here[-1])

    def visit(body: Body, here: tuple[int, ...]) -> None:
        for stmt in body:
            if isinstance(stmt, While):
                turn = fresh(here)  # the condition and its parts live in the loop's turn, as its body does
                visit(stmt.before, turn)
                for expr in operands(stmt):
                    note(expr, turn)
                visit(stmt.body, fresh(turn))
                continue
            for expr in operands(stmt):
                note(expr, here)
            inside = fresh(here) if isinstance(stmt, For) else here
            assign(stmt, inside)
            for nested in children(stmt):
                visit(nested, fresh(inside))

    visit(kernel.body, fresh(()))
    return {
        name for name, at in homes.items() if len(at) == 1 and name not in early and all(at[0] in path for path in reads.get(name, []))
    }  # fmt: skip


def from_memory(kernel: Kernel) -> frozenset[str]:
    """Variables whose values come out of memory or from other lanes, directly or through assignments."""
    found: set[str] = set()
    before = -1
    while len(found) != before:
        before = len(found)
        for stmt in walk(kernel.body):
            match stmt:
                case Load(var=var) | WarpOp(var=var):
                    found.add(var.name)
                case Atomic(var=var) if var is not None:
                    found.add(var.name)
                case Assign(var=var, value=value):
                    if any(isinstance(e, Ref) and e.var.name in found for e in subexpressions(value)):
                        found.add(var.name)
    return frozenset(found)


def uniformity(kernel: Kernel, specials: Mapping[tuple[str, int], Shape]) -> dict[str, Shape]:
    """The shape of every variable. ``specials`` gives those of ``Special`` values that are not uniform."""
    analysis = _Analysis(kernel, specials, True)
    analysis.locals = single_assignment_locals(kernel)
    while analysis.changed:
        analysis.changed = False
        analysis.body(kernel.body, False)
    return analysis.shapes
