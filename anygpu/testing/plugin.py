"""The pytest plugin of the conformance suite: which device each case runs on, and the summary.

With ``--conformance-device`` every case runs on that device alone. Without it cases run on the CPU, and a sample of them on what else there
is: SPIR-V executes on the OpenCL device, PTX goes through ``ptxas``, AMD's objects through a linker. In CI all of them run on the OpenCL
device, and the samples are larger. ``--slow`` takes all of them, for every architecture.

A sample is drawn by the names of cases and by the package's sources: the same for everybody who tests a change, and another for the next.
"""

from __future__ import annotations

import functools
import hashlib
import os
import shutil
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

pytest.register_assert_rewrite("anygpu.testing.harness")

# Options of a user's shell that would change what tests see. ANYGPU_CACHE_DIR is set below instead.
ENVIRONMENT = ("ANYGPU_CACHE", "ANYGPU_CACHE_SIZE", "ANYGPU_DEBUG", "ANYGPU_BOUNDS_CHECK", "ANYGPU_NUM_THREADS", "ANYGPU_DEVICE", "DEBUG")

# One case in so many runs on these by default, and in CI, where all of it has to take less than ten minutes on two cores.
SAMPLES = {"spirv": 25, "spirv-as-gpu": 25, "ptx": 80, "gcn": 160}
CI_SAMPLES = {"spirv": 1, "spirv-as-gpu": 12, "ptx": 12, "gcn": 24}

# Compiling a kernel takes tens of milliseconds on a busy machine: a deadline on one example would only measure that. In CI the
# examples are derived from the test, so that a failure there is a failure of the change and can be run again.
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("anygpu")
    group.addoption("--slow", action="store_true", help="also run tests marked slow, and all cases on all executors")
    group.addoption("--conformance-device", metavar="DEVICE", help="run the conformance cases on this device alone")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "everywhere: a conformance case that no executor leaves out")
    if not hasattr(config, "workerinput"):  # the workers of xdist inherit what the first process sets
        for name in ENVIRONMENT:
            os.environ.pop(name, None)
        directory = tempfile.mkdtemp(prefix="anygpu-tests-")
        os.environ["ANYGPU_CACHE_DIR"] = directory
        config.add_cleanup(lambda: shutil.rmtree(directory, ignore_errors=True))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if not (hasattr(metafunc.module, "check") and "executor" in metafunc.fixturenames):
        return
    device = metafunc.config.getoption("--conformance-device")
    slow = metafunc.config.getoption("--slow")
    everywhere = [device] if device else ["cpu", "spirv", "spirv-as-gpu", "ptx-all", "gcn-all"] if slow else ["cpu", *SAMPLES]
    metafunc.parametrize("executor", everywhere, indirect=True)


@pytest.fixture(autouse=True)
def executor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What ``harness.check`` runs kernels on."""
    name = getattr(request, "param", "cpu")
    if name != "cpu":
        from anygpu.testing import harness
        from anygpu.testing.executors import require

        monkeypatch.setattr(harness, "EXECUTOR", require(name))
    yield name


def _executor_of(item: pytest.Item) -> str | None:
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("executor") if callspec is not None else None


def _in_sample(item: pytest.Item) -> bool:
    """Whether one test in so many of its executor, chosen by its name, is this one."""
    one_in = (CI_SAMPLES if os.environ.get("CI") else SAMPLES).get(_executor_of(item) or "cpu", 1)
    return item.get_closest_marker("everywhere") is not None or zlib.crc32(f"{item.name} {_draw()}".encode()) % one_in == 0


@functools.cache
def _draw() -> str:
    """A digest of the package's sources."""
    root = Path(__file__).parent.parent
    return hashlib.sha256(b"".join(path.read_bytes() for path in sorted(root.rglob("*.py")))).hexdigest()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    slow = config.getoption("--slow")
    if config.getoption("--conformance-device"):
        kept = [item for item in items if _executor_of(item) is not None]  # the others ask the frontend alone
    else:
        kept = items if slow else [item for item in items if _in_sample(item)]
    left_out = set(items) - set(kept)
    if left_out:
        config.hook.pytest_deselected(items=[item for item in items if item in left_out])
        items[:] = kept
    for item in items:
        if item.get_closest_marker("slow") and not slow:
            item.add_marker(pytest.mark.skip(reason="marked slow: run with --slow"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """With a device of its own, the suite ends with a grid: topics and outcomes."""
    device = config.getoption("--conformance-device")
    if not device:
        return
    counts: dict[str, Counter[str]] = {}
    for outcome in ("passed", "failed", "error", "skipped"):
        for found in terminalreporter.stats.get(outcome, []):
            topic = found.nodeid.partition("::")[0].rpartition("/")[2].removeprefix("test_").removesuffix(".py")
            counts.setdefault(topic, Counter())["failed" if outcome == "error" else outcome] += 1
    if not counts:
        return
    terminalreporter.section(f"conformance of {device}")
    width = max(map(len, counts))
    terminalreporter.write_line(f"{'topic':{width}}  {'passed':>7}  {'failed':>7}  {'skipped':>7}")
    total: Counter[str] = Counter()
    for topic, found in [*sorted(counts.items()), ("all", total)]:
        row = "  ".join(f"{found[outcome]:7}" for outcome in ("passed", "failed", "skipped"))
        terminalreporter.write_line(f"{topic:{width}}  {row}", red=bool(found["failed"]))
        total += found
