"""The tables of robustness curves: a row for each network and attack, a column for each epsilon."""

from dataclasses import dataclass

from uap.evaluation.attack_grid import Cell
from uap.metrics.names import METRICS
from uap.reporting.numbers import NOTHING
from uap.utils.text_tables import csv_text, markdown

SHOWN = ("iou_ratio", "miou_adversarial", "kept")
"""The metrics that have tables, by key of `uap.metrics.names.METRICS`; files have all of them."""

FORMS = {"float": "float images", "8-bit": "8-bit images"}
"""How adversarial images are scored, and its title."""

UNBOUNDED = "no epsilon"
"""The column title for attacks without an epsilon."""


@dataclass(frozen=True)
class Score:
    """The metrics of one network, attack and epsilon.

    Attributes:
        network: its name.
        made_from: the name of the network that the attack was made on.
        attack: its name in `uap.attacks.ATTACKS`.
        epsilon: in grey levels; None for an attack without such a bound.
        metrics: by `float` and `8-bit`, values by key of `uap.metrics.names.METRICS`.
        cell: a hash of all that the metrics depend on.
    """

    network: str
    attack: str
    epsilon: float | None
    metrics: dict[str, dict[str, float]]
    cell: str = ""
    made_from: str = ""

    @classmethod
    def of(cls, cell: Cell, metrics: dict[str, dict[str, float]]) -> "Score":
        """Return the score of a cell of `uap.evaluation.attack_grid`."""
        return cls(cell.network.name, cell.attack.name, cell.epsilon, metrics, cell.key, cell.source.name)

    @property
    def title(self) -> str:
        """The network, and the network that the attack was made on if that is another one."""
        is_white_box = self.made_from in ("", self.network)
        return self.network if is_white_box else f"{self.network} (attack on {self.made_from})"


@dataclass(frozen=True)
class Pivot:
    """One metric of one form of the images.

    Attributes:
        title: of the table.
        columns: epsilons, ascending, as text.
        rows: by network and attack, the values of the columns; None where there is none.
        key: of the metric.
    """

    title: str
    columns: list[str]
    rows: dict[tuple[str, str], list[float | None]]
    key: str

    def text(self, value: float | None) -> str:
        """Return a value as the table shows it."""
        return NOTHING if value is None else METRICS[self.key].text(value)


def epsilons_of(scores: list[Score]) -> list[float]:
    """Return the epsilons, ascending."""
    return sorted({score.epsilon for score in scores if score.epsilon is not None})


def curves_of(scores: list[Score]) -> dict[tuple[str, str], list[Score]]:
    """Return the scores of each network and attack, by ascending epsilon; the networks keep together."""
    networks = list(dict.fromkeys(score.title for score in scores))
    curves: dict[tuple[str, str], list[Score]] = {}
    for score in sorted(scores, key=lambda score: (networks.index(score.title), score.epsilon or 0.0)):
        curves.setdefault((score.title, score.attack), []).append(score)
    order = list(dict.fromkeys(score.attack for score in scores))
    return dict(sorted(curves.items(), key=lambda item: (networks.index(item[0][0]), order.index(item[0][1]))))


def pivots(scores: list[Score]) -> list[Pivot]:
    """Return a table for each form of the images and each metric of `SHOWN` that one of the scores has."""
    columns: list[float | None] = [*epsilons_of(scores)]
    columns += [None] if any(score.epsilon is None for score in scores) else []
    titles = [UNBOUNDED if epsilon is None else f"{epsilon:g}" for epsilon in columns]
    tables = []
    for key in SHOWN:
        for form, images in FORMS.items():
            rows = {}
            for names, curve in curves_of(scores).items():
                values = {score.epsilon: score.metrics[form].get(key) for score in curve}
                rows[names] = [values.get(epsilon) for epsilon in columns]
            if any(value is not None for values in rows.values() for value in values):
                tables.append(Pivot(f"{METRICS[key].title}, {images}", titles, rows, key))
    return tables


def pivot_text(pivot: Pivot) -> str:
    """Return a table in Markdown, with its title."""
    rows = [[*names, *map(pivot.text, values)] for names, values in pivot.rows.items()]
    return f"## {pivot.title}\n\n{markdown(['network', 'attack', *pivot.columns], rows, names=2)}"


def csv_of(scores: list[Score]) -> str:
    """Return a CSV: a row for each score and form of the images, a column for each metric, shares from 0 to 1."""
    keys = [key for key in METRICS if any(key in values for score in scores for values in score.metrics.values())]
    rows = [
        [
            score.network,
            score.made_from or score.network,
            score.attack,
            score.epsilon,
            form,
            *(score.metrics[form].get(key) for key in keys),
        ]
        for score in scores
        for form in FORMS
    ]
    return csv_text(["network", "made_from", "attack", "epsilon", "scored", *keys], rows)
