"""The operation table against oracles that share nothing with it: Python's integers and exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from anygpu.dtypes import DTYPES, bool_, float16, float32, float64, int32, int64, uint8
from anygpu.errors import InternalError
from anygpu.ir.interp_atomics import updated
from anygpu.ir.interp_values import cast, evaluate, format_value
from anygpu.ir.ops import ATOMICS, OPERATIONS, is_expanded

SCALARS = [dtype for dtype in DTYPES.values() if not dtype.is_complex]
INTEGERS = [dtype for dtype in SCALARS if dtype.is_integer]
FLOATS = [dtype for dtype in SCALARS if dtype.is_float]
GRID = [(row, dtype) for row in OPERATIONS.values() for dtype in SCALARS if dtype.kind in row.domain]


@pytest.fixture(autouse=True)
def quiet():
    with np.errstate(all="ignore"):
        yield


def operand_dtypes(row, dtype):
    match row.name:
        case "select":
            return [bool_, dtype, dtype]
        case "ldexp":
            return [dtype, int32]
        case _:
            return [dtype] * row.arity


def one(name, *operands, dtype):
    """Row ``name`` on scalars, as a Python number."""
    row = OPERATIONS[name]
    dtypes = operand_dtypes(row, dtype)
    with np.errstate(all="ignore"):
        result = evaluate(name, [np.array([value]).astype(d.numpy) for value, d in zip(operands, dtypes, strict=True)], dtypes)
    return result.astype(np.float64).item() if row.result_dtype(dtypes).is_float else result.item()


@pytest.mark.parametrize(("row", "dtype"), GRID, ids=[f"{row.name}-{dtype}" for row, dtype in GRID])
def test_every_row_gives_the_dtype_and_shape_that_it_promises(row, dtype):
    dtypes = operand_dtypes(row, dtype)
    assert row.verify_operands(dtypes) is None
    edges = {"b": [0, 1], "f": [0.0, -0.0, 0.5, -1.5, 3.0, np.inf, -np.inf, np.nan]}
    for count in (0, 1, 8):
        operands = []
        for shift, d in enumerate(dtypes):
            known = edges.get(d.kind, [d.minimum, d.maximum, 0, 1, 2, 3, 5, d.maximum - 1])
            operands.append(np.array([known[(n + shift) % len(known)] for n in range(count)]).astype(d.numpy))
        before = [operand.copy() for operand in operands]
        result = evaluate(row.name, operands, dtypes, libm="reference")
        assert result.shape == (count,)
        assert result.dtype == row.result_dtype(dtypes).numpy
        for old, new in zip(before, operands, strict=True):
            assert old.tobytes() == new.tobytes(), "an operand was changed"


@pytest.mark.parametrize(
    ("name", "dtypes", "message"),
    [
        ("add", [int32], "add takes 2 operands, not 1"),
        ("add", [int32, int64], "add takes operands of one dtype, not int32, int64"),
        ("add", [bool_, bool_], "add is not defined for bool"),
        ("floor", [int32], "floor is not defined for int32"),
        ("select", [int32, int32, int32], "select takes a bool condition, not int32"),
        ("select", [bool_, int32, int64], "select takes operands of one dtype"),
        ("ldexp", [float32, int64], "ldexp takes an int32 exponent, not int64"),
        ("ldexp", [int32, int32], "ldexp is not defined for int32"),
    ],
)
def test_wrong_operands_are_explained(name, dtypes, message):
    assert message in (OPERATIONS[name].verify_operands(dtypes) or "")


def test_expanded_rows_have_no_meaning_of_their_own():
    assert is_expanded("exp", float32) and is_expanded("mod", float64)
    assert not is_expanded("mod", int64) and not is_expanded("sqrt", float32)
    with pytest.raises(InternalError, match="exp of float32 must be expanded"):
        evaluate("exp", [np.ones(1, np.float32)], [float32])


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_reference_of_logb_is_the_exponent_of_its_operand(dtype):
    with np.errstate(all="ignore"):
        got = evaluate("logb", [np.array([1, 0.75, -8, 0, -np.inf, np.nan]).astype(dtype.numpy)], [dtype], libm="reference")
    assert got.astype(np.float64).tolist()[:5] == [0, -1, 3, -math.inf, math.inf]
    assert math.isnan(got[5])


# ------------------------------------------------------------------------------------------------------------ integers


def wrap(value: int, dtype) -> int:
    value &= (1 << dtype.bits) - 1
    return value - (1 << dtype.bits) if value > dtype.maximum else value


def pattern(value: int, dtype) -> int:
    return value & ((1 << dtype.bits) - 1)


def reverse(value: int, dtype) -> int:
    return wrap(int(f"{pattern(value, dtype):0{dtype.bits}b}"[::-1], 2), dtype)


def shift_left(a: int, b: int, dtype) -> int:
    return wrap(a << b, dtype) if 0 <= b < dtype.bits else 0


def shift_right(a: int, b: int, dtype) -> int:
    return a >> (b if 0 <= b < dtype.bits else dtype.bits)


UNARY = {
    "neg": lambda a, d: wrap(-a, d),
    "abs": lambda a, d: wrap(abs(a), d),
    "not": lambda a, d: wrap(~a, d),
    "popc": lambda a, d: pattern(a, d).bit_count(),
    "clz": lambda a, d: d.bits - pattern(a, d).bit_length(),
    "ctz": lambda a, d: (pattern(a, d) & -pattern(a, d)).bit_length() - 1 if a else d.bits,
    "brev": reverse,
}
BINARY = {
    "add": lambda a, b, d: wrap(a + b, d),
    "sub": lambda a, b, d: wrap(a - b, d),
    "mul": lambda a, b, d: wrap(a * b, d),
    "mulhi": lambda a, b, d: (a * b) >> d.bits,
    "floordiv": lambda a, b, d: wrap(a // b, d) if b else 0,
    "mod": lambda a, b, d: a % b if b else 0,
    "minimum": lambda a, b, d: min(a, b),
    "maximum": lambda a, b, d: max(a, b),
    "and": lambda a, b, d: a & b,
    "or": lambda a, b, d: a | b,
    "xor": lambda a, b, d: a ^ b,
    "shl": shift_left,
    "shr": shift_right,
    "eq": lambda a, b, d: a == b,
    "ne": lambda a, b, d: a != b,
    "lt": lambda a, b, d: a < b,
    "le": lambda a, b, d: a <= b,
    "gt": lambda a, b, d: a > b,
    "ge": lambda a, b, d: a >= b,
}


def test_every_integer_row_has_an_oracle():
    rows = {row.name for row in OPERATIONS.values() if "i" in row.domain}
    assert rows == {*UNARY, *BINARY, "select"}


@st.composite
def integers(draw, count):
    dtype = draw(st.sampled_from(INTEGERS))
    edges = [dtype.minimum, dtype.maximum, 0, 1, dtype.bits - 1, dtype.bits, dtype.minimum + 1]
    edges += [-1] if dtype.kind == "i" else [dtype.maximum - 1]
    value = st.one_of(st.sampled_from(edges), st.integers(dtype.minimum, dtype.maximum))
    return dtype, *(draw(value) for _ in range(count))


@pytest.mark.parametrize("name", UNARY)
@given(case=integers(1))
def test_integer_unary(name, case):
    dtype, a = case
    assert one(name, a, dtype=dtype) == UNARY[name](a, dtype)


@pytest.mark.parametrize("name", BINARY)
@given(case=integers(2))
@example(case=(int64, -(2**63), -1))
@example(case=(int32, -(2**31), 0))
@example(case=(uint8, 255, 255))
def test_integer_binary(name, case):
    dtype, a, b = case
    assert one(name, a, b, dtype=dtype) == BINARY[name](a, b, dtype)


def test_bool_rows():
    for a in (False, True):
        assert one("not", a, dtype=bool_) is (not a)
        for b in (False, True):
            for name in ("and", "or", "xor", "minimum", "maximum", "eq", "ne", "lt", "le", "gt", "ge"):
                assert one(name, a, b, dtype=bool_) is bool(BINARY[name](int(a), int(b), bool_)), name


# -------------------------------------------------------------------------------------------------------------- floats


def exact(value: float) -> Fraction:
    return Fraction(value)


def nearest32(value: Fraction) -> float:
    """The float32 nearest to ``value``, ties to even, by looking at the neighbours of a first guess."""
    if abs(value) >= Fraction(2) ** 128:
        return math.inf if value > 0 else -math.inf
    guess = np.float32(float(value))
    if not np.isfinite(guess):
        guess = np.copysign(np.finfo(np.float32).max, guess)
    around = [np.nextafter(guess, np.float32(-np.inf)), guess, np.nextafter(guess, np.float32(np.inf))]

    def distance(candidate):
        # An infinity stands for the value that the next binade would begin with.
        at = exact(float(candidate)) if np.isfinite(candidate) else int(np.sign(candidate)) * Fraction(2) ** 128
        return abs(at - value), int(candidate.view(np.uint32)) & 1

    return float(min(around, key=distance))


def nearest(value: Fraction, dtype) -> float:
    if dtype is float64:
        try:
            return float(value)  # Python rounds fractions correctly
        except OverflowError:
            return math.inf if value > 0 else -math.inf
    rounded = nearest32(value)
    return rounded if dtype is float32 else float(np.float32(rounded).astype(dtype.numpy).astype(np.float64))


def narrow(value: float, dtype) -> float:
    with np.errstate(all="ignore"):
        return float(np.float64(value).astype(np.float32).astype(dtype.numpy).astype(np.float64)) if dtype is not float64 else value


@st.composite
def floats(draw, count, special=True):
    dtype = draw(st.sampled_from(FLOATS))
    info = np.finfo(np.float32 if dtype is not float64 and dtype is not float16 else dtype.numpy)
    edges = [0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -2.5, 3.0, 1 + float(info.eps)]
    edges += [float(info.max), float(info.tiny), float(info.smallest_subnormal)]
    edges += [math.inf, -math.inf, math.nan] if special else []
    anything = st.floats(allow_nan=special, allow_infinity=special, width=32 if dtype is not float64 else 64)
    # Numbers of like size cancel and round; numbers of any size overflow and vanish.
    value = st.one_of(st.sampled_from(edges), anything, st.floats(-4, 4, width=32 if dtype is not float64 else 64))
    values = [narrow(draw(value), dtype) for _ in range(count)]
    return dtype, *(value if special or math.isfinite(value) else 1.0 for value in values)


def agree(got: float, wanted: float) -> bool:
    """The same bits, or both NaN."""
    return (math.isnan(got) and math.isnan(wanted)) or (got == wanted and math.copysign(1, got) == math.copysign(1, wanted))


FRACTIONS = {"add": lambda a, b: a + b, "sub": lambda a, b: a - b, "mul": lambda a, b: a * b, "div": lambda a, b: a / b}


@pytest.mark.parametrize("name", FRACTIONS)
@given(case=floats(2, special=False))
def test_arithmetic_is_correctly_rounded(name, case):
    dtype, a, b = case
    if name == "div" and b == 0:
        return
    value = FRACTIONS[name](exact(a), exact(b))
    got = one(name, a, b, dtype=dtype)
    assert abs(got) == abs(nearest(value, dtype))
    if value:
        assert (math.copysign(1, got) < 0) is (value < 0)


@given(case=floats(3, special=False))
@example(case=(float32, 1 + 2.0**-12, 1 + 2.0**-12, -1 - 2.0**-11))
@example(case=(float32, 1.0, 2.0**-25, 1.0))
@example(case=(float32, 2.0**-75, 2.0**-75, 2.0**-149))
@example(case=(float64, 1 + 2.0**-27, 1 + 2.0**-27, -1 - 2.0**-26))
@example(case=(float64, 2.0**1000, 2.0**1000, -(2.0**1023)))
def test_fma_is_rounded_once(case):
    dtype, a, b, c = case
    value = exact(a) * exact(b) + exact(c)
    got = one("fma", a, b, c, dtype=dtype)
    assert abs(got) == abs(nearest(value, dtype))
    if value:
        assert (math.copysign(1, got) < 0) is (value < 0)


@pytest.mark.parametrize("dtype", FLOATS)
def test_fma_of_special_values(dtype):
    inf, nan = math.inf, math.nan
    for a, b, c, wanted in [
        (inf, 0, 1, nan), (inf, 1, -inf, nan), (inf, 1, inf, inf), (3, 4, -inf, -inf), (nan, 1, 1, nan), (1, 1, nan, nan),
        (1, 1, -1, 0.0), (-1, 0, 0.0, 0.0), (-1, 0, -0.0, -0.0), (1, -0.0, -0.0, -0.0), (1, 0.0, -0.0, 0.0),
    ]:  # fmt: skip
        assert agree(one("fma", a, b, c, dtype=dtype), wanted), (a, b, c)


@given(case=floats(1))
def test_sqrt_is_correctly_rounded(case):
    dtype, a = case
    got = one("sqrt", a, dtype=dtype)
    if math.isnan(a) or a < 0:
        assert math.isnan(got)
    elif a == 0 or math.isinf(a):
        assert agree(got, a)
    else:
        # An integer square root with many more bits than the format tells on which side of a midpoint the root lies.
        scale = 400 + 2 * 1200
        root = Fraction(math.isqrt(int(exact(a) * 2**scale)), 2 ** (scale // 2))
        assert got == nearest(root, dtype)


INTEGRAL = {"floor": math.floor, "ceil": math.ceil, "trunc": math.trunc, "rint": round}


@pytest.mark.parametrize("name", INTEGRAL)
@given(case=floats(1))
def test_rounding_to_integers(name, case):
    dtype, a = case
    got = one(name, a, dtype=dtype)
    assert agree(got, math.copysign(float(INTEGRAL[name](a)), a) if math.isfinite(a) else a)


@given(case=floats(2))
def test_float_comparisons_choices_and_signs(case):
    dtype, a, b = case
    unordered = math.isnan(a) or math.isnan(b)
    for name in ("eq", "lt", "le", "gt", "ge"):
        assert one(name, a, b, dtype=dtype) is (not unordered and bool(BINARY[name](a, b, dtype)))
    assert one("ne", a, b, dtype=dtype) is (unordered or a != b)
    lower, upper = one("minimum", a, b, dtype=dtype), one("maximum", a, b, dtype=dtype)
    assert (lower == min(a, b) and upper == max(a, b)) if not unordered else (math.isnan(lower) and math.isnan(upper))
    known = [value for value in (a, b) if not math.isnan(value)]
    least, most = one("fmin", a, b, dtype=dtype), one("fmax", a, b, dtype=dtype)
    assert (least == min(known) and most == max(known)) if known else (math.isnan(least) and math.isnan(most))
    assert agree(one("copysign", a, b, dtype=dtype), math.nan if math.isnan(a) else math.copysign(a, b)) or math.isnan(b)
    assert agree(one("neg", a, dtype=dtype), -a) and agree(one("abs", a, dtype=dtype), abs(a))
    assert one("isnan", a, dtype=dtype) is math.isnan(a)
    assert one("isinf", a, dtype=dtype) is math.isinf(a)
    assert one("isfinite", a, dtype=dtype) is math.isfinite(a)
    if not math.isnan(a):
        assert one("signbit", a, dtype=dtype) is (math.copysign(1, a) < 0)
    assert agree(one("select", True, a, b, dtype=dtype), a) and agree(one("select", False, a, b, dtype=dtype), b)


def test_a_tie_of_minimum_and_maximum_takes_the_second_operand():
    for name in ("minimum", "maximum", "fmin", "fmax"):
        assert agree(one(name, 0.0, -0.0, dtype=float32), -0.0)
        assert agree(one(name, -0.0, 0.0, dtype=float32), 0.0)


# --------------------------------------------------------------------------------------------------------------- casts


def cast_one(value, source, target):
    with np.errstate(all="ignore"):
        result = cast(np.array([value]).astype(source.numpy), source, target)
    assert result.dtype == target.numpy
    return result.astype(np.float64).item() if target.is_float else result.item()


@given(case=floats(1), target=st.sampled_from([*INTEGERS, bool_]))
@example(case=(float32, 2.0**31), target=int32)
@example(case=(float64, -(2.0**63)), target=int64)
@example(case=(float64, 2.0**64), target=DTYPES["uint64"])
@example(case=(float64, -0.9), target=uint8)
def test_float_to_integer_truncates_and_saturates(case, target):
    dtype, a = case
    got = cast_one(a, dtype, target)
    if target is bool_:
        assert got is (a != 0)
    elif math.isnan(a):
        assert got == 0
    elif math.isinf(a):
        assert got == (target.maximum if a > 0 else target.minimum)
    else:
        assert got == min(max(math.trunc(a), target.minimum), target.maximum)


@given(case=integers(1), target=st.sampled_from(SCALARS))
def test_integer_casts_wrap_or_round(case, target):
    dtype, a = case
    got = cast_one(a, dtype, target)
    if target is bool_:
        assert got is (a != 0)
    elif target.is_integer:
        assert got == wrap(a, target)
    else:
        assert agree(got, nearest(Fraction(a), target))


@given(case=floats(1), target=st.sampled_from(FLOATS))
def test_float_casts_round_to_nearest(case, target):
    dtype, a = case
    got = cast_one(a, dtype, target)
    assert agree(got, nearest(exact(a), target) if math.isfinite(a) and a else a)


# ------------------------------------------------------------------------------------------------------------- atomics


def test_atomics_leave_what_their_names_say():
    def after(op, dtype, old, *operands):
        with np.errstate(all="ignore"):
            result = updated(op, np.array([old], dtype.numpy), [np.array([value], dtype.numpy) for value in operands], dtype)
        assert result.dtype == dtype.numpy
        return result.item()

    seen = set()
    for op, dtype, old, *operands, wanted in [
        ("add", int32, 2**31 - 1, 1, -(2**31)), ("sub", uint8, 0, 1, 255), ("min", int32, 3, -4, -4), ("max", uint8, 3, 200, 200),
        ("and", int32, 6, 3, 2), ("or", bool_, False, True, True), ("xor", uint8, 6, 3, 5), ("exch", float32, 1.0, 2.0, 2.0),
        ("inc", uint8, 4, 5, 5), ("inc", uint8, 5, 5, 0), ("inc", uint8, 9, 5, 0), ("inc", int32, -3, 5, -2),
        ("dec", uint8, 4, 5, 3), ("dec", uint8, 0, 5, 5), ("dec", uint8, 9, 5, 5), ("dec", uint8, 5, 5, 4),
        ("cas", int32, 7, 7, 9, 9), ("cas", int32, 7, 8, 9, 7), ("cas", float32, -0.0, 0.0, 9.0, -0.0),
        ("cas", float32, math.nan, math.nan, 9.0, 9.0),
        ("nanmin", float32, math.nan, 1.0, 1.0), ("nanmax", float16, 1.0, math.nan, 1.0),
    ]:  # fmt: skip
        seen.add(op)
        got = after(op, dtype, old, *operands)
        assert got == wanted and (not isinstance(got, float) or math.copysign(1, got) == math.copysign(1, wanted)), (op, old, operands, got)
    assert seen == set(ATOMICS)
    assert math.isnan(after("min", float32, math.nan, 1.0)) and math.isnan(after("max", float32, 1.0, math.nan))


@pytest.mark.parametrize(
    ("value", "dtype", "text"),
    [
        (True, bool_, "True"), (-5, int64, "-5"), (2**64 - 1, DTYPES["uint64"], "18446744073709551615"), (0.1, float64, "0.1"),
        (0.1, float32, "0.1"), (0.1, float16, "0.1"), (1.5, DTYPES["bfloat16"], "1.5"),
        (math.nan, float32, "nan"), (-math.inf, float64, "-inf"),
    ],
)  # fmt: skip
def test_how_values_print(value, dtype, text):
    assert format_value(np.array(value).astype(dtype.numpy)[()], dtype) == text
