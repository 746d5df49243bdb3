"""The CPU device: launches loaded code on the calling thread and a small pool of native workers."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from anygpu.errors import LaunchError
from anygpu.runtime.loader import Program

_RUN = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)
_BYTES = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_char_p)
_POOL_RUN = ctypes.CFUNCTYPE(
    ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p,
    ctypes.c_int64,
)  # fmt: skip
_POOL_BYTES, _WORKER_BYTES = 128 * 8, 3 * 8  # what the native pool keeps for all of its threads and for each
ERROR_WORDS = 16
PARALLEL_NANOSECONDS = 40_000  # a launch that takes less is over before a second thread has woken
COOPERATIVE_BYTES = 1 << 30  # what the work-items of a launch that waits for the whole grid may keep, all at once
PIECE_NANOSECONDS = 100_000_000  # of one thread: how long a launch of many blocks goes on before Python may interrupt it
UNMEASURED_BLOCKS = 64  # a first launch of fewer blocks is run by one thread, and measured


class Pool:
    """Worker threads that wait in native code. A child process after ``fork`` starts its own at its first parallel launch."""

    def __init__(self, program: Program, threads: int):
        self.threads = threads
        size = _POOL_BYTES + _WORKER_BYTES * threads
        self._memory = ctypes.create_string_buffer(size + 64)
        self.state = (ctypes.addressof(self._memory) + 63) & -64
        self.run = _POOL_RUN(program.address("pool_run"))
        ctypes.CFUNCTYPE(None, ctypes.c_void_p)(program.address("pool_init"))(self.state)
        start = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int64)(program.address("pool_start"))
        for index in range(1, threads):
            if start(self.state, index):
                self.threads = index  # the system gives no more threads: work with those there are
                break


class Workspace:
    """What one launch needs besides its arguments: error words, and room for shared arrays and coroutine frames."""

    def __init__(self) -> None:
        self.error = (ctypes.c_int64 * ERROR_WORDS)()
        self.error_address = ctypes.addressof(self.error)
        self.memory = ctypes.create_string_buffer(1 << 16)
        self.size = (1 << 16) - 64
        self.address = (ctypes.addressof(self.memory) + 63) & -64

    def reserve(self, size: int) -> int:
        """The address of at least ``size`` bytes, aligned to 64."""
        if size > self.size:
            self.memory = ctypes.create_string_buffer(size + 64)
            self.size = size
            self.address = (ctypes.addressof(self.memory) + 63) & -64
        return self.address


class _Workspaces(threading.local):
    """The workspaces of a thread that no launch has: one, as a rule. A signal handler or ``__del__`` may launch inside a launch."""

    def __init__(self) -> None:
        self.free: list[Workspace] = []


_workspaces = _Workspaces()


def take_workspace() -> Workspace:
    """A workspace of this launch alone, without errors. Give it back when all that it says has been read; a lost one is only garbage."""
    try:
        workspace = _workspaces.free.pop()
    except IndexError:
        return Workspace()
    workspace.error[1] = 0  # their number: the first error overwrites the other words
    return workspace


def give_workspace(workspace: Workspace) -> None:
    """Let this thread's later launches have it."""
    _workspaces.free.append(workspace)


@dataclass(eq=False)
class CpuKernel:
    """Loaded code of one kernel variant. ``pace`` is its measured time a block, in nanoseconds, which decides who shares a launch.

    ``ordered``: its blocks wait for those before them, and are taken one at a time.
    """

    program: Program
    coroutine: bool
    grid_barrier: bool
    shared_bytes: int
    ordered: bool = False
    run: Callable[[bytes, int, int, int], None] = field(init=False)
    run_address: int = field(init=False)
    arena_bytes: Callable[[bytes], int] = field(init=False)
    pace: float = 0.0

    def __post_init__(self) -> None:
        self.run_address = self.program.address("run")
        self.run = _RUN(self.run_address)
        if self.coroutine:
            self.arena_bytes = _BYTES(self.program.address("arena_bytes"))

    def launch(self, args: bytes, blocks: int, shared_bytes: int, pool: Callable[[], Pool | None], workspace: Workspace) -> None:
        """Execute blocks 0 to ``blocks``; returns when all are done. The GIL is released meanwhile.

        Long launches of many blocks run in pieces, between which Python can raise a ``KeyboardInterrupt``.
        """
        if self.coroutine:
            size = self.arena_bytes(args)
            if self.grid_barrier:
                size *= blocks
                if size > COOPERATIVE_BYTES:
                    most = COOPERATIVE_BYTES * blocks // size
                    raise LaunchError(f"a grid of {blocks} blocks is too large to be synchronised as a whole; about {most} would do")
        else:
            size = self.shared_bytes + shared_bytes
        begin = 0
        while begin < blocks:
            left = blocks - begin
            most = int(PIECE_NANOSECONDS / self.pace) if self.pace else UNMEASURED_BLOCKS
            end = blocks if self.grid_barrier or left <= 2 * most else begin + max(1, most)
            self._run(args, begin, end, size, pool, workspace)
            begin = end

    def _run(self, args: bytes, begin: int, end: int, size: int, pool: Callable[[], Pool | None], workspace: Workspace) -> None:
        """Execute blocks ``begin`` to ``end``, on one thread or all."""
        blocks = end - begin
        if not self.grid_barrier and (self.pace * blocks > PARALLEL_NANOSECONDS or (not self.pace and blocks >= UNMEASURED_BLOCKS)):
            workers = pool()
            if workers is not None and self._run_shared(args, begin, end, size, workers, workspace):
                return
        arena = workspace.reserve(size)
        start = time.perf_counter_ns()
        self.run(args, begin, end, arena)
        self.pace = (time.perf_counter_ns() - start) / blocks

    def _run_shared(self, args: bytes, begin: int, end: int, size: int, workers: Pool, workspace: Workspace) -> bool:
        """Share the blocks with the pool; False if another launch has it."""
        blocks = end - begin
        stride = (size + 127) & -64
        arena = workspace.reserve(stride * workers.threads)
        share = blocks // (workers.threads * 8)
        # pieces of a tenth of a millisecond or so balance well and cost nothing to hand out
        piece = int(100_000 / self.pace) if self.pace else share
        chunk = 1 if self.ordered else max(1, min(share, piece))
        start = time.perf_counter_ns()
        if workers.run(workers.state, self.run_address, args, begin, end, chunk, arena, stride):
            return False
        self.pace = (time.perf_counter_ns() - start) * workers.threads / blocks
        return True
