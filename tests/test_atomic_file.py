"""Tests of atomic writing of files."""

from pathlib import Path

import pytest

from uap.utils.atomic_file import atomic_file


def test_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.csv"
    with atomic_file(path) as temporary:
        temporary.write_text("all")
        assert not path.exists()
        assert temporary.suffix == ".csv"  # some libraries choose the format by the suffix
    assert [p.name for p in path.parent.iterdir()] == ["table.csv"]
    assert path.read_text() == "all"


def test_error_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(OSError, match="directory"), atomic_file(path) as temporary:
        temporary.mkdir()  # a folder cannot replace the file
    assert path.read_text() == "old"


def test_two_writers_of_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with atomic_file(path) as first:
        with atomic_file(path) as second:
            first.write_text("first")
            second.write_text("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]


def test_reader_of_the_old_file_can_read_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")
    with path.open() as reader:
        with atomic_file(path) as temporary:
            temporary.write_text("new")
            assert path.read_text() == "old"
        assert reader.read() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("old", ["old", None])
def test_interrupted_write_leaves_no_temporary_file(tmp_path: Path, old: str | None) -> None:
    def write_half() -> None:
        with atomic_file(path) as temporary:
            temporary.write_text("half")
            raise OSError(28, "No space left on device")

    path = tmp_path / "table.csv"
    if old is not None:
        path.write_text(old)
    with pytest.raises(OSError, match="No space left"):
        write_half()
    assert [p.read_text() for p in tmp_path.iterdir()] == [text for text in [old] if text is not None]
