"""The module's names: ufuncs as objects, files, words that mean two things, tab completion, and how many of NumPy's there are."""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import anygpu as ag

DOCS = Path(__file__).resolve().parents[2] / "docs"


def coverage() -> ModuleType:
    """docs/scripts/numpy_coverage.py, which is not part of a package."""
    spec = importlib.util.spec_from_file_location("numpy_coverage", DOCS / "scripts" / "numpy_coverage.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_nearly_all_of_numpy_s_names_are_there() -> None:
    script = coverage()
    rows = script.rows()
    have = [row for row in rows if row.kind != "missing"]
    assert len(have) / len(rows) >= 0.95
    assert all(row.reason for row in rows if row.kind == "missing")
    written = script.PAGE.read_text(encoding="utf-8")
    version = re.search(r"public names of NumPy ([0-9]+\.[0-9]+)", written)
    assert version is not None
    if np.__version__.startswith(version[1] + "."):
        assert written == script.page(), "run docs/scripts/numpy_coverage.py"


def test_completion_lists_the_names_of_arrays() -> None:
    assert {"sqrt", "concatenate", "linalg", "fft", "random", "kernel", "polynomial", "float32", "newaxis"} <= set(dir(ag))
    assert {"norm", "eig"} <= set(dir(ag.linalg))
    assert all(getattr(ag, name, None) is not None or name == "newaxis" for name in dir(ag))


def test_submodules_are_modules() -> None:
    assert importlib.import_module("anygpu.linalg") is ag.linalg
    assert importlib.import_module("anygpu.fft").rfft(ag.ones(4)).tolist() == [4, 0, 0]
    assert isinstance(ag.polynomial.polynomial.polyval(2.0, ag.asarray([1.0, 2.0, 3.0])), ag.ndarray)
    assert ag.linalg.eig(ag.eye(2)).eigenvalues.dtype == np.complex128
    np.testing.assert_allclose(ag.ones(3), np.ones(3))
    with pytest.raises(AttributeError, match=r"module 'anygpu\.linalg' has no attribute 'nothing'"):
        ag.linalg.nothing


# ------------------------------------------------------------------------------------------------------------------------------ ufuncs


def test_ufuncs_say_what_they_are() -> None:
    assert repr(ag.add) == "<ufunc 'anygpu.add'>"
    assert (ag.add.nin, ag.add.nout, ag.add.nargs, ag.add.identity, ag.add.signature) == (2, 1, 3, 0, None)
    assert ag.add.types == np.add.types
    assert ag.matmul.signature == "(n?,k),(k,m?)->(n?,m?)"
    assert isinstance(ag.frexp, ag.ufunc)
    assert pickle.loads(pickle.dumps(ag.hypot)) is ag.hypot
    mantissa, exponent = ag.frexp(ag.asarray([4.0, 3.0]))
    assert (mantissa.tolist(), exponent.tolist()) == ([0.5, 0.75], [3, 2])


@pytest.mark.parametrize("name", ["add", "multiply", "maximum", "fmin", "logical_and", "bitwise_or", "subtract", "hypot"])
@pytest.mark.parametrize("dtype", ["int16", "float64", "bool"])
def test_methods_of_ufuncs(name: str, dtype: str) -> None:
    x = np.random.default_rng(1).integers(0, 5, (3, 4)).astype(dtype)
    theirs, ours, a = getattr(np, name), getattr(ag, name), ag.asarray(x)
    calls = [
        lambda f, v: f.reduce(v), lambda f, v: f.reduce(v, axis=-1, keepdims=True), lambda f, v: f.reduce(v, None),
        lambda f, v: f.accumulate(v, axis=1), lambda f, v: f.outer(v[0], v), lambda f, v: f.reduceat(v, [0, 2, 1], axis=1),
        lambda f, v: f(v, v, dtype=np.float64), lambda f, v: f.reduce(v, axis=0, where=v > 1, initial=1),
    ]  # fmt: skip
    for n, call in enumerate(calls):
        try:
            want = call(theirs, x)
        except (TypeError, ValueError) as error:
            with pytest.raises(type(error)):
                call(ours, a)
            continue
        got = call(ours, a)
        assert isinstance(got, ag.ndarray)
        assert got.dtype == want.dtype, n
        np.testing.assert_allclose(np.asarray(got), want)


def test_at() -> None:
    x = ag.zeros(4)
    before = x + 0
    ag.add.at(x, [0, 0, 2], [1, 2, 3])
    assert x.tolist() == [3, 0, 3, 0]
    assert before.tolist() == [0, 0, 0, 0]


@ag.kernel
def both(x, out):
    i = ag.grid(1)
    if i < out.size:
        out[i] = ag.select(x[i] > 1, ag.sqrt(x[i]), ag.maximum(x[i], -1.0)) + ag.finfo(np.float64).eps


def test_kernels_know_the_functions_by_the_same_names() -> None:
    x = np.asarray([4.0, 1.0, -2.0])
    out = np.zeros(3)
    both.forall(3)(x, out)
    assert out.tolist() == [2.0 + 2.0**-52, 1.0 + 2.0**-52, -1.0 + 2.0**-52]


# ---------------------------------------------------------------------------------------------------------------- select, load, limits


def test_select_outside_kernels() -> None:
    x = np.arange(6)
    for conditions, choices, default in (
        ([x < 2, x > 3], [x, x**2], 42), ([x < 2, x > 3], [x, x * 0.5], 0), ([x < 9], [7], -1), ([x < 2, x < 4], [1.5, 2j], 0),
    ):  # fmt: skip
        got = ag.select([ag.asarray(c) for c in conditions], choices, default)
        want = np.select(conditions, choices, default)
        assert got.dtype == want.dtype
        assert got.tolist() == want.tolist()
    with pytest.raises(ValueError, match="list of cases must be same length as list of conditions"):
        ag.select([x < 2], [])
    with pytest.raises(TypeError, match="invalid entry 0 in condlist: should be boolean ndarray"):
        ag.select([x], [x])


def test_load_reads_arrays(tmp_path: Path) -> None:
    a = ag.arange(5) * 2.0
    ag.save(tmp_path / "a.npy", a)
    assert ag.load(tmp_path / "a.npy").tolist() == a.tolist()
    with open(tmp_path / "a.npy", "rb") as file:
        assert isinstance(ag.load(file), ag.ndarray)
    mapped = ag.load(tmp_path / "a.npy", mmap_mode="r")
    with pytest.raises(ValueError, match="read-only"):
        mapped[0] = 1
    ag.savez(tmp_path / "b.npz", x=a, y=a + 1)
    with ag.load(tmp_path / "b.npz") as archive:
        assert sorted(archive) == ["x", "y"] == sorted(archive.files)
        assert archive["y"].tolist() == [1, 3, 5, 7, 9]
        assert repr(archive).startswith("Archive ")
    ag.savetxt(tmp_path / "c.txt", a)
    assert isinstance(ag.loadtxt(tmp_path / "c.txt"), ag.ndarray)
    with pytest.raises(FileNotFoundError):
        ag.load(tmp_path / "nothing.npy")


def test_load_says_what_it_found(tmp_path: Path) -> None:
    with pytest.raises(ag.LoadError, match="holds no compiled kernels: there is no"):
        ag.load(tmp_path)
    (tmp_path / "text").write_text("not arrays")
    with pytest.raises(ag.LoadError, match=r"text holds neither arrays nor kernels\n  hint: a \.npy or \.npz file holds arrays"):
        ag.load(tmp_path / "text")


def test_limits() -> None:
    for dtype in (np.float16, np.float32, np.float64):
        ours, theirs = ag.finfo(dtype), np.finfo(dtype)
        for name in ("eps", "max", "min", "tiny", "smallest_normal", "smallest_subnormal", "resolution", "bits", "nmant", "precision"):
            assert getattr(ours, name) == getattr(theirs, name)
            assert type(getattr(ours, name)) in (float, int)
        assert ours == ag.finfo(ag.zeros(2, dtype))
        assert repr(ours) == repr(theirs)
    assert ag.finfo(ag.bfloat16).eps == 2.0**-7
    assert ag.finfo(np.complex64).dtype == np.float32
    assert (ag.ones(2, np.float32) * ag.finfo(np.float32).eps).dtype == np.float32
    assert ag.iinfo(ag.zeros(2, np.uint8)).max == 255
    assert pickle.loads(pickle.dumps(ag.finfo(np.float32))) == ag.finfo(np.float32)


def test_methods_that_numpy_s_arrays_have() -> None:
    x = np.asarray([[3, 1, 2], [6, 5, 4]])
    a = ag.asarray(x.copy())
    assert 5 in a and 9 not in a
    assert a.argpartition(1, axis=None).tolist() == x.argpartition(1, axis=None).tolist()
    assert ag.asarray([1, 3, 5]).searchsorted([2, 5]).tolist() == [1, 2]
    assert a.compress([False, True], axis=0).tolist() == [[6, 5, 4]]
    assert ag.asarray([0, 1]).choose([[1, 2], [3, 4]]).tolist() == [1, 4]
    assert a.base is None and a.T.base is not None and a[1:].base is not None
    assert ag.asarray([1.0]).view(np.int64).tolist() == [4607182418800017408]
    a.put([0, 5], [9, 8])
    assert a.tolist() == [[9, 1, 2], [6, 5, 8]]
    a.partition(0)
    assert a[:, 0].tolist() == [1, 5]
    assert pickle.loads(a.dumps()).tolist() == a.tolist()
    assert a.flags.c_contiguous and not a.T.flags.c_contiguous
