"""The page of a command: there at once, and true."""

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

DOORS = {"fit": fit, "evaluate": evaluate, "train_victim": train_victim, "attack": attack_images}


@pytest.mark.parametrize("command", DOORS)
def test_the_settings_on_the_page_have_the_values_that_it_says(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    page = DOORS[command].__doc__ or ""
    shown = re.findall(r"^  --([\w.]+) [^(\n]*\(([^\s:;()]+)(?:: [^)]*)?\)$", page, re.MULTILINE)
    assert len(shown) >= 3
    given = ["--perturbation=P"] if command == "evaluate" else []
    printed: dict[str, Any] = yaml.safe_load(parse(DOORS[command].main, given, capsys))
    for name, value in (setting for setting in shown if setting[0] != "config"):
        place: Any = printed
        for key in name.split("."):
            inside = place.get("init_args", {}) if key not in place else place
            place = inside[key]
        assert place == yaml.safe_load(value), name


@pytest.mark.parametrize("command", DOORS)
def test_the_page_comes_before_torch_does(command: str) -> None:
    begin = time.monotonic()
    found = subprocess.run(
        [sys.executable, "-m", f"uap.{command}", "--help"], capture_output=True, text=True, check=True, cwd=sys.path[0]
    )
    if command != "attack":  # the file of the method, which is also that of this command
        assert time.monotonic() - begin < 3  # torch alone takes one
    assert found.stdout.startswith(f"python -m uap.{command} ")
    assert not found.stderr


def test_the_whole_list_is_the_parsers() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "uap.fit", "--help-all"], capture_output=True, text=True, check=True
    ).stdout
    assert "usage: python -m uap.fit" in found
    assert "--trainer.gradient_clip_val" in found
