"""Everything that anygpu raises or warns of, and how a place in the user's source is shown."""

from __future__ import annotations

import linecache
import os
import sys
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anygpu.drivercodes import DriverCode


@dataclass(frozen=True)
class Location:
    """A span of the user's source: 1-based lines, 0-based columns as in ``ast``."""

    filename: str
    line: int
    column: int
    end_column: int
    function: str

    def render(self) -> str:
        """The file, line, column and function, then the source line with carets under the span."""
        head = f'File "{self.filename}", line {self.line}, column {self.column + 1}, in {self.function}'
        source = linecache.getline(self.filename, self.line).rstrip("\n")
        if not source:
            return head
        stripped = source.lstrip()
        shift = len(source) - len(stripped)
        # ast columns count UTF-8 bytes: carets must stand under characters
        start = len(source.encode()[: self.column].decode(errors="ignore"))
        end = len(source.encode()[: self.end_column].decode(errors="ignore"))
        width = max(1, min(end, len(source)) - start)
        return f"{head}\n    {stripped}\n    {' ' * max(0, start - shift)}{'^' * width}"


UNKNOWN = Location("<unknown>", 0, 0, 0, "<unknown>")


@dataclass(frozen=True)
class Diagnostic:
    """One thing wrong in a kernel: where, what, and what to do about it. ``inlined_from`` is the chain of calls, innermost first."""

    location: Location
    message: str
    hint: str = ""
    inlined_from: tuple[Location, ...] = ()

    def render(self) -> str:
        lines = [self.location.render(), f"  {self.message}"]
        lines += [f"  hint: {line}" if not n else f"        {line}" for n, line in enumerate(self.hint.splitlines())]
        lines += [f'  called from "{at.filename}", line {at.line}, in {at.function}' for at in self.inlined_from]
        return "\n".join(lines)


@dataclass(frozen=True)
class Site:
    """What a runtime report of one place in the kernel needs: kept beside the code, by number. ``unsigned``: the axes whose index is."""

    kind: str
    location: tuple[str, int, int, int, str]
    array: str = ""
    ndim: int = 0
    message: str = ""
    parts: tuple[str, ...] = ()
    unsigned: tuple[int, ...] = ()


class AnyGPUError(Exception):
    """Base of every exception that anygpu defines."""


class CompileError(AnyGPUError, TypeError):
    """A kernel that cannot be compiled. ``diagnostics`` holds all that is wrong with it; the text shows each with its source."""

    def __init__(self, kernel: str, diagnostics: tuple[Diagnostic, ...]):
        self.kernel = kernel
        self.diagnostics = diagnostics
        count = "1 error" if len(diagnostics) == 1 else f"{len(diagnostics)} errors"
        super().__init__(f"{count} in kernel '{kernel}'\n\n" + "\n\n".join(d.render() for d in diagnostics))


class ArgumentError(AnyGPUError, TypeError):
    """An argument that a kernel cannot take: wrong count, type, dtype, byte order or protocol."""


class ReadOnlyError(ArgumentError, ValueError):
    """A read-only array passed to a kernel that writes it."""


class LaunchError(AnyGPUError, ValueError):
    """A grid, block or range that cannot be launched."""


class LoadError(AnyGPUError, ValueError):
    """A folder of compiled kernels that cannot be used: files are missing or changed, or it is for other machines."""


class KernelIndexError(AnyGPUError, IndexError):
    """An access out of bounds inside a kernel. Nothing was written out of bounds; the other work-items ran to their end."""


class KernelAssertionError(AnyGPUError, AssertionError):
    """An ``assert`` that failed inside a kernel."""


class DeviceError(AnyGPUError, RuntimeError):
    """A device, or something that belongs to one, was used in a way that cannot work."""


class NoDeviceError(DeviceError, LookupError):
    """There is no such device on this machine; the text says what is here, and why others are not."""


class WrongDeviceError(DeviceError, ValueError):
    """Objects of different devices met in one call."""


class WrongStreamError(DeviceError, ValueError):
    """A stream that this work cannot go to: of another device, closed, or in a capture that does not allow it."""


class UseAfterFreeError(DeviceError, ValueError):
    """Memory that has been given back was used. Nothing was read or written."""


class ForkError(DeviceError):
    """A GPU was used in a child of ``fork`` whose parent had already opened it, which no driver supports."""


def explain(api: str, code: int) -> DriverCode:
    """What a code of a driver or library means, and what to do about it. ``ValueError`` for another ``api`` than `DriverError`'s.

    Example:
        >>> from anygpu import errors
        >>> row = errors.explain("cuda", 700)
        >>> row.name, row.meaning
        ('CUDA_ERROR_ILLEGAL_ADDRESS', 'a kernel has accessed memory that is not its own')
    """
    from anygpu import drivercodes  # the tables are read when something has failed

    return drivercodes.explain(api, code)


class DriverError(DeviceError):
    """A driver, or a library of its vendor's, refused a call.

    Attributes:
        api: ``"cuda"``, ``"hip"`` or ``"opencl"``; for libraries ``"cublas"``, ``"cufft"``, ``"hipblas"`` or ``"hipfft"``.
        code: The number that it gave.
        name: Its name of that code.
        call: Its function that gave it.
    """

    def __init__(self, code: DriverCode, call: str, detail: str = ""):
        self.api, self.code, self.name, self.call = code.api, code.code, code.name, call
        more = f"\n  {detail}" if detail else ""
        super().__init__(f"{code.long_name}: {call} failed with {code.name}: {code.meaning}{more}\n  hint: {code.remedy}")


class DeviceLostError(DriverError):
    """A failure after which the driver refuses all work on the device. Every later use of the device raises this again."""


class OutOfMemoryError(AnyGPUError, MemoryError):
    """The device has no room for a buffer, even after everything cached was given back. The text names the largest live buffers."""


class SourceError(AnyGPUError, ValueError):
    """Raw source that its compiler refused. ``log`` is all that the compiler wrote; the text shows each error with its source line.

    Attributes:
        log: The compiler's log.
        diagnostics: The errors found in it, in order.
    """

    def __init__(self, message: str, log: str, diagnostics: tuple[Diagnostic, ...] = ()):
        self.log = log
        self.diagnostics = diagnostics
        shown = "\n\n".join(d.render() for d in diagnostics) if diagnostics else log.strip()
        super().__init__(f"{message}\n\n{shown}" if shown else message)


class InternalError(AnyGPUError):
    """A fault of anygpu itself, never of the user's program. Please report it with the kernel's source."""


class AnyGPUWarning(UserWarning):
    """Base of every warning that anygpu gives."""


class CacheWarning(AnyGPUWarning):
    """The disk cache cannot be used; compiled kernels are kept in memory only."""


class CopyWarning(AnyGPUWarning):
    """An argument had to be copied in and out of the device for a launch."""


_HERE = os.path.dirname(os.path.abspath(__file__)) + os.sep


def warn(message: str, category: type[AnyGPUWarning]) -> None:
    """Warn at the line of the user's that led here, through whatever of anygpu lies between."""
    level, frame = 1, sys._getframe()
    while frame is not None and frame.f_code.co_filename.startswith(_HERE):
        level, frame = level + 1, frame.f_back  # type: ignore[assignment]
    warnings.warn(message, category, stacklevel=level)
