"""What the words of the vocabulary mean: positions, barriers, shared memory, atomics, warps, bits."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence

from anygpu.config import SHARED_LIMIT
from anygpu.dtypes import DType, bool_, int32, int64, plain_fields, uint32
from anygpu.frontend import arithmetic, indexing
from anygpu.frontend.arithmetic import convert_expr, number, real, truth
from anygpu.frontend.binding import NONE
from anygpu.frontend.calls import as_dtype
from anygpu.frontend.context import KernelError, Scope
from anygpu.frontend.expressions import static_integer
from anygpu.frontend.types import BoundMethod, Complex, Object, Scalar, Tuple, Value, View, describe
from anygpu.ir import build
from anygpu.ir.kernel import Array, Barrier, Const, Expr, Fence, Ref, Special, WarpOp

Arguments = Sequence[Value]
Handler = Callable[[Scope, Arguments, ast.AST], Value]


def _count(args: Arguments, low: int, high: int, what: str) -> None:
    if not low <= len(args) <= high:
        wanted = str(low) if low == high else f"{low} to {high}"
        raise KernelError(f"ag.{what} takes {wanted} argument{'s' if high != 1 else ''}, not {len(args)}")


# ------------------------------------------------------------------------------------------------------------------------ positions


def _absolute(axis: int) -> Expr:
    return build.op("add", build.op("mul", Special("block", axis), Special("block_dim", axis)), Special("thread", axis))


def _per_axis(scope: Scope, args: Arguments, what: str, grid: Callable[[int], Expr], in_range: Callable[[int], Expr]) -> Value:
    _count(args, 1, 1, what)
    count = static_integer(args[0], f"the number of axes of ag.{what}")
    ndim = scope.shared.range_ndim
    if ndim:
        if count != ndim:
            raise KernelError(
                f"ag.{what}({count}) in a range of {ndim} {'axis' if ndim == 1 else 'axes'}",
                f"this kernel was launched with forall over {ndim} {'axis' if ndim == 1 else 'axes'}: use ag.{what}({ndim})",
            )
        exprs = [in_range(axis) for axis in range(count)]
    else:
        if not 1 <= count <= 3:
            raise KernelError(f"ag.{what} takes 1, 2 or 3 axes, not {count}", "use forall(shape) for ranges of more axes")
        exprs = [grid(axis) for axis in range(count)]
    items = tuple(Scalar(scope.pin(e)) for e in exprs)
    return items[0] if count == 1 else Tuple(items)


def _grid(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    return _per_axis(scope, args, "grid", _absolute, lambda axis: Special("index", axis))


def _gridsize(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    def extent(axis: int) -> Expr:
        return build.op("mul", Special("block_dim", axis), Special("grid_dim", axis))

    return _per_axis(scope, args, "gridsize", extent, lambda axis: Special("extent", axis))


# --------------------------------------------------------------------------------------------------------------------------- arrays


def declare(scope: Scope, space: str, args: Arguments, kwargs: dict[str, Value], node: ast.AST) -> Value:
    """``ag.shared.array(shape, dtype)`` and ``ag.local.array(shape, dtype)``."""
    given = dict(zip(("shape", "dtype"), args, strict=False)) | kwargs
    if set(given) != {"shape", "dtype"} or len(args) > 2:
        raise KernelError(f"ag.{space}.array takes a shape and a dtype")
    shape_value = given["shape"]
    items = shape_value.items if isinstance(shape_value, Tuple) else (shape_value,)
    shape = tuple(static_integer(item, f"the shape of a {space} array") for item in items)
    dtype_value = given["dtype"]
    dtype = as_dtype(dtype_value.value) if isinstance(dtype_value, Object) else None
    if dtype is None:
        raise KernelError(f"{describe(dtype_value)} is not a dtype for a {space} array", "write np.float32, ag.bfloat16 or the like")
    if any(n < 0 for n in shape):
        raise KernelError(f"the shape of a {space} array must not be negative: {shape}")
    if not 1 <= len(shape) <= 8:
        raise KernelError(f"a {space} array has 1 to 8 axes, not {len(shape)}")
    dynamic = shape == (0,) and space == "shared"
    if 0 in shape and not dynamic:
        raise KernelError(
            f"a {space} array must not be empty: {shape}", "ag.shared.array(0, dtype) takes the dynamic shared memory of the launch"
        )
    total = dtype.itemsize
    for n in shape:
        total *= n
    limit = {"shared": SHARED_LIMIT, "local": LOCAL_LIMIT}[space]
    if total > limit:
        hint = "use a smaller tile" if space == "shared" else "pass a global array with one row per work-item"
        raise KernelError(f"a {space} array of shape {shape} and dtype {dtype} needs {total:,} bytes; the limit is {limit:,}", hint)
    used = total + sum(_bytes(a) for a in scope.shared.declared if a.space == space)
    if used > limit:
        raise KernelError(
            f"the {space} arrays of this kernel need {used:,} bytes; the limit is {limit:,}", "reuse one array, or use smaller tiles"
        )
    name = scope.shared.unique(_name_given(scope, node) or space)
    array = Array(name, plain_fields(dtype), dtype.itemsize, len(shape), space, "C", shape)  # type: ignore[arg-type]
    scope.shared.declared.append(array)
    return indexing.whole(array, dtype)


def _name_given(scope: Scope, node: ast.AST) -> str | None:
    """The variable that a call's result is assigned to, so that messages call the array what its author does."""
    for stmt in ast.walk(scope.source.node):
        match stmt:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if value is node:
                return name
            case _:
                continue
    return None


LOCAL_LIMIT = 64 * 1024


def _bytes(array: Array) -> int:
    total = array.itemsize
    for n in array.shape or ():
        total *= n
    return total


def _array_like(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    _count(args, 1, 1, "const.array_like")
    if not isinstance(args[0], View) or args[0].array.space != "const":
        raise KernelError(f"ag.const.array_like takes a captured NumPy array, not {describe(args[0])}")
    return args[0]


# ------------------------------------------------------------------------------------------------------------------------- barriers


def _syncthreads(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    _count(args, 0, 0, "syncthreads")
    scope.emit(Barrier("block", loc=scope.locate(node)))
    return NONE


def _sync_reduce(kind: str) -> Handler:
    def handle(scope: Scope, args: Arguments, node: ast.AST) -> Value:
        _count(args, 1, 1, f"syncthreads_{kind}")
        var = scope.temporary(int32, f"sync_{kind}")
        scope.emit(Barrier("block", kind, var, truth(scope, args[0]), scope.locate(node)))  # type: ignore[arg-type]
        return Scalar(Ref(var))

    return handle


def _syncwarp(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    _count(args, 0, 1, "syncwarp")
    scope.emit(Barrier("warp", loc=scope.locate(node)))
    return NONE


def _fence(scope_name: str) -> Handler:
    def handle(scope: Scope, args: Arguments, node: ast.AST) -> Value:
        _count(args, 0, 0, "threadfence")
        scope.emit(Fence(scope_name, scope.locate(node)))  # type: ignore[arg-type]
        return NONE

    return handle


def _this_grid(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    _count(args, 0, 0, "cg.this_grid")
    return BoundMethods(("sync",))


def BoundMethods(names: tuple[str, ...]) -> Value:
    """The grid object of cooperative groups: a structure whose one method is ``sync``."""
    return Tuple((BoundMethod(Object("grid"), names[0]),), None, names)


# ---------------------------------------------------------------------------------------------------------------------------- warps


def _mask(value: Value) -> Expr:
    given = real(value, "a lane mask")
    if given.weak and isinstance(given.constant, int):
        return build.constant(given.constant, uint32)
    if not given.dtype.is_integer:
        raise KernelError(f"a lane mask must be an integer, not {describe(given)}")
    return build.cast(given.expr, uint32)


def _warp(scope: Scope, op: str, args: tuple[Expr, ...], mask: Expr, dtype: DType, node: ast.AST, width: int = 32) -> Expr:
    var = scope.temporary(dtype, op)
    scope.emit(WarpOp(var, op, args, mask, width, scope.locate(node)))
    return Ref(var)


def _shuffle(op: str) -> Handler:
    def handle(scope: Scope, args: Arguments, node: ast.AST) -> Value:
        _count(args, 3, 4, f"{op}_sync")
        width = static_integer(args[3], "the width of a shuffle") if len(args) == 4 else 32
        if width not in (1, 2, 4, 8, 16, 32):
            raise KernelError(f"the width of a shuffle is a power of two up to 32, not {width}")
        mask = scope.pin(_mask(args[0]))
        other = scope.pin(convert_expr(real(args[2], "the lane of a shuffle"), int32))
        if op == "shfl":  # lanes count from the segment's start, around and around, as in CUDA
            last = Const(width - 1, int32)
            other = Const(int(other.value) % width, int32) if isinstance(other, Const) else scope.pin(build.op("and", other, last))
        value = arithmetic.strong_number(number(args[1], f"ag.{op}_sync"))
        if isinstance(value, Complex):
            re, im = (_warp(scope, op, (part, other), mask, part.dtype, node, width) for part in (value.real, value.imag))
            return Complex(re, im)
        return Scalar(_warp(scope, op, (value.expr, other), mask, value.dtype, node, width))

    return handle


def _vote(op: str, dtype: DType) -> Handler:
    def handle(scope: Scope, args: Arguments, node: ast.AST) -> Value:
        _count(args, 2, 2, f"{op}_sync")
        return Scalar(_warp(scope, op, (truth(scope, args[1]),), _mask(args[0]), dtype, node))

    return handle


def _eq_sync(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    _count(args, 2, 2, "eq_sync")
    mask, predicate = scope.pin(_mask(args[0])), scope.pin(truth(scope, args[1]))
    all_set = _warp(scope, "all", (predicate,), mask, bool_, node)
    any_set = _warp(scope, "any", (predicate,), mask, bool_, node)
    return Scalar(build.op("eq", all_set, any_set))


def _match(op: str) -> Handler:
    def handle(scope: Scope, args: Arguments, node: ast.AST) -> Value:
        _count(args, 2, 2, f"{op}_sync")
        value = arithmetic.strong_number(real(args[1], f"ag.{op}_sync"))
        assert isinstance(value, Scalar)
        found = _warp(scope, op, (value.expr,), _mask(args[0]), uint32, node)
        if op == "match_any":
            return Scalar(found)
        return Tuple((Scalar(found), Scalar(build.truth(found))))

    return handle


def _reduce(op: str) -> Handler:
    def handle(scope: Scope, args: Arguments, node: ast.AST) -> Value:
        _count(args, 2, 2, f"reduce_{op}_sync")
        value = arithmetic.strong_number(real(args[1], f"ag.reduce_{op}_sync"))
        assert isinstance(value, Scalar)
        expr = build.cast(value.expr, int64) if value.dtype is bool_ else value.expr
        if op in ("and", "or", "xor") and expr.dtype.is_float:
            raise KernelError(f"ag.reduce_{op}_sync takes integers, not {describe(value)}")
        return Scalar(_warp(scope, f"reduce_{op}", (expr,), _mask(args[0]), expr.dtype, node))

    return handle


def _activemask(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    _count(args, 0, 0, "activemask")
    return Scalar(_warp(scope, "activemask", (), Const(0xFFFFFFFF, uint32), uint32, node))


def _lanemask_lt(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    _count(args, 0, 0, "lanemask_lt")
    one = Const(1, uint32)
    return Scalar(build.op("sub", build.op("shl", one, build.cast(Special("lane"), uint32)), one))


# ----------------------------------------------------------------------------------------------------------------------------- bits


def _bits(op: str) -> Handler:
    def handle(scope: Scope, args: Arguments, node: ast.AST) -> Value:
        _count(args, 1, 1, op)
        value = arithmetic.strong_number(real(args[0], f"ag.{op}"))
        assert isinstance(value, Scalar)
        if not value.dtype.is_integer:
            raise KernelError(f"ag.{op} takes an integer, not {describe(value)}")
        if op == "ffs":
            x = scope.pin(value.expr)
            found = build.op("add", build.op("ctz", x), Const(1, int32))
            return Scalar(build.op("select", build.truth(x), found, Const(0, int32)))
        return Scalar(build.op(op, value.expr))

    return handle


def _mulhi(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    _count(args, 2, 2, "mulhi")
    a, b = real(args[0], "ag.mulhi"), real(args[1], "ag.mulhi")
    dtype, _ = arithmetic.common_dtype(a, b)
    if not dtype.is_integer:
        raise KernelError(f"ag.mulhi takes integers, not {describe(a)} and {describe(b)}")
    return Scalar(build.op("mulhi", convert_expr(a, dtype), convert_expr(b, dtype)))


def _bitcast(scope: Scope, args: Arguments, node: ast.AST) -> Value:
    _count(args, 2, 2, "bitcast")
    value = arithmetic.strong_number(real(args[0], "ag.bitcast"))
    assert isinstance(value, Scalar)
    target = args[1].value if isinstance(args[1], Object) else None
    word = getattr(target, "__anygpu_word__", None)
    dtype = as_dtype(word if isinstance(word, str) else target)
    if dtype is None or dtype.bits != value.dtype.bits or bool_ in (dtype, value.dtype) or dtype.is_complex:
        raise KernelError(
            f"ag.bitcast cannot take {describe(value)} to {dtype or describe(args[1])}",
            "both need the same size; bool and complex have none",
        )
    return Scalar(build.bitcast(value.expr, dtype))


WORD_CALLS: dict[str, Handler] = {
    "grid": _grid, "gridsize": _gridsize, "const.array_like": _array_like,
    "syncthreads": _syncthreads, "syncthreads_count": _sync_reduce("count"), "syncthreads_and": _sync_reduce("and"),
    "syncthreads_or": _sync_reduce("or"),
    "syncwarp": _syncwarp, "threadfence": _fence("grid"), "threadfence_block": _fence("block"), "threadfence_system": _fence("grid"),
    "cg.this_grid": _this_grid,
    "shfl_sync": _shuffle("shfl"), "shfl_up_sync": _shuffle("shfl_up"), "shfl_down_sync": _shuffle("shfl_down"),
    "shfl_xor_sync": _shuffle("shfl_xor"),
    "all_sync": _vote("all", bool_), "any_sync": _vote("any", bool_), "ballot_sync": _vote("ballot", uint32), "eq_sync": _eq_sync,
    "match_any_sync": _match("match_any"), "match_all_sync": _match("match_all"), "activemask": _activemask, "lanemask_lt": _lanemask_lt,
    **{f"reduce_{op}_sync": _reduce(op) for op in ("add", "min", "max", "and", "or", "xor")},
    "popc": _bits("popc"), "clz": _bits("clz"), "ffs": _bits("ffs"), "brev": _bits("brev"), "mulhi": _mulhi, "umulhi": _mulhi,
    "bitcast": _bitcast,
}  # fmt: skip

__all__ = ["LOCAL_LIMIT", "WORD_CALLS", "declare"]
