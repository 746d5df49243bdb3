"""Python kernels on an OpenCL device: what a launch takes, where it goes, what it reports, and that it computes the CPU's bits."""

import gc
import threading
import typing
import warnings
import weakref
from dataclasses import dataclass, replace

import numpy as np
import pytest

import anygpu as ag
from anygpu.engine import device_report
from anygpu.engine.device_launch import MOST_PLANS
from anygpu.errors import (
    ArgumentError,
    CompileError,
    CopyWarning,
    KernelAssertionError,
    KernelIndexError,
    LaunchError,
    ReadOnlyError,
    UseAfterFreeError,
    WrongDeviceError,
    WrongStreamError,
)


@pytest.fixture(scope="module")
def device():
    if "opencl:0" not in [found.name for found in ag.devices()]:
        pytest.skip(f"no OpenCL device: {ag.problems().get('opencl')}")
    found = ag.Device("opencl:0")
    if "spirv" not in found.capabilities.formats:
        pytest.skip("the OpenCL device takes no SPIR-V")
    return found


@pytest.fixture
def copying(device, monkeypatch):
    """The device as one whose kernels do not reach host memory."""
    for kernel in (axpy, beyond, twice):
        kernel._launchers.clear()  # which know that this device reaches host memory
    monkeypatch.setattr(device, "capabilities", replace(device.capabilities, host_pointers=False))
    return device


def on(device, values):
    """A copy of an array in the device's memory."""
    values = np.asarray(values)
    return device.to_device(values).array(values.dtype, values.shape)


@ag.kernel
def axpy(a, x, y):
    i = ag.grid(1)
    if i < x.size:
        x[i] = x[i] + a * y[i]


@ag.kernel
def beyond(x, distance):
    i = ag.grid(1)
    x[i + distance] = i


@ag.kernel
def twice(x, y):
    i = ag.grid(1)
    if i < x.size:
        y[i] = 2 * x[i]


@ag.kernel
def cut(x, low, scalar, out):
    i = ag.grid(1)
    if i < x.size:
        low[i] = ag.int32(ag.uint8(x[i])) + 1
        out[i] = scalar


# ---------------------------------------------------------------------------------------------------------- where a launch goes


def test_the_current_device_takes_host_arrays(device):
    x = np.ones(100, np.float32)
    with device:
        axpy[2, 64](2.0, x, np.arange(100, dtype=np.float32))
    assert (x == 1 + 2 * np.arange(100)).all()
    assert any(key[0] == "opencl:0" for key in axpy.device_variants)


def test_a_stream_takes_the_launch_to_its_device(device):
    stream = device.create_stream()
    x, y = on(device, np.ones(8, np.float32)), on(device, np.arange(8, dtype=np.float32))
    axpy[1, 8, stream](3.0, x, y)
    assert x.to_numpy(stream).tolist() == (1 + 3.0 * np.arange(8)).tolist()


def test_arrays_take_the_launch_to_their_device(device):
    x, y = on(device, np.ones(8, np.float32)), on(device, np.ones(8, np.float32))
    axpy[1, 8](0.5, x, y)
    assert x.to_numpy().tolist() == [1.5] * 8


def test_arrays_in_tuples_and_structures_take_the_launch_to_their_device(device):
    class Pair(typing.NamedTuple):
        left: object
        right: object

    @dataclass
    class Both:
        left: object
        right: object

    @ag.kernel
    def swap(pair):
        i = ag.grid(1)
        pair[0][i], pair[1][i] = pair[1][i], pair[0][i]

    @ag.kernel
    def add(both):
        i = ag.grid(1)
        both.left[i] += both.right[i]

    for make in (Pair, lambda a, b: (a, b)):
        a, b = on(device, np.arange(4)), on(device, np.arange(4, 8))
        swap[1, 4](make(a, b))
        assert a.to_numpy().tolist() == [4, 5, 6, 7]
        assert b.to_numpy().tolist() == [0, 1, 2, 3]
    add[1, 4](Both(a, b))
    assert a.to_numpy().tolist() == [4, 6, 8, 10]


def test_arrays_of_the_cpu_device_are_launched_there():
    cpu = ag.Device("cpu")
    x = on(cpu, np.arange(6.0).reshape(2, 3))

    @ag.kernel
    def negate(pair):
        i, j = ag.grid(2)
        pair[0][i, j] = -pair[0][i, j]

    negate.forall((2, 3))((x, 1))
    assert x.to_numpy().tolist() == [[-0.0, -1.0, -2.0], [-3.0, -4.0, -5.0]]


def test_forall_covers_several_axes(device):
    @ag.kernel
    def number(out):
        i, j, k = ag.grid(3)
        out[i, j, k] = 100 * i + 10 * j + k

    out = on(device, np.zeros((3, 4, 5), np.int32))
    number.forall((3, 4, 5))(out)
    i, j, k = np.indices((3, 4, 5))
    assert (out.to_numpy() == 100 * i + 10 * j + k).all()


def test_forall_on_a_stream(device):
    for place in (device, ag.Device("cpu")):
        stream, x = place.create_stream(), on(place, np.arange(12.0).reshape(3, 4))

        @ag.kernel
        def add(n, x):
            i, j = ag.grid(2)
            x[i, j] += n * i

        stream.wait(place.default_stream)
        launcher = add.forall(x.shape, stream=stream)
        launcher(10.0, x)
        launcher(10.0, x)
        assert launcher.stream is stream and add.forall(x.shape, stream=stream) is launcher
        assert add.forall(list(x.shape), stream=stream).stream is stream
        assert add.forall(x.shape, stream=0) is add.forall(x.shape)
        np.testing.assert_array_equal(x.to_numpy(stream), np.arange(12.0).reshape(3, 4) + 20 * np.arange(3)[:, None])
    with pytest.raises(LaunchError) as caught:
        axpy.forall(3, stream="one")
    assert str(caught.value) == "a stream is what device.create_stream() makes, or 0 or None for the device's own, not 'one'"


def test_shapes_prove_accesses_and_guards(device):
    @ag.kernel
    def shifted(x, out):
        i = ag.grid(1)
        if i < out.size:
            out[i] = x[i + 1]

    whole, short = on(device, np.arange(513.0)), on(device, np.arange(512.0))
    out = on(device, np.zeros(512))
    shifted.forall(512)(whole, out)
    assert out.to_numpy().tolist() == list(range(1, 513))
    shifted.forall(512)(short, out)  # the same types, and one access that is not in bounds
    with pytest.raises(KernelIndexError, match=r"index 512 is out of bounds for array 'x' with shape \(512,\)"):
        device.synchronize()
    assert out.to_numpy()[-1] == 0
    one = on(device, np.zeros(511))
    shifted.forall(511)(short, one)  # blocks that do not cover the range exactly keep the guard
    assert one.to_numpy().tolist() == list(range(1, 512))
    checks = {any(word.kind == "error" for word in variant.artifact.words) for variant in shifted.device_variants.values()}
    assert checks == {False, True} and len(shifted.device_variants) == 3


def test_an_integer_argument_proves_nothing(device):
    @ag.kernel
    def at(n, x):
        x[n] = 1.0

    x = on(device, np.zeros(4))
    at[1, 1](3, x)
    at[1, 1](4, x)
    with pytest.raises(KernelIndexError, match="index 4 is out of bounds"):
        device.synchronize()
    assert x.to_numpy().tolist() == [0, 0, 0, 1]


def test_an_array_of_another_device_is_named(device):
    here, there = on(device, np.ones(4, np.float32)), on(ag.Device("cpu"), np.ones(4, np.float32))
    with pytest.raises(WrongDeviceError) as caught:
        axpy[1, 4](1.0, here, there)
    assert str(caught.value) == "argument 'y' is on cpu and the launch on opencl:0\n  hint: copy it with opencl:0's to_device"
    with ag.Device("cpu"), pytest.raises(WrongDeviceError) as caught:
        axpy[1, 4, ag.Device("cpu").create_stream()](1.0, here, there)
    assert str(caught.value) == "an array on opencl:0 was given to a launch on cpu\n  hint: with ag.Device('opencl:0'):"


def test_a_launcher_goes_with_its_stream(device):
    stream = device.create_stream()
    launcher = weakref.ref(twice[1, 4, stream])
    assert twice[1, 4, stream] is launcher()
    stream.close()
    gc.collect()
    assert launcher() is None


# -------------------------------------------------------------------------------------------------------------------- arguments


@pytest.mark.parametrize("name", ["copying", "device"])
def test_host_arrays_of_any_layout(name, request):
    device = request.getfixturevalue(name)
    base = np.arange(48, dtype=np.float64)
    with device, warnings.catch_warnings():
        warnings.simplefilter("ignore", CopyWarning)
        for view in (lambda b: b, lambda b: b[::3], lambda b: b[::-1], lambda b: b[5:], lambda b: b[40:3:-4]):
            x, y = base.copy(), np.zeros(48)
            twice.forall(view(x).size)(view(x), view(y))
            expected = np.zeros(48)
            view(expected)[:] = 2 * view(base)
            assert (y == expected).all()

        @ag.kernel
        def transpose(x, y):
            i, j = ag.grid(2)
            y[j, i] = x[i, j]

        x, y = base.reshape(6, 8), np.zeros((6, 8))
        transpose.forall((6, 8))(x, y.T[:, ::-1][:, ::-1])
        assert (y == x).all()
        transpose.forall((6, 8))(x[::-1, ::-1], y.reshape(8, 6))
        assert (y.reshape(8, 6) == x[::-1, ::-1].T).all()


@pytest.mark.parametrize("name", ["copying", "device"])
def test_arrays_that_share_memory(name, request):
    device = request.getfixturevalue(name)

    @ag.kernel
    def through(x, y):
        i = ag.grid(1)
        x[i] = i + 1
        ag.syncthreads()
        y[i] = 10 * x[i]

    with device, warnings.catch_warnings():
        warnings.simplefilter("ignore", CopyWarning)
        same = np.zeros(8)
        through[1, 8](same, same)
        assert same.tolist() == [10.0 * n for n in range(1, 9)]
        overlapping = np.zeros(12)
        through[1, 8](overlapping[:8], overlapping[4:])  # y[i] is x[i + 4]
        expected = [1.0, 2, 3, 4]
        assert overlapping[:4].tolist() == expected
        assert set(overlapping[4:].tolist()) <= {10.0 * n for n in range(1, 9)} | {100.0 * n for n in range(1, 9)}

    @ag.kernel
    def mixed(octets, numbers):
        i = ag.grid(1)
        if i == 0:
            octets[0] = 7
        numbers[i] += 1

    with device, warnings.catch_warnings():
        warnings.simplefilter("ignore", CopyWarning)
        memory = np.zeros(32, np.uint8)
        mixed[1, 3](memory[7:], memory[8:].view(np.int64))  # the copy must keep the second one aligned
        assert memory[7] == 7
        assert memory[8:].view(np.int64).tolist() == [1, 1, 1]


def test_read_only_arrays_are_read_and_not_written(device):
    x, y = np.arange(4.0), np.zeros(4)
    x.flags.writeable = False
    with device:
        twice[1, 4](x, y)
        assert y.tolist() == [0, 2, 4, 6]
        with pytest.raises(ReadOnlyError) as caught:
            twice[1, 4](y, x)
    assert "read-only" in str(caught.value)


@pytest.mark.parametrize("name", ["copying", "device"])
def test_empty_arrays(name, request):
    device = request.getfixturevalue(name)

    @ag.kernel
    def sizes(x, out):
        out[0] = x.size
        out[1] = x.shape[0]

    with device, warnings.catch_warnings():
        warnings.simplefilter("ignore", CopyWarning)
        out = np.zeros(2, np.int64)
        sizes[1, 1](np.empty((3, 0), np.float32), out)
        assert out.tolist() == [0, 3]
        sizes[1, 1](device.allocate(0).array(np.float32, (5, 0)), on(device, out))
        axpy[1, 8](1.0, np.empty(0), np.empty(0))
        axpy.forall(0)(1.0, out, out)
        axpy[0, 8](1.0, out, out)


SCALARS = [
    np.bool_(True), np.int8(-7), np.uint8(250), np.int16(-30000), np.uint16(65000), np.int32(-(2**31)), np.uint32(2**32 - 1),
    np.int64(-(2**62)), np.uint64(2**64 - 1), np.float16(1.5), np.float32(-0.1), np.float64(1e300), True, 5, -(2**40), 2**64 - 1, 0.1,
    float("nan"), float("-inf"), -0.0,
]  # fmt: skip


@pytest.mark.parametrize("value", SCALARS, ids=lambda v: f"{type(v).__name__}({v})")
def test_scalars_of_every_dtype_arrive(device, value):
    @ag.kernel
    def store(out, value):
        out[0] = value

    out = np.zeros(1, np.asarray(value).dtype)
    for _ in range(2):
        found = on(device, out)
        store[1, 1](found, value)
        assert found.to_numpy().tobytes() == np.asarray(value).tobytes()


@pytest.mark.parametrize("value", [np.complex64(1 - 2j), np.complex128(1e200 + 3j), 2j])
def test_complex_scalars_arrive(device, value):
    @ag.kernel
    def store(out, value):
        out[0] = value

    found = on(device, np.zeros(1, np.asarray(value).dtype))
    store[1, 1](found, value)
    assert found.to_numpy()[0] == value


def test_a_big_endian_array_in_device_memory_is_refused(device):
    with pytest.raises(ArgumentError) as caught:
        twice[1, 4](device.allocate(32).array(">f8"), on(device, np.zeros(4)))
    assert str(caught.value) == "argument 'x' has the byte order of another machine (>f8): convert it on the host"


def test_an_array_begins_where_its_elements_are_aligned(device):
    buffer = device.allocate(64)
    with pytest.raises(ValueError) as caught:
        buffer[2:].array(np.float32)
    assert str(caught.value) == "an array of float32 begins at a multiple of 4 bytes; this part of a buffer begins at byte 2"
    assert buffer[4:].array(np.float32, np.int64(3)).shape == (3,)


def test_views_of_one_buffer(device):
    buffer = device.to_device(np.arange(16, dtype=np.int32))
    twice[1, 8](buffer[:32].array(np.int32), buffer[32:].array(np.int32))
    assert buffer.to_numpy(np.int32).tolist() == [*range(8), *range(0, 16, 2)]


def test_records_in_device_memory(device):
    kind = np.dtype([("id", np.int32), ("mass", np.float64)])

    @ag.kernel
    def heavier(bodies):
        i = ag.grid(1)
        bodies[i].mass = bodies[i].mass * bodies[i].id

    bodies = on(device, np.array([(2, 1.5), (3, 2.5)], kind))
    heavier[1, 2](bodies)
    assert bodies.to_numpy()["mass"].tolist() == [3.0, 7.5]


def test_dynamic_shared_memory(device):
    @ag.kernel
    def reverse(x):
        scratch = ag.shared.array(0, ag.int32)
        t = ag.threadIdx.x
        scratch[t] = x[t]
        ag.syncthreads()
        x[t] = scratch[ag.blockDim.x - 1 - t]

    x = on(device, np.arange(32, dtype=np.int32))
    reverse[1, 32, device.default_stream, 128](x)
    assert x.to_numpy().tolist() == list(range(31, -1, -1))
    too_little = reverse[1, 32, device.default_stream, 64]
    too_little(x)
    with pytest.raises(KernelIndexError, match=r"array 'scratch' with shape \(16,\)"):
        device.synchronize()


# ----------------------------------------------------------------------------------------------------------------- plans


def test_a_repeated_launch_notices_what_has_changed(device):
    launcher = axpy[1, 16]
    x, y = on(device, np.ones(8, np.float32)), on(device, np.ones(8, np.float32))
    for a in (1, 2.0, 3, np.float32(4), True):
        launcher(a, x, y)
    assert x.to_numpy().tolist() == [12.0] * 8
    x64, y64 = on(device, np.ones(16)), on(device, np.full(16, 0.1))
    launcher(1.0, x64, y64)
    assert x64.to_numpy().tolist() == [1.1] * 16
    launcher(1.0, x64.buffer.array(np.float64, 2), y64)
    assert x64.to_numpy().tolist() == [1.1 + 0.1] * 2 + [1.1] * 14
    launcher(1.0, x, np.ones(8, np.float32))
    assert x.to_numpy().tolist() == [13.0] * 8
    launcher(2**40, x64, on(device, np.zeros(16)))
    with pytest.raises(WrongDeviceError, match="argument 'y' is on cpu"):
        launcher(1.0, x64, on(ag.Device("cpu"), np.zeros(16)))
    y64.buffer.close()
    with pytest.raises(UseAfterFreeError, match=r"a buffer of 128 bytes on opencl:0, made at .*test_launch\.py:\d+, was used after it was"):
        launcher(1.0, x64, y64)
    with pytest.raises(ArgumentError):
        launcher(1.0, x64)


def test_a_launcher_remembers_few_plans(device):
    launcher = axpy[1, 1]
    buffer = device.allocate(8 * 200)
    buffer.fill(0)
    for n in range(1, 150):
        x = buffer.array(np.float64, n)
        launcher(1.0, x, x)
    assert len(launcher.plans) <= MOST_PLANS
    device.synchronize()


def test_a_kernel_sees_new_values_of_what_it_captures_like_on_the_cpu(device):
    factor = 2

    def make():
        @ag.kernel
        def scale(x):
            i = ag.grid(1)
            x[i] = x[i] * factor

        return scale

    first, x = make(), on(device, np.ones(4))
    first[1, 4](x)
    factor = 5
    second = make()  # the same name, another value
    second[1, 4](x)
    assert x.to_numpy().tolist() == [10.0] * 4
    del first, second
    gc.collect()
    device.synchronize()


# ---------------------------------------------------------------------------------------------------------------- prints and errors


def test_print_shows_lines_in_order(device, capsys):
    @ag.kernel
    def say(x):
        i = ag.grid(1)
        print("item", i, x[i])

    with device:
        say[2, 2](np.array([0.5, 1.5, 2.5, 3.5]))
    say[1, 2](on(device, np.array([7, 8])))
    assert capsys.readouterr().out.splitlines() == ["item 0 0.5", "item 1 1.5", "item 2 2.5", "item 3 3.5", "item 0 7", "item 1 8"]


def test_a_failed_assertion_is_raised_with_its_place(device):
    @ag.kernel
    def positive(x):
        i = ag.grid(1)
        assert x[i] > 0, "must be positive"

    positive[1, 4](on(device, np.array([1, 2, -3, -4])))
    with pytest.raises(KernelAssertionError) as caught:
        device.synchronize()
    text = str(caught.value)
    assert text.startswith("assertion failed in kernel 'positive': must be positive (and 1 more)\n")
    assert text.endswith("  block (0, 0, 0), thread (2, 0, 0)")
    device.synchronize()


WAYS = {
    "the stream": lambda device, stream, x: stream.synchronize(),
    "the device": lambda device, stream, x: device.synchronize(),
    "all devices": lambda device, stream, x: ag.synchronize(),
    "reading": lambda device, stream, x: x.to_numpy(stream),
    "closing": lambda device, stream, x: stream.close(),
}


@pytest.mark.parametrize("way", WAYS)
def test_an_access_out_of_bounds_is_raised_once_by_whatever_waits(device, way):
    stream = device.create_stream()
    x = on(device, np.zeros(8, np.int32))
    beyond[2, 4, stream](x, 3)
    with pytest.raises(KernelIndexError) as caught:
        WAYS[way](device, stream, x)
    text = str(caught.value)
    assert text.startswith("index 8 is out of bounds for array 'x' with shape (8,) in kernel 'beyond' (and 2 more)\n")
    assert text.endswith("  block (1, 0, 0), thread (1, 0, 0)")
    if not stream.closed:
        stream.synchronize()
    device.synchronize()
    ag.synchronize()
    assert x.to_numpy().tolist() == [0, 0, 0, 0, 1, 2, 3, 4]
    assert stream.closed or stream.done


def test_a_launch_with_host_arrays_raises_its_own_error(device):
    x = np.zeros(4, np.int64)
    with device, pytest.raises(KernelIndexError, match=r"index 4 is out of bounds for array 'x' with shape \(4,\)"):
        beyond[1, 4](x, 1)
    assert x.tolist() == [0, 0, 1, 2]
    device.synchronize()


def test_each_launch_is_reported_with_its_own_shape_and_the_first_is_raised(device):
    stream = device.create_stream()
    small, large = on(device, np.zeros(4, np.int32)), on(device, np.zeros(16, np.int32))
    beyond[1, 16, stream](large, 1)
    beyond[1, 4, stream](small, 0)  # in bounds
    beyond[1, 4, stream](small, 1)
    beyond[1, 4, stream](small, -1)
    with pytest.raises(KernelIndexError, match=r"index 16 is out of bounds for array 'x' with shape \(16,\)") as caught:
        stream.synchronize()
    (note,) = caught.value.__notes__
    assert note.startswith("a later launch on this stream also failed: index -1 is out of bounds for array 'x' with shape (4,)")
    stream.synchronize()
    assert small.to_numpy().tolist() == [1, 2, 3, 2]


def test_errors_of_two_kernels_on_two_streams(device):
    first, second = device.create_stream(), device.create_stream()
    x = on(device, np.zeros(4, np.int32))
    beyond[1, 4, first](x, 1)
    beyond[1, 4, second](x, 2)
    with pytest.raises(KernelIndexError, match=r"and 1 more"):
        second.synchronize()
    with pytest.raises(KernelIndexError, match=r"kernel 'beyond'\n"):
        first.synchronize()
    device.synchronize()


def test_an_error_survives_many_other_launches(device, monkeypatch):
    monkeypatch.setattr(device_report, "MOST_REPORTS", 16)
    x = on(device, np.zeros(1000, np.int32))
    beyond[1, 2](x.buffer.array(np.int32, 1), 0)
    for n in range(2, 100):
        beyond[1, 1](x.buffer.array(np.int32, n), 0)
    assert len(device.default_stream.reports) <= 16
    with pytest.raises(KernelIndexError, match=r"index 1 is out of bounds for array 'x' with shape \(1,\)"):
        device.synchronize()
    device.synchronize()


def test_use_after_free(device):
    x = on(device, np.zeros(4, np.int32))
    x.buffer.close()
    with pytest.raises(UseAfterFreeError):
        beyond[1, 4](x, 0)


# ------------------------------------------------------------------------------------------------------------------------- limits


def test_grid_synchronisation_is_refused_with_the_reason(device):
    @ag.kernel
    def together(x):
        x[ag.grid(1)] += 1
        ag.cg.this_grid().sync()

    with pytest.raises(CompileError, match="OpenCL"):
        together[2, 4](on(device, np.zeros(8)))


def test_a_capability_that_is_missing_is_named(device, monkeypatch):
    monkeypatch.setattr(device, "capabilities", replace(device.capabilities, fp64=False))

    @ag.kernel
    def root(x):
        i = ag.grid(1)
        x[i] = x[i] / 3.0

    with pytest.raises(LaunchError) as caught:
        root[1, 4](on(device, np.ones(4)))
    assert str(caught.value) == "kernel 'root' computes in float64, and opencl:0 cannot\n  hint: ag.devices() lists the others"


def test_what_is_larger_than_the_device_is_refused(device, monkeypatch):
    x = on(device, np.zeros(4, np.int32))
    monkeypatch.setattr(device, "properties", replace(device.properties, maximum_block=64, maximum_shared=1024, maximum_grid=(9, 9, 9)))
    with pytest.raises(LaunchError) as caught:
        beyond[1, (8, 16)](x, 0)
    assert str(caught.value) == "kernel 'beyond' on opencl:0: a block of (8, 16, 1) has 128 work-items; the most is 64"
    with pytest.raises(LaunchError) as caught:
        beyond[10, 4](x, 0)
    assert str(caught.value) == "kernel 'beyond' on opencl:0: a grid of (10, 1, 1) is larger than (9, 9, 9)"
    with pytest.raises(LaunchError) as caught:
        beyond[1, 4, device.default_stream, 2000](x, 0)
    assert str(caught.value) == "kernel 'beyond' on opencl:0: 2,000 bytes of shared memory are more than the 1,024 of a block"


# ------------------------------------------------------------------------------------------------------------------------- graphs


def test_a_graph_replays_python_kernels(device):
    stream = device.create_stream()
    x, y = on(device, np.zeros(8)), on(device, np.ones(8))

    @ag.kernel
    def grow(x, y):  # launched for the first time in the capture
        i = ag.grid(1)
        x[i] = 2 * x[i] + y[i]

    with stream.capture() as graph:
        grow[1, 8, stream](x, y)
        grow[1, 8, stream](x, y)
    assert x.to_numpy(stream).tolist() == [0.0] * 8
    graph.replay()
    graph.replay()
    assert x.to_numpy(stream).tolist() == [15.0] * 8
    grow[1, 8, stream](x, y)
    assert x.to_numpy(stream).tolist() == [31.0] * 8


def test_each_replay_reports_its_errors(device):
    stream, other = device.create_stream(), device.create_stream()
    x = on(device, np.zeros(4, np.int32))
    with stream.capture() as graph:
        beyond[1, 4, stream](x, 1)
    stream.synchronize()
    for where in (stream, other, stream):
        graph.replay(where)
        with pytest.raises(KernelIndexError, match=r"index 4 is out of bounds for array 'x' with shape \(4,\)"):
            where.synchronize()
        where.synchronize()
    beyond[1, 4, stream](x, 0)
    device.synchronize()


def test_a_capture_refuses_what_would_wait(device):
    stream = device.create_stream()

    @ag.kernel
    def say(x):
        print(x[0])

    with stream.capture(), pytest.raises(WrongStreamError) as caught:
        twice[1, 4, stream](np.zeros(4), np.zeros(4))
    text = str(caught.value)
    assert text.startswith("kernel 'twice' is given host arrays (x, y), for which its launch waits: <capturing stream of opencl:0 at ")
    assert text.endswith("cannot capture it\n  hint: pass device.to_device(array).array(dtype, shape)")
    x = on(device, np.zeros(4))
    with stream.capture() as graph, pytest.raises(WrongStreamError, match="kernel 'say' prints, for which its launch waits"):
        say[1, 1, stream](x)
    assert not graph.operations


def test_waiting_for_the_device_leaves_a_capture_alone(device):
    stream, other = device.create_stream(), device.create_stream()
    x = on(device, np.zeros(4, np.int32))
    beyond[1, 4, stream](x, 1)
    beyond[1, 4, other](x, 1)
    with stream.capture() as graph, pytest.raises(KernelIndexError):
        other.synchronize()
    with stream.capture():
        device.synchronize()
    assert not graph.operations
    with pytest.raises(KernelIndexError):
        stream.synchronize()


# ------------------------------------------------------------------------------------------------------------------------ threads


def test_two_threads_launch_on_one_stream(device):
    failures = []
    arrays = [on(device, np.zeros(64)) for _ in range(4)]
    ones = on(device, np.ones(64))

    def work(n):
        try:
            for k in range(100):
                axpy[1, 64](1.0, arrays[n], ones)
                if n == 3 and k == 50:
                    device.synchronize()
        except ag.errors.AnyGPUError as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert all((array.to_numpy() == 100).all() for array in arrays)


def test_no_error_is_lost_between_threads(device):
    x, stream, found = on(device, np.zeros(4, np.int32)), device.create_stream(), []

    def wait():
        try:
            stream.synchronize()
        except KernelIndexError as error:
            found.extend([error, *getattr(error, "__notes__", ())])

    thread = threading.Thread(target=lambda: [wait() for _ in range(60)])
    thread.start()
    for n in range(60):
        beyond[1, 4, stream](x.buffer.array(np.int32, 3 if n == 30 else 4), 0)  # the launch of 3 writes one element beyond
    thread.join()
    wait()
    assert len(found) == 1
    assert "index 3 is out of bounds for array 'x' with shape (3,)" in str(found[0])


# --------------------------------------------------------------------------------------------------- host arrays that are copied


def test_a_copy_is_warned_of_once_a_launch_at_the_line_of_the_launch(copying):
    x, y = np.zeros(8), np.arange(8.0)
    with copying, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        axpy[1, 8](1.0, x, y)
        axpy[1, 8](1.0, x, on(copying, y))
    assert x.tolist() == (2 * y).tolist()
    assert [w.category for w in caught] == [CopyWarning] * 2
    assert {w.filename for w in caught} == {__file__}
    assert caught[1].lineno == caught[0].lineno + 1
    assert str(caught[0].message) == (
        "kernel 'axpy': the host arrays 'x', 'y' are copied to opencl:0 for every launch\n"
        "  hint: device.to_device(array).array(dtype, shape) stays there"
    )
    assert str(caught[1].message).startswith("kernel 'axpy': the host array 'x' is copied to opencl:0 for every launch\n")


def test_only_what_the_kernel_writes_is_copied_back(copying, monkeypatch):
    copies = []
    driver = copying.driver
    original = type(driver).copy

    def copy(self, stream, destination, source, size, direction):
        copies.append((direction, size))
        original(self, stream, destination, source, size, direction)

    monkeypatch.setattr(type(driver), "copy", copy)
    x, y = np.zeros(8), np.arange(8.0)
    y.flags.writeable = False
    with copying, pytest.warns(CopyWarning):
        axpy[1, 8](1.0, x, y)
    assert x.tolist() == y.tolist()
    assert sorted(copies) == [("in", 64), ("in", 64), ("out", 64)]  # and no error slot: these shapes prove every access
    assert copying.pool.statistics.live >= 0


def test_what_a_failed_launch_wrote_is_copied_back(copying):
    x = np.zeros(4, np.int64)
    with copying, pytest.warns(CopyWarning), pytest.raises(KernelIndexError):
        beyond[1, 4](x, 1)
    assert x.tolist() == [0, 0, 1, 2]


# -------------------------------------------------------------------------------------------------------------- the CPU's bits


def test_results_are_the_cpus_bit_for_bit(device):
    import math

    @ag.kernel
    def much(x, y, n, out):
        i = ag.grid(1)
        if i < x.size:
            total = x[i] / y[i]
            for k in range(n):
                total = total * 0.75 + math.sqrt(abs(x[(i + k) % x.size])) / (1 + k)
            out[i] = total + math.sin(y[i]) * math.exp(-abs(x[i]))

    for dtype in (np.float32, np.float64):
        generator = np.random.default_rng(3)
        x, y = (generator.standard_normal(1000).astype(dtype) for _ in range(2))
        expected = np.zeros(1000, dtype)
        much[4, 256](x, y, 9, expected)
        out = on(device, np.zeros(1000, dtype))
        much[4, 256](on(device, x), on(device, y), 9, out)
        assert out.to_numpy().tobytes() == expected.tobytes()
        host = np.zeros(1000, dtype)
        with device:
            much.forall(1000)(x, y, 9, host)
        assert host.tobytes() == expected.tobytes()


def test_integers_that_were_cut_are_extended(device):
    x, low, out = np.arange(1000, 1100), np.zeros(100, np.int32), np.zeros(100, np.float32)
    with device:
        cut.forall(100)(x, low, ag.bfloat16(1.5), out)
    assert (low == x % 256 + 1).all() and (out == 1.5).all()
