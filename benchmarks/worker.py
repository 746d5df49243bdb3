"""One peer in a process of its own: reads requests as JSON lines, prepares kernels, times samples, answers as JSON lines.

A process for each peer keeps their thread pools, LLVM versions and crashes apart, and lets a peer live in another virtual environment. A
peer that waits for its turn is blocked on a read and takes no processor time.
"""

import importlib
import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from types import ModuleType
from typing import Protocol

import numpy as np

from benchmarks.peers import Missing, Options
from benchmarks.suite import Prepared


class Kit(Protocol):
    versions: dict[str, str]
    build_seconds: float


Reply = dict[str, object]


def per_call(run: Callable[[], object], repeats: int) -> float:
    """Seconds for one call, from `repeats` calls in a row after one that is not timed (it warms the caches and wakes the threads)."""
    run()
    started = time.perf_counter()
    for _ in range(repeats):
        run()
    return (time.perf_counter() - started) / repeats


class Worker:
    def __init__(self) -> None:
        self.peer = ""
        self.kit: Kit | None = None
        self.prepared: Prepared | None = None

    def start(self, peer: str, threads: int, device: str) -> Reply:
        module_name = "anygpu" if peer == "anygpu-unchecked" else peer
        try:
            module = importlib.import_module(f"benchmarks.peers.{module_name}")
            self.kit = module.start(Options(threads, peer != "anygpu-unchecked", device))
        except (ImportError, Missing) as reason:
            return {"missing": str(reason)}
        self.peer = module_name
        assert self.kit is not None
        return {"versions": self.kit.versions}

    def prepare(self, kernel: str, quick: bool, outputs: str) -> Reply:
        assert self.kit is not None
        self.prepared = None
        suite = importlib.import_module(f"benchmarks.suite.{kernel}")
        problem = suite.problem(quick)
        if self.peer == "memcpy":
            from benchmarks.peers import memcpy

            self.prepared = memcpy.prepare(suite.traffic(problem), self.kit)  # type: ignore[arg-type]
        else:
            make = getattr(suite, self.peer, None)
            if make is None:
                return {"absent": absent_reason(suite, self.peer)}
            built = self.kit.build_seconds
            self.prepared = make(problem, self.kit)
            built = self.kit.build_seconds - built
        started = time.perf_counter()
        self.prepared.run()
        first = time.perf_counter() - started
        once = min(per_call(self.prepared.run, 1) for _ in range(3))
        if self.peer == "memcpy":
            built = 0.0
        else:
            np.savez(outputs, **self.prepared.fetch())
        return {"compile": built + max(0.0, first - once), "once": once, "library": self.prepared.library}

    def sample(self, repeats: int) -> Reply:
        assert self.prepared is not None
        return {"seconds": per_call(self.prepared.run, repeats)}


def absent_reason(suite: ModuleType, peer: str) -> str:
    return str(suite.ABSENT.get(peer, "no version of this kernel"))


class Answers(Protocol):
    """What a worker answers: `Worker`, and `arrays_worker.ArrayWorker`."""

    def start(self, peer: str, threads: int, device: str) -> Reply: ...

    def prepare(self, kernel: str, quick: bool, outputs: str) -> Reply: ...

    def sample(self, repeats: int) -> Reply: ...


def main(worker: Answers) -> None:
    # Peers print banners: what they write to standard output goes to standard error, and the answers to a private copy of the pipe.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "start":
                reply = worker.start(request["peer"], request["threads"], request["device"])
            elif request["do"] == "prepare":
                reply = worker.prepare(**{name: value for name, value in request.items() if name != "do"})
            elif request["do"] == "sample":
                reply = worker.sample(request["repeats"])
            else:
                raise ValueError(f"no such request: {request['do']}")
        except Exception as error:  # noqa: BLE001 - a peer's failure, whatever it is, goes into its cell of the table; the run goes on
            traceback.print_exc()
            reply = {"failed": f"{type(error).__name__}: {error}".splitlines()[0][:300]}
        answers.write(json.dumps(reply) + "\n")


if __name__ == "__main__":
    main(Worker())
