"""What generated kernels call things in each source language: one template serves OpenCL C, CUDA C++ and HIP C++."""

from __future__ import annotations

from dataclasses import dataclass

from anygpu.errors import DeviceError
from anygpu.runtime.device import Device


@dataclass(frozen=True)
class SourceDialect:
    """The words of one language that the templates need."""

    kernel: str
    pointer: str
    shared: str
    barrier: str
    long: str
    thread: str
    threads: str
    block: str
    blocks: str


_CPLUSPLUS = SourceDialect(
    kernel='extern "C" __global__ void',
    pointer="",
    shared="__shared__",
    barrier="__syncthreads()",
    long="long long",
    thread="threadIdx.x",
    threads="blockDim.x",
    block="blockIdx.x",
    blocks="gridDim.x",
)
SOURCE_DIALECTS = {
    "opencl": SourceDialect(
        kernel="kernel void",
        pointer="global ",
        shared="local",
        barrier="barrier(CLK_LOCAL_MEM_FENCE)",
        long="long",
        thread="get_local_id(0)",
        threads="get_local_size(0)",
        block="get_group_id(0)",
        blocks="get_num_groups(0)",
    ),
    "cuda": _CPLUSPLUS,
    "hip": _CPLUSPLUS,
}


def language_of(device: Device) -> str:
    """The language in which kernels for a device are generated. Raises `DeviceError` for a device that compiles none."""
    for language in device.capabilities.languages:
        if language in SOURCE_DIALECTS:
            return language
    hint = "use a device whose capabilities have languages; anygpu[opencl-cpu] makes the CPU one"
    raise DeviceError(f"{device.name} compiles no source\n  hint: {hint}")
