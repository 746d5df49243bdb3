"""``anygpu run``: a script with another default device."""

from __future__ import annotations

import runpy
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import anygpu
from anygpu.errors import AnyGPUError


class ScriptNotFound(AnyGPUError, FileNotFoundError):
    """A script that is not there."""


def split(arguments: Sequence[str], device: str | None) -> tuple[list[str], str | None]:
    """The script's own arguments, and the device: ``--device`` is ours wherever it stands before a ``--``, and the script's after it."""
    rest = list(arguments)
    own: list[str] = []
    while rest:
        word = rest.pop(0)
        if word == "--":
            return own + rest, device
        if word == "--device" and rest:
            device = rest.pop(0)
        elif word.startswith("--device="):
            device = word.partition("=")[2]
        else:
            own.append(word)
    return own, device


def run(script: str, arguments: Sequence[str], device: str | None) -> None:
    """Run a script as ``python script.py`` does, with ``device`` as the default, and wait for what it has launched.

    Raises:
        ScriptNotFound: There is no such file.
        NoDeviceError: There is no such device.
    """
    if not Path(script).is_file():
        raise ScriptNotFound(f"there is no file {script}")
    own, chosen = split(arguments, device)
    if chosen is not None:
        anygpu.set_default_device(chosen)
    sys.argv = [script, *own]
    sys.path.insert(0, str(Path(script).resolve().parent))
    try:
        runpy.run_path(script, run_name="__main__")
        anygpu.synchronize()
    except AnyGPUError:  # the script's own: its author wants to see the place
        traceback.print_exc()
        raise SystemExit(1) from None
