"""A bounded number of generated kernels, and those that once told the device and the interpreter apart."""

from __future__ import annotations

import random

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import anygpu as ag
from anygpu.testing.agree import run
from anygpu.testing.generate import generate
from anygpu.testing.harness import Grid, Range, check


@pytest.mark.everywhere
@hypothesis.settings(max_examples=60, suppress_health_check=list(hypothesis.HealthCheck), print_blob=True)
@hypothesis.given(st.randoms(use_true_random=False))
def test_generated_kernels(source: random.Random) -> None:
    run(generate(source))


@pytest.mark.parametrize("first", range(0, 60, 20))
def test_seeds(first: int) -> None:
    """The same kernels every time, larger than those that Hypothesis likes to draw."""
    for seed in range(first, first + 20):
        run(generate(random.Random(seed)), launches=2)


# --------------------------------------------------------------------------------------------------- shrunk from generated kernels


def test_warp_words_behind_a_guard_that_some_lanes_fail() -> None:
    @ag.kernel
    def guarded(x, out):
        i = ag.grid(1)
        if i < 90:
            out[i] = ag.ballot_sync(0xFFFFFFFF, x[i] > 2)

    check(guarded, Grid(3, 40), np.arange(120) % 5, np.zeros(120, np.uint32))


def test_a_loop_of_varying_length_in_a_strip_of_one_lane() -> None:
    @ag.kernel
    def loop(x, out):
        i = ag.grid(1)
        if i < 50:
            for k in range(np.int64(np.uint32(x[i])) % 5):
                n = 0
                while n < 6 and k < 9:
                    n += 1
                out[i] += n * k

    check(loop, Grid(1, 64), np.arange(64), np.zeros(64, np.int64))


def test_uint32_arguments_above_the_signed_range() -> None:
    @ag.kernel
    def convert(p, out):
        i = ag.grid(1)
        out[i] = np.int64(np.float32(np.maximum(p, i)))

    check(convert, Grid(1, 32), np.uint32(3853503992), np.zeros(32, np.int64))


def test_matches_of_bfloat16() -> None:
    @ag.kernel
    def match(out):
        out[ag.grid(1)] = ag.match_any_sync(0xFFFFFFFF, -ag.bfloat16(0))

    assert (check(match, Grid(1, 32), np.zeros(32, np.uint32)).args[0] == 0xFFFFFFFF).all()


def test_local_arrays_read_out_of_bounds_by_a_single_lane_and_by_a_strip() -> None:
    """An edge strip runs lane by lane: what it calls for such a read is not what whole strips call."""

    @ag.kernel
    def read(out):
        i = ag.grid(1)
        m = ag.local.array(6, np.uint32)
        for z in range(6):
            m[z] = z + 1
        out[i] = m[i]

    for launch in (Grid(3, 7), Grid(2, 33), Grid(1, 64)):
        size = launch.grid * launch.block
        found = check(read, launch, np.ones(size, np.uint64))
        assert found.args[0].tolist() == [1, 2, 3, 4, 5, 6] + [0] * (size - 6)


@pytest.mark.everywhere
def test_bools_in_a_local_array_that_a_variable_indexes() -> None:
    """Intel's OpenCL runtime mixed up the work-items' arrays."""

    @ag.kernel
    def read(out):
        i = ag.grid(1)
        m = ag.local.array(6, np.bool_)
        for z in range(6):
            m[z] = np.bool_(z)
        out[i] = m[i % 6]

    found = check(read, Range(31), np.zeros(31, np.bool_))
    assert found.args[0].tolist() == [bool(i % 6) for i in range(31)]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16"])
def test_narrow_scalars_are_exchanged_between_lanes(dtype: str) -> None:
    """A scalar comes as 64 bits, of which the low ones are cut: what LLVM made of their extension was invalid SPIR-V."""

    @ag.kernel
    def exchanged(value, words, out):
        i = ag.grid(1)
        out[i, 0] = ag.match_any_sync(0xFFFFFFFF, value)
        out[i, 1] = ag.shfl_up_sync(0xFFFFFFFF, value, 1)
        out[i, 2] = ag.shfl_sync(0xFFFFFFFF, value, 3)
        out[i, 3] = ag.reduce_max_sync(0xFFFFFFFF, value)
        ag.atomic.add(words, 0, value)

    kind = np.dtype(dtype).type
    check(exchanged, Grid(1, 32), kind(-3 if np.iinfo(dtype).min else 200), np.zeros(4, dtype), np.zeros((32, 4), np.int64))
