"""Each case in this folder's Markdown files is a kernel that cannot be compiled, and exactly what its author reads.

A case is a heading, a Python block and a text block. The code runs with ``ag``, ``np``, ``math``, ``NamedTuple`` and ``dataclass`` at
hand; unless it launches its kernel itself, that is launched over a range of 4 with the arguments below, by parameter name.

``python -m tests.errors.test_messages`` writes the text blocks anew: read what changes before keeping it.
"""

from __future__ import annotations

import ast
import linecache
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import anygpu as ag
import anygpu.frontend

HERE = Path(__file__).parent
CASE = re.compile(r"^## (.+?)\n+```python\n(.*?)```\n+```text\n(.*?)```\n", re.MULTILINE | re.DOTALL)


class Case(NamedTuple):
    title: str
    code: str
    message: str


def arguments() -> dict[str, object]:
    return {
        "x": np.zeros(4, np.float32),
        "n": np.zeros(4, np.int32),
        "b": np.zeros(4, np.uint8),
        "z": np.zeros(4, np.complex64),
        "m": np.zeros((4, 4), np.float32),
        "r": np.zeros(4, [("position", np.float32), ("count", np.int32)]),
    }


def cases() -> list[tuple[Path, Case]]:
    return [(path, Case(*found)) for path in sorted(HERE.glob("*.md")) for found in CASE.findall(path.read_text())]


def message(code: str) -> str:
    """What compiling the case says; empty if it compiles."""
    name = "case.py"
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    given = arguments()
    space: dict[str, object] = {
        "ag": ag,
        "np": np,
        "math": math,
        "NamedTuple": NamedTuple,
        "dataclass": dataclass,
        "__name__": "builtins",
        **given,
    }
    try:
        exec(compile(code, name, "exec"), space)
        kernel = space["kernel"]
        assert isinstance(kernel, ag.Kernel)
        kernel.forall(4)(*(given[p] for p in kernel._names))
    except ag.CompileError as error:
        return str(error)
    finally:
        del linecache.cache[name]
    return ""


@pytest.mark.parametrize(("path", "case"), cases(), ids=lambda v: v.title if isinstance(v, Case) else v.stem)
def test_the_message_is_exactly_this(path: Path, case: Case) -> None:
    assert message(case.code) + "\n" == case.message


def _pattern(node: ast.expr) -> str | None:
    """A regular expression for the text of a message's expression; None if it is not written in place."""
    match node:
        case ast.Constant(value=str() as text):
            return re.escape(text)
        case ast.JoinedStr(values=values):
            return "".join(re.escape(str(v.value)) if isinstance(v, ast.Constant) else ".*" for v in values)
        case _:
            return None


def messages_of_the_frontend() -> dict[str, str]:
    """Where each ``raise KernelError`` of the frontend stands, and a pattern of its message."""
    found: dict[str, str] = {}
    folder = Path(anygpu.frontend.__file__).parent
    for path in sorted(folder.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "KernelError":
                pattern = _pattern(node.args[0])
                if pattern is not None and len(pattern.replace(".*", "")) > 3:
                    found[f"{path.stem}:{node.lineno} {pattern}"] = pattern
    return found


# Messages that no kernel of these files reaches, each with the reason.
UNREACHED = {
    "return outside a function": "Python's own parser refuses it first",
    "cannot assign to ": "Python's grammar has no other target",
    "a slice cannot stand here": "a slice is only written where an index takes one",
}


def test_every_message_of_the_frontend_has_a_case() -> None:
    texts = "\n".join(case.message for _, case in cases())
    without = [at for at, pattern in messages_of_the_frontend().items() if not re.search(pattern, texts)]
    unexpected = [at for at in without if not any(re.escape(text) in at for text in UNREACHED)]
    assert not unexpected, "\n".join(unexpected)


def test_there_are_enough_cases() -> None:
    assert len(cases()) >= 40


def main() -> None:
    for path in sorted(HERE.glob("*.md")):
        text = path.read_text()
        path.write_text(CASE.sub(lambda m: f"## {m[1]}\n\n```python\n{m[2]}```\n\n```text\n{message(m[2])}\n```\n", text))


if __name__ == "__main__":
    main()
