"""Options and markers of the checkout's tests. What they share with the conformance suite is in ``anygpu.testing.plugin``."""

from __future__ import annotations

import importlib.util
import os
from importlib import metadata
from pathlib import Path

import pytest

os.environ["SCIPY_ARRAY_API"] = "1"  # for tests/arrays/test_libraries.py: SciPy reads it when it is imported


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("anygpu")
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


def pytest_report_header(config: pytest.Config) -> str:
    try:
        version = metadata.version("anygpu")
    except metadata.PackageNotFoundError:
        version = "(not installed)"
    return f"anygpu {version} from {_origin()}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("gpu") and not config.getoption("--gpu"):
            item.add_marker(pytest.mark.skip(reason="marked gpu: run with --gpu"))
