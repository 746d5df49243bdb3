"""The vendor's libraries of one device: which serve it, and why others do not."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from anygpu.config import config
from anygpu.errors import DriverError
from anygpu.runtime import faults
from anygpu.runtime.base import Unavailable
from anygpu.runtime.device_blas import Blas
from anygpu.runtime.device_fft import Fft
from anygpu.runtime.vendor_libraries import INTERFACES, Kind, Library, load

if TYPE_CHECKING:
    from anygpu.runtime.device import Device

_WORK: dict[Kind, str] = {"blas": "products of matrices", "fft": "Fourier transforms"}


class Libraries:
    """The libraries that a device computes with, started at their first use. Where there is none, anygpu's own kernels compute.

    A library that is here and does not start, say since it is newer than the driver, counts as none: `describe` says why.
    """

    def __init__(self, device: Device):
        self.device = device
        self._lock = threading.Lock()
        self._started: dict[Kind, Blas | Fft | str] = {}  # or why there is none

    @property
    def blas(self) -> Blas | None:
        """For products of matrices, if there is one."""
        found = self._start("blas")
        return found if isinstance(found, Blas) else None

    @property
    def fft(self) -> Fft | None:
        """For Fourier transforms, if there is one."""
        found = self._start("fft")
        return found if isinstance(found, Fft) else None

    def describe(self) -> str:
        """One line for people: which library does what. Starts none."""
        if self.device.driver.api == "cpu":
            return "NumPy's BLAS, LAPACK and FFT"
        if not any((self.device.driver.api, kind) in INTERFACES for kind in _WORK):
            return f"own kernels: {self.device.driver.api} has none"
        if not config().libraries:
            return "own kernels: ANYGPU_LIBRARIES is off"
        return "; ".join(f"{work}: {self._describe(kind)}" for kind, work in _WORK.items())

    def _describe(self, kind: Kind) -> str:
        known = self._started.get(kind)
        if isinstance(known, str):
            return f"own kernels ({known})"
        try:
            return str(self._library(kind))
        except Unavailable as reason:
            return f"own kernels ({reason})"

    def _start(self, kind: Kind) -> Blas | Fft | str:
        known = self._started.get(kind)
        if known is not None:
            return known
        faults.check(self.device.driver)
        with self._lock:
            if kind not in self._started:
                found, lasts = self._make(kind)
                if not lasts:
                    return found
                self._started[kind] = found
            return self._started[kind]

    def _make(self, kind: Kind) -> tuple[Blas | Fft | str, bool]:
        """The library, ready to use, or why it is not; and whether it is of no use to ask again."""
        try:
            library = self._library(kind)
        except Unavailable as unavailable:
            return str(unavailable), True
        try:
            return Blas(self.device, library) if kind == "blas" else Fft(self.device, library), True
        except DriverError as error:
            if error.api != library.interface.api:  # the device itself is out of order
                raise
            return f"{error.call} failed with {error.name}", not library.lacks_memory(error)

    def _library(self, kind: Kind) -> Library:
        """Raises `Unavailable` if there is none, or none is wanted."""
        interface = INTERFACES.get((self.device.driver.api, kind))
        if interface is None:
            raise Unavailable(f"{self.device.driver.api} has none")
        if not config().libraries:
            raise Unavailable("ANYGPU_LIBRARIES is off")
        return load(interface)
