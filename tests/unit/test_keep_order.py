"""Sums that a device's compiler must not reorder: as fma they are the same sums."""

import functools
import random

import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import anygpu as ag
from anygpu.engine.arguments import describe
from anygpu.engine.compile import Options, lower
from anygpu.ir.kernel import For, Kernel, Op, Ref, While, operands, subexpressions, walk
from anygpu.passes.keep_order import keep_order
from anygpu.testing.agree import arguments_of, load
from anygpu.testing.generate import generate
from tests.unit.same_bits import same_bits


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


same = functools.partial(same_bits, keep_order, libm="reference")


def sums_of(kernel: Kernel) -> set[str]:
    """The floats that are added to, subtracted from or multiplied within loops, by the operations that compilers reorder."""
    found = set()
    for loop in walk(kernel.body):
        if isinstance(loop, For | While):
            for part in (e for s in walk((loop,)) for o in operands(s) for e in subexpressions(o)):
                if isinstance(part, Op) and part.name in ("add", "sub", "mul") and part.dtype.is_float:
                    found |= {a.var.name for a in part.args if isinstance(a, Ref)}
    return found


def test_what_is_carried_from_turn_to_turn_is_summed_by_fma():
    x, out = np.random.default_rng(1).random((5, 37)), np.zeros((5, 3))
    kernel = lower(sums, tuple(describe(a, "a").type for a in (x, out)), Options())
    carried = {"total", "product", "last"}
    assert sums_of(kernel) & carried == carried
    assert not sums_of(same(kernel, x, out, threads=8)) & carried


@settings(max_examples=40, suppress_health_check=list(HealthCheck), deadline=None)
@given(st.integers(0, 1 << 30))
def test_generated_kernels_compute_the_same(seed):
    case = generate(random.Random(seed))
    assume(not case.ranged)
    args = arguments_of(case, 0)
    same(lower(load(case.text), tuple(describe(a, "a").type for a in args), Options()), *args, blocks=case.grid, threads=case.block)
