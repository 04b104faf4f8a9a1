"""Tests of attacks on an ensemble of networks."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers import SIZE, attack_args, learned, make_camvid, refuses, save
from uap.evaluation.saved_perturbation import read_saved
from uap.fit import main
from uap.universal.optim import unit_gradient
from uap.universal.perturbation_files import load_perturbation
from uap.victims import Victim


def network(class_path: str = "tests.helpers.Contrast", **init_args: Any) -> dict[str, Any]:
    inner = {"class_path": class_path, "init_args": init_args}
    return {"class_path": "uap.victims.Victim", "init_args": {"network": inner, "classes": ["sky", "building"]}}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    save(tmp_path / "ones.png", np.ones(SIZE, np.uint8))
    return make_camvid(tmp_path / "camvid", train=5)


def against(*ensemble: dict[str, Any]) -> dict[str, Any]:
    return {
        "model.victim.network": "tests.helpers.Contrast",
        "model.objective.labels": "ones.png",
        "model.objective.image": "null",
        "model.epsilon": 7,
        "model.loss": "uap.losses.CrossEntropy",
        "model.loss.confidence": "null",
        "model.optimizer.lr": 2,
        "model.ensemble": list(ensemble),
    }


def test_unit_gradient_scales_the_gradient_of_each_image() -> None:
    x = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]).view(3, 1, 1, 3).requires_grad_()
    same = unit_gradient(x, torch.tensor([1.0, 0.5, 1.0]))
    assert torch.equal(same, x)
    steep = torch.tensor([[300.0, -600.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]).view(3, 1, 1, 3)
    (gradient,) = torch.autograd.grad((same * steep).sum(), x)
    torch.testing.assert_close(gradient.view(3, 3), torch.tensor([[1.0, -2.0, 0.0], [0.5, 0.5, 0.5], [0.0, 0.0, 0.0]]))


@pytest.mark.slow
def test_member_with_a_large_gradient_does_not_dominate_the_ensemble(root: Path, tmp_path: Path) -> None:
    steep = network("tests.test_ensemble.Opposed", scale=1000.0)
    alone = main(attack_args(root, tmp_path / "alone", **against()))
    joint = main(attack_args(root, tmp_path / "joint", **against(steep, network(), network())))
    evaluations = [
        json.loads((tmp_path / name / "metrics.json").read_text())["gradient_evaluations"]
        for name in ("alone", "joint")
    ]
    assert evaluations == [2 * 5, 2 * 5 * 4]
    _, metadata = load_perturbation(tmp_path / "joint/perturbation.safetensors")
    assert metadata["ensemble"] == "Opposed, Contrast, Contrast"
    assert read_saved(tmp_path / "joint", "joint").facts["network"] == "Contrast, Opposed, Contrast, Contrast"

    # three of the four networks want the same, and each counts like the steep one that wants the opposite
    assert torch.equal(joint.model.perturbation.proto, alone.model.perturbation.proto)


@pytest.mark.slow
def test_perturbation_of_an_ensemble_is_a_compromise(root: Path, tmp_path: Path) -> None:
    main(attack_args(root, tmp_path / "own", **against()))
    main(attack_args(root, tmp_path / "joint", **against(network("tests.test_ensemble.OtherChannels"))))
    own, joint = learned(tmp_path / "own"), learned(tmp_path / "joint")

    assert own[0].min() == 7  # the first network looks at the first channel most of all
    assert own[2].min() > 0
    assert joint[2].max() == -7  # the member wants the third one the other way, and more


@pytest.mark.slow
def test_checkpoint_of_another_ensemble_raises_error(root: Path, tmp_path: Path) -> None:
    main(attack_args(root, tmp_path / "out", **against(network())))
    changes = {"ckpt_path": str(tmp_path / "out/checkpoints/last.ckpt"), "trainer.max_epochs": 9}
    with refuses("ckpt_path", "conflict", "its ensemble is"):
        main(attack_args(root, tmp_path / "out", **against(), **changes))


@pytest.mark.slow
def test_ensemble_members_have_separate_targets(root: Path, tmp_path: Path) -> None:
    changes = against(network("tests.helpers.Brightness", threshold=20.0)) | {
        "model.objective": "uap.objectives.StaticTarget",
        "model.objective.labels": "null",
        "model.objective.image": "train/frame_000.png",
    }
    cli = main(attack_args(root, tmp_path / "out", **changes))
    item = cli.datamodule.datasets["train"][0]
    (member,) = item["ensemble"]
    assert (member["target"] == 1).float().mean() > 0.9  # nearly all is brighter than 20
    assert not torch.equal(member["target"], item["target"])


class Opposed(torch.nn.Module):
    """A network with the opposite gradient of Contrast and a much larger magnitude."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.conv = torch.nn.Conv2d(3, 2, 1)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([[0.02, -0.03, 0.01], [0.0, 0.0, 0.0]]).view(2, 3, 1, 1))
            self.conv.bias = torch.nn.Parameter(torch.tensor([0.0, 3.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.conv(x) * self.scale)


class OtherChannels(torch.nn.Module):
    """A network that only uses the third channel; class 1 is dark."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 2, 1)
        with torch.no_grad():
            self.conv.weight.copy_(torch.tensor([[0.0, 0.0, 0.03], [0.0, 0.0, 0.0]]).view(2, 3, 1, 1))
            self.conv.bias = torch.nn.Parameter(torch.tensor([0.0, 2.0]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self.conv(x))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("root_device", "processes", "expected"),
    [
        ("cuda:1", 1, ["cuda:1", "cuda:0", "cuda:2", "cuda:1"]),  # more networks than GPUs: they share
        ("cuda:1", 2, ["cuda:1"] * 4),  # the other GPUs are those of other processes
        ("cpu", 1, ["cpu"] * 4),
    ],
)
def test_ensemble_of_one_process_is_distributed_over_gpus(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root_device: str, processes: int, expected: list[str]
) -> None:
    attack = main(attack_args(root, tmp_path / "out", **against(network(), network(), network()))).model
    placed: list[str] = []
    monkeypatch.setattr("uap.universal.attack_module.attach_targets", lambda *_: 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(Victim, "to", lambda victim, device: placed.append(str(device)))
    monkeypatch.setattr(Victim, "check", lambda victim, size: None)
    strategy = SimpleNamespace(root_device=torch.device(root_device))
    attack.trainer = SimpleNamespace(
        strategy=strategy, world_size=processes, precision="32-true", datamodule=attack.victim
    )
    attack.setup("fit")
    assert placed == expected
