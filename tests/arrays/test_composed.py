"""Functions made of views, assignments, operations and reductions, products of matrices and Fourier transforms: as NumPy's, anywhere."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator

import numpy as np
import pytest

import anygpu as ag
from anygpu.arrays.composed import ON_DEVICES

EVERY_DEVICE = True
M = np.arange(12.0).reshape(3, 4) - 5
V = np.array([3.0, -1, 4, 1, -5])
T = np.arange(24).reshape(2, 3, 4)
C = V + 1j * V[::-1]
B = np.array([True, False, True])
BYTES = np.arange(5, dtype=np.uint8)
N = np.array([1.0, np.nan, np.inf, -np.inf, 0], np.float32)

CASES: dict[Callable[..., object], list[tuple[tuple[object, ...], dict[str, object]]]] = {
    np.concatenate: [(((M, M),), {}), (((M, T[0], M), 1), {}), (((V, M), None), {}), (([V, V], 0), {"dtype": np.float32})],
    np.stack: [(((M, M),), {}), (((V, V), 1), {}), (([T, T], -1), {})],
    np.atleast_1d: [((M,), {}), ((V, np.float64(2)), {})],
    np.atleast_2d: [((V,), {}), ((T,), {})],
    np.atleast_3d: [((V,), {}), ((M,), {}), ((T,), {})],
    np.vstack: [(((V, V),), {}), (((M, V[:4]),), {})],
    np.hstack: [(((V, V),), {}), (((M, M),), {})],
    np.dstack: [(((V, V),), {}), (((M, M),), {})],
    np.column_stack: [(((V, V),), {}), (((M, M[:, 0]),), {})],
    np.append: [((V, [1, 2]), {}), ((M, M, 1), {})],
    np.flip: [((T,), {}), ((T, 1), {}), ((T, (0, -1)), {})],
    np.flipud: [((M,), {})],
    np.fliplr: [((M,), {})],
    np.rot90: [((M, k), {}) for k in range(-1, 4)] + [((T,), {"axes": (1, 2)})],
    np.roll: [((V, 2), {}), ((M, -1), {}), ((M, 1, 1), {}), ((T, (1, 2), (0, 2)), {}), ((T, 5, (1, 2)), {})],
    np.array_split: [((V, 3), {}), ((M, 2, 1), {}), ((V, [1, 3]), {})],
    np.split: [((M, 3), {}), ((M, [1], 1), {})],
    np.tile: [((V, 2), {}), ((M, (2, 1)), {}), ((V, (2, 3)), {}), ((T, (2,)), {})],
    np.meshgrid: [((V, V[:3]), {}), ((V, V[:3]), {"indexing": "ij"}), ((V, V[:2], V[:3]), {"sparse": True})],
    np.broadcast_arrays: [((M, V[:4]), {})],
    np.tril: [((M,), {}), ((T, 1), {}), ((V,), {})],
    np.triu: [((M, -1), {}), ((T,), {})],
    np.diag: [((M,), {}), ((V, -2), {}), ((M, 1), {})],
    np.diff: [((V,), {}), ((T, 2), {}), ((M,), {"axis": 0, "prepend": 0}), ((B,), {}), ((V,), {"append": [1, 2.0]})],
    np.trapezoid: [((V,), {}), ((M,), {"dx": 0.5, "axis": 0}), ((M, V[:4]), {})],
    np.count_nonzero: [((M,), {}), ((T,), {"axis": (0, 2)}), ((B,), {"keepdims": True})],
    np.ptp: [((M,), {}), ((M, 1), {"keepdims": True})],
    np.nan_to_num: [((N,), {}), ((N,), {"nan": 2.0, "posinf": 3.0, "neginf": -4.0}), ((T,), {}), ((C,), {})],
    np.isclose: [((V, V + 1e-9), {}), ((N, N), {"equal_nan": True}), ((N, N), {}), ((V, 3), {"atol": 1})],
    np.allclose: [((V, V), {}), ((N, N), {}), ((V, V + 1), {})],
    np.array_equal: [((V, V), {}), ((N, N), {"equal_nan": True}), ((V, M), {}), ((N, N), {})],
    np.dot: [((M, M.T), {}), ((V, V), {}), ((M, V[:4]), {}), ((V[:3], M), {}), ((T, M.T), {}), ((2, V), {}), ((T, T.swapaxes(1, 2)), {})],
    np.inner: [((V, V), {}), ((M, T), {}), ((2, M), {})],
    np.vdot: [((C, C), {}), ((M, M), {})],
    np.outer: [((V, M), {}), ((C, V), {})],
    np.tensordot: [((T, T, 3), {}), ((T, M, ([1, 2], [0, 1])), {}), ((T, V, 0), {}), ((M, M, (0, 0)), {})],
    np.trace: [((M,), {}), ((T, 1, 0, 2), {})],
    np.repeat: [((V, 2), {}), ((M, [1, 0, 2]), {"axis": 0}), ((M, 3, 1), {}), ((V, np.arange(5)), {}), ((T, [2]), {}), ((V, 0), {})],
    np.argwhere: [((M > 0,), {}), ((V,), {}), ((T % 5,), {})],
    np.extract: [((M > 0, M), {}), (([True, False, True], V[:3]), {})],
    np.matmul: [((M, M.T), {}), ((T, M.T), {}), ((T, T.swapaxes(1, 2)), {}), ((V, V), {}), ((V[:3], M), {}), ((C, np.ones((5, 2))), {})],
    np.linalg.matmul: [((M, M.T), {})],
    np.vecdot: [((C, C), {}), ((M, V[:4]), {}), ((BYTES, BYTES), {}), ((M, M), {"axis": 0})],
    np.linalg.vecdot: [((M, M), {})],
    np.linalg.diagonal: [((T,), {}), ((M,), {"offset": 1})],
    np.linalg.trace: [((T,), {}), ((M,), {"offset": -1, "dtype": np.float32})],
    np.linalg.matrix_transpose: [((T,), {})],
    np.linalg.outer: [((V, V), {})],
    np.linalg.tensordot: [((M, M), {})],
    np.sort: [((V,), {}), ((T[::-1],), {"axis": 0}), ((M,), {"axis": None}), ((N,), {"kind": "stable"}), ((B,), {})],
    np.argsort: [((V,), {"stable": True}), ((T % 3,), {"axis": 1, "stable": True}), ((N,), {"kind": "stable"}), ((M,), {"axis": None})],
    np.fft.fftshift: [((V,), {}), ((T, (0, 2)), {})],
    np.fft.ifftshift: [((V,), {}), ((T,), {})],
    np.fft.fft: [((V,), {}), ((M, 6, 0), {}), ((C,), {"norm": "ortho"}), ((np.arange(97.0),), {}), ((np.arange(64.0, dtype="f4"),), {})],
    np.fft.ifft: [((C,), {}), ((M, 2), {"norm": "forward"})],
    np.fft.rfft: [((V,), {}), ((M, 8), {}), ((np.arange(13.0),), {})],
    np.fft.irfft: [((C,), {}), ((C, 9), {}), ((C, 4), {})],
    np.fft.hfft: [((C,), {}), ((C, 7), {"norm": "ortho"})],
    np.fft.ihfft: [((V,), {})],
    np.fft.fftn: [((T,), {}), ((T, (4, 2), (0, 1)), {})],
    np.fft.ifftn: [((T,), {"norm": "ortho"})],
    np.fft.rfftn: [((T,), {}), ((M,), {"axes": (0,)})],
    np.fft.irfftn: [((T,), {}), ((T,), {"s": (3, 5), "axes": (1, 2)})],
    np.fft.fft2: [((T,), {})],
    np.fft.ifft2: [((M, (2, 5)), {})],
    np.fft.rfft2: [((T,), {})],
    np.fft.irfft2: [((T,), {})],
}


def test_every_function_has_a_case() -> None:
    writing = {np.put, np.place, np.putmask, np.copyto}  # tests/arrays/test_scatters.py
    assert CASES.keys() == ON_DEVICES.keys() - writing


def given(value: object, device: ag.Device) -> object:
    """A case's argument with its NumPy arrays on a device."""
    if isinstance(value, np.ndarray):
        return ag.asarray(value, device=device)
    if isinstance(value, tuple | list) and any(isinstance(item, np.ndarray) for item in value):
        return type(value)(given(item, device) for item in value)
    return value


def parts(value: object) -> Iterator[object]:
    if isinstance(value, tuple | list):
        for item in value:
            yield from parts(item)
    else:
        yield value


@pytest.mark.parametrize("function", CASES, ids=lambda f: f.__name__)
def test_as_numpy(function: Callable[..., object], device: ag.Device) -> None:
    for args, kwargs in CASES[function]:
        with np.errstate(all="ignore"):
            want = list(parts(function(*args, **kwargs)))
        arguments = tuple(given(arg, device) for arg in args)
        with warnings.catch_warnings():
            warnings.simplefilter("error", ag.CopyWarning)  # nothing is copied to the host
            on_device = device.name != "cpu"
            got = list(parts((function if on_device else ON_DEVICES[function])(*arguments, **kwargs)))
        assert len(got) == len(want)
        for a, b in zip(got, want, strict=True):
            if isinstance(a, bool):
                assert a == b
                continue
            assert isinstance(a, ag.ndarray)
            assert a.device is device or all(not isinstance(v, np.ndarray) for v in args)
            assert a.shape == np.shape(b), (args, kwargs)
            assert a.dtype == np.asarray(b).dtype, (args, kwargs)
            tolerance = 1e-5 if a.dtype in (np.float32, np.complex64) else 1e-12
            np.testing.assert_allclose(np.asarray(a), b, rtol=tolerance, atol=tolerance * 10, err_msg=f"{args} {kwargs}")


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (np.concatenate, ((M, V),)), (np.concatenate, ((M, M[:, :2]),)), (np.concatenate, ([],)), (np.stack, ((M, V),)),
        (np.matmul, (M, M)), (np.matmul, (M, 2.0)), (np.vecdot, (V, V[:1])), (np.dot, (M, M)), (np.tensordot, (M, M, 1)),
        (np.split, (V, 2)), (np.rot90, (V,)),
        (np.fft.fft, (V, 0)), (np.fft.fftn, (M, (2,), (0, 1))), (np.flipud, (np.float64(1),)), (np.diff, (V, -1)),
        (np.repeat, (V, [1, 2, -3, 0, 0])), (np.repeat, (V, [-1] * 5)),
    ],
)  # fmt: skip
def test_errors_are_numpys(function: Callable[..., object], args: tuple[object, ...], device: ag.Device) -> None:
    with pytest.raises((ValueError, TypeError)) as theirs:
        function(*args)
    with pytest.raises(type(theirs.value)) as ours:
        ON_DEVICES[function](*(given(arg, device) for arg in args))
    assert str(ours.value).split("\n")[0][:60] == str(theirs.value).split("\n")[0][:60]


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64", "float16", "float32", "float64", "complex64", "complex128"])
def test_matrices_of_every_dtype(dtype: str, device: ag.Device) -> None:
    random = np.random.default_rng(0)
    for m, k, n in ((1, 1, 1), (70, 130, 65), (64, 16, 64), (5, 0, 3), (0, 2, 2), (129, 3, 1)):
        a = random.integers(0 if dtype in ("bool", "uint8") else -3, 2 if dtype == "bool" else 4, (2, m, k)).astype(dtype)
        b = random.integers(0, 2, (k, n)).astype(dtype)
        found = ag.asarray(a, device=device) @ ag.asarray(b, device=device)
        assert found.device is device
        assert found.dtype == dtype
        np.testing.assert_array_equal(np.asarray(found), a @ b)


def test_transforms_of_every_kind_of_length(device: ag.Device) -> None:
    random = np.random.default_rng(0)
    for n in (1, 2, 3, 4, 5, 7, 8, 11, 16, 30, 49, 64, 97, 210, 1000, 1009, 4096):
        x = random.standard_normal((3, n)) + 1j * random.standard_normal((3, n))
        for dtype, tolerance in ((np.complex128, 1e-13), (np.complex64, 2e-6)):
            a = ag.asarray(x.astype(dtype), device=device)
            forward = ON_DEVICES[np.fft.fft](a)
            want = np.fft.fft(x)
            assert np.abs(np.asarray(forward) - want).max() <= tolerance * np.abs(want).max()
            assert np.abs(np.asarray(ON_DEVICES[np.fft.ifft](forward)) - x).max() <= 2 * tolerance * np.abs(x).max()


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "uint32", "int64", "uint64", "float16", "float32", "float64"])
def test_sorts_of_every_dtype_are_stable(dtype: str, device: ag.Device) -> None:
    random = np.random.default_rng(0)
    for shape in ((1,), (5000,), (3, 1025), (2, 0)):
        bits = random.integers(0, 256, (*shape, np.dtype(dtype).itemsize), np.uint8)
        x = bits.view(dtype)[..., 0] if dtype != "bool" else bits[..., 0] % 2 == 0
        x[..., ::3] = x[..., :1]  # equal elements
        if x.dtype.kind == "f" and x.size > 6:
            x[..., 1::5], x[..., 2::5] = -0.0, 0.0
        order = ON_DEVICES[np.argsort](ag.asarray(x, device=device))
        np.testing.assert_array_equal(np.asarray(order), np.argsort(x, kind="stable"))
        found = np.asarray(ON_DEVICES[np.sort](ag.asarray(x, device=device)))
        assert found.tobytes() == np.take_along_axis(x, np.argsort(x, kind="stable"), -1).tobytes()


def test_complex_numbers_are_sorted_by_numpy(device: ag.Device) -> None:
    x = ag.asarray(C, device=device)
    np.testing.assert_array_equal(np.asarray(ag.sort(x)), np.sort(C))


def test_more_matrices_than_a_grid_has_blocks_along_z(device: ag.Device) -> None:
    a = ag.ones((70000, 2, 2), device=device)
    assert np.array_equal(np.asarray(a @ a), np.full((70000, 2, 2), 2.0))


@pytest.mark.parametrize("dtype", "?bHile")
def test_integers_and_halves_are_transformed_as_in_numpy(dtype: str, device: ag.Device) -> None:
    x = np.random.default_rng(4).integers(0, 2, (4, 6)).astype(dtype)
    for name in ("fft", "rfft", "ifft", "irfft"):
        got, want = getattr(ag.fft, name)(ag.asarray(x, device=device)), getattr(np.fft, name)(x)
        assert got.dtype == want.dtype
        np.testing.assert_allclose(np.asarray(got), want, atol=1e-12 if want.dtype.itemsize > 8 else 1e-3)


@pytest.mark.parametrize("name", ["fftn", "ifftn", "rfftn", "irfftn"])
def test_an_axis_that_is_named_twice_is_transformed_twice(name: str, device: ag.Device) -> None:
    x = np.random.default_rng(5).random((4, 6))
    got, want = getattr(ag.fft, name)(ag.asarray(x, device=device), axes=(0, 0)), getattr(np.fft, name)(x, axes=(0, 0))
    np.testing.assert_allclose(np.asarray(got), want, atol=1e-12)


def test_repeated_numbers(device: ag.Device) -> None:
    assert np.asarray(ag.repeat(ag.asarray(np.uint8(50), device=device), 3, axis=-1)).tolist() == [50, 50, 50]
    assert ag.repeat(ag.zeros(0, device=device), -1).shape == (0,)
    with pytest.raises(ValueError, match="negative dimensions are not allowed"):
        ag.repeat(ag.zeros(3, device=device), -1)


def test_more_rows_than_a_grid_has_blocks_along_y(device: ag.Device) -> None:
    x = np.random.default_rng(7).integers(-9, 9, (70001, 3))
    assert np.array_equal(np.asarray(ag.sort(ag.asarray(x, device=device), axis=1)), np.sort(x, axis=1))
    assert np.array_equal(np.asarray(ag.argsort(ag.asarray(x, device=device), axis=1)), np.argsort(x, axis=1, kind="stable"))


@pytest.mark.parametrize("s", [(2, 2, 2), (2,)])
def test_a_length_for_each_axis(s: tuple[int, ...], device: ag.Device) -> None:
    with pytest.raises(ValueError, match="Shape and axes have different lengths"):
        ag.fft.rfft2(ag.asarray(np.ones((5, 3)), device=device), s=s, axes=(0, 1))
