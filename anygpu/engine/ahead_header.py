"""The C header of a folder of compiled kernels: the structures and functions of its CPU libraries, and what launches on GPUs pass."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from anygpu.engine.manifest import DeviceVariant, KernelEntry, LibraryEntry

if TYPE_CHECKING:
    from anygpu.ir.kernel import Kernel as KernelIR

# Words that are taken in C or C++, or by what a library needs.
_TAKEN = frozenset(
    """alignas alignof and asm auto bool break case catch char class const constexpr continue decltype default delete do double dynamic_cast
    else enum error explicit export extern false float for friend goto if inline int launch long main mutable namespace new noexcept not
    nullptr operator or private protected public register reinterpret_cast restrict return short signed sizeof static static_assert
    static_cast struct switch template this thread_local throw true try typedef typeid typename union unsigned using virtual void
    volatile wchar_t while xor malloc free memcpy memset memmove fma fmaf sqrt exp log sin cos tan pow abs printf""".split()  # noqa: SIM905
)
_C_TYPES = {
    "bool": "bool", "float16": "uint16_t", "bfloat16": "uint16_t", "float32": "float", "float64": "double",
    **{f"{sign}int{bits}": f"{sign}int{bits}_t" for sign in ("", "u") for bits in (8, 16, 32, 64)},
}  # fmt: skip

_PROLOGUE = """\
/* {name}: kernels compiled ahead of time by anygpu {version}. This file is written by `anygpu compile`; changes to it are lost. */

#ifndef ANYGPU_LIBRARY_{guard}
#define ANYGPU_LIBRARY_{guard}

#include <stdbool.h>
#include <stdint.h>

#ifndef ANYGPU_ABI
#define ANYGPU_ABI 1

/* A launch: make it with anygpu_grid or anygpu_range. `begin` and `end` are the blocks to run now, counted with x fastest; threads that
   share a launch each run a part, and the parts may run at the same time. */
typedef struct anygpu_launch {{
    int64_t grid[3];       /* blocks along x, y, z */
    int64_t block[3];      /* work-items of a block along x, y, z: at most 1024 in all */
    int64_t shared_bytes;  /* dynamic shared memory of a block */
    int64_t begin, end;
    int64_t ndim;          /* axes of a range; 0: a grid of blocks */
    int64_t shape[8];      /* extents of the range; its blocks are lines of 256 */
}} anygpu_launch;

/* An array: `data` is the element at index 0 of every axis, strides are in bytes, and no strides mean C-contiguous. */
typedef struct anygpu_array {{
    void *data;
    const int64_t *shape;
    const int64_t *strides;
}} anygpu_array;

/* What a kernel's function returns. */
enum {{
    ANYGPU_OK = 0,
    ANYGPU_INDEX_ERROR = 1,        /* an index was out of bounds; nothing was written there, and all other work is done */
    ANYGPU_ASSERTION_FAILED = 2,
    ANYGPU_BAD_LAUNCH = 3,         /* a negative or too large extent, block or shared memory; or a part of a launch that syncs its grid */
    ANYGPU_BAD_ARGUMENT = 4,       /* error->array names the argument: null, misaligned, or strided where it must be contiguous */
    ANYGPU_NO_VARIANT = 5,         /* the kernel was not compiled for such a block or range */
    ANYGPU_OUT_OF_MEMORY = 6
}};

/* What went wrong: of all failures the first in the order of blocks and work-items. Strings live as long as the library. */
typedef struct anygpu_error {{
    int64_t count;                 /* failures in all */
    int64_t block[3], thread[3];   /* where the first one was */
    int64_t ndim;
    int64_t index[8], shape[8];    /* the index and the shape of the array, ndim of each */
    const char *kernel;
    const char *array;             /* or NULL */
    const char *message;           /* of an assertion, or NULL */
    const char *file;
    int64_t line, column;
    const char *function;
}} anygpu_error;

static inline anygpu_launch anygpu_grid(
    int64_t grid_x, int64_t grid_y, int64_t grid_z, int64_t block_x, int64_t block_y, int64_t block_z
) {{
    anygpu_launch launch = {{{{grid_x, grid_y, grid_z}}, {{block_x, block_y, block_z}}, 0, 0, INT64_MAX, 0, {{0}}}};
    return launch;
}}

static inline anygpu_launch anygpu_range(int64_t ndim, const int64_t *shape) {{
    anygpu_launch launch = {{{{0, 0, 0}}, {{256, 1, 1}}, 0, 0, INT64_MAX, ndim, {{0}}}};
    for (int64_t axis = 0; axis < ndim && axis < 8; axis++) launch.shape[axis] = shape[axis];
    return launch;
}}

/* The blocks of a launch, for sharing it: part k of n is begin = blocks * k / n, end = blocks * (k + 1) / n. */
static inline int64_t anygpu_blocks(const anygpu_launch *launch) {{
    int64_t blocks = 1;
    if (!launch->ndim) return launch->grid[0] * launch->grid[1] * launch->grid[2];
    for (int64_t axis = 0; axis < launch->ndim; axis++)
        blocks *= axis == launch->ndim - 1 ? (launch->shape[axis] + 255) / 256 : launch->shape[axis];
    return blocks;
}}

#endif /* ANYGPU_ABI */

#ifdef __cplusplus
extern "C" {{
#endif
"""

_EPILOGUE = """
#ifdef __cplusplus
}
#endif

#endif
"""

_WORDS = """
/* ---- GPUs

   Every parameter of an entry point is one 8-byte word. On NVIDIA and AMD a packed row of the words below is the parameter buffer
   (CU_LAUNCH_PARAM_BUFFER_POINTER, HIP_LAUNCH_PARAM_BUFFER_POINTER); with OpenCL word n is argument n, 8 bytes or a buffer.

   grid.x, block.x ...  blocks along an axis, work-items of a block along it: int64_t
   address of A         the array's first element; with OpenCL the buffer that holds it, and `offset` the bytes to it: int64_t
   extent A[k]          elements along axis k: int64_t;  stride A[k]: bytes from one to the next: int64_t
   value of p           a scalar's bits in the low bytes
   shared, dynamic      bytes of dynamic shared memory: int64_t; and (OpenCL) that memory: clSetKernelArg(n, max(1, bytes), NULL)
   error                {error} zero bytes on the device; the first uint32_t is not zero after a failure
   print                a buffer: int64_t used = 0, capacity in bytes, dropped = 0, then room for that many bytes
   sync                 8 zero bytes

   A range of n axes passes its extents after the kernel's parameters, in blocks of (256, 1, 1): x covers the last axis, y the one
   before it, z all others. Where the shape is "flat" the driver gets blocks of (x * y * z, 1, 1). Files marked "large" are for arrays of
   2**31 bytes and more.
"""


def c_names(names: Sequence[str]) -> list[str]:
    """A C identifier for each kernel: its own name if C leaves it free, numbered from the second signature on."""
    found: list[str] = []
    for name in names:
        base = re.sub(r"\W", "_", name, flags=re.ASCII)
        base = f"{base}_" if base in _TAKEN or base.startswith("anygpu_") else base
        number = 1
        while (base if number == 1 else f"{base}_{number}") in found:
            number += 1
        found.append(base if number == 1 else f"{base}_{number}")
    return found


def header_text(
    name: str, kernels: Sequence[KernelEntry], programs: Sequence[KernelIR], libraries: Sequence[LibraryEntry], version: str
) -> str:
    """The header; ``programs`` are the IR of each overload, in the order of ``kernels``."""
    parts = [_PROLOGUE.format(name=name, version=version, guard=re.sub(r"\W", "_", name).upper())]
    each = iter(programs)
    pairs = [(kernel, number, next(each)) for kernel in kernels for number in range(len(kernel.overloads))]
    if libraries:
        files = ", ".join(entry.shared or entry.object for entry in libraries)
        parts.append(f"\n/* ---- CPUs: {files} (link objects of x86-64 and x86-64-v2 with -lm) */\n")
        parts += [_declaration(kernel, number, program) for kernel, number, program in pairs]
    if any(overload.devices for kernel in kernels for overload in kernel.overloads):
        parts.append(_WORDS.format(error=f"{_error_bytes():,}".replace(",", "")))
        for kernel in kernels:
            for overload in kernel.overloads:
                parts += [_device(kernel.name, overload.signature, variant) for variant in overload.devices]
        parts.append("*/\n")
    return "".join(parts) + _EPILOGUE


def _error_bytes() -> int:
    from anygpu.codegen.device import ERROR_BYTES

    return ERROR_BYTES


def _declaration(kernel: KernelEntry, number: int, program: KernelIR) -> str:
    from anygpu.ir.kernel import Array

    overload = kernel.overloads[number]
    written = {row[0] for variant in overload.cpu for row in variant.parameters if row[3]}
    parameters, notes, used = ["const anygpu_launch *launch"], [], {"launch", "error"}
    for parameter in program.params:
        label = re.sub(r"\W", "_", parameter.name, flags=re.ASCII)
        while label in used or label in _TAKEN:
            label += "_"
        used.add(label)
        if isinstance(parameter, Array):
            parameters.append(f"const anygpu_array *{label}")
            what = "records" if len(parameter.fields) > 1 or parameter.itemsize != parameter.dtype.itemsize else parameter.dtype.name
            axes = "1 axis" if parameter.ndim == 1 else f"{parameter.ndim} axes"
            layout = "C-contiguous" if parameter.layout == "C" else "any strides"
            written_too = ", written" if parameter.name in written else ""
            notes.append(f"{label}: {what} of {parameter.itemsize} bytes, {axes}, {layout}{written_too}")
        else:
            parameters.append(f"{_C_TYPES[parameter.dtype.name]} {label}")
            if parameter.dtype.is_half:
                notes.append(f"{label}: the bits of a {parameter.dtype}")
    launches = sorted({("a range of " + _axes(v.range_ndim)) if v.range_ndim else _blocks(v.block) for v in overload.cpu})
    if any(v.grid_barrier for v in overload.cpu):
        notes.append("synchronises its whole grid: run all blocks in one call")
    if any(v.prints for v in overload.cpu):
        notes.append("prints, which callers from C do not see")
    lines = "".join(f"\n     {note}" for note in notes)
    comment = f"/* {kernel.name}({overload.signature}), over {' or '.join(launches)}.{lines} */".replace("*/ */", "*/")
    return f"\n{comment}\nint32_t {overload.symbol}({', '.join([*parameters, 'anygpu_error *error'])});\n"


def _axes(number: int) -> str:
    return "1 axis" if number == 1 else f"{number} axes"


def _blocks(block: tuple[int, int, int] | None) -> str:
    return "a grid of any blocks" if block is None else f"a grid of blocks of {block}"


def _device(name: str, signature: str, variant: DeviceVariant) -> str:
    launch = f"a range of {_axes(variant.range_ndim)}" if variant.range_ndim else _blocks(variant.block)
    words = ", ".join(_word(word.kind, word.name, word.axis) for word in variant.words)
    needs = f", needs {', '.join(sorted(variant.capabilities))}" if variant.capabilities else ""
    shape = ", flat" if variant.flat else ""
    large = "" if variant.small else ", large"
    lines = [
        f"   {variant.file}: {name}({signature}), entry {variant.entry}",
        f"     {launch}{shape}{large}; {variant.launch_shared_bytes} bytes of shared memory before the dynamic{needs}",
        f"     words: {words or 'none'}",
    ]
    return "\n" + "\n".join(lines).replace("*/", "* /") + "\n"


def _word(kind: str, name: str, axis: int) -> str:
    match kind:
        case "grid" | "block":
            return f"{kind}.{'xyz'[axis]}"
        case "pointer":
            return f"address of {name}"
        case "extent" | "stride":
            return f"{kind} {name}[{axis}]"
        case "offset":
            return f"offset {name}"
        case "scalar" if name.startswith(".extent."):
            return f"extent {name.removeprefix('.extent.')} of the range"
        case "scalar":
            return f"value of {name}"
    return kind


__all__ = ["c_names", "header_text"]
