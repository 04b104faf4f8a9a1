"""uap boxes: attack a detection network by dense adversary generation (Xie et al., ICCV 2017, arXiv 1703.08603).

Writes boxes.md, boxes.csv and boxes.json, and pictures of the detections before and after the attack. A row of the
table is a threshold of the non-maximum suppression of the boxes under attack: the higher it is, the more boxes.
"""

import argparse
import sys
from pathlib import Path
from typing import Any

from uap.attacks import DAG
from uap.cli.arguments import natural, positive, sample_arguments, share
from uap.cli.data_arguments import settings_of_data
from uap.cli.entry import run_command
from uap.cli.network_arguments import grey_levels, scored_data
from uap.data import SegmentationData
from uap.evaluation.attack_grid import identity_of
from uap.evaluation.boxes import BoxAttack, attack_all, summary
from uap.evaluation.detection_networks import build_detection
from uap.evaluation.experiment import facts_of_data
from uap.reporting.box_pictures import box_figure
from uap.utils.atomic_file import atomic_file
from uap.utils.progress import be_quiet, progress
from uap.utils.text_tables import check_same, csv_text, digest, json_text, markdown, writable, write
from uap.victims.detection import DetectionVictim

PROGRAM = "uap boxes"

TITLES = {
    "map_clean": "mAP clean",
    "map_adversarial": "mAP adversarial",
    "map_8_bit": "mAP, 8-bit",
    "success_rate": "success rate",
    "kept": "kept",
    "converged": "converged",
    "steps": "steps",
    "perceptibility": "p",
    "max_norm": "max-norm",
    "candidates": "boxes",
    "targets": "with an object",
}
"""The columns of the table."""


def parse(words: list[str]) -> argparse.Namespace:
    """Return the arguments of a command line, without the settings of the data."""
    parser = argparse.ArgumentParser(
        PROGRAM,
        description="Attacks the boxes of a detection network by dense adversary generation, and prints the mean "
        "average precision at an IoU of 0.5 (area under the curve) before and after. Every box that shows a detected "
        "object moves to another class. Objects are known for Cityscapes and StreetScenes; other images are compared "
        "with the network's own detections on the clean image.",
        epilog=f"example: {PROGRAM} faster_rcnn_streetscenes --data StreetScenes --images 8 --nms 0.7 0.9",
        allow_abbrev=False,
    )
    parser.add_argument("network", help="a configuration of configs/detection/ by name, or a YAML file")
    parser.add_argument("--weights", metavar="FILE", help="weight file (default: that of the configuration)")
    parser.add_argument(
        "--data", metavar="CLASS", help="a data set, such as CamVid; its settings as --data.root FOLDER"
    )
    parser.add_argument(
        "--nms", type=share, nargs="+", metavar="IOU", default=[0.9],
        help="thresholds of the proposals of a Faster R-CNN; each is a row (default: 0.9)",
    )  # fmt: skip
    parser.add_argument("--variant", choices=("paper", "authors"), default="paper", help="the form of DAG")
    parser.add_argument(
        "--confidence", type=share, default=0.0, metavar="P",
        help="in the authors' form, the probability from which a box counts as its adversarial class; their code has "
        "0.8 (default: 0)",
    )  # fmt: skip
    parser.add_argument("--gamma", type=grey_levels, default=0.5, help="largest change in a step (default: 0.5)")
    parser.add_argument("--steps", type=positive, default=150, help="largest number of steps (default: 150)")
    parser.add_argument("--pictures", type=natural, default=4, help="number of images with a picture (default: 4)")
    parser.add_argument("--out", type=Path, default=Path("boxes"), help="the folder to write to")
    sample_arguments(parser)
    return parser.parse_args(words)


def main(args: list[str] | None = None) -> Path:
    """Attack every image at every threshold; return the folder of the tables.

    Raises:
        InputError: the network or the images cannot be used, or no object is found.
    """
    settings, words = settings_of_data(sys.argv[1:] if args is None else args)
    given = parse(words)
    if given.quiet:
        be_quiet()
    data = scored_data(given, settings, PROGRAM)
    out = writable(given.out)
    settings_used = {
        name: getattr(given, name) for name in ("network", "variant", "confidence", "gamma", "steps", "seed")
    }
    content = {**settings_used, **facts_of_data(data)}
    victims = {nms: build_detection(given.network, given.weights, proposal_nms=nms) for nms in given.nms}
    identity = digest(content, [victim.cache_key() for victim in victims.values()], identity_of(data))
    check_same(out / "boxes.json", identity)
    rows, found = [], []
    for threshold, victim in victims.items():
        results = list(_attacked(victim, data, given, f"NMS {threshold:g}"))
        rows.append({"nms": threshold if victim.has_proposals else None, **summary(results)})
        found += [(threshold, one) for one in results]
        _write_pictures(results[: given.pictures], victim, out / "pictures", f"_{threshold:g}" * (len(given.nms) > 1))
        if not victim.has_proposals:
            break  # cells are not suppressed
    text = table(rows)
    write(out / "boxes.json", json_text({**content, "cells": [cell_of(row) for row in rows], "digest": identity}))
    write(out / "boxes.csv", _csv(found))
    write(out / "boxes.md", f"# Dense adversary generation for boxes\n\n{text}")
    print(f"{text}\n{out / 'boxes.md'}  boxes.csv  boxes.json  pictures/", flush=True)
    return out


def table(rows: list[dict[str, Any]]) -> str:
    """Return the Markdown table of the thresholds."""
    shares = ("map_clean", "map_adversarial", "map_8_bit", "success_rate", "kept", "converged")
    texts = [
        [
            "" if row["nms"] is None else f"{row['nms']:g}",
            *(
                f"{100 * row[key]:.1f} %" if key in shares else f"{row[key]:.2e}" if key == "perceptibility"
                else f"{row[key]:.1f}"
                for key in TITLES
            ),
        ]
        for row in rows
    ]  # fmt: skip
    return markdown(["NMS", *TITLES.values()], texts)


def cell_of(row: dict[str, Any]) -> dict[str, Any]:
    """Return the cell of `boxes.json` for a row of the table."""
    return {"nms": row["nms"], "metrics": {name: value for name, value in row.items() if name != "nms"}}


def _attacked(victim: DetectionVictim, data: SegmentationData, given: argparse.Namespace, title: str) -> Any:
    images = data.datasets["scored"].images
    attack = DAG(given.variant, given.gamma, given.steps, confidence=given.confidence)
    return progress(attack_all(victim, images, attack, given.seed), title, "image", len(images))


def _csv(found: list[tuple[float, BoxAttack]]) -> str:
    header = ["nms", "image", "boxes", "with_object", "reached", "kept", "steps", "converged"]
    rows = [
        [nms, one.name, one.candidates, one.targets, one.reached, one.kept, one.steps, one.converged]
        for nms, one in found
    ]
    return csv_text(header, rows)


def _write_pictures(results: list[BoxAttack], victim: DetectionVictim, folder: Path, ending: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for one in results:
        figure = box_figure(one.image, one.adversarial, one.before, one.after, victim.table)
        with atomic_file(folder / f"{one.name}{ending}.png") as file:
            figure.savefig(file)


if __name__ == "__main__":
    run_command(main)
