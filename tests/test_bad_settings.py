"""Tests of settings that `uap.fit` refuses: the error names the setting and the kind of the fault."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helpers import fit_error, refuses
from tests.test_bad_input import (
    checkpoint,
    foreign_weights,
    hostile_checkpoint,
    hostile_weights,
    odd_size,
    of_a_network,
    weights_without_numbers,
    without_loops,
    without_numbers,
    written,
)
from uap import fit
from uap.configuration.parser_messages import YAML
from uap.utils.errors import Kind

SETTINGS: dict[str, tuple[Any, str | None, Kind, str]] = {
    "weights that are no numbers": (weights_without_numbers, "model.victim.weights", "not_finite", "Brightness"),
    "a checkpoint without numbers": (checkpoint(without_numbers), "ckpt_path", "not_finite", "nan.ckpt"),
    "a checkpoint without a place": (checkpoint(without_loops), "ckpt_path", "unusable_file", "epoch, loops"),
    "a checkpoint without a name": ({"ckpt_path": ""}, "ckpt_path", "missing_file", "There is no file"),
    "a step without end": ({"model.optimizer.lr": ".inf"}, "model.optimizer.lr", "out_of_range", "inf"),
    "a step that leaves no numbers": (
        {"model.optimizer": "torch.optim.SGD", "model.optimizer.lr": ".inf"},
        "model.optimizer",
        "not_finite",
        "Step 1",
    ),
    "an optimizer that torch refuses": (
        {"model.optimizer": "torch.optim.Adam", "model.optimizer.lr": -1},
        "model.optimizer",
        "not_supported",
        "Invalid learning rate",
    ),
    "a validation every 0 epochs": (
        {"trainer.check_val_every_n_epoch": 0},
        "trainer.check_val_every_n_epoch",
        "out_of_range",
        "0",
    ),
    "a merge of aliases": (
        written("x.yaml", b"a: &a {b: 1}\nc: {<<: [*a]}", "config"),
        "config",
        "unusable_file",
        "YAML aliases",
    ),
    "a tag without its value": (written("x.yaml", b"a: !!int ''", "config"), "config", "unusable_file", "x.yaml"),
    "a tag in a setting": ({"data.limit": "!!int ''"}, "data.limit", "wrong_type", "!!int"),
    "aliases in a configuration": (
        written("x.yaml", b"a: &a {b: *a}", "config"),
        "config",
        "unusable_file",
        "YAML aliases",
    ),
    "a trainer of nothing": (written("x.yaml", b"trainer: null", "config"), "trainer", "wrong_type", "None"),
    "a file for a folder": (written("file", b"x", "data.root"), "data.root", "missing_file", "file/train"),
    "a list of no images": (written("list.txt", b"", "data.files"), "data.files", "unusable_file", "list.txt"),
    "a list of other images": (written("list.txt", b"a.png", "data.files"), "data.files", "unknown_name", "a.png"),
    "a list that is not there": ({"data.files": "none.txt"}, "data.files", "missing_file", "none.txt"),
    "one number for a size": ({"data.size": [100]}, "data.size", "wrong_type", "[100]"),
    "a word for a size": ({"data.size": "big"}, "data.size", "wrong_type", "big"),
    "a size below 0": ({"data.size": [-8, 8]}, "data.size", "out_of_range", "(-8, 8)"),
    "a word for a batch": ({"data.batch_size": "four"}, "data.batch_size", "wrong_type", "four"),
    "workers below 0": ({"data.num_workers": -1}, "data.num_workers", "out_of_range", "-1"),
    "a disk below 0": ({"data.cache_gib": -1}, "data.cache_gib", "out_of_range", "-1.0"),
    "no such split": ({"data.split": "foo"}, "data.split", "unknown_name", "foo"),
    "no such data": ({"data": "uap.data.Nope"}, "data", "unknown_name", "uap.data.Nope"),
    "data that are none": ({"data": "torch.nn.Linear"}, "data", "wrong_type", "torch.nn.Linear"),
    "an empty configuration": (written("x.yaml", b"", "config"), "config", "unusable_file", "holds nothing"),
    "a list for a configuration": (written("x.yaml", b"- 1", "config"), "config", "unusable_file", "holds a list"),
    "a configuration with half a bracket": (written("x.yaml", b"{a: [", "config"), "config", "unusable_file", "YAML"),
    "a configuration of bytes": (written("x.yaml", bytes(range(256)), "config"), "config", "unusable_file", "YAML"),
    "a configuration that is code": (
        written("x.yaml", b"data: !!python/object/apply:os.mkdir [executed]", "config"),
        "config",
        "unusable_file",
        "could not determine a constructor",
    ),
    "a folder for a configuration": (lambda root: {"config": root}, "config", "missing_file", "camvid"),
    "no such loss": ({"model.loss": "uap.losses.Nope"}, "model.loss", "unknown_name", "uap.losses.Nope"),
    "no such network": ({"model.victim.network": "nowhere.Net"}, "model.victim.network", "unknown_name", "nowhere.Net"),
    "a function for a network": (
        {"model.victim.network": "os.system"},
        "model.victim.network",
        "unknown_name",
        "os.system",
    ),
    "an argument that a network has not": (
        {"model.victim.network": "uap.networks.ESPNet", "model.victim.network.clases": 11},
        "model.victim.network",
        "unknown_name",
        "clases",
    ),
    "no such class table": (
        {"model.victim.classes": "mars"},
        "model.victim.classes",
        "unknown_name",
        "bdd100k, camvid, cityscapes, voc",
    ),
    "no such output": ({"model.victim.output": "x"}, "model.victim.output", "unknown_name", "'x'"),
    "a std of 0": ({"model.victim.std": [0, 1, 1]}, "model.victim.std", "out_of_range", "(0.0, 1.0, 1.0)"),
    "weights that are text": (
        written("a.pth", b"hi", "model.victim.weights"),
        "model.victim.weights",
        "unusable_file",
        "a.pth",
    ),
    "empty safetensors": (
        written("a.safetensors", b"", "model.victim.weights"),
        "model.victim.weights",
        "unusable_file",
        "a.safetensors",
    ),
    "a folder for weights": (
        lambda root: {"model.victim.weights": root},
        "model.victim.weights",
        "missing_file",
        "camvid",
    ),
    "a checkpoint that is code": (checkpoint(hostile_checkpoint), "ckpt_path", "unusable_file", "run code"),
    "a network's checkpoint": (checkpoint(of_a_network), "ckpt_path", "unusable_file", "no perturbation"),
    "an epsilon that is no number": ({"model.epsilon": ".nan"}, "model.epsilon", "out_of_range", "nan"),
    "an epsilon above 255": ({"model.epsilon": 256}, "model.epsilon", "out_of_range", "256"),
    "a tile of nothing": ({"model.tile": [0, 4]}, "model.tile", "out_of_range", "(0, 4)"),
    "nothing to hide": (
        {"model.objective": "uap.objectives.HideClasses", "model.objective.hide": []},
        "model.objective.hide",
        "missing_setting",
        "HideClasses",
    ),
    "no objective": ({"model.objective": "null"}, "model.objective", "missing_setting", "uap.objectives.HideClasses"),
    "an objective without a class": (
        written("x.yaml", b"model: {objective: {hide: [person]}}", "config"),
        "model.objective",
        "missing_setting",
        "class_path",
    ),
    "an objective that is a base class": (
        {"model.objective": "uap.objectives.PredictionObjective"},
        "model.objective",
        "missing_setting",
        "uap.objectives.HideClasses, uap.objectives.JointTargets, uap.objectives.LeastLikely",
    ),
    "an objective without its argument": (
        {"model.objective": "uap.objectives.HideClasses"},
        "model.objective.hide",
        "missing_setting",
        "hide",
    ),
    "no class of data": ({"data": "uap.data.SegmentationData"}, "data", "missing_setting", "uap.data.CamVid"),
    "an abbreviated setting": ({"trainer.max_epo": 1}, None, "unknown_name", "--trainer.max_epo=1"),
    "an abbreviated argument": ({"quie": "true"}, None, "unknown_name", "--quie=true"),
    "an abbreviated component": ({"model.vict.weights": "x"}, None, "unknown_name", "--model.vict.weights=x"),
    "an abbreviated setting of data": ({"data.limi": 3}, "data", "unknown_name", "limi"),
    "an abbreviated setting of a network": ({"model.victim.weigh": "x"}, "model.victim", "unknown_name", "weigh"),
    "no such optimizer": (
        {"model.optimizer": "torch.optim.Adamm"},
        "model.optimizer",
        "unknown_name",
        "torch.optim.Adamm",
    ),
    "a momentum of 2": ({"model.optimizer.momentum": 2}, "model.optimizer.momentum", "out_of_range", "2.0"),
    "no batch to a step": (
        {"trainer.accumulate_grad_batches": 0},
        "trainer.accumulate_grad_batches",
        "out_of_range",
        "0",
    ),
    "a run without an end": ({"trainer.max_epochs": -1}, "trainer.max_epochs", "out_of_range", "-1"),
    "devices in words": ({"trainer.devices": "many"}, "trainer", "not_supported", "devices"),
    "no such precision": ({"trainer.precision": "17"}, "trainer.precision", "unknown_name", "17"),
    "no such callback": (
        {"trainer.callbacks+": "uap.universal.callbacks.Nope"},
        "trainer.callbacks",
        "unknown_name",
        "uap.universal.callbacks.Nope",
    ),
    "no data": ({"data.root": "nowhere"}, "data.root", "missing_file", "nowhere"),
    "a size that the network cannot take": (odd_size, "data.size", "not_supported", "20 x 20"),
    "weights of another network": (foreign_weights, "model.victim.weights", "not_supported", "Brightness"),
    "weights that are code": (hostile_weights, "model.victim.weights", "unusable_file", "run code"),
    "no weights": ({"model.victim.weights": "none.pth"}, "model.victim.weights", "missing_file", "none.pth"),
    "an epsilon below 0": ({"model.epsilon": -1}, "model.epsilon", "out_of_range", "-1.0"),
    "a word for a number": ({"model.epsilon": "much"}, "model.epsilon", "wrong_type", "much"),
    "a step of 0": ({"model.optimizer.lr": 0}, "model.optimizer.lr", "out_of_range", "0"),
    "a class that does not exist": (
        {"model.objective": "uap.objectives.HideClasses", "model.objective.hide": ["unicorn"]},
        "model.objective.hide",
        "unknown_name",
        "unicorn",
    ),
    "a class that is never predicted": (
        {
            "model.objective": "uap.objectives.HideClasses",
            "model.objective.hide": ["building"],
            "model.victim.mean": [200] * 3,
        },
        "model.objective.hide",
        "not_supported",
        "building",
    ),
    "no such frame for the target": (
        {"model.objective.image": "train/none.png"},
        "model.objective.image",
        "missing_file",
        "train/none.png",
    ),
    "a checkpoint that is not there": ({"ckpt_path": "none.ckpt"}, "ckpt_path", "missing_file", "none.ckpt"),
    "a configuration that is not there": ({"config": "none.yaml"}, "config", "missing_file", "none.yaml"),
    "more images than there are": ({"data.limit": 99}, "data.limit", "out_of_range", "99"),
    "no image in a batch": ({"data.batch_size": 0}, "data.batch_size", "out_of_range", "0"),
    "an accelerator that does not exist": ({"trainer.accelerator": "foo"}, "trainer", "not_supported", "accelerator"),
    "an omega above 1": (
        {"model.reduction": "uap.losses.Omega", "model.reduction.omega": 2},
        "model.reduction.omega",
        "out_of_range",
        "2.0",
    ),
}
"""Changes of a valid run, the setting at fault, the kind of the fault, and a part of the message."""


@pytest.mark.parametrize("name", SETTINGS)
def test_bad_setting_is_named_in_the_error(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change, setting, kind, part = SETTINGS[name]
    error = fit_error(change, tmp_path, capsys)
    assert (error.setting, error.kind) == (setting, kind), error
    assert part in str(error)
    assert not Path("executed").exists()


def test_forgotten_objective_is_named_with_its_classes_and_a_line_of_yaml(tmp_path: Path) -> None:
    settings = yaml.safe_load((Path(__file__).parent / "brightness.yaml").read_text())
    del settings["model"]["objective"]
    (tmp_path / "x.yaml").write_text(yaml.safe_dump(settings))
    with refuses("model.objective", "missing_setting", YAML["model.objective"]):
        fit.main([f"--config={tmp_path / 'x.yaml'}", f"--data.root={tmp_path}"])
