"""What anygpu costs besides the work itself: import, compilation, loading from the disk cache, launches.

    python benchmarks/overhead.py [--output benchmarks/results]

Each figure is a median; import and cached loads are taken in fresh processes. Compilation is that of the benchmark suite's own
kernels, in a process that has compiled one kernel before (as any but the first kernel of a program is).
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
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

SAXPY = '''
import numpy as np
import anygpu as ag

@ag.kernel
def saxpy(a, x, y, out):
    i = ag.grid(1)
    if i < out.size:
        out[i] = a * x[i] + y[i]

x = y = out = np.zeros(1000, np.float32)
'''
IMPORT = "import time; t = time.perf_counter(); import anygpu; print((time.perf_counter() - t) * 1e3)"


def fresh(code: str, cache: str) -> list[float]:
    """The numbers that a script prints in a process of its own, with this checkout's anygpu."""
    environment = {**os.environ, "ANYGPU_CACHE_DIR": cache, "PYTHONPATH": str(ROOT)}
    with tempfile.NamedTemporaryFile("w", suffix=".py", delete=False) as file:
        file.write(code)
    try:
        result = subprocess.run([sys.executable, file.name], env=environment, capture_output=True, text=True, check=True)
    finally:
        os.unlink(file.name)
    return [float(x) for x in result.stdout.split()]


def cached_loads(cache: str, count: int) -> list[float]:
    """Milliseconds of a kernel's first launch in a fresh process whose disk cache has it; the same file each time, as the key names it."""
    script = SAXPY + "import time; t = time.perf_counter(); saxpy[4, 256](2.0, x, y, out); print((time.perf_counter() - t) * 1e3)\n"
    path = Path(cache) / "saxpy_script.py"
    path.write_text(script)
    environment = {**os.environ, "ANYGPU_CACHE_DIR": str(Path(cache) / "entries"), "PYTHONPATH": str(ROOT)}
    times = []
    for _ in range(count + 1):
        out = subprocess.run([sys.executable, str(path)], env=environment, capture_output=True, text=True, check=True).stdout
        times.append(float(out))
    return times[1:]


def compilations() -> dict[str, float]:
    """Milliseconds from source to loaded code for each kernel of the suite, without the disk cache."""
    import importlib

    from anygpu.engine import compile as engine
    from anygpu.engine import launch
    from benchmarks.peers import Options
    from benchmarks.peers.anygpu import start

    class NoCache:
        def get(self, key: str) -> None:
            return None

        def put(self, key: str, data: bytes) -> None:
            return None

    real, engine.disk_cache = engine.disk_cache, NoCache  # type: ignore[assignment]
    times: dict[str, list[float]] = {}

    kit = start(Options(threads=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1))
    compile_variant = engine.compile_variant
    current = ""

    def timed(*args: object) -> object:
        start = time.perf_counter()
        variant = compile_variant(*args)  # type: ignore[arg-type]
        times.setdefault(current, []).append((time.perf_counter() - start) * 1e3)
        return variant

    launch.compile_variant = timed  # type: ignore[assignment]
    names = sorted(p.stem for p in (ROOT / "benchmarks" / "suite").glob("*.py") if p.stem != "__init__")
    for _ in range(5):
        for current in names:
            module = importlib.import_module(f"benchmarks.suite.{current}")
            module.anygpu(module.problem(True), kit).run()
    launch.compile_variant, engine.disk_cache = compile_variant, real
    return {name: statistics.median(values[1:]) for name, values in times.items()}


def launches() -> dict[str, float]:
    """Microseconds of a launch of an empty kernel with three arrays."""
    import numpy as np

    import anygpu as ag

    @ag.kernel
    def empty(a, b, c):
        pass

    a, b, c = np.zeros((3, 1000), np.float32)
    configured = empty[1, 32]
    for _ in range(10):
        configured(a, b, c)

    def measure(call: object) -> float:
        samples = []
        for _ in range(15):
            start = time.perf_counter()
            for _ in range(2000):
                call()  # type: ignore[operator]
            samples.append((time.perf_counter() - start) / 2000 * 1e6)
        return statistics.median(samples)

    return {
        "kernel[grid, block](a, b, c)": measure(lambda: empty[1, 32](a, b, c)),
        "configured(a, b, c)": measure(lambda: configured(a, b, c)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        os.environ["ANYGPU_CACHE_DIR"] = cache
        imports = [fresh(IMPORT, cache)[0] for _ in range(9)]
        loads = cached_loads(cache, 9)
        compiled = compilations()
        launched = launches()
    result = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "import_ms": statistics.median(imports),
        "cached_first_launch_ms": statistics.median(loads),
        "compile_ms": compiled,
        "compile_median_ms": statistics.median(compiled.values()),
        "launch_us": launched,
    }
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "overhead.json").write_text(json.dumps(result, indent=2) + "\n")
    print(f"import anygpu                         {result['import_ms']:8.1f} ms   (aim: 150)")
    print(f"first launch, from the disk cache     {result['cached_first_launch_ms']:8.1f} ms   (aim: 5)")
    print(f"compile a fresh kernel, median of 16  {result['compile_median_ms']:8.1f} ms   (aim: 60)")
    for name, value in launched.items():
        print(f"launch {name:30} {value:8.2f} us   (aim: 5)")
    for name, value in sorted(compiled.items(), key=lambda item: item[1]):
        print(f"    compile {name:24} {value:8.1f} ms")


if __name__ == "__main__":
    main()
