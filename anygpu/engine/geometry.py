"""The grid and the block that a device is given for a launch, where they are not those that the launch names.

A range is cut into lines of 256 work-items. Where it makes no difference to the kernel, and the device is a CPU, which pays for every
block, the lines are longer. A grid that is too long along y or z for the device is launched as one along x.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from anygpu.config import LONGEST_LINE
from anygpu.runtime.device import Device

if TYPE_CHECKING:
    from anygpu.ir.kernel import Kernel

Triple = tuple[int, int, int]
RANGE_BLOCK = 256
_LONGER = (LONGEST_LINE, 1024, 512)
_BLOCKS_A_CORE = 16  # so many at least, for cores that are done early to take from


def knows_blocks(kernel: Kernel) -> bool:
    """Whether something in a kernel of a range, as the frontend gives it, depends on which work-items form a block."""
    from anygpu.ir.kernel import Barrier, Special, WarpOp, operands, subexpressions, walk

    if any(declared.space == "shared" for declared in kernel.declared):
        return True
    for stmt in walk(kernel.body):
        if isinstance(stmt, Barrier | WarpOp):
            return True
        if any(isinstance(e, Special) and e.name not in ("index", "extent") for o in operands(stmt) for e in subexpressions(o)):
            return True
    return False


def line(last: int, rest: int, cores: int, most: int = LONGEST_LINE) -> int:
    """The length of the lines of a range of ``rest`` rows of ``last`` work-items, for code that takes any of up to ``most``.

    >>> line(1 << 20, 1, 2), line(1000, 1 << 20, 2), line(5000, 1, 2)
    (4096, 512, 256)
    """
    for length in _LONGER:
        if length <= most and last >= length and -(-last // length) * rest >= _BLOCKS_A_CORE * cores:
            return length
    return RANGE_BLOCK


def in_lines(grid: Triple, last: int, device: Device) -> tuple[Triple, Triple]:
    """The grid and the block of a range whose grid has lines of 256, in lines as long as the device likes them."""
    limits = device.properties
    length = line(last, grid[1] * grid[2], limits.compute_units, min(limits.maximum_block, limits.maximum_block_shape[0]))
    return (-(-last // length), grid[1], grid[2]), (length, 1, 1)


def exceeds(grid: Sequence[int], device: Device) -> bool:
    """Whether a grid must be launched along x alone."""
    _, y, z = device.properties.maximum_grid
    return grid[1] > y or grid[2] > z


def along_x(grid: Triple) -> Triple:
    """The same number of blocks in one row."""
    return math.prod(grid), 1, 1


def place_in_lines(block: int, thread: int, grid: Triple, length: int, last: int) -> tuple[int, int]:
    """The numbers that block and work-item of a range have in lines of 256, from those in lines of another length.

    >>> place_in_lines(3, 300, (2, 2, 1), 1024, 2000)  # 8 blocks of 256 a row
    (13, 44)
    """
    row, column = divmod(block, grid[0])
    index = column * length + thread
    return row * -(-last // RANGE_BLOCK) + index // RANGE_BLOCK, index % RANGE_BLOCK
