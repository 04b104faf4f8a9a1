"""Tests of the help page of commands: it appears quickly, and its default values are correct."""

import re
import subprocess
import sys
import time
from typing import Any

import pytest
import yaml

from tests.test_configs import parse
from uap import attack as attack_images
from uap import evaluate, fit, train_victim

COMMANDS = {"fit": fit, "evaluate": evaluate, "train_victim": train_victim, "attack": attack_images}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_page_has_the_default_values(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    page = COMMANDS[command].__doc__ or ""
    shown = re.findall(r"^  --([\w.]+) [^(\n]*\(([^\s:;()]+)(?:: [^)]*)?\)$", page, re.MULTILINE)
    assert len(shown) >= 3
    given = ["--perturbation=P"] if command == "evaluate" else []
    printed: dict[str, Any] = yaml.safe_load(parse(COMMANDS[command].main, given, capsys))
    for name, value in (setting for setting in shown if setting[0] != "config"):
        value_found: Any = printed
        for key in name.split("."):
            settings = value_found.get("init_args", {}) if key not in value_found else value_found
            value_found = settings[key]
        assert value_found == yaml.safe_load(value), name


@pytest.mark.parametrize("command", COMMANDS)
def test_help_page_does_not_import_torch(command: str) -> None:
    begin = time.monotonic()
    found = subprocess.run(
        [sys.executable, "-m", f"uap.{command}", "--help"], capture_output=True, text=True, check=True, cwd=sys.path[0]
    )
    if command != "attack":  # its module is also imported by others
        assert time.monotonic() - begin < 3  # torch alone takes one
    assert found.stdout.startswith(f"python -m uap.{command} ")
    assert not found.stderr


def test_help_all_is_the_help_of_the_parser() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "uap.fit", "--help-all"], capture_output=True, text=True, check=True
    ).stdout
    assert "usage: python -m uap.fit" in found
    assert "--trainer.gradient_clip_val" in found
