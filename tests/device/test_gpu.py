"""The runtime on NVIDIA and AMD hardware: ``pytest --gpu tests/device/test_gpu.py`` on a machine that has some."""

import subprocess
import sys
import textwrap

import numpy as np
import pytest

import anygpu as ag

pytestmark = pytest.mark.gpu

SOURCE = """
template <class T> __global__ void axpy(T a, const T *x, T *y, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] += a * x[i] + OFFSET;
}
extern "C" __global__ void reverse(int *x) {
    extern __shared__ int scratch[];
    scratch[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    x[threadIdx.x] = scratch[blockDim.x - 1 - threadIdx.x];
}
extern "C" __global__ void total(int *x) {
    int value = x[threadIdx.x];
    for (int step = 16; step; step /= 2) value += __shfl_xor_sync(0xffffffff, value, step, 32);
    x[threadIdx.x] = value;
}
extern "C" __global__ void spin(int *x, long long rounds) { for (long long i = 0; i < rounds; i++) atomicAdd(x, 1); }
"""


@pytest.fixture(params=["cuda:0", "hip:0"])
def gpu(request):
    try:
        return ag.Device(request.param)
    except ag.errors.NoDeviceError as reason:
        pytest.skip(str(reason).splitlines()[0])


@pytest.fixture
def code(gpu):
    names = ["axpy<float>", "axpy<double>"]
    return ag.Program(SOURCE, "cuda", defines={"OFFSET": 0}).compile(gpu, names)


def test_copies_fills_and_views(gpu):
    data = np.random.default_rng(0).integers(0, 256, 1 << 20, np.uint8)
    buffer = gpu.to_device(data)
    other = gpu.to_device(buffer[1000:2001])
    np.testing.assert_array_equal(other.to_numpy(np.uint8), data[1000:2001])
    buffer[4:1004].fill(np.int32(-3))
    assert (buffer[4:1004].to_numpy(np.int32) == -3).all()
    np.testing.assert_array_equal(ag.Device("cpu").to_device(buffer).to_numpy(np.uint8)[1004:], data[1004:])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_templates(gpu, code, dtype):
    x, y = gpu.to_device(np.arange(1000, dtype=dtype)), gpu.to_device(np.ones(1000, dtype))
    code.get_kernel(f"axpy<{'float' if dtype is np.float32 else 'double'}>")[4, 256](2.0, x, y, 1000)
    np.testing.assert_array_equal(y.to_numpy(dtype), 1 + 2 * np.arange(1000))


@pytest.mark.parametrize("size", [64, 1024])
def test_dynamic_shared_memory(gpu, code, size):
    x = gpu.to_device(np.arange(size, dtype=np.int32))
    code.get_kernel("reverse")[1, size, None, 4 * size](x)
    np.testing.assert_array_equal(x.to_numpy(np.int32), np.arange(size)[::-1])


def test_as_much_shared_memory_as_there_is(gpu, code):
    x = gpu.to_device(np.arange(64, dtype=np.int32))
    code.get_kernel("reverse")[1, 64, None, gpu.properties.maximum_shared](x)
    np.testing.assert_array_equal(x.to_numpy(np.int32), np.arange(64)[::-1])


def test_warp_operations_mean_the_same_on_both_vendors(gpu, code):
    x = gpu.to_device(np.arange(64, dtype=np.int32))
    code.get_kernel("total")[1, 64](x)
    assert x.to_numpy(np.int32).tolist() == [496] * 32 + [1520] * 32


def test_events_streams_and_graphs(gpu, code):
    spin, a, b = code.get_kernel("spin"), gpu.create_stream(), gpu.create_stream()
    x = gpu.to_device(np.zeros(1, np.int32))
    with a.capture() as graph:
        start = gpu.allocate(4, a)
        spin[1, 1, a](x, 1000)
    before = a.record()
    for _ in range(10):
        graph.replay()
    after = a.record()
    b.wait(after)
    spin[1, 1, b](x, 5)
    b.synchronize()
    assert x.to_numpy(np.int32)[0] == 10_005 and before.elapsed_time(after) > 0 and start.size == 4


def test_the_pool_serves_from_its_cache(gpu):
    gpu.pool.trim()
    before = gpu.pool.statistics
    for _ in range(10):
        gpu.allocate(1 << 20)
    found = gpu.pool.statistics
    assert found.misses - before.misses == 1 and found.hits - before.hits == 9 and gpu.pool.trim() >= 1 << 20


def test_out_of_memory(gpu):
    with pytest.raises(ag.errors.OutOfMemoryError, match="has no room for a buffer of"):
        gpu.allocate(2 * gpu.properties.memory)
    assert gpu.allocate(100).size == 100


def test_templates_in_cupys_form(gpu):
    x = gpu.to_device(np.arange(1000, dtype=np.float32))
    squares = ag.ElementwiseKernel("float32 x", "float32 y", "y = x * x", "squares")
    total = ag.ReductionKernel("float32 x", "float64 y", "x", "a + b", "y = a", 0, "total", reduce_type="float64")
    assert total(squares(x)).to_numpy(np.float64)[0] == 332833500


@pytest.fixture(params=["blas", "fft"])
def kind(request):
    return request.param


def numbers(dtype, shape, seed):
    random = np.random.default_rng(seed)
    found = random.standard_normal(shape)
    return (found + 1j * random.standard_normal(shape) if np.dtype(dtype).kind == "c" else found).astype(dtype)


TOLERANCES = {"float16": 2e-3, "float32": 2e-6, "float64": 1e-14, "complex64": 2e-6, "complex128": 1e-14}


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_products_by_the_library(gpu, dtype):
    if gpu.libraries.blas is None:
        pytest.skip(gpu.libraries.describe())
    a, b = numbers(dtype, (3, 130, 70), 0), numbers(dtype, (70, 65), 1)
    x, y = ag.asarray(a, device=gpu), ag.asarray(b, device=gpu)
    with ag.profile() as p:
        products = [
            (x @ y, a, b), (y.T @ x.swapaxes(1, 2), b.T, a.swapaxes(1, 2)), (x[1, ::2] @ y, a[1, ::2], b), (x[0].T @ x[1], a[0].T, a[1]),
            (x[2, :, 3:40] @ y[3:40], a[2, :, 3:40], b[3:40]), (x[0, 0] @ y, a[0, 0], b), (x @ y[:, 0], a, b[:, 0]),
        ]  # fmt: skip
    assert sum("GemmStridedBatchedEx" in span.name for span in p.spans) == len(products)
    for found, left, right in products:
        want = left.astype(np.complex128) @ right.astype(np.complex128)
        assert found.dtype == dtype and np.abs(np.asarray(found).astype(np.complex128) - want).max() <= TOLERANCES[dtype] * 70


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
def test_transforms_by_the_library(gpu, dtype):
    if gpu.libraries.fft is None:
        pytest.skip(gpu.libraries.describe())
    tolerance, real = TOLERANCES[dtype] * 100, {"complex64": "float32", "complex128": "float64"}[dtype]
    for n in (1, 2, 7, 64, 97, 210, 1009, 4096):
        a, r = numbers(dtype, (3, n), n), numbers(real, (3, n), n)
        x, y = ag.asarray(a, device=gpu), ag.asarray(r, device=gpu)
        half = np.fft.rfft(r).astype(dtype)
        half.imag += 1  # also where it has no meaning
        for found, want in (
            (np.fft.fft(x), np.fft.fft(a)), (np.fft.ifft(x), np.fft.ifft(a)), (np.fft.fft(x, axis=0), np.fft.fft(a, axis=0)),
            (np.fft.fft(x[::2]), np.fft.fft(a[::2])), (np.fft.rfft(y), np.fft.rfft(r)), (np.fft.rfft(y, axis=0), np.fft.rfft(r, axis=0)),
            (np.fft.irfft(ag.asarray(half, device=gpu), n), np.fft.irfft(half, n)),
        ):  # fmt: skip
            assert found.dtype.itemsize == (8 if found.dtype.kind == "c" else 4) * (2 if dtype == "complex128" else 1)
            assert np.abs(np.asarray(found) - want).max() <= tolerance * max(1, np.abs(want).max())
        np.testing.assert_array_equal(np.asarray(x), a)  # no transform writes what it is given
        np.testing.assert_array_equal(np.asarray(y), r)


def test_libraries_in_a_graph(gpu, kind):
    if getattr(gpu.libraries, kind) is None:
        pytest.skip(gpu.libraries.describe())
    work = (lambda x: x @ x) if kind == "blas" else np.fft.fft
    x = ag.asarray(numbers("complex64", (12, 12), 0), device=gpu)
    want = np.asarray(work(x))
    gpu.synchronize()
    with gpu.default_stream.capture() as graph:
        found = work(x)
    graph.replay()
    np.testing.assert_array_equal(np.asarray(found), want)


def test_an_illegal_address_loses_the_device(gpu):
    """In a process of its own: the device's context does not survive it."""
    code = f"""
        import numpy as np, anygpu as ag
        device = ag.Device({gpu.name!r})
        source = 'extern "C" __global__ void bad(long long at) {{{{ *(int *)at = 1; }}}}'
        ag.Program(source, "cuda").compile(device).get_kernel("bad")[1, 1](8)
        for use in (device.synchronize, lambda: device.allocate(4)):
            try:
                use()
            except ag.errors.DeviceLostError as error:
                print(error.name)
    """.replace("{{", "{").replace("}}", "}")
    found = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=120)
    assert found.returncode == 0 and len(set(found.stdout.split())) == 1 and len(found.stdout.split()) == 2
