"""Kernels whose barriers do not stand in control flow common to a block: each strip is a coroutine, each barrier a suspend point.

A block's strips are started one after the other and resumed in rounds until all are done. A barrier of the grid marks the strip as
waiting for it; when nothing else can go on in any block, all are released. Frames lie in the worker's arena.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anygpu.codegen.lanes import Lanes, Mask
from anygpu.dtypes import int32
from anygpu.ir.kernel import Barrier, walk
from anygpu.passes.uniformity import UNIFORM

if TYPE_CHECKING:
    from anygpu.codegen.targets.cpu import Emission

# Before a block's shared memory: three slots of votes that reducing barriers use in turn.
_SYNC_BYTES = 64


def emit_coroutine(e: Emission) -> int:
    """``run`` and ``arena_bytes`` for a kernel whose barriers must be suspend points; the bytes of static shared memory."""
    w = e.w
    module = e.module
    for signature in (
        "token @llvm.coro.id(i32, ptr, ptr, ptr)", "i64 @llvm.coro.size.i64()", "ptr @llvm.coro.begin(token, ptr)",
        "i8 @llvm.coro.suspend(token, i1)", "void @llvm.coro.end(ptr, i1, token)",
        "void @llvm.coro.resume(ptr)", "i1 @llvm.coro.done(ptr)",
    ):  # fmt: skip
        module.declare(signature)
    head = [
        "  %id = call token @llvm.coro.id(i32 64, ptr null, ptr null, ptr null)",
        "  %size = call i64 @llvm.coro.size.i64()",
        "  store i64 %size, ptr %size_out",
        "  %query = icmp eq ptr %frame, null",
        "  br i1 %query, label %refuse, label %begin",
        "refuse:",
        "  ret ptr null",
        "begin:",
        "  %handle = call ptr @llvm.coro.begin(token %id, ptr %frame)",
    ]
    loads: list[str] = []
    e.load_words(loads)
    shared = e.declare_arrays("%shared", e.options.width)
    e.sync_base = e.w.emit(f"getelementptr i8, ptr %shared, i64 -{_SYNC_BYTES}")
    mask = e.set_positions(("%bx", "%by", "%bz"), "%linear", "%strip_number")
    if any(isinstance(s, Barrier) and s.reduce for s in walk(e.kernel.body)):
        e.phase = w.alloca("i64")
        w.entry.append(f"  store i64 0, ptr {e.phase}")
    e.strip_body(e.kernel.body, mask)
    w.block(w.fresh("finish"))
    w.do("%last = call i8 @llvm.coro.suspend(token none, i1 true)")
    w.do("switch i8 %last, label %suspended [i8 0, label %suspended i8 1, label %suspended]")
    w.lines.append("suspended:")
    w.do("call void @llvm.coro.end(ptr %handle, i1 false, token none)")
    w.do("ret ptr %handle")
    parameters = "ptr %args, i64 %bx, i64 %by, i64 %bz, i64 %linear, i64 %strip_number, ptr %shared, ptr %frame, ptr %size_out, ptr %status"
    text = "\n".join(["entry:", *head, *loads, *w.entry, "  br label %start", "start:", *w.lines])
    module.definitions["@strip"] = f"define internal ptr @strip({parameters}) presplitcoroutine {{\n{text}\n}}"
    _emit_scheduler(e)
    return shared


def _emit_scheduler(e: Emission) -> None:
    """``arena_bytes(args, blocks)`` and ``run``: start every strip of a block, then resume them in rounds until all are done."""
    e.start_function()
    w = e.w
    e.load_words(w.entry)
    strips = e.strips_in_block()
    size_slot, status_probe = w.alloca("i64"), w.alloca("i8")
    null = ", ".join(["i64 0"] * 5)
    w.do(f"%probe = call ptr @strip(ptr %args, {null}, ptr null, ptr null, ptr {size_slot}, ptr {status_probe})")
    frame = e.round_up(w.emit(f"load i64, ptr {size_slot}"))
    static = e.static_shared_bytes() + _SYNC_BYTES
    shared_bytes = e.round_up(w.emit(f"add i64 {e.words['shared_bytes']}, {static}"))
    per_strip = w.emit(f"add i64 {frame}, 64")
    table = w.emit(f"mul i64 {strips}, {per_strip}")
    per_block = w.emit(f"add i64 {table}, {shared_bytes}")
    e.finish_function("i64 @arena_bytes(ptr %args)", f"ret i64 {per_block}")

    e.start_function()
    w = e.w
    e.load_words(w.entry)
    strips = e.strips_in_block()
    per_block = w.emit("call i64 @arena_bytes(ptr %args)")
    shared_bytes = e.round_up(w.emit(f"add i64 {e.words['shared_bytes']}, {static}"))
    # a block's place: shared memory (after the slots of votes), then for each strip a record of 64 bytes (handle, status) and its frame
    size_slot = w.alloca("i64")
    frame_bytes = w.emit(f"udiv i64 {w.emit(f'sub i64 {per_block}, {shared_bytes}')}, {strips}")
    record = w.emit(f"and i64 {frame_bytes}, -64")

    def place(block_index: str) -> str:
        return w.emit(f"getelementptr i8, ptr %arena, i64 {w.emit(f'mul i64 {block_index}, {per_block}')}")

    def record_of(base: str, number: str) -> str:
        records = w.emit(f"getelementptr i8, ptr {base}, i64 {shared_bytes}")
        return w.emit(f"getelementptr i8, ptr {records}, i64 {w.emit(f'mul i64 {number}, {record}')}")

    def start(linear: str, base: str) -> None:
        position = e.block_position(linear)
        for slot in range(0, _SYNC_BYTES, 8):
            w.do(f"store i64 0, ptr {w.emit(f'getelementptr i8, ptr {base}, i64 {slot}')}")
        shared = w.emit(f"getelementptr i8, ptr {base}, i64 {_SYNC_BYTES}")

        def begin(number: str) -> None:
            at = record_of(base, number)
            frame_address = w.emit(f"getelementptr i8, ptr {at}, i64 64")
            status = w.emit(f"getelementptr i8, ptr {at}, i64 8")
            w.do(f"store i8 0, ptr {status}")
            x, y, z = position
            place_words = f"i64 {x}, i64 {y}, i64 {z}, i64 {linear}, i64 {number}"
            handle = w.emit(f"call ptr @strip(ptr %args, {place_words}, ptr {shared}, ptr {frame_address}, ptr {size_slot}, ptr {status})")
            w.do(f"store ptr {handle}, ptr {at}")

        e.count(strips, "0", begin)

    def rounds(base: str, alive: str) -> None:
        """Resume the block's strips until each is done or waits for the grid."""
        again, check, out = w.fresh("round"), w.fresh("check"), w.fresh("round_end")
        ran = w.alloca("i1")
        w.block(again)
        w.do(f"store i1 false, ptr {ran}")

        def resume(number: str) -> None:
            at = record_of(base, number)
            handle = w.emit(f"load ptr, ptr {at}")
            done = w.emit(f"call i1 @llvm.coro.done(ptr {handle})")
            look, go, skip = w.fresh("look"), w.fresh("resume"), w.fresh("skip")
            w.branch_if(done, skip, look)
            w.block(look)
            w.do(f"store i1 true, ptr {alive}")
            waiting = w.emit(f"load i8, ptr {w.emit(f'getelementptr i8, ptr {at}, i64 8')}")
            w.branch_if(w.emit(f"icmp eq i8 {waiting}, 0"), go, skip)
            w.block(go)
            w.do(f"call void @llvm.coro.resume(ptr {handle})")
            w.do(f"store i1 true, ptr {ran}")
            w.branch(skip)
            w.block(skip)

        e.count(strips, "0", resume)
        w.block(check)
        w.branch_if(w.emit(f"load i1, ptr {ran}"), again, out)
        w.block(out)

    alive = w.alloca("i1")
    if not e.grid_barrier:

        def one(linear: str) -> None:
            start(linear, "%arena")
            rounds("%arena", alive)

        e.count("%end", "%begin", one)
    else:
        e.count("%end", "%begin", lambda linear: start(linear, place(w.emit(f"sub i64 {linear}, %begin"))))
        again, out = w.fresh("phase"), w.fresh("phases_end")
        w.block(again)
        w.do(f"store i1 false, ptr {alive}")
        e.count("%end", "%begin", lambda linear: rounds(place(w.emit(f"sub i64 {linear}, %begin")), alive))

        def release(linear: str) -> None:
            base = place(w.emit(f"sub i64 {linear}, %begin"))

            def clear(number: str) -> None:
                status = w.emit(f"getelementptr i8, ptr {record_of(base, number)}, i64 8")
                w.do(f"store i8 0, ptr {status}")

            e.count(strips, "0", clear)

        e.count("%end", "%begin", release)
        w.branch_if(w.emit(f"load i1, ptr {alive}"), again, out)
        w.block(out)
    e.finish_function("void @run(ptr %args, i64 %begin, i64 %end, ptr noalias %arena)", "ret void")


def emit_barrier(e: Emission, stmt: Barrier, mask: Mask) -> None:
    """Suspend the strip; the scheduler resumes it when all have arrived."""
    w = e.w
    slot = ""
    if stmt.reduce is not None and stmt.value is not None:
        slot = _contribute(e, stmt, mask)
    if stmt.scope == "grid":
        w.do("store i8 1, ptr %status")
    resumed = w.fresh("resumed")
    state = w.emit("call i8 @llvm.coro.suspend(token none, i1 false)")
    w.do(f"switch i8 {state}, label %suspended [i8 0, label %{resumed} i8 1, label %suspended]")
    w.terminated = True
    w.block(resumed)
    if slot and stmt.var is not None:
        _collect(e, stmt, slot, mask)


def _contribute(e: Emission, stmt: Barrier, mask: Mask) -> str:
    """Add this strip's votes to the block's slot of this phase and clear the next phase's; three slots take turns.

    A slot holds the number of votes for in its lower and of votes at all in its upper half.
    """
    w, values = e.w, e.values
    assert stmt.value is not None
    held = values.mask_bits(values.mask_and(mask, values.condition(stmt.value)))
    present = values.mask_bits(mask)
    width = e.options.width

    def count(bits: str) -> str:
        number = w.call(f"i{width}", f"llvm.ctpop.i{width}", f"i{width} {bits}", f"i{width}")
        return w.emit(f"zext i{width} {number} to i64")

    votes = w.emit(f"or i64 {count(held)}, {w.emit(f'shl i64 {count(present)}, 32')}")
    phase = w.emit(f"load i64, ptr {e.phase}")
    following = w.emit(f"urem i64 {w.emit(f'add i64 {phase}, 1')}, 3")
    w.do(f"store i64 {following}, ptr {e.phase}")
    w.do(f"store i64 0, ptr {w.emit(f'getelementptr i64, ptr {e.sync_base}, i64 {following}')}")
    slot = w.emit(f"getelementptr i64, ptr {e.sync_base}, i64 {phase}")
    before = w.emit(f"load i64, ptr {slot}")
    w.do(f"store i64 {w.emit(f'add i64 {before}, {votes}')}, ptr {slot}")
    return slot


def _collect(e: Emission, stmt: Barrier, slot: str, mask: Mask) -> None:
    w = e.w
    total = w.emit(f"load i64, ptr {slot}")
    held = w.emit(f"trunc i64 {total} to i32")
    present = w.emit(f"trunc i64 {w.emit(f'lshr i64 {total}, 32')} to i32")
    if stmt.reduce == "and":
        held = w.emit(f"zext i1 {w.emit(f'icmp eq i32 {held}, {present}')} to i32")
    elif stmt.reduce == "or":
        held = w.emit(f"zext i1 {w.emit(f'icmp ne i32 {held}, 0')} to i32")
    assert stmt.var is not None
    e.values.write(stmt.var, Lanes(int32, held, UNIFORM), mask)
