"""Tests of the error for unusable input."""

import ast
import pickle
from pathlib import Path

import pytest

from uap.utils.errors import InputError, in_setting


def test_error_keeps_its_setting_and_kind_between_processes() -> None:
    error = InputError("model.epsilon is 0.", setting="model.epsilon", kind="out_of_range")
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.setting, copy.kind) == ("model.epsilon is 0.", "model.epsilon", "out_of_range")


@pytest.mark.parametrize(("own", "expected"), [(None, "ckpt_path"), ("data.root", "data.root")])
def test_the_setting_that_an_error_names_itself_stays(own: str | None, expected: str) -> None:
    with pytest.raises(InputError) as raised, in_setting("ckpt_path"):
        raise InputError("There is no file.", setting=own)
    assert raised.value.setting == expected


def test_every_error_of_the_package_has_a_kind() -> None:
    without = []
    for path in (Path(__file__).parents[1] / "uap").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or ast.unparse(node.func) != "InputError":
                continue
            if "kind" not in {keyword.arg for keyword in node.keywords}:
                without.append(f"{path.name}:{node.lineno}")
    assert not without
