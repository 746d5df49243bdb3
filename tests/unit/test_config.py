"""Options: every variable, every default, and a clear error for what cannot be."""

from __future__ import annotations

import dataclasses
import os
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from anygpu.config import MOST_THREADS, OPTIONS, STAGES, Config, ConfigError, config, default_cache_dir
from anygpu.errors import AnyGPUError

HOME = {"HOME": "/home/someone"}


def read(**variables: str) -> Config:
    return Config.from_environment({**HOME, **variables})


def test_defaults() -> None:
    found = read()
    assert found.cache_size == 512 * 1024 * 1024
    assert found.cache is True
    assert found.bounds_check is True
    assert found.debug == frozenset()
    assert 1 <= found.num_threads <= MOST_THREADS
    assert found == read(ANYGPU_CACHE="", ANYGPU_DEBUG=" ", ANYGPU_NUM_THREADS="", ANYGPU_CACHE_DIR="", ANYGPU_CACHE_SIZE="")


def test_the_default_device() -> None:
    assert read().device == read(ANYGPU_DEVICE="cpu").device == "cpu"
    assert read(ANYGPU_DEVICE="opencl").device == read(ANYGPU_DEVICE=" opencl:0 ").device == "opencl:0"
    assert read(ANYGPU_DEVICE="cuda:12").device == "cuda:12"
    for wrong in ("gpu", "cpu:1", "opencl:", "cuda:x"):
        with pytest.raises(ConfigError) as caught:
            read(ANYGPU_DEVICE=wrong)
        accepts = "it takes cpu, opencl, cuda or hip, perhaps with a number (opencl:0)"
        assert str(caught.value) == f"ANYGPU_DEVICE={wrong!r}: not the name of a device; {accepts}"


def test_libraries() -> None:
    assert read().libraries is True and read(ANYGPU_LIBRARIES="off").libraries is False
    with pytest.raises(ConfigError) as caught:
        read(ANYGPU_LIBRARIES="cublas")
    assert str(caught.value) == "ANYGPU_LIBRARIES='cublas': neither on nor off; it takes 0 or 1 (also off/on, no/yes, false/true)"


def test_threads_default_to_the_cores_of_this_process() -> None:
    if not hasattr(os, "sched_setaffinity"):
        pytest.skip("this system has no affinity")
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert read().num_threads == 1
    finally:
        os.sched_setaffinity(0, before)
    assert read().num_threads == len(before)


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("4096", 4096), ("3K", 3072), ("512M", 2**29), ("2g", 2**31), ("1 GiB", 2**30), ("7MB", 7 * 2**20), ("1T", 2**40)],
)
def test_sizes(text: str, size: int) -> None:
    assert read(ANYGPU_CACHE_SIZE=text).cache_size == size


@pytest.mark.parametrize("text", ["1", "on", "YES", "true", " 1 "])
def test_on(text: str) -> None:
    assert read(ANYGPU_CACHE=text).cache is True
    assert read(ANYGPU_BOUNDS_CHECK=text).bounds_check is True


@pytest.mark.parametrize("text", ["0", "off", "No", "FALSE"])
def test_off(text: str) -> None:
    assert read(ANYGPU_CACHE=text).cache is False
    assert read(ANYGPU_BOUNDS_CHECK=text).bounds_check is False


def test_debug() -> None:
    assert read(ANYGPU_DEBUG="ir").debug == {"ir"}
    assert read(ANYGPU_DEBUG=" LLVM, asm ,").debug == {"llvm", "asm"}
    assert read(ANYGPU_DEBUG=",".join(STAGES)).debug == set(STAGES)


def test_plain_debug_is_honoured_where_it_is_ours() -> None:
    assert read(DEBUG="ir,llvm").debug == {"ir", "llvm"}
    assert read(DEBUG="ir", ANYGPU_DEBUG="asm").debug == {"asm"}
    for other in ("1", "true", "*", "express:*", "ir,1"):
        assert read(DEBUG=other).debug == frozenset()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ANYGPU_CACHE_SIZE", "0"),
        ("ANYGPU_CACHE_SIZE", "-5"),
        ("ANYGPU_CACHE_SIZE", "1.5G"),
        ("ANYGPU_CACHE_SIZE", "lots"),
        ("ANYGPU_CACHE_SIZE", "9999999999T"),
        ("ANYGPU_CACHE_SIZE", "٣"),
        ("ANYGPU_CACHE", "2"),
        ("ANYGPU_CACHE", "maybe"),
        ("ANYGPU_NUM_THREADS", "0"),
        ("ANYGPU_NUM_THREADS", "-1"),
        ("ANYGPU_NUM_THREADS", "1025"),
        ("ANYGPU_NUM_THREADS", "two"),
        ("ANYGPU_NUM_THREADS", "2.0"),
        ("ANYGPU_DEBUG", "ptx"),
        ("ANYGPU_DEBUG", "ir;llvm"),
        ("ANYGPU_DEBUG", "1"),
        ("ANYGPU_BOUNDS_CHECK", "sometimes"),
        ("ANYGPU_CACHE_DIR", "relative/folder"),
        ("ANYGPU_CACHE_DIR", "~nobody-of-this-name/cache"),
    ],
)
def test_bad_values_are_named(variable: str, value: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(**{variable: value})
    option = next(option for option in OPTIONS if option.variable == variable)
    text = str(caught.value)
    assert text.startswith(f"{variable}={value!r}: ")
    assert text.endswith(option.accepts)
    assert isinstance(caught.value, AnyGPUError)
    assert isinstance(caught.value, ValueError)


@given(st.sampled_from([option.variable for option in OPTIONS]), st.text(max_size=20))
def test_any_text_gives_a_configuration_or_a_config_error(variable: str, text: str) -> None:
    try:
        found = read(**{variable: text})
    except ConfigError:
        return
    assert isinstance(found, Config)


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="the folder of XDG systems")
class TestCacheFolder:
    def test_home(self) -> None:
        assert read().cache_dir == "/home/someone/.cache/anygpu"

    def test_xdg(self) -> None:
        assert read(XDG_CACHE_HOME="/big/cache").cache_dir == "/big/cache/anygpu"
        assert read(XDG_CACHE_HOME="not/absolute").cache_dir == "/home/someone/.cache/anygpu"

    def test_own_variable(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", "/home/other")
        assert read(ANYGPU_CACHE_DIR="/big/kernels", XDG_CACHE_HOME="/x").cache_dir == "/big/kernels"
        assert read(ANYGPU_CACHE_DIR="~/kernels").cache_dir == "/home/other/kernels"

    def test_no_home(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as it is where the system knows no home
        assert default_cache_dir({}) is None
        assert Config.from_environment({}).cache_dir is None
        with pytest.raises(ConfigError, match="no home folder is known for it"):
            Config.from_environment({"ANYGPU_CACHE_DIR": "~/kernels"})


def test_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    config.cache_clear()
    try:
        monkeypatch.setenv("ANYGPU_NUM_THREADS", "3")
        assert config().num_threads == 3
        monkeypatch.setenv("ANYGPU_NUM_THREADS", "4")
        assert config().num_threads == 3
    finally:
        config.cache_clear()


def test_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        read().cache = False  # type: ignore[misc]


def test_every_field_is_an_option() -> None:
    assert [option.field for option in OPTIONS] == [field.name for field in dataclasses.fields(Config)]
    assert len({option.variable for option in OPTIONS}) == len(OPTIONS)
