"""``benchmarks/gpu_static.py`` takes every kernel of the suite, in every form, as far as machine code and its instructions."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PROGRAM = """
import importlib, json, sys
sys.path.append(sys.argv[1])  # at the end: the anygpu that is tested comes first
from benchmarks import gpu_static, machine_code
from benchmarks.suite import KERNELS

def counted(name, form):
    text, entry = gpu_static.ours(importlib.import_module(f"benchmarks.suite.{name}"), form, "gfx942")
    return gpu_static.instructions(name, machine_code.gcn(text, entry), lambda unit: unit.amd)

some = {form: counted("transpose", form) for form in gpu_static.FORMS}
every = {name: counted(name, "launched") for name in KERNELS}
ptx, entry = gpu_static.ours(importlib.import_module("benchmarks.suite.spmv"), "launched", "sm_90")
print(json.dumps([some, every, f".visible .entry {entry}(" in ptx]))
"""


def test_every_kernel_is_counted():
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(ROOT)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    forms, kernels, has_entry = json.loads(done.stdout)
    assert has_entry and len(kernels) == 16 and all(count > 1 for count in kernels.values())
    assert forms["launched"] == forms["unchecked"] < forms["checked"]  # the suite's launch proves every access
