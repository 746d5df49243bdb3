"""Random programs of array operations, views and assignments: the same values, dtypes, shapes, errors and aliasing as NumPy's.

    python -m tests.arrays.test_programs --count 10000 --seed 1
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import anygpu as ag

EVERY_DEVICE = True

Program = list[tuple[str, tuple[object, ...]]]
DTYPES = ("bool", "int8", "uint8", "int32", "int64", "uint32", "float32", "float64", "complex128")
SHAPES = ((), (1,), (5,), (0,), (3, 4), (4, 3), (1, 6), (2, 3, 4), (40, 35), (3, 1, 2))


STEPS: list[list[str]] = []  # what the present program has done


class Choices:
    """Where a program's choices come from: Hypothesis, or a random generator."""

    def __init__(self, integer: Callable[[int, int], int]):
        self.integer = integer

    def of(self, items: tuple[object, ...]) -> object:
        return items[self.integer(0, len(items) - 1)]


BINARY = (
    "add", "subtract", "multiply", "maximum", "minimum", "less", "equal", "greater_equal", "logical_and", "bitwise_or", "divide",
    "not_equal",
)  # fmt: skip
UNARY = ("negative", "absolute", "square", "sqrt", "floor", "isnan", "logical_not", "conjugate", "sign", "invert", "exp")
REDUCTIONS = ("sum", "max", "min", "any", "all", "prod", "mean", "argmax", "argmin", "var")
SCANS = ("add", "maximum", "minimum", "logical_or", "multiply")


def key_for(choices: Choices, shape: tuple[int, ...]) -> object:
    """An index: mostly of the right length and in bounds."""
    parts: list[object] = []
    for n in shape[: choices.integer(0, len(shape))]:
        match choices.integer(0, 5):
            case 0:
                parts.append(choices.integer(-n - (choices.integer(0, 19) == 0), max(0, n - 1)))
            case 1 | 2:
                ends = [choices.of((None, 0, 1, 2, -1, -2, n, n + 3)) for _ in range(2)]
                parts.append(slice(ends[0], ends[1], choices.of((None, 1, 2, -1, -2, 3))))
            case 3:
                parts.append(slice(None))
            case 4:
                parts.append(None)
            case _:
                parts.append([choices.integer(0, max(0, n - 1)) for _ in range(choices.integer(1, 3))] if n else slice(None))
    if choices.integer(0, 3) == 0:
        parts.insert(choices.integer(0, len(parts)), Ellipsis)
    return parts[0] if len(parts) == 1 and choices.integer(0, 1) else tuple(parts)


def run(choices: Choices, length: int) -> None:
    """Run one program step by step on both, comparing as often as the choices say."""
    theirs: list[np.ndarray] = []
    ours: list[ag.ndarray] = []
    random = np.random.default_rng(choices.integer(0, 1 << 16))
    text: list[str] = []
    STEPS[:] = [text]

    def add(a: object, b: object) -> None:
        assert isinstance(b, ag.ndarray), text
        value = np.asarray(a)
        # new arrays of ours are in C order, so that reshape gives views of them (docs/reference/numpy-differences.md)
        theirs.append(value.copy("C") if value.base is None and not value.flags.c_contiguous else value)
        ours.append(b)
        assert theirs[-1].shape == b.shape, text
        assert theirs[-1].dtype == b.dtype, text

    def both(what: str, f: Callable[[object, list[object]], object]) -> None:
        text.append(what)
        try:
            with np.errstate(all="ignore"):
                a = f(np, list(theirs))
        except (TypeError, ValueError, IndexError, OverflowError) as error:
            kind = next(k for k in (IndexError, OverflowError, ValueError, TypeError) if isinstance(error, k))
            # NumPy's assignment of a sequence to one element raises either
            text.append(f"raises {type(error).__name__}: {error}")
            with pytest.raises((TypeError, ValueError) if " = " in what and kind is not IndexError else kind):
                f(ag, list(ours))
            return
        b = f(ag, list(ours))
        if a is not None:
            add(a, b)

    def compare(n: int) -> None:
        got, want = np.asarray(ours[n]), theirs[n]
        used = {str(v.dtype) for v in theirs}  # what was rounded to few bits keeps its error in wider types
        # NumPy rounds a half after each step of a running sum, and all may err to one side
        running = any(".accumulate" in line for line in text)
        steps = max((np.asarray(value).size for value in theirs), default=0) if running else 0
        of_halves = max(2e-2, steps * 2.0**-12) if running else 2e-3
        tolerance = of_halves if "float16" in used else 1e-4 if used & {"float32", "complex64"} else 1e-9
        with np.errstate(all="ignore"):
            wide = np.complex128 if want.dtype.kind == "c" else np.float64
            got, want = got.astype(wide), want.astype(wide)
            if any(".prod(" in line for line in text):  # in another order a long product meets infinity, or zero, elsewhere
                sure = np.isfinite(want) & (want != 0)
                got, want = got[sure], want[sure]
            np.testing.assert_allclose(got, want, rtol=tolerance, atol=tolerance, err_msg="\n".join(text))

    for _ in range(2):
        shape, dtype = choices.of(SHAPES), choices.of(DTYPES)
        value = np.asarray(random.integers(-4, 5, shape) * (0.5 if np.dtype(dtype).kind in "fc" else 1))  # type: ignore[arg-type]
        value = np.abs(value).astype(dtype) if np.dtype(dtype).kind == "u" else value.astype(dtype)  # type: ignore[arg-type]
        text.append(f"v{len(theirs)} = {value.dtype} {value.shape}")
        add(value, ag.array(value))
    for _ in range(length):
        n, m = choices.integer(0, len(theirs) - 1), choices.integer(0, len(theirs) - 1)
        shape = theirs[n].shape
        match choices.integer(0, 17):
            case 0 | 1:
                name = str(choices.of(BINARY))
                if name == "divide" and "c" in (theirs[n].dtype.kind, theirs[m].dtype.kind):
                    continue  # what z/0 is differs (docs/reference/kernel-language.md)
                both(f"np.{name}(v{n}, v{m})", lambda m_, v, name=name, n=n, m=m: getattr(m_, name)(v[n], v[m]))
            case 2:
                name = str(choices.of(UNARY))
                both(f"np.{name}(v{n})", lambda m_, v, name=name, n=n: getattr(m_, name)(v[n]))
            case 3:
                name, scalar = str(choices.of(BINARY)), choices.of((2, -1, 0.5, True))
                both(f"np.{name}(v{n}, {scalar})", lambda m_, v, name=name, scalar=scalar, n=n: getattr(m_, name)(v[n], scalar))
            case 4:
                name = str(choices.of(REDUCTIONS))
                axis = choices.of((None, 0, -1, 1))
                if theirs[n].dtype.kind == "c" and name in ("max", "min", "argmax", "argmin", "var"):
                    continue
                if name in ("mean", "var") and theirs[n].size == 0:
                    continue
                both(f"v{n}.{name}({axis})", lambda m_, v, name=name, axis=axis, n=n: getattr(v[n], name)(axis=axis))
            case 5 | 6:
                key = key_for(choices, shape)
                both(f"v{n}[{key}]", lambda m_, v, key=key, n=n: v[n][key])
            case 7:
                key, scalar = key_for(choices, shape), choices.of((0, 1, 3, True))
                both(f"v{n}[{key}] = {scalar}", lambda m_, v, key=key, scalar=scalar, n=n: v[n].__setitem__(key, scalar))
            case 8:
                key = key_for(choices, shape)
                if (theirs[m].dtype.kind, theirs[n].dtype.kind) in {("c", k) for k in "biuf"} | {("f", k) for k in "biu"}:
                    continue  # NumPy warns, or what it gives for NaN is the machine's
                both(f"v{n}[{key}] = v{m}", lambda m_, v, key=key, n=n, m=m: v[n].__setitem__(key, v[m]))
            case 9:
                both(f"v{n}.T", lambda m_, v, n=n: v[n].T)
            case 10:
                size = theirs[n].size
                wanted = choices.of(((-1,), (size,), (1, size), (2, -1), (-1, 2), (3, 4), (4, 3, 1)))
                both(f"v{n}.reshape({wanted})", lambda m_, v, wanted=wanted, n=n: v[n].reshape(wanted))
            case 11:
                name = str(choices.of(("iadd", "imul", "isub")))

                def change(m_: object, v: list[object], name: str = name, n: int = n, m: int = m) -> None:
                    getattr(v[n], f"__{name}__")(v[m])

                both(f"v{n}.__{name}__(v{m})", change)
            case 12:
                name, axis = str(choices.of(SCANS)), choices.integer(-1, max(0, len(shape) - 1))
                if theirs[n].dtype.kind == "c" and name in ("maximum", "minimum"):
                    continue
                step = f"np.{name}.accumulate(v{n}, {axis})"
                both(step, lambda m_, v, name=name, axis=axis, n=n: getattr(np, name).accumulate(v[n], axis))
            case 13:
                name, scalar = str(choices.of(("less", "greater", "not_equal"))), choices.of((0, 1, -2))
                if theirs[n].dtype.kind == "c":
                    continue
                both(f"v{n}[np.{name}(v{n}, {scalar})]", lambda m_, v, name=name, scalar=scalar, n=n: v[n][getattr(m_, name)(v[n], scalar)])
            case 14:
                scalar = choices.of((0, 1, 3))

                def mask(m_: object, v: list[object], scalar: object = scalar, n: int = n, m: int = m) -> None:
                    v[n][v[m] > 0] = scalar  # type: ignore[index,operator]

                if theirs[m].dtype.kind != "c" and theirs[m].ndim:
                    both(f"v{n}[v{m} > 0] = {scalar}", mask)
            case 15:
                if theirs[m].dtype.kind in "iu" and shape and shape[0] and theirs[m].ndim:
                    both(f"v{n}[v{m} % {shape[0]}]", lambda m_, v, n=n, m=m, size=shape[0]: v[n][v[m] % size])
            case 16:

                def scatter(m_: object, v: list[object], n: int = n, m: int = m, size: int = shape[0] if shape else 0) -> None:
                    v[n][v[m] % size] += 1  # type: ignore[index,operator]

                if theirs[m].dtype.kind in "iu" and shape and shape[0] and theirs[m].ndim and theirs[n].dtype.kind != "b":
                    both(f"v{n}[v{m} % {shape[0]}] += 1", scatter)
            case _:
                compare(n)
    for n in range(len(theirs)):
        compare(n)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_programs(data: st.DataObject) -> None:
    run(Choices(lambda low, high: data.draw(st.integers(low, high))), data.draw(st.integers(1, 12)))


def main() -> None:
    parser = argparse.ArgumentParser(description="Run random array programs against NumPy.")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    given_ = parser.parse_args()
    begin = time.monotonic()
    failures = 0
    warnings.simplefilter("ignore")
    for n in range(given_.count):
        random = np.random.default_rng((given_.seed, n))
        try:
            run(Choices(lambda low, high, random=random: int(random.integers(low, high + 1))), int(random.integers(1, 13)))
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            failures += 1
            print(f"program {n}: {type(error).__name__}: {error}"[:3000], flush=True)
            print("\n".join(STEPS[-1]), flush=True)
            if failures > 5:
                break
        if n % 500 == 499 or n == given_.count - 1:
            print(f"... {n + 1} programs, {failures} failures, {time.monotonic() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    main()
