"""Which CPU targets this machine can run, without asking a compiler."""

from __future__ import annotations

import functools
import platform
import sys

# What each level of x86-64 adds, as Linux names the flags (x86-64 psABI, "Micro-Architecture Levels").
_LEVELS = (
    ("x86-64", frozenset[str]()),
    ("x86-64-v2", frozenset(("cx16", "lahf_lm", "popcnt", "pni", "ssse3", "sse4_1", "sse4_2"))),
    ("x86-64-v3", frozenset(("avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"))),
    ("x86-64-v4", frozenset(("avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"))),
)


@functools.cache
def usable_targets() -> tuple[str, ...]:
    """The CPU targets whose code this machine runs, the best first; ``native`` is none of them.

    Only Linux tells a processor's features in a file: elsewhere the lowest level is all that is known to be there.
    """
    machine = platform.machine().lower()
    if machine in ("aarch64", "arm64"):
        return ("aarch64",)
    if machine not in ("x86_64", "amd64"):
        return ()
    return levels_of(_flags())


def levels_of(flags: frozenset[str]) -> tuple[str, ...]:
    """The levels of x86-64 that a processor with these flags has, the highest first."""
    found: list[str] = []
    for name, needed in _LEVELS:
        if not needed <= flags:
            break
        found.insert(0, name)
    return tuple(found)


def _flags() -> frozenset[str]:
    if not sys.platform.startswith("linux"):
        return frozenset()
    with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
        for line in file:
            key, _, value = line.partition(":")
            if key.strip() == "flags":
                return frozenset(value.split())
    return frozenset()


__all__ = ["levels_of", "usable_targets"]
