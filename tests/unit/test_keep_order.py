"""Sums that a device's compiler must not reorder: guarded, they are the same sums."""

import random

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import anygpu as ag
from anygpu.engine.arguments import describe
from anygpu.engine.compile import Options, lower
from anygpu.ir.interp import interpret
from anygpu.ir.kernel import Assign, Kernel, walk
from anygpu.ir.verify import verify
from anygpu.passes.keep_order import keep_order
from anygpu.testing.agree import arguments_of, load
from anygpu.testing.generate import generate


def sums(x, out):
    i = ag.grid(1)
    if i < x.shape[0]:
        total, product, count = 0.0, 1.0, 0
        for k in range(x.shape[1]):
            total += x[i, k]
            if x[i, k] > 0:
                product *= x[i, k]
                count += 1
        k = 0
        last = 0.0
        while k < x.shape[1] and total < 100:
            last = total + last
            total -= x[i, k] * 0.5
            k += 1
        out[i, 0] = total
        out[i, 1] = product
        out[i, 2] = last + count


def same(kernel: Kernel, *args, blocks=1, threads=1) -> Kernel:
    """``kernel`` guarded, which computes the same bits."""
    changed = keep_order(kernel)
    verify(changed)
    results = []
    for one in (kernel, changed):
        given = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
        with np.errstate(all="ignore"):
            interpret(one, given, (blocks, 1, 1), (threads, 1, 1), libm="reference")
        results.append([a.tobytes() for a in given if isinstance(a, np.ndarray)])
    assert results[0] == results[1]
    return changed


def guards(kernel: Kernel) -> set[str]:
    return {s.var.name.split(".")[0] for s in walk(kernel.body) if isinstance(s, Assign) and ".before" in s.var.name}


def test_what_is_carried_from_turn_to_turn_is_guarded():
    x, out = np.random.default_rng(1).random((5, 37)), np.zeros((5, 3))
    kernel = lower(sums, tuple(describe(a, "a").type for a in (x, out)), Options())
    assert guards(same(kernel, x, out, threads=8)) == {"total", "product", "last"}


@settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.integers(0, 1 << 30))
def test_generated_kernels_compute_the_same(seed):
    case = generate(random.Random(seed))
    assume(not case.ranged)
    args = arguments_of(case, 0)
    same(lower(load(case.text), tuple(describe(a, "a").type for a in args), Options()), *args, blocks=case.grid, threads=case.block)
