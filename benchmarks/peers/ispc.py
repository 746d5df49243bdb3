"""ISPC (`ispc --target=host -O2`; 16 lanes on AVX2 for the kernels that gain by it), called through ctypes.

The objects are linked by gcc with the small task system beside this file.

The program is looked for in $ISPC, then on PATH.
"""

import ctypes
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.peers import Missing, Options

FLAGS = ("--target=host", "-O2", "--pic", "--woff", "--math-lib=default", "--addressing=32")


class Kit:
    def __init__(self, options: Options) -> None:
        self._ispc = os.environ.get("ISPC") or shutil.which("ispc") or ""
        self._cc = shutil.which("gcc") or shutil.which("cc") or ""
        if not self._ispc:
            raise Missing("no `ispc` program (Debian's package `ispc`, or set ISPC to its path)")
        if not self._cc:
            raise Missing("no C compiler to link ISPC's objects with")
        self._folder = tempfile.TemporaryDirectory(prefix="ispc-")
        self._threads = options.threads
        self.build_seconds = 0.0
        self._built = 0
        self._narrow_host = _has_avx2_without_avx512()
        text = subprocess.run([self._ispc, "--version"], capture_output=True, text=True, check=True).stdout
        found = re.search(r"\d+\.\d+\.\d+", text)
        self.versions = {"ispc": found[0] if found else text.strip()}
        self._tasksys = Path(self._folder.name) / "tasksys.o"
        source = Path(__file__).with_name("tasksys.c")
        subprocess.run([self._cc, "-O2", "-march=native", "-fPIC", "-c", str(source), "-o", str(self._tasksys)], check=True)

    def function(self, source: str, name: str, *arguments: object, wide: bool = False, flags: tuple[str, ...] = ()) -> Callable[[], None]:
        """Compile `source`, and give the call of its exported function `name` with these arguments (arrays become pointers).

        `wide` asks for gangs of two registers on AVX2, where `--target=host` means one: kernels that wait for latency gain by it.
        """
        if wide and self._narrow_host:
            flags = ("--target=avx2-i32x16", *flags)
        folder = Path(self._folder.name)
        started = time.perf_counter()
        self._built += 1  # a name of its own for each library: a loaded file must not be written over
        text, compiled, library = (folder / f"{name}{self._built}.{kind}" for kind in ("ispc", "o", "so"))
        text.write_text(source)
        subprocess.run([self._ispc, *FLAGS, *flags, str(text), "-o", str(compiled)], check=True)
        subprocess.run([self._cc, "-shared", "-o", str(library), str(compiled), str(self._tasksys), "-lpthread", "-lm"], check=True)
        self.build_seconds += time.perf_counter() - started
        loaded = ctypes.CDLL(str(library))
        loaded.tasksys_start(self._threads)
        function = getattr(loaded, name)
        function.restype = None
        converted = [_convert(argument) for argument in arguments]

        def run(keep: object = arguments) -> None:  # a pointer does not keep its array alive
            function(*converted)

        return run


def _has_avx2_without_avx512() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text().split("flags", 1)[-1].split("\n", 1)[0].split()
    except OSError:
        return False
    return "avx2" in flags and "avx512f" not in flags


def _convert(argument: object) -> object:
    if isinstance(argument, np.ndarray):
        return ctypes.c_void_p(argument.ctypes.data)
    if isinstance(argument, float):
        return ctypes.c_float(argument)
    if isinstance(argument, int):
        return ctypes.c_int32(argument)
    raise TypeError(type(argument))


def start(options: Options) -> Kit:
    return Kit(options)
