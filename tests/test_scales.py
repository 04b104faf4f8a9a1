"""Tests of errors and warnings about values on another scale than grey levels from 0 to 255."""

import warnings
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import ConstantLR

from tests.helpers import attack_args, fit_refusal, make_camvid, refusal, refuses
from tests.scoring.runs import block_scene, config, make_run, noise
from uap import evaluate, fit, transfer
from uap.networks.espnet import ESPNet
from uap.reproduction.configuring import resolved
from uap.reproduction.reproduction import Layer
from uap.training.module import VictimTraining
from uap.universal.optim import CosineToEnd, GradientAggregation, SignSGD
from uap.universal.reach import warn_of_small_steps
from uap.utils.errors import InputError


@pytest.mark.parametrize(
    ("settings", "name", "meant"),
    [
        ({"model.epsilon": 0.0314}, "model.epsilon is 0.0314", "Did you mean 8,"),
        ({"model.epsilon": 0.0392}, "model.epsilon is 0.0392", "Did you mean 10,"),
        ({"model.start_epsilon": 0.0784}, "model.start_epsilon is 0.0784", "Did you mean 20,"),
    ],
)
def test_epsilon_from_0_to_1_raises_error_with_a_suggestion(
    settings: dict[str, Any], name: str, meant: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = fit_refusal(settings, tmp_path, capsys)
    assert name in said
    assert "grey levels" in said
    assert meant in said


def test_other_invalid_epsilon_has_no_suggestion(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Did you mean" not in fit_refusal({"model.epsilon": -3}, tmp_path, capsys)


@pytest.mark.parametrize("command", [evaluate, transfer])
def test_perturbation_with_epsilon_from_0_to_1_is_not_scored(
    command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_camvid(tmp_path / "camvid")
    monkeypatch.setattr("uap.universal.perturbation.check_epsilon", lambda *given: None)
    proto = noise(epsilon=0.03)
    run = make_run(tmp_path / "run", config(root, classes=["sky", "building"]), proto, block_scene(), epsilon=0.0314)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UAP_CACHE", "cache")
    own = [f"--config={run / 'config.yaml'}", f"--perturbation={run / 'perturbation.safetensors'}"]
    said = refusal(lambda: command.main([str(run)] if command is transfer else own), capsys)
    assert "Did you mean 8," in said


@pytest.mark.parametrize("setting", ["model.epsilon", "model.start_epsilon"])
def test_reproduction_with_epsilon_from_0_to_1_raises_error(setting: str) -> None:
    with pytest.raises(InputError, match=f"{setting} is 0.0784.*Did you mean 20,"):
        resolved([Layer([], {setting: 0.0784})], [], [], {})


def trial(kind: Any, steps: int, schedule: Any = CosineToEnd, epsilon: float = 10.0, **settings: Any) -> list[str]:
    """Return the warnings about the step size of a run."""
    parameter = nn.Parameter(torch.zeros(1))
    optimizer = kind([parameter], **settings)
    scheduled = schedule(optimizer)
    if isinstance(scheduled, CosineToEnd):
        scheduled.total_steps = steps
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_small_steps(parameter, optimizer, scheduled, steps, epsilon)
    return [str(warning.message) for warning in caught]


def constant(optimizer: Any) -> ConstantLR:
    return ConstantLR(optimizer, factor=1)


@pytest.mark.parametrize(
    ("kind", "settings", "steps"),
    [
        (SignSGD, {"lr": 0.0078}, 192),
        (SignSGD, {"lr": 2}, 8),  # 16 at a constant step, 9 under the cosine
        (torch.optim.Adam, {"lr": 0.01}, 500),
        (torch.optim.Adagrad, {"lr": 0.01}, 500),
        (
            GradientAggregation,
            {"lr": 1, "inner_steps": 4},
            40,
        ),  # 10 steps that stay, under the cosine
    ],
)
def test_small_steps_give_a_warning(kind: Any, settings: dict[str, Any], steps: int) -> None:
    (said,) = trial(kind, steps, **settings)
    assert "model.optimizer.lr" in said
    assert f"{steps} steps" in said


@pytest.mark.parametrize(
    ("kind", "settings", "steps", "schedule"),
    [
        (SignSGD, {"lr": 2}, 9, CosineToEnd),
        (SignSGD, {"lr": 1}, 10, constant),
        (torch.optim.Adam, {"lr": 0.1}, 100, constant),
        (GradientAggregation, {"lr": 1, "inner_steps": 4}, 40, constant),
        (torch.optim.SGD, {"lr": 0.01}, 3, constant),  # its steps are as large as the gradient
    ],
)
def test_sufficient_steps_give_no_warning(kind: Any, settings: dict[str, Any], steps: int, schedule: Any) -> None:
    assert trial(kind, steps, schedule, **settings) == []


@pytest.mark.filterwarnings("default:model.optimizer.lr is")
def test_run_of_small_steps_gives_a_warning_and_a_note_in_its_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_camvid(tmp_path / "camvid")
    with pytest.warns(UserWarning, match="model.optimizer.lr is 0.0078: the 6 steps"):
        fit.main(attack_args(root, tmp_path / "out", **{"model.optimizer.lr": 0.0078}))
    said = capsys.readouterr().out
    assert "not reached: the largest entry is 0.0" in said
    perturbation = tmp_path / "out" / "perturbation.safetensors"
    evaluate.main(attack_args(root, tmp_path / "scores", perturbation=perturbation))
    assert "not reached: the largest entry is 0.0" in capsys.readouterr().out


def test_run_that_reaches_epsilon_has_no_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fit.main(attack_args(make_camvid(tmp_path / "camvid"), tmp_path / "out", **{"model.optimizer.lr": 60}))
    assert "not reached" not in capsys.readouterr().out


def test_training_with_std_from_0_to_1_is_refused() -> None:
    with refuses("model.std", "out_of_range", "[0.229, 0.224, 0.225]"):
        VictimTraining(ESPNet(5, q=1), std=(0.229, 0.224, 0.225))
