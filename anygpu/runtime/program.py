"""Programs in the vendors' own languages: source to object code to kernels, launched like Python kernels."""

from __future__ import annotations

import functools
import hashlib
import operator
import pickle
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from anygpu.config import config
from anygpu.errors import ArgumentError, DeviceError, DriverError, LaunchError, SourceError
from anygpu.runtime import faults
from anygpu.runtime.arguments import LocalMemory, Unusual, convert, infer, quick_converter
from anygpu.runtime.base import Code, Driver, Handle, Launch, Parameter, Request, Triple
from anygpu.runtime.cache import DiskCache
from anygpu.runtime.device import Device, current_device
from anygpu.runtime.literals import declarations
from anygpu.runtime.stream import Stream

LANGUAGES = ("cuda", "hip", "opencl", "ptx", "spirv")
_BINARY = {"ptx": "ptx", "spirv": "spirv"}  # languages that are loaded as they are
_SUFFIX = {"cuda": ".cu", "hip": ".hip", "opencl": ".cl"}
_LAUNCHERS = 256  # launch configurations that are remembered
_CACHE_FORMAT = 1  # part of every key: another layout of `Code` needs another number


@functools.cache
def _cache() -> DiskCache:
    return DiskCache.from_config(config())


class Program:
    """Source in a vendor's language, for that vendor's own compiler.

    Args:
        source: The text; bytes for ``"spirv"``.
        language: ``"cuda"`` (CUDA C++, for NVIDIA and AMD), ``"hip"`` (HIP C++), ``"opencl"`` (OpenCL C), ``"ptx"`` or ``"spirv"``.
        options: Options for the compiler, as it spells them.
        defines: Macros: ``{"TILE": 16}`` is ``#define TILE 16``.
        constants: Typed constants: Python and NumPy scalars, and NumPy arrays, which become tables in constant memory.
        filename: What errors call the source.

    Example:
        >>> import numpy as np, anygpu as ag
        >>> source = "kernel void scale(global float *x, float a) { x[get_global_id(0)] *= a; }"
        >>> device = next((d for d in ag.devices() if "opencl" in d.capabilities.languages), None)
        >>> if device is not None:
        ...     scale = ag.Program(source, "opencl").compile(device).get_kernel("scale")
        ...     x = device.to_device(np.ones(64, np.float32))
        ...     scale[1, 64](x, 3.0)
        ...     assert (x.to_numpy(np.float32) == 3).all()
    """

    def __init__(
        self,
        source: str | bytes,
        language: str,
        options: Sequence[str] = (),
        *,
        defines: Mapping[str, object] | None = None,
        constants: Mapping[str, object] | None = None,
        filename: str | None = None,
    ):
        if language not in LANGUAGES:
            raise ValueError(f"language is one of {', '.join(LANGUAGES)}, not {language!r}")
        if isinstance(options, str):
            raise TypeError(f"options is a sequence of strings, as in [{options!r}]")
        self.language = language
        self.options = tuple(options)
        self.image = source.encode() if isinstance(source, str) else bytes(source)
        self.source = "" if language == "spirv" else self.image.decode()
        digest = hashlib.sha256(self.image).hexdigest()
        self.filename = filename or f"program-{digest[:8]}{_SUFFIX.get(language, '')}"
        self.prelude = declarations(language, defines or {}, constants or {})
        if self.prelude and language in _BINARY:
            raise ValueError(f"{language} has no macros or constants to define")

    def __repr__(self) -> str:
        return f"<{self.language} program {self.filename}>"

    def compile(self, device: str | Device | None = None, name_expressions: Sequence[str] = (), target: str | None = None) -> ObjectCode:
        """Compile for a device, by default the current one, or take the result from the disk cache.

        Args:
            device: Where the code is to run.
            name_expressions: Instances of templates, such as ``"scale<float>"``, that `ObjectCode.get_kernel` is to find.
            target: For C++ without a device: an architecture, such as ``"sm_90"``. The result has an image, and runs nowhere here.

        Raises:
            SourceError: The compiler refuses the source. The text shows each error with its line.
            DeviceError: The device does not take this language.
        """
        if target is not None:
            return self._compile_offline(target, tuple(name_expressions))
        chosen = current_device() if device is None else Device(device)
        if self.language in _BINARY:
            from anygpu.runtime.ptx import ptx_parameters

            parameters = ptx_parameters(self.source) if self.language == "ptx" else {}
            return ObjectCode(Code(_BINARY[self.language], self.image, parameters, options=self.options), chosen)
        if self.language not in chosen.capabilities.languages:
            raise DeviceError(_wrong_language(self.language, chosen))
        faults.check(chosen.driver)
        request = self._request(tuple(name_expressions))
        driver = chosen.driver
        key = cache_key(request, driver.compiler_version(self.language), driver.properties.architecture)
        code = _cached(key)
        if code is not None:
            try:
                found = ObjectCode(code, chosen)
                found.module()
            except (DriverError, SourceError):  # the driver has changed without changing its version: build it again
                code = None
            else:
                return found
        code = driver.compile(request)
        _cache().put(key, pickle.dumps(code, protocol=5))
        return ObjectCode(code, chosen)

    def _request(self, expressions: tuple[str, ...]) -> Request:
        return Request(self.source, self.language, self.filename, self.options, expressions, self.prelude)

    def _compile_offline(self, target: str, expressions: tuple[str, ...]) -> ObjectCode:
        if self.language not in ("cuda", "hip"):
            raise ValueError(f"only C++ compiles without a device, not {self.language}: leave target out")
        from anygpu.runtime import rtc

        request = self._request(expressions)
        key = cache_key(request, rtc.compiler_for(target).version(), target)
        code = _cached(key)
        if code is None:
            code = rtc.compile_for(request, target)
            _cache().put(key, pickle.dumps(code, protocol=5))
        return ObjectCode(code, None)


def cache_key(request: Request, compiler: str, architecture: str) -> str:
    """The key of a compiled program: everything that its code depends on."""
    return hashlib.sha256(repr((_CACHE_FORMAT, request, compiler, architecture)).encode()).hexdigest()


def _cached(key: str) -> Code | None:
    """An entry of the cache, whose digest has been checked; `None` if another version of the class wrote it."""
    data = _cache().get(key)
    if data is None:
        return None
    try:
        found = pickle.loads(data)
    except (AttributeError, TypeError, ImportError, pickle.UnpicklingError):
        return None
    return found if isinstance(found, Code) else None


def _wrong_language(language: str, device: Device) -> str:
    takes = ", ".join(device.capabilities.languages)
    if device.name == "cpu":
        return (
            f"the CPU device takes Python kernels, not source in language {language!r}\n"
            "  hint: pip install 'anygpu[opencl-cpu]' makes the CPU an OpenCL device too, which compiles OpenCL C"
        )
    return f"{device.name} does not compile {language!r}: it takes {takes}"


class ObjectCode:
    """Compiled code. It is loaded when its first kernel is asked for, and unloaded when nothing refers to it any more.

    Attributes:
        format: ``"ptx"``, ``"cubin"``, ``"codeobject"``, ``"spirv"`` or ``"opencl"``.
        image: The bytes.
        device: Where it runs; `None` for code that was compiled for a target.
    """

    def __init__(self, code: Code, device: Device | None):
        self.code = code
        self.device = device
        self.format = code.format
        self.image = code.image
        self._lock = threading.Lock()
        self._module: Handle | None = None
        self._kernels: weakref.WeakValueDictionary[str, Kernel] = weakref.WeakValueDictionary()

    def __repr__(self) -> str:
        where = "no device" if self.device is None else self.device.name
        return f"<{self.format} object code of {len(self.image):,} bytes for {where}>"

    @property
    def names(self) -> list[str]:
        """The kernels that are known by name: name expressions, and what the code tells."""
        lowered = set(self.code.lowered.values())
        return sorted({*self.code.lowered, *(name for name in self.code.parameters if name not in lowered)})

    def module(self) -> Handle:
        """The driver's handle of the loaded code."""
        if self.device is None:
            raise DeviceError("this code was compiled for a target, not for a device\n  hint: Program.compile(device) makes code that runs")
        with self._lock:
            if self._module is None:
                driver = self.device.driver
                faults.check(driver)
                self._module = driver.load(self.code)
                close = weakref.finalize(self, _unload, driver, self._module)
                close.atexit = False
        return self._module

    def get_kernel(self, name: str, parameters: Sequence[Parameter] | None = None) -> Kernel:
        """A kernel by its name, or by a name expression that `Program.compile` was given.

        ``parameters`` overrides what the code tells about them.

        Raises `LookupError` (`KeyError`) with the names that there are.
        """
        kernel = self._kernels.get(name) if parameters is None else None
        if kernel is not None:
            return kernel
        lowered = self.code.lowered.get(name, name)
        module = self.module()
        assert self.device is not None
        try:
            function = self.device.driver.function(module, lowered)
        except KeyError:
            known = ", ".join(self.names) or "unknown"
            hint = "" if self.format == "opencl" else ' (hint: declare it extern "C", or pass its name to compile(name_expressions=[...]))'
            raise KeyError(f"there is no kernel {name!r} in {self!r}; its kernels: {known}{hint}") from None
        known_parameters = self.code.parameters.get(lowered) if parameters is None else tuple(parameters)
        kernel = Kernel(name, self, function, known_parameters)
        if parameters is None:
            self._kernels[name] = kernel
        return kernel


def _unload(driver: Driver, module: Handle) -> None:
    if faults.usable(driver):
        driver.unload(module)


@dataclass(frozen=True)
class LaunchConfig:
    """How many work-items a launch has, and what it needs besides.

    Attributes:
        grid: Blocks: an int or up to three, along x, y and z.
        block: Work-items in a block, likewise.
        shared: Bytes of dynamic shared memory a block.
        cooperative: Whether the whole grid may synchronise.
    """

    grid: int | Sequence[int]
    block: int | Sequence[int]
    shared: int = 0
    cooperative: bool = False

    def checked(self, device: Device, kernel: str) -> tuple[Triple, Triple]:
        """Grid and block as triples, within the device's limits; raises `LaunchError`."""
        grid, block = extents(self.grid, "grid"), extents(self.block, "block")
        limits, who = device.properties, f"kernel '{kernel}' on {device.name}"
        if block[0] * block[1] * block[2] > limits.maximum_block:
            raise LaunchError(f"{who}: a block of {block} has more than {limits.maximum_block} work-items")
        if any(n > most for n, most in zip(block, limits.maximum_block_shape, strict=True)):
            raise LaunchError(f"{who}: a block of {block} is larger than {limits.maximum_block_shape}")
        if any(n > most for n, most in zip(grid, limits.maximum_grid, strict=True)):
            raise LaunchError(f"{who}: a grid of {grid} is larger than {limits.maximum_grid}")
        if not 0 <= self.shared <= limits.maximum_shared:
            raise LaunchError(f"{who}: {self.shared:,} bytes of shared memory are more than the {limits.maximum_shared:,} of a block")
        if self.cooperative and not device.capabilities.cooperative:
            raise LaunchError(f"{who}: this device cannot launch a grid that synchronises as a whole")
        return grid, block


def extents(value: int | Sequence[int], what: str) -> Triple:
    """One to three positive extents as a triple; 0 in a grid means that nothing runs."""
    least = 0 if what == "grid" else 1
    try:
        items = tuple(operator.index(n) for n in (value if isinstance(value, Sequence) else (value,)))
    except TypeError:
        items = ()
    if not 1 <= len(items) <= 3 or min(items) < least:
        raise LaunchError(f"the {what} is an int, or up to three, of {least} or more, not {value!r}")
    return (*items, *(1,) * (3 - len(items)))  # type: ignore[return-value]


class Kernel:
    """A kernel of compiled source. ``kernel[grid, block](...)``, ``kernel[grid, block, stream, shared](...)`` launches it.

    Arguments are buffers (and views), NumPy scalars of the parameter's type, and Python numbers where the code tells the type. NumPy
    arrays are copied in, and out after the launch, with a ``CopyWarning``. A launch is queued and does not wait, unless it must copy out.

    Attributes:
        name: As it was asked for.
        parameters: What it takes (`Parameter`); `None` if the code does not tell.
    """

    def __init__(self, name: str, code: ObjectCode, function: Handle, parameters: tuple[Parameter, ...] | None):
        assert code.device is not None
        self.name = name
        self.parameters = parameters
        self.device = code.device
        self._code = code  # keeps the module loaded
        self._function = function
        self._prepared: dict[tuple[tuple[Parameter, ...], bool], Launch] = {}
        self._launchers: dict[object, Launcher] = {}

    def __repr__(self) -> str:
        takes = "unknown parameters" if self.parameters is None else f"{len(self.parameters)} parameter{'s' * (len(self.parameters) != 1)}"
        return f"<kernel {self.name} on {self.device.name}, {takes}>"

    def __call__(self, *args: object) -> None:
        raise LaunchError(f"kernel '{self.name}' needs a launch configuration: {self.name}[grid, block](...)")

    def __getitem__(self, configuration: object) -> Launcher:
        try:
            launcher = self._launchers.get(configuration)
            if launcher is None and isinstance(configuration, tuple) and len(configuration) > 2 and isinstance(configuration[2], Stream):
                launcher = configuration[2].launchers.get((self, configuration))  # type: ignore[assignment]
        except TypeError:  # a list as an extent
            launcher = None
        if launcher is None:
            if not isinstance(configuration, tuple) or not 2 <= len(configuration) <= 4:
                takes = "a grid and a block, and perhaps a stream and bytes of shared memory"
                raise LaunchError(f"kernel[grid, block] takes {takes}, not {configuration!r}")
            grid, block = configuration[:2]
            stream = configuration[2] or None if len(configuration) > 2 else None
            shared = configuration[3] if len(configuration) > 3 else 0
            launcher = Launcher(self, LaunchConfig(grid, block, shared), stream)
            self._remember(configuration, launcher, stream)
        return launcher

    def _remember(self, configuration: tuple[object, ...], launcher: Launcher, stream: Stream | None) -> None:
        """Keep a launcher: a kernel must not keep a stream open, so that those of a stream go with it."""
        if any(isinstance(part, list) for part in configuration):
            return
        if stream is None:
            if len(self._launchers) < _LAUNCHERS:
                self._launchers[configuration] = launcher
        elif len(stream.launchers) < _LAUNCHERS:
            stream.launchers[self, configuration] = launcher

    def prepare(self, parameters: tuple[Parameter, ...], cooperative: bool = False) -> Launch:
        """The driver's launch for a signature: all that depends on the signature alone is done once.

        It is called as ``stream.submit(launch, grid, block, shared, values)``, with a value for each parameter: what
        ``Buffer.argument_on(stream)`` gives for pointers, bytes for structures, numbers else.
        """
        launch = self._prepared.get((parameters, cooperative))
        if launch is None:
            launch = self.device.driver.prepare(self._function, parameters, cooperative)
            self._prepared[parameters, cooperative] = launch
        return launch


class Launcher:
    """A kernel with its launch configuration: call it with the kernel's arguments."""

    __slots__ = ("_block", "_config", "_converters", "_empty", "_grid", "_kernel", "_launch", "_stream")

    def __init__(self, kernel: Kernel, configuration: LaunchConfig, stream: Stream | None):
        self._kernel = kernel
        self._config = configuration
        self._grid, self._block = configuration.checked(kernel.device, kernel.name)
        self._stream = kernel.device.stream_or_default(stream)
        self._empty = 0 in self._grid
        self._launch = None if kernel.parameters is None else kernel.prepare(kernel.parameters, configuration.cooperative)
        self._converters = [quick_converter(parameter) for parameter in kernel.parameters or ()]

    def __repr__(self) -> str:
        return f"<{self._kernel.name}[{self._grid}, {self._block}] on {self._kernel.device.name}>"

    def __call__(self, *args: object) -> None:
        stream, converters = self._stream, self._converters
        if len(args) != len(converters) or self._launch is None or self._empty or stream.graph is not None:
            return self._launch_unusual(args)
        try:
            values = [convert(value, stream) for convert, value in zip(converters, args, strict=True)]
        except Unusual:
            return self._launch_unusual(args)
        stream.submit(self._launch, self._grid, self._block, self._config.shared, values)
        return None

    def _launch_unusual(self, args: tuple[object, ...]) -> None:
        """The general way: arguments to convert or copy, or to refuse, and captures."""
        kernel, stream = self._kernel, self._stream
        parameters = kernel.parameters
        launch, shared = self._launch, self._config.shared
        if parameters is None or launch is None:
            parameters = infer(args)
            launch = kernel.prepare(parameters, self._config.cooperative)
        elif len(args) < len(parameters):
            args = _with_shared_memory(parameters, args, shared)
        values, after = convert(kernel.name, parameters, args, stream)
        if not self._empty:
            if stream.capturing:
                stream.keep(self, args)
            stream.submit(launch, self._grid, self._block, shared, values)
        for action in after:
            action()


def _with_shared_memory(parameters: tuple[Parameter, ...], args: tuple[object, ...], shared: int) -> tuple[object, ...]:
    """The one ``__local`` pointer of an OpenCL kernel, when it was not passed, is the launch's dynamic shared memory."""
    places = [n for n, parameter in enumerate(parameters) if parameter.code == "S"]
    if len(places) != 1 or len(args) != len(parameters) - 1 or not shared:
        return args
    return (*args[: places[0]], LocalMemory(shared), *args[places[0] :])


def launch(stream: Stream, configuration: LaunchConfig, kernel: Kernel, *args: object) -> None:
    """Launch a kernel with a configuration on a stream, in the words of ``cuda.core``. The same as ``kernel[grid, block](...)``.

    Example:
        >>> import numpy as np, anygpu as ag
        >>> source = "kernel void fill(global int *x, int value) { x[get_global_id(0)] = value; }"
        >>> device = next((d for d in ag.devices() if "opencl" in d.capabilities.languages), None)
        >>> if device is not None:
        ...     fill = ag.Program(source, "opencl").compile(device).get_kernel("fill")
        ...     x = device.allocate(64 * 4)
        ...     ag.launch(device.default_stream, ag.LaunchConfig(grid=1, block=64), fill, x, 7)
        ...     assert (x.to_numpy(np.int32) == 7).all()
    """
    if not isinstance(kernel, Kernel):
        hint = "Python kernels are launched as kernel[grid, block](...)"
        raise ArgumentError(f"launch takes a kernel of a Program, not {type(kernel).__name__}\n  hint: {hint}")
    Launcher(kernel, configuration, stream)(*args)


def source_kernel(source: str, name: str, language: str, device: Device, options: Sequence[str] = ()) -> Kernel:
    """A kernel of a source in one step."""
    expressions = (name,) if "<" in name else ()
    code = Program(source, language, options, filename=f"{name.partition('<')[0]}{_SUFFIX[language]}").compile(device, expressions)
    return code.get_kernel(name)
