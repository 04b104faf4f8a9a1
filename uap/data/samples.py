"""The samples of a loader: images of a data set, with augmentation and the targets of an attack."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset

from uap.data.augmentation import Augmentation
from uap.data.batch import Batch, Prepare
from uap.data.image_store import ImageStore
from uap.data.row_file import Row
from uap.data.sampler import SampleIndex
from uap.data.workers import start_worker
from uap.datasets import SegmentationDataset
from uap.datasets.sources import Item
from uap.utils.class_tables import LabelTable


@dataclass(frozen=True)
class Samples(Dataset[dict[str, Any]]):
    """Images of a data set in the form of a `Batch`.

    Attributes:
        images: the data set.
        store: disk cache of decoded images; None for no cache.
        targets: returns the clean prediction of an image and the target of the attack for an index; None for images
            and labels only.
        augmentation: augmentation of training images; None for no augmentation.
        seed: seed of the augmentation.
        batch_size: batch size of loaders.
        num_workers: number of workers of loaders.
    """

    images: SegmentationDataset
    store: ImageStore | None = None
    targets: Prepare | None = None
    augmentation: Augmentation | None = None
    seed: int = 0
    batch_size: int = 4
    num_workers: int = 0

    @property
    def items(self) -> list[Item]:
        """The items of the data set."""
        return self.images.items

    def with_classes(self, table: LabelTable) -> "Samples":
        """Return the samples with labels in the classes of another table, such as the `table` of a victim."""
        return replace(self, images=self.images.with_classes(table))

    def loader(self, rows: Sequence[int] | None = None) -> DataLoader[Batch]:
        """Return batches of all images in order, or of some rows in their order."""
        return DataLoader(
            self,  # type: ignore[arg-type]  # collated, its items are a Batch
            batch_size=self.batch_size,
            sampler=range(len(self)) if rows is None else rows,
            num_workers=self.num_workers,
            worker_init_fn=start_worker,
        )

    def subset(self, rows: NDArray[np.int64]) -> "Samples":
        """Return the samples of some rows, without targets, because targets use the old indices."""
        return replace(self, images=self.images.subset(rows), targets=None)

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def __getitem__(self, sample: SampleIndex | int) -> dict[str, Any]:
        """Return one item of a `Batch`."""
        index, weight, epoch = sample if isinstance(sample, SampleIndex) else SampleIndex(sample, 1.0, 0)
        item = self.items[index]
        image, labels = self.images.split_row(self._row(item), item)
        if self.augmentation is not None:
            seed = np.random.default_rng([self.seed, epoch, index]).integers(2**31)
            augmented, labels = self.augmentation(image.transpose(1, 2, 0), labels, int(seed))
            image = np.ascontiguousarray(augmented.transpose(2, 0, 1))
        result = {
            "image": torch.from_numpy(image),
            "labels": torch.from_numpy(labels),
            "index": torch.tensor(index),
            "weight": torch.tensor(weight),
        }
        return result | (self.targets(index) if self.targets is not None else {})

    def _row(self, item: Item) -> Row:
        """Return the image and labels of an item from the store if it contains them, else from their files."""
        kept = self.store.get(item) if self.store else None
        if kept is not None:
            return kept
        row = self.images.read_row(item)
        if self.store:
            self.store.put(item, row)
        return row
