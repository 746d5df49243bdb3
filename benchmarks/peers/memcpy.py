"""The bandwidth that a streaming kernel can at best have: `memcpy` of half the kernel's traffic, split over every core."""

import ctypes
import itertools
import threading
from collections.abc import Callable

import numpy as np

from benchmarks.peers import Options
from benchmarks.suite import Prepared, empty


class Kit:
    def __init__(self, options: Options) -> None:
        import platform

        self.threads = options.threads
        self.build_seconds = 0.0
        self.versions = {"libc": " ".join(platform.libc_ver())}


def start(options: Options) -> Kit:
    return Kit(options)


def prepare(traffic: int, kit: Kit) -> Prepared:
    """Copy traffic/2 bytes (each is read once and written once); ctypes calls run without the interpreter's lock."""
    size = traffic // 2
    source, target = empty(size, np.uint8), empty(size, np.uint8)
    bounds = [size * part // kit.threads // 64 * 64 for part in range(kit.threads)] + [size]
    parts = [(target.ctypes.data + low, source.ctypes.data + low, high - low) for low, high in itertools.pairwise(bounds)]
    go = [threading.Semaphore(0) for _ in parts[1:]]
    done = threading.Semaphore(0)

    def loop(index: int) -> None:
        while True:
            go[index].acquire()
            ctypes.memmove(*parts[index + 1])
            done.release()

    for index in range(len(go)):
        threading.Thread(target=loop, args=(index,), daemon=True).start()

    def run() -> None:
        for semaphore in go:
            semaphore.release()
        ctypes.memmove(*parts[0])
        for _ in go:
            done.acquire()

    fetch: Callable[[], dict[str, np.ndarray]] = lambda: {"target": target}  # noqa: E731
    return Prepared(run, fetch, keep=(source, target))
