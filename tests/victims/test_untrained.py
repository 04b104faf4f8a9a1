"""Tests of the detection of networks without trained weights."""

from pathlib import Path

import pytest
import torch
from torch import nn

from tests.helpers import attack_args, make_camvid
from uap import fit
from uap.networks import CGNet, ENet, ESPNet
from uap.utils import paths
from uap.victims.building import build_victim, find_victim
from uap.victims.untrained import looks_untrained


class Normalized(nn.Sequential):
    def __init__(self, norm: nn.Module | None = None, outputs: int = 2) -> None:
        middle = nn.BatchNorm2d(8) if norm is None else norm
        super().__init__(nn.Conv2d(3, 8, 3, padding=1), middle, nn.Conv2d(8, outputs, 1))


def without_norms() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 9, 1))


def with_zero_biases() -> nn.Module:
    network = without_norms()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight)
            nn.init.zeros_(module.get_parameter("bias"))
    return network


NEW = [
    Normalized,
    without_norms,
    with_zero_biases,
    lambda: Normalized(nn.GroupNorm(2, 8)),
    lambda: ESPNet(5),
    lambda: CGNet(4),
    lambda: ENet(4),
]


@pytest.mark.parametrize("build", NEW)
def test_new_network_looks_untrained(build: type[nn.Module]) -> None:
    assert looks_untrained(build())


@pytest.mark.parametrize("build", NEW[:4])
def test_network_after_a_few_steps_looks_trained(build: type[nn.Module]) -> None:
    torch.manual_seed(0)
    network = build()
    optimizer = torch.optim.SGD(network.parameters(), 0.05)
    for _ in range(9):
        optimizer.zero_grad()
        (network(torch.rand(2, 3, 8, 8)) - 9).square().mean().backward()
        optimizer.step()
    assert not looks_untrained(network)


SHIPPED = {path.stem for path in paths.shipped("checkpoints").glob("*.safetensors")}
VICTIMS = {path.stem for path in paths.shipped("configs/victim").glob("*.yaml")}


@pytest.mark.parametrize("name", sorted(SHIPPED & VICTIMS))
def test_shipped_networks_look_trained(name: str) -> None:
    victim = build_victim(find_victim(name))
    assert not victim.is_untrained
    assert not looks_untrained(victim.network)


def test_run_without_weights_gives_a_warning_and_a_note_in_its_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_camvid(tmp_path / "camvid")
    changes = {"model__victim__network": "tests.victims.test_untrained.Normalized", "trainer__max_epochs": 1}
    with pytest.warns(UserWarning, match="Normalized HAS NO WEIGHTS"):
        fit.main(attack_args(root, tmp_path / "out", **changes))
    assert "Normalized with random weights" in capsys.readouterr().out
    weights = Normalized()
    torch.save(weights.state_dict(), tmp_path / "net.pth")
    fit.main(attack_args(root, tmp_path / "out2", **changes, model__victim__weights=tmp_path / "net.pth"))
    assert "random weights" not in capsys.readouterr().out
