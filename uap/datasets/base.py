"""The base class of the data sets: images and labels of one split, read from disk and resized."""

import abc
import copy
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from uap import __version__
from uap.datasets import pictures
from uap.datasets.enlarged import say_enlarged
from uap.datasets.sources import Item, Source, with_unique_names
from uap.utils import paths
from uap.utils.class_tables import IGNORE, LabelTable
from uap.utils.errors import InputError
from uap.utils.masks import resize_mask

Split = Literal["train", "val", "test", "trainval", "train_extra"]
"""The splits of data sets; every data set has the first three, and those that it names in `train_splits`."""


class SegmentationDataset(Dataset[dict[str, Tensor]], abc.ABC):
    """Images and labels of one split of a data set, all resized to one size.

    `dataset[i]` is a mapping: `image` uint8 `(3, H, W)`, RGB from 0 to 255, and `labels` uint8 `(H, W)`, ids of
    `table`, 255 = ignored or without labels. `DataLoader(dataset)` collates them, and `uap.learn`, attacks and
    `uap.evaluation.evaluate` take the data set as it is.

    A subclass lists the files of a split (`find_items`), maps the ids of label files to those of its class table
    (`label_ids`), and names the table (`table`).

    Attributes:
        items: the images in a fixed order, each with a name of its own.
        size: height and width of images and labels.

    Example:
        >>> from PIL import Image
        >>> class Pictures(SegmentationDataset):
        ...     table = LabelTable(("dark", "bright"), ((0, 0, 0), (255, 255, 255)))
        ...
        ...     def find_items(self):
        ...         return [Item(path.stem, path, None) for path in sorted(self.root.glob("*.png"))]
        ...
        ...     def label_ids(self, ids, path):
        ...         return ids
        >>> Path("pictures").mkdir(exist_ok=True)
        >>> Image.new("RGB", (6, 4)).save("pictures/a.png")
        >>> sample = Pictures("pictures", "val", size=(2, 3))[0]
        >>> sample["image"].shape, sample["labels"].tolist()
        (torch.Size([3, 2, 3]), [[255, 255, 255], [255, 255, 255]])
    """

    table: LabelTable
    train_splits: tuple[Split, ...] = ("train",)
    """The splits of training images."""

    upright = False
    """Whether images are turned as their EXIF data say; labels are aligned with the pixels as they are stored."""

    def __init__(self, root: str, split: Split, size: tuple[int, int], resampling: pictures.Resampling = "pil") -> None:
        """Describe the images; files are read when they are needed.

        Args:
            root: folder of the data set.
            split: `train`, `val`, `test`, or one of `train_splits`.
            size: height and width that images and labels are resized to.
            resampling: how images are resized: `pil` averages over dropped pixels, `opencv` does not.

        Raises:
            InputError: a size below 1.
        """
        if min(size) < 1:
            raise InputError(f"data.size is {size}, expected 1 or more.", setting="data.size", kind="out_of_range")
        self.root = Path(root)
        self.split = split
        self.size = size
        self.resampling: pictures.Resampling = resampling
        self._labels_in: NDArray[np.uint8] | None = None

    @abc.abstractmethod
    def find_items(self) -> list[Item]:
        """Return the images of the split in a fixed order.

        Raises:
            InputError: the files are not there; the message shows the expected folders.
        """

    @abc.abstractmethod
    def label_ids(self, ids: NDArray[np.uint8], path: Path | Source) -> NDArray[np.uint8]:
        """Return the ids of `table`, 255 = ignored, for the ids `(H, W)` of a label file.

        Raises:
            InputError: ids that the data set does not define.
        """

    def prepare(self, num_workers: int = 0) -> None:
        """Create files that the split needs, with a number of processes; nothing for data sets that are downloaded."""

    @cached_property
    def items(self) -> list[Item]:
        """The images in a fixed order, each with a name of its own.

        Raises:
            InputError: the files are not there; the message shows the expected folders.
        """
        try:
            self.prepare()
            return with_unique_names(self.find_items())
        except InputError as error:
            if self.root.exists() or self.root.is_absolute():
                raise
            raise InputError(
                f"There is no {self.root}{paths.searched_in(self.root)}. {error}",
                setting="data.root",
                kind=error.kind or "missing_file",
            ) from error

    def subset(self, rows: Iterable[int]) -> Self:
        """Return a data set with the images of some rows, in their order."""
        chosen = copy.copy(self)
        chosen.__dict__["items"] = [self.items[row] for row in rows]
        return chosen

    def with_classes(self, table: LabelTable) -> Self:
        """Return the data set with labels in the classes of another table; classes that it lacks are ignored.

        Args:
            table: such as the `table` of a victim.
        """
        translated = copy.copy(self)
        translated.table = table
        own = np.arange(256, dtype=np.uint8) if self._labels_in is None else self._labels_in
        translated._labels_in = self.table.translation(table)[own]
        return translated

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.items)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Return `image` uint8 `(3, H, W)` and `labels` uint8 `(H, W)`."""
        item = self.items[index]
        image, labels = self.split_row(self.read_row(item), item)
        return {"image": torch.from_numpy(image), "labels": torch.from_numpy(labels)}

    def read_row(self, item: Item) -> NDArray[np.uint8]:
        """Return an image and the ids of its label file, uint8 `(4, H, W)` at `size`; ids are 255 without labels.

        Raises:
            InputError: a file cannot be read, or labels and image differ in size.
        """
        image = pictures.read_image(item.image, upright=self.upright)
        row = np.full((4, *self.size), IGNORE, np.uint8)
        row[:3] = pictures.resize_image(image, self.size, self.resampling).transpose(2, 0, 1)
        if item.labels is not None:
            ids = self.read_ids(item.labels)
            if ids.shape != image.shape[:2]:
                raise InputError(
                    f"{item.labels} has {ids.shape[0]} x {ids.shape[1]} pixels, but its image {item.image} has "
                    f"{image.shape[0]} x {image.shape[1]}, expected the same. Are they of the same data set? Extract "
                    "both again, or resize the labels by the nearest neighbor.",
                    kind="wrong_shape",
                )
            row[3] = resize_mask(ids, self.size)
        return row

    def split_row(self, row: NDArray[np.uint8], item: Item) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Split a result of `read_row` into the image `(3, H, W)` and the labels `(H, W)`, ids of `table`."""
        labels = row[3] if item.labels is None else self._translated(self.label_ids(row[3], item.labels))
        return row[:3], np.array(labels)  # a copy: the result of a look-up may not be writable

    def _translated(self, ids: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return ids if self._labels_in is None else self._labels_in[ids]

    def read_ids(self, path: Path | Source) -> NDArray[np.uint8]:
        """Return the ids `(H, W)` of a label file as they are stored."""
        return pictures.read_mask(path)

    def read_image(self, path: Path | Source) -> NDArray[np.uint8]:
        """Return an image uint8 `(H, W, 3)` RGB at `size`; a path may be relative to `root`."""
        found = self.find(path)
        image = pictures.read_image(found, upright=self.upright)
        say_enlarged([(found, (image.shape[0], image.shape[1]))], self.size)
        return pictures.resize_image(image, self.size, self.resampling)

    def read_labels(self, path: Path | Source) -> NDArray[np.uint8]:
        """Return labels uint8 `(H, W)`, ids of `table`, at `size`; a path may be relative to `root`."""
        found = self.find(path)
        return self._translated(self.label_ids(resize_mask(self.read_ids(found), self.size), found))

    def find(self, path: Path | Source) -> Path | Source:
        """Return a path unchanged if it exists, else the path below `root`."""
        if isinstance(path, Source) or path.is_absolute() or path.exists():
            return path
        return self.root / path

    def stored_size(self, image: Path | Source) -> tuple[int, int]:
        """Return the height and width of an image as it is stored."""
        return pictures.stored_size(image, upright=self.upright)

    def reading(self) -> list[Any]:
        """Return the settings that pixels and label ids depend on beside the files and `size`, as plain values."""
        return [__version__, type(self).__module__, type(self).__qualname__, self.resampling, self.upright]
