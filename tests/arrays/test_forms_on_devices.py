"""Reductions, scans, indices of extremes, gathers and compactions have the CPU's bits on every device."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import anygpu as ag

EVERY_DEVICE = True
SHAPES = ((70,), (40_000,), (700, 5), (5, 700), (3, 20_000))
FUNCTIONS: dict[str, Callable[[ag.ndarray], ag.ndarray]] = {
    "cumsum": lambda v: v.cumsum(-1),
    "cumsum of all": lambda v: (v * v - 1).cumsum(),
    "cumsum over rows": lambda v: v.cumsum(0),
    "cumprod": lambda v: ag.cumprod(v * 0.01 + 1, -1),
    "accumulate": lambda v: np.maximum.accumulate(v, -1),
    "sum": lambda v: v.sum(-1),
    "product": lambda v: (v * 0.01 + 1j).prod(),
    "sum of exponentials": lambda v: ag.exp(v).sum(-1),
    "max": lambda v: v.max(),
    "argmax": lambda v: v.argmax(-1),
    "argmax of exponentials": lambda v: ag.exp(v).argmax(-1),
    "argmin of all": lambda v: (v * v).argmin(),
    "argmax over rows": lambda v: v.argmax(0),
    "take": lambda v: v.take(ag.array([3, -1, 0]), -1) + 1,
    "computed indices": lambda v: v.reshape(-1)[(ag.arange(100) * 7) % v.size],
    "mask": lambda v: v[v > 0.5],
    "nonzero": lambda v: (v > 1).nonzero()[-1],
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_same_bits(name: str, shape: tuple[int, ...]) -> None:
    x = np.random.default_rng(9).normal(size=shape).astype(np.float32)
    found = FUNCTIONS[name](ag.array(x))
    with ag.Device("cpu"):
        want = FUNCTIONS[name](ag.array(x))
    assert np.asarray(found).tobytes() == np.asarray(want).tobytes()


def test_scatters() -> None:
    random = np.random.default_rng(10)
    index, value, x = random.integers(-50, 50, 3000), random.random(3000), np.zeros((50, 2))
    a = ag.array(x)
    a[ag.array(index), 1] = ag.array(value)
    x[index, 1] = value
    np.add.at(a, (ag.array(index), 0), 1.0)
    np.add.at(x, (index, 0), 1.0)
    a[a > 0.5] = 7
    x[x > 0.5] = 7
    np.testing.assert_array_equal(np.asarray(a), x)
