"""The metrics of a trial, read from the file that its command writes.

The file is `COMMAND.json`, with a list of `cells` (or `rows`) that have names and `metrics`; or it is `metrics.json`
with the metrics themselves.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from uap.reporting.numbers import is_number
from uap.reproduction.reproduction import name_of
from uap.reproduction.running import is_done
from uap.reproduction.trials import Trial
from uap.utils.errors import InputError
from uap.utils.text_tables import read_json

FORM = "form"
"""The key for the form of the adversarial images, `float` or `8-bit`, of a cell with metrics of both."""

Measured = tuple[dict[str, str], dict[str, float]]
"""The names of a cell by the titles of the table's columns, and its metrics."""


def results_file(trial: Trial, folder: Path) -> Path:
    """Return the file with the results of a trial that is done."""
    own = folder / f"{trial.command}.json"
    return own if own.is_file() else folder / "metrics.json"


def measurements(
    trial: Trial, cells: dict[str, str], out: Path, labels: dict[str, str] | None = None
) -> list[Measured]:
    """Return the metrics of a trial, grouped by the names of its cells; one group without names if it is not done.

    Args:
        trial: the trial.
        cells: the key of a cell for each title of a column.
        out: the folder that has the folders of the trials.
        labels: the texts for names of cells; None for the names themselves.

    Returns:
        The metrics have the prefix `train/` for the training images, `control/` for random signs or clean images, the
        form for metrics of several forms unless `cells` names `form`, and `scored/` otherwise.

    Raises:
        InputError: the file is damaged, a cell lacks a key, or several cells with the same names have the same metric.
    """
    if not is_done(out / trial.folder):
        return [({}, {})]
    file = results_file(trial, out / trial.folder)
    groups: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    for cell in _cells(read_json(file)):
        unknown = [key for key in cells.values() if key not in cell]
        if unknown:
            raise InputError(
                f"{file} has no {unknown[0]!r} in a cell, expected {', '.join(cell)}. Correct `cells`.",
                kind="unknown_name",
            )
        found = {title: name_of(cell[key]) for title, key in cells.items() if cell[key] is not None}
        names = {title: (labels or {}).get(name, name) for title, name in found.items()}
        group = groups.setdefault(tuple(names.items()), {})
        for key, value in _metrics(cell, FORM in cells.values()).items():
            if key in group:
                raise InputError(
                    f"{file} has several cells with {key} for {names or 'the same names'}. Name in `cells` what "
                    f"differs between them, of {', '.join(cell)}.",
                    kind="conflict",
                )
            group[key] = value
    return [(dict(names), metrics) for names, metrics in groups.items()]


def _cells(content: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the cells of a file, those of several forms once for each form; a file without cells is one cell."""
    for cell in content.get("cells", content.get("rows", [{"metrics": None, **content}])):
        forms = cell["metrics"] or {}
        if any(isinstance(metrics, dict) for metrics in forms.values()):
            yield from ({**cell, FORM: form, "metrics": metrics} for form, metrics in forms.items())
        else:
            yield cell


def _metrics(cell: dict[str, Any], is_form_named: bool) -> dict[str, float]:
    if cell["metrics"] is None:
        return {_scored(key): value for key, value in cell.items() if is_number(value)}
    control = cell.get("control")
    prefix = "control" if control is True else "scored" if is_form_named else cell.get(FORM, "scored")
    metrics = {f"{prefix}/{key}": value for key, value in cell["metrics"].items()}
    if isinstance(control, dict):
        metrics |= {f"control/{key}": value for key, value in control.items()}
    return {key: value for key, value in metrics.items() if is_number(value)}


def _scored(key: str) -> str:
    split, _, name = key.partition("/")
    return f"scored/{name}" if name and split != "train" else key
