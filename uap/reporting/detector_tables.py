"""The tables of detectors against attacks, with the values of the paper beside them."""

from uap.evaluation.detector_scores import Detection
from uap.metrics.names import METRICS
from uap.reporting.numbers import NOTHING
from uap.reporting.tables import Cell, Table
from uap.utils.text_tables import csv_text, markdown

SUCCESS = ("success_rate", "hidden", "kept")
"""The metrics that say how far an attack has come; a table shows the first one that the attack has."""

SHOWN = {
    "auc": "AUC",
    "auc_two_sided": "Two-sided AUC",
    "detected": "Detected at the lowest benign score",
    "false_positives": "False positives at the lowest benign score",
}
"""The metrics that have tables, and their titles."""

_COLUMNS = (
    *(f"ScaleConsistency:{std}" for std in ("0.5", "3", "5")),
    *(f"SpatialConsistency:{pairs}" for pairs in (1, 5, 10, 50)),
)
_AREAS = {
    "DAGPure": (100, 100, 100, 91, 100, 100, 100),
    "DAGPicture": (95, 100, 100, 91, 100, 100, 100),
    "HoudiniPure": (100, 100, 100, 94, 100, 100, 100),
    "HoudiniPicture": (99, 100, 100, 92, 100, 100, 100),
}

PAPER = {attack: dict(zip(_COLUMNS, areas, strict=True)) for attack, areas in _AREAS.items()}
"""The AUC of table 1 of Xiao et al. in per cent: DRN on Cityscapes, attacks that do not know the detector."""


def success_text(detection: Detection) -> str:
    """Return how far the attack has come, such as `98.1 % success rate`."""
    key = next((key for key in SUCCESS if key in detection.success), None)
    return NOTHING if key is None else f"{METRICS[key].text(detection.success[key])} {METRICS[key].title}"


def rows_of(detections: list[Detection]) -> dict[tuple[str, str], list[Detection]]:
    """Return the detectors of each network and attack."""
    rows: dict[tuple[str, str], list[Detection]] = {}
    for one in detections:
        rows.setdefault((one.images.network.name, one.images.title), []).append(one)
    return rows


def tables(detections: list[Detection]) -> list[Table]:
    """Return a table for each metric of `SHOWN`: a row for each network and attack, a column for each detector."""
    titles = list(dict.fromkeys(one.detector for one in detections))
    found = []
    for key, title in SHOWN.items():
        body = []
        for (network, attack), row in rows_of(detections).items():
            cells = [_cell(key, one) for one in row]
            body.append(([network, attack, success_text(row[0])], cells))
        found.append(Table(title, ["network", "attack", "success"], titles, body))
    return found


def text_of(table: Table) -> str:
    """Return a table in Markdown, with its title."""
    rows = [[*names, *(cell.text for cell in cells)] for names, cells in table.rows]
    return f"## {table.title}\n\n{markdown([*table.names, *table.columns], rows, names=3)}"


def csv_of(detections: list[Detection]) -> str:
    """Return a CSV with a row for each detector and attack; shares from 0 to 1."""
    keys = [key for key in METRICS if any(key in one.metrics for one in detections)]
    rows = [
        [
            one.images.network.name, one.images.made_from, one.images.attack, one.images.epsilon, one.detector,
            *(one.metrics.get(key) for key in keys),
        ]
        for one in detections
    ]  # fmt: skip
    return csv_text(["network", "made_from", "attack", "epsilon", "detector", *keys], rows)


def _cell(key: str, detection: Detection) -> Cell:
    metrics = detection.metrics
    value = metrics[key]
    text = METRICS[key].text(value)
    if key == "auc":
        text += f" [{100 * metrics['auc_low']:.0f}, {100 * metrics['auc_high']:.0f}]"
        is_naive = detection.images.made_from == detection.images.network.name
        paper = PAPER.get(detection.images.attack, {}).get(detection.detector) if is_naive else None
        text += "" if paper is None else f" (paper {paper})"
    return Cell(text, value)
