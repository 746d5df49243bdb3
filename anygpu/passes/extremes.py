"""What the elements of an array of integers lie between, as far as the graph that computes them shows it."""

from __future__ import annotations

from anygpu.dtypes import DType
from anygpu.ir.graph import Node

Ends = tuple[int, int]
DEPTH = 12  # nodes that are looked through


def extremes(node: Node, depth: int = DEPTH) -> Ends | None:
    """Numbers that every element lies between, both included; None if nothing is known, or if the array has no elements.

    Example:
        >>> import anygpu as ag
        >>> x = ag.array([5, 6, 7])
        >>> extremes((x % 3)._node())
        (0, 2)
    """
    dtype = node.dtype
    if not depth or not (dtype.is_integer or dtype.kind == "b") or 0 in node.shape:
        return None
    found = None if node.place is not None else _ends(node, depth - 1)
    if found is None or not _within(found, dtype):  # what wraps may be anything
        return _limits(dtype)
    return found


def _limits(dtype: DType) -> Ends:
    return (0, 1) if dtype.kind == "b" else (int(dtype.minimum), int(dtype.maximum))


def _within(ends: Ends, dtype: DType) -> bool:
    low, high = _limits(dtype)
    return low <= ends[0] and ends[1] <= high


def _ends(node: Node, depth: int) -> Ends | None:
    match node.op:
        case "scalar":
            value = node.attrs[0]
            return (int(value), int(value)) if isinstance(value, int) else None
        case "iota":
            return 0, node.shape[-1] - 1
        case "view" | "gather" | "reshape":
            return extremes(node.args[0], depth)
        case "cast":
            return extremes(node.args[0], depth)
        case "reduce" if node.attrs[0] in ("argmin", "argmax"):
            size = node.args[0].size // max(node.size, 1)
            return 0, size - 1
        case "reduce" if node.attrs[0] in ("minimum", "maximum"):
            return extremes(node.args[0], depth)
        case "map":
            return _mapped(str(node.attrs[0]), [extremes(arg, depth) for arg in node.args])
    return None


def _mapped(function: str, given: list[Ends | None]) -> Ends | None:
    if function == "remainder" and given[1] is not None and given[1][0] > 0:
        return 0, given[1][1] - 1
    if function == "bitwise_and":
        highest = [ends[1] for ends in given if ends is not None and ends[0] >= 0]
        return (0, min(highest)) if highest else None
    known = [ends for ends in given if ends is not None]
    if len(known) < len(given):
        return None
    match function, known:
        case "add", [a, b]:
            return a[0] + b[0], a[1] + b[1]
        case "subtract", [a, b]:
            return a[0] - b[1], a[1] - b[0]
        case "multiply", [a, b]:
            ends = [x * y for x in a for y in b]
            return min(ends), max(ends)
        case "negative", [a]:
            return -a[1], -a[0]
        case "minimum", [a, b]:
            return min(a[0], b[0]), min(a[1], b[1])
        case "maximum", [a, b]:
            return max(a[0], b[0]), max(a[1], b[1])
        case "where", [_, a, b]:
            return min(a[0], b[0]), max(a[1], b[1])
        case "floor_divide", [a, b] if b[0] == b[1] and b[0] > 0:
            return a[0] // b[0], a[1] // b[0]
        case "right_shift", [a, b] if b[0] == b[1] and 0 <= b[0] < 63:
            return a[0] >> b[0], a[1] >> b[0]
    return None
