"""Tests of networks whose constructor takes its settings as one object, such as `args` of argparse."""

import argparse
from pathlib import Path
from typing import Any

import pytest
import yaml
from torch import nn

from tests.helpers import fit_refusal
from uap.utils.errors import InputError
from uap.victims import Victim
from uap.victims.building import build_victim


class Unhinted(nn.Conv2d):
    def __init__(self, args) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        super().__init__(3, args.outputs, 1)


class Hinted(nn.Conv2d):
    def __init__(self, cfg: argparse.Namespace) -> None:
        super().__init__(3, cfg.outputs, 1)


CASES: list[tuple[str, dict[str, Any]]] = [
    ("Unhinted", {}),
    ("Unhinted", {"args": {"outputs": 2}}),
    ("Hinted", {}),
    ("Hinted", {"cfg": {"outputs": 2}}),
]


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_suggested_wrapper_works(
    name: str, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"tests.test_settings_objects.{name}"

    def build(class_path: str, init_args: dict[str, Any]) -> Victim:
        network = {"class_path": class_path, "init_args": init_args}
        victim = {"class_path": "uap.victims.Victim", "init_args": {"network": network, "classes": ["a", "b"]}}
        (tmp_path / "net.yaml").write_text(yaml.safe_dump({"model": {"victim": victim}}))
        return build_victim(tmp_path / "net.yaml")

    with pytest.raises(InputError, match=rf"{path} takes its settings as attributes of one object") as refused:
        build(path, settings)
    wrapper = "\n".join(str(refused.value).splitlines()[-3:])
    (tmp_path / f"wrapped_{name.lower()}.py").write_text(wrapper)
    monkeypatch.syspath_prepend(tmp_path)
    victim = build(f"wrapped_{name.lower()}.{name}WithSettings", {"settings": {"outputs": 2}})
    assert isinstance(victim.network, nn.Conv2d)


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_run_prints_the_wrapper(
    name: str, settings: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = {"class_path": f"tests.test_settings_objects.{name}", "init_args": settings}
    printed = fit_refusal({"model__victim__network": network}, tmp_path, capsys)
    assert f"class {name}WithSettings" in printed
