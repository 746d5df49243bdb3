"""What the module says of itself to programs that are written against the array API standard."""

from __future__ import annotations

from typing import Literal

import numpy as np

from anygpu.engine.devices import Device, current_device, devices

Kind = Literal[
    "bool", "signed integer", "unsigned integer", "integral", "real floating", "complex floating", "numeric",
]  # fmt: skip

VERSION = "2025.12"  # of the standard
MOST_AXES = 64  # what NumPy's arrays can have, whose routines work on the same memory

_OF_KIND: dict[str, tuple[str, ...]] = {
    "bool": ("bool",),
    "signed integer": ("int8", "int16", "int32", "int64"),
    "unsigned integer": ("uint8", "uint16", "uint32", "uint64"),
    "real floating": ("float32", "float64"),
    "complex floating": ("complex64", "complex128"),
}
_OF_KIND["integral"] = _OF_KIND["signed integer"] + _OF_KIND["unsigned integer"]
_OF_KIND["numeric"] = _OF_KIND["integral"] + _OF_KIND["real floating"] + _OF_KIND["complex floating"]
_EVERY = _OF_KIND["bool"] + _OF_KIND["numeric"]


class Info:
    """What ``anygpu.__array_namespace_info__()`` gives: the capabilities, devices and dtypes of arrays.

    Example:
        >>> import anygpu as ag
        >>> info = ag.__array_namespace_info__()
        >>> sorted(info.dtypes(kind="complex floating"))
        ['complex128', 'complex64']
        >>> info.default_device() in info.devices()
        True
    """

    def capabilities(self) -> dict[str, bool | int]:
        """What arrays can do: "boolean indexing", "data-dependent shapes", and their "max dimensions"."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": MOST_AXES}

    def default_device(self) -> Device:
        """The device of arrays that name none: the current one."""
        return current_device()

    def devices(self) -> tuple[Device, ...]:
        """The devices on which arrays can live."""
        return tuple(devices())

    def default_dtypes(self, *, device: str | Device | None = None) -> dict[str, np.dtype[np.generic]]:
        """The dtypes of arrays that name none: "real floating", "complex floating", "integral" and "indexing"."""
        Device(device)  # raises for one that is not here
        return {
            "real floating": np.dtype(np.float64),
            "complex floating": np.dtype(np.complex128),
            "integral": np.dtype(np.int64),
            "indexing": np.dtype(np.intp),
        }

    def dtypes(
        self, *, device: str | Device | None = None, kind: Kind | tuple[Kind, ...] | None = None
    ) -> dict[str, np.dtype[np.generic]]:
        """The standard's dtypes that a device has, by name; only those of a kind, or of any of several, if it is given.

        Raises:
            ValueError: The standard has no such kind.
        """
        kinds = kind if isinstance(kind, tuple) else (kind,)
        for one in kinds:
            if one is not None and one not in _OF_KIND:
                raise ValueError(f"kinds of dtypes are {', '.join(map(repr, _OF_KIND))}, not {one!r}")
        names = _EVERY if kind is None else dict.fromkeys(name for one in kinds for name in _OF_KIND[one])  # type: ignore[index]
        lacking = () if Device(device).capabilities.fp64 else ("float64", "complex128")
        return {name: np.dtype(name) for name in names if name not in lacking}


def namespace_info() -> Info:
    """The standard's inspection of the module: see `Info`."""
    return Info()
