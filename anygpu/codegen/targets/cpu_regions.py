"""Emission of a block's program (``passes.regions``): between two barriers, a loop over the block's strips."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from anygpu.codegen.expr import type_text
from anygpu.codegen.lanes import Lanes, Mask
from anygpu.dtypes import bool_, int32, int64
from anygpu.ir.kernel import Barrier, Body, Const, If, Load, Ref, Var, assigned, operands, subexpressions, walk
from anygpu.passes.regions import BlockExit, BlockFor, BlockIf, BlockScope, BlockWhile, Once, Plan, Program, Region, Sync
from anygpu.passes.uniformity import UNIFORM, VARYING, Shape

if TYPE_CHECKING:
    from anygpu.codegen.targets.cpu import Emission


class _Regions:
    """Emits the block's program inside ``run``, one block after the other."""

    def __init__(self, emission: Emission, plan: Plan):
        self.emission = emission
        self.plan = plan
        self.w = emission.w
        self.values = emission.values
        self.width = emission.options.width
        self.ends: dict[str, str] = {}
        self.position = ("", "", "")
        self.linear = ""
        self.records = ""
        self.offsets: dict[str, int] = {}
        self.record_bytes = 0
        for var in plan.carried:
            if var.name.startswith(".guard."):
                self._mutable_shapes()[var.name] = VARYING
            size = self._size(var)
            self.offsets[var.name] = self.record_bytes
            self.record_bytes += (size + 63) & -64
        self.carried = {v.name: v for v in plan.carried}
        # A local array outlives the barriers between its uses, so each strip has its own, beside its variables.
        self.locals: dict[str, int] = {}
        for array in emission.kernel.declared:
            if array.space == "local":
                self.locals[array.name] = self.record_bytes
                self.record_bytes += (array.itemsize * math.prod(array.shape or ()) * self.width + 63) & -64

    def _mutable_shapes(self) -> dict[str, Shape]:
        shapes = self.values.shapes
        assert isinstance(shapes, dict)
        return shapes

    def _memory(self, var: Var) -> str:
        """The LLVM type that a carried variable has in memory: as in its stack slot."""
        shape = self.values.shapes.get(var.name, UNIFORM)
        if shape != VARYING:
            return type_text(var.dtype, 0) if var.dtype is not bool_ else "i1"
        return self.values.mask_memory if var.dtype is bool_ else type_text(var.dtype, self.width)

    def _size(self, var: Var) -> int:
        return self.width * max(var.dtype.itemsize, self.values.machine.mask_bits // 8)

    # ------------------------------------------------------------------------------------------------------------- regions

    def region(self, body: Body, guard: Var | None) -> None:
        """The loop over strips that runs a region."""
        emission, w, values = self.emission, self.w, self.values
        names = _mentioned(body, guard)
        carried = [v for name, v in self.carried.items() if name in names]
        changed = {v.name for s in walk(body) if (v := assigned(s)) is not None}
        statements: Body = (If(Ref(guard), body),) if guard is not None else body

        def strip(number: str, mask: Mask) -> None:
            emission.prepare()
            record = w.emit(f"getelementptr i8, ptr {self.records}, i64 {w.emit(f'mul i64 {number}, {self.record_bytes}')}")
            for name, offset in self.locals.items():
                address = w.emit(f"getelementptr i8, ptr {record}, i64 {offset}")
                emission.memories[name] = replace(emission.memories[name], address=address)
            for name in [n for n in values.slots if n not in self.plan.block]:
                del values.slots[name]
            values.initial = []
            for var in carried:
                memory = self._memory(var)
                slot = w.alloca(memory)
                place = w.emit(f"getelementptr i8, ptr {record}, i64 {self.offsets[var.name]}")
                w.do(f"store {memory} {w.emit(f'load {memory}, ptr {place}')}, ptr {slot}")
                values.slots[var.name] = slot
            start = len(w.lines)
            emission.spmd.regions = {}
            emission.spmd.body(statements, mask)
            if w.terminated:
                w.block(w.fresh("after"))
            w.lines[start:start] = values.initial
            values.initial = []
            for var in carried:
                if var.name in changed:
                    memory = self._memory(var)
                    place = w.emit(f"getelementptr i8, ptr {record}, i64 {self.offsets[var.name]}")
                    w.do(f"store {memory} {w.emit(f'load {memory}, ptr {values.slots[var.name]}')}, ptr {place}")

        emission.strips(self.linear, self.position, strip)

    def sync(self, barrier: Barrier, guard: Var | None) -> None:
        """A barrier needs no code, since each region ends for all strips before the next begins; a reducing one counts votes."""
        if barrier.reduce is None or barrier.var is None or barrier.value is None:
            return
        w, values, width = self.w, self.values, self.width
        held, present = w.alloca("i64"), w.alloca("i64")
        for slot in (held, present):
            w.do(f"store i64 0, ptr {slot}")
        vote = Var(f".vote.{w.fresh()}", bool_)
        self._mutable_shapes()[vote.name] = VARYING

        def count(slot: str, mask: str) -> None:
            bits = values.mask_bits(mask)
            number = w.call(f"i{width}", f"llvm.ctpop.i{width}", f"i{width} {bits}", f"i{width}")
            total = w.emit(f"add i64 {w.emit(f'load i64, ptr {slot}')}, {w.emit(f'zext i{width} {number} to i64')}")
            w.do(f"store i64 {total}, ptr {slot}")

        emission = self.emission
        names = _mentioned((barrier,), guard)
        carried = [v for name, v in self.carried.items() if name in names]

        def strip(number: str, mask: Mask) -> None:
            emission.prepare()
            record = w.emit(f"getelementptr i8, ptr {self.records}, i64 {w.emit(f'mul i64 {number}, {self.record_bytes}')}")
            for var in carried:
                values.slots[var.name] = w.emit(f"getelementptr i8, ptr {record}, i64 {self.offsets[var.name]}")
            here = mask
            if guard is not None:
                here = values.mask_and(here, values.mask_of(values.vector(values.read(guard))))
            assert barrier.value is not None
            count(held, values.mask_and(here, values.condition(barrier.value)))
            count(present, values.full(here))

        emission.strips(self.linear, self.position, strip)
        total, all_votes = w.emit(f"load i64, ptr {held}"), w.emit(f"load i64, ptr {present}")
        match barrier.reduce:
            case "count":
                result = w.emit(f"trunc i64 {total} to i32")
            case "and":
                result = w.emit(f"zext i1 {w.emit(f'icmp eq i64 {total}, {all_votes}')} to i32")
            case _:
                result = w.emit(f"zext i1 {w.emit(f'icmp ne i64 {total}, 0')} to i32")
        values.write(barrier.var, Lanes(int32, result, UNIFORM), None)

    # -------------------------------------------------------------------------------------------------------------- control

    def program(self, program: Program) -> None:
        for node in program:
            if self.w.terminated:
                return
            match node:
                case Region(body=body, guard=guard):
                    self.region(body, guard)
                case Sync(barrier=barrier, guard=guard):
                    self.sync(barrier, guard)
                case Once(stmt=stmt):
                    self.emission.first_thread = "0"
                    self.values.write(
                        stmt.var,
                        self.emission.memory.load(stmt, None) if isinstance(stmt, Load) else self.values.evaluate(stmt.value),
                        None,
                    )
                case BlockIf():
                    self.branch(node)
                case BlockFor():
                    self.counted_loop(node)
                case BlockWhile():
                    self.loop(node)
                case BlockScope(label=label, body=body):
                    end = self.w.fresh("scope_end")
                    self.ends[label] = end
                    self.program(body)
                    self.w.branch(end)
                    self.w.block(end)
                case BlockExit(label=label):
                    self.w.branch(self.ends[label])

    def branch(self, node: BlockIf) -> None:
        w = self.w
        then, orelse, end = w.fresh("then"), w.fresh("else"), w.fresh("endif")
        w.branch_if(self.values.evaluate(node.cond).text, then, orelse)
        for label, program in ((then, node.then), (orelse, node.orelse)):
            w.block(label)
            self.program(program)
            w.branch(end)
        w.block(end)

    def counted_loop(self, node: BlockFor) -> None:
        w, values = self.w, self.values
        start, stop, step = (values.evaluate(e) for e in (node.loop.start, node.loop.stop, node.loop.step))
        head, body, end = w.fresh("for"), w.fresh("turn"), w.fresh("endfor")
        unit = isinstance(node.loop.step, Const) and node.loop.step.value == 1
        rest, value = w.alloca("i64"), w.alloca("i64")
        if not unit:
            w.do(f"store i64 {self.emission.spmd.trips(0, start.text, stop.text, step)}, ptr {rest}")
        w.do(f"store i64 {start.text}, ptr {value}")
        w.block(head)
        now = w.emit(f"load i64, ptr {value}")
        left = "" if unit else w.emit(f"load i64, ptr {rest}")
        w.branch_if(w.emit(f"icmp slt i64 {now}, {stop.text}" if unit else f"icmp ne i64 {left}, 0"), body, end)
        w.block(body)
        values.write(node.loop.var, Lanes(int64, now, UNIFORM), None)
        self.program(node.body)
        if not w.terminated:
            w.do(f"store i64 {w.emit(f'add i64 {now}, {step.text}')}, ptr {value}")
            if not unit:
                w.do(f"store i64 {w.emit(f'sub i64 {left}, 1')}, ptr {rest}")
            w.do(f"br label %{head}, !llvm.loop !1")
            w.terminated = True
        w.block(end)

    def loop(self, node: BlockWhile) -> None:
        w = self.w
        head, body, end = w.fresh("while"), w.fresh("turn"), w.fresh("endwhile")
        w.block(head)
        self.program(node.before)
        if w.terminated:
            w.block(end)
            return
        w.branch_if(self.values.evaluate(node.cond).text, body, end)
        w.block(body)
        self.program(node.body)
        w.branch(head)
        w.block(end)

    def clear_carried(self) -> None:
        """Carried variables are zero when a block starts."""
        if not self.carried:
            return
        w = self.w

        def clear(number: str) -> None:
            record = w.emit(f"getelementptr i8, ptr {self.records}, i64 {w.emit(f'mul i64 {number}, {self.record_bytes}')}")
            w.do(f"call void @llvm.memset.p0.i64(ptr {record}, i8 0, i64 {self.record_bytes}, i1 false)")

        w.module.declare("void @llvm.memset.p0.i64(ptr, i8, i64, i1)")
        self.emission.count(self.emission.strips_in_block(), "0", clear)


def _mentioned(body: Body, guard: Var | None) -> set[str]:
    found = {guard.name} if guard is not None else set()
    for stmt in walk(body):
        var = assigned(stmt)
        if var is not None:
            found.add(var.name)
        for expr in operands(stmt):
            found |= {e.var.name for e in subexpressions(expr) if isinstance(e, Ref)}
    return found


def emit_regions(emission: Emission, plan: Plan) -> int:
    """``run`` for a kernel whose barriers the whole block passes together, and ``arena_bytes``; the bytes of static shared memory."""
    w, values = emission.w, emission.values
    emission.load_words(w.entry)
    shared = emission.declare_arrays("%arena", emission.options.width)
    values.parameters = {var.name: Lanes(var.dtype, text, UNIFORM) for var, text in emission.scalars}
    emitter = _Regions(emission, plan)
    shared_bytes = emission.round_up(w.emit(f"add i64 {emission.words['shared_bytes']}, {emission.static_shared_bytes()}"))
    emitter.records = w.emit(f"getelementptr i8, ptr %arena, i64 {shared_bytes}")

    def block(linear: str, position: tuple[str, str, str]) -> None:
        emitter.linear, emitter.position = linear, position
        emission.linear_block, emission.first_thread = linear, "0"
        emission.prepare()
        for axis in range(3):
            values.specials[("block", axis)] = Lanes(int64, position[axis], UNIFORM)
            values.specials[("block_dim", axis)] = Lanes(int64, emission.words[f"block_{'xyz'[axis]}"], UNIFORM)
            values.specials[("grid_dim", axis)] = Lanes(int64, emission.words[f"grid_{'xyz'[axis]}"], UNIFORM)
        emitter.clear_carried()
        start = len(w.lines)
        kept: list[str] = []
        for name in sorted(plan.block):
            var = emission.variable(name)
            values.initial = []
            values.slot(var)
            kept += values.initial
        values.initial = []
        emitter.program(plan.program)
        w.lines[start:start] = kept  # the block's variables are zero when it starts
        if w.terminated:
            w.block(w.fresh("block_end"))

    emission.blocks(block)
    w.do("ret void")
    definitions = emission.module.definitions
    definitions["@run"] = f"define void @run(ptr %args, i64 %begin, i64 %end, ptr noalias %arena) {{\n{w.body()}\n}}"
    emission.start_function()
    w = emission.w
    emission.load_words(w.entry)
    shared_bytes = emission.round_up(w.emit(f"add i64 {emission.words['shared_bytes']}, {emission.static_shared_bytes()}"))
    records = w.emit(f"mul i64 {emission.strips_in_block()}, {emitter.record_bytes}")
    total = w.emit(f"add i64 {shared_bytes}, {records}")
    emission.finish_function("i64 @arena_bytes(ptr %args)", f"ret i64 {total}")
    return shared
