"""Write docs/reference/gpu-code.md from the last results of benchmarks/gpu_static.py.

    python benchmarks/gpu_static.py && python docs/scripts/gpu_static.py

``NOTES`` holds the reasons: one for each kernel that takes more instructions than the vendor's compiler. One without is named as such.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "gpu_static.json"
PAGE = ROOT / "docs" / "reference" / "gpu-code.md"
AIM = 1.05  # of the geometric mean, and what a single kernel may take without a reason
TITLES = {"sm_90": "NVIDIA, `sm_90`", "gfx942": "AMD, `gfx942`"}

NOTES = {
    "sm_90": {
        "saxpy": "the range has a guard of its own beside the kernel's, and a Python float arrives as float64.",
        "exp_map": "`exp` is anygpu's own: twenty operations that give the same bits on every device, where CUDA's asks the special function unit.",
        "black_scholes": "as in exp map: three `exp` and a `log`, in anygpu's own arithmetic.",
        "stencil": "the range and the array each have extents, and each a guard on both axes; C++ has one pair.",
        "convolution": "the weights' rows are as long as an argument says; C++ has the length as a constant.",
        "matmul": "the places of the two elements to load are computed anew for each tile; NVIDIA's compiler steps pointers.",
        "transpose": "as in matmul, for each row. Was 1.84 with addresses in 64 bits.",
        "reduction": "two instructions for sixteen elements: the loop counts in 64 bits, since `block * size` is not known to fit 32.",
        "histogram": "as in reduction.",
        "montecarlo_pi": "C++ is unrolled twice, so that two draws share what a loop costs.",
        "bitonic_sort": "Python's `min` keeps the first of two equals and of a NaN, which takes a comparison and a selection; `fminf` is one "
        "instruction.",
    },
    "gfx942": {
        "exp_map": "`exp` is anygpu's own, as on NVIDIA.",
        "black_scholes": "as in exp map.",
    },
}


def mean(values: list[float]) -> float:
    return math.exp(sum(map(math.log, values)) / len(values)) if values else math.nan


def section(target: str, run: dict[str, object]) -> list[str]:
    """One vendor's table, and the reasons for what is lost."""
    kernels: dict[str, dict[str, dict[str, float]]] = run["kernels"]  # type: ignore[assignment]
    lines = [
        f"## {TITLES.get(target, target)}",
        "",
        f"Theirs is {run['compiler']}.",
        "",
        "| kernel | instructions: ours | checked | theirs | ours / theirs | checked / theirs | registers: ours | checked | theirs |",
        "| --- |" + " ---: |" * 8,
    ]
    lost = []
    for name, found in kernels.items():
        ours, checked, theirs = (found[which]["instructions"] for which in ("unchecked", "checked", "theirs"))
        if ours / theirs > AIM:
            lost.append(name)
        registers = " | ".join(f"{found[which]['registers']:.0f}" for which in ("unchecked", "checked", "theirs"))
        cells = f"{ours:.4g} | {checked:.4g} | {theirs:.4g} | {ours / theirs:.2f} | {checked / theirs:.2f}"
        lines.append(f"| {name} | {cells} | {registers} |")
    means = {
        figure: [mean([k[which][figure] / k["theirs"][figure] for k in kernels.values()]) for which in ("unchecked", "checked")]
        for figure in ("instructions", "registers")
    }
    plain, checked = means["instructions"]
    spilling = [name for name, k in kernels.items() if not k["theirs"]["spills"] and (k["unchecked"]["spills"] or k["checked"]["spills"])]
    lines += [
        "",
        f"Geometric mean of the instructions: {plain:.2f} without bounds checks, {checked:.2f} with them (aim: {AIM}). Of the registers: "
        f"{means['registers'][0]:.2f} and {means['registers'][1]:.2f}. Kernels that spill registers where theirs does not: "
        f"{', '.join(spilling) or 'none'}.",
        "",
        f"More than {AIM} without checks, and why:",
        "",
    ]
    return [*lines, *[f"- **{name}**: {NOTES.get(target, {}).get(name, 'not explained yet.')}" for name in lost], ""]


def page(run: dict[str, object]) -> str:
    """The page's text."""
    lines = [
        "# Code for GPUs beside the vendors' compilers",
        "",
        f"Made on {str(run['date'])[:10]} by `python benchmarks/gpu_static.py`, which needs no device: every kernel of the benchmarks' suite is "
        "compiled from Python and from the same algorithm in C++, with the same launch shape, and the machine code is read. It shows what the "
        "compiler does and not how long it takes to run.",
        "",
        "*Instructions* are those for one unit of work (an element, a pair of bodies, a step): of the innermost loop that does the work, divided "
        "by how often it is unrolled, or of the whole body where there is no such loop. Code that is not expected to run, such as the record of a "
        "failed check, is left out. *Checked* is the default; *ours* without it has `bounds_check=False`, as C++ has no checks. *Registers* are "
        "those of a work-item; on AMD, vector registers.",
        "",
    ]
    for target in TITLES:
        if target in run:
            lines += section(target, run[target])  # type: ignore[arg-type]
    lines += [
        "## The price of a check",
        "",
        "A check that nothing proves is a comparison and a branch around the access, and on NVIDIA two more instructions around that branch, where "
        "a warp that fell apart meets again. That is little in a loop whose checks are hoisted (n-body, reduction, histogram), and much in a body of "
        "three accesses and one multiplication, or where an index comes out of memory (`x[columns[k]]` in spmv). Registers go up to twenty or more, since "
        "the record of a failure is a function.",
        "",
    ]
    missing: dict[str, str] = run["missing"]  # type: ignore[assignment]
    return "\n".join([*lines, *[f"{target} is left out: {reason}.\n" for target, reason in missing.items()]])


def main() -> None:
    PAGE.write_text(page(json.loads(RESULTS.read_text())))
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
