"""Warp operations: exchanges among 32 lanes, whatever the width of the machine's own warps.

Three primitives of the target carry everything: which lanes execute this and hold a bit (``ballot``), another lane's 32 bits (``shuffle``)
and perhaps which lanes hold the same value (``match``). Lanes *take part* if they execute the statement and the reader's mask names
them; so masks may differ between lanes, name lanes that are not there, or leave out the lane itself.
"""

from __future__ import annotations

from collections.abc import Callable

from anygpu.codegen.atomics import combine
from anygpu.codegen.expr import resize
from anygpu.codegen.llvm import scalar_type
from anygpu.codegen.simt_values import Values, from_bits, to_bits, zero
from anygpu.dtypes import DType, int32
from anygpu.ir.kernel import Barrier as BarrierStatement
from anygpu.ir.kernel import Block, Body, Const, Exit, Expr, For, If, Kernel, WarpOp, While
from anygpu.passes.regions import BLOCK_SPECIALS
from anygpu.passes.uniformity import expression_shape, uniformity

FULL = 0xFFFFFFFF
ALL = "-1"  # the 32 lanes as an i32
LANES = "@lanes"  # what lanes exchange, where that goes through shared memory
_MARGIN = 32  # slots before the first warp's and behind the last one's


def diverged_statements(kernel: Kernel) -> frozenset[int]:
    """The warp operations and warp barriers (by identity) that perhaps not all lanes of a warp reach together."""
    shapes = uniformity(kernel, BLOCK_SPECIALS)
    found: set[int] = set()

    def uniform(*exprs: Expr) -> bool:
        return all(expression_shape(e, shapes, BLOCK_SPECIALS).uniform for e in exprs)

    def visit(body: Body, diverged: bool) -> frozenset[str]:
        """Look at statements; the labels that only some lanes leave for."""
        left: frozenset[str] = frozenset()
        for stmt in body:
            here = diverged or bool(left)
            match stmt:
                case WarpOp() | BarrierStatement(scope="warp") if here:
                    found.add(id(stmt))
                case Exit(label=label) if here:
                    left |= {label}
                case If(cond=cond, then=then, orelse=orelse):
                    inside = here or not uniform(cond)
                    left |= visit(then, inside) | visit(orelse, inside)
                case Block(label=label, body=inner):
                    left |= visit(inner, here) - {label}
                case For(start=start, stop=stop, step=step, body=inner):
                    left |= turns(inner, here or not uniform(start, stop, step))
                case While(before=before, cond=cond, body=inner):
                    left |= turns((*before, *inner), here or not uniform(cond))
        return left

    def turns(body: Body, diverged: bool) -> frozenset[str]:
        left = visit(body, diverged)
        return left | visit(body, True) if left and not diverged else left  # those that left are missing in the next turn

    visit(kernel.body, False)
    return frozenset(found)


class WarpOperations:
    """Emits the warp operations of one kernel."""

    def __init__(self, values: Values, diverged: frozenset[int]):
        self.values = values
        self.w = values.w
        self.diverged = diverged
        self.together = False  # whether all lanes run the statement that is being emitted

    def emit(self, stmt: WarpOp) -> None:
        """``stmt.var = stmt.op(...)``."""
        values, w = self.values, self.w
        args = [values.evaluate(a) for a in stmt.args]
        everyone = isinstance(stmt.mask, Const) and int(stmt.mask.value) == FULL
        named = "" if everyone else values.evaluate(stmt.mask)
        self.together = id(stmt) not in self.diverged
        members = values.target.members(w, not self.together)

        def among(bits: str) -> str:
            return bits if everyone else w.emit(f"and i32 {bits}, {named}")

        def vote(bit: str) -> str:
            known = bit == "true" and self.together and values.options.whole_warps
            return among(ALL if known else values.target.ballot(w, members, bit))

        match stmt.op:
            case "activemask":
                result = vote("true")
            case "ballot":
                result = vote(args[0])
            case "any":
                result = w.emit(f"icmp ne i32 {vote(args[0])}, 0")
            case "all":
                result = w.emit(f"icmp eq i32 {vote(w.emit(f'xor i1 {args[0]}, true'))}, 0")
            case "match_any":
                result = among(self._same(members, args[0], stmt.args[0].dtype))
            case "match_all":
                result = self._match_all(members, args[0], stmt.args[0].dtype, vote("true"))
            case op if op.startswith("reduce_"):
                result = self._reduce(members, op.removeprefix("reduce_"), args[0], stmt.args[0].dtype, vote("true"))
            case _:
                result = self._shuffle(stmt, members, args[0], args[1], vote("true"))
        values.write(stmt.var, result)

    # ------------------------------------------------------------------------------------------------------------------- exchanges

    def _lane(self) -> str:
        return self.values.at_entry("lane32", lambda: self.w.emit(f"trunc i64 {self.values.special('lane', 0)} to i32"))

    def _from_lane(self, members: str, value: str, dtype: DType, lane: str) -> str:
        """The value that a lane (an i32 of 0 to 31) holds."""
        return self._in_pieces(value, dtype, lambda bits: self._shuffled(members, bits, lane))

    def _in_pieces(self, value: str, dtype: DType, exchange: Callable[[str], str]) -> str:
        """A value that lanes exchange in pieces of 32 bits."""
        w = self.w
        bits = to_bits(w, value, dtype)
        if dtype.bits == 64:
            low = exchange(w.emit(f"trunc i64 {bits} to i32"))
            high = exchange(w.emit(f"trunc i64 {w.emit(f'lshr i64 {bits}, 32')} to i32"))
            upper = w.emit(f"shl i64 {w.emit(f'zext i32 {high} to i64')}, 32")
            return from_bits(w, w.emit(f"or i64 {upper}, {w.emit(f'zext i32 {low} to i64')}"), dtype)
        found = exchange(w.to_32(bits, dtype.bits))
        return from_bits(w, found if dtype.bits == 32 else w.emit(f"trunc i32 {found} to i{dtype.bits}"), dtype)

    def _shuffled(self, members: str, bits: str, lane: str) -> str:
        """The i32 that a lane holds: by the target's shuffle, or through a row of shared memory that each warp has for itself."""
        w, values, target = self.w, self.values, self.values.target
        if not self._in_memory:
            return target.shuffle(w, members, bits, lane)
        pointer, own = target.pointer("shared"), self._slot()
        first = values.at_entry("warp_slots", lambda: w.emit(f"add i64 {w.emit(f'and i64 {self._number()}, -32')}, {_MARGIN}"))
        w.do(f"store i32 {bits}, {own}, align 4")
        target.warp_barrier(w, False)
        slot = w.emit(f"add i64 {first}, {w.emit(f'zext i32 {lane} to i64')}")
        found = w.emit(f"load i32, {pointer} {w.emit(f'getelementptr i32, {pointer} {LANES}, i64 {slot}')}, align 4")
        target.warp_barrier(w, False)
        return found

    @property
    def _in_memory(self) -> bool:
        return self.values.options.on_cpu and self.together

    def _number(self) -> str:
        return self.values.at_entry("number", self.values.thread_number)

    def _slot(self) -> str:
        """The place in shared memory where this work-item leaves an i32 for the others of its warp, as a typed pointer."""
        values, target = self.values, self.values.target
        pointer, size = target.pointer("shared"), values.options.warp_slots + 2 * _MARGIN
        variable = f"addrspace({target.spaces['shared']}) global"
        values.module.definitions[LANES] = f"{LANES} = internal {variable} [{size} x i32] undef, align 64"
        place = values.at_entry("lane_place", lambda: self.w.emit(f"add i64 {self._number()}, {_MARGIN}"))
        return f"{pointer} " + values.at_entry(
            "lane_slot", lambda: self.w.emit(f"getelementptr i32, {pointer} {LANES}, i64 {place}")
        )  # fmt: skip

    def _neighbour(self, bits: str, steps: int) -> str:
        """The i32 of the work-item so many further, which may be of another warp or none: neighbours read from places side by side."""
        w, target, own = self.w, self.values.target, self._slot()
        w.do(f"store i32 {bits}, {own}, align 4")
        target.warp_barrier(w, False)
        there = w.emit(f"getelementptr i32, {own}, i64 {steps}")
        found = w.emit(f"load i32, {target.pointer('shared')} {there}, align 4")
        target.warp_barrier(w, False)
        return found

    def _takes_part(self, taking: str, lane: str) -> str:
        return "true" if taking == ALL else self.w.emit(f"trunc i32 {self.w.emit(f'lshr i32 {taking}, {lane}')} to i1")

    def _shuffle(self, stmt: WarpOp, members: str, value: str, operand: str, taking: str) -> str:
        """Each lane's value from another. A source outside the segment or not taking part gives the lane's own."""
        w, width = self.w, stmt.width
        dtype = stmt.args[0].dtype
        signed = stmt.args[1].dtype
        other = resize(w, operand, signed, int32, 0, signed.kind == "i")
        step = int(stmt.args[1].value) if isinstance(stmt.args[1], Const) else -1
        if taking == ALL and 0 <= step < width:
            if self.values.target.shuffles_by_step:
                form = {"shfl": "idx", "shfl_up": "up", "shfl_down": "down"}.get(stmt.op, "bfly")
                exchange = self.values.target.shuffle_by_step
                return self._in_pieces(value, dtype, lambda bits: exchange(w, members, form, bits, step, width))
        lane = self._lane()
        own = w.emit(f"and i32 {lane}, {width - 1}")
        match stmt.op:
            case "shfl":
                target = other
            case "shfl_up":
                target = w.emit(f"sub i32 {own}, {other}")
            case "shfl_down":
                target = w.emit(f"add i32 {own}, {other}")
            case _:
                target = w.emit(f"xor i32 {own}, {other}")
        if taking == ALL and stmt.op == "shfl_xor" and 0 <= step < width:
            return self._from_lane(members, value, dtype, w.emit(f"xor i32 {lane}, {step}"))
        legal = w.emit(f"icmp ult i32 {target}, {width}")
        source = w.emit(f"select i1 {legal}, i32 {w.emit('or i32 ' + w.emit(f'and i32 {lane}, {-width}') + f', {target}')}, i32 {lane}")
        kind = scalar_type(dtype)
        distance = stmt.args[1]
        if self._in_memory and taking == ALL and isinstance(distance, Const) and stmt.op in ("shfl_up", "shfl_down") and dtype.bits <= 32:
            steps = min(max(int(distance.value), -_MARGIN), _MARGIN) * (1 if stmt.op == "shfl_down" else -1)
            bits = to_bits(w, value, dtype)
            near = self._neighbour(w.to_32(bits, dtype.bits), steps)
            found = from_bits(w, near if dtype.bits == 32 else w.emit(f"trunc i32 {near} to i{dtype.bits}"), dtype)
            return w.emit(f"select i1 {legal}, {kind} {found}, {kind} {value}")
        found = self._from_lane(members, value, dtype, source)
        return w.emit(f"select i1 {self._takes_part(taking, source)}, {kind} {found}, {kind} {value}")

    def _same(self, members: str, value: str, dtype: DType) -> str:
        """The lanes that hold the same bits, of all; those that do not execute this may be among them or not."""
        w = self.w
        bits = to_bits(w, value, dtype)
        size = max(32, dtype.bits)
        wide = bits if dtype.bits == 64 else w.to_32(bits, dtype.bits)
        known = self.values.target.match(w, members, size, wide)
        if known is not None:
            return known
        found = w.alloca("i32")
        w.do(f"store i32 0, {found}")

        def turn(lane: str) -> None:
            other = to_bits(w, self._from_lane(members, value, dtype, lane), dtype)
            same = w.emit(f"zext i1 {w.emit(f'icmp eq i{dtype.bits} {other}, {bits}')} to i32")
            now = w.emit(f"or i32 {w.emit(f'load i32, {found}')}, {w.emit(f'shl i32 {same}, {lane}')}")
            w.do(f"store i32 {now}, {found}")

        self._every_lane(turn)
        return w.emit(f"and i32 {w.emit(f'load i32, {found}')}, {self.values.target.ballot(w, members, 'true')}")

    def _match_all(self, members: str, value: str, dtype: DType, taking: str) -> str:
        """Those who take part if all of them agree with the first, else 0: who agrees with it is known to the first itself."""
        w = self.w
        same = self._same(members, value, dtype)
        first = w.call("i32", "llvm.cttz.i32", f"i32 {taking}, i1 false", "i32, i1")
        agreeing = self.values.target.shuffle(w, members, same, w.emit(f"and i32 {first}, 31"))
        differing = w.emit(f"and i32 {taking}, {w.emit(f'xor i32 {agreeing}, -1')}")
        return w.emit(f"select i1 {w.emit(f'icmp eq i32 {differing}, 0')}, i32 {taking}, i32 0")

    def _reduce(self, members: str, op: str, value: str, dtype: DType, taking: str) -> str:
        """Combine in lane order, starting with the first value; nobody gives 0. Integers of a whole warp take a tree."""
        w, kind = self.w, scalar_type(dtype)
        total = w.alloca(kind)
        if not dtype.is_integer:
            self._reduce_in_order(members, op, value, dtype, taking, total)
            return w.emit(f"load {kind}, {total}")
        whole, partial, done = w.fresh("whole_warp"), w.fresh("partial_warp"), w.fresh("reduced")
        if taking == ALL:
            return self._reduce_tree(members, op, value, dtype)
        complete = w.emit(f"icmp eq i32 {taking}, -1")
        # every lane must go the same way: one that sees a partial mask makes the others wait for nothing
        agreed = w.emit(f"icmp eq i32 {self.values.target.ballot(w, members, complete)}, -1")
        w.branch_if(agreed, whole, partial, likely=True)
        w.block(whole)
        w.do(f"store {kind} {self._reduce_tree(members, op, value, dtype)}, {total}")
        w.branch(done)
        w.block(partial)
        self._reduce_in_order(members, op, value, dtype, taking, total)
        w.branch(done)
        w.block(done)
        return w.emit(f"load {kind}, {total}")

    def _reduce_tree(self, members: str, op: str, value: str, dtype: DType) -> str:
        if dtype.bits <= 32:
            signed = dtype.kind == "i"
            narrow = signed and dtype.bits < 32
            wide = self.w.emit(f"sext i{dtype.bits} {value} to i32") if narrow else self.w.to_32(value, dtype.bits)
            known = self.values.target.reduce(self.w, members, op, wide, signed)
            if known is not None:
                return known if dtype.bits == 32 else self.w.emit(f"trunc i32 {known} to i{dtype.bits}")
        for distance in (16, 8, 4, 2, 1):
            partner = self.w.emit(f"xor i32 {self._lane()}, {distance}")
            value = combine(self.w, op, dtype, value, [self._from_lane(members, value, dtype, partner)])
        return value

    def _reduce_in_order(self, members: str, op: str, value: str, dtype: DType, taking: str, total: str) -> None:
        w, kind = self.w, scalar_type(dtype)
        begun = w.alloca("i1")
        w.do(f"store {kind} {zero(dtype)}, {total}")
        w.do(f"store i1 false, {begun}")

        def turn(lane: str) -> None:
            item = self._from_lane(members, value, dtype, lane)
            here = self._takes_part(taking, lane)
            old, started = w.emit(f"load {kind}, {total}"), w.emit(f"load i1, {begun}")
            both = w.emit(f"select i1 {started}, {kind} {combine(w, op, dtype, old, [item])}, {kind} {item}")
            w.do(f"store {kind} {w.emit(f'select i1 {here}, {kind} {both}, {kind} {old}')}, {total}")
            w.do(f"store i1 {w.emit(f'or i1 {started}, {here}')}, {begun}")

        self._every_lane(turn)

    def _every_lane(self, turn: Callable[[str], None]) -> None:
        """A loop over the 32 lanes, which all members run in step."""
        w = self.w
        counter = w.alloca("i32")
        head, end = w.fresh("lane"), w.fresh("lanes_end")
        w.do(f"store i32 0, {counter}")
        w.block(head)
        lane = w.emit(f"load i32, {counter}")
        turn(lane)
        following = w.emit(f"add i32 {lane}, 1")
        w.do(f"store i32 {following}, {counter}")
        w.branch_if(w.emit(f"icmp ult i32 {following}, 32"), head, end)
        w.block(end)


__all__ = ["FULL", "WarpOperations", "diverged_statements"]
