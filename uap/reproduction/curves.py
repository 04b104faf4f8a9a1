"""Plots of metrics over an axis.

Solid lines show our values, dashed lines the paper's, and dotted lines values that do not depend on the axis.
"""

from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from uap.reproduction.table import Cell, Entry, Table

SHARE = "/"
"""Metric keys that contain it are shares, in per cent. Other metrics are not plotted."""

KINDS = {"miou": "mean IoU"}
"""Titles of the panels whose metric names are abbreviations."""


@dataclass(frozen=True)
class Line:
    """One line of a panel, in per cent.

    Attributes:
        label: its text in the legend.
        ours: our values, by the name of the axis's value.
        paper: the paper's values, likewise.
        level: a value that does not depend on the axis; `ours` and `paper` are empty then.
    """

    label: str
    ours: dict[str, Cell]
    paper: dict[str, float]
    level: Cell | None = None


def lines_of(table: Table, axis: str) -> dict[str, list[Line]]:
    """Return the lines of each panel; a panel holds one metric, such as `hidden`, on all sets of images."""
    panels: dict[str, list[Line]] = {}
    for key, title in table.metrics.items():
        if SHARE not in key:
            continue
        for names, entries in _grouped(table, axis).items():
            label = ", ".join([title, *names])
            ours = {e.names[axis]: e.ours[key] for e in entries if axis in e.names and key in e.ours}
            paper = {e.names[axis]: e.paper[key] for e in entries if axis in e.names and key in e.paper}
            level = next((e.ours[key] for e in entries if axis not in e.names and key in e.ours), None)
            if ours or paper or level:
                kind = key.split(SHARE)[1].split("_")[0]  # success before and after share a panel, as do all IoUs
                panels.setdefault(kind, []).append(Line(label, ours, paper, level))
    return panels


def plot(table: Table, axis: str, path: Path) -> None:
    """Write a PNG with all panels side by side; no file is written while the table has no values.

    The axis is numeric where all its values are numbers.
    """
    panels = lines_of(table, axis)
    if not panels:
        return
    values = list(dict.fromkeys(entry.names[axis] for entry in table.entries if axis in entry.names))
    position = positions(values)
    figure = Figure(figsize=(6.0 * len(panels), 4.2), dpi=110, layout="constrained")
    for axes, (kind, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for number, line in enumerate(lines):
            _plot_line(axes, line, position, f"C{number % 10}")
        axes.set(title=KINDS.get(kind, kind), xlabel=axis, ylabel="%")
        axes.set_ylim(0, max(102, axes.get_ylim()[1]))  # most are shares; `remaining` can exceed 100 %
        axes.set_xticks([position[value] for value in values], values)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    figure.savefig(path)


def _grouped(table: Table, axis: str) -> dict[tuple[str, ...], list[Entry]]:
    groups: dict[tuple[str, ...], list[Entry]] = {}
    for entry in table.entries:
        others = tuple(f"{name} {value}" for name, value in entry.names.items() if name != axis)
        groups.setdefault(others, []).append(entry)
    return groups


def positions(values: list[str]) -> dict[str, float]:
    """Return the positions of values on the axis: the numbers themselves, or 0, 1, 2, ... if any is not a number."""
    try:
        return {value: float(value) for value in values}
    except ValueError:
        return {value: float(position) for position, value in enumerate(values)}


def _plot_line(axes: Axes, line: Line, position: dict[str, float], color: str) -> None:
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
        label = f"{line.label}, paper"
        axes.plot(x, list(line.paper.values()), color=color, marker="s", linestyle="--", markersize=4, label=label)
