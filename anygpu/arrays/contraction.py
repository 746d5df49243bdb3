"""`einsum`: a pair of operands after the other, as products of matrices, or as products that are summed in one kernel.

NumPy says what subscripts mean and what is wrong with them: it gets small arrays whose extents are equal where the given ones are.
"""

from __future__ import annotations

import math
import operator
import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from anygpu.arrays import creation, elementwise, host, manipulation, matmul, reductions
from anygpu.arrays.ndarray import ndarray
from anygpu.arrays.searching import is_on_cpu
from anygpu.dtypes import from_numpy

Label = str | int  # a letter, or an axis of the ellipsis, of which the last is -1
SYMBOLS = string.ascii_uppercase + string.ascii_lowercase  # what integers stand for
MOST = 1 << 20  # products for which NumPy is asked
# On the CPU NumPy, which multiplies element by element, is faster where there are fewer products, or each element is in one or two.
ENOUGH, REUSED = 1 << 20, 2
SUMMED = (np.dtype(np.float16), np.dtype(np.float32))  # sums of the first are added in the second


@dataclass(frozen=True)
class Term:
    """An operand, and a label for each of its axes, none twice."""

    x: ndarray
    labels: tuple[Label, ...]


def einsum(*operands: object, out: ndarray | None = None, optimize: object = False, **kwargs: object) -> ndarray:
    """The sums over subscripts of the products of operands, in one dtype.

    Args:
        operands: The subscripts as a string and the arrays, or each array before a list of integers, and the result's list if there is one.
        out: Where the result goes.
        optimize: How NumPy plans the order of three operands or more; False: by its rule "greedy".
        kwargs: NumPy's ``dtype``, ``order`` and ``casting``.

    Returns:
        An array of the result's axes; a view, if nothing is multiplied or summed.

    Raises:
        ValueError: The subscripts say no such sum, or the extents of a subscript differ.

    Example:
        >>> import anygpu as ag
        >>> ag.einsum("ij,jk->ik", ag.ones((2, 3)), ag.ones((3, 2)))
        array([[3., 3.],
               [3., 3.]])
    """
    found = _contracted(operands, out, optimize, kwargs)
    given = {"out": out, "optimize": optimize, **kwargs}
    return host.array(np.einsum, operands, given) if found is None else elementwise.finish(found, out)


def _contracted(operands: Sequence[object], out: object, optimize: object, kwargs: dict[str, object]) -> ndarray | None:
    """The sums, if NumPy is not the one to compute them, or to say what is wrong."""
    parsed = _given(operands)
    if parsed is None:
        return None
    given, subscripts = parsed
    device = host.device_among(given)
    on_cpu = is_on_cpu(*given)
    kinds = [(x if isinstance(x, ndarray) else np.asarray(x)) for x in given]
    if any(from_numpy(x.dtype) is None for x in kinds) or (on_cpu and (optimize is not False or len(kinds) < 2)):
        return None
    if on_cpu and math.prod(x.size for x in kinds) < ENOUGH:
        return None
    arrays = [creation.asarray(x, device=device) for x in kinds]
    dtype = _checked(subscripts, arrays, kwargs)
    if dtype is None or (out is not None and (not isinstance(out, ndarray) or out.dtype != dtype)):
        return None
    inputs, result = _labels(subscripts, arrays)
    sizes: dict[Label, int] = {}
    for labels, x in zip(inputs, arrays, strict=True):
        for label, n in zip(labels, x.shape, strict=True):
            sizes[label] = n if sizes.get(label, 1) == 1 else sizes[label]
    products = math.prod(sizes.values())
    if on_cpu and (products < ENOUGH or products < REUSED * sum(x.size for x in arrays)):
        return None
    terms = [_term(x.astype(dtype, copy=False), labels, sizes) for x, labels in zip(arrays, inputs, strict=True)]
    for pair in _path(subscripts, arrays, optimize):
        chosen = [terms.pop(n) for n in sorted(pair, reverse=True)]
        kept = {label for term in terms for label in term.labels} | set(result)
        found = chosen.pop()
        while chosen:
            other = chosen.pop()
            found = _product(found, other, kept | {label for term in chosen for label in term.labels})
        terms.append(found)
    (term,) = terms
    return _in_order(_summed(term, set(result)), result)


def _given(operands: Sequence[object]) -> tuple[list[object], str] | None:
    """The arrays, and the subscripts as a string; None if they are no subscripts."""
    if operands and isinstance(operands[0], str):
        return list(operands[1:]), operands[0].replace(" ", "")
    even = len(operands) // 2 * 2
    lists = [_letters(labels) for labels in (*operands[1:even:2], *operands[even:])]
    if not operands or None in lists:
        return None
    letters = cast(list[str], lists)
    return list(operands[:even:2]), ",".join(letters[: even // 2]) + "".join(f"->{result}" for result in letters[even // 2 :])


def _letters(labels: object) -> str | None:
    """A list of integers and ellipses as a string; None if it is no such list."""
    if not isinstance(labels, Iterable) or isinstance(labels, ndarray):
        return None
    found = []
    for label in labels:
        if label is Ellipsis:
            found.append("...")
        elif hasattr(label, "__index__") and 0 <= operator.index(label) < len(SYMBOLS):
            found.append(SYMBOLS[operator.index(label)])
        else:
            return None
    return "".join(found)


def _checked(subscripts: str, arrays: Sequence[ndarray], kwargs: dict[str, object]) -> np.dtype[np.generic] | None:
    """The dtype of the result, once NumPy has no objection. None if it must compute it itself."""
    extents = sorted({n for x in arrays for n in x.shape} - {0, 1})
    short = {0: 0, 1: 1, **{n: at for at, n in enumerate(extents, 2)}}
    sizes: dict[str, int] = {}
    for n, letters in enumerate(subscripts.split("->")[0].split(",")[: len(arrays)]):
        names = [f"{n}.{at}" for at in range(arrays[n].ndim)] if "." in letters else letters
        sizes |= {name: max(short[extent], sizes.get(name, 0)) for name, extent in zip(names, arrays[n].shape, strict=False)}
    if math.prod(sizes.values()) > MOST:
        return None
    stands = [np.zeros([short[n] for n in x.shape], x.dtype) for x in arrays]
    try:
        return np.einsum(subscripts, *stands, **kwargs).dtype  # type: ignore[no-any-return,call-overload]
    except (ValueError, TypeError):  # what it says names extents: of arrays without memory, since it says so before it computes
        np.einsum(subscripts, *[np.broadcast_to(np.zeros((), x.dtype), x.shape) for x in arrays], **kwargs)  # type: ignore[call-overload]
        raise


def _labels(subscripts: str, arrays: Sequence[ndarray]) -> tuple[list[tuple[Label, ...]], tuple[Label, ...]]:
    """The labels of the axes of each operand, and of the result: subscripts that are known to be right."""
    before, arrow, after = subscripts.partition("->")
    inputs = before.split(",")
    counts = [x.ndim - len(letters.replace("...", "")) if "." in letters else 0 for x, letters in zip(arrays, inputs, strict=True)]
    if not arrow:
        once = sorted(c for c in set(before) - set(".,") if before.count(c) == 1)
        after = "..." * ("." in before) + "".join(once)
    return [_axes(letters, n) for letters, n in zip(inputs, counts, strict=True)], _axes(after, max(counts))


def _axes(letters: str, count: int) -> tuple[Label, ...]:
    """Letters, and in the place of the ellipsis so many axes of it."""
    first, dots, rest = letters.partition("...")
    return (*first, *(range(-count, 0) if dots else ()), *rest)


def _term(x: ndarray, labels: Sequence[Label], sizes: dict[Label, int]) -> Term:
    """An operand without axes of one element along which others have more, and with diagonals in the place of labels that are there
    twice: a view."""
    named = list(labels)
    for axis in reversed(range(x.ndim)):
        if x.shape[axis] == 1 and sizes[named[axis]] != 1:
            x = manipulation.squeeze(x, axis)
            del named[axis]
    for label in dict.fromkeys(labels):
        while named.count(label) > 1:
            first = named.index(label)
            second = named.index(label, first + 1)
            x = manipulation.diagonal(x, 0, first, second)
            named = [name for axis, name in enumerate(named) if axis not in (first, second)] + [label]
    return Term(x, tuple(named))


def _path(subscripts: str, arrays: Sequence[ndarray], optimize: object) -> list[tuple[int, ...]]:
    """Which operands are contracted one after the other, as NumPy plans it."""
    if len(arrays) < 3:
        return [tuple(range(len(arrays)))]
    stands = [np.broadcast_to(np.zeros((), x.dtype), x.shape) for x in arrays]
    path, _ = np.einsum_path(subscripts, *stands, optimize=optimize or "greedy")  # type: ignore[arg-type]
    return list(path[1:])


def _summed(term: Term, kept: set[Label]) -> Term:
    """A term summed over the labels that nobody needs."""
    over = tuple([axis for axis, label in enumerate(term.labels) if label not in kept])
    if not over:
        return term
    labels = tuple([label for label in term.labels if label in kept])
    return Term(_total(term.x, over), labels)


def _total(x: ndarray, over: tuple[int, ...]) -> ndarray:
    """The sum over axes in the dtype of the elements: whether any is true, of bools; of halves in float32."""
    if x.dtype.kind == "b":
        return reductions.any_(x, over)
    half, wide = SUMMED
    return reductions.sum_(x, over, wide).astype(half) if x.dtype == half else reductions.sum_(x, over, x.dtype)


def _product(one: Term, other: Term, kept: set[Label]) -> Term:
    """The product of two terms, summed over the labels that nobody else needs."""
    one, other = _summed(one, kept | set(other.labels)), _summed(other, kept | set(one.labels))
    both = [label for label in one.labels if label in other.labels]
    batch, inner = [label for label in both if label in kept], [label for label in both if label not in kept]
    rows, columns = ([label for label in term.labels if label not in both] for term in (one, other))
    left, right = _in_order(one, [*batch, *rows, *inner]), _in_order(other, [*batch, *columns, *inner])
    first, last = len(batch), left.ndim - len(inner)
    labels = (*batch, *rows, *columns)
    b, m, n, k = left.shape[:first], left.shape[first:last], right.shape[first : right.ndim - len(inner)], left.shape[last:]
    if inner and math.prod(m) > 1 and math.prod(n) > 1:
        left, right = (manipulation.reshape(x, (math.prod(b), math.prod(free), math.prod(k))) for x, free in ((left, m), (right, n)))
        return Term(manipulation.reshape(matmul.matmul(left, manipulation.matrix_transpose(right)), (*b, *m, *n)), labels)
    half, wide = SUMMED
    left, right = (x.astype(wide) if inner and x.dtype == half else x for x in (left, right))
    found = elementwise.binary("multiply", _with_axes(left, last, len(columns)), _with_axes(right, first, len(rows)))
    if not inner:
        return Term(found, labels)
    return Term(_total(found, tuple(range(len(labels), found.ndim))).astype(one.x.dtype, copy=False), labels)


def _in_order(term: Term, labels: Sequence[Label]) -> ndarray:
    return manipulation.transpose(term.x, [term.labels.index(label) for label in labels])


def _with_axes(x: ndarray, at: int, count: int) -> ndarray:
    """An array with so many more axes of one element from an axis on."""
    return manipulation.expand_dims(x, tuple(range(at, at + count))) if count else x
