"""Targets made of clean predictions, in the workers.

If the target does not need the clean predictions on training images, they are made when these images are scored.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import Trainer
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor

from uap.data.clean_predictions import make_predictions, one_prediction, place_of
from uap.data.datamodule import Role, SegmentationData
from uap.data.samples import Samples
from uap.datasets import subset
from uap.objectives import PredictionObjective
from uap.objectives.base import Mask, ReadTarget
from uap.utils import paths
from uap.utils.errors import InputError
from uap.victims import Victim

NAMES: dict[Role, str] = {"train": "learned from", "scored": "scored"}


def attach_targets(
    data: SegmentationData, victims: list[Victim], targets: list[PredictionObjective], trainer: Trainer
) -> int:
    """Give every item of the data each victim's target, and its clean prediction unless that can wait.

    Leaves out the training images that nothing can be learned from for the first victim, and says how many.

    Returns:
        How many clean images were predicted on this node; what an earlier run predicted is kept.

    Raises:
        InputError: a target does not fit its victim or the data, or no training image is left.
    """
    predicted = 0
    for victim, target in zip(victims, targets, strict=True):
        _say_unmapped(data, victim)
        target.bind(victim.table, _reader(data, victim))
    hidden = ", ".join(victims[0].table.names[c] for c in targets[0].hidden_classes)
    for role, samples in data.datasets.items():
        if role == "train" and hidden:
            samples = data.all_training()  # the limit counts the usable ones, which only predictions show
        needed = victims if role == "train" else victims[:1]  # only the first one is scored
        paths_of_victims = [place_of(samples, victim) for victim in needed]
        prepared = PreparedTargets(paths_of_victims, np.arange(len(samples)), targets[: len(needed)], predicted=0)
        samples = replace(samples, targets=prepared)
        if role == "scored" or targets[0].needs_prediction:
            predicted += predict_missing(samples, needed, trainer)
        if hidden:
            usable = targets[0].usable(np.load(paths_of_victims[0], mmap_mode="r"))
            if not usable.any():
                raise InputError(
                    f"The network predicts {hidden} on none of the {len(usable)} images that are {NAMES[role]}, so "
                    "there is nothing to hide. Choose another class, other images, or check the network's "
                    "preprocessing."
                )
            if role == "train":
                prepared.rows = _learnable(usable, data, hidden)
                samples = replace(samples.subset(prepared.rows), targets=prepared)
        data.datasets[role] = samples
    return predicted


def predict_missing(samples: Samples, victims: list[Victim], trainer: Trainer) -> int:
    """Predict the clean images of a data set with targets, unless that was done; without them it cannot be scored.

    Args:
        samples: the images, with targets.
        victims: of the targets' victims the first ones, those that are needed: to score, the first alone.
        trainer: tells the processes apart.

    Returns:
        How many were predicted now; none of those that an earlier run predicted.

    Raises:
        InputError: the predictions cannot be kept.
    """
    prepared = cast(PreparedTargets, samples.targets)
    missing = list(zip(prepared.paths[: len(victims)], victims, strict=True))[prepared.predicted :]
    made = sum(make_predictions(samples, victim, path, trainer) for path, victim in missing)
    prepared.predicted += len(missing)
    return made


def _reader(data: SegmentationData, victim: Victim) -> ReadTarget:
    """Return what reads a static target for a victim."""

    def read(path: Path, is_image: bool) -> Mask:
        role: Role = "train" if "train" in data.datasets else "scored"  # a scored one would show its target already
        images = data.datasets[role].images
        place = images.find(path)
        if isinstance(place, Path) and not place.exists():
            example = subset.path_below(images.items[0], data.root)
            raise InputError(
                f"{place} does not exist, which the static target is made from; it was looked for"
                f"{paths.searched_in(path)} and in {data.root}. Set --model.objective.image to a picture, such as "
                f"{example} of these data."
            )
        if is_image:
            return one_prediction(images, victim, place)
        return data.table.translation(victim.table)[images.read_labels(place)]

    return read


def _learnable(usable: NDArray[np.bool_], data: SegmentationData, hidden: str) -> NDArray[np.int64]:
    rows = np.flatnonzero(usable)
    rows = rows[
        data.sampled(len(rows), f"the network predicts {hidden} on {len(rows)} of {len(usable)} training images")
    ]
    if not usable.all():
        rank_zero_info(
            f"Learning from {len(rows)} of {len(usable)} images; {usable.sum()} have something to hide and something "
            "else."
        )
    return rows


def _say_unmapped(data: SegmentationData, victim: Victim) -> None:
    labels, network = data.table.unmapped(victim.table)
    labeled = any(item.labels is not None for dataset in data.datasets.values() for item in dataset.items)
    if labeled and (labels or network):
        rank_zero_info(
            f"Classes that only one side has are left out of the IoU: {', '.join(labels) or 'none'} of the labels, "
            f"{', '.join(network) or 'none'} of the network."
        )


class PreparedTargets:
    """Looks up an image's clean predictions and makes its targets; runs in the workers."""

    def __init__(
        self,
        paths: list[Path],
        rows: NDArray[np.int64],
        targets: list[PredictionObjective],
        predicted: int | None = None,
    ) -> None:
        """Serve the rows of each victim's file of clean predictions; the files are mapped, never read whole.

        Args:
            paths: the files.
            rows: of each image in them.
            targets: of each victim.
            predicted: how many of the files are there, all by default; without one only a target that needs none is
                served.
        """
        self.paths = paths
        self.rows = rows
        self.targets = targets
        self.predicted = len(paths) if predicted is None else predicted

    def __call__(self, index: int) -> dict[str, Any]:
        """Return what a `Batch` has of an image for the first victim, and under `ensemble` for the others."""
        first, *others = [self._prepared(number, self.rows[index]) for number in range(len(self.paths))]
        return first | ({"ensemble": others} if others else {})

    def _prepared(self, number: int, row: int) -> dict[str, Tensor]:
        is_there = number < self.predicted
        prediction = np.array(np.load(self.paths[number], mmap_mode="r")[row]) if is_there else None
        made, hidden = self.targets[number].make(prediction)
        tensors = {"target": torch.from_numpy(made), "hidden": torch.from_numpy(hidden)}
        return tensors if prediction is None else {"prediction": torch.from_numpy(prediction), **tensors}
