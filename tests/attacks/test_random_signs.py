"""Random signs, the control of bounded attacks."""

import torch

from tests.attacks.linear import Linear, images
from tests.helpers import refuses
from uap.attacks import RandomSigns
from uap.objectives import Untargeted


def test_every_value_changes_by_epsilon_with_both_signs() -> None:
    clean = images(2)
    change = RandomSigns(3)(Linear(), clean, Untargeted()) - clean
    assert set(change.flatten().tolist()) == {-3.0, 3.0}
    assert 0.4 < float((change > 0).float().mean()) < 0.6
    assert not torch.equal(change[0], change[1])


def test_no_network_is_asked() -> None:
    attack = RandomSigns(3)
    attack(Linear(), images(2), Untargeted())
    assert (attack.cost.forwards, attack.cost.backwards) == (0, 0)


def test_signs_depend_on_the_seed_and_the_image_alone() -> None:
    clean = images(3)
    together = RandomSigns(3)(Linear(), clean, Untargeted())
    assert torch.equal(together[1:2], RandomSigns(3)(Linear(), clean[1:2], Untargeted()))
    assert not torch.equal(together, RandomSigns(3)(Linear(), clean, Untargeted(), torch.Generator().manual_seed(1)))


def test_an_epsilon_out_of_range_is_refused() -> None:
    with refuses("epsilon", "out_of_range"):
        RandomSigns(0)
