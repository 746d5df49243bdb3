"""The executable definition of KERNEL IR over NumPy: what every back end must reproduce bit for bit.

The work-items of a block run in lockstep, each statement once for all that are active, as one array operation over them. Blocks
run one after another in linear order, x fastest; all together if the kernel has a barrier of the whole grid. What the
IR leaves to the device has one meaning here:

- ``If`` runs both sides, each for its own work-items; a loop runs while any is left in it; ``Exit`` takes work-items to the end of its
  block. They meet again at the end of the construct. A barrier waits for nobody: in lockstep those who can arrive together have.
- Every variable starts as zero. Shared and local arrays start as bytes of ``fill``; a program that reads them before it writes them
  has no meaning (``sanitize`` finds it).
- Of several work-items that store to one element in one statement, the highest wins. Atomics apply in the order of work-items.
- A work-item whose access is out of bounds or whose assertion fails goes on, and its failure is recorded. A load out of bounds gives 0.
- After a loop its variable holds the value of the last iteration, and what it held before if there was none.
- The work-items of a range launch are numbered in array order: block by block, within a block x fastest, unravelled over the extent
  with the last axis fastest. Those beyond the range run nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from anygpu.errors import InternalError, LaunchError
from anygpu.ir import interp_atomics, interp_warp
from anygpu.ir.interp_launch import Access, AccessKind, Geometry, Observer, Outcome, Printed, Recorder, StepLimitError, Triple
from anygpu.ir.interp_memory import Index, Lanes, Scratch, Storage, bind_arrays, bind_scalars, scratch
from anygpu.ir.interp_values import Libm, Values, cast, evaluate, format_value
from anygpu.ir.kernel import (
    Array,
    Assert,
    Assign,
    Atomic,
    Barrier,
    Bitcast,
    Block,
    Body,
    Cast,
    Const,
    Dim,
    Exit,
    Expr,
    Fence,
    For,
    If,
    Kernel,
    Load,
    Op,
    Prefetch,
    Print,
    Ref,
    Special,
    Stmt,
    Store,
    Var,
    WarpOp,
    While,
    walk,
)
from anygpu.ir.text import print_statement
from anygpu.ir.verify import verify

__all__ = ["Outcome", "StepLimitError", "interpret"]

def interpret(
    kernel: Kernel,
    arguments: Sequence[object],
    grid: Triple,
    block: Triple,
    extent: tuple[int, ...] = (),
    shared_bytes: int = 0,
    *,
    libm: Libm = "error",
    fill: int = 0,
    max_steps: int = 10_000_000,
    max_failures: int = 10_000,
    observer: Observer | None = None,
) -> Outcome:
    """Run ``kernel`` on NumPy arrays, which it changes in place, and on scalars.

    ``arguments`` are in the order of ``kernel.params``: for an array, a NumPy array of its rank and item size, any strides; for a
    scalar, a number that its dtype holds. ``extent`` is the range of a range launch, ``shared_bytes`` the size of dynamic shared
    memory. ``libm`` as for ``interp_values.evaluate``. ``fill`` is the byte that shared and local memory starts with. A statement
    counts as one step each time it runs.

    Raises ``InternalError`` for a kernel that is not well-formed or whose unchecked access leaves its array, ``ArgumentError``
    and ``LaunchError`` for what the kernel cannot take, ``StepLimitError`` after ``max_steps``.

    >>> import numpy as np
    >>> from anygpu.ir.text import parse_kernel
    >>> kernel = parse_kernel('''
    ... kernel double:
    ...     param x: float32[:]
    ...     i: int64 = block.x * block_dim.x + thread.x
    ...     v: float32 = x[i]
    ...     x[i] = v + v
    ... ''')
    >>> x = np.arange(3, dtype=np.float32)
    >>> outcome = interpret(kernel, [x], (1, 1, 1), (4, 1, 1))
    >>> x
    array([0., 2., 4.], dtype=float32)
    >>> outcome.failures[0].message
    "index (3,) is out of bounds for array 'x' of shape (3,)"
    """
    verify(kernel)
    if len(arguments) != len(kernel.params):
        raise LaunchError(f"kernel '{kernel.name}' takes {len(kernel.params)} arguments, not {len(arguments)}")
    if min(grid) < 0 or min(block) < 1 or shared_bytes < 0 or len(grid) != 3 or len(block) != 3:
        raise LaunchError(f"cannot launch grid {grid}, block {block}, {shared_bytes} bytes of shared memory")
    if len(extent) != kernel.range_ndim or any(length < 0 for length in extent):
        raise LaunchError(f"kernel '{kernel.name}' runs over a range of {kernel.range_ndim} axes, not {extent}")
    launch = _Launch(
        kernel, Geometry(grid, block, extent), bind_arrays(kernel, arguments), bind_scalars(kernel, arguments),
        Recorder(Geometry(grid, block, extent), max_failures), libm, max_steps, observer,
    )  # fmt: skip
    together = any(isinstance(stmt, Barrier) and stmt.scope == "grid" for stmt in walk(kernel.body))
    blocks = launch.geometry.blocks
    groups = [(0, blocks)] if together else [(number, 1) for number in range(blocks)]
    # Out-of-range conversions, overflow and division by zero all have defined results here: none is worth a warning.
    with np.errstate(all="ignore"):
        for first, count in groups:
            if count:
                memory = scratch(kernel, count, launch.geometry.threads, shared_bytes, fill)
                if observer is not None:
                    observer.begin(first, count, launch.arrays, memory)
                _Machine(launch, first, count, memory).run_all()
    return launch.recorder.outcome(launch.steps)


@dataclass
class _Launch:
    """What all blocks share."""

    kernel: Kernel
    geometry: Geometry
    arrays: dict[str, Storage]
    scalars: dict[str, np.generic]
    recorder: Recorder
    libm: Libm
    max_steps: int
    observer: Observer | None
    steps: int = 0

    def step(self, stmt: Stmt, lane: int) -> None:
        self.steps += 1
        if self.steps > self.max_steps:
            raise StepLimitError(self.kernel.name, self.max_steps, stmt, *self.geometry.place(lane))


def _tail_labels(body: Body) -> set[str]:
    """The labels of blocks with nothing after them: an exit from one is a return."""
    match body[-1] if body else None:
        case Block(label=label, body=inner):
            return {label} | _tail_labels(inner)
        case If(then=then, orelse=orelse):
            return _tail_labels(then) | _tail_labels(orelse)
        case _:
            return set()


def _merge(a: Lanes, b: Lanes) -> Lanes:
    if not len(a) or not len(b):
        return b if len(b) else a
    return np.sort(np.concatenate((a, b)))


_NONE: Lanes = np.zeros(0, np.intp)


class _Machine:
    """Runs the blocks ``first .. first + blocks - 1`` in lockstep. ``lanes`` are work-item numbers within these blocks, ascending."""

    def __init__(self, launch: _Launch, first: int, blocks: int, memory: Scratch) -> None:
        self.launch = launch
        self.geometry = launch.geometry
        self.count = blocks * self.geometry.threads
        self.first_lane = first * self.geometry.threads
        self.storages = {**launch.arrays, **memory.storages}
        self.variables: dict[str, Values] = {name: np.full(self.count, value) for name, value in launch.scalars.items()}
        self.specials: dict[Special, Values] = {}
        self.exits: dict[str, list[Lanes]] = {}
        self.tails = _tail_labels(launch.kernel.body) if launch.observer is not None else set()

        everyone = np.arange(self.count)
        self.number = everyone + self.first_lane  # within the grid
        self.thread = everyone % self.geometry.threads
        self.block = everyone // self.geometry.threads  # within these blocks
        self.warp = self.block * -(-self.geometry.threads // interp_warp.WARP) + self.thread // interp_warp.WARP
        inside = self.number < math.prod(self.geometry.extent)
        self.everyone: Lanes = everyone[inside] if launch.kernel.range_ndim else everyone
        self.never: Lanes = everyone[~inside] if launch.kernel.range_ndim else _NONE

    def run_all(self) -> None:
        self.body(self.launch.kernel.body, self.everyone)

    # Expressions ----------------------------------------------------------------------------------------------

    def value(self, expr: Expr, lanes: Lanes) -> Values:
        """The values for ``lanes`` in order, of exactly the expression's dtype. The array may be a variable's own: not to be kept."""
        match expr:
            case Const(value=value, dtype=dtype):
                return np.full(len(lanes), value, dtype.numpy)
            case Ref(var=var):
                return self.some(self.variable(var), lanes)
            case Op(name=name, args=args):
                return evaluate(name, [self.value(arg, lanes) for arg in args], [arg.dtype for arg in args], self.launch.libm)
            case Cast(arg=arg, dtype=dtype):
                return cast(self.value(arg, lanes), arg.dtype, dtype)
            case Bitcast(arg=arg, dtype=dtype):
                return np.ascontiguousarray(self.value(arg, lanes)).view(dtype.numpy)
            case Special():
                if expr not in self.specials:
                    self.specials[expr] = self.special(expr).astype(expr.dtype.numpy)
                return self.some(self.specials[expr], lanes)
            case Dim(array=name, axis=axis, dtype=dtype):
                return np.full(len(lanes), self.storages[name].extents[axis], dtype.numpy)

    def some(self, everyones: Values, lanes: Lanes) -> Values:
        return everyones if len(lanes) == self.count else everyones[lanes]

    def condition(self, expr: Expr, lanes: Lanes) -> NDArray[np.bool_]:
        return self.value(expr, lanes).astype(np.bool_)

    def variable(self, var: Var) -> Values:
        if var.name not in self.variables:
            self.variables[var.name] = np.zeros(self.count, var.dtype.numpy)
        return self.variables[var.name]

    def special(self, expr: Special) -> Values:
        geometry, axis = self.geometry, expr.axis
        match expr.name:
            case "thread":
                return self.thread // math.prod(geometry.block[:axis]) % geometry.block[axis]
            case "block":
                return self.number // geometry.threads // math.prod(geometry.grid[:axis]) % geometry.grid[axis]
            case "block_dim":
                return np.full(self.count, geometry.block[axis])
            case "grid_dim":
                return np.full(self.count, geometry.grid[axis])
            case "lane":
                return self.thread % interp_warp.WARP
            case "warp":
                return self.thread // interp_warp.WARP
            case "extent":
                return np.full(self.count, geometry.extent[axis])
            case "index":
                return self.number // max(1, math.prod(geometry.extent[axis + 1 :])) % max(1, geometry.extent[axis])

    # Statements -----------------------------------------------------------------------------------------------

    def body(self, body: Body, lanes: Lanes) -> Lanes:
        """Run statements for ``lanes``; those that reach the end."""
        for stmt in body:
            if not len(lanes):
                break
            self.launch.step(stmt, int(self.number[lanes[0]]))
            lanes = self.statement(stmt, lanes)
        return lanes

    def statement(self, stmt: Stmt, lanes: Lanes) -> Lanes:
        match stmt:
            case Assign(var=var, value=value):
                self.variable(var)[lanes] = self.value(value, lanes)
            case Load() | Store() | Atomic():
                self.access(stmt, lanes)
            case Barrier():
                self.barrier(stmt, lanes)
            case Fence() | Prefetch():
                pass  # statements take effect in order here
            case WarpOp(var=var, op=op, args=args, mask=mask, width=width):
                values = [self.value(arg, lanes) for arg in args]
                dtypes = [arg.dtype for arg in args]
                positions = self.thread[lanes] % interp_warp.WARP
                self.variable(var)[lanes] = interp_warp.exchange(
                    op, values, dtypes, self.value(mask, lanes), width, self.warp[lanes], positions
                )
            case If(cond=cond, then=then, orelse=orelse):
                holds = self.condition(cond, lanes)
                yes = self.body(then, lanes[holds])
                return _merge(yes, self.body(orelse, lanes[~holds]))
            case For():
                return self.count_loop(stmt, lanes)
            case While():
                return self.while_loop(stmt, lanes)
            case Block(label=label, body=body):
                rest = self.body(body, lanes)
                for left in self.exits.pop(label, []):
                    rest = _merge(rest, left)
                return rest
            case Exit(label=label):
                self.exits.setdefault(label, []).append(lanes)
                return _NONE
            case Print():
                self.print(stmt, lanes)
            case Assert(cond=cond):
                failed = self.number[lanes[~self.condition(cond, lanes)]]
                if len(failed):
                    self.launch.recorder.assertion(stmt, failed)
                    if self.launch.observer is not None:
                        self.launch.observer.failure(stmt, None, failed, ())
        return lanes

    def while_loop(self, stmt: While, lanes: Lanes) -> Lanes:
        done: list[Lanes] = []
        while len(lanes):
            self.launch.step(stmt, int(self.number[lanes[0]]))
            lanes = self.body(stmt.before, lanes)
            if len(lanes):
                holds = self.condition(stmt.cond, lanes)
                done.append(lanes[~holds])
                lanes = self.body(stmt.body, lanes[holds])
        return np.sort(np.concatenate(done)) if done else _NONE

    def count_loop(self, stmt: For, lanes: Lanes) -> Lanes:
        dtype = stmt.var.dtype
        start, stop, step = (self.value(bound, lanes) for bound in (stmt.start, stmt.stop, stmt.step))
        trips = np.zeros(self.count, np.uint64)
        trips[lanes] = trip_count(start, stop, step)
        # Two's complement: the value of iteration k is start + k * step modulo 2**64, and lies in range while k < trips.
        first, stride = np.zeros(self.count, np.uint64), np.zeros(self.count, np.uint64)
        first[lanes], stride[lanes] = start.astype(np.int64).view(np.uint64), step.astype(np.int64).view(np.uint64)
        done: list[Lanes] = []
        iteration = 0
        while len(lanes):
            self.launch.step(stmt, int(self.number[lanes[0]]))
            left = np.uint64(iteration) < trips[lanes]
            done.append(lanes[~left])
            lanes = lanes[left]
            if len(lanes):
                self.variable(stmt.var)[lanes] = (first[lanes] + np.uint64(iteration) * stride[lanes]).astype(dtype.numpy)
                lanes = self.body(stmt.body, lanes)
            iteration += 1
        return np.sort(np.concatenate(done)) if done else _NONE

    def access(self, stmt: Load | Store | Atomic, lanes: Lanes) -> None:
        storage = self.storages[stmt.array]
        index = tuple(self.value(axis, lanes).astype(np.int64, copy=False) for axis in stmt.index)
        given = (stmt.value,) if isinstance(stmt, Store) else (stmt.operands if isinstance(stmt, Atomic) else ())
        values = [self.value(operand, lanes) for operand in given]
        inside = storage.inside(index, len(lanes))
        target = None if isinstance(stmt, Store) else stmt.var
        if not inside.all():
            outside = ~inside
            self.out_of_bounds(stmt, storage, lanes[outside], tuple(axis[outside] for axis in index))
            if target is not None:
                self.variable(target)[lanes[outside]] = 0
            lanes, index, values = lanes[inside], tuple(axis[inside] for axis in index), [value[inside] for value in values]
        slots = self.slots(storage.array, lanes)
        observer = self.launch.observer
        if observer is not None and len(lanes):
            kind: AccessKind = "load" if isinstance(stmt, Load) else ("store" if isinstance(stmt, Store) else "atomic")
            stored = values[0] if isinstance(stmt, Store) else None
            observer.access(Access(stmt, kind, storage, self.number[lanes], slots, index, stored))
        match stmt:
            case Load(var=var, field=field):
                self.variable(var)[lanes] = storage.gather(field, slots, index)
            case Store(field=field):
                storage.scatter(field, slots, index, values[0])
            case Atomic(var=maybe, op=op, field=field):
                old = interp_atomics.apply(op, storage, field, slots, index, values)
                if maybe is not None:
                    self.variable(maybe)[lanes] = old

    def slots(self, array: Array, lanes: Lanes) -> Lanes:
        if array.space == "local":
            return lanes
        return self.block[lanes] if array.space == "shared" else np.zeros(len(lanes), np.intp)

    def out_of_bounds(self, stmt: Load | Store | Atomic, storage: Storage, lanes: Lanes, index: tuple[Index, ...]) -> None:
        if not stmt.checked:
            at = tuple(int(axis[0]) for axis in index)
            raise InternalError(
                f"the unchecked access '{print_statement(stmt)}' is at {at}, outside shape {storage.extents}\n{stmt.loc.render()}"
            )
        numbers = self.number[lanes]
        self.launch.recorder.index(stmt, storage, numbers, index)
        if self.launch.observer is not None:
            self.launch.observer.failure(stmt, storage, numbers, index)

    def barrier(self, stmt: Barrier, lanes: Lanes) -> None:
        if self.launch.observer is not None:
            returned = self.never
            for label in self.tails:
                for left in self.exits.get(label, []):
                    returned = _merge(returned, left)
            self.launch.observer.barrier(stmt, self.number[lanes], self.number[returned])
        if stmt.var is None or stmt.value is None:
            return
        held = self.condition(stmt.value, lanes)
        # Count separately for each block: those who arrive, and those of them for whom it holds.
        blocks = self.block[lanes]
        arrived, true = np.bincount(blocks), np.bincount(blocks, held).astype(np.int64)
        found = {"count": true, "and": (true == arrived).astype(np.int64), "or": (true > 0).astype(np.int64)}[stmt.reduce or "count"]
        self.variable(stmt.var)[lanes] = found[blocks]

    def print(self, stmt: Print, lanes: Lanes) -> None:
        columns = [
            [part] * len(lanes) if isinstance(part, str) else [format_value(item, part.dtype) for item in self.value(part, lanes)]
            for part in stmt.parts
        ]
        for position, lane in enumerate(self.number[lanes].tolist()):
            text = "".join(column[position] for column in columns)
            self.launch.recorder.prints.append(Printed(text, stmt.loc, *self.geometry.place(lane)))


def trip_count(start: Values, stop: Values, step: Values) -> NDArray[np.uint64]:
    """How many values ``range(start, stop, step)`` has, for integers of one dtype; a step of 0 has none. Nothing overflows."""

    def bits(value: Values) -> NDArray[np.uint64]:
        return value.astype(np.int64).view(np.uint64)

    positive, negative = step > 0, step < 0  # type: ignore[operator]
    span = np.where(positive, bits(stop) - bits(start), bits(start) - bits(stop))
    size = np.where(positive, bits(step), np.where(negative, np.uint64(0) - bits(step), np.uint64(1)))
    runs = np.where(positive, start < stop, negative & (start > stop))  # type: ignore[operator]
    return np.where(runs, (span - np.uint64(1)) // size + np.uint64(1), np.uint64(0))
