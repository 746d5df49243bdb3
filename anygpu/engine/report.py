"""What a launch has to say when it is over: the lines that work-items printed, and the exception for what went wrong."""

from __future__ import annotations

import ctypes
import struct
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from anygpu.dtypes import dtype_named
from anygpu.errors import KernelAssertionError, KernelIndexError, Location

if TYPE_CHECKING:
    from anygpu.engine.compile import Artifact
    from anygpu.engine.device_variant import DeviceArtifact
    from anygpu.engine.launch import Launcher

PRINT_BYTES = 1 << 20
_HEADER_BYTES = 24  # bytes used, capacity, records dropped


def print_buffer() -> ctypes.Array[ctypes.c_char]:
    """An empty buffer for what a launch prints (``targets.cpu_support`` says how it is filled)."""
    buffer = ctypes.create_string_buffer(PRINT_BYTES + _HEADER_BYTES)
    struct.pack_into("=q", buffer, 8, PRINT_BYTES)
    return buffer


def show_prints(raw: bytes, artifact: Artifact | DeviceArtifact) -> None:
    """Write what work-items printed into a buffer with these contents, ordered by block and work-item."""
    used, capacity, dropped = struct.unpack_from("=3q", raw)
    records: list[tuple[int, int, int, str]] = []
    at, end = _HEADER_BYTES, _HEADER_BYTES + min(used, capacity)
    while at + 24 <= end:
        site, block, thread = struct.unpack_from("=3q", raw, at)
        if site == 0:
            break
        at += 24
        text = []
        for part in artifact.sites[site - 1].parts:
            if part[0] == "t":
                text.append(part[1:])
                continue
            value = np.frombuffer(raw, dtype_named(part[1:]).numpy, 1, at)[0]
            # ml_dtypes shows fewer digits than name a bfloat16 for sure
            text.append(str(np.float32(value) if part[1:] == "bfloat16" else value))
            at += 8
        records.append((block, thread, len(records), "".join(text)))
    for record in sorted(records):
        print(record[3])
    if dropped:
        print(f"({dropped} more lines did not fit in the print buffer of {capacity} bytes)", file=sys.stderr)


def failure(name: str, artifact: Artifact | DeviceArtifact, launcher: Launcher, found: Sequence[int], words: Sequence[object]) -> Exception:
    """The exception for the first thing that went wrong in a launch: ``found`` are its error words, ``words`` those of its arguments."""
    count, block, thread, site_number, ndim = found[1:6]
    site = artifact.sites[site_number]
    loc = Location(*site.location)
    where = f"block {_place(block, launcher.grid)}, thread {_place(thread, launcher.block)}"
    more = f" (and {count - 1} more)" if count > 1 else ""
    if site.kind == "assert":
        return KernelAssertionError(f"assertion failed in kernel '{name}': {site.message}{more}\n{loc.render()}\n  {where}")
    index = tuple(n % 2**64 if axis in site.unsigned else n for axis, n in enumerate(found[6 : 6 + ndim]))
    shape = _shape_of(site.array, artifact, launcher.shared, words)
    shown = index[0] if ndim == 1 else index
    hint = "\n  hint: a negative index counts from the end only if it is a literal" if any(i < 0 for i in index) else ""
    bounds = "" if shape is None else f" with shape {shape}"
    message = f"index {shown} is out of bounds for array '{site.array}'{bounds} in kernel '{name}'{more}"
    return KernelIndexError(f"{message}\n{loc.render()}\n  {where}{hint}")


def _place(linear: int, extents: tuple[int, int, int]) -> tuple[int, int, int]:
    x, rest = linear % extents[0], linear // extents[0]
    return (x, rest % extents[1], rest // extents[1])


def _shape_of(array: str, artifact: Artifact | DeviceArtifact, shared: int, words: Sequence[object]) -> tuple[int, ...] | None:
    position = 0
    for name, kind, ndim, _ in artifact.parameters:
        if name == array:
            return tuple(words[position + 1 : position + 1 + ndim])  # type: ignore[arg-type]
        position += 1 + 2 * ndim if kind == "array" else 1
    if array in artifact.dynamic:
        return (shared // artifact.dynamic[array],)
    return artifact.declared.get(array)
