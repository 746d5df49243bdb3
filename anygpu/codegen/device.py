"""What a GPU's code generator and whoever launches its code agree on: the words of a launch, the error slot, the print buffer.

**A launch is a row of 8-byte words**, the same on every vendor; word n is the kernel's parameter n. ``DeviceCode.words`` says what each
is, and holds only those that the code reads:

==============  =====================================================================================================================
``grid``        blocks along ``axis`` (0, 1, 2 are x, y, z), an int64
``block``       work-items of a block along ``axis``, an int64
``shared``      bytes of dynamic shared memory that the user asked for, an int64
``dynamic``     (SPIR-V) dynamic shared memory itself: ``clSetKernelArg(n, max(1, bytes), NULL)``
``error``       address of the error slot: ``ERROR_BYTES`` bytes, all zero before the first launch and after a report was read
``print``       address of the print buffer: three words (bytes used, capacity in bytes, records dropped), then the records
``sync``        address of ``SYNC_BYTES`` zero bytes, which grid barriers use; a launch leaves them fit for the next
``pointer``     address of the first element (index 0 on every axis) of the array ``name``
``offset``      (targets that take buffers) bytes from the buffer that ``pointer`` names to the first element, an int64
``extent``      the array's extent along ``axis``, an int64
``stride``      the array's stride along ``axis`` in bytes, an int64, perhaps negative
``scalar``      the parameter ``name``: its bits in the low bytes of the word. A bool is 0 or 1; the other bytes do not matter
==============  =====================================================================================================================

So on NVIDIA and AMD a packed row of words *is* the parameter buffer (``CU_LAUNCH_PARAM_BUFFER_POINTER``,
``HIP_LAUNCH_PARAM_BUFFER_POINTER``), and with OpenCL each word is one ``clSetKernelArg`` of 8 bytes or of a buffer, which a launch need
repeat only where it differs from the last.

Addresses and strides of arrays are multiples of the element's alignment (``alignment``), and buffers end on a multiple of 4 bytes, since
8- and 16-bit atomics swap the whole 32-bit word. The driver's block must be ``(x*y*z, 1, 1)`` work-items if ``DeviceCode.flat``.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from anygpu.codegen.llvm import Module, Writer
from anygpu.dtypes import DType
from anygpu.errors import Site
from anygpu.ir.kernel import Array, Scope, Space
from anygpu.passes.assume import Certain
from anygpu.passes.intervals import Facts

WordKind = Literal["grid", "block", "shared", "dynamic", "error", "print", "sync", "pointer", "offset", "extent", "stride", "scalar"]
POINTERS = frozenset(("dynamic", "error", "print", "sync", "pointer"))

# The error slot: uint32 count, order of the earliest failure (inverted, so that zero is "none"), records used, unused; then records of
# int64 block, work-item, site, number of indices, indices. A failure is recorded if no earlier one has been: of n failures in random
# order that is about log(n), so the records are enough in all but contrived orders, and then only the indices are lost.
ERROR_RECORDS, RECORD_WORDS, MAXIMUM_NDIM = 512, 12, 8
ERROR_BYTES = 16 + ERROR_RECORDS * RECORD_WORDS * 8
SYNC_BYTES = 8
PRINT_HEADER = 24


@dataclass(frozen=True)
class Word:
    """One 8-byte word of a launch: what it is, of which parameter, along which axis."""

    kind: WordKind
    name: str = ""
    axis: int = 0

    @property
    def is_pointer(self) -> bool:
        return self.kind in POINTERS


@dataclass(frozen=True)
class DeviceOptions:
    """What one compiled variant assumes of its launches.

    ``small``: every array spans under 2**31 bytes, and positions and int arguments fit int32. ``block``: the block's extents, if the code
    is made for them alone, else ``threads`` bounds their product. ``disjoint``: no array that is written overlaps another argument.
    ``votes``: an OpenCL device has ``cl_khr_subgroup_non_uniform_vote``, without which bounds checks are slower. ``certain``: what launches
    with such grids and shapes make certain of the kernel's statements (``passes.assume``). ``on_cpu``: an OpenCL device that is a CPU and
    runs work-items as lanes of vectors: exchanges go through shared memory where the warp has not diverged, and kernels that are cheaper
    in scalar code ask for that. ``wide``: it can be asked for 32 lanes at once. ``ranged``: the launches are of a range.
    ``lines``: blocks are along x, of any length up to ``threads``. ``flat_grid``: the driver's grid is along x alone.
    ``aligned``: every array begins at a multiple of 16 bytes, so that what lies side by side can be loaded at once.
    """

    small: bool = True
    bounds_check: bool = True
    block: tuple[int, int, int] | None = None
    threads: int = 1024
    disjoint: bool = False
    votes: bool = True
    certain: Certain = ()
    on_cpu: bool = False
    wide: bool = False
    ranged: bool = False
    lines: bool = False
    flat_grid: bool = False
    aligned: bool = False

    def block_extent(self, axis: int) -> int | None:
        """The block's extent along an axis, if all launches have the same."""
        if self.block is not None:
            return self.block[axis]
        return 1 if self.lines and axis else None

    @property
    def facts(self) -> Facts:
        """What intervals of integers may rely on."""
        return Facts(self.small, self.block, ranged=self.ranged, lines=self.lines)

    @property
    def warp_slots(self) -> int:
        """Work-items of the largest possible block, rounded up to whole warps."""
        x, y, z = self.block or (self.threads, 1, 1)
        return (x * y * z + 31) & -32

    @property
    def whole_warps(self) -> bool:
        """Whether every warp surely has all of its 32 lanes."""
        return self.block is not None and self.block[0] * self.block[1] * self.block[2] % 32 == 0


@dataclass(frozen=True)
class DeviceCode:
    """A kernel as LLVM IR for one target, and what its launches need to know.

    ``shared_bytes`` is static shared memory; ``launch_shared_bytes`` is the part of it that a launch must ask for in front of the user's
    dynamic shared memory, because the module may not declare as much. ``capabilities`` names what not every device has: fp64, fp16,
    int64_atomics, subgroups32 (sub-groups of 32 work-items) and cooperative (a launch whose blocks all run at once).
    """

    kernel: str
    target: str
    entry: str
    text: str
    words: tuple[Word, ...]
    sites: tuple[Site, ...]
    shared_bytes: int
    launch_shared_bytes: int
    flat: bool
    capabilities: frozenset[str]

    def reads(self, kind: WordKind) -> bool:
        """Whether a launch has a word of this kind, such as an error slot."""
        return any(word.kind == kind for word in self.words)


@dataclass(frozen=True)
class DeviceFailure:
    """What an error slot holds: how many accesses or assertions failed, and the first in the order of blocks and work-items.

    ``site`` is None if the slot was too full to keep the first one's place.
    """

    count: int
    block: int
    thread: int
    site: int | None
    index: tuple[int, ...]


def decode_failure(slot: bytes, threads: int) -> DeviceFailure | None:
    """The contents of an error slot after a launch of blocks of ``threads`` work-items; None if nothing failed.

    >>> decode_failure(bytes(ERROR_BYTES), 256) is None
    True
    """
    count, order, used, _ = struct.unpack_from("<4I", slot)
    if not count:
        return None
    records = [struct.unpack_from(f"<{RECORD_WORDS}q", slot, 16 + n * RECORD_WORDS * 8) for n in range(min(used, ERROR_RECORDS))]
    block, thread = divmod(0xFFFFFFFF - order, threads)
    first = min(records, key=lambda record: record[:2], default=None)
    if first is None or (used > ERROR_RECORDS and first[:2] != (block, thread)):
        return DeviceFailure(count, block, thread, None, ())
    return DeviceFailure(count, first[0], first[1], first[2], tuple(first[4 : 4 + first[3]]))


def alignment(array: Array, part: DType, offset: int) -> int:
    """The alignment of a scalar inside an array's elements, in bytes: its own, unless records are packed more tightly."""
    found = part.itemsize
    while array.itemsize % found or offset % found:
        found //= 2
    return found


class DeviceWriter(Writer):
    """A writer whose pointers carry their address space: ``alloca`` gives ``ptr addrspace(5) %a1``, not a bare name."""

    def __init__(self, module: Module, stack: int):
        super().__init__(module)
        self.stack = stack

    def alloca(self, llvm_type: str, align: int = 0) -> str:
        space = f"addrspace({self.stack})" if self.stack else ""
        name = super().alloca(llvm_type, align)
        if space:
            self.entry[-1] += f", {space}"
        return f"ptr {space} {name}" if space else f"ptr {name}"

    def to_32(self, value: str, bits: int) -> str:
        """An unsigned integer of up to 32 bits as an i32.

        By way of 64 bits: for SPIR-V, LLVM makes what was cut out of an i64 and extended to an i32 a mask of the i64, which is invalid.
        """
        if bits == 32:
            return value
        wide = self.emit(f"zext i{bits} {value} to i64")
        return self.emit(f"trunc i64 {wide} to i32")

    def invoke(self, result: str, name: str, args: str, types: str, convention: str = "", attributes: str = "") -> str:
        """Call a function, which is declared with its convention and attributes (``convergent``)."""
        head = f"{convention} {result}".strip()
        self.module.declare(f"{head} @{name}({types}){' ' + attributes if attributes else ''}")
        text = f"call {head} @{name}({args}){' ' + attributes if attributes else ''}"
        if result == "void":
            self.do(text)
            return ""
        return self.emit(text)


@dataclass(frozen=True)
class Target:
    """What distinguishes one GPU target from another: tables, and a few emitters that its module overrides.

    ``spaces`` numbers the address spaces. ``scopes`` names LLVM's synchronisation scopes. ``atomics`` holds the (operation, dtype) that are
    one instruction. ``narrow``: whether 32-bit integers are cheaper than 64-bit ones. ``buffers``: whether an argument is a buffer and an
    offset rather than an address. ``static_limit`` bounds the shared memory that a module may declare. ``divergent_barriers``: whether
    work-items that have ended do not keep a barrier waiting. ``shuffles_by_step``: whether shuffles know segments. ``unrolls``: whether
    short loops are worth writing out. ``positions_anywhere``: whether any function can read its position and the extents.
    ``inlined_reports``: up to how many places code that reports a failure is written out rather than called. ``shared_counters``: whether
    loops that step over the work-items of a block count for all together, as suits devices that run work-items as vectors.
    """

    name: str
    triple: str
    layout: str
    convention: str
    spaces: Mapping[Space, int]
    stack: int
    scopes: Mapping[Scope, str]
    atomics: frozenset[tuple[str, str]]
    narrow: bool
    buffers: bool
    static_limit: int
    divergent_barriers: bool
    unsupported: Mapping[str, str] = field(default_factory=dict)
    inlined_reports: int = 0
    flat_warps: bool = False
    shuffles_by_step: bool = False
    positions_anywhere: bool = False
    unrolls: bool = False
    shared_counters: bool = False

    def pointer(self, space: Space) -> str:
        """The LLVM type of a pointer into a space."""
        number = self.stack if space == "local" else self.spaces[space]
        return f"ptr addrspace({number})" if number else "ptr"

    def scope(self, scope: Scope) -> str:
        return f'syncscope("{self.scopes[scope]}")'

    def position(self, w: DeviceWriter, name: str, axis: int) -> str:
        """``thread`` or ``block``: the work-item's index in its block or the block's in the grid, as an i64."""
        raise NotImplementedError

    def extent(self, w: DeviceWriter, name: str, axis: int) -> str:
        """``block`` or ``grid``: its extent as an i64. Only if ``positions_anywhere``; words of the launch serve all targets."""
        raise NotImplementedError

    def barrier(self, w: DeviceWriter) -> None:
        """All work-items of the block arrive; memory is consistent among them afterwards."""
        raise NotImplementedError

    def warp_barrier(self, w: DeviceWriter, diverged: bool) -> None:
        """The same for a warp."""
        raise NotImplementedError

    def fence(self, w: DeviceWriter, scope: Scope) -> None:
        w.do(f"fence {self.scope(scope)} acq_rel")

    def members(self, w: DeviceWriter, diverged: bool) -> str:
        """What exchanges need to know of the lanes that run them together, as an i32; "" if they need nothing."""
        return ""

    def ballot(self, w: DeviceWriter, members: str, bit: str) -> str:
        """The lanes of the warp of 32 that execute this and hold ``bit``, as an i32."""
        raise NotImplementedError

    def shuffle(self, w: DeviceWriter, members: str, value: str, lane: str) -> str:
        """The i32 that ``lane`` of this warp holds; anything if that lane does not execute this."""
        raise NotImplementedError

    def shuffle_by_step(self, w: DeviceWriter, members: str, form: str, value: str, step: int, width: int) -> str:
        """The i32 of the lane ``step`` away in a segment of ``width`` lanes that all execute this, or the lane's own at the segment's end.

        ``form`` is ``idx`` (that lane), ``up``, ``down`` or ``bfly``. Only if ``shuffles_by_step``.
        """
        raise NotImplementedError

    def match(self, w: DeviceWriter, members: str, bits: int, value: str) -> str | None:
        """The lanes that hold the same i32 or i64, if the target has an instruction for it."""
        return None

    def reduce(self, w: DeviceWriter, members: str, op: str, value: str, signed: bool) -> str | None:
        """The i32 values of all 32 lanes of a warp combined (``add``, ``min``, ``max``, ``and``, ``or``, ``xor``), if the target has an
        instruction for it."""
        return None

    def some(self, w: DeviceWriter, bit: str) -> str | None:
        """Whether ``bit`` holds for any work-item that runs in step with this one, where branching on that is worth it: on devices that
        run work-items as vectors, code under a condition that differs between them costs its time even if none takes it."""
        return None

    def lane(self, w: DeviceWriter) -> str | None:
        """The lane as an i64, if the target knows it without the work-item's number in the block."""
        return None

    def operation(self, w: DeviceWriter, name: str, dtype: DType, args: list[str]) -> str | None:
        """A scalar operation that this target does not write as all others do."""
        return None

    def convert(self, w: DeviceWriter, value: str, source: DType, target: DType) -> str | None:
        """A conversion that this target does not write as all others do; A half type is converted to float32 first."""
        return None

    def attributes(self, options: DeviceOptions, warps: bool, scalar: bool) -> str:
        """The kernel's LLVM attributes and metadata; ``warps``: work-items go 32 at a time, ``scalar``: they shall not become vectors."""
        return ""

    def metadata(self, options: DeviceOptions, flat: bool) -> str:
        """Module metadata that ``attributes`` refers to; ``flat``: the launch's block is ``(x*y*z, 1, 1)``."""
        return ""


__all__ = ["DeviceCode", "DeviceFailure", "DeviceOptions", "DeviceWriter", "Target", "Word", "alignment", "decode_failure"]
