"""How to start each peer, hold its arrays and build its kernels. A module here is imported only in that peer's own process.

Every module offers `start(options)` -> a kit with `versions` (name -> version) and `build_seconds` (time spent in ahead-of-time builds so
far; just-in-time compilers are timed by their first call). `start` raises `ImportError` or `Missing` where the peer is not installed.
"""

from dataclasses import dataclass

PEERS = ("anygpu", "anygpu-unchecked", "opencl", "ispc", "numba", "quadrants", "warp", "numpy")

LABELS = {
    "anygpu": "anygpu",
    "anygpu-unchecked": "no checks",
    "opencl": "OpenCL (Intel)",
    "ispc": "ISPC",
    "numba": "Numba",
    "quadrants": "Quadrants",
    "warp": "Warp",
    "numpy": "NumPy",
    "memcpy": "memcpy",
}


class Missing(Exception):
    """The peer is not installed on this machine."""


@dataclass(frozen=True)
class Options:
    """What the driver asks of a peer."""

    threads: int
    bounds_check: bool = True
    device: str = "cpu"  # of anygpu's own kernels
