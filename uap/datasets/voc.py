"""Pascal VOC 2012 (Everingham et al., IJCV 2015), optionally with SBD (Hariharan et al., ICCV 2011)."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from uap.datasets import pictures
from uap.datasets.base import SegmentationDataset, Split
from uap.datasets.files import ENDINGS, ends_in, files_below
from uap.datasets.sources import Item, Source, check_file, check_labeled, say_unlabeled
from uap.datasets.unreadable import unreadable_file
from uap.utils.class_tables import IGNORE, VOC
from uap.utils.errors import InputError

TREE = """Expected:
  ROOT/JPEGImages/*.jpg
  ROOT/SegmentationClass/*.png                             (palette PNGs; optional for an attack)
  ROOT/ImageSets/Segmentation/{train,val,trainval}.txt     (1,464, 1,449 and 2,913 names)"""

SBD_TREE = """Expected:
  SBD/img/*.jpg     SBD/cls/*.mat     SBD/train.txt     SBD/val.txt     (benchmark_RELEASE/dataset)"""


class PascalVOC(SegmentationDataset):
    """Photographs with 20 object classes and background, of many sizes; labels optional.

    Every image is resized to `size`, without preserving its aspect ratio.

    Example:
        >>> len(PascalVOC("data/VOCdevkit/VOC2012", split="trainval").table)
        21
    """

    table = VOC
    train_splits: tuple[Split, ...] = ("train", "trainval")

    def __init__(
        self,
        root: str = "data/VOCdevkit/VOC2012",
        split: Split = "val",
        size: tuple[int, int] = (384, 512),
        sbd: str | None = None,
        resampling: pictures.Resampling = "pil",
    ) -> None:
        """Describe the images.

        Args:
            root: the folder of the year, which contains `JPEGImages`.
            split: `train`, `val`, `test` or `trainval`.
            size: height and width that images and labels are resized to.
            sbd: the folder of SBD, to add its images to the training images, without the validation images of VOC;
                10,582 images in total.
            resampling: how images are resized: `pil` averages over dropped pixels, `opencv` does not.

        Raises:
            InputError: a size below 1.
        """
        super().__init__(root, split, size, resampling)
        self.sbd = Path(sbd) if sbd is not None else None

    def find_items(self) -> list[Item]:
        """Return the images of the split in the order of its list, then those of SBD."""
        split = self.split
        names = _names(self.root / "ImageSets" / "Segmentation" / f"{split}.txt", "root", TREE)
        items = self._items(names, self.root / "JPEGImages", self.root / "SegmentationClass", ".png", TREE)
        if self.sbd is None or split not in ("train", "trainval"):
            return items
        ours = {*names, *_names(self.root / "ImageSets" / "Segmentation" / "val.txt", "root", TREE)}
        lists = [_names(self.sbd / name, "sbd", SBD_TREE) for name in ("train.txt", "val.txt")]
        added = sorted({name for names in lists for name in names} - ours)
        return items + self._items(added, self.sbd / "img", self.sbd / "cls", ".mat", SBD_TREE)

    def _items(self, names: list[str], images: Path, labels: Path, ending: str, tree: str) -> list[Item]:
        found = {path.stem: path for path in reversed(files_below(images)) if ends_in(path, ENDINGS)}
        missing = [name for name in names if name not in found]
        if missing:
            raise InputError(
                f"{len(missing)} of {len(names)} images are not in {images}, {missing[0]} first. {tree}",
                setting="data.root",
                kind="missing_file",
            )
        items = []
        for name in names:
            path = labels / (name + ending)
            items.append(Item(name, found[name], path if path.exists() else None))
        if labels.is_dir():
            return check_labeled(items, labels, tree)
        return say_unlabeled(items, images, [f"{labels}/*{ending}"])

    def read_ids(self, path: Path | Source) -> NDArray[np.uint8]:
        """Return the ids `(H, W)` of a PNG file of VOC or of a `.mat` file of SBD."""
        if not isinstance(path, Path) or path.suffix != ".mat":
            return super().read_ids(path)
        check_file(path)
        try:
            ids: NDArray[np.uint8] = loadmat(path)["GTcls"]["Segmentation"][0, 0].astype(np.uint8)
        except Exception as error:  # SciPy can raise any error for a damaged file
            if isinstance(error, OSError) and error.errno is not None:
                raise unreadable_file(path, error, "Extract the labels again.") from error
            raise InputError(
                f"{path} cannot be read as labels of SBD ({error}). It is truncated or another file: extract it again.",
                kind="unusable_file",
            ) from error
        return ids

    def label_ids(self, ids: NDArray[np.uint8], path: Path | Source) -> NDArray[np.uint8]:
        """Return the ids unchanged: they are the ids of the table, and 255 for the borders of objects.

        Raises:
            InputError: an id that VOC does not define.
        """
        wrong = ids[(ids >= len(VOC)) & (ids != IGNORE)]
        if wrong.size:
            raise InputError(
                f"{path} holds the id {wrong[0]}, expected 0 to {len(VOC) - 1}, or 255. Are these the palette PNGs of "
                "SegmentationClass?",
                kind="unusable_file",
            )
        return ids


def _names(path: Path, setting: str, tree: str) -> list[str]:
    check_file(path)
    try:
        names = path.read_text(encoding="utf-8").split()
    except (OSError, ValueError) as error:  # ValueError: not text, or an invalid file name
        raise InputError(
            f"No list of images {path} ({error}). Set --data.{setting} to its folder. {tree}",
            setting=f"data.{setting}",
            kind="missing_file",
        ) from error
    if not names:
        raise InputError(f"{path} lists no image. {tree}", kind="unusable_file")
    return names
