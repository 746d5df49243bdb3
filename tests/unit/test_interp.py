"""The interpreter: each rule of the IR's meaning, and masks against a one-work-item-at-a-time oracle."""

from __future__ import annotations

import itertools
import math
import warnings
from textwrap import dedent

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anygpu.dtypes import bool_, float32, int32, int64, plain_fields, uint32, uint64
from anygpu.errors import ArgumentError, InternalError, LaunchError, Location, ReadOnlyError
from anygpu.ir.interp import StepLimitError, interpret, trip_count
from anygpu.ir.kernel import (
    Array,
    Assign,
    Block,
    Const,
    Exit,
    For,
    If,
    Kernel,
    Load,
    Op,
    Ref,
    Special,
    Store,
    Var,
    WarpOp,
    While,
)
from anygpu.ir.text import parse_kernel

ONE = (1, 1, 1)


def run(text: str, *arguments, grid=ONE, block=ONE, **options):
    """Interpret a kernel in text form, given from after its name; nothing may warn."""
    text = dedent(text)
    text = f"kernel k {text}" if text.startswith("range") else f"kernel k{text}"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return interpret(parse_kernel(text), arguments, grid, block, **options)


def ints(*shape):
    return np.zeros(shape, np.int64)


# ---------------------------------------------------------------------------------------------------- places and sizes


def test_where_work_items_stand():
    out = ints(2 * 3 * 2, 2 * 3 * 4, 8)
    run(
        """\
        :
            param out: int64[:, :, :]
            b: int64 = block.x + grid_dim.x * (block.y + grid_dim.y * block.z)
            t: int64 = thread.x + block_dim.x * (thread.y + block_dim.y * thread.z)
            out[b, t, 0] = block.x
            out[b, t, 1] = block.y
            out[b, t, 2] = block.z
            out[b, t, 3] = thread.x
            out[b, t, 4] = thread.y
            out[b, t, 5] = thread.z
            out[b, t, 6] = lane
            out[b, t, 7] = warp
        """,
        out,
        grid=(2, 3, 2),
        block=(2, 3, 4),
    )
    for b in range(12):
        for t in range(24):
            place = [b % 2, b // 2 % 3, b // 6, t % 2, t // 2 % 3, t // 6, t % 32, t // 32]
            assert out[b, t].tolist() == place


def test_a_range_launch_counts_in_array_order_and_runs_nothing_beyond():
    out = ints(3, 5)
    steps = ints(1)
    run(
        """\
        range 2:
            param out: int64[:, :]
            param steps: int64[:]
            out[index.0, index.1] = index.0 * extent.1 + index.1 + 1
            atomic add steps[0], 1
        """,
        out,
        steps,
        grid=(3, 1, 1),
        block=(4, 2, 1),
        extent=(3, 5),
    )
    assert out.ravel().tolist() == list(range(1, 16))
    assert steps[0] == 15


@pytest.mark.parametrize(("extent", "grid"), [((0, 4), ONE), ((4, 0), ONE), ((2, 2), (0, 1, 1))])
def test_an_empty_launch_runs_nothing(extent, grid):
    assert run("range 2:\n    assert false, \"never\"\n", grid=grid, extent=extent).failure_count == 0


# ------------------------------------------------------------------------------------------------------------- control


def test_statements_change_active_work_items_only():
    out = ints(4, 2)
    run(
        """\
        :
            param out: int64[:, :]
            i: int64 = thread.x
            if i < 2:
                a: int64 = 10 + i
                b: int64 = 1
            else:
                b = 2
            out[i, 0] = a
            out[i, 1] = b
        """,
        out,
        block=(4, 1, 1),
    )
    assert out.tolist() == [[10, 1], [11, 1], [0, 2], [0, 2]]


def test_exits_meet_again_at_the_end_of_their_block():
    out = ints(6)
    run(
        """\
        :
            param out: int64[:]
            i: int64 = thread.x
            block return:
                block break:
                    for k: int64 in range(0, 100, 1):
                        block continue:
                            if k == i:
                                exit break
                            if k % 2 == 1:
                                exit continue
                            if i == 5:
                                exit return
                            n: int64 = n + 10
                    n = 12345
                n = n + 1
            out[i] = n
        """,
        out,
        block=(6, 1, 1),
    )
    assert out.tolist() == [1, 11, 11, 21, 21, 0]


def test_a_loop_variable_keeps_its_last_value_and_bounds_are_taken_once():
    out = ints(3, 2)
    run(
        """\
        :
            param out: int64[:, :]
            i: int64 = thread.x
            n: int64 = i
            k: int64 = -7
            for k in range(0, n, 1):
                n = n + 1
            out[i, 0] = k
            out[i, 1] = n
        """,
        out,
        block=(3, 1, 1),
    )
    assert out.tolist() == [[-7, 0], [0, 2], [1, 4]]


@given(st.sampled_from([int32, int64, uint32, uint64]), st.data())
def test_trip_counts(dtype, data):
    edges = [dtype.minimum, dtype.maximum, 0, 1, dtype.maximum - 1]
    start, stop, step = (data.draw(st.one_of(st.sampled_from(edges), st.integers(dtype.minimum, dtype.maximum))) for _ in range(3))
    arrays = [np.array([value], dtype.numpy) for value in (start, stop, step)]
    with np.errstate(all="ignore"):
        got = int(trip_count(*arrays)[0])
    # len() of a range is limited to 63 bits
    wanted = 0 if step == 0 else max(0, -(-(stop - start) // step))
    assert got == wanted


def test_counting_does_not_overflow_at_the_ends_of_a_type():
    out = ints(1)
    run(
        """\
        :
            param out: int64[:]
            for k: int8 in range(120i8, 127i8, 5i8):
                total: int64 = total + int64(k)
            for j: uint8 in range(250u8, 255u8, 3u8):
                total = total + int64(j)
            for d: int8 in range(-120i8, -128i8, -7i8):
                total = total + int64(d)
            out[0] = total
        """,
        out,
    )
    assert out[0] == 120 + 125 + 250 + 253 - 120 - 127


def test_an_endless_loop_ends_with_an_error():
    for loop in ("while true:\n        pass", "for i: int64 in range(0, 9223372036854775807, 1):\n        pass"):
        with pytest.raises(StepLimitError, match=r"kernel '.*' ran 1,000 statements and has not ended"):
            run(f":\n    {loop}\n", max_steps=1000)


def test_a_loop_without_a_step_runs_nothing():
    assert run(":\n    for i: int64 in range(0, 5, 0):\n        assert false, \"\"\n").failure_count == 0


# ------------------------------------------------------------------------------------------------- masks against oracle

LANES = 5
NAMES = ["a", "b", "c"]
constants = st.integers(-3, 3).map(lambda n: Const(n, int64))
leaves = st.one_of(constants, st.sampled_from([Ref(Var(n, int64)) for n in NAMES]), st.just(Special("thread")))
arithmetic = st.sampled_from(["add", "sub", "mul", "floordiv", "mod", "xor"])
expressions = st.recursive(
    leaves,
    lambda inner: st.builds(lambda name, *args: Op(name, args, int64), arithmetic, inner, inner),
    max_leaves=4,
)
conditions = st.builds(lambda name, *args: Op(name, args, bool_), st.sampled_from(["lt", "eq", "ne", "ge"]), expressions, expressions)


@st.composite
def bodies(draw, depth, labels, counters):
    return tuple(draw(statements(depth, labels, counters)) for _ in range(draw(st.integers(0, 3))))


@st.composite
def statements(draw, depth, labels, counters):
    free = [name for name in NAMES if name not in counters]
    kinds = ["store"] + (["assign", "load"] * bool(free)) + (["exit"] * bool(labels))
    kinds += ["if", "while", "block"] + (["for"] * bool(free)) if depth else []
    match draw(st.sampled_from(kinds)):
        case "assign":
            return Assign(Var(draw(st.sampled_from(free)), int64), draw(expressions))
        case "load":
            return Load(Var(draw(st.sampled_from(free)), int64), "x", (draw(expressions),))
        case "store":
            return Store("out", (Special("thread"), Op("mod", (draw(expressions), Const(4, int64)), int64)), draw(expressions))
        case "exit":
            return Exit(draw(st.sampled_from(labels)))
        case "if":
            return If(draw(conditions), draw(bodies(depth - 1, labels, counters)), draw(bodies(depth - 1, labels, counters)))
        case "while":
            # `fuel` bounds every loop: it is a variable of its own, counted in the loop's head.
            fuel = Var("fuel", int64)
            head = (Assign(fuel, Op("add", (Ref(fuel), Const(1, int64)), int64)), *draw(bodies(depth - 1, labels, counters)))
            more = Op("and", (Op("lt", (Ref(fuel), Const(30, int64)), bool_), draw(conditions)), bool_)
            return While(head, more, draw(bodies(depth - 1, labels, counters)))
        case "for":
            name = draw(st.sampled_from(free))
            bounds = [Op("mod", (draw(expressions), Const(5, int64)), int64) for _ in range(2)]
            return For(Var(name, int64), *bounds, draw(constants), draw(bodies(depth - 1, labels, [*counters, name])))
        case _:
            label = f"label{next(draw(st.shared(st.builds(itertools.count), key='labels')))}"
            return Block(label, draw(bodies(depth - 1, [*labels, label], counters)))


class Left(Exception):
    """A work-item on its way to the end of a block."""


class Alone:
    """One work-item of the kernels above, in plain Python."""

    def __init__(self, lane, x, out):
        self.lane, self.x, self.out = lane, x, out
        self.variables = {"fuel": 0, **dict.fromkeys(NAMES, 0)}

    def value(self, expr):
        match expr:
            case Const(value=value):
                return value
            case Ref(var=var):
                return self.variables[var.name]
            case Special():
                return self.lane
            case Op(name=name, args=args):
                a, b = map(self.value, args)
                result = {
                    "add": lambda: a + b, "sub": lambda: a - b, "mul": lambda: a * b, "xor": lambda: a ^ b, "and": lambda: a and b,
                    "floordiv": lambda: a // b if b else 0, "mod": lambda: a % b if b else 0,
                    "lt": lambda: a < b, "eq": lambda: a == b, "ne": lambda: a != b, "ge": lambda: a >= b,
                }[name]()  # fmt: skip
                return result if isinstance(result, bool) else (result + 2**63) % 2**64 - 2**63

    def body(self, body):
        for stmt in body:
            self.statement(stmt)

    def statement(self, stmt):
        match stmt:
            case Assign(var=var, value=value):
                self.variables[var.name] = self.value(value)
            case Load(var=var, index=(index,)):
                at = self.value(index)
                self.variables[var.name] = self.x[at] if 0 <= at < len(self.x) else 0
            case Store(index=(_, index), value=value):
                self.out[self.value(index)] = self.value(value)
            case If(cond=cond, then=then, orelse=orelse):
                self.body(then if self.value(cond) else orelse)
            case While(before=before, cond=cond, body=body):
                self.body(before)
                while self.value(cond):
                    self.body(body)
                    self.body(before)
            case For(var=var, start=start, stop=stop, step=step, body=body):
                start, stop, step = map(self.value, (start, stop, step))
                for at in range(start, stop, step) if step else ():
                    self.variables[var.name] = at
                    self.body(body)
            case Block(label=label, body=body):
                try:
                    self.body(body)
                except Left as left:
                    if left.args != (label,):
                        raise
            case Exit(label=label):
                raise Left(label)


@settings(max_examples=300)
@given(bodies(3, [], []))
def test_masks_are_one_work_item_at_a_time(body):
    x, out = [5, -2, 7], ints(LANES, 4)
    array = Array("x", plain_fields(int64), 8, 1)
    used = tuple(Assign(Var(name, int64), Const(0, int64)) for name in (*NAMES, "fuel"))
    kernel = Kernel("k", (array, Array("out", plain_fields(int64), 8, 2)), (), (*used, *body))
    outcome = interpret(kernel, [np.array(x), out], ONE, (LANES, 1, 1))
    wanted = []
    for lane in range(LANES):
        alone = Alone(lane, x, [0] * 4)
        alone.body(body)
        wanted.append(alone.out)
    assert out.tolist() == wanted
    assert all(failure.kind == "index" for failure in outcome.failures)


# -------------------------------------------------------------------------------------------------------------- memory


def test_out_of_bounds_reads_zero_writes_nothing_and_is_recorded():
    x = np.arange(1, 5, dtype=np.float32)
    out = np.full(4, 9, np.float32)
    around = np.concatenate((x, out))
    here = Location("user.py", 3, 4, 8, "k")
    i, v = Var("i", int64), Var("v", float32)
    index = Op("sub", (Special("thread"), Const(2, int64)), int64)
    kernel = Kernel(
        "k",
        (Array("x", plain_fields(float32), 4, 1), Array("out", plain_fields(float32), 4, 1)),
        (),
        (
            Assign(i, index),
            Assign(v, Const(77.0, float32)),
            Load(v, "x", (Ref(i),), loc=here),
            Store("out", (Ref(i),), Ref(v)),
            Store("out", (Special("thread"),), Ref(v)),
        ),
    )
    outcome = interpret(kernel, [x, out], ONE, (4, 1, 1))
    assert out.tolist() == [0, 0, 1, 2]
    assert outcome.failure_count == 4
    first, second = outcome.failures[:2]
    assert (first.kind, first.array, first.index, first.shape) == ("index", "x", (-2,), (4,))
    assert (first.block, first.thread) == ((0, 0, 0), (0, 0, 0))
    assert first.location == here and first.message == "index (-2,) is out of bounds for array 'x' of shape (4,)"
    assert (second.array, second.index, second.thread) == ("out", (-2,), (0, 0, 0)), "program order within a work-item"
    assert [failure.thread[0] for failure in outcome.failures] == [0, 0, 1, 1]
    assert "user.py" in first.render() and "block (0, 0, 0), thread (0, 0, 0)" in first.render()
    assert around[:4].tolist() == x.tolist()


def test_the_first_failure_is_kept_whatever_the_limit():
    text = """\
        :
            param x: int64[:]
            i: int64 = thread.x
            block b:
                if i > 3:
                    x[100 + i] = 1
                x[200 + i] = 1
        """
    outcome = run(text, ints(1), block=(10, 1, 1), grid=(2, 1, 1), max_failures=3)
    assert outcome.failure_count == 2 * (6 + 10)
    assert len(outcome.failures) == 3
    assert outcome.failures[0].index == (200,) and outcome.failures[0].thread == (0, 0, 0)
    every = run(text, ints(1), block=(10, 1, 1), grid=(2, 1, 1)).failures
    assert every[0] == outcome.failures[0]
    assert [f.block[0] for f in every] == [0] * 16 + [1] * 16
    assert [f.index[0] for f in every[:6]] == [200, 201, 202, 203, 104, 204]


def test_an_unchecked_access_out_of_bounds_is_our_fault():
    with pytest.raises(InternalError, match=r"unchecked x\[.*is at \(7,\), outside shape \(3,\)"):
        run(":\n    param x: int64[:]\n    unchecked x[7] = 1\n", ints(3))
    x = ints(3)
    run(":\n    param x: int64[:]\n    unchecked x[2] = 1\n", x)
    assert x.tolist() == [0, 0, 1]


def test_the_highest_work_item_wins_a_store():
    x = ints(1)
    run(":\n    param x: int64[:]\n    x[0] = thread.x\n", x, block=(70, 1, 1))
    assert x[0] == 69


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a,
        lambda a: a[::-1, ::2],
        lambda a: a.T,
        lambda a: np.broadcast_to(a[:1], a.shape),
        lambda a: np.lib.stride_tricks.as_strided(a, (3, 3), (8, 16)),
        lambda a: np.frombuffer(b"\0" + a.tobytes(), np.int64, a.size, 1).reshape(a.shape),
    ],
    ids=["C", "reversed", "transposed", "broadcast", "overlapping", "misaligned"],
)
def test_arrays_of_any_strides(view):
    x = view(np.arange(24, dtype=np.int64).reshape(4, 6))
    out = ints(*x.shape)
    run(
        """\
        range 2:
            param x: int64[:, :] strided readonly
            param out: int64[:, :]
            v: int64 = x[index.0, index.1]
            out[index.0, index.1] = v
        """,
        x,
        out,
        block=(24, 1, 1),
        extent=x.shape,
    )
    assert (out == x).all()


def test_records_and_complex_numbers_are_fields_by_offset():
    record = np.dtype({"names": ["flag", "where", "half"], "formats": ["?", ("<f8", (2,)), "<f2"], "offsets": [1, 8, 30], "itemsize": 40})
    p = np.zeros(3, record)[::-1]
    z = np.array([[1 + 2j, 3 + 4j]], np.complex64)
    run(
        """\
        :
            param p: record 40 {flag: bool @1, where.1: float64 @16, half: float16 @30}[:] strided
            param z: complex64[:, :] strided
            p[1].flag = true
            p[1].where.1 = 2.5
            p[2].half = 0.1f16
            re: float32 = z[0, 0].real
            im: float32 = z[0, 0].imag
            z[0, 1].real = im
            z[0, 1].imag = -1.0f32 * re
        """,
        p,
        z,
    )
    assert p["flag"].tolist() == [False, True, False]
    assert p["where"].tolist() == [[0, 0], [0, 2.5], [0, 0]]
    assert p["half"][2] == np.float16(0.1)
    assert z.tolist() == [[1 + 2j, 2 - 1j]]


def test_arrays_without_axes():
    x, out = np.array(3.0), np.array(0.0)
    run(":\n    param x: float64[]\n    param out: float64[]\n    v: float64 = x[]\n    out[] = v + v\n", x, out, block=(4, 1, 1))
    assert out == 6.0


def test_shared_local_and_const_arrays():
    out = ints(2, 4, 3)
    run(
        """\
        :
            param out: int64[:, :, :]
            shared s: int64[4]
            shared d: int32[0]
            shared e: int64[0]
            local l: int64[2]
            const t: int64[2] = "0700000000000000f9ffffffffffffff"
            i: int64 = thread.x
            l[1] = i * 10
            s[i] = i + block.x * 100
            barrier block
            a: int64 = s[3 - i]
            b: int64 = l[1]
            c: int64 = t[i % 2]
            d[2 * i] = int32(i)
            d[2 * i + 1] = 1i32
            f: int64 = e[i]
            out[block.x, i, 0] = a
            out[block.x, i, 1] = b + c
            out[block.x, i, 2] = f + dim(d, 0) * 1000 + dim(e, 0) * 100000
        """,
        out,
        block=(4, 1, 1),
        grid=(2, 1, 1),
        shared_bytes=35,
    )
    assert out[:, :, 0].tolist() == [[3, 2, 1, 0], [103, 102, 101, 100]]
    assert out[0, :, 1].tolist() == [0 + 7, 10 - 7, 20 + 7, 30 - 7]
    assert out[1, :, 2].tolist() == [2**32 + i + 8 * 1000 + 4 * 100000 for i in range(4)], "dynamic shared arrays begin at one place"


def test_uninitialised_memory_holds_the_fill():
    text = """\
        :
            param out: uint8[:]
            shared s: uint8[1]
            local l: uint8[1]
            a: uint8 = s[0]
            b: uint8 = l[0]
            out[0] = a
            out[1] = b
        """
    for fill in (0, 0xA5):
        out = np.zeros(2, np.uint8)
        run(text, out, fill=fill)
        assert out.tolist() == [fill, fill]


# -------------------------------------------------------------------------------------------------------------- values


def test_halves_round_once_an_operation():
    for name, kind in (("float16", np.float16), ("bfloat16", ml_dtypes.bfloat16)):
        rng = np.random.default_rng(0)
        a, b = (rng.normal(size=64).astype(kind) for _ in range(2))
        out = np.zeros(64, kind)
        text = f"""\
            :
                param a: {name}[:]
                param b: {name}[:]
                param out: {name}[:]
                i: int64 = thread.x
                u: {name} = a[i]
                v: {name} = b[i]
                out[i] = u * v + u / v
            """
        run(text, a, b, out, block=(64, 1, 1))
        wide = [x.astype(np.float32) for x in (a, b)]
        product, quotient = (wide[0] * wide[1]).astype(kind), (wide[0] / wide[1]).astype(kind)
        assert out.tobytes() == (product.astype(np.float32) + quotient.astype(np.float32)).astype(kind).tobytes()


def test_nothing_warns_and_special_values_pass():
    out = np.zeros(6, np.float32)
    run(
        """\
        :
            param out: float32[:]
            param big: float32
            out[0] = big * big
            out[1] = 0.0f32 / 0.0f32
            out[2] = float32(int8(big) + int8(nan_f32))
            out[3] = -0.0f32
            out[4] = float32(1e300)
            out[5] = float32(-2147483648i32 // -1i32)
        """,
        out,
        3e38,
    )
    assert out[0] == math.inf and math.isnan(out[1]) and out[2] == 127 and math.copysign(1, out[3]) == -1
    assert out[4] == math.inf and out[5] == -(2.0**31)


def test_functions_of_libm_need_a_definition():
    text = ":\n    param x: float64[:]\n    v: float64 = x[0]\n    x[0] = exp(v)\n"
    with pytest.raises(InternalError, match="exp of float64 must be expanded"):
        run(text, np.ones(1))
    x = np.ones(1)
    run(text, x, libm="reference")
    assert x[0] == np.exp(1.0)


def test_a_variable_is_not_its_neighbours_memory():
    out = ints(2)
    run(
        """\
        :
            param out: int64[:]
            a: int64 = 1
            b: int64 = a
            a = 2
            out[0] = b
            t: int64 = a
            a = b
            b = t
            out[1] = a * 10 + b
        """,
        out,
    )
    assert out.tolist() == [1, 12]


# ------------------------------------------------------------------------------------------------- atomics and barriers


def test_atomics_apply_in_the_order_of_work_items():
    n = 40
    x, old = np.zeros(3, np.float32), np.zeros((2 * n,), np.float32)
    run(
        """\
        :
            param x: float32[:]
            param old: float32[:]
            i: int64 = block.x * block_dim.x + thread.x
            v: float32 = atomic add x[i % 3], 0.1f32 * float32(i)
            old[i] = v
        """,
        x,
        old,
        block=(n, 1, 1),
        grid=(2, 1, 1),
    )
    memory = np.zeros(3, np.float32)
    for i in range(2 * n):
        assert old[i] == memory[i % 3], i
        memory[i % 3] += np.float32(0.1) * np.float32(i)
    assert x.tobytes() == memory.tobytes()


def test_atomics_meet_through_different_strides():
    x = np.lib.stride_tricks.as_strided(np.zeros(1, np.int64), (8,), (0,))
    old = ints(8)
    run(
        """\
        :
            param x: int64[:] strided
            param old: int64[:]
            v: int64 = atomic inc x[thread.x], 100
            old[thread.x] = v
        """,
        x,
        old,
        block=(8, 1, 1),
    )
    assert old.tolist() == list(range(8))


def test_an_atomic_out_of_bounds_returns_zero_and_does_nothing():
    x, old = ints(2), np.full(4, 7)
    outcome = run(
        """\
        :
            param x: int64[:]
            param old: int64[:]
            v: int64 = 5
            v = atomic exch x[thread.x], 9
            old[thread.x] = v
        """,
        x,
        old,
        block=(4, 1, 1),
    )
    assert x.tolist() == [9, 9] and old.tolist() == [0, 0, 0, 0] and outcome.failure_count == 2


def test_a_barrier_reduces_over_the_block():
    out = np.zeros((2, 4, 3), np.int32)
    run(
        """\
        :
            param out: int32[:, :, :]
            i: int64 = thread.x
            b: int64 = block.x
            n: int32 = barrier block count i + b > 1
            e: int32 = barrier block and i + b > 0
            a: int32 = barrier block or i + b > 3
            out[b, i, 0] = n
            out[b, i, 1] = e
            out[b, i, 2] = a
        """,
        out,
        block=(4, 1, 1),
        grid=(2, 1, 1),
    )
    assert (out[0] == [2, 0, 0]).all() and (out[1] == [3, 1, 1]).all()


def test_a_grid_barrier_orders_all_blocks():
    x, out = ints(12), ints(12)
    text = """\
        :
            param x: int64[:]
            param out: int64[:]
            shared s: int64[4]
            i: int64 = block.x * block_dim.x + thread.x
            x[i] = i
            s[thread.x] = i
            barrier {scope}
            v: int64 = x[11 - i]
            w: int64 = s[3 - thread.x]
            out[i] = v * 100 + w
        """
    run(text.format(scope="grid"), x, out, block=(4, 1, 1), grid=(3, 1, 1))
    assert out.tolist() == [(11 - i) * 100 + i // 4 * 4 + 3 - i % 4 for i in range(12)]
    x[:] = 0
    run(text.format(scope="block"), x, out, block=(4, 1, 1), grid=(3, 1, 1))
    assert out[0] == 3, "without it the last block has not run when the first reads"


# --------------------------------------------------------------------------------------------------------------- warps


def warp_oracle(op, values, operand, masks, width, active, lane):
    """What lane ``lane`` of one warp of ``len(values)`` work-items gets, written down lane by lane."""
    taking = [j for j in range(len(values)) if active[j] and masks[lane] >> j & 1]
    own = lane % width
    match op:
        case "shfl" | "shfl_up" | "shfl_down" | "shfl_xor":
            by = operand[lane]
            target = {"shfl": by, "shfl_up": own - by, "shfl_down": own + by, "shfl_xor": own ^ by}[op]
            source = lane - own + target
            return values[source] if 0 <= target < width and source in taking else values[lane]
        case "any":
            return any(values[j] for j in taking)
        case "all":
            return all(values[j] for j in taking)
        case "ballot":
            return sum(1 << j for j in taking if values[j])
        case "activemask":
            return sum(1 << j for j in taking)
        case "match_any":
            return sum(1 << j for j in taking if values[j] == values[lane])
        case "match_all":
            return sum(1 << j for j in taking) if len({values[j] for j in taking}) == 1 else 0
        case _:
            name = op.removeprefix("reduce_")
            combine = {
                "add": lambda a, b: a + b, "min": min, "max": max,
                "and": lambda a, b: a & b, "or": lambda a, b: a | b, "xor": lambda a, b: a ^ b,
            }[name]  # fmt: skip
            total = None
            for j in taking:
                total = values[j] if total is None else combine(total, values[j])
            return 0 if total is None else total


WARP_OPS = ["shfl", "shfl_up", "shfl_down", "shfl_xor", "any", "all", "ballot", "activemask", "match_any", "match_all"]
WARP_OPS += [f"reduce_{name}" for name in ("add", "min", "max", "and", "or", "xor")]


@pytest.mark.parametrize("op", WARP_OPS)
@settings(max_examples=25)
@given(data=st.data())
def test_warp_operations(op, data):
    threads = 40  # a whole warp and a part of one
    vote = op in ("any", "all", "ballot")
    small = st.integers(0, 1) if vote else st.integers(-3, 3)
    values, operand = (np.array(data.draw(st.lists(s, min_size=threads, max_size=threads))) for s in (small, st.integers(-2, 33)))
    active = data.draw(st.lists(st.booleans(), min_size=threads, max_size=threads))
    one_mask = data.draw(st.sampled_from([0xFFFFFFFF, 0x0000FFFF, 0x80000001, 0]))
    masks = data.draw(st.sampled_from([[one_mask] * threads, [one_mask ^ (0x55555555 * (t % 2)) for t in range(threads)]]))
    width = data.draw(st.sampled_from([32, 8, 1])) if op.startswith("shfl") else 32
    result = {"any": bool_, "all": bool_}.get(op, uint32 if op in ("ballot", "activemask", "match_any", "match_all") else int64)
    v, o, m, r, a = Var("v", bool_ if vote else int64), Var("o", int64), Var("m", uint32), Var("r", result), Var("a", bool_)
    params = tuple(Array(var.name.upper(), plain_fields(var.dtype), var.dtype.itemsize, 1) for var in (v, o, m, a, r))
    args = () if op == "activemask" else ((Ref(v), Ref(o)) if op.startswith("shfl") else (Ref(v),))
    index = (Special("thread"),)
    body = (
        *(Load(var, var.name.upper(), index) for var in (v, o, m, a)),
        If(Ref(a), (WarpOp(r, op, args, Ref(m), width), Store("R", index, Ref(r)))),
    )
    out = np.zeros(threads, result.numpy)
    arrays = [values.astype(v.dtype.numpy), operand, np.array(masks, np.uint32), np.array(active), out]
    interpret(Kernel("k", params, (), body), arrays, ONE, (threads, 1, 1))
    for t in range(threads):
        base = t // 32 * 32
        part = slice(base, min(base + 32, threads))
        wanted = warp_oracle(op, values[part].tolist(), operand[part].tolist(), masks[part], width, active[part], t - base)
        assert int(out[t]) == (int(wanted) if active[t] else 0), t


def test_a_warp_reduction_adds_floats_in_lane_order():
    x, out = (np.random.default_rng(1).normal(size=32) * 10.0 ** np.arange(32)[::-1]).astype(np.float32), np.zeros(32, np.float32)
    run(
        """\
        :
            param x: float32[:]
            param out: float32[:]
            v: float32 = x[thread.x]
            w: float32 = warp reduce_add(v) mask 0xffffffffu32
            out[thread.x] = w
        """,
        x,
        out,
        block=(32, 1, 1),
    )
    total = x[0]
    for value in x[1:]:
        total = np.float32(total + value)
    assert (out == total).all() and total != np.float32(x[::-1].cumsum()[-1])


# ------------------------------------------------------------------------------------------------- print, assert, launch


def test_prints_and_asserts():
    outcome = run(
        """\
        :
            i: int64 = thread.x
            if i != 1:
                print "i=", i, " ", float32(i) / 10.0f32, " ", i == 2
            assert i < 2, "too large"
            print "on"
        """,
        block=(3, 1, 1),
    )
    assert [p.text for p in outcome.prints] == ["i=0 0.0 False", "i=2 0.2 True", "on", "on", "on"]
    assert outcome.prints[1].thread == (2, 0, 0)
    (failure,) = outcome.failures
    assert (failure.kind, failure.message, failure.thread) == ("assertion", "too large", (2, 0, 0))


@pytest.mark.parametrize(
    ("argument", "error", "message"),
    [
        (ints(2, 2), ArgumentError, "must have 1 axes"),
        (np.zeros(2, np.int32), ArgumentError, "elements of 8 bytes"),
        (np.zeros(2, ">i8"), ArgumentError, "native order"),
        (np.zeros(2, object), ArgumentError, "native order"),
        ([1, 2], ArgumentError, "must be a NumPy array, not list"),
        (np.broadcast_to(ints(1), (2,)), ReadOnlyError, "'x' is written by the kernel but read-only"),
    ],
)
def test_arrays_that_do_not_fit(argument, error, message):
    with pytest.raises(error, match=message):
        run(":\n    param x: int64[:]\n    x[0] = 1\n", argument)


@pytest.mark.parametrize(
    ("dtype", "value"), [("int8", 128), ("uint8", -1), ("int32", 1.5), ("bool", 2), ("float32", "x"), ("float32", 1j), ("int64", [1])]
)
def test_scalars_that_do_not_fit(dtype, value):
    with pytest.raises(ArgumentError, match="argument 'n' must be a"):
        run(f":\n    param n: {dtype}\n    pass\n", value)


def test_launches_that_make_no_sense():
    for options in ({"grid": (-1, 1, 1)}, {"block": (0, 1, 1)}, {"extent": (3,)}, {"shared_bytes": -1}):
        with pytest.raises(LaunchError):
            run(":\n    pass\n", **options)
    with pytest.raises(LaunchError, match="takes 0 arguments, not 1"):
        run(":\n    pass\n", 1)
    with pytest.raises(InternalError, match="not well-formed"):
        interpret(Kernel("k", (), (), (Exit("nowhere"),)), [], ONE, ONE)
