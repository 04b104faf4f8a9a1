"""uap robustness: the IoU ratio of networks over epsilon, for several image-dependent attacks.

`robustness.json` holds, beside facts on the data, the networks and the attacks,

    "cells": [{"network": NAME, "attack": NAME, "epsilon": 0.25, "cell": HASH,
               "metrics": {"float": {"iou_ratio": 0.71, ...}, "8-bit": {...}}}, ...]

with the metrics of `uap.metrics.names.METRICS`. The epsilon is null for an attack without one. `robustness.csv` has the
same metrics.
"""

import argparse
import math
import sys
from pathlib import Path

from uap.attacks import ATTACKS, named_attack
from uap.cli.arguments import sample_arguments
from uap.cli.data_arguments import data_from_words, settings_of_data
from uap.cli.entry import run_command
from uap.data import SegmentationData
from uap.evaluation.experiment import device_trainer
from uap.evaluation.robustness import ARNAB_EPSILONS, Cell, grid, score_all
from uap.metrics.names import METRICS, images_scored
from uap.reporting.robustness_page import page
from uap.reporting.robustness_plot import curve_figure
from uap.reporting.robustness_tables import Score, csv_of, pivot_text, pivots
from uap.utils.atomic_file import atomic_file
from uap.utils.errors import InputError
from uap.utils.progress import be_quiet
from uap.utils.run_folder import unique_names
from uap.utils.text_tables import json_text, lost_cells, markdown, writable, write
from uap.victims import Victim
from uap.victims.building import build_victim, find_victim

PROGRAM = "uap robustness"


def grey_levels(text: str) -> float:
    """Return an epsilon of the command line.

    Raises:
        ArgumentTypeError: it is not above 0 and up to 255.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 255:
        raise argparse.ArgumentTypeError(f"{text} is not above 0 and up to 255 grey levels")
    return value


def parse(words: list[str]) -> argparse.Namespace:
    """Return the arguments of a command line, without the settings of the data."""
    parser = argparse.ArgumentParser(
        PROGRAM,
        description="Attacks every image of a split on several networks, and compares the networks by their IoU ratio "
        "over epsilon, on float and on 8-bit images. Prints tables, and writes robustness.csv, robustness.json, "
        "robustness.png and robustness.html. Each network, attack and epsilon is computed once: the same command goes "
        "on where it was ended, and a larger grid computes only what is new.",
        epilog=f"example: {PROGRAM} espnet_camvid cgnet_camvid --weights espnet.pth cgnet.pth --attacks FGSM "
        "IterativeFGSMII --data CamVid --data.root data/camvid",
        allow_abbrev=False,
    )
    parser.add_argument(
        "networks", metavar="NETWORK", nargs="+",
        help="a configuration of configs/victim/ by name, or any YAML file with model.victim",
    )  # fmt: skip
    parser.add_argument(
        "--weights", metavar="FILE", nargs="+",
        help="a weight file for each network, in the same order (default: those of the configurations)",
    )  # fmt: skip
    parser.add_argument(
        "--attacks", metavar="NAME", nargs="+", default=["FGSM", "FGSMII", "IterativeFGSM", "IterativeFGSMII"],
        help=f"of {', '.join(ATTACKS)} (default: the four of Arnab et al.)",
    )  # fmt: skip
    parser.add_argument(
        "--epsilons", metavar="E", nargs="+", type=grey_levels, default=list(ARNAB_EPSILONS),
        help=f"in grey levels (default: {' '.join(f'{epsilon:g}' for epsilon in ARNAB_EPSILONS)})",
    )  # fmt: skip
    parser.add_argument(
        "--data", metavar="CLASS", required=True,
        help="a labeled data set, such as CamVid; its settings as --data.root FOLDER, --data.split NAME, "
        "--data.size [H,W], --data.batch_size N",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("robustness"), help="the folder to write to")
    sample_arguments(parser)
    return parser.parse_args(words)


def build_victims(names: list[str], weights: list[str] | None, data: SegmentationData) -> dict[str, Victim]:
    """Return the networks by name, on the device and tried at the size of the data.

    Raises:
        InputError: one cannot be built, does not take the size, or there are more or fewer weight files than networks.
    """
    if weights is not None and len(weights) != len(names):
        raise InputError(
            f"--weights has {len(weights)} files, expected {len(names)}, one for each network in the same order."
        )
    files = [find_victim(name) for name in names]
    given: list[str | None] = [*weights] if weights else [None] * len(files)
    device = device_trainer().strategy.root_device
    victims = {}
    for title, file, of_file in zip(unique_names(files), files, given, strict=True):
        victims[title] = build_victim(file, of_file).to(device)
        try:
            victims[title].check(data.size)
        except InputError as error:
            raise InputError(f"{title}: {error}") from error
    return victims


def check_kept(cells: list[Cell], file: Path) -> None:
    """Check that the tables in the folder, if any, have no cell that the new ones lack.

    Raises:
        InputError: cells of other networks or settings would be lost from the tables.
    """
    lost = lost_cells(file, {cell.file.stem for cell in cells})
    if lost:
        first = f"{lost[0].get('network')}, {lost[0].get('attack')}"
        raise InputError(
            f"{file} has {len(lost)} results of other networks, attacks, epsilons or images ({first} first), which "
            "would be lost from the tables. Set another --out, or name these too."
        )


def facts_of(data: SegmentationData) -> dict[str, str]:
    """Return what the page says of the images."""
    return {
        "data": f"{type(data).__name__}, {data.split}",
        "images": images_scored(len(data.datasets["scored"]), data.images_in_split),
        "size": f"{data.size[0]} x {data.size[1]}",
    }


def facts_of_networks(victims: dict[str, Victim], scores: list[Score]) -> dict[str, dict[str, str]]:
    """Return what the tables say of each network."""
    clean = {score.network: score.metrics["float"]["miou_clean"] for score in scores}
    return {
        name: {
            "class": type(victim.network).__name__ + (" (random weights)" if victim.is_untrained else ""),
            METRICS["miou_clean"].title: METRICS["miou_clean"].text(clean[name]),
        }
        for name, victim in victims.items()
    }


def main(args: list[str] | None = None) -> Path:
    """Score every network, attack and epsilon; return the folder of the tables."""
    settings, words = settings_of_data(sys.argv[1:] if args is None else args)
    given = parse(words)
    if given.quiet:
        be_quiet()
    attacks = [named_attack(name) for name in dict.fromkeys(given.attacks)]
    data = data_from_words(given.data, settings, given.images, PROGRAM)
    data.prepare_data()
    data.setup("validate")
    victims = build_victims(given.networks, given.weights, data)
    out = writable(given.out)
    cells = grid(victims, attacks, sorted(set(given.epsilons)), data, given.seed, out / "cells")
    check_kept(cells, out / "robustness.json")
    scores = [
        Score(cell.network, cell.attack.name, cell.epsilon, metrics, cell.file.stem)
        for cell, metrics in score_all(cells, data, given.seed)
    ]
    facts, networks = facts_of(data), facts_of_networks(victims, scores)
    definitions = {attack.name: attack.definition for attack in attacks}
    write_files(out, scores, {"seed": given.seed, **facts, "networks": networks, "attacks": definitions})
    with atomic_file(out / "robustness.png") as file:
        curve_figure(scores).savefig(file)
    write(out / "robustness.html", page(scores, out / "robustness.png", facts, networks, definitions))
    texts = [markdown(["network", *next(iter(networks.values()))], [[n, *of.values()] for n, of in networks.items()])]
    print("\n".join([*texts, *map(pivot_text, pivots(scores))]))
    print(f"{out / 'robustness.html'}  robustness.csv  robustness.json  robustness.png", flush=True)
    return out


def write_files(out: Path, scores: list[Score], facts: dict[str, object]) -> None:
    """Write the table as CSV and JSON."""
    cells = [
        {"network": s.network, "attack": s.attack, "epsilon": s.epsilon, "cell": s.cell, "metrics": s.metrics}
        for s in scores
    ]
    write(out / "robustness.csv", csv_of(scores))
    write(out / "robustness.json", json_text({**facts, "cells": cells}))


if __name__ == "__main__":
    run_command(main)
