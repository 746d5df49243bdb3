"""Whatever a kernel captures is part of its key: nothing stale may come from the cache."""

import dataclasses
import decimal
import enum
import fractions
import math
import os
import types
from pathlib import Path

import numpy as np
import pytest

from anygpu.engine.arguments import describe
from anygpu.engine.fingerprint import function_fingerprint


def _capturing(captured: object) -> types.FunctionType:
    def function(x, out):
        out[0] = captured(x[0]) if callable(captured) else captured

    return function


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (math.exp, math.sin),
        (np.exp, np.sin),
        (np.clip, np.where),
        (abs, min),
        (1, 1.0),
        (1, True),
        (0.0, -0.0),
        (np.float32(1), np.float64(1)),
        (np.arange(3), np.arange(4)),
        (np.zeros(2, np.int32), np.zeros(2, np.float32)),
        ((1, 2), (1, 3)),
        ((1, 2), [1, 2]),
        (lambda x: x, lambda x: x + 1),
    ],
)
def test_another_captured_value_is_another_key(first: object, second: object):
    assert function_fingerprint(_capturing(first)).digest != function_fingerprint(_capturing(second)).digest


def test_the_same_captured_value_is_the_same_key():
    for value in (math.exp, np.float32(2), (1, 2), np.arange(5)):
        assert function_fingerprint(_capturing(value)).digest == function_fingerprint(_capturing(value)).digest


def test_a_constant_of_a_module_counts_however_deep():
    inner = types.ModuleType("inner")
    inner.SCALE = 2
    outer = types.ModuleType("outer")
    outer.inner = inner

    def make() -> types.FunctionType:
        def function(x):
            x[0] = outer.inner.SCALE

        return function

    before = function_fingerprint(make()).digest
    inner.SCALE = 3
    assert function_fingerprint(make()).digest != before
    inner.SCALE = 2
    assert function_fingerprint(make()).digest == before


def test_a_function_called_by_a_called_function_counts():
    def make(constant: int) -> types.FunctionType:
        def innermost():
            return constant

        def middle():
            return innermost()

        def function(x):
            x[0] = middle()

        return function

    assert function_fingerprint(make(1)).digest != function_fingerprint(make(2)).digest


def test_barriers_are_seen_through_aliases():
    import anygpu as ag

    wait = ag.syncthreads

    def function(x):
        wait()

    def plain(x):
        x[0] = 1

    assert function_fingerprint(function).barriers
    assert not function_fingerprint(plain).barriers


# ------------------------------------------------------------------------------------------------------------- through attributes


def _reading(captured: object) -> types.FunctionType:
    def function(x, out):
        out[0] = captured.N

    return function


class Plain:
    def __init__(self, n: object) -> None:
        self.N = n


class Slotted:
    __slots__ = ("N",)

    def __init__(self, n: object) -> None:
        self.N = n


class Computed:
    def __init__(self, n: int) -> None:
        self.n = n

    @property
    def N(self) -> int:
        return self.n + 1


def _inheriting(n: int) -> type:
    base = type("Base", (), {"N": n})
    return type("Derived", (base,), {})


def _with_metaclass(n: int) -> type:
    meta = type("Meta", (type,), {"N": property(lambda cls: n)})
    return meta("Made", (), {})


def _module(n: object) -> types.ModuleType:
    module = types.ModuleType("module")
    module.N = n
    return module


def _lazy_module(n: object) -> types.ModuleType:
    module = types.ModuleType("module")
    module.__getattr__ = lambda name: n if name == "N" else getattr(types, name)
    return module


@pytest.mark.parametrize("make", [
    Plain, Slotted, Computed, _inheriting, _with_metaclass, _module, _lazy_module, lambda n: types.SimpleNamespace(N=n),
    lambda n: types.SimpleNamespace(N=(n, Plain(n))),
])  # fmt: skip
def test_what_an_attribute_gives_counts(make):
    digests = [function_fingerprint(_reading(make(n))) for n in (2, 3, 2)]
    assert digests[0].digest != digests[1].digest
    assert digests[0].digest == digests[2].digest
    assert all(d.exact for d in digests)


def test_attributes_of_attributes_count_wherever_they_are_mentioned():
    config = types.SimpleNamespace(mode=Plain(2))

    def width(c):
        return c.mode.N

    def function(x):
        x[0] = width(config)

    before = function_fingerprint(function).digest
    config.mode.N = 3
    assert function_fingerprint(function).digest != before
    config.other = 1  # which nothing mentions; but a namespace compares by all that it holds
    config.mode.other = 1
    config.mode.N = 2
    del config.other
    assert function_fingerprint(function).digest == before


def _enum(result: int) -> type:
    class Shade(enum.Enum):
        A = 1

        def weight(self) -> int:
            return result

        @property
        def lightness(self) -> int:
            return self.value + result

    return Shade


def test_methods_and_properties_of_enums_count():
    def method(shade):
        def function(x):
            x[0] = shade.A.weight()

        return function

    def property_(shade):
        def function(x):
            x[0] = shade.A.lightness

        return function

    for make in (method, property_):
        assert function_fingerprint(make(_enum(1))).digest != function_fingerprint(make(_enum(2))).digest
        assert function_fingerprint(make(_enum(1))).digest == function_fingerprint(make(_enum(1))).digest


def _dataclass(result: int) -> type:
    @dataclasses.dataclass(frozen=True)
    class Base:
        a: float

        def scaled(self) -> float:
            return self.a * result

    @dataclasses.dataclass(frozen=True)
    class Derived(Base):
        b: float = 1.0

    return Derived


def test_inherited_methods_of_structures_count():
    def function(x, d):
        x[0] = d.scaled()

    keys = []
    for result in (1, 2, 1):
        given = describe(_dataclass(result)(2.0), "d").type
        keys.append(function_fingerprint(function, [given]).types)
    assert keys[0] != keys[1]
    assert keys[0] == keys[2]


def test_defaults_of_structures_count():
    def make(default: float) -> types.FunctionType:
        cls = dataclasses.make_dataclass("Pair", [("a", float), ("b", float, default)], frozen=True, slots=True)

        def function(x):
            x[0] = cls(1.0).b

        return function

    assert function_fingerprint(make(1.0)).digest != function_fingerprint(make(2.0)).digest


def test_fields_of_captured_records_count():
    def make(dtype: list[tuple[str, str]]) -> types.FunctionType:
        return _capturing(np.array([(1, 2)], dtype))

    first, second = [("a", "i4"), ("b", "i4")], [("b", "i4"), ("a", "i4")]
    assert function_fingerprint(make(first)).digest != function_fingerprint(make(second)).digest


def test_which_of_two_known_functions_is_called_counts():
    def make(last: int) -> types.FunctionType:
        functions = [lambda x: x, lambda x: x + 1]
        a, b, c = *functions, functions[last]

        def function(x):
            x[0] = a(x[0]) + b(x[1]) + c(x[2])

        return function

    assert function_fingerprint(make(0)).digest != function_fingerprint(make(1)).digest


def test_a_name_that_only_begins_like_numpys_is_the_users():
    def make(constant: int) -> types.FunctionType:
        def helper(x):
            return x * constant

        helper.__module__ = "numpy_helpers"

        def function(x):
            x[0] = helper(x[0])

        return function

    assert function_fingerprint(make(1)).digest != function_fingerprint(make(2)).digest


def test_what_python_cannot_see_into_is_not_exact():
    assert not function_fingerprint(_reading(decimal.Decimal(1))).exact
    assert function_fingerprint(_reading(fractions.Fraction(1, 3))).exact


def test_objects_that_never_end_are_given_up():
    class Endless:
        def __getattr__(self, name: str) -> object:
            if name.startswith("__"):
                raise AttributeError(name)
            return Endless()

    assert not function_fingerprint(_reading(Endless())).exact


def test_a_global_of_an_attributes_name_does_not_count():
    space = {"N": 1, "held": Plain(2)}
    exec("def function(out):\n    out[0] = held.N", space)
    before = function_fingerprint(space["function"]).digest
    space["N"] = 5
    assert function_fingerprint(space["function"]).digest == before


def test_every_file_of_anygpu_counts(tmp_path, monkeypatch):
    import anygpu
    from anygpu.engine import fingerprint

    root = Path(anygpu.__file__).parent
    seen = []
    real = os.stat
    monkeypatch.setattr(os, "stat", lambda path, *a, **k: (seen.append(str(path)), real(path, *a, **k))[1])
    fingerprint.compiler_fingerprint.__wrapped__()
    expected = {str(path) for path in root.rglob("*.py")}
    assert expected <= set(seen)
