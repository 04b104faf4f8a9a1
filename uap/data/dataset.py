"""The images of a data set one by one: read, or taken from the store, and made ready for an attack."""

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import Dataset

from uap.data import transforms
from uap.data.batch import Prepare
from uap.data.image_store import ImageStore
from uap.data.row_file import Row
from uap.data.sampler import Draw
from uap.data.sources import Item

if TYPE_CHECKING:
    from uap.data.datamodule import SegmentationData


class SegmentationDataset(Dataset[dict[str, Any]]):
    """Images and labels of one size, read from disk one by one."""

    def __init__(self, items: list[Item], data: "SegmentationData", store: ImageStore | None = None) -> None:
        """Read `items` in the way of `data` (size, resampling, label ids), each once if there is a store to keep it."""
        self.items = items
        self.data = data
        self.store = store
        self.prepare: Prepare | None = None
        self.augment: transforms.Augmentation | None = None

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.items)

    def __getitem__(self, draw: Draw | int) -> dict[str, Any]:
        """Return one item of a `Batch`."""
        index, weight, epoch = draw if isinstance(draw, Draw) else Draw(draw, 1.0, 0)
        row = self._row(self.items[index])
        item = self.items[index]
        image, labels = row[:3], row[3]
        if item.labels is not None:
            labels = self.data.label_ids(labels, self.data.find(item.labels))
        if self.augment is not None:
            seed = np.random.default_rng([self.data.seed, epoch, index]).integers(2**31)
            augmented, labels = self.augment(image.transpose(1, 2, 0), labels, int(seed))
            image = np.ascontiguousarray(augmented.transpose(2, 0, 1))
        result = {
            "image": torch.from_numpy(image),
            "labels": torch.from_numpy(np.array(labels)),  # a copy: a table's look-up may not be writable
            "index": torch.tensor(index),
            "weight": torch.tensor(weight),
        }
        return result | (self.prepare(index) if self.prepare is not None else {})

    def _row(self, item: Item) -> Row:
        """Return the image and labels of an item, from the store where they are in it."""
        kept = self.store.get(item) if self.store else None
        if kept is not None:
            return kept
        row = self.data.read_row(item)
        if self.store:
            self.store.put(item, row)
        return row
