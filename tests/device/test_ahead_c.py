"""Kernels that were compiled ahead of time, called from C: through the header, by the shared library and by the object file."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from anygpu.cli.main import main
from anygpu.engine.ahead_header import c_names

HERE = Path(__file__).parent
NAMES = "saxpy,stencil,pull,reverse,rotate,uneven,across,mixed,beyond,asserts,says"

EXPECTED = """\
grid: 0
sum 1000000.0
line: 0
sum 1000000.0
range: 0
sum 1000000.0
threads: 0 0 0 of 4 blocks, sum 1000000.0
no blocks: 0
sum 0.0
strided: 0
12.00 44.00
structure: 0
4.328125
scalars: 0
3.50 -1.00
scalars: 0
200 1099511627776
shared: 0
63 127
dynamic: 0
1 0
too much: 3
too little: 1 1 of 188 failures: index 1 of tile[1] in rotate, line ROTATE, column 12, in rotate, block 0 thread 0
coroutine: 0
950 0
whole grid: 0
1
part of it: 3
beyond: 1 1 of 3 failures: index 1000 of x[1000] in beyond, line BEYOND, column 18, in beyond, block 3 thread 229
nobody asks: 1 1 of 3 failures: index 1000 of x[1000] in beyond, line BEYOND, column 18, in beyond, block 3 thread 229
assert: 2 too large in asserts, 100 times, block 3 thread 132
print: 0
strided: 4 x of saxpy
misaligned: 4 y of saxpy
no data: 4 out of saxpy
negative: 4 x of saxpy
no shape: 4 x of saxpy
no array: 4 x of saxpy
two axes: 5
no launch: 3
large block: 3
empty block: 3
large grid: 3
empty grid: 0
"""


for _word, _code in (("ROTATE", "x[i] = tile[(t + 1) % n]"), ("BEYOND", "out[i] = x[i + 3]")):
    _lines = (HERE / "ahead_kernels.py").read_text().splitlines()
    EXPECTED = EXPECTED.replace(_word, str(1 + next(n for n, line in enumerate(_lines) if _code in line)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("ahead_c") / "out"
    modules, path = set(sys.modules), list(sys.path)
    assert main(["compile", f"{HERE / 'ahead_kernels.py'}:{NAMES}", "--target", "native", "-o", str(place)]) == 0
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        if "ahead_kernels" in name:
            del sys.modules[name]
    return place


def build(folder: Path, into: Path, *files: str) -> list[str]:
    """The lines that the C program prints, linked with these files."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    program = into / "calls"
    command = [compiler, "-std=c99", "-Wall", "-Wextra", "-Werror", "-O1", "-I", str(folder), "-o", str(program)]
    subprocess.run([*command, str(HERE / "ahead_calls.c"), *files, f"-Wl,-rpath,{folder}", "-lpthread", "-lm"], check=True)
    done = subprocess.run([str(program)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0 and done.stderr == ""
    return done.stdout.splitlines()


def test_c_calls_the_object_file(folder, tmp_path):
    assert build(folder, tmp_path, str(folder / "ahead_kernels.native.o")) == EXPECTED.splitlines()


def test_c_calls_the_shared_library(folder, tmp_path):
    if not (folder / "libahead_kernels.native.so").exists():
        pytest.skip("there was no linker")
    assert build(folder, tmp_path, str(folder / "libahead_kernels.native.so")) == EXPECTED.splitlines()


def test_the_header_is_cxx_too(folder, tmp_path):
    compiler = shutil.which("c++")
    if compiler is None:
        pytest.skip("no C++ compiler")
    source = tmp_path / "header.cpp"
    source.write_text('#include "ahead_kernels.h"\n#include "ahead_kernels.h"\nint main() { return anygpu_grid(1, 1, 1, 1, 1, 1).ndim; }\n')
    subprocess.run([compiler, "-std=c++11", "-Wall", "-Werror", "-I", str(folder), "-o", str(tmp_path / "header"), str(source)], check=True)


def test_the_libraries_of_two_folders_are_linked_into_one_program(folder, tmp_path):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    (tmp_path / "more_kernels.py").write_text(
        "import anygpu as ag\n\n@ag.kernel\ndef twice(x: 'f32[:]'):\n    i = ag.grid(1)\n    if i < x.size:\n        x[i] *= 2\n"
    )
    spec = importlib.util.find_spec("anygpu")
    assert spec is not None
    command = [sys.executable, "-m", "anygpu.cli", "compile", str(tmp_path / "more_kernels.py"), "--target", "native", "-o", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    (tmp_path / "both.c").write_text(
        '#include <stdio.h>\n#include "more_kernels.h"\n#include "ahead_kernels.h"\n'
        "int main(void) {\n  float x[3] = {1, 2, 3};\n  int64_t n = 3;\n  anygpu_array a = {x, &n, NULL};\n"
        "  anygpu_launch l = anygpu_range(1, &n);\n  twice(&l, &a, NULL);\n  saxpy(&l, 1.0f, &a, &a, &a, NULL);\n"
        '  printf("%g %g %g\\n", x[0], x[1], x[2]);\n  return 0;\n}\n'
    )
    program = tmp_path / "both"
    objects = [str(tmp_path / "more_kernels.native.o"), str(folder / "ahead_kernels.native.o")]
    command = [compiler, "-I", str(tmp_path), "-I", str(folder), "-o", str(program), str(tmp_path / "both.c"), *objects, "-lpthread", "-lm"]
    subprocess.run(command, check=True)
    assert subprocess.run([str(program)], capture_output=True, text=True, check=True).stdout == "4 8 12\n"


def test_c_names():
    assert c_names(["saxpy", "saxpy", "double", "main", "anygpu_x"]) == ["saxpy", "saxpy_2", "double_", "main_", "anygpu_x_"]
