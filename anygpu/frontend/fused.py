"""From a form to KERNEL IR: the kernel of a fused group of array operations."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from types import FunctionType
from typing import cast

from anygpu.dtypes import dtype_named, int64, plain_fields
from anygpu.frontend.context import Scope, Shared
from anygpu.frontend.fused_compaction import compaction
from anygpu.frontend.fused_reductions import block, serial
from anygpu.frontend.fused_scans import carried, columns, rows
from anygpu.frontend.fused_scatters import atomic, claim, ordered, winner
from anygpu.frontend.fused_short import short_by_items, short_by_lanes
from anygpu.frontend.fused_steps import Emitter
from anygpu.frontend.fused_warps import warp_block
from anygpu.frontend.parse import Source
from anygpu.frontend.types import Complex, Scalar
from anygpu.ir.kernel import Array, Expr, Kernel, Ref, Special, Var
from anygpu.passes.fusion import Access, Form, is_costly

_SCATTERS = {"claim": claim, "winner": winner, "atomic": atomic}


def _fused() -> None:
    """Stands for the user's function where the frontend asks for one."""


def _source() -> Source:
    definition = ast.parse("def fused(): pass").body[0]
    assert isinstance(definition, ast.FunctionDef)
    return Source(cast(FunctionType, _fused), definition, 0, 0)


def lower_form(form: Form, warps: bool = False, shuffles: bool = True) -> Kernel:
    """The KERNEL IR of a form: a range launch over the kept axes, or for the schedules "block" and "rows" a grid of blocks.

    Parameters in order: loads, outputs, scalars, integers, strides (those of each access that walks by "s", axis by axis), the extents of
    the reduced axes, and for a grid the kept extents too. ``warps``: the blocks of the schedule "block" are of one warp.
    ``shuffles``: lanes exchange values as fast as they compute.
    """
    ranged = form.ranged
    range_ndim = form.kept + (form.part > 0) if ranged else 0
    shared = Shared("fused", range_ndim=range_ndim)
    shared.begin_pass()
    scope = Scope(shared, _source(), ("",))
    made = Emitter(form, scope)
    params: list[Array | Var] = []

    def arrays(accesses: Sequence[Access], name: str, writeable: bool) -> list[Array]:
        found: list[Array] = []
        for access in accesses:
            dtype = dtype_named(access.dtype)
            unique = shared.unique(f"{name}{len(found)}")
            found.append(Array(unique, plain_fields(dtype), dtype.itemsize, 1, "global", "C", None, writeable))
        params.extend(found)
        return found

    def integer(name: str) -> Expr:
        var = Var(shared.unique(name), int64)
        params.append(var)
        return Ref(var)

    made.loads = arrays(form.loads, "x", False)
    made.outputs = arrays(_outputs(form), "y", True)
    for n, name in enumerate(form.scalars):
        dtype = dtype_named(name)
        parts = [Var(shared.unique(f"s{n}{part.name}"), part.dtype) for part in plain_fields(dtype)]
        params.extend(parts)
        made.scalars.append(Complex(Ref(parts[0]), Ref(parts[1])) if len(parts) == 2 else Scalar(Ref(parts[0])))
    made.integers = [integer(f"i{n}") for n in range(form.integers)]
    for array, access in zip((*made.loads, *made.outputs), (*form.loads, *_outputs(form)), strict=True):
        for axis, walk in enumerate(access.walk):
            if walk == "s":
                made.strides[array.name, axis] = integer(f"{array.name}.{axis}")
        for step in access.computed:
            made.strides[array.name, -1 - step] = integer(f"{array.name}.at{step}")
    reduced = [integer(f"n{axis}") for axis in range(form.kept, form.ndim)]
    if ranged:
        made.index = [Special("index", axis) for axis in range(form.part > 0, range_ndim)]
        if form.schedule == "ordered":
            ordered(made, reduced)
        elif form.schedule in _SCATTERS:
            _SCATTERS[form.schedule](made)
        elif form.schedule == "columns":
            columns(made, reduced[0])
        elif form.reductions:
            serial(made, reduced)
        else:
            made.element()
    else:
        kept = [integer(f"k{axis}") for axis in range(form.kept)]
        if form.schedule == "rows":
            rows(made, kept, reduced[0])
        elif form.schedule == "carried":
            carried(made, reduced[0])
        elif form.schedule in ("count", "compact"):
            compaction(made, reduced)
        elif form.schedule in ("tiny", "short"):
            by_lanes = shuffles and (form.schedule == "short" or not _is_heavy(form))
            (short_by_lanes if by_lanes else short_by_items)(made, reduced, kept)
        elif warps:
            warp_block(made, reduced, kept)
        else:
            block(made, reduced, kept)
    return Kernel("fused", tuple(params), tuple(shared.declared), tuple(scope.body), range_ndim)


def _is_heavy(form: Form) -> bool:
    """Whether computing an element takes longer than reading it out of the cache: an idle lane would cost more than a stride does."""
    return bool(form.cuts or form.spread) or any(map(is_costly, form.steps[: form.epilogue]))


def _outputs(form: Form) -> list[Access]:
    """What a kernel writes: its results, or the parts of its reductions, in a row."""
    if form.part and form.schedule in ("serial", "block"):
        return [Access(dtype, ()) for r in form.reductions for dtype in r.parts]
    return [access for _, access in form.outputs]
