"""Plots of metrics over an axis.

Solid lines show our values, dashed lines the paper's, and dotted lines values that do not depend on the axis.
"""

import math
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from uap.metrics.names import METRICS
from uap.reproduction.table import Cell, Entry, Table, is_share

KINDS = {"miou": "mean IoU", "iou": "IoU ratio", "success": "success"}
"""Titles of the panels of several metrics, by the first word of the metrics' names."""

WIDE = 64
"""Ratio of the largest to the smallest value from which an axis is logarithmic."""

MANY = 6
"""Number of lines above which the legend of a panel is below it, and has one entry for the paper."""


@dataclass(frozen=True)
class Line:
    """One line of a panel.

    Attributes:
        label: its text in the legend.
        ours: our values, by the name of the axis's value.
        paper: the paper's values, likewise.
        level: a value that does not depend on the axis; `ours` and `paper` are empty then.
        unit: of the values.
    """

    label: str
    ours: dict[str, Cell]
    paper: dict[str, float]
    level: Cell | None = None
    unit: str = "%"


def lines_of(table: Table, axis: str, panels: str | None = None) -> dict[str, list[Line]]:
    """Return the lines of each panel, by its title; only metrics of images are plotted.

    A panel holds one metric, such as `hidden`, on all sets of images, and one value of the axis `panels`. The success
    before and after an attack share a panel, as do all IoUs. Axes that have one value are left out of the labels.
    """
    found: dict[str, list[Line]] = {}
    values = {name: {entry.names[name] for entry in table.entries if name in entry.names} for name in table.axes}
    single = {name for name, of_axis in values.items() if len(of_axis) == 1}
    for key, title in table.metrics.items():
        if "/" not in key:
            continue
        metric = METRICS.get(key.split("/")[1])
        kind = KINDS.get(key.split("/")[1].split("_")[0], metric.title if metric else title)
        unit = "%" if is_share(key) or metric is None else metric.unit
        for names, entries in _grouped(table, axis).items():
            others = [f"{name} {value}" for name, value in names if name not in (panels, *single)]
            label = ", ".join(([] if panels and others else [title]) + others)
            ours = {e.names[axis]: e.ours[key] for e in entries if axis in e.names and key in e.ours}
            paper = {e.names[axis]: e.paper[key] for e in entries if axis in e.names and key in e.paper}
            level = next((e.ours[key] for e in entries if axis not in e.names and key in e.ours), None)
            if ours or paper or level:
                panel = [kind, *(value for name, value in names if name == panels)]
                found.setdefault(", ".join(panel), []).append(Line(label, ours, paper, level, unit))
    return found


def plot(table: Table, axis: str, path: Path, panels: str | None = None) -> None:
    """Write a PNG with all panels, up to three side by side; no file is written while the table has no values.

    The axis is numeric where all its values are numbers.
    """
    lines = lines_of(table, axis, panels)
    if not lines:
        return
    position = positions(list(dict.fromkeys(entry.names[axis] for entry in table.entries if axis in entry.names)))
    columns = len(lines) if len(lines) <= 3 else 2
    rows = math.ceil(len(lines) / columns)
    figure = Figure(figsize=(6.0 * columns, 4.2 * rows), dpi=110, layout="constrained")
    plots = figure.subplots(rows, columns, squeeze=False).flat
    for axes, (title, of_panel) in zip(plots, lines.items(), strict=False):
        colors = colormaps["tab10" if len(of_panel) <= 10 else "tab20"].colors  # type: ignore[attr-defined]
        for line, color in zip(of_panel, cycle(colors), strict=False):
            _plot_line(axes, line, position, color, shares_label=len(of_panel) > MANY)
        unit = of_panel[0].unit
        axes.set(title=title, xlabel=axis, ylabel=unit)
        largest = axes.get_ylim()[1]
        axes.set_ylim(0, max(102, largest) if unit == "%" else largest)  # `remaining` can exceed 100 %
        smallest, largest = min(position.values(), default=0), max(position.values(), default=0)
        if largest >= WIDE * smallest > 0:
            axes.set_xscale("log", base=2)
            axes.minorticks_off()
        axes.set_xticks(list(position.values()), list(position))
        axes.grid(alpha=0.3)
        if len(of_panel) > MANY:
            if any(line.paper for line in of_panel):
                axes.plot([], [], color="black", marker="s", linestyle="--", markersize=4, label="paper, same color")
            axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2)
        else:
            axes.legend(fontsize=8, framealpha=0.6)
    for axes in plots:
        axes.set_axis_off()
    figure.savefig(path)


def _grouped(table: Table, axis: str) -> dict[tuple[tuple[str, str], ...], list[Entry]]:
    groups: dict[tuple[tuple[str, str], ...], list[Entry]] = {}
    for entry in table.entries:
        others = tuple((name, value) for name, value in entry.names.items() if name != axis)
        groups.setdefault(others, []).append(entry)
    return groups


def positions(values: list[str]) -> dict[str, float]:
    """Return the positions of values on the axis: the numbers themselves, or 0, 1, 2, ... if any is not a number."""
    try:
        return {value: float(value) for value in values}
    except ValueError:
        return {value: float(position) for position, value in enumerate(values)}


def _plot_line(
    axes: Axes, line: Line, position: dict[str, float], color: tuple[float, float, float], *, shares_label: bool
) -> None:
    if line.level is not None:
        axes.axhline(line.level.value, color=color, linestyle=":", label=line.label)
        return
    if line.ours:
        cells = list(line.ours.values())
        spread = [cell.spread or 0.0 for cell in cells] if any(cell.spread for cell in cells) else None
        x = [position[value] for value in line.ours]
        axes.errorbar(x, [c.value for c in cells], spread, color=color, marker="o", capsize=3, label=line.label)
    if line.paper:
        x = [position[value] for value in line.paper]
        label = None if shares_label else f"{line.label}, paper"
        axes.plot(x, list(line.paper.values()), color=color, marker="s", linestyle="--", markersize=4, label=label)
