"""Sum of float32 values: the threads of a block sum a contiguous part, warps by shuffles, the block in shared memory."""

import numpy as np

from benchmarks.suite import Prepared, Problem, aligned, empty

TITLE = "block reduction"
ABSENT: dict[str, str] = {}
THREADS, BLOCKS = 256, 256


def problem(quick: bool) -> Problem:
    n = 1 << (18 if quick else 22)
    return Problem({"x": aligned(np.random.default_rng(10).random(n, np.float32))}, {"n": n})


def reference(p: Problem) -> dict[str, np.ndarray]:
    return {"sums": p["x"].sum(dtype=np.float64, keepdims=True)}


def check(result: dict[str, np.ndarray], expected: dict[str, np.ndarray], p: Problem) -> None:
    # A peer may leave one sum or one for each block or chunk: their total counts. A serial float32 sum of 4 Mi values is off by about 1e-4.
    total, right = float(result["sums"].sum(dtype=np.float64)), float(expected["sums"][0])
    if not abs(total - right) <= 1e-3 * right:
        raise AssertionError(f"the sum is {total}, expected {right}")


def anygpu(p: Problem, kit) -> Prepared:
    ag, threads, blocks = kit.ag, kit.suits(THREADS, opencl=32), kit.suits(BLOCKS, opencl=64)

    @kit.kernel
    def reduction(x, sums):
        warps = ag.shared.array(threads // 32, np.float32)
        thread = ag.threadIdx.x
        total = np.float32(0)
        size = x.size // ag.gridDim.x
        start = ag.blockIdx.x * size
        for i in range(start + thread, start + size, threads):
            total += x[i]
        for distance in (16, 8, 4, 2, 1):
            total += ag.shfl_down_sync(0xFFFFFFFF, total, distance)
        if ag.laneid == 0:
            warps[thread // 32] = total
        ag.syncthreads()
        if thread == 0:
            total = np.float32(0)
            for w in range(threads // 32):
                total += warps[w]
            sums[ag.blockIdx.x] = total

    x, sums = kit.array(p["x"]), kit.empty(blocks, np.float32)
    return Prepared(kit.runner(reduction[blocks, threads], x, sums), lambda: {"sums": kit.fetch(sums)})


CUDA = f"""
#define THREADS {THREADS}
extern "C" __global__ void reduction(const float *__restrict__ x, float *__restrict__ sums, int n) {{
    __shared__ float warps[THREADS / 32];
    int thread = threadIdx.x, size = n / gridDim.x, start = blockIdx.x * size;
    float total = 0;
    for (int i = start + thread; i < start + size; i += THREADS) total += x[i];
    #pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) total += __shfl_down_sync(0xFFFFFFFF, total, distance);
    if (thread % 32 == 0) warps[thread / 32] = total;
    __syncthreads();
    if (thread == 0) {{
        total = 0;
        for (int w = 0; w < THREADS / 32; ++w) total += warps[w];
        sums[blockIdx.x] = total;
    }}
}}"""


def opencl(p: Problem, kit) -> Prepared:
    # On this runtime one work-item with wide vectors over a contiguous part is ten times as fast as any tree over a work-group: a tree in
    # local memory, work_group_reduce_add and sub_group_reduce_add were all tried, with 16 to 1024 work-items.
    parts = 64
    kernel = kit.kernel(
        """
        __kernel void reduction(__global const float *restrict x, __global float *restrict sums, int n) {
            int part = get_global_id(0), size = n / get_global_size(0);
            __global const float *from = x + part * size;
            float16 total = 0, second = 0;
            for (int i = 0; i < size; i += 32) {
                total += vload16(0, from + i);
                second += vload16(0, from + i + 16);
            }
            total += second;
            float8 half_sum = total.lo + total.hi;
            float4 quarter = half_sum.lo + half_sum.hi;
            sums[part] = (quarter.x + quarter.y) + (quarter.z + quarter.w);
        }""",
        "reduction",
    )
    sums = kit.empty(parts, np.float32)
    run = kit.runner(kernel, (parts,), (1,), kit.array(p["x"]), sums, np.int32(p.n))
    return Prepared(run, lambda: {"sums": kit.fetch(sums, parts, np.float32)})


def ispc(p: Problem, kit) -> Prepared:
    sums = empty(64, np.float32)
    source = """
        task void part(uniform const float x[], uniform float sums[], uniform int n) {
            uniform int low = (uniform int64)n * taskIndex / taskCount, high = (uniform int64)n * (taskIndex + 1) / taskCount;
            uniform int step = 4 * programCount;
            uniform int whole = low + (high - low) / step * step;
            float total = 0, second = 0, third = 0, fourth = 0;
            for (uniform int i = low; i < whole; i += step) {
                total += x[i + programIndex];
                second += x[i + programCount + programIndex];
                third += x[i + 2 * programCount + programIndex];
                fourth += x[i + 3 * programCount + programIndex];
            }
            foreach (i = whole ... high) total += x[i];
            sums[taskIndex] = reduce_add((total + second) + (third + fourth));
        }
        export void reduction(uniform const float x[], uniform float sums[], uniform int n) {
            launch[64] part(x, sums, n);
            sync;
        }"""
    return Prepared(kit.function(source, "reduction", p["x"], sums, p.n), lambda: {"sums": sums})


def numba(p: Problem, kit) -> Prepared:
    # Without reassociation one running sum is a chain of additions: a good user keeps sixteen of them in flight.
    prange = kit.numba.prange
    chunks = 64

    @kit.njit
    def reduction(x, sums):
        size = x.size // chunks
        for chunk in prange(chunks):
            lanes = np.zeros(32, np.float32)
            part = x[chunk * size : (chunk + 1) * size]
            for i in range(0, size, 32):
                for lane in range(32):
                    lanes[lane] += part[i + lane]
            sums[chunk] = lanes.sum()

    x, sums = p["x"], empty(chunks, np.float32)
    return Prepared(lambda: reduction(x, sums), lambda: {"sums": sums})


def quadrants(p: Problem, kit) -> Prepared:
    # Quadrants turns `+=` of a parallel loop into sums for each thread.
    qd, f32x1 = kit.qd, kit.nd("f32", 1)

    @qd.kernel
    def reduction(x: f32x1) -> qd.f32:
        total = 0.0
        for i in range(x.shape[0]):
            total += x[i]
        return total

    x, sums = kit.array(p["x"]), np.zeros(1, np.float32)

    def run() -> None:
        sums[0] = reduction(x)

    return Prepared(run, lambda: {"sums": sums})


def warp(p: Problem, kit) -> Prepared:
    wp = kit.wp
    vector = wp.array(dtype=wp.float32)
    chunks = 64

    @wp.kernel
    def reduction(x: vector, sums: vector):
        chunk = wp.tid()
        size = x.shape[0] // 64
        total = wp.float32(0.0)
        for i in range(chunk * size, (chunk + 1) * size):
            total += x[i]
        sums[chunk] = total

    x, sums = kit.array(p["x"]), kit.empty(chunks, np.float32)
    return Prepared(lambda: kit.launch(reduction, chunks, x, sums), lambda: {"sums": sums.numpy()})


def numpy(p: Problem, kit) -> Prepared:
    x, sums = p["x"], np.zeros(1, np.float32)
    return Prepared(lambda: np.sum(x, keepdims=True, out=sums), lambda: {"sums": sums})
