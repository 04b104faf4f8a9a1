"""Targets of the attack, computed from clean predictions in the workers.

If the target does not need the clean predictions on training images, they are computed when these images are scored.
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

from uap.data.clean_predictions import make_predictions, one_prediction, predictions_path
from uap.data.datamodule import Role, SegmentationData
from uap.data.samples import Samples
from uap.datasets import subset
from uap.objectives import PredictionObjective
from uap.objectives.base import Mask, ReadTarget
from uap.utils import paths
from uap.utils.errors import InputError
from uap.victims import Victim

NAMES: dict[Role, str] = {"train": "training", "scored": "scored"}


def attach_targets(
    data: SegmentationData, victims: list[Victim], targets: list[PredictionObjective], trainer: Trainer
) -> int:
    """Add the target of each victim to every item of the data, and its clean prediction if it is needed.

    Training images without a pixel to hide, or with nothing else, are left out, according to the first victim. Their
    number is printed.

    Args:
        data: the data, set up; its samples are replaced.
        victims: the network under attack, and the other networks of an ensemble.
        targets: the objective of each victim.
        trainer: gives the ranks of the processes.

    Returns:
        The number of clean images that were predicted on this node, without cached predictions.

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
            samples = data.all_training()  # the limit samples from usable images, which only predictions show
        needed = victims if role == "train" else victims[:1]  # only the first one is scored
        paths_of_victims = [predictions_path(samples, victim) for victim in needed]
        prepared = PreparedTargets(paths_of_victims, np.arange(len(samples)), targets[: len(needed)], predicted=0)
        samples = replace(samples, targets=prepared)
        if role == "scored" or targets[0].needs_prediction:
            predicted += predict_missing(samples, needed, trainer)
        if hidden:
            usable = targets[0].usable(np.load(paths_of_victims[0], mmap_mode="r"))
            if not usable.any():
                raise InputError(
                    f"The network predicts {hidden} on none of the {len(usable)} {NAMES[role]} images, so there is "
                    "nothing to hide. Choose another class or other images, or check the network's preprocessing.",
                    setting="model.objective.hide",
                    kind="not_supported",
                )
            if role == "train":
                prepared.rows = _learnable(usable, data, hidden)
                samples = replace(samples.subset(prepared.rows), targets=prepared)
        data.datasets[role] = samples
    return predicted


def predict_missing(samples: Samples, victims: list[Victim], trainer: Trainer) -> int:
    """Predict the clean images of samples with targets that have no clean predictions yet.

    Args:
        samples: the images, with targets.
        victims: the victims whose predictions are needed, the first ones of the targets. Scoring needs only the first.
        trainer: gives the ranks of the processes.

    Returns:
        The number of images that were predicted in this call, without cached predictions.

    Raises:
        InputError: the predictions cannot be written.
    """
    prepared = cast(PreparedTargets, samples.targets)
    missing = list(zip(prepared.paths[: len(victims)], victims, strict=True))[prepared.predicted :]
    made = sum(make_predictions(samples, victim, path, trainer) for path, victim in missing)
    prepared.predicted += len(missing)
    return made


def _reader(data: SegmentationData, victim: Victim) -> ReadTarget:
    """Return the function that reads a static target for a victim."""

    def read(path: Path, is_image: bool) -> Mask:
        role: Role = "train" if "train" in data.datasets else "scored"  # on a scored image, the target is predicted
        images = data.datasets[role].images
        found = images.find(path)
        if isinstance(found, Path) and not found.exists():
            example = subset.path_below(images.items[0], data.root)
            raise InputError(
                f"The image of the static target, {found}, does not exist. It was searched{paths.searched_in(path)} "
                f"and in {data.root}. Set --model.objective.image to an image, such as {example} of these data.",
                setting="model.objective.image",
                kind="missing_file",
            )
        if is_image:
            return one_prediction(images, victim, found)
        return data.table.translation(victim.table)[images.read_labels(found)]

    return read


def _learnable(usable: NDArray[np.bool_], data: SegmentationData, hidden: str) -> NDArray[np.int64]:
    rows = np.flatnonzero(usable)
    rows = rows[
        data.sampled(len(rows), f"the network predicts {hidden} on {len(rows)} of {len(usable)} training images")
    ]
    if not usable.all():
        rank_zero_info(
            f"Learning from {len(rows)} of {len(usable)} images: {usable.sum()} contain both hidden and other classes."
        )
    return rows


def _say_unmapped(data: SegmentationData, victim: Victim) -> None:
    labels, network = data.table.unmapped(victim.table)
    labeled = any(item.labels is not None for dataset in data.datasets.values() for item in dataset.items)
    if labeled and (labels or network):
        rank_zero_info(
            f"Classes without a counterpart are left out of the IoU: {', '.join(labels) or 'none'} of the labels, "
            f"{', '.join(network) or 'none'} of the network."
        )


class PreparedTargets:
    """Reads the clean predictions of an image and makes its targets; called in the workers."""

    def __init__(
        self,
        paths: list[Path],
        rows: NDArray[np.int64],
        targets: list[PredictionObjective],
        predicted: int | None = None,
    ) -> None:
        """Store the paths of the predictions; the files are memory-mapped.

        Args:
            paths: the file of clean predictions of each victim.
            rows: the row of each image in these files.
            targets: the objective of each victim.
            predicted: number of files that exist, the first ones; all by default. Without its file, a victim has no
                `prediction`, and its target must not need one.
        """
        self.paths = paths
        self.rows = rows
        self.targets = targets
        self.predicted = len(paths) if predicted is None else predicted

    def __call__(self, index: int) -> dict[str, Any]:
        """Return the entries of a `Batch` for the index of an image: of the first victim, and `ensemble` of others."""
        first, *others = [self._prepared(number, self.rows[index]) for number in range(len(self.paths))]
        return first | ({"ensemble": others} if others else {})

    def _prepared(self, number: int, row: int) -> dict[str, Tensor]:
        exists = number < self.predicted
        prediction = np.array(np.load(self.paths[number], mmap_mode="r")[row]) if exists else None
        made, hidden = self.targets[number].make(prediction)
        tensors = {"target": torch.from_numpy(made), "hidden": torch.from_numpy(hidden)}
        return tensors if prediction is None else {"prediction": torch.from_numpy(prediction), **tensors}
