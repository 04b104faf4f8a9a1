"""Tests of the table of named attacks."""

import re
from typing import get_args

import pytest
import torch

from tests.attacks.linear import Linear, images
from tests.helpers import refuses
from uap.attacks import ATTACKS, FGSM, IterativeFGSM, SignSteps, listed, named_attack
from uap.objectives import HideClasses, LeastLikely, Picture, Shape, Untargeted
from uap.objectives.picture import Motif
from uap.objectives.shape import Form
from uap.utils.class_tables import CITYSCAPES, LabelTable

SWAPPED = {"car": "building", "building": "car"}
TABLE = LabelTable(tuple(SWAPPED.get(name, name) for name in CITYSCAPES.names), CITYSCAPES.colors)
"""Classes of which the network predicts cars on the images."""


@pytest.mark.parametrize("name", ATTACKS)
def test_every_named_attack_runs(name: str) -> None:
    named, pictures = named_attack(name), images(2, (6, 8))
    attack, victim = named.build(3), Linear(classes=19)
    victim.table = TABLE  # type: ignore[assignment]
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


def test_shapes_of_xie_et_al_and_motifs_of_xiao_et_al_have_names() -> None:
    objectives = {name: named.objective() for name, named in ATTACKS.items()}
    shapes = [one.form for one in objectives.values() if isinstance(one, Shape)]
    assert sorted(shapes) == sorted(get_args(Form))
    for algorithm in ("DAG", "Houdini"):
        own = [one for name, one in objectives.items() if name.startswith(algorithm)]
        assert {one.motif for one in own if isinstance(one, Picture)} == set(get_args(Motif))
        assert [one.hide for one in own if isinstance(one, HideClasses)] == [["car"]]
    assert objectives["DAGShape"].form == "circle"  # type: ignore[attr-defined]


def test_an_attack_keeps_its_own_epsilon_unless_the_user_chose_one() -> None:
    houdini = named_attack("HoudiniPure")
    assert [houdini.build(epsilon).epsilon for epsilon in houdini.bounds([8.0], chosen=False)] == [32]
    assert [houdini.build(epsilon).epsilon for epsilon in houdini.bounds([4.0, 8.0], chosen=True)] == [4, 8]
    assert named_attack("FGSM").bounds([8.0], chosen=False) == [8.0]
    assert named_attack("DAGPure").bounds([8.0], chosen=True) == [None]


@pytest.mark.parametrize("epsilon", [4.0, 32.0])
def test_houdini_steps_scale_with_epsilon(epsilon: float) -> None:
    attack = named_attack("HoudiniPicture").build(epsilon)
    assert isinstance(attack, SignSteps)
    assert (attack.alpha, attack.steps) == (epsilon / 16, 60)


def test_list_of_names_is_short_and_complete() -> None:
    found = []
    for part in re.split(r", (?![^{]*})", listed()):
        start, _, endings = part.rstrip("}").partition("{")
        found += [start + ending for ending in endings.split(",")]
    assert found == [*ATTACKS]
    assert len(listed()) < 600
    assert listed(["DAG", "DAGPure", "HoudiniPure", "FGSMII"]) == "DAG, DAGPure, HoudiniPure, FGSMII"
