"""``python -m anygpu.testing``: the conformance suite on one device."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
import tempfile
from collections.abc import Sequence

NEEDED = ("pytest", "hypothesis")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the suite; 0 if every case passes, 1 if one fails, 2 if it cannot run."""
    about = "Run the conformance suite on a device, bit for bit against the interpreter."
    parser = argparse.ArgumentParser(prog="python -m anygpu.testing", description=about)
    parser.add_argument("--device", default="cpu", help="a device's name, as ag.devices() lists it (default: cpu)")
    parser.add_argument("--slow", action="store_true", help="also the cases that take more than about ten seconds")
    parser.add_argument("-k", metavar="EXPRESSION", default="", help="only cases whose names match, as pytest's -k")
    parser.add_argument("-x", action="store_true", help="stop at the first failure")
    options = parser.parse_args(argv)
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        print(f"the conformance suite needs {' and '.join(missing)}: pip install 'anygpu[test]'", file=sys.stderr)
        return 2

    with tempfile.TemporaryDirectory(prefix="anygpu-testing-") as folder:
        os.environ["ANYGPU_CACHE_DIR"] = os.path.join(folder, "cache")  # before anything reads it: a user's cache is not asked
        return _check_and_run(options, folder)


def _check_and_run(options: argparse.Namespace, folder: str) -> int:
    import anygpu as ag

    names = [device.name for device in ag.devices()]
    if options.device not in names:
        print(f"there is no device {options.device!r} here: {', '.join(names)}", file=sys.stderr)
        for api, reason in ag.problems().items():
            print(f"  {api}: {reason}", file=sys.stderr)
        return 2
    return _run(options.device, options.slow, options.k, options.x, folder)


def _run(device: str, slow: bool, expression: str, stop: bool, folder: str) -> int:
    import pytest

    settings = os.path.join(folder, "pytest.ini")  # of its own, so that no project's settings around here matter
    with open(settings, "w") as file:
        file.write("[pytest]\nfilterwarnings = error\nmarkers =\n    slow: takes more than about ten seconds\n")
    arguments = [
        "--pyargs", "anygpu.testing.cases", "-c", settings, "--rootdir", folder, "--import-mode=importlib",
        "-p", "anygpu.testing.plugin", "-p", "no:cacheprovider", "--conformance-device", device, "--tb=short", "-q",
    ]  # fmt: skip
    arguments += ["--slow"] * slow + ["-x"] * stop + (["-k", expression] if expression else [])
    return min(2, int(pytest.main(arguments)))


if __name__ == "__main__":
    sys.exit(main())
