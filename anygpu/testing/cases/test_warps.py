"""Every exchange among the lanes of a warp: full and partial warps, masks, diverged lanes, and every dtype."""

from __future__ import annotations

import numpy as np
import pytest

import anygpu as ag
from anygpu.dtypes import DTYPES
from anygpu.testing.harness import BLOCKS, Grid, Range, check, special_values

FULL = 0xFFFFFFFF


@ag.func
def position():
    t = ag.threadIdx.x + ag.blockDim.x * (ag.threadIdx.y + ag.blockDim.y * ag.threadIdx.z)
    return ag.blockIdx.x * ag.blockDim.x * ag.blockDim.y * ag.blockDim.z + t


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_lanes_are_numbered_in_linear_order(block):
    @ag.kernel
    def lanes(out):
        i = position()
        out[i, 0] = ag.laneid
        out[i, 1] = ag.lanemask_lt()
        out[i, 2] = ag.activemask()
        out[i, 3] = ag.warpsize

    n = int(np.prod(block))
    found = check(lanes, Grid(2, block), np.zeros((2 * n, 4), np.int64))
    t = np.tile(np.arange(n), 2)
    active = np.minimum(n - t // 32 * 32, 32)
    assert np.array_equal(found.args[0], np.stack([t % 32, (1 << t % 32) - 1, (1 << active) - 1, np.full(2 * n, 32)], axis=1))


@pytest.mark.parametrize("block", BLOCKS, ids=str)
@pytest.mark.parametrize("width", [32, 16, 8, 4, 2, 1])
def test_shuffles_by_constants(block, width):
    @ag.kernel
    def shuffle(x, out):
        i = position()
        v = x[i]
        out[i, 0] = ag.shfl_sync(FULL, v, 3, width)
        out[i, 1] = ag.shfl_up_sync(FULL, v, 1, width)
        out[i, 2] = ag.shfl_down_sync(FULL, v, 2, width)
        out[i, 3] = ag.shfl_xor_sync(FULL, v, 5, width)
        out[i, 4] = ag.shfl_sync(FULL, v, -1, width)
        out[i, 5] = ag.shfl_down_sync(FULL, v, 100, width)

    n = 2 * int(np.prod(block))
    check(shuffle, Grid(2, block), np.arange(n) * 10, np.zeros((n, 6), np.int64))


@pytest.mark.parametrize("name", DTYPES)
def test_shuffles_of_every_dtype_by_run_time_lanes(name):
    dtype = DTYPES[name].numpy

    @ag.kernel
    def shuffle(x, lane, out):
        i = ag.grid(1)
        v = x[i]
        out[i, 0] = ag.shfl_sync(FULL, v, lane[i])
        out[i, 1] = ag.shfl_up_sync(FULL, v, lane[i] % 5)
        out[i, 2] = ag.shfl_down_sync(FULL, v, lane[i] % 7, 8)
        out[i, 3] = ag.shfl_xor_sync(FULL, v, lane[i] % 32)

    lane = np.random.default_rng(1).integers(0, 32, 64).astype(np.int32)
    x = np.resize(special_values(dtype), 64)
    found = check(shuffle, Grid(1, 64), x, lane, np.zeros((64, 4), dtype))
    wanted = x.reshape(2, 32)[np.repeat([0, 1], 32), lane]
    assert np.array_equal(found.args[2][:, 0].copy().view(np.uint8), wanted.copy().view(np.uint8))


def test_lanes_beyond_the_segment_wrap_around_as_in_cuda():
    @ag.kernel
    def shuffle(out):
        i = ag.grid(1)
        out[i, 0] = ag.shfl_sync(FULL, i, 35)
        out[i, 1] = ag.shfl_sync(FULL, i, i + 3, 8)

    found = check(shuffle, Grid(1, 32), np.zeros((32, 2), np.int64))
    i = np.arange(32)
    assert np.array_equal(found.args[0], np.stack([np.full(32, 3), i // 8 * 8 + (i + 3) % 8], axis=1))


@pytest.mark.parametrize("block", [32, 100, (3, 5, 2)], ids=str)
def test_votes_and_matches(block):
    @ag.kernel
    def vote(x, out):
        i = position()
        v = x[i]
        out[i, 0] = ag.all_sync(FULL, v > 0)
        out[i, 1] = ag.any_sync(FULL, v > 7)
        out[i, 2] = ag.eq_sync(FULL, v % 2 == 0)
        out[i, 3] = ag.ballot_sync(FULL, v > 4)
        out[i, 4] = ag.match_any_sync(FULL, v)
        mask, same = ag.match_all_sync(FULL, v // 100)
        out[i, 5] = mask + same
        out[i, 6] = ag.popc(ag.ballot_sync(FULL, v > 4) & ag.lanemask_lt())

    n = 3 * int(np.prod(block))
    x = np.random.default_rng(2).integers(0, 9, n)
    check(vote, Grid(3, block), x, np.zeros((n, 7), np.int64))


@pytest.mark.parametrize("name", [n for n in DTYPES if not DTYPES[n].is_complex])
def test_matches_compare_bits(name):
    dtype = DTYPES[name].numpy

    @ag.kernel
    def match(x, out):
        i = ag.grid(1)
        out[i, 0] = ag.match_any_sync(FULL, x[i])
        out[i, 1] = ag.match_all_sync(FULL, x[i])[0]
        out[i, 2] = ag.match_all_sync(FULL, x[5])[0]

    x = np.resize(special_values(dtype), 64)
    x[32:40] = x[20:28]
    check(match, Grid(2, 32), x, np.zeros((64, 3), np.uint32))


@pytest.mark.parametrize("op", ["add", "min", "max", "and", "or", "xor"])
@pytest.mark.parametrize("block", [32, 75], ids=str)
def test_reductions_of_every_dtype(op, block):
    reduce = getattr(ag, f"reduce_{op}_sync")

    @ag.kernel
    def run(xs, outs):
        i = ag.grid(1)
        for x, out in zip(xs, outs):  # noqa: B905
            out[i] = reduce(FULL, x[i])
            if i % 3 != 1:
                out[i] = reduce(FULL, x[i])

    names = [n for n, d in DTYPES.items() if d.is_integer or (d.is_float and op in ("add", "min", "max"))]
    n = 2 * block
    xs = tuple(np.resize(special_values(DTYPES[name].numpy), n) for name in names)
    check(run, Grid(2, block), xs, tuple(np.zeros_like(x) for x in xs))


def test_exchanges_among_diverged_lanes():
    @ag.kernel
    def diverged(x, out):
        i = ag.grid(1)
        v = x[i]
        if v % 3 == 0:
            out[i, 0] = ag.shfl_down_sync(FULL, v, 1)
            out[i, 1] = ag.ballot_sync(FULL, v > 3)
            out[i, 2] = ag.activemask()
            if v > 4:
                out[i, 3] = ag.reduce_add_sync(FULL, v)
        elif v == 1:
            out[i, 0] = ag.shfl_sync(FULL, v, 4)
            out[i, 1] = ag.all_sync(FULL, i % 2 == 0)
        for k in range(v):
            out[i, 4] += ag.popc(ag.activemask())
            out[i, 5] = ag.match_any_sync(ag.activemask(), (v + k) % 4)

    for launch in (Grid(3, 32), Grid(2, 50), Range(90)):
        n = 100
        x = np.random.default_rng(3).integers(0, 10, n)
        check(diverged, launch, x, np.zeros((n, 6), np.int64))


@pytest.mark.parametrize("mask", [0x0000FFFF, 0x55555555, 0x1, 0])
def test_masks_that_name_some_lanes(mask):
    @ag.kernel
    def masked(x, out):
        i = ag.grid(1)
        v = x[i]
        out[i, 0] = ag.shfl_xor_sync(mask, v, 1)
        out[i, 1] = ag.ballot_sync(mask, v > 3)
        out[i, 2] = ag.any_sync(mask, v > 8)
        out[i, 3] = ag.all_sync(mask, v > 0)
        out[i, 4] = ag.reduce_max_sync(mask, v)
        out[i, 5] = ag.match_any_sync(mask, v % 3)
        out[i, 6] = ag.match_all_sync(mask, v // 20)[0]

    check(masked, Grid(2, 32), np.random.default_rng(4).integers(0, 10, 64), np.zeros((64, 7), np.int64))


@pytest.mark.parametrize("block", [32, 45], ids=str)
def test_masks_that_differ_between_lanes(block):
    """Lanes that hold the same key work together: the mask of each group is its own."""

    @ag.kernel
    def grouped(key, x, out):
        i = ag.grid(1)
        mask = ag.match_any_sync(FULL, key[i])
        v = x[i]
        out[i, 0] = ag.reduce_add_sync(mask, v)
        out[i, 1] = ag.reduce_max_sync(mask, np.float32(v))
        out[i, 2] = ag.ballot_sync(mask, v > 50)
        out[i, 3] = ag.any_sync(mask, v > 90)
        out[i, 4] = ag.all_sync(mask, v > 10)
        leader = ag.ffs(mask) - 1
        out[i, 5] = ag.shfl_sync(mask, v, leader)
        out[i, 6] = ag.match_any_sync(mask, v % 3)
        out[i, 7] = ag.match_all_sync(mask, v // 40)[0]
        out[i, 8] = ag.shfl_sync(mask, v, (i + 1) % 32)

    n = 2 * block
    key, x = np.random.default_rng(5).integers(0, 5, n), np.random.default_rng(6).integers(0, 100, n)
    found = check(grouped, Grid(2, block), key, x, np.zeros((n, 9), np.int64))
    t = np.arange(n)
    warp = t // block * 10 + t % block // 32
    for i in range(n):
        group = (warp == warp[i]) & (key == key[i])
        assert found.args[2][i, 0] == x[group].sum() and found.args[2][i, 5] == x[group][0]


def test_warp_aggregated_atomics():
    @ag.kernel
    def append(x, count, out):
        i = ag.grid(1)
        if i < x.size and x[i] > 5:
            mask = ag.activemask()
            leader = ag.ffs(mask) - 1
            base = 0
            if ag.laneid == leader:
                base = ag.atomic.add(count, 0, ag.popc(mask))
            base = ag.shfl_sync(mask, base, leader)
            out[base + ag.popc(mask & ag.lanemask_lt())] = x[i]

    x = np.random.default_rng(7).integers(0, 10, 1000)
    count, out = np.zeros(1, np.int64), np.zeros(1000, np.int64)
    append[8, 128](x, count, out)
    assert count[0] == (x > 5).sum() and np.array_equal(np.sort(out[: count[0]]), np.sort(x[x > 5]))


def test_barriers_and_warps_together():
    @ag.kernel
    def scan(x, out):
        totals = ag.shared.array(8, np.int64)
        t = ag.threadIdx.x
        i = ag.grid(1)
        v = x[i]
        d = 1
        while d < 32:
            other = ag.shfl_up_sync(FULL, v, d)
            if ag.laneid >= d:
                v += other
            d *= 2
        if ag.laneid == 31:
            totals[t // 32] = v
        ag.syncthreads()
        for w in range(t // 32):
            v += totals[w]
        out[i] = v

    x = np.random.default_rng(8).integers(0, 100, 512)
    found = check(scan, Grid(2, 256), x, np.zeros(512, np.int64))
    assert np.array_equal(found.args[1].reshape(2, 256), np.cumsum(x.reshape(2, 256), axis=1))


def test_bit_words():
    @ag.kernel
    def bits(xs, outs):
        i = ag.grid(1)
        for x, out in zip(xs, outs):  # noqa: B905
            out[i, 0] = ag.popc(x[i])
            out[i, 1] = ag.clz(x[i])
            out[i, 2] = ag.ffs(x[i])
            out[i, 3] = ag.brev(x[i])
            out[i, 4] = ag.mulhi(x[i], x[(i + 3) % x.size])

    names = [n for n, d in DTYPES.items() if d.is_integer]
    xs = tuple(np.resize(special_values(DTYPES[n].numpy), 64) for n in names)
    found = check(bits, Grid(2, 32), xs, tuple(np.zeros((64, 5), x.dtype) for x in xs))
    for x, out in zip(xs, found.args[1], strict=True):
        width = x.dtype.itemsize * 8
        for value, other, row in zip(x.tolist(), np.roll(x, -3).tolist(), out.tolist(), strict=True):
            text = format(value % (1 << width), f"0{width}b")
            high = value * other >> width
            assert row == [
                text.count("1"),
                len(text) - len(text.lstrip("0")),
                (text[::-1].find("1") + 1),
                wrap(int(text[::-1], 2), x.dtype),
                wrap(high, x.dtype),
            ]


def wrap(value, dtype):
    info = np.iinfo(dtype)
    return (value - info.min) % (1 << info.bits) + info.min
