"""The LightningDataModule: it chooses images of a data set and makes loaders."""

import abc
import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import LightningDataModule, Trainer
from pytorch_lightning.utilities import rank_zero_info
from torch.utils.data import DataLoader

from uap.data.augmentation import Augmentation
from uap.data.batch import Batch
from uap.data.image_store import open_store
from uap.data.length import begun
from uap.data.machine import check_machine, usable_workers
from uap.data.sampler import EpochSampler
from uap.data.samples import Samples
from uap.data.workers import start_worker
from uap.datasets import SegmentationDataset, subset
from uap.datasets.base import Split
from uap.datasets.enlarged import say_enlarged, spread
from uap.utils.errors import InputError

ScoredSplit = Literal["train", "val", "test"]
TrainSplit = Literal["train", "trainval", "train_extra"]
"""What can be learned from; beside `train`, a data set has those that it names in `train_splits`."""

Role = Literal["train", "scored"]
"""What the images are for: the training split is learned from, the chosen split is scored."""

SPEED = ("num_workers", "cache_gib")
"""Settings that change how long a run takes, and nothing else."""


class SegmentationData(LightningDataModule, abc.ABC):
    """Images of one data set, for an attack or for training a victim.

    `uap.data.data_module` makes a subclass for each data set, which a configuration names. Labels serve the IoU and the
    training of victims; an attack does without.

    Attributes:
        datasets: by role, the samples of its loader.
        table: the classes of the labels.
        size: height and width of the images.
        root: the folder of the data set.
    """

    @property
    @abc.abstractmethod
    def dataset_class(self) -> type[SegmentationDataset]:
        """The class of the data set; `data_module` sets it."""

    def __init__(
        self,
        dataset: Callable[..., SegmentationDataset],
        split: ScoredSplit = "val",
        limit: int | None = None,
        batch_size: int = 4,
        num_workers: int = 2,
        seed: int = 0,
        train_split: TrainSplit = "train",
        files: str | None = None,
        cache_gib: float = 8.0,
        eval_images: int | None = None,
    ) -> None:
        """Describe the data; nothing is read yet.

        Args:
            dataset: makes the data set of a `split`.
            split: the images that are scored.
            limit: learn from this many of the training images, sampled with the seed; all by default. If the target
                hides a class, they are sampled from the images in which the network predicts it.
            batch_size: images per step and process.
            num_workers: processes that read images; no more than the cores that may be used.
            seed: of the order of the images and of `limit`.
            train_split: the images that are learned from; Cityscapes has `train_extra` too, and Pascal VOC `trainval`.
            files: learn from the training images that this text file lists, one name or path to a line.
            cache_gib: how much of the disk decoded images may take, in GiB for each split; 0 decodes them each time.
            eval_images: score so many of the split's images, evenly spread; all by default, and if it has fewer.

        Raises:
            InputError: a size, limit, batch size or number of scored images that is not positive, a number of workers
                or seed below 0, more pixels or workers than the machine can bear, or a split that the data set does
                not have.
        """
        super().__init__()
        self._make = dataset
        self._images: dict[str, SegmentationDataset] = {}
        images = self.dataset(split)
        self.root, self.size, self.table = images.root, images.size, images.table
        counts = {"limit": limit, "batch_size": batch_size, "eval_images": eval_images}
        counts |= {"num_workers": num_workers, "seed": seed}
        for name, value in counts.items():
            least = 0 if name in ("num_workers", "seed") else 1
            if value is not None and value < least:
                raise InputError(f"data.{name} is {value}, expected {least} or more.")
        check_machine(self.size, batch_size, num_workers)
        if not 0 <= cache_gib < math.inf:
            raise InputError(f"data.cache_gib is {cache_gib}, expected GiB of the disk, 0 or more.")
        if train_split not in images.train_splits:
            raise InputError(
                f"data.train_split is {train_split}, but {type(images).__name__} has {', '.join(images.train_splits)} "
                "to learn from. Choose from these."
            )
        self.split: ScoredSplit = split
        self.limit = limit
        self.batch_size = batch_size
        self.num_workers = usable_workers(num_workers)
        self.seed = seed
        self.train_split: TrainSplit = train_split
        self.files = files
        self.cache_gib = cache_gib
        self.eval_images = eval_images
        self.images_in_split = 0
        self.datasets: dict[Role, Samples] = {}

    def dataset(self, split: Split) -> SegmentationDataset:
        """Return the data set of a split, with all its images."""
        if split not in self._images:
            self._images[split] = self._make(split=split)
        return self._images[split]

    def prepare_data(self) -> None:
        """Create files that the splits need; Lightning calls this on one process of each node."""
        for split in dict.fromkeys((self.train_split, self.split)):
            self.dataset(split).prepare(self.num_workers)

    def setup(self, stage: str) -> None:
        """Find the files of the splits in use."""
        if stage == "fit":
            samples = self.all_training()
            rows = self.sampled(len(samples), f"{self.root} has {len(samples)} training images")
            self.datasets["train"] = samples.subset(rows)
        images = self.dataset(self.split)
        self.images_in_split = len(images)
        if self.eval_images is not None and self.eval_images > len(images):
            rank_zero_info(
                f"data.eval_images is {self.eval_images}, but the split {self.split} has {len(images)}: all are scored."
            )
        scored = images.subset(subset.evenly(len(images), self.eval_images))
        self.datasets["scored"] = self._samples(scored, images)
        looked_at = [(used.images, item.image) for used in self.datasets.values() for item in spread(used.items)]
        say_enlarged([(image, images.stored_size(image)) for images, image in looked_at], self.size)

    def _samples(self, images: SegmentationDataset, stored: SegmentationDataset) -> Samples:
        """Return the samples of `images`; the decoded images of `stored`, which has these and others, are kept."""
        store = open_store(stored.items, stored.reading(), self.size, self.cache_gib)
        return Samples(images, store, seed=self.seed, batch_size=self.batch_size, num_workers=self.num_workers)

    def all_training(self) -> Samples:
        """Return the images that may be learned from, before `limit`.

        Raises:
            InputError: the files are not there, or `files` names an image that is not.
        """
        images = self.dataset(self.train_split)
        if self.files is not None:
            images = images.subset(subset.listed(images.items, Path(self.files), self.root))
        return self._samples(images, images)

    def sampled(self, count: int, found: str) -> NDArray[np.int64]:
        """Return which `limit` of `count` images are learned from, sampled with the seed; all of them without a limit.

        Raises:
            InputError: there are not so many; `found` says what there is.
        """
        if self.limit is not None and self.limit > count:
            raise InputError(f"data.limit is {self.limit}, but {found}. Set it to {count} or less.")
        return subset.sampled(count, self.limit or count, self.seed)

    def augment(self, augmentation: Augmentation) -> None:
        """Augment the training images from now on."""
        self.datasets["train"] = replace(self.datasets["train"], augmentation=augmentation)

    def loader(self, role: Role, *, shuffle: bool) -> DataLoader[Batch]:
        """Return the batches of this rank: shuffled and equally many on every rank, or in order and none twice."""
        dataset, trainer = self.datasets[role], self.trainer
        sampler = EpochSampler(
            len(dataset),
            seed=self.seed,
            shuffle=shuffle,
            rank=trainer.global_rank if trainer else 0,
            world_size=trainer.world_size if trainer else 1,
            fill=shuffle,
        )
        return DataLoader(
            dataset,  # type: ignore[arg-type]  # collated, its items are a Batch
            batch_size=self.batch_size,
            sampler=sampler,
            num_workers=self.num_workers,
            persistent_workers=shuffle and self.num_workers > 0,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=start_worker,
        )

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return shuffled batches of the training images, in a resumed run from where it was cut off.

        Workers ask for the first images as soon as they start, before Lightning says which epoch it is.
        """
        loader = self.loader("train", shuffle=True)
        if self.trainer is not None:
            epoch, batches = begun(self.trainer)
            cast(EpochSampler, loader.sampler).resume(epoch, batches * self.batch_size)
            # Lightning asks for loaders that save their place; this one finds it in the run's
            warnings.filterwarnings("ignore", "You're resuming from a checkpoint that ended before the epoch ended")
        return loader

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return batches of the scored images, in order."""
        return self.loader("scored", shuffle=False)


def data_of(trainer: Trainer) -> SegmentationData:
    """Return the data that a trainer works on."""
    return cast(SegmentationData, trainer.datamodule)  # type: ignore[attr-defined]
