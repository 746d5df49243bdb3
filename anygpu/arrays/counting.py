"""`histogram` and `bincount`: elements are counted in the memory of a block, or of a worker.

Counts are integers, which may be added in any order. Sums of weights are NumPy's to the bit: the elements are sorted by their bins, equal
bins keep their order, and the weights of each bin are added one after the other.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np

from anygpu.arrays import creation, elementwise, host, manipulation, sorting
from anygpu.arrays.advanced import SHORT
from anygpu.arrays.counting_kernels import BINS, THREADS, add_in_order, add_parts, between, counter, finder, itself, shifted, uniform
from anygpu.arrays.ndarray import ndarray
from anygpu.arrays.searching import flat, is_on_cpu, places, together
from anygpu.dtypes import from_numpy

BLOCK = 65536  # the elements whose weights NumPy's histogram adds before it adds the sums
WARPS, BLOCKS = 16, 1024  # the most that count at a time on the CPU, and on devices
EACH = 8192  # elements that a warp counts at least
FEW = 1 << 16  # elements that NumPy counts in bins of equal width before a kernel has started


@dataclass(frozen=True)
class Binning:
    """How elements are put into bins: by a function of the kernel language, with its arguments. ``edges`` have the dtype it computes in."""

    bin_of: Callable[..., object]
    edges: np.ndarray
    how: tuple[object, ...]
    count: int


def bincount(x: object, /, weights: object = None, minlength: int = 0) -> ndarray:
    """How often each integer from 0 on occurs, or the sum of the weights of its occurrences.

    Args:
        x: The integers, an array of one axis.
        weights: Numbers, one for each element of ``x``.
        minlength: The least length of the result.

    Returns:
        An array of ``max(x) + 1`` elements, or of ``minlength``: int64, or float64 with weights.

    Raises:
        ValueError: ``x`` has a negative element, or not one axis, or ``weights`` are of another length.
        TypeError: ``x`` is not of integers.

    Example:
        >>> import anygpu as ag
        >>> ag.bincount([1, 3, 1, 0])
        array([1, 2, 0, 1])
        >>> ag.bincount([1, 3, 1, 0], weights=[0.5, 1, 2, 4])
        array([4. , 2.5, 0. , 1. ])
    """
    # a core finds and counts bins as fast as it reads them, and two are not faster at adding to one memory: on the CPU it is NumPy's
    given = None if is_on_cpu(x, weights) else together(x, *(() if weights is None else (weights,)))
    if given is None or not _countable(given, minlength):
        return host.array(np.bincount, (x, weights, minlength), {})
    row, *weighing = map(flat, given)
    low, high = row.min(), row.max()
    if int(low) < 0 or int(high) > np.iinfo(np.int64).max:
        raise ValueError("'list' argument must have no negative elements")
    binning = Binning(itself, np.zeros(1), (), max(int(high) + 1, operator.index(minlength)))
    return _sums(row, weighing[0], binning, row.size)[0] if weighing else _counts(row, binning)


def numbers(x: ndarray, low: np.integer, count: int) -> ndarray:
    """How often each of the integers from ``low`` on occurs, so many of them, among elements of one axis that are all such."""
    if x.device == "cpu":
        shifted_down = (x if x.itemsize == 8 else x.astype(np.int64)) - low
        return creation.asarray(np.bincount(shifted_down.astype(np.int64, copy=False).__array__(), minlength=count), device="cpu")
    return _counts(x, Binning(shifted, np.zeros(1), (low,), count))


def _countable(given: list[ndarray], minlength: object) -> bool:
    """Whether integers, and weights if there are any, are what they should be: else NumPy says what is wrong. What is empty is its too."""
    x = given[0]
    if x.ndim != 1 or not x.size or x.dtype.kind == "f" or any(weights.shape != x.shape for weights in given[1:]):
        return False
    return hasattr(minlength, "__index__") and operator.index(minlength) >= 0


def histogram(
    a: object, bins: object = 10, range: object = None, density: bool | None = None, weights: object = None
) -> tuple[ndarray, ndarray]:
    """How many elements are in each of several bins, and the bins' edges. The last bin's upper edge is part of it.

    Args:
        a: The elements, an array of any shape.
        bins: The number of bins of equal width, or their edges, or the name of a rule (see `numpy.histogram_bin_edges`).
        range: The least and the greatest edge; by default those of the elements.
        density: Whether counts are divided by their sum and the bins' widths.
        weights: What each element counts, an array of the shape of ``a``.

    Returns:
        The counts, int64, or of the dtype of the weights; and the edges, one more.

    Raises:
        ValueError: ``range`` or edges do not rise, are not finite, or leave no room for so many bins; ``weights`` are of another shape.
        TypeError: ``bins`` are neither.

    Example:
        >>> import anygpu as ag
        >>> ag.histogram([1, 2, 1, 7], bins=[0, 1, 2, 3])
        (array([0, 2, 1]), array([0, 1, 2, 3]))
    """
    device = host.device_among((a, bins, weights))
    x = creation.asarray(a, device=device) if isinstance(a, ndarray) or from_numpy(np.asarray(a).dtype) is not None else None
    few = FEW if np.ndim(bins) == 0 else SHORT  # type: ignore[arg-type]
    by_numpy = x is None or (x.device == "cpu" and (weights is not None or x.size <= few))
    found = None if x is None or by_numpy else _binning(x, bins, range, weights)
    if x is None or found is None or (x.device == "cpu" and found[0].count > BINS):
        given = {"bins": bins, "range": range, "density": density, "weights": weights}
        return host.call(np.histogram, (a,), given)  # type: ignore[return-value]
    binning, edges = found
    counted = _counts(flat(x), binning) if weights is None else _weighted(flat(x), creation.asarray(weights, device=device), binning)
    if density:
        widths = np.array(np.diff(np.asarray(edges)), float)
        counted = elementwise.binary("divide", elementwise.binary("divide", counted, widths), counted.sum())
    return counted, creation.asarray(edges, device=x.device)


def _binning(x: ndarray, bins: object, range: object, weights: object) -> tuple[Binning, object] | None:
    """The bins of a histogram, and their edges as they are shown. None if NumPy has to find them, or to say what is wrong."""
    if isinstance(bins, str) or x.dtype.kind not in "iuf":  # of bools NumPy warns
        return None
    if weights is not None:
        given = weights if isinstance(weights, ndarray) else np.asarray(weights)
        if given.shape != x.shape or given.dtype.kind not in "iufc":
            return None
    edges = np.array(bins.__array__() if isinstance(bins, ndarray) else bins)
    if edges.ndim == 1:
        kind = np.result_type(x.dtype, edges.dtype)
        rise = edges.dtype.kind in "iuf" and len(edges) > 1 and bool(np.all(edges[:-1] <= edges[1:]))
        if weights is not None or not rise or kind.kind not in "iuf":
            return None
        return Binning(between, edges.astype(kind), (), len(edges) - 1), bins if isinstance(bins, ndarray) else edges
    return _of_equal_width(x, bins, range)


_ENDS = (int, float, np.integer, np.float16, np.float32, np.float64)


def _of_equal_width(x: ndarray, bins: object, range: object) -> tuple[Binning, object] | None:
    """Bins of equal width as NumPy has them, from the least and the greatest element, in whose dtypes its arithmetic is."""
    sample = np.zeros(0, x.dtype)
    if range is None and x.size:
        least, greatest = x.min(), x.max()
        sample = np.concatenate([least.__array__().reshape(1), greatest.__array__().reshape(1)])
    edges = np.histogram_bin_edges(sample, bins, range)  # type: ignore[arg-type]
    ends: tuple[object, object] = (sample[0], sample[1]) if sample.size else (0, 1)
    first, last = cast(tuple[object, object], ends if range is None else range)
    if not (isinstance(first, _ENDS) and isinstance(last, _ENDS)):
        return None
    if first == last:
        first, last = first - 0.5, last + 0.5  # as NumPy has it: of their types
    width = _apart(last, first)
    wide = np.divide.resolve_dtypes((edges.dtype, width.dtype, None))[-1].type
    how = (*_limits(x.dtype, first, last), edges.dtype.type(first), wide(width), wide(len(edges) - 1))
    if not all(np.isfinite(number) for number in (*how[2:], *edges[[0, -1]])) or how[3] <= 0:
        return None
    return Binning(uniform, edges, how, len(edges) - 1), edges


def _apart(last: object, first: object) -> np.generic:
    """The difference of a greater and a smaller number; of integers without a sign, since it may not fit with one."""
    kind = np.result_type(last, first)  # type: ignore[arg-type]
    greater, smaller = np.asarray(last, kind), np.asarray(first, kind)
    result = np.dtype(f"u{kind.itemsize}") if kind.kind == "i" else kind
    return cast(np.generic, np.subtract(greater, smaller, casting="unsafe", dtype=result)[()])


def _limits(kind: np.dtype[np.generic], first: object, last: object) -> tuple[np.generic, np.generic]:
    """The ends of a range, each in the dtype in which elements are compared with it."""
    if kind.kind not in "iu":
        return np.result_type(kind, first).type(first), np.result_type(kind, last).type(last)  # type: ignore[arg-type]
    info = np.iinfo(kind)  # type: ignore[type-var]
    if float(first) > info.max or float(last) < info.min:  # type: ignore[arg-type]
        return kind.type(1), kind.type(0)  # no element is between
    whole = [isinstance(end, int | np.integer) for end in (first, last)]
    low, high = (
        kind.type(min(max(int(end), info.min), info.max)) if integer else np.float64(end)  # type: ignore[call-overload,arg-type]
        for end, integer in zip((first, last), whole, strict=True)
    )
    return low, high


def _counts(x: ndarray, binning: Binning) -> ndarray:
    """How many elements of one axis are in each bin."""
    if x.device == "cpu":
        counted = np.zeros(binning.count, np.int64)
        warps = max(1, min(WARPS, x.size // max(EACH, 2 * binning.count)))
        counter(binning.bin_of, "warps")[warps, 32](x.__array__(), binning.edges, binning.how, counted)
        return creation.asarray(counted, device="cpu")
    found = creation.zeros(binning.count, np.int64, device=x.device)
    arguments = (x, creation.asarray(binning.edges, device=x.device), binning.how, found)
    if binning.count <= BINS:
        counter(binning.bin_of, "blocks")[max(1, min(BLOCKS, x.size // (4 * THREADS))), THREADS](*arguments)
    elif x.size:
        counter(binning.bin_of, "elements").forall(x.size)(*arguments)
    return found


def _sums(x: ndarray, weights: ndarray, binning: Binning, part: int) -> ndarray:
    """The sums of the weights in each bin (the second axis), over parts of so many elements (the first), added in order in float64."""
    bins = binning.count
    parts = -(-x.size // part)
    found = creation.empty((parts, bins), np.float64, device=x.device)
    keys = creation.empty(x.size, np.uint32, device=x.device)
    finder(binning.bin_of).forall(x.size)(x, creation.asarray(binning.edges, device=x.device), binning.how, part, bins, keys)
    keys, order = sorting.sorted_keys(keys, parts * bins)
    starts = places(keys, creation.asarray(np.arange(parts * bins + 1), device=x.device), False, np.dtype(np.uint32))
    add_in_order[parts * bins, 32](order, starts, weights, found.reshape(-1))
    return found


def _weighted(x: ndarray, weights: ndarray, binning: Binning) -> ndarray:
    """The sums of the weights in each bin, in their dtype: those of NumPy's blocks, added one after the other."""
    kind = weights.dtype
    if kind.kind in "iu" and kind.itemsize < 8:  # whose sums wrap around, as in NumPy, where kernels' conversions stop at the bounds
        return _weighted(x, weights.astype(np.int64), binning).astype(kind)
    found = creation.zeros(binning.count, kind, device=x.device)
    if not x.size:
        return found
    row = manipulation.reshape(weights, (-1,))
    if kind.kind != "c":
        add_parts.forall(binning.count)(_sums(x, row, binning, BLOCK), found, kind.type, kind.type)
        return found
    parts = []
    for part in (row.real, row.imag):
        parts.append(creation.empty(binning.count, part.dtype, device=x.device))
        add_parts.forall(binning.count)(_sums(x, part, binning, BLOCK), parts[-1], part.dtype.type, np.float64)
    return elementwise.binary("add", parts[0], elementwise.binary("multiply", parts[1], 1j))
