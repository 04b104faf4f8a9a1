"""The HTML page of robustness curves: the plot and the tables, in one file."""

import base64
from pathlib import Path

from PIL import Image

from uap import __version__
from uap.reporting.markup import Markup, tag
from uap.reporting.page import document
from uap.reporting.robustness_plot import alternative_text
from uap.reporting.robustness_tables import Pivot, Score, pivots
from uap.reporting.tables import box
from uap.utils.text_tables import digest

INTRODUCTION = (
    "IoU ratio: mean IoU with the labels on adversarial images, divided by that on clean images, each over all images "
    "(Arnab et al., CVPR 2018). Epsilon is the largest change of a pixel value, in grey levels. Float images are "
    "scored as the attack returns them. 8-bit images are rounded, so an epsilon below 1 changes nothing. The attacks "
    "see the network's predictions, never the labels."
)

STYLE = ".sortable .number { min-width: 4.75rem }"


def page(
    scores: list[Score], plot: Path, facts: dict[str, str], networks: dict[str, dict[str, str]], attacks: dict[str, str]
) -> str:
    """Return the page.

    Args:
        scores: the metrics of all networks, attacks and epsilons.
        plot: the PNG, which goes into the page.
        facts: the data, by title.
        networks: facts on each, by name and by title.
        attacks: their definitions by name.
    """
    title = f"Robustness of {', '.join(networks)}"
    header = tag("header", tag("p", "Robustness curve", class_="eyebrow"), tag("h1", title), tag("p", INTRODUCTION))
    sections = [
        _section("Curves", _picture(plot, alternative_text(scores))),
        *(_section(pivot.title, _pivot(pivot)) for pivot in pivots(scores)),
        _section("Networks", _facts("network", networks)),
        _section("Attacks", _facts("attack", {name: {"definition": text} for name, text in attacks.items()})),
        _section("Images", _facts("data", {facts["data"]: {k: v for k, v in facts.items() if k != "data"}})),
    ]
    shown = [digest([score.cell for score in scores])]
    return document(title, header, sections, f"Made by uap robustness (uap {__version__}).", shown, STYLE)


def _section(title: str, *content: Markup) -> Markup:
    return tag("section", tag("h2", title), *content)


def _picture(path: Path, alt: str) -> Markup:
    with Image.open(path) as opened:
        width, height = opened.size
    source = f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
    image = tag("img", src=source, alt=alt, width=width, height=height)
    return tag("figure", image, class_="paper curves", tabindex=0, role="region", aria_label="Plot")


def _pivot(pivot: Pivot) -> Markup:
    heads = [tag("th", tag("button", name, type="button"), scope="col") for name in ("network", "attack")]
    heads += [tag("th", tag("button", column, type="button"), scope="col", class_="number") for column in pivot.columns]
    body = [
        tag("tr", *(tag("th", name, scope="row") for name in names), *(_cell(pivot, value) for value in values))
        for names, values in pivot.rows.items()
    ]
    return box(tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *body), class_="sortable"), pivot.title)


def _cell(pivot: Pivot, value: float | None) -> Markup:
    return tag("td", pivot.text(value), class_="number", data_value=value)


def _facts(title: str, things: dict[str, dict[str, str]]) -> Markup:
    heads = [tag("th", name, scope="col") for name in (title, *next(iter(things.values())))]
    body = [
        tag("tr", tag("th", name, scope="row"), *(tag("td", value) for value in facts.values()))
        for name, facts in things.items()
    ]
    return box(tag("table", tag("thead", tag("tr", *heads)), tag("tbody", *body)), title)
