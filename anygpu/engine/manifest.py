"""``manifest.json`` of a folder of compiled kernels: what its files are, and what launches of them need.

The schema is ``FORMAT``, an integer that grows when a reader of the old one could misread the new one: when a field changes its meaning, or
anything that kernels and runtime agree on (the words of a launch, the support functions, the worker pool, the error slot). The classes
below are the schema; ``records`` writes and reads them.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from anygpu.dtypes import DTYPES, Field, dtype_named
from anygpu.engine.records import Malformed, from_json, to_json
from anygpu.errors import LoadError, Site
from anygpu.frontend.signature import ArrayType, ScalarType, TupleType, Type

FORMAT = 1
MANIFEST = "manifest.json"
Triple = tuple[int, int, int]


@dataclass(frozen=True)
class File:
    """One file of the folder: the SHA-256 of its bytes, in hexadecimal, and their number."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class FieldEntry:
    """A scalar of a record: its name, dtype and offset in bytes."""

    name: str
    dtype: str
    offset: int


@dataclass(frozen=True)
class TypeEntry:
    """The type of an argument: a scalar, an array (of a dtype or of records), or a tuple or structure.

    ``weak``: a Python number. ``layout``: "C" for C-contiguous arrays, "A" for any strides.
    """

    kind: Literal["scalar", "array", "tuple"]
    dtype: str = ""
    weak: bool = False
    ndim: int = 0
    layout: str = "C"
    writeable: bool = True
    itemsize: int = 0
    fields: tuple[FieldEntry, ...] = ()
    items: tuple[TypeEntry, ...] = ()
    names: tuple[str, ...] = ()
    structure: str = ""


@dataclass(frozen=True)
class WordEntry:
    """One 8-byte word of a launch on a device; ``codegen.device`` says what each kind is."""

    kind: str
    name: str = ""
    axis: int = 0


@dataclass(frozen=True)
class CpuVariant:
    """A variant in a CPU library: its functions, the launches that it suits, and what reports need.

    ``range_ndim``: axes of the range, 0 for a grid of blocks. ``small``: arrays span under 2**31 bytes and integers fit in 32 bits.
    ``multiple``: what must divide the block's x extent. ``line``: the block has one axis. ``block``: the only block that it takes.
    """

    target: str
    run: str
    arena: str | None
    range_ndim: int
    small: bool
    multiple: int
    line: bool
    block: Triple | None
    shared_bytes: int
    grid_barrier: bool
    sites: tuple[Site, ...]
    parameters: tuple[tuple[str, str, int, bool], ...]
    declared: dict[str, tuple[int, ...]]
    dynamic: dict[str, int]
    prints: bool
    loops: bool


@dataclass(frozen=True)
class DeviceVariant:
    """A variant for GPUs: its file, entry point and words, and otherwise as a CPU's."""

    target: str
    file: str
    format: Literal["ptx", "codeobject", "spirv"]
    entry: str
    words: tuple[WordEntry, ...]
    range_ndim: int
    small: bool
    block: Triple | None
    launch_shared_bytes: int
    flat: bool
    capabilities: frozenset[str]
    sites: tuple[Site, ...]
    parameters: tuple[tuple[str, str, int, bool], ...]
    declared: dict[str, tuple[int, ...]]
    dynamic: dict[str, int]


@dataclass(frozen=True)
class Overload:
    """A kernel compiled for one signature, and the C function of that."""

    signature: str
    symbol: str
    types: tuple[TypeEntry, ...]
    cpu: tuple[CpuVariant, ...]
    devices: tuple[DeviceVariant, ...]


@dataclass(frozen=True)
class ParameterEntry:
    """A parameter as Python sees it; ``default`` is a number or None."""

    name: str
    default: bool | int | float | None = None
    optional: bool = False


@dataclass(frozen=True)
class KernelEntry:
    name: str
    doc: str
    bounds_check: bool
    parameters: tuple[ParameterEntry, ...]
    overloads: tuple[Overload, ...]


@dataclass(frozen=True)
class LibraryEntry:
    """The library of a CPU target: an object file and, if there was a linker, a shared library.

    ``machine`` (x86_64, aarch64) and ``system`` (linux, ...) are what ``platform.machine()`` and ``sys.platform`` say where it runs;
    ``processor`` is the fingerprint of the only one that ``native`` code is for. ``support``, ``pool`` and ``quick`` name the functions of
    the runtime in it; ``quick`` fits a Python whose objects have their type at ``type_offset``.
    """

    target: str
    object: str
    shared: str | None
    machine: str
    system: str
    processor: str
    prefix: str
    support: tuple[str, ...]
    pool: tuple[str, ...]
    quick: tuple[str, ...]
    type_offset: int


@dataclass(frozen=True)
class Manifest:
    """The whole of it. ``lines`` holds the source lines that reports show, by file and line number."""

    format: int
    anygpu: str
    name: str
    source: str
    header: str
    targets: tuple[str, ...]
    files: dict[str, File]
    libraries: tuple[LibraryEntry, ...]
    kernels: tuple[KernelEntry, ...]
    lines: dict[str, dict[str, str]]


def write_manifest(manifest: Manifest, folder: Path) -> None:
    """Write ``manifest.json``, whole or not at all."""
    part = folder / f"{MANIFEST}.part"
    part.write_text(json.dumps(to_json(manifest), indent=1) + "\n", encoding="utf-8")
    part.replace(folder / MANIFEST)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a folder. Raises ``LoadError`` if it has none, or one that cannot be understood."""
    path = folder / MANIFEST
    try:
        data: object = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise LoadError(f"{folder} holds no compiled kernels: there is no {path}\n  hint: anygpu compile writes such a folder") from error
    except (OSError, ValueError) as error:
        raise LoadError(f"{path} cannot be read: {error}") from error
    if isinstance(data, dict) and type(data.get("format")) is int and data["format"] != FORMAT:
        given = data["format"]
        if given > FORMAT:
            advice = f"install anygpu {data.get('anygpu', '')} or newer".replace("  ", " ")
        else:
            advice = "compile the kernels anew with anygpu compile"
        raise LoadError(f"{path} has format {given}, and this anygpu reads format {FORMAT}\n  hint: {advice}")
    try:
        manifest = from_json(Manifest, data)
        named = [name for entry in manifest.libraries for name in (entry.object, entry.shared) if name is not None]
        for name in (*manifest.files, *named):
            if Path(name).name != name:
                raise Malformed(f"{name!r} is not the name of a file in the folder")
        for entry in manifest.kernels:
            for overload in entry.overloads:
                for kind in overload.types:
                    type_of(kind)
    except Malformed as error:
        raise LoadError(f"{path} is not a manifest of compiled kernels: {error}") from error
    return manifest


def checked(folder: Path, manifest: Manifest, name: str) -> bytes:
    """The bytes of a file that the manifest names. Raises ``LoadError`` unless they are those that were written."""
    path, known = folder / name, manifest.files.get(name)
    if known is None:
        raise LoadError(f"{folder / MANIFEST} does not list the file {name} that its kernels need")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise LoadError(f"{path} is missing: {error.strerror}\n  hint: copy the whole folder that anygpu compile wrote") from error
    if hashlib.sha256(data).hexdigest() != known.sha256:
        raise LoadError(f"{path} has changed since it was compiled: its SHA-256 is not the manifest's\n  hint: compile the kernels anew")
    return data


# ---------------------------------------------------------------------------------------------------------------------------- types


def entry_of(given: Type) -> TypeEntry:
    """A type as the manifest holds it. Raises ``ValueError`` for compile-time objects, which no launch could pass again."""
    match given:
        case ScalarType(dtype=dtype, weak=weak):
            return TypeEntry("scalar", dtype.name, weak)
        case ArrayType(dtype=dtype, ndim=ndim, layout=layout, writeable=writeable, record=record, itemsize=itemsize):
            fields = tuple(FieldEntry(f.name, f.dtype.name, f.offset) for f in record or ())
            return TypeEntry("array", "" if dtype is None else dtype.name, False, ndim, layout, writeable, itemsize, fields)
        case TupleType(items=items, cls=cls, names=names):
            structure = "" if cls is None else cls.__name__
            return TypeEntry("tuple", items=tuple(map(entry_of, items)), names=names, structure=structure)
    raise ValueError(f"{given} is a compile-time object, which a kernel that is compiled ahead of time cannot take")


def type_of(entry: TypeEntry) -> Type:
    """The type of an entry; a structure is a tuple of its fields. Raises ``Malformed``."""
    named = [entry.dtype, *(f.dtype for f in entry.fields)]
    for name in named:
        if name not in DTYPES and (name or (entry.kind == "scalar")):
            raise Malformed(f"there is no dtype {name!r}")
    match entry.kind:
        case "scalar":
            return ScalarType(dtype_named(entry.dtype), entry.weak)
        case "array":
            dtype = dtype_named(entry.dtype) if entry.dtype else None
            record = None if dtype is not None else tuple(Field(f.name, dtype_named(f.dtype), f.offset) for f in entry.fields)
            return ArrayType(dtype, entry.ndim, entry.layout, entry.writeable, record, entry.itemsize)
        case "tuple":
            return TupleType(tuple(map(type_of, entry.items)), None, entry.names)


__all__ = ["FORMAT", "MANIFEST", "Manifest", "checked", "entry_of", "read_manifest", "type_of", "write_manifest"]
