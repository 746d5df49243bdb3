"""Finding what is wrong with a kernel's use of memory and barriers by running it on the interpreter.

What is found, for the given arguments and launch:

- *race*: two work-items touch one scalar of shared or global memory, at least one writes it, not both by atomics, and no barrier that
  both pass lies between. Work-items of different blocks are ordered by grid barriers alone, those of a warp by their warp's barrier
  or a wider one: that they run in lockstep orders nothing. Two writes of the same value are no race.
- *divergent barrier*: a barrier of the block (or grid) that some of its work-items reach while others that still run do not
  reach it with them. Work-items that have returned (left through a block at whose end the kernel ends, or lie outside a range launch)
  do not count, and count as arrived for the order of memory. Those that skip the barrier and go on do count, even if nothing
  but the kernel's end follows. One report for each block that diverges, for the first time that it does.
- *uninitialised read*: of shared or local memory that nothing has written. An atomic reads what it updates, except ``exch`` without
  a result.
- *out of bounds* accesses and *failed assertions*, and a kernel that does not end (*step limit*).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, overload

import numpy as np
from numpy.typing import NDArray

from anygpu.errors import UNKNOWN, Location
from anygpu.ir.interp import interpret
from anygpu.ir.interp_launch import Access, AccessKind, Geometry, StepLimitError, Triple
from anygpu.ir.interp_memory import Index, Lanes, Scratch, Storage
from anygpu.ir.interp_values import Libm
from anygpu.ir.kernel import Assert, Atomic, Barrier, Kernel, Load, Stmt, Store
from anygpu.ir.sanitize_races import RaceDetector

Kind = Literal["race", "divergent barrier", "uninitialised read", "out of bounds", "failed assertion", "step limit"]

_ACTIONS: dict[AccessKind, str] = {"load": "reads", "store": "writes", "atomic": "updates atomically"}
_HINTS: dict[Kind, str] = {
    "divergent barrier": "every work-item must reach the same barrier the same number of times: move it out of the branch or loop",
    "step limit": "does its loop's condition ever become false? A kernel that only takes long needs a larger max_steps",
    "uninitialised read": "shared and local arrays start with unspecified contents: write each element before reading it",
}
_RACE_HINTS: dict[str, str] = {
    "same warp": "put a barrier between the two accesses (of the warp or the block), or use an atomic",
    "same block": "put a barrier of the block between the two accesses, or use an atomic",
    "different blocks": "blocks run in any order: use an atomic, a barrier of the whole grid, or two launches",
}


@dataclass(frozen=True)
class Site:
    """What one work-item did, and where; the location is ``UNKNOWN`` for a work-item that never arrived."""

    action: str
    location: Location
    block: Triple
    thread: Triple

    def render(self) -> str:
        lines = [f"  {self.action}: block {self.block}, thread {self.thread}"]
        if self.location != UNKNOWN:
            lines += [f"    {line}" for line in self.location.render().splitlines()]
        return "\n".join(lines)


@dataclass(frozen=True)
class Finding:
    """One thing wrong. ``sites`` are the work-items of its first occurrence: two for races and divergent barriers.

    ``count`` says how often it was seen. Occurrences with the same kind, array and statements are one finding.
    """

    kind: Kind
    message: str
    sites: tuple[Site, ...] = ()
    array: str = ""
    index: tuple[int, ...] = ()
    hint: str = ""
    count: int = 1

    def render(self) -> str:
        times = f" ({self.count} times)" if self.count > 1 else ""
        lines = [f"{self.kind}: {self.message}{times}", *(site.render() for site in self.sites)]
        return "\n".join(lines + ([f"  hint: {self.hint}"] if self.hint else []))


@dataclass(frozen=True, repr=False)
class Report(Sequence[Finding]):
    """The findings of one launch in order of discovery; empty, and so false, if nothing was found."""

    kernel: str
    findings: tuple[Finding, ...]

    def __len__(self) -> int:
        return len(self.findings)

    @overload
    def __getitem__(self, index: int) -> Finding: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Finding, ...]: ...
    def __getitem__(self, index: int | slice) -> Finding | tuple[Finding, ...]:
        return self.findings[index]

    def render(self) -> str:
        if not self.findings:
            return f"sanitize: nothing found in kernel '{self.kernel}'"
        count = "1 finding" if len(self) == 1 else f"{len(self)} findings"
        return f"sanitize: {count} in kernel '{self.kernel}'\n\n" + "\n\n".join(finding.render() for finding in self.findings)

    def __repr__(self) -> str:
        return self.render()


def sanitize(
    kernel: Kernel,
    arguments: Sequence[object],
    grid: Triple,
    block: Triple,
    extent: tuple[int, ...] = (),
    shared_bytes: int = 0,
    *,
    libm: Libm = "error",
    max_steps: int = 10_000_000,
) -> Report:
    """Run ``kernel`` on the interpreter, which changes the arrays in ``arguments``, and report what it does wrong.

    Arguments and exceptions are those of ``anygpu.ir.interp.interpret``, except that a kernel that exceeds ``max_steps`` is a finding.

    >>> import numpy as np
    >>> from anygpu.ir.text import parse_kernel
    >>> kernel = parse_kernel('''
    ... kernel shift:
    ...     param x: int32[:]
    ...     i: int64 = thread.x
    ...     v: int32 = x[i + 1]
    ...     x[i] = v
    ... ''')
    >>> sanitize(kernel, [np.arange(5, dtype=np.int32)], (1, 1, 1), (4, 1, 1))
    sanitize: 1 finding in kernel 'shift'
    <BLANKLINE>
    race: nothing orders two accesses to x[1] (3 times)
      reads: block (0, 0, 0), thread (0, 0, 0)
      writes: block (0, 0, 0), thread (1, 0, 0)
      hint: put a barrier between the two accesses (of the warp or the block), or use an atomic
    """
    watcher = _Sanitizer(Geometry(grid, block, extent))
    try:
        interpret(
            kernel, arguments, grid, block, extent, shared_bytes, libm=libm, max_steps=max_steps, max_failures=1, observer=watcher
        )  # fmt: skip
    except StepLimitError as error:
        site = Site("is at", error.location, error.block, error.thread)
        watcher.add(Finding("step limit", str(error), (site,), hint=_HINTS["step limit"]), ())
    watcher.finish()
    return Report(kernel.name, tuple(watcher.findings.values()))


class _Initialised:
    """Which bytes of a stretch of memory have been written."""

    def __init__(self, memory: NDArray[np.uint8]) -> None:
        self.base = memory.ctypes.data
        self.written = np.zeros(memory.size, np.bool_)

    def bytes_of(self, addresses: Index, size: int) -> Index:
        return np.asarray((addresses - self.base)[:, np.newaxis] + np.arange(size))

    def mark(self, addresses: Index, size: int) -> None:
        self.written[self.bytes_of(addresses, size)] = True

    def missing(self, addresses: Index, size: int) -> Lanes:
        """Positions of addresses with a byte that nothing wrote."""
        return np.flatnonzero(~self.written[self.bytes_of(addresses, size)].all(axis=1))


@dataclass
class _Divergence:
    """A barrier that some work-items of a block (or of the grid) reached without the ``missing`` ones."""

    stmt: Barrier
    arrived: int
    missing: Lanes


class _Sanitizer:
    """The observer that collects findings."""

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        self.races = RaceDetector(geometry.threads, geometry.threads * geometry.blocks)
        self.findings: dict[tuple[object, ...], Finding] = {}
        self.initialised: dict[str, _Initialised] = {}
        self.diverged: dict[int, _Divergence | None] = {}  # block, or -1 for the grid -> what is not reported yet
        self.everyone: Lanes = np.zeros(0, np.intp)

    def add(self, finding: Finding, statements: Sequence[Stmt]) -> None:
        """Keep a finding, or count it with the first one of its kind, array and statements."""
        # Inlining copies statements: those with one place in the source are one to the user.
        places = frozenset(id(stmt) if stmt.loc == UNKNOWN else stmt.loc for stmt in statements)
        key = (finding.kind, finding.array, frozenset(site.action for site in finding.sites), places)
        known = self.findings.get(key)
        self.findings[key] = finding if known is None else replace(known, count=known.count + finding.count)

    def site(self, action: str, stmt: Stmt | None, lane: int) -> Site:
        return Site(action, UNKNOWN if stmt is None else stmt.loc, *self.geometry.place(lane))

    # The observer's protocol ----------------------------------------------------------------------------------

    def begin(self, first_block: int, blocks: int, arrays: dict[str, Storage], memory: Scratch) -> None:
        self.finish()
        self.diverged = {}
        threads = self.geometry.threads
        self.everyone = np.arange(first_block * threads, (first_block + blocks) * threads)
        self.initialised = {"shared": _Initialised(memory.shared), "local": _Initialised(memory.local)}
        self.races.begin(
            [storage for storage in arrays.values() if storage.array.space == "global"],
            [storage for storage in memory.storages.values() if storage.array.space == "shared"],
        )

    def access(self, access: Access) -> None:
        space = access.storage.array.space
        if space in self.initialised:
            self.check_initialised(access, self.initialised[space])
        if space in ("shared", "global"):
            for race in self.races.access(access):
                lanes = race.first_lane, race.second_lane
                at = _at(access.index, race.position)
                self.add(
                    Finding(
                        "race",
                        f"nothing orders two accesses to {_element(access.storage, access.stmt.field, at)}",
                        (
                            self.site(_ACTIONS[race.first_kind], race.first, lanes[0]),
                            self.site(_ACTIONS[access.kind], access.stmt, lanes[1]),
                        ),
                        access.storage.array.name,
                        at,
                        _RACE_HINTS[self.distance(*lanes)],
                        race.count,
                    ),
                    (race.first, access.stmt),
                )

    def failure(self, stmt: Load | Store | Atomic | Assert, storage: Storage | None, lanes: Lanes, index: Sequence[Index]) -> None:
        lane = int(lanes[0])
        if storage is None or isinstance(stmt, Assert):
            message = stmt.message if isinstance(stmt, Assert) else ""
            self.add(Finding("failed assertion", message, (self.site("asserts", stmt, lane),), count=len(lanes)), (stmt,))
            return
        at = _at(index, 0)
        name = storage.array.name
        message = f"index {at} of array '{name}' of shape {storage.extents}"
        kind: AccessKind = "load" if isinstance(stmt, Load) else ("store" if isinstance(stmt, Store) else "atomic")
        self.add(Finding("out of bounds", message, (self.site(_ACTIONS[kind], stmt, lane),), name, at, count=len(lanes)), (stmt,))

    def barrier(self, stmt: Barrier, lanes: Lanes, returned: Lanes) -> None:
        self.races.barrier(stmt, np.concatenate((lanes, returned)))
        if stmt.scope == "warp":
            return
        self.match(stmt, lanes)
        if stmt.scope == "grid":
            self.check_arrival(-1, stmt, self.everyone, lanes, returned)
            return
        threads = self.geometry.threads
        for block in np.unique(lanes // threads).tolist():
            everyone = np.arange(block * threads, (block + 1) * threads)
            self.check_arrival(block, stmt, everyone, lanes[lanes // threads == block], returned)

    # Checks ---------------------------------------------------------------------------------------------------

    def check_initialised(self, access: Access, memory: _Initialised) -> None:
        stmt, storage = access.stmt, access.storage
        size = storage.array.fields[stmt.field].dtype.itemsize
        addresses = storage.addresses(stmt.field, access.slots, access.index)
        reads = not isinstance(stmt, Store) and not (isinstance(stmt, Atomic) and stmt.op == "exch" and stmt.var is None)
        if reads and len(missing := memory.missing(addresses, size)):
            position = int(missing[0])
            at = _at(access.index, position)
            site = self.site(_ACTIONS[access.kind], stmt, int(access.lanes[position]))
            message = f"nothing has written {_element(storage, stmt.field, at)} in {storage.array.space} memory"
            self.add(
                Finding("uninitialised read", message, (site,), storage.array.name, at, _HINTS["uninitialised read"], len(missing)), (stmt,)
            )
        if not isinstance(stmt, Load):
            memory.mark(addresses, size)

    def check_arrival(self, unit: int, stmt: Barrier, everyone: Lanes, lanes: Lanes, returned: Lanes) -> None:
        if unit not in self.diverged and len(missing := np.setdiff1d(everyone, np.concatenate((lanes, returned)))):
            self.diverged[unit] = _Divergence(stmt, int(lanes[0]), missing)

    def match(self, stmt: Barrier, lanes: Lanes) -> None:
        """Report divergences whose missing work-items now arrive, at this barrier instead."""
        for unit, divergence in self.diverged.items():
            if divergence is not None and len(late := np.intersect1d(divergence.missing, lanes)):
                self.report(unit, divergence, self.site("waits without it", stmt, int(late[0])), (divergence.stmt, stmt))

    def report(self, unit: int, divergence: _Divergence, other: Site, statements: Sequence[Stmt]) -> None:
        whole = "grid" if unit < 0 else "block"
        message = f"work-items of one {whole} do not reach this barrier together"
        sites = (self.site("waits", divergence.stmt, divergence.arrived), other)
        self.add(Finding("divergent barrier", message, sites, hint=_HINTS["divergent barrier"]), statements)
        self.diverged[unit] = None

    def finish(self) -> None:
        """The blocks that ran have ended: whoever is still missing at a barrier never came."""
        for unit, divergence in list(self.diverged.items()):
            if divergence is not None:
                never = self.site("never arrives", None, int(divergence.missing[0]))
                self.report(unit, divergence, never, (divergence.stmt,))

    def distance(self, first: int, second: int) -> str:
        threads = self.geometry.threads
        if first // threads != second // threads:
            return "different blocks"
        same_warp = self.races.warp_of(np.array(first, np.int32)) == self.races.warp_of(np.array(second, np.int32))
        return "same warp" if bool(same_warp) else "same block"


def _at(index: Sequence[Index], position: int) -> tuple[int, ...]:
    return tuple(int(axis[position]) for axis in index)


def _element(storage: Storage, field: int, index: tuple[int, ...]) -> str:
    name = storage.array.fields[field].name
    return f"{storage.array.name}[{', '.join(map(str, index))}]" + (f".{name}" if name else "")
