"""The LightningDataModule: it selects images of a data set and makes data loaders."""

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
from uap.data.length import position
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
"""The splits of training images; apart from `train`, a data set has the splits in its `train_splits`."""

Role = Literal["train", "scored"]
"""The use of images: `train` for the training images, `scored` for the images of the evaluated split."""

SPEED = ("num_workers", "cache_gib")
"""Settings that only change the speed of a run."""


class SegmentationData(LightningDataModule, abc.ABC):
    """Images of one data set, for an attack or for training a victim.

    `uap.data.modules.data_module` makes a subclass for each data set, so that a configuration can name it. Labels are
    used for the IoU and for the training of victims. An attack does not need labels.

    Attributes:
        datasets: the samples of each role.
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
        """Store and check the settings; no file is read.

        Args:
            dataset: makes the data set of a `split`.
            split: the split whose images are scored.
            limit: number of training images, sampled with the seed; all by default. If the target hides a class, they
                are sampled from the images in which the network predicts the class.
            batch_size: images per step and process.
            num_workers: number of processes that read images, at most the number of usable cores.
            seed: seed of the order of the training images and of the sampling by `limit`.
            train_split: the split of the training images; Cityscapes also has `train_extra`, and Pascal VOC `trainval`.
            files: text file that lists the training images, with one name or path per line; all images by default.
            cache_gib: largest size of the disk cache of decoded images, in GiB per split; 0 for no cache.
            eval_images: number of scored images, evenly spread over the split; all by default.

        Raises:
            InputError: a size, limit, batch size or number of scored images is below 1, a number of workers or seed is
                below 0, the machine has too little memory or too few cores, or the data set does not have the split.
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
                raise InputError(
                    f"data.{name} is {value}, expected {least} or more.", setting=f"data.{name}", kind="out_of_range"
                )
        check_machine(self.size, batch_size, num_workers)
        if not 0 <= cache_gib < math.inf:
            raise InputError(
                f"data.cache_gib is {cache_gib}, expected 0 or more GiB of disk space.",
                setting="data.cache_gib",
                kind="out_of_range",
            )
        if train_split not in images.train_splits:
            raise InputError(
                f"data.train_split is {train_split}, but {type(images).__name__} has the training splits "
                f"{', '.join(images.train_splits)}. Choose one of them.",
                setting="data.train_split",
                kind="unknown_name",
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
        """Return the data set of a split with all its images."""
        if split not in self._images:
            self._images[split] = self._make(split=split)
        return self._images[split]

    def prepare_data(self) -> None:
        """Create files that the splits need; Lightning calls this on one process of each node."""
        for split in dict.fromkeys((self.train_split, self.split)):
            self.dataset(split).prepare(self.num_workers)

    def setup(self, stage: str) -> None:
        """List the files of the splits and select the images."""
        if stage == "fit":
            samples = self.all_training()
            rows = self.sampled(len(samples), f"{self.root} has {len(samples)} training images")
            self.datasets["train"] = samples.subset(rows)
        images = self.dataset(self.split)
        self.images_in_split = len(images)
        if self.eval_images is not None and self.eval_images > len(images):
            rank_zero_info(
                f"data.eval_images is {self.eval_images}, but the split {self.split} has only {len(images)} images. "
                "All of them are scored."
            )
        scored = images.subset(subset.evenly(len(images), self.eval_images))
        self.datasets["scored"] = self._samples(scored, images)
        checked = [(used.images, item.image) for used in self.datasets.values() for item in spread(used.items)]
        say_enlarged([(image, images.stored_size(image)) for images, image in checked], self.size)

    def _samples(self, images: SegmentationDataset, stored: SegmentationDataset) -> Samples:
        """Return the samples of `images`; their disk cache has a row for each image of `stored`, a superset."""
        store = open_store(stored.items, stored.reading(), self.size, self.cache_gib)
        return Samples(images, store, seed=self.seed, batch_size=self.batch_size, num_workers=self.num_workers)

    def all_training(self) -> Samples:
        """Return all training images, before sampling by `limit`.

        Raises:
            InputError: the files do not exist, or `files` names an unknown image.
        """
        images = self.dataset(self.train_split)
        if self.files is not None:
            images = images.subset(subset.listed(images.items, Path(self.files), self.root))
        return self._samples(images, images)

    def sampled(self, count: int, found: str) -> NDArray[np.int64]:
        """Return the rows of `limit` training images out of `count`, sampled with the seed; all rows without a limit.

        Args:
            count: number of images to sample from.
            found: a clause for the error message that states the number of images.

        Raises:
            InputError: the limit is above the number of images.
        """
        if self.limit is not None and self.limit > count:
            raise InputError(
                f"data.limit is {self.limit}, but {found}. Set it to {count} or less.",
                setting="data.limit",
                kind="out_of_range",
            )
        return subset.sampled(count, self.limit or count, self.seed)

    def augment(self, augmentation: Augmentation) -> None:
        """Augment the training images from now on."""
        self.datasets["train"] = replace(self.datasets["train"], augmentation=augmentation)

    def loader(self, role: Role, *, shuffle: bool) -> DataLoader[Batch]:
        """Return the batches of this rank.

        Args:
            role: the images.
            shuffle: whether to shuffle the images. Then ranks are filled with padding images to the same number of
                batches; otherwise no image is repeated.
        """
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
        """Return shuffled batches of the training images; a resumed run continues after the last batch of its epoch.

        The epoch is set here, because workers load the first images before Lightning calls `set_epoch`.
        """
        loader = self.loader("train", shuffle=True)
        if self.trainer is not None:
            epoch, batches = position(self.trainer)
            cast(EpochSampler, loader.sampler).resume(epoch, batches * self.batch_size)
            # Lightning expects loaders that save their position; the sampler computes it from the run's position
            warnings.filterwarnings("ignore", "You're resuming from a checkpoint that ended before the epoch ended")
        return loader

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return batches of the scored images in order."""
        return self.loader("scored", shuffle=False)


def data_of(trainer: Trainer) -> SegmentationData:
    """Return the data module of a trainer."""
    return cast(SegmentationData, trainer.datamodule)  # type: ignore[attr-defined]
