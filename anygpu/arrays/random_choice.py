"""Draws of more than one number at a time: rows that add up, choices, orders."""

from __future__ import annotations

import math
import operator
import warnings
from typing import TYPE_CHECKING, cast

import numpy as np

from anygpu.arrays import creation, elementwise, host, indexing, manipulation, reductions
from anygpu.arrays import random_draw as draw
from anygpu.arrays.ndarray import ndarray
from anygpu.arrays.random_draw import CHANCE, NOT_NEGATIVE, parameter
from anygpu.arrays.random_samplers import draw_multinomial, draw_multivariate_hypergeometric, integer_each, log_gamma
from anygpu.arrays.random_streams import Philox
from anygpu.ir.graph import Shape

if TYPE_CHECKING:
    from anygpu.arrays.random import Generator

_KINDS = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")


def _host(value: object) -> np.ndarray:
    return value.__array__() if isinstance(value, ndarray) else np.asarray(value)


# -------------------------------------------------------------------------------------------------------------------------- integers


def integers(stream: Philox, low: object, high: object, size: object, dtype: object, endpoint: bool) -> ndarray:
    wanted = np.dtype(dtype)  # type: ignore[call-overload]
    if not wanted.isnative:
        raise ValueError(
            "Providing a dtype with a non-native byteorder is not supported. If you require platform-independent byteorder, "
            "call byteswap when required."
        )
    if wanted.name not in _KINDS:
        raise TypeError(f"Unsupported dtype {wanted!r} for integers")
    one = high is None
    lows, highs = (_exact(0), _exact(low)) if one else (_exact(low), _exact(high))
    least, most = (0, 1) if wanted.kind == "b" else (int(np.iinfo(wanted).min), int(np.iinfo(wanted).max))
    if any(v < least for v in lows.flat):
        raise ValueError(f"low is out of bounds for {wanted.name}")
    if any(v - (not endpoint) > most for v in highs.flat):
        raise ValueError(f"high is out of bounds for {wanted.name}")
    widths = highs - lows - (not endpoint)
    if any(v < 0 for v in np.asarray(widths, object).flat):
        raise ValueError(("high < 0" if endpoint else "high <= 0") if one else ("low > high" if endpoint else "low >= high"))
    given = [draw.Parameter(0, v.shape, v) for v in (lows, highs)]
    shape = draw.common_shape(size, given)
    if lows.size == 1 and highs.size == 1:
        out = creation.empty(shape, wanted)
        return draw.integers(stream, lows.item(), highs.item() - lows.item() - (not endpoint), wanted, out)
    counts = (np.asarray(widths, object) + 1) % (1 << 64)
    starts = lows % (1 << 64)
    parameters = [draw.Parameter(creation.asarray(v), v.shape, v) for v in (starts.astype(np.uint64), counts.astype(np.uint64))]
    return draw.each(stream, integer_each, shape, wanted.name, parameters)


def _exact(bounds: object) -> np.ndarray:
    """Bounds as Python ints, which do not overflow."""
    values = bounds.__array__() if isinstance(bounds, ndarray) else np.asarray(bounds, object)
    return np.array([int(v) for v in values.reshape(-1).tolist()], object).reshape(values.shape)


# -------------------------------------------------------------------------------------------------------------- rows of numbers


def dirichlet(rng: Generator, alpha: object, size: object, dtype: object) -> ndarray:
    given = _host(alpha)
    if given.ndim == 0:
        raise TypeError(f"object of type '{type(alpha).__name__}' has no len()")
    if given.ndim != 1:
        raise ValueError("alpha must be one-dimensional")
    shapes = given.astype(np.float64)
    if np.any(shapes < 0):
        raise ValueError("alpha < 0")
    name = draw.real_dtype(dtype, "dirichlet")
    shape = (*draw.extents(size), len(shapes))
    if len(shapes) == 0:
        return creation.empty(shape, np.dtype(name))
    some = np.where(shapes > 0, shapes, 1.0)
    logs = draw.each(rng.bit_generator, log_gamma, shape, name, [parameter("alpha", some)])
    if np.any(shapes == 0):
        logs = elementwise.where(shapes > 0, logs, -math.inf if np.any(shapes > 0) else 0.0)
    parts = elementwise.call("exp", logs - reductions.max_(logs, -1, keepdims=True))
    return parts / reductions.sum_(parts, -1, keepdims=True)


def multivariate_normal(
    rng: Generator, mean: object, cov: object, size: object, check_valid: str, tol: float, method: str
) -> ndarray:
    if method not in {"eigh", "svd", "cholesky"}:
        raise ValueError("method must be one of {'eigh', 'svd', 'cholesky'}")
    centre, spread = _host(mean), _host(cov).astype(np.float64)
    if centre.ndim != 1:
        raise ValueError("mean must be 1 dimensional")
    if spread.ndim != 2 or spread.shape[0] != spread.shape[1]:
        raise ValueError("cov must be 2 dimensional and square")
    if centre.shape[0] != spread.shape[0]:
        raise ValueError("mean and cov must have same length")
    if check_valid not in ("warn", "raise", "ignore"):
        raise ValueError("check_valid must equal 'warn', 'raise', or 'ignore'")
    if method == "cholesky":
        factor, valid = np.linalg.cholesky(spread), True
    elif method == "eigh":
        values, vectors = np.linalg.eigh(spread)
        valid = not np.any(values < -tol)
        factor = vectors * np.sqrt(np.abs(values))
    else:
        u, values, vh = np.linalg.svd(spread)
        valid = bool(np.allclose(np.dot(vh.T * values, vh), spread, rtol=tol, atol=tol))
        factor = u * np.sqrt(values)
    if not valid and check_valid != "ignore":
        if check_valid == "raise":
            raise ValueError("covariance is not symmetric positive-semidefinite.")
        warnings.warn("covariance is not symmetric positive-semidefinite.", RuntimeWarning, stacklevel=3)
    z = rng.standard_normal((*draw.extents(size), centre.shape[0]))
    return creation.asarray(centre.astype(np.float64)) + z @ creation.asarray(np.ascontiguousarray(factor.T))


def multinomial(rng: Generator, n: object, pvals: object, size: object) -> ndarray:
    chances = _host(pvals).astype(np.float64)
    if chances.ndim == 0 or chances.shape[-1] == 0:
        raise ValueError("pvals must have at least 1 dimension and the last dimension of pvals must be greater than 0.")
    CHANCE.check("pvals", chances)
    if np.any(chances[..., :-1].sum(axis=-1) > 1.0 + 1e-12):
        raise ValueError("sum(pvals[:-1]) > 1.0" if chances.ndim == 1 else "sum(pvals[...,:-1], axis=-1) > 1.0")
    trials = parameter("n", n, NOT_NEGATIVE, integer=True)
    rows = draw.Parameter(0.0, chances.shape[:-1], chances[..., 0])
    shape = draw.common_shape(size, (trials, rows))
    out = creation.empty((*shape, chances.shape[-1]), np.dtype(np.int64))
    count = math.prod(shape)
    if count:
        each = creation.asarray(np.broadcast_to(trials.host, shape).reshape(-1))
        rows_of = creation.asarray(chances.reshape(-1, chances.shape[-1]))  # one row, or one for each sample
        if chances.ndim > 1:
            wide = np.broadcast_to(chances, (*shape, chances.shape[-1]))
            rows_of = creation.asarray(wide.reshape(count, -1))
        taken = rng.bit_generator.take(out.size)
        counts = manipulation.reshape(out, (count, chances.shape[-1]))
        draw_multinomial.forall(count)(*taken, each, rows_of, counts)
    return out


def multivariate_hypergeometric(stream: Philox, colors: object, nsample: int, size: object) -> ndarray:
    given = _host(colors)
    if given.ndim != 1 or not np.issubdtype(given.dtype, np.integer) or np.any(given < 0):
        raise ValueError("colors must be a one-dimensional sequence of nonnegative integers not exceeding 9223372036854775807.")
    drawn = operator.index(nsample)
    if drawn < 0:
        raise ValueError("nsample must be nonnegative.")
    if drawn > int(given.sum()):
        raise ValueError("nsample > sum(colors)")
    shape = draw.extents(size)
    out = creation.empty((*shape, len(given)), np.dtype(np.int64))
    count = math.prod(shape)
    if out.size:
        marbles = creation.asarray(given, np.int64)
        counts = manipulation.reshape(out, (count, len(given)))
        draw_multivariate_hypergeometric.forall(count)(*stream.take(out.size), marbles, drawn, counts)
    return out


# --------------------------------------------------------------------------------------------------------------- choices and orders


def _keys(stream: Philox, shape: Shape) -> ndarray:
    """Random numbers of 64 bits, by which things are put into random order."""
    return draw.integers(stream, 0, (1 << 64) - 1, np.dtype(np.uint64), creation.empty(shape, np.dtype(np.uint64)))


def order(stream: Philox, n: int) -> ndarray:
    """The numbers below ``n`` in random order."""
    return host.array(np.argsort, (_keys(stream, (n,)),), {})


def permutation(stream: Philox, x: object, axis: int) -> ndarray:
    if isinstance(x, int | np.integer):
        return order(stream, max(int(x), 0))
    given = x if isinstance(x, ndarray) else creation.asarray(x)
    at = _axis(axis, given.ndim)
    return host.array(np.take, (given, order(stream, given.shape[at])), {"axis": at})


def shuffle(stream: Philox, x: object, axis: int) -> None:
    if isinstance(x, ndarray | np.ndarray):
        at = _axis(axis, x.ndim)
        if x.shape[at] < 2:
            return
        chosen = order(stream, x.shape[at])
        if isinstance(x, ndarray):
            indexing.put(x, ..., host.array(np.take, (x, chosen), {"axis": at}))
        else:
            x[...] = np.take(x, chosen.__array__(), axis=at)
        return
    count = len(x)  # type: ignore[arg-type]
    if axis != 0:
        raise NotImplementedError("Axis argument is only supported on ndarray objects")
    if not hasattr(x, "__setitem__"):
        raise TypeError(f"'{type(x).__name__}' object does not support item assignment")
    items = cast(list[object], x)
    items[:] = [items[n] for n in order(stream, count).__array__()]


def permuted(stream: Philox, x: object, axis: int | None, out: object) -> ndarray:
    if out is not None and not isinstance(out, ndarray):
        raise TypeError("out must be an array")
    given = x if isinstance(x, ndarray) else creation.asarray(x)
    if axis is None:
        flat = manipulation.reshape(given, (-1,))
        found = manipulation.reshape(host.array(np.take, (flat, order(stream, flat.size)), {}), given.shape)
    else:
        at = _axis(axis, given.ndim)
        chosen = host.array(np.argsort, (_keys(stream, given.shape),), {"axis": at})
        found = host.array(np.take_along_axis, (given, chosen, at), {})
    return elementwise.finish(found, out)


def _axis(axis: int, ndim: int) -> int:
    if not -ndim <= axis < ndim:
        raise np.exceptions.AxisError(axis, ndim)
    return axis % ndim


def choice(rng: Generator, a: object, size: object, replace: bool, p: object, axis: int, shuffled: bool) -> ndarray:
    stream = rng.bit_generator
    shape = draw.extents(size)
    count = math.prod(shape)
    population, given = _population(a, axis)
    if population <= 0 and count:
        what = "a must be a positive integer" if given is None else "a cannot be empty"
        raise ValueError(f"{what} unless no samples are taken")
    chances = None if p is None else _chances(p, population)
    if replace:
        if chances is None:
            chosen = draw.integers(stream, 0, population - 1, np.dtype(np.int64), creation.empty(shape, np.dtype(np.int64)))
        else:
            below = np.cumsum(chances)
            below /= below[-1]
            chosen = host.array(np.searchsorted, (creation.asarray(below), rng.random(shape)), {"side": "right"})
    else:
        if count > population:
            raise ValueError("Cannot take a larger sample than population when replace is False")
        if chances is None:
            found = order(stream, population)
        else:
            if np.count_nonzero(chances > 0) < count:
                raise ValueError("Fewer non-zero entries in p than size")
            # the smallest of exponential numbers over their chances: as if one after the other were drawn of those left
            waits = rng.standard_exponential(population) / creation.asarray(np.where(chances > 0, chances, 1.0))
            found = host.array(np.argsort, (elementwise.where(creation.asarray(chances > 0), waits, math.inf),), {})
        chosen = manipulation.reshape(elementwise.copy(found[:count]), shape)
    if given is None:
        return chosen
    return host.array(np.take, (given, chosen), {"axis": axis})


def _population(a: object, axis: int) -> tuple[int, ndarray | None]:
    """How many there are to choose of, and what; None for the numbers below an int."""
    if isinstance(a, int | np.integer):
        return int(a), None
    given = a if isinstance(a, ndarray) else _host(a)
    if not given.ndim:
        raise ValueError(f"a must be a sequence or an integer, not {type(a)}")
    size = given.shape[axis]
    return size, given if isinstance(given, ndarray) else creation.asarray(given)


def _chances(p: object, population: int) -> np.ndarray:
    given = _host(p).astype(np.float64)
    if given.ndim != 1:
        raise ValueError("p must be 1-dimensional")
    if given.size != population:
        raise ValueError("a and p must have same size")
    total = math.fsum(given)
    if math.isnan(total):
        raise ValueError("Probabilities contain NaN")
    if np.any(given < 0):
        raise ValueError("Probabilities are not non-negative")
    if abs(total - 1.0) > max(math.sqrt(np.finfo(np.float64).eps), 1e-8):
        raise ValueError("Probabilities do not sum to 1. See Notes section of docstring for more information.")
    return given
