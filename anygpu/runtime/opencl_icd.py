"""Let the OpenCL loader find Intel's CPU runtime when it was installed from PyPI.

The wheel ``intel-opencl-rt`` brings ``libintelocl.so`` with an ``.icd`` file that names a folder which does not exist, and needs libimf
and libsvml of a second wheel, ``intel-cmplr-lib-rt``, which no loader's path leads to. So the libraries are loaded by hand, and the
loader is shown a private folder with an ``.icd`` file that names the runtime, beside the files of the drivers that the system has.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

_VENDORS = Path("/etc/OpenCL/vendors")
_PRELOAD = ("libintlc.so.5", "libimf.so", "libsvml.so", "libirng.so")
_VARIABLE = "OCL_ICD_VENDORS"


def installed_runtime() -> Path | None:
    """Where the wheel's ``libintelocl.so`` is, or ``None`` if it is not installed."""
    try:
        files = metadata.files("intel-opencl-rt") or []
    except metadata.PackageNotFoundError:
        return None
    found = [Path(str(file.locate())) for file in files if file.name == "libintelocl.so"]
    return next((path.resolve() for path in found if path.exists()), None)


@contextlib.contextmanager
def exposed_runtime() -> Iterator[None]:
    """While the loader looks for drivers for the first time: show it the installed runtime, and all that it would have found anyway."""
    runtime = installed_runtime() if sys.platform.startswith("linux") else None
    given = os.environ.get(_VARIABLE)
    system = _system_files(given)
    if runtime is None or any("libintelocl" in path.read_text(errors="replace") for path in system):
        yield
        return
    for name in _PRELOAD:
        if (runtime.parent / name).exists():
            ctypes.CDLL(str(runtime.parent / name), mode=ctypes.RTLD_GLOBAL)
    with tempfile.TemporaryDirectory(prefix="anygpu-icd-") as folder:
        for path in system:
            shutil.copy(path, folder)
        Path(folder, "anygpu-intel-cpu.icd").write_text(f"{runtime}\n")
        os.environ[_VARIABLE] = folder
        try:
            yield
        finally:
            if given is None:
                del os.environ[_VARIABLE]
            else:
                os.environ[_VARIABLE] = given


def _system_files(given: str | None) -> list[Path]:
    """The ``.icd`` files that the loader finds by itself: the user's ``OCL_ICD_VENDORS``, a folder or a file, else the system's folder."""
    place = _VENDORS if not given else Path(given)
    if place.is_dir():
        return sorted(place.glob("*.icd"))
    return [place] if place.suffix == ".icd" and place.exists() else []
