"""Tests of the table of named attacks."""

import pytest
import torch

from tests.attacks.linear import Linear, images
from tests.helpers import refuses
from uap.attacks import ATTACKS, DAG, FGSM, IterativeFGSM, RandomSigns, named_attack
from uap.objectives import LeastLikely, RandomClasses, Shape, Untargeted


@pytest.mark.parametrize("name", ATTACKS)
def test_every_named_attack_runs(name: str) -> None:
    named, pictures = named_attack(name), images(2, (6, 8))
    attack = named.build(3)
    adversarial = attack(Linear(), pictures, named.objective(), torch.Generator().manual_seed(0))
    assert named.name == name
    assert adversarial.shape == pictures.shape
    assert not adversarial.equal(pictures)
    assert attack.epsilon == (3 if named.has_epsilon else None)
    assert named.definition


def test_names_equal_the_papers() -> None:
    found = {name: (type(named.build(8)), type(named.objective())) for name, named in ATTACKS.items()}
    assert found == {
        "FGSM": (FGSM, Untargeted),
        "FGSMII": (FGSM, LeastLikely),
        "IterativeFGSM": (IterativeFGSM, Untargeted),
        "IterativeFGSMII": (IterativeFGSM, LeastLikely),
        "RandomSigns": (RandomSigns, Untargeted),
        "DAG": (DAG, RandomClasses),
        "DAGObjects": (DAG, RandomClasses),
        "DAGShape": (DAG, Shape),
    }


def test_unknown_name_raises_error_with_known_names() -> None:
    with refuses("attack", "unknown_name", "FGSM2"):
        named_attack("FGSM2")
