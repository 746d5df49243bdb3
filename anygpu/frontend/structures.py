"""NamedTuples and dataclasses: making them, their fields, and the operators that their classes define.

A structure means what its class says. A special method that the user wrote is inlined like any other; one that Python generated
(equality and order of a dataclass, all of a NamedTuple) is done here; what remains is refused, never taken for the tuple that holds it.
"""

from __future__ import annotations

import collections
import dataclasses
import inspect
import reprlib
from collections.abc import Sequence
from dataclasses import MISSING, InitVar, fields, is_dataclass
from types import FunctionType

from anygpu.dtypes import bool_
from anygpu.frontend import arithmetic
from anygpu.frontend.context import KernelError, Scope, Shared
from anygpu.frontend.types import Object, Scalar, Tuple, Value, describe
from anygpu.ir import build
from anygpu.ir.kernel import Const, Expr

# Methods by which a class makes instances in its own way: a kernel only sets fields.
_MAKING = ("__new__", "__init__", "__post_init__", "__setattr__")

_DUNDER = {
    "add": "add", "sub": "sub", "mul": "mul", "div": "truediv", "floordiv": "floordiv", "mod": "mod", "pow": "pow",
    "and": "and", "or": "or", "xor": "xor", "shl": "lshift", "shr": "rshift", "matmul": "matmul",
    "eq": "eq", "ne": "ne", "lt": "lt", "le": "le", "gt": "gt", "ge": "ge", "neg": "neg", "pos": "pos", "invert": "invert",
}  # fmt: skip
_SWAPPED = {"eq": "eq", "ne": "ne", "lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}


def user_method(value: Value, name: str) -> FunctionType | None:
    """A special method that the author of a structure's class wrote, or None for one that Python generated or that is missing."""
    if not isinstance(value, Tuple) or value.cls is None:
        return None
    found = class_method(value.cls, name)
    if found is not None and not isinstance(found, FunctionType):
        raise KernelError(f"{name} of {value.cls.__name__} is not a plain function", "write it as a method")
    return found


# Where the methods that Python generates come from.
_GENERATORS = ("<string>", collections.__file__, dataclasses.__file__, reprlib.__file__)


def class_method(cls: type, name: str) -> object | None:
    """What the author of a class, or of one that it inherits from, wrote under a special name."""
    for base in cls.__mro__:
        if base in (object, tuple):
            return None
        if name in vars(base):
            member = vars(base)[name]
            member = getattr(member, "__func__", member)
            generated = isinstance(member, FunctionType) and member.__code__.co_filename in _GENERATORS
            return None if generated else member
    return None


def invoke(scope: Scope, value: Value, name: str, args: Sequence[Value]) -> Value | None:
    """``value.<name>(*args)`` if the author wrote that special method; None if not, or if it gives NotImplemented."""
    from anygpu.frontend.inlining import inline

    method = user_method(value, name)
    if method is None:
        return None
    result = inline(scope, method, [value, *args], {}, None)
    return None if isinstance(result, Object) and result.value is NotImplemented else result


def operator(scope: Scope, name: str, a: Value, b: Value) -> Value | None:
    """``a <name> b`` by the methods of either class, in Python's order; None if neither has one that answers."""
    word = _DUNDER[name]
    reflected = f"__{_SWAPPED.get(name, 'r' + word)}__"
    forward = (a, f"__{word}__", b)
    backward = (b, reflected, a)
    ours, theirs = (v.cls if isinstance(v, Tuple) else None for v in (a, b))
    derived = ours is not None and theirs is not None and ours is not theirs and issubclass(theirs, ours)
    tries = [backward, forward] if derived else [forward, backward]
    if ours is theirs and (name not in _SWAPPED or is_sequence(a)):  # every tuple has all comparisons: it answers itself
        tries = [forward]
    for value, method, other in tries:
        result = invoke(scope, value, method, [other])
        if result is not None:
            return result
    if name == "ne" and not is_sequence(a):  # Python's own __ne__ turns __eq__ around, except for tuples
        same = operator(scope, "eq", a, b)
        if same is not None:
            return Scalar(build.op("not", arithmetic.truth(scope, same)))
    return None


def in_place(scope: Scope, name: str, a: Value, b: Value) -> Value | None:
    """``a <name>= b`` by the class's own method for it."""
    return invoke(scope, a, f"__i{_DUNDER[name]}__", [b])


def unary(scope: Scope, name: str, a: Value) -> Value | None:
    return invoke(scope, a, f"__{_DUNDER[name]}__", [])


def is_instance(value: Value, wanted: Value) -> Value:
    """``isinstance(value, wanted)`` of structures, whose class is known: a number has only a dtype."""
    classes = [v.value for v in (wanted.items if isinstance(wanted, Tuple) else (wanted,)) if isinstance(v, Object)]
    if not isinstance(value, Tuple) or not all(isinstance(c, type) for c in classes):
        structure = any(isinstance(c, type) and (is_dataclass(c) or issubclass(c, tuple)) for c in classes)
        if structure and not isinstance(value, Tuple):
            return Scalar(Const(False, bool_))
        raise KernelError("isinstance() tells structures apart in a kernel", "compare x.dtype for numbers")
    return Scalar(Const(issubclass(value.cls or tuple, tuple(c for c in classes if isinstance(c, type))), bool_))


# ------------------------------------------------------------------------------------------------------------------- tuples and not


def is_sequence(value: Value) -> bool:
    """Whether Python walks, indexes and measures a value as a tuple: plain tuples and NamedTuples, but not dataclasses."""
    return isinstance(value, Tuple) and (value.cls is None or issubclass(value.cls, tuple))


def elements(value: Value, what: str) -> tuple[Value, ...]:
    """The items of a tuple that something walks."""
    if isinstance(value, Tuple) and is_sequence(value):
        if user_method(value, "__iter__") is not None:
            raise KernelError(f"{describe(value)} has an __iter__ of its own, which kernels cannot run", "name its fields")
        return value.items
    raise KernelError(f"{what}, not {describe(value)}", "name its fields" if isinstance(value, Tuple) else "")


def compared_fields(a: Tuple, b: Tuple, ordered: bool = False) -> list[tuple[Value, Value]] | None:
    """The pairs that ``==`` or ``<`` compares; None if the two can never be equal, or have no order."""
    if is_sequence(a) and is_sequence(b):
        return list(zip(a.items, b.items, strict=False)) if ordered or len(a.items) == len(b.items) else None
    if a.cls is not b.cls:
        return None
    assert a.cls is not None
    if ordered and not a.cls.__dataclass_params__.order:  # type: ignore[attr-defined]
        return None
    if not a.cls.__dataclass_params__.eq:  # type: ignore[attr-defined]
        raise KernelError(f"{a.cls.__name__} has no __eq__: Python compares which object it is", "compare fields, or drop eq=False")
    compare = {f.name for f in fields(a.cls) if f.compare}
    return [(x, y) for n, x, y in zip(a.names, a.items, b.items, strict=True) if n in compare]


def truth(scope: Scope, value: Tuple) -> Expr:
    """``bool(value)`` of a tuple or structure."""
    for name in ("__bool__", "__len__"):
        result = invoke(scope, value, name, [])
        if result is not None:
            return arithmetic.truth(scope, result)
    return Const(bool(value.items) or not is_sequence(value), bool_)


# ------------------------------------------------------------------------------------------------------------------------- identity
#
# In a kernel each name holds a structure of its own, in Python several may hold one. Nobody can tell unless a field is set.

Key = tuple[str, ...]


def changeable(value: Tuple) -> bool:
    parameters = getattr(value.cls, "__dataclass_params__", None)
    return parameters is not None and not parameters.frozen


def origins(value: Value) -> frozenset[Key]:
    """The variables that may hold a structure that is in ``value``."""
    if not isinstance(value, Tuple):
        return frozenset()
    return value.origin.union(*map(origins, value.items))


def marked(value: Value, keys: frozenset[Key]) -> Value:
    """``value``, whose structures may be those of the variables ``keys``."""
    if not isinstance(value, Tuple) or not keys:
        return value
    items = tuple(marked(item, keys) for item in value.items)
    return dataclasses.replace(value, items=items, origin=value.origin | keys if changeable(value) else value.origin)


def report_shared(shared: Shared) -> None:
    """An error for each field that is set in a structure with another name."""
    seen: set[tuple[Key, int]] = set()
    for scope, node, key, what in shared.mutations:
        place = (key, scope.locate(node).line)  # `a.b.c = d` also sets `a.b`
        if place in seen:
            continue
        seen.add(place)
        others = shared.origins.get(key, frozenset()) - {key}
        for k, held in shared.origins.items():
            lives = key[: len(k) - 1] == k[:-1] and k[-1] != "return"  # a variable of an inlined function is gone when its caller goes on
            if k != key and key in held and lives:
                others |= {k}
        if others:
            name = min(k[-1] for k in others)
            message = f"'{what} = ...' changes a structure that '{name}' may hold too: in a kernel each name has its own"
            scope.report(KernelError(message, "make a new one with dataclasses.replace(...), or copy it by its fields first"), node)


# --------------------------------------------------------------------------------------------------------------------------- making


def construct(scope: Scope, cls: type, args: Sequence[Value], kwargs: dict[str, Value]) -> Value:
    """An instance of a NamedTuple or dataclass."""
    named = issubclass(cls, tuple) and hasattr(cls, "_fields")
    if not named and not is_dataclass(cls):
        raise KernelError(f"class '{cls.__name__}' cannot be used in a kernel", "structures are NamedTuples and dataclasses")
    for method in _MAKING:
        if class_method(cls, method) is not None:
            kind = "NamedTuple" if named else "dataclass"
            message = f"{kind} {cls.__name__} has {_article(method)}{method} of its own, which kernels cannot run"
            raise KernelError(message, "move it into a function that makes the instance")
    names, positional, defaults = _parameters(cls)
    if len(args) > len(positional):
        raise KernelError(f"{cls.__name__}() takes {len(positional)} fields, not {len(args)}")
    values = dict(zip(positional, args, strict=False))
    given = {f.name for f in fields(cls) if f.init} if is_dataclass(cls) else set(names)
    for name, value in kwargs.items():
        if name not in given or name in values:
            raise KernelError(f"{cls.__name__}() got an unexpected or repeated argument '{name}'", f"its fields are {', '.join(names)}")
        values[name] = value
    for name in names:
        if name not in values:
            if name not in defaults:
                raise KernelError(f"{cls.__name__}() misses the field '{name}'", f"its fields are {', '.join(names)}")
            from anygpu.frontend.expressions import wrap

            values[name] = wrap(scope, defaults[name])
    return Tuple(tuple(scope.pin_value(values[n]) for n in names), cls, names)


def _article(name: str) -> str:
    return "an " if name == "__init__" else "a "


def _parameters(cls: type) -> tuple[tuple[str, ...], tuple[str, ...], dict[str, object]]:
    """A structure's fields, those of them that are positional parameters, and the defaults."""
    if not is_dataclass(cls):
        names = tuple(cls._fields)  # type: ignore[attr-defined]
        return names, names, dict(cls._field_defaults)  # type: ignore[attr-defined]
    if any(isinstance(a, InitVar) or str(a).startswith(("InitVar", "dataclasses.InitVar")) for a in inspect.get_annotations(cls).values()):
        raise KernelError(f"dataclass {cls.__name__} has an InitVar, which kernels cannot pass", "pass the value to a function")
    made = fields(cls)
    for f in made:
        if f.default_factory is not MISSING:
            message = f"field '{f.name}' of {cls.__name__} has a default_factory, which kernels cannot run"
            raise KernelError(message, "give it a default, or make the instance outside")
    defaults = {f.name: f.default for f in made if f.default is not MISSING}
    return tuple(f.name for f in made), tuple(f.name for f in made if f.init and not f.kw_only), defaults


def replaced(scope: Scope, value: Tuple, kwargs: dict[str, Value]) -> Value:
    """``value._replace(**kwargs)`` of a NamedTuple, and ``dataclasses.replace(value, **kwargs)``."""
    assert value.cls is not None
    for name in kwargs:
        if name not in value.names:
            raise KernelError(f"{value.cls.__name__} has no field '{name}'", f"its fields are {', '.join(value.names)}")
    items = (scope.pin_value(kwargs.get(n, item)) for n, item in zip(value.names, value.items, strict=True))
    return Tuple(tuple(items), value.cls, value.names)


__all__ = [
    "class_method",
    "compared_fields",
    "construct",
    "elements",
    "in_place",
    "invoke",
    "is_instance",
    "is_sequence",
    "operator",
    "replaced",
    "truth",
    "unary",
    "user_method",
]  # fmt: skip
