"""Gravitational accelerations of all pairs of bodies with softening, float32: arithmetic on values that a whole warp shares."""

import math

import numpy as np

from benchmarks.suite import Prepared, Problem, aligned, close, empty

TITLE = "n-body"
ABSENT: dict[str, str] = {}
SOFTENING = 1e-3
INPUTS, OUTPUTS = ("x", "y", "z", "mass"), ("ax", "ay", "az")


def problem(quick: bool) -> Problem:
    n = 512 if quick else 4096
    random = np.random.default_rng(5)
    arrays = {name: aligned(random.standard_normal(n, np.float32)) for name in "xyz"}
    return Problem({**arrays, "mass": aligned(random.uniform(0.5, 1.5, n).astype(np.float32))}, {"n": n})


def reference(p: Problem) -> dict[str, np.ndarray]:
    return dict(zip(OUTPUTS, _vectors(*(p[name].astype(np.float64) for name in INPUTS)), strict=True))


def _vectors(x: np.ndarray, y: np.ndarray, z: np.ndarray, mass: np.ndarray) -> list[np.ndarray]:
    delta = [part[None, :] - part[:, None] for part in (x, y, z)]
    square = delta[0] * delta[0] + delta[1] * delta[1] + delta[2] * delta[2] + np.float32(SOFTENING).astype(x.dtype)
    weight = mass / (square * np.sqrt(square))
    return [(part * weight).sum(axis=1) for part in delta]


def check(result: dict[str, np.ndarray], expected: dict[str, np.ndarray], p: Problem) -> None:
    for name in OUTPUTS:
        close(result[name], expected[name], rtol=2e-4, atol=5e-2)


def anygpu(p: Problem, kit) -> Prepared:
    ag = kit.ag

    @kit.kernel
    def nbody(x, y, z, mass, ax, ay, az):
        i = ag.grid(1)
        if i < x.size:
            xi, yi, zi = x[i], y[i], z[i]
            sx = sy = sz = np.float32(0)
            for j in range(x.size):
                dx = x[j] - xi
                dy = y[j] - yi
                dz = z[j] - zi
                inverse = 1.0 / math.sqrt(dx * dx + dy * dy + dz * dz + SOFTENING)
                weight = mass[j] * inverse * inverse * inverse
                sx += weight * dx
                sy += weight * dy
                sz += weight * dz
            ax[i] = sx
            ay[i] = sy
            az[i] = sz

    inputs, outputs = [kit.array(p[name]) for name in INPUTS], [kit.empty(p.n, np.float32) for _ in OUTPUTS]
    run = kit.runner(nbody.forall(p.n), *inputs, *outputs)
    return Prepared(run, lambda: {name: kit.fetch(out) for name, out in zip(OUTPUTS, outputs, strict=True)})


C_LOOP = f"""
        float dx = x[j] - xi, dy = y[j] - yi, dz = z[j] - zi;
        float inverse = rsqrt(dx * dx + dy * dy + dz * dz + {SOFTENING}f);
        float weight = mass[j] * inverse * inverse * inverse;
        sx += weight * dx;
        sy += weight * dy;
        sz += weight * dz;
"""


# The division and the square root of the Python version, not rsqrtf: each compiler gets the same arithmetic.
CUDA = f"""
extern "C" __global__ void nbody(const float *__restrict__ x, const float *__restrict__ y, const float *__restrict__ z,
                                 const float *__restrict__ mass, float *__restrict__ ax, float *__restrict__ ay,
                                 float *__restrict__ az, int n) {{
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float xi = x[i], yi = y[i], zi = z[i], sx = 0, sy = 0, sz = 0;
    for (int j = 0; j < n; ++j) {{
        {C_LOOP.replace("rsqrt(", "1.0f / sqrtf(")}
    }}
    ax[i] = sx; ay[i] = sy; az[i] = sz;
}}"""


def opencl(p: Problem, kit) -> Prepared:
    kernel = kit.kernel(
        """
        __kernel void nbody(__global const float *restrict x, __global const float *restrict y, __global const float *restrict z,
                            __global const float *restrict mass, __global float *restrict ax, __global float *restrict ay,
                            __global float *restrict az, int n) {
            size_t i = get_global_id(0);
            float xi = x[i], yi = y[i], zi = z[i], sx = 0, sy = 0, sz = 0;
            for (int j = 0; j < n; ++j) {"""
        + C_LOOP
        + """
            }
            ax[i] = sx; ay[i] = sy; az[i] = sz;
        }""",
        "nbody",
    )
    outputs = [kit.empty(p.n, np.float32) for _ in OUTPUTS]
    run = kit.runner(kernel, (p.n,), (64,), *(kit.array(p[name]) for name in INPUTS), *outputs, np.int32(p.n))
    return Prepared(run, lambda: {name: kit.fetch(out, p.n, np.float32) for name, out in zip(OUTPUTS, outputs, strict=True)})


def ispc(p: Problem, kit) -> Prepared:
    outputs = [empty(p.n, np.float32) for _ in OUTPUTS]
    signature = ", ".join([*(f"uniform const float {name}[]" for name in INPUTS), *(f"uniform float {name}[]" for name in OUTPUTS)])
    source = (
        f"""
        task void part({signature}, uniform int n) {{
            uniform int low = n * taskIndex / taskCount, high = n * (taskIndex + 1) / taskCount;
            foreach (i = low ... high) {{
                float xi = x[i], yi = y[i], zi = z[i], sx = 0, sy = 0, sz = 0;
                for (uniform int j = 0; j < n; ++j) {{"""
        + C_LOOP
        + f"""
                }}
                ax[i] = sx; ay[i] = sy; az[i] = sz;
            }}
        }}
        export void nbody({signature}, uniform int n) {{
            launch[16] part(x, y, z, mass, ax, ay, az, n);
            sync;
        }}"""
    )
    run = kit.function(source, "nbody", *(p[name] for name in INPUTS), *outputs, p.n)
    return Prepared(run, lambda: dict(zip(OUTPUTS, outputs, strict=True)))


def numba(p: Problem, kit) -> Prepared:
    prange = kit.numba.prange
    one, zero, softening = np.float32(1), np.float32(0), np.float32(SOFTENING)

    @kit.njit
    def nbody(x, y, z, mass, ax, ay, az):
        for i in prange(x.size):
            xi, yi, zi = x[i], y[i], z[i]
            sx = sy = sz = zero
            for j in range(x.size):
                dx = x[j] - xi
                dy = y[j] - yi
                dz = z[j] - zi
                inverse = one / math.sqrt(dx * dx + dy * dy + dz * dz + softening)
                weight = mass[j] * inverse * inverse * inverse
                sx += weight * dx
                sy += weight * dy
                sz += weight * dz
            ax[i] = sx
            ay[i] = sy
            az[i] = sz

    inputs, outputs = [p[name] for name in INPUTS], [empty(p.n, np.float32) for _ in OUTPUTS]
    return Prepared(lambda: nbody(*inputs, *outputs), lambda: dict(zip(OUTPUTS, outputs, strict=True)))


def quadrants(p: Problem, kit) -> Prepared:
    qd, f32x1 = kit.qd, kit.nd("f32", 1)

    @qd.kernel
    def nbody(x: f32x1, y: f32x1, z: f32x1, mass: f32x1, ax: f32x1, ay: f32x1, az: f32x1):
        for i in range(x.shape[0]):
            xi, yi, zi = x[i], y[i], z[i]
            sx, sy, sz = 0.0, 0.0, 0.0
            for j in range(x.shape[0]):
                dx = x[j] - xi
                dy = y[j] - yi
                dz = z[j] - zi
                inverse = qd.rsqrt(dx * dx + dy * dy + dz * dz + SOFTENING)
                weight = mass[j] * inverse * inverse * inverse
                sx += weight * dx
                sy += weight * dy
                sz += weight * dz
            ax[i] = sx
            ay[i] = sy
            az[i] = sz

    inputs, outputs = [kit.array(p[name]) for name in INPUTS], [kit.empty(p.n, np.float32) for _ in OUTPUTS]

    def run() -> None:
        nbody(*inputs, *outputs)
        qd.sync()

    return Prepared(run, lambda: {name: out.to_numpy() for name, out in zip(OUTPUTS, outputs, strict=True)})


def warp(p: Problem, kit) -> Prepared:
    wp = kit.wp
    vector = wp.array(dtype=wp.float32)
    softening = wp.constant(SOFTENING)

    @wp.kernel
    def nbody(x: vector, y: vector, z: vector, mass: vector, ax: vector, ay: vector, az: vector):
        i = wp.tid()
        xi = x[i]
        yi = y[i]
        zi = z[i]
        sx = wp.float32(0.0)
        sy = wp.float32(0.0)
        sz = wp.float32(0.0)
        for j in range(x.shape[0]):
            dx = x[j] - xi
            dy = y[j] - yi
            dz = z[j] - zi
            inverse = 1.0 / wp.sqrt(dx * dx + dy * dy + dz * dz + softening)
            weight = mass[j] * inverse * inverse * inverse
            sx += weight * dx
            sy += weight * dy
            sz += weight * dz
        ax[i] = sx
        ay[i] = sy
        az[i] = sz

    inputs, outputs = [kit.array(p[name]) for name in INPUTS], [kit.empty(p.n, np.float32) for _ in OUTPUTS]
    return Prepared(
        lambda: kit.launch(nbody, p.n, *inputs, *outputs),
        lambda: {name: out.numpy() for name, out in zip(OUTPUTS, outputs, strict=True)},
    )


def numpy(p: Problem, kit) -> Prepared:
    inputs = [p[name] for name in INPUTS]
    results: list[list[np.ndarray]] = []

    def run() -> None:
        results[:] = [_vectors(*inputs)]

    return Prepared(run, lambda: dict(zip(OUTPUTS, results[0], strict=True)))
