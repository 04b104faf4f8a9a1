"""An array on disk whose rows are written one by one, by any number of processes, with a checksum for each row."""

import io
import os
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.uint8]


class RowFile:
    """A file of rows with a checksum for each row, memory-mapped by every process that reads it.

    Any number of processes may write rows at the same time, because all write the same values. A row is valid if its
    checksum matches, so a row that was only partly written when a process was killed is written again. The file is an
    `.npy` file of all rows, uint8, followed by the checksums.
    """

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        """Open the file, and create it if it does not exist. The file is sparse: only written rows take disk space.

        Args:
            path: the file.
            shape: shape of the array; the first entry is the number of rows.

        Raises:
            OSError: the file cannot be created.
        """
        self.path = path
        self.shape = shape
        buffer = io.BytesIO()
        np.lib.format.write_array_header_1_0(buffer, {"descr": "|u1", "fortran_order": False, "shape": shape})
        header = buffer.getvalue()
        self._start = len(header)
        self._sums = self._start + int(np.prod(shape))
        self._mapped: tuple[NDArray[np.uint8], NDArray[np.uint32]] | None = None
        if not self._is_created(header):
            # safe if other processes create the file or write rows at the same time: no row is overwritten
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b", buffering=0) as file:
                _write(file.fileno(), header, 0)
                file.truncate(self._sums + 4 * shape[0])

    def _is_created(self, header: bytes) -> bool:
        if not self.path.exists() or self.path.stat().st_size < self._sums + 4 * self.shape[0]:
            return False
        with self.path.open("rb") as file:
            return file.read(len(header)) == header

    def is_whole(self) -> bool:
        """Return whether all rows are valid. All rows are read."""
        return all(self.get(index) is not None for index in range(self.shape[0]))

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without the memory map, which each process opens itself."""
        return self.__dict__ | {"_mapped": None}

    def get(self, index: int) -> Row | None:
        """Return a copy of a row, or None if the row is not valid."""
        if self._mapped is None:
            checksums = np.memmap(self.path, np.uint32, "r", self._sums, self.shape[:1])
            self._mapped = np.memmap(self.path, np.uint8, "r", self._start, self.shape), checksums
        rows, sums = self._mapped
        if not sums[index]:
            return None
        row = np.array(rows[index])
        return row if sums[index] == _checksum(row) else None

    def put(self, index: int, row: Row) -> None:
        """Write a row.

        The memory map is not used here: on a full disk, writing to it kills the process without a message.

        Raises:
            OSError: the row cannot be written.
        """
        with self.path.open("r+b", buffering=0) as file:
            _write(file.fileno(), row.tobytes(), self._start + index * row.nbytes)
            _write(file.fileno(), np.uint32(_checksum(row)).tobytes(), self._sums + 4 * index)


def _write(descriptor: int, content: bytes, start: int) -> None:
    """Write all bytes: on a nearly full disk, one call may write only some of them."""
    written = 0
    while written < len(content):
        written += os.pwrite(descriptor, content[written:], start + written)


def _checksum(row: Row) -> int:
    return zlib.crc32(np.ascontiguousarray(row).data) or 1  # 0 marks a row that was not written
