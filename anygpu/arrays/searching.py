"""Places in sorted arrays: `searchsorted` and `digitize`, by a kernel. NumPy's search is one value at a time, and slower on the CPU too."""

from __future__ import annotations

import numpy as np

from anygpu.arrays import advanced, creation, host
from anygpu.arrays.ndarray import current_name, ndarray
from anygpu.arrays.searching_kernels import search


def searchsorted(a: object, v: object, side: str = "left", sorter: object = None) -> ndarray:
    """Where values would go in a sorted array of one axis: before equal elements, or after them if ``side`` is "right". NaN is last.

    Args:
        a: The array, in order, or in that of ``sorter``.
        v: The values, an array of any shape.
        side: "left" or "right".
        sorter: Indices that sort ``a``.

    Returns:
        Indices from 0 to ``len(a)``, an int64 array of the shape of ``v``.

    Raises:
        ValueError: ``a`` or ``sorter`` is of another shape, or an index of ``sorter`` is out of bounds.

    Example:
        >>> import anygpu as ag
        >>> ag.searchsorted([1, 2, 2, 5], [0, 2, 9])
        array([0, 1, 4])
        >>> ag.searchsorted([1, 2, 2, 5], 2, side="right")
        array(3)
    """
    given = None if is_short(a, v) or side not in ("left", "right") else together(a, v, *(() if sorter is None else (sorter,)))
    if given is None or given[0].ndim != 1 or not all(_sorts(order, given[0]) for order in given[2:]):
        return host.array(np.searchsorted, (a, v), {"side": side, "sorter": sorter})
    table, values, *orders = given
    for order in orders:
        table = advanced.take(table, order)
    return places(table, values, side == "right", common(table, values))


def _sorts(order: ndarray, table: ndarray) -> bool:
    """Whether indices are those of a table's elements."""
    if order.dtype.kind not in "iu" or order.shape != table.shape:
        return False
    return not table.size or bool(((order >= 0) & (order < table.size)).all())


def digitize(x: object, bins: object, right: bool = False) -> ndarray:
    """The bins in which values lie: the i of which ``bins[i-1] <= x < bins[i]``, or ``bins[i-1] < x <= bins[i]`` if ``right``.

    Args:
        x: The values, an array of any shape.
        bins: The edges, which rise or fall. If they fall, the comparisons are the other way round.
        right: Whether a bin's upper edge is part of it, not the lower one.

    Returns:
        Indices from 0 to ``len(bins)``, an int64 array of the shape of ``x``.

    Raises:
        ValueError: ``bins`` neither rise nor fall.
        TypeError: ``x`` is complex.

    Example:
        >>> import anygpu as ag
        >>> ag.digitize([0.2, 6.4, 3.0, 1.6], [0.0, 1.0, 2.5, 4.0, 10.0])
        array([1, 4, 3, 2])
    """
    given = None if is_short(x, bins) else together(bins, x)
    if given is None:
        return host.array(np.digitize, (x, bins), {"right": right})
    edges, values = given
    kind = common(edges, values)
    known = np.asarray(edges)
    np.digitize(np.zeros(0), known)  # which says what is wrong
    differs = known != known[:1]
    falls = bool(differs.any()) and not known[0] < known[differs.argmax()]
    if falls:
        return edges.size - places(edges[::-1], values, not right, kind)
    return places(edges, values, not right, kind)


def places(table: ndarray, values: ndarray, right: bool, kind: np.dtype[np.generic]) -> ndarray:
    """The places of values in a sorted array, compared as numbers of a dtype."""
    found = creation.empty(values.shape, np.int64, device=values.device)
    if values.size:
        search.forall(values.size)(flat(table), flat(values), found.reshape(-1), right, kind.type)
    return found


def flat(x: ndarray) -> ndarray:
    """The elements in a row. Bools as bytes: kernels compare numbers."""
    row = x.reshape(-1)
    return row.astype(np.uint8) if row.dtype.kind == "b" else row


def together(*operands: object) -> list[ndarray] | None:
    """Operands as arrays of one device; None if one is not of numbers that kernels compare."""
    device = host.device_among(operands)
    given = [x if isinstance(x, ndarray) else np.asarray(x) for x in operands]
    if any(x.dtype.kind not in "biuf" for x in given):
        return None
    return [creation.asarray(x, device=device) for x in given]


def common(a: ndarray, b: ndarray) -> np.dtype[np.generic]:
    """The dtype as which elements are compared."""
    kind = np.result_type(a.dtype, b.dtype)
    return np.dtype(np.uint8) if kind.kind == "b" else kind


def is_on_cpu(*operands: object) -> bool:
    """Whether operands are on the CPU, or go there."""
    device = host.device_among(operands)
    return (current_name() if device is None else device) == "cpu"


def is_short(*operands: object) -> bool:
    """Whether NumPy has the result before a kernel has started: operands on the CPU, of few elements."""
    sizes = [x.size if isinstance(x, ndarray) else np.size(x) for x in operands]  # type: ignore[arg-type]
    return is_on_cpu(*operands) and sum(sizes) <= advanced.SHORT
