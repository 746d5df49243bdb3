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

FORMS = ("launched", "unchecked", "checked")

NOTES = {
    "sm_90": {
        "saxpy": "without what a launch makes certain, the range has a guard of its own beside the kernel's, and a Python float arrives as float64.",
        "exp_map": "`exp` is anygpu's own: eighteen operations that give the same bits on every device, where CUDA's takes ten and asks the special function unit. Of the eighteen six are the polynomial, "
        "six apply the power of two (two steps, since one cannot reach both the subnormals and the largest numbers), and two clamp; a polynomial of one degree less is off by more than half an ULP, too much for the promise of 1 ULP in all.",
        "black_scholes": "as in exp map: three `exp` and a `log`, in anygpu's own arithmetic.",
        "mandelbrot": "one move: ptxas keeps the counter as it was before and after the addition.",
        "stencil": "without what a launch makes certain: the range and the array each have extents, and each a guard on both axes; C++ has one pair.",
        "convolution": "the weights' rows are as long as an argument says; C++ has the length as a constant.",
        "reduction": "two instructions for sixteen elements: the loop counts in 64 bits, since `block * size` is not known to fit 32.",
        "histogram": "as in reduction.",
        "spmv": "`x[columns[k]]` is checked, since its index is data: a minimum and a comparison for each element. Was 2.68, with a branch for each check.",
        "montecarlo_pi": "C++ is unrolled twice, so that two draws share what a loop costs.",
        "bitonic_sort": "Python's `min` keeps the first of two equals and of a NaN, which takes a comparison and a selection; `fminf` is one "
        "instruction.",
    },
    "gfx942": {
        "exp_map": "without what a launch makes certain: `exp` is anygpu's own, as on NVIDIA, and the range has a guard of its own.",
        "black_scholes": "as in exp map; and clang's HIP computes both normal distributions side by side, two float32 in one instruction, which ours does not where bits are taken apart in between.",
        "scan": "a warp is one half of a wave, so the lane that a shuffle reads is made of the half's first lane and the lane within it; HIP's warps are whole waves.",
        "raymarch": "Python's `min` again, three times a step, and one exit more: clang tests both ends of the march at once.",
        "bitonic_sort": "Python's `min` and `max`, as on NVIDIA.",
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
        "| kernel | instructions: launched | unchecked | checked | theirs | launched / theirs | unchecked / theirs | checked / theirs | registers: launched | unchecked | checked | theirs |",
        "| --- |" + " ---: |" * 11,
    ]
    lost = []
    for name, found in kernels.items():
        theirs = found["theirs"]["instructions"]
        ours = [found[form]["instructions"] for form in FORMS]
        if max(ours[0], ours[1]) / theirs > AIM:
            lost.append(name)
        counts = " | ".join(f"{n:.4g}" for n in (*ours, theirs))
        registers = " | ".join(f"{found[form]['registers']:.0f}" for form in (*FORMS, "theirs"))
        lines.append(f"| {name} | {counts} | {' | '.join(f'{n / theirs:.2f}' for n in ours)} | {registers} |")
    means = {
        figure: [mean([k[form][figure] / k["theirs"][figure] for k in kernels.values()]) for form in FORMS]
        for figure in ("instructions", "registers")
    }
    spilling = [name for name, k in kernels.items() if not k["theirs"]["spills"] and any(k[form]["spills"] for form in FORMS)]
    lines += [
        "",
        "Geometric mean of the instructions: {:.2f} as launched (aim: {}), {:.2f} unchecked, {:.2f} checked. ".format(means["instructions"][0], AIM, *means["instructions"][1:])
        + "Of the registers: {:.2f}, {:.2f} and {:.2f}. ".format(*means["registers"])
        + f"Kernels that spill registers in some form where theirs does not: {', '.join(spilling) or 'none'}.",
        "",
        f"More than {AIM} as launched or unchecked, and why:",
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
        "failed check, is left out. *Launched* is what the suite's own launch runs: with bounds checks, which is the default, less what the launch makes certain. "
        "*Checked* and *unchecked* (`bounds_check=False`, as C++ has no checks) are without any such knowledge, as for a kernel that was launched "
        "with many different shapes. *Registers* are those of a work-item; on AMD, vector registers.",
        "",
    ]
    for target in TITLES:
        if target in run:
            lines += section(target, run[target])  # type: ignore[arg-type]
    lines += [
        "## The price of a check",
        "",
        "Of the sixteen kernels fifteen have no check left in the form that their launch runs. A check that nothing proves is a comparison and a branch around the access, and on NVIDIA two more instructions around that branch, where "
        "a warp that fell apart meets again. That is little in a loop whose checks are hoisted (n-body, reduction, histogram), and much in a body of "
        "three accesses and one multiplication. Where an index comes out of memory, in a loop that only loads and computes (`x[columns[k]]` in spmv), a check is a minimum and a comparison, and the "
        "loop runs a second time if one failed. Registers go up to twenty or more, since the record of a failure is a function.",
        "",
    ]
    missing: dict[str, str] = run["missing"]  # type: ignore[assignment]
    return "\n".join([*lines, *[f"{target} is left out: {reason}.\n" for target, reason in missing.items()]])


def main() -> None:
    PAGE.write_text(page(json.loads(RESULTS.read_text())))
    print(f"wrote {PAGE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
