"""One peer of `arrays.py` in a process of its own, as `worker.py` is one of `kernels.py`'s."""

from __future__ import annotations

import time

import numpy as np

from benchmarks.arrays_peers import KITS, ArrayKit, Run
from benchmarks.arrays_programs import PROGRAMS
from benchmarks.peers import Missing
from benchmarks.worker import Reply, main

LONG = 0.03  # a call that takes so many seconds needs no other before it to be warm
MOST_COMPARED = 50_000  # elements of a result


class ArrayWorker:
    """Answers the driver's requests."""

    def __init__(self) -> None:
        self.kit: ArrayKit | None = None
        self.run: Run | None = None
        self.once = 0.0

    def start(self, peer: str, threads: int, device: str) -> Reply:
        try:
            self.kit = KITS[peer](threads)
        except (ImportError, Missing) as reason:
            return {"missing": str(reason)}
        return {"versions": self.kit.versions}

    def prepare(self, kernel: str, quick: bool, outputs: str, size: int = 0, dtype: str = "") -> Reply:
        assert self.kit is not None
        program = PROGRAMS[kernel]
        self.run = None  # its arrays go before the next ones come
        found = self.kit.prepare(kernel, program, program.inputs(size, np.dtype(dtype)))
        if isinstance(found, str):
            return {"absent": found}
        started = time.perf_counter()
        result = found()
        first = time.perf_counter() - started
        host = np.asarray(self.kit.fetch(result))
        del result
        compared = np.array([host.mean(dtype=np.float64), host.std(dtype=np.float64)]) if program.moments else sample_of(host)
        np.savez(outputs, shape=np.array(host.shape), values=compared, dtype=np.array(host.dtype.name))
        self.run = found
        self.once = min(self._timed(1) for _ in range(1 if first > 0.5 else 2))
        return {"compile": max(0.0, first - self.once), "once": self.once}

    def sample(self, repeats: int) -> Reply:
        if self.once < LONG:
            assert self.run is not None
            self.run()
        return {"seconds": self._timed(repeats)}

    def _timed(self, repeats: int) -> float:
        run = self.run
        assert run is not None
        started = time.perf_counter()
        for _ in range(repeats):
            run()
        return (time.perf_counter() - started) / repeats


def sample_of(host: np.ndarray) -> np.ndarray:
    """Elements from all over a result."""
    flat = host.reshape(-1)
    step = max(flat.size // MOST_COMPARED, 1)
    return np.ascontiguousarray(flat[:: step + (step > 1 and step % 2 == 0)])


if __name__ == "__main__":
    main(ArrayWorker())
