"""CamVid (Brostow et al., 2009) in the layout that SegNet's tutorial spread."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uap.data.base import SegmentationData, Split, TrainSplit
from uap.data.sources import Item, Source, check_labelled
from uap.errors import InputError
from uap.labels import CAMVID, IGNORE

VOID = 11
"""The id of unlabelled pixels in the label files."""

TREE = """Expected:
  ROOT/train/*.png       ROOT/trainannot/*.png    (367 images, 480 x 360, and their class ids 0 to 11)
  ROOT/val/*.png         ROOT/valannot/*.png      (101)
  ROOT/test/*.png        ROOT/testannot/*.png     (233)"""


class CamVid(SegmentationData):
    """Driving scenes with 11 classes, 480 x 360; labels optional."""

    table = CAMVID

    def __init__(self, root: str = "data/camvid", size: tuple[int, int] = (360, 480), **settings: Any) -> None:
        """Describe the data; `settings` are those of `SegmentationData`."""
        super().__init__(root, size, **settings)

    def items(self, split: Split | TrainSplit) -> list[Item]:
        """Return the images of a split, by name."""
        images = sorted((self.root / split).glob("*.png"))
        if not images:
            raise InputError(f"No images in {self.root / split}. Set --data.root to CamVid's folder. {TREE}")
        folder = self.root / f"{split}annot"
        if not folder.is_dir():
            return [Item(image.stem, image, None) for image in images]
        labels = {path.name: path for path in folder.glob("*.png")}
        return check_labelled([Item(i.stem, i, labels.get(i.name)) for i in images], folder, TREE)

    def label_ids(self, ids: NDArray[np.uint8], place: Path | Source) -> NDArray[np.uint8]:
        """Return the ids with void ignored."""
        if ids.max(initial=0) > VOID:
            raise InputError(f"{place} holds the id {ids.max()}, expected 0 to {VOID}. Is it CamVid with 11 classes?")
        return np.where(ids == VOID, np.uint8(IGNORE), ids)
