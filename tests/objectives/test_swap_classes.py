"""Swapped classes against hand-computed targets and metrics."""

import numpy as np
import pytest
import torch

from tests.helpers import refuses
from uap.attacks import SignSteps
from uap.evaluation import evaluate
from uap.objectives import SwapClasses
from uap.utils.class_tables import LabelTable
from uap.victims import Victim

TABLE = LabelTable(("road", "car", "person", "sky"), ((0, 0, 0),) * 4)


def bound(**swap: str) -> SwapClasses:
    objective = SwapClasses(swap)
    objective.bind(TABLE)
    return objective


def test_each_source_class_gets_its_destination_and_no_other_pixel_changes() -> None:
    labels, region = bound(car="road", person="car").make(np.array([[0, 1, 2, 3]], np.uint8))
    assert labels.tolist() == [[0, 0, 1, 3]]
    assert region.tolist() == [[False, True, True, False]]


def test_images_without_a_source_class_are_not_learned_from() -> None:
    assert bound(car="road").usable(np.array([[[0, 1]], [[0, 3]]], np.uint8)).tolist() == [True, False]


def test_metrics_equal_their_definitions() -> None:
    """Three car pixels, of which one stays, one becomes road and one sky; of two others, one stays."""
    clean, attacked = torch.tensor([[[1, 1, 1, 3, 0]]]), torch.tensor([[[1, 0, 3, 3, 2]]])
    images = torch.full((1, 3, 1, 5), 100.0)

    def network(images: torch.Tensor) -> torch.Tensor:
        ids = clean if float(images.mean()) == 100 else attacked
        return 9 * torch.nn.functional.one_hot(ids, 4).movedim(-1, 1).float() - 4

    victim = Victim(torch.nn.Identity(), classes=list(TABLE.names))
    victim.forward = network  # type: ignore[method-assign]
    brighter = torch.nn.Module()
    brighter.forward = lambda images: images + 2
    found = evaluate(victim, images, brighter, SwapClasses({"car": "road"}), progress=False).metrics["float"]
    assert found["swapped"] == pytest.approx(1 / 3)
    assert found["source_kept"] == pytest.approx(1 / 3)
    assert found["preserved"] == pytest.approx(1 / 2)
    assert found["source_ratio"] == pytest.approx(2 / 3)
    assert found["mean_change"] == 2
    assert found["source_change"] == 2


def test_the_classes_of_another_network_are_found_by_name() -> None:
    other = LabelTable(("sky", "road", "car"), ((0, 0, 0),) * 3)
    ids = TABLE.translation(other)
    found, note = SwapClasses({"car": "road", "person": "road"}).translated(ids, TABLE, other, (1, 1))
    assert found is not None
    assert (found.swap, "person to road" in note) == ({"car": "road"}, True)
    none, _ = SwapClasses({"person": "road"}).translated(ids, TABLE, other, (1, 1))
    assert none is None


def test_it_is_an_objective_of_other_attacks() -> None:
    torch.manual_seed(0)
    victim = Victim(torch.nn.Conv2d(3, 4, 1), classes=list(TABLE.names))
    images = torch.rand(2, 3, 6, 6) * 200 + 2
    result = evaluate(victim, images, SignSteps(steps=2), SwapClasses({"car": "road"}), progress=False)
    assert "preserved" in result.metrics["8-bit"]


def test_wrong_classes_are_refused() -> None:
    with refuses("model.objective.swap", "missing_setting"):
        SwapClasses({})
    with refuses("model.objective.swap", "conflict"):
        SwapClasses({"car": "car"})
    with refuses("model.objective.swap", "unknown_name"):
        bound(car="lava")
    with refuses("model.objective.swap", "not_supported"):  # a network without names of classes
        SwapClasses({"car": "road"}).prepare(torch.nn.Identity(), torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2, 2))
