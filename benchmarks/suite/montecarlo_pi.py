"""Points in the unit square that fall inside the quarter circle, counted by each thread; Philox 4x32-10 (Salmon et al., 2011) draws them.

A thread makes 16 draws of four 32-bit words with the counter (thread, draw, 0, 0), two points a draw.
"""

import numpy as np

from benchmarks.suite import Prepared, Problem, empty

TITLE = "Monte-Carlo pi, Philox"
ABSENT: dict[str, str] = {}
M0, M1, W0, W1 = 0xD2511F53, 0xCD9E8D57, 0x9E3779B9, 0xBB67AE85
SEED, DRAWS, UNIT = 20240229, 16, 2.0**-24


def problem(quick: bool) -> Problem:
    return Problem({}, {"threads": 1 << (10 if quick else 17)})


def _vectors(threads: int) -> np.ndarray:
    inside = np.zeros(threads, np.int32)
    for draw in range(DRAWS):
        c0, c1 = np.arange(threads, dtype=np.uint32), np.full(threads, draw, np.uint32)
        c2, c3 = np.zeros(threads, np.uint32), np.zeros(threads, np.uint32)
        k0, k1 = SEED, 0
        for _ in range(10):
            p0, p1 = c0.astype(np.uint64) * M0, c2.astype(np.uint64) * M1
            high0, high1 = (p0 >> 32).astype(np.uint32), (p1 >> 32).astype(np.uint32)
            c0, c1, c2, c3 = high1 ^ c1 ^ np.uint32(k0), p1.astype(np.uint32), high0 ^ c3 ^ np.uint32(k1), p0.astype(np.uint32)
            k0, k1 = (k0 + W0) & 0xFFFFFFFF, (k1 + W1) & 0xFFFFFFFF
        for a, b in ((c0, c1), (c2, c3)):
            x, y = (a >> 8).astype(np.float32) * np.float32(UNIT), (b >> 8).astype(np.float32) * np.float32(UNIT)
            inside += x * x + y * y <= 1
    return inside


def reference(p: Problem) -> dict[str, np.ndarray]:
    return {"inside": _vectors(p.threads)}


def check(result: dict[str, np.ndarray], expected: dict[str, np.ndarray], p: Problem) -> None:
    # The random words are exact; a point within an ulp of the circle may fall on either side when x*x + y*y is contracted.
    wrong = int(np.sum(result["inside"] != expected["inside"]))
    if wrong > 4 + p.threads * 2e-5:
        raise AssertionError(f"{wrong} of {p.threads} counts are wrong")


def anygpu(p: Problem, kit) -> Prepared:
    ag = kit.ag

    @kit.kernel
    def montecarlo(inside):
        i = ag.grid(1)
        if i < inside.size:
            count = np.int32(0)
            for draw in range(DRAWS):
                c0, c1, c2, c3 = np.uint32(i), np.uint32(draw), np.uint32(0), np.uint32(0)
                k0, k1 = np.uint32(SEED), np.uint32(0)
                for _ in range(10):
                    p0 = np.uint64(c0) * np.uint64(M0)
                    p1 = np.uint64(c2) * np.uint64(M1)
                    c0 = np.uint32(p1 >> np.uint64(32)) ^ c1 ^ k0
                    c1 = np.uint32(p1 & np.uint64(0xFFFFFFFF))
                    c2 = np.uint32(p0 >> np.uint64(32)) ^ c3 ^ k1
                    c3 = np.uint32(p0 & np.uint64(0xFFFFFFFF))
                    k0 += np.uint32(W0)
                    k1 += np.uint32(W1)
                x = np.float32(c0 >> np.uint32(8)) * UNIT
                y = np.float32(c1 >> np.uint32(8)) * UNIT
                if x * x + y * y <= 1.0:
                    count += 1
                x = np.float32(c2 >> np.uint32(8)) * UNIT
                y = np.float32(c3 >> np.uint32(8)) * UNIT
                if x * x + y * y <= 1.0:
                    count += 1
            inside[i] = count

    inside = kit.empty(p.threads, np.int32)
    return Prepared(kit.runner(montecarlo.forall(p.threads), inside), lambda: {"inside": kit.fetch(inside)})


CUDA = f"""
extern "C" __global__ void montecarlo(int *__restrict__ inside, int n) {{
    unsigned i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    int count = 0;
    for (unsigned draw = 0; draw < {DRAWS}; ++draw) {{
        unsigned c0 = i, c1 = draw, c2 = 0, c3 = 0, k0 = {SEED}u, k1 = 0;
        #pragma unroll
        for (int round = 0; round < 10; ++round) {{
            unsigned high0 = __umulhi(c0, {M0}u), low0 = c0 * {M0}u, high1 = __umulhi(c2, {M1}u), low1 = c2 * {M1}u;
            c0 = high1 ^ c1 ^ k0; c1 = low1; c2 = high0 ^ c3 ^ k1; c3 = low0;
            k0 += {W0}u; k1 += {W1}u;
        }}
        float x = (c0 >> 8) * 0x1p-24f, y = (c1 >> 8) * 0x1p-24f;
        if (x * x + y * y <= 1.0f) ++count;
        x = (c2 >> 8) * 0x1p-24f, y = (c3 >> 8) * 0x1p-24f;
        if (x * x + y * y <= 1.0f) ++count;
    }}
    inside[i] = count;
}}"""


def opencl(p: Problem, kit) -> Prepared:
    kernel = kit.kernel(
        f"""
        __kernel __attribute__((intel_vec_len_hint(16)))
        void montecarlo(__global int *restrict inside) {{
            uint i = get_global_id(0);
            int count = 0;
            for (uint draw = 0; draw < {DRAWS}; ++draw) {{
                uint c0 = i, c1 = draw, c2 = 0, c3 = 0, k0 = {SEED}u, k1 = 0;
                #pragma unroll
                for (int round = 0; round < 10; ++round) {{
                    uint high0 = mul_hi(c0, {M0}u), low0 = c0 * {M0}u, high1 = mul_hi(c2, {M1}u), low1 = c2 * {M1}u;
                    c0 = high1 ^ c1 ^ k0; c1 = low1; c2 = high0 ^ c3 ^ k1; c3 = low0;
                    k0 += {W0}u; k1 += {W1}u;
                }}
                float x = (int)(c0 >> 8) * 0x1p-24f, y = (int)(c1 >> 8) * 0x1p-24f;
                count += x * x + y * y <= 1.0f;
                x = (int)(c2 >> 8) * 0x1p-24f, y = (int)(c3 >> 8) * 0x1p-24f;
                count += x * x + y * y <= 1.0f;
            }}
            inside[i] = count;
        }}""",
        "montecarlo",
    )
    inside = kit.empty(p.threads, np.int32)
    return Prepared(kit.runner(kernel, (p.threads,), (64,), inside), lambda: {"inside": kit.fetch(inside, p.threads, np.int32)})


def ispc(p: Problem, kit) -> Prepared:
    inside = empty(p.threads, np.int32)
    source = f"""
        static inline unsigned int high(unsigned int a, uniform unsigned int b) {{
            return ((unsigned int64)a * b) >> 32;
        }}
        task void part(uniform int inside[], uniform int threads) {{
            uniform int low = (uniform int64)threads * taskIndex / taskCount, end = (uniform int64)threads * (taskIndex + 1) / taskCount;
            foreach (i = low ... end) {{
                int count = 0;
                for (uniform unsigned int draw = 0; draw < {DRAWS}; ++draw) {{
                    unsigned int c0 = i, c1 = draw, c2 = 0, c3 = 0;
                    uniform unsigned int k0 = {SEED}u, k1 = 0;
                    #pragma unroll
                    for (uniform int round = 0; round < 10; ++round) {{
                        unsigned int high0 = high(c0, {M0}u), low0 = c0 * {M0}u, high1 = high(c2, {M1}u), low1 = c2 * {M1}u;
                        c0 = high1 ^ c1 ^ k0; c1 = low1; c2 = high0 ^ c3 ^ k1; c3 = low0;
                        k0 += {W0}u; k1 += {W1}u;
                    }}
                    float x = (int)(c0 >> 8) * 0x1p-24f, y = (int)(c1 >> 8) * 0x1p-24f;
                    count += x * x + y * y <= 1.0f ? 1 : 0;
                    x = (int)(c2 >> 8) * 0x1p-24f, y = (int)(c3 >> 8) * 0x1p-24f;
                    count += x * x + y * y <= 1.0f ? 1 : 0;
                }}
                inside[i] = count;
            }}
        }}
        export void montecarlo(uniform int inside[], uniform int threads) {{
            launch[16] part(inside, threads);
            sync;
        }}"""
    return Prepared(kit.function(source, "montecarlo", inside, p.threads, wide=True), lambda: {"inside": inside})


def numba(p: Problem, kit) -> Prepared:
    prange = kit.numba.prange
    m0, m1, mask, word = np.uint64(M0), np.uint64(M1), np.uint64(0xFFFFFFFF), np.uint64(32)
    w0, w1, seed, zero, byte = np.uint32(W0), np.uint32(W1), np.uint32(SEED), np.uint32(0), np.uint32(8)
    unit, one = np.float32(UNIT), np.float32(1)

    @kit.njit
    def montecarlo(inside):
        for i in prange(inside.size):
            count = np.int32(0)
            for draw in range(DRAWS):
                c0, c1, c2, c3 = np.uint32(i), np.uint32(draw), zero, zero
                k0, k1 = seed, zero
                for _ in range(10):
                    p0 = np.uint64(c0) * m0
                    p1 = np.uint64(c2) * m1
                    c0 = np.uint32(p1 >> word) ^ c1 ^ k0
                    c1 = np.uint32(p1 & mask)
                    c2 = np.uint32(p0 >> word) ^ c3 ^ k1
                    c3 = np.uint32(p0 & mask)
                    k0 = np.uint32(k0 + w0)
                    k1 = np.uint32(k1 + w1)
                x = np.float32(c0 >> byte) * unit
                y = np.float32(c1 >> byte) * unit
                count += np.int32(x * x + y * y <= one)
                x = np.float32(c2 >> byte) * unit
                y = np.float32(c3 >> byte) * unit
                count += np.int32(x * x + y * y <= one)
            inside[i] = count

    inside = empty(p.threads, np.int32)
    return Prepared(lambda: montecarlo(inside), lambda: {"inside": inside})


def quadrants(p: Problem, kit) -> Prepared:
    qd, i32x1 = kit.qd, kit.nd("i32", 1)

    @qd.kernel
    def montecarlo(inside: i32x1):
        for i in range(inside.shape[0]):
            count = 0
            for draw in range(DRAWS):
                c0, c1, c2, c3 = qd.cast(i, qd.u32), qd.cast(draw, qd.u32), qd.u32(0), qd.u32(0)
                k0, k1 = qd.u32(SEED), qd.u32(0)
                for _ in range(10):
                    p0 = qd.cast(c0, qd.u64) * qd.u64(M0)
                    p1 = qd.cast(c2, qd.u64) * qd.u64(M1)
                    c0 = qd.cast(p1 >> 32, qd.u32) ^ c1 ^ k0
                    c1 = qd.cast(p1, qd.u32)
                    c2 = qd.cast(p0 >> 32, qd.u32) ^ c3 ^ k1
                    c3 = qd.cast(p0, qd.u32)
                    k0 += qd.u32(W0)
                    k1 += qd.u32(W1)
                x = qd.cast(qd.cast(c0 >> 8, qd.i32), qd.f32) * UNIT
                y = qd.cast(qd.cast(c1 >> 8, qd.i32), qd.f32) * UNIT
                if x * x + y * y <= 1.0:
                    count += 1
                x = qd.cast(qd.cast(c2 >> 8, qd.i32), qd.f32) * UNIT
                y = qd.cast(qd.cast(c3 >> 8, qd.i32), qd.f32) * UNIT
                if x * x + y * y <= 1.0:
                    count += 1
            inside[i] = count

    inside = kit.empty(p.threads, np.int32)

    def run() -> None:
        montecarlo(inside)
        qd.sync()

    return Prepared(run, lambda: {"inside": inside.to_numpy()})


def warp(p: Problem, kit) -> Prepared:
    wp = kit.wp
    m0, m1 = wp.constant(wp.uint64(M0)), wp.constant(wp.uint64(M1))
    w0, w1, seed = wp.constant(wp.uint32(W0)), wp.constant(wp.uint32(W1)), wp.constant(wp.uint32(SEED))
    draws, unit, word, byte = wp.constant(DRAWS), wp.constant(UNIT), wp.constant(wp.uint64(32)), wp.constant(wp.uint32(8))

    @wp.kernel
    def montecarlo(inside: wp.array(dtype=wp.int32)):
        i = wp.tid()
        count = wp.int32(0)
        for draw in range(draws):
            c0 = wp.uint32(i)
            c1 = wp.uint32(draw)
            c2 = wp.uint32(0)
            c3 = wp.uint32(0)
            k0 = seed
            k1 = wp.uint32(0)
            for _ in range(10):
                p0 = wp.uint64(c0) * m0
                p1 = wp.uint64(c2) * m1
                c0 = wp.uint32(p1 >> word) ^ c1 ^ k0
                c1 = wp.uint32(p1)
                c2 = wp.uint32(p0 >> word) ^ c3 ^ k1
                c3 = wp.uint32(p0)
                k0 = k0 + w0
                k1 = k1 + w1
            x = wp.float32(c0 >> byte) * unit
            y = wp.float32(c1 >> byte) * unit
            if x * x + y * y <= 1.0:
                count += 1
            x = wp.float32(c2 >> byte) * unit
            y = wp.float32(c3 >> byte) * unit
            if x * x + y * y <= 1.0:
                count += 1
        inside[i] = count

    inside = kit.empty(p.threads, np.int32)
    return Prepared(lambda: kit.launch(montecarlo, p.threads, inside), lambda: {"inside": inside.numpy()})


def numpy(p: Problem, kit) -> Prepared:
    results: list[np.ndarray] = []

    def run() -> None:
        results[:] = [_vectors(p.threads)]

    return Prepared(run, lambda: {"inside": results[0]})
