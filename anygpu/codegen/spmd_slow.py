"""What a checked access does where its strip is not wholly in bounds: one call from there, to a function made once for the kernel.

Described in place, each access would add dozens of instructions that hardly ever run; they were half of the time to compile
a kernel. The functions lay an access out in memory for the target's support functions, which do the work.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from anygpu.codegen.lanes import Lanes, Mask
from anygpu.codegen.llvm import memory_type, scalar_type
from anygpu.dtypes import Field
from anygpu.passes.uniformity import VARYING

if TYPE_CHECKING:
    from anygpu.codegen.spmd_memory import Memory, MemoryAccess

_PLACE = "ptr %support, ptr %error, i64 %block, i64 %thread, i64 %site, i64 %lanes"


def _place(access: MemoryAccess, site: int, lanes: str) -> str:
    support, error, block, thread = access.support.place()
    return f"ptr {support}, ptr {error}, i64 {block}, i64 {thread}, i64 {site}, i64 {lanes}"


def _entry(access: MemoryAccess, name: str) -> list[str]:
    """Load the address of a support function into ``%function``."""
    return [
        f"  %entry = getelementptr ptr, ptr %support, i64 {access.support.entry(name)}",
        "  %function = load ptr, ptr %entry",
    ]


def _define(access: MemoryAccess, result: str, name: str, parameters: str, body: list[str]) -> None:
    text = "\n".join([f"define internal {result} @{name}({parameters}) noinline cold {{", *body, "}"])
    access.w.module.definitions.setdefault(f"@{name}", text)


def report(access: MemoryAccess, site: int, lanes: str, indices: Sequence[str]) -> None:
    """Record an error at the same indices (i64 scalars) for each of the lanes (bits of an i64)."""
    count = len(indices)
    body = [f"  %index = alloca [{max(1, count)} x i64]"]
    for n in range(count):
        body += [f"  %p{n} = getelementptr i64, ptr %index, i64 {n}", f"  store i64 %i{n}, ptr %p{n}"]
    body += _entry(access, "record_lanes")
    call = f"ptr %error, i64 %block, i64 %thread, i64 %site, ptr %index, i64 {count}, i64 %lanes"
    body += [f"  call void %function({call})", "  ret void"]
    _define(access, "void", f"report_{count}", ", ".join([_PLACE, *(f"i64 %i{n}" for n in range(count))]), body)
    access.w.do(f"call void @report_{count}({', '.join([_place(access, site, lanes), *(f'i64 {i}' for i in indices)])})")


def slow_load(access: MemoryAccess, memory: Memory, field: Field, index: list[Lanes], mask: Mask, site: int) -> str:
    """The elements, as they are in memory, of the lanes that are in bounds; zero for the others, which are reported."""
    return _slow(access, "load", memory, field, index, "", mask, site)


def slow_store(access: MemoryAccess, memory: Memory, field: Field, index: list[Lanes], vector: str, mask: Mask, site: int) -> None:
    """Store the elements of the lanes that are in bounds; the others are reported."""
    _slow(access, "store", memory, field, index, vector, mask, site)


def _slow(
    access: MemoryAccess, action: str, memory: Memory, field: Field, index: list[Lanes], vector: str, mask: Mask, site: int
) -> str:  # fmt: skip
    w, width = access.w, access.width
    element = f"<{width} x {memory_type(field.dtype)}>"
    apart = memory.array.itemsize if memory.array.space == "local" else 0
    kinds = "".join(f"_{scalar_type(v.dtype)}" if v.shape == VARYING else "_s" for v in index)
    name = f"slow_{action}_{memory_type(field.dtype)}_{width}_{apart}{kinds}"  # edge strips run with a width of 1
    address = w.emit(f"getelementptr i8, ptr {memory.address}, i64 {field.offset}") if field.offset else memory.address
    given = [_place(access, site, access.lane_bits(mask)), f"ptr {address}"]
    for value, extent, stride in zip(index, memory.extents, memory.strides, strict=True):
        given += [f"i64 {extent}", f"i64 {stride}"]
        if value.shape == VARYING:
            given.append(f"<{width} x {scalar_type(value.dtype)}> {value.text}")
        else:
            given += [f"i64 {access.scalar_index(value, value.text)}", f"i64 {value.shape.stride or 0}"]
    if action == "store":
        given.append(f"{element} {vector}")
    _define(access, element if action == "load" else "void", name, *_slow_function(access, action, element, field, index, apart))
    call = f"@{name}({', '.join(given)})"
    if action == "load":
        return w.emit(f"call {element} {call}")
    w.do(f"call void {call}")
    return ""


def _slow_function(
    access: MemoryAccess, action: str, element: str, field: Field, index: list[Lanes], apart: int
) -> tuple[str, list[str]]:  # fmt: skip
    """Parameters and body of the function that lays out an access (see ``targets.cpu_support`` for the layout)."""
    width, wide = access.width, f"<{access.width} x i64>"
    parameters = [_PLACE, "ptr %address"]
    body = [f"  %access = alloca [{3 + 5 * len(index)} x i64]", f"  %vector = alloca {element}, align 64"]

    def put(number: int, llvm_type: str, value: str) -> None:
        body.extend((f"  %w{number} = getelementptr i64, ptr %access, i64 {number}", f"  store {llvm_type} {value}, ptr %w{number}"))

    put(0, "ptr", "%address")
    put(1, "i64", str(len(index)))
    put(2, "i64", str(apart))
    for axis, value in enumerate(index):
        at = 3 + 5 * axis
        parameters += [f"i64 %extent{axis}", f"i64 %stride{axis}"]
        put(at, "i64", f"%extent{axis}")
        put(at + 1, "i64", f"%stride{axis}")
        if value.shape != VARYING:
            parameters += [f"i64 %first{axis}", f"i64 %step{axis}"]
            put(at + 2, "i64", f"%first{axis}")
            put(at + 3, "i64", f"%step{axis}")
            put(at + 4, "i64", "0")
            continue
        t = f"<{width} x {scalar_type(value.dtype)}>"
        parameters.append(f"{t} %lanes{axis}")
        listed = f"%lanes{axis}"
        if value.dtype.bits < 64:
            listed = f"%wide{axis}"
            body.append(f"  {listed} = sext {t} %lanes{axis} to {wide}")
        body += [f"  %list{axis} = alloca {wide}, align 64", f"  store {wide} {listed}, ptr %list{axis}, align 64"]
        put(at + 2, "i64", "0")
        put(at + 3, "i64", "0")
        put(at + 4, "ptr", f"%list{axis}")
    if action == "store":
        parameters.append(f"{element} %value")
    body.append(f"  store {element} {'%value' if action == 'store' else 'zeroinitializer'}, ptr %vector, align 64")
    body += _entry(access, f"slow_{action}_{field.dtype.itemsize}")
    call = "ptr %access, ptr %vector, i64 %lanes, ptr %error, i64 %block, i64 %thread, i64 %site"
    body.append(f"  call void %function({call})")
    body += [f"  %result = load {element}, ptr %vector, align 64", f"  ret {element} %result"] if action == "load" else ["  ret void"]
    return ", ".join(parameters), body
