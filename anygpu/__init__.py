"""anygpu: the GPU stack of Python. Kernels in plain Python, fast and safe on any device or none.

    import anygpu as ag

    @ag.kernel
    def saxpy(a, x, y, out):
        i = ag.grid(1)
        if i < out.size:
            out[i] = a * x[i] + y[i]

    saxpy.forall(out.size)(2.0, x, y, out)
"""

# ruff: noqa: I001  (isort would give each of a hundred names its own line)

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ml_dtypes import bfloat16
from numpy import (
    bool_, complex64, complex128, float16, float32, float64, int8, int16, int32, int64, uint8, uint16, uint32, uint64,
)  # fmt: skip

from anygpu import errors
from anygpu.engine.launch import Kernel, func, kernel
from anygpu.engine.sanitize import SanitizerError, sanitize
from anygpu.errors import (
    AnyGPUError, AnyGPUWarning, ArgumentError, CacheWarning, CompileError, CopyWarning, KernelAssertionError, KernelIndexError, LaunchError,
    LoadError, ReadOnlyError,
)  # fmt: skip
from anygpu.frontend.vocabulary import (
    exp10,
    activemask, all_sync, any_sync, atomic, ballot_sync, bitcast, blockDim, blockIdx, brev, cg, clz, const, cospi, eq_sync, ffs, fma, grid,
    gridDim, gridsize, laneid, lanemask_lt, local, match_all_sync, match_any_sync, mulhi, popc, reduce_add_sync, reduce_and_sync,
    reduce_max_sync, reduce_min_sync, reduce_or_sync, reduce_xor_sync, rsqrt, select, selp, shared, shfl_down_sync, shfl_sync, shfl_up_sync,
    shfl_xor_sync, sinpi, syncthreads, syncthreads_and, syncthreads_count, syncthreads_or, syncwarp, threadfence, threadfence_block,
    threadfence_system, threadIdx, warpsize,
)  # fmt: skip

if TYPE_CHECKING:
    from anygpu.engine.profile import Profile, profile
    from anygpu.engine.loaded import LoadedKernel, LoadedModule
    from anygpu.engine.devices import Device, current_device, devices, problems, set_default_device, synchronize
    from anygpu.runtime.arguments import LocalMemory
    from anygpu.runtime.base import Parameter
    from anygpu.runtime.memory import Buffer, MemoryPool
    from anygpu.runtime.program import LaunchConfig, ObjectCode, Program, launch
    from anygpu.runtime.stream import Event, Graph, Stream
    from anygpu.runtime.templates import ElementwiseKernel, RawKernel, ReductionKernel

    load: Callable[..., Any]  # anygpu.loading builds on all below it, some of which import this module

__version__ = "0.1.0"

# Names whose modules are imported at their first use: a program with kernels for the CPU alone starts without them.
_LAZY = {
    "anygpu.engine.profile": ("Profile", "profile"),
    "anygpu.engine.loaded": ("LoadedKernel", "LoadedModule"),
    "anygpu.loading": ("load",),
    "anygpu.engine.devices": ("Device", "current_device", "devices", "problems", "set_default_device", "synchronize"),
    "anygpu.runtime.arguments": ("LocalMemory",),
    "anygpu.runtime.base": ("Parameter",),
    "anygpu.runtime.memory": ("Buffer", "MemoryPool"),
    "anygpu.runtime.program": ("LaunchConfig", "ObjectCode", "Program", "launch"),
    "anygpu.runtime.stream": ("Event", "Graph", "Stream"),
    "anygpu.runtime.templates": ("ElementwiseKernel", "RawKernel", "ReductionKernel"),
}
_MODULE_OF = {name: module for module, names in _LAZY.items() for name in names}

__all__ = [
    "AnyGPUError",
    "AnyGPUWarning",
    "ArgumentError",
    "Buffer",
    "CacheWarning",
    "CompileError",
    "CopyWarning",
    "Device",
    "ElementwiseKernel",
    "Event",
    "Graph",
    "Kernel",
    "KernelAssertionError",
    "KernelIndexError",
    "LaunchConfig",
    "LaunchError",
    "LoadError",
    "LoadedKernel",
    "LoadedModule",
    "LocalMemory",
    "MemoryPool",
    "ObjectCode",
    "Parameter",
    "Profile",
    "Program",
    "RawKernel",
    "ReadOnlyError",
    "ReductionKernel",
    "SanitizerError",
    "Stream",
    "activemask",
    "all_sync",
    "any_sync",
    "atomic",
    "ballot_sync",
    "bfloat16",
    "bitcast",
    "blockDim",
    "blockIdx",
    "bool_",
    "brev",
    "cg",
    "clz",
    "complex64",
    "complex128",
    "const",
    "cospi",
    "current_device",
    "devices",
    "eq_sync",
    "errors",
    "exp10",
    "ffs",
    "float16",
    "float32",
    "float64",
    "fma",
    "func",
    "grid",
    "gridDim",
    "gridsize",
    "int8",
    "int16",
    "int32",
    "int64",
    "kernel",
    "laneid",
    "lanemask_lt",
    "launch",
    "load",
    "local",
    "match_all_sync",
    "match_any_sync",
    "mulhi",
    "popc",
    "problems",
    "profile",
    "reduce_add_sync",
    "reduce_and_sync",
    "reduce_max_sync",
    "reduce_min_sync",
    "reduce_or_sync",
    "reduce_xor_sync",
    "rsqrt",
    "sanitize",
    "select",
    "selp",
    "set_default_device",
    "shared",
    "shfl_down_sync",
    "shfl_sync",
    "shfl_up_sync",
    "shfl_xor_sync",
    "sinpi",
    "synchronize",
    "syncthreads",
    "syncthreads_and",
    "syncthreads_count",
    "syncthreads_or",
    "syncwarp",
    "threadIdx",
    "threadfence",
    "threadfence_block",
    "threadfence_system",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "warpsize",
]  # fmt: skip


def _select(condlist: object, choicelist: object, default: object = 0) -> object:
    """``numpy.select``: elements of the first of several choices whose condition holds."""
    from anygpu.arrays import standard

    return standard.select(condlist, choicelist, default)


select.outside = _select


def __getattr__(name: str) -> object:
    module = _MODULE_OF.get(name)
    if module is None:
        return _array_function(name)
    if module not in ("anygpu.engine.loaded", "anygpu.loading"):
        importlib.import_module("anygpu.engine.devices")  # the CPU is a device before any other is asked for
    found = getattr(importlib.import_module(module), name)
    globals()[name] = found
    return found


def _array_function(name: str) -> object:
    """A name of NumPy's, for arrays."""
    if name.startswith("_") and name not in ("__array_api_version__", "__array_namespace_info__"):
        raise AttributeError(f"module 'anygpu' has no attribute {name!r}")
    if name in ("fft", "linalg"):
        return importlib.import_module(f"anygpu.{name}")
    from anygpu.arrays import lookup

    found = lookup(name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    # what an editor completes: the names above and those for arrays, without the modules that importing them leaves here
    from anygpu.arrays import names

    return sorted({*__all__, *names(), "fft", "linalg", "__version__"})
