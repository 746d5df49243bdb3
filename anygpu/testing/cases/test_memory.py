"""Shared and local arrays, barriers in any control flow, and every atomic on every dtype in every space."""

from __future__ import annotations

import numpy as np
import pytest

import anygpu as ag
from anygpu.dtypes import DTYPES
from anygpu.ir.ops import ATOMICS
from anygpu.testing.harness import Grid, Range, check, special_values

BLOCKS = (32, 256, (16, 16), 7, (3, 5, 2), 100, 1)


def linear():
    return ag.threadIdx.x + ag.blockDim.x * (ag.threadIdx.y + ag.blockDim.y * ag.threadIdx.z)


def threads():
    return ag.blockDim.x * ag.blockDim.y * ag.blockDim.z


def size_of(block):
    return int(np.prod(block))


@pytest.mark.parametrize("block", BLOCKS, ids=str)
@pytest.mark.parametrize("name", ["int32", "float64", "bool", "complex64", "bfloat16"])
def test_shared_arrays_reverse_a_block(block, name):
    dtype = DTYPES[name].numpy

    @ag.kernel
    def reverse(x, out):
        tile = ag.shared.array(256, dtype)
        t, n = linear(), threads()
        i = ag.blockIdx.x * n + t
        tile[t] = x[i]
        ag.syncthreads()
        out[i] = tile[n - 1 - t]

    n = size_of(block)
    x = np.resize(special_values(dtype), 3 * n)
    found = check(reverse, Grid(3, block), x, np.zeros(3 * n, dtype))
    assert np.array_equal(found.args[1].view(np.uint8), np.ascontiguousarray(x.reshape(3, n)[:, ::-1]).view(np.uint8).ravel())


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_reductions_with_barriers_in_a_loop(block):
    @ag.kernel
    def total(x, out):
        parts = ag.shared.array((256,), np.int64)
        t, n = linear(), threads()
        parts[t] = x[ag.blockIdx.x * n + t]
        ag.syncthreads()
        width = 1
        while width < n:
            other = t + width
            if t % (2 * width) == 0 and other < n:
                parts[t] += parts[other]
            ag.syncthreads()
            width *= 2
        if t == 0:
            out[ag.blockIdx.x] = parts[0]

    n = size_of(block)
    x = np.random.default_rng(0).integers(-99, 99, 5 * n)
    found = check(total, Grid(5, block), x, np.zeros(5, np.int64))
    assert np.array_equal(found.args[1], x.reshape(5, n).sum(axis=1))


@pytest.mark.parametrize("block", [(16, 16), (8, 4), (5, 7)], ids=str)
def test_two_dimensional_tiles(block):
    @ag.kernel
    def transpose(x, out):
        tile = ag.shared.array((16, 17), np.float32)
        tx, ty = ag.threadIdx.x, ag.threadIdx.y
        col, row = ag.grid(2)
        if row < x.shape[0] and col < x.shape[1]:
            tile[ty, tx] = x[row, col]
        ag.syncthreads()
        if row < x.shape[0] and col < x.shape[1]:
            out[col, row] = tile[ty, tx]

    x = np.arange(23 * 30, dtype=np.float32).reshape(23, 30)
    found = check(transpose, Grid((-(-30 // block[0]), -(-23 // block[1])), block), x, np.zeros((30, 23), np.float32))
    assert np.array_equal(found.args[1], x.T)


def test_dynamic_shared_memory_is_one_place_for_all_its_arrays():
    @ag.kernel
    def shift(x, out):
        fixed = ag.shared.array(4, np.int32)
        floats = ag.shared.array(0, np.float32)
        bits = ag.shared.array(0, np.uint32)
        t = ag.threadIdx.x
        floats[t] = x[t]
        if t < 4:
            fixed[t] = t
        ag.syncthreads()
        out[t] = bits[(t + 1) % ag.blockDim.x] + fixed[t % 4] * 0 + floats.size * 0

    x = np.linspace(-1, 1, 64, dtype=np.float32)
    found = check(shift, Grid(1, 64, 256), x, np.zeros(64, np.uint32))
    assert np.array_equal(found.args[1], np.roll(x, -1).view(np.uint32))
    short = check(shift, Grid(1, 64, 128), x, np.zeros(64, np.uint32))
    assert isinstance(short.error, IndexError)


def test_local_arrays_belong_to_one_work_item():
    @ag.kernel
    def sort(x, out):
        mine = ag.local.array((2, 3), np.float32)
        flags = ag.local.array(6, np.bool_)
        i = ag.grid(1)
        for k in range(6):
            mine[k // 3, k % 3] = x[i, k]
            flags[k] = x[i, k] > 0
        for a in range(6):
            for b in range(5 - a):
                left, right = mine[b // 3, b % 3], mine[(b + 1) // 3, (b + 1) % 3]
                if left > right:
                    mine[b // 3, b % 3], mine[(b + 1) // 3, (b + 1) % 3] = right, left
        for k in range(6):
            out[i, k] = mine[k // 3][k % 3] + (100 if flags[k] else 0)

    x = np.random.default_rng(0).normal(size=(70, 6)).astype(np.float32)
    for launch in (Range(70), Grid(2, 35)):
        found = check(sort, launch, x, np.zeros((70, 6), np.float32))
        assert np.array_equal(found.args[1], np.sort(x, axis=1) + np.where(x > 0, np.float32(100), np.float32(0)))


def test_local_and_shared_accesses_are_checked():
    @ag.kernel
    def outside(out):
        mine = ag.local.array(3, np.int32)
        tile = ag.shared.array((2, 2), np.int32)
        i = ag.grid(1)
        tile[i // 2 % 2, i % 2] = 0
        ag.syncthreads()
        mine[i] = 5
        tile[i % 3, 1] = 1
        ag.syncthreads()
        out[i] = mine[i] + tile[0, i % 3]

    found = check(outside, Grid(1, 32), np.zeros(32, np.int32))
    assert "index (2, 1) is out of bounds for array 'tile' with shape (2, 2)" in str(found.error)


# ------------------------------------------------------------------------------------------------------------------------- barriers


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_barriers_that_count(block):
    @ag.kernel
    def votes(x, out):
        t, n = linear(), threads()
        i = ag.blockIdx.x * n + t
        a = ag.syncthreads_count(x[i] > 3)
        b = ag.syncthreads_and(x[i] >= 0)
        c = ag.syncthreads_or(x[i] > 8)
        d = ag.syncthreads_count(t % 2 == 0)
        out[i] = a * 1000000 + d * 1000 + b * 10 + c

    n = size_of(block)
    x = np.random.default_rng(4).integers(-1, 10, 4 * n)
    x[:n] = abs(x[:n])
    found = check(votes, Grid(4, block), x, np.zeros(4 * n, np.int64))
    rows = x.reshape(4, n)
    wanted = (rows > 3).sum(1) * 1000000 + (n + 1) // 2 * 1000 + (rows >= 0).all(1) * 10 + (rows > 8).any(1)
    assert np.array_equal(found.args[1].reshape(4, n), np.repeat(wanted, n).reshape(4, n))


@pytest.mark.parametrize("block", [32, 100, (16, 16)], ids=str)
def test_barriers_under_uniform_conditions_and_in_nested_loops(block):
    @ag.kernel
    def nested(x, out, rounds):
        tile = ag.shared.array(256, np.int32)
        t, n = linear(), threads()
        value = x[ag.blockIdx.x * n + t]
        for r in range(rounds):
            if (r + ag.blockIdx.x) % 2 == 0:
                tile[t] = value
                ag.syncthreads()
                for k in range(2):
                    value += tile[(t + k + 1) % n]
                    ag.syncthreads()
                    tile[t] = value
                    ag.syncthreads()
            else:
                value -= 1
                if r == 3:
                    continue
                ag.syncthreads()
        out[ag.blockIdx.x * n + t] = value

    n = size_of(block)
    x = np.arange(3 * n, dtype=np.int32) % 17
    check(nested, Grid(3, block), x, np.zeros(3 * n, np.int32), 5)


def test_barriers_inside_functions_and_both_branches():
    @ag.kernel
    def both(x, out):
        tile = ag.shared.array(64, np.int32)
        t = ag.threadIdx.x
        tile[t] = x[t]
        exchange(tile, t, 1)
        exchange(tile, t, 3)
        out[t] = tile[t]

    x = np.arange(64, dtype=np.int32)
    found = check(both, Grid(1, 64), x, np.zeros(64, np.int32))
    assert np.array_equal(found.args[1], np.roll(np.roll(x, -1), -3))


def exchange(tile, t, distance):
    ag.syncthreads()
    value = tile[(t + distance) % 64]
    ag.syncthreads()
    tile[t] = value
    ag.syncthreads()


def test_work_items_that_have_returned_are_not_waited_for():
    @ag.kernel
    def leave(out):
        tile = ag.shared.array(128, np.int32)
        t = ag.threadIdx.x
        tile[t] = 1
        ag.syncthreads()
        if t >= 70:
            return
        tile[t] = t
        out[t] = ag.syncthreads_count(t % 7 == 0)
        ag.syncthreads()
        out[t] += tile[69 - t]

    found = check(leave, Grid(2, 128), np.zeros(128, np.int32))
    t = np.arange(70)
    assert np.array_equal(found.args[0][:70], 10 + 69 - t)


def test_barriers_that_meet_at_different_places():
    """Work-items in two branches meet at whichever barrier each stands at, as threads of one warp each do on a GPU."""

    @ag.kernel
    def meet(out):
        tile = ag.shared.array(64, np.int32)
        t = ag.threadIdx.x
        if t < 32:
            tile[t] = t
            ag.syncthreads()
            out[t] = tile[t + 32]
        else:
            tile[t] = t * 2
            ag.syncthreads()
            out[t] = tile[t - 32]

    out = np.zeros(64, np.int32)
    meet[1, 64](out)
    t = np.arange(64)
    assert np.array_equal(out, np.where(t < 32, (t + 32) * 2, t - 32))


@pytest.mark.parametrize("block", [32, 45], ids=str)
def test_the_whole_grid_waits(block):
    @ag.kernel
    def grid_sum(x, parts, out):
        g = ag.cg.this_grid()
        i = ag.grid(1)
        ag.atomic.add(parts, ag.blockIdx.x, x[i])
        g.sync()
        if i == 0:
            total = 0
            for p in parts:
                total += p
            out[0] = total
        g.sync()
        out[i + 1] = out[0] - x[i]

    n = 6 * block
    x = np.random.default_rng(0).integers(0, 1000, n)
    found = check(grid_sum, Grid(6, block), x, np.zeros(6, np.int64), np.zeros(n + 1, np.int64))
    assert np.array_equal(found.args[2], np.concatenate([[x.sum()], x.sum() - x]))


def test_fences_change_nothing_but_order():
    @ag.kernel
    def fence(out):
        i = ag.grid(1)
        out[i] = 1
        ag.threadfence()
        out[i] += 1
        ag.threadfence_block()
        out[i] += 1
        ag.threadfence_system()
        ag.syncwarp()
        ag.syncwarp(0xFFFFFFFF)
        out[i] += 1

    assert (check(fence, Grid(2, 40), np.zeros(80, np.int32)).args[0] == 4).all()


# -------------------------------------------------------------------------------------------------------------------------- atomics

WORDS = {"and": "and_", "or": "or_"}


def atomic_dtypes(op):
    return [n for n, d in DTYPES.items() if d.kind in ATOMICS[op] or (d.is_complex and op in ("add", "sub"))]


@pytest.mark.parametrize("op", ATOMICS)
def test_atomics_on_every_dtype_in_global_memory(op):
    """One work-item after another in one strip: the order, and so every old value, is that of the interpreter."""
    word = getattr(ag.atomic, WORDS.get(op, op))

    @ag.kernel
    def run(arrays, xs, olds):
        i = ag.grid(1)
        for a, x, old in zip(arrays, xs, olds):  # noqa: B905
            old[i] = word(a, i % 3, x[i])
            word(a, 3, x[i])

    @ag.kernel
    def swap(arrays, xs, olds):
        i = ag.grid(1)
        for a, x, old in zip(arrays, xs, olds):  # noqa: B905
            old[i] = ag.atomic.cas(a, i % 3, x[i], x[(i + 7) % x.size])
            ag.atomic.compare_and_swap(a[3:], x[0], x[i])

    names = atomic_dtypes(op)
    xs = tuple(np.resize(special_values(DTYPES[n].numpy), 32) for n in names)
    arrays = tuple(np.resize(special_values(DTYPES[n].numpy), 4) for n in names)
    check(swap if op == "cas" else run, Grid(1, 32), arrays, xs, tuple(np.zeros_like(x) for x in xs))


@pytest.mark.parametrize("space", ["shared", "local"])
@pytest.mark.parametrize("op", ATOMICS)
def test_atomics_in_shared_and_local_memory(op, space):
    word, made = getattr(ag.atomic, WORDS.get(op, op)), getattr(ag, space).array
    for names in (atomic_dtypes(op)[:8], atomic_dtypes(op)[8:]):
        dtypes = tuple(DTYPES[n].numpy for n in names)
        if not names:
            continue

        @ag.kernel
        def run(xs, outs, olds, dtypes=dtypes):
            t = ag.threadIdx.x
            for x, out, old, dtype in zip(xs, outs, olds, dtypes):  # noqa: B905
                a = made(4, dtype)
                if t < 4 or space == "local":
                    for k in range(4):
                        a[k] = x[k]
                ag.syncthreads()
                old[t] = word(a, t % 3, x[t])
                ag.syncthreads()
                if t < 4:
                    out[t] = a[t]

        @ag.kernel
        def swap(xs, outs, olds, dtypes=dtypes):
            t = ag.threadIdx.x
            for x, out, old, dtype in zip(xs, outs, olds, dtypes):  # noqa: B905
                a = made(4, dtype)
                if t < 4 or space == "local":
                    for k in range(4):
                        a[k] = x[k]
                ag.syncthreads()
                old[t] = ag.atomic.cas(a, t % 3, x[t % 5], x[t])
                ag.syncthreads()
                if t < 4:
                    out[t] = a[t]

        xs = tuple(np.resize(special_values(d), 32) for d in dtypes)
        check(
            swap if op == "cas" else run,
            Grid(1, 32),
            xs,
            tuple(np.zeros(4, d) for d in dtypes),
            tuple(np.zeros(32, d) for d in dtypes),
            dtypes,
        )


@pytest.mark.parametrize("name", ["int32", "uint64", "int8", "uint16", "float64", "float32"])
def test_atomics_from_many_blocks_lose_nothing(name):
    dtype = DTYPES[name].numpy

    @ag.kernel
    def histogram(x, bins, top):
        i = ag.grid(1)
        if i < x.size:
            ag.atomic.add(bins, x[i] % bins.size, 1)
            ag.atomic.max(top, 0, x[i] % 100)

    n = 100_000
    x = np.random.default_rng(0).integers(0, 1 << 30, n)
    bins, top = np.zeros(1500, dtype), np.zeros(1, dtype)
    histogram.forall(n)(x, bins, top)
    assert np.array_equal(bins, np.bincount(x % 1500, minlength=1500).astype(dtype)) and top[0] == 99


def test_atomic_counters_hand_out_every_ticket_once():
    @ag.kernel
    def ticket(counter, taken):
        ag.grid(1)
        ag.atomic.add(taken, ag.atomic.add(counter, 0, 1), 1)

    counter, taken = np.zeros(1, np.int32), np.zeros(51200, np.int32)
    ticket[200, 256](counter, taken)
    assert counter[0] == 51200 and (taken == 1).all()


def test_atomics_out_of_bounds_are_masked():
    @ag.kernel
    def outside(a):
        i = ag.grid(1)
        ag.atomic.add(a, (i, i % 3), 1)

    found = check(outside, Grid(1, 32), np.zeros((7, 2), np.int32))
    assert isinstance(found.error, IndexError)


def test_local_arrays_outlive_barriers():
    @ag.kernel
    def keep(x, out):
        mine = ag.local.array(5, np.float64)
        pairs = ag.local.array((2, 2), np.complex64)
        t = ag.threadIdx.x
        i = ag.grid(1)
        for k in range(5):
            mine[k] = x[i] * k
            pairs[k % 2, k // 3] = x[i] + k
        ag.syncthreads()
        total = 0.0
        for k in range(5):
            total += mine[k]
            ag.syncthreads()
            mine[4 - k] += 1
        out[i] = total + pairs[t % 2, 1].real

    for block in (256, 100, 32):
        n = 2 * block
        x = np.arange(n) * 0.5
        found = check(keep, Grid(2, block), x, np.zeros(n))
        t = np.arange(n) % block
        assert np.array_equal(found.args[1], x * 10 + 2 + x + np.where(t % 2, 3, 4))


@pytest.mark.parametrize("block", (32, 64, 256, (16, 16), 100), ids=str)
@pytest.mark.parametrize("dtype", [np.int32, np.uint8, np.int64], ids=lambda d: d.__name__)
@pytest.mark.parametrize("length", [0, 300, 3000])
def test_loops_that_count_into_a_shared_table(block, dtype, length):
    """Long ones count into copies of the table; some elements lie outside it, and some are taken away again."""

    @ag.kernel
    def histogram(data, counts):
        bins = ag.shared.array(40, dtype)
        t, n = linear(), threads()
        for k in range(t, 40, n):
            bins[k] = k
        ag.syncthreads()
        for i in range(t, data.size, 32):
            ag.atomic.add(bins, data[i], 3)
            ag.atomic.sub(bins, data[i] // 2, 1)
        for i in range(data.size // 10):
            ag.atomic.add(bins, data[i] // 2, t)
        ag.syncthreads()
        for k in range(t, 40, n):
            counts[k] = bins[k]

    data = (np.arange(length) * 7 % 40).astype(np.int8)
    if length:
        data[length // 2 :] = 5
    outside = check(histogram, Grid(1, block), np.append(data, np.int8(81)), np.zeros(40, dtype))
    assert outside.error is not None
    inside = check(histogram, Grid(1, block), data, np.zeros(40, dtype))
    expected = np.arange(40)
    half = np.bincount(data[: length // 10] // 2, minlength=40)
    for t in range(size_of(block)):
        expected += 3 * np.bincount(data[t::32], minlength=40) - np.bincount(data[t::32] // 2, minlength=40) + half * t
    assert np.array_equal(inside.args[1], expected.astype(dtype))


@pytest.mark.parametrize("block", (32, 128, (16, 4), 45), ids=str)
@pytest.mark.parametrize("view", [np.s_[:, :], np.s_[3:, 5:-5], np.s_[:, ::2], np.s_[:, ::-1], np.s_[::2, 1:]], ids=str)
def test_rows_that_only_the_launch_knows(block, view):
    """Views whose last axis may be in a row, and indices that are computed."""

    @ag.kernel
    def shift(x, out):
        t = linear()
        for r in range(x.shape[0]):
            for c in range(t, x.shape[1], threads()):
                out[r, c] = x[r, c ^ 1 if (c ^ 1) < x.shape[1] else c] + x[r, (c & -32) + c % 32] - x[r, c - c % 8]

    x = np.random.default_rng(3).integers(0, 1000, (12, 300)).astype(np.float32)
    given = x[view]
    out = np.zeros_like(x)[view]
    found = check(shift, Grid(1, block), given, out)
    c = np.arange(given.shape[1])
    flipped = np.where((c ^ 1) < given.shape[1], c ^ 1, c)
    assert np.array_equal(found.args[1], given[:, flipped] + given - given[:, c - c % 8])
