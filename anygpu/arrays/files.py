"""Arrays in files of NumPy's formats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from anygpu.arrays import host
from anygpu.errors import LoadError


def load(file: object, *args: object, **kwargs: object) -> object:
    """``numpy.load``, with arrays in place of NumPy's."""
    try:
        found = np.load(file, *args, **kwargs)  # type: ignore[arg-type]
    except (EOFError, ValueError) as error:
        if "pickle" in str(error) and not kwargs.get("allow_pickle"):
            hint = "a .npy or .npz file holds arrays, a folder that anygpu compile wrote holds kernels"
            raise LoadError(f"{file} holds neither arrays nor kernels\n  hint: {hint}") from error
        raise
    return Archive(found) if isinstance(found, np.lib.npyio.NpzFile) else host.lift(found)


class Archive(Mapping[str, object]):
    """The arrays of a ``.npz`` file by name, each read when it is asked for. ``with`` closes the file.

    Attributes:
        files: The names.
    """

    def __init__(self, found: np.lib.npyio.NpzFile):
        self._found = found
        self.files = found.files

    def __getitem__(self, name: str) -> object:
        return host.lift(self._found[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)

    def __repr__(self) -> str:
        return repr(self._found).replace("NpzFile", "Archive", 1)

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._found.close()
