"""Tests of dense adversary generation against its algorithm for one image."""

from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from tests.attacks.linear import Linear, images
from tests.helpers import refuses
from uap.attacks import DAG
from uap.objectives import Goal, Objective, RandomClasses, Shape, Untargeted
from uap.utils.class_tables import IGNORE
from uap.utils.errors import InputError


class To(Objective):
    """An objective with fixed labels as the target."""

    def __init__(self, labels: Tensor) -> None:
        self.labels = labels

    def prepare(self, victim: Any, images: Any, clean_logits: Any, generator: Any = None) -> Goal:
        return Goal(self.labels)


def written_out(victim: Linear, image: Tensor, target: Tensor, variant: str, gamma: float, stop: int) -> Tensor:
    """Run the algorithm on one image `(3, H, W)`, pixel by pixel, with the gradient of the linear victim."""
    current = image.clone()
    label = victim(image[None])[0].argmax(0)
    for _ in range(200):
        predicted = victim(current[None])[0].argmax(0)
        r = torch.zeros_like(image)
        active = 0
        for y in range(image.shape[1]):
            for x in range(image.shape[2]):
                wanted, original, now = int(target[y, x]), int(label[y, x]), int(predicted[y, x])
                is_active = now == original != wanted if variant == "paper" else now != wanted
                if is_active:
                    active += 1
                    subtracted = original if variant == "paper" else now
                    r[:, y, x] = (victim.weight[wanted] - victim.weight[subtracted]) / 16
        if active <= stop:
            break
        current = current + gamma * r / r.abs().max()
    return current


@pytest.mark.parametrize("variant", ["paper", "authors"])
def test_dag_equals_the_algorithm(variant: Literal["paper", "authors"]) -> None:
    victim, clean = Linear(), images(2)
    target = (victim(clean).argmax(1) + 1) % 4
    target[:, 0] = victim(clean).argmax(1)[:, 0]  # the first row keeps its class
    attack = DAG(variant, gamma=2.0, tolerance=0.1)
    adversarial = attack(victim, clean, To(target))
    stop = int(0.1 * (target != victim(clean).argmax(1))[0].sum())
    expected = [written_out(victim, clean[i], target[i], variant, 2.0, stop) for i in range(2)]
    torch.testing.assert_close(adversarial, torch.stack(expected))
    assert attack.cost.converged is not None
    assert attack.cost.converged.all()


def test_authors_form_reaches_the_target() -> None:
    victim, clean = Linear(6), images(1, (16, 16))
    objective = Shape("circle", target_class=int(victim(clean).argmin(1).flatten()[0]), background=0)
    goal = objective.prepare(victim, clean, victim(clean))
    clean_labels = victim(clean).argmax(1)
    moved = goal.labels != clean_labels
    found = {}
    for variant in ("paper", "authors"):
        attack = DAG(variant, gamma=4.0, steps=400, tolerance=0.01)
        predicted = victim(attack(victim, clean, objective)).argmax(1)
        found[variant] = (predicted == goal.labels)[moved].float().mean().item()
        assert (predicted != clean_labels)[moved].float().mean() >= 0.98
    assert found["authors"] > 0.98 > found["paper"]


def test_confidence_keeps_locations_active_until_their_class_is_likely() -> None:
    victim, clean = Linear(), images(1)
    target = (victim(clean).argmax(1) + 1) % 4
    found = {}
    for confidence in (0.0, 0.8):
        attack = DAG("authors", gamma=2.0, steps=400, tolerance=0.0, confidence=confidence)
        found[confidence] = victim(attack(victim, clean, To(target))).softmax(1).gather(1, target[:, None])
        assert attack.cost.converged is not None
        assert attack.cost.converged.all()
    assert found[0.8].min() >= 0.8 > found[0.0].min()


def test_an_unsure_location_subtracts_the_best_other_class() -> None:
    logits = torch.tensor([[[2.0, 2.0, 0.0], [1.0, 1.9, 5.0], [0.0, 0.0, 4.0]]])  # three locations of three classes
    labels = torch.tensor([[0, 0, 2]])
    active, subtracted = DAG("authors", confidence=0.5)._active(logits, labels, labels)
    assert active.tolist() == [[False, True, True]]  # probabilities of 0.66, 0.49 and 0.27
    assert subtracted.tolist() == [[1, 1, 1]]


def test_step_changes_the_largest_pixel_by_gamma() -> None:
    victim, clean = Linear(), images(3)
    clean[1] = 128 + (clean[1] - 128) / 10  # of another size of gradient
    adversarial = DAG(gamma=0.5, steps=1)(victim, clean, RandomClasses(), torch.Generator().manual_seed(0))
    change = (adversarial - clean).abs().flatten(1).amax(1)
    moved = change[change > 0]  # an image whose active count did not fall keeps the clean one as its best
    torch.testing.assert_close(moved, torch.full_like(moved, 0.5), atol=1e-4, rtol=0)


def test_dag_returns_the_step_with_the_fewest_active_locations() -> None:
    victim, clean = Linear(), images(1, (8, 8))
    target = (victim(clean).argmax(1) + 1) % 4
    counts = []
    for steps in (0, 5, 20, 60, 200):
        if steps:
            adversarial = DAG("authors", gamma=1.0, steps=steps, tolerance=0.0)(victim, clean, To(target))
        else:
            adversarial = clean
        counts.append(int((victim(adversarial).argmax(1) != target).sum()))
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] < counts[0]


def test_no_active_location_or_zero_gradient_changes_nothing() -> None:
    victim, clean = Linear(), images(1)
    assert torch.equal(DAG()(victim, clean, To(victim(clean).argmax(1))), clean)
    ignored = torch.full((1, 4, 5), IGNORE)
    assert torch.equal(DAG("authors")(victim, clean, To(ignored)), clean)
    victim.weight.zero_()
    assert DAG(steps=3)(victim, clean, To(torch.ones(1, 4, 5, dtype=torch.int64))).isfinite().all()


def test_objective_without_a_target_raises_error() -> None:
    with refuses("objective", "not_supported"):
        DAG()(Linear(), images(1), Untargeted())


@pytest.mark.parametrize("setting", [{"variant": "other"}, {"gamma": 0}, {"steps": 0}, {"tolerance": 1}])
def test_values_out_of_range_raise_error(setting: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        DAG(**setting)
