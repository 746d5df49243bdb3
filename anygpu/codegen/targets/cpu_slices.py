"""Kernels in slices, in LLVM IR: a "kernel" whose block n runs some blocks of one kernel, then some of the next.

Its arguments are words: how many kernels there are, the address of a word that says which slice's turn it is, and for each kernel its
``run``, its arguments, its blocks in a slice, all of its blocks, and whether its slices run in order. A thread that comes to such a kernel
waits until those before are done with it: they have been taken by threads that run, since slices are taken in order, one at a time.
"""

from anygpu.codegen.targets.cpu_pool import waiting

SLICES_IR = """
declare i32 @sched_yield()

define void @run(ptr %args, i64 %begin, i64 %end, ptr %arena) {
entry:
  %count = load i64, ptr %args
  %turn.p = getelementptr i64, ptr %args, i64 1
  %turn = load ptr, ptr %turn.p
  %kernels = getelementptr i64, ptr %args, i64 2
  br label %slices
slices:
  %slice = phi i64 [ %begin, %entry ], [ %following, %next.slice ]
  %more = icmp slt i64 %slice, %end
  br i1 %more, label %kernel, label %done
kernel:
  %number = phi i64 [ 0, %slices ], [ %next, %ran ]
  %left = icmp slt i64 %number, %count
  br i1 %left, label %prepare, label %next.slice
prepare:
  %first = mul i64 %number, 5
  %words = getelementptr i64, ptr %kernels, i64 %first
  %run = load ptr, ptr %words
  %given.p = getelementptr i64, ptr %words, i64 1
  %given = load ptr, ptr %given.p
  %size.p = getelementptr i64, ptr %words, i64 2
  %size = load i64, ptr %size.p
  %all.p = getelementptr i64, ptr %words, i64 3
  %all = load i64, ptr %all.p
  %ordered.p = getelementptr i64, ptr %words, i64 4
  %ordered = load i64, ptr %ordered.p
  %from = mul i64 %slice, %size
  %to = add i64 %from, %size
  %inside = icmp slt i64 %to, %all
  %stop = select i1 %inside, i64 %to, i64 %all
  %waits = icmp ne i64 %ordered, 0
  br i1 %waits, label %wait, label %go
wait:
  %spins = phi i64 [ 0, %prepare ], [ %spins.next, %again ]
  %now = load atomic i64, ptr %turn acquire, align 8
  %ours = icmp eq i64 %now, %slice
  br i1 %ours, label %go, label %longer
longer:
  %spins.next = add i64 %spins, 1
  %long = icmp ugt i64 %spins.next, 2000
  br i1 %long, label %yield, label %again
yield:
  %y = call i32 @sched_yield()
  br label %again
again:
  PAUSE
  br label %wait
go:
  call void %run(ptr %given, i64 %from, i64 %stop, ptr %arena)
  br i1 %waits, label %pass, label %ran
pass:
  %after = add i64 %slice, 1
  store atomic i64 %after, ptr %turn release, align 8
  br label %ran
ran:
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
    """The module for a system with POSIX threads."""
    pause, declaration = waiting(triple)
    return declaration + SLICES_IR.replace("PAUSE", pause)
