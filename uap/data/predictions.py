"""Clean predictions: made once per image, victim and size, kept on disk, and turned into targets in the workers.

Those on images that are learnt from wait until these are scored, where the target does without: a run begins sooner.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import Trainer
from pytorch_lightning.utilities import rank_zero_info
from torch import Tensor
from torch.utils.data import DataLoader

from uap import paths
from uap.data import subset
from uap.data.base import Role, SegmentationData
from uap.data.batch import Batch
from uap.data.dataset import SegmentationDataset
from uap.data.sources import stamp, stamps
from uap.errors import InputError
from uap.progress import progress
from uap.targets import Mask, ReadTarget, Target
from uap.victims import FrozenVictim
from uap.whole_file import whole_file

NAMES: dict[Role, str] = {"train": "learnt from", "scored": "scored"}


def attach_targets(data: SegmentationData, victims: list[FrozenVictim], targets: list[Target], trainer: Trainer) -> int:
    """Give every item of the data each victim's target, and its clean prediction unless that can wait.

    Leaves out the training images that nothing can be learnt from for the first victim, and says how many.

    Returns:
        How many clean images were predicted on this node; what an earlier run predicted is kept.

    Raises:
        InputError: a target does not fit its victim or the data, or no training image is left.
    """
    predicted = 0
    for victim, target in zip(victims, targets, strict=True):
        _say_unmapped(data, victim)
        target.prepare(victim.table, _reader(data, victim))
    hidden = ", ".join(victims[0].table.names[c] for c in targets[0].hidden_classes)
    for role, dataset in data.datasets.items():
        if role == "train" and hidden:
            dataset.items = data.training_items()  # the limit counts the usable ones, which only predictions show
        needed = victims if role == "train" else victims[:1]  # what is scored is the first alone
        places = [_kept(data, victim, stamps(dataset.items)) for victim in needed]
        own = targets[: len(needed)]
        prepared = dataset.prepare = PreparedTargets(places, np.arange(len(dataset)), own, predicted=0)
        if role == "scored" or hidden:
            predicted += predict_missing(dataset, needed, trainer)
            usable = targets[0].usable(np.load(places[0], mmap_mode="r"))
            if not usable.any():
                raise InputError(
                    f"The network predicts {hidden} on none of the {len(usable)} images that are {NAMES[role]}, so "
                    "there is nothing to hide. Choose another class, other images, or check the network's "
                    "preprocessing."
                )
            if role == "train":
                prepared.rows = _learnable(usable, data, hidden)
                dataset.items = [dataset.items[row] for row in prepared.rows]
    return predicted


def predict_missing(dataset: SegmentationDataset, victims: list[FrozenVictim], trainer: Trainer) -> int:
    """Predict the clean images of a data set with targets, unless that was done; without them it cannot be scored.

    Args:
        dataset: the images.
        victims: of the data set's victims the first ones, those that are needed: to score, the first alone.
        trainer: tells the processes apart.

    Returns:
        How many were predicted now; none of those that an earlier run predicted.

    Raises:
        InputError: the predictions cannot be kept.
    """
    prepared = cast(PreparedTargets, dataset.prepare)
    missing = list(zip(prepared.paths[: len(victims)], victims, strict=True))[prepared.predicted :]
    made = sum(_complete(path, dataset, victim, trainer) for path, victim in missing)
    prepared.predicted += len(missing)
    return made


def _reader(data: SegmentationData, victim: FrozenVictim) -> ReadTarget:
    """Return what reads a static target for a victim."""

    def read(path: Path, is_image: bool) -> Mask:
        place = data.find(path)
        if isinstance(place, Path) and not place.exists():
            role: Role = "train" if "train" in data.datasets else "scored"  # a scored one would show its target already
            example = subset.path_below(data.datasets[role].items[0], data.root)
            raise InputError(
                f"{place} does not exist, which the static target is made from. Set --model.target.image to a picture, "
                f"such as {example} of these data."
            )
        if not is_image:
            return data.table.translation(victim.table)[data.read_labels(place)]
        kept = _kept(data, victim, stamp(place))
        if not kept.exists():
            image = torch.from_numpy(data.read_image(place).transpose(2, 0, 1).copy())
            with _keeping(kept) as file:
                np.save(file, victim.predict(image[None].to(victim.mean.device))[0].cpu().numpy())
        return cast(Mask, np.load(kept))

    return read


def _learnable(usable: NDArray[np.bool_], data: SegmentationData, hidden: str) -> NDArray[np.int64]:
    rows = np.flatnonzero(usable)
    rows = rows[data.drawn(len(rows), f"the network predicts {hidden} on {len(rows)} of {len(usable)} training images")]
    if not usable.all():
        rank_zero_info(
            f"Learning from {len(rows)} of {len(usable)} images; {usable.sum()} have something to hide and something "
            "else."
        )
    return rows


def _say_unmapped(data: SegmentationData, victim: FrozenVictim) -> None:
    labels, network = data.table.unmapped(victim.table)
    labelled = any(item.labels is not None for dataset in data.datasets.values() for item in dataset.items)
    if labelled and (labels or network):
        rank_zero_info(
            f"Classes that only one side has are left out of the IoU: {', '.join(labels) or 'none'} of the labels, "
            f"{', '.join(network) or 'none'} of the network."
        )


class PreparedTargets:
    """Looks up an image's clean predictions and makes its targets; runs in the workers."""

    def __init__(
        self, paths: list[Path], rows: NDArray[np.int64], targets: list[Target], predicted: int | None = None
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
        """Return what a `Batch` has of an image for the first victim, and under `partners` for the others."""
        first, *others = [self._prepared(number, self.rows[index]) for number in range(len(self.paths))]
        return first | ({"partners": others} if others else {})

    def _prepared(self, number: int, row: int) -> dict[str, Tensor]:
        is_there = number < self.predicted
        prediction = np.array(np.load(self.paths[number], mmap_mode="r")[row]) if is_there else None
        made, hidden = self.targets[number].make(prediction)
        tensors = {"target": torch.from_numpy(made), "hidden": torch.from_numpy(hidden)}
        return tensors if prediction is None else {"prediction": torch.from_numpy(prediction), **tensors}


def clean_predictions(dataset: SegmentationDataset, victim: FrozenVictim, trainer: Trainer) -> Path:
    """Return the file (.npy) of the victim's predictions (N, H, W) uint8 on a data set.

    It is kept under a key of everything that they depend on: victim, size, resampling, and each image's stamp.

    Raises:
        InputError: it cannot be written.
    """
    path = _kept(dataset.data, victim, stamps(dataset.items))
    _complete(path, dataset, victim, trainer)
    return path


def _complete(path: Path, dataset: SegmentationDataset, victim: FrozenVictim, trainer: Trainer) -> int:
    """Let one process of the node write a file of predictions that is not there; return how many it made."""
    made, error = 0, ""
    if not path.exists() and trainer.local_rank == 0:
        try:
            _predict_all(dataset, victim, path)
            made = len(dataset)
        except InputError as found:
            error = str(found)
    trainer.strategy.barrier("clean predictions")
    error = trainer.strategy.broadcast(error)  # so that every rank ends with the sentence, and none waits
    if error:
        raise InputError(error)
    return made


def _kept(data: SegmentationData, victim: FrozenVictim, images: Any) -> Path:
    """Return where predictions on images with these stamps are kept."""
    settings = [victim.fingerprint(), data.size, data.resampling, data.upright, images]
    key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:32]
    return paths.cache_folder() / "predictions" / f"{key}.npy"


@contextmanager
def _keeping(path: Path) -> Iterator[Path]:
    """Give the place of a file of predictions that is to be written whole.

    Raises:
        InputError: it cannot be written.
    """
    try:
        with whole_file(path) as place:
            yield place
    except OSError as error:
        raise InputError(
            f"Clean predictions cannot be kept in {path.parent} ({error}). Set UAP_CACHE to a folder."
        ) from error


def _predict_all(dataset: SegmentationDataset, victim: FrozenVictim, path: Path) -> None:
    data = dataset.data
    images = SegmentationDataset(dataset.items, data, dataset.store)  # alone: targets may be made of what is predicted
    loader: DataLoader[Batch] = DataLoader(
        images,  # type: ignore[arg-type]  # collated, its items are a Batch
        batch_size=data.batch_size,
        num_workers=data.num_workers,
    )
    shape = (len(dataset), *data.size)
    with _keeping(path) as place, place.open("wb") as file:  # not mapped: a full disk would end the process on the spot
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
        for batch in progress(loader, "Predicting clean images", "batch"):
            file.write(victim.predict(batch["image"].to(victim.mean.device)).cpu().numpy().tobytes())
