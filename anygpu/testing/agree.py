"""Run generated kernels on the CPU device and on the interpreter. As a script: many, from consecutive seeds.

    python -m anygpu.testing.agree --count 5000 --launches 4

prints each case on which they differ, and a summary.
"""

from __future__ import annotations

import argparse
import itertools
import linecache
import random
import sys
import time
import traceback
from collections.abc import Callable

import numpy as np

import anygpu as ag
from anygpu.dtypes import DType, bool_
from anygpu.errors import CompileError
from anygpu.testing.generate import Case, generate
from anygpu.testing.harness import Grid, Range, check, special_values

_files = itertools.count()


def load(text: str) -> Callable[..., object]:
    """The function ``kernel`` of a module of this text, whose source can be read back."""
    name = f"<fuzz-{next(_files)}>.py"
    linecache.cache[name] = (len(text), None, text.splitlines(keepends=True), name)
    space: dict[str, object] = {"__name__": "fuzz"}
    exec(compile(text, name, "exec"), space)
    return space["kernel"]  # type: ignore[return-value]


def values_of(dtype: DType, size: int, source: np.random.Generator) -> np.ndarray:
    """An array of special and of small ordinary values."""
    special = special_values(dtype.numpy)
    made = special[source.integers(0, len(special), size)]
    small = source.integers(0, 9, size)
    if dtype is bool_:
        return made
    with np.errstate(all="ignore"):
        return np.where(source.random(size) < 0.5, made, small.astype(np.float32).astype(dtype.numpy)).astype(dtype.numpy)


def arguments_of(case: Case, number: int) -> list[object]:
    """Arguments for a case; others for each number."""
    source = np.random.default_rng(case.seed + number)
    return [
        *(values_of(a.dtype, a.size, source) for a in case.arguments),
        *(values_of(dtype, 1, source)[0] for _, dtype in case.scalars),
    ]


def run(case: Case, launches: int = 1) -> None:
    """Fails unless both agree on every one of ``launches`` sets of values; each second launch has a grid of its own."""
    kernel = ag.kernel(bounds_check=case.checked)(load(case.text))
    for number in range(launches):
        args = arguments_of(case, number)
        grid = 1 + number % case.grid if number % 2 else case.grid
        check(kernel, Range(case.block) if case.ranged else Grid(grid, case.block), *args)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    parser.add_argument("--launches", type=int, default=4, help="launches of each kernel, with different values")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after this long")
    parser.add_argument("--stop", type=int, default=20, help="stop after this many failures")
    options = parser.parse_args()
    begin = time.monotonic()
    failures, errors, done = [], 0, 0
    for seed in range(options.seed, options.seed + options.count):
        case = generate(random.Random(seed))
        try:
            run(case, options.launches)
        except CompileError as error:
            errors += 1
            failures.append(seed)
            print(f"seed {seed}: refused\n{str(error)[:1500]}", flush=True)
        except Exception as error:  # noqa: BLE001  any exception is a finding
            failures.append(seed)
            brief = "".join(traceback.format_exception_only(error))[:800]
            print(f"seed {seed}: {type(error).__name__}\n{brief}\n{case.text[53:]}", flush=True)
        done += 1
        if done % 500 == 0:
            print(f"... {done} kernels, {len(failures)} failures, {time.monotonic() - begin:.0f} s", flush=True)
        if len(failures) >= options.stop or time.monotonic() - begin > options.seconds:
            break
    took = time.monotonic() - begin
    print(f"{done} kernels, {done * options.launches} launches, {len(failures)} failures {failures}, {errors} refused, {took:.0f} s")
    return bool(failures)


if __name__ == "__main__":
    sys.exit(main())
