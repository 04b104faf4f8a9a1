"""Intersection over union with labels, by class."""

import torch
from torch import Tensor
from torchmetrics import Metric


def confusion_counts(predicted: Tensor, labels: Tensor, classes: int) -> Tensor:
    """Count pixels by (label, prediction).

    Args:
        predicted: (N, H, W) class ids below `classes`.
        labels: (N, H, W) class ids; those that are not below `classes` are ignored.
        classes: number of classes.

    Returns:
        (classes, classes) int64.

    Example:
        >>> confusion_counts(torch.tensor([[[0, 1, 1]]]), torch.tensor([[[0, 0, 255]]]), 2).tolist()
        [[1, 1], [0, 0]]
    """
    counted = labels < classes
    pairs = labels[counted].long() * classes + predicted[counted].long()
    return torch.bincount(pairs, minlength=classes * classes).view(classes, classes)


def iou_per_class(confusion: Tensor) -> Tensor:
    """Return (C,) float64 intersection over union by class; NaN where neither labels nor predictions have the class.

    Example:
        >>> iou_per_class(torch.tensor([[1, 1], [0, 2]])).mul(1000).round().tolist()
        [500.0, 667.0]
    """
    hits = confusion.diagonal()
    union = confusion.sum(0) + confusion.sum(1) - hits
    return hits.cpu().double() / union.cpu()  # 0 / 0 is NaN; not every device has float64


class ClassIoU(Metric):
    """Intersection over union with the labels of a data set, by class.

    Example:
        >>> iou = ClassIoU(2)
        >>> iou.update(torch.tensor([[[0, 1, 1, 1]]]), torch.tensor([[[0, 0, 1, 1]]]))
        >>> iou.compute().mul(1000).round().tolist()
        [500.0, 667.0]
    """

    full_state_update = False
    confusion: Tensor

    def __init__(self, classes: int) -> None:
        """Count `classes` classes."""
        super().__init__()
        self.classes = classes
        self.add_state("confusion", torch.zeros(classes, classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, predicted: Tensor, labels: Tensor) -> None:
        """Add predictions (N, H, W) and labels (N, H, W); labels beyond the classes are ignored."""
        self.confusion += confusion_counts(predicted, labels, self.classes)

    def compute(self) -> Tensor:
        """Return (C,) IoU by class, NaN for a class that has no labeled pixel."""
        iou = iou_per_class(self.confusion)
        return iou.masked_fill(self.confusion.sum(1).cpu() == 0, torch.nan)

    def total(self) -> Tensor:
        """Return (C, C) int64, the pixels of all ranks by (label, prediction). Every rank must call it."""
        with self.sync_context():
            return self.confusion.cpu()
