"""The HTML page of robustness curves: the values of `templates/robustness.html`."""

from pathlib import Path

from uap import __version__
from uap.reporting.document import document
from uap.reporting.pictures import embedded
from uap.reporting.robustness_plot import alternative_text
from uap.reporting.robustness_tables import Pivot, Score, pivots
from uap.reporting.tables import Cell, Table
from uap.utils.text_tables import digest


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
    return document(
        "robustness.html",
        title=f"Robustness of {'; '.join(networks)}",
        made=f"Made by uap robustness (uap {__version__}).",
        shown=[digest([score.cell for score in scores])],
        plot=embedded(plot, alternative_text(scores)),
        metrics=[_table(pivot) for pivot in pivots(scores)],
        networks=networks,
        attacks={name: {"definition": text} for name, text in attacks.items()},
        data={facts["data"]: {title: text for title, text in facts.items() if title != "data"}},
    )


def _table(pivot: Pivot) -> Table:
    rows = [([*names], [Cell(pivot.text(value), value) for value in values]) for names, values in pivot.rows.items()]
    return Table(pivot.title, ["network", "attack"], pivot.columns, rows)
