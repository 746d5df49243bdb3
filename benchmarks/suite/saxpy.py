"""out = a * x + y over float32: the plainest streaming kernel."""

import numpy as np

from benchmarks.suite import Prepared, Problem, aligned, close, empty

TITLE = "saxpy"
ABSENT: dict[str, str] = {}
A = 2.5


def problem(quick: bool) -> Problem:
    n = 1 << (18 if quick else 24)
    random = np.random.default_rng(1)
    return Problem({"x": aligned(random.random(n, np.float32)), "y": aligned(random.random(n, np.float32))}, {"n": n})


def traffic(p: Problem) -> int:
    return 3 * 4 * p.n


def reference(p: Problem) -> dict[str, np.ndarray]:
    return {"out": np.float64(A) * p["x"] + p["y"]}


def check(result: dict[str, np.ndarray], expected: dict[str, np.ndarray], p: Problem) -> None:
    close(result["out"], expected["out"], rtol=2e-7, atol=0)


def anygpu(p: Problem, kit) -> Prepared:
    ag = kit.ag

    @kit.kernel
    def saxpy(a, x, y, out):
        i = ag.grid(1)
        if i < out.size:
            out[i] = a * x[i] + y[i]

    x, y, out = kit.array(p["x"]), kit.array(p["y"]), kit.empty(p.n, np.float32)
    return Prepared(kit.runner(saxpy.forall(p.n), A, x, y, out), lambda: {"out": kit.fetch(out)})


CUDA = """
extern "C" __global__ void saxpy(float a, const float *__restrict__ x, const float *__restrict__ y, float *__restrict__ out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = a * x[i] + y[i];
}"""


def opencl(p: Problem, kit) -> Prepared:
    kernel = kit.kernel(
        """
        __kernel void saxpy(float a, __global const float *restrict x, __global const float *restrict y, __global float *restrict out) {
            size_t i = get_global_id(0);
            out[i] = a * x[i] + y[i];
        }""",
        "saxpy",
    )
    out = kit.empty(p.n, np.float32)
    run = kit.runner(kernel, (p.n,), (1024,), np.float32(A), kit.array(p["x"]), kit.array(p["y"]), out)
    return Prepared(run, lambda: {"out": kit.fetch(out, p.n, np.float32)})


def ispc(p: Problem, kit) -> Prepared:
    out = empty(p.n, np.float32)
    run = kit.function(
        """
        task void part(uniform float a, uniform const float x[], uniform const float y[], uniform float out[], uniform int n) {
            uniform int low = (uniform int64)n * taskIndex / taskCount, high = (uniform int64)n * (taskIndex + 1) / taskCount;
            foreach (i = low ... high) {
                out[i] = a * x[i] + y[i];
            }
        }
        export void saxpy(uniform float a, uniform const float x[], uniform const float y[], uniform float out[], uniform int n) {
            launch[16] part(a, x, y, out, n);
            sync;
        }""",
        "saxpy", A, p["x"], p["y"], out, p.n,
    )  # fmt: skip
    return Prepared(run, lambda: {"out": out})


def numba(p: Problem, kit) -> Prepared:
    prange = kit.numba.prange

    @kit.njit
    def saxpy(a, x, y, out):
        for i in prange(out.size):
            out[i] = a * x[i] + y[i]

    x, y, out = p["x"], p["y"], empty(p.n, np.float32)
    a = np.float32(A)
    return Prepared(lambda: saxpy(a, x, y, out), lambda: {"out": out})


def quadrants(p: Problem, kit) -> Prepared:
    qd, f32x1 = kit.qd, kit.nd("f32", 1)

    @qd.kernel
    def saxpy(a: qd.f32, x: f32x1, y: f32x1, out: f32x1):
        for i in range(out.shape[0]):
            out[i] = a * x[i] + y[i]

    x, y, out = kit.array(p["x"]), kit.array(p["y"]), kit.empty(p.n, np.float32)

    def run() -> None:
        saxpy(A, x, y, out)
        qd.sync()

    return Prepared(run, lambda: {"out": out.to_numpy()})


def warp(p: Problem, kit) -> Prepared:
    wp = kit.wp

    @wp.kernel
    def saxpy(a: wp.float32, x: wp.array(dtype=wp.float32), y: wp.array(dtype=wp.float32), out: wp.array(dtype=wp.float32)):
        i = wp.tid()
        out[i] = a * x[i] + y[i]

    x, y, out = kit.array(p["x"]), kit.array(p["y"]), kit.empty(p.n, np.float32)
    return Prepared(lambda: kit.launch(saxpy, p.n, A, x, y, out), lambda: {"out": out.numpy()})


def numpy(p: Problem, kit) -> Prepared:
    x, y, out = p["x"], p["y"], empty(p.n, np.float32)
    a = np.float32(A)

    def run() -> None:
        np.multiply(x, a, out=out)
        np.add(out, y, out=out)

    return Prepared(run, lambda: {"out": out})
