"""``anygpu inspect``: the stages of a kernel's compilation."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType

from rich.console import Console
from rich.syntax import Syntax

from anygpu.cli.signature import SignatureError, annotated, arguments_of, example
from anygpu.engine.launch import Kernel
from anygpu.errors import AnyGPUError

# KERNEL IR is written much like Python, near enough for colours
LEXERS = {"ir": "python", "passes": "python", "llvm": "llvm", "asm": "gas"}


class KernelNotFound(AnyGPUError, LookupError):
    """A file, module or kernel that is not there."""


@dataclass(frozen=True)
class Request:
    """What to inspect: ``target`` is ``file.py:kernel`` or ``module:kernel``; a launch is a range (``forall``) or a grid of blocks."""

    target: str
    stage: str
    signature: str | None
    forall: tuple[int, ...] | None
    grid: tuple[int, ...] | None
    block: tuple[int, ...] | None
    architecture: str | None = None


def inspect(console: Console, request: Request) -> None:
    """Print one stage of a kernel, in colour on a terminal."""
    text = stage_text(request)
    if console.is_terminal:
        colours = Syntax(text, LEXERS[request.stage], theme="ansi_dark", background_color="default")
        console.print(colours.highlight(text), soft_wrap=True, end="")
    else:
        console.file.write(text if text.endswith("\n") else text + "\n")


def stage_text(request: Request) -> str:
    """The text of the stage.

    Raises:
        KernelNotFound: There is no such file, module or kernel.
        SignatureError: The kernel needs a signature, or the one given does not suit it.
        CompileError: The kernel cannot be compiled for these types.
    """
    if request.forall is not None and (request.grid or request.block):
        raise SignatureError("--forall is a launch of its own: leave --grid and --block out")
    kernel = find(request.target)
    function = kernel.__wrapped__
    command = f'anygpu inspect {request.target} --signature "{example(function)}"'
    signature = request.signature if request.signature is not None else annotated(function)
    arguments = arguments_for(function, signature, command)
    launch = {"grid": request.grid or 1, "block": request.block or 256, "forall": request.forall}
    try:
        return kernel.inspect(*arguments, stage=request.stage, target=request.architecture, **launch)
    except ValueError as error:
        if request.architecture is None or isinstance(error, AnyGPUError):
            raise
        raise SignatureError(str(error)) from error


def arguments_for(function: FunctionType, signature: str | None, command: str) -> list[object]:
    """A small argument of each type in a function's signature; ``command`` is an example of what to write. Raises ``SignatureError``."""
    count = function.__code__.co_argcount + function.__code__.co_kwonlyargcount
    if signature is None:
        raise SignatureError(f"{function.__name__} takes arguments of many types: name the types of its {count}, for example\n  {command}")
    arguments = arguments_of(signature, function.__globals__)
    if len(arguments) != count:
        given = "1 type" if len(arguments) == 1 else f"{len(arguments)} types"
        wanted = f"{count} arguments ({', '.join(function.__code__.co_varnames[:count])})"
        raise SignatureError(f"{function.__name__} takes {wanted}, and the signature has {given}; for example\n  {command}")
    return arguments


def find(target: str) -> Kernel:
    """The kernel that ``file.py:kernel`` or ``module:kernel`` names; a plain function is made one. Imports the file or module."""
    place, colon, name = target.rpartition(":")
    if not colon or not name.replace(".", "").isidentifier():
        place, name = target, ""
    return _kernel_in(import_place(place), place, name)


def find_all(target: str) -> list[Kernel]:
    """The kernels of ``file.py:one,two``; without names, all that the file defines. Imports the file or module once."""
    place, colon, names = target.rpartition(":")
    if not colon or not names.replace(".", "").replace(",", "").replace(" ", "").isidentifier():
        place, names = target, ""
    module = import_place(place)
    wanted = [name.strip() for name in names.split(",") if name.strip()] or list(_kernels(module))
    return [_kernel_in(module, place, name) for name in wanted or [""]]


def _kernel_in(module: ModuleType, place: str, name: str) -> Kernel:
    if not name:
        raise KernelNotFound(f"which kernel? {_offer(module, place)}")
    found: object = module
    for part in name.split("."):
        if not hasattr(found, part):
            raise KernelNotFound(f"{place} has no kernel {name!r}: {_offer(module, place)}")
        found = getattr(found, part)
    if isinstance(found, FunctionType):
        return Kernel(found)
    if not isinstance(found, Kernel):
        raise KernelNotFound(f"{name!r} in {place} is a {type(found).__name__}, not a kernel: {_offer(module, place)}")
    return found


def _offer(module: ModuleType, place: str) -> str:
    names = list(_kernels(module))
    if not names:
        return f"{place} defines none"
    return "write " + " or ".join(f"{place}:{name}" for name in names)


def _kernels(module: ModuleType) -> Iterator[str]:
    for name, value in vars(module).items():
        if isinstance(value, Kernel):
            yield name


def import_place(place: str) -> ModuleType:
    """A file by its path, as ``python file.py`` would find its neighbours; anything else by its dotted name."""
    path = Path(place)
    if not place.endswith(".py") and not path.is_file():
        sys.path.insert(0, str(Path.cwd()))
        try:
            return importlib.import_module(place)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{place}.".startswith(f"{error.name}."):
                raise  # the module is there, and misses one that it needs
            raise KernelNotFound(f"there is no file or module {place!r}") from error
        except ValueError as error:
            raise KernelNotFound(f"there is no file or module {place!r}") from error
    if not path.is_file():
        raise KernelNotFound(f"there is no file {place}")
    name = path.stem if path.stem not in sys.modules else f"inspected {path.stem}"  # a json.py here must not become everybody's
    spec = importlib.util.spec_from_file_location(name, path.resolve())
    if spec is None or spec.loader is None:
        raise KernelNotFound(f"{place} is not a Python file")
    sys.path.insert(0, str(path.resolve().parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
