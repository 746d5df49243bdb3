"""NumPy's submodules over arrays: every function of one, on the memory of the arrays that it is given."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import ModuleType

from anygpu.arrays import host


def by_numpy(function: Callable[..., object]) -> Callable[..., object]:
    """A function of NumPy's that takes and gives arrays."""

    @functools.wraps(function)
    def call(*args: object, **kwargs: object) -> object:
        return host.call(function, args, kwargs)

    call.__dict__["__anygpu_function__"] = function
    return call


def public_names(module: ModuleType) -> list[str]:
    """The names that a module says are its own, or those that look like it."""
    return sorted(getattr(module, "__all__", None) or [name for name in dir(module) if not name.startswith("_")])


def over(original: ModuleType, name: str, found: dict[str, object]) -> tuple[list[str], Callable[[str], object]]:
    """What a module over one of NumPy's consists of: its public names, and a ``__getattr__`` that puts them into ``found`` one by one."""
    names = public_names(original)

    def attribute(wanted: str) -> object:
        if wanted not in names:
            raise AttributeError(f"module {name!r} has no attribute {wanted!r}")
        theirs = getattr(original, wanted)
        if isinstance(theirs, ModuleType):
            made: object = Namespace(theirs, f"{name}.{wanted}")
        else:
            made = theirs if isinstance(theirs, type) or not callable(theirs) else by_numpy(theirs)
        found[wanted] = made
        return made

    return names, attribute


class Namespace(ModuleType):
    """A submodule of NumPy's, such as ``polynomial``, over arrays."""

    def __init__(self, original: ModuleType, name: str):
        super().__init__(name, original.__doc__)
        self._names, self._attribute = over(original, name, self.__dict__)

    def __getattr__(self, name: str) -> object:
        return self._attribute(name)

    def __dir__(self) -> list[str]:
        return self._names
