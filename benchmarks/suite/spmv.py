"""y = A x for a sparse matrix in compressed rows, float32 values and int32 indices, one thread a row: gathers and uneven loops."""

import numpy as np

from benchmarks.suite import Prepared, Problem, aligned, close, empty

TITLE = "CSR SpMV"
ABSENT: dict[str, str] = {}
INPUTS = ("starts", "columns", "values", "x")


def problem(quick: bool) -> Problem:
    rows = 1 << (12 if quick else 17)
    random = np.random.default_rng(13)
    lengths = random.integers(8, 25, rows)
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    columns = random.integers(0, rows, starts[-1], dtype=np.int32)
    order = np.lexsort((columns, np.repeat(np.arange(rows), lengths)))  # columns ascend within a row, as CSR usually keeps them
    values = random.standard_normal(starts[-1], np.float32)
    arrays = {"starts": starts, "columns": columns[order], "values": values, "x": random.standard_normal(rows, np.float32)}
    return Problem({name: aligned(array) for name, array in arrays.items()}, {"rows": rows, "nonzeros": int(starts[-1])})


def reference(p: Problem) -> dict[str, np.ndarray]:
    products = p["values"].astype(np.float64) * p["x"][p["columns"]]
    return {"y": np.add.reduceat(products, p["starts"][:-1])}


def check(result: dict[str, np.ndarray], expected: dict[str, np.ndarray], p: Problem) -> None:
    close(result["y"], expected["y"], rtol=1e-5, atol=1e-5)


def anygpu(p: Problem, kit) -> Prepared:
    ag = kit.ag

    @kit.kernel
    def spmv(starts, columns, values, x, y):
        row = ag.grid(1)
        if row < y.size:
            total = np.float32(0)
            for k in range(starts[row], starts[row + 1]):
                total += values[k] * x[columns[k]]
            y[row] = total

    inputs, y = [kit.array(p[name]) for name in INPUTS], kit.empty(p.rows, np.float32)
    return Prepared(kit.runner(spmv.forall(p.rows), *inputs, y), lambda: {"y": kit.fetch(y)})


CUDA = """
extern "C" __global__ void spmv(const int *__restrict__ starts, const int *__restrict__ columns, const float *__restrict__ values,
                                const float *__restrict__ x, float *__restrict__ y, int rows) {
    int row = blockIdx.x * blockDim.x + threadIdx.x;
    if (row >= rows) return;
    float total = 0;
    int end = starts[row + 1];
    for (int k = starts[row]; k < end; ++k) total += values[k] * x[columns[k]];
    y[row] = total;
}"""


def opencl(p: Problem, kit) -> Prepared:
    # Rows across vector lanes would gather every operand: this runtime is several times faster with one row at a time.
    kernel = kit.kernel(
        """
        __kernel __attribute__((intel_vec_len_hint(1)))
        void spmv(__global const int *restrict starts, __global const int *restrict columns,
                  __global const float *restrict values, __global const float *restrict x, __global float *restrict y) {
            int row = get_global_id(0), end = starts[row + 1];
            float total = 0;
            for (int k = starts[row]; k < end; ++k) total += values[k] * x[columns[k]];
            y[row] = total;
        }""",
        "spmv",
    )
    y = kit.empty(p.rows, np.float32)
    run = kit.runner(kernel, (p.rows,), (256,), *(kit.array(p[name]) for name in INPUTS), y)
    return Prepared(run, lambda: {"y": kit.fetch(y, p.rows, np.float32)})


def ispc(p: Problem, kit) -> Prepared:
    # A gang along each row is four times as fast here as a row for each lane.
    y = empty(p.rows, np.float32)
    signature = """uniform const int starts[], uniform const int columns[], uniform const float values[],
                   uniform const float x[], uniform float y[], uniform int rows"""
    source = f"""
        task void part({signature}) {{
            uniform int low = rows * taskIndex / taskCount, high = rows * (taskIndex + 1) / taskCount;
            for (uniform int row = low; row < high; ++row) {{
                float total = 0;
                foreach (k = starts[row] ... starts[row + 1]) total += values[k] * x[columns[k]];
                y[row] = reduce_add(total);
            }}
        }}
        export void spmv({signature}) {{
            launch[32] part(starts, columns, values, x, y, rows);
            sync;
        }}"""
    return Prepared(kit.function(source, "spmv", *(p[name] for name in INPUTS), y, p.rows), lambda: {"y": y})


def numba(p: Problem, kit) -> Prepared:
    prange = kit.numba.prange

    @kit.njit
    def spmv(starts, columns, values, x, y):
        for row in prange(y.size):
            total = np.float32(0)
            for k in range(starts[row], starts[row + 1]):
                total += values[k] * x[columns[k]]
            y[row] = total

    inputs, y = [p[name] for name in INPUTS], empty(p.rows, np.float32)
    return Prepared(lambda: spmv(*inputs, y), lambda: {"y": y})


def quadrants(p: Problem, kit) -> Prepared:
    qd, i32x1, f32x1 = kit.qd, kit.nd("i32", 1), kit.nd("f32", 1)

    @qd.kernel
    def spmv(starts: i32x1, columns: i32x1, values: f32x1, x: f32x1, y: f32x1):
        for row in range(y.shape[0]):
            total = 0.0
            for k in range(starts[row], starts[row + 1]):
                total += values[k] * x[columns[k]]
            y[row] = total

    inputs, y = [kit.array(p[name]) for name in INPUTS], kit.empty(p.rows, np.float32)

    def run() -> None:
        spmv(*inputs, y)
        qd.sync()

    return Prepared(run, lambda: {"y": y.to_numpy()})


def warp(p: Problem, kit) -> Prepared:
    wp = kit.wp
    integers, vector = wp.array(dtype=wp.int32), wp.array(dtype=wp.float32)

    @wp.kernel
    def spmv(starts: integers, columns: integers, values: vector, x: vector, y: vector):
        row = wp.tid()
        total = wp.float32(0.0)
        for k in range(starts[row], starts[row + 1]):
            total += values[k] * x[columns[k]]
        y[row] = total

    inputs, y = [kit.array(p[name]) for name in INPUTS], kit.empty(p.rows, np.float32)
    return Prepared(lambda: kit.launch(spmv, p.rows, *inputs, y), lambda: {"y": y.numpy()})


def numpy(p: Problem, kit) -> Prepared:
    from scipy.sparse import csr_array

    matrix = csr_array((p["values"], p["columns"], p["starts"]), shape=(p.rows, p.rows))
    x = p["x"]
    results: list[np.ndarray] = []

    def run() -> None:
        results[:] = [matrix @ x]

    return Prepared(run, lambda: {"y": results[0]})
