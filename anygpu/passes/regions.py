"""Kernels with barriers as a program for the whole block: loops over strips between barriers.

If every barrier stands in control flow that all work-items of a block take together, the block can run the code between
two barriers (a *region*) for one strip of lanes after the other, and what lies around the barriers once. Variables then fall
into three sorts: those of the block, kept once; those of one region, kept in registers; and those that live from
region to region, kept in memory for each strip. A guard around everything (``if i < n``) becomes a variable that guards each region.

Control flow with barriers that differs from work-item to work-item cannot be planned so: ``plan_regions`` then returns None.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from anygpu.dtypes import bool_
from anygpu.ir.kernel import (
    Assign,
    Barrier,
    Block,
    Body,
    Exit,
    Expr,
    For,
    If,
    Kernel,
    Load,
    Ref,
    Stmt,
    Var,
    While,
    assigned,
    children,
    operands,
    subexpressions,
    walk,
)  # fmt: skip
from anygpu.passes.uniformity import VARYING, Shape, expression_shape, single_assignment_locals, uniformity


@dataclass(frozen=True)
class Region:
    """Statements that each strip runs on its own. ``guard`` names the work-items that take part; None for all."""

    body: Body
    guard: Var | None


@dataclass(frozen=True)
class Sync:
    """A barrier; with a reduction, a region of its own that votes."""

    barrier: Barrier
    guard: Var | None


@dataclass(frozen=True)
class Once:
    """A statement that the block runs once: it sets a variable of the block."""

    stmt: Assign | Load


@dataclass(frozen=True)
class BlockIf:
    cond: Expr
    then: Program
    orelse: Program


@dataclass(frozen=True)
class BlockFor:
    loop: For
    body: Program


@dataclass(frozen=True)
class BlockWhile:
    before: Program
    cond: Expr
    body: Program


@dataclass(frozen=True)
class BlockScope:
    label: str
    body: Program


@dataclass(frozen=True)
class BlockExit:
    label: str


Node = Region | Sync | Once | BlockIf | BlockFor | BlockWhile | BlockScope | BlockExit
Program = tuple[Node, ...]


@dataclass(frozen=True)
class Plan:
    """A block's program. ``block`` names the block's variables, ``carried`` those kept for each strip from region to region."""

    program: Program
    block: frozenset[str]
    carried: tuple[Var, ...]


class _Impossible(Exception):
    """The kernel's barriers do not stand in control flow common to the block."""


BLOCK_SPECIALS: dict[tuple[str, int], Shape] = {(name, axis): VARYING for name in ("thread", "lane", "warp") for axis in range(3)}


@dataclass
class _Planner:
    kernel: Kernel
    shapes: dict[str, Shape]
    block: frozenset[str] = frozenset()
    scopes: set[str] = field(default_factory=set)
    guards: int = 0

    def common(self, expr: Expr) -> bool:
        """Whether an expression has one value for the whole block, known without running a strip."""
        return expression_shape(expr, self.shapes, BLOCK_SPECIALS).uniform

    def belongs_to_block(self, stmt: Stmt) -> bool:
        """Whether the block, not each strip, must run a statement."""
        for inner in (stmt, *(s for body in children(stmt) for s in walk(body))):
            if isinstance(inner, Barrier) and inner.scope != "warp":
                return True
            if isinstance(inner, Exit) and inner.label in self.scopes:
                return True
            var = assigned(inner)
            if var is not None and var.name in self.block:
                return True
        return False

    def program(self, body: Body, guard: Var | None) -> Program:
        nodes: list[Node] = []
        pending: list[Stmt] = []

        def flush() -> None:
            if pending:
                nodes.append(Region(tuple(pending), guard))
                pending.clear()

        for stmt in body:
            if not self.belongs_to_block(stmt):
                pending.append(stmt)
                continue
            flush()
            nodes.extend(self.node(stmt, guard))
        flush()
        return tuple(nodes)

    def node(self, stmt: Stmt, guard: Var | None) -> Iterator[Node]:
        match stmt:
            case Barrier(scope="grid"):
                raise _Impossible
            case Barrier():
                yield Sync(stmt, guard)
            case Assign(value=value):
                if not self.common(value):
                    raise _Impossible
                yield Once(stmt)
            case Load():
                if guard is not None or not all(self.common(i) for i in stmt.index):
                    raise _Impossible  # a load that perhaps no work-item would do must not be reported
                yield Once(stmt)
            case If(cond=cond, then=then, orelse=orelse):
                if self.common(cond):
                    yield BlockIf(cond, self.program(then, guard), self.program(orelse, guard))
                    return
                if orelse or any(isinstance(s, Exit) for s in walk(then)):
                    raise _Impossible
                self.guards += 1
                inner = Var(f".guard.{self.guards}", bool_)
                self.shapes[inner.name] = VARYING
                condition: Expr = cond
                if guard is not None:
                    from anygpu.ir.build import op

                    condition = op("and", Ref(guard), cond)
                yield Region((Assign(inner, condition, stmt.loc),), None)
                yield from self.program(then, inner)
            case For(start=start, stop=stop, step=step):
                if not all(map(self.common, (start, stop, step))):
                    raise _Impossible
                yield BlockFor(stmt, self.program(stmt.body, guard))
            case While(cond=cond):
                if not self.common(cond):
                    raise _Impossible
                yield BlockWhile(self.program(stmt.before, guard), cond, self.program(stmt.body, guard))
            case Block(label=label):
                if any(isinstance(s, Exit) and s.label == label for s in walk(stmt.body)):
                    self.scopes.add(label)
                yield BlockScope(label, self.program(stmt.body, guard))
            case Exit(label=label):
                if guard is not None:
                    raise _Impossible
                yield BlockExit(label)
            case _:
                raise _Impossible


def _names(body: Body, guard: Var | None) -> set[str]:
    """Variables that a region reads or sets."""
    found = {guard.name} if guard is not None else set()
    for stmt in walk(body):
        var = assigned(stmt)
        if var is not None:
            found.add(var.name)
        for expr in operands(stmt):
            found |= {e.var.name for e in subexpressions(expr) if isinstance(e, Ref)}
    return found


def _set_before_read(body: Body, name: str) -> bool:
    """Whether a region sets a variable on every path before it reads it, in its own list of statements."""
    for stmt in body:
        if name in _names((stmt,), None):
            reads = any(isinstance(e, Ref) and e.var.name == name for expr in operands(stmt) for e in subexpressions(expr))
            var = assigned(stmt)
            return not reads and var is not None and var.name == name and not children(stmt)
    return False


def regions(program: Program) -> Iterator[Region | Sync]:
    """The regions of a program, in order."""
    for node in program:
        match node:
            case Region() | Sync():
                yield node
            case BlockIf(then=then, orelse=orelse):
                yield from regions(then)
                yield from regions(orelse)
            case BlockWhile(before=before, body=body):
                yield from regions(before)
                yield from regions(body)
            case BlockFor(body=body) | BlockScope(body=body):
                yield from regions(body)


def _control(program: Program) -> Iterator[Expr]:
    """The expressions that the block itself evaluates."""
    for node in program:
        match node:
            case Once(stmt=stmt):
                yield from operands(stmt)
            case BlockIf(cond=cond, then=then, orelse=orelse):
                yield cond
                yield from _control((*then, *orelse))
            case BlockWhile(before=before, cond=cond, body=body):
                yield cond
                yield from _control((*before, *body))
            case BlockFor(loop=loop, body=body):
                yield from operands(loop)
                yield from _control(body)
            case BlockScope(body=body):
                yield from _control(body)


def _region_names(node: Region | Sync) -> set[str]:
    if isinstance(node, Region):
        return _names(node.body, node.guard)
    return _names((node.barrier,), node.guard)


def plan_regions(kernel: Kernel) -> Plan | None:
    """How a block runs the kernel's regions; None if its barriers do not allow it."""
    shapes = uniformity(kernel, BLOCK_SPECIALS)
    local = single_assignment_locals(kernel)
    variables = {v.name: v for s in walk(kernel.body) if (v := assigned(s)) is not None}
    common = {name for name in variables if shapes.get(name, VARYING).uniform}
    block: frozenset[str] = frozenset()
    while True:
        planner = _Planner(kernel, dict(shapes), block)
        try:
            program = planner.program(kernel.body, None)
        except _Impossible:
            return None
        where: dict[str, list[Region | Sync]] = {}
        for region in regions(program):
            for name in _region_names(region):
                where.setdefault(name, []).append(region)
        controlled = {e.var.name for expr in _control(program) for e in subexpressions(expr) if isinstance(e, Ref)}
        several = {name for name, places in where.items() if len(places) > 1}
        block_loops = {n.loop.var.name for n in _block_loops(program)}
        wanted = frozenset(((several | controlled) & common) | block_loops | _sync_results(program))
        if wanted <= block:
            break
        block |= wanted
    carried = []
    for name, places in where.items():
        var = variables.get(name) or next((r.guard for r in places if r.guard is not None and r.guard.name == name), None)
        if var is None or name in block:
            continue
        alone = len(places) == 1 and isinstance(places[0], Region) and (name in local or _set_before_read(places[0].body, name))
        if not alone:
            carried.append(var)
    if any(name not in block and name in variables for name in controlled):
        return None
    return Plan(program, block, tuple(sorted(carried, key=lambda v: v.name)))


def _sync_results(program: Program) -> set[str]:
    return {n.barrier.var.name for n in regions(program) if isinstance(n, Sync) and n.barrier.var is not None}


def _block_loops(program: Program) -> Iterator[BlockFor]:
    for node in program:
        match node:
            case BlockFor(body=body):
                yield node
                yield from _block_loops(body)
            case BlockIf(then=then, orelse=orelse):
                yield from _block_loops((*then, *orelse))
            case BlockWhile(before=before, body=body):
                yield from _block_loops((*before, *body))
            case BlockScope(body=body):
                yield from _block_loops(body)
