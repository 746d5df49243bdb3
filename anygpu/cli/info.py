"""``anygpu info`` and ``anygpu cache``: what anygpu finds on this machine."""

from __future__ import annotations

import json
import os
import platform
from importlib import metadata
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

import anygpu
from anygpu.config import OPTIONS, config
from anygpu.dtypes import DTYPES
from anygpu.engine.compile import disk_cache
from anygpu.engine.devices import Device, devices, problems
from anygpu.errors import AnyGPUError

Facts = dict[str, dict[str, str]]  # section -> name -> value


class CacheError(AnyGPUError):
    """The cache could not be emptied."""


def info(console: Console, as_json: bool) -> None:
    """Print devices, versions, options and the state of the cache."""
    facts = gather()
    if as_json:
        console.file.write(json.dumps(facts, indent=2) + "\n")
        return
    for section, values in facts.items():
        _show(console, section, values)


def gather() -> Facts:
    """All that ``anygpu info`` knows."""
    found = {f"Device {device.name}": _device(device) for device in devices()}
    missing = problems()
    if missing:
        found["Not usable"] = missing
    return found | {"Versions": _versions(), "Options": _options(), "Cache": _cache()}


def _device(device: Device) -> dict[str, str]:
    properties, capabilities = device.properties, device.capabilities
    x, y, z = properties.maximum_grid
    without = {"float16": capabilities.fp16, "bfloat16": True, "float64": capabilities.fp64, "complex128": capabilities.fp64}
    optional = {
        "grid barriers": capabilities.cooperative,
        "64-bit atomics": capabilities.atomics64,
        "driver graphs": capabilities.driver_graphs,
        "kernels reach host memory": capabilities.host_pointers,
        "float32 division rounded correctly": capabilities.correctly_rounded,
    }
    warps = ", ".join(map(str, capabilities.subgroup_sizes)) or "unknown"
    return {
        "model": properties.model,
        "vendor": properties.vendor,
        "driver": properties.driver_version,
        "architecture": properties.architecture,
        "memory": _memory(device),
        "compute units": f"{properties.compute_units:,}",
        "warp": f"{warps} lanes",
        "largest block": f"{properties.maximum_block:,} work-items, {' x '.join(f'{n:,}' for n in properties.maximum_block_shape)}",
        "largest grid": f"{x:,} x {y:,} x {z:,} blocks",
        "shared memory": f"{properties.maximum_shared // 1024} KiB a block",
        "largest buffer": size(properties.maximum_allocation),
        "dtypes": ", ".join(name for name in DTYPES if without.get(name, True)),
        "features": ", ".join(name for name, present in optional.items() if present) or "none",
        "source languages": ", ".join(("Python", *capabilities.languages) if device.name == "cpu" else capabilities.languages) or "none",
        "libraries": device.libraries.describe(),
    } | dict(properties.details)


def _memory(device: Device) -> str:
    """Used and total, as far as the driver tells."""
    total = size(device.properties.memory)
    try:
        free = device.driver.free_memory()
    except AnyGPUError as error:
        return f"{total} ({str(error).partition(chr(10))[0]})"
    return f"{total}, in use unknown to its driver" if free is None else f"{size(device.properties.memory - free)} of {total} in use"


def _versions() -> dict[str, str]:
    import llvmlite
    import llvmlite.binding

    llvm = ".".join(map(str, llvmlite.binding.llvm_version_info))
    found = {
        "anygpu": anygpu.__version__,
        "Python": f"{platform.python_version()} ({platform.python_implementation()})",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "numpy": metadata.version("numpy"),
        "llvmlite": f"{llvmlite.__version__} with LLVM {llvm}",
    }
    for package in ("ml_dtypes", "rich", "pillow", "pyopencl", "intel-opencl-rt", "cuda-bindings", "nvidia-cuda-nvrtc", "hip-python"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _options() -> dict[str, str]:
    """Each option's value, and whether the environment has set it."""
    values = config()
    found = {}
    for option in OPTIONS:
        value = getattr(values, option.field)
        match value:
            case frozenset():
                text = ", ".join(sorted(value)) or "none"
            case bool():
                text = "on" if value else "off"
            case int() if option.field == "cache_size":
                text = size(value)
            case _:
                text = str(value)
        found[option.variable] = text + (" (from the environment)" if os.environ.get(option.variable, "").strip() else "")
    return found


def _cache() -> dict[str, str]:
    state = disk_cache().info()
    return {
        "folder": state.path or "none",
        "entries": f"{state.entries:,}",
        "size": f"{size(state.bytes)} of {size(state.limit)}",
        "state": "in use" if state.enabled else f"not used: {state.reason}",
    }


def cache_info(console: Console) -> None:
    """Print the state of the cache."""
    _show(console, "Cache", _cache())


def cache_clear(console: Console) -> None:
    """Delete every entry and say how many there were. Raises ``CacheError`` where the folder cannot be listed."""
    cache = disk_cache()
    before = cache.info()
    try:
        cache.clear()
    except OSError as error:
        raise CacheError(f"{before.path} cannot be emptied: {error.strerror or error}") from error
    after = cache.info()
    if before.path is None or not Path(before.path).exists():
        _line(console, "the cache is empty: it has no folder yet")
        return
    removed = before.entries - after.entries
    count = f"{removed:,} entr{'y' if removed == 1 else 'ies'}"
    _line(console, f"removed {count} ({size(before.bytes - after.bytes)}) from {before.path}")
    if after.entries:
        raise CacheError(f"{after.entries:,} entries of {before.path} could not be removed or are new")


def size(count: int) -> str:
    """Bytes with a binary unit, three digits or so: 0 B, 1.50 KiB, 512 MiB."""
    value, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 or value == int(value) else f"{value:.2f} {unit}"


def _line(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True, highlight=False, markup=False)


def _show(console: Console, title: str, values: dict[str, str]) -> None:
    """A section: on a terminal as a table that fits it, elsewhere as lines that are never folded."""
    if not console.is_terminal:
        console.file.write("\n".join([title, *(f"  {name}: {value}" for name, value in values.items())]) + "\n")
        return
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in values.items():
        table.add_row(Text("  " + name), Text(value))
    console.print(Text(title, style="bold"))
    console.print(table)
