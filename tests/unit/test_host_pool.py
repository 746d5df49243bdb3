"""Memory of the host that is used again, but never while someone can see it."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import anygpu as ag
from anygpu.engine import host_pool

SIZE = 1 << 20


@pytest.fixture(autouse=True)
def fresh_pool():
    host_pool.release()
    yield
    host_pool.release()


def address(x: np.ndarray) -> int:
    return x.__array_interface__["data"][0]


def test_a_block_is_used_again_and_begins_on_a_cache_line():
    first = host_pool.empty_bytes(SIZE)
    where = address(first)
    assert where % 64 == 0 and first.nbytes == SIZE and first.flags.writeable
    del first
    second = host_pool.empty_bytes(SIZE + 100)  # shares the capacity
    assert address(second) == where and second.nbytes == SIZE + 100


def test_views_keep_a_block():
    first = host_pool.empty_bytes(SIZE)
    view = first[10:20].view(np.int16)[::2]
    where = address(first)
    del first
    other = host_pool.empty_bytes(SIZE)
    assert address(other) != where
    del view
    assert address(host_pool.empty_bytes(SIZE)) == where


def test_arrays_of_others_keep_what_they_see():
    x = ag.arange(SIZE) + 1
    shared, exported = np.asarray(x), np.from_dlpack(x)
    part = ag.from_dlpack(x)[5:7]
    del x
    for _ in range(3):
        (ag.arange(SIZE) * 0).sum().item()
    wanted = np.arange(SIZE) + 1
    assert np.array_equal(shared, wanted) and np.array_equal(exported, wanted) and part.tolist() == [6, 7]


def test_what_is_kept_is_bounded(monkeypatch):
    monkeypatch.setattr(host_pool, "MOST_KEPT", 3 * SIZE)
    blocks = [host_pool.empty_bytes(n) for n in (SIZE, SIZE, SIZE // 2, SIZE, 5 * SIZE, SIZE // 4)]
    capacities = [host_pool.capacity_for(block.nbytes) for block in blocks]
    while blocks:
        del blocks[0]
    assert 0 < host_pool._pool.kept <= 3 * SIZE
    kept = [raw.nbytes for raws in host_pool._pool.free.values() for raw in raws]
    assert sum(kept) == host_pool._pool.kept
    assert max(capacities) not in kept and kept[-1] == capacities[-1]  # the newest stays


def test_small_blocks_are_not_kept():
    assert host_pool.empty_bytes(100).base is None
    assert host_pool._pool.kept == 0


@pytest.mark.parametrize("size", [1 << 16, (1 << 16) + 1, 10**6, 80_000_001, 2**33])
def test_capacities_waste_little(size):
    assert size + 64 <= host_pool.capacity_for(size) <= size * 1.14 + 64


def test_threads_never_get_the_same_block():
    wrong: list[int] = []

    def work(mark: int) -> None:
        for _ in range(200):
            block = host_pool.empty_bytes(SIZE)
            block[::4096] = mark
            if not np.all(block[::4096] == mark):
                wrong.append(mark)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
