"""This project's own kernels: `kit.ag` is the module, `kit.kernel` its decorator with the bounds checks that the run asked for.

On the CPU device arrays are NumPy's. On another one they are kept in its memory, and a run waits for the device.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np

from benchmarks import suite
from benchmarks.peers import Missing, Options

if TYPE_CHECKING:
    from anygpu.runtime.device_array import DeviceArray

    Array = np.ndarray | DeviceArray


class Kit:
    def __init__(self, options: Options) -> None:
        import anygpu

        self.ag: ModuleType = anygpu
        self.build_seconds = 0.0
        self.versions = {"anygpu": anygpu.__version__}
        self._bounds_check = options.bounds_check
        known = [device.name for device in anygpu.devices()] if options.device != "cpu" else ["cpu"]
        if options.device not in known:
            raise Missing(f"there is no device {options.device}: {anygpu.problems()}")
        self._device = None if options.device == "cpu" else anygpu.set_default_device(options.device)

    def kernel(self, function: Callable[..., None]) -> Callable[..., None]:
        """`@ag.kernel` as a user writes it, or with its checks off."""
        if self._bounds_check:
            return self.ag.kernel(function)  # type: ignore[no-any-return]
        return self.ag.kernel(bounds_check=False)(function)  # type: ignore[no-any-return]

    def suits(self, cpu: int, opencl: int) -> int:
        """A size of a block or a grid, tuned for the CPU device and for OpenCL's; other devices take the CPU's."""
        return opencl if self._device is not None and self._device.name.startswith("opencl") else cpu

    def array(self, array: np.ndarray) -> Array:
        """An input where the kernel reads it."""
        return array if self._device is None else self._device.to_device(array).array(array.dtype, array.shape)

    def empty(self, shape: int | tuple[int, ...], dtype: type[np.generic]) -> Array:
        return self.array(suite.empty(shape, dtype))

    def clear(self, array: Array) -> None:
        """Queue the filling of an array with zeros."""
        if isinstance(array, np.ndarray):
            array.fill(0)
        else:
            array.buffer.fill(0)

    def fetch(self, array: Array) -> np.ndarray:
        return array if isinstance(array, np.ndarray) else array.to_numpy()

    def runner(self, launch: Callable[..., None], *arguments: object) -> Callable[[], None]:
        """The call that launches a configured kernel and waits for its end; launches on the CPU device wait by themselves."""
        if self._device is None:
            return partial(launch, *arguments)
        finish = self._device.synchronize

        def run() -> None:
            launch(*arguments)
            finish()

        return run


def start(options: Options) -> Kit:
    import os

    os.environ["ANYGPU_CACHE"] = "0"  # a first call shall show the compiler, not the disk
    os.environ["ANYGPU_NUM_THREADS"] = str(options.threads)
    return Kit(options)
