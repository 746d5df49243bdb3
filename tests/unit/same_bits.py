"""What tests of passes share: a kernel, changed by a pass, computes the same bits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from anygpu.ir.interp import interpret
from anygpu.ir.interp_values import Libm
from anygpu.ir.kernel import Kernel
from anygpu.ir.verify import verify


def same_bits(
    change: Callable[[Kernel], Kernel], kernel: Kernel, *args: object, blocks: int = 1, threads: int = 1, libm: Libm = "error"
) -> Kernel:
    """``kernel`` changed, of which the interpreter gives the same bits. By default no operation may be left that is to be expanded."""
    changed = change(kernel)
    verify(changed)
    results = []
    for one in (kernel, changed):
        given = [a.copy() if isinstance(a, np.ndarray) else a for a in args]
        with np.errstate(all="ignore"):
            interpret(one, given, (blocks, 1, 1), (threads, 1, 1), libm=libm)
        results.append([a.tobytes() for a in given if isinstance(a, np.ndarray)])
    assert results[0] == results[1]
    return changed
