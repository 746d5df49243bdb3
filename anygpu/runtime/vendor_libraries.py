"""The vendors' libraries for products of matrices and Fourier transforms: which there are, how they are found, and their C interfaces.

AMD's libraries have NVIDIA's interfaces with other names and numbers, so that each kind is written once over a table (`INTERFACES`). A
library is loaded when a device first needs it; that it is not here is an `Unavailable`, since anygpu has kernels of its own. Types and
numbers are those of cublas_api.h, library_types.h and cufft.h of CUDA 12 and 13, and of hipblas.h and hipfft.h of ROCm 6 and 7.
"""

from __future__ import annotations

import ctypes
import functools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from anygpu.errors import DriverError
from anygpu.runtime import faults
from anygpu.runtime.base import Driver, Unavailable

if TYPE_CHECKING:
    from anygpu.runtime.cudalike import CudaLikeDriver

Kind = Literal["blas", "fft"]
Signatures = Mapping[str, tuple[type, ...]]

_pointer, _int, _long, _size = ctypes.c_void_p, ctypes.c_int, ctypes.c_longlong, ctypes.c_size_t
_MATRIX = (_pointer, _int, _int, _long)  # address, dtype, elements from a column to the next, and from a matrix to the next
_BLAS: Signatures = {
    "Create": (ctypes.POINTER(_pointer),),
    "Destroy": (_pointer,),
    "SetStream": (_pointer, _pointer),
    # handle, what is done to either operand, m, n, k, alpha, the operands, beta, the product, their count, the dtype of sums, the algorithm
    "GemmStridedBatchedEx": (_pointer, *(_int,) * 5, _pointer, *_MATRIX, *_MATRIX, _pointer, *_MATRIX, _int, _int, _int),
}
_PROPERTY = {"GetProperty": (_int, ctypes.POINTER(_int))}


def _fft(plan: type) -> Signatures:
    """The functions over plans, which NVIDIA numbers and AMD points at."""
    layout = (ctypes.POINTER(_long), _long, _long)  # extents, elements from one to the next, and from a row to the next
    both = dict.fromkeys(("ExecC2C", "ExecZ2Z"), (plan, _pointer, _pointer, _int))
    one = dict.fromkeys(("ExecR2C", "ExecD2Z", "ExecC2R", "ExecZ2D"), (plan, _pointer, _pointer))
    return both | one | _PROPERTY | {
        "Create": (ctypes.POINTER(plan),),
        "Destroy": (plan,),
        "SetStream": (plan, _pointer),
        "SetAutoAllocation": (plan, _int),
        "SetWorkArea": (plan, _pointer),
        "MakePlanMany64": (plan, _int, ctypes.POINTER(_long), *layout, *layout, _int, _long, ctypes.POINTER(_size)),
    }  # fmt: skip


@dataclass(frozen=True)
class Interface:
    """How one library spells its kind's interface.

    Attributes:
        api: Its name in anygpu's tables of codes, and what its functions' names begin with.
        title: As its vendor writes it.
        files: The names of the library, the newest first, each with the functions that it spells otherwise.
        remedy: How to get it.
        signatures: Its functions, with the types of their arguments.
        handle: What a handle or plan is.
        memory: The code that says that there is not enough memory.
        refusals: Codes that say that the library does not compute this on this device, which own kernels may: for want of memory, too.
        numbers: Enumerators that the vendors number differently.
        mode: A function that is called once for each handle, and its argument.
    """

    api: str
    title: str
    files: Mapping[str, Mapping[str, str]]
    remedy: str
    signatures: Signatures
    handle: type
    memory: int
    refusals: frozenset[int]
    numbers: Mapping[str, int]
    mode: tuple[str, int] | None = None


_V2 = {name: f"{name}_v2" for name in ("Create", "Destroy", "SetStream")}
_ROCM = "it comes with ROCm"
INTERFACES: dict[tuple[str, Kind], Interface] = {
    ("cuda", "blas"): Interface(
        "cublas", "cuBLAS", {"libcublas.so.13": _V2, "libcublas.so.12": _V2}, "pip install 'anygpu[cuda-libraries]'",
        {**_BLAS, **_PROPERTY, "SetMathMode": (_pointer, _int)}, _pointer, 3, frozenset((3, 8, 15)),
        {"plain": 0, "transposed": 1, "float32": 68, "float64": 70, "default": -1},
        ("SetMathMode", 16),  # sums of halves are float32 to the end
    ),
    ("cuda", "fft"): Interface(
        "cufft", "cuFFT", {"libcufft.so.12": {}, "libcufft.so.11": {}}, "pip install 'anygpu[cuda-libraries]'",
        _fft(_int), _int, 2, frozenset((2, 8, 14, 16)), {},
    ),
    ("hip", "blas"): Interface(
        "hipblas", "hipBLAS", {"libhipblas.so.3": {}, "libhipblas.so.2": {"GemmStridedBatchedEx": "GemmStridedBatchedEx_v2"}}, _ROCM,
        {**_BLAS, "SetAtomicsMode": (_pointer, _int)}, _pointer, 2, frozenset((2, 7, 8)),
        {"plain": 111, "transposed": 112, "float32": 2, "float64": 7, "default": 160},
        ("SetAtomicsMode", 0),  # without atomics, whose order differs from run to run
    ),
    ("hip", "fft"): Interface(
        "hipfft", "hipFFT", {"libhipfft.so.0": {}}, _ROCM,
        _fft(_pointer), _pointer, 2, frozenset((2, 8, 14, 16)), {},
    ),
}  # fmt: skip


class Library:
    """A loaded library, or what has its functions. Raises ``AttributeError`` if one is missing."""

    def __init__(self, interface: Interface, file: str, loaded: ctypes.CDLL):
        self.interface = interface
        self.file = file
        self.names = {name: interface.api + interface.files[file].get(name, name) for name in interface.signatures}
        self.functions: dict[str, Callable[..., int]] = {}
        for name, arguments in interface.signatures.items():
            function = getattr(loaded, self.names[name])
            function.argtypes, function.restype = arguments, ctypes.c_int
            self.functions[name] = function

    def __str__(self) -> str:
        """Its name and version, or that of its file where it tells none."""
        if "GetProperty" not in self.functions:
            return f"{self.interface.title} ({self.file})"
        parts = [ctypes.c_int() for _ in range(3)]
        for n, part in enumerate(parts):
            self.functions["GetProperty"](n, ctypes.byref(part))
        return f"{self.interface.title} {'.'.join(str(part.value) for part in parts)}"

    def refuses(self, error: DriverError) -> bool:
        """Whether an error is the library's answer that it does not compute this."""
        return error.api == self.interface.api and error.code in self.interface.refusals

    def lacks_memory(self, error: DriverError) -> bool:
        """Whether an error is the library's answer that it found too little memory."""
        return error.api == self.interface.api and error.code == self.interface.memory

    def call(self, driver: Driver, name: str, *arguments: object, detail: str = "") -> None:
        """Call a function on a device. Raises ``DriverError`` for a code that is not success."""
        cudalike: CudaLikeDriver = driver  # type: ignore[assignment]  # the only drivers that have libraries
        cudalike.activate()
        code = self.functions[name](*arguments)
        if code:
            raise faults.failure(driver, self.interface.api, code, self.names[name], detail)


def load(interface: Interface) -> Library:
    """The library, loaded once for the process. Raises `Unavailable`, with the reason, if it is not here."""
    found = _load(interface.api)
    if isinstance(found, str):
        raise Unavailable(found)
    return found


@functools.cache
def _load(api: str) -> Library | str:
    interface = next(known for known in INTERFACES.values() if known.api == api)
    problem = ""
    for path in candidates(interface):
        try:
            loaded = open_library(path)
        except OSError as error:
            if os.path.basename(path) not in str(error):  # it is here, and what it depends on is not
                problem = problem or f"{path} does not load: {error}"
            continue
        try:
            return Library(interface, next(file for file in interface.files if os.path.basename(path) == file), loaded)
        except AttributeError as error:
            problem = problem or f"{path} lacks a function: {error}"
    return problem or f"{interface.title} is not here: {interface.remedy}"


def candidates(interface: Interface) -> list[str]:
    """Where the library may be: in NVIDIA's wheels, wherever the system's loader looks, in ROCm's folder."""
    if interface.api.startswith("hip"):
        folder = Path(os.environ.get("ROCM_PATH", "/opt/rocm")) / "lib"
        return [*interface.files, *(str(folder / file) for file in interface.files)]
    wheel = _in_wheels(interface.api)
    return [*([wheel] if wheel is not None and os.path.basename(wheel) in interface.files else []), *interface.files]


def _in_wheels(name: str) -> str | None:
    """The path of a library that was installed as a Python package, loaded with what it depends on."""
    try:
        from cuda import pathfinder
    except ImportError:
        return None
    try:
        return str(pathfinder.load_nvidia_dynamic_lib(name).abs_path)
    except RuntimeError:  # not found, or it does not load: the names follow
        return None


def open_library(path: str) -> ctypes.CDLL:
    """The library at a path, or of a name that the system's loader knows."""
    return ctypes.CDLL(path)
