"""Write docs/reference/numpy-coverage.md: for every public name of NumPy 2, whether anygpu has it, and who computes it.

    python docs/scripts/numpy_coverage.py

The names are those of the NumPy that is installed. A name is `native` if it is anygpu's own, which is recorded and fused where it
computes, `devices` if that holds on other devices than the CPU, on which NumPy's routine works on the arrays' memory, `numpy` if that does
all the work (arrays of other devices are copied for it), `same` if it is NumPy's very object (dtypes, constants, exceptions), and otherwise
missing, with a reason.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import anygpu as ag
from anygpu import arrays
from anygpu.arrays.composed import ON_DEVICES
from anygpu.arrays.ndarray import ndarray

PAGE = Path(__file__).resolve().parents[1] / "reference" / "numpy-coverage.md"
HEAD = "<!-- Written by docs/scripts/numpy_coverage.py: change what it reads, not this page. -->\n\n"

# Why a name is missing. Every missing name is here, and nothing else.
MISSING = {
    "char": "strings", "strings": "strings", "rec": "records", "ma": "masked arrays", "core": "NumPy's own parts",
    "testing": "`anygpu.testing` is the conformance suite; NumPy's functions take arrays",
    "dtypes": "NumPy's classes, which its own arrays have",
    "f2py": "Fortran's compiler", "test": "NumPy's own tests", "matlib": "matrices",
    "ndarray.byteswap": "arrays are in native byte order", "ndarray.getfield": "records", "ndarray.setfield": "records",
    "ndarray.resize": "an array's elements are shared with its views and with recorded work: `ag.resize` gives a new array",
    "ndarray.setflags": "whether memory may be written to is its owner's to say", "ndarray.newbyteorder": "arrays are in native byte order",
}  # fmt: skip
# Ours in name and arguments, on the CPU NumPy's in work.
ON_DEVICES_ALONE = frozenset(("sort", "argsort", "bincount"))
UFUNC_METHODS = ("__call__", "reduce", "accumulate", "reduceat", "outer", "at", "resolve_dtypes")
UFUNC_ATTRIBUTES = ("nin", "nout", "nargs", "ntypes", "types", "identity", "signature")
# Methods of arrays whose work is NumPy's, on every device or on the CPU alone.
METHODS_BY_NUMPY = frozenset((
    "argpartition", "choose", "dump", "dumps", "partition", "tobytes", "tofile", "tolist", "item", "flat", "data", "ctypes", "flags",
))  # fmt: skip
METHODS_ON_DEVICES = frozenset(("argsort", "dot", "put", "repeat", "sort"))


@dataclass(frozen=True)
class Row:
    """One of NumPy's public names: where it is, and what anygpu makes of it."""

    group: str
    name: str
    kind: str  # native, devices, numpy, same or missing
    reason: str = ""


def rows() -> list[Row]:
    """Every public name of NumPy's main namespace, of `linalg` and `fft`, and of arrays and ufuncs."""
    found = [_function("numpy", name) for name in sorted(np.__all__) if not name.startswith("_")]
    for module in ("linalg", "fft"):
        found += [_function(module, name) for name in sorted(getattr(np, module).__all__)]
    found += [_method(name) for name in dir(np.ndarray) if not name.startswith("_")]
    found += [Row("ufunc", name, "numpy" if name in ("reduceat", "resolve_dtypes") else "native") for name in UFUNC_METHODS]
    found += [Row("ufunc", name, "native") for name in UFUNC_ATTRIBUTES]
    assert all(hasattr(np.add, row.name) and hasattr(ag.add, row.name) for row in found if row.group == "ufunc")
    return found


def _function(module: str, name: str) -> Row:
    theirs_in, ours_in = (np, ag) if module == "numpy" else (getattr(np, module), getattr(ag, module))
    if module == "numpy" and name in arrays.LEFT_OUT:
        return Row(module, name, "missing", MISSING[name])
    ours = getattr(ours_in, name)
    theirs = getattr(theirs_in, name)
    if ours is theirs:
        return Row(module, name, "same")
    mine = any(name in names for names in (arrays.NATIVE, arrays.LATER, arrays.SPECIAL, ag.__all__, ("random",)))
    if module == "numpy" and mine and name not in ON_DEVICES_ALONE:
        return Row(module, name, "native")
    return Row(module, name, "devices" if theirs in ON_DEVICES or (module == "numpy" and name in ON_DEVICES_ALONE) else "numpy")


def _method(name: str) -> Row:
    if not hasattr(ndarray, name):
        return Row("ndarray", name, "missing", MISSING[f"ndarray.{name}"])
    return Row("ndarray", name, "numpy" if name in METHODS_BY_NUMPY else "devices" if name in METHODS_ON_DEVICES else "native")


TITLES = {
    "numpy": "`numpy`", "linalg": "`numpy.linalg`", "fft": "`numpy.fft`", "ndarray": "Methods and attributes of arrays",
    "ufunc": "Methods and attributes of ufuncs",
}  # fmt: skip
KINDS = {
    "native": "anygpu's own", "devices": "anygpu's own on devices, NumPy's on the CPU", "numpy": "NumPy's routine on the arrays' memory",
    "same": "NumPy's very object", "missing": "Missing",
}  # fmt: skip


def page() -> str:
    """The text of the page."""
    found = rows()
    have = sum(row.kind != "missing" for row in found)
    version = ".".join(np.__version__.split(".")[:2])
    parts = [
        "# NumPy's functions\n",
        f"Of the {len(found)} public names of NumPy {version} and its `linalg` and `fft`, of arrays and of ufuncs, anygpu has {have}, "
        f"{100 * have / len(found):.1f}%. What each means is NumPy's documentation to say, and little [differs](numpy-differences.md).\n",
        "- anygpu's own: recorded, and fused into kernels where it computes.",
        "- anygpu's own on devices: kernels there; on the CPU NumPy's routine is the better one, and works on the arrays' memory.",
        "- NumPy's routine on the arrays' memory: no copies on the CPU; arrays of other devices are copied for it, with a `CopyWarning`.",
        "- NumPy's very object: dtypes, constants, exceptions, settings.\n",
        "| | " + " | ".join(KINDS.values()) + " | Sum |",
        "|---|" + "---:|" * (len(KINDS) + 1),
    ]
    for group, title in TITLES.items():
        count = Counter(row.kind for row in found if row.group == group)
        parts.append(f"| {title} | {' | '.join(str(count[kind]) for kind in KINDS)} | {count.total()} |")
    for group, title in TITLES.items():
        parts.append(f"\n## {title}\n")
        for kind, meaning in KINDS.items():
            names = [row for row in found if row.group == group and row.kind == kind]
            if names and kind != "missing":
                parts.append(f"{meaning}: {', '.join(f'`{row.name}`' for row in names)}.\n")
            elif names:
                parts += ["| Missing | Why |", "|---|---|", *(f"| `{row.name}` | {row.reason} |" for row in names)]
    return HEAD + "\n".join(parts).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print("wrote", PAGE.name)
