"""What the sanitizer finds, what it must not find, and how it says so."""

from __future__ import annotations

from textwrap import dedent

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from anygpu.errors import Location
from anygpu.ir.interp import interpret
from anygpu.ir.kernel import Kernel
from anygpu.ir.sanitize import Report, sanitize
from anygpu.ir.text import parse_kernel

ONE = (1, 1, 1)


def check(text: str, *arguments, grid=ONE, block=(64, 1, 1), **options) -> Report:
    text = dedent(text)
    text = f"kernel k {text}" if text.startswith("range") else f"kernel k{text}"
    return sanitize(parse_kernel(text), arguments, grid, block, **options)


def kinds(report: Report) -> list[str]:
    return [finding.kind for finding in report]


# --------------------------------------------------------------------------------------------------------------- races

EXCHANGE = """\
    :
        param out: int64[:]
        shared s: int64[64]
        i: int64 = thread.x
        s[i] = i
        {between}
        v: int64 = s[{other}]
        out[i + block.x * 64] = v
    """


def exchange(between: str, other: str = "63 - i", **options) -> Report:
    return check(EXCHANGE.format(between=between, other=other), np.zeros(128, np.int64), **options)


def test_a_missing_barrier_is_a_race():
    (finding,) = exchange("fence block", grid=(2, 1, 1))
    assert finding.kind == "race" and finding.array == "s" and finding.count == 128
    writer, reader = finding.sites
    assert (writer.action, writer.block, writer.thread) == ("writes", (0, 0, 0), (63, 0, 0))
    assert (reader.action, reader.block, reader.thread) == ("reads", (0, 0, 0), (0, 0, 0))
    assert finding.index == (63,)
    assert "barrier of the block" in finding.hint


@pytest.mark.parametrize("between", ["barrier block", "barrier grid"])
def test_a_barrier_orders_a_block(between):
    assert not exchange(between, grid=(2, 1, 1))


def test_a_warp_barrier_orders_its_warp_only():
    assert not exchange("barrier warp", "i ^ 1")
    assert kinds(exchange("fence warp", "i ^ 1")) == ["race"], "lockstep orders nothing"
    assert kinds(exchange("barrier warp", "63 - i")) == ["race"]


def test_blocks_are_ordered_by_grid_barriers_only():
    text = """\
        :
            param x: int64[:]
            i: int64 = block.x * 64 + thread.x
            x[i] = i
            barrier {scope}
            v: int64 = x[127 - i]
            barrier grid
            x[i] = v
        """
    assert not check(text.format(scope="grid"), np.zeros(128, np.int64), grid=(2, 1, 1))
    (finding,) = check(text.format(scope="block"), np.zeros(128, np.int64), grid=(2, 1, 1))
    assert finding.kind == "race" and finding.sites[0].block != finding.sites[1].block
    assert "grid" in finding.hint and finding.count == 128


def test_blocks_that_run_one_after_another_are_still_unordered():
    text = ":\n    param x: int64[:]\n    v: int64 = x[0]\n    if thread.x == 0:\n        x[0] = v + 1\n"
    report = check(text, np.zeros(1, np.int64), block=ONE, grid=(3, 1, 1))
    assert kinds(report) == ["race", "race"]
    assert sorted(sorted(site.action for site in finding.sites) for finding in report) == [["reads", "writes"], ["writes", "writes"]]


def test_atomics_race_with_plain_accesses_but_not_with_each_other():
    text = """\
        :
            param x: int64[:]
            old: int64 = atomic add x[0], 1
            {then}
        """
    x = np.zeros(1, np.int64)
    assert not check(text.format(then="atomic max x[0], old"), x, grid=(2, 1, 1))
    (read,) = check(text.format(then="old = x[0]"), x)
    assert [site.action for site in read.sites] == ["updates atomically", "reads"]
    (write,) = check(text.format(then="x[0] = 7"), x)
    assert [site.action for site in write.sites] == ["updates atomically", "writes"]


def test_work_items_of_one_statement_that_write_different_values():
    (finding,) = check(":\n    param x: int64[:]\n    x[0] = thread.x\n", np.zeros(1, np.int64))
    assert finding.kind == "race" and finding.count == 63
    assert [site.thread[0] for site in finding.sites] == [0, 1]


def test_writes_of_one_value_are_no_race():
    assert not check(":\n    param x: int64[:]\n    x[0] = 5\n", np.zeros(1, np.int64), grid=(3, 1, 1))
    assert kinds(check(":\n    param x: int64[:]\n    x[0] = block.x\n", np.zeros(1, np.int64), grid=(3, 1, 1))) == ["race"]


def test_reads_then_a_write_are_a_race_from_any_distance():
    text = """\
        :
            param x: int64[:]
            i: int64 = thread.x
            if block.x * 64 + i == {reader}:
                v: int64 = x[0]
            if block.x == 1:
                w: int64 = x[0]
                barrier warp
                barrier block
                if i == 0:
                    x[0] = 9
        """
    # The block that writes has read the element itself, later, and ordered that by its barriers.
    (finding,) = check(text.format(reader=5), np.zeros(1, np.int64), grid=(2, 1, 1))
    assert finding.sites[0].block == (0, 0, 0) and finding.sites[0].thread == (5, 0, 0)
    assert not check(text.format(reader=1000), np.zeros(1, np.int64), grid=(2, 1, 1))


def test_a_reader_of_another_warp_is_not_forgotten():
    text = """\
        :
            param x: int64[:]
            i: int64 = thread.x
            if i == {reader}:
                v: int64 = x[0]
            if i == 3:
                v = x[0]
            if i == 5:
                v = x[0]
            barrier warp
            if i == 3:
                x[0] = 9
        """
    (finding,) = check(text.format(reader=40), np.zeros(1, np.int64))
    assert [site.thread[0] for site in finding.sites] == [40, 3]
    assert not check(text.format(reader=7), np.zeros(1, np.int64))


def test_arguments_that_share_memory_race():
    base = np.zeros(65, np.int64)
    text = ":\n    param x: int64[:]\n    param y: int64[:]\n    v: int64 = x[thread.x]\n    y[thread.x] = v + 1\n"
    assert kinds(check(text, base[:-1], base[1:])) == ["race"]
    assert not check(text, base[:-1], base[:-1]), "each work-item its own element"
    assert not check(text, base[:32], base[32:64], block=(32, 1, 1))
    halves = base.view(np.int32)
    text = ":\n    param x: int64[:]\n    param y: int32[:]\n    x[thread.x] = 7\n    y[{index}] = 3i32\n"
    assert not check(text.format(index="2 * thread.x + 1"), base, halves)
    assert kinds(check(text.format(index="thread.x"), base, halves)) == ["race"], "elements of different sizes overlap"


def test_fields_of_one_element_do_not_race_with_each_other():
    text = ":\n    param z: complex64[:]\n    if thread.x == 0:\n        z[0].real = 1.0f32\n    else:\n        z[0].imag = 1.0f32\n"
    assert not check(text, np.zeros(1, np.complex64), block=(2, 1, 1))


def test_dynamic_shared_arrays_are_one_memory():
    text = """\
        :
            shared a: int32[0]
            shared b: int64[0]
            if thread.x == 0:
                a[1] = 3i32
            else:
                b[{index}] = 4
        """
    assert kinds(check(text.format(index=0), block=(2, 1, 1), shared_bytes=16)) == ["race"]
    assert not check(text.format(index=1), block=(2, 1, 1), shared_bytes=16)


def test_local_memory_and_one_work_item_cannot_race():
    assert not check(":\n    local l: int64[1]\n    l[0] = thread.x\n    v: int64 = l[0]\n", grid=(2, 1, 1))
    text = ":\n    param x: int64[:]\n    for k: int64 in range(0, 3, 1):\n        x[thread.x] = k\n        v: int64 = x[thread.x]\n"
    assert not check(text, np.zeros(64, np.int64))


# The detector keeps a few accesses for each element. An oracle that keeps all of them must agree on whether there is a race.


@settings(max_examples=150)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from(["load", "store", "atomic"]), st.sampled_from([0, 1, 33, 34, 64, 65, 66, 100]), st.integers(0, 1)),
            st.tuples(st.just("barrier"), st.sampled_from(["warp", "block", "grid"]), st.just(0)),
        ),
        max_size=10,
    )
)
def test_the_bounded_record_finds_what_a_full_one_finds(events):
    """Two blocks of 65 work-items in three warps each, of which a few act, one at a time."""
    threads, lines, shadow, expected = 65, [], [], set()
    clock = {"warp": 0, "block": 0, "grid": 0}
    for number, (kind, who, where) in enumerate(events):
        if kind == "barrier":
            lines.append(f"barrier {who}")
            for scope in ["warp", "block", "grid"][: ["warp", "block", "grid"].index(who) + 1]:
                clock[scope] = number + 1
            continue
        value = number + 100  # a new one: writes of equal values are no race
        act = {"load": f"v = x[{where}]", "store": f"x[{where}] = {value}", "atomic": f"atomic exch x[{where}], {value}"}[kind]
        lines += [f"if block.x * {threads} + thread.x == {who}:", f"    {act}"]
        for then, other_kind, other, other_where in shadow:
            if other_where == where and other != who and {kind, other_kind} not in ({"load"}, {"atomic"}):
                same_block = who // threads == other // threads
                same_warp = same_block and who % threads // 32 == other % threads // 32
                if clock["warp" if same_warp else ("block" if same_block else "grid")] <= then:
                    expected.add(where)
        shadow.append((number, kind, who, where))
    text = ":\n    param x: int64[:]\n    v: int64 = 0\n    barrier grid\n" + "".join(f"    {line}\n" for line in lines)
    report = check(text, np.zeros(2, np.int64), grid=(2, 1, 1), block=(threads, 1, 1))
    assert set(kinds(report)) <= {"race"}
    assert bool(report) == bool(expected)
    assert {finding.index[0] for finding in report} <= expected


# ------------------------------------------------------------------------------------------------------------ barriers


def test_a_barrier_that_some_do_not_reach():
    (finding,) = check(":\n    if thread.x < 10:\n        barrier block\n", grid=(3, 1, 1))
    assert finding.kind == "divergent barrier" and finding.count == 3
    waits, never = finding.sites
    assert (waits.action, waits.thread, never.action, never.thread) == ("waits", (0, 0, 0), "never arrives", (10, 0, 0))
    assert never.location.line == 0


def test_work_items_at_different_barriers():
    text = ":\n    if thread.x < 10:\n        barrier block\n    else:\n        barrier block\n    barrier block\n"
    kernel = parse_kernel(f"source 0 \"u.py\" in \"k\"\nkernel k{text}".replace("barrier block\n", "barrier block @0:7:1-2\n", 1))
    (finding,) = sanitize(kernel, [], ONE, (64, 1, 1))
    assert [site.action for site in finding.sites] == ["waits", "waits without it"]
    assert finding.sites[0].location == Location("u.py", 7, 1, 2, "k")


def test_a_barrier_in_a_loop_of_different_lengths():
    text = ":\n    for k: int64 in range(0, {stop}, 1):\n        barrier block\n"
    assert kinds(check(text.format(stop="thread.x + 1"))) == ["divergent barrier"]
    assert not check(text.format(stop="block.x + 1"), grid=(3, 1, 1))
    (finding,) = check(text.format(stop="1 + thread.x // 63") + "    barrier block\n")
    assert [site.thread[0] for site in finding.sites] == [63, 0]


@pytest.mark.parametrize("scope", ["block", "grid"])
def test_work_items_that_returned_do_not_count(scope):
    text = """\
        :
            block return:
                if thread.x >= 10:
                    exit return
                barrier {scope}
        """
    assert not check(text.format(scope=scope), grid=(2, 1, 1))
    after = dedent(text).format(scope=scope) + "    fence block\n"
    assert kinds(check(after, grid=(2, 1, 1)))[:1] == ["divergent barrier"], "they have not returned: they go on after the block"


def test_what_returned_work_items_wrote_is_ordered():
    text = """\
        :
            shared s: int64[64]
            block return:
                s[thread.x] = thread.x
                if thread.x > 0:
                    exit return
                barrier block
                v: int64 = s[63]
        """
    assert not check(text)


def test_work_items_beyond_a_range_do_not_count():
    assert not check("range 1:\n    barrier block\n", block=(64, 1, 1), grid=(2, 1, 1), extent=(70,))


def test_a_grid_barrier_needs_every_block():
    (finding,) = check(":\n    if block.x == 0:\n        barrier grid\n", grid=(2, 1, 1))
    assert finding.kind == "divergent barrier" and "one grid" in finding.message
    assert finding.sites[1].block == (1, 0, 0)


def test_one_blocks_barrier_is_nothing_to_another():
    assert not check(":\n    if block.x == 0:\n        barrier block\n    barrier grid\n", grid=(2, 1, 1))


# ---------------------------------------------------------------------------------------------- memory, other findings


@pytest.mark.parametrize("space", ["shared", "local"])
def test_uninitialised_reads(space):
    text = ":\n    {space} s: float32[64]\n    i: int64 = thread.x\n    if i != 7:\n        s[i] = 1.0f32\n    v: float32 = s[i]\n"
    (finding,) = check(text.format(space=space))
    assert finding.kind == "uninitialised read" and f"{space} memory" in finding.message
    if space == "shared":
        assert (finding.index, finding.sites[0].thread, finding.count) == ((7,), (7, 0, 0), 1)
    assert not check(text.format(space=space).replace("i != 7", "i < 64"))


def test_memory_is_fresh_in_every_block():
    text = ":\n    shared s: int32[64]\n    if block.x == 0:\n        s[thread.x] = 1i32\n    v: int32 = s[thread.x]\n"
    (finding,) = check(text, grid=(3, 1, 1))
    assert finding.count == 128 and finding.sites[0].block == (1, 0, 0)


def test_atomics_read_what_they_update():
    text = ":\n    local s: int32[1]\n    {atomic}\n"
    assert kinds(check(text.format(atomic="atomic add s[0], 1i32"))) == ["uninitialised read"]
    assert kinds(check(text.format(atomic="v: int32 = atomic exch s[0], 1i32"))) == ["uninitialised read"]
    assert not check(text.format(atomic="atomic exch s[0], 1i32"))


def test_out_of_bounds_and_failed_assertions():
    report = check(":\n    param x: int64[:]\n    x[thread.x] = 1\n    assert thread.x < 60, \"too many\"\n", np.zeros(62, np.int64))
    bounds, failed = report
    assert (bounds.kind, bounds.index, bounds.count, bounds.sites[0].thread) == ("out of bounds", (62,), 2, (62, 0, 0))
    assert (failed.kind, failed.message, failed.count) == ("failed assertion", "too many", 4)


def test_an_endless_kernel_is_a_finding():
    report = check(":\n    param x: int64[:]\n    x[0] = thread.x\n    while true:\n        pass\n", np.zeros(1, np.int64), max_steps=100)
    assert kinds(report) == ["race", "step limit"]


def test_watching_changes_nothing():
    text = dedent(EXCHANGE.format(between="v: int64 = atomic add out[0], i", other="63 - i"))
    plain, watched = np.zeros(128, np.int64), np.zeros(128, np.int64)
    interpret(parse_kernel(f"kernel k{text}"), [plain], (2, 1, 1), (64, 1, 1))
    check(text, watched, grid=(2, 1, 1))
    assert (plain == watched).all()


# ----------------------------------------------------------------------------------------------------------- rendering


def test_a_report_reads_like_this(tmp_path):
    source = tmp_path / "user.py"
    source.write_text("def k(x):\n    x[i] = v\n    y = x[i + 1]\n")
    text = f"""\
        source 0 "{source}" in "k"
        kernel k:
            param x: int64[:]
            i: int64 = thread.x
            x[i] = i @0:2:4-12
            v: int64 = x[i + 1] @0:3:8-16
        """
    report = sanitize(parse_kernel(dedent(text)), [np.zeros(5, np.int64)], ONE, (4, 1, 1))
    assert repr(report) == dedent(f"""\
        sanitize: 1 finding in kernel 'k'

        race: nothing orders two accesses to x[1] (3 times)
          writes: block (0, 0, 0), thread (1, 0, 0)
            File "{source}", line 2, column 5, in k
                x[i] = v
                ^^^^^^^^
          reads: block (0, 0, 0), thread (0, 0, 0)
            File "{source}", line 3, column 9, in k
                y = x[i + 1]
                    ^^^^^^^^
          hint: put a barrier between the two accesses (of the warp or the block), or use an atomic""")


def test_an_empty_report_is_false_and_says_so():
    report = sanitize(Kernel("k", (), (), ()), [], ONE, ONE)
    assert not report and repr(report) == "sanitize: nothing found in kernel 'k'" and report[:] == ()


def test_findings_of_one_place_in_the_source_are_one():
    # The same line inlined twice: different statements, one location.
    text = """\
        source 0 "u.py" in "k"
        kernel k:
            param x: int64[:]
            x[0] = thread.x @0:1:0-1
            x[0] = thread.x @0:1:0-1
        """
    (finding,) = sanitize(parse_kernel(dedent(text)), [np.zeros(1, np.int64)], ONE, (4, 1, 1))
    assert finding.count > 3
