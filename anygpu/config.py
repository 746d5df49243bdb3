"""Every option, read once from the environment. `OPTIONS` is the table of them; docs/reference/configuration.md repeats it."""

from __future__ import annotations

import functools
import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from anygpu.errors import AnyGPUError

STAGES = ("graph", "ir", "llvm", "asm")
MOST_THREADS = 1024
SHARED_LIMIT = 192 * 1024  # bytes of shared memory of a block: the largest device offers 227 KiB, all devices 48
LONGEST_LINE = 4096  # work-items of a range's block on a device that takes them of any length

_T = TypeVar("_T")


class ConfigError(AnyGPUError, ValueError):
    """An environment variable with a value that it cannot have. The text names the variable, the value and what it may be."""


@dataclass(frozen=True)
class Option:
    """One environment variable, the field of `Config` that it sets, and what its documentation and its error say."""

    variable: str
    field: str
    accepts: str
    default: str
    meaning: str


OPTIONS = (
    Option(
        "ANYGPU_CACHE_DIR",
        "cache_dir",
        "an absolute path, or one that begins with ~",
        "`~/.cache/anygpu`; `~/Library/Caches/anygpu` on macOS, `%LOCALAPPDATA%\\anygpu\\Cache` on Windows",
        "Folder of the disk cache.",
    ),
    Option(
        "ANYGPU_CACHE_SIZE",
        "cache_size",
        "a positive number of bytes, with K, M, G or T for powers of 1024 (512M, 2 GiB)",
        "`512M`",
        "Bound of the disk cache; what was used longest ago goes first.",
    ),
    Option("ANYGPU_CACHE", "cache", "0 or 1 (also off/on, no/yes, false/true)", "`1`", "Whether the disk cache is used."),
    Option(
        "ANYGPU_NUM_THREADS",
        "num_threads",
        f"a whole number from 1 to {MOST_THREADS}",
        "the cores that this process may run on",
        "Threads that the CPU device computes with.",
    ),
    Option(
        "ANYGPU_DEBUG",
        "debug",
        f"any of {', '.join(STAGES)}, separated by commas",
        "nothing; or plain `DEBUG`, if it names these stages alone",
        "Stages of every kernel to print while it is compiled.",
    ),
    Option(
        "ANYGPU_BOUNDS_CHECK",
        "bounds_check",
        "0 or 1 (also off/on, no/yes, false/true)",
        "`1`",
        "Whether kernels check their accesses, unless `bounds_check=` of the kernel says otherwise.",
    ),
    Option(
        "ANYGPU_DEVICE",
        "device",
        "cpu, opencl, cuda or hip, perhaps with a number (opencl:0)",
        "`cpu`",
        "Device that kernels are launched on where the program names none.",
    ),
    Option(
        "ANYGPU_LIBRARIES",
        "libraries",
        "0 or 1 (also off/on, no/yes, false/true)",
        "`1`",
        "Whether CUDA and HIP devices use their vendor's libraries for products of matrices and Fourier transforms, where there are any.",
    ),
)


@dataclass(frozen=True)
class Config:
    """The options of one process.

    Attributes:
        cache_dir: Folder of the disk cache, or ``None`` where the machine names no home folder.
        cache_size: Bound of the disk cache in bytes.
        cache: Whether the disk cache is used.
        num_threads: Threads that the CPU device computes with.
        debug: Stages to print while compiling, a subset of `STAGES`.
        bounds_check: Whether kernels check their accesses unless they say otherwise themselves.
        device: Name of the default device.
        libraries: Whether devices use their vendor's libraries.

    Example:
        >>> Config.from_environment({"ANYGPU_CACHE_SIZE": "2G"}).cache_size == 2 * 1024**3
        True
    """

    cache_dir: str | None
    cache_size: int
    cache: bool
    num_threads: int
    debug: frozenset[str]
    bounds_check: bool
    device: str
    libraries: bool

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Config:
        """The options that ``environment`` asks for; an empty variable counts as absent.

        Raises:
            ConfigError: A variable has a value that it cannot have.
        """

        def read(variable: str, parse: Callable[[str], _T], default: Callable[[], _T]) -> _T:
            text = environment.get(variable, "").strip()
            if not text:
                return default()
            try:
                return parse(text)
            except ValueError as reason:
                accepts = next(option.accepts for option in OPTIONS if option.variable == variable)
                raise ConfigError(f"{variable}={text!r}: {reason}; it takes {accepts}") from None

        return cls(
            cache_dir=read("ANYGPU_CACHE_DIR", _folder, lambda: default_cache_dir(environment)),
            cache_size=read("ANYGPU_CACHE_SIZE", _size, lambda: 512 * 1024**2),
            cache=read("ANYGPU_CACHE", _switch, lambda: True),
            num_threads=read("ANYGPU_NUM_THREADS", _threads, usable_cores),
            debug=read("ANYGPU_DEBUG", _stages, lambda: _plain_debug(environment.get("DEBUG", ""))),
            bounds_check=read("ANYGPU_BOUNDS_CHECK", _switch, lambda: True),
            device=read("ANYGPU_DEVICE", _device, lambda: "cpu"),
            libraries=read("ANYGPU_LIBRARIES", _switch, lambda: True),
        )


@functools.cache
def config() -> Config:
    """The options of this process, read from its environment at the first call. Raises `ConfigError` at each call if one is wrong."""
    return Config.from_environment(os.environ)


def default_cache_dir(environment: Mapping[str, str]) -> str | None:
    """The platform's folder for caches, or ``None`` where neither the environment nor the system names a home folder."""
    home = environment.get("HOME") or os.path.expanduser("~")
    if home == "~":  # as expanduser leaves it if it does not know
        return None
    if sys.platform == "win32":
        return os.path.join(environment.get("LOCALAPPDATA") or os.path.join(home, "AppData", "Local"), "anygpu", "Cache")
    if sys.platform == "darwin":
        return os.path.join(home, "Library", "Caches", "anygpu")
    # the XDG base directory specification: a relative path is invalid and to be ignored
    xdg = environment.get("XDG_CACHE_HOME", "")
    return os.path.join(xdg if os.path.isabs(xdg) else os.path.join(home, ".cache"), "anygpu")


def usable_cores() -> int:
    """How many cores this process may run on: its affinity where the system has one, else every core."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, MOST_THREADS))


def _folder(text: str) -> str:
    path = os.path.expanduser(text)
    if path.startswith("~"):
        raise ValueError("no home folder is known for it")
    if not os.path.isabs(path):
        raise ValueError("a relative path would mean another folder after each change of directory")
    return path


def _size(text: str) -> int:
    match = re.fullmatch(r"(\d+) *([KMGT]?)(?:i?B)?", text, re.IGNORECASE | re.ASCII)
    if match is None:
        raise ValueError("not a size")
    size = int(match[1]) * (1 << 10 * " KMGT".index(match[2].upper() or " "))
    if not 0 < size < 2**63:
        raise ValueError("zero or far too large (ANYGPU_CACHE=0 turns the cache off)")
    return size


def _switch(text: str) -> bool:
    words = {"1": True, "on": True, "yes": True, "true": True, "0": False, "off": False, "no": False, "false": False}
    if text.lower() not in words:
        raise ValueError("neither on nor off")
    return words[text.lower()]


def _device(text: str) -> str:
    match = re.fullmatch(r"(cpu|opencl|cuda|hip)(:\d+)?", text, re.ASCII)
    if match is None or (match[1] == "cpu" and match[2]):
        raise ValueError("not the name of a device")
    return text if match[2] or text == "cpu" else f"{text}:0"


def _threads(text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or not 1 <= int(text) <= MOST_THREADS:
        raise ValueError("not a number of threads")
    return int(text)


def _stages(text: str) -> frozenset[str]:
    stages = frozenset(word.strip().lower() for word in text.split(",") if word.strip())
    unknown = sorted(stages.difference(STAGES))
    if unknown:
        raise ValueError(f"no stage is called {', '.join(map(repr, unknown))}")
    return stages


def _plain_debug(text: str) -> frozenset[str]:
    # Half the world's programs read DEBUG: what is not ours there is not a mistake.
    words = frozenset(word.strip().lower() for word in text.split(","))
    return words if words.issubset(STAGES) else frozenset()
