"""Losses against numpy, against closed forms on a known softmax, and against finite differences."""

from math import log, sqrt

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.spatial.distance import cosine, jensenshannon
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from tests.helpers import refuses
from uap.losses import CosPGD, CrossEntropy, GeneralizedCrossEntropy, JensenShannon, Loss, Margin, SegPGD
from uap.objectives import Goal
from uap.training.module import class_weights
from uap.utils.class_tables import IGNORE

LOSSES = [
    CrossEntropy(),
    CrossEntropy(None),
    CrossEntropy(0),
    GeneralizedCrossEntropy(),
    GeneralizedCrossEntropy(1),
    JensenShannon(),
    Margin(),
    SegPGD(),
    CosPGD(),
]
NAMES = [f"{type(loss).__name__}{list(vars(loss).values())}" for loss in LOSSES]
SMOOTH = [loss for loss in LOSSES if not isinstance(loss, CosPGD | Margin)] + [Margin(1.0)]
"""All but CosPGD, whose weights no gradient goes through, and which has a closed form below."""


def random_case(classes: int = 5, images: int = 3) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(0, 2, (images, classes, 6, 7)))
    target = torch.from_numpy(rng.integers(0, classes, (images, 6, 7)))
    target[:, :2, :3] = IGNORE
    return logits, target


def pixel(*softmax: float) -> tuple[Tensor, Tensor]:
    """Logits (1, C, 1, 1) with this softmax, and the target 0."""
    return torch.tensor(softmax).double().log().view(1, -1, 1, 1) + 7.0, torch.zeros(1, 1, 1, dtype=torch.int64)


def towards(*softmax: float) -> tuple[Tensor, Goal]:
    """The same, and the goal to reach the target."""
    logits, target = pixel(*softmax)
    return logits, Goal(target)


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


@pytest.mark.parametrize("confidence", [None, 0, 0.1, 0.3, 0.5, 0.75, 0.95])
def test_cross_entropy_and_cut_off_agree_with_the_definition(confidence: float | None) -> None:
    logits, target = random_case()
    expected = reference(logits, target, confidence)
    torch.testing.assert_close(CrossEntropy(confidence)(logits, Goal(target)), expected)


@pytest.mark.parametrize(
    ("confidence", "softmax", "counts"),
    [
        (0.75, (0.80, 0.10, 0.05, 0.05), False),
        (0.75, (0.70, 0.20, 0.05, 0.05), True),
        (0.75, (0.10, 0.80, 0.05, 0.05), True),
        (0.30, (0.40, 0.35, 0.15, 0.10), False),
        (0.30, (0.40, 0.50, 0.05, 0.05), True),  # above the cut-off, yet another class wins
        (0.30, (0.28, 0.26, 0.24, 0.22), True),  # wins below the cut-off
        (0, (0.28, 0.26, 0.24, 0.22), False),  # masked: whoever wins counts no more
    ],
)
def test_a_pixel_counts_nothing_where_the_target_wins_above_the_cut_off(
    confidence: float, softmax: tuple[float, ...], counts: bool
) -> None:
    logits, target = pixel(*softmax)
    loss = CrossEntropy(confidence)(logits.requires_grad_(), Goal(target))
    (gradient,) = torch.autograd.grad(loss.sum(), logits)

    expected = torch.tensor(softmax).double() - torch.tensor([1.0, 0, 0, 0])
    assert loss.item() == pytest.approx(-log(softmax[0]) if counts else 0.0)
    torch.testing.assert_close(gradient.flatten(), expected if counts else torch.zeros(4).double())


def test_the_default_cut_off_is_the_paper_s() -> None:
    assert CrossEntropy()(*towards(0.74, 0.26)).item() == pytest.approx(-log(0.74))
    assert CrossEntropy()(*towards(0.76, 0.24)).item() == 0


def test_the_generalized_cross_entropy_goes_from_a_probability_to_a_logarithm() -> None:
    logits, target = pixel(0.3, 0.6, 0.1)
    assert GeneralizedCrossEntropy(1)(logits, Goal(target)).item() == pytest.approx(0.7)
    assert GeneralizedCrossEntropy()(logits, Goal(target)).item() == pytest.approx((1 - sqrt(0.3)) / 0.5)
    assert GeneralizedCrossEntropy(1e-7)(logits, Goal(target)).item() == pytest.approx(-log(0.3))


@pytest.mark.parametrize("softmax", [(0.3, 0.6, 0.1), (0.999, 0.0005, 0.0005), (1e-9, 0.5, 0.5 - 1e-9)])
def test_the_divergence_is_scipy_s(softmax: tuple[float, ...]) -> None:
    expected = jensenshannon(softmax, [1, 0, 0]) ** 2  # theirs is the distance, the square root
    assert JensenShannon()(*towards(*softmax)).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("scores", "margin", "expected"),
    [((2.0, 3.5, -1.0), 0.0, 1.5), ((2.0, 3.5, -1.0), 2.0, 3.5), ((3.0, 2.5, 0.0), 0.0, 0.0), ((3.0, 2.5, 0), 1, 0.5)],
)
def test_the_margin_is_to_the_best_other_class(scores: tuple[float, ...], margin: float, expected: float) -> None:
    logits = torch.tensor(scores).view(1, 3, 1, 1)
    assert Margin(margin)(logits, Goal(torch.zeros(1, 1, 1, dtype=torch.int64))).item() == pytest.approx(expected)


@pytest.mark.parametrize("progress", [0.0, 0.25, 1.0])
def test_segpgd_shifts_weight_to_pixels_that_are_reached(progress: float) -> None:
    reached, missed = (0.6, 0.3, 0.1), (0.3, 0.6, 0.1)
    assert SegPGD()(*towards(*reached), progress).item() == pytest.approx(-log(0.6) * progress / 2)
    assert SegPGD()(*towards(*missed), progress).item() == pytest.approx(-log(0.3) * (1 - progress / 2))


def test_cospgd_weighs_by_the_distance_of_softmax_and_target() -> None:
    softmax = (0.3, 0.6, 0.1)
    expected = -log(0.3) * cosine(softmax, [1, 0, 0])  # scipy's is 1 - cosine
    assert CosPGD()(*towards(*softmax)).item() == pytest.approx(expected)


@pytest.mark.parametrize("loss", [SegPGD(), CosPGD()])
def test_no_gradient_flows_through_the_weights_of_pixels(loss: Loss) -> None:
    logits, target = pixel(0.3, 0.6, 0.1)
    value = loss(logits.requires_grad_(), Goal(target), 0.5)
    (gradient,) = torch.autograd.grad(value, logits)
    weight = value.item() / -log(0.3)
    torch.testing.assert_close(gradient.flatten(), weight * torch.tensor([0.3 - 1, 0.6, 0.1]).double())


@pytest.mark.parametrize("loss", SMOOTH)
def test_gradients_agree_with_finite_differences(loss: Loss) -> None:
    logits, target = random_case()
    step = 1e-6
    found = torch.autograd.grad(loss(logits.requires_grad_(), Goal(target)).sum(), logits)[0]
    for number in range(logits.shape[1]):  # pixels do not depend on each other, so that all can move at once
        move = torch.zeros_like(logits)
        move[:, number] = step
        with torch.no_grad():
            expected = (loss(logits + move, Goal(target)) - loss(logits - move, Goal(target))) / (2 * step)
        torch.testing.assert_close(found[:, number], expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("shift", [0, -60, 60, -300, 300])
def test_the_cross_entropy_bears_logits_of_any_size(shift: float) -> None:
    logits, target = random_case()
    logits = (logits * 10).float() + shift
    loss = CrossEntropy(None)(logits.requires_grad_(), Goal(target))
    exact = logits.detach().double().requires_grad_()
    expected = F.cross_entropy(exact, target, ignore_index=IGNORE, reduction="none")
    torch.testing.assert_close(loss.double(), expected, rtol=1e-5, atol=1e-5 if abs(shift) < 100 else 1e-4)
    gradients = torch.autograd.grad(loss.sum(), logits)[0], torch.autograd.grad(expected.sum(), exact)[0]
    torch.testing.assert_close(gradients[0].double(), gradients[1], rtol=1e-5, atol=1e-5)


def test_the_cross_entropy_makes_one_tensor_of_the_size_of_the_logits() -> None:
    logits, target = torch.randn(1, 19, 64, 64, requires_grad=True), torch.zeros(1, 64, 64, dtype=torch.int64)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        loss = CrossEntropy(None)(logits, Goal(target)).sum()
        torch.autograd.grad(loss, logits)
    held = [event.self_cpu_memory_usage for event in profiler.events() or [] if event.self_cpu_memory_usage > 0]
    assert sum(size >= logits.nbytes for size in held) == 1


@pytest.mark.parametrize("loss", LOSSES, ids=NAMES)
def test_an_ignored_pixel_has_no_loss_and_no_gradient(loss: Loss) -> None:
    logits, target = random_case()
    pixels = loss(logits.requires_grad_(), Goal(target), 0.5)
    (gradient,) = torch.autograd.grad(pixels.sum(), logits)
    ignored = target == IGNORE
    assert pixels.shape == target.shape
    assert not pixels[ignored].any()
    assert not gradient.permute(0, 2, 3, 1)[ignored].any()
    assert (pixels >= 0).all()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("loss", LOSSES, ids=NAMES)
def test_a_step_down_the_gradient_brings_the_target_nearer(loss: Loss) -> None:
    logits, target = pixel(0.2, 0.5, 0.3)
    (gradient,) = torch.autograd.grad(loss(logits.requires_grad_(), Goal(target), 0.5).sum(), logits)
    nearer = (logits - 0.1 * gradient).softmax(1).flatten()
    assert nearer[0] > 0.2


@pytest.mark.parametrize("loss", LOSSES, ids=NAMES)
def test_very_sure_networks_give_finite_losses_and_gradients(loss: Loss) -> None:
    logits = torch.tensor([[-400.0, 400.0], [400.0, -400.0]]).view(1, 2, 1, 2).requires_grad_()
    pixels = loss(logits, Goal(torch.zeros(1, 1, 2, dtype=torch.int64)), 0.5)
    (gradient,) = torch.autograd.grad(pixels.sum(), logits)
    assert pixels.isfinite().all()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("confidence", [1.0, -0.5, 75.0, float("nan")])
def test_a_cut_off_that_is_no_probability_is_refused(confidence: float) -> None:
    with refuses("model.loss.confidence", "out_of_range"):
        CrossEntropy(confidence)


@pytest.mark.parametrize("q", [0.0, 1.5, -1.0, float("nan")])
def test_an_exponent_out_of_range_is_refused(q: float) -> None:
    with refuses("model.loss.q", "out_of_range"):
        GeneralizedCrossEntropy(q)


@pytest.mark.parametrize("margin", [-1.0, float("nan")])
def test_a_margin_below_0_is_refused(margin: float) -> None:
    with refuses("model.loss.margin", "out_of_range"):
        Margin(margin)


def test_rare_classes_weigh_more_and_absent_ones_are_bounded() -> None:
    weights = class_weights(torch.tensor([900, 100, 0]))
    torch.testing.assert_close(weights, torch.tensor([1 / log(2.0), 1 / log(1.2), 1 / log(1.1)]))
