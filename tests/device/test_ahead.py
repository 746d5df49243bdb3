"""Kernels that were compiled ahead of time: what `anygpu compile` writes, what `ag.load` launches, and what C calls."""

from __future__ import annotations

import ctypes
import importlib.util
import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

import anygpu as ag
from anygpu.cli.main import main
from anygpu.codegen import library as library_module
from anygpu.codegen.offline import can_link, linker
from anygpu.errors import (
    ArgumentError,
    KernelAssertionError,
    KernelIndexError,
    LaunchError,
    LoadError,
    ReadOnlyError,
)
from anygpu.runtime.processor import levels_of, usable_targets

SOURCE = Path(__file__).with_name("ahead_kernels.py")
NAMES = "saxpy,stencil,pull,reverse,rotate,uneven,across,mixed,count,beyond,asserts,says"
PORTABLE = "saxpy,stencil,pull,reverse,rotate,mixed,count,beyond,asserts"

_spec = importlib.util.spec_from_file_location("ahead_kernels", SOURCE)
assert _spec is not None and _spec.loader is not None
kernels = importlib.util.module_from_spec(_spec)
sys.modules["ahead_kernels"] = kernels
_spec.loader.exec_module(kernels)


def compile_to(folder: Path, names: str, target: str, *options: str) -> Path:
    arguments = ["compile", f"{SOURCE}:{names}", "--target", target, "-o", str(folder), *options]
    modules, path = set(sys.modules), list(sys.path)
    try:
        assert main(arguments) == 0
    finally:
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            if "ahead_kernels" in name:
                del sys.modules[name]
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Every kernel, for this machine's processor."""
    return compile_to(tmp_path_factory.mktemp("ahead") / "out", NAMES, "native")


@pytest.fixture(scope="module")
def loaded(folder):
    return ag.load(folder)


@pytest.fixture(scope="module")
def spirv(tmp_path_factory):
    return ag.load(compile_to(tmp_path_factory.mktemp("spirv") / "out", PORTABLE, "spirv"))


def rng():
    return np.random.default_rng(7)


def floats(*shape):
    return rng().random(shape, np.float32)


def scalars(flag, half, big):
    return (flag, np.float16(half), ag.bfloat16(3), np.complex64(1 - 2j), np.uint8(200), big, np.zeros(50, complex))


BODY = kernels.Body(np.float32(1.5), (np.float32(2.0), np.float32(0.25)))

# name, configuration (a tuple is [grid, block], an int forall), arguments
CASES = {
    "range": ("saxpy", 1000, lambda: (np.float32(2.5), floats(1000), floats(1000), np.zeros(1000, np.float32))),
    "grid of lines": ("saxpy", (9, 128), lambda: (np.float32(2.5), floats(1000), floats(1000), np.zeros(1000, np.float32))),
    "odd blocks": ("saxpy", (11, 99), lambda: (np.float32(2.5), floats(1000), floats(1000), np.zeros(1000, np.float32))),
    "blocks of eight": ("saxpy", (130, 8), lambda: (np.float32(2.5), floats(1000), floats(1000), np.zeros(1000, np.float32))),
    "strided": ("stencil", ((5, 5), (16, 16)), lambda: (floats(70, 140)[:, ::2], np.zeros((70, 70), np.float32))),
    "planes": ("stencil", ((24, 14), (3, 5)), lambda: (floats(70, 140)[:, ::2], np.zeros((70, 70), np.float32))),
    "strided range": ("stencil", (70, 70), lambda: (floats(70, 140)[::-1, ::2], np.zeros((70, 70), np.float32))),
    "structure": ("pull", 333, lambda: (BODY, 0.125, rng().random(333))),
    "shared": ("reverse", (10, 64), lambda: (np.arange(640, dtype=np.int32),)),
    "dynamic": ("rotate", (5, 48, None, 48 * 4), lambda: (floats(240),)),
    "coroutine": ("uneven", (4, 96), lambda: (np.arange(384, dtype=np.int64),)),
    "whole grid": ("across", (6, 32), lambda: (np.arange(192), np.zeros(192, np.int64))),
    "scalars": ("mixed", 50, lambda: scalars(True, 0.1, -7)),
    "other scalars": ("mixed", 50, lambda: scalars(False, 1, 1 << 40)),
    "atomics": ("count", 5000, lambda: (rng().integers(0, 256, 5000, np.uint8), np.zeros(16, np.int32))),
}  # fmt: skip


def launch(kernel, configuration, arguments):
    ranged = isinstance(configuration, int) or (kernel.name == "stencil" and configuration == (70, 70))
    (kernel.forall(configuration) if ranged else kernel[configuration])(*arguments)
    return arguments


def same(a, b):
    return all(x.tobytes() == y.tobytes() for x, y in zip(a, b, strict=True) if isinstance(x, np.ndarray))


# ------------------------------------------------------------------------------------------------------------------ loading


@pytest.mark.parametrize("case", CASES)
def test_the_cpu_computes_what_the_kernel_computes(loaded, case):
    name, configuration, arguments = CASES[case]
    expected = launch(getattr(kernels, name), configuration, arguments())
    for _ in range(3):  # the first launch, one from a plan, one from the quick path
        found = launch(getattr(loaded, name), configuration, arguments())
        assert same(found, expected)
    assert not same(found, arguments())


@pytest.mark.parametrize("case", [case for case, (name, *_) in CASES.items() if name in PORTABLE.split(",")])
def test_an_opencl_device_computes_what_the_kernel_computes(spirv, case):
    if "opencl:0" not in [found.name for found in ag.devices()]:
        pytest.skip(f"no OpenCL device: {ag.problems().get('opencl')}")
    name, configuration, arguments = CASES[case]
    expected = launch(getattr(kernels, name), configuration, arguments())
    with ag.Device("opencl:0"):
        for _ in range(2):
            assert same(launch(getattr(spirv, name), configuration, arguments()), expected)


def test_python_numbers_go_to_scalars_that_hold_them(loaded):
    x = floats(300)
    expected, out = np.zeros((2, 300), np.float32)
    kernels.saxpy.forall(300)(np.float32(0.1), x, x, expected)
    for value in (0.1, 0.1, np.float32(0.1)):
        out[:] = 0
        loaded.saxpy.forall(300)(value, x, x, out)
        assert same((out,), (expected,))
    loaded.saxpy.forall(300)(3, x, x, out)
    assert same((out,), (np.float32(3) * x + x,)) or np.allclose(out, 4 * x)
    z = np.zeros(4, complex)
    loaded.mixed.forall(4)(True, 0.5, 2, 1j, 200, 5, z)
    assert z.tolist() == [2 + 0.5j] * 4
    loaded.saxpy.forall(300)(1e300, x, x, out)
    assert np.isinf(out[x > 0]).all()
    many = np.ones(100_000, np.float32)  # too many to be launched by the quick path
    result = np.zeros_like(many)
    for value, found in ((0.1, np.float32(0.1) + 1), (0.1, np.float32(0.1) + 1), (1e300, np.inf), (0.25, 1.25), (-7.0, -6)):
        loaded.saxpy.forall(many.size)(value, many, many, result)
        assert (result == np.float32(found)).all()
        loaded.saxpy.forall(300)(value, many[:300], many[:300], out)
        assert (out == np.float32(found)).all()
    with pytest.raises(ArgumentError, match=r"^argument 'n': 256 does not fit in uint8, for which the kernel was compiled$"):
        loaded.mixed.forall(4)(True, 0.5, 2, 1j, 256, 5, z)


def test_large_launches_take_the_variant_for_them(loaded):
    """A long axis of stride 0 is not small; nor is a number beyond 32 bits."""
    image = np.broadcast_to(np.float32(1), (3, 1 << 31))
    out = np.zeros((3, 100), np.float32)
    loaded.stencil.forall((100, 3))(image, out)
    assert out[1, 1:-1].tolist() == [1.0] * 98


def test_a_module_shows_its_kernels(loaded, folder):
    assert dir(loaded) == sorted(NAMES.split(","))
    assert repr(loaded) == f"<anygpu kernels 'ahead_kernels' from {folder}: {NAMES.replace(',', ', ')}; for native>"
    array = "array(float32, 1d, C)"
    assert repr(loaded.saxpy) == f"<anygpu kernel saxpy(a, x, y, out), compiled ahead of time for (float32, {array}, {array}, {array})>"
    assert (loaded.saxpy.__doc__, loaded.saxpy.__name__) == ("a * x + y", "saxpy")
    with pytest.raises(AttributeError, match=f"^this folder holds no kernel 'axpy', only {NAMES.replace(',', ', ')}$"):
        loaded.axpy
    with pytest.raises(LaunchError, match=r"^kernel 'saxpy' needs a launch configuration"):
        loaded.saxpy(1.0)
    with pytest.raises(LaunchError) as caught:
        loaded.saxpy.inspect()
    assert str(caught.value) == (
        "kernel 'saxpy' was compiled ahead of time and has no stages to show\n  hint: anygpu inspect FILE.py:saxpy"
    )
    with pytest.raises(TypeError, match=r"^kernel 'saxpy' was compiled ahead of time: ag.sanitize needs its source$"):
        ag.sanitize(loaded.saxpy)


def test_reports_are_those_of_the_kernel(loaded, capsys):
    def said(kernel, error, *arguments):
        with pytest.raises(error) as caught:
            kernel.forall(1000)(*arguments)
        return str(caught.value)

    x, out = floats(1000), np.zeros(1000, np.float32)
    message = said(loaded.beyond, KernelIndexError, x, out)
    assert message == said(kernels.beyond, KernelIndexError, x, out)
    assert message.startswith("index 1000 is out of bounds for array 'x' with shape (1000,) in kernel 'beyond' (and 2 more)\n")
    assert message.endswith("    out[i] = x[i + 3]\n             ^^^^^^^^\n  block (3, 0, 0), thread (229, 0, 0)")
    numbers = np.arange(1000, dtype=np.int32)
    message = said(loaded.asserts, KernelAssertionError, numbers)
    assert message == said(kernels.asserts, KernelAssertionError, numbers)
    assert message.startswith("assertion failed in kernel 'asserts': too large (and 99 more)\n")
    loaded.says.forall(1000)(numbers)
    assert capsys.readouterr().out == "seven at 7\n"


def test_reports_of_an_opencl_device(spirv):
    if "opencl:0" not in [found.name for found in ag.devices()]:
        pytest.skip(f"no OpenCL device: {ag.problems().get('opencl')}")
    with ag.Device("opencl:0"), pytest.raises(KernelIndexError) as caught:
        spirv.beyond.forall(1000)(floats(1000), np.zeros(1000, np.float32))
    assert "index 1000 is out of bounds for array 'x' with shape (1000,) in kernel 'beyond' (and 2 more)\n" in str(caught.value)
    assert str(caught.value).endswith("  block (3, 0, 0), thread (229, 0, 0)")


def test_source_lines_are_shown_where_the_source_is_not(tmp_path):
    source = tmp_path / "gone_kernels.py"
    source.write_text("import anygpu as ag\n\n@ag.kernel\ndef off(x: 'f32[:]'):\n    x[ag.grid(1) + 1] = 0\n")
    script = f"""
        import numpy as np, anygpu as ag
        try:
            ag.load({str(tmp_path / "out")!r}).off.forall(4)(np.zeros(4, np.float32))
        except IndexError as error:
            print(error)
    """
    command = [sys.executable, "-m", "anygpu.cli", "compile", str(source), "--target", "native", "-o", str(tmp_path / "out")]
    subprocess.run(command, check=True, capture_output=True)
    source.unlink()
    shown = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True, capture_output=True, text=True).stdout
    assert "    x[ag.grid(1) + 1] = 0\n    ^^^^^^^^^^^^^^^^^\n" in shown


def test_arguments_of_other_types_are_refused(loaded):
    x, out = floats(300), np.zeros(300, np.float32)
    array = "array(float32, 1d, C)"

    def refusal(*arguments):
        with pytest.raises(ArgumentError) as caught:
            loaded.saxpy.forall(300)(*arguments)
        return str(caught.value)

    head = f"kernel 'saxpy' was compiled ahead of time for (float32, {array}, {array}, {array}), and was given "
    tail = "  hint: pass arguments of these types, or compile it for those too"
    assert refusal(np.float64(2), x.astype(np.float64), x, out) == (
        f"{head}(float64, array(float64, 1d, C), {array}, {array})\n"
        "  argument 'a' is float64, and must be float32\n"
        f"  argument 'x' is array(float64, 1d, C), and must be {array}\n{tail}"
    )
    assert refusal(2.0, floats(2, 150), x, out) == (
        f"{head}(float, array(float32, 2d, C), {array}, {array})\n  argument 'x' is array(float32, 2d, C), and must be {array}\n{tail}"
    )
    assert refusal(2.0, floats(600)[::2], x, out) == (
        f"{head}(float, array(float32, 1d, A), {array}, {array})\n"
        "  argument 'x' is array(float32, 1d, A), and must be C-contiguous: "
        f"pass np.ascontiguousarray of it, or compile for 'float32[...] strided'\n{tail}"
    )
    assert refusal(2.0, x, x) == "kernel 'saxpy(a, x, y, out)': missing a required argument: 'out'"
    assert refusal((1.0,), x, x, out).split("\n")[1] == "  argument 'a' is (float,), and must be float32"
    frozen = out.view()
    frozen.flags.writeable = False
    with pytest.raises(ReadOnlyError, match=r"^argument 'out' is read-only and kernel 'saxpy' writes it: pass a copy$"):
        loaded.saxpy.forall(300)(2.0, x, x, frozen)
    loaded.saxpy.forall(300)(1.0, np.broadcast_to(x, x.shape), frozen, out)  # what is only read may be read-only
    with pytest.raises(ArgumentError) as caught:
        loaded.pull.forall(3)((1.0, 2.0, 3.0), 0.5, np.zeros(3))
    assert str(caught.value).split("\n")[1] == (
        "  argument 'body' is (float, float, float), and must be a structure of mass: float32, at: (float32, float32)"
    )


def test_launches_that_were_not_compiled_are_refused(loaded, tmp_path):
    x, out = floats(300), np.zeros(300, np.float32)
    with pytest.raises(LaunchError) as caught:
        loaded.saxpy.forall((3, 100))(1.0, x, x, out)
    assert str(caught.value) == (
        "kernel 'saxpy' was compiled ahead of time for blocks and ranges of 1 axis, not for a range of 2 axes\n"
        "  hint: compile it with --forall for 2 axes, or without"
    )
    fixed = ag.load(compile_to(tmp_path / "out", "reverse,saxpy", "native", "--block", "64"))
    data = np.arange(128, dtype=np.int32)
    fixed.reverse[2, 64](data)
    assert data[:3].tolist() == [63, 62, 61]
    with pytest.raises(LaunchError) as caught:
        fixed.reverse[4, 32](data)
    assert str(caught.value) == (
        "kernel 'reverse' was compiled ahead of time for blocks of (64, 1, 1), not for blocks of (32, 1, 1)\n"
        "  hint: compile it with --block for that block, or without"
    )


def test_several_signatures_of_one_kernel(tmp_path):
    signatures = ["--signature", "saxpy: f32, f32[:], f32[:], f32[:]", "--signature", "saxpy: float, f64[:], f64[:], f64[:]"]
    both = ag.load(compile_to(tmp_path / "out", "saxpy", "native", *signatures))
    for dtype in (np.float32, np.float64):
        x, out = np.arange(9, dtype=dtype), np.zeros(9, dtype)
        both.saxpy.forall(9)(0.5, x, x, out)
        assert out.tolist() == (1.5 * x).tolist()
    with pytest.raises(ArgumentError) as caught:
        both.saxpy.forall(9)(0.5, np.arange(9), x, x)
    one, two = ", ".join(["array(float32, 1d, C)"] * 3), ", ".join(["array(float64, 1d, C)"] * 3)
    given = "float, array(int64, 1d, C), array(float64, 1d, C), array(float64, 1d, C)"
    assert str(caught.value) == (
        f"kernel 'saxpy' was compiled ahead of time for (float32, {one}) and (float, {two}), and was given ({given})\n"
        "  hint: pass arguments of these types, or compile it for those too"
    )
    assert "int32_t saxpy_2(const anygpu_launch *launch, double a," in (tmp_path / "out" / "ahead_kernels.h").read_text()


def test_loading_and_launching_need_no_compiler(folder):
    """Whatever of anygpu compiles, and llvmlite, cannot be imported in that process."""
    script = f"""
        import sys

        LIGHT = ("anygpu.frontend", "anygpu.frontend.signature", "anygpu.frontend.vocabulary", "anygpu.frontend.parse")
        ROOMS = ("llvmlite", "anygpu.frontend", "anygpu.codegen", "anygpu.ir", "anygpu.passes", "anygpu.libm")

        class Refusal:
            def find_spec(self, name, path=None, target=None):
                if name not in LIGHT and any(name == room or name.startswith(room + ".") for room in ROOMS):
                    raise ImportError(f"{{name}} must not be needed")

        sys.meta_path.insert(0, Refusal())
        import numpy as np, anygpu as ag

        module = ag.load({str(folder)!r})
        n = 1 << 20
        x, out = np.arange(n, dtype=np.float32), np.zeros(n, np.float32)
        for value in (2.0, np.float32(2), np.float32(2)):  # many blocks: the worker pool too
            module.saxpy.forall(n)(value, x, x, out)
            assert (out == 3 * x).all()
        numbers = np.arange(384)
        for _ in range(3):
            module.uneven[4, 96](numbers)
            module.across[12, 32](numbers, np.zeros(384, np.int64))
        small = np.arange(64, dtype=np.int32)
        for _ in range(4):  # the quick path
            module.reverse[1, 64](small)
        try:
            module.beyond.forall(n)(x, out)
        except IndexError as error:
            print(str(error).splitlines()[0])
        module.says.forall(64)(small)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == (
        "index 1048576 is out of bounds for array 'x' with shape (1048576,) in kernel 'beyond' (and 2 more)\nseven at 7\n"
    )


def test_launching_on_an_opencl_device_needs_no_llvm(spirv):
    if "opencl:0" not in [found.name for found in ag.devices()]:
        pytest.skip(f"no OpenCL device: {ag.problems().get('opencl')}")
    script = f"""
        import sys

        sys.modules["llvmlite"] = None  # importing it is an ImportError
        import numpy as np, anygpu as ag

        module = ag.load({str(spirv._folder.place)!r})
        x, out = np.arange(1000, dtype=np.float32), np.zeros(1000, np.float32)
        with ag.Device("opencl:0"):
            module.saxpy.forall(1000)(2.0, x, x, out)
            print((out == 3 * x).all())
            try:
                module.beyond.forall(1000)(x, out)
            except IndexError as error:
                print(str(error).splitlines()[0])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True, check=False)
    assert done.stderr == ""
    assert done.stdout == "True\nindex 1000 is out of bounds for array 'x' with shape (1000,) in kernel 'beyond' (and 2 more)\n"


# ---------------------------------------------------------------------------------------------------------- what is wrong with a folder


@pytest.fixture
def copy(folder, tmp_path):
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def failure(place) -> str:
    with pytest.raises(LoadError) as caught:
        ag.load(place)
    return str(caught.value)


def edit(place, change):
    path = place / "manifest.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def test_folders_that_cannot_be_loaded(copy, tmp_path):
    assert failure(tmp_path / "none") == (
        f"{tmp_path}/none holds no compiled kernels: there is no {tmp_path}/none/manifest.json\n  hint: anygpu compile writes such a folder"
    )
    library = copy / "ahead_kernels.native.o"
    good = library.read_bytes()
    library.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    assert failure(copy) == (
        f"{library} has changed since it was compiled: its SHA-256 is not the manifest's\n  hint: compile the kernels anew"
    )
    library.unlink()
    assert failure(copy) == f"{library} is missing: No such file or directory\n  hint: copy the whole folder that anygpu compile wrote"
    library.write_bytes(good)
    ag.load(copy)
    edit(copy, lambda manifest: manifest.update(format=99, anygpu="9.0"))
    assert failure(copy) == f"{copy}/manifest.json has format 99, and this anygpu reads format 1\n  hint: install anygpu 9.0 or newer"
    edit(copy, lambda manifest: manifest.update(format=0))
    assert failure(copy) == (
        f"{copy}/manifest.json has format 0, and this anygpu reads format 1\n  hint: compile the kernels anew with anygpu compile"
    )


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda m: m.pop("kernels"), "kernels is missing"),
        (lambda m: m.update(name=3), "name is a int, not a str"),
        (lambda m: m["kernels"][0]["overloads"][0]["types"][0].update(dtype="float31"), "there is no dtype 'float31'"),
        (lambda m: m["kernels"][0]["overloads"][0]["types"][0].update(kind="list"), "kernels[0].overloads[0].types[0].kind is 'list', not"
         " one of 'scalar', 'array', 'tuple'"),
        (lambda m: m["files"].update({"../x": {"sha256": "", "bytes": 0}}), "'../x' is not the name of a file in the folder"),
        (lambda m: m["libraries"][0].update(shared="/tmp/x.so"), "'/tmp/x.so' is not the name of a file in the folder"),
        (lambda m: m["kernels"][0]["overloads"][0]["cpu"][0].update(block=[1, 2]),
         "kernels[0].overloads[0].cpu[0].block has 2 items, not 3"),
    ],
)  # fmt: skip
def test_manifests_that_are_none(copy, change, problem):
    edit(copy, change)
    assert failure(copy) == f"{copy}/manifest.json is not a manifest of compiled kernels: {problem}"


def test_manifests_that_are_no_json(copy):
    (copy / "manifest.json").write_text("{")
    assert failure(copy).startswith(f"{copy}/manifest.json cannot be read: Expecting property name")


def test_no_target_fits(tmp_path, monkeypatch):
    module = ag.load(compile_to(tmp_path / "out", "saxpy", "sm_90,aarch64"))
    x = floats(10)
    monkeypatch.setattr("anygpu.engine.loaded.usable_targets", lambda: ("x86-64-v2", "x86-64"))
    with pytest.raises(LoadError) as caught:
        module.saxpy.forall(10)(1.0, x, x, x.copy())
    assert str(caught.value) == (
        "kernel 'saxpy' was compiled ahead of time for sm_90, aarch64, and the CPU of this machine takes x86-64-v2, x86-64\n"
        "  hint: compile it for that target too"
    )
    if "opencl:0" in [found.name for found in ag.devices()]:
        with ag.Device("opencl:0"), pytest.raises(LoadError, match=r"for sm_90, aarch64, and opencl:0 needs spirv\n"):
            module.saxpy.forall(10)(1.0, x, x, x.copy())


def test_the_best_target_is_chosen(tmp_path, monkeypatch):
    from anygpu.engine.loaded import best_target

    targets = ("sm_70", "sm_90", "sm_90a", "gfx942", "spirv")
    assert [best_target(targets, here) for here in ("sm_60", "sm_89", "sm_90", "sm_120", "gfx942:sramecc+:xnack-", "gfx90a", "spirv")] == [
        None, "sm_70", "sm_90a", "sm_90", "gfx942", None, "spirv",
    ]  # fmt: skip
    assert best_target(("sm_100f",), "sm_103") == "sm_100f"
    v2 = frozenset({"cx16", "lahf_lm", "popcnt", "pni", "ssse3", "sse4_1", "sse4_2"})
    assert levels_of(frozenset()) == ("x86-64",)
    assert levels_of(v2 | {"avx2"}) == ("x86-64-v2", "x86-64")
    module = ag.load(compile_to(tmp_path / "out", "saxpy,stencil,mixed", "x86-64,x86-64-v2,aarch64"))
    if "x86-64-v2" in usable_targets():
        x, out = floats(100), np.zeros(100, np.float32)
        module.saxpy.forall(100)(2.0, x, x, out)
        assert list(module._folder.programs) == ["x86-64-v2"]
        monkeypatch.setattr("anygpu.engine.loaded.usable_targets", lambda: ("x86-64",))
        other = ag.load(tmp_path / "out")
        expected = out.copy()
        out[:] = 0
        other.saxpy.forall(100)(2.0, x, x, out)
        assert list(other._folder.programs) == ["x86-64"] and same((out,), (expected,))
        for case in ("strided", "scalars"):  # the same bits, with fma and float16 in software
            name, configuration, arguments = CASES[case]
            expected = launch(getattr(kernels, name), configuration, arguments())
            assert same(launch(getattr(other, name), configuration, arguments()), expected)


def test_the_shared_library_serves_where_the_object_cannot_be_linked(folder, monkeypatch):
    """As on machines that the small linker does not know."""
    if not (folder / "libahead_kernels.native.so").exists():
        pytest.skip("there was no linker")
    monkeypatch.setattr("anygpu.engine.loaded.load_directly", lambda image: None)
    module = ag.load(folder)
    x, out = floats(1000), np.zeros(1000, np.float32)
    module.saxpy.forall(1000)(1.0, x, x, out)
    assert same((out,), (x + x,))
    assert isinstance(module._folder.programs["native"].library, ctypes.CDLL)


# ------------------------------------------------------------------------------------------------------------------ compiling


def refused(capsys, *arguments):
    assert main(["compile", *arguments]) == 1
    return capsys.readouterr().err


def test_what_compile_refuses(capsys, tmp_path, monkeypatch):
    out = ["-o", str(tmp_path / "out")]
    saxpy = f"{SOURCE}:saxpy"
    cpus = "x86-64, x86-64-v2, x86-64-v3, x86-64-v4, aarch64, native"
    assert refused(capsys, saxpy, "--target", "sm_90,z80", *out) == (
        f"anygpu: there is no target 'z80': GPUs are sm_90, gfx942, spirv and the like, CPUs {cpus}\n"
    )
    assert refused(capsys, saxpy, "--target", "native", "--forall", "8", "--block", "8", *out) == (
        "anygpu: --forall is a launch of its own: leave --block out\n"
    )
    assert refused(capsys, saxpy, "--target", "native", "--block", "2000", *out) == (
        "anygpu: --block 2000: a block has 1 to 3 axes and 1 to 1024 work-items\n"
    )
    assert refused(capsys, saxpy, "--target", "native", "--signature", "sxpy: f32", *out) == (
        "anygpu: there is a signature for 'sxpy', and the kernels are saxpy\n"
    )
    assert refused(capsys, saxpy, "--target", "native", "--name", "a b", *out) == (
        "anygpu: 'a b' is no name for a library: use letters, digits and '_'\n  hint: --name\n"
    )
    monkeypatch.setattr("anygpu.codegen.offline.comgr", lambda: None)
    monkeypatch.setattr("anygpu.codegen.offline.linker", lambda: None)
    assert refused(capsys, saxpy, "--target", "gfx942", *out) == (
        "anygpu: gfx942 needs a linker: install ROCm or the ziglang package, or put ld.lld (16 or newer) on the path\n"
    )
    assert not (tmp_path / "out").exists()
    # Python kernels that SPIR-V cannot express
    assert "spirv has no barrier of the whole grid" in refused(capsys, f"{SOURCE}:across", "--target", "spirv", *out)


def test_without_a_linker_there_is_an_object_file(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(library_module, "shared_linker", lambda cpu: None)
    place = compile_to(tmp_path / "out", "saxpy", "native")
    said = "no shared library for native, since no linker here makes one: link the object files, or put cc or ld.lld on the path"
    assert said in capsys.readouterr().out
    assert not list(place.glob("*.so"))
    x, out = floats(10), np.zeros(10, np.float32)
    ag.load(place).saxpy.forall(10)(1.0, x, x, out)
    assert same((out,), (x + x,))


def test_compiling_again_replaces_what_was_there(tmp_path):
    place = compile_to(tmp_path / "out", "saxpy", "native,sm_80")
    (place / "notes.txt").write_text("mine")
    before = {path.name for path in place.iterdir()}
    compile_to(place, "saxpy", "sm_80", "--forall", "8")
    after = {path.name for path in place.iterdir()}
    assert after == {"ahead_kernels.h", "manifest.json", "notes.txt", "saxpy.range.sm_80.ptx", "saxpy.range.large.sm_80.ptx"}
    assert after < before


def test_checks_can_be_left_out(tmp_path):
    place = compile_to(tmp_path / "out", "beyond", "sm_80", "--no-bounds-check")
    kernel = json.loads((place / "manifest.json").read_text())["kernels"][0]
    assert kernel["bounds_check"] is False and all(v["sites"] == [] for v in kernel["overloads"][0]["devices"])


@pytest.mark.parametrize("architecture", ["sm_80", "sm_120"])
def test_ptx_is_accepted(tmp_path, architecture):
    from anygpu.testing.executors import ptxas

    if ptxas() is None:
        pytest.skip("nvidia-cuda-nvcc is not installed")
    place = compile_to(tmp_path / "out", NAMES, architecture)
    files = list(place.glob("*.ptx"))
    assert len(files) == len(NAMES.split(",")) * 4
    for path in files:
        command = [str(ptxas()), f"-arch={architecture}", "-o", str(tmp_path / "kernel.cubin"), str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"ptxas refuses {path.name}:\n{done.stderr[:2000]}"


@pytest.mark.parametrize("architecture", ["gfx942", "gfx1100"])
def test_code_objects_are_linked(tmp_path, architecture):
    if not can_link():
        pytest.skip("no linker for AMD code objects")
    from anygpu.runtime.codeobject import code_object_parameters

    place = compile_to(tmp_path / "out", PORTABLE, architecture)
    manifest = json.loads((place / "manifest.json").read_text())
    variants = [v for kernel in manifest["kernels"] for v in kernel["overloads"][0]["devices"]]
    assert len(variants) == len(PORTABLE.split(",")) * 4
    for variant in variants:
        parameters = code_object_parameters((place / variant["file"]).read_bytes())[variant["entry"]]
        assert len(parameters) == len(variant["words"])


def test_arm_libraries_are_linked(tmp_path):
    place = compile_to(tmp_path / "out", NAMES, "aarch64")
    image = (place / "ahead_kernels.aarch64.o").read_bytes()
    assert (image[:6], int.from_bytes(image[18:20], "little")) == (b"\x7fELF\x02\x01", 183)  # EM_AARCH64
    shared = place / "libahead_kernels.aarch64.so"
    if linker() is not None:
        assert int.from_bytes(shared.read_bytes()[16:18], "little") == 3  # ET_DYN
