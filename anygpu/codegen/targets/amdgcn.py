"""AMD GPUs: code object v5 for CDNA (waves of 64) and RDNA (waves of 32).

Parameters are 8-byte words in the kernel argument segment, with no hidden arguments. A warp is 32 lanes on both: on a wave of 64 it is
one half, and every exchange stays inside the half. Lanes of a wave go in step, so an exchange is among those that execute it.
"""

from __future__ import annotations

from dataclasses import dataclass

from anygpu.codegen.device import DeviceOptions, DeviceWriter, Target
from anygpu.ir.kernel import Scope

_POSITIONS = {"thread": "workitem", "block": "workgroup"}


@dataclass(frozen=True)
class Amdgcn(Target):
    """See ``device.Target``. ``wave`` is the width of the hardware's wave."""

    wave: int = 64

    def position(self, w: DeviceWriter, name: str, axis: int) -> str:
        found = w.call("i32", f"llvm.amdgcn.{_POSITIONS[name]}.id.{'xyz'[axis]}", "", "")
        return w.emit(f"zext i32 {found} to i64")

    def barrier(self, w: DeviceWriter) -> None:
        self._meet(w, "block", "llvm.amdgcn.s.barrier")

    def warp_barrier(self, w: DeviceWriter, diverged: bool) -> None:
        self._meet(w, "warp", "llvm.amdgcn.wave.barrier")

    def _meet(self, w: DeviceWriter, scope: Scope, barrier: str) -> None:
        w.do(f"fence {self.scope(scope)} release")
        w.call("void", barrier, "", "")
        w.do(f"fence {self.scope(scope)} acquire")

    def _wave_lane(self, w: DeviceWriter) -> str:
        low = w.call("i32", "llvm.amdgcn.mbcnt.lo", "i32 -1, i32 0", "i32, i32")
        return w.call("i32", "llvm.amdgcn.mbcnt.hi", f"i32 -1, i32 {low}", "i32, i32") if self.wave == 64 else low

    def _half(self, w: DeviceWriter) -> str:
        """The first lane of this warp in its wave."""
        return w.emit(f"and i32 {self._wave_lane(w)}, 32") if self.wave == 64 else "0"

    def lane(self, w: DeviceWriter) -> str | None:
        return w.emit(f"zext i32 {w.emit(f'and i32 {self._wave_lane(w)}, 31')} to i64")

    def ballot(self, w: DeviceWriter, members: str, bit: str) -> str:
        t = f"i{self.wave}"
        found = w.call(t, f"llvm.amdgcn.ballot.{t}", f"i1 {bit}", "i1")
        if self.wave == 32:
            return found
        shifted = w.emit(f"lshr i64 {found}, {w.emit(f'zext i32 {self._half(w)} to i64')}")
        return w.emit(f"trunc i64 {shifted} to i32")

    def shuffle(self, w: DeviceWriter, members: str, value: str, lane: str) -> str:
        source = w.emit(f"or i32 {self._half(w)}, {lane}") if self.wave == 64 else lane
        byte = w.emit(f"shl i32 {source}, 2")
        return w.call("i32", "llvm.amdgcn.ds.bpermute", f"i32 {byte}, i32 {value}", "i32, i32")

    def attributes(self, options: DeviceOptions, warps: bool, scalar: bool) -> str:
        count = options.threads if options.block is None else options.block[0] * options.block[1] * options.block[2]
        low = count if options.block is not None else 1
        return f'"amdgpu-flat-work-group-size"="{low},{count}" "uniform-work-group-size"="true"'

    def metadata(self, options: DeviceOptions, flat: bool) -> str:
        return '!llvm.module.flags = !{!10}\n!10 = !{i32 1, !"amdhsa_code_object_version", i32 500}\n'


_ATOMIC = ("add", "sub", "and", "or", "xor", "exch", "min", "max")


def amdgcn(wave: int) -> Amdgcn:
    """The target for processors whose waves have this many lanes."""
    return Amdgcn(
        name="amdgcn", triple="amdgcn-amd-amdhsa",
        layout="e-m:e-p:64:64-p1:64:64-p2:32:32-p3:32:32-p4:64:64-p5:32:32-p6:32:32-p7:160:256:256:32-p8:128:128:128:48-p9:192:256:256:32"
               "-i64:64-v16:16-v24:32-v32:32-v48:64-v96:128-v192:256-v256:256-v512:512-v1024:1024-v2048:2048-n32:64-S32-A5-G1-ni:7:8:9",
        convention="amdgpu_kernel", spaces={"global": 1, "shared": 3, "const": 4}, stack=5,
        scopes={"warp": "wavefront", "block": "workgroup", "grid": "agent"},
        atomics=frozenset(
            [(op, d) for op in _ATOMIC for d in ("int32", "uint32", "int64", "uint64")]
            + [(op, d) for op in ("inc", "dec") for d in ("uint32", "uint64")]
            + [("add", "float32"), ("add", "float64")]
        ),
        narrow=True, buffers=False, static_limit=64 * 1024, divergent_barriers=True, unrolls=True, wave=wave,
    )  # fmt: skip


def wave_of(processor: str) -> int:
    """Lanes of a wave on a processor such as ``gfx942``: 64 before RDNA (gfx10), 32 from there on."""
    major = int(processor.removeprefix("gfx")[:-2])
    return 32 if major >= 10 else 64
