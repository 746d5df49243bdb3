"""The kernels of ``anygpu demo``: a first look at the language, from one line a pixel to shared memory, barriers and atomics.

Each kernel says what one work-item does. Images are planes, ``image[y, x]``, or stacks of them, ``image[c, y, x]``, in float32.
Launched with ``kernel.forall(shape)(...)``, there is one work-item for every index of ``shape``, and ``ag.grid(n)`` says
which one this is. Launched with ``kernel[grid, block](...)``, work-items come in blocks that share memory and can wait for each
other; what lies beyond the edge of the image is then the kernel's own business.
"""

from __future__ import annotations

import math

import anygpu as ag

TILE = 32  # a block transposes a square of this side
ROWS = 8  # with this many rows of work-items, so that each moves TILE / ROWS elements
LEVELS = 256
BODIES = 128  # work-items of a block that share what they read of the other bodies
SOFTENING = 0.02  # keeps the force of two bodies finite when they meet

# ------------------------------------------------------------------------------------------------------------------- images


@ag.func
def clamp(i, n):
    """The index ``i`` moved to the nearest one within ``n``: the image goes on with its edge."""
    return min(max(i, 0), n - 1)


@ag.kernel
def luminance(rgb, gray):
    """``gray[y, x]`` of a colour image ``rgb[c, y, x]``, weighted as the eye sees it (ITU-R BT.601)."""
    y, x = ag.grid(2)
    gray[y, x] = 0.299 * rgb[0, y, x] + 0.587 * rgb[1, y, x] + 0.114 * rgb[2, y, x]


@ag.kernel
def blur_along_x(image, weights, out):
    """Weighted mean of each pixel's neighbours in its row. A two-dimensional Gaussian is this and then the same along y."""
    c, y, x = ag.grid(3)
    width = image.shape[2]
    radius = weights.size // 2
    total = ag.float32(0)
    if radius <= x < width - radius:  # neighbours of neighbours are neighbours: a warp reads 32 pixels in one go
        for k in range(weights.size):
            total += weights[k] * image[c, y, x + k - radius]
    else:  # at the edge each work-item goes its own way
        for k in range(weights.size):
            total += weights[k] * image[c, y, clamp(x + k - radius, width)]
    out[c, y, x] = total


@ag.kernel
def blur_along_y(image, weights, out):
    """Weighted mean of each pixel's neighbours in its column."""
    c, y, x = ag.grid(3)
    radius = weights.size // 2
    total = ag.float32(0)
    for k in range(weights.size):
        total += weights[k] * image[c, clamp(y + k - radius, image.shape[1]), x]
    out[c, y, x] = total


@ag.func
def gradient(image, up, y, down, left, x, right):
    """The length of the gradient by Sobel's operator, from the rows and columns of a pixel and its neighbours."""
    across = image[up, right] + 2 * image[y, right] + image[down, right] - image[up, left] - 2 * image[y, left] - image[down, left]
    along = image[down, left] + 2 * image[down, x] + image[down, right] - image[up, left] - 2 * image[up, x] - image[up, right]
    return math.sqrt(across * across + along * along)


@ag.kernel
def sobel(image, edges):
    """How steep the image is at each pixel."""
    y, x = ag.grid(2)
    height, width = image.shape
    up, down = clamp(y - 1, height), clamp(y + 1, height)
    if 0 < x < width - 1:
        edges[y, x] = gradient(image, up, y, down, x - 1, x, x + 1)
    else:
        edges[y, x] = gradient(image, up, y, down, clamp(x - 1, width), x, clamp(x + 1, width))


@ag.kernel
def histogram(values, counts):
    """``counts[c, level]``: how often each level from 0 to 255 occurs in ``values[c, i]``; ``counts`` starts as zeros.

    Launch with a grid of (blocks, colours). Each block counts in its own shared memory, where its work-items disturb nobody else, and
    adds that to the total at the end.
    """
    mine = ag.shared.array(LEVELS, ag.int32)
    t, c = ag.threadIdx.x, ag.blockIdx.y
    for level in range(t, LEVELS, ag.blockDim.x):
        mine[level] = 0
    ag.syncthreads()  # nobody counts before all counters are zero

    for i in range(ag.grid(1), values.shape[1], ag.gridsize(1)):
        ag.atomic.add(mine, values[c, i], 1)
    ag.syncthreads()  # nobody reads a counter before everybody has counted

    for level in range(t, LEVELS, ag.blockDim.x):
        ag.atomic.add(counts, (c, level), mine[level])


@ag.kernel
def transpose(image, out):
    """``out[x, y] = image[y, x]`` by way of shared memory, so that both sides are read and written along their rows.

    Launch with blocks of (TILE, ROWS). The tile's rows are one longer than they need be: on a GPU a column of it then lies in 32
    different banks of memory.
    """
    tile = ag.shared.array((TILE, TILE + 1), ag.float32)
    tx, ty = ag.threadIdx.x, ag.threadIdx.y
    x, y = ag.blockIdx.x * TILE + tx, ag.blockIdx.y * TILE + ty
    for k in range(0, TILE, ROWS):
        if x < image.shape[1] and y + k < image.shape[0]:
            tile[ty + k, tx] = image[y + k, x]
    ag.syncthreads()

    x, y = ag.blockIdx.y * TILE + tx, ag.blockIdx.x * TILE + ty
    for k in range(0, TILE, ROWS):
        if x < out.shape[1] and y + k < out.shape[0]:
            out[y + k, x] = tile[tx, ty + k]


# --------------------------------------------------------------------------------------------------------------- Mandelbrot


@ag.kernel
def mandelbrot(left, top, step, limit, out):
    """How long ``z*z + c`` takes to leave the circle of radius 16, in steps and fractions of one; 0 if it has not after ``limit``.

    The fraction makes colours run smoothly: after leaving, the logarithm of the radius doubles with every step. ``left``, ``top``
    and ``step`` are Python floats and so is all that is made of them, float64: neighbours are too close for float32.
    """
    row, column = ag.grid(2)
    cx, cy = left + step * column, top - step * row
    x, y = cx, cy
    out[row, column] = 0
    for n in range(limit):
        square = x * x + y * y
        if square > 256:
            out[row, column] = n + 4 - math.log2(math.log2(square))
            break
        x, y = x * x - y * y + cx, 2 * x * y + cy


# ------------------------------------------------------------------------------------------------------------------- bodies


@ag.kernel
def accelerate(position, mass, acceleration):
    """The pull of all bodies on each: ``acceleration[axis, i]`` from ``position[axis, i]`` and ``mass[i]``, with G = 1.

    The block reads BODIES bodies into shared memory at a time, one a work-item, and each work-item then meets all of them there.
    """
    xs = ag.shared.array(BODIES, ag.float32)
    ys = ag.shared.array(BODIES, ag.float32)
    zs = ag.shared.array(BODIES, ag.float32)
    masses = ag.shared.array(BODIES, ag.float32)
    n = mass.size
    t, i = ag.threadIdx.x, ag.grid(1)
    me = clamp(i, n)  # those beyond the last body help to read and throw their result away
    x, y, z = position[0, me], position[1, me], position[2, me]
    ax = ay = az = ag.float32(0)
    for start in range(0, n, BODIES):
        other = start + t
        if other < n:
            xs[t], ys[t], zs[t], masses[t] = position[0, other], position[1, other], position[2, other], mass[other]
        ag.syncthreads()
        for k in range(min(BODIES, n - start)):
            dx, dy, dz = xs[k] - x, ys[k] - y, zs[k] - z
            inverse = ag.rsqrt(dx * dx + dy * dy + dz * dz + SOFTENING * SOFTENING)
            pull = masses[k] * inverse * inverse * inverse
            ax += pull * dx
            ay += pull * dy
            az += pull * dz
        ag.syncthreads()  # nobody overwrites a body that another has still to meet
    if i < n:
        acceleration[0, i], acceleration[1, i], acceleration[2, i] = ax, ay, az


@ag.kernel
def advance(position, velocity, acceleration, seconds):
    """One step of the leapfrog method: new velocities from accelerations, new positions from velocities."""
    axis, i = ag.grid(2)
    velocity[axis, i] += seconds * acceleration[axis, i]
    position[axis, i] += seconds * velocity[axis, i]


@ag.kernel
def deposit(position, light, scale, picture):
    """Add each body's ``light[c, i]`` to the pixel of ``picture[c, y, x]`` where it stands, seen along z."""
    i = ag.grid(1)
    _, height, width = picture.shape
    x = width // 2 + math.floor(scale * position[0, i])
    y = height // 2 - math.floor(scale * position[1, i])
    if 0 <= x < width and 0 <= y < height:
        for c in range(3):
            ag.atomic.add(picture, (c, y, x), light[c, i])
