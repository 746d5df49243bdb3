"""OpenCL, executing: on Intel's runtime for CPUs where no other device is there."""

import gc
import os
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest

import anygpu as ag
from anygpu.runtime import opencl_icd

SOURCE = """
typedef struct { int count; float scale; } settings;

kernel void axpy(float a, global float *x, global const float *y, long n) {
    size_t i = get_global_id(0);
    if (i < n) x[i] += a * y[i];
}

kernel void reverse(global int *x, local int *scratch) {
    size_t t = get_local_id(0), last = get_local_size(0) - 1;
    scratch[t] = x[get_global_id(0)];
    barrier(CLK_LOCAL_MEM_FENCE);
    x[get_global_id(0)] = scratch[last - t];
}

kernel void kinds(global double *out, char a, uchar b, short c, ushort d, int e, uint f, long g, ulong h, float i, double j, half k) {
    out[0] = a; out[1] = b; out[2] = c; out[3] = d; out[4] = e; out[5] = f; out[6] = g; out[7] = h; out[8] = i; out[9] = j; out[10] = k;
}

kernel void structure(global float *out, settings s, float4 v) {
    out[0] = s.count * s.scale + v.y;
}

kernel void where(global int *out) {
    size_t x = get_global_id(0), y = get_global_id(1), z = get_global_id(2);
    out[(z * get_global_size(1) + y) * get_global_size(0) + x] = get_group_id(0) * 100 + get_group_id(1) * 10 + get_group_id(2);
}
"""


@pytest.fixture(scope="module")
def device():
    if "opencl:0" not in [found.name for found in ag.devices()]:
        pytest.skip(f"no OpenCL device: {ag.problems().get('opencl')}")
    return ag.Device("opencl:0")


@pytest.fixture(scope="module")
def code(device):
    return ag.Program(SOURCE, "opencl").compile(device)


# --------------------------------------------------------------------------------------------------------------- devices, memory


@pytest.mark.skipif(opencl_icd.installed_runtime() is None, reason="intel-opencl-rt is not installed")
def test_the_runtime_from_pypi_is_found_with_no_setting():
    code = "import os, anygpu as ag; print([d.properties.vendor for d in ag.devices()], 'OCL_ICD_VENDORS' in os.environ)"
    environment = {name: value for name, value in os.environ.items() if name not in ("OCL_ICD_VENDORS", "LD_LIBRARY_PATH")}
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True).stdout
    assert "Intel" in found and found.endswith("False\n")


def test_the_drivers_of_the_system_stay_visible(tmp_path, monkeypatch):
    (tmp_path / "other.icd").write_text("/usr/lib/libother.so\n")
    monkeypatch.setenv("OCL_ICD_VENDORS", str(tmp_path))
    with opencl_icd.exposed_runtime():
        shown = os.environ["OCL_ICD_VENDORS"]
        if opencl_icd.installed_runtime() is not None:
            assert sorted(os.listdir(shown)) == ["anygpu-intel-cpu.icd", "other.icd"]
    assert os.environ["OCL_ICD_VENDORS"] == str(tmp_path)


def test_devices_are_one_object_with_a_name(device):
    import copy
    import pickle

    assert device is ag.Device("opencl:0") is ag.Device("opencl") is copy.deepcopy(device) is pickle.loads(pickle.dumps(device))
    assert {device: 1}[ag.Device("opencl:0")] == 1
    assert repr(device).startswith("<device opencl:0: ") and device.properties.memory > 0
    assert device.capabilities.languages == ("opencl",)


def test_current_device_is_a_stack_of_the_thread(device):
    found = []
    assert ag.Device().name == "cpu"
    with device:
        assert ag.current_device() is device
        with ag.Device("cpu"):
            assert ag.current_device().name == "cpu"
        thread = threading.Thread(target=lambda: found.append(ag.current_device().name))
        thread.start()
        thread.join()
    assert found == ["cpu"] and ag.current_device().name == "cpu"
    try:
        ag.set_default_device(device)
        thread = threading.Thread(target=lambda: found.append(ag.current_device().name))
        thread.start()
        thread.join()
        assert found == ["cpu", "opencl:0"]
    finally:
        ag.set_default_device("cpu")


@pytest.mark.parametrize("offset", [0, 1, 4, 13])
def test_copies_between_host_and_views(device, offset):
    data = np.arange(1000, dtype=np.uint8)
    buffer = device.to_device(data)
    view = buffer[offset : offset + 500]
    np.testing.assert_array_equal(view.to_numpy(np.uint8), data[offset : offset + 500])
    view.copy_from(data[:10])
    np.testing.assert_array_equal(buffer[offset : offset + 10].to_numpy(np.uint8), data[:10])
    other = device.allocate(500)
    other.copy_from(view)
    buffer[offset : offset + 500].fill(9)
    assert (buffer.view(offset, 500).to_numpy(np.uint8) == 9).all()
    np.testing.assert_array_equal(other.to_numpy(np.uint8)[:10], data[:10])


def test_copies_between_devices(device):
    data = np.arange(100, dtype=np.int64)
    there = device.to_device(data)
    here = ag.Device("cpu").to_device(there)
    np.testing.assert_array_equal(here.to_numpy(np.int64), data)
    np.testing.assert_array_equal(device.to_device(here).to_numpy(np.int64), data)


@pytest.mark.parametrize("value", [0, 255, np.float32(1.5), np.float64(0), np.uint16(0x1234), b"\x01\x02\x03\x04"])
def test_fills(device, value):
    buffer = device.allocate(64)
    buffer.fill(value)
    pattern = bytes([value]) if isinstance(value, int) else value if isinstance(value, bytes) else value.tobytes()
    assert buffer.to_numpy(np.uint8).tobytes() == pattern * (64 // len(pattern))


def test_empty_buffers(device):
    buffer = device.to_device(np.empty(0, np.float32))
    buffer.fill(1)
    assert buffer.size == 0 and buffer.to_numpy(np.float32).shape == (0,) and len(buffer[0:0]) == 0


def test_refused_views_and_copies(device):
    buffer = device.allocate(16)
    with pytest.raises(IndexError, match="bytes 8 to 24 are outside a buffer of 16 bytes"):
        buffer.view(8, 16)
    with pytest.raises(ValueError, match="a slice of a buffer has step 1, not 2"):
        buffer[::2]
    with pytest.raises(TypeError, match=r"sliced by bytes, as in buffer\[0:16\], not indexed by 3"):
        buffer[3]
    with pytest.raises(ValueError, match="17 bytes do not fit in a buffer of 16"):
        buffer.copy_from(np.zeros(17, np.uint8))
    with pytest.raises(ValueError, match="C-contiguous NumPy array that can be written"):
        buffer.copy_to(np.zeros((4, 4), np.uint8)[:, ::2])
    with pytest.raises(ValueError, match="cannot be filled with a pattern of 3"):
        buffer.fill(b"abc")


def test_pinned_memory(device):
    staging = device.pinned((4, 8), np.float32)
    staging[...] = 3
    buffer = device.allocate(staging.nbytes)
    buffer.copy_from(staging, wait=False)
    back = device.pinned((4, 8), np.float32)
    buffer.copy_to(back, wait=False)
    device.synchronize()
    np.testing.assert_array_equal(back, staging)
    part = staging[1]
    del staging
    gc.collect()
    assert (part == 3).all()  # the memory lives as long as any array in it


# ------------------------------------------------------------------------------------------------------------------------ kernels


def test_launch(device, code):
    x, y = device.to_device(np.ones(1000, np.float32)), device.to_device(np.arange(1000, dtype=np.float32))
    axpy = code.get_kernel("axpy")
    axpy[16, 64](2.0, x, y, 1000)
    axpy[16, 64](np.float32(1), x[0:], y, np.int64(10))
    expected = 1 + 2 * np.arange(1000, dtype=np.float32)
    expected[:10] += np.arange(10)
    np.testing.assert_array_equal(x.to_numpy(np.float32), expected)
    assert repr(axpy) == "<kernel axpy on opencl:0, 4 parameters>" and [p.name for p in axpy.parameters] == ["a", "x", "y", "n"]


def test_views_that_are_not_aligned(device, code):
    x, y = device.to_device(np.zeros(100, np.float32)), device.to_device(np.ones(100, np.float32))
    code.get_kernel("axpy")[1, 64](1.0, x[12:], y[4:], 10)
    assert np.flatnonzero(x.to_numpy(np.float32)).tolist() == list(range(3, 13))


def test_every_scalar_type(device, code):
    values = [-128, 255, -32768, 65535, -(2**31), 2**32 - 1, -(2**53), 2**53, 0.1, 0.1, 0.1]
    out = device.allocate(8 * 11)
    code.get_kernel("kinds")[1, 1](out, *values)
    np.testing.assert_array_equal(out.to_numpy(np.float64), [*values[:8], np.float32(0.1), 0.1, np.float16(0.1)])
    code.get_kernel("kinds")[1, 1](out, *(t(1) for t in (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32)), 1, 1, 1, 1, 1)
    assert (out.to_numpy(np.float64) == 1).all()


def test_structures_and_vectors(device, code):
    out = device.allocate(4)
    settings = np.array((4, 0.5), dtype=[("count", np.int32), ("scale", np.float32)])[()]
    code.get_kernel("structure")[1, 1](out, settings, np.array([0, 3, 0, 0], np.float32))
    assert out.to_numpy(np.float32)[0] == 5
    with pytest.raises(ag.ArgumentError, match=r"argument 3 \('v'\) has 12 bytes, and the kernel takes float4 of 16"):
        code.get_kernel("structure")[1, 1](out, settings, np.zeros(3, np.float32))


def test_shared_memory_of_a_launch_and_as_an_argument(device, code):
    x = device.to_device(np.arange(16, dtype=np.int32))
    reverse = code.get_kernel("reverse")
    reverse[2, 8, None, 32](x)
    expected = np.arange(16).reshape(2, 8)[:, ::-1].ravel()
    np.testing.assert_array_equal(x.to_numpy(np.int32), expected)
    reverse[2, 8](x, ag.LocalMemory(32))
    np.testing.assert_array_equal(x.to_numpy(np.int32), np.arange(16))


def test_three_axes(device, code):
    out = device.allocate(4 * 24)
    code.get_kernel("where")[(2, np.int64(3), 1), [2, 1, 2]](out)
    found = out.to_numpy(np.int32, (2, 3, 4))
    assert found[1].tolist() == [[0, 0, 100, 100], [10, 10, 110, 110], [20, 20, 120, 120]]


def test_an_empty_grid_does_nothing(device, code):
    x = device.to_device(np.ones(4, np.float32))
    code.get_kernel("axpy")[0, 64](1.0, x, x, 4)
    assert (x.to_numpy(np.float32) == 1).all()


def test_numpy_arrays_are_copied_with_a_warning(device, code):
    x, y = np.ones(8, np.float32), np.ones(8, np.float32)
    y.flags.writeable = False
    with pytest.warns(ag.CopyWarning) as caught:
        code.get_kernel("axpy")[1, 8](1.0, x, y, 8)
    assert [str(w.message) for w in caught] == [
        f"argument {n} ('{name}') is a NumPy array: it is copied to opencl:0 and back for every launch" for n, name in ((2, "x"), (3, "y"))
    ]
    assert {w.filename for w in caught} == {__file__} and (x == 2).all()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((1.0,), "kernel 'axpy' takes 4 arguments (float a, float* x, float* y, long n), not 1"),
        (("x", 0, 0, 0), "argument 1 ('a') is a str, and the kernel takes float"),
        ((np.float64(1), 0, 0, 0), "argument 1 ('a') is a float64, and the kernel takes float\n  hint: pass np.float32(1.0)"),
        (
            (1.0, 5, 0, 0),
            "argument 2 ('x') is a int, and the kernel takes float*\n  hint: pass a buffer (device.to_device(array)) or a NumPy array",
        ),
        ((1.0, None, None, 2**63), "argument 4 ('n') is 9223372036854775808, which does not fit in long"),
        ((1.0, None, None, 1.5), "argument 4 ('n') is a float, and the kernel takes long"),
    ],
)
def test_arguments_that_do_not_fit(code, args, message):
    with pytest.raises(ag.ArgumentError) as caught:
        code.get_kernel("axpy")[1, 1](*args)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("configuration", "message"),
    [
        ((1, 1 << 20), "a block of (1048576, 1, 1) has more than"),
        ((-1, 1), "the grid is an int, or up to three, of 0 or more, not -1"),
        ((1, 0), "the block is an int, or up to three, of 1 or more, not 0"),
        ((1, (1, 1, 1, 1)), "the block is an int, or up to three"),
        ((1, 1, None, 1 << 40), "bytes of shared memory are more than the"),
        ((1,), "kernel[grid, block] takes a grid and a block"),
        ((1.5, 1), "the grid is an int, or up to three, of 0 or more, not 1.5"),
        (((), 1), "the grid is an int, or up to three, of 0 or more, not ()"),
    ],
)
def test_configurations_that_cannot_be(code, configuration, message):
    with pytest.raises(ag.LaunchError) as caught:
        code.get_kernel("axpy")[configuration]
    assert message in str(caught.value)


def test_a_kernel_is_not_called_without_a_configuration(code):
    with pytest.raises(ag.LaunchError, match=r"kernel 'axpy' needs a launch configuration: axpy\[grid, block\]"):
        code.get_kernel("axpy")(1)
    with pytest.raises(KeyError, match=r"there is no kernel 'foo'.*its kernels: axpy, kinds, reverse, structure, where"):
        code.get_kernel("foo")


# ------------------------------------------------------------------------------------------------------------- streams and graphs


def test_streams_events_and_times(device, code):
    axpy, a, b = code.get_kernel("axpy"), device.create_stream(), device.create_stream()
    x, y = device.to_device(np.zeros(1 << 16, np.float32), a), device.to_device(np.ones(1 << 16, np.float32), a)
    start = a.record()
    for _ in range(20):
        axpy[1 << 10, 64, a](1.0, x, y, 1 << 16)
    end = a.record()
    b.wait(end)
    axpy[1 << 10, 64, b](1.0, x, y, 1 << 16)
    b.synchronize()
    assert a.done and b.done and start.done and end.done
    assert 0 < start.elapsed_time(end) < 60_000
    assert (x.to_numpy(np.float32) == 21).all()


def test_a_graph_is_recorded_and_replayed(device, code):
    axpy, stream = code.get_kernel("axpy"), device.create_stream()
    x, y = device.to_device(np.zeros(64, np.float32)), device.to_device(np.ones(64, np.float32))
    host = np.empty(64, np.float32)
    with stream.capture() as graph:
        axpy[1, 64, stream](1.0, x, y, 64)
        axpy[1, 64, stream](2.0, x, y, 64)
        x.copy_to(host, stream, wait=False)
    assert (x.to_numpy(np.float32) == 0).all() and repr(graph) == "<graph of opencl:0, 3 operations recorded>"
    del y  # the graph keeps it
    gc.collect()
    device.allocate(64 * 4).fill(0)
    graph.replay()
    graph.instantiate().replay(device.default_stream)
    device.synchronize()
    stream.synchronize()
    assert (host == 6).all()


def test_a_capture_takes_in_streams_that_wait_for_it(device, code):
    axpy, a, b = code.get_kernel("axpy"), device.create_stream(), device.create_stream()
    x, y = device.to_device(np.zeros(64, np.float32)), device.to_device(np.ones(64, np.float32))
    a.begin_capture()
    axpy[1, 64, a](1.0, x, y, 64)
    b.wait(a)
    axpy[1, 64, b](1.0, x, y, 64)
    with pytest.raises(ag.errors.WrongStreamError, match="has no capture to end"):
        b.end_capture()
    a.wait(b)
    graph = a.end_capture()
    assert not b.capturing and (x.to_numpy(np.float32) == 0).all()
    graph.replay()
    a.synchronize()
    assert (x.to_numpy(np.float32) == 2).all()


def test_what_cannot_be_captured(device):
    stream, buffer = device.create_stream(), device.allocate(4)
    with stream.capture() as graph:
        with pytest.raises(ag.errors.WrongStreamError, match="a copy that waits cannot be captured"):
            buffer.copy_from(np.zeros(4, np.uint8), stream)
        with pytest.raises(ag.errors.WrongStreamError, match="begin_capture cannot be used while"):
            stream.begin_capture()
        with pytest.raises(ag.errors.WrongStreamError, match="this graph is still being captured"):
            graph.replay(device.default_stream)
    with pytest.raises(ag.errors.WrongDeviceError, match="a graph of opencl:0 cannot run on"):
        graph.replay(ag.Device("cpu").default_stream)


# ------------------------------------------------------------------------------------------------------------------------- source


def test_macros_constants_and_options(device):
    table = np.array([[1, np.inf], [-0.5, 2**-149]], np.float32)
    source = """kernel void f(global float *out) {
        for (int i = 0; i < SIZE; i++) out[i] = table[i / 2][i % 2];
        out[4] = half_of; out[5] = large == 9007199254740993L; out[6] = FROM_OPTION;
    }"""
    program = ag.Program(
        source, "opencl", ["-DFROM_OPTION=7"], defines={"SIZE": 4}, constants={"table": table, "half_of": 0.5, "large": 2**53 + 1}
    )
    out = device.allocate(28)
    program.compile(device).get_kernel("f")[1, 1](out)
    assert out.to_numpy(np.float32).tolist() == [1, np.inf, -0.5, 2**-149, 0.5, 1, 7]


def test_errors_of_the_compiler_show_the_line(device):
    source = "kernel void f(global float *x) {\n    x[0] = foo;\n\tfloat y = bar(1);\n}\n"
    with pytest.raises(ag.errors.SourceError) as caught:
        ag.Program(source, "opencl", defines={"A": 1}, filename="my.cl").compile(device)
    lines = str(caught.value).splitlines()
    assert lines[0] == f"my.cl does not compile for {device.properties.model}"
    assert lines[2:5] == ['File "my.cl", line 2, column 12, in the source', "    x[0] = foo;", "           ^^^"]
    assert 'File "my.cl", line 3, column 12, in the source' in lines
    assert "undeclared identifier 'foo'" in lines[5] and "undeclared identifier 'foo'" in caught.value.log
    assert [d.location.line for d in caught.value.diagnostics] == [2, 3]


def test_an_unknown_option_is_a_driver_error(device):
    with pytest.raises(ag.errors.DriverError, match=r"CL_INVALID_BUILD_OPTIONS.*\n.*-cl-foo.*\n  hint: look at options= of the program"):
        ag.Program("kernel void f() {}", "opencl", ["-cl-foo"]).compile(device)


def test_languages_that_a_device_does_not_take(device):
    with pytest.raises(ag.errors.DeviceError, match="opencl:0 does not compile 'cuda': it takes opencl"):
        ag.Program("", "cuda").compile(device)
    with pytest.raises(ag.errors.DeviceError, match="the CPU device takes Python kernels, not source in language 'opencl'"):
        ag.Program("", "opencl").compile("cpu")
    with pytest.raises(ValueError, match="language is one of cuda, hip, opencl, ptx, spirv, not 'glsl'"):
        ag.Program("", "glsl")


def test_a_program_comes_from_the_cache_and_is_rebuilt_if_the_driver_refuses_it(device, monkeypatch):
    import pickle

    from anygpu.runtime import program as module
    from anygpu.runtime.cache import DiskCache

    compiled = []
    kept = {}
    real = type(device.driver).compile
    monkeypatch.setattr(type(device.driver), "compile", lambda driver, request: compiled.append(request) or real(driver, request))
    cache = DiskCache(None)
    monkeypatch.setattr(cache, "get", kept.get)
    monkeypatch.setattr(cache, "put", kept.__setitem__)
    monkeypatch.setattr(module, "_cache", lambda: cache)
    program = ag.Program("kernel void f(global int *x) { x[0] = 42; }", "opencl")
    out = device.allocate(4)
    program.compile(device).get_kernel("f")[1, 1](out)
    program.compile(device).get_kernel("f")[1, 1](out)
    assert len(compiled) == 1 and out.to_numpy(np.int32)[0] == 42
    (key,) = kept
    kept[key] = pickle.dumps(ag.runtime.base.Code("opencl", b"made by another driver"))
    program.compile(device).get_kernel("f")[1, 1](out)
    assert len(compiled) == 2
    kept[key] = b"an entry of another version"
    program.compile(device)
    assert len(compiled) == 3


SPIRV = """
target triple = "spirv64-unknown-unknown"
declare spir_func i64 @_Z13get_global_idj(i32)
define spir_kernel void @twice(ptr addrspace(1) %x, i64 %n, float %a) {
  %i = call spir_func i64 @_Z13get_global_idj(i32 0)
  %inside = icmp slt i64 %i, %n
  br i1 %inside, label %yes, label %no
yes:
  %p = getelementptr float, ptr addrspace(1) %x, i64 %i
  %v = load float, ptr addrspace(1) %p
  %w = fmul float %v, %a
  store float %w, ptr addrspace(1) %p
  br label %no
no:
  ret void
}
"""


@pytest.fixture(scope="module")
def spirv():
    import llvmlite.binding as llvm

    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple("spirv64-unknown-unknown").create_target_machine(codemodel="default")
    return machine.emit_object(llvm.parse_assembly(SPIRV))


def test_spirv(device, spirv):
    if "spirv" not in device.capabilities.formats:
        pytest.skip("this device takes no SPIR-V")
    code = ag.Program(spirv, "spirv").compile(device)
    x = device.to_device(np.ones(100, np.float32))
    code.get_kernel("twice")[2, 64](x, np.int64(100), np.float32(2))  # NumPy's types are the signature
    with pytest.raises(ag.ArgumentError) as caught:
        code.get_kernel("twice")[2, 64](x, 100, 2.0)
    assert str(caught.value) == (
        "argument 2 is a int, and the code does not tell which C type it should have\n  hint: pass np.int32(100) or np.int64(100)"
    )
    typed = code.get_kernel("twice", [ag.Parameter("P", 8, "x"), ag.Parameter("q", 8, "n"), ag.Parameter("f", 4, "a")])
    typed[2, 64](x, 100, 2.0)
    assert (x.to_numpy(np.float32) == 4).all()


def test_kernels_reach_host_memory_where_the_device_says_so(device, spirv):
    if not device.capabilities.host_pointers or "spirv" not in device.capabilities.formats:
        pytest.skip("this device does not reach host memory")
    kernel = ag.Program(spirv, "spirv").compile(device).get_kernel("twice")
    launch = kernel.prepare((ag.Parameter("P", 8), ag.Parameter("q", 8), ag.Parameter("f", 4)))
    host, stream = np.ones(100, np.float32), device.create_stream()
    stream.submit(launch, (2, 1, 1), (64, 1, 1), 0, (device.driver.argument(host.ctypes.data, host.nbytes), 100, 3.0))
    stream.synchronize()
    assert (host == 3).all()


def test_a_device_without_spirv_says_so(device, monkeypatch):
    import dataclasses

    old = dataclasses.replace(device.properties, driver_version="OpenCL 3.0 PoCL 3.1 Linux", model="pthread")
    monkeypatch.setattr(device.driver, "properties", old)
    monkeypatch.setattr(device.driver, "capabilities", dataclasses.replace(device.capabilities, formats=("opencl",)))
    with pytest.raises(ag.errors.DeviceError) as caught:
        ag.Program(b"\x03\x02\x23\x07", "spirv").compile(device).get_kernel("f")
    assert str(caught.value) == (
        "opencl:0 (pthread) takes no SPIR-V, which Python kernels are compiled to; OpenCL C works\n"
        "  hint: use PoCL 4 or later, or Intel's runtime (anygpu[opencl-cpu])"
    )


def test_another_driver_version_is_another_key():
    from anygpu.runtime.base import Request
    from anygpu.runtime.program import cache_key

    request = Request("kernel void f() {}", "opencl", "f.cl")
    assert cache_key(request, "driver 1.0", "OpenCL 3.0") != cache_key(request, "driver 1.1", "OpenCL 3.0")


# ----------------------------------------------------------------------------------------------------------------------- templates


@pytest.fixture
def quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ag.CopyWarning)
        yield


def test_raw_kernel(device):
    kernel = ag.RawKernel("kernel void f(global int *x, int a) { x[get_global_id(0)] += a; }", "f")
    x = device.to_device(np.zeros(64, np.int32))
    kernel((2,), (32,), (x, 3))
    kernel(2, 32, (x, 4), stream=device.default_stream)
    assert (x.to_numpy(np.int32) == 7).all() and repr(kernel) == "<RawKernel f, compiled for opencl:0>"


def test_elementwise(device, quiet):
    kernel = ag.ElementwiseKernel("T x, float32 y, raw float32 table", "T z", "z = (x - y) * table[i % 2]", "scaled")
    x, table = np.arange(6, dtype=np.float32).reshape(2, 3), np.array([1, 10], np.float32)
    with device:
        np.testing.assert_array_equal(kernel(x, 1.0, table), (x - 1) * np.array([[1, 10, 1], [10, 1, 10]]))
        np.testing.assert_array_equal(kernel(x[:, :1], x, table).shape, (2, 3))
    two = ag.ElementwiseKernel("float32 x", "float32 y, int32 c", "y = x + n; c = i", "two")
    y, c = two(device.to_device(np.arange(5, dtype=np.float32)))
    assert y.to_numpy(np.float32).tolist() == [5, 6, 7, 8, 9] and c.to_numpy(np.int32).tolist() == [0, 1, 2, 3, 4]
    out = np.zeros(3, np.float64)
    assert ag.ElementwiseKernel("T x", "T y", "y = x * x", "squares")(np.arange(3.0), out, stream=device.default_stream) is out
    assert out.tolist() == [0, 1, 4]


def test_elementwise_refusals(device):
    kernel = ag.ElementwiseKernel("T x, T y", "T z", "z = x + y", "add")
    x = np.zeros(3, np.float32)
    with device:
        with pytest.warns(ag.CopyWarning, match="arguments of add are NumPy arrays: they are copied to opencl:0 and back") as caught:
            kernel(x, x)
        assert [w.filename for w in caught] == [__file__]
        with pytest.raises(ag.ArgumentError, match="add takes 2 inputs, or those and 1 outputs, not 1 arguments"):
            kernel(x)
        with pytest.raises(ag.ArgumentError, match="add: argument 'y' is float64, and float32 is declared: convert it with astype"):
            kernel(x, x.astype(np.float64))
        with pytest.raises(ag.ArgumentError, match="add: no argument says what type T is\n  hint: declare 'x' with a dtype"):
            kernel(device.allocate(4), device.allocate(4))
    with pytest.raises(ag.errors.DeviceError, match="cpu compiles no source"):
        kernel(x, x, stream=ag.Device("cpu").default_stream)
    with pytest.raises(ValueError, match="'float32' is no parameter: it looks like"):
        ag.ElementwiseKernel("float32", "T z", "z = 1")


def test_reduction(device, quiet):
    x = np.random.default_rng(1).standard_normal((30, 700)).astype(np.float32)
    norm = ag.ReductionKernel("T x", "T y", "x * x", "a + b", "y = sqrt(a)", "0", "norm")
    with device:
        np.testing.assert_allclose(norm(x), np.linalg.norm(x), rtol=1e-6)
        np.testing.assert_allclose(norm(x, axis=0), np.linalg.norm(x, axis=0), rtol=1e-6)
        np.testing.assert_allclose(norm(x.T, axis=-2, keepdims=True), np.linalg.norm(x.T, axis=0, keepdims=True), rtol=1e-6)
        assert norm(x[:0], axis=0).tolist() == [0] * 700
        largest = ag.ReductionKernel("int32 x, int32 m", "int64 y", "x % m", "max(a, b)", "y = a", -1, "largest")
        assert largest(np.arange(100, dtype=np.int32), 37) == 36
        with pytest.raises(ag.ArgumentError, match="axis 2 does not fit an array with 2 axes"):
            norm(x, axis=2)
    total = ag.ReductionKernel("float32 x", "float32 y", "x", "a + b", "y = a", 0, "total")(device.to_device(np.ones(1000, np.float32)))
    assert total.to_numpy(np.float32).tolist() == [1000]
