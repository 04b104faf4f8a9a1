"""Tests that commands take objectives that need clean logits or sample, not only those of clean predictions."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.helpers import SIZE, attack_args, make_camvid
from uap import attack, distortions, fit, transfer
from uap.attacks import FGSM
from uap.data import CamVid
from uap.objectives import LeastLikely, RandomClasses
from uap.objectives.sampling import goal_of
from uap.utils.quantize import quantize


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_camvid(tmp_path / "camvid")


def arguments(root: Path, out: Path, objective: str, **changes: Any) -> list[str]:
    settings = {"model.objective": f"uap.objectives.{objective}", "model.victim.network": "tests.helpers.Contrast"}
    return attack_args(root, out, **settings, **changes)


@pytest.mark.parametrize("objective", ["LeastLikely", "RandomClasses"])
def test_a_universal_perturbation_reaches_any_target(objective: str, root: Path, tmp_path: Path) -> None:
    """The network has two classes, so the least likely and any random class is the other one: all must change."""
    changes = {"trainer.max_epochs": 6, "trainer.num_nodes": 1}
    cli = fit.main(arguments(root, tmp_path / "run", objective, **changes))
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["val/success_before"] == 0
    assert metrics["val/success_rate"] > 0.5
    assert metrics["val/kept"] == pytest.approx(1 - metrics["val/success_rate"])
    assert metrics["target"] == objective
    assert float(cli.model.perturbation.proto.detach().abs().max()) > 0
    out = transfer.main([str(tmp_path / "run"), "--out", str(tmp_path / "transfer")])
    cells = json.loads((out / "transfer.json").read_text())["cells"]
    (cell,) = [cell for cell in cells if not cell["control"]]
    assert cell["metrics"]["success_rate"] == pytest.approx(metrics["val/success_rate"])
    text = (distortions.main([str(tmp_path / "run"), "--out", str(tmp_path / "d")]) / "distortions.md").read_text()
    assert "uccess rate" in text


def test_fgsm_ii_on_the_command_line_is_that_of_python(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    changes = {"attack": "FGSM", "model.epsilon": 40, "trainer.num_nodes": 1}
    cli = attack.main(arguments(root, out, "LeastLikely", **changes))
    victim = cli.model.victim
    for path in sorted((root / "val").glob("*.png")):
        image = torch.from_numpy(np.asarray(Image.open(path)).copy()).permute(2, 0, 1)[None].float()
        expected = quantize(image, FGSM(40)(victim, image, LeastLikely()), 40)[0].permute(1, 2, 0).numpy()
        written = np.asarray(Image.open(out / "adversarial" / path.name))
        assert np.array_equal(written, expected)


def test_random_targets_on_the_command_line_are_those_of_python(root: Path, tmp_path: Path) -> None:
    changes = {"steps": 3, "trainer.num_nodes": 1}
    cli = attack.main(arguments(root, tmp_path / "run", "RandomClasses", **changes))
    data = CamVid(root=str(root), size=SIZE, batch_size=2)
    data.setup("validate")
    (batch, *_) = data.datasets["scored"].loader()
    images = batch["image"].float()
    with torch.no_grad():
        logits = cli.model.victim(images)
    goal = goal_of(RandomClasses(), cli.model.victim, images, data.seed, logits=logits)
    assert torch.equal(goal.labels, 1 - logits.argmax(1))
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["val/success_before"] == 0
