"""Every ```python block of README.md and docs/ runs: the blocks of one page in order, in one namespace, in an empty folder.

Two comments, alone on the line above a block, change that::

    <!-- raises: IndexError -->     the block must raise this exception (or a subclass of it)
    <!-- notest: why -->            the block is not run; it is listed as a skipped test, and there may be few of them

A third, alone on the line above a block of another language, says what the Python block before it prints or raises::

    <!-- output -->                 this block is that text, exactly
    <!-- output: in part -->        and here "..." stands for anything

`python docs/scripts/outputs.py` writes the exact ones anew.
"""

from __future__ import annotations

import builtins
import contextlib
import inspect
import io
import linecache
import re
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from anygpu.config import config
from anygpu.engine.compile import disk_cache

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
MOST_UNTESTED = 3

OPENING = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,}) *(?P<info>[^`]*)$")
DIRECTIVE = re.compile(r"^ *<!-- *(?P<kind>notest|raises|output)(?P<colon>:?) *(?P<argument>.*?) *-->$")
PYTHON = {"python", "python3", "py"}
EXACT, IN_PART = "exact", "in part"


@dataclass(frozen=True)
class Fence:
    """One block: its language, the 1-based line of its first line of code, and its lines without the fence's indentation."""

    language: str
    line: int
    code: tuple[str, ...]
    notest: str = ""
    raises: str = ""
    output: str = ""


def fences(text: str) -> Iterator[Fence]:
    """Every fenced block of ``text`` as CommonMark defines them, also inside lists.

    A fence that never closes and a directive without an argument are a ``ValueError``.
    """
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        opening = OPENING.match(lines[at])
        at += 1
        if opening is None:
            continue
        start = at
        closing = re.compile(rf"^ *{re.escape(opening['fence'][0])}{{{len(opening['fence'])},}} *$")
        while at < len(lines) and not closing.match(lines[at]):
            at += 1
        if at == len(lines):
            raise ValueError(f"line {start}: a fence that never closes")
        directive = DIRECTIVE.match(lines[start - 2]) if start >= 2 else None
        argument = ""
        if directive:
            argument = directive["argument"]
            if directive["kind"] == "output":
                argument = argument or EXACT
                if argument not in (EXACT, IN_PART):
                    raise ValueError(f"line {start - 1}: an output is exact or 'in part', not {argument!r}")
            if not argument:
                raise ValueError(f"line {start - 1}: say why ('notest') or which exception ('raises')")
        indent = re.compile(f"^ {{0,{len(opening['indent'])}}}")
        language = re.match(r"[{ .]*([\w+-]*)", opening["info"])
        yield Fence(
            language=language[1].lower() if language else "",
            line=start + 1,
            code=tuple(indent.sub("", line) + "\n" for line in lines[start:at]),
            **({directive["kind"]: argument} if directive else {}),
        )
        at += 1


def python_fences(page: Path) -> list[Fence]:
    return [fence for fence in fences(page.read_text(encoding="utf-8")) if fence.language in PYTHON]


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def run(name: str, text: str) -> types.ModuleType:
    """Run the Python blocks of one page's ``text``, hold its outputs to what they say, and return the module that they filled."""
    module, outputs = execute(name, text)
    for fence, printed in outputs:
        shown = "".join(fence.code)
        pattern = ".*".join(map(re.escape, shown.split("..."))) if fence.output == IN_PART else re.escape(shown)
        if not re.fullmatch(pattern, printed, re.DOTALL):
            raise AssertionError(f"{name}:{fence.line}: the page shows\n{shown}\nand it is\n{printed}")
    return module


def execute(name: str, text: str) -> tuple[types.ModuleType, list[tuple[Fence, str]]]:
    """Run the Python blocks of one page's ``text``; the module that they filled, and what each output block should be.

    Kernels are parsed from their source, so what is registered for the page is its Python alone, each line at its own number
    in the page: ``inspect.getsource`` finds every function, and an error points at the page's line.
    """
    every = list(fences(text))
    blocks = [fence for fence in every if fence.language in PYTHON and not fence.notest]
    source = ["\n"] * len(text.splitlines())
    for block in blocks:
        source[block.line - 1 : block.line - 1 + len(block.code)] = block.code
    linecache.cache[name] = (sum(map(len, source)), None, source, name)
    module = types.ModuleType("documentation_" + re.sub(r"\W", "_", name))
    module.__file__ = name
    # dataclasses and inspect look a class's module up by its name
    sys.modules[module.__name__] = module
    outputs: list[tuple[Fence, str]] = []
    printed = io.StringIO()
    try:
        for block in every:
            if block.output:
                outputs.append((block, printed.getvalue()))
            if block.language not in PYTHON or block.notest:
                continue
            code = compile("\n" * (block.line - 1) + "".join(block.code), name, "exec")
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                if block.raises:
                    with pytest.raises(exception_named(block.raises, module)) as caught:
                        exec(code, module.__dict__)
                    printed.write(f"{type(caught.value).__name__}: {caught.value}\n")
                else:
                    exec(code, module.__dict__)
    finally:
        del sys.modules[module.__name__], linecache.cache[name]
    return module, outputs


def exception_named(name: str, module: types.ModuleType) -> type[BaseException]:
    """``IndexError``, or a dotted name such as ``ag.CompileError`` that the page itself could use here."""
    first, *rest = name.split(".")
    found = vars(module).get(first, getattr(builtins, first, None))
    for part in rest:
        found = getattr(found, part)
    assert isinstance(found, type) and issubclass(found, BaseException), f"{name} is no exception"
    return found


@pytest.mark.parametrize("page", [page for page in PAGES if python_fences(page)], ids=name_of)
def test_page(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANYGPU_CACHE_DIR", str(tmp_path / "cache"))  # a page that clears the cache clears nobody else's
    forget_configuration()
    try:
        run(name_of(page), page.read_text(encoding="utf-8"))
    finally:
        forget_configuration()


def forget_configuration() -> None:
    """Read the environment anew, and open the disk cache that it names."""
    config.cache_clear()
    disk_cache.__wrapped__.cache_clear()  # type: ignore[attr-defined]


UNTESTED = [(page, fence) for page in PAGES for fence in python_fences(page) if fence.notest]


@pytest.mark.parametrize(("page", "fence"), UNTESTED, ids=[f"{name_of(page)}:{fence.line}" for page, fence in UNTESTED])
def test_block_that_is_not_run(page: Path, fence: Fence) -> None:
    pytest.skip(f"{name_of(page)}:{fence.line}: {fence.notest}")


def test_few_blocks_are_not_run() -> None:
    assert len(UNTESTED) <= MOST_UNTESTED


LINK = re.compile(r"\]\((?!https?:|mailto:|#)(?P<target>[^)#\s]+)(?:#[^)\s]*)?\)")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_to_files_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^ *(`{3,}).*?^ *\1", "", page.read_text(encoding="utf-8"), flags=re.S | re.M)
    text = re.sub(r"`[^`\n]*`", "", text)  # `kernel[grid, block](...)` is code, not a link
    missing = [link["target"] for link in LINK.finditer(text) if not (page.parent / link["target"]).exists()]
    assert not missing


class TestRunner:
    """The runner itself: what it must find, run, refuse and notice."""

    def test_blocks_share_a_namespace_and_keep_their_lines(self) -> None:
        text = "# Title\n\n```python\ndef f():\n    return 1\n```\n\ntext\n\n1. item\n\n    ```py\n    y = f() + 1\n    ```\n"
        module = run("page.md", text)
        assert module.y == 2
        assert module.f.__code__.co_firstlineno == 4

    def test_source_of_functions_and_methods_is_retrievable(self) -> None:
        text = (
            "```python\nimport inspect\nfrom dataclasses import dataclass\n```\n"
            "```python\n@dataclass\nclass P:\n    x: 'int'\n    def get(self):\n        return self.x\n"
            "def last():\n    return 2\n```\n"
            "~~~python\nassert inspect.getsource(last) == 'def last():\\n    return 2\\n'\n"
            "assert inspect.getsource(P.get).split() == ['def', 'get(self):', 'return', 'self.x']\n"
            "assert inspect.getsourcelines(last)[1] == 11\n~~~\n"
        )
        module = run("source.md", text)
        with pytest.raises(OSError):
            inspect.getsource(module.last)  # the page's source is gone with the page

    def test_other_languages_are_not_run(self) -> None:
        run("other.md", "```text\n1/0\n```\n```console\n$ false\n```\n```\n1/0\n```\n````markdown\n```python\n1/0\n```\n````\n")

    def test_a_failing_block_fails(self) -> None:
        with pytest.raises(ZeroDivisionError) as caught:
            run("fail.md", "a\n\n```python\nx = 1\nx / 0\n```\n")
        assert caught.traceback[-1].lineno + 1 == 5

    def test_expected_errors(self) -> None:
        run("raises.md", "<!-- raises: ArithmeticError -->\n```python\n1 / 0\n```\n")
        run("dotted.md", "```python\nimport json\n```\n<!-- raises: json.JSONDecodeError -->\n```python\njson.loads('{')\n```\n")
        with pytest.raises(pytest.fail.Exception):
            run("quiet.md", "<!-- raises: ZeroDivisionError -->\n```python\n1 / 1\n```\n")
        with pytest.raises(ZeroDivisionError):
            run("wrong.md", "<!-- raises: IndexError -->\n```python\n1 / 0\n```\n")

    def test_notest_needs_a_reason(self) -> None:
        run("notest.md", "<!-- notest: needs two machines -->\n```python\n1 / 0\n```\n")
        with pytest.raises(ValueError, match="say why"):
            run("silent.md", "<!-- notest: -->\n```python\n1 / 0\n```\n")

    def test_outputs_are_what_is_printed(self) -> None:
        page = "```python\nprint('a', 1)\nprint('b')\n```\n\n<!-- {} -->\n```text\n{}```\n"
        for how, right in (("output", "a 1\nb\n"), ("output: in part", "a ...\nb\n"), ("output: in part", "...b\n")):
            run("printed.md", page.format(how, right))
        for how, wrong in (("output", "a 1\n"), ("output", "a ...\nb\n"), ("output: in part", "c...\n"), ("output", "")):
            with pytest.raises(AssertionError, match=r"printed\.md:8"):
                run("printed.md", page.format(how, wrong))
        with pytest.raises(ValueError, match="nearly"):
            run("unknown.md", page.format("output: nearly", ""))

    def test_what_is_raised_is_output_too(self) -> None:
        page = "<!-- raises: ValueError -->\n```python\nraise ValueError('no')\n```\n<!-- output -->\n```text\n{}\n```\n"
        run("raised.md", page.format("ValueError: no"))
        with pytest.raises(AssertionError):
            run("raised.md", page.format("ValueError: yes"))

    def test_an_open_fence_is_an_error(self) -> None:
        with pytest.raises(ValueError, match="never closes"):
            run("open.md", "```python\n1\n")
