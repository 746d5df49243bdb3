"""GPU code without a device: what is emitted for each target, the launch ABI, and the process that keeps LLVM's faults away."""

from __future__ import annotations

import re
import struct

import numpy as np
import pytest

import anygpu as ag
from anygpu.codegen import worker
from anygpu.codegen.device import ERROR_BYTES, RECORD_WORDS, DeviceCode, DeviceOptions, Word, decode_failure
from anygpu.codegen.offline import compile_device, recipe
from anygpu.codegen.simt import emit_device, prepare, turns
from anygpu.codegen.simt_barriers import uniform_barriers
from anygpu.engine.arguments import describe
from anygpu.engine.compile import Options, lower, run_passes
from anygpu.errors import CompileError, InternalError
from anygpu.ir.interp import interpret
from anygpu.ir.kernel import For, Kernel, Load, walk
from anygpu.ir.text import parse_kernel
from anygpu.ir.verify import verify

ARCHITECTURES = ("sm_90", "gfx942", "gfx1100", "spirv")
X = np.zeros(64, np.float32)


def ir(function, *args, axes=0) -> Kernel:
    described = [describe(a, "a") for a in args]
    return run_passes(lower(function, tuple(d.type for d in described), Options(range_ndim=axes)))


def code(function, *args, architecture="spirv", axes=0, **options) -> DeviceCode:
    return emit_device(ir(function, *args, axes=axes), recipe(architecture).target, DeviceOptions(**options))


def saxpy(a, x, y, out):
    i = ag.grid(1)
    if i < out.size:
        out[i] = a * x[i] + y[i]


# ------------------------------------------------------------------------------------------------------------------- the launch words


def test_words_are_those_that_the_code_reads_in_the_order_of_parameters():
    found = code(saxpy, 2.0, X, X, X, architecture="sm_90", bounds_check=False)
    assert found.words == (
        Word("block", axis=0), Word("scalar", "a"), Word("pointer", "x"), Word("pointer", "y"), Word("pointer", "out"),
        Word("extent", "out"),
    )  # fmt: skip
    buffers = code(saxpy, 2.0, X, X, X, bounds_check=False)
    assert [w.kind for w in buffers.words if w.name == "x"] == ["pointer", "offset"]


def test_every_word_is_8_bytes_and_pointers_are_marked():
    found = code(saxpy, 2.0, X, X[::2], X)
    kinds = [p.split()[0] for p in re.search(r"define spir_kernel void @ag_saxpy\((.*?)\) convergent", found.text)[1].split(", ")]
    assert kinds == ["ptr" if w.is_pointer else "i64" for w in found.words]
    assert Word("stride", "y") in found.words and Word("stride", "x") not in found.words  # a packed axis needs none


def test_a_block_that_is_known_takes_no_words():
    found = code(saxpy, 2.0, X, X, X, architecture="sm_90", block=(256, 1, 1))
    assert not found.reads("block") and '"nvvm.reqntid"="256,1,1"' in found.text
    assert '"nvvm.maxntid"="512"' in code(saxpy, 2.0, X, X, X, architecture="sm_90", threads=512).text


def test_disjoint_arrays_are_read_through_the_read_only_path():
    codes = (code(saxpy, 2.0, X, X, X, architecture="sm_90", bounds_check=False, disjoint=d) for d in (False, True))
    plain, disjoint = (compile_device(c, "sm_90").decode() for c in codes)
    assert "ld.global.nc" not in plain and disjoint.count("ld.global.nc") == 2


def test_integers_are_narrow_where_that_is_cheaper():
    assert "sext i64" not in code(saxpy, 2.0, X, X, X).text and "trunc i64 %v" not in code(saxpy, 2.0, X, X, X).text
    small, large = (
        compile_device(code(saxpy, 2.0, X, X, X, architecture="sm_90", bounds_check=False, small=small), "sm_90").decode()
        for small in (True, False)
    )
    assert "mad.lo.s32" in small and "mul.wide.s32" in small
    assert "mad.lo.s32" not in large and "mul.wide.s32" not in large


def test_shared_memory_beyond_what_ptx_declares_comes_with_the_launch():
    def large(out):
        tile = ag.shared.array(16 * 1024, np.float32)
        more = ag.shared.array(0, np.int32)
        t = ag.threadIdx.x
        tile[t] = t
        more[t] = t
        ag.syncthreads()
        out[t] = tile[t] + more[t]

    nvidia = code(large, X, architecture="sm_90")
    assert (nvidia.shared_bytes, nvidia.launch_shared_bytes) == (65536, 65536)
    opencl = code(large, X)
    assert (opencl.shared_bytes, opencl.launch_shared_bytes) == (65536, 0) and opencl.reads("dynamic")


def test_capabilities_are_named():
    def demanding(x, h, count):
        i = ag.grid(1)
        x[i] = ag.shfl_sync(0xFFFFFFFF, x[i] * 2, 3)
        h[i] = x[i]
        ag.atomic.add(count, 0, 1)

    args = (np.zeros(4), np.zeros(4, np.float16), np.zeros(1, np.int64))
    found = code(demanding, *args)
    assert found.capabilities == {"fp64", "fp16", "int64_atomics", "subgroups32"} and found.flat
    assert not code(demanding, *args, architecture="sm_90").flat
    assert code(saxpy, np.float32(2), X, X, X).capabilities == frozenset()


def test_amd_code_objects_are_version_5_without_hidden_arguments():
    for architecture in ("gfx942", "gfx1100"):
        image = compile_device(code(saxpy, 2.0, X, X, X, architecture=architecture), architecture)
        assert image[8] == 3 and b"hidden_" not in image  # ELFABIVERSION_AMDGPU_HSA_V5


# ----------------------------------------------------------------------------------------------------------------------- arithmetic


def test_products_and_sums_are_not_contracted_by_a_target():
    def separate(x, out):
        i = ag.grid(1)
        product = x[i] * x[i]
        out[i] = product + x[i]

    ptx = compile_device(code(separate, X, X, architecture="sm_90", bounds_check=False), "sm_90").decode()
    assert "mul.rn.f32" in ptx and "add.rn.f32" in ptx and "fma" not in ptx


def test_division_and_square_root_are_correctly_rounded():
    def divide(x, out):
        i = ag.grid(1)
        out[i] = np.sqrt(x[i]) / x[i]

    ptx = compile_device(code(divide, X, X, architecture="sm_90"), "sm_90").decode()
    assert "sqrt.rn.f32" in ptx and "div.rn.f32" in ptx and ".ftz" not in ptx


# --------------------------------------------------------------------------------------------------------------------------- barriers


def test_what_a_target_cannot_do_is_said_with_its_place():
    def meet(out):
        t = ag.threadIdx.x
        if t < 32:
            ag.syncthreads()
            out[t] = 1
        else:
            ag.syncthreads()
            out[t] = 2

    def everyone(out):
        out[ag.grid(1)] = 1
        ag.cg.this_grid().sync()

    with pytest.raises(CompileError, match="spirv needs all work-items of a block to pass each barrier"):
        code(meet, X)
    with pytest.raises(CompileError, match="spirv has no barrier of the whole grid"):
        code(everyone, X)
    for architecture in ("sm_90", "gfx942"):
        code(meet, X, architecture=architecture)
        assert "cooperative" in code(everyone, X, architecture=architecture).capabilities


GUARDED = """
kernel guarded:
    param x: int64[:]
    param n: int64
    shared tile: int64[64]

    block leave:
        if thread.x >= n:
            x[thread.x] = -1
            exit leave
        v: int64 = x[thread.x]
        tile[thread.x] = v
        count: int32 = barrier block count thread.x % 2 == 0
        if thread.x < 20:
            w: int64 = tile[n - 1 - thread.x]
            x[thread.x] = w + int64(count)
        else:
            barrier block
            x[thread.x] = 7
"""


def test_barriers_leave_the_guards_around_them():
    kernel = parse_kernel(GUARDED)
    moved = uniform_barriers(kernel)
    assert moved is not None
    found, wanted = np.arange(64), np.arange(64)
    interpret(moved, [found, 50], (1, 1, 1), (64, 1, 1))
    interpret(kernel, [wanted, 50], (1, 1, 1), (64, 1, 1))
    assert np.array_equal(found, wanted)


# ----------------------------------------------------------------------------------------------------------------------------- reports


def slot(count: int, used: int, *records: tuple[int, ...], first: int) -> bytes:
    raw = struct.pack("<4I", count, 0xFFFFFFFF - first, used, 0)
    for record in records:
        raw += struct.pack(f"<{RECORD_WORDS}q", *record, *[0] * (RECORD_WORDS - len(record)))
    return raw.ljust(ERROR_BYTES, b"\0")


def test_the_earliest_failure_is_found_among_the_records():
    found = decode_failure(slot(9, 2, (3, 1, 0, 1, 55), (2, 200, 4, 2, -1, 8), first=2 * 256 + 200), 256)
    assert found is not None
    assert (found.count, found.block, found.thread, found.site, found.index) == (9, 2, 200, 4, (-1, 8))


def test_more_failures_than_records_keep_the_place_of_the_first():
    found = decode_failure(slot(5000, 600, (3, 1, 0, 1, 55), first=7), 256)
    assert found is not None
    assert (found.count, found.block, found.thread, found.site) == (5000, 0, 7, None)


# ------------------------------------------------------------------------------------------------------------------------- the process


def test_an_abort_of_llvm_is_an_exception_and_the_next_kernel_compiles():
    text = 'target triple = "spirv64-unknown-unknown"\ndefine spir_kernel void @k(i128 %x) {\n  %y = mul i128 %x, %x\n  ret void\n}\n'
    with pytest.raises(InternalError, match=r"LLVM failed on kernel 'wide': LLVM ERROR: .*128|LLVM failed on kernel 'wide': LLVM ERROR"):
        worker.compile_apart(worker.Job(text, "spirv64-unknown-unknown", "", "", "object", 0, False), "kernel 'wide'")
    assert compile_device(code(saxpy, 2.0, X, X, X), "spirv")[:4] == b"\x03\x02\x23\x07"


def test_invalid_ir_is_an_exception():
    with pytest.raises(InternalError, match="not valid"):
        worker.compile_apart(worker.Job("define void @k() {", "spirv64-unknown-unknown", "", "", "object", 0, False), "kernel 'k'")


def test_code_of_another_target_is_refused():
    with pytest.raises(InternalError, match="emitted for spirv, not for sm_90"):
        compile_device(code(saxpy, 2.0, X, X, X), "sm_90")
    with pytest.raises(ValueError, match="unknown architecture 'z80'"):
        recipe("z80")


def test_settings_of_a_processor_change_nothing():
    assert recipe("gfx942:sramecc+:xnack-") == recipe("gfx942")
    assert recipe("gfx1100").features == "+wavefrontsize32"


def instructions(image: bytes) -> list[tuple[int, ...]]:
    """A SPIR-V module's instructions: opcode, operands."""
    words = struct.unpack(f"<{len(image) // 4}I", image)
    at, found = 5, []
    while at < len(words):
        found.append((words[at] & 0xFFFF, *words[at + 1 : at + (words[at] >> 16)]))
        at += words[at] >> 16
    return found


def test_no_label_of_a_spirv_module_is_defined_twice():
    """LLVM 22 numbers labels by the addresses of basic blocks, and remembers them from the modules before."""

    def checked(x, y, out):
        i = ag.grid(1)
        out[i, i] = x[i] + y[i, i, i]
        print(i)
        assert i < 3

    codes = [code(checked, X, np.zeros((2, 2, 2)), np.zeros((2, 2))), code(saxpy, 2.0, X, X, X)]
    for emitted in codes * 10:
        found = instructions(compile_device(emitted, "spirv"))
        labels = [i[1] for i in found if i[0] == 248]  # OpLabel
        types = {i[1] for i in found if 19 <= i[0] <= 33}  # OpTypeVoid to OpTypeFunction
        assert len(set(labels)) == len(labels) and not types & set(labels)


def test_spirv_forbids_contraction():
    modes = [i[2] for i in instructions(compile_device(code(saxpy, 2.0, X, X, X), "spirv")) if i[0] == 16]
    assert 31 in modes  # ContractionOff


# -------------------------------------------------------------------------------------------------------- blocks that are known, and CPUs


def warp_sum(x, out):
    value = x[ag.threadIdx.x]
    for distance in (16, 8, 4, 2, 1):
        value += ag.shfl_down_sync(0xFFFFFFFF, value, distance)
    out[ag.threadIdx.x] = value + ag.shfl_xor_sync(0xFFFFFFFF, value, 3)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_whole_warps_need_not_ask_who_is_there(architecture):
    ballot = {"sm_90": "vote.ballot", "spirv": "sub_group_ballot"}.get(architecture, "ballot")
    known = code(warp_sum, X, X, architecture=architecture, block=(64, 1, 1))
    partial = code(warp_sum, X, X, architecture=architecture, block=(48, 1, 1))
    assert known.text.count(ballot) < partial.text.count(ballot)
    assert compile_device(known, architecture)


def test_lanes_of_an_opencl_cpu_exchange_through_memory():
    found = code(warp_sum, X, X, block=(64, 1, 1), on_cpu=True)
    assert "sub_group_shuffle" not in found.text and "@lanes = internal addrspace(3) global [128 x i32]" in found.text
    assert found.shared_bytes == 4 * 128
    assert "sub_group_shuffle" in code(warp_sum, X, X, block=(64, 1, 1)).text

    def diverged(x, out):
        i = ag.threadIdx.x
        if x[i] > 0:
            out[i] = ag.shfl_xor_sync(0xFFFFFFFF, x[i], 1)

    assert "sub_group_shuffle" in code(diverged, X, X, block=(64, 1, 1), on_cpu=True).text


def test_kernels_of_atomics_and_gathers_stay_scalar_on_an_opencl_cpu():
    def count(x, out):
        for i in range(ag.threadIdx.x, x.size, ag.blockDim.x):
            ag.atomic.add(out, 0, x[i])

    def gather(x, y, out):
        total = np.float32(0)
        for k in range(x[ag.grid(1)]):
            total += y[x[k]]
        out[ag.grid(1)] = total

    n = np.zeros(64, np.int32)
    for function, args in ((count, (X, X)), (gather, (n, X, X))):
        scalar = code(function, *args, on_cpu=True)
        assert "!vec_type_hint" in scalar.text and "sub_group" not in scalar.text  # votes and the hint together give wrong results
        assert "!vec_type_hint" not in code(function, *args).text
    assert "!vec_type_hint" not in code(saxpy, 2.0, X, X, X, on_cpu=True).text


def gathering(starts, columns, x, y):
    row = ag.grid(1)
    if row < y.size:
        for k in range(starts[row], starts[row + 1]):
            y[row] = x[columns[k]]


def summing(starts, columns, x, y):
    row = ag.grid(1)
    total = x[0]
    for k in range(starts[row], starts[row + 1]):
        total += x[columns[k]]
    y[row] = total


def skipping(starts, columns, x, y):
    row = ag.grid(1)
    total = x[0]
    for k in range(starts[row], starts[row + 1]):
        if columns[k] > 3:
            if columns[k] == 7:
                continue
            total += x[columns[k] - 3]
        total += x[columns[k]]
    y[row] = total


def loops_of(function, architecture: str) -> list[list[bool]]:
    """Of each loop in the IR that code is generated from, which of its loads are checked."""
    starts, columns = np.zeros(4, np.int32), np.zeros(64, np.int32)
    kernel, _ = prepare(ir(function, starts, columns, X, np.zeros(3, np.float32)), recipe(architecture).target, DeviceOptions())
    verify(kernel)
    return [[s.checked for s in walk(loop.body) if isinstance(s, Load)] for loop in walk(kernel.body) if isinstance(loop, For)]


def test_loops_that_only_load_run_on_trust_first():
    for architecture in ("sm_90", "gfx942"):
        assert loops_of(summing, architecture) == [[False, False], [True, True]]
    assert loops_of(gathering, "sm_90") == [[False, True], [True, True]]  # it stores: what it did cannot be done again
    assert loops_of(summing, "spirv") == [[False, True], [True, True]]  # there a check asks the sub-group
    assert len(loops_of(skipping, "sm_90")) == 2  # whose blocks have labels of their own


def test_turns_are_counted_beyond_what_len_can_say():
    for start, stop, step in [(0, 10, 3), (0, 9, 3), (5, 5, 1), (5, 0, -2), (5, 1, -2), (0, 5, -1), (3, -3, 2)]:
        assert turns(start, stop, step) == len(range(start, stop, step))
    assert turns(-(2**63), 2**63 - 1, 1) == 2**64 - 1


@pytest.mark.parametrize(("dtype", "suffix"), [(np.int32, "s32"), (np.uint16, "u32"), (np.int64, "")])
def test_warps_reduce_by_one_instruction_where_there_is_one(dtype, suffix):
    def lowest(x, out):
        out[ag.threadIdx.x] = ag.reduce_min_sync(0xFFFFFFFF, x[ag.threadIdx.x])

    x = np.zeros(32, dtype)
    for architecture in ("sm_75", "sm_80", "sm_90"):
        text = compile_device(code(lowest, x, x, architecture=architecture, block=(32, 1, 1)), architecture).decode()
        there = bool(suffix) and architecture != "sm_75"
        assert (f"redux.sync.min.{suffix}" in text) is there
        assert ("shfl.sync" in text) is not there
