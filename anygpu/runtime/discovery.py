"""Which back ends work here. Nothing of a vendor's is imported before its devices are asked for."""

from __future__ import annotations

import importlib
import re
import threading
from collections.abc import Callable

from anygpu.errors import NoDeviceError
from anygpu.runtime import faults
from anygpu.runtime.base import Driver, Found, Unavailable

_MODULES = {"cuda": "anygpu.runtime.cuda", "hip": "anygpu.runtime.hip", "opencl": "anygpu.runtime.opencl"}
_NAME = re.compile(r"([a-z]+)(?::(\d{1,3}))?")
_found: dict[str, Found] = {}
_finders: dict[str, Callable[[], Found]] = {}
_lock = threading.RLock()


@faults.after_fork_in_child
def _renew_lock() -> None:
    global _lock
    _lock = threading.RLock()


def register(api: str, finder: Callable[[], Found]) -> None:
    """Add a back end under a name of its own. What it finds is asked for once, when it is needed."""
    _finders[api] = finder


def found(api: str) -> Found:
    """What a back end has found. A driver that is missing or broken is a problem in it, never an exception."""
    known = _found.get(api)
    if known is not None:
        return known
    with _lock:
        if api not in _found:
            _found[api] = _look(api)
        return _found[api]


def _look(api: str) -> Found:
    try:
        finder = _finders.get(api) or importlib.import_module(_MODULES[api]).discover
        result: Found = finder()
        return result
    except Unavailable as reason:
        return Found((), (str(reason),))
    except Exception as error:  # noqa: BLE001  (whatever a broken driver raises is one line of `anygpu info`)
        first = str(error).strip().split("\n")[0]
        return Found((), (f"its driver does not start: {type(error).__name__}: {first}",))


def apis() -> list[str]:
    """The back ends, the CPU first."""
    return sorted({*_finders, *_MODULES}, key=lambda api: (api != "cpu", api))


def names() -> list[str]:
    """The names of all devices here."""
    return [_device_name(driver) for api in apis() for driver in found(api).drivers]


def problems() -> dict[str, str]:
    """A line for each back end with something that cannot be used."""
    return {api: "; ".join(found(api).problems) for api in apis() if found(api).problems}


def _device_name(driver: Driver) -> str:
    return driver.api if driver.api == "cpu" else f"{driver.api}:{driver.ordinal}"


def full_name(name: str) -> str:
    """``"cuda"`` as ``"cuda:0"``; the CPU has no number. Raises `NoDeviceError` for what is no device's name."""
    match = _NAME.fullmatch(name)
    if match is None or match[1] not in apis():
        others = ", ".join(sorted(_MODULES))
        raise NoDeviceError(f"{name!r} is no device's name: it is cpu, or one of {others} with a number, as in opencl:0")
    if match[1] == "cpu":
        if match[2] not in (None, "0"):
            raise NoDeviceError(f"{name!r}: there is one CPU device, called cpu")
        return "cpu"
    return f"{match[1]}:{int(match[2] or 0)}"


def driver(name: str) -> Driver:
    """The driver of a device by its whole name, or `NoDeviceError`."""
    api, _, number = name.partition(":")
    drivers = found(api).drivers
    if int(number or 0) < len(drivers):
        return drivers[int(number or 0)]
    if drivers:
        raise NoDeviceError(f"there is no {name}: {', '.join(map(_device_name, drivers))} {'is' if len(drivers) == 1 else 'are'} here")
    reason = "; ".join(found(api).problems) or "its driver reports no device"
    raise NoDeviceError(f"there is no {name}: {reason}\n  hint: ag.devices() lists what is here")
