"""Linking by ROCm's library, against a stand-in with its C interface that was written from its documentation: it keeps handles, records
calls, and "links" by putting the object between two marks. What ROCm's own does with an object, only a machine with ROCm shows."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace

import pytest

from anygpu.codegen import comgr, offline
from anygpu.codegen.comgr import SIGNATURES, Comgr
from anygpu.errors import InternalError


class StandIn:
    """The library's functions, each behind a real C call. ``status`` is what linking gives, ``log`` what it says then."""

    def __init__(self, major: int = 3, status: int = 0, log: bytes = b""):
        self.major, self.status, self.log = major, status, log
        self.alive: dict[int, dict] = {}
        self.count = 0
        self.actions: list[int] = []
        functions = {
            f"amd_comgr_{name}": ctypes.CFUNCTYPE(ctypes.c_int, *arguments)(getattr(self, name)) for name, arguments in SIGNATURES.items()
        }
        size = ctypes.POINTER(ctypes.c_size_t)
        functions["amd_comgr_get_version"] = ctypes.CFUNCTYPE(None, size, size)(self.get_version)
        self.library = SimpleNamespace(**functions)

    def get_version(self, major, minor):
        major[0], minor[0] = self.major, 4

    def make(self, out, **what):
        self.count += 1
        self.alive[self.count] = what
        out[0] = self.count
        return 0

    def release(self, handle):
        return 0 if self.alive.pop(handle, None) is not None else 2

    def create_data(self, kind, out):
        return self.make(out, kind=kind)

    def create_data_set(self, out):
        return self.make(out, data=[])

    def create_action_info(self, out):
        return self.make(out)

    release_data = destroy_data_set = destroy_action_info = release

    def set_data(self, handle, size, data):
        self.alive[handle]["bytes"] = ctypes.string_at(data, size)
        return 0

    def set_data_name(self, handle, name):
        self.alive[handle]["name"] = name
        return 0

    def data_set_add(self, handle, data):
        self.alive[handle]["data"].append(self.alive[data])
        return 0

    def action_info_set_isa_name(self, handle, name):
        self.alive[handle]["isa"] = name
        return 0 if name.startswith(b"amdgcn-amd-amdhsa--gfx") else 2

    def action_info_set_logging(self, handle, on):
        self.alive[handle]["logging"] = on
        return 0

    def do_action(self, action, info, given, found):
        self.actions.append(action)
        (source,) = self.alive[given]["data"]
        assert source["kind"] == 7 and source["name"]
        result = self.alive[found]["data"]
        if self.status:
            if self.alive[info]["logging"]:
                result.append({"kind": 5, "bytes": self.log})
            return self.status
        result.append({"kind": 5, "bytes": b""})
        result.append({"kind": 8, "bytes": b"<" + self.alive[info]["isa"] + b":" + source["bytes"] + b">"})
        return 0

    def of_kind(self, handle, kind):
        return [data for data in self.alive[handle]["data"] if data["kind"] == kind]

    def action_data_count(self, handle, kind, out):
        out[0] = len(self.of_kind(handle, kind))
        return 0

    def action_data_get_data(self, handle, kind, index, out):
        return self.make(out, **self.of_kind(handle, kind)[index])

    def get_data(self, handle, size, out):
        data = self.alive[handle]["bytes"]
        if out:
            assert size[0] >= len(data)
            ctypes.memmove(out, data, len(data))
        size[0] = len(data)
        return 0


IMAGE = b"\x7fELF\0object\0with zeros\0"


@pytest.mark.parametrize(("major", "action"), [(2, 9), (3, 7)])
def test_an_object_is_linked_and_nothing_is_left(major, action):
    there = StandIn(major)
    library = Comgr(there.library)
    assert library.known and library.version == (major, 4)
    assert library.link(IMAGE, "gfx942") == b"<amdgcn-amd-amdhsa--gfx942:" + IMAGE + b">"
    assert there.actions == [action] and not there.alive


def test_what_the_linker_says_is_passed_on():
    there = StandIn(status=1, log=b"lld: undefined symbol: f\n")
    with pytest.raises(InternalError, match=r"^linking the AMD code object failed with status 1: lld: undefined symbol: f$"):
        Comgr(there.library).link(IMAGE, "gfx942")
    assert not there.alive
    with pytest.raises(InternalError, match="amd_comgr_action_info_set_isa_name failed with status 2"):
        Comgr(StandIn().library).link(IMAGE, "sm_90")


def test_a_version_with_other_numbers_is_not_used(monkeypatch):
    assert not Comgr(StandIn(4).library).known
    for major, used in ((4, False), (3, True)):
        there = StandIn(major)
        monkeypatch.setattr(comgr.ctypes, "CDLL", lambda name, there=there: there.library)
        assert (comgr.comgr.__wrapped__() is not None) is used


def test_it_comes_before_other_linkers(monkeypatch):
    there = StandIn()
    monkeypatch.setattr(offline, "comgr", lambda: Comgr(there.library))
    monkeypatch.setattr(offline, "linker", lambda: pytest.fail("another linker was looked for"))
    assert offline.can_link() and offline.link(IMAGE, "gfx1100").startswith(b"<amdgcn-amd-amdhsa--gfx1100:")


def test_without_it_a_linker_on_the_path_comes_before_that_of_a_wheel(monkeypatch):
    monkeypatch.setattr(offline, "comgr", lambda: None)
    monkeypatch.setattr(offline.shutil, "which", lambda name: f"/opt/bin/{name}")
    assert offline.linker() == ["/opt/bin/ld.lld"]
    monkeypatch.setattr(offline.shutil, "which", lambda name: None)
    monkeypatch.setattr(offline.importlib.util, "find_spec", lambda name: None)
    assert offline.linker() is None and not offline.can_link()
    with pytest.raises(InternalError, match=r"^no linker for AMD code objects: install ROCm or the ziglang package, or put ld.lld \(16"):
        offline.link(IMAGE, "gfx942")
