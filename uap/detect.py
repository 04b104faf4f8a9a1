"""uap detect: how well detectors tell attacked images from benign ones.

`detect.json` holds, beside facts on the data and the attacks,

    "cells": [{"network": NAME, "made_from": NAME, "attack": NAME, "epsilon": 8.0, "detector": TITLE, "cell": HASH,
               "metrics": {"auc": 0.98, "auc_two_sided": 0.98, "success_rate": 0.97, ...},
               "benign": [0.81, ...], "attacked": [0.35, ...]}, ...]

with the metrics of `uap.metrics.names.METRICS`, and the scores of all images. `made_from` is the network that the
attack was made on: the network itself, or the network in a wrapper for an attacker who knows a detector.
"""

import argparse
import sys
from pathlib import Path

from torch import Tensor

from uap.attacks import NamedAttack
from uap.cli.arguments import sample_arguments
from uap.cli.data_arguments import settings_of_data
from uap.cli.entry import run_command
from uap.cli.network_arguments import (
    attacks_of,
    build_victims,
    names_argument,
    network_arguments,
    refuse_unused,
    scored_data,
    wrap,
)
from uap.data import SegmentationData
from uap.detectors import DETECTORS, Detector, KnownPattern, named_detectors
from uap.evaluation.attack_grid import Network, grid, identity_of
from uap.evaluation.clean_images import CleanImages
from uap.evaluation.detector_scores import AttackedImages, Detection, DetectorScores, detect, of_cells, of_perturbation
from uap.evaluation.evaluate import Scored
from uap.evaluation.experiment import facts_of_data
from uap.evaluation.saved_perturbation import SavedPerturbation, read_saved
from uap.reporting.detector_page import page
from uap.reporting.detector_plot import entropy_figure, first_image, roc_figure
from uap.reporting.detector_tables import csv_of, tables, text_of
from uap.utils.atomic_file import atomic_file
from uap.utils.errors import InputError
from uap.utils.progress import be_quiet
from uap.utils.run_folder import unique_names
from uap.utils.text_tables import check_cells_kept, json_text, writable, write

PROGRAM = "uap detect"

EPSILONS = (8.0,)
"""The default of `--epsilons`."""

KNOWN = "KnownPattern"
"""The detector of the perturbations of `--perturbation`, which the table of names cannot build."""


def parse(words: list[str]) -> argparse.Namespace:
    """Return the arguments of a command line, without the settings of the data."""
    parser = argparse.ArgumentParser(
        PROGRAM,
        description="Attacks the images of a split, or adds saved perturbations to them, and scores benign and "
        "attacked images by detectors. Prints the success of each attack and the AUC of each detector, and writes "
        "detect.csv, detect.json, detect.png (ROC curves), detect_entropy.png and detect.html. With --wrappers, each "
        "attack is also made on the network in the wrapper, by an attacker who knows a detector, and evaluated on the "
        "network. Scores and adversarial images are kept: the same command continues where it was ended.",
        epilog=f"example: {PROGRAM} espnet_streetscenes --attacks HoudiniPure HoudiniPicture --wrappers patches_5 "
        "--detectors SpatialConsistency:10 ScaleConsistency:3 --data StreetScenes --data.size [128,256] --images 4",
        allow_abbrev=False,
    )
    names_argument(parser)
    network_arguments(parser, epsilons=EPSILONS)
    parser.add_argument(
        "--perturbation", metavar="RUN", nargs="+", type=Path, default=[],
        help="run folders of uap fit, and names of patterns that ship, such as street128",
    )  # fmt: skip
    parser.add_argument(
        "--detectors", metavar="NAME", nargs="+", default=["SpatialConsistency", "ScaleConsistency"],
        help=f"of {', '.join(DETECTORS)}, with a value as in SpatialConsistency:10, and {KNOWN}, which knows the "
        "perturbations of --perturbation (default: SpatialConsistency ScaleConsistency)",
    )  # fmt: skip
    parser.add_argument(
        "--scored", choices=["8-bit", "float"], default="8-bit", help="how attacked images are scored (default: 8-bit)"
    )
    parser.add_argument("--out", type=Path, default=Path("detection"), help="the folder to write to")
    sample_arguments(parser)
    return parser.parse_args(words)


def build_detectors(names: list[str], saved: list[SavedPerturbation], seed: int) -> dict[str, Detector]:
    """Return the detectors by their titles; the seed is that of detectors that sample.

    Raises:
        InputError: a name or a value is unknown, or there is no perturbation for `KnownPattern`.
    """
    found: dict[str, Detector] = {}
    for name in names:
        if name != KNOWN:
            found |= named_detectors(name, seed)
            continue
        if not saved:
            raise InputError(
                f"{KNOWN} knows the perturbations of --perturbation. Name a run folder, or street128, with it.",
                setting="perturbation",
                kind="missing_setting",
            )
        found |= {f"{KNOWN}:{one.name}": KnownPattern(one.perturbation.proto.detach()) for one in saved}
    return found


def images_of(given: argparse.Namespace, settings: list[str]) -> SegmentationData:
    """Return the images of a command line, two or more.

    Raises:
        InputError: there are fewer, or the data cannot be built or read.
    """
    too_few, advice = (
        "There is one image to score, and detectors compare two or more.",
        "Add images, or a longer video.",
    )
    try:
        data = scored_data(given, settings, PROGRAM)
    except InputError as error:
        if (error.setting, error.kind) != ("data.root", "out_of_range"):
            raise
        # the one image cannot be split into training and scored images, which is the advice of the data
        raise InputError(f"{too_few} {advice}", setting="data.root", kind="out_of_range") from error
    if len(data.datasets["scored"]) < 2:
        if given.images == 1:
            advice = "Set more --images."
        setting = "images" if given.images == 1 else "data.root"
        raise InputError(f"{too_few} {advice}", setting=setting, kind="out_of_range")
    return data


def rows_of(
    given: argparse.Namespace,
    networks: list[Network],
    attacks: list[NamedAttack],
    saved: list[SavedPerturbation],
    data: SegmentationData,
) -> list[AttackedImages]:
    """Return the attacked images: of each network, its attacks, those through its wrappers, and the perturbations."""
    victims = {network.name: network.victim for network in networks}
    wrapped = wrap(victims, given.wrappers, data)
    pairs = [
        (source, network)
        for network in networks
        for source in [network, *(Network(*item) for item in wrapped[network.name].items())]
    ]
    epsilons = sorted(set(given.epsilons or EPSILONS))
    cells = grid(pairs, attacks, epsilons, data, given.seed, chosen=bool(given.epsilons))
    rows = of_cells(cells, given.seed, given.out)
    rows += [of_perturbation(one, network, data.size, identity_of(data)) for network in networks for one in saved]
    order = [network.name for network in networks]
    return sorted(rows, key=lambda row: order.index(row.network.name))


def main(args: list[str] | None = None) -> Path:
    """Score every detector against every attack; return the folder of the tables.

    Raises:
        InputError: there is nothing to detect, there are fewer than two images, or what attacks and detectors refuse.
    """
    settings, words = settings_of_data(sys.argv[1:] if args is None else args)
    given = parse(words)
    if given.quiet:
        be_quiet()
    if not given.attacks and not given.perturbation:
        raise InputError(
            "There is nothing to detect. Name --attacks, such as HoudiniPure, or a --perturbation.",
            kind="missing_setting",
        )
    if not given.attacks:
        reason = (
            "A saved perturbation has its own epsilon and is made through no wrapper. Leave it out, or add --attacks."
        )
        refuse_unused(given, [], ("wrappers", "epsilons"), reason)
    attacks = attacks_of(given)
    saved = [
        read_saved(run, name) for run, name in zip(given.perturbation, unique_names(given.perturbation), strict=True)
    ]
    detectors = build_detectors(given.detectors, saved, given.seed)
    data = images_of(given, settings)
    networks = [Network(*item) for item in build_victims(given.networks, given.weights, data).items()]
    writable(given.out)
    rows = rows_of(given, networks, attacks, saved, data)
    scores = DetectorScores(CleanImages(data), identity_of(data), given.scored, given.out)
    check_cells_kept(given.out / "detect.json", {scores.key(row, one) for row in rows for one in detectors.values()})
    found = list(detect(rows, detectors, scores))
    definitions = {attack.name: attack.definition for attack in attacks}
    definitions |= {one.name: ", ".join(f"{key} {text}" for key, text in one.facts.items() if text) for one in saved}
    _write(given.out, found, facts_of_data(data), definitions, {"seed": given.seed, "scored": given.scored})
    entropy = _entropy(given.out / "detect_entropy.png", rows, first_image(data), given.scored)
    write(given.out / "detect.html", page(found, given.out / "detect.png", entropy, facts_of_data(data), definitions))
    print("\n".join(map(text_of, tables(found))))
    files = ["detect.csv", "detect.json", "detect.png", *([entropy.name] if entropy else [])]
    print("  ".join([str(given.out / "detect.html"), *files]), flush=True)
    return Path(given.out)


def _entropy(path: Path, rows: list[AttackedImages], image: Tensor, form: Scored) -> Path | None:
    """Write the self-entropy maps of the first network; return None, and say why, if no patch fits into the image."""
    first = rows[0].network
    shown = [row for row in rows if row.network is first]
    try:
        figure = entropy_figure(shown, image.to(first.victim.mean.device), form)
    except InputError as error:
        path.unlink(missing_ok=True)  # of an earlier run
        print(f"There are no self-entropy maps: {error}", flush=True)
        return None
    with atomic_file(path) as file:
        figure.savefig(file)
    return path


def _write(
    out: Path, found: list[Detection], facts: dict[str, str], attacks: dict[str, str], settings: dict[str, object]
) -> None:
    """Write the CSV, the JSON and the plot."""
    cells = [
        {
            "network": one.images.network.name,
            "made_from": one.images.made_from,
            "attack": one.images.attack,
            "epsilon": one.images.epsilon,
            "detector": one.detector,
            "cell": one.cell,
            "metrics": one.metrics,
            "benign": one.benign.tolist(),
            "attacked": one.attacked.tolist(),
        }
        for one in found
    ]
    write(out / "detect.json", json_text({**settings, **facts, "attacks": attacks, "cells": cells}))
    write(out / "detect.csv", csv_of(found))
    with atomic_file(out / "detect.png") as file:
        roc_figure(found).savefig(file)


if __name__ == "__main__":
    run_command(main)
