"""``ag.explain``: what would run, word for word."""

from __future__ import annotations

import numpy as np
import pytest

import anygpu as ag


def test_a_function_is_explained_by_its_results() -> None:
    x = ag.array(np.ones((100, 200), np.float32))
    calls: list[int] = []

    def normalized(x: ag.ndarray, *, shift: float) -> dict[str, object]:
        calls.append(1)
        centre = x.mean(axis=1, keepdims=True)
        return {"value": (x - centre) * 2 + shift, "most": [x.max()]}

    assert ag.explain(normalized, x, shift=1.0) == (
        "kernel 1: reduction over (1,) -> float32[100, 200]\n"
        "  fused: add view divide subtract multiply add\n"
        "  1 array read, 80,000 bytes; 80,000 bytes written; 80,100 operations\n"
        "kernel 2: reduction over (0, 1) -> float32[]\n"
        "  fused: maximum\n"
        "  1 array read, 80,000 bytes; 4 bytes written; 20,000 operations"
    )
    assert calls == [1]


def test_what_is_computed_needs_no_kernel() -> None:
    x = ag.ones(3) + 1
    x.tolist()
    assert ag.explain(x) == "everything has been computed"


def test_only_arrays_are_explained() -> None:
    with pytest.raises(TypeError, match="explain takes arrays, or a function that gives arrays, not int"):
        ag.explain(3)
    with pytest.raises(TypeError, match="arguments by name are those of a function"):
        ag.explain(ag.ones(3), shift=1)
