"""The devices of this machine: for now its CPU."""

from __future__ import annotations

import functools
import platform
from dataclasses import dataclass

from anygpu.config import config


@dataclass(frozen=True)
class CpuDevice:
    """The CPU as a device.

    Attributes:
        name: ``"cpu"``.
        model: The processor as its vendor names it, or its architecture where the system does not tell.
        threads: Threads that a launch is shared out over (``ANYGPU_NUM_THREADS``, else the cores that this process may use).
        architecture: As ``uname`` says it: ``x86_64``, ``aarch64``.
        processor: LLVM's name of the processor that code is made for: ``znver4``, ``apple-m1``.
        vector_bits: Width of its vector registers.
        warp_size: Lanes in a warp: 32 on every device.
        maximum_block: Work-items in a block at most.
        maximum_grid: Blocks along x, y and z at most.
        maximum_shared: Bytes of static shared memory that a block may declare.
    """

    name: str
    model: str
    threads: int
    architecture: str
    processor: str
    vector_bits: int
    warp_size: int
    maximum_block: int
    maximum_grid: tuple[int, int, int]
    maximum_shared: int

    def __repr__(self) -> str:
        threads = f"{self.threads} thread{'s' * (self.threads != 1)}"
        return f"<device {self.name}: {self.model}, {threads}, {self.vector_bits}-bit vectors ({self.processor})>"


def devices() -> list[CpuDevice]:
    """The devices that kernels can run on, the default first.

    Example:
        >>> import anygpu as ag
        >>> [device.name for device in ag.devices()]
        ['cpu']
    """
    return [_cpu()]


def synchronize() -> None:
    """Wait until every launch has finished. A launch on the CPU device has when it returns, so there is nothing to wait for there.

    Example:
        >>> import anygpu as ag
        >>> ag.synchronize()
    """


@functools.cache
def _cpu() -> CpuDevice:
    from anygpu.codegen.native import host_cpu
    from anygpu.engine.launch import GRID_LIMITS, MAXIMUM_BLOCK
    from anygpu.frontend.words import SHARED_LIMIT

    cpu = host_cpu()
    return CpuDevice(
        "cpu", _model(), config().num_threads, platform.machine(), cpu.name, cpu.vector_bits, 32, MAXIMUM_BLOCK, GRID_LIMITS, SHARED_LIMIT
    )


def _model() -> str:
    """The processor's name: from ``/proc/cpuinfo`` where there is one, else what Python's ``platform`` knows."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                key, _, value = line.partition(":")
                if key.strip() in ("model name", "Model", "cpu model") and value.strip():
                    return value.strip()
    except OSError:
        return platform.processor() or platform.machine()
    return platform.processor() or platform.machine()
