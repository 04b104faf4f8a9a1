"""BDD100K (Yu et al., CVPR 2020): its 10,000 images with semantic labels."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uap.datasets import pictures
from uap.datasets.base import SegmentationDataset, Split
from uap.datasets.files import ENDINGS, files_below, readable_files
from uap.datasets.image_folder import names_of
from uap.datasets.sources import Item, Source, check_labeled, say_unlabeled
from uap.utils.class_tables import CITYSCAPES, check_train_ids
from uap.utils.errors import InputError

IMAGES = ("images/10k", "seg/images")
"""Folders of images in the two published layouts."""

LABELS = (("labels/sem_seg/masks", ".png"), ("seg/labels", "_train_id.png"))
"""Folders of labels in the two published layouts, and the suffix of the names of label files."""

TREE = """Expected:
  ROOT/images/10k/{train,val,test}/*.jpg     ROOT/labels/sem_seg/masks/{train,val}/*.png   (7,000, 1,000, 2,000 images)
or, as first published:
  ROOT/seg/images/{train,val,test}/*.jpg     ROOT/seg/labels/{train,val}/*_train_id.png"""


class BDD100K(SegmentationDataset):
    """Driving scenes of the United States with Cityscapes' 19 classes, 1280 x 720; labels optional.

    Example:
        >>> BDD100K("data/bdd100k", split="val").size
        (360, 640)
    """

    table = CITYSCAPES

    def __init__(
        self,
        root: str = "data/bdd100k",
        split: Split = "val",
        size: tuple[int, int] = (360, 640),
        resampling: pictures.Resampling = "pil",
    ) -> None:
        """Describe the images; arguments and errors are those of `SegmentationDataset`."""
        super().__init__(root, split, size, resampling)

    def find_items(self) -> list[Item]:
        """Return the images of the split, sorted by name."""
        for images in IMAGES:
            folder = self.root / images / self.split
            found = readable_files(folder, ENDINGS, "pictures")
            if found:
                return self._with_labels(found, folder)
        raise InputError(
            f"No images in {self.root / IMAGES[0] / self.split}. Set --data.root to the folder of BDD100K. {TREE}",
            setting="data.root",
            kind="missing_file",
        )

    def _with_labels(self, images: list[Path], folder: Path) -> list[Item]:
        folders = [(self.root / labels / self.split, ending) for labels, ending in LABELS]
        label_folder, ending = next((found for found in folders if found[0].is_dir()), (None, ""))
        files = [] if label_folder is None else files_below(label_folder)
        labels = {path.name.removesuffix(ending): path for path in files if path.name.endswith(ending)}
        names = names_of(images, folder)
        items = [Item(name, image, labels.get(image.stem)) for name, image in zip(names, images, strict=True)]
        if label_folder is None:
            return say_unlabeled(items, folder, [str(searched) for searched, _ in folders])
        return check_labeled(items, label_folder, TREE)

    def label_ids(self, ids: NDArray[np.uint8], path: Path | Source) -> NDArray[np.uint8]:
        """Return the ids unchanged, because they are Cityscapes' train ids; errors as of `SegmentationDataset`."""
        return check_train_ids(ids, path)
