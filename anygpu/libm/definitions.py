"""libm's functions as IR, made once a process when a kernel first needs them."""

from __future__ import annotations

import functools
from types import FunctionType

from anygpu.dtypes import DType, dtype_named, int32
from anygpu.errors import InternalError
from anygpu.frontend.statements import lower_function
from anygpu.ir.kernel import Function
from anygpu.ir.ops import OPERATIONS


@functools.cache
def definition(name: str, dtype: DType) -> Function:
    """The body of operation ``name`` at ``dtype`` (float32 or float64); raises ``InternalError`` if libm lacks it."""
    from anygpu.libm import FUNCTIONS

    function = FUNCTIONS.get((name, dtype.name))
    if not isinstance(function, FunctionType):
        raise InternalError(f"libm has no {name} for {dtype}")
    arity = OPERATIONS[name].arity
    dtypes = [dtype] * arity if name != "ldexp" else [dtype, int32]
    return lower_function(function, dtypes)


__all__ = ["definition", "dtype_named"]
