"""The command line: what it prints, what it refuses and how it ends; and the demo's kernels on awkward sizes."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import anygpu as ag
from anygpu.cli import demo as demo_module
from anygpu.cli import demo_kernels, demo_steps, pictures
from anygpu.cli import info as info_module
from anygpu.cli import inspect as inspect_module
from anygpu.cli.main import STAGES, main
from anygpu.cli.signature import NAMES, SignatureError, argument_of, arguments_of
from anygpu.errors import LaunchError
from anygpu.frontend.types import ArrayType
from anygpu.runtime.cache import DiskCache

KERNELS = '''
import anygpu as ag

@ag.kernel
def saxpy(a, x, y, out):
    i = ag.grid(1)
    if i < out.size:
        out[i] = a * x[i] + y[i]

@ag.kernel
def annotated(a: ag.float32, image: "f32[:, :]"):
    y, x = ag.grid(2)
    image[y, x] *= a

@ag.kernel
def faulty(x):
    x[0] = undefined_name

def plain(x):
    x[ag.grid(1)] = 1

number = 3
'''
SAXPY = "f32, f32[:], f32[:], f32[:]"


@pytest.fixture
def example(tmp_path, monkeypatch):
    """A file of kernels in the current folder; what importing it leaves in the process is undone."""
    modules = set(sys.modules)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "example_kernels.py").write_text(KERNELS)
    yield "example_kernels.py"
    for name in set(sys.modules) - modules:
        if "example_kernels" in name:
            del sys.modules[name]


def run(capsys, *arguments: str) -> tuple[int, str, str]:
    status = main(list(arguments))
    out, err = capsys.readouterr()
    return status, out, err


# ------------------------------------------------------------------------------------------------------------ the whole command


def test_help_version_and_usage(capsys):
    status, out, _ = run(capsys)
    assert status == 0 and all(command in out for command in ("demo", "info", "inspect", "cache"))
    status, out, _ = run(capsys, "--version")
    assert (status, out) == (0, f"anygpu {ag.__version__}\n")
    status, _, err = run(capsys, "nonsense")
    assert status == 2 and "nonsense" in err
    status, _, err = run(capsys, "inspect", "a.py:b", "--forall", "ten")
    assert status == 2 and "whole numbers" in err


def test_the_module_runs_as_a_program_and_survives_a_closed_pipe(example):
    command = [sys.executable, "-m", "anygpu.cli", "inspect", f"{example}:saxpy", "--signature", SAXPY]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.startswith("kernel saxpy:") and not done.stderr
    with subprocess.Popen([*command, "--stage", "asm"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1


def test_interruption_is_no_traceback(capsys, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(info_module, "gather", interrupted)
    assert run(capsys, "info") == (130, "", "anygpu: interrupted\n")


# ------------------------------------------------------------------------------------------------------------------------- demo


def test_quick_demo_checks_every_step_and_writes_pictures(capsys, tmp_path):
    status, out, err = run(capsys, "demo", "--quick", "--out", str(tmp_path / "made" / "here"))
    assert (status, err) == (0, "")
    for name in ("Luminance", "Gaussian blur", "Sobel edges", "Histogram", "Transpose", "Mandelbrot", "N-body"):
        assert re.search(rf"{name} .*\d x?.* ok", out), out
    assert out.count(" ok") == 7 and "WRONG" not in out and "\x1b" not in out
    assert max(map(len, out.splitlines()[:12])) <= 80
    paths = [Path(line.removeprefix("wrote ")) for line in out.splitlines() if line.startswith("wrote ")]
    sizes = {}
    for path in paths:
        with Image.open(path) as image:
            sizes[path.name] = image.size
            assert image.format == "PNG" and np.asarray(image).std() > 10, f"{path.name} is nearly blank"
    assert sizes == {
        "blur.png": (1032, 600), "edges.png": (512, 600), "histogram.png": (1024, 480), "transpose.png": (600, 512),
        "mandelbrot.png": (480, 320), "galaxies.png": (480, 320),
    }  # fmt: skip


def test_a_wrong_result_fails_the_demo(monkeypatch, tmp_path):
    monkeypatch.setattr(demo_steps, "numpy_sobel", lambda gray: np.ones_like(gray))
    monkeypatch.setattr(demo_module, "draw", lambda *_: [])
    output = io.StringIO()
    assert demo_module.demo(tmp_path, quick=True, console=Console(file=output, width=100)) is False
    text = output.getvalue()
    assert re.search("Sobel edges.*WRONG", text) and text.count(" ok") == 6
    assert "Not as NumPy has it: Sobel edges" in text


def test_the_demo_shows_every_other_device(monkeypatch, tmp_path):
    others = [device.name for device in ag.devices() if device.name != "cpu"]
    if not others:
        pytest.skip("there is no device but the CPU")
    monkeypatch.setattr(demo_module, "draw", lambda *_: [])
    output = io.StringIO()
    assert demo_module.demo(tmp_path, quick=True, console=Console(file=output, width=120)) is True
    text = output.getvalue()
    assert all(name in text for name in others) and text.count(" s =") + text.count("us =") + text.count("ms =") == 7 * len(others)

    def refuse(self, *_: object) -> object:
        raise LaunchError("kernel 'sobel' is too much for this device\n  hint: none")

    monkeypatch.setattr(demo_steps.kernels.sobel, "forall", lambda *_: refuse)
    row = demo_module.Row(demo_steps.mandelbrot_step((4, 4)), 0.0, True, 1.0, 1.0, demo_steps.Verdict("", True), np.zeros((4, 4)))
    photograph = demo_steps.Photograph.of(np.zeros((4, 4, 3), np.uint8))
    step = demo_steps.all_on_device(photograph, ag.Device(others[0])).steps()[2]
    cell = demo_module._elsewhere(step, row, ag.Device(others[0]), demo_module.QUICK)
    assert cell.refused == "kernel 'sobel' is too much for this device"


def test_progress_bars_on_a_terminal(monkeypatch, tmp_path):
    monkeypatch.setattr(demo_module, "draw", lambda *_: [])
    output = io.StringIO()
    demo_module.demo(tmp_path, quick=True, console=Console(file=output, width=100, force_terminal=True))
    assert all(re.search(rf"{bar}.*7/7", output.getvalue()) for bar in ("compile", "run", "check"))


def test_demo_without_pillow_says_what_to_install(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    status, out, err = run(capsys, "demo", "--out", str(tmp_path))
    assert (status, out) == (1, "")
    assert "pip install 'anygpu[demo]'" in err and err.count("\n") == 1


def test_pictures_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(pictures.PicturesUnavailable, match=r"file/a\.png cannot be written"):
        pictures.save(np.zeros((2, 2, 3), np.uint8), tmp_path / "file", "a.png")


def test_verdicts():
    one = np.ones(1000, np.float32)
    assert demo_steps.exactly(one, one).passed and not demo_steps.exactly(one, one * 2).passed
    close = demo_steps.within(1e-3)
    assert close(one, one * np.float32(1.0005)).passed and not close(one, one * np.float32(1.002)).passed
    assert not close(one * np.float32(np.nan), one).passed
    mostly = demo_steps.mostly(0.01)
    few, many = one.copy(), one.copy()
    few[:10] = 5
    many[:11] = 5
    assert mostly(few, one).passed and not mostly(many, one).passed
    assert mostly(few, one).text == "10 pixels" and mostly(one, one).text == "none"


@pytest.mark.parametrize(
    ("seconds", "text"), [(2.514, "2.51 s"), (0.0251, "25.1 ms"), (0.2514, "251 ms"), (8.53e-5, "85.3 us"), (4.2e-7, "0.42 us")]
)
def test_durations(seconds, text):
    assert demo_module.duration(seconds) == text


@pytest.mark.parametrize("shape", [(33, 65), (1, 1), (7, 300), (64, 5)])
def test_the_photographs_kernels_on_any_size(shape):
    pixels = np.random.default_rng(3).integers(0, 256, (*shape, 3), dtype=np.uint8)
    for step in demo_steps.Photograph.of(pixels).steps():
        step.launch()
        reference = step.reference()
        assert np.allclose(step.result, reference, rtol=1e-5, atol=1e-3), step.name


@pytest.mark.parametrize("n", [1, 100, 128, 300])
def test_any_number_of_bodies(n):
    random = np.random.default_rng(n)
    bodies = demo_steps.Galaxies(
        *(random.normal(size=(3, n)).astype(np.float32) for _ in range(3)), np.ones(n, np.float32), np.ones((3, n), np.float32)
    )
    bodies.accelerate()
    np.testing.assert_allclose(bodies.acceleration, demo_steps.numpy_accelerate(bodies.position, bodies.mass), rtol=1e-3, atol=1e-3)
    picture = np.zeros((3, 40, 50), np.float32)
    bodies.expose(picture, 5.0)
    x, y = 25 + np.floor(5 * bodies.position[0]), 20 - np.floor(5 * bodies.position[1])
    assert picture.sum() == 3 * np.sum((x >= 0) & (x < 50) & (y >= 0) & (y < 40))


def test_the_demos_kernels_have_no_races():
    gray = np.zeros((40, 45), np.float32)
    out, counts = np.zeros((45, 40), np.float32), np.zeros((3, 256), np.int32)
    levels = np.random.default_rng(0).integers(0, 256, (3, 300), dtype=np.uint8)
    bodies = demo_steps.Galaxies.about_to_meet(150)
    reports = [
        ag.sanitize(demo_kernels.transpose)[(2, 2), (32, 8)](gray, out),
        ag.sanitize(demo_kernels.histogram)[(2, 3), 64](levels, counts),
        ag.sanitize(demo_kernels.accelerate)[2, 128](bodies.position, bodies.mass, bodies.acceleration),
    ]
    assert not any(reports), reports
    np.testing.assert_array_equal(counts, demo_steps.numpy_histogram(levels))


# ------------------------------------------------------------------------------------------------------------------------- info


def test_info_as_json_and_as_text(capsys):
    status, out, _ = run(capsys, "info", "--json")
    facts = json.loads(out)
    assert status == 0 and {"Device cpu", "Versions", "Options", "Cache"} <= set(facts)
    assert {f"Device {device.name}" for device in ag.devices()} == {section for section in facts if section.startswith("Device ")}
    assert facts.get("Not usable", {}) == ag.problems()
    device = ag.Device("cpu")
    assert facts["Device cpu"]["model"] == device.properties.model
    assert re.fullmatch(r"[\d.]+ [KMGT]iB of [\d.]+ [KMGT]iB in use", facts["Device cpu"]["memory"]) or sys.platform != "linux"
    wanted = {"model", "driver", "memory", "compute units", "warp", "shared memory"}
    assert all(wanted <= set(facts[f"Device {found.name}"]) for found in ag.devices())
    assert facts["Versions"]["anygpu"] == ag.__version__ and facts["Versions"]["numpy"] == np.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+ with LLVM \d+\.\d+\.\d+", facts["Versions"]["llvmlite"])
    assert "(from the environment)" in facts["Options"]["ANYGPU_CACHE_DIR"] and facts["Options"]["ANYGPU_BOUNDS_CHECK"] == "on"
    assert facts["Cache"]["folder"] == facts["Options"]["ANYGPU_CACHE_DIR"].partition(" (")[0]
    status, out, _ = run(capsys, "info")
    assert status == 0 and f"  model: {device.properties.model}\n" in out


def test_info_on_a_narrow_terminal_folds_and_does_not_cut():
    output = io.StringIO()
    info_module.info(Console(file=output, width=40, force_terminal=True, color_system=None), as_json=False)
    assert "complex128" in output.getvalue().replace("\n", "").replace(" ", "")
    assert max(map(len, output.getvalue().splitlines())) <= 40


def test_cache_info_and_clear(capsys, monkeypatch, tmp_path):
    cache = DiskCache(tmp_path / "cache")
    monkeypatch.setattr(info_module, "disk_cache", lambda: cache)
    status, out, _ = run(capsys, "cache", "clear")
    assert status == 0 and "no folder yet" in out
    cache.put("0" * 64, b"x" * 2000)
    cache.put("1" * 64, b"y")
    status, out, _ = run(capsys, "cache")
    assert status == 0 and "entries: 2" in out and "state: in use" in out
    status, out, _ = run(capsys, "cache", "clear")
    assert status == 0 and out.startswith("removed 2 entries (2.0") and str(tmp_path) in out
    assert cache.get("0" * 64) is None
    monkeypatch.setattr(info_module, "disk_cache", lambda: DiskCache(None, enabled=False))
    assert "state: not used: turned off" in run(capsys, "cache")[1]


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.50 KiB"), (512 << 20, "512 MiB"), (3 << 50, "3072 TiB")]
)
def test_sizes(count, text):
    assert info_module.size(count) == text


# ---------------------------------------------------------------------------------------------------------------------- inspect

SIGNS = {"ir": "kernel saxpy:", "passes": "fma", "llvm": "define void @run", "asm": "run:"}


@pytest.mark.parametrize("stage", STAGES)
def test_every_stage(capsys, example, stage):
    status, out, err = run(capsys, "inspect", f"{example}:saxpy", "--signature", SAXPY, "--stage", stage)
    assert (status, err) == (0, "") and SIGNS[stage] in out and "\x1b" not in out


@pytest.mark.parametrize(
    ("target", "sign"), [("sm_90", ".target sm_90"), ("gfx942", "s_endpgm"), ("spirv", "OpEntryPoint"), ("sm_90 llvm", "define ptx_kernel")]
)  # fmt: skip
def test_stages_for_a_device_that_is_not_here(capsys, example, target, sign):
    target, _, stage = target.partition(" ")
    options = ("--signature", SAXPY, "--stage", stage or "asm", "--target", target)
    status, out, err = run(capsys, "inspect", f"{example}:saxpy", *options)
    assert (status, err) == (0, "") and sign in out


def test_a_target_that_there_is_not(capsys, example):
    status, out, err = run(capsys, "inspect", f"{example}:saxpy", "--signature", SAXPY, "--target", "sm90")
    assert (status, out) == (1, "")
    assert err == "anygpu: unknown architecture 'sm90': name one like sm_90, gfx942 or spirv\n"


def test_stages_have_colours_on_a_terminal_and_long_lines_whole(example):
    request = inspect_module.Request(f"{example}:saxpy", "llvm", SAXPY, None, None, None)
    output = io.StringIO()
    inspect_module.inspect(Console(file=output, width=30, force_terminal=True, color_system="standard"), request)
    assert "\x1b[" in output.getvalue()
    assert re.sub(r"\x1b\[[\d;]*m", "", output.getvalue()).rstrip("\n") == inspect_module.stage_text(request).rstrip("\n")


def test_annotations_are_a_signature(capsys, example):
    status, out, _ = run(capsys, "inspect", f"{example}:annotated", "--forall", "10,20")
    assert status == 0 and "kernel annotated range 2:" in out and "param a: float32\n" in out and "image: float32[:, :]" in out


def test_modules_and_plain_functions(capsys, example):
    status, out, _ = run(capsys, "inspect", "example_kernels:plain", "--signature", "f64[:] strided", "--block", "8,8", "--grid", "2")
    assert status == 0 and "param x: float64[:] strided" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{file}:saxpy"], '--signature "f32, f32[:], f32[:], f32[:]"'),
        (["{file}:saxpy", "--signature", "f32"], "takes 4 arguments (a, x, y, out), and the signature has 1 type"),
        (["{file}:saxpy", "--signature", "f33, f32[:], f32[:], f32[:]"], "there is no dtype 'f33'"),
        (["{file}"], "{file}:saxpy or {file}:annotated"),
        (["{file}:nothing"], "has no kernel 'nothing'"),
        (["{file}:number"], "is a int, not a kernel"),
        (["absent.py:k"], "there is no file absent.py"),
        (["no_such_module:k"], "there is no file or module 'no_such_module'"),
        (["{file}:faulty", "--signature", "f32[:]"], "undefined_name"),
        (["{file}:saxpy", "--signature", SAXPY, "--forall", "4", "--block", "4"], "leave --grid and --block out"),
        (["{file}:saxpy", "--signature", SAXPY, "--block", "4096"], "1024"),
        (["{file}:saxpy", "--signature", "f32, f32[:], f32[:], f32[:] readonly"], "read-only"),
    ],
)
def test_what_inspect_refuses(capsys, example, arguments, message):
    status, out, err = run(capsys, "inspect", *(argument.format(file=example) for argument in arguments))
    assert (status, out) == (1, "") and err.startswith("anygpu: ") and message.format(file=example) in err


def test_errors_in_the_users_file_are_the_users(example):
    Path(example).write_text("import a_module_that_is_missing\n")
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_missing"):
        main(["inspect", f"{example}:saxpy"])
    with pytest.raises(ModuleNotFoundError, match="a_module_that_is_missing"):
        main(["inspect", "example_kernels:saxpy"])


def test_a_file_named_like_a_module_leaves_the_module_alone(capsys, example):
    Path("json.py").write_text(Path(example).read_text())
    status, out, _ = run(capsys, "inspect", "json.py:plain", "--signature", "f32[:]")
    assert status == 0 and "kernel plain" in out and sys.modules["json"] is json
    del sys.modules["inspected json"]


# -------------------------------------------------------------------------------------------------------------------- signature


@pytest.mark.parametrize("name", NAMES)
def test_every_dtype_has_its_scalar_and_array(name):
    from anygpu.engine.arguments import describe

    assert argument_of(name).dtype == NAMES[name].numpy
    found = describe(argument_of(f"{name}[:, :]"), "x").type
    assert found == ArrayType(NAMES[name], 2, "C", True)


def test_signatures():
    from anygpu.engine.arguments import describe

    first, second, third, fourth = arguments_of(" int, f32[:,:] strided readonly ,ag.int8[], float")
    assert (type(first), type(fourth)) == (int, float)
    assert describe(second, "x").type == ArrayType(NAMES["f32"], 2, "A", False)
    assert third.shape == () and third.dtype == np.int8
    assert arguments_of("") == arguments_of("  ") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("f32[4]", r"f32\[4\].*an axis is written ':'"),
        ("f32[:] wide", "not 'wide'"),
        ("f32 strided", "only arrays"),
        ("f32[] strided", "no strides"),
        ("f32[" + ", ".join(":" * 9) + "]", "9 axes"),
        ("f32[:]]", "is not a type"),
        ("f32, , f32", "is not a type"),
        ("int[:]", "no dtype 'int'"),
    ],
)
def test_what_signatures_refuse(text, message):
    with pytest.raises(SignatureError, match=message):
        arguments_of(text)
