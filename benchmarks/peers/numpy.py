"""NumPy, and SciPy for sparse matrices and error functions: the array expression a user would write."""

from benchmarks.peers import Options


class Kit:
    def __init__(self) -> None:
        import numpy
        import scipy

        self.build_seconds = 0.0
        self.versions = {"numpy": numpy.__version__, "scipy": scipy.__version__}


def start(options: Options) -> Kit:
    return Kit()
