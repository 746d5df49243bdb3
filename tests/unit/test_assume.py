"""What a launch makes certain, and the loops that then count for all work-items: proven no more than holds, and never another result."""

import numpy as np
import pytest

import anygpu as ag
from anygpu.engine.arguments import describe
from anygpu.engine.compile import Options, lower, run_passes
from anygpu.ir.interp import interpret
from anygpu.ir.kernel import Atomic, For, If, Load, Special, Store, subexpressions, walk
from anygpu.passes.assume import assume, certain
from anygpu.passes.intervals import Facts, State, interval
from anygpu.passes.strided import share_counters


def prepared(function, *args, axes=()):
    described = [describe(a, n) for n, a in enumerate(args)]
    final = run_passes(lower(function, tuple(d.type for d in described), Options(range_ndim=len(axes))))
    return final, [part for d in described for part in d.parts] + list(axes)


def facts_of(kernel, parts, grid, block, axes=()):
    shapes = {p.name: a.shape for p, a in zip(kernel.params, parts, strict=True) if isinstance(a, np.ndarray)}
    names = [p.name for p in kernel.params[len(parts) - len(axes) :]]
    return Facts(True, block, grid, shapes, dict(zip(names, axes, strict=True)))


def checks(kernel):
    return sum(isinstance(s, Load | Store | Atomic) and s.checked and bool(s.index) for s in walk(kernel.body))


def outcome(kernel, parts, grid, block):
    """The arrays after a launch on the interpreter, and its first failure."""
    copies = [np.copy(p) if isinstance(p, np.ndarray) else p for p in parts]
    found = interpret(kernel, copies, grid, block, (), 0)
    return [c.tolist() for c in copies if isinstance(c, np.ndarray)], found.failures[:1]


def neighbours(x, out):
    i = ag.grid(1)
    if i < out.size:
        out[i] = x[i] + x[i + 1]


@pytest.mark.parametrize(
    ("n", "more", "left", "guards"),
    [(512, 1, 0, 0), (500, 1, 0, 1), (512, 0, 1, 0), (512, -1, 2, 0), (500, 12, 0, 1)],
)
def test_exactly_what_holds_is_proven(n, more, left, guards):
    x, out = np.arange(float(n + more)), np.zeros(n)
    kernel, parts = prepared(neighbours, x, out, axes=(n,))
    grid, block = (2, 1, 1), (256, 1, 1)
    known = assume(kernel, certain(kernel, facts_of(kernel, parts, grid, block, (n,))))
    assert checks(kernel) == 3 and checks(known) == left
    assert sum(isinstance(s, If) for s in walk(known.body)) == guards
    assert outcome(known, parts, grid, block) == outcome(kernel, parts, grid, block)


def guarded_sums(x, out):
    top = ag.blockIdx.x * 4 - 2
    for r in range(ag.threadIdx.x, 8, 4):
        if 0 <= top + r < x.shape[0]:
            ag.atomic.add(out, 0, x[top + r])


def test_a_guard_on_a_sum_proves_the_sum():
    x, out = np.arange(12.0), np.zeros(1)
    kernel, parts = prepared(guarded_sums, x, out)
    known = assume(kernel, certain(kernel, facts_of(kernel, parts, (3, 1, 1), (4, 1, 1))))
    assert checks(kernel) == 2 and checks(known) == 0
    assert outcome(known, parts, (3, 1, 1), (4, 1, 1)) == outcome(kernel, parts, (3, 1, 1), (4, 1, 1))


def changed_between(x, out):
    i = ag.threadIdx.x - 4
    j = i + 2
    i = i + 1
    if 0 <= j < x.size:
        out[0] = x[i + 2]


def test_a_sum_is_forgotten_when_one_of_its_parts_changes():
    kernel, parts = prepared(changed_between, np.arange(4.0), np.zeros(1))
    known = assume(kernel, certain(kernel, facts_of(kernel, parts, (1, 1, 1), (8, 1, 1))))
    assert [s.array for s in walk(known.body) if isinstance(s, Load | Store) and s.checked and s.index] == ["x"]
    failed = outcome(known, parts, (1, 1, 1), (8, 1, 1))
    assert failed == outcome(kernel, parts, (1, 1, 1), (8, 1, 1)) and failed[1]


def strided(x, out):
    size = x.size // ag.gridDim.x
    start = ag.blockIdx.x * size
    total = 0.0
    for i in range(start + ag.threadIdx.x, start + size, 4):
        if x[i] < 0:
            break
        total += x[i]
    out[ag.blockIdx.x, ag.threadIdx.x] = total


def own_bounds(kernel):
    """Loops whose bounds differ between the work-items of a block."""
    loops = [s for s in walk(kernel.body) if isinstance(s, For)]
    return [s for s in loops if any(isinstance(e, Special) and e.name == "thread" for b in (s.start, s.stop) for e in subexpressions(b))]


@pytest.mark.parametrize(
    ("n", "threads", "whole"), [(48, 4, True), (48, 3, True), (42, 4, False), (48, 5, False), (3, 4, False), (2, 4, True)]
)
def test_strided_loops_count_for_all(n, threads, whole):
    x, out = np.where(np.arange(n) == 37, -1.0, np.arange(float(n))), np.zeros((3, threads))
    kernel, parts = prepared(strided, x, out)
    grid, block = (3, 1, 1), (threads, 1, 1)
    facts = facts_of(kernel, parts, grid, block)
    known = assume(kernel, certain(kernel, facts))
    shared = share_counters(known, Facts(True, block))
    assert outcome(known, parts, grid, block) == outcome(kernel, parts, grid, block) == outcome(shared, parts, grid, block)
    guards = sum(isinstance(s, If) for s in walk(shared.body)) - sum(isinstance(s, If) for s in walk(kernel.body))
    assert guards == (0 if whole else 1) and not own_bounds(shared)


def test_a_ranges_blocks_are_not_bounded_as_a_grids_are():
    nothing, block = State({}, frozenset()), (256, 1, 1)
    assert interval(Special("block", 1), nothing, Facts(block=block)) == (0, 65534)
    assert interval(Special("block", 1), nothing, Facts(block=block, ranged=True)) == (0, (1 << 31) - 2)
    assert interval(Special("grid_dim", 1), nothing, Facts(block=block, grid=(1, 70_000, 1))) == (70_000, 70_000)
