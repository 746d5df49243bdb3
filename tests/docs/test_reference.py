"""Reference pages that repeat what the code says must say the same, and the examples in docstrings must run."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import pkgutil
import re
import struct
import sys
from pathlib import Path
from types import ModuleType

import pytest

import anygpu
from anygpu.config import OPTIONS
from anygpu.runtime.cache import HEADER, MAGIC

DOCS = Path(__file__).resolve().parents[2] / "docs"
REFERENCE = DOCS / "reference"


def script() -> ModuleType:
    """docs/scripts/reference.py, which is not part of a package."""
    spec = importlib.util.spec_from_file_location("reference_script", DOCS / "scripts" / "reference.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


SCRIPT = script()


@pytest.mark.parametrize("name", SCRIPT.PAGES)
def test_generated_pages_are_what_the_code_says(name: str) -> None:
    written = (REFERENCE / name).read_text(encoding="utf-8")
    assert written == SCRIPT.page(name), "run docs/scripts/reference.py"


MODULES = [m.name for m in pkgutil.walk_packages(anygpu.__path__, "anygpu.") if not m.name.endswith("__main__")]
EXAMPLES = [test for name in MODULES for test in doctest.DocTestFinder().find(importlib.import_module(name)) if test.examples]


@pytest.mark.parametrize("test", EXAMPLES, ids=lambda test: test.name)
def test_examples_in_docstrings(test: doctest.DocTest) -> None:
    said: list[str] = []
    results = doctest.DocTestRunner().run(test, out=said.append)
    assert results.failed == 0, "".join(said)


def test_public_names_have_examples() -> None:
    """What a user calls first shows how."""
    names = {test.name for test in EXAMPLES}
    assert {"anygpu.engine.launch.kernel", "anygpu.engine.sanitize.sanitize", "anygpu.runtime.device.devices"} <= names
    assert {"anygpu.runtime.program.Program", "anygpu.runtime.memory.Buffer", "anygpu.runtime.stream.Stream"} <= names


def test_the_table_of_options_is_the_code_s() -> None:
    page = (REFERENCE / "configuration.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in page if line.startswith("| `ANYGPU_")]
    assert rows == [f"| `{o.variable}` | {o.meaning} | {o.accepts} | {o.default} |" for o in OPTIONS]


def test_the_entry_format_is_the_code_s() -> None:
    page = (REFERENCE / "cache.md").read_text(encoding="utf-8")
    magic, version, size, digest, payload = re.findall(r"^\| (?:from )?(\d+)", page, re.MULTILINE)
    fields = struct.Struct("<8s").size, struct.Struct("<8sI").size, struct.Struct("<8sIQ").size
    assert HEADER.format == "<8sIQ32s"
    assert (int(magic), int(version), int(size), int(digest), int(payload)) == (0, *fields, HEADER.size)
    assert f"`{MAGIC.decode().encode('unicode_escape').decode()}`" in page
