"""NVIDIA Warp on its CPU device, without the adjoint code that only gradients need."""

from types import ModuleType

import numpy as np

from benchmarks.peers import Options


class Kit:
    def __init__(self) -> None:
        import warp

        warp.config.quiet = True
        warp.config.cache_kernels = False  # a first call shall show the compiler, not the disk
        warp.config.enable_backward = False
        warp.init()
        self.wp: ModuleType = warp
        self.build_seconds = 0.0
        self.versions = {"warp-lang": warp.__version__}

    def array(self, array: np.ndarray) -> object:
        return self.wp.array(array, dtype=self.wp.dtype_from_numpy(array.dtype), device="cpu")

    def empty(self, shape: int | tuple[int, ...], dtype: type[np.generic]) -> object:
        return self.wp.zeros(shape, dtype=self.wp.dtype_from_numpy(np.dtype(dtype)), device="cpu")

    def launch(self, kernel: object, dim: int | tuple[int, ...], *arguments: object) -> None:
        self.wp.launch(kernel, dim=dim, inputs=list(arguments), device="cpu")


def start(options: Options) -> Kit:
    return Kit()
