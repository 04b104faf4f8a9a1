"""Rows of a file that many processes fill."""

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from uap.data.row_file import RowFile


def row(number: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((3, 5), number + 1, np.uint8)


def test_a_row_is_there_once_it_was_put(tmp_path: Path) -> None:
    file = RowFile(tmp_path / "rows.npy", (4, 3, 5))
    assert file.get(2) is None
    file.put(2, row(2))
    found = RowFile(tmp_path / "rows.npy", (4, 3, 5)).get(2)
    assert found is not None
    np.testing.assert_array_equal(found, row(2))
    assert file.get(1) is None


def test_it_is_an_npy_of_all_rows(tmp_path: Path) -> None:
    file = RowFile(tmp_path / "rows.npy", (4, 3, 5))
    for number in range(4):
        file.put(number, row(number))
    np.testing.assert_array_equal(np.load(file.path), [row(number) for number in range(4)])


@pytest.mark.parametrize("attempt", range(20))
def test_no_row_is_lost_where_many_make_the_file_at_the_same_time(tmp_path: Path, attempt: int) -> None:
    def fill(number: int) -> None:
        RowFile(tmp_path / "rows.npy", (16, 3, 5)).put(number, row(number))

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(fill, range(16)))
    file = RowFile(tmp_path / "rows.npy", (16, 3, 5))
    assert all(file.get(number) is not None for number in range(16))


def test_a_file_whose_making_was_cut_off_is_completed(tmp_path: Path) -> None:
    path = tmp_path / "rows.npy"
    RowFile(path, (4, 3, 5)).put(1, row(1))
    path.write_bytes(path.read_bytes()[:130])
    file = RowFile(path, (4, 3, 5))
    assert file.get(1) is None
    file.put(1, row(1))
    assert file.get(1) is not None


def test_a_copy_for_another_process_maps_the_file_itself(tmp_path: Path) -> None:
    file = RowFile(tmp_path / "rows.npy", (4, 3, 5))
    file.put(0, row(0))
    assert file.get(0) is not None
    copy = pickle.loads(pickle.dumps(file))
    assert copy._mapped is None
    assert copy.get(0) is not None
