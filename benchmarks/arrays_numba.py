"""The programs of `arrays.py` for Numba: loops where a user would write loops, expressions where those are as fast."""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange

parallel = njit(parallel=True, fastmath=False)


@parallel
def axpy(x, y):
    return x.dtype.type(2.5) * x + y


@parallel
def chain(x):
    out = np.empty_like(x)
    for i in prange(x.size):
        out[i] = math.sqrt(2 * math.sin(x[i]) + math.cos(x[i]) ** 2) + math.tanh(x[i])
    return out


@njit
def _cdf(x):
    kind = type(x)
    t = kind(1) / (kind(1) + kind(0.2316419) * abs(x))
    series = t * (kind(0.319381530) + t * (kind(-0.356563782) + t * (kind(1.781477937) + t * (kind(-1.821255978) + t * kind(1.330274429)))))
    y = kind(0.3989422804) * math.exp(kind(-0.5) * x * x) * series
    return kind(1) - y if x > 0 else y


@parallel
def black_scholes(price, strike, years):
    kind = price.dtype.type
    out = np.empty_like(price)
    for i in prange(price.size):
        root = kind(0.3) * math.sqrt(years[i])
        d1 = (math.log(price[i] / strike[i]) + kind(0.02 + 0.045) * years[i]) / root
        out[i] = price[i] * _cdf(d1) - strike[i] * math.exp(kind(-0.02) * years[i]) * _cdf(d1 - root)
    return out


@parallel
def stencil(x):
    quarter = x.dtype.type(0.25)
    out = np.empty((x.shape[0] - 2, x.shape[1] - 2), x.dtype)
    for i in prange(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = quarter * (x[i, j + 1] + x[i + 2, j + 1] + x[i + 1, j] + x[i + 1, j + 2]) - x[i + 1, j + 1]
    return out


@parallel
def softmax(x):
    out = np.empty_like(x)
    for i in prange(x.shape[0]):
        top = x[i, 0]
        for j in range(x.shape[1]):
            top = max(top, x[i, j])
        total = x.dtype.type(0)
        for j in range(x.shape[1]):
            out[i, j] = math.exp(x[i, j] - top)
            total += out[i, j]
        for j in range(x.shape[1]):
            out[i, j] /= total
    return out


@parallel
def layer_norm(x):
    kind = x.dtype.type
    out = np.empty_like(x)
    for i in prange(x.shape[0]):
        mean = x[i].sum() / kind(x.shape[1])
        spread = kind(0)
        for j in range(x.shape[1]):
            spread += (x[i, j] - mean) * (x[i, j] - mean)
        scale = kind(1.5) / math.sqrt(spread / kind(x.shape[1]) + kind(1e-5))
        for j in range(x.shape[1]):
            out[i, j] = (x[i, j] - mean) * scale + kind(0.1)
    return out


@parallel
def variance_1(x):
    kind = x.dtype.type
    out = np.empty(x.shape[0], x.dtype)
    for i in prange(x.shape[0]):
        mean = x[i].sum() / kind(x.shape[1])
        spread = kind(0)
        for j in range(x.shape[1]):
            spread += (x[i, j] - mean) * (x[i, j] - mean)
        out[i] = spread / kind(x.shape[1])
    return out


@parallel
def variance_0(x):
    kind = x.dtype.type
    columns = 64
    out = np.empty(x.shape[1], x.dtype)
    for part in prange((x.shape[1] + columns - 1) // columns):
        low, high = part * columns, min((part + 1) * columns, x.shape[1])
        mean, spread = np.zeros(columns, x.dtype), np.zeros(columns, x.dtype)
        for i in range(x.shape[0]):
            for j in range(low, high):
                mean[j - low] += x[i, j]
        mean /= kind(x.shape[0])
        for i in range(x.shape[0]):
            for j in range(low, high):
                spread[j - low] += (x[i, j] - mean[j - low]) * (x[i, j] - mean[j - low])
        for j in range(low, high):
            out[j] = spread[j - low] / kind(x.shape[0])
    return out


@parallel
def pairwise(a, b):
    out = np.empty((a.shape[0], b.shape[0]), a.dtype)
    for i in prange(a.shape[0]):
        for j in range(b.shape[0]):
            total = a.dtype.type(0)
            for k in range(a.shape[1]):
                total += (a[i, k] - b[j, k]) * (a[i, k] - b[j, k])
            out[i, j] = math.sqrt(total)
    return out


@parallel
def kmeans(points, centres, numbers, one):
    parts = 16
    sums = np.zeros((parts, centres.shape[0], 3), np.float64)
    each = (points.shape[0] + parts - 1) // parts
    for part in prange(parts):
        for i in range(part * each, min((part + 1) * each, points.shape[0])):
            best, nearest = np.inf, 0
            for c in range(centres.shape[0]):
                x, y = points[i, 0] - centres[c, 0], points[i, 1] - centres[c, 1]
                d = x * x + y * y
                if d < best:
                    best, nearest = d, c
            sums[part, nearest, 0] += points[i, 0]
            sums[part, nearest, 1] += points[i, 1]
            sums[part, nearest, 2] += 1
    found = np.empty_like(centres)
    for c in range(centres.shape[0]):
        count = sums[:, c, 2].sum()
        found[c, 0], found[c, 1] = sums[:, c, 0].sum() / count, sums[:, c, 1].sum() / count
    return found


@parallel
def logistic(x, y, w):
    kind = x.dtype.type
    return x.T @ (kind(1) / (kind(1) + np.exp(-(x @ w))) - y) / kind(x.shape[0])


@njit
def cumsum(x):
    return np.cumsum(x)


@njit
def sort(x):
    return np.sort(x)


@parallel
def compaction(x):
    parts = 16
    each = (x.size + parts - 1) // parts
    counts = np.zeros(parts + 1, np.int64)
    for part in prange(parts):
        for i in range(part * each, min((part + 1) * each, x.size)):
            counts[part + 1] += x[i] > 0.75
    starts = np.cumsum(counts)
    out = np.empty(starts[parts], x.dtype)
    for part in prange(parts):
        at = starts[part]
        for i in range(part * each, min((part + 1) * each, x.size)):
            if x[i] > 0.75:
                out[at] = x[i]
                at += 1
    return out


@parallel
def histogram(x):
    parts = 16
    each = (x.size + parts - 1) // parts
    counts = np.zeros((parts, 256), np.int64)
    for part in prange(parts):
        for i in range(part * each, min((part + 1) * each, x.size)):
            counts[part, min(int(x[i] * 256), 255)] += 1
    return counts.sum(axis=0)


@parallel
def dense_gelu(x, w, b):
    kind = x.dtype.type
    y = x @ w
    out = np.empty_like(y)
    for i in prange(y.shape[0]):
        for j in range(y.shape[1]):
            v = y[i, j] + b[j]
            out[i, j] = kind(0.5) * v * (kind(1) + math.tanh(kind(0.7978845608) * (v + kind(0.044715) * v * v * v)))
    return out
