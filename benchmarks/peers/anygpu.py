"""This project's own kernels: `kit.ag` is the module, `kit.kernel` its decorator with the bounds checks that the run asked for."""

from collections.abc import Callable
from types import ModuleType

from benchmarks.peers import Options


class Kit:
    def __init__(self, options: Options) -> None:
        import anygpu

        self.ag: ModuleType = anygpu
        self.build_seconds = 0.0
        self.versions = {"anygpu": str(getattr(anygpu, "__version__", "unknown"))}
        self._bounds_check = options.bounds_check

    def kernel(self, function: Callable[..., None]) -> Callable[..., None]:
        """`@ag.kernel` as a user writes it, or with its checks off."""
        if self._bounds_check:
            return self.ag.kernel(function)  # type: ignore[no-any-return]
        return self.ag.kernel(bounds_check=False)(function)  # type: ignore[no-any-return]


def start(options: Options) -> Kit:
    import os

    os.environ["ANYGPU_CACHE"] = "0"  # a first call shall show the compiler, not the disk
    os.environ["ANYGPU_NUM_THREADS"] = str(options.threads)
    return Kit(options)
