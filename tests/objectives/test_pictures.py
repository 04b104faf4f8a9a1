"""Pure and picture-shaped targets."""

import numpy as np
import pytest
import torch
from torch import Tensor

from uap.objectives import Objective, Picture, PureClass
from uap.objectives.picture import picture_parts
from uap.objectives.sampling import goal_of
from uap.utils.errors import InputError

IMAGES = torch.randint(0, 256, (3, 3, 24, 48), generator=torch.Generator().manual_seed(0)).float()
LOGITS = torch.randn(3, 6, 24, 48, generator=torch.Generator().manual_seed(1))


def labels_of(objective: Objective, rows: slice = slice(None)) -> Tensor:
    return goal_of(objective, lambda images: LOGITS, IMAGES[rows], 0, logits=LOGITS[rows]).labels


@pytest.mark.parametrize("objective", [PureClass(), Picture("face"), Picture("text"), Picture("strips")])
def test_random_classes_depend_on_the_image_and_the_seed_alone(objective: Objective) -> None:
    together = labels_of(objective)
    torch.testing.assert_close(labels_of(objective, slice(1, 2)), together[1:2])
    assert 0 <= int(together.min()) <= int(together.max()) < 6
    assert len({tuple(labels.flatten().tolist()) for labels in together}) > 1


def test_a_pure_target_is_one_class_in_each_image() -> None:
    assert [len(torch.unique(labels)) for labels in labels_of(PureClass())] == [1, 1, 1]
    assert torch.unique(labels_of(PureClass(4))).tolist() == [4]


def test_only_classes_that_are_predicted_are_chosen() -> None:
    logits = torch.eye(6)[:, [1, 4]].view(1, 6, 1, 2)
    for objective in (PureClass(), Picture("strips")):
        for seed in range(5):
            goal = objective.prepare(lambda images: logits, IMAGES[:1], logits, torch.Generator().manual_seed(seed))
            assert set(goal.labels.flatten().tolist()) <= {1, 4}


def test_the_parts_of_a_picture() -> None:
    face = picture_parts("face", 100, 200)
    assert np.unique(face).tolist() == [0, 1, 2, 3]
    assert not face[:, :50].any()  # the square lies in the middle
    assert not face[:, 150:].any()
    assert 0.2 < (face > 0).mean() < 0.5
    text = picture_parts("text", 100, 200)
    assert np.unique(text).tolist() == [0, 1]
    assert 0.05 < text.mean() < 0.5
    rows, columns = text.nonzero()
    assert rows.min() > 0
    assert columns.max() < 199
    assert np.bincount(picture_parts("strips", 3, 50)[0]).tolist() == [10] * 5


def test_given_classes_are_used_in_turn_and_unknown_ones_refused() -> None:
    labels = labels_of(Picture("face", [5, 2]))
    parts = torch.from_numpy(picture_parts("face", 24, 48)).long()
    torch.testing.assert_close(labels[0], torch.tensor([5, 2, 5, 2])[parts])
    for objective in (Picture("face", [6]), PureClass(-1), PureClass("road")):
        with pytest.raises(InputError):
            labels_of(objective)
    with pytest.raises(InputError, match="motif"):
        Picture("cat")  # type: ignore[arg-type]
