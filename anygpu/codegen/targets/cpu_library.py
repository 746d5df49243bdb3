"""CPU kernels as a library that C can call: one function for each kernel, over the variants that its launches may need.

A kernel's function packs its arguments into the words that the variants read, and leaves the rest to ``anygpu__start``, which checks the
launch, finds the first variant that suits it and runs it with memory of its own. ``engine.ahead_header`` writes the C declarations of
what is laid out here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from anygpu.codegen.device import alignment
from anygpu.codegen.llvm import scalar_type
from anygpu.codegen.targets.cpu import LAUNCH_WORDS, CpuCode, CpuOptions, parameter_words
from anygpu.codegen.targets.cpu_library_driver import ASSERTION_FAILED, BAD_ARGUMENT, INDEX_ERROR, driver_ir
from anygpu.codegen.targets.cpu_pool import pool_ir
from anygpu.codegen.targets.cpu_support import SUPPORT_TABLE, launch_ir, support_ir
from anygpu.dtypes import DType, bool_
from anygpu.errors import Site
from anygpu.ir.kernel import Array, Kernel, Var

PREFIX = "anygpu__"
POOL = ("pool_init", "pool_start", "pool_run")
@dataclass(frozen=True)
class LibraryVariant:
    """One variant: its code, what that assumes, and the axes of its range (0 for a grid launch)."""

    code: CpuCode
    options: CpuOptions
    range_ndim: int
    declared: dict[str, tuple[int, ...]]
    dynamic: dict[str, int]


@dataclass(frozen=True)
class LibraryKernel:
    """A kernel with these parameters under its name in C. A launch takes the first of its variants that suits."""

    name: str
    symbol: str
    kernel: Kernel  # whose parameters are the function's, before those of a range
    arguments: tuple[str, ...]  # what errors call each parameter
    variants: tuple[LibraryVariant, ...]


def variant_symbols(symbol: str, number: int, code: CpuCode) -> tuple[str, str | None]:
    """The names of a variant's functions ``run`` and ``arena_bytes`` in the library."""
    base = f"{PREFIX}{symbol}_{number}"
    return f"{base}_run", f"{base}_arena" if code.coroutine else None


def library_modules(kernels: Sequence[LibraryKernel], triple: str, type_offset: int) -> list[str]:
    """The LLVM modules of a library, to be linked: what is shared by all kernels, each kernel's variants, and the functions for C.

    It holds the worker pool and the quick launch too, which Python's launches use (``type_offset``: where a Python object keeps its type).
    """
    exports = (*SUPPORT_TABLE, *POOL, "launch")
    modules = [_shared(_renamed(text, exports)) for text in (support_ir(triple), launch_ir(triple, type_offset))]
    if "windows" not in triple:
        modules.append(_shared(_renamed(pool_ir(triple), exports)))
    for kernel in kernels:
        for n, variant in enumerate(kernel.variants):
            run, arena = variant_symbols(kernel.symbol, n, variant.code)
            text = re.sub(r"@run\b", f"@{run}", variant.code.text)
            modules.append(re.sub(r"@arena_bytes\b", f"@{arena}", text) if arena else text)
    return [*modules, _entries(kernels, triple)]


def _renamed(text: str, names: Sequence[str]) -> str:
    return re.sub(rf"@({'|'.join(names)})\b", rf"@{PREFIX}\1", text)


def _shared(text: str) -> str:
    """A module of which a program may hold several copies, from several libraries."""
    return re.sub(rf"^define (?=\w+ @{PREFIX})", "define weak_odr ", text, flags=re.MULTILINE)


class _Constants:
    """Constant strings and tables of a module, each once."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names: dict[str, str] = {}

    def string(self, text: str) -> str:
        data = text.encode() + b"\0"
        return self._named(f'private unnamed_addr constant [{len(data)} x i8] c"' + "".join(f"\\{b:02X}" for b in data) + '"')

    def table(self, words: Sequence[str | int]) -> str:
        """Words in a row: numbers, and addresses as ``@name``."""
        if not words:
            return "null"
        kinds = ", ".join("i64" if isinstance(word, int) else "ptr" for word in words)
        values = ", ".join(f"i64 {word}" if isinstance(word, int) else f"ptr {word}" for word in words)
        return self._named(f"private unnamed_addr constant {{ {kinds} }} {{ {values} }}, align 8")

    def _named(self, definition: str) -> str:
        name = self.names.get(definition)
        if name is None:
            name = self.names[definition] = f"@constant.{len(self.names)}"
            self.lines.append(f"{name} = {definition}")
        return name


def _entries(kernels: Sequence[LibraryKernel], triple: str) -> str:
    constants = _Constants()
    functions = []
    declarations = [f"declare void @{PREFIX}{name}()" for name in SUPPORT_TABLE]
    for kernel in kernels:
        rows: list[str | int] = []
        for n, variant in enumerate(kernel.variants):
            run, arena = variant_symbols(kernel.symbol, n, variant.code)
            declarations.append(f"declare void @{run}(ptr, i64, i64, ptr)")
            if arena:
                declarations.append(f"declare i64 @{arena}(ptr)")
            rows += _variant(kernel, variant, f"@{run}", f"@{arena}" if arena else "null", constants)
        words = sum(map(parameter_words, kernel.kernel.params))
        row = constants.table([constants.string(kernel.name), words, len(kernel.variants), constants.table(rows)])
        functions.append(_entry(kernel, row, constants))
    support = ", ".join(f"ptr @{PREFIX}{name}" for name in SUPPORT_TABLE)
    table = f"@{PREFIX}support = weak_odr hidden constant [{len(SUPPORT_TABLE)} x ptr] [{support}], align 8"
    return "\n".join([f'target triple = "{triple}"', *declarations, *constants.lines, table, driver_ir(), *functions]) + "\n"


def _variant(kernel: LibraryKernel, variant: LibraryVariant, run: str, arena: str, constants: _Constants) -> list[str | int]:
    options = variant.options
    width = options.width if options.arrangement == "aligned" else 1
    block = options.block or (0, 0, 0)
    sites: list[str | int] = []
    for site in variant.code.sites:
        sites += _site(kernel, variant, site, constants)
    small, line, grid = int(options.small), int(options.arrangement == "line"), int(variant.code.grid_barrier)
    head: list[str | int] = [run, arena, variant.code.shared_bytes, variant.range_ndim, small, width, line, *block, grid]
    return [*head, constants.table(sites)]


def _site(kernel: LibraryKernel, variant: LibraryVariant, site: Site, constants: _Constants) -> list[str | int]:
    filename, line, column, _, function = site.location
    word, position = 0, len(LAUNCH_WORDS)
    for parameter in kernel.kernel.params:
        if isinstance(parameter, Array) and parameter.name == site.array:
            word = position + 1
        position += parameter_words(parameter)
    declared = list(variant.declared.get(site.array, ()))
    kind = ASSERTION_FAILED if site.kind == "assert" else INDEX_ERROR
    names = [constants.string(text) if text else "null" for text in (function, site.array, site.message)]
    place: list[str | int] = [kind, constants.string(filename), line, column + 1, *names]
    return [*place, site.ndim, word, constants.table(declared), variant.dynamic.get(site.array, 0)]


def parameter_type(dtype: DType) -> str:
    """The LLVM type in which C passes a scalar: half types as their bits, a bool as a byte."""
    if dtype is bool_:
        return "i8"
    return "i16" if dtype.is_half else scalar_type(dtype)


def _entry(kernel: LibraryKernel, row: str, constants: _Constants) -> str:
    """The function that C calls."""
    parameters = kernel.kernel.params
    count = len(LAUNCH_WORDS) + sum(map(parameter_words, parameters)) + 8  # and the extents of a range
    lines = [
        f"  %words = alloca [{count} x i64], align 16",
        f"  call void @llvm.memset.p0.i64(ptr %words, i8 0, i64 {8 * count}, i1 false)",
    ]
    signature, small, position = ["ptr %launch"], "1", len(LAUNCH_WORDS)
    for n, (parameter, shown) in enumerate(zip(parameters, kernel.arguments, strict=True)):
        lines.append(f"  %to.{n} = getelementptr i64, ptr %words, i64 {position}")
        if isinstance(parameter, Array):
            signature.append(f"ptr %p{n}")
            align = max(alignment(parameter, part.dtype, part.offset) for part in parameter.fields)
            fixed = int(parameter.layout == "C")
            given = f"ptr %p{n}, i64 {parameter.ndim}, i64 {parameter.itemsize}, i64 {align}, i64 {fixed}, ptr %to.{n}"
            lines += [
                f"  %size.{n} = call i64 @anygpu__array({given})",
                f"  %bad.{n} = icmp slt i64 %size.{n}, 0",
                f"  br i1 %bad.{n}, label %refuse.{n}, label %good.{n}",
                f"refuse.{n}:",
                f"  call void @anygpu__refuse(ptr {row}, ptr {constants.string(shown)}, ptr %error)",
                f"  ret i32 {BAD_ARGUMENT}",
                f"good.{n}:",
            ]
        else:
            kind = parameter_type(parameter.dtype)
            signature.append(f"{kind} %p{n}")
            lines += _scalar(n, parameter, kind)
        if isinstance(parameter, Array) or parameter.dtype.name in ("int64", "uint64", "uint32"):
            lines.append(f"  %small.{n} = and i64 {small}, %size.{n}")
            small = f"%small.{n}"
        position += parameter_words(parameter)
    lines.append(f"  %result = call i32 @anygpu__start(ptr {row}, ptr %launch, ptr %words, i64 {small}, ptr %error)")
    lines.append("  ret i32 %result")
    return f"define i32 @{kernel.symbol}({', '.join([*signature, 'ptr %error'])}) {{\n" + "\n".join(lines) + "\n}"


def _scalar(n: int, parameter: Var, kind: str) -> list[str]:
    """Put a scalar into its word; of a wide integer, whether it fits in 32 bits."""
    value, lines = f"%p{n}", []
    if parameter.dtype is bool_:
        lines.append(f"  %bit.{n} = and i8 {value}, 1")
        value = f"%bit.{n}"
    lines.append(f"  store {kind} {value}, ptr %to.{n}")
    match parameter.dtype.name:
        case "int64":
            shifted = [f"  %up.{n} = add i64 {value}, 2147483648", f"  %fits.{n} = icmp ult i64 %up.{n}, 4294967296"]
        case "uint64" | "uint32":
            shifted = [f"  %fits.{n} = icmp sge {kind} {value}, 0" if kind == "i32" else f"  %fits.{n} = icmp ult i64 {value}, 2147483648"]
        case _:
            return lines
    return [*lines, *shifted, f"  %size.{n} = zext i1 %fits.{n} to i64"]


__all__ = ["LibraryKernel", "LibraryVariant", "library_modules", "parameter_type", "variant_symbols"]
