"""What differs in arrays, and arrays as sets: `unique` and what builds on it.

Integers of a small range have a table, in which every number is counted or marked. Everything else is sorted; on the CPU by NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from anygpu.arrays import advanced, composed, counting, creation, host, manipulation, masks, scans, sorting
from anygpu.arrays.ndarray import ndarray
from anygpu.arrays.searching import common, flat, is_short, together
from anygpu.arrays.sets_kernels import in_sorted, in_table, look_up, mark, mark_first, send

WIDEST = 2  # entries of a table for each element


@dataclass(frozen=True)
class Wanted:
    """What of an array's values is asked for besides themselves."""

    index: bool
    inverse: bool
    counts: bool


@dataclass(frozen=True)
class Found:
    """The values that occur in an array, in order; if wanted, where each is first, which one each element is, and how many are."""

    values: ndarray
    index: ndarray | None = None
    inverse: ndarray | None = None
    counts: ndarray | None = None


def unique(
    ar: object, return_index: bool = False, return_inverse: bool = False, return_counts: bool = False, axis: int | None = None, *,
    equal_nan: bool = True, sorted: bool = True,
) -> object:  # fmt: skip
    """The values that occur in an array, in order.

    Args:
        ar: The array, of any shape.
        return_index: Whether to give the place in C order at which each value is first, too.
        return_inverse: Whether to give for each element which of the values it is, too.
        return_counts: Whether to give how often each value occurs, too.
        axis: Whether to take what is along an axis as values.
        equal_nan: Whether all NaNs are one value.
        sorted: NumPy may leave the values unsorted if it is False; here they are sorted.

    Returns:
        The values, or a tuple of them and of what is asked for, int64 arrays: that of ``return_inverse`` has the shape of ``ar``.

    Example:
        >>> import anygpu as ag
        >>> ag.unique([3, 1, 3, 2])
        array([1, 2, 3])
        >>> ag.unique([3, 1, 3, 2], return_counts=True)
        (array([1, 2, 3]), array([1, 1, 2]))
    """
    wanted = Wanted(return_index, return_inverse, return_counts)
    given = None if is_short(ar) else together(ar)
    found = None
    if given is not None and (axis is None or (given[0].ndim == 1 and axis in (0, -1))):
        found = _differing(given[0], wanted, equal_nan)
    elif given is not None and axis is not None and given[0].ndim > 1:
        found = _along(given[0], axis, wanted)
    if found is None:
        asked = {"return_index": return_index, "return_inverse": return_inverse, "return_counts": return_counts}
        return host.call(np.unique, (ar,), {**asked, "axis": axis, "equal_nan": equal_nan, "sorted": sorted})
    parts = [part for part in (found.values, found.index, found.inverse, found.counts) if part is not None]
    return parts[0] if len(parts) == 1 else tuple(parts)


def _differing(x: ndarray, wanted: Wanted, equal_nan: bool) -> Found | None:
    """The values among elements; None if NumPy is better at finding them."""
    row = flat(x)
    if not row.size:
        return None
    if row.dtype.kind in "iu" and (found := _by_table(row, wanted)) is not None:
        pass
    elif row.device != "cpu":
        found = _by_order(row, sorting.argsort(row), wanted, equal_nan)
    elif row.dtype.kind in "iu" and not (wanted.index or wanted.inverse or wanted.counts):
        # NumPy takes a hash table, which is two times faster if few values occur, and ten times slower if many do
        ordered = np.sort(row.__array__())
        keep = np.concatenate([[True], ordered[1:] != ordered[:-1]])
        found = Found(creation.asarray(ordered[keep], device="cpu"))
    else:
        return None
    inverse = None if found.inverse is None else found.inverse.reshape(x.shape)
    return replace(found, values=found.values.astype(x.dtype, copy=False), inverse=inverse)


def _by_table(x: ndarray, wanted: Wanted) -> Found | None:
    """The values among integers; None if they are too far apart for a table."""
    table_of = _Table.of(x, WIDEST * x.size)
    if table_of is None:
        return None
    low, size, device = table_of.low, table_of.size, x.device
    if wanted.counts:
        counts = counting.numbers(x, low, size)
        flags = counts > 0
    else:
        flags = table_of.marked(x)
    places = masks.flatnonzero(flags)
    index = inverse = None
    if wanted.index:
        first = creation.full(size, x.size, np.int64, device=device)
        mark_first.forall(x.size)(x, low, first)
        index = advanced.take(first, places)
    if wanted.inverse:
        inverse = creation.empty(x.size, np.int64, device=device)
        look_up.forall(x.size)(x, low, scans.cumsum(flags) - 1, inverse)
    values = (places + int(low)).astype(x.dtype) if x.dtype != np.uint64 else places.astype(np.uint64) + low
    return Found(values, index, inverse, advanced.take(counts, places) if wanted.counts else None)


@dataclass(frozen=True)
class _Table:
    """A table with an entry for each integer from the least to the greatest of an array."""

    low: np.integer
    high: np.integer
    size: int

    @classmethod
    def of(cls, x: ndarray, most: int) -> _Table | None:
        """The table of integers, if it has no more than so many entries."""
        least, greatest = x.min(), x.max()
        low, high = (cast(np.integer, end.__array__()[()]) for end in (least, greatest))
        size = int(high) - int(low) + 1
        return cls(low, high, size) if size <= most else None

    def marked(self, x: ndarray) -> ndarray:
        """Which of the numbers occur."""
        flags = creation.zeros(self.size, bool, device=x.device)
        mark.forall(x.size)(x, self.low, flags)
        return flags


def _by_order(x: ndarray, order: ndarray, wanted: Wanted, equal_nan: bool) -> Found:
    """The values among elements whose order is known."""
    ordered = advanced.take(x, order)
    before, after = ordered[:-1], ordered[1:]
    differs = after != before
    if equal_nan and x.dtype.kind == "f":
        differs = differs & (before == before)
    return _runs(ordered, order, differs, wanted)


def _runs(ordered: ndarray, order: ndarray, differs: ndarray, wanted: Wanted) -> Found:
    """The first of equal elements (or rows) that are next to each other, of which it is known where they differ from the one before."""
    starts = creation.ones(len(ordered), bool, device=ordered.device)
    starts[1:] = differs
    places = masks.flatnonzero(starts)
    inverse = counts = None
    if wanted.inverse:
        inverse = creation.empty(len(ordered), np.int64, device=ordered.device)
        send.forall(len(ordered))(scans.cumsum(starts) - 1, order, inverse)
    if wanted.counts:
        counts = composed.diff(composed.concatenate((places, np.array([len(ordered)]))))
    return Found(advanced.take(ordered, places, 0), advanced.take(order, places) if wanted.index else None, inverse, counts)


def _along(x: ndarray, axis: int, wanted: Wanted) -> Found | None:
    """The rows that occur along an axis: sorted by their last column, then by the one before, and so on."""
    if x.device == "cpu" or not x.size:
        return None
    (at,) = manipulation.axes_of(axis, x.ndim)
    shown = manipulation.moveaxis(x, at, 0)
    rows = manipulation.reshape(shown, (shown.shape[0], -1))
    order = creation.asarray(np.arange(len(rows)), device=x.device)
    for column in reversed(range(rows.shape[1])):
        order = advanced.take(order, sorting.argsort(flat(advanced.take(rows[:, column], order))))
    ordered = advanced.take(rows, order, 0)
    found = _runs(ordered, order, (ordered[1:] != ordered[:-1]).any(1), wanted)
    values = manipulation.moveaxis(manipulation.reshape(found.values, (-1, *shown.shape[1:])), 0, at)
    return replace(found, values=values)


# NumPy's named tuples.
_ALL, _COUNTS, _INVERSE = (cast(Callable[..., object], type(f(np.zeros(1)))) for f in (np.unique_all, np.unique_counts, np.unique_inverse))


def unique_all(x: object, /) -> object:
    """The values that occur in an array, where each is first, which one each element is, and how many are. Each NaN is a value.

    Example:
        >>> import anygpu as ag
        >>> ag.unique_all([3, 1, 3]).indices
        array([1, 0])
    """
    return _ALL(*cast(tuple[ndarray, ...], unique(x, True, True, True, equal_nan=False)))


def unique_counts(x: object, /) -> object:
    """The values that occur in an array, and how often each does. Each NaN is a value.

    Example:
        >>> import anygpu as ag
        >>> ag.unique_counts([3, 1, 3]).counts
        array([1, 2])
    """
    return _COUNTS(*cast(tuple[ndarray, ...], unique(x, return_counts=True, equal_nan=False)))


def unique_inverse(x: object, /) -> object:
    """The values that occur in an array, and which one each element is. Each NaN is a value.

    Example:
        >>> import anygpu as ag
        >>> ag.unique_inverse([3, 1, 3]).inverse_indices
        array([1, 0, 1])
    """
    return _INVERSE(*cast(tuple[ndarray, ...], unique(x, return_inverse=True, equal_nan=False)))


def unique_values(x: object, /) -> ndarray:
    """The values that occur in an array, in order. Each NaN is one.

    Example:
        >>> import anygpu as ag
        >>> ag.unique_values([3, 1, 3, 2])
        array([1, 2, 3])
    """
    return cast(ndarray, unique(x, equal_nan=False))


# ---------------------------------------------------------------------------------------------------------------------- arrays as sets


def isin(
    element: object, test_elements: object, assume_unique: bool = False, invert: bool = False, *, kind: str | None = None
) -> ndarray:  # fmt: skip
    """Whether each element of an array is in another one, or is not, if ``invert``. NaN is in none.

    Args:
        element: The array, of any shape.
        test_elements: The other one.
        assume_unique: Changes nothing.
        invert: Whether to say what is not in it.
        kind: NumPy's choice of an algorithm, which changes no result.

    Returns:
        Bools of the shape of ``element``.

    Example:
        >>> import anygpu as ag
        >>> ag.isin([[0, 2], [4, 6]], [1, 2, 4, 8])
        array([[False,  True],
               [ True, False]])
    """
    given = together(element, test_elements) if kind in (None, "sort") and not is_short(element, test_elements) else None
    if given is None or {given[0].dtype, given[1].dtype} == {np.dtype(np.int64), np.dtype(np.uint64)}:  # which NumPy may round
        asked: dict[str, object] = {"assume_unique": assume_unique, "invert": invert, "kind": kind}
        return host.array(np.isin, (element, test_elements), asked)
    x, test = flat(given[0]), flat(given[1])
    found = creation.empty(given[0].shape, bool, device=x.device)
    if not x.size:
        return found
    table = _Table.of(test, 6 * (x.size + test.size)) if test.size and x.dtype.kind in "iu" and test.dtype.kind in "iu" else None
    if table is not None:
        in_table.forall(x.size)(x, table.low, table.high, table.marked(test), found.reshape(-1), bool(invert))
    else:
        in_sorted.forall(x.size)(x, _sorted(test), found.reshape(-1), bool(invert), common(x, test).type)
    return found


def _sets(ar1: object, ar2: object) -> list[ndarray] | None:
    """Two arrays of one device; None if NumPy is better with them: with few elements, and with floats on the CPU, where both of us sort."""
    given = None if is_short(ar1, ar2) else together(ar1, ar2)
    floats = given is not None and given[0].device == "cpu" and any(x.dtype.kind == "f" for x in given)
    return None if floats else given


def _sorted(x: ndarray) -> ndarray:
    return host.array(np.sort, (x,), {})


def union1d(ar1: object, ar2: object) -> ndarray:
    """The values that are in either of two arrays, in order.

    Example:
        >>> import anygpu as ag
        >>> ag.union1d([-1, 0, 1], [-2, 0, 2])
        array([-2, -1,  0,  1,  2])
    """
    given = _sets(ar1, ar2)
    if given is None:
        return host.array(np.union1d, (ar1, ar2), {})
    return cast(ndarray, unique(composed.concatenate(given, None)))


def setdiff1d(ar1: object, ar2: object, assume_unique: bool = False) -> ndarray:
    """The values of an array that are not in another one, in order; in the order of ``ar1``, if ``assume_unique``.

    Example:
        >>> import anygpu as ag
        >>> ag.setdiff1d([1, 2, 3, 2, 4, 1], [3, 4, 5, 6])
        array([1, 2])
    """
    given = _sets(ar1, ar2)
    if given is None:
        return host.array(np.setdiff1d, (ar1, ar2), {"assume_unique": assume_unique})
    values = manipulation.ravel(given[0]) if assume_unique else cast(ndarray, unique(given[0]))
    return values[isin(values, given[1], invert=True)]


def setxor1d(ar1: object, ar2: object, assume_unique: bool = False) -> ndarray:
    """The values that are in one of two arrays and not in the other, in order. ``assume_unique``: no value is twice in one of them.

    Example:
        >>> import anygpu as ag
        >>> ag.setxor1d([1, 2, 3], [2, 3, 5])
        array([1, 5])
    """
    given = _sets(ar1, ar2)
    if given is None:
        return host.array(np.setxor1d, (ar1, ar2), {"assume_unique": assume_unique})
    joined = _sorted(_joined(given, assume_unique))
    if not joined.size:
        return joined
    alone = creation.ones(len(joined) + 1, bool, device=joined.device)
    alone[1:-1] = joined[1:] != joined[:-1]
    return joined[alone[1:] & alone[:-1]]


def _joined(given: list[ndarray], assume_unique: bool) -> ndarray:
    """The values of both arrays, one after the other."""
    parts = [manipulation.ravel(x) if assume_unique else cast(ndarray, unique(x)) for x in given]
    return composed.concatenate(parts)


def intersect1d(ar1: object, ar2: object, assume_unique: bool = False, return_indices: bool = False) -> object:
    """The values that are in both of two arrays, in order; with ``return_indices`` also where each is first in either.

    Example:
        >>> import anygpu as ag
        >>> ag.intersect1d([1, 3, 4, 3], [3, 1, 2, 1])
        array([1, 3])
    """
    given = _sets(ar1, ar2)
    if given is None:
        return host.call(np.intersect1d, (ar1, ar2), {"assume_unique": assume_unique, "return_indices": return_indices})
    if not return_indices:
        joined = _sorted(_joined(given, assume_unique))
        return joined[:-1][joined[1:] == joined[:-1]]
    firsts: list[ndarray] = []
    parts = []
    for x in given:
        if assume_unique:
            parts.append(manipulation.ravel(x))
        else:
            values, first = cast(tuple[ndarray, ndarray], unique(x, True))
            parts.append(values)
            firsts.append(first)
    joined = composed.concatenate(parts)
    order = host.array(np.argsort, (joined,), {"kind": "stable"})
    joined = advanced.take(joined, order)
    both = masks.flatnonzero(joined[1:] == joined[:-1])
    found = [advanced.take(order, both), advanced.take(order, both + 1) - len(parts[0])]
    if not assume_unique:
        found = [advanced.take(first, index) for first, index in zip(firsts, found, strict=True)]
    return advanced.take(joined, both), *found
