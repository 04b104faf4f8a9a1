"""Tests that shipped configurations are valid, and that each component is defined in one file."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helpers import Brightness
from uap import evaluate, fit, train_victim
from uap.cli.entry import run_command
from uap.configuration.composition import read_settings
from uap.losses import Balanced, Mean
from uap.objectives import HideClasses, StaticTarget
from uap.universal.module import UniversalAttack
from uap.universal.optim import CosineToEnd, SignSGD
from uap.utils import paths
from uap.victims import Victim

CONFIGS = Path(__file__).parents[1] / "configs"
BLOCKS = ("victim", "data", "objective", "recipe")
"""Folders of single components from which experiments are composed."""
FILES = {path.relative_to(CONFIGS).as_posix(): path for path in sorted(CONFIGS.rglob("*.yaml"))}
EXPERIMENTS = [
    name
    for name in FILES
    if name.split("/")[0] not in (*BLOCKS, "detection", "wrapper", "reproduce", "sweeps", "full_batch.yaml")
]


def parse(main: object, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--print_config"])  # type: ignore[operator]
    assert ended.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiments_are_valid(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main = train_victim.main if name.startswith("train_") else fit.main
    printed = parse(main, ["--config", str(CONFIGS / name)], capsys)
    assert "defaults" not in yaml.safe_load(printed)
    (tmp_path / "again.yaml").write_text(printed)
    assert yaml.safe_load(parse(main, ["--config", "again.yaml"], capsys)) == yaml.safe_load(printed)


@pytest.mark.parametrize("name", sorted(path.name for path in (CONFIGS / "victim").glob("*.yaml")))
def test_victims_combine_with_experiments(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    files = [CONFIGS / "streetscenes_static.yaml", CONFIGS / "victim" / name]
    printed = yaml.safe_load(parse(fit.main, [f"--config={file}" for file in files], capsys))
    given = yaml.safe_load((CONFIGS / "victim" / name).read_text())["model"]["victim"]["init_args"]
    for key, value in given.items():
        found = printed["model"]["victim"]["init_args"][key]
        assert found["class_path"] == value["class_path"] if key in ("network", "victim") else found == value


def test_component_with_a_class_path_inherits_no_settings(capsys: pytest.CaptureFixture[str]) -> None:
    network = {"class_path": "uap.networks.CGNet", "init_args": {"classes": 11}}
    victim = {"class_path": "uap.victims.Victim", "init_args": {"network": network, "classes": "camvid"}}
    Path("other.yaml").write_text(yaml.safe_dump({"model": {"victim": victim}}))
    Path("more.yaml").write_text("model: {victim: {init_args: {weights: cgnet.pth}}, epsilon: 4}")
    files = [CONFIGS / "camvid_static.yaml", "other.yaml", "more.yaml"]
    printed = yaml.safe_load(parse(fit.main, [f"--config={file}" for file in files], capsys))["model"]
    found = printed["victim"]["init_args"]
    assert found["network"]["class_path"] == "uap.networks.CGNet"
    assert (found["channel_order"], found["mean"], found["size_multiple"]) == ("rgb", [0, 0, 0], 1)  # not the ESPNet's
    assert found["weights"] == "cgnet.pth"  # a file that names no class only changes values
    assert printed["objective"]["init_args"]["image"] == "train/0016E5_00390.png"
    assert printed["epsilon"] == 4


def test_missing_configuration_prints_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        run_command(lambda: fit.main(["--config", "none.yaml"]))
    assert ended.value.code == 2
    assert "There is no configuration none.yaml" in capsys.readouterr().err


def test_full_batch_recipe_combines_with_experiments(capsys: pytest.CaptureFixture[str]) -> None:
    files = [CONFIGS / "camvid_static.yaml", CONFIGS / "full_batch.yaml"]
    printed = yaml.safe_load(parse(fit.main, [f"--config={file}" for file in files], capsys))
    assert printed["model"]["optimizer"]["init_args"]["momentum"] == 0
    assert printed["trainer"]["callbacks"][0]["class_path"] == "uap.universal.callbacks.full_batch.FullBatchGradient"


def test_short_options_set_components(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--data.root=CAMVID", "--model.victim.weights=ESPNET.pth", "--data.split=test", "--perturbation=P"]
    arguments = ["--config", str(CONFIGS / "camvid_static.yaml"), *options]
    printed = yaml.safe_load(parse(evaluate.main, arguments, capsys))
    assert printed["data"]["init_args"]["root"] == "CAMVID"
    assert printed["data"]["init_args"]["split"] == "test"
    assert printed["model"]["victim"]["init_args"]["weights"] == "ESPNET.pth"


def test_settings_override_files_in_any_order(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(CONFIGS / "camvid_static.yaml")
    settings = ["--data.root", "elsewhere", "--model.epsilon=3"]
    printed = parse(fit.main, ["-c", file, *settings], capsys)
    monkeypatch.setattr("sys.argv", ["uap.fit", *settings, "--config", file, "--print_config"])
    with pytest.raises(SystemExit):
        fit.main()
    assert capsys.readouterr().out == printed
    read = yaml.safe_load(printed)
    assert (read["data"]["class_path"], read["data"]["init_args"]["root"]) == ("uap.data.CamVid", "elsewhere")
    assert read["model"]["epsilon"] == 3


@pytest.mark.parametrize("main", [fit.main, evaluate.main, train_victim.main])
def test_help_is_complete(main: object, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])  # type: ignore[operator]
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert printed.startswith("usage: python -m uap.")
    assert "--data" in printed
    assert "--trainer.default_root_dir" in printed


def components(content: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Return the outermost components of a configuration with their own settings, by dotted key."""
    if isinstance(content, dict) and "class_path" in content:
        if "init_args" in content:
            yield key, content
    elif isinstance(content, dict):
        for name, value in content.items():
            yield from components(value, f"{key}.{name}".lstrip("."))


def test_no_component_is_repeated() -> None:
    found = defaultdict(list)
    for name, path in FILES.items():
        if name.split("/")[0] not in ("reproduce", "sweeps"):
            for key, block in components(yaml.safe_load(path.read_text())):
                found[yaml.safe_dump({key: block})].append(name)
    assert len(found) > len(BLOCKS)
    assert {block: names for block, names in found.items() if len(names) > 1} == {}


@pytest.mark.parametrize("name", [name for name in FILES if name.startswith("reproduce/on/")])
def test_evaluation_setups_repeat_no_component(name: str) -> None:
    for experiment in yaml.safe_load(FILES[name].read_text())["experiments"].values():
        assert list(components(experiment.get("settings", {}))) == []


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_experiments_include_their_components(name: str) -> None:
    content = yaml.safe_load(FILES[name].read_text())
    allowed = {"model.network"} if name.startswith("train_") else {"model.reduction"}
    assert {key for key, _ in components(content)} <= allowed
    composed = read_settings(FILES[name])
    assert {"data", "model", "trainer"} <= composed.keys()


@pytest.mark.parametrize(
    "name",
    sorted(
        path.stem
        for path in paths.shipped("checkpoints").glob("*.safetensors")
        if f"detection/{path.stem}.yaml" not in FILES  # trained by uap train_boxes, which has no configuration
        and "tile" not in json.loads(path.with_suffix(".json").read_text())  # a pattern, which is no network
    ),
)
def test_victim_is_the_network_that_its_training_file_trains(name: str) -> None:
    victim = read_settings(CONFIGS / f"victim/{name}.yaml")["model"]["victim"]["init_args"]
    trained = read_settings(CONFIGS / f"train_{name}.yaml")["model"]
    assert [victim[key] for key in ("network", "mean", "std")] == [trained[key] for key in ("network", "mean", "std")]


@pytest.mark.parametrize("setup", ["camvid", "cityscapes", "streetscenes"])
@pytest.mark.parametrize("target", ["static", "dynamic"])
def test_experiments_have_the_default_recipe(setup: str, target: str) -> None:
    shipped = read_settings(CONFIGS / f"{setup}_{target}.yaml")["model"]
    recipe = read_settings(CONFIGS / "recipe/default.yaml")["model"]
    assert {name: shipped[name] for name in recipe} == recipe

    victim, hidden = Victim(Brightness(), classes=["sky", "road"]), HideClasses(["road"])
    attack = UniversalAttack(victim, StaticTarget("t0.png") if target == "static" else hidden, (8, 8))
    assert type(attack.reduction) is (Mean if target == "static" else Balanced)
    assert vars(attack.reduction) == shipped.get("reduction", {"init_args": {}})["init_args"] | (
        {} if target == "static" else {"smoothing": 500.0}
    )
    assert {"class_path": "uap.losses.GeneralizedCrossEntropy", "init_args": vars(attack.loss)} == recipe["loss"]
    optimizer, schedule = attack.moved_by([attack.perturbation], 10)
    assert isinstance(optimizer, SignSGD)
    assert optimizer.defaults == recipe["optimizer"]["init_args"]
    assert isinstance(schedule, CosineToEnd)
    assert schedule.final == recipe["lr_scheduler"]["init_args"]["final"]
