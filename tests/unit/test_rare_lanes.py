"""Branches of elementary functions for rare arguments, which the CPU runs lane by lane: the interpreter's bits, whoever takes them."""

import numpy as np
import pytest

import anygpu as ag
from anygpu.testing.harness import Grid, check

HUGE = (3e5, -7e8, 1e10, -1e22, 1e38, np.inf, -np.inf, np.nan)


@ag.kernel
def turned(x, flags, out):
    i = ag.grid(1)
    if i < out.shape[0]:
        v = x[i]
        if flags[i]:
            out[i, 0] = ag.sin(v)
            out[i, 1] = ag.cos(v) + ag.tan(v)
        else:
            out[i, 0] = ag.cos(v)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("share", [0.0, 0.05, 0.5, 1.0])
def test_lanes_with_huge_arguments_are_alone(dtype, share):
    source = np.random.default_rng(7)
    n = 150
    x = np.where(source.random(n) < share, source.choice(HUGE, n), source.uniform(-9, 9, n)).astype(dtype)
    check(turned, Grid(3, 64), x, source.random(n) < 0.6, np.zeros((n, 2), dtype))


def test_they_are_in_a_function_of_their_own():
    x = np.zeros(64)
    text = turned.inspect(x, np.zeros(64, bool), np.zeros((64, 2)), grid=1, block=64, stage="llvm")
    assert text.count("define internal fastcc void @rare_") + text.count("define internal void @rare_") >= 2
    assert " cold " in text and "noinline" in text


@ag.kernel
def some(x, out):
    i = ag.grid(1)
    if i < out.shape[0]:
        v = x[i]
        y = v
        if v > 0:
            y = ag.sin(v)
        out[i] = y


def test_a_branch_of_the_kernel_is_not_rare():
    x = np.random.default_rng(3).standard_normal(150)
    check(some, Grid(3, 64), x, np.zeros(150))
    text = some.inspect(x, np.zeros(150), grid=3, block=64, stage="llvm")
    rare = [part for part in text.split("\n}")[:-1] if "void @rare_" in part.split("define ")[1].split("(")[0]]
    assert rare
    assert all(part.count("fmul") < 8 < text.count("fmul") for part in rare)  # the reduction alone, without the polynomials
