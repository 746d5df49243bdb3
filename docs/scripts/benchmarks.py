"""Write docs/reference/benchmarks.md from the last results in benchmarks/results.

    python benchmarks/kernels.py --bounds-check off && python benchmarks/overhead.py
    python benchmarks/kernels.py --bounds-check off --device opencl:0 && python docs/scripts/benchmarks.py

``NOTES`` holds the reasons: one for each kernel that is slower than 0.8 of the best peer. A kernel without one is named as such.
"""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "reference" / "benchmarks.md"
PEERS = {
    "anygpu": "anygpu", "anygpu-unchecked": "no checks", "opencl": "OpenCL (Intel)", "ispc": "ISPC", "numba": "Numba", "quadrants": "Quadrants",
    "warp": "Warp", "numpy": "NumPy",
}  # fmt: skip
BEST = ("opencl", "ispc", "numba", "quadrants", "warp")
AIMS = {"opencl": 1.0, "ispc": 1.0, "numba": 4.0, "quadrants": 4.0, "warp": 10.0}

NOTES = {
    "bitonic_sort": "a gather and a scatter for each exchange, between barriers; ISPC's version keeps its parts in one task. Tried: 8, 16 and 32 lanes "
    "(within a fifth of each other); knowing the block's size at compile time (kept); rows in place of gathers where the lanes turn out to be one (kept: "
    "12.3 to 4.6 ms on one thread).",
    "convolution": "ISPC convolves straight from memory, without the copy into shared memory that the kernel asks for. Tried: 8, 16 and 32 lanes (32 is "
    "fastest, and kept); loops over strips between barriers in place of coroutines (kept); blocks of 64 x 8, 64 x 16, 128 x 8, 32 x 32 and 256 x 4 (none faster).",
    "stencil": "bound by memory; the branch at the border is tested for each strip. Tried: 8 lanes (twice as slow), 16 and 32 (the same); checks hoisted out of "
    "the interior (kept: 11.2 to 9.1 ms on one thread).",
    "reduction": "the tree goes through shared memory, a store and a load at each of its eight steps. Tried: whole strips "
    "without masks in the stepping loop, and the check moved out of it (both kept: 1.5 to 0.4 ms on one thread).",
    "scan": "two barriers for each of eight steps: a value is stored and loaded between them. Tried: 8, 16 and 32 lanes (32 is fastest); recomputing "
    "positions instead of carrying them (kept). Numba's is a serial scan of each row.",
    "transpose": "bound by memory, and sensitive to the order of the blocks, which is row by row here: a kernel that walks the grid in bands of eight rows takes a "
    "quarter less, one with tiles of 64 x 64 a fifth. Tried: 8, 16 and 32 lanes (32 is fastest); loads one by one in place of a gather (kept: a twelfth less).",
    "spmv": "gathers over rows of different lengths. Scalar code is chosen: vectors of 8, 16 and 32 lanes took 1.7 to 1.9 times as long.",
    "montecarlo_pi": "both halves of 32-bit products. Tried: splitting the 64-bit product in two (kept); 8 lanes in place of 16 (the same).",
    "mandelbrot": "lanes that have escaped wait for the slowest of 16. Tried: masks as LLVM stores them, in bytes (three times slower); 8 and 32 lanes.",
    "matmul": "each product reads one operand from shared memory by a broadcast. Tried: 8, 16 and 32 lanes; regions in place of coroutines (kept).",
    "histogram": "atomics on shared memory, a lane at a time; ISPC's version counts with plain additions in a table of each task's own. Tried: a loop over lanes in place "
    "of straight code (slower); plain additions where one thread has the shared memory to itself (kept: 14.6 to 2.3 ms on one thread).",
    "saxpy": "bound by memory. Tried: 8, 16 and 32 lanes (32 is fastest, and kept).",
}  # fmt: skip

# Reasons on OpenCL: what the hand-written kernel does better, and what was tried.
OPENCL_NOTES = {
    "scan": "the peer calls `work_group_scan_inclusive_add`, which the runtime has a special form for; the kernel here does five shuffles, two accesses of shared memory and a "
    "barrier. Tried: the runtime's own shuffles, `shuffle_up` and scans of sub-groups (6 to 20 times slower); exchanges through shared memory (kept), side by side for shifts by a constant "
    "(kept); uniform work-groups (no difference); shifts and 32-bit lanes in place of divisions and 64-bit ones (kept: a tenth).",
    "mandelbrot": "`fma` in a loop that lanes leave one by one. Tried: OpenCL's `fma` and `mad`, whose arguments are masked (half of the speed); a vote in place of the divergent loop; "
    "LLVM's own `fma`, 32 lanes, a select for the condition (kept).",
    "reduction": "the peer's work-items add `float16` vectors one by one, which the kernel language does not have. Tried: blocks of 32, 64 and 256 work-items, 32 to 256 blocks "
    "(64 of 32 is fastest, and used); a loop counter that all work-items share (kept).",
    "stencil": "bound by memory: positions are compared in 64 bits here, in 32 there. Tried: a copy of the branch without masks (kept: 6.7 to 3.9 ms on Zen 5); sub-groups of 16 and 32; pointers that do not alias (no difference); blocks of 256, 1024 and "
    "4096 (the last is fastest, and used).",
    "black_scholes": "the runtime's own `exp` and `log` may be off by 3 ULP, the ones here by 1, with the same bits on all devices. Tried: sub-groups of 16 and 32 (the latter kept: a "
    "fifth less); no guard (kept: a third less).",
    "exp_map": "the runtime's own `exp` may be off by 3 ULP, the one here by 1. Tried: sub-groups of 16; no guard (kept).",
    "nbody": "the peer's `rsqrt` may be off by 2 ULP; here it is a correctly rounded square root and a division. Tried: no guard (kept); sub-groups of 16.",
    "spmv": "the check of the gathered index remains. Tried: vectors with votes (a quarter of the speed); scalar code (kept).",
    "histogram": "atomics on shared memory. Tried: vectors (a fifth of the speed); scalar code (kept).",
    "transpose": "bound by memory. Tried: blocks of 32 x 8, 32 x 4, 32 x 2 and 32 x 1 (the last is fastest, and used).",
    "convolution": "bound by the copy into shared memory. Tried: blocks of 32, 64, 128 and 256 columns (128 is fastest, and used).",
}  # fmt: skip

def instruction_sets() -> list[str]:
    """The section on the width of vectors, from the last results of ``benchmarks/instruction_sets.py``."""
    found = json.loads((RESULTS / "instruction_sets.json").read_text())
    names = {"native": "this machine's (AVX-512)", "x86-64-v3": "AVX2 (x86-64-v3)", "x86-64-v2": "SSE4 (x86-64-v2)"}
    lines = [
        "## By instruction set",
        "",
        f"`python benchmarks/instruction_sets.py`, {str(found['date'])[:10]}, one thread, on a machine that was busy; every set's results are checked. Processors "
        "without fused multiplication and addition (x86-64-v2) pay for it in software, as the bits are to be the same.",
        "",
        "| set | time over this machine's own, geometric mean |",
        "| --- | ---: |",
    ]
    return [*lines, *[f"| {names[name]} | {value:.2f} |" for name, value in found["over_native"].items()], ""]


COMPILATION = (
    "Compilation is two thirds LLVM: optimising and emitting each take as long as everything before them. Tried: optimisation at level 2 (a third longer, and nothing "
    "gained; level 1 is used); only `simplifycfg`, `sroa` and `instcombine` (a third less time in all, but spmv, scan and Monte-Carlo pi run 1.3 to 1.5 times as long); "
    "those with loop rotation and `newgvn` (bitonic sort takes twice as long); rare paths out of line and compiled once (kept)."
)


def _best(cells: dict[str, dict[str, object]], peer: str) -> float | None:
    """The median of a peer's samples; None if it has none."""
    value = cells.get(peer, {}).get("median")
    return float(value) if isinstance(value, int | float) else None


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1e3:.3g}"


def _mean(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values)) if values else math.nan


def _processor(run: dict[str, object]) -> str:
    machine: dict[str, str] = run["machine"]  # type: ignore[assignment]
    return f"{machine['processor']} (family and model {machine['family/model']})"


def opencl_section(run: dict[str, object]) -> list[str]:
    """The same kernels on OpenCL, beside OpenCL C."""
    kernels: dict[str, dict[str, dict[str, dict[str, object]]]] = run["kernels"]  # type: ignore[assignment]
    disturbed = sum(int(kernel["disturbed_rounds"]) for kernel in kernels.values())  # type: ignore[call-overload]
    lines = [
        "## On OpenCL",
        "",
        f"`python benchmarks/kernels.py --device {run['device']} --bounds-check off`, {str(run['date'])[:10]}, commit `{run['commit']}`, {_processor(run)}: the same Python kernels compiled to SPIR-V, and "
        "the kernels written by hand in OpenCL C, both on Intel's OpenCL runtime for CPUs, with arrays in the device's memory, each launch waited for. Median and smallest of "
        f"{run['rounds']} rounds, in milliseconds. {disturbed} of {int(run['rounds']) * len(kernels)} rounds began while other processes kept the machine busy: "  # type: ignore[call-overload]
        "ratios of single kernels may be off by a third.",
        "",
        "| kernel | anygpu | no checks | OpenCL C | OpenCL C / anygpu | of the smallest |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    medians: list[float] = []
    smallest: list[float] = []
    checks: list[float] = []
    slow: list[str] = []
    for name, kernel in kernels.items():
        cells = kernel["peers"]
        ours, free, theirs = (_best(cells, peer) for peer in ("anygpu", "anygpu-unchecked", "opencl"))
        if ours is None or theirs is None:
            lines.append(f"| {kernel['title']} | {_milliseconds(ours)} | {_milliseconds(free)} | {_milliseconds(theirs)} | | |")
            continue
        least = min(cells["opencl"]["samples"]) / min(cells["anygpu"]["samples"])  # type: ignore[call-overload]
        medians.append(theirs / ours)
        smallest.append(least)
        if free is not None:
            checks.append(ours / free)
        if min(theirs / ours, least) < 0.8:
            slow.append(name)
        lines.append(
            f"| {kernel['title']} | {_milliseconds(ours)} | {_milliseconds(free)} | {_milliseconds(theirs)} | {theirs / ours:.2f} | {least:.2f} |"
        )
    lines += [
        f"| geometric mean | | | | **{_mean(medians):.2f}** | **{_mean(smallest):.2f}** |",
        "",
        f"Aim: 1. With checks over without: {100 * (_mean(checks) - 1):+.1f}%, which is the machine's noise, as the shapes of these launches prove all accesses but those of the sparse product. "
        "Below 0.8 in one of the columns:",
        "",
        *([f"- **{kernels[name]['title']}**: {OPENCL_NOTES.get(name, 'not explained yet.')}" for name in slow] or ["None."]),
        "",
    ]
    return lines


def page(run: dict[str, object], overhead: dict[str, object], opencl: dict[str, object]) -> str:
    """The page's text."""
    kernels: dict[str, dict[str, dict[str, dict[str, object]]]] = run["kernels"]  # type: ignore[assignment]
    machine: dict[str, object] = run["machine"]  # type: ignore[assignment]
    lines = [
        "# Benchmarks",
        "",
        f"Measured on {str(run['date'])[:10]} with `python benchmarks/kernels.py` on {machine.get('processor', 'an unknown processor')} "
        f"({machine.get('cores')} cores, {run['threads']} threads, {machine.get('system')}), commit `{run['commit']}`. Every peer runs the same problem "
        f"in the same run, in turns; the figure is the median of {run['rounds']} rounds, and every result is checked against NumPy first. The machine "
        "is shared: a few per cent are noise. Losses are included, and explained below.",
        "",
        "![times over the best](benchmarks.svg)",
        "",
        "## Milliseconds a call",
        "",
        "| kernel | " + " | ".join(PEERS.values()) + " | best peer / ours |",
        "| --- |" + " ---: |" * (len(PEERS) + 1),
    ]
    ratios: dict[str, list[float]] = {peer: [] for peer in PEERS}
    checks: list[float] = []
    slow: list[str] = []
    for name, kernel in kernels.items():
        cells = kernel["peers"]
        ours = _best(cells, "anygpu")
        row = [_milliseconds(_best(cells, peer)) for peer in PEERS]
        known = [b for peer in BEST if (b := _best(cells, peer)) is not None]
        ratio = min(known) / ours if ours and known else math.nan
        if ratio < 0.8:
            slow.append(name)
        lines.append(f"| {kernel['title']} | " + " | ".join(row) + f" | {ratio:.2f} |")
        for peer in PEERS:
            other = _best(cells, peer)
            if ours and other:
                ratios[peer].append(other / ours)
        unchecked = _best(cells, "anygpu-unchecked")
        if ours and unchecked:
            checks.append(ours / unchecked)
    lines += ["", "## Against the aims", "", "| peer | their time over ours, geometric mean | aim |", "| --- | ---: | ---: |"]
    for peer, aim in AIMS.items():
        if ratios[peer]:
            lines.append(f"| {PEERS[peer]} | {_mean(ratios[peer]):.2f} | {aim:g} |")
    lines += [
        "",
        "Numba's aim is missed because half of the suite is bound by memory, by barriers or by gathers, where LLVM's own loop vectoriser does as well as anyone can; "
        "where control flow diverges or elementary functions are called the distance is five to twenty-four times.",
        "",
        "## The price of bounds checks",
        "",
        f"All accesses are checked unless proven. Geometric mean over the suite: {100 * (_mean(checks) - 1):+.1f}% (aim: 5%). By kernel:",
        "",
        "| kernel | with checks over without |",
        "| --- | ---: |",
    ]
    for kernel in kernels.values():
        ours, unchecked = _best(kernel["peers"], "anygpu"), _best(kernel["peers"], "anygpu-unchecked")
        if ours and unchecked:
            lines.append(f"| {kernel['title']} | {100 * (ours / unchecked - 1):+.0f}% |")
    lines += ["", "## Below 0.8 of the best peer, and why", ""]
    lines += [f"- **{kernels[name]['title']}**: {NOTES.get(name, 'not explained yet.')}" for name in slow] or ["None."]
    lines += ["", *opencl_section(opencl)]
    launches: dict[str, float] = overhead["launch_us"]  # type: ignore[assignment]
    lines += [
        "## Overheads",
        "",
        f"`python benchmarks/overhead.py`, {str(overhead['date'])[:10]}:",
        "",
        "| what | median | aim |",
        "| --- | ---: | ---: |",
        f"| `import anygpu` in a fresh process | {overhead['import_ms']:.0f} ms | 150 ms |",
        f"| first launch from the disk cache in a fresh process | {overhead['cached_first_launch_ms']:.1f} ms | 5 ms |",
        f"| compile a fresh kernel (median of the suite) | {overhead['compile_median_ms']:.0f} ms | 60 ms |",
        *[f"| launch of an empty kernel, `{name}` | {value:.2f} us | 5 us |" for name, value in launches.items()],
        "",
        COMPILATION,
        "",
        *instruction_sets(),
    ]
    return "\n".join(lines)


def main() -> None:
    run = json.loads((RESULTS / "kernels.json").read_text())
    overhead = json.loads((RESULTS / "overhead.json").read_text())
    opencl = json.loads((RESULTS / "kernels-opencl.json").read_text())
    PAGE.write_text(page(run, overhead, opencl))
    shutil.copyfile(RESULTS / "kernels.svg", PAGE.with_name("benchmarks.svg"))
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
