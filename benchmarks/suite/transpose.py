"""Transpose of a float32 matrix too large for the caches; a 32 x 32 tile turns in shared memory, so that both sides run along rows."""

import numpy as np

from benchmarks.suite import Prepared, Problem, aligned, empty

TITLE = "transpose, shared"
ABSENT: dict[str, str] = {}
TILE, ROWS = 32, 8


def problem(quick: bool) -> Problem:
    side = 512 if quick else 4096
    return Problem({"a": aligned(np.random.default_rng(9).random((side, side), np.float32))}, {"side": side})


def traffic(p: Problem) -> int:
    return 2 * 4 * p.side * p.side


def reference(p: Problem) -> dict[str, np.ndarray]:
    return {"out": p["a"].T}


def check(result: dict[str, np.ndarray], expected: dict[str, np.ndarray], p: Problem) -> None:
    if not np.array_equal(result["out"], expected["out"]):
        raise AssertionError(f"{np.mean(result['out'] != expected['out']):.3%} of the elements are wrong")


def anygpu(p: Problem, kit) -> Prepared:
    ag, rows = kit.ag, kit.suits(ROWS, opencl=1)

    @kit.kernel
    def transpose(a, out):
        tile = ag.shared.array((TILE, TILE + 1), np.float32)
        tx, ty = ag.threadIdx.x, ag.threadIdx.y
        left = ag.blockIdx.x * TILE
        top = ag.blockIdx.y * TILE
        for r in range(ty, TILE, rows):
            tile[r, tx] = a[top + r, left + tx]
        ag.syncthreads()
        for r in range(ty, TILE, rows):
            out[left + r, top + tx] = tile[tx, r]

    a, out = kit.array(p["a"]), kit.empty((p.side, p.side), np.float32)
    blocks = (p.side // TILE, p.side // TILE)
    return Prepared(kit.runner(transpose[blocks, (TILE, rows)], a, out), lambda: {"out": kit.fetch(out)})


CUDA = f"""
#define TILE {TILE}
#define ROWS {ROWS}
extern "C" __global__ void transpose(const float *__restrict__ a, float *__restrict__ out, int height, int width) {{
    __shared__ float tile[TILE][TILE + 1];
    int tx = threadIdx.x, ty = threadIdx.y, left = blockIdx.x * TILE, top = blockIdx.y * TILE;
    #pragma unroll
    for (int r = 0; r < TILE; r += ROWS) tile[ty + r][tx] = a[(top + ty + r) * width + left + tx];
    __syncthreads();
    #pragma unroll
    for (int r = 0; r < TILE; r += ROWS) out[(left + ty + r) * height + top + tx] = tile[tx][ty + r];
}}"""


def opencl(p: Problem, kit) -> Prepared:
    # One row of work-items that walk down the tile is the fastest of the shapes 32 x 1, 32 x 4, 32 x 8 and 32 x 32 here.
    kernel = kit.kernel(
        f"""
        #define TILE {TILE}
        __kernel __attribute__((reqd_work_group_size(TILE, 1, 1)))
        void transpose(__global const float *restrict a, __global float *restrict out, int side) {{
            __local float tile[TILE][TILE + 1];
            int tx = get_local_id(0), left = get_group_id(0) * TILE, top = get_group_id(1) * TILE;
            for (int r = 0; r < TILE; ++r) tile[r][tx] = a[(top + r) * side + left + tx];
            barrier(CLK_LOCAL_MEM_FENCE);
            for (int r = 0; r < TILE; ++r) out[(left + r) * side + top + tx] = tile[tx][r];
        }}""",
        "transpose",
    )
    out = kit.empty((p.side, p.side), np.float32)
    run = kit.runner(kernel, (p.side, p.side // TILE), (TILE, 1), kit.array(p["a"]), out, np.int32(p.side))
    return Prepared(run, lambda: {"out": kit.fetch(out, (p.side, p.side), np.float32)})


def ispc(p: Problem, kit) -> Prepared:
    out = empty((p.side, p.side), np.float32)
    source = f"""
        #define TILE {TILE}
        task void part(uniform const float a[], uniform float out[], uniform int side) {{
            uniform int top = taskIndex * TILE;
            uniform float tile[TILE][TILE + 1];
            for (uniform int left = 0; left < side; left += TILE) {{
                for (uniform int r = 0; r < TILE; ++r) foreach (c = 0 ... TILE) tile[r][c] = a[(top + r) * side + left + c];
                for (uniform int r = 0; r < TILE; ++r) foreach (c = 0 ... TILE) out[(left + r) * side + top + c] = tile[c][r];
            }}
        }}
        export void transpose(uniform const float a[], uniform float out[], uniform int side) {{
            launch[side / TILE] part(a, out, side);
            sync;
        }}"""
    return Prepared(kit.function(source, "transpose", p["a"], out, p.side), lambda: {"out": out})


def numba(p: Problem, kit) -> Prepared:
    prange = kit.numba.prange

    @kit.njit
    def transpose(a, out):
        height, width = a.shape
        for top in prange(height // TILE):
            for left in range(width // TILE):
                for r in range(left * TILE, (left + 1) * TILE):
                    for c in range(top * TILE, (top + 1) * TILE):
                        out[r, c] = a[c, r]

    a, out = p["a"], empty((p.side, p.side), np.float32)
    return Prepared(lambda: transpose(a, out), lambda: {"out": out})


def quadrants(p: Problem, kit) -> Prepared:
    qd, f32x2 = kit.qd, kit.nd("f32", 2)

    @qd.kernel
    def transpose(a: f32x2, out: f32x2):
        for top, left in qd.ndrange(a.shape[0] // TILE, a.shape[1] // TILE):
            for r in range(left * TILE, (left + 1) * TILE):
                for c in range(top * TILE, (top + 1) * TILE):
                    out[r, c] = a[c, r]

    a, out = kit.array(p["a"]), kit.empty((p.side, p.side), np.float32)

    def run() -> None:
        transpose(a, out)
        qd.sync()

    return Prepared(run, lambda: {"out": out.to_numpy()})


def warp(p: Problem, kit) -> Prepared:
    # One thread for each tile: on the CPU the tile stays in the cache between its reads and its writes.
    wp = kit.wp
    matrix = wp.array2d(dtype=wp.float32)
    tile = wp.constant(TILE)

    @wp.kernel
    def transpose(a: matrix, out: matrix):
        top, left = wp.tid()
        for r in range(left * tile, (left + 1) * tile):
            for c in range(top * tile, (top + 1) * tile):
                out[r, c] = a[c, r]

    a, out = kit.array(p["a"]), kit.empty((p.side, p.side), np.float32)
    return Prepared(lambda: kit.launch(transpose, (p.side // TILE, p.side // TILE), a, out), lambda: {"out": out.numpy()})


def numpy(p: Problem, kit) -> Prepared:
    a, out = p["a"], empty((p.side, p.side), np.float32)
    return Prepared(lambda: np.copyto(out, a.T), lambda: {"out": out})
