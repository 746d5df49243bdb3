"""Errors out of the logs of the vendors' compilers, with the source line each speaks of."""

from __future__ import annotations

import linecache
import re

from anygpu.errors import Diagnostic, Location

# clang and its kin (OpenCL, hipRTC): name:line:column: error: text; NVRTC: name(line): error: text, the column shown by a caret below
_CLANG = re.compile(r"^(?P<file>[^\n:]+):(?P<line>\d+):(?P<column>\d+): (?:fatal )?error: (?P<text>.*)$", re.M)
_NVRTC = re.compile(
    r"^(?P<file>[^\n(]+)\((?P<line>\d+)\): (?:catastrophic )?error(?: #[\w-]+)?: "
    r"(?P<text>.*(?:\n.*){0,8}?)\n(?P<shown>.*)\n(?P<caret>[ \t]*)\^",
    re.M,
)
_WORD = re.compile(r"\w+|.")


def remember_source(source: str, filename: str) -> None:
    """Let tracebacks and carets show lines of a source that is in no file."""
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)


def diagnose(log: str, source: str, filename: str) -> tuple[Diagnostic, ...]:
    """The errors in a compiler's log, each with its line: of ``source``, or of another file that can be read."""
    remember_source(source, filename)
    found = []
    for match in sorted([*_CLANG.finditer(log), *_NVRTC.finditer(log)], key=lambda m: m.start()):
        number = int(match["line"])
        text = linecache.getline(match["file"], number).rstrip("\n")
        if "column" in match.groupdict():
            column = int(match["column"]) - 1
        else:
            column = len(match["caret"]) - (len(match["shown"]) - len(match["shown"].lstrip())) + len(text) - len(text.lstrip())
        word = _WORD.match(text, column)
        end = word.end() if word else column + 1
        before = len(text[:column].encode())
        location = Location(match["file"], number, before, before + len(text[column:end].encode()), "the source")
        found.append(Diagnostic(location, "\n    ".join(part.strip() for part in match["text"].splitlines())))
    return tuple(found)
