"""What a compiled kernel depends on, as a digest: code, captured values, types, options, compiler.

Captured values are found by walking the code objects: every name that a function mentions and that its closure or
globals hold, the functions among them in turn. So a change to any of them, however deep, makes another key.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import hashlib
import os
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from anygpu.frontend.parse import MISSING, resolve_name, unwrap
from anygpu.frontend.vocabulary import word_of


def _feed(code: types.CodeType) -> Iterator[bytes]:
    """The parts of a code object that decide what is compiled, line numbers included since errors name them."""
    yield repr((code.co_filename, code.co_firstlineno, code.co_names, code.co_varnames, code.co_freevars)).encode()
    yield code.co_code
    yield bytes(code.co_linetable)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _feed(constant)
        else:
            yield repr(constant).encode()


def _mentioned(code: types.CodeType) -> list[str]:
    names = [*code.co_names, *code.co_freevars]
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names += _mentioned(constant)
    return names


class _Walk:
    """Feeds a digest with everything that a function captures; ``parts`` keeps a digest for each name, to explain a recompile."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self.seen: set[int] = set()
        self.parts: dict[str, str] = {}
        self.modules: set[tuple[int, frozenset[str]]] = set()
        self.names: frozenset[str] = frozenset()
        self.depth = 0
        self.barriers = False  # conservatively: whether a name that could mean a barrier is mentioned anywhere

    def add(self, name: str, value: object) -> None:
        inner = hashlib.sha256()
        outer, self.digest = self.digest, inner
        self.value(value)
        self.digest = outer
        self.digest.update(name.encode() + inner.digest())
        if self.depth == 0 or name.startswith("function "):
            self.parts[name] = inner.hexdigest()

    def function(self, function: types.FunctionType) -> None:
        if id(function) in self.seen:
            return
        self.seen.add(id(function))
        for part in _feed(function.__code__):
            self.digest.update(part)
        # pytest rewrites asserts with names of its own ("@py_assert1", "@pytest_ar"), which no source can contain
        mentioned = {name for name in _mentioned(function.__code__) if not name.startswith("@")}
        self.barriers |= any(name.startswith(("syncthreads", "shared")) for name in mentioned)
        outer, self.names = self.names, frozenset(mentioned)
        for name in sorted(mentioned):
            value = resolve_name(function, name)
            if value is not MISSING:
                self.depth += 1
                self.add(name, value)
                self.depth -= 1
        self.names = outer
        for defaults in (function.__defaults__, function.__kwdefaults__):
            if defaults:
                self.value(defaults)

    def value(self, value: object) -> None:
        update = self.digest.update
        plain = unwrap(value) if callable(value) else value
        match plain:
            case types.FunctionType():
                update(f"{plain.__module__}.{plain.__qualname__}".encode())  # an alias may name another one tomorrow
                if not (plain.__module__ or "").startswith(("numpy", "anygpu.frontend")):
                    self.function(plain)
            case types.ModuleType():
                update(plain.__name__.encode())
                self.module(plain)
            case np.ndarray():
                update(repr((plain.dtype.str, plain.shape)).encode())
                update(np.ascontiguousarray(plain).tobytes())
            case np.generic():
                update(plain.dtype.str.encode() + plain.tobytes())
            case enum.Enum():
                update(repr((type(plain).__qualname__, plain.name, plain.value)).encode())
            case bool() | int() | float() | complex() | str() | bytes() | None:
                update(repr((type(plain).__name__, plain)).encode())
            case tuple() | list():
                update(f"{type(plain).__qualname__} {len(plain)}".encode())
                for item in plain:
                    self.value(item)
            case dict():
                for key, item in plain.items():
                    update(repr(key).encode())
                    self.value(item)
            case type():
                update(f"{plain.__module__}.{plain.__qualname__}".encode())
                self.cls(plain)
            case _ if dataclasses.is_dataclass(plain):
                self.value(type(plain))
                for f in dataclasses.fields(plain):
                    self.value(getattr(plain, f.name))
            case _:
                word = word_of(plain) or ""
                self.barriers |= word.startswith(("syncthreads", "shared"))
                own = f"{getattr(plain, '__module__', '')}.{getattr(plain, '__qualname__', getattr(plain, '__name__', ''))}"
                update(f"{type(plain).__module__}.{type(plain).__qualname__} {own} {word}".encode())

    def cls(self, cls: type) -> None:
        """A structure's fields and methods, or an enum's members."""
        if id(cls) in self.seen or (cls.__module__ or "").startswith(("numpy", "builtins", "ml_dtypes")):
            return
        self.seen.add(id(cls))
        if issubclass(cls, enum.Enum):
            self.digest.update(repr([(m.name, m.value) for m in cls]).encode())
            return
        self.digest.update(repr(list(getattr(cls, "__annotations__", {}).items())).encode())
        for name, member in sorted(vars(cls).items()):
            member = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
            if isinstance(member, types.FunctionType) or not name.startswith("__"):
                self.add(f"{cls.__qualname__}.{name}", member)

    def module(self, module: types.ModuleType) -> None:
        """What a user's own module may give through its attributes: those whose names the function mentions."""
        top = (module.__name__ or "").partition(".")[0]
        if (id(module), self.names) in self.modules or top in ("numpy", "math", "anygpu", "builtins", "ml_dtypes", "enum", "operator"):
            return
        self.modules.add((id(module), self.names))
        for name in sorted(self.names):
            if name in vars(module):
                self.add(f"{module.__name__}.{name}", vars(module)[name])


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    """A digest of a function and all that it captures, the digest of each captured name, and whether it may hold a barrier."""

    digest: str
    parts: dict[str, str]
    barriers: bool


def function_fingerprint(function: types.FunctionType) -> Fingerprint:
    """What a function and all that it captures amount to, now."""
    walk = _Walk()
    walk.function(function)
    return Fingerprint(walk.digest.hexdigest(), walk.parts, walk.barriers)


@functools.cache
def compiler_fingerprint() -> str:
    """A digest of anygpu itself: of its files' sizes and times, so that a changed compiler never loads what another made."""
    import importlib.util

    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for folder in ("ir", "frontend", "passes", "codegen", "libm", "engine", "runtime"):
        for directory, _, files in os.walk(root / folder):
            for name in sorted(files):
                if name.endswith(".py"):
                    status = os.stat(os.path.join(directory, name))
                    digest.update(f"{directory}/{name} {status.st_size} {status.st_mtime_ns}".encode())
    # llvmlite's version by its file, since loading it takes longer than loading a cached kernel may
    for place in getattr(importlib.util.find_spec("llvmlite"), "submodule_search_locations", None) or ():
        status = os.stat(os.path.join(place, "_version.py"))
        digest.update(f"{place} {status.st_size} {status.st_mtime_ns}".encode())
    digest.update(f"{np.__version__} {sys.version}".encode())
    return digest.hexdigest()
