"""Tables that a click on a title sorts. Those of runs compare them by class, object size or image."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from uap.reporting.labels import Label, labels
from uap.reporting.numbers import NOTHING, count, is_number, percent
from uap.reporting.run import RATES, Row, Run


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: the value as text.
        value: the number to sort by; None puts the cell last.
        bar: the length of a bar behind the text, from 0 to 100; None for no bar.
        style: more CSS classes.
    """

    text: str
    value: float | None
    bar: float | None = None
    style: str = ""


@dataclass(frozen=True)
class Group:
    """Neighboring columns of one run: its label, and their number."""

    label: Label
    columns: int


@dataclass(frozen=True)
class Table:
    """A sortable table.

    Attributes:
        title: the accessible name.
        names: the titles of the first columns, which name a row.
        columns: the titles of the other columns, which have numbers.
        rows: the names of each row, and its cells.
        groups: the groups of columns; empty for no groups.
    """

    title: str
    names: list[str]
    columns: list[str]
    rows: list[tuple[list[str], list[Cell]]]
    groups: list[Group] = field(default_factory=list)


@dataclass(frozen=True)
class Column:
    """A column of the table, repeated for each run.

    Attributes:
        key: the key of its values in a row.
        title: the title.
        text: formats a value.
        bar: whether a bar shows the value as well.
    """

    key: str
    title: str
    text: Callable[[Any], str] = percent
    bar: bool = True


IOU = [Column("iou_clean", "IoU, clean"), Column("iou_adversarial", "IoU, adversarial")]
RATE_COLUMNS = [Column(rate, title) for rate, title in RATES.items()]
BY_CLASS = [Column("pixels", "pixels", count, bar=False), *RATE_COLUMNS, *IOU]
BY_SIZE = [
    Column("objects", "objects", count, bar=False),
    Column("pixels", "pixels", count, bar=False),
    Column("hidden", "hidden"),
]
"""Columns of the table by object size. *Remaining* counts pixels outside of objects, so objects have none."""
PER_IMAGE = [*RATE_COLUMNS, Column("hidden_pixels", "pixels to hide", count, bar=False)]


def by_class(runs: list[Run]) -> Table | None:
    """Return the table of the attack's metrics and IoU by class."""
    return merged(runs, [run.entry("by_class", list) for run in runs], "class", BY_CLASS)


def by_size(runs: list[Run]) -> Table | None:
    """Return the table of hidden objects by size."""
    sizes = [run.entry("hidden_by_size", dict) for run in runs]
    return merged(runs, [[{"size": name, **row} for name, row in by.items()] for by in sizes], "size", BY_SIZE)


def per_image(runs: list[Run]) -> Table | None:
    """Return the table of the attack's metrics by image."""
    return merged(runs, [run.images for run in runs], "image", PER_IMAGE)


def merged(runs: list[Run], rows: list[list[Row]], key: str, columns: list[Column]) -> Table | None:
    """Return one sortable table that joins the rows of all runs by `key`; columns without a value are left out.

    Args:
        runs: the runs.
        rows: the rows of each run.
        key: the key of the row's name.
        columns: the columns, repeated for each run.
    """
    by_name = [{str(row.get(key)): row for row in of_run} for of_run in rows]
    names = dict.fromkeys(name for of_run in by_name for name in of_run)
    shown = [[c for c in columns if any(is_number(row.get(c.key)) for row in of_run)] for of_run in rows]
    if not any(shown):
        return None
    groups = [Group(label, len(of_run)) for label, of_run in zip(labels(runs), shown, strict=True) if of_run]
    body = [
        ([name], [_cell(by.get(name, {}), c) for by, of_run in zip(by_name, shown, strict=True) for c in of_run])
        for name in names
    ]
    titles = [column.title for of_run in shown for column in of_run]
    return Table(f"Table by {key}", [key], titles, body, groups if len(runs) > 1 else [])


def _cell(row: Row, column: Column) -> Cell:
    value = row.get(column.key)
    if not is_number(value):
        return Cell(NOTHING, None)
    bar = round(min(max(100 * float(value), 0), 100), 1) if column.bar else None
    return Cell(column.text(value), float(value), bar, "bar" if column.bar else "")
