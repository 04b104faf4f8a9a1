from pathlib import Path

import pytest
import yaml

from tests.helpers import make_camvid
from tests.scoring.runs import config
from uap.data import CamVid
from uap.evaluation.experiment import build_data, build_target, config_of
from uap.objectives import HideClasses, StaticTarget
from uap.utils.errors import InputError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config(make_camvid(tmp_path / "camvid"), classes=["a", "b"], hide=["b"])))
    return path


def test_build_data_uses_the_configuration(file: Path, tmp_path: Path) -> None:
    data = build_data(file)
    assert isinstance(data, CamVid)
    assert (data.root, data.size, data.batch_size) == (tmp_path / "camvid", (24, 32), 3)
    assert build_data(file, (12, 16)).size == (12, 16)


def test_build_target_uses_the_configuration(file: Path) -> None:
    target = build_target(file)
    assert isinstance(target, HideClasses)
    assert target.hide == ["b"]
    file.write_text("model: {objective: {class_path: uap.objectives.StaticTarget, init_args: {labels: x.png}}}")
    assert isinstance(build_target(file), StaticTarget)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {}", r"config.yaml describes no data \('data'\). Expected data with class_path and init_args"),
        ("data: {class_path: uap.data.Nothing}", "config.yaml: data: .*Nothing"),
        ("data: {class_path: uap.objectives.StaticTarget, init_args: {image: x}}", "config.yaml: data: .*StaticTarget"),
        ("data: {class_path: uap.data.CamVid, init_args: {size: [0, 4]}}", r"^data.size is \(0, 4\), expected 1 or"),
        ("data: [", "config.yaml describes no data"),
        ("", "config.yaml describes no data"),
    ],
)
def test_invalid_data_raises_error(file: Path, text: str, message: str) -> None:
    file.write_text(text)
    with pytest.raises(InputError, match=message):
        build_data(file)


def test_config_of_finds_the_file_in_a_run_folder(file: Path, tmp_path: Path) -> None:
    assert config_of(tmp_path) == file
    assert config_of(file) == file
    with pytest.raises(
        InputError, match=r"There is no configuration none .*Give the folder of a run .* or the configuration file"
    ):
        config_of(Path("none"))
