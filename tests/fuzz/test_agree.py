"""A bounded number of generated kernels, and those that once told the device and the interpreter apart."""

from __future__ import annotations

import random

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

import anygpu as ag

from ..conformance.harness import Grid, check
from .agree import run
from .generate import generate


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
