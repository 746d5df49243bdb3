"""The vendors' libraries without hardware, on stand-ins that compute with NumPy: what our arguments mean, in which order calls come,
what becomes of handles, plans and work areas, and what happens where there is no library, or one that fails."""

import ctypes
import gc
import os
import re
import threading
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import anygpu as ag
from anygpu.arrays import fourier, matmul, matmul_kernels
from anygpu.cli import info
from anygpu.config import Config
from anygpu.drivercodes import TABLES
from anygpu.runtime import cuda, device, device_blas, device_fft, device_libraries, discovery, hip, vendor_libraries
from anygpu.runtime.device_fft import Rows
from anygpu.runtime.vendor_libraries import INTERFACES, Library

from .standin import StandIn
from .standin_libraries import PROTOTYPES, StandInLibrary, c_type, prototypes

BACK_ENDS = {"cuda": cuda, "hip": hip}
REAL = {"float32": np.float32, "float64": np.float64}
DTYPES = {**REAL, "float16": np.float16, "complex64": np.complex64, "complex128": np.complex128}


@pytest.fixture(params=["cuda", "hip"])
def driver(request, monkeypatch):
    """A stand-in driver with its two libraries, ``driver.blas`` and ``driver.fft``; ``driver.own`` holds launches of own products."""
    api = request.param
    standin = StandIn({"cuda": "cu", "hip": "hip"}[api])
    standin.api, standin.own = api, []
    standin.blas, standin.fft = (StandInLibrary(INTERFACES[api, kind].api, standin) for kind in ("blas", "fft"))
    standin.here = {file: one.library for one in (standin.blas, standin.fft) for file in interface(one.api).files}

    def open_library(path):
        if path not in standin.here:
            raise OSError(f"{path}: cannot open shared object file")
        return standin.here[path]

    class Own:
        def __getitem__(self, configuration):
            return lambda *arguments: standin.own.append(len(arguments))

    with monkeypatch.context() as patch:
        patch.setattr(discovery, "_found", {**discovery._found, api: BACK_ENDS[api].discover_with(standin)})
        patch.setattr(device, "_devices", dict(device._devices))
        patch.setattr(vendor_libraries, "open_library", open_library)
        patch.setattr(vendor_libraries, "_in_wheels", lambda name: None)
        patch.setattr(matmul, "multiply", Own())
        vendor_libraries._load.cache_clear()
        standin.calls.clear()
        yield standin
    vendor_libraries._load.cache_clear()


@pytest.fixture
def gpu(driver):
    return ag.Device(driver.api)


def interface(api):
    return next(known for known in INTERFACES.values() if known.api == api)


def elements(x):
    """An array's elements, read from the memory itself: a stand-in runs no kernel that could put them in order."""
    found = x.__anygpu_array__()
    whole = found.buffer.to_numpy(np.uint8)
    return np.lib.stride_tricks.as_strided(whole.view(x.dtype) if x.size else np.empty(0, x.dtype), x.shape, x.strides).copy()


def numbers(dtype, shape, seed=0):
    """Small whole numbers, with which every order of sums gives the same."""
    random = np.random.default_rng(seed)
    found = random.integers(-3, 4, shape).astype(np.float32)
    if np.dtype(dtype).kind == "c":
        found = found + 1j * random.integers(-3, 4, shape)
    return found.astype(dtype)


def names(driver, *wanted):
    return [call[0] for call in driver.calls if not wanted or call[0] in wanted]


# ---------------------------------------------------------------------------------------------------------------- products of matrices

VIEWS = {
    "plain": lambda x: x, "a row of each": lambda x: x[:, :1], "a column of each": lambda x: x[:, :, 2:3],
    "columns": lambda x: x[:, :, 1:4],
    "every other row": lambda x: x[:, ::2], "every other matrix": lambda x: x[::2], "one": lambda x: x[1], "of one axis": lambda x: x[1, 2],
}  # fmt: skip
TURNED = {"as it lies": lambda x: x, "transposed": lambda x: x.swapaxes(-1, -2) if x.ndim > 1 else x}


def laid_out(host, gpu, turned):
    """A matrix, or several, on a device, with its columns as lines if ``turned``."""
    return ag.asarray(host.swapaxes(-1, -2).copy(), device=gpu).swapaxes(-1, -2) if turned else ag.asarray(host, device=gpu)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("turned", TURNED)
@pytest.mark.parametrize("view", VIEWS)
def test_products_of_views_need_no_copies(driver, gpu, dtype, view, turned):
    host = numbers(DTYPES[dtype], (4, 5, 6))
    x = TURNED[turned](VIEWS[view](host))
    there = TURNED[turned](VIEWS[view](ag.asarray(host, device=gpu)))
    k, m = x.shape[-1], x.shape[0 if x.ndim == 1 else -2]
    for turn in (False, True):
        for right in (numbers(DTYPES[dtype], (k, 3), 1), numbers(DTYPES[dtype], (k, 1), 2)):
            np.testing.assert_array_equal(elements(there @ laid_out(right, gpu, turn)), x @ right)
        for left in (numbers(DTYPES[dtype], (3, m), 3), numbers(DTYPES[dtype], (1, m), 4)):
            np.testing.assert_array_equal(elements(laid_out(left, gpu, turn) @ there), left @ x)
    for vector in (numbers(DTYPES[dtype], k, 5),):
        np.testing.assert_array_equal(elements(there @ ag.asarray(vector, device=gpu)), x @ vector)
    assert (there @ there.swapaxes(-1, -2) if x.ndim > 1 else there @ there).dtype == host.dtype
    assert not driver.own and not driver.launched and "MemcpyDtoDAsync" not in names(driver)


def test_bfloat16(driver, gpu):
    """Which `matmul` computes in float32, as NumPy does: the library is asked directly."""
    a, b = numbers(ml_dtypes.bfloat16, (2, 3, 4)), numbers(ml_dtypes.bfloat16, (4, 5), 1)
    out = gpu.allocate(2 * 2 * 3 * 5)
    left, right = matmul.Matrices(gpu.to_device(a), False, 4, 12), matmul.Matrices(gpu.to_device(b), False, 5, 0)
    assert gpu.libraries.blas.multiply("bfloat16", 2, 3, 5, 4, left, right, out)
    np.testing.assert_array_equal(out.to_numpy(ml_dtypes.bfloat16, (2, 3, 5)), (a.astype("f4") @ b.astype("f4")).astype(ml_dtypes.bfloat16))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("api", ["cuda", "hip"])
def test_whatever_layout_is_given_is_a_stack_of_columns_or_rows(api, data):
    """`layout` says how a matrix lies, or that it lies otherwise: read as it says, the elements are the matrix's."""
    rows, columns = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4))
    down, right = data.draw(st.integers(-2, 9)), data.draw(st.integers(-2, 9))
    found = matmul.layout(rows, columns, down, right)
    distinct = len({i * down + j * right for i in range(rows) for j in range(columns)}) == rows * columns
    if found is None:
        assert not (right == 1 and down >= columns) and not (down == 1 and right >= rows)
        return
    transposed, line = found
    assert line >= (rows if transposed else columns) >= 1 and distinct  # what the libraries ask for
    for i in range(rows):
        for j in range(columns):
            assert i * down + j * right == (j * line + i if transposed else i * line + j)


def test_one_matrix_for_a_whole_stack(driver, gpu):
    stack, one = numbers("f4", (3, 2, 4)), numbers("f4", (4, 5), 1)
    np.testing.assert_array_equal(elements(ag.asarray(stack, device=gpu) @ ag.asarray(one, device=gpu)), stack @ one)
    found = laid_out(one.T, gpu, True) @ laid_out(stack.swapaxes(1, 2), gpu, True)
    np.testing.assert_array_equal(elements(found), one.T @ stack.swapaxes(1, 2))
    products = [call[1:] for call in driver.calls if call[0] == "GemmStridedBatchedEx"]
    assert [(call[10], call[14]) for call in products] == [(0, 8), (8, 0)]  # the distances of both operands, the right one first


def test_integers_and_bools_are_own_products(driver, gpu):
    for dtype in ("int32", "bool", "uint8"):
        x = ag.asarray(np.ones((2, 2), dtype), device=gpu)
        assert (x @ x).shape == (2, 2)
    assert len(driver.own) == 3 and not driver.blas.made


def test_a_handle_is_made_once_and_the_stream_set_for_each_product(driver, gpu):
    x = ag.asarray(np.ones((2, 2), "f4"), device=gpu)
    driver.calls.clear()
    x @ x
    x @ x
    mode = {"cuda": ("SetMathMode", 16), "hip": ("SetAtomicsMode", 0)}[driver.api]
    called = [call for call in driver.calls if call[0] in ("Create", "SetStream", "GemmStridedBatchedEx", mode[0])]
    assert [call[0] for call in called] == ["Create", mode[0], *("SetStream", "GemmStridedBatchedEx") * 2]
    assert called[1][2] == mode[1]
    (handle,) = driver.blas.alive
    assert {call[1] for call in called[1:]} == {handle}
    assert {call[2] for call in called if call[0] == "SetStream"} == {int(gpu.default_stream.handle)}
    before = [driver.calls[n - 1] for n, call in enumerate(driver.calls) if call[0] in ("Create", "SetStream", "GemmStridedBatchedEx")]
    assert {call[0] for call in before} == {{"cuda": "CtxSetCurrent", "hip": "SetDevice"}[driver.api]}  # each on its device


def test_a_library_waits_for_the_streams_that_were_given_arrays(driver, gpu):
    x = ag.asarray(np.ones((2, 2), "f4"), device=gpu)
    other = gpu.create_stream()
    for call, done in ((lambda: x @ x, "GemmStridedBatchedEx"), (lambda: np.fft.rfft(x), "ExecR2C")):
        call()
        gpu.lend(other)
        driver.calls.clear()
        call()
        assert names(driver, "EventRecord", "StreamWaitEvent", done) == ["EventRecord", "StreamWaitEvent", done]
        assert [call[2] for call in driver.calls if call[0] == "EventRecord"] == [other.handle]


def test_an_own_kernel_waits_for_them_too(driver, gpu):
    other = gpu.create_stream()
    gpu.lend(other)
    driver.calls.clear()
    if driver.api == "cuda":  # code for AMD's devices needs a linker, which may not be here
        x = ag.asarray(np.ones((1, 2, 2), "i4"), device=gpu)
        matmul_kernels.multiply[1, (16, 16)](x, x, x, np.int32)
        assert names(driver)[-1] == "LaunchKernel"
    else:
        gpu.lend(gpu.default_stream)  # as its launch does
    assert names(driver, "EventRecord", "StreamWaitEvent", "LaunchKernel")[:2] == ["EventRecord", "StreamWaitEvent"]
    assert not gpu.visitors


def test_devices_have_handles_of_their_own(driver):
    for n in range(2):
        x = ag.asarray(np.ones((2, 2), "f4"), device=f"{driver.api}:{n}")
        x @ x
    products = [call[1] for call in driver.calls if call[0] == "GemmStridedBatchedEx"]
    assert len(set(products)) == 2 == len(driver.blas.alive)


def test_threads_do_not_come_between_a_stream_and_its_product(driver, gpu):
    x = ag.asarray(np.ones((2, 2), "f4"), device=gpu)
    x @ x
    driver.calls.clear()
    threads = [threading.Thread(target=lambda: [x @ x for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert names(driver, "SetStream", "GemmStridedBatchedEx") == ["SetStream", "GemmStridedBatchedEx"] * 80
    assert len(driver.blas.alive) == 1


def test_what_the_library_refuses_is_an_own_product(driver, gpu):
    x = ag.asarray(np.ones((2, 2), "f2"), device=gpu)
    for code in sorted(interface(driver.blas.api).refusals):
        driver.blas.fail = {"GemmStridedBatchedEx": code}
        assert (x @ x).shape == (2, 2)
    assert len(driver.own) == len(interface(driver.blas.api).refusals)
    blas, buffer = gpu.libraries.blas, x.__anygpu_array__().buffer
    calls = len(driver.calls)
    operand = matmul.Matrices(buffer, False, 2, 0)
    assert not blas.multiply("float32", 1, 2, 1 << 31, 2, operand, operand, buffer)  # C's ints end before
    assert len(driver.calls) == calls


def test_what_fails_in_the_library_is_explained(driver, gpu):
    x = ag.asarray(np.ones((2, 3), "f4"), device=gpu)
    driver.blas.fail = {"GemmStridedBatchedEx": {"cuda": 13, "hip": 5}[driver.api]}
    with pytest.raises(ag.errors.DriverError) as caught:
        x @ x.T
    title, prefix, call = {
        "cuda": ("cuBLAS", "CUBLAS", "cublasGemmStridedBatchedEx"), "hip": ("hipBLAS", "HIPBLAS", "hipblasGemmStridedBatchedEx"),
    }[driver.api]  # fmt: skip
    assert str(caught.value) == (
        f"{title}: {call} failed with {prefix}_STATUS_EXECUTION_FAILED: a kernel of the library failed\n"
        "  1 products of 2 x 3 by 3 x 2 in float32\n"
        "  hint: an earlier kernel may have failed: synchronise before the call to see; "
        "ANYGPU_LIBRARIES=0 computes with anygpu's own kernels"
    )
    driver.blas.fail = {}
    assert (x @ x.T).shape == (2, 2) and not driver.own


def test_without_memory_for_a_handle_cached_memory_is_given_back(driver, gpu):
    x = ag.asarray(np.ones((2, 2), "f4"), device=gpu)
    lacks = interface(driver.blas.api).memory
    gpu.allocate(1000).close()
    assert gpu.pool.statistics.cached
    create = driver.blas.Create

    def only_once_trimmed(out):
        return lacks if gpu.pool.statistics.cached else create(out)

    driver.blas.Create = only_once_trimmed
    x @ x
    assert driver.blas.alive and not driver.own
    device._devices.pop(gpu.name)
    again = ag.Device(gpu.name)
    driver.blas.Create, driver.blas.fail = create, {"Create": lacks}
    x = ag.asarray(np.ones((2, 2), "f4"), device=again)
    x @ x
    assert len(driver.own) == 1
    driver.blas.fail = {}
    x @ x  # there is memory now
    assert len(driver.own) == 1


def test_a_product_in_a_capture(driver, gpu):
    x = ag.asarray(np.ones((2, 2), "f4"), device=gpu)
    with gpu.default_stream.capture() as graph:
        found = x @ x
    kept = graph.kept
    memory = found.__anygpu_array__().buffer
    assert any(getattr(one, "address", None) == memory.address for one in kept) and names(driver, "GemmStridedBatchedEx")


# ----------------------------------------------------------------------------------------------------------------- Fourier transforms


@pytest.mark.parametrize("dtype", ["complex64", "complex128"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 8), (2, 7), (5, 12), (4, 97)])
def test_transforms(driver, gpu, dtype, shape):
    host = np.random.default_rng(0).standard_normal((2, *shape)).astype(dtype)
    host += 1j * np.random.default_rng(1).standard_normal(host.shape)
    there = ag.asarray(host, device=gpu)
    tolerance = 1e-5 if dtype == "complex64" else 1e-12
    for views in (lambda x: x[0], lambda x: x, lambda x: x[0].T, lambda x: x[:, 0, :], lambda x: x[1, ::2], lambda x: x[1, :, ::2]):
        x, y = views(host), views(there)
        for axis in (-1, 0) if x.ndim == 2 else (-1,):
            np.testing.assert_allclose(elements(np.fft.fft(y, axis=axis)), np.fft.fft(x, axis=axis), rtol=tolerance, atol=tolerance * 10)
            want = np.fft.ifft(x, axis=axis, norm="forward")
            np.testing.assert_allclose(elements(np.fft.ifft(y, axis=axis, norm="forward")), want, rtol=tolerance, atol=tolerance * 10)
    assert not driver.launched


@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize("n", [1, 2, 5, 8, 12])
def test_transforms_of_real_rows(driver, gpu, dtype, n):
    host = np.random.default_rng(0).standard_normal((3, n)).astype(dtype)
    there = ag.asarray(host, device=gpu)
    tolerance = 1e-5 if dtype == "float32" else 1e-12
    found = np.fft.rfft(there)
    assert found.dtype == {"float32": "complex64", "float64": "complex128"}[dtype]
    np.testing.assert_allclose(elements(found), np.fft.rfft(host), rtol=tolerance, atol=tolerance * 10)
    np.testing.assert_allclose(elements(np.fft.rfft(there, axis=0)), np.fft.rfft(host, axis=0), rtol=tolerance, atol=tolerance * 10)
    back, fft = ag.empty((3, n), dtype, device=gpu), gpu.libraries.fft
    assert fft.transform(3, n, fourier._rows(found), fourier._rows(back), 1)
    np.testing.assert_allclose(elements(back), host * n, rtol=tolerance, atol=tolerance * 100)
    assert not driver.launched


def test_backwards_rows_are_copied(driver, gpu, monkeypatch):
    copied = []
    monkeypatch.setattr(ag.ndarray, "copy", lambda x: copied.append(x.strides) or ag.empty(x.shape, x.dtype, device=gpu))
    x = ag.asarray(np.ones((3, 4), "c8"), device=gpu)
    for view in (x[::-1], x[:, ::-1], ag.broadcast_to(x[0], (3, 4))):
        np.fft.fft(view)
    r = ag.asarray(np.ones(9, "f4"), device=gpu)
    np.fft.rfft(r[1:])  # which begins between two complex numbers
    np.fft.rfft(r[2:])
    y = ag.asarray(np.ones((3, 4), "f4"), device=gpu)
    assert (y[:, ::-1] @ y.T).shape == (3, 3) and (y[:, ::2] @ y.T[::2]).shape == (3, 3)
    z = ag.asarray(np.ones((2, 2, 2), "f4"), device=gpu)
    assert (z[::-1] @ z).shape == (2, 2, 2)
    assert copied == [(-32, 8), (32, -8), (0, 8), (0, 4), (0, 16, -4), (0, 16, 8), (0, 8, 16), (-16, 8, 4)]


def test_what_is_real_by_meaning_is_made_so_before_a_transform_to_real_rows(driver, gpu, monkeypatch):
    """The library is given a copy, whose elements without a conjugate have no imaginary part."""
    given = []
    monkeypatch.setattr(fourier, "_by_library", lambda x, *rest: given.append(x) or x)
    for n, real in ((8, [0, 4]), (9, [0])):
        host = np.arange(10).reshape(2, 5) * (1 + 1j)
        want = host.copy()
        want[:, real] = want[:, real].real
        np.testing.assert_array_equal(given_on_cpu(host, n, monkeypatch), want)
        np.testing.assert_array_equal(host, np.arange(10).reshape(2, 5) * (1 + 1j))


def given_on_cpu(host, n, monkeypatch):
    """What `_to_real` gives a library, with an array of the CPU, whose kernels run, in place of the device's."""
    x = ag.asarray(host)
    with monkeypatch.context() as patch:
        patch.setattr(x.device.libraries, "_started", {"fft": object.__new__(device_fft.Fft)})
        return np.asarray(fourier._to_real(x, n))


def test_plans_are_remembered_and_the_oldest_destroyed(driver, gpu, monkeypatch):
    monkeypatch.setattr(device_fft, "MOST_PLANS", 2)
    x = {n: ag.asarray(np.ones((2, n), "c8"), device=gpu) for n in (4, 8, 16)}
    for n in (4, 8, 4, 4):
        np.fft.fft(x[n])
        np.fft.ifft(x[n], norm="forward")
    assert names(driver).count("MakePlanMany64") == 2
    np.fft.fft(x[16])  # the plan of 8 is forgotten, though its work may not be done
    assert len(driver.fft.alive) == 3
    gpu.synchronize()
    gpu.default_stream.synchronize()
    gc.collect()
    assert sorted(plan["n"] for plan in driver.fft.alive.values()) == [4, 16]
    np.fft.fft(x[8])
    assert names(driver).count("MakePlanMany64") == 4


def test_a_work_area_is_the_pools_and_serves_one_transform(driver, gpu):
    x = ag.asarray(np.ones((2, 12), "c8"), device=gpu)
    np.fft.fft(x)
    driver.calls.clear()
    misses = gpu.pool.statistics.misses
    np.fft.fft(x)
    assert gpu.pool.statistics.misses == misses  # memory of the last one, in the order of the stream
    assert names(driver, "SetStream", "SetWorkArea", "ExecC2C") == ["SetStream", "SetWorkArea", "ExecC2C"]
    with gpu.default_stream.capture() as graph:
        found = np.fft.fft(x)
    kept = [getattr(one, "address", None) for one in graph.kept]
    assert {y.__anygpu_array__().buffer.address for y in (x, found)} <= set(kept)
    area = [call[2] for call in driver.calls if call[0] == "SetWorkArea"][-1]
    assert area in kept
    assert any(isinstance(one, device_fft._Plan) for one in graph.kept)
    assert area in driver.alive
    del graph


def test_plans_go_before_their_device(driver):
    gpu = ag.Device(driver.api)
    x = ag.asarray(np.ones((2, 12), "c8"), device=gpu)
    np.fft.fft(x)
    x @ x.T
    gpu.default_stream.synchronize()
    assert driver.fft.alive and driver.blas.alive
    del device._devices[gpu.name], gpu, x
    gc.collect()
    assert not driver.fft.alive and not driver.blas.alive


def test_finalizers_leave_a_lost_device_alone(driver, gpu):
    x = ag.asarray(np.ones((2, 12), "c8"), device=gpu)
    np.fft.fft(x)
    driver.fail = {"StreamSynchronize": 700}
    with pytest.raises(ag.errors.DeviceLostError):
        gpu.default_stream.synchronize()
    calls = len(driver.calls)
    for count in (1, 2):  # with a plan that would have to be made, and with one that there is
        with pytest.raises(ag.errors.DeviceLostError):
            gpu.libraries.fft.transform(count, 12, fourier._rows(x), fourier._rows(x), 1)
    y = matmul.Matrices(x.__anygpu_array__().buffer, False, 2, 0)
    with pytest.raises(ag.errors.DeviceLostError):
        gpu.libraries.blas.multiply("float32", 1, 2, 2, 2, y, y, y.buffer)
    gpu.libraries.fft._plans.clear()
    gc.collect()
    assert len(driver.calls) == calls


def test_a_child_of_fork_waits_for_no_lock(driver, gpu):
    x = ag.asarray(np.ones((2, 2), "c8"), device=gpu)
    x @ x
    np.fft.fft(x)
    with gpu.libraries.blas._lock, gpu.libraries.fft._lock:  # as another thread of the parent held them
        gpu.driver.fault = ag.errors.ForkError("forked")
        operand = matmul.Matrices(x._storage.node.place.memory.buffer, False, 2, 0)
        for use in (
            lambda: gpu.libraries.blas.multiply("complex64", 1, 2, 2, 2, operand, operand, operand.buffer),
            lambda: gpu.libraries.fft.transform(2, 2, fourier._rows(x), fourier._rows(x), 1),
        ):
            with pytest.raises(ag.errors.ForkError):
                use()


def test_lengths_that_the_library_refuses_are_own_transforms(driver, gpu):
    rows = Rows(gpu.allocate(64), "complex64", 1, 8)
    for code in sorted(interface(driver.fft.api).refusals):
        driver.fft.fail = {"MakePlanMany64": code}
        assert not gpu.libraries.fft.transform(1, 8, rows, rows, -1)
        assert not driver.fft.alive and not gpu.libraries.fft._plans  # a plan that was not made is destroyed
    driver.fft.fail = {"ExecC2C": 6}
    with pytest.raises(ag.errors.DriverError, match=r"FFT: \w+FFT|fftExecC2C failed with \w+_EXEC_FAILED: a kernel of the library failed"):
        gpu.libraries.fft.transform(1, 8, rows, rows, -1)


def test_without_memory_plans_are_forgotten(driver, gpu):
    library = gpu.libraries.fft
    rows = Rows(gpu.allocate(1024), "complex64", 1, 8)
    assert library.transform(1, 8, rows, rows, -1)
    make = driver.fft.MakePlanMany64
    driver.fft.MakePlanMany64 = lambda plan, *rest: 2 if len(driver.fft.alive) > 1 else make(plan, *rest)
    driver.calls.clear()
    assert library.transform(1, 16, rows, rows, -1)
    assert len(driver.fft.alive) == 1
    synchronize = {"cuda": "CtxSynchronize", "hip": "DeviceSynchronize"}[driver.api]
    assert names(driver, synchronize, "Destroy", "ExecC2C") == ["Destroy", synchronize, "Destroy", "ExecC2C"]  # the new one, the old one


# ------------------------------------------------------------------------------------------------------------- which libraries there are


def test_where_there_is_no_library(driver, gpu):
    driver.here.clear()
    x = ag.asarray(np.ones((2, 2), "f4"), device=gpu)
    x @ x
    assert len(driver.own) == 1 and gpu.libraries.blas is None and gpu.libraries.fft is None
    assert gpu.libraries.describe() == {
        "cuda": "products of matrices: own kernels (cuBLAS is not here: pip install 'anygpu[cuda-libraries]'); "
        "Fourier transforms: own kernels (cuFFT is not here: pip install 'anygpu[cuda-libraries]')",
        "hip": "products of matrices: own kernels (hipBLAS is not here: it comes with ROCm); "
        "Fourier transforms: own kernels (hipFFT is not here: it comes with ROCm)",
    }[driver.api]


def test_a_library_that_lacks_a_function(driver, gpu):
    for name in vars(driver.blas.library).copy():
        if "Gemm" in name:
            delattr(driver.blas.library, name)
    assert gpu.libraries.blas is None and gpu.libraries.fft is not None
    assert f"own kernels ({next(iter(interface(driver.blas.api).files))} lacks a function: " in gpu.libraries.describe()


def test_a_library_that_lacks_another(driver, gpu, monkeypatch):
    def open_library(path):
        raise OSError("libother.so.1: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(vendor_libraries, "open_library", open_library)
    first = next(iter(interface(driver.blas.api).files))
    reason = f"{first} does not load: libother.so.1: cannot open shared object file: No such file or directory"
    assert f"products of matrices: own kernels ({reason}); " in gpu.libraries.describe()


def test_a_library_that_does_not_start(driver, gpu):
    """As one does that is newer than the driver."""
    driver.blas.fail, driver.fft.fail = {"Create": 1}, {"Create": 5}
    x = ag.asarray(np.ones((2, 2), "f4"), device=gpu)
    x @ x
    x @ x
    assert len(driver.own) == 2 and names(driver).count("Create") == 1 and gpu.libraries.fft is None
    blas, fft = {"cuda": ("cublasCreate_v2", "cufftCreate"), "hip": ("hipblasCreate", "hipfftCreate")}[driver.api]
    assert gpu.libraries.describe() == (
        f"products of matrices: own kernels ({blas} failed with {driver.blas.api.upper()}_STATUS_NOT_INITIALIZED); "
        f"Fourier transforms: own kernels ({fft} failed with {driver.fft.api.upper()}_INTERNAL_ERROR)"
    )


def test_a_device_that_is_out_of_order_is_an_error(driver, gpu):
    driver.fail = {"CtxSetCurrent": 201, "SetDevice": 101}
    for kind in ("blas", "fft"):
        with pytest.raises(ag.errors.DriverError) as caught:
            getattr(gpu.libraries, kind)
        assert caught.value.name == {"cuda": "CUDA_ERROR_INVALID_CONTEXT", "hip": "hipErrorInvalidDevice"}[driver.api]
    driver.fail = {}
    assert gpu.libraries.blas is not None


def test_libraries_are_turned_off(driver, gpu, monkeypatch):
    off = Config.from_environment({**os.environ, "ANYGPU_LIBRARIES": "off"})
    monkeypatch.setattr(device_libraries, "config", lambda: off)
    x = ag.asarray(np.ones((2, 2), "f4"), device=gpu)
    x @ x
    assert len(driver.own) == 1 and not driver.blas.made
    assert gpu.libraries.describe() == "own kernels: ANYGPU_LIBRARIES is off"


def test_info_has_a_line(driver, gpu):
    blas, fft = {"cuda": ("cuBLAS 1.2.3", "cuFFT 1.2.3"), "hip": ("hipBLAS (libhipblas.so.3)", "hipFFT 1.2.3")}[driver.api]
    assert info.gather()[f"Device {gpu.name}"]["libraries"] == f"products of matrices: {blas}; Fourier transforms: {fft}"
    assert not driver.blas.made and not driver.fft.made  # it starts none
    assert info.gather()["Device cpu"]["libraries"] == "NumPy's BLAS, LAPACK and FFT"


def test_older_libraries_are_found_by_their_names(driver, gpu):
    newest, *older = interface(driver.blas.api).files
    del driver.here[newest]
    x = ag.asarray(np.ones((2, 2), "f4"), device=gpu)
    x @ x
    assert not driver.own and gpu.libraries.blas.library.file == older[0]
    expected = {"cuda": "cublasGemmStridedBatchedEx", "hip": "hipblasGemmStridedBatchedEx_v2"}[driver.api]
    assert gpu.libraries.blas.library.names["GemmStridedBatchedEx"] == expected


def test_where_rocm_may_be(monkeypatch, tmp_path):
    monkeypatch.setenv("ROCM_PATH", str(tmp_path))
    found = vendor_libraries.candidates(INTERFACES["hip", "blas"])
    assert found == ["libhipblas.so.3", "libhipblas.so.2", f"{tmp_path}/lib/libhipblas.so.3", f"{tmp_path}/lib/libhipblas.so.2"]


def test_wheels_come_first(monkeypatch):
    monkeypatch.setattr(vendor_libraries, "_in_wheels", lambda name: f"/wheels/lib{name}.so.13")
    assert vendor_libraries.candidates(INTERFACES["cuda", "blas"]) == ["/wheels/libcublas.so.13", "libcublas.so.13", "libcublas.so.12"]
    assert vendor_libraries.candidates(INTERFACES["cuda", "fft"]) == ["libcufft.so.12", "libcufft.so.11"]  # .13 is not known


def test_a_profile_shows_what_the_library_computes(driver, gpu):
    x = ag.asarray(np.ones((3, 4), "f4"), device=gpu)
    with ag.profile() as p:
        x @ x.T
        np.fft.rfft(x)
    found = [(span.kind, span.name, span.size, span.operations) for span in p.spans]
    blas, fft = driver.blas.api, driver.fft.api
    assert found == [
        ("kernel", f"{blas}GemmStridedBatchedEx float32", 4 * (12 + 12 + 9), 2 * 3 * 4 * 3),
        ("kernel", f"{fft}ExecR2C of 4", 3 * (4 * 4 + 3 * 8), 0),
    ]


# ------------------------------------------------------------------------------------------------------------- the interfaces themselves


def plain(arguments):
    return tuple(ctypes.c_void_p if hasattr(kind, "contents") else kind for kind in arguments)


@pytest.mark.parametrize("kind", INTERFACES, ids="-".join)
def test_types_are_those_of_the_prototypes(kind):
    known = INTERFACES[kind]
    for file, other in known.files.items():
        declared = prototypes(PROTOTYPES[known.api])
        for name, arguments in known.signatures.items():
            assert plain(arguments) == declared[known.api + other.get(name, name)], (file, name)


def headers():
    """The folder of CUDA's headers, if NVIDIA's wheels of the libraries are here."""
    nvidia = pytest.importorskip("nvidia")
    found = [path.parent for base in nvidia.__path__ for path in Path(base).glob("**/cublas_api.h")]
    if not found or not (found[0] / "cufft.h").exists():
        pytest.skip("nvidia-cublas and nvidia-cufft are not installed")
    return found[0]


@pytest.mark.parametrize(("kind", "file"), [("blas", "cublas_api.h"), ("fft", "cufft.h")])
def test_nvidias_headers_say_the_same(kind, file):
    known = INTERFACES["cuda", kind]
    text = (headers() / file).read_text()
    declared = prototypes(text)
    for name, arguments in known.signatures.items():
        full = known.api + next(iter(known.files.values())).get(name, name)
        assert plain(arguments) == declared[full], full
    assert c_type("cublasHandle_t* handle") is ctypes.c_void_p


def test_nvidias_headers_have_the_same_numbers():
    text = "".join((headers() / file).read_text() for file in ("cublas_api.h", "cufft.h", "library_types.h"))
    said = {name: int(value, 0) for name, value in re.findall(r"\b(CU\w+)\s*=\s*(-?(?:0x[0-9a-fA-F]+|\d+))", text)}
    numbers = INTERFACES["cuda", "blas"].numbers
    wanted = {"plain": "CUBLAS_OP_N", "transposed": "CUBLAS_OP_T", "float32": "CUBLAS_COMPUTE_32F", "float64": "CUBLAS_COMPUTE_64F"}
    wanted["default"] = "CUBLAS_GEMM_DEFAULT"
    assert numbers == {key: said[name] for key, name in wanted.items()}
    assert said["CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION"] == INTERFACES["cuda", "blas"].mode[1]
    letters = {"float16": "R_16F", "bfloat16": "R_16BF", "float32": "R_32F", "float64": "R_64F"}
    letters |= {"complex64": "C_32F", "complex128": "C_64F"}
    assert {name: row[0] for name, row in device_blas.DTYPES.items()} == {name: said[f"CUDA_{letter}"] for name, letter in letters.items()}
    assert all(said[f"CUFFT_{name}"] == number for name, number in device_fft._TYPES.values())
    for api in ("cublas", "cufft"):
        assert all(said[row.name] == code for code, row in TABLES[api].items())


@pytest.mark.parametrize("kind", ["blas", "fft"])
def test_nvidias_libraries_have_every_function(kind):
    """The real library is loaded: it needs no device for that."""
    known = INTERFACES["cuda", kind]
    path = vendor_libraries._in_wheels(known.api)
    if path is None:
        pytest.skip(f"nvidia-{known.api} is not installed")
    library = Library(known, os.path.basename(path), ctypes.CDLL(path))
    title, version = str(library).split()
    assert title == known.title and [int(part) for part in version.split(".")] > [11]
