"""A Python function as syntax: its AST with places in the user's file, and what its free names mean."""

from __future__ import annotations

import ast
import builtins
import functools
import inspect
import linecache
from collections.abc import Callable
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from types import CodeType, FunctionType

from anygpu.errors import UNKNOWN, CompileError, Diagnostic, Location


class _Changed(Exception):
    """The text of a function's file is not what the function was made from."""


class _Missing:
    """Marks a free name that has no value."""


MISSING = _Missing()


@dataclass(frozen=True, eq=False)
class Source:
    """One function's definition. ``line_shift`` and ``column_shift`` take AST positions to the file's."""

    function: FunctionType
    node: ast.FunctionDef
    line_shift: int
    column_shift: int

    @property
    def name(self) -> str:
        return self.function.__name__

    @property
    def filename(self) -> str:
        return self.function.__code__.co_filename

    def locate(self, node: ast.AST) -> Location:
        """Where ``node`` stands in the user's file."""
        line = getattr(node, "lineno", None)
        if line is None:
            return self.location
        start = getattr(node, "col_offset", 0)
        end = getattr(node, "end_col_offset", start + 1) if getattr(node, "end_lineno", line) == line else start + 1
        return Location(self.filename, line + self.line_shift, start + self.column_shift, end + self.column_shift, self.name)

    @property
    def location(self) -> Location:
        """Where the function's own ``def`` stands."""
        column = self.node.col_offset + self.column_shift
        return Location(self.filename, self.node.lineno + self.line_shift, column, column + len("def ") + len(self.name), self.name)

    def resolve(self, name: str) -> object:
        """The object that a free name means: a closure's cell, a global, a builtin, or ``MISSING``."""
        return resolve_name(self.function, name)


def resolve_name(function: FunctionType, name: str) -> object:
    """What ``name`` means inside ``function`` if it is not a local there."""
    code = function.__code__
    if name in code.co_freevars and function.__closure__ is not None:
        try:
            return function.__closure__[code.co_freevars.index(name)].cell_contents
        except ValueError:  # a cell that is filled only later
            return MISSING
    if name in function.__globals__:
        return function.__globals__[name]
    return getattr(builtins, name, MISSING)


@functools.lru_cache(maxsize=1024)
def _definition(code: CodeType, from_file: bool, trusted: bool) -> tuple[ast.FunctionDef, int, int]:
    """The definition that ``code`` was compiled from, and what to add to its lines and columns to have the file's. ``trusted``: the file
    is what it was."""
    if from_file and not trusted and not _is_in_its_file(code):
        raise _Changed
    if code.co_name == "<lambda>":
        return _lambda(code), 0, 0
    if from_file:
        functions = _functions_of(code.co_filename, "".join(linecache.getlines(code.co_filename)))
        known = functions.get((code.co_name, code.co_firstlineno))
        if known is not None:
            return known, 0, 0
    lines, first = inspect.getsourcelines(code)
    text = "".join(lines)
    # A function that stands inside something is parsed inside something: dedenting would also change its strings.
    indented = lines[0][:1].isspace()
    tree = ast.parse("if True:\n" + text if indented else text)
    outer = tree.body[0]
    node = outer.body[0] if indented and isinstance(outer, ast.If) else outer
    if not isinstance(node, ast.FunctionDef):
        raise OSError(f"it is {'an async function' if isinstance(node, ast.AsyncFunctionDef) else type(node).__name__}")
    return node, first - 1 - indented, 0


def _is_in_its_file(code: CodeType) -> bool:
    """Whether the file, as it is now, gives this code: someone may have edited it since it was imported."""
    linecache.checkcache(code.co_filename)
    text = "".join(linecache.getlines(code.co_filename))
    try:
        known = _codes_of(code.co_filename, text)
    except SyntaxError:
        return False  # it was imported once
    return not text or _essence(code) in known.get((code.co_qualname, code.co_firstlineno), ())


@functools.lru_cache(maxsize=64)
def _functions_of(filename: str, text: str) -> dict[tuple[str, int], ast.FunctionDef]:
    """The definitions of a file, by name and first line, which is that of the decorators. Of several in one line, none."""
    found: dict[tuple[str, int], list[ast.FunctionDef]] = {}
    pending: list[ast.AST] = [ast.parse(text, filename)]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef):
            found.setdefault((node.name, min([node.lineno, *(d.lineno for d in node.decorator_list)])), []).append(node)
        for field in ("body", "orelse", "handlers", "finalbody", "cases"):  # where statements are, and no expressions
            inside = getattr(node, field, ())
            pending += inside if isinstance(inside, list) else ()
    return {place: nodes[0] for place, nodes in found.items() if len(nodes) == 1}


@functools.lru_cache(maxsize=64)
def _codes_of(filename: str, text: str) -> dict[tuple[str, int], list[object]]:
    """What each function of a file compiles to, by name and line."""
    found: dict[tuple[str, int], list[object]] = {}
    pending = [compile(text, filename, "exec", dont_inherit=True)]
    while pending:
        for constant in pending.pop().co_consts:
            if isinstance(constant, CodeType):
                found.setdefault((constant.co_qualname, constant.co_firstlineno), []).append(_essence(constant))
                pending.append(constant)
    return found


def _essence(value: object) -> object:
    """A code object or constant such that two compilations of one text are equal: a set has no order, and -0.0 is not 0.0."""
    match value:
        case CodeType():
            return value.co_code, value.co_names, value.co_varnames, value.co_freevars, value.co_cellvars, _essence(value.co_consts)
        case tuple():
            return [_essence(item) for item in value]
        case frozenset():
            return {"set": sorted(map(repr, value))}
        case _:
            return repr(value)


def _lambda(code: CodeType) -> ast.FunctionDef:
    """A lambda as a function of one ``return``. Several may stand in one line: its instructions' places tell which it is."""
    lines, _ = inspect.findsource(code)
    tree = ast.parse("".join(lines))
    positions = {(line, column) for line, _, column, _ in code.co_positions() if line is not None and column is not None}
    here = [n for n in ast.walk(tree) if isinstance(n, ast.Lambda) and n.lineno <= code.co_firstlineno <= (n.end_lineno or n.lineno)]
    chosen = [n for n in here if any((m.lineno, m.col_offset) in positions for m in ast.walk(n.body) if isinstance(m, ast.expr))]
    inner = [n for n in chosen if not any(m is not n and isinstance(m, ast.Lambda) and m in chosen for m in ast.walk(n))]
    if len(inner) != 1:
        raise OSError("several lambdas stand in one place")
    found = inner[0]
    body = ast.copy_location(ast.Return(found.body), found.body)
    made = ast.FunctionDef(name="<lambda>", args=found.args, body=[body], decorator_list=[], returns=None)
    return ast.copy_location(made, found)


def parse_function(function: Callable[..., object]) -> Source:
    """The syntax of a Python function; raises ``CompileError`` if its source cannot be had."""
    if not isinstance(function, FunctionType):
        raise TypeError(f"a kernel is a plain Python function, not {type(function).__name__}")
    code = function.__code__
    try:
        # what another loader made (pytest's, which rewrites assertions) need not be what Python makes of the text
        from_file = type(function.__globals__.get("__loader__")) is SourceFileLoader
        trusted = (function.__module__ or "").startswith("anygpu.")  # nobody edits an installed package while it runs
        node, line_shift, column_shift = _definition(code, from_file, trusted)
    except _Changed as error:
        at = Location(code.co_filename, code.co_firstlineno, 0, 0, function.__name__)
        hint = "kernels are compiled from their source text when first launched: import the module again, or start anew"
        raise CompileError(
            function.__name__, (Diagnostic(at, f"the source of '{function.__name__}' has changed since it was imported", hint),)
        ) from error
    except (OSError, TypeError, SyntaxError, IndentationError) as error:
        at = Location(code.co_filename, code.co_firstlineno, 0, 0, function.__name__)
        hint = "kernels are compiled from their source text: define them in a file or a notebook cell, not with exec() or at a bare prompt"
        raise CompileError(
            function.__name__, (Diagnostic(at, f"the source of '{function.__name__}' cannot be read ({error})", hint),)
        ) from error
    return Source(function, node, line_shift, column_shift)


def unwrap(function: object) -> object:
    """The plain function inside a kernel. Another decorator's wrapper is what its author meant to be called, and stays."""
    while type(function).__module__.partition(".")[0] == "anygpu" and hasattr(function, "__wrapped__"):
        function = function.__wrapped__
    return function


__all__ = ["MISSING", "UNKNOWN", "Source", "parse_function", "resolve_name", "unwrap"]
