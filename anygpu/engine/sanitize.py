"""``ag.sanitize``: launches that run on the interpreter and report what a kernel does wrong, instead of running fast."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from anygpu.engine.launch import Kernel, Launcher
from anygpu.errors import AnyGPUError, Location

if TYPE_CHECKING:
    from anygpu.frontend.types import Type
    from anygpu.ir.kernel import Body
    from anygpu.ir.kernel import Kernel as KernelIR
    from anygpu.ir.sanitize import Report

MAXIMUM_STEPS = 10_000_000


class SanitizerError(AnyGPUError):
    """What ``ag.sanitize(kernel, raise_on_findings=True)`` raises; ``report`` holds the findings, and the text shows them."""

    def __init__(self, report: Report):
        self.report = report
        super().__init__(report.render())


@dataclass(frozen=True)
class Sanitizer:
    """A kernel whose launches are watched; ``ag.sanitize`` makes it. Configure and call it as you would the kernel."""

    kernel: Kernel
    raise_on_findings: bool
    max_steps: int

    def __getitem__(self, configuration: object) -> SanitizerLauncher:
        return SanitizerLauncher(self, self.kernel[configuration])

    def forall(self, shape: int | Sequence[int]) -> SanitizerLauncher:
        """A watched launch over every index of ``shape``, an int or a sequence of up to 8."""
        return SanitizerLauncher(self, self.kernel.forall(shape))


@dataclass(frozen=True)
class SanitizerLauncher:
    """A watched kernel with its launch configuration: call it with the kernel's arguments for its ``Report``."""

    sanitizer: Sanitizer
    launcher: Launcher

    def __call__(self, *args: object, **kwargs: object) -> Report:
        from anygpu.engine.arguments import Copies, describe
        from anygpu.ir.kernel import Array, Atomic, Store, walk
        from anygpu.ir.sanitize import sanitize as run

        kernel, launcher = self.sanitizer.kernel, self.launcher
        copies = Copies()
        described = [describe(value, name, copies) for name, value in zip(kernel._names, kernel._bind(args, kwargs), strict=True)]
        program = _prepare(kernel, tuple(argument.type for argument in described), len(launcher.extent))
        parts = [part for argument in described for part in argument.parts]
        written = {s.array for s in walk(program.body) if isinstance(s, Store | Atomic)}
        arrays = [(p.name, part, p.name in written) for p, part in zip(program.params, parts, strict=False)
                  if isinstance(p, Array) and isinstance(part, np.ndarray)]  # fmt: skip
        copies.refuse_overlaps(arrays)
        arguments = [*parts, *launcher.extent]
        report = run(program, arguments, launcher.grid, launcher.block, (), launcher.shared, max_steps=self.sanitizer.max_steps)
        copies.write_back([array for _, array, changed in arrays if changed])
        if report and self.sanitizer.raise_on_findings:
            raise SanitizerError(report)
        return report


def sanitize(kernel: Kernel, *, raise_on_findings: bool = False, max_steps: int = MAXIMUM_STEPS) -> Sanitizer:
    """Look for mistakes in a kernel's use of memory and barriers: ``ag.sanitize(kernel)[grid, block](...)`` or ``.forall(shape)(...)``.

    The launch runs on the interpreter, changes its arrays as a real one does, and returns a ``Report``: a sequence of findings,
    empty (and false) if there is nothing to say. ``print(report)`` shows each with its source lines and the work-items:

    - *race*: two work-items touch one element of shared or global memory, one of them writes, and no barrier orders them;
    - *divergent barrier*: work-items of one block wait at different barriers, or some at none;
    - *uninitialised read* of shared or local memory; *out of bounds* accesses; *failed assertions*;
    - *step limit*: the kernel ran more than ``max_steps`` statements, and probably never ends.

    It looks at the accesses that this launch makes, with these arguments: a report without findings speaks for no other launch.

    The interpreter computes what devices compute, bit for bit, elementary functions included, and takes its time: about a
    millisecond for each block of a short kernel, ten or more if the kernel is full of ``exp`` and ``pow``. So choose a launch that
    is small and still has every kind of block: the first, an inner one, the last.

    Args:
        kernel: What ``ag.kernel`` made.
        raise_on_findings: Raise ``SanitizerError`` with the report's text if anything was found, as a test wants.
        max_steps: Statements to run, each counted once for all work-items of a block that run it together.

    Raises:
        TypeError: ``kernel`` is not one.
        ArgumentError, LaunchError, CompileError: at the launch, as for the kernel itself.

    Example:
        >>> import numpy as np, anygpu as ag
        >>> @ag.kernel
        ... def reverse(x):
        ...     tile = ag.shared.array(64, ag.float32)
        ...     i = ag.threadIdx.x
        ...     tile[i] = x[i]
        ...     x[i] = tile[63 - i]
        >>> report = ag.sanitize(reverse)[1, 64](np.zeros(64, np.float32))
        >>> [(finding.kind, finding.array) for finding in report]
        [('race', 'tile')]
    """
    if not isinstance(kernel, Kernel):
        raise TypeError(f"ag.sanitize takes a kernel that ag.kernel made, not {type(kernel).__name__}")
    if not hasattr(kernel, "__wrapped__"):
        raise TypeError(f"kernel '{kernel.name}' was compiled ahead of time: ag.sanitize needs its source")
    return Sanitizer(kernel, raise_on_findings, max_steps)


def _prepare(kernel: Kernel, types: tuple[Type, ...], range_ndim: int) -> KernelIR:
    """The program that the interpreter runs: what a device would be given, with each return visible as one again."""
    from anygpu.engine.compile import Options, lower, run_passes
    from anygpu.frontend.parse import parse_function
    from anygpu.frontend.statements import always_leaves

    program = run_passes(lower(kernel.__wrapped__, types, Options(range_ndim=range_ndim)), kernel.fastmath)
    source = parse_function(kernel.__wrapped__)
    branches = [node for node in ast.walk(source.node) if isinstance(node, ast.If)]
    then_returns = frozenset(source.locate(node) for node in branches if always_leaves(node.body))
    else_returns = frozenset(source.locate(node) for node in branches if node.orelse and always_leaves(node.orelse))
    # the guard of a range launch stands where the function does; what lies outside the range has returned
    returns = _Returns(then_returns, else_returns | {program.loc} if range_ndim else else_returns)
    return replace(program, body=returns.show(program.body))


@dataclass(frozen=True)
class _Returns:
    """Which branches end in a return, by the location of their ``if``.

    Lowering puts what follows ``if c: return`` into the other branch, since no jump is then needed. To a device both are the
    same. Here they are not: work-items that have returned need not come to a barrier, those that skip it do. So this
    makes jumps of the returns again.
    """

    then_returns: frozenset[Location]
    else_returns: frozenset[Location]

    def show(self, body: Body, depth: int = 0) -> Body:
        """``body``, which ends where the kernel does."""
        from anygpu.ir.kernel import Block, Exit, If

        match body[-1] if body else None:
            case Block() as last:
                return (*body[:-1], replace(last, body=self.show(last.body, depth)))
            case If(cond=cond, then=then, orelse=orelse, loc=loc) if loc in self.then_returns | self.else_returns:
                label = f"left.{depth}"
                leave = (Exit(label, loc),)
                if loc in self.then_returns:
                    first, rest = If(cond, (*then, *leave), (), loc), orelse
                else:
                    first, rest = If(cond, (), (*orelse, *leave), loc), then
                return (Block(label, (*body[:-1], first, *self.show(rest, depth + 1)), loc),)
            case _:
                return body
