"""Statements for CPUs: a strip of lanes runs each statement at once, under a mask where control flow has diverged.

Where all lanes are known to be active the mask is ``None`` and code is emitted without it. A branch on a condition that
differs across lanes is emitted three ways if it guards anything worth it: all lanes (no mask), some (masked), none. So a
guard such as ``if i < n`` costs one scalar comparison a strip.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from anygpu.codegen.lanes import ZERO, Lanes, LaneValues, Mask
from anygpu.codegen.spmd_copies import begin_copies, end_copies
from anygpu.codegen.spmd_memory import MemoryAccess
from anygpu.codegen.spmd_rare import by_lanes, is_rare
from anygpu.codegen.spmd_slow import report
from anygpu.codegen.spmd_warp import warp_operation
from anygpu.dtypes import int64
from anygpu.errors import Site
from anygpu.ir.kernel import (
    Assert,
    Assign,
    Atomic,
    Barrier,
    Block,
    Body,
    Const,
    Exit,
    Fence,
    For,
    If,
    Kernel,
    Load,
    Op,
    Prefetch,
    Print,
    Stmt,
    Store,
    WarpOp,
    While,
    children,
    operands,
    subexpressions,
    walk,
)  # fmt: skip
from anygpu.ir.ops import is_expanded
from anygpu.passes.uniformity import UNIFORM, VARYING


class _Dead:
    """The mask of code that is never reached: every path has jumped away."""


DEAD = _Dead()
_ROOM_FOR_COPIES = 4000  # instructions; LLVM's time grows faster than a function does
After = Mask | _Dead
BarrierEmitter = Callable[[Barrier, Mask], None]


@dataclass
class Region:
    """A Block being emitted: where its end is, the lanes that have left for it, and whether any did."""

    end: str
    left: str
    entry: Mask
    partial: bool = False
    jumped: bool = False


def exits(body: Body) -> frozenset[str]:
    """Labels outside ``body`` that something inside leaves for."""
    inner = {s.label for s in walk(body) if isinstance(s, Block)}
    return frozenset(s.label for s in walk(body) if isinstance(s, Exit)) - inner


class Spmd:
    """Emits the statements of one kernel for one strip of lanes."""

    def __init__(
        self,
        kernel: Kernel,
        values: LaneValues,
        memory: MemoryAccess,
        barrier: BarrierEmitter,
        emit_print: Callable[[int, str, str, int], None],
    ):
        self.kernel = kernel
        self.values = values
        self.memory = memory
        self.w = values.w
        self.emit_barrier = barrier
        self.emit_print = emit_print
        self.regions: dict[str, Region] = {}
        self.copies = 0

    # ------------------------------------------------------------------------------------------------------------- statements

    def body(self, body: Body, mask: Mask) -> After:
        """Emit statements; the mask of the lanes that reach their end."""
        after: After = mask
        for stmt in body:
            if isinstance(after, _Dead):
                return DEAD
            after = self.statement(stmt, after)
        return after

    def statement(self, stmt: Stmt, mask: Mask) -> After:
        match stmt:
            case Assign(var=var, value=value):
                self.values.write(var, self.values.evaluate(value), mask)
            case Load(var=var):
                self.values.write(var, self.memory.load(stmt, mask), mask)
            case Store():
                self.memory.store(stmt, mask)
            case Prefetch(masked=masked):
                if mask is not None or not masked:
                    self.memory.prefetch(stmt)
            case Atomic(var=var):
                old = self.memory.atomic(stmt, mask)
                if old is not None and var is not None:
                    self.values.write(var, old, mask)
            case WarpOp(var=var):
                self.values.write(var, warp_operation(self.values, self.memory, stmt, mask), mask)
            case Barrier():
                self.emit_barrier(stmt, mask)
            case Fence(scope=scope):
                self.w.do("fence seq_cst" if scope == "grid" else 'fence syncscope("singlethread") seq_cst')
            case If():
                return self.branch(stmt, mask)
            case For():
                return self.counted_loop(stmt, mask)
            case While():
                return self.loop(stmt, mask)
            case Block():
                return self.region(stmt, mask)
            case Exit(label=label):
                return self.leave(label, mask)
            case Print():
                self.print(stmt, mask)
            case Assert():
                self.check(stmt, mask)
        return mask

    # ------------------------------------------------------------------------------------------------------------------ jumps

    def leave(self, label: str, mask: Mask) -> After:
        region = self.regions[label]
        if mask is None:  # every lane goes: a real jump
            region.jumped = True
            self.values.store_mask(region.left, None)
            self.w.branch(region.end)
            return DEAD
        region.partial = True
        self.values.store_mask(region.left, self.values.mask_or(self.values.load_mask(region.left), mask))
        return ZERO

    def region(self, stmt: Block, mask: Mask) -> After:
        w = self.w
        region = Region(w.fresh("end_block"), self.values.mask_slot(ZERO), mask)
        self.regions[stmt.label] = region
        after = self.body(stmt.body, mask)
        if isinstance(after, _Dead) and not region.jumped and not region.partial:
            return DEAD
        if not isinstance(after, _Dead):
            if region.partial or region.jumped:
                merged = (
                    self.values.mask_or(self.values.load_mask(region.left), self.values.full(after))
                    if region.partial
                    else self.values.full(after)
                )
                self.values.store_mask(region.left, merged)
            w.branch(region.end)
        w.block(region.end)
        if not exits(stmt.body):
            return mask
        if isinstance(after, _Dead) and region.jumped and not region.partial:
            return None  # only whole strips arrive
        if not region.partial and not region.jumped:
            return after
        return self.values.load_mask(region.left)

    # ---------------------------------------------------------------------------------------------------------------- branches

    def branch(self, stmt: If, mask: Mask) -> After:
        if self.values.shape_of(stmt.cond).uniform:
            return self._uniform_branch(stmt, mask)
        if self.values.width > 1 and is_rare(self.kernel, stmt):
            return self._rare_branch(stmt, mask)
        if mask is None and self.copies < 2 and self._worth_copying(stmt):
            return self._three_way(stmt)
        return self._masked_branch(stmt, self.values.condition(stmt.cond), mask)

    def _uniform_branch(self, stmt: If, mask: Mask) -> After:
        condition = self.values.evaluate(stmt.cond).text
        arms: list[tuple[str, Callable[[], After]]] = [
            (self.w.fresh("then"), lambda: self.body(stmt.then, mask)),
            (self.w.fresh("else"), lambda: self.body(stmt.orelse, mask)),
        ]
        self.w.branch_if(condition, arms[0][0], arms[1][0])
        return self._join(arms, mask, bool(exits(stmt.then) | exits(stmt.orelse)))

    def _join(self, arms: list[tuple[str, Callable[[], After]]], mask: Mask, masks_change: bool) -> After:
        """Emit alternative paths, each from its label, and bring them together again."""
        w = self.w
        end = w.fresh("join")
        slot = self.values.mask_slot() if masks_change else ""
        alive: list[After] = []
        for label, emit in arms:
            w.block(label)
            w.terminated = False
            after = emit()
            if isinstance(after, _Dead):
                w.terminated = True
                continue
            alive.append(after)
            if slot:
                self.values.store_mask(slot, after)
            w.branch(end)
        if not alive:
            return DEAD
        w.block(end)
        if not masks_change:
            return mask
        if all(a is None for a in alive):
            return None
        return self.values.load_mask(slot)

    def _three_way(self, stmt: If) -> After:
        w = self.w
        test = self.values.strip_test(stmt.cond)
        condition = "" if test is not None else self.values.condition(stmt.cond)
        every, some = test if test is not None else (self.values.every(condition), self.values.any(condition))
        all_label, not_all, mixed, none = (w.fresh(n) for n in ("all_lanes", "not_all", "some_lanes", "no_lane"))
        w.branch_if(every, all_label, not_all, likely=True)
        w.block(not_all)
        w.branch_if(some, mixed, none)
        self.copies += 1

        def masked() -> After:
            vector = condition or self.values.condition(stmt.cond)
            return self._masked_branch(stmt, vector, None)

        def none_arm() -> After:
            return self.body(stmt.orelse, None)

        arms = [(all_label, lambda: self.body(stmt.then, None)), (mixed, masked), (none, none_arm)]
        after = self._join(arms, None, bool(exits(stmt.then) | exits(stmt.orelse)))
        self.copies -= 1
        return after

    def _worth_copying(self, stmt: If) -> bool:
        """Whether masks would cost more than a second copy of the code: it touches memory or loops, and is not huge."""
        inside = list(walk((*stmt.then, *stmt.orelse)))
        heavy = any(isinstance(s, Load | Store | Atomic | For | While) for s in inside)
        small = len(inside) * (1 + self.copies) < 120 and len(self.w.lines) < _ROOM_FOR_COPIES
        return heavy and small and not any(isinstance(s, Barrier) for s in inside)

    def _masked_branch(self, stmt: If, condition: str, mask: Mask) -> After:
        values = self.values
        taken = values.mask_and(mask, condition)
        left_out = values.mask_and(mask, values.mask_not(condition))
        changes = bool(exits(stmt.then) | exits(stmt.orelse))
        after_then = self._masked_arm(stmt.then, taken, changes)
        after_else = self._masked_arm(stmt.orelse, left_out, changes) if stmt.orelse else left_out
        return values.mask_or(after_then, after_else) if changes else mask

    def _rare_branch(self, stmt: If, mask: Mask) -> After:
        w, values = self.w, self.values
        taken = values.mask_and(mask, values.condition(stmt.cond))
        run, end = w.fresh("rare"), w.fresh("rejoin")
        w.branch_if(values.any(taken), run, end)
        w.block(run)
        by_lanes(self, stmt.then, taken)
        w.branch(end)
        w.block(end)
        return mask

    def _masked_arm(self, body: Body, mask: str, changes: bool) -> str:
        """One side of a diverged branch; skipped if no lane takes it. The mask of the lanes at its end."""
        if not body:
            return mask
        if self._cheap(body):
            after = self.body(body, mask)
            assert isinstance(after, str)
            return after
        w = self.w
        run, end = w.fresh("some"), w.fresh("rejoin")
        slot = self.values.mask_slot(mask) if changes else ""
        w.branch_if(self.values.any(mask), run, end)
        w.block(run)
        after = self.body(body, mask)
        assert isinstance(after, str)
        if slot:
            self.values.store_mask(slot, after)
        w.branch(end)
        w.block(end)
        return self.values.load_mask(slot) if slot else mask

    @staticmethod
    def _cheap(body: Body) -> bool:
        """Whether statements cost less than the branch around them: a few assignments and jumps without heavy arithmetic."""
        cost = 0
        for stmt in body:
            if isinstance(stmt, If):
                if not (Spmd._cheap(stmt.then) and Spmd._cheap(stmt.orelse)):
                    return False
                cost += 2 + len(stmt.then) + len(stmt.orelse)
                continue
            if not isinstance(stmt, Assign | Exit):
                return False
            for expr in operands(stmt):
                for part in subexpressions(expr):
                    if isinstance(part, Op):
                        slow = part.name in ("div", "sqrt", "floordiv", "mod") or is_expanded(part.name, part.args[-1].dtype)
                        cost += 8 if slow else 1
            cost += 1
        return cost <= 10

    # ------------------------------------------------------------------------------------------------------------------- loops

    def _diverges(self, body: Body, divergent: bool = False) -> frozenset[str]:
        """Labels outside ``body`` that only some of the strip's lanes may leave for (mirrors ``passes.uniformity``)."""
        left: frozenset[str] = frozenset()
        for stmt in body:
            here = divergent or bool(left)
            match stmt:
                case Exit(label=label):
                    left |= frozenset((label,)) if here else frozenset()
                case If(cond=cond):
                    inside = here or not self.values.shape_of(cond).uniform
                    left |= self._diverges(stmt.then, inside) | self._diverges(stmt.orelse, inside)
                case Block(label=label):
                    left |= self._diverges(stmt.body, here) - {label}
                case For(start=start, stop=stop, step=step):
                    bounds = all(self.values.shape_of(e).uniform for e in (start, stop, step))
                    left |= self._diverges(stmt.body, here or not bounds)
                case While(cond=cond):
                    inside = here or not self.values.shape_of(cond).uniform
                    left |= self._diverges((*stmt.before, *stmt.body), inside)
        return left

    def loop(self, stmt: While, mask: Mask) -> After:
        both = (*stmt.before, *stmt.body)
        w = self.w
        head, run, end = w.fresh("while"), w.fresh("do"), w.fresh("done")
        if mask is None and self.values.shape_of(stmt.cond).uniform and not self._diverges(both):
            w.block(head)
            before = self.body(stmt.before, None)
            if isinstance(before, _Dead):
                return DEAD
            endless = isinstance(stmt.cond, Const)
            if endless:
                w.branch(run)
            else:
                w.branch_if(self.values.evaluate(stmt.cond).text, run, end)
            w.block(run)
            after = self.body(stmt.body, None)
            if not isinstance(after, _Dead):
                w.branch(head)
            if endless:
                w.terminated = True
                return DEAD
            w.block(end)
            return None
        changes = bool(exits(both))
        live = self.values.mask_slot(self.values.full(mask))
        done = self.values.mask_slot(ZERO) if changes else ""
        w.block(head)
        turn = self.body(stmt.before, self.values.load_mask(live))
        assert isinstance(turn, str)
        condition = self.values.condition(stmt.cond)
        going = self.values.mask_and(turn, condition)
        if changes:
            stopping = self.values.mask_and(turn, self.values.mask_not(condition))
            self.values.store_mask(done, self.values.mask_or(self.values.load_mask(done), stopping))
        w.branch_if(self.values.any(going), run, end)
        w.block(run)
        after = self.body(stmt.body, going)
        assert isinstance(after, str)
        self.values.store_mask(live, after)
        w.branch(head)
        w.block(end)
        return self.values.load_mask(done) if changes else mask

    def counted_loop(self, stmt: For, mask: Mask) -> After:
        values = self.values
        bounds = [values.evaluate(e) for e in (stmt.start, stmt.stop, stmt.step)]
        if exits(stmt.body):
            return self._loop_of(bounds, stmt)(stmt, bounds, mask)
        tables = begin_copies(self.memory, stmt, bounds, mask)
        after = self._loop_of(bounds, stmt)(stmt, bounds, mask)
        end_copies(self.memory, tables)
        return after

    def _loop_of(self, bounds: list[Lanes], stmt: For) -> Callable[[For, list[Lanes], Mask], After]:
        """How a counted loop is emitted: by whether its bounds and its variable are uniform, affine or varying."""
        if all(b.shape.uniform for b in bounds):
            return self._uniform_loop
        return self._affine_loop if self.values.shapes.get(stmt.var.name, UNIFORM).affine else self._varying_loop

    def _affine_loop(self, stmt: For, bounds: list[Lanes], mask: Mask) -> After:
        """Lanes that start in a row and step together, as in a grid-stride loop: whole strips run unmasked, the last turns masked."""
        w, values = self.w, self.values
        start, stop, step = bounds
        stride = start.shape.stride or 0
        changes = bool(exits(stmt.body))
        highest = int64.maximum - int(step.text)  # a lane beyond it has no next turn: the step would wrap
        base = w.alloca("i64")
        w.do(f"store i64 {start.text}, ptr {base}")
        if mask is None and not self._diverges(stmt.body) and self.copies < 2:
            head, run, end = w.fresh("for_all"), w.fresh("do"), w.fresh("rest")
            w.block(head)
            first = w.emit(f"load i64, ptr {base}")
            last = w.emit(f"add i64 {first}, {(values.width - 1) * stride}")
            low, high = (first, last) if stride > 0 else (last, first)
            ordered = w.emit(f"icmp sle i64 {low}, {high}")
            inside = w.emit(f"icmp slt i64 {high}, {stop.text}")
            steps_on = w.emit(f"icmp sle i64 {high}, {highest}")
            w.branch_if(w.emit(f"and i1 {steps_on}, {w.emit(f'and i1 {ordered}, {inside}')}"), run, end)
            w.block(run)
            values.write(stmt.var, Lanes(int64, first, start.shape), None)
            self.copies += 1
            after = self.body(stmt.body, None)
            self.copies -= 1
            if not isinstance(after, _Dead):
                w.do(f"store i64 {w.emit(f'add i64 {first}, {step.text}')}, ptr {base}")
                w.branch(head)
            w.block(end)
        head, run, end = w.fresh("for_some"), w.fresh("do"), w.fresh("done")
        live = values.mask_slot(values.full(mask))
        done = values.mask_slot(ZERO) if changes else ""
        w.block(head)
        first = w.emit(f"load i64, ptr {base}")
        turn = values.load_mask(live)
        inside = w.emit(f"icmp slt <{values.width} x i64> {values.vector(Lanes(int64, first, start.shape))}, {values.vector(stop)}")
        more = values.mask_of(inside)
        going = values.mask_and(turn, more)
        if changes:
            stopping = values.mask_and(turn, values.mask_not(more))
            values.store_mask(done, values.mask_or(values.load_mask(done), stopping))
        w.branch_if(values.any(going), run, end)
        w.block(run)
        values.write(stmt.var, Lanes(int64, first, start.shape), None)
        after = self.body(stmt.body, going)
        assert isinstance(after, str)
        lanes = values.vector(Lanes(int64, first, start.shape))
        steps = values.mask_of(w.emit(f"icmp sle <{values.width} x i64> {lanes}, splat (i64 {highest})"))
        values.store_mask(live, values.mask_and(after, steps))
        if changes:  # lanes that end here leave the loop as the others do
            ended = values.mask_and(after, values.mask_not(steps))
            values.store_mask(done, values.mask_or(values.load_mask(done), ended))
        w.do(f"store i64 {w.emit(f'add i64 {first}, {step.text}')}, ptr {base}")
        w.branch(head)
        w.block(end)
        return values.load_mask(done) if changes else mask

    def trips(self, lanes: int, start: str, stop: str, step: Lanes) -> str:
        """How often a loop runs, as an unsigned i64, for any bounds: no sum here can overflow."""
        from anygpu.codegen.expr import constant_text, type_text

        w = self.w
        t = type_text(int64, lanes)
        b = f"<{lanes} x i1>" if lanes else "i1"
        step_text = self.values.vector(step) if lanes else step.text
        zero, one = constant_text(0, int64, lanes), constant_text(1, int64, lanes)
        up = w.emit(f"icmp sgt {t} {step_text}, {zero}")
        low = w.emit(f"select {b} {up}, {t} {start}, {t} {stop}")
        high = w.emit(f"select {b} {up}, {t} {stop}, {t} {start}")
        some = w.emit(f"and {b} {w.emit(f'icmp slt {t} {low}, {high}')}, {w.emit(f'icmp ne {t} {step_text}, {zero}')}")
        size = w.emit(f"select {b} {up}, {t} {step_text}, {t} {w.emit(f'sub {t} {zero}, {step_text}')}")
        safe = w.emit(f"select {b} {w.emit(f'icmp eq {t} {size}, {zero}')}, {t} {one}, {t} {size}")
        distance = w.emit(f"sub {t} {w.emit(f'sub {t} {high}, {low}')}, {one}")
        trips = w.emit(f"add {t} {w.emit(f'udiv {t} {distance}, {safe}')}, {one}")
        return w.emit(f"select {b} {some}, {t} {trips}, {t} {zero}")

    def _uniform_loop(self, stmt: For, bounds: list[Lanes], mask: Mask) -> After:
        w, values = self.w, self.values
        start, stop, step = (b.text for b in bounds)
        head, run, end = w.fresh("for"), w.fresh("do"), w.fresh("done")
        diverging = mask is not None or bool(self._diverges(stmt.body))
        changes = bool(exits(stmt.body)) and diverging
        live = values.mask_slot(values.full(mask)) if changes else ""
        slot, _ = values.slot(stmt.var)
        unit = isinstance(stmt.step, Const) and stmt.step.value == 1
        t = f"i{stmt.var.dtype.bits}"  # narrowed loops have unit steps
        counter = w.alloca("i64" if not unit else t)
        w.do(f"store {t} {start if unit else self.trips(0, start, stop, bounds[2])}, ptr {counter}")
        value = w.alloca(t)
        w.do(f"store {t} {start}, ptr {value}")
        w.block(head)
        count = w.emit(f"load {t}, ptr {counter}")
        more = w.emit(f"icmp slt {t} {count}, {stop}") if unit else w.emit(f"icmp ne i64 {count}, 0")
        if changes:
            more = w.emit(f"and i1 {more}, {values.any(values.load_mask(live))}")
        w.branch_if(more, run, end)
        w.block(run)
        current = count if unit else w.emit(f"load i64, ptr {value}")
        values.write(stmt.var, Lanes(stmt.var.dtype, current, UNIFORM), None)
        inner: Mask = values.load_mask(live) if changes else mask
        after = self.body(stmt.body, inner)
        if not isinstance(after, _Dead):
            if changes:
                values.store_mask(live, after)
            if unit:
                w.do(f"store {t} {w.emit(f'add nsw {t} {count}, 1')}, ptr {counter}")
            else:
                w.do(f"store i64 {w.emit(f'sub i64 {count}, 1')}, ptr {counter}")
                w.do(f"store i64 {w.emit(f'add i64 {current}, {step}')}, ptr {value}")
            w.branch(head)
        w.block(end)
        del slot
        return values.load_mask(live) if changes else mask

    def _varying_loop(self, stmt: For, bounds: list[Lanes], mask: Mask) -> After:
        w, values = self.w, self.values
        head, run, end = w.fresh("for"), w.fresh("do"), w.fresh("done")
        dtype = stmt.var.dtype
        t = f"<{values.width} x i{dtype.bits}>"
        start, stop = values.vector(bounds[0]), values.vector(bounds[1])
        changes = bool(exits(stmt.body))
        live = values.mask_slot(values.full(mask))
        done = values.mask_slot(ZERO) if changes else ""
        unit = isinstance(stmt.step, Const) and stmt.step.value == 1
        current, rest = w.alloca(t), w.alloca(t)
        w.do(f"store {t} {start}, ptr {current}")
        w.do(f"store {t} {stop if unit else self.trips(values.width, start, stop, bounds[2])}, ptr {rest}")
        w.block(head)
        turn = values.load_mask(live)
        now, limit = w.emit(f"load {t}, ptr {current}"), w.emit(f"load {t}, ptr {rest}")
        more = values.mask_of(w.emit(f"icmp slt {t} {now}, {limit}" if unit else f"icmp ne {t} {limit}, zeroinitializer"))
        going = values.mask_and(turn, more)
        if changes:
            stopping = values.mask_and(turn, values.mask_not(more))
            values.store_mask(done, values.mask_or(values.load_mask(done), stopping))
        w.branch_if(values.any(going), run, end)
        w.block(run)
        values.write(stmt.var, Lanes(dtype, now, VARYING), going)
        after = self.body(stmt.body, going)
        assert isinstance(after, str)
        values.store_mask(live, after)
        w.do(f"store {t} {w.emit(f'add {t} {now}, ' + values.vector(bounds[2]))}, ptr {current}")
        if not unit:
            w.do(f"store {t} {w.emit(f'sub {t} {limit}, splat (i64 1)')}, ptr {rest}")
        w.branch(head)
        w.block(end)
        return values.load_mask(done) if changes else mask

    # ----------------------------------------------------------------------------------------------------------------- reports

    def check(self, stmt: Assert, mask: Mask) -> None:
        w, values = self.w, self.values
        failing = values.mask_and(mask, values.mask_not(values.condition(stmt.cond)))
        loc = stmt.loc
        site = self.memory.site(Site("assert", (loc.filename, loc.line, loc.column, loc.end_column, loc.function), message=stmt.message))
        bad, end = w.fresh("failed"), w.fresh("held")
        w.branch_if(values.any(failing), bad, end)
        w.block(bad)
        report(self.memory, site, self.memory.lane_bits(failing), ())
        w.block(end)

    def print(self, stmt: Print, mask: Mask) -> None:
        """Each active lane writes one record: its values as 8 bytes each."""
        w, values = self.w, self.values
        given = [values.evaluate(p) for p in stmt.parts if not isinstance(p, str)]
        parts = tuple(f"t{p}" if isinstance(p, str) else f"v{p.dtype}" for p in stmt.parts)
        loc = stmt.loc
        site = self.memory.site(Site("print", (loc.filename, loc.line, loc.column, loc.end_column, loc.function), parts=parts))
        readers = [self.memory.spill(v) for v in given]
        stack = w.alloca(f"[{max(1, len(given))} x i64]")

        def action(lane: str) -> None:
            from anygpu.codegen.llvm import memory_type

            for n, (value, read) in enumerate(zip(given, readers, strict=True)):
                place = w.emit(f"getelementptr i64, ptr {stack}, i64 {n}")
                text = read(lane)
                if value.dtype.kind == "b":
                    text = w.emit(f"zext i1 {text} to i8")
                w.do(f"store i64 0, ptr {place}")
                w.do(f"store {memory_type(value.dtype)} {text}, ptr {place}")
            self.emit_print(site, lane, stack, len(given))

        self.memory.lane_loop(mask, action)


__all__ = ["Region", "Spmd", "children", "exits"]
