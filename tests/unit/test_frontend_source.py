"""How the frontend finds a function's source: lambdas anywhere in a file, and definitions that stand inside something."""

from __future__ import annotations

import ast

import pytest

import anygpu as ag
from anygpu.errors import CompileError
from anygpu.frontend.parse import parse_function, unwrap

first, second = (lambda x: x), (lambda x: x + 1)
outer = lambda a: lambda b: b * 2  # noqa: E731


class Holder:
    def method(self):
        """A text that returns
    to the left
        """

        def inner(x):
            text = """a
b"""
            return x, text

        return inner

    long = lambda self, x: (  # noqa: E731
        x
        + 1
    )


def body(function):
    return ast.unparse(parse_function(function).node.body[-1])


def test_each_of_several_lambdas_in_one_line_is_itself():
    assert [body(first), body(second)] == ["return x", "return x + 1"]


def test_lambdas_inside_calls_loops_and_lambdas():
    found = [body(f) for f in (lambda x: x - 1, lambda x, y: x * y)]
    assert found == ["return x - 1", "return x * y"]
    for function in (lambda v: -v,):
        assert body(function) == "return -v"
    assert body(outer) == "return lambda b: b * 2" and body(outer(1)) == "return b * 2"


def test_lambdas_over_several_lines_keep_their_places():
    source = parse_function(Holder.long)
    assert body(Holder.long) == "return x + 1"
    assert source.locate(source.node.body[0]).line == Holder.long.__code__.co_firstlineno + 1


def test_text_that_returns_to_the_left_of_its_function():
    inner = Holder().method()
    source = parse_function(inner)
    assert "'a\\nb'" in ast.unparse(source.node)
    at = source.locate(source.node.body[-1])
    assert (at.line, at.column) == (inner.__code__.co_firstlineno + 3, 12)


def test_what_has_no_source_is_refused_with_a_hint():
    for function in (eval("lambda x: x"), eval("(lambda: (lambda x: x))()")):
        with pytest.raises(CompileError, match=r"cannot be read"):
            parse_function(function)
    with pytest.raises(TypeError, match="a kernel is a plain Python function, not builtin_function_or_method"):
        parse_function(len)


def test_kernels_are_unwrapped_and_other_wrappers_kept():
    def wrapper():
        pass

    wrapper.__wrapped__ = first
    assert unwrap(wrapper) is wrapper
    assert unwrap(ag.kernel(first)) is first
