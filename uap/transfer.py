"""python -m uap.transfer: evaluate perturbations on networks and data other than those they were learned on.

The command writes one matrix per metric, with perturbations as rows and evaluation setups as columns. `transfer.json`
describes the rows and columns, and contains

    "cells": [{"perturbation": ROW, "evaluated_on": COLUMN, "control": false, "cell": HASH, "images": 101,
               "size": [360, 480], "metrics": {"success_rate": 0.91, ...}, "note": ""}, ...]

`metrics` are those of `uap.metrics.names.METRICS` that apply to the cell. `control` marks the rows of random signs.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from uap.cli.arguments import sample_arguments
from uap.cli.entry import run_command
from uap.evaluation.experiment import config_of, device_trainer, settings_of
from uap.evaluation.perturbation_scores import CLEAN, TITLES, print_setup_warnings
from uap.evaluation.saved_perturbation import SavedPerturbation, random_signs, read_saved
from uap.evaluation.setup import EvaluationSetup
from uap.evaluation.steps import steps
from uap.reporting.numbers import NOTHING, percent
from uap.utils.errors import InputError
from uap.utils.progress import be_quiet
from uap.utils.run_folder import unique_names
from uap.utils.text_tables import csv_text, digest, json_text, lost_cells, markdown, read_json, writable, write
from uap.victims.building import find_victim

Cell = dict[str, Any]


def parse(args: list[str] | None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(
        "python -m uap.transfer",
        allow_abbrev=False,
        description="Evaluates perturbations on networks and images that they were not learned on. Random signs of the "
        "same epsilon are the control. Writes transfer.md, transfer.csv and transfer.json. The names of the classes "
        "translate a static target to the classes of another network. A perturbation that is not periodic is evaluated "
        "on images of the size that it was learned for. Cells that were scored before are not scored again.",
        epilog="example: python -m uap.transfer runs/espnet runs/cgnet --evaluate-on runs/espnet runs/cgnet other.yaml",
    )
    parser.add_argument(
        "runs", metavar="RUN", type=Path, nargs="+", help="folder of python -m uap.fit: a row of the matrices"
    )
    parser.add_argument(
        "--evaluate-on", "--onto", metavar="RUN_OR_CONFIG", type=Path, nargs="+",
        help="the columns: run folders, configurations of configs/victim/, or other YAML files with model.victim. A "
        "configuration without data uses the images of the runs (default: the networks and data of the runs)",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("transfer"), help="the folder to write to")
    sample_arguments(parser)
    return parser.parse_args(args)


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


def check_kept(rows: list[SavedPerturbation], setups: list[EvaluationSetup], out: Path) -> None:
    """Check that the new matrices contain all cells of the matrices that are in the folder.

    Raises:
        InputError: the new tables would lose cells of other runs or settings.
    """
    file = out / "transfer.json"
    found = lost_cells(file, {cell_file(row, setup, out).stem for row in rows for setup in setups})
    if found:
        names = "; ".join(
            f"{cell['perturbation']} on {cell.get('evaluated_on', 'an unknown setup')}" for cell in found[:3]
        )
        raise InputError(
            f"{file} has {len(found)} cells of other runs or settings ({names}), which would be lost. Set another "
            "--out, or name these runs too."
        )


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


def matrices(cells: list[Cell]) -> str:
    """Return a Markdown table, in per cent, for each metric that any cell has.

    Rows of random signs are left out of the metrics of clean images, which do not depend on the perturbation.
    """
    columns = list(dict.fromkeys(cell["evaluated_on"] for cell in cells))
    texts = []
    for metric, title in TITLES.items():
        rows: dict[str, list[str]] = {}
        for cell in cells:
            if not (cell["control"] and metric in CLEAN):
                rows.setdefault(cell["perturbation"], []).append(percent(cell["metrics"].get(metric)))
        table = [[row, *shares] for row, shares in rows.items() if set(shares) != {NOTHING}]
        if table:
            texts.append(f"## {title}\n\n{markdown(['perturbation', *columns], table)}")
    noted = [cell for cell in cells if cell["note"] and not cell["control"]]
    notes = [f"* {cell['perturbation']} on {cell['evaluated_on']}: {cell['note']}.\n" for cell in noted]
    return "\n".join([*texts, *(["".join(notes)] if notes else [])])


def _facts(title: str, rows: dict[str, dict[str, str]]) -> str:
    header = [title, *next(iter(rows.values()))]
    return markdown(header, [[name, *facts.values()] for name, facts in rows.items()])


def main(args: list[str] | None = None) -> Path:
    """Evaluate every perturbation on every network and its images; return the folder of the tables."""
    given = parse(args)
    if given.quiet:
        be_quiet()
    learned = [read_saved(run, name) for run, name in zip(given.runs, unique_names(given.runs), strict=True)]
    setups = setups_of(given.evaluate_on or given.runs, given.runs, given.images)
    out = writable(given.out)
    rows = learned + random_signs(learned, given.seed)
    check_kept(rows, setups, out)
    cells = score_all(rows, setups, out)
    perturbations = {row.name: row.facts for row in rows}
    columns = {setup.name: setup.facts() for setup in setups}
    text = matrices(cells)
    intro = f"# Transfer\n\n{_facts('perturbation', perturbations)}\n{_facts('evaluated on', columns)}\n"
    write(out / "transfer.md", intro + text)
    header = ["perturbation", "evaluated_on", "control", "metric", "value"]
    long = [[*(cell[key] for key in header[:3]), *metric] for cell in cells for metric in cell["metrics"].items()]
    write(out / "transfer.csv", csv_text(header, long))
    content = {"seed": given.seed, "perturbations": perturbations, "evaluated_on": columns, "cells": cells}
    write(out / "transfer.json", json_text(content))
    print(f"{text}\n{out / 'transfer.md'}  transfer.csv  transfer.json", flush=True)
    for setup in setups:
        print_setup_warnings(setup.name, [cell["metrics"] for cell in cells if cell["evaluated_on"] == setup.name])
    return out


if __name__ == "__main__":
    run_command(main)
