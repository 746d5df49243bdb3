"""One thread compiles, or computes recorded work, at a time, and the process does not fork meanwhile.

A child of ``fork`` has only the thread that forked. A lock that another thread held at that moment, in LLVM, in llvmlite or in Python's
import system, is never released in the child, which would then wait for ever at its first compilation. So a fork waits until
nobody compiles.
"""

from __future__ import annotations

import functools
import gc
import os
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

_lock = threading.RLock()
_PATIENCE = 30.0  # seconds; a thread that waits for the forking one must not stop it for ever
_holds_for_fork = False


def exclusively() -> AbstractContextManager[object]:
    """For work that one thread does at a time, and never while the process forks."""
    return _lock


def exclusive(function: Callable[P, R]) -> Callable[P, R]:
    """``function`` run by one thread at a time, and never while the process forks."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        with _lock:
            return function(*args, **kwargs)

    return call


def compiles(function: Callable[P, R]) -> Callable[P, R]:
    """``function``, which compiles, `exclusive`, and without collections of garbage meanwhile: it makes many small objects
    that live until its end, and looking for cycles among them, and all others of the process, took a tenth of its time."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        collects = gc.isenabled()
        gc.disable()
        try:
            return function(*args, **kwargs)
        finally:
            if collects:
                gc.enable()

    return exclusive(call)


def _before_fork() -> None:
    global _holds_for_fork
    _holds_for_fork = _lock.acquire(timeout=_PATIENCE)


def _after_fork_in_parent() -> None:
    if _holds_for_fork:
        _lock.release()


def _after_fork_in_child() -> None:
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
