"""Decoded, resized images and their labels, kept on disk from the first time that each is read."""

import hashlib
import json
import os
import shutil
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pytorch_lightning.utilities import rank_zero_info

from uap import paths
from uap.data.sources import Item, stamps
from uap.whole_file import whole_file

GIB = 2**30

Row = NDArray[np.uint8]
"""An image and its labels, uint8 (4, H, W): red, green, blue, and the ids as the label file has them."""


class ImageStore:
    """A file of rows with a checksum for each, mapped into memory by every process that reads it.

    Any number of processes may fill it at the same time: they write the same. A row counts when its checksum fits, so
    that one that was half written when a process or the power went is read anew.
    """

    def __init__(self, path: Path, rows: dict[Item, int], size: tuple[int, int], usable: int) -> None:
        """Open a store, made where it is not there.

        Args:
            path: the file; it takes room on the disk only for rows that are written.
            rows: which row is whose.
            size: height and width of the images.
            usable: how many rows may be written by this process.

        Raises:
            OSError: it cannot be made.
        """
        self.path = path
        self.rows = {(item.image, item.labels): row for item, row in rows.items()}
        self.shape = (len(rows), 4, *size)
        self.usable = usable
        self._mapped: tuple[NDArray[np.uint8], NDArray[np.uint32]] | None = None
        if not path.exists():
            with whole_file(path) as place, place.open("wb") as file:
                file.truncate(int(np.prod(self.shape)) + 4 * len(rows))

    def __getstate__(self) -> dict[str, Any]:
        """Leave the mapping behind: each process has its own."""
        return self.__dict__ | {"_mapped": None}

    def _open(self) -> tuple[NDArray[np.uint8], NDArray[np.uint32]]:
        if self._mapped is None:
            images = np.memmap(self.path, np.uint8, "r", 0, self.shape)
            self._mapped = images, np.memmap(self.path, np.uint32, "r", images.nbytes, (self.shape[0],))
        return self._mapped

    def get(self, item: Item) -> Row | None:
        """Return a copy of the row of an item, None where it is not there."""
        place = self.rows.get((item.image, item.labels), self.usable)
        if place >= self.usable:
            return None
        images, sums = self._open()
        row = np.array(images[place])
        return row if sums[place] == _checksum(row) else None

    def put(self, item: Item, row: Row) -> None:
        """Keep the row of an item, if there is room for it.

        It is written and not mapped: of a disk that is full by then a mapping dies without a word.
        """
        place = self.rows.get((item.image, item.labels), self.usable)
        if place >= self.usable:
            return
        try:
            with self.path.open("r+b", buffering=0) as file:
                os.pwrite(file.fileno(), row.data, place * row.nbytes)
                checksum = np.uint32(_checksum(row)).tobytes()
                os.pwrite(file.fileno(), checksum, len(self.rows) * row.nbytes + place * len(checksum))
        except OSError as error:
            self.usable = 0
            print(f"Decoded images are not kept any more: {self.path} cannot be written ({error}).", flush=True)


def _checksum(row: Row) -> int:
    return zlib.crc32(row.data) or 1  # 0 says that there is no row


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
    usable = min(len(items), int(gib * GIB) // row)
    if not usable:
        return None
    content = [settings, size, stamps(items, with_labels=True)]
    key = hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]
    path = paths.cache_folder() / "images" / f"{key}.rows"
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
