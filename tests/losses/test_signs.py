"""Losses in both directions: towards labels and away from them, each against a value computed by hand."""

from math import log, sqrt

import pytest
import torch
from torch import Tensor

from uap.losses import CosPGD, CrossEntropy, GeneralizedCrossEntropy, JensenShannon, Loss, Margin, SegPGD
from uap.objectives import Goal
from uap.utils.class_tables import IGNORE

LOSSES = [
    CrossEntropy(),
    CrossEntropy(None),
    CrossEntropy(0),
    GeneralizedCrossEntropy(),
    JensenShannon(),
    Margin(),
    SegPGD(),
    CosPGD(),
]


def case(*softmax: float) -> tuple[Tensor, Goal]:
    """Logits (1, C, 1) with this softmax, at one location, and the goal to leave class 0."""
    return torch.tensor(softmax).double().log().view(1, -1, 1), Goal(torch.tensor([[0]]), sign=-1)


def test_away_from_a_label_the_cross_entropy_is_the_log_probability() -> None:
    assert CrossEntropy(None)(*case(0.2, 0.8)).item() == pytest.approx(log(0.2))


@pytest.mark.parametrize(
    ("confidence", "softmax", "has_gradient"),
    [
        (0.75, (0.30, 0.70), True),  # 1 - p = 0.7 is not above tau
        (0.75, (0.20, 0.80), False),
        (0.75, (0.90, 0.10), True),
        (0, (0.60, 0.40), True),  # masked cross entropy: still predicted as the label
        (0, (0.40, 0.60), False),
        (0.3, (0.45, 0.55), False),  # left, and 1 - p above tau
        (0.3, (0.35, 0.33, 0.32), True),  # 1 - p above tau, yet still predicted as the label
    ],
)
def test_the_cut_off_away_from_a_label(confidence: float, softmax: tuple[float, ...], has_gradient: bool) -> None:
    logits, goal = case(*softmax)
    loss = CrossEntropy(confidence)(logits.requires_grad_(), goal)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert loss.item() == pytest.approx(log(softmax[0]))
    assert bool(gradient.any()) == has_gradient


def test_away_from_a_label_the_generalized_cross_entropy_and_the_divergence_are_negative() -> None:
    assert GeneralizedCrossEntropy(0.5)(*case(0.25, 0.75)).item() == pytest.approx(-(1 - sqrt(0.25)) / 0.5)
    p = 0.25
    divergence = (p * log(p) - (1 + p) * log(1 + p)) / 2 + log(2)
    assert JensenShannon()(*case(0.25, 0.75)).item() == pytest.approx(-divergence)


@pytest.mark.parametrize(
    ("scores", "margin", "expected"),
    [((3.5, 2.0, -1.0), 0.0, 1.5), ((2.0, 3.5, -1.0), 0.0, 0.0), ((2.0, 3.5, -1.0), 2.0, 0.5)],
)
def test_away_from_a_label_the_margin_is_its_lead(scores: tuple[float, ...], margin: float, expected: float) -> None:
    logits = torch.tensor(scores).view(1, 3, 1)
    assert Margin(margin)(logits, Goal(torch.tensor([[0]]), sign=-1)).item() == pytest.approx(expected)


@pytest.mark.parametrize("progress", [0.0, 0.25, 1.0])
def test_away_from_a_label_segpgd_weighs_what_is_still_the_label(progress: float) -> None:
    still, left = (0.6, 0.3, 0.1), (0.3, 0.6, 0.1)
    assert SegPGD()(*case(*still), progress).item() == pytest.approx((1 - progress / 2) * log(0.6))
    assert SegPGD()(*case(*left), progress).item() == pytest.approx(progress / 2 * log(0.3))


def test_away_from_a_label_cospgd_weighs_by_the_cosine() -> None:
    softmax = (0.3, 0.6, 0.1)
    cosine = 0.3 / sqrt(0.3**2 + 0.6**2 + 0.1**2)
    assert CosPGD()(*case(*softmax)).item() == pytest.approx(cosine * log(0.3))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_step_down_the_gradient_serves_the_attacker(loss: Loss, sign: int) -> None:
    logits, _ = case(0.4, 0.35, 0.25) if sign < 0 else case(0.2, 0.5, 0.3)
    before = logits.softmax(1)[0, 0, 0].item()
    goal = Goal(torch.tensor([[0]]), sign=1 if sign > 0 else -1)
    (gradient,) = torch.autograd.grad(loss(logits.requires_grad_(), goal, 0.5).sum(), logits)
    after = (logits - 0.1 * gradient).softmax(1)[0, 0, 0].item()
    assert sign * (after - before) > 0


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("locations", [(7,), (3, 4), (2, 3, 2)])
def test_any_locations_ignored_ones_without_loss_and_gradient(
    loss: Loss, sign: int, locations: tuple[int, ...]
) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 5, *locations, generator=generator, dtype=torch.float64).requires_grad_()
    labels = torch.randint(0, 5, (2, *locations), generator=generator)
    labels.flatten()[::3] = IGNORE
    losses = loss(logits, Goal(labels, sign=1 if sign > 0 else -1), 0.5)
    (gradient,) = torch.autograd.grad(losses.sum(), logits)
    assert losses.shape == labels.shape
    assert not losses[labels == IGNORE].any()
    assert not gradient.movedim(1, -1)[labels == IGNORE].any()
    assert gradient.movedim(1, -1)[labels != IGNORE].any()


@pytest.mark.parametrize("loss", [CrossEntropy(None), GeneralizedCrossEntropy(), JensenShannon(), Margin(), SegPGD()])
@pytest.mark.parametrize("sign", [1, -1])
def test_gradients_agree_with_finite_differences(loss: Loss, sign: int) -> None:
    """`gradcheck` runs one backward pass several times, which a gradient that is computed in place does not allow."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64)
    goal = Goal(torch.randint(0, 3, (2, 4), generator=generator), sign=1 if sign > 0 else -1)
    leaf = logits.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(loss(leaf, goal, 0.5).sum(), leaf)
    for position in range(logits.numel()):
        step = torch.zeros_like(logits)
        step.view(-1)[position] = 1e-6
        expected = (loss(logits + step, goal, 0.5).sum() - loss(logits - step, goal, 0.5).sum()) / 2e-6
        torch.testing.assert_close(gradient.view(-1)[position], expected, rtol=1e-6, atol=1e-8)


def test_the_cut_off_away_from_a_label_waits_until_another_class_is_predicted() -> None:
    logits = torch.zeros(1, 5, 1)
    logits[0, 0] = 0.1  # a probability of 0.22 that is still the largest
    logits.requires_grad_()
    CrossEntropy(0.75)(logits, Goal(torch.tensor([[0]]), sign=-1)).sum().backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert (logits.grad != 0).all()
