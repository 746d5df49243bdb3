"""What folders of compiled kernels rely on: the manifest's reader and writer, and the interfaces that its format number stands for."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest

from anygpu.cli.signature import SignatureError, arguments_of
from anygpu.codegen import device
from anygpu.codegen.targets import cpu, cpu_library_driver, cpu_pool, cpu_support
from anygpu.dtypes import DTYPES
from anygpu.engine.arguments import describe
from anygpu.engine.manifest import FORMAT, TypeEntry, entry_of, type_of
from anygpu.engine.records import Malformed, from_json, to_json
from anygpu.runtime import cpu as runtime_cpu


@dataclass(frozen=True)
class Inner:
    name: str
    size: int = 3


@dataclass(frozen=True)
class Outer:
    kind: Literal["a", "b"]
    items: tuple[Inner, ...]
    pair: tuple[int, str] | None
    tags: frozenset[str]
    table: dict[str, tuple[int, ...]]
    on: bool = False


def test_records_are_read_as_they_were_written():
    outer = Outer("b", (Inner("x"), Inner("y", 4)), (1, "one"), frozenset({"q", "p"}), {"t": (1, 2)}, True)
    data = to_json(outer)
    assert data == {
        "kind": "b", "items": [{"name": "x"}, {"name": "y", "size": 4}], "pair": [1, "one"], "tags": ["p", "q"], "table": {"t": [1, 2]},
        "on": True,
    }  # fmt: skip
    assert from_json(Outer, data) == outer
    assert from_json(Outer, {**data, "pair": None, "of a later version": 1}).pair is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"kind": "c"}, "kind is 'c', not one of 'a', 'b'"),
        ({"items": [{"size": 1}]}, "items[0].name is missing"),
        ({"items": [{"name": "x", "size": True}]}, "items[0].size is a bool, not a int"),
        ({"items": {}}, "items is a dict, not a list"),
        ({"pair": [1]}, "pair has 1 items, not 2"),
        ({"table": {"t": ["1"]}}, "table.t[0] is a str, not a int"),
    ],
)
def test_records_of_another_shape_are_refused(change, problem):
    data = {"kind": "a", "items": [], "pair": None, "tags": [], "table": {}, **change}
    with pytest.raises(Malformed) as caught:
        from_json(Outer, data)
    assert str(caught.value) == problem


@pytest.mark.parametrize(
    "value",
    [
        *(dtype.numpy.type(1) for dtype in DTYPES.values()), 1, 1.0, 1j, True, (1, (np.float32(2), np.zeros(3))),
        np.zeros((2, 3), np.complex64)[:, ::2], np.zeros(2, [("a", "f4"), ("b", "i8")]), np.zeros(()),
    ],
)  # fmt: skip
def test_types_are_read_as_they_were_written(value):
    kind = describe(value, "x").type
    assert type_of(from_json(TypeEntry, to_json(entry_of(kind)))) == kind


def test_compile_time_objects_have_no_type_in_a_manifest():
    with pytest.raises(ValueError, match=r"^constant None is a compile-time object, which a kernel that is compiled ahead of time cannot"):
        entry_of(describe(None, "x").type)


def test_the_format_number_stands_for_these_interfaces():
    """Folders hold code that calls the runtime and is called by it. If this fails, an interface has changed: make ``manifest.FORMAT``
    larger, so that folders compiled before are refused, and write the new digest here."""
    texts = cpu_support.support_ir("t") + cpu_support.launch_ir("t", 8) + cpu_pool.pool_ir("x86_64-unknown-linux-gnu")
    functions = re.findall(r"^define (?!internal).*$", texts, re.MULTILINE)
    interfaces = [
        functions, cpu.LAUNCH_WORDS, cpu_support.SUPPORT_TABLE, cpu_support.LAUNCH_SPECIFICATION, cpu_support.LAUNCH_ARGUMENT,
        cpu_support.DESCRIPTION_HEAD, cpu_support.DESCRIPTION_AXIS, runtime_cpu._POOL_BYTES, runtime_cpu._WORKER_BYTES,
        runtime_cpu.ERROR_WORDS, cpu_library_driver.VARIANT_WORDS, cpu_library_driver.SITE_WORDS, cpu_library_driver.ERROR_BYTES,
        device.WordKind, device.ERROR_RECORDS, device.RECORD_WORDS, device.ERROR_BYTES, device.SYNC_BYTES, device.PRINT_HEADER,
    ]  # fmt: skip
    digest = hashlib.sha256(repr(interfaces).encode()).hexdigest()[:16]
    assert (FORMAT, digest) == (1, "d9ba9bf55e2002f0")




@dataclass
class Sphere:
    radius: f32  # noqa: F821
    centre: (f64, f64)  # noqa: F821


class Bare(tuple):
    """No structure that a signature could name."""


def test_signatures_name_structures_and_tuples():
    names = {"Sphere": Sphere, "Bare": Bare, "f32": Bare}
    sphere, pair, number = arguments_of("Sphere, (i32, f32[:, :]), f32", names)
    assert isinstance(sphere, Sphere) and (type(sphere.radius), sphere.centre) == (np.float32, (1.0, 1.0))
    assert isinstance(pair, tuple) and (type(pair[0]), pair[1].shape) == (np.int32, (4, 4))
    assert type(number) is np.float32
    with pytest.raises(SignatureError, match=r"^'Bare' is no type of an argument: structures are NamedTuples and dataclasses$"):
        arguments_of("Bare", names)
    with pytest.raises(SignatureError, match=r"^there is no dtype 'Cube'"):
        arguments_of("Cube", names)
