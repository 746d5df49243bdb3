"""The state of lowering one kernel: variables and their types, the statements emitted so far, and the errors found.

Lowering runs over the whole kernel again until no variable's type changes; only the last run's statements and errors count.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np

from anygpu.dtypes import DType
from anygpu.errors import CompileError, Diagnostic, Location
from anygpu.frontend.parse import Source
from anygpu.frontend.types import Tuple, Type, Value, leaf_types, leaves, rebuild, type_of
from anygpu.ir.kernel import Array, Assign, Const, Expr, Ref, Stmt, Var

# A kernel may have this many statements and calls once its loops over tuples are unrolled and its functions inlined. LLVM's time
# grows faster than the code: a kernel of this size takes some tens of seconds.
SIZE_LIMIT = 8000
# Python's own stack bounds how deep the passes can follow branches and expressions inside each other.
NESTING_LIMIT = 150
TOO_DEEP = f"expressions and branches are nested too deeply here; the limit is {NESTING_LIMIT}"
TOO_DEEP_HINT = "give parts of the expression names of their own, or return early instead of a long chain of elif"


class KernelError(Exception):
    """One thing wrong at one place; caught at the statement, so that the rest of the kernel is still checked."""

    def __init__(self, message: str, hint: str = "", node: ast.AST | None = None):
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.node = node


class Unresolved(Exception):
    """A value whose type is not known yet (a later pass will know it) or that an earlier error has spoilt."""


@dataclass
class Shared:
    """What all functions of one kernel have in common during one pass of lowering."""

    kernel: str
    types: dict[tuple[str, ...], Type] = field(default_factory=dict)
    changed: bool = False  # whether a variable's type has become another one
    grown: bool = False  # whether a variable has got its first type
    waited: bool = False  # whether a statement needed a type that was not known yet
    unresolved: list[tuple[Scope, ast.AST, str]] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)
    names: dict[str, int] = field(default_factory=dict)
    declared: list[Array] = field(default_factory=list)
    constants: dict[object, tuple[object, Array]] = field(default_factory=dict)
    labels: int = 0
    size: int = 0
    origins: dict[tuple[str, ...], frozenset[tuple[str, ...]]] = field(default_factory=dict)
    mutations: list[tuple[Scope, ast.AST, tuple[str, ...], str]] = field(default_factory=list)
    range_ndim: int = 0
    stack: list[object] = field(default_factory=list)
    stored: set[str] = field(default_factory=set)
    known_tables: dict[int, tuple[Sequence[Value], np.ndarray, DType]] = field(default_factory=dict)  # tuples of constants, by id
    numbers: dict[int, tuple[object, Value]] = field(default_factory=dict)  # long tuples of numbers as values, by id

    def begin_pass(self) -> None:
        """Forget everything but the variables' types."""
        self.changed = self.grown = self.waited = False
        self.origins, self.mutations = {}, []
        self.unresolved, self.diagnostics, self.names, self.declared, self.constants, self.labels, self.size = [], [], {}, [], {}, 0, 0

    def unique(self, base: str) -> str:
        """A name that no other variable or array of the kernel has."""
        count = self.names.get(base, 0)
        self.names[base] = count + 1
        return base if count == 0 else self.unique(f"{base}.{count}")

    def label(self, base: str) -> str:
        self.labels += 1
        return f"{base}.{self.labels}"


@dataclass(eq=False)
class Scope:
    """One function being lowered: the kernel, or a device function inlined at one call."""

    shared: Shared
    source: Source
    path: tuple[str, ...]
    called_from: tuple[Location, ...] = ()
    bound: dict[str, Value] = field(default_factory=dict)
    poisoned: dict[str, str] = field(default_factory=dict)
    variables: dict[str, tuple[Var, ...]] = field(default_factory=dict)
    assigned: dict[str, int] = field(default_factory=dict)
    body: list[Stmt] = field(default_factory=list)
    return_label: str = ""
    break_labels: list[str] = field(default_factory=list)
    continue_labels: list[str] = field(default_factory=list)
    used_labels: set[str] = field(default_factory=set)
    calls: int = 0
    nesting: int = 0
    contracted: bool = True

    # ------------------------------------------------------------------------------------------------- statements

    def emit(self, stmt: Stmt) -> None:
        self.body.append(stmt)

    @contextmanager
    def nested(self) -> Iterator[list[Stmt]]:
        """Collect the statements emitted inside into a new body."""
        outer, self.body = self.body, []
        try:
            yield self.body
        finally:
            self.body = outer

    def count_size(self, node: ast.AST | None) -> None:
        """Count one statement or call; too many end the compilation at once, since each further one would only take time."""
        self.shared.size += 1
        if self.shared.size > SIZE_LIMIT:
            message = f"this kernel has more than {SIZE_LIMIT:,} statements and calls after unrolling and inlining"
            hint = "walk a range or an array instead of a tuple, and call a function once where its result is used twice"
            found = Diagnostic(self.locate(node), message, hint, self.called_from)
            raise CompileError(self.shared.kernel, (found,))

    @contextmanager
    def deeper(self, node: ast.AST) -> Iterator[None]:
        """One more level of an expression or branch inside another."""
        if self.nesting >= NESTING_LIMIT:
            raise KernelError(TOO_DEEP, TOO_DEEP_HINT, node)
        self.nesting += 1
        try:
            yield
        finally:
            self.nesting -= 1

    def locate(self, node: ast.AST | None) -> Location:
        return self.source.location if node is None else self.source.locate(node)

    def report(self, error: KernelError, node: ast.AST) -> None:
        """Add an error to those of the kernel, once."""
        found = Diagnostic(self.locate(error.node or node), error.message, error.hint, self.called_from)
        if found not in self.shared.diagnostics:
            self.shared.diagnostics.append(found)

    # -------------------------------------------------------------------------------------------------- variables

    def temporary(self, dtype: DType, base: str = "t") -> Var:
        """A new variable that nothing else names."""
        return Var(self.shared.unique(f".{base}"), dtype)

    def pin(self, expr: Expr, base: str = "t") -> Expr:
        """``expr`` evaluated here and now: literals and temporaries as they are, anything else through a new variable."""
        if isinstance(expr, Const) or (isinstance(expr, Ref) and expr.var.name.startswith(".")):
            return expr
        var = self.temporary(expr.dtype, base)
        self.emit(Assign(var, expr))
        return Ref(var)

    def pin_value(self, value: Value) -> Value:
        """A value whose every leaf is evaluated here."""
        if isinstance(value, Tuple):
            return replace(value, items=tuple(map(self.pin_value, value.items)))
        given = type_of(value)
        if given is None:
            return value
        return rebuild(given, [self.pin(e) for e in leaves(value)])

    def variable(self, name: str, given: Type) -> tuple[Var, ...]:
        """The IR variables behind a Python variable of a type."""
        known = self.variables.get(name)
        if known is None:
            known = tuple(Var(self.shared.unique(n), d) for n, d in leaf_types(given, name))
            self.variables[name] = known
        return known
