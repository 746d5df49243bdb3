"""Kernels compiled ahead of time: a folder with code for every target, a C header and a manifest, which ``ag.load`` launches from.

Nothing here needs a device. What a launch may look like is not known yet, so each target gets the few variants that together suit any:
for small and large arrays, and on CPUs for blocks of several shapes.
"""

from __future__ import annotations

import hashlib
import linecache
import platform
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from anygpu.config import config
from anygpu.engine.ahead_header import c_names, header_text
from anygpu.engine.compile import (
    Options,
    artifact_of,
    cpu_options,
    declared_arrays,
    emit_variant,
    machine_fingerprint,
)  # fmt: skip
from anygpu.engine.device_variant import Lowered, compile_for, lower_now
from anygpu.engine.fastpath import TYPE_OFFSET
from anygpu.engine.geometry import RANGE_BLOCK
from anygpu.engine.launch import Kernel
from anygpu.engine.manifest import (
    FORMAT,
    MANIFEST,
    CpuVariant,
    DeviceVariant,
    File,
    KernelEntry,
    LibraryEntry,
    Manifest,
    Overload,
    ParameterEntry,
    WordEntry,
    entry_of,
    read_manifest,
    write_manifest,
)  # fmt: skip
from anygpu.errors import ArgumentError, CompileError, InternalError, LoadError, Site

if TYPE_CHECKING:
    from anygpu.codegen.native import HostCpu
    from anygpu.codegen.targets.cpu_library import LibraryKernel
    from anygpu.frontend.signature import Type

Triple = tuple[int, int, int]
Progress = Callable[[str], None]  # told what is about to be done
SUFFIX = {"ptx": "ptx", "codeobject": "hsaco", "spirv": "spv"}
MOST_RANGE_AXES = 3
# What divides the block's x extent, and its arrangement: the first that suits a block is the fastest code for it.
_ARRANGEMENTS = (("aligned", 32), ("aligned", 16), ("aligned", 8), ("line", 1), ("general", 1))
_LARGE_ARRANGEMENTS = (("aligned", 32), ("general", 1))  # large arrays come in blocks of plain shapes
_GPU = re.compile(r"sm_\d{2,3}[af]?|gfx[0-9a-f]{3,4}|spirv")


class TargetError(ArgumentError):
    """A target that cannot be compiled for here; the text says which there are, or what is missing."""


@dataclass(frozen=True)
class Wanted:
    """A kernel and the types of its arguments; ``signature`` is how the user wrote them."""

    kernel: Kernel
    types: tuple[Type, ...]
    signature: str


@dataclass(frozen=True)
class Launches:
    """The launches to compile for: ranges of ``axes`` axes, blocks of this shape, or if both are None any block and any range."""

    axes: int | None = None
    block: Triple | None = None
    bounds_check: bool | None = None


@dataclass
class _Unit:
    """One kernel with one signature on its way: the IR of each form of launch (axes of the range, 0 for a grid), and what came of it."""

    wanted: Wanted
    symbol: str
    checks: bool
    forms: dict[int, Lowered]
    cpu: list[CpuVariant] = field(default_factory=list)
    devices: list[DeviceVariant] = field(default_factory=list)


def check_targets(targets: Sequence[str]) -> None:
    """Raise ``TargetError`` for a target that does not exist, or that cannot be compiled for with what is installed."""
    from anygpu.codegen.library import CPU_TARGETS, processor
    from anygpu.codegen.offline import LINKER_CHOICES, can_link

    for target in targets:
        if target in CPU_TARGETS:
            try:
                processor(target)
            except ValueError as error:
                raise TargetError(str(error)) from error
        elif not _GPU.fullmatch(target):
            raise TargetError(f"there is no target {target!r}: GPUs are sm_90, gfx942, spirv and the like, CPUs {', '.join(CPU_TARGETS)}")
        elif target.startswith("gfx") and not can_link():
            raise TargetError(f"{target} needs a linker: {LINKER_CHOICES}")


def compile_folder(
    name: str, source: str, wanted: Sequence[Wanted], targets: Sequence[str], folder: Path, launches: Launches, version: str,
    progress: Progress = lambda step: None,
) -> Manifest:  # fmt: skip
    """Compile kernels for all targets into ``folder``, under a library's name.

    Raises:
        CompileError: A kernel cannot be compiled for these types.
        TargetError: There is no such target, or something that it needs.
    """
    from anygpu.codegen.library import CPU_TARGETS

    check_targets(targets)
    order = list(dict.fromkeys(one.kernel.name for one in wanted))
    wanted = sorted(wanted, key=lambda one: order.index(one.kernel.name))
    symbols = c_names([one.kernel.name for one in wanted])
    units = []
    for one, symbol in zip(wanted, symbols, strict=True):
        progress(f"{one.kernel.name}: reading")
        units.append(_unit(one, symbol, launches))
    files: dict[str, bytes] = {}
    libraries = []
    for target in targets:
        if target in CPU_TARGETS:
            progress(f"{name}: {target}")
            libraries.append(_compile_cpu(name, units, target, launches, files))
            continue
        for unit in units:
            progress(f"{unit.wanted.kernel.name}: {target}")
            _compile_device(unit, target, launches, files)
    header = f"{name}.h"
    kernels = _kernel_entries(units)
    files[header] = header_text(name, kernels, [unit.forms[min(unit.forms)].source for unit in units], libraries, version).encode()
    listed = {known: File(hashlib.sha256(data).hexdigest(), len(data)) for known, data in sorted(files.items())}
    sites = [site for unit in units for variant in unit.cpu for site in variant.sites]
    sites += [site for unit in units for variant in unit.devices for site in variant.sites]
    manifest = Manifest(
        FORMAT, version, name, source, header, tuple(targets), listed, tuple(libraries), tuple(kernels), _source_lines(sites)
    )  # fmt: skip
    _write(folder, manifest, files)
    return manifest


def _write(folder: Path, manifest: Manifest, files: dict[str, bytes]) -> None:
    """Put the files in place, the manifest last, and take away those of an earlier compilation that are no more."""
    folder.mkdir(parents=True, exist_ok=True)
    old: Iterable[str] = ()
    if (folder / MANIFEST).exists():
        try:
            old = read_manifest(folder).files
        except LoadError:
            old = ()  # of another format: whose files those are is not known
    for name, data in files.items():
        part = folder / f"{name}.part"
        part.write_bytes(data)
        part.replace(folder / name)
    write_manifest(manifest, folder)
    for name in set(old) - set(files):
        (folder / name).unlink(missing_ok=True)


# ------------------------------------------------------------------------------------------------------------------------- kernels


def _unit(wanted: Wanted, symbol: str, launches: Launches) -> _Unit:
    kernel = wanted.kernel
    checks = next(c for c in (launches.bounds_check, kernel.bounds_check, config().bounds_check) if c is not None)
    for name, kind in zip(kernel._names, wanted.types, strict=True):
        try:
            entry_of(kind)
        except ValueError as error:
            raise ArgumentError(f"argument '{name}' of kernel '{kernel.name}': {error}") from error

    def lowered(axes: int) -> Lowered:
        return lower_now(kernel, wanted.types, Options(bounds_check=checks, fastmath=kernel.fastmath, range_ndim=axes))

    if launches.axes is not None:
        return _Unit(wanted, symbol, checks, {launches.axes: lowered(launches.axes)})
    forms = {0: lowered(0)}
    if launches.block is None:
        for axes in range(1, MOST_RANGE_AXES + 1):
            try:
                forms[axes] = lowered(axes)
            except CompileError:
                continue  # its ag.grid(n) is for ranges of another number of axes
            break
    return _Unit(wanted, symbol, checks, forms)


def _kernel_entries(units: Sequence[_Unit]) -> list[KernelEntry]:
    entries: dict[str, KernelEntry] = {}
    for unit in units:
        kernel = unit.wanted.kernel
        types = tuple(map(entry_of, unit.wanted.types))
        overload = Overload(unit.wanted.signature, unit.symbol, types, tuple(unit.cpu), tuple(unit.devices))
        before = entries[kernel.name].overloads if kernel.name in entries else ()
        doc = (kernel.__doc__ or "").strip()
        entries[kernel.name] = KernelEntry(kernel.name, doc, unit.checks, _parameters(kernel), (*before, overload))
    return list(entries.values())


def _parameters(kernel: Kernel) -> tuple[ParameterEntry, ...]:
    """The parameters as Python sees them; defaults that are no numbers are not kept."""
    found = []
    for parameter in kernel._signature.parameters.values():
        default = parameter.default
        found.append(
            ParameterEntry(parameter.name, default, True) if type(default) in (bool, int, float) else ParameterEntry(parameter.name)
        )
    return tuple(found)


def _source_lines(sites: Iterable[Site]) -> dict[str, dict[str, str]]:
    """The source lines that reports may show."""
    found: dict[str, dict[str, str]] = {}
    for site in sites:
        filename, line = site.location[:2]
        text = linecache.getline(filename, line).rstrip("\n")
        if text:
            found.setdefault(filename, {})[str(line)] = text
    return found


# --------------------------------------------------------------------------------------------------------------------------- CPUs


def _compile_cpu(name: str, units: Sequence[_Unit], target: str, launches: Launches, files: dict[str, bytes]) -> LibraryEntry:
    from anygpu.codegen.library import link_shared, processor
    from anygpu.codegen.native import compile_modules
    from anygpu.codegen.targets.cpu_library import POOL, PREFIX, library_modules
    from anygpu.codegen.targets.cpu_support import SUPPORT_TABLE

    cpu = processor(target)
    image = compile_modules(library_modules([_library_kernel(unit, target, cpu, launches) for unit in units], cpu.triple, TYPE_OFFSET), cpu)
    native = target == "native"
    windows = native and sys.platform == "win32"
    object_name = f"{name}.{target}.{'obj' if windows else 'o'}"
    files[object_name] = image
    shared_name = f"{name}.{target}.dll" if windows else f"lib{name}.{target}.so"
    shared = link_shared(image, cpu, shared_name)
    if shared is not None:
        files[shared_name] = shared
    machine = platform.machine() if native else "aarch64" if target == "aarch64" else "x86_64"
    linked = None if shared is None else shared_name
    return LibraryEntry(
        target, object_name, linked, machine, sys.platform if native else "linux", machine_fingerprint() if native else "", PREFIX,
        SUPPORT_TABLE, () if windows else POOL, ("launch",), TYPE_OFFSET,
    )  # fmt: skip


def _library_kernel(unit: _Unit, target: str, cpu: HostCpu, launches: Launches) -> LibraryKernel:
    """The variants of one kernel for a processor, noted in ``unit`` too."""
    from anygpu.codegen.targets.cpu_library import LibraryKernel, LibraryVariant, variant_symbols

    variants: list[LibraryVariant] = []
    kernel = unit.wanted.kernel
    for axes, given in unit.forms.items():
        source, final = given.source, given.final
        known = set()
        for small in (True, False):
            for options in _cpu_launches(kernel, launches, axes, small, unit.checks):
                chosen = cpu_options(final, options, cpu)
                if chosen in known:
                    continue
                known.add(chosen)
                code = emit_variant(final, options, cpu)
                run, arena = variant_symbols(unit.symbol, len(variants), code)
                variants.append(LibraryVariant(code, chosen, axes, *declared_arrays(source)))
                a = artifact_of(source, final, code, b"")
                multiple = chosen.width if chosen.arrangement == "aligned" else 1
                unit.cpu.append(
                    CpuVariant(
                        target, run, arena, axes, small, multiple, chosen.arrangement == "line", chosen.block, a.shared_bytes,
                        a.grid_barrier, a.sites, a.parameters, a.declared, a.dynamic, a.prints, a.loops,
                    )
                )  # fmt: skip
    # the function for C takes the kernel's own parameters: those of a range come after them
    source = next(iter(unit.forms.values())).source
    return LibraryKernel(kernel.name, unit.symbol, source, tuple(parameter.name for parameter in source.params), tuple(variants))


def _cpu_launches(kernel: Kernel, launches: Launches, axes: int, small: bool, checks: bool) -> list[Options]:
    """The options of the variants that together suit the launches of one form."""
    if axes:
        return [Options(checks, kernel.fastmath, axes, "aligned", 32, small)]
    if launches.block is not None:
        launcher = kernel[1, launches.block]
        block = launches.block if kernel.has_barriers else None
        return [Options(checks, kernel.fastmath, 0, launcher.arrangement, launcher.multiple, small, block)]
    arrangements = _ARRANGEMENTS if small else _LARGE_ARRANGEMENTS
    return [Options(checks, kernel.fastmath, 0, arrangement, multiple, small) for arrangement, multiple in arrangements]


# --------------------------------------------------------------------------------------------------------------------------- GPUs


def _compile_device(unit: _Unit, target: str, launches: Launches, files: dict[str, bytes]) -> None:
    from anygpu.codegen.device import DeviceOptions

    kernel = unit.wanted.kernel
    for axes, given in unit.forms.items():
        for small in (True, False):
            block = launches.block if axes == 0 else (RANGE_BLOCK, 1, 1)
            device = DeviceOptions(small, unit.checks, block, ranged=axes > 0)
            try:
                a = compile_for(given, device, target)
            except InternalError as error:
                raise TargetError(f"kernel '{kernel.name}' cannot be compiled for {target}: {error}") from error
            form = ("range" if axes else "grid") + ("" if small else ".large")
            name = f"{unit.symbol}.{form}.{target}.{SUFFIX[a.format]}"
            files[name] = a.image
            words = tuple(WordEntry(word.kind, word.name, word.axis) for word in a.words)
            unit.devices.append(
                DeviceVariant(
                    target, name, a.format, a.entry, words, axes, small, block, a.launch_shared_bytes, a.flat, a.capabilities, a.sites,  # type: ignore[arg-type]
                    a.parameters, a.declared, a.dynamic,
                )
            )  # fmt: skip


__all__ = ["Launches", "TargetError", "Wanted", "check_targets", "compile_folder"]
