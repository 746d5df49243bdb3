"""The words of KERNEL IR's text form one after another: what the parser reads from."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import NamedTuple, TypeVar

from anygpu.dtypes import DTYPES, DType
from anygpu.errors import AnyGPUError

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<string>"(?:[^"\\]|\\.)*")
    | (?P<quoted>%"(?:[^"\\]|\\.)*")
    | (?P<number>0x[0-9a-f]+(?:[iu]\d+)?|\d+(?:\.\d+)?(?:e[+-]?\d+)?(?:bf16|[iuf]\d+)?)
    | (?P<word>[A-Za-z_][A-Za-z0-9_.$]*)
    | (?P<sign><<|>>|<=|>=|==|!=|//|[-+*/%&|^<>=(){}\[\],:.@#])
    )""",
    re.VERBOSE,
)

_T = TypeVar("_T")


class TextError(AnyGPUError, ValueError):
    """Text that is not a kernel: the message names the line and what was expected there."""


class Token(NamedTuple):
    kind: str  # string, quoted, number, word, sign or end
    text: str


END = Token("end", "end of line")


class Line(NamedTuple):
    number: int
    depth: int
    tokens: list[Token]


def _tokenize(number: int, text: str) -> list[Token]:
    tokens: list[Token] = []
    at, text = 0, text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None or found.lastgroup is None:
            raise TextError(f"line {number}: cannot read {text[at:].strip()!r}")
        tokens.append(Token(found.lastgroup, found[found.lastgroup]))
        at = found.end()
    return tokens


def _split(text: str) -> list[Line]:
    lines = []
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.lstrip(" ")
        if not stripped.strip() or stripped.startswith("#"):
            continue
        depth, rest = divmod(len(line) - len(stripped), 4)
        if rest:
            raise TextError(f"line {number}: the indentation is not a multiple of four spaces")
        lines.append(Line(number, depth, _tokenize(number, stripped)))
    return lines


class Cursor:
    """A place in the text, line by line and token by token."""

    def __init__(self, text: str) -> None:
        self.lines = _split(text)
        self.row = 0  # the line being read
        self.at = 0  # the token in it

    def error(self, message: str) -> TextError:
        line = self.lines[min(self.row, len(self.lines) - 1)].number if self.lines else 1
        return TextError(f"line {line}: {message}")

    def peek(self, ahead: int = 0) -> Token:
        tokens = self.lines[self.row].tokens if self.row < len(self.lines) else []
        return tokens[self.at + ahead] if self.at + ahead < len(tokens) else END

    def next(self) -> Token:
        token = self.peek()
        self.at += 1
        return token

    def take(self, text: str) -> bool:
        """Step over ``text`` if it comes next."""
        token = self.peek()
        if token.text == text and token.kind in ("word", "sign"):
            self.at += 1
            return True
        return False

    def expect(self, text: str) -> None:
        if not self.take(text):
            raise self.error(f"expected '{text}', not {self.peek().text}")

    def name(self) -> str:
        token = self.next()
        if token.kind == "quoted":
            return str(json.loads(token.text[1:]))
        if token.kind == "word":
            return token.text
        raise self.error(f"expected a name, not {token.text}")

    def string(self) -> str:
        token = self.next()
        if token.kind != "string":
            raise self.error(f"expected a string, not {token.text}")
        return str(json.loads(token.text))

    def integer(self) -> int:
        negative = self.take("-")
        token = self.next()
        if token.kind != "number" or not token.text.isdigit():
            raise self.error(f"expected an integer, not {token.text}")
        return -int(token.text) if negative else int(token.text)

    def dtype(self) -> DType:
        token = self.next()
        if token.text not in DTYPES:
            raise self.error(f"expected a dtype, not {token.text}")
        return DTYPES[token.text]

    def separated(self, close: str, item: Callable[[], _T]) -> tuple[_T, ...]:
        """Items between commas, up to and over ``close``."""
        found: list[_T] = []
        while not self.take(close):
            if found:
                self.expect(",")
            found.append(item())
        return tuple(found)

    def end(self) -> None:
        """Step over the end of the line."""
        if self.peek() is not END:
            raise self.error(f"expected the end of the line, not {self.peek().text}")
        self.row += 1
        self.at = 0
