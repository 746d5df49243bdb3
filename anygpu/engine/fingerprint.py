"""What a compiled kernel depends on, as a digest: code, captured values, types, options, compiler.

Captured values are found by walking the code objects: every global, closure cell and builtin that a function names, the functions among
them in turn. What the frontend reaches through attributes (``config.mode.width``, a method, a module's constant) it reaches with
``getattr`` and a name that some function mentions, so every mentioned name is asked of every object on the way. A change to any
of it, however deep, makes another key. What cannot be known like this (state that Python does not see) makes a key that is not *exact*:
such a kernel is compiled in memory and never kept on disk.
"""

from __future__ import annotations

import ast
import dataclasses
import dis
import enum
import functools
import hashlib
import inspect
import os
import struct
import sys
import types
from collections.abc import Iterator, Sequence

import numpy as np

from anygpu.errors import CompileError
from anygpu.frontend.parse import MISSING, parse_function, resolve_name, unwrap
from anygpu.frontend.signature import ConstantType, TupleType, Type
from anygpu.frontend.vocabulary import word_of

# Packages whose versions are part of the compiler's own fingerprint: what they hold is known by its name.
_FIXED = frozenset(("numpy", "math", "cmath", "anygpu", "builtins", "ml_dtypes", "enum", "operator"))
_LEAVES = (types.BuiltinFunctionType, types.MethodDescriptorType, types.WrapperDescriptorType, types.MethodWrapperType, np.ufunc)
_MOST_OBJECTS = 5000  # an object that makes new ones at every access would be walked for ever


def _is_fixed(module: object) -> bool:
    """Whether what a module defines is always the same. The conformance suite's kernels, made anew by each case, are a user's."""
    return isinstance(module, str) and module.partition(".")[0] in _FIXED and not module.startswith("anygpu.testing")


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


def _syntax(function: types.FunctionType) -> ast.AST:
    """What the frontend reads of a function and its code does not hold: ``python -O`` leaves assertions out of the code alone."""
    if sys.flags.optimize:
        try:
            return parse_function(function).node
        except CompileError:
            return ast.Pass()  # no source: nothing that a kernel could call
    return ast.Pass()


def _mentioned(function: types.FunctionType) -> tuple[set[str], set[str]]:
    """The names that a function looks up outside itself, and those of the attributes that it asks for."""
    nodes = list(ast.walk(_syntax(function)))
    free = {n.id for n in nodes if isinstance(n, ast.Name)}
    attributes = {n.attr for n in nodes if isinstance(n, ast.Attribute)}
    pending = [function.__code__]
    while pending:
        code = pending.pop()
        free.update(code.co_freevars)
        for instruction in dis.get_instructions(code):
            if instruction.opcode in dis.hasname:
                (attributes if "ATTR" in instruction.opname or "METHOD" in instruction.opname else free).add(instruction.argval)
        pending += [constant for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return free, attributes


class _Walk:
    """Feeds a digest with everything that a function captures; ``parts`` keeps a digest for each captured name, to explain a recompile."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self.parts: dict[str, str] = {}
        self.barriers = False  # conservatively: whether a name that could mean a barrier is mentioned anywhere
        self.exact = True
        self.depth = 0
        self.numbers: dict[int, int] = {}  # id of each object that was met -> its number
        self.met: list[object] = []  # keeps them alive, so that no other object can have their ids
        self.names: set[str] = set()  # of all attributes that some function asks for
        self.asked: list[tuple[object, set[str]]] = []  # objects that are asked for attributes, and for which ones they were

    def add(self, name: str, value: object) -> None:
        inner = hashlib.sha256()
        outer, self.digest = self.digest, inner
        self.depth += 1
        self.value(value)
        self.depth -= 1
        self.digest = outer
        self.digest.update(name.encode() + inner.digest())
        if self.depth == 0:
            self.parts[name] = inner.hexdigest()

    def first(self, value: object) -> bool:
        """Whether an object is met for the first time; else its number is fed, since which one it is matters."""
        known = self.numbers.setdefault(id(value), len(self.met))
        if known == len(self.met):
            self.met.append(value)
            return True
        self.digest.update(f"again {known}".encode())
        return False

    def finish(self) -> None:
        """Ask every object for every mentioned name, until neither new names nor new objects come up."""
        names = -1
        while names != len(self.names):
            names = len(self.names)
            for number, (owner, asked) in enumerate(self.asked):  # which grows meanwhile
                for name in sorted(self.names - asked):
                    asked.add(name)
                    self.attribute(number, owner, name)
                if len(self.asked) > _MOST_OBJECTS:
                    self.exact = False
                    return

    def attribute(self, number: int, owner: object, name: str) -> None:
        found: list[object] = []
        try:
            found.append(getattr(owner, name, MISSING))
            if isinstance(owner, type):  # the frontend looks for methods and properties without binding them
                found.append(inspect.getattr_static(owner, name, MISSING))
        except Exception as error:  # noqa: BLE001  a user's property may raise anything; the frontend will meet it, too
            self.digest.update(f"{number}.{name} raises {type(error).__qualname__}".encode())
        for value in found:
            if value is not MISSING:
                self.add(f"{getattr(owner, '__name__', type(owner).__name__)}.{name}", value)

    def function(self, function: types.FunctionType) -> None:
        for part in _feed(function.__code__):
            self.digest.update(part)
        self.digest.update(ast.dump(_syntax(function)).encode())
        # pytest rewrites asserts with names of its own ("@py_assert1", "@pytest_ar"), which no source can contain
        free, attributes = ({name for name in names if not name.startswith("@")} for names in _mentioned(function))
        self.names |= attributes
        self.barriers |= any(name.startswith(("syncthreads", "shared")) for name in free | attributes)
        for name in sorted(free):
            value = resolve_name(function, name)
            if value is not MISSING:
                self.add(name, value)
        for defaults in (function.__defaults__, function.__kwdefaults__):
            if defaults:
                self.value(defaults)

    def value(self, value: object) -> None:
        update = self.digest.update
        plain = unwrap(value) if callable(value) else value
        if plain is not value:
            self.ask(value)
        match plain:
            case enum.Enum():
                update(f"{plain.name} of ".encode())
                self.value(type(plain))
                if self.first(plain):
                    self.value(plain.value)
                    self.ask(plain)
            case bool() | int() | float() | complex() | str() | bytes() | None:
                update(repr((type(plain).__name__, plain)).encode())
            case np.ndarray():
                update(repr((plain.dtype, plain.shape)).encode())
                update(np.ascontiguousarray(plain).tobytes())
            case np.generic():
                update(plain.dtype.str.encode() + plain.tobytes())
            case np.dtype():
                update(repr(plain).encode())
            case types.FunctionType():
                update(f"{plain.__module__}.{plain.__qualname__}".encode())  # an alias may name another one tomorrow
                named = _is_fixed(plain.__module__) and "<" not in plain.__qualname__  # lambdas and closures share their names
                if not named and self.first(plain):
                    self.function(plain)
                    self.ask(plain)
            case types.MethodType():
                self.value(plain.__func__)
                self.value(plain.__self__)
            case staticmethod() | classmethod():
                self.value(plain.__func__)
            case property():
                self.value(plain.fget)
            case types.ModuleType():
                update(plain.__name__.encode())
                if not _is_fixed(plain.__name__) and self.first(plain):
                    self.ask(plain)
            case tuple() | list() | dict():
                update(f"{type(plain).__qualname__} {len(plain)}".encode())
                if self.first(plain):
                    if hasattr(plain, "_fields"):
                        self.value(type(plain))
                    for item in plain.items() if isinstance(plain, dict) else plain:
                        self.value(item)
            case type():
                update(f"{plain.__module__}.{plain.__qualname__}".encode())
                if not _is_fixed(plain.__module__) and self.first(plain):
                    self.structure(plain)
                    self.ask(plain)
            case _:
                self.other(plain)

    def ask(self, owner: object) -> None:
        """What an object answers to the mentioned names will be part of the digest."""
        self.asked.append((owner, set()))

    def structure(self, cls: type) -> None:
        """What the frontend takes from a class besides attributes: fields with their defaults, members."""
        if issubclass(cls, enum.Enum):
            for member in cls:
                self.value(member)
        if dataclasses.is_dataclass(cls):
            self.digest.update(repr((getattr(cls, "__dataclass_params__", None), hasattr(cls, "__post_init__"))).encode())
            for f in dataclasses.fields(cls):
                self.digest.update(f.name.encode())
                self.value(None if f.default is dataclasses.MISSING else (f.default,))
        if hasattr(cls, "_field_defaults"):
            self.value((cls._fields, cls._field_defaults))  # type: ignore[attr-defined]

    def other(self, value: object) -> None:
        """An object that the frontend knows nothing of, or one of its words."""
        kind = type(value)
        name = getattr(value, "__qualname__", None) or getattr(value, "__name__", "")
        word = word_of(value)
        self.digest.update(f"{kind.__module__}.{kind.__qualname__} {getattr(value, '__module__', '')}.{name} {word}".encode())
        if word is not None:
            self.barriers |= word.startswith(("syncthreads", "shared"))
            return
        if isinstance(value, _LEAVES) or _is_fixed(kind.__module__) or not self.first(value):
            return
        self.value(kind)
        self.ask(value)
        if dataclasses.is_dataclass(value):
            self.value([getattr(value, f.name) for f in dataclasses.fields(value)])
        elif any(getattr(kind, n, None) is not getattr(object, n, None) for n in ("__eq__", "__bool__", "__len__", "__str__", "__repr__")):
            self.state(value)

    def state(self, value: object) -> None:
        """All that an object is made of: one that says itself how it compares or prints shows more than its attributes."""
        kind = type(value)
        slots = sorted({n for c in kind.__mro__ for n, m in vars(c).items() if isinstance(m, types.MemberDescriptorType)} - {"__dict__"})
        self.value([getattr(value, n, MISSING) for n in slots])
        self.value(getattr(value, "__dict__", {}))
        pointers = len(slots) + (kind.__dictoffset__ > 0) + (kind.__weakrefoffset__ > 0)
        if kind.__basicsize__ > object.__basicsize__ + pointers * struct.calcsize("P"):
            self.exact = False  # fields of C that Python does not show


@dataclasses.dataclass(frozen=True)
class Fingerprint:
    """What a function depends on.

    Attributes:
        digest: Of the function and all that it captures.
        types: Of that and of argument types, which may hold functions and classes too.
        parts: The digest of each captured name.
        barriers: Whether it may hold a barrier.
        exact: Whether the digests stand for everything; else nothing may be kept under them for other processes.
    """

    digest: str
    types: str
    parts: dict[str, str]
    barriers: bool
    exact: bool


def function_fingerprint(function: types.FunctionType, arguments: Sequence[Type] = ()) -> Fingerprint:
    """What a function and all that it captures amount to, now, for arguments of these types."""
    walk = _Walk()
    walk.value(function)
    walk.finish()
    digest = walk.digest.hexdigest()
    for given in arguments:
        _type(walk, given)
    walk.finish()
    return Fingerprint(digest, walk.digest.hexdigest(), walk.parts, walk.barriers, walk.exact)


def _type(walk: _Walk, given: Type) -> None:
    match given:
        case ConstantType(value=value):
            walk.digest.update(b"constant")
            walk.value(value)
        case TupleType(items=items, cls=cls, names=names):
            walk.digest.update(f"tuple {names} {len(items)}".encode())
            walk.value(cls)
            for item in items:
                _type(walk, item)
        case _:
            walk.digest.update(repr(given).encode())


@functools.cache
def compiler_fingerprint() -> str:
    """A digest of anygpu itself: of its files' sizes and times, so that a changed compiler never loads what another made."""
    import importlib.util

    import ml_dtypes

    digest = hashlib.sha256(f"{np.__version__} {ml_dtypes.__version__} {sys.version} {sys.flags.optimize}".encode())
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for directory, folders, files in os.walk(root):
        folders.sort()
        for name in sorted(files):
            if name.endswith(".py"):
                status = os.stat(os.path.join(directory, name))
                digest.update(f"{directory}/{name} {status.st_size} {status.st_mtime_ns}".encode())
    # the version counts too, since a reproducible build may give every file one time; llvmlite's by its file, since loading it takes
    # longer than loading a cached kernel may
    places = getattr(importlib.util.find_spec("llvmlite"), "submodule_search_locations", None) or ()
    for path in (os.path.join(root, "__init__.py"), *(os.path.join(place, "_version.py") for place in places)):
        with open(path, "rb") as file:
            digest.update(path.encode() + file.read())
    return digest.hexdigest()
