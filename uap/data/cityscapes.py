"""Cityscapes (Cordts et al., CVPR 2016), the extracted tree."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uap.data.base import Item, SegmentationData, Split
from uap.errors import InputError
from uap.labels import CITYSCAPES, CITYSCAPES_LABEL_IDS, IGNORE

IMAGE, LABELS = "_leftImg8bit.png", "_gtFine_labelIds.png"

TREE = f"""Expected:
  ROOT/leftImg8bit/{{train,val,test}}/CITY/*{IMAGE}     (leftImg8bit_trainvaltest.zip)
  ROOT/gtFine/{{train,val,test}}/CITY/*{LABELS}         (gtFine_trainvaltest.zip; an attack does without)"""


class Cityscapes(SegmentationData):
    """Street scenes of 50 cities with 19 classes, 2048 x 1024; labels optional."""

    table = CITYSCAPES

    def __init__(self, root: str = "data/cityscapes", size: tuple[int, int] = (512, 1024), **settings: Any) -> None:
        """Describe the data; `settings` are those of `SegmentationData`."""
        super().__init__(root, size, **settings)

    def items(self, split: Split) -> list[Item]:
        """Return the images of a split, by city and name."""
        images = sorted((self.root / "leftImg8bit" / split).glob(f"*/*{IMAGE}"))
        if not images:
            raise InputError(
                f"No images in {self.root / 'leftImg8bit' / split}. Set --data.root to the extracted Cityscapes. {TREE}"
            )
        folder = self.root / "gtFine" / split
        if not folder.is_dir():
            return [Item(i.name.removesuffix(IMAGE), i, None) for i in images]
        items = [
            Item(name, i, folder / i.parent.name / (name + LABELS))
            for i in images
            for name in [i.name.removesuffix(IMAGE)]
        ]
        missing = [item.name for item in items if item.labels and not item.labels.exists()]
        if missing:
            raise InputError(
                f"{len(missing)} of {len(items)} images of the split {split} have no labels in {folder}, {missing[0]} "
                f"first. Extract gtFine_trainvaltest.zip again, or remove {folder} to go without labels. {TREE}"
            )
        return items

    def label_ids(self, ids: NDArray[np.uint8], path: Path) -> NDArray[np.uint8]:
        """Return train ids for the label ids of `*_labelIds.png`."""
        wrong = ids[(ids > max(CITYSCAPES_LABEL_IDS)) & (ids != IGNORE)]
        if wrong.size:
            raise InputError(
                f"{path} holds the id {wrong[0]}, expected Cityscapes' label ids 0 to {max(CITYSCAPES_LABEL_IDS)}, or "
                "255. Are these labels of another data set?"
            )
        train_ids = np.full(256, IGNORE, np.uint8)
        train_ids[list(CITYSCAPES_LABEL_IDS)] = range(len(CITYSCAPES_LABEL_IDS))
        return train_ids[ids]
