"""One perturbation for two networks with two targets."""

import pytest
import torch
from torch import Tensor, nn

from uap.attacks import DAG
from uap.objectives import Shape, SideBySideTargets, Untargeted
from uap.objectives.shape import shape_mask
from uap.utils.errors import InputError
from uap.victims import SideBySide, Victim


def network(channel: int, classes: int) -> Victim:
    """Return a network that predicts class 1 where a channel is above 100."""
    layer = nn.Conv2d(3, classes, 1)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[1, channel] = 1
        layer.bias.copy_(torch.tensor([0.0, -100.0, -900.0, -900.0])[:classes])  # type: ignore[union-attr]
    return Victim(layer, classes=[f"class {number}" for number in range(classes)])


def images() -> Tensor:
    return 80 + 10 * torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))


def test_one_perturbation_reaches_two_targets() -> None:
    first, second = network(0, 2), network(1, 4)
    both = SideBySide([first, second])
    assert both(images()).shape == (2, 4, 16, 8)
    targets = SideBySideTargets([Shape("square", 1), Shape("strip", 1)])
    attack = DAG("authors", gamma=2.0, tolerance=0.0)
    adversarial = attack(both, images(), targets)
    assert attack.cost.converged is not None
    assert attack.cost.converged.all()
    for victim, form in ((first, "square"), (second, "strip")):
        expected = shape_mask(form, 8, 8).expand(2, -1, -1)  # type: ignore[arg-type]
        assert torch.equal(victim.predict(adversarial) == 1, expected)


def test_one_network_other_numbers_and_no_target_are_refused() -> None:
    with pytest.raises(InputError) as error:
        SideBySide([network(0, 2)])
    assert error.value.setting == "victims"
    both = SideBySide([network(0, 2), network(1, 2)])
    for objectives in ([Shape("square", 1)], [Shape("square", 1), Untargeted()]):
        with pytest.raises(InputError) as error:
            DAG()(both, images(), SideBySideTargets(objectives))
        assert error.value.setting == "objectives"
