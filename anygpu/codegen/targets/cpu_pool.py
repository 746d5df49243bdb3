"""The worker pool's native part: threads that wait in the kernel, not under the GIL, and share out the blocks of a launch.

``pool_start(state, index)`` starts the worker thread ``index``; ``pool_run(state, run, args, begin, end, chunk, arenas, stride)``
executes ``run(args, from, to, arena)`` over begin..end in chunks, on the caller's thread and on every worker that wakes in
time, and returns when all is done; it returns 1 without doing anything if another launch holds the pool.

On Linux the workers are kept off the core of the thread that launches. Woken there, a worker waits behind it for a time slice of some
milliseconds while another core idles; in virtual machines, whose idle cores look occupied to the scheduler, that is the rule: half of
the launches after a pause took twice the time.
"""

from __future__ import annotations

# The state, in 8-byte words (a cache line apart where threads contend): 0 busy, 8 next block, 16 generation,
# 24 membership (workers inside the job; bit 32 set: closed), 32.. the job: run, args, end, chunk, arenas, stride, 40 the core that the
# last launch came from, 41 the number of threads, 64 mutex, 96 condition, 104.. the cores allowed, a bit each; from 128 three words for
# each worker: this state's address, its index, its handle

POOL_IR = """
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_detach(PTHREAD)
declare i32 @pthread_mutex_init(ptr, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_init(ptr, ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_broadcast(ptr)
declare i32 @sched_yield()

define void @pool_init(ptr %state) {
  %mutex = getelementptr i64, ptr %state, i64 64
  %condition = getelementptr i64, ptr %state, i64 96
  %a = call i32 @pthread_mutex_init(ptr %mutex, ptr null)
  %b = call i32 @pthread_cond_init(ptr %condition, ptr null)
  %core = getelementptr i64, ptr %state, i64 40
  store i64 -1, ptr %core
  call void @find_cores(ptr %state)
  ret void
}

; Take chunks of the job until none is left.
define internal void @share(ptr %state, i64 %index) {
entry:
  %next.p = getelementptr i64, ptr %state, i64 8
  %job = getelementptr i64, ptr %state, i64 32
  %run = load ptr, ptr %job
  %args.p = getelementptr i64, ptr %job, i64 1
  %args = load ptr, ptr %args.p
  %end.p = getelementptr i64, ptr %job, i64 2
  %end = load i64, ptr %end.p
  %chunk.p = getelementptr i64, ptr %job, i64 3
  %chunk = load i64, ptr %chunk.p
  %arenas.p = getelementptr i64, ptr %job, i64 4
  %arenas = load ptr, ptr %arenas.p
  %stride.p = getelementptr i64, ptr %job, i64 5
  %stride = load i64, ptr %stride.p
  %offset = mul i64 %stride, %index
  %arena = getelementptr i8, ptr %arenas, i64 %offset
  br label %take
take:
  %begin = atomicrmw add ptr %next.p, i64 %chunk monotonic
  %more = icmp slt i64 %begin, %end
  br i1 %more, label %work, label %done
work:
  %limit = add i64 %begin, %chunk
  %inside = icmp slt i64 %limit, %end
  %stop = select i1 %inside, i64 %limit, i64 %end
  call void %run(ptr %args, i64 %begin, i64 %stop, ptr %arena)
  br label %take
done:
  ret void
}

define internal ptr @worker(ptr %start) {
entry:
  %state = load ptr, ptr %start
  %index.p = getelementptr i64, ptr %start, i64 1
  %index = load i64, ptr %index.p
  %generation.p = getelementptr i64, ptr %state, i64 16
  %members.p = getelementptr i64, ptr %state, i64 24
  %mutex = getelementptr i64, ptr %state, i64 64
  %condition = getelementptr i64, ptr %state, i64 96
  br label %idle
idle:
  %seen = phi i64 [ 0, %entry ], [ %now, %left ], [ %now, %late ]
  br label %spin
spin:
  ; look for a job for a few microseconds before sleeping: launches come in bursts
  %turn = phi i64 [ 0, %idle ], [ %turn.next, %again ]
  %current = load atomic i64, ptr %generation.p acquire, align 8
  %new = icmp ne i64 %current, %seen
  br i1 %new, label %join, label %again
again:
  PAUSE
  %turn.next = add i64 %turn, 1
  %tired = icmp ugt i64 %turn.next, SPINS
  br i1 %tired, label %sleep, label %spin
sleep:
  %l = call i32 @pthread_mutex_lock(ptr %mutex)
  br label %check
check:
  %asleep = load atomic i64, ptr %generation.p acquire, align 8
  %woken = icmp ne i64 %asleep, %seen
  br i1 %woken, label %unlock, label %wait
wait:
  %w = call i32 @pthread_cond_wait(ptr %condition, ptr %mutex)
  br label %check
unlock:
  %u = call i32 @pthread_mutex_unlock(ptr %mutex)
  br label %join
join:
  %now = load atomic i64, ptr %generation.p acquire, align 8
  %members = atomicrmw add ptr %members.p, i64 1 acq_rel
  %closed = icmp uge i64 %members, 4294967296
  br i1 %closed, label %late, label %enter
enter:
  call void @share(ptr %state, i64 %index)
  br label %left
left:
  %m = atomicrmw sub ptr %members.p, i64 1 acq_rel
  br label %idle
late:
  %m2 = atomicrmw sub ptr %members.p, i64 1 acq_rel
  br label %idle
}

define i32 @pool_start(ptr %state, i64 %index) {
  %word = mul i64 %index, 3
  %at = add i64 %word, 128
  %start = getelementptr i64, ptr %state, i64 %at
  store ptr %state, ptr %start
  %index.p = getelementptr i64, ptr %start, i64 1
  store i64 %index, ptr %index.p
  %thread = getelementptr i64, ptr %start, i64 2
  %failed = call i32 @pthread_create(ptr %thread, ptr null, ptr @worker, ptr %start)
  %bad = icmp ne i32 %failed, 0
  br i1 %bad, label %out, label %detach
detach:
  %id = load PTHREAD, ptr %thread
  %d = call i32 @pthread_detach(PTHREAD %id)
  %threads = add i64 %index, 1
  %threads.p = getelementptr i64, ptr %state, i64 41
  store i64 %threads, ptr %threads.p
  br label %out
out:
  ret i32 %failed
}

define i32 @pool_run(ptr %state, ptr %run, ptr %args, i64 %begin, i64 %end, i64 %chunk, ptr %arenas, i64 %stride) {
entry:
  %pair = cmpxchg ptr %state, i64 0, i64 1 acquire monotonic
  %free = extractvalue { i64, i1 } %pair, 1
  br i1 %free, label %fill, label %busy
busy:
  ret i32 1
fill:
  %next.p = getelementptr i64, ptr %state, i64 8
  %generation.p = getelementptr i64, ptr %state, i64 16
  %members.p = getelementptr i64, ptr %state, i64 24
  %mutex = getelementptr i64, ptr %state, i64 64
  %condition = getelementptr i64, ptr %state, i64 96
  %job = getelementptr i64, ptr %state, i64 32
  store ptr %run, ptr %job
  %args.p = getelementptr i64, ptr %job, i64 1
  store ptr %args, ptr %args.p
  %end.p = getelementptr i64, ptr %job, i64 2
  store i64 %end, ptr %end.p
  %chunk.p = getelementptr i64, ptr %job, i64 3
  store i64 %chunk, ptr %chunk.p
  %arenas.p = getelementptr i64, ptr %job, i64 4
  store ptr %arenas, ptr %arenas.p
  %stride.p = getelementptr i64, ptr %job, i64 5
  store i64 %stride, ptr %stride.p
  store atomic i64 %begin, ptr %next.p monotonic, align 8
  call void @keep_apart(ptr %state)
  ; open the job: clear the closed bit, keep the count of latecomers of the last one
  %opened = atomicrmw and ptr %members.p, i64 4294967295 acq_rel
  %l = call i32 @pthread_mutex_lock(ptr %mutex)
  %g = atomicrmw add ptr %generation.p, i64 1 release
  %u = call i32 @pthread_mutex_unlock(ptr %mutex)
  %b = call i32 @pthread_cond_broadcast(ptr %condition)
  call void @share(ptr %state, i64 0)
  %closing = atomicrmw or ptr %members.p, i64 4294967296 acq_rel
  br label %drain
drain:
  ; the last chunks are still being worked on
  %spins = phi i64 [ 0, %fill ], [ %spins.next, %wait ], [ %spins.next, %yield ]
  %members = load atomic i64, ptr %members.p acquire, align 8
  %inside = and i64 %members, 4294967295
  %empty = icmp eq i64 %inside, 0
  br i1 %empty, label %done, label %wait.some
wait.some:
  %spins.next = add i64 %spins, 1
  %long = icmp ugt i64 %spins.next, 2000
  br i1 %long, label %yield, label %wait
wait:
  PAUSE
  br label %drain
yield:
  %y = call i32 @sched_yield()
  br label %drain
done:
  store atomic i64 0, ptr %state release, align 8
  ret i32 0
}
"""

# Where a thread's cores cannot be chosen.
ANY_CORE_IR = """
define internal void @find_cores(ptr %state) {
  ret void
}

define internal void @keep_apart(ptr %state) {
  ret void
}
"""

LINUX_CORES_IR = """
declare i32 @sched_getcpu()
declare i32 @sched_getaffinity(i32, i64, ptr)
declare i32 @pthread_setaffinity_np(i64, i64, ptr)
declare i64 @llvm.ctpop.i64(i64)

; The cores that the process may use; none if there are more than 1024, which counts as too few for the threads.
define internal void @find_cores(ptr %state) {
  %cores = getelementptr i64, ptr %state, i64 104
  %f = call i32 @sched_getaffinity(i32 0, i64 128, ptr %cores)
  ret void
}

; Let the workers run on every core but this one, if there are cores enough and workers few: each costs half a microsecond.
define internal void @keep_apart(ptr %state) {
entry:
  %last.p = getelementptr i64, ptr %state, i64 40
  %last = load i64, ptr %last.p
  %core32 = call i32 @sched_getcpu()
  %core = sext i32 %core32 to i64
  %moved = icmp ne i64 %core, %last
  br i1 %moved, label %enough, label %out
enough:
  store i64 %core, ptr %last.p
  %cores = alloca [16 x i64]
  %allowed = getelementptr i64, ptr %state, i64 104
  %threads.p = getelementptr i64, ptr %state, i64 41
  %threads = load i64, ptr %threads.p
  br label %count
count:
  %word = phi i64 [ 0, %enough ], [ %word.next, %count ]
  %sum = phi i64 [ 0, %enough ], [ %sum.next, %count ]
  %from = getelementptr i64, ptr %allowed, i64 %word
  %bits = load i64, ptr %from
  %to = getelementptr i64, ptr %cores, i64 %word
  store i64 %bits, ptr %to
  %ones = call i64 @llvm.ctpop.i64(i64 %bits)
  %sum.next = add i64 %sum, %ones
  %word.next = add i64 %word, 1
  %counted = icmp eq i64 %word.next, 16
  br i1 %counted, label %decide, label %count
decide:
  %room = icmp uge i64 %sum.next, %threads
  %few = icmp ule i64 %threads, 16
  %known = icmp ult i64 %core, 1024
  %a = and i1 %room, %few
  %b = and i1 %a, %known
  br i1 %b, label %clear, label %out
clear:
  %home = lshr i64 %core, 6
  %home.p = getelementptr i64, ptr %cores, i64 %home
  %bit = and i64 %core, 63
  %one = shl i64 1, %bit
  %others = xor i64 %one, -1
  %before = load i64, ptr %home.p
  %after = and i64 %before, %others
  store i64 %after, ptr %home.p
  br label %workers
workers:
  %index = phi i64 [ 1, %clear ], [ %index.next, %move ]
  %left = icmp ult i64 %index, %threads
  br i1 %left, label %move, label %out
move:
  %place = mul i64 %index, 3
  %at = add i64 %place, 130
  %thread.p = getelementptr i64, ptr %state, i64 %at
  %thread = load i64, ptr %thread.p
  %s = call i32 @pthread_setaffinity_np(i64 %thread, i64 128, ptr %cores)
  %index.next = add i64 %index, 1
  br label %workers
out:
  ret void
}
"""


def waiting(triple: str) -> tuple[str, str]:
    """A hint to a processor that this is a waiting loop, and what declares it."""
    if triple.startswith("x86_64"):
        return "call void @llvm.x86.sse2.pause()", "declare void @llvm.x86.sse2.pause()\n"
    if triple.startswith(("aarch64", "arm64")):
        return "call void @llvm.aarch64.hint(i32 1)", "declare void @llvm.aarch64.hint(i32)\n"
    return "", ""


def pool_ir(triple: str, spins: int = 4000) -> str:
    """The pool's LLVM IR for a system with POSIX threads. ``spins`` is how long a worker looks for work before it sleeps."""
    pause, declaration = waiting(triple)
    handle = "ptr" if "darwin" in triple or "macos" in triple else "i64"
    cores = LINUX_CORES_IR if "linux" in triple and "android" not in triple else ANY_CORE_IR
    return f'target triple = "{triple}"\n{declaration}' + (POOL_IR + cores).replace("PAUSE", pause).replace("SPINS", str(spins)).replace(
        "PTHREAD", handle
    )
