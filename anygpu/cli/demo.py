"""``anygpu demo``: kernels at work on a photograph, a fractal and two galaxies, each checked against NumPy and timed beside it."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TypeVar

import numpy as np
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from anygpu.cli import pictures
from anygpu.cli.demo_steps import (
    SEAHORSES,
    Array,
    Galaxies,
    Photograph,
    Step,
    Verdict,
    all_on_device,
    blurred,
    gaussian,
    mandelbrot_step,
    on_device,
    on_host,
)
from anygpu.engine.devices import Device, devices
from anygpu.errors import CompileError, DeviceError, LaunchError

_T = TypeVar("_T")


@dataclass(frozen=True)
class Scale:
    """How large the demo is. Sizes are (height, width) in pixels; a picture is computed at twice its size and shrunk."""

    repeats: int  # timings of each step, of which the median counts
    patience: float  # seconds after which a slow step is timed no more, but three times at least
    fractal: tuple[int, int]
    fractal_picture: tuple[int, int]
    bodies: int
    moments: int  # steps in time of the galaxies' picture


FULL = Scale(9, 6.0, (480, 720), (720, 1080), 3072, 200)
QUICK = Scale(3, 1.0, (160, 240), (320, 480), 1024, 80)


@dataclass(frozen=True)
class Row:
    """What was measured of a step: seconds of the first launch, of a later one, of NumPy; and whether the results agree."""

    step: Step
    first: float
    cached: bool
    anygpu: float
    numpy: float
    verdict: Verdict
    reference: Array

    @property
    def ratio(self) -> float:
        return self.numpy / self.anygpu


@dataclass(frozen=True)
class Elsewhere:
    """A step on another device: seconds of a launch with arrays in its memory, how the result compares with NumPy's, and whether it has the
    CPU's bits; or why there is none."""

    seconds: float
    verdict: Verdict
    same_bits: bool
    refused: str = ""


def demo(out: Path, quick: bool, console: Console) -> bool:
    """Run the demo, show its table and write its pictures into ``out``. True if every result agrees with NumPy's.

    Raises ``PicturesUnavailable`` if Pillow is missing or the pictures cannot be written.
    """
    pictures.require_pillow()
    scale = QUICK if quick else FULL
    photograph = Photograph.of(pictures.photograph())
    galaxies = Galaxies.about_to_meet(scale.bodies)
    steps = [*photograph.steps(), mandelbrot_step(scale.fractal), galaxies.step()]
    properties = Device("cpu").properties
    details = ", ".join(f"{name}: {fact}" for name, fact in properties.details)
    console.print(f"[bold]{properties.model}[/], {details}", highlight=False)

    with _progress(console, len(steps)) as tick:
        rows = [_measure(step, scale, tick) for step in steps]
    others = {
        device.name: [
            _elsewhere(step, row, device, scale)
            for step, row in zip(_steps_on(device, photograph, galaxies, scale), rows, strict=True)
        ]
        for device in devices()
        if device.name != "cpu"
    }
    console.print(_table(rows, others))
    console.print(_summary(rows, others), highlight=False)

    with console.status("Drawing") if console.is_terminal else _nothing():
        drawn = draw(photograph, galaxies, scale)
        paths = [pictures.save(pixels, out, name) for name, pixels in drawn]
    for path in paths:
        console.print(f"wrote {path}", soft_wrap=True, highlight=False, markup=False)
    return all(row.verdict.passed for row in rows) and all(cell.verdict.passed for cells in others.values() for cell in cells)


# ---------------------------------------------------------------------------------------------------------------- measuring

Tick = Callable[[str, str], None]  # which bar moves on, and the name of the step that comes to it


@contextmanager
def _progress(console: Console, steps: int) -> Iterator[Tick]:
    """Bars for compiling, running and checking; nothing where no terminal would show them move."""
    columns = (SpinnerColumn(), TextColumn("{task.description:<8}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[step]}"))
    with Progress(*columns, TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal) as progress:
        bars = {name: progress.add_task(name, total=steps, step="") for name in ("compile", "run", "check")}

        def tick(bar: str, step: str) -> None:
            progress.update(bars[bar], advance=0 if step else 1, step=step)

        yield tick


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _measure(step: Step, scale: Scale, tick: Tick) -> Row:
    """Compile, run beside NumPy in turn, and compare."""
    tick("compile", step.name)
    first, _ = _seconds(step.launch)
    cached = all("from the disk cache" in kernel.explain_recompile() for kernel in step.kernels)
    tick("compile", "")

    tick("run", step.name)
    step.launch()  # measures the pace by which a launch is shared out
    ours: list[float] = []
    theirs: list[float] = []
    reference: np.ndarray[tuple[int, ...], np.dtype[np.generic]] | None = None
    begin = time.perf_counter()
    while len(ours) < scale.repeats and (len(ours) < 3 or time.perf_counter() - begin < scale.patience):
        ours.append(_seconds(step.launch)[0])
        seconds, reference = _seconds(step.reference)
        theirs.append(seconds)
    tick("run", "")

    tick("check", step.name)
    assert reference is not None, "the loop above runs at least three times"
    verdict = step.compare(step.result, reference)
    tick("check", "")
    return Row(step, first, cached, median(ours), median(theirs), verdict, reference)


def _steps_on(device: Device, photograph: Photograph, galaxies: Galaxies, scale: Scale) -> list[Step]:
    """The same steps on arrays in a device's memory, which begin with what the CPU device has computed."""
    counts = on_device(np.empty(scale.fractal, np.float32), device)
    return [*all_on_device(photograph, device).steps(), mandelbrot_step(scale.fractal, counts), all_on_device(galaxies, device).step()]


def _elsewhere(step: Step, row: Row, device: Device, scale: Scale) -> Elsewhere:
    """Run a step on another device and compare it with NumPy and with the CPU device."""

    def run() -> None:
        step.launch()
        device.synchronize()

    try:
        with device:
            run()  # compiles
            times = [_seconds(run)[0] for _ in range(scale.repeats)]
            result = on_host(step.result)
    except (CompileError, LaunchError, DeviceError) as error:
        return Elsewhere(math.nan, Verdict("", True), True, str(error).partition("\n")[0])
    return Elsewhere(median(times), step.compare(result, row.reference), result.tobytes() == row.step.result.tobytes())


def _seconds(action: Callable[[], _T]) -> tuple[float, _T]:
    begin = time.perf_counter()
    result = action()
    return time.perf_counter() - begin, result


# ------------------------------------------------------------------------------------------------------------------ showing


def _table(rows: list[Row], others: Mapping[str, Sequence[Elsewhere]]) -> Table:
    table = Table(title="Kernels beside NumPy", title_justify="left", box=box.SIMPLE_HEAD, collapse_padding=True, pad_edge=False)
    table.add_column("Kernel", no_wrap=True)
    for heading in ("Size", *(() if others else ("First",)), "cpu", "NumPy", "Ratio", "Error"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("")
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    for number, row in enumerate(rows):
        mark = "[green]ok[/]" if row.verdict.passed else "[bold red]WRONG[/]"
        ratio = f"[{'green' if row.ratio >= 1 else 'yellow'}]{_times(row.ratio)}[/]"
        table.add_row(
            row.step.name, row.step.size, *(() if others else (duration(row.first),)), duration(row.anygpu), duration(row.numpy), ratio,
            row.verdict.text, mark,
            *(_cell(cells[number]) for cells in others.values()),
        )  # fmt: skip
    return table


def _cell(cell: Elsewhere) -> str:
    if cell.refused:
        return "[yellow]cannot[/]"
    mark = "[bold red]WRONG[/]" if not cell.verdict.passed else "[green]=[/]" if cell.same_bits else "[yellow]~[/]"
    return f"{duration(cell.seconds)} {mark}"


def _summary(rows: list[Row], others: Mapping[str, Sequence[Elsewhere]]) -> str:
    overall = math.exp(sum(math.log(row.ratio) for row in rows) / len(rows))
    cached = sum(row.cached for row in rows)
    sources = {0: "all were compiled", len(rows): "all came from the disk cache"}
    source = sources.get(cached, f"{cached} came from the disk cache, {len(rows) - cached} were compiled")
    lines = [
        f"[bold]{_times(overall)}[/] as fast as NumPy in the geometric mean; times are medians of interleaved runs.",
        f"The first launches on the CPU took {duration(sum(row.first for row in rows))} in all, to compile or load the kernels ({source}).",
    ]
    if others:
        lines.append(f"{', '.join(others)}: with arrays in the device's memory, checked like the CPU's; = the CPU's bits, ~ other bits.")
    for name, cells in others.items():
        lines += [
            f"{name} cannot run {row.step.name}: {escape(cell.refused)}"
            for row, cell in zip(rows, cells, strict=True) if cell.refused
        ]  # fmt: skip
    wrong = [row.step.name for row in rows if not row.verdict.passed]
    wrong += [
        f"{row.step.name} on {name}" for name, cells in others.items()
        for row, cell in zip(rows, cells, strict=True) if not cell.verdict.passed
    ]  # fmt: skip
    if wrong:
        lines.append(f"[bold red]Not as NumPy has it: {', '.join(wrong)}[/]")
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Three digits and a unit: 85.3 us, 1.20 ms, 2.51 s."""
    for unit, factor in (("s", 1.0), ("ms", 1e3), ("us", 1e6)):
        value = seconds * factor
        if value >= 1 or unit == "us":
            break
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:.{digits}f} {unit}"


def _times(ratio: float) -> str:
    return f"{ratio:.1f}x" if ratio < 10 else f"{ratio:.0f}x"


def draw(photograph: Photograph, galaxies: Galaxies, scale: Scale) -> list[tuple[str, pictures.Pixels]]:
    """The pictures with their file names; the photograph's steps must have run."""
    original = pictures.planes_to_pixels(photograph.rgb)
    height, width = scale.fractal_picture
    counts = np.empty((2 * height, 2 * width), np.float32)
    SEAHORSES.fill(counts)
    return [
        ("blur.png", pictures.side_by_side(original, pictures.planes_to_pixels(photograph.blurred))),
        ("edges.png", pictures.edges_picture(photograph.edges)),
        ("histogram.png", pictures.histogram_picture(photograph.counts)),
        ("transpose.png", pictures.gray_to_pixels(photograph.transposed)),
        ("mandelbrot.png", pictures.shrink(pictures.fractal_picture(counts), 2)),
        ("galaxies.png", _film(galaxies, scale)),
    ]


def _film(galaxies: Galaxies, scale: Scale) -> pictures.Pixels:
    """The galaxies' meeting, exposed over the last third of the time, with a glow around what is bright."""
    height, width = scale.fractal_picture
    light = np.zeros((3, height, width), np.float32)
    duration_of_one = 2.9 / scale.moments
    for moment in range(scale.moments):
        galaxies.advance(duration_of_one)
        if moment >= scale.moments * 2 // 3:
            galaxies.expose(light, height * 0.36)
    between, glow = np.empty_like(light), np.empty_like(light)
    blurred(light, gaussian(9), between, glow)
    brightness = light + 2 * glow
    # so that the brightest hundredth of the picture is just about to saturate, however many bodies there are
    gain = 1.6 / float(np.quantile(brightness, 0.99))
    return pictures.light_picture(brightness, gain)
