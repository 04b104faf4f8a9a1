"""Tables that compare runs by class, object size or image. script.js sorts them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from uap.reporting.chart import color
from uap.reporting.facts import Rows, facts, settings_that_differ
from uap.reporting.markup import Markup, tag
from uap.reporting.numbers import NOTHING, count, is_number, percent
from uap.reporting.run import RATES, Row, Run


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


def comparison(runs: list[Run]) -> Markup | None:
    """Return the table of setups and metrics, with one column for each run."""
    return _side_by_side(runs, facts(runs))


def differences(runs: list[Run]) -> Markup | None:
    """Return the table of settings that differ between the runs."""
    return _side_by_side(runs, settings_that_differ(runs))


def by_class(runs: list[Run]) -> Markup | None:
    """Return the table of the attack's metrics and IoU by class."""
    return merged(runs, [run.entry("by_class", list) for run in runs], "class", BY_CLASS)


def by_size(runs: list[Run]) -> Markup | None:
    """Return the table of hidden objects by size."""
    sizes = [run.entry("hidden_by_size", dict) for run in runs]
    return merged(runs, [[{"size": name, **row} for name, row in by.items()] for by in sizes], "size", BY_SIZE)


def per_image(runs: list[Run]) -> Markup | None:
    """Return the table of the attack's metrics by image."""
    return merged(runs, [run.images for run in runs], "image", PER_IMAGE)


def merged(runs: list[Run], rows: list[list[Row]], key: str, columns: list[Column]) -> Markup | None:
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
    groups = [
        tag("th", run.name, colspan=len(of_run), scope="colgroup", class_=f"group {color(i)}")
        for i, (run, of_run) in enumerate(zip(runs, shown, strict=True))
        if of_run
    ]
    heads = [tag("th", _sorter(column.title), scope="col", class_="number") for of_run in shown for column in of_run]
    body = []
    for name in names:
        cells = [_cell(by.get(name, {}), c) for by, of_run in zip(by_name, shown, strict=True) for c in of_run]
        body.append(tag("tr", tag("th", name, scope="row"), *cells))
    head = [tag("tr", tag("td"), *groups)] if len(runs) > 1 else []
    head.append(tag("tr", tag("th", _sorter(key), scope="col"), *heads))
    return box(tag("table", tag("thead", *head), tag("tbody", *body), class_="sortable"), f"Table by {key}")


def box(table: Markup, title: str) -> Markup:
    """Return a table in a box that scrolls horizontally, by mouse and by keyboard."""
    return tag("div", table, class_="box", tabindex=0, role="region", aria_label=title)


def _sorter(title: str) -> Markup:
    return tag("button", title, type="button")


def _cell(row: Row, column: Column) -> Markup:
    value = row.get(column.key)
    if not is_number(value):
        return tag("td", NOTHING, class_="number")
    bar = f"--share: {min(max(100 * float(value), 0), 100):.1f}%" if column.bar else None
    return tag("td", column.text(value), class_="number bar" if bar else "number", style=bar, data_value=float(value))


def _side_by_side(runs: list[Run], rows: Rows) -> Markup | None:
    if not rows:
        return None
    heads = [tag("th", run.name, scope="col", class_=f"group {color(i)}") for i, run in enumerate(runs)]
    body = [
        tag("tr", tag("th", name, scope="row"), *[tag("td", value) for value in values])
        for name, values in rows.items()
    ]
    head = tag("thead", tag("tr", tag("td"), *heads))
    return box(tag("table", head, tag("tbody", *body), class_="facts"), "Runs side by side")
