"""The table of results at the end of a run."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from uap.metrics.names import METRICS, images_scored, table, text_row

WELL_BELOW = 0.9
"""A perturbation whose largest entry is below this share of epsilon has not reached epsilon."""

TITLES = {"train": "training", "val": "validation", "test": "test"}


def print_table(found: Mapping[str, Any], per_image: Mapping[str, Any], split: str, folder: Path) -> None:
    """Print the metrics of a run, the cost, and the files.

    Args:
        found: the content of `metrics.json`; the names of metrics are `SPLIT/METRIC`.
        per_image: distributions of the rates over the scored images.
        split: the split of the scored images.
        folder: the run folder.
    """
    lines = [*_metrics(found, per_image, split), "", *_cost(found), "", *_files(folder)]
    print("\n".join(["", *lines]), flush=True)


def _metrics(found: Mapping[str, Any], per_image: Mapping[str, Any], split: str) -> list[str]:
    columns = [c for c in dict.fromkeys(["train", split]) if any(key.startswith(f"{c}/") for key in found)]
    values = {c: {name: found[f"{c}/{name}"] for name in METRICS if f"{c}/{name}" in found} for c in columns}
    below = {}
    for name in list(per_image)[:1]:  # the last column has the scored images
        worst = METRICS[name].text(per_image[name]["worst_decile"])
        below[name] = text_row("  worst decile", ["" for _ in columns[1:]] + [worst])
    counts = found["images"]  # an evaluation of the training split has scored images only
    shown = {"scored": images_scored(counts["scored"], found["images_in_split"]), "train": str(counts.get("train"))}
    images = [shown["train" if column == "train" and "train" in counts else "scored"] for column in columns]
    return [table({TITLES[c]: values[c] for c in columns}, below), text_row("images", images)]


def _cost(found: Mapping[str, Any]) -> list[str]:
    lines = [_epsilon(found["largest_entry"], found["epsilon"])]
    if found["victim_untrained"]:
        lines.append(f"{'network':<28}{found['victim']} with random weights: these metrics have no meaning")
    if "seconds" in found:
        left_out = "" if "steps" in found else " without validation"
        lines += [
            text_row("gradient evaluations", [str(found["gradient_evaluations"])]),
            text_row("seconds", [f"{found['seconds']:g}"])
            + f"   ({found['images_per_second']:g} images per second{left_out})",
        ]
    return lines


def _epsilon(largest: float, epsilon: float | None) -> str:
    if epsilon is None:
        return text_row("epsilon", ["none"]) + f"   (the largest change is {largest:.3g})"
    unused = f"   (not reached: the largest entry is {largest:.3g}; use more or larger steps)"
    return text_row("epsilon", [f"{epsilon:g}"]) + (unused if largest < WELL_BELOW * math.floor(epsilon) else "")


def _files(folder: Path) -> list[str]:
    names = ["adversarial", "pictures"]
    names += ["perturbation.safetensors", "checkpoints/last.ckpt", "metrics.json", "per_image.csv"]
    return [f"{Path(name).stem:<14}{folder / name}" for name in names if (folder / name).exists()]
