"""Atomic operations: what memory holds afterwards, and their application in the order of work-items."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from anygpu.dtypes import DType
from anygpu.ir.interp_memory import Index, Lanes, Storage
from anygpu.ir.interp_values import Values, evaluate, same_bits

# Atomic -> the operation of the scalar table that combines (old, operand). Ties of minimum and maximum (-0 and 0) are the table's.
_COMBINE = {
    "add": "add", "sub": "sub", "min": "minimum", "max": "maximum", "nanmin": "fmin", "nanmax": "fmax",
    "and": "and", "or": "or", "xor": "xor",
}  # fmt: skip


def _increment(old: Values, limit: Values) -> Values:
    """Count up and wrap to zero past ``limit``, as CUDA's atomicInc does."""
    return np.where(old >= limit, np.zeros_like(old), old + old.dtype.type(1))  # type: ignore[operator]


def _decrement(old: Values, limit: Values) -> Values:
    """Count down and wrap to ``limit`` below zero or from above it, as CUDA's atomicDec does."""
    return np.where((old == 0) | (old > limit), limit, old - old.dtype.type(1))  # type: ignore[operator]


_COUNTERS: dict[str, Callable[[Values, Values], Values]] = {"inc": _increment, "dec": _decrement}


def updated(op: str, old: Values, operands: Sequence[Values], dtype: DType) -> Values:
    """What memory holds after ``op``. ``cas`` compares bits, so that a NaN can be replaced and -0 is not 0."""
    match op:
        case "exch":
            return operands[0]
        case "cas":
            return np.where(same_bits(old) == same_bits(operands[0]), operands[1], old)
        case "inc" | "dec":
            return _COUNTERS[op](old, operands[0])
        case _:
            return evaluate(_COMBINE[op], [old, operands[0]], [dtype, dtype])


def apply(op: str, storage: Storage, field: int, slots: Lanes, index: Sequence[Index], operands: Sequence[Values]) -> Values:
    """Perform one atomic for each element of ``slots`` in order; the old values in the same order."""
    dtype = storage.array.fields[field].dtype
    old = np.zeros(len(slots), dtype.numpy)
    for turn in _turns(storage.addresses(field, slots, index)):
        where = [axis[turn] for axis in index]
        old[turn] = storage.gather(field, slots[turn], where)
        storage.scatter(field, slots[turn], where, updated(op, old[turn], [value[turn] for value in operands], dtype))
    return old


def _turns(addresses: Index) -> list[Lanes]:
    """Positions in rounds, so that no round holds an address twice and each address is met in order."""
    if not len(addresses):
        return []
    order = np.argsort(addresses, kind="stable")
    ordered = addresses[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    lengths = np.diff(np.concatenate((starts, [len(order)])))
    rank = np.arange(len(order)) - np.repeat(starts, lengths)  # how many came before to the same address
    by_rank = np.argsort(rank, kind="stable")
    return [np.asarray(order[part]) for part in np.split(by_rank, np.cumsum(np.bincount(rank))[:-1])]
