"""out = exp(x) over float32: one elementary function, so mostly the quality of the vector math library."""

import math

import numpy as np

from benchmarks.suite import Prepared, Problem, aligned, close, empty

TITLE = "exp map"
ABSENT: dict[str, str] = {}


def problem(quick: bool) -> Problem:
    n = 1 << (16 if quick else 22)
    x = np.random.default_rng(2).uniform(-20, 20, n).astype(np.float32)
    return Problem({"x": aligned(x)}, {"n": n})


def reference(p: Problem) -> dict[str, np.ndarray]:
    return {"out": np.exp(p["x"].astype(np.float64))}


def check(result: dict[str, np.ndarray], expected: dict[str, np.ndarray], p: Problem) -> None:
    close(result["out"], expected["out"], rtol=1e-6, atol=0)


def anygpu(p: Problem, kit) -> Prepared:
    ag = kit.ag

    @kit.kernel
    def exp_map(x, out):
        i = ag.grid(1)
        if i < out.size:
            out[i] = math.exp(x[i])

    x, out = kit.array(p["x"]), kit.empty(p.n, np.float32)
    return Prepared(kit.runner(exp_map.forall(p.n), x, out), lambda: {"out": kit.fetch(out)})


CUDA = """
extern "C" __global__ void exp_map(const float *__restrict__ x, float *__restrict__ out, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) out[i] = expf(x[i]);
}"""


def opencl(p: Problem, kit) -> Prepared:
    kernel = kit.kernel(
        """
        __kernel __attribute__((intel_vec_len_hint(16)))
        void exp_map(__global const float *restrict x, __global float *restrict out) {
            size_t i = get_global_id(0);
            out[i] = exp(x[i]);
        }""",
        "exp_map",
    )
    out = kit.empty(p.n, np.float32)
    return Prepared(kit.runner(kernel, (p.n,), (1024,), kit.array(p["x"]), out), lambda: {"out": kit.fetch(out, p.n, np.float32)})


def ispc(p: Problem, kit) -> Prepared:
    out = empty(p.n, np.float32)
    source = """
        task void part(uniform const float x[], uniform float out[], uniform int n) {
            uniform int low = (uniform int64)n * taskIndex / taskCount, high = (uniform int64)n * (taskIndex + 1) / taskCount;
            foreach (i = low ... high) {
                out[i] = exp(x[i]);
            }
        }
        export void exp_map(uniform const float x[], uniform float out[], uniform int n) {
            launch[16] part(x, out, n);
            sync;
        }"""
    return Prepared(kit.function(source, "exp_map", p["x"], out, p.n), lambda: {"out": out})


def numba(p: Problem, kit) -> Prepared:
    prange = kit.numba.prange

    @kit.njit
    def exp_map(x, out):
        for i in prange(out.size):
            out[i] = math.exp(x[i])

    x, out = p["x"], empty(p.n, np.float32)
    return Prepared(lambda: exp_map(x, out), lambda: {"out": out})


def quadrants(p: Problem, kit) -> Prepared:
    qd, f32x1 = kit.qd, kit.nd("f32", 1)

    @qd.kernel
    def exp_map(x: f32x1, out: f32x1):
        for i in range(out.shape[0]):
            out[i] = qd.exp(x[i])

    x, out = kit.array(p["x"]), kit.empty(p.n, np.float32)

    def run() -> None:
        exp_map(x, out)
        qd.sync()

    return Prepared(run, lambda: {"out": out.to_numpy()})


def warp(p: Problem, kit) -> Prepared:
    wp = kit.wp

    @wp.kernel
    def exp_map(x: wp.array(dtype=wp.float32), out: wp.array(dtype=wp.float32)):
        i = wp.tid()
        out[i] = wp.exp(x[i])

    x, out = kit.array(p["x"]), kit.empty(p.n, np.float32)
    return Prepared(lambda: kit.launch(exp_map, p.n, x, out), lambda: {"out": out.numpy()})


def numpy(p: Problem, kit) -> Prepared:
    x, out = p["x"], empty(p.n, np.float32)
    return Prepared(lambda: np.exp(x, out=out), lambda: {"out": out})
