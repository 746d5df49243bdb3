"""One Jacobi step of the 5-point stencil over a float32 image too large for the caches; the border is copied."""

import numpy as np

from benchmarks.suite import Prepared, Problem, aligned, close, empty

TITLE = "5-point stencil"
ABSENT: dict[str, str] = {}
CENTER, SIDE = 0.5, 0.125


def problem(quick: bool) -> Problem:
    side = 512 if quick else 4096
    return Problem({"u": aligned(np.random.default_rng(6).random((side, side), np.float32))}, {"side": side})


def traffic(p: Problem) -> int:
    return 2 * 4 * p.side * p.side


def reference(p: Problem) -> dict[str, np.ndarray]:
    u = p["u"].astype(np.float64)
    out = u.copy()
    out[1:-1, 1:-1] = CENTER * u[1:-1, 1:-1] + SIDE * (u[:-2, 1:-1] + u[2:, 1:-1] + u[1:-1, :-2] + u[1:-1, 2:])
    return {"out": out}


def check(result: dict[str, np.ndarray], expected: dict[str, np.ndarray], p: Problem) -> None:
    close(result["out"], expected["out"], rtol=1e-6, atol=0)


def anygpu(p: Problem, kit) -> Prepared:
    ag = kit.ag

    @kit.kernel
    def stencil(u, out):
        i, j = ag.grid(2)
        if i < u.shape[0] and j < u.shape[1]:
            if 0 < i < u.shape[0] - 1 and 0 < j < u.shape[1] - 1:
                out[i, j] = CENTER * u[i, j] + SIDE * (u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1])
            else:
                out[i, j] = u[i, j]

    u, out = kit.array(p["u"]), kit.empty(p["u"].shape, np.float32)
    return Prepared(kit.runner(stencil.forall(u.shape), u, out), lambda: {"out": kit.fetch(out)})


C_STEP = f"{CENTER}f * u[k] + {SIDE}f * (u[k - side] + u[k + side] + u[k - 1] + u[k + 1])"


CUDA = f"""
extern "C" __global__ void stencil(const float *__restrict__ u, float *__restrict__ out, int side) {{
    int j = blockIdx.x * blockDim.x + threadIdx.x, i = blockIdx.y * blockDim.y + threadIdx.y, k = i * side + j;
    if (i >= side || j >= side) return;
    if (0 < i && i < side - 1 && 0 < j && j < side - 1) out[k] = {C_STEP};
    else out[k] = u[k];
}}"""


def opencl(p: Problem, kit) -> Prepared:
    kernel = kit.kernel(
        f"""
        __kernel void stencil(__global const float *restrict u, __global float *restrict out, int side) {{
            int j = get_global_id(0), i = get_global_id(1), k = i * side + j;
            if (i > 0 && i < side - 1) {{
                float value = {C_STEP}; /* beside the border a neighbour lies in the next row: read, and not used */
                out[k] = j > 0 && j < side - 1 ? value : u[k];
            }} else {{
                out[k] = u[k];
            }}
        }}""",
        "stencil",
    )
    out = kit.empty(p["u"].shape, np.float32)
    run = kit.runner(kernel, (p.side, p.side), (min(p.side, 4096), 1), kit.array(p["u"]), out, np.int32(p.side))
    return Prepared(run, lambda: {"out": kit.fetch(out, (p.side, p.side), np.float32)})


def ispc(p: Problem, kit) -> Prepared:
    out = empty(p["u"].shape, np.float32)
    source = f"""
        task void part(uniform const float u[], uniform float out[], uniform int side) {{
            uniform int low = side * taskIndex / taskCount, high = side * (taskIndex + 1) / taskCount;
            for (uniform int i = low; i < high; ++i) {{
                if (i == 0 || i == side - 1) {{
                    foreach (j = 0 ... side) out[i * side + j] = u[i * side + j];
                }} else {{
                    out[i * side] = u[i * side];
                    out[i * side + side - 1] = u[i * side + side - 1];
                    foreach (j = 1 ... side - 1) {{
                        int k = i * side + j;
                        out[k] = {C_STEP};
                    }}
                }}
            }}
        }}
        export void stencil(uniform const float u[], uniform float out[], uniform int side) {{
            launch[32] part(u, out, side);
            sync;
        }}"""
    return Prepared(kit.function(source, "stencil", p["u"], out, p.side), lambda: {"out": out})


def numba(p: Problem, kit) -> Prepared:
    prange = kit.numba.prange
    center, side = np.float32(CENTER), np.float32(SIDE)

    @kit.njit
    def stencil(u, out):
        height, width = u.shape
        for i in prange(height):
            if i == 0 or i == height - 1:
                for j in range(width):
                    out[i, j] = u[i, j]
            else:
                out[i, 0] = u[i, 0]
                for j in range(1, width - 1):
                    out[i, j] = center * u[i, j] + side * (u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1])
                out[i, width - 1] = u[i, width - 1]

    u, out = p["u"], empty(p["u"].shape, np.float32)
    return Prepared(lambda: stencil(u, out), lambda: {"out": out})


def quadrants(p: Problem, kit) -> Prepared:
    qd, side = kit.qd, p.side
    u, out = kit.fields(p["u"], np.zeros_like(p["u"]))

    @qd.kernel
    def stencil():
        for i in range(side):
            if i == 0 or i == side - 1:
                for j in range(side):
                    out[i, j] = u[i, j]
            else:
                out[i, 0] = u[i, 0]
                for j in range(1, side - 1):
                    out[i, j] = CENTER * u[i, j] + SIDE * (u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1])
                out[i, side - 1] = u[i, side - 1]

    def run() -> None:
        stencil()
        qd.sync()

    return Prepared(run, lambda: {"out": out.to_numpy()})


def warp(p: Problem, kit) -> Prepared:
    wp = kit.wp
    matrix = wp.array2d(dtype=wp.float32)
    center, side = wp.constant(CENTER), wp.constant(SIDE)

    @wp.kernel
    def stencil(u: matrix, out: matrix):
        i, j = wp.tid()
        if i > 0 and i < u.shape[0] - 1 and j > 0 and j < u.shape[1] - 1:
            out[i, j] = center * u[i, j] + side * (u[i - 1, j] + u[i + 1, j] + u[i, j - 1] + u[i, j + 1])
        else:
            out[i, j] = u[i, j]

    u, out = kit.array(p["u"]), kit.empty(p["u"].shape, np.float32)
    return Prepared(lambda: kit.launch(stencil, (p.side, p.side), u, out), lambda: {"out": out.numpy()})


def numpy(p: Problem, kit) -> Prepared:
    u, out = p["u"], empty(p["u"].shape, np.float32)
    inner = out[1:-1, 1:-1]
    center, side = np.float32(CENTER), np.float32(SIDE)

    def run() -> None:
        out[0], out[-1], out[:, 0], out[:, -1] = u[0], u[-1], u[:, 0], u[:, -1]
        np.add(u[:-2, 1:-1], u[2:, 1:-1], out=inner)
        np.add(inner, u[1:-1, :-2], out=inner)
        np.add(inner, u[1:-1, 2:], out=inner)
        np.multiply(inner, side, out=inner)
        np.add(inner, center * u[1:-1, 1:-1], out=inner)

    return Prepared(run, lambda: {"out": out})
