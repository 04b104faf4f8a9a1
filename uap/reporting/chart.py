"""Line charts and histograms with round tick values, in pixels. `templates/chart.svg` draws them."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from uap.reporting.labels import color
from uap.reporting.run import Series

WIDTH, HEIGHT = 380, 230
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 12, 36
"""The margins around the plot in pixels, for ticks and axis titles."""

MAX_POINTS = 150
"""Largest number of points of a line; neighbors are averaged if there are more."""

MAX_DOTS = 20
"""Largest number of points of a line that are marked by dots."""

Scale = Callable[[float], float]
"""A function from values to pixels."""


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Attributes:
        label: text beside the value at the pointer.
        points: (x, y), with x ascending.
        run: the index of the run; it selects the color.
        dashed: whether the line is dashed, which marks the second of two quantities.
    """

    label: str
    points: Series
    run: int = 0
    dashed: bool = False


@dataclass(frozen=True)
class Tick:
    """A tick of an axis: its position in pixels, and its text."""

    position: float
    text: str


@dataclass(frozen=True)
class Polyline:
    """A line in pixels.

    Attributes:
        style: its CSS classes.
        label: text beside the value at the pointer.
        points: (x, y) in pixels.
        dots: whether a dot marks each point.
        values: (x, y) in the units of the axes, as text.
    """

    style: str
    label: str
    points: Series
    dots: bool
    values: str


@dataclass(frozen=True)
class Bar:
    """A bar of a histogram in pixels, with a title that tells its count."""

    title: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Mark:
    """A vertical line at `x`, in pixels, with a text that starts or ends beside it."""

    x: float
    text: str
    anchor: str


@dataclass(frozen=True)
class Drawing:
    """A line chart or a histogram, in pixels.

    Attributes:
        title: the accessible name.
        x_title: the title of the x axis.
        x_ticks: the ticks of the x axis.
        y_ticks: the ticks of the y axis.
        lines: the lines of a line chart.
        ends: the first and the last value of the x axis.
        bars: the bars of a histogram.
        color: the CSS class for the color of the bars.
        mark: the vertical line of a histogram; None for no line.
        width: the width of the drawing.
        height: its height.
        left: the left end of the plot in the drawing.
        right: its right end.
        top: its top.
        bottom: its bottom.
    """

    title: str
    x_title: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    ends: tuple[float, float]
    lines: list[Polyline] = field(default_factory=list)
    bars: list[Bar] = field(default_factory=list)
    color: str = ""
    mark: Mark | None = None
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    bottom: int = HEIGHT - BOTTOM


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Return about `about` tick values that enclose `low` and `high`; their distance is 1, 2 or 5 times 10^k."""
    rough = ((high - low) or abs(high) or 1.0) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{i * step:.10g}") for i in range(first, max(last, first + 1) + 1)]


def thinned(points: Series, most: int = MAX_POINTS) -> Series:
    """Return at most `most` points; each is the mean of a group of neighbors."""
    size = -(-len(points) // most)
    groups = [points[i : i + size] for i in range(0, len(points), size)] if size > 1 else [[p] for p in points]
    return [(sum(x for x, _ in group) / len(group), sum(y for _, y in group) / len(group)) for group in groups]


def line_chart(title: str, lines: list[Line], x_title: str) -> Drawing:
    """Return a chart of lines over common axes; y starts at 0."""
    lines = [Line(line.label, thinned(line.points), line.run, line.dashed) for line in lines]
    x_ticks = ticks(0, max(x for line in lines for x, _ in line.points), 6)
    heights = [y for line in lines for _, y in line.points]
    y_ticks = ticks(min(0.0, *heights), max(heights))
    x, y = _scales(x_ticks, y_ticks)
    drawn = [_polyline(line, x, y) for line in lines]
    return Drawing(title, x_title, _axis(x_ticks, x), _axis(y_ticks, y), (x_ticks[0], x_ticks[-1]), lines=drawn)


def histogram(title: str, values: list[float], run: int, mark: float | None, x_title: str) -> Drawing:
    """Return a histogram with ten bins from 0 to 100; values above 100 count in the last bin.

    Args:
        title: the accessible name.
        values: not negative, in per cent.
        run: the index of the run; it selects the color.
        mark: the value, in per cent, of a vertical line; None for no line.
        x_title: the title of the x axis.
    """
    last = "90 % or more" if max(values) > 100 else "90 to 100 %"
    names = [*(f"{10 * i} to {10 * i + 10} %" for i in range(9)), last]
    counts = [0] * 10
    for value in values:
        counts[min(int(value / 10), 9)] += 1
    x_ticks, y_ticks = ticks(0, 100), [tick for tick in ticks(0, max(counts), 4) if tick.is_integer()]
    x, y = _scales(x_ticks, y_ticks)
    width = round(x(10) - x(0) - 2, 1)
    bars = [
        Bar(f"{name}: {count} images", round(x(10 * i) + 1, 1), round(y(count), 1), width, round(y(0) - y(count), 1))
        for i, (name, count) in enumerate(zip(names, counts, strict=True))
        if count
    ]
    marked = _mark(mark, x) if mark is not None else None
    axes = _axis(x_ticks, x), _axis(y_ticks, y)
    return Drawing(title, x_title, *axes, (0, 100), bars=bars, color=color(run), mark=marked)


def _scales(x_ticks: list[float], y_ticks: list[float]) -> tuple[Scale, Scale]:
    return _scale(x_ticks, LEFT, WIDTH - RIGHT), _scale(y_ticks, HEIGHT - BOTTOM, TOP)


def _scale(numbers: list[float], start: float, end: float) -> Scale:
    low, high = numbers[0], numbers[-1]
    return lambda value: start + (end - start) * (value - low) / (high - low)


def _axis(values: list[float], scale: Scale) -> list[Tick]:
    return [Tick(round(scale(value), 1), f"{value:,g}") for value in values]


def _polyline(line: Line, x: Scale, y: Scale) -> Polyline:
    points = [(round(x(step), 1), round(y(value), 1)) for step, value in line.points]
    values = " ".join(f"{step:g},{value:.4g}" for step, value in line.points)
    style = color(line.run) + (" dashed" if line.dashed else "")
    return Polyline(style, line.label, points, len(points) <= MAX_DOTS, values)


def _mark(value: float, x: Scale) -> Mark:
    return Mark(round(x(min(value, 100)), 1), f"worst decile {value:.1f} %", "end" if value > 50 else "start")
