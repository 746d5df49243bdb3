"""Numba, `njit(parallel=True, fastmath=False)`, over NumPy arrays."""

import os
from types import ModuleType

from benchmarks.peers import Options


class Kit:
    def __init__(self) -> None:
        import llvmlite
        import numba

        self.numba: ModuleType = numba
        self.build_seconds = 0.0
        self.versions = {"numba": numba.__version__, "llvmlite": llvmlite.__version__}
        self.njit = numba.njit(parallel=True, fastmath=False)


def start(options: Options) -> Kit:
    os.environ["NUMBA_NUM_THREADS"] = str(options.threads)
    return Kit()
