"""Images and the boxes of their objects, from files of instance ids in the layout of Cityscapes."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from uap.datasets import pictures
from uap.datasets.base import SegmentationDataset
from uap.datasets.cityscapes import LABELS, Cityscapes
from uap.datasets.sources import Item, Source
from uap.datasets.streetscenes import INSTANCES, StreetScenes
from uap.utils.class_tables import CITYSCAPES, CITYSCAPES_LABEL_IDS, LabelTable
from uap.utils.errors import InputError

BACKGROUND = "background"
"""The name of the class of boxes without an object."""

SMALLEST_SIDE, SMALLEST_AREA = 6, 60
"""The smallest side of a box and the smallest number of visible pixels of its object, in pixels."""


def box_table(names: list[str], table: LabelTable = CITYSCAPES) -> LabelTable:
    """Return the table of a detection network: the background, and some classes of another table.

    Raises:
        InputError: a class does not exist.

    Example:
        >>> box_table(["car"]).names
        ('background', 'car')
    """
    return LabelTable((BACKGROUND, *names), ((0, 0, 0), *(table.colors[i] for i in table.ids(names))))


class Boxes(Dataset[dict[str, Tensor]]):
    """Images of Cityscapes or of synthetic scenes, with a box around the visible part of each object.

    `boxes[i]` is a mapping: `image` uint8 `(3, H, W)`, `boxes` float32 `(K, 4)` as left, top, right and bottom edge in
    pixels, and `classes` int64 `(K,)`, ids of `table`. Objects are left out if a side of their box is below
    `SMALLEST_SIDE` or if they show fewer than `SMALLEST_AREA` pixels.

    Args:
        images: the images. Their files `*_gtFine_instanceIds.png` have 1000 times the label id plus the number of the
            object at each pixel; for synthetic scenes they are written when they are first needed.
        table: the classes, background first.

    Raises:
        InputError: the data set has no instances, or none of the classes is a class of Cityscapes.

    Example:
        >>> scenes = StreetScenes("scenes", split="train", scenes=2)
        >>> sample = Boxes(scenes, box_table(["person", "car"]))[0]
        >>> sample["boxes"].shape[1], sample["boxes"].dtype, sample["classes"].dtype
        (4, torch.float32, torch.int64)
    """

    def __init__(self, images: SegmentationDataset, table: LabelTable) -> None:
        """Describe the boxes."""
        if not isinstance(images, Cityscapes):
            raise InputError(
                f"{type(images).__name__} has no boxes of objects, expected Cityscapes or StreetScenes.",
                setting="data",
                kind="not_supported",
            )
        self.images = images
        self.table = table
        known = table.translation(CITYSCAPES)
        self.classes = {CITYSCAPES_LABEL_IDS[known[i]]: i for i in range(len(table)) if known[i] < len(CITYSCAPES)}
        if not self.classes:
            raise InputError(
                f"None of the classes {', '.join(table.names)} is a class of Cityscapes, whose boxes have the classes "
                f"{', '.join(CITYSCAPES.names)}.",
                setting="classes",
                kind="unknown_name",
            )

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Return `image`, `boxes` and `classes`."""
        boxes, classes = self.boxes_of(self.images.items[index])
        return {"image": self.images[index]["image"], "boxes": boxes, "classes": classes}

    def boxes_of(self, item: Item) -> tuple[Tensor, Tensor]:
        """Return the boxes float32 `(K, 4)` and classes int64 `(K,)` of an image.

        Raises:
            InputError: the file of instance ids is missing or cannot be read.
        """
        ids = pictures.read_numbers(self._file(item))
        boxes, classes = boxes_of_instances(ids, self.classes)
        height, width = self.images.size
        scale = np.array([width / ids.shape[1], height / ids.shape[0]] * 2)
        return torch.from_numpy((boxes * scale).astype(np.float32)), torch.from_numpy(classes)

    def _file(self, item: Item) -> Path | Source:
        if isinstance(self.images, StreetScenes):
            return self.images.instance_file(item)
        if not isinstance(item.labels, Path) or not item.labels.name.endswith(LABELS):
            raise InputError(
                f"{item.name} has no file *{LABELS}, beside which *{INSTANCES} is expected. Extract gtFine.",
                setting="data.root",
                kind="missing_file",
            )
        return item.labels.with_name(item.labels.name.replace(LABELS, INSTANCES))


def boxes_of_instances(
    ids: NDArray[np.int32], classes: dict[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the boxes `(K, 4)` and classes `(K,)` of a map of instance ids.

    Args:
        ids: `(H, W)`, 1000 times the label id plus the number of the object; ids below 1000 have no object.
        classes: the class of each label id; objects of other label ids are left out.

    Example:
        >>> ids = np.zeros((20, 20), np.int32)
        >>> ids[5:15, 2:12] = 26_001
        >>> boxes, found = boxes_of_instances(ids, {26: 3})
        >>> boxes.tolist(), found.tolist()
        ([[2.0, 5.0, 12.0, 15.0]], [3])
    """
    boxes, found = [], []
    for number in np.unique(ids[ids >= 1000]):
        label = int(number) // 1000
        if label not in classes:
            continue
        rows, columns = np.nonzero(ids == number)
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        if min(box[2] - box[0], box[3] - box[1]) >= SMALLEST_SIDE and len(rows) >= SMALLEST_AREA:
            boxes.append(box)
            found.append(classes[label])
    return np.array(boxes, np.float64).reshape(-1, 4), np.array(found, np.int64)
