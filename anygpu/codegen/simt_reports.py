"""Functions of a device module that record what goes wrong and what is printed, without locks.

A lock would hang devices whose lanes go in step. So a failure bumps a count, competes for being the earliest with an atomic maximum
and, if it is, appends a record of its own; the host finds the earliest among the few records (``device.decode_failure``).
"""

from __future__ import annotations

from anygpu.codegen.device import ERROR_RECORDS, PRINT_HEADER, RECORD_WORDS, DeviceWriter, Target
from anygpu.codegen.llvm import Module

_REPORT = """
define internal void @report.{count}({G} %error, i64 %block, i64 %thread, i64 %threads, i64 %site{parameters}) #0 {{
entry:
  %counted = atomicrmw add {G} %error, i32 1 {scope} monotonic
  %base = mul i64 %block, %threads
  %number = add i64 %base, %thread
  %fits32 = icmp ult i64 %number, 4294967294
  %clipped = select i1 %fits32, i64 %number, i64 4294967294
  %low = trunc i64 %clipped to i32
  %order = xor i32 %low, -1
  %best = getelementptr i32, {G} %error, i64 1
  %before = atomicrmw umax {G} %best, i32 %order {scope} monotonic
  %earliest = icmp ugt i32 %order, %before
  br i1 %earliest, label %claim, label %done
claim:
  %used = getelementptr i32, {G} %error, i64 2
  %slot = atomicrmw add {G} %used, i32 1 {scope} monotonic
  %room = icmp ult i32 %slot, {records}
  br i1 %room, label %write, label %done
write:
  %wide = zext i32 %slot to i64
  %offset = mul i64 %wide, {bytes}
  %after = add i64 %offset, 16
  %record = getelementptr i8, {G} %error, i64 %after
{stores}
  br label %done
done:
  ret void
}}
"""

_PRINT = """
define internal void @print.{count}({G} %buffer, i64 %block, i64 %thread, i64 %site{parameters}) #0 {{
entry:
  %capacity.p = getelementptr i64, {G} %buffer, i64 1
  %capacity = load i64, {G} %capacity.p
  %used = load atomic i32, {G} %buffer {scope} monotonic, align 8
  %used.wide = zext i32 %used to i64
  %open = icmp ult i64 %used.wide, %capacity
  br i1 %open, label %claim, label %drop
claim:
  %offset.32 = atomicrmw add {G} %buffer, i32 {bytes} {scope} monotonic
  %offset = zext i32 %offset.32 to i64
  %end = add i64 %offset, {bytes}
  %room = icmp ule i64 %end, %capacity
  br i1 %room, label %write, label %drop
drop:
  %dropped = getelementptr i64, {G} %buffer, i64 2
  %counted = atomicrmw add {G} %dropped, i32 1 {scope} monotonic
  br label %done
write:
  %after = add i64 %offset, {header}
  %record = getelementptr i8, {G} %buffer, i64 %after
{stores}
  br label %done
done:
  ret void
}}
"""


def _stores(target: Target, values: list[str]) -> str:
    pointer = target.pointer("global")
    lines = []
    for n, value in enumerate(values):
        lines.append(f"  %field.{n} = getelementptr i64, {pointer} %record, i64 {n}")
        lines.append(f"  store i64 {value}, {pointer} %field.{n}")
    return "\n".join(lines)


def report_function(module: Module, target: Target, count: int) -> str:
    """The function that records a failure with ``count`` indices: (error slot, block, work-item, work-items of a block, site, indices)."""
    name = f"@report.{count}"
    if name not in module.definitions:
        indices = [f"%index.{n}" for n in range(count)]
        module.definitions[name] = _REPORT.format(
            count=count, G=target.pointer("global"), scope=target.scope("grid"),
            records=ERROR_RECORDS, bytes=RECORD_WORDS * 8,
            parameters="".join(f", i64 {i}" for i in indices),
            stores=_stores(target, ["%block", "%thread", "%site", str(count), *indices]),
        )  # fmt: skip
    return name


def site_function(module: Module, target: Target, count: int) -> str:
    """The same for targets whose ``positions_anywhere``: (error slot, site, indices), since each argument costs the kernel registers."""
    name = f"@report.site.{count}"
    if name not in module.definitions:
        w = DeviceWriter(module, target.stack)
        w.block("start")
        (x, y, z), (nx, ny, nz) = ([target.position(w, "thread", n) for n in range(3)], [target.extent(w, "block", n) for n in range(3)])
        thread = _number(w, x, y, z, nx, ny)
        x, y, z = (target.position(w, "block", n) for n in range(3))
        block = _number(w, x, y, z, target.extent(w, "grid", 0), target.extent(w, "grid", 1))
        threads = w.emit(f"mul i64 {w.emit(f'mul i64 {nx}, {ny}')}, {nz}")
        site = w.emit("zext i32 %site to i64")
        pointer, indices = target.pointer("global"), "".join(f", i64 %index.{n}" for n in range(count))
        inner = report_function(module, target, count)
        w.do(f"call void {inner}({pointer} %error, i64 {block}, i64 {thread}, i64 {threads}, i64 {site}{indices})")
        lines = "\n".join(w.lines[1:])
        module.definitions[name] = f"define internal void {name}({pointer} %error, i32 %site{indices}) #0 {{\n{lines}\n  ret void\n}}\n"
        module.definitions[inner] = module.definitions[inner].replace("#0", "alwaysinline", 1)
    return name


def _number(w: DeviceWriter, x: str, y: str, z: str, width: str, height: str) -> str:
    row = w.emit(f"add i64 {y}, {w.emit(f'mul i64 {z}, {height}')}")
    return w.emit(f"add i64 {x}, {w.emit(f'mul i64 {row}, {width}')}")


def print_function(module: Module, target: Target, count: int) -> str:
    """The function that appends a line of ``count`` values: (print buffer, block, work-item, site, values).

    The counters are 64 bits wide for the host; their low halves suffice, since nothing is claimed once the buffer is full.
    """
    name = f"@print.{count}"
    if name not in module.definitions:
        values = [f"%value.{n}" for n in range(count)]
        module.definitions[name] = _PRINT.format(
            count=count, G=target.pointer("global"), scope=target.scope("grid"),
            bytes=(3 + count) * 8, header=PRINT_HEADER,
            parameters="".join(f", i64 {v}" for v in values),
            stores=_stores(target, ["%number", "%block", "%thread", *values]).replace(
                "  %field.0", "  %number = add i64 %site, 1\n  %field.0", 1
            ),
        )  # fmt: skip
    return name
