"""An array on the disk whose rows are made one by one, by any number of processes, and outlive each of them."""

import io
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.uint8]


class RowFile:
    """A file of rows with a checksum for each, mapped into memory by every process that reads it.

    Any number of processes may fill it at the same time: they write the same. A row counts when its checksum fits, so
    that one that was half written when a process or the power went is made anew. It is an `.npy` of all rows, uint8,
    with the checksums behind it.
    """

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        """Open a file of so many rows (the first of `shape`), made where it is not there.

        It takes room on the disk only for rows that are written.

        Raises:
            OSError: it cannot be made.
        """
        self.path = path
        self.shape = shape
        buffer = io.BytesIO()
        np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
        header = buffer.getvalue()
        self._start = len(header)
        self._sums = self._start + int(np.prod(shape))
        self._mapped: tuple[NDArray[np.uint8], NDArray[np.uint32]] | None = None
        if not self._is_made(header):
            # nothing of it undoes what another process did, which may make the file or fill it at the same time
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0) as file:
                _write(file.fileno(), header, 0)
                file.truncate(self._sums + 4 * shape[0])

    def _is_made(self, header: bytes) -> bool:
        if not self.path.exists() or self.path.stat().st_size < self._sums + 4 * self.shape[0]:
            return False
        with self.path.open("rb") as file:
            return file.read(len(header)) == header

    def is_whole(self) -> bool:
        """Return whether all rows are there; reads them."""
        return all(self.get(place) is not None for place in range(self.shape[0]))

    def __getstate__(self) -> dict[str, Any]:
        """Leave the mapping behind: each process has its own."""
        return self.__dict__ | {"_mapped": None}

    def get(self, place: int) -> Row | None:
        """Return a copy of a row, None where it is not there."""
        if self._mapped is None:
            checksums = np.memmap(self.path, np.uint32, "r", self._sums, self.shape[:1])
            self._mapped = np.memmap(self.path, np.uint8, "r", self._start, self.shape), checksums
        rows, sums = self._mapped
        if not sums[place]:
            return None
        row = np.array(rows[place])
        return row if sums[place] == _checksum(row) else None

    def put(self, place: int, row: Row) -> None:
        """Write a row. It is written and not mapped: of a disk that is full by then a mapping dies without a word.

        Raises:
            OSError: it cannot be written.
        """
        with self.path.open("r+b", buffering=0) as file:
            _write(file.fileno(), row.tobytes(), self._start + place * row.nbytes)
            _write(file.fileno(), np.uint32(_checksum(row)).tobytes(), self._sums + 4 * place)


def _write(descriptor: int, content: bytes, start: int) -> None:
    """Write all of it: the system may take a part, before it says that the disk is full."""
    written = 0
    while written < len(content):
        written += os.pwrite(descriptor, content[written:], start + written)


def _checksum(row: Row) -> int:
    return zlib.crc32(np.ascontiguousarray(row).data) or 1  # 0 says that there is no row
