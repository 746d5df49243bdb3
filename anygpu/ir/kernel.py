"""KERNEL IR: what one work-item does, as structured statements over scalar variables.

Expressions are pure trees. Whatever touches memory, other work-items or the outside is a statement with a destination
variable, so that the order of effects is the order of statements, and each carries its source location.

Control flow is structured and has one jump: ``Exit(label)`` leaves the ``Block`` of that label. ``break`` leaves a block
around the loop, ``continue`` a block that is the loop's body, ``return`` a block around an inlined function. So masks (CPU), branches
(GPU) and the interpreter read the same program.

Complex numbers and structures do not exist here: the frontend splits them into their scalars; an array whose elements are
records names the field that an access means.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from anygpu.dtypes import DType, Field, bool_, int64
from anygpu.errors import UNKNOWN, Location

Space = Literal["global", "shared", "local", "const"]
Scope = Literal["warp", "block", "grid"]
SpecialName = Literal["thread", "block", "block_dim", "grid_dim", "lane", "warp", "index", "extent"]


# ---------------------------------------------------------------------------------------------------------- values


@dataclass(frozen=True, slots=True)
class Var:
    """A scalar variable of one work-item. Names are unique within a kernel."""

    name: str
    dtype: DType


@dataclass(frozen=True, slots=True)
class Array:
    """An array that a kernel reads or writes.

    ``fields`` are the scalars of one element (one of offset 0 for a plain dtype). ``shape`` is known for shared, local and
    const arrays and None for parameters; a shared array of shape ``(0,)`` takes the launch's dynamic shared memory.
    ``layout`` is "C" if a parameter is known to be C-contiguous, "A" for any strides. ``data`` holds a const array's bytes.
    """

    name: str
    fields: tuple[Field, ...]
    itemsize: int
    ndim: int
    space: Space = "global"
    layout: Literal["C", "A"] = "C"
    shape: tuple[int, ...] | None = None
    writeable: bool = True
    data: bytes | None = None

    @property
    def dtype(self) -> DType:
        """The dtype of a plain array (the first field's)."""
        return self.fields[0].dtype


# ----------------------------------------------------------------------------------------------------- expressions


@dataclass(frozen=True, slots=True)
class Const:
    """A literal; ``value`` is a Python bool, int or float that ``dtype`` represents exactly."""

    value: bool | int | float
    dtype: DType


@dataclass(frozen=True, slots=True)
class Ref:
    """The value of a variable."""

    var: Var

    @property
    def dtype(self) -> DType:
        return self.var.dtype


@dataclass(frozen=True, slots=True)
class Op:
    """An operation of ``anygpu.ir.ops.OPERATIONS`` on operands of the dtypes that its row asks for."""

    name: str
    args: tuple[Expr, ...]
    dtype: DType


@dataclass(frozen=True, slots=True)
class Cast:
    """Conversion by value (see ``ops.saturating_cast``)."""

    arg: Expr
    dtype: DType


@dataclass(frozen=True, slots=True)
class Bitcast:
    """The same bits as another dtype of the same size."""

    arg: Expr
    dtype: DType


@dataclass(frozen=True, slots=True)
class Special:
    """Where this work-item stands: an int64. ``axis`` 0, 1, 2 are x, y, z.

    ``thread`` and ``block`` are indices, ``block_dim`` and ``grid_dim`` extents, ``lane`` the position in the warp and ``warp`` the
    warp's in the block. ``index`` and ``extent`` belong to a range launch (``forall``) and count its axes from the outermost.
    """

    name: SpecialName
    axis: int = 0
    dtype: DType = int64


@dataclass(frozen=True, slots=True)
class Dim:
    """The extent of an array along an axis, an int64."""

    array: str
    axis: int
    dtype: DType = int64


Expr = Const | Ref | Op | Cast | Bitcast | Special | Dim


# ------------------------------------------------------------------------------------------------------ statements


@dataclass(frozen=True, slots=True)
class Assign:
    var: Var
    value: Expr
    loc: Location = UNKNOWN


@dataclass(frozen=True, slots=True)
class Load:
    """``var = array[index].field``. A checked access out of bounds is recorded as an error and gives 0."""

    var: Var
    array: str
    index: tuple[Expr, ...]
    field: int = 0
    checked: bool = True
    loc: Location = UNKNOWN


@dataclass(frozen=True, slots=True)
class Store:
    """``array[index].field = value``. A checked access out of bounds is recorded as an error and writes nothing."""

    array: str
    index: tuple[Expr, ...]
    value: Expr
    field: int = 0
    checked: bool = True
    loc: Location = UNKNOWN


@dataclass(frozen=True, slots=True)
class Prefetch:
    """A hint that ``array[index]`` will be needed soon. It changes nothing, and the index may be out of bounds.

    ``masked``: only of use where lanes are masked, as processors foresee no accesses that are. ``write``: it will be stored to.
    """

    array: str
    index: tuple[Expr, ...]
    masked: bool = False
    write: bool = False
    loc: Location = UNKNOWN


@dataclass(frozen=True, slots=True)
class Atomic:
    """A read-modify-write of ``ops.ATOMICS``; ``var`` takes the old value. ``cas`` has operands (expected, desired)."""

    var: Var | None
    op: str
    array: str
    index: tuple[Expr, ...]
    operands: tuple[Expr, ...]
    field: int = 0
    checked: bool = True
    loc: Location = UNKNOWN


@dataclass(frozen=True, slots=True)
class Barrier:
    """All work-items of the scope arrive before any goes on; memory is consistent afterwards.

    With ``reduce``, ``var`` (int32) takes the count of work-items whose bool ``value`` held, or 1/0 for "and" and "or".
    """

    scope: Scope
    reduce: Literal["count", "and", "or"] | None = None
    var: Var | None = None
    value: Expr | None = None
    loc: Location = UNKNOWN


@dataclass(frozen=True, slots=True)
class Fence:
    """This work-item's writes before it become visible to ``scope`` ("grid": the device) before its writes after it."""

    scope: Scope
    loc: Location = UNKNOWN


@dataclass(frozen=True, slots=True)
class WarpOp:
    """An exchange among the active lanes of a warp, of those named in ``mask`` (uint32).

    shfl (value, source lane), shfl_up/shfl_down (value, delta), shfl_xor (value, lane mask), each within segments of ``width`` lanes:
    a source outside the segment or not active gives the lane's own value. any/all (bool) -> bool, ballot (bool) -> uint32, match_any
    (value) -> uint32, match_all (value) -> uint32 (0 unless all agree), activemask () -> uint32, reduce_{add,min,max,and,or,xor} (value)
    -> the value's dtype, combined in lane order.
    """

    var: Var
    op: str
    args: tuple[Expr, ...]
    mask: Expr
    width: int = 32
    loc: Location = UNKNOWN


@dataclass(frozen=True, slots=True)
class If:
    cond: Expr
    then: tuple[Stmt, ...]
    orelse: tuple[Stmt, ...] = ()
    loc: Location = UNKNOWN


@dataclass(frozen=True, slots=True)
class For:
    """``for var in range(start, stop, step)``: bounds are evaluated once; the body does not assign ``var``. A step of 0 runs nothing."""

    var: Var
    start: Expr
    stop: Expr
    step: Expr
    body: tuple[Stmt, ...]
    loc: Location = UNKNOWN


@dataclass(frozen=True, slots=True)
class While:
    """Run ``before`` (which computes the condition's parts), stop unless ``cond``, run ``body``, and again."""

    before: tuple[Stmt, ...]
    cond: Expr
    body: tuple[Stmt, ...]
    loc: Location = UNKNOWN


@dataclass(frozen=True, slots=True)
class Block:
    """A labelled region; ``Exit(label)`` inside goes to its end. Labels are unique within a kernel."""

    label: str
    body: tuple[Stmt, ...]
    loc: Location = UNKNOWN


@dataclass(frozen=True, slots=True)
class Exit:
    label: str
    loc: Location = UNKNOWN


@dataclass(frozen=True, slots=True)
class Print:
    """Text and values, in order; a line a work-item."""

    parts: tuple[str | Expr, ...]
    loc: Location = UNKNOWN


@dataclass(frozen=True, slots=True)
class Assert:
    cond: Expr
    message: str
    loc: Location = UNKNOWN


Stmt = Assign | Load | Store | Prefetch | Atomic | Barrier | Fence | WarpOp | If | For | While | Block | Exit | Print | Assert
Body = tuple[Stmt, ...]


@dataclass(frozen=True, slots=True)
class Kernel:
    """A whole kernel: parameters in order (arrays and scalars), the arrays it declares, and its body.

    ``range_ndim`` is 0 for a grid launch, else the number of axes of the range that ``index`` and ``extent`` speak of; the
    launch then guards the body (no work-item outside the range runs it).
    """

    name: str
    params: tuple[Array | Var, ...]
    declared: tuple[Array, ...]
    body: Body
    range_ndim: int = 0
    loc: Location = field(default=UNKNOWN, compare=False)

    def arrays(self) -> dict[str, Array]:
        """Every array by name: parameters first, then declared ones."""
        return {a.name: a for a in (*self.params, *self.declared) if isinstance(a, Array)}


# --------------------------------------------------------------------------------------------------------- walking


def children(stmt: Stmt) -> tuple[Body, ...]:
    """The bodies nested directly in a statement, in order of execution."""
    match stmt:
        case If():
            return (stmt.then, stmt.orelse)
        case While():
            return (stmt.before, stmt.body)
        case For() | Block():
            return (stmt.body,)
        case _:
            return ()


def walk(body: Body) -> Iterator[Stmt]:
    """Every statement, outer before inner, in textual order."""
    for stmt in body:
        yield stmt
        for inner in children(stmt):
            yield from walk(inner)


def operands(stmt: Stmt) -> tuple[Expr, ...]:
    """The expressions that a statement itself evaluates (not those of nested statements)."""
    match stmt:
        case Assign(value=value):
            return (value,)
        case Load(index=index) | Prefetch(index=index):
            return index
        case Store(index=index, value=value):
            return (*index, value)
        case Atomic(index=index, operands=given):
            return (*index, *given)
        case Barrier(value=value):
            return () if value is None else (value,)
        case WarpOp(args=args, mask=mask):
            return (*args, mask)
        case If(cond=cond) | While(cond=cond) | Assert(cond=cond):
            return (cond,)
        case For(start=start, stop=stop, step=step):
            return (start, stop, step)
        case Print(parts=parts):
            return tuple(p for p in parts if not isinstance(p, str))
        case _:
            return ()


def assigned(stmt: Stmt) -> Var | None:
    """The variable that a statement itself sets, if any."""
    match stmt:
        case Assign(var=var) | Load(var=var) | WarpOp(var=var) | For(var=var):
            return var
        case Atomic(var=var) | Barrier(var=var):
            return var
        case _:
            return None


def subexpressions(expr: Expr) -> Iterator[Expr]:
    """``expr`` and everything inside it, outer first."""
    yield expr
    match expr:
        case Op(args=args):
            for arg in args:
                yield from subexpressions(arg)
        case Cast(arg=arg) | Bitcast(arg=arg):
            yield from subexpressions(arg)


def is_true(expr: Expr) -> bool:
    return isinstance(expr, Const) and expr.dtype is bool_ and bool(expr.value)


@dataclass(frozen=True, slots=True)
class Function:
    """A pure function to be expanded in place: parameters, a body of assignments and control flow, and its result.

    ``declared`` holds the constant tables that its body reads.
    """

    name: str
    params: tuple[Var, ...]
    body: Body
    result: Expr
    declared: tuple[Array, ...] = ()
