"""Profiles: what is noted, on which device, and the trace that is written."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import anygpu as ag


@ag.kernel
def double(x, out):
    i = ag.grid(1)
    if i < out.size:
        out[i] = 2 * x[i]


def test_kernels_are_noted_with_what_they_move() -> None:
    x = ag.array(np.ones((100, 1000), np.float32))
    with ag.profile() as p:
        total = (x * 2 + 1).sum(axis=1)
        total.tolist()
        ag.linalg.norm(x)
        double.forall(1000)(x[0], x[1])
    kernels = [span for span in p.spans if span.kind == "kernel"]
    assert [span.name for span in kernels] == ["multiply, add, add.reduce", "double"]
    assert kernels[0].size == 100 * 1000 * 4 + 100 * 4
    assert kernels[0].operations == 3 * 100 * 1000
    assert kernels[1].size == 2 * 4000
    assert [span.name for span in p.spans if span.kind == "numpy"] == ["np.norm"]
    assert all(span.duration > 0 and span.device in ("cpu", "host") for span in p.spans)
    table = str(p)
    assert "multiply, add, add.reduce" in table
    assert f"{len(p.spans)} spans in" in table


def test_nothing_is_noted_afterwards() -> None:
    with ag.profile() as p:
        pass
    (ag.ones(3) + 1).tolist()
    assert p.spans == []
    with ag.profile(), pytest.raises(RuntimeError, match="they do not nest"), ag.profile():
        pass


def test_other_devices_are_timed_by_their_events(tmp_path: Path) -> None:
    if "opencl:0" not in [found.name for found in ag.devices()]:
        pytest.skip(f"no OpenCL device: {ag.problems().get('opencl')}")
    x = ag.ones(1 << 16, device="opencl:0")
    x.tolist()
    with ag.profile() as p:
        y = ag.sqrt(x + 1)
        double.forall(x.size)(y, x)
        back = x.to_device("cpu")
    assert back.tolist() == [2 * np.sqrt(2.0)] * (1 << 16)
    there = [(span.kind, span.name) for span in p.spans if span.device == "opencl:0"]
    assert there == [("kernel", "add, sqrt"), ("kernel", "double"), ("copy", "device to host")]
    p.save(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    shown = [event for event in events if event["ph"] == "X"]
    assert len(shown) == len(p.spans)
    assert {"bytes", "operations"} <= shown[0]["args"].keys()
    assert {event["args"]["name"] for event in events if event["name"] == "process_name"} == {"host", "cpu", "opencl:0"}
