"""Conversions between all dtypes: rounding, wrapping, saturation, NaN; by call, by store, by variable, and the bits themselves."""

from __future__ import annotations

import numpy as np
import pytest

import anygpu as ag
from anygpu.dtypes import DTYPES
from anygpu.ir.ops import saturating_cast
from anygpu.testing.harness import Grid, Range, assert_same, check, special_values

NAMES = list(DTYPES)


def converted(x, source, target):
    """The table's meaning, part by part for complex numbers."""
    with np.errstate(all="ignore"):
        if source.is_complex:
            parts = [saturating_cast(np.ascontiguousarray(p), source.component, target.component) for p in (x.real, x.imag)]
            if target.name == "bool":
                return (parts[0] != 0) | (parts[1] != 0)
            out = np.zeros(len(x), target.numpy)
            out.real, out.imag = parts
            return out
        if target.is_complex:
            out = np.zeros(len(x), target.numpy)
            out.real = saturating_cast(x, source, target.component)
            return out
        return np.asarray(saturating_cast(x, source, target)).astype(target.numpy)


@pytest.mark.parametrize("source", NAMES)
def test_stores_convert(source):
    @ag.kernel(bounds_check=False)
    def store(x, outs):
        i = ag.grid(1)
        for out in outs:
            out[i] = x[i]

    dtype = DTYPES[source]
    targets = [n for n in NAMES if not dtype.is_complex or DTYPES[n].is_complex or n == "bool"]
    x = np.resize(special_values(dtype.numpy), 64)
    found = check(store, Grid(2, 32), x, tuple(np.zeros(64, DTYPES[n].numpy) for n in targets))
    for n, out in zip(targets, found.args[1], strict=True):
        assert_same(out, converted(x, dtype, DTYPES[n]), f"{source} stored as {n}")


@pytest.mark.parametrize("target", NAMES)
def test_dtypes_are_called(target):
    made = DTYPES[target].numpy.type

    @ag.kernel(bounds_check=False)
    def call(xs, outs):
        i = ag.grid(1)
        for x, out in zip(xs, outs):  # noqa: B905
            out[i] = made(x[i])

    sources = [n for n in NAMES if not DTYPES[n].is_complex or DTYPES[target].is_complex]
    xs = tuple(np.resize(special_values(DTYPES[n].numpy), 64) for n in sources)
    found = check(call, Grid(2, 32), xs, tuple(np.zeros(64, DTYPES[target].numpy) for _ in xs))
    for n, x, out in zip(sources, xs, found.args[1], strict=True):
        assert_same(out, converted(x, DTYPES[n], DTYPES[target]), f"{target}({n})")


@pytest.mark.parametrize("name", ["bool", "int", "float", "complex"])
def test_python_types_are_called(name):
    made = {"bool": bool, "int": int, "float": float, "complex": complex}[name]
    target = {"bool": "bool", "int": "int64", "float": "float64", "complex": "complex128"}[name]

    @ag.kernel(bounds_check=False)
    def call(xs, outs):
        i = ag.grid(1)
        for x, out in zip(xs, outs):  # noqa: B905
            out[i] = made(x[i])

    sources = [n for n in NAMES if not DTYPES[n].is_complex or name in ("complex", "bool")]
    xs = tuple(np.resize(special_values(DTYPES[n].numpy), 64) for n in sources)
    found = check(call, Grid(2, 32), xs, tuple(np.zeros(64, DTYPES[target].numpy) for _ in xs))
    for n, x, out in zip(sources, xs, found.args[1], strict=True):
        assert_same(out, converted(x, DTYPES[n], DTYPES[target]), f"{name}({n})")


@pytest.mark.parametrize("bits", [8, 16, 32, 64])
def test_bitcasts_keep_every_bit(bits):
    same = [n for n in NAMES if DTYPES[n].bits == bits and n != "bool" and not DTYPES[n].is_complex]
    for target in same:
        dtype = DTYPES[target].numpy

        @ag.kernel(bounds_check=False)
        def cast(xs, outs, dtype):
            i = ag.grid(1)
            for x, out in zip(xs, outs):  # noqa: B905
                out[i] = ag.bitcast(x[i], dtype)

        xs = tuple(np.resize(special_values(DTYPES[n].numpy), 64) for n in same)
        found = check(cast, Grid(2, 32), xs, tuple(np.zeros(64, dtype) for _ in xs), dtype)
        for n, x, out in zip(same, xs, found.args[1], strict=True):
            assert np.array_equal(out.view(f"u{bits // 8}"), x.view(f"u{bits // 8}")), f"{n} as {target}"


def test_variables_join_the_types_of_their_assignments():
    @ag.kernel
    def joined(x, y, out):
        i = ag.grid(1)
        v = x[i]
        if i % 2 == 0:
            v = y[i]
        out[i] = v / 2

    x = np.arange(64, dtype=np.int16) - 30
    y = np.linspace(-1, 1, 64).astype(np.float32)
    found = check(joined, Grid(2, 32), x, y, np.zeros(64, np.float32))
    wanted = np.where(np.arange(64) % 2 == 0, y, x.astype(np.float32)) / np.float32(2)
    assert_same(found.args[2], wanted)


def test_a_counter_that_starts_at_a_literal_is_wide():
    @ag.kernel
    def count(x, out):
        n = 0
        for value in x:
            n += value
        out[ag.grid(1)] = n

    x = np.full(50, 127, np.int8)
    found = check(count, Grid(1, 32), x, np.zeros(32, np.int64))
    assert (found.args[1] == 50 * 127).all()


def test_float64_is_rounded_to_float16_once():
    """Values that lie a hair beside the middle between two float16, which a detour through float32 would round to the middle first."""

    @ag.kernel
    def convert(x, out):
        i = ag.grid(1)
        if i < out.size:
            out[i] = x[i]

    source = np.random.default_rng(9)
    halves = source.integers(0, 0x7C00, 20_000).astype(np.uint16)
    low, high = halves.view(np.float16).astype(np.float64), (halves + 1).astype(np.uint16).view(np.float16).astype(np.float64)
    high[~np.isfinite(high)] = 65536.0
    middle = (low + high) / 2
    beside = [np.nextafter(middle, 0), np.nextafter(middle, np.inf), middle * (1 + 2.0**-30)]
    x = np.concatenate([middle, *beside, [np.inf, np.nan, 1e300, 5e-324]])
    x = np.concatenate([x, -x])
    found = check(convert, Range(len(x)), x, np.zeros(len(x), np.float16))
    with np.errstate(over="ignore"):
        assert np.array_equal(found.args[1], x.astype(np.float16), equal_nan=True)
