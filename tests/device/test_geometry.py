"""Where the blocks of a launch lie on a device: longer lines on a CPU, grids along x where y or z would be too long; and SPIR-V that names
LLVM's intrinsics. None of it can be told from the results, nor from the messages."""

import struct
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import anygpu as ag
from anygpu.codegen.device import DeviceOptions
from anygpu.codegen.offline import compile_device, recipe
from anygpu.codegen.simt import emit_device
from anygpu.engine import fused, fused_device
from anygpu.engine.compile import Options, lower, run_passes
from anygpu.engine.geometry import RANGE_BLOCK, along_x, knows_blocks, line, place_in_lines
from anygpu.errors import KernelIndexError, LaunchError
from anygpu.runtime.spirv_intrinsics import with_intrinsics
from anygpu.testing.executors import ptxas
from tests.device.test_launch import device, on  # noqa: F401  a fixture
from tests.unit.test_simt import ir


@ag.kernel
def shifted(x, out, by):
    i, j = ag.grid(2)
    if i < out.shape[0] and j < out.shape[1]:
        out[i, j] = x[i, j + by]


@ag.kernel
def numbered(out):
    k, i, j = ag.grid(3)
    if k < out.shape[0] and i < out.shape[1] and j < out.shape[2]:
        out[k, i, j] = k * 1000000 + i * 1000 + j


@ag.kernel
def placed(out):
    i = ag.threadIdx.x
    block = ag.blockIdx.x + 100 * ag.blockIdx.y + 10000 * ag.blockIdx.z
    n = (ag.blockIdx.z * ag.gridDim.y + ag.blockIdx.y) * ag.gridDim.x + ag.blockIdx.x
    out[n * ag.blockDim.x + i] = block * 10 + i


@given(st.integers(1, 5000), st.integers(1, 7), st.sampled_from((512, 1024, 4096)), st.data())
def test_a_place_in_longer_lines_is_that_of_the_same_index_in_lines_of_256(last, rows, length, data):
    row, index = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, last - 1))
    grid = (-(-last // length), rows, 1)
    block, thread = row * grid[0] + index // length, index % length
    expected = row * -(-last // RANGE_BLOCK) + index // RANGE_BLOCK, index % RANGE_BLOCK
    assert place_in_lines(block, thread, grid, length, last) == expected


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 20), st.integers(1, 256))
def test_lines_leave_no_core_without_work_and_waste_less_than_they_hold(last, rest, cores):
    length = line(last, rest, cores)
    assert length in (256, 512, 1024, 4096)
    assert length == RANGE_BLOCK or (last >= length and -(-last // length) * rest >= cores)


def test_a_kernel_knows_blocks_if_it_speaks_of_them():
    def plain(x):
        x[ag.grid(1)] = ag.gridsize(1)

    def position(x):
        x[ag.grid(1)] = ag.threadIdx.x

    def lane(x):
        x[ag.grid(1)] = ag.laneid

    def shared(x):
        part = ag.shared.array(4, np.float32)
        x[ag.grid(1)] = part[0]

    from anygpu.engine.arguments import describe

    types = (describe(np.zeros(4, np.float32), "x").type,)
    found = {f.__name__: knows_blocks(lower(f, types, Options(range_ndim=1))) for f in (plain, position, lane, shared)}
    assert found == {"plain": False, "position": True, "lane": True, "shared": True}


@pytest.mark.parametrize("shape", [(40, 3000), (3, 999), (1, 70000), (200, 1024)])
def test_failures_are_placed_as_on_the_cpu(device, shape):  # noqa: F811
    x, out = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    with pytest.raises(KernelIndexError) as there:
        shifted.forall(shape)(x, out, 5)
    with pytest.raises(KernelIndexError) as here:
        shifted.forall(shape)(on(device, x), on(device, out), 5)
        device.synchronize()
    assert str(here.value) == str(there.value)


@pytest.fixture
def narrow(device, monkeypatch):  # noqa: F811
    """The device as one that takes few blocks along y and z."""
    for kernel in (numbered, placed):
        kernel._launchers.clear()
        kernel.device_variants.clear()
    limits = device.properties.maximum_grid
    monkeypatch.setattr(device, "properties", replace(device.properties, maximum_grid=(limits[0], 3, 2)))
    fused.forget_kernels(device.name)
    yield device
    fused.forget_kernels(device.name)
    for kernel in (numbered, placed):
        kernel._launchers.clear()


@pytest.mark.parametrize("shape", [(2, 5, 300), (7, 2, 10), (5, 4, 1), (2, 3, 9)])
def test_grids_too_long_along_y_or_z_are_launched_along_x(narrow, shape):
    out = on(narrow, np.zeros(shape, np.int64))
    numbered.forall(shape)(out)
    k, i, j = np.indices(shape)
    assert np.array_equal(out.to_numpy(), k * 1000000 + i * 1000 + j)


@pytest.mark.parametrize("grid", [(2, 5, 3), (3, 2, 2), (1, 1, 7)])
def test_so_are_grids_of_blocks(narrow, grid):
    count = int(np.prod(grid)) * 4
    there, here = np.zeros(count, np.int64), on(narrow, np.zeros(count, np.int64))
    placed[grid, 4](there)
    placed[grid, 4](here)
    assert np.array_equal(here.to_numpy(), there)
    assert len(set(there)) == count


def test_so_are_fused_kernels(narrow, monkeypatch):
    flattened = []
    monkeypatch.setattr(fused_device, "along_x", lambda grid: flattened.append(grid) or along_x(grid))
    a, b = np.arange(4 * 5 * 6.0).reshape(4, 5, 6), np.arange(6.0)
    x = ag.asarray(a, device=narrow.name)
    assert np.array_equal(np.asarray(ag.sin(x[:, ::2]) + ag.asarray(b, device=narrow.name)), np.asarray(ag.sin(ag.asarray(a[:, ::2]))) + b)
    assert flattened == [(1, 3, 4)]
    assert np.array_equal(np.asarray(x.transpose(1, 0, 2) * 2), a.transpose(1, 0, 2) * 2)
    assert len(flattened) == 2


def test_a_grid_longer_than_any_is_refused(narrow, monkeypatch):
    monkeypatch.setattr(narrow, "properties", replace(narrow.properties, maximum_grid=(5, 2, 2)))
    with pytest.raises(LaunchError, match=r"^kernel 'numbered' on opencl:0: a grid of \(1, 3, 3\) is larger than \(5, 2, 2\)$"):
        numbered.forall((3, 3, 1))(on(narrow, np.zeros((3, 3, 1), np.int64)))


@pytest.mark.parametrize("architecture", ["sm_75", "sm_90", "gfx942", "gfx1100"])
def test_grids_along_x_compile_for_gpus(architecture, tmp_path):
    kernel = ir(numbered.__wrapped__, np.zeros((2, 2, 2), np.int64), axes=3)
    code = emit_device(kernel, recipe(architecture).target, DeviceOptions(block=(256, 1, 1), ranged=True, flat_grid=True))
    image = compile_device(code, architecture)
    assert {("grid", 0), ("grid", 1)} <= {(word.kind, word.axis) for word in code.words}
    if architecture.startswith("sm_"):
        assert b"%ctaid.x" in image and b"%ctaid.y" not in image
        assembler = ptxas()
        if assembler is not None:
            source = tmp_path / "kernel.ptx"
            source.write_bytes(image)
            subprocess.run([assembler, f"-arch={architecture}", str(source), "-o", str(tmp_path / "kernel.cubin")], check=True)


# ------------------------------------------------------------------------------------------------------------- LLVM's intrinsics


def rounding(x, y, out):
    i = ag.grid(1)
    if i < out.size:
        out[i] = ag.floor(x[i]) + ag.sqrt(y[i]) * ag.trunc(y[i]) + ag.copysign(ag.ceil(x[i]), ag.rint(y[i]))


def module(*dtypes) -> bytes:
    arrays = [np.zeros(8, dtype) for dtype in dtypes]
    kernel = run_passes(ir(rounding, *arrays))
    return compile_device(emit_device(kernel, recipe("spirv").target, DeviceOptions()), "spirv")


def summed(x, out):
    i = ag.grid(1)
    if i < x.shape[0]:
        total, product, k = np.float32(0), np.float32(1), 0
        for j in range(x.shape[1]):
            total += x[i, j]
        while k < x.shape[1]:
            product *= x[i, k] + np.float32(0.5)
            k += 1
        out[i] = total - product


def summed_twice(x, out):
    i = ag.grid(1)
    if i < x.shape[0]:
        squares = np.float32(0)
        for j in range(x.shape[1]):
            squares += x[i, j] * x[i, j]
        total = np.float32(0)
        for j in range(x.shape[1]):
            total += squares if squares != 0 else x[i, j]
        last = np.float32(0)
        for j in range(x.shape[1]):
            before = last
            last = before - total
            if j == 20:
                break
        out[i] = total + last


@pytest.mark.parametrize("function", [summed, summed_twice])
@pytest.mark.parametrize("threads", [1, 8, 24, 31, 33, 64])
@pytest.mark.parametrize("rows", [1, 7, 24, 600])
def test_sums_keep_their_order_where_a_block_is_no_whole_vector(device, threads, rows, function):  # noqa: F811
    x = np.random.default_rng(rows).random((rows, 37), np.float32)
    there, here = np.zeros(rows, np.float32), on(device, np.zeros(rows, np.float32))
    kernel = ag.kernel(function)
    kernel[-(-rows // threads), threads](x, there)
    kernel[-(-rows // threads), threads](on(device, x), here)
    assert here.to_numpy().tobytes() == there.tobytes()


def operations(image: bytes) -> list[tuple[int, ...]]:
    words = struct.unpack(f"<{len(image) // 4}I", image)
    found, at = [], 5
    while at < len(words):
        length = words[at] >> 16
        found.append((words[at] & 0xFFFF, *words[at + 1 : at + length]))
        at += length
    return found


def test_functions_with_an_intrinsic_become_calls_of_it():
    before = module(np.float32, np.float32, np.float32)
    after = with_intrinsics(before)
    old, new = operations(before), operations(after)
    called = sum(op == 12 for op, *_ in old)
    assert called >= 5
    assert not any(op == 12 for op, *_ in new)
    assert sum(op == 57 for op, *_ in new) == called + sum(op == 57 for op, *_ in old)
    for name in (b"llvm.floor.f32", b"llvm.sqrt.f32", b"llvm.trunc.f32", b"llvm.copysign.f32", b"llvm.ceil.f32", b"llvm.rint.f32"):
        assert name in after
    results = [a[1] for op, *a in new if op in (54, 55, 57)] + [a[0] for op, *a in new if op == 33]
    assert len(results) == len(set(results))
    assert max(results) < struct.unpack_from("<5I", after)[3]
    assert with_intrinsics(after) == after


def test_both_widths_are_declared_apart_and_modules_without_stay_as_they_are():
    both = with_intrinsics(module(np.float32, np.float64, np.float64))
    assert b"llvm.floor.f32" in both and b"llvm.sqrt.f64" in both
    kernel = ir(numbered.__wrapped__, np.zeros((2, 2, 2), np.int64))
    integers = compile_device(emit_device(kernel, recipe("spirv").target, DeviceOptions()), "spirv")
    assert with_intrinsics(integers) is integers


@pytest.mark.parametrize("damage", ["half a word missing", "half of it", "no length", "too long", "other bytes", "header", "nothing"])
def test_modules_that_are_none_stay_as_they_are(damage):
    whole = module(np.float32, np.float32, np.float32)
    first = struct.unpack_from("<I", whole, 20)[0]
    match damage:
        case "half a word missing":
            image = whole[:-2]
        case "half of it":
            image = whole[: len(whole) // 2 + 1]
        case "no length":
            image = whole[:20] + struct.pack("<I", first & 0xFFFF) + whole[24:]
        case "too long":
            image = whole[:-4] + struct.pack("<I", 0xFFFF << 16 | 56)
        case "other bytes":
            image = whole[::-1]
        case "header":
            image = whole[:20]
        case _:
            image = b""
    assert with_intrinsics(image) is image


def test_a_runtime_that_links_no_intrinsics_gets_the_functions(device, monkeypatch):  # noqa: F811
    from anygpu.runtime import opencl

    driver = device.driver
    if not driver._links_intrinsics:
        pytest.skip("the runtime is not Intel's for CPUs")
    monkeypatch.setattr(opencl, "with_intrinsics", lambda image: with_intrinsics(image).replace(b"llvm.", b"none."))
    monkeypatch.setattr(driver, "_links_intrinsics", True)
    kernel = ag.kernel(rounding)
    x, y, out = (np.array([-1.5, 2.25, 3.5, 0.5], np.float32) * n for n in (1, 2, 0))
    kernel.forall(4)(x, abs(y), there := out.copy())
    here = on(device, out)
    kernel.forall(4)(on(device, x), on(device, abs(y)), here)
    assert here.to_numpy().tobytes() == there.tobytes()
    assert not driver._links_intrinsics


def inner(u, out):
    i, j = ag.grid(2)
    if i < u.shape[0] and j < u.shape[1]:
        if 0 < i < u.shape[0] - 1 and 0 < j < u.shape[1] - 1:
            if u[i, j] < 0:
                return
            total = u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1]
            if total > 2:
                out[i, j] = total - u[i, j]
            else:
                out[i, j] = u[i - 1, j - 1] * u[i + 1, j + 1]
        else:
            out[i, j] = u[i, j] + 1


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (4, 32), (7, 100), (5, 1000), (33, 257)])
def test_branches_with_a_copy_for_whole_vectors(device, shape):  # noqa: F811
    u = np.random.default_rng(shape[1]).random(shape, np.float32) * 1.2 - np.float32(0.1)
    kernel = ag.kernel(inner)
    there, here = np.zeros(shape, np.float32), on(device, np.zeros(shape, np.float32))
    kernel.forall(shape)(u, there)
    kernel.forall(shape)(on(device, u), here)
    assert here.to_numpy().tobytes() == there.tobytes()


def test_each_branch_has_one_copy_and_only_where_lanes_may_differ():
    def votes(function, **changes):
        u = np.zeros((8, 8), np.float32)
        options = replace(DeviceOptions(on_cpu=True, bounds_check=False), **changes)
        text = emit_device(ir(function, u, u), recipe("spirv").target, options).text
        return sum("call" in line and "non_uniform_any" in line for line in text.split("\n"))

    def nested(u, out):
        j, i = ag.grid(2)
        if j < u.shape[1]:
            out[i, j] = u[i, j] + u[i + 1, j]
            if j > 0:
                out[i, j] += u[i, j - 1] * u[i + 1, j - 1]

    def rows(u, out):
        j, i = ag.grid(2)
        if i > 0:
            out[i, j] = u[i - 1, j] + u[i, j]

    def looped(u, out):
        j, i = ag.grid(2)
        if j > 0:
            for k in range(u.shape[0]):
                out[i, j] += u[k, j - 1] * u[k, j]

    def one(u, out):
        j, i = ag.grid(2)
        if j > 0:
            out[i, j] = u[i, j - 1]

    assert votes(nested) == 2  # of the outer branch, and in its copy of the inner one; none in what follows
    assert votes(nested, votes=False) == votes(nested, on_cpu=False) == 0
    assert votes(rows, block=(64, 4, 1)) == votes(looped) == votes(one) == 0
