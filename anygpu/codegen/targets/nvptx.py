"""PTX for NVIDIA devices from compute capability 7.0 on.

Parameters are 8-byte words by value. A warp is the hardware's; lanes that diverged exchange among those that the hardware runs together
(``activemask``), all others among the whole warp. ``atom.add.f32`` flushes denormals in global memory: the one place where an NVIDIA
device's bits may differ, taken because a loop of compare-and-swap would be many times slower.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from anygpu.codegen.device import DeviceOptions, DeviceWriter, Target

_REGISTERS = {"thread": "tid", "block": "ctaid"}


@dataclass(frozen=True)
class Nvptx(Target):
    """See ``device.Target``. ``reduces``: there are instructions that reduce over a warp, from compute capability 8.0 on."""

    reduces: bool = False

    def position(self, w: DeviceWriter, name: str, axis: int) -> str:
        return self._register(w, f"{_REGISTERS[name]}.{'xyz'[axis]}")

    def extent(self, w: DeviceWriter, name: str, axis: int) -> str:
        return self._register(w, f"{'ntid' if name == 'block' else 'nctaid'}.{'xyz'[axis]}")

    def _register(self, w: DeviceWriter, name: str) -> str:
        return w.emit(f"zext i32 {w.call('i32', f'llvm.nvvm.read.ptx.sreg.{name}', '', '')} to i64")

    def lane(self, w: DeviceWriter) -> str | None:
        return self._register(w, "laneid")

    def barrier(self, w: DeviceWriter) -> None:
        w.call("void", "llvm.nvvm.barrier.cta.sync.all", "i32 0", "i32")

    def warp_barrier(self, w: DeviceWriter, diverged: bool) -> None:
        w.call("void", "llvm.nvvm.bar.warp.sync", f"i32 {self.members(w, diverged)}", "i32")

    def members(self, w: DeviceWriter, diverged: bool) -> str:
        return w.call("i32", "llvm.nvvm.activemask", "", "") if diverged else "-1"

    def ballot(self, w: DeviceWriter, members: str, bit: str) -> str:
        return w.call("i32", "llvm.nvvm.vote.ballot.sync", f"i32 {members}, i1 {bit}", "i32, i1")

    def shuffle(self, w: DeviceWriter, members: str, value: str, lane: str) -> str:
        args = f"i32 {members}, i32 {value}, i32 {lane}, i32 31"
        return w.call("i32", "llvm.nvvm.shfl.sync.idx.i32", args, "i32, i32, i32, i32")

    def shuffle_by_step(self, w: DeviceWriter, members: str, form: str, value: str, step: int, width: int) -> str:
        segment = (32 - width) << 8 | (0 if form == "up" else 31)
        args = f"i32 {members}, i32 {value}, i32 {step}, i32 {segment}"
        return w.call("i32", f"llvm.nvvm.shfl.sync.{form}.i32", args, "i32, i32, i32, i32")

    def match(self, w: DeviceWriter, members: str, bits: int, value: str) -> str | None:
        return w.call("i32", f"llvm.nvvm.match.any.sync.i{bits}", f"i32 {members}, i{bits} {value}", f"i32, i{bits}")

    def reduce(self, w: DeviceWriter, members: str, op: str, value: str, signed: bool) -> str | None:
        if not self.reduces:
            return None
        name = f"u{op}" if op in ("min", "max") and not signed else op
        return w.call("i32", f"llvm.nvvm.redux.sync.{name}", f"i32 {value}, i32 {members}", "i32, i32")

    def attributes(self, options: DeviceOptions, warps: bool, scalar: bool) -> str:
        if options.block is not None:
            extents = ",".join(map(str, options.block))
            return f'"nvvm.reqntid"="{extents}"'
        return f'"nvvm.maxntid"="{options.threads}"'


_ATOMIC = ("add", "sub", "and", "or", "xor", "exch", "min", "max")

def nvptx(number: int) -> Nvptx:
    """The target for a compute capability such as 90."""
    return replace(NVPTX, reduces=number >= 80)


NVPTX = Nvptx(
    name="nvptx", triple="nvptx64-nvidia-cuda",
    layout="e-p6:32:32-i64:64-i128:128-i256:256-v16:16-v32:32-n16:32:64",
    convention="ptx_kernel", spaces={"global": 1, "shared": 3, "const": 1}, stack=0,
    scopes={"warp": "block", "block": "block", "grid": "device"},
    atomics=frozenset(
        [(op, d) for op in _ATOMIC for d in ("int32", "uint32", "int64", "uint64")]
        + [("inc", "uint32"), ("dec", "uint32")]
        + [(op, d) for op in ("add", "exch") for d in ("float32", "float64")]
    ),
    narrow=True, buffers=False, static_limit=48 * 1024, divergent_barriers=True, unrolls=True, shuffles_by_step=True,
    positions_anywhere=True,
)  # fmt: skip
