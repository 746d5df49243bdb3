"""Write the generated pages of docs/reference/ from the code: docstrings, the vocabulary, and the compiler's tables.

    python docs/scripts/reference.py

`tests/docs/test_reference.py` fails while a page is not what this writes.
"""

from __future__ import annotations

import argparse
import builtins
import functools
import inspect
import linecache
import math
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

import numpy as np

import anygpu as ag
from anygpu import config, dtypes, errors
from anygpu.cli.main import _parser
from anygpu.codegen.targets.cpu import CpuOptions, emit_cpu
from anygpu.dtypes import DTYPES, DType
from anygpu.engine.compile import Options, lower, run_passes
from anygpu.engine.launch import Launcher
from anygpu.frontend import atomics
from anygpu.frontend.context import KernelError
from anygpu.frontend.functions import FUNCTIONS
from anygpu.frontend.types import ArrayType
from anygpu.frontend.vocabulary import WORDS, Word
from anygpu.ir import kernel as ir
from anygpu.ir.interp import interpret
from anygpu.ir.ops import ATOMICS, OPERATIONS, Operation, is_expanded
from anygpu.ir.sanitize import Finding, Report, Site
from anygpu.runtime.base import Capabilities, Properties
from anygpu.runtime.memory import PoolStatistics
from anygpu.runtime.program import Kernel as SourceKernel
from anygpu.testing import grid

FOLDER = Path(__file__).resolve().parents[1] / "reference"
HEAD = "<!-- Written by docs/scripts/reference.py: change what it reads, not this page. -->\n\n"

# ---------------------------------------------------------------------------------------------------------------- docstrings

_SECTION = re.compile(r"^(Args|Attributes|Raises|Returns|Example|Examples):$")


def markdown(docstring: str) -> str:
    """A Google-style docstring as Markdown: its sections as lists, its examples as code."""
    out: list[str] = []
    section, example = "", False
    for line in inspect.cleandoc(docstring).splitlines():
        heading = _SECTION.match(line)
        if heading:
            section = heading[1]
            if not section.startswith("Example"):
                out.append(f"**{section}**\n")
            continue
        bare = line[4:] if section and line.startswith("    ") else line
        stripped = bare.strip()
        if stripped.startswith(">>>") and not example:
            example = True
            out.append("```pycon")
        elif example and not stripped:
            example = False
            out.append("```\n")
            continue
        if example:
            out.append(re.sub("^    ", "", line))
            continue
        named = re.match(r"^([\w., ]+): (.*)$", bare)
        if section in ("Args", "Attributes", "Raises") and named:
            out.append(f"- `{named[1]}`: {named[2]}")
        elif section in ("Args", "Attributes", "Raises") and stripped:
            out.append(f"  {stripped}")
        else:
            out.append(bare)
    if example:
        out.append("```")
    return re.sub(r"``([^`\n]+)``", r"`\1`", "\n".join(out)).rstrip() + "\n"


def signature(name: str, obj: object) -> str:
    assert callable(obj)
    text = re.sub(r"(: |-> )'([^']*)'", r"\1\2", str(inspect.signature(obj)))
    return f"```text\n{name}{text.replace('(self, ', '(').replace('(self)', '()')}\n```\n"


def member(owner: str, cls: type, name: str) -> str:
    found = inspect.getattr_static(cls, name)
    shown = f"{owner}.{name}"
    if isinstance(found, property):
        return f"### `{shown}`\n\n{markdown(found.fget.__doc__ or '')}"
    return f"### `{shown}`\n\n{signature(shown, found)}\n{markdown(found.__doc__ or '')}"


def api() -> str:
    """The host's side of the language."""
    parts = [
        "# The public interface\n",
        "What `import anygpu as ag` gives to the host's side of a program. "
        "The words for kernels are in [The kernel language](kernel-language.md).\n",
    ]
    for name in ("kernel", "func"):
        obj = getattr(ag, name)
        parts.append(f"## `ag.{name}`\n\n{signature(f'ag.{name}', obj)}\n{markdown(obj.__doc__)}")
    parts.append(f"## `ag.Kernel`\n\n{markdown(ag.Kernel.__doc__ or '')}")
    parts.append("### `kernel[grid, block]`, `kernel[grid, block, stream, shared_bytes]`\n")
    parts.append(
        "A launcher for a grid of blocks. `stream` is `None` or 0 on the CPU; `shared_bytes` is the size of the dynamic shared memory. "
        + markdown(Launcher.__doc__ or "")
    )
    parts += [member("kernel", ag.Kernel, name) for name in ("forall", "inspect", "explain_recompile")]
    for name in ("sanitize", "load", "devices", "synchronize"):
        obj = getattr(ag, name)
        parts.append(f"## `ag.{name}`\n\n{signature(f'ag.{name}', obj)}\n{markdown(obj.__doc__)}")
    parts += [f"## `ag.{cls.__name__}`\n\n{markdown(cls.__doc__ or '')}" for cls in (ag.LoadedModule, ag.LoadedKernel)]
    for cls in (Report, Finding, Site):
        parts.append(f"## `{cls.__name__}`\n\n{markdown(cls.__doc__ or '')}")
        own = [n for n, v in vars(cls).items() if not n.startswith("_") and callable(v) and getattr(v, "__doc__", None)]
        parts += [member(cls.__name__.lower(), cls, n) for n in own]
    return "\n".join(parts)


def runtime_page() -> str:
    """Devices, their memory, streams and graphs, and source programs."""
    parts = [
        "# Devices and source programs\n",
        "The objects under everything, the same for every vendor's devices. "
        "[Use a device directly](../how-to/devices.md) shows them at work.\n",
    ]
    for name in ("Device", "current_device", "set_default_device", "problems"):
        parts += entry(f"ag.{name}", getattr(ag, name))
    for cls in (Properties, Capabilities):
        parts += entry(cls.__name__, cls)
    for name in ("Buffer", "MemoryPool"):
        parts += entry(f"ag.{name}", getattr(ag, name))
    parts += entry("PoolStatistics", PoolStatistics)
    for name in ("Stream", "Event", "Graph", "Program", "ObjectCode"):
        parts += entry(f"ag.{name}", getattr(ag, name))
    parts += entry("Kernel", SourceKernel)
    for name in ("Parameter", "LaunchConfig", "launch", "LocalMemory", "RawKernel", "ElementwiseKernel", "ReductionKernel"):
        parts += entry(f"ag.{name}", getattr(ag, name))
    return "\n".join(parts)


def entry(shown: str, obj: object) -> list[str]:
    """A class with its public methods and properties, or a function."""
    head = f"## `{shown}`\n\n"
    if not isinstance(obj, type):
        return [f"{head}{signature(shown, obj)}\n{markdown(obj.__doc__ or '')}"]
    own = [n for n, v in vars(obj).items() if not n.startswith("_") and (callable(v) or isinstance(v, property))]
    return [head + markdown(obj.__doc__ or ""), *(member(obj.__name__.lower(), obj, n) for n in own)]


def error_page() -> str:
    """Every exception and warning."""
    parts = [
        "# Errors and warnings\n",
        "Every exception of anygpu is an `ag.AnyGPUError`, and most are one of Python's own kinds as well, so that "
        "`except IndexError:` catches what it should. "
        "[Errors](../tutorial/04-errors.md) shows what they say.\n",
        "| Name | Is also | Meaning |",
        "|---|---|---|",
    ]
    found = [v for v in vars(errors).values() if isinstance(v, type) and issubclass(v, Exception)] + [ag.SanitizerError, config.ConfigError]
    for cls in found:
        own = [b for b in cls.__mro__[1:] if b.__module__ == "builtins" and b not in (object, BaseException, Exception)]
        bases = ", ".join(f"`{b.__name__}`" for b in own)
        shown = f"ag.{cls.__name__}" if hasattr(ag, cls.__name__) else f"{cls.__module__}.{cls.__name__}"
        meaning = " ".join(markdown(cls.__doc__ or "").split())
        parts.append(f"| `{shown}` | {bases or '`Exception`'} | {meaning} |")
    parts.append("\nA `CompileError` has `kernel` (its name) and `diagnostics`, each with `location`, `message`, `hint`, `inlined_from`.\n")
    return "\n".join(parts)


# ------------------------------------------------------------------------------------------------------------- the language

GROUPS: dict[str, tuple[str, ...]] = {
    "Position": ("grid", "gridsize", "threadIdx", "blockIdx", "blockDim", "gridDim", "laneid", "warpsize"),
    "Memory": ("shared", "local", "const"),
    "Barriers and fences": (
        "syncthreads", "syncthreads_count", "syncthreads_and", "syncthreads_or", "syncwarp", "cg", "threadfence", "threadfence_block",
        "threadfence_system",
    ),
    "Atomics": ("atomic",),
    "Warps": (
        "shfl_sync", "shfl_up_sync", "shfl_down_sync", "shfl_xor_sync", "all_sync", "any_sync", "eq_sync", "ballot_sync", "match_any_sync",
        "match_all_sync", "activemask", "lanemask_lt", "reduce_add_sync", "reduce_min_sync", "reduce_max_sync", "reduce_and_sync",
        "reduce_or_sync", "reduce_xor_sync",
    ),
    "Numbers and bits": ("fma", "select", "selp", "rsqrt", "exp10", "sinpi", "cospi", "mulhi", "popc", "clz", "ffs", "brev", "bitcast"),
}  # fmt: skip


def leaves(word: Word) -> Iterable[Word]:
    """A word, or those inside it if it is a family."""
    members = [getattr(word, name) for name in dir(word)]
    if not members or word.__name__ in ("threadIdx", "blockIdx", "blockDim", "gridDim"):
        yield word
    else:
        yield from members


def words() -> str:
    exported = {name for name in WORDS if name in ag.__all__}
    listed = [name for names in GROUPS.values() for name in names]
    if set(listed) != exported or len(listed) != len(exported):
        raise SystemExit(f"docs/scripts/reference.py: GROUPS and ag.__all__ differ in {sorted(set(listed) ^ exported)}")
    parts = []
    for title, names in GROUPS.items():
        parts += [f"### {title}\n", "| Word | Meaning |", "|---|---|"]
        for name in names:
            for word in leaves(WORDS[name]):
                doc = (word.__doc__ or "").replace("|", "\\|")
                called = re.match(rf"(ag\.{re.escape(word.__anygpu_word__)}\([^)]*\)): ", doc)
                shown, doc = (called[1], doc[called.end() :]) if called else (f"ag.{word.__anygpu_word__}", doc)
                parts.append(f"| `{shown}` | {doc[:1].upper()}{doc[1:]} |")
        parts.append("")
    return "\n".join(parts)


def promotion_table() -> str:
    names = list(DTYPES)
    short = {"bfloat16": "bf16", "complex64": "c64", "complex128": "c128", "bool": "b"}

    def brief(name: str) -> str:
        return short.get(name, name.replace("uint", "u").replace("int", "i").replace("float", "f"))

    rows = ["| | " + " | ".join(f"`{brief(n)}`" for n in names) + " |", "|---|" + "---|" * len(names)]
    for a in names:
        cells = (brief(dtypes.promote(DTYPES[a], DTYPES[b]).name) for b in names)
        rows.append(f"| `{a}` | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def weak_table() -> str:
    kinds = {"bool": dtypes.bool_, "int": dtypes.int64, "float": dtypes.float64, "complex": dtypes.complex128}
    rows = ["| | " + " | ".join(f"a Python {k}" for k in kinds) + " |", "|---|" + "---|" * len(kinds)]
    for name, dtype in DTYPES.items():
        rows.append(f"| `{name}` | " + " | ".join(dtypes.promote_weak(weak, dtype).name for weak in kinds.values()) + " |")
    return "\n".join(rows)


def language() -> str:
    text = (Path(__file__).parent / "kernel-language.in").read_text(encoding="utf-8")
    return text.replace("{words}", words()).replace("{promotion}", promotion_table()).replace("{weak}", weak_table())


# ------------------------------------------------------------------------------------------- functions, by asking the compiler

SAMPLES = ("int32", "float16", "float32", "float64", "complex64")
_NAME = "<docs/scripts/reference.py>"
_SOURCE = "def k1(x, out):\n    y = f(x[0])\ndef k2(x, out):\n    y = f(x[0], x[1])\ndef k3(x, out):\n    y = f(x[0], x[1], x[2])\n"
_SOURCE += "def k4(x, out):\n    y = f(x[0], 1)\n"  # ldexp, whose second argument is an integer
_ARITY = {"hypot": 2}
_NOT_EVERYWHERE = {"fma"}  # newer Pythons have it in math


@functools.cache
def templates() -> tuple[CodeType, ...]:
    linecache.cache[_NAME] = (len(_SOURCE), None, _SOURCE.splitlines(keepends=True), _NAME)
    namespace: dict[str, FunctionType] = {}
    exec(compile(_SOURCE, _NAME, "exec"), namespace)
    return tuple(namespace[f"k{n}"].__code__ for n in (1, 2, 3, 4))


def result_type(function: object, arity: int, dtype: DType) -> str | None:
    """What a call gives for elements of ``dtype``, as the frontend infers it; None if it refuses."""
    template = 3 if function in (math.ldexp, np.ldexp) else arity - 1
    asking = FunctionType(templates()[template], {"f": function})
    array = ArrayType(dtype, 1, "C", True)
    try:
        kernel = lower(asking, (array, array), Options())
    except errors.CompileError:
        return None
    assigned = [v for s in ir.walk(kernel.body) if (v := ir.assigned(s)) is not None]
    found = {v.name: v.dtype.name for v in assigned if v.name == "y" or v.name.startswith("y.")}
    if not found:
        return "bool, constant" if function in (math.isnan, math.isinf, math.isfinite, np.isnan, np.isinf, np.isfinite) else "constant"
    if "y.imag" in found:
        return dtypes.complex_of(DTYPES[found["y.imag"]]).name
    return ", ".join(found[name] for name in sorted(found))


STRUCTURAL = {"range", "enumerate", "zip", "reversed", "tuple", "len", "sum", "all", "any", "complex", "dist", "prod", "finfo", "iinfo"}


def public_names(module: ModuleType) -> list[str]:
    return sorted(n for n in dir(module) if not n.startswith("_") and n not in _NOT_EVERYWHERE and id(getattr(module, n)) in FUNCTIONS)


def function_page() -> str:
    parts = [
        "# Functions\n",
        "What kernels may call besides the [words](kernel-language.md#words) and your own functions, and the type of the result for "
        "arguments of one type. A dash means that the compiler refuses it. bfloat16 gives what float16 gives, and the other integers "
        "what their size and NumPy's rules say.\n",
        "`math` functions of integers give float64, as in Python; NumPy's follow NumPy, where small integers give small floats. "
        "`math.fma` is taken where Python has it, and `ag.fma` everywhere. "
        "How exact the elementary functions are is [measured](../explanation/numerics.md#elementary-functions).\n",
    ]
    for module, title in ((builtins, "Builtins"), (math, "`math`"), (np, "NumPy")):
        prefix = "" if module is builtins else "math." if module is math else "np."
        parts += [f"## {title}\n", "| Function | " + " | ".join(SAMPLES) + " |", "|---|" + "---|" * len(SAMPLES)]
        for name in public_names(module):
            function = getattr(module, name)
            if name in STRUCTURAL:
                continue
            parts.append(_function_row(f"{prefix}{name}", function))
        parts.append("")
        if module is builtins:
            parts.append("`range`, `enumerate`, `zip`, `reversed` and `tuple` are for loops; `len` takes arrays and tuples; `sum`, `all`,")
            parts.append("`any`, `min` and `max` take tuples; `complex(a, b)`, `int(x)`, `float(x)`, `bool(x)` and every dtype, such as")
            parts.append("`np.float32(x)`, convert.\n")
        elif module is math:
            parts.append("`math.dist` and `math.prod` take tuples.\n")
        else:
            parts.append("`np.finfo(dtype)` and `np.iinfo(dtype)` have their attributes, as constants.\n")
    return "\n".join(parts)


def _function_row(shown: str, function: object) -> str:
    for arity in (1, 2, 3):
        if arity < _ARITY.get(shown.rpartition(".")[2], 1):
            continue
        cells = [result_type(function, arity, DTYPES[s]) for s in SAMPLES]
        if any(cells):
            arguments = "x, n" if shown.endswith("ldexp") else ", ".join("xyz"[:arity])
            return f"| `{shown}({arguments})` | " + " | ".join(c or "–" for c in cells) + " |"
    raise SystemExit(f"docs/scripts/reference.py: no call of {shown} compiles")


# ----------------------------------------------------------------------------------------------------------- support matrix

COLUMNS: dict[str, tuple[str, ...]] = {
    "bool": ("bool",),
    "integers": ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    "float16, bfloat16": ("float16", "bfloat16"),
    "float32": ("float32",),
    "float64": ("float64",),
}
_CPU = CpuOptions(16, "aligned", True, True, 1, None)
_TRIPLE = "x86_64-unknown-linux-gnu"


def operand_types(row: Operation, dtype: DType) -> tuple[DType, ...]:
    if row.name == "select":
        return (dtypes.bool_, dtype, dtype)
    if row.name == "ldexp":
        return (dtype, dtypes.int32)
    return (dtype,) * row.arity


def operation_kernel(row: Operation, dtype: DType) -> ir.Kernel:
    """``out[i] = operation(a[i], b[i], ...)`` as IR."""
    given = operand_types(row, dtype)
    result = row.result_dtype(given)
    arrays = [ir.Array(f"a{n}", dtypes.plain_fields(d), d.itemsize, 1) for n, d in enumerate(given)]
    out = ir.Array("out", dtypes.plain_fields(result), result.itemsize, 1)
    position, value = ir.Var("i", dtypes.int64), ir.Var("value", result)
    index = (ir.Ref(position),)
    loaded = [ir.Var(f"v{n}", d) for n, d in enumerate(given)]
    body: list[ir.Stmt] = [ir.Assign(position, ir.Special("thread", 0))]
    body += [ir.Load(v, a.name, index) for v, a in zip(loaded, arrays, strict=True)]
    body += [ir.Assign(value, ir.Op(row.name, tuple(ir.Ref(v) for v in loaded), result)), ir.Store("out", index, ir.Ref(value))]
    return ir.Kernel(row.name, (*arrays, out), (), tuple(body))


def atomic_kernel(op: str, dtype: DType) -> ir.Kernel:
    array = ir.Array("a0", dtypes.plain_fields(dtype), dtype.itemsize, 1)
    one = ir.Const(1.0 if dtype.is_float else True if dtype is dtypes.bool_ else 1, dtype)
    zero = (ir.Const(0, dtypes.int64),)
    body: tuple[ir.Stmt, ...] = (ir.Atomic(ir.Var("old", dtype), op, "a0", zero, (one, one) if op == "cas" else (one,)),)
    return ir.Kernel(f"atomic_{op}", (array,), (), body)


def runs_on_interpreter(kernel: ir.Kernel) -> bool:
    arrays = [np.ones(4, p.dtype.numpy) for p in kernel.params if isinstance(p, ir.Array)]
    outcome = interpret(kernel, arrays, (1, 1, 1), (4, 1, 1))
    return outcome.failure_count == 0


def compiles_for_cpu(kernel: ir.Kernel) -> bool:
    return "define void @run" in emit_cpu(kernel, _CPU, _TRIPLE).text


def cells(names: Callable[[DType], str | None], make: Callable[[DType], ir.Kernel]) -> list[str]:
    """One row's cells: what each group of dtypes has, after both devices have been asked for each dtype."""
    out = []
    for members in COLUMNS.values():
        found: set[str | None] = set()
        for name in members:
            dtype = DTYPES[name]
            how = names(dtype)
            if how is not None:
                kernel = run_passes(make(dtype))
                if not (runs_on_interpreter(kernel) and compiles_for_cpu(kernel)):
                    raise SystemExit(f"docs/scripts/reference.py: {kernel.name} on {dtype} is in the table and does not work")
            found.add(how)
        out.append(" / ".join(sorted(how or "–" for how in found)))
    return out


DEVICES = {"cpu": "`cpu`", "spirv": "`opencl`: SPIR-V", "nvptx": "`cuda`: PTX", "amdgcn": "`hip`: GCN"}


def _by_device() -> list[str]:
    """The completeness grid by device: each row of it is compiled for all of them."""
    found: dict[str, dict[str, dict[str, set[str]]]] = {}  # what a kernel says: device: how: of which dtypes
    for name, given in grid.rows():
        what, dtype = _split(name)
        final = run_passes(given)
        for column in DEVICES:
            found.setdefault(what, {}).setdefault(column, {}).setdefault(grid.how(column, name, final), set()).add(dtype)
    parts = [
        "\n## By device\n",
        "Everything that a kernel can say, compiled for every device at every dtype that it takes:\n",
        "- *yes*: at all of them.",
        "- *loop*: the device has no such instruction, and a loop compares and swaps in its place; for the dtypes named, or all.",
        "- anything else: why not.\n",
        "float64 and float16 need a device that has them, as atomics of 64 bits do, and exchanges among lanes on OpenCL need sub-groups "
        "of 32. A launch on a device that lacks what a kernel needs says so.\n",
        "| | " + " | ".join(DEVICES.values()) + " |",
        "|---|" + "---|" * len(DEVICES),
    ]
    return parts + [f"| `{what}` | " + " | ".join(_cell(cells[column]) for column in DEVICES) + " |" for what, cells in found.items()]


def _split(name: str) -> tuple[str, str]:
    """What a row of the grid says, and its dtype, "" if it has none."""
    words = name.split(" ")
    dtype = next((word for word in words if word in DTYPES), "")
    return " ".join(word for word in words if (word != dtype and word not in ("global", "shared", "local")) or words[-1] == "array"), dtype


def _cell(found: dict[str, set[str]]) -> str:
    loops = found.get("loop", set())
    rest = set(found) - {"loop", "yes"}
    if rest:
        return "; ".join(sorted(rest))
    others = found.get("yes", set()) - loops
    if not loops:
        return "yes"
    return "loop" if not others else "loop: " + ", ".join(name for name in DTYPES if name in loops)


def support_page() -> str:
    parts = [
        "# Support matrix\n",
        "Every operation of KERNEL IR and every atomic, by dtype. This page is made by asking both devices, the interpreter and the "
        "CPU, for each cell: one row stands for both, since an operation that one has and the other lacks stops the script.\n",
        "- *exact*: the result is what NumPy's arithmetic gives, bit for bit, on every device.",
        "- *libm*: one of anygpu's own elementary functions, the same bits on every device; measured against exact values.",
        "- *in float32*: computed in float32 and rounded to the half type once.",
        "- *–*: not defined for these types; the frontend converts or refuses.\n",
        "Complex numbers are pairs of floats in the frontend, so they have no cells of their own.\n",
        "## Operations\n",
        "| Operation | Operands | " + " | ".join(COLUMNS) + " |",
        "|---|---|" + "---|" * len(COLUMNS),
    ]
    for row in OPERATIONS.values():

        def how(dtype: DType, row: Operation = row) -> str | None:
            if row.verify_operands(operand_types(row, dtype)) is not None:
                return None
            if dtype.is_half and row.name != "select":
                return "libm, in float32" if is_expanded(row.name, dtypes.float32) else "in float32"
            return "libm" if is_expanded(row.name, dtype) else "exact"

        found = cells(how, lambda dtype, row=row: operation_kernel(row, dtype))  # type: ignore[misc]
        parts.append(f"| `{row.name}` | {row.arity} | " + " | ".join(found) + " |")
    parts += _by_device()
    parts += ["\n## Atomics\n", "| Atomic | " + " | ".join(COLUMNS) + " |", "|---|" + "---|" * len(COLUMNS)]
    for op in ATOMICS:

        def stands(dtype: DType, op: str = op) -> str | None:
            try:
                found = atomics.atomic_operation(op, dtype)
            except KernelError:
                return None
            return "yes" if found == op else f"as `{found}`"

        found = cells(stands, lambda dtype, op=op: atomic_kernel(atomics.atomic_operation(op, dtype), dtype))  # type: ignore[misc]
        parts.append(f"| `{op}` | " + " | ".join(found) + " |")
    parts += ["\n`add` and `sub` also take complex arrays: one atomic for each part. What is missing is refused for a reason:\n"]
    kinds = {"b": "bool", "fc": "floats, complex", "c": "complex"}
    parts += [
        f"- {', '.join(f'`{op}`' for op in ops)} of {kinds[kind]}: {reason}." for (ops, kind), reason in atomics.UNSUPPORTED.items()
    ]
    return "\n".join(parts)


def command_page() -> str:
    """The ``anygpu`` command, from its parser. Not the help's own text, whose layout differs between versions of Python."""
    parts = ["# The command line\n", "`python -m anygpu.cli` is the same command. `anygpu COMMAND --help` shows this in a terminal."]
    commands = next(action for action in _parser()._actions if isinstance(action, argparse._SubParsersAction))
    for name, parser in commands.choices.items():
        parts += [f"\n## `anygpu {name}`\n", f"{parser.description}\n"]
        rows = [action for action in parser._actions if not isinstance(action, argparse._HelpAction)]
        if rows:
            parts.append("| Argument | Meaning |\n|---|---|")
            parts += [f"| {_argument(action)} | {_help(action)} |" for action in rows]
        if parser.epilog:
            parts.append(f"\n{parser.epilog}")
    return "\n".join(parts)


def _argument(action: argparse.Action) -> str:
    shown = action.metavar if isinstance(action.metavar, str) else "|".join(action.choices or ()) or action.dest.upper()
    if not action.option_strings:
        return f"`{shown}`".replace("|", "\\|")
    value = "" if action.nargs == 0 else f" {shown}"
    return ", ".join(f"`{option}{value}`" for option in action.option_strings).replace("|", "\\|")


def _help(action: argparse.Action) -> str:
    required = "; required" if action.option_strings and action.required else ""
    return ((action.help or "") % {"default": action.default} + required).replace("|", "\\|")


PAGES: dict[str, Callable[[], str]] = {
    "api.md": api,
    "runtime.md": runtime_page,
    "kernel-language.md": language,
    "functions.md": function_page,
    "errors.md": error_page,
    "support.md": support_page,
    "command-line.md": command_page,
}


def page(name: str) -> str:
    """The text that a generated page should have."""
    return HEAD + PAGES[name]().rstrip() + "\n"


def main(names: Sequence[str] = tuple(PAGES)) -> None:
    for name in names:
        text = page(name)
        path = FOLDER / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            print("wrote", name)


if __name__ == "__main__":
    main()
