"""NumPy's functions over arrays: ours where there is one, else NumPy's own on the host's memory."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType

import numpy as np

from anygpu.arrays import advanced, creation, elementwise, explain, host, indexing, manipulation, masks, reductions, scans
from anygpu.arrays.ndarray import ndarray, pending


def _taking(function: Callable[..., object]) -> Callable[..., object]:
    """A function whose first argument is an array, for anything that becomes one."""

    @functools.wraps(function)
    def call(a: object, *args: object, **kwargs: object) -> object:
        return function(a if isinstance(a, ndarray) else creation.asarray(a), *args, **kwargs)

    return call


def _ufunc(name: str) -> Callable[..., object]:
    original: np.ufunc = getattr(np, name)

    @functools.wraps(original)
    def call(*args: object, **kwargs: object) -> object:
        if kwargs.keys() - {"out"} or len(args) != original.nin:
            return host.ufunc(original, "__call__", args, kwargs)
        return elementwise.finish(elementwise.call(name, *args), kwargs.get("out"))

    return call


def _where(condition: object, *values: object) -> object:
    """Elements of the first value where a condition holds, else of the second; the indices where it holds, if no values are given."""
    if values:
        return elementwise.where(condition, *values)
    return masks.nonzero(condition if isinstance(condition, ndarray) else creation.asarray(condition))


NATIVE: dict[str, Callable[..., object]] = {
    **{name: _ufunc(name) for name in elementwise.FUSED},
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
    "explain": explain.explain, "where": _where, "clip": _taking(elementwise.clip), "round": _taking(elementwise.round_),
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


def lookup(name: str) -> object:
    """What ``anygpu.<name>`` is, for a name of NumPy's: raises ``AttributeError`` for others."""
    if name == "ndarray":
        return ndarray
    found = NATIVE.get(name)
    if found is not None:
        return found
    if name in ("linalg", "fft"):
        return Namespace(getattr(np, name))
    theirs = getattr(np, name, None) if name in np.__all__ and name not in _LEFT_OUT else None
    if theirs is None and name != "newaxis":
        raise AttributeError(f"module 'anygpu' has no attribute {name!r}")
    if isinstance(theirs, type | ModuleType) or not callable(theirs):
        return theirs
    return _by_numpy(theirs)


# NumPy's submodules that are not arrays' own.
_LEFT_OUT = frozenset((
    "random", "test", "char", "core", "ctypeslib", "f2py", "lib", "ma", "matlib", "polynomial", "rec", "strings", "testing", "typing",
))  # fmt: skip


class Namespace(ModuleType):
    """A submodule of NumPy's, such as ``linalg``, over arrays."""

    def __init__(self, original: ModuleType):
        super().__init__(f"anygpu.{original.__name__.rpartition('.')[2]}", original.__doc__)
        self._original = original

    def __getattr__(self, name: str) -> object:
        found = getattr(self._original, name)
        made = found if isinstance(found, type) or not callable(found) else _by_numpy(found)
        setattr(self, name, made)
        return made

    def __dir__(self) -> list[str]:
        return sorted(getattr(self._original, "__all__", dir(self._original)))


def _by_numpy(function: Callable[..., object]) -> Callable[..., object]:
    @functools.wraps(function)
    def call(*args: object, **kwargs: object) -> object:
        return host.call(function, args, kwargs)

    return call


__all__ = ["NATIVE", "indexing", "lookup", "ndarray", "pending"]
