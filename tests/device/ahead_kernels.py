"""Kernels that ``test_ahead.py`` compiles ahead of time: every kind of argument, of shared memory and of barrier."""

# ruff: noqa: F722, F821  (annotations are spelled as signatures)

from typing import NamedTuple

import anygpu as ag


class Body(NamedTuple):
    mass: "f32"
    at: "(f32, f32)"


@ag.kernel
def saxpy(a: ag.float32, x: "f32[:]", y: "f32[:]", out: "f32[:]"):
    """a * x + y"""
    i = ag.grid(1)
    if i < out.size:
        out[i] = a * x[i] + y[i]


@ag.kernel
def stencil(image: "f32[:, :] strided", out: "f32[:, :]"):
    x, y = ag.grid(2)
    if 0 < y < out.shape[0] - 1 and 0 < x < out.shape[1] - 1:
        out[y, x] = 0.25 * (image[y - 1, x] + image[y + 1, x] + image[y, x - 1] + image[y, x + 1])


@ag.kernel
def pull(body: Body, step: float, x: "f64[:]"):
    i = ag.grid(1)
    if i < x.size:
        x[i] += step * body.mass * (body.at[0] - body.at[1])


@ag.kernel
def reverse(x: "i32[:]"):
    tile = ag.shared.array(64, ag.int32)
    t, i = ag.threadIdx.x, ag.grid(1)
    tile[t] = x[i]
    ag.syncthreads()
    x[i] = tile[63 - t]


@ag.kernel
def rotate(x: "f32[:]"):
    tile = ag.shared.array(0, ag.float32)
    t, i, n = ag.threadIdx.x, ag.grid(1), ag.blockDim.x
    tile[t] = x[i]
    ag.syncthreads()
    x[i] = tile[(t + 1) % n]


@ag.kernel
def uneven(x: "i64[:]"):
    """Barriers that meet in two branches: strips run as coroutines."""
    tile = ag.shared.array(96, ag.int64)
    t, i = ag.threadIdx.x, ag.grid(1)
    if t < 64:
        tile[t] = x[i]
        ag.syncthreads()
        x[i] = tile[95 - t]
    else:
        tile[t] = 10 * x[i]
        ag.syncthreads()
        x[i] = tile[95 - t]


@ag.kernel
def across(x: "i64[:]", out: "i64[:]"):
    """A barrier of the whole grid."""
    i = ag.grid(1)
    x[i] = x[i] * 2
    ag.cg.this_grid().sync()
    out[i] = x[x.size - 1 - i]


@ag.kernel
def mixed(flag: bool, h: "f16", b: "bf16", z: "c64", n: "u8", big: int, out: "c128[:]"):
    i = ag.grid(1)
    if i < out.size:
        if flag:
            out[i] = z * float(h) + float(b)
        else:
            out[i] = complex(n, big)


@ag.kernel
def count(x: "u8[:]", bins: "i32[:]"):
    i = ag.grid(1)
    if i < x.size:
        ag.atomic.add(bins, x[i] % 16, 1)


@ag.kernel
def beyond(x: "f32[:]", out: "f32[:]"):
    i = ag.grid(1)
    if i < out.size:
        out[i] = x[i + 3]


@ag.kernel
def asserts(x: "i32[:]"):
    i = ag.grid(1)
    assert x[i] < 900, "too large"


@ag.kernel
def says(x: "i32[:]"):
    i = ag.grid(1)
    if x[i] == 7:
        print("seven at", i)
