"""BDD100K (Yu et al., CVPR 2020), the 10,000 images with semantic labels."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uap.data.base import SegmentationData, Split, TrainSplit
from uap.data.sources import Item, Source, check_labelled
from uap.errors import InputError
from uap.labels import CITYSCAPES, IGNORE

LAYOUTS = (("images/10k", "labels/sem_seg/masks", ".png"), ("seg/images", "seg/labels", "_train_id.png"))
"""Folders of images and of labels, and what follows an image's name in the name of its labels; both were published."""

TREE = """Expected:
  ROOT/images/10k/{train,val,test}/*.jpg     ROOT/labels/sem_seg/masks/{train,val}/*.png   (7,000, 1,000, 2,000 images)
or, as first published:
  ROOT/seg/images/{train,val,test}/*.jpg     ROOT/seg/labels/{train,val}/*_train_id.png"""


class BDD100K(SegmentationData):
    """Driving scenes of the United States with Cityscapes' 19 classes, 1280 x 720; labels optional."""

    table = CITYSCAPES

    def __init__(self, root: str = "data/bdd100k", size: tuple[int, int] = (360, 640), **settings: Any) -> None:
        """Describe the data; `settings` are those of `SegmentationData`."""
        super().__init__(root, size, **settings)

    def items(self, split: Split | TrainSplit) -> list[Item]:
        """Return the images of a split, by name."""
        for images, labels, ending in LAYOUTS:
            found = sorted((self.root / images / split).glob("*.jpg"))
            if found:
                return _with_labels(found, self.root / labels / split, ending)
        raise InputError(
            f"No images in {self.root / LAYOUTS[0][0] / split}. Set --data.root to the folder of BDD100K. {TREE}"
        )

    def label_ids(self, ids: NDArray[np.uint8], place: Path | Source) -> NDArray[np.uint8]:
        """Return the ids as they are: they are Cityscapes' train ids."""
        wrong = ids[(ids >= len(CITYSCAPES)) & (ids != IGNORE)]
        if wrong.size:
            raise InputError(
                f"{place} holds the id {wrong[0]}, expected train ids 0 to {len(CITYSCAPES) - 1}, or 255. Are these "
                "BDD100K's masks for semantic segmentation?"
            )
        return ids


def _with_labels(images: list[Path], folder: Path, ending: str) -> list[Item]:
    if not folder.is_dir():
        return [Item(image.stem, image, None) for image in images]
    labels = {path.name.removesuffix(ending): path for path in folder.glob(f"*{ending}")}
    return check_labelled([Item(i.stem, i, labels.get(i.stem)) for i in images], folder, TREE)
