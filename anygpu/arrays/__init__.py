"""NumPy's functions over arrays: ours where there is one, else NumPy's own on the host's memory."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from types import ModuleType

import numpy as np

from anygpu.arrays import (
    advanced,
    creation,
    elementwise,
    explain,
    indexing,
    info,
    limits,
    manipulation,
    masks,
    namespace,
    reductions,
    scans,
    standard,
)  # fmt: skip
from anygpu.arrays.ndarray import ndarray, pending
from anygpu.arrays.ufuncs import ufunc


def _taking(function: Callable[..., object]) -> Callable[..., object]:
    """A function whose first argument is an array, for anything that becomes one."""

    @functools.wraps(function)
    def call(a: object, *args: object, **kwargs: object) -> object:
        # a copy of NumPy's memory, which may change before it is read
        return function(a if isinstance(a, ndarray) else creation.array(a), *args, **kwargs)

    return call


NATIVE: dict[str, Callable[..., object]] = {
    **{name: ufunc(getattr(np, name)) for name in elementwise.FUSED},
    **{name: getattr(creation, name) for name in (
        "array", "asarray", "empty", "full", "zeros", "ones", "empty_like", "zeros_like", "ones_like", "full_like", "arange",
        "from_dlpack")},
    **{name.rstrip("_"): _taking(getattr(reductions, name)) for name in (
        "sum_", "prod", "max_", "min_", "any_", "all_", "mean", "var", "std", "argmin", "argmax")},
    **{name: _taking(getattr(manipulation, name)) for name in (
        "transpose", "swapaxes", "matrix_transpose", "moveaxis", "squeeze", "expand_dims", "broadcast_to", "diagonal", "reshape", "ravel")},
    **{name: _taking(getattr(scans, name)) for name in ("cumsum", "cumprod", "cumulative_sum", "cumulative_prod")},
    **{name: _taking(getattr(advanced, name)) for name in ("take", "take_along_axis", "put_along_axis")},
    **{name: _taking(getattr(masks, name)) for name in ("nonzero", "flatnonzero", "count_nonzero")},
    "compress": masks.compress,
    "explain": explain.explain, "where": standard.where, "clip": standard.clip, "sort": standard.sort, "argsort": standard.argsort,
    "select": standard.select, "broadcast_arrays": standard.broadcast_arrays,
    "round": _taking(elementwise.round_),
    "copy": _taking(elementwise.copy),
    "real": _taking(elementwise.real), "imag": _taking(elementwise.imag), "astype": _taking(elementwise.astype),
}  # fmt: skip
for _alias, _name in {
    "abs": "absolute", "acos": "arccos", "asin": "arcsin", "atan": "arctan", "atan2": "arctan2", "acosh": "arccosh", "asinh": "arcsinh",
    "atanh": "arctanh", "pow": "power", "mod": "remainder", "true_divide": "divide", "bitwise_invert": "invert", "bitwise_not": "invert",
    "bitwise_left_shift": "left_shift", "bitwise_right_shift": "right_shift", "amax": "max", "amin": "min", "permute_dims": "transpose",
    "conj": "conjugate", "asanyarray": "asarray", "ascontiguousarray": "asarray",
}.items():  # fmt: skip
    NATIVE[_alias] = NATIVE[_name]


# Ours too, in modules that are imported at the first call of one of their functions: each has kernels.
LATER: dict[str, str] = {
    "einsum": "contraction",
    **dict.fromkeys(("histogram", "bincount"), "counting"), **dict.fromkeys(("searchsorted", "digitize"), "searching"),
    **dict.fromkeys((
        "unique", "unique_all", "unique_counts", "unique_inverse", "unique_values", "isin", "union1d", "intersect1d", "setdiff1d",
        "setxor1d"), "sets"),
}  # fmt: skip


def native(name: str) -> Callable[..., object] | None:
    """Our own function of that name of NumPy's; None if there is none."""
    module = LATER.get(name)
    if module is not None and name not in NATIVE:
        NATIVE[name] = getattr(importlib.import_module(f"anygpu.arrays.{module}"), name)
    return NATIVE.get(name)


SPECIAL: dict[str, object] = {
    "ndarray": ndarray, "ufunc": ufunc, "finfo": limits.finfo, "iinfo": limits.iinfo,
    "__array_api_version__": info.VERSION, "__array_namespace_info__": info.namespace_info,
}  # fmt: skip

# NumPy's submodules over arrays, and its names that are about something else than arrays of numbers.
SUBMODULES = ("polynomial", "emath", "lib", "exceptions", "typing", "ctypeslib")
LEFT_OUT = frozenset(("test", "testing", "dtypes", "char", "core", "f2py", "ma", "matlib", "rec", "strings"))


def lookup(name: str) -> object:
    """What ``anygpu.<name>`` is, for a name of NumPy's: raises ``AttributeError`` for others."""
    if name in SPECIAL:
        return SPECIAL[name]
    found = native(name)
    if found is not None:
        return found
    if name == "random":
        return importlib.import_module("anygpu.arrays.random")  # its kernels are not made for those who draw nothing
    if name in SUBMODULES:
        return namespace.Namespace(getattr(np, name), f"anygpu.{name}")
    theirs = getattr(np, name, None) if name in np.__all__ and name not in LEFT_OUT else None
    if theirs is None and name != "newaxis":
        raise AttributeError(f"module 'anygpu' has no attribute {name!r}")
    if isinstance(theirs, np.ufunc):
        return ufunc(theirs, name)
    if isinstance(theirs, type | ModuleType) or not callable(theirs):
        return theirs
    return namespace.by_numpy(theirs)


def names() -> list[str]:
    """Every name that `lookup` knows."""
    theirs = (name for name in np.__all__ if name not in LEFT_OUT)
    return sorted({*NATIVE, *LATER, *SPECIAL, *SUBMODULES, *theirs})


__all__ = ["LATER", "NATIVE", "indexing", "lookup", "names", "native", "ndarray", "pending"]
