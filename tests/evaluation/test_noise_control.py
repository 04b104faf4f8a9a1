"""Random signs of the size of an attack, its control."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from tests.evaluation.test_robustness import network, root  # noqa: F401  # `root` is a fixture
from tests.evaluation.test_transferred import matrix, words
from uap import transfer
from uap.attacks import DAG, FGSM
from uap.evaluation import Transferred
from uap.evaluation.noise_control import NoiseControl
from uap.objectives import PureClass
from uap.victims import Victim


@pytest.fixture
def control() -> NoiseControl:
    """Return the control of an attack whose changes have different sizes on different images."""
    torch.manual_seed(0)
    victim = Victim(nn.Conv2d(3, 3, 3, padding=1), classes=["road", "sky", "car"])
    return NoiseControl(Transferred(DAG(variant="authors", gamma=8.0, steps=5), victim, PureClass()))


def images() -> Tensor:
    return torch.randint(0, 256, (3, 3, 16, 24), generator=torch.Generator().manual_seed(0)).float()


def test_the_noise_of_each_image_has_the_size_of_the_attack(control: NoiseControl) -> None:
    clean = images()
    source = control.transferred.source
    attacked = control.transferred.made(clean).adversarial - clean
    noise = control(source, clean, control.objective) - clean
    for one, other in zip(attacked, noise, strict=True):
        assert other.abs().amax() - other.abs().amin() < 1e-4
        assert other.square().mean().sqrt().item() == pytest.approx(one.square().mean().sqrt().item(), rel=1e-5)
    assert 0.4 < float((noise > 0).float().mean()) < 0.6


def test_noise_depends_on_the_image_alone(control: NoiseControl) -> None:
    clean = images()
    source = control.transferred.source
    together = control(source, clean, control.objective)
    assert torch.allclose(together[1:2], control(source, clean[1:2], control.objective), atol=1e-4)


def test_rows_of_noise_follow_those_of_the_attacks(
    root: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attacks = ["--attacks", "FGSM", "--epsilons", "60"]
    rows = [network("plain"), "--evaluate-on", network("low", 105.0)]
    alone = matrix(transfer.main(words(root, *rows, *attacks)))
    monkeypatch.setattr(FGSM, "run", None)  # the images that were kept have the size
    found = matrix(transfer.main(words(root, *rows, *attacks, "--control")))
    assert {key: found[key] for key in alone} == alone
    assert list(found) == [(row, name, "FGSM") for name in ("plain", "low") for row in ("plain", "plain, noise")]
    sizes = [found[row, "plain", "FGSM"]["float"]["rms"] for row in ("plain", "plain, noise")]
    assert sizes[0] == pytest.approx(sizes[1], rel=1e-5)
    assert found["plain, noise", "low", "FGSM"] != found["plain", "low", "FGSM"]
