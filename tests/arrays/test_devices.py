"""Arrays on other devices: where they are, how they get there, what kernels make of them, and what is refused."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest

import anygpu as ag
from anygpu.errors import WrongDeviceError


@pytest.fixture(scope="module")
def other() -> ag.Device:
    if "opencl:0" not in [found.name for found in ag.devices()]:
        pytest.skip(f"no OpenCL device: {ag.problems().get('opencl')}")
    return ag.Device("opencl:0")


@ag.kernel
def double(x, out):
    i = ag.grid(1)
    if i < out.size:
        out[i] = 2 * x[i]


def test_new_arrays_are_on_the_current_or_the_named_device(other: ag.Device) -> None:
    assert ag.zeros(3).device == "cpu"
    assert ag.zeros(3, device="opencl:0").device is other
    assert ag.asarray([1, 2], device=other).device is other
    with other:
        made = [
            ag.empty(3), ag.full((2, 2), 1j), ag.arange(4), ag.array([1.0]), ag.asarray(np.ones(2)), ag.sqrt(np.ones(2)),
            ag.linspace(0, 1, 3), ag.add(1, 2),
        ]  # fmt: skip
        assert {x.device for x in made} == {other}
    assert ag.zeros_like(made[0]).device is other
    assert (made[0] + 1)[:2].T.device is other


def test_a_device_is_its_name(other: ag.Device) -> None:
    assert other == "opencl:0"
    assert {other: 1}["opencl:0"] == 1
    assert other != "cpu"
    assert other != ag.Device("cpu")


def test_copies_between_devices(other: ag.Device) -> None:
    host = np.arange(24.0).reshape(4, 6)
    x = ag.array(host).to_device(other)
    view = x[::-2, 1::2].T
    np.testing.assert_array_equal(view, host[::-2, 1::2].T)
    back = view.to_device("cpu")
    back += 1
    np.testing.assert_array_equal(np.asarray(back), host[::-2, 1::2].T + 1)
    np.testing.assert_array_equal(x, host)
    assert x.to_device(other) is x
    assert x[:0].to_device("cpu").shape == (0, 6)


def test_arrays_of_two_devices_do_not_mix(other: ag.Device) -> None:
    a, b = ag.ones(3), ag.ones(3, device=other)
    text = "an operation takes arrays of one device, not of cpu and opencl:0\n  hint: x.to_device('cpu') copies x"
    with pytest.raises(WrongDeviceError) as caught:
        a + b
    assert str(caught.value) == text
    with pytest.raises(WrongDeviceError):
        b[:2] = a[:2]
    with pytest.raises(WrongDeviceError):
        b[:] = a
    with pytest.raises(WrongDeviceError):
        ag.linalg.norm([a, b])
    assert b.tolist() == [1, 1, 1]


def test_numbers_lists_and_numpy_arrays_go_where_the_array_is(other: ag.Device) -> None:
    x = ag.ones(3, device=other)
    assert (x + [1, 2, 3] + np.arange(3) * 1j + 2).tolist() == [4, 5 + 1j, 6 + 2j]
    x[1:] = [7, 8]
    assert x.tolist() == [1, 7, 8]
    x[[0, 2]] = [-1, -2]
    assert x[[2, 0]].tolist() == [-2, -1]


def test_what_numpy_sees_is_a_read_only_copy(other: ag.Device) -> None:
    x = ag.ones(3, device=other)
    seen = np.asarray(x)
    with pytest.raises(ValueError, match="read-only"):
        seen[0] = 2
    assert np.array(x).flags.writeable
    with pytest.raises(ValueError, match="Unable to avoid copy"):
        np.asarray(x, copy=False)
    assert not hasattr(x, "__array_interface__")
    assert not hasattr(x, "__cuda_array_interface__")


def test_what_numpy_computes_is_said_to_be_copied(other: ag.Device) -> None:
    x = ag.ones((3, 3), device=other)
    with pytest.warns(ag.CopyWarning, match="np.det computes on the host: arrays are copied there from opencl:0, and its results back"):
        found = ag.linalg.det(x + ag.eye(3, device=other))
    assert found.device is other
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ag.CopyWarning)
        np.fill_diagonal(x, 5)
        np.add.at(x, (0, 0), 2)
        np.copyto(x[2:], 9)
        out = ag.zeros(3, device=other)
        np.median(x, axis=0, out=out)
    assert x.tolist() == [[7, 1, 1], [1, 5, 1], [9, 9, 9]]
    assert out.tolist() == [7, 5, 1]


def test_kernels_take_arrays_of_the_device(other: ag.Device) -> None:
    x = ag.arange(10, device=other) * 1.0
    out = ag.zeros((2, 10), device=other)
    double.forall(10)(x + 1, out[1])
    double.forall(5)(x[::-2], out[0, ::2])
    assert out.tolist() == [[18, 0, 14, 0, 10, 0, 6, 0, 2, 0], list(range(2, 22, 2))]
    assert out.device is other


def test_recorded_work_reads_what_was_there_before_a_kernel_wrote(other: ag.Device) -> None:
    for device in ("cpu", other):
        x = ag.ones(4, device=device)
        ag.synchronize()
        before = x + 1
        double.forall(4)(x, x)
        assert before.tolist() == [2, 2, 2, 2]
        assert x.tolist() == [2, 2, 2, 2]


def test_streams_and_arrays_wait_for_each_other(other: ag.Device) -> None:
    stream = other.create_stream()
    x = ag.ones(1 << 16, device=other)
    for _ in range(20):
        y = x + 1
        double.forall(x.size, stream=stream)(y, x)
        x -= 3
    assert set(x.tolist()) == {_twenty(1.0)}


def _twenty(x: float) -> float:
    for _ in range(20):
        x = 2 * (x + 1) - 3
    return x


def test_source_kernels_take_arrays(other: ag.Device) -> None:
    source = "__kernel void grow(__global double *x, long n) { size_t i = get_global_id(0); if (i < n) x[i] += i; }"
    grow = ag.Program(source, language="opencl").compile(other).get_kernel("grow")
    x = ag.ones(4, device=other) * 2
    grow[4, 1](x, 4)
    assert (x + 0).tolist() == [2, 3, 4, 5]
    with pytest.raises(ag.ArgumentError, match="does not lie in C order"):
        grow[2, 1](x[::2], 2)


def test_pickle_restores_the_device(other: ag.Device) -> None:
    x = ag.arange(3, device=other)
    copy = pickle.loads(pickle.dumps(x))
    assert copy.device is other
    assert copy.tolist() == [0, 1, 2]


def test_the_bits_are_those_of_the_cpu(other: ag.Device) -> None:
    random = np.random.default_rng(0)
    host = random.standard_normal((300, 517)).astype(np.float32)
    results = []
    for device in ("cpu", other):
        x = ag.array(host, device=device)
        y = ag.sqrt(2 * ag.sin(x) ** 2 + ag.cos(x)) + ag.tanh(x) / 3
        results.append([np.asarray(v) for v in (ag.where(ag.isnan(y), 0, y), x.sum(), x.mean(axis=0), x.var(axis=1))])
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)
