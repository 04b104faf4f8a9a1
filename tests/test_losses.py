"""Losses against numpy and against sums made by hand."""

from math import log

import numpy as np
import pytest
import torch
from torch import Tensor

from uap.errors import InputError
from uap.labels import IGNORE
from uap.losses import BalancedCrossEntropy, CrossEntropy, TargetLoss, target_cross_entropy
from uap.training import class_weights

NOWHERE = torch.zeros(1, 2, 2, dtype=torch.bool)
HIDDEN = torch.tensor([[[True, False], [False, True]]])
SHARES = torch.tensor([0.5, 0.25, 0.8, 0.1])
"""The probability of the target, class 0, on the four pixels of a 2 x 2 image."""


def two_by_two() -> tuple[Tensor, Tensor]:
    """Logits (1, 2, 2, 2) whose softmax is SHARES for class 0, and the target 0 everywhere."""
    logits = torch.stack([SHARES, 1 - SHARES]).log().view(1, 2, 2, 2)
    return logits + 7.0, torch.zeros(1, 2, 2, dtype=torch.int64)


def random_case(classes: int = 5, images: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(0, 2, (images, classes, 6, 7)))
    target = torch.from_numpy(rng.integers(0, classes, (images, 6, 7)))
    target[:, :2, :3] = IGNORE
    return logits, target, torch.from_numpy(rng.random((images, 6, 7)) < 0.3)


def reference(logits: Tensor, target: Tensor, confidence: float | None) -> Tensor:
    """The cross entropy pixel by pixel, as the definition has it."""
    scores, classes = logits.numpy(), target.numpy()
    loss = np.zeros(classes.shape)
    for place in np.ndindex(classes.shape):
        image, row, column = place
        if classes[place] == IGNORE:
            continue
        exponents = np.exp(scores[image, :, row, column])
        softmax = exponents / exponents.sum()
        own = softmax[classes[place]]
        reached = confidence is not None and softmax.argmax() == classes[place] and own > confidence
        loss[place] = 0.0 if reached else -np.log(own)
    return torch.from_numpy(loss)


@pytest.mark.parametrize("confidence", [None, 0.1, 0.3, 0.5, 0.75, 0.95])
def test_cross_entropy_and_cut_off_agree_with_the_definition(confidence: float | None) -> None:
    logits, target, _ = random_case()
    expected = reference(logits, target, confidence)
    torch.testing.assert_close(target_cross_entropy(logits, target, confidence), expected)
    torch.testing.assert_close(CrossEntropy(None, confidence)(logits, target, target < 0), expected.sum((1, 2)) / 42)


def test_omega_weighs_the_hidden_pixels_against_the_rest() -> None:
    logits, target = two_by_two()
    expected = (0.9 * (log(2) + log(10)) + 0.1 * (log(4) + log(1.25))) / 4
    assert CrossEntropy(0.9, None)(logits, target, HIDDEN).item() == pytest.approx(expected)


def test_no_omega_is_the_mean_over_all_pixels_wherever_the_hidden_ones_are() -> None:
    logits, target = two_by_two()
    expected = (log(2) + log(10) + log(4) + log(1.25)) / 4
    for hidden in (HIDDEN, NOWHERE, ~NOWHERE):
        assert CrossEntropy(None, None)(logits, target, hidden).item() == pytest.approx(expected)


def test_an_omega_of_a_half_is_half_the_unweighted_loss() -> None:
    logits, target, hidden = random_case()
    halved = CrossEntropy(0.5)(logits, target, hidden)
    torch.testing.assert_close(halved, CrossEntropy()(logits, target, hidden) / 2)


@pytest.mark.parametrize(
    ("confidence", "softmax", "counts"),
    [
        (0.75, (0.80, 0.10, 0.05, 0.05), False),
        (0.75, (0.70, 0.20, 0.05, 0.05), True),
        (0.75, (0.10, 0.80, 0.05, 0.05), True),
        (0.30, (0.40, 0.35, 0.15, 0.10), False),
        (0.30, (0.40, 0.50, 0.05, 0.05), True),  # above the cut-off, yet another class wins
        (0.30, (0.28, 0.26, 0.24, 0.22), True),  # wins below the cut-off
    ],
)
def test_a_pixel_counts_nothing_where_the_target_wins_above_the_cut_off(
    confidence: float, softmax: tuple[float, ...], counts: bool
) -> None:
    logits = torch.tensor(softmax).log().view(1, 4, 1, 1).requires_grad_()
    target = torch.zeros(1, 1, 1, dtype=torch.int64)
    loss = CrossEntropy(None, confidence)(logits, target, target > 0)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)

    expected = torch.tensor(softmax) - torch.tensor([1.0, 0, 0, 0])
    assert loss.item() == pytest.approx(-log(softmax[0]) if counts else 0.0)
    torch.testing.assert_close(gradient.flatten(), expected if counts else torch.zeros(4))


def test_the_default_cut_off_is_the_paper_s() -> None:
    for loss in (CrossEntropy(), BalancedCrossEntropy()):
        for share, reached in ((0.74, False), (0.76, True)):
            logits = torch.tensor([share, 1 - share]).log().view(1, 2, 1, 1)
            target = torch.zeros(1, 1, 1, dtype=torch.int64)
            assert (loss(logits, target, target > 0).item() == 0) == reached


@pytest.mark.parametrize(
    ("loss", "weight"),
    [
        (CrossEntropy(None, None), 1 / 4),
        (CrossEntropy(0.9, None), 0.9 / 4),
        (BalancedCrossEntropy(0.6, 1.0, None), 0.6 / (2 + 1)),
    ],
)
def test_an_ignored_pixel_adds_nothing_and_the_divisor_stays(loss: TargetLoss, weight: float) -> None:
    logits, target = two_by_two()
    logits.requires_grad_()
    whole = loss(logits, target, HIDDEN)
    ignoring = target.clone()
    ignoring[0, 0, 0] = IGNORE  # a hidden pixel with the cross entropy log(2)
    part = loss(logits, ignoring, HIDDEN)

    assert (whole - part).item() == pytest.approx(weight * log(2), rel=1e-5)
    (gradient,) = torch.autograd.grad(part.sum(), logits)
    assert not gradient[:, :, 0, 0].any()
    assert gradient[:, :, 0, 1].all()


def test_an_image_that_is_all_ignored_has_no_loss() -> None:
    logits, target = two_by_two()
    assert CrossEntropy()(logits, torch.full_like(target, IGNORE), HIDDEN).tolist() == [0.0]


@pytest.mark.parametrize("loss", [CrossEntropy(), CrossEntropy(0.99, None), BalancedCrossEntropy()])
def test_the_loss_of_an_image_is_its_own_whatever_the_batch(loss: TargetLoss) -> None:
    logits, target, hidden = random_case()
    alone = [loss(logits[i : i + 1], target[i : i + 1], hidden[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(loss(logits, target, hidden), torch.cat(alone))


@pytest.mark.parametrize(
    "loss", [CrossEntropy(None, None), CrossEntropy(0.9, None), BalancedCrossEntropy(0.7, 2.0, None)]
)
def test_gradients_agree_with_finite_differences(loss: TargetLoss) -> None:
    logits, target, hidden = random_case(classes=3, images=1)
    logits, target, hidden = logits[..., 1:4, 2:5].requires_grad_(), target[..., 1:4, 2:5], hidden[..., 1:4, 2:5]
    assert torch.autograd.gradcheck(lambda x: loss(x, target, hidden), logits)


def test_the_balanced_loss_weighs_two_means() -> None:
    logits, target = two_by_two()
    inside, outside = (log(2) + log(10)) / (2 + 3), (log(4) + log(1.25)) / 2
    loss = BalancedCrossEntropy(0.7, 3.0, None)(logits, target, HIDDEN)
    assert loss.item() == pytest.approx(0.7 * inside + 0.3 * outside)


def test_the_balanced_loss_weighs_the_two_means_alike_by_default() -> None:
    logits, target = two_by_two()
    loss = BalancedCrossEntropy(smoothing=0.0, confidence=None)(logits, target, HIDDEN)
    assert loss.item() == pytest.approx((log(2) + log(10) + log(4) + log(1.25)) / 4)


@pytest.mark.parametrize("smoothing", [0.0, 0.5, 500.0])
def test_the_balanced_loss_without_hidden_pixels_is_the_background_s(smoothing: float) -> None:
    logits, target = two_by_two()
    loss = BalancedCrossEntropy(0.7, smoothing, None)(logits, target, NOWHERE)
    torch.testing.assert_close(loss, CrossEntropy(None, None)(logits, target, NOWHERE) * 0.3)


def test_the_balanced_loss_without_background_is_the_hidden_pixels_s() -> None:
    logits, target = two_by_two()
    loss = BalancedCrossEntropy(0.7, 0.0, None)(logits, target, ~NOWHERE)
    torch.testing.assert_close(loss, CrossEntropy(None, None)(logits, target, NOWHERE) * 0.7)


@pytest.mark.parametrize("omega", [-0.1, 1.1, float("nan")])
def test_an_omega_that_is_no_weight_is_refused(omega: float) -> None:
    with pytest.raises(InputError, match=r"loss.omega is .*, expected a weight from 0 to 1"):
        CrossEntropy(omega)


@pytest.mark.parametrize("loss", [CrossEntropy, BalancedCrossEntropy])
@pytest.mark.parametrize("confidence", [0.0, 1.0, -0.5, 75.0, float("nan")])
def test_a_cut_off_that_is_no_probability_is_refused(loss: type[TargetLoss], confidence: float) -> None:
    with pytest.raises(InputError, match=r"loss.confidence is .*, expected a probability within 0 and 1"):
        loss(confidence=confidence)


@pytest.mark.parametrize(
    ("hidden_weight", "smoothing"), [(-0.1, 1.0), (1.1, 1.0), (float("nan"), 1.0), (0.5, -1.0), (0.5, float("nan"))]
)
def test_a_balance_out_of_range_is_refused(hidden_weight: float, smoothing: float) -> None:
    with pytest.raises(InputError, match=r"loss.hidden_weight is .* and smoothing .*, expected 0 to 1, and 0 or more"):
        BalancedCrossEntropy(hidden_weight, smoothing)


def test_rare_classes_weigh_more_and_absent_ones_are_bounded() -> None:
    weights = class_weights(torch.tensor([900, 100, 0]))
    torch.testing.assert_close(weights, torch.tensor([1 / log(2.0), 1 / log(1.2), 1 / log(1.1)]))
