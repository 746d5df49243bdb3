"""Options, markers and the isolation that every test shares."""

from __future__ import annotations

import importlib.util
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import hypothesis
import pytest

# Compiling a kernel takes tens of milliseconds on a busy machine: a deadline on one example would only measure that. In CI the
# examples are derived from the test, so that a failure there is a failure of the change and can be run again.
hypothesis.settings.register_profile("default", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "default")

OPTION_OF_MARKER = {"slow": "--slow", "gpu": "--gpu"}

# Options of a user's shell that would change what tests see. ANYGPU_CACHE_DIR is set below instead.
ENVIRONMENT = ("ANYGPU_CACHE", "ANYGPU_CACHE_SIZE", "ANYGPU_DEBUG", "ANYGPU_BOUNDS_CHECK", "ANYGPU_NUM_THREADS", "ANYGPU_DEVICE", "DEBUG")


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("anygpu")
    group.addoption("--slow", action="store_true", help="also run tests marked slow")
    group.addoption("--gpu", action="store_true", help="also run tests marked gpu")
    group.addoption("--anygpu-from", metavar="DIRECTORY", help="fail unless the anygpu under test was imported from here")


def _origin() -> Path:
    """The folder that ``import anygpu`` finds."""
    spec = importlib.util.find_spec("anygpu")
    if spec is None or not spec.submodule_search_locations:
        raise pytest.UsageError("anygpu is not installed here: pip install '.[test]' (or pip install -e '.[test]' to work on it)")
    return Path(next(iter(spec.submodule_search_locations))).resolve()


def pytest_configure(config: pytest.Config) -> None:
    origin = _origin()
    wanted = config.getoption("--anygpu-from")
    if wanted and not origin.is_relative_to(Path(wanted).resolve()):
        raise pytest.UsageError(f"the anygpu under test is {origin}, which is not under {wanted}")
    if not hasattr(config, "workerinput"):  # the workers of xdist inherit what the first process sets
        for name in ENVIRONMENT:
            os.environ.pop(name, None)
        directory = tempfile.mkdtemp(prefix="anygpu-tests-")
        os.environ["ANYGPU_CACHE_DIR"] = directory
        config.add_cleanup(lambda: shutil.rmtree(directory, ignore_errors=True))


def pytest_report_header(config: pytest.Config) -> str:
    try:
        version = metadata.version("anygpu")
    except metadata.PackageNotFoundError:
        version = "(not installed)"
    return f"anygpu {version} from {_origin()}"


# What ``harness.check`` can run a kernel on besides the CPU (see tests/device/executors.py): a sample of the tests by default, all of
# them and every architecture with --slow.
EXECUTORS = {"spirv": 25, "ptx": 80, "gcn": 160}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if hasattr(metafunc.module, "check") and "executor" in metafunc.fixturenames:
        everywhere = ["cpu", "spirv", "ptx-all", "gcn-all"] if metafunc.config.getoption("--slow") else ["cpu", *EXECUTORS]
        metafunc.parametrize("executor", everywhere, indirect=True)


@pytest.fixture(autouse=True)
def executor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The device that ``harness.check`` runs kernels on."""
    name = getattr(request, "param", "cpu")
    if name != "cpu":
        from .conformance import harness
        from .device.executors import require

        chosen = require(name)
        monkeypatch.setattr(harness, "EXECUTOR", chosen)
    yield name


def _in_sample(item: pytest.Item) -> bool:
    """Whether one test in so many of its executor, chosen by its name, is this one."""
    callspec = getattr(item, "callspec", None)
    one_in = EXECUTORS.get(callspec.params.get("executor", "cpu"), 1) if callspec else 1
    return zlib.crc32(item.nodeid.encode()) % one_in == 0


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        left_out = [item for item in items if not _in_sample(item)]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if _in_sample(item)]
    for item in items:
        for marker, option in OPTION_OF_MARKER.items():
            if item.get_closest_marker(marker) and not config.getoption(option):
                item.add_marker(pytest.mark.skip(reason=f"marked {marker}: run with {option}"))
