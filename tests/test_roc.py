"""ROC curves and areas against scikit-learn."""

import math

import numpy as np
import pytest
import torch
from sklearn import metrics
from torch import Tensor

from uap.metrics.roc import auc, auc_interval, roc_curve, threshold_rates, two_sided
from uap.utils.errors import InputError


def case(seed: int, decimals: int = 1) -> tuple[Tensor, Tensor]:
    """Scores of 30 benign and 20 attacked images, with ties."""
    generator = torch.Generator().manual_seed(seed)
    benign, attacked = torch.randn(30, generator=generator) + 0.7, torch.randn(20, generator=generator)
    return benign.double().round(decimals=decimals), attacked.double().round(decimals=decimals)


@pytest.mark.parametrize("seed", range(5))
def test_area_and_curve_are_those_of_scikit_learn(seed: int) -> None:
    benign, attacked = case(seed)
    is_attacked, suspicion = np.r_[np.zeros(30), np.ones(20)], -torch.cat([benign, attacked]).numpy()
    assert auc(benign, attacked) == pytest.approx(metrics.roc_auc_score(is_attacked, suspicion))
    false, true = roc_curve(benign, attacked)
    expected = metrics.roc_curve(is_attacked, suspicion, drop_intermediate=False)
    np.testing.assert_allclose(false, expected[0])
    np.testing.assert_allclose(true, expected[1])
    assert auc(benign, attacked) == pytest.approx(float(torch.trapezoid(true, false)))


def test_an_inverted_score_is_found_by_the_two_sided_area() -> None:
    benign, attacked = case(0)
    assert two_sided(auc(attacked, benign)) == pytest.approx(two_sided(auc(benign, attacked)))


def test_the_interval_holds_the_area_and_shrinks_with_more_images() -> None:
    benign, attacked = case(0, decimals=6)
    low, high = auc_interval(benign, attacked)
    assert 0 < low < auc(benign, attacked) < high < 1
    narrow = auc_interval(benign.repeat(9), attacked.repeat(9))
    assert narrow[1] - narrow[0] < (high - low) / 2
    wide = auc_interval(benign, attacked, level=0.99)
    assert wide[0] < low < high < wide[1]


def test_the_interval_is_that_of_other_implementations() -> None:
    """The example and its limits are those of the R package SingleCaseES; its NAP is an AUC."""
    attacked, benign = torch.tensor([20, 20, 26, 25, 22, 23.0]), torch.tensor([28, 25, 24, 27, 30, 30, 29.0])
    assert auc(benign, attacked) == pytest.approx(0.9166667)
    assert auc_interval(benign, attacked) == pytest.approx((0.5973193600, 0.9859976894), abs=1e-9)
    assert auc_interval(benign, attacked, level=0.9) == pytest.approx((0.6591091902, 0.9822247871), abs=1e-9)


@pytest.mark.parametrize("count", [1, 2, 4, 16, 500])
def test_the_interval_of_perfect_scores_has_a_width(count: int) -> None:
    zeros, ones = torch.zeros(count), torch.ones(count)
    low, high = auc_interval(ones, zeros)
    assert high == 1
    assert auc_interval(zeros, ones) == pytest.approx((0, 1 - low))
    # by hand: (1 - low)^2 = z^2 V(low), and V(a) = a (1 - a) (1 + (n - 1) ((1 - a) / (2 - a) + a / (1 + a))) / n^2
    shares = (1 - low) / (2 - low) + low / (1 + low)
    variance = low * (1 - low) * (1 + (count - 1) * shares) / count**2
    assert (1 - low) ** 2 == pytest.approx(1.959964**2 * variance, rel=1e-5)
    assert low < 1


@pytest.mark.parametrize("count", [4, 12])
@pytest.mark.parametrize("gap", [0.0, 1.5, 3.0])
def test_the_interval_holds_the_true_area_about_as_often_as_it_says(count: int, gap: float) -> None:
    generator = torch.Generator().manual_seed(0)
    true, trials = 0.5 * (1 + math.erf(gap / 2)), 200  # normal scores of standard deviation 1
    held = 0
    for _ in range(trials):
        benign, attacked = torch.randn(2, count, generator=generator)
        low, high = auc_interval(benign + gap, attacked)
        held += low <= true <= high
    assert held / trials > 0.9


def test_the_threshold_is_found_on_other_images_than_the_rates() -> None:
    benign = torch.tensor([0.5, 0.4, 0.6, 0.7])  # the threshold is 0.5, and one of two others lies below
    attacked = torch.tensor([0.0, 0.45, 0.0, 0.55])
    assert threshold_rates(benign, attacked) == (0.5, 0.5)


def test_too_few_and_infinite_scores_are_refused() -> None:
    one = torch.ones(1)
    with pytest.raises(InputError, match="two images"):
        threshold_rates(one, one)
    with pytest.raises(InputError, match="no scores"):
        auc(one[:0], one)
    with pytest.raises(InputError, match="finite"):
        auc(one / 0, one)
    with pytest.raises(InputError, match="level"):
        auc_interval(one, one, level=1)
