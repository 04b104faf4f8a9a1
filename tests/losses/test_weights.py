"""How the pixels of an image add up, against sums made by hand."""

import pytest
import torch
from torch import Tensor

from uap.errors import InputError
from uap.losses import Balanced, Omega, PixelWeights, Uniform

PIXELS = torch.tensor([[[1.0, 2.0], [4.0, 8.0]]])
HIDDEN = torch.tensor([[[True, False], [False, True]]])
NOWHERE = torch.zeros(1, 2, 2, dtype=torch.bool)
ALL: list[PixelWeights] = [Uniform(), Omega(0.9), Balanced(0.6, 1.0)]


def value(weights: PixelWeights, hidden: Tensor = HIDDEN) -> float:
    return weights(PIXELS, hidden).item()


def test_uniform_is_the_mean_wherever_the_hidden_pixels_are() -> None:
    assert {value(Uniform(), hidden) for hidden in (HIDDEN, NOWHERE, ~NOWHERE)} == {15 / 4}


def test_omega_weighs_the_hidden_pixels_against_the_rest() -> None:
    assert value(Omega(0.9)) == pytest.approx((0.9 * (1 + 8) + 0.1 * (2 + 4)) / 4)


def test_an_omega_of_a_half_is_half_the_unweighted_loss() -> None:
    assert value(Omega(0.5)) == pytest.approx(value(Uniform()) / 2)


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
def test_the_loss_of_an_image_is_its_own_whatever_the_batch(weights: PixelWeights) -> None:
    pixels = torch.arange(12.0).view(3, 2, 2)
    hidden = torch.stack([HIDDEN[0], NOWHERE[0], ~NOWHERE[0]])
    alone = [weights(pixels[i : i + 1], hidden[i : i + 1]) for i in range(3)]
    torch.testing.assert_close(weights(pixels, hidden), torch.cat(alone))


@pytest.mark.parametrize(("weights", "share"), [(ALL[0], 1 / 4), (ALL[1], 0.9 / 4), (ALL[2], 0.6 / (2 + 1))])
def test_a_pixel_without_a_loss_adds_nothing_and_the_divisor_stays(weights: PixelWeights, share: float) -> None:
    ignoring = PIXELS.clone()
    ignoring[0, 1, 1] = 0
    assert value(weights) - weights(ignoring, HIDDEN).item() == pytest.approx(share * 8)


@pytest.mark.parametrize("omega", [-0.1, 1.1, float("nan")])
def test_an_omega_that_is_no_weight_is_refused(omega: float) -> None:
    with pytest.raises(InputError, match=r"weights.omega is .*, expected a weight from 0 to 1"):
        Omega(omega)


@pytest.mark.parametrize(
    ("hidden_weight", "smoothing"), [(-0.1, 1.0), (1.1, 1.0), (float("nan"), 1.0), (0.5, -1.0), (0.5, float("nan"))]
)
def test_a_balance_out_of_range_is_refused(hidden_weight: float, smoothing: float) -> None:
    with pytest.raises(InputError, match=r"weights.hidden_weight is .* and smoothing .*, expected 0 to 1, and 0 or"):
        Balanced(hidden_weight, smoothing)
