"""Launches that meet each other, themselves, or Python's own rules half-way."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

import anygpu as ag
from anygpu.engine.fastpath import KNOWN
from anygpu.errors import ArgumentError, CopyWarning, KernelIndexError, LaunchError, ReadOnlyError

posix = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs POSIX timers")


@ag.kernel
def fill(out, value):
    i = ag.grid(1)
    if i < out.size:
        out[i] = value


@ag.kernel
def slow_and_wrong(out, n):
    i = ag.grid(1)
    s = 0.0
    for k in range(n):
        s = s * 0.5 + k
    out[i + 1000] = s


@ag.kernel
def increment(x, out):
    i = ag.grid(1)
    out[i] = x[i] + 1


def program(text: str, folder: Path, timeout: float = 120) -> str:
    """Run a program in a process of its own and return what it printed."""
    path = folder / "program.py"
    path.write_text(textwrap.dedent(text))
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=timeout, check=False)
    assert done.returncode == 0, f"ended with {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


# --------------------------------------------------------------------------------------------------------------- errors stay at home


@posix
def test_a_launch_in_a_signal_handler_has_its_own_errors() -> None:
    found: list[object] = []
    inner = np.zeros(4)

    def handler(*_: object) -> None:
        try:
            fill.forall(4)(inner, 3.0)
            found.append(inner.tolist())
        except Exception as error:  # noqa: BLE001  whatever it is, the test must see it
            found.append(error)

    fill.forall(4)(inner, 1.0)
    out = np.zeros(4)
    with pytest.raises(KernelIndexError):
        slow_and_wrong.forall(4)(out, 1)
    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KernelIndexError, match="slow_and_wrong"):
            slow_and_wrong.forall(4)(out, 60_000_000)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert found == [[3.0] * 4]


@posix
def test_an_interrupted_launch_leaves_no_error_behind() -> None:
    def handler(*_: object) -> None:
        raise KeyboardInterrupt

    out = np.zeros(4)
    with pytest.raises(KernelIndexError):
        slow_and_wrong.forall(4)(out, 1)
    before = signal.signal(signal.SIGALRM, handler)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            slow_and_wrong.forall(4)(out, 60_000_000)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    for n in range(20):
        fill.forall(4)(out, float(n))
        assert out.tolist() == [n] * 4


def test_a_launch_from_a_destructor_has_memory_of_its_own() -> None:
    @ag.kernel
    def through_shared(x, out):
        tile = ag.shared.array(0, np.float64)
        t = ag.threadIdx.x
        tile[t] = x[t]
        ag.syncthreads()
        out[t] = tile[ag.blockDim.x - 1 - t]

    class Launches:
        def __del__(self) -> None:
            through_shared[1, 1024, 0, 64 * 1024](np.zeros(1024), np.zeros(1024))

    x, out = np.arange(64.0), np.zeros(64)
    through_shared[1, 64, 0, 512](x, out)  # what a destructor runs while the compiler's modules are imported cannot compile
    for _ in range(50):
        cycle = [Launches()]
        cycle.append(cycle)  # type: ignore[arg-type]
        del cycle
        through_shared[1, 64, 0, 512](x, out)
        assert out.tolist() == x[::-1].tolist()
    gc.collect()


def test_native_errors_are_told_once() -> None:
    @ag.kernel
    def put(out, index):
        out[index] = 1.0

    out = np.zeros(4)
    launch = put[1, 1]
    for _ in range(20):
        launch(out, 2)
    for _ in range(3):
        with pytest.raises(KernelIndexError, match=r"index 7 is out of bounds for array 'out' with shape \(4,\)"):
            launch(out, 7)
        for _ in range(20):
            launch(out, 2)


# ------------------------------------------------------------------------------------------------------------------- the native path


@pytest.mark.skipif(not KNOWN, reason="this Python has no native launches")
def test_native_launches_refuse_arrays_that_are_large_by_their_elements(tmp_path: Path) -> None:
    program(
        """
        import numpy as np, anygpu as ag
        @ag.kernel
        def put(x, c):
            x[c - ag.threadIdx.x * 3].a = 7
        dtype = np.dtype({"names": ["a"], "formats": ["f4"], "offsets": [0], "itemsize": 1024})
        launch = put[1, 32]
        small = np.zeros(100, dtype)
        for _ in range(20):
            launch(small, 99)
        large = np.zeros(2_200_000, dtype)  # 2.2 GB of untouched pages
        launch(large, 2_199_999)
        assert (large["a"][2_199_999 - 3 * np.arange(32)] == 7).all()
        """,
        tmp_path,
    )


def test_a_kernel_with_a_loop_lets_other_threads_run() -> None:
    @ag.kernel
    def count(x, n):
        while x[0] < n:
            x[0] += 1

    x = np.zeros(1)
    launch = count[1, 1]
    for _ in range(20):
        launch(x, 1)
        x[0] = 0
    turns: list[float] = []
    stop = threading.Event()

    def tick() -> None:
        while not stop.is_set():
            turns.append(time.perf_counter())
            time.sleep(0.001)

    thread = threading.Thread(target=tick)
    thread.start()
    begin = time.perf_counter()
    launch(x, 300_000_000)
    end = time.perf_counter()
    stop.set()
    thread.join()
    assert x[0] == 300_000_000
    assert sum(begin < turn < end for turn in turns) > 3


def test_one_launcher_in_many_threads() -> None:
    @ag.kernel
    def powers(out, n):
        i = ag.grid(1)
        total = 1
        for _ in range(n):
            total *= 3
        out[i] = total

    launch = powers[1, 32]
    wrong: list[object] = []

    def work(n: int) -> None:
        out = np.zeros(32, np.int64)
        for _ in range(300):
            launch(out, n)
            if (out != 3**n).any():
                wrong.append((n, out.copy()))
            if n == 3:
                try:
                    launch(out[:7], n)
                    wrong.append("no error")
                except KernelIndexError:
                    continue

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity") or len(os.sched_getaffinity(0)) < 2, reason="needs affinity, and two cores")
def test_workers_are_kept_off_the_core_that_launches(tmp_path: Path) -> None:
    out = program(
        """
        import os
        os.environ["ANYGPU_NUM_THREADS"] = "2"
        import numpy as np, anygpu as ag
        @ag.kernel
        def work(out):
            i = ag.grid(1)
            for _ in range(100):
                out[i] += 1
        out = np.zeros(1 << 16, np.int32)
        cores = sorted(os.sched_getaffinity(0))
        tasks = lambda: {int(task) for task in os.listdir("/proc/self/task")}
        before = tasks()
        work[256, 256](out)
        for core in (*cores[:2], cores[0]):
            os.sched_setaffinity(0, {core})
            work[256, 256](out)
            os.sched_setaffinity(0, cores)
            workers = [os.sched_getaffinity(task) for task in tasks() - before]
            assert workers and all(there == set(cores) - {core} for there in workers), (core, workers)
        assert (out == 400).all()
        print("apart")
        """,
        tmp_path,
    )
    assert out == "apart\n"


@posix
def test_a_long_launch_of_many_blocks_can_be_interrupted(tmp_path: Path) -> None:
    out = program(
        """
        import signal
        import numpy as np, anygpu as ag
        @ag.kernel
        def work(x, n):
            i = ag.grid(1)
            s = 0.0
            for k in range(n):
                s = s * 0.5 + k
            x[ag.threadIdx.x] = s
        x = np.zeros(32)
        work[8, 32](x, 100)
        def stop(*_):
            raise KeyboardInterrupt
        signal.signal(signal.SIGALRM, stop)
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        try:
            work[2_000_000_000, 32](x, 1000)
        except KeyboardInterrupt:
            print("interrupted")
        work[8, 32](x, 100)
        """,
        tmp_path,
    )
    assert out == "interrupted\n"


# ------------------------------------------------------------------------------------------------------------------ copied arguments


@pytest.fixture
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CopyWarning)
        yield


@pytest.mark.usefixtures("_quiet")
class TestCopies:
    def test_an_array_passed_twice_is_one(self) -> None:
        for a in (np.zeros(4, ">f8"), np.zeros(33, np.uint8)[1:].view(np.float64)):
            for n in range(3):
                increment.forall(4)(a, a)
                assert a.tolist() == [n + 1] * 4
            increment.forall(4)(a[:], a[:4])
            assert a.tolist() == [4] * 4

    def test_a_copied_array_is_copied_at_every_launch(self) -> None:
        a, out = np.arange(4).astype(">f8"), np.zeros(4)
        launch = increment[1, 4]
        for _ in range(20):
            a += 1
            launch(a, out)
            assert out.tolist() == (a + 1).tolist()

    def test_what_is_only_read_is_not_written_back(self) -> None:
        a, out = np.arange(4).astype(">f8"), np.zeros(4)

        class Watched(np.ndarray):
            def __setitem__(self, key: object, value: object) -> None:
                raise AssertionError("written")

        increment.forall(4)(a.view(Watched), out)
        assert out.tolist() == [1, 2, 3, 4]

    def test_a_read_only_view_of_a_written_array_sees_the_writes(self) -> None:
        a = np.zeros(4, ">f8")
        frozen = a[:]
        frozen.flags.writeable = False
        increment.forall(4)(frozen, a)
        assert frozen.tolist() == [1] * 4
        with pytest.raises(ReadOnlyError):
            increment.forall(4)(a, frozen)

    def test_partial_overlaps_are_refused_if_one_is_written(self) -> None:
        a = np.zeros(8, ">f8")
        raw = a.view(np.uint8)
        for pair in ((a[:4], a[4:]), (a[::2], a[1::2])):  # no overlap
            increment.forall(4)(*pair)
            assert pair[1].tolist() == [1] * 4
            a[:] = 0
        for x, out in ((a[:4], a[1:5]), (a[:5], a[4:]), (raw, a), (a, raw), (a[:4], a[3::-1])):
            with pytest.raises(ArgumentError, match="arguments 'x' and 'out' share memory, one of them must be copied"):
                increment.forall(4)(x, out)
        assert not a.any()

        @ag.kernel
        def add(x, y, out):
            i = ag.grid(1)
            out[i] = x[i] + y[i]

        a[:] = np.arange(8)
        out = np.zeros(4)
        add.forall(4)(a[:4], a[1:5], out)  # nothing writes them
        assert out.tolist() == [1, 3, 5, 7]

    def test_the_sanitizer_copies_alike(self) -> None:
        a = np.zeros(4, ">f8")
        assert not ag.sanitize(increment).forall(4)(a, a)
        assert a.tolist() == [1] * 4
        with pytest.raises(ArgumentError, match="share memory"):
            ag.sanitize(increment).forall(3)(a[:3], a[1:])


def test_the_copy_warning_is_at_the_users_line() -> None:
    a, out = np.zeros(4, ">f8"), np.zeros(4)
    for launch in (increment.forall(4), lambda x, y: increment[1, 4](x=x, out=y)):
        with pytest.warns(CopyWarning) as caught:
            launch(a, out)
        assert [w.filename for w in caught] == [__file__]

    @ag.kernel
    def pair(both):
        both[1][ag.grid(1)] = both[0][ag.grid(1)] + 1

    with pytest.warns(CopyWarning) as caught:
        pair.forall(4)((a, out))
    assert [w.filename for w in caught] == [__file__]


def test_warnings_as_errors_stop_a_launch_before_it_begins() -> None:
    a = np.zeros(4, ">f8")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(CopyWarning):
            increment.forall(4)(a, a)
    assert not a.any()
    with pytest.warns(CopyWarning):
        increment.forall(4)(a, a)
    assert a.tolist() == [1] * 4


def test_a_cache_warning_as_an_error_stops_one_launch_only(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    out = program(
        f"""
        import os, warnings
        os.environ["ANYGPU_CACHE_DIR"] = {str(tmp_path / "file")!r}
        import numpy as np, anygpu as ag
        @ag.kernel
        def one(out):
            out[ag.grid(1)] = 1
        out = np.zeros(4)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                one.forall(4)(out)
            except ag.CacheWarning as warning:
                print("warned", out.any())
            one.forall(4)(out)
        print(out.tolist())
        """,
        tmp_path,
    )
    assert out == "warned False\n[1.0, 1.0, 1.0, 1.0]\n"


# -------------------------------------------------------------------------------------------------------------------- configurations


def test_equal_is_not_the_same_configuration() -> None:
    for wrong, right in [((2.0, 4), (2, 4)), ((2, (4.0, 1)), (2, (4, 1))), ((np.float64(2), 4), (2, 4))]:
        for _ in range(2):
            with pytest.raises(LaunchError, match="must be an integer"):
                fill[wrong]
            assert fill[right] is fill[right]
    for _ in range(2):
        with pytest.raises(LaunchError, match=r"forall takes an int or a sequence of ints, not 4\.0"):
            fill.forall(4.0)  # type: ignore[arg-type]
        assert fill.forall(4) is fill.forall(4)
    assert fill[np.int64(2), 4] is fill[np.int64(2), 4]
    assert fill[2, 4, None, 0] is fill[2, 4, None, 0]
    assert fill[True, 4].grid == (1, 1, 1)


# --------------------------------------------------------------------------------------------------------------------------- reports


def test_an_unsigned_index_is_shown_as_it_is() -> None:
    @ag.kernel
    def put(out, index):
        out[0, index] = 1.0

    @ag.kernel
    def put_each(out, indices):
        out[indices[ag.grid(1)]] = 1.0

    with pytest.raises(KernelIndexError, match=r"index \(0, 9223372036854775809\) is out of bounds") as caught:
        put[1, 1](np.zeros((2, 4)), 2**63 + 1)
    assert "negative" not in str(caught.value)
    with pytest.raises(KernelIndexError, match="index 18446744073709551615 is out of bounds"):
        put_each[1, 3](np.zeros(4), np.array([0, 2**64 - 1, 1], np.uint64))
    with pytest.raises(KernelIndexError, match="index -1 is out of bounds"):
        put_each[1, 3](np.zeros(4), np.array([0, -1, 1]))


def test_errors_in_dynamic_shared_memory_name_its_shape() -> None:
    @ag.kernel
    def put(out):
        tile = ag.shared.array(0, np.float32)
        tile[ag.threadIdx.x + 10] = 1.0
        ag.syncthreads()
        out[0] = tile[0]

    with pytest.raises(KernelIndexError, match=r"index 16 is out of bounds for array 'tile' with shape \(16,\)"):
        put[1, 32, 0, 64](np.zeros(1, np.float32))


# ------------------------------------------------------------------------------------------------------------------- captured values

SCALE = 2


def test_all_variants_hold_the_same_captured_values() -> None:
    global SCALE
    SCALE = 2

    @ag.kernel
    def scale(x, out):
        out[ag.grid(1)] = x[ag.grid(1)] * SCALE

    doubles, singles = np.ones(1), np.ones(1, np.float32)
    launch = scale[1, 1]
    for _ in range(10):
        launch(doubles, out := np.zeros(1))
    SCALE = 3
    launch(doubles, out)
    assert out[0] == 2  # compiled with what it was
    launch(singles, other := np.zeros(1, np.float32))
    launch(doubles, out)
    assert (other[0], out[0]) == (3, 3)  # a new variant: all are made of what it is now
    text = scale.explain_recompile()
    assert text.count("'SCALE', which the kernel captures, has changed: every variant is made anew") == 1
    assert text.startswith("kernel 'scale': 3 variants")
    SCALE = 2


def test_long_axes_of_arrays_without_bytes_are_counted_whole() -> None:
    @ag.kernel
    def lengths(x, out):
        i = ag.threadIdx.x
        out[i] = x.shape[1] // (i + 1) + x.shape[0]

    for x in (np.empty((0, 2**40), np.float32), np.broadcast_to(np.float32(1), (3, 2**40))):
        for _ in range(20):
            out = np.zeros(8, np.int64)
            lengths[1, 8](x, out)
            assert out.tolist() == [2**40 // (i + 1) + len(x) for i in range(8)]
