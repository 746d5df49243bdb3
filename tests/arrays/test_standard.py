"""Every name of the array API standard, against NumPy and against the standard's strict reference implementation.

A case is a call that is made thrice: of anygpu, of `array_api_strict` and of NumPy, with arrays of each. The names are those of the
strict implementation, and one without a case fails. Special values are the conformance suite's (docs/reference/array-api.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType

import array_api_strict as strict
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import anygpu as ag

INTEGERS = ("int8", "uint8", "int32", "int64", "uint64")
FLOATS = ("float32", "float64")
COMPLEX = ("complex64", "complex128")
REAL = INTEGERS + FLOATS
NUMBERS = REAL + COMPLEX
ANY = ("bool", *NUMBERS)
FLOATING = FLOATS + COMPLEX
SHAPES = ((), (1,), (5,), (0,), (3, 4), (1, 6), (2, 3, 4))
PAIRS = (((), ()), ((4,), (4,)), ((3, 4), (4,)), ((3, 1), (1, 5)), ((2, 0), (1, 0)), ((), (3,)))


@dataclass(frozen=True)
class Case:
    """Inputs, of which NumPy's arrays become those of each module, and what is called with the module and them."""

    inputs: tuple[st.SearchStrategy[object], ...]
    call: Callable[..., object]
    peers: tuple[ModuleType, ...] = (strict, np)  # those that mean the same


def make(dtype: str, shape: tuple[int, ...], seed: int, low: float, high: float) -> np.ndarray:
    """An array of a dtype with elements between two numbers."""
    random = np.random.default_rng(seed)
    kind = np.dtype(dtype).kind
    if kind == "b":
        return random.integers(0, 2, shape).astype(bool)
    if kind in "iu":
        return np.asarray(random.integers(max(int(low), 0) if kind == "u" else int(low), int(high) + 1, shape)).astype(dtype)
    found = random.uniform(low, high, shape)
    return np.asarray(found + 1j * random.uniform(low, high, shape) if kind == "c" else found).astype(dtype)


SEEDS = st.integers(0, 1 << 20)


def arrays(
    dtypes: tuple[str, ...] = REAL, shapes: tuple[tuple[int, ...], ...] = SHAPES, low: float = -4, high: float = 5
) -> st.SearchStrategy[np.ndarray]:
    return st.builds(make, st.sampled_from(dtypes), st.sampled_from(shapes), SEEDS, st.just(low), st.just(high))


def pairs(dtypes: tuple[str, ...], low: float = -4, high: float = 5, low2: float | None = None, high2: float | None = None) -> object:
    """Two arrays of one dtype whose shapes broadcast."""

    def both(dtype: str, shapes: tuple[tuple[int, ...], tuple[int, ...]], seed: int) -> tuple[np.ndarray, np.ndarray]:
        first = make(dtype, shapes[0], seed, low, high)
        return first, make(dtype, shapes[1], seed + 1, low if low2 is None else low2, high if high2 is None else high2)

    return st.builds(both, st.sampled_from(dtypes), st.sampled_from(PAIRS), SEEDS)


def square(dtypes: tuple[str, ...] = FLOATS) -> st.SearchStrategy[object]:
    """Well-conditioned square matrices, also stacks of them."""

    def matrices(dtype: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
        return make(dtype, shape, seed, -1, 1) + np.asarray(4 * np.eye(shape[-1]), dtype)

    return st.builds(matrices, st.sampled_from(dtypes), st.sampled_from([(1, 1), (3, 3), (2, 4, 4)]), SEEDS)


def hermitian(dtypes: tuple[str, ...] = FLOATS) -> st.SearchStrategy[object]:
    return square(dtypes).map(lambda a: (a + np.conj(np.swapaxes(a, -1, -2))) / 2)  # type: ignore[operator,call-overload]


def nonempty(dtypes: tuple[str, ...] = REAL, low: float = -4, high: float = 5) -> st.SearchStrategy[np.ndarray]:
    return arrays(dtypes, ((1,), (7,), (3, 4), (2, 3, 4)), low, high)


def unary(name: str, dtypes: tuple[str, ...], low: float = -4, high: float = 5) -> Case:
    return Case((arrays(dtypes, low=low, high=high),), lambda xp, x: getattr(xp, name)(x))


def binary(name: str, dtypes: tuple[str, ...], **limits: float) -> Case:
    return Case((pairs(dtypes, **limits),), lambda xp, both: getattr(xp, name)(*both))  # type: ignore[arg-type]


def reduction(name: str, dtypes: tuple[str, ...] = NUMBERS, **given_: object) -> Case:
    """Over the last axis, and over all."""
    return Case(
        (nonempty(dtypes), st.sampled_from([None, -1, 0]), st.booleans()),
        lambda xp, x, axis, keepdims: getattr(xp, name)(x, axis=axis, keepdims=keepdims, **given_),
    )


def plain(call: Callable[..., object], *inputs: st.SearchStrategy[object], peers: tuple[ModuleType, ...] = (strict, np)) -> Case:
    return Case(inputs, call, peers)


def fourier(name: str, dtypes: tuple[str, ...], several: bool = False, low: float = -4) -> Case:
    return Case(
        (nonempty(dtypes, low), st.sampled_from(["backward", "ortho", "forward"])),
        lambda xp, x, norm: getattr(xp.fft, name)(x, norm=norm) if not several else getattr(xp.fft, name)(x, axes=(-1,), norm=norm),
    )


UNARY = {
    "abs": (NUMBERS, -4, 5), "acos": (FLOATS, -1, 1), "acosh": (FLOATS, 1, 9), "asin": (FLOATS, -1, 1), "asinh": (FLOATING, -4, 5),
    "atan": (FLOATING, -0.9, 0.9), "atanh": (FLOATS, -0.9, 0.9), "bitwise_invert": (("bool", *INTEGERS), -4, 5), "ceil": (REAL, -4, 5),
    "conj": (COMPLEX, -4, 5), "cos": (FLOATING, -4, 5), "cosh": (FLOATING, -4, 5), "exp": (FLOATING, -4, 5), "expm1": (FLOATING, -4, 5),
    "floor": (REAL, -4, 5), "imag": (COMPLEX, -4, 5), "isfinite": (NUMBERS, -4, 5), "isinf": (NUMBERS, -4, 5), "isnan": (NUMBERS, -4, 5),
    "log": (FLOATING, 0.1, 9), "log1p": (FLOATING, 0.1, 9), "log2": (FLOATING, 0.1, 9), "log10": (FLOATING, 0.1, 9),
    "logical_not": (("bool",), 0, 1), "negative": (("int8", "int32", "int64", *FLOATING), -4, 5), "positive": (NUMBERS, -4, 5),
    "real": (COMPLEX, -4, 5), "reciprocal": (FLOATING, 1, 5), "round": (NUMBERS, -4, 5), "sign": (NUMBERS, -4, 5),
    "signbit": (FLOATS, -4, 5),
    "sin": (FLOATING, -4, 5), "sinh": (FLOATING, -4, 5), "square": (NUMBERS, -4, 5), "sqrt": (FLOATING, 0, 9), "tan": (FLOATING, -1, 1),
    "tanh": (FLOATING, -4, 5), "trunc": (REAL, -4, 5),
}  # fmt: skip
BINARY: dict[str, tuple[tuple[str, ...], dict[str, float]]] = {
    "add": (NUMBERS, {}), "atan2": (FLOATS, {}), "bitwise_and": (("bool", *INTEGERS), {}), "bitwise_or": (("bool", *INTEGERS), {}),
    "bitwise_xor": (("bool", *INTEGERS), {}), "bitwise_left_shift": (INTEGERS, {"low": 0, "high": 3}),
    "bitwise_right_shift": (INTEGERS, {"low": 0, "high": 3}), "copysign": (FLOATS, {}), "divide": (FLOATING, {"low2": 1, "high2": 3}),
    "equal": (ANY, {}), "floor_divide": (REAL, {"low2": 1, "high2": 3}), "greater": (REAL, {}), "greater_equal": (REAL, {}),
    "hypot": (FLOATS, {}), "less": (REAL, {}), "less_equal": (REAL, {}), "logaddexp": (FLOATS, {}), "logical_and": (("bool",), {}),
    "logical_or": (("bool",), {}), "logical_xor": (("bool",), {}), "maximum": (REAL, {}), "minimum": (REAL, {}), "multiply": (NUMBERS, {}),
    "nextafter": (FLOATS, {}), "not_equal": (ANY, {}), "pow": (REAL, {"low": 0, "high": 3}), "remainder": (REAL, {"low2": 1, "high2": 3}),
    "subtract": (NUMBERS, {}),
}  # fmt: skip
AXIS = st.sampled_from([0, -1])
MATRICES = arrays(FLOATING, ((3, 4), (1, 1), (2, 3, 3)))


def dtype_of(xp: ModuleType, name: str) -> object:
    return getattr(xp, name)


CASES: dict[str, Case] = {
    **{name: unary(name, *given_) for name, given_ in UNARY.items()},
    **{name: binary(name, dtypes, **limits) for name, (dtypes, limits) in BINARY.items()},
    **{name: reduction(name) for name in ("sum", "prod")},
    **{name: reduction(name, REAL) for name in ("max", "min")},
    **{name: reduction(name, ANY) for name in ("all", "any", "count_nonzero")},
    "mean": reduction("mean", FLOATING), "std": reduction("std", FLOATS, correction=0.0), "var": reduction("var", FLOATS, correction=-0.5),
    **{name: Case((nonempty(NUMBERS), AXIS), lambda xp, x, axis, name=name: getattr(xp, name)(x, axis=axis)) for name in (
        "cumulative_sum", "cumulative_prod", "diff")},
    **{name: Case((nonempty(REAL), AXIS), lambda xp, x, axis, name=name: getattr(xp, name)(x, axis=axis)) for name in ("argmax", "argmin")},
    **{name: Case(
        (nonempty(REAL), AXIS, st.booleans()),
        lambda xp, x, axis, down, name=name: getattr(xp, name)(x, axis=axis, descending=down), (strict,),
    ) for name in ("sort", "argsort")},
    # making
    "asarray": plain(lambda xp, x: [xp.asarray(x), xp.asarray([[1, 2], [3, 4]]), xp.asarray(2.5), xp.asarray(x, copy=True)], arrays(ANY)),
    "arange": plain(lambda xp, n: [xp.arange(n), xp.arange(1, n, 2), xp.arange(n, 0, -1.5)], st.integers(0, 9)),
    "empty": plain(lambda xp, n: xp.empty((n, 2)).shape, st.integers(0, 9)),
    "empty_like": plain(lambda xp, x: xp.empty_like(x).shape, arrays(ANY)),
    "eye": plain(lambda xp, n, k: xp.eye(n, 4, k=k, dtype=xp.float32), st.integers(0, 5), st.integers(-2, 2)),
    "full": plain(lambda xp, v: xp.full((2, 3), v), st.sampled_from([2, -1.5, True, 1j])),
    "full_like": plain(lambda xp, x: xp.full_like(x, 1), arrays(NUMBERS)),
    "linspace": plain(lambda xp, n, e: xp.linspace(-1.0, 2.0, n, endpoint=e), st.integers(0, 9), st.booleans()),
    "meshgrid": plain(lambda xp, a, i: xp.meshgrid(a, a + a, indexing=i), arrays(REAL, ((3,), (1,))), st.sampled_from(["xy", "ij"])),
    **{name: plain(lambda xp, n, name=name: getattr(xp, name)((n, 2), dtype=xp.float32), st.integers(0, 5)) for name in ("ones", "zeros")},
    **{name: plain(lambda xp, x, name=name: getattr(xp, name)(x), arrays(ANY)) for name in ("ones_like", "zeros_like")},
    **{name: plain(lambda xp, x, k, name=name: getattr(xp, name)(x, k=k), MATRICES, st.integers(-2, 2)) for name in ("tril", "triu")},
    "from_dlpack": plain(lambda xp, x: xp.from_dlpack(x), nonempty(REAL)),
    # dtypes
    "astype": plain(lambda xp, x, d: xp.astype(x, dtype_of(xp, d)), arrays(REAL, low=0, high=5), st.sampled_from(ANY)),
    "can_cast": plain(lambda xp, a, b: xp.can_cast(dtype_of(xp, a), dtype_of(xp, b)), st.sampled_from(ANY), st.sampled_from(ANY),
                      peers=(np,)),  # the strict one knows no promotion of bools
    "result_type": plain(
        lambda xp, x, d: xp.result_type(x, dtype_of(xp, d)), arrays(FLOATS), st.sampled_from(FLOATING)),
    "isdtype": plain(
        lambda xp, d, k: xp.isdtype(dtype_of(xp, d), k), st.sampled_from(ANY),
        st.sampled_from(["bool", "signed integer", "integral", "numeric", ("real floating", "complex floating")])),
    "finfo": plain(lambda xp, d: [float(getattr(xp.finfo(dtype_of(xp, d)), n)) for n in ("bits", "eps", "max", "min", "smallest_normal")],
                   st.sampled_from(FLOATING)),
    "iinfo": plain(lambda xp, d: [getattr(xp.iinfo(dtype_of(xp, d)), n) for n in ("bits", "max", "min")], st.sampled_from(INTEGERS)),
    "__array_namespace_info__": plain(
        lambda xp, k: [
            sorted(xp.__array_namespace_info__().dtypes(kind=k)), sorted(xp.__array_namespace_info__().default_dtypes()),
            xp.__array_namespace_info__().capabilities(),
        ],
        st.sampled_from([None, "bool", "integral", "numeric", ("real floating", "bool")])),
    # shapes
    "broadcast_arrays": plain(lambda xp, both: list(xp.broadcast_arrays(*both)), pairs(ANY)),  # type: ignore[arg-type]
    "broadcast_shapes": plain(lambda xp, p: xp.broadcast_shapes(*p), st.sampled_from(PAIRS)),
    "broadcast_to": plain(lambda xp, x: xp.broadcast_to(x, (2, *x.shape)), arrays(ANY)),
    "concat": plain(lambda xp, x, axis: xp.concat([x, x], axis=axis), nonempty(ANY), st.sampled_from([0, -1, None])),
    "expand_dims": plain(lambda xp, x, axis: xp.expand_dims(x, axis=axis), arrays(ANY), AXIS),
    "flip": plain(lambda xp, x, axis: xp.flip(x, axis=axis), nonempty(ANY), st.sampled_from([None, 0, -1])),
    "moveaxis": plain(lambda xp, x: xp.moveaxis(x, 0, -1), nonempty(ANY)),
    "permute_dims": plain(lambda xp, x: xp.permute_dims(x, tuple(range(x.ndim))[::-1]), arrays(ANY)),
    "repeat": plain(lambda xp, x, n: xp.repeat(x, n, axis=0), nonempty(ANY), st.integers(0, 3)),
    "reshape": plain(lambda xp, x: [xp.reshape(x, (-1,)), xp.reshape(x, (1, *x.shape), copy=True)], nonempty(ANY)),
    "roll": plain(lambda xp, x, n: [xp.roll(x, n), xp.roll(x, n, axis=0)], nonempty(ANY), st.integers(-3, 9)),
    "squeeze": plain(lambda xp, x: xp.squeeze(x, axis=0), arrays(ANY, ((1,), (1, 5), (1, 1, 3)))),
    "stack": plain(lambda xp, x, axis: xp.stack([x, x], axis=axis), arrays(ANY), AXIS),
    "tile": plain(lambda xp, x: xp.tile(x, (2, 3)), arrays(ANY)),
    "unstack": plain(lambda xp, x, axis: list(xp.unstack(x, axis=axis)), nonempty(ANY), AXIS),
    # choosing and finding
    "clip": plain(lambda xp, x: [xp.clip(x, 1, 3), xp.clip(x, max=2), xp.clip(x)], arrays(REAL)),
    "nonzero": plain(lambda xp, x: list(xp.nonzero(x)), nonempty(ANY)),
    "searchsorted": plain(
        lambda xp, x, side: xp.searchsorted(xp.sort(x), x, side=side), arrays(FLOATS, ((5,), (0,), (1,))),
        st.sampled_from(["left", "right"])),
    "take": plain(lambda xp, x: xp.take(x, xp.asarray([0, x.shape[0] - 1]), axis=0), nonempty(ANY)),
    "take_along_axis": plain(lambda xp, x: xp.take_along_axis(x, xp.argsort(x, axis=-1), axis=-1), nonempty(FLOATS)),
    "where": plain(lambda xp, both: [xp.where(both[0] > both[1], *both), xp.where(both[0] > 0, both[1], 1)], pairs(REAL)),  # type: ignore[arg-type]
    "isin": plain(lambda xp, x, y, i: xp.isin(x, y, invert=i), nonempty(("int64",)), nonempty(("int64",)), st.booleans(),
                  peers=(np,)),  # the strict one inverts too little
    **{f"unique_{name}": plain(
        lambda xp, x, name=name: list(getattr(xp, f"unique_{name}")(x)), arrays(INTEGERS)) for name in ("all", "counts", "inverse")},
    "unique_values": plain(lambda xp, x: xp.unique_values(x), arrays(INTEGERS), peers=(strict,)),  # NumPy's are in no order
    # products
    "matmul": plain(lambda xp, x: xp.matmul(x, xp.matrix_transpose(x)), MATRICES),
    "matrix_transpose": plain(lambda xp, x: xp.matrix_transpose(x), MATRICES),
    "tensordot": plain(lambda xp, x: [xp.tensordot(x, x, axes=x.ndim), xp.tensordot(x, x, axes=0)], MATRICES),
    "vecdot": plain(lambda xp, x: xp.vecdot(x, x, axis=-1), MATRICES),
    # linear algebra
    "linalg.cholesky": plain(lambda xp, x: [xp.linalg.cholesky(x), xp.linalg.cholesky(x, upper=True)], hermitian(FLOATING)),
    "linalg.cross": plain(lambda xp, x: xp.linalg.cross(x, x[..., ::-1]), arrays(FLOATING, ((3,), (2, 3)))),
    **{f"linalg.{name}": plain(lambda xp, x, name=name: getattr(xp.linalg, name)(x), square(FLOATING)) for name in (
        "det", "diagonal", "inv", "pinv", "matrix_transpose", "trace", "matrix_norm", "matrix_rank")},
    **{f"linalg.{name}": plain(lambda xp, x, name=name: getattr(xp.linalg, name)(x), hermitian(FLOATING)) for name in ("eigvalsh",)},
    "linalg.eigh": plain(lambda xp, x: list(xp.linalg.eigh(x)), hermitian(FLOATS)),
    "linalg.matmul": plain(lambda xp, x: xp.linalg.matmul(x, x), square(FLOATING)),
    "linalg.matrix_power": plain(lambda xp, x, n: xp.linalg.matrix_power(x, n), square(FLOATING), st.integers(-2, 3)),
    "linalg.outer": plain(lambda xp, x: xp.linalg.outer(x, x), arrays(FLOATING, ((3,), (1,)))),
    "linalg.qr": plain(lambda xp, x, m: list(xp.linalg.qr(x, mode=m)), MATRICES, st.sampled_from(["reduced", "complete"])),
    "linalg.slogdet": plain(lambda xp, x: list(xp.linalg.slogdet(x)), square(FLOATING)),
    "linalg.solve": plain(lambda xp, x: xp.linalg.solve(x, x + 1), square(FLOATING)),
    "linalg.svd": plain(lambda xp, x: list(xp.linalg.svd(x, full_matrices=False)), MATRICES),
    "linalg.svdvals": plain(lambda xp, x: xp.linalg.svdvals(x), MATRICES),
    "linalg.tensordot": plain(lambda xp, x: xp.linalg.tensordot(x, x, axes=((-1,), (-1,))), MATRICES),
    "linalg.vecdot": plain(lambda xp, x: xp.linalg.vecdot(x, x), MATRICES),
    "linalg.vector_norm": plain(
        lambda xp, x, o: xp.linalg.vector_norm(x, axis=-1, ord=o), MATRICES, st.sampled_from([1, 2, 3.5, float("inf")])),
    # Fourier transforms
    **{f"fft.{name}": fourier(name, COMPLEX) for name in ("fft", "ifft")},
    **{f"fft.{name}": fourier(name, COMPLEX, several=True) for name in ("fftn", "ifftn")},
    "fft.rfft": fourier("rfft", FLOATS), "fft.rfftn": fourier("rfftn", FLOATS, several=True), "fft.ihfft": fourier("ihfft", FLOATS),
    **{f"fft.{name}": plain(lambda xp, x, name=name: getattr(xp.fft, name)(x, n=6), nonempty(COMPLEX)) for name in ("irfft", "hfft")},
    "fft.irfftn": plain(lambda xp, x: xp.fft.irfftn(x, s=(6,), axes=(-1,)), nonempty(COMPLEX)),
    **{f"fft.{name}": plain(lambda xp, n, name=name: getattr(xp.fft, name)(n, d=0.5), st.integers(1, 9)) for name in (
        "fftfreq", "rfftfreq")},
    **{f"fft.{name}": plain(lambda xp, x, name=name: getattr(xp.fft, name)(x), nonempty(FLOATING)) for name in ("fftshift", "ifftshift")},
    # constants and dtypes
    **{name: plain(lambda xp, name=name: float(getattr(xp, name))) for name in ("e", "inf", "pi")},
    "nan": plain(lambda xp: xp.nan != xp.nan), "newaxis": plain(lambda xp: xp.newaxis is None),
    **{name: plain(lambda xp, name=name: xp.zeros(2, dtype=dtype_of(xp, name))) for name in (
        *ANY, "int16", "uint16", "uint32")},
    "__array_api_version__": plain(lambda xp: xp.__array_api_version__, peers=(strict,)),
}  # fmt: skip

# Names of the strict implementation that are not the standard's.
NOT_THE_STANDARD_S = {
    "Device", "set_array_api_strict_flags", "get_array_api_strict_flags", "reset_array_api_strict_flags", "ArrayAPIStrictFlags",
    "__version__", "fft", "linalg",
}  # fmt: skip


def names() -> set[str]:
    found = set(strict.__all__) - NOT_THE_STANDARD_S
    return found | {f"{module}.{name}" for module in ("linalg", "fft") for name in getattr(strict, module).__all__}


def test_every_name_has_a_case() -> None:
    assert strict.__array_api_version__ == ag.__array_api_version__
    assert set(CASES) == names()


def converted(xp: ModuleType, value: object) -> object:
    if isinstance(value, np.ndarray):
        return xp.asarray(value.copy())
    return tuple(converted(xp, item) for item in value) if isinstance(value, tuple) else value


def flat(value: object) -> Iterator[object]:
    """Results as NumPy's arrays and Python's objects."""
    if isinstance(value, list | tuple):
        yield len(value)
        for item in value:
            yield from flat(item)
    elif isinstance(value, type | np.dtype) or hasattr(value, "_np_dtype"):
        yield np.dtype(getattr(value, "_np_dtype", value)).name
    elif hasattr(value, "shape"):
        yield np.asarray(value)
    else:
        yield value


def same(ours: object, theirs: object) -> None:
    if not isinstance(theirs, np.ndarray):
        assert ours == theirs
        return
    assert isinstance(ours, np.ndarray)
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    if theirs.dtype.kind in "biu":
        np.testing.assert_array_equal(ours, theirs)
    else:
        limit = 2e-4 if theirs.dtype in (np.float32, np.complex64) else 1e-10
        np.testing.assert_allclose(ours, theirs, rtol=limit, atol=limit)


@pytest.mark.parametrize("name", sorted(CASES))
def test_name(name: str) -> None:
    case = CASES[name]

    @settings(deadline=None, max_examples=8, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.tuples(*case.inputs))
    def run(inputs: tuple[object, ...]) -> None:
        ours = case.call(ag, *(converted(ag, value) for value in inputs))
        for xp in case.peers:
            with np.errstate(all="ignore"):
                theirs = case.call(xp, *(converted(xp, value) for value in inputs))
            for mine, other in zip(flat(ours), flat(theirs), strict=True):
                same(mine, other)

    if case.inputs:
        run()
    else:
        for mine, other in zip(flat(case.call(ag)), flat(case.call(strict)), strict=True):
            same(mine, other)
