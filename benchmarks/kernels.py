"""Times one suite of kernels against every peer that is installed: `python benchmarks/kernels.py --help`.

Every peer runs in a process of its own. For each kernel each peer first prepares it (its first call is timed apart: compilation) and its
outputs are checked against NumPy. Rounds follow: in each, every peer gives one sample, the mean of enough calls in a row to last
`--sample-ms`. What is reported is the median over the rounds. A peer that is not installed is a line in the report.
"""

import argparse
import datetime
import importlib
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

from benchmarks import report  # noqa: E402
from benchmarks.peers import PEERS  # noqa: E402
from benchmarks.pipes import PeerProcess, Reply  # noqa: E402
from benchmarks.suite import KERNELS  # noqa: E402

SETTLE_SECONDS = 0.003  # between two peers' samples, for the thread pool of the one before to fall asleep


def others_busy() -> float:
    """Cores that other processes keep busy just now, from two readings of /proc/stat (nothing of ours runs meanwhile); 0 where unknown."""

    def busy() -> int:
        fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        return sum(fields) - fields[3] - fields[4]  # all but idle and waiting for a disk

    try:
        before = busy()
        time.sleep(0.05)
        return (busy() - before) / os.sysconf("SC_CLK_TCK") / 0.05
    except (OSError, ValueError):
        return 0.0


def wait_for_quiet(limit: float) -> bool:
    """Wait until the machine is idle, at most `limit` seconds; whether it was."""
    end = time.monotonic() + limit
    while others_busy() > 0.3:
        if time.monotonic() >= end:
            return False
    return True


def names(text: str, known: tuple[str, ...]) -> list[str]:
    chosen = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in chosen if name not in known]
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
    return chosen


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kernels", type=lambda text: names(text, KERNELS), default=list(KERNELS), help="comma-separated; default: all")
    parser.add_argument("--peers", type=lambda text: names(text, PEERS), default=None, help=f"comma-separated, of {', '.join(PEERS)}")
    parser.add_argument("--ours-only", action="store_true", help="only anygpu (and memcpy for the streaming kernels)")
    parser.add_argument(
        "--device", default="cpu", help="where anygpu's kernels run (default cpu); of opencl:0 the peer is OpenCL C on the same device"
    )
    parser.add_argument("--bounds-check", choices=("on", "off"), default="on", help="off: time anygpu with its checks off as well")
    parser.add_argument("--rounds", type=int, default=11, help="samples of each peer (default 11)")
    parser.add_argument("--sample-ms", type=float, default=4.0, help="least duration of one sample (default 4)")
    parser.add_argument(
        "--wait", type=float, default=2.0, help="before a round, wait so many seconds for the machine to be idle (default 2)"
    )
    parser.add_argument("--quick", action="store_true", help="small problems, 3 rounds: does everything run?")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="threads of each peer (default: every core)")
    parser.add_argument(
        "--peer-python", action="append", default=[], metavar="PEER=PYTHON", help="another interpreter for a peer (repeatable)"
    )
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results", help="folder of the JSON and the charts")
    parser.add_argument("--log", type=Path, default=None, help="where the peers' own messages go (default: a file beside the JSON)")
    options = parser.parse_args(argv)
    if options.peers is None:
        everyone = [peer for peer in PEERS if peer != "anygpu-unchecked"]
        beside = everyone if options.device == "cpu" else ["anygpu", "opencl"] if options.device.startswith("opencl") else ["anygpu"]
        options.peers = ["anygpu"] if options.ours_only else beside
    if options.bounds_check == "off" and "anygpu-unchecked" not in options.peers:
        options.peers.insert(1, "anygpu-unchecked")
    if options.quick:
        options.rounds = min(options.rounds, 3)
    return options


def check_outputs(suite: object, problem: object, expected: dict[str, np.ndarray], outputs: Path) -> str:
    """The reason why a peer's outputs are wrong, or nothing."""
    with np.load(outputs) as stored:
        result = dict(stored)
    try:
        suite.check(result, expected, problem)  # type: ignore[attr-defined]
    except AssertionError as error:
        return f"wrong result: {error}"
    return ""


def measure(kernel: str, processes: dict[str, PeerProcess], options: argparse.Namespace, scratch: Path, tick: object) -> Reply:
    """Prepare, check and time one kernel on every peer."""
    suite = importlib.import_module(f"benchmarks.suite.{kernel}")
    problem = suite.problem(options.quick)
    expected = suite.reference(problem)
    cells: dict[str, dict[str, object]] = {}
    for peer, process in processes.items():
        if peer == "memcpy" and not hasattr(suite, "traffic"):
            continue
        outputs = scratch / f"{peer}.npz"
        reply = process.ask(do="prepare", kernel=kernel, quick=options.quick, outputs=str(outputs))
        if "once" in reply and peer != "memcpy":
            wrong = check_outputs(suite, problem, expected, outputs)
            outputs.unlink()
            if wrong:
                reply = {"failed": wrong}
        cells[peer] = {**reply, "samples": []}
        tick()  # type: ignore[operator]
    running = [peer for peer, cell in cells.items() if "once" in cell]
    disturbed = 0
    for _ in range(options.rounds):
        disturbed += not wait_for_quiet(0.0 if options.quick else options.wait)
        for peer in running:
            cell = cells[peer]
            if "failed" in cell:
                continue
            repeats = max(1, math.ceil(options.sample_ms * 1e-3 / float(cell["once"])))  # type: ignore[arg-type]
            time.sleep(SETTLE_SECONDS)
            reply = processes[peer].ask(do="sample", repeats=repeats)
            if "seconds" in reply:
                cell["samples"].append(reply["seconds"])  # type: ignore[attr-defined]
            else:
                cell["failed"] = reply.get("failed", "no answer")
        tick()  # type: ignore[operator]
    for cell in cells.values():
        if cell["samples"] and "failed" not in cell:
            cell["median"] = statistics.median(cell["samples"])  # type: ignore[arg-type]
    entry: Reply = {"title": suite.TITLE, "sizes": dict(problem.sizes), "peers": cells, "disturbed_rounds": disturbed}
    if hasattr(suite, "traffic"):
        entry["traffic"] = suite.traffic(problem)
    return entry


def main(argv: list[str] | None = None) -> int:
    options = arguments(argv)
    console = Console() if sys.stdout.isatty() else Console(width=170)
    pythons = dict(item.split("=", 1) for item in options.peer_python)
    options.output.mkdir(parents=True, exist_ok=True)
    log = open(options.log or options.output / "peers.log", "w")  # noqa: SIM115 - open as long as the peers run
    processes: dict[str, PeerProcess] = {}
    missing: dict[str, str] = {}
    versions: dict[str, str] = {}
    started = datetime.datetime.now(datetime.UTC)
    try:
        for peer in [*options.peers, "memcpy"]:
            process = PeerProcess(peer, pythons.get(peer, sys.executable), options.threads, ROOT, log, options.device)
            reply = process.start()
            if "versions" in reply:
                processes[peer] = process
                versions.update(reply["versions"])  # type: ignore[call-overload]
            else:
                missing[peer] = str(reply.get("missing") or reply.get("failed"))
                process.close()
        results: dict[str, Reply] = {}
        with tempfile.TemporaryDirectory() as scratch, Progress(console=console, transient=True) as progress:
            steps = len(options.kernels) * (len(processes) + options.rounds)
            task = progress.add_task("", total=steps)
            for index, kernel in enumerate(options.kernels):
                progress.update(task, description=kernel)
                results[kernel] = measure(kernel, processes, options, Path(scratch), lambda: progress.advance(task))
                progress.update(task, completed=(index + 1) * (len(processes) + options.rounds))
    finally:
        for process in processes.values():
            process.close()
        log.close()
    run: Reply = {
        "date": started.isoformat(timespec="seconds"),
        "machine": report.machine(),
        "versions": versions,
        "commit": report.commit(ROOT),
        "rounds": options.rounds,
        "threads": options.threads,
        "device": options.device,
        "sample_ms": options.sample_ms,
        "quick": options.quick,
        "missing": missing,
        "kernels": results,
    }
    report.show(run, console)
    for path in report.write(run, options.output):
        console.print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
