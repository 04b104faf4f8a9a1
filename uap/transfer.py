"""python -m uap.transfer: perturbations learned on one network and data set, scored on others, as matrices.

`transfer.json` holds, beside what each row and column is,

    "cells": [{"perturbation": ROW, "onto": COLUMN, "control": false, "cell": HASH, "images": 101, "size": [360, 480],
               "figures": {"success_rate": 0.91, ...}, "note": ""}, ...]

with the metrics of `uap.evaluation.perturbation_scores.TITLES` that the cell has. `control` marks the rows of random
signs.
"""

import argparse
import json
from pathlib import Path
from typing import Any

from uap.cli.arguments import sample_arguments
from uap.cli.entry import run_command
from uap.evaluation.experiment import config_of, device_trainer, settings_of
from uap.evaluation.perturbation_scores import CLEAN, TITLES, print_doubts, score
from uap.evaluation.saved_perturbation import SavedPerturbation, random_signs, read_saved
from uap.evaluation.setup import EvaluationSetup
from uap.evaluation.steps import steps
from uap.reporting.numbers import NOTHING, percent
from uap.utils.errors import InputError
from uap.utils.progress import be_quiet
from uap.utils.run_folder import unique_names
from uap.utils.text_tables import csv_text, digest, json_text, markdown, read_json, writable, write
from uap.victims.building import find_victim

Cell = dict[str, Any]


def parse(args: list[str] | None) -> argparse.Namespace:
    """Return the arguments of the command line."""
    parser = argparse.ArgumentParser(
        "python -m uap.transfer",
        description="Scores perturbations on networks and images that they were not learned for, beside random signs "
        "of the same epsilon. Writes transfer.md, transfer.csv and transfer.json. A static target is carried over by "
        "the names of the classes. A perturbation without a period gets images of the size that it was learned for. "
        "What is scored already is not scored again.",
        epilog="example: python -m uap.transfer runs/espnet runs/cgnet --onto runs/espnet runs/cgnet other.yaml",
    )
    parser.add_argument(
        "runs", metavar="RUN", type=Path, nargs="+", help="folder of python -m uap.fit: a row of the matrices"
    )
    parser.add_argument(
        "--onto", metavar="RUN_OR_CONFIG", type=Path, nargs="+",
        help="run folders, configurations of configs/victim/, or any YAML files with model.victim: the columns; one "
        "without data gets the runs' images (default: the runs' own networks and data)",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("transfer"), help="the folder to write to")
    sample_arguments(parser)
    return parser.parse_args(args)


def setups_of(places: list[Path], runs: list[Path], count: int | None) -> list[EvaluationSetup]:
    """Build the columns; those with the same network and images are one, with the names of all.

    Args:
        places: run folders, configuration files, or names of `configs/victim/`.
        runs: the runs that are scored; a network without data gets their images, each different set in a column.
        count: score so many images; None for the configuration's own number.

    Raises:
        InputError: a place has no configuration, or one that cannot be used.
    """
    trainer = device_trainer()
    configs = [config_of(place) if place.is_dir() else find_victim(str(place)) for place in places]
    built: list[EvaluationSetup] = []
    for name, config in zip(unique_names(places), configs, strict=True):
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
    """Return the configurations whose data a network is tried on, and which run to name where there are several."""
    if settings_of(config, "data") is not None:
        return {config: ""}
    different: dict[str, tuple[Path, str]] = {}
    for run, name in zip(runs, unique_names(runs), strict=True):
        data = settings_of(config_of(run), "data")
        different.setdefault(json.dumps(data, sort_keys=True), (config_of(run), name))
    return {images: name if len(different) > 1 else "" for images, name in different.values()}


def cell_file(learned: SavedPerturbation, setup: EvaluationSetup, out: Path) -> Path:
    """Return the file of a cell, named after all that its figures depend on."""
    return out / "cells" / f"{digest(learned.identity(), setup.identity(learned.size or setup.size))}.json"


def check_kept(rows: list[SavedPerturbation], setups: list[EvaluationSetup], out: Path) -> None:
    """Check that a folder has no matrices, or such whose cells the new ones have too.

    Raises:
        InputError: cells of other runs or settings would be lost from the tables.
    """
    file = out / "transfer.json"
    if not file.exists():
        return
    there = {cell_file(row, setup, out).stem for row in rows for setup in setups}
    found = [cell for cell in read_json(file, "cells")["cells"] if cell.get("cell") not in there]
    if found:
        names = "; ".join(f"{cell['perturbation']} on {cell['onto']}" for cell in found[:3])
        raise InputError(
            f"{file} has {len(found)} cells of other runs or settings ({names}), which would be lost. Set another "
            "--out, or name these runs too."
        )


def read_cell(path: Path) -> Cell | None:
    """Return a cell that was scored before; None where there is none, or a file that was damaged."""
    try:
        cell = read_json(path, "images", "size", "figures", "note")
    except InputError:
        return None
    return cell if isinstance(cell["figures"], dict) else None


def score_cell(learned: SavedPerturbation, setup: EvaluationSetup) -> Cell:
    """Score a perturbation on a network and images."""
    attack, data, note = setup.attack(learned)
    return {
        "images": len(data.datasets["scored"]),
        "size": list(data.size),
        "figures": score(attack, data, f"{learned.name} on {setup.name}") if attack else {},
        "note": note,
    }


def score_all(rows: list[SavedPerturbation], setups: list[EvaluationSetup], out: Path) -> list[Cell]:
    """Score what was not scored before, and return all cells, row by row."""
    pairs = [(row, setup, cell_file(row, setup, out)) for row in rows for setup in setups]
    missing = [pair for pair in pairs if read_cell(pair[2]) is None]
    for row, setup, path in steps(missing, len(missing), "Scoring", "cell"):
        write(path, json_text(score_cell(row, setup)))
    return [
        {"perturbation": row.name, "onto": setup.name, "control": row.is_control, "cell": path.stem}
        | (read_cell(path) or {})
        for row, setup, path in pairs
    ]


def matrices(cells: list[Cell]) -> str:
    """Return a Markdown table, in per cent, for each figure that any cell has; random signs where they have a part."""
    columns = list(dict.fromkeys(cell["onto"] for cell in cells))
    texts = []
    for figure, title in TITLES.items():
        rows: dict[str, list[str]] = {}
        for cell in cells:
            if not (cell["control"] and figure in CLEAN):
                rows.setdefault(cell["perturbation"], []).append(percent(cell["figures"].get(figure)))
        table = [[row, *shares] for row, shares in rows.items() if set(shares) != {NOTHING}]
        if table:
            texts.append(f"## {title}\n\n{markdown(['perturbation', *columns], table)}")
    noted = [cell for cell in cells if cell["note"] and not cell["control"]]
    notes = [f"* {cell['perturbation']} on {cell['onto']}: {cell['note']}.\n" for cell in noted]
    return "\n".join([*texts, *(["".join(notes)] if notes else [])])


def _facts(title: str, things: dict[str, dict[str, str]]) -> str:
    header = [title, *next(iter(things.values()))]
    return markdown(header, [[name, *facts.values()] for name, facts in things.items()])


def main(args: list[str] | None = None) -> Path:
    """Score every perturbation on every network and its images; return the folder of the tables."""
    given = parse(args)
    if given.quiet:
        be_quiet()
    learned = [read_saved(run, name) for run, name in zip(given.runs, unique_names(given.runs), strict=True)]
    setups = setups_of(given.onto or given.runs, given.runs, given.images)
    out = writable(given.out)
    rows = learned + random_signs(learned, given.seed)
    check_kept(rows, setups, out)
    cells = score_all(rows, setups, out)
    perturbations = {row.name: row.facts for row in rows}
    onto = {setup.name: setup.facts() for setup in setups}
    text = matrices(cells)
    intro = f"# Transfer\n\n{_facts('perturbation', perturbations)}\n{_facts('onto', onto)}\n"
    write(out / "transfer.md", intro + text)
    long = [[c["perturbation"], c["onto"], c["control"], *figure] for c in cells for figure in c["figures"].items()]
    write(out / "transfer.csv", csv_text(["perturbation", "onto", "control", "figure", "value"], long))
    content = {"seed": given.seed, "perturbations": perturbations, "onto": onto, "cells": cells}
    write(out / "transfer.json", json_text(content))
    print(f"{text}\n{out / 'transfer.md'}  transfer.csv  transfer.json", flush=True)
    for setup in setups:
        print_doubts(setup.name, [cell["figures"] for cell in cells if cell["onto"] == setup.name])
    return out


if __name__ == "__main__":
    run_command(main)
