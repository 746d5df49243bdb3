"""The CPU target: a kernel becomes ``run(args, begin, end, arena)``, which executes the blocks ``begin`` to ``end``.

``args`` is an array of 8-byte words: the launch (``LAUNCH_WORDS``), then each parameter (``parameter_words``). A block's
warps run as strips of lanes, one after the other; in a kernel with barriers each strip is a coroutine, suspended at
every barrier, with its frame in the worker's arena.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from anygpu.codegen.lanes import Lanes, LaneValues, Machine, Mask
from anygpu.codegen.llvm import Module, Writer, memory_type, scalar_type
from anygpu.codegen.spmd import Spmd
from anygpu.codegen.spmd_memory import Memory, MemoryAccess
from anygpu.codegen.targets.cpu_coroutines import emit_barrier, emit_coroutine
from anygpu.codegen.targets.cpu_regions import emit_regions
from anygpu.codegen.targets.cpu_support import SUPPORT_TABLE
from anygpu.dtypes import bool_, int64
from anygpu.errors import Site
from anygpu.ir.build import op
from anygpu.ir.kernel import (
    Array,
    Assign,
    Barrier,
    Body,
    Expr,
    If,
    Kernel,
    Op,
    Special,
    Var,
    WarpOp,
    assigned,
    operands,
    subexpressions,
    walk,
)
from anygpu.passes.hoist_checks import hoist_checks
from anygpu.passes.intervals import Facts, Intervals, analyse
from anygpu.passes.narrow import narrow
from anygpu.passes.propagate import propagate
from anygpu.passes.regions import plan_regions
from anygpu.passes.uniformity import UNIFORM, VARYING, Shape, consecutive, from_memory, single_assignment_locals, uniformity

LAUNCH_WORDS = ("grid_x", "grid_y", "grid_z", "block_x", "block_y", "block_z", "error", "print", "shared_bytes", "support")

# How a block's work-items lie in strips: "aligned" if the strip's width divides the block's x extent, "line" if the block
# has one axis, "general" otherwise (every position is then computed from the linear number).
Arrangement = Literal["aligned", "line", "general"]


@dataclass(frozen=True)
class CpuOptions:
    """What one compiled variant assumes of its launches and machine."""

    width: int
    arrangement: Arrangement
    small: bool
    bounds_check: bool
    mask_bits: int
    block: tuple[int, int, int] | None = None  # the block's extents, if the variant is made for them alone


@dataclass(frozen=True)
class CpuCode:
    """LLVM IR of a kernel and what its launches need to know."""

    text: str
    sites: tuple[Site, ...]
    shared_bytes: int
    coroutine: bool
    grid_barrier: bool


def parameter_words(param: Array | Var) -> int:
    """Words of a parameter: an array's address, extents and byte strides; a scalar's bits."""
    return 1 + 2 * param.ndim if isinstance(param, Array) else 1


def needs_whole_warps(kernel: Kernel) -> bool:
    """Whether something in the kernel can tell a warp of 32 from a narrower strip."""
    for stmt in walk(kernel.body):
        if isinstance(stmt, WarpOp) or (isinstance(stmt, Barrier) and stmt.scope == "warp"):
            return True
        for expr in operands(stmt):
            if any(isinstance(e, Special) and e.name in ("lane", "warp") for e in subexpressions(expr)):
                return True
    return False


def has_barrier(kernel: Kernel, scope: str) -> bool:
    return any(isinstance(s, Barrier) and s.scope == scope for s in walk(kernel.body))


class Emission:
    """One kernel's ``run`` function, or its strip coroutine and the scheduler of those."""

    def __init__(self, kernel: Kernel, options: CpuOptions):
        self.kernel = kernel
        self.options = options
        self.module = Module()
        self.w = Writer(self.module)
        barriers = has_barrier(kernel, "block") or has_barrier(kernel, "grid")
        self.plan = plan_regions(kernel) if barriers else None
        self.coroutine = barriers and self.plan is None
        self.grid_barrier = has_barrier(kernel, "grid")
        self.sync_slots = ""
        width = options.width
        thread = VARYING if options.arrangement == "general" else consecutive(width)
        self.special_shapes: dict[tuple[str, int], Shape] = {("thread", 0): thread, ("lane", 0): Shape(1, 32, 32)}
        if options.arrangement == "aligned":
            known = options.block[0] if options.block is not None else width
            self.special_shapes[("block_dim", 0)] = Shape(0, known & -known)
        if options.arrangement == "general":
            self.special_shapes |= {("thread", 1): VARYING, ("thread", 2): VARYING}
        if width == 1:
            self.special_shapes = {}
        body = kernel.body
        if options.arrangement == "line" and self.plan is None:
            # the last strip may be partial; the guard is one scalar comparison for the others
            body = (If(op("lt", Special("thread", 0), Special("block_dim", 0)), body),)
        self.kernel = Kernel(kernel.name, kernel.params, kernel.declared, body, 0, kernel.loc)
        self.found: Intervals | None = None
        if options.small:
            facts = Facts(options.small, options.block)
            shapes = uniformity(self.kernel, self.special_shapes)
            if options.bounds_check:
                self.kernel = hoist_checks(self.kernel, shapes, self.special_shapes, facts, width == 1)
            self.found = analyse(self.kernel, facts)
            self.kernel = narrow(self.kernel, shapes, self.special_shapes, self.found)
            if barriers:
                self.kernel = propagate(self.kernel, 6)  # a position is cheaper to compute again than to keep from region to region
        self.plan = plan_regions(self.kernel) if barriers else None
        self.memories: dict[str, Memory] = {}
        self.sites: list[Site] = []
        self._build()
        self.words: dict[str, str] = {}
        self.scalars: list[tuple[Var, str]] = []
        self.linear_block = self.first_thread = self.sync_base = self.phase = ""

    def _build(self) -> None:
        """The emitters of a strip; of one lane, where nothing varies and all code is scalar."""
        shapes = uniformity(self.kernel, self.special_shapes)
        machine = Machine(self.options.width, self.options.mask_bits)
        self.values = LaneValues(self.w, machine, shapes, frozenset(single_assignment_locals(self.kernel)))
        self.values.special_shapes = self.special_shapes
        self.values.found = self.found
        self.memory = MemoryAccess(
            self.values, self.memories, self, self.sites, self.options.small, self.options.bounds_check, from_memory(self.kernel)
        )
        self.spmd = Spmd(self.kernel, self.values, self.memory, self.barrier, self.print)

    # ------------------------------------------------------------------------------------------------------------- reports

    def _support(self, name: str, args: str) -> None:
        """Call a support function through the launch's table."""
        entry = self.w.emit(f"getelementptr ptr, ptr {self.words['support']}, i64 {SUPPORT_TABLE.index(name)}")
        self.w.do(f"call void {self.w.emit(f'load ptr, ptr {entry}')}({args})")

    def place(self) -> tuple[str, str, str, str]:
        return self.words["support"], self.words["error"], self.linear_block, self.first_thread

    def entry(self, name: str) -> int:
        return SUPPORT_TABLE.index(name)

    def print(self, site: int, lane: str, values: str, count: int) -> None:
        thread = self.w.emit(f"add i64 {self.first_thread}, {lane}")
        self._support("print", f"ptr {self.words['print']}, i64 {self.linear_block}, i64 {thread}, i64 {site}, ptr {values}, i64 {count}")

    # ---------------------------------------------------------------------------------------------------------- parameters

    def load_words(self, into: list[str]) -> None:
        """Read the launch and the parameters from ``args``, into the function's entry."""

        def word(n: int, llvm_type: str) -> str:
            name = f"%p{n}" if llvm_type != "i1" else f"%p{n}.b"
            into.append(f"  %w{n} = getelementptr i64, ptr %args, i64 {n}")
            into.append(f"  %p{n} = load {llvm_type if llvm_type != 'i1' else 'i8'}, ptr %w{n}, align 8")
            if llvm_type == "i1":
                into.append(f"  {name} = icmp ne i8 %p{n}, 0")
            return name

        for n, name in enumerate(LAUNCH_WORDS):
            self.words[name] = word(n, "ptr" if name in ("error", "print", "support") else "i64")
        if self.options.block is not None:
            self.words |= {f"block_{axis}": str(extent) for axis, extent in zip("xyz", self.options.block, strict=True)}
        position = len(LAUNCH_WORDS)
        for param in self.kernel.params:
            if isinstance(param, Array):
                address = word(position, "ptr")
                extents = tuple(word(position + 1 + k, "i64") for k in range(param.ndim))
                strides: list[str | int] = [word(position + 1 + param.ndim + k, "i64") for k in range(param.ndim)]
                if param.layout == "C" and param.ndim:
                    strides[-1] = param.itemsize
                self.memories[param.name] = Memory(param, address, extents, tuple(strides))
                for axis, extent in enumerate(extents):
                    self.values.dims[(param.name, axis)] = extent
            else:
                self.scalars.append((param, word(position, scalar_type(param.dtype))))
            position += parameter_words(param)

    def declare_arrays(self, shared: str, width: int) -> int:
        """Give each declared array its place; the bytes of static shared memory."""
        offset = 0
        for array in self.kernel.declared:
            shape = array.shape or ()
            strides: list[int] = []
            step = array.itemsize
            for extent in reversed(shape):
                strides.insert(0, step)
                step *= extent
            extents = tuple(str(n) for n in shape)
            if array.space == "shared" and shape == (0,):
                length = self.w.emit(f"udiv i64 {self.words['shared_bytes']}, {array.itemsize}")
                address = self.w.emit(f"getelementptr i8, ptr {shared}, i64 {self.static_shared_bytes()}")
                self.memories[array.name] = Memory(array, address, (length,), (array.itemsize,))
                self.values.dims[(array.name, 0)] = length
                continue
            if array.space == "shared":
                address = self.w.emit(f"getelementptr i8, ptr {shared}, i64 {offset}")
                offset += (step + 63) & -64
            elif array.space == "local":
                address = self.w.alloca(f"[{step * width} x i8]", 64)
                strides = [s * width for s in strides]
            else:
                address = self.module.constant_bytes(array.data or b"", 64)
            self.memories[array.name] = Memory(array, address, extents, tuple(strides))
        return offset

    def static_shared_bytes(self) -> int:
        total = 0
        for array in self.kernel.declared:
            if array.space == "shared" and array.shape != (0,):
                size = array.itemsize
                for n in array.shape or ():
                    size *= n
                total += (size + 63) & -64
        return total

    # ------------------------------------------------------------------------------------------------------------ positions

    def set_positions(self, block: tuple[str, str, str], linear_block: str, strip: str) -> Mask:
        """Define where the strip ``strip`` of a block stands; the mask of its lanes that exist."""
        w, values, width = self.w, self.values, self.options.width
        self.linear_block = linear_block
        self.first_thread = w.emit(f"mul i64 {strip}, {width}")
        bx, by = self.words["block_x"], self.words["block_y"]
        mask: Mask = None
        if self.options.arrangement == "aligned":
            rest = w.emit(f"udiv i64 {self.first_thread}, {bx}")
            thread = (w.emit(f"urem i64 {self.first_thread}, {bx}"), w.emit(f"urem i64 {rest}, {by}"), w.emit(f"udiv i64 {rest}, {by}"))
            positions = [Lanes(int64, thread[0], Shape(1)), Lanes(int64, thread[1], UNIFORM), Lanes(int64, thread[2], UNIFORM)]
        elif self.options.arrangement == "line":
            positions = [Lanes(int64, self.first_thread, Shape(1)), Lanes(int64, "0", UNIFORM), Lanes(int64, "0", UNIFORM)]
            if self.plan is not None:  # elsewhere a guard around the kernel does this with a scalar comparison
                line = w.emit(f"add <{width} x i64> {values.splat(self.first_thread, 'i64')}, {values.lane_numbers(int64)}")
                mask = values.mask_of(w.emit(f"icmp ult <{width} x i64> {line}, {values.vector(Lanes(int64, bx, UNIFORM))}"))
        else:
            t = f"<{width} x i64>"
            linear = w.emit(f"add {t} {values.splat(self.first_thread, 'i64')}, {values.lane_numbers(int64)}")
            x_extent, y_extent = (values.vector(Lanes(int64, extent, UNIFORM)) for extent in (bx, by))
            rest = w.emit(f"udiv {t} {linear}, {x_extent}")
            coordinates = (
                w.emit(f"urem {t} {linear}, {x_extent}"),
                w.emit(f"urem {t} {rest}, {y_extent}"),
                w.emit(f"udiv {t} {rest}, {y_extent}"),
            )
            positions = [Lanes(int64, c, VARYING) for c in coordinates]
            size = w.emit(f"mul i64 {w.emit(f'mul i64 {bx}, {by}')}, {self.words['block_z']}")
            mask = values.mask_of(w.emit(f"icmp ult {t} {linear}, {values.vector(Lanes(int64, size, UNIFORM))}"))
        self.define_positions(block, positions)
        return mask

    def define_positions(self, block: tuple[str, str, str], positions: list[Lanes]) -> None:
        """What the position words mean in the strip being emitted."""
        values = self.values
        for axis in range(3):
            values.specials[("thread", axis)] = positions[axis]
            values.specials[("block", axis)] = Lanes(int64, block[axis], UNIFORM)
            values.specials[("block_dim", axis)] = Lanes(int64, self.words[f"block_{'xyz'[axis]}"], UNIFORM)
            values.specials[("grid_dim", axis)] = Lanes(int64, self.words[f"grid_{'xyz'[axis]}"], UNIFORM)
        values.specials[("lane", 0)] = Lanes(int64, "0", Shape(1))
        values.specials[("warp", 0)] = Lanes(int64, self.w.emit(f"udiv i64 {self.first_thread}, 32"), UNIFORM)

    def strips_in_block(self) -> str:
        w = self.w
        size = w.emit(f"mul i64 {w.emit('mul i64 ' + self.words['block_x'] + ', ' + self.words['block_y'])}, {self.words['block_z']}")
        width = self.options.width
        return w.emit(f"udiv i64 {w.emit(f'add i64 {size}, {width - 1}')}, {width}")

    def block_position(self, linear: str) -> tuple[str, str, str]:
        w = self.w
        gx, gy = self.words["grid_x"], self.words["grid_y"]
        rest = w.emit(f"udiv i64 {linear}, {gx}")
        return w.emit(f"urem i64 {linear}, {gx}"), w.emit(f"urem i64 {rest}, {gy}"), w.emit(f"udiv i64 {rest}, {gy}")

    def count(self, end: str, begin: str, body: Callable[[str], None]) -> None:
        """A loop of scalar code from ``begin`` to ``end``; ``body`` gets the number."""
        w = self.w
        slot = w.alloca("i64")
        head, run, done = w.fresh("count"), w.fresh("turn"), w.fresh("counted")
        w.do(f"store i64 {begin}, ptr {slot}")
        w.block(head)
        now = w.emit(f"load i64, ptr {slot}")
        w.branch_if(w.emit(f"icmp ult i64 {now}, {end}"), run, done)
        w.block(run)
        body(now)
        w.do(f"store i64 {w.emit(f'add nuw nsw i64 {now}, 1')}, ptr {slot}")
        w.do(f"br label %{head}, !llvm.loop !1")  # never unrolled: its body is as wide as it should be
        w.terminated = True
        w.block(done)

    # ------------------------------------------------------------------------------------------------------------- functions

    def emit(self) -> CpuCode:
        if self.plan is not None:
            shared = emit_regions(self, self.plan)
        else:
            shared = emit_coroutine(self) if self.coroutine else self.emit_plain()
        return CpuCode("", tuple(self.sites), shared, self.coroutine or self.plan is not None, self.grid_barrier)

    def prepare(self) -> None:
        self.memory.trash = self.w.alloca("[64 x i8]", 64)
        self.module.definitions.setdefault("@zeros", "@zeros = private unnamed_addr constant [64 x i8] zeroinitializer, align 64")
        self.memory.zeros = "@zeros"
        self.values.parameters = {var.name: Lanes(var.dtype, text, UNIFORM) for var, text in self.scalars}

    def strip_body(self, body: Body, mask: Mask, guards: Sequence[tuple[Body, Expr]] = ()) -> None:
        """A body under a mask, and under those of guards around it."""
        start = len(self.w.lines)
        self.prepare()
        for prologue, cond in guards:
            self.spmd.body(prologue, mask)
            mask = self.values.mask_and(mask, self.values.condition(cond))
        self.spmd.body(body, mask)
        self.w.lines[start:start] = self.values.initial  # every variable of a strip starts as zero
        if self.w.terminated:
            self.w.block(self.w.fresh("after"))

    def emit_plain(self) -> int:
        w = self.w
        self.load_words(w.entry)
        shared = self.declare_arrays("%arena", self.options.width)

        def block(linear: str, position: tuple[str, str, str]) -> None:
            self.strips(linear, position, lambda number, mask: self._strip(position, mask))

        self.blocks(block)
        w.do("ret void")
        self.module.definitions["@run"] = f"define void @run(ptr %args, i64 %begin, i64 %end, ptr noalias %arena) {{\n{w.body()}\n}}"
        return shared

    def _strip(self, block: tuple[str, str, str], mask: Mask) -> None:
        """One strip. If a guard around all of the kernel holds in some lanes only, those run apart, under a mask."""
        guards, body = (
            self._guards() if mask is None and self.options.width > 1 and not needs_whole_warps(self.kernel) else ([], self.kernel.body)
        )
        if not guards:
            self.strip_body(self.kernel.body, mask)
            return
        w, values = self.w, self.values
        some_lanes, end = w.fresh("some_lanes"), w.fresh("strip_end")
        start = len(w.lines)
        self.prepare()
        for prologue, cond in guards:
            self.spmd.body(prologue, None)
            every, some = values.strip_test(cond) or ("false", "true")
            whole, partial = w.fresh("whole_strip"), w.fresh("partial")
            w.branch_if(every, whole, partial, likely=True)
            w.block(partial)
            w.branch_if(some, some_lanes, end)
            w.block(whole)
        self.spmd.body(body, None)
        w.lines[start:start] = values.initial
        w.branch(end)
        w.block(some_lanes)
        self._apart(block, guards, body)
        w.branch(end)
        w.block(end)

    def _guards(self) -> tuple[list[tuple[Body, Expr]], Body]:
        """The kernel as a chain of guards (assignments, then an ``if`` without ``else`` that scalars can test) around a body.

        Nothing has happened yet where a guard is tested, so that the strip can still be run apart from the start.
        """
        guards: list[tuple[Body, Expr]] = []
        body = self.kernel.body
        while body and isinstance(body[-1], If) and not body[-1].orelse and all(isinstance(s, Assign) for s in body[:-1]):
            if not self._affine_test(body[-1].cond):
                break
            guards.append((body[:-1], body[-1].cond))
            body = body[-1].then
        return guards, body

    def _affine_test(self, cond: Expr) -> bool:
        shape_of = self.values.shape_of
        match cond:
            case _ if shape_of(cond).uniform:
                return True
            case Op(name="and" | "or", args=args) | Op(name="not", args=args):
                return all(map(self._affine_test, args))
            case Op(name="lt" | "le" | "gt" | "ge", args=(a, b)) if a.dtype.is_integer:
                return VARYING not in (shape_of(a), shape_of(b)) and (shape_of(a).uniform or shape_of(b).uniform)
        return False

    def _apart(self, block: tuple[str, str, str], guards: list[tuple[Body, Expr]], body: Body) -> None:
        """Call a function for a strip in which the guards hold for some lanes, under their mask: a function of its own, so that what it
        needs takes no registers from the loop over whole strips."""
        position = [self.values.specials[("thread", axis)].text for axis in range(3)]
        given = (self.linear_block, *block, *position, self.first_thread)
        self.w.do(f"call void @some_lanes(ptr %args, ptr %arena, {', '.join(f'i64 {text}' for text in given)})")
        outer = (self.w, self.values, self.memory, self.spmd, self.words, self.scalars, self.linear_block, self.first_thread)
        memories = dict(self.memories)
        self.w = Writer(self.module)
        self.words, self.scalars = {}, []
        self._build()
        self.load_words(self.w.entry)
        self.declare_arrays("%arena", self.options.width)
        self.linear_block, self.first_thread = "%linear", "%first"
        x = Lanes(int64, "%tx", Shape(1))
        self.define_positions(("%bx", "%by", "%bz"), [x, Lanes(int64, "%ty", UNIFORM), Lanes(int64, "%tz", UNIFORM)])
        self.strip_body(body, None, guards)
        self.w.do("ret void")
        parameters = ", ".join(f"i64 {name}" for name in ("%linear", "%bx", "%by", "%bz", "%tx", "%ty", "%tz", "%first"))
        self.module.definitions["@some_lanes"] = (
            f"define internal void @some_lanes(ptr %args, ptr noalias %arena, {parameters}) noinline {{\n{self.w.body()}\n}}"
        )
        self.w, self.values, self.memory, self.spmd, self.words, self.scalars, self.linear_block, self.first_thread = outer
        self.memories.clear()
        self.memories.update(memories)

    def blocks(self, body: Callable[[str, tuple[str, str, str]], None]) -> None:
        """Walk the blocks from ``begin`` to ``end``: the position is divided out once and counted on from there."""
        w = self.w
        slots = [w.alloca("i64") for _ in range(3)]
        for slot, value in zip(slots, self.block_position("%begin"), strict=True):
            w.do(f"store i64 {value}, ptr {slot}")

        def turn(linear: str) -> None:
            x, y, z = (w.emit(f"load i64, ptr {slot}") for slot in slots)
            body(linear, (x, y, z))
            carry = "true"
            for slot, value, axis in zip(slots, (x, y, z), "xyz", strict=True):
                following = w.emit(f"select i1 {carry}, i64 {w.emit(f'add i64 {value}, 1')}, i64 {value}")
                wraps = w.emit(f"icmp eq i64 {following}, {self.words[f'grid_{axis}']}")
                w.do(f"store i64 {w.emit(f'select i1 {wraps}, i64 0, i64 {following}')}, ptr {slot}")
                carry = wraps if carry == "true" else w.emit(f"and i1 {carry}, {wraps}")

        self.count("%end", "%begin", turn)

    def strips(self, linear: str, position: tuple[str, str, str], body: Callable[[str, Mask], None]) -> None:
        """Walk the strips of a block, with its position words defined; ``body`` gets the strip's number and mask."""
        if self.options.arrangement != "aligned":
            self.count(self.strips_in_block(), "0", lambda number: body(number, self.set_positions(position, linear, number)))
            return
        # a block whose x extent is a multiple of the width: three nested loops, no division
        w, width = self.w, self.options.width
        bx, by, bz = (self.words[f"block_{axis}"] for axis in "xyz")
        across = w.emit(f"udiv i64 {bx}, {width}")

        def plane(z: str) -> None:
            def row(y: str) -> None:
                rows = w.emit(f"add i64 {w.emit(f'mul i64 {z}, {by}')}, {y}")
                first = w.emit(f"mul i64 {rows}, {bx}")

                def strip(number: str) -> None:
                    x = w.emit(f"mul i64 {number}, {width}")
                    self.linear_block = linear
                    self.first_thread = w.emit(f"add i64 {first}, {x}")
                    self.define_positions(
                        position,
                        [
                            Lanes(int64, x, self.special_shapes.get(("thread", 0), UNIFORM)),
                            Lanes(int64, y, UNIFORM),
                            Lanes(int64, z, UNIFORM),
                        ],
                    )
                    body(self.w.emit(f"udiv exact i64 {self.first_thread}, {width}"), None)

                self.count(across, "0", strip)

            self.count(by, "0", row)

        self.count(bz, "0", plane)

    def round_up(self, size: str) -> str:
        """A number of bytes rounded up to whole cache lines."""
        padded = self.w.emit(f"add i64 {size}, 63")
        return self.w.emit(f"and i64 {padded}, -64")

    def start_function(self) -> None:
        """Begin another function of the module, which reads the launch's words anew."""
        self.w = self.values.w = Writer(self.module)
        self.words, self.scalars = {}, []

    def variable(self, name: str) -> Var:
        """The variable of a name."""
        return next(v for s in walk(self.kernel.body) if (v := assigned(s)) is not None and v.name == name)

    def finish_function(self, signature: str, ending: str) -> None:
        self.w.do(ending)
        name = signature.partition("@")[2].partition("(")[0]
        self.module.definitions[f"@{name}"] = f"define {signature} {{\n{self.w.body()}\n}}"

    def barrier(self, stmt: Barrier, mask: Mask) -> None:
        if stmt.scope != "warp":  # the lanes of a strip go in step
            emit_barrier(self, stmt, mask)


def emit_cpu(kernel: Kernel, options: CpuOptions, triple: str) -> CpuCode:
    """LLVM IR of a kernel for CPUs. ``kernel`` has been through all passes and speaks of no range."""
    emission = Emission(kernel, options)
    code = emission.emit()
    return CpuCode(emission.module.text(triple), code.sites, code.shared_bytes, code.coroutine, code.grid_barrier)


__all__ = ["LAUNCH_WORDS", "Body", "CpuCode", "CpuOptions", "bool_", "emit_cpu", "memory_type", "needs_whole_warps", "parameter_words"]
