"""The CPU as the engine sees it, and the devices beside it."""

from __future__ import annotations

import os
import platform
import sys

from anygpu.config import SHARED_LIMIT, config
from anygpu.runtime import device as runtime
from anygpu.runtime import discovery
from anygpu.runtime.base import Capabilities, Found, Properties
from anygpu.runtime.device import Device, current_device, devices, problems, set_default_device


def synchronize() -> None:
    """Compute what has been recorded, and wait until every launch on every device that has been used has finished.

    Example:
        >>> import anygpu as ag
        >>> ag.synchronize()
    """
    recorded = sys.modules.get("anygpu.engine.pending")  # without arrays nothing is recorded
    if recorded is not None:
        recorded.pending.flush()
    runtime.synchronize()


def _find_cpu() -> Found:
    from anygpu.codegen.native import host_cpu
    from anygpu.engine.launch import GRID_LIMITS, MAXIMUM_BLOCK
    from anygpu.runtime.cpu_device import CpuDriver

    cpu, memory, threads = host_cpu(), _memory(), config().num_threads
    properties = Properties(
        model=_model(),
        vendor=platform.system(),
        driver_version=f"{cpu.name} {cpu.vector_bits}",
        architecture=platform.machine(),
        memory=memory,
        compute_units=threads,
        maximum_block=MAXIMUM_BLOCK,
        maximum_block_shape=(MAXIMUM_BLOCK, MAXIMUM_BLOCK, MAXIMUM_BLOCK),
        maximum_grid=GRID_LIMITS,
        maximum_shared=SHARED_LIMIT,
        maximum_allocation=memory,
        details=(
            ("threads", f"{threads} of {os.cpu_count() or 1} cores"),
            ("vectors", f"{cpu.vector_bits} bits, code for {cpu.name}"),
        ),
    )
    return Found((CpuDriver(properties, Capabilities(fp16=True, host_pointers=True, cooperative=True)),))


def _memory() -> int:
    """Bytes of main memory; 0 where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 0


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


discovery.register("cpu", _find_cpu)

__all__ = ["Device", "current_device", "devices", "problems", "set_default_device", "synchronize"]
