"""Tests of `defaults` in configurations: files are merged in order by every reader."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helpers import Brightness, refusal
from uap import fit
from uap.configuration.composition import read_settings
from uap.configuration.config_files import read_configuration
from uap.configuration.merging import merged
from uap.evaluation.experiment import build_data
from uap.utils import paths
from uap.utils.errors import InputError
from uap.victims.building import build_victim

BLUE = {"class_path": "Blue", "init_args": {"size": 8, "root": "sea"}}
VICTIM = {"class_path": "uap.victims.Victim", "init_args": {"network": {"class_path": "tests.helpers.Brightness"}}}
NAMES = {"model": {"victim": {"init_args": {"classes": ["sky", "road"]}}}}


def write(name: str, content: Any) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))
    return path


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    with pytest.raises(SystemExit) as ended:
        fit.main([*arguments, "--print_config"])
    assert ended.value.code == 0
    return yaml.safe_load(capsys.readouterr().out)


@pytest.mark.parametrize(
    ("earlier", "later", "expected"),
    [
        ({"a": 1, "b": {"c": 2, "d": [3]}}, {"b": {"d": [4]}}, {"a": 1, "b": {"c": 2, "d": [4]}}),
        ({"data": BLUE}, {"data": {"init_args": {"size": 9}}}, BLUE | {"init_args": {"size": 9, "root": "sea"}}),
        ({"data": BLUE}, {"data": {"size": 9}}, BLUE | {"init_args": {"size": 9, "root": "sea"}}),
        ({"data": {"size": 8}}, {"data": {"init_args": {"limit": 9}}}, {"init_args": {"size": 8, "limit": 9}}),
        ({"data": BLUE}, {"data": {"class_path": "Blue"}}, {"class_path": "Blue"}),
        ({"data": BLUE}, {"data": "Red"}, "Red"),
        ({"data": BLUE}, {"data": None}, None),
        ({"data": "Blue"}, {"data": {"init_args": {"size": 9}}}, {"class_path": "Blue", "init_args": {"size": 9}}),
        ({"data": None}, {"data": BLUE}, BLUE),
    ],
)
def test_later_settings_override_earlier_ones(earlier: Any, later: Any, expected: Any) -> None:
    found = merged(earlier, later)
    assert found.get("data", found) == expected


def test_later_setting_resets_the_exclusive_one() -> None:
    static = {"class_path": "uap.objectives.StaticTarget", "init_args": {"labels": "t0.png"}}
    earlier = {"model": {"objective": static, "parametrization": "tanh"}}
    found = merged(earlier, {"model": {"objective": {"init_args": {"image": "t0.jpg"}}, "start_epsilon": 20}})["model"]
    assert found["objective"]["init_args"] == {"labels": None, "image": "t0.jpg"}
    assert (found["parametrization"], found["start_epsilon"]) == ("clip", 20)
    assert static["init_args"] == {"labels": "t0.png"}  # the inputs are unchanged


def test_defaults_equal_two_configurations_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    own = {"data": {"limit": 5}, "model": {"objective": {"init_args": {"labels": "t0.png"}}, "epsilon": 4}}
    base = paths.shipped("configs/camvid_static.yaml")
    write("alone.yaml", own)
    write("composed.yaml", {"defaults": [str(base), str(paths.shipped("configs/full_batch.yaml"))], **own})
    expected = printed(capsys, f"--config={base}", "--config=configs/full_batch.yaml", "--config=alone.yaml")
    assert printed(capsys, "--config=composed.yaml") == expected


def test_included_paths_are_relative_to_the_including_file(tmp_path: Path) -> None:
    write("blocks/victim.yaml", {"defaults": ["deeper/names.yaml"], "model": {"victim": VICTIM}})
    write("blocks/deeper/names.yaml", {"model": {"epsilon": 4}})
    file = write("experiments/own.yaml", {"defaults": ["../blocks/victim.yaml"], **NAMES})
    write("deeper/names.yaml", {"model": {"epsilon": 9}})  # the current folder is not searched
    assert read_settings(file)["model"]["epsilon"] == 4
    assert read_settings(file.absolute()) == read_settings(file)
    assert "defaults" not in read_settings(file)


def test_paths_in_an_included_file_are_relative_to_it() -> None:
    write("blocks/data.yaml", {"data": {"class_path": "uap.data.CamVid", "init_args": {"root": "camvid"}}})
    Path("blocks/camvid").mkdir()
    file = write("own.yaml", {"defaults": ["blocks/data.yaml"]})
    assert Path(read_settings(file)["data"]["init_args"]["root"]) == Path("blocks/camvid").absolute()


def test_every_reader_resolves_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    write("victim.yaml", {"model": {"victim": VICTIM}})
    file = write("own.yaml", {"defaults": ["victim.yaml", "configs/data/camvid.yaml"], **NAMES})  # the second one ships
    assert isinstance(build_victim(file).network, Brightness)
    assert build_data(file).size == (360, 480)
    assert read_configuration(str(file))[0]["data"]["class_path"] == "uap.data.CamVid"
    assert read_configuration("{defaults: [own.yaml], model: {epsilon: 4}}")[0]["model"]["epsilon"] == 4
    found = printed(capsys, "--config=configs/streetscenes_static.yaml", f"--config={file}")
    assert found["data"]["class_path"] == "uap.data.CamVid"
    assert found["model"]["victim"]["init_args"]["classes"] == ["sky", "road"]
    assert "defaults" not in found


def test_file_can_be_included_twice_but_not_by_itself() -> None:
    write("shared.yaml", {"model": {"epsilon": 4}})
    for name in ("a", "b"):
        write(f"{name}.yaml", {"defaults": ["shared.yaml"]})
    assert read_settings(write("both.yaml", {"defaults": ["a.yaml", "b.yaml"]})) == {"model": {"epsilon": 4}}

    write("one.yaml", {"defaults": ["two.yaml"]})
    write("two.yaml", {"defaults": ["./one.yaml"]})
    with pytest.raises(InputError, match=r"one.yaml includes itself: one.yaml -> .*two.yaml -> .*`defaults` of .*two"):
        read_settings(Path("one.yaml"))
    with pytest.raises(InputError, match=r"self.yaml includes itself"):
        read_settings(write("self.yaml", {"defaults": ["self.yaml"]}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"no configuration .*block.yaml.*own.yaml"),
        ("a: [", r"block.yaml cannot be read as YAML.*own.yaml"),
        ("", r"block.yaml holds no settings.*own.yaml"),
        ("defaults: 3", r"block.yaml has defaults: 3"),
        ("model: {epsilon: '${NOWHERE}'}", r"block.yaml names \$\{NOWHERE\}"),
    ],
)
def test_missing_or_invalid_included_file_is_named(
    content: str | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write("own.yaml", {"defaults": ["block.yaml"]})
    if content is not None:
        Path("block.yaml").write_text(content)
    for read in (read_settings, build_victim, lambda path: read_configuration(str(path))):
        with pytest.raises(InputError, match=message):
            read(file)
    assert "block.yaml" in refusal(lambda: fit.main([f"--config={file}"]), capsys)


@pytest.mark.parametrize("defaults", [3, "a.yaml", {"data": "camvid"}, [{"data": "camvid"}], [3]])
def test_defaults_must_be_a_list_of_paths(defaults: Any) -> None:
    with pytest.raises(InputError, match="expected a list of paths"):
        read_settings(write("own.yaml", {"defaults": defaults}))


@pytest.mark.parametrize("defaults", [None, []])
def test_empty_defaults_change_nothing(defaults: Any, capsys: pytest.CaptureFixture[str]) -> None:
    write("own.yaml", {"defaults": defaults})
    base = "--config=configs/streetscenes_static.yaml"
    assert printed(capsys, base, "--config=own.yaml") == printed(capsys, base)


@pytest.mark.parametrize("name", ["n" * 300, "a\0b", "."])
def test_invalid_file_name_raises_error(name: str) -> None:
    with pytest.raises(InputError, match=r"own\.yaml"):
        read_settings(write("own.yaml", {"defaults": [name]}))
