"""Sums in loops that the device's compiler may not add up in another order.

Intel's OpenCL compiler for CPUs turns a loop that only adds up (or multiplies) into sums of every sixteenth element, where it runs a
work-item by itself: at the end of a range, and in kernels in scalar code. No option asks for that, and the results are others than
those of its vectors of work-items, which keep the order. It does so only if nothing but the sum itself reads the variable. So here each
loop keeps what the variable was one turn before, and a choice that is never taken reads it: whether the grid has no blocks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

from anygpu.dtypes import int64
from anygpu.ir import build
from anygpu.ir.kernel import Assign, Body, Const, For, Kernel, Ref, Special, Stmt, Var, While, children, walk
from anygpu.passes.rewrite import map_bodies


def keep_order(kernel: Kernel) -> Kernel:
    """``kernel`` with its sums of floats guarded."""
    everywhere = _settings(walk(kernel.body)) + Counter(p.name for p in kernel.params)
    count = 0

    def body(statements: Body) -> Body:
        return tuple(new for stmt in statements for new in statement(stmt))

    def statement(stmt: Stmt) -> Body:
        nonlocal count
        changed = map_bodies(stmt, body)
        if not isinstance(changed, For | While):
            return (changed,)
        inside = _settings(walk((stmt,)))
        carried = {v.name: v for v in _set_in(stmt) if v.dtype.is_float and everywhere[v.name] > inside[v.name]}
        kept: list[Stmt] = []
        read: list[Stmt] = []
        for var in carried.values():
            count += 1
            before = Var(f"{var.name}.before{count}", var.dtype)
            never = build.op("eq", Special("grid_dim", 0), build.constant(0, int64))
            kept.append(Assign(before, Ref(var)))
            read.append(Assign(var, build.op("select", never, Ref(before), Ref(var))))
        return (*kept, replace(changed, body=(*kept, *changed.body)), *read)

    return replace(kernel, body=body(kernel.body))


def _settings(statements: Iterable[Stmt]) -> Counter[str]:
    """How many statements set each variable."""
    return Counter(var.name for s in statements if isinstance(var := getattr(s, "var", None), Var))


def _set_in(loop: Stmt) -> Iterator[Var]:
    """The variables that a loop computes itself, not in a loop inside it."""
    for stmt in (s for inner in children(loop) for s in inner):
        match stmt:
            case Assign(var=var, value=value) if not isinstance(value, Const):
                yield var
            case For() | While():
                pass
            case _:
                yield from _set_in(stmt)
