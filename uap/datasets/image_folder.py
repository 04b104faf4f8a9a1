"""A folder of images without labels."""

from collections import Counter
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from uap.datasets import pictures
from uap.datasets.base import SegmentationDataset, Split
from uap.datasets.files import ENDINGS, ends_in, is_hidden, readable_files
from uap.datasets.sources import Item, Source
from uap.utils.class_tables import UNLABELLED
from uap.utils.errors import InputError
from uap.utils.messages import say_once

SPLITS: tuple[Split, ...] = ("train", "val", "test")


class ImageFolder(SegmentationDataset):
    """Images of any size in a folder and its subfolders, without labels.

    If the root has folders `train`, `val` or `test`, these are the splits. Otherwise, a share of the images, sampled
    with the seed, is both `val` and `test`, and the other images are `train`. With a share of 0, all images are in all
    splits.

    Every image is rotated by its EXIF orientation and resized to `size`, without preserving its aspect ratio.

    Example:
        >>> ImageFolder("photos", split="train", size=(512, 1024), scored_share=0.1).size
        (512, 1024)
    """

    table = UNLABELLED
    upright = True
    kind = "images"
    endings: tuple[str, ...] = ENDINGS

    def __init__(
        self,
        root: str = "data/images",
        split: Split = "val",
        size: tuple[int, int] = (256, 512),
        scored_share: float = 0.2,
        seed: int = 0,
        resampling: pictures.Resampling = "pil",
    ) -> None:
        """Describe the images.

        Args:
            root: folder of the images.
            split: `train`, `val` or `test`.
            size: height and width that images are resized to.
            scored_share: share of the images in `val` and `test`, if the root has no folders `train`, `val` or `test`.
            seed: seed of the sampling of these images.
            resampling: how images are resized: `pil` averages over dropped pixels, `opencv` does not.

        Raises:
            InputError: a share outside [0, 1), or a size below 1.
        """
        super().__init__(root, split, size, resampling)
        if not 0 <= scored_share < 1:
            raise InputError(
                f"data.scored_share is {scored_share}, expected 0 or more, and less than 1.",
                setting="data.scored_share",
                kind="out_of_range",
            )
        self.scored_share = scored_share
        self.seed = seed

    def find_items(self) -> list[Item]:
        """Return the images of the split, sorted by path."""
        folder = self.folder(self.split)
        items = self.read_items(folder)
        if not items:
            raise InputError(f"No {self.kind} in {folder}. {self._tree()}", setting="data.root", kind="missing_file")
        if folder != self.root:
            self._say_beside()
            return items
        if self.scored_share == 0:
            return items
        scored = self.is_scored(items)
        if scored.all() or not scored.any():
            raise InputError(
                f"{folder} has {len(items)} images, too few to split them into training and scored images. Add images, "
                "or set --data.scored_share 0 to use all images for both.",
                setting="data.root",
                kind="out_of_range",
            )
        return [item for item, held in zip(items, scored, strict=True) if held != (self.split == "train")]

    def folder(self, split: Split) -> Path:
        """Return the folder of a split, or the root if it has no folders for splits."""
        return self.root / split if any((self.root / name).is_dir() for name in SPLITS) else self.root

    def find_files(self, folder: Path) -> list[Path]:
        """Return the files in a folder and its subfolders with a suffix in `endings`, sorted, without hidden files.

        Raises:
            InputError: the folder is a file.
        """
        if folder.is_file():
            raise InputError(
                f"{folder} is a file, expected a folder. {self._tree()}", setting="data.root", kind="unusable_file"
            )
        return readable_files(folder, self.endings, self.kind)

    def read_items(self, folder: Path) -> list[Item]:
        """Return the items of a folder in a fixed order."""
        paths = self.find_files(folder)
        return [Item(name, path, None) for name, path in zip(names_of(paths, folder), paths, strict=True)]

    def is_scored(self, items: list[Item]) -> NDArray[np.bool_]:
        """Return a bool array `(N,)`, True for the scored images, if the root has no folders for splits."""
        scored = np.zeros(len(items), np.bool_)
        count = max(1, round(self.scored_share * len(items)))
        scored[np.random.default_rng(self.seed).permutation(len(items))[:count]] = True
        return scored

    def _say_beside(self) -> None:
        """Report once the files and folders in the root that are left out because it has folders for splits."""
        paths = (path for path in self.root.iterdir() if path.name not in SPLITS and not is_hidden(path.name))
        beside = sorted(path.name for path in paths if path.is_dir() or ends_in(path, self.endings))
        if beside:
            say_once(
                f"{self.root} has folders train, val or test, so only these are read. Left out: "
                f"{', '.join(beside[:5])}{f' and {len(beside) - 5} more' if len(beside) > 5 else ''}."
            )

    def label_ids(self, ids: NDArray[np.uint8], path: Path | Source) -> NoReturn:
        """Raise an error, because the data set has no classes.

        Raises:
            InputError: always.
        """
        raise InputError(
            f"{path} cannot be read as labels: {type(self).__name__} has no classes. Set model.objective.image to an "
            "image, whose prediction is then the target.",
            setting="model.objective.labels",
            kind="not_supported",
        )

    def _tree(self) -> str:
        return (
            f"Set --data.root. Expected, at any depth:\n  ROOT/*{{{','.join(self.endings)}}}\n"
            "or, to choose the scored images:\n  ROOT/train/...     ROOT/val/...     ROOT/test/..."
        )


def names_of(paths: list[Path], folder: Path) -> list[str]:
    """Return a unique name for each file below a folder, without slashes, and without the suffix if possible."""
    parts = [path.relative_to(folder).parts for path in paths]
    stems = ["_".join((*p[:-1], path.stem)) for p, path in zip(parts, paths, strict=True)]
    counts = Counter(stems)
    names = ["_".join(p) if counts[stem] > 1 else stem for p, stem in zip(parts, stems, strict=True)]
    seen: Counter[str] = Counter()
    for i, name in enumerate(names):
        seen[name] += 1
        names[i] = name if seen[name] == 1 else f"{name}_{seen[name]}"
    return names
