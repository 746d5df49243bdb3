"""NumPy's own routines on arrays, where they are the better ones or the only ones: on the host's memory, without copies."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np

from anygpu.arrays import scipy_fft
from anygpu.arrays.ndarray import current_name, from_host, ndarray, view_of
from anygpu.dtypes import from_numpy
from anygpu.engine.devices import Device
from anygpu.engine.pending import pending
from anygpu.engine.places import HostMemory
from anygpu.errors import CopyWarning, warn
from anygpu.ir.graph import apart
from anygpu.runtime.current import current

_PRODUCTS = (np.matmul, np.dot)
_WRITES_FIRST = frozenset((np.copyto, np.fill_diagonal, np.place, np.put, np.put_along_axis, np.putmask))


def call(function: Callable[..., object], args: tuple[object, ...], kwargs: dict[str, object]) -> object:
    """A NumPy function of arrays, which are computed first. Its results are arrays, those given as ``out`` themselves.

    Arrays on another device are copied to the host, and the results to the device, with a ``CopyWarning``.
    """
    out = kwargs.get("out")
    asked = kwargs.get("device")
    given = {name: lower(value) for name, value in kwargs.items() if not (name == "out" and value is None) and name != "device"}
    if asked is not None:  # a function that makes arrays
        return lift(_run(function, tuple(map(lower, args)), given), Device(asked).name)  # type: ignore[arg-type]
    device = device_among((args, kwargs))
    if function in _PRODUCTS and len(args) == 2 and not given and (found := vectors.product(*args)) is not None:
        return found
    if device is None or device == "cpu":
        if out is not None or function in _WRITES_FIRST:
            pending.flush()  # what was recorded before reads the elements as they are
        made = _run(function, tuple(map(lower, args)), given)
        return out if isinstance(out, ndarray) else lift(made, device, arrays_among((args, kwargs)))
    ours = _on_devices().get(function)
    if ours is not None and (native := ours(*args, **kwargs)) is not NotImplemented:
        return native
    warn(f"{_name(function)} computes on the host: arrays are copied there from {device}, and its results back", CopyWarning)
    if isinstance(out, ndarray):
        given.pop("out")
        elementwise.store(out, elementwise.constant(np.asarray(_run(function, tuple(map(lower, args)), given))))
        return out
    if function in _WRITES_FIRST and args and isinstance(args[0], ndarray):
        target = args[0]
        elements = target.__array__(copy=True)
        _run(function, (elements, *map(lower, args[1:])), given)
        elementwise.assign(target, elementwise.constant(elements))
        return None
    return lift(_run(function, tuple(map(lower, args)), given), device)


@functools.cache
def _on_devices() -> dict[object, Callable[..., object]]:
    from anygpu.arrays.composed import ON_DEVICES  # compiles kernels, which arrays on the CPU do not need

    return ON_DEVICES


def _run(function: Callable[..., object], args: Sequence[object], kwargs: dict[str, object]) -> object:
    """NumPy's own work, or SciPy's in its place, which a profile notes."""
    if current.recorder is None:
        return _computed(function, args, kwargs)
    size = sum(value.nbytes for value in (*args, *kwargs.values()) if isinstance(value, np.ndarray))
    with current.recorder.span("numpy", _name(function), None, size):
        return _computed(function, args, kwargs)


def _computed(function: Callable[..., object], args: Sequence[object], kwargs: dict[str, object]) -> object:
    if getattr(function, "__module__", None) != "numpy.fft":
        return function(*args, **kwargs)
    found = scipy_fft.transform(function, args, kwargs)
    return function(*args, **kwargs) if found is None else found


def _name(function: Callable[..., object]) -> str:
    of = getattr(function, "__self__", None)  # a ufunc, of which this is a method
    return f"np.{function.__name__}" if of is None else f"np.{getattr(of, '__name__', of)}.{function.__name__}"


def device_among(value: object) -> str | None:
    """The device of the arrays among arguments, also within lists, tuples and dicts; None if there are none.

    Raises `WrongDeviceError` if they are on several.
    """
    if isinstance(value, ndarray):
        return value._storage.node.device
    items = value.values() if type(value) is dict else value if isinstance(value, list | tuple) else ()
    found: str | None = None
    for item in items:
        other = device_among(item) if isinstance(item, ndarray | list | tuple | dict) else None
        if other is not None and other != found:
            if found is not None:
                raise apart(found, other)
            found = other
    return found


def arrays_among(value: object) -> list[ndarray]:
    """The arrays among arguments, also within lists, tuples and dicts."""
    if isinstance(value, ndarray):
        return [value]
    items = value.values() if type(value) is dict else value if isinstance(value, list | tuple) else ()
    return [found for item in items if isinstance(item, ndarray | list | tuple | dict) for found in arrays_among(item)]


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


def lift(value: object, device: str | None = None, among: Sequence[ndarray] = ()) -> object:
    """NumPy arrays and scalars of dtypes that arrays hold as arrays on a device (the current one, if none is named), also within lists
    and tuples. NumPy's views of one of the arrays ``among`` which they were made are views of it."""
    if isinstance(value, np.ndarray | np.generic) and type(value) not in (np.matrix, np.recarray):
        if from_numpy(value.dtype) is None:
            return value
        made = np.asarray(value)
        shown = _as_view(made, among) if made.size and made.base is not None else None
        return from_host(made).to_device(current_name() if device is None else device) if shown is None else shown
    if isinstance(value, tuple):
        items = tuple([lift(item, device, among) for item in value])
        make = getattr(type(value), "_make", None)  # a named tuple's
        return items if make is None else make(items)
    if type(value) is list:
        return [lift(item, device, among) for item in value]
    return value


def _as_view(made: np.ndarray, among: Sequence[ndarray]) -> ndarray | None:
    """What NumPy made as a view of an array whose memory it shows; a copy, if that is of another dtype; None if it shows none's."""
    for x in among:
        base = x._storage.node
        if base.place is None or not isinstance(base.place.memory, HostMemory) or not np.may_share_memory(made, base.place.memory.array):
            continue
        offset = made.__array_interface__["data"][0] - base.place.memory.address - base.place.offset
        steps = [stride // made.itemsize for stride in made.strides]
        ends = [offset // made.itemsize + sum(pick(0, s * (n - 1)) for s, n in zip(steps, made.shape, strict=True)) for pick in (min, max)]
        if 0 <= ends[0] and ends[1] < base.size and not any(n % made.itemsize for n in (offset, *made.strides)):
            same = made.dtype == x.dtype
            return view_of(x._storage, offset // made.itemsize, tuple(steps), made.shape) if same else from_host(made.copy())
    return None


def _into_numpy(out: object) -> bool:
    """Whether the result of a ufunc goes into an array of NumPy's."""
    return isinstance(out[0] if isinstance(out, tuple) and len(out) == 1 else out, np.ndarray)


def ufunc(function: np.ufunc, method: str, inputs: tuple[object, ...], kwargs: dict[str, object]) -> object:
    """NumPy's ufuncs called with arrays."""
    name = elementwise.fused_name(function)
    if method == "__call__" and name is not None and not kwargs.keys() - {"out"} and not _into_numpy(kwargs.get("out")):
        return elementwise.finish(elementwise.call(name, *inputs), kwargs.get("out"))
    if method == "accumulate" and isinstance(inputs[0], ndarray):
        return scans.accumulate(function, *inputs, **kwargs)  # type: ignore[arg-type]
    if method == "at" and not kwargs and advanced.at(function, *inputs):
        return None
    outs = kwargs.get("out")
    if outs is not None and not isinstance(outs, tuple):
        outs = (outs,)
    device = device_among((inputs, kwargs))
    if function is np.matmul and method == "__call__" and not kwargs and (product := vectors.product(*inputs)) is not None:
        return product
    if device is None or device == "cpu":
        if outs is not None or method == "at":
            pending.flush()  # what was recorded before reads the elements as they are
        found = getattr(function, method)(*map(lower, inputs), **{k: lower(v) for k, v in kwargs.items()})
        if isinstance(outs, tuple) and any(o is not None for o in outs):
            return outs[0] if len(outs) == 1 else outs
        return lift(found, device)
    ours = _on_devices().get(function) if method == "__call__" else None
    if ours is not None and not kwargs.keys() - ({"out"} if function is np.matmul else {"axis"}):
        return ours(*inputs, **{k: v for k, v in kwargs.items() if k != "out"}, **({"out": outs[0]} if isinstance(outs, tuple) else {}))
    warn(f"np.{function.__name__} computes on the host: arrays are copied there from {device}, and its results back", CopyWarning)
    given = {k: lower(v) for k, v in kwargs.items() if k != "out"}
    if method == "at":
        elements = inputs[0].__array__(copy=True)  # type: ignore[attr-defined]
        function.at(elements, *map(lower, inputs[1:]), **given)  # type: ignore[arg-type]
        elementwise.assign(inputs[0], elementwise.constant(elements))  # type: ignore[arg-type]
        return None
    found = getattr(function, method)(*map(lower, inputs), **given)
    if not isinstance(outs, tuple):
        return lift(found, device)
    values = found if isinstance(found, tuple) else (found,)
    results = [v if o is None else elementwise.finish(lift(v, device), o) for v, o in zip(values, outs, strict=True)]  # type: ignore[arg-type]
    return results[0] if len(results) == 1 else tuple(results)


def function(named: object, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
    """NumPy's functions called with arrays: ours of that name, else NumPy's own on the host's memory."""
    from anygpu import arrays

    ours = arrays.native(getattr(named, "__name__", ""))
    if ours is not None and getattr(np, getattr(named, "__name__", ""), None) is named:
        return ours(*args, **kwargs)
    return call(named, args, kwargs)  # type: ignore[arg-type]


from anygpu.arrays import advanced, elementwise, scans, vectors  # noqa: E402 (at the end, since each builds on the other)
