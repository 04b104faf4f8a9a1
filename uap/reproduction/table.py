"""The table of a reproduction: what was measured, summed up where an axis is reduced, beside what the paper reports."""

from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from uap.reporting.numbers import NOTHING, is_number, plain
from uap.reproduction.points import Point, Row
from uap.reproduction.reproduction import Reproduction, name_of
from uap.reproduction.running import is_done
from uap.utils.text_tables import csv_text, markdown, read_json

Report = tuple[dict[str, str], dict[str, float]]
"""What a paper reports in a row: the names of the axes' values, and the figures."""


@dataclass(frozen=True)
class Cell:
    """A figure, and its standard deviation where several were summed up; in per cent where it is a share."""

    value: float
    spread: float | None = None
    is_share: bool = True

    def text(self) -> str:
        """Return a share with one decimal: 71.2, or 71.2 ± 0.4."""
        shown, spread = f"{self.value:.1f}", f" ± {self.spread:.1f}" if self.spread is not None else ""
        return (shown if self.is_share else plain(round(self.value, 1))) + spread


@dataclass(frozen=True)
class Entry:
    """A row of the table.

    Attributes:
        names: the values of the axes.
        ours: what was measured, by figure; without those that no point has yet.
        paper: what the paper reports, by figure, in per cent.
        points: the points that are summed up; none in a row that only the paper has.
    """

    names: dict[str, str]
    ours: dict[str, Cell] = field(default_factory=dict)
    paper: dict[str, float] = field(default_factory=dict)
    points: list[Point] = field(default_factory=list)


@dataclass(frozen=True)
class Table:
    """All rows.

    Attributes:
        axes: the columns that say what a row is.
        figures: the columns of figures, by key, with their titles.
        entries: the rows.
    """

    axes: list[str]
    figures: dict[str, str]
    entries: list[Entry]

    @property
    def reported(self) -> list[str]:
        """The figures that the paper reports for any row."""
        return [key for key in self.figures if any(key in entry.paper for entry in self.entries)]


def table_of(found: Reproduction, rows: list[Row], out: Path) -> Table:
    """Return the table of what is done.

    Args:
        found: the reproduction.
        rows: its points by their names.
        out: the folder of the points' folders.
    """
    groups: dict[tuple[tuple[str, str], ...], list[Point]] = {}
    for row in rows:
        names = tuple((axis, name) for axis, name in row.names.items() if axis != found.reduce)
        groups.setdefault(names, []).append(row.point)
    reports = _reports(found)
    entries = [_entry(found, dict(names), points, reports, out) for names, points in groups.items()]
    alone = [Entry(names, paper=paper) for names, paper in reports if not any(_fits(names, e.names) for e in entries)]
    known = dict.fromkeys([*found.axes, *(axis for entry in [*entries, *alone] for axis in entry.names)])
    axes = [axis for axis in known if any(axis in entry.names for entry in [*entries, *alone])]
    return Table(axes, found.figures, [*entries, *alone])


def figures_of(point: Point, out: Path) -> dict[str, float]:
    """Return the figures of a point that is done; nothing of one that is not.

    Returns:
        Those of the file that its command writes. `train/` are those of the images that were learned from, `scored/` of
        the others; of a transfer `control/` those of random signs.
    """
    folder = out / point.folder
    if not is_done(folder):
        return {}
    if point.command == "transfer":
        cells = read_json(folder / "transfer.json", "cells")["cells"]
        found = {("control" if c["control"] else "scored", key): v for c in cells for key, v in c["figures"].items()}
        return {f"{kind}/{key}": value for (kind, key), value in found.items() if is_number(value)}
    metrics = read_json(folder / "metrics.json")
    return {_scored(key): value for key, value in metrics.items() if is_number(value)}


def table_markdown(table: Table) -> str:
    """Return the table as Markdown."""
    header, rows = columns(table)
    return markdown(header, rows, len(table.axes))


def columns(table: Table) -> tuple[list[str], list[list[str]]]:
    """Return the header and the cells as a person reads them; the paper's figures stand behind ours."""
    header = list(table.axes)
    for key, title in table.figures.items():
        header += [title, "paper"] if key in table.reported else [title]
    rows = []
    for entry in table.entries:
        cells = [entry.names.get(axis, NOTHING) for axis in table.axes]
        for key in table.figures:
            cells.append(entry.ours[key].text() if key in entry.ours else NOTHING)
            if key in table.reported:
                cells.append(str(entry.paper[key]) if key in entry.paper else NOTHING)
        rows.append(cells)
    return header, rows


def table_csv(table: Table) -> str:
    """Return the table as CSV: axes, each figure with its spread and the paper's, and the folders of the points."""
    header = list(table.axes)
    for key in table.figures:
        header += [key, f"{key} spread", f"{key} paper"]
    rows: list[list[Any]] = []
    for entry in table.entries:
        cells: list[Any] = [entry.names.get(axis) for axis in table.axes]
        for key in table.figures:
            cell = entry.ours.get(key)
            cells += [round(cell.value, 4) if cell else None, cell.spread if cell else None, entry.paper.get(key)]
        rows.append([*cells, " ".join(point.folder for point in entry.points)])
    return csv_text([*header, "points"], rows)


def _scored(key: str) -> str:
    split, _, name = key.partition("/")
    return f"scored/{name}" if name and split != "train" else key


def _entry(found: Reproduction, names: dict[str, str], points: list[Point], reports: list[Report], out: Path) -> Entry:
    figures = [figures_of(point, out) for point in points]
    ours = {}
    for key in found.figures:
        is_share = "/" in key
        values = [(100 if is_share else 1) * own[key] for own in figures if key in own]
        if values:
            spread = round(stdev(values), 4) if len(values) > 1 and is_share else None
            ours[key] = Cell(mean(values), spread, is_share)
    paper = {key: value for report, values in reports if _fits(report, names) for key, value in values.items()}
    return Entry(names, ours, paper, points)


def _reports(found: Reproduction) -> list[Report]:
    """Return what the paper reports."""
    rows = found.paper.rows if found.paper else []
    return [
        (
            {str(key): name_of(value) for key, value in row.items() if key not in found.figures},
            {key: value for key, value in row.items() if key in found.figures},
        )
        for row in rows
    ]


def _fits(report: dict[str, str], names: dict[str, str]) -> bool:
    """Return whether a row of the paper is about a row of the table, which may have more names."""
    return all(names.get(axis) == name for axis, name in report.items())
