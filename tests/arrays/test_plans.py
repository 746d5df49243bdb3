"""Graphs whose structure has been met before are computed by a plan: with other numbers, other memory, and views that lie elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import numpy as np
import pytest

import anygpu as ag
from anygpu.engine import evaluate

EVERY_DEVICE = True


def softmax(m: ModuleType, x: np.ndarray, y: np.ndarray, n: int) -> list[object]:
    e = m.exp(x - x.max(axis=-1, keepdims=True))
    return [e / e.sum(axis=-1, keepdims=True)]


def numbers(m: ModuleType, x: np.ndarray, y: np.ndarray, n: int) -> list[object]:
    return [(x * (n + 0.5) + n) * 2 - y * float(n), m.where(x > n, n, y)]


def same(m: ModuleType, x: np.ndarray, y: np.ndarray, n: int) -> list[object]:
    z = x if n % 2 else y  # the same structure, but for which arrays are one
    return [x + z * 2]


def views(m: ModuleType, x: np.ndarray, y: np.ndarray, n: int) -> list[object]:
    return [x[::-1, 1:] - y[:, :-1][::-1], (x.T[::2] + 1).sum(axis=0), x[:, ::-1][::-1] * y]


def several(m: ModuleType, x: np.ndarray, y: np.ndarray, n: int) -> list[object]:
    mean = x.mean(axis=0)
    return [mean, x - mean, (x - mean).var(axis=1), y.max() + n, m.cumsum(y, axis=1), x.reshape(-1)[:5] * n]


def gathered(m: ModuleType, x: np.ndarray, y: np.ndarray, n: int) -> list[object]:
    index = (x.argmax(axis=0) + n) % x.shape[0]
    return [(x * 2)[index] + 1, index]


@pytest.mark.parametrize("program", [softmax, numbers, same, views, several, gathered], ids=lambda f: f.__name__)
def test_again_and_again(program: Callable[..., list[object]], device: ag.Device) -> None:
    random = np.random.default_rng(0)
    base = random.standard_normal((7, 40, 33))
    held = ag.asarray(base, device=device)
    for n in range(6):
        i, j = n % 5, (n * 3 + 1) % 6
        want = program(np, base[i], base[j], n)
        got = program(ag, held[i], held[j], n)
        for a, b in zip(got, want, strict=True):
            assert isinstance(a, ag.ndarray)
            np.testing.assert_allclose(np.asarray(a), b, rtol=1e-12, atol=1e-12)


def test_the_second_time_makes_a_plan_and_the_third_uses_it(device: ag.Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "_plans", {})
    made = []
    planned = evaluate._planned
    monkeypatch.setattr(evaluate, "_planned", lambda *given: made.append(1) or planned(*given))
    x = ag.ones((5, 6), device=device)
    for n in range(5):
        assert ag.sum(x * n + 1).item() == 30 * (n + 1)
    assert made == [1]
    y = ag.ones((5, 7), device=device)
    assert ag.sum(y * 3 + 1).item() == 35 * 4
    assert made == [1]


def test_kernels_are_let_go_when_there_are_too_many(device: ag.Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluate, "MOST_KERNELS", 3)
    monkeypatch.setattr(evaluate, "MOST_DEVICE_KERNELS", 3)
    x = ag.ones(5, device=device)
    for _ in range(2):
        for name in ("sqrt", "floor", "ceil", "negative", "absolute", "square"):
            assert getattr(ag, name)(x).tolist() == getattr(np, name)(np.ones(5)).tolist()
            assert evaluate.kernel_count(device.name) <= 4


def test_results_that_are_views_of_operands(device: ag.Device) -> None:
    for n in range(4):
        x = ag.asarray(np.arange(12.0) + n, device=device)
        ag.synchronize()
        y = x.reshape(3, 4)
        z = y + 0
        y[1] = -1
        assert z.tolist() == (np.arange(12.0) + n).reshape(3, 4).tolist()
        assert x[4:8].tolist() == [-1] * 4


def test_threads_record_and_compute_at_once(device: ag.Device) -> None:
    def work(seed: int) -> list[float]:
        with device:
            return [float((ag.full((20, 30), seed + n) * 2 + seed).sum()) for n in range(30)]

    with ThreadPoolExecutor(4) as threads:
        for seed, found in enumerate(threads.map(work, range(4))):
            assert found == [600 * (2 * (seed + n) + seed) for n in range(30)]
