"""Kernels in slices, in LLVM IR: a "kernel" whose block n runs some blocks of one kernel, then some of the next.

Its arguments are words: how many kernels there are, and for each its ``run``, its arguments, its blocks in a slice, and all of its blocks.
"""

SLICES_IR = """
define void @run(ptr %args, i64 %begin, i64 %end, ptr %arena) {
entry:
  %count = load i64, ptr %args
  %kernels = getelementptr i64, ptr %args, i64 1
  br label %slices
slices:
  %slice = phi i64 [ %begin, %entry ], [ %following, %next.slice ]
  %more = icmp slt i64 %slice, %end
  br i1 %more, label %kernel, label %done
kernel:
  %number = phi i64 [ 0, %slices ], [ %next, %run.it ]
  %left = icmp slt i64 %number, %count
  br i1 %left, label %run.it, label %next.slice
run.it:
  %first = mul i64 %number, 4
  %words = getelementptr i64, ptr %kernels, i64 %first
  %run = load ptr, ptr %words
  %given.p = getelementptr i64, ptr %words, i64 1
  %given = load ptr, ptr %given.p
  %size.p = getelementptr i64, ptr %words, i64 2
  %size = load i64, ptr %size.p
  %all.p = getelementptr i64, ptr %words, i64 3
  %all = load i64, ptr %all.p
  %from = mul i64 %slice, %size
  %to = add i64 %from, %size
  %inside = icmp slt i64 %to, %all
  %stop = select i1 %inside, i64 %to, i64 %all
  call void %run(ptr %given, i64 %from, i64 %stop, ptr %arena)
  %next = add i64 %number, 1
  br label %kernel
next.slice:
  %following = add i64 %slice, 1
  br label %slices
done:
  ret void
}
"""


def slices_ir(triple: str) -> str:
    """The module, for any system."""
    return SLICES_IR
