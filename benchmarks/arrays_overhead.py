"""What arrays cost besides the work itself: recording, computing what is small, compiling, loading compiled kernels.

    python benchmarks/arrays_overhead.py [--output benchmarks/results/arrays_overhead.json]

Each figure is a median. First calls are taken in fresh processes, with an empty disk cache or a filled one.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

FIRST = """
import time
import anygpu as ag
x = ag.zeros(1000) + 1
x.__array__()
t = time.perf_counter()
y = ag.sqrt(2 * ag.sin(x) + ag.cos(x) ** 2) + ag.tanh(x)
y.__array__()
print((time.perf_counter() - t) * 1e3)
"""
# What is measured: a name, its unit and the aim.
AIMS = {
    "recording one operation": ("us", 5.0),
    "computing a recorded operation with a cached kernel": ("us", 20.0),
    "a + b of 10 elements, and its value read": ("us", 15.0),
    "first call of a fused expression": ("ms", 100.0),
    "first call of a fused expression, from the disk cache": ("ms", 15.0),
    "kernels compiled for eight more sizes and two more ranks": ("", 0.0),
}


def median_of(call: Callable[[], object], repeats: int = 5000) -> float:
    """Microseconds of a call, one by one: a mean would hold what the machine does in the meantime."""
    found = []
    for _ in range(repeats):
        started = time.perf_counter()
        call()
        found.append(time.perf_counter() - started)
    return statistics.median(found) * 1e6


def first_calls(cached: bool, count: int = 7) -> float:
    """Milliseconds of an expression's first call in a fresh process."""
    times = []
    with tempfile.TemporaryDirectory() as folder:
        for n in range(count + cached):
            cache = folder if cached else os.path.join(folder, str(n))
            environment = {**os.environ, "ANYGPU_CACHE_DIR": cache, "PYTHONPATH": str(ROOT)}
            environment.pop("PYTHONDONTWRITEBYTECODE", None)  # what is installed has its bytecode beside it
            done = subprocess.run([sys.executable, "-c", FIRST], env=environment, capture_output=True, text=True, check=True)
            times.append(float(done.stdout))
    return statistics.median(times[cached:])


def recording() -> float:
    """Microseconds to record one operation: a chain of 200, which nobody computes."""
    import anygpu as ag

    x = ag.ones(10)
    x.__array__()
    times = []
    for _ in range(60):
        started = time.perf_counter()
        y = x
        for _ in range(200):
            y = y + x
        times.append((time.perf_counter() - started) / 200 * 1e6)
        del y
        ag.synchronize()  # nothing is left to compute, and the list of what is recorded is empty
    return statistics.median(times)


def computing() -> float:
    """Microseconds of ``synchronize`` with one operation recorded."""
    import anygpu as ag

    x, y = ag.ones(10), ag.ones(10)
    x.__array__(), y.__array__()
    times = []
    for _ in range(3000):
        z = x + y
        started = time.perf_counter()
        ag.synchronize()
        times.append((time.perf_counter() - started) * 1e6)
        del z
    return statistics.median(times)


def reading() -> float:
    import anygpu as ag

    x, y = ag.ones(10), ag.ones(10)
    x.__array__(), y.__array__()
    return median_of(lambda: (x + y).__array__())


def compilations() -> int:
    """How many kernels are compiled when a program that has run before meets other sizes and shapes."""
    import anygpu as ag
    from anygpu.engine import fused

    def program(*shape: int) -> None:
        x = ag.ones(shape)
        y = ag.sqrt(x + 1) * x - x.mean()
        y.__array__()

    program(1000)
    program(100_000)  # large reductions are in parts
    before = len(fused._kernels)
    for n in (1, 7, 64, 999, 1001, 5000, 123_457, 1_000_000):
        program(n)
    program(30, 40)
    program(10, 20, 30)
    return len(fused._kernels) - before


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "arrays_overhead.json")
    options = parser.parse_args()
    figures = dict(zip(AIMS, (recording(), computing(), reading(), first_calls(False), first_calls(True), compilations()), strict=True))
    result = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "figures": figures,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=2) + "\n")
    for name, value in figures.items():
        unit, aim = AIMS[name]
        print(f"{name:60} {value:8.1f} {unit:2}   (aim: {aim:g})")


if __name__ == "__main__":
    main()
