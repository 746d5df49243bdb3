"""Profiles: what a program does on its devices, when, for how long, and how many bytes it moves."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass

from anygpu.engine.devices import synchronize
from anygpu.runtime.current import Kind, current
from anygpu.runtime.stream import Event, Stream


@dataclass(frozen=True, slots=True)
class Span:
    """One piece of work.

    Attributes:
        kind: ``"kernel"``, ``"copy"``, ``"compile"``, or ``"numpy"`` for a routine of NumPy's on the host.
        name: The kernel's name, or what a fused kernel computes.
        device: Where, by the device's name; ``"host"`` for compiles.
        start: Microseconds from the profile's begin.
        duration: Microseconds.
        size: Bytes read and written; 0 where that is not known.
        operations: Operations on elements in fused kernels; 0 where that is not known.
    """

    kind: Kind
    name: str
    device: str
    start: float
    duration: float
    size: int
    operations: int


class Profile:
    """What was done inside ``with ag.profile() as p:``. Print it for a table, `save` it for a picture.

    Work on the CPU is timed by the host's clock, work on other devices by events in their streams, so that it stays asynchronous. The
    sizes of user kernels are those of their arrays.

    Example:
        >>> import anygpu as ag
        >>> x = ag.ones(1000)
        >>> with ag.profile() as p:
        ...     y = (x + 1).sum().item()
        >>> [(span.kind, span.name) for span in p.spans if span.kind == "kernel"]
        [('kernel', 'add, add.reduce')]
    """

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._origin = 0.0
        self._bases: dict[Stream, tuple[Event, float]] = {}
        self._queued: list[tuple[Kind, str, Stream, Event, Event, int, int]] = []
        self._total = 0.0

    def __enter__(self) -> Profile:
        if current.recorder is not None:
            raise RuntimeError("a profile is running already: they do not nest")
        synchronize()
        self._origin = time.perf_counter()
        current.watch(self)
        return self

    def __exit__(self, *exception: object) -> None:
        try:
            synchronize()
        finally:
            current.watch(None)
        self._total = 1e6 * (time.perf_counter() - self._origin)
        for kind, name, stream, start, end, size, operations in self._queued:
            base, offset = self._base(stream)
            began = offset + 1e3 * base.elapsed_time(start)
            self.spans.append(Span(kind, name, stream.device.name, began, 1e3 * start.elapsed_time(end), size, operations))
        self._queued.clear()
        self.spans.sort(key=lambda span: span.start)

    @contextlib.contextmanager
    def span(self, kind: Kind, name: str, stream: Stream | None = None, size: int = 0, operations: int = 0) -> Iterator[None]:
        """Note the work inside: on the host, or queued on a stream."""
        if stream is None or stream.device.name == "cpu" or stream.capturing:
            device = "host" if kind == "compile" else "cpu" if stream is None else stream.device.name
            start = time.perf_counter()
            try:
                yield
            finally:
                end = time.perf_counter()
                self.spans.append(Span(kind, name, device, 1e6 * (start - self._origin), 1e6 * (end - start), size, operations))
            return
        self._base(stream)
        first = stream.record()
        try:
            yield
        finally:
            self._queued.append((kind, name, stream, first, stream.record(), size, operations))

    def _base(self, stream: Stream) -> tuple[Event, float]:
        """An event of a stream whose time on the host's clock is known, and that time in microseconds."""
        known = self._bases.get(stream)
        if known is None:
            event = stream.record()
            event.synchronize()
            known = self._bases[stream] = event, 1e6 * (time.perf_counter() - self._origin)
        return known

    # ------------------------------------------------------------------------------------------------------------------- results

    def __repr__(self) -> str:
        return f"<profile of {len(self.spans)} spans in {self._total / 1e3:.3g} ms>"

    def __str__(self) -> str:
        return self.table()

    def table(self, rows: int = 40) -> str:
        """The work by name, what took longest first: calls, milliseconds, the share of the profile's time, and rates."""
        groups: dict[tuple[str, str, str], list[Span]] = {}
        for span in self.spans:
            groups.setdefault((span.device, span.kind, span.name), []).append(span)
        totals = sorted(((sum(s.duration for s in spans), key, spans) for key, spans in groups.items()), key=lambda row: -row[0])
        lines = [f"{'device':<10} {'kind':<8} {'calls':>6} {'ms':>10} {'share':>6} {'mean us':>9} {'GB/s':>7} {'Gop/s':>7}  name"]
        for total, (device, kind, name), spans in totals[:rows]:
            size, operations = sum(s.size for s in spans), sum(s.operations for s in spans)
            rate = f"{size / total / 1e3:7.2f}" if size and total else f"{'':7}"
            speed = f"{operations / total / 1e3:7.2f}" if operations and total else f"{'':7}"
            share = total / self._total if self._total else 0
            mean = total / len(spans)
            lines.append(
                f"{device:<10} {kind:<8} {len(spans):>6} {total / 1e3:>10.3f} {share:>6.1%} {mean:>9.1f} {rate} {speed}  {_short(name)}"
            )
        if len(totals) > rows:
            lines.append(f"... and {len(totals) - rows} more")
        lines.append(f"{len(self.spans)} spans in {self._total / 1e3:.3f} ms")
        return "\n".join(lines)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the spans as a trace that https://ui.perfetto.dev and ``chrome://tracing`` show: a process for each device."""
        devices = {name: n for n, name in enumerate(dict.fromkeys(["host", "cpu", *(span.device for span in self.spans)]))}
        kinds = ("compile", "numpy", "kernel", "copy")
        events: list[dict[str, object]] = []
        for name, n in devices.items():
            events.append({"ph": "M", "name": "process_name", "pid": n, "args": {"name": name}})
            for row, kind in enumerate(kinds):
                events.append({"ph": "M", "name": "thread_name", "pid": n, "tid": row, "args": {"name": kind}})
        events += [
            {
                "ph": "X", "cat": span.kind, "name": span.name, "pid": devices[span.device], "tid": kinds.index(span.kind),
                "ts": round(span.start, 3), "dur": round(span.duration, 3), "args": {"bytes": span.size, "operations": span.operations},
            }
            for span in self.spans
        ]  # fmt: skip
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"traceEvents": events, "displayTimeUnit": "ms"}, file)


def _short(name: str) -> str:
    return name if len(name) <= 80 else name[:77] + "..."


def profile() -> Profile:
    """Note what is computed, copied and compiled inside ``with ag.profile() as p:``. Recorded work is done before and at the end.

    Example:
        >>> import anygpu as ag
        >>> x = ag.ones((500, 500))
        >>> with ag.profile() as p:
        ...     y = (x - x.mean(axis=0)).std().item()
        >>> sum(span.size for span in p.spans if span.kind == "kernel") > x.nbytes
        True
    """
    return Profile()
