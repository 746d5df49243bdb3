"""Which device is current, for code that wants to know whether it is the CPU without importing what makes devices."""

from __future__ import annotations

import contextlib
import os
import threading
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Literal, Protocol

from anygpu.config import config

if TYPE_CHECKING:
    from anygpu.runtime.device import Device
    from anygpu.runtime.stream import Stream

Kind = Literal["kernel", "copy", "compile", "numpy"]


class Recorder(Protocol):
    """Who is told what is done, while a program is profiled."""

    def span(
        self, kind: Kind, name: str, stream: Stream | None = None, size: int = 0, operations: int = 0
    ) -> AbstractContextManager[object]:
        """The work inside: on the host, or queued on a stream; the bytes that it moves, and its operations."""


class _Stack(threading.local):
    """The devices that this thread has entered, the innermost last."""

    def __init__(self) -> None:
        self.entered: list[Device] = []


class Current:
    """The devices that threads have entered, and the process's default by name.

    ``elsewhere`` is false until a device other than the CPU was made current, or an array in a device's memory was made, for the first
    time: until then a launch looks no further. ``recorder`` is who profiles, if anyone does.
    """

    def __init__(self) -> None:
        self.stack = _Stack()
        self.chosen: str | None = None
        self.elsewhere = bool(os.environ.get("ANYGPU_DEVICE", "").strip())
        self._other = self.elsewhere
        self.recorder: Recorder | None = None

    def look_elsewhere(self) -> None:
        """A device other than the CPU has been made current, or has an array."""
        self.elsewhere = self._other = True

    def watch(self, recorder: Recorder | None) -> None:
        """Let launches tell a recorder, or nobody any more."""
        self.recorder = recorder
        self.elsewhere = self._other or recorder is not None  # launches look for a recorder only then

    @property
    def default(self) -> str:
        """The process's default: the one that was set, else the one that the environment names."""
        return self.chosen or config().device

    def is_cpu(self) -> bool:
        """Whether the CPU is the current device."""
        entered = self.stack.entered
        return not self.elsewhere or (entered[-1].name if entered else self.default) == "cpu"


current = Current()


def noted(
    kind: Kind, name: str, stream: Stream, size: int = 0, operations: int = 0
) -> AbstractContextManager[object]:
    """A profile's note of the work inside, which is queued on a stream; nothing, while nobody profiles."""
    recorder = current.recorder
    return contextlib.nullcontext() if recorder is None else recorder.span(kind, name, stream, size, operations)
