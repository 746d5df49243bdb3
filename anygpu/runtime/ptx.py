"""What PTX tells about its kernels."""

from __future__ import annotations

import re

from anygpu.runtime.base import Parameter

_ENTRY = re.compile(r"\.entry\s+([\w$]+)\s*\(([^)]*)\)")
_PARAMETER = re.compile(r"\.param\s+(?:\.align\s+\d+\s+)?\.(?P<type>\w+)\s+(?:\.ptr\b[^,]*?\s)?(?P<name>[\w$]+)(?:\[(?P<count>\d+)\])?")
_FLOATS = {"f16": "e", "f32": "f", "f64": "d"}


def ptx_parameters(text: str) -> dict[str, tuple[Parameter, ...]]:
    """Each kernel's parameters. Pointers and 64-bit integers look alike in PTX, so both are scalars of 8 bytes.

    Example:
        >>> ptx_parameters(".visible .entry f( .param .u64 f_0, .param .f32 f_1 ) { ret; }")
        {'f': (Parameter(code='*', size=8, name='', type=''), Parameter(code='f', size=4, name='', type=''))}
    """
    return {
        entry[1]: tuple(_parameter(match["type"], match["count"]) for match in _PARAMETER.finditer(entry[2]))
        for entry in _ENTRY.finditer(text)
    }  # fmt: skip


def _parameter(kind: str, count: str | None) -> Parameter:
    if count is not None:
        return Parameter("V", int(count) * int(kind[1:]) // 8)
    return Parameter(_FLOATS.get(kind, "*"), int(kind[1:]) // 8)
