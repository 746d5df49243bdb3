"""The branches of elementary functions that hardly a lane takes: run lane by lane, in a function of their own.

Such a branch (the reduction of huge arguments of sin and cos) is long and of 64-bit integers, which vectors are poor at: as vectors it
was half of the time that a kernel with a sine took to compile, and of its code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from anygpu.codegen.lanes import Lanes, LaneValues, Machine
from anygpu.codegen.llvm import Writer, memory_type
from anygpu.codegen.spmd_memory import MemoryAccess
from anygpu.dtypes import bool_
from anygpu.ir.kernel import Assign, Body, If, Kernel, Load, Ref, Stmt, Var, assigned, children, operands, subexpressions, walk
from anygpu.passes.expand import is_of_function
from anygpu.passes.uniformity import UNIFORM, VARYING

if TYPE_CHECKING:
    from anygpu.codegen.spmd import Spmd


def is_rare(kernel: Kernel, stmt: If) -> bool:
    """Whether a branch is an elementary function's for rare arguments: it reads a table of constants that the function has, and sets
    variables of the function alone. A kernel's own branch around a call sets others too."""
    tables = {a.name for a in kernel.declared if a.data is not None and a.name.startswith(".")}
    return not stmt.orelse and any(isinstance(s, Load) for s in walk(stmt.then)) and all(_computes(s, tables) for s in stmt.then)


def _computes(stmt: Stmt, tables: set[str]) -> bool:
    """Whether a statement does nothing but compute: it reads tables at most, where they have elements."""
    match stmt:
        case Assign(var=var):
            return is_of_function(var)
        case Load(var=var, array=array, checked=checked):
            return array in tables and not checked and is_of_function(var)
        case If():
            return all(_computes(s, tables) for part in children(stmt) for s in part)
    return False


def by_lanes(spmd: Spmd, body: Body, mask: str) -> None:
    """Run a body for the lanes of a mask, of which some are set: a call that finds what it reads in memory, a vector for each variable."""
    values, w = spmd.values, spmd.w
    needed = _interface(spmd.kernel, body)
    places = []
    for var in needed:
        value = values.read(var)
        t = f"<{values.width} x {memory_type(var.dtype)}>"
        place = w.alloca(t, 64)
        w.do(f"store {t} {_stored(w, var, values.vector(value), values.width)}, ptr {place}")
        places.append((var, t, place))
    name = f"rare_{len(w.module.definitions)}"
    bits = values.mask_bits(mask)
    wide = bits if values.width == 64 else w.emit(f"zext i{values.width} {bits} to i64")
    w.do(f"call void @{name}({', '.join([f'i64 {wide}', *(f'ptr {place}' for _, _, place in places)])})")
    changed = {v.name for s in walk(body) if (v := assigned(s)) is not None}
    for var, t, place in places:
        if var.name in changed:
            loaded = w.emit(f"load {t}, ptr {place}")
            if var.dtype is bool_:
                loaded = w.emit(f"icmp ne {t} {loaded}, zeroinitializer")
            values.write(var, Lanes(var.dtype, loaded, VARYING), None)
    w.module.definitions[f"@{name}"] = _function(spmd, name, body, needed)


def _interface(kernel: Kernel, body: Body) -> list[Var]:
    """The variables of a body that are mentioned outside of it as well, or read before they are set: by name."""
    inside = {id(s) for s in walk(body)}
    within = _mentioned(s for s in walk(body))
    outside = _mentioned(s for s in walk(kernel.body) if id(s) not in inside)
    return [within[name] for name in sorted(within) if name in outside]


def _mentioned(statements: object) -> dict[str, Var]:
    found: dict[str, Var] = {}
    for stmt in statements:  # type: ignore[attr-defined]
        var = assigned(stmt)
        if var is not None:
            found[var.name] = var
        for expr in operands(stmt):
            found |= {e.var.name: e.var for e in subexpressions(expr) if isinstance(e, Ref)}
    return found


def _stored(w: Writer, var: Var, vector: str, width: int) -> str:
    """A vector as it is in memory, where a bool is a byte."""
    return w.emit(f"zext <{width} x i1> {vector} to <{width} x i8>") if var.dtype is bool_ else vector


def _function(spmd: Spmd, name: str, body: Body, needed: list[Var]) -> str:
    from anygpu.codegen.spmd import Spmd

    w = Writer(spmd.w.module)
    values = LaneValues(w, Machine(1, spmd.values.machine.mask_bits), {}, spmd.values.local)
    outer = spmd.memory
    memory = MemoryAccess(values, outer.memories, outer.support, outer.sites, outer.small, False, outer.from_memory)
    lanes = Spmd(spmd.kernel, values, memory, spmd.emit_barrier, spmd.emit_print)
    rest = w.alloca("i64")
    w.do(f"store i64 %lanes, ptr {rest}")
    turn, end = w.fresh("turn"), w.fresh("end")
    w.block(turn)
    left = w.emit(f"load i64, ptr {rest}")
    lane = w.call("i64", "llvm.cttz.i64", f"i64 {left}, i1 true", "i64, i1")
    start = len(w.lines)
    places = [(var, w.emit(f"getelementptr {memory_type(var.dtype)}, ptr %p{n}, i64 {lane}")) for n, var in enumerate(needed)]
    for var, place in places:
        loaded = w.emit(f"load {memory_type(var.dtype)}, ptr {place}")
        if var.dtype is bool_:
            loaded = w.emit(f"icmp ne i8 {loaded}, 0")
        values.write(var, Lanes(var.dtype, loaded, UNIFORM), None)
    lanes.body(body, None)
    changed = {v.name for s in walk(body) if (v := assigned(s)) is not None}
    for var, place in places:
        if var.name in changed:
            text = values.read(var).text
            stored = w.emit(f"zext i1 {text} to i8") if var.dtype is bool_ else text
            w.do(f"store {memory_type(var.dtype)} {stored}, ptr {place}")
    w.lines[start:start] = values.initial
    left = w.emit(f"load i64, ptr {rest}")
    fewer = w.emit(f"and i64 {left}, {w.emit(f'sub i64 {left}, 1')}")
    w.do(f"store i64 {fewer}, ptr {rest}")
    w.branch_if(w.emit(f"icmp eq i64 {fewer}, 0"), end, turn)
    w.block(end)
    w.do("ret void")
    parameters = ", ".join(["i64 %lanes", *(f"ptr noalias %p{n}" for n in range(len(needed)))])
    return f"define internal void @{name}({parameters}) noinline cold {{\n{w.body()}\n}}"
