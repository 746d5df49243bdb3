"""Sphere tracing of a sphere, a torus and a floor with a diffuse light, float32: rays stop at different steps and only some are shaded."""

import math

import numpy as np

from benchmarks.suite import Prepared, Problem, close, empty

TITLE = "ray marching"
ABSENT: dict[str, str] = {}
STEPS, FAR, NEAR, DELTA = 96, 20.0, 1e-3, 1e-3
CAMERA_Y, CAMERA_Z = 0.6, -3.5
LIGHT = (0.48, 0.8, -0.36)  # a unit vector
MAJOR, MINOR, RADIUS, FLOOR = 1.3, 0.25, 0.8, 1.0


def problem(quick: bool) -> Problem:
    return Problem({}, {"width": 160, "height": 90} if quick else {"width": 960, "height": 540})


def _scene(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    sphere = np.sqrt(x * x + y * y + z * z) - np.asarray(RADIUS, x.dtype)
    ring = np.sqrt(x * x + z * z) - np.asarray(MAJOR, x.dtype)
    torus = np.sqrt(ring * ring + y * y) - np.asarray(MINOR, x.dtype)
    return np.minimum(np.minimum(sphere, torus), y + np.asarray(FLOOR, x.dtype))


def _vectors(p: Problem, kind: type[np.floating]) -> np.ndarray:
    width, height = p.width, p.height
    u = (np.arange(width, dtype=kind) - kind(0.5 * width)) / kind(height)
    v = (kind(0.5 * height) - np.arange(height, dtype=kind)) / kind(height)
    dx, dy = (part.ravel() for part in np.broadcast_arrays(u, v[:, None]))
    scale = 1 / np.sqrt(dx * dx + dy * dy + kind(1))
    dx, dy, dz = dx * scale, dy * scale, scale
    t = np.zeros_like(dx)
    live = np.arange(t.size)
    hit = np.zeros(t.size, bool)
    for _ in range(STEPS):
        d = _scene(dx[live] * t[live], kind(CAMERA_Y) + dy[live] * t[live], kind(CAMERA_Z) + dz[live] * t[live])
        hit[live] = d < NEAR
        live, d = live[d >= NEAR], d[d >= NEAR]
        t[live] += d
        live = live[t[live] <= FAR]
    out = np.zeros(t.size, kind)
    x, y, z = dx[hit] * t[hit], kind(CAMERA_Y) + dy[hit] * t[hit], kind(CAMERA_Z) + dz[hit] * t[hit]
    e = kind(DELTA)
    nx = _scene(x + e, y, z) - _scene(x - e, y, z)
    ny = _scene(x, y + e, z) - _scene(x, y - e, z)
    nz = _scene(x, y, z + e) - _scene(x, y, z - e)
    light = (nx * kind(LIGHT[0]) + ny * kind(LIGHT[1]) + nz * kind(LIGHT[2])) / np.sqrt(nx * nx + ny * ny + nz * nz)
    out[hit] = kind(0.1) + kind(0.9) * np.maximum(light, 0)
    return out.reshape(height, width)


def reference(p: Problem) -> dict[str, np.ndarray]:
    return {"out": _vectors(p, np.float64)}


def check(result: dict[str, np.ndarray], expected: dict[str, np.ndarray], p: Problem) -> None:
    # Silhouettes and the far floor, where a hit hangs on the last bits, may differ; differences of float32 distances are coarse.
    close(result["out"], expected["out"], rtol=0, atol=6e-3, outliers=0.02)


def anygpu(p: Problem, kit) -> Prepared:
    ag = kit.ag
    light_x, light_y, light_z = LIGHT

    @ag.func
    def scene(x, y, z):
        sphere = math.sqrt(x * x + y * y + z * z) - RADIUS
        ring = math.sqrt(x * x + z * z) - MAJOR
        torus = math.sqrt(ring * ring + y * y) - MINOR
        return min(min(sphere, torus), y + FLOOR)

    @kit.kernel
    def raymarch(out):
        row, column = ag.grid(2)
        height, width = out.shape
        if row < height and column < width:
            dx = (np.float32(column) - 0.5 * np.float32(width)) / np.float32(height)
            dy = (0.5 * np.float32(height) - np.float32(row)) / np.float32(height)
            dz = 1.0 / math.sqrt(dx * dx + dy * dy + 1.0)
            dx *= dz
            dy *= dz
            t = np.float32(0)
            hit = False
            for _ in range(STEPS):
                distance = scene(dx * t, CAMERA_Y + dy * t, CAMERA_Z + dz * t)
                if distance < NEAR:
                    hit = True
                    break
                t += distance
                if t > FAR:
                    break
            value = np.float32(0)
            if hit:
                x, y, z = dx * t, CAMERA_Y + dy * t, CAMERA_Z + dz * t
                nx = scene(x + DELTA, y, z) - scene(x - DELTA, y, z)
                ny = scene(x, y + DELTA, z) - scene(x, y - DELTA, z)
                nz = scene(x, y, z + DELTA) - scene(x, y, z - DELTA)
                light = (nx * light_x + ny * light_y + nz * light_z) / math.sqrt(nx * nx + ny * ny + nz * nz)
                value = 0.1 + 0.9 * max(light, np.float32(0))
            out[row, column] = value

    out = kit.empty((p.height, p.width), np.float32)
    return Prepared(kit.runner(raymarch.forall((p.height, p.width)), out), lambda: {"out": kit.fetch(out)})


C_SCENE = f"""
    float sphere = sqrt(x * x + y * y + z * z) - {RADIUS}f;
    float ring = sqrt(x * x + z * z) - {MAJOR}f;
    float torus = sqrt(ring * ring + y * y) - {MINOR}f;
    return min(min(sphere, torus), y + {FLOOR}f);
"""
C_BODY = f"""
    float dx = (column - 0.5f * width) / height, dy = (0.5f * height - row) / height;
    float dz = 1.0f / sqrt(dx * dx + dy * dy + 1.0f);
    dx *= dz;
    dy *= dz;
    float t = 0;
    bool hit = false;
    for (int step = 0; step < {STEPS}; ++step) {{
        float distance = scene(dx * t, {CAMERA_Y}f + dy * t, {CAMERA_Z}f + dz * t);
        if (distance < {NEAR}f) {{
            hit = true;
            break;
        }}
        t += distance;
        if (t > {FAR}f) break;
    }}
    float value = 0;
    if (hit) {{
        float x = dx * t, y = {CAMERA_Y}f + dy * t, z = {CAMERA_Z}f + dz * t;
        float nx = scene(x + {DELTA}f, y, z) - scene(x - {DELTA}f, y, z);
        float ny = scene(x, y + {DELTA}f, z) - scene(x, y - {DELTA}f, z);
        float nz = scene(x, y, z + {DELTA}f) - scene(x, y, z - {DELTA}f);
        float light = (nx * {LIGHT[0]}f + ny * {LIGHT[1]}f + nz * {LIGHT[2]}f) / sqrt(nx * nx + ny * ny + nz * nz);
        value = 0.1f + 0.9f * max(light, 0.0f);
    }}
    out[row * width + column] = value;
"""


CUDA = (
    "__device__ float scene(float x, float y, float z) {"
    + C_SCENE
    + """}
    extern "C" __global__ void raymarch(int width, int height, float *__restrict__ out) {
        int column = blockIdx.x * blockDim.x + threadIdx.x, row = blockIdx.y * blockDim.y + threadIdx.y;
        if (row >= height || column >= width) return;"""
    + C_BODY
    + "}"
)


def opencl(p: Problem, kit) -> Prepared:
    kernel = kit.kernel(
        "float scene(float x, float y, float z) {"
        + C_SCENE
        + """}
        __kernel __attribute__((intel_vec_len_hint(16)))
        void raymarch(int width, int height, __global float *restrict out) {
            int column = get_global_id(0), row = get_global_id(1);"""
        + C_BODY
        + "}",
        "raymarch",
    )
    out = kit.empty((p.height, p.width), np.float32)
    run = kit.runner(kernel, (p.width, p.height), (64, 1), np.int32(p.width), np.int32(p.height), out)
    return Prepared(run, lambda: {"out": kit.fetch(out, (p.height, p.width), np.float32)})


def ispc(p: Problem, kit) -> Prepared:
    out = empty((p.height, p.width), np.float32)
    source = (
        "static inline float scene(float x, float y, float z) {"
        + C_SCENE
        + """}
        task void part(uniform int width, uniform int height, uniform float out[]) {
            uniform int row = taskIndex;
            foreach (column = 0 ... width) {"""
        + C_BODY
        + """
            }
        }
        export void raymarch(uniform int width, uniform int height, uniform float out[]) {
            launch[height] part(width, height, out);
            sync;
        }"""
    )
    return Prepared(kit.function(source, "raymarch", p.width, p.height, out, wide=True), lambda: {"out": out})


def numba(p: Problem, kit) -> Prepared:
    prange = kit.numba.prange
    f = np.float32
    zero, half, one, tenth, rest = f(0), f(0.5), f(1), f(0.1), f(0.9)
    far, near, delta, camera_y, camera_z = f(FAR), f(NEAR), f(DELTA), f(CAMERA_Y), f(CAMERA_Z)
    major, minor, radius, floor = f(MAJOR), f(MINOR), f(RADIUS), f(FLOOR)
    light_x, light_y, light_z = (f(part) for part in LIGHT)

    @kit.numba.njit(fastmath=False, inline="always")
    def scene(x, y, z):
        sphere = math.sqrt(x * x + y * y + z * z) - radius
        ring = math.sqrt(x * x + z * z) - major
        torus = math.sqrt(ring * ring + y * y) - minor
        return min(min(sphere, torus), y + floor)

    @kit.njit
    def raymarch(out):
        height, width = out.shape
        for row in prange(height):
            for column in range(width):
                dx = (f(column) - half * f(width)) / f(height)
                dy = (half * f(height) - f(row)) / f(height)
                dz = one / math.sqrt(dx * dx + dy * dy + one)
                dx *= dz
                dy *= dz
                t = zero
                hit = False
                for _ in range(STEPS):
                    distance = scene(dx * t, camera_y + dy * t, camera_z + dz * t)
                    if distance < near:
                        hit = True
                        break
                    t += distance
                    if t > far:
                        break
                value = zero
                if hit:
                    x, y, z = dx * t, camera_y + dy * t, camera_z + dz * t
                    nx = scene(x + delta, y, z) - scene(x - delta, y, z)
                    ny = scene(x, y + delta, z) - scene(x, y - delta, z)
                    nz = scene(x, y, z + delta) - scene(x, y, z - delta)
                    light = (nx * light_x + ny * light_y + nz * light_z) / math.sqrt(nx * nx + ny * ny + nz * nz)
                    value = tenth + rest * max(light, zero)
                out[row, column] = value

    out = empty((p.height, p.width), np.float32)
    return Prepared(lambda: raymarch(out), lambda: {"out": out})


def quadrants(p: Problem, kit) -> Prepared:
    qd, f32x2 = kit.qd, kit.nd("f32", 2)

    @qd.func
    def scene(x, y, z):
        sphere = qd.sqrt(x * x + y * y + z * z) - RADIUS
        ring = qd.sqrt(x * x + z * z) - MAJOR
        torus = qd.sqrt(ring * ring + y * y) - MINOR
        return qd.min(qd.min(sphere, torus), y + FLOOR)

    @qd.kernel
    def raymarch(out: f32x2):
        for row, column in qd.ndrange(out.shape[0], out.shape[1]):
            height, width = out.shape[0], out.shape[1]
            dx = (qd.cast(column, qd.f32) - 0.5 * width) / qd.cast(height, qd.f32)
            dy = (0.5 * height - qd.cast(row, qd.f32)) / qd.cast(height, qd.f32)
            dz = 1.0 / qd.sqrt(dx * dx + dy * dy + 1.0)
            dx *= dz
            dy *= dz
            t = 0.0
            hit = False
            for _ in range(STEPS):
                distance = scene(dx * t, CAMERA_Y + dy * t, CAMERA_Z + dz * t)
                if distance < NEAR:
                    hit = True
                    break
                t += distance
                if t > FAR:
                    break
            value = 0.0
            if hit:
                x, y, z = dx * t, CAMERA_Y + dy * t, CAMERA_Z + dz * t
                nx = scene(x + DELTA, y, z) - scene(x - DELTA, y, z)
                ny = scene(x, y + DELTA, z) - scene(x, y - DELTA, z)
                nz = scene(x, y, z + DELTA) - scene(x, y, z - DELTA)
                light = (nx * LIGHT[0] + ny * LIGHT[1] + nz * LIGHT[2]) / qd.sqrt(nx * nx + ny * ny + nz * nz)
                value = 0.1 + 0.9 * qd.max(light, 0.0)
            out[row, column] = value

    out = kit.empty((p.height, p.width), np.float32)

    def run() -> None:
        raymarch(out)
        qd.sync()

    return Prepared(run, lambda: {"out": out.to_numpy()})


def warp(p: Problem, kit) -> Prepared:
    wp = kit.wp
    steps, far, near, delta = wp.constant(STEPS), wp.constant(FAR), wp.constant(NEAR), wp.constant(DELTA)
    camera_y, camera_z = wp.constant(CAMERA_Y), wp.constant(CAMERA_Z)
    major, minor, radius, floor = wp.constant(MAJOR), wp.constant(MINOR), wp.constant(RADIUS), wp.constant(FLOOR)
    light_x, light_y, light_z = (wp.constant(part) for part in LIGHT)

    @wp.func
    def scene(x: wp.float32, y: wp.float32, z: wp.float32):
        sphere = wp.sqrt(x * x + y * y + z * z) - radius
        ring = wp.sqrt(x * x + z * z) - major
        torus = wp.sqrt(ring * ring + y * y) - minor
        return wp.min(wp.min(sphere, torus), y + floor)

    @wp.kernel
    def raymarch(out: wp.array2d(dtype=wp.float32)):
        row, column = wp.tid()
        height = wp.float32(out.shape[0])
        width = wp.float32(out.shape[1])
        dx = (wp.float32(column) - 0.5 * width) / height
        dy = (0.5 * height - wp.float32(row)) / height
        dz = 1.0 / wp.sqrt(dx * dx + dy * dy + 1.0)
        dx = dx * dz
        dy = dy * dz
        t = wp.float32(0.0)
        hit = wp.int32(0)
        for _ in range(steps):
            distance = scene(dx * t, camera_y + dy * t, camera_z + dz * t)
            if distance < near:
                hit = wp.int32(1)
                break
            t += distance
            if t > far:
                break
        value = wp.float32(0.0)
        if hit == 1:
            x = dx * t
            y = camera_y + dy * t
            z = camera_z + dz * t
            nx = scene(x + delta, y, z) - scene(x - delta, y, z)
            ny = scene(x, y + delta, z) - scene(x, y - delta, z)
            nz = scene(x, y, z + delta) - scene(x, y, z - delta)
            light = (nx * light_x + ny * light_y + nz * light_z) / wp.sqrt(nx * nx + ny * ny + nz * nz)
            value = 0.1 + 0.9 * wp.max(light, 0.0)
        out[row, column] = value

    out = kit.empty((p.height, p.width), np.float32)
    return Prepared(lambda: kit.launch(raymarch, (p.height, p.width), out), lambda: {"out": out.numpy()})


def numpy(p: Problem, kit) -> Prepared:
    results: list[np.ndarray] = []

    def run() -> None:
        results[:] = [_vectors(p, np.float32)]

    return Prepared(run, lambda: {"out": results[0]})
