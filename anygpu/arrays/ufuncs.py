"""NumPy's ufuncs as objects over arrays: called, reduced, accumulated, and so on, as NumPy's are."""

from __future__ import annotations

import inspect
from typing import cast

import numpy as np

from anygpu.arrays import elementwise, host, reductions
from anygpu.arrays.creation import asarray
from anygpu.arrays.ndarray import ndarray
from anygpu.dtypes import DType, bool_

# What reductions combine by, and the dtype in which: that of sums, that of the elements, or bool.
_REDUCED = {
    "add": "sum", "multiply": "sum", "maximum": "same", "minimum": "same", "fmax": "same", "fmin": "same", "bitwise_and": "same",
    "bitwise_or": "same", "bitwise_xor": "same", "logical_and": "bool", "logical_or": "bool", "logical_xor": "bool",
}  # fmt: skip


class ufunc:
    """A function of elements, such as ``ag.add``: NumPy's ufunc of that name over arrays, recorded where kernels compute it.

    Attributes:
        nin: The number of operands.
        nout: The number of results.
        nargs: Both together.
        types: The dtypes of NumPy's loops, such as ``"dd->d"``.
        ntypes: The number of them.
        identity: What changes nothing in a reduction; None if there is no such number.
        signature: The axes of generalised ufuncs, such as matmul's; None for others.

    Example:
        >>> import anygpu as ag
        >>> ag.add.reduce(ag.ones((2, 3)), axis=1)
        array([3., 3.])
        >>> ag.multiply.outer([1, 2], [3, 4, 5])
        array([[ 3,  4,  5],
               [ 6,  8, 10]])
    """

    __module__ = "anygpu"

    nin: int
    nout: int
    nargs: int
    ntypes: int
    types: list[str]
    identity: object
    signature: str | None

    def __init__(self, original: np.ufunc, name: str | None = None):
        self.__anygpu_function__ = original
        self.__name__ = self.__qualname__ = name or original.__name__
        self.__doc__ = original.__doc__
        for attribute in ("nin", "nout", "nargs", "ntypes", "types", "identity", "signature"):
            setattr(self, attribute, getattr(original, attribute))
        self.__signature__ = inspect.signature(original)
        self._fused = elementwise.fused_name(original)

    def __call__(self, *args: object, **kwargs: object) -> object:
        if self._fused is None or (kwargs and kwargs.keys() - {"out"}) or len(args) != self.__anygpu_function__.nin:
            return host.ufunc(self.__anygpu_function__, "__call__", args, kwargs)
        found = elementwise.call(self._fused, *args)
        return elementwise.finish(found, kwargs["out"]) if kwargs else found

    def __repr__(self) -> str:
        return f"<ufunc 'anygpu.{self.__name__}'>"

    def __reduce__(self) -> str:
        return self.__name__

    def resolve_dtypes(self, dtypes: tuple[object, ...], **more: object) -> tuple[np.dtype[np.generic], ...]:
        """The dtypes in which NumPy computes operands of some dtypes; a result's is asked for by None."""
        return self.__anygpu_function__.resolve_dtypes(dtypes, **more)  # type: ignore[arg-type]

    def reduce(
        self, array: object, axis: object = 0, dtype: object = None, out: object = None, keepdims: bool = False,
        initial: object = reductions.NOTHING, where: object = reductions.NOTHING,
    ) -> ndarray:  # fmt: skip
        """The elements over axes (the first, if none is given; all, for None) combined by the function."""
        x = asarray(array)
        rule = _REDUCED.get(self.__name__)
        found = self._dtype(x, dtype, rule) if rule else None
        if found is None:
            given = {"axis": axis, "dtype": dtype, "out": out, "keepdims": keepdims, "initial": initial, "where": where}
            return cast(ndarray, self._by_numpy("reduce", x, **given))
        return reductions.reduce(self.__name__, x, axis, found, out, keepdims, initial, where)

    def _dtype(self, x: ndarray, dtype: object, rule: str) -> DType | None:
        """The dtype of a reduction; None if NumPy has to do it."""
        mine = x._storage.node.dtype
        if rule == "bool":
            return bool_ if dtype is None and not mine.is_complex else None
        if rule == "sum":
            return reductions.summed(x, dtype)
        fits = not mine.is_complex and (mine.kind in "biu" or not self.__name__.startswith("bitwise"))
        return mine if dtype is None and fits else None

    def accumulate(self, array: object, axis: int = 0, dtype: object = None, out: object = None) -> ndarray:
        """The elements along an axis combined with all before them."""
        return cast(ndarray, self._by_numpy("accumulate", asarray(array), axis=axis, dtype=dtype, out=out))

    def reduceat(self, array: object, indices: object, axis: int = 0, dtype: object = None, out: object = None) -> ndarray:
        """The elements along an axis combined from each index up to the next one."""
        return cast(ndarray, self._by_numpy("reduceat", asarray(array), indices, axis=axis, dtype=dtype, out=out))

    def outer(self, a: object, b: object, /, **kwargs: object) -> object:
        """The function of every pair of elements: the axes of ``a``, and then those of ``b``."""
        if self.nin != 2:
            raise ValueError("outer product only supported for binary functions")
        first, second = asarray(a), asarray(b)
        return self(first.reshape(first.shape + (1,) * second.ndim), second, **kwargs)

    def at(self, a: object, indices: object, *values: object) -> None:
        """``a[indices] = f(a[indices], values)``, index after index: those that are there twice count twice."""
        host.ufunc(self.__anygpu_function__, "at", (a, indices, *values), {})

    def _by_numpy(self, method: str, *args: object, **kwargs: object) -> object:
        given = {name: value for name, value in kwargs.items() if value is not None and value is not reductions.NOTHING}
        if kwargs["axis"] is None:
            given["axis"] = None
        return host.ufunc(self.__anygpu_function__, method, args, given)
