"""``python -m anygpu.testing``: what it says, what it returns, and that a wrong device is found out."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

import anygpu as ag
from anygpu.testing import __main__ as command


def run(*arguments: str, code: str = "") -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-c", f"import sys{code}; from anygpu.testing.__main__ import main; sys.exit(main(sys.argv[1:]))"]
    # in a folder and with options that are not this run's own: a checkout there would be imported in place of what is tested
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run([*program, *arguments], capture_output=True, text=True, check=False, cwd=folder, env=environment)


def test_a_run_ends_with_a_grid():
    done = run("-k", "test_bit_words or test_masks_that_name_some_lanes")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["topic", "passed", "failed", "skipped"] in lines
    assert ["warps", "5", "0", "0"] in lines and ["all", "5", "0", "0"] in lines


def test_a_device_that_is_wrong_fails():
    wrong = "import anygpu.codegen.expr as e; e.EMITTERS['xor'] = e.EMITTERS['or']"
    done = run("-k", "test_operations and xor", code=f"; {wrong}")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "differ, the first at" in done.stdout


def test_a_device_that_is_not_here_is_named(monkeypatch, capsys):
    monkeypatch.setenv("ANYGPU_CACHE_DIR", "")  # put back afterwards
    assert command.main(["--device", "abacus:3"]) == 2
    assert capsys.readouterr().err.startswith(f"there is no device 'abacus:3' here: {', '.join(d.name for d in ag.devices())}\n")


def test_what_is_not_installed_is_named(monkeypatch, capsys):
    monkeypatch.setattr(command.importlib.util, "find_spec", lambda name: None if name == "hypothesis" else object())
    assert command.main([]) == 2
    assert capsys.readouterr().err == "the conformance suite needs hypothesis: pip install 'anygpu[test]'\n"
