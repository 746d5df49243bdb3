"""Exchanges among the lanes of a warp: 32 work-items of a block with consecutive linear numbers.

Each lane sees the exchange through its own mask: those that take part are the lanes of its warp that execute the
statement now and whose bit its mask sets. So a mask that names itself or not, or differs between lanes, has one meaning.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from anygpu.dtypes import DType
from anygpu.ir.interp_memory import Lanes, Mask
from anygpu.ir.interp_values import Values, evaluate, same_bits

WARP = 32
_REDUCE = {"add": "add", "min": "minimum", "max": "maximum", "and": "and", "or": "or", "xor": "xor"}


def exchange(
    op: str, args: Sequence[Values], dtypes: Sequence[DType], mask: Values, width: int, warps: Lanes, positions: Lanes
) -> Values:
    """The result of a ``WarpOp`` for each executing lane, which is lane ``positions`` of warp number ``warps``."""
    # Work on the warps that occur only: their numbers in a grid may be large.
    _, rows = np.unique(warps, return_inverse=True)
    present = np.zeros((int(rows.max(initial=-1)) + 1, WARP), np.bool_)
    present[rows, positions] = True
    named = (mask[:, np.newaxis] >> np.arange(WARP, dtype=np.uint32)) & np.uint32(1) != 0  # type: ignore[operator]
    taking = present[rows] & named  # (executing lanes, 32)
    if op == "activemask":
        return _bits(taking)
    value = args[0]
    table = np.zeros((present.shape[0], WARP), value.dtype)
    table[rows, positions] = value
    seen = table[rows]  # (executing lanes, 32)
    match op:
        case "shfl" | "shfl_up" | "shfl_down" | "shfl_xor":
            source = _source(op, positions, args[1].astype(np.int64), width)
            legal = source >= 0
            safe = np.where(legal, source, 0)
            each = np.arange(len(positions))
            return np.where(legal & taking[each, safe], seen[each, safe], value)
        case "any":
            return np.asarray(np.any(taking & (seen != 0), axis=1))
        case "all":
            return np.asarray(np.all(~taking | (seen != 0), axis=1))
        case "ballot":
            return _bits(taking & (seen != 0))
        case "match_any":
            return _bits(taking & (same_bits(seen) == same_bits(value)[:, np.newaxis]))
        case "match_all":
            return _match_all(taking, same_bits(seen))
        case _:
            return _reduce(_REDUCE[op.removeprefix("reduce_")], taking, seen, dtypes[0])


def _bits(taking: Mask) -> NDArray[np.uint32]:
    return np.asarray((taking.astype(np.uint32) << np.arange(WARP, dtype=np.uint32)).sum(axis=1, dtype=np.uint32))


def _source(op: str, positions: Lanes, operand: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    """The lane to read from, or -1 if it lies outside the reader's segment of ``width`` lanes."""
    own = (positions % width).astype(np.int64)
    match op:
        case "shfl":
            target = operand
        case "shfl_up":
            target = own - operand
        case "shfl_down":
            target = own + operand
        case _:
            target = own ^ operand
    return np.where((target >= 0) & (target < width), positions - own + target, -1)


def _match_all(taking: Mask, bits: Values) -> NDArray[np.uint32]:
    first = bits[np.arange(len(bits)), np.argmax(taking, axis=1)]
    agree = np.all(~taking | (bits == first[:, np.newaxis]), axis=1)
    return np.where(agree, _bits(taking), np.uint32(0))


def _reduce(name: str, taking: Mask, seen: Values, dtype: DType) -> Values:
    """From lane 0 upwards, starting with the first value: the order matters to floats. No lane at all gives 0."""
    total = np.zeros(len(seen), dtype.numpy)
    started = np.zeros(len(seen), np.bool_)
    for lane in range(WARP):
        here = taking[:, lane]
        combined = evaluate(name, [total, seen[:, lane]], [dtype, dtype])
        total = np.where(here, np.where(started, combined, seen[:, lane]), total)
        started |= here
    return total
