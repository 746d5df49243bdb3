"""The product of matrices: tiles of the operands in shared memory, tiles of the product in registers."""

from __future__ import annotations

import anygpu as ag

TILE, STEP, EACH = 64, 16, 4  # a block computes TILE x TILE elements, STEP products at a time, a work-item EACH x EACH of them
SIDE = TILE // EACH
LOADS = TILE * STEP // (SIDE * SIDE)  # elements of either operand that a work-item brings for each step


@ag.kernel(bounds_check=False)
def multiply(a, b, out, total_dtype):
    """``out[z] = a[z] @ b[z]``: products are added in the order of the inner axis. Tiles are numbered along the grid's x, since y and z
    have room for 65535."""
    left = ag.shared.array((STEP, TILE), a.dtype)
    right = ag.shared.array((STEP, TILE), b.dtype)
    total = ag.local.array((EACH, EACH), total_dtype)
    x, y = ag.threadIdx.x, ag.threadIdx.y
    m, n, k = a.shape[1], b.shape[2], a.shape[2]
    across, down = (n + TILE - 1) // TILE, (m + TILE - 1) // TILE
    z, row, column = ag.blockIdx.x // (across * down), ag.blockIdx.x // across % down * TILE, ag.blockIdx.x % across * TILE
    for i in range(EACH):
        for j in range(EACH):
            total[i, j] = 0
    for start in range(0, k, STEP):
        for p in range(LOADS):
            at = p * SIDE * SIDE + y * SIDE + x
            i, s = at // STEP, at % STEP
            left[s, i] = a[z, row + i, start + s] if row + i < m and start + s < k else 0
            s, j = at // TILE, at % TILE
            right[s, j] = b[z, start + s, column + j] if start + s < k and column + j < n else 0
        ag.syncthreads()
        for s in range(STEP):
            for i in range(EACH):
                for j in range(EACH):
                    total[i, j] += total_dtype(left[s, y + i * SIDE]) * total_dtype(right[s, x + j * SIDE])
        ag.syncthreads()
    for i in range(EACH):
        for j in range(EACH):
            if row + y + i * SIDE < m and column + x + j * SIDE < n:
                out[z, row + y + i * SIDE, column + x + j * SIDE] = total[i, j]
