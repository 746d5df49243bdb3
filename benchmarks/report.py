"""What a run of the suite leaves behind: a table on the terminal, a JSON file with every sample, and a bar chart."""

import json
import math
import os
import platform
import subprocess
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from benchmarks.peers import LABELS, PEERS
from benchmarks.suite import KERNELS

Run = dict[str, object]
Cells = dict[str, dict[str, object]]

OURS = "anygpu"
UNCHECKED = "anygpu-unchecked"
COLORS = {
    "anygpu": "#d62728",
    "anygpu-unchecked": "#ff9896",
    "opencl": "#1f77b4",
    "ispc": "#17becf",
    "numba": "#2ca02c",
    "quadrants": "#9467bd",
    "warp": "#8c564b",
    "numpy": "#7f7f7f",
}


def machine() -> dict[str, object]:
    """The processor and system, as far as the operating system tells."""
    facts: dict[str, object] = {"system": platform.platform(), "python": platform.python_version(), "cores": os.cpu_count()}
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        facts["processor"] = platform.processor() or platform.machine()
        return facts
    fields = dict(line.split(":", 1) for line in text.split("\n\n")[0].splitlines() if ":" in line)
    fields = {key.strip(): value.strip() for key, value in fields.items()}
    facts["processor"] = fields.get("model name") or platform.machine()
    facts["family/model"] = f"{fields.get('cpu family', '?')}/{fields.get('model', '?')}"
    facts["cache"] = fields.get("cache size", "?")
    flags = set(fields.get("flags", "").split())
    facts["vectors"] = [flag for flag in ("avx2", "fma", "avx512f", "avx512vl") if flag in flags]
    return facts


def commit(root: Path) -> str:
    """The commit that was measured, with a + when the package or the suite differs from it."""
    try:
        name = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True, check=True).stdout.strip()
        dirty = subprocess.run(
            ["git", "status", "--porcelain", "--", "anygpu", "benchmarks"], cwd=root, capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return name + ("+" if dirty else "")


def median(cells: Cells, peer: str) -> float | None:
    value = cells.get(peer, {}).get("median")
    return value if isinstance(value, float) else None


def best_peer(cells: Cells) -> tuple[str, float] | None:
    """The fastest peer with the same class of algorithm: not ourselves, not memcpy, not a library's routine."""
    times = {
        peer: time
        for peer, cell in cells.items()
        if peer not in (OURS, UNCHECKED, "memcpy") and not cell.get("library") and (time := median(cells, peer)) is not None
    }
    return min(times.items(), key=lambda item: item[1]) if times else None


def geometric_mean(values: Iterable[float]) -> float | None:
    logarithms = [math.log(value) for value in values]
    return math.exp(sum(logarithms) / len(logarithms)) if logarithms else None


def summary(kernels: dict[str, dict[str, object]]) -> dict[str, object]:
    """Geometric means over the kernels: each peer's time over ours, best peer's over ours, ours over ours without checks."""
    tables: list[Cells] = [entry["peers"] for entry in kernels.values()]  # type: ignore[misc]
    timed = {peer: sum(median(cells, peer) is not None for cells in tables) for peer in PEERS}
    base = OURS if timed[OURS] else max(timed, key=lambda peer: timed[peer])
    speedups: dict[str, object] = {}
    for peer in PEERS:
        pairs = [(median(cells, peer), median(cells, base)) for cells in tables if not cells.get(peer, {}).get("library")]
        speedups[peer] = {
            "geometric_mean": geometric_mean(theirs / ours for theirs, ours in pairs if theirs and ours),
            "kernels": sum(1 for theirs, ours in pairs if theirs and ours),
        }
    best = [(best_peer(cells), median(cells, OURS)) for cells in tables]
    checks = [(median(cells, OURS), median(cells, UNCHECKED)) for cells in tables]
    return {
        "base": base,
        "time_over_base": speedups,
        "best_peer_over_ours": geometric_mean(found[1] / ours for found, ours in best if found and ours),
        "checked_over_unchecked": geometric_mean(checked / free for checked, free in checks if checked and free),
    }


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1e3:.3g}" if seconds < 0.1 else f"{seconds * 1e3:.0f}"


def _cell(cells: Cells, peer: str, fastest: float | None) -> str:
    cell = cells.get(peer)
    if cell is None:
        return ""
    time = median(cells, peer)
    if time is None:
        return "[red]failed[/]" if "failed" in cell else "-"
    text = _milliseconds(time) + ("†" if cell.get("library") else "")
    return f"[bold green]{text}[/]" if time == fastest else text


def at_best(kernels: dict[str, dict[str, object]]) -> dict[str, dict[str, object]]:
    """The same results with every median replaced by the smallest sample."""
    out: dict[str, dict[str, object]] = {}
    for name, entry in kernels.items():
        cells: Cells = entry["peers"]  # type: ignore[assignment]
        changed = {peer: {**cell, "median": min(cell["samples"])} if "median" in cell else cell for peer, cell in cells.items()}  # type: ignore[call-overload]
        out[name] = {**entry, "peers": changed}
    return out


def times_table(title: str, kernels: dict[str, dict[str, object]]) -> Table:
    """Milliseconds of every kernel on every peer, the ratio to the best peer, the price of checks, the share of memcpy's bandwidth."""
    present = _present(kernels)
    table = Table(title=title, caption="† a library's routine, another class of algorithm: not counted as the best peer")
    table.add_column("kernel", no_wrap=True)
    for peer in present:
        table.add_column(LABELS[peer], justify="right")
    table.add_column("best peer / ours", justify="right")
    if UNCHECKED in present:
        table.add_column("price of checks", justify="right")
    table.add_column("of memcpy's bandwidth", justify="right")
    for entry in kernels.values():
        cells: Cells = entry["peers"]  # type: ignore[assignment]
        best, ours = best_peer(cells), median(cells, OURS)
        known = [time for peer in present if not cells.get(peer, {}).get("library") and (time := median(cells, peer)) is not None]
        row = [str(entry["title"]), *(_cell(cells, peer, min(known, default=None)) for peer in present)]
        row.append(f"{best[1] / ours:.2f}" if best and ours else "")
        if UNCHECKED in present:
            free = median(cells, UNCHECKED)
            row.append(f"{ours / free - 1:+.1%}" if ours and free else "")
        copy, fastest = median(cells, "memcpy"), ours or (best[1] if best else None)
        row.append(f"{copy / fastest:.0%}" + ("" if ours else f" ({best[0] if best else ''})") if copy and fastest else "")
        table.add_row(*row)
    means = summary(kernels)
    over: dict[str, dict[str, float | None]] = means["time_over_base"]  # type: ignore[assignment]
    row = [f"geometric mean over {LABELS[str(means['base'])]}"]
    row += [f"{value:.2f}x" if (value := over[peer]["geometric_mean"]) else "" for peer in present]
    row.append(f"{means['best_peer_over_ours']:.2f}" if means["best_peer_over_ours"] else "")
    if UNCHECKED in present:
        price = means["checked_over_unchecked"]
        row.append(f"{price - 1:+.1%}" if isinstance(price, float) else "")
    table.add_section()
    table.add_row(*row, "")
    return table


def _present(kernels: dict[str, dict[str, object]]) -> list[str]:
    return [peer for peer in PEERS if any(peer in entry["peers"] for entry in kernels.values())]  # type: ignore[operator]


def compiles_table(kernels: dict[str, dict[str, object]]) -> Table:
    """Milliseconds of compilation of every kernel on every peer."""
    present = _present(kernels)
    table = Table(title="milliseconds of the first call beyond a later one, with ahead-of-time builds (compilation)")
    table.add_column("kernel", no_wrap=True)
    for peer in present:
        table.add_column(LABELS[peer], justify="right")
    for entry in kernels.values():
        cells: Cells = entry["peers"]  # type: ignore[assignment]
        known = {peer: value for peer in present if isinstance(value := cells.get(peer, {}).get("compile"), float)}
        table.add_row(str(entry["title"]), *(_milliseconds(known[peer]) if peer in known else "" for peer in present))
    return table


def show(run: Run, console: Console) -> None:
    """Print the tables of a run, and why cells are empty."""
    kernels: dict[str, dict[str, object]] = run["kernels"]  # type: ignore[assignment]
    facts: dict[str, object] = run["machine"]  # type: ignore[assignment]
    where = f"{run['rounds']} rounds, anygpu on {run['device']}, {run['threads']} threads, {facts['processor']}, {run['date']}"
    console.print(times_table(f"milliseconds a call, median of {where}", kernels))
    disturbed = sum(int(entry["disturbed_rounds"]) for entry in kernels.values())  # type: ignore[call-overload]
    if disturbed:
        total = int(run["rounds"]) * len(kernels)  # type: ignore[call-overload]
        console.print(f"{disturbed} of {total} rounds began while other processes kept the machine busy: the smallest samples tell more.")
        console.print(times_table(f"milliseconds a call, smallest sample of {where}", at_best(kernels)))
    console.print(compiles_table(kernels))
    for entry in kernels.values():
        copy = median(entry["peers"], "memcpy")  # type: ignore[arg-type]
        if copy:
            bandwidth = float(entry["traffic"]) / copy / 1e9  # type: ignore[arg-type]
            console.print(f"memcpy at the size of {entry['title']}: {bandwidth:.2f} GB/s read and written")
    for entry in kernels.values():
        cells: Cells = entry["peers"]  # type: ignore[assignment]
        for peer, cell in cells.items():
            reason = cell.get("failed") or cell.get("absent") or (cell.get("library") and f"† {cell['library']}")
            if reason:
                console.print(escape(f"{entry['title']}, {LABELS[peer]}: {reason}"), highlight=False)
    for peer, reason in run["missing"].items():  # type: ignore[attr-defined]
        console.print(escape(f"{LABELS[peer]}: not installed ({reason})"), highlight=False)


def write(run: Run, folder: Path) -> list[Path]:
    """Write the JSON, and the chart as PNG and SVG where matplotlib is installed; a quick or partial run gets names of its own."""
    kernels: dict[str, dict[str, object]] = run["kernels"]  # type: ignore[assignment]
    name = "quick" if run["quick"] else "kernels" if set(kernels) == set(KERNELS) else "partial"
    stem = folder / (name if run["device"] == "cpu" else f"{name}-{str(run['device']).partition(':')[0]}")
    data = stem.with_suffix(".json")
    data.write_text(json.dumps({**run, "summary": summary(kernels), "summary_of_smallest": summary(at_best(kernels))}, indent=1) + "\n")
    try:
        import matplotlib
    except ImportError:
        return [data]
    matplotlib.use("agg")
    return [data, *chart(run, stem)]


def chart(run: Run, stem: Path) -> list[Path]:
    """Horizontal bars: each peer's time over ours (where ours is not there, over a peer's), logarithmic; longer is slower."""
    from matplotlib import pyplot

    kernels: dict[str, dict[str, object]] = run["kernels"]  # type: ignore[assignment]
    base = str(summary(kernels)["base"])
    rows = [(str(entry["title"]), entry["peers"]) for entry in kernels.values() if median(entry["peers"], base)]  # type: ignore[arg-type]
    peers = [peer for peer in PEERS if peer != base and any(median(cells, peer) for _, cells in rows)]  # type: ignore[arg-type]
    if not rows or not peers:
        return []
    height = 0.8 / len(peers)
    figure, axes = pyplot.subplots(figsize=(10, 1.2 + len(rows) * (0.12 * len(peers) + 0.15)))
    for place, peer in enumerate(peers):
        known = [(index, value / reference) for index, (_, cells) in enumerate(rows)
                 if (value := median(cells, peer)) and (reference := median(cells, base))]  # type: ignore[arg-type]  # fmt: skip
        positions = [index + (place - (len(peers) - 1) / 2) * height for index, _ in known]
        axes.barh(positions, [ratio - 1 for _, ratio in known], height, left=1, label=LABELS[peer], color=COLORS[peer])
    axes.axvline(1, color="black", linewidth=1)
    axes.set_xscale("log")
    axes.set_xticks([0.2, 0.5, 1, 2, 5, 10, 20, 50, 100], labels=["0.2x", "0.5x", "1x", "2x", "5x", "10x", "20x", "50x", "100x"])
    axes.set_yticks(range(len(rows)), labels=[title for title, _ in rows])
    axes.invert_yaxis()
    facts: dict[str, object] = run["machine"]  # type: ignore[assignment]
    axes.set_xlabel(f"time over {LABELS[base]}'s (logarithmic; right of 1x is slower than {LABELS[base]})")
    axes.set_title(f"{facts['processor']}, {run['threads']} threads, {str(run['date'])[:10]}")
    axes.legend(loc="lower right", fontsize="small")
    axes.grid(axis="x", alpha=0.3)
    figure.tight_layout()
    paths = [stem.with_suffix(suffix) for suffix in (".png", ".svg")]
    for path in paths:
        figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return paths
