"""Streams, events and graphs: the order in which a device does its work."""

from __future__ import annotations

import collections
import contextlib
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from anygpu.errors import WrongDeviceError, WrongStreamError
from anygpu.runtime import faults
from anygpu.runtime.base import Driver, Handle

if TYPE_CHECKING:
    from anygpu.runtime.device import Device

Operation = Callable[..., object]  # a driver's method whose first argument is the stream
Report = Callable[["Stream"], None]  # raises what went wrong in work of the stream that is done
_HELD = 64  # host objects that a stream keeps alive before it puts an event behind them, to see when they can go


class Stream:
    """An in-order queue of work on a device. Different streams may run at once.

    Work is queued without waiting; `synchronize` waits. Made by `Device.create_stream`; each device also has ``default_stream``, which
    is used where no stream is named. A stream is closed when it is no longer referred to; work that is queued is still done.

    Example:
        >>> import anygpu as ag
        >>> stream = ag.Device("cpu").create_stream()
        >>> start = stream.record()
        >>> end = stream.record()
        >>> stream.synchronize()
        >>> start.elapsed_time(end) >= 0
        True
    """

    def __init__(self, device: Device, name: str = "stream"):
        self.device = device
        self.driver = device.driver
        self.name = name
        device.used = True
        device.streams.add(self)
        self.handle: Handle = device.driver.create_stream()
        self.graph: Graph | None = None  # what is being captured
        self.launchers: dict[object, object] = {}  # launch configurations that name this stream
        self.lock = threading.RLock()  # held while something is queued that is reported on, and while reports are taken away
        self.reports: dict[object, Report] = {}  # what to ask, once work is done, whether it went well
        self.slots: list[object] = []  # for whoever reports: memory that is clean again
        self._failures: list[Exception] = []  # what went wrong, and was not raised yet
        self.closed = False
        self._held: list[object] = []
        self._marked: collections.deque[tuple[Event, list[object]]] = collections.deque()
        self._destroy = weakref.finalize(self, _destroy_stream, device.driver, self.handle, self._held, self._marked)
        self._destroy.atexit = False

    def __repr__(self) -> str:
        state = "closed " if self.closed else "capturing " if self.capturing else ""
        return f"<{state}{self.name} of {self.device.name} at {id(self):#x}>"

    @property
    def capturing(self) -> bool:
        """Whether work is collected for a graph at present."""
        return self.graph is not None

    def submit(self, operation: Operation, *arguments: object) -> None:
        """Queue a driver's operation on this stream: everything that a stream does passes here.

        Raises `WrongStreamError` if the stream is closed, and what is wrong with the device if something is.
        """
        if self.closed or self.driver.fault is not None:
            self.check()
        graph = self.graph
        if graph is None or self.device.capabilities.driver_graphs:
            operation(self.handle, *arguments)
        else:
            graph.operations.append((operation, self, arguments))

    def check(self) -> None:
        """Raise if the stream cannot be used any more."""
        faults.check(self.driver)
        if self.closed:
            raise WrongStreamError(f"{self!r} is closed\n  hint: make another with device.create_stream()")

    def keep(self, *objects: object) -> None:
        """Keep host objects alive until the work that is queued now is done; in a capture, as long as the graph."""
        if self.graph is not None:
            self.graph.kept.extend(objects)
            return
        self._held.extend(objects)
        if len(self._held) >= _HELD:
            self._marked.append((self.record(), self._held.copy()))
            self._held.clear()
            while self._marked and self._marked[0][0].done:
                self._marked.popleft()

    def record(self, event: Event | None = None) -> Event:
        """Put an event behind all work that is queued now, and return it. Without ``event``, a new one."""
        event = Event(self.device) if event is None else event
        event.belongs_to(self.device)
        self.submit(self.driver.record_event, event.handle)
        event.recorded = True
        event.graph = self.graph
        return event

    def wait(self, other: Event | Stream) -> None:
        """Let work that is queued later wait for an event, or for all work that another stream of the device has queued.

        In a capture, a stream that waits for an event of the captured stream joins the capture.

        Raises:
            WrongDeviceError: The event belongs to another device.
            WrongStreamError: The event was never recorded.
        """
        event = other.record() if isinstance(other, Stream) else other
        event.belongs_to(self.device)
        if not event.recorded:
            raise WrongStreamError("this event was never recorded\n  hint: stream.record(event) comes before stream.wait(event)")
        graph = event.graph
        if graph is not None and graph.capturing and self.graph is None:
            graph.streams.append(self)
            self.graph = graph
        self.submit(self.driver.wait_event, event.handle)
        if self.graph is not None:
            self.keep(event)

    @property
    def done(self) -> bool:
        """Whether all queued work is done, without waiting."""
        if self.closed:
            return True
        faults.check(self.driver)
        return not self.capturing and self.driver.stream_done(self.handle)

    def synchronize(self) -> None:
        """Wait until all queued work is done. Raises what a kernel did wrong."""
        self.check()
        self.refuse_capture("synchronize")
        self.driver.synchronize_stream(self.handle)
        self._held.clear()
        self._marked.clear()
        self.report()

    def report(self) -> None:
        """Raise what went wrong in work that is done: the first of its errors, in the order of the launches, with notes of the others."""
        self.settle()
        failures, self._failures = self._failures, []
        if failures:
            for other in failures[1:]:
                failures[0].add_note(f"a later launch on this stream also failed: {other}")
            raise failures[0]

    def settle(self) -> None:
        """Find out what went wrong in work that is done, to be raised by the next `report`."""
        with self.lock:
            reports, self.reports = self.reports, {}
        for ask in reports.values():
            try:
                ask(self)
            except (IndexError, AssertionError) as failure:
                self._failures.append(failure)

    def refuse_capture(self, what: str) -> None:
        """Raise `WrongStreamError` if the stream is being captured, which ``what`` would wait for in vain."""
        if self.capturing:
            hint = "end the capture first, with stream.end_capture()"
            raise WrongStreamError(f"{what} cannot be used while {self!r} is captured\n  hint: {hint}")

    def close(self) -> None:
        """Wait for the queued work and give the stream back. Later use raises `WrongStreamError`; closing twice is allowed."""
        try:
            if not self.closed and faults.usable(self.driver):
                self.synchronize()
        finally:
            self.closed = True
            self.slots.clear()
            self.launchers.clear()
            self._destroy()

    # ------------------------------------------------------------------------------------------------------------------- graphs

    def begin_capture(self) -> Graph:
        """Collect work that is queued from now on instead of doing it, until `end_capture`. Returns the graph that is collected.

        CUDA and HIP collect in the driver. Elsewhere the launches and copies are recorded in a list, with their arguments.
        """
        self.check()
        self.refuse_capture("begin_capture")
        if self.device.capabilities.driver_graphs:
            self.driver.begin_capture(self.handle)
        self.graph = Graph(self)
        return self.graph

    def end_capture(self) -> Graph:
        """End the capture and return what was collected."""
        graph = self.graph
        if graph is None or graph.streams[0] is not self:
            reason = "stream.begin_capture() comes first" if graph is None else f"{graph.streams[0]!r} began it"
            raise WrongStreamError(f"{self!r} has no capture to end: {reason}")
        for stream in graph.streams:
            stream.graph = None
        graph.complete()
        return graph

    @contextlib.contextmanager
    def capture(self) -> Iterator[Graph]:
        """Capture what is queued inside a ``with`` block; the graph can be replayed after it.

        Example:
            >>> import numpy as np, anygpu as ag
            >>> device = ag.Device("cpu")
            >>> buffer = device.to_device(np.zeros(4, np.uint8))
            >>> with device.default_stream.capture() as graph:
            ...     buffer.fill(7)
            >>> graph.replay()
            >>> buffer.to_numpy(np.uint8).tolist()
            [7, 7, 7, 7]
        """
        graph = self.begin_capture()
        try:
            yield graph
        finally:
            self.end_capture()


def _destroy_stream(driver: Driver, handle: Handle, held: list[object], marked: collections.deque[tuple[Event, list[object]]]) -> None:
    if faults.usable(driver):
        if held or marked:  # host memory that a copy may still read or write
            driver.synchronize_stream(handle)
        driver.destroy_stream(handle)


def _destroy(driver: Driver, destroy: Callable[..., None], *handles: Handle) -> None:
    if faults.usable(driver):
        destroy(*handles)


class Event:
    """A point in a stream that can be waited for and that has a time. ``Stream.record`` makes and places it.

    Example:
        >>> import anygpu as ag
        >>> event = ag.Device("cpu").default_stream.record()
        >>> event.synchronize()
        >>> event.done
        True
    """

    def __init__(self, device: Device):
        faults.check(device.driver)
        self.device = device
        self.handle: Handle = device.driver.create_event()
        self.recorded = False
        self.graph: Graph | None = None  # the capture in which it was recorded
        close = weakref.finalize(self, _destroy, device.driver, device.driver.destroy_event, self.handle)
        close.atexit = False

    def __repr__(self) -> str:
        return f"<event of {self.device.name}{'' if self.recorded else ', not recorded'}>"

    def belongs_to(self, device: Device) -> None:
        """Raise `WrongDeviceError` if the event belongs to another device."""
        if self.device is not device:
            raise WrongDeviceError(
                f"an event of {self.device.name} was used on {device.name}\n  hint: wait on the host, with event.synchronize()"
            )

    @property
    def done(self) -> bool:
        """Whether the work before the event is done, without waiting."""
        faults.check(self.device.driver)
        return self.recorded and self.device.driver.event_done(self.handle)

    def synchronize(self) -> None:
        """Wait on the host for the work before the event."""
        faults.check(self.device.driver)
        if not self.recorded:
            raise WrongStreamError("this event was never recorded\n  hint: stream.record(event) comes first")
        self.device.driver.synchronize_event(self.handle)

    def elapsed_time(self, end: Event) -> float:
        """Milliseconds from this event to ``end``, on the device's clock. Waits for both."""
        end.belongs_to(self.device)
        self.synchronize()
        end.synchronize()
        return self.device.driver.elapsed_time(self.handle, end.handle)


class Graph:
    """Launches and copies that were captured once and are replayed with one call.

    Sizes, addresses and scalars are those of the capture. What was used in it is kept alive. Made by `Stream.capture`.
    """

    def __init__(self, stream: Stream):
        self.device = stream.device
        self.streams = [stream]  # those that take part, the one that began it first
        self.operations: list[tuple[Operation, Stream, tuple[object, ...]]] = []
        self.kept: list[object] = []
        self.reports: dict[object, Report] = {}  # what to ask after each replay
        self.capturing = True
        self._lock = threading.Lock()
        self._handle: Handle | None = None
        self._instance: Handle | None = None

    def __repr__(self) -> str:
        if self.capturing:
            return f"<graph of {self.device.name}, being captured>"
        if self._handle is not None:
            return f"<graph of {self.device.name}, in the driver>"
        return f"<graph of {self.device.name}, {len(self.operations)} operation{'s' * (len(self.operations) != 1)} recorded>"

    def complete(self) -> None:
        """Called by ``Stream.end_capture``: nothing more is collected."""
        self.capturing = False
        if self.device.capabilities.driver_graphs:
            self._handle = self.device.driver.end_capture(self.streams[0].handle)
            self._own(self._handle, None)

    def _own(self, handle: Handle, instance: Handle | None) -> None:
        self._close = weakref.finalize(self, _destroy, self.device.driver, self.device.driver.destroy_graph, handle, instance)
        self._close.atexit = False

    def instantiate(self) -> Graph:
        """Make the graph ready to run, so that the first `replay` is as quick as the others. Returns the graph."""
        with self._lock:
            if self._handle is not None and self._instance is None:
                faults.check(self.device.driver)
                self._instance = self.device.driver.instantiate(self._handle)
                self._close.detach()
                self._own(self._handle, self._instance)
        return self

    def replay(self, stream: Stream | None = None) -> None:
        """Queue everything in the graph on ``stream``, by default the one that was captured.

        Raises `WrongDeviceError` for a stream of another device and `WrongStreamError` for one that is being captured, and while the
        graph itself still is.
        """
        first = self.streams[0]
        stream = first if stream is None else stream
        if stream.device is not self.device:
            raise WrongDeviceError(f"a graph of {self.device.name} cannot run on {stream!r}")
        stream.check()
        stream.refuse_capture("replay")
        if self.capturing:
            raise WrongStreamError("this graph is still being captured\n  hint: stream.end_capture() comes first")
        with stream.lock:
            for report in self.reports.values():
                stream.reports[report] = report
            if self._handle is None:
                for operation, original, arguments in self.operations:
                    (stream if original is first else original).submit(operation, *arguments)
            else:
                self.instantiate()
                stream.submit(self.device.driver.launch_graph, self._instance)
        stream.keep(self)
