"""The steps that compute an element of a graph: nodes followed down to memory and numbers, over one domain.

Views and gathers become part of how memory is walked: a stride along each axis of the domain, and along indices that are steps themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from anygpu.ir.graph import COMPUTED, AxisMap, Node, Place, Shape, broadcast, compose, contiguous, identity

Step = tuple[object, ...]
Computed = tuple[tuple[int, int, int], ...]  # steps whose values are indices: step, stride in bytes, extent
Walked = tuple[int, Shape, str, int, Computed]  # an access: address, strides along the domain in bytes, dtype, itemsize, computed indices


def is_small(value: object) -> bool:
    """Whether a number that a launch gives is no int, or one that fits int32. What only stands for a number says so itself."""
    if type(value) is int:
        return -(1 << 31) <= value < 1 << 31
    return getattr(value, "is_small", True)


class Misaligned(Exception):
    """A value of this kernel is looked at where another work-item computes it."""


class Tracer:
    """Follows nodes down to memory and numbers, over one domain."""

    def __init__(self, domain: Shape):
        self.domain = domain
        self.steps: list[Step] = []
        self.places: list[Walked] = []
        self.scalars: list[tuple[object, str]] = []
        self.integers: list[int] = []
        self.indexed: set[int] = set()  # the axes whose index is a value
        self.made: dict[int, tuple[AxisMap, Step]] = {}  # what this kernel has computed, by node: seen so it is what the step says
        self.assumed: dict[int, Place] = {}  # where nodes will lie that are computed before
        self.row = True  # whether every access walks the whole domain as one row, or stays where it is
        self._known: dict[object, int] = {}
        self._numbers: dict[object, int] = {}  # of places, by what is loaded
        self._identity = identity(domain)

    def value(self, node: Node, seen: AxisMap | None = None) -> int:
        """The step that computes an element of ``node``, seen through a view in the domain's shape (None: it has that shape)."""
        if seen is None or seen == self._identity:
            seen = None
            key: object = id(node)
        else:
            key = (id(node), seen)
        known = self._known.get(key)
        if known is None:
            place = node.place
            known = self._known[key] = self._trace(node, seen) if place is None else self._load(place, node, seen)
        return known

    def forget(self) -> None:
        """Share no step with what was traced before: it belongs to another part of the kernel."""
        self._known.clear()

    def row_key(self, results: Sequence[int]) -> object:
        """What a kernel over one row is found again by, without working out its form."""
        kinds = tuple([p[2] for p in self.places])
        small = math.prod(self.domain) < 1 << 27 and self.small  # of the widest elements that is 2 GiB
        return tuple(self.steps), kinds, tuple([d for _, d in self.scalars]), tuple(results), small

    @property
    def small(self) -> bool:
        """Whether the numbers that a launch gives fit int32, which compiled kernels build on where they can."""
        return all(is_small(v) for v, _ in self.scalars)

    def _trace(self, node: Node, seen: AxisMap | None) -> int:
        made = self.made.get(id(node))
        if made is not None:
            return self._made(node, self._identity if seen is None else seen, *made)
        place = self.assumed.get(id(node))
        if place is not None:
            return self._load(place, node, seen)
        match node.op:
            case "map":
                function, dtypes = node.attrs
                shape = node.shape
                operands = tuple([self.value(a, seen) if a.shape == shape else self._operand(a, node, seen) for a in node.args])
                return self._step(("map", function, operands, dtypes, node.dtype.name))
            case "cast":
                return self._step(("cast", self.value(node.args[0], seen), node.dtype.name))
            case "scalar":
                self.scalars.append((node.attrs[0], node.dtype.name))
                return self._step(("scalar", len(self.scalars) - 1))
            case "view":
                attrs: AxisMap = node.attrs  # type: ignore[assignment]
                return self.value(node.args[0], self._through(seen, attrs))
            case "gather":
                base, *indices = node.args
                given = [self._operand(arg, node, seen) for arg in indices]
                return self.value(base, self._chosen(node.attrs, given, base.shape, seen))  # type: ignore[arg-type]
            case "iota":
                start, axis, step = (seen or identity(node.shape))[-1]
                if axis == COMPUTED:
                    return start
                if axis < 0:
                    self.scalars.append((start, node.dtype.name))
                    return self._step(("scalar", len(self.scalars) - 1))
                self.indexed.add(axis)
                self.row = False
                return self._step(("index", axis, self._integers(start, step)))
        raise AssertionError(f"{node!r} must be computed before what reads it")

    def _made(self, node: Node, seen: AxisMap, shown: AxisMap, step: Step) -> int:
        if any(a != b and n != 1 for a, b, n in zip(seen, shown, node.shape, strict=True)):
            raise Misaligned
        return self._step(step)

    def _operand(self, arg: Node, node: Node, seen: AxisMap | None) -> int:
        if arg.shape == node.shape:
            return self.value(arg, seen)
        return self.value(arg, self._through(seen, broadcast(arg.shape, node.shape)))

    def _through(self, seen: AxisMap | None, view: AxisMap) -> AxisMap:
        """A view of an array that is itself seen through one."""
        if seen is None:
            return view
        if all(axis != COMPUTED for _, axis, _ in seen):
            return compose(seen, view)
        found = []
        for start, axis, step in view:
            if axis < 0:
                found.append((start, -1, 0))
            elif seen[axis][1] != COMPUTED:
                found += compose(seen, ((start, axis, step),))
            else:
                at = seen[axis][0]
                moved = at if (start, step) == (0, 1) else self._step(("affine", at, self._integers(start, step)))
                found.append((moved, COMPUTED, 0))
        return tuple(found)

    def _integers(self, *values: int) -> int:
        """Where integers that the launch gives begin."""
        self.integers += values
        return len(self.integers) - len(values)

    def chosen(self, axes: AxisMap, indices: Sequence[Node], shape: Shape, seen: AxisMap | None) -> AxisMap:
        """What a gather's attributes choose of an array of ``shape``, for the elements of the domain that a view shows."""
        return self._chosen(axes, [self.value(index, seen) for index in indices], shape, seen)

    def _chosen(self, axes: AxisMap, given: Sequence[int], shape: Shape, seen: AxisMap | None) -> AxisMap:
        found: list[tuple[int, int, int]] = []
        for n, (start, axis, step) in zip(shape, axes, strict=True):
            if axis == COMPUTED:
                found.append((self._wrapped(given[start], n), COMPUTED, 0))
            else:
                found += self._through(seen, ((start, axis, step),))
        return tuple(found)

    def _wrapped(self, at: int, extent: int) -> int:
        known = self._known.get(("wrap", at, extent))
        if known is None:
            known = self._known["wrap", at, extent] = self._step(("wrap", at, self._integers(extent)))
        return known

    def walk(self, place: Place, seen: AxisMap, shape: Shape) -> tuple[int, Shape, Computed]:
        """The address, and the strides along the domain and along computed indices, of an array of ``shape`` that is seen so."""
        address = place.address
        along = [0] * len(self.domain)
        computed = []
        for (start, axis, step), stride, n in zip(seen, place.strides, shape, strict=True):
            if axis == COMPUTED:
                computed.append((start, stride, n))
                continue
            address += start * stride
            if axis >= 0:
                along[axis] += step * stride
        return address, tuple(along), tuple(computed)

    def _load(self, place: Place, node: Node, seen: AxisMap | None) -> int:
        if seen is None:
            address, strides = place.memory.address + place.offset, place.strides
            computed: Computed = ()
        else:
            address, strides, computed = self.walk(place, seen, node.shape)
        key = (address, strides, node.dtype, computed)
        known = self._known.get(key)
        if known is None:
            itemsize = node.dtype.itemsize
            if computed or strides != contiguous(self.domain, itemsize):
                self.row = False
            number = self._numbers.get(key)
            if number is None:
                number = self._numbers[key] = len(self.places)
                self.places.append((address, strides, node.dtype.name, itemsize, computed))
            known = self._known[key] = self._step(("load", number))
        return known

    def _step(self, step: Step) -> int:
        known = self._known.get(step)
        if known is None:
            self.steps.append(step)
            known = self._known[step] = len(self.steps) - 1
        return known
