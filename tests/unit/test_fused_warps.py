"""Reductions by a warp that stands for a block of 256 work-items combine in the block's order: on the interpreter, bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

import anygpu as ag
from anygpu.engine.compile import run_passes
from anygpu.engine.fused import prepared
from anygpu.frontend.fused import lower_form
from anygpu.frontend.fused_warps import ITEMS
from anygpu.ir.graph import Node
from anygpu.ir.interp import interpret
from anygpu.ir.kernel import Barrier, WarpOp, walk
from anygpu.passes.fusion import REDUCE_BLOCK, WARP, Bindings, Form, Reducing, reduce_form

FUNCTIONS: dict[str, Sequence[str]] = {
    "add": ["add"], "multiply": ["multiply"], "maximum": ["maximum"], "argmax": ["argmax"], "several": ["add", "argmin", "argmax"],
}  # fmt: skip
OPERANDS: dict[str, Callable[[ag.ndarray], ag.ndarray]] = {"loaded": lambda v: v, "computed": lambda v: np.exp(v) - v}


def reduced_by(value: Node, names: Sequence[str], dtypes: Sequence[str]) -> tuple[Form, Bindings]:
    """The kernel that reduces rows by functions."""
    rows = value.shape[0]
    reducing = [Reducing(name, value, dtype) for name, dtype in zip(names, dtypes, strict=True)]
    outputs = [ag.zeros(rows, dtype) for dtype in dtypes]
    nodes = [Node("reduce", (value,), (r.function, (1,)), (rows,), ag.zeros(1, r.dtype)._node().dtype) for r in reducing]
    return reduce_form(reducing, (1,), nodes, nodes, [out._computed() for out in outputs])


@pytest.mark.parametrize("length", [33, 100, 256, 700, 2 * 256 + 32])
@pytest.mark.parametrize("operand", OPERANDS)
@pytest.mark.parametrize("functions", FUNCTIONS)
def test_order_is_the_blocks(functions: str, operand: str, length: int) -> None:
    random = np.random.default_rng(length)
    x = random.normal(size=(3, length)).astype(np.float32)
    x[1] = np.round(x[1])
    x[2, random.integers(0, length, 3)] = np.nan
    value = OPERANDS[operand](ag.array(x))._node()
    names = FUNCTIONS[functions]
    dtypes = ["int64" if name.startswith("arg") else "float32" for name in names]
    found = []
    for warps in (False, True):
        form, bound = reduced_by(value, names, dtypes)
        assert form.schedule == ("middle" if length <= REDUCE_BLOCK else "block")
        kernel = run_passes(lower_form(form, warps))
        assert any(isinstance(stmt, Barrier) for stmt in walk(kernel.body)) is not warps
        results = [np.zeros(3, dtype) for dtype in dtypes]
        grid, _, _, numbers = prepared(form, bound)
        interpret(kernel, [x.reshape(-1), *results, *numbers], grid, (WARP if warps else REDUCE_BLOCK, 1, 1))
        found.append([result.tobytes() for result in results])
        if operand == "loaded" and "argmax" in names:
            np.testing.assert_array_equal(results[names.index("argmax")], x.argmax(1))
    assert found[0] == found[1]
    assert ITEMS * WARP == REDUCE_BLOCK


@pytest.mark.parametrize("length", [2, 5, 8, 9, 20, 31, 32])
@pytest.mark.parametrize("operand", OPERANDS)
@pytest.mark.parametrize("functions", FUNCTIONS)
def test_a_work_item_reduces_short_rows_as_a_warp_does(functions: str, operand: str, length: int) -> None:
    random = np.random.default_rng(length)
    rows = 70
    x = random.normal(size=(rows, length)).astype(np.float32)
    x[1::2] = np.round(x[1::2])
    x[2, random.integers(0, length, 3)] = np.nan
    value = OPERANDS[operand](ag.array(x))._node()
    names = FUNCTIONS[functions]
    dtypes = ["int64" if name.startswith("arg") else "float32" for name in names]
    found = []
    for lanes in (False, True):
        form, bound = reduced_by(value, names, dtypes)
        assert form.schedule == ("tiny" if length <= 8 else "short")
        kernel = run_passes(lower_form(replace(form, schedule="short"), shuffles=lanes))
        assert any(isinstance(stmt, WarpOp) for stmt in walk(kernel.body)) is lanes
        results = [np.zeros(rows, dtype) for dtype in dtypes]
        grid, block, _, numbers = prepared(form, bound)
        interpret(kernel, [x.reshape(-1), *results, *numbers], grid, (block, 1, 1))
        found.append([result.tobytes() for result in results])
        if operand == "loaded" and "argmax" in names:
            np.testing.assert_array_equal(results[names.index("argmax")], x.argmax(1))
    assert found[0] == found[1]
