"""The elementary functions, written once in the kernel language and so the same bits on every device.

Every function is plain Python that the compiler parses, types at float32 or float64 and inlines; called directly with NumPy scalars it
computes the same bits, slowly.  Only IEEE 754 addition, subtraction, multiplication, division, square root and fused multiply-add are used,
and the compiler neither contracts nor reassociates them.

    >>> import numpy as np
    >>> from anygpu.libm import FUNCTIONS
    >>> float(FUNCTIONS["exp2", "float64"](np.float64(10.0)))
    1024.0

All take and return floats of their type, except that `ldexp` takes an int32 second and `frexp_exponent` returns int32.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable

__all__ = ["FUNCTIONS", "OPERATIONS"]

# Module -> the operations it defines, each as `<operation>_float32` and `<operation>_float64`.
OPERATIONS: dict[str, tuple[str, ...]] = {
    "bits": ("frexp_exponent", "frexp_mantissa", "ldexp", "logb", "modf_fraction", "modf_integer", "nextafter"),
    "error_function": ("erf", "erfc"),
    "exponential": ("exp", "exp2", "exp10", "expm1"),
    "gamma": ("gamma", "lgamma"),
    "hyperbolic": ("sinh", "cosh", "tanh", "asinh", "acosh", "atanh"),
    "inverse_trigonometric": ("asin", "acos", "atan", "atan2"),
    "logarithm": ("log", "log2", "log10", "log1p"),
    "power": ("pow",),
    "remainder": ("floordiv", "fmod", "mod", "remainder"),
    "roots": ("cbrt", "rsqrt", "hypot"),
    "trigonometric": ("sin", "cos", "tan", "sinpi", "cospi"),
}


def _collect() -> dict[tuple[str, str], Callable[..., object]]:
    functions: dict[tuple[str, str], Callable[..., object]] = {}
    for module_name, operations in OPERATIONS.items():
        module = importlib.import_module(f"{__name__}.{module_name}")
        for operation in operations:
            for dtype in ("float32", "float64"):
                functions[operation, dtype] = getattr(module, f"{operation}_{dtype}")
    return functions


FUNCTIONS = _collect()
