"""uap transfer: evaluate attacks on networks and data other than those they were made on.

Rows are saved perturbations, or with --attacks image-dependent attacks on networks; columns are networks and their
images. `transfer.json` describes the rows and columns, and contains the cells of the matrices. For perturbations:

    "cells": [{"perturbation": ROW, "evaluated_on": COLUMN, "control": false, "cell": HASH, "images": 101,
               "size": [360, 480], "metrics": {"success_rate": 0.91, ...}, "note": ""}, ...]

For image-dependent attacks:

    "cells": [{"network": COLUMN, "made_from": ROW, "attack": NAME, "epsilon": 8.0, "steps": null,
               "cell": HASH, "metrics": {"float": {"iou_ratio": 0.71, ...}, "8-bit": {...}}}, ...]

With --sums, the rows are perturbations of DAG and their sums, and columns may be detection networks:

    "cells": [{"made_from": ROW, "network": COLUMN,
               "metrics": {"miou_adversarial": 0.45, "perceptibility": 0.006}}, ...]

`metrics` are those of `uap.metrics.names.METRICS` that apply to the cell. `control` marks the rows of random signs.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from uap.cli.data_arguments import settings_of_data
from uap.cli.entry import run_command
from uap.cli.network_arguments import attacks_of, build_any, build_victims, scored_data, warn_of_classes, wrap
from uap.cli.transfer_arguments import EPSILONS, PROGRAM, check_used, parse
from uap.evaluation.attack_grid import Network, Source, grid, identity_of, names_of
from uap.evaluation.attack_grid import score_all as score_attacks
from uap.evaluation.experiment import facts_of_data
from uap.evaluation.perturbation_scores import print_setup_warnings
from uap.evaluation.perturbation_transfer import cell_file, score_all, setups_of
from uap.evaluation.saved_perturbation import random_signs, read_saved
from uap.evaluation.summed import score_sums
from uap.reporting import transfer_tables as tables
from uap.utils.errors import InputError
from uap.utils.progress import be_quiet
from uap.utils.run_folder import unique_names
from uap.utils.text_tables import check_cells_kept, check_same, csv_text, digest, json_text, markdown, writable, write
from uap.victims import Ensemble
from uap.victims.detection import DetectionVictim

__all__ = ["main", "parse"]

METRIC_OF = {True: "map_adversarial", False: "miou_adversarial"}
"""The metric of a detection network, and that of a segmentation network, with `--sums`."""


def perturbations(given: argparse.Namespace) -> Path:
    """Evaluate every perturbation on every network and its images; return the folder of the tables."""
    runs = [Path(row) for row in given.rows]
    learned = [read_saved(run, name) for run, name in zip(runs, unique_names(runs), strict=True)]
    setups = setups_of([Path(name) for name in given.evaluate_on or given.rows], runs, given.images)
    out = writable(given.out)
    rows = learned + random_signs(learned, given.seed)
    keys = {cell_file(row, setup, out).stem for row in rows for setup in setups}
    check_cells_kept(out / "transfer.json", keys)
    cells = score_all(rows, setups, out)
    facts = {row.name: row.facts for row in rows}
    columns = {setup.name: setup.facts() for setup in setups}
    text = tables.of_perturbations(cells)
    intro = f"# Transfer\n\n{tables.facts('perturbation', facts)}\n{tables.facts('evaluated on', columns)}\n"
    header = ["perturbation", "evaluated_on", "control", "metric", "value"]
    long = [[*(cell[key] for key in header[:3]), *metric] for cell in cells for metric in cell["metrics"].items()]
    content = {"seed": given.seed, "perturbations": facts, "evaluated_on": columns, "cells": cells}
    _write(out, intro + text, csv_text(header, long), json_text(content))
    print(f"{text}\n{out / 'transfer.md'}  transfer.csv  transfer.json", flush=True)
    for setup in setups:
        print_setup_warnings(setup.name, [cell["metrics"] for cell in cells if cell["evaluated_on"] == setup.name])
    return out


def attacks(given: argparse.Namespace, settings: list[str]) -> Path:
    """Evaluate attacks on images, made on each network, on all networks; return the folder of the tables."""
    attacks = attacks_of(given)
    data = scored_data(given, settings, PROGRAM)
    names = [*given.rows, *(given.evaluate_on or [])]
    victims = build_victims(names, given.weights, data)
    of_rows = dict(list(victims.items())[: len(given.rows)])
    wrapped = wrap(of_rows, given.wrappers, data)
    sources = [Network(*item) for name in of_rows for item in [(name, of_rows[name]), *wrapped[name].items()]]
    columns = [*sources, *(Network(name, victim) for name, victim in victims.items() if name not in of_rows)]
    warn_of_classes({network.name: network.victim for network in columns})
    out = writable(given.out)
    together = [
        Source(title, Ensemble([of_rows[name] for name in names]))
        for title, names in _rows_of("joint", given.joint, of_rows).items()
    ]
    pairs = [(source, network) for source in [*sources, *together] for network in columns]
    epsilons = sorted(set(given.epsilons or EPSILONS))
    steps = given.steps or [None]
    chosen = bool(given.epsilons)
    cells = grid(pairs, attacks, epsilons, data, given.seed, steps, controls=given.control, chosen=chosen)
    check_cells_kept(out / "transfer.json", {cell.key for cell in cells})
    found = [
        names_of(cell) | {"metrics": metrics}
        for cell, metrics in score_attacks(cells, data, given.seed, out, keep_images=True)
    ]
    facts = facts_of_data(data)
    definitions = {attack.name: {"definition": attack.definition} for attack in attacks}
    text = tables.of_attacks(found)
    about = f"{markdown([*facts], [[*facts.values()]])}\n{tables.facts('attack', definitions)}"
    content = {"seed": given.seed, **facts, "attacks": definitions, "cells": found}
    _write(out, f"# Transfer\n\n{about}\n{text}", tables.csv_of_attacks(found), json_text(content))
    print(f"{text}\n{out / 'transfer.md'}  transfer.csv  transfer.json", flush=True)
    return out


def _rows_of(option: str, given: list[str], rows: Mapping[str, object]) -> dict[str, list[str]]:
    """Return the names of the rows that words such as `A+B` join, by `A + B`.

    Raises:
        InputError: a name is no row.
    """
    joined = {" + ".join(word.split("+")): word.split("+") for word in given}
    unknown = [name for names in joined.values() for name in names if name not in rows]
    if unknown:
        raise InputError(
            f"--{option} names {unknown[0]}, which is no row. The rows are {', '.join(rows)}.",
            setting=option,
            kind="unknown_name",
        )
    return joined


def sums(given: argparse.Namespace, settings: list[str]) -> Path:
    """Evaluate the perturbations of DAG and their sums on all networks; return the folder of the tables.

    Raises:
        InputError: a sum names no row, or a network or the images cannot be used.
    """
    data = scored_data(given, settings, PROGRAM)
    columns = build_any([*given.rows, *(given.evaluate_on or [])], given.weights, data)
    sources = dict(list(columns.items())[: len(given.rows)])
    added = list(_rows_of("sums", given.sums, sources).values()) or [[*sources]]
    images, facts = data.datasets["scored"].images, facts_of_data(data)
    out = writable(given.out)
    networks = [(name, victim.cache_key()) for name, victim in columns.items()]
    identity = digest(identity_of(data), networks, [*sources], added, given.seed)
    check_same(out / "transfer.json", identity)
    rows = score_sums(sources, columns, added, images, given.seed)
    kinds = {name: METRIC_OF[isinstance(victim, DetectionVictim)] for name, victim in columns.items()}
    cells: list[dict[str, Any]] = [
        {
            "made_from": name,
            "network": column,
            "metrics": {kinds[column]: value, "perceptibility": row.perceptibility},
        }
        for name, row in rows.items()
        for column, value in row.scores.items()
    ]
    text = tables.of_sums(rows, kinds)
    long = [[cell["made_from"], cell["network"], *metric] for cell in cells for metric in cell["metrics"].items()]
    content = {"seed": given.seed, **facts, "digest": identity, "cells": cells}
    about = markdown([*facts], [[*facts.values()]])
    table = csv_text(["made_from", "network", "metric", "value"], long)
    _write(out, f"# Transfer of sums\n\n{about}\n{text}", table, json_text(content))
    print(f"{text}\n{out / 'transfer.md'}  transfer.csv  transfer.json", flush=True)
    return out


def _write(out: Path, text: str, table: str, content: str) -> None:
    write(out / "transfer.md", text)
    write(out / "transfer.csv", table)
    write(out / "transfer.json", content)


def main(args: list[str] | None = None) -> Path:
    """Evaluate every row on every column; return the folder of the tables.

    Raises:
        InputError: an option has no use for the kind of the rows, or what the evaluations refuse.
    """
    settings, words = settings_of_data(sys.argv[1:] if args is None else args)
    given = parse(words)
    if given.quiet:
        be_quiet()
    check_used(given, settings)
    if given.sums is not None:
        return sums(given, settings)
    if given.attacks:
        return attacks(given, settings)
    return perturbations(given)


if __name__ == "__main__":
    run_command(main)
