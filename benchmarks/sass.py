"""Machine code of NVIDIA devices as `nvdisasm -c` prints it: basic blocks, the blocks that are expected to run, and loops.

A block is *cold* if it calls a function (the slow path of a division, the record of a failed check), if it can only go on to cold
blocks, or if only cold blocks lead to it. So are the targets of `BRA.DIV`, taken by a warp that fell apart. All others are hot.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

_LABEL = re.compile(r"^(\S+):$")
_INSTRUCTION = re.compile(r"^\s+/\*[0-9a-f]{4,}\*/\s+(?:(@!?U?P[T\d]+)\s+)?([A-Z][\w.]*)([^;]*);")
_TARGET = re.compile(r"`\((\S+?)\)")


@dataclass(frozen=True)
class Instruction:
    """`guard` is the predicate in front, `""` if there is none."""

    guard: str
    opcode: str
    operands: str

    @property
    def name(self) -> str:
        return self.opcode.partition(".")[0]


@dataclass
class BasicBlock:
    """Instructions that run one after another, and the numbers of the blocks that can follow."""

    instructions: list[Instruction] = field(default_factory=list)
    successors: list[int] = field(default_factory=list)

    @property
    def calls(self) -> bool:
        return any(i.name == "CALL" for i in self.instructions)


@dataclass(frozen=True)
class Loop:
    """A natural loop: its blocks, without those of the loops inside it."""

    head: int
    blocks: frozenset[int]


def _lines(text: str, kernel: str) -> Iterator[str | Instruction]:
    """The labels and instructions of a kernel's section."""
    inside = False
    for line in text.splitlines():
        if line.startswith("//---"):
            inside = f".text.{kernel} " in line
        elif inside and (label := _LABEL.match(line)):
            yield label[1]
        elif inside and (found := _INSTRUCTION.match(line)):
            yield Instruction(found[1] or "", found[2], found[3].strip())


def blocks_of(text: str, kernel: str) -> list[BasicBlock]:
    """The basic blocks of a kernel, the first being its entry. Functions that it calls are among them, unreachable."""
    blocks = [BasicBlock()]
    labels: dict[str, int] = {}
    jumps: list[tuple[int, str]] = []
    falls = True
    for item in _lines(text, kernel):
        if isinstance(item, str):
            if blocks[-1].instructions:
                if falls:
                    blocks[-1].successors.append(len(blocks))
                blocks.append(BasicBlock())
            labels[item] = len(blocks) - 1
            falls = True
            continue
        blocks[-1].instructions.append(item)
        ends = item.name in ("BRA", "EXIT", "RET", "BRX", "JMP", "KILL")
        if not ends:
            continue
        conditional = item.guard not in ("", "@PT", "@UPT") or item.opcode == "BRA.DIV"
        if item.name == "BRA" and (target := _TARGET.search(item.operands)) and item.opcode != "BRA.DIV":
            jumps.append((len(blocks) - 1, target[1]))
            # "BRA UP0, label" has its predicate among the operands
            conditional = conditional or re.match(r"!?U?P\d", item.operands) is not None
        if conditional:
            blocks[-1].successors.append(len(blocks))
        blocks.append(BasicBlock())
        falls = True
    for block, label in jumps:
        if label in labels:
            blocks[block].successors.append(labels[label])
    return [b if b.successors or b.instructions else BasicBlock() for b in blocks]


def hot_blocks(blocks: list[BasicBlock]) -> set[int]:
    """The numbers of the blocks that are expected to run."""
    cold = {n for n, block in enumerate(blocks) if block.calls}
    while True:
        more = {n for n, b in enumerate(blocks) if n not in cold and b.successors and all(s in cold for s in b.successors)}
        if not more:
            break
        cold |= more
    return reach([0], blocks, cold)


def reach(start: Iterable[int], blocks: list[BasicBlock], without: set[int]) -> set[int]:
    """Every block that can be reached from some without passing through others."""
    found: set[int] = set()
    waiting = [n for n in start if n not in without]
    while waiting:
        n = waiting.pop()
        if n not in found:
            found.add(n)
            waiting += [s for s in blocks[n].successors if s not in without and s < len(blocks)]
    return found


def loops_of(blocks: list[BasicBlock], hot: set[int]) -> list[Loop]:
    """The natural loops among hot blocks."""
    before: dict[int, set[int]] = {n: set() for n in hot}
    for n in hot:
        for s in blocks[n].successors:
            if s in hot:
                before[s].add(n)
    dominators = _dominators(hot, before)
    bodies: dict[int, set[int]] = {}
    for n in hot:
        for head in blocks[n].successors:
            if head in hot and head in dominators[n]:
                body = bodies.setdefault(head, {head})
                waiting = [n]
                while waiting:
                    m = waiting.pop()
                    if m not in body:
                        body.add(m)
                        waiting += before[m]
    inner = {h: set().union(*(b for o, b in bodies.items() if o != h and b < bodies[h])) for h in bodies}
    return [Loop(head, frozenset(body - inner[head])) for head, body in sorted(bodies.items())]


def _dominators(hot: set[int], before: dict[int, set[int]]) -> dict[int, set[int]]:
    found = {n: set(hot) for n in hot}
    found[0] = {0}
    changed = True
    while changed:
        changed = False
        for n in sorted(hot - {0}):
            new = {n} | set.intersection(*(found[p] for p in before[n])) if before[n] else {n}
            if new != found[n]:
                found[n], changed = new, True
    return found


def counted(blocks: list[BasicBlock], numbers: Iterable[int]) -> list[Instruction]:
    """The instructions of some blocks, without padding."""
    return [i for n in sorted(numbers) for i in blocks[n].instructions if i.name != "NOP"]
