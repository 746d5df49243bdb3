"""5 x 5 convolution of a float32 image with zero padding; a block stages its tile and the tile's halo in shared memory."""

import numpy as np

from benchmarks.suite import Prepared, Problem, aligned, close, empty

TITLE = "2-D convolution, shared"
ABSENT: dict[str, str] = {}
TAPS, HALO = 5, 2
COLUMNS, ROWS = 32, 8


def problem(quick: bool) -> Problem:
    side = 256 if quick else 2048
    random = np.random.default_rng(7)
    weights = random.random((TAPS, TAPS), np.float32)
    weights /= weights.sum()
    return Problem({"image": aligned(random.random((side, side), np.float32)), "weights": aligned(weights)}, {"side": side})


def reference(p: Problem) -> dict[str, np.ndarray]:
    from scipy.ndimage import correlate

    return {"out": correlate(p["image"].astype(np.float64), p["weights"].astype(np.float64), mode="constant")}


def check(result: dict[str, np.ndarray], expected: dict[str, np.ndarray], p: Problem) -> None:
    close(result["out"], expected["out"], rtol=2e-6, atol=1e-6)


def anygpu(p: Problem, kit) -> Prepared:
    ag, columns = kit.ag, kit.suits(COLUMNS, opencl=128)

    @kit.kernel
    def convolution(image, weights, out):
        tile = ag.shared.array((ROWS + 2 * HALO, columns + 2 * HALO), np.float32)
        tx, ty = ag.threadIdx.x, ag.threadIdx.y
        left = ag.blockIdx.x * columns - HALO
        top = ag.blockIdx.y * ROWS - HALO
        for r in range(ty, ROWS + 2 * HALO, ROWS):
            for c in range(tx, columns + 2 * HALO, columns):
                value = np.float32(0)
                if 0 <= top + r < image.shape[0] and 0 <= left + c < image.shape[1]:
                    value = image[top + r, left + c]
                tile[r, c] = value
        ag.syncthreads()
        row = ag.blockIdx.y * ROWS + ty
        column = ag.blockIdx.x * columns + tx
        if row < out.shape[0] and column < out.shape[1]:
            total = np.float32(0)
            for i in range(TAPS):
                for j in range(TAPS):
                    total += weights[i, j] * tile[ty + i, tx + j]
            out[row, column] = total

    image, weights, out = kit.array(p["image"]), kit.array(p["weights"]), kit.empty(p["image"].shape, np.float32)
    blocks = (p.side // columns, p.side // ROWS)
    return Prepared(kit.runner(convolution[blocks, (columns, ROWS)], image, weights, out), lambda: {"out": kit.fetch(out)})


CUDA = f"""
#define ROWS {ROWS}
#define COLUMNS {COLUMNS}
#define HALO {HALO}
extern "C" __global__ void convolution(const float *__restrict__ image, const float *__restrict__ weights, float *__restrict__ out,
                                       int height, int width) {{
    __shared__ float tile[ROWS + 2 * HALO][COLUMNS + 2 * HALO];
    int tx = threadIdx.x, ty = threadIdx.y;
    int left = blockIdx.x * COLUMNS - HALO, top = blockIdx.y * ROWS - HALO;
    for (int r = ty; r < ROWS + 2 * HALO; r += ROWS)
        for (int c = tx; c < COLUMNS + 2 * HALO; c += COLUMNS) {{
            int y = top + r, x = left + c;
            tile[r][c] = y >= 0 && y < height && x >= 0 && x < width ? image[y * width + x] : 0.0f;
        }}
    __syncthreads();
    int row = blockIdx.y * ROWS + ty, column = blockIdx.x * COLUMNS + tx;
    if (row >= height || column >= width) return;
    float total = 0;
    #pragma unroll
    for (int i = 0; i < {TAPS}; ++i)
        #pragma unroll
        for (int j = 0; j < {TAPS}; ++j) total += weights[i * {TAPS} + j] * tile[ty + i][tx + j];
    out[row * width + column] = total;
}}"""


def opencl(p: Problem, kit) -> Prepared:
    kernel = kit.kernel(
        f"""
        #define COLUMNS 256
        #define ROWS 8
        __kernel __attribute__((reqd_work_group_size(COLUMNS, ROWS, 1)))
        void convolution(__global const float *restrict image, __constant float *weights, __global float *restrict out, int side) {{
            __local float tile[ROWS + 4][COLUMNS + 4];
            int tx = get_local_id(0), ty = get_local_id(1);
            int left = get_group_id(0) * COLUMNS - 2, top = get_group_id(1) * ROWS - 2;
            for (int r = ty; r < ROWS + 4; r += ROWS)
                for (int c = tx; c < COLUMNS + 4; c += COLUMNS) {{
                    int y = top + r, x = left + c;
                    tile[r][c] = y >= 0 && y < side && x >= 0 && x < side ? image[y * side + x] : 0.0f;
                }}
            barrier(CLK_LOCAL_MEM_FENCE);
            float total = 0;
            #pragma unroll
            for (int i = 0; i < {TAPS}; ++i)
                #pragma unroll
                for (int j = 0; j < {TAPS}; ++j)
                    total += weights[i * {TAPS} + j] * tile[ty + i][tx + j];
            out[get_global_id(1) * side + get_global_id(0)] = total;
        }}""",
        "convolution",
    )
    out = kit.empty(p["image"].shape, np.float32)
    run = kit.runner(kernel, (p.side, p.side), (256, 8), kit.array(p["image"]), kit.array(p["weights"]), out, np.int32(p.side))
    return Prepared(run, lambda: {"out": kit.fetch(out, (p.side, p.side), np.float32)})


def ispc(p: Problem, kit) -> Prepared:
    # ISPC has no shared memory: the caches hold the rows, and the border is handled apart from the interior, which needs no tests.
    out = empty(p["image"].shape, np.float32)
    source = f"""
        task void part(uniform const float image[], uniform const float weights[], uniform float out[], uniform int side) {{
            uniform int low = side * taskIndex / taskCount, high = side * (taskIndex + 1) / taskCount;
            uniform float w[{TAPS * TAPS}];
            for (uniform int i = 0; i < {TAPS * TAPS}; ++i) w[i] = weights[i];
            for (uniform int row = low; row < high; ++row) {{
                uniform bool whole = row >= {HALO} && row < side - {HALO};
                uniform int start = whole ? {HALO} : side, end = whole ? side - {HALO} : side;
                foreach (column = start ... end) {{
                    float total = 0;
                    #pragma unroll
                    for (uniform int i = 0; i < {TAPS}; ++i)
                        #pragma unroll
                        for (uniform int j = 0; j < {TAPS}; ++j)
                            total += w[i * {TAPS} + j] * image[(row + i - {HALO}) * side + column + j - {HALO}];
                    out[row * side + column] = total;
                }}
                for (uniform int edge = 0; edge < 2; ++edge) {{
                    uniform int first = edge == 0 ? 0 : end, last = edge == 0 ? min(start, side) : side;
                    foreach (column = first ... last) {{
                        float total = 0;
                        for (uniform int i = 0; i < {TAPS}; ++i)
                            for (uniform int j = 0; j < {TAPS}; ++j) {{
                                uniform int y = row + i - {HALO};
                                int x = column + j - {HALO};
                                if (y >= 0 && y < side && x >= 0 && x < side) total += w[i * {TAPS} + j] * image[y * side + x];
                            }}
                        out[row * side + column] = total;
                    }}
                }}
            }}
        }}
        export void convolution(uniform const float image[], uniform const float weights[], uniform float out[], uniform int side) {{
            launch[32] part(image, weights, out, side);
            sync;
        }}"""
    return Prepared(kit.function(source, "convolution", p["image"], p["weights"], out, p.side, wide=True), lambda: {"out": out})


def numba(p: Problem, kit) -> Prepared:
    # Tap by tap along a row: the inner loop is one that the compiler vectorises, and needs no test at the border.
    prange = kit.numba.prange

    @kit.njit
    def convolution(image, weights, out):
        height, width = image.shape
        for row in prange(height):
            target = out[row]
            target[:] = np.float32(0)
            for i in range(max(0, HALO - row), min(TAPS, height + HALO - row)):
                source = image[row + i - HALO]
                for j in range(TAPS):
                    weight, shift = weights[i, j], j - HALO
                    start, end = max(0, -shift), min(width, width - shift)
                    into, values = target[start:end], source[start + shift : end + shift]
                    for column in range(end - start):
                        into[column] += weight * values[column]

    image, weights, out = p["image"], p["weights"], empty(p["image"].shape, np.float32)
    return Prepared(lambda: convolution(image, weights, out), lambda: {"out": out})


def quadrants(p: Problem, kit) -> Prepared:
    qd, side = kit.qd, p.side
    image, weights, out = kit.fields(p["image"], p["weights"], np.zeros_like(p["image"]))

    @qd.func
    def edge(row, column):
        total = 0.0
        for i in range(TAPS):
            for j in range(TAPS):
                y, x = row + i - HALO, column + j - HALO
                if 0 <= y and y < side and 0 <= x and x < side:
                    total += weights[i, j] * image[y, x]
        out[row, column] = total

    @qd.kernel
    def convolution():
        for row in range(side):
            if row < HALO or row >= side - HALO:
                for column in range(side):
                    edge(row, column)
            else:
                for column in range(HALO, side - HALO):
                    total = 0.0
                    for i, j in qd.static(qd.ndrange(TAPS, TAPS)):
                        total += weights[i, j] * image[row + i - HALO, column + j - HALO]
                    out[row, column] = total
                for k in range(HALO):
                    edge(row, k)
                    edge(row, side - 1 - k)

    def run() -> None:
        convolution()
        qd.sync()

    return Prepared(run, lambda: {"out": out.to_numpy()})


def warp(p: Problem, kit) -> Prepared:
    wp = kit.wp
    matrix = wp.array2d(dtype=wp.float32)
    taps, halo = wp.constant(TAPS), wp.constant(HALO)

    @wp.kernel
    def convolution(image: matrix, weights: matrix, out: matrix):
        row, column = wp.tid()
        total = wp.float32(0.0)
        for i in range(taps):
            for j in range(taps):
                y = row + i - halo
                x = column + j - halo
                if y >= 0 and y < image.shape[0] and x >= 0 and x < image.shape[1]:
                    total += weights[i, j] * image[y, x]
        out[row, column] = total

    image, weights, out = kit.array(p["image"]), kit.array(p["weights"]), kit.empty(p["image"].shape, np.float32)
    return Prepared(lambda: kit.launch(convolution, (p.side, p.side), image, weights, out), lambda: {"out": out.numpy()})


def numpy(p: Problem, kit) -> Prepared:
    from scipy.ndimage import correlate

    image, weights, out = p["image"], p["weights"], empty(p["image"].shape, np.float32)
    return Prepared(lambda: correlate(image, weights, output=out, mode="constant"), lambda: {"out": out})
