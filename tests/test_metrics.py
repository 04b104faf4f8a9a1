"""Tests of counts and IoU against numpy and scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.metrics import confusion_matrix, jaccard_score
from torch import Tensor

from uap.metrics.counts import class_counts, hidden_counts, preserved_counts, size_counts, success_counts
from uap.metrics.iou import ClassIoU
from uap.metrics.rates import CountTable, PixelRate, distribution
from uap.utils.class_tables import IGNORE

CLASSES = 6


def random_maps(images: int = 4, present: int = CLASSES) -> tuple[Tensor, Tensor]:
    """Return predictions and labels, uint8; a fifth of the labels is ignored."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, present, (images, 7, 9), np.uint8)
    predicted = np.where(rng.random(labels.shape) < 0.5, labels, rng.integers(0, present, labels.shape, np.uint8))
    labels[rng.random(labels.shape) < 0.2] = IGNORE
    return torch.from_numpy(predicted), torch.from_numpy(labels)


def one_image(rows: list[list[int]]) -> Tensor:
    return torch.tensor([rows], dtype=torch.uint8)


def test_success_counts_ignore_ignored_pixels() -> None:
    predicted = one_image([[1, 2, 3], [IGNORE, 2, 2]])
    target = one_image([[1, 2, 2], [IGNORE, IGNORE, 2]])
    assert success_counts(predicted, target).tolist() == [[3, 4]]


def test_hidden_counts_pixels_of_other_classes() -> None:
    hidden = torch.tensor([[[True, True, True], [True, False, False]]])
    predicted = one_image([[1, 2, 0], [3, 0, 1]])
    assert hidden_counts(predicted, hidden, (1, 2)).tolist() == [[2, 4]]  # from 1 to 2 is still hidden-class
    assert hidden_counts(predicted, hidden, (1,)).tolist() == [[3, 4]]


def test_preserved_counts_background_pixels_with_the_same_class() -> None:
    hidden = torch.tensor([[[True, False, False], [False, False, False]]])
    predicted = one_image([[0, 0, 1], [3, 2, 0]])
    target = one_image([[0, 0, 1], [2, 2, IGNORE]])
    assert preserved_counts(predicted, target, hidden).tolist() == [[3, 4]]


def test_counts_of_each_image_equal_numpy() -> None:
    predicted, target = random_maps()
    hidden = torch.from_numpy(np.random.default_rng(1).random(predicted.shape) < 0.4)
    p, t, h = predicted.numpy(), target.numpy(), hidden.numpy()

    def counted(hits: np.ndarray, among: np.ndarray) -> list[list[int]]:
        return [[int(hits[i][among[i]].sum()), int(among[i].sum())] for i in range(len(hits))]

    assert success_counts(predicted, target).tolist() == counted(p == t, t != IGNORE)
    assert hidden_counts(predicted, hidden, (0, 4)).tolist() == counted((p != 0) & (p != 4), h)
    assert preserved_counts(predicted, target, hidden).tolist() == counted(p == t, (t != IGNORE) & ~h)


def test_rate_divides_sums_over_images() -> None:
    rate = PixelRate()
    rate.update(torch.tensor([[1, 1], [0, 3]]), torch.tensor([7, 5]))
    rate.update(torch.tensor([[2, 6]]), torch.tensor([9]))
    assert rate.compute().item() == pytest.approx(3 / 10)
    assert rate.per_image().tolist() == [[5, 0, 3], [7, 1, 1], [9, 2, 6]]


def test_reset_rate_starts_from_zero() -> None:
    rate = PixelRate()
    rate.update(torch.tensor([[1, 1]]), torch.tensor([0]))
    rate.reset()
    assert rate.per_image().shape == (0, 3)
    rate.update(torch.tensor([[1, 4]]), torch.tensor([3]))
    assert rate.compute().item() == 0.25
    assert rate.per_image().tolist() == [[3, 1, 4]]


def test_rate_without_pixels_is_nan() -> None:
    rate = PixelRate()
    rate.update(torch.tensor([[0, 0]]), torch.tensor([0]))
    assert rate.compute().isnan()


def test_rate_is_exact_above_the_integers_of_float32() -> None:
    rate = PixelRate()
    for _ in range(2):
        rate.update(torch.tensor([[2**24 + 1, 2**25]]), torch.tensor([0]))
    assert rate.compute().item() == (2**24 + 1) / 2**25


@pytest.mark.parametrize("present", [CLASSES, 3])
def test_confusion_and_iou_equal_scikit_learn(present: int) -> None:
    predicted, labels = random_maps(present=present)
    counted = (labels != IGNORE).numpy()
    truth, guess = labels.numpy()[counted], predicted.numpy()[counted]
    metric = ClassIoU(CLASSES)
    metric.update(predicted, labels)

    assert np.array_equal(metric.total().numpy(), confusion_matrix(truth, guess, labels=range(CLASSES)))
    expected = jaccard_score(truth, guess, labels=range(CLASSES), average=None, zero_division=0)
    expected[present:] = np.nan
    np.testing.assert_allclose(metric.compute().numpy(), expected)


def test_class_iou_over_batches_equals_whole_data_set() -> None:
    predicted, labels = random_maps()
    metric = ClassIoU(CLASSES)
    for part in (slice(0, 1), slice(1, 4), slice(4, 4)):
        metric.update(predicted[part], labels[part])

    counted = (labels != IGNORE).numpy()
    expected = jaccard_score(labels.numpy()[counted], predicted.numpy()[counted], average=None)
    np.testing.assert_allclose(metric.compute().numpy(), expected)


def test_class_iou_of_a_class_without_labels_is_nan() -> None:
    predicted, labels = one_image([[0, 1, 2]]), one_image([[0, 0, 2]])
    metric = ClassIoU(4)
    metric.update(predicted, labels)

    np.testing.assert_equal(metric.compute().numpy(), [0.5, np.nan, 1.0, np.nan])


def test_labels_above_the_number_of_classes_are_ignored() -> None:
    metric = ClassIoU(2)
    metric.update(one_image([[0, 1, 1, 1]]), one_image([[0, 1, 2, IGNORE]]))
    assert metric.total().tolist() == [[1, 0], [0, 1]]


def test_empty_batch_and_ignored_pixels_are_not_counted() -> None:
    empty = torch.zeros(0, 7, 9, dtype=torch.uint8)
    ignored = torch.full((2, 7, 9), IGNORE, dtype=torch.uint8)
    for labels in (empty, ignored):
        metric = ClassIoU(CLASSES)
        metric.update(torch.zeros_like(labels), labels)
        assert not metric.total().any()
        assert success_counts(torch.zeros_like(labels), labels).tolist() == [[0, 0]] * len(labels)


def test_class_counts_are_hits_and_pixels_of_each_class() -> None:
    ids = one_image([[0, 0, 2], [2, 2, IGNORE]])
    hits = torch.tensor([[[True, False, True], [True, False, True]]])
    assert class_counts(ids, hits, 4).tolist() == [[1, 2], [0, 0], [2, 3], [0, 0]]


def test_class_counts_equal_numpy() -> None:
    predicted, labels = random_maps()
    p, t = predicted.numpy(), labels.numpy()
    expected = [[int((p[t == c] == c).sum()), int((t == c).sum())] for c in range(CLASSES)]
    assert class_counts(labels, predicted == labels, CLASSES).tolist() == expected


def block(height: int, width: int, size: tuple[int, int] = (120, 130)) -> Tensor:
    """Return a mask `(1, H, W)` with one object in a corner."""
    mask = torch.zeros(1, *size, dtype=torch.bool)
    mask[0, :height, :width] = True
    return mask


@pytest.mark.parametrize(
    ("height", "width", "row"), [(31, 33, 0), (32, 32, 1), (95, 97, 1), (96, 96, 2), (1, 1, 0), (120, 130, 2)]
)
def test_object_sizes_equal_coco(height: int, width: int, row: int) -> None:
    hidden = block(height, width)
    predicted = torch.where(hidden, 1, 0).to(torch.uint8)
    predicted[0, 0, 0] = 7
    expected = [[0, 0, 0]] * 3
    expected[row] = [1, height * width, 1]
    assert size_counts(predicted, hidden, (1,)).tolist() == expected


def test_objects_are_8_connected_components() -> None:
    hidden = torch.zeros(2, 60, 60, dtype=torch.bool)
    hidden[0, 0:2, 0:2] = hidden[0, 2:4, 2:4] = True  # one object, across a corner
    hidden[0, 10:50, 10:50] = True  # medium
    hidden[0, 55, 55:58] = True
    hidden[1, 5, 5] = True  # another image: an object of its own
    predicted = torch.full((2, 60, 60), 3, dtype=torch.uint8)
    predicted[0, 0:2, 0:2] = predicted[0, 10:20, 10:50] = 1  # still hidden classes: not hidden from view
    predicted[0, 20, 10:50] = 2
    assert size_counts(predicted, hidden, (1, 2)).tolist() == [[3, 12, 8], [1, 1600, 1160], [0, 0, 0]]


def test_size_counts_sum_to_hidden_counts() -> None:
    predicted, _ = random_maps()
    hidden = torch.from_numpy(np.random.default_rng(1).random(predicted.shape) < 0.4)
    hits, pixels = hidden_counts(predicted, hidden, (0, 4)).sum(0).tolist()
    assert size_counts(predicted, hidden, (0, 4)).sum(0).tolist()[1:] == [pixels, hits]


def test_worst_decile_is_the_mean_of_a_tenth_of_the_images() -> None:
    shares = [90, 10, 30, 40, 50, 60, 70, 80, 20, 100, 0, 95, 85, 75, 65, 55, 45, 35, 25, 15]
    found = distribution(torch.tensor([[share, 100] for share in shares]))
    assert found["worst_decile"] == 0.05  # of 0 and 10 %
    assert found["deciles"] == pytest.approx(np.percentile(shares, range(0, 101, 10)) / 100)


def test_worst_decile_of_few_images_is_the_worst_image() -> None:
    found = distribution(torch.tensor([[1, 2], [0, 0], [3, 4], [0, 0]]))  # without pixels there is no share
    assert found["worst_decile"] == 0.5
    assert found["deciles"] == pytest.approx([0.5 + 0.025 * i for i in range(11)])


def test_distribution_without_images_is_empty() -> None:
    assert distribution(torch.zeros(0, 2, dtype=torch.int64)) == {}
    assert distribution(torch.zeros(3, 2, dtype=torch.int64)) == {}


def test_count_table_is_summed_over_batches_and_ranks() -> None:
    table = CountTable(2, 3)
    for factor in (1, 2):
        table.update(factor * torch.arange(6).view(2, 3))
    assert table.compute().tolist() == [[0, 3, 6], [9, 12, 15]]
    table.sync(dist_sync_fn=lambda counts, group: [counts, 10 * counts], distributed_available=lambda: True)
    assert table.table.tolist() == [[0, 33, 66], [99, 132, 165]]


def test_class_iou_counts_labeled_pixels() -> None:
    metric = ClassIoU(3)
    metric.update(one_image([[0, 1, 1, 1]]), one_image([[0, 0, 1, IGNORE]]))
    assert metric.total().sum(1).tolist() == [2, 1, 0]
