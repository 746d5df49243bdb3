"""What a kernel says while it runs: print, assert, and errors, in the order of blocks and work-items."""

from __future__ import annotations

import numpy as np
import pytest

import anygpu as ag
from anygpu.dtypes import DTYPES
from anygpu.errors import KernelAssertionError, KernelIndexError
from anygpu.testing.harness import BLOCKS, Grid, Range, check, special_values


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_lines_come_in_the_order_of_work_items(block):
    @ag.kernel
    def say(x):
        t = ag.threadIdx.x + ag.blockDim.x * (ag.threadIdx.y + ag.blockDim.y * ag.threadIdx.z)
        i = ag.blockIdx.x * ag.blockDim.x * ag.blockDim.y * ag.blockDim.z + t
        if i % 3 == 1:
            print("item", i, "of block", ag.blockIdx.x, "has", x[i])
            for k in range(i % 2 + 1):
                print(f"{i}.{k}: {x[i] * k}!")

    n = 2 * int(np.prod(block))
    found = check(say, Grid(2, block), np.arange(n) * 0.5)
    wanted = []
    for i in range(1, n, 3):
        wanted.append(f"item {i} of block {i // (n // 2)} has {i * 0.5}")
        wanted += [f"{i}.{k}: {i * 0.5 * k}!" for k in range(i % 2 + 1)]
    assert found.printed == wanted


@pytest.mark.parametrize("name", DTYPES)
def test_values_of_every_dtype_are_shown(name):
    @ag.kernel
    def say(x):
        i = ag.grid(1)
        print(x[i], x[i] == x[i], (i, (x[i],)), None, np.float32)

    check(say, Range(len(special_values(DTYPES[name].numpy))), special_values(DTYPES[name].numpy))


def test_constants_and_structures_are_shown():
    pair = (1, 2.5)

    @ag.kernel
    def say():
        print(pair, True, 1.0, -0.0, 1e300, f"literal {3} and {pair[0]}")
        print()
        print("")
        print("a{b}%s\\n", 'quotes "', "ü")

    found = check(say, Grid(1, 1))
    assert found.printed == ["(1, 2.5) True 1.0 -0.0 1e+300 literal 3 and 1", "", "", 'a{b}%s\\n quotes " ü']


def test_more_than_the_buffer_holds_is_counted(capfd):
    @ag.kernel
    def say():
        print(ag.grid(1), "is a number")

    say[200, 256]()
    out, err = capfd.readouterr()
    assert len(out.splitlines()) > 10_000 and "did not fit in the print buffer" in err
    lines = len(out.splitlines())
    dropped = int(err.split()[0].lstrip("("))
    assert lines + dropped == 51200


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_the_first_failed_assertion_is_raised(block):
    @ag.kernel
    def demand(x, out):
        t = ag.threadIdx.x + ag.blockDim.x * (ag.threadIdx.y + ag.blockDim.y * ag.threadIdx.z)
        i = ag.blockIdx.x * ag.blockDim.x * ag.blockDim.y * ag.blockDim.z + t
        assert x[i] >= 0, "negative"
        assert i < 5 or x[i] != 3
        out[i] = 1

    n = 3 * int(np.prod(block))
    x = np.arange(n) % 11
    x[n - 1] = -1
    found = check(demand, Grid(3, block), x, np.zeros(n))
    assert isinstance(found.error, KernelAssertionError)
    assert found.args[1].all()  # the others went on, and so did those that failed


def test_assertions_carry_their_text():
    @ag.kernel
    def demand(x):
        i = ag.grid(1)
        assert x[i] < 4 and x[i] != 2

    with pytest.raises(KernelAssertionError) as caught:
        demand[1, 32](np.arange(32))
    text = str(caught.value)
    assert text.startswith("assertion failed in kernel 'demand': x[i] < 4 and x[i] != 2 (and 28 more)\n")
    assert text.endswith("    assert x[i] < 4 and x[i] != 2\n    ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n  block (0, 0, 0), thread (2, 0, 0)")


def test_print_and_assert_and_index_errors_mix():
    @ag.kernel
    def mixed(x, out):
        i = ag.grid(1)
        print("before", i)
        out[i * 2] = x[i]
        assert i != 20
        print("after", i)

    found = check(mixed, Grid(1, 32), np.arange(32), np.zeros(50))
    assert isinstance(found.error, KernelAssertionError) and len(found.printed) == 64
    found = check(mixed, Grid(1, 32), np.arange(32), np.zeros(30))
    assert isinstance(found.error, KernelIndexError)


def test_a_kernel_works_after_one_that_failed():
    @ag.kernel
    def store(out, n):
        i = ag.grid(1)
        out[i + n] = 1

    out = np.zeros(64)
    for _ in range(3):
        with pytest.raises(KernelIndexError, match="index 64 is out of bounds"):
            store[1, 64](out, 1)
        store[1, 64](out, 0)
