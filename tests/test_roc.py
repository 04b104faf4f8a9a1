"""ROC curves and areas against scikit-learn."""

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
    narrow = auc_interval(benign.repeat(9), attacked.repeat(9), samples=200)
    assert narrow[1] - narrow[0] < (high - low) / 2
    assert auc_interval(benign, attacked) == (low, high)


def test_images_are_sampled_in_pairs() -> None:
    scores = torch.tensor([1.0, 2.0, 3.0, 4.0])
    low, high = auc_interval(scores, scores)  # each sample has the same scores twice
    assert (low, high) == (0.5, 0.5)


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
