"""Quadrants (the maintained fork of Taichi), or Taichi where only that is installed, on its CPU back end.

Arrays are ndarrays, or fields where those are faster.
"""

import numpy as np

from benchmarks.peers import Options


class Kit:
    def __init__(self, options: Options) -> None:
        try:
            import quadrants as qd

            name = "quadrants"
        except ImportError:
            import taichi as qd

            name = "taichi"
        # fast_math is off as everywhere in this suite; the offline cache is off so that a first call shows the compiler.
        qd.init(arch=qd.cpu, cpu_max_num_threads=options.threads, offline_cache=False, fast_math=False, log_level=qd.WARN)
        self.qd = qd
        self.build_seconds = 0.0
        version = qd.__version__
        self.versions = {name: version if isinstance(version, str) else ".".join(map(str, version))}

    def array(self, array: np.ndarray) -> object:
        out = self.empty(array.shape, array.dtype.type)
        out.from_numpy(array)  # type: ignore[attr-defined]
        return out

    def empty(self, shape: int | tuple[int, ...], dtype: type[np.generic]) -> object:
        kind = {"float32": self.qd.f32, "int32": self.qd.i32, "uint32": self.qd.u32, "uint8": self.qd.u8}[np.dtype(dtype).name]
        return self.qd.ndarray(kind, shape)

    def fields(self, *arrays: np.ndarray) -> list[object]:
        """Fields, whose shapes are compile-time constants. All are declared before the first is filled: they then share one allocation,
        so that the compiler knows that they do not overlap, without which it vectorises no loop that stores.
        """
        kinds = {"float32": self.qd.f32, "int32": self.qd.i32}
        out = [self.qd.field(kinds[array.dtype.name], array.shape) for array in arrays]
        for field, array in zip(out, arrays, strict=True):
            field.from_numpy(array)
        return out

    def nd(self, dtype: str, ndim: int) -> object:
        """The annotation of an array argument: `kit.nd("f32", 2)`."""
        return self.qd.types.ndarray(dtype=getattr(self.qd, dtype), ndim=ndim)


def start(options: Options) -> Kit:
    return Kit(options)
