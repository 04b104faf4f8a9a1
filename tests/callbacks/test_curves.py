"""Tests of the curves in metrics.csv against the perturbation after each step."""

import csv
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor
from torch.optim import SGD

from tests.helpers import KeepSteps, attack_args, make_camvid
from uap import fit
from uap.universal.callbacks.curves import PerturbationCurves
from uap.universal.perturbation import Perturbation

KEEP = {
    "trainer.callbacks+": "tests.helpers.KeepSteps",
    "model.optimizer.momentum": 0,
    "model.tile": [4, 4],  # many pixels pull at an entry,
    "model.optimizer.lr": 40,  # and large steps overshoot
}
CONSTANT = {"model.lr_scheduler": "torch.optim.lr_scheduler.ConstantLR", "model.lr_scheduler.factor": 1}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_camvid(tmp_path / "camvid")


def curve(folder: Path, name: str) -> list[float]:
    with (folder / "metrics.csv").open() as file:
        return [float(row[f"perturbation/{name}"]) for row in csv.DictReader(file) if row[f"perturbation/{name}"]]


def flips(steps: list[Tensor]) -> list[float]:
    """Return the share of entries whose change has the opposite sign of the previous change, from step 2 on."""
    moves = [after - before for before, after in zip([torch.zeros_like(steps[0]), *steps], steps, strict=False)]
    return [float(((a > 0) & (b < 0) | (a < 0) & (b > 0)).float().mean()) for a, b in pairwise(moves)]


def test_curves_equal_the_perturbation_after_each_step(root: Path, tmp_path: Path) -> None:
    fit.main(attack_args(root, tmp_path / "out", **KEEP, **CONSTANT))

    steps = KeepSteps.steps
    assert len(steps) == 6
    assert curve(tmp_path / "out", "linf") == [float(step.abs().max()) for step in steps]
    saturation = [float((step.abs() == 60).float().mean()) for step in steps]
    assert curve(tmp_path / "out", "saturation") == pytest.approx(saturation)
    assert saturation[0] == 0 < max(saturation)  # a first step of 40 does not reach 60
    assert curve(tmp_path / "out", "sign_flips") == pytest.approx(flips(steps))
    assert max(flips(steps)) > 0


def test_accumulated_batches_are_one_step(root: Path, tmp_path: Path) -> None:
    changes = {"trainer.accumulate_grad_batches": 3, "trainer.max_epochs": 3}
    fit.main(attack_args(root, tmp_path / "out", **KEEP, **CONSTANT, **changes))

    steps = KeepSteps.steps[2::3]
    assert len(steps) == 3
    assert curve(tmp_path / "out", "linf") == [float(step.abs().max()) for step in steps]
    assert curve(tmp_path / "out", "sign_flips") == pytest.approx(flips(steps))


@pytest.mark.slow
def test_resumed_run_continues_the_curves(root: Path, tmp_path: Path) -> None:
    fit.main(attack_args(root, tmp_path / "whole", **KEEP, **CONSTANT))
    fit.main(attack_args(root, tmp_path / "parts", **KEEP, **CONSTANT, **{"trainer.max_epochs": 1}))
    folder = tmp_path / "parts"
    arguments = {
        "config": folder / "config.yaml",
        "ckpt_path": folder / "checkpoints" / "last.ckpt",
        "trainer.max_epochs": 2,
    }
    fit.main([f"--{name}={value}" for name, value in arguments.items()])

    for name in ("linf", "saturation", "sign_flips"):
        assert curve(folder, name) == curve(tmp_path / "whole", name)


def test_saturation_with_an_epsilon_that_is_not_exact_in_float32() -> None:
    logged: dict[str, float] = {}
    perturbation = Perturbation((4, 5), 1.7)
    module: Any = SimpleNamespace(perturbation=perturbation, log_dict=logged.update)
    curves, trainer = PerturbationCurves(), cast(Trainer, None)
    for signs in (1, 1, -1):
        curves.on_before_optimizer_step(trainer, cast(LightningModule, module), SGD([perturbation.proto]))
        with torch.no_grad():
            perturbation.proto.add_(2 * signs)
        perturbation.project_(perturbation.epsilon)
        curves.on_train_batch_end(trainer, cast(LightningModule, module), None, None, 0)
        if signs == 1:
            assert logged["perturbation/saturation"] == 1
    assert logged["perturbation/sign_flips"] == 0  # the previous step was clipped to no change
