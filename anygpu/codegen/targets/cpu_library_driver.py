"""What every kernel's function in a CPU library calls: arguments into words, a variant, its launch, a report.

It is LLVM IR, so that the library needs no C compiler; all of it is cold next to a kernel.
"""

from __future__ import annotations

import re

from anygpu.codegen.targets.cpu import LAUNCH_WORDS
from anygpu.config import SHARED_LIMIT

MAXIMUM_BLOCK = 1024
RANGE_BLOCK = 256
GRID_BYTES = 1 << 30  # what the work-items of a launch that waits for the whole grid may keep, all at once
ERROR_BYTES = 31 * 8

# What a kernel's function returns.
OK, INDEX_ERROR, ASSERTION_FAILED, BAD_LAUNCH, BAD_ARGUMENT, NO_VARIANT, OUT_OF_MEMORY = range(7)

# A kernel is described by: its name, words of its parameters, number of variants, variants. A variant by: run, arena_bytes or null, bytes
# of static shared memory, axes of its range or 0, whether it wants small launches, what must divide the block's x extent, whether the
# block must be a line, the block's extents or 0, whether it waits for the whole grid, its sites. A site by: kind, file, line, column,
# function, array, message, number of indices, the word of the array's first extent or 0, its declared extents or null, bytes of an element
# in dynamic shared memory or 0.
VARIANT_WORDS, SITE_WORDS = 12, 11

_DRIVER = """
declare noalias ptr @malloc(i64)
declare void @free(ptr)
declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)
declare i64 @llvm.smin.i64(i64, i64)
declare i64 @llvm.umax.i64(i64, i64)
declare i64 @llvm.abs.i64(i64, i1)
declare { i64, i1 } @llvm.umul.with.overflow.i64(i64, i64)

; An argument that the kernel cannot take.
define weak_odr hidden void @anygpu__refuse(ptr %kernel, ptr %argument, ptr %error) noinline cold {
entry:
  %silent = icmp eq ptr %error, null
  br i1 %silent, label %done, label %tell
tell:
  call void @llvm.memset.p0.i64(ptr %error, i8 0, i64 ERROR_BYTES, i1 false)
  %name = load ptr, ptr %kernel
  %name.p = getelementptr i64, ptr %error, i64 24
  store ptr %name, ptr %name.p
  %array.p = getelementptr i64, ptr %error, i64 25
  store ptr %argument, ptr %array.p
  br label %done
done:
  ret void
}

; The words of an array argument: address, extents, strides. Returns 1 if it spans under 2**31 bytes, 0 if not, -1 if it cannot be taken.
; fixed: it must be C-contiguous.
define weak_odr hidden i64 @anygpu__array(ptr %array, i64 %ndim, i64 %itemsize, i64 %align, i64 %fixed, ptr %words) noinline {
entry:
  %absent = icmp eq ptr %array, null
  br i1 %absent, label %bad, label %fields
fields:
  %data = load i64, ptr %array
  %shape.p = getelementptr i64, ptr %array, i64 1
  %shape = load ptr, ptr %shape.p
  %strides.p = getelementptr i64, ptr %array, i64 2
  %strides = load ptr, ptr %strides.p
  store i64 %data, ptr %words
  %extents = getelementptr i64, ptr %words, i64 1
  %steps = getelementptr i64, ptr %extents, i64 %ndim
  %shapeless = icmp eq ptr %shape, null
  %has.axes = icmp ne i64 %ndim, 0
  %missing = and i1 %shapeless, %has.axes
  %packed = icmp eq ptr %strides, null
  %low.bits = sub i64 %align, 1
  br i1 %missing, label %bad, label %axis
axis:
  %k = phi i64 [ %ndim, %fields ], [ %axis.number, %next ]
  %step = phi i64 [ %itemsize, %fields ], [ %step.next, %next ]
  %span = phi i64 [ %itemsize, %fields ], [ %span.next, %next ]
  %bits = phi i64 [ %data, %fields ], [ %bits.next, %next ]
  %empty = phi i1 [ false, %fields ], [ %empty.next, %next ]
  %longest = phi i64 [ 0, %fields ], [ %longest.next, %next ]
  %more = icmp ne i64 %k, 0
  br i1 %more, label %one, label %ended
one:
  %axis.number = sub i64 %k, 1
  %extent.p = getelementptr i64, ptr %shape, i64 %axis.number
  %extent = load i64, ptr %extent.p
  %extent.to = getelementptr i64, ptr %extents, i64 %axis.number
  store i64 %extent, ptr %extent.to
  %negative = icmp slt i64 %extent, 0
  br i1 %negative, label %bad, label %stride.of
stride.of:
  br i1 %packed, label %measure, label %given
given:
  %stride.p = getelementptr i64, ptr %strides, i64 %axis.number
  %stride.given = load i64, ptr %stride.p
  br label %measure
measure:
  %stride = phi i64 [ %step, %stride.of ], [ %stride.given, %given ]
  %several = icmp sgt i64 %extent, 1
  %same = icmp eq i64 %stride, %step
  %is.fixed = icmp ne i64 %fixed, 0
  %differs = xor i1 %same, true
  %matters = and i1 %is.fixed, %several
  %strided = and i1 %matters, %differs
  br i1 %strided, label %bad, label %put
put:
  %stride.used = select i1 %is.fixed, i64 %step, i64 %stride
  %stride.to = getelementptr i64, ptr %steps, i64 %axis.number
  store i64 %stride.used, ptr %stride.to
  %stride.walked = select i1 %several, i64 %stride.used, i64 0
  %bits.next = or i64 %bits, %stride.walked
  %length = call i64 @llvm.abs.i64(i64 %stride.used, i1 false)
  %last.index = sub i64 %extent, 1
  %reach = select i1 %several, i64 %last.index, i64 0
  %distance.pair = call { i64, i1 } @llvm.umul.with.overflow.i64(i64 %length, i64 %reach)
  %distance = extractvalue { i64, i1 } %distance.pair, 0
  %distance.wraps = extractvalue { i64, i1 } %distance.pair, 1
  %span.next = add i64 %span, %distance
  %span.wraps = icmp ult i64 %span.next, %distance
  %none = icmp eq i64 %extent, 0
  %empty.next = or i1 %empty, %none
  %longest.next = call i64 @llvm.umax.i64(i64 %longest, i64 %extent)
  %factor = select i1 %none, i64 1, i64 %extent
  %step.pair = call { i64, i1 } @llvm.umul.with.overflow.i64(i64 %step, i64 %factor)
  %step.next = extractvalue { i64, i1 } %step.pair, 0
  %step.wraps = extractvalue { i64, i1 } %step.pair, 1
  %wraps.a = or i1 %distance.wraps, %span.wraps
  %wraps = or i1 %wraps.a, %step.wraps
  br i1 %wraps, label %bad, label %next
next:
  br label %axis
ended:
  %stray = and i64 %bits, %low.bits
  %aligned = icmp eq i64 %stray, 0
  %somewhere = icmp ne i64 %data, 0
  %readable = or i1 %empty, %somewhere
  %taken = and i1 %aligned, %readable
  %span.small = icmp ult i64 %span, 2147483648
  %span.none = or i1 %span.small, %empty
  %long.small = icmp ult i64 %longest, 2147483648
  %small = and i1 %span.none, %long.small
  %result = zext i1 %small to i64
  br i1 %taken, label %good, label %bad
good:
  ret i64 %result
bad:
  ret i64 -1
}

define weak_odr hidden i32 @anygpu__start(ptr %kernel, ptr %launch, ptr %words, i64 %small.arguments, ptr %error) noinline {
entry:
  %failures = alloca [16 x i64], align 16
  %printed = alloca [3 x i64], align 16
  %gx.p = alloca i64
  %gy.p = alloca i64
  %gz.p = alloca i64
  %small.p = alloca i1
  %wraps.p = alloca i1
  call void @anygpu__refuse(ptr %kernel, ptr null, ptr %error)
  store i1 false, ptr %wraps.p
  %small.given = icmp ne i64 %small.arguments, 0
  store i1 %small.given, ptr %small.p
  %parameter.words.p = getelementptr i64, ptr %kernel, i64 1
  %parameter.words = load i64, ptr %parameter.words.p
  %absent = icmp eq ptr %launch, null
  br i1 %absent, label %bad, label %kind
kind:
  %ndim.p = getelementptr i64, ptr %launch, i64 9
  %ndim = load i64, ptr %ndim.p
  %is.grid = icmp eq i64 %ndim, 0
  br i1 %is.grid, label %grid, label %range

; ---- a grid of blocks
grid:
  %g0 = load i64, ptr %launch
  %g1.p = getelementptr i64, ptr %launch, i64 1
  %g1 = load i64, ptr %g1.p
  %g2.p = getelementptr i64, ptr %launch, i64 2
  %g2 = load i64, ptr %g2.p
  store i64 %g0, ptr %gx.p
  store i64 %g1, ptr %gy.p
  store i64 %g2, ptr %gz.p
  %b0.p = getelementptr i64, ptr %launch, i64 3
  %b0 = load i64, ptr %b0.p
  %b1.p = getelementptr i64, ptr %launch, i64 4
  %b1 = load i64, ptr %b1.p
  %b2.p = getelementptr i64, ptr %launch, i64 5
  %b2 = load i64, ptr %b2.p
  %x.less = sub i64 %b0, 1
  %y.less = sub i64 %b1, 1
  %z.less = sub i64 %b2, 1
  %xy.less = or i64 %x.less, %y.less
  %any.less = or i64 %xy.less, %z.less
  %extents.fit = icmp ult i64 %any.less, MAXIMUM_BLOCK
  %bxy = mul i64 %b0, %b1
  %threads = mul i64 %bxy, %b2
  %threads.fit = icmp ule i64 %threads, MAXIMUM_BLOCK
  %block.fits = and i1 %extents.fit, %threads.fit
  br i1 %block.fits, label %counted, label %bad

; ---- a range: its last axis runs along x, the one before along y, all others along z
range:
  %several.axes = icmp ult i64 %ndim, 9
  br i1 %several.axes, label %range.start, label %bad
range.start:
  store i64 1, ptr %gy.p
  store i64 1, ptr %gz.p
  %shape = getelementptr i64, ptr %launch, i64 10
  %after = add i64 %parameter.words, HEADER
  %extents = getelementptr i64, ptr %words, i64 %after
  br label %axis
axis:
  %k = phi i64 [ 0, %range.start ], [ %k.next, %axis.done ]
  %axes.left = icmp ult i64 %k, %ndim
  br i1 %axes.left, label %axis.one, label %counted
axis.one:
  %extent.p = getelementptr i64, ptr %shape, i64 %k
  %extent = load i64, ptr %extent.p
  %extent.to = getelementptr i64, ptr %extents, i64 %k
  store i64 %extent, ptr %extent.to
  %negative = icmp slt i64 %extent, 0
  br i1 %negative, label %bad, label %axis.kind
axis.kind:
  %axis.small = icmp ult i64 %extent, 2147483648
  %small.before = load i1, ptr %small.p
  %small.after = and i1 %small.before, %axis.small
  store i1 %small.after, ptr %small.p
  %k.next = add i64 %k, 1
  %from.last = sub i64 %ndim, %k.next
  switch i64 %from.last, label %axis.z [ i64 0, label %axis.x  i64 1, label %axis.y ]
axis.x:
  %padded = add i64 %extent, ROUND_UP
  %across = lshr i64 %padded, RANGE_SHIFT
  store i64 %across, ptr %gx.p
  br label %axis.done
axis.y:
  store i64 %extent, ptr %gy.p
  br label %axis.done
axis.z:
  %z.before = load i64, ptr %gz.p
  %z.pair = call { i64, i1 } @llvm.umul.with.overflow.i64(i64 %z.before, i64 %extent)
  %z.after = extractvalue { i64, i1 } %z.pair, 0
  %z.wraps = extractvalue { i64, i1 } %z.pair, 1
  store i64 %z.after, ptr %gz.p
  %wraps.before = load i1, ptr %wraps.p
  %wraps.after = or i1 %wraps.before, %z.wraps
  store i1 %wraps.after, ptr %wraps.p
  br label %axis.done
axis.done:
  br label %axis

counted:
  %bx = phi i64 [ %b0, %grid ], [ RANGE_BLOCK, %axis ]
  %by = phi i64 [ %b1, %grid ], [ 1, %axis ]
  %bz = phi i64 [ %b2, %grid ], [ 1, %axis ]
  %gx = load i64, ptr %gx.p
  %gy = load i64, ptr %gy.p
  %gz = load i64, ptr %gz.p
  %g.some = or i64 %gx, %gy
  %g.all = or i64 %g.some, %gz
  %g.negative = icmp slt i64 %g.all, 0
  %gxy.pair = call { i64, i1 } @llvm.umul.with.overflow.i64(i64 %gx, i64 %gy)
  %gxy = extractvalue { i64, i1 } %gxy.pair, 0
  %gxy.wraps = extractvalue { i64, i1 } %gxy.pair, 1
  %blocks.pair = call { i64, i1 } @llvm.umul.with.overflow.i64(i64 %gxy, i64 %gz)
  %blocks = extractvalue { i64, i1 } %blocks.pair, 0
  %blocks.wraps = extractvalue { i64, i1 } %blocks.pair, 1
  %blocks.many = icmp ugt i64 %blocks, 4611686018427387904
  %range.wraps = load i1, ptr %wraps.p
  %bad.a = or i1 %g.negative, %gxy.wraps
  %bad.b = or i1 %blocks.wraps, %blocks.many
  %bad.c = or i1 %bad.a, %bad.b
  %bad.d = or i1 %bad.c, %range.wraps
  %shared.p = getelementptr i64, ptr %launch, i64 6
  %shared = load i64, ptr %shared.p
  %shared.much = icmp ugt i64 %shared, SHARED_LIMIT
  %bad.e = or i1 %bad.d, %shared.much
  %begin.p = getelementptr i64, ptr %launch, i64 7
  %begin = load i64, ptr %begin.p
  %end.p = getelementptr i64, ptr %launch, i64 8
  %end.given = load i64, ptr %end.p
  %end = call i64 @llvm.smin.i64(i64 %end.given, i64 %blocks)
  %begin.negative = icmp slt i64 %begin, 0
  %bad.f = or i1 %bad.e, %begin.negative
  br i1 %bad.f, label %bad, label %words.put
words.put:
  store i64 %gx, ptr %words
  %w1 = getelementptr i64, ptr %words, i64 1
  store i64 %gy, ptr %w1
  %w2 = getelementptr i64, ptr %words, i64 2
  store i64 %gz, ptr %w2
  %w3 = getelementptr i64, ptr %words, i64 3
  store i64 %bx, ptr %w3
  %w4 = getelementptr i64, ptr %words, i64 4
  store i64 %by, ptr %w4
  %w5 = getelementptr i64, ptr %words, i64 5
  store i64 %bz, ptr %w5
  %w6 = getelementptr i64, ptr %words, i64 6
  store ptr %failures, ptr %w6
  %w7 = getelementptr i64, ptr %words, i64 7
  store ptr %printed, ptr %w7
  %w8 = getelementptr i64, ptr %words, i64 8
  store i64 %shared, ptr %w8
  %w9 = getelementptr i64, ptr %words, i64 9
  store ptr @anygpu__support, ptr %w9
  ; positions fit in 32 bits along every axis: a block has at most 1024 work-items, so no product wraps that matters
  %gx.low = icmp ult i64 %gx, 2147483648
  %gy.low = icmp ult i64 %gy, 2147483648
  %gz.low = icmp ult i64 %gz, 2147483648
  %px = mul i64 %gx, %bx
  %py = mul i64 %gy, %by
  %pz = mul i64 %gz, %bz
  %px.low = icmp ult i64 %px, 2147483648
  %py.low = icmp ult i64 %py, 2147483648
  %pz.low = icmp ult i64 %pz, 2147483648
  %low.a = and i1 %gx.low, %gy.low
  %low.b = and i1 %low.a, %gz.low
  %low.c = and i1 %px.low, %py.low
  %low.d = and i1 %low.c, %pz.low
  %low.e = and i1 %low.b, %low.d
  %small.range = load i1, ptr %small.p
  %small = and i1 %small.range, %low.e
  %count.p = getelementptr i64, ptr %kernel, i64 2
  %count = load i64, ptr %count.p
  %variants.p = getelementptr i64, ptr %kernel, i64 3
  %variants = load ptr, ptr %variants.p
  br label %search

; ---- the first variant that suits the launch
search:
  %n = phi i64 [ 0, %words.put ], [ %n.next, %unfit ]
  %variants.left = icmp ult i64 %n, %count
  br i1 %variants.left, label %candidate, label %nothing
candidate:
  %variant = getelementptr [VARIANT_WORDS x i64], ptr %variants, i64 %n
  %v.ndim.p = getelementptr i64, ptr %variant, i64 3
  %v.ndim = load i64, ptr %v.ndim.p
  %ndim.same = icmp eq i64 %v.ndim, %ndim
  %v.small.p = getelementptr i64, ptr %variant, i64 4
  %v.small = load i64, ptr %v.small.p
  %v.any = icmp eq i64 %v.small, 0
  %size.fits = or i1 %v.any, %small
  %v.width.p = getelementptr i64, ptr %variant, i64 5
  %v.width = load i64, ptr %v.width.p
  %rest = urem i64 %bx, %v.width
  %divides = icmp eq i64 %rest, 0
  %v.line.p = getelementptr i64, ptr %variant, i64 6
  %v.line = load i64, ptr %v.line.p
  %any.form = icmp eq i64 %v.line, 0
  %yz = mul i64 %by, %bz
  %is.line = icmp eq i64 %yz, 1
  %line.fits = or i1 %any.form, %is.line
  %v.x.p = getelementptr i64, ptr %variant, i64 7
  %v.x = load i64, ptr %v.x.p
  %v.y.p = getelementptr i64, ptr %variant, i64 8
  %v.y = load i64, ptr %v.y.p
  %v.z.p = getelementptr i64, ptr %variant, i64 9
  %v.z = load i64, ptr %v.z.p
  %any.block = icmp eq i64 %v.x, 0
  %x.same = icmp eq i64 %v.x, %bx
  %y.same = icmp eq i64 %v.y, %by
  %z.same = icmp eq i64 %v.z, %bz
  %xy.same = and i1 %x.same, %y.same
  %block.same = and i1 %xy.same, %z.same
  %block.suits = or i1 %any.block, %block.same
  %fit.a = and i1 %ndim.same, %size.fits
  %fit.b = and i1 %divides, %line.fits
  %fit.c = and i1 %fit.a, %fit.b
  %fit = and i1 %fit.c, %block.suits
  br i1 %fit, label %found, label %unfit
unfit:
  %n.next = add i64 %n, 1
  br label %search
found:
  %idle = icmp sge i64 %begin, %end
  br i1 %idle, label %ok, label %together
together:
  %v.grid.p = getelementptr i64, ptr %variant, i64 10
  %v.grid = load i64, ptr %v.grid.p
  %apart = icmp eq i64 %v.grid, 0
  %from.first = icmp eq i64 %begin, 0
  %to.last = icmp eq i64 %end, %blocks
  %whole = and i1 %from.first, %to.last
  %allowed = or i1 %apart, %whole
  br i1 %allowed, label %arena, label %bad
arena:
  %arena.bytes.p = getelementptr i64, ptr %variant, i64 1
  %arena.bytes = load ptr, ptr %arena.bytes.p
  %plain = icmp eq ptr %arena.bytes, null
  br i1 %plain, label %arena.plain, label %arena.asked
arena.plain:
  %static.p = getelementptr i64, ptr %variant, i64 2
  %static = load i64, ptr %static.p
  %static.all = add i64 %static, %shared
  br label %room
arena.asked:
  %asked = call i64 %arena.bytes(ptr %words)
  %frames = select i1 %apart, i64 1, i64 %blocks
  %asked.pair = call { i64, i1 } @llvm.umul.with.overflow.i64(i64 %asked, i64 %frames)
  %asked.all = extractvalue { i64, i1 } %asked.pair, 0
  %asked.wraps = extractvalue { i64, i1 } %asked.pair, 1
  br i1 %asked.wraps, label %full, label %room
room:
  %size = phi i64 [ %static.all, %arena.plain ], [ %asked.all, %arena.asked ]
  %too.large = icmp ugt i64 %size, GRID_BYTES
  br i1 %too.large, label %full, label %take
take:
  %size.padded = add i64 %size, 64
  %memory = call ptr @malloc(i64 %size.padded)
  %refused = icmp eq ptr %memory, null
  br i1 %refused, label %full, label %go
go:
  call void @llvm.memset.p0.i64(ptr %failures, i8 0, i64 128, i1 false)
  call void @llvm.memset.p0.i64(ptr %printed, i8 0, i64 24, i1 false)
  %memory.number = ptrtoint ptr %memory to i64
  %memory.up = add i64 %memory.number, 63
  %memory.aligned = and i64 %memory.up, -64
  %memory.start = inttoptr i64 %memory.aligned to ptr
  %run = load ptr, ptr %variant
  call void %run(ptr %words, i64 %begin, i64 %end, ptr %memory.start)
  call void @free(ptr %memory)
  %failed.p = getelementptr i64, ptr %failures, i64 1
  %failed = load i64, ptr %failed.p
  %clean = icmp eq i64 %failed, 0
  br i1 %clean, label %ok, label %report

; ---- what went wrong, for the caller
report:
  %sites.p = getelementptr i64, ptr %variant, i64 11
  %sites = load ptr, ptr %sites.p
  %number.p = getelementptr i64, ptr %failures, i64 4
  %number = load i64, ptr %number.p
  %site = getelementptr [SITE_WORDS x i64], ptr %sites, i64 %number
  %site.kind = load i64, ptr %site
  %code = trunc i64 %site.kind to i32
  %silent = icmp eq ptr %error, null
  br i1 %silent, label %reported, label %tell
tell:
  store i64 %failed, ptr %error
  %at.block.p = getelementptr i64, ptr %failures, i64 2
  %at.block = load i64, ptr %at.block.p
  %at.thread.p = getelementptr i64, ptr %failures, i64 3
  %at.thread = load i64, ptr %at.thread.p
  %e.block = getelementptr i64, ptr %error, i64 1
  %e.thread = getelementptr i64, ptr %error, i64 4
  call void @anygpu__place(i64 %at.block, i64 %gx, i64 %gy, ptr %e.block)
  call void @anygpu__place(i64 %at.thread, i64 %bx, i64 %by, ptr %e.thread)
  %axes.p = getelementptr i64, ptr %failures, i64 5
  %axes = load i64, ptr %axes.p
  %e.ndim = getelementptr i64, ptr %error, i64 7
  store i64 %axes, ptr %e.ndim
COPIES
  %s.word.p = getelementptr i64, ptr %site, i64 8
  %s.word = load i64, ptr %s.word.p
  %s.shape = getelementptr i64, ptr %words, i64 %s.word
  %s.declared.p = getelementptr i64, ptr %site, i64 9
  %s.declared = load ptr, ptr %s.declared.p
  %s.item.p = getelementptr i64, ptr %site, i64 10
  %s.item = load i64, ptr %s.item.p
  %s.parameter = icmp ne i64 %s.word, 0
  %s.from = select i1 %s.parameter, ptr %s.shape, ptr %s.declared
  %s.unknown = icmp eq ptr %s.from, null
  %e.index = getelementptr i64, ptr %error, i64 8
  %e.shape = getelementptr i64, ptr %error, i64 16
  %s.index = getelementptr i64, ptr %failures, i64 6
  %s.dynamic = icmp ne i64 %s.item, 0
  %s.divisor = select i1 %s.dynamic, i64 %s.item, i64 1
  %s.length = udiv i64 %shared, %s.divisor
  br label %index
index:
  %i = phi i64 [ 0, %tell ], [ %i.next, %index.end ]
  %i.left = icmp ult i64 %i, %axes
  br i1 %i.left, label %index.one, label %reported
index.one:
  %i.from = getelementptr i64, ptr %s.index, i64 %i
  %i.value = load i64, ptr %i.from
  %i.to = getelementptr i64, ptr %e.index, i64 %i
  store i64 %i.value, ptr %i.to
  br i1 %s.unknown, label %index.end.shared, label %index.shape
index.shape:
  %i.extent.p = getelementptr i64, ptr %s.from, i64 %i
  %i.extent.read = load i64, ptr %i.extent.p
  br label %index.end
index.end.shared:
  br label %index.end
index.end:
  %i.extent = phi i64 [ %i.extent.read, %index.shape ], [ %s.length, %index.end.shared ]
  %i.shape.to = getelementptr i64, ptr %e.shape, i64 %i
  store i64 %i.extent, ptr %i.shape.to
  %i.next = add i64 %i, 1
  br label %index
reported:
  ret i32 %code
ok:
  ret i32 0
bad:
  ret i32 BAD_LAUNCH
nothing:
  ret i32 NO_VARIANT
full:
  ret i32 OUT_OF_MEMORY
}

define weak_odr hidden void @anygpu__place(i64 %linear, i64 %x, i64 %y, ptr %to) {
  %at.x = urem i64 %linear, %x
  %rest = udiv i64 %linear, %x
  %at.y = urem i64 %rest, %y
  %at.z = udiv i64 %rest, %y
  store i64 %at.x, ptr %to
  %to.y = getelementptr i64, ptr %to, i64 1
  store i64 %at.y, ptr %to.y
  %to.z = getelementptr i64, ptr %to, i64 2
  store i64 %at.z, ptr %to.z
  ret void
}
"""

# Of a site, the words that an error shows as they are: the site's word, the error's word.
_SHOWN = ((5, 25), (6, 26), (1, 27), (2, 28), (3, 29), (4, 30))


def driver_ir() -> str:
    """LLVM IR of the functions ``anygpu__start``, ``anygpu__array`` and ``anygpu__refuse``."""
    copies = []
    for n, (source, target) in enumerate(_SHOWN):
        copies += [
            f"  %c{n}.from = getelementptr i64, ptr %site, i64 {source}", f"  %c{n} = load i64, ptr %c{n}.from",
            f"  %c{n}.to = getelementptr i64, ptr %error, i64 {target}", f"  store i64 %c{n}, ptr %c{n}.to",
        ]  # fmt: skip
    values = {
        "COPIES": "\n".join(copies), "ERROR_BYTES": ERROR_BYTES, "MAXIMUM_BLOCK": MAXIMUM_BLOCK, "HEADER": len(LAUNCH_WORDS),
        "ROUND_UP": RANGE_BLOCK - 1, "RANGE_SHIFT": RANGE_BLOCK.bit_length() - 1, "RANGE_BLOCK": RANGE_BLOCK, "SHARED_LIMIT": SHARED_LIMIT,
        "VARIANT_WORDS": VARIANT_WORDS, "SITE_WORDS": SITE_WORDS, "GRID_BYTES": GRID_BYTES, "BAD_LAUNCH": BAD_LAUNCH,
        "NO_VARIANT": NO_VARIANT, "OUT_OF_MEMORY": OUT_OF_MEMORY,
    }  # fmt: skip
    return re.sub("|".join(rf"\b{name}\b" for name in values), lambda match: str(values[match[0]]), _DRIVER)
