"""What must hold however arrays are used: shared memory, changed operands, failures in the middle, forks, numbers of any size."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable

import numpy as np
import pytest

import anygpu as ag
from anygpu.passes.fusion import map_form, trace_map

HUGE = (1 << 20, 1 << 20, 64)  # more bytes than any machine has


@pytest.mark.parametrize("first", [2, 1 << 40])
def test_a_plan_is_for_numbers_of_one_size(first: int) -> None:
    for v in (first, first, 2, 1 << 31, -(1 << 31), -(1 << 31) - 1, 1 << 40, 2):
        assert ag.where(ag.arange(3) > 1, v, 0).tolist() == [0, 0, v]
        assert ((ag.arange(5) > 2) * v).tolist() == [0, 0, 0, v, v]


def test_a_row_is_small_by_its_bytes() -> None:
    for count in ((1 << 27) - 1, 1 << 27, (1 << 27) + 5):
        rows = ag.broadcast_to(ag.zeros(1, complex) + 0, (count,))._node()
        tracer, results = trace_map([rows])
        place = ag.zeros(1, complex)._computed()
        form, _ = map_form(tracer, results, [rows], [type(place)(place.memory, 0, (16,))])
        small = tracer.row_key(results)[-1]  # type: ignore[index]
        assert form.small or not small  # kernels for small arrays are never found for large ones


@pytest.mark.parametrize(
    ("write", "want"),
    [
        (lambda x, n: x.__iadd__(n[::-1]), [7] * 8),
        (lambda x, n: x.__setitem__(slice(1, None), n[:-1]), [0, 0, 1, 2, 3, 4, 5, 6]),
        (lambda x, n: x.__setitem__(slice(1, None), ag.asarray(n)[:-1] + 0), [0, 0, 1, 2, 3, 4, 5, 6]),
        (lambda x, n: x.__setitem__(slice(None), ag.from_dlpack(x)[::-1]), [7, 6, 5, 4, 3, 2, 1, 0]),
        (lambda x, n: x.__setitem__(list(range(8))[::-1], n), [7, 6, 5, 4, 3, 2, 1, 0]),
    ],
)
def test_arrays_that_share_memory_write_what_was_there(write: Callable[[ag.ndarray, np.ndarray], object], want: list[int]) -> None:
    n = np.arange(8.0)
    x = ag.asarray(n)
    write(x, n)
    assert x.tolist() == want
    assert n.tolist() == want


def test_readers_through_another_array_are_served_first() -> None:
    n = np.arange(4.0)
    a, b = ag.asarray(n), ag.asarray(n)
    r = a + (a * a.sum()).sum() * 0
    q = r.sum() * 0 + a
    b[:] = 0
    ag.synchronize()
    assert q.tolist() == [0, 1, 2, 3]


def test_operands_are_read_when_they_are_given() -> None:
    buffer, index = np.empty(3), np.array([0, 1, 2])
    x, rows, sums, shown, put = ag.zeros(3), ag.empty((3, 3)), [], [], ag.zeros(4)
    put[index[:1]] = 5
    for k in range(3):
        buffer[:] = k
        shown.append(x + buffer)
        sums.append(ag.sum(buffer))
        rows[k] = buffer
    picked = ag.arange(4)[index]
    index[:] = 10**9
    assert [s.tolist() for s in shown] == [[k] * 3 for k in range(3)]
    assert [float(s) for s in sums] == [0, 3, 6]
    assert rows.tolist() == [[k] * 3 for k in range(3)]
    assert picked.tolist() == [0, 1, 2]
    assert put.tolist() == [5, 0, 0, 0]


def test_after_a_failure_everything_else_is_still_to_come() -> None:
    n = np.arange(4.0)
    x, shared = ag.array(n), ag.asarray(n)
    y = (x - x.sum()) + 1
    large = ag.ones(HUGE)
    x[:] = 100
    shared[1:] += 1
    with pytest.raises(MemoryError) as caught:
        ag.synchronize()
    assert any("the largest is float64[1048576, 1048576, 64]" in note for note in caught.value.__notes__)
    del large, caught
    assert x.tolist() == [100] * 4
    assert y.tolist() == [-5, -4, -3, -2]
    ag.synchronize()
    assert n.tolist() == [0, 2, 3, 4]


def test_intermediate_values_give_their_memory_back_while_others_are_computed() -> None:
    pool = ag.Device("cpu").pool
    for _ in range(3):  # at once, to make a plan, by the plan
        x = ag.ones(1 << 19)
        pool._peak = 0
        before = pool.statistics.live
        for _ in range(40):
            x = ag.cumsum(x) * 0
        ag.synchronize()
        assert pool.statistics.peak - before <= 4 << 22


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # JAX's, of any fork, if a test before has loaded it
def test_a_child_computes_though_another_thread_did() -> None:
    np.asarray(ag.ones(3) + 1)
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            np.asarray(ag.sin(ag.exp(ag.ones(1000))))

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(5):
            child = os.fork()
            if child == 0:
                os._exit(0 if np.asarray(ag.ones(3) + 1).tolist() == [2, 2, 2] else 1)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        stop.set()
        thread.join()


def test_a_running_sum_is_cast_at_the_end() -> None:
    values = [0.5, 0.6, 0.7, 2.9]
    assert ag.cumsum(ag.array(values), out=ag.zeros(4, int)).tolist() == [0, 1, 1, 4]
    assert np.add.accumulate(ag.array(values), out=ag.zeros(4, int)).tolist() == [0, 1, 1, 4]


def test_copies_are_refused_where_they_must_not_be() -> None:
    records = np.zeros(3, [("a", "i1"), ("b", "f8")])
    with pytest.raises(ValueError, match="Unable to avoid copy"):
        ag.asarray(records["b"], copy=False)
    shown = ag.broadcast_to(ag.zeros(1) + 0, (3,))
    for write in (lambda: shown.__setitem__(0, 5), lambda: shown.__setitem__(slice(None), np.arange(3.0)), lambda: shown.__iadd__(1)):
        with pytest.raises(ValueError, match="assignment destination is read-only"):
            write()
    assert shown.tolist() == [0, 0, 0]
    ag.zeros((3, 0))[:, ::2] = 1  # nothing is shown twice


def test_numpy_arrays_take_results_too() -> None:
    n = np.zeros(3)
    n += ag.ones(3)
    assert np.add(ag.ones(3), 1, out=n) is n
    assert n.tolist() == [2, 2, 2]
    with pytest.raises(TypeError, match=r"out is an array of anygpu's, not numpy\.ndarray"):
        ag.add(ag.ones(3), 1, out=n)


def test_a_device_chosen_while_profiling_stays() -> None:
    if "opencl:0" not in [found.name for found in ag.devices()]:
        pytest.skip(f"no OpenCL device: {ag.problems().get('opencl')}")
    code = "import anygpu as ag\nwith ag.profile(): ag.set_default_device('opencl:0')\nprint(ag.zeros(3).device.name)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "opencl:0"
