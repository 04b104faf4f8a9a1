"""Tests of short messages for errors of the parser."""

import importlib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helpers import fit_refusal, refusal
from uap.configuration.parser_messages import YAML, sentence
from uap.victims.building import build_victim

NESTED = """Parser key "data":
  Does not validate against any of the Union subtypes
  Subtypes: [<class 'uap.data.datamodule.SegmentationData'>, <class 'NoneType'>]
  Errors:
    - Problem with given class_path 'uap.data.CamVid':
        Parser key "size":
          Expected a tuple with 2 elements. Got value: [100]
    - Expected a <class 'NoneType'>
  Given value type: <class 'jsonargparse._util.NestedArg'>
  Given value: NestedArg(key='size', val=[100])"""

CLASS = """Parser key "model.loss":
  - Expected a path but Entropi either not accessible or invalid
  - Does not validate against any of the Union subtypes
  Subtypes: [<class 'uap.losses.base.Loss'>, <class 'NoneType'>]
  Errors:
    - Expected a dot import path string: Entropi
    - Expected a <class 'NoneType'>
  Given value type: <class 'str'>
  Given value: Entropi"""

ADVICE = ". --print_config shows the settings and their values."


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (NESTED, "data.size: Expected [...] with 2 values, got [100]"),
        ("unrecognized arguments: hello", "unrecognized arguments: hello"),
        ("Parser key \"a\":\n  Expected a <class 'int'>. Got value: x", "a: Expected a whole number, got x"),
        ("Errors:", "Errors:"),
    ],
)
def test_setting_error_and_advice_remain(text: str, expected: str) -> None:
    assert sentence(text) == expected.rstrip(".") + ADVICE


def test_message_about_an_unknown_class_lists_known_classes() -> None:
    message = sentence(CLASS)
    assert message.startswith("model.loss: there is no class Entropi. ")
    assert "uap.losses.CrossEntropy" in message
    assert "Omega" not in message  # not a loss


@pytest.mark.parametrize(
    ("settings", "closest", "other"),
    [
        ({"data": "CamVd"}, "uap.data.CamVid", "uap.data.Cityscapes"),
        ({"data": "uap.data.Camvid"}, "uap.data.CamVid", "uap.data.Cityscapes"),
        ({"model.loss": "CrossEntrpy"}, "uap.losses.CrossEntropy", "uap.losses.SegPGD"),
        ({"model.loss": "uap.loses.CrossEntropy"}, "uap.losses.CrossEntropy", "uap.losses.SegPGD"),
        ({"model.reduction": "Omga"}, "uap.losses.Omega", "uap.losses.Mean"),
        ({"model.objective": "StaticTraget"}, "uap.objectives.StaticTarget", "uap.objectives.HideClasses"),
        ({"model.victim": "Victm"}, "uap.victims.Victim", "uap.victims.HuggingFace"),
        ({"model.victim.network": "EspNet"}, "uap.networks.ESPNet", "uap.networks.CGNet"),
        ({"model.victim.network": "tests.helpers.Brightnes"}, "tests.helpers.Brightness", "uap.networks.CGNet"),
        ({"model.optimizer": "SignSDG"}, "uap.universal.optim.SignSGD", "torch.optim.Adam"),
        ({"model.optimizer": "torch.optim.Adm"}, "torch.optim.Adam", "uap.universal.optim.SignSGD"),
        ({"model.lr_scheduler": "CosinToEnd"}, "uap.universal.optim.CosineToEnd", "torch.optim.lr_scheduler.StepLR"),
        (
            {"trainer.callbacks": "[{class_path: EarlyStoping}]"},
            "pytorch_lightning.callbacks.EarlyStopping",
            "uap.universal.callbacks.full_batch.FullBatchGradient",
        ),
        (
            {"trainer.logger": "TensorBoardLoger"},
            "pytorch_lightning.loggers.TensorBoardLogger",
            "pytorch_lightning.loggers.CSVLogger",
        ),
    ],
)
def test_closest_class_is_first(
    settings: dict[str, Any], closest: str, other: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = fit_refusal(settings, tmp_path, capsys)
    assert f"Did you mean {closest}?" in message
    assert other in message
    assert message.count("\n") == 1


def test_other_commands_suggest_classes_as_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.yaml").write_text("model: {victim: {class_path: Victm}}")
    message = refusal(lambda: build_victim(tmp_path / "net.yaml"), capsys)
    assert "model.victim: there is no class Victm. Did you mean uap.victims.Victim?" in message


def test_missing_library_of_a_user_module_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "net_that_lacks.py").write_text("import no_such_library\n")
    monkeypatch.syspath_prepend(tmp_path)
    message = fit_refusal({"model.victim.network": "net_that_lacks.Net"}, tmp_path, capsys)
    assert "No module named 'no_such_library'" in message
    assert "there is no class" not in message


@pytest.mark.parametrize("setting", YAML)
def test_example_of_a_missing_setting_sets_it(setting: str) -> None:
    content = yaml.safe_load(YAML[setting])
    for name in setting.split("."):
        content = content[name]
    module, _, name = content["class_path"].rpartition(".")
    assert getattr(importlib.import_module(module), name)(**content["init_args"])
