"""Tests of the table of named attacks."""

import pytest
import torch

from tests.attacks.linear import Linear, images
from tests.helpers import refuses
from uap.attacks import ATTACKS, FGSM, IterativeFGSM, named_attack
from uap.objectives import LeastLikely, Untargeted
from uap.utils.class_tables import CITYSCAPES


@pytest.mark.parametrize("name", ATTACKS)
def test_every_named_attack_runs(name: str) -> None:
    named, pictures = named_attack(name), images(2, (6, 8))
    attack, victim = named.build(3), Linear(classes=19)
    victim.table = CITYSCAPES  # type: ignore[assignment]
    adversarial = attack(victim, pictures, named.objective(), torch.Generator().manual_seed(0))
    assert named.name == name
    assert adversarial.shape == pictures.shape
    assert not adversarial.equal(pictures)
    assert attack.epsilon == (3 if named.has_epsilon else named.build().epsilon)
    assert named.definition


def test_names_of_arnab_et_al_are_pairs_of_an_algorithm_and_an_objective() -> None:
    found = {name: (type(named.build(8)), type(named.objective())) for name, named in ATTACKS.items()}
    expected = {
        "FGSM": (FGSM, Untargeted),
        "FGSMII": (FGSM, LeastLikely),
        "IterativeFGSM": (IterativeFGSM, Untargeted),
        "IterativeFGSMII": (IterativeFGSM, LeastLikely),
    }
    assert expected.items() <= found.items()


def test_unknown_name_raises_error_with_known_names() -> None:
    with refuses("attack", "unknown_name", "FGSM2"):
        named_attack("FGSM2")
