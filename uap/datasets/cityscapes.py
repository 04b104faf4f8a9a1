"""Cityscapes (Cordts et al., CVPR 2016), extracted or as the official zip files."""

from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from uap.datasets import pictures
from uap.datasets.base import SegmentationDataset, Split
from uap.datasets.files import files_below, is_hidden, say_left_out
from uap.datasets.sources import Item, Source, ZipMember, check_labeled, members, say_unlabeled
from uap.utils.class_tables import CITYSCAPES, CITYSCAPES_LABEL_IDS, IGNORE, check_train_ids
from uap.utils.errors import InputError

IMAGE, LABELS, TRAIN_IDS = "_leftImg8bit.png", "_gtFine_labelIds.png", "_gtFine_labelTrainIds.png"

TREE = f"""Expected, each as a folder or as the official zip file:
  ROOT/leftImg8bit/{{train,val,test}}/CITY/*{IMAGE}    or ROOT/leftImg8bit_trainvaltest.zip
  ROOT/leftImg8bit/train_extra/CITY/*{IMAGE}         or ROOT/leftImg8bit_trainextra.zip  (for the split train_extra)
  ROOT/gtFine/{{train,val,test}}/CITY/*{LABELS}     or ROOT/gtFine_trainvaltest.zip     (optional for an attack)
  or *{TRAIN_IDS} in the same folders for images without *{LABELS}"""


class Cityscapes(SegmentationDataset):
    """Street scenes of 50 cities with 19 classes, 2048 x 1024; labels optional.

    The files are read from extracted folders, or directly from the zip files; a folder takes precedence. The split
    `train_extra` has 19,998 more training images, without fine labels.

    Example:
        >>> Cityscapes("data/cityscapes", split="val", size=(256, 512)).table.names[:3]
        ('road', 'sidewalk', 'building')
    """

    table = CITYSCAPES
    train_splits: tuple[Split, ...] = ("train", "train_extra")

    def __init__(
        self,
        root: str = "data/cityscapes",
        split: Split = "val",
        size: tuple[int, int] = (512, 1024),
        resampling: pictures.Resampling = "pil",
    ) -> None:
        """Describe the images; arguments and errors are those of `SegmentationDataset`."""
        super().__init__(root, split, size, resampling)

    def find_items(self) -> list[Item]:
        """Return the images of the split, sorted by city and name."""
        split = self.split
        folder, files = self._files("leftImg8bit", split)
        images = _by_image(files, IMAGE)
        if not images:
            raise InputError(
                f"No images in {folder}. Set --data.root to Cityscapes' folder. {TREE}",
                setting="data.root",
                kind="missing_file",
            )
        say_left_out(folder, (PurePath(name) for name in files if not name.endswith(IMAGE)), f"pictures *{IMAGE}")
        folder, files = self._files("gtFine", split)
        labels = _by_image(files, TRAIN_IDS) | _by_image(files, LABELS)
        items = [Item(name.split("/")[1], images[name], labels.get(name)) for name in sorted(images)]
        if labels or folder.is_dir():
            return check_labeled(items, folder, TREE)
        searched = (self.root / "gtFine" / split / "CITY", self.root / "gtFine_trainvaltest.zip")
        patterns = [f"*{LABELS} and *{TRAIN_IDS} in {path}" for path in searched]
        return say_unlabeled(items, self.root / "leftImg8bit" / split, patterns)

    def find(self, path: Path | Source) -> Path | Source:
        """Return a path unchanged if it exists, else the path below `root`, or in a zip file there."""
        found = super().find(path)
        if isinstance(path, Path) and isinstance(found, Path) and not found.exists():
            for archive in sorted(self.root.glob("*_train*.zip")):
                if path.as_posix() in members(archive):
                    return ZipMember(archive, path.as_posix())
        return found

    def _files(self, kind: str, split: str) -> tuple[Path, dict[str, Path | Source]]:
        """Return the folder or zip file of a split, and its files by CITY/FILE."""
        folder = self.root / kind / split
        archive = self.root / f"{kind}_{'trainextra' if split == 'train_extra' else 'trainvaltest'}.zip"
        if folder.is_dir() or not archive.exists():
            return folder, {f"{path.parent.name}/{path.name}": path for path in files_below(folder)}
        top = f"{kind}/{split}/"
        names = [name.removeprefix(top) for name in members(archive) if name.startswith(top) and name[-1] != "/"]
        shown = [name for name in names if name.count("/") == 1 and not is_hidden(name.split("/")[1])]
        return archive, {name: ZipMember(archive, top + name) for name in shown}

    def label_ids(self, ids: NDArray[np.uint8], path: Path | Source) -> NDArray[np.uint8]:
        """Return train ids for the label ids of `*_labelIds.png`, and the train ids of `*_labelTrainIds.png` unchanged.

        Raises:
            InputError: an id that Cityscapes does not define.
        """
        if path.name.endswith(TRAIN_IDS):
            return check_train_ids(ids, path)
        wrong = ids[(ids > max(CITYSCAPES_LABEL_IDS)) & (ids != IGNORE)]
        if wrong.size:
            raise InputError(
                f"{path} holds the id {wrong[0]}, expected Cityscapes' label ids 0 to {max(CITYSCAPES_LABEL_IDS)}, or "
                "255. Are these labels of another data set?",
                kind="unusable_file",
            )
        train_ids = np.full(256, IGNORE, np.uint8)
        train_ids[list(CITYSCAPES_LABEL_IDS)] = range(len(CITYSCAPES_LABEL_IDS))
        return train_ids[ids]


def _by_image(files: dict[str, Path | Source], ending: str) -> dict[str, Path | Source]:
    """Return the files with a suffix, by their names without it."""
    return {name.removesuffix(ending): path for name, path in files.items() if name.endswith(ending)}
