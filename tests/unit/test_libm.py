"""The elementary functions called directly as Python: special cases of C99 Annex F, and points against mpmath."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator

import mpmath
import numpy as np
import pytest

from anygpu.frontend.statements import lower_function
from anygpu.ir.ops import OPERATIONS, is_expanded
from anygpu.libm import FUNCTIONS, words

INF, NAN = math.inf, math.nan
DTYPES = ("float32", "float64")
DIGITS = {"float32": (24, -149), "float64": (53, -1074)}
ONE_ULP = ("exp", "exp2", "exp10", "expm1", "log", "log2", "log10", "log1p", "cbrt", "rsqrt", "pow")

# (operation, arguments, exact result), at both dtypes; NaN stands for any NaN, and zeros are compared with their sign.
SPECIAL_CASES: list[tuple[str, tuple[float, ...], float]] = [
    *((op, (0.0,), 1.0) for op in ("exp", "exp2", "exp10", "cos", "cosh", "cospi", "erfc")),
    *((op, (-0.0,), 1.0) for op in ("exp", "exp2", "exp10", "cos", "cosh", "cospi", "erfc")),
    *((op, (z,), z) for z in (0.0, -0.0) for op in (
        "expm1", "log1p", "cbrt", "sin", "tan", "sinpi", "asin", "atan", "sinh", "tanh", "asinh", "atanh", "erf",
    )),
    *(("exp" + s, (-INF,), 0.0) for s in ("", "2", "10")),
    *(("exp" + s, (INF,), INF) for s in ("", "2", "10", "m1")),
    ("expm1", (-INF,), -1.0),
    ("exp2", (10.0,), 1024.0), ("exp2", (-3.0,), 0.125), ("exp10", (5.0,), 1e5), ("exp", (5000.0,), INF), ("exp", (-5000.0,), 0.0),
    *((op, (z,), -INF) for op in ("log", "log2", "log10", "logb") for z in (0.0, -0.0)),
    *((op, (1.0,), 0.0) for op in ("log", "log2", "log10", "acos", "acosh", "lgamma", "logb")),
    *((op, (-1.0,), NAN) for op in ("log", "log2", "log10", "rsqrt", "acosh")),
    *((op, (INF,), INF) for op in ("log", "log2", "log10", "log1p", "cbrt", "sinh", "cosh", "asinh", "acosh", "gamma", "lgamma", "logb")),
    ("log2", (1024.0,), 10.0), ("log10", (1000.0,), 3.0), ("log1p", (-1.0,), -INF), ("log1p", (-2.0,), NAN),
    ("cbrt", (-INF,), -INF), ("cbrt", (27.0,), 3.0), ("cbrt", (-8.0,), -2.0), ("rsqrt", (4.0,), 0.5),
    ("rsqrt", (0.0,), INF), ("rsqrt", (-0.0,), -INF), ("rsqrt", (INF,), 0.0),
    *((op, (x,), NAN) for op in ("sin", "cos", "tan", "sinpi", "cospi") for x in (INF, -INF)),
    ("sinpi", (1.0,), 0.0), ("sinpi", (-1.0,), -0.0), ("sinpi", (2.0,), 0.0), ("sinpi", (0.5,), 1.0), ("sinpi", (1.5,), -1.0),
    ("sinpi", (1e9,), 0.0),
    ("cospi", (0.5,), 0.0), ("cospi", (1.5,), 0.0), ("cospi", (-0.5,), 0.0), ("cospi", (1.0,), -1.0), ("cospi", (2.0,), 1.0),
    ("cospi", (1e9,), 1.0),
    *((op, (x,), NAN) for op in ("asin", "acos", "atanh") for x in (1.5, -1.5, INF, -INF)),
    ("atanh", (1.0,), INF), ("atanh", (-1.0,), -INF), ("acosh", (0.5,), NAN), ("acosh", (-INF,), NAN),
    ("sinh", (-INF,), -INF), ("cosh", (-INF,), INF), ("tanh", (INF,), 1.0), ("tanh", (-INF,), -1.0), ("asinh", (-INF,), -INF),
    ("erf", (INF,), 1.0), ("erf", (-INF,), -1.0), ("erfc", (INF,), 0.0), ("erfc", (-INF,), 2.0),
    ("gamma", (0.0,), INF), ("gamma", (-0.0,), -INF), ("gamma", (-1.0,), NAN), ("gamma", (-50.0,), NAN), ("gamma", (-INF,), NAN),
    *(("gamma", (float(n),), float(math.factorial(n - 1))) for n in range(1, 13)),
    ("lgamma", (2.0,), 0.0), ("lgamma", (0.0,), INF), ("lgamma", (-3.0,), INF), ("lgamma", (-INF,), INF),
    *((op, (NAN,), NAN) for op in (
        "exp", "exp2", "exp10", "expm1", "log", "log2", "log10", "log1p", "cbrt", "rsqrt", "sin", "cos", "tan", "sinpi", "cospi", "asin",
        "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "erfc", "gamma", "lgamma", "logb", "frexp_mantissa",
        "modf_fraction",
    )),
    *(("pow", (x, z), 1.0) for x in (2.0, -3.0, 0.0, INF, NAN) for z in (0.0, -0.0)),
    *(("pow", (1.0, y), 1.0) for y in (5.0, -INF, INF, NAN)),
    *(("pow", (z, -3.0), math.copysign(INF, z)) for z in (0.0, -0.0)),
    *(("pow", (z, y), INF) for z in (0.0, -0.0) for y in (-2.0, -2.5, -INF)),
    *(("pow", (z, 3.0), z) for z in (0.0, -0.0)),
    *(("pow", (z, y), 0.0) for z in (0.0, -0.0) for y in (2.0, 2.5, INF)),
    *(("pow", (-1.0, y), 1.0) for y in (INF, -INF, 2.0)),
    ("pow", (-1.0, 3.0), -1.0), ("pow", (-8.0, 0.5), NAN), ("pow", (2.0, NAN), NAN), ("pow", (NAN, 2.0), NAN), ("pow", (-2.0, 3.0), -8.0),
    ("pow", (0.5, INF), 0.0), ("pow", (0.5, -INF), INF), ("pow", (-2.0, INF), INF), ("pow", (2.0, -INF), 0.0),
    ("pow", (-INF, -3.0), -0.0), ("pow", (-INF, -2.5), 0.0), ("pow", (-INF, 3.0), -INF), ("pow", (-INF, 2.5), INF),
    ("pow", (INF, -1.0), 0.0), ("pow", (INF, 0.5), INF), ("pow", (3.0, 5.0), 243.0),
    ("pow", (10.0, -5000.0), 0.0), ("pow", (-10.0, 5001.0), -INF),
    *(("atan2", (z, x), z) for z in (0.0, -0.0) for x in (0.0, 1.0, INF)),
    ("atan2", (1.0, INF), 0.0), ("atan2", (-1.0, INF), -0.0), ("atan2", (NAN, 1.0), NAN), ("atan2", (1.0, NAN), NAN),
    *(("hypot", pair, INF) for pair in ((INF, 1.0), (-INF, NAN), (NAN, INF), (INF, INF))),
    ("hypot", (NAN, 1.0), NAN), ("hypot", (0.0, -0.0), 0.0), ("hypot", (3.0, -4.0), 5.0), ("hypot", (-0.0, -2.0), 2.0),
    *(("fmod", pair, NAN) for pair in ((INF, 1.0), (1.0, 0.0), (NAN, 1.0), (1.0, NAN), (0.0, 0.0))),
    *(("remainder", pair, NAN) for pair in ((INF, 1.0), (1.0, 0.0), (NAN, 1.0), (1.0, NAN))),
    ("fmod", (-0.0, 3.0), -0.0), ("fmod", (5.0, INF), 5.0), ("fmod", (-6.0, 3.0), -0.0), ("fmod", (-7.0, 3.0), -1.0),
    ("fmod", (7.0, -3.0), 1.0),
    ("remainder", (5.0, 2.0), 1.0), ("remainder", (7.0, 2.0), -1.0), ("remainder", (-6.0, 3.0), -0.0), ("remainder", (5.0, -INF), 5.0),
    ("mod", (-7.0, 3.0), 2.0), ("mod", (7.0, -3.0), -2.0), ("mod", (-6.0, 3.0), 0.0), ("mod", (6.0, -3.0), -0.0), ("mod", (1.0, 0.0), NAN),
    ("mod", (-1.0, INF), INF), ("floordiv", (-7.0, 2.0), -4.0), ("floordiv", (7.0, 2.0), 3.0), ("floordiv", (1.0, 0.0), INF),
    ("floordiv", (-1.0, 0.0), -INF), ("floordiv", (0.0, 0.0), NAN), ("floordiv", (-1.0, INF), -1.0), ("floordiv", (-0.0, 5.0), -0.0),
    ("frexp_mantissa", (-12.0,), -0.75), ("frexp_exponent", (12.0,), 4), ("frexp_mantissa", (-0.0,), -0.0), ("frexp_exponent", (INF,), 0),
    ("frexp_mantissa", (INF,), INF), ("modf_fraction", (-INF,), -0.0), ("modf_fraction", (-3.5,), -0.5), ("modf_integer", (-3.5,), -3.0),
    ("modf_fraction", (-3.0,), -0.0), ("nextafter", (0.0, -0.0), -0.0), ("nextafter", (NAN, 1.0), NAN), ("logb", (-10.0,), 3.0),
    ("ldexp", (3.0, 4), 48.0), ("ldexp", (-0.0, 5), -0.0), ("ldexp", (INF, -9), INF), ("ldexp", (NAN, 1), NAN),
    ("ldexp", (1.0, 2**31 - 1), INF), ("ldexp", (-1.0, -(2**31)), -0.0),
]  # fmt: skip


def call(operation: str, dtype: str, *values: float) -> np.generic:
    kind = getattr(np, dtype)
    arguments = [np.int32(v) if operation == "ldexp" and n == 1 else kind(v) for n, v in enumerate(values)]
    with np.errstate(all="ignore"):
        result = FUNCTIONS[operation, dtype](*arguments)
    assert isinstance(result, np.int32 if operation == "frexp_exponent" else kind)
    return result


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("operation", "values", "expected"), SPECIAL_CASES)
def test_special_case(operation: str, dtype: str, values: tuple[float, ...], expected: float) -> None:
    result = float(call(operation, dtype, *values))
    if math.isnan(expected):
        assert math.isnan(result)
    else:
        wanted = float(getattr(np, dtype)(expected))
        assert result == wanted
        assert math.copysign(1.0, result) == math.copysign(1.0, wanted)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("y", "x", "turns"), [
    (0.0, -1.0, 1.0), (-0.0, -1.0, -1.0), (0.0, -0.0, 1.0), (1.0, 0.0, 0.5), (-1.0, -0.0, -0.5), (INF, 5.0, 0.5), (-INF, -5.0, -0.5),
    (1.0, -INF, 1.0),
    (INF, INF, 0.25), (INF, -INF, 0.75), (-INF, INF, -0.25), (-INF, -INF, -0.75), (1.0, 1.0, 0.25), (-1.0, -1.0, -0.75),
])  # fmt: skip
def test_atan2_on_the_axes_and_diagonals(dtype: str, y: float, x: float, turns: float) -> None:
    assert error_in_ulp(call("atan2", dtype, y, x), mpmath.pi * turns, dtype) <= 1.0


def error_in_ulp(result: np.generic, exact: mpmath.mpf, dtype: str) -> float:
    """The distance of a result from the exact value, in units of the last place of the exact value."""
    digits, least = DIGITS[dtype]
    limit = mpmath.mpf(2) ** (128 if dtype == "float32" else 1024)
    value = float(result)
    assert not math.isnan(value)
    got = mpmath.sign(value) * limit if math.isinf(value) else mpmath.mpf(value)
    exponent = max(mpmath.frexp(exact)[1] - digits, least) if exact else least
    if abs(exact) >= limit:
        return 0.0 if math.isinf(value) and (value > 0) == (exact > 0) else math.inf
    return float(abs(got - exact) / mpmath.mpf(2) ** exponent)


def either_sign(low: float, high: float) -> Callable[[random.Random], float]:
    return lambda source: source.choice((-1.0, 1.0)) * math.exp(source.uniform(math.log(low), math.log(high)))


def between(low: float, high: float) -> Callable[[random.Random], float]:
    return lambda source: source.uniform(low, high)


Points = tuple[Callable[..., mpmath.mpf], list[Callable[[random.Random], float]]]
REFERENCES: dict[str, Points] = {
    "exp": (mpmath.exp, [between(-104, 89), between(-1, 1)]),
    "exp2": (lambda x: mpmath.mpf(2) ** x, [between(-150, 128), between(-1, 1)]),
    "exp10": (lambda x: mpmath.mpf(10) ** x, [between(-45, 38), between(-1, 1)]),
    "expm1": (mpmath.expm1, [between(-20, 89), either_sign(1e-6, 1)]),
    "log": (mpmath.log, [lambda s: abs(either_sign(1e-44, 1e38)(s)), between(0.5, 2)]),
    "log2": (lambda x: mpmath.log(x) / mpmath.ln2, [lambda s: abs(either_sign(1e-44, 1e38)(s)), between(0.5, 2)]),
    "log10": (mpmath.log10, [lambda s: abs(either_sign(1e-44, 1e38)(s)), between(0.5, 2)]),
    "log1p": (mpmath.log1p, [between(-0.999, 2), either_sign(1e-9, 0.9), lambda s: abs(either_sign(1, 1e38)(s))]),
    "cbrt": (lambda x: mpmath.sign(x) * mpmath.cbrt(abs(x)), [either_sign(1e-44, 1e38)]),
    "rsqrt": (lambda x: 1 / mpmath.sqrt(x), [lambda s: abs(either_sign(1e-44, 1e38)(s))]),
    "sin": (mpmath.sin, [between(-10, 10), either_sign(1e-6, 1e5), either_sign(1e5, 1e38)]),
    "cos": (mpmath.cos, [between(-10, 10), either_sign(1e-6, 1e5), either_sign(1e5, 1e38)]),
    "tan": (mpmath.tan, [between(-10, 10), either_sign(1e-6, 1e5), either_sign(1e5, 1e38)]),
    "sinpi": (mpmath.sinpi, [between(-3, 3), either_sign(1e-6, 1e4)]),
    "cospi": (mpmath.cospi, [between(-3, 3), either_sign(1e-6, 1e4)]),
    "asin": (mpmath.asin, [between(-1, 1), either_sign(1e-6, 1)]),
    "acos": (mpmath.acos, [between(-1, 1), between(0.9, 1)]),
    "atan": (mpmath.atan, [either_sign(1e-6, 1e6), between(-3, 3)]),
    "sinh": (mpmath.sinh, [between(-89, 89), either_sign(1e-6, 3)]),
    "cosh": (mpmath.cosh, [between(-89, 89), either_sign(1e-6, 3)]),
    "tanh": (mpmath.tanh, [between(-12, 12), either_sign(1e-6, 3)]),
    "asinh": (mpmath.asinh, [either_sign(1e-6, 1e38), between(-3, 3)]),
    "acosh": (mpmath.acosh, [between(1, 1.1), lambda s: 1 + abs(either_sign(1e-5, 1e38)(s))]),
    "atanh": (mpmath.atanh, [between(-1, 1), either_sign(1e-6, 0.99)]),
    "erf": (mpmath.erf, [between(-4, 4), either_sign(1e-6, 1)]),
    "erfc": (mpmath.erfc, [between(-4, 10), either_sign(1e-6, 1)]),
    "gamma": (mpmath.gamma, [between(0.01, 34), between(-30, 0), either_sign(1e-6, 1)]),
    "lgamma": (mpmath.loggamma, [between(0.01, 30), between(0.9, 2.2), lambda s: abs(either_sign(1e-6, 1e30)(s))]),
    "pow": (lambda x, y: mpmath.mpf(x) ** y, [lambda s: abs(either_sign(0.05, 20)(s)), between(-25, 25)]),
    "atan2": (mpmath.atan2, [either_sign(1e-6, 1e6), either_sign(1e-6, 1e6)]),
    "hypot": (mpmath.hypot, [either_sign(1e-40, 1e38), either_sign(1e-40, 1e38)]),
}
TWO_ARGUMENTS = ("pow", "atan2", "hypot")


def points(operation: str, dtype: str, count: int) -> Iterator[tuple[float, ...]]:
    kind, domains, source = getattr(np, dtype), REFERENCES[operation][1], random.Random(operation)
    for n in range(count):
        drawn = domains if operation in TWO_ARGUMENTS else [domains[n % len(domains)]]
        yield tuple(float(kind(domain(source))) for domain in drawn)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("operation", REFERENCES)
def test_error_against_mpmath(operation: str, dtype: str) -> None:
    reference, bound = REFERENCES[operation][0], 1.0 if operation in ONE_ULP else 2.0
    worst, where = 0.0, ()
    with mpmath.workprec(250):
        for arguments in points(operation, dtype, 120):
            error = error_in_ulp(call(operation, dtype, *arguments), reference(*map(mpmath.mpf, arguments)), dtype)
            if error > worst:
                worst, where = error, arguments
    assert worst <= bound, f"{operation}{where}: {worst:.3f} ULP"


@pytest.mark.parametrize(("operation", "exact"), [("fmod", math.fmod), ("remainder", math.remainder)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_remainders_are_exact(operation: str, exact: Callable[[float, float], float], dtype: str) -> None:
    source, kind = random.Random(operation), getattr(np, dtype)
    for _ in range(200):
        x, y = (float(kind(either_sign(1e-40, 1e38)(source))) for _ in range(2))
        assert float(call(operation, dtype, x, y)) == exact(x, y)
        k = float(kind(source.randrange(-50, 50) * 0.5))
        assert float(call(operation, dtype, k, 1.5)) == exact(k, 1.5)
        # Odd quotients next to where one step of the long division no longer suffices: their parity decides a tie.
        y = 1.0 + source.randrange(64) / 64
        for bits in (20, 21, 22, 23) if dtype == "float32" else (49, 50, 51, 52):
            x = float(kind(y * (2**bits + source.randrange(-8, 8) + 0.5)))
            assert float(call(operation, dtype, x, y)) == exact(x, y)


@pytest.mark.parametrize("dtype", DTYPES)
def test_representation_functions_agree_with_numpy(dtype: str) -> None:
    source, kind = random.Random(dtype), getattr(np, dtype)
    tiny = float(np.finfo(kind).smallest_subnormal)
    values = [kind(v) for v in (tiny, -7 * tiny, 1.0, -1.0, float(np.finfo(kind).max), float(np.finfo(kind).tiny))]
    values += [kind(either_sign(1e-44, 1e38)(source)) for _ in range(60)]
    for x in values:
        mantissa, exponent = np.frexp(x)
        assert call("frexp_mantissa", dtype, x) == mantissa
        assert call("frexp_exponent", dtype, x) == exponent
        assert call("logb", dtype, x) == exponent - 1
        for n in (0, 1, -1, 40, -40, -130, 200, -1060, source.randrange(-300, 300)):
            with np.errstate(all="ignore"):
                assert call("ldexp", dtype, x, n) == np.ldexp(x, n)
        with np.errstate(all="ignore"):
            for y in (INF, -INF, 0.0, float(x)):
                assert call("nextafter", dtype, x, y) == np.nextafter(x, kind(y))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_fma_without_the_platforms_agrees_with_it(kind: type[np.float32 | np.float64], monkeypatch: pytest.MonkeyPatch) -> None:
    if words._fma_functions() is None:
        pytest.skip("this platform's C library has no fma")
    source, spread = random.Random(1), 60 if kind is np.float32 else 500

    def draw() -> np.float32 | np.float64:
        return kind(source.choice((-1, 1)) * math.ldexp(1 + source.random(), source.randrange(-spread, spread)))

    operands = [[draw(), draw(), draw()] for _ in range(300)]
    operands += [[a, b, kind(-float(a) * float(b))] for a, b, _ in operands[:100]]
    operands += [[kind(v) for v in triple] for triple in ((INF, 1, -INF), (INF, 0, 1), (2, 3, INF), (0, -1, 0), (0, -1, -0.0), (NAN, 1, 1))]
    with np.errstate(all="ignore"):
        native = [words.fma(*triple) for triple in operands]
        monkeypatch.setattr(words, "_fma_functions", lambda: None)
        exact = [words.fma(*triple) for triple in operands]
    for triple, a, b in zip(operands, native, exact, strict=True):
        assert (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b)), triple


def test_conversions_saturate_and_wrap() -> None:
    assert words.int32(np.float32(3e9)) == 2**31 - 1
    assert words.int32(np.float64(-2.9)) == -2
    assert words.uint32(np.float32(-1.0)) == 0
    assert words.int64(np.float64(NAN)) == 0
    assert words.uint32(np.int64(-1)) == 2**32 - 1
    assert words.int32(np.uint64(2**31)) == -(2**31)


def test_every_operation_without_a_machine_form_has_its_function() -> None:
    from anygpu.dtypes import float32, float64

    for dtype in (float32, float64):
        missing = [name for name in OPERATIONS if is_expanded(name, dtype) and (name, str(dtype)) not in FUNCTIONS]
        assert not missing, dtype


@pytest.mark.parametrize(("operation", "dtype"), FUNCTIONS)
def test_the_frontend_accepts(operation: str, dtype: str) -> None:
    import anygpu.dtypes

    function, kind = FUNCTIONS[operation, dtype], getattr(anygpu.dtypes, dtype)
    count = function.__code__.co_argcount
    kinds = [kind] * count if operation != "ldexp" else [kind, anygpu.dtypes.int32]
    lowered = lower_function(function, kinds)  # type: ignore[arg-type]
    assert lowered.result.dtype is (anygpu.dtypes.int32 if operation == "frexp_exponent" else kind)
