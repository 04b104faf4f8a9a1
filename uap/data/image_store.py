"""Decoded, resized images and their labels, kept on disk from the first time that each is read."""

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
    """Images and their labels, uint8 (4, H, W) each: red, green, blue, and the ids as the label file has them."""

    def __init__(self, path: Path, rows: dict[Item, int], size: tuple[int, int], usable: int) -> None:
        """Open a store, made where it is not there.

        Args:
            path: the file.
            rows: which row is whose.
            size: height and width of the images.
            usable: how many rows may be written by this process.

        Raises:
            OSError: it cannot be made.
        """
        self.file = RowFile(path, (len(rows), 4, *size))
        self.rows = {(item.image, item.labels): row for item, row in rows.items()}
        self.usable = usable

    def get(self, item: Item) -> Row | None:
        """Return a copy of the row of an item, None where it is not there."""
        place = self.rows.get((item.image, item.labels), self.usable)
        return self.file.get(place) if place < self.usable else None

    def put(self, item: Item, row: Row) -> None:
        """Keep the row of an item, if there is room for it."""
        place = self.rows.get((item.image, item.labels), self.usable)
        if place >= self.usable:
            return
        try:
            self.file.put(place, row)
        except OSError as error:
            self.usable = 0
            print(f"Decoded images are not kept any more: {self.file.path} cannot be written ({error}).", flush=True)


def open_store(items: list[Item], settings: list[Any], size: tuple[int, int], gib: float) -> ImageStore | None:
    """Return the store of some images, and say how large it becomes before it is made.

    Args:
        items: the images.
        settings: what else their pixels and labels depend on; plain values.
        size: height and width that they are resized to.
        gib: how much of the disk it may take, in GiB.

    Returns:
        The store; None where none is allowed, or it cannot be made.

    Raises:
        InputError: an image is not there.
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
                    f"Decoded images are not kept: {needed / GIB:.2f} GiB in {path.parent}, where {free / GIB:.2f} are "
                    "free. Set UAP_CACHE to a folder with more."
                )
                return None
            if needed > GIB / 10:
                part = "" if usable == len(items) else f" for {usable} of {len(items)} images"
                rank_zero_info(f"Keeping decoded images in {path.parent}: {needed / GIB:.2f} GiB{part}.")
        return ImageStore(path, {item: number for number, item in enumerate(items)}, size, usable)
    except OSError as error:
        rank_zero_info(f"Decoded images are not kept ({error}). Set UAP_CACHE to a folder that can be written.")
        return None
