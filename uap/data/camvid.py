"""CamVid (Brostow et al., 2009) in the layout that SegNet's tutorial spread."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uap.data.base import Item, SegmentationData, Split
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

    def items(self, split: Split) -> list[Item]:
        """Return the images of a split, by name."""
        images = sorted((self.root / split).glob("*.png"))
        if not images:
            raise InputError(f"No images in {self.root / split}. Set --data.root to CamVid's folder. {TREE}")
        folder = self.root / f"{split}annot"
        labelled = folder.is_dir()
        missing = [image.name for image in images if labelled and not (folder / image.name).exists()]
        if missing:
            raise InputError(
                f"{len(missing)} of {len(images)} images in {self.root / split} have no labels in {folder}, "
                f"{missing[0]} first. Extract the data set again, or remove {folder} to go without labels. {TREE}"
            )
        return [Item(i.stem, i, folder / i.name if labelled else None) for i in images]

    def label_ids(self, ids: NDArray[np.uint8], path: Path) -> NDArray[np.uint8]:
        """Return the ids with void ignored."""
        if ids.max(initial=0) > VOID:
            raise InputError(f"{path} holds the id {ids.max()}, expected 0 to {VOID}. Is it CamVid with 11 classes?")
        return np.where(ids == VOID, np.uint8(IGNORE), ids)
