"""What a device's launches have to say when they are over: error slots, read when their stream is waited for, and print buffers.

A slot serves the launches of one plan on one stream until that is waited for; clean slots wait in ``stream.slots``. Launches in a graph
have slots that belong to the graph, and report after each replay.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from anygpu.engine.geometry import place_in_lines
from anygpu.engine.report import PRINT_BYTES, failure
from anygpu.errors import KernelIndexError
from anygpu.runtime.memory import Buffer
from anygpu.runtime.stream import Stream

if TYPE_CHECKING:
    from anygpu.engine.device_plan import Plan

MOST_REPORTS = 256  # plans whose launches a stream may have pending before it is asked how they went


class Report:
    """The error slot of a plan's pending launches: called with their stream, it raises what they did wrong, once."""

    def __init__(self, plan: Plan, slot: Buffer, recycled: bool):
        self.plan = plan
        self.slot = slot
        self.recycled = recycled

    def __call__(self, stream: Stream) -> None:
        from anygpu.codegen.device import decode_failure

        head = np.empty(4, np.uint32)
        stream.submit(stream.driver.copy, head.ctypes.data, self.slot.address, head.nbytes, "out")
        stream.driver.synchronize_stream(stream.handle)
        raw = b""
        if head[0]:
            contents = np.empty(self.slot.size, np.uint8)
            stream.submit(stream.driver.copy, contents.ctypes.data, self.slot.address, contents.nbytes, "out")
            stream.driver.synchronize_stream(stream.handle)
            raw = contents.tobytes()
            self.slot.fill(0, stream)
        if self.recycled:
            stream.slots.append(self.slot)
        if not raw:
            return
        plan = self.plan
        launcher, artifact = plan.launcher, plan.variant.artifact
        found = decode_failure(raw, math.prod(plan.threads))
        assert found is not None
        name = launcher.kernel.name
        if found.site is None:
            what = f"{found.count:,} accesses or assertions failed in kernel '{name}'"
            raise KernelIndexError(f"{what}, more than {stream.device.name} keeps")
        block, thread = found.block, found.thread
        if plan.threads != launcher.block:
            block, thread = place_in_lines(block, thread, plan.grid, plan.threads[0], launcher.extent[-1])
        words = (0, found.count, block, thread, found.site, len(found.index), *found.index)
        raise failure(name, artifact, launcher, words, plan.shapes)


def slot_for(plan: Plan, stream: Stream) -> Buffer:
    """The error slot for a launch that is about to be queued; the stream's lock is held."""
    from anygpu.codegen.device import ERROR_BYTES

    graph = stream.graph
    pending = stream.reports if graph is None else graph.reports
    report = pending.get(plan)
    if report is None:
        if graph is None and len(pending) >= MOST_REPORTS:
            stream.driver.synchronize_stream(stream.handle)
            stream.settle()
            pending = stream.reports
        slot = stream.slots.pop() if stream.slots and graph is None else zeroed(ERROR_BYTES, stream)
        assert isinstance(slot, Buffer)
        report = pending[plan] = Report(plan, slot, graph is None)
    assert isinstance(report, Report)
    return report.slot


def zeroed(size: int, stream: Stream) -> Buffer:
    """New bytes, all zero, for work on a stream. In a capture they are zeroed now and not at each replay."""
    on = stream.device.create_stream() if stream.capturing else stream
    buffer = stream.device.allocate(size, on)
    buffer.fill(0, on)
    if on is not stream:
        on.synchronize()
    return buffer


def print_buffer(stream: Stream) -> Buffer:
    """An empty buffer for what a launch prints."""
    from anygpu.codegen.device import PRINT_HEADER

    buffer = zeroed(PRINT_HEADER + PRINT_BYTES, stream)
    buffer.copy_from(np.array([0, PRINT_BYTES, 0], np.int64), stream, wait=False)
    return buffer


