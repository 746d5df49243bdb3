"""What every device must do, whoever made it: the contract of ``runtime/base.py`` through the public objects."""

import gc
import weakref

import numpy as np
import pytest

import anygpu as ag


@pytest.fixture(params=[device.name for device in ag.devices()])
def device(request):
    return ag.Device(request.param)


def test_properties_and_capabilities(device):
    properties, capabilities = device.properties, device.capabilities
    assert all((properties.model, properties.vendor, properties.driver_version, properties.architecture))
    assert properties.memory > 1 << 20 and properties.compute_units >= 1 and properties.maximum_block >= 64
    assert properties.maximum_shared >= 1 << 14 and min(properties.maximum_grid) >= 65535
    assert all(size > 0 for size in capabilities.subgroup_sizes)
    assert device.driver.fault is None and device.ordinal >= 0 and device in ag.devices()


@pytest.mark.parametrize("size", [1, 3, 511, 512, 4097, 1_000_003])
def test_bytes_go_in_and_out(device, size):
    data = np.random.default_rng(size).integers(0, 256, size, np.uint8)
    buffer = device.to_device(data)
    assert buffer.size == len(buffer) == size and buffer.address % 64 == 0
    np.testing.assert_array_equal(buffer.to_numpy(np.uint8), data)
    half = buffer[size // 2 :]
    np.testing.assert_array_equal(device.to_device(half).to_numpy(np.uint8), data[size // 2 :])
    half.fill(0xAB)
    data[size // 2 :] = 0xAB
    np.testing.assert_array_equal(buffer.to_numpy(np.uint8), data)


def test_what_is_copied_may_go_before_the_copy_is_done(device):
    data = np.random.default_rng(0).integers(0, 256, 1 << 22, np.uint8)
    target = device.allocate(data.nbytes)
    stream = device.create_stream()
    target.copy_from(data.copy(), stream, wait=False)
    del stream
    gc.collect()
    np.testing.assert_array_equal(target.to_numpy(np.uint8), data)


def test_many_copies_in_flight_keep_what_they_read_and_no_more(device):
    stream, target = device.create_stream(), device.allocate(1 << 16)
    watched = []
    for n in range(500):
        source = np.full(1 << 16, n % 256, np.uint8)
        watched.append(weakref.ref(source))
        target.copy_from(source, stream, wait=False)
        del source
        if n % 100 == 99:
            event = stream.record()
            event.synchronize()
    assert sum(ref() is not None for ref in watched) <= 300
    stream.synchronize()
    assert not any(ref() is not None for ref in watched) and target.to_numpy(np.uint8)[0] == 499 % 256


def test_events_order_streams(device):
    first, second = device.create_stream(), device.create_stream()
    buffer = device.allocate(1 << 20, first)
    for value in range(10):
        buffer.fill(value, first)
        second.wait(first)
        buffer.fill(value + 100, second)
        first.wait(second.record())
    start, end = first.record(), first.record()
    end.synchronize()
    assert first.done and start.done and start.elapsed_time(end) >= 0
    assert set(buffer.to_numpy(np.uint8, stream=first).tolist()) == {109}


def test_graphs_replay(device):
    stream, a, b = device.create_stream(), device.allocate(256), device.allocate(256)
    a.fill(1)
    device.synchronize()
    with stream.capture() as graph:
        b.copy_from(a, stream)
        a.fill(2, stream)
    a.fill(7, stream)
    graph.replay()
    stream.synchronize()
    assert set(b.to_numpy(np.uint8)) == {7} and set(a.to_numpy(np.uint8)) == {2}
    graph.replay()
    stream.synchronize()
    assert set(b.to_numpy(np.uint8)) == {2}


def test_a_failed_capture_ends(device):
    stream = device.create_stream()
    with pytest.raises(ZeroDivisionError), stream.capture():
        raise ZeroDivisionError
    assert not stream.capturing
    stream.synchronize()


def test_memory_comes_back(device):
    device.synchronize()
    gc.collect()
    before = device.pool.statistics
    buffers = [device.allocate(n * 1000) for n in range(20)]
    held = device.pool.statistics
    assert held.live - before.live == 190_000 and held.buffers - before.buffers == 20 and held.peak >= held.live
    view = buffers[5][10:20]
    del buffers
    assert device.pool.statistics.buffers - before.buffers == 1  # the view keeps its buffer's memory
    del view
    assert device.pool.statistics.live == before.live
    assert device.pool.trim() >= 190_000 and device.pool.statistics.cached == 0


def test_buffers_and_streams_close(device):
    with device.allocate(100) as buffer, pytest.raises(ValueError, match="the size of a buffer must not be negative: -1"):
        device.allocate(-1)
    assert buffer.closed
    with pytest.raises(ag.errors.UseAfterFreeError, match="was used after it was closed"):
        buffer.fill(0)
    stream = device.create_stream()
    stream.close()
    with pytest.raises(ag.errors.WrongStreamError, match="is closed"):
        device.allocate(8).fill(0, stream)


def test_pinned_arrays(device):
    array = device.pinned((3, 5), np.float64)
    array[...] = 2.5
    assert (device.to_device(array).to_numpy(np.float64, (3, 5)) == array).all()
    assert device.pinned(0).shape == (0,)
    with pytest.raises(ValueError, match="an array cannot have the shape"):
        device.pinned((2, -1))
