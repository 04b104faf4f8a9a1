"""uap train_boxes: train a small Faster R-CNN on synthetic street scenes, whose boxes are exact.

Writes the weights `victim.safetensors`, and a card `victim.json` with the mean average precision on other scenes.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from uap.cli.arguments import natural, positive
from uap.cli.entry import run_command
from uap.datasets import StreetScenes
from uap.datasets.boxes import Boxes, box_table
from uap.datasets.synthetic import VERSION
from uap.metrics.detection import average_precisions
from uap.networks.small_faster_rcnn import SmallFasterRCNN
from uap.training.boxes import train
from uap.utils.atomic_file import atomic_file
from uap.utils.detections import Detections
from uap.utils.progress import be_quiet, is_quiet, progress
from uap.utils.text_tables import json_text, writable, write
from uap.victims.detection import FasterRCNN

PROGRAM = "uap train_boxes"

CLASSES = ["person", "rider", "car", "bus", "bicycle"]
"""The classes of objects of the synthetic scenes."""


def parse(words: list[str] | None) -> argparse.Namespace:
    """Return the arguments of a command line."""
    parser = argparse.ArgumentParser(
        PROGRAM,
        description="Trains a small Faster R-CNN on synthetic street scenes, and prints its average precision for each "
        "class at an IoU of 0.5 on other scenes. Attack it with uap boxes.",
        epilog=f"example: {PROGRAM} --scenes 1200 --epochs 6 --out runs/boxes",
        allow_abbrev=False,
    )
    parser.add_argument("--root", default="data/streetscenes", help="folder of the scenes (default: %(default)s)")
    parser.add_argument("--scenes", type=positive, default=1200, help="training scenes (default: %(default)s)")
    parser.add_argument("--scored-scenes", type=positive, default=48, help="validation scenes (default: %(default)s)")
    parser.add_argument("--epochs", type=positive, default=6, help="passes over them (default: %(default)s)")
    parser.add_argument("--learning-rate", type=float, default=2e-3, help="of AdamW (default: %(default)s)")
    parser.add_argument("--seed", type=natural, default=0, help="seed of weights and order (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=Path("runs/train_boxes"), help="the folder to write to")
    parser.add_argument("--quiet", action="store_true", help="print only results, no progress")
    return parser.parse_args(words)


def main(args: list[str] | None = None) -> Path:
    """Train the network; return the folder of its weights.

    Raises:
        InputError: the scenes or the results cannot be written.
    """
    given = parse(args)
    if given.quiet:
        be_quiet()
    out = writable(given.out)
    table = box_table(CLASSES)
    scenes = {
        split: StreetScenes(given.root, split, scenes=given.scenes, scored_scenes=given.scored_scenes)
        for split in ("train", "val")
    }
    torch.manual_seed(given.seed)
    network = SmallFasterRCNN(len(table))
    start = time.monotonic()
    losses = train(
        network, Boxes(scenes["train"], table), epochs=given.epochs, learning_rate=given.learning_rate, seed=given.seed
    )
    for epoch, means in enumerate(losses, 1):
        if not is_quiet():
            print(f"epoch {epoch} of {given.epochs}: {', '.join(f'{k} {v:.3f}' for k, v in means.items())}", flush=True)
    hours = (time.monotonic() - start) / 3600
    with atomic_file(out / "victim.safetensors") as file:
        save_file({name: value.contiguous() for name, value in network.state_dict().items()}, file)
    found = precision(network, Boxes(scenes["val"], table))
    card = {
        "network": "SmallFasterRCNN",
        "parameters": sum(p.numel() for p in network.parameters()),
        "data": {"class": "StreetScenes", "scene_seed": 0, "version": VERSION, "images": {"train": given.scenes}},
        "seed": given.seed,
        "epochs": given.epochs,
        "command": " ".join(["uap train_boxes", *(sys.argv[1:] if args is None else args)]),
        "hours": round(hours, 2),
        "map": round(sum(found.values()) / len(found), 4),
        "average_precision": {name: round(value, 4) for name, value in found.items()},
        "scored_images": given.scored_scenes,
    }
    write(out / "victim.json", json_text(card))
    print(json.dumps({"mAP": card["map"], **found}, indent=1, default=float))
    print(f"{out / 'victim.safetensors'}  victim.json", flush=True)
    return out


def precision(network: nn.Module, boxes: Boxes) -> dict[str, float]:
    """Return the average precision of each class by its name."""
    victim = FasterRCNN(network, classes=list(boxes.table.names))
    found, truth = [], []
    for item in progress(map(boxes.__getitem__, range(len(boxes))), "Scoring", "image", len(boxes)):
        found += victim.detect(item["image"][None].float())
        truth.append(Detections(item["boxes"], item["classes"]))
    return {boxes.table.names[name]: value for name, value in average_precisions(found, truth).items()}


if __name__ == "__main__":
    run_command(main)
