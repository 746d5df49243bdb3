"""Whatever a kernel captures is part of its key: nothing stale may come from the cache."""

import math
import types

import numpy as np
import pytest

from anygpu.engine.fingerprint import function_fingerprint


def _capturing(captured: object) -> types.FunctionType:
    def function(x, out):
        out[0] = captured(x[0]) if callable(captured) else captured

    return function


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (math.exp, math.sin),
        (np.exp, np.sin),
        (np.clip, np.where),
        (abs, min),
        (1, 1.0),
        (1, True),
        (0.0, -0.0),
        (np.float32(1), np.float64(1)),
        (np.arange(3), np.arange(4)),
        (np.zeros(2, np.int32), np.zeros(2, np.float32)),
        ((1, 2), (1, 3)),
        ((1, 2), [1, 2]),
        (lambda x: x, lambda x: x + 1),
    ],
)
def test_another_captured_value_is_another_key(first: object, second: object):
    assert function_fingerprint(_capturing(first)).digest != function_fingerprint(_capturing(second)).digest


def test_the_same_captured_value_is_the_same_key():
    for value in (math.exp, np.float32(2), (1, 2), np.arange(5)):
        assert function_fingerprint(_capturing(value)).digest == function_fingerprint(_capturing(value)).digest


def test_a_constant_of_a_module_counts_however_deep():
    inner = types.ModuleType("inner")
    inner.SCALE = 2
    outer = types.ModuleType("outer")
    outer.inner = inner

    def make() -> types.FunctionType:
        def function(x):
            x[0] = outer.inner.SCALE

        return function

    before = function_fingerprint(make()).digest
    inner.SCALE = 3
    assert function_fingerprint(make()).digest != before
    inner.SCALE = 2
    assert function_fingerprint(make()).digest == before


def test_a_function_called_by_a_called_function_counts():
    def make(constant: int) -> types.FunctionType:
        def innermost():
            return constant

        def middle():
            return innermost()

        def function(x):
            x[0] = middle()

        return function

    assert function_fingerprint(make(1)).digest != function_fingerprint(make(2)).digest


def test_barriers_are_seen_through_aliases():
    import anygpu as ag

    wait = ag.syncthreads

    def function(x):
        wait()

    def plain(x):
        x[0] = 1

    assert function_fingerprint(function).barriers
    assert not function_fingerprint(plain).barriers
