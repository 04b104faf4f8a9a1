import csv
import io
from pathlib import Path

import pytest

from uap.evaluation.steps import steps
from uap.utils.errors import InputError
from uap.utils.text_tables import csv_text, json_text, markdown, write


def test_markdown_table_is_aligned() -> None:
    assert markdown(["name", "x"], [["a", "1.0 %"], ["longer", "\N{EN DASH}"]]) == (
        "| name   |     x |\n| ------ | ----: |\n| a      | 1.0 % |\n| longer |     \N{EN DASH} |\n"
    )


def test_csv_has_empty_cells_for_none_and_quotes_commas() -> None:
    text = csv_text(["a", "b"], [["x, y", 0.5], ["z", None]])
    assert list(csv.reader(io.StringIO(text))) == [["a", "b"], ["x, y", "0.5"], ["z", ""]]


def test_json_ends_with_a_newline() -> None:
    assert json_text({"a": [1]}) == '{\n  "a": [\n    1\n  ]\n}\n'


def test_write_creates_folders_and_no_other_files(tmp_path: Path) -> None:
    write(tmp_path / "a" / "b" / "x.md", "text")
    write(tmp_path / "a" / "b" / "x.md", "new")
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["x.md"]
    assert (tmp_path / "a" / "b" / "x.md").read_text() == "new"


def test_unwritable_folder_raises_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("a file")
    with pytest.raises(InputError, match=r"a.x.md cannot be written \(.*\). Set another --out"):
        write(tmp_path / "a" / "x.md", "text")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr("uap.evaluation.steps.time.monotonic", lambda: now[0])
    return now


def run(clock: list[float], seconds: float) -> list[int]:
    done = []
    for thing in steps(range(10), 10, "Scoring", "cell"):
        clock[0] += seconds
        done.append(thing)
    return done


def test_log_has_occasional_lines_with_the_time_left(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(clock, 11) == list(range(10))
    assert capsys.readouterr().out.splitlines() == [
        "Scoring: cell 3 of 10, 1:17 left",
        "Scoring: cell 6 of 10, 0:44 left",
        "Scoring: cell 9 of 10, 0:11 left",
    ]


def test_short_and_quiet_runs_print_no_lines(
    clock: list[float], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run(clock, 1)
    monkeypatch.setenv("UAP_QUIET", "1")
    run(clock, 100)
    assert capsys.readouterr().out == ""
