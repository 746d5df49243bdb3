"""Kernels as users hold them: configure, check, compile what is missing, launch."""

from __future__ import annotations

import ctypes
import functools
import inspect
import operator
import struct
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import TYPE_CHECKING, Literal, TypeVar, overload

import numpy as np

from anygpu.config import SHARED_LIMIT, config
from anygpu.dtypes import dtype_named
from anygpu.engine.arguments import Argument, Copies, describe
from anygpu.engine.compile import Options, Variant, compile_artifact, compile_variant, pool, support_table
from anygpu.engine.fastpath import FIELDS, FLAGS, HEAD, KNOWN, FieldBytes, NativeLaunch, native_launch
from anygpu.engine.fingerprint import function_fingerprint
from anygpu.engine.geometry import RANGE_BLOCK
from anygpu.engine.report import failure, print_buffer, show_prints
from anygpu.errors import ArgumentError, LaunchError
from anygpu.runtime.cpu import CpuKernel, give_workspace, take_workspace
from anygpu.runtime.current import current

if TYPE_CHECKING:
    from anygpu.engine.device_variant import DeviceVariant, Lowered
    from anygpu.frontend.signature import Type
    from anygpu.runtime.device import Device
    from anygpu.runtime.stream import Stream

F = TypeVar("F", bound=Callable[..., object])
MAXIMUM_BLOCK = 1024
GRID_LIMITS = ((1 << 31) - 1, 65535, 65535)
MOST_KEPT = 256  # launchers and plans that a kernel remembers
Triple = tuple[int, int, int]

@dataclass(eq=False)
class _Plan:
    """How to launch one variant: the packing of its words, and what it needs besides."""

    variant: Variant
    packer: struct.Struct
    code: CpuKernel
    prints: bool
    support: int
    keep: tuple[object, ...]  # dtypes whose addresses are in the key must stay alive


class Kernel:
    """A kernel: configure it with ``kernel[grid, block]`` or ``kernel.forall(shape)``, then call it with its arguments.

    Grid and block are ints or tuples of up to three, in the order (x, y, z). Launches on the CPU device return when the work is done.

    Raises at a launch: ``CompileError`` (all that is wrong with the kernel), ``ArgumentError``, ``ReadOnlyError``, ``LaunchError``,
    ``KernelIndexError`` (an ``IndexError``; nothing is written out of bounds) and ``KernelAssertionError``.
    """

    def __init__(self, function: FunctionType, bounds_check: bool | None = None, fastmath: bool = False):
        if not isinstance(function, FunctionType):
            raise TypeError(f"ag.kernel decorates a plain function, not {type(function).__name__}")
        functools.update_wrapper(self, function)
        self.__wrapped__ = function
        signature = inspect.signature(function)
        for parameter in signature.parameters.values():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise TypeError(f"kernel '{function.__name__}' takes {parameter}: name its parameters; pass a tuple for many values")
        self._prepare(function.__name__, signature, bounds_check, fastmath)

    def _prepare(self, name: str, signature: inspect.Signature, bounds_check: bool | None, fastmath: bool) -> None:
        """What every kernel has, wherever its code comes from."""
        self.name = name
        self.bounds_check = bounds_check
        self.fastmath = fastmath
        self._signature = signature
        self._simple = all(p.kind is p.POSITIONAL_OR_KEYWORD and p.default is p.empty for p in signature.parameters.values())
        self._names = tuple(signature.parameters)
        self._plans: dict[object, _Plan] = {}
        self._variants: dict[object, Variant] = {}
        self._launchers: dict[object, Launcher] = {}
        self._quick: weakref.WeakSet[Launcher] = weakref.WeakSet()  # those that know how to launch again
        self.device_variants: dict[object, DeviceVariant] = {}
        self.lowered: dict[object, Lowered] = {}  # for devices
        self._history: list[tuple[tuple[Type, ...], Options, Variant]] = []

    def __repr__(self) -> str:
        count = f"{len(self._variants)} variant{'s' * (len(self._variants) != 1)}"
        return f"<anygpu kernel {self.__wrapped__.__qualname__}{self._signature}, {count} compiled>"

    def __call__(self, *args: object, **kwargs: object) -> None:
        name = self.name
        raise LaunchError(f"kernel '{name}' needs a launch configuration: {name}[grid, block](...) or {name}.forall(shape)(...)")

    def __getitem__(self, configuration: object) -> Launcher:
        return self._launcher(configuration, self._configure)

    def _launcher(self, configuration: object, make: Callable[[object], Launcher], kind: object = None) -> Launcher:
        """A configuration's launcher, which knows how to launch again quickly, and is remembered for that."""
        key = _key(configuration) if kind is None else (kind, _key(configuration))
        launchers: dict[object, object] = self._launchers  # type: ignore[assignment]
        if kind is None and type(configuration) is tuple and len(configuration) > 2 and hasattr(configuration[2], "launchers"):
            launchers, key = configuration[2].launchers, (self, key)  # a kernel must not keep a stream open
        try:
            known = launchers.get(key)
        except TypeError:  # a list or an array as an extent
            return make(configuration)
        if known is None:
            if len(launchers) >= MOST_KEPT:
                launchers.clear()
            known = launchers[key] = make(configuration)
        return known  # type: ignore[return-value]

    def _configure(self, configuration: object) -> Launcher:
        if not isinstance(configuration, tuple) or not 2 <= len(configuration) <= 4:
            takes = "a grid and a block, and perhaps a stream and bytes of dynamic shared memory"
            raise LaunchError(f"kernel[grid, block] takes {takes}, not {configuration!r}")
        grid, block = _extents(configuration[0], "grid"), _extents(configuration[1], "block")
        for n, limit, axis in zip(grid, GRID_LIMITS, "xyz", strict=True):
            if n > limit:
                raise LaunchError(f"the grid has {n} blocks along {axis}; the limit is {limit}")
        size = block[0] * block[1] * block[2]
        if not 1 <= size <= MAXIMUM_BLOCK:
            raise LaunchError(f"a block of {block} has {size} work-items; it must have 1 to {MAXIMUM_BLOCK}")
        shared = 0
        if len(configuration) == 4:
            shared = _count(configuration[3], "the dynamic shared memory")
            if shared > SHARED_LIMIT:
                raise LaunchError(f"{shared:,} bytes of dynamic shared memory were asked for; the limit is {SHARED_LIMIT:,}")
        return Launcher(self, grid, block, shared, (), _stream(configuration[2]) if len(configuration) >= 3 else None)

    def forall(self, shape: int | Sequence[int], *, stream: Stream | Literal[0] | None = None) -> Launcher:
        """Launch over every index of ``shape``, an int or a sequence of up to 8, on ``stream`` if one is given.

        ``ag.grid(n)`` then gives the index, whose last axis varies fastest.

            >>> import numpy as np, anygpu as ag
            >>> @ag.kernel
            ... def negate(x):
            ...     i = ag.grid(1)
            ...     x[i] = -x[i]
            >>> x, stream = np.arange(3.0), ag.Device("cpu").create_stream()
            >>> negate.forall(x.size, stream=stream)(x)
            >>> x.tolist()
            [-0.0, -1.0, -2.0]
        """
        chosen = _stream(stream)
        if chosen is None:
            return self._launcher(shape, self._range, Kernel.forall)  # never a grid's configuration
        try:
            key = (self, Kernel.forall, _key(shape))
            known = chosen.launchers.get(key)
        except TypeError:  # a list or an array as the shape
            return self._range(shape, chosen)
        if known is None:
            known = chosen.launchers[key] = self._range(shape, chosen)
        return known  # type: ignore[return-value]

    def _range(self, shape: object, stream: Stream | None = None) -> Launcher:
        try:
            extent: tuple[int, ...] = (operator.index(shape),)  # type: ignore[arg-type]
        except TypeError:
            try:
                extent = tuple(operator.index(n) for n in shape)  # type: ignore[attr-defined]
            except TypeError as error:
                raise LaunchError(f"forall takes an int or a sequence of ints, not {shape!r}") from error
        if not 1 <= len(extent) <= 8:
            raise LaunchError(f"forall takes 1 to 8 axes, not {len(extent)}")
        total = 1
        for n in extent:
            if n < 0:
                raise LaunchError(f"the range {extent} has a negative extent")
            total *= n
        if total >= 1 << 62:
            raise LaunchError(f"the range {extent} is too large")
        last = extent[-1]
        rest = 1
        for n in extent[:-2]:
            rest *= n
        grid = (-(-last // RANGE_BLOCK), extent[-2] if len(extent) > 1 else 1, rest)
        return Launcher(self, grid if total else (0, 0, 0), (RANGE_BLOCK, 1, 1), 0, extent, stream)

    # --------------------------------------------------------------------------------------------------------------- launching

    def _bind(self, args: tuple[object, ...], kwargs: dict[str, object]) -> tuple[object, ...]:
        if self._simple and not kwargs and len(args) == len(self._names):
            return args
        try:
            bound = self._signature.bind(*args, **kwargs)
        except TypeError as error:
            raise ArgumentError(f"kernel '{self.name}{self._signature}': {error}") from error
        bound.apply_defaults()
        return tuple(bound.arguments[n] for n in self._names)

    def _launch(self, launcher: Launcher, args: tuple[object, ...]) -> None:
        key: list[object] = [launcher.form, launcher.block if self.has_barriers else None]
        words: list[object] = []
        small = launcher.small
        for value in args:
            kind = type(value)
            if kind is np.ndarray and KNOWN:
                data, ndim, _, _, _, descr, flags = FIELDS.unpack_from(FieldBytes.from_address(id(value) + HEAD))
                key.append((descr, ndim, flags & FLAGS))
                if not 0 < value.nbytes < _SMALL_BYTES or not flags & 1:  # type: ignore[attr-defined]
                    return self._launch_slowly(launcher, args)
                words.append(data)
                words += value.shape  # type: ignore[attr-defined]
                words += value.strides  # type: ignore[attr-defined]
            elif kind is float:
                key.append(float)
                words.append(value)
            elif kind is int:
                if not -_SMALL_BYTES <= value < _SMALL_BYTES:  # type: ignore[operator]
                    return self._launch_slowly(launcher, args)
                key.append(int)
                words.append(value)
            else:
                return self._launch_slowly(launcher, args)
        plan = self._plans.get(tuple(key)) if small else None
        if plan is None:
            return self._launch_slowly(launcher, args, tuple(key) if small else None)
        try:
            self._execute(plan, launcher, words)
        except OverflowError:  # a float that becomes infinite as a float32
            return self._launch_slowly(launcher, args)
        if launcher.blocks and not plan.prints and launcher.native is None:
            header = plan.packer.pack(*launcher.words, 0, 0, launcher.shared, plan.support, *words, *launcher.extent)
            first = 8 * HEADER_WORDS
            trailer = header[first + 8 * len(words) :]
            artifact = plan.variant.artifact
            dtypes = [kind for _, kind, _, _ in artifact.parameters[: len(args)]]
            launcher.native = native_launch(
                header[:first], len(words), trailer, plan.code, launcher.blocks, launcher.shared, args, dtypes, artifact.loops, plan
            )
            self._quick.add(launcher)
        return None

    def _launch_slowly(self, launcher: Launcher, args: tuple[object, ...], fast_key: tuple[object, ...] | None = None) -> None:
        """The general path: any kind of argument; compiles what is missing."""

        copies = Copies()
        described, repeatable = self.describe(args, copies)
        types = tuple(a.type for a in described)
        checks = config().bounds_check if self.bounds_check is None else self.bounds_check
        small = launcher.small and all(a.small for a in described)
        variant = self._variant(types, self._options(launcher, checks, small))
        parts = [part for a in described for part in a.parts]
        arrays = [(name, part, written) for part, (name, _, _, written) in zip(parts, variant.artifact.parameters, strict=False)
                  if isinstance(part, np.ndarray)]  # fmt: skip
        copies.refuse_overlaps(arrays)
        plan = _make_plan(variant, parts)
        if fast_key is not None and repeatable and not copies.made:
            if len(self._plans) >= MOST_KEPT:
                self._plans.clear()
            self._plans[fast_key] = plan
        words: list[object] = []
        for part, (_, kind, _, _) in zip(parts, variant.artifact.parameters, strict=False):
            if isinstance(part, np.ndarray):
                words.append(part.__array_interface__["data"][0])
                words += part.shape
                words += part.strides
            else:
                words.append(_scalar_word(part, kind))
        try:
            self._execute(plan, launcher, words)
        finally:  # what a failed launch wrote is seen in copied arguments as in others
            copies.write_back([array for _, array, written in arrays if written])

    def describe(self, args: Sequence[object], copies: Copies) -> tuple[list[Argument], bool]:
        """The arguments of a launch as this kernel takes them, and whether later ones of the same Python types need no other treatment."""
        return [describe(value, name, copies) for name, value in zip(self._names, args, strict=True)], True

    def device_variant(
        self, types: tuple[Type, ...], parts: Sequence[object], launcher: Launcher, checks: bool, small: bool, device: Device
    ) -> DeviceVariant:
        """The variant for a launch on a device other than the CPU. ``parts`` are the flattened arguments and the range's extents."""
        from anygpu.engine.device_variant import launch_options, load_variant, lowered

        given = lowered(self, types, Options(bounds_check=checks, fastmath=self.fastmath, range_ndim=len(launcher.extent)))
        return load_variant(self, types, given, launch_options(given, launcher, parts, small, device), device)

    def _variant(self, types: tuple[Type, ...], options: Options) -> Variant:
        """The variant for these types and options. All variants of a kernel hold the same captured values: those that were current
        when the latest was made."""
        key = (types, options)
        variant = self._variants.get(key)
        if variant is None:
            variant = compile_variant(self.__wrapped__, types, options)
            self.forget_others(variant.fingerprint.digest)
            self._variants[key] = variant
            self._history.append((types, options, variant))
        return variant

    def forget_others(self, digest: str) -> None:
        """Make no further use of any variant if there are some that captured other values than ``digest`` stands for."""
        known = [v.fingerprint.digest for v in list(self._variants.values())] + [v.digest for v in list(self.device_variants.values())]
        if all(other == digest for other in known):
            return
        self._variants.clear()
        self.device_variants.clear()
        self.lowered = {key: one for key, one in self.lowered.items() if one.fingerprint.digest == digest}
        self._plans.clear()
        for launcher in list(self._quick):
            launcher.native = None
            launcher.plans.clear()

    def remember(self, launcher: Launcher) -> None:
        """Note that a launcher knows how to launch again, for when that must be forgotten."""
        self._quick.add(launcher)

    def _options(self, launcher: Launcher, checks: bool, small: bool) -> Options:
        """What the variant for a launch is compiled for."""
        block = launcher.block if self.has_barriers and not launcher.extent else None
        return Options(checks, self.fastmath, len(launcher.extent), launcher.arrangement, launcher.multiple, small, block)

    @functools.cached_property
    def has_barriers(self) -> bool:
        """Whether the kernel may hold a barrier: its variants are then made for one block size each."""
        return function_fingerprint(self.__wrapped__).barriers

    def _execute(self, plan: _Plan, launcher: Launcher, words: list[object]) -> None:
        workspace = take_workspace()
        buffer = print_buffer() if plan.prints else None
        address = ctypes.addressof(buffer) if buffer is not None else 0
        if launcher.blocks:
            packed = plan.packer.pack(
                *launcher.words, workspace.error_address, address, launcher.shared, plan.support, *words, *launcher.extent
            )
            plan.code.launch(packed, launcher.blocks, launcher.shared, pool, workspace)
        if buffer is not None:
            show_prints(bytes(buffer), plan.variant.artifact)
        if workspace.error[1]:
            raise failure(self.name, plan.variant.artifact, launcher, list(workspace.error), words)
        give_workspace(workspace)

    # ------------------------------------------------------------------------------------------------------------------ looking

    def inspect(
        self, *args: object, stage: str = "ir", grid: object = 1, block: object = 256, forall: object = None, target: str | None = None
    ) -> str:
        """The text of one stage (``ir``, ``passes``, ``llvm`` or ``asm``) of the variant that would run with these arguments.

        ``target`` names an architecture in place of this machine's CPU, which need not be here: ``sm_90``, ``gfx942`` or ``spirv``.
        """

        if stage not in ("ir", "passes", "llvm", "asm"):
            raise ValueError(f"stage is ir, passes, llvm or asm, not {stage!r}")
        launcher = self[grid, block] if forall is None else self.forall(forall)  # type: ignore[arg-type]
        described = [describe(value, name) for name, value in zip(self._names, self._bind(args, {}), strict=True)]
        checks = config().bounds_check if self.bounds_check is None else self.bounds_check
        small = launcher.small and all(a.small for a in described)
        if target is not None:
            from anygpu.engine.device_variant import device_text

            chosen = Options(bounds_check=checks, fastmath=self.fastmath, range_ndim=len(launcher.extent))
            return device_text(self, tuple(a.type for a in described), chosen, launcher, small, target, stage)
        options = self._options(launcher, checks, small)
        stages: dict[str, str] = {}
        compile_artifact(self.__wrapped__, tuple(a.type for a in described), options, stages)
        return stages[stage]

    def explain_recompile(self) -> str:
        """Why each variant of this kernel was made: what differs from the one before it."""
        lines = [f"kernel '{self.name}': {len(self._history)} variant{'s' * (len(self._history) != 1)}"]
        for n, (types, options, variant) in enumerate(self._history):
            lines.append(f"{n + 1}. ({', '.join(map(str, types))}){' from the disk cache' if variant.from_cache else ' compiled'}")
            if n == 0:
                lines.append("   the first launch")
                continue
            before_types, before_options, before = self._history[n - 1]
            old_parts, new_parts = before.fingerprint.parts, variant.fingerprint.parts
            changed = sorted(n for n in old_parts.keys() | new_parts.keys() if old_parts.get(n) != new_parts.get(n))
            lines += [f"   '{name}', which the kernel captures, has changed: every variant is made anew" for name in changed]
            for name, old, new in zip(self._names, before_types, types, strict=True):
                if old != new:
                    lines.append(f"   argument '{name}' was {old} and is {new}")
            for field_name in ("bounds_check", "fastmath", "range_ndim", "arrangement", "multiple", "small", "block"):
                old_value, new_value = getattr(before_options, field_name), getattr(options, field_name)
                if old_value != new_value:
                    lines.append(f"   {_OPTION_MEANING[field_name]} was {old_value} and is {new_value}")
        return "\n".join(lines)


_SMALL_BYTES = 1 << 31
_OPTION_MEANING = {
    "bounds_check": "bounds checking", "fastmath": "fastmath", "range_ndim": "the number of axes of the range",
    "arrangement": "the arrangement of the block", "multiple": "the power of two (up to 32) that divides the block's x extent",
    "block": "the block's extents (kernels with barriers are compiled for them)",
    "small": "whether all arrays span under 2**31 bytes and all ints fit in 32 bits",
}  # fmt: skip


class Launcher:
    """A kernel with its launch configuration: call it with the kernel's arguments."""

    __slots__ = (
        "__weakref__", "arrangement", "block", "blocks", "extent", "form", "grid", "kernel", "multiple", "native", "plans", "shared",
        "small", "stream", "words",
    )  # fmt: skip

    def __init__(
        self, kernel: Kernel, grid: Triple, block: Triple, shared: int, extent: tuple[int, ...], stream: Stream | None = None
    ):
        self.kernel = kernel
        self.stream = stream
        self.grid = grid
        self.block = block
        self.shared = shared
        self.extent = extent
        self.blocks = grid[0] * grid[1] * grid[2]
        self.native: NativeLaunch | None = None
        self.plans: dict[object, object] = {}  # for devices, by stream and the arguments' key
        self.words = (*grid, *block)
        self.small = all(g * b < _SMALL_BYTES for g, b in zip(grid, block, strict=True)) and all(n < _SMALL_BYTES for n in extent)
        self.multiple = block[0] & -block[0] if block[0] & 31 else 32
        if self.multiple >= 8:
            self.arrangement = "aligned"
        else:
            self.arrangement = "line" if block[1] == 1 and block[2] == 1 else "general"
            self.multiple = 1
        self.form = (self.arrangement, self.multiple, len(extent))

    def __repr__(self) -> str:
        name = self.kernel.name
        return f"<{name}.forall({self.extent})>" if self.extent else f"<{name}[{self.grid}, {self.block}]>"

    def __call__(self, *args: object, **kwargs: object) -> None:
        native = self.native
        kernel = self.kernel
        if self.stream is not None or (current.elsewhere and (current.recorder is not None or not current.is_cpu())):
            return _elsewhere()(self, kernel._bind(args, kwargs))
        if native is not None and not kwargs:
            outcome = native.call(native.address, args)
            if outcome == 0:
                return None
            if outcome != 3:  # other arguments than last time, or an error; else another thread has it just now
                self.native = None
            if outcome == 2:
                plan = native.plan
                assert isinstance(plan, _Plan)
                words = plan.packer.unpack(native.words.raw[: plan.packer.size])[HEADER_WORDS:]
                raise failure(kernel.name, plan.variant.artifact, self, list(native.error), words)
        (_elsewhere() if current.elsewhere else kernel._launch)(self, kernel._bind(args, kwargs))
        return None


# ------------------------------------------------------------------------------------------------------------------------- helpers


@functools.cache
def _elsewhere() -> Callable[[Launcher, tuple[object, ...]], None]:
    """Launches on other devices, or with arrays in a device's memory: imported by the first."""
    from anygpu.engine.device_launch import launch_anywhere

    return launch_anywhere


def _key(configuration: object) -> object:
    """A configuration as a key: ``2.0``, ``True`` and ``np.int64(2)`` are equal to an int, but not the same configuration."""
    if type(configuration) is tuple:
        return tuple([item if type(item) is int else _key(item) for item in configuration])
    return configuration if type(configuration) is int else (type(configuration), configuration)


def _stream(value: object) -> Stream | None:
    """The stream of a configuration; None for the device's own."""
    if value is None or (type(value) is int and value == 0):
        return None
    if not hasattr(value, "launchers"):
        raise LaunchError(f"a stream is what device.create_stream() makes, or 0 or None for the device's own, not {value!r}")
    return value  # type: ignore[return-value]


def _count(value: object, what: str) -> int:
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError as error:
        raise LaunchError(f"{what} must be an integer, not {value!r}") from error
    if number < 0:
        raise LaunchError(f"{what} must not be negative: {number}")
    return number


def _extents(value: object, what: str) -> Triple:
    items = tuple(value) if isinstance(value, tuple | list) else (value,)
    if not 1 <= len(items) <= 3:
        raise LaunchError(f"the {what} has 1 to 3 axes, not {len(items)}")
    numbers = [_count(item, f"the {what}") for item in items]
    return (*numbers, *(1,) * (3 - len(numbers)))  # type: ignore[return-value]


HEADER_WORDS = 10  # what each launch's words begin with (targets.cpu.LAUNCH_WORDS)
_FORMATS = {"bool": "?7x", "float16": "e6x", "float32": "f4x", "float64": "d"}


def _make_plan(variant: Variant, parts: Sequence[object]) -> _Plan:
    packer = packer_of(variant.artifact.parameters)
    keep = tuple(p.dtype for p in parts if isinstance(p, np.ndarray))
    return _Plan(variant, packer, variant.code, variant.artifact.prints, ctypes.addressof(support_table()), keep)


def packer_of(parameters: Sequence[tuple[str, str, int, bool]]) -> struct.Struct:
    """What packs a launch's words: its header, then each parameter's."""
    form = "=6q2QqQ"
    for _, kind, ndim, _ in parameters:
        if kind == "array":
            form += f"Q{2 * ndim}q"
        elif kind in _FORMATS:
            form += _FORMATS[kind]
        else:
            form += "Q" if kind in ("uint64",) else "q"
    return struct.Struct(form)


def _scalar_word(value: object, kind: str) -> object:
    """A scalar as ``struct`` packs it for a parameter of dtype ``kind``."""
    if kind in ("bool", "float32", "float64", "float16"):
        return value.item() if isinstance(value, np.generic) else value
    if kind == "bfloat16":
        return int(np.asarray(value, dtype_named(kind).numpy).view(np.uint16))
    return int(value)  # type: ignore[call-overload]


# ---------------------------------------------------------------------------------------------------------------------- decorators


@overload
def kernel(function: Callable[..., object]) -> Kernel: ...
@overload
def kernel(
    function: None = None, *, bounds_check: bool | None = None, fastmath: bool = False
) -> Callable[[Callable[..., object]], Kernel]: ...
def kernel(
    function: Callable[..., object] | None = None, *, bounds_check: bool | None = None, fastmath: bool = False
) -> Kernel | Callable[[Callable[..., object]], Kernel]:
    """Make a kernel of a plain Python function: what it says, one work-item does.

    ``bounds_check=False`` removes the checks of array accesses; an access out of bounds is then undefined. ``fastmath=True``
    allows approximations and reassociation; the CPU device makes no use of it yet.

        >>> import numpy as np, anygpu as ag
        >>> @ag.kernel
        ... def double(x, out):
        ...     i = ag.grid(1)
        ...     if i < out.size:
        ...         out[i] = 2 * x[i]
        >>> out = np.zeros(4, np.float32)
        >>> double.forall(4)(np.arange(4, dtype=np.float32), out)
        >>> out.tolist()
        [0.0, 2.0, 4.0, 6.0]
    """
    if function is None:
        return lambda given: Kernel(given, bounds_check, fastmath)  # type: ignore[arg-type]
    return Kernel(function, bounds_check, fastmath)  # type: ignore[arg-type]


def func(function: F) -> F:
    """Mark a function as one that kernels call. It stays a plain Python function; kernels inline it, as they do unmarked ones."""
    return function
