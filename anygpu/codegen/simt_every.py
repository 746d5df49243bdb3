"""Branches that all lanes of a vector take, for OpenCL's CPUs: a copy of the branch, whose loads have no masks.

Intel's compiler makes one vector of several work-items, and masked loads of what a varying branch loads. On some processors (AMD's
Zen 5) such a load of what no cache holds takes several times as long as one without a mask: a stencil's branch for the elements that
are not at the border cost half of its speed. So the vector asks whether all of its lanes take the branch. LLVM would see that both
copies are one, and mask that again: in this copy addresses have a number added that is 0, which only the launch knows.
"""

from __future__ import annotations

from collections.abc import Mapping

from anygpu.ir.kernel import Assign, Block, Exit, If, Kernel, Load, Store, walk
from anygpu.passes.cost import weight
from anygpu.passes.uniformity import VARYING, Shape, expression_shape, uniformity

_FEWEST_LOADS = 2  # that are worth the question
_MOST_OPERATIONS = 128  # that are worth two copies
# Work-items along x are lanes; what differs along y and z differs between vectors.
SPECIALS: Mapping[tuple[str, int], Shape] = {("thread", 0): VARYING, ("lane", 0): VARYING}


class Branches:
    """Which branches of a kernel are worth a copy for all lanes."""

    def __init__(self, kernel: Kernel):
        self.shapes = uniformity(kernel, SPECIALS)
        self.loaded = {array.name for array in kernel.arrays().values() if array.space == "global"}

    def ask(self, stmt: If) -> bool:
        """Whether a vector should ask if all of its lanes take this branch."""
        inside = list(walk(stmt.then))
        if not all(isinstance(s, Assign | Load | Store | If | Block | Exit) for s in inside):
            return False
        loads = sum(isinstance(s, Load) and s.array in self.loaded for s in inside)
        return (
            loads >= _FEWEST_LOADS
            and weight(stmt.then) <= _MOST_OPERATIONS
            and not expression_shape(stmt.cond, self.shapes, SPECIALS).uniform
        )
