"""One file a kernel: the problem with seeded inputs, the NumPy reference, and the kernel as a good user of each peer would write it.

Every module of this package offers

- `TITLE`, a few words for the table;
- `problem(quick)` -> `Problem`, seeded, so that every process builds the same inputs;
- `reference(problem)` -> the expected outputs, computed by NumPy in float64 where that is possible;
- `check(result, expected, problem)`, which raises `AssertionError` with the measured error (`close` below is the usual one);
- one function for each peer, `anygpu(problem, kit)`, `numba(problem, kit)`, ... -> `Prepared`;
- `CUDA`, the same algorithm in CUDA C++ for `benchmarks/gpu_static.py`, as a good user of it would write it;
- `ABSENT`, the reason for each peer that has no version of the kernel;
- for streaming kernels `traffic(problem)`, the bytes that must cross the memory bus once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

KERNELS = (
    "saxpy",
    "exp_map",
    "black_scholes",
    "mandelbrot",
    "nbody",
    "stencil",
    "convolution",
    "matmul",
    "transpose",
    "reduction",
    "scan",
    "histogram",
    "spmv",
    "raymarch",
    "montecarlo_pi",
    "bitonic_sort",
)


@dataclass(frozen=True)
class Problem:
    """The inputs of one kernel: arrays by name and sizes by name."""

    arrays: Mapping[str, np.ndarray]
    sizes: Mapping[str, int]

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    def __getattr__(self, name: str) -> int:
        try:
            return self.sizes[name]
        except KeyError:
            raise AttributeError(name) from None


@dataclass(frozen=True)
class Prepared:
    """A kernel ready to run: `run` does one whole call and waits for its end, `fetch` gives the outputs as NumPy arrays.

    `library` marks a peer's call into a library with another class of algorithm (BLAS, np.sort): shown, never counted as the best peer.
    """

    run: Callable[[], object]
    fetch: Callable[[], dict[str, np.ndarray]]
    library: str = ""
    keep: object = field(default=None, repr=False)


def aligned(array: np.ndarray) -> np.ndarray:
    """A copy whose first byte lies on a 64-byte boundary, so that no peer gains or loses by where the allocator put an array."""
    raw = np.empty(array.nbytes + 64, np.uint8)
    start = -raw.ctypes.data % 64
    out = raw[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    out[...] = array
    return out


def empty(shape: int | tuple[int, ...], dtype: type[np.generic]) -> np.ndarray:
    """A new zeroed array on a 64-byte boundary, its pages already touched."""
    return aligned(np.zeros(shape, dtype))


def close(result: np.ndarray, expected: np.ndarray, rtol: float, atol: float, outliers: float = 0.0) -> None:
    """Raise unless |result - expected| <= atol + rtol * |expected| for all but a fraction `outliers` of the elements."""
    if result.shape != expected.shape:
        raise AssertionError(f"shape {result.shape}, expected {expected.shape}")
    error = np.abs(result.astype(np.float64) - expected.astype(np.float64))
    wrong = ~(error <= atol + rtol * np.abs(expected.astype(np.float64)))
    fraction = float(np.mean(wrong))
    if fraction > outliers:
        raise AssertionError(
            f"{fraction:.3%} of the elements are wrong (allowed {outliers:.3%}); the largest error is {np.nanmax(error):.3g}"
        )
