"""Hostile input: a clear exception or the right answer, never a crash, a hang or a write where none was asked for."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import textwrap
import threading
import warnings

import numpy as np
import pytest

import anygpu as ag
from anygpu.errors import ArgumentError, CopyWarning, KernelIndexError, LaunchError, ReadOnlyError
from anygpu.testing.harness import FILLER, MARGIN, clone


@ag.kernel
def double(x, out):
    i = ag.grid(1)
    if i < out.size:
        out[i] = x[i] * 2


@ag.kernel
def store(out, index, value):
    out[index] = value


# ------------------------------------------------------------------------------------------------------------------------ arguments


class Lying:
    """Claims an array that is not there."""

    def __init__(self, **claims: object) -> None:
        self.__array_interface__ = {"version": 3, "shape": (4,), "typestr": "<f4", "data": (4096, False), **claims}


class Raising:
    @property
    def __array_interface__(self) -> dict[str, object]:
        raise RuntimeError("no array today")


class BadCapsule:
    def __dlpack__(self, **kwargs: object) -> object:
        return object()

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)


class OtherDevice(BadCapsule):
    def __dlpack_device__(self) -> tuple[int, int]:
        return (2, 0)


class Inconstant:
    """Tells the truth about its memory once, for each of the protocols."""

    def __init__(self, protocol: str) -> None:
        self.array = np.arange(4.0)
        self.protocol, self.asked = protocol, 0

    def __getattr__(self, name: str) -> object:
        if name != self.__dict__.get("protocol"):
            raise AttributeError(name)
        self.asked += 1
        truth = getattr(self.array, name)
        return truth if self.asked == 1 else {**truth, "data": (16, False)}


class Struct:
    """Claims an array by ``__array_struct__``, as NumPy's C interface defines it."""

    class Fields(ctypes.Structure):
        _fields_ = (
            ("two", ctypes.c_int), ("nd", ctypes.c_int), ("typekind", ctypes.c_char), ("itemsize", ctypes.c_int), ("flags", ctypes.c_int),
            ("shape", ctypes.POINTER(ctypes.c_ssize_t)), ("strides", ctypes.POINTER(ctypes.c_ssize_t)), ("data", ctypes.c_void_p),
            ("descr", ctypes.py_object),
        )  # fmt: skip

    def __init__(self, data: int, stride: int = 8) -> None:
        self.shape, self.strides = (ctypes.c_ssize_t * 1)(4), (ctypes.c_ssize_t * 1)(stride)
        self.fields = Struct.Fields(2, 1, b"f", 8, 0x701, self.shape, self.strides, data, None)

    @property
    def __array_struct__(self) -> object:
        new = ctypes.pythonapi.PyCapsule_New
        new.restype, new.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
        return new(ctypes.addressof(self.fields), None, None)


class Boasting(np.ndarray):
    """A subclass that claims to be larger than it is."""

    shape = property(lambda self: (10**9,))  # type: ignore[assignment]
    strides = property(lambda self: (8,))  # type: ignore[assignment]
    size = property(lambda self: 10**9)  # type: ignore[assignment]
    nbytes = property(lambda self: 8 * 10**9)  # type: ignore[assignment]
    __array_interface__ = property(lambda self: {"version": 3, "shape": (10**9,), "typestr": "<f8", "data": (16, False)})  # type: ignore[assignment]


REFUSED = {
    "a list": ([1.0, 2.0], "argument 'x' is a list, which kernels do not take: make an array of it with np.array"),
    "a dict": ({}, "argument 'x' is a dict, which kernels do not take"),
    "a set": ({1}, "argument 'x' is a set, which kernels do not take"),
    "an object": (object(), "argument 'x' is a object, which kernels do not take"),
    "objects": (np.array([1, "a"], object), "argument 'x' has dtype object, which kernels cannot hold"),
    "strings": (np.array(["a", "b"]), "argument 'x' has dtype <U1, which kernels cannot hold"),
    "dates": (np.array(["2020-01-01"], "M8[D]"), "argument 'x' has dtype datetime64[D], which kernels cannot hold"),
    "long doubles": (np.zeros(4, np.longdouble), "argument 'x' has dtype float128, which kernels cannot hold"),
    "a masked array": (np.ma.masked_array([1.0], [True]), "argument 'x' is a masked array, whose mask a kernel would ignore"),
    "nine axes": (np.zeros((1,) * 9), "argument 'x' has 9 axes; kernels take up to 8"),
    "a huge int": (10**30, "argument 'x': the integer 1000000000000000000000000000000 does not fit in 64 bits"),
    "a huge negative int": (-(2**63) - 1, "argument 'x': the integer -9223372036854775809 does not fit in 64 bits"),
    "records of objects": (np.zeros(2, [("a", object)]), "argument 'x': field 'a' has dtype object, which kernels cannot hold in a record"),
    "nested records": (np.zeros(2, [("a", [("b", "f4")])]), "argument 'x': field 'a' has dtype"),
    "memory that is not there": (Lying(), "its __array_interface__ names memory from 0x1000 to 0x1010, which this process does not have"),
    "a null pointer": (Lying(data=(0, False)), "argument 'x'"),
    "an array past the end of memory": (Lying(data=(2**63, False)), "argument 'x'"),
    "huge extents": (Lying(shape=(2**62, 2**62)), "argument 'x'"),
    "negative extents": (Lying(shape=(-1,)), "its __array_interface__ has the shape (-1,)"),
    "strides that leave memory": (Lying(strides=(1 << 50,)), "which this process does not have"),
    "too few strides": (Lying(shape=(2, 2), strides=(4,)), "has 2 axes and 1 strides"),
    "a nonsense dtype": (Lying(typestr="<z9"), "argument 'x'"),
    "no shape": (Lying(shape=None), "argument 'x'"),
    "a struct of memory that is not there": (Struct(16), "its __array_struct__ names memory from 0x10 to 0x30, which this"),
    "a struct whose strides leave memory": (Struct(id(np), 1 << 45), "its __array_struct__ names memory from"),
    "strides that are no tuple": (Lying(strides=5), "has 1 axes and 5 strides"),
    "an interface that is no dict": (type("Odd", (), {"__array_interface__": 5})(), "argument 'x'"),
    "an interface that raises": (Raising(), "argument 'x'"),
    "a capsule that is none": (BadCapsule(), "argument 'x' (BadCapsule) could not be read as an array"),
    "another device's memory": (OtherDevice(), "argument 'x' (OtherDevice) could not be read as an array"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_kernels_do_not_take_is_refused(name: str) -> None:
    value, text = REFUSED[name]
    with pytest.raises(ArgumentError) as caught:
        double.forall(4)(value, np.zeros(4))
    assert text in str(caught.value)


def test_what_an_object_says_of_its_memory_is_read_once() -> None:
    out = np.zeros(4)
    claim = Inconstant("__array_interface__")
    double.forall(4)(claim, out)
    assert out.tolist() == [0.0, 2.0, 4.0, 6.0]
    assert claim.asked == 1
    with pytest.raises(ArgumentError, match="which this process does not have"):
        double.forall(4)(claim, out)


def test_an_honest_struct_is_taken_as_it_is() -> None:
    x, out = np.arange(4.0), np.zeros(4)
    double.forall(4)(Struct(x.ctypes.data), out)
    assert out.tolist() == [0.0, 2.0, 4.0, 6.0]
    double.forall(2)(Struct(x.ctypes.data + 24, -8), out)
    assert out.tolist() == [6.0, 4.0, 4.0, 6.0]


def test_a_subclass_is_taken_for_what_it_is() -> None:
    x, out = np.arange(4.0), np.zeros(4)
    for _ in range(3):
        double.forall(4)(x.view(Boasting), out)
    assert out.tolist() == [0.0, 2.0, 4.0, 6.0]
    with pytest.raises(KernelIndexError, match=r"with shape \(4,\)"):
        store[1, 1](out.view(Boasting), 10**6, 1.0)


def test_wrong_kinds_and_ranks_are_compile_errors() -> None:
    for value in (5, 2.5, None, "text", np.float32, (1, 2), 1j):
        with pytest.raises((ag.CompileError, ArgumentError)):
            double.forall(4)(np.zeros(4), value)
    with pytest.raises(ag.CompileError, match="cannot be set to array"):
        store[1, 1](np.zeros(3), 0, np.zeros(2))


def test_counts_and_names_of_arguments() -> None:
    with pytest.raises(ArgumentError, match=r"kernel 'double\(x, out\)': missing a required argument: 'out'"):
        double.forall(4)(np.zeros(4))
    with pytest.raises(ArgumentError, match=r"too many positional arguments"):
        double.forall(4)(1, 2, 3)
    with pytest.raises(ArgumentError, match=r"unexpected keyword argument 'y'"):
        double.forall(4)(np.zeros(4), np.zeros(4), y=2)
    out = np.zeros(4)
    double.forall(4)(out=out, x=np.ones(4))
    assert out.tolist() == [2.0] * 4


def test_byte_order_and_alignment_are_mended_with_a_warning() -> None:
    swapped = np.arange(4, dtype=">f4")
    with pytest.warns(CopyWarning, match="argument 'x' has the byte order of another machine"):
        out = np.zeros(4, np.float32)
        double.forall(4)(swapped, out)
    assert out.tolist() == [0.0, 2.0, 4.0, 6.0]
    with pytest.warns(CopyWarning, match="argument 'out' has the byte order of another machine"):
        double.forall(4)(out, swapped)
    assert swapped.tolist() == [0.0, 4.0, 8.0, 12.0]
    crooked = np.zeros(33, np.uint8)[1:].view(np.float64)
    with pytest.warns(CopyWarning, match="argument 'out' is not aligned"):
        double.forall(4)(np.arange(4.0), crooked)
    assert crooked.tolist() == [0.0, 2.0, 4.0, 6.0]
    frozen = np.arange(4, dtype=">f4")
    frozen.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CopyWarning)
        with pytest.raises(ReadOnlyError):
            double.forall(4)(out, frozen)


def test_subclasses_and_buffers_are_arrays() -> None:
    class Named(np.ndarray):
        pass

    out = np.zeros(4).view(Named)
    double.forall(4)(np.ones(4).view(Named), out)
    assert out.tolist() == [2.0] * 4
    double.forall(4)(memoryview(np.arange(4.0)), out)
    assert out.tolist() == [0.0, 2.0, 4.0, 6.0]
    raw = bytearray(b"\x01\x02\x03\x04")
    double.forall(4)(raw, out)
    assert out.tolist() == [2.0, 4.0, 6.0, 8.0]
    with pytest.raises(ReadOnlyError):
        double.forall(4)(out, b"1234")


def test_empty_arrays_and_ranges() -> None:
    for shape in ((0,), (0, 3), (3, 0)):
        empty = np.zeros(shape)

        @ag.kernel
        def touch(x, out):
            i = ag.grid(1)
            if x.size > 0:
                out[i] = 1
            out[i] += x.size

        out = np.zeros(4)
        touch.forall(4)(empty, out)
        assert out.tolist() == [0.0] * 4
    double.forall(0)(np.zeros(4), np.zeros(4))
    double[0, 32](np.zeros(4), np.zeros(4))
    with pytest.raises(KernelIndexError, match=r"index 0 is out of bounds for array 'out' with shape \(0,\)"):
        store[1, 1](np.zeros(0), 0, 1.0)


@pytest.mark.parametrize("index", [4, -1, 2**31, -(2**31), 2**32, 2**40, 2**62, -(2**63), 2**63 - 1, 2**63, 2**64 - 1])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64, np.complex128])
def test_no_index_reaches_other_memory(index: int, dtype: type) -> None:
    for made in (np.zeros(4, dtype), np.zeros((4, 3), dtype)[::-1, 1], np.zeros(40, dtype)[::10]):
        out, raw = clone(made)
        with pytest.raises(KernelIndexError, match="is out of bounds for array 'out' with shape"):
            store[3, 64](out, index, 1)
        assert not out.any() and (raw[:MARGIN] == FILLER).all() and (raw[-MARGIN:] == FILLER).all()


def test_floats_that_no_integer_holds_are_clamped() -> None:
    @ag.kernel
    def convert(x, a, b, c):
        i = ag.grid(1)
        a[i] = np.int8(x[i])
        b[i] = np.uint64(x[i])
        c[i] = int(x[i])

    x = np.array([np.nan, np.inf, -np.inf, 1e300, -1e300, 300.7, -300.7])
    a, b, c = np.zeros(7, np.int8), np.zeros(7, np.uint64), np.zeros(7, np.int64)
    convert.forall(7)(x, a, b, c)
    high, low = 2**63 - 1, -(2**63)
    assert a.tolist() == [0, 127, -128, 127, -128, 127, -128]
    assert b.tolist() == [0, 2**64 - 1, 0, 2**64 - 1, 0, 300, 0]
    assert c.tolist() == [0, high, low, high, low, 300, -300]


# ------------------------------------------------------------------------------------------------------------------- configurations

CONFIGURATIONS = [
    (lambda k: k[1], "kernel[grid, block] takes a grid and a block"),
    (lambda k: k[1, 2, 0, 4, 5], "kernel[grid, block] takes a grid and a block"),
    (lambda k: k[1, 0], "a block of (0, 1, 1) has 0 work-items; it must have 1 to 1024"),
    (lambda k: k[1, 1025], "a block of (1025, 1, 1) has 1025 work-items; it must have 1 to 1024"),
    (lambda k: k[1, (32, 32, 2)], "has 2048 work-items"),
    (lambda k: k[-1, 32], "the grid must not be negative: -1"),
    (lambda k: k[1, -32], "the block must not be negative: -32"),
    (lambda k: k[1.5, 32], "the grid must be an integer, not 1.5"),
    (lambda k: k["a", 32], "the grid must be an integer, not 'a'"),
    (lambda k: k[None, 32], "the grid must be an integer, not None"),
    (lambda k: k[(1, 2, 3, 4), 32], "the grid has 1 to 3 axes, not 4"),
    (lambda k: k[(), 32], "the grid has 1 to 3 axes, not 0"),
    (lambda k: k[2**31, 32], "the grid has 2147483648 blocks along x; the limit is 2147483647"),
    (lambda k: k[(1, 65536), 32], "the grid has 65536 blocks along y; the limit is 65535"),
    (lambda k: k[10**30, 32], "the limit is 2147483647"),
    (lambda k: k[1, 32, "stream"], "a stream is what device.create_stream() makes"),
    (lambda k: k[1, 32, 0, -8], "the dynamic shared memory must not be negative: -8"),
    (lambda k: k[1, 32, 0, 1 << 40], "dynamic shared memory"),
    (lambda k: k.forall(-1), "negative extent"),
    (lambda k: k.forall(2.5), "forall takes an int or a sequence of ints, not 2.5"),
    (lambda k: k.forall("abc"), "forall takes an int or a sequence of ints"),
    (lambda k: k.forall(()), "forall takes 1 to 8 axes, not 0"),
    (lambda k: k.forall((1,) * 9), "forall takes 1 to 8 axes, not 9"),
    (lambda k: k.forall((2**40, 2**40)), "is too large"),
    (lambda k: k(np.zeros(4), np.zeros(4)), "needs a launch configuration: double[grid, block](...) or double.forall(shape)(...)"),
]


@pytest.mark.parametrize("number", range(len(CONFIGURATIONS)))
def test_configurations_that_cannot_be(number: int) -> None:
    make, text = CONFIGURATIONS[number]
    with pytest.raises(LaunchError) as caught:
        make(double)(np.zeros(4), np.zeros(4))
    assert text in str(caught.value)


def test_numpy_integers_configure_too() -> None:
    out = np.zeros(4)
    double[np.int64(1), (np.uint8(4),)](np.ones(4), out)
    double.forall(np.array([4]))(np.ones(4), out)
    assert out.tolist() == [2.0] * 4


# ------------------------------------------------------------------------------------------------------------ threads and processes


def test_many_threads_launch_at_once() -> None:
    @ag.kernel
    def work(x, out, n):
        i = ag.grid(1)
        total = 0
        for k in range(n):
            total += x[(i + k) % x.size]
        out[i] = total

    x = np.arange(3000)
    wrong: list[object] = []

    def launch(number: int) -> None:
        try:
            for n in range(1, 12):
                out = np.zeros(3000, np.int64)
                work.forall(3000)(x, out, n + number)
                expected = sum(np.roll(x, -k) for k in range(n + number))
                if not np.array_equal(out, expected):
                    wrong.append((number, n))
                try:
                    work.forall(3001)(x, out, 1)
                    wrong.append((number, n, "no error"))
                except KernelIndexError:
                    continue
        except Exception as error:  # noqa: BLE001  a thread must report whatever it meets
            wrong.append(error)

    threads = [threading.Thread(target=launch, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


PRELUDE = """
import os, sys, threading
import numpy as np
import anygpu as ag

@ag.kernel
def fill(out, n):
    i = ag.grid(1)
    total = 0
    for k in range(n):
        total += k % 7
    out[i] = total

def right(n=200):
    out = np.zeros(100_000, np.int64)
    fill.forall(out.size)(out, n)
    return (out == sum(k % 7 for k in range(n))).all()
"""

PROGRAMS = {
    "fork after a parallel launch": """
        assert right() and right()
        child = os.fork()
        if child == 0:
            os._exit(0 if right() and right(300) else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert right()
    """,
    "fork while another thread launches": """
        stop = False
        def work():
            while not stop:
                assert right(50)
        thread = threading.Thread(target=work)
        thread.start()
        for _ in range(3):
            child = os.fork()
            if child == 0:
                os._exit(0 if right(60) else 1)
            assert os.waitpid(child, 0)[1] == 0
        stop = True
        thread.join()
    """,
    "fork while another thread compiles": """
        os.environ["ANYGPU_CACHE"] = "0"  # read at the first launch: so each process compiles, and the thread is at it when the first forks
        thread = threading.Thread(target=right)
        thread.start()
        for _ in range(3):
            child = os.fork()
            if child == 0:
                os._exit(0 if right(60) else 1)
            assert os.waitpid(child, 0)[1] == 0
        thread.join()
    """,
    "leaving while the pool waits": """
        assert right()
        sys.exit(0)
    """,
    "leaving while a daemon thread launches": """
        import time
        @ag.kernel
        def count(x, n):
            while x[0] < n:
                x[0] += 1
        launch = count[1, 1]
        def work():
            x = np.zeros(1)
            while True:
                x[0] = 0
                launch(x, 1 if launch.native is None else 200_000)
        for _ in range(3):
            threading.Thread(target=work, daemon=True).start()
        time.sleep(0.3)
    """,
    "a launch in a thread that ends": """
        thread = threading.Thread(target=right)
        thread.start()
        thread.join()
        assert right()
    """,
    "division, shifts and INT_MIN": """
        @ag.kernel
        def trap(a, b, out):
            i = ag.grid(1)
            out[i] = a[i] // b[i] + a[i] % b[i] + (a[i] << b[i]) + (a[i] >> b[i])
        for t in (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint64):
            a = np.full(64, np.iinfo(t).min, t)
            b = np.resize(np.array([0, -1 if np.iinfo(t).min else 0, 1, 100], t), 64)
            trap.forall(64)(a, b, np.zeros(64, t))
    """,
    "wild indices without checks stay in the program's rules": """
        @ag.kernel(bounds_check=False)
        def guarded(x, out, n):
            i = ag.grid(1)
            if i < n:
                out[i] = x[i]
        out = np.zeros(5)
        for block in (32, 45, 256):
            guarded[100_000, block](np.arange(5.0), out, 5)
        assert out.tolist() == [0, 1, 2, 3, 4]
    """,
    "indices far outside": """
        @ag.kernel
        def wild(x, out, step):
            i = ag.grid(1)
            out[i * step] = x[i * step + step]
            ag.atomic.add(out, -i * step - 1, 1.0)
        for step in (1, -1, 2**20, 2**33, 2**61, -(2**63)):
            try:
                wild[64, 64](np.zeros(10), np.zeros(10), step)
            except IndexError:
                continue
            raise SystemExit("no error")
    """,
    "garbage in bools": """
        flags = np.arange(256, dtype=np.uint8).view(np.bool_)
        @ag.kernel
        def use(f, table, out):
            i = ag.grid(1)
            out[i] = table[np.int64(f[i])] + (10 if f[i] else 20)
        out = np.zeros(256, np.int64)
        use.forall(256)(flags, np.array([1, 2]), out)
        assert out.tolist() == [21] + [12] * 255
    """,
    "shared memory up to its limit": """
        @ag.kernel
        def big(out):
            a = ag.shared.array(24 * 1024, np.float64)
            m = ag.local.array(8 * 1024, np.float64)
            t = ag.threadIdx.x
            for k in range(t, a.size, ag.blockDim.x):
                a[k] = k
            for k in range(m.size):
                m[k] = t
            ag.syncthreads()
            out[ag.grid(1)] = a[a.size - 1 - t] + m[m.size - 1]
        out = np.zeros(2048)
        big[2, 1024](out)
        assert (out == 24 * 1024 - 1).all()
    """,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_process_lives(name: str, tmp_path) -> None:
    """Each in a process of its own: it ends by itself, without a signal and in time."""
    if "fork" in name and not hasattr(os, "fork"):
        pytest.skip("needs fork")
    path = tmp_path / "program.py"
    path.write_text(PRELUDE + textwrap.dedent(PROGRAMS[name]))
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"ended with {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
