"""Tests of exclusive settings: a later one replaces an earlier one, and both together raise an error."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.helpers import SIZE, attack_args, make_camvid, refusal, save
from uap import fit
from uap.configuration.exclusive_settings import with_overridden_settings

STATIC = {"class_path": "uap.objectives.StaticTarget", "init_args": {"labels": "ones.png"}}


def printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> Any:
    with pytest.raises(SystemExit) as ended:
        fit.main([*arguments, "--print_config"])
    assert ended.value.code == 0
    return yaml.safe_load(capsys.readouterr().out)["model"]


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    """Return arguments of a run whose configuration gives the target as labels."""
    save(tmp_path / "ones.png", np.ones(SIZE, np.uint8))
    (tmp_path / "labels.yaml").write_text(yaml.safe_dump({"model": {"objective": STATIC}}))
    base, *rest = attack_args(make_camvid(tmp_path / "camvid"), tmp_path / "out")
    return [base, "--config=labels.yaml", *rest]


@pytest.mark.parametrize(
    "setting",
    [
        ["--model.objective.image=train/frame_001.png"],
        ["--model.objective.image", "train/frame_001.png"],
        ["--model.objective.init_args.image=train/frame_001.png"],
    ],
)
def test_image_on_the_command_line_replaces_labels(
    setting: list[str], arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    objective = printed([*arguments, *setting], capsys)["objective"]["init_args"]
    assert objective == {"image": "train/frame_001.png", "labels": None}


def test_run_with_an_image_instead_of_labels(arguments: list[str]) -> None:
    assert fit.main([*arguments, "--model.objective.image=train/frame_001.png"]).model.objective.is_image


def test_labels_in_a_later_file_replace_an_image(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("later.yaml").write_text("model: {objective: {init_args: {labels: ones.png}}}")
    files = [arguments[0], "--config=later.yaml"]  # the first has an image
    assert printed(files, capsys)["objective"]["init_args"] == {"image": None, "labels": "ones.png"}


@pytest.mark.parametrize(
    ("earlier", "later", "expected"),
    [
        ({"start_epsilon": 90}, "--model.parametrization=tanh", (None, "tanh")),
        ({"parametrization": "tanh"}, "--model.start_epsilon=90", (90.0, "clip")),
        ({"start_epsilon": 90}, "--model.parametrization=clip", (90.0, "clip")),
        ({"parametrization": "tanh"}, "--model.start_epsilon=null", (None, "tanh")),
    ],
)
def test_start_epsilon_and_tanh_replace_each_other(
    earlier: dict[str, Any], later: str, expected: Any, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("earlier.yaml").write_text(yaml.safe_dump({"model": earlier}))
    model = printed([*arguments, "--config=earlier.yaml", later], capsys)
    assert (model["start_epsilon"], model["parametrization"]) == expected


def test_exclusive_settings_together_raise_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    both = ["--model.objective.image=train/frame_001.png", "--model.objective.labels=ones.png"]
    message = refusal(lambda: fit.main([*arguments, *both]), capsys)
    assert "expected one of the two" in message
    assert "null" in message


def test_null_setting_replaces_nothing(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        printed([*arguments, "--model.objective.image=null"], capsys)["objective"]["init_args"]["labels"] == "ones.png"
    )


def test_empty_command_line_stays_empty() -> None:
    assert with_overridden_settings([]) == []
