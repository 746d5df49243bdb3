"""What the verifier accepts and refuses: each rule with a kernel that breaks it alone."""

from __future__ import annotations

import math

import pytest

from anygpu.dtypes import Field, bool_, complex64, float16, float32, float64, int8, int16, int32, int64, plain_fields, uint8, uint32
from anygpu.errors import InternalError, Location
from anygpu.ir.kernel import (
    Array,
    Assert,
    Assign,
    Atomic,
    Barrier,
    Bitcast,
    Block,
    Cast,
    Const,
    Dim,
    Exit,
    Fence,
    For,
    If,
    Kernel,
    Load,
    Op,
    Print,
    Ref,
    Special,
    Store,
    Var,
    WarpOp,
    While,
)
from anygpu.ir.verify import constant_fits, faults, verify

ZERO = Const(0, int64)
ONE = Const(1.0, float32)
TRUE = Const(True, bool_)
ALL = Const(0xFFFFFFFF, uint32)
X = Array("x", plain_fields(float32), 4, 1)
READ_ONLY = Array("r", plain_fields(float32), 4, 1, writeable=False)
V = Var("v", float32)
I = Var("i", int64)
B = Var("b", bool_)


def kernel(*body, declared=(), params=(X, READ_ONLY), range_ndim=0):
    return Kernel("k", tuple(params), tuple(declared), tuple(body), range_ndim)


def test_a_well_formed_kernel_of_every_statement():
    tile = Array("tile", plain_fields(int32), 4, 2, "shared", shape=(4, 8))
    table = Array("table", plain_fields(float32), 4, 1, "const", shape=(2,), writeable=False, data=bytes(8))
    n = Var("n", int32)
    u = Var("u", uint32)
    verify(
        kernel(
            Assign(I, Special("thread", 1)),
            Load(V, "x", (Ref(I),)),
            Load(V, "table", (Cast(Ref(I), int32),), checked=False),
            Store("x", (Ref(I),), Op("fma", (Ref(V), Ref(V), ONE), float32)),
            Atomic(n, "add", "tile", (ZERO, ZERO), (Const(1, int32),)),
            Atomic(None, "cas", "tile", (ZERO, ZERO), (Const(1, int32), Const(2, int32))),
            Barrier("grid"),
            Barrier("block", "count", n, TRUE),
            Fence("grid"),
            WarpOp(V, "shfl_down", (Ref(V), Const(1, int32)), ALL, 16),
            WarpOp(u, "ballot", (TRUE,), ALL),
            WarpOp(u, "activemask", (), ALL),
            If(Op("lt", (Ref(I), Dim("x", 0)), bool_), (Print(("v = ", Ref(V))),), (Print(()),)),
            Block("end", (For(I, ZERO, Dim("x", 0), Const(1, int64), (If(TRUE, (Exit("end"),)),)),)),
            While((Assign(B, TRUE),), Ref(B), (Assert(TRUE, "fine"),)),
            Assign(Var("w", uint32), Bitcast(Ref(V), uint32)),
            declared=(tile, table),
        )
    )


def test_a_variable_that_one_path_assigns_may_be_read():
    verify(kernel(If(TRUE, (Assign(V, ONE),)), Store("x", (ZERO,), Ref(V))))


BROKEN = [
    (Assign(V, ZERO), "variable 'v' is float32 but the value is int64"),
    (Assign(I, Ref(Var("unknown", int64))), "variable 'unknown' is never assigned"),
    (Store("x", (ZERO,), Const(1.0, float64)), "element is float32 but the value is float64"),
    (Store("r", (ZERO,), ONE), "array 'r' is read-only"),
    (Store("nowhere", (ZERO,), ONE), "there is no array 'nowhere'"),
    (Store("x", (ZERO, ZERO), ONE), "array 'x' has 1 axes but 2 indices are given"),
    (Store("x", (Const(0, uint8),), ONE), "index 0 is uint8"),
    (Store("x", (ZERO,), ONE, field=1), "array 'x' has no field 1"),
    (Load(I, "x", (ZERO,)), "variable 'i' is int64 but the value is float32"),
    (Load(V, "x", ()), "array 'x' has 1 axes but 0 indices are given"),
    (Atomic(None, "and", "x", (ZERO,), (ONE,)), "atomic and is not defined for float32"),
    (Atomic(None, "twist", "x", (ZERO,), (ONE,)), "there is no atomic 'twist'"),
    (Atomic(None, "cas", "x", (ZERO,), (ONE,)), "atomic cas takes 2 operands, not 1"),
    (Atomic(None, "add", "x", (ZERO,), (ZERO,)), "the element is float32 but the value is int64"),
    (Atomic(I, "add", "x", (ZERO,), (ONE,)), "variable 'i' is int64"),
    (Atomic(None, "add", "r", (ZERO,), (ONE,)), "array 'r' is read-only"),
    (Barrier("block", "count"), "a reducing barrier has a variable and a value"),
    (Barrier("block", None, Var("n", int32), TRUE), "a barrier that reduces nothing"),
    (Barrier("grid", "or", Var("n", int32), TRUE), "only a block's barrier reduces"),
    (Barrier("block", "or", Var("n", int64), TRUE), "variable 'n' is int64 but the value is int32"),
    (Barrier("block", "or", Var("n", int32), ONE), "the reduced value is float32"),
    (Barrier("cluster"), "unknown scope 'cluster'"),
    (Fence("everything"), "unknown scope 'everything'"),
    (WarpOp(V, "shfl", (ONE, ZERO), ALL, 12), "the width 12"),
    (WarpOp(V, "shfl", (ONE, ONE), ALL), "the lane operand is float32"),
    (WarpOp(V, "shfl", (ONE,), ALL), "shfl takes 2 operands, not 1"),
    (WarpOp(V, "any", (TRUE,), ALL), "variable 'v' is float32 but the value is bool"),
    (WarpOp(B, "any", (ONE,), ALL), "any is not defined for float32"),
    (WarpOp(B, "any", (TRUE,), Const(1, int32)), "the mask is int32"),
    (WarpOp(V, "reduce_add", (ONE,), ALL, 16), "reduce_add has no width"),
    (WarpOp(V, "reduce_xor", (ONE,), ALL), "reduce_xor is not defined for float32"),
    (WarpOp(V, "gossip", (ONE,), ALL), "there is no warp operation 'gossip'"),
    (If(ONE, ()), "the condition is float32, not bool"),
    (While((), ZERO, ()), "the condition is int64, not bool"),
    (Assert(ONE, ""), "the condition is float32, not bool"),
    (For(V, ONE, ONE, ONE, ()), "the loop variable 'v' is float32"),
    (For(I, ZERO, ZERO, Const(1, int32), ()), "(step) is int64 but the value is int32"),
    (For(I, ZERO, ZERO, ZERO, (If(TRUE, (Assign(I, ZERO),)),)), "the loop variable 'i' is assigned in its loop"),
    (For(I, ZERO, ZERO, ZERO, (For(I, ZERO, ZERO, ZERO, ()),)), "the loop variable 'i' is assigned in its loop"),
    (Exit("a"), "exit 'a' is not inside a block of that label"),
    (Assign(I, Op("add", (ZERO, ONE), int64)), "add takes operands of one dtype"),
    (Assign(I, Op("add", (ZERO, ZERO), int32)), "add of int64, int64 is int64, not int32"),
    (Assign(I, Op("conjure", (ZERO,), int64)), "there is no operation 'conjure'"),
    (Assign(I, Op("neg", (), int64)), "neg takes 1 operands, not 0"),
    (Assign(I, Op("floor", (ZERO,), int64)), "floor is not defined for int64"),
    (Assign(I, Special("thread", 3)), "thread has no axis 3"),
    (Assign(I, Special("lane", 1)), "lane has no axis 1"),
    (Assign(I, Special("index", 0)), "index has no axis 0 in a launch of 0 range axes"),
    (Assign(Var("s", int16), Special("thread", 0, int16)), "thread is int64 or int32, not int16"),
    (Assign(I, Dim("x", 1)), "array 'x' has no axis 1"),
    (Assign(I, Dim("y", 0)), "there is no array 'y'"),
    (Assign(Var("s", int8), Const(128, int8)), "int8 does not represent 128"),
    (Assign(Var("s", uint8), Bitcast(ZERO, uint8)), "no bitcast from int64 to uint8"),
    (Assign(B, Bitcast(Const(1, uint8), bool_)), "no bitcast from uint8 to bool"),
    (Assign(Var("c", complex64), Cast(ONE, complex64)), "no cast from float32 to complex64"),
    (Print((Ref(Var("unknown", int64)),)), "variable 'unknown' is never assigned"),
]


@pytest.mark.parametrize(("stmt", "message"), BROKEN, ids=[message for _, message in BROKEN])
def test_a_broken_statement_is_named(stmt, message):
    with pytest.raises(InternalError, match="not well-formed") as caught:
        verify(kernel(stmt))
    assert message in str(caught.value)


def test_names_labels_and_dtypes_are_unique():
    broken = kernel(
        Block("a", (Block("a", ()),)),
        Assign(V, ONE),
        Assign(Var("v", float64), Const(1.0, float64)),
        Assign(Var("x", float32), ONE),
        params=(X, X),
    )
    messages = [fault.message for fault in faults(broken)]
    assert messages == [
        "the name 'x' is declared twice",
        "the label 'a' is used twice",
        "variable 'v' is float32 elsewhere and float64 here",
        "'x' names both a variable and an array",
    ]


def test_an_exit_after_its_block_is_outside_it():
    messages = [fault.message for fault in faults(kernel(Block("a", ()), Exit("a")))]
    assert messages == ["exit 'a' is not inside a block of that label"]


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (Array("a", plain_fields(float32), 4, 1, "shared"), "a declared array has a shape"),
        (Array("a", plain_fields(float32), 4, 2, "shared", shape=(3,)), "ndim is 2 but the shape is (3,)"),
        (Array("a", plain_fields(float32), 4, 1, "shared", shape=(-3,)), "has a negative extent"),
        (Array("a", plain_fields(float32), 4, 1, "local", "A", (3,)), "a declared array is C-contiguous"),
        (Array("a", plain_fields(float32), 4, 1, "global", shape=(3,)), "only parameters lie in global memory"),
        (Array("a", plain_fields(float32), 4, 1, "const", shape=(3,), writeable=False), "12 bytes of data are needed, not none"),
        (Array("a", plain_fields(float32), 4, 1, "const", shape=(1,), data=bytes(4)), "const memory is read-only"),
        (Array("a", plain_fields(float32), 4, 1, "shared", shape=(1,), data=bytes(4)), "shared memory has no initial data"),
        (Array("a", (Field("p", float64, 4),), 8, 1, "shared", shape=(1,)), "does not lie inside an element of 8 bytes"),
        (Array("a", (), 8, 1, "shared", shape=(1,)), "it has no fields"),
        (Array("a", (Field("p", complex64, 0),), 8, 1, "shared", shape=(1,)), "complex numbers are split"),
    ],
)
def test_a_broken_array_is_named(array, message):
    assert any(message in fault.message for fault in faults(kernel(declared=(array,))))


def test_every_fault_is_listed_with_its_statement_and_place(tmp_path):
    source = tmp_path / "user.py"
    source.write_text("first\n    x[0] = oops\n")
    here = Location(str(source), 2, 4, 15, "k")
    with pytest.raises(InternalError) as caught:
        verify(kernel(Assign(V, ZERO, here), Exit("a")))
    text = str(caught.value)
    assert "2 faults" in text
    assert "in: v: float32 = 0" in text
    assert "x[0] = oops\n        ^^^^^^^^^^^" in text
    assert "in: exit a" in text


@pytest.mark.parametrize(
    ("value", "dtype", "fits"),
    [
        (255, uint8, True), (256, uint8, False), (-1, uint8, False), (-128, int8, True), (True, bool_, True), (2, bool_, False),
        (1.5, int32, False), (0.1, float64, True), (0.1, float32, False), (float(2**24 + 1), float32, False), (65504.0, float16, True),
        (65505.0, float16, False), (math.inf, float16, True), (math.nan, float32, True), (1e300, float32, False), (3, float32, True),
        (10**400, float64, False), (1.0, complex64, False),
    ],
)  # fmt: skip
def test_which_constants_fit(value, dtype, fits):
    assert constant_fits(Const(value, dtype)) is fits
