"""Measure the error of every elementary function on the CPU device and write docs/reference/accuracy.md.

    python docs/scripts/accuracy.py                    # every float32: about two hours on one core
    python docs/scripts/accuracy.py --stride 17 --points 2000

Unary functions at float32 are compared at every `stride`-th of the 2**32 floats with NumPy's or SciPy's float64 function, whose own error
is below a millionth of a float32 ULP.  Everything else is compared with mpmath at random points, dense around 0 and 1 and spread over the
whole range, and at hard cases: both sides of powers of two and of the functions' own branch points, and the floats closest to multiples of
pi/2 (J.-M. Muller, Elementary Functions, 2016, section 11.3.2).

An error is in units of the last place (ULP) of the exact result; a wrong special value (NaN, infinity, sign of zero) counts as infinite.
"""

from __future__ import annotations

import argparse
import functools
import math
import platform
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import mpmath
import numpy as np
import scipy.special

Evaluate = Callable[..., np.ndarray]
DIGITS = {"float32": (24, -149, 128), "float64": (53, -1074, 1024)}


def _sine_of_half_turns(a: np.ndarray) -> np.ndarray:
    """sin(pi*a) for 0 <= a <= 2, folded so that neither a small result nor an exact zero is lost."""
    b = np.where(a > 1.0, a - 1.0, a)
    b = np.where(b > 0.5, 1.0 - b, b)
    return np.where(a > 1.0, -1.0, 1.0) * np.where(b > 0.25, np.cos(np.pi * (0.5 - b)), np.sin(np.pi * b))


def _sinpi(x: np.ndarray) -> np.ndarray:
    a = np.abs(x) % 2.0
    return np.copysign(1.0, x) * np.where(a == 1.0, 0.0, _sine_of_half_turns(a))


def _cospi(x: np.ndarray) -> np.ndarray:
    a = np.abs(x) % 2.0
    a = np.where(a > 1.0, 2.0 - a, a)
    far = np.where(a > 0.75, -np.cos(np.pi * (1.0 - a)), np.sin(np.pi * (0.5 - a)))
    return np.where(a < 0.25, np.cos(np.pi * a), far)


@dataclass(frozen=True)
class Row:
    """One operation: its float64 reference, its mpmath reference, and the intervals that random points are drawn from."""

    numpy: Callable[..., np.ndarray] | None
    exact: Callable[..., mpmath.mpf]
    intervals: tuple[tuple[float, float], ...]
    arity: int = 1
    domain: Callable[..., bool] = lambda *x: True


def _positive(x: float) -> bool:
    return x > 0


ROWS: dict[str, Row] = {
    "exp": Row(np.exp, mpmath.exp, ((-745, 710), (-2, 2))),
    "exp2": Row(np.exp2, lambda x: mpmath.mpf(2) ** x, ((-1075, 1024), (-2, 2))),
    "exp10": Row(scipy.special.exp10, lambda x: mpmath.mpf(10) ** x, ((-324, 309), (-2, 2))),
    "expm1": Row(np.expm1, mpmath.expm1, ((-40, 710), (-2, 2), (-1e-5, 1e-5))),
    "log": Row(np.log, mpmath.log, ((0.5, 2), (0, 100)), domain=_positive),
    "log2": Row(np.log2, lambda x: mpmath.log(x) / mpmath.ln2, ((0.5, 2), (0, 100)), domain=_positive),
    "log10": Row(np.log10, mpmath.log10, ((0.5, 2), (0, 100)), domain=_positive),
    "log1p": Row(np.log1p, mpmath.log1p, ((-1, 2), (-1e-5, 1e-5)), domain=lambda x: x > -1),
    "cbrt": Row(np.cbrt, lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)), ((-10, 10),)),
    "rsqrt": Row(lambda x: 1.0 / np.sqrt(x), lambda x: 1 / mpmath.sqrt(x), ((0, 10),), domain=_positive),
    "sin": Row(np.sin, mpmath.sin, ((-10, 10), (-1e5, 1e5), (-1e10, 1e10))),
    "cos": Row(np.cos, mpmath.cos, ((-10, 10), (-1e5, 1e5), (-1e10, 1e10))),
    "tan": Row(np.tan, mpmath.tan, ((-10, 10), (-1e5, 1e5), (-1e10, 1e10))),
    "sinpi": Row(_sinpi, mpmath.sinpi, ((-2, 2), (-1000, 1000)), domain=lambda x: abs(x) < 2.0**60),
    "cospi": Row(_cospi, mpmath.cospi, ((-2, 2), (-1000, 1000)), domain=lambda x: abs(x) < 2.0**60),
    "asin": Row(np.arcsin, mpmath.asin, ((-1, 1), (0.9, 1)), domain=lambda x: abs(x) <= 1),
    "acos": Row(np.arccos, mpmath.acos, ((-1, 1), (0.9, 1)), domain=lambda x: abs(x) <= 1),
    "atan": Row(np.arctan, mpmath.atan, ((-3, 3), (-100, 100))),
    "sinh": Row(np.sinh, mpmath.sinh, ((-711, 711), (-3, 3))),
    "cosh": Row(np.cosh, mpmath.cosh, ((-711, 711), (-3, 3))),
    "tanh": Row(np.tanh, mpmath.tanh, ((-20, 20), (-1, 1))),
    "asinh": Row(np.arcsinh, mpmath.asinh, ((-10, 10), (-1, 1))),
    "acosh": Row(np.arccosh, mpmath.acosh, ((1, 2), (1, 100)), domain=lambda x: x >= 1),
    "atanh": Row(np.arctanh, mpmath.atanh, ((-1, 1), (-0.1, 0.1)), domain=lambda x: abs(x) < 1),
    "erf": Row(scipy.special.erf, mpmath.erf, ((-6, 6), (-1, 1))),
    "erfc": Row(scipy.special.erfc, mpmath.erfc, ((-6, 28), (-1, 1)), domain=lambda x: x < 40),
    "gamma": Row(
        scipy.special.gamma,
        mpmath.gamma,
        ((0, 172), (-185, 0), (-3, 3)),
        domain=lambda x: 0 < x < 300 or (-300 < x < 0 and x != math.floor(x)),
    ),
    "lgamma": Row(None, mpmath.loggamma, ((0, 20), (0.5, 3), (0, 1e5)), domain=_positive),
    "pow": Row(None, lambda x, y: mpmath.mpf(x) ** y, ((0, 4), (-300, 300)), 2, lambda x, y: x > 0 and abs(y) * abs(math.log2(x)) < 1e5),
    "atan2": Row(None, mpmath.atan2, ((-10, 10), (-10, 10)), 2, lambda y, x: x != 0 and y != 0),
    "hypot": Row(None, mpmath.hypot, ((-10, 10), (-10, 10)), 2),
    "fmod": Row(None, lambda x, y: mpmath.sign(x) * mpmath.fmod(abs(x), abs(y)), ((-1000, 1000), (-10, 10)), 2, lambda x, y: y != 0),
    "remainder": Row(None, lambda x, y: x - y * mpmath.nint(x / y), ((-1000, 1000), (-10, 10)), 2, lambda x, y: y != 0),
}


def device_evaluate() -> Evaluate:
    """Return evaluate(operation, dtype name, *arrays) -> array that runs the operation in a kernel on the CPU device."""
    import anygpu as ag

    special = {"exp10": ag.exp10, "rsqrt": ag.rsqrt, "sinpi": ag.sinpi, "cospi": ag.cospi}
    kernels: dict[str, object] = {}

    def build(operation: str) -> object:
        function = special.get(operation) or getattr(math, operation, None) or getattr(np, operation)

        @ag.kernel
        def unary(x, out):  # type: ignore[no-untyped-def]
            i = ag.grid(1)
            if i < out.size:
                out[i] = function(x[i])

        @ag.kernel
        def binary(x, y, out):  # type: ignore[no-untyped-def]
            i = ag.grid(1)
            if i < out.size:
                out[i] = function(x[i], y[i])

        return unary if ROWS[operation].arity == 1 else binary

    def evaluate(operation: str, dtype: str, *arrays: np.ndarray) -> np.ndarray:
        kernel = kernels.setdefault(operation, build(operation)) if operation not in kernels else kernels[operation]
        out = np.empty(arrays[0].shape, dtype)
        kernel.forall(out.size)(*arrays, out)  # type: ignore[attr-defined]
        ag.synchronize()
        return out

    return evaluate


@dataclass
class Worst:
    """The largest error seen, where, and over how many points."""

    error: float = 0.0
    at: tuple[float, ...] = ()
    count: int = 0

    def add(self, errors: np.ndarray, *arguments: np.ndarray) -> None:
        self.count += errors.size
        if errors.size and (top := int(np.argmax(errors))) >= 0 and errors[top] > self.error:
            self.error, self.at = float(errors[top]), tuple(float(a[top]) for a in arguments)


def float32_errors(got: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """The error of float32 results in ULP of float64 references; infinite where a special value is wrong."""
    got = got.astype(np.float64)
    _, exponent = np.frexp(exact)
    unit = np.ldexp(1.0, np.maximum(np.where(exact == 0.0, -149, exponent - 24), -149))
    limit = 2.0**128
    wide = np.where(np.isinf(got), np.copysign(limit, got), got)
    clipped = np.where(np.abs(exact) >= limit, np.copysign(limit, exact), exact)
    errors = np.abs(wide - clipped) / np.where(np.abs(exact) >= limit, 2.0**104, unit)
    errors = np.where(np.isnan(exact) != np.isnan(got), np.inf, np.where(np.isnan(exact), 0.0, errors))
    return np.where((exact == 0.0) & ((got != 0.0) | (np.signbit(got) != np.signbit(exact))), np.inf, errors)


@functools.cache
def error_kernel() -> object:
    """`float32_errors` as a kernel: NumPy's many passes over four billion values would take longer than all else."""
    import anygpu as ag

    @ag.kernel
    def errors(got, exact, out):  # type: ignore[no-untyped-def]
        i = ag.grid(1)
        if i < out.size:
            g, e = np.float64(got[i]), exact[i]
            limit = 2.0**128
            unit = math.ldexp(1.0, max(math.frexp(e)[1] - 24, -149)) if e != 0.0 else 2.0**-149
            if abs(e) >= limit:
                unit = 2.0**104
                e = math.copysign(limit, e)
            if np.isinf(g):
                g = math.copysign(limit, g)
            error = abs(g - e) / unit
            if np.isnan(e) != np.isnan(g) or (e == 0.0 and (g != 0.0 or np.signbit(g) != np.signbit(e))):
                error = math.inf
            elif np.isnan(e):
                error = 0.0
            out[i] = error

    return errors


def every_float32(operation: str, evaluate: Evaluate, stride: int, chunk: int = 1 << 20) -> Worst:
    """Compare a unary operation at every `stride`-th float32 with its float64 reference."""
    reference, worst = ROWS[operation].numpy, Worst()
    assert reference is not None
    compare = error_kernel()
    for start in range(0, 1 << 32, chunk * stride):
        x = np.arange(start, min(start + chunk * stride, 1 << 32), stride, dtype=np.uint64).astype(np.uint32).view(np.float32)
        errors = np.empty(x.size, np.float64)
        with np.errstate(all="ignore"):
            exact = np.asarray(reference(x.astype(np.float64)), np.float64)
        compare.forall(x.size)(evaluate(operation, "float32", x), exact, errors)  # type: ignore[attr-defined]
        worst.add(errors, x)
    return worst


def nearest_to_multiples(dtype: str) -> list[float]:
    """The float closest to a multiple of pi/2 in every binade above 1, from the continued fraction of 2**e / (pi/2)."""
    digits, _, top = DIGITS[dtype]
    found = []
    with mpmath.workprec(3000):
        for e in range(top - digits):
            ratio = mpmath.ldexp(2 / mpmath.pi, e)
            q0, q1, rest = 0, 1, ratio
            while q1 < 2**digits:
                if q1 >= 2 ** (digits - 1):
                    found.append(math.ldexp(q1, e))
                rest = 1 / (rest - mpmath.floor(rest))
                q0, q1 = q1, int(mpmath.floor(rest)) * q1 + q0
    return found


def hard_cases(dtype: str) -> np.ndarray:
    """Both sides of the powers of two and of the functions' branch points, and neighbours of multiples of pi/2."""
    _, least, top = DIGITS[dtype]
    kind = np.dtype(dtype).type
    branch = (0.5, 1.0, 1.5, 2.0, 8.0, 12.0, 0.921875, 0.41421356, 2.4142135, 0.34657359, 0.70710678, 1.41421356, 0.015625, 131072.0)
    centres = [math.ldexp(1.0, e) for e in range(least, top, 7)] + [n * math.pi / 4 for n in range(1, 40)] + list(branch)
    centre = np.array(centres, kind)
    near = [centre, np.nextafter(centre, kind(np.inf)), np.nextafter(centre, kind(-np.inf)), np.array(nearest_to_multiples(dtype), kind)]
    values = np.unique(np.concatenate(near))
    return np.concatenate([values, -values])


def sampled(operation: str, dtype: str, points: int) -> list[np.ndarray]:
    """Random and hard arguments of an operation, inside its domain."""
    row, kind = ROWS[operation], np.dtype(dtype).type
    source = np.random.default_rng(sum(map(ord, operation)))
    bits = np.uint32 if dtype == "float32" else np.uint64

    def anywhere(count: int) -> np.ndarray:
        values = source.integers(0, np.iinfo(bits).max, count, dtype=bits, endpoint=True).view(kind)
        return values[np.isfinite(values)]

    hard = hard_cases(dtype)
    if row.arity == 1:
        parts = [source.uniform(low, high, points // 2).astype(kind) for low, high in row.intervals] + [anywhere(points // 2), hard]
        columns = [np.concatenate(parts)]
    else:
        uniform = [source.uniform(low, high, points).astype(kind) for low, high in row.intervals]
        wide = [anywhere(points // 2) for _ in range(2)]
        size = min(map(len, wide))
        columns = [np.concatenate([u, w[:size], source.permutation(hard)]) for u, w in zip(uniform, wide, strict=True)]
        # Near x = 1 a large y magnifies the error of the logarithm.
        close = (1 + source.uniform(-0.01, 0.01, points)).astype(kind)
        columns = [np.concatenate([columns[0], close]), np.concatenate([columns[1], source.uniform(-1e4, 1e4, points).astype(kind)])]
    keep = np.array([row.domain(*map(float, arguments)) for arguments in zip(*columns, strict=True)])
    return [column[keep] for column in columns]


def mpmath_error(got: float, exact: mpmath.mpf, dtype: str) -> float:
    """The error of one result in ULP of its exact value."""
    digits, least, top = DIGITS[dtype]
    limit = mpmath.mpf(2) ** top
    if math.isnan(got) or (abs(exact) >= limit and not math.isinf(got) and abs(exact) >= limit * (1 + mpmath.mpf(2) ** -digits)):
        return math.inf
    value = mpmath.sign(got) * limit if math.isinf(got) else mpmath.mpf(got)
    exact = max(-limit, min(limit, exact))
    unit = mpmath.ldexp(1, max(mpmath.frexp(exact)[1] - digits, least) if exact else least)
    return float(abs(value - exact) / unit)


def against_mpmath(operation: str, dtype: str, evaluate: Evaluate, points: int) -> Worst:
    """Compare an operation with mpmath at random points and hard cases."""
    columns = sampled(operation, dtype, points)
    got = evaluate(operation, dtype, *columns)
    worst, exact_function = Worst(), ROWS[operation].exact
    # Enough bits for the remainder of any two floats, and for the reduction of the largest argument.
    precision = 2400 if operation in ("fmod", "remainder") else 1300 if operation in ("sin", "cos", "tan") and dtype == "float64" else 320
    with mpmath.workprec(precision):
        arguments: Iterable[tuple[np.generic, ...]] = zip(*columns, strict=True)
        errors = [
            mpmath_error(float(result), exact_function(*(mpmath.mpf(float(a)) for a in point)), dtype)
            for result, point in zip(got, arguments, strict=True)
        ]
    worst.add(np.array(errors), *columns)
    return worst


def measure(evaluate: Evaluate, stride: int, points: int, operations: Iterable[str] = ROWS) -> dict[tuple[str, str], Worst]:
    """Measure operations at both dtypes, printing each result as it comes."""
    table = {}
    for operation in operations:
        for dtype in DIGITS:
            start = time.perf_counter()
            if dtype == "float32" and ROWS[operation].numpy is not None:
                result = every_float32(operation, evaluate, stride)
            else:
                result = against_mpmath(operation, dtype, evaluate, points)
            table[operation, dtype] = result
            place = ", ".join(f"{a:.9g}" for a in result.at)
            seconds = time.perf_counter() - start
            print(f"{operation:10} {dtype}  {result.error:7.3f} ULP at ({place})  {result.count} points  {seconds:.1f} s", flush=True)
    return table


def render(table: dict[tuple[str, str], Worst], stride: int) -> str:
    """The table as a page of the reference."""
    every = "every one of the 2<sup>32</sup> floats" if stride == 1 else f"every {stride}th of the 2<sup>32</sup> floats"
    lines = [
        "# Accuracy of the elementary functions",
        "",
        f"Measured on {date.today().isoformat()} through the CPU device ({platform.machine()}) by `docs/scripts/accuracy.py`. Errors are "
        "the largest seen, in units of the last place of the exact result: 0.5 is a correctly rounded function. The same bits come from "
        "every device.",
        "",
        f"A unary function at float32 was run on {every} (marked ●); the others at random points over their whole range and at hard cases, "
        "against mpmath.",
        "",
        "| function | float32 | worst at | float64 | worst at | float64 points |",
        "| --- | ---: | --- | ---: | --- | ---: |",
    ]
    for operation in dict.fromkeys(name for name, _ in table):
        single, double = table[operation, "float32"], table[operation, "float64"]
        mark = " ●" if ROWS[operation].numpy is not None else ""
        places = ["exact" if not w.at else ", ".join(f"{a:.9g}" for a in w.at) for w in (single, double)]
        lines.append(f"| `{operation}` | {single.error:.3f}{mark} | {places[0]} | {double.error:.3f} | {places[1]} | {double.count} |")
    lines += [
        "",
        "`lgamma` is measured for positive arguments: near its zeros between negative integers the error is small against 1, not against "
        "the result. `ldexp`, `frexp`, `modf`, `nextafter`, `logb`, `fmod` and `remainder` are exact.",
        "",
    ]
    return "\n".join(lines)


def main(evaluate: Evaluate | None = None) -> None:
    """Measure and write the page; `evaluate` replaces the CPU device."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stride", type=int, default=1, help="test every n-th float32 (default: every one)")
    parser.add_argument("--points", type=int, default=20000, help="random points of each function at float64 (default: 20000)")
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "reference" / "accuracy.md")
    parser.add_argument("operations", nargs="*", default=list(ROWS))
    options = parser.parse_args()
    table = measure(evaluate or device_evaluate(), options.stride, options.points, options.operations)
    options.output.write_text(render(table, options.stride))


if __name__ == "__main__":
    main()
