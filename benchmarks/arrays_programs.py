"""The programs of `arrays.py`: NumPy code that every peer runs, and what a good user of a peer writes where that is other code.

A program's ``run(xp, *arrays)`` is written for any namespace like NumPy's. ``versions`` has a peer's own in its place, with the same
signature; Numba's and numexpr's are in `arrays_peers`. ``absent`` says why a peer has none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np

Array = Any  # of whichever peer
Inputs = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Program:
    """A program over about ``size`` elements.

    Attributes:
        title: A few words for the table.
        inputs: Its seeded inputs for a size and a dtype.
        run: What is timed.
        tolerance: The error that its results may have, relative to the largest result, in units of the dtype's epsilon.
        traffic: For a program that is bound by memory: how often the bytes of its first input cross the memory bus at least.
        moments: Whether only mean and standard deviation of the results are compared: random numbers.
        traced: Whether JAX may compile it; what has shapes that depend on values runs eagerly.
    """

    title: str
    inputs: Callable[[int, np.dtype], Inputs]
    run: Callable[..., Array]
    versions: Mapping[str, Callable[..., Array]] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    tolerance: float = 64.0
    traffic: float = 0.0
    moments: bool = False
    traced: bool = True


def _random(*shape: int, dtype: np.dtype, low: float = 0.0, high: float = 1.0, seed: int = 1) -> np.ndarray:
    return (low + (high - low) * np.random.default_rng(seed).random(shape, dtype)).astype(dtype)


def _square(size: int, dtype: np.dtype) -> Inputs:
    rows = round(math.sqrt(size / 1.6))
    return (_random(rows, size // rows, dtype=dtype),)


def _rows(size: int, dtype: np.dtype) -> Inputs:
    return (_random(max(size // 1000, 1), min(size, 1000), dtype=dtype, low=-4, high=4),)


# ------------------------------------------------------------------------------------------------------------------- element by element


def chain(xp: ModuleType, x: Array) -> Array:
    return xp.sqrt(2 * xp.sin(x) + xp.cos(x) ** 2) + xp.tanh(x)


def axpy(xp: ModuleType, x: Array, y: Array) -> Array:
    return 2.5 * x + y


def _cdf(xp: ModuleType, x: Array) -> Array:
    """Of the normal distribution (M. Abramowitz, I. Stegun, 26.2.17)."""
    t = 1 / (1 + 0.2316419 * xp.abs(x))
    series = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    y = 0.3989422804 * xp.exp(-0.5 * x * x) * series
    return xp.where(x > 0, 1 - y, y)


def black_scholes(xp: ModuleType, price: Array, strike: Array, years: Array) -> Array:
    rate, spread = 0.02, 0.3
    root = spread * xp.sqrt(years)
    d1 = (xp.log(price / strike) + (rate + 0.5 * spread * spread) * years) / root
    return price * _cdf(xp, d1) - strike * xp.exp(-rate * years) * _cdf(xp, d1 - root)


def _options(size: int, dtype: np.dtype) -> Inputs:
    price, strike = (_random(size, dtype=dtype, low=10, high=50, seed=seed) for seed in (1, 2))
    return price, strike, _random(size, dtype=dtype, low=0.2, high=2, seed=3)


def stencil(xp: ModuleType, x: Array) -> Array:
    return 0.25 * (x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:]) - x[1:-1, 1:-1]


# --------------------------------------------------------------------------------------------------------------------------- reductions


def softmax(xp: ModuleType, x: Array) -> Array:
    e = xp.exp(x - xp.amax(x, axis=-1, keepdims=True))
    return e / xp.sum(e, axis=-1, keepdims=True)


def layer_norm(xp: ModuleType, x: Array) -> Array:
    centred = x - xp.mean(x, axis=-1, keepdims=True)
    return centred / xp.sqrt(xp.mean(centred * centred, axis=-1, keepdims=True) + 1e-5) * 1.5 + 0.1


def _variance(axis: int) -> tuple[Callable[..., Array], dict[str, Callable[..., Array]]]:
    def run(xp: ModuleType, x: Array) -> Array:
        return xp.var(x, axis=axis)

    def torch(xp: ModuleType, x: Array) -> Array:
        return xp.var(x, axis=axis, correction=0)

    return run, {"torch": torch}


def pairwise(xp: ModuleType, a: Array, b: Array) -> Array:
    return xp.sqrt(xp.sum((a[:, None, :] - b[None, :, :]) ** 2, axis=-1))


def _points(size: int, dtype: np.dtype) -> Inputs:
    m = math.isqrt(size)
    return _random(m, 3, dtype=dtype), _random(m, 3, dtype=dtype, seed=2)


def kmeans(xp: ModuleType, points: Array, centres: Array, numbers: Array, one: Array) -> Array:
    away = points[:, None, :] - centres[None, :, :]
    nearest = xp.argmin(xp.sum(away * away, axis=-1), axis=-1)
    mine = nearest[:, None] == numbers
    return xp.sum(mine[:, :, None] * points[:, None, :], axis=0) / xp.sum(mine * one, axis=0)[:, None]


def _clusters(size: int, dtype: np.dtype) -> Inputs:
    n = size // 8
    return _random(n, 2, dtype=dtype), _random(8, 2, dtype=dtype, seed=2), np.arange(8)[None, :], np.ones((1, 1), dtype)


def logistic(xp: ModuleType, x: Array, y: Array, w: Array) -> Array:
    return x.T @ (1 / (1 + xp.exp(-(x @ w))) - y) / x.shape[0]


def _samples(size: int, dtype: np.dtype) -> Inputs:
    n = size // 20
    labels = (_random(n, dtype=dtype, seed=2) > 0.5).astype(dtype)
    return _random(n, 20, dtype=dtype, low=-1), labels, _random(20, dtype=dtype, low=-1, seed=3)


# ------------------------------------------------------------------------------------------------ libraries, scans, orders, selections


def convolution(xp: ModuleType, x: Array, kernel: Array) -> Array:
    return xp.fft.irfft(xp.fft.rfft(x) * xp.fft.rfft(kernel), x.shape[0])


def cumsum(xp: ModuleType, x: Array) -> Array:
    return xp.cumsum(x, axis=0)


def sort(xp: ModuleType, x: Array) -> Array:
    return xp.sort(x)


def compaction(xp: ModuleType, x: Array) -> Array:
    return x[x > 0.75]


def histogram(xp: ModuleType, x: Array) -> Array:
    return xp.histogram(x, bins=256, range=(0.0, 1.0))[0]


def dense_gelu(xp: ModuleType, x: Array, w: Array, b: Array) -> Array:
    y = x @ w + b
    return 0.5 * y * (1 + xp.tanh(0.7978845608 * (y + 0.044715 * y * y * y)))


def _layer(size: int, dtype: np.dtype) -> Inputs:
    wide = 256 if size >= 65536 else 16
    return (
        _random(size // wide, wide, dtype=dtype, low=-1), _random(wide, wide, dtype=dtype, low=-0.1, high=0.1, seed=2),
        _random(wide, dtype=dtype, seed=3),
    )  # fmt: skip


def _uniform(size: int, dtype: np.dtype) -> Inputs:
    return (np.empty(size, dtype),)


def _draws(name: str, moments: tuple[str, str]) -> dict[str, Callable[..., Array]]:
    """Each peer's generator; the first input gives size and dtype alone."""
    method, torch_name = moments

    def generator(xp: ModuleType) -> object:
        if not hasattr(xp, "_benchmark_generator"):
            xp._benchmark_generator = xp.random.default_rng(1)  # type: ignore[attr-defined]
        return xp._benchmark_generator  # type: ignore[attr-defined]

    def numpy(xp: ModuleType, x: Array) -> Array:
        return getattr(generator(xp), method)(x.shape, x.dtype)

    def torch(xp: ModuleType, x: Array) -> Array:
        return getattr(xp, torch_name)(x.shape, dtype=x.dtype)

    def jax(xp: ModuleType, x: Array) -> Array:
        import jax as module

        return getattr(module.random, name)(module.random.key(1), x.shape, x.dtype)

    return {"numpy": numpy, "anygpu": numpy, "torch": torch, "jax": jax}


_VAR_0, _VAR_0_OWN = _variance(0)
_VAR_1, _VAR_1_OWN = _variance(1)
_ELEMENTWISE_ONLY = {"numexpr": "element by element only"}
_NO_DRAWS = {"numba": "its generator is NumPy's", "numexpr": "has none", "dpnp": "has no generator of a dtype"}

PROGRAMS: dict[str, Program] = {
    "axpy": Program("a*x + y", lambda n, d: (_random(n, dtype=d), _random(n, dtype=d, seed=2)), axpy, traffic=3),
    "chain": Program("sqrt(2*sin(x)+cos(x)**2)+tanh(x)", lambda n, d: (_random(n, dtype=d, high=3),), chain),
    "black_scholes": Program(
        "Black-Scholes",
        _options, black_scholes, tolerance=256,
    ),
    "stencil": Program("5-point stencil", _square, stencil, traffic=2),
    "softmax": Program("softmax", _rows, softmax, absent=_ELEMENTWISE_ONLY, traffic=2),
    "layer_norm": Program("layer norm", _rows, layer_norm, absent=_ELEMENTWISE_ONLY, traffic=2, tolerance=256),
    "variance_0": Program("variance of columns", _square, _VAR_0, _VAR_0_OWN, _ELEMENTWISE_ONLY, traffic=1, tolerance=4096),
    "variance_1": Program("variance of rows", _square, _VAR_1, _VAR_1_OWN, _ELEMENTWISE_ONLY, traffic=1, tolerance=4096),
    "pairwise": Program("pairwise distances", _points, pairwise, absent=_ELEMENTWISE_ONLY),
    "kmeans": Program("k-means step", _clusters, kmeans, absent=_ELEMENTWISE_ONLY, tolerance=1e5),
    "logistic": Program("logistic regression gradient", _samples, logistic, absent=_ELEMENTWISE_ONLY, traffic=1, tolerance=1e5),
    "convolution": Program(
        "convolution by FFT", lambda n, d: (_random(n, dtype=d), _random(n, dtype=d, seed=2)), convolution,
        absent={**_ELEMENTWISE_ONLY, "numba": "has no FFT"}, tolerance=4096,
    ),
    "cumsum": Program("cumsum", lambda n, d: (_random(n, dtype=d),), cumsum, absent=_ELEMENTWISE_ONLY, traffic=2, tolerance=1e5),
    "sort": Program(
        "sort", lambda n, d: (_random(n, dtype=d),), sort, {"torch": lambda xp, x: xp.sort(x)[0]}, _ELEMENTWISE_ONLY, tolerance=0
    ),
    "compaction": Program(
        "x[x > 0.75]", lambda n, d: (_random(n, dtype=d),), compaction, absent=_ELEMENTWISE_ONLY, tolerance=0, traced=False
    ),
    "histogram": Program(
        "histogram", lambda n, d: (_random(n, dtype=d),), histogram, {"torch": lambda xp, x: xp.histc(x, 256, 0.0, 1.0)}, _ELEMENTWISE_ONLY,
        tolerance=1e5,
    ),
    "dense_gelu": Program("matmul, bias, GELU", _layer, dense_gelu, absent=_ELEMENTWISE_ONLY, tolerance=1024),
    "uniform": Program(
        "uniform random numbers", _uniform, axpy, _draws("uniform", ("random", "rand")), _NO_DRAWS, moments=True
    ),
    "normal": Program(
        "normal random numbers", _uniform, axpy, _draws("normal", ("standard_normal", "randn")), _NO_DRAWS, moments=True
    ),
}
