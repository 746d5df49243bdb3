"""What can go wrong with a device once and for all: lost, inherited by ``fork``, or outlived by the interpreter.

A driver's ``fault`` holds the exception that every later use raises. It is set here for all back ends.
"""

from __future__ import annotations

import atexit
import os
import weakref
from collections.abc import Callable

from anygpu.drivercodes import explain
from anygpu.errors import AnyGPUError, DeviceLostError, DriverError, ForkError
from anygpu.runtime.base import Driver

_opened: weakref.WeakSet[Driver] = weakref.WeakSet()
_exiting = False


def watch(driver: Driver) -> None:
    """Remember a driver of a GPU, so that a child of ``fork`` does not use it."""
    _opened.add(driver)


def usable(driver: Driver) -> bool:
    """Whether finalizers may still call the driver. The system takes back what a lost device or an ending process leaves."""
    return driver.fault is None and not _exiting


def check(driver: Driver) -> None:
    """Raise the fault that has made the device unusable, if there is one."""
    if driver.fault is not None:
        raise driver.fault.with_traceback(None)


def failure(driver: Driver | None, api: str, code: int, call: str, detail: str = "") -> AnyGPUError:
    """The exception for a driver's code. One that loses the device becomes its fault."""
    row = explain(api, code)
    if not row.lost:
        return DriverError(row, call, detail)
    error = DeviceLostError(row, call, detail)
    if driver is not None and driver.fault is None:
        driver.fault = error
    return error


def _after_fork_in_child() -> None:
    for driver in list(_opened):
        driver.fault = ForkError(
            f"{driver.api}:{driver.ordinal} was opened before this process was forked, and its driver does not survive that\n"
            "  hint: start workers with multiprocessing.get_context('spawn'), or open devices only in the children"
        )


def _at_exit() -> None:
    global _exiting
    _exiting = True


def after_fork_in_child(function: Callable[[], None]) -> Callable[[], None]:
    """Call ``function`` in every child of ``fork``: to renew locks, which another thread of the parent may have held."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=function)
    return function


after_fork_in_child(_after_fork_in_child)
atexit.register(_at_exit)
