"""Tests of the names of run folders."""

from pathlib import Path

import pytest

from uap.utils.errors import InputError
from uap.utils.run_folder import run_folder, unique_names


def test_names_are_short_and_unique() -> None:
    for name in ("a/x/one", "b/x/one", "two.5"):
        Path(name).mkdir(parents=True)
    Path("three.yaml").touch()
    assert unique_names([Path("a/x/one"), Path("two.5"), Path("three.yaml")]) == ["one", "two.5", "three"]
    assert unique_names([Path("a/x/one"), Path("b/x/one")]) == ["a/x/one", "b/x/one"]
    assert unique_names([Path("a")]) == ["a"]
    with pytest.raises(InputError, match="a was given twice"):
        unique_names([Path("a"), Path("b"), Path("./a")])


def test_runs_started_in_the_same_second_have_separate_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.strftime", lambda form: "20260101-120000")
    monkeypatch.setenv("UAP_RUN_FOLDER", "")
    names = [run_folder(None, None, "default").name for _ in range(3)]
    assert names == ["20260101-120000-default", "20260101-120000-default-2", "20260101-120000-default-3"]
