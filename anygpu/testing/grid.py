"""The completeness grid: everything that KERNEL IR can say x {interp, cpu, nvptx, amdgcn, spirv}.

A cell is filled if the back end makes code of the smallest kernel that says it; the cases show that the code is right. A cell that is
empty must say why in ``UNSUPPORTED``. A new back end adds its column here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from anygpu.codegen.device import DeviceOptions
from anygpu.codegen.offline import recipe
from anygpu.codegen.simt import emit_device
from anygpu.codegen.targets.cpu import CpuOptions, emit_cpu
from anygpu.dtypes import DTYPES, DType, bool_, int32, int64, plain_fields, uint32
from anygpu.errors import CompileError
from anygpu.ir.interp import interpret
from anygpu.ir.kernel import (
    Array,
    Assert,
    Assign,
    Atomic,
    Barrier,
    Block,
    Const,
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
)
from anygpu.ir.ops import ATOMICS, OPERATIONS
from anygpu.ir.verify import WARP_OPERATIONS

SCALARS = [d for d in DTYPES.values() if not d.is_complex]
I = Special("thread", 0)
FULL = Const(0xFFFFFFFF, uint32)


def array(name: str, dtype: DType, space: str = "global") -> Array:
    return Array(name, plain_fields(dtype), dtype.itemsize, 1, space, shape=None if space == "global" else (64,))  # type: ignore[arg-type]


def kernel(body: list[Stmt], *arrays: Array) -> Kernel:
    return Kernel("cell", tuple(a for a in arrays if a.space == "global"), tuple(a for a in arrays if a.space != "global"), tuple(body))


def operation(name: str, dtype: DType) -> Kernel:
    row = OPERATIONS[name]
    kinds = {"select": [bool_, dtype, dtype], "ldexp": [dtype, int32]}.get(name, [dtype] * row.arity)
    given = [Var(f"v{n}", d) for n, d in enumerate(kinds)]
    result = row.result_dtype(kinds)
    loads: list[Stmt] = [Load(v, f"x{n}", (I,)) for n, v in enumerate(given)]
    value = Op(name, tuple(map(Ref, given)), result)
    return kernel([*loads, Store("out", (I,), value)], *(array(f"x{n}", d) for n, d in enumerate(kinds)), array("out", result))


def atomic(name: str, dtype: DType, space: str) -> Kernel:
    v, old = Var("v", dtype), Var("old", dtype)
    operands: tuple[Expr, ...] = (Ref(v),) * (2 if name == "cas" else 1)
    body: list[Stmt] = [Load(v, "x", (I,)), Atomic(old, name, "a", (I,), operands), Store("x", (I,), Ref(old))]
    return kernel(body, array("x", dtype), array("a", dtype, space))


def warp(name: str, dtype: DType) -> Kernel:
    row = WARP_OPERATIONS[name]
    v, found = Var("v", dtype), Var("r", {"bool": bool_, "uint32": uint32}.get(row.result, dtype))
    args: tuple[Expr, ...] = (Ref(v), Const(1, int32))[: row.arity]
    return kernel(
        [Load(v, "x", (I,)), WarpOp(found, name, args, FULL), Store("out", (I,), Ref(found))], array("x", dtype), array("out", found.dtype)
    )


def statements() -> Iterator[tuple[str, Kernel]]:
    n, one, x = Var("n", int64), Const(1, int64), array("x", int64)
    set_n = Assign(n, Op("add", (Ref(n), one), int64))
    store = Store("x", (I,), Ref(n))
    less = Op("lt", (Ref(n), Const(3, int64)), bool_)
    for scope in ("warp", "block", "grid"):
        yield f"barrier {scope}", kernel([set_n, Barrier(scope), store], x)
        yield f"fence {scope}", kernel([set_n, store, Fence(scope), store], x)
    far = Op("add", (I, Const(10**6, int64)), int64)
    yield "prefetch", kernel([Prefetch("x", (far,)), Prefetch("x", (far,), masked=True, write=True), set_n, store], x)
    for reduce in ("count", "and", "or"):
        yield f"barrier {reduce}", kernel([set_n, Barrier("block", reduce, Var("c", int32), less), store], x)
    yield "if", kernel([set_n, If(less, (set_n,), (store,)), store], x)
    for step in (1, -2):
        loop = For(Var("k", int64), Const(0, int64), Const(5 * step, int64), Const(step, int64), (set_n,))
        yield f"for {step}", kernel([loop, store], x)
    yield "while", kernel([While((), less, (set_n,)), store], x)
    yield "block", kernel([Block("b", (set_n, If(less, (Exit("b"),)), set_n)), store], x)
    yield "print", kernel([set_n, Print(("n is ", Ref(n), " and ", Const(1.5, DTYPES["float64"])))], x)
    yield "assert", kernel([set_n, Assert(less, "less")], x)
    for space in ("shared", "local"):
        yield f"{space} array", kernel([set_n, Store("a", (I,), Ref(n)), Load(n, "a", (I,)), store], x, array("a", int64, space))
    table = Array("t", plain_fields(int64), 8, 1, "const", shape=(2,), writeable=False, data=bytes(16))
    yield "const array", kernel([Load(n, "t", (Op("and", (I, one), int64),)), store], x, table)


def rows() -> Iterator[tuple[str, Kernel]]:
    yield from statements()
    for name, row in OPERATIONS.items():
        for dtype in SCALARS:
            if dtype.kind in row.domain:
                yield f"{name} {dtype}", operation(name, dtype)
    for name, kinds in ATOMICS.items():
        for dtype in SCALARS:
            if dtype.kind in kinds:
                for space in ("global", "shared", "local"):
                    yield f"atomic {name} {dtype} {space}", atomic(name, dtype, space)
    for name, warp_row in WARP_OPERATIONS.items():
        for dtype in SCALARS if warp_row.kinds else (int32,):
            if not warp_row.kinds or dtype.kind in warp_row.kinds:
                yield f"{name} {dtype}", warp(name, dtype)


# ----------------------------------------------------------------------------------------------------------------------------- columns


def on_interpreter(given: Kernel) -> None:
    arguments = [np.zeros(32, p.dtype.numpy) for p in given.params]
    interpret(given, arguments, (1, 1, 1), (32, 1, 1))


def on_cpu(given: Kernel) -> None:
    assert "define" in emit_cpu(given, CpuOptions(32, "aligned", True, True, 32), "x86_64-unknown-linux-gnu").text


def on_device(architecture: str) -> Callable[[Kernel], None]:
    def emit(given: Kernel) -> None:
        assert f"@ag_{given.name}(" in emit_device(given, recipe(architecture).target, DeviceOptions()).text

    return emit


ARCHITECTURES = {"nvptx": "sm_90", "amdgcn": "gfx942", "spirv": "spirv"}
COLUMNS: dict[str, Callable[[Kernel], None]] = {
    "interp": on_interpreter, "cpu": on_cpu, **{name: on_device(architecture) for name, architecture in ARCHITECTURES.items()},
}  # fmt: skip
UNSUPPORTED: dict[tuple[str, str], str] = {("spirv", "barrier grid"): recipe("spirv").target.unsupported["grid_barrier"]}


def how(column: str, name: str, given: Kernel) -> str:
    """What a back end makes of a row: ``yes``, ``loop`` (an atomic that compares and swaps until nobody came in between), or why not."""
    try:
        COLUMNS[column](given)
    except CompileError as error:
        reason = UNSUPPORTED.get((column, name))
        if reason is None or reason not in str(error):
            raise
        return reason
    target = recipe(ARCHITECTURES[column]).target if column in ARCHITECTURES else None
    if target is None or not name.startswith("atomic ") or name.endswith(" local"):
        return "yes"
    _, op, dtype, _ = name.split(" ")
    one = (op, dtype) in target.atomics or (op == "cas" and DTYPES[dtype].bits >= 32)
    return "yes" if one else "loop"
