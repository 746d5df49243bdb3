"""What the width of vectors is worth: the suite compiled for this machine, for AVX2 (x86-64-v3) and for SSE4 (x86-64-v2), on one thread.

    python benchmarks/instruction_sets.py [--rounds 7]

Each set runs in a process of its own; rounds alternate. Results are checked against NumPy, by every set.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SETS = ("native", "x86-64-v3", "x86-64-v2")


def serve(name: str) -> None:
    """Prepare every kernel for a set; then, for each line of input, time the kernel that it names and print the seconds."""
    import importlib
    import time

    sys.path.insert(0, str(ROOT))
    from anygpu.codegen import library, native
    from benchmarks.peers import Options
    from benchmarks.peers.anygpu import start

    if name != "native":
        cpu = library.processor(name)
        native.host_cpu = lambda: cpu  # type: ignore[assignment]
    kit = start(Options(threads=1))
    calls: dict[str, Callable[[], object]] = {}
    for line in sys.stdin:
        kernel = line.strip()
        if kernel not in calls:
            module = importlib.import_module(f"benchmarks.suite.{kernel}")
            problem = module.problem(False)
            prepared = module.anygpu(problem, kit)
            prepared.run()
            module.check(prepared.fetch(), module.reference(problem), problem)
            calls[kernel] = prepared.run
        start = time.perf_counter()
        calls[kernel]()
        print(time.perf_counter() - start, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--serve", choices=SETS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    sys.path.insert(0, str(ROOT))
    from benchmarks.suite import KERNELS

    environment = {**os.environ, "ANYGPU_CACHE": "0", "ANYGPU_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, __file__, "--serve"]
    workers = {
        name: subprocess.Popen([*command, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) for name in SETS
    }

    def once(name: str, kernel: str) -> float:
        worker = workers[name]
        assert worker.stdin is not None and worker.stdout is not None
        worker.stdin.write(f"{kernel}\n")
        worker.stdin.flush()
        return float(worker.stdout.readline())

    table: dict[str, dict[str, float]] = {}
    for kernel in KERNELS:
        for name in SETS:
            once(name, kernel)
        samples = [{name: once(name, kernel) for name in SETS} for _ in range(options.rounds)]
        table[kernel] = {name: statistics.median(s[name] for s in samples) * 1e3 for name in SETS}
        print(f"{kernel:15s}" + "".join(f"{table[kernel][name]:12.3f} ms" for name in SETS), flush=True)
    for worker in workers.values():
        assert worker.stdin is not None
        worker.stdin.close()
        worker.wait()
    means = {name: math.exp(statistics.mean(math.log(row[name] / row["native"]) for row in table.values())) for name in SETS}
    print("time over native's, geometric mean: " + ", ".join(f"{name} {value:.2f}" for name, value in means.items()))
    date = datetime.now(UTC).isoformat(timespec="seconds")
    result = {"date": date, "rounds": options.rounds, "milliseconds": table, "over_native": means}
    (ROOT / "benchmarks" / "results" / "instruction_sets.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
