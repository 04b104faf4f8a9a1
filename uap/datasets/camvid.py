"""CamVid (Brostow et al., 2009) in two layouts: with labels as ids of 11 classes, or as colors of 32 classes."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from uap.datasets import pictures
from uap.datasets.base import SegmentationDataset, Split
from uap.datasets.camvid_colors import CLASS_DICT, VOID, ids_of_colors
from uap.datasets.files import ENDINGS, files_below, readable_files
from uap.datasets.image_folder import names_of
from uap.datasets.sources import Item, Source, check_labeled, say_unlabeled, stamp
from uap.utils.class_tables import CAMVID, IGNORE
from uap.utils.errors import InputError

LAYOUTS = ("{}annot", "{}_labels")
"""Folders of the labels of a split in the two layouts."""

COLORED = "_L"
"""The suffix of the names of colored label files."""

TREE = """Expected, as in the tutorial of SegNet:
  ROOT/train/*.png       ROOT/trainannot/*.png    (367 images, 480 x 360, and their class ids 0 to 11)
  ROOT/val/*.png         ROOT/valannot/*.png      (101)
  ROOT/test/*.png        ROOT/testannot/*.png     (233)
or with colored labels of 32 classes:
  ROOT/train/*.png       ROOT/train_labels/*_L.png      ROOT/class_dict.csv      (960 x 720; val and test likewise)"""


class CamVid(SegmentationDataset):
    """Driving scenes with 11 classes, 480 x 360 or 960 x 720; labels optional, as ids or as colors of 32 classes.

    Example:
        >>> CamVid("data/camvid", split="train").table.names[:3]
        ('sky', 'building', 'pole')
    """

    table = CAMVID

    def __init__(
        self,
        root: str = "data/camvid",
        split: Split = "val",
        size: tuple[int, int] = (360, 480),
        resampling: pictures.Resampling = "pil",
    ) -> None:
        """Describe the images; arguments and errors are those of `SegmentationDataset`."""
        super().__init__(root, split, size, resampling)

    def find_items(self) -> list[Item]:
        """Return the images of the split, sorted by name."""
        folder, split = self.root / self.split, self.split
        images = readable_files(folder, ENDINGS, "pictures")
        if not images:
            raise InputError(
                f"No images in {folder}. Set --data.root to CamVid's folder. {TREE}",
                setting="data.root",
                kind="missing_file",
            )
        folders = [self.root / layout.format(split) for layout in LAYOUTS]
        labels = next((found for found in folders if found.is_dir()), None)
        found = {} if labels is None else _by_image(labels)
        items = [
            Item(name, image, found.get(image.relative_to(folder).with_suffix("")))
            for name, image in zip(names_of(images, folder), images, strict=True)
        ]
        if labels is None:
            return say_unlabeled(items, folder, [str(searched) for searched in folders])
        return check_labeled(items, labels, TREE)

    def read_ids(self, path: Path | Source) -> NDArray[np.uint8]:
        """Return the ids `(H, W)` of a label file, 0 to 11; colors are translated to ids."""
        if isinstance(path, Path) and (path.stem.endswith(COLORED) or not pictures.has_ids(path)):
            return ids_of_colors(pictures.read_image(path), path)
        return super().read_ids(path)

    def reading(self) -> list[Any]:
        """Return the settings that pixels and label ids depend on, with the stamp of the list of colors."""
        colors = self.root / CLASS_DICT
        return [*super().reading(), *([stamp(colors)] if colors.exists() else [])]

    def label_ids(self, ids: NDArray[np.uint8], path: Path | Source) -> NDArray[np.uint8]:
        """Return the ids with 255 = ignored for void.

        Raises:
            InputError: an id above 11.
        """
        if ids.max(initial=0) > VOID:
            raise InputError(
                f"{path} holds the id {ids.max()}, expected 0 to {VOID}. Is it CamVid with 11 classes?",
                kind="unusable_file",
            )
        return np.where(ids == VOID, np.uint8(IGNORE), ids)


def _by_image(folder: Path) -> dict[Path, Path]:
    """Return the label files below a folder by the relative path of their images, without the suffix."""
    files = (path for path in files_below(folder) if path.suffix.lower() == ".png")
    return {(path.parent / path.stem.removesuffix(COLORED)).relative_to(folder): path for path in files}
