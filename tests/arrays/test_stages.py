"""Reductions of rows that build on one another are one kernel, whose results have the bits of several."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import numpy as np
import pytest

import anygpu as ag
from anygpu.engine import schedule

EVERY_DEVICE = True

Program = Callable[[ModuleType, np.ndarray], list[object]]


def softmax(m: ModuleType, x: np.ndarray) -> list[object]:
    e = m.exp(x - m.max(x, axis=-1, keepdims=True))
    return [e / m.sum(e, axis=-1, keepdims=True)]


def expensive(m: ModuleType, x: np.ndarray) -> list[object]:
    """What is expensive waits for the last stage in the memory of a result: float64 in one, bool results in none."""
    e = m.tanh(x - m.max(x, axis=-1, keepdims=True)) * m.exp(x)
    total = m.sum(e, axis=-1, keepdims=True)
    return [e / total, e > total / x.shape[-1]]


def two_expensive(m: ModuleType, x: np.ndarray) -> list[object]:
    a, b = m.tanh(x), m.sin(x)
    return [a * m.sum(a, axis=-1, keepdims=True) - b * m.sum(b, axis=-1, keepdims=True)]


def parts_of_softmax(m: ModuleType, x: np.ndarray) -> list[object]:
    largest = m.max(x, axis=-1, keepdims=True)
    e = m.exp(x - largest)
    total = m.sum(e, axis=-1)
    return [e, e / total[..., None], total, largest, m.log(total)]


def layer_norm(m: ModuleType, x: np.ndarray) -> list[object]:
    centred = x - m.mean(x, axis=-1, keepdims=True)
    return [centred / m.sqrt(m.mean(centred * centred, axis=-1, keepdims=True) + 1e-5) * 1.5 + 0.1]


def columns(m: ModuleType, x: np.ndarray) -> list[object]:
    return [(x - m.mean(x, axis=0)) / (m.std(x, axis=0) + 1), m.var(x, axis=0)]


def everything(m: ModuleType, x: np.ndarray) -> list[object]:
    y = x - m.mean(x)
    return [y / m.sqrt(m.sum(y * y) + 1), m.var(x)]


def middle(m: ModuleType, x: np.ndarray) -> list[object]:
    y = m.reshape(x, (x.shape[0], x.shape[1] // 5, 5))
    return [m.var(y, axis=1), y - m.max(y, axis=1, keepdims=True)]


def three_stages(m: ModuleType, x: np.ndarray) -> list[object]:
    a = x - m.min(x, axis=1, keepdims=True)
    b = a / (m.sum(a, axis=1, keepdims=True) + 1)
    return [b * m.max(b, axis=1)[:, None], m.argmax(b, axis=1)]


def whole_results_in_between(m: ModuleType, x: np.ndarray) -> list[object]:
    a = m.sin(x)
    b = m.exp(a - m.mean(a, axis=1, keepdims=True))
    c = b * m.sum(b, axis=1, keepdims=True)
    return [b, m.cos(c) - m.sum(c * b, axis=1, keepdims=True), a + b + c]


def looked_at_elsewhere(m: ModuleType, x: np.ndarray) -> list[object]:
    """Values of other rows than the work-item's own: kernels of their own."""
    mean = m.mean(x, axis=1)
    return [x - mean[::-1, None], x[::-1] * m.max(x, axis=1)[:, None], m.sum(x - mean[::-1, None], axis=1)]


def computed_in_between(m: ModuleType, x: np.ndarray) -> list[object]:
    """A scan of what a chain reads and computes: it must come after the one, and before the other."""
    centred = x - m.mean(x, axis=1, keepdims=True)
    y = m.cumsum(centred, axis=1)
    squares = m.sum(centred**2, axis=1, keepdims=True)
    return [m.sum(y * centred, axis=1), y / (1 + m.sum(y, axis=1, keepdims=True) ** 2), centred / (squares + 1)]


def two_chains(m: ModuleType, x: np.ndarray) -> list[object]:
    """Over rows and over columns, each of which reads the other's mean."""
    rows, down = m.mean(x, axis=1, keepdims=True), m.mean(x, axis=0, keepdims=True)
    return [m.sum((x - rows) * (x - down), axis=1), m.sum((x - rows) * (x - down), axis=0), x - rows - down]


def written_in_between(m: ModuleType, x: np.ndarray) -> list[object]:
    y = x + 0
    top = m.max(y, axis=1, keepdims=True)
    z = y - top
    y[:, ::2] = top
    return [z / m.sum(z, axis=1, keepdims=True), y, y - m.mean(y, axis=1, keepdims=True)]


def with_positions(m: ModuleType, x: np.ndarray) -> list[object]:
    best = m.argmax(x, axis=1)
    picked = x * (m.arange(x.shape[1])[None, :] == best[:, None])
    return [best, m.sum(picked, axis=1), picked / (1 + m.sum(picked, axis=1, keepdims=True))]


PROGRAMS: list[Program] = [
    softmax, expensive, two_expensive, parts_of_softmax, layer_norm, columns, everything, middle, three_stages, whole_results_in_between,
    looked_at_elsewhere, computed_in_between, two_chains, written_in_between, with_positions,
]  # fmt: skip
SHAPES = [(7, 1000), (40, 5), (1, 500), (300, 35), (4, 20000), (600, 15)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda f: f.__name__)
def test_same_bits_as_in_several_kernels(
    program: Program, shape: tuple[int, int], device: ag.Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(1)
    for dtype in (np.float64, np.float32):
        x = random.standard_normal(shape).astype(dtype)
        for _ in range(3):  # computed, planned, and by the plan
            got = [np.asarray(value) for value in program(ag, ag.asarray(x, device=device))]
        with monkeypatch.context() as patch:
            patch.setattr(schedule, "chained", lambda groups, wanted: groups)
            patch.setattr("anygpu.engine.evaluate._plans", {})
            apart = [np.asarray(value) for value in program(ag, ag.asarray(x, device=device))]
        eps = float(np.finfo(dtype).eps)
        for a, b, want in zip(got, apart, program(np, x), strict=True):
            assert a.dtype == b.dtype and a.tobytes() == b.tobytes()
            wanted = np.asarray(want)
            scale = float(np.abs(wanted).max(initial=1.0))
            np.testing.assert_allclose(a, wanted, rtol=4000 * eps, atol=400 * eps * scale)


@pytest.mark.parametrize("count", [3, 9, 20, 40])
def test_long_chains(count: int, device: ag.Device) -> None:
    x = np.random.default_rng(4).random((40, 50)) + 0.5
    y = ag.asarray(x, device=device)
    for _ in range(count):
        x = x / x.sum(-1, keepdims=True) * 1.5
        y = y / y.sum(-1, keepdims=True) * 1.5
    np.testing.assert_allclose(np.asarray(y), x, rtol=1e-12)


def test_many_steps_of_a_row_s_value() -> None:
    x = np.random.default_rng(8).random((40, 50)) + 0.5
    y, total, here = ag.asarray(x), x.mean(-1, keepdims=True), ag.asarray(x).mean(-1, keepdims=True)
    for _ in range(40):
        total, here = total * 0.5 + total * total * 0.25, here * 0.5 + here * here * 0.25
    np.testing.assert_allclose(np.asarray(y / here), x / total, rtol=1e-11)


@pytest.mark.parametrize("count", [3, 15, 16, 17, 40])
def test_rows_of_many_computed_arrays(count: int, device: ag.Device) -> None:
    sources = np.random.default_rng(5).random((count, 30, 40))
    for _ in range(3):
        total = sum(ag.cumsum(ag.asarray(x, device=device), 0) for x in sources)
        (got,) = softmax(ag, total)  # type: ignore[arg-type]
        (want,) = softmax(np, np.cumsum(sources, 1).sum(0))
        np.testing.assert_allclose(np.asarray(got), want, rtol=1e-9)


@pytest.mark.parametrize("program", [softmax, layer_norm, columns, three_stages], ids=lambda f: f.__name__)
def test_same_bits_however_the_array_lies(program: Program, device: ag.Device, monkeypatch: pytest.MonkeyPatch) -> None:
    base = np.random.default_rng(6).standard_normal((60, 80)).astype(np.float32)
    views: list[Callable[[np.ndarray], np.ndarray]] = [
        lambda x: x.T, lambda x: x[:, ::-1], lambda x: x[::-1], lambda x: x[:, ::2], lambda x: x[5:, 3:].T, lambda x: x[3:4].T,
    ]  # fmt: skip
    for view in views:
        (got, *_) = program(ag, view(ag.asarray(base, device=device)))
        with monkeypatch.context() as patch:
            patch.setattr(schedule, "chained", lambda groups, wanted: groups)
            (apart, *_) = program(ag, view(ag.asarray(base, device=device)))
            assert np.asarray(apart).tobytes() == np.asarray(got).tobytes()
        np.testing.assert_allclose(np.asarray(got), np.asarray(program(np, view(base))[0]), rtol=1e-4, atol=1e-4)


def test_looking_at_a_value_changes_no_other() -> None:
    source = np.random.default_rng(7)
    x = ag.asarray(source.standard_normal((6, 400), np.float32))
    y = ag.asarray(np.asfortranarray(source.standard_normal((6, 400), np.float32)))
    top = x.max(-1, keepdims=True)
    first = np.asarray((y * top).sum(-1))
    top = x.max(-1, keepdims=True)
    ag.synchronize()
    second = np.asarray((y * top).sum(-1))
    assert first.tobytes() == second.tobytes()


def kernels(*arrays: object) -> int:
    return str(ag.explain(*arrays)).count("kernel ")


def test_kernels_of_rows() -> None:
    x = ag.asarray(np.random.default_rng(2).random((30, 200)))
    assert kernels(lambda: softmax(ag, x)) == 1
    assert kernels(lambda: parts_of_softmax(ag, x)) == 1
    assert kernels(lambda: layer_norm(ag, x)) == 1
    assert kernels(lambda: columns(ag, x)) == 1
    assert kernels(lambda: x.var(axis=1)) == kernels(lambda: x.std()) == 1
    assert kernels(lambda: three_stages(ag, x)) == 1


def test_what_needs_several_kernels() -> None:
    x = ag.asarray(np.random.default_rng(2).random((30, 200)))
    assert kernels(lambda: x - x.mean(axis=1)[::-1, None]) == 2
    assert kernels(lambda: two_chains(ag, x)) > 1
    long = ag.asarray(np.random.default_rng(2).random((3, 40000)))
    assert kernels(lambda: long.var(axis=1)) == 2  # whose rows are reduced in parts


def test_explain() -> None:
    x = ag.ones((30, 200))
    ag.synchronize()
    assert ag.explain(lambda: softmax(ag, x)) == (
        "kernel 1: 2 reductions over (1,), one after the other -> float64[30, 200]\n"
        "  fused: maximum view subtract exp add view divide\n"
        "  1 array read, 48,000 bytes; 48,000 bytes written; 30,000 operations"
    )
