"""Every operation of the table at every dtype that its row takes, written as a user writes it in Python.

A cell is right if the kernel's IR holds the row and the device gives the interpreter's bits. A row that no Python expression reaches must
say why in ``UNSUPPORTED``. (``tests/unit/test_grid.py`` is the completeness grid of back ends.)
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

import anygpu as ag
from anygpu.dtypes import DTYPES, bool_, int32
from anygpu.engine.arguments import describe
from anygpu.engine.compile import Options, lower
from anygpu.ir.kernel import operands, subexpressions, walk
from anygpu.ir.ops import ATOMICS, OPERATIONS, is_expanded
from anygpu.testing.harness import Grid, check, special_values

Function = Callable[..., object]


def _less(a, b):
    return a < b


# Each row as a kernel spells it, as a function of its operands.
SPELLINGS: dict[str, Function] = {
    "add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "div": lambda a, b: a / b,
    "neg": lambda a: -a, "abs": lambda a: abs(a), "floordiv": lambda a, b: a // b, "mod": lambda a, b: a % b,
    "minimum": lambda a, b: np.minimum(a, b), "maximum": lambda a, b: np.maximum(a, b),
    "fmin": lambda a, b: np.fmin(a, b), "fmax": lambda a, b: np.fmax(a, b),
    "and": lambda a, b: a & b, "or": lambda a, b: a | b, "xor": lambda a, b: a ^ b, "not": lambda a: ~a,
    "shl": lambda a, b: a << b, "shr": lambda a, b: a >> b,
    "eq": lambda a, b: a == b, "ne": lambda a, b: a != b, "lt": _less, "le": lambda a, b: a <= b, "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b, "select": lambda a, b, c: ag.select(a, b, c), "fma": lambda a, b, c: ag.fma(a, b, c),
    "sqrt": lambda a: np.sqrt(a), "floor": lambda a: np.floor(a), "ceil": lambda a: np.ceil(a), "trunc": lambda a: np.trunc(a),
    "rint": lambda a: np.rint(a), "copysign": lambda a, b: math.copysign(a, b),
    "isnan": lambda a: np.isnan(a), "isinf": lambda a: np.isinf(a),
    "isfinite": lambda a: np.isfinite(a), "signbit": lambda a: np.signbit(a), "popc": lambda a: ag.popc(a), "clz": lambda a: ag.clz(a),
    "ctz": lambda a: ag.ffs(a), "brev": lambda a: ag.brev(a), "mulhi": lambda a, b: ag.mulhi(a, b),
    "exp": lambda a: math.exp(a), "exp2": lambda a: np.exp2(a), "exp10": lambda a: ag.exp10(a), "expm1": lambda a: math.expm1(a),
    "log": lambda a: math.log(a), "log2": lambda a: math.log2(a), "log10": lambda a: math.log10(a), "log1p": lambda a: math.log1p(a),
    "cbrt": lambda a: np.cbrt(a), "rsqrt": lambda a: ag.rsqrt(a), "sin": lambda a: math.sin(a), "cos": lambda a: math.cos(a),
    "tan": lambda a: math.tan(a), "sinpi": lambda a: ag.sinpi(a), "cospi": lambda a: ag.cospi(a), "asin": lambda a: math.asin(a),
    "acos": lambda a: math.acos(a), "atan": lambda a: math.atan(a), "atan2": lambda a, b: math.atan2(a, b), "sinh": lambda a: math.sinh(a),
    "cosh": lambda a: math.cosh(a), "tanh": lambda a: math.tanh(a), "asinh": lambda a: math.asinh(a), "acosh": lambda a: math.acosh(a),
    "atanh": lambda a: math.atanh(a), "pow": lambda a, b: math.pow(a, b), "hypot": lambda a, b: math.hypot(a, b),
    "fmod": lambda a, b: math.fmod(a, b), "remainder": lambda a, b: math.remainder(a, b), "erf": lambda a: math.erf(a),
    "erfc": lambda a: math.erfc(a), "gamma": lambda a: math.gamma(a), "lgamma": lambda a: math.lgamma(a),
    "ldexp": lambda a, b: math.ldexp(a, b), "nextafter": lambda a, b: np.nextafter(a, b),
    "frexp_mantissa": lambda a: math.frexp(a)[0], "frexp_exponent": lambda a: math.frexp(a)[1],
}  # fmt: skip

UNSUPPORTED: dict[str, str] = {
    "logb": "neither math nor NumPy has it; libm's own functions use it",
}


def cells() -> list[tuple[str, str]]:
    """Every (operation, dtype) that the table takes."""
    return [(name, d.name) for name, row in OPERATIONS.items() for d in DTYPES.values() if d.kind in row.domain]


def operand_dtypes(name, dtype):
    """The dtypes of a row's operands when its elements are ``dtype``."""
    if name == "select":
        return [bool_, dtype, dtype]
    return [dtype, int32] if name == "ldexp" else [dtype] * OPERATIONS[name].arity


def unary(f):
    def apply(x, out):
        i = ag.grid(1)
        out[i] = f(x[i])

    return apply


def binary(f):
    def apply(x, y, out):
        i = ag.grid(1)
        out[i] = f(x[i], y[i])

    return apply


def ternary(f):
    def apply(x, y, z, out):
        i = ag.grid(1)
        out[i] = f(x[i], y[i], z[i])

    return apply


def combinations(dtypes, length):
    """Special values of each operand, arranged so that pairs meet in many ways."""
    found = []
    for n, d in enumerate(dtypes):
        values = special_values(d.numpy)
        if n == 0:
            found.append(np.resize(values, length))
        else:
            found.append(np.resize(np.repeat(np.roll(values, 3 * n), max(1, length // (n * len(values)))), length))
    return found


def holds_row(kernel, args, name):
    """Whether the frontend's IR of a launch has the operation itself."""
    described = [describe(a, n) for a, n in zip(args, kernel._names, strict=True)]
    lowered = lower(kernel.__wrapped__, tuple(d.type for d in described), Options())
    found = {getattr(e, "name", "") for s in walk(lowered.body) for o in operands(s) for e in subexpressions(o)}
    return name in found


@pytest.mark.parametrize("name", [n for n in OPERATIONS if n not in UNSUPPORTED])
def test_row(name):
    row = OPERATIONS[name]
    for dtype in DTYPES.values():
        if dtype.kind not in row.domain:
            continue
        dtypes = operand_dtypes(name, dtype)
        xs = combinations(dtypes, 256 if is_expanded(name, dtype) else 512)
        out = np.zeros(len(xs[0]), row.result_dtype(dtypes).numpy)
        kernel = ag.kernel({1: unary, 2: binary, 3: ternary}[row.arity](SPELLINGS[name]), bounds_check=False)
        if name != "abs" or dtype.kind != "u":  # an unsigned number is its own
            assert holds_row(kernel, [*xs, out], name), f"{name} of {dtype} is not in the IR"
        check(kernel, Grid(len(out) // 32, 32), *xs, out)


def test_every_row_can_be_written():
    """Every row has a spelling or a reason, never both; and none is left that the table no longer has."""
    missing = set(OPERATIONS) - set(SPELLINGS) - set(UNSUPPORTED)
    assert not missing, f"no kernel can say {', '.join(sorted(missing))}: give each a word in frontend/functions.py, and its spelling here"
    assert not (set(SPELLINGS) | set(UNSUPPORTED)) - set(OPERATIONS)
    assert not set(SPELLINGS) & set(UNSUPPORTED)
    assert all(UNSUPPORTED.values())


def test_the_atomics_are_complete():
    """``test_memory`` goes through this table: each row has its word."""
    words = {"and": "and_", "or": "or_"}
    for name in ATOMICS:
        assert hasattr(ag.atomic, words.get(name, name))
