"""``ag.load``: what is on disk, whichever of two things it is."""

from __future__ import annotations

import os
from typing import Any

from anygpu.engine import loaded


def load(file: object, *args: object, **kwargs: object) -> Any:  # noqa: ANN401 (what a path holds is known when it is read)
    """What a path holds: a folder's kernels, which ``anygpu compile`` wrote, or a file's arrays, which ``ag.save`` or NumPy wrote.

    A folder gives a `LoadedModule`, each kernel an attribute: ``m.saxpy[grid, block](...)``. A launch takes the best code for its device:
    on the CPU the highest level of x86-64 that the processor has, on NVIDIA devices the newest architecture that is not newer than the
    device. Nothing is compiled. The folder holds machine code that runs with your rights, and its digests only show accidents: load what
    you trust.

    A file, or an object that reads one, gives what ``numpy.load`` gives, with arrays in place of NumPy's: an array of a ``.npy`` file, and
    of a ``.npz`` file a mapping from names to arrays, which are read as they are asked for.

    Args:
        file: The folder, with its ``manifest.json``, or the file.
        *args: For files: the further arguments of ``numpy.load``.
        **kwargs: Likewise, such as ``mmap_mode="r"``.

    Raises:
        LoadError: There is no manifest, it has another format, a file is missing or is not what was written. At a launch: nothing in the
            folder is for this device.
        FileNotFoundError: There is no such ``.npy`` or ``.npz`` file.
        ValueError: The file holds no arrays.

    Example:
        >>> import anygpu as ag
        >>> ag.load("no/such/folder")
        Traceback (most recent call last):
            ...
        anygpu.errors.LoadError: no/such/folder holds no compiled kernels: there is no no/such/folder/manifest.json
          hint: anygpu compile writes such a folder
    """
    if isinstance(file, str | os.PathLike) and not (args or kwargs or os.path.isfile(file)):
        if os.path.isdir(file) or not os.fspath(file).endswith((".npy", ".npz")):
            return loaded.load(file)
    from anygpu.arrays import files

    return files.load(file, *args, **kwargs)
