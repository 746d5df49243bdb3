"""Times NumPy programs on anygpu's arrays and on every peer that is installed: `python benchmarks/arrays.py --help`.

Every peer runs in a process of its own. For each program, size and dtype each peer first prepares it (its first call is timed apart:
compilation), and its results are compared with NumPy's. Rounds follow: in each, every peer gives one sample, the mean of enough calls in
a row to last `--sample-ms`. What is reported is the median over the rounds. A peer that is not installed is a line in the report.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.progress import Progress  # noqa: E402
from rich.table import Table  # noqa: E402

from benchmarks import report  # noqa: E402
from benchmarks.arrays_peers import LABELS, PEERS  # noqa: E402
from benchmarks.arrays_programs import PROGRAMS, Program  # noqa: E402
from benchmarks.kernels import SETTLE_SECONDS, names, wait_for_quiet  # noqa: E402
from benchmarks.pipes import PeerProcess, Reply  # noqa: E402

SIZES = (1_000, 100_000, 10_000_000)
DTYPES = ("float32", "float64")
LONG_SECONDS = 3.0  # peers whose samples would take longer in all give three, or one
VERY_LONG_SECONDS = 0.5  # for calls that take so long
Cell = dict[str, object]


def sizes(text: str) -> list[int]:
    return [int(float(n)) for n in text.split(",")]


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = tuple(PROGRAMS)
    parser.add_argument("--programs", type=lambda text: names(text, known), default=list(known), help="comma-separated; default: all")
    parser.add_argument("--peers", type=lambda text: names(text, PEERS), default=list(PEERS), help=f"of {', '.join(PEERS)}; default: all")
    parser.add_argument("--sizes", type=sizes, default=list(SIZES), help="comma-separated; default 1e3,1e5,1e7")
    parser.add_argument("--dtypes", type=lambda text: names(text, DTYPES), default=list(DTYPES), help="default float32,float64")
    parser.add_argument("--rounds", type=int, default=7, help="samples of each peer (default 7)")
    parser.add_argument("--sample-ms", type=float, default=4.0, help="least duration of one sample (default 4)")
    parser.add_argument("--wait", type=float, default=0.0, help="before a round, wait so many seconds for the machine to be idle")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads of each peer (default: every core)")
    parser.add_argument("--peer-python", action="append", default=[], metavar="PEER=PYTHON", help="a peer's own interpreter (repeatable)")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "arrays.json", help="where the JSON goes")
    parser.add_argument("--add", action="store_true", help="keep what the output has of other programs, sizes and dtypes")
    options = parser.parse_args(argv)
    if "numpy" not in options.peers:
        options.peers.append("numpy")  # with whose results all others are compared
    return options


def difference(found: Path, wanted: Path, program: Program) -> str:
    """Why a peer's results are wrong, or nothing."""
    with np.load(found) as mine, np.load(wanted) as theirs:
        if mine["shape"].tolist() != theirs["shape"].tolist():
            return f"wrong result: shape {mine['shape'].tolist()}, expected {theirs['shape'].tolist()}"
        a, b = mine["values"].astype(np.float64), theirs["values"].astype(np.float64)
        kind = "float32" if "float32" in (mine["dtype"].item(), theirs["dtype"].item()) else "float64"
        size = math.prod(mine["shape"].tolist())
    if program.moments:
        limit = 8 / math.sqrt(size)
    else:
        limit = program.tolerance * float(np.finfo(kind).eps) * max(float(np.max(np.abs(b), initial=0.0)), 1e-30)
    error = float(np.max(np.abs(a - b), initial=0.0))
    return "" if error <= limit else f"wrong result: off by {error:.3g}, allowed {limit:.3g}"


def measure(
    name: str, size: int, dtype: str, processes: dict[str, PeerProcess], options: argparse.Namespace, scratch: Path
) -> dict[str, object]:
    """Prepare, compare and time one program at one size on every peer."""
    program = PROGRAMS[name]
    cells: dict[str, Cell] = {}
    files = {peer: scratch / f"{peer}.npz" for peer in processes}
    for peer in sorted(processes, key=lambda p: p != "numpy"):
        reply = processes[peer].ask(do="prepare", kernel=name, quick=False, outputs=str(files[peer]), size=size, dtype=dtype)
        if "once" in reply and peer not in ("memcpy", "numpy"):
            wrong = difference(files[peer], files["numpy"], program)
            if wrong:
                reply = {"failed": wrong}
        cells[peer] = {**reply, "samples": []}
    running = [peer for peer in processes if "once" in cells[peer] and "failed" not in cells[peer]]
    for n in range(options.rounds):
        if options.wait:
            wait_for_quiet(options.wait)
        for peer in running:
            cell = cells[peer]
            once = float(cell["once"])  # type: ignore[arg-type]
            enough = options.rounds if once * options.rounds < LONG_SECONDS else 1 if once > VERY_LONG_SECONDS else 3
            if "failed" in cell or n >= enough:
                continue
            time.sleep(SETTLE_SECONDS)
            reply = processes[peer].ask(do="sample", repeats=max(1, math.ceil(options.sample_ms * 1e-3 / once)))
            if "seconds" in reply:
                cell["samples"].append(reply["seconds"])  # type: ignore[attr-defined]
            else:
                cell["failed"] = reply.get("failed", "no answer")
    for cell in cells.values():
        if cell["samples"] and "failed" not in cell:
            cell["median"] = statistics.median(cell["samples"])  # type: ignore[arg-type]
    return {
        "program": name, "size": size, "dtype": dtype, "memory_bound": program.traffic > 0, "commit": report.commit(ROOT),
        "rounds": options.rounds, "peers": cells,
    }  # fmt: skip


def median(entry: dict[str, object], peer: str) -> float | None:
    """A peer's time in seconds; None if it has none."""
    cells: dict[str, Cell] = entry["peers"]  # type: ignore[assignment]
    value = cells.get(peer, {}).get("median")
    return value if isinstance(value, float) else None


def ratios(entries: list[dict[str, object]], peer: str, size: int) -> list[float]:
    """A peer's time over ours for each program and dtype of a size."""
    here = [e for e in entries if e["size"] == size]
    return [theirs / ours for e in here if (theirs := median(e, peer)) and (ours := median(e, "anygpu"))]


def tables(entries: list[dict[str, object]], chosen: list[int], present: list[str]) -> list[Table]:
    """Milliseconds of every program on every peer, a table for each size, and the geometric means."""
    made = []
    for size in chosen:
        table = Table(title=f"milliseconds at {size:,} elements")
        table.add_column("program", no_wrap=True)
        for peer in present:
            table.add_column(LABELS[peer], justify="right")
        table.add_column("NumPy / ours", justify="right")
        table.add_column("best peer / ours", justify="right")
        table.add_column("of memcpy", justify="right")
        for e in entries:
            if e["size"] != size:
                continue
            ours, numpy, copy = median(e, "anygpu"), median(e, "numpy"), median(e, "memcpy")
            others = [t for peer in present if peer != "anygpu" and (t := median(e, peer))]
            cells: dict[str, Cell] = e["peers"]  # type: ignore[assignment]
            row = [f"{e['program']} {e['dtype']}"]
            row += [f"{t * 1e3:.3g}" if (t := median(e, p)) else "wrong" if "failed" in cells.get(p, {}) else "" for p in present]
            row += [f"{numpy / ours:.2f}" if numpy and ours else "", f"{min(others) / ours:.2f}" if others and ours else ""]
            table.add_row(*row, f"{copy / ours:.0%}" if copy and ours else "")
        table.add_section()
        means = [f"{m:.2f}x" if peer != "anygpu" and (m := report.geometric_mean(ratios(entries, peer, size))) else "" for peer in present]
        table.add_row("geometric mean of theirs / ours", *means, "", "", "")
        made.append(table)
    return made


def place(entry: dict[str, object]) -> tuple[int, int, str]:
    """Where an entry stands among others."""
    return list(PROGRAMS).index(str(entry["program"])), int(entry["size"]), str(entry["dtype"])  # type: ignore[call-overload]


def results(
    entries: list[dict[str, object]], started: datetime.datetime, options: argparse.Namespace, versions: dict[str, str],
    missing: dict[str, str],
) -> Reply:  # fmt: skip
    """What a run leaves behind."""
    return {
        "date": started.isoformat(timespec="seconds"),
        "minutes": round((datetime.datetime.now(datetime.UTC) - started).total_seconds() / 60, 1),
        "machine": report.machine(),
        "versions": versions,
        "commit": report.commit(ROOT),
        "rounds": options.rounds,
        "threads": options.threads,
        "sample_ms": options.sample_ms,
        "missing": missing,
        "entries": entries,
    }


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    console = Console() if sys.stdout.isatty() else Console(width=170)
    pythons = dict(item.split("=", 1) for item in options.peer_python)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    processes: dict[str, PeerProcess] = {}
    missing: dict[str, str] = {}
    versions: dict[str, str] = {}
    entries: list[dict[str, object]] = []
    started = datetime.datetime.now(datetime.UTC)
    with open(options.output.with_name("peers.log"), "w") as log, tempfile.TemporaryDirectory() as scratch:
        try:
            for peer in [*options.peers, "memcpy"]:
                python = pythons.get(peer, sys.executable)
                process = PeerProcess(peer, python, options.threads, ROOT, log, "cpu", "benchmarks.arrays_worker")
                reply = process.start()
                if "versions" in reply:
                    processes[peer] = process
                    versions.update(reply["versions"])  # type: ignore[call-overload]
                else:
                    missing[peer] = str(reply.get("missing") or reply.get("failed"))
                    process.close()
            cases = [(name, size, dtype) for name in options.programs for size in options.sizes for dtype in options.dtypes]
            kept = json.loads(options.output.read_text())["entries"] if options.add else []
            kept = [e for e in kept if (e["program"], e["size"], e["dtype"]) not in cases]
            with Progress(console=console, transient=True) as progress:
                task = progress.add_task("", total=len(cases))
                for name, size, dtype in cases:
                    progress.update(task, description=f"{name} {size:,} {dtype}")
                    entries.append(measure(name, size, dtype, processes, options, Path(scratch)))
                    everything = sorted([*kept, *entries], key=place)
                    run = results(everything, started, options, versions, missing)
                    options.output.write_text(json.dumps(run, indent=1) + "\n")  # a run that is cut short has what it did
                    progress.advance(task)
        finally:
            for process in processes.values():
                process.close()
    present = [peer for peer in PEERS if peer in processes]
    for table in tables(entries, options.sizes, present):
        console.print(table)
    for entry in entries:
        for peer, cell in entry["peers"].items():  # type: ignore[attr-defined]
            if "failed" in cell:
                console.print(f"{LABELS[peer]}: {entry['program']} {entry['dtype']} at {entry['size']:,}: {cell['failed']}")
    for peer, reason in missing.items():
        console.print(f"{LABELS[peer]} is not there: {reason}")
    console.print(f"{results(entries, started, options, versions, missing)['minutes']} minutes; wrote {options.output}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
