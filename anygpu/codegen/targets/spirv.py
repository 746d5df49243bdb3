"""SPIR-V for OpenCL devices: buffers as arguments, OpenCL's built-in functions, sub-groups of 32 as warps.

Build programs with ``-cl-fp32-correctly-rounded-divide-sqrt`` where the device has that option; without it a device may round float32
division and square root otherwise than all others do. Contraction and flushing of denormals are off by default.

A kernel that exchanges between lanes needs sub-groups of exactly 32 work-items (capability ``subgroups32``:
``cl_intel_required_subgroup_size``, ``cl_khr_subgroup_shuffle``, ``cl_khr_subgroup_ballot``), and is launched flat: devices make up
sub-groups along x alone.
Emulation in local memory is no way out, since lanes that diverged cannot wait for each other there.
"""

from __future__ import annotations

from dataclasses import dataclass

from anygpu.codegen.device import DeviceOptions, DeviceWriter, Target
from anygpu.codegen.llvm import literal, scalar_type
from anygpu.dtypes import DType, bool_
from anygpu.ir.kernel import Scope

_SCOPE_NUMBER = {"warp": 3, "block": 2, "grid": 1}  # SPIR-V's Subgroup, Workgroup and Device
_ACQUIRE_RELEASE, _LOCAL, _GLOBAL = 0x8, 0x100, 0x200
_MULTIPLY_HIGH = {"int8": "c", "uint8": "h", "int16": "s", "uint16": "t", "int32": "i", "uint32": "j", "int64": "l", "uint64": "m"}
_POSITIONS = {"thread": "_Z12get_local_idj", "block": "_Z12get_group_idj"}


@dataclass(frozen=True)
class Spirv(Target):
    """See ``device.Target``."""

    def position(self, w: DeviceWriter, name: str, axis: int) -> str:
        return w.invoke("i64", _POSITIONS[name], f"i32 {axis}", "i32", "spir_func")

    def barrier(self, w: DeviceWriter) -> None:
        self._control(w, "block")

    def warp_barrier(self, w: DeviceWriter, diverged: bool) -> None:
        self._control(w, "warp")

    def _control(self, w: DeviceWriter, scope: Scope) -> None:
        number = _SCOPE_NUMBER[scope]
        args = f"i32 {number}, i32 {number}, i32 {_ACQUIRE_RELEASE | _LOCAL | _GLOBAL}"
        w.invoke("void", "_Z22__spirv_ControlBarrieriii", args, "i32, i32, i32", "spir_func", "convergent")

    def fence(self, w: DeviceWriter, scope: Scope) -> None:
        args = f"i32 {_SCOPE_NUMBER[scope]}, i32 {_ACQUIRE_RELEASE | _LOCAL | _GLOBAL}"
        w.invoke("void", "_Z21__spirv_MemoryBarrierii", args, "i32, i32", "spir_func")

    def ballot(self, w: DeviceWriter, members: str, bit: str) -> str:
        given = "1" if bit == "true" else w.emit(f"zext i1 {bit} to i32")
        found = w.invoke("<4 x i32>", "_Z16sub_group_balloti", f"i32 {given}", "i32", "spir_func", "convergent")
        return w.emit(f"extractelement <4 x i32> {found}, i64 0")

    def some(self, w: DeviceWriter, bit: str) -> str | None:
        given = w.emit(f"zext i1 {bit} to i32")
        found = w.invoke("i32", "_Z25sub_group_non_uniform_anyi", f"i32 {given}", "i32", "spir_func", "convergent")
        return w.emit(f"icmp ne i32 {found}, 0")

    def shuffle(self, w: DeviceWriter, members: str, value: str, lane: str) -> str:
        return w.invoke("i32", "_Z17sub_group_shuffleij", f"i32 {value}, i32 {lane}", "i32, i32", "spir_func", "convergent")

    def operation(self, w: DeviceWriter, name: str, dtype: DType, args: list[str]) -> str | None:
        if name == "and" and dtype is bool_:  # what `&&` becomes elsewhere: Intel's compiler masks less then
            return w.emit(f"select i1 {args[0]}, i1 {args[1]}, i1 false")
        if name in ("floordiv", "mod") and (shift := _power_of_two(args[1])) is not None and dtype.is_integer:
            t = f"i{dtype.bits}"  # drivers do not see it through the care that is taken of signs
            if name == "mod":
                return w.emit(f"and {t} {args[0]}, {(1 << shift) - 1}")
            return w.emit(f"{'ashr' if dtype.kind == 'i' else 'lshr'} {t} {args[0]}, {shift}")
        if name != "mulhi":
            return None
        t, letter = f"i{dtype.bits}", _MULTIPLY_HIGH[dtype.name]  # there is no integer of 128 bits
        return w.invoke(t, f"_Z6mul_hi{letter}{letter}", f"{t} {args[0]}, {t} {args[1]}", f"{t}, {t}", "spir_func")

    def convert(self, w: DeviceWriter, value: str, source: DType, target: DType) -> str | None:
        """Saturate by comparisons: runtimes convert NaN to what they like, or lack saturating conversions of vectors."""
        if source.kind == "u" and target.is_integer and source.bits < target.bits < 64:
            wide = w.to_32(value, source.bits)
            return wide if target.bits == 32 else w.emit(f"trunc i32 {wide} to i{target.bits}")
        if source.name == "bfloat16":
            wide = w.emit(f"shl i64 {w.emit(f'zext i16 {value} to i64')}, 16")
            bits = w.emit(f"trunc i64 {wide} to i32")
            return w.emit(f"bitcast i32 {bits} to float")
        if not (source.is_float and target.is_integer):
            return None
        t, whole = scalar_type(source), f"i{target.bits}"
        low, high = literal(float(target.minimum), source), literal(float(target.maximum + 1), source)  # powers of two: exact
        above, below = w.emit(f"fcmp oge {t} {value}, {high}"), w.emit(f"fcmp olt {t} {value}, {low}")
        outside = w.emit(f"or i1 {w.emit(f'or i1 {above}, {below}')}, {w.emit(f'fcmp uno {t} {value}, {value}')}")
        safe = w.emit(f"select i1 {outside}, {t} {literal(0.0, source)}, {t} {value}")
        found = w.emit(f"{'fptosi' if target.kind == 'i' else 'fptoui'} {t} {safe} to {whole}")
        least = w.emit(f"select i1 {below}, {whole} {target.minimum}, {whole} {found}")
        return w.emit(f"select i1 {above}, {whole} {target.maximum}, {whole} {least}")

    def attributes(self, options: DeviceOptions, warps: bool, scalar: bool) -> str:
        parts = ["convergent nounwind"]
        if warps:
            parts.append("!intel_reqd_sub_group_size !10")
        if options.block is not None:
            parts.append("!reqd_work_group_size !11")
        if scalar:
            parts.append("!vec_type_hint !12")  # Intel's compiler then takes the kernel to be vectors already
        return " ".join(parts)

    def metadata(self, options: DeviceOptions, flat: bool) -> str:
        x, y, z = options.block or (1, 1, 1)
        extents = (x * y * z, 1, 1) if flat else (x, y, z)
        return f"!10 = !{{i32 32}}\n!11 = !{{{', '.join(f'i32 {n}' for n in extents)}}}\n!12 = !{{<4 x float> undef, i32 0}}\n"


def _power_of_two(text: str) -> int | None:
    """Which power of two a constant is, if it is one."""
    number = int(text) if text.isdecimal() else 0
    return number.bit_length() - 1 if number > 0 and not number & (number - 1) else None


_ATOMIC = ("add", "sub", "and", "or", "xor", "exch", "min", "max")

SPIRV = Spirv(
    name="spirv", triple="spirv64-unknown-unknown",
    layout="e-i64:64-v16:16-v24:32-v32:32-v48:64-v96:128-v192:256-v256:256-v512:512-v1024:1024-n8:16:32:64-G1",
    convention="spir_kernel", spaces={"global": 1, "shared": 3, "const": 2}, stack=0,
    scopes={"warp": "subgroup", "block": "workgroup", "grid": "device"},
    atomics=frozenset((op, d) for op in _ATOMIC for d in ("int32", "uint32", "int64", "uint64")),
    narrow=False, buffers=True, static_limit=1 << 30, divergent_barriers=False, flat_warps=True, shared_counters=True,
    inlined_reports=6,  # a kernel with calls is not made into vectors, and one with many reports takes long to compile
    unsupported={"grid_barrier": "OpenCL does not promise that all blocks of a launch run at the same time"},
)  # fmt: skip
