"""Slices of tuples in kernels: a tuple's length is part of its type, so the bounds must be constants."""

from __future__ import annotations

import numpy as np
import pytest

import anygpu as ag


@ag.kernel
def constant_bounds(values, out):
    middle = values[1:-1]
    backwards = values[::-1]
    out[0], out[1] = middle[0], middle[1]
    out[2], out[3] = backwards[0], len(values[:2])


@ag.kernel
def bound_known_at_run_time(values, n, out):
    out[0] = values[n:][0]


@ag.kernel
def step_of_zero(values, out):
    out[0] = values[::0][0]


def test_constant_bounds():
    out = np.zeros(4)
    constant_bounds[1, 1]((1.0, 2.0, 3.0, 4.0), out)
    assert out.tolist() == [2, 3, 4, 2]


def test_a_bound_known_only_at_run_time_is_refused():
    with pytest.raises(ag.CompileError, match="bounds of a tuple's slice must be constant integers, not int"):
        bound_known_at_run_time[1, 1]((1.0, 2.0), 1, np.zeros(1))


def test_a_step_of_zero_is_refused():
    with pytest.raises(ag.CompileError, match="step of a slice must not be zero"):
        step_of_zero[1, 1]((1.0, 2.0), np.zeros(1))
