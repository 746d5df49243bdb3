"""Inclusive prefix sums of int32 within blocks of 256 values, by Hillis and Steele's doubling steps in shared memory."""

import numpy as np

from benchmarks.suite import Prepared, Problem, aligned, empty

TITLE = "block scan"
ABSENT: dict[str, str] = {}
SIZE = 256


def problem(quick: bool) -> Problem:
    blocks = 1 << (8 if quick else 14)
    x = np.random.default_rng(11).integers(-100, 100, (blocks, SIZE), dtype=np.int32)
    return Problem({"x": aligned(x)}, {"blocks": blocks})


def reference(p: Problem) -> dict[str, np.ndarray]:
    return {"out": np.cumsum(p["x"], axis=1, dtype=np.int32)}


def check(result: dict[str, np.ndarray], expected: dict[str, np.ndarray], p: Problem) -> None:
    if not np.array_equal(result["out"], expected["out"]):
        raise AssertionError(f"{np.mean(result['out'] != expected['out']):.3%} of the elements are wrong")


def anygpu(p: Problem, kit) -> Prepared:
    ag = kit.ag

    @kit.kernel
    def scan(x, out):
        sums = ag.shared.array(SIZE // 32, np.int32)
        thread, block = ag.threadIdx.x, ag.blockIdx.x
        value = x[block, thread]
        for distance in (1, 2, 4, 8, 16):
            before = ag.shfl_up_sync(0xFFFFFFFF, value, distance)
            if ag.laneid >= distance:
                value += before
        if ag.laneid == 31:
            sums[thread // 32] = value
        ag.syncthreads()
        for warp in range(thread // 32):
            value += sums[warp]
        out[block, thread] = value

    x, out = kit.array(p["x"]), kit.empty(p["x"].shape, np.int32)
    return Prepared(kit.runner(scan[p.blocks, SIZE], x, out), lambda: {"out": kit.fetch(out)})


CUDA = f"""
#define SIZE {SIZE}
extern "C" __global__ void scan(const int *__restrict__ x, int *__restrict__ out) {{
    __shared__ int sums[SIZE / 32];
    int thread = threadIdx.x, i = blockIdx.x * SIZE + thread, value = x[i];
    #pragma unroll
    for (int distance = 1; distance < 32; distance *= 2) {{
        int before = __shfl_up_sync(0xFFFFFFFF, value, distance);
        if (thread % 32 >= distance) value += before;
    }}
    if (thread % 32 == 31) sums[thread / 32] = value;
    __syncthreads();
    for (int warp = 0; warp < thread / 32; ++warp) value += sums[warp];
    out[i] = value;
}}"""


def opencl(p: Problem, kit) -> Prepared:
    # The language's own scan of a work-group is four times as fast here as the doubling steps written out.
    kernel = kit.kernel(
        f"""
        __kernel __attribute__((reqd_work_group_size({SIZE}, 1, 1)))
        void scan(__global const int *restrict x, __global int *restrict out) {{
            out[get_global_id(0)] = work_group_scan_inclusive_add(x[get_global_id(0)]);
        }}""",
        "scan",
    )
    out = kit.empty(p["x"].shape, np.int32)
    run = kit.runner(kernel, (p.blocks * SIZE,), (SIZE,), kit.array(p["x"]), out)
    return Prepared(run, lambda: {"out": kit.fetch(out, (p.blocks, SIZE), np.int32)})


def ispc(p: Problem, kit) -> Prepared:
    # ISPC's own scan over the lanes of a gang, and a running sum between gangs: no shared memory is needed.
    out = empty(p["x"].shape, np.int32)
    source = f"""
        task void part(uniform const int x[], uniform int out[], uniform int blocks) {{
            uniform int low = blocks * taskIndex / taskCount, high = blocks * (taskIndex + 1) / taskCount;
            for (uniform int block = low; block < high; ++block) {{
                uniform int before = 0;
                for (uniform int i = block * {SIZE}; i < (block + 1) * {SIZE}; i += programCount) {{
                    int value = x[i + programIndex];
                    int sum = before + exclusive_scan_add(value) + value;
                    out[i + programIndex] = sum;
                    before = extract(sum, programCount - 1);
                }}
            }}
        }}
        export void scan(uniform const int x[], uniform int out[], uniform int blocks) {{
            launch[16] part(x, out, blocks);
            sync;
        }}"""
    return Prepared(kit.function(source, "scan", p["x"], out, p.blocks), lambda: {"out": out})


def numba(p: Problem, kit) -> Prepared:
    prange = kit.numba.prange

    @kit.njit
    def scan(x, out):
        for block in prange(x.shape[0]):
            total = np.int32(0)
            for i in range(SIZE):
                total += x[block, i]
                out[block, i] = total

    x, out = p["x"], empty(p["x"].shape, np.int32)
    return Prepared(lambda: scan(x, out), lambda: {"out": out})


def quadrants(p: Problem, kit) -> Prepared:
    qd, i32x2 = kit.qd, kit.nd("i32", 2)

    @qd.kernel
    def scan(x: i32x2, out: i32x2):
        for block in range(x.shape[0]):
            total = 0
            for i in range(SIZE):
                total += x[block, i]
                out[block, i] = total

    x, out = kit.array(p["x"]), kit.empty(p["x"].shape, np.int32)

    def run() -> None:
        scan(x, out)
        qd.sync()

    return Prepared(run, lambda: {"out": out.to_numpy()})


def warp(p: Problem, kit) -> Prepared:
    wp = kit.wp
    matrix = wp.array2d(dtype=wp.int32)

    @wp.kernel
    def scan(x: matrix, out: matrix):
        block = wp.tid()
        total = wp.int32(0)
        for i in range(x.shape[1]):
            total += x[block, i]
            out[block, i] = total

    x, out = kit.array(p["x"]), kit.empty(p["x"].shape, np.int32)
    return Prepared(lambda: kit.launch(scan, p.blocks, x, out), lambda: {"out": out.numpy()})


def numpy(p: Problem, kit) -> Prepared:
    x, out = p["x"], empty(p["x"].shape, np.int32)
    return Prepared(lambda: np.cumsum(x, axis=1, dtype=np.int32, out=out), lambda: {"out": out})
