"""The metrics of saved perturbations on networks and images other than those they were learned on."""

import json
from pathlib import Path
from typing import Any

from uap.evaluation.experiment import config_of, device_trainer, settings_of
from uap.evaluation.saved_perturbation import SavedPerturbation
from uap.evaluation.setup import EvaluationSetup
from uap.evaluation.steps import steps
from uap.utils.errors import InputError
from uap.utils.run_folder import unique_names
from uap.utils.text_tables import digest, json_text, read_json, write
from uap.victims.building import find_victim

Cell = dict[str, Any]


def setups_of(columns: list[Path], runs: list[Path], count: int | None) -> list[EvaluationSetup]:
    """Build the columns. Columns with the same network and images become one, which has the names of all.

    Args:
        columns: run folders, configuration files, or names of `configs/victim/`.
        runs: the runs whose perturbations are evaluated. A network without data uses their images, with one column for
            each distinct set.
        count: number of images to evaluate; None for the number in the configuration.

    Raises:
        InputError: a column has no configuration, or the configuration is invalid.
    """
    trainer = device_trainer()
    configs = [config_of(path) if path.is_dir() else find_victim(str(path)) for path in columns]
    built: list[EvaluationSetup] = []
    for name, config in zip(unique_names(columns), configs, strict=True):
        for images, of_run in _images_for(config, runs).items():
            title = f"{name}, images of {of_run}" if of_run else name
            built.append(EvaluationSetup(title, config, count, trainer, images))
    different: dict[str, EvaluationSetup] = {}
    for setup in built:
        first = different.setdefault(json.dumps(setup.identity(setup.size)), setup)
        if first is not setup:
            first.name += f", {setup.name}"
    return list(different.values())


def _images_for(config: Path, runs: list[Path]) -> dict[Path, str]:
    """Return the configurations whose data a network is evaluated on.

    Each maps to the run that the column's title names: "" if there is only one set of images.
    """
    if settings_of(config, "data") is not None:
        return {config: ""}
    different: dict[str, tuple[Path, str]] = {}
    for run, name in zip(runs, unique_names(runs), strict=True):
        data = settings_of(config_of(run), "data")
        different.setdefault(json.dumps(data, sort_keys=True), (config_of(run), name))
    return {images: name if len(different) > 1 else "" for images, name in different.values()}


def cell_file(learned: SavedPerturbation, setup: EvaluationSetup, out: Path) -> Path:
    """Return the file of a cell; its name is a digest of everything that the metrics depend on."""
    return out / "cells" / f"{digest(learned.identity(), setup.identity(learned.size or setup.size))}.json"


def read_cell(path: Path) -> Cell | None:
    """Return a cell that was scored before; None if its file is missing or damaged."""
    try:
        cell = read_json(path, "images", "size", "metrics", "note")
    except InputError:
        return None
    return cell if isinstance(cell["metrics"], dict) else None


def score_cell(learned: SavedPerturbation, setup: EvaluationSetup) -> Cell:
    """Return the metrics of a perturbation on a network and images."""
    size = learned.size or setup.size
    metrics, note = setup.score(learned, f"{learned.name} on {setup.name}")
    images = len(setup.data(size).datasets["scored"])
    return {"images": images, "size": list(size), "metrics": metrics or {}, "note": note}


def score_all(rows: list[SavedPerturbation], setups: list[EvaluationSetup], out: Path) -> list[Cell]:
    """Score all cells that have no file yet, and return all cells, row by row."""
    pairs = [(row, setup, cell_file(row, setup, out)) for row in rows for setup in setups]
    missing = [pair for pair in pairs if read_cell(pair[2]) is None]
    for row, setup, path in steps(missing, len(missing), "Scoring", "cell"):
        write(path, json_text(score_cell(row, setup)))
    return [
        {"perturbation": row.name, "evaluated_on": setup.name, "control": row.is_control, "cell": path.stem}
        | (read_cell(path) or {})
        for row, setup, path in pairs
    ]
