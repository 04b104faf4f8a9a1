"""Tests of a file whose rows are written by many processes."""

import contextlib
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from uap.data.row_file import RowFile


def row(number: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((3, 5), number + 1, np.uint8)


def test_get_returns_written_rows(tmp_path: Path) -> None:
    file = RowFile(tmp_path / "rows.npy", (4, 3, 5))
    assert file.get(2) is None
    file.put(2, row(2))
    found = RowFile(tmp_path / "rows.npy", (4, 3, 5)).get(2)
    assert found is not None
    np.testing.assert_array_equal(found, row(2))
    assert file.get(1) is None


def test_file_is_an_npy_array_of_all_rows(tmp_path: Path) -> None:
    file = RowFile(tmp_path / "rows.npy", (4, 3, 5))
    for number in range(4):
        file.put(number, row(number))
    np.testing.assert_array_equal(np.load(file.path), [row(number) for number in range(4)])


@pytest.mark.parametrize("attempt", range(20))
def test_no_row_is_lost_if_many_processes_create_the_file(tmp_path: Path, attempt: int) -> None:
    def fill(number: int) -> None:
        RowFile(tmp_path / "rows.npy", (16, 3, 5)).put(number, row(number))

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(fill, range(16)))
    file = RowFile(tmp_path / "rows.npy", (16, 3, 5))
    assert all(file.get(number) is not None for number in range(16))


def test_truncated_file_is_completed(tmp_path: Path) -> None:
    path = tmp_path / "rows.npy"
    RowFile(path, (4, 3, 5)).put(1, row(1))
    path.write_bytes(path.read_bytes()[:130])
    file = RowFile(path, (4, 3, 5))
    assert file.get(1) is None
    file.put(1, row(1))
    assert file.get(1) is not None


def test_pickled_copy_opens_its_own_memory_map(tmp_path: Path) -> None:
    file = RowFile(tmp_path / "rows.npy", (4, 3, 5))
    file.put(0, row(0))
    assert file.get(0) is not None
    copy = pickle.loads(pickle.dumps(file))
    assert copy._mapped is None
    assert copy.get(0) is not None


def test_partial_writes_are_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, content, start: whole(file, content[:7], start))
    path = tmp_path / "rows.npy"
    for number in range(4):
        RowFile(path, (4, 3, 5)).put(number, row(number))
    monkeypatch.undo()
    np.testing.assert_array_equal(np.load(path), [row(number) for number in range(4)])
    assert RowFile(path, (4, 3, 5)).is_whole()


@pytest.mark.parametrize("taken", range(20))
def test_partly_written_row_is_not_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, taken: int) -> None:
    left = [taken]
    whole = os.pwrite

    def until_it_is_full(file: int, content: bytes, start: int) -> int:
        if not left[0]:
            raise OSError(28, "No space left on device")
        written = whole(file, content[: left[0]], start)
        left[0] -= written
        return written

    file = RowFile(tmp_path / "rows.npy", (4, 3, 5))
    file.put(0, row(0))
    monkeypatch.setattr(os, "pwrite", until_it_is_full)
    with pytest.raises(OSError, match="No space left") if taken < 19 else contextlib.nullcontext():
        file.put(1, row(1))  # 15 bytes, and 4 of their checksum
    monkeypatch.undo()
    again = RowFile(tmp_path / "rows.npy", (4, 3, 5))
    assert (again.get(1) is not None) == (taken >= 19)
    np.testing.assert_array_equal(again.get(0), row(0))


@pytest.mark.parametrize("missing", range(4))
def test_is_whole_needs_every_row(tmp_path: Path, missing: int) -> None:
    file = RowFile(tmp_path / "rows.npy", (4, 3, 5))
    for number in range(4):
        if number != missing:
            file.put(number, row(number))
    assert not file.is_whole()
    file.put(missing, row(missing))
    assert file.is_whole()


@pytest.mark.parametrize("byte", [0, 14, 15, 29])
def test_row_with_a_flipped_bit_is_not_valid(tmp_path: Path, byte: int) -> None:
    path = tmp_path / "rows.npy"
    file = RowFile(path, (2, 3, 5))
    for number in range(2):
        file.put(number, row(number))
    content = bytearray(path.read_bytes())
    content[content.index(row(0).tobytes()) + byte] ^= 1
    path.write_bytes(content)
    found = RowFile(path, (2, 3, 5))
    assert [found.get(number) is None for number in range(2)] == [byte < 15, byte >= 15]
    assert not found.is_whole()


def test_unwritten_row_of_zeros_is_not_valid(tmp_path: Path) -> None:
    file = RowFile(tmp_path / "rows.npy", (1, 3, 5))
    assert file.get(0) is None
    file.put(0, np.zeros((3, 5), np.uint8))
    assert file.get(0) is not None
