"""``anygpu run``: scripts with another default device."""

import os
import subprocess
import sys

import pytest

import anygpu as ag
from anygpu.cli.run import split

SCRIPT = """
import sys
import numpy as np
import anygpu as ag
import neighbour

@ag.kernel
def fill(x, first):
    x[ag.grid(1) + first] = 1

device = ag.Device()
print(__name__, device.name, sys.argv[1:], neighbour.name)
x = np.zeros(4)
fill[1, 4](x, 0)
print(x.sum(), bool(fill.device_variants))
fill[1, 4](device.to_device(x).array(np.float64), int(sys.argv[1]))
"""


@pytest.fixture
def script(tmp_path):
    (tmp_path / "neighbour.py").write_text("name = 'neighbour'\n")
    (tmp_path / "script.py").write_text(SCRIPT)
    return str(tmp_path / "script.py")


def launch(*arguments, **environment):
    command = [sys.executable, "-m", "anygpu.cli", "run", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **environment})


def test_the_device_stands_anywhere_before_two_dashes():
    assert split(["a", "--device", "opencl:0", "b"], None) == (["a", "b"], "opencl:0")
    assert split(["--device=cuda:1"], "cpu") == ([], "cuda:1")
    assert split(["a", "--", "--device", "mine"], "cpu") == (["a", "--device", "mine"], "cpu")
    assert split(["--verbose", "--device"], None) == (["--verbose", "--device"], None)


def test_a_script_runs_as_python_would_run_it(script):
    done = launch(script, "0", "--own")
    assert (done.returncode, done.stdout, done.stderr) == (0, "__main__ cpu ['0', '--own'] neighbour\n4.0 False\n", "")


@pytest.mark.parametrize("how", ["before", "after", "environment"])
def test_a_script_runs_on_another_device(script, how):
    if "opencl:0" not in [device.name for device in ag.devices()]:
        pytest.skip(f"no OpenCL device: {ag.problems().get('opencl')}")
    before = ("--device", "opencl") if how == "before" else ()
    after = ("--device", "opencl:0") if how == "after" else ()
    done = launch(*before, script, "0", *after, **({"ANYGPU_DEVICE": "opencl:0"} if how == "environment" else {}))
    assert (done.returncode, done.stdout, done.stderr) == (0, "__main__ opencl:0 ['0'] neighbour\n4.0 True\n", "")
    failed = launch(script, "1", "--device", "opencl:0")
    assert failed.returncode == 1
    assert "index 4 is out of bounds for array 'x' with shape (4,)" in failed.stderr


def test_what_is_not_there():
    done = launch("nothing.py")
    assert (done.returncode, done.stderr) == (1, "anygpu: there is no file nothing.py\n")
    done = launch("--device", "tpu:0", __file__)
    assert done.returncode == 1
    assert done.stderr.startswith("anygpu: 'tpu:0' is no device's name: it is cpu, or one of cuda, hip, opencl with a number")
