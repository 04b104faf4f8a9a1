"""uap robustness: the IoU ratio of networks over epsilon, for several image-dependent attacks.

`robustness.json` holds, beside facts on the data, the networks and the attacks,

    "cells": [{"network": NAME, "made_from": NAME, "attack": NAME, "epsilon": 0.25, "steps": null,
               "cell": HASH, "metrics": {"float": {"iou_ratio": 0.71, ...}, "8-bit": {...}}}, ...]

with the metrics of `uap.metrics.names.METRICS`. `made_from` is the network that the attack was made on: the network
itself, or the one without its wrapper. The epsilon is null for an attack without one. `robustness.csv` has the same
metrics.
"""

import argparse
import sys
from pathlib import Path

from uap.cli.arguments import sample_arguments
from uap.cli.data_arguments import settings_of_data
from uap.cli.entry import run_command
from uap.cli.network_arguments import (
    attacks_of,
    build_victims,
    names_argument,
    network_arguments,
    scored_data,
    warn_of_classes,
    wrap,
)
from uap.data import SegmentationData
from uap.evaluation.attack_grid import ARNAB_EPSILONS, Network, grid, names_of, score_all
from uap.evaluation.experiment import facts_of_data
from uap.metrics.names import METRICS
from uap.reporting.robustness_page import page
from uap.reporting.robustness_plot import curve_figure
from uap.reporting.robustness_tables import Score, csv_of, pivot_text, pivots
from uap.utils.atomic_file import atomic_file
from uap.utils.progress import be_quiet
from uap.utils.text_tables import check_cells_kept, json_text, markdown, writable, write
from uap.victims import Victim

PROGRAM = "uap robustness"

OF_CLEAN = ("miou_clean", "confidence_clean", "entropy_clean")
"""The metrics of clean images in the table of the networks."""

ARNAB_ATTACKS = ("FGSM", "FGSMII", "IterativeFGSM", "IterativeFGSMII")
"""The default of `--attacks`: those of Arnab et al., sec. 2."""


def parse(words: list[str]) -> argparse.Namespace:
    """Return the arguments of a command line, without the settings of the data."""
    parser = argparse.ArgumentParser(
        PROGRAM,
        description="Attacks every image of a split on several networks, and compares the networks by their IoU ratio "
        "over epsilon, on float and on 8-bit images. Prints tables, and writes robustness.csv, robustness.json, "
        "robustness.png and robustness.html. Each network, attack and epsilon is computed once: the same command goes "
        "on where it was ended, and a larger grid computes only what is new. A network in a wrapper, such as a "
        "defense, is attacked twice: through the wrapper, and by an attack on the network alone.",
        epilog=f"example: {PROGRAM} espnet_camvid cgnet_camvid --weights espnet.pth cgnet.pth --attacks FGSM "
        "IterativeFGSMII --data CamVid --data.root data/camvid",
        allow_abbrev=False,
    )
    names_argument(parser)
    network_arguments(parser, epsilons=ARNAB_EPSILONS)
    parser.add_argument("--out", type=Path, default=Path("robustness"), help="the folder to write to")
    sample_arguments(parser)
    return parser.parse_args(words)


def pairs_of(victims: dict[str, Victim], wrappers: list[str], data: SegmentationData) -> list[tuple[Network, Network]]:
    """Return the networks that attacks are made on and evaluated on.

    Each network is attacked itself; a wrapped network is attacked through the wrapper and by the attack on the network.
    """
    pairs = []
    for name, wrapped in wrap(victims, wrappers, data).items():
        bare = Network(name, victims[name])
        networks = [Network(title, victim) for title, victim in wrapped.items()]
        pairs += [(bare, bare), *(pair for network in networks for pair in ((network, network), (bare, network)))]
    return pairs


def facts_of_networks(victims: dict[str, Victim], scores: list[Score]) -> dict[str, dict[str, str]]:
    """Return what the tables say of each network."""
    clean = {score.network: score.metrics["float"] for score in scores}
    return {
        name: {
            "class": type(victim.network).__name__ + (" (random weights)" if victim.is_untrained else ""),
            **{METRICS[key].title: METRICS[key].text(clean[name][key]) for key in OF_CLEAN if key in clean[name]},
        }
        for name, victim in victims.items()
    }


def main(args: list[str] | None = None) -> Path:
    """Score every network, attack and epsilon; return the folder of the tables."""
    settings, words = settings_of_data(sys.argv[1:] if args is None else args)
    given = parse(words)
    if given.quiet:
        be_quiet()
    attacks = attacks_of(given, ARNAB_ATTACKS)
    data = scored_data(given, settings, PROGRAM)
    victims = build_victims(given.networks, given.weights, data)
    out = writable(given.out)
    pairs = pairs_of(victims, given.wrappers, data)
    epsilons = sorted(set(given.epsilons or ARNAB_EPSILONS))
    cells = grid(pairs, attacks, epsilons, data, given.seed, chosen=bool(given.epsilons))
    check_cells_kept(out / "robustness.json", {cell.key for cell in cells})
    evaluated = {network.name: network.victim for _, network in pairs}
    warn_of_classes(evaluated)
    found = list(score_all(cells, data, given.seed, out))
    scores = [Score.of(cell, metrics) for cell, metrics in found]
    facts, networks = facts_of_data(data), facts_of_networks(evaluated, scores)
    definitions = {attack.name: attack.definition for attack in attacks}
    content = {"seed": given.seed, **facts, "networks": networks, "attacks": definitions}
    tables = [names_of(cell) | {"metrics": metrics} for cell, metrics in found]
    write(out / "robustness.json", json_text({**content, "cells": tables}))
    write(out / "robustness.csv", csv_of(scores))
    with atomic_file(out / "robustness.png") as file:
        curve_figure(scores).savefig(file)
    write(out / "robustness.html", page(scores, out / "robustness.png", facts, networks, definitions))
    texts = [markdown(["network", *next(iter(networks.values()))], [[n, *of.values()] for n, of in networks.items()])]
    print("\n".join([*texts, *map(pivot_text, pivots(scores))]))
    print(f"{out / 'robustness.html'}  robustness.csv  robustness.json  robustness.png", flush=True)
    return out


if __name__ == "__main__":
    run_command(main)
