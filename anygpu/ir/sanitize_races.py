"""Finding data races with a bounded record of who touched each scalar last.

Time counts accesses and barriers. For every scalar of global and shared memory the record holds when and by whom it was
last written, and a few readers and atomic updaters: the newest, and the newest besides it that is another work-item, that
belongs to another warp, and that belongs to another block. Whatever barriers have ordered since, if any earlier access is unordered with a
new one, one of these is. That is the idea of FastTrack (Flanagan and Freund, 2009), where an epoch stands for a vector clock,
with the scopes of a GPU's barriers in place of locks.

An access of work-item a is ordered before one of b if both have since passed a barrier of a scope they share: of their warp, their
block, or the grid.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anygpu.ir.interp_launch import Access, AccessKind
from anygpu.ir.interp_memory import Index, Lanes, Mask, Storage
from anygpu.ir.interp_values import same_bits
from anygpu.ir.interp_warp import WARP
from anygpu.ir.kernel import Atomic, Barrier, Load, Store

Numbers = NDArray[np.int32]

# The record's slots: one writer, then for reads and for atomics the newest and the newest of another lane, warp and block.
_WRITE, _READ, _ATOMIC, _SLOTS = 0, 1, 5, 9
_SLOT: dict[AccessKind, int] = {"store": _WRITE, "load": _READ, "atomic": _ATOMIC}
_CLASHES: dict[AccessKind, tuple[AccessKind, ...]] = {
    "load": ("store", "atomic"),
    "store": ("store", "load", "atomic"),
    "atomic": ("store", "load"),
}


@dataclass(frozen=True)
class Race:
    """Two accesses that nothing orders; ``count`` pairs were found at once, these work-items being the first."""

    first: Load | Store | Atomic
    first_kind: AccessKind
    first_lane: int
    second: Access
    position: int  # of the second access within its ``lanes``
    second_lane: int
    count: int


class _Region:
    """The record of one stretch of memory that arrays may share, in cells of ``grain`` bytes."""

    def __init__(self, low: int, high: int, grain: int) -> None:
        self.low, self.high, self.grain = low, high, grain
        cells = -(-(high - low) // grain)
        self.time = np.zeros((_SLOTS, cells), np.int32)  # 0: never
        self.lane = np.zeros((_SLOTS, cells), np.int32)


def regions(storages: Sequence[Storage]) -> list[_Region]:
    """Records for the memory of arrays, one for each stretch of overlapping ones."""
    spans = []
    for storage in storages:
        for view in storage.views:
            if view.size:
                low, high = np.lib.array_utils.byte_bounds(view)
                spans.append((low, high, math.gcd(view.dtype.itemsize, *(stride for stride in view.strides))))
    merged: list[tuple[int, int, int]] = []
    for low, high, grain in sorted(spans):
        if merged and low < merged[-1][1]:
            start, end, other = merged[-1]
            merged[-1] = (start, max(end, high), math.gcd(other, grain, low - start))
        else:
            merged.append((low, high, grain))
    return [_Region(*span) for span in merged]


class RaceDetector:
    """Follows the accesses and barriers of one launch; ``threads`` are the work-items of a block, ``total`` of the grid."""

    def __init__(self, threads: int, total: int) -> None:
        self.threads = threads
        self.now = 1
        # When each work-item last passed a barrier of each scope. A wider barrier is one of every narrower scope too.
        self.passed = {scope: np.zeros(total, np.int32) for scope in ("warp", "block", "grid")}
        self.statements: dict[int, Load | Store | Atomic] = {}  # time -> statement
        self.global_regions: list[_Region] | None = None
        self.shared_regions: list[_Region] = []

    def begin(self, global_arrays: Sequence[Storage], shared_arrays: Sequence[Storage]) -> None:
        """Blocks start: their shared memory is new, global memory goes on."""
        if self.global_regions is None:
            self.global_regions = regions(global_arrays)
        self.shared_regions = regions(shared_arrays)

    def barrier(self, stmt: Barrier, lanes: Lanes) -> None:
        self.now += 1
        scopes = ("warp", "block", "grid")
        for scope in scopes[: scopes.index(stmt.scope) + 1]:
            self.passed[scope][lanes] = self.now

    def access(self, access: Access) -> list[Race]:
        """Record an access of global or shared memory; the races with earlier ones and within it."""
        self.now += 1
        self.statements[self.now] = access.stmt
        view = access.storage.views[access.stmt.field]
        addresses = access.storage.addresses(access.stmt.field, access.slots, access.index)
        region = self.region(int(addresses[0]))
        wide = view.dtype.itemsize // region.grain
        cells = (addresses - region.low) // region.grain
        positions = np.arange(len(cells))
        if wide > 1:
            cells = (cells[:, np.newaxis] + np.arange(wide)).ravel()
            positions = np.repeat(positions, wide)
        lanes = access.lanes[positions].astype(np.int32)
        found = list(self.clashes(access, region, cells, lanes, positions, addresses))
        self.record(region, _SLOT[access.kind], cells, lanes)
        return found

    def region(self, address: int) -> _Region:
        for region in self.shared_regions + (self.global_regions or []):
            if region.low <= address < region.high:
                return region
        raise LookupError(f"no array holds address {address:#x}")

    # Checking -------------------------------------------------------------------------------------------------

    def clashes(self, access: Access, region: _Region, cells: Index, lanes: Numbers, positions: Lanes, addresses: Index) -> Iterator[Race]:
        for kind in _CLASHES[access.kind]:
            if kind == access.kind == "store" and access.values is not None:
                # Writers of the same value cannot be told apart, whatever their order.
                held = access.storage.gather(access.stmt.field, access.slots, access.index)
                relevant = (same_bits(held) != same_bits(access.values))[positions]
                yield from _within(access, addresses)
            else:
                relevant = np.ones(len(cells), np.bool_)
            hits = []
            for slot in range(_SLOT[kind], _SLOT[kind] + (1 if kind == "store" else 4)):
                then, other = region.time[slot][cells], region.lane[slot][cells]
                bad = relevant & (then > 0) & (other != lanes)
                if bad.any():
                    bad &= ~self.ordered(other, lanes, then)
                    at = np.flatnonzero(bad)
                    hits.append((then[at], other[at], at))
            if hits:
                yield from self.by_statement(access, kind, lanes, positions, hits)

    def by_statement(
        self, access: Access, kind: AccessKind, lanes: Numbers, positions: Lanes, hits: list[tuple[Numbers, Numbers, Lanes]]
    ) -> Iterator[Race]:
        """One race for every statement that made one of the earlier accesses ``hits`` (time, work-item, cell accessed now)."""
        then, other, at = (np.concatenate(column) for column in zip(*hits, strict=True))
        groups: dict[int, list[int]] = {}
        for time in np.unique(then).tolist():
            groups.setdefault(id(self.statements[time]), []).append(time)
        for times in groups.values():
            chosen = np.flatnonzero(np.isin(then, times))
            best = chosen[np.argmin(at[chosen])]
            count = len(np.unique(positions[at[chosen]]))
            first = self.statements[times[0]]
            yield Race(first, kind, int(other[best]), access, int(positions[at[best]]), int(lanes[at[best]]), count)

    def ordered(self, earlier: Numbers, later: Numbers, then: Numbers) -> Mask:
        """Whether work-item ``earlier``'s access at time ``then`` is ordered before anything that ``later`` does now."""
        same_block = earlier // self.threads == later // self.threads
        same_warp = same_block & (earlier % self.threads // WARP == later % self.threads // WARP)

        def since(scope: str) -> Mask:
            passed = self.passed[scope]
            return np.minimum(passed[earlier], passed[later]) > then

        return np.where(same_warp, since("warp"), np.where(same_block, since("block"), since("grid")))

    # Recording ------------------------------------------------------------------------------------------------

    def record(self, region: _Region, base: int, cells: Index, lanes: Numbers) -> None:
        order = np.argsort(cells, kind="stable")  # lanes ascend, so they ascend within each cell
        sorted_cells = cells[order]
        edge = sorted_cells[1:] != sorted_cells[:-1]
        low = lanes[order[np.concatenate(([True], edge))]]
        high = lanes[order[np.concatenate((edge, [True]))]]
        cell = sorted_cells[np.concatenate(([True], edge))]
        if base != _WRITE:
            self.record_others(region, base, cell, low, high)
        region.time[base][cell], region.lane[base][cell] = self.now, high

    def record_others(self, region: _Region, base: int, cell: Index, low: Numbers, high: Numbers) -> None:
        """The newest besides ``high`` of another lane, warp and block: of this access, else the newest before, else what was known."""
        time, lane = region.time[base][cell], region.lane[base][cell]
        keys: tuple[Callable[[Numbers], Numbers], ...] = (lambda n: n, self.warp_of, lambda n: n // self.threads)
        for slot, key in enumerate(keys, base + 1):
            now = key(low) != key(high)
            before = ~now & (time > 0) & (key(lane) != key(high))
            region.time[slot][cell] = np.where(now, self.now, np.where(before, time, region.time[slot][cell]))
            region.lane[slot][cell] = np.where(now, low, np.where(before, lane, region.lane[slot][cell]))

    def warp_of(self, lane: Numbers) -> Numbers:
        """A number of the warp, ascending with the work-item."""
        return np.asarray(lane // self.threads * -(-self.threads // WARP) + lane % self.threads // WARP)


def _within(access: Access, addresses: Index) -> Iterator[Race]:
    """A race of one statement with itself: work-items that write different values to one address."""
    order = np.argsort(addresses, kind="stable")
    bits = same_bits(np.asarray(access.values))[order]
    clash = np.flatnonzero((addresses[order][1:] == addresses[order][:-1]) & (bits[1:] != bits[:-1]))
    if len(clash):
        first, second = int(order[clash[0]]), int(order[clash[0] + 1])
        yield Race(access.stmt, "store", int(access.lanes[first]), access, second, int(access.lanes[second]), len(clash))
