"""``ag.load``: kernels that were compiled ahead of time, launched as any others, without a compiler."""

from __future__ import annotations

import ctypes
import hashlib
import inspect
import linecache
import os
import platform
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from anygpu.engine import launch as launching
from anygpu.engine.arguments import Argument, Copies, describe
from anygpu.engine.compile import Artifact, Options, Variant, bring_library, machine_fingerprint
from anygpu.engine.exclusive import exclusive
from anygpu.engine.fastpath import TYPE_OFFSET
from anygpu.engine.fingerprint import Fingerprint
from anygpu.engine.launch import Kernel, Launcher
from anygpu.engine.loaded_arguments import convert, quickly
from anygpu.engine.manifest import (
    MANIFEST,
    CpuVariant,
    KernelEntry,
    LibraryEntry,
    Manifest,
    Overload,
    checked,
    read_manifest,
    type_of,
)  # fmt: skip
from anygpu.errors import ArgumentError, LaunchError, LoadError, ReadOnlyError
from anygpu.runtime.cpu import CpuKernel
from anygpu.runtime.loader import Program, load_directly
from anygpu.runtime.loader import load as load_object
from anygpu.runtime.processor import usable_targets

if TYPE_CHECKING:
    from anygpu.engine.device_variant import DeviceVariant as LoadedVariant
    from anygpu.engine.manifest import DeviceVariant
    from anygpu.frontend.signature import Type
    from anygpu.runtime.device import Device


def load(folder: str | os.PathLike[str]) -> LoadedModule:
    """The kernels that ``anygpu compile`` wrote into a folder, each an attribute. See `anygpu.loading.load`."""
    place = Path(folder)
    manifest = read_manifest(place)
    for name in manifest.files:
        checked(place, manifest, name)
    _remember_lines(manifest)
    return LoadedModule(_Folder(place, manifest, hashlib.sha256((place / MANIFEST).read_bytes()).hexdigest(), {}, {}))


class LoadedModule:
    """A folder of compiled kernels, each an attribute. ``vars(module)`` and tab completion show them."""

    def __init__(self, folder: _Folder):
        self._folder = folder
        for entry in folder.manifest.kernels:
            setattr(self, entry.name, LoadedKernel(folder, entry))

    def __getattr__(self, name: str) -> LoadedKernel:
        kernels = ", ".join(entry.name for entry in self.__dict__["_folder"].manifest.kernels) if "_folder" in self.__dict__ else ""
        raise AttributeError(f"this folder holds no kernel {name!r}, only {kernels}")

    def __dir__(self) -> list[str]:
        return sorted(entry.name for entry in self._folder.manifest.kernels)

    def __repr__(self) -> str:
        manifest = self._folder.manifest
        kernels = ", ".join(entry.name for entry in manifest.kernels)
        return f"<anygpu kernels '{manifest.name}' from {self._folder.place}: {kernels}; for {', '.join(manifest.targets)}>"


@dataclass(frozen=True, eq=False)
class _Folder:
    """A folder, and what has been loaded of it."""

    place: Path
    manifest: Manifest
    digest: str
    programs: dict[str, Program]  # by CPU target
    images: dict[str, bytes]  # by file

    def library(self, name: str) -> tuple[LibraryEntry, Program]:
        """The best of the CPU libraries for this machine, loaded; ``name`` is the kernel's that needs it."""
        known = {entry.target: entry for entry in self.manifest.libraries if _runs_here(entry)}
        for target in ("native", *usable_targets()):
            if target in known:
                return known[target], self._load(known[target])
        raise self.nothing_fits(name, f"the CPU of this machine takes {', '.join(usable_targets()) or 'none of them'}")

    def nothing_fits(self, name: str, reason: str) -> LoadError:
        found = f"kernel '{name}' was compiled ahead of time for {', '.join(self.manifest.targets)}, and {reason}"
        return LoadError(f"{found}\n  hint: compile it for that target too")

    @exclusive
    def _load(self, entry: LibraryEntry) -> Program:
        program = self.programs.get(entry.target)
        if program is None:
            program = self.programs[entry.target] = _program(self, entry)
            for name, exports in (("support", entry.support), ("pool", entry.pool), ("launch", entry.quick)):
                if exports and (name != "launch" or entry.type_offset == TYPE_OFFSET):
                    bring_library(name, _Prefixed(program, entry.prefix), exports)
        return program

    def image(self, name: str) -> bytes:
        """The bytes of a file, checked."""
        if name not in self.images:
            self.images[name] = checked(self.place, self.manifest, name)
        return self.images[name]


def _runs_here(entry: LibraryEntry) -> bool:
    if entry.target == "native":
        return (entry.system, entry.machine) == (sys.platform, platform.machine()) and entry.processor == machine_fingerprint()
    return entry.system == sys.platform


def _program(folder: _Folder, entry: LibraryEntry) -> Program:
    """The library in memory: its object where the small linker takes that, else the shared library, else by way of LLVM."""
    image = checked(folder.place, folder.manifest, entry.object)
    found = load_directly(image)
    if found is not None:
        return found
    if entry.shared is not None:
        checked(folder.place, folder.manifest, entry.shared)
        return _Shared(ctypes.CDLL(str((folder.place / entry.shared).resolve())))
    variants = [variant for kernel in folder.manifest.kernels for overload in kernel.overloads for variant in overload.cpu]
    exports = [name for v in variants if v.target == entry.target for name in (v.run, v.arena) if name is not None]
    exports += [entry.prefix + name for name in (*entry.support, *entry.pool, *entry.quick)]
    try:
        return load_object(image, tuple(exports))
    except (ImportError, RuntimeError) as error:
        hint = "compile where there is a linker: the folder then holds a shared library too"
        raise LoadError(f"{folder.place / entry.object} cannot be loaded here: {error}\n  hint: {hint}") from error


@dataclass(frozen=True)
class _Shared:
    """A shared library that the system has loaded."""

    library: ctypes.CDLL

    def address(self, name: str) -> int:
        try:
            return ctypes.cast(getattr(self.library, name), ctypes.c_void_p).value or 0
        except AttributeError:
            raise KeyError(name) from None


@dataclass(frozen=True)
class _Prefixed:
    """The runtime's own functions in a library, under their plain names."""

    program: Program
    prefix: str

    def address(self, name: str) -> int:
        return self.program.address(self.prefix + name)


def _remember_lines(manifest: Manifest) -> None:
    """Let reports show source lines whose file is not on this machine."""
    for filename, known in manifest.lines.items():
        if os.path.exists(filename) or filename in linecache.cache:
            continue
        lines = ["\n"] * max(map(int, known))
        for number, text in known.items():
            lines[int(number) - 1] = f"{text}\n"
        linecache.cache[filename] = (sum(map(len, lines)), None, lines, filename)


# ------------------------------------------------------------------------------------------------------------------------- kernels


class LoadedKernel(Kernel):
    """A kernel that was compiled ahead of time. It is launched as others are, with arguments of the types that it was compiled for.

    A Python number goes to a scalar parameter of any type that holds it.
    """

    def __init__(self, folder: _Folder, entry: KernelEntry):
        self.__doc__ = entry.doc or None
        self.__name__ = self.__qualname__ = entry.name
        self._folder = folder
        self._entry = entry
        self._overloads = {tuple(map(type_of, overload.types)): overload for overload in entry.overloads}
        parameters = [
            inspect.Parameter(p.name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=p.default if p.optional else inspect.Parameter.empty)
            for p in entry.parameters
        ]
        self._prepare(entry.name, inspect.Signature(parameters), entry.bounds_check, False)

    def __repr__(self) -> str:
        signatures = " and ".join(f"({', '.join(map(str, types))})" for types in self._overloads)
        return f"<anygpu kernel {self.name}{self._signature}, compiled ahead of time for {signatures}>"

    @property
    def has_barriers(self) -> bool:
        """Whether a plan depends on the block: some variant is for one alone."""
        return any(variant.block is not None for overload in self._overloads.values() for variant in overload.cpu)

    def inspect(self, *args: object, **options: object) -> str:
        """Nothing: the source is needed for that."""
        hint = f"anygpu inspect FILE.py:{self.name}"
        raise LaunchError(f"kernel '{self.name}' was compiled ahead of time and has no stages to show\n  hint: {hint}")

    def describe(self, args: Sequence[object], copies: Copies) -> tuple[list[Argument], bool]:
        given = [describe(value, name, copies) for name, value in zip(self._names, args, strict=True)]
        reasons: list[list[str]] = []
        for types in self._overloads:
            found = [convert(argument, kind, name) for argument, kind, name in zip(given, types, self._names, strict=True)]
            wrong = [f"argument '{name}' {one}" for name, one in zip(self._names, found, strict=True) if isinstance(one, str)]
            if not wrong:
                taken = [one for one in found if isinstance(one, Argument)]
                self._refuse_read_only(types, taken)
                return taken, all(a.parts is b.parts or quickly(a.type, b.type) for a, b in zip(given, taken, strict=True))
            reasons.append(wrong)
        compiled = " and ".join(f"({', '.join(map(str, types))})" for types in self._overloads)
        were = ", ".join(str(argument.type) for argument in given)
        lines = [f"kernel '{self.name}' was compiled ahead of time for {compiled}, and was given ({were})"]
        lines += [f"  {line}" for line in (reasons[0] if len(reasons) == 1 else ())]
        raise ArgumentError("\n".join([*lines, "  hint: pass arguments of these types, or compile it for those too"]))

    def _refuse_read_only(self, types: tuple[Type, ...], arguments: Sequence[Argument]) -> None:
        overload = self._overloads[types]
        parameters = overload.cpu[0].parameters if overload.cpu else overload.devices[0].parameters
        parts = [part for argument in arguments for part in argument.parts]
        for part, (name, _, _, written) in zip(parts, parameters, strict=False):
            if written and isinstance(part, np.ndarray) and not part.flags.writeable:
                raise ReadOnlyError(f"argument '{name}' is read-only and kernel '{self.name}' writes it: pass a copy")

    def _options(self, launcher: Launcher, checks: bool, small: bool) -> Options:
        return Options(checks, False, len(launcher.extent), launcher.arrangement, launcher.multiple, small, launcher.block)

    def _variant(self, types: tuple[Type, ...], options: Options) -> Variant:
        key = (types, options)
        known = self._variants.get(key)
        if known is None:
            if len(self._variants) >= launching.MOST_KEPT:
                self._variants.clear()
            known = self._variants[key] = self._load_variant(self._overloads[types], options)
        return known

    def _load_variant(self, overload: Overload, options: Options) -> Variant:
        library, program = self._folder.library(self.name)
        assert options.block is not None
        here = [variant for variant in overload.cpu if variant.target == library.target]
        found = next((variant for variant in here if _suits(variant, options)), None)
        if found is None:
            raise self._unsuitable(options.block, options.range_ndim, [(v.range_ndim, v.block) for v in here])
        # the functions keep the time that they take a block, so that there is one object for all launches of a variant
        code = next((v.code for v in self._variants.values() if v.code.run_address == program.address(found.run)), None)
        if code is None:
            names = {"run": found.run, **({"arena_bytes": found.arena} if found.arena else {})}
            functions = _Functions(program, names)
            code = CpuKernel(functions, found.arena is not None, found.grid_barrier, found.shared_bytes)
        artifact = Artifact(
            b"", found.sites, found.parameters, found.shared_bytes, found.arena is not None, found.grid_barrier, found.declared,
            found.dynamic, found.prints, found.loops,
        )  # fmt: skip
        return Variant(artifact, code, True, Fingerprint(self._folder.digest, self._folder.digest, {}, self.has_barriers, True))

    def _unsuitable(self, block: launching.Triple, axes: int, compiled: Sequence[tuple[int, launching.Triple | None]]) -> LaunchError:
        known = []
        for ndim, only in dict.fromkeys(compiled):
            form = f"ranges of {ndim} {'axis' if ndim == 1 else 'axes'}" if ndim else "blocks"
            known.append(form if ndim or only is None else f"blocks of {only}")
        wanted = f"a range of {axes} {'axis' if axes == 1 else 'axes'}" if axes else f"blocks of {block}"
        hint = f"compile it with --forall for {axes} axes, or without" if axes else "compile it with --block for that block, or without"
        forms = " and ".join(dict.fromkeys(known))
        return LaunchError(f"kernel '{self.name}' was compiled ahead of time for {forms}, not for {wanted}\n  hint: {hint}")

    def device_variant(
        self, types: tuple[Type, ...], parts: Sequence[object], launcher: Launcher, checks: bool, small: bool, device: Device
    ) -> LoadedVariant:
        key = (device.name, types, len(launcher.extent), launcher.block, small)
        known = self.device_variants.get(key)
        if known is None:
            known = self.device_variants[key] = self._load_for(self._overloads[types], launcher, small, device)
        return known

    def _load_for(self, overload: Overload, launcher: Launcher, small: bool, device: Device) -> LoadedVariant:
        from anygpu.codegen.device import Word
        from anygpu.engine.device_variant import DeviceArtifact, architecture, load_artifact

        wanted = architecture(device)
        target = best_target(self._folder.manifest.targets, wanted)
        if target is None:
            raise self._folder.nothing_fits(self.name, f"{device.name} needs {wanted}")
        axes = len(launcher.extent)
        here = [variant for variant in overload.devices if variant.target == target]
        found = next((v for v in here if _suits_device(v, axes, launcher.block, small)), None)
        if found is None:
            raise self._unsuitable(launcher.block, axes, [(v.range_ndim, v.block) for v in here])
        words = tuple(Word(word.kind, word.name, word.axis) for word in found.words)  # type: ignore[arg-type]
        artifact = DeviceArtifact(
            found.format, self._folder.image(found.file), found.entry, words, found.sites, found.launch_shared_bytes, found.flat,
            found.capabilities, found.parameters, found.declared, found.dynamic,
        )  # fmt: skip
        return load_artifact(self.name, artifact, device, self._folder.digest)


@dataclass(frozen=True)
class _Functions:
    """Functions of a program under other names."""

    program: Program
    names: dict[str, str]

    def address(self, name: str) -> int:
        return self.program.address(self.names[name])


def _suits(variant: CpuVariant, options: Options) -> bool:
    assert options.block is not None
    x, y, z = options.block
    return (
        variant.range_ndim == options.range_ndim
        and (options.small or not variant.small)
        and x % variant.multiple == 0
        and (y * z == 1 or not variant.line)
        and variant.block in (None, options.block)
    )


def _suits_device(variant: DeviceVariant, axes: int, block: launching.Triple, small: bool) -> bool:
    return variant.range_ndim == axes and (small or not variant.small) and variant.block in (None, block)


def best_target(targets: Sequence[str], architecture: str) -> str | None:
    """Which of the targets a device of this architecture runs best; None if it runs none.

    PTX runs on its architecture and all newer ones, but with the suffix ``a`` on that one alone and with ``f`` on those of its family.

    >>> best_target(("sm_70", "sm_90", "gfx942", "spirv"), "sm_89")
    'sm_70'
    """
    wanted = architecture.partition(":")[0]
    number = re.fullmatch(r"sm_(\d+)[af]?", wanted)
    if number is None:
        return wanted if wanted in targets else None
    here = int(number[1])
    found: list[tuple[int, int, str]] = []
    for target in targets:
        match = re.fullmatch(r"sm_(\d+)([af]?)", target)
        if match is None:
            continue
        version, suffix = int(match[1]), match[2]
        runs = {"": version <= here, "a": version == here, "f": version <= here and version // 10 == here // 10}[suffix]
        if runs:
            found.append((version, len(suffix), target))
    return max(found)[2] if found else None


__all__ = ["LoadedKernel", "LoadedModule", "best_target", "load"]
