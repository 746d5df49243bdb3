"""Escape times of the Mandelbrot set, float32, at most 256 iterations: neighbouring points leave the loop at different times."""

import numpy as np

from benchmarks.suite import Prepared, Problem, close, empty

TITLE = "Mandelbrot"
ABSENT: dict[str, str] = {}
LIMIT = 256
X0, Y0, WIDTH, HEIGHT = -2.0, -1.25, 2.5, 2.5


def problem(quick: bool) -> Problem:
    side = 128 if quick else 1024
    return Problem({}, {"side": side})


def _steps(p: Problem) -> tuple[np.float32, np.float32, np.float32, np.float32]:
    return np.float32(X0), np.float32(Y0), np.float32(WIDTH / p.side), np.float32(HEIGHT / p.side)


def reference(p: Problem) -> dict[str, np.ndarray]:
    return {"out": _vectors(p)}


def _vectors(p: Problem) -> np.ndarray:
    x0, y0, dx, dy = _steps(p)
    index = np.arange(p.side, dtype=np.float32)
    cx, cy = (part.ravel() for part in np.broadcast_arrays(x0 + dx * index, (y0 + dy * index)[:, None]))
    count = np.zeros(cx.size, np.int32)
    live = np.arange(cx.size)
    zx = zy = np.zeros(cx.size, np.float32)
    for _ in range(LIMIT):
        x2, y2 = zx * zx, zy * zy
        inside = x2 + y2 <= 4
        live, cx, cy, zx, zy, x2, y2 = (part[inside] for part in (live, cx, cy, zx, zy, x2, y2))
        zx, zy = x2 - y2 + cx, 2 * zx * zy + cy
        count[live] += 1
    return count.reshape(p.side, p.side)


def check(result: dict[str, np.ndarray], expected: dict[str, np.ndarray], p: Problem) -> None:
    # A contracted a*b + c rounds once: beside the boundary, where orbits are chaotic, such a difference changes the count.
    close(result["out"], expected["out"], rtol=0, atol=0, outliers=0.01)


def anygpu(p: Problem, kit) -> Prepared:
    ag = kit.ag

    @kit.kernel
    def mandelbrot(x0, y0, dx, dy, out):
        row, column = ag.grid(2)
        if row < out.shape[0] and column < out.shape[1]:
            cx = x0 + dx * np.float32(column)
            cy = y0 + dy * np.float32(row)
            zx = zy = x2 = y2 = np.float32(0)
            count = np.int32(0)
            while count < LIMIT and x2 + y2 <= 4.0:
                zy = 2.0 * zx * zy + cy
                zx = x2 - y2 + cx
                x2 = zx * zx
                y2 = zy * zy
                count += 1
            out[row, column] = count

    out = kit.empty((p.side, p.side), np.int32)
    return Prepared(kit.runner(mandelbrot.forall((p.side, p.side)), *_steps(p), out), lambda: {"out": kit.fetch(out)})


C_BODY = f"""
    float cx = x0 + dx * column, cy = y0 + dy * row;
    float zx = 0, zy = 0, x2 = 0, y2 = 0;
    int count = 0;
    while (count < {LIMIT} && x2 + y2 <= 4.0f) {{
        zy = 2.0f * zx * zy + cy;
        zx = x2 - y2 + cx;
        x2 = zx * zx;
        y2 = zy * zy;
        ++count;
    }}
    out[row * side + column] = count;
"""


CUDA = (
    """
    extern "C" __global__ void mandelbrot(float x0, float y0, float dx, float dy, int side, int *__restrict__ out) {
        int column = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
        if (row >= side || column >= side) return;"""
    + C_BODY
    + "}"
)


def opencl(p: Problem, kit) -> Prepared:
    kernel = kit.kernel(
        """
        __kernel __attribute__((intel_vec_len_hint(16)))
        void mandelbrot(float x0, float y0, float dx, float dy, int side, __global int *restrict out) {
            int column = get_global_id(0), row = get_global_id(1);"""
        + C_BODY
        + "}",
        "mandelbrot",
    )
    out = kit.empty((p.side, p.side), np.int32)
    run = kit.runner(kernel, (p.side, p.side), (64, 1), *_steps(p), np.int32(p.side), out)
    return Prepared(run, lambda: {"out": kit.fetch(out, (p.side, p.side), np.int32)})


def ispc(p: Problem, kit) -> Prepared:
    out = empty((p.side, p.side), np.int32)
    source = (
        """
        task void part(uniform float x0, uniform float y0, uniform float dx, uniform float dy, uniform int side, uniform int out[]) {
            uniform int row = taskIndex;
            foreach (column = 0 ... side) {"""
        + C_BODY
        + """
            }
        }
        export void mandelbrot(uniform float x0, uniform float y0, uniform float dx, uniform float dy, uniform int side,
                               uniform int out[]) {
            launch[side] part(x0, y0, dx, dy, side, out);
            sync;
        }"""
    )
    run = kit.function(source, "mandelbrot", *(float(step) for step in _steps(p)), p.side, out, wide=True)
    return Prepared(run, lambda: {"out": out})


def numba(p: Problem, kit) -> Prepared:
    prange = kit.numba.prange
    two, four, zero = np.float32(2), np.float32(4), np.float32(0)

    @kit.njit
    def mandelbrot(x0, y0, dx, dy, out):
        for row in prange(out.shape[0]):
            for column in range(out.shape[1]):
                cx = x0 + dx * np.float32(column)
                cy = y0 + dy * np.float32(row)
                zx = zy = x2 = y2 = zero
                count = 0
                while count < LIMIT and x2 + y2 <= four:
                    zy = two * zx * zy + cy
                    zx = x2 - y2 + cx
                    x2 = zx * zx
                    y2 = zy * zy
                    count += 1
                out[row, column] = count

    steps, out = _steps(p), empty((p.side, p.side), np.int32)
    return Prepared(lambda: mandelbrot(*steps, out), lambda: {"out": out})


def quadrants(p: Problem, kit) -> Prepared:
    qd, i32x2 = kit.qd, kit.nd("i32", 2)

    @qd.kernel
    def mandelbrot(x0: qd.f32, y0: qd.f32, dx: qd.f32, dy: qd.f32, out: i32x2):
        for row, column in qd.ndrange(out.shape[0], out.shape[1]):
            cx = x0 + dx * column
            cy = y0 + dy * row
            zx, zy, x2, y2 = 0.0, 0.0, 0.0, 0.0
            count = 0
            while count < LIMIT and x2 + y2 <= 4.0:
                zy = 2.0 * zx * zy + cy
                zx = x2 - y2 + cx
                x2 = zx * zx
                y2 = zy * zy
                count += 1
            out[row, column] = count

    steps, out = [float(step) for step in _steps(p)], kit.empty((p.side, p.side), np.int32)

    def run() -> None:
        mandelbrot(*steps, out)
        qd.sync()

    return Prepared(run, lambda: {"out": out.to_numpy()})


def warp(p: Problem, kit) -> Prepared:
    wp = kit.wp
    limit = wp.constant(LIMIT)

    @wp.kernel
    def mandelbrot(x0: wp.float32, y0: wp.float32, dx: wp.float32, dy: wp.float32, out: wp.array2d(dtype=wp.int32)):
        row, column = wp.tid()
        cx = x0 + dx * wp.float32(column)
        cy = y0 + dy * wp.float32(row)
        zx = wp.float32(0.0)
        zy = wp.float32(0.0)
        x2 = wp.float32(0.0)
        y2 = wp.float32(0.0)
        count = wp.int32(0)
        while count < limit and x2 + y2 <= 4.0:
            zy = 2.0 * zx * zy + cy
            zx = x2 - y2 + cx
            x2 = zx * zx
            y2 = zy * zy
            count += 1
        out[row, column] = count

    steps, out = [float(step) for step in _steps(p)], kit.empty((p.side, p.side), np.int32)
    return Prepared(lambda: kit.launch(mandelbrot, (p.side, p.side), *steps, out), lambda: {"out": out.numpy()})


def numpy(p: Problem, kit) -> Prepared:
    results: list[np.ndarray] = []

    def run() -> None:
        results[:] = [_vectors(p)]

    return Prepared(run, lambda: {"out": results[0]})
