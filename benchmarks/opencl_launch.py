"""The time that the host needs to queue a small kernel on OpenCL: pyopencl's own call against anygpu's of the same source and of a Python
kernel (which also checks its accesses), interleaved in one process.

    python -m benchmarks.opencl_launch
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

import anygpu as ag

SOURCE = """
kernel void axpy(float a, global float *x, global const float *y, long n) {
    size_t i = get_global_id(0);
    if (i < n) x[i] += a * y[i];
}
"""
LAUNCHES, ROUNDS, SIZE, BLOCK = 2000, 9, 256, 64


@ag.kernel
def axpy(a, x, y):
    i = ag.grid(1)
    if i < x.size:
        x[i] += a * y[i]


def seconds(call: Callable[[], object], finish: Callable[[], object]) -> float:
    """Seconds of this thread's processor time a call: the device, which may be the same processor, does not count."""
    begin = time.thread_time()
    for _ in range(LAUNCHES):
        call()
    elapsed = time.thread_time() - begin
    finish()
    return elapsed / LAUNCHES


def main() -> None:
    device = ag.Device("opencl:0")
    x, y = (device.to_device(np.ones(SIZE, np.float32)) for _ in range(2))
    launcher = ag.Program(SOURCE, "opencl").compile(device).get_kernel("axpy")[SIZE // BLOCK, BLOCK]

    arrays = [buffer.array(np.float32) for buffer in (x, y)]
    python = axpy[SIZE // BLOCK, BLOCK, device.default_stream]

    import pyopencl as cl  # after the device: its driver has been found by then

    context = cl.Context([d for p in cl.get_platforms() for d in p.get_devices()][:1])
    queue = cl.CommandQueue(context)
    kernel = cl.Kernel(cl.Program(context, SOURCE).build(cache_dir=False), "axpy")
    kernel.set_scalar_arg_dtypes([np.float32, None, None, np.int64])
    x_peer, y_peer = (cl.Buffer(context, cl.mem_flags.READ_WRITE, SIZE * 4) for _ in range(2))

    calls = {
        "pyopencl": (lambda: kernel(queue, (SIZE,), (BLOCK,), 2.0, x_peer, y_peer, SIZE), queue.finish),
        "OpenCL C": (lambda: launcher(2.0, x, y, SIZE), device.synchronize),
        "Python": (lambda: python(2.0, *arrays), device.synchronize),
    }
    best = dict.fromkeys(calls, float("inf"))
    for _ in range(ROUNDS):
        for name, (call, finish) in calls.items():
            best[name] = min(best[name], seconds(call, finish))
    print(f"{device.properties.model}, {device.properties.driver_version}")
    for name, found in best.items():
        print(f"{name:10} {found * 1e6:6.2f} us of the host a launch")


if __name__ == "__main__":
    main()
