"""Arrays to pictures: colours, tone and PNG files. Pillow is needed here and nowhere else."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from importlib import resources
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from anygpu.errors import AnyGPUError

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]  # (height, width, 3)
Colour = tuple[int, int, int]

# Colours at equal distances, dark to light, with the ones between them interpolated.
GLOW: Sequence[Colour] = ((7, 7, 22), (58, 26, 110), (178, 48, 116), (248, 128, 84), (255, 244, 214))
# A circle of colours: the last leads back to the first.
DEEP: Sequence[Colour] = ((4, 10, 48), (18, 74, 160), (92, 178, 226), (246, 250, 236), (252, 186, 70), (158, 60, 24), (44, 8, 44))
INSIDE: Colour = (3, 4, 12)
BACKGROUND: Colour = (16, 18, 28)
# Red, green and blue light that is gray where all three meet.
LIGHTS: Sequence[Colour] = ((204, 54, 62), (44, 164, 86), (48, 88, 204))


class PicturesUnavailable(AnyGPUError):
    """Pillow is not installed, or a picture cannot be written. The text says what to do."""


def require_pillow() -> None:
    """Raise ``PicturesUnavailable`` unless Pillow is installed."""
    if importlib.util.find_spec("PIL") is None:
        raise PicturesUnavailable("the demo reads and writes pictures with Pillow, which is not installed: pip install 'anygpu[demo]'")


def photograph() -> Pixels:
    """The demo's photograph, (600, 512, 3); see ``data/README.md`` for its source and licence."""
    from PIL import Image

    data = resources.files("anygpu.cli").joinpath("data/grace_hopper.jpg").read_bytes()
    with Image.open(BytesIO(data)) as image:
        return np.array(image.convert("RGB"))


def save(pixels: Pixels, folder: Path, name: str) -> Path:
    """Write a PNG file into ``folder``, made if need be, and return its path."""
    from PIL import Image

    path = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path, optimize=True)
    except OSError as error:
        raise PicturesUnavailable(f"{path} cannot be written: {error.strerror or error} (--out names another folder)") from error
    return path


def shrink(pixels: Pixels, factor: int) -> Pixels:
    """Means of squares of ``factor`` by ``factor`` pixels: edges without stairs."""
    height, width = (n // factor for n in pixels.shape[:2])
    parts = pixels[: height * factor, : width * factor].reshape(height, factor, width, factor, 3)
    return to_bytes(parts.mean(axis=(1, 3), dtype=np.float32))


def to_bytes(values: NDArray[np.floating]) -> Pixels:
    """Levels of 0 to 255, rounded, and cut off outside."""
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def planes_to_pixels(planes: Floats) -> Pixels:
    """A stack of planes (3, height, width) as pixels."""
    return to_bytes(np.moveaxis(planes, 0, 2))


def gray_to_pixels(gray: Floats) -> Pixels:
    """One plane as gray pixels."""
    return np.repeat(to_bytes(gray)[:, :, np.newaxis], 3, axis=2)


def coloured(values: NDArray[np.floating], colours: Sequence[Colour]) -> NDArray[np.float64]:
    """Values of 0 to 1 as colours of a ramp: (..., 3), levels of 0 to 255."""
    table = np.array(colours, np.float64)
    at = np.linspace(0, 1, len(table))
    return np.stack([np.interp(values, at, table[:, channel]) for channel in range(3)], axis=-1)


def side_by_side(left: Pixels, right: Pixels, gap: int = 8) -> Pixels:
    """Two pictures of one height beside each other."""
    between = np.full((left.shape[0], gap, 3), BACKGROUND, np.uint8)
    return np.concatenate((left, between, right), axis=1)


def edges_picture(edges: Floats) -> Pixels:
    """Steepness as light: all but the steepest thousandth of the pixels share the ramp."""
    top = float(np.quantile(edges, 0.999)) or 1.0
    return to_bytes(coloured(np.clip(edges / top, 0, 1) ** 0.75, GLOW))


def fractal_picture(counts: Floats) -> Pixels:
    """Escape times as circling colours that turn more slowly the longer the escape takes; zero is inside."""
    turns = np.log2(1 + np.maximum(counts, 0)) * 0.6
    picture = coloured(turns % 1.0, (*DEEP, DEEP[0]))
    picture[counts == 0] = INSIDE
    return to_bytes(picture)


def light_picture(light: Floats, gain: float) -> Pixels:
    """Light (3, height, width) as on film: shadows in proportion, highlights that saturate towards white."""
    exposed = 255 * (1 - np.exp(-gain * light))
    return to_bytes(np.moveaxis(exposed, 0, 2) + np.array(BACKGROUND) * 0.4)


def histogram_picture(counts: NDArray[np.int32], width: int = 1024, height: int = 480) -> Pixels:
    """Three curves (3, levels) as areas of red, green and blue light that add up where they overlap, over a bar of the levels."""
    margin, bar, gap, scale = 24, 14, 8, 2  # drawn at twice the size and shrunk, for smooth edges
    rows, columns = height * scale, width * scale
    picture = np.empty((rows, columns, 3), np.float64)
    picture[:] = BACKGROUND
    bottom, tall = (height - margin - bar - gap) * scale, (height - 2 * margin - bar - gap) * scale
    area = picture[:, margin * scale : (width - margin) * scale]
    for line in range(1, 5):
        y = bottom - tall * line // 4
        area[y : y + scale] += 16
    across = area.shape[1]
    # a square root, so that rare levels show as well; curves between the levels' middles
    tops = tall * np.sqrt(counts / max(1, int(counts.max())))
    at = np.linspace(0, counts.shape[1] - 1, across)
    above = bottom - np.arange(rows)[:, np.newaxis]
    for curve, light in zip(tops, LIGHTS, strict=True):
        height_here = np.interp(at, np.arange(counts.shape[1]), curve)
        inside = (above > 0) & (above <= height_here)
        rim = np.exp(-np.abs(height_here - above) / (6 * scale)) * inside
        area += (inside * 0.5 + rim * 0.5)[:, :, np.newaxis] * np.array(light)
    area[bottom + gap * scale : bottom + (gap + bar) * scale] = np.linspace(0, 255, across)[:, np.newaxis]
    return shrink(to_bytes(picture), scale)
