"""256-bin histogram of bytes: atomic additions to a block's bins in shared memory, then one atomic addition a bin to the result."""

import numpy as np

from benchmarks.suite import Prepared, Problem, aligned, empty

TITLE = "histogram, atomics"
ABSENT: dict[str, str] = {}
BINS, THREADS, BLOCKS = 256, 256, 64


def problem(quick: bool) -> Problem:
    n = 1 << (16 if quick else 22)
    data = np.random.default_rng(12).normal(128, 40, n).clip(0, 255).astype(np.uint8)
    return Problem({"data": aligned(data)}, {"n": n})


def reference(p: Problem) -> dict[str, np.ndarray]:
    return {"counts": np.bincount(p["data"], minlength=BINS).astype(np.int32)}


def check(result: dict[str, np.ndarray], expected: dict[str, np.ndarray], p: Problem) -> None:
    if not np.array_equal(result["counts"], expected["counts"]):
        raise AssertionError(f"{int(np.sum(result['counts'] != expected['counts']))} bins are wrong")


def anygpu(p: Problem, kit) -> Prepared:
    ag = kit.ag

    @kit.kernel
    def histogram(data, counts):
        bins = ag.shared.array(BINS, np.int32)
        thread = ag.threadIdx.x
        bins[thread] = 0
        ag.syncthreads()
        size = data.size // ag.gridDim.x
        start = ag.blockIdx.x * size
        for i in range(start + thread, start + size, THREADS):
            ag.atomic.add(bins, data[i], 1)
        ag.syncthreads()
        ag.atomic.add(counts, thread, bins[thread])

    data, counts = kit.array(p["data"]), kit.empty(BINS, np.int32)
    launch = kit.runner(histogram[BLOCKS, THREADS], data, counts)

    def run() -> None:
        kit.clear(counts)
        launch()

    return Prepared(run, lambda: {"counts": kit.fetch(counts)})


CUDA = f"""
#define THREADS {THREADS}
extern "C" __global__ void histogram(const unsigned char *__restrict__ data, int *__restrict__ counts, int n) {{
    __shared__ int bins[{BINS}];
    int thread = threadIdx.x;
    bins[thread] = 0;
    __syncthreads();
    int size = n / gridDim.x, start = blockIdx.x * size;
    for (int i = start + thread; i < start + size; i += THREADS) atomicAdd(&bins[data[i]], 1);
    __syncthreads();
    atomicAdd(&counts[thread], bins[thread]);
}}"""


def opencl(p: Problem, kit) -> Prepared:
    kernel = kit.kernel(
        f"""
        __kernel __attribute__((reqd_work_group_size({THREADS}, 1, 1)))
        void histogram(__global const uchar *restrict data, __global int *restrict counts, int n) {{
            __local int bins[{BINS}];
            int thread = get_local_id(0);
            bins[thread] = 0;
            barrier(CLK_LOCAL_MEM_FENCE);
            int size = n / get_num_groups(0), start = get_group_id(0) * size;
            for (int i = start + thread; i < start + size; i += {THREADS}) atomic_inc(&bins[data[i]]);
            barrier(CLK_LOCAL_MEM_FENCE);
            atomic_add(&counts[thread], bins[thread]);
        }}""",
        "histogram",
    )
    counts = kit.empty(BINS, np.int32)
    launch = kit.runner(kernel, (BLOCKS * THREADS,), (THREADS,), kit.array(p["data"]), counts, np.int32(p.n))

    def run() -> None:
        kit.cl.enqueue_fill_buffer(kit.queue, counts, np.int32(0), 0, 4 * BINS)
        launch()

    return Prepared(run, lambda: {"counts": kit.fetch(counts, BINS, np.int32)})


def ispc(p: Problem, kit) -> Prepared:
    # Lanes of one gang may meet in a bin: the loop is uniform, over four tables so that equal neighbours do not wait for each other.
    counts = empty(BINS, np.int32)
    source = f"""
        task void part(uniform const unsigned int8 data[], uniform int counts[], uniform int n) {{
            uniform int low = (uniform int64)n * taskIndex / taskCount, high = (uniform int64)n * (taskIndex + 1) / taskCount;
            uniform int bins[4][{BINS}];
            for (uniform int t = 0; t < 4; ++t) foreach (b = 0 ... {BINS}) bins[t][b] = 0;
            uniform int i = low;
            for (; i + 4 <= high; i += 4) {{
                ++bins[0][data[i]];
                ++bins[1][data[i + 1]];
                ++bins[2][data[i + 2]];
                ++bins[3][data[i + 3]];
            }}
            for (; i < high; ++i) ++bins[0][data[i]];
            for (uniform int b = 0; b < {BINS}; ++b)
                atomic_add_global(&counts[b], bins[0][b] + bins[1][b] + bins[2][b] + bins[3][b]);
        }}
        export void histogram(uniform const unsigned int8 data[], uniform int counts[], uniform int n) {{
            foreach (b = 0 ... {BINS}) counts[b] = 0;
            launch[16] part(data, counts, n);
            sync;
        }}"""
    return Prepared(kit.function(source, "histogram", p["data"], counts, p.n), lambda: {"counts": counts})


def numba(p: Problem, kit) -> Prepared:
    # Numba has no atomics on the CPU: each chunk counts for itself.
    prange = kit.numba.prange
    chunks = 16

    @kit.njit
    def histogram(data, counts):
        parts = np.zeros((chunks, BINS), np.int32)
        size = data.size // chunks
        for chunk in prange(chunks):
            for i in range(chunk * size, (chunk + 1) * size):
                parts[chunk, data[i]] += 1
        for b in range(BINS):
            counts[b] = parts[:, b].sum()

    data, counts = p["data"], empty(BINS, np.int32)
    return Prepared(lambda: histogram(data, counts), lambda: {"counts": counts})


def quadrants(p: Problem, kit) -> Prepared:
    qd, u8x1, i32x1 = kit.qd, kit.nd("u8", 1), kit.nd("i32", 1)

    @qd.kernel
    def histogram(data: u8x1, counts: i32x1):
        for b in range(BINS):
            counts[b] = 0
        for i in range(data.shape[0]):
            qd.atomic_add(counts[qd.cast(data[i], qd.i32)], 1)

    data, counts = kit.array(p["data"]), kit.empty(BINS, np.int32)

    def run() -> None:
        histogram(data, counts)
        qd.sync()

    return Prepared(run, lambda: {"counts": counts.to_numpy()})


def warp(p: Problem, kit) -> Prepared:
    wp = kit.wp

    @wp.kernel
    def histogram(data: wp.array(dtype=wp.uint8), counts: wp.array(dtype=wp.int32)):
        i = wp.tid()
        wp.atomic_add(counts, wp.int32(data[i]), 1)

    data, counts = kit.array(p["data"]), kit.empty(BINS, np.int32)

    def run() -> None:
        counts.zero_()
        kit.launch(histogram, p.n, data, counts)

    return Prepared(run, lambda: {"counts": counts.numpy()})


def numpy(p: Problem, kit) -> Prepared:
    data = p["data"]
    results: list[np.ndarray] = []

    def run() -> None:
        results[:] = [np.bincount(data, minlength=BINS)]

    return Prepared(run, lambda: {"counts": results[0].astype(np.int32)})
