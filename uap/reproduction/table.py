"""The table of a reproduction: measured metrics, averaged over the reduced axis, beside the paper's values."""

from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from uap.metrics.names import METRICS
from uap.reporting.numbers import NOTHING, plain
from uap.reproduction.measurements import Measured, measurements
from uap.reproduction.reproduction import Reproduction, name_of
from uap.reproduction.trials import Row, Trial
from uap.utils.text_tables import csv_text, markdown

Report = tuple[dict[str, str], dict[str, float]]
"""A row of the paper's table: the names of the axes' values, and the metrics."""


@dataclass(frozen=True)
class Cell:
    """The value of a metric.

    Attributes:
        value: the value, or the mean of several; in per cent if it is a share.
        spread: the standard deviation of several values.
        is_share: whether the metric is a share.
    """

    value: float
    spread: float | None = None
    is_share: bool = True

    def text(self) -> str:
        """Return the value as text; a share has one decimal, such as "71.2" or "71.2 ± 0.4"."""
        shown, spread = f"{self.value:.1f}", f" ± {self.spread:.1f}" if self.spread is not None else ""
        number = plain(round(self.value, 1) if abs(self.value) >= 1 else float(f"{self.value:.3g}"))
        return (shown if self.is_share else number) + spread


@dataclass(frozen=True)
class Entry:
    """A row of the table.

    Attributes:
        names: the names of the axes' values.
        ours: the measured metrics by key; metrics that no trial has yet are missing.
        paper: the paper's metrics by key, in per cent.
        trials: the trials that are averaged; empty for a row that only the paper has.
    """

    names: dict[str, str]
    ours: dict[str, Cell] = field(default_factory=dict)
    paper: dict[str, float] = field(default_factory=dict)
    trials: list[Trial] = field(default_factory=list)


@dataclass(frozen=True)
class Table:
    """The table of a reproduction.

    Attributes:
        axes: the first columns, which identify a row.
        metrics: the other columns: titles of metrics by key.
        entries: the rows.
    """

    axes: list[str]
    metrics: dict[str, str]
    entries: list[Entry]

    @property
    def reported(self) -> list[str]:
        """The metrics that the paper reports for any row."""
        return [key for key in self.metrics if any(key in entry.paper for entry in self.entries)]


def table_of(reproduction: Reproduction, rows: list[Row], out: Path) -> Table:
    """Return the table of the trials that are done.

    Args:
        reproduction: the reproduction.
        rows: its trials with their names.
        out: the folder that has the folders of the trials.
    """
    groups: dict[tuple[tuple[str, str], ...], list[tuple[Trial, dict[str, float]]]] = {}
    for row in rows:
        for cell, metrics in _shown(reproduction, row, out):
            named = (row.names | cell).items()
            names = tuple((axis, name) for axis, name in named if axis != reproduction.reduce)
            groups.setdefault(names, []).append((row.trial, metrics))
    reports = _reports(reproduction)
    entries = [_entry(reproduction, dict(names), own, reports) for names, own in groups.items()]
    alone = [Entry(names, paper=paper) for names, paper in reports if not any(_fits(names, e.names) for e in entries)]
    known = dict.fromkeys([*reproduction.axes, *(axis for entry in [*entries, *alone] for axis in entry.names)])
    axes = [axis for axis in known if any(axis in entry.names for entry in [*entries, *alone])]
    return Table(axes, reproduction.metrics, [*entries, *alone])


def _shown(reproduction: Reproduction, row: Row, out: Path) -> list[Measured]:
    """Return the cells of a trial that have a metric of the table; one without names and metrics if none has."""
    cells = [
        (names, metrics)
        for names, metrics in measurements(row.trial, row.cells, out, reproduction.labels)
        if metrics.keys() & reproduction.metrics.keys() and not any(_fits(one, names) for one in reproduction.omit)
    ]
    return cells or [({}, {})]


def is_share(key: str) -> bool:
    """Return whether a metric is a share or a ratio of shares, which tables and plots give in per cent.

    Example:
        >>> is_share("float/iou_ratio"), is_share("float/psnr"), is_share("gradient_evaluations")
        (True, False, False)
    """
    _, slash, name = key.rpartition("/")
    return METRICS[name].unit in ("share", "ratio") if name in METRICS else bool(slash)


def pivoted(table: Table, axis: str | None) -> Table:
    """Return a table with a column for each metric and value of an axis; None leaves the table unchanged."""
    if axis is None:
        return table
    values = list(dict.fromkeys(entry.names.get(axis) for entry in table.entries))
    metrics = {
        _column(key, axis, value): _column(title if len(table.metrics) > 1 else "", axis, value) or title
        for key, title in table.metrics.items()
        for value in values
    }
    rows: dict[tuple[tuple[str, str], ...], Entry] = {}
    for entry in table.entries:
        others = {name: text for name, text in entry.names.items() if name != axis}
        row = rows.setdefault(tuple(others.items()), Entry(others))
        value = entry.names.get(axis)
        row.ours.update({_column(key, axis, value): cell for key, cell in entry.ours.items()})
        row.paper.update({_column(key, axis, value): number for key, number in entry.paper.items()})
    found = {
        key: title for key, title in metrics.items() if any(key in e.ours or key in e.paper for e in rows.values())
    }
    return Table([name for name in table.axes if name != axis], found, list(rows.values()))


def _column(text: str, axis: str, value: str | None) -> str:
    """Return the key or title of a column for a value of an axis."""
    return ", ".join(part for part in (text, f"{axis} {value}" if value is not None else "") if part)


def table_markdown(table: Table) -> str:
    """Return the table as Markdown."""
    header, rows = columns(table)
    return markdown(header, rows, len(table.axes))


def columns(table: Table) -> tuple[list[str], list[list[str]]]:
    """Return the header and the rows as text; the paper's values follow ours in a column of their own."""
    header = list(table.axes)
    for key, title in table.metrics.items():
        header += [title, "paper"] if key in table.reported else [title]
    rows = []
    for entry in table.entries:
        cells = [entry.names.get(axis, NOTHING) for axis in table.axes]
        for key in table.metrics:
            cells.append(entry.ours[key].text() if key in entry.ours else NOTHING)
            if key in table.reported:
                cells.append(str(entry.paper[key]) if key in entry.paper else NOTHING)
        rows.append(cells)
    return header, rows


def values(table: Table, entry: Entry) -> list[float | None]:
    """Return the values of a row in the order of `columns`, without the axes; None where there is no value."""
    found: list[float | None] = []
    for key in table.metrics:
        found.append(entry.ours[key].value if key in entry.ours else None)
        if key in table.reported:
            found.append(entry.paper.get(key))
    return found


def table_csv(table: Table) -> str:
    """Return the table as CSV: axes, each metric with its spread and the paper's value, and the trials' folders."""
    header = list(table.axes)
    for key in table.metrics:
        header += [key, f"{key} spread", f"{key} paper"]
    rows: list[list[Any]] = []
    for entry in table.entries:
        cells: list[Any] = [entry.names.get(axis) for axis in table.axes]
        for key in table.metrics:
            cell = entry.ours.get(key)
            cells += [round(cell.value, 4) if cell else None, cell.spread if cell else None, entry.paper.get(key)]
        rows.append([*cells, " ".join(trial.folder for trial in entry.trials)])
    return csv_text([*header, "trials"], rows)


def _entry(
    reproduction: Reproduction, names: dict[str, str], own: list[tuple[Trial, dict[str, float]]], reports: list[Report]
) -> Entry:
    ours = {}
    for key in reproduction.metrics:
        values = [(100 if is_share(key) else 1) * metrics[key] for _, metrics in own if key in metrics]
        if values:
            spread = round(stdev(values), 4) if len(values) > 1 and is_share(key) else None
            ours[key] = Cell(mean(values), spread, is_share(key))
    paper = {key: value for report, values in reports if _fits(report, names) for key, value in values.items()}
    return Entry(names, ours, paper, [trial for trial, _ in own])


def _reports(reproduction: Reproduction) -> list[Report]:
    """Return the rows of the paper's table."""
    rows = reproduction.paper.rows if reproduction.paper else []
    return [
        (
            {str(key): name_of(value) for key, value in row.items() if key not in reproduction.metrics},
            {key: value for key, value in row.items() if key in reproduction.metrics},
        )
        for row in rows
    ]


def _fits(some: dict[str, str], names: dict[str, str]) -> bool:
    """Return whether the names of a row of the table include some names, such as those of a row of the paper."""
    return all(names.get(axis) == name for axis, name in some.items())
