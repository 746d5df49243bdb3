"""`einsum` gives NumPy's sums, dtypes and errors on every device."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import anygpu as ag
from anygpu.arrays import contraction

EVERY_DEVICE = True
SHAPES = {"a": 2, "b": 3, "c": 4, "d": 1, "e": 5}
CASES = (
    "ab,bc->ac", "ab,bc", "ab,cb->ca", "eab,ebc->eac", "ab->ba", "ab->", "ab->b", "aa->a", "aa", "aab->b", "abab->ab", "a,b->ab", "a,a->",
    "a,a->a", "ab,b->a", "a,ab->b", "ab,ab->a", "ab,ab->", "abc,cbd->ad", "ab,bc,ce->ae", "a,b,c->cba", "ab,ab,ab->b", "abc,ac,b->",
    "ab,ac,ae->bce", "...b,bc->...c", "...,...", "a...,a...->...", "...ab->...ba", "ab...->...a", "ad,dc->ac", "abc,e->eb", "a->a",
    ",ab->ab", "...a,...a", "ab , bc -> ac",
)  # fmt: skip


@pytest.fixture(autouse=True)
def ours_for_few_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """NumPy gets nothing because it is small."""
    monkeypatch.setattr(contraction, "ENOUGH", 0)
    monkeypatch.setattr(contraction, "REUSED", 0)


def operands(subscripts: str, dtype: str, seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    found = []
    for letters in subscripts.replace(" ", "").split("->")[0].split(","):
        shape = [SHAPES[c] for c in letters.replace("...", "")]
        if "..." in letters:
            at = letters.index("...")
            shape[at:at] = (2, 3)
        x = random.integers(0, 2, shape) if dtype == "bool" else random.integers(-4, 5, shape)
        found.append(x.astype(dtype) if dtype[0] != "c" else (x + 1j * random.integers(-3, 3, shape)).astype(dtype))
    return found


def same(found: object, wanted: np.ndarray) -> None:
    assert isinstance(found, ag.ndarray)
    assert (found.dtype, found.shape) == (wanted.dtype, np.shape(wanted))
    np.testing.assert_array_equal(np.asarray(found), wanted)  # whole numbers, whose sums are exact


@pytest.mark.parametrize("subscripts", CASES)
def test_sums_of_products(subscripts: str) -> None:
    for dtype in ("float64", "int32", "complex128"):
        given_arrays = operands(subscripts, dtype)
        found = ag.einsum(subscripts, *map(ag.array, given_arrays))
        same(found, np.einsum(subscripts, *given_arrays))


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint64", "float16", "float32", "complex64"])
def test_every_dtype(dtype: str) -> None:
    for subscripts in ("ab,bc->ac", "ab,ab->a", "ab->a", "aa", "a,b->ab", "ab,bc,ce->ae"):
        given_arrays = operands(subscripts, dtype)
        same(ag.einsum(subscripts, *map(ag.array, given_arrays)), np.einsum(subscripts, *given_arrays))


def test_other_forms_of_arguments() -> None:
    x, y = operands("ab,bc", "float32")
    a, b = ag.array(x), ag.array(y)
    same(ag.einsum(a, [0, 1], b, [1, 2]), np.einsum(x, [0, 1], y, [1, 2]))
    same(ag.einsum(a, [Ellipsis, 27], b, [27, 2], [2, Ellipsis]), np.einsum(x, [Ellipsis, 27], y, [27, 2], [2, Ellipsis]))
    same(ag.einsum("ab,bc->ac", a, b, dtype=np.float64), np.einsum("ab,bc->ac", x, y, dtype=np.float64))
    same(ag.einsum("ab,bc->ac", a, y.astype(np.int16)), np.einsum("ab,bc->ac", x, y.astype(np.int16)))
    for optimize in (True, "optimal", "greedy"):
        same(ag.einsum("ab,bc,dc->ad", a, b, b[:1], optimize=optimize), np.einsum("ab,bc,dc->ad", x, y, y[:1]))
    out = ag.zeros((2, 4), np.float32)
    assert ag.einsum("ab,bc->ac", a, b, out=out) is out
    same(out, x @ y)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ag.CopyWarning)
        same(ag.einsum("ab,bc", a, b), np.einsum("ab,bc", x, y))
    square = ag.array(np.arange(9.0).reshape(3, 3))
    ag.einsum("ii->i", square)[...] = 0  # a view, as NumPy's is
    assert np.asarray(square).tolist() == [[0, 1, 2], [3, 0, 5], [6, 7, 0]]


def test_axes_of_one_element_and_of_none() -> None:
    for shapes in (((2, 3), (1, 4)), ((2, 1), (3, 4)), ((2, 0), (0, 4)), ((0, 3), (3, 4)), ((1, 1), (1, 1))):
        x, y = (np.arange(math.prod(shape), dtype=float).reshape(shape) for shape in shapes)
        same(ag.einsum("ab,bc->ac", ag.array(x), ag.array(y)), np.einsum("ab,bc->ac", x, y))
        same(ag.einsum("ab,bc->b", ag.array(x), ag.array(y)), np.einsum("ab,bc->b", x, y))


@pytest.mark.parametrize(
    ("subscripts", "shapes"),
    [
        ("ab,bc", ((2, 3), (4, 5))), ("ab", ((2, 3, 4),)), ("abc", ((2, 3),)), ("ab->ac", ((2, 3),)), ("ab->aa", ((2, 3),)),
        ("aa", ((2, 3),)), ("ab,bc", ((2, 3),)), ("a1", ((2, 3),)), ("ab-a", ((2, 3),)), ("a..b", ((2, 3),)),
        ("...a,...b->ab", ((2, 3), (2, 3))),
    ],
)  # fmt: skip
def test_errors_are_numpys(subscripts: str, shapes: tuple[tuple[int, ...], ...]) -> None:
    arrays = [np.ones(shape) for shape in shapes]
    with pytest.raises((ValueError, TypeError)) as theirs:
        np.einsum(subscripts, *arrays)
    with pytest.raises(type(theirs.value)) as ours:
        ag.einsum(subscripts, *map(ag.array, arrays))
    assert str(ours.value) == str(theirs.value)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_contraction(data: st.DataObject) -> None:
    inputs = data.draw(st.lists(st.text("abce", max_size=4), min_size=1, max_size=4))
    seen = sorted(set("".join(inputs)))
    chosen = data.draw(st.permutations(seen))[: data.draw(st.integers(0, len(seen)))]
    subscripts = ",".join(inputs) + "->" + "".join(chosen)
    arrays = operands(subscripts, "int64", data.draw(st.integers(0, 5)))
    same(ag.einsum(subscripts, *map(ag.array, arrays)), np.einsum(subscripts, *arrays))
