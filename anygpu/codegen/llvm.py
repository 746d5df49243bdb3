"""A small typed writer of LLVM IR text.

Text, because llvmlite's own builder has no token type (coroutines need it), no names for vector intrinsics, and takes
several times as long; see docs/design/001-foundations.md.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from anygpu.dtypes import DType, bool_

LIKELY = "!prof !0"  # the first successor is taken almost always


def scalar_type(dtype: DType) -> str:
    """The LLVM type of a value in a register. bfloat16 is its bits: it is computed in float32 alone."""
    if dtype is bool_:
        return "i1"
    if dtype.is_float:
        return {"float16": "half", "bfloat16": "i16", "float32": "float", "float64": "double"}[dtype.name]
    return f"i{dtype.bits}"


def memory_type(dtype: DType) -> str:
    """The LLVM type of an element in memory: bools take a byte."""
    return "i8" if dtype is bool_ else scalar_type(dtype)


def literal(value: bool | int | float, dtype: DType) -> str:
    """A constant of a scalar type."""
    if dtype is bool_:
        return "true" if value else "false"
    if dtype.is_float:
        if dtype.name == "bfloat16":
            bits = struct.unpack("<I", struct.pack("<f", float(value)))[0] >> 16
            return str(bits if value == value else 0x7FC0)
        if dtype.name == "float16":
            return f"0xH{struct.unpack('<H', struct.pack('<e', float(value)))[0]:04X}"
        number = float(value)
        # LLVM writes float32 constants as the hexadecimal of the float64 with the same value
        return f"0x{struct.unpack('<Q', struct.pack('<d', number))[0]:016X}"
    return str(int(value))


@dataclass
class Module:
    """Declarations and function definitions, each once."""

    declarations: dict[str, str] = field(default_factory=dict)
    definitions: dict[str, str] = field(default_factory=dict)
    constants: dict[bytes, str] = field(default_factory=dict)
    loops: list[tuple[str, int]] = field(default_factory=list)  # advice on unrolling

    def declare(self, signature: str) -> None:
        """``declare`` a function by its whole signature, such as ``float @llvm.sqrt.f32(float)``."""
        self.declarations.setdefault(signature, f"declare {signature}")

    def unrolled(self, advice: str, number: int = 0) -> str:
        """What a loop's branch back to its head says of unrolling: ``full``, ``count`` (with a number) or ``disable``."""
        self.loops.append((advice, number))
        return f", !llvm.loop !{98 + 2 * len(self.loops)}"

    def constant_bytes(self, data: bytes, align: int, space: int = 0) -> str:
        """The address of read-only data, in an address space."""
        name = self.constants.get(data)
        if name is None:
            name = f"@data.{len(self.constants)}"
            text = "".join(f"\\{b:02X}" for b in data)
            self.constants[data] = name
            where = f"addrspace({space}) " if space else ""
            self.definitions[name] = f'{name} = private unnamed_addr {where}constant [{len(data)} x i8] c"{text}", align {max(align, 16)}'
        return name

    def text(self, triple: str, layout: str = "") -> str:
        head = [f'target triple = "{triple}"', *([f'target datalayout = "{layout}"'] if layout else [])]
        tail = ['!0 = !{!"branch_weights", i32 2000, i32 1}', "!1 = distinct !{!1, !2}", '!2 = !{!"llvm.loop.unroll.disable"}']
        for n, (advice, number) in enumerate(self.loops):
            what = f'!"llvm.loop.unroll.{advice}"' + (f", i32 {number}" if number else "")
            tail += [f"!{100 + 2 * n} = distinct !{{!{100 + 2 * n}, !{101 + 2 * n}}}", f"!{101 + 2 * n} = !{{{what}}}"]
        return "\n".join([*head, *self.declarations.values(), *self.definitions.values(), *tail]) + "\n"


class Writer:
    """Instructions of one function, block by block. Values are named ``%N``, in order."""

    def __init__(self, module: Module):
        self.module = module
        self.entry: list[str] = []  # allocas and what must run before all else
        self.lines: list[str] = []
        self.count = 0
        self.label = "entry"
        self.terminated = False

    def fresh(self, base: str = "") -> str:
        self.count += 1
        return f"{base}{self.count}"

    def emit(self, instruction: str) -> str:
        """An instruction with a result; its name."""
        name = f"%v{self.count}"
        self.count += 1
        self.lines.append(f"  {name} = {instruction}")
        return name

    def do(self, instruction: str) -> None:
        """An instruction without a result."""
        self.lines.append(f"  {instruction}")

    def alloca(self, llvm_type: str, align: int = 0) -> str:
        """Stack memory of the function, made once at its entry."""
        name = f"%a{self.count}"
        self.count += 1
        self.entry.append(f"  {name} = alloca {llvm_type}{f', align {align}' if align else ''}")
        return name

    def block(self, label: str) -> None:
        """Start a basic block; falls through from the last one if that was left open."""
        if not self.terminated:
            self.lines.append(f"  br label %{label}")
        self.lines.append(f"{label}:")
        self.label = label
        self.terminated = False

    def branch(self, label: str, loop: str = "") -> None:
        """Jump; ``loop`` is what ``Module.unrolled`` gave."""
        if not self.terminated:
            self.lines.append(f"  br label %{label}{loop}")
        self.terminated = True

    def branch_if(self, condition: str, then: str, orelse: str, likely: bool = False) -> None:
        self.lines.append(f"  br i1 {condition}, label %{then}, label %{orelse}{', ' + LIKELY if likely else ''}")
        self.terminated = True

    def call(self, result: str, name: str, args: str, signature: str | None = None) -> str:
        """Call a function by name, declared with ``signature`` (``(types)``)."""
        if signature is not None:
            self.module.declare(f"{result} @{name}({signature})")
        if result == "void":
            self.do(f"call void @{name}({args})")
            return ""
        return self.emit(f"call {result} @{name}({args})")

    def body(self) -> str:
        return "\n".join(["entry:", *self.entry, "  br label %start", "start:", *self.lines])
