"""Native functions that every kernel on the CPU calls when something rare happens: an access out of bounds, a print.

They are compiled once for a machine and reached through a table of addresses in each launch's words, so that kernels
carry no copies of them. ``SUPPORT_TABLE`` gives the table's order; each is a cold path, made small rather than fast.
"""

from __future__ import annotations

ELEMENT_SIZES = (1, 2, 4, 8)
SUPPORT_TABLE = ("record_lanes", "print", *(f"slow_load_{n}" for n in ELEMENT_SIZES), *(f"slow_store_{n}" for n in ELEMENT_SIZES))

# An access that failed its fast test is described in 8-byte words: address, number of axes, bytes from lane to lane (local
# arrays keep lanes side by side), then for each axis its extent, byte stride, index in lane 0, step a lane, and the
# address of the lanes' indices (i64) or 0 if lane 0's index and the step give them.
DESCRIPTION_HEAD, DESCRIPTION_AXIS = 3, 5

# The error words: lock, count, block, work-item, site, number of indices, indices. The lowest block and work-item stays.
_RECORD = """
define internal void @record(ptr %error, i64 %block, i64 %thread, i64 %site, ptr %index, i64 %ndim) noinline {
  br label %lock
lock:
  %pair = cmpxchg ptr %error, i64 0, i64 1 acquire monotonic
  %got = extractvalue { i64, i1 } %pair, 1
  br i1 %got, label %held, label %lock
held:
  %count.p = getelementptr i64, ptr %error, i64 1
  %count = load i64, ptr %count.p
  %more = add i64 %count, 1
  store i64 %more, ptr %count.p
  %first = icmp eq i64 %count, 0
  %block.p = getelementptr i64, ptr %error, i64 2
  %thread.p = getelementptr i64, ptr %error, i64 3
  %best.block = load i64, ptr %block.p
  %best.thread = load i64, ptr %thread.p
  %lower.block = icmp slt i64 %block, %best.block
  %same.block = icmp eq i64 %block, %best.block
  %lower.thread = icmp slt i64 %thread, %best.thread
  %lower.in.block = and i1 %same.block, %lower.thread
  %lower = or i1 %lower.block, %lower.in.block
  %keep = or i1 %first, %lower
  br i1 %keep, label %write, label %unlock
write:
  store i64 %block, ptr %block.p
  store i64 %thread, ptr %thread.p
  %site.p = getelementptr i64, ptr %error, i64 4
  store i64 %site, ptr %site.p
  %ndim.p = getelementptr i64, ptr %error, i64 5
  store i64 %ndim, ptr %ndim.p
  br label %copy
copy:
  %n = phi i64 [ 0, %write ], [ %next, %item ]
  %again = icmp slt i64 %n, %ndim
  br i1 %again, label %item, label %unlock
item:
  %from = getelementptr i64, ptr %index, i64 %n
  %value = load i64, ptr %from
  %slot = add i64 %n, 6
  %to = getelementptr i64, ptr %error, i64 %slot
  store i64 %value, ptr %to
  %next = add i64 %n, 1
  br label %copy
unlock:
  store atomic i64 0, ptr %error release, align 8
  ret void
}

; The same report for each lane of a strip whose bit is set: an index that all share, or a failed assertion.
define void @record_lanes(ptr %error, i64 %block, i64 %thread, i64 %site, ptr %index, i64 %ndim, i64 %lanes) {
entry:
  br label %head
head:
  %left = phi i64 [ %lanes, %entry ], [ %rest, %lane ]
  %some = icmp ne i64 %left, 0
  br i1 %some, label %lane, label %done
lane:
  %number = call i64 @llvm.cttz.i64(i64 %left, i1 true)
  %less = sub i64 %left, 1
  %rest = and i64 %left, %less
  %at = add i64 %thread, %number
  call void @record(ptr %error, i64 %block, i64 %at, i64 %site, ptr %index, i64 %ndim)
  br label %head
done:
  ret void
}

; The print buffer: bytes used, capacity, records dropped, then records of site + 1, block, work-item and the values.
define void @print(ptr %buffer, i64 %block, i64 %thread, i64 %site, ptr %values, i64 %count) {
  %words = add i64 %count, 3
  %size = shl i64 %words, 3
  %offset = atomicrmw add ptr %buffer, i64 %size monotonic
  %end = add i64 %offset, %size
  %capacity.p = getelementptr i64, ptr %buffer, i64 1
  %capacity = load i64, ptr %capacity.p
  %fits = icmp ule i64 %end, %capacity
  br i1 %fits, label %write, label %drop
drop:
  %dropped.p = getelementptr i64, ptr %buffer, i64 2
  %ignored = atomicrmw add ptr %dropped.p, i64 1 monotonic
  ret void
write:
  %data = getelementptr i64, ptr %buffer, i64 3
  %at = getelementptr i8, ptr %data, i64 %offset
  %number = add i64 %site, 1
  store i64 %number, ptr %at
  %block.p = getelementptr i64, ptr %at, i64 1
  store i64 %block, ptr %block.p
  %thread.p = getelementptr i64, ptr %at, i64 2
  store i64 %thread, ptr %thread.p
  br label %copy
copy:
  %n = phi i64 [ 0, %write ], [ %next, %item ]
  %again = icmp slt i64 %n, %count
  br i1 %again, label %item, label %done
item:
  %from = getelementptr i64, ptr %values, i64 %n
  %value = load i64, ptr %from
  %slot = add i64 %n, 3
  %to = getelementptr i64, ptr %at, i64 %slot
  store i64 %value, ptr %to
  %next = add i64 %n, 1
  br label %copy
done:
  ret void
}

declare i64 @llvm.cttz.i64(i64, i1)
"""

# One lane after the other: compute its indices, then move its element between memory and the strip's vector, or report it.
_SLOW = """
define void @slow_ACTION_SIZE(ptr %access, ptr %vector, i64 %lanes, ptr %error, i64 %block, i64 %thread, i64 %site) {
entry:
  %indices = alloca [8 x i64]
  %address = load ptr, ptr %access
  %ndim.p = getelementptr i64, ptr %access, i64 1
  %ndim = load i64, ptr %ndim.p
  %apart.p = getelementptr i64, ptr %access, i64 2
  %apart = load i64, ptr %apart.p
  %axes = getelementptr i64, ptr %access, i64 3
  br label %head
head:
  %left = phi i64 [ %lanes, %entry ], [ %rest, %next.lane ]
  %some = icmp ne i64 %left, 0
  br i1 %some, label %lane, label %done
lane:
  %number = call i64 @llvm.cttz.i64(i64 %left, i1 true)
  %less = sub i64 %left, 1
  %rest = and i64 %left, %less
  %base = mul i64 %number, %apart
  br label %axis
axis:
  %k = phi i64 [ 0, %lane ], [ %k.next, %axis.end ]
  %ok = phi i1 [ true, %lane ], [ %ok.next, %axis.end ]
  %offset = phi i64 [ %base, %lane ], [ %offset.next, %axis.end ]
  %more = icmp slt i64 %k, %ndim
  br i1 %more, label %axis.one, label %moved
axis.one:
  %word = mul i64 %k, 5
  %extent.p = getelementptr i64, ptr %axes, i64 %word
  %extent = load i64, ptr %extent.p
  %stride.p = getelementptr i64, ptr %extent.p, i64 1
  %stride = load i64, ptr %stride.p
  %first.p = getelementptr i64, ptr %extent.p, i64 2
  %first = load i64, ptr %first.p
  %step.p = getelementptr i64, ptr %extent.p, i64 3
  %step = load i64, ptr %step.p
  %list.p = getelementptr i64, ptr %extent.p, i64 4
  %list = load ptr, ptr %list.p
  %affine = icmp eq ptr %list, null
  br i1 %affine, label %from.step, label %from.list
from.step:
  %scaled = mul i64 %number, %step
  %stepped = add i64 %first, %scaled
  br label %axis.end
from.list:
  %list.at = getelementptr i64, ptr %list, i64 %number
  %listed = load i64, ptr %list.at
  br label %axis.end
axis.end:
  %index = phi i64 [ %stepped, %from.step ], [ %listed, %from.list ]
  %index.p = getelementptr i64, ptr %indices, i64 %k
  store i64 %index, ptr %index.p
  %inside = icmp ult i64 %index, %extent
  %ok.next = and i1 %ok, %inside
  %distance = mul i64 %index, %stride
  %offset.next = add i64 %offset, %distance
  %k.next = add i64 %k, 1
  br label %axis
moved:
  br i1 %ok, label %move, label %report
move:
  %memory = getelementptr i8, ptr %address, i64 %offset
  %place = getelementptr TYPE, ptr %vector, i64 %number
  %element = load TYPE, ptr %FROM, align 1
  store TYPE %element, ptr %TO, align 1
  br label %next.lane
report:
  %at = add i64 %thread, %number
  call void @record(ptr %error, i64 %block, i64 %at, i64 %site, ptr %indices, i64 %ndim)
  br label %next.lane
next.lane:
  br label %head
done:
  ret void
}
"""


def support_ir(triple: str) -> str:
    """LLVM IR of the support functions."""
    text = [f'target triple = "{triple}"', _RECORD]
    for action, source, target in (("load", "memory", "place"), ("store", "place", "memory")):
        for size in ELEMENT_SIZES:
            body = _SLOW.replace("ACTION", action).replace("SIZE", str(size)).replace("TYPE", f"i{8 * size}")
            text.append(body.replace("%FROM", f"%{source}").replace("%TO", f"%{target}"))
    return "\n".join(text)


# The launch of a kernel on arguments like those of the launch before, without an instruction of Python: check each argument's type,
# pack the words, run. The specification, in 8-byte words: number of arguments; offsets of a tuple's size and items, of an array's
# fields and of a float's value; the types ndarray, float and int; PyLong_AsLongLongAndOverflow; run; blocks; arena; words; the
# error words; the first argument's word; PyEval_SaveThread or null, to keep the GIL; PyEval_RestoreThread; whether a launch is under
# way; then for each argument its kind (0 array, 1 float, 2 int, 3 float for a float32), dtype object, rank, flags and bytes of an element.
# Returns 0 when done, 1 if an argument differs and 3 if a launch is under way in another thread (nothing has happened then), 2 if the
# kernel reported an error: the launch then stays under way for good, so that words and error words can be read.
LAUNCH_SPECIFICATION = (
    "count", "tuple_size", "tuple_items", "array_fields", "float_value", "array_type", "float_type", "int_type", "int_value", "run",
    "blocks", "arena", "words", "error", "first", "save", "restore", "busy",
)  # fmt: skip
LAUNCH_ARGUMENT = 5  # words for each argument
LAUNCH_FLAGS = 0x501  # C-contiguous, aligned, writeable

_LAUNCH = """
define i64 @launch(ptr %spec, ptr %tuple) {
entry:
  %overflow = alloca i32
  %count = load i64, ptr %spec
COUNT_LOADS
  %size.p = getelementptr i8, ptr %tuple, i64 %tuple_size
  %size = load i64, ptr %size.p
  %same.size = icmp eq i64 %size, %count
  %items = getelementptr i8, ptr %tuple, i64 %tuple_items
  %kinds = getelementptr i64, ptr %spec, i64 HEAD
  %place.first = getelementptr i64, ptr %words, i64 %first
  %idle = icmp eq i64 %busy, 0
  br i1 %idle, label %start, label %under.way
start:
  br i1 %same.size, label %argument, label %differs
argument:
  %n = phi i64 [ 0, %start ], [ %n.next, %packed ]
  %place = phi ptr [ %place.first, %start ], [ %place.next, %packed ]
  %more = icmp slt i64 %n, %count
  br i1 %more, label %one, label %go
one:
  %object.p = getelementptr ptr, ptr %items, i64 %n
  %object = load ptr, ptr %object.p
  %type.p = getelementptr i8, ptr %object, i64 TYPE
  %type = load ptr, ptr %type.p
  %kind.p = getelementptr [ARGUMENT x i64], ptr %kinds, i64 %n
  %kind = load i64, ptr %kind.p
  switch i64 %kind, label %differs [ i64 0, label %array  i64 1, label %float  i64 2, label %int  i64 3, label %single ]
array:
  %is.array = icmp eq ptr %type, %array_type
  br i1 %is.array, label %array.fields, label %differs
array.fields:
  %fields = getelementptr i8, ptr %object, i64 %array_fields
  %ndim.p = getelementptr i8, ptr %fields, i64 8
  %ndim.32 = load i32, ptr %ndim.p
  %ndim = zext i32 %ndim.32 to i64
  %dims.p = getelementptr i8, ptr %fields, i64 16
  %dims = load ptr, ptr %dims.p
  %strides.p = getelementptr i8, ptr %fields, i64 24
  %strides = load ptr, ptr %strides.p
  %descr.p = getelementptr i8, ptr %fields, i64 40
  %descr = load i64, ptr %descr.p
  %flags.p = getelementptr i8, ptr %fields, i64 48
  %flags = load i32, ptr %flags.p
  %descr.want.p = getelementptr i64, ptr %kind.p, i64 1
  %descr.want = load i64, ptr %descr.want.p
  %ndim.want.p = getelementptr i64, ptr %kind.p, i64 2
  %ndim.want = load i64, ptr %ndim.want.p
  %flags.want.p = getelementptr i64, ptr %kind.p, i64 3
  %flags.want = load i64, ptr %flags.want.p
  %flags.some = and i32 %flags, FLAGS
  %flags.64 = zext i32 %flags.some to i64
  %same.descr = icmp eq i64 %descr, %descr.want
  %same.ndim = icmp eq i64 %ndim, %ndim.want
  %same.flags = icmp eq i64 %flags.64, %flags.want
  %same.a = and i1 %same.descr, %same.ndim
  %same.b = and i1 %same.a, %same.flags
  br i1 %same.b, label %array.pack, label %differs
array.pack:
  %data = load i64, ptr %fields
  store i64 %data, ptr %place
  %itemsize.p = getelementptr i64, ptr %kind.p, i64 4
  %itemsize = load i64, ptr %itemsize.p
  %extents = getelementptr i64, ptr %place, i64 1
  %steps = getelementptr i64, ptr %extents, i64 %ndim
  br label %axis
axis:
  %k = phi i64 [ 0, %array.pack ], [ %k.next, %axis.copy ]
  %bytes = phi i64 [ %itemsize, %array.pack ], [ %bytes.next, %axis.copy ]
  %axis.more = icmp slt i64 %k, %ndim
  br i1 %axis.more, label %axis.copy, label %array.done
axis.copy:
  %dim.p = getelementptr i64, ptr %dims, i64 %k
  %dim = load i64, ptr %dim.p
  %extent.p = getelementptr i64, ptr %extents, i64 %k
  store i64 %dim, ptr %extent.p
  %stride.p = getelementptr i64, ptr %strides, i64 %k
  %stride = load i64, ptr %stride.p
  %step.p = getelementptr i64, ptr %steps, i64 %k
  store i64 %stride, ptr %step.p
  ; a number below 2**31, so that no product leaves 64 bits
  %dim.small = icmp ult i64 %dim, 2147483648
  %product = mul i64 %bytes, %dim
  %product.small = icmp ult i64 %product, 2147483648
  %both.small = and i1 %dim.small, %product.small
  %bytes.next = select i1 %both.small, i64 %product, i64 2147483648
  %k.next = add i64 %k, 1
  br label %axis
array.done:
  %fits = icmp ult i64 %bytes, 2147483648
  %after.array = getelementptr i64, ptr %steps, i64 %ndim
  br i1 %fits, label %packed, label %differs
float:
  %is.float = icmp eq ptr %type, %float_type
  br i1 %is.float, label %float.pack, label %differs
float.pack:
  %value.p = getelementptr i8, ptr %object, i64 %float_value
  %value = load i64, ptr %value.p
  store i64 %value, ptr %place
  %after.float = getelementptr i64, ptr %place, i64 1
  br label %packed
single:
  %is.single = icmp eq ptr %type, %float_type
  br i1 %is.single, label %single.pack, label %differs
single.pack:
  %wide.p = getelementptr i8, ptr %object, i64 %float_value
  %wide = load double, ptr %wide.p
  %narrow = fptrunc double %wide to float
  store float %narrow, ptr %place
  %after.single = getelementptr i64, ptr %place, i64 1
  br label %packed
int:
  %is.int = icmp eq ptr %type, %int_type
  br i1 %is.int, label %int.pack, label %differs
int.pack:
  %number = call i64 %int_value(ptr %object, ptr %overflow)
  %overflowed = load i32, ptr %overflow
  %fits.64 = icmp eq i32 %overflowed, 0
  %low = trunc i64 %number to i32
  %back = sext i32 %low to i64
  %fits.32 = icmp eq i64 %back, %number
  %fits.int = and i1 %fits.64, %fits.32
  store i64 %number, ptr %place
  %after.int = getelementptr i64, ptr %place, i64 1
  br i1 %fits.int, label %packed, label %differs
packed:
  %place.next = phi ptr [ %after.array, %array.done ], [ %after.float, %float.pack ], [ %after.int, %int.pack ],
    [ %after.single, %single.pack ]
  %n.next = add i64 %n, 1
  br label %argument
go:
  %errors.p = getelementptr i64, ptr %error, i64 1
  store i64 0, ptr %errors.p
  store i64 1, ptr %busy.p
  %keep = icmp eq ptr %save, null
  br i1 %keep, label %go.held, label %go.free
go.held:
  call void %run(ptr %words, i64 0, i64 %blocks, ptr %arena)
  br label %ran
go.free:
  %state = call ptr %save()
  call void %run(ptr %words, i64 0, i64 %blocks, ptr %arena)
  call void %restore(ptr %state)
  br label %ran
ran:
  %errors = load i64, ptr %errors.p
  %clean = icmp eq i64 %errors, 0
  %still = select i1 %clean, i64 0, i64 1
  store i64 %still, ptr %busy.p
  %result = select i1 %clean, i64 0, i64 2
  ret i64 %result
under.way:
  ret i64 3
differs:
  ret i64 1
}
"""


def launch_ir(triple: str, type_offset: int) -> str:
    """LLVM IR of ``launch``; ``type_offset`` is where a Python object keeps its type."""
    pointers = ("array_type", "float_type", "int_type", "int_value", "run", "arena", "words", "error", "save", "restore")
    loads = []
    for n, name in enumerate(LAUNCH_SPECIFICATION[1:], 1):
        loads += [
            f"  %{name}.p = getelementptr i64, ptr %spec, i64 {n}",
            f"  %{name} = load {'ptr' if name in pointers else 'i64'}, ptr %{name}.p",
        ]
    text = (
        _LAUNCH.replace("COUNT_LOADS", "\n".join(loads)).replace("HEAD", str(len(LAUNCH_SPECIFICATION))).replace("TYPE", str(type_offset))
    )
    return f'target triple = "{triple}"\n' + text.replace("FLAGS", str(LAUNCH_FLAGS)).replace("ARGUMENT", str(LAUNCH_ARGUMENT))
