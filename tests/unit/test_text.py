"""The text form of KERNEL IR: what it looks like, and that it parses back to the same kernel."""

from __future__ import annotations

import math
import struct
from textwrap import dedent

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from anygpu.dtypes import DTYPES, Field, bfloat16, bool_, float16, float32, float64, int32, int64, plain_fields, uint32, uint64
from anygpu.errors import UNKNOWN, Location
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
from anygpu.ir.ops import ATOMICS, OPERATIONS
from anygpu.ir.text import TextError, literal, parse_kernel, print_expression, print_kernel, print_statement
from anygpu.ir.verify import WARP_OPERATIONS

SCALARS = [dtype for dtype in DTYPES.values() if not dtype.is_complex]
FULL = dedent("""\
    kernel tour range 2:
        param a: float32
        param x: float32[:] readonly
        param z: complex64[:, :] strided
        param p: record 24 {mass: float32 @0, where.x: float64 @8, %"": int8 @16}[]
        shared tile: float32[16, 17]
        shared dynamic: int32[0]
        local few: uint8[]
        const table: float32[1] = "0000803f"

        i: int64 = index.0 * extent.1 + index.1
        j: int32 = thread.x:int32 - dim:int32(x, 0)
        v: float32 = x[i]
        v = unchecked z[i, i - 1].imag
        m: float64 = p[].where.x
        p[].#2 = -5i8
        unchecked tile[i, 0] = fma(a, v, -0.0f32) / (v * (a + 1e-45f32))
        if (i < 3) == (v != inf_f32):
            pass
        else:
            exit_: bool = not(true & (i >> 2 == 0))
            if exit_:
                fence grid
        block out:
            for k: int64 in range(0, dim(z, 1), -1):
                loop:
                    w: uint32 = warp match_any(k) mask 0xffffffffu32
                    v = warp shfl_down(v, 1i32) mask w width 16
                while w > 7u32:
                    exit out
            while true:
                atomic add unchecked dynamic[k], 1i32
                j = atomic cas dynamic[k], j, 2i32
        barrier block
        j = barrier block count exit_
        %"while": float16 = float16(nan) + %"a b":float16
        b: uint32 = bitcast:uint32(0.1f32)
        odd: int32 = add:int32(i, 1)
        print "i =\\n", i, " ", v
        print
        assert select(exit_, v, a) < 0.1f32, "no \\"way\\""
    """)


def text_of(text: str) -> str:
    return print_kernel(parse_kernel(text))


def test_the_whole_notation_is_stable():
    assert text_of(FULL) == FULL


def test_comments_blank_lines_and_long_literals_are_read():
    text = "# a golden file\n\nkernel k:\n    # the float32 nearest to 0.1\n    print 0.10000000149011612f32, 255u32, 0x10u32\n"
    assert text_of(text) == "kernel k:\n    print 0.1f32, 255u32, 16u32\n"


def test_a_printed_kernel_reads_as_intended():
    x = Array("x", plain_fields(float32), 4, 1, writeable=False)
    out = Array("out", plain_fields(float32), 4, 1)
    a, i, v = Var("a", float32), Var("i", int64), Var("v", float32)
    kernel = Kernel(
        "saxpy",
        (a, x, out),
        (),
        (
            Assign(i, Special("index")),
            If(
                Op("lt", (Ref(i), Dim("out", 0)), bool_),
                (
                    Load(v, "x", (Ref(i),)),
                    Store("out", (Ref(i),), Op("add", (Op("mul", (Ref(a), Ref(v)), float32), Const(1.0, float32)), float32)),
                ),
            ),
        ),
        1,
    )
    assert print_kernel(kernel) == dedent("""\
        kernel saxpy range 1:
            param a: float32
            param x: float32[:] readonly
            param out: float32[:]

            i: int64 = index.0
            if i < dim(out, 0):
                v: float32 = x[i]
                out[i] = a * v + 1.0f32
        """)
    assert parse_kernel(print_kernel(kernel)) == kernel


def test_operators_bind_as_in_python():
    i = Ref(Var("i", int64))

    def op(name, a, b):
        return Op(name, (a, b), OPERATIONS[name].result_dtype([a.dtype, b.dtype]))

    assert print_expression(op("sub", i, op("sub", i, i))) == "i:int64 - (i - i)"
    assert print_expression(op("sub", op("sub", i, i), i)) == "i:int64 - i - i"
    assert print_expression(op("mul", op("add", i, i), i)) == "(i:int64 + i) * i"
    assert print_expression(op("or", op("and", i, i), i)) == "i:int64 & i | i"
    assert print_expression(op("lt", op("or", i, i), i)) == "i:int64 | i < i"
    assert print_expression(op("eq", op("lt", i, i), op("lt", i, i))) == "(i:int64 < i) == (i < i)"


def test_statements_show_every_dtype():
    stmt = Store("x", (Ref(Var("i", int64)),), Op("add", (Ref(Var("v", float32)), Const(1.0, float32)), float32))
    assert print_statement(stmt) == "x[i:int64] = v:float32 + 1.0f32"


def bits(value: float) -> bytes:
    return struct.pack("<d", value)


@given(st.floats(allow_subnormal=True), st.sampled_from([float16, bfloat16, float32, float64]))
def test_float_literals_keep_their_bits(value, dtype):
    with np.errstate(all="ignore"):
        value = float(np.float64(value).astype(dtype.numpy))
    const = Const(value, dtype)
    kernel = Kernel("k", (), (), (Print((const,)),))
    parsed = parse_kernel(print_kernel(kernel)).body[0].parts[0]
    assert parsed.dtype is dtype
    assert bits(parsed.value) == bits(value)


@pytest.mark.parametrize(
    ("const", "text"),
    [
        (Const(1, int64), "1"), (Const(-1, int32), "-1i32"), (Const(2**32 - 1, uint32), "0xffffffffu32"), (Const(7, uint64), "7u64"),
        (Const(True, bool_), "true"), (Const(0.1, float64), "0.1"), (Const(float(np.float32(0.1)), float32), "0.1f32"),
        (Const(-0.0, bfloat16), "-0.0bf16"), (Const(math.inf, float64), "inf"), (Const(-math.inf, float16), "-inf_f16"),
        (Const(math.nan, float32), "nan_f32"), (Const(1e300, float64), "1e+300"), (Const(3, float32), "3.0f32"),
    ],
)  # fmt: skip
def test_literals(const, text):
    assert literal(const) == text
    assert text_of(f"kernel k:\n    print {text}\n") == f"kernel k:\n    print {text}\n"


# ------------------------------------------------------------------------------------------------- random round trips

NAMES = ["i", "j", "k.1", "x$2", "while", "lane", "thread.x", "nan", "inf_f32", "a b", "", "é", "float32", "select", "dim"]
names = st.sampled_from(NAMES)
dtypes = st.sampled_from(SCALARS)
variables = st.builds(Var, names, dtypes)
locations = st.one_of(
    st.just(UNKNOWN),
    st.builds(
        Location, st.sampled_from(["a.py", 'b "q".py']), st.integers(1, 99), st.integers(0, 9), st.integers(0, 99),
        st.sampled_from(["f", "<lambda>"]),
    ),
)


@st.composite
def constants(draw):
    dtype = draw(dtypes)
    if dtype.is_float:
        with np.errstate(all="ignore"):
            return Const(float(np.float64(draw(st.floats(allow_nan=False))).astype(dtype.numpy)), dtype)
    return Const(draw(st.booleans()) if dtype is bool_ else draw(st.integers(dtype.minimum, dtype.maximum)), dtype)


def operations(inside):
    @st.composite
    def build(draw):
        row = draw(st.sampled_from(list(OPERATIONS.values())))
        args = tuple(draw(inside) for _ in range(row.arity))
        usual = row.result_dtype([arg.dtype for arg in args])
        return Op(row.name, args, draw(st.one_of(st.just(usual), dtypes)))

    return build()


expressions = st.recursive(
    st.one_of(
        constants(),
        st.builds(Ref, variables),
        st.builds(Special, st.sampled_from(["thread", "block", "grid_dim", "index"]), st.integers(0, 2), st.sampled_from([int64, int32])),
        st.builds(Special, st.sampled_from(["lane", "warp"])),
        st.builds(Dim, names, st.integers(0, 3), st.sampled_from([int64, int32])),
    ),
    lambda inside: st.one_of(operations(inside), st.builds(Cast, inside, dtypes), st.builds(Bitcast, inside, dtypes)),
    max_leaves=8,
)
indices = st.lists(expressions, max_size=3).map(tuple)
scopes = st.sampled_from(["warp", "block", "grid"])
simple = st.one_of(
    st.builds(Assign, variables, expressions, locations),
    st.builds(Load, variables, names, indices, st.integers(0, 2), st.booleans(), locations),
    st.builds(Store, names, indices, expressions, st.integers(0, 2), st.booleans(), locations),
    st.builds(
        Atomic, st.none() | variables, st.sampled_from(list(ATOMICS)), names, indices,
        st.lists(expressions, min_size=1, max_size=2).map(tuple), st.integers(0, 2), st.booleans(), locations,
    ),
    st.builds(Barrier, scopes, loc=locations),
    st.builds(Barrier, scopes, st.sampled_from(["count", "and", "or"]), variables, expressions, locations),
    st.builds(Fence, scopes, locations),
    st.builds(WarpOp, variables, st.sampled_from(list(WARP_OPERATIONS)), indices, expressions, st.sampled_from([4, 32]), locations),
    st.builds(Exit, names, locations),
    st.builds(Print, st.lists(st.one_of(st.text(max_size=5), expressions), max_size=3).map(tuple), locations),
    st.builds(Assert, expressions, st.text(max_size=5), locations),
)  # fmt: skip


def nest(inside):
    bodies = st.lists(inside, max_size=3).map(tuple)
    return st.one_of(
        st.builds(If, expressions, bodies, bodies, locations),
        st.builds(For, variables, expressions, expressions, expressions, bodies, locations),
        st.builds(While, bodies, expressions, bodies, locations),
        st.builds(Block, names, bodies, locations),
    )


statements = st.recursive(simple, nest, max_leaves=6)
RECORD = (Field("a", float32, 0), Field("b.c", float64, 8), Field("", int32, 16))


@st.composite
def arrays(draw, name, space):
    ndim = draw(st.integers(0, 3))
    fields, itemsize = draw(st.sampled_from([(plain_fields(d), d.itemsize) for d in DTYPES.values()] + [(RECORD, 24)]))
    shape = None if space == "global" else tuple(draw(st.integers(0, 4)) for _ in range(ndim))
    data = bytes(range(math.prod(shape or ()) * itemsize % 256)) if space == "const" else None
    layout = draw(st.sampled_from("CA")) if space == "global" else "C"
    return Array(name, fields, itemsize, ndim, space, layout, shape, draw(st.booleans()), data)


@st.composite
def kernels(draw):
    params = (Var("p", draw(dtypes)), draw(arrays("x", "global")), draw(arrays("record", "global")))
    declared = tuple(draw(arrays(f"{space} 1", space)) for space in ("shared", "local", "const"))
    return Kernel(draw(names), params, declared, tuple(draw(st.lists(statements, max_size=4))), draw(st.integers(0, 3)), draw(locations))


@given(kernels())
def test_print_and_parse_are_inverse(kernel):
    text = print_kernel(kernel, locations=True)
    parsed = parse_kernel(text)
    assert parsed == kernel
    assert parsed.loc == kernel.loc
    assert print_kernel(parsed, locations=True) == text
    bare = print_kernel(kernel)
    assert print_kernel(parse_kernel(bare)) == bare
    assert "@0:" not in bare


# ------------------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected 'kernel'"),
        ("kernel k:\n", "expected an indented body"),
        ("kernel k:\n   pass\n", "line 2: the indentation"),
        ("kernel k:\n    x = 1\n", "line 2: the first mention of 'x' needs its dtype"),
        ("kernel k:\n    x: int3 = 1\n", "line 2: expected a dtype, not int3"),
        ("kernel k:\n    x: int64 = y\n", "line 2: the first mention of 'y' needs its dtype"),
        ("kernel k:\n    x: int64 = 1 2\n", "line 2: expected the end of the line, not 2"),
        ("kernel k:\n    x: int64 = 1 < 2 < 3\n", "line 2: expected the end of the line, not <"),
        ("kernel k:\n    x: int64 = conjure(1)\n", "line 2: there is no operation 'conjure'"),
        ("kernel k:\n    x: int64 = fma(1)\n", "line 2: fma takes 3 operands, not 1"),
        ("kernel k:\n    x: int64 = 1q\n", "line 2: expected the end of the line, not q"),
        ("kernel k:\n    x: int64 = 1.5i32\n", "line 2: 1.5i32 is not an integer"),
        ("kernel k:\n    x: int64 = ;\n", "line 2: cannot read ';'"),
        ("kernel k:\n    barrier cluster\n", "line 2: expected a scope, not cluster"),
        ("kernel k:\n    loop:\n        pass\n", "expected the 'while' of a loop"),
        ("kernel k:\n    pass\n            pass\n", "line 3: expected the end of the kernel"),
        ("kernel k:\n    fence grid @3:1:2-3\n", "line 2: there is no source 3"),
        ("kernel k:\n    param x: int8[:]\n    x[0].real = 1i8\n", "line 3: array 'x' has no field 'real'"),
        ("kernel k:\n    for i: int64 in range(3):\n        pass\n", "line 2: a range has a start, a stop and a step"),
    ],
)
def test_what_is_not_a_kernel_is_refused_with_its_line(text, message):
    with pytest.raises(TextError) as caught:
        parse_kernel(text)
    assert message in str(caught.value)
