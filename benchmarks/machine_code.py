"""Machine code of GPUs as text: basic blocks, the blocks that are expected to run, and loops.

`sass` reads what `nvdisasm -c` prints, `gcn` the assembly that LLVM writes for AMD.

A block is *cold* if it calls a function (the slow path of a division, the record of a failed check), if it can only go on to cold
blocks, or if only cold blocks lead to it. So are the targets of `BRA.DIV`, taken by a warp that fell apart. All others are hot.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Instruction:
    """`guard` is the predicate in front of it, `""` if there is none."""

    guard: str
    opcode: str
    operands: str

    @property
    def name(self) -> str:
        return self.opcode.partition(".")[0]


@dataclass(frozen=True)
class Flow:
    """Where an instruction that ends a block goes: to a label, perhaps, and perhaps on to the next."""

    target: str
    falls: bool


@dataclass
class BasicBlock:
    """Instructions that run one after another, and the numbers of the blocks that can follow."""

    instructions: list[Instruction] = field(default_factory=list)
    successors: list[int] = field(default_factory=list)

    @property
    def calls(self) -> bool:
        return any(i.name in ("CALL", "s_swappc_b64") for i in self.instructions)


@dataclass(frozen=True)
class Loop:
    """A natural loop: its blocks, without those of the loops inside it."""

    head: int
    blocks: frozenset[int]


# --------------------------------------------------------------------------------------------------------------------------- reading

_SASS = re.compile(r"^\s+/\*[0-9a-f]{4,}\*/\s+(?:(@!?U?P[T\d]+)\s+)?([A-Z][\w.]*)([^;]*);")
_SASS_TARGET = re.compile(r"`\((\S+?)\)")
_LABEL = re.compile(r"^(\S+):")


def sass(text: str, kernel: str) -> list[BasicBlock]:
    """The blocks of a kernel in what `nvdisasm -c` prints, the entry first. Functions that it calls are among them, unreachable."""
    return _blocks(_sass_lines(text, kernel), _sass_flow)


def _sass_lines(text: str, kernel: str) -> Iterator[str | Instruction]:
    inside = False
    for line in text.splitlines():
        if line.startswith("//---"):
            inside = f".text.{kernel} " in line
        elif inside and (label := _LABEL.match(line)):
            yield label[1]
        elif inside and (found := _SASS.match(line)):
            yield Instruction(found[1] or "", found[2], found[3].strip())


def _sass_flow(i: Instruction) -> Flow | None:
    if i.name not in ("BRA", "EXIT", "RET", "BRX", "JMP", "KILL"):
        return None
    target = _SASS_TARGET.search(i.operands)
    divergent = i.opcode == "BRA.DIV"
    # "BRA UP0, label" has its predicate among the operands
    conditional = i.guard not in ("", "@PT", "@UPT") or divergent or re.match(r"!?U?P\d", i.operands) is not None
    return Flow(target[1] if target and i.name == "BRA" and not divergent else "", conditional)


_GCN = re.compile(r"^\s+([a-z]\w+)\s*([^;]*)")


def gcn(text: str, kernel: str) -> list[BasicBlock]:
    """The blocks of a kernel in AMD's assembly, the entry first."""
    return _blocks(_gcn_lines(text, kernel), _gcn_flow)


def _gcn_lines(text: str, kernel: str) -> Iterator[str | Instruction]:
    inside = False
    for line in text.splitlines():
        if label := _LABEL.match(line):
            inside = label[1] == kernel or (inside and label[1].startswith((".LBB", "BB")))
            if inside:
                yield label[1]
        elif inside and (found := _GCN.match(line)):
            yield Instruction("", found[1], found[2].strip())


def _gcn_flow(i: Instruction) -> Flow | None:
    if i.opcode.startswith("s_cbranch"):
        return Flow(i.operands, True)
    if i.opcode == "s_branch":
        return Flow(i.operands, False)
    return Flow("", False) if i.opcode in ("s_endpgm", "s_setpc_b64", "s_trap") else None


def _blocks(lines: Iterable[str | Instruction], flow: Callable[[Instruction], Flow | None]) -> list[BasicBlock]:
    blocks = [BasicBlock()]
    labels: dict[str, int] = {}
    jumps: list[tuple[int, str]] = []
    open_end = True  # whether the last block goes on to the one that comes next
    for item in lines:
        if isinstance(item, str):
            if blocks[-1].instructions:
                if open_end:
                    blocks[-1].successors.append(len(blocks))
                blocks.append(BasicBlock())
            labels[item] = len(blocks) - 1
            open_end = True
            continue
        blocks[-1].instructions.append(item)
        open_end = True
        if (goes := flow(item)) is None:
            continue
        if goes.target:
            jumps.append((len(blocks) - 1, goes.target))
        if goes.falls:
            blocks[-1].successors.append(len(blocks))
        blocks.append(BasicBlock())
    for block, label in jumps:
        blocks[block].successors.append(labels[label])
    return blocks


# -------------------------------------------------------------------------------------------------------------------------- analysis


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
    return [i for n in sorted(numbers) for i in blocks[n].instructions if i.name not in ("NOP", "s_nop", "s_code_end")]
