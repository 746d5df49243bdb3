"""Write the output blocks of the documentation's pages anew: what their Python blocks print and raise.

    python docs/scripts/outputs.py [page ...]

Without arguments, every page. Those that show an output in part stay as they are; the tests hold them to their pattern.
"""

from __future__ import annotations

import importlib.util
import os
import re
import sys
import tempfile
from pathlib import Path
from types import ModuleType

from anygpu.config import config
from anygpu.runtime.cache import DiskCache

ROOT = Path(__file__).resolve().parents[2]
MOST_ROUNDS = 4  # an output that grows moves the line numbers in those after it


def runner() -> ModuleType:
    """The tests' own runner, so that there is one meaning of a page."""
    spec = importlib.util.spec_from_file_location("documentation_runner", ROOT / "tests" / "docs" / "test_documentation.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def renewed(name: str, text: str, pages: ModuleType) -> str:
    """``text`` with its output blocks as they should be."""
    lines = text.splitlines(keepends=True)
    for fence, printed in reversed(pages.execute(name, text)[1]):
        if fence.output == pages.EXACT:
            opening = lines[fence.line - 2]
            indent = re.match(" *", opening)
            assert indent is not None
            first = fence.line - 1
            lines[first : first + len(fence.code)] = [(indent[0] + line).rstrip(" ") for line in printed.splitlines(keepends=True)]
    return "".join(lines)


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="anygpu-outputs-") as cache:
        os.environ["ANYGPU_CACHE_DIR"] = cache  # an empty one, as the tests have: pages show what was compiled and what was found
        write(runner())


def write(pages: ModuleType) -> None:
    """Renew the pages that the command line names, or all."""
    wanted = [Path(p).resolve() for p in sys.argv[1:]] or pages.PAGES
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for page in wanted:
            text = page.read_text(encoding="utf-8")
            for _ in range(MOST_ROUNDS):
                DiskCache.from_config(config()).clear()
                new = renewed(pages.name_of(page), text, pages)
                if new == text:
                    break
                text = new
            if text != page.read_text(encoding="utf-8"):
                page.write_text(text, encoding="utf-8")
                print("wrote", pages.name_of(page))


if __name__ == "__main__":
    main()
