"""Rows reduced, and then columns: in slices, with the bits of one after the other."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

import anygpu as ag
from anygpu.engine import evaluate
from anygpu.engine.plans import Plan
from anygpu.passes import slices
from anygpu.passes.fusion import Access, Bindings, Form, Reduction

Array = ag.ndarray


def logistic(x: Array, y: Array, w: Array) -> Array:
    return x.T @ (1 / (1 + ag.exp(-(x @ w))) - y) / x.shape[0]


def normalised(x: Array, y: Array, w: Array) -> tuple[Array, Array]:
    """A result of the whole shape, which the columns read."""
    z = (x - x.mean(-1, keepdims=True)) / (x.std(-1, keepdims=True) + 1) * w
    return z, z.sum(axis=0)


def largest(x: Array, y: Array, w: Array) -> Array:
    return (x * (x.max(-1) * y)[:, None]).sum(axis=0)


def launches() -> list[int]:
    """How many launches each plan has."""
    return [len(plan.launches) for plan in evaluate._plans.values() if isinstance(plan, Plan)]


@pytest.mark.parametrize("shape", [(5000, 20), (3000, 3), (2001, 32), (1025, 40), (1300, 200), (700, 300)], ids=str)
@pytest.mark.parametrize("program", [logistic, normalised, largest], ids=lambda f: f.__name__)
def test_same_bits(program: Callable[..., object], shape: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    for dtype in ("float32", "float64"):
        given = [ag.asarray(random.standard_normal(s).astype(dtype)) for s in (shape, shape[0], shape[1])]
        found = []
        for least in (1 << 60, 1):
            monkeypatch.setattr(evaluate, "_plans", {})
            monkeypatch.setattr(slices, "WORTH_BYTES", least)
            monkeypatch.setattr(slices, "SLICE_BYTES", 60_000)
            for _ in range(3):
                result = program(*given)
                values = [np.asarray(value).tobytes() for value in (result if isinstance(result, tuple) else (result,))]
            found.append((values, *launches()))
        assert found[0][0] == found[1][0]
        if program is not normalised:  # which takes more than a kernel in stages where rows are longer
            assert found[1][1] == found[0][1] - 1


def test_rows_that_others_need_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "WORTH_BYTES", 1)
    monkeypatch.setattr(slices, "SLICE_BYTES", 1)
    random = np.random.default_rng(2)
    x, w = random.standard_normal((3000, 20)), random.standard_normal(20)
    a, b = ag.asarray(x), ag.asarray(w)
    for _ in range(3):
        got = a.T @ (a @ b)[::-1]
        np.testing.assert_allclose(np.asarray(got), x.T @ (x @ w)[::-1], rtol=1e-10)


def test_what_can_be_sliced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE_BYTES", 128 << 10)
    whole, row = Access("float32", ("s", "1")), Access("float32", ("0", "1"))
    total = (Reduction("add", 0, "float32"),)
    result = Access("float32", ("1", "0"))
    first = Form(2, 1, (("load", 0),), (whole,), (), total, 1, ((0, result),), 0, "short")
    given = Bindings((1 << 20, 20), (1 << 32,), (2 << 32,), (20,), (), ())
    columns = Access("float32", ("1", "s"))
    second = Form(2, 1, (("load", 0), ("load", 1)), (columns, row), (), total, 2, (), 0, "serial", part=256)
    columns_after = replace(second, cached=True)
    then = Bindings((20, 1 << 20), (3 << 32, 2 << 32), (4 << 32,), (20,), (), (), 4096)

    def sliced(form: Form = first, bound: Bindings = given, other: Form = second, more: Bindings = then) -> slices.Slices | None:
        return slices.in_slices([(form, bound), (other, more)], lambda address: address >> 32)

    assert sliced() == slices.Slices((first, columns_after), (6, 6), 683)
    long = replace(first, schedule="block")
    assert sliced(form=long) == slices.Slices((long, columns_after), (6 * 256, 6), 683)
    assert sliced(form=replace(first, schedule="serial")) is None
    assert sliced(form=replace(first, part=8192)) is None
    assert sliced(other=replace(second, part=0)) is None
    assert sliced(bound=replace(given, extents=(1 << 19, 20))) is None  # other rows
    assert sliced(bound=replace(given, extents=(1 << 20, 10))) is None  # other columns: not the same array
    assert sliced(more=replace(then, loads=(3 << 32, (2 << 32) + 4))) is None  # the element after
    assert sliced(more=replace(then, outputs=(2 << 32,))) is None
    assert sliced(more=replace(then, outputs=(1 << 32,))) is None
    assert sliced(bound=replace(given, loads=(2 << 32,))) is None
    backwards = replace(second, loads=(columns, Access("float32", ("0", "s"))))
    assert sliced(other=backwards, more=replace(then, strides=(20, -1))) is None
    chosen = replace(second, loads=(columns, Access("float32", ("0", "0"), (0,))))
    assert sliced(other=chosen, more=replace(then, strides=(20, 1))) is None


def test_plans_slice_what_is_large() -> None:
    n = (slices.WORTH_BYTES // (20 * 8)) + 1000
    x, y, w = ag.asarray(np.ones((n, 20))), ag.asarray(np.ones(n)), ag.asarray(np.ones(20))
    evaluate._plans.clear()
    for _ in range(3):
        np.testing.assert_allclose(np.asarray(logistic(x, y, w)), np.full(20, 1 / (1 + np.exp(-20.0)) - 1), rtol=1e-6)
    assert launches() == [2]


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("function", [np.add, np.maximum], ids=lambda f: f.__name__)
def test_scans(function: np.ufunc, threads: int) -> None:
    """A scan of a row: its second step takes what the slice before it has come to, which another thread may be about to compute."""
    code = f"""
import numpy as np
import anygpu as ag
from anygpu.engine import evaluate
from anygpu.passes import slices

ufunc = getattr(ag, {function.__name__!r})
random = np.random.default_rng(1)
for dtype, n in (("float32", 100_000), ("float64", 300_001), ("int32", 2048 * 64), ("float32", 1_000_003)):
    x = (random.standard_normal(n) * 100).astype(dtype)
    found = []
    for least in (1 << 60, 1):
        evaluate._plans.clear()
        slices.WORTH_BYTES = least
        for _ in range(6):
            y = ag.asarray(x)
            found.append(np.asarray(ufunc.accumulate(y * 2)).tobytes())
            found.append(np.asarray(ufunc.accumulate(y[::-1] * 2)[::-1]).tobytes())
        launches = sorted(len(plan.launches) for plan in evaluate._plans.values() if plan is not None)
        assert launches == ([1, 1] if least == 1 else [3, 3]), launches
    assert all(a == b for a, b in zip(found[::2], found[:1] * 99)) and all(a == b for a, b in zip(found[1::2], found[1:2] * 99))
    wide = np.int64 if dtype == "int32" and {function.__name__!r} == "add" else x.dtype
    want = getattr(np, {function.__name__!r}).accumulate((x * 2).astype(np.float64 if wide == np.float32 else wide))
    np.testing.assert_allclose(np.frombuffer(found[0], wide), want, rtol=1e-4, atol=0.5)
"""
    environment = {**os.environ, "ANYGPU_NUM_THREADS": str(threads)}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
