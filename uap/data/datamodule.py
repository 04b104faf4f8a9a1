"""What every data set shares: reading, resizing, batches from workers, and the targets of the attack."""

import abc
import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pytorch_lightning import LightningDataModule, Trainer
from pytorch_lightning.utilities import rank_zero_info
from torch.utils.data import DataLoader

from uap import __version__
from uap.data import subset, transforms
from uap.data.batch import Batch
from uap.data.dataset import SegmentationDataset
from uap.data.enlarged import enlarged, spread
from uap.data.image_store import ImageStore, open_store
from uap.data.length import begun
from uap.data.machine import check_machine, usable_workers
from uap.data.row_file import Row
from uap.data.sampler import EpochSampler
from uap.data.sources import Item, Source
from uap.data.workers import start_worker
from uap.utils import paths
from uap.utils.class_tables import IGNORE, LabelTable
from uap.utils.errors import InputError

Split = Literal["train", "val", "test"]
TrainSplit = Literal["train", "trainval", "train_extra"]
"""What can be learned from; beside `train`, a data set has those that it names in `train_splits`."""

Role = Literal["train", "scored"]
"""What the images are for: the training split is learned from, the chosen split is scored."""

SPEED = ("num_workers", "cache_gib")
"""Settings that change how long a run takes, and nothing else."""


class SegmentationData(LightningDataModule, abc.ABC):
    """Images of one data set at one size, for an attack or for training a victim.

    A data set says where its files lie (`items`), which ids its label files hold (`label_ids`) and what its classes are
    called (`table`). Labels serve the IoU figures and the training of victims; an attack does without.
    """

    table: LabelTable
    train_splits: tuple[TrainSplit, ...] = ("train",)
    """What `train_split` may be."""

    upright = False
    """Whether images are turned as their EXIF data say; labels are drawn on the pixels as they are stored."""

    def __init__(
        self,
        root: str,
        size: tuple[int, int],
        split: Split = "val",
        limit: int | None = None,
        batch_size: int = 4,
        num_workers: int = 2,
        seed: int = 0,
        resampling: transforms.Resampling = "pil",
        train_split: TrainSplit = "train",
        files: str | None = None,
        cache_gib: float = 8.0,
        eval_images: int | None = None,
    ) -> None:
        """Describe the data; nothing is read yet.

        Args:
            root: the folder of the data set.
            size: height and width that images and labels are resized to.
            split: the images that are scored.
            limit: learn from this many of the training images, drawn by the seed; all by default. Where the target
                hides a class, they are drawn from the images in which the network sees it.
            batch_size: images per step and process.
            num_workers: processes that read images; no more than the cores that may be used.
            seed: of the order of the images and of `limit`.
            resampling: how images are resized: `pil` averages over dropped pixels, `opencv` does not.
            train_split: the images that are learned from; Cityscapes has `train_extra` too, and Pascal VOC `trainval`.
            files: learn from the training images that this text file lists, one name or path to a line.
            cache_gib: how much of the disk decoded images may take, in GiB for each split; 0 decodes them each time.
            eval_images: score so many of the split's images, evenly spread; all by default, and where it has fewer.

        Raises:
            InputError: a size, limit, batch size or number of scored images that is not positive, a number of workers
                or seed below 0, more pixels or workers than the machine can bear, or a split that the data set does
                not have.
        """
        super().__init__()
        counts = {"size": min(size), "limit": limit, "batch_size": batch_size, "eval_images": eval_images}
        counts |= {"num_workers": num_workers, "seed": seed}
        for name, value in counts.items():
            least = 0 if name in ("num_workers", "seed") else 1
            if value is not None and value < least:
                raise InputError(f"data.{name} is {size if name == 'size' else value}, expected {least} or more.")
        check_machine(size, batch_size, num_workers)
        if not 0 <= cache_gib < math.inf:
            raise InputError(f"data.cache_gib is {cache_gib}, expected GiB of the disk, 0 or more.")
        if train_split not in self.train_splits:
            raise InputError(
                f"data.train_split is {train_split}, but {type(self).__name__} has {', '.join(self.train_splits)} to "
                "learn from. Choose from these."
            )
        self.root = Path(root)
        self.size = size
        self.split: Split = split
        self.limit = limit
        self.batch_size = batch_size
        self.num_workers = usable_workers(num_workers)
        self.seed = seed
        self.resampling: transforms.Resampling = resampling
        self.train_split: TrainSplit = train_split
        self.files = files
        self.cache_gib = cache_gib
        self.eval_images = eval_images
        self.images_in_split = 0
        self.datasets: dict[Role, SegmentationDataset] = {}
        self.said_enlarged = False

    @abc.abstractmethod
    def items(self, split: Split | TrainSplit) -> list[Item]:
        """Return the images of a split in a fixed order.

        Raises:
            InputError: the files are not there; the message shows the tree that is expected.
        """

    @abc.abstractmethod
    def label_ids(self, ids: NDArray[np.uint8], place: Path | Source) -> NDArray[np.uint8]:
        """Return the ids of `table`, 255 = ignored, for the ids (H, W) of a label file.

        Raises:
            InputError: ids that the data set does not define.
        """

    def setup(self, stage: str) -> None:
        """Find the files of the splits in use."""
        if stage == "fit":
            items = self._sought(self.training_items)
            rows = self.drawn(len(items), f"{self.root} has {len(items)} training images")
            self.datasets["train"] = SegmentationDataset([items[row] for row in rows], self, self._store(items))
        scored = self._sought(lambda: self.items(self.split))
        self.datasets["scored"] = SegmentationDataset(scored, self, self._store(scored))
        self.images_in_split = len(scored)
        self.evaluate(scored)
        items = [item for dataset in self.datasets.values() for item in spread(dataset.items)]
        self._say_enlarged([(item.image, self.stored_size(item.image)) for item in items])

    def evaluate(self, items: list[Item]) -> None:
        """Score `eval_images` of `items`, which are the split's."""
        if self.eval_images is not None and self.eval_images > len(items):
            rank_zero_info(
                f"data.eval_images is {self.eval_images}, but the split {self.split} has {len(items)}: all are scored."
            )
        self.datasets["scored"].items = [items[row] for row in subset.evenly(len(items), self.eval_images)]

    def stored_size(self, image: Path | Source) -> tuple[int, int]:
        """Return the height and width that an image has where it is stored."""
        return transforms.stored_size(image, upright=self.upright)

    def _say_enlarged(self, stored: list[tuple[Path | Source, tuple[int, int]]]) -> None:
        said = None if self.said_enlarged else enlarged(stored, self.size)
        if said:
            self.said_enlarged = True
            rank_zero_info(said)

    def _sought(self, find: Callable[[], list[Item]]) -> list[Item]:
        """Find images; where there is no root at all, say where it was looked for."""
        try:
            return find()
        except InputError as error:
            if self.root.exists() or self.root.is_absolute():
                raise
            raise InputError(f"There is no {self.root}{paths.searched_in(self.root)}. {error}") from error

    def _store(self, items: list[Item]) -> ImageStore | None:
        return open_store(items, self.reading(), self.size, self.cache_gib)

    def reading(self) -> list[Any]:
        """Return what images and ids depend on beside their files and the size; plain values."""
        return [__version__, type(self).__module__, type(self).__qualname__, self.resampling, self.upright]

    def training_items(self) -> list[Item]:
        """Return the images that may be learned from, before `limit`.

        Raises:
            InputError: what `items` refuses, or `files` names an image that is not there.
        """
        items = self.items(self.train_split)
        return items if self.files is None else subset.listed(items, Path(self.files), self.root)

    def drawn(self, count: int, found: str) -> NDArray[np.int64]:
        """Return which `limit` of `count` images are learned from, drawn by the seed; all of them without a limit.

        Raises:
            InputError: there are not so many; `found` says what there is.
        """
        if self.limit is not None and self.limit > count:
            raise InputError(f"data.limit is {self.limit}, but {found}. Set it to {count} or less.")
        return subset.drawn(count, self.limit or count, self.seed)

    def read_image(self, place: Path | Source) -> NDArray[np.uint8]:
        """Return an image uint8 (H, W, 3) RGB at the data's size; a path may be relative to the data's root."""
        found = self.find(place)
        image = transforms.read_image(found, upright=self.upright)
        self._say_enlarged([(found, (image.shape[0], image.shape[1]))])
        return transforms.resize_image(image, self.size, self.resampling)

    def read_labels(self, place: Path | Source) -> NDArray[np.uint8]:
        """Return class ids of `table` uint8 (H, W) at the data's size; a path may be relative to the data's root."""
        place = self.find(place)
        return self.label_ids(transforms.resize_mask(self.read_ids(place), self.size), place)

    def read_row(self, item: Item) -> Row:
        """Return an image and the ids of its label file, uint8 (4, H, W) at the data's size; 255 where it has none.

        Raises:
            InputError: one of the files cannot be read, or the labels have not the size of the image.
        """
        image = transforms.read_image(item.image, upright=self.upright)
        row = np.full((4, *self.size), IGNORE, np.uint8)
        row[:3] = transforms.resize_image(image, self.size, self.resampling).transpose(2, 0, 1)
        if item.labels is not None:
            ids = self.read_ids(item.labels)
            if ids.shape != image.shape[:2]:
                raise InputError(
                    f"{item.labels} has {ids.shape[0]} x {ids.shape[1]} pixels, but its image {item.image} has "
                    f"{image.shape[0]} x {image.shape[1]}, expected the same. Are they of the same data set? Extract "
                    "both again, or resize the labels by the nearest neighbor."
                )
            row[3] = transforms.resize_mask(ids, self.size)
        return row

    def read_ids(self, place: Path | Source) -> NDArray[np.uint8]:
        """Return the ids (H, W) of a label file as they stand in it."""
        return transforms.read_mask(place)

    def find(self, place: Path | Source) -> Path | Source:
        """Return a path as it stands where it exists, else under the data's root."""
        if isinstance(place, Source) or place.is_absolute() or place.exists():
            return place
        return self.root / place

    def __getstate__(self) -> dict[str, Any]:
        """Leave the trainer behind when a worker that is not forked gets a copy."""
        return self.__dict__ | {"trainer": None}

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
