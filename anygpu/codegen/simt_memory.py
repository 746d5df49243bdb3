"""Loads, stores and atomics of one work-item: addresses, and a branch around what would be out of bounds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from anygpu.codegen.device import alignment
from anygpu.codegen.llvm import memory_type, scalar_type
from anygpu.codegen.simt_atomics import emit_atomic
from anygpu.codegen.simt_values import Values, from_memory, to_memory, zero
from anygpu.dtypes import Field, bool_, int32, int64
from anygpu.ir.kernel import Array, Atomic, Cast, Const, Expr, Load, Ref, Store
from anygpu.passes.intervals import interval, position

_NEIGHBOURS = 1 << 20  # elements; an array has fewer than 2**30 of those that take more than a byte


@dataclass(frozen=True)
class Place:
    """Where an array lies: a typed pointer and byte strides as i64; "" for what a word of the launch says."""

    array: Array
    pointer: str
    strides: tuple[str, ...]


def _plain(index: Expr) -> Expr:
    """A variable that was cut to 32 bits since its value fits, as it was: code for loops knows no steps of such halves."""
    cut = isinstance(index, Cast) and index.dtype is int32 and isinstance(index.arg, Ref) and index.arg.dtype is int64
    return index.arg if cut else index  # type: ignore[union-attr]


class MemoryAccess:
    """Emits the memory statements of one kernel."""

    def __init__(self, values: Values):
        self.values = values
        self.w = values.w
        self.places: dict[str, Place] = {}
        self.pointers: dict[int, str] = {}  # of accesses in loops, by identity: where on the stack their pointer lies
        self.bias = ""  # bytes that are added to the addresses of loads
        self.shared_bytes = 0
        self.launch_shared_bytes = 0
        for array in values.kernel.params:
            if isinstance(array, Array):
                self.places[array.name] = self._parameter(array)
        self._declare([a for a in values.kernel.declared if a.space == "shared"])
        for array in values.kernel.declared:
            if array.space == "local":
                size = max(1, math.prod(array.shape or ()) * array.itemsize)
                self._define(array, self.w.alloca(f"[{size} x i8]", 16))
            elif array.space == "const":
                space = values.target.spaces["const"]
                name = values.module.constant_bytes(array.data or bytes(1), 16, space)
                self._define(array, f"{values.target.pointer('const')} {name}")

    # ---------------------------------------------------------------------------------------------------------------- declarations

    def _parameter(self, array: Array) -> Place:
        """An array argument: its address and most of its strides are words of the launch, read where they are needed."""
        strides = [""] * array.ndim
        if array.layout == "C" and array.ndim:
            strides[-1] = str(array.itemsize)
        return Place(array, "", tuple(strides))

    def _define(self, array: Array, pointer: str) -> None:
        """A declared array: its extents and strides are literals."""
        shape = array.shape or ()
        strides = tuple(str(array.itemsize * math.prod(shape[axis + 1 :])) for axis in range(len(shape)))
        self.values.declared_extents[array.name] = tuple(map(str, shape))
        self.places[array.name] = Place(array, pointer, strides)

    def _declare(self, arrays: list[Array]) -> None:
        """Static shared arrays are variables of the module; more than it may declare lies in front of the launch's dynamic memory."""
        values, target = self.values, self.values.target
        sizes = {a.name: (math.prod(a.shape or ()) * a.itemsize + 15) & -16 for a in arrays if a.shape != (0,)}
        self.shared_bytes = sum(sizes.values())
        by_launch = self.shared_bytes > target.static_limit
        self.launch_shared_bytes = self.shared_bytes if by_launch else 0
        pointer, variable = target.pointer("shared"), f"addrspace({target.spaces['shared']}) global"
        offset = 0
        for number, array in enumerate(arrays):
            if array.shape == (0,):
                length = values.at_entry(array, lambda a=array: self.w.emit(f"udiv i64 {values.word('shared')}, {a.itemsize}"))  # type: ignore[misc]
                self._define(array, self._dynamic(self.launch_shared_bytes))
                values.declared_extents[array.name] = (length,)
            elif by_launch:
                self._define(array, self._dynamic(offset))
                offset += sizes[array.name]
            else:
                name = f"@shared.{number}"
                kind = f"[{max(16, sizes[array.name])} x i8]"
                values.module.definitions[name] = f"{name} = internal {variable} {kind} undef, align 16"
                self._define(array, f"{pointer} {name}")

    def _dynamic(self, offset: int) -> str:
        """A place in the launch's dynamic shared memory."""
        values, target = self.values, self.values.target
        pointer, variable = target.pointer("shared"), f"addrspace({target.spaces['shared']}) global"
        if target.buffers:
            base = values.word("dynamic")
        else:
            base = "@dynamic"
            values.module.definitions[base] = f"{base} = external {variable} [0 x i8], align 16"
        if not offset:
            return f"{pointer} {base}"
        moved = f"getelementptr i8, {pointer} {base}, i64 {offset}"
        return f"{pointer} " + values.at_entry(("dynamic", offset), lambda: self.w.emit(moved))

    # ------------------------------------------------------------------------------------------------------------------- addresses

    def _base(self, place: Place) -> str:
        """The typed pointer to element zero."""
        values, array = self.values, place.array
        if array.space != "global":
            return place.pointer
        pointer, buffer = values.target.pointer("global"), values.word("pointer", array.name)
        if not values.target.buffers:
            return f"{pointer} {buffer}"
        offset = values.word("offset", array.name)
        moved = values.at_entry(("base", array.name), lambda: self.w.emit(f"getelementptr i8, {pointer} {buffer}, i64 {offset}"))
        return f"{pointer} {moved}"

    def address(self, place: Place, index: list[str], part: Field, wide: bool = True, inside: bool = True) -> str:
        """The typed pointer to a scalar. The last axis is a step of elements where it is packed, a form that vectorisers know.
        ``wide``: an index may be beyond int32. ``inside``: none is negative."""
        w, array = self.w, place.array
        if index and self.values.target.narrow and self.values.options.small:
            return self._near(place, index, part, wide, inside)
        pointer = self._base(place)
        kind = pointer.rpartition(" ")[0]
        total = str(part.offset) if part.offset else ""
        packed = ""
        for axis, (at, stride) in enumerate(zip(index, place.strides, strict=True)):
            if axis == array.ndim - 1 and stride == str(array.itemsize) and array.itemsize == part.dtype.itemsize:
                packed = at
                continue
            step = w.emit(f"mul i64 {at}, {stride or self.values.word('stride', array.name, axis)}")
            total = w.emit(f"add i64 {total}, {step}") if total else step
        if total:
            pointer = f"{kind} {w.emit(f'getelementptr i8, {pointer}, i64 {total}')}"
        return f"{kind} {w.emit(f'getelementptr {memory_type(part.dtype)}, {pointer}, i64 {packed}')}" if packed else pointer

    def _near(self, place: Place, index: list[str], part: Field, wide: bool, inside: bool) -> str:
        """The same for an array that spans under 2**31 bytes: distances have 32 bits if the indices have, and count elements if those are
        packed."""
        w = self.w
        pointer = self._base(place)
        kind = pointer.rpartition(" ")[0]
        low = [at if wide or at.lstrip("-").isdigit() else w.emit(f"trunc i64 {at} to i32") for at in index]
        distance, packed = self.distance(place, low, part, wide, "nuw nsw" if place.array.layout == "C" and inside else "nsw")
        found = w.emit(f"getelementptr {memory_type(part.dtype) if packed else 'i8'}, {pointer}, i64 {distance}")
        if part.offset:
            found = w.emit(f"getelementptr i8, {kind} {found}, i64 {part.offset}")
        return f"{kind} {found}"

    def distance(self, place: Place, index: list[str], part: Field, wide: bool = False, exact: str = "nsw") -> tuple[str, bool]:
        """How far from the first element an index leads, or from one to the next if it is their difference: an i64, and whether it counts
        elements rather than bytes. ``exact`` are LLVM's flags: strides may be negative."""
        w, array, values = self.w, place.array, self.values
        packed = array.layout == "C" and array.itemsize == part.dtype.itemsize
        extent, stride = (values.extent, values.word) if wide else (values.low_extent, values.low_word)
        total, t = "", "i64" if wide else "i32"
        for axis, step in enumerate(index):
            if array.layout == "C":  # the last element of a row is followed by the next row's first
                row = w.emit(f"mul {exact} {t} {total}, {extent(array.name, axis)}") if total else ""
            else:
                step = w.emit(f"mul {exact} {t} {step}, {stride('stride', array.name, axis)}")
                row = total
            total = w.emit(f"add {exact} {t} {row}, {step}") if row else step
        if array.layout == "C" and not packed:
            total = w.emit(f"mul {exact} {t} {total}, {array.itemsize}")
        return total if wide or total.lstrip("-").isdigit() else w.emit(f"sext i32 {total} to i64"), packed

    # ------------------------------------------------------------------------------------------------------------------ statements

    def _access(self, stmt: Load | Store | Atomic, act: Callable[[str, Field], str]) -> str:
        """Do ``act`` at the address if it is in bounds, else report it. The value of ``act``, or 0; "" if it has none."""
        values, w = self.values, self.w
        place = self.places[stmt.array]
        part = place.array.fields[stmt.field]
        if id(stmt) in self.pointers:
            kind = values.target.pointer("global")
            return act(f"{kind} {w.emit(f'load {kind}, {self.pointers[id(stmt)]}')}", part)
        narrow = [(values.evaluate(i), i.dtype) for i in map(_plain, stmt.index)]
        index = [text if dtype.bits == 64 else w.emit(f"sext i32 {text} to i64") for text, dtype in narrow]
        far = any(dtype.bits == 64 and not isinstance(i, Const) for i, (_, dtype) in zip(stmt.index, narrow, strict=True))

        def address() -> str:
            beside = None if far or not index else self._beside(stmt, place, part)
            if beside is None:
                return self.address(place, index, part, far)
            base, steps, inside = beside
            start = w.emit(f"sext i32 {values.evaluate(base)} to i64")
            pointer = self.address(place, [*index[:-1], start], part, False, inside)
            return f"{pointer.rpartition(' ')[0]} {w.emit(f'getelementptr {memory_type(part.dtype)}, {pointer}, i64 {steps}')}"

        if not (stmt.checked and values.options.bounds_check and index):
            return act(address(), part)
        inside = ""
        for axis, (text, dtype) in enumerate(narrow):
            if dtype.bits == 64 or not values.options.small:
                test = w.emit(f"icmp ult i64 {index[axis]}, {values.extent(stmt.array, axis)}")
            else:  # extents fit, and so does a negative index: as unsigned it is larger than any
                test = w.emit(f"icmp ult i32 {text}, {values.low_extent(stmt.array, axis)}")
            inside = w.emit(f"and i1 {inside}, {test}") if inside else test
        good, bad, end = w.fresh("inside"), w.fresh("outside"), w.fresh("accessed")
        incoming: list[tuple[str, str]] = []

        def do() -> None:
            result = act(address(), part)
            incoming.append((result, w.label))
            w.branch(end)

        # Atomics go one by one even where work-items are vectors: a second copy would be for nothing.
        some = None if isinstance(stmt, Atomic) else values.some(w.emit(f"xor i1 {inside}, true"))
        if some is not None:
            every, mixed = w.fresh("every"), w.fresh("mixed")
            w.branch_if(some, mixed, every)
            w.block(every)
            do()
            w.block(mixed)
        w.branch_if(inside, good, bad, likely=True)
        w.block(good)
        do()
        w.block(bad)
        values.fail(values.site("index", stmt.loc, place.array), index)
        w.block(end)
        if not incoming[0][0]:
            return ""
        sources = ", ".join(f"[ {value}, %{label} ]" for value, label in [*incoming, (zero(part.dtype), bad)])
        return w.emit(f"phi {scalar_type(part.dtype)} {sources}")

    def _beside(self, stmt: Load | Store | Atomic, place: Place, part: Field) -> tuple[Expr, int, bool] | None:
        """For ``a[i, j + 1]``: ``j``, 1, and whether ``j`` is surely not negative. The place of ``a[i, j]`` serves all its neighbours then.

        That place may be outside the array, by so little that its distance fits 32 bits all the same.
        """
        values, array, last = self.values, place.array, stmt.index[-1]
        state = values.state
        packed = array.layout == "C" and array.itemsize == part.dtype.itemsize > 1
        if state is None or not packed or array.space != "global" or last.dtype is not int32:
            return None
        base, steps = position(last, state, values.facts)
        if not steps or abs(steps) > _NEIGHBOURS or base.dtype is not int32 or isinstance(base, Const):
            return None
        return base, steps, interval(base, state, values.facts)[0] >= 0

    def load(self, stmt: Load) -> None:
        def act(address: str, part: Field) -> str:
            self._note(part)
            if self.bias:
                address = f"{address.rpartition(' ')[0]} {self.w.emit(f'getelementptr i8, {address}, i64 {self.bias}')}"
            array = self.places[stmt.array].array
            align = alignment(array, part.dtype, part.offset)
            kind = self._volatile(array, part) + memory_type(part.dtype)
            return from_memory(self.w, self.w.emit(f"load {kind}, {address}, align {align}"), part.dtype)

        self.values.write(stmt.var, self._access(stmt, act))

    def store(self, stmt: Store) -> None:
        value = self.values.evaluate(stmt.value)

        def act(address: str, part: Field) -> str:
            self._note(part)
            array = self.places[stmt.array].array
            align = alignment(array, part.dtype, part.offset)
            kind = self._volatile(array, part) + memory_type(part.dtype)
            self.w.do(f"store {kind} {to_memory(self.w, value, part.dtype)}, {address}, align {align}")
            return ""

        self._access(stmt, act)

    def _volatile(self, array: Array, part: Field) -> str:
        """Bools in local arrays are volatile on OpenCL: Intel's runtime for CPUs, which keeps them as bits of vectors, mixes up work-items
        where such an array is indexed by a variable."""
        return "volatile " * (array.space == "local" and part.dtype is bool_ and self.values.target.buffers)

    def atomic(self, stmt: Atomic) -> None:
        operands = [self.values.evaluate(o) for o in stmt.operands]
        space = self.places[stmt.array].array.space

        def act(address: str, part: Field) -> str:
            self._note(part)
            return emit_atomic(self.values, stmt.op, part.dtype, address, operands, space)

        old = self._access(stmt, act)
        if stmt.var is not None:
            self.values.write(stmt.var, old)

    def _note(self, part: Field) -> None:
        """What a device needs to hold a dtype in registers."""
        needed = {"float64": "fp64", "float16": "fp16"}.get(part.dtype.name)
        if needed:
            self.values.capabilities.add(needed)
