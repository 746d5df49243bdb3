"""Sharing of computed values: the same results with fewer branches, and nothing shared that only looks alike."""

import functools
import random

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import anygpu as ag
from anygpu.engine.arguments import describe
from anygpu.engine.compile import Options, lower
from anygpu.ir.kernel import Assign, If, Kernel, Load, walk
from anygpu.ir.text import parse_kernel
from anygpu.libm.definitions import definition
from anygpu.passes.contract import contract
from anygpu.passes.expand import expand_operations
from anygpu.passes.halves import widen_halves
from anygpu.passes.products import split_products
from anygpu.passes.share import share
from anygpu.testing.agree import arguments_of, load
from anygpu.testing.generate import generate
from tests.unit.same_bits import same_bits

VALUES = np.array([0.0, -0.0, 1.5, -2.25, 3e5, -7e8, 1e22, np.inf, -np.inf, np.nan, 1e-310, 0.1], np.float64)


def expanded(function, *args) -> Kernel:
    kernel = lower(function, tuple(describe(a, "a").type for a in args), Options())
    return expand_operations(contract(widen_halves(split_products(kernel))), definition)


same = functools.partial(same_bits, share)


def branches(kernel: Kernel) -> int:
    return sum(isinstance(s, If) for s in walk(kernel.body))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sine_and_cosine_of_one_argument_reduce_it_once(dtype):
    def both(x, out):
        i = ag.grid(1)
        v = x[i]
        out[i] = ag.sin(v) * 3 + ag.cos(v)

    with np.errstate(over="ignore"):
        x = VALUES.astype(dtype)
    kernel = expanded(both, x, np.zeros_like(x))
    changed = same(kernel, x, np.zeros_like(x), threads=len(x))
    assert branches(changed) * 2 == branches(kernel)
    loads = [s for s in walk(changed.body) if isinstance(s, Load) and s.array.startswith(".")]
    assert 2 * len(loads) == sum(isinstance(s, Load) and s.array.startswith(".") for s in walk(kernel.body))


def test_of_two_arguments_it_is_reduced_twice():
    def both(x, y, out):
        i = ag.grid(1)
        a, b = x[i], y[i]
        out[i] = ag.sin(a) + ag.cos(b)

    kernel = expanded(both, VALUES, VALUES, VALUES.copy())
    assert branches(same(kernel, VALUES, VALUES[::-1].copy(), VALUES.copy(), threads=len(VALUES))) == branches(kernel)


KERNEL = """
kernel k:
    param n: int64
    param m: int64
    param out: int64[:]
    i: int64 = thread.x
BODY
"""


@pytest.mark.parametrize(
    ("body", "copies"),
    [
        ("a: int64 = i + n\nb: int64 = i + n\nout[i] = a * b", 1),
        ("a: int64 = i + n\na = a + 1\nb: int64 = i + n\nout[i] = a * b", 0),  # who held it holds it no more
        ("a: int64 = i + n\nb: int64 = i + m\nout[i] = a * b", 0),
        ("if i > 1:\n    a: int64 = i + n\nb: int64 = i + n\nout[i] = a * b", 0),  # only some have computed it
        ("a: int64 = i + n\nif i > 1:\n    b: int64 = i + n\nout[i] = a * b", 1),
        ("a: int64 = i + n\nfor j: int64 in range(0, 3, 1):\n    b: int64 = a + 1\n    a = b + 1\nc: int64 = i + n\nout[i] = c + a", 0),
        ("if i > 1:\n    a: int64 = 1\nif i > 1:\n    b: int64 = 1\nout[i] = a * 10 + b", 1),
        ("if i > 1:\n    a: int64 = 1\nif i > 2:\n    b: int64 = 1\nout[i] = a * 10 + b", 0),
        ("if i > 1:\n    n = 1\nif i > 1:\n    m = 1\nout[i] = n * 10 + m", 0),  # where nothing is assigned they differ
        ("a: int64 = 1\nb: int64 = 2\nif i > 1:\n    a = 3\n    b = 4\nc: int64 = 2\nd: int64 = 1\n"
         "if i > 1:\n    c = 4\n    d = 3\nout[i] = a + b * 10 + c * 100 + d * 1000", 2),
    ],
)  # fmt: skip
def test_what_is_alike_and_what_is_not(body, copies):
    text = KERNEL.replace("BODY", "\n".join("    " + line for line in body.split("\n")))
    kernel = parse_kernel(text)
    changed = same(kernel, 7, 7, np.zeros(5, np.int64), threads=5)
    same(kernel, 3, 11, np.zeros(5, np.int64), threads=5)
    before, after = (sum(isinstance(s, Assign) and type(s.value).__name__ == "Ref" for s in walk(k.body)) for k in (kernel, changed))
    assert after - before == copies


@settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.integers(0, 1 << 30))
def test_generated_kernels_compute_the_same(seed):
    case = generate(random.Random(seed))
    assume(not case.ranged)
    args = arguments_of(case, 0)
    same(expanded(load(case.text), *args), *args, blocks=case.grid, threads=case.block)


def test_tables_of_one_content_and_two_shapes_are_two():
    wide, tall = ((1, 2, 3), (4, 5, 6)), ((1, 2), (3, 4), (5, 6))

    def both(x, out):
        i = ag.grid(1)
        if i < out.shape[0]:
            out[i, 0] = wide[x[i, 0]][x[i, 1]]
            out[i, 1] = tall[x[i, 0]][x[i, 1]]

    x, out = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.zeros((4, 2), np.int64)
    ag.kernel(both)[1, 4](x, out)
    assert out.tolist() == [[1, 1], [2, 2], [4, 3], [5, 4]]
