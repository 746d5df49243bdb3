"""The memory of arrays: taken from the pool of their device, given back when nobody sees it, and what is said when there is none."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import anygpu as ag
from anygpu.engine.places import POOLED

EVERY_DEVICE = True
COUNT = POOLED  # float64 elements


def computed(value: float) -> ag.ndarray:
    x = ag.full(COUNT, value)
    ag.synchronize()
    return x


def test_arrays_without_elements_are_assigned_to_themselves() -> None:
    a = ag.array(np.zeros(0))
    a[...] = a
    assert a.tolist() == []


def test_memory_is_used_again(device: ag.Device) -> None:
    gc.collect()
    x = computed(1)
    address = x.__anygpu_array__()
    before = device.pool.statistics
    del x, address
    assert device.pool.statistics.live == before.live - 8 * COUNT
    y = computed(2)
    assert device.pool.statistics.hits == before.hits + 1
    assert device.pool.statistics.misses == before.misses
    assert float(y[-1]) == 2


def test_what_numpy_sees_is_not_given_out_again() -> None:
    with ag.Device("cpu"):
        x = computed(1)
        seen = np.asarray(x)[10:20]
        del x
        gc.collect()
        others = [computed(n) for n in range(3)]
        assert seen.tolist() == [1] * 10
        del others, seen


def test_intermediate_values_go_back(device: ag.Device) -> None:
    x = computed(1)
    for _ in range(3):
        x = ag.sqrt(x + x.mean())
        ag.synchronize()
    gc.collect()
    assert device.pool.statistics.live < 4 * 8 * COUNT


def test_out_of_memory_names_the_largest_arrays(device: ag.Device, monkeypatch: pytest.MonkeyPatch) -> None:
    x = computed(1)
    asked: list[int] = []

    def full(size: int) -> int:
        asked.append(size)
        raise MemoryError

    monkeypatch.setattr(device.driver, "allocate", full)
    wanted = ag.broadcast_to(x, (64, COUNT)) + 1
    with pytest.raises(MemoryError) as caught:
        wanted.tolist()
    assert len(asked) >= 2  # once more after everything cached was given back
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(f"{device.name} has no room for a buffer of {64 * 8 * COUNT:,} bytes")
    assert any(f"{8 * COUNT:,} bytes made at {__file__}:" in line for line in lines[1:])
    monkeypatch.undo()
    assert float((x + 1)[0]) == 2


def test_the_hosts_memory_is_not_hoarded() -> None:
    pool = ag.Device("cpu").pool
    with ag.Device("cpu"):
        pool._limit, limit = 4 * 8 * COUNT, pool._limit
        try:
            many = [computed(n) for n in range(8)]
            del many
            computed(0)
            assert pool.statistics.cached <= 4 * 8 * COUNT
        finally:
            pool._limit = limit
