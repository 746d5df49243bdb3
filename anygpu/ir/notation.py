"""The words of KERNEL IR's text form, which the printer (``text``) and the parser (``text_parse``) share."""

from __future__ import annotations

import json
import math
import re
import struct

import numpy as np

from anygpu.dtypes import DTYPES, DType, bool_, float64, int64
from anygpu.ir.kernel import Special

# Operation -> its sign and how tightly it binds. Comparisons do not chain.
INFIX: dict[str, tuple[str, int]] = {
    **{name: (sign, 1) for name, sign in (("eq", "=="), ("ne", "!="), ("lt", "<"), ("le", "<="), ("gt", ">"), ("ge", ">="))},
    "or": ("|", 2), "xor": ("^", 3), "and": ("&", 4), "shl": ("<<", 5), "shr": (">>", 5), "add": ("+", 6), "sub": ("-", 6),
    "mul": ("*", 7), "div": ("/", 7), "floordiv": ("//", 7), "mod": ("%", 7),
}  # fmt: skip
COMPARISON = 1

AXES = ("x", "y", "z")
SPECIALS: dict[str, Special] = {
    **{f"{name}.{axis}": Special(name, n) for name in ("thread", "block", "block_dim", "grid_dim") for n, axis in enumerate(AXES)},
    **{f"{name}.{axis}": Special(name, axis) for name in ("index", "extent") for axis in range(32)},
    "lane": Special("lane"),
    "warp": Special("warp"),
}
SPECIAL_NAMES = {(special.name, special.axis): text for text, special in SPECIALS.items()}

# What a literal of any other dtype than BARE's ends in.
SUFFIXES: dict[DType, str] = {
    dtype: "bf16" if name == "bfloat16" else f"{dtype.kind}{dtype.bits}" for name, dtype in DTYPES.items() if dtype.kind in "iuf"
}
# Literals of these dtypes need no suffix.
BARE = (bool_, int64, float64)

KEYWORDS = frozenset({
    "kernel", "range", "source", "in", "param", "global", "shared", "local", "const", "readonly", "writeable", "strided", "record",
    "if", "else", "for", "loop", "while", "block", "exit", "pass",
    "barrier", "fence", "warp", "atomic", "unchecked", "print", "assert", "true", "false", "mask", "width", "dim", "bitcast",
})  # fmt: skip
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_.$]*")
_FLOAT_WORD = re.compile(r"(inf|nan)(_.*)?")
# The NaN that the word "nan" stands for.
NAN_BITS: int = struct.unpack("<Q", struct.pack("<d", math.nan))[0]


def quote(name: str) -> str:
    """``name`` as the notation writes it."""
    plain = _WORD.fullmatch(name) and name not in KEYWORDS and name not in SPECIALS and not _FLOAT_WORD.fullmatch(name)
    return name if plain else f"%{json.dumps(name)}"


def round_to(value: float, dtype: DType) -> float:
    """The nearest number of a float dtype: what a literal of it means."""
    with np.errstate(over="ignore"):
        return float(np.array(value).astype(dtype.numpy).astype(np.float64))
