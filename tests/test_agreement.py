"""The mean IoU of two predictions against scikit-learn."""

import pytest
import torch
from sklearn.metrics import jaccard_score

from uap.metrics.agreement import mean_iou


def test_the_mean_iou_is_that_of_scikit_learn() -> None:
    one, other = torch.randint(0, 4, (2, 3, 9, 9), generator=torch.Generator().manual_seed(0))
    expected = [jaccard_score(a.flatten(), b.flatten(), average="macro") for a, b in zip(one, other, strict=True)]
    assert mean_iou(one, other).tolist() == pytest.approx(expected)


def test_classes_of_one_prediction_alone_count_in_the_union_alone() -> None:
    one, other = torch.tensor([[0, 0, 1, 1]]), torch.tensor([[0, 0, 2, 1]])
    assert mean_iou(one, other).item() == pytest.approx((1 + 1 / 2 + 0) / 3)
    assert mean_iou(one, other, "intersection").item() == pytest.approx((1 + 1 / 2) / 2)
    assert mean_iou(torch.tensor([[0]]), torch.tensor([[1]]), "intersection").item() == 1  # no class to compare


def test_ignored_locations_count_nowhere() -> None:
    assert mean_iou(torch.tensor([[0, 3, 1]]), torch.tensor([[0, 255, 1]])).item() == 1
