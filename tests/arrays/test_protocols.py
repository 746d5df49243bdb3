"""Arrays and everyone else: kernels, NumPy, DLPack, pickle, copies."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import anygpu as ag


@ag.kernel
def double(x, out):
    i = ag.grid(1)
    if i < out.size:
        out[i] = 2 * x[i]


def test_kernels_take_arrays_and_their_recorded_work() -> None:
    x = ag.arange(1000, dtype=np.float32) + 1
    out = ag.zeros(1000, np.float32)
    double.forall(1000)(x, out)
    np.testing.assert_array_equal(np.asarray(out + 1), 2 * (np.arange(1000) + 1) + 1)


def test_numpy_shares_the_memory() -> None:
    a = ag.zeros(5)
    view = np.asarray(a)
    view[2] = 7
    assert a.tolist() == [0, 0, 7, 0, 0]
    host = np.arange(6.0).reshape(2, 3)
    shared = ag.asarray(host[:, ::-1])
    shared[0] = 9
    assert host.tolist() == [[0, 1, 2], [3, 4, 5]]  # recorded, and not done yet
    ag.synchronize()
    assert host.tolist() == [[9, 9, 9], [3, 4, 5]]
    assert shared.tolist() == [[9, 9, 9], [5, 4, 3]]


def test_numpy_functions_of_arrays_give_arrays() -> None:
    x = np.random.default_rng(6).random((4, 5))
    a = ag.array(x)
    for f in (np.sin, np.sum, lambda v: np.concatenate([v, v]), lambda v: np.linalg.norm(v, axis=1), lambda v: np.where(v > 0.5, v, 0)):
        got = f(a)
        assert isinstance(got, ag.ndarray)
        np.testing.assert_allclose(np.asarray(got), f(x), rtol=1e-12)
    assert isinstance(x + a, ag.ndarray)
    assert isinstance(np.add(x, a), ag.ndarray)


def test_dlpack_both_ways() -> None:
    a = ag.arange(4) * 2
    there = np.from_dlpack(a)
    assert there.tolist() == [0, 2, 4, 6]
    back = ag.from_dlpack(there)
    assert np.shares_memory(np.asarray(back), np.asarray(a))
    assert a.__dlpack_device__() == (1, 0)


def test_torch_takes_and_gives_memory() -> None:
    torch = pytest.importorskip("torch")
    t = torch.arange(6.0)
    a = ag.from_dlpack(t)
    a += 1
    assert a.tolist() == [1, 2, 3, 4, 5, 6]
    assert t.tolist() == [1, 2, 3, 4, 5, 6]


def test_pickle_and_copies() -> None:
    a = ag.arange(6).reshape(2, 3)[:, ::-1]
    for made in (pickle.loads(pickle.dumps(a)), copy.copy(a), copy.deepcopy(a)):
        assert made.tolist() == a.tolist()
        made[0, 0] = 100
        assert a[0, 0].item() == 2


def test_namespace() -> None:
    a = ag.ones(3)
    xp = a.__array_namespace__(api_version="2024.12")
    assert xp is ag
    assert xp.astype(a, xp.float32).dtype == np.float32
    assert xp.permute_dims(xp.ones((2, 3)), (1, 0)).shape == (3, 2)
    with pytest.raises(ValueError, match="are known, not '1999'"):
        a.__array_namespace__(api_version="1999")
    with pytest.raises(AttributeError, match="module 'anygpu' has no attribute 'no_such_thing'"):
        xp.no_such_thing


def test_memory_stays_shared_after_several_assignments() -> None:
    host = np.zeros(3)
    a = ag.asarray(host)
    a[0] = 9
    a += 5
    a[ag.array([1, 1])] = 2
    a *= 2
    ag.synchronize()
    assert host.tolist() == [28, 4, 10]
    assert np.shares_memory(np.asarray(a), host)
