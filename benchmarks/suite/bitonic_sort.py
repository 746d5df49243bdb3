"""Sort float32 values within blocks of 1024 by Batcher's bitonic network in shared memory: 55 steps with a barrier before each."""

import numpy as np

from benchmarks.suite import Prepared, Problem, aligned, empty

TITLE = "bitonic sort, shared"
ABSENT: dict[str, str] = {}
SIZE = 1024


def problem(quick: bool) -> Problem:
    blocks = 32 if quick else 512
    return Problem({"x": aligned(np.random.default_rng(16).random((blocks, SIZE), np.float32))}, {"blocks": blocks})


def reference(p: Problem) -> dict[str, np.ndarray]:
    return {"out": np.sort(p["x"], axis=1)}


def check(result: dict[str, np.ndarray], expected: dict[str, np.ndarray], p: Problem) -> None:
    if not np.array_equal(result["out"], expected["out"]):
        raise AssertionError(f"{np.mean(result['out'] != expected['out']):.3%} of the elements are wrong")


def anygpu(p: Problem, kit) -> Prepared:
    ag = kit.ag

    # Steps over a stride of a warp or more go through shared memory, the shorter ones stay in registers and use shuffles.
    @kit.kernel
    def bitonic(x, out):
        part = ag.shared.array(SIZE, np.float32)
        thread, block = ag.threadIdx.x, ag.blockIdx.x
        value = x[block, thread]
        size = 2
        while size <= SIZE:
            up = (thread & size) == 0
            stride = size // 2
            while stride >= 32:
                part[thread] = value
                ag.syncthreads()
                other = part[thread ^ stride]
                value = min(value, other) if ((thread & stride) == 0) == up else max(value, other)
                ag.syncthreads()
                stride //= 2
            for near in (16, 8, 4, 2, 1):
                if near <= stride:
                    other = ag.shfl_xor_sync(0xFFFFFFFF, value, near)
                    value = min(value, other) if ((thread & near) == 0) == up else max(value, other)
            size *= 2
        out[block, thread] = value

    x, out = kit.array(p["x"]), kit.empty(p["x"].shape, np.float32)
    return Prepared(kit.runner(bitonic[p.blocks, SIZE], x, out), lambda: {"out": kit.fetch(out)})


CUDA = f"""
#define SIZE {SIZE}
extern "C" __global__ void bitonic(const float *__restrict__ x, float *__restrict__ out) {{
    __shared__ float part[SIZE];
    int thread = threadIdx.x, i = blockIdx.x * SIZE + thread;
    float value = x[i];
    for (int size = 2; size <= SIZE; size *= 2) {{
        bool up = (thread & size) == 0;
        int stride = size / 2;
        for (; stride >= 32; stride /= 2) {{
            part[thread] = value;
            __syncthreads();
            float other = part[thread ^ stride];
            value = ((thread & stride) == 0) == up ? fminf(value, other) : fmaxf(value, other);
            __syncthreads();
        }}
        #pragma unroll
        for (int near = 16; near > 0; near /= 2)
            if (near <= stride) {{
                float other = __shfl_xor_sync(0xFFFFFFFF, value, near);
                value = ((thread & near) == 0) == up ? fminf(value, other) : fmaxf(value, other);
            }}
    }}
    out[i] = value;
}}"""


def opencl(p: Problem, kit) -> Prepared:
    kernel = kit.kernel(
        f"""
        #define SIZE {SIZE}
        __kernel __attribute__((reqd_work_group_size(SIZE / 2, 1, 1)))
        void bitonic(__global const float *restrict x, __global float *restrict out) {{
            __local float part[SIZE];
            int thread = get_local_id(0), start = get_group_id(0) * SIZE;
            part[thread] = x[start + thread];
            part[thread + SIZE / 2] = x[start + thread + SIZE / 2];
            for (int size = 2; size <= SIZE; size *= 2)
                for (int stride = size / 2; stride > 0; stride /= 2) {{
                    barrier(CLK_LOCAL_MEM_FENCE);
                    int low = 2 * thread - (thread & (stride - 1)), high = low + stride;
                    float a = part[low], b = part[high];
                    bool swap = (a > b) == ((low & size) == 0);
                    part[low] = swap ? b : a;
                    part[high] = swap ? a : b;
                }}
            barrier(CLK_LOCAL_MEM_FENCE);
            out[start + thread] = part[thread];
            out[start + thread + SIZE / 2] = part[thread + SIZE / 2];
        }}""",
        "bitonic",
    )
    out = kit.empty(p["x"].shape, np.float32)
    run = kit.runner(kernel, (p.blocks * SIZE // 2,), (SIZE // 2,), kit.array(p["x"]), out)
    return Prepared(run, lambda: {"out": kit.fetch(out, (p.blocks, SIZE), np.float32)})


def ispc(p: Problem, kit) -> Prepared:
    # Steps over a stride of a gang or more take whole vectors; the shorter ones of a merge stay in a register and use shuffles.
    out = empty(p["x"].shape, np.float32)
    source = f"""
        #define SIZE {SIZE}
        task void part(uniform const float x[], uniform float out[]) {{
            uniform int start = taskIndex * SIZE;
            uniform float part[SIZE];
            foreach (i = 0 ... SIZE) part[i] = x[start + i];
            for (uniform int size = 2; size <= SIZE; size *= 2) {{
                uniform int stride = size / 2;
                for (; stride >= programCount; stride /= 2)
                    for (uniform int base = 0; base < SIZE; base += 2 * stride) {{
                        uniform bool up = (base & size) == 0;
                        for (uniform int i = base; i < base + stride; i += programCount) {{
                            float a = part[i + programIndex], b = part[i + stride + programIndex];
                            float low = min(a, b), high = max(a, b);
                            part[i + programIndex] = up ? low : high;
                            part[i + stride + programIndex] = up ? high : low;
                        }}
                    }}
                for (uniform int i = 0; i < SIZE; i += programCount) {{
                    float a = part[i + programIndex];
                    bool up = ((i + programIndex) & size) == 0;
                    for (uniform int near = stride; near > 0; near /= 2) {{
                        float b = shuffle(a, programIndex ^ near);
                        a = ((programIndex & near) == 0) == up ? min(a, b) : max(a, b);
                    }}
                    part[i + programIndex] = a;
                }}
            }}
            foreach (i = 0 ... SIZE) out[start + i] = part[i];
        }}
        export void bitonic(uniform const float x[], uniform float out[], uniform int blocks) {{
            launch[blocks] part(x, out);
            sync;
        }}"""
    return Prepared(kit.function(source, "bitonic", p["x"], out, p.blocks), lambda: {"out": out})


def numba(p: Problem, kit) -> Prepared:
    # The network step by step over a row; for the longer strides the innermost loop is one the compiler can vectorise.
    prange = kit.numba.prange

    @kit.njit
    def bitonic(x, out):
        for block in prange(x.shape[0]):
            row = out[block]
            row[:] = x[block]
            size = 2
            while size <= SIZE:
                stride = size // 2
                while stride > 0:
                    for base in range(0, SIZE, 2 * stride):
                        if (base & size) == 0:
                            for i in range(base, base + stride):
                                a, b = row[i], row[i + stride]
                                row[i] = a if a < b else b
                                row[i + stride] = b if a < b else a
                        else:
                            for i in range(base, base + stride):
                                a, b = row[i], row[i + stride]
                                row[i] = b if a < b else a
                                row[i + stride] = a if a < b else b
                    stride //= 2
                size *= 2

    x, out = p["x"], empty(p["x"].shape, np.float32)
    return Prepared(lambda: bitonic(x, out), lambda: {"out": out})


def quadrants(p: Problem, kit) -> Prepared:
    qd, blocks = kit.qd, p.blocks
    x, out = kit.fields(p["x"], np.zeros_like(p["x"]))

    @qd.kernel
    def bitonic():
        for block in range(blocks):
            for i in range(SIZE):
                out[block, i] = x[block, i]
            size = 2
            while size <= SIZE:
                stride = size // 2
                while stride > 0:
                    for pair in range(SIZE // 2):
                        low = 2 * pair - (pair & (stride - 1))
                        high = low + stride
                        a, b = out[block, low], out[block, high]
                        swap = (a > b) == ((low & size) == 0)
                        out[block, low] = qd.select(swap, b, a)
                        out[block, high] = qd.select(swap, a, b)
                    stride //= 2
                size *= 2

    def run() -> None:
        bitonic()
        qd.sync()

    return Prepared(run, lambda: {"out": out.to_numpy()})


def warp(p: Problem, kit) -> Prepared:
    wp = kit.wp
    matrix = wp.array2d(dtype=wp.float32)
    length = wp.constant(SIZE)

    @wp.kernel
    def bitonic(x: matrix, out: matrix):
        block = wp.tid()
        for i in range(length):
            out[block, i] = x[block, i]
        size = wp.int32(2)
        while size <= length:
            stride = size // 2
            while stride > 0:
                for pair in range(length // 2):
                    low = 2 * pair - (pair & (stride - 1))
                    high = low + stride
                    a = out[block, low]
                    b = out[block, high]
                    swap = (a > b) == ((low & size) == 0)
                    out[block, low] = wp.where(swap, b, a)
                    out[block, high] = wp.where(swap, a, b)
                stride = stride // 2
            size = size * 2

    x, out = kit.array(p["x"]), kit.empty(p["x"].shape, np.float32)
    return Prepared(lambda: kit.launch(bitonic, p.blocks, x, out), lambda: {"out": out.numpy()})


def numpy(p: Problem, kit) -> Prepared:
    x, out = p["x"], empty(p["x"].shape, np.float32)

    def run() -> None:
        out[...] = x
        out.sort(axis=1)

    return Prepared(run, lambda: {"out": out}, library="np.sort, a vectorised quicksort")
