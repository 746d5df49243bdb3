"""Run one kernel on a device and on the interpreter, on equal arguments, and demand equal bits, equal text and equal errors.

The interpreter runs the IR that code generation starts from (after the passes that all back ends share), so that what is
compared is the device alone; the topics' tests compare with NumPy or Python where a second opinion on the meaning is worth having.

Array arguments are copied into buffers of their own, with every stride, hole and misalignment kept and a margin on both sides:
a write outside an array is seen even where bounds checks let it through.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

import anygpu as ag
from anygpu.engine.arguments import describe
from anygpu.engine.compile import Options, lower, run_passes
from anygpu.engine.launch import Launcher
from anygpu.errors import KernelAssertionError, KernelIndexError
from anygpu.ir.interp import interpret
from anygpu.ir.interp_launch import Failure
from anygpu.ir.kernel import Kernel

MARGIN = 192
FILLER = 0xA5

# Blocks of whole warps, of partial ones, of several axes; the last is a single work-item.
BLOCKS = ((32,), (256,), (16, 16), (7,), (3, 5, 2), (100,), (1,))
FEW_BLOCKS = ((64,), (3, 5, 2), (45,))


@dataclass(frozen=True)
class Grid:
    """A grid launch."""

    grid: int | tuple[int, ...]
    block: int | tuple[int, ...]
    shared: int = 0

    def launcher(self, kernel: ag.Kernel) -> Launcher:
        return kernel[self.grid, self.block, 0, self.shared]


@dataclass(frozen=True)
class Range:
    """A ``forall`` launch."""

    shape: int | tuple[int, ...]

    def launcher(self, kernel: ag.Kernel) -> Launcher:
        return kernel.forall(self.shape)


@dataclass
class Outcome:
    """What a launch left: the arguments, what it printed, and its error's kind, message and place."""

    args: list[object]
    printed: list[str]
    error: Exception | Failure | None = None


# Runs a kernel in place of the CPU device: set by the ``executor`` fixture of ``plugin``.
EXECUTOR: Callable[[ag.Kernel, Launcher, Sequence[object]], Outcome] | None = None


# --------------------------------------------------------------------------------------------------------------- copies of arguments


def _bounds(array: np.ndarray) -> tuple[int, int]:
    """Byte offsets, from the first element, of the lowest and one past the highest byte."""
    if array.size == 0:
        return 0, 0
    spans = [s * (n - 1) for s, n in zip(array.strides, array.shape, strict=True)]
    return sum(s for s in spans if s < 0), sum(s for s in spans if s > 0) + array.itemsize


def clone(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A copy with the same strides and alignment, and the bytes of the buffer that holds it."""
    low, high = _bounds(array)
    address = array.__array_interface__["data"][0] + low
    raw = np.full(high - low + 2 * MARGIN + 64, FILLER, np.uint8)
    start = MARGIN + (address - raw.ctypes.data - MARGIN) % 64
    if array.size:
        source = np.lib.stride_tricks.as_strided(np.asarray(array).view(np.ndarray), array.shape, array.strides)
        held = np.ndarray(array.shape, array.dtype, raw, start - low, array.strides)
        held[...] = source
    copy = np.ndarray(array.shape, array.dtype, raw, start - low, array.strides)
    copy.flags.writeable = array.flags.writeable
    return copy, raw


def duplicate(value: object, buffers: list[np.ndarray]) -> object:
    """A copy of an argument, arrays inside tuples and structures included."""
    if isinstance(value, np.ndarray):
        copy, raw = clone(value)
        buffers.append(raw)
        return copy
    if isinstance(value, tuple):
        items = [duplicate(item, buffers) for item in value]
        return value._make(items) if hasattr(value, "_make") else tuple(items)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return type(value)(**{f.name: duplicate(getattr(value, f.name), buffers) for f in dataclasses.fields(value)})
    return value


# ------------------------------------------------------------------------------------------------------------------------- the runs


def run_device(kernel: ag.Kernel, launch: Grid | Range, args: Sequence[object]) -> Outcome:
    """The kernel on the device, as a user launches it."""
    launcher = launch.launcher(kernel)
    if EXECUTOR is not None and launcher.blocks:
        return EXECUTOR(kernel, launcher, args)
    return run_cpu(launcher, args)


def run_cpu(launcher: Launcher, args: Sequence[object]) -> Outcome:
    """The same on the CPU device."""
    text = io.StringIO()
    error: Exception | None = None
    with contextlib.redirect_stdout(text):
        try:
            launcher(*args)
        except (KernelIndexError, KernelAssertionError) as found:
            error = found
    return Outcome(list(args), text.getvalue().splitlines(), error)


def run_interpreter(kernel: ag.Kernel, launch: Grid | Range, args: Sequence[object]) -> Outcome:
    """The kernel's IR on the interpreter."""
    launcher = launch.launcher(kernel)
    described = [describe(value, name) for name, value in zip(kernel._names, args, strict=True)]
    parts = [part for one in described for part in one.parts]
    if not launcher.blocks:
        return Outcome(list(args), [])
    final = run_passes(lower(kernel.__wrapped__, tuple(one.type for one in described), Options(range_ndim=len(launcher.extent))))
    return run_ir(final, [*parts, *launcher.extent], launcher, args)


def run_ir(final: Kernel, parts: Sequence[object], launcher: Launcher, args: Sequence[object]) -> Outcome:
    """A kernel's IR on the interpreter; ``parts`` are the flattened ``args`` and the extents of a range."""
    found = interpret(final, list(parts), launcher.grid, launcher.block, (), launcher.shared)

    def order(place: tuple[int, int, int], extents: tuple[int, int, int]) -> int:
        return place[0] + extents[0] * (place[1] + extents[1] * place[2])

    lines = sorted(found.prints, key=lambda p: (order(p.block, launcher.grid), order(p.thread, launcher.block)))
    return Outcome(list(args), [p.text for p in lines], found.failures[0] if found.failures else None)


def bits(array: np.ndarray) -> np.ndarray:
    """The bytes of an array, with one NaN for all, so that equal means identical."""
    if array.dtype.fields:
        names = array.dtype.names or ()
        return np.stack([_padded(bits(np.asarray(array[n]))) for n in names], axis=-1)
    plain = np.ascontiguousarray(array)
    if plain.dtype.kind == "c":
        plain = plain.view(np.float32 if plain.dtype.itemsize == 8 else np.float64)
    if plain.dtype.kind in "fV":
        plain = np.where(np.isnan(plain), plain.dtype.type("nan"), plain)
    return plain.view(np.dtype(f"u{plain.dtype.itemsize}"))


def _padded(values: np.ndarray) -> np.ndarray:
    return values.astype(np.uint64)


def assert_same(found: np.ndarray, wanted: np.ndarray, what: str = "") -> None:
    """Equal shape, dtype and bits; any NaN equals any NaN."""
    assert (found.shape, found.dtype) == (wanted.shape, wanted.dtype), (
        f"{what}: {found.dtype}{found.shape}, not {wanted.dtype}{wanted.shape}"
    )
    if np.array_equal(bits(found), bits(wanted)):
        return
    different = np.argwhere(np.atleast_1d(bits(found) != bits(wanted)))
    at = tuple(int(n) for n in different[0])
    first = tuple(at[: found.ndim]) if found.ndim and found.dtype.kind != "c" else ...
    raise AssertionError(f"{what}: {len(different)} differ, the first at {at}: {found[first]!r}, not {wanted[first]!r}")


def _same_arguments(found: object, wanted: object, what: str) -> None:
    if isinstance(found, np.ndarray) and isinstance(wanted, np.ndarray):
        assert_same(found, wanted, what)
    elif isinstance(found, tuple) and isinstance(wanted, tuple):
        for n, (a, b) in enumerate(zip(found, wanted, strict=True)):
            _same_arguments(a, b, f"{what}[{n}]")
    elif dataclasses.is_dataclass(found):
        for f in dataclasses.fields(found):
            _same_arguments(getattr(found, f.name), getattr(wanted, f.name), f"{what}.{f.name}")


def _same_error(found: Exception | Failure | None, wanted: Exception | Failure | None) -> None:
    if wanted is None:
        assert found is None, f"the device raised {found!r}; the interpreter saw nothing wrong"
        return
    assert isinstance(wanted, Failure)
    assert found is not None, f"the device raised nothing; the interpreter found: {wanted.render()}"
    if isinstance(found, Failure):
        assert _essence(found) == _essence(wanted), f"{found.render()}\nis not\n{wanted.render()}"
        return
    kind = KernelIndexError if wanted.kind == "index" else KernelAssertionError
    text = str(found)
    assert isinstance(found, kind), f"{found!r} is not of the kind of: {wanted.render()}"
    assert f"line {wanted.location.line}, column {wanted.location.column + 1}" in text, f"{text}\nis not at\n{wanted.render()}"
    assert f"block {wanted.block}, thread {wanted.thread}" in text, f"{text}\nis not of\n{wanted.render()}"
    if wanted.kind == "index":
        # the interpreter's indices are int64; the device shows one that was a uint64 as it was written
        axes = [(n,) if n >= 0 else (n, n % 2**64) for n in wanted.index]
        shown = [index[0] if len(index) == 1 else index for index in itertools.product(*axes)]
        fits = any(f"index {index} is out of bounds for array '{wanted.array}'" in text for index in shown)
        assert fits, f"{text}\nis not\n{wanted.render()}"


def _essence(failure: Failure) -> tuple[object, ...]:
    """What two failures must have in common: an index that was a uint64 may be read as an int64."""
    return failure.kind, failure.location, failure.block, failure.thread, failure.array, tuple(n % 2**64 for n in failure.index)


def check(kernel: ag.Kernel, launch: Grid | Range, *args: object, prints: bool = True) -> Outcome:
    """Run the kernel on the device and on the interpreter; fail unless they agree. The device's outcome, on its own copies."""
    raw_device: list[np.ndarray] = []
    raw_interpreter: list[np.ndarray] = []
    ours = [duplicate(a, raw_device) for a in args]
    theirs = [duplicate(a, raw_interpreter) for a in args]
    wanted = run_interpreter(kernel, launch, theirs)
    found = run_device(kernel, launch, ours)
    where = f"{kernel.__wrapped__.__name__} {launch}"
    for name, a, b in zip(kernel._names, found.args, wanted.args, strict=True):
        _same_arguments(a, b, f"{where}: argument '{name}'")
    _same_error(found.error, wanted.error)
    if prints:
        assert found.printed == wanted.printed, f"{where}: printed {found.printed[:5]}, not {wanted.printed[:5]}"
    for raw in raw_device:
        assert (raw[:MARGIN] == FILLER).all() and (raw[-MARGIN:] == FILLER).all(), f"{where}: wrote outside its arrays"
    if isinstance(found.error, Failure):  # there is no device; the exception that a user would see is made by a launch
        found.error = run_cpu(launch.launcher(kernel), [duplicate(a, []) for a in args]).error
    return found


def check_everywhere(make: Callable[[bool], ag.Kernel], launches: Sequence[Grid | Range], *args: object) -> None:
    """``check`` over launches, with bounds checks and without; ``make(bounds_check)`` gives the kernel."""
    for checked in (True, False):
        kernel = make(checked)
        for launch in launches:
            check(kernel, launch, *args)


def special_values(dtype: np.dtype) -> np.ndarray:
    """The values of a dtype at which operations differ most: edges, signs, zeros, infinities, NaN, subnormals; and some random ones."""
    random = np.random.default_rng(7)
    name = dtype.name
    if name == "bool":
        return np.array([True, False, True, True, False, False, True, False])
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        edges = [
            0,
            1,
            2,
            3,
            5,
            7,
            info.max,
            info.max - 1,
            info.max // 2,
            info.min,
            info.min + 1 if info.min else 10,
            info.min // 2 if info.min else 33,
        ]
        if dtype.kind == "i":
            edges += [-1, -2, -3, -7, -10]
        edges += [int(x) for x in random.integers(info.min, info.max, 10, dtype=dtype, endpoint=True)]
        return np.array(edges, dtype)
    if dtype.kind == "c":
        part = special_values(np.dtype(np.float32 if name == "complex64" else np.float64))
        other = np.roll(part, 5)
        made = np.empty(len(part), dtype)
        made.real, made.imag = part, other
        return made
    floats: list[float] = [
        0.0,
        -0.0,
        1.0,
        -1.0,
        0.5,
        -0.5,
        1.5,
        2.5,
        -2.5,
        3.0,
        7.25,
        -7.75,
        127.0,
        128.0,
        255.5,
        -129.0,
        32767.5,
        1e4,
        65504.0,
        np.inf,
        -np.inf,
        np.nan,
    ]
    if name in ("float32", "float64", "bfloat16"):
        floats += [2147483648.0, -2147483649.0, 4294967296.0, 9.3e18, 1.9e19, -1e19, 3e38, 1e-38, 1e-40, 16777217.0]
    if name == "float64":
        floats += [1e300, -1e300, 5e-324, 2.0**53 + 2, 2.0**63, -(2.0**63), 2.0**64]
    if name == "float16":
        floats += [6e-8, 6e-5, 2049.0]
    floats += [float(x) for x in random.normal(size=8)]
    with np.errstate(over="ignore"):
        return np.array(floats, np.float64).astype(np.float32 if name != "float64" else np.float64).astype(dtype)


def pairs(a: np.dtype, b: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Every special value of ``a`` with every one of ``b``."""
    x, y = special_values(a), special_values(b)
    return np.repeat(x, len(y)), np.tile(y, len(x))
