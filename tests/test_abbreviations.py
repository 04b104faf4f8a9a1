"""Tests that no parser accepts abbreviated options: a later option could give an abbreviation another meaning."""

import ast
from pathlib import Path

import pytest

from tests.helpers import input_error
from uap import report
from uap.cli.data_arguments import data_from_words

ROOT = Path(__file__).parents[1]


def test_every_parser_of_argparse_refuses_abbreviations() -> None:
    calls = [
        (path.name, {word.arg: ast.unparse(word.value) for word in call.keywords})
        for folder in ("uap", "benchmarks")
        for path in (ROOT / folder).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "argparse.ArgumentParser"
    ]
    assert len(calls) > 10
    assert [name for name, words in calls if words.get("allow_abbrev") != "False"] == []


def test_abbreviated_option_of_a_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        report.arguments(["run", "--ou=x.html"])
    assert ended.value.code == 2
    assert "--ou=x.html" in capsys.readouterr().err


def test_abbreviated_setting_of_data_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    error = input_error(lambda: data_from_words("CamVid", ["--data.batch=1"], None, "uap victims"), capsys)
    assert error.kind == "unknown_name"
