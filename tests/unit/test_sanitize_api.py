"""``ag.sanitize`` on kernels as users write them: names, places, returns and arguments; and the list of devices."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError
from typing import NamedTuple

import numpy as np
import pytest

import anygpu as ag


class Pair(NamedTuple):
    left: np.ndarray
    right: np.ndarray


@ag.kernel
def reverse(x):
    tile = ag.shared.array(64, ag.float32)
    i = ag.threadIdx.x
    tile[i] = x[i]
    x[i] = tile[63 - i]


@ag.kernel
def reverse_with_barrier(x):
    tile = ag.shared.array(64, ag.float32)
    i = ag.threadIdx.x
    tile[i] = x[i]
    ag.syncthreads()
    x[i] = tile[63 - i]


def kinds(report):
    return [finding.kind for finding in report]


def test_a_race_names_the_users_array_lines_and_work_items():
    (finding,) = ag.sanitize(reverse)[1, 64](np.zeros(64, np.float32))
    assert (finding.kind, finding.array) == ("race", "tile")
    lines = [site.location.line for site in finding.sites]
    start = reverse.__wrapped__.__code__.co_firstlineno
    assert [line - start for line in lines] == [4, 5] and finding.sites[0].location.filename == __file__
    assert "tile[63 - i]" in finding.render() and "^" in finding.render()


def test_a_right_kernel_has_an_empty_report_and_the_kernels_result():
    x = np.arange(64, dtype=np.float32)
    report = ag.sanitize(reverse_with_barrier)[1, 64](x)
    assert not report and len(report) == 0 and repr(report) == report.render()
    assert "nothing found" in repr(report)
    np.testing.assert_array_equal(x, np.arange(64)[::-1])


def test_nothing_is_printed(capsys):
    @ag.kernel
    def talk(x):
        print("element", x[ag.threadIdx.x])

    assert not ag.sanitize(talk)[1, 2](np.zeros(2))
    assert capsys.readouterr() == ("", "")


def test_raise_on_findings():
    with pytest.raises(ag.SanitizerError, match="race") as caught:
        ag.sanitize(reverse, raise_on_findings=True)[1, 64](np.zeros(64, np.float32))
    assert kinds(caught.value.report) == ["race"]
    assert not ag.sanitize(reverse_with_barrier, raise_on_findings=True)[1, 64](np.zeros(64, np.float32))


def test_out_of_bounds_uninitialised_and_assertions():
    @ag.kernel
    def wrong(x, out):
        scratch = ag.local.array(4, ag.int32)
        i = ag.grid(1)
        out[i] = scratch[i % 4]
        assert x[i] >= 0, "negative"

    report = ag.sanitize(wrong).forall(12)(np.full(12, -1), np.zeros(10, np.int32))
    assert sorted(kinds(report)) == ["failed assertion", "out of bounds", "uninitialised read"]
    named = {finding.kind: finding.array for finding in report}
    assert named["out of bounds"] == "out" and named["uninitialised read"] == "scratch"


def test_shared_memory_of_an_earlier_launch_is_uninitialised():
    @ag.kernel
    def write(out):
        tile = ag.shared.array(32, ag.int64)
        tile[ag.threadIdx.x] = 7
        out[ag.threadIdx.x] = tile[ag.threadIdx.x]

    @ag.kernel
    def read(out):
        tile = ag.shared.array(32, ag.int64)
        out[ag.threadIdx.x] = tile[ag.threadIdx.x]

    out = np.zeros(32, np.int64)
    assert not ag.sanitize(write)[1, 32](out)
    assert kinds(ag.sanitize(read)[2, 32](out))[0] == "uninitialised read"


def test_names_of_arrays_in_structures():
    @ag.kernel
    def swap(pair):
        pair.left[ag.threadIdx.x + 1] = pair.right[0]

    (finding,) = ag.sanitize(swap)[1, 4](Pair(np.zeros(4), np.zeros(4)))
    assert finding.kind == "out of bounds" and finding.array == "pair.left"


# ----------------------------------------------------------------------------------------------- who must come to a barrier


def early_plain(x, n):
    i = ag.grid(1)
    if i >= n:
        return
    x[i] = 1
    ag.syncthreads()
    x[i] = 2


def early_with_work(x, n):
    i = ag.grid(1)
    if i >= n:
        x[i] = 7
        return
    ag.syncthreads()
    x[i] = 2


def early_in_else(x, n):
    i = ag.grid(1)
    if i < n:
        x[i] = 1
    else:
        return
    ag.syncthreads()
    x[i] = 2


def early_nested(x, n):
    i = ag.grid(1)
    if i >= n:
        if i > n + 3:
            return
        else:
            x[i] = 7
            return
    if i == 0:
        x[i] = 3
        return
    ag.syncthreads()
    x[i] = 2


def else_returns_after_a_barrier(x, n):
    i = ag.grid(1)
    if i < n:
        ag.syncthreads()
        x[i] = 2
    else:
        return


@pytest.mark.parametrize("function", [early_plain, early_with_work, early_in_else, early_nested, else_returns_after_a_barrier])
def test_work_items_that_returned_need_not_come(function):
    expected, x = np.zeros(128), np.zeros(128)
    report = ag.sanitize(ag.kernel(function))[2, 64](x, 100)
    assert not report, report
    ag.kernel(function)[2, 64](expected, 100)
    np.testing.assert_array_equal(x, expected)


def guard(x, n):
    i = ag.grid(1)
    if i < n:
        ag.syncthreads()
        x[i] = 2


def sides(x, n):
    i = ag.grid(1)
    if i < n:
        ag.syncthreads()
        x[i] = 2
    else:
        x[i] = 3


def before_the_return(x, n):
    i = ag.grid(1)
    if i >= n:
        ag.syncthreads()
        return
    x[i] = 2


@pytest.mark.parametrize("function", [guard, sides, before_the_return])
def test_work_items_that_skip_a_barrier_do_count(function):
    report = ag.sanitize(ag.kernel(function))[2, 64](np.zeros(128), 100)
    assert kinds(report) == ["divergent barrier"]
    assert report[0].sites[0].block == (1, 0, 0), "block 0 does not diverge"


@pytest.mark.parametrize("shape", [100, (3, 100), (2, 3, 50), (2, 2, 2, 30)])
def test_barriers_in_ranges_that_fill_no_whole_block(shape):
    @ag.kernel
    def through_shared(x):
        tile = ag.shared.array(256, ag.float32)
        t = ag.threadIdx.x
        index = ag.grid(x.ndim)
        tile[t] = x[index]
        ag.syncthreads()
        x[index] = tile[t] + 1

    x = np.zeros(shape, np.float32)
    report = ag.sanitize(through_shared).forall(shape)(x)
    assert not report, report
    assert (x == 1).all()


# --------------------------------------------------------------------------------------------------------------- arguments


def test_elementary_functions_have_the_devices_bits():
    @ag.kernel
    def busy(x, out):
        i = ag.grid(1)
        out[i] = math.exp(x[i]) * math.log(x[i] + 1) ** 1.5

    x = np.linspace(0, 3, 300).astype(np.float32)
    watched, launched = np.empty_like(x), np.empty_like(x)
    assert not ag.sanitize(busy).forall(300)(x, watched)
    busy.forall(300)(x, launched)
    np.testing.assert_array_equal(watched, launched)


def test_copied_arguments_come_back_and_read_only_ones_are_refused():
    @ag.kernel
    def double(x):
        i = ag.grid(1)
        x[i] = 2 * x[i]

    swapped = np.arange(4, dtype=">f8")
    with pytest.warns(ag.CopyWarning, match="'x'"):
        assert not ag.sanitize(double).forall(4)(swapped)
    assert swapped.tolist() == [0, 2, 4, 6]
    fixed = np.zeros(4)
    fixed.flags.writeable = False
    with pytest.raises(ag.ReadOnlyError, match="'x'"):
        ag.sanitize(double).forall(4)(fixed)
    with pytest.raises(ag.ArgumentError, match="list"):
        ag.sanitize(double).forall(4)([1.0])
    with pytest.raises(ag.ArgumentError, match="missing a required argument"):
        ag.sanitize(double).forall(4)()


def test_configurations_are_checked_as_for_a_launch():
    with pytest.raises(ag.LaunchError, match="1024"):
        ag.sanitize(reverse)[1, 2048]
    with pytest.raises(ag.LaunchError, match="negative"):
        ag.sanitize(reverse).forall(-1)
    with pytest.raises(TypeError, match=r"ag\.kernel"):
        ag.sanitize(np.sin)


def test_dynamic_shared_memory_and_empty_launches():
    @ag.kernel
    def dynamic(x):
        tile = ag.shared.array(0, ag.float32)
        i = ag.threadIdx.x
        tile[i] = x[i]

    assert not ag.sanitize(dynamic)[1, 8, None, 32](np.zeros(8, np.float32))
    (finding,) = ag.sanitize(dynamic)[1, 8, None, 16](np.zeros(8, np.float32))
    assert finding.kind == "out of bounds" and finding.array == "tile" and finding.index == (4,)
    assert not ag.sanitize(dynamic)[0, 8](np.zeros(8, np.float32))


def test_an_endless_kernel_is_a_finding():
    @ag.kernel
    def forever(x):
        while x[0] == 0:
            x[1] += 1

    report = ag.sanitize(forever, max_steps=1000)[(1, 2), 1](np.zeros(2))
    (finding,) = [f for f in report if f.kind == "step limit"]
    assert finding.message == "kernel 'forever' ran 1,000 statements and has not ended"
    (site,) = finding.sites
    assert (site.location.filename, site.block, site.thread) == (__file__, (0, 0, 0), (0, 0, 0))
    assert "while x[0] == 0:" in finding.render() or "x[1] += 1" in finding.render()


# ----------------------------------------------------------------------------------------------------------------- devices


def test_devices_and_synchronize():
    device, *others = ag.devices()
    assert isinstance(device, ag.Device) and device.name == "cpu" and device is ag.Device()
    properties = device.properties
    assert device.capabilities.subgroup_sizes == (32,) and properties.compute_units >= 1 and properties.maximum_block == 1024
    assert properties.model in repr(device) and properties.architecture in repr(device)
    assert any("bits" in fact for _, fact in properties.details)
    with pytest.raises(FrozenInstanceError):
        properties.model = "another"
    ag.devices().clear()
    assert ag.devices() == [device, *others], "the list is the caller's own"
    assert ag.synchronize() is None


def test_completion_shows_the_public_names_alone():
    shown = dir(ag)
    assert {*ag.__all__, "__version__", "linalg", "concatenate", "float32"} <= set(shown)
    assert not {"annotations", "importlib", "TYPE_CHECKING", "engine", "runtime"} & set(shown)
    assert all(hasattr(ag, name) for name in shown)
