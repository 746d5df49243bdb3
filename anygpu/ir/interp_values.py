"""Scalar operations of KERNEL IR on NumPy arrays of exact dtype: one array element a work-item.

Half types are computed in float32 and rounded once an operation, whether or not a pass has made that explicit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from anygpu.dtypes import DType, bfloat16, float32
from anygpu.errors import InternalError
from anygpu.ir.ops import OPERATIONS, is_expanded, saturating_cast

Values = NDArray[np.generic]
Libm = Literal["error", "reference"]


def evaluate(name: str, operands: Sequence[Values], dtypes: Sequence[DType], libm: Libm = "error") -> Values:
    """Row ``name`` of ``OPERATIONS`` on arrays of one shape whose dtypes are ``dtypes``.

    A row that ``anygpu.libm`` expands raises ``InternalError`` unless ``libm`` is "reference", which takes the row's NumPy
    function: near the truth, but not the bits of a device.

    >>> import numpy as np
    >>> from anygpu.dtypes import int8
    >>> with np.errstate(all="ignore"):
    ...     evaluate("floordiv", [np.array([7, -128], np.int8), np.array([0, -1], np.int8)], [int8, int8])
    array([   0, -128], dtype=int8)
    """
    row = OPERATIONS[name]
    if libm == "error" and is_expanded(name, dtypes[0]):
        raise InternalError(f"{name} of {dtypes[0]} must be expanded from anygpu.libm before it is interpreted")
    result = row.result_dtype(dtypes)
    if name != "select":  # a choice rounds nothing
        operands = [widen(value, dtype) for value, dtype in zip(operands, dtypes, strict=True)]
    value = np.asarray(row.numpy(*operands))
    wanted = (float32 if result.is_half and name != "select" else result).numpy
    if value.dtype != wanted:
        raise InternalError(f"the NumPy meaning of {name} of {', '.join(map(str, dtypes))} gives {value.dtype}, not {wanted}")
    return value.astype(result.numpy, copy=False)


def widen(value: Values, dtype: DType) -> Values:
    """Half types as float32; anything else as it is."""
    return value.astype(np.float32) if dtype.is_half else value


def cast(value: Values, source: DType, target: DType) -> Values:
    """Conversion by value, ``saturating_cast``, in exactly the target's NumPy dtype."""
    return np.asarray(saturating_cast(value, source, target)).astype(target.numpy, copy=False)


def same_bits(value: Values) -> Values:
    """The bits of values as unsigned integers, so that equal means identical: -0 differs from 0, a NaN equals itself."""
    return value.view(np.dtype(f"u{value.dtype.itemsize}"))


def format_value(value: np.generic, dtype: DType) -> str:
    """A scalar as ``print`` in a kernel shows it: the shortest decimal that names it in its dtype."""
    match dtype.kind:
        case "b":
            return str(bool(value))
        case "f":
            if dtype is bfloat16:
                value = np.float32(value)
            return str(value) if dtype.bits < 64 else repr(float(value))
        case _:
            return str(int(value))
