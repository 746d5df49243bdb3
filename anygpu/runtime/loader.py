"""Object code into executable memory.

On x86-64 with ELF (Linux and its kin) a small linker of our own places the sections and resolves the few relocations that
generated code has: it takes a fraction of a millisecond, where loading LLVM takes tens. Everywhere else, and for anything it
does not know, llvmlite's JIT links the object.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import platform
import struct
import sys
from dataclasses import dataclass
from typing import Protocol


class Program(Protocol):
    """Loaded code: stays in memory as long as this object lives."""

    def address(self, name: str) -> int:
        """Where a function starts; raises ``KeyError`` if there is none of this name."""


class _Unsupported(Exception):
    """An object file that the small linker leaves to LLVM's."""


@dataclass(frozen=True)
class _Loaded:
    """Code in a private mapping that is never unmapped: another thread may still be in it."""

    symbols: dict[str, int]

    def address(self, name: str) -> int:
        return self.symbols[name]


# ELF64 as the System V ABI (generic and x86-64 supplements) describes it
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_RELOCATION = struct.Struct("<QQq")
_SYMTAB, _RELA, _NOBITS, _ALLOC, _EXECUTE, _WRITE = 2, 4, 8, 2, 4, 1
_R_64, _R_PC32, _R_PLT32, _R_GOTPCREL, _R_32, _R_32S, _R_PC64, _R_GOTPCRELX, _R_REX_GOTPCRELX = 1, 2, 4, 9, 10, 11, 24, 41, 42


def load(image: bytes, exports: tuple[str, ...]) -> Program:
    """Load the code of an object file whose functions ``exports`` are wanted."""
    return load_directly(image) or _JitProgram(image, exports)


def load_directly(image: bytes) -> Program | None:
    """Load an object file without LLVM; None where the small linker does not know this machine or something in the object."""
    if not (sys.platform.startswith("linux") and platform.machine() == "x86_64"):
        return None
    try:
        return _load_elf(image)
    except _Unsupported:
        return None


def _pages(size: int) -> int:
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE


def _load_elf(image: bytes) -> _Loaded:
    header = _HEADER.unpack_from(image)
    if header[0][:6] != b"\x7fELF\x02\x01" or header[1] != 1 or header[2] != 62:
        raise _Unsupported("not a relocatable x86-64 object")
    sections = [_SECTION.unpack_from(image, header[6] + n * header[11]) for n in range(header[12])]
    tables = [s for s in sections if s[1] == _SYMTAB]
    if len(tables) != 1:
        raise _Unsupported("no symbol table")
    strings = sections[tables[0][6]][4]
    symbols = [_SYMBOL.unpack_from(image, tables[0][4] + n * _SYMBOL.size) for n in range(tables[0][5] // _SYMBOL.size)]

    def name_of(symbol: tuple[int, ...]) -> str:
        start = strings + symbol[0]
        return image[start : image.index(b"\0", start)].decode()

    external = {n: name_of(s) for n, s in enumerate(symbols) if n and s[3] == 0}
    # Code and the jumps to functions outside it come first, data on pages of its own behind them: none is both written and run.
    offsets: dict[int, int] = {}

    def place(start: int, executable: bool) -> int:
        for n, s in enumerate(sections):
            if s[2] & _ALLOC and s[5] and bool(s[2] & _EXECUTE) == executable:
                offsets[n] = -(-start // max(1, s[8])) * max(1, s[8])
                start = offsets[n] + s[5]
        return start

    stubs = -(-place(0, True) // 16) * 16
    code_end = _pages(stubs + 16 * len(external))
    addresses = -(-place(code_end, False) // 16) * 16  # the address of each symbol, for code that looks it up
    memory = mmap.mmap(-1, _pages(addresses + 8 * len(symbols)), prot=mmap.PROT_READ | mmap.PROT_WRITE)
    base = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for n, offset in offsets.items():
        if sections[n][1] != _NOBITS:
            memory[offset : offset + sections[n][5]] = image[sections[n][4] : sections[n][4] + sections[n][5]]
    stub_of: dict[int, int] = {}
    values: list[int] = []
    for n, s in enumerate(symbols):
        if n in external:
            address = _process_symbol(external[n])
            stub_of[n] = at = stubs + 16 * len(stub_of)
            memory[at : at + 14] = b"\xff\x25\x00\x00\x00\x00" + struct.pack("<Q", address)  # jmp [rip]; the address
            values.append(address)
        elif s[3] in offsets:
            values.append(base + offsets[s[3]] + s[4])
        else:
            values.append(s[4])
        struct.pack_into("<Q", memory, addresses + 8 * n, values[n] & 0xFFFFFFFFFFFFFFFF)
    for section in sections:
        if section[1] == _RELA and section[7] in offsets:
            for at in range(section[4], section[4] + section[5], _RELOCATION.size):
                _relocate(memory, base, offsets[section[7]], _RELOCATION.unpack_from(image, at), values, stub_of, addresses)
    functions = {name_of(s): values[n] for n, s in enumerate(symbols) if s[3] in offsets and s[1] >> 4}
    _make_executable(base, code_end)
    _MAPPINGS.append(memory)
    return _Loaded(functions)


_MAPPINGS: list[mmap.mmap] = []  # loaded code lives as long as the process


def _relocate(
    memory: mmap.mmap, base: int, section: int, entry: tuple[int, int, int], values: list[int], stub_of: dict[int, int], addresses: int
) -> None:  # fmt: skip
    where, info, addend = entry
    kind, number = info & 0xFFFFFFFF, info >> 32
    place = section + where
    value = values[number]
    if kind == _R_64:
        struct.pack_into("<Q", memory, place, (value + addend) & 0xFFFFFFFFFFFFFFFF)
        return
    if kind == _R_PC64:
        struct.pack_into("<q", memory, place, value + addend - (base + place))
        return
    if kind in (_R_PC32, _R_PLT32):
        target = base + stub_of[number] if number in stub_of and kind == _R_PLT32 else value
    elif kind in (_R_GOTPCREL, _R_GOTPCRELX, _R_REX_GOTPCRELX):
        target = base + addresses + 8 * number
    else:
        raise _Unsupported(f"relocation type {kind}")
    distance = target + addend - (base + place)
    if not -(1 << 31) <= distance < 1 << 31:
        raise _Unsupported("a symbol lies too far away")
    struct.pack_into("<i", memory, place, distance)


def _process_symbol(name: str) -> int:
    try:
        function = getattr(_libraries(), name)
    except AttributeError as error:
        raise _Unsupported(f"symbol {name} is not in the process") from error
    return ctypes.cast(function, ctypes.c_void_p).value or 0


@functools.cache
def _libraries() -> ctypes.CDLL:
    """The C and mathematics libraries: all that generated code may call (memcpy, memset, fma on old processors)."""
    return ctypes.CDLL("libm.so.6")  # depends on libc, whose symbols it therefore finds too


def _make_executable(start: int, size: int) -> None:
    libc = _libraries()
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    if libc.mprotect(start, size, mmap.PROT_READ | mmap.PROT_EXEC):
        raise _Unsupported("the system does not let memory be made executable")


class _JitProgram:
    """An object linked by LLVM's JIT, which finds what the object needs in the process."""

    count = 0

    def __init__(self, image: bytes, exports: tuple[str, ...]):
        import llvmlite.binding as llvm

        builder = llvm.JITLibraryBuilder().add_object_img(image).add_current_process()
        for name in exports:
            builder.export_symbol(name)
        _JitProgram.count += 1
        self.library = builder.link(_jit(), f"anygpu.{_JitProgram.count}")
        _LINKED.append(self)

    def address(self, name: str) -> int:
        return int(self.library[name])


_LINKED: list[_JitProgram] = []


@functools.cache
def _jit() -> object:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.create_lljit_compiler()
