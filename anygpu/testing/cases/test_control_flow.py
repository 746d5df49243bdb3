"""Control flow against plain Python: each kernel's body is also run as an ordinary function, one work-item at a time."""

from __future__ import annotations

import linecache

import numpy as np
import pytest

import anygpu as ag
from anygpu.testing.harness import BLOCKS, Grid, Range, check

N = 300


def scalar_function(function):
    """A kernel that applies ``function(int, int)`` to two arrays."""

    def apply(x, y, out):
        i = ag.grid(1)
        if i < out.size:
            out[i] = function(x[i], y[i])

    return apply


def nested_ifs(a, b):
    if a > 3:
        if b > 3:
            r = a + b
        elif b > 1:
            r = a - b
        else:
            r = 7
    elif a == 2:
        r = -1
    else:
        r = b * 10
        if a < b:
            r = r + 1
    return r


def early_returns(a, b):
    if a < 0:
        return -a
    if b < 0:
        return -b
    for k in range(a):
        if k * k > b:
            return k
        if k == 6:
            return 600
    return a * 100


def while_break_continue(a, b):
    total = 0
    n = 0
    while n < 20:
        n += 1
        if n % 3 == a % 3:
            continue
        if n > b + 5:
            break
        total += n
    else:
        total += 1000
    return total


def for_else(a, b):
    for k in range(2, a):
        if a % k == 0:
            r = k
            break
    else:
        r = -b
    return r


def nested_loops(a, b):
    total = 0
    for i in range(a % 5):
        for j in range(b % 4):
            if j == i:
                continue
            if i * j == 6:
                break
            total += i * 10 + j
        else:
            total += 1000
    return total


def loop_variable_survives(a, b):
    k = -5
    for k in range(a % 4):
        if k == b:
            break
    return k


def ranges(a, b):
    total = 0
    for k in range(a, b):
        total += k
    for k in range(b, a, -2):
        total += k * 100
    for k in range(0, 10, 3):
        total += k * 10000
    for k in range(b, b - 5, -1):
        total ^= k
    return total


def ternaries(a, b):
    x = a if a > b else b if b % 2 else -b
    return x + (1 if x == 3 else 2 if x > 3 else 3)


def chained(a, b):
    return (0 <= a < b) * 1 + (a < b <= 7) * 2 + (a != b == 3) * 4 + (-2 < a < b < 9) * 8


def boolean_values(a, b):
    return (a and b) + 10 * (a or b) + 100 * (not a) + 1000 * ((a > 0 and b > 0) or a < -2)


def while_true(a, b):
    n = 0
    while True:
        n += 1
        if n * 2 > a + b:
            break
        if n > 50:
            return -1
    return n


def collatz(a, b):
    n = abs(a) + 1
    steps = 0
    while n != 1 and steps < 200:
        n = n // 2 if n % 2 == 0 else 3 * n + 1
        steps += 1
    return steps + b


def swaps(a, b):
    x, y, z = a, b, a + b
    for _ in range(b % 3):
        x, y, z = y, z, x
    (x, y), z = (y, x), z + 1
    return x * 10000 + y * 100 + z


def augmented(a, b):
    x = a
    x += b
    x -= 2
    x *= 3
    x //= 2
    x %= 1000
    x &= 0xFF
    x |= 0x100
    x ^= b
    x <<= 2
    x >>= 1
    return x


def walrus(a, b):
    r = 0
    if (m := a * b) > 10:
        r = m
    while (m := m - 7) > 0:
        r += 1
    return r


def membership(a, b):
    return (a in (1, 2, b)) * 1 + (a not in (3, b)) * 2


def uniform_and_varying(a, b):
    r = 0
    for k in range(4):
        if k == 2:
            r += 5
            if a > 2:
                continue
        for m in range(3):
            if m > b:
                break
            r += m * k
    return r


FUNCTIONS = [
    nested_ifs, early_returns, while_break_continue,
    for_else, nested_loops, loop_variable_survives, ranges, ternaries, chained, boolean_values,
    while_true, collatz, swaps, augmented, walrus, membership, uniform_and_varying,
]  # fmt: skip


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda f: f.__name__)
def test_as_in_python(function):
    random = np.random.default_rng(3)
    x, y = random.integers(-6, 12, N), random.integers(-6, 12, N)
    wanted = [function(a, b) for a, b in zip(x.tolist(), y.tolist(), strict=True)]
    kernel = ag.kernel(scalar_function(function))
    for launch in (Range(N), Grid(N // 32 + 1, 32), Grid(N // 45 + 1, 45)):
        found = check(kernel, launch, x, y, np.zeros(N, np.int64))
        assert found.args[2].tolist() == wanted


@pytest.mark.parametrize("block", BLOCKS, ids=str)
@pytest.mark.parametrize("bounds_check", [True, False])
def test_every_block_shape(block, bounds_check):
    """Guards, loops with jumps and early returns, for whole and partial warps of one to three axes."""

    @ag.kernel(bounds_check=bounds_check)
    def mixed(x, out, place):
        bx = ag.blockIdx.x + ag.gridDim.x * ag.blockIdx.y
        t = ag.threadIdx.x + ag.blockDim.x * (ag.threadIdx.y + ag.blockDim.y * ag.threadIdx.z)
        i = bx * ag.blockDim.x * ag.blockDim.y * ag.blockDim.z + t
        if i >= out.size:
            return
        place[i] = ag.threadIdx.x * 10000 + ag.threadIdx.y * 100 + ag.threadIdx.z
        total = 0
        for k in range(x[i] % 9):
            if k == 5:
                break
            if (k + i) % 3 == 0:
                continue
            total += x[(i + k) % x.size]
        if total > 20:
            out[i] = total
            return
        out[i] = -total

    size = int(np.prod(block))
    n = size * 6 - min(5, size - 1)
    x = np.random.default_rng(1).integers(0, 50, n).astype(np.int32)
    found = check(mixed, Grid((3, 2), block), x, np.zeros(n, np.int64), np.zeros(n, np.int64))
    wanted = []
    for i in range(n):
        total = sum(int(x[(i + k) % n]) for k in range(min(5, int(x[i]) % 9)) if (k + i) % 3)
        wanted.append(total if total > 20 else -total)
    assert found.args[1].tolist() == wanted
    if len(block) == 3:
        t = np.arange(n) % size
        assert found.args[2].tolist() == (t % block[0] * 10000 + t // block[0] % block[1] * 100 + t // (block[0] * block[1])).tolist()


def test_short_circuits_keep_the_right_side_from_running():
    """The second operand would read out of bounds wherever the first already decides."""

    @ag.kernel
    def guarded(x, out):
        i = ag.grid(1)
        if i < x.size and x[i] > 3:
            out[i] = 1
        if i >= x.size or x[i] == 0:
            out[i] = 2
        out[i] += x[i] if i < x.size else 100

    x = np.arange(50) % 7
    found = check(guarded, Grid(2, 64), x, np.zeros(128, np.int64))
    assert found.error is None
    i = np.arange(128)
    value = np.where(i < 50, np.resize(x, 128), -1)
    wanted = np.where((i >= 50) | (value == 0), 2, np.where(value > 3, 1, 0)) + np.where(i < 50, value, 100)
    assert found.args[1].tolist() == wanted.tolist()


def test_chained_comparisons_stop_at_the_first_that_fails():
    @ag.kernel
    def chain(x, out):
        i = ag.grid(1)
        out[i] = 0 <= i < x.size < x[i]  # x[i] is read only where i < x.size

    found = check(chain, Grid(2, 32), np.arange(40) * 2, np.zeros(64, bool))
    assert found.error is None
    assert found.args[1].tolist() == [20 < i < 40 for i in range(64)]


def test_ranges_at_the_edges_of_int64():
    @ag.kernel
    def edges(start, stop, step, count, last):
        i = ag.grid(1)
        n = 0
        k = 0
        for k in range(start[i], stop[i], step[i]):  # noqa: B007
            n += 1
            if n == 10:
                break
        count[i] = n
        last[i] = k

    low, high = np.iinfo(np.int64).min, np.iinfo(np.int64).max
    cases = [
        (high - 2, high, 1), (high - 5, high, 3), (low + 2, low, -1), (low + 5, low, -3),
        (low, high, high), (high, low, low), (0, 0, 1), (5, 2, 1),
        (2, 5, -1), (low, low + 3, 1), (high, high - 3, -1), (0, 10, 0), (-3, 3, 2), (0, high, 1), (0, low, low),
    ]  # fmt: skip
    start, stop, step = (np.resize(np.array(column, np.int64), 32) for column in zip(*cases, strict=True))
    found = check(edges, Grid(1, 32), start, stop, step, np.zeros(32, np.int64), np.zeros(32, np.int64))
    for n, (a, b, c) in enumerate(cases):
        values = list(range(a, b, c)[:10]) if c else []
        assert (found.args[3][n], found.args[4][n]) == (len(values), values[-1] if values else 0), (a, b, c)


@pytest.mark.parametrize(
    "shape", [(1,), (255,), (256,), (1000,), (3, 70), (5, 1, 300), (2, 3, 4, 5), (1, 2, 1, 2, 1, 2, 1, 3), (0,), (4, 0, 3)], ids=str
)
def test_ranges_give_every_index_once(shape):
    ndim = len(shape)
    kernels = {
        1: ag.kernel(range_1), 2: ag.kernel(range_2), 3: ag.kernel(range_3), 4: ag.kernel(range_4), 8: ag.kernel(range_8),
    }  # fmt: skip
    found = check(kernels[ndim], Range(shape), np.zeros(shape, np.int64), np.zeros(shape, np.int64))
    assert (found.args[0] == 1).all()
    assert np.array_equal(found.args[1].ravel(), np.arange(int(np.prod(shape))))


def range_1(count, number):
    i = ag.grid(1)
    count[i] += 1
    number[i] = i


def range_2(count, number):
    i, j = ag.grid(2)
    ag.atomic.add(count, (i, j), 1)
    number[i, j] = i * ag.gridsize(2)[1] + j


def range_3(count, number):
    i, j, k = ag.grid(3)
    ag.atomic.add(count, (i, j, k), 1)
    _, b, c = ag.gridsize(3)
    number[i, j, k] = (i * b + j) * c + k


def range_4(count, number):
    index = ag.grid(4)
    size = ag.gridsize(4)
    ag.atomic.add(count, index, 1)
    number[index] = ((index[0] * size[1] + index[1]) * size[2] + index[2]) * size[3] + index[3]


def range_8(count, number):
    index = ag.grid(8)
    size = ag.gridsize(8)
    ag.atomic.add(count, index, 1)
    n = 0
    for i, s in zip(index, size):  # noqa: B905
        n = n * s + i
    number[index] = n


def test_ranges_of_several_axes_fill_arrays_of_any_layout():
    @ag.kernel
    def fill(out):
        i, j = ag.grid(2)
        out[i, j] = i * 1000 + j

    out = np.zeros((300, 7), np.int32).T
    found = check(fill, Range((7, 300)), out)
    assert np.array_equal(found.args[0], np.add.outer(np.arange(7) * 1000, np.arange(300)))


def test_grid_of_three_axes():
    @ag.kernel
    def place(out):
        x, y, z = ag.grid(3)
        w, h, d = ag.gridsize(3)
        if x < 9 and y < 5 and z < 4:
            out[z, y, x] = x + 100 * y + 10000 * z + 1000000 * (w * h * d)

    found = check(place, Grid((2, 3, 2), (5, 2, 2)), np.zeros((4, 5, 9), np.int64))
    z, y, x = np.indices((4, 5, 9))
    assert np.array_equal(found.args[0], x + 100 * y + 10000 * z + 1000000 * (10 * 6 * 4))


def test_loop_over_an_empty_array_and_zero_blocks():
    @ag.kernel
    def total(x, out):
        s = 0
        for v in x:
            s += v
        out[ag.grid(1)] = s + 5

    assert check(total, Grid(1, 32), np.zeros(0), np.zeros(32)).args[1].tolist() == [5.0] * 32
    assert check(total, Grid(0, 32), np.zeros(3), np.ones(32)).args[1].tolist() == [1.0] * 32


def made(source):
    """The function ``kernel`` of a generated text."""
    name = f"<made {hash(source)}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    space = {"ag": ag}
    exec(compile(source, name, "exec"), space)
    return space["kernel"]


@pytest.mark.parametrize("operator", ["+ 1 +", "* x[i] -", "*"])
def test_long_chains_of_operators(operator):
    chain = f" {operator} ".join(["x[i]"] * 200)
    kernel = made(f"def kernel(x, out):\n    i = ag.grid(1)\n    out[i] = {chain}\n")
    x = np.resize([1, -1, 2], 32)
    found = check(ag.kernel(kernel), Grid(1, 32), x, np.zeros(32, np.int64)).args[1]
    assert np.array_equal(found, eval(chain, {"x": x, "i": slice(None)}))


def test_many_guards_one_after_the_other():
    guards = "".join(f"    if i == {n}:\n        return\n" for n in range(0, 400, 2))
    kernel = made(f"def kernel(out):\n    i = ag.grid(1)\n{guards}    out[i] = 1\n")
    found = check(ag.kernel(kernel), Grid(1, 32), np.zeros(32, np.int64)).args[0]
    assert found.tolist() == [i % 2 for i in range(32)]


def test_functions_that_double_are_refused_before_they_take_minutes():
    source = "def f0(v):\n    return v + 1\n"
    source += "".join(f"def f{n}(v):\n    return f{n - 1}(v) + f{n - 1}(v)\n" for n in range(1, 30))
    kernel = made(source + "def kernel(out):\n    out[0] = f29(out[0])\n")
    with pytest.raises(ag.CompileError, match="more than 8,000 statements and calls") as error:
        ag.kernel(kernel)[1, 1](np.zeros(1))
    assert "called from" in str(error.value) and "in f29" in str(error.value)


def test_calls_nested_too_deeply_are_an_error_of_the_kernel():
    source = "def f0(v):\n    return v + 1\n" + "".join(f"def f{n}(v):\n    return f{n - 1}(v) + 1\n" for n in range(1, 100))
    kernel = made(source + "def kernel(out):\n    out[0] = f99(out[0])\n")
    with pytest.raises(ag.CompileError, match="nested more than 64 deep"):
        ag.kernel(kernel)[1, 1](np.zeros(1))
