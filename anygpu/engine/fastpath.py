"""Repeated small launches in one call: argument checks, packing and the kernel itself in native code (``targets.cpu_support.launch_ir``).

It reads CPython's and NumPy's objects directly, so it is used only where their layout has been checked against real ones, under the
GIL, and for kernels measured to be short: others may use every core. A kernel with a loop releases the GIL while it runs, since what it
takes next time depends on its arguments; the time of one without depends on the number of blocks alone.
"""

from __future__ import annotations

import ctypes
import functools
import struct
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from anygpu.engine.exclusive import exclusive

if TYPE_CHECKING:
    from anygpu.runtime.cpu import CpuKernel

ERROR_WORDS = 16
SHORT_NANOSECONDS = 20_000  # longer launches should not hold the GIL

# NumPy's array object begins with these fields (its C ABI, stable through NumPy 2): data, rank, extents, strides, base, dtype, flags.
FIELDS = struct.Struct("@PiPPPPi")
HEAD = object.__basicsize__
TYPE_OFFSET = HEAD - 8  # where an object keeps its type
FieldBytes = ctypes.c_char * FIELDS.size
FLAGS = 0x0001 | 0x0100 | 0x0400  # C-contiguous, aligned, writeable
_ARRAY, _FLOAT, _INT, _SINGLE = 0, 1, 2, 3
_KINDS = {(float, "float64"): _FLOAT, (float, "float32"): _SINGLE, (int, "int64"): _INT, (int, "int32"): _INT}  # of scalars, by parameter
_LAUNCH = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.py_object)


def _layout_is_known() -> bool:
    """Whether arrays lie in memory as this module reads them."""
    if sys.implementation.name != "cpython":
        return False
    probe = np.arange(6, dtype=np.float32).reshape(2, 3)
    data, ndim, extents, strides, _, descr, flags = FIELDS.unpack_from(FieldBytes.from_address(id(probe) + HEAD))
    read = ctypes.c_int64 * 2
    return (data, ndim, descr, flags & FLAGS) == (probe.__array_interface__["data"][0], 2, id(probe.dtype), FLAGS) and (
        tuple(read.from_address(extents)), tuple(read.from_address(strides))) == (probe.shape, probe.strides)  # fmt: skip


KNOWN = _layout_is_known()


def _gil_is_held() -> bool:
    enabled = getattr(sys, "_is_gil_enabled", None)
    return True if enabled is None else bool(enabled())


@exclusive
@functools.cache
def _native_launch() -> Callable[[int, tuple[object, ...]], int] | None:
    """The native function, tried on a tuple of known arguments first; None where Python's objects lie otherwise."""
    from anygpu.engine.compile import native_library

    if not (KNOWN and _gil_is_held() and tuple.__itemsize__ == 8):
        return None
    library = native_library("launch", _launch_ir, ("launch",))
    launch: Callable[[int, tuple[object, ...]], int] = _LAUNCH(library.address("launch"))
    seen: list[bytes] = []
    probe = np.zeros((2, 3), np.int16)
    dtypes = ("array", "float64", "int64", "float32")
    run = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p)(
        lambda words, *_: seen.append(ctypes.string_at(words, 72))
    )
    words = (ctypes.c_int64 * 9)()
    error = (ctypes.c_int64 * ERROR_WORDS)()
    address = ctypes.cast(run, ctypes.c_void_p).value or 0
    specification = _specification((probe, 1.5, -7, 0.1), dtypes, address, 1, 0, ctypes.addressof(words), ctypes.addressof(error), 0, True)
    expected = struct.pack("=Q4qdqf", probe.__array_interface__["data"][0], *probe.shape, *probe.strides, 1.5, -7, 0.1)
    place = ctypes.addressof(specification)
    done = launch(place, (probe, 1.5, -7, 0.1))
    refused = launch(place, (probe, 1.5, 1 << 40, 0.1)), launch(place, (probe.T, 1.5, 1, 0.1))
    return launch if done == 0 and refused == (1, 1) and seen[0][: len(expected)] == expected else None


def _launch_ir(triple: str) -> str:
    from anygpu.codegen.targets.cpu_support import launch_ir

    return launch_ir(triple, TYPE_OFFSET)


def _specification(
    args: Sequence[object], dtypes: Sequence[str], run: int, blocks: int, arena: int, words: int, error: int, first: int, release: bool
) -> ctypes.Array[ctypes.c_int64]:  # fmt: skip
    """The words that describe a launch to the native function (``targets.cpu_support.LAUNCH_SPECIFICATION``)."""
    python = ctypes.pythonapi
    as_integer, save, restore = (
        ctypes.cast(function, ctypes.c_void_p).value or 0
        for function in (python.PyLong_AsLongLongAndOverflow, python.PyEval_SaveThread, python.PyEval_RestoreThread)
    )
    tuple_size, float_value = HEAD, HEAD
    values = [
        len(args), tuple_size, tuple.__basicsize__, HEAD, float_value, id(np.ndarray), id(float), id(int), as_integer,
        run, blocks, arena, words, error, first, save if release else 0, restore, 0,
    ]  # fmt: skip
    for value, dtype in zip(args, dtypes, strict=True):
        if isinstance(value, np.ndarray):
            _, ndim, _, _, _, descr, flags = FIELDS.unpack_from(FieldBytes.from_address(id(value) + HEAD))
            values += [_ARRAY, descr, ndim, flags & FLAGS, value.itemsize]
        else:
            values += [_KINDS[type(value), dtype], 0, 0, 0, 0]
    return (ctypes.c_int64 * len(values))(*values)


class NativeLaunch:
    """One launch configuration and argument types, ready to run again and again. ``plan`` is the caller's."""

    __slots__ = ("_keep", "address", "call", "error", "plan", "words")

    def __init__(
        self,
        call: Callable[[int, tuple[object, ...]], int],
        header: bytes,
        words: int,
        trailer: bytes,
        code: CpuKernel,
        blocks: int,
        arena: int,
        args: tuple[object, ...],
        dtypes: Sequence[str],
        release: bool,
        plan: object,
    ):
        self.call = call
        self.plan = plan
        self.error = (ctypes.c_int64 * ERROR_WORDS)()
        error = ctypes.addressof(self.error)
        self.words = ctypes.create_string_buffer(len(header) + 8 * words + len(trailer))
        struct.pack_into(f"{len(header)}s", self.words, 0, header)
        struct.pack_into("=q", self.words, 48, error)  # the launch's error words are this object's own
        struct.pack_into(f"{len(trailer)}s", self.words, len(header) + 8 * words, trailer)
        memory = ctypes.create_string_buffer(arena + 64)
        aligned, packed = (ctypes.addressof(memory) + 63) & -64, ctypes.addressof(self.words)
        specification = _specification(args, dtypes, code.run_address, blocks, aligned, packed, error, len(header) // 8, release)
        self.address = ctypes.addressof(specification)
        self._keep = (specification, memory, code, [a.dtype for a in args if isinstance(a, np.ndarray)])


def native_launch(
    header: bytes, words: int, trailer: bytes, code: CpuKernel, blocks: int, shared_bytes: int, args: tuple[object, ...],
    dtypes: Sequence[str], loops: bool, plan: object,
) -> NativeLaunch | None:  # fmt: skip
    """A native launch for a configuration whose last launch was short; None if it was not, or this Python does not allow it.

    ``dtypes`` are those of the parameters, "array" for arrays. ``loops``: whether the kernel's time depends on more than the number
    of blocks.
    """
    if code.coroutine or code.grid_barrier or not code.pace or code.pace * blocks > SHORT_NANOSECONDS:
        return None
    if any(type(a) is not np.ndarray and (type(a), dtype) not in _KINDS for a, dtype in zip(args, dtypes, strict=True)):
        return None
    call = _native_launch()
    arena = code.shared_bytes + shared_bytes
    return None if call is None else NativeLaunch(call, header, words, trailer, code, blocks, arena, args, dtypes, loops, plan)
