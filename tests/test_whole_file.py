"""Files are there whole or not at all."""

from pathlib import Path

import pytest

from uap.utils.atomic_file import whole_file


def test_the_file_appears_when_all_is_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "table.csv"
    with whole_file(path) as place:
        place.write_text("all")
        assert not path.exists()
        assert place.suffix == ".csv"  # some libraries choose the format by it
    assert [p.name for p in path.parent.iterdir()] == ["table.csv"]
    assert path.read_text() == "all"


def test_an_error_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")
    with pytest.raises(OSError, match="directory"), whole_file(path) as place:
        place.mkdir()  # what cannot take the file's name
    assert path.read_text() == "old"


def test_two_write_the_same_file(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with whole_file(path) as first:
        with whole_file(path) as second:
            first.write_text("first")
            second.write_text("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["table.csv"]


def test_who_reads_the_old_file_meanwhile_reads_all_of_it(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("old")
    with path.open() as reader:
        with whole_file(path) as place:
            place.write_text("new")
            assert path.read_text() == "old"
        assert reader.read() == "old"
    assert path.read_text() == "new"


@pytest.mark.parametrize("old", ["old", None])
def test_half_a_file_takes_no_name_and_leaves_nothing(tmp_path: Path, old: str | None) -> None:
    def write_half() -> None:
        with whole_file(path) as place:
            place.write_text("half")
            raise OSError(28, "No space left on device")

    path = tmp_path / "table.csv"
    if old is not None:
        path.write_text(old)
    with pytest.raises(OSError, match="No space left"):
        write_half()
    assert [p.read_text() for p in tmp_path.iterdir()] == [text for text in [old] if text is not None]
