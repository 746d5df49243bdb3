"""The CUDA and HIP runtimes without hardware, on recorded stand-ins: what is asked of a driver, in which order, with which bytes."""

import gc
import inspect
import re
import struct
import weakref

import numpy as np
import pytest

import anygpu as ag
from anygpu.runtime import cuda, cudalike, device, discovery, hip
from anygpu.runtime.base import Code, Parameter

from .standin import StandIn

PTX = """
.version 8.0
.target sm_90
.address_size 64
.visible .entry axpy( .param .f32 axpy_0, .param .u64 axpy_1, .param .u32 axpy_2, .param .align 4 .b8 axpy_3[12] ) { ret; }
"""
BACK_ENDS = {"cuda": cuda, "hip": hip}


@pytest.fixture(params=["cuda", "hip"])
def driver(request, monkeypatch):
    """A stand-in whose two devices are ``cuda:0`` and ``cuda:1``, or ``hip:0`` and ``hip:1``, while a test runs."""
    api = request.param
    standin = StandIn({"cuda": "cu", "hip": "hip"}[api])
    with monkeypatch.context() as patch:
        patch.setattr(discovery, "_found", {**discovery._found, api: BACK_ENDS[api].discover_with(standin)})
        patch.setattr(device, "_devices", dict(device._devices))
        standin.api = api
        standin.calls.clear()
        yield standin


@pytest.fixture
def gpu(driver):
    return ag.Device(driver.api)


def kernel_of(gpu, name="axpy"):
    parameters = (Parameter("f", 4), Parameter("*", 8), Parameter("*", 4), Parameter("V", 12))
    code = Code(gpu.capabilities.formats[0], PTX.encode(), {"axpy": parameters})
    return ag.ObjectCode(code, gpu).get_kernel(name)


def test_properties(driver, gpu):
    assert gpu.properties.model == "Stand-in"
    assert gpu.properties.architecture == ("sm_90" if driver.api == "cuda" else "gfx942:sramecc+:xnack-")
    assert gpu.capabilities.driver_graphs and gpu.capabilities.cooperative
    assert repr(gpu).startswith(f"<device {driver.api}:0: Stand-in, 1024 compute units")


def test_finding_a_device_makes_no_context(driver, gpu):
    assert "DevicePrimaryCtxRetain" not in driver.names() and not driver.alive


def test_copies_and_fills(driver, gpu):
    data = np.arange(256, dtype=np.int32)
    buffer = gpu.to_device(data)
    other = gpu.to_device(buffer[256:512])
    np.testing.assert_array_equal(other.to_numpy(np.int32), data[64:128])
    for pattern, expected in ((7, 0x07070707), (np.uint16(0x0102), 0x01020102), (np.int32(-5), -5)):
        other.fill(pattern)
        assert (other.to_numpy(np.int32) == expected).all()
    copies = [name for name in driver.names() if name.startswith("Memcpy")]
    assert copies == ["MemcpyHtoDAsync", "MemcpyDtoDAsync", *["MemcpyDtoHAsync"] * 4]


def test_arguments_are_packed_as_the_kernel_takes_them(driver, gpu):
    driver.sizes = (4, 8, 4, 12)
    buffer = gpu.allocate(64)
    point = np.array((1, 2.5, 3), dtype=[("a", "<i4"), ("b", "<f4"), ("c", "<i4")])[()]
    launcher = kernel_of(gpu)[(2, 3), 64, None, 1000]
    launcher(1.5, buffer[16:], 7, point)
    assert driver.launched == [struct.pack("<fQi", 1.5, 0, 0)[:4] + struct.pack("<Qiifi", buffer.address + 16, 7, 1, 2.5, 3)]
    name, function, *rest = driver.calls[-1]
    assert name == ("LaunchKernel" if driver.api == "cuda" else "ModuleLaunchKernel")
    assert function == "axpy" and rest[:7] == [2, 3, 1, 64, 1, 1, 1000] and rest[7] is gpu.default_stream.handle


def test_cooperative_launch_and_much_shared_memory(driver, gpu):
    driver.sizes = (4, 8, 4, 12)
    configuration = ag.LaunchConfig(1, 32, gpu.properties.maximum_shared, cooperative=True)
    kernel, buffer = kernel_of(gpu), gpu.allocate(8)
    for _ in range(2):
        ag.launch(gpu.default_stream, configuration, kernel, 1.0, buffer, 1, bytes(12))
    assert driver.names()[-1].endswith("LaunchCooperativeKernel")
    raised = [call[-1] for call in driver.calls if call[0] == "FuncSetAttribute"]
    assert raised == ([65536] if driver.api == "cuda" else [])  # once; AMD's devices need no leave


def test_each_call_is_on_the_right_device(driver):
    first, second = ag.Device(f"{driver.api}:0"), ag.Device(f"{driver.api}:1")
    first.allocate(8)
    second.allocate(8)
    switches = [call[1] for call in driver.calls if call[0] in ("CtxSetCurrent", "SetDevice")]
    assert set(switches) == ({"context 0", "context 1"} if driver.api == "cuda" else {0, 1})


def test_order_of_events_and_streams(driver, gpu):
    a, b = gpu.create_stream(), gpu.create_stream()
    driver.calls.clear()
    event = a.record()
    b.wait(event)
    event.synchronize()
    assert event.elapsed_time(b.record()) == 1.5
    create = "EventCreate" if driver.api == "cuda" else "EventCreateWithFlags"
    assert driver.names()[:5] == [create, "EventRecord", "StreamWaitEvent", "EventSynchronize", create]
    assert driver.calls[[c[0] for c in driver.calls].index("StreamWaitEvent")][1] is b.handle


def test_everything_is_given_back(driver, gpu):
    stream = gpu.create_stream()
    with stream.capture() as graph:
        gpu.allocate(100, stream).fill(0, stream)
    graph.replay()
    kernel = kernel_of(gpu)
    pinned = gpu.pinned(100)
    buffer = gpu.to_device(pinned, stream)
    event = stream.record()
    watched = [weakref.ref(thing) for thing in (stream, graph, kernel, buffer, event)]
    stream.synchronize()
    del stream, graph, kernel, pinned, buffer, event
    gc.collect()
    gpu.pool.trim()
    gpu.pool.trim()
    gc.collect()
    assert [ref() for ref in watched] == [None] * 5
    assert list(driver.alive.values()) == [gpu._default_stream.handle] if gpu._default_stream else not driver.alive


def test_a_module_outlives_its_kernels_only(driver, gpu):
    kernel = kernel_of(gpu)
    gc.collect()
    assert "ModuleUnload" not in driver.names()
    del kernel
    gc.collect()
    assert driver.names()[-1] == "ModuleUnload"


def test_driver_graphs(driver, gpu):
    stream = gpu.create_stream()
    buffer = gpu.allocate(64, stream)
    driver.calls.clear()
    graph = stream.begin_capture()
    assert stream.capturing and repr(graph) == f"<graph of {gpu.name}, being captured>"
    buffer.fill(1, stream)
    with pytest.raises(ag.errors.WrongStreamError, match="synchronize cannot be used while"):
        stream.synchronize()
    assert stream.end_capture() is graph
    graph.instantiate().replay()
    graph.replay(gpu.default_stream)
    instantiate = "GraphInstantiate" if driver.api == "cuda" else "GraphInstantiateWithFlags"
    names = [name for name in driver.names() if not name.startswith("StreamCreate")]
    assert names == ["StreamBeginCapture", "MemsetD8Async", "StreamEndCapture", instantiate, "GraphLaunch", "GraphLaunch"]


def test_peers(driver):
    first, second = ag.Device(f"{driver.api}:0"), ag.Device(f"{driver.api}:1")
    assert first.can_access_peer(second) and not first.can_access_peer(first) and not first.can_access_peer(ag.Device("cpu"))
    first.enable_peer_access(second)
    driver.fail = {"CtxEnablePeerAccess": 704, "DeviceEnablePeerAccess": 704}  # it is enabled already
    first.enable_peer_access(second)
    source = second.to_device(np.arange(16, dtype=np.int32))
    np.testing.assert_array_equal(first.to_device(source).to_numpy(np.int32), np.arange(16))
    assert "MemcpyPeerAsync" in driver.names()
    with pytest.raises(ag.errors.WrongDeviceError, match="cannot reach the memory of cpu"):
        first.enable_peer_access(ag.Device("cpu"))


# -------------------------------------------------------------------------------------------------------------------------- faults


def test_out_of_memory_flushes_retries_and_names_the_largest(driver, gpu):
    driver.capacity = 1 << 20
    kept = gpu.allocate(500_000)
    gpu.allocate(300_000).close()  # goes to the cache, and from there back to the driver
    assert gpu.pool.statistics.cached >= 300_000
    big = gpu.allocate(400_000)
    assert gpu.pool.statistics.cached == 0
    with pytest.raises(MemoryError) as caught:
        gpu.allocate(500_000)
    assert isinstance(caught.value, ag.errors.OutOfMemoryError)
    lines = str(caught.value).splitlines()
    assert lines[0] == (
        f"{gpu.name} has no room for a buffer of 500,000 bytes: 900,000 of {gpu.properties.memory:,} bytes are in live buffers"
    )
    assert lines[1].startswith("  500,000 bytes made at ") and __file__ in lines[1]
    assert lines[2].startswith("  400,000 bytes made at ")
    assert lines[3] == "  hint: drop buffers that are not needed (del, or buffer.close()), or work in parts"
    del kept, big
    assert gpu.allocate(500_000).size == 500_000


def test_pinned_memory_that_is_not_there(driver, gpu):
    driver.capacity = 1000
    with pytest.raises(ag.errors.OutOfMemoryError) as caught:
        gpu.pinned(2000)
    assert str(caught.value) == "the host has no 2,000 bytes that can be page-locked\n  hint: use a smaller array in turns, or a plain one"


def test_a_lost_device_refuses_everything_from_then_on(driver, gpu):
    driver.sizes = (4, 8, 4, 12)
    buffer = gpu.allocate(64)
    launcher = kernel_of(gpu)[1, 32]
    launcher(1.0, buffer, 1, bytes(12))
    driver.fail = {"StreamSynchronize": 700}
    with pytest.raises(ag.errors.DeviceLostError) as caught:
        gpu.default_stream.synchronize()
    assert caught.value.code == 700 and "a kernel has accessed memory that is not its own" in str(caught.value)
    driver.fail = {}
    calls = len(driver.calls)
    for use in (
        lambda: launcher(1.0, buffer, 1, bytes(12)),
        lambda: gpu.allocate(8),
        lambda: gpu.create_stream(),
        lambda: buffer.to_numpy(np.uint8),
        lambda: gpu.default_stream.record(),
        lambda: gpu.pool.trim(),
        lambda: gpu.pinned(4),
        gpu.synchronize,
    ):
        with pytest.raises(ag.errors.DeviceLostError, match="accessed memory that is not its own"):
            use()
    assert len(driver.calls) == calls  # nothing was asked of the dead driver
    assert ag.Device(f"{driver.api}:1").allocate(8).size == 8


def test_finalizers_leave_a_lost_device_alone(driver, gpu):
    things = [gpu.create_stream(), gpu.allocate(8), gpu.default_stream.record(), kernel_of(gpu), gpu.pinned(8)]
    driver.fail = {"StreamQuery": 719}
    with pytest.raises(ag.errors.DeviceLostError):
        assert things[0].done
    calls = len(driver.calls)
    things.clear()
    gc.collect()
    assert len(driver.calls) == calls


def test_an_error_of_a_launch_leaves_the_device_usable(driver, gpu):
    driver.sizes = (4, 8, 4, 12)
    launcher = kernel_of(gpu)[1, 32]
    buffer = gpu.allocate(64)
    driver.fail = {"LaunchKernel": 701, "ModuleLaunchKernel": 701}
    with pytest.raises(ag.errors.DriverError) as caught:
        launcher(1.0, buffer, 1, bytes(12))
    assert not isinstance(caught.value, ag.errors.DeviceLostError)
    assert "grid (1, 1, 1), block (32, 1, 1), 0 bytes of shared memory" in str(caught.value)
    driver.fail = {}
    launcher(1.0, buffer, 1, bytes(12))


@pytest.mark.parametrize("code", [999, 100])
def test_a_driver_that_does_not_start_is_a_line(driver, code):
    broken = StandIn(driver.prefix, fail={"Init": code, "GetDeviceCount": code})
    with pytest.raises(ag.errors.AnyGPUError) as caught:
        BACK_ENDS[driver.api].discover_with(broken)
    assert "\n" not in str(caught.value) and ag.errors.explain(driver.api, code).name in str(caught.value)


def test_a_missing_kernel_names_what_there_is(driver, gpu):
    with pytest.raises(KeyError) as caught:
        kernel_of(gpu, "missing")
    assert "its kernels: axpy" in str(caught.value)


def test_code_of_another_vendor(driver, gpu):
    with pytest.raises(ag.errors.DeviceError, match=f"{gpu.name} takes no spirv: it loads"):
        ag.Program(b"\x03\x02\x23\x07", "spirv").compile(gpu).get_kernel("f")


def test_source_becomes_machine_code_of_the_device(driver, gpu, monkeypatch):
    """NVRTC is real here, only the driver that loads its cubin is not."""
    if driver.api == "hip":
        pytest.skip("hipRTC needs ROCm")
    pytest.importorskip("cuda.bindings.nvrtc")
    source = "template <class T> __global__ void scale(T *x, T a) { x[threadIdx.x] *= a; }"
    code = ag.Program(source, "cuda").compile(gpu, ["scale<float>"])
    assert code.format == "cubin" and code.image[:4] == b"\x7fELF" and code.names == ["scale<float>"]
    driver.sizes = (8, 4)
    buffer = gpu.allocate(4)
    code.get_kernel("scale<float>")[1, 1](buffer, 2.0)
    assert driver.calls[-1][1] == "_Z5scaleIfEvPT_S0_" and driver.launched == [struct.pack("<Qf", buffer.address, 2)]
    with pytest.raises(ag.ArgumentError, match=r"kernel 'scale<float>' takes 2 arguments \(8 bytes, a float\), not 1"):
        code.get_kernel("scale<float>")[1, 1](buffer)
    squares = ag.ElementwiseKernel("float32 x", "float32 y", "y = x * x", "squares")
    driver.sizes = (8, 8, 8)
    squares(buffer)
    total = ag.ReductionKernel("float32 x", "float32 y", "x", "a + b", "y = a", 0, "total")
    driver.sizes = (8, 8, 8, 8)
    total(buffer)
    assert [call[1] for call in driver.calls if call[0] == "LaunchKernel"] == ["_Z5scaleIfEvPT_S0_", "squares", "total"]


# --------------------------------------------------------------------------------------------------------- the bindings themselves


def names_of(api: str) -> set[str]:
    """The functions that the shared class calls, as the vendor spells them."""
    source = inspect.getsource(cudalike)
    called = {*re.findall(r'self\.call\(\s*"(\w+)"', source), *cudalike._COPIES.values(), *cudalike._FILLS.values()}
    names = BACK_ENDS[api]._NAMES
    return {names.get(name, name) for name in (*called, "LaunchKernel", "LaunchCooperativeKernel")}


def test_cuda_bindings_have_every_name():
    driver = pytest.importorskip("cuda.bindings.driver")
    assert [name for name in names_of("cuda") if not hasattr(driver, f"cu{name}")] == []
    attributes = [f"CU_DEVICE_ATTRIBUTE_{name}" for name in cuda._ATTRIBUTES.values()]
    assert [name for name in attributes if not hasattr(driver.CUdevice_attribute, name)] == []


def test_hip_python_has_every_name():
    hip_python = pytest.importorskip("hip").hip
    assert [name for name in names_of("hip") if not hasattr(hip_python, f"hip{name}")] == []
    attributes = [f"hipDeviceAttribute{name}" for name in hip._ATTRIBUTES.values()]
    assert [name for name in attributes if not hasattr(hip_python.hipDeviceAttribute_t, name)] == []


class Exporter:
    """An exporter of DLPack before version 1.0 (which takes no arguments), or of version 1.0."""

    def __init__(self, array, version):
        self.array, self.version = array, version

    def __dlpack_device__(self):
        return self.array.__dlpack_device__()

    def __dlpack__(self, **asked):
        if asked and self.version is None:
            raise TypeError("unexpected keyword argument")
        return self.array.__dlpack__(max_version=self.version)


def test_arrays_go_by_dlpack_without_copies(driver, gpu):
    host = np.arange(12, dtype=np.float32).reshape(3, 4)
    x = ag.asarray(host, device=gpu)
    assert x.__dlpack_device__() == ({"cuda": 2, "hip": 10}[driver.api], 0)
    view = x[::2, 1:]
    for version in (None, (1, 0)):
        y = ag.from_dlpack(Exporter(view, version))
        assert y.device is gpu and y.shape == (2, 3) and y.strides == view.strides
        assert y.__anygpu_array__().buffer.address == view.__anygpu_array__().buffer.address
        assert ag.from_dlpack(x, copy=True).device is gpu
    np.testing.assert_array_equal(np.from_dlpack(x, device="cpu"), host)
    with pytest.raises(BufferError, match="the memory is on device"):
        x.__dlpack__(dl_device=(2, 5))
    from anygpu.arrays import dlpack

    capsule = x.__dlpack__()
    assert len(dlpack._given) > 0
    del capsule, x, y, view
    gc.collect()
    assert dlpack._given == {}


def test_cuda_array_interface(driver, gpu):
    x = ag.asarray(np.arange(12.0).reshape(3, 4), device=gpu)
    if driver.api != "cuda":
        assert not hasattr(x, "__cuda_array_interface__")
        return
    found = x[:, 1].__cuda_array_interface__
    address = x.__anygpu_array__().buffer.address
    assert found == {"shape": (3,), "typestr": "<f8", "data": (address + 8, False), "strides": (32,), "version": 3}
    assert x.__cuda_array_interface__["strides"] is None


@ag.kernel
def products(x, y, out):
    i = ag.grid(1)
    if i < out.size:
        out[i] = x[i] * y[i]


@ag.kernel
def quads(x, out):
    i = ag.grid(1)
    if i < out.size:
        out[i] = (x[4 * i] + x[4 * i + 1]) + (x[4 * i + 2] + x[4 * i + 3])


def image_of(kernel, gpu, shape, *arrays):
    """The code that a launch takes, new each time."""
    kernel._launchers.clear()
    kernel.device_variants.clear()
    kernel.forall(shape)(*arrays)
    (variant,) = kernel.device_variants.values()
    return variant.artifact.image


@pytest.mark.parametrize("dtype", ["complex64", "complex128", "float32"])
def test_loads_of_neighbours_are_one_where_arrays_begin_at_a_multiple_of_16(driver, gpu, dtype):
    if driver.api == "hip":
        pytest.skip("AMD's devices load so from any address")
    buffer, size = gpu.allocate(1 << 12), np.dtype(dtype).itemsize
    assert buffer.address % 16 == 0

    def launched(offset):
        if dtype == "float32":
            x, out = buffer[offset:].array(dtype, (64,)), buffer[2048:].array(dtype, (16,))
            return image_of(quads, gpu, 16, x, out).decode()
        x, y, out = (buffer[offset + n * 1024 :].array(dtype, (16,)) for n in range(3))
        return image_of(products, gpu, 16, x, y, out).decode()

    wide = {"complex64": "v2.b32", "complex128": "v2.b64", "float32": "v4.b32"}[dtype]
    narrow = wide[3:]
    aligned, others = launched(0), launched(size if dtype == "float32" else size // 2)
    assert f"ld.global.{wide}" in aligned.replace(".nc", "") and f"ld.global.{narrow}" not in aligned.replace(".nc", "")
    assert f"ld.global.{wide}" not in others and f"ld.global.{narrow}" in others


def test_a_plan_is_not_used_for_arrays_that_begin_elsewhere(driver, gpu):
    if driver.api == "hip":
        pytest.skip("the code would have to be linked")
    buffer = gpu.allocate(1 << 12)
    kernel = ag.kernel(products.__wrapped__)
    launcher = kernel.forall(16)
    at = lambda offset: tuple(buffer[offset + n * 1024 :].array("complex64", (16,)) for n in range(3))  # noqa: E731
    for offset, count in ((0, 1), (0, 1), (8, 2), (0, 2), (24, 2)):
        launcher(*at(offset))
        assert len(kernel.device_variants) == count
    assert len(driver.launched) == 5
