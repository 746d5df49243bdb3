"""What an interpreted launch is given, what it leaves, and how it can be watched."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from anygpu.errors import AnyGPUError, Location
from anygpu.ir.interp_memory import Index, Lanes, Scratch, Storage
from anygpu.ir.interp_values import Values
from anygpu.ir.kernel import Assert, Atomic, Barrier, Load, Stmt, Store

Triple = tuple[int, int, int]  # x, y, z
AccessKind = Literal["load", "store", "atomic"]


class StepLimitError(AnyGPUError):
    """A kernel that ran more statements than ``max_steps`` allows, probably in an endless loop.

    ``location`` is that of the next statement, ``block`` and ``thread`` those of the first work-item that would run it.
    """

    def __init__(self, kernel: str, steps: int, stmt: Stmt, block: Triple, thread: Triple):
        self.location, self.block, self.thread = stmt.loc, block, thread
        super().__init__(f"kernel '{kernel}' ran {steps:,} statements and has not ended")


@dataclass(frozen=True)
class Failure:
    """One access out of bounds ("index") or failed assertion ("assertion") of one work-item."""

    kind: Literal["index", "assertion"]
    location: Location
    block: Triple
    thread: Triple
    message: str
    array: str = ""
    index: tuple[int, ...] = ()
    shape: tuple[int, ...] = ()

    def render(self) -> str:
        return f"{self.message}, in block {self.block}, thread {self.thread}\n{self.location.render()}"


@dataclass(frozen=True)
class Printed:
    """A line that a work-item printed."""

    text: str
    location: Location
    block: Triple
    thread: Triple


@dataclass(frozen=True)
class Outcome:
    """What a launch left besides memory.

    ``failures`` come in the order (linear block, linear thread, program order): the first is the one that a device raises. At most
    ``max_failures`` are kept, the first always among them; ``failure_count`` counts all. ``prints`` are in order of execution.
    """

    failures: tuple[Failure, ...]
    failure_count: int
    prints: tuple[Printed, ...]
    steps: int


@dataclass(frozen=True)
class Access:
    """One statement's accesses within bounds: for each of ``lanes`` (numbered within the grid) a slot and an index.

    ``values`` are what a store is about to write. Observers see an access before it happens.
    """

    stmt: Load | Store | Atomic
    kind: AccessKind
    storage: Storage
    lanes: Lanes
    slots: Lanes
    index: tuple[Index, ...]
    values: Values | None = None


class Observer(Protocol):
    """Watches an interpreted launch. Work-items are numbered within the grid: linear block times block size plus linear thread."""

    def begin(self, first_block: int, blocks: int, arrays: dict[str, Storage], memory: Scratch) -> None:
        """Blocks start together, with fresh shared and local memory; ``arrays`` are the arguments and const arrays."""

    def access(self, access: Access) -> None: ...

    def failure(self, stmt: Load | Store | Atomic | Assert, storage: Storage | None, lanes: Lanes, index: Sequence[Index]) -> None: ...

    def barrier(self, stmt: Barrier, lanes: Lanes, returned: Lanes) -> None:
        """``lanes`` arrive; ``returned`` have nothing left to run."""


@dataclass(frozen=True)
class Geometry:
    """The shape of a launch."""

    grid: Triple
    block: Triple
    extent: tuple[int, ...] = ()

    @property
    def blocks(self) -> int:
        return math.prod(self.grid)

    @property
    def threads(self) -> int:
        """Work-items of one block."""
        return math.prod(self.block)

    def place(self, lane: int) -> tuple[Triple, Triple]:
        """The block and thread indices (x, y, z) of a work-item's number in the grid."""
        block, thread = divmod(lane, self.threads)
        return _unravel(block, self.grid), _unravel(thread, self.block)


def _unravel(number: int, extents: Triple) -> Triple:
    rest, x = divmod(number, extents[0])
    z, y = divmod(rest, extents[1])
    return x, y, z


class Recorder:
    """Collects failures and printed lines."""

    def __init__(self, geometry: Geometry, limit: int) -> None:
        self.geometry = geometry
        self.limit = limit
        self.kept: list[tuple[int, int, Failure]] = []  # (lane, order, failure)
        self.first: tuple[int, int, Failure] | None = None
        self.count = 0
        self.prints: list[Printed] = []

    def index(self, stmt: Load | Store | Atomic, storage: Storage, lanes: Lanes, index: Sequence[Index]) -> None:
        name, shape = storage.array.name, storage.extents
        for position, lane in enumerate(lanes[: self.room(lanes)].tolist()):
            at = tuple(int(axis[position]) for axis in index)
            message = f"index {at} is out of bounds for array '{name}' of shape {shape}"
            self.add(lane, Failure("index", stmt.loc, *self.geometry.place(lane), message, name, at, shape))
        self.count += len(lanes)

    def assertion(self, stmt: Assert, lanes: Lanes) -> None:
        for lane in lanes[: self.room(lanes)].tolist():
            self.add(lane, Failure("assertion", stmt.loc, *self.geometry.place(lane), stmt.message))
        self.count += len(lanes)

    def room(self, lanes: Lanes) -> int:
        """How many of ``lanes``, which ascend, to record: always one that would come first of all."""
        free = max(0, self.limit - len(self.kept))
        return max(free, int(self.first is None or int(lanes[0]) < self.first[0]))

    def add(self, lane: int, failure: Failure) -> None:
        entry = (lane, self.count, failure)
        if self.first is None or lane < self.first[0]:
            self.first = entry
        if len(self.kept) < self.limit:
            self.kept.append(entry)

    def outcome(self, steps: int) -> Outcome:
        kept = self.kept
        if self.first is not None and self.first not in kept:
            kept = [self.first, *kept[: max(0, self.limit - 1)]]
        ordered = sorted(kept, key=lambda entry: entry[:2])
        return Outcome(tuple(entry[2] for entry in ordered), self.count, tuple(self.prints), steps)
