"""Tests of arrays run on every device here, if their module says ``EVERY_DEVICE = True``, else on the CPU."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import anygpu as ag
from anygpu.engine import evaluate


def _names() -> list[str]:
    """The devices that run kernels."""
    return [device.name for device in ag.devices() if device.name == "cpu" or device.capabilities.formats]


@pytest.fixture(scope="module", autouse=True)
def device(request: pytest.FixtureRequest) -> Iterator[ag.Device]:
    """The device that is current in a test."""
    with ag.Device(request.param) as current:
        yield current
    evaluate.forget(current.name)  # the kernels of every test together would take gigabytes


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "device" in metafunc.fixturenames:
        every = getattr(metafunc.module, "EVERY_DEVICE", False)
        ignore = pytest.mark.filterwarnings("ignore::anygpu.CopyWarning")  # what NumPy computes is copied to the host
        names = [name if name == "cpu" else pytest.param(name, marks=ignore) for name in (_names() if every else ["cpu"])]
        metafunc.parametrize("device", names, indirect=True, scope="module")
