"""Loops of a few turns, which code for GPUs writes out with pointers that step: over every layout, inside of each other, and where an
access is not made in every turn or does not move evenly."""

from __future__ import annotations

import numpy as np
import pytest

import anygpu as ag
from anygpu.testing.harness import Grid, Range, check

A = np.arange(40.0 * 50).reshape(40, 50).astype(np.float32)
WIDE = np.repeat(np.repeat(A, 2, 0), 3, 1)
LAYOUTS = {"C": A, "F": np.asfortranarray(A), "turned": A[::-1, ::-1], "every other": WIDE[::2, ::3], "T": A.T}


@pytest.mark.everywhere
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("checked", [True, False])
def test_windows(layout, checked):
    @ag.kernel(bounds_check=checked)
    def window(a, weights, out):
        r, c = ag.grid(2)
        if r < out.shape[0] and c < out.shape[1]:
            total = np.float32(0)
            for i in range(5):
                for j in range(3):
                    total += weights[i, j] * a[r + i, c + j] + weights[i, 0]
            out[r, c] = total

    a = LAYOUTS[layout]
    weights = np.linspace(-1, 1, 15).astype(np.float32).reshape(5, 3)
    check(window, Range((20, 30)), a, weights, np.zeros((20, 30), np.float32))


@pytest.mark.parametrize("step", [1, 3, -1, -4])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_steps_up_and_down(layout, step):
    first, last = (0, 14) if step > 0 else (14, 0)

    @ag.kernel(bounds_check=False)
    def walk(a, b, out):
        i = ag.grid(1)
        for k in range(first, last, step):
            out[i, k] += a[k, i] - b[i, 2 * k + 1] + a[20 - k, i]
            a[k + 1, i] = a[k, i] + 1

    check(walk, Grid(2, 16), LAYOUTS[layout], A, np.zeros((32, 16), np.float32))


@pytest.mark.parametrize("block", [(32, 8), (7, 3), (16, 16)])
def test_tiles(block):
    @ag.kernel(bounds_check=False)
    def tiles(a, out):
        x, y = ag.threadIdx.x, ag.threadIdx.y
        for r in range(y, 32, 8):
            row = r + 2
            out[row, x] = a[r, x] * 2 + a[row, x + 1]

    check(tiles, Grid(1, block), A, np.zeros((40, 50), np.float32))


def test_accesses_that_not_every_turn_makes():
    @ag.kernel(bounds_check=False)
    def some(a, out):
        i = ag.grid(1)
        for k in range(-3, 6):
            if k >= 0:
                out[k, i] = a[k, i]
        for k in range(6):
            if (k + i) % 3 == 0:
                continue
            out[k, i] += a[k + 1, i]
        for k in range(7):
            out[k, i] += 1
            if k * 9 > i:
                break
            out[k, i] += a[k, i]

    check(some, Grid(1, 45), A, np.zeros((8, 45), np.float32))


def test_what_does_not_move_evenly():
    @ag.kernel(bounds_check=False)
    def uneven(a, out):
        i = ag.grid(1)
        step, at = 1, 0
        for k in range(6):
            out[i, 0] += a[k * k, i] * a[at, i]
            for m in range(3):
                out[i, 1] += a[k, i + m * m] + a[k * m, i] + a[k + 2, i]
                out[i, 2] += a[(k + m) // 2, i]
            at += step
            step += 1
            narrow = ag.int8(k * 50)
            out[i, 3] += a[abs(narrow) % 7, i]
            i = (i + 5) % 32

    check(uneven, Grid(1, 32), A, np.zeros((32, 4), np.float32))


def test_more_arrays_than_pointers():
    @ag.kernel(bounds_check=False)
    def many(arrays, out):
        i = ag.grid(1)
        for k in range(4):
            for n in range(2):
                total = np.float64(0)
                for a in arrays:
                    total += a[k + n, i] * (k + 1)
                out[k, i] += total

    arrays = tuple(A.astype(t) for t in "bHiqefdBIh")
    check(many, Grid(2, 20), arrays, np.zeros((4, 40)))


def test_records_and_single_turns():
    @ag.kernel(bounds_check=False)
    def fields(points, out):
        i = ag.grid(1)
        for k in range(5):
            points[i, k].x += points[i, k + 1].y
            out[i] += points[i, k].x
        for k in range(i, i + 1):
            out[k] += points[k, 0].y

    points = np.zeros((24, 6), np.dtype([("x", np.float32), ("y", np.int16)]))
    points["x"], points["y"] = np.arange(144).reshape(24, 6), np.arange(144).reshape(24, 6) % 11
    check(fields, Grid(1, 24), points, np.zeros(24, np.float32))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "uint8", "complex64"])
@pytest.mark.parametrize("checked", [True, False])
def test_neighbours(layout, dtype, checked):
    """Places side by side share an address, which may itself be outside of the array."""

    @ag.kernel(bounds_check=checked)
    def beside(a, out, more):
        r, c = ag.grid(2)
        if r < a.shape[0] and 0 < c and c < a.shape[1] - 1:
            out[r, c] = a[r, c - 1] + a[r, c] + a[r, c + 1]
        if r < a.shape[0] and c < 2:
            more[r, c + 40] = a[r, c + 30] - a[r, c + 29]
        before = c - 5
        if r < a.shape[0] and before >= -2 and before < 30:
            more[r, before + 2] = a[r, before + 2]

    with np.errstate(all="ignore"):
        a = LAYOUTS[layout].astype(dtype)
    check(beside, Grid((7, 40), (8, 1)), a, np.zeros((50, 50), dtype), np.zeros((50, 50), dtype))
