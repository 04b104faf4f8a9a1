"""uap transfer: evaluate attacks on networks and data other than those they were made on.

Rows are saved perturbations, or with --attacks image-dependent attacks on networks; columns are networks and their
images. `transfer.json` describes the rows and columns, and contains the cells of the matrices. For perturbations:

    "cells": [{"perturbation": ROW, "evaluated_on": COLUMN, "control": false, "cell": HASH, "images": 101,
               "size": [360, 480], "metrics": {"success_rate": 0.91, ...}, "note": ""}, ...]

For image-dependent attacks:

    "cells": [{"network": COLUMN, "made_from": ROW, "attack": NAME, "epsilon": 8.0, "steps": null,
               "cell": HASH, "metrics": {"float": {"iou_ratio": 0.71, ...}, "8-bit": {...}}}, ...]

With --sums, the rows are perturbations of DAG and their sums, and columns may be detection networks:

    "cells": [{"made_from": ROW, "network": COLUMN, "metrics": {"miou_adversarial": 0.45}}, ...]

`metrics` are those of `uap.metrics.names.METRICS` that apply to the cell. `control` marks the rows of random signs.
"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from uap.attacks import named_attack
from uap.cli.arguments import positive, sample_arguments
from uap.cli.data_arguments import settings_of_data
from uap.cli.entry import run_command
from uap.cli.network_arguments import build_any, build_victims, network_arguments, scored_data, warn_of_classes, wrap
from uap.evaluation.attack_grid import Network, Source, grid, names_of
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

PROGRAM = "uap transfer"

METRIC_OF = {True: "map_adversarial", False: "miou_adversarial"}
"""The metric of a detection network, and that of a segmentation network, with `--sums`."""

EPSILONS = (8.0,)
"""The default of `--epsilons`: that of Arnab et al., table 1."""


def parse(words: list[str]) -> argparse.Namespace:
    """Return the arguments of a command line, without the settings of the data."""
    parser = argparse.ArgumentParser(
        PROGRAM,
        description="Evaluates attacks on networks and images that they were not made on. The rows are perturbations "
        "of uap fit, with random signs of the same epsilon as the control; with --attacks, the rows are attacks on "
        "each image, made on one network and evaluated on all. Writes transfer.md, transfer.csv and transfer.json. "
        "Targets are translated to the classes of another network by their names. A perturbation that is not periodic "
        "is evaluated on images of the size that it was learned for. Cells that were scored before are not scored "
        "again.",
        epilog=f"examples: {PROGRAM} runs/espnet runs/cgnet --evaluate-on runs/espnet runs/cgnet other.yaml; {PROGRAM} "
        "espnet_streetscenes --wrappers scale_50 multiscale --evaluate-on fcn8s_streetscenes --attacks FGSM "
        "IterativeFGSMII --epsilons 8 --data StreetScenes --images 16",
        allow_abbrev=False,
    )
    parser.add_argument(
        "rows", metavar="RUN_OR_NETWORK", nargs="+",
        help="a row of the matrices: the folder of a run of uap fit; with --attacks a configuration of configs/victim/ "
        "by name, or any YAML file with model.victim",
    )  # fmt: skip
    parser.add_argument(
        "--evaluate-on", "--onto", metavar="RUN_OR_NETWORK", nargs="+",
        help="the columns: run folders or networks. A network without data uses the images of the runs (default: the "
        "networks and data of the rows). With --attacks, networks besides those of the rows",
    )  # fmt: skip
    network_arguments(parser, epsilons=EPSILONS)
    parser.add_argument(
        "--sums", metavar="A+B", nargs="*",
        help="evaluate the perturbations of DAG on segmentation and detection networks, and sums of those of several "
        "rows, such as espnet_streetscenes+fcn8s_streetscenes, each with the control of permuted pixels (default "
        "without a value: the sum of all rows)",
    )  # fmt: skip
    parser.add_argument(
        "--joint", metavar="A+B", nargs="+", default=[],
        help="with --attacks, make them also on several rows together, such as espnet_camvid+cgnet_camvid, "
        "with one target for all (Kang et al., IEEE Access 2020)",
    )  # fmt: skip
    parser.add_argument(
        "--steps", metavar="S", nargs="+", type=positive,
        help="with --attacks, the numbers of steps of each attack, such as 1 10 50 (default: that of the attack)",
    )  # fmt: skip
    parser.add_argument(
        "--control", action="store_true",
        help="with --attacks, score random signs too, whose root mean square on each image is that of the attack's "
        "change; their rows end with `, noise`",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("transfer"), help="the folder to write to")
    sample_arguments(parser)
    return parser.parse_args(words)


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
    attacks = [named_attack(name) for name in dict.fromkeys(given.attacks)]
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
    cells = grid(pairs, attacks, epsilons, data, given.seed, given.steps or [None], controls=given.control)
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
    identity = digest(facts, [*sources], [*columns], added, given.seed)
    check_same(out / "transfer.json", identity)
    scores = score_sums(sources, columns, added, images, given.seed)
    kinds = {name: METRIC_OF[isinstance(victim, DetectionVictim)] for name, victim in columns.items()}
    cells: list[dict[str, Any]] = [
        {"made_from": row, "network": column, "metrics": {kinds[column]: value}}
        for row, of in scores.items()
        for column, value in of.items()
    ]
    text = tables.of_sums(scores, kinds)
    long = [[cell["made_from"], cell["network"], *next(iter(cell["metrics"].items()))] for cell in cells]
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
        InputError: settings of both kinds of rows are mixed, or what the evaluations refuse.
    """
    settings, words = settings_of_data(sys.argv[1:] if args is None else args)
    given = parse(words)
    if given.quiet:
        be_quiet()
    if given.sums is not None:
        return sums(given, settings)
    if given.attacks:
        return attacks(given, settings)
    unused = [
        f"--{name}"
        for name in ("weights", "wrappers", "epsilons", "data", "joint", "steps", "control")
        if getattr(given, name)
    ] + settings[:1]
    if unused:
        raise InputError(
            f"{unused[0]} belongs to attacks on images. Name them with --attacks, such as --attacks FGSM, or leave "
            f"{unused[0]} out: saved perturbations use the networks and data of their runs.",
            kind="conflict",
        )
    return perturbations(given)


if __name__ == "__main__":
    run_command(main)
