"""Arrays of every rank and layout, views of them, records, and what an access out of bounds does."""

from __future__ import annotations

import numpy as np
import pytest

import anygpu as ag
from anygpu.dtypes import DTYPES
from anygpu.errors import ArgumentError, KernelIndexError, ReadOnlyError
from anygpu.frontend.atomics import atomic_operation, unsupported_reason
from anygpu.frontend.context import KernelError
from anygpu.ir.ops import ATOMICS
from anygpu.testing.harness import Grid, Range, assert_same, check, special_values


def copy_0(x, out):
    out[()] = x[()]


def copy_1(x, out):
    i = ag.grid(1)
    out[i] = x[i]


def copy_2(x, out):
    i, j = ag.grid(2)
    out[i, j] = x[i, j]


def copy_3(x, out):
    i, j, k = ag.grid(3)
    out[i][j][k] = x[i, j][k]


def copy_4(x, out):
    index = ag.grid(4)
    out[index] = x[index]


def copy_5(x, out):
    index = ag.grid(5)
    out[index] = x[index]


def copy_6(x, out):
    index = ag.grid(6)
    out[index] = x[index]


def copy_7(x, out):
    index = ag.grid(7)
    out[index] = x[index]


def copy_8(x, out):
    index = ag.grid(8)
    out[index] = x[index]


COPIES = [copy_0, copy_1, copy_2, copy_3, copy_4, copy_5, copy_6, copy_7, copy_8]
LAYOUTS = {
    "C": lambda x: x,
    "F": lambda x: np.asfortranarray(x) if x.ndim else x,
    "reversed": lambda x: x[(..., *(slice(None, None, -1),) * x.ndim)],
    "every second": lambda x: np.repeat(x, 2, axis=-1)[..., ::2] if x.ndim else x,
    "broadcast": lambda x: np.broadcast_to(x[:1], x.shape) if x.ndim else x,
    "read-only": lambda x: np.broadcast_to(x, x.shape),
}


@pytest.mark.parametrize("ndim", range(9))
def test_every_rank_and_layout(ndim):
    shape = (2, 3, 2, 2, 3, 1, 2, 5)[-ndim:] if ndim else ()
    shape = (70,) if ndim == 1 else shape
    kernel = ag.kernel(COPIES[ndim])
    base = np.arange(int(np.prod(shape)), dtype=np.float32).reshape(shape)
    for name, layout in LAYOUTS.items():
        x = layout(base)
        for out in (np.zeros(shape, np.int16), np.zeros(shape, np.float64, order="F")):
            found = check(kernel, Range(shape) if ndim else Grid(1, 1), x, out)
            assert np.array_equal(found.args[1], x), name


@pytest.mark.parametrize("name", DTYPES)
def test_every_dtype_is_loaded_and_stored(name):
    dtype = DTYPES[name].numpy
    x = np.resize(special_values(dtype), 77)

    @ag.kernel
    def move(x, backward, strided):
        i = ag.grid(1)
        backward[x.size - 1 - i] = x[i]
        strided[i] = x[i * 7 % x.size]

    found = check(move, Range(77), x, np.zeros(77, dtype), np.zeros((77, 3), dtype)[:, 1])
    assert_same(found.args[1], x[::-1])
    assert_same(np.ascontiguousarray(found.args[2]), x[np.arange(77) * 7 % 77])


def test_attributes_of_arrays():
    @ag.kernel
    def look(x, out):
        out[0] = x.shape[0] * 10000 + x.shape[1] * 100 + x.shape[-1]
        out[1] = x.size
        out[2] = x.ndim
        out[3] = x.itemsize
        out[4] = x.nbytes
        out[5] = len(x) * 10 + len(x.shape)
        out[6] = x.T.shape[0]
        out[7] = x.T[1, 0]
        out[8] = x.dtype == np.float32
        rows, columns = x.shape
        out[9] = rows * columns

    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    found = check(look, Grid(1, 1), x, np.zeros(10, np.int64))
    assert found.args[1].tolist() == [30404, 12, 2, 4, 48, 32, 4, 1, 1, 12]


SLICES = ["1:5", ":", "::2", "::-1", "-3:", ":-2", "5:1:-2", "8:2", "-100:100", "3:3", "1:9:3", "-1:-9:-2", "100:", ":-100:-1"]


@pytest.mark.parametrize("part", SLICES)
def test_slices_mean_what_they_mean_in_numpy(part, tmp_path):
    path = tmp_path / "slicing.py"
    path.write_text(
        "import anygpu as ag\n\ndef cut(x, out, size):\n"
        f"    v = x[{part}]\n    w = v[1:]\n    size[0] = len(v)\n    size[1] = w.size\n"
        "    for k in range(len(v)):\n        out[k] = v[k]\n    if len(v) > 0:\n        out[10] = v[-1]\n        out[11] = v[0]\n"
        "    if len(w) > 0:\n        out[12] = w[0]\n        out[13] = x[::-1][2:][1]\n"
    )
    space: dict[str, object] = {}
    exec(compile(path.read_text(), str(path), "exec"), space)
    x = np.arange(10) * 3 + 1
    v = eval(f"x[{part}]")
    found = check(ag.kernel(space["cut"]), Grid(1, 1), x, np.full(14, -7), np.zeros(2, np.int64))
    wanted = np.full(14, -7)
    wanted[: len(v)] = v
    if len(v):
        wanted[10], wanted[11] = v[-1], v[0]
    if len(v) > 1:
        wanted[12], wanted[13] = v[1], x[::-1][2:][1]
    assert found.args[1].tolist() == wanted.tolist() and found.args[2].tolist() == [len(v), max(len(v) - 1, 0)]


def test_views_are_stored_through():
    @ag.kernel
    def write(x, source):
        i = ag.grid(1)
        row = x[i]
        row[1:3] = 5
        row[3:] = source[i, 1:3]
        tail = row[::-1]
        tail[-1] = 9
        x[i, ...][0] += i

    x, source = np.zeros((40, 5), np.int32), np.arange(120, dtype=np.float32).reshape(40, 3)
    found = check(write, Range(40), x, source)
    wanted = np.zeros((40, 5), np.int32)
    wanted[:, 1:3] = 5
    wanted[:, 3:] = source[:, 1:3]
    wanted[:, 0] = 9 + np.arange(40)
    assert np.array_equal(found.args[0], wanted)


def test_fill_item_and_walking_rows():
    @ag.kernel
    def work(x, out):
        i = ag.grid(1)
        x[i].fill(i)
        total = 0
        for v in x[i]:
            total += v
        for k, v in enumerate(x[i]):
            total += k * v
        for a, b in zip(x[i], x[i][::-1]):  # noqa: B905
            total += a * b
        for v in reversed(x[i]):
            total += v
        out[i] = total + x.item(i, 0) + x[i].item(-1)

    found = check(work, Range(33), np.zeros((33, 4), np.int32), np.zeros(33, np.int64))
    i = np.arange(33)
    assert np.array_equal(found.args[0], np.repeat(i, 4).reshape(33, 4))
    assert np.array_equal(found.args[1], 4 * i + 6 * i + 4 * i * i + 4 * i + 2 * i)


@pytest.mark.parametrize("packed", [False, True])
def test_records(packed):
    dtype = np.dtype([("flag", np.bool_), ("x", np.float32), ("n", np.int64), ("h", np.float16), ("b", np.uint8)], align=not packed)
    records = np.zeros(50, dtype)
    records["x"], records["n"], records["flag"] = np.arange(50) / 4, np.arange(50) * 3, np.arange(50) % 3 == 0

    @ag.kernel
    def work(r, out):
        i = ag.grid(1)
        out[i] = r[i].x + r[i]["n"]
        if r[i].flag:
            r[i].x = -r[i].x
        r[i].n += 5
        r[i].h = r[i].n
        r["b"][i] = i
        ag.atomic.add(r.n, i, 1)

    found = check(work, Range(50), records, np.zeros(50))
    assert np.array_equal(found.args[1], records["x"] + records["n"].astype(np.float64))
    after = found.args[0]
    assert np.array_equal(after["x"], np.where(records["flag"], -records["x"], records["x"]))
    assert np.array_equal(after["n"], records["n"] + 6) and np.array_equal(after["h"], (records["n"] + 5).astype(np.float16))
    assert np.array_equal(after["b"], np.arange(50))


def test_records_are_set_whole():
    dtype = np.dtype([("x", np.float32), ("n", np.int32)])

    @ag.kernel
    def work(r):
        i = ag.grid(1)
        r[i] = (i * 0.5, i)

    found = check(work, Range(40), np.zeros(40, dtype))
    assert np.array_equal(found.args[0]["x"], np.arange(40) * 0.5) and np.array_equal(found.args[0]["n"], np.arange(40))


def test_negative_literals_count_from_the_end_and_run_time_ones_do_not():
    @ag.kernel
    def last(x, out):
        i = ag.grid(1)
        out[i] = x[-1] + x[-2]

    assert (check(last, Range(5), np.arange(9), np.zeros(5)).args[1] == 15).all()

    @ag.kernel
    def below(x, out):
        i = ag.grid(1)
        out[i] = x[i - 1]

    found = check(below, Range(5), np.arange(9) + 1, np.full(5, -1.0))
    assert isinstance(found.error, KernelIndexError) and "index -1 is out of bounds for array 'x' with shape (9,)" in str(found.error)
    assert found.args[1].tolist() == [0, 1, 2, 3, 4]  # a load out of bounds gives 0


@pytest.mark.parametrize(
    "index", ["i", "i * 3", "n - i", "i + 2**62", "-i - 1", "i * 2**40", "np.int8(i)", "np.uint64(i) * 3", "x[i]", "i // 2 + 30"]
)
@pytest.mark.parametrize("block", [32, 45])
def test_nothing_is_touched_out_of_bounds(index, block, tmp_path):
    path = tmp_path / "indices.py"
    path.write_text(
        "import anygpu as ag\nimport numpy as np\n\ndef store(x, out, n):\n    i = ag.grid(1)\n"
        f"    v = out[{index}]\n    if v == 0:\n        out[{index}] = i + 1\n"
    )
    space: dict[str, object] = {}
    exec(compile(path.read_text(), str(path), "exec"), space)
    x = np.random.default_rng(0).permutation(200)[: 5 * block] - 50 if block == 32 else np.arange(225) * 2**33
    for out in (np.zeros(40, np.int16), np.zeros((40, 2), np.int16)[::-1, 0]):
        check(ag.kernel(space["store"]), Grid(5, block), np.ascontiguousarray(x[: 5 * block]), out, 44)


def test_the_first_error_is_reported_with_its_count():
    @ag.kernel
    def store(x, out):
        i = ag.grid(1)
        if i % 2 == 1:
            out[i + 1, 3] = x[i]

    found = check(store, Grid(4, 16), np.arange(64), np.zeros((20, 4)))
    assert isinstance(found.error, KernelIndexError)
    text = str(found.error).splitlines()
    assert text[0] == "index (20, 3) is out of bounds for array 'out' with shape (20, 4) in kernel 'store' (and 22 more)"
    assert text[2] == "    out[i + 1, 3] = x[i]" and text[4] == "  block (1, 0, 0), thread (3, 0, 0)"


def test_indices_of_narrow_types_wrap_before_they_index():
    """int8 arithmetic wraps between two lanes of one strip: the addresses are not in a row."""

    @ag.kernel
    def wrap(x, out):
        i = ag.grid(1)
        k = np.int8(i) + np.int8(100)
        out[i] = x[np.uint8(k)] + x[np.int64(k) + 128]

    x = np.arange(256) * 3
    found = check(wrap, Range(200), x, np.zeros(200, np.int64))
    k = (np.arange(200) + 100).astype(np.int8)
    assert np.array_equal(found.args[1], x[k.astype(np.uint8)] + x[k.astype(np.int64) + 128])

    @ag.kernel
    def outside(x, out):
        i = ag.grid(1)
        out[i] = x[np.int8(i)]

    check(outside, Range(200), x, np.zeros(200, np.int64))


def test_read_only_arrays_are_refused_only_by_kernels_that_write_them():
    x = np.arange(8.0)
    x.flags.writeable = False
    ag.kernel(copy_1).forall(8)(x, np.zeros(8))
    with pytest.raises(ReadOnlyError, match="argument 'out' is read-only and kernel 'copy_1' writes it: pass a copy"):
        ag.kernel(copy_1).forall(8)(np.zeros(8), x)
    with pytest.raises(ReadOnlyError):
        ag.kernel(bump).forall(8)(x)


def bump(x):
    ag.atomic.add(x, ag.grid(1), 1)


def test_captured_arrays_cannot_be_written():
    table = np.zeros(4)

    @ag.kernel
    def write():
        table[0] = 1.0

    with pytest.raises(ag.CompileError, match="captured arrays are constants and cannot be written"):
        write[1, 1]()


def test_nine_axes_are_too_many():
    with pytest.raises(ArgumentError, match="argument 'x' has 9 axes; kernels take up to 8"):
        ag.kernel(copy_1)[1, 1](np.zeros((1,) * 9), np.zeros(1))


def test_one_array_in_two_arguments():
    """The two names alias: later statements see what earlier ones wrote through the other."""

    @ag.kernel
    def alias(a, b, out):
        i = ag.grid(1)
        a[i] = i
        out[i] = b[i]
        b[i] = 5
        out[i] += a[i]

    both, out = np.full(64, -1), np.zeros(64, np.int64)
    alias[2, 32](both, both, out)
    assert np.array_equal(out, np.arange(64) + 5)


# ------------------------------------------------------------------------------------------------------------------ parts as a whole


def shift_up(x):
    x[1:6] = x[0:5]


def shift_down(x):
    x[0:5] = x[1:6]


def spread_one(x):
    x[2:8] = x[3:4]


def reversed_steps(x):
    x[9:4:-1] = x[8:3:-1]


def number(x):
    x[3:50] = 7


@pytest.mark.parametrize("change", [shift_up, shift_down, spread_one, reversed_steps, number])
def test_parts_of_one_array_are_read_before_they_are_written(change):
    found = check(ag.kernel(change), Grid(1, 1), np.arange(12.0)).args[0]
    wanted = np.arange(12.0)
    change(wanted)
    assert np.array_equal(found, wanted)


@pytest.mark.parametrize("up", [True, False])
def test_parts_of_a_matrix_overlap(up):
    @ag.kernel
    def rows(m):
        if up:
            m[1:] = m[:-1]
            m[:, 1:] = m[:, :-1]
            m[1:, :-1] = m[:-1, 1:]
        else:
            m[:-1] = m[1:]
            m[:, :-1] = m[:, 1:]
            m[:-1, 1:] = m[1:, :-1]

    a, b = (slice(1, None), slice(None, -1))[:: 1 if up else -1]
    wanted = np.arange(30).reshape(5, 6)
    found = check(rows, Grid(1, 1), wanted).args[0]
    wanted[a] = wanted[b].copy()
    wanted[:, a] = wanted[:, b].copy()
    wanted[a, b] = wanted[b, a].copy()
    assert np.array_equal(found, wanted)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 9])
def test_parts_of_lengths_known_at_run_time(n):
    @ag.kernel
    def store(x, y, n):
        x[2:5] = y[0:n]

    found = check(store, Grid(1, 1), np.zeros(8), np.arange(1.0, 9.0), n)
    wanted = np.zeros(8)
    if n in (1, 3):
        wanted[2:5] = np.arange(1.0, 9.0)[0:n]
        assert found.error is None and np.array_equal(found.args[0], wanted)
    else:
        assert isinstance(found.error, AssertionError) and "only be set to one of the same length" in str(found.error)


@pytest.mark.parametrize("n", [-1, 3, 7, 100])
def test_an_index_outside_a_slice_is_an_index_outside_the_array(n):
    @ag.kernel
    def store(x, n):
        part = x[2:5]
        part[n] = 1

    found = check(store, Grid(1, 1), np.zeros(10), n)
    assert isinstance(found.error, IndexError) and f"index {n if n < 0 else 10} is out of bounds" in str(found.error)
    assert not found.args[0].any()


def test_fields_of_records_by_name():
    @ag.kernel
    def store(r):
        i = ag.grid(1)
        r[i]["a"] = i
        r[i]["b"] += 2.5
        r[i].b *= 2

    records = np.zeros(32, [("a", np.int32), ("b", np.float32)])
    found = check(store, Grid(1, 32), records).args[0]
    assert found["a"].tolist() == list(range(32)) and (found["b"] == 5).all()


@pytest.mark.parametrize("dtype", [">f8", ">i2", ">c8", ">u4"])
def test_captured_arrays_of_foreign_byte_order(dtype):
    values = np.arange(32).astype(dtype)

    @ag.kernel
    def use(out):
        i = ag.grid(1)
        out[i] = values[i]

    native = values.dtype.newbyteorder("=")
    assert_same(check(use, Grid(1, 32), np.zeros(32, native)).args[0], values.astype(native))


def test_arrays_without_axes_are_numbers_in_arithmetic():
    captured = np.array(4.0)

    @ag.kernel
    def use(a, out):
        i = ag.grid(1)
        out[i] = a + i * captured
        if a > 2:
            out[i] -= -a
        a[()] = 3.0

    found = check(use, Grid(1, 1), np.array(3.0), np.zeros(1)).args
    assert found[1][0] == 6.0


# ----------------------------------------------------------------------------------------------------- atomics of every kind of dtype


@pytest.mark.parametrize(
    ("op", "ufunc"), [("add", np.add), ("min", np.minimum), ("max", np.maximum), ("nanmin", np.fmin), ("nanmax", np.fmax)]
)
@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.uint32, np.int64])
def test_atomics_mean_what_numpys_function_means(op, ufunc, dtype):
    word = getattr(ag.atomic, op)

    @ag.kernel
    def use(x, v, old):
        i = ag.grid(1)
        old[i] = word(x, i % 4, v[i])

    x, v = np.array([0, 1, 1, 0]).astype(dtype), np.resize([1, 0, 0, 1, 3, 7], 32).astype(dtype)
    found = check(use, Grid(1, 32), x, v, np.zeros(32, dtype)).args
    wanted, olds = x.copy(), []
    for i in range(32):
        olds.append(wanted[i % 4])
        wanted[i % 4] = ufunc(wanted[i % 4], v[i])
    assert_same(found[0], wanted)
    assert_same(found[2], np.array(olds, dtype))


@pytest.mark.parametrize("op", ATOMICS)
@pytest.mark.parametrize("name", DTYPES)
def test_every_atomic_of_every_dtype_is_there_or_has_a_reason(op, name):
    try:
        assert atomic_operation(op, DTYPES[name]) in ATOMICS
    except KernelError as error:
        assert error.hint == unsupported_reason(op, DTYPES[name]) != ""
