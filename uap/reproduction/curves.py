"""Curves over an axis: ours solid, the paper's dashed, and what does not vary with the axis dotted."""

from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from uap.reproduction.table import Cell, Entry, Table

SHARE = "/"
"""What the name of a share has, whose unit is per cent; other figures are not drawn."""

KINDS = {"miou": "mean IoU"}
"""Kinds of figures whose names are not words."""


@dataclass(frozen=True)
class Line:
    """One line of a panel: the places along the axis and per cent, ours and the paper's.

    Attributes:
        label: what it is.
        ours: by the name of the axis's value.
        paper: likewise.
        level: in the place of both, for what does not vary with the axis.
    """

    label: str
    ours: dict[str, Cell]
    paper: dict[str, float]
    level: Cell | None = None


def lines_of(table: Table, axis: str) -> dict[str, list[Line]]:
    """Return the lines of each panel; a panel is a kind of figure, such as `hidden`, on whatever images."""
    panels: dict[str, list[Line]] = {}
    for key, title in table.figures.items():
        if SHARE not in key:
            continue
        for names, entries in _grouped(table, axis).items():
            label = ", ".join([title, *names])
            ours = {e.names[axis]: e.ours[key] for e in entries if axis in e.names and key in e.ours}
            paper = {e.names[axis]: e.paper[key] for e in entries if axis in e.names and key in e.paper}
            level = next((e.ours[key] for e in entries if axis not in e.names and key in e.ours), None)
            if ours or paper or level:
                kind = key.split(SHARE)[1].split("_")[0]  # success before and after, IoU of all kinds
                panels.setdefault(kind, []).append(Line(label, ours, paper, level))
    return panels


def draw(table: Table, axis: str, path: Path) -> None:
    """Draw all panels beside each other into a PNG; the axis is a scale where all its values are numbers.

    Nothing is drawn where nothing is known yet.
    """
    panels = lines_of(table, axis)
    if not panels:
        return
    values = list(dict.fromkeys(entry.names[axis] for entry in table.entries if axis in entry.names))
    place = places(values)
    figure = Figure(figsize=(6.0 * len(panels), 4.2), dpi=110, layout="constrained")
    for plot, (kind, lines) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for number, line in enumerate(lines):
            _draw(plot, line, place, f"C{number % 10}")
        plot.set(title=KINDS.get(kind, kind), xlabel=axis, ylabel="%")
        plot.set_ylim(0, max(102, plot.get_ylim()[1]))  # most are shares; `remaining` can exceed 100 %
        plot.set_xticks([place[value] for value in values], values)
        plot.grid(alpha=0.3)
        plot.legend(fontsize=8)
    figure.savefig(path)


def _grouped(table: Table, axis: str) -> dict[tuple[str, ...], list[Entry]]:
    groups: dict[tuple[str, ...], list[Entry]] = {}
    for entry in table.entries:
        others = tuple(f"{name} {value}" for name, value in entry.names.items() if name != axis)
        groups.setdefault(others, []).append(entry)
    return groups


def places(values: list[str]) -> dict[str, float]:
    """Return where values stand: at their numbers, or one after the other where one of them is none."""
    try:
        return {value: float(value) for value in values}
    except ValueError:
        return {value: float(place) for place, value in enumerate(values)}


def _draw(plot: Axes, line: Line, place: dict[str, float], color: str) -> None:
    if line.level is not None:
        plot.axhline(line.level.value, color=color, linestyle=":", label=line.label)
        return
    if line.ours:
        cells = list(line.ours.values())
        spread = [cell.spread or 0.0 for cell in cells] if any(cell.spread for cell in cells) else None
        x = [place[value] for value in line.ours]
        plot.errorbar(x, [c.value for c in cells], spread, color=color, marker="o", capsize=3, label=line.label)
    if line.paper:
        x = [place[value] for value in line.paper]
        label = f"{line.label}, paper"
        plot.plot(x, list(line.paper.values()), color=color, marker="s", linestyle="--", markersize=4, label=label)
