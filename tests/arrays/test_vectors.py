"""Products with vectors are recorded, with NumPy's meaning, and fuse with what is around them."""

from __future__ import annotations

import numpy as np
import pytest

import anygpu as ag

EVERY_DEVICE = True


@pytest.mark.parametrize("dtypes", ["ff", "dd", "fd", "ii", "bB", "if"])
@pytest.mark.parametrize("shape", [(5, 7), (40, 300), (1, 3), (3, 1), (2, 3, 20, 4), (0, 3), (3, 0)], ids=str)
def test_products(shape: tuple[int, ...], dtypes: str, device: ag.Device) -> None:
    random = np.random.default_rng(1)
    x, right, left = ((random.random(n) * 9 - 2).astype(d) for n, d in zip((shape, shape[-1], shape[-2]), dtypes + dtypes[1], strict=True))
    a, b, c = (ag.asarray(value, device=device) for value in (x, right, left))
    products = [
        (a @ b, x @ right), (c @ a, left @ x), (a.mT @ c, x.mT @ left), (b @ b, right @ right), (a[..., ::-1] @ b, x[..., ::-1] @ right),
        (ag.matmul(a, b), np.matmul(x, right)), (np.matmul(a, b), np.matmul(x, right)), (a.dot(b), x.dot(right)),
    ]  # fmt: skip
    for got, want in products:
        assert isinstance(got, ag.ndarray)
        assert (got.shape, got.dtype) == (np.shape(want), want.dtype)
        np.testing.assert_allclose(np.asarray(got), want, rtol=1e-5, atol=1e-4)


def test_complex_numbers_and_halves() -> None:
    for dtype in ("complex64", "complex128", "float16", "bool"):
        x, w = np.arange(6).reshape(2, 3).astype(dtype), np.arange(3).astype(dtype)
        got, want = ag.asarray(x) @ ag.asarray(w), x @ w
        assert (got.dtype, got.tolist()) == (want.dtype, want.tolist())


def test_errors_are_numpys() -> None:
    for a, b in [((2, 3), (2,)), ((3,), (2, 3)), ((3,), (2,))]:
        with pytest.raises(ValueError) as want:
            np.zeros(a) @ np.zeros(b)
        with pytest.raises(ValueError) as got:
            ag.zeros(a) @ ag.zeros(b)
        assert str(got.value) == str(want.value)


def test_products_fuse() -> None:
    x, w, y = ag.asarray(np.ones((300, 20))), ag.asarray(np.ones(20)), ag.asarray(np.ones(300))
    assert str(ag.explain(lambda: 1 / (1 + ag.exp(-(x @ w))) - y)).count("kernel ") == 1
    gradient = str(ag.explain(lambda: x.T @ (1 / (1 + ag.exp(-(x @ w))) - y)))
    assert gradient.count("kernel ") == 2
    assert "fused: multiply add negative exp add divide subtract\n" in gradient  # once for each row, not for each element


def test_what_is_repeated_is_computed_once() -> None:
    x, y = ag.asarray(np.ones((30, 20))), ag.asarray(np.ones(30))
    assert str(ag.explain(lambda: x * ag.exp(y)[:, None])).count("kernel ") == 2
    assert str(ag.explain(lambda: x * (y + 1)[:, None])).count("kernel ") == 1
    assert str(ag.explain(lambda: x * ag.exp(ag.sum(y)))).count("kernel ") == 2
    np.testing.assert_allclose(np.asarray(x * ag.exp(y)[:, None]), np.full((30, 20), np.e))
