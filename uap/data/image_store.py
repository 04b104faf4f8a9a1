"""A disk cache of decoded, resized images and their labels, which is filled when images are first read."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from pytorch_lightning.utilities import rank_zero_info

from uap.data.row_file import Row, RowFile
from uap.datasets.sources import Item, stamps
from uap.utils import paths

GIB = 2**30


class ImageStore:
    """A file of images with their labels, uint8 `(4, H, W)` each: red, green, blue, and the ids of the label file."""

    def __init__(self, path: Path, rows: dict[Item, int], size: tuple[int, int], usable: int) -> None:
        """Open the file, and create it if it does not exist.

        Args:
            path: the file.
            rows: the row of each image.
            size: height and width of the images.
            usable: number of rows that may be used, the first ones.

        Raises:
            OSError: the file cannot be created.
        """
        self.file = RowFile(path, (len(rows), 4, *size))
        self.rows = {(item.image, item.labels): row for item, row in rows.items()}
        self.usable = usable

    def get(self, item: Item) -> Row | None:
        """Return a copy of the row of an item, or None if it was not written."""
        index = self.rows.get((item.image, item.labels), self.usable)
        return self.file.get(index) if index < self.usable else None

    def put(self, item: Item, row: Row) -> None:
        """Write the row of an item if its index is usable. After an error of the disk, no more rows are written."""
        index = self.rows.get((item.image, item.labels), self.usable)
        if index >= self.usable:
            return
        try:
            self.file.put(index, row)
        except OSError as error:
            self.usable = 0
            print(f"Decoded images are not kept any more: {self.file.path} cannot be written ({error}).", flush=True)


def open_store(items: list[Item], settings: list[Any], size: tuple[int, int], gib: float) -> ImageStore | None:
    """Return the store of some images, and print its size before a large one is created.

    Args:
        items: the images.
        settings: the settings that pixels and labels depend on, as plain values.
        size: height and width to which images are resized.
        gib: largest size of the file, in GiB.

    Returns:
        The store, or None if `gib` is too small for one image or the file cannot be created.

    Raises:
        InputError: an image does not exist.
    """
    row = 4 * size[0] * size[1]
    usable = int(min(len(items), gib * GIB // row))
    if not usable:
        return None
    content = [settings, size, stamps(items, with_labels=True)]
    key = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
    path = paths.cache_folder() / "images" / f"{key}.npy"
    needed = usable * row
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            free = shutil.disk_usage(path.parent).free
            if free < 2 * needed:
                rank_zero_info(
                    f"Decoded images are not kept: they take {needed / GIB:.2f} GiB in {path.parent}, and the free "
                    f"space of {free / GIB:.2f} GiB is less than twice as much. Set UAP_CACHE to a folder with more."
                )
                return None
            if needed > GIB / 10:
                part = "" if usable == len(items) else f" for {usable} of {len(items)} images"
                rank_zero_info(f"Keeping decoded images in {path.parent}: {needed / GIB:.2f} GiB{part}.")
        return ImageStore(path, {item: number for number, item in enumerate(items)}, size, usable)
    except OSError as error:
        rank_zero_info(f"Decoded images are not kept ({error}). Set UAP_CACHE to a folder that can be written.")
        return None
