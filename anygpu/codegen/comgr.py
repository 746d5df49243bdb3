"""ROCm's own linker for AMD code objects: the code object manager, ``libamd_comgr``, through ctypes.

It comes with every ROCm, so a machine that has an AMD GPU to launch on needs no other linker. Its interface is C: handles of 8 bytes, a
status from each call, and actions that turn one set of data into another.
"""

from __future__ import annotations

import contextlib
import ctypes
import ctypes.util
import functools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from anygpu.errors import InternalError

_LOG, _RELOCATABLE, _EXECUTABLE = 5, 7, 8  # kinds of data
_LINK = {2: 9, 3: 7}  # the action that links relocatable objects into an executable one, by the interface's major version
_NAMES = ("libamd_comgr.so.3", "libamd_comgr.so.2", "libamd_comgr.so")

_handle, _text, _number, _size = ctypes.c_uint64, ctypes.c_char_p, ctypes.c_int, ctypes.c_size_t
_to_handle, _to_size = ctypes.POINTER(_handle), ctypes.POINTER(_size)
SIGNATURES: dict[str, tuple[type, ...]] = {
    "create_data": (_number, _to_handle),
    "set_data": (_handle, _size, ctypes.c_void_p),
    "set_data_name": (_handle, _text),
    "get_data": (_handle, _to_size, ctypes.c_void_p),
    "release_data": (_handle,),
    "create_data_set": (_to_handle,),
    "data_set_add": (_handle, _handle),
    "destroy_data_set": (_handle,),
    "create_action_info": (_to_handle,),
    "action_info_set_isa_name": (_handle, _text),
    "action_info_set_logging": (_handle, ctypes.c_bool),
    "destroy_action_info": (_handle,),
    "do_action": (_number, _handle, _handle, _handle),
    "action_data_count": (_handle, _number, _to_size),
    "action_data_get_data": (_handle, _number, _size, _to_handle),
}


class Comgr:
    """The library, or what has its functions."""

    def __init__(self, library: ctypes.CDLL):
        self.functions: dict[str, Callable[..., int]] = {}
        for name, arguments in SIGNATURES.items():
            function = getattr(library, f"amd_comgr_{name}")
            function.argtypes, function.restype = arguments, ctypes.c_int
            self.functions[name] = function
        version = library.amd_comgr_get_version
        version.argtypes, version.restype = (_to_size, _to_size), None
        major, minor = _size(), _size()
        version(ctypes.byref(major), ctypes.byref(minor))
        self.version = (major.value, minor.value)

    @property
    def known(self) -> bool:
        """Whether this is a version of the interface whose numbers are known here."""
        return self.version[0] in _LINK

    def _call(self, name: str, *arguments: object) -> None:
        status = self.functions[name](*arguments)
        if status:
            raise InternalError(f"amd_comgr_{name} failed with status {status}")

    @contextlib.contextmanager
    def _made(self, create: str, destroy: str, *arguments: object) -> Iterator[int]:
        handle = _handle()
        self._call(create, *arguments, ctypes.byref(handle))
        try:
            yield handle.value
        finally:
            self._call(destroy, handle)

    def link(self, image: bytes, processor: str) -> bytes:
        """A relocatable object for a processor such as ``gfx942`` as the code object that drivers load. Raises ``InternalError``."""
        with (
            self._made("create_data", "release_data", _RELOCATABLE) as source,
            self._made("create_data_set", "destroy_data_set") as given,
            self._made("create_data_set", "destroy_data_set") as found,
            self._made("create_action_info", "destroy_action_info") as action,
        ):
            self._call("set_data", source, len(image), image)
            self._call("set_data_name", source, b"kernel.o")
            self._call("data_set_add", given, source)
            self._call("action_info_set_isa_name", action, f"amdgcn-amd-amdhsa--{processor}".encode())
            self._call("action_info_set_logging", action, True)
            status = self.functions["do_action"](_LINK[self.version[0]], action, given, found)
            if status:
                said = [text.decode(errors="replace").strip() for text in self._results(found, _LOG)]
                raise InternalError(f"linking the AMD code object failed with status {status}: {' '.join(said) or 'ROCm does not say why'}")
            return next(self._results(found, _EXECUTABLE))

    def _results(self, found: int, kind: int) -> Iterator[bytes]:
        """All data of a kind in a set."""
        count = _size()
        self._call("action_data_count", found, kind, ctypes.byref(count))
        for n in range(count.value):
            data = _handle()
            self._call("action_data_get_data", found, kind, n, ctypes.byref(data))
            try:
                size = _size()
                self._call("get_data", data, ctypes.byref(size), None)
                held = ctypes.create_string_buffer(size.value)
                self._call("get_data", data, ctypes.byref(size), held)
                yield held.raw
            finally:
                self._call("release_data", data)


@functools.cache
def comgr() -> Comgr | None:
    """ROCm's library, if it is here in a version that is known."""
    folder = Path(os.environ.get("ROCM_PATH", "/opt/rocm")) / "lib"
    candidates = [ctypes.util.find_library("amd_comgr"), *_NAMES, *(str(folder / name) for name in _NAMES)]
    for name in filter(None, candidates):
        try:
            found = Comgr(ctypes.CDLL(name))
        except (OSError, AttributeError):  # not there, or older than the functions that are needed
            continue
        if found.known:
            return found
    return None


__all__ = ["SIGNATURES", "Comgr", "comgr"]
