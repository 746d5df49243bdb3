"""Warp operations on a strip of 32 lanes: shuffles are vector shuffles where the distance is constant, else loads from the stack."""

from __future__ import annotations

from anygpu.codegen.expr import type_text
from anygpu.codegen.lanes import Lanes, LaneValues, Mask
from anygpu.codegen.llvm import literal, memory_type, scalar_type
from anygpu.codegen.spmd_memory import MemoryAccess
from anygpu.dtypes import bool_, int32, uint32
from anygpu.ir.kernel import Const, WarpOp
from anygpu.passes.uniformity import UNIFORM, VARYING


def warp_operation(values: LaneValues, memory: MemoryAccess, stmt: WarpOp, mask: Mask) -> Lanes:
    """The result of a warp operation for the lanes in ``mask``: each deals with those of them that its own member mask names."""
    w, op = values.w, stmt.op
    everyone = isinstance(stmt.mask, Const) and int(stmt.mask.value) == 0xFFFFFFFF
    named = None if everyone else values.evaluate(stmt.mask)
    args = [values.evaluate(a) for a in stmt.args]
    if op.startswith("shfl"):
        return _shuffle(values, stmt, args, mask, named)
    if named is None:
        return _exchange(values, memory, op, args, mask, mask)
    if named.shape.uniform:
        taking = values.mask_and(mask, values.mask_of(w.emit(f"bitcast i32 {named.text} to <32 x i1>")))
        return _exchange(values, memory, op, args, mask, taking)
    return _by_group(values, memory, stmt, args, mask, named)


def _by_group(values: LaneValues, memory: MemoryAccess, stmt: WarpOp, args: list[Lanes], mask: Mask, named: Lanes) -> Lanes:
    """Member masks that differ between lanes, as those of ``match_any`` do: one turn for each mask that occurs."""
    w, dtype = values.w, stmt.var.dtype
    vector, t = values.vector(named), type_text(dtype, 32)
    read = memory.spill(Lanes(uint32, vector, VARYING))
    result, rest = w.alloca(t, 64), w.alloca("i32")
    w.do(f"store {t} zeroinitializer, ptr {result}, align 64")
    executing = _bits(values, mask)
    w.do(f"store i32 {executing}, ptr {rest}")
    head, turn, end = w.fresh("groups"), w.fresh("group"), w.fresh("groups_end")
    w.block(head)
    left = w.emit(f"load i32, ptr {rest}")
    w.branch_if(w.emit(f"icmp ne i32 {left}, 0"), turn, end)
    w.block(turn)
    lane = w.emit(f"zext i32 {w.call('i32', 'llvm.cttz.i32', f'i32 {left}, i1 true', 'i32, i1')} to i64")
    members = read(lane)
    same = w.emit(f"bitcast <32 x i1> {w.emit(f'icmp eq <32 x i32> {vector}, ' + values.splat(members, 'i32'))} to i32")
    group = w.emit(f"and i32 {left}, {same}")
    taking = values.mask_of(w.emit(f"bitcast i32 {w.emit(f'and i32 {executing}, {members}')} to <32 x i1>"))
    found = values.vector(_exchange(values, memory, stmt.op, args, mask, taking))
    old = w.emit(f"load {t}, ptr {result}, align 64")
    chosen = w.emit(f"select <32 x i1> {w.emit(f'bitcast i32 {group} to <32 x i1>')}, {t} {found}, {t} {old}")
    w.do(f"store {t} {chosen}, ptr {result}, align 64")
    w.do(f"store i32 {w.emit(f'xor i32 {left}, {group}')}, ptr {rest}")
    w.branch(head)
    w.block(end)
    return Lanes(dtype, w.emit(f"load {t}, ptr {result}, align 64"), VARYING)


def _exchange(values: LaneValues, memory: MemoryAccess, op: str, args: list[Lanes], mask: Mask, taking: Mask) -> Lanes:
    """A vote, match or reduction among the lanes ``taking`` part, for all lanes in ``mask``."""
    w = values.w
    if op == "activemask":
        return Lanes(uint32, _bits(values, taking), UNIFORM)
    if op in ("any", "all", "ballot"):
        held = values.mask_of(values.vector(args[0]))
        if op == "all":
            failing = values.mask_and(taking, values.mask_not(held))
            return Lanes(bool_, w.emit(f"icmp eq i32 {_bits(values, failing)}, 0"), UNIFORM)
        voted = _bits(values, values.mask_and(taking, held))
        return Lanes(uint32, voted, UNIFORM) if op == "ballot" else Lanes(bool_, w.emit(f"icmp ne i32 {voted}, 0"), UNIFORM)
    if op.startswith("match"):
        return _match(values, memory, op, args[0], mask, taking)
    return _reduce(values, memory, op.removeprefix("reduce_"), args[0], taking)


def _bits(values: LaneValues, mask: Mask) -> str:
    return values.mask_bits(mask)


def _shuffle(values: LaneValues, stmt: WarpOp, args: list[Lanes], mask: Mask, named: Lanes | None) -> Lanes:
    """Each lane's value from another. A source that is outside the segment, not executing or not named gives the lane's own."""
    w = values.w
    dtype = args[0].dtype
    value, width = values.vector(args[0]), stmt.width
    constant = stmt.args[1].value if isinstance(stmt.args[1], Const) else None
    if mask is None and named is None and isinstance(constant, int):
        sources = [_source(stmt.op, lane, constant, width) for lane in range(32)]
        t = type_text(dtype, 32)
        order = ", ".join(f"i32 {s}" for s in sources)
        return Lanes(dtype, w.emit(f"shufflevector {t} {value}, {t} poison, <32 x i32> <{order}>"), VARYING)
    lane = values.lane_numbers(int32)
    first = w.emit(f"and <32 x i32> {lane}, splat (i32 {-width})")
    other = values.vector(args[1])
    match stmt.op:
        case "shfl":
            source = w.emit(f"add <32 x i32> {first}, {other}")
        case "shfl_xor":
            source = w.emit(f"xor <32 x i32> {lane}, {other}")
        case _:
            source = w.emit(f"{'sub' if stmt.op == 'shfl_up' else 'add'} <32 x i32> {lane}, {other}")
    same_segment = w.emit(f"icmp eq <32 x i32> {w.emit(f'and <32 x i32> {source}, splat (i32 {-width})')}, {first}")
    chosen = w.emit(f"select <32 x i1> {same_segment}, <32 x i32> {source}, <32 x i32> {lane}")
    if mask is not None or named is not None:
        taking = f"splat (i32 {_bits(values, mask)})" if mask is None else values.splat(_bits(values, mask), "i32")
        if named is not None:
            taking = w.emit(f"and <32 x i32> {taking}, {values.vector(named)}")
        present = w.emit(f"lshr <32 x i32> {taking}, {chosen}")
        chosen = w.emit(f"select <32 x i1> {w.emit(f'trunc <32 x i32> {present} to <32 x i1>')}, <32 x i32> {chosen}, <32 x i32> {lane}")
    element = memory_type(dtype)
    stored = w.emit(f"zext <32 x i1> {value} to <32 x i8>") if dtype is bool_ else value
    stack = w.alloca(f"<32 x {element}>", 64)
    w.do(f"store <32 x {element}> {stored}, ptr {stack}, align 64")
    result = w.emit(f"freeze <32 x {element}> poison")
    for n in range(32):
        index = w.emit(f"zext i32 {w.emit(f'extractelement <32 x i32> {chosen}, i64 {n}')} to i64")
        loaded = w.emit(f"load {element}, ptr {w.emit(f'getelementptr {element}, ptr {stack}, i64 {index}')}")
        result = w.emit(f"insertelement <32 x {element}> {result}, {element} {loaded}, i64 {n}")
    if dtype is bool_:
        result = w.emit(f"icmp ne <32 x i8> {result}, zeroinitializer")
    return Lanes(dtype, result, VARYING)


def _source(op: str, lane: int, other: int, width: int) -> int:
    """The lane that a shuffle by a constant reads."""
    first = lane & -width
    match op:
        case "shfl":
            source = first + other
        case "shfl_up":
            source = lane - other
        case "shfl_down":
            source = lane + other
        case _:
            source = lane ^ other
    return source if 0 <= source < 32 and source & -width == first else lane


def _match(values: LaneValues, memory: MemoryAccess, op: str, value: Lanes, mask: Mask, taking: Mask) -> Lanes:
    """Lanes that hold the same bits: a NaN matches itself, and -0 is not 0."""
    w = values.w
    scalar = scalar_type(value.dtype)
    bits = scalar if scalar.startswith("i") else f"i{value.dtype.bits}"
    given = values.vector(value)
    vector = given if bits == scalar else w.emit(f"bitcast <32 x {scalar}> {given} to <32 x {bits}>")
    read = memory.spill(Lanes(value.dtype, given, VARYING))

    def same_as(lane: str) -> Mask:
        held = read(lane)
        wanted = held if bits == scalar else w.emit(f"bitcast {scalar} {held} to {bits}")
        return values.mask_of(w.emit(f"icmp eq <32 x {bits}> {vector}, {values.splat(wanted, bits)}"))

    if op == "match_all":
        members = _bits(values, taking)
        lowest = w.call("i32", "llvm.cttz.i32", f"i32 {members}, i1 false", "i32, i1")
        same = same_as(w.emit(f"zext i32 {w.emit(f'and i32 {lowest}, 31')} to i64"))
        differing = _bits(values, values.mask_and(taking, values.mask_not(values.full(same))))
        return Lanes(uint32, w.emit(f"select i1 {w.emit(f'icmp eq i32 {differing}, 0')}, i32 {members}, i32 0"), UNIFORM)
    result = w.alloca("<32 x i32>", 64)
    w.do(f"store <32 x i32> zeroinitializer, ptr {result}, align 64")

    def action(lane: str) -> None:
        found = _bits(values, values.mask_and(taking, values.full(same_as(lane))))
        w.do(f"store i32 {found}, ptr {w.emit(f'getelementptr i32, ptr {result}, i64 {lane}')}")

    memory.lane_loop(mask, action)
    return Lanes(uint32, w.emit(f"load <32 x i32>, ptr {result}, align 64"), VARYING)


def _reduce(values: LaneValues, memory: MemoryAccess, op: str, value: Lanes, active: Mask) -> Lanes:
    """Combine the active lanes in lane order; 0 if there is none. Integers associate, so a tree gives the same."""
    w = values.w
    dtype, vector = value.dtype, values.vector(value)
    t, scalar = type_text(dtype, 32), scalar_type(dtype)
    if dtype.is_integer:
        least, most = literal(dtype.minimum, dtype), literal(dtype.maximum, dtype)
        signed = "s" if dtype.kind == "i" else "u"
        neutral, name = {
            "add": ("0", "add"), "and": ("-1", "and"), "or": ("0", "or"), "xor": ("0", "xor"),
            "min": (most, f"{signed}min"), "max": (least, f"{signed}max"),
        }[op]  # fmt: skip
        if active is not None:
            vector = w.emit(f"select <32 x i1> {values.lanes_of(active)}, {t} {vector}, {t} splat ({scalar} {neutral})")
        reduced = w.call(scalar, f"llvm.vector.reduce.{name}.v32{scalar}", f"{t} {vector}", t)
        if active is not None and neutral != "0":
            reduced = w.emit(f"select i1 {w.emit(f'icmp eq i32 {_bits(values, active)}, 0')}, {scalar} 0, {scalar} {reduced}")
        return Lanes(dtype, reduced, UNIFORM)
    read = memory.spill(Lanes(dtype, vector, VARYING))
    total, begun = w.alloca(scalar), w.alloca("i1")
    w.do(f"store {scalar} {literal(0.0, dtype)}, ptr {total}")
    w.do(f"store i1 false, ptr {begun}")

    def action(lane: str) -> None:
        from anygpu.codegen.atomics import combine

        old, item = w.emit(f"load {scalar}, ptr {total}"), read(lane)
        combined = combine(w, op, dtype, old, [item])
        has_begun = w.emit(f"load i1, ptr {begun}")
        w.do(f"store {scalar} {w.emit(f'select i1 {has_begun}, {scalar} {combined}, {scalar} {item}')}, ptr {total}")
        w.do(f"store i1 true, ptr {begun}")

    memory.lane_loop(active, action)
    return Lanes(dtype, w.emit(f"load {scalar}, ptr {total}"), UNIFORM)
