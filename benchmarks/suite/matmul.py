"""C = A B over float32, the classic tiled kernel: 32 x 32 tiles of A and B in shared memory, one element of C a thread."""

import numpy as np

from benchmarks.suite import Prepared, Problem, aligned, close, empty

TITLE = "matmul, shared tiles"
ABSENT: dict[str, str] = {}
TILE = 32


def problem(quick: bool) -> Problem:
    n = 128 if quick else 512
    random = np.random.default_rng(8)
    return Problem({name: aligned(random.standard_normal((n, n), np.float32)) for name in "ab"}, {"n": n})


def reference(p: Problem) -> dict[str, np.ndarray]:
    return {"c": p["a"].astype(np.float64) @ p["b"].astype(np.float64)}


def check(result: dict[str, np.ndarray], expected: dict[str, np.ndarray], p: Problem) -> None:
    close(result["c"], expected["c"], rtol=1e-5, atol=1e-3)


def anygpu(p: Problem, kit) -> Prepared:
    ag = kit.ag

    @kit.kernel
    def matmul(a, b, c):
        a_tile = ag.shared.array((TILE, TILE), np.float32)
        b_tile = ag.shared.array((TILE, TILE), np.float32)
        tx, ty = ag.threadIdx.x, ag.threadIdx.y
        row = ag.blockIdx.y * TILE + ty
        column = ag.blockIdx.x * TILE + tx
        total = np.float32(0)
        for start in range(0, a.shape[1], TILE):
            a_tile[ty, tx] = a[row, start + tx]
            b_tile[ty, tx] = b[start + ty, column]
            ag.syncthreads()
            for k in range(TILE):
                total += a_tile[ty, k] * b_tile[k, tx]
            ag.syncthreads()
        c[row, column] = total

    a, b, c = kit.array(p["a"]), kit.array(p["b"]), kit.empty((p.n, p.n), np.float32)
    blocks = (p.n // TILE, p.n // TILE)
    return Prepared(kit.runner(matmul[blocks, (TILE, TILE)], a, b, c), lambda: {"c": kit.fetch(c)})


CUDA = f"""
#define TILE {TILE}
extern "C" __global__ void matmul(const float *__restrict__ a, const float *__restrict__ b, float *__restrict__ c, int n) {{
    __shared__ float a_tile[TILE][TILE], b_tile[TILE][TILE];
    int tx = threadIdx.x, ty = threadIdx.y, row = blockIdx.y * TILE + ty, column = blockIdx.x * TILE + tx;
    float total = 0;
    for (int start = 0; start < n; start += TILE) {{
        a_tile[ty][tx] = a[row * n + start + tx];
        b_tile[ty][tx] = b[(start + ty) * n + column];
        __syncthreads();
        #pragma unroll
        for (int k = 0; k < TILE; ++k) total += a_tile[ty][k] * b_tile[k][tx];
        __syncthreads();
    }}
    c[row * n + column] = total;
}}"""


def opencl(p: Problem, kit) -> Prepared:
    kernel = kit.kernel(
        f"""
        #define TILE {TILE}
        __kernel __attribute__((reqd_work_group_size(TILE, TILE, 1))) __attribute__((intel_vec_len_hint(16)))
        void matmul(__global const float *restrict a, __global const float *restrict b, __global float *restrict c, int n) {{
            __local float a_tile[TILE][TILE], b_tile[TILE][TILE];
            int tx = get_local_id(0), ty = get_local_id(1), column = get_global_id(0), row = get_global_id(1);
            float total = 0;
            for (int start = 0; start < n; start += TILE) {{
                a_tile[ty][tx] = a[row * n + start + tx];
                b_tile[ty][tx] = b[(start + ty) * n + column];
                barrier(CLK_LOCAL_MEM_FENCE);
                #pragma unroll
                for (int k = 0; k < TILE; ++k) total += a_tile[ty][k] * b_tile[k][tx];
                barrier(CLK_LOCAL_MEM_FENCE);
            }}
            c[row * n + column] = total;
        }}""",
        "matmul",
    )
    c = kit.empty((p.n, p.n), np.float32)
    run = kit.runner(kernel, (p.n, p.n), (TILE, TILE), kit.array(p["a"]), kit.array(p["b"]), c, np.int32(p.n))
    return Prepared(run, lambda: {"c": kit.fetch(c, (p.n, p.n), np.float32)})


def ispc(p: Problem, kit) -> Prepared:
    # The same tiles, held in a task's own stack: a task makes one tile of C.
    c = empty((p.n, p.n), np.float32)
    source = f"""
        #define TILE {TILE}
        task void part(uniform const float a[], uniform const float b[], uniform float c[], uniform int n) {{
            uniform int top = taskIndex1 * TILE, left = taskIndex0 * TILE;
            uniform float total[TILE][TILE], b_tile[TILE][TILE];
            for (uniform int i = 0; i < TILE; ++i) foreach (j = 0 ... TILE) total[i][j] = 0;
            for (uniform int start = 0; start < n; start += TILE) {{
                for (uniform int k = 0; k < TILE; ++k) foreach (j = 0 ... TILE) b_tile[k][j] = b[(start + k) * n + left + j];
                for (uniform int i = 0; i < TILE; ++i)
                    foreach (j = 0 ... TILE) {{
                        float sum = total[i][j];
                        #pragma unroll
                        for (uniform int k = 0; k < TILE; ++k) sum += a[(top + i) * n + start + k] * b_tile[k][j];
                        total[i][j] = sum;
                    }}
            }}
            for (uniform int i = 0; i < TILE; ++i) foreach (j = 0 ... TILE) c[(top + i) * n + left + j] = total[i][j];
        }}
        export void matmul(uniform const float a[], uniform const float b[], uniform float c[], uniform int n) {{
            launch[n / TILE, n / TILE] part(a, b, c, n);
            sync;
        }}"""
    return Prepared(kit.function(source, "matmul", p["a"], p["b"], c, p.n), lambda: {"c": c})


def numba(p: Problem, kit) -> Prepared:
    # The order of loops that vectorises without reassociation: a row of C gathers rows of B.
    prange = kit.numba.prange

    @kit.njit
    def matmul(a, b, c):
        n = a.shape[0]
        for i in prange(n):
            c[i, :] = np.float32(0)
            for k in range(n):
                factor = a[i, k]
                for j in range(n):
                    c[i, j] += factor * b[k, j]

    a, b, c = p["a"], p["b"], empty((p.n, p.n), np.float32)
    return Prepared(lambda: matmul(a, b, c), lambda: {"c": c})


def quadrants(p: Problem, kit) -> Prepared:
    # Fields, not ndarrays: the inner loop vectorises only over fields, which makes it twenty times as fast.
    qd, n = kit.qd, p.n
    a, b, c = kit.fields(p["a"], p["b"], np.zeros((n, n), np.float32))

    @qd.kernel
    def matmul():
        for i in range(n):
            for j in range(n):
                c[i, j] = 0.0
            for k in range(n):
                factor = a[i, k]
                for j in range(n):
                    c[i, j] = c[i, j] + factor * b[k, j]

    def run() -> None:
        matmul()
        qd.sync()

    return Prepared(run, lambda: {"c": c.to_numpy()})


def warp(p: Problem, kit) -> Prepared:
    # Warp's tiles are cooperative only on a GPU: on the CPU a block has one thread, so its natural form is the plain loop.
    wp = kit.wp
    matrix = wp.array2d(dtype=wp.float32)

    @wp.kernel
    def matmul(a: matrix, b: matrix, c: matrix):
        i, j = wp.tid()
        total = wp.float32(0.0)
        for k in range(a.shape[1]):
            total += a[i, k] * b[k, j]
        c[i, j] = total

    a, b, c = kit.array(p["a"]), kit.array(p["b"]), kit.empty((p.n, p.n), np.float32)
    return Prepared(lambda: kit.launch(matmul, (p.n, p.n), a, b, c), lambda: {"c": c.numpy()})


def numpy(p: Problem, kit) -> Prepared:
    a, b, c = p["a"], p["b"], empty((p.n, p.n), np.float32)
    library = "BLAS, blocked for registers and caches and written in assembly"
    return Prepared(lambda: np.matmul(a, b, out=c), lambda: {"c": c}, library=library)
