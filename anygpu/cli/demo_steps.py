"""What ``anygpu demo`` runs: each step launches kernels, does the same in NumPy, and says how the two compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from anygpu.cli import demo_kernels as kernels
from anygpu.cli.pictures import Floats, Pixels
from anygpu.engine.devices import Device
from anygpu.engine.launch import Kernel
from anygpu.runtime.device_array import DeviceArray

Array = NDArray[np.generic]
D = TypeVar("D", bound=np.generic)
T = TypeVar("T", "Photograph", "Galaxies")


@dataclass(frozen=True)
class Verdict:
    """How close a result is to NumPy's: in words, and whether that is close enough."""

    text: str
    passed: bool


@dataclass(frozen=True)
class Step:
    """One row of the demo's table.

    ``launch`` may run any number of times and leaves the same ``result``. ``reference`` computes it with NumPy.
    """

    name: str
    size: str
    kernels: tuple[Kernel, ...]
    launch: Callable[[], None]
    reference: Callable[[], Array]
    result: Array
    compare: Callable[[Array, Array], Verdict]


def on_device(array: NDArray[D], device: Device) -> NDArray[D]:
    """A copy in a device's memory. Kernels take it as they take an array of NumPy's, which nothing else here can."""
    return cast("NDArray[D]", device.to_device(array).array(array.dtype, array.shape))


def all_on_device(arrays: T, device: Device) -> T:
    """A dataclass of arrays, all of them in a device's memory."""
    copies = {field.name: on_device(getattr(arrays, field.name), device) for field in fields(arrays)}
    return replace(arrays, **copies)


def on_host(array: Array) -> Array:
    """An array's values, wherever they are."""
    return array.to_numpy() if isinstance(array, DeviceArray) else array


def cleared(array: Array) -> None:
    """Queue zeros for an array."""
    if isinstance(array, DeviceArray):
        array.buffer.fill(0)
    else:
        array[...] = 0


def exactly(result: Array, reference: Array) -> Verdict:
    """Every element the same."""
    wrong = int((result != reference).sum())
    return Verdict("none" if wrong == 0 else f"{wrong} wrong", wrong == 0)


def within(tolerance: float) -> Callable[[Array, Array], Verdict]:
    """The largest error in proportion to the largest value: NumPy rounds ``a * b + c`` twice, a kernel once."""

    def compare(result: Array, reference: Array) -> Verdict:
        difference = np.abs(np.asarray(result, np.float64) - np.asarray(reference, np.float64))
        error = float(difference.max() / np.abs(reference).max())
        return Verdict(f"{error:.1e}", error <= tolerance)  # false for NaN as well

    return compare


def mostly(share: float) -> Callable[[Array, Array], Verdict]:
    """All but a share of the elements within 0.01: near the edge of a fractal, one rounding decides where a point ends up."""

    def compare(result: Array, reference: Array) -> Verdict:
        close = np.abs(np.asarray(result, np.float64) - np.asarray(reference, np.float64)) <= 0.01
        differing = int(np.count_nonzero(~close))
        return Verdict(f"{differing} pixel{'s' * (differing != 1)}" if differing else "none", differing <= share * close.size)

    return compare


# --------------------------------------------------------------------------------------------------------------- photograph


@dataclass(frozen=True)
class Photograph:
    """The arrays of the photograph's pipeline; each step fills the one that the next reads."""

    rgb: Floats
    between: Floats
    blurred: Floats
    gray: Floats
    edges: Floats
    levels: Pixels  # (3, height * width)
    counts: NDArray[np.int32]
    transposed: Floats
    weights: Floats

    @classmethod
    def of(cls, pixels: Pixels, radius: int = 9) -> Photograph:
        rgb = np.ascontiguousarray(np.moveaxis(pixels, 2, 0), np.float32)
        _, height, width = rgb.shape
        gray, edges = np.empty((2, height, width), np.float32)
        levels = rgb.reshape(3, -1).astype(np.uint8)
        counts, transposed = np.zeros((3, kernels.LEVELS), np.int32), np.empty((width, height), np.float32)
        return cls(rgb, np.empty_like(rgb), np.empty_like(rgb), gray, edges, levels, counts, transposed, gaussian(radius))

    def steps(self) -> list[Step]:
        height, width = self.gray.shape
        plane, planes = f"{width}x{height}", f"{width}x{height}x3"

        def luminance() -> None:
            kernels.luminance.forall(self.gray.shape)(self.rgb, self.gray)

        def blur() -> None:
            blurred(self.rgb, self.weights, self.between, self.blurred)

        def sobel() -> None:
            kernels.sobel.forall(self.gray.shape)(self.gray, self.edges)

        def histogram() -> None:
            cleared(self.counts)
            kernels.histogram[(32, 3), 256](self.levels, self.counts)

        def transpose() -> None:
            tile = kernels.TILE
            kernels.transpose[(-(-width // tile), -(-height // tile)), (tile, kernels.ROWS)](self.gray, self.transposed)

        return [
            Step("Luminance", planes, (kernels.luminance,), luminance, lambda: numpy_luminance(self.rgb), self.gray, within(1e-6)),
            Step(
                "Gaussian blur", planes, (kernels.blur_along_x, kernels.blur_along_y), blur,
                lambda: numpy_blur(self.rgb, self.weights), self.blurred, within(1e-6),
            ),
            Step("Sobel edges", plane, (kernels.sobel,), sobel, lambda: numpy_sobel(self.gray), self.edges, within(1e-6)),
            Step("Histogram", planes, (kernels.histogram,), histogram, lambda: numpy_histogram(self.levels), self.counts, exactly),
            Step(
                "Transpose", plane, (kernels.transpose,), transpose,
                lambda: np.ascontiguousarray(self.gray.T), self.transposed, exactly,
            ),
        ]  # fmt: skip


def gaussian(radius: int) -> Floats:
    """Weights of a bell curve of 2 * radius + 1 taps, with a third of the radius as standard deviation; they add up to 1."""
    distance = np.arange(-radius, radius + 1)
    weights = np.exp(-0.5 * (distance * 3 / radius) ** 2)
    return np.asarray(weights / weights.sum(), np.float32)


def blurred(planes: Floats, weights: Floats, between: Floats, out: Floats) -> None:
    """Launch both passes of the blur."""
    kernels.blur_along_x.forall(planes.shape)(planes, weights, between)
    kernels.blur_along_y.forall(planes.shape)(between, weights, out)


def numpy_luminance(rgb: Floats) -> Floats:
    weights = np.array((0.299, 0.587, 0.114), np.float32)
    return np.asarray(weights[0] * rgb[0] + weights[1] * rgb[1] + weights[2] * rgb[2])


def numpy_blur(rgb: Floats, weights: Floats) -> Floats:
    radius = weights.size // 2
    _, height, width = rgb.shape
    padded = np.pad(rgb, ((0, 0), (0, 0), (radius, radius)), mode="edge")
    rows = np.zeros_like(rgb)
    for k, weight in enumerate(weights):
        rows += weight * padded[:, :, k : k + width]
    padded = np.pad(rows, ((0, 0), (radius, radius), (0, 0)), mode="edge")
    out = np.zeros_like(rgb)
    for k, weight in enumerate(weights):
        out += weight * padded[:, k : k + height]
    return out


def numpy_sobel(gray: Floats) -> Floats:
    p = np.pad(gray, 1, mode="edge")
    across = p[:-2, 2:] + 2 * p[1:-1, 2:] + p[2:, 2:] - p[:-2, :-2] - 2 * p[1:-1, :-2] - p[2:, :-2]
    along = p[2:, :-2] + 2 * p[2:, 1:-1] + p[2:, 2:] - p[:-2, :-2] - 2 * p[:-2, 1:-1] - p[:-2, 2:]
    return np.asarray(np.sqrt(across * across + along * along))


def numpy_histogram(levels: Pixels) -> NDArray[np.int32]:
    return np.stack([np.bincount(row, minlength=kernels.LEVELS) for row in levels]).astype(np.int32)


# --------------------------------------------------------------------------------------------------------------- Mandelbrot


@dataclass(frozen=True)
class View:
    """A window on the complex plane, its centre and width, and how many steps a point gets to leave."""

    x: float
    y: float
    width: float
    limit: int

    def fill(self, counts: Floats) -> None:
        """Launch the kernel over ``counts`` (height, width)."""
        left, top, step = self.corner(counts.shape)
        kernels.mandelbrot.forall(counts.shape)(left, top, step, self.limit, counts)

    def corner(self, shape: Sequence[int]) -> tuple[float, float, float]:
        """The left and upper edges and the distance of two pixels."""
        step = self.width / shape[1]
        return self.x - self.width / 2, self.y + step * shape[0] / 2, step


SEAHORSES = View(-0.7445, 0.1226, 0.0105, 400)


def mandelbrot_step(shape: tuple[int, int], counts: Floats | None = None) -> Step:
    """The view of the valley at ``shape`` (height, width), counted in an array of one's own or in ``counts``."""
    counts = np.empty(shape, np.float32) if counts is None else counts
    return Step(
        "Mandelbrot", f"{shape[1]}x{shape[0]}", (kernels.mandelbrot,), lambda: SEAHORSES.fill(counts),
        lambda: numpy_mandelbrot(SEAHORSES, shape), counts, mostly(0.001),
    )  # fmt: skip


def numpy_mandelbrot(view: View, shape: tuple[int, int]) -> Floats:
    """Only the points that are still inside go on: the fastest way that plain NumPy has."""
    left, top, step = view.corner(shape)
    rows, columns = np.indices(shape).reshape(2, -1)
    cx, cy = left + step * columns, top - step * rows
    x, y, where = cx, cy, np.arange(cx.size)
    out = np.zeros(cx.size, np.float32)
    for n in range(view.limit):
        square = x * x + y * y
        gone = square > 256
        out[where[gone]] = n + 4 - np.log2(np.log2(square[gone]))
        stay = ~gone
        x, y, cx, cy, where = x[stay], y[stay], cx[stay], cy[stay], where[stay]
        x, y = x * x - y * y + cx, 2 * x * y + cy
    return out.reshape(shape)


# ------------------------------------------------------------------------------------------------------------------- bodies


@dataclass(frozen=True)
class Galaxies:
    """Two discs of bodies about to meet: ``position``, ``velocity`` and ``light`` are (3, n), ``mass`` is (n,)."""

    position: Floats
    velocity: Floats
    acceleration: Floats
    mass: Floats
    light: Floats

    @classmethod
    def about_to_meet(cls, n: int) -> Galaxies:
        """``n`` bodies, always the same ones."""
        random = np.random.default_rng(1906)
        first = _disc(random, n - n // 3, mass=1.0, radius=1.0, tilt=0.35, warm=False)
        second = _disc(random, n // 3, mass=0.45, radius=0.62, tilt=-1.0, warm=True)
        apart, closing = np.array([[1.35], [0.62], [0.2]]), np.array([[-0.62], [0.1], [0.0]])
        ratio = 0.45 / 1.45
        parts = [
            (first[0] - ratio * apart, first[1] - ratio * closing, *first[2:]),
            (second[0] + (1 - ratio) * apart, second[1] + (1 - ratio) * closing, *second[2:]),
        ]
        position, velocity, light = (np.concatenate([part[k] for part in parts], axis=1).astype(np.float32) for k in range(3))
        mass = np.concatenate([part[3] for part in parts]).astype(np.float32)
        return cls(position, velocity, np.empty_like(position), mass, light)

    def accelerate(self) -> None:
        """Launch the pull of all bodies on each."""
        blocks = -(-self.mass.size // kernels.BODIES)
        kernels.accelerate[blocks, kernels.BODIES](self.position, self.mass, self.acceleration)

    def advance(self, seconds: float) -> None:
        """One step in time."""
        self.accelerate()
        kernels.advance.forall(self.position.shape)(self.position, self.velocity, self.acceleration, seconds)

    def expose(self, picture: Floats, scale: float) -> None:
        """Add the light of every body to ``picture`` (3, height, width) at ``scale`` pixels for a unit of length."""
        kernels.deposit.forall(self.mass.size)(self.position, self.light, scale, picture)

    def step(self) -> Step:
        n = self.mass.size
        return Step(
            "N-body", f"{n} bodies", (kernels.accelerate,), self.accelerate,
            lambda: numpy_accelerate(self.position, self.mass), self.acceleration, within(1e-4),
        )  # fmt: skip


def _disc(random: np.random.Generator, n: int, mass: float, radius: float, tilt: float, warm: bool) -> tuple[NDArray[np.float64], ...]:
    """A heavy centre and ``n - 1`` light bodies that circle it: position, velocity, light (3, n each) and mass (n,)."""
    distance = radius * (0.08 + 0.92 * random.random(n) ** 0.7)
    angle = random.random(n) * 2 * np.pi
    height = random.normal(0, 0.02 * radius, n)
    masses = np.full(n, 0.12 * mass / n)
    distance[0] = height[0] = 0
    masses[0] = 0.88 * mass
    x, y = distance * np.cos(angle), distance * np.sin(angle)
    inside = 0.88 * mass + 0.12 * mass * (distance / radius) ** 1.4
    speed = np.where(distance > 0, np.sqrt(inside) * distance / (distance**2 + kernels.SOFTENING**2) ** 0.75, 0)
    vx, vy = -speed * np.sin(angle), speed * np.cos(angle)
    cosine, sine = np.cos(tilt), np.sin(tilt)
    position = np.stack([x, y * cosine - height * sine, y * sine + height * cosine])
    velocity = np.stack([vx, vy * cosine, vy * sine])
    inner, outer = ((1.0, 0.78, 0.46), (1.0, 0.36, 0.2)) if warm else ((0.95, 0.92, 0.86), (0.28, 0.5, 1.0))
    share = distance / radius
    light = np.array(inner)[:, np.newaxis] * (1 - share) + np.array(outer)[:, np.newaxis] * share
    light[:, 0] *= 3
    return position, velocity, light, masses


def numpy_accelerate(position: Floats, mass: Floats) -> Floats:
    """Every pair at once, one axis at a time."""
    dx, dy, dz = (axis[np.newaxis, :] - axis[:, np.newaxis] for axis in position)
    square = dx * dx + dy * dy + dz * dz + np.float32(kernels.SOFTENING**2)
    pull = mass / (square * np.sqrt(square))
    return np.stack([(pull * d).sum(axis=1) for d in (dx, dy, dz)])
