"""Python's and NumPy's values as C: macros and typed constants for the head of a source."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import numpy as np

_NAME = re.compile(r"[A-Za-z_]\w*")
_OPENCL = {
    "bool": "bool", "int8": "char", "uint8": "uchar", "int16": "short", "uint16": "ushort", "int32": "int", "uint32": "uint",
    "int64": "long", "uint64": "ulong", "float16": "half", "float32": "float", "float64": "double",
}  # fmt: skip
_CPLUSPLUS = _OPENCL | {
    "int8": "signed char", "uint8": "unsigned char", "uint16": "unsigned short", "uint32": "unsigned int", "int64": "long long",
    "uint64": "unsigned long long", "float16": "__half",
}  # fmt: skip


def c_type(dtype: np.dtype, language: str) -> str:
    """A dtype's name in a language. Raises ``ValueError`` for one that C has no name for."""
    names = _OPENCL if language == "opencl" else _CPLUSPLUS
    if dtype.name not in names:
        raise ValueError(f"{dtype} has no name in {language}")
    return names[dtype.name]


def literal(value: object, language: str) -> str:
    """A number as a C literal of exactly that value. Text stays as it is.

    Example:
        >>> import numpy as np
        >>> literal(True, "cuda"), literal(np.float32(0.1), "cuda"), literal(3, "opencl")
        ('1', '0x1.99999a0000000p-4f', '3')
    """
    match value:
        case str():
            return value
        case bool() | np.bool_():
            return str(int(value))
        case int() | np.integer():
            number, long = int(value), "L" if language == "opencl" else "LL"
            if number == -(1 << 63):
                return f"({number + 1}{long} - 1)"  # C has no negative literals
            return f"{number}{'' if -(1 << 31) < number < 1 << 31 else long if number < 1 << 63 else 'U' + long}"
        case float() | np.floating():
            suffix = "" if isinstance(value, float) else "f"  # np.float64 is a float
            real = float(value)
            if math.isnan(real):
                return f"(0.0{suffix} / 0.0{suffix})"
            if math.isinf(real):
                return f"({'-' * (real < 0)}1.0{suffix} / 0.0{suffix})"
            return real.hex() + suffix
    raise ValueError(f"{value!r} cannot be written as a constant of {language}: it takes numbers, bools, text and arrays of numbers")


def declarations(language: str, defines: Mapping[str, object], constants: Mapping[str, object]) -> str:
    """The lines before a source that define its macros and constants."""
    lines = []
    for name, value in defines.items():
        _check_name(name)
        lines.append(f"#define {name} {literal(value, language)}")
    for name, value in constants.items():
        _check_name(name)
        array = np.asarray(value)
        opencl = language == "opencl"
        if array.ndim:
            space = "__constant" if opencl else "__constant__ const"
            shape = "".join(f"[{n}]" for n in array.shape)
            lines.append(f"{space} {c_type(array.dtype, language)} {name}{shape} = {_braces(array, language)};")
        else:
            space = "__constant const" if opencl else "static constexpr"
            scalar = value if isinstance(value, bool | int | float | np.generic) else array[()]
            kind = np.dtype(np.int64) if isinstance(value, int) and not isinstance(value, bool) else array.dtype
            lines.append(f"{space} {c_type(kind, language)} {name} = {literal(scalar, language)};")
    return "".join(line + "\n" for line in lines)


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name in C")


def _braces(array: np.ndarray, language: str) -> str:
    parts = (_braces(part, language) for part in array) if array.ndim > 1 else (literal(item, language) for item in array)
    return "{" + ", ".join(parts) + "}"
