"""Read-modify-write of one memory location, by the machine's instruction where there is one, else by compare-and-swap."""

from __future__ import annotations

from anygpu.codegen.expr import emit_cast, emit_operation
from anygpu.codegen.llvm import Writer, memory_type, scalar_type
from anygpu.dtypes import DType, bool_, float32

_NATIVE = {
    "add": "add", "sub": "sub", "and": "and", "or": "or", "xor": "xor", "exch": "xchg", "inc": "uinc_wrap", "dec": "udec_wrap",
}  # fmt: skip


def combine(w: Writer, op: str, dtype: DType, old: str, operands: list[str]) -> str:
    """What an atomic operation leaves in memory, computed on scalars. Half types compute in float32 and round."""
    if dtype.is_half and op not in ("exch", "cas"):
        wide = [emit_cast(w, v, dtype, float32, 0) for v in (old, *operands)]
        return emit_cast(w, combine(w, op, float32, wide[0], wide[1:]), float32, dtype, 0)
    value = operands[-1]
    match op:
        case "exch":
            return value
        case "add" | "sub" | "and" | "or" | "xor":
            return emit_operation(w, op, dtype, 0, [old, value])
        case "min" | "max":
            return emit_operation(w, {"min": "minimum", "max": "maximum"}[op], dtype, 0, [old, value])
        case "nanmin" | "nanmax":
            return emit_operation(w, {"nanmin": "fmin", "nanmax": "fmax"}[op], dtype, 0, [old, value])
        case "inc" | "dec":
            t = scalar_type(dtype)
            sign = "s" if dtype.kind == "i" else "u"
            one = w.emit(f"{'add' if op == 'inc' else 'sub'} {t} {old}, 1")
            if op == "inc":
                wraps = w.emit(f"icmp {sign}ge {t} {old}, {value}")
                return w.emit(f"select i1 {wraps}, {t} 0, {t} {one}")
            zero, above = w.emit(f"icmp eq {t} {old}, 0"), w.emit(f"icmp {sign}gt {t} {old}, {value}")
            return w.emit(f"select i1 {w.emit(f'or i1 {zero}, {above}')}, {t} {value}, {t} {one}")
        case "cas":  # the bits are compared, as hardware does
            whole = f"i{max(dtype.bits, 8) if dtype is not bool_ else 1}"
            bits = [
                v if scalar_type(dtype) == whole else w.emit(f"bitcast {scalar_type(dtype)} {v} to {whole}") for v in (old, operands[0])
            ]
            same = w.emit(f"icmp eq {whole} {bits[0]}, {bits[1]}")
            return w.emit(f"select i1 {same}, {scalar_type(dtype)} {value}, {scalar_type(dtype)} {old}")
    raise AssertionError(op)


def emit_atomic(w: Writer, op: str, dtype: DType, address: str, operands: list[str], private: bool) -> str:
    """One lane's atomic operation; the old value."""
    t, m = scalar_type(dtype), memory_type(dtype)

    def from_memory(text: str) -> str:
        return w.emit(f"icmp ne i8 {text}, 0") if dtype is bool_ else text

    def to_memory(text: str) -> str:
        return w.emit(f"zext i1 {text} to i8") if dtype is bool_ else text

    if private:
        old = from_memory(w.emit(f"load {m}, ptr {address}"))
        w.do(f"store {m} {to_memory(combine(w, op, dtype, old, operands))}, ptr {address}")
        return old
    native = op in _NATIVE and not dtype.is_float and dtype is not bool_ and not (op in ("inc", "dec") and dtype.kind == "i")
    if native or (op in ("min", "max") and dtype.is_integer):
        name = _NATIVE.get(op) or ("" if dtype.kind == "i" else "u") + op
        return w.emit(f"atomicrmw {name} ptr {address}, {t} {operands[-1]} monotonic")
    # compare-and-swap on the bits: also right for floats, whose equality is not that of bits
    bits = f"i{max(dtype.bits, 8)}"

    def value_of(text: str) -> str:
        return from_memory(text) if dtype is bool_ else text if bits == t else w.emit(f"bitcast {bits} {text} to {t}")

    def bits_of(text: str) -> str:
        return to_memory(text) if dtype is bool_ else text if bits == t else w.emit(f"bitcast {t} {text} to {bits}")

    held = w.alloca(bits)
    w.do(f"store {bits} {w.emit(f'load atomic {bits}, ptr {address} monotonic, align {dtype.itemsize}')}, ptr {held}")
    again, done = w.fresh("cas"), w.fresh("swapped")
    w.block(again)
    seen = w.emit(f"load {bits}, ptr {held}")
    desired = bits_of(combine(w, op, dtype, value_of(seen), operands))
    pair = w.emit(f"cmpxchg ptr {address}, {bits} {seen}, {bits} {desired} monotonic monotonic")
    w.do(f"store {bits} {w.emit(f'extractvalue {{ {bits}, i1 }} {pair}, 0')}, ptr {held}")
    w.branch_if(w.emit(f"extractvalue {{ {bits}, i1 }} {pair}, 1"), done, again)
    w.block(done)
    return value_of(seen)
