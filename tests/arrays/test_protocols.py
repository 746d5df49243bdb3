"""Arrays and everyone else: kernels, NumPy, DLPack, pickle, copies."""

from __future__ import annotations

import copy
import pickle
import sys

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


# ------------------------------------------------------------------------------------------------------------------ memory of others


def test_read_only_memory_is_not_written_to() -> None:
    host = np.zeros(4)
    host.flags.writeable = False
    a = ag.asarray(host)
    index = ag.asarray([0])
    for change in (
        lambda: a.__iadd__(1), lambda: a.__setitem__(0, 1), lambda: a.__setitem__([0, 1], 1), lambda: a.__setitem__(a == 0, 1),
        lambda: a[1:].fill(2), lambda: ag.add.at(a, [0], 1), lambda: ag.put_along_axis(a, index, 1, 0), lambda: ag.add(a, 1, out=a),
    ):  # fmt: skip
        with pytest.raises(ValueError, match="read-only"):
            change()
    ag.synchronize()
    assert host.tolist() == [0, 0, 0, 0]
    assert (a + 1).tolist() == [1, 1, 1, 1]
    assert not a.flags.writeable


def test_dlpack_arguments() -> None:
    a = ag.arange(4) * 2
    assert np.shares_memory(np.from_dlpack(a, copy=False), np.asarray(a))
    assert not np.shares_memory(np.from_dlpack(a, copy=True), np.asarray(a))
    assert np.from_dlpack(a, device="cpu").tolist() == [0, 2, 4, 6]
    assert "dltensor_versioned" in repr(a.__dlpack__(max_version=(1, 0)))
    assert "dltensor" in repr(a.__dlpack__(stream=None, dl_device=(1, 0)))
    with pytest.raises(BufferError):
        a.__dlpack__(dl_device=(2, 0))
    copied = ag.from_dlpack(a, copy=True)
    copied[0] = 9
    assert a.tolist() == [0, 2, 4, 6]
    shared = ag.from_dlpack(np.asarray(a), device="cpu", copy=False)
    shared[0] = 9
    ag.synchronize()
    assert np.asarray(a)[0] == 9


def test_dlpack_says_read_only() -> None:
    host = np.arange(3.0)
    host.flags.writeable = False
    a = ag.from_dlpack(host)
    with pytest.raises(ValueError, match="read-only"):
        a[0] = 1
    with pytest.raises(BufferError, match=r"[Rr]eadonly|read-only"):
        a.__dlpack__()  # a reader who knows only the first version cannot be told
    assert not np.from_dlpack(a).flags.writeable


def test_jax_takes_and_gives_memory() -> None:
    jax = pytest.importorskip("jax")
    a = ag.from_dlpack(jax.numpy.arange(5.0))
    assert (a * 2).tolist() == [0, 2, 4, 6, 8]
    with pytest.raises(ValueError, match="read-only"):
        a[0] = 1  # JAX's arrays never change
    assert jax.numpy.from_dlpack(ag.arange(3) + 1).tolist() == [1, 2, 3]


def test_torch_shares_memory_both_ways() -> None:
    torch = pytest.importorskip("torch")
    a = ag.ones(4)
    t = torch.from_dlpack(a)
    assert t.data_ptr() == a.__array_interface__["data"][0]
    t += 1
    assert a.tolist() == [2, 2, 2, 2]


def test_buffers() -> None:
    a = ag.arange(6, dtype=np.int32).reshape(2, 3)
    assert memoryview(a.data).tolist() == [[0, 1, 2], [3, 4, 5]]
    if sys.version_info >= (3, 12):
        assert memoryview(a).shape == (2, 3)
    assert a.__buffer__(0).format == "i"


def test_pickles_hold_no_elements_out_of_band() -> None:
    a = ag.arange(100_000) + 0.5
    buffers: list[pickle.PickleBuffer] = []
    data = pickle.dumps(a, protocol=5, buffer_callback=buffers.append)
    assert len(data) < 1000
    assert len(buffers) == 1
    assert pickle.loads(data, buffers=buffers).sum() == a.sum()
    copied = copy.deepcopy({"a": a})["a"]
    copied[0] = 7
    assert a[0] == 0.5


def test_devices_are_hashable_and_comparable() -> None:
    a, b = ag.ones(2), ag.zeros(3)
    assert a.device == b.device == ag.Device("cpu")
    assert {a.device: 1}[b.device] == 1
    assert a.device in ag.__array_namespace_info__().devices()


# ------------------------------------------------------------------------------------------------------------- NumPy's views and writes


def test_views_that_numpy_makes_are_views() -> None:
    x = ag.arange(6) * 1.0
    backwards = ag.flip(x)
    before = backwards * 2
    x += 100
    assert before.tolist() == [10, 8, 6, 4, 2, 0]
    assert backwards.tolist() == [105, 104, 103, 102, 101, 100]
    backwards[0] = -1
    assert x[5] == -1
    ag.rot90(x.reshape(2, 3))[0, 0] = 7
    assert x[2] == 7
    left, right = ag.split(x, 2)
    left += right
    assert x.tolist() == [203, 205, 6, 103, 104, -1]


def test_what_numpy_writes_comes_after_what_was_recorded() -> None:
    x = ag.arange(4) * 1.0
    ag.synchronize()
    before = x + 1
    assert ag.add(x, 10, out=x, where=ag.arange(4) > 1) is x
    assert before.tolist() == [1, 2, 3, 4]
    assert x.tolist() == [0, 1, 12, 13]
    before = x + 1
    ag.copyto(x, 5)
    assert before.tolist() == [1, 2, 13, 14]
    assert x.tolist() == [5, 5, 5, 5]
