"""KERNEL IR for GPUs: one function in which each work-item runs its statements with real branches.

The same emitter serves every vendor; ``device.Target`` holds what differs. What the host must pass is in ``codegen.device``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from anygpu.codegen.device import DeviceCode, DeviceOptions, Target, Word
from anygpu.codegen.llvm import scalar_type
from anygpu.codegen.simt_barriers import uniform_barriers
from anygpu.codegen.simt_every import Branches
from anygpu.codegen.simt_memory import MemoryAccess
from anygpu.codegen.simt_pointers import Pointers
from anygpu.codegen.simt_reports import print_function
from anygpu.codegen.simt_values import Values, to_bits
from anygpu.codegen.simt_warp import LANES, WarpOperations, diverged_statements
from anygpu.errors import UNKNOWN, CompileError, Diagnostic, Location
from anygpu.ir.kernel import (
    Array,
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
    Prefetch,
    Print,
    Stmt,
    Store,
    WarpOp,
    While,
    operands,
    subexpressions,
    walk,
)
from anygpu.passes.assume import assume
from anygpu.passes.cost import costs, gains_by_width, turns, weight
from anygpu.passes.hoist_checks import hoist_checks
from anygpu.passes.intervals import Intervals, analyse, interval
from anygpu.passes.keep_order import keep_order
from anygpu.passes.narrow import narrow
from anygpu.passes.strided import share_counters
from anygpu.passes.uniformity import VARYING, Shape, uniformity

_EVERYTHING_VARIES: dict[tuple[str, int], Shape] = {
    (name, axis): VARYING for name in ("thread", "block", "block_dim", "grid_dim", "lane", "warp") for axis in range(3)
}


@dataclass
class _Region:
    """A Block being emitted: the label of its end, and whether anything jumps there."""

    end: str
    reached: bool = False


class Simt:
    """Emits the statements of one kernel."""

    def __init__(self, kernel: Kernel, values: Values, found: Intervals | None):
        self.kernel = kernel
        self.values = values
        self.found = found
        self.w = values.w
        self.target = values.target
        self.memory = MemoryAccess(values)
        self.diverged = diverged_statements(kernel)
        self.pointers = Pointers(values, self.memory, found, self._written_out)
        self.warp = WarpOperations(values, self.diverged)
        self.regions: dict[str, _Region] = {}
        self.branches = Branches(kernel) if values.options.on_cpu and values.options.votes else None
        self.votes = ""

    # ------------------------------------------------------------------------------------------------------------------ statements

    def body(self, body: Body) -> None:
        """Emit statements up to the first that jumps away."""
        for stmt in body:
            if self.w.terminated:
                return
            self.statement(stmt)

    def statement(self, stmt: Stmt) -> None:
        if self.found is not None:
            self.values.state = self.found.states.get(id(stmt))
        match stmt:
            case Assign(var=var, value=value):
                self.values.write(var, self.values.evaluate(value))
            case Load():
                self.memory.load(stmt)
            case Store():
                self.memory.store(stmt)
            case Atomic():
                self.memory.atomic(stmt)
            case WarpOp():
                self.warp.emit(stmt)
            case Barrier():
                self.barrier(stmt)
            case Prefetch():
                pass  # a device hides the time that memory takes by its many warps
            case Fence(scope=scope):
                self.target.fence(self.w, scope)
            case If():
                self.branch(stmt)
            case For():
                self.counted_loop(stmt)
            case While():
                self.loop(stmt)
            case Block():
                self.region(stmt)
            case Exit(label=label):
                self.regions[label].reached = True
                self.w.branch(self.regions[label].end)
            case Print():
                self.print(stmt)
            case Assert():
                self.check(stmt)

    def region(self, stmt: Block) -> None:
        region = self.regions[stmt.label] = _Region(self.w.fresh("end_block"))
        self.body(stmt.body)
        if region.reached or not self.w.terminated:
            self.w.block(region.end)

    def branch(self, stmt: If) -> None:
        w = self.w
        then, orelse, end = w.fresh("then"), w.fresh("else"), w.fresh("join")
        cond = self.values.evaluate(stmt.cond)
        branches = self.branches
        if branches is not None and branches.ask(stmt):
            self._taken_by_every(stmt, cond, end)
            self.branches = None  # one copy is enough of what is inside
        w.branch_if(cond, then, orelse if stmt.orelse else end)
        w.block(then)
        self.body(stmt.then)
        reached = not stmt.orelse or not w.terminated
        w.branch(end)
        if stmt.orelse:
            w.block(orelse)
            self.body(stmt.orelse)
            reached = reached or not w.terminated
            w.branch(end)
        self.branches = branches
        if reached:
            w.block(end)

    def _taken_by_every(self, stmt: If, cond: str, end: str) -> None:
        """A copy of a branch for vectors whose lanes all take it; what follows is for the others."""
        w = self.w
        out = self.values.some(w.emit(f"xor i1 {cond}, true"))
        if out is None:
            return
        every, some = w.fresh("every"), w.fresh("some")
        w.branch_if(out, some, every)
        w.block(every)
        outer, self.memory.bias = self.memory.bias, self.values.nothing()
        self.body(stmt.then)
        self.memory.bias = outer
        w.branch(end)
        w.block(some)

    def loop(self, stmt: While) -> None:
        w = self.w
        head, run, end = w.fresh("while"), w.fresh("do"), w.fresh("done")
        w.block(head)
        self.body(stmt.before)
        if w.terminated:
            return
        if self.found is not None:
            self.values.state = self.found.conditions.get(id(stmt))
        endless = isinstance(stmt.cond, Const) and bool(stmt.cond.value)
        if endless:
            w.branch(run)
        else:
            w.branch_if(self.values.evaluate(stmt.cond), run, end)
        w.block(run)
        self.body(stmt.body)
        w.branch(head)
        if not endless:
            w.block(end)

    def counted_loop(self, stmt: For) -> None:
        """``range(start, stop, step)`` for any bounds: unless it is known that no sum overflows, the distance to the end is compared with
        the step."""
        w, values = self.w, self.values
        t = scalar_type(stmt.var.dtype)
        sign = "s" if stmt.var.dtype.kind == "i" else "u"
        start, stop, step = (values.evaluate(e) for e in (stmt.start, stmt.stop, stmt.step))
        constant = int(stmt.step.value) if isinstance(stmt.step, Const) else None
        trips = self._trips(stmt)
        if trips is not None and constant is not None:
            self._known_loop(stmt, trips, start, constant)
            return
        advice = w.module.unrolled("count", 4) if self._is_light(stmt) else ""
        current = w.alloca(t)
        w.do(f"store {t} {start}, {current}")
        head, run, end = w.fresh("for"), w.fresh("do"), w.fresh("done")
        if constant is not None and self._plain(stmt, constant):
            w.block(head)
            now = w.emit(f"load {t}, {current}")
            w.branch_if(w.emit(f"icmp {sign}{'lt' if constant > 0 else 'gt'} {t} {now}, {stop}"), run, end)
            w.block(run)
            values.write(stmt.var, now)
            self.body(stmt.body)
            if not w.terminated:
                w.do(f"store {t} {w.emit(f'add n{sign}w {t} {now}, {constant}')}, {current}")
                w.branch(head, advice)
            w.block(end)
            return
        up = w.emit(f"icmp {sign}gt {t} {step}, 0")
        low, high = w.emit(f"select i1 {up}, {t} {start}, {t} {stop}"), w.emit(f"select i1 {up}, {t} {stop}, {t} {start}")
        some = w.emit(f"and i1 {w.emit(f'icmp {sign}lt {t} {low}, {high}')}, {w.emit(f'icmp ne {t} {step}, 0')}")
        size = w.emit(f"select i1 {up}, {t} {step}, {t} {w.emit(f'sub {t} 0, {step}')}")
        w.branch_if(some, head, end)
        w.block(head)
        now = w.emit(f"load {t}, {current}")
        values.write(stmt.var, now)
        self.body(stmt.body)
        if not w.terminated:
            rest = w.emit(f"select i1 {up}, {t} {w.emit(f'sub {t} {stop}, {now}')}, {t} {w.emit(f'sub {t} {now}, {stop}')}")
            w.do(f"store {t} {w.emit(f'add {t} {now}, {step}')}, {current}")
            w.branch_if(w.emit(f"icmp ugt {t} {rest}, {size}"), head, end)
        w.block(end)

    def _known_loop(self, stmt: For, trips: int, start: str, step: int) -> None:
        """A loop whose number of turns is known though its start may not be."""
        w, t = self.w, scalar_type(stmt.var.dtype)
        if not trips:
            return
        sign = "s" if stmt.var.dtype.kind == "i" else "u"
        steps = []
        if self._written_out(stmt) and self.target.narrow:
            self.values.write(stmt.var, start)
            steps = self.pointers.enter(stmt)
        counter = w.alloca("i32")
        head, end = w.fresh("turn"), w.fresh("done")
        w.do(f"store i32 0, {counter}")
        w.block(head)
        turn = w.emit(f"load i32, {counter}")
        wide = turn if t == "i32" else w.emit(f"{'zext' if stmt.var.dtype.bits > 32 else 'trunc'} i32 {turn} to {t}")
        distance = wide if step == 1 else w.emit(f"mul n{sign}w {t} {wide}, {step}")
        self.values.write(stmt.var, distance if start == "0" else w.emit(f"add n{sign}w {t} {start}, {distance}"))
        self.body(stmt.body)
        if not w.terminated:
            self.pointers.turn(steps)
            advice = w.module.unrolled("full") if self._written_out(stmt) else ""
            following = w.emit(f"add nuw i32 {turn}, 1")
            w.do(f"store i32 {following}, {counter}")
            again, last = w.fresh("again"), w.emit(f"icmp ult i32 {following}, {trips}")
            w.branch_if(last, again, end)
            w.block(again)
            w.branch(head, advice)
        w.block(end)
        self.pointers.leave(steps)

    def _written_out(self, stmt: For) -> int | None:
        """How many turns a loop makes that is written out; None for any other."""
        trips = self._trips(stmt) if self.target.unrolls else None
        return trips if trips is not None and trips * weight(stmt.body) <= UNROLLED else None

    def _trips(self, stmt: For) -> int | None:
        """How many turns a loop makes, if that is known: the start may be any of several that make no difference."""
        state = self.found.states.get(id(stmt)) if self.found is not None else None
        if state is None or self.found is None or not isinstance(stmt.step, Const) or not int(stmt.step.value):
            return None
        (low, high), (stop, most), step = (*(interval(e, state, self.found.facts) for e in (stmt.start, stmt.stop)), int(stmt.step.value))
        few, many = turns(high if step > 0 else low, stop, step), turns(low if step > 0 else high, stop, step)
        dtype = stmt.var.dtype
        fits = dtype.minimum <= low + many * min(step, 0) and high + many * max(step, 0) <= dtype.maximum
        return many if stop == most and few == many and fits and many < 1 << 16 else None

    def _is_light(self, stmt: For) -> bool:
        """Whether a loop is worth unrolling by a few turns: short, innermost, and without checks that would be there as often."""
        inner = list(walk(stmt.body))
        if not self.target.unrolls or any(isinstance(s, For | While | Barrier | WarpOp | Print | Assert | Exit) for s in inner):
            return False
        checked = self.values.options.bounds_check and any(isinstance(s, Load | Store | Atomic) and s.checked for s in inner)
        return not checked and weight(stmt.body) <= 40

    def _plain(self, stmt: For, step: int) -> bool:
        """Whether a loop's variable does not overflow on its way past the end."""
        if step == 1:
            return True
        state = self.found.states.get(id(stmt)) if self.found is not None else None
        if step == 0 or state is None or self.found is None:
            return False
        low, high = interval(stmt.stop, state, self.found.facts)
        dtype = stmt.var.dtype
        return high + step - 1 <= dtype.maximum if step > 0 else dtype.kind == "i" and low + step + 1 >= dtype.minimum

    # ------------------------------------------------------------------------------------------------------------------ barriers

    def barrier(self, stmt: Barrier) -> None:
        match stmt.scope:
            case "warp":
                self.target.warp_barrier(self.w, id(stmt) in self.diverged)
            case "grid":
                self.grid_barrier()
            case "block" if stmt.reduce is None:
                self.target.barrier(self.w)
            case "block":
                self.reducing_barrier(stmt)

    def reducing_barrier(self, stmt: Barrier) -> None:
        """Count votes in shared memory: those for, or for "and" those against."""
        w, values, target = self.w, self.values, self.target
        assert stmt.var is not None and stmt.value is not None
        if not self.votes:
            self.votes = f"{target.pointer('shared')} @votes"
            variable = f"addrspace({target.spaces['shared']}) global"
            values.module.definitions["@votes"] = f"@votes = internal {variable} i32 undef, align 4"
            self.memory.shared_bytes += 16
        held = values.evaluate(stmt.value)
        counted = w.emit(f"xor i1 {held}, true") if stmt.reduce == "and" else held
        target.barrier(w)  # whoever still reads the last count has done so
        self._first_item(lambda: w.do(f"store i32 0, {self.votes}"))
        target.barrier(w)
        vote = w.emit(f"zext i1 {counted} to i32")
        w.emit(f"atomicrmw add {self.votes}, i32 {vote} {target.scope('block')} monotonic")
        target.barrier(w)
        count = w.emit(f"load i32, {self.votes}")
        if stmt.reduce != "count":
            count = w.emit(f"zext i1 {w.emit('icmp ' + ('eq' if stmt.reduce == 'and' else 'ne') + f' i32 {count}, 0')} to i32")
        values.write(stmt.var, count)

    def grid_barrier(self) -> None:
        """Blocks count themselves in; the last one starts the next generation, for which the others wait."""
        w, values, target = self.w, self.values, self.target
        values.capabilities.add("cooperative")
        arrived = f"{target.pointer('global')} {values.word('sync')}"
        generation = f"{target.pointer('global')} " + w.emit(f"getelementptr i32, {arrived}, i64 1")
        scope = target.scope("grid")

        def meet() -> None:
            target.fence(w, "grid")
            x, y, z = (values.word("grid", axis=axis) for axis in range(3))
            plane = w.emit(f"mul i64 {x}, {y}")
            blocks = w.emit(f"trunc i64 {w.emit(f'mul i64 {plane}, {z}')} to i32")
            now = w.emit(f"load atomic i32, {generation} {scope} monotonic, align 4")
            before = w.emit(f"atomicrmw add {arrived}, i32 1 {scope} acq_rel")
            last, wait, end = w.fresh("last"), w.fresh("wait"), w.fresh("met")
            w.branch_if(w.emit(f"icmp eq i32 {w.emit(f'add i32 {before}, 1')}, {blocks}"), last, wait)
            w.block(last)
            w.do(f"store atomic i32 0, {arrived} {scope} monotonic, align 4")
            w.emit(f"atomicrmw add {generation}, i32 1 {scope} release")
            w.branch(end)
            w.block(wait)
            seen = w.emit(f"load atomic i32, {generation} {scope} acquire, align 4")
            w.branch_if(w.emit(f"icmp eq i32 {seen}, {now}"), wait, end)
            w.block(end)
            target.fence(w, "grid")

        target.barrier(w)
        self._first_item(meet)
        target.barrier(w)

    def _first_item(self, action: Callable[[], None]) -> None:
        """What one work-item of the block does."""
        w = self.w
        one, end = w.fresh("one"), w.fresh("all")
        w.branch_if(w.emit(f"icmp eq i64 {self.values.thread_number()}, 0"), one, end)
        w.block(one)
        action()
        w.branch(end)
        w.block(end)

    # -------------------------------------------------------------------------------------------------------------------- reports

    def check(self, stmt: Assert) -> None:
        w, values = self.w, self.values
        bad, end = w.fresh("failed"), w.fresh("held")
        holds = values.evaluate(stmt.cond)
        some = values.some(w.emit(f"xor i1 {holds}, true"))
        if some is not None:
            mixed = w.fresh("mixed")
            w.branch_if(some, mixed, end)
            w.block(mixed)
        w.branch_if(holds, end, bad, likely=True)
        w.block(bad)
        values.fail(values.site("assert", stmt.loc, message=stmt.message), [])
        w.block(end)

    def print(self, stmt: Print) -> None:
        """Append a record: the values' bits, 8 bytes each."""
        w, values = self.w, self.values
        given = [p for p in stmt.parts if not isinstance(p, str)]
        parts = tuple(f"t{p}" if isinstance(p, str) else f"v{p.dtype}" for p in stmt.parts)
        site = values.site("print", stmt.loc, parts=parts)
        words = []
        for part in given:
            bits = to_bits(w, values.evaluate(part), part.dtype)
            words.append(bits if part.dtype.bits == 64 else w.emit(f"zext i{part.dtype.bits} {bits} to i64"))
        name = print_function(values.module, self.target, len(words))
        buffer = f"{self.target.pointer('global')} {values.word('print')}"
        place = f"i64 {values.block_number()}, i64 {values.thread_number()}, i64 {site}"
        w.do(f"call void {name}({buffer}, {place}{''.join(f', i64 {v}' for v in words)})")


# -------------------------------------------------------------------------------------------------------------------------- kernels


def exchanges(kernel: Kernel) -> bool:
    """Whether lanes of a warp deal with each other."""
    return any(isinstance(s, WarpOp) or (isinstance(s, Barrier) and s.scope == "warp") for s in walk(kernel.body))


def _refuse(kernel: Kernel, loc: Location, message: str, hint: str) -> CompileError:
    return CompileError(kernel.name, (Diagnostic(loc if loc is not UNKNOWN else kernel.loc, message, hint),))


UNROLLED = 512  # operations of a loop that is written out


def prepare(kernel: Kernel, target: Target, options: DeviceOptions) -> tuple[Kernel, Intervals | None]:
    """The kernel as it is emitted: without what launches make certain, barriers where all work-items pass, checks hoisted or proven,
    integers narrowed. And what is known of its integers, where that is of use."""
    kernel = assume(kernel, options.certain)
    if options.on_cpu:
        kernel = keep_order(kernel)
    for stmt in walk(kernel.body):
        if isinstance(stmt, Barrier) and stmt.scope == "grid" and "grid_barrier" in target.unsupported:
            raise _refuse(kernel, stmt.loc, f"{target.name} has no barrier of the whole grid", target.unsupported["grid_barrier"])
    uniform = uniform_barriers(kernel)
    if uniform is None and not target.divergent_barriers:
        where = next(s for s in walk(kernel.body) if isinstance(s, Barrier) and s.scope != "warp")
        message = f"{target.name} needs all work-items of a block to pass each barrier, but control flow around this one differs among them"
        raise _refuse(kernel, where.loc, message, "move the barrier out of the branch or loop whose condition depends on the work-item")
    kernel = uniform or kernel
    facts = options.facts
    if target.shared_counters:
        kernel = share_counters(kernel, facts)
    if options.small:
        if options.bounds_check:
            kernel = hoist_checks(kernel, {}, {}, facts, True, trust=target.narrow)
        shapes = dict.fromkeys(_variables(kernel), VARYING) if target.narrow else {}
        kernel = narrow(kernel, shapes, _EVERYTHING_VARIES if target.narrow else {}, analyse(kernel, facts), any_step=True)
        return kernel, analyse(kernel, facts) if target.narrow else None
    return kernel, None


def _variables(kernel: Kernel) -> set[str]:
    names = {p.name for p in kernel.params if not isinstance(p, Array)}
    return names | {v.name for s in walk(kernel.body) if (v := getattr(s, "var", None)) is not None}


def emit_device(kernel: Kernel, target: Target, options: DeviceOptions) -> DeviceCode:
    """LLVM IR of a kernel for a GPU. ``kernel`` has been through all shared passes and speaks of no range.

    Raises ``CompileError`` for what the target cannot do.
    """
    kernel, found = prepare(kernel, target, options)
    warps = exchanges(kernel)
    scalar = options.on_cpu and not warps and _cheaper_in_scalars(kernel)
    if scalar:
        options = replace(options, votes=False)  # there are no neighbours to ask
    wide = options.wide and not scalar and gains_by_width(kernel)
    values = Values(kernel, target, options, flat=warps and target.flat_warps)
    emitter = Simt(kernel, values, found)
    emitter.body(kernel.body)
    if values.w.terminated:
        values.w.block(values.w.fresh("end"))
    values.w.do("ret void")
    if values.flat:
        values.capabilities.add("subgroups32")
    if _mentions_half(kernel):
        values.capabilities.add("fp16")
    declared = {p.name for p in kernel.params}
    written = {s.array for s in walk(kernel.body) if isinstance(s, Store | Atomic)}

    def attributes(word: Word) -> str:
        if word.kind != "pointer":
            return ""
        given = word.name in declared  # an argument's array, which begins where its word says
        return "readonly" * (word.name not in written) + " noalias" * options.disjoint + " align 16" * (options.aligned and given)

    attached = target.attributes(options, warps or wide, scalar)
    entry = "ag_" + re.sub(r"[^A-Za-z0-9_]", "_", kernel.name)
    head = f"define {target.convention} void @{entry}({values.parameter_list(attributes)}) {attached}"
    values.module.definitions[f"@{entry}"] = f"{head} {{\n{values.w.body()}\n}}"
    rare = "alwaysinline" if len(values.sites) <= target.inlined_reports else "cold noinline"
    text = f"{values.module.text(target.triple, target.layout)}attributes #0 = {{ {rare} }}\n{target.metadata(options, values.flat)}"
    shared = emitter.memory.shared_bytes + (4 * (options.warp_slots + 64) if LANES in values.module.definitions else 0)
    return DeviceCode(
        kernel.name, target.name, entry, text, values.words(), tuple(values.sites), shared, emitter.memory.launch_shared_bytes,
        values.flat, frozenset(values.capabilities),
    )  # fmt: skip


def _cheaper_in_scalars(kernel: Kernel) -> bool:
    """Whether vectors do not pay on a CPU: gathers outweigh the arithmetic, or atomics in a loop take the lanes one by one anyway."""
    loops = (s for s in walk(kernel.body) if isinstance(s, For | While))
    if any(isinstance(inner, Atomic) for loop in loops for inner in walk(loop.body)):
        return True
    specials = {("thread", 0): Shape(1)}
    vector, scalar = costs(kernel, uniformity(kernel, specials), specials)
    return scalar < vector


def _mentions_half(kernel: Kernel) -> bool:
    """Whether a float16 occurs in any expression."""
    exprs = (e for s in walk(kernel.body) for o in operands(s) for e in subexpressions(o))
    return any(e.dtype.name == "float16" for e in exprs)


__all__ = ["Simt", "emit_device", "prepare"]
