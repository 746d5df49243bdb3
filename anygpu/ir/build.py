"""Constructors of expressions that fold constants: the only place where the compiler itself computes a user's value.

Folding uses the operation table's NumPy meaning, so a folded constant has the bits that the running kernel would have given.
"""

from __future__ import annotations

import math

import numpy as np

from anygpu.dtypes import DType, bool_, int64
from anygpu.ir.kernel import Bitcast, Cast, Const, Expr, Op
from anygpu.ir.ops import OPERATIONS, is_expanded, saturating_cast


def constant(value: bool | int | float, dtype: DType) -> Const:
    """``value`` rounded (floats) or wrapped (integers) into ``dtype``."""
    if dtype is bool_:
        return Const(bool(value), dtype)
    if dtype.is_integer:
        bits = int(value) & ((1 << dtype.bits) - 1)
        return Const(bits - (1 << dtype.bits) if dtype.kind == "i" and bits >> (dtype.bits - 1) else bits, dtype)
    if dtype.bits == 64:
        return Const(float(value), dtype)
    with np.errstate(all="ignore"):
        return Const(float(np.array(float(value)).astype(dtype.numpy)), dtype)


def integer(value: int) -> Const:
    """An int64 literal: the type of indices."""
    return Const(value, int64)


def _from_numpy(result: np.ndarray[tuple[int, ...], np.dtype[np.generic]], dtype: DType) -> Const:
    value = result.astype(np.float64).item() if dtype.is_float else result.item()
    return constant(value, dtype)


def op(name: str, *args: Expr) -> Expr:
    """The operation ``name`` on operands that its row accepts, folded if all are literals and the meaning is exact."""
    row = OPERATIONS[name]
    dtypes = [a.dtype for a in args]
    dtype = row.result_dtype(dtypes)
    if name == "select" and isinstance(args[0], Const):
        return args[1] if args[0].value else args[2]
    if name in ("and", "or") and dtype is bool_:
        for known, other in ((args[0], args[1]), (args[1], args[0])):
            if isinstance(known, Const):
                return other if bool(known.value) == (name == "and") else known
    if name == "not" and isinstance(args[0], Op) and args[0].name == "not":
        return args[0].args[0]
    if dtype.is_integer and len(args) == 2 and (simpler := _identity(name, args[0], args[1])) is not None:
        return simpler
    if all(isinstance(a, Const) for a in args) and not is_expanded(name, dtypes[-1]) and not any(d.is_half for d in dtypes):
        with np.errstate(all="ignore"):
            values = [np.asarray(a.value, a.dtype.numpy) for a in args if isinstance(a, Const)]
            return _from_numpy(np.asarray(row.numpy(*values)), dtype)
    return Op(name, args, dtype)


def _identity(name: str, a: Expr, b: Expr) -> Expr | None:
    """Integer identities that hold for every value."""
    left = a.value if isinstance(a, Const) else None
    right = b.value if isinstance(b, Const) else None
    match name:
        case "add" if left == 0:
            return b
        case "add" | "sub" | "shl" | "shr" | "or" | "xor" if right == 0:
            return a
        case "mul" if left == 1:
            return b
        case "mul" | "floordiv" if right == 1:
            return a
    return None


def cast(arg: Expr, dtype: DType) -> Expr:
    """``arg`` converted to ``dtype``; nothing if it has that type."""
    if arg.dtype is dtype:
        return arg
    if isinstance(arg, Const) and not dtype.is_half:
        with np.errstate(all="ignore"):
            return _from_numpy(np.asarray(saturating_cast(np.asarray(arg.value, arg.dtype.numpy), arg.dtype, dtype)), dtype)
    if isinstance(arg, Const) and dtype.is_half and (not arg.dtype.is_float or math.isfinite(float(arg.value))):
        with np.errstate(all="ignore"):
            rounded = saturating_cast(np.asarray(arg.value, arg.dtype.numpy), arg.dtype, dtype)
        return Const(float(rounded.astype(np.float64)), dtype)
    return Cast(arg, dtype)


def bitcast(arg: Expr, dtype: DType) -> Expr:
    """The bits of ``arg`` as ``dtype``, which has the same size."""
    if arg.dtype is dtype:
        return arg
    if isinstance(arg, Const):
        return _from_numpy(np.asarray(arg.value, arg.dtype.numpy).view(dtype.numpy), dtype)
    return Bitcast(arg, dtype)


def truth(arg: Expr) -> Expr:
    """``bool(arg)``: not zero."""
    return cast(arg, bool_)
