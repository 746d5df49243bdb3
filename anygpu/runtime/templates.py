"""Kernels from a few lines of C, in CuPy's form: `RawKernel`, `ElementwiseKernel` and `ReductionKernel`, on every vendor's devices."""

from __future__ import annotations

import math
import operator
import re
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from anygpu.errors import ArgumentError, CopyWarning
from anygpu.runtime.device import Device, current_device
from anygpu.runtime.diagnostics import remember_source
from anygpu.runtime.dialects import SOURCE_DIALECTS, SourceDialect, language_of
from anygpu.runtime.literals import c_type, literal
from anygpu.runtime.memory import Buffer
from anygpu.runtime.program import Kernel, Program

if TYPE_CHECKING:
    from anygpu.runtime.stream import Stream

_DECLARED = re.compile(r"(raw\s+)?(\w+)\s+([A-Za-z_]\w*)")
_BLOCK = 256
_MOST_BLOCKS = 4096  # each work-item of a larger launch computes several elements


class RawKernel:
    """A kernel in source, compiled for each device at its first launch there.

    Args:
        code: The source, in the language of the devices that it is launched on.
        name: The kernel's name; with template arguments, as in ``"scale<float>"``, an instance.
        options: Options for the compiler.
        language: The source's language; by default the device's own.

    Example:
        >>> import numpy as np, anygpu as ag
        >>> code = "kernel void twice(global float *x) { x[get_global_id(0)] *= 2; }"
        >>> twice = ag.RawKernel(code, "twice", language="opencl")
        >>> device = next((d for d in ag.devices() if "opencl" in d.capabilities.languages), None)
        >>> if device is not None:
        ...     x = device.to_device(np.arange(64, dtype=np.float32))
        ...     twice((1,), (64,), (x,))
        ...     assert x.to_numpy(np.float32)[3] == 6
    """

    def __init__(self, code: str, name: str, options: Sequence[str] = (), language: str | None = None):
        self.code = code
        self.name = name
        self.options = tuple(options)
        self.language = language
        self._kernels: dict[Device, Kernel] = {}

    def __repr__(self) -> str:
        return f"<RawKernel {self.name}, compiled for {', '.join(device.name for device in self._kernels) or 'no device yet'}>"

    def kernel(self, device: Device | None = None) -> Kernel:
        """The compiled kernel for a device, by default the current one."""
        device = current_device() if device is None else device
        kernel = self._kernels.get(device)
        if kernel is None:
            program = Program(self.code, self.language or language_of(device), self.options)
            code = program.compile(device, (self.name,) if "<" in self.name else ())
            kernel = self._kernels[device] = code.get_kernel(self.name)
        return kernel

    def __call__(
        self,
        grid: int | Sequence[int],
        block: int | Sequence[int],
        args: Sequence[object],
        *,
        shared_mem: int = 0,
        stream: Stream | None = None,
    ) -> None:
        """Launch on the device of the first buffer in ``args``, or on the current one; ``shared_mem`` counts bytes."""
        device = stream.device if stream is not None else _device_of(args)
        grid, block = (n if isinstance(n, int) else tuple(n) for n in (grid, block))
        self.kernel(device)[grid, block, stream, shared_mem](*args)


@dataclass(frozen=True)
class _Declared:
    """One declared parameter: ``raw T x``. ``type`` is a dtype's name, or a letter that stands for any."""

    name: str
    type: str
    raw: bool

    @property
    def generic(self) -> bool:
        return len(self.type) == 1


def _parse(text: str) -> tuple[_Declared, ...]:
    found = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        match = _DECLARED.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is no parameter: it looks like 'float32 x', 'T x' or 'raw T x'")
        if len(match[2]) > 1:
            np.dtype(match[2])  # raises TypeError with the name
        found.append(_Declared(match[3], match[2], match[1] is not None))
    return tuple(found)


def _device_of(args: Sequence[object]) -> Device:
    return next((arg.device for arg in args if isinstance(arg, Buffer)), None) or current_device()


class _Template:
    """What both kinds of templates share: their parameters, the types of a call, and the compiled kernels."""

    def __init__(self, in_params: str, out_params: str, name: str, preamble: str, options: Sequence[str]):
        self.inputs, self.outputs = _parse(in_params), _parse(out_params)
        self.name = name
        self._preamble = preamble
        self._options = tuple(options)
        self._kernels: dict[tuple[Device, tuple[tuple[str, str], ...], tuple[bool, ...]], Kernel] = {}
        names = [p.name for p in (*self.inputs, *self.outputs)]
        if len(set(names)) < len(names):
            raise ValueError(f"the parameters of {name} share a name: {', '.join(names)}")
        if not self.outputs:
            raise ValueError(f"{name} has no output")

    def __repr__(self) -> str:
        def shown(parameters: tuple[_Declared, ...]) -> str:
            return ", ".join(f"{'raw ' * p.raw}{p.type} {p.name}" for p in parameters)

        return f"<{type(self).__name__} {self.name}: {shown(self.inputs)} -> {shown(self.outputs)}>"

    def _types(self, args: Sequence[object]) -> dict[str, np.dtype]:
        """What each type of the declaration means in this call. Letters are bound by arrays first, then by scalars."""
        declared = (*self.inputs, *self.outputs)
        types = {p.type: np.dtype(p.type) for p in declared if not p.generic}
        pairs = [(p, arg) for p, arg in zip(declared, args, strict=False) if p.generic]
        for kinds in ((np.ndarray, np.generic), (bool, int, float)):
            for p, arg in pairs:
                if isinstance(arg, kinds) and p.type not in types:
                    types[p.type] = np.asarray(arg).dtype
        for p in declared:
            if p.type not in types:
                hint = f"declare '{p.name}' with a dtype, as in 'float32 {p.name}'"
                raise ArgumentError(f"{self.name}: no argument says what type {p.type} is\n  hint: {hint}")
        return types

    def _check(self, args: Sequence[object], types: dict[str, np.dtype]) -> None:
        for p, arg in zip((*self.inputs, *self.outputs), args, strict=False):
            which = f"{self.name}: argument '{p.name}'"
            if isinstance(arg, np.ndarray | np.generic) and arg.dtype != types[p.type]:
                raise ArgumentError(f"{which} is {arg.dtype}, and {types[p.type]} is declared: convert it with astype")
            if not isinstance(arg, Buffer | np.ndarray | np.generic | bool | int | float):
                raise ArgumentError(f"{which} is a {type(arg).__name__}; it takes buffers, NumPy arrays and numbers")

    def _compiled(
        self, device: Device, types: dict[str, np.dtype], scalars: tuple[bool, ...], body: Callable[[SourceDialect], str]
    ) -> Kernel:
        key = (device, tuple((name, dtype.name) for name, dtype in types.items()), scalars)
        kernel = self._kernels.get(key)
        if kernel is None:
            language = language_of(device)
            source = self._preamble + "\n" + self._aliases(types, language) + body(SOURCE_DIALECTS[language])
            kernel = Program(source, language, self._options, filename=f"{self.name}.generated").compile(device).get_kernel(self.name)
            self._kernels[key] = kernel
        return kernel

    def _aliases(self, types: dict[str, np.dtype], language: str) -> str:
        """The declared types as C's: letters and NumPy's names, under names that users do not have."""
        lines = [f"typedef {c_type(dtype, language)} {name if len(name) == 1 else f'_{name}'};" for name, dtype in types.items()]
        half = any(dtype == np.float16 for dtype in types.values()) and language == "cuda"
        return "#include <cuda_fp16.h>\n" * half + "\n".join(lines) + "\n"

    @staticmethod
    def _c_name(p: _Declared) -> str:
        return p.type if p.generic else f"_{p.type}"

    def _signature(self, scalars: tuple[bool, ...], words: SourceDialect) -> list[str]:
        declared = (*self.inputs, *self.outputs)
        found = []
        for p, scalar in zip(declared, (*scalars, *(False,) * len(self.outputs)), strict=True):
            kind = self._c_name(p)
            const = "const " if p in self.inputs else ""
            found.append(f"{kind} {p.name}" if scalar else f"{words.pointer}{const}{kind} *{'' if p.raw else '_p_'}{p.name}")
        return found

    def _warn_of_copies(self, device: Device) -> None:
        warnings.warn(f"arguments of {self.name} are NumPy arrays: they are copied to {device.name} and back", CopyWarning, stacklevel=3)


class ElementwiseKernel(_Template):
    """A kernel that computes each element from the elements at the same place, in CuPy's form.

    Args:
        in_params: Inputs, as in ``"float32 x, T y, raw T table"``. A letter stands for the type of what is passed. A ``raw`` array is
            indexed by the operation itself; numbers may be passed for all others.
        out_params: Outputs, likewise.
        operation: C statements that set the outputs, such as ``"z = x * y"``. ``i`` is the element's index, ``n`` their count.
        name: The kernel's name.
        preamble: Source before the kernel.
        options: Options for the compiler.

    The inputs, when called, are buffers (flat arrays of the declared dtype), NumPy arrays, which broadcast and are copied with a
    ``CopyWarning``, and numbers. Outputs that are not passed are made: buffers if an input is one, else NumPy arrays.

    Example:
        >>> import numpy as np, anygpu as ag
        >>> squared = ag.ElementwiseKernel("float32 x, float32 y", "float32 z", "z = (x - y) * (x - y)", "squared_difference")
        >>> device = next((d for d in ag.devices() if "opencl" in d.capabilities.languages), None)
        >>> if device is not None:
        ...     x, y = (device.to_device(np.full(100, value, np.float32)) for value in (3, 1))
        ...     assert (squared(x, y).to_numpy(np.float32) == 4).all()
    """

    def __init__(
        self, in_params: str, out_params: str, operation: str, name: str = "elementwise", preamble: str = "", options: Sequence[str] = ()
    ):
        super().__init__(in_params, out_params, name, preamble, options)
        self._operation = operation
        self._place = f"operation of {name}"
        remember_source(operation, self._place)

    def __call__(self, *args: object, size: int | None = None, stream: Stream | None = None) -> object:
        """Compute; returns the output, or a tuple of them. ``size`` is the number of elements where only ``raw`` arrays are passed."""
        if len(args) not in (len(self.inputs), len(self.inputs) + len(self.outputs)):
            takes = f"{len(self.inputs)} inputs, or those and {len(self.outputs)} outputs"
            raise ArgumentError(f"{self.name} takes {takes}, not {len(args)} arguments")
        device = stream.device if stream is not None else _device_of(args)
        language_of(device)  # raises for a device that compiles none
        stream = device.stream_or_default(stream)
        types = self._types(args)
        self._check(args, types)
        declared = (*self.inputs, *self.outputs)
        shape = self._shape(args, types, size)
        count = math.prod(shape)
        host = not any(isinstance(arg, Buffer) for arg in args)
        values, copies = [], []
        for n, p in enumerate(declared):
            if n >= len(args):
                values.append(device.allocate(count * types[p.type].itemsize, stream))
                continue
            arg = args[n]
            if isinstance(arg, np.ndarray):
                whole = arg if p.raw else np.broadcast_to(arg, shape)
                buffer = device.to_device(whole, stream)
                copies.append((arg if n >= len(self.inputs) else None, buffer))
                values.append(buffer)
            else:
                values.append(arg if isinstance(arg, Buffer) else types[p.type].type(arg))
        if copies:
            self._warn_of_copies(device)
        scalars = tuple(not isinstance(value, Buffer) for value in values[: len(self.inputs)])
        kernel = self._compiled(device, types, scalars, lambda words: self._source(scalars, words))
        blocks = min(-(-count // _BLOCK), _MOST_BLOCKS)
        kernel[blocks, _BLOCK, stream](*values, np.int64(count))
        for target, buffer in copies:
            if target is not None:
                target[...] = buffer.to_numpy(target.dtype, target.shape, stream)
        found: list[object] = []
        for n, p in enumerate(self.outputs, len(self.inputs)):
            made = values[n]
            found.append(args[n] if n < len(args) else made.to_numpy(types[p.type], shape, stream) if host else made)
        return found[0] if len(found) == 1 else tuple(found)

    def _shape(self, args: Sequence[object], types: dict[str, np.dtype], size: int | None) -> tuple[int, ...]:
        """The shape of the result: what NumPy arrays broadcast to, or the length of the buffers."""
        pairs = [(p, arg) for p, arg in zip((*self.inputs, *self.outputs), args, strict=False) if not p.raw]
        arrays = [arg for _, arg in pairs if isinstance(arg, np.ndarray)]
        lengths = {arg.size // types[p.type].itemsize for p, arg in pairs if isinstance(arg, Buffer)}
        if size is not None:
            lengths.add(operator.index(size))
        if not arrays and not lengths:
            raise ArgumentError(f"{self.name}: nothing tells the number of elements: pass size=")
        shape = np.broadcast_shapes(*(a.shape for a in arrays)) if arrays else (min(lengths),)
        if len(lengths) > 1 or (arrays and lengths and lengths != {math.prod(shape)}):
            shown = ", ".join(map(str, sorted({*lengths, *((math.prod(shape),) if arrays else ())})))
            raise ArgumentError(f"{self.name}: the arguments have different numbers of elements: {shown}")
        return shape

    def _source(self, scalars: tuple[bool, ...], words: SourceDialect) -> str:
        arrays = [p for p, scalar in zip(self.inputs, scalars, strict=True) if not scalar and not p.raw]
        loads = "".join(f"        {self._c_name(p)} {p.name} = _p_{p.name}[i];\n" for p in (*arrays, *self.outputs) if not p.raw)
        stores = "".join(f"        _p_{p.name}[i] = {p.name};\n" for p in self.outputs if not p.raw)
        parameters = ", ".join([*self._signature(scalars, words), f"{words.long} n"])
        first = f"({words.long}){words.block} * {words.threads} + {words.thread}"
        step = f"({words.long}){words.blocks} * {words.threads}"
        return (
            f"{words.kernel} {self.name}({parameters}) {{\n"
            f"    for ({words.long} i = {first}; i < n; i += {step}) {{\n{loads}"
            f'#line 1 "{self._place}"\n{self._operation};\n{stores}    }}\n}}\n'
        )


class ReductionKernel(_Template):
    """A kernel that combines elements along axes, in CuPy's form.

    Args:
        in_params: Inputs, as in `ElementwiseKernel`.
        out_params: The output.
        map_expr: What each element contributes, an expression over the inputs (and ``i``).
        reduce_expr: How two contributions ``a`` and ``b`` combine, an associative expression.
        post_map_expr: A statement that sets the output from the combined ``a``.
        identity: What combines with anything without changing it: the value for no elements.
        name: The kernel's name.
        reduce_type: The dtype in which contributions are combined; by default the output's.
        preamble: Source before the kernel.
        options: Options for the compiler.

    The order of combination depends on the number of elements alone, so equal calls give equal bits.

    Example:
        >>> import numpy as np, anygpu as ag
        >>> norm = ag.ReductionKernel("T x", "T y", "x * x", "a + b", "y = sqrt(a)", 0, "norm")
        >>> device = next((d for d in ag.devices() if "opencl" in d.capabilities.languages), None)
        >>> if device is not None:
        ...     import warnings
        ...     with device, warnings.catch_warnings():
        ...         warnings.simplefilter("ignore", ag.CopyWarning)
        ...         assert norm(np.array([[3, 4], [6, 8]], np.float32), axis=1).tolist() == [5, 10]
    """

    def __init__(
        self,
        in_params: str,
        out_params: str,
        map_expr: str,
        reduce_expr: str,
        post_map_expr: str,
        identity: str | int | float,
        name: str = "reduce",
        reduce_type: str | None = None,
        preamble: str = "",
        options: Sequence[str] = (),
    ):
        super().__init__(in_params, out_params, name, preamble, options)
        if len(self.outputs) != 1 or any(p.raw for p in (*self.inputs, *self.outputs)):
            raise ValueError(f"{name}: a reduction has one output and no raw arrays")
        self._expressions = map_expr, reduce_expr, post_map_expr
        self._identity = identity
        self._reduce_type = reduce_type

    def __call__(
        self, *args: object, axis: int | tuple[int, ...] | None = None, keepdims: bool = False, stream: Stream | None = None
    ) -> object:
        """Combine over ``axis``, by default over all axes. Buffers are flat. Returns a NumPy array, or a buffer if an input is one."""
        if len(args) != len(self.inputs):
            raise ArgumentError(f"{self.name} takes {len(self.inputs)} input{'s' * (len(self.inputs) != 1)}, not {len(args)}")
        device = stream.device if stream is not None else _device_of(args)
        language_of(device)  # raises for a device that compiles none
        stream = device.stream_or_default(stream)
        types = self._types(args)
        self._check(args, types)
        shape = self._shape(args, types)
        axes = _axes(axis, len(shape))
        kept = [n for n in range(len(shape)) if n not in axes]
        outer, inner = math.prod(shape[n] for n in kept), math.prod(shape[n] for n in axes)
        values: list[object] = []
        for p, arg in zip(self.inputs, args, strict=True):
            if isinstance(arg, np.ndarray):
                values.append(device.to_device(np.broadcast_to(arg, shape).transpose(*kept, *axes), stream))
            else:
                values.append(arg if isinstance(arg, Buffer) else types[p.type].type(arg))
        host = any(isinstance(arg, np.ndarray) for arg in args)
        if host:
            self._warn_of_copies(device)
        (output,) = self.outputs
        result = device.allocate(outer * types[output.type].itemsize, stream)
        scalars = tuple(not isinstance(value, Buffer) for value in values)
        kernel = self._compiled(device, types, scalars, lambda words: self._source(scalars, types, words, language_of(device)))
        kernel[min(outer, _MOST_BLOCKS), _BLOCK, stream](*values, result, np.int64(outer), np.int64(inner))
        if not host:
            return result
        final = tuple(1 if n in axes else shape[n] for n in range(len(shape))) if keepdims else tuple(shape[n] for n in kept)
        return result.to_numpy(types[output.type], final, stream)

    def _shape(self, args: Sequence[object], types: dict[str, np.dtype]) -> tuple[int, ...]:
        arrays = [arg for arg in args if isinstance(arg, np.ndarray)]
        lengths = {arg.size // types[p.type].itemsize for p, arg in zip(self.inputs, args, strict=True) if isinstance(arg, Buffer)}
        if not arrays and not lengths:
            raise ArgumentError(f"{self.name}: pass a buffer or an array")
        shape = np.broadcast_shapes(*(a.shape for a in arrays)) if arrays else (min(lengths),)
        if lengths - {math.prod(shape)}:
            raise ArgumentError(f"{self.name}: the arguments have different numbers of elements")
        return shape

    def _source(self, scalars: tuple[bool, ...], types: dict[str, np.dtype], words: SourceDialect, language: str) -> str:
        mapped, combined, post = self._expressions
        (output,) = self.outputs
        kind = types[output.type] if self._reduce_type is None else np.dtype(self._reduce_type)
        arrays = [p for p, scalar in zip(self.inputs, scalars, strict=True) if not scalar]
        loads = "".join(f"            {self._c_name(p)} {p.name} = _p_{p.name}[i];\n" for p in arrays)
        parameters = ", ".join([*self._signature(scalars, words), f"{words.long} _outer", f"{words.long} n"])
        return f"""typedef {c_type(kind, language)} _reduced;
{words.kernel} {self.name}({parameters}) {{
    {words.shared} _reduced _shared[{_BLOCK}];
    int _thread = {words.thread};
    for ({words.long} _o = {words.block}; _o < _outer; _o += {words.blocks}) {{
        _reduced _sum = {literal(self._identity, language)};
        for ({words.long} _j = _thread; _j < n; _j += {_BLOCK}) {{
            {words.long} i = _o * n + _j;
{loads}            _reduced a = _sum, b = (_reduced)({mapped});
            _sum = ({combined});
        }}
        _shared[_thread] = _sum;
        {words.barrier};
        for (int _half = {_BLOCK // 2}; _half; _half >>= 1) {{
            if (_thread < _half) {{
                _reduced a = _shared[_thread], b = _shared[_thread + _half];
                _shared[_thread] = ({combined});
            }}
            {words.barrier};
        }}
        if (_thread == 0) {{
            _reduced a = _shared[0];
            {self._c_name(output)} {output.name};
            {post};
            _p_{output.name}[_o] = {output.name};
        }}
        {words.barrier};
    }}
}}
"""


def _axes(axis: int | tuple[int, ...] | None, ndim: int) -> tuple[int, ...]:
    given = tuple(range(ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    found = tuple(n + ndim if n < 0 else n for n in given)
    if len(set(found)) < len(found) or any(not 0 <= n < ndim for n in found):
        raise ArgumentError(f"axis {axis!r} does not fit an array with {ndim} axes")
    return found
