"""What an AMD code object tells about its kernels.

An ELF note holds a map in MessagePack ("Code Object V3 Metadata" and later in LLVM's user guide for AMDGPU).
"""

from __future__ import annotations

import struct

from anygpu.runtime.base import Parameter

_NOTE_SECTION = 7
_METADATA = 32  # NT_AMDGPU_METADATA


def code_object_parameters(image: bytes) -> dict[str, tuple[Parameter, ...]]:
    """Each kernel's parameters, without those that the compiler hides. Nothing for an image that is no plain code object."""
    if image[:6] != b"\x7fELF\x02\x01":
        return {}
    found: dict[str, tuple[Parameter, ...]] = {}
    for metadata in _notes(image):
        kernels = _unpack(metadata).get("amdhsa.kernels", [])
        found.update({str(kernel[".name"]): _parameters(kernel.get(".args", [])) for kernel in kernels})
    return found


def _notes(image: bytes) -> list[bytes]:
    """The contents of AMD's metadata notes."""
    (table,) = struct.unpack_from("<Q", image, 40)
    entry, count = struct.unpack_from("<HH", image, 58)
    found = []
    for n in range(count):
        _, kind, _, _, offset, size = struct.unpack_from("<IIQQQQ", image, table + n * entry)
        end = offset + size
        while kind == _NOTE_SECTION and offset + 12 <= end:
            name, content, note = struct.unpack_from("<III", image, offset)
            start = offset + 12 + (name + 3 & ~3)
            if note == _METADATA:
                found.append(image[start : start + content])
            offset = start + (content + 3 & ~3)
    return found


def _parameters(args: list[dict[str, str | int]]) -> tuple[Parameter, ...]:
    found = []
    for arg in args:
        kind, size = str(arg[".value_kind"]), int(arg[".size"])
        if kind.startswith("hidden_"):
            continue
        code = {"global_buffer": "P", "dynamic_shared_pointer": "S"}.get(kind, "*" if size in (1, 2, 4, 8) else "V")
        found.append(Parameter(code, size, str(arg.get(".name", "")), str(arg.get(".type_name", ""))))
    return tuple(found)


def _unpack(data: bytes) -> dict[str, list[dict[str, list[dict[str, str | int]]]]]:
    """The outermost map. Only what LLVM writes is understood: maps, arrays, text, integers, booleans and nothing."""
    value, _ = _value(data, 0)
    return value  # type: ignore[return-value]


_FIXED = {0xCC: ">B", 0xCD: ">H", 0xCE: ">I", 0xCF: ">Q", 0xD0: ">b", 0xD1: ">h", 0xD2: ">i", 0xD3: ">q"}
_SIZED = {0xD9: (">B", "text"), 0xDA: (">H", "text"), 0xDB: (">I", "text"), 0xDC: (">H", "array"), 0xDD: (">I", "array"),
          0xDE: (">H", "map"), 0xDF: (">I", "map")}  # fmt: skip


def _value(data: bytes, at: int) -> tuple[object, int]:
    tag = data[at]
    at += 1
    if tag < 0x80 or tag >= 0xE0:
        return (tag if tag < 0x80 else tag - 256), at
    if tag in (0xC0, 0xC2, 0xC3):
        return {0xC0: None, 0xC2: False, 0xC3: True}[tag], at
    if tag in _FIXED:
        return struct.unpack_from(_FIXED[tag], data, at)[0], at + struct.calcsize(_FIXED[tag])
    if tag < 0xC0:
        count, kind = (tag & 15, "map" if tag < 0x90 else "array") if tag < 0xA0 else (tag & 31, "text")
    else:
        form, kind = _SIZED[tag]
        (count,) = struct.unpack_from(form, data, at)
        at += struct.calcsize(form)
    if kind == "text":
        return data[at : at + count].decode(), at + count
    items = []
    for _ in range(count * (2 if kind == "map" else 1)):
        item, at = _value(data, at)
        items.append(item)
    return (dict(zip(items[::2], items[1::2], strict=True)) if kind == "map" else items), at
