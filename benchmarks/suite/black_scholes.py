"""European option prices by the Black-Scholes formula, float32; the normal distribution by Abramowitz and Stegun, 26.2.17."""

import math

import numpy as np

from benchmarks.suite import Prepared, Problem, aligned, close, empty

TITLE = "Black-Scholes"
ABSENT: dict[str, str] = {}
RATE, VOLATILITY = 0.02, 0.30
A1, A2, A3, A4, A5 = 0.31938153, -0.356563782, 1.781477937, -1.821255978, 1.330274429
SLOPE, SCALE = 0.2316419, 0.39894228040143267794


def problem(quick: bool) -> Problem:
    n = 1 << (14 if quick else 21)
    random = np.random.default_rng(3)
    draw = {"price": (5, 30), "strike": (1, 100), "years": (0.25, 10)}
    return Problem({name: aligned(random.uniform(low, high, n).astype(np.float32)) for name, (low, high) in draw.items()}, {"n": n})


def reference(p: Problem) -> dict[str, np.ndarray]:
    price, strike, years = (p[name].astype(np.float64) for name in ("price", "strike", "years"))
    call, put = _vectors(price, strike, years)
    return {"call": call, "put": put}


def _vectors(price: np.ndarray, strike: np.ndarray, years: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    root = np.sqrt(years)
    d1 = (np.log(price / strike) + (RATE + 0.5 * VOLATILITY * VOLATILITY) * years) / (VOLATILITY * root)
    d2 = d1 - VOLATILITY * root
    c1, c2 = _normal(d1), _normal(d2)
    discounted = strike * np.exp(-RATE * years)
    return price * c1 - discounted * c2, discounted * (1 - c2) - price * (1 - c1)


def _normal(d: np.ndarray) -> np.ndarray:
    k = 1 / (1 + SLOPE * np.abs(d))
    tail = SCALE * np.exp(-0.5 * d * d) * (k * (A1 + k * (A2 + k * (A3 + k * (A4 + k * A5)))))
    return np.where(d > 0, 1 - tail, tail)


def check(result: dict[str, np.ndarray], expected: dict[str, np.ndarray], p: Problem) -> None:
    close(result["call"], expected["call"], rtol=1e-4, atol=1e-4)
    close(result["put"], expected["put"], rtol=1e-4, atol=1e-4)


def anygpu(p: Problem, kit) -> Prepared:
    ag = kit.ag

    @ag.func
    def normal(d):
        k = 1.0 / (1.0 + SLOPE * abs(d))
        tail = SCALE * math.exp(-0.5 * d * d) * (k * (A1 + k * (A2 + k * (A3 + k * (A4 + k * A5)))))
        return 1.0 - tail if d > 0 else tail

    @kit.kernel
    def black_scholes(price, strike, years, call, put):
        i = ag.grid(1)
        if i < call.size:
            s, x, t = price[i], strike[i], years[i]
            root = math.sqrt(t)
            d1 = (math.log(s / x) + (RATE + 0.5 * VOLATILITY * VOLATILITY) * t) / (VOLATILITY * root)
            d2 = d1 - VOLATILITY * root
            c1, c2 = normal(d1), normal(d2)
            discounted = x * math.exp(-RATE * t)
            call[i] = s * c1 - discounted * c2
            put[i] = discounted * (1.0 - c2) - s * (1.0 - c1)

    arrays = [kit.array(p[name]) for name in ("price", "strike", "years")]
    call, put = kit.empty(p.n, np.float32), kit.empty(p.n, np.float32)
    run = kit.runner(black_scholes.forall(p.n), *arrays, call, put)
    return Prepared(run, lambda: {"call": kit.fetch(call), "put": kit.fetch(put)})


C_BODY = f"""
    float root = sqrt(t);
    float d1 = (log(s / x) + ({RATE}f + 0.5f * {VOLATILITY}f * {VOLATILITY}f) * t) / ({VOLATILITY}f * root);
    float d2 = d1 - {VOLATILITY}f * root;
    float c1 = normal(d1), c2 = normal(d2);
    float discounted = x * exp(-{RATE}f * t);
    call[i] = s * c1 - discounted * c2;
    put[i] = discounted * (1.0f - c2) - s * (1.0f - c1);
"""
C_NORMAL = f"""
    float k = 1.0f / (1.0f + {SLOPE}f * ABS(d));
    float tail = {SCALE:.9f}f * exp(-0.5f * d * d) * (k * ({A1}f + k * ({A2}f + k * ({A3}f + k * ({A4}f + k * {A5}f)))));
    return d > 0 ? 1.0f - tail : tail;
"""


CUDA = (
    """
    #define ABS fabsf
    __device__ float normal(float d) {"""
    + C_NORMAL
    + """}
    extern "C" __global__ void black_scholes(const float *__restrict__ price, const float *__restrict__ strike,
                                             const float *__restrict__ years, float *__restrict__ call, float *__restrict__ put, int n) {
        int i = blockIdx.x * blockDim.x + threadIdx.x;
        if (i >= n) return;
        float s = price[i], x = strike[i], t = years[i];"""
    + C_BODY
    + "}"
)


def opencl(p: Problem, kit) -> Prepared:
    kernel = kit.kernel(
        """
        #define ABS fabs
        float normal(float d) {"""
        + C_NORMAL
        + """}
        __kernel __attribute__((intel_vec_len_hint(16)))
        void black_scholes(__global const float *restrict price, __global const float *restrict strike,
                                    __global const float *restrict years, __global float *restrict call, __global float *restrict put) {
            size_t i = get_global_id(0);
            float s = price[i], x = strike[i], t = years[i];"""
        + C_BODY
        + "}",
        "black_scholes",
    )
    call, put = kit.empty(p.n, np.float32), kit.empty(p.n, np.float32)
    run = kit.runner(kernel, (p.n,), (1024,), *(kit.array(p[name]) for name in ("price", "strike", "years")), call, put)
    return Prepared(run, lambda: {"call": kit.fetch(call, p.n, np.float32), "put": kit.fetch(put, p.n, np.float32)})


def ispc(p: Problem, kit) -> Prepared:
    call, put = empty(p.n, np.float32), empty(p.n, np.float32)
    source = (
        """
        #define ABS abs
        static inline float normal(float d) {"""
        + C_NORMAL
        + """}
        task void part(uniform const float price[], uniform const float strike[], uniform const float years[],
                       uniform float call[], uniform float put[], uniform int n) {
            uniform int low = (uniform int64)n * taskIndex / taskCount, high = (uniform int64)n * (taskIndex + 1) / taskCount;
            foreach (i = low ... high) {
                float s = price[i], x = strike[i], t = years[i];"""
        + C_BODY
        + """
            }
        }
        export void black_scholes(uniform const float price[], uniform const float strike[], uniform const float years[],
                                  uniform float call[], uniform float put[], uniform int n) {
            launch[16] part(price, strike, years, call, put, n);
            sync;
        }"""
    )
    run = kit.function(source, "black_scholes", p["price"], p["strike"], p["years"], call, put, p.n, wide=True)
    return Prepared(run, lambda: {"call": call, "put": put})


def numba(p: Problem, kit) -> Prepared:
    # Numba's literals are float64: a user who wants float32 arithmetic makes float32 constants.
    f = np.float32
    one, half, rate, volatility, slope, scale = f(1), f(0.5), f(RATE), f(VOLATILITY), f(SLOPE), f(SCALE)
    drift = f(RATE + 0.5 * VOLATILITY * VOLATILITY)
    a1, a2, a3, a4, a5 = f(A1), f(A2), f(A3), f(A4), f(A5)
    prange = kit.numba.prange

    @kit.numba.njit(fastmath=False, inline="always")
    def normal(d):
        k = one / (one + slope * abs(d))
        tail = scale * math.exp(-half * d * d) * (k * (a1 + k * (a2 + k * (a3 + k * (a4 + k * a5)))))
        return one - tail if d > 0 else tail

    @kit.njit
    def black_scholes(price, strike, years, call, put):
        for i in prange(call.size):
            s, x, t = price[i], strike[i], years[i]
            root = math.sqrt(t)
            d1 = (math.log(s / x) + drift * t) / (volatility * root)
            d2 = d1 - volatility * root
            c1, c2 = normal(d1), normal(d2)
            discounted = x * math.exp(-rate * t)
            call[i] = s * c1 - discounted * c2
            put[i] = discounted * (one - c2) - s * (one - c1)

    arrays = p["price"], p["strike"], p["years"]
    call, put = empty(p.n, np.float32), empty(p.n, np.float32)
    return Prepared(lambda: black_scholes(*arrays, call, put), lambda: {"call": call, "put": put})


def quadrants(p: Problem, kit) -> Prepared:
    qd, f32x1 = kit.qd, kit.nd("f32", 1)

    @qd.func
    def normal(d):
        k = 1.0 / (1.0 + SLOPE * abs(d))
        tail = SCALE * qd.exp(-0.5 * d * d) * (k * (A1 + k * (A2 + k * (A3 + k * (A4 + k * A5)))))
        return qd.select(d > 0, 1.0 - tail, tail)

    @qd.kernel
    def black_scholes(price: f32x1, strike: f32x1, years: f32x1, call: f32x1, put: f32x1):
        for i in range(call.shape[0]):
            s, x, t = price[i], strike[i], years[i]
            root = qd.sqrt(t)
            d1 = (qd.log(s / x) + (RATE + 0.5 * VOLATILITY * VOLATILITY) * t) / (VOLATILITY * root)
            d2 = d1 - VOLATILITY * root
            c1, c2 = normal(d1), normal(d2)
            discounted = x * qd.exp(-RATE * t)
            call[i] = s * c1 - discounted * c2
            put[i] = discounted * (1.0 - c2) - s * (1.0 - c1)

    arrays = [kit.array(p[name]) for name in ("price", "strike", "years")]
    call, put = kit.empty(p.n, np.float32), kit.empty(p.n, np.float32)

    def run() -> None:
        black_scholes(*arrays, call, put)
        qd.sync()

    return Prepared(run, lambda: {"call": call.to_numpy(), "put": put.to_numpy()})


def warp(p: Problem, kit) -> Prepared:
    wp = kit.wp
    vector = wp.array(dtype=wp.float32)
    rate, volatility, slope, scale = wp.constant(RATE), wp.constant(VOLATILITY), wp.constant(SLOPE), wp.constant(SCALE)
    a1, a2, a3, a4, a5 = (wp.constant(a) for a in (A1, A2, A3, A4, A5))

    @wp.func
    def normal(d: wp.float32):
        k = 1.0 / (1.0 + slope * wp.abs(d))
        tail = scale * wp.exp(-0.5 * d * d) * (k * (a1 + k * (a2 + k * (a3 + k * (a4 + k * a5)))))
        return wp.where(d > 0.0, 1.0 - tail, tail)

    @wp.kernel
    def black_scholes(price: vector, strike: vector, years: vector, call: vector, put: vector):
        i = wp.tid()
        s = price[i]
        x = strike[i]
        t = years[i]
        root = wp.sqrt(t)
        d1 = (wp.log(s / x) + (rate + 0.5 * volatility * volatility) * t) / (volatility * root)
        d2 = d1 - volatility * root
        c1 = normal(d1)
        c2 = normal(d2)
        discounted = x * wp.exp(-rate * t)
        call[i] = s * c1 - discounted * c2
        put[i] = discounted * (1.0 - c2) - s * (1.0 - c1)

    arrays = [kit.array(p[name]) for name in ("price", "strike", "years")]
    call, put = kit.empty(p.n, np.float32), kit.empty(p.n, np.float32)
    return Prepared(lambda: kit.launch(black_scholes, p.n, *arrays, call, put), lambda: {"call": call.numpy(), "put": put.numpy()})


def numpy(p: Problem, kit) -> Prepared:
    arrays = p["price"], p["strike"], p["years"]
    results: list[tuple[np.ndarray, np.ndarray]] = []

    def run() -> None:
        results[:] = [_vectors(*arrays)]

    return Prepared(run, lambda: {"call": results[0][0], "put": results[0][1]})
