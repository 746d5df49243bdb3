"""Types of kernel arguments as a user writes them, such as ``f32, f32[:, :] strided, int``, and small arguments of these types."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType

import numpy as np

from anygpu.dtypes import DTYPES, DType
from anygpu.errors import AnyGPUError

SHORT = {f"{dtype.kind}{dtype.bits}": dtype for dtype in DTYPES.values() if dtype.kind in "iufc" and dtype.name != "bfloat16"}
NAMES: dict[str, DType] = DTYPES | SHORT | {"bf16": DTYPES["bfloat16"]}
PYTHON: dict[str, object] = {"int": 1, "float": 1.0, "complex": 1j}
EXTENT = 4  # of every axis of a small array
MAXIMUM_NDIM = 8

_TYPE = re.compile(r"(?:\w+\.)?(?P<name>\w+)\s*(?:\[(?P<axes>[^\[\]]*)\])?(?P<words>(?:\s+\w+)*)", re.ASCII)


class SignatureError(AnyGPUError, ValueError):
    """A signature that cannot be read, or a kernel that needs one. The text shows what to write."""


def arguments_of(signature: str, names: Mapping[str, object] | None = None) -> list[object]:
    """A small argument of each type in ``signature``: arrays of zeros with 4 elements an axis, ones, and tuples of these.

    ``names`` holds the classes (NamedTuples and dataclasses) that a signature may name, as a module's globals do.

    Raises:
        SignatureError: A type is not one; the text names it.

    Example:
        >>> [getattr(a, "shape", a) for a in arguments_of("int, f32[:, :]")]
        [1, (4, 4)]
    """
    return [argument_of(part, names) for part in _split(signature)]


def argument_of(text: str, names: Mapping[str, object] | None = None) -> object:
    """A small argument of one type."""
    text = text.strip()
    if text.startswith("(") and text.endswith(")"):
        return tuple(argument_of(part, names) for part in _split(text[1:-1]) if part.strip())
    structure = (names or {}).get(text)
    if isinstance(structure, type) and text not in NAMES and text not in PYTHON:
        return _structure(structure, names)
    match = _TYPE.fullmatch(text)
    if match is None:
        raise SignatureError(f"{text.strip()!r} is not a type: write f32 for a scalar, f32[:] or f32[:, :] for arrays")
    name, axes, words = match["name"], match["axes"], match["words"].split()
    if axes is None:
        if words:
            raise SignatureError(f"{text.strip()!r}: only arrays are {' and '.join(words)}")
        if name in PYTHON:
            return PYTHON[name]
        return _dtype(name).numpy.type(1)
    return _array(_dtype(name), axes, words, text.strip())


def _structure(cls: type, names: Mapping[str, object] | None) -> object:
    """A NamedTuple or dataclass whose fields are of the types that their annotations spell."""
    if not (issubclass(cls, tuple) and hasattr(cls, "_fields")) and not dataclasses.is_dataclass(cls):
        raise SignatureError(f"{cls.__name__!r} is no type of an argument: structures are NamedTuples and dataclasses")
    annotations = inspect.get_annotations(cls)
    fields = [f.name for f in dataclasses.fields(cls)] if dataclasses.is_dataclass(cls) else list(getattr(cls, "_fields", ()))
    missing = [name for name in fields if name not in annotations]
    if missing:
        raise SignatureError(f"{cls.__name__!r}: its field {missing[0]!r} has no annotation that would say its type")
    inner = {**vars(sys.modules.get(cls.__module__, sys)), **(names or {})}
    make: Callable[..., object] = cls
    return make(*[argument_of(_spelled(annotations[name]), inner) for name in fields])


def _spelled(annotation: object) -> str:
    """A type as a signature spells it."""
    match annotation:
        case str():
            return annotation.strip().strip("\"'")
        case typing.ForwardRef():
            return annotation.__forward_arg__.strip().strip("\"'")
        case type():
            return annotation.__name__
    return str(annotation)


def _dtype(name: str) -> DType:
    if name not in NAMES:
        raise SignatureError(f"there is no dtype {name!r}: the names are {', '.join(DTYPES)}, or short {', '.join(SHORT)}, bf16")
    return NAMES[name]


def _array(dtype: DType, axes: str, words: list[str], text: str) -> object:
    extents = [part.strip() for part in axes.split(",")] if axes.strip() else []
    if any(extent != ":" for extent in extents):
        raise SignatureError(f"{text!r}: an axis is written ':', so that two axes are {dtype}[:, :]; kernels do not depend on lengths")
    if len(extents) > MAXIMUM_NDIM:
        raise SignatureError(f"{text!r} has {len(extents)} axes; kernels take up to {MAXIMUM_NDIM}")
    unknown = sorted(set(words).difference(("strided", "readonly")))
    if unknown:
        raise SignatureError(f"{text!r}: an array may be 'strided' or 'readonly', not {unknown[0]!r}")
    array = np.zeros((EXTENT,) * len(extents), dtype.numpy)
    if "strided" in words:
        if not extents:
            raise SignatureError(f"{text!r}: an array without axes has no strides")
        array = np.zeros((*array.shape[:-1], 2 * EXTENT), dtype.numpy)[..., ::2]
    array.flags.writeable = "readonly" not in words
    return array


def _split(signature: str) -> Iterator[str]:
    """The types between the commas outside brackets."""
    depth, start = 0, 0
    for position, character in enumerate(signature):
        depth += (character in "[(") - (character in "])")
        if character == "," and depth == 0:
            yield signature[start:position]
            start = position + 1
    if signature[start:].strip() or start:
        yield signature[start:]


def annotated(function: FunctionType) -> str | None:
    """The signature that a kernel's annotations spell, or None if a parameter has none."""
    code = function.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    found = []
    for name in names:
        given = function.__annotations__.get(name)
        if given is None:
            return None
        found.append(_spelled(given))
    return ", ".join(found)


def example(function: FunctionType) -> str:
    """A signature that may suit a kernel: an array of as many axes as its subscripts have for every parameter that is subscripted."""
    from anygpu.frontend.parse import parse_function

    code = function.__code__
    ranks: dict[str, int | None] = dict.fromkeys(code.co_varnames[: code.co_argcount + code.co_kwonlyargcount])
    for node in ast.walk(parse_function(function).node):
        match node:
            case ast.Subscript(value=ast.Name(id=name), slice=index) if name in ranks:
                axes = len(index.elts) if isinstance(index, ast.Tuple) else 1
                ranks[name] = max(axes, ranks[name] or 0)
            case ast.Attribute(value=ast.Name(id=name), attr="shape" | "size" | "ndim" | "strides") if name in ranks:
                ranks[name] = ranks[name] or 1
            case _:
                continue
    return ", ".join("f32" if rank is None else f"f32[{', '.join(':' * rank)}]" for rank in ranks.values())
