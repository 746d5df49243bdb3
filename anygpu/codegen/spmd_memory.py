"""Loads, stores and atomics of a strip of lanes, each checked against the array's extents.

An access is classified once: *uniform* (one location), *contiguous* (the strip's lanes in a row), or a *gather* (any
locations). The fast path tests the whole strip with scalar comparisons where the index is affine. If that test fails, a
loop over the lanes does what each lane may do and records the first that went out of bounds: rare, so small rather than fast.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from anygpu.codegen.atomics import emit_atomic
from anygpu.codegen.expr import type_text
from anygpu.codegen.lanes import Lanes, LaneValues, Mask
from anygpu.codegen.llvm import memory_type, scalar_type
from anygpu.codegen.spmd_slow import report, slow_load, slow_store
from anygpu.dtypes import DType, Field, bool_, int64
from anygpu.errors import Site
from anygpu.ir.kernel import Array, Atomic, Expr, Load, Prefetch, Ref, Store, subexpressions
from anygpu.passes.uniformity import UNIFORM, VARYING, Shape


@dataclass(frozen=True)
class Memory:
    """Where an array lies: its address, extents and strides in bytes, as i64 scalars. A local array keeps its lanes side by side."""

    array: Array
    address: str
    extents: tuple[str, ...]
    strides: tuple[str | int, ...]


LaneAction = Callable[[str], None]
CACHE_LINE = 64  # bytes


class Support(Protocol):
    """What the target does about rare events; the texts name LLVM values."""

    def place(self) -> tuple[str, str, str, str]:
        """The table of support functions, the error words, the block and the strip's first work-item: two addresses and two i64."""

    def entry(self, name: str) -> int:
        """Where a support function stands in the table."""


class MemoryAccess:
    """Emits the memory statements of one kernel."""

    def __init__(
        self,
        values: LaneValues,
        memories: dict[str, Memory],
        support: Support,
        sites: list[Site],
        small: bool,
        checks: bool,
        from_memory: frozenset[str],
    ):
        self.values = values
        self.w = values.w
        self.width = values.width
        self.memories = memories
        self.support = support
        self.sites = sites
        self.small = small
        self.checks = checks
        self.from_memory = from_memory
        self.copies: dict[str, tuple[str, ...]] = {}  # tables that take the places of a shared array (see spmd_copies)
        self.trash = ""  # where the stores of inactive lanes go
        self.zeros = ""  # what loads out of bounds read

    # ------------------------------------------------------------------------------------------------------------ addresses

    def scalar_index(self, value: Lanes, text: str) -> str:
        return text if value.dtype.bits == 64 else self.w.emit(f"sext i{value.dtype.bits} {text} to i64")

    def _offset(self, memory: Memory, scalars: list[str], field: Field) -> str:
        """The byte offset of an element from i64 scalar indices."""
        w = self.w
        total = str(field.offset) if field.offset else ""
        for index, stride in zip(scalars, memory.strides, strict=True):
            part = w.emit(f"mul i64 {index}, {stride}")
            total = w.emit(f"add i64 {total}, {part}") if total else part
        return total or "0"

    def _address(self, memory: Memory, scalars: list[str], field: Field) -> str:
        return self.w.emit(f"getelementptr i8, ptr {memory.address}, i64 {self._offset(memory, scalars, field)}")

    def _vector_offsets(self, memory: Memory, index: list[Lanes], field: Field) -> tuple[str, str]:
        """Byte offsets of all lanes, and their LLVM type: 32 bits where every array is known to be small."""
        w = self.w
        bits = 32 if (self.small and memory.array.space == "global") or memory.array.space in ("shared", "const", "local") else 64
        t = f"<{self.width} x i{bits}>"
        uniform: str = ""
        total: str = ""
        for value, stride in zip(index, memory.strides, strict=True):
            if value.shape.uniform:
                part = w.emit(f"mul i64 {self.scalar_index(value, value.text)}, {stride}")
                uniform = w.emit(f"add i64 {uniform}, {part}") if uniform else part
                continue
            vector = self._resize(self.values.vector(value), value.dtype.bits, bits)
            if isinstance(stride, int):
                scaled = vector if stride == 1 else w.emit(f"mul {t} {vector}, splat (i{bits} {stride})")
            else:
                narrow = stride if bits == 64 else w.emit(f"trunc i64 {stride} to i{bits}")
                scaled = w.emit(f"mul {t} {vector}, {self.values.splat(narrow, f'i{bits}')}")
            total = w.emit(f"add {t} {total}, {scaled}") if total else scaled
        if field.offset:
            uniform = w.emit(f"add i64 {uniform}, {field.offset}") if uniform else str(field.offset)
        if memory.array.space == "local":
            lanes = self.values.lane_numbers(_BITS[bits], memory.array.itemsize)
            total = w.emit(f"add {t} {total}, {lanes}") if total else lanes
        if uniform:
            narrow = uniform if bits == 64 else w.emit(f"trunc i64 {uniform} to i{bits}")
            spread = self.values.splat(narrow, f"i{bits}") if narrow.startswith("%") else f"splat (i{bits} {narrow})"
            total = w.emit(f"add {t} {total}, {spread}") if total else spread
        return total, t

    def _resize(self, vector: str, source: int, target: int) -> str:
        if source == target:
            return vector
        name = "sext" if target > source else "trunc"
        return self.w.emit(f"{name} <{self.width} x i{source}> {vector} to <{self.width} x i{target}>")

    # --------------------------------------------------------------------------------------------------------------- checks

    def _in_bounds(self, memory: Memory, index: list[Lanes]) -> tuple[str | None, str | None]:
        """Whether the whole strip is in bounds: a scalar condition, and a vector one for the axes whose index varies freely."""
        w = self.w
        scalar: str | None = None
        vector: str | None = None
        for axis, (value, extent) in enumerate(zip(index, memory.extents, strict=True)):
            if value.shape == VARYING:
                bits = value.dtype.bits
                limit = extent if bits == 64 else w.emit(f"trunc i64 {extent} to i{bits}")
                if bits < 64 and not self.small and memory.array.shape is None:
                    wide = self._resize(value.text, bits, 64)
                    ok = w.emit(f"icmp ult <{self.width} x i64> {wide}, {self.values.splat(extent, 'i64')}")
                else:
                    spread = self.values.splat(limit, f"i{bits}") if limit.startswith("%") else f"splat (i{bits} {limit})"
                    ok = w.emit(f"icmp ult <{self.width} x i{bits}> {value.text}, {spread}")
                vector = ok if vector is None else w.emit(f"and {self.values.bool_vector} {vector}, {ok}")
                continue
            first = self.scalar_index(value, value.text)
            tests = [w.emit(f"icmp ult i64 {first}, {extent}")]
            if value.shape.affine:
                last = w.emit(f"add i64 {first}, {(self.width - 1) * (value.shape.stride or 0)}")
                tests.append(w.emit(f"icmp ult i64 {last}, {extent}"))
            for test in tests:
                scalar = test if scalar is None else w.emit(f"and i1 {scalar}, {test}")
            del axis
        return scalar, vector

    def _none_fails(self, inside: str, mask: Mask) -> str:
        """Whether no active lane is out of bounds."""
        outside = self.w.emit(f"xor {self.values.bool_vector} {inside}, splat (i1 true)")
        failing = outside if mask is None else self.w.emit(f"and {self.values.bool_vector} {self.values.lanes_of(mask)}, {outside}")
        return self.w.emit(f"icmp eq i{self.width} {self.w.emit(f'bitcast {self.values.bool_vector} {failing} to i{self.width}')}, 0")

    def lane_loop(self, mask: Mask, action: LaneAction) -> None:
        """Run scalar code for each active lane, in order; ``action`` gets the lane's number as an i64."""
        w, width = self.w, self.width
        if width == 1:
            action("0")
            return
        bits = self.values.mask_bits(mask)
        rest = w.alloca(f"i{width}")
        w.do(f"store i{width} {bits}, ptr {rest}")
        head, body, end = w.fresh("lanes"), w.fresh("lane"), w.fresh("lanes_end")
        w.block(head)
        left = w.emit(f"load i{width}, ptr {rest}")
        w.branch_if(w.emit(f"icmp ne i{width} {left}, 0"), body, end)
        w.block(body)
        number = w.call(f"i{width}", f"llvm.cttz.i{width}", f"i{width} {left}, i1 true", f"i{width}, i1")
        w.do(f"store i{width} {w.emit(f'and i{width} {left}, ' + w.emit(f'sub i{width} {left}, 1'))}, ptr {rest}")
        action(w.emit(f"zext i{width} {number} to i64"))
        w.branch(head)
        w.block(end)

    def spill(self, value: Lanes) -> Callable[[str], str]:
        """A way to read a value in one lane inside a lane loop: vectors go through the stack."""
        w = self.w
        if value.shape != VARYING:
            return lambda lane: self.values.lane(value, lane)
        memory = memory_type(value.dtype)
        vector = value.text
        if value.dtype is bool_:
            vector = w.emit(f"zext {self.values.bool_vector} {vector} to <{self.width} x i8>")
        stack = w.alloca(f"[{self.width} x {memory}]", 64)
        w.do(f"store <{self.width} x {memory}> {vector}, ptr {stack}, align 64")

        def read(lane: str) -> str:
            loaded = w.emit(f"load {memory}, ptr {w.emit(f'getelementptr {memory}, ptr {stack}, i64 {lane}')}")
            return w.emit(f"trunc i8 {loaded} to i1") if value.dtype is bool_ else loaded

        return read

    def _checked_lanes(
        self, memory: Memory, index: list[Lanes], mask: Mask, checked: bool, site: int, act: Callable[[str, list[str]], None]
    ) -> None:
        """The loop over lanes: ``act(lane, i64 indices)`` for those in bounds, a report for the others."""
        w = self.w
        readers = [self.spill(v) for v in index]

        def action(lane: str) -> None:
            scalars = [self.scalar_index(v, read(lane)) for v, read in zip(index, readers, strict=True)]
            if not checked or not scalars:
                act(lane, scalars)
                return
            ok = None
            for scalar, extent in zip(scalars, memory.extents, strict=True):
                test = w.emit(f"icmp ult i64 {scalar}, {extent}")
                ok = test if ok is None else w.emit(f"and i1 {ok}, {test}")
            inside, outside, end = w.fresh("inside"), w.fresh("outside"), w.fresh("lane_end")
            w.branch_if(ok or "true", inside, outside, likely=True)
            w.block(inside)
            act(lane, scalars)
            w.branch(end)
            w.block(outside)
            report(self, site, w.emit(f"shl i64 1, {lane}"), scalars)
            w.block(end)

        self.lane_loop(mask, action)

    def lane_bits(self, mask: Mask) -> str:
        """The mask as the i64 that support functions take."""
        if mask is None:
            return str((1 << self.width) - 1)
        bits = self.values.mask_bits(mask)
        return self.w.emit(f"zext i{self.width} {bits} to i64")

    def site(self, site: Site) -> int:
        self.sites.append(site)
        return len(self.sites) - 1

    def _site_of(self, stmt: Load | Store | Atomic) -> int:
        array = self.memories[stmt.array].array
        loc = stmt.loc
        return self.site(Site("index", (loc.filename, loc.line, loc.column, loc.end_column, loc.function), array.name, array.ndim))

    def _loaded(self, stmt: Load | Store) -> bool:
        """Whether an access's indices come out of memory."""
        return any(isinstance(e, Ref) and e.var.name in self.from_memory for i in stmt.index for e in subexpressions(i))

    def _indices(self, index: tuple[Expr, ...]) -> list[Lanes]:
        return [self.values.evaluate(i) for i in index]

    @staticmethod
    def _classify(memory: Memory, index: list[Lanes], field: Field) -> str:
        shapes = [v.shape for v in index]
        array = memory.array
        if all(s.uniform for s in shapes):
            # a local array keeps each element's lanes side by side; of a record's field they lie a record apart
            return "uniform" if array.space != "local" else "contiguous" if array.itemsize == field.dtype.itemsize else "gather"
        inner_uniform = all(s.uniform for s in shapes[:-1])
        plain = array.itemsize == field.dtype.itemsize and array.space != "local"
        if inner_uniform and plain and shapes[-1] == Shape(1) and memory.strides[-1] == array.itemsize:
            return "contiguous"
        return "gather"

    # ---------------------------------------------------------------------------------------------------------------- loads

    def load(self, stmt: Load, mask: Mask) -> Lanes:
        """The value of a load in the active lanes; 0 where it is out of bounds."""
        memory = self.memories[stmt.array]
        field = memory.array.fields[stmt.field]
        index = self._indices(stmt.index)
        checked = stmt.checked and self.checks
        kind = self._classify(memory, index, field)
        if kind == "uniform":
            return self._load_uniform(stmt, memory, field, index, mask, checked)
        if checked:
            return self._load_checked(stmt, memory, field, index, mask, kind)
        if kind == "contiguous":
            return Lanes(field.dtype, self._load_row(memory, field, index, mask if not self._safe_to_overread(memory) else None), VARYING)
        return Lanes(field.dtype, self._gather(memory, field, index, mask, self._loaded(stmt)), VARYING)

    def prefetch(self, stmt: Prefetch) -> None:
        """Ask for the lines of the cache that the strip's lanes are in, if they are in a row; inactive lanes too, since nothing fails."""
        memory = self.memories[stmt.array]
        index = self._indices(stmt.index)
        itemsize = memory.array.itemsize
        if any(not v.shape.uniform for v in index[:-1]) or memory.array.space == "local":
            return
        if not index or index[-1].shape.uniform:
            size = itemsize
        elif index[-1].shape == Shape(1) and memory.strides[-1] == itemsize:
            size = itemsize * self.width
        else:
            return
        address = self._address(memory, [self.scalar_index(v, v.text) for v in index], Field("", int64, 0))
        self.w.module.declare("void @llvm.prefetch.p0(ptr, i32 immarg, i32 immarg, i32 immarg)")
        for line in range(0, size, CACHE_LINE):
            at = self.w.emit(f"getelementptr i8, ptr {address}, i64 {line}") if line else address
            self.w.do(f"call void @llvm.prefetch.p0(ptr {at}, i32 {int(stmt.write)}, i32 3, i32 1)")

    def _safe_to_overread(self, memory: Memory) -> bool:
        return memory.array.space == "local"

    def _load_uniform(self, stmt: Load, memory: Memory, field: Field, index: list[Lanes], mask: Mask, checked: bool) -> Lanes:
        w = self.w
        scalars = [self.scalar_index(v, v.text) for v in index]
        address = self._address(memory, scalars, field)
        if checked and scalars:
            ok, _ = self._in_bounds(memory, index)
            assert ok is not None
            bad, go = w.fresh("bad"), w.fresh("go")
            w.branch_if(ok, go, bad, likely=True)
            w.block(bad)
            site = self._site_of(stmt)
            report(self, site, self.lane_bits(mask), scalars)
            w.block(go)
            address = w.emit(f"select i1 {ok}, ptr {address}, ptr {self.zeros}")
        elif mask is not None:  # unchecked, and perhaps no lane is active: the index may then be anything
            address = w.emit(f"select i1 {self.values.any(mask)}, ptr {address}, ptr {self.zeros}")
        loaded = w.emit(f"load {memory_type(field.dtype)}, ptr {address}, align {self._align(memory, field)}")
        if field.dtype is bool_:
            loaded = w.emit(f"icmp ne i8 {loaded}, 0")
        return Lanes(field.dtype, loaded, UNIFORM)

    def _align(self, memory: Memory, field: Field) -> int:
        """Alignment that is sure: an element's own for plain arrays; records may be packed."""
        plain = memory.array.itemsize % field.dtype.itemsize == 0 and field.offset % field.dtype.itemsize == 0
        return field.dtype.itemsize if plain else 1

    def _load_checked(self, stmt: Load, memory: Memory, field: Field, index: list[Lanes], mask: Mask, kind: str) -> Lanes:
        w = self.w
        scalar, vector = self._in_bounds(memory, index)
        ok = scalar
        safe_mask = mask
        if vector is not None:
            none_fails = self._none_fails(vector, mask)
            ok = none_fails if ok is None else w.emit(f"and i1 {ok}, {none_fails}")
        assert ok is not None
        fast, slow, end = w.fresh("fast"), w.fresh("slow"), w.fresh("loaded")
        memory_vector = f"<{self.width} x {memory_type(field.dtype)}>"
        w.branch_if(ok, fast, slow, likely=True)
        w.block(fast)
        raw = (
            self._load_row_raw(memory, field, index, None)
            if kind == "contiguous"
            else self._gather_raw(memory, field, index, safe_mask if vector is not None else None, self._loaded(stmt))
        )
        fast_end = w.label
        w.branch(end)
        w.block(slow)
        partial: list[tuple[str, str]] = []
        if self._masks_well(mask, field, kind):
            assert mask is not None
            masked, outside = w.fresh("masked"), w.fresh("outside")
            w.branch_if(self._active_inside(memory, index, mask), masked, outside)
            w.block(masked)
            partial.append((self._load_row_raw(memory, field, index, mask), w.label))
            w.branch(end)
            w.block(outside)
        slow_raw = slow_load(self, memory, field, index, mask, self._site_of(stmt))
        slow_end = w.label
        w.branch(end)
        w.block(end)
        paths = [(raw, fast_end), *partial, (slow_raw, slow_end)]
        merged = w.emit(f"phi {memory_vector} " + ", ".join(f"[ {text}, %{label} ]" for text, label in paths))
        return Lanes(field.dtype, self._from_memory(field.dtype, merged), VARYING)

    @staticmethod
    def _masks_well(mask: Mask, field: Field, kind: str) -> bool:
        """Whether a row can be accessed under a mask: where the strip as a whole is not in bounds, its active lanes may yet be."""
        return mask is not None and kind == "contiguous" and field.dtype.itemsize in (4, 8)

    def _active_inside(self, memory: Memory, index: list[Lanes], mask: str) -> str:
        """Whether every active lane of a row is in bounds, from scalars: the lanes from the end of the row on must not be active."""
        w = self.w
        bits = self.lane_bits(mask)
        inside = ""
        for value, extent in zip(index, memory.extents, strict=True):
            first = self.scalar_index(value, value.text)
            test = w.emit(f"icmp ult i64 {first}, {extent}")
            if value.shape.affine:
                room = w.call("i64", "llvm.umin.i64", f"i64 {w.emit(f'sub i64 {extent}, {first}')}, i64 63", "i64, i64")
                none_beyond = w.emit(f"icmp eq i64 {w.emit(f'lshr i64 {bits}, {room}')}, 0")
                test = w.emit(f"and i1 {test}, {none_beyond}")
            inside = test if not inside else w.emit(f"and i1 {inside}, {test}")
        return inside

    def _lane_address(self, memory: Memory, scalars: list[str], field: Field, lane: str) -> str:
        address = self._address(memory, scalars, field)
        if memory.array.space == "local":
            return self.w.emit(f"getelementptr i8, ptr {address}, i64 {self.w.emit(f'mul i64 {lane}, {memory.array.itemsize}')}")
        return address

    def _from_memory(self, dtype: DType, vector: str) -> str:
        return self.w.emit(f"icmp ne <{self.width} x i8> {vector}, zeroinitializer") if dtype is bool_ else vector

    def _to_memory(self, dtype: DType, vector: str) -> str:
        return self.w.emit(f"zext {self.values.bool_vector} {vector} to <{self.width} x i8>") if dtype is bool_ else vector

    def _load_row(self, memory: Memory, field: Field, index: list[Lanes], mask: Mask) -> str:
        return self._from_memory(field.dtype, self._load_row_raw(memory, field, index, mask))

    def _load_row_raw(self, memory: Memory, field: Field, index: list[Lanes], mask: Mask) -> str:
        address = self._address(memory, [self.scalar_index(v, v.text) for v in index], field)
        t = f"<{self.width} x {memory_type(field.dtype)}>"
        align = self._align(memory, field)
        if mask is None:
            return self.w.emit(f"load {t}, ptr {address}, align {align}")
        name = f"llvm.masked.load.v{self.width}{_suffix(field.dtype)}.p0"
        self.w.module.declare(f"{t} @{name}(ptr, {self.values.bool_vector}, {t})")
        return self.w.emit(
            f"call {t} @{name}(ptr align {align} {address}, {self.values.bool_vector} {self.values.lanes_of(mask)}, {t} zeroinitializer)"
        )

    def _gather(self, memory: Memory, field: Field, index: list[Lanes], mask: Mask, loaded: bool) -> str:
        return self._from_memory(field.dtype, self._gather_raw(memory, field, index, mask, loaded))

    def _pointers(self, memory: Memory, field: Field, index: list[Lanes], mask: Mask, otherwise: str) -> str:
        """The addresses of all lanes; those of inactive lanes are ``otherwise``, so that every lane may be touched without a branch."""
        w = self.w
        offsets, t = self._vector_offsets(memory, index, field)
        pointers = w.emit(f"getelementptr i8, ptr {memory.address}, {t} {offsets}")
        if mask is None:
            return pointers
        spare = self.values.splat(otherwise, "ptr")
        return w.emit(
            f"select {self.values.bool_vector} {self.values.lanes_of(mask)}, <{self.width} x ptr> {pointers}, <{self.width} x ptr> {spare}"
        )

    def _row_test(self, memory: Memory, field: Field, index: list[Lanes], loaded: bool) -> tuple[str, list[str]] | None:
        """Whether lanes that could be anywhere are in a row after all, and lane 0's indices; None if it is not worth asking.

        ``x[i ^ 64]``, ``x[i - i % 32]`` and a view's ``x[i]``, whose stride only the launch knows, mostly are; and a gather costs several
        times what a row and this test cost. Indices that come out of memory are not asked.
        """
        free = [axis for axis, value in enumerate(index) if not value.shape.uniform]
        plain = memory.array.itemsize == field.dtype.itemsize and memory.array.space != "local"
        if len(free) != 1 or not plain or self.width < 8:
            return None
        w, axis = self.w, free[0]
        value, stride = index[axis], memory.strides[axis]
        varying = value.shape == VARYING
        reach = (1 if varying else value.shape.stride or 0) * (stride if isinstance(stride, int) else memory.array.itemsize)
        if (varying and loaded) or reach != memory.array.itemsize:
            return None
        tests = [] if isinstance(stride, int) else [w.emit(f"icmp eq i64 {stride}, {memory.array.itemsize}")]
        firsts = [self.scalar_index(v, v.text) if v.shape != VARYING else "" for v in index]
        if varying:
            t = type_text(value.dtype, self.width)
            first = w.emit(f"extractelement {t} {value.text}, i64 0")
            scalar = scalar_type(value.dtype)
            row = w.emit(f"add {t} {self.values.splat(first, scalar)}, {self.values.lane_numbers(value.dtype)}")
            equal = w.emit(f"icmp eq {t} {value.text}, {row}")
            tests.append(w.emit(f"icmp eq i{self.width} {w.emit(f'bitcast {self.values.bool_vector} {equal} to i{self.width}')}, -1"))
            firsts[axis] = self.scalar_index(value, first)
        if not tests:  # an axis before others of one element, as in a shared array of shape (64, 1)
            return "true", firsts
        test = tests[0] if len(tests) == 1 else w.emit(f"and i1 {tests[0]}, {tests[1]}")
        return test, firsts

    def _gather_raw(self, memory: Memory, field: Field, index: list[Lanes], mask: Mask, loaded: bool = True) -> str:
        """The elements of all lanes; a row if they turn out to be one."""
        row = self._row_test(memory, field, index, loaded) if mask is None else None
        if row is None:
            return self._gather_lanes(memory, field, index, mask)
        w = self.w
        test, firsts = row
        in_row, spread, end = w.fresh("in_row"), w.fresh("spread"), w.fresh("gathered")
        t = f"<{self.width} x {memory_type(field.dtype)}>"
        w.branch_if(test, in_row, spread, likely=True)
        w.block(in_row)
        together = w.emit(f"load {t}, ptr {self._address(memory, firsts, field)}, align {self._align(memory, field)}")
        w.branch(end)
        w.block(spread)
        apart = self._gather_lanes(memory, field, index, None)
        w.branch(end)
        w.block(end)
        return w.emit(f"phi {t} [ {together}, %{in_row} ], [ {apart}, %{spread} ]")

    def _gather_lanes(self, memory: Memory, field: Field, index: list[Lanes], mask: Mask) -> str:
        t = f"<{self.width} x {memory_type(field.dtype)}>"
        if mask is None and memory.array.space != "local" and all(v.shape.affine for v in index):
            return self._load_apart(memory, field, index)
        pointers = self._pointers(memory, field, index, mask, self.zeros)
        name = f"llvm.masked.gather.v{self.width}{_suffix(field.dtype)}.v{self.width}p0"
        self.w.module.declare(f"{t} @{name}(<{self.width} x ptr>, {self.values.bool_vector}, {t})")
        align = self._align(memory, field)
        every = f"{self.values.bool_vector} splat (i1 true)"
        return self.w.emit(f"call {t} @{name}(<{self.width} x ptr> align {align} {pointers}, {every}, {t} zeroinitializer)")

    def _load_apart(self, memory: Memory, field: Field, index: list[Lanes]) -> str:
        """Elements a constant distance apart, one by one: cheaper than a gather, whose addresses the processor takes out of a vector."""
        w = self.w
        address = self._address(memory, [self.scalar_index(v, v.text) for v in index], field)
        distance = self._distance(memory, index)
        element, align = memory_type(field.dtype), self._align(memory, field)
        vector = "poison"
        for lane in range(self.width):
            offset = str(lane * distance) if isinstance(distance, int) else w.emit(f"mul i64 {distance}, {lane}")
            loaded = w.emit(f"load {element}, ptr {w.emit(f'getelementptr i8, ptr {address}, i64 {offset}')}, align {align}")
            vector = w.emit(f"insertelement <{self.width} x {element}> {vector}, {element} {loaded}, i64 {lane}")
        return vector

    def _distance(self, memory: Memory, index: list[Lanes]) -> int | str:
        """The bytes from one lane's element to the next's, for affine indices."""
        w = self.w
        constant, others = 0, ""
        for value, stride in zip(index, memory.strides, strict=True):
            step = value.shape.stride or 0
            if isinstance(stride, int):
                constant += step * stride
            elif step:
                term = w.emit(f"mul i64 {stride}, {step}")
                others = w.emit(f"add i64 {others}, {term}") if others else term
        if not others:
            return constant
        return w.emit(f"add i64 {others}, {constant}") if constant else others

    # --------------------------------------------------------------------------------------------------------------- stores

    def store(self, stmt: Store, mask: Mask) -> None:
        memory = self.memories[stmt.array]
        field = memory.array.fields[stmt.field]
        index = self._indices(stmt.index)
        value = self.values.evaluate(stmt.value)
        checked = stmt.checked and self.checks
        kind = self._classify(memory, index, field)
        w = self.w
        if kind == "uniform":
            self._store_uniform(stmt, memory, field, index, value, mask, checked)
            return
        vector = self._to_memory(field.dtype, self.values.vector(value))
        if not checked:
            self._store_fast(memory, field, index, vector, mask, kind, self._loaded(stmt))
            return
        scalar, varying = self._in_bounds(memory, index)
        ok = scalar
        if varying is not None:
            none_fails = self._none_fails(varying, mask)
            ok = none_fails if ok is None else w.emit(f"and i1 {ok}, {none_fails}")
        assert ok is not None
        fast, slow, end = w.fresh("fast"), w.fresh("slow"), w.fresh("stored")
        w.branch_if(ok, fast, slow, likely=True)
        w.block(fast)
        self._store_fast(memory, field, index, vector, mask, kind, self._loaded(stmt))
        w.branch(end)
        w.block(slow)
        if self._masks_well(mask, field, kind):
            assert mask is not None
            masked, outside = w.fresh("masked"), w.fresh("outside")
            w.branch_if(self._active_inside(memory, index, mask), masked, outside)
            w.block(masked)
            self._store_fast(memory, field, index, vector, mask, kind)
            w.branch(end)
            w.block(outside)
        slow_store(self, memory, field, index, vector, mask, self._site_of(stmt))
        w.branch(end)
        w.block(end)

    def _store_fast(
        self, memory: Memory, field: Field, index: list[Lanes], vector: str, mask: Mask, kind: str, loaded: bool = True
    ) -> None:
        w = self.w
        t = f"<{self.width} x {memory_type(field.dtype)}>"
        align = self._align(memory, field)
        row = self._row_test(memory, field, index, loaded) if kind == "gather" and mask is None else None
        if row is not None:
            test, firsts = row
            in_row, spread, end = w.fresh("in_row"), w.fresh("spread"), w.fresh("scattered")
            w.branch_if(test, in_row, spread, likely=True)
            w.block(in_row)
            w.do(f"store {t} {vector}, ptr {self._address(memory, firsts, field)}, align {align}")
            w.branch(end)
            w.block(spread)
            self._store_fast(memory, field, index, vector, mask, "scatter")
            w.branch(end)
            w.block(end)
            return
        if kind in ("gather", "scatter"):
            pointers = self._pointers(memory, field, index, mask, self.trash)
            name = f"llvm.masked.scatter.v{self.width}{_suffix(field.dtype)}.v{self.width}p0"
            w.module.declare(f"void @{name}({t}, <{self.width} x ptr>, {self.values.bool_vector})")
            w.do(
                f"call void @{name}({t} {vector}, <{self.width} x ptr> align {align} {pointers}, {self.values.bool_vector} splat (i1 true))"
            )
            return
        address = self._address(memory, [self.scalar_index(v, v.text) for v in index], field)
        if mask is not None and memory.array.space == "local":  # nobody else sees a local array: read, blend, write
            old = w.emit(f"load {t}, ptr {address}, align {align}")
            vector = w.emit(f"select {self.values.bool_vector} {self.values.lanes_of(mask)}, {t} {vector}, {t} {old}")
            mask = None
        if mask is None:
            w.do(f"store {t} {vector}, ptr {address}, align {align}")
            return
        name = f"llvm.masked.store.v{self.width}{_suffix(field.dtype)}.p0"
        w.module.declare(f"void @{name}({t}, ptr, {self.values.bool_vector})")
        w.do(f"call void @{name}({t} {vector}, ptr align {align} {address}, {self.values.bool_vector} {self.values.lanes_of(mask)})")

    def _store_uniform(
        self, stmt: Store, memory: Memory, field: Field, index: list[Lanes], value: Lanes, mask: Mask, checked: bool
    ) -> None:
        """All lanes write one place: the highest active lane's value stays."""
        w = self.w
        scalars = [self.scalar_index(v, v.text) for v in index]
        go, bad, end = w.fresh("go"), w.fresh("bad"), w.fresh("stored")
        if mask is not None:
            some = w.fresh("some")
            w.branch_if(self.values.any(mask), some, end)
            w.block(some)
        if checked and scalars:
            ok, _ = self._in_bounds(memory, index)
            w.branch_if(ok or "true", go, bad, likely=True)
            w.block(bad)
            site = self._site_of(stmt)
            report(self, site, self.lane_bits(mask), scalars)
            w.branch(end)
        w.block(go)
        text = self.last_lane(value, mask)
        if field.dtype is bool_:
            text = w.emit(f"zext i1 {text} to i8")
        w.do(f"store {memory_type(field.dtype)} {text}, ptr {self._address(memory, scalars, field)}, align {self._align(memory, field)}")
        w.branch(end)
        w.block(end)

    def last_lane(self, value: Lanes, mask: Mask) -> str:
        """A value in the highest active lane."""
        if value.shape.uniform:
            return value.text
        w, width = self.w, self.width
        if mask is None:
            lane = str(width - 1)
        else:
            zeros = w.call(f"i{width}", f"llvm.ctlz.i{width}", f"i{width} {self.values.mask_bits(mask)}, i1 true", f"i{width}, i1")
            lane = w.emit(f"zext i{width} {w.emit(f'sub i{width} {width - 1}, {zeros}')} to i64")
        return w.emit(f"extractelement {type_text(value.dtype, width)} {self.values.vector(value)}, i64 {lane}")

    # -------------------------------------------------------------------------------------------------------------- atomics

    def atomic(self, stmt: Atomic, mask: Mask) -> Lanes | None:
        """A read-modify-write by each active lane, in lane order; the old values if they are wanted."""
        memory = self.memories[stmt.array]
        field = memory.array.fields[stmt.field]
        index = self._indices(stmt.index)
        operands = [self.values.evaluate(o) for o in stmt.operands]
        w = self.w
        readers = [self.spill(o) for o in operands]
        element = memory_type(field.dtype)
        result = w.alloca(f"<{self.width} x {element}>", 64) if stmt.var is not None else ""
        if result:
            w.do(f"store <{self.width} x {element}> zeroinitializer, ptr {result}, align 64")
        private = memory.array.space in ("shared", "local")  # a block runs on one thread: its memory needs no lock

        def act(lane: str, scalars: list[str]) -> None:
            tables = self.copies.get(stmt.array, ()) if lane.isdigit() else ()
            place = replace(memory, address=tables[int(lane) % len(tables)]) if tables else memory
            address = self._lane_address(place, scalars, field, lane)
            if private:
                # Put into a register of its own by an empty piece of assembly. AMD's Zen guesses which store a load depends on from the
                # registers of its address; ``incl (base, index, 4)`` with the same two each time made it guess wrong: five times as slow.
                address = w.emit(f'call ptr asm "", "=r,0"(ptr {address})')
            old = emit_atomic(w, stmt.op, field.dtype, address, [read(lane) for read in readers], private)
            if result:
                if field.dtype is bool_:
                    old = w.emit(f"zext i1 {old} to i8")
                w.do(f"store {element} {old}, ptr {w.emit(f'getelementptr {element}, ptr {result}, i64 {lane}')}")

        checked = stmt.checked and self.checks
        site = self._site_of(stmt) if checked else 0
        if mask is None and self.width > 1:
            self._whole_strip_atomics(memory, index, checked, site, act)
        else:
            self._checked_lanes(memory, index, mask, checked, site, act)
        if not result:
            return None
        return Lanes(
            field.dtype, self._from_memory(field.dtype, w.emit(f"load <{self.width} x {element}>, ptr {result}, align 64")), VARYING
        )

    def _whole_strip_atomics(
        self, memory: Memory, index: list[Lanes], checked: bool, site: int, act: Callable[[str, list[str]], None]
    ) -> None:
        """All lanes, one after the other in straight code, if one test shows them all in bounds; else the loop over lanes."""
        w = self.w
        ok = "true"
        if checked and index:
            scalar, vector = self._in_bounds(memory, index)
            ok = scalar or "true"
            if vector is not None:
                none_fails = self._none_fails(vector, None)
                ok = none_fails if scalar is None else w.emit(f"and i1 {ok}, {none_fails}")
        fast, slow, end = w.fresh("fast"), w.fresh("slow"), w.fresh("updated")
        w.branch_if(ok, fast, slow, likely=True)
        w.block(fast)
        vectors = [v.text if v.shape == VARYING else "" for v in index]
        for lane in range(self.width):
            scalars = []
            for value, vector_text in zip(index, vectors, strict=True):
                if vector_text:
                    text = w.emit(f"extractelement {type_text(value.dtype, self.width)} {vector_text}, i64 {lane}")
                    scalars.append(self.scalar_index(value, text))
                else:
                    scalars.append(self.scalar_index(value, self.values.lane(value, str(lane))))
            act(str(lane), scalars)
        w.branch(end)
        w.block(slow)
        self._checked_lanes(memory, index, None, checked, site, act)
        w.branch(end)
        w.block(end)


def _suffix(dtype: DType) -> str:
    return {"half": "f16", "float": "f32", "double": "f64"}.get(memory_type(dtype), memory_type(dtype))


def _bits_table() -> dict[int, DType]:
    from anygpu.dtypes import int32

    return {32: int32, 64: int64}


_BITS = _bits_table()
