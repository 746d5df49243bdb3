"""SPIR-V that names LLVM's intrinsics, for the one runtime that is known to link them: Intel's for CPUs.

That runtime makes an OpenCL function such as ``fma`` a call into a library of vector functions, and masks each argument of a call wherever
lanes have parted, which costs a loop of a few instructions half of its speed. Its translator gives a function that a module imports the
name under which it is imported, and LLVM takes a declaration named ``llvm.fma.f32`` to be its own instruction. The results are the same:
each function here rounds in one way only.

The words are those of the SPIR-V specification 1.4, sections 2.3 (the layout of a module) and 2.4 (the order of its parts), and of the
OpenCL extended instruction set.
"""

from __future__ import annotations

import struct

_MAGIC = (0x07230203).to_bytes(4, "little")
_TYPE_FLOAT, _TYPE_FUNCTION, _EXT_INST_IMPORT, _EXT_INST = 22, 33, 11, 12
_FUNCTION, _PARAMETER, _FUNCTION_END, _CALL = 54, 55, 56, 57
_CAPABILITY, _DECORATE, _LINKAGE, _LINKAGE_ATTRIBUTES, _IMPORT = 17, 71, 5, 41, 1
_ANNOTATIONS = range(71, 76)  # OpDecorate and its kin
_TYPES = range(19, 40)  # the first of which ends the annotations
_NAMES = {12: ("ceil", 1), 13: ("copysign", 2), 23: ("fabs", 1), 25: ("floor", 1), 26: ("fma", 3), 53: ("rint", 1), 61: ("sqrt", 1),
          66: ("trunc", 1)}  # fmt: skip
_WIDTHS = {32: "f32", 64: "f64"}

Instruction = tuple[int, tuple[int, ...]]  # the number of the operation, and its operands


def with_intrinsics(image: bytes) -> bytes:
    """The module with calls of LLVM's intrinsics in place of the OpenCL functions that have one; as it is, where there are none.

    A user's own module comes here too: one that is not well formed is left as it is, for the driver to refuse.
    """
    read = _read(image)
    if read is None:
        return image
    head, instructions = read
    bound = head[3]
    floats = {a[0]: _WIDTHS[a[1]] for op, a in instructions if op == _TYPE_FLOAT and len(a) > 1 and a[1] in _WIDTHS}
    library = {a[0] for op, a in instructions if op == _EXT_INST_IMPORT and a and _text(a[1:]) == "OpenCL.std"}
    imported: dict[tuple[int, int], tuple[int, int]] = {}  # by function and type: the ids of the declaration and its type
    changed: list[Instruction] = []
    for op, a in instructions:
        if op == _EXT_INST and len(a) > 3 and a[2] in library and a[3] in _NAMES and a[0] in floats:
            if (a[3], a[0]) not in imported:
                imported[a[3], a[0]] = bound, bound + 1
                bound += 2
            op, a = _CALL, (a[0], a[1], imported[a[3], a[0]][0], *a[4:])
        changed.append((op, a))
    if not imported:
        return image
    names: list[Instruction] = []
    types: list[Instruction] = []
    declarations: list[Instruction] = []
    for (function, kind), (declaration, signature) in imported.items():
        name, arity = _NAMES[function]
        names.append((_DECORATE, (declaration, _LINKAGE_ATTRIBUTES, *_words(f"llvm.{name}.{floats[kind]}"), _IMPORT)))
        types.append((_TYPE_FUNCTION, (signature, kind, *(kind,) * arity)))
        parameters: list[Instruction] = [(_PARAMETER, (kind, bound + n)) for n in range(arity)]
        declarations += [(_FUNCTION, (kind, declaration, 0, signature)), *parameters, (_FUNCTION_END, ())]
        bound += arity
    linkage: list[Instruction] = [] if (_CAPABILITY, (_LINKAGE,)) in changed else [(_CAPABILITY, (_LINKAGE,))]
    operations = [op for op, _ in changed]
    if _FUNCTION not in operations:
        return image
    first = next(n for n, op in enumerate(operations) if op in _ANNOTATIONS or op in _TYPES)  # the type of the function, if nothing else
    functions = operations.index(_FUNCTION)
    whole = [*linkage, *changed[:first], *names, *changed[first:functions], *types, *declarations, *changed[functions:]]
    words = [*head[:3], bound, *head[4:], *(word for op, a in whole for word in (len(a) + 1 << 16 | op, *a))]
    return struct.pack(f"<{len(words)}I", *words)


def _read(image: bytes) -> tuple[tuple[int, ...], list[Instruction]] | None:
    """The five words of the header, and the instructions; None where the words are not those of a little-endian module."""
    if len(image) % 4 or len(image) < 20 or image[:4] != _MAGIC:
        return None
    words = struct.unpack(f"<{len(image) // 4}I", image)
    instructions, at = [], 5
    while at < len(words):
        length, op = divmod(words[at], 1 << 16)
        if not 0 < length <= len(words) - at:
            return None
        instructions.append((op, words[at + 1 : at + length]))
        at += length
    return words[:5], instructions


def _text(words: tuple[int, ...]) -> str:
    return struct.pack(f"<{len(words)}I", *words).split(b"\0")[0].decode(errors="replace")


def _words(text: str) -> tuple[int, ...]:
    data = text.encode() + b"\0"
    return struct.unpack(f"<{-(-len(data) // 4)}I", data.ljust(-(-len(data) // 4) * 4, b"\0"))
