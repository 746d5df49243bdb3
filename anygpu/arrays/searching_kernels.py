"""Binary searches: every work-item takes as many steps, so that those of a warp stay together."""

# mypy: ignore-errors
# (the kernel compiler types these functions, once for each dtype)

from __future__ import annotations

from anygpu.engine.launch import func, kernel
from anygpu.frontend.vocabulary import grid


@func
def less(a, b):
    """Whether ``a`` comes before ``b`` in a sorted array, in which NaN is last."""
    return a < b or (b != b and a == a)


@func
def goes_after(element, value, right):
    """Whether a value's place is after an element: also after equal ones, if ``right``."""
    return not less(value, element) if right else less(element, value)


@func
def place_in(table, value, right, kind):
    """How many elements of a sorted table a value's place is after."""
    first, count = 0, table.size
    while count > 1:
        half = count // 2
        first = first + half if goes_after(kind(table[first + half - 1]), value, right) else first
        count -= half
    return first + 1 if count == 1 and goes_after(kind(table[first]), value, right) else first


@kernel(bounds_check=False)
def search(table, values, found, right, kind):
    """``found[i]``: the place of ``values[i]`` in a sorted table, compared as numbers of a kind."""
    i = grid(1)
    found[i] = place_in(table, kind(values[i]), right, kind)
