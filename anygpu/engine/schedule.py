"""Which kernels compute a graph: nodes are grouped, and groups put in order.

What is stored, besides the roots: whatever no kernel can compute on the fly (reductions, updates, operands of library routines), and
values that are expensive and that several kernels need. Everything else is computed where it is read. Values of one shape whose
operands are ready at the same time share a kernel, as do reductions of arrays of one shape over the same axes. Reductions of short rows
that build on one another become one kernel in stages.
"""

from __future__ import annotations

from collections.abc import Sequence

from anygpu.engine.chains import ALONE, IN_PLACE, MOST_OUTPUTS, Group, chained
from anygpu.engine.places import overlap
from anygpu.ir.graph import Node, Place
from anygpu.passes.fusion import CHEAP


def schedule(order: Sequence[Node], roots: Sequence[Node]) -> list[Group]:
    """The kernels that compute roots, of whose graphs ``order`` are the nodes that have not been computed, operands first."""
    consumers: dict[int, list[Node]] = {id(node): [] for node in order}
    for node in order:
        for arg in node.args:
            if arg.place is None:
                consumers[id(arg)].append(node)
    wanted = {id(root) for root in roots}
    stored = _stored(order, wanted, consumers)
    hosts = _hosts(order, wanted, stored, consumers)
    stored -= hosts.keys()
    finished = {id(host) for host in hosts.values()}
    levels: dict[int, int] = {}
    groups: dict[object, list[Group]] = {}
    found: list[Group] = []
    for node in order:
        if id(node) not in stored:
            continue
        reductions = [r for r in order if hosts.get(id(r)) is node] if hosts else []
        if node.op == "reduce":
            reductions = [node]
        level = 0
        operands = _reads(node, stored, hosts)
        for read, same in operands:
            ours = read.op in ("map", "cast", "view", "iota", "gather") and id(read) not in finished
            joins = same and ours and not reductions and node.op in ("map", "cast")
            level = max(level, levels[id(read)] + (not joins))
        levels[id(node)] = level
        key: object = id(node) if node.op in ALONE else (level, node.shape, _domain(reductions))
        among = groups.setdefault(key, [])
        if not among or len(among[-1].roots) >= MOST_OUTPUTS:
            among.append(Group(level))
            found.append(among[-1])
        among[-1].roots.append(node)
        among[-1].reductions += reductions
        among[-1].reads += [read for read, _ in operands]
    found.sort(key=lambda group: (group.level, group.roots[0].op in IN_PLACE))
    return chained(found, wanted)


def _domain(reductions: Sequence[Node]) -> object:
    return (reductions[0].args[0].shape, reductions[0].attrs[1]) if reductions else None


def _stored(order: Sequence[Node], wanted: set[int], consumers: dict[int, list[Node]]) -> set[int]:
    """The nodes whose values go to memory, by id."""
    stored = set(wanted)
    costly: dict[int, bool] = {}
    for node in order:
        costly[id(node)] = any(costly.get(id(arg), False) for arg in node.args) or (node.op == "map" and node.attrs[0] not in CHEAP)
        if node.op == "gather" and costly.get(id(node.args[0]), False):
            stored.add(id(node.args[0]))  # which may be computed again and again otherwise
            costly[id(node)] = any(costly.get(id(arg), False) for arg in node.args[1:])
        if node.op in ("map", "cast", "view"):
            for arg in node.args:
                if arg.size < node.size and costly.get(id(arg), False) and arg.size > 1:
                    stored.add(id(_shown(arg)))  # which would be computed again wherever it is repeated
        if node.op == "reduce" or node.op in ALONE:
            stored.add(id(node))
            costly[id(node)] = False
        if node.op == "scan" and costly.get(id(node.args[0]), False):
            stored.add(id(node.args[0]))  # an axis that is scanned in parts is read twice
        if node.op in (*IN_PLACE, "reshape"):
            stored.update(id(arg) for arg in node.args if arg.place is None and arg.op != "scalar" and not _writes_through(node, arg))
    targets: dict[int, set[int]] = {}
    for node in reversed(order):
        reached: set[int] = set()
        for consumer in consumers[id(node)]:
            reached |= {id(consumer)} if id(consumer) in stored else targets[id(consumer)]
        targets[id(node)] = reached
        if id(node) not in stored and costly[id(node)] and len(reached) > 1 and not _shared_kernel(node, reached, order):
            stored.add(id(node))
    return stored


def _shown(node: Node) -> Node:
    """What views of all of a node show."""
    while node.op == "view" and node.args[0].size == node.size:
        (node,) = node.args
    return node


def _writes_through(node: Node, value: Node) -> bool:
    """Whether an update may store a value while it is computed: if it reads of the memory only the very elements that it writes. A scatter
    reads none of it."""
    base = node.args[0]
    if node.op not in IN_PLACE or value is base or base.place is None:
        return False
    if value.op not in ("map", "cast") and node.op == "update":
        return False
    target = target_of(node, base.place)
    stack, seen = [(value, node.op == "update")], set()
    while stack:
        at, same = stack.pop()
        if (id(at), same) in seen:
            continue
        seen.add((id(at), same))
        if at.place is not None:
            if overlap(at.place.memory, target.memory) and not (same and _at_one_place(at.place, target)):
                return False
        elif at.op in ("view", "iota", "gather"):
            stack += [(arg, False) for arg in at.args]
        elif at.op in ("map", "cast"):
            stack += [(arg, same and arg.shape == at.shape) for arg in at.args]
        # what else there is has been computed and stored by then
    return True


def _at_one_place(a: Place, b: Place) -> bool:
    return a.address == b.address and a.strides == b.strides


def target_of(update: Node, place: Place) -> Place:
    """Where an update writes, in memory at ``place``."""
    offset: int = update.attrs[0]  # type: ignore[assignment]
    strides: tuple[int, ...] = update.attrs[1]  # type: ignore[assignment]
    itemsize = update.dtype.itemsize
    return Place(place.memory, place.offset + offset * itemsize, tuple([s * itemsize for s in strides]))


def _shared_kernel(node: Node, reached: set[int], order: Sequence[Node]) -> bool:
    """Whether all that need a value are maps of its shape, which may compute it once in one kernel."""
    return all(n.shape == node.shape and n.op in ("map", "cast") for n in order if id(n) in reached)


def _hosts(order: Sequence[Node], roots: set[int], stored: set[int], consumers: dict[int, list[Node]]) -> dict[int, Node]:
    """For each reduction that nobody else looks at and that another node's kernel can finish: that node, a map of its shape."""
    found: dict[int, Node] = {}
    domains: dict[int, object] = {}
    for node in order:
        if node.op != "reduce" or id(node) in roots or len(consumers[id(node)]) != 1:
            continue
        at = node
        while len(consumers[id(at)]) == 1 and (at is node or id(at) not in stored):
            above = consumers[id(at)][0]
            if above.op not in ("map", "cast") or above.shape != node.shape:
                break
            at = above
            if id(at) in stored:
                if domains.setdefault(id(at), _domain([node])) == _domain([node]):
                    found[id(node)] = at
                break
    return found


def _reads(node: Node, stored: set[int], hosts: dict[int, Node]) -> list[tuple[Node, bool]]:
    """The stored nodes that a stored node's kernel reads, and whether it reads each at the index that it computes."""
    found: list[tuple[Node, bool]] = []
    seen: set[tuple[int, bool]] = set()
    stack = [(arg, node.op in ("map", "cast") and arg.shape == node.shape) for arg in node.args]
    while stack:
        at, same = stack.pop()
        if at.place is not None or (id(at), same) in seen:
            continue
        seen.add((id(at), same))
        if id(at) in stored:
            found.append((at, same))
        else:
            inner = same and at.op in ("map", "cast")
            stack += [(arg, inner and arg.shape == at.shape) for arg in at.args]
    return found
