"""A kernel is compiled from its text, its key made from its code: where the two differ, nothing may be compiled or cached."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

PROGRAM = """
import numpy as np, sys
import anygpu as ag
import helper
{edit}
out = np.zeros(2)
try:
    helper.k.forall(1)(out)
except ag.CompileError as error:
    print(error)
else:
    print(out[0])
"""
HELPER = '''
import anygpu as ag

class Tools:
    __scale = 1
    @staticmethod
    def scale(x):
        """Text, and what is awkward in a comparison."""
        return x * (1 if x in {1, 2, 3, "a", "b", "c"} else 1)

    @staticmethod
    def deeper():
        def inner(x):
            return Tools.scale(x) + __hidden(x) if False else x
        return inner

def _Tools__hidden(x):
    return x

def make(constant):
    def inside(x):
        assert x > 0, "positive"
        return constant * (x + 0.0)
    return inside

eleven = make(1)
same = lambda x: x if x > 0 else -x

@ag.kernel
def k(out):
    out[0] = same(eleven(11.0))
'''


def run(folder: Path, edit: str, cache: str = "cache") -> str:
    (folder / "main.py").write_text(PROGRAM.format(edit=edit))
    done = subprocess.run(
        [sys.executable, "main.py"], cwd=folder, env={**os.environ, "ANYGPU_CACHE_DIR": str(folder / cache)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def edited(before: str, after: str) -> str:
    return f"t = open('helper.py').read(); assert {before!r} in t; open('helper.py', 'w').write(t.replace({before!r}, {after!r}))"


def test_an_edit_after_the_import_is_refused_and_leaves_nothing_in_the_cache(tmp_path: Path) -> None:
    helper = tmp_path / "helper.py"
    for before, after in [("11.0", "22.0"), ("constant *", "2 * constant *"), ("x + 0.0", "x - 1.0"), ("else -x", "else x")]:
        helper.write_text(HELPER)
        assert "has changed since it was imported" in run(tmp_path, edited(before, after), before)
        helper.write_text(HELPER)
        assert run(tmp_path, "", before) == "11.0\n"


def test_lines_above_that_move_a_kernel_are_a_change_too(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text(HELPER)
    assert "has changed since it was imported" in run(tmp_path, edited("import anygpu as ag\n", "import anygpu as ag\n\n\n"))


def test_what_was_compiled_before_the_edit_goes_on(tmp_path: Path) -> None:
    (tmp_path / "helper.py").write_text(HELPER)
    first = "helper.k.forall(1)(np.zeros(1, np.float32)); helper.k.forall(1)(np.zeros(1)); "
    assert run(tmp_path, first + edited("11.0", "22.0")) == "11.0\n"


def test_every_shape_of_function_is_recognised(tmp_path: Path) -> None:
    """Methods, closures, decorated and private names, defaults, sets, with and without a compiled file beside."""
    (tmp_path / "shapes.py").write_text(
        textwrap.dedent('''
        from __future__ import annotations
        import functools

        def decorate(function):
            @functools.wraps(function)
            def inner(*args):
                return function(*args)
            return inner

        class Outer:
            """Holds some."""
            __private = 1

            def method(self, x: int = 3, *rest: float, key=lambda q: q) -> int:
                """A docstring."""
                return self.__private + super().method() + functools.reduce(x) + x in {"p", "q", "r", 1.5}

            @decorate
            def wrapped(self):
                return [z for z in (1, 2) if z] + [self.__x]

            class Inner:
                @staticmethod
                def static(a, /, b): return a if -0.0 else b

        def closure(n, m):
            k = 2
            def inside(x):
                def innermost(y):
                    nonlocal k
                    k = y
                    return n + y
                return innermost(x) + m + k
            return inside

        several = [closure(1, 2), lambda x, n=3: x + n]
        ''')
    )
    (tmp_path / "main.py").write_text(
        textwrap.dedent("""
        import shapes
        from anygpu.frontend.parse import parse_function
        inside = shapes.several[0]
        functions = [shapes.decorate, shapes.Outer.method, shapes.Outer.wrapped.__wrapped__, shapes.Outer.wrapped,
                     shapes.Outer.Inner.static, shapes.closure, inside, shapes.several[1]]
        for function in functions:
            parse_function(function)
        """)
    )
    for flags in ([], [], ["-O"], ["-OO"]):
        done = subprocess.run([sys.executable, *flags, "main.py"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr


def test_assertions_count_also_where_python_leaves_them_out(tmp_path: Path) -> None:
    """``python -O`` compiles kernels with their assertions; then these must be in the key although they are not in the code."""
    text = """
        import collections
        import numpy as np
        import anygpu as ag

        Pair = collections.namedtuple("Pair", "a b")
        MOST = 5

        @ag.kernel
        def k(x, pair):
            assert x[0] < pair.a * 1
            assert x[0] < MOST
            x[0] += 1

        try:
            k.forall(1)(np.full(1, 5.5), Pair(10, 2))
        except ag.KernelAssertionError:
            print("failed")
        else:
            print("passed")
    """
    environment = {**os.environ, "ANYGPU_CACHE_DIR": str(tmp_path / "cache")}
    outputs = []
    for before, after in [("", ""), ("MOST = 5", "MOST = 6"), ("pair.a * 1", "pair.a * 0"), ("MOST = 5", "MOST = 6")]:
        text = text.replace(before, after)
        (tmp_path / "main.py").write_text(textwrap.dedent(text))
        command = [sys.executable, "-O", "main.py"]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout.strip())
    assert outputs == ["failed", "passed", "failed", "failed"]
