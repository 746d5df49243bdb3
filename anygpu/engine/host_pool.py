"""Memory of the host that is used again: a fresh large block costs a page fault for each of its pages, which takes longer than most
kernels that fill it.

A block comes back when the last NumPy array over it is gone, whoever holds it: views and other libraries' arrays keep it as they keep any
NumPy array. Blocks begin at 64 bytes, so that a vector never crosses a cache line.
"""

from __future__ import annotations

import threading

import numpy as np

SMALLEST = 1 << 16  # bytes; below, the C library is as fast
MOST_KEPT = 1 << 29  # bytes that nobody uses and that are kept
_LINE = 64


class _Block:
    """The owner of some memory, which NumPy's arrays over it keep alive."""

    __slots__ = ("__array_interface__", "raw")

    def __init__(self, raw: np.ndarray, size: int):
        self.raw = raw
        address = raw.__array_interface__["data"][0]
        self.__array_interface__ = {"version": 3, "typestr": "|u1", "shape": (size,), "data": (address + -address % _LINE, False)}

    def __del__(self) -> None:
        _pool.give(self.raw)


class _Pool:
    """Blocks that nobody uses, by capacity."""

    def __init__(self) -> None:
        self.lock = threading.RLock()  # a collection may give a block back while one is taken
        self.free: dict[int, list[np.ndarray]] = {}
        self.kept = 0

    def take(self, size: int) -> np.ndarray:
        capacity = capacity_for(size)
        with self.lock:
            blocks = self.free.get(capacity)
            raw = blocks.pop() if blocks else None
            if raw is not None:
                self.kept -= capacity
        return np.asarray(_Block(np.empty(capacity, np.uint8) if raw is None else raw, size))

    def give(self, raw: np.ndarray) -> None:
        with self.lock:
            if raw.nbytes > MOST_KEPT:
                return
            while self.kept + raw.nbytes > MOST_KEPT:  # the kind of block that has waited longest since it was asked for goes first
                oldest = next(iter(self.free))
                blocks = self.free[oldest]
                if blocks:
                    blocks.pop()
                    self.kept -= oldest
                if not blocks:
                    del self.free[oldest]
            self.kept += raw.nbytes
            blocks = self.free.pop(raw.nbytes, [])
            blocks.append(raw)
            self.free[raw.nbytes] = blocks

    def clear(self) -> None:
        with self.lock:
            self.free.clear()
            self.kept = 0


def capacity_for(size: int) -> int:
    """The capacity of a block for so many bytes: up to an eighth more, so that sizes that differ a little share blocks."""
    step = 1 << max(size.bit_length() - 4, 12)
    return -(-(size + _LINE) // step) * step


_pool = _Pool()


def empty_bytes(size: int) -> np.ndarray:
    """An array of so many bytes, not initialised."""
    return _pool.take(size) if size >= SMALLEST else np.empty(size, np.uint8)


def release() -> None:
    """Give the memory that nobody uses back to the system."""
    _pool.clear()
