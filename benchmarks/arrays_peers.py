"""How each peer of `arrays.py` holds its arrays, runs a program and ends a call. A kit is made only in its peer's own process."""

from __future__ import annotations

import importlib
import math
import os
from collections.abc import Callable
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from benchmarks.arrays_programs import PROGRAMS, Program
from benchmarks.peers import Missing

PEERS = ("anygpu", "numpy", "jax", "torch", "numba", "numexpr", "dpnp")
LABELS = {
    "anygpu": "anygpu", "numpy": "NumPy", "jax": "JAX jit", "torch": "PyTorch", "numba": "Numba", "numexpr": "numexpr", "dpnp": "dpnp",
    "memcpy": "memcpy",
}  # fmt: skip
Array = Any  # of whichever peer
Run = Callable[[], Array]


class ArrayKit(Protocol):
    versions: dict[str, str]
    build_seconds: float

    def prepare(self, name: str, program: Program, inputs: tuple[np.ndarray, ...]) -> Run | str:
        """A call that does all of the program's work, or why there is none."""

    def fetch(self, result: Array) -> np.ndarray: ...


class _Namespace:
    """A peer with a namespace like NumPy's. ``hold`` makes its array of NumPy's, ``finish`` waits for the work on a result."""

    def __init__(
        self, peer: str, xp: ModuleType, version: str, hold: Callable[[np.ndarray], Array], finish: Callable[[Array], object],
        to_host: Callable[[Array], np.ndarray] = np.asarray, compiled: Callable[[Callable[..., Array]], Callable[..., Array]] | None = None,
    ):  # fmt: skip
        self.peer, self.xp, self.hold, self.finish, self.fetch, self.compiled = peer, xp, hold, finish, to_host, compiled
        self.versions = {peer: version}
        self.build_seconds = 0.0

    def prepare(self, name: str, program: Program, inputs: tuple[np.ndarray, ...]) -> Run | str:
        if self.peer in program.absent:
            return program.absent[self.peer]
        xp, finish = self.xp, self.finish
        body = program.versions.get(self.peer, program.run)
        arrays = [self.hold(x) for x in inputs]
        if self.compiled is not None and program.traced:
            call = self.compiled(lambda *given: body(xp, *given))

            def run() -> Array:
                return finish(call(*arrays))
        else:

            def run() -> Array:
                return finish(body(xp, *arrays))

        return run


def _numpy(threads: int) -> ArrayKit:
    return _Namespace("numpy", np, np.__version__, np.array, lambda x: x)


def _anygpu(threads: int) -> ArrayKit:
    os.environ["ANYGPU_CACHE"] = "0"  # a first call shall show the compiler, not the disk
    os.environ["ANYGPU_NUM_THREADS"] = str(threads)
    import anygpu as ag

    def finish(x: Array) -> Array:
        ag.synchronize()
        return x

    return _Namespace("anygpu", ag, ag.__version__, ag.array, finish)


def _jax(threads: int) -> ArrayKit:
    import jax

    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_platforms", "cpu")
    import jax.numpy as jnp

    return _Namespace("jax", jnp, jax.__version__, jnp.asarray, lambda x: x.block_until_ready(), compiled=jax.jit)


def _torch(threads: int) -> ArrayKit:
    import torch

    torch.set_num_threads(threads)
    return _Namespace("torch", torch, torch.__version__, torch.tensor, lambda x: x, lambda x: x.numpy())


def _dpnp(threads: int) -> ArrayKit:
    try:
        from anygpu.runtime.opencl_icd import exposed_runtime

        with exposed_runtime():  # Intel's OpenCL runtime for CPUs, where the system has none
            import dpnp

            dpnp.arange(1)
    except ImportError:
        raise
    except Exception as error:
        raise Missing(f"dpnp finds no device: {error}") from error

    def finish(x: Array) -> Array:
        x.sycl_queue.wait()
        return x

    return _Namespace("dpnp", dpnp, dpnp.__version__, dpnp.asarray, finish, dpnp.asnumpy)


class _Numba:
    """`njit(parallel=True)` over loops or array expressions, as a good user writes them."""

    def __init__(self, threads: int):
        os.environ["NUMBA_NUM_THREADS"] = str(threads)
        import numba

        self.versions = {"numba": numba.__version__}
        self.build_seconds = 0.0
        self._functions = importlib.import_module("benchmarks.arrays_numba")

    def prepare(self, name: str, program: Program, inputs: tuple[np.ndarray, ...]) -> Run | str:
        if "numba" in program.absent:
            return program.absent["numba"]
        function = getattr(self._functions, name)
        arrays = [x.copy() for x in inputs]
        return lambda: function(*arrays)

    def fetch(self, result: Array) -> np.ndarray:
        return np.asarray(result)


class _Numexpr:
    def __init__(self, threads: int):
        os.environ["NUMEXPR_MAX_THREADS"] = str(threads)
        import numexpr

        numexpr.set_num_threads(threads)
        self.versions = {"numexpr": numexpr.__version__}
        self.build_seconds = 0.0
        self._evaluate = numexpr.evaluate

    def prepare(self, name: str, program: Program, inputs: tuple[np.ndarray, ...]) -> Run | str:
        if "numexpr" in program.absent:
            return program.absent["numexpr"]
        evaluate, kind = self._evaluate, inputs[0].dtype.type

        constants = {f"c{n}": kind(c) for n, c in enumerate(_CONSTANTS)}

        def cdf(x: np.ndarray) -> np.ndarray:
            t = evaluate("1 / (1 + c * abs(x))", {"x": x, "c": kind(0.2316419)})
            return evaluate(_CDF, {"x": x, "t": t, **constants})  # type: ignore[no-any-return]

        match name, [x.copy() for x in inputs]:
            case "axpy", [x, y]:
                return lambda: evaluate("a * x + y", {"a": kind(2.5), "x": x, "y": y})
            case "chain", [x]:
                return lambda: evaluate("sqrt(2 * sin(x) + cos(x) ** 2) + tanh(x)", {"x": x})
            case "stencil", [x]:
                parts = {"n": x[:-2, 1:-1], "s": x[2:, 1:-1], "w": x[1:-1, :-2], "e": x[1:-1, 2:], "m": x[1:-1, 1:-1], "q": kind(0.25)}
                return lambda: evaluate("q * (n + s + w + e) - m", parts)
            case "black_scholes", [price, strike, years]:
                given = {"p": price, "k": strike, "y": years, "r": kind(0.02), "v": kind(0.3), "g": kind(0.02 + 0.045)}

                def run() -> np.ndarray:
                    d1 = evaluate("(log(p / k) + g * y) / (v * sqrt(y))", given)
                    n1, n2 = cdf(d1), cdf(evaluate("d - v * sqrt(y)", {"d": d1, **given}))
                    return evaluate("p * a - k * exp(-r * y) * b", {**given, "a": n1, "b": n2})  # type: ignore[no-any-return]

                return run
        return "not an expression"

    def fetch(self, result: Array) -> np.ndarray:
        return np.asarray(result)


_CONSTANTS = (0.319381530, -0.356563782, 1.781477937, -1.821255978, 1.330274429, 0.3989422804, -0.5)
_CDF = (
    "where(x > 0, 1 - c5 * exp(c6 * x * x) * (t * (c0 + t * (c1 + t * (c2 + t * (c3 + t * c4))))), "
    "c5 * exp(c6 * x * x) * (t * (c0 + t * (c1 + t * (c2 + t * (c3 + t * c4))))))"
)


class _Memcpy:
    """`memcpy` of half a program's traffic: as many bytes are read and written."""

    def __init__(self, threads: int):
        from benchmarks.peers import Options
        from benchmarks.peers.memcpy import start

        self._kit = start(Options(threads))
        self.versions, self.build_seconds = self._kit.versions, 0.0

    def prepare(self, name: str, program: Program, inputs: tuple[np.ndarray, ...]) -> Run | str:
        from benchmarks.peers.memcpy import prepare

        if not program.traffic:
            return "not bound by memory"
        prepared = prepare(math.ceil(program.traffic * inputs[0].nbytes), self._kit)
        return lambda: prepared.run()  # which keeps the memory, too

    def fetch(self, result: Array) -> np.ndarray:
        return np.zeros(0)


KITS: dict[str, Callable[[int], ArrayKit]] = {
    "anygpu": _anygpu, "numpy": _numpy, "jax": _jax, "torch": _torch, "numba": _Numba, "numexpr": _Numexpr, "dpnp": _dpnp,
    "memcpy": _Memcpy,
}  # fmt: skip

__all__ = ["KITS", "LABELS", "PEERS", "PROGRAMS", "ArrayKit", "Run"]
