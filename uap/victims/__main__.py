"""python -m uap.victims: list the available victims, predict an image with one, or score one on a data set."""

import argparse
import inspect
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from uap import networks, victims
from uap.cli.arguments import positive, side
from uap.cli.data_arguments import data_from_words, settings_of_data
from uap.cli.entry import run_command
from uap.datasets import BDD100K, CamVid, Cityscapes, PascalVOC, SegmentationDataset
from uap.datasets.pictures import read_image, resize_image
from uap.evaluation.clean import clean_table
from uap.metrics.iou import ClassIoU
from uap.utils.class_tables import IGNORE, TABLES
from uap.utils.errors import InputError
from uap.utils.plots import panels
from uap.victims import Victim
from uap.victims.building import build_victim, find_victim, shipped_victims
from uap.victims.label_order import other_ids
from uap.victims.setup_warnings import LOW_IOU, setup_warnings

DATA: dict[str, Callable[..., SegmentationDataset]] = {
    "bdd100k": BDD100K,
    "camvid": CamVid,
    "cityscapes": Cityscapes,
    "voc": PascalVOC,
}
"""The data sets whose label files can be read one by one."""

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".pdf", ".svg")
"""Allowed suffixes of the picture to write."""


def listing() -> str:
    """Return the list of networks, adapters and configurations, with the first sentence of their descriptions."""
    groups = {
        "Networks (class_path: uap.networks.NAME, inside Victim)": [
            (name, inspect.getmodule(getattr(networks, name)).__doc__) for name in networks.__all__
        ],
        "Adapters (class_path: uap.victims.NAME, as model.victim)": [
            (name, getattr(victims, name).__doc__) for name in victims.__all__
        ],
        "Configurations (python -m uap.victims NAME --image FILE, or --data CLASS; or uap.fit --config)": [
            (path.stem, " ".join(_comment(path))) for path in shipped_victims()
        ],
    }
    lines = []
    for title, entries in groups.items():
        lines += [title, *(f"  {name:<24}{_first_sentence(text or '')}" for name, text in sorted(entries)), ""]
    return "\n".join(
        [*lines, "To list the settings of a class: python -m uap.fit --model.victim.help uap.victims.Victim"]
    )


def _comment(path: Path) -> list[str]:
    return [line.removeprefix("#").strip() for line in path.read_text().splitlines() if line.startswith("#")]


def _first_sentence(text: str) -> str:
    return " ".join(text.split()).split(". ")[0].removesuffix(".") + "."


@torch.no_grad()
def predict(victim: Victim, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], float]:
    """Return the prediction `(H, W)` for an image `(H, W, 3)`, and the mean probability of the predicted class."""
    image = torch.from_numpy(pixels.transpose(2, 0, 1).copy())[None].float()
    logits = victim(image)
    return logits[0].argmax(0).to(torch.uint8).numpy(), float(logits.softmax(1).amax(1).mean())


def data_set_of(victim: Victim) -> str:
    """Return the name of the data set whose classes a victim predicts.

    Raises:
        InputError: the classes are not those of a known data set.
    """
    names = victim.table.names
    found = [name for name in ("cityscapes", "camvid", "voc") if names[: len(TABLES[name])] == TABLES[name].names]
    if not found:
        raise InputError(
            f"--labels_of is not set, and the network's classes ({', '.join(names)}) are not those of "
            f"{', '.join(DATA)}. Set it to the data set of the label file.",
            setting="labels_of",
            kind="missing_setting",
        )
    return found[0]


def read_labels(
    path: Path, labels_of: str, stored: tuple[int, ...], size: tuple[int, int], victim: Victim
) -> NDArray[np.uint8]:
    """Return the labels in a file as class ids of the victim, resized to `size`.

    Args:
        path: the label file.
        labels_of: name of the data set of the file.
        stored: height and width of the image file.
        size: height and width to which the labels are resized.
        victim: the network.

    Raises:
        InputError: the file contains no labels of that data set, has another size than the image, or contains none of
            the classes of the victim.
    """
    data = DATA[labels_of](".", size=size)
    if (found := data.read_ids(path).shape) != stored:
        raise InputError(
            f"{path} has {found} pixels, expected {stored}, the size of the image. Give the label file of the image.",
            setting="labels",
            kind="wrong_shape",
        )
    labels: NDArray[np.uint8] = data.table.translation(victim.table)[data.read_labels(path)]
    if (labels == IGNORE).all():
        raise InputError(
            f"{path}, read as labels of {labels_of}, has no pixel of the network's classes "
            f"({', '.join(victim.table.names)}). Set --labels_of to its data set.",
            setting="labels_of",
            kind="conflict",
        )
    return labels


def show(victim: Victim, args: argparse.Namespace) -> str:
    """Predict an image, write the picture, and return a summary of the prediction."""
    labels_of = None if args.labels is None else args.labels_of or data_set_of(victim)
    pixels = read_image(args.image)
    stored = pixels.shape[:2]
    pixels = resize_image(pixels, tuple(args.size) if args.size else pixels.shape[:2], "pil")
    size = (pixels.shape[0], pixels.shape[1])
    victim.check(size)
    prediction, confidence = predict(victim, pixels)
    pictures = {f"{args.image.name}, {size[0]} x {size[1]}": pixels, "prediction": victim.table.paint(prediction)}
    miou, wrong_ids = None, None
    if labels_of is not None:
        labels = read_labels(args.labels, labels_of, stored, size, victim)
        iou = ClassIoU(len(victim.table))
        iou.update(torch.from_numpy(prediction)[None], torch.from_numpy(labels)[None])
        miou = float(iou.compute().nanmean())
        wrong_ids = other_ids(iou.total(), victim.table, DATA[labels_of](".").table)
        pictures |= {"labels": victim.table.paint(labels)}
    seen, counts = np.unique(prediction, return_counts=True)
    figure = panels(pictures, columns=len(pictures), legend=victim.table, classes=seen)
    try:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(args.out)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{args.out} cannot be written ({error}). Set another --out, such as prediction.png.",
            setting="out",
            kind="unusable_file",
        ) from error
    shares = sorted(zip((counts / prediction.size).tolist(), seen.tolist(), strict=True), reverse=True)
    lines = [f"{victim.table.names[c]:<20}{100 * share:>6.1f} %" for share, c in shares]
    lines += ["", f"mean confidence {confidence:.2f}", *([f"mean IoU {miou:.2f}"] if miou is not None else [])]
    if labels_of is not None and args.labels_of is None:
        lines += [f"labels are read as those of {labels_of}, the data set of the network's classes; see --labels_of"]
        if miou is not None and miou < LOW_IOU and wrong_ids is None:  # the most likely cause
            lines += [f"warning: The mean IoU is below {LOW_IOU}. Set --labels_of to the data set of the label file."]
            miou = None
    lines += [
        f"picture {args.out}",
        *(f"warning: {text}" for text in setup_warnings(confidence, len(victim.table), miou, wrong_ids)),
    ]
    return "\n".join(lines)


def parse(words: list[str]) -> argparse.Namespace:
    """Parse a command line without the settings of the data."""
    parser = argparse.ArgumentParser(
        "python -m uap.victims",
        description="List the available victims, predict an image with one, or score one on a labeled data set.",
        allow_abbrev=False,
    )
    parser.add_argument("name", nargs="?", help="a configuration in configs/victim/, or a YAML file with model.victim")
    parser.add_argument("--image", type=Path, help="image to predict")
    parser.add_argument("--weights", help="weight file of the victim, instead of the one in its configuration")
    parser.add_argument("--size", type=side, nargs=2, metavar=("H", "W"), help="resize the image to this size")
    parser.add_argument("--labels", type=Path, help="label file of the image, for the IoU")
    parser.add_argument(
        "--labels_of", choices=DATA, help="data set of the label file (default: the data set of the network's classes)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("prediction.png"), help="picture to write (default: %(default)s)"
    )
    parser.add_argument(
        "--data",
        metavar="CLASS",
        help="class of a labeled data set on which the clean predictions are scored, such as CamVid; with the settings "
        "--data.root FOLDER, --data.split NAME, --data.size [H,W]",
    )
    parser.add_argument("--images", type=positive, help="with --data: number of images, evenly spread (default: all)")
    given = parser.parse_args(words)
    of_one = (given.image, given.weights, given.size, given.labels, given.data, given.images)
    if (given.name is None or (given.image or given.data) is None) and any(
        one is not None for one in (given.name, *of_one)
    ):
        raise InputError(
            "Give the name of a victim and --image FILE or --data CLASS, or none of them for the list of victims.",
            kind="missing_setting",
        )
    if given.data is not None and any(one is not None for one in (given.image, given.size, given.labels)):
        raise InputError(
            "--data includes images, size and labels. Leave out --image, --size and --labels.", kind="conflict"
        )
    if given.images is not None and given.data is None:
        raise InputError("--images needs a data set. Give --data CLASS, or leave it out.", kind="conflict")
    if given.out.suffix.lower() not in PICTURES:
        raise InputError(
            f"--out is {given.out}, expected a name that ends in one of {', '.join(PICTURES)}.",
            setting="out",
            kind="unusable_file",
        )
    if given.out.resolve() in [path.resolve() for path in (given.image, given.labels) if path is not None]:
        raise InputError(
            f"--out {given.out} is an original and would be overwritten. Set another --out.",
            setting="out",
            kind="conflict",
        )
    return given


def main(args: list[str] | None = None) -> None:
    """List the victims, predict an image with one, or score one."""
    settings, words = settings_of_data(sys.argv[1:] if args is None else args)
    given = parse(words)
    if settings and given.data is None:
        raise InputError(
            f"{settings[0]} is a setting of --data, which is not given. Give a data set, such as --data CamVid.",
            kind="conflict",
        )
    if given.name is None:
        print(listing())
    elif given.data is not None:
        data = data_from_words(given.data, settings, given.images, "python -m uap.victims")
        print(clean_table(build_victim(find_victim(given.name), given.weights), data))
    else:
        print(show(build_victim(find_victim(given.name), given.weights), given))


if __name__ == "__main__":
    run_command(main)
