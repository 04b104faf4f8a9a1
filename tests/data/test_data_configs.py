"""Tests that each configuration of a data set can be combined with each experiment."""

from pathlib import Path

import pytest
import yaml

from uap import data, fit
from uap.configuration.composition import read_settings

CONFIGS = Path(__file__).parents[2] / "configs"
EXPERIMENTS = ("streetscenes_static.yaml", "cityscapes_dynamic.yaml", "camvid_static.yaml")


def combined(experiment: str, name: str, capsys: pytest.CaptureFixture[str], *options: str) -> dict[str, object]:
    files = [f"--config={CONFIGS / experiment}", f"--config={CONFIGS / 'data' / name}"]
    with pytest.raises(SystemExit) as ended:
        fit.main([*files, *options, "--print_config"])
    assert ended.value.code == 0
    settings: dict[str, object] = yaml.safe_load(capsys.readouterr().out)
    return settings


@pytest.mark.parametrize("name", sorted(path.name for path in (CONFIGS / "data").glob("*.yaml")))
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_each_data_configuration_combines_with_each_experiment(
    name: str, experiment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = combined(experiment, name, capsys)
    own = yaml.safe_load((CONFIGS / "data" / name).read_text())["data"]
    assert found["data"]["class_path"] == own["class_path"]  # type: ignore[index]
    assert own["init_args"].items() <= found["data"]["init_args"].items()  # type: ignore[index]
    target = read_settings(CONFIGS / experiment)["model"]["objective"]
    assert target["init_args"].items() <= found["model"]["objective"]["init_args"].items()  # type: ignore[index]


def test_every_data_set_has_a_configuration() -> None:
    named = {yaml.safe_load(path.read_text())["data"]["class_path"] for path in (CONFIGS / "data").glob("*.yaml")}
    assert named == {f"uap.data.{name}" for name in data.__all__ if name != "SegmentationData"}


def test_command_line_settings_reach_the_data_set(capsys: pytest.CaptureFixture[str]) -> None:
    found = combined("camvid_static.yaml", "voc.yaml", capsys, "--data.sbd=SBD", "--data.train_split=trainval")
    arguments = found["data"]["init_args"]  # type: ignore[index]
    assert (arguments["sbd"], arguments["train_split"]) == ("SBD", "trainval")
