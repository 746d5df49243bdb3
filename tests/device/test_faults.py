"""What must not happen to a process because of a device, each with a stated outcome. On OpenCL, which really executes, and on the CPU."""

import os
import subprocess
import sys
import textwrap
import threading

import numpy as np
import pytest

import anygpu as ag

SOURCE = "kernel void add(global int *x, int a) { x[get_global_id(0)] += a; }"


@pytest.fixture(scope="module")
def device():
    if "opencl:0" not in [found.name for found in ag.devices()]:
        pytest.skip(f"no OpenCL device: {ag.problems().get('opencl')}")
    return ag.Device("opencl:0")


@pytest.fixture(scope="module")
def add(device):
    return ag.Program(SOURCE, "opencl").compile(device).get_kernel("add")


def process(code: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-X", "dev", "-W", "ignore", "-c", textwrap.dedent(code)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_use_after_free(device, add):
    x = device.allocate(256)
    view = x[0:64]
    x.close()
    x.close()
    for use in (lambda: add[1, 16](x, 1), lambda: add[1, 16](view, 1), lambda: view.to_numpy(np.int32), lambda: x.address, lambda: x[0:4]):
        with pytest.raises(ag.errors.UseAfterFreeError) as caught:
            use()
        text = str(caught.value)
        assert text.startswith("a buffer of 256 bytes on opencl:0, made at ") and text.endswith(", was used after it was closed")
        assert f"{__file__}:" in text
    assert "closed buffer" in repr(x)


def test_wrong_device(device, add):
    cpu = ag.Device("cpu")
    with pytest.raises(ag.errors.WrongDeviceError) as caught:
        add[1, 16](cpu.allocate(64), 1)
    assert str(caught.value) == "a buffer on cpu was used on opencl:0\n  hint: copy it with opencl:0's to_device(buffer)"
    with pytest.raises(ag.errors.WrongDeviceError, match="an event of cpu was used on opencl:0\n  hint: wait on the host"):
        device.default_stream.wait(cpu.default_stream.record())


def test_wrong_stream(device, add):
    with pytest.raises(ag.errors.WrongDeviceError, match=r"default stream of cpu at .* was used on opencl:0"):
        add[1, 16, ag.Device("cpu").default_stream]
    with pytest.raises(TypeError, match=r"a stream is made by opencl:0's create_stream\(\), not 5"):
        add[1, 16, 5]
    stream, x = device.create_stream(), device.allocate(64)
    launcher = add[1, 16, stream]
    stream.close()
    stream.close()
    for use in (lambda: launcher(x, 1), stream.record, stream.synchronize, lambda: x.fill(0, stream)):
        with pytest.raises(ag.errors.WrongStreamError, match=r"closed stream of opencl:0 .* is closed\n  hint: make another"):
            use()
    with pytest.raises(ag.errors.WrongStreamError, match="this event was never recorded"):
        device.default_stream.wait(ag.Event(device))


def test_an_error_in_one_stream_leaves_the_others(device, add):
    """Outcome: the call that the driver refuses raises; the stream itself and all others go on."""
    a, b = device.create_stream(), device.create_stream()
    x, y = (device.to_device(np.zeros(64, np.int32)) for _ in range(2))
    launch = add.prepare(add.parameters)
    with pytest.raises(ag.errors.DriverError) as caught:
        a.submit(launch, (1, 1, 1), (1 << 20, 1, 1), 0, (x.argument_on(a), 1))
    assert "CL_INVALID_WORK_GROUP_SIZE" in str(caught.value) and "kernel add, grid (1, 1, 1), block (1048576, 1, 1)" in str(caught.value)
    add[1, 64, a](x, 1)
    add[1, 64, b](y, 2)
    a.synchronize()
    b.synchronize()
    assert (x.to_numpy(np.int32) == 1).all() and (y.to_numpy(np.int32) == 2).all()


def test_two_threads_on_one_device(device, add):
    results = {}

    def work(number: int) -> None:
        stream = device.create_stream()
        for _ in range(50):
            x = device.to_device(np.zeros(256, np.int32), stream)
            for _ in range(4):
                add[4, 64, stream](x, number)
            results[number] = bool((x.to_numpy(np.int32, stream=stream) == 4 * number).all()) and results.get(number, True)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == dict.fromkeys(range(1, 5), True)


def test_out_of_memory(device):
    """Outcome: a MemoryError that names what is alive. The driver's own limit of one allocation is met here."""
    kept = device.allocate(1 << 24)
    with pytest.raises(MemoryError, match=r"opencl:0 has no room for a buffer of [\d,]+ bytes") as caught:
        device.allocate(1 << 46)
    assert isinstance(caught.value, ag.errors.OutOfMemoryError) and f"{__file__}:" in str(caught.value)
    assert kept.size == 1 << 24 and device.allocate(100).size == 100


def test_the_pool_reuses_in_stream_order(device):
    pool, a, b = device.pool, device.create_stream(), device.create_stream()
    pool.trim()
    before = pool.statistics
    first = pool.allocate(100_000, a)
    address = first.address
    first.fill(1)
    first.close()
    assert pool.statistics.cached > before.cached
    second = pool.allocate(100_000, a)
    assert second.address == address and pool.statistics.hits == before.hits + 1
    second.close()
    device.synchronize()
    assert pool.allocate(100_000, b).address == address  # a has finished
    assert pool.statistics.live == before.live and pool.statistics.peak >= 100_000
    assert pool.trim() >= 100_000 and pool.statistics.cached == 0


# ---------------------------------------------------------------------------------------------------------------- whole processes


def test_a_child_of_fork_gets_an_error(device):
    """Outcome: ForkError in the child, which otherwise lives on; the parent is not disturbed."""
    code = """
        import os, sys, numpy as np, anygpu as ag
        device = ag.Device("opencl:0")
        x = device.to_device(np.ones(4, np.int32))
        pid = os.fork()
        if pid == 0:
            errors = 0
            for use in (lambda: x.to_numpy(np.int32), lambda: device.allocate(4), device.create_stream, device.synchronize):
                try:
                    use()
                except ag.errors.ForkError as error:
                    errors += "opencl:0 was opened before this process was forked" in str(error)
            assert ag.Device("cpu").to_device(b"ab").to_numpy(np.uint8).tolist() == [97, 98]
            del x
            sys.exit(errors)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 4
        assert x.to_numpy(np.int32).tolist() == [1, 1, 1, 1]
        print("parent goes on")
    """
    found = process(code)
    assert (found.returncode, found.stdout, found.stderr) == (0, "parent goes on\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_that_opens_the_device_first_works():
    """Outcome: only what was opened before the fork is lost."""
    code = """
        import os, numpy as np, anygpu as ag
        pid = os.fork()
        if pid == 0:
            found = ag.Device("opencl:0").to_device(np.arange(3, dtype=np.int32)).to_numpy(np.int32).tolist()
            os._exit(found == [0, 1, 2])
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    """
    if "opencl" in ag.problems():
        pytest.skip(ag.problems()["opencl"])
    found = process(code)
    assert (found.returncode, found.stdout, found.stderr) == (0, "1\n", "")


SPAWNS = """
import multiprocessing
import numpy as np, anygpu as ag

def copied(values):
    return ag.Device("opencl:0").to_device(np.array(values, np.int32)).to_numpy(np.int32).tolist()

if __name__ == "__main__":
    assert copied([1, 2]) == [1, 2]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        print(pool.apply(copied, ([0, 1, 2],)))
"""


def test_a_spawned_process_works(device, tmp_path):
    program = tmp_path / "spawns.py"
    program.write_text(SPAWNS)
    found = subprocess.run([sys.executable, str(program)], capture_output=True, text=True, timeout=120, check=False)
    assert (found.returncode, found.stdout) == (0, "[0, 1, 2]\n"), found.stderr


@pytest.mark.parametrize("wait", [True, False])
def test_the_interpreter_ends_with_live_buffers(device, wait):
    """Outcome: exit status 0 and not a word, also with work that is queued."""
    code = f"""
        import numpy as np, anygpu as ag
        device = ag.Device("opencl:0")
        add = ag.Program({SOURCE!r}, "opencl").compile(device).get_kernel("add")
        x, stream, pinned = device.to_device(np.ones(1 << 20, np.int32)), device.create_stream(), device.pinned(100)
        with stream.capture() as graph:
            add[1 << 14, 64, stream](x, 1)
        for _ in range(50):
            graph.replay()
        event = stream.record()
        if {wait}:
            device.synchronize()
    """
    found = process(code)
    assert (found.returncode, found.stdout, found.stderr) == (0, "", "")
