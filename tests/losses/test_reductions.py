"""How the pixels of an image add up, against sums made by hand."""

import pytest
import torch
from torch import Tensor

from tests.helpers import refuses
from uap.losses import Balanced, Mean, Omega, Reduction
from uap.objectives import Goal

PIXELS = torch.tensor([[[1.0, 2.0], [4.0, 8.0]]])
HIDDEN = torch.tensor([[[True, False], [False, True]]])
NOWHERE = torch.zeros(1, 2, 2, dtype=torch.bool)
ALL: list[Reduction] = [Mean(), Omega(0.9), Balanced(0.6, 1.0)]


def goal(region: Tensor | None) -> Goal:
    return Goal(torch.zeros(1, 2, 2, dtype=torch.int64), region)


def value(reduction: Reduction, region: Tensor | None = HIDDEN) -> float:
    return reduction(PIXELS, goal(region)).item()


def test_uniform_is_the_mean_wherever_the_hidden_pixels_are() -> None:
    assert {value(Mean(), hidden) for hidden in (HIDDEN, NOWHERE, ~NOWHERE)} == {15 / 4}


def test_omega_weighs_the_hidden_pixels_against_the_rest() -> None:
    assert value(Omega(0.9)) == pytest.approx((0.9 * (1 + 8) + 0.1 * (2 + 4)) / 4)


def test_an_omega_of_a_half_is_half_the_unweighted_loss() -> None:
    assert value(Omega(0.5)) == pytest.approx(value(Mean()) / 2)


def test_balanced_weighs_two_means() -> None:
    assert value(Balanced(0.7, 3.0)) == pytest.approx(0.7 * (1 + 8) / (2 + 3) + 0.3 * (2 + 4) / 2)


def test_balanced_weighs_the_two_means_alike_by_default() -> None:
    assert value(Balanced(smoothing=0.0)) == pytest.approx(15 / 4)


@pytest.mark.parametrize("smoothing", [0.0, 0.5, 500.0])
def test_balanced_without_hidden_pixels_is_the_background_s(smoothing: float) -> None:
    assert value(Balanced(0.7, smoothing), NOWHERE) == pytest.approx(0.3 * 15 / 4)


def test_balanced_without_background_is_the_hidden_pixels_s() -> None:
    assert value(Balanced(0.7, 0.0), ~NOWHERE) == pytest.approx(0.7 * 15 / 4)


@pytest.mark.parametrize("weights", ALL)
def test_the_loss_of_an_image_is_its_own_whatever_the_batch(weights: Reduction) -> None:
    pixels = torch.arange(12.0).view(3, 2, 2)
    hidden = torch.stack([HIDDEN[0], NOWHERE[0], ~NOWHERE[0]])
    alone = [weights(pixels[i : i + 1], goal(hidden[i : i + 1])) for i in range(3)]
    torch.testing.assert_close(weights(pixels, goal(hidden)), torch.cat(alone))


@pytest.mark.parametrize(("weights", "share"), [(ALL[0], 1 / 4), (ALL[1], 0.9 / 4), (ALL[2], 0.6 / (2 + 1))])
def test_a_pixel_without_a_loss_adds_nothing_and_the_divisor_stays(weights: Reduction, share: float) -> None:
    ignoring = PIXELS.clone()
    ignoring[0, 1, 1] = 0
    assert value(weights) - weights(ignoring, goal(HIDDEN)).item() == pytest.approx(share * 8)


@pytest.mark.parametrize("omega", [-0.1, 1.1, float("nan")])
def test_an_omega_that_is_no_weight_is_refused(omega: float) -> None:
    with refuses("model.reduction.omega", "out_of_range"):
        Omega(omega)


@pytest.mark.parametrize(
    ("at_fault", "value"),
    [
        ("hidden_weight", -0.1),
        ("hidden_weight", 1.1),
        ("hidden_weight", float("nan")),
        ("smoothing", -1.0),
        ("smoothing", float("nan")),
    ],
)
def test_a_balance_out_of_range_is_refused(at_fault: str, value: float) -> None:
    with refuses(f"model.reduction.{at_fault}", "out_of_range", str(value)):
        Balanced(**{at_fault: value})


@pytest.mark.parametrize("reduction", ALL)
def test_no_region_is_an_empty_region(reduction: Reduction) -> None:
    assert value(reduction, None) == value(reduction, NOWHERE)


@pytest.mark.parametrize("reduction", ALL)
def test_locations_need_no_height_and_width(reduction: Reduction) -> None:
    """A detector's proposals are (N, P): the same numbers as pixels in a row."""
    flat = Goal(torch.zeros(1, 4, dtype=torch.int64), HIDDEN.flatten(1))
    assert reduction(PIXELS.flatten(1), flat).item() == pytest.approx(value(reduction))
