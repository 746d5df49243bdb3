"""The same code for the same kernel in every process: sets of names, whose order differs between processes, must not show in it."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import hashlib
import numpy as np
import anygpu as ag

SIZE = 64

@ag.kernel
def exchanged(x, table, out):
    part = ag.shared.array(SIZE, np.float32)
    count = ag.shared.array(1, np.int32)
    t, block = ag.threadIdx.x, ag.blockIdx.x
    part[t] = ag.sin(x[block, t])
    ag.syncthreads()
    size = 2
    while size <= SIZE:
        step = size // 2
        while step > 0:
            other = t ^ step
            low, high = part[t], part[other]
            ag.syncthreads()
            if (t & size == 0) == (t < other):
                part[t] = min(low, high)
            else:
                part[t] = max(low, high)
            ag.syncthreads()
            step //= 2
        size *= 2
    ag.atomic.add(table, np.int32(part[t]) & 7, ag.shfl_xor_sync(0xFFFFFFFF, np.int32(t), 1))
    out[block, t] = part[t]

x = np.zeros((2, SIZE), np.float32)
for target in (None, "sm_90", "gfx942", "spirv"):
    text = exchanged.inspect(x, np.zeros(8, np.int32), x, grid=2, block=SIZE, stage="llvm", target=target)
    print(target, hashlib.sha256(text.encode()).hexdigest())
"""


@pytest.mark.parametrize("seed", ["1", "2", "3"])
def test_code_does_not_depend_on_the_order_of_sets(seed, tmp_path):
    file = tmp_path / "script.py"
    file.write_text(SCRIPT)
    found = []
    for number in ("0", seed):
        environment = {**os.environ, "PYTHONHASHSEED": number, "ANYGPU_CACHE": "0"}
        done = subprocess.run([sys.executable, file], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found.append(done.stdout)
    assert found[0] == found[1]
    assert len(set(found[0].split())) == 8
