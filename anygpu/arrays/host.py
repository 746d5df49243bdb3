"""NumPy's own routines on arrays, where they are the better ones or the only ones: on the host's memory, without copies."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import numpy as np

from anygpu.arrays.ndarray import from_host, ndarray
from anygpu.dtypes import from_numpy


def call(function: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]) -> object:
    """A NumPy function of arrays, which are computed first. Its results are arrays, those given as ``out`` themselves."""
    out = kwargs.get("out")
    given = {name: lower(value) for name, value in kwargs.items() if not (name == "out" and value is None)}
    found = function(*map(lower, args), **given)
    if isinstance(out, ndarray):
        return out
    return lift(found)


def array(function: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]) -> ndarray:
    """A NumPy function whose result is one array."""
    return cast(ndarray, call(function, args, kwargs))


def lower(value: object) -> object:
    """Arrays as NumPy arrays, also within lists, tuples and dicts."""
    if isinstance(value, ndarray):
        return value.__array__()
    if type(value) is tuple:
        return tuple(map(lower, value))
    if type(value) is list:
        return list(map(lower, value))
    if type(value) is dict:
        return {key: lower(item) for key, item in value.items()}
    return value


def lift(value: object) -> object:
    """NumPy arrays and scalars of dtypes that arrays hold as arrays, also within lists and tuples."""
    if isinstance(value, np.ndarray) and type(value) is np.ndarray:
        return from_host(value) if from_numpy(value.dtype) is not None else value
    if isinstance(value, np.generic):
        return from_host(np.asarray(value)) if from_numpy(value.dtype) is not None else value
    if isinstance(value, tuple):
        items = tuple([lift(item) for item in value])
        make = getattr(type(value), "_make", None)  # a named tuple's
        return items if make is None else make(items)
    if type(value) is list:
        return list(map(lift, value))
    return value


def ufunc(function: np.ufunc, method: str, inputs: tuple[object, ...], kwargs: dict[str, object]) -> object:
    """NumPy's ufuncs called with arrays."""
    from anygpu.arrays import elementwise

    name = elementwise.fused_name(function)
    if method == "__call__" and name is not None and not kwargs.keys() - {"out"}:
        return elementwise.finish(elementwise.call(name, *inputs), kwargs.get("out"))
    outs = kwargs.get("out")
    found = getattr(function, method)(*map(lower, inputs), **{k: lower(v) for k, v in kwargs.items()})
    if isinstance(outs, tuple) and any(o is not None for o in outs):
        return outs[0] if len(outs) == 1 else outs
    return lift(found)


def function(named: object, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
    """NumPy's functions called with arrays: ours of that name, else NumPy's own on the host's memory."""
    from anygpu import arrays

    ours = arrays.NATIVE.get(getattr(named, "__name__", ""))
    if ours is not None and getattr(np, getattr(named, "__name__", ""), None) is named:
        return ours(*args, **kwargs)
    return call(named, args, kwargs)  # type: ignore[arg-type]
