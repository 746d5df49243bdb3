"""Atomics of one work-item: an instruction where the target has one, else a loop that compares and swaps.

The loop swaps the value's bits, so it is also right for floats, whose equality is not that of bits; 8- and 16-bit values are
swapped inside the 32-bit word that holds them.
"""

from __future__ import annotations

from anygpu.codegen.atomics import combine
from anygpu.codegen.llvm import scalar_type
from anygpu.codegen.simt_values import Values, from_bits, from_memory, memory_type, to_bits, to_memory
from anygpu.dtypes import DType
from anygpu.ir.kernel import Scope, Space

_INSTRUCTIONS = {
    "add": "add", "sub": "sub", "and": "and", "or": "or", "xor": "xor", "exch": "xchg", "min": "min", "max": "max",
    "inc": "uinc_wrap", "dec": "udec_wrap",
}  # fmt: skip


def emit_atomic(values: Values, op: str, dtype: DType, address: str, operands: list[str], space: Space) -> str:
    """Read, modify and write the scalar at a typed pointer; the old value. ``cas`` has operands (expected, desired)."""
    w = values.w
    if space == "local":  # nobody else reaches it
        old = from_memory(w, w.emit(f"load {memory_type(dtype)}, {address}"), dtype)
        w.do(f"store {memory_type(dtype)} {to_memory(w, combine(w, op, dtype, old, operands), dtype)}, {address}")
        return old
    reach: Scope = "block" if space == "shared" else "grid"
    scope = values.target.scope(reach)
    if dtype.bits == 64:
        values.capabilities.add("int64_atomics")
    if (op, dtype.name) in values.target.atomics:
        return _instruction(values, op, dtype, address, operands[-1], scope)
    if op == "cas" and dtype.bits >= 32:
        bits = f"i{dtype.bits}"
        expected, desired = (to_bits(w, o, dtype) for o in operands)
        pair = w.emit(f"cmpxchg {address}, {bits} {expected}, {bits} {desired} {scope} monotonic monotonic")
        return from_bits(w, w.emit(f"extractvalue {{ {bits}, i1 }} {pair}, 0"), dtype)
    return _swap_loop(values, op, dtype, address, operands, scope)


def _instruction(values: Values, op: str, dtype: DType, address: str, operand: str, scope: str) -> str:
    w = values.w
    if dtype.is_float and op in ("add", "sub"):
        return w.emit(f"atomicrmw f{op} {address}, {scalar_type(dtype)} {operand} {scope} monotonic")
    name = _INSTRUCTIONS[op]
    if op in ("min", "max") and dtype.kind == "u":
        name = "u" + name
    old = w.emit(f"atomicrmw {name} {address}, i{dtype.bits} {to_bits(w, operand, dtype)} {scope} monotonic")
    return from_bits(w, old, dtype)


def _swap_loop(values: Values, op: str, dtype: DType, address: str, operands: list[str], scope: str) -> str:
    """Compute the new value from what was seen and swap it in, until nobody came in between."""
    w = values.w
    bits = max(32, dtype.bits)
    word, shift = (address, "") if dtype.bits == bits else _containing_word(values, address)
    held = w.alloca(f"i{bits}")
    w.do(f"store i{bits} {w.emit(f'load atomic i{bits}, {word} {scope} monotonic, align {bits // 8}')}, {held}")
    again, done = w.fresh("swap"), w.fresh("swapped")
    w.block(again)
    seen = w.emit(f"load i{bits}, {held}")
    old = from_bits(w, _extract(values, seen, shift, dtype), dtype)
    new = to_bits(w, combine(w, op, dtype, old, operands), dtype)
    desired = _insert(values, seen, new, shift, dtype)
    pair = w.emit(f"cmpxchg {word}, i{bits} {seen}, i{bits} {desired} {scope} monotonic monotonic")
    w.do(f"store i{bits} {w.emit(f'extractvalue {{ i{bits}, i1 }} {pair}, 0')}, {held}")
    w.branch_if(w.emit(f"extractvalue {{ i{bits}, i1 }} {pair}, 1"), done, again)
    w.block(done)
    return old


def _containing_word(values: Values, address: str) -> tuple[str, str]:
    """The aligned 32-bit word around a narrow scalar, and by how many bits the scalar is shifted in it, as an i32."""
    w = values.w
    kind = address.rpartition(" ")[0]
    number = w.emit(f"ptrtoint {address} to i64")
    inside = w.emit(f"and i64 {number}, 3")
    word = w.emit(f"getelementptr i8, {address}, i64 {w.emit(f'sub i64 0, {inside}')}")
    return f"{kind} {word}", w.emit(f"trunc i64 {w.emit(f'shl i64 {inside}, 3')} to i32")


def _extract(values: Values, seen: str, shift: str, dtype: DType) -> str:
    w = values.w
    return w.emit(f"trunc i32 {w.emit(f'lshr i32 {seen}, {shift}')} to i{dtype.bits}") if shift else seen


def _insert(values: Values, seen: str, new: str, shift: str, dtype: DType) -> str:
    w = values.w
    if not shift:
        return new
    placed = w.emit(f"shl i32 {w.to_32(new, dtype.bits)}, {shift}")
    mask = w.emit(f"shl i32 {(1 << dtype.bits) - 1}, {shift}")
    rest = w.emit(f"and i32 {seen}, {w.emit(f'xor i32 {mask}, -1')}")
    return w.emit(f"or i32 {rest}, {placed}")
