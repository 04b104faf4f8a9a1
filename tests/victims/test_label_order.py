"""Tests of the detection of labels with another order of class ids."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.helpers import attack_args, make_camvid, save
from uap import fit
from uap.datasets.pictures import read_mask
from uap.metrics.iou import ClassIoU
from uap.utils.class_tables import CITYSCAPES, CITYSCAPES_LABEL_IDS, IGNORE, LabelTable
from uap.victims.label_order import other_ids

RNG = np.random.default_rng(0)


def confusion(truth: Tensor, read: Tensor, right: float = 0.8) -> Tensor:
    """Return the confusion of labels and predictions that are correct with the probability `right`."""
    wrong = torch.from_numpy(RNG.integers(0, 19, truth.shape))
    predicted = torch.where(torch.from_numpy(RNG.random(truth.shape)) < right, truth, wrong)
    iou = ClassIoU(19)
    iou.update(predicted, read)
    return iou.total()


@pytest.fixture
def truth() -> Tensor:
    return torch.from_numpy(RNG.integers(0, 19, (1, 100, 200)))


def as_label_ids(train_ids: Tensor) -> Tensor:
    table = torch.full((256,), IGNORE)
    table[list(CITYSCAPES_LABEL_IDS)] = torch.arange(19)
    return table[train_ids]


def test_train_ids_read_as_label_ids_are_detected(truth: Tensor) -> None:
    said = other_ids(confusion(truth, as_label_ids(truth)), CITYSCAPES, CITYSCAPES)
    assert said is not None
    assert "train ids" in said


def test_permutation_of_classes_is_detected(truth: Tensor) -> None:
    said = other_ids(confusion(truth, (truth + 1) % 19), CITYSCAPES, CITYSCAPES)
    assert said is not None
    assert "in another order" in said
    assert "sidewalk is predicted as road" in said


@pytest.mark.parametrize("kind", ["right", "guesses", "always one class", "one labeled class", "no labels"])
def test_no_message_if_no_order_explains_the_labels(truth: Tensor, kind: str) -> None:
    found = {
        "right": confusion(truth, as_label_ids(truth), 0.0),
        "guesses": confusion(truth, truth, 0.0),
        "always one class": confusion(torch.zeros_like(truth), truth, 1.0),
        "one labeled class": confusion(truth, torch.zeros_like(truth)),
        "no labels": confusion(truth, torch.full_like(truth, IGNORE)),
    }
    assert other_ids(found[kind], CITYSCAPES, CITYSCAPES) is None


def test_constant_prediction_is_not_a_permutation() -> None:
    table = LabelTable(("a", "b"), ((0, 0, 0),) * 2)
    assert other_ids(torch.tensor([[0, 900], [0, 100]]), table, table) is None
    assert other_ids(torch.tensor([[0, 900], [100, 0]]), table, table) is not None


def test_run_warns_about_another_order_of_labels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = make_camvid(tmp_path / "camvid")
    for path in sorted(root.glob("*annot/*.png")):
        save(path, 1 - read_mask(path))
    fit.main(attack_args(root, tmp_path / "out", trainer__max_epochs=1))
    printed = capsys.readouterr().out
    assert "building is predicted as sky" in printed
    assert "channel_order" not in printed
