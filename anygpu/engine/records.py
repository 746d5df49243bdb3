"""Frozen dataclasses as JSON and back, by their annotations: what ``manifest.json`` is written and checked with.

A field that has its default value is left out. What is read must have the shape that the annotations say; what they do not name is
passed over, so that a later version may add to it.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from typing import TypeVar

T = TypeVar("T")


class Malformed(ValueError):
    """JSON that does not say what its dataclass needs; the text names the place."""


def to_json(value: object) -> object:
    """A dataclass as dicts, lists, text, numbers, booleans and None."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = ((f, getattr(value, f.name)) for f in dataclasses.fields(value))
        return {f.name: to_json(item) for f, item in pairs if f.default is dataclasses.MISSING or item != f.default}
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    if isinstance(value, frozenset):
        return sorted(value)
    return [to_json(item) for item in value] if isinstance(value, tuple) else value


def from_json(cls: type[T], data: object, where: str = "") -> T:
    """The dataclass ``cls`` of what ``to_json`` made. Raises ``Malformed``."""
    found = _read(cls, data, where)
    assert isinstance(found, cls)
    return found


@functools.cache
def _hints(cls: type) -> dict[str, object]:
    return typing.get_type_hints(cls)


def _read(kind: object, data: object, where: str) -> object:
    arguments = typing.get_args(kind)
    match typing.get_origin(kind):
        case types.UnionType | typing.Union:
            return None if data is None and type(None) in arguments else _read(arguments[0], data, where)
        case typing.Literal:
            if data not in arguments:
                raise Malformed(f"{where} is {data!r}, not one of {', '.join(map(repr, arguments))}")
            return data
        case origin if origin in (tuple, frozenset):
            items = _expect(list, data, where)
            if arguments[-1] is not Ellipsis and origin is tuple:
                if len(items) != len(arguments):
                    raise Malformed(f"{where} has {len(items)} items, not {len(arguments)}")
                return tuple(_read(k, item, f"{where}[{n}]") for n, (k, item) in enumerate(zip(arguments, items, strict=True)))
            return origin(_read(arguments[0], item, f"{where}[{n}]") for n, item in enumerate(items))
        case origin if origin is dict:
            return {key: _read(arguments[1], item, f"{where}.{key}") for key, item in _expect(dict, data, where).items()}
    assert isinstance(kind, type)
    if not dataclasses.is_dataclass(kind):
        return _expect(kind, data, where)
    row, hints = _expect(dict, data, where), _hints(kind)
    values = {}
    for f in dataclasses.fields(kind):
        if f.name in row:
            values[f.name] = _read(hints[f.name], row[f.name], f"{where}.{f.name}".lstrip("."))
        elif f.default is dataclasses.MISSING:
            raise Malformed(f"{f'{where}.{f.name}'.lstrip('.')} is missing")
    return kind(**values)


def _expect(kind: type[T], data: object, where: str) -> T:
    if not isinstance(data, kind) or (kind is int and isinstance(data, bool)):
        raise Malformed(f"{where or 'it'} is a {type(data).__name__}, not a {kind.__name__}")
    return data


__all__ = ["Malformed", "from_json", "to_json"]
