import pytest
import torch

from uap.metrics.scores import Outcome, Scores
from uap.objectives import PureClass
from uap.objectives.base import Goal

IMAGE = torch.full((1, 3, 1, 4), 9.0)
LABELS = torch.tensor([[[0, 0, 1, 1]]])


def scores(predicted: list[int], target: list[int], labels: torch.Tensor | None = LABELS) -> dict[str, float]:
    found = Scores(PureClass(0), 2, "cpu", perceptibility=False)
    goal = Goal(torch.tensor([[target]]))
    found.update(Outcome(IMAGE, IMAGE, LABELS, torch.tensor([[predicted]]), goal, labels, torch.tensor([0])))
    return found.compute()


def test_normalized_miou_leaves_out_pixels_whose_label_is_the_target() -> None:
    """Pixels 1 and 3 count, with labels 0 and 1, both predicted as 1: the IoU is 0 of 1 and 1 of 2."""
    found = scores(predicted=[1, 1, 0, 1], target=[0, 1, 1, 0])
    assert found["miou_off_target_clean"] == 1
    assert found["normalized_miou"] == pytest.approx(0.25)


def test_normalized_miou_is_missing_if_all_labels_are_the_target_or_there_are_none() -> None:
    assert "normalized_miou" not in scores([0, 0, 1, 1], [0, 0, 1, 1])
    assert "normalized_miou" not in scores([0, 0, 1, 1], [1, 1, 0, 0], labels=None)
