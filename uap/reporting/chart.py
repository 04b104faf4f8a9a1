"""Line charts and histograms as SVG, with round tick values. Colors and fonts are in style.css."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from uap.reporting.markup import Markup, join, tag
from uap.reporting.run import Series

WIDTH, HEIGHT = 380, 230
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 12, 36
"""The margins around the plot in pixels, for ticks and axis titles."""

MAX_POINTS = 150
"""Largest number of points of a line; neighbors are averaged if there are more."""

RUN_COLORS = 8
"""Number of colors for runs in style.css."""


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


def line_chart(title: str, lines: list[Line], x_title: str) -> Markup:
    """Return a chart of lines over common axes; y starts at 0."""
    lines = [Line(line.label, thinned(line.points), line.run, line.dashed) for line in lines]
    x_ticks = ticks(0, max(x for line in lines for x, _ in line.points), 6)
    heights = [y for line in lines for _, y in line.points]
    y_ticks = ticks(min(0.0, *heights), max(heights))
    x, y = _scale(x_ticks, LEFT, WIDTH - RIGHT), _scale(y_ticks, HEIGHT - BOTTOM, TOP)
    shapes = [_line(line, x, y) for line in lines]
    axes = _axes(x_ticks, y_ticks, x, y, x_title)
    return _svg(title, axes, *shapes, data_chart=True, data_x=f"{x_ticks[0]:g} {x_ticks[-1]:g} {LEFT} {WIDTH - RIGHT}")


def histogram(title: str, values: list[float], run: int, mark: float | None, x_title: str) -> Markup:
    """Return a histogram with ten bins from 0 to 100; values above 100 count in the last bin.

    Args:
        title: the accessible name.
        values: not negative, in per cent.
        run: the index of the run; it selects the color.
        mark: the value, in per cent, of a vertical line; None for no line.
        x_title: the title of the x axis.
    """
    names = [f"{10 * i} to {10 * i + 10} %" for i in range(9)] + [
        "90 % or more" if max(values) > 100 else "90 to 100 %"
    ]
    counts = [0] * 10
    for value in values:
        counts[min(int(value / 10), 9)] += 1
    x_ticks, y_ticks = ticks(0, 100), [tick for tick in ticks(0, max(counts), 4) if tick.is_integer()]
    x, y = _scale(x_ticks, LEFT, WIDTH - RIGHT), _scale(y_ticks, HEIGHT - BOTTOM, TOP)
    bars = [
        tag(
            "rect",
            tag("title", f"{names[i]}: {count} images"),
            x=round(x(10 * i) + 1, 1), y=round(y(count), 1),
            width=round(x(10) - x(0) - 2, 1), height=round(y(0) - y(count), 1),
        )
        for i, count in enumerate(counts)
        if count
    ]  # fmt: skip
    marked = _mark(mark, x) if mark is not None else None
    bars_of_run = tag("g", *bars, class_=f"bars {color(run)}")
    return _svg(title, _axes(x_ticks, y_ticks, x, y, x_title), bars_of_run, marked)


def color(run: int) -> str:
    """Return the CSS class for the color of a run."""
    return f"run-{run % RUN_COLORS}"


def _svg(title: str, *children: str | None, **attributes: str | bool) -> Markup:
    return tag("svg", *children, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=title, **attributes)


def _scale(numbers: list[float], start: float, end: float) -> Callable[[float], float]:
    low, high = numbers[0], numbers[-1]
    return lambda value: start + (end - start) * (value - low) / (high - low)


def _axes(
    x_ticks: list[float], y_ticks: list[float], x: Callable[[float], float], y: Callable[[float], float], x_title: str
) -> Markup:
    bottom, middle = HEIGHT - BOTTOM, (LEFT + WIDTH - RIGHT) / 2
    return tag(
        "g",
        *(tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=round(y(v), 1), y2=round(y(v), 1)) for v in y_ticks),
        *(tag("text", f"{v:,g}", x=LEFT - 6, y=round(y(v) + 4, 1), text_anchor="end") for v in y_ticks),
        *(tag("text", f"{v:,g}", x=round(x(v), 1), y=bottom + 15, text_anchor="middle") for v in x_ticks),
        tag("text", x_title, x=middle, y=HEIGHT - 5, text_anchor="middle"),
        class_="axes",
    )


def _line(line: Line, x: Callable[[float], float], y: Callable[[float], float]) -> Markup:
    pixels = [(round(x(step), 1), round(y(value), 1)) for step, value in line.points]
    dots = [tag("circle", cx=px, cy=py, r=2.5) for px, py in pixels] if len(pixels) <= 20 else []
    path = tag("polyline", points=" ".join(f"{px},{py}" for px, py in pixels))
    values = " ".join(f"{step:g},{value:.4g}" for step, value in line.points)
    style = f"line {color(line.run)}" + (" dashed" if line.dashed else "")
    return tag("g", path, join(dots), class_=style, data_label=line.label, data_values=values)


def _mark(value: float, x: Callable[[float], float]) -> Markup:
    right_half, position = value > 50, round(x(min(value, 100)), 1)
    return tag(
        "g",
        tag("line", x1=position, x2=position, y1=TOP, y2=HEIGHT - BOTTOM),
        tag(
            "text", f"worst tenth {value:.1f} %",
            x=round(position + (-5 if right_half else 5), 1), y=TOP - 3, text_anchor="end" if right_half else "start",
        ),
        class_="mark",
    )  # fmt: skip
