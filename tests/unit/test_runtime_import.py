"""``import anygpu`` is quick and brings no vendor's package; a driver that is missing or broken is a line, never an exception."""

import subprocess
import sys

import pytest

import anygpu as ag
from anygpu.runtime import discovery
from anygpu.runtime.base import Unavailable

VENDORS = ("pyopencl", "cuda", "hip", "rocm", "llvmlite")


def test_import_brings_no_vendor_package():
    code = f"import sys, anygpu; print([name for name in {VENDORS} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_the_cpu_needs_no_other_device():
    code = f"import sys, anygpu as ag; ag.Device('cpu').to_device(b'1234'); print([n for n in {VENDORS[:4]} if n in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("raised", "line"),
    [
        (Unavailable("the driver is not installed"), "the driver is not installed"),
        (OSError("libfoo.so: not found"), "its driver does not start: OSError: libfoo.so: not found"),
        (RuntimeError("first\nsecond"), "its driver does not start: RuntimeError: first"),
    ],
)
def test_a_broken_driver_is_one_line(monkeypatch, raised, line):
    def finder():
        raise raised

    ag.devices()
    monkeypatch.setattr(discovery, "_found", {"cpu": discovery.found("cpu"), "opencl": discovery.found("opencl")})
    monkeypatch.setitem(discovery._finders, "cuda", finder)
    assert ag.problems()["cuda"] == line
    assert "cpu" in [device.name for device in ag.devices()]
    with pytest.raises(ag.errors.NoDeviceError) as caught:
        ag.Device("cuda:3")
    assert str(caught.value) == f"there is no cuda:3: {line}\n  hint: ag.devices() lists what is here"


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "", "cpu:1", "opencl:-1", "CUDA:0"])
def test_names_that_are_none(name):
    with pytest.raises(ag.errors.NoDeviceError, match=r"name|one CPU"):
        ag.Device(name)
