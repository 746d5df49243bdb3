"""Writes ``docs/reference/array-benchmarks.md`` from the last runs' results: machine, date, versions, every program, the losses too.

    python benchmarks/arrays.py && python benchmarks/arrays_overhead.py && python docs/scripts/array_benchmarks.py

``NOTES`` holds the reasons: one for each program that is slower than NumPy at 100,000 elements or more. One without is named as such.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks import report  # noqa: E402
from benchmarks.arrays import median, ratios  # noqa: E402
from benchmarks.arrays_overhead import AIMS  # noqa: E402
from benchmarks.arrays_peers import LABELS, PEERS  # noqa: E402
from benchmarks.arrays_programs import PROGRAMS  # noqa: E402

RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "reference" / "array-benchmarks.md"
LARGE = 10_000_000
PEER_AIMS = {"numpy": 5.0, "jax": 1.2}
MEMCPY_AIM = 0.85
ENOUGH = 100_000  # elements from which nothing is to be slower than NumPy without a reason
Entry = dict[str, object]

NOTES = {
    "axpy": "19 us of Python for each evaluation (two operations recorded, a flush, the value read), beside a kernel of 12; NumPy needs 15 in all. From 300,000 elements on ours is the "
    "faster one. Tried: one thread (the same).",
    "stencil": "55 us of Python: ten views and operations are recorded, beside a kernel of 43.",
    "softmax": "one kernel of 30 us (all three stages of a row), and 50 us of Python.",
    "layer_norm": "one kernel of 15 to 30 us, and 90 us of Python for some twenty operations.",
    "variance_0": "one kernel of 10 to 20 us, and 50 us of Python.",
    "variance_1": "one kernel of 10 to 20 us, and 50 us of Python.",
    "logistic": "20 us of three kernels, and 75 us of Python for twelve operations and a flush. With 20 columns NumPy's own call takes 18 us in all.",
    "dense_gelu": "the noise of this machine: alone it takes 0.4 ms, 0.27 of BLAS and 0.05 of a kernel. BLAS wants both cores, and where one is taken a call waits for a time slice of 8 ms: samples of NumPy and of ours "
    "go from 0.3 to 8 ms, and half of one run's and a fifth of the next's do.",
    "convolution": "NumPy's own transforms on one thread (SciPy's for float32, where it is installed and there are 65536 elements), 92% of the time, and a flush between them.",
    "sort": "NumPy's own sort; the difference is the copy of the elements and the machine's noise.",
    "histogram": "NumPy's own histogram up to 65536 elements, and 1e5 is just above: the start of a kernel in two passes.",
}


# Why a program bound by memory has less of memcpy's bandwidth than the aim.
SHARES = {
    "stencil": "a row's neighbours come out of the cache, which has to be asked for them: `x + 1` takes 1.4 ms, `x[:-2] + x[2:]` 1.65, all five terms 1.9. Tried: other widths of strips (no gain).",
    "softmax": "three stages of a row compute while memory works (`exp`, a maximum, a sum, a division): for float32 1.7 ms on two cores, of which prefetches hide what they can. Tried: a kernel for each stage "
    "(twice the time); the exponentials computed twice in place of held in the result's memory (2.0 in place of 1.9 ms, float64 4.8 in place of 3.8).",
    "layer_norm": "as softmax.",
    "variance_0": "the kernel takes 0.8 ms for float32 (the sum of columns alone takes 0.5: rows lie 16 KB apart, each in a page of its own), and some twenty operations that join the variances of parts take 0.25 ms "
    "of Python, which has been driven out of the cache by 40 MB of data. Tried: the mean of all first, in two passes over memory (1.5 times as long); one pass around the first element (0.7 ms, but 1% off with an "
    "outlier there); shorter parts (no gain); longer ones (1.1 ms).",
    "variance_1": "as softmax, with less to compute; `memcpy` of half of 40 or 80 MB is partly one within the 32 MB of cache, and varies by a factor of two from run to run.",
    "logistic": "the matrix is read once: rows and columns are reduced in slices, which takes 0.65 ms for float32; two small kernels and Python for twelve operations take 0.15. Products of NumPy's BLAS, which read the "
    "matrix twice, took 5 to 9 ms, and two kernels one after the other 1.3. Tried: slices of 32 to 512 KB (0.68 to 0.62 ms).",
    "cumsum": "parts are summed and scanned in slices, so that memory is read and written once; scanning 32 elements takes five exchanges between lanes.",
}


def milliseconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds * 1e3:.3g}"


def share(entry: Entry) -> float | None:
    """The part of memcpy's bandwidth that a program bound by memory has, of the smallest samples: other work takes bandwidth from both."""
    if median(entry, "anygpu") is None or median(entry, "memcpy") is None:
        return None
    cells: dict[str, dict[str, list[float]]] = entry["peers"]  # type: ignore[assignment]
    return min(cells["memcpy"]["samples"]) / min(cells["anygpu"]["samples"])


def times(entries: list[Entry], size: int, present: list[str]) -> list[str]:
    """A table of every program at one size."""
    lines = [
        f"## {size:,} elements",
        "",
        "| program | " + " | ".join(LABELS[peer] for peer in present) + " | NumPy / ours | JAX / ours | of memcpy |",
        "| --- |" + " ---: |" * (len(present) + 3),
    ]
    for e in entries:
        if e["size"] != size:
            continue
        ours = median(e, "anygpu")
        row = [milliseconds(median(e, peer)) for peer in present]
        row += [f"{t / ours:.2f}" if (t := median(e, peer)) and ours else "" for peer in ("numpy", "jax")]
        part = share(e)
        row.append(f"{part:.0%}" if part is not None and size == LARGE else "")
        lines.append(f"| {PROGRAMS[str(e['program'])].title.replace('|', '')}, {e['dtype']} | " + " | ".join(row) + " |")
    means = [report.geometric_mean(ratios(entries, peer, size)) for peer in present]
    lines.append("| geometric mean of theirs / ours | " + " | ".join("" if m is None else f"**{m:.2f}**" for m in means) + " | | | |")
    return [*lines, ""]


def aims(entries: list[Entry]) -> list[str]:
    """The figures beside what they should be."""
    lines = ["## Against the aims", "", "| what | measured | aim |", "| --- | ---: | ---: |"]
    for peer, aim in PEER_AIMS.items():
        found = report.geometric_mean(ratios(entries, peer, LARGE))
        lines.append(f"| {LABELS[peer]}'s time over ours at {LARGE:,}, geometric mean | {'' if found is None else f'{found:.2f}'} | {aim:g} |")
    shares = [s for e in entries if e["size"] == LARGE and (s := share(e)) is not None]
    found = report.geometric_mean(shares)
    lines.append(f"| share of memcpy's bandwidth at {LARGE:,}, geometric mean | {'' if found is None else f'{found:.0%}'} | {MEMCPY_AIM:.0%} |")
    low, high = min(shares, default=0.0), max(shares, default=0.0)
    lines += [
        "",
        f"Single shares go from {low:.0%} to {high:.0%}. `memcpy` reads a byte for each that it writes, and writing costs more (a line is fetched before it is written): a program that reads more than it "
        "writes can have more than 100%. The shares are of the smallest samples of both, with each array counted as read or written once. Those below the aim, and why:",
        "",
    ]
    below: dict[str, list[str]] = {}
    for e in entries:
        part = share(e) if e["size"] == LARGE else None
        if part is not None and part < MEMCPY_AIM:
            below.setdefault(str(e["program"]), []).append(f"{e['dtype']} {part:.0%}")
    lines += [f"- **{PROGRAMS[name].title}** ({', '.join(cases)}): {SHARES.get(name, 'not explained yet.')}" for name, cases in below.items()]
    return [*lines, ""]


def losses(entries: list[Entry]) -> list[str]:
    """What is slower than NumPy, and why."""
    slower: dict[str, list[str]] = {}
    for e in entries:
        ours, theirs = median(e, "anygpu"), median(e, "numpy")
        if int(e["size"]) >= ENOUGH and ours and theirs and theirs / ours < 0.95:  # type: ignore[call-overload]
            slower.setdefault(str(e["program"]), []).append(f"{e['dtype']} at {e['size']:,}: {theirs / ours:.2f}")
    lines = [f"## Slower than NumPy at {ENOUGH:,} elements or more, and why", ""]
    for name, cases in slower.items():
        lines.append(f"- **{PROGRAMS[name].title}** ({'; '.join(cases)}): {NOTES.get(name, 'not explained yet.')}")
    return [*lines, *([] if slower else ["Nothing."]), ""]


def overheads(overhead: dict[str, object]) -> list[str]:
    figures: dict[str, float] = overhead["figures"]  # type: ignore[assignment]
    lines = [
        "## Overheads",
        "",
        f"`python benchmarks/arrays_overhead.py`, {str(overhead['date'])[:10]}:",
        "",
        "| what | median | aim |",
        "| --- | ---: | ---: |",
    ]
    for name, (unit, aim) in AIMS.items():
        lines.append(f"| {name} | {figures[name]:.3g} {unit} | {aim:g} {unit} |")
    return [*lines, ""]


def page(run: dict[str, object], overhead: dict[str, object]) -> str:
    """The page's text."""
    entries: list[Entry] = run["entries"]  # type: ignore[assignment]
    machine: dict[str, object] = run["machine"]  # type: ignore[assignment]
    versions: dict[str, str] = run["versions"]  # type: ignore[assignment]
    missing: dict[str, str] = run["missing"]  # type: ignore[assignment]
    present = [peer for peer in PEERS if peer not in missing and any(median(e, peer) for e in entries)]
    lines = [
        "<!-- Written by docs/scripts/array_benchmarks.py: change what it reads, not this page. -->",
        "",
        "# Array benchmarks",
        "",
        f"`python benchmarks/arrays.py`, {str(run['date'])[:10]}, on {machine.get('processor', 'an unknown processor')} "
        f"({machine.get('cores')} cores, {run['threads']} threads, {machine.get('system')}). Each peer runs the same program in a process of its own, in turns with "
        f"the others; a figure is the median of its samples, in milliseconds, and every result is compared with NumPy's first. The machine "
        "was shared, and may have been busy with other work: single figures may be off by a half, and calls that need all cores at once suffer most. Losses are included, and explained below.",
        "",
        "Peers: " + ", ".join(f"{LABELS.get(name, name)} {version}" for name, version in versions.items() if name not in ("memcpy", "libc")) + "."
        + "".join(f" {LABELS[peer]} is missing: {reason}." for peer, reason in missing.items())
        + " JAX compiles each program with `jit` (but for `x[x > 0.75]`, whose shape depends on values); Numba's programs are loops written for it, `parallel=True`; PyTorch and dpnp are eager.",
        "",
    ]
    parts: dict[tuple[str, int, int], list[str]] = {}
    for e in entries:
        parts.setdefault((str(e["commit"]), int(e["rounds"]), int(e["size"])), []).append(str(e["program"]))  # type: ignore[call-overload]
    lines += ["The figures come from these runs, on one day:", ""]
    for (commit, rounds, size), inside in sorted(parts.items(), key=lambda part: part[0][2]):
        some = ", ".join(f"`{name}`" for name in dict.fromkeys(inside)) if len(set(inside)) < 6 else f"{len(set(inside))} programs"
        lines.append(f"- {size:,} elements, {some}: commit `{commit}`, {rounds} rounds; fewer for long calls.")
    lines += ["", *aims(entries)]
    for size in sorted({int(e["size"]) for e in entries}, reverse=True):  # type: ignore[call-overload]
        lines += times(entries, size, present)
    return "\n".join([*lines, *losses(entries), *overheads(overhead)])


def main() -> None:
    run = json.loads((RESULTS / "arrays.json").read_text())
    overhead = json.loads((RESULTS / "arrays_overhead.json").read_text())
    PAGE.write_text(page(run, overhead))
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
